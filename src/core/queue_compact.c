/* Copying forward: an old message that nobody settles must not keep everything behind it on the disk.
 *
 * When a log is large and less than a quarter of its offsets are alive, what lives in its lower half is
 * appended again. The old record is acknowledged in the group that has the new one, so that a crash sees one
 * of the two; a note says which offset the message had first, so that it keeps its place in the queue. At
 * most a third is written again. */
#include <assert.h>

#include "base/err.h"
#include "core/queue_impl.h"
#include "core/shard.h"

enum { SEGMENTS_MIN = 2, LIVE_PART = 4, COPIES_PER_TURN = 1024 };

void level_compact_maybe(struct queue_level *l)
{
    const struct config *c = l->queue->queues->shard->config;
    uint64_t span = log_next(l->log) - l->acked.low;
    if (l->compact_below || log_bytes(l->log) < SEGMENTS_MIN * c->queue_segment_bytes)
        return;
    if ((span - l->acked.above) * LIVE_PART > span)
        return;
    l->compact_below = l->acked.low + span / 2;
    queue_wake(l->queue);
}

/* ---- one message -----------------------------------------------------------------------------------------
 */

void entry_copied(struct entry *copy, uint64_t offset)
{
    struct entry *e = copy->twin;
    struct queue_level *l = copy->level;
    if (!e) { /* settled meanwhile */
        level_ack(l, offset, offset);
        entry_free(copy);
        return;
    }
    uint64_t old = e->offset;
    struct entry_note *before = level_note(l, old, false), *now = level_note(l, offset, true);
    if (before)
        *now = *before;
    now->offset = offset;
    now->order = e->order = e->order ? e->order : old + 1;
    e->offset = offset;
    level_touch_note(l, now);
    level_ack(l, old, old);
    entry_free(copy);
}

/* False: it is being read, or there is no memory; later. */
static bool copy(struct entry *e)
{
    struct queue_level *l = e->level;
    if (!e->record && !level_load(l, e))
        return false;
    if (!e->record)
        return true; /* it could not be read, and was passed over */
    struct queue_batch *b = queue_batch_room(l, e->len);
    if (!b) {
        queue_wake(l->queue);
        return false;
    }
    struct entry *c = entry_new(l);
    uint8_t *at = b->chunk->data + b->len;
    b->len += e->len;
    memcpy(at, e->record, e->len);
    c->chunk = chunk_ref(b->chunk);
    c->record = at;
    c->len = e->len;
    c->state = ENTRY_COPY;
    c->twin = e;
    e->twin = c;
    queue_batch_link(b, c);
    if (e->state != ENTRY_READY)
        entry_unload(e);
    return true;
}

/* ---- those that have to be copied ------------------------------------------------------------------------
 */

struct walk {
    struct queue_level *level;
    unsigned left;   /* copies in this turn */
    bool more, wait; /* there are others; something has to happen first */
};

static void look_at(struct walk *w, struct entry *e)
{
    if (e->level != w->level || e->offset == ENTRY_NO_OFFSET || e->batched ||
        e->offset >= w->level->compact_below)
        return;
    if (e->twin || e->state == ENTRY_MOVING || e->offset >= log_durable(w->level->log)) {
        w->wait = true;
        return;
    }
    if (w->left == 0) {
        w->more = true;
        return;
    }
    w->left--;
    if (!copy(e))
        w->wait = true;
}

static void walk_leases(struct walk *w)
{
    list_each (l, &w->level->queue->consumers) {
        struct consumer *c = list_entry(l, struct consumer, link);
        struct entry *e;
        for (uint64_t n = 0; !w->more && !w->wait && (e = leases_next(&c->leases, n, &n)); n++)
            look_at(w, e);
    }
}

/* A gap is read first: its messages then have entries. */
static void walk_ready(struct walk *w)
{
    struct queue_level *l = w->level;
    list_each_safe (it, tmp, &l->ready) {
        struct entry *e = list_entry(it, struct entry, link);
        if (w->more || w->wait)
            return;
        if (e->gap && e->offset < l->compact_below && e->offset < log_durable(l->log)) {
            w->more = level_load(l, e);
            w->wait = !w->more;
            return;
        }
        if (!e->gap)
            look_at(w, e);
    }
}

static void walk_delayed(struct walk *w)
{
    struct heap *h = &w->level->queue->delayed;
    for (size_t i = 0; i < h->count && !w->more && !w->wait; i++)
        look_at(w, container_of(h->nodes[i], struct entry_delay, node)->entry);
}

static void compact(struct queue_level *l)
{
    struct walk w = {.level = l, .left = COPIES_PER_TURN};
    walk_leases(&w);
    walk_ready(&w);
    walk_delayed(&w);
    list_each (it, &l->queue->moves)
        w.wait |= list_entry(it, struct entry, link)->level == l;
    if (w.more)
        queue_wake(l->queue);
    else if (!w.wait && w.left == COPIES_PER_TURN)
        l->compact_below = 0;
    /* Else it goes on when something was read, is durable, or has moved: the queue is woken then, not all the
     * time until then. */
}

void queue_compact(struct queue *q)
{
    for (unsigned n = 0; n < q->level_count; n++) {
        struct queue_level *l = queue_level_at(q, n);
        if (l && l->compact_below)
            compact(l);
    }
}
