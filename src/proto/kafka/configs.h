/* What DescribeConfigs, AlterConfigs and IncrementalAlterConfigs share: what they are about, and how one
 * resource is altered. */
#ifndef COLOBUS_PROTO_KAFKA_CONFIGS_H
#define COLOBUS_PROTO_KAFKA_CONFIGS_H

#include "proto/kafka/topics.h"

/* ConfigResource.Type */
enum kafka_resource_type {
    KAFKA_RESOURCE_TOPIC = 2,
    KAFKA_RESOURCE_BROKER = 4,
    KAFKA_RESOURCE_BROKER_LOGGER = 8,
    KAFKA_RESOURCE_CLIENT_METRICS = 16,
    KAFKA_RESOURCE_GROUP = 32,
};

/* One resource of an altering request. */
struct kafka_alteration {
    int type; /* enum kafka_resource_type, or what a peer sent */
    struct span name;
    const struct topic_alter_item *items; /* kinds as the peer sent them; borrowed from the request */
    uint32_t count;
    bool replace; /* AlterConfigs */
    /* Where the answer goes. */
    int16_t *ret_code;
    struct span *ret_message;
};

/* Checks each as ConfigAdminManager and ConfigurationControlManager do, in their words, and submits an
 * operation for each topic. The answers are complete when no operation of the request is pending. `all` lives
 * as long as the request. */
void kafka_alter(struct kafka_request *r, const struct kafka_alteration *all, size_t count,
                 bool validate_only);

/* The same bytes for the same resource, for kafka_find_duplicates(). In the arena. */
struct span kafka_resource_key(struct kafka_request *r, int type, struct span name);
/* Is it the number of this broker? False also if it is no number; *ret_number says so. */
bool kafka_is_this_broker(const struct kafka_request *r, struct span name, bool *ret_number);

/* ---- the broker's settings under Kafka's names: broker_configs.c ---- */

struct kafka_broker_config {
    const char *name, *value; /* value NULL: not set */
    int type;                 /* as ConfigResponse.ConfigType numbers them */
    const char *help;
    bool given;           /* in our settings, or known at the start; else it is a default */
    const char *built_in; /* the default; NULL: none */
};

/* Each of them; texts are static or in the request's arena. */
void kafka_broker_configs(struct kafka_request *r,
                          void (*fn)(void *arg, const struct kafka_broker_config *config), void *arg);

#endif
