/* Topics: a name with N logs. Every shard has a replica of the table, changed in the order of the metadata
 * log. */
#ifndef COLOBUS_CORE_TOPIC_H
#define COLOBUS_CORE_TOPIC_H

#include "core/auth.h"
#include "core/records.h"
#include "store/log.h"

struct config;
struct shard;

struct topic_id {
    uint8_t bytes[16]; /* a random UUID, never all zero */
};

/* The settings of a topic, see topic_config.def. TOPIC_CONFIG_x is also the bit in `set`. */
enum topic_config_id {
#define TOPIC_CONFIG(tag, id, ...) TOPIC_CONFIG_##id = tag,
#include "core/topic_config.def"
#undef TOPIC_CONFIG
};

/* A setting that few topics have: it has no field of its own. */
struct topic_rare {
    enum topic_config_id id;
    int64_t value;
};

/* A topic's settings; Kafka's names in topic_config.def. A value not set falls back to the broker's. Copied
 * by assignment: `rare` is borrowed, from the arena it was set with or, in a struct topic, from the topic;
 * see topic_config_copy(). */
struct topic_config {
    uint64_t set;                          /* bit 1 << TOPIC_CONFIG_x per row that was given explicitly */
    enum log_durability durability;        /* durability (ours): fsync | os */
    bool compact, delete_old;              /* cleanup.policy */
    int codec;                             /* compression.type: enum codec, or -1 = producer */
    bool append_time;                      /* message.timestamp.type=LogAppendTime */
    uint32_t max_message_bytes;            /* max.message.bytes */
    uint64_t segment_bytes;                /* segment.bytes */
    int64_t segment_ms;                    /* segment.ms */
    int64_t retention_ms, retention_bytes; /* retention.ms, retention.bytes; -1: unlimited */
    int64_t before_max_ms, after_max_ms;   /* message.timestamp.before/after.max.ms */
    uint32_t index_interval_bytes;
    int32_t min_insync_replicas;
    uint32_t rare_count;
    const struct topic_rare *rare; /* by id; NULL if there are none */
};

struct topic_partition {
    uint64_t log_id;
    unsigned shard;       /* owner */
    int32_t leader_epoch; /* of its log; changes at recovery only, so replicas are filled in at start */
};

struct topic {
    const char *name;
    size_t name_len;
    struct topic_id id;
    const struct vhost *vhost;
    struct topic_config config;
    struct records_policy policy; /* derived from config */
    uint32_t partition_count;
    struct topic_partition *partitions;
};

/* Look-ups in this shard's replica, authorised. The topic is valid until the end of the turn.
 * ERR_NOT_FOUND, ERR_UNKNOWN_TOPIC_ID, ERR_DENIED. */
int topic_find(struct shard *s, const struct actor *actor, enum auth_action action, struct span name,
               struct topic **ret_topic);
int topic_find_id(struct shard *s, const struct actor *actor, enum auth_action action,
                  const struct topic_id *id, struct topic **ret_topic);
/* All topics the actor may describe, sorted by name: an arena array. */
struct topic **topic_list(struct shard *s, const struct actor *actor, struct arena *a, size_t *ret_count);

/* 1 to 249 of [a-zA-Z0-9._-], not "." or "..": Kafka's rule. ERR_BAD_TOPIC_NAME. */
int topic_check_name(struct span name);

/* Everything at the broker's default, with nothing in `set`. */
void topic_config_default(struct topic_config *c);
/* What is set, `rare` in the arena. */
void topic_config_copy(struct topic_config *to, const struct topic_config *from, struct arena *a);
/* Makes `rare` memory of its own, and gives that back. */
void topic_config_own(struct topic_config *c);
void topic_config_disown(struct topic_config *c);
/* The present value as a number, as metadata commands keep it; of any setting, set or not. */
int64_t topic_config_number(const struct topic_config *c, enum topic_config_id id);
/* The reverse, marking it as set. ERR_INVALID: no such setting or value. */
int topic_config_set_number(struct topic_config *c, enum topic_config_id id, int64_t value, struct arena *a);
/* Back to the broker's. */
void topic_config_unset(struct topic_config *c, enum topic_config_id id, struct arena *a);
/* What the broker's settings make of a value that a topic does not set. Once, before the threads start. */
void topic_config_init(const struct config *cfg);
/* The parts of it that others apply. */
void topic_config_log(const struct topic_config *c, struct log_config *ret);
void topic_config_policy(const struct topic_config *c, struct records_policy *ret);

/* ---- as text: topic_config_text.c ---- */

/* Sets one by Kafka's name. ERR_NOT_FOUND: no such name; ERR_BAD_CONFIG: no such value; *ret_reason (arena)
 * says it in Kafka's words. */
int topic_config_set(struct topic_config *c, struct span name, struct span value, struct arena *a,
                     const char **ret_reason);
/* What only holds between settings, once all are set. ERR_BAD_CONFIG with the reason (arena). */
int topic_config_check(const struct topic_config *c, struct arena *a, const char **ret_reason);

enum topic_alter_kind { /* Kafka's AlterConfigOp, KIP-339 */
                        TOPIC_ALTER_SET = 0,
                        TOPIC_ALTER_DELETE = 1,   /* back to the broker's default */
                        TOPIC_ALTER_APPEND = 2,   /* to the list */
                        TOPIC_ALTER_SUBTRACT = 3, /* from the list */
};
struct topic_alter_item {
    enum topic_alter_kind kind;
    struct span name, value;
};
/* Changes the settings of a topic that exists. `replace`: what is not named goes back to the default (Kafka's
 * older AlterConfigs), but for the durability, which stays what it was created with. ERR_BAD_CONFIG with the
 * reason (arena), and `c` may be half changed. */
int topic_config_alter(struct topic_config *c, const struct topic_alter_item *items, uint32_t count,
                       bool replace, struct arena *a, const char **ret_reason);

/* One setting as it is shown. Texts are static or in the arena. */
struct topic_setting {
    const char *name, *value;
    const char *help;
    int kafka_type;           /* 1 boolean, 2 string, 3 int, 5 long, 6 double, 7 list */
    bool is_set;              /* by the topic itself */
    bool broker_set;          /* the default was given in the broker's settings */
    const char *synonym;      /* the broker's name for the default; NULL: none */
    const char *broker_value; /* the default */
    const char *built_in;     /* what the default would be if the broker had no settings */
};
/* Each in the order of topic_config.def; those of older Kafka only if they are set. */
void topic_config_each(const struct topic_config *c, struct arena *a,
                       void (*fn)(void *arg, const struct topic_setting *setting), void *arg);

#endif
