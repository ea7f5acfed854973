#include "core/shard.h"

#include <assert.h>

#include "base/compress.h"
#include "base/err.h"
#include "core/alarm.h"
#include "core/broker.h"
#include "core/conn.h"
#include "core/group.h"
#include "core/meta_record_impl.h"
#include "core/op.h"
#include "core/op_impl.h"
#include "core/partition.h"
#include "core/queue.h"
#include "core/space_impl.h"
#include "core/subject.h"
#include "core/topic_table.h"
#include "core/watch.h"

enum {
    INPUT_CHUNK_BYTES = 64 << 10,
    SMALL_CHUNK_BYTES = 4 << 10,
    OUTPUT_CHUNK_BYTES = 16 << 10,
    READ_CHUNK_BYTES = 64 << 10,
    POOL_KEEP = 64,
    INPUT_KEEP_LARGE = 8 << 20, /* a few producers' requests: what is reused is not faulted in again */
    TRIM_INTERVAL_MS = 1000,
};

/* ---- timers ------------------------------------------------------------------------------------------- */

void shard_timer_set(struct shard *s, struct shard_timer *t, uint64_t deadline_mono_ns)
{
    heap_remove(&s->timers, &t->node);
    heap_push(&s->timers, &t->node, deadline_mono_ns);
}

void shard_timer_cancel(struct shard *s, struct shard_timer *t)
{
    heap_remove(&s->timers, &t->node);
}

static uint64_t next_tick(const struct shard *s)
{
    return s->saved ? UINT64_MAX : store_shard_next_tick(s->store);
}

static void fire_timers(struct shard *s)
{
    struct heap_node *n;
    while ((n = heap_first(&s->timers)) && n->key <= s->now_ns) {
        struct shard_timer *t = container_of(n, struct shard_timer, node);
        heap_remove(&s->timers, n);
        t->fire(s, t); /* may set itself again, later than now */
    }
    while ((n = heap_first(&s->conn_deadlines)) && n->key <= s->now_ns) {
        struct conn *c = container_of(n, struct conn, deadline);
        assert(c->magic == CONN_MAGIC);
        heap_remove(&s->conn_deadlines, n);
        if (s->hooks && s->hooks->tick)
            s->hooks->tick(s, c);
    }
    if (next_tick(s) <= s->now_ns)
        store_shard_tick(s->store, s->now_ns);
}

static uint64_t earlier(uint64_t at, const struct heap *h)
{
    struct heap_node *n = heap_first(h);
    return n && n->key < at ? n->key : at;
}

/* Memory that nobody needs must not wait for the next event. */
static bool keeps_memory(const struct shard *s)
{
    return chunk_pool_keeps(&s->input_pool) || chunk_pool_keeps(&s->small_input_pool) ||
           chunk_pool_keeps(&s->output_pool) || chunk_pool_keeps(&s->read_pool) ||
           store_shard_keeps_memory(s->store);
}

static void set_alarm(struct shard *s)
{
    uint64_t at = earlier(earlier(next_tick(s), &s->timers), &s->conn_deadlines);
    if (s->trim_at_ns < at && keeps_memory(s))
        at = s->trim_at_ns;
    os_loop_timer(s->loop, at);
}

/* ---- room in the journal ------------------------------------------------------------------------------ */

void shard_wait_for_space(struct shard *s, struct space_wait *w)
{
    list_add_tail(&s->stalled, &w->link);
}

bool shard_is_stalled(const struct shard *s)
{
    return !list_empty(&s->stalled);
}

void shard_space(struct shard *s, int err)
{
    struct list *l;
    while ((l = list_first(&s->stalled))) {
        struct space_wait *w = list_entry(l, struct space_wait, link);
        list_del(&w->link);
        if (w->retry(s, w, err) == ERR_AGAIN && !err) {
            list_add_head(&s->stalled, &w->link);
            return;
        }
    }
}

void shard_appended(struct shard *s)
{
    if (s->submitted)
        s->again = true;
}

/* ---- the turn ----------------------------------------------------------------------------------------- */

static void completions(struct shard *s)
{
    store_shard_complete(s->store);
    read_serve_woken(s);
    queues_dispatch(s);
    alarm_look(s, queues_bytes(s));
    struct msg_queue now =
        s->done; /* what completes from here on is for the next turn: the turn is bounded */
    s->done = (struct msg_queue){0};
    struct msg *m;
    while ((m = msg_pop(&now))) {
        struct op *op = container_of(m, struct op, msg);
        op->complete(handle_get(&s->conns, op->conn), op);
    }
}

static void trim(struct shard *s)
{
    chunk_pool_trim(&s->input_pool);
    chunk_pool_trim(&s->small_input_pool);
    subjects_trim(s);
    chunk_pool_trim(&s->output_pool);
    chunk_pool_trim(&s->read_pool);
    store_shard_trim(s->store);
    compressor_trim(s->compressor);
    s->trim_at_ns = s->now_ns + TRIM_INTERVAL_MS * 1000000ull;
}

static void sample_time(struct shard *s)
{
    s->now_ns = os_mono_ns();
    s->now_ms = os_wall_ms();
}

/* Left over from late phases, or by bounds on the work of one turn. */
static bool has_work(const struct shard *s)
{
    return s->done.head || !list_empty(&s->woken) || !list_empty(&s->ready) || !list_empty(&s->flush);
}

void shard_turn(void *arg)
{
    struct shard *s = arg;
    sample_time(s);
    s->submitted = s->again = false;
    metrics_add(s->metrics, METRIC_TURNS, 1);
    metrics_add(s->metrics, METRIC_MESSAGES, msg_run_inbox(s));
    if (s->hooks)
        s->hooks->input(s);
    fire_timers(s);
    queues_seal(s);
    store_shard_submit(s->store);
    s->submitted = true;
    completions(s);
    subjects_send(s);
    if (s->hooks)
        s->hooks->flush(s);
    topic_table_bury(s);
    space_bury(s);
    records_bury(s);
    if (s->now_ns >= s->trim_at_ns)
        trim(s);
    broker_turn_ended(s);
    if (s->again || has_work(s))
        os_loop_wake(s->loop);
    set_alarm(s);
    metrics_observe(s->metrics, METRIC_TURN_TIME, (os_mono_ns() - s->now_ns) / 1000);
}

/* ---- life --------------------------------------------------------------------------------------------- */

static void init_pools(struct shard *s)
{
    chunk_pool_init(&s->input_pool, "input", INPUT_CHUNK_BYTES, POOL_KEEP);
    s->input_pool.keep_large = INPUT_KEEP_LARGE;
    chunk_pool_init(&s->small_input_pool, "small-input", SMALL_CHUNK_BYTES, POOL_KEEP);
    chunk_pool_init(&s->output_pool, "output", OUTPUT_CHUNK_BYTES, POOL_KEEP);
    chunk_pool_init(&s->read_pool, "read", READ_CHUNK_BYTES, POOL_KEEP);
}

void shard_init(struct shard *s, struct broker *b, unsigned index)
{
    *s = (struct shard){.broker = b, .index = index, .config = b->config, .hooks = b->hooks};
    heap_init(&s->timers);
    heap_init(&s->conn_deadlines);
    handle_table_init(&s->conns, (uint16_t)index);
    list_init(&s->ready);
    list_init(&s->flush);
    list_init(&s->woken);
    list_init(&s->timed);
    list_init(&s->watch_sets);
    list_init(&s->stalled);
    list_init(&s->graveyard);
    list_init(&s->alarm_listeners);
    init_pools(s);
    map_init(&s->topics_by_name);
    map_init(&s->topics_by_id);
    map_init(&s->partitions);
    s->compressor = compressor_new();
    s->metrics = metrics_shard_new(b->metrics);
    s->loop = os_loop_new(shard_turn, s);
    sample_time(s);
    groups_init(s);
    records_init(s);
    space_init(s);
    queues_init(s);
    subjects_init(s);
    retention_init(s);
}

void shard_fini(struct shard *s)
{
    shard_keeps_free(s);
    watch_fini(s);
    groups_fini(s);
    queues_fini(s);
    topic_table_fini(s);
    space_fini(s);
    subjects_fini(s);
    records_fini(s);
    partition_table_fini(s);
    map_fini(&s->topics_by_name);
    map_fini(&s->topics_by_id);
    map_fini(&s->partitions);
    handle_table_fini(&s->conns);
    heap_fini(&s->retention);
    heap_fini(&s->timers);
    heap_fini(&s->conn_deadlines);
    compressor_free(s->compressor);
    chunk_pool_fini(&s->input_pool);
    chunk_pool_fini(&s->small_input_pool);
    chunk_pool_fini(&s->output_pool);
    chunk_pool_fini(&s->read_pool);
    os_loop_free(s->loop);
}
