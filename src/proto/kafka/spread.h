/* Spreads the partitions of a request over operations: one for each shard that owns some of them. */
#ifndef COLOBUS_PROTO_KAFKA_SPREAD_H
#define COLOBUS_PROTO_KAFKA_SPREAD_H

#include <assert.h>

#include "base/mem.h"
#include "core/topic.h"

enum { KAFKA_MAX_SHARDS = 64 }; /* the limit of the setting `shards` */

/* How many items each shard gets; counted before the operations are made. */
struct kafka_spread {
    uint32_t items[KAFKA_MAX_SHARDS];
};

static inline void kafka_spread_add(struct kafka_spread *s, const struct topic_partition *p)
{
    assert(p->shard < KAFKA_MAX_SHARDS);
    s->items[p->shard]++;
}

/* Zeroed items of an operation, to be freed by its op_X_free(). */
static inline void *kafka_spread_items(const struct kafka_spread *s, unsigned shard, size_t item_bytes)
{
    return mem_zalloc(s->items[shard] * item_bytes);
}

#endif
