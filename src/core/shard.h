/* A shard: one event loop with its connections, logs, timers and mailbox. No shard touches another's state.
 */
#ifndef COLOBUS_CORE_SHARD_H
#define COLOBUS_CORE_SHARD_H

#include "base/chunk.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "core/config.h"
#include "core/handle.h"
#include "core/metrics.h"
#include "core/msg.h"
#include "os/os.h"
#include "store/store.h"

struct broker;
struct compressor;
struct conn;
struct shard;

/* What a front end keeps for all its connections on a shard: embedded in its own struct, and known by the
 * function that frees it. */
struct shard_keep {
    struct shard_keep *next;
    void (*free)(struct shard_keep *k); /* when the shard ends, after its connections */
};

/* The parts of the turn that connections and listeners (proto/) fill in. */
struct shard_hooks {
    void (*input)(struct shard *s);                /* feed what arrived to the front ends */
    void (*flush)(struct shard *s);                /* write what was queued */
    void (*stop)(struct shard *s);                 /* no new connections; finish the old ones */
    void (*abort)(struct shard *s);                /* end every connection at once */
    void (*tick)(struct shard *s, struct conn *c); /* a connection's deadline has come */
};

struct shard_timer {
    struct heap_node node;
    void (*fire)(struct shard *s, struct shard_timer *t);
};

/* The turn, in this order: mailboxes, input, timers, journal submit, completions, flush.
 * Completions may queue output and messages; messages to itself are run in the next turn. */
struct shard {
    struct broker *broker;
    unsigned index;
    struct os_loop *loop;
    struct store_shard *store;
    const struct config *config;
    const struct shard_hooks *hooks;

    uint64_t now_ns; /* sampled once per turn */
    int64_t now_ms;  /* wall clock, sampled once per turn */

    _Atomic(struct msg *) inbox; /* newest first; taken whole */
    struct heap timers;          /* struct shard_timer */
    struct handle_table conns;
    struct list ready, flush; /* of struct conn */
    struct heap conn_deadlines;

    struct chunk_pool input_pool, small_input_pool, output_pool, read_pool;
    struct compressor *compressor;           /* scratch of this shard */
    struct map topics_by_name, topics_by_id; /* struct topic: this shard's replica */
    struct map partitions;                   /* log id -> struct partition, those that live here */
    struct groups *groups;                   /* those that live here, of group_table.c */
    struct queues *queues;                   /* those that live here, of queue_table.c */
    struct subjects *subjects;               /* of subject_impl.h */
    struct metrics_shard *metrics;
    struct heap retention; /* partitions by when they are looked at next */
    struct shard_timer retention_timer;

    struct msg_queue done;        /* operations that came home: complete() in the completions phase */
    struct list woken;            /* struct read_park: more is durable, look again */
    struct list timed;            /* struct read_wait: reads that name no log */
    struct list watch_sets;       /* of watch.c: that look at logs of this shard */
    struct list stalled;          /* struct space_wait: appends that got ERR_AGAIN, in order */
    struct list graveyard;        /* struct topic_node: freed at the end of the turn */
    struct space_table *spaces;   /* this shard's replica, of space_table.c */
    struct record_table *records; /* the same, of meta_record.c */
    void *front;                  /* of proto/front.c */
    struct shard_keep *keeps;

    struct list alarm_listeners; /* of alarm.h */
    unsigned alarms;             /* those in force, as this shard knows them */
    uint64_t queue_bytes_told;   /* this shard's part of broker->queue_bytes */

    uint64_t log_second_ns; /* lines about peers in this second, see conn_fail() */
    unsigned log_lines;
    uint64_t trim_at_ns; /* idle memory is given back then */

    bool submitted; /* this turn's group has gone to the journal: what is appended now waits for the next turn
                     */
    bool again;     /* take another turn at once */
    bool stopping;
    bool saved;  /* the store has stopped: its background work must not begin again */
    bool saving; /* the store is being stopped: nothing new reaches it, operations end with ERR_STOPPING */
};

/* Something that waits for room in the journal. Each is retried in order; ERR_AGAIN leaves it where it is. */
struct space_wait {
    struct list link;
    /* err 0: try again, and return ERR_AGAIN to stay. Else: fail with err, the return value is ignored. */
    int (*retry)(struct shard *s, struct space_wait *w, int err);
};
/* Joins the end of the queue. */
void shard_wait_for_space(struct shard *s, struct space_wait *w);
/* True if somebody waits: who comes later must wait behind, so that order is kept. */
bool shard_is_stalled(const struct shard *s);
/* store_events.space: retries, or fails all with err. */
void shard_space(struct shard *s, int err);

/* NULL: nothing was added with this function. */
static inline struct shard_keep *shard_keep_find(const struct shard *s, void (*free)(struct shard_keep *k))
{
    struct shard_keep *k = s->keeps;
    while (k && k->free != free)
        k = k->next;
    return k;
}

static inline void shard_keep_add(struct shard *s, struct shard_keep *k)
{
    k->next = s->keeps;
    s->keeps = k;
}

static inline void shard_keeps_free(struct shard *s)
{
    struct shard_keep *k;
    while ((k = s->keeps)) {
        s->keeps = k->next;
        k->free(k);
    }
}

void shard_init(struct shard *s, struct broker *b, unsigned index);
void shard_fini(struct shard *s);
/* The turn; arg is the shard. */
void shard_turn(void *arg);
/* Something was appended to the journal: makes sure that a submit follows. */
void shard_appended(struct shard *s);

void shard_timer_set(struct shard *s, struct shard_timer *t, uint64_t deadline_mono_ns); /* moves it if set */
void shard_timer_cancel(struct shard *s, struct shard_timer *t);

#endif
