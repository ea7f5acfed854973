/* The settings of the broker: one table (core/config.def) expanded into a struct, its parser and its manual.
 * Plain data: copied by assignment, never freed. Immutable once the broker has started, so any thread reads
 * it. */
#ifndef COLOBUS_CORE_CONFIG_H
#define COLOBUS_CORE_CONFIG_H

#include "base/span.h"

#define CONFIG_HOUR_MS   3600000ULL
#define CONFIG_TIB       (1ULL << 40)
#define CONFIG_UNLIMITED 0x7fffffffffffffffULL /* written "unlimited"; fits a signed number */

enum {
    CONFIG_TEXT_BYTES = 1024, /* of one text, with its terminator */
    CONFIG_ADDRESS_BYTES = 264,
    CONFIG_NAME_BYTES = 32,
    CONFIG_LISTENERS = 16, /* of one protocol */
};

struct config_listener {
    char name[CONFIG_NAME_BYTES];       /* as given, else the protocol's: "kafka", "kafka-2" */
    char address[CONFIG_ADDRESS_BYTES]; /* host:port, as os_listen() takes it */
    bool tls;                           /* written tls://host:port */
};

/* count 0: "off". */
struct config_listeners {
    unsigned count;
    struct config_listener items[CONFIG_LISTENERS];
};

struct config_advert {
    char name[CONFIG_NAME_BYTES]; /* of the listener; "" for the only one there is */
    char host[CONFIG_ADDRESS_BYTES];
    uint16_t port; /* 0: the port bound */
};

struct config_adverts {
    unsigned count;
    struct config_advert items[CONFIG_LISTENERS];
};

/* The values of `durability`, in the order of its row; log.level has those of enum say_level. */
enum config_durability { CONFIG_FSYNC, CONFIG_OS };
/* Of tls.verify-client. */
enum config_verify_client { CONFIG_VERIFY_NONE, CONFIG_VERIFY_REQUEST, CONFIG_VERIFY_REQUIRE };

/* What a field is in C, by type. Numbers are bytes, milliseconds or counts, as the field's name says. */
#define SETTING_FIELD_BOOL(field)       bool field;
#define SETTING_FIELD_INT(field)        uint64_t field;
#define SETTING_FIELD_AUTO(field)       uint64_t field; /* 0: "auto" */
#define SETTING_FIELD_BYTES(field)      uint64_t field;
#define SETTING_FIELD_DURATION(field)   uint64_t field; /* milliseconds */
#define SETTING_FIELD_ENUM(field)       unsigned field;
#define SETTING_FIELD_TEXT(field)       char field[CONFIG_TEXT_BYTES];
#define SETTING_FIELD_LISTENERS(field)  struct config_listeners field;
#define SETTING_FIELD_ADVERTISED(field) struct config_adverts field;

enum setting_id {
#define SETTING(key, field, type, unit, dflt, min, max, help) SETTING_##field,
#include "core/config.def"
#undef SETTING
    SETTING_COUNT
};

enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_COMMAND_LINE };

struct config {
#define SETTING(key, field, type, unit, dflt, min, max, help) SETTING_FIELD_##type(field)
#include "core/config.def"
#undef SETTING
    uint8_t source[SETTING_COUNT]; /* enum config_source */
};

enum setting_type {
    SETTING_BOOL,
    SETTING_INT,
    SETTING_AUTO,
    SETTING_BYTES,
    SETTING_DURATION,
    SETTING_ENUM,
    SETTING_TEXT,
    SETTING_LISTENERS,
    SETTING_ADVERTISED,
};

struct setting {
    const char *key;
    enum setting_type type;
    const char *unit; /* of an enum: its choices, "a|b" */
    const char *dflt;
    uint64_t min, max;
    const char *help;
    size_t offset; /* of the field in struct config */
};

extern const struct setting config_settings[SETTING_COUNT];

struct config_error {
    char text[512]; /* one line for a person: key, reason, nearest known key */
};

/* Everything at its default. */
void config_init(struct config *c);
/* Sets one from text. 0; ERR_NOT_FOUND: unknown key; ERR_INVALID: bad value. *ret_error says why; `c` is
 * unchanged on failure. */
int config_set(struct config *c, const char *key, const char *value, enum config_source source,
               struct config_error *ret_error);
/* "key=value" as after --set. */
int config_set_pair(struct config *c, const char *pair, enum config_source source,
                    struct config_error *ret_error);
/* What only holds between settings, once all are set; also resolves kafka.advertised to names of listeners.
 * ERR_INVALID with the reason. */
int config_check(struct config *c, struct config_error *ret_error);

/* NULL: no such key. */
const struct setting *config_find(const char *key);
/* The present value as config_set() reads it. Always terminated. */
void config_format(const struct config *c, const struct setting *s, char *ret_text, size_t size);
/* The address to tell clients of this listener, or NULL: the one they came in on. */
const struct config_advert *config_advert_of(const struct config *c, const char *listener_name);

/* The candidate nearest to `word` by edits, or NULL if none is near. For settings, commands and options. */
const char *config_nearest(const char *word, const char *(*candidate)(size_t i), size_t count);

#endif
