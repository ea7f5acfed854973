/* What a shard keeps for each log that lives on it: who waits for it. */
#ifndef COLOBUS_CORE_PARTITION_H
#define COLOBUS_CORE_PARTITION_H

#include "base/heap.h"
#include "base/list.h"
#include "store/log.h"

struct shard;

enum { PARTITION_MAGIC = 0x50415254 };

/* log_user() of its log. */
struct partition {
    uint32_t magic;
    struct shard *shard;
    struct log *log;
    struct heap_node retention; /* when to look at what is too old, see retention.c */
    struct list parked;         /* struct read_wait: reads to look at again when more is durable */
    struct list watches;        /* of watch.c */
};

/* Takes over a log of this shard's store. */
void partition_new(struct shard *s, struct log *log);
/* Deletes the log, too, and wakes who waits for it. */
void partition_delete(struct shard *s, uint64_t log_id);
struct partition *partition_find(const struct shard *s, uint64_t log_id); /* NULL: not here, or deleted */
void partition_table_fini(struct shard *s);
/* store_events.advanced: a later phase serves the reads that wait. */
void partition_advanced(struct log *log);
/* Its start has moved. */
void partition_trimmed(struct shard *s, uint64_t log_id);
/* Wakes every read that waits on this shard. */
void partition_wake_all(struct shard *s);

/* retention.c: each partition is looked at every retention.check-interval. */
void retention_init(struct shard *s);
void retention_add(struct shard *s, struct partition *p);
void retention_remove(struct shard *s, struct partition *p);

#endif
