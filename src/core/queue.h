/* Queues: messages that wait for somebody to acknowledge them. What front ends see of them.
 *
 * A queue lives on one shard, where it orders its messages, gives them to consumers under a lease, and frees
 * them when they are acknowledged. Durable messages of durable queues are in a log of the store; the rest is
 * memory. What a queue is (name, settings, bindings) is metadata, see core/space.h.
 *
 * All operations travel as core/op.h says: complete() on the home shard, conn NULL if it has died. Errors
 * common to all: ERR_NOT_FOUND (the queue is gone), ERR_STOPPING. Deliveries come the same way as answers, so
 * that their order is that in which the queue's shard made them: no delivery overtakes the answer to the
 * consume. */
#ifndef COLOBUS_CORE_QUEUE_H
#define COLOBUS_CORE_QUEUE_H

#include "base/chunk.h"
#include "core/message.h"
#include "core/op.h"

struct queue;
struct queue_info; /* core/space.h */

/* ---- publish: a run of messages for queues of one shard ------------------------------------------------ */

/* The core's: somebody who depends on batches that go to logs. appended() comes for each when it is in the
 * journal (0) or never will be; durable() comes for each later, unless the first one failed. */
struct batch_wait {
    void (*appended)(struct batch_wait *w, int err);
    void (*durable)(struct batch_wait *w, int err);
};

struct publish_item {
    struct message msg;    /* spans lie in the operation's chunks */
    uint32_t first, count; /* its queues: op_publish.queues[first .. first + count) */
    uint64_t tag; /* the submitter's, e.g. a channel and its sequence number; of a sequence its number */
    int err;      /* out: 0; ERR_REFUSED: a queue is full and refuses (overflow); ERR_NO_SPACE; ...; the
                     worst over its queues. A queue that is gone is no error. */
};

/* complete() comes when every persistent message is durable in every durable queue, or has failed; messages
 * of one connection to one queue keep the order of submission. Items and queues grow with op_publish_add().
 */
struct op_publish {
    struct op op;
    unsigned shard;
    uint32_t count, cap;
    struct publish_item *items;
    uint32_t queue_count, queue_cap;
    uint64_t *queues; /* queue ids (queue_info.id) */
    uint32_t chunk_count, chunk_cap;
    struct chunk **chunks; /* one reference each: they keep the items' bytes alive */
    size_t bytes;          /* of all messages, for credit */
    /* the core's */
    uint64_t origin, origin_seq; /* of a move: the log it comes from, and its number there; 0: none */
    /* A tap's: messages for one durable queue, with numbers (tags) from `origin` that ascend. The queue takes
     * each once, across crashes, and none after one that it refuses (then err of all that follow is
     * ERR_REFUSED). */
    bool sequence;
    bool publishing, broken;
    uint64_t
        *batch_last; /* of a sequence: the last number in each batch joined; `pending` counts them, too */
    uint32_t joined, appended;
    struct batch_wait wait;
    struct store_wait settled; /* a move that had come before */
    uint32_t pending;
};
/* A further message; the returned item is zeroed but for `first`. Add its queues next. */
struct publish_item *op_publish_add(struct op_publish *p);
void op_publish_add_queue(struct op_publish *p, uint64_t queue_id); /* to the last item */
/* Takes a reference, unless the last chunk added is the same. */
void op_publish_keep(struct op_publish *p, struct chunk *c);
void op_publish_submit(struct op_publish *p);
void op_publish_free(struct op_publish *p);

/* ---- consumers ------------------------------------------------------------------------------------------
 */

/* One message under a lease. `lease` counts up from 1 per consumer, without gaps, so that a range of leases
 * says "all up to here". 0: it was delivered without one (no_ack). */
struct delivery {
    uint64_t lease;
    struct message msg;  /* in `chunk` */
    struct chunk *chunk; /* one reference */
    uint32_t count;      /* times it was delivered before and came back */
    bool redelivered;    /* it may have been seen before */
    bool counted;        /* the queue limits deliveries: show `count` */
};

enum consumer_event {
    CONSUMER_DELIVERIES, /* run->items */
    CONSUMER_AVAILABLE,  /* a limited consumer without credit could have something */
    CONSUMER_CANCELLED,  /* the queue is gone, and all leases with it; the consumer is no more */
    CONSUMER_ACTIVE,     /* single active consumer: it is its turn now (for who shows it) */
};

/* Something for a consumer. The front end owns the run when it comes, and frees it with delivery_run_free().
 */
struct delivery_run {
    struct op op; /* complete() is consumer_deliver below */
    enum consumer_event event;
    uint64_t user; /* op_consume.user */
    struct handle consumer;
    uint32_t count, cap;
    size_t bytes;    /* of bodies and properties: to be given back with op_window */
    uint32_t unused; /* limited consumers: credit returned, the queue has nothing more now */
    struct delivery items[];
};
void delivery_run_free(struct delivery_run *r);

/* Begins to consume. ERR_EXCLUSIVE: somebody consumes exclusively, or this one wants to and cannot.
 * Deliveries begin after complete(). */
struct op_consume {
    struct op op;
    uint64_t queue_id;
    unsigned shard;
    uint64_t user;                                   /* comes with each delivery_run */
    void (*deliver)(struct conn *c, struct op *run); /* struct delivery_run; c NULL: free it */
    bool no_ack;                                     /* a delivery is an acknowledgement */
    bool exclusive;                                  /* alone, or not at all */
    bool limited;      /* delivers only against op_credit (limits over several consumers) */
    bool get;          /* no consumer at all, but who may lease single messages with op_get: counts nowhere */
    int32_t priority;  /* higher ones first while they have credit */
    uint32_t prefetch; /* leases at a time; 0: as many as `window` allows */
    size_t window; /* bytes delivered and not given back by op_window; at least one message may exceed it */
    struct handle ret_consumer; /* how everything below names it */
};
void op_consume_submit(struct op_consume *c);

/* Ends a consumer: nothing is delivered to it any more once complete() has come; what it leased stays leased,
 * to be settled, unless `release`: then all of it goes back to the queue in its old place, and the consumer
 * is no more. Every consumer must be released in the end; a dead connection's are, each by one of these. */
struct op_cancel {
    struct op op;
    unsigned shard;
    struct handle consumer;
    bool release;
};
void op_cancel_submit(struct op_cancel *c);

enum outcome {
    OUTCOME_ACK,
    OUTCOME_REQUEUE, /* back to its place; counts as a failed delivery where deliveries are limited */
    OUTCOME_REJECT,  /* it failed for good: retried with a delay, dead-lettered or dropped, as the queue says
                      */
    OUTCOME_RELEASE, /* back to its place, and it was no delivery: redelivered is not set by it, nothing
                        counts */
};
struct settle_item {
    struct handle consumer;
    uint64_t first, last; /* leases; those settled before are skipped */
    enum outcome outcome;
};
/* Settles leases. complete() comes at once, or when all of it is durable (`durable`): then acknowledged
 * messages don't come back, whatever happens. */
struct op_settle {
    struct op op;
    unsigned shard;
    bool durable;
    uint32_t count, cap;
    struct settle_item *items;
    /* the core's */
    struct store_wait wait;
};
void op_settle_add(struct op_settle *s, const struct settle_item *item);
void op_settle_submit(struct op_settle *s);
void op_settle_free(struct op_settle *s);

/* Whether a consumer delivers against credit only can change while it runs: one that becomes limited begins
 * with the credit of this operation, one that is no longer limited forgets what it had. */
enum window_limit { WINDOW_KEEP, WINDOW_LIMIT, WINDOW_UNLIMIT };
/* Gives room back: `bytes` of deliveries were written to the client; `credit` more leases for a limited
 * consumer; `prefetch` != UINT32_MAX: its new limit. Needs no answer, but complete() comes. */
struct op_window {
    struct op op;
    unsigned shard;
    struct handle consumer;
    size_t bytes;
    uint32_t credit;
    uint32_t prefetch;
    enum window_limit limit;
};
void op_window_submit(struct op_window *w);

/* One message at once, or none. With no_ack of its consumer it is gone. */
struct op_get {
    struct op op;
    unsigned shard;
    struct handle consumer; /* of an op_consume with `get` */
    bool ret_found;
    struct delivery ret; /* if found */
    uint64_t ret_left;   /* ready messages after this one */
};
void op_get_submit(struct op_get *g);
void op_get_free(struct op_get *g); /* drops the delivery, too */

/* ---- the queue as a whole -------------------------------------------------------------------------------
 */

/* Since the queue or the broker began to live. Not durable. */
struct queue_counts {
    uint64_t published; /* came in */
    uint64_t delivered, delivered_no_ack, got, got_no_ack;
    uint64_t redelivered; /* of these four */
    uint64_t acknowledged;
};

struct queue_figures {
    uint64_t ready, unacked, bytes; /* bytes: of ready messages */
    uint64_t memory;                /* what of it is in memory: an estimate, for chunks are shared */
    uint32_t consumers;
    struct queue_counts counts;
};
/* On the queue's own shard, at once; a look that does not use the queue. False: it is gone. */
bool queue_figures(struct shard *s, uint64_t queue_id, struct queue_figures *ret);

struct op_queue_stat {
    struct op op;
    uint64_t queue_id;
    unsigned shard;
    uint64_t ret_ready, ret_unacked, ret_bytes; /* bytes: of ready messages' bodies */
    uint32_t ret_consumers;
    bool touch; /* in: it was used now (for expires) */
};
void op_queue_stat_submit(struct op_queue_stat *s);

/* Drops all ready messages; durable. They are not dead-lettered. */
struct op_purge {
    struct op op;
    uint64_t queue_id;
    unsigned shard;
    uint64_t ret_count;
    struct store_wait wait; /* the core's */
};
void op_purge_submit(struct op_purge *p);

/* ---- for shard.c and broker.c ----------------------------------------------------------------------------
 */

#define QUEUE_COMMAND_LOGS (STORE_COMMAND_LOGS + STORE_LOG_SLOTS) /* the first of STORE_LOG_SLOTS */

void queues_init(struct shard *s);
void queues_fini(struct shard *s);
/* Before the store stops: what was acknowledged goes to the journal. After that nothing is delivered any
 * more, and what waits is answered. */
void queues_save(struct shard *s);
void queues_stop(struct shard *s);
/* Phases of the turn: before the journal submit, and after durable appends were told. */
void queues_seal(struct shard *s);
void queues_dispatch(struct shard *s);
/* store_events.advanced for a log of a queue: true if it was one. */
bool queue_advanced(struct log *l);
/* Memory that messages of this shard's queues take. */
uint64_t queues_bytes(const struct shard *s);
/* Command logs QUEUE_COMMAND_LOGS + slot: at the start, before queue_recover(); and their snapshots. */
int queues_replay(struct shard *s, struct span command);
int queues_restore(struct shard *s, struct span snapshot);
void queues_snapshot(struct shard *s, unsigned slot, struct outq *out);
/* After all queues are recovered: what nobody claimed is forgotten, messages may flow. */
void queues_start(struct shard *s);

#endif
