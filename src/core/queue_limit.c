/* How many messages a queue may hold, and which one goes when there are more. Ready messages count only. */
#include "base/err.h"
#include "core/queue_impl.h"

static bool exceeds(const struct queue *q, uint64_t count, uint64_t bytes)
{
    const struct queue_config *c = q->info->config;
    return (c->max_length >= 0 && count > (uint64_t)c->max_length) ||
           (c->max_bytes >= 0 && bytes > (uint64_t)c->max_bytes);
}

/* Ready messages that go to consumers as soon as it is their turn (or they are durable). RabbitMQ hands them
 * over at once, so they don't fill the queue. */
static uint64_t taken_soon(const struct queue *q)
{
    uint64_t n = 0, room = 0;
    list_each (l, &q->active) {
        const struct consumer *c = list_entry(l, struct consumer, active);
        uint64_t each = c->no_ack || c->prefetch == 0 ? q->ready : c->prefetch - c->unacked;
        n += c->limited && c->credit < each ? c->credit : each;
        room += c->window - c->in_flight;
        if (n >= q->ready && room >= q->ready_bytes)
            return q->ready;
    }
    if (room < q->ready_bytes) {
        uint64_t fit = (uint64_t)((double)q->ready * (double)room / (double)q->ready_bytes);
        n = n < fit ? n : fit;
    }
    return n < q->ready ? n : q->ready;
}

/* Has it no place for one more message? */
static bool is_full(const struct queue *q, size_t bytes)
{
    if (!exceeds(q, q->ready + 1, q->ready_bytes + bytes))
        return false;
    if (list_empty(&q->active) || q->ready == 0)
        return true;
    uint64_t stay = q->ready - taken_soon(q);
    return exceeds(q, stay + 1, bytes + (uint64_t)((double)q->ready_bytes * (double)stay / (double)q->ready));
}

int queue_admit(struct queue *q, const struct message *m)
{
    const struct queue_config *c = q->info->config;
    if (c->overflow == OVERFLOW_DROP_HEAD || (c->max_length < 0 && c->max_bytes < 0))
        return 0;
    if (!is_full(q, m->body.len))
        return 0;
    metrics_add(queue_metrics(q), METRIC_QUEUE_REFUSED, 1);
    if (c->overflow == OVERFLOW_REJECT_DEAD_LETTER)
        queue_bury_unborn(q, m);
    return ERR_REFUSED;
}

/* The head of the lowest priority that has one. */
static struct queue_level *lowest(struct queue *q)
{
    for (unsigned n = 0; n < q->level_count; n++) {
        struct queue_level *l = queue_level_at(q, n);
        if (l && !list_empty(&l->ready))
            return l;
    }
    return NULL;
}

/* Without a dead-letter exchange nobody needs to see the message. */
static bool drop_from_gap(struct queue_level *l, struct entry *gap)
{
    struct queue *q = l->queue;
    if (gap->offset >= log_durable(l->log))
        return false;
    uint64_t o = gap->offset++;
    gap->pos++;
    if (!acked_has(&l->acked, o) && !note_has_place(level_note(l, o, false))) {
        level_ack(l, o, o);
        queue_ready_add(q, -1);
        metrics_add_at(queue_metrics(q), METRIC_QUEUE_DROPPED, DEATH_MAXLEN, 1);
        uint64_t bytes = q->ready ? q->ready_bytes / (q->ready + 1) : q->ready_bytes;
        q->ready_bytes -= bytes;
    }
    if (gap->offset == gap_end(gap)) {
        list_del(&gap->link);
        entry_free(gap);
    }
    return true;
}

void queue_trim(struct queue *q)
{
    struct queue_level *l;
    while (q->info->config->overflow == OVERFLOW_DROP_HEAD && exceeds(q, q->ready, q->ready_bytes) &&
           (l = lowest(q))) {
        struct entry *e = list_entry(list_first(&l->ready), struct entry, link);
        if (e->gap) {
            bool dead_letters = !span_is_null(q->info->config->dead_letter_exchange);
            if (!(dead_letters ? level_load(l, e) : drop_from_gap(l, e)))
                return;
            continue;
        }
        if (!entry_visible(e))
            return; /* when it is durable */
        entry_take(e);
        queue_bury(e, DEATH_MAXLEN);
    }
}
