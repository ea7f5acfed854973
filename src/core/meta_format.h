/* The bytes of metadata commands and snapshots: what they say, and how they are read and written. */
#ifndef COLOBUS_CORE_META_FORMAT_H
#define COLOBUS_CORE_META_FORMAT_H

#include "base/reader.h"
#include "base/writer.h"
#include "core/handle.h"
#include "core/topic.h"

enum meta_type {
    META_CLUSTER = 1, /* the cluster's id, made at the first start */
    META_TOPIC_CREATE = 2,
    META_TOPIC_DELETE = 3,
    META_TOPIC_GROW = 4,   /* more partitions */
    META_PRODUCER_IDS = 5, /* ids below `next` may have been given out */
    META_LOG_IDS = 6,      /* log ids below `next` were used, also by what is deleted */
    META_TOPIC_CONFIG = 7, /* the topic's settings, all of them */
    META_RECORD_PUT = 8,   /* of core/meta_record.h */
    META_RECORD_DROP = 9,
    META_VHOST_PUT = 10, /* from here on: of core/space.h */
    META_VHOST_DROP = 11,
    META_EXCHANGE_PUT = 12,
    META_EXCHANGE_DROP = 13,
    META_QUEUE_PUT = 14,
    META_QUEUE_DROP = 15,
    META_BIND = 16,
    META_UNBIND = 17,
};

enum { META_MAX_PARTITIONS = 1 << 20, META_MAX_NAME = 255 };

enum meta_flags {
    META_DURABLE = 1,
    META_AUTO_DELETE = 2,
    META_INTERNAL = 4,  /* exchanges */
    META_EXCLUSIVE = 8, /* queues; never written */
};

/* Partitions whose logs have consecutive ids. */
struct meta_run {
    uint64_t first_log;
    uint32_t count;
};

/* What the commands from RECORD_PUT on are about. Names and keys are at most META_MAX_NAME bytes (those of
 * records 64 KiB - 1), args are checked tables of core/fields.h. */
struct meta_entity {
    uint8_t kind;          /* RECORD: its kind; BIND, UNBIND: enum dest_kind */
    uint8_t flags;         /* EXCHANGE_PUT, QUEUE_PUT, BIND */
    uint8_t type;          /* QUEUE_PUT: enum queue_type */
    uint32_t vhost;        /* all but RECORD; VHOST: its own id */
    uint64_t id;           /* QUEUE; EXCHANGE_PUT: of its delay queue, 0: it has none */
    struct span name;      /* RECORD: the key; BIND, UNBIND: the source; QUEUE_DROP: null, id says it */
    struct span label;     /* EXCHANGE_PUT: the type's name */
    struct span dest, key; /* BIND, UNBIND */
    struct span args;      /* RECORD_PUT: the value; VHOST_PUT, EXCHANGE_PUT, QUEUE_PUT, BIND, UNBIND */
    uint32_t also_count;   /* drops: exchanges that go with it, since it was the last that they led to */
    struct span *also;
    struct handle owner; /* QUEUE_PUT: never written */
};

/* One command; which fields count depends on the type. Spans and arrays are borrowed. */
struct meta_command {
    enum meta_type type;
    uint8_t cluster_id[16];     /* CLUSTER */
    struct topic_id topic;      /* TOPIC_*; of CREATE never all zero */
    uint32_t vhost;             /* CREATE */
    struct span name;           /* CREATE; a valid topic name */
    struct topic_config config; /* CREATE, CONFIG */
    uint32_t partitions;        /* CREATE, GROW: sum of the runs */
    uint32_t first_partition;   /* GROW: of the runs */
    uint32_t run_count;
    struct meta_run *runs;
    uint64_t next; /* PRODUCER_IDS, LOG_IDS; EXCHANGE_PUT, QUEUE_PUT: log ids below are used with it */
    struct meta_entity entity;
};

void meta_write(struct writer *w, const struct meta_command *c);
/* The whole of `bytes` must be one command. Runs and rare settings lie in the arena, the name in `bytes`.
 * ERR_CORRUPT: not a command that this version could have written. */
int meta_read(struct span bytes, struct arena *a, struct meta_command *ret);

/* A snapshot is the commands that make the state, one after the other. */
void meta_snapshot_begin(struct writer *w);
void meta_snapshot_add(struct writer *w, const struct meta_command *c);
/* Calls fn for each command. ERR_CORRUPT, or fn's non-zero answer. */
int meta_snapshot_read(struct span bytes, int (*fn)(void *arg, struct span command), void *arg);

#endif
