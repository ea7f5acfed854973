/* How many messages a queue may hold, and which one goes when there are more. Ready messages count only. */
#include "base/err.h"
#include "core/queue_impl.h"

static bool is_full(const struct queue *q, size_t more, size_t bytes)
{
    const struct queue_config *c = q->info->config;
    return (c->max_length >= 0 && q->ready + more > (uint64_t)c->max_length) ||
           (c->max_bytes >= 0 && q->ready_bytes + bytes > (uint64_t)c->max_bytes);
}

int queue_admit(struct queue *q, const struct message *m)
{
    const struct queue_config *c = q->info->config;
    if (c->overflow == OVERFLOW_DROP_HEAD || (c->max_length < 0 && c->max_bytes < 0))
        return 0;
    if (!is_full(q, 1, m->body.len))
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
    while (q->info->config->overflow == OVERFLOW_DROP_HEAD && is_full(q, 0, 0) && (l = lowest(q))) {
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
