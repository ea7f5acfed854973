/* Giving messages to consumers: once in a turn, for the queues where something has changed. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/op_impl.h"
#include "core/queue_impl.h"

/* ---- runs ------------------------------------------------------------------------------------------------
 */

void delivery_run_free(struct delivery_run *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->count; i++)
        chunk_unref(r->items[i].chunk);
    mem_free(r);
}

static struct delivery_run *run_new(struct consumer *c, enum consumer_event event, uint32_t cap)
{
    struct delivery_run *r = mem_zalloc(sizeof(*r) + cap * sizeof(r->items[0]));
    r->op.home = c->home;
    r->op.conn = c->conn;
    r->op.complete = c->deliver;
    r->event = event;
    r->user = c->user;
    r->consumer = c->handle;
    r->cap = cap;
    return r;
}

void queue_send_run(struct consumer *c)
{
    struct delivery_run *r = c->run;
    c->run = NULL;
    list_del(&c->run_link);
    op_return(c->queue->queues->shard, &r->op);
}

void consumer_tell(struct consumer *c, enum consumer_event event)
{
    struct delivery_run *r = run_new(c, event, 0);
    op_return(c->queue->queues->shard, &r->op);
}

static struct delivery *run_room(struct consumer *c)
{
    enum { FIRST = 8 };
    struct delivery_run *r = c->run;
    if (!r)
        r = run_new(c, CONSUMER_DELIVERIES, FIRST);
    if (r->count == r->cap) {
        r->cap *= 2;
        r = mem_realloc(r, sizeof(*r) + r->cap * sizeof(r->items[0]));
    }
    c->run = r;
    return &r->items[r->count++];
}

/* ---- one message -----------------------------------------------------------------------------------------
 */

static uint64_t lease(struct consumer *c, struct entry *e)
{
    c->unacked++;
    queue_unacked_add(c->queue, 1);
    e->state = ENTRY_LEASED;
    return leases_add(&c->leases, e);
}

static void count_out(const struct consumer *c, const struct entry *e)
{
    struct queue_counts *n = &c->queue->counts;
    uint64_t *which = c->get      ? (c->no_ack ? &n->got_no_ack : &n->got)
                      : c->no_ack ? &n->delivered_no_ack
                                  : &n->delivered;
    ++*which;
    n->redelivered += e->redelivered;
    metrics_add(queue_metrics(c->queue), c->no_ack ? METRIC_QUEUE_DELIVERED_NO_ACK : METRIC_QUEUE_DELIVERED,
                1);
    if (e->redelivered)
        metrics_add(queue_metrics(c->queue), METRIC_QUEUE_REDELIVERED, 1);
}

struct delivery *queue_hand_out(struct consumer *c, struct entry *e, struct delivery *d)
{
    bool counted = c->queue->info->config->delivery_limit >= 0;
    entry_take(e);
    count_out(c, e);
    *d = (struct delivery){
        .count = e->count, .redelivered = e->redelivered, .counted = counted, .chunk = e->chunk};
    if (entry_message(e, &d->msg)) /* it was checked when it was read */
        assert(!"a record in memory is damaged");
    if (e->offset != ENTRY_NO_OFFSET || c->no_ack) { /* the reference goes along: it can be read again */
        e->chunk = NULL;
        e->record = NULL;
    } else {
        chunk_ref(e->chunk);
    }
    if (c->no_ack)
        entry_drop(e);
    else
        d->lease = lease(c, e);
    return d;
}

static void deliver(struct consumer *c, struct entry *e, struct list *running)
{
    struct delivery *d = queue_hand_out(c, e, run_room(c));
    size_t bytes = d->msg.body.len + d->msg.props.len + d->msg.key.len + d->msg.exchange.len;
    c->run->bytes += bytes;
    c->in_flight += bytes;
    if (c->limited)
        c->credit--;
    if (!list_linked(&c->run_link))
        list_add_tail(running, &c->run_link);
    if (c->run->count == QUEUE_RUN_MAX)
        queue_send_run(c);
    /* The next one has its turn: behind all others of its priority. */
    list_del(&c->active);
    consumer_update(c);
}

/* ---- a queue ---------------------------------------------------------------------------------------------
 */

static struct entry *level_front(struct queue_level *l, bool *ret_blocked)
{
    struct list *first;
    while ((first = list_first(&l->ready))) {
        struct entry *e = list_entry(first, struct entry, link);
        if (e->gap ? e->offset >= log_durable(l->log) : !entry_visible(e))
            return NULL;
        if (!e->record && !level_load(l, e)) {
            *ret_blocked = true;
            return NULL;
        }
        if (list_first(&l->ready) != first || e->gap)
            continue; /* what it stood for is there now */
        if (!entry_expired(l->queue, e))
            return e;
        entry_take(e);
        queue_bury(e, DEATH_EXPIRED);
    }
    return NULL;
}

struct entry *queue_front(struct queue *q)
{
    bool blocked = false;
    for (unsigned n = q->level_count; n-- > 0 && !blocked;) {
        struct queue_level *l = queue_level_at(q, n);
        struct entry *e = l ? level_front(l, &blocked) : NULL;
        if (e)
            return e;
    }
    return NULL;
}

/* Those that may not take what is there without being told first; and credit that has found nothing. */
static void tell_limited(struct queue *q, struct list *running)
{
    list_each (l, &q->consumers) {
        struct consumer *c = list_entry(l, struct consumer, link);
        if (!c->limited || c->get || c->cancelled)
            continue;
        /* Its own prefetch, or another one that is active, may leave it no use for credit that others could
         * use. */
        bool room = (c->no_ack || c->prefetch == 0 || c->unacked < c->prefetch) &&
                    (!q->info->config->single_active || q->single == c);
        if (c->credit == 0 && room && !c->told_available && queue_front(q)) {
            c->told_available = true;
            consumer_tell(c, CONSUMER_AVAILABLE);
        } else if (c->credit > 0 && (!room || !queue_front(q))) {
            if (!c->run)
                c->run = run_new(c, CONSUMER_DELIVERIES, 1);
            if (!list_linked(&c->run_link))
                list_add_tail(running, &c->run_link);
            c->run->unused = c->credit;
            c->credit = 0;
            consumer_update(c);
        }
    }
}

/* What a consumer can take at once is never in excess, nor too late: both end when nobody wants more. */
static void end_chances(struct queue *q)
{
    queue_trim(q);
    if (q->fresh_count > 0)
        queue_end_freshness(q);
}

static void dispatch(struct queue *q)
{
    struct list running;
    unsigned left = QUEUE_TURN_MAX;
    struct entry *e;
    list_init(&running);
    queue_begin_moves(q);
    queue_compact(q);
    queue_look_at_time(q);
    if (q->forward)
        while (left > 0 && (e = queue_front(q)) && left--)
            queue_forward(e);
    queue_retry_gets(q);
    while (!list_empty(&q->active) && left > 0 && (e = queue_front(q)) && left--)
        deliver(list_entry(list_first(&q->active), struct consumer, active), e, &running);
    if (left > 0 || list_empty(&q->active))
        end_chances(q);
    if (left == 0) {
        queue_wake(q);
        q->queues->shard->again = true;
    } else if (q->limited_count) {
        tell_limited(q, &running);
    }
    while (!list_empty(&running))
        queue_send_run(list_entry(list_first(&running), struct consumer, run_link));
    queue_set_timer(q);
}

void queue_wake(struct queue *q)
{
    if (!list_linked(&q->run_link) && !q->deleted)
        list_add_tail(&q->queues->runnable, &q->run_link);
}

void queues_dispatch(struct shard *s)
{
    struct list now;
    struct queues *qs = s->queues;
    if (list_empty(&qs->runnable) || s->saving)
        return;
    /* What is woken meanwhile is for the next turn. */
    now = qs->runnable;
    now.next->prev = now.prev->next = &now;
    list_init(&qs->runnable);
    while (!list_empty(&now)) {
        struct queue *q = list_entry(list_first(&now), struct queue, run_link);
        list_del(&q->run_link);
        dispatch(q);
    }
    if (!list_empty(&qs->runnable) || !list_empty(&qs->batches) || !list_empty(&qs->persist))
        s->again = true;
}
