/* Consumers: who may take messages of a queue, in which order, and how much at a time. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/op_impl.h"
#include "core/queue_impl.h"

static bool can_take(const struct consumer *c)
{
    if (c->cancelled || c->get || c->in_flight >= c->window)
        return false;
    if (c->queue->info->config->single_active && c->queue->single != c)
        return false;
    if (c->limited && c->credit == 0)
        return false;
    return c->no_ack || c->prefetch == 0 || c->unacked < c->prefetch;
}

/* Behind all that are as important. */
static void join_active(struct consumer *c)
{
    struct list *at = c->queue->active.prev;
    while (at != &c->queue->active && list_entry(at, struct consumer, active)->priority < c->priority)
        at = at->prev;
    list_insert_before(at->next, &c->active);
}

void consumer_update(struct consumer *c)
{
    bool can = can_take(c);
    if (can && !list_linked(&c->active))
        join_active(c);
    else if (!can)
        list_del(&c->active);
}

/* ---- single active consumer ------------------------------------------------------------------------------
 */

/* Of those with the highest priority the one that came first. */
static void choose_single(struct queue *q)
{
    struct consumer *best = NULL;
    if (!q->info->config->single_active || q->single)
        return;
    list_each (l, &q->consumers) {
        struct consumer *c = list_entry(l, struct consumer, link);
        if (c->get || c->cancelled)
            continue;
        if (!best || c->priority > best->priority)
            best = c;
        if (!q->prioritized)
            break;
    }
    if (!best)
        return;
    q->single = best;
    consumer_tell(best, CONSUMER_ACTIVE);
    consumer_update(best);
    queue_wake(q);
}

/* ---- consume ---------------------------------------------------------------------------------------------
 */

static int check_exclusive(const struct queue *q, const struct op_consume *o)
{
    return q->exclusive || (o->exclusive && q->consumer_count > 0) ? ERR_EXCLUSIVE : 0;
}

static struct consumer *consumer_new(struct queue *q, const struct op_consume *o)
{
    struct consumer *c = mem_zalloc(sizeof(*c));
    c->queue = q;
    c->home = o->op.home;
    c->conn = o->op.conn;
    c->user = o->user;
    c->deliver = o->deliver;
    c->no_ack = o->no_ack;
    c->exclusive = o->exclusive;
    c->limited = o->limited;
    c->get = o->get;
    c->priority = o->priority;
    c->prefetch = o->prefetch;
    c->window = o->window;
    list_init(&c->active);
    list_init(&c->run_link);
    list_add_tail(&q->consumers, &c->link);
    c->handle = handle_new(&q->queues->consumers, c);
    return c;
}

static void start_consume(struct shard *s, struct msg *m)
{
    struct op_consume *o = container_of(m, struct op_consume, op.msg);
    struct queue *q = queue_by_id(s->queues, o->queue_id);
    if (s->saving)
        o->op.err = ERR_STOPPING;
    else if (!q)
        o->op.err = ERR_NOT_FOUND;
    else if (!o->get)
        o->op.err = check_exclusive(q, o);
    if (!o->op.err) {
        struct consumer *c = consumer_new(q, o);
        o->ret_consumer = c->handle;
        q->used_ns = s->now_ns;
        if (!o->get) {
            q->consumer_count++;
            q->exclusive = o->exclusive;
            q->prioritized = q->prioritized || o->priority != 0;
            metrics_gauge_add_at(s->metrics, METRIC_QUEUE_CONSUMERS, 0, 1);
            q->limited_count += o->limited;
            choose_single(q);
            consumer_update(c);
            queue_wake(q);
        }
    }
    op_return(s, &o->op);
}

void op_consume_submit(struct op_consume *o)
{
    op_send(&o->op, op_owner(&o->op, o->shard), start_consume);
}

/* ---- cancel ----------------------------------------------------------------------------------------------
 */

static void stop_consuming(struct consumer *c)
{
    struct queue *q = c->queue;
    if (c->cancelled || c->get)
        return;
    c->cancelled = true;
    list_del(&c->active);
    assert(q->consumer_count > 0);
    q->consumer_count--;
    metrics_gauge_add_at(queue_metrics(q), METRIC_QUEUE_CONSUMERS, 0, -1);
    q->limited_count -= c->limited;
    if (c->exclusive) /* it was alone */
        q->exclusive = false;
    q->used_ns = q->queues->shard->now_ns;
    if (q->single == c) {
        q->single = NULL;
        choose_single(q);
    }
}

static void free_consumer(struct consumer *c)
{
    struct queues *qs = c->queue->queues;
    list_del(&c->link);
    list_del(&c->active);
    handle_free(&qs->consumers, c->handle);
    leases_fini(&c->leases);
    mem_free(c);
}

static void release_leases(struct consumer *c)
{
    struct entry *e;
    for (uint64_t n = 0; (e = leases_next(&c->leases, n, &n));) {
        leases_take(&c->leases, n);
        c->unacked--;
        queue_unacked_add(c->queue, -1);
        queue_requeue(e, true);
    }
}

static void start_cancel(struct shard *s, struct msg *m)
{
    struct op_cancel *o = container_of(m, struct op_cancel, op.msg);
    struct consumer *c = handle_get(&s->queues->consumers, o->consumer);
    if (c) {
        struct queue *q = c->queue;
        bool was_consumer = !c->get && !c->cancelled;
        stop_consuming(c);
        if (o->release) {
            release_leases(c);
            free_consumer(c);
        }
        queue_wake(q);
        if (was_consumer && q->consumer_count == 0 && q->info->auto_delete && !s->saving)
            space_queue_expire(s, q->info->id);
    }
    op_return(s, &o->op);
}

void op_cancel_submit(struct op_cancel *o)
{
    op_send(&o->op, op_owner(&o->op, o->shard), start_cancel);
}

static void free_leased(const struct consumer *c)
{
    struct entry *e;
    for (uint64_t n = 0; (e = leases_next(&c->leases, n, &n)); n++)
        entry_free(e);
}

void consumer_forget(struct consumer *c)
{
    free_leased(c);
    free_consumer(c);
}

/* The queue goes: whoever consumes hears of it, and all leases are void. */
void queue_cancel_all(struct queue *q)
{
    while (!list_empty(&q->consumers)) {
        struct consumer *c = list_entry(list_first(&q->consumers), struct consumer, link);
        if (!c->get && !c->cancelled)
            consumer_tell(c, CONSUMER_CANCELLED);
        consumer_forget(c);
    }
}

/* ---- window ----------------------------------------------------------------------------------------------
 */

static void set_limited(struct consumer *c, bool limited)
{
    if (c->limited != limited && !c->get && !c->cancelled) {
        c->limited = limited;
        c->queue->limited_count += limited ? 1u : -1u;
    }
    c->credit = 0;
}

static void start_window(struct shard *s, struct msg *m)
{
    struct op_window *o = container_of(m, struct op_window, op.msg);
    struct consumer *c = handle_get(&s->queues->consumers, o->consumer);
    if (c) {
        c->in_flight -= o->bytes < c->in_flight ? o->bytes : c->in_flight;
        if (o->limit != WINDOW_KEEP)
            set_limited(c, o->limit == WINDOW_LIMIT);
        if (c->limited) {
            c->credit += o->credit;
            c->told_available = false;
        }
        if (o->prefetch != UINT32_MAX)
            c->prefetch = o->prefetch;
        consumer_update(c);
        queue_wake(c->queue);
    }
    op_return(s, &o->op);
}

void op_window_submit(struct op_window *o)
{
    op_send(&o->op, op_owner(&o->op, o->shard), start_window);
}
