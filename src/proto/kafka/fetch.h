/* A Fetch request while it waits: one read for each shard that owns some of its partitions. */
#ifndef COLOBUS_PROTO_KAFKA_FETCH_H
#define COLOBUS_PROTO_KAFKA_FETCH_H

#include "proto/kafka/fetch_session.h"
#include "proto/kafka/spread.h"

enum { FETCH_TOPIC_IDS_SINCE = 13 /* KIP-516 */ };

/* One partition of the request, or of its session. */
struct fetch_target {
    struct fetch_part *part;
    struct topic_partition where;
    const struct read_item *item; /* what came back, in one of the reads below; NULL: `err` is the answer */
    int err;
    bool has_records, told; /* what the answer will have of it */
};

/* min_bytes is met over all shards: each read waits for its share of what is missing. If the whole reaches
 * it, some shard has at least its share, so its read comes back; then the others are called back too, and the
 * round begins again with what is still missing, until there is enough, something failed, or time is up.
 *
 * Reads that came back hold the chunks that the answer refers to, until it is written. */
struct fetch {
    struct fetch_session *session; /* one reference; NULL: none. The targets' parts are the session's. */
    int32_t epoch;                 /* of the request, see fetch_is_superseded() */
    bool incremental;              /* the answer leaves out what is not news */
    struct fetch_target *targets;
    uint32_t count, cap;
    uint32_t reads; /* targets that are read */
    bool waited;    /* a round was begun */
    struct kafka_spread spread;
    unsigned shards; /* how many own some of the targets */

    uint64_t max_bytes, min_bytes, deadline_ns;
    struct op_read *out[KAFKA_MAX_SHARDS];  /* on their way */
    struct op_read *back[KAFKA_MAX_SHARDS]; /* came back in this round */
    uint64_t have[KAFKA_MAX_SHARDS];        /* bytes that the last read of a shard brought */
};

/* A later request has gone on with the session: its parts are not to be looked at any more. */
static inline bool fetch_is_superseded(const struct fetch *st)
{
    return st->session && st->session->epoch != fetch_next_epoch(st->epoch);
}

/* Adds what is hot in the session to the targets, from fetch.c. False: there was nothing to add. */
bool fetch_add_hot(struct kafka_request *r, struct fetch *st);
/* All that could be read is cold. */
static inline bool fetch_is_idle(const struct fetch *st)
{
    return st->reads == 0 && st->incremental && st->session->hot_count < fetch_session_count(st->session);
}

/* Starts the first round; r->state is the struct fetch. If nothing is read, but a session has cold
 * partitions, a read without items waits for them. */
void fetch_wait_start(struct kafka_request *r);
/* All reads of the round are back: true if the answer can be given, false if another round was started. */
bool fetch_wait_over(struct kafka_request *r);
/* Calls the reads back that wait. */
void fetch_wait_cancel(struct fetch *st);
/* Frees what came back. */
void fetch_wait_free(struct fetch *st);

#endif
