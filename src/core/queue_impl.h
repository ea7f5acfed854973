/* Queues from the inside, shared by the sources of queues only. */
#ifndef COLOBUS_CORE_QUEUE_IMPL_H
#define COLOBUS_CORE_QUEUE_IMPL_H

#include "core/acked.h"
#include "core/leases.h"
#include "core/metrics.h"
#include "core/queue.h"
#include "core/space.h"

enum {
    QUEUE_MAGIC = 0x51554555,
    QUEUE_LEVEL_MAGIC = 0x514c4556,
    QUEUE_LOADED_MAX =
        2048, /* messages of a level in memory; more are read from the log when it is their turn */
    QUEUE_BATCH_SMALL = 4 << 10,  /* the first batch of a turn */
    QUEUE_BATCH_BYTES = 64 << 10, /* and further ones */
    QUEUE_READ_BYTES = 64 << 10,
    QUEUE_TURN_MAX = 1024,        /* deliveries of a queue before others have their turn */
    QUEUE_RUN_MAX = 256,          /* deliveries in one run */
    QUEUE_SPARE_MAX = 16384,      /* entries kept for reuse */
    QUEUE_MOVE_MISSED_MS = 10000, /* how long later moves wait for one that failed */
    QUEUE_MOVE_RETRY_MS = 500,
    QUEUE_PERSIST_MS = 20, /* acknowledgements alone are written so much later at the most */
};

/* ---- entries --------------------------------------------------------------------------------------------
 */

#define ENTRY_NO_OFFSET UINT64_MAX

enum entry_state {
    ENTRY_READY,   /* in level->ready */
    ENTRY_LEASED,  /* in a consumer's leases */
    ENTRY_DELAYED, /* in queue->delayed: not before due_ms */
    ENTRY_MOVING,  /* on its way out, in a move */
    ENTRY_COPY,    /* in a batch: the record of `twin`, which is being copied forward */
    ENTRY_GONE,    /* settled before its batch was appended: is acknowledged then */
};

/* A message of a queue, or a gap: a run of messages that are in the log only. Invariants:
 * (1) in exactly one place, which `state` names. (2) Entries of level->ready are sorted by pos; a gap takes
 * as many positions as it has offsets. (3) record is NULL unless chunk is not (one reference). (4) A message
 * without an offset is transient, or its batch is not appended yet (`batch`), and then it is loaded. */
struct entry {
    struct list link; /* in level->ready */
    struct queue_level *level;
    uint64_t pos;
    uint64_t offset; /* in the log; ENTRY_NO_OFFSET. A gap: its first */
    struct chunk *chunk;
    const uint8_t *record;
    uint32_t len, body_len;
    uint32_t count;           /* times it was delivered and came back */
    uint32_t retries;         /* times it was rejected and delayed */
    int64_t expires_ms;       /* 0: never. A gap: the offset after its last */
    struct entry *batch_next; /* in its batch, until that is appended */
    struct entry *twin;       /* of a copy and its original, until the copy has its offset */
    uint64_t order;           /* the offset it had first, + 1, if it was copied forward; 0: it was not */
    uint8_t state;
    bool gap, batched, redelivered;
    bool fresh;      /* its TTL is 0, and it has not had its chance yet */
    uint8_t reason;  /* ENTRY_MOVING: enum death_reason */
    uint16_t finger; /* in level->fingers, + 1; 0: none */
};

static inline uint64_t gap_end(const struct entry *e)
{
    return (uint64_t)e->expires_ms;
}

/* What a delayed or retried message costs beside its entry. */
struct entry_delay {
    struct heap_node node; /* by due_ms, in queue->delayed */
    struct entry *entry;
};

/* What has to survive a restart about one message that waits, beside that it waits. */
struct entry_note {
    uint64_t offset;
    uint32_t count, retries;
    int64_t due_ms;
    uint64_t move;  /* number of the move that it is in; 0: none */
    uint64_t order; /* as in its entry */
    uint8_t reason; /* of the move: enum death_reason */
};

/* Moves that have come to a level from one log: those up to `seq`. */
struct level_source {
    uint64_t origin, seq;
    bool stale; /* to be written */
    /* A move that could not be stored, until it has come again; later ones wait for it, but not for ever: it
     * may not be meant for this queue any more. 0: none. */
    uint64_t missed, missed_until_ns;
};

/* ---- levels: one log and its deliveries -----------------------------------------------------------------
 */

/* A batch being filled, or on its way to being durable. */
struct queue_batch {
    struct queue_level *level; /* NULL: the queue is gone */
    struct chunk *chunk;
    size_t len;
    uint32_t count;
    struct entry *first, *last;
    struct batch_wait **waits; /* who hears of it */
    uint32_t wait_count, wait_cap;
    struct store_wait durable;
    struct space_wait stall;
    struct queues *queues;
    bool appended;
};

struct queue_level {
    uint32_t magic; /* log_user() of its log */
    uint8_t number; /* priority */
    struct queue *queue;
    struct log *log; /* NULL: transient, or nothing persistent has come yet */
    struct list ready;
    uint64_t next_pos;
    struct entry
        *hint; /* of `ready`, put in last: the next one that comes back is often behind it; or NULL */
    struct fingers *fingers; /* other entries of `ready` to look for a place from; NULL: none */
    uint32_t loaded;         /* entries of `ready` with a record */
    struct acked acked;
    struct queue_batch *batch; /* being filled */
    struct list batch_link;    /* in queues->batches */
    struct list persist_link;  /* in queues->persist: acknowledgements to be written */
    struct acked_range {
        uint64_t first, last;
    } * unsaved; /* acknowledged above the mark, not written yet */
    uint32_t unsaved_count, unsaved_cap;
    struct map notes; /* offset + 1 -> struct entry_note */
    uint64_t *stale;  /* offsets of notes to be written */
    uint32_t stale_count, stale_cap;
    struct map sources;      /* log id + 1 of where moves came from -> struct level_source */
    struct level_read *read; /* the read on its way */
    uint64_t move_seq;       /* of the last move begun from here */
    uint64_t recovered;      /* offsets below were there before this start */
    uint64_t compact_below;  /* what lives below this offset is being copied forward; 0: nothing is */
};

/* At the start: what the command log says of a log, until its queue is recovered. */
struct queue_fold {
    uint64_t log_id;
    struct queue_level level; /* acked, notes, sources and move_seq only */
};

/* ---- consumers -------------------------------------------------------------------------------------------
 */

struct consumer {
    struct queue *queue; /* NULL: gone, only the shell is left for who still names it */
    struct list link;    /* in queue->consumers, in the order of subscription */
    struct list active;  /* in queue->active while it can take something */
    struct handle handle;
    struct shard *home;
    struct handle conn;
    uint64_t user;
    void (*deliver)(struct conn *c, struct op *run);
    bool no_ack, exclusive, limited, get, cancelled, told_available;
    int32_t priority;
    uint32_t prefetch, credit;
    size_t window, in_flight;
    struct leases leases;
    uint32_t unacked;
    struct delivery_run *run; /* being filled */
    struct list run_link;     /* in the dispatch's list of those with a run */
};

/* ---- queues ----------------------------------------------------------------------------------------------
 */

/* Invariants: (1) ready = messages in ready lists, gaps counted in full, less what of them is acknowledged;
 * unacked = leased. (2) `active` holds exactly the consumers that may take a message now. (3) What leaves by
 * settlement, expiry, limit or purge is acknowledged exactly once (entry_drop()). */
struct queue {
    uint32_t magic;
    bool deleted;
    bool prioritized;     /* it had a consumer with a priority */
    bool exclusive;       /* it has one consumer, which is to be the only one */
    uint16_t level_count; /* max_priority + 1 */
    uint32_t fresh_count; /* messages with a TTL of 0 that have not had their chance yet */
    struct queue_info *info;
    struct queues *queues;
    struct queue_level **more; /* levels 1.., made when used; NULL without priorities */
    struct queue_level level;  /* level 0 */
    struct list run_link;      /* in queues->runnable */
    struct list consumers, active;
    uint32_t consumer_count, limited_count;
    struct consumer *single; /* the active one, if only one may be */
    /* ready and unacked are changed by queue_ready_add() and queue_unacked_add() only. */
    uint64_t ready, unacked, moving, ready_bytes;
    struct queue_counts counts;
    struct list moves, moving_list; /* struct entry: ENTRY_MOVING, not begun yet, and begun */
    uint64_t moves_retry_ns;
    struct list gets;    /* struct get_wait: for what is being read */
    struct heap delayed; /* struct entry_delay */
    struct shard_timer timer;
    uint64_t used_ns;         /* last use, for expires */
    struct exchange *forward; /* the delay queue of this exchange: what is ready is routed on */
    uint32_t refs;            /* reads and batches in flight; freed at zero */
};

/* All queues of a shard. */
struct queues {
    struct shard *shard;
    struct list runnable;                         /* queues to be looked at in this turn's dispatch */
    struct list batches;                          /* levels with a batch to be sealed */
    struct list persist;                          /* levels with acknowledgements to be written */
    struct store_wait *barriers, **barriers_tail; /* wait for what is to be persisted */
    struct handle_table consumers;
    struct chunk_pool small_pool, large_pool;
    struct chunk *transient; /* being filled with records of transient messages; one reference */
    struct entry *spare;
    uint32_t spare_count;
    struct shard_timer persist_timer;
    bool persist_now;
    uint64_t entries; /* in use */
    struct map folds; /* at start: log id -> what its command log says */
    uint64_t dice;
    struct route route;
    unsigned unborn_depth; /* messages that were refused on the way of one that was refused, and so on */
};

/* The figures of a queue, and with them the broker's. */
static inline struct metrics_shard *queue_metrics(const struct queue *q)
{
    return q->queues->shard->metrics;
}

static inline void queue_ready_add(struct queue *q, int64_t n)
{
    q->ready += (uint64_t)n;
    if (q->ready == 0) /* of what was not read yet they are estimated */
        q->ready_bytes = 0;
    if (!q->deleted) /* it was taken off all at once */
        metrics_gauge_add_at(queue_metrics(q), METRIC_QUEUE_READY, 0, n);
}

static inline void queue_unacked_add(struct queue *q, int64_t n)
{
    q->unacked += (uint64_t)n;
    if (!q->deleted)
        metrics_gauge_add_at(queue_metrics(q), METRIC_QUEUE_UNACKED, 0, n);
}

/* queue_table.c */
struct queue *queue_by_id(const struct queues *qs, uint64_t id);
/* All of them, as map_next() does it. */
struct queue *queue_next(const struct queues *qs, size_t *cursor);
struct queue_level *queue_level_of(struct queue *q, unsigned priority, bool make);
/* From the highest priority down; NULL: it has not been used. */
struct queue_level *queue_level_at(const struct queue *q, unsigned number);
void queue_wake(struct queue *q); /* look at it in this turn's dispatch, or the next's */
void queue_unref(struct queue *q);

/* queue_entry.c */
struct entry *entry_new(struct queue_level *l);
/* It is out of every list: acknowledges it if it is in the log, and frees it. */
void entry_drop(struct entry *e);
void entry_free(struct entry *e);
void fingers_free(struct fingers *f);
void entry_unload(struct entry *e); /* its record can be read again */
/* Into level->ready at its position. */
void entry_make_ready(struct entry *e);
void entry_take(struct entry *e); /* out of level->ready */
/* Not before due_ms. */
void entry_delay(struct entry *e, int64_t due_ms);
int entry_message(const struct entry *e, struct message *ret);
bool entry_visible(const struct entry *e);
/* Offsets [first, last] need not be kept: they are written as acknowledged this turn or soon. */
void level_ack(struct queue_level *l, uint64_t first, uint64_t last);
/* It is no part of a gap: it has an entry of its own from the start on. */
static inline bool note_has_place(const struct entry_note *n)
{
    return n && (n->due_ms || n->move || n->order);
}
struct entry_note *level_note(struct queue_level *l, uint64_t offset, bool make);
/* How many messages the gap counts: those that are not acknowledged and have no place of their own. */
uint64_t gap_messages(const struct queue_level *l, const struct entry *gap);

/* queue_publish.c */
/* Room for a record at the end of the level's batch, or of a new one; NULL: no memory. */
struct queue_batch *queue_batch_room(struct queue_level *l, size_t len);
void queue_batch_link(struct queue_batch *b, struct entry *e);
/* Room for a record outside of a batch, in a chunk that it shares with others of the shard (one reference in
 * *ret_chunk); NULL: no memory. */
uint8_t *queue_record_room(struct queues *qs, size_t len, struct chunk **ret_chunk);
/* Adds a message to the end of a queue. `w` (may be NULL) waits for the batch, if there is one: returns 1
 * then, 0 if nothing is to be waited for; ERR_REFUSED, ERR_NO_MEMORY, ERR_STOPPING. */
int queue_enqueue(struct queue *q, const struct message *m, struct batch_wait *w);
/* A message that does not come into the queue, in memory only; in no list. NULL: no memory. */
struct entry *queue_unborn(struct queue *q, const struct message *m);
/* queue_dispatch.c */
/* The first entry that could be delivered now, loaded; NULL: there is none, or it is being read. */
struct entry *queue_front(struct queue *q);
void queue_send_run(struct consumer *c);
struct delivery *queue_hand_out(struct consumer *c, struct entry *e, struct delivery *d);

/* queue_consumer.c */
void consumer_update(struct consumer *c); /* joins or leaves queue->active */
void consumer_tell(struct consumer *c, enum consumer_event event);
void queue_cancel_all(struct queue *q);
void consumer_forget(struct consumer *c); /* with its leases: the queue goes */

/* queue_settle.c */
void queue_requeue(struct entry *e, bool counts);
void queue_reject(struct entry *e);
void queue_retry_gets(struct queue *q);

/* queue_load.c */
bool queue_is_reading(const struct queue *q);
/* Begins to read what `e` (a gap, or a message without its record) stands for. True: it is loaded already. */
bool level_load(struct queue_level *l, struct entry *e);
/* The entry is no more: a read on its way for it is in vain. */
void level_read_forget(struct queue_level *l, const struct entry *e);

/* queue_expire.c */
bool entry_expired(const struct queue *q, const struct entry *e);
/* Messages with a TTL of 0 that could not be given out when they came: they expire. */
void queue_end_freshness(struct queue *q);
void entry_no_longer_fresh(struct entry *e);
/* What is due or expired moves on; sets the timer for what comes next. */
void queue_look_at_time(struct queue *q);
void queue_set_timer(struct queue *q);

/* queue_compact.c */
/* Few of many messages are left: begins to copy them forward, so that the rest of the log can go. */
void level_compact_maybe(struct queue_level *l);
void queue_compact(struct queue *q); /* goes on with it */
void entry_copied(struct entry *copy, uint64_t offset);

/* queue_limit.c */
/* ERR_REFUSED, or 0: one more of so many bytes may come in. */
int queue_admit(struct queue *q, const struct message *m);
/* Drops what is over the limits from the head, as far as it is loaded and visible. */
void queue_trim(struct queue *q);

/* queue_move.c */
/* The message leaves the queue: dead-lettered if the queue says so, else dropped. It is in no list. */
void queue_bury(struct entry *e, enum death_reason reason);
/* A message that was refused: dead-lettered without having been in the queue. */
void queue_bury_unborn(struct queue *q, const struct message *m);
void queue_begin_moves(struct queue *q);
/* Of a delay queue: its time has come. */
void queue_forward(struct entry *e);

/* queue_log.c */
void queues_persist(struct shard *s);
void queues_persist_later(struct queues *qs, struct queue_level *l);
/* done() when everything acknowledged so far is durable. */
void queues_barrier(struct shard *s, struct store_wait *w);
void level_touch_note(struct queue_level *l, struct entry_note *n); /* it has changed: to be written */
void level_drop_note(struct queue_level *l, uint64_t offset);
void level_came_from(struct queue_level *l, uint64_t origin, uint64_t seq);
/* It came, and could not be stored. */
void level_missed_from(struct queue_level *l, uint64_t origin, uint64_t seq);
void queue_fold_take(struct queue_level *l); /* at recovery: what the command log says of it */

void queues_folds_fini(struct queues *qs);
void level_memory_fini(
    struct queue_level *l); /* queue_table.c: acked, notes, sources and what is to be written */

#endif
