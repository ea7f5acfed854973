/* A Fetch request while it waits: one read for each shard that owns some of its partitions. */
#ifndef COLOBUS_PROTO_KAFKA_FETCH_H
#define COLOBUS_PROTO_KAFKA_FETCH_H

#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/request.h"
#include "proto/kafka/spread.h"

struct fetch_target {
    struct topic_partition where;
    const struct kafka_fetch_request_partition *in;
    struct kafka_fetch_response_partition *out;
    const struct read_item *item; /* what came back, in one of the reads below */
};

/* min_bytes is met over all shards: each read waits for its share of what is missing. If the whole reaches
 * it, some shard has at least its share, so its read comes back; then the others are called back too, and the
 * round begins again with what is still missing, until there is enough, something failed, or time is up.
 *
 * Reads that came back hold the chunks that the answer refers to, until it is written. */
struct fetch {
    struct kafka_fetch_response response;
    struct fetch_target *targets;
    uint32_t count;
    struct kafka_spread spread;
    unsigned shards; /* how many own some of the targets */

    uint64_t max_bytes, min_bytes, deadline_ns;
    struct op_read *out[KAFKA_MAX_SHARDS];  /* on their way */
    struct op_read *back[KAFKA_MAX_SHARDS]; /* came back in this round */
    uint64_t have[KAFKA_MAX_SHARDS];        /* bytes that the last read of a shard brought */
};

/* Starts the first round; r->state is the struct fetch. No operation is made if there are no targets. */
void fetch_wait_start(struct kafka_request *r);
/* All reads of the round are back: true if the answer can be given, false if another round was started. */
bool fetch_wait_over(struct kafka_request *r);
/* Frees what came back. */
void fetch_wait_free(struct fetch *st);
/* r->abandon. */
void fetch_wait_abandon(struct kafka_request *r);

#endif
