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
#define TOPIC_CONFIG(tag, id, name, type) TOPIC_CONFIG_##id = tag,
#include "core/topic_config.def"
#undef TOPIC_CONFIG
};

/* What a topic was created with; Kafka's names in topic_config.def. A value not set falls back to the
 * broker's. */
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
/* Sets one by Kafka's name. ERR_NOT_FOUND: no such name; ERR_BAD_CONFIG: with a reason (arena). */
int topic_config_set(struct topic_config *c, struct span name, struct span value, struct arena *a,
                     const char **ret_reason);
/* The value as a number, as metadata commands keep it. */
int64_t topic_config_number(const struct topic_config *c, enum topic_config_id id);
/* The reverse, marking it as set. ERR_INVALID: no such setting or value. */
int topic_config_set_number(struct topic_config *c, enum topic_config_id id, int64_t value);
/* What the broker's settings make of a value that a topic does not set. Once, before the threads start. */
void topic_config_init(const struct config *cfg);
/* The parts of it that others apply. */
void topic_config_log(const struct topic_config *c, struct log_config *ret);
void topic_config_policy(const struct topic_config *c, struct records_policy *ret);

/* Each row: name, present value as text (arena), whether it is a default, and its type as Kafka numbers
 * them (1 boolean, 2 string, 3 int, 5 long, 7 list). */
void topic_config_each(const struct topic_config *c, struct arena *a,
                       void (*fn)(void *arg, const char *name, const char *value, bool is_default,
                                  int kafka_type),
                       void *arg);

#endif
