/* The bytes of metadata commands and snapshots: what they say, and how they are read and written. */
#ifndef COLOBUS_CORE_META_FORMAT_H
#define COLOBUS_CORE_META_FORMAT_H

#include "base/reader.h"
#include "base/writer.h"
#include "core/topic.h"

enum meta_type {
    META_CLUSTER = 1, /* the cluster's id, made at the first start */
    META_TOPIC_CREATE = 2,
    META_TOPIC_DELETE = 3,
    META_TOPIC_GROW = 4,   /* more partitions */
    META_PRODUCER_IDS = 5, /* ids below `next` may have been given out */
    META_LOG_IDS = 6,      /* log ids below `next` were used, also by what is deleted */
    META_TOPIC_CONFIG = 7, /* the topic's settings, all of them */
};

enum { META_MAX_PARTITIONS = 1 << 20 };

/* Partitions whose logs have consecutive ids. */
struct meta_run {
    uint64_t first_log;
    uint32_t count;
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
    uint64_t next; /* PRODUCER_IDS, LOG_IDS */
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
