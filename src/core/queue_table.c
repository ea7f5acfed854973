/* The queues of a shard: making, recovering, deleting and finding them. */
#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "core/broker.h"
#include "core/op_impl.h"
#include "core/queue_impl.h"
#include "core/topic_post.h"

enum { POOL_KEEP = 32 };

/* ---- levels ----------------------------------------------------------------------------------------------
 */

static void level_init(struct queue_level *l, struct queue *q, unsigned number)
{
    *l = (struct queue_level){.magic = QUEUE_LEVEL_MAGIC, .number = (uint8_t)number, .queue = q};
    list_init(&l->ready);
    list_init(&l->batch_link);
    list_init(&l->persist_link);
    acked_init(&l->acked, 0);
    map_init(&l->notes);
    map_init(&l->sources);
}

void level_memory_fini(struct queue_level *l)
{
    void *p;
    acked_fini(&l->acked);
    for (size_t i = 0; (p = map_next(&l->notes, &i));)
        mem_free(p);
    map_fini(&l->notes);
    for (size_t i = 0; (p = map_next(&l->sources, &i));)
        mem_free(p);
    map_fini(&l->sources);
    fingers_free(l->fingers);
    l->fingers = NULL;
    mem_free(l->unsaved);
    mem_free(l->stale);
    l->unsaved = NULL;
    l->stale = NULL;
    l->unsaved_count = l->unsaved_cap = l->stale_count = l->stale_cap = 0;
}

struct queue_level *queue_level_at(const struct queue *q, unsigned number)
{
    if (number == 0)
        return (struct queue_level *)&q->level;
    return q->more ? q->more[number - 1] : NULL;
}

static void log_settings(const struct shard *s, struct log_config *ret)
{
    const struct config *c = s->config;
    *ret = (struct log_config){
        .durability = c->durability == 0 ? LOG_FSYNC : LOG_OS,
        .segment_bytes = c->queue_segment_bytes,
        .index_interval_bytes = (uint32_t)c->segment_index_interval_bytes,
        .producer_expiry_ms = -1,
        .retention_ms = -1,
        .retention_bytes = -1,
    };
}

static void make_log(struct queue_level *l)
{
    struct shard *s = l->queue->queues->shard;
    struct log_config cfg;
    log_settings(s, &cfg);
    l->log = store_log_new(s->store, queue_log_id(l->queue->info->id, l->number), &cfg);
    log_set_user(l->log, l);
}

struct queue_level *queue_level_of(struct queue *q, unsigned priority, bool make)
{
    unsigned n = priority < q->level_count ? priority : q->level_count - 1u;
    if (n > 0 && !q->more)
        q->more = mem_zalloc((q->level_count - 1u) * sizeof(struct queue_level *));
    if (n > 0 && !q->more[n - 1]) {
        q->more[n - 1] = mem_alloc(sizeof(struct queue_level));
        level_init(q->more[n - 1], q, n);
    }
    struct queue_level *l = queue_level_at(q, n);
    if (make && q->info->durable && !l->log)
        make_log(l);
    return l;
}

/* ---- queues ----------------------------------------------------------------------------------------------
 */

struct queue *queue_by_id(const struct queues *qs, uint64_t id)
{
    struct queue_info *info = queue_info_by_id(qs->shard, id);
    return info ? info->live : NULL;
}

struct queue *queue_next(const struct queues *qs, size_t *cursor)
{
    struct queue_info *info;
    while ((info = queue_info_next(qs->shard, cursor)))
        if (info->live)
            return info->live;
    return NULL;
}

static struct queue *queue_new(struct shard *s, struct queue_info *info)
{
    struct queue *q = mem_zalloc(sizeof(*q));
    q->magic = QUEUE_MAGIC;
    q->info = info;
    q->queues = s->queues;
    q->level_count = (uint16_t)(info->config->max_priority + 1);
    q->refs = 1;
    q->forward = info->delays;
    q->used_ns = s->now_ns;
    list_init(&q->run_link);
    list_init(&q->consumers);
    list_init(&q->active);
    list_init(&q->moves);
    list_init(&q->moving_list);
    list_init(&q->gets);
    heap_init(&q->delayed);
    level_init(&q->level, q, 0);
    info->live = q;
    metrics_gauge_add_at(s->metrics, METRIC_QUEUES, 0, !info->delays);
    return q;
}

void queue_created(struct shard *s, struct queue_info *info)
{
    struct queue *q = queue_new(s, info);
    if (info->durable)
        make_log(&q->level);
    queue_set_timer(q);
}

static void free_entries(struct queue_level *l)
{
    while (!list_empty(&l->ready)) {
        struct entry *e = list_entry(list_first(&l->ready), struct entry, link);
        list_del(&e->link);
        if (!e->batched) /* else its batch does it */
            entry_free(e);
    }
}

static void level_close(struct queue_level *l)
{
    free_entries(l);
    list_del(&l->persist_link);
    l->read = NULL; /* what is on its way finds the queue deleted */
    if (l->log) {
        log_set_user(l->log, NULL);
        store_log_delete(l->log);
        l->log = NULL;
    }
}

static void free_delayed(struct queue *q)
{
    struct heap_node *n;
    while ((n = heap_first(&q->delayed))) {
        struct entry_delay *d = container_of(n, struct entry_delay, node);
        heap_remove(&q->delayed, n);
        if (!d->entry->batched)
            entry_free(d->entry);
        mem_free(d);
    }
}

static void free_list(struct list *entries)
{
    while (!list_empty(entries)) {
        struct entry *e = list_entry(list_first(entries), struct entry, link);
        list_del(&e->link);
        if (!e->batched)
            entry_free(e);
    }
}

/* The broker's figures are without it from now on. */
static void uncount(struct shard *s, const struct queue *q)
{
    metrics_gauge_add_at(s->metrics, METRIC_QUEUES, 0, -!q->forward);
    metrics_gauge_add_at(s->metrics, METRIC_QUEUE_CONSUMERS, 0, -(int64_t)q->consumer_count);
    metrics_gauge_add_at(s->metrics, METRIC_QUEUE_READY, 0, -(int64_t)q->ready);
    metrics_gauge_add_at(s->metrics, METRIC_QUEUE_UNACKED, 0, -(int64_t)q->unacked);
}

void queue_deleted(struct shard *s, struct queue_info *info)
{
    struct queue *q = info->live;
    assert(q && q->magic == QUEUE_MAGIC && !q->deleted);
    queue_cancel_all(q);
    uncount(s, q);
    q->deleted = true;
    list_del(&q->run_link);
    list_del(&q->active);
    shard_timer_cancel(s, &q->timer);
    queue_retry_gets(q); /* they find their consumer gone */
    free_delayed(q);
    free_list(&q->moves);
    list_each (it, &q->moving_list) /* they end by themselves, perhaps after the store does */
        entry_unload(list_entry(it, struct entry, link));
    for (unsigned n = 0; n < q->level_count; n++)
        if (queue_level_at(q, n))
            level_close(queue_level_at(q, n));
    info->live = NULL;
    q->info = NULL;
    queue_unref(q);
}

void queue_unref(struct queue *q)
{
    assert(q->magic == QUEUE_MAGIC && q->refs > 0);
    if (--q->refs > 0)
        return;
    for (unsigned n = 0; n < q->level_count; n++) {
        struct queue_level *l = queue_level_at(q, n);
        if (!l)
            continue;
        level_memory_fini(l);
        if (n > 0)
            mem_free(l);
    }
    mem_free(q->more);
    heap_fini(&q->delayed);
    q->magic = 0;
    mem_free(q);
}

void queue_config_changed(struct shard *s, struct queue_info *info)
{
    (void)s;
    if (!info->live)
        return;
    struct queue *q = info->live;
    list_each (l, &q->consumers)
        consumer_update(list_entry(l, struct consumer, link));
    queue_wake(q);
}

bool queue_advanced(struct log *l)
{
    struct queue_level *level = log_user(l);
    if (!level || level->magic != QUEUE_LEVEL_MAGIC)
        return false;
    queue_wake(level->queue);
    return true;
}

/* ---- recovery --------------------------------------------------------------------------------------------
 */

static void recover_gap(struct queue_level *l)
{
    struct queue *q = l->queue;
    uint64_t from = l->acked.low, to = log_next(l->log);
    l->recovered = l->next_pos = to;
    if (from >= to)
        return;
    struct entry *e = entry_new(l);
    e->gap = true;
    e->offset = e->pos = from;
    e->expires_ms = (int64_t)to;
    list_add_tail(&l->ready, &e->link);
    queue_ready_add(q, (int64_t)(to - from - acked_count(&l->acked, from, to)));
    uint64_t all = to - log_start(l->log);
    if (q->ready == 0)
        return;
    q->ready_bytes += all ? (uint64_t)((double)log_bytes(l->log) * (double)(to - from) / (double)all) : 0;
}

static int by_move(const void *a, const void *b)
{
    const struct entry_note *x = *(struct entry_note *const *)a, *y = *(struct entry_note *const *)b;
    return (x->move > y->move) - (x->move < y->move);
}

/* Messages with a place of their own: delayed, or in a move that was announced. */
static void recover_notes(struct queue_level *l)
{
    struct queue *q = l->queue;
    struct entry_note **all = mem_alloc((l->notes.count + 1) * sizeof(struct entry_note *)), *n;
    size_t count = 0;
    for (size_t i = 0; (n = map_next(&l->notes, &i));)
        if (n->offset >= l->acked.low && !acked_has(&l->acked, n->offset) && n->offset < log_next(l->log) &&
            note_has_place(n))
            all[count++] = n;
    qsort(all, count, sizeof(struct entry_note *), by_move);
    for (size_t i = 0; i < count; i++) {
        struct entry *e = entry_new(l);
        e->offset = e->pos = all[i]->offset;
        e->order = all[i]->order;
        if (e->order)
            e->pos = e->order - 1;
        e->count = all[i]->count;
        e->retries = all[i]->retries;
        e->redelivered = true;
        queue_ready_add(q, q->ready > 0 ? -1 : 0);
        if (all[i]->move) {
            e->state = ENTRY_MOVING;
            e->reason = all[i]->reason;
            list_add_tail(&q->moves, &e->link);
        } else if (all[i]->due_ms) {
            entry_delay(e, all[i]->due_ms);
        } else {
            entry_make_ready(e);
        }
    }
    mem_free(all);
}

int queue_recover(struct shard *s, struct queue_info *info)
{
    struct queue *q = queue_new(s, info);
    struct log_config cfg;
    log_settings(s, &cfg);
    for (unsigned n = 0; n < q->level_count; n++) {
        struct queue_level *l = queue_level_of(q, n, false);
        int err = store_recover_log(s->broker->store, queue_log_id(info->id, n), &cfg, &l->log);
        if (err)
            return err;
        if (log_damaged(l->log)) {
            s->broker->damaged_logs++;
            say_error("broker", "a queue's log is damaged and set aside", "queue=%.*s log=%llu",
                      SPAN_ARG(info->dest.name), (unsigned long long)log_id(l->log));
            continue;
        }
        log_set_user(l->log, l);
        queue_fold_take(l);
        recover_gap(l);
        recover_notes(l);
    }
    queue_wake(q);
    return 0;
}

void queues_start(struct shard *s)
{
    queues_folds_fini(s->queues);
}

/* ---- questions, and dropping everything ------------------------------------------------------------------
 */

/* What is loaded; records lie in chunks that others may share. */
static uint64_t memory_of(const struct queue *q)
{
    uint64_t bytes = sizeof(*q) + q->unacked * sizeof(struct entry),
             mean = q->ready ? q->ready_bytes / q->ready : 0;
    for (unsigned n = 0; n < q->level_count; n++) {
        const struct queue_level *l = queue_level_at(q, n);
        if (l)
            bytes += sizeof(*l) + l->loaded * (mean + sizeof(struct entry));
    }
    return bytes;
}

/* Of a stream: what can be read. Nobody consumes it, readers come and go. */
static bool stream_figures(struct shard *s, uint64_t queue_id, struct queue_figures *ret)
{
    const struct queue_info *q = queue_info_by_id(s, queue_id);
    struct topic *t;
    uint32_t n;
    if (!q || q->type != QUEUE_STREAM || !topic_of_stream(s, q->dest.name, &t, &n))
        return false;
    const struct partition *p = partition_find(s, t->partitions[n].log_id);
    if (!p)
        return false;
    *ret =
        (struct queue_figures){.ready = log_durable(p->log) - log_start(p->log), .bytes = log_bytes(p->log)};
    return true;
}

bool queue_figures(struct shard *s, uint64_t queue_id, struct queue_figures *ret)
{
    struct queue *q = queue_by_id(s->queues, queue_id);
    if (!q)
        return stream_figures(s, queue_id, ret);
    queue_look_at_time(q);
    *ret = (struct queue_figures){.ready = q->ready,
                                  .unacked = q->unacked,
                                  .bytes = q->ready_bytes,
                                  .memory = memory_of(q),
                                  .consumers = q->consumer_count,
                                  .counts = q->counts};
    return true;
}

static void start_stat(struct shard *s, struct msg *m)
{
    struct op_queue_stat *o = container_of(m, struct op_queue_stat, op.msg);
    struct queue *q = queue_by_id(s->queues, o->queue_id);
    struct queue_figures f = {0};
    if (q && o->touch)
        q->used_ns = s->now_ns;
    o->op.err = queue_figures(s, o->queue_id, &f) ? 0 : ERR_NOT_FOUND;
    o->ret_ready = f.ready;
    o->ret_unacked = f.unacked;
    o->ret_bytes = f.bytes;
    o->ret_consumers = f.consumers;
    op_return(s, &o->op);
}

void op_queue_stat_submit(struct op_queue_stat *o)
{
    op_send(&o->op, op_owner(&o->op, o->shard), start_stat);
}

static void purge_gap(struct queue_level *l, struct entry *gap)
{
    struct queue *q = l->queue;
    uint64_t n = gap_messages(l, gap);
    /* What has a place of its own stays: acknowledge around it. */
    uint64_t from = gap->offset;
    for (uint64_t o = gap->offset; o <= gap_end(gap); o++) {
        const struct entry_note *note = l->notes.count && o < gap_end(gap) ? level_note(l, o, false) : NULL;
        if (o < gap_end(gap) && !note_has_place(note)) {
            if (!l->notes.count)
                o = gap_end(gap) - 1;
            continue;
        }
        if (o > from)
            level_ack(l, from, o - 1);
        from = o + 1;
    }
    queue_ready_add(q, -(int64_t)(n < q->ready ? n : q->ready));
    list_del(&gap->link);
    entry_free(gap);
}

static void purge_level(struct queue_level *l)
{
    while (!list_empty(&l->ready)) {
        struct entry *e = list_entry(list_first(&l->ready), struct entry, link);
        if (e->gap) {
            purge_gap(l, e);
        } else {
            entry_take(e);
            entry_drop(e);
        }
    }
}

static void purged(struct store_wait *w, int err)
{
    struct op_purge *o = container_of(w, struct op_purge, wait);
    o->op.err = err;
    op_return(op_owner(&o->op, o->shard), &o->op);
}

static void start_purge(struct shard *s, struct msg *m)
{
    struct op_purge *o = container_of(m, struct op_purge, op.msg);
    struct queue *q = s->saving ? NULL : queue_by_id(s->queues, o->queue_id);
    if (!q) {
        o->op.err = s->saving ? ERR_STOPPING : ERR_NOT_FOUND;
        op_return(s, &o->op);
        return;
    }
    o->ret_count = q->ready;
    for (unsigned n = 0; n < q->level_count; n++)
        if (queue_level_at(q, n))
            purge_level(queue_level_at(q, n));
    q->ready_bytes = 0;
    queue_set_timer(q);
    queue_wake(q); /* for gets that wait */
    o->wait.done = purged;
    queues_barrier(s, &o->wait);
}

void op_purge_submit(struct op_purge *o)
{
    op_send(&o->op, op_owner(&o->op, o->shard), start_purge);
}

uint64_t queues_bytes(const struct shard *s)
{
    const struct queues *qs = s->queues;
    return atomic_load_explicit(&qs->small_pool.used_bytes, memory_order_relaxed) +
           atomic_load_explicit(&qs->large_pool.used_bytes, memory_order_relaxed) +
           qs->entries * sizeof(struct entry);
}

/* ---- life ------------------------------------------------------------------------------------------------
 */

void queues_init(struct shard *s)
{
    struct queues *qs = mem_zalloc(sizeof(*qs));
    qs->shard = s;
    map_init(&qs->folds);
    list_init(&qs->runnable);
    list_init(&qs->batches);
    list_init(&qs->persist);
    qs->barriers_tail = &qs->barriers;
    handle_table_init(&qs->consumers, (uint16_t)s->index);
    chunk_pool_init(&qs->small_pool, "queue-small", QUEUE_BATCH_SMALL, POOL_KEEP);
    chunk_pool_init(&qs->large_pool, "queue", QUEUE_BATCH_BYTES, POOL_KEEP);
    route_init(&qs->route);
    os_random(&qs->dice, sizeof(qs->dice));
    s->queues = qs;
}

/* The store wants all its memory back before it closes. */
static void unload_all(struct queue *q)
{
    for (unsigned n = 0; n < q->level_count; n++) {
        struct queue_level *l = queue_level_at(q, n);
        if (!l)
            continue;
        list_each (it, &l->ready)
            entry_unload(list_entry(it, struct entry, link));
    }
    list_each (it, &q->moves)
        entry_unload(list_entry(it, struct entry, link));
    list_each (it, &q->moving_list)
        entry_unload(list_entry(it, struct entry, link));
    for (size_t i = 0; i < q->delayed.count; i++) /* to be copied forward */
        entry_unload(container_of(q->delayed.nodes[i], struct entry_delay, node)->entry);
    list_each (it, &q->consumers) {
        struct consumer *c = list_entry(it, struct consumer, link);
        struct entry *e;
        for (uint64_t n = 0; (e = leases_next(&c->leases, n, &n)); n++)
            entry_unload(e);
    }
}

void queues_stop(struct shard *s)
{
    struct queues *qs = s->queues;
    struct queue *q;
    for (size_t i = 0; (q = queue_next(qs, &i));) {
        queue_retry_gets(q);
        unload_all(q);
    }
    for (struct store_wait *w = qs->barriers, *next; w; w = next) {
        next = w->next;
        w->done(w, ERR_STOPPING);
    }
    qs->barriers = NULL;
    qs->barriers_tail = &qs->barriers;
}

/* The store is closed: memory only. */
static void forget_queue(struct queue *q)
{
    while (!list_empty(&q->consumers))
        consumer_forget(list_entry(list_first(&q->consumers), struct consumer, link));
    free_delayed(q);
    free_list(&q->moves);
    free_list(&q->moving_list);
    for (unsigned n = 0; n < q->level_count; n++) {
        struct queue_level *l = queue_level_at(q, n);
        if (l)
            free_entries(l);
    }
    q->refs = 1; /* batches and reads that were never answered went with the store */
    queue_unref(q);
}

void queues_fini(struct shard *s)
{
    struct queues *qs = s->queues;
    struct entry *e;
    struct queue *q;
    for (size_t i = 0; (q = queue_next(qs, &i));)
        forget_queue(q);
    queues_folds_fini(qs);
    handle_table_fini(&qs->consumers);
    while ((e = qs->spare)) {
        qs->spare = e->batch_next;
        mem_free(e);
    }
    chunk_unref(qs->transient);
    route_fini(&qs->route);
    chunk_pool_fini(&qs->small_pool);
    chunk_pool_fini(&qs->large_pool);
    mem_free(qs);
    s->queues = NULL;
}
