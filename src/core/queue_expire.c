/* Time: messages that expire, messages that are due, queues that nobody uses.
 *
 * As in RabbitMQ, a message expires when it is at the head; what is behind a longer-lived one waits for that.
 * It is never delivered late. One timer per queue is set to the earliest of all. */
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/queue_impl.h"

bool entry_expired(const struct queue *q, const struct entry *e)
{
    int64_t now = q->queues->shard->now_ms;
    if (!e->expires_ms || e->expires_ms > now)
        return false;
    /* A TTL of 0 allows for delivery at once, and for nothing else. */
    return !(e->fresh && !list_empty(&q->active));
}

static int by_place(const void *a, const void *b)
{
    const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;
    if (x->level != y->level)
        return x->level->number < y->level->number ? -1 : 1;
    return (x->pos > y->pos) - (x->pos < y->pos);
}

/* Of those whose time has come the next `max`, in their order in the queue: each finds its place behind the
 * one before. Returns how many. */
static size_t take_due(struct queue *q, struct entry **ret, size_t max)
{
    int64_t now = q->queues->shard->now_ms;
    struct heap_node *n;
    size_t count = 0;
    while (count < max && (n = heap_first(&q->delayed)) && n->key <= (uint64_t)now) {
        struct entry_delay *d = container_of(n, struct entry_delay, node);
        ret[count++] = d->entry;
        heap_remove(&q->delayed, n);
        mem_free(d);
    }
    qsort(ret, count, sizeof(struct entry *), by_place);
    return count;
}

static void come_due(struct queue *q)
{
    enum { AT_ONCE = 16384 };
    struct heap_node *first = heap_first(&q->delayed);
    if (!first || first->key > (uint64_t)q->queues->shard->now_ms)
        return;
    size_t max = q->delayed.count < AT_ONCE ? q->delayed.count : AT_ONCE, count;
    struct entry **due = mem_alloc(max * sizeof(struct entry *));
    while ((count = take_due(q, due, max)) > 0)
        for (size_t i = 0; i < count; i++)
            if (entry_expired(q, due[i]))
                queue_bury(due[i], DEATH_EXPIRED);
            else
                entry_make_ready(due[i]);
    mem_free(due);
}

/* Expired heads go even if nobody consumes; the first that stays is what the timer waits for. */
static void expire_heads(struct queue *q)
{
    struct list *first;
    for (unsigned n = 0; n < q->level_count; n++) {
        struct queue_level *l = queue_level_at(q, n);
        while (l && (first = list_first(&l->ready))) {
            struct entry *e = list_entry(first, struct entry, link);
            if (e->gap ? e->offset >= log_durable(l->log) : !entry_visible(e))
                break;
            if (!e->record) {
                if (!level_load(l, e))
                    break;
                continue;
            }
            if (!entry_expired(q, e))
                break;
            entry_take(e);
            queue_bury(e, DEATH_EXPIRED);
        }
    }
}

void entry_no_longer_fresh(struct entry *e)
{
    if (!e->fresh)
        return;
    e->fresh = false;
    e->level->queue->fresh_count--;
}

/* They came last, so they are sought from the end, as many as there are left. */
static uint32_t end_freshness(struct queue_level *l, uint32_t left)
{
    for (struct list *it = l->ready.prev; it != &l->ready && left > 0; it = it->prev) {
        struct entry *e = list_entry(it, struct entry, link);
        if (!e->fresh)
            continue;
        left--;
        if (entry_visible(e))
            entry_no_longer_fresh(e);
    }
    return left;
}

void queue_end_freshness(struct queue *q)
{
    uint32_t left = q->fresh_count;
    for (unsigned n = 0; n < q->level_count; n++) {
        struct queue_level *l = queue_level_at(q, n);
        if (l)
            left = end_freshness(l, left);
    }
    expire_heads(q);
}

static bool is_unused(const struct queue *q, uint64_t *ret_at_ns)
{
    int64_t ms = q->info->config->expires_ms;
    if (ms < 0 || q->consumer_count > 0)
        return false;
    *ret_at_ns = q->used_ns + (uint64_t)ms * 1000000;
    return true;
}

void queue_look_at_time(struct queue *q)
{
    struct shard *s = q->queues->shard;
    uint64_t at;
    come_due(q);
    expire_heads(q);
    if (is_unused(q, &at) && at <= s->now_ns && !q->deleted) {
        q->used_ns = s->now_ns; /* asked once; again if it comes to nothing */
        space_queue_expire(s, q->info->id);
    }
}

static int64_t earliest_ms(const struct queue *q)
{
    struct heap_node *n = heap_first(&q->delayed);
    int64_t at = n ? (int64_t)n->key : INT64_MAX;
    for (unsigned i = 0; i < q->level_count; i++) {
        const struct queue_level *l = queue_level_at(q, i);
        struct list *first = l ? list_first(&l->ready) : NULL;
        const struct entry *e = first ? list_entry(first, struct entry, link) : NULL;
        if (e && !e->gap && e->expires_ms && e->expires_ms < at && entry_visible(e))
            at = e->expires_ms;
    }
    return at;
}

static void fire(struct shard *s, struct shard_timer *t)
{
    (void)s;
    queue_wake(container_of(t, struct queue, timer));
}

void queue_set_timer(struct queue *q)
{
    struct shard *s = q->queues->shard;
    int64_t ms = earliest_ms(q);
    uint64_t at = UINT64_MAX, unused;
    if (ms != INT64_MAX)
        at = s->now_ns + (ms > s->now_ms ? (uint64_t)(ms - s->now_ms) : 0) * 1000000;
    if (is_unused(q, &unused) && unused < at)
        at = unused;
    if (!list_empty(&q->moves) && q->moves_retry_ns > s->now_ns && q->moves_retry_ns < at)
        at = q->moves_retry_ns;
    if (at == UINT64_MAX) {
        shard_timer_cancel(s, &q->timer);
        return;
    }
    if (at <= s->now_ns) /* not in this turn */
        at = s->now_ns + 1;
    q->timer.fire = fire;
    shard_timer_set(s, &q->timer, at);
}
