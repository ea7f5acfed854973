/* Shared by topic_config.c (numbers) and topic_config_text.c (texts). */
#ifndef COLOBUS_CORE_TOPIC_CONFIG_IMPL_H
#define COLOBUS_CORE_TOPIC_CONFIG_IMPL_H

#include "core/topic.h"

/* ConfigDef.Type, as ConfigResponse.ConfigType numbers them. */
enum topic_config_type {
    KAFKA_BOOLEAN = 1,
    KAFKA_STRING = 2,
    KAFKA_INT = 3,
    KAFKA_LONG = 5,
    KAFKA_DOUBLE = 6,
    KAFKA_LIST = 7,
};

enum { CLEANUP_DELETE = 1, CLEANUP_COMPACT = 2 };

/* A row of topic_config.def. */
struct topic_config_row {
    enum topic_config_id id;
    const char *name;
    enum topic_config_type type;
    bool if_set; /* shown only then */
    int64_t min, max, dflt;
    const char *synonym;
    int setting; /* enum setting_id, SETTING_NONE */
    const char *help;
};
enum { SETTING_NONE = -1, TOPIC_CONFIG_ROWS = 37 };
extern const struct topic_config_row topic_config_rows[TOPIC_CONFIG_ROWS];

/* NULL: no such setting. */
const struct topic_config_row *topic_config_row(enum topic_config_id id);
/* What the broker's settings make of it, and whether somebody gave them. */
int64_t topic_config_broker_number(enum topic_config_id id, bool *ret_given);

#endif
