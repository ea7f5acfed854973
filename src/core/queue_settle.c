/* Settling leases: acknowledged, back to the queue, or rejected. And taking single messages. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/op_impl.h"
#include "core/queue_impl.h"

void op_settle_add(struct op_settle *o, const struct settle_item *item)
{
    if (o->count == o->cap) {
        o->cap = o->cap ? o->cap * 2 : 8;
        o->items = mem_realloc(o->items, o->cap * sizeof(*o->items));
    }
    o->items[o->count++] = *item;
}

void op_settle_free(struct op_settle *o)
{
    if (!o)
        return;
    mem_free(o->items);
    op_free(o);
}

/* ---- retries ---------------------------------------------------------------------------------------------
 */

static bool delays(const struct queue_config *c, bool rejected)
{
    if (c->retry_min_ms < 0 && c->max_retries < 0)
        return false;
    return c->retry_type == RETRY_ALL || (c->retry_type == RETRY_REJECTED) == rejected;
}

/* Doubling from the smallest to the greatest. */
static int64_t backoff(const struct queue_config *c, uint32_t count)
{
    enum { DEFAULT_MIN_MS = 1000, DEFAULT_MAX_MS = 300000 };
    int64_t min = c->retry_min_ms >= 0 ? c->retry_min_ms : DEFAULT_MIN_MS;
    int64_t max = c->retry_max_ms >= 0 ? c->retry_max_ms : DEFAULT_MAX_MS;
    int64_t d = min;
    for (uint32_t i = 0; i < count && d < max; i++)
        d *= 2;
    return d < max ? d : max > min ? max : min;
}

/* Counts one more return, durably if that matters. */
static void count_up(struct entry *e, bool retried, int64_t due_ms)
{
    struct queue_level *l = e->level;
    e->count++;
    e->retries += retried;
    e->redelivered = true;
    if (e->offset == ENTRY_NO_OFFSET)
        return;
    const struct queue_config *c = l->queue->info->config;
    if (c->delivery_limit < 0 && c->max_retries < 0 && due_ms == 0)
        return;
    struct entry_note *n = level_note(l, e->offset, true);
    n->count = e->count;
    n->retries = e->retries;
    n->due_ms = due_ms;
    level_touch_note(l, n);
}

static void retry_later(struct entry *e, bool rejected)
{
    struct queue *q = e->level->queue;
    int64_t due = q->queues->shard->now_ms + backoff(q->info->config, rejected ? e->retries : e->count);
    count_up(e, rejected, due);
    if (e->expires_ms && e->expires_ms < due)
        due = e->expires_ms; /* its time ends while it waits: then it expires at the head */
    entry_delay(e, due);
    queue_set_timer(q);
}

void queue_requeue(struct entry *e, bool counts)
{
    struct queue *q = e->level->queue;
    const struct queue_config *c = q->info->config;
    if (!counts) {
        entry_make_ready(e);
        queue_wake(q);
        return;
    }
    if (c->delivery_limit >= 0 && e->count >= c->delivery_limit) {
        queue_bury(e, DEATH_DELIVERY_LIMIT);
        return;
    }
    if (delays(c, false)) {
        retry_later(e, false);
        return;
    }
    count_up(e, false, 0);
    entry_make_ready(e);
    queue_wake(q);
}

void queue_reject(struct entry *e)
{
    const struct queue_config *c = e->level->queue->info->config;
    if (c->max_retries >= 0) {
        if (e->retries >= c->max_retries)
            queue_bury(e, DEATH_DELIVERY_LIMIT);
        else
            retry_later(e, true);
        return;
    }
    if (c->retry_min_ms >= 0 && delays(c, true)) {
        if (c->delivery_limit >= 0 && e->count >= c->delivery_limit)
            queue_bury(e, DEATH_DELIVERY_LIMIT);
        else
            retry_later(e, true);
        return;
    }
    queue_bury(e, DEATH_REJECTED);
}

/* ---- settle ----------------------------------------------------------------------------------------------
 */

static void settle_entry(struct entry *e, enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_ACK:
        metrics_add(queue_metrics(e->level->queue), METRIC_QUEUE_ACKNOWLEDGED, 1);
        e->level->queue->counts.acknowledged++;
        entry_drop(e);
        break;
    case OUTCOME_REQUEUE:
        queue_requeue(e, true);
        break;
    case OUTCOME_REJECT:
        queue_reject(e);
        break;
    case OUTCOME_RELEASE:
        queue_requeue(e, false);
        break;
    }
}

static void settle_item(struct queues *qs, const struct settle_item *it)
{
    struct consumer *c = handle_get(&qs->consumers, it->consumer);
    if (!c)
        return;
    struct entry *e;
    for (uint64_t n = it->first; (e = leases_next(&c->leases, n, &n)) && n <= it->last;) {
        leases_take(&c->leases, n);
        c->unacked--;
        queue_unacked_add(c->queue, -1);
        settle_entry(e, it->outcome);
    }
    if (!c->get) {
        consumer_update(c);
        if (list_linked(&c->active) || c->limited)
            queue_wake(c->queue);
    }
}

static void settled(struct store_wait *w, int err)
{
    struct op_settle *o = container_of(w, struct op_settle, wait);
    o->op.err = err;
    op_return(op_owner(&o->op, o->shard), &o->op);
}

static void start_settle(struct shard *s, struct msg *m)
{
    struct op_settle *o = container_of(m, struct op_settle, op.msg);
    if (s->saving)
        o->op.err = ERR_STOPPING;
    for (uint32_t i = 0; i < o->count && !o->op.err; i++)
        settle_item(s->queues, &o->items[i]);
    if (o->durable && !o->op.err) {
        o->wait.done = settled;
        queues_barrier(s, &o->wait);
    } else {
        op_return(s, &o->op);
    }
}

void op_settle_submit(struct op_settle *o)
{
    op_send(&o->op, op_owner(&o->op, o->shard), start_settle);
}

/* ---- get -------------------------------------------------------------------------------------------------
 */

/* While the first message is being read from the disk, or written to it, whoever asks for it waits. */
struct get_wait {
    struct list link; /* in queue->gets */
    struct op_get *op;
};

static bool try_get(struct shard *s, struct op_get *g)
{
    struct consumer *c = handle_get(&s->queues->consumers, g->consumer);
    if (!c) {
        g->op.err = ERR_NOT_FOUND;
        return true;
    }
    struct queue *q = c->queue;
    if (s->saving) {
        g->op.err = ERR_STOPPING;
        return true;
    }
    q->used_ns = s->now_ns;
    queue_look_at_time(q);
    struct entry *e = queue_front(q);
    if (!e) /* what is not durable yet was published before this came */
        return q->ready == 0 && !queue_is_reading(q);
    queue_hand_out(c, e, &g->ret);
    g->ret_found = true;
    g->ret_left = q->ready;
    queue_set_timer(q);
    return true;
}

static void start_get(struct shard *s, struct msg *m)
{
    struct op_get *g = container_of(m, struct op_get, op.msg);
    if (s->saving)
        g->op.err = ERR_STOPPING;
    if (g->op.err || try_get(s, g)) {
        op_return(s, &g->op);
        return;
    }
    struct consumer *c = handle_get(&s->queues->consumers, g->consumer);
    struct get_wait *w = mem_alloc(sizeof(*w));
    w->op = g;
    list_add_tail(&c->queue->gets, &w->link);
}

void queue_retry_gets(struct queue *q)
{
    struct shard *s = q->queues->shard;
    while (!list_empty(&q->gets)) {
        struct get_wait *w = list_entry(list_first(&q->gets), struct get_wait, link);
        if (!try_get(s, w->op))
            return;
        list_del(&w->link);
        op_return(s, &w->op->op);
        mem_free(w);
    }
}

void op_get_submit(struct op_get *g)
{
    op_send(&g->op, op_owner(&g->op, g->shard), start_get);
}

void op_get_free(struct op_get *g)
{
    if (!g)
        return;
    chunk_unref(g->ret.chunk);
    op_free(g);
}
