/* Entries: messages of a queue in memory, and the gaps between them that are in the log only. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/queue_impl.h"
#include "core/shard.h"

struct entry *entry_new(struct queue_level *l)
{
    struct queues *qs = l->queue->queues;
    struct entry *e = qs->spare;
    if (e) {
        qs->spare = e->batch_next;
        qs->spare_count--;
    } else {
        e = mem_alloc(sizeof(*e));
    }
    *e = (struct entry){.level = l, .offset = ENTRY_NO_OFFSET};
    qs->entries++;
    list_init(&e->link);
    return e;
}

/* ---- places ----------------------------------------------------------------------------------------------
 */

/* What comes back in a wild order has a long way to its place. Who had one is remembered, the latest of them,
 * and others set out from there: so the way is a part of the list only. */
enum { FINGERS = 1024, FAR = 32 };

struct fingers {
    uint32_t next;
    struct finger {
        uint64_t pos;
        struct entry *entry; /* in level->ready; NULL: it has left it */
    } at[FINGERS];
};

void fingers_free(struct fingers *f)
{
    mem_free(f);
}

static void finger_drop(struct entry *e)
{
    if (!e->finger)
        return;
    e->level->fingers->at[e->finger - 1].entry = NULL;
    e->finger = 0;
}

static void finger_add(struct entry *e)
{
    struct queue_level *l = e->level;
    if (!l->fingers)
        l->fingers = mem_zalloc(sizeof(*l->fingers));
    uint32_t n = l->fingers->next++ % FINGERS;
    if (l->fingers->at[n].entry)
        finger_drop(l->fingers->at[n].entry);
    l->fingers->at[n] = (struct finger){e->pos, e};
    e->finger = (uint16_t)(n + 1);
}

/* The nearest before that position; NULL: none. */
static struct entry *finger_below(const struct queue_level *l, uint64_t pos)
{
    const struct finger *best = NULL;
    for (uint32_t i = 0; l->fingers && i < FINGERS; i++) {
        const struct finger *f = &l->fingers->at[i];
        if (f->entry && f->pos < pos && (!best || f->pos > best->pos) && !f->entry->gap)
            best = f;
    }
    return best ? best->entry : NULL;
}

/* ---- life -------------------------------------------------------------------------------------------------
 */

static void forget_record(struct entry *e)
{
    if (!e->record)
        return;
    chunk_unref(e->chunk);
    e->chunk = NULL;
    e->record = NULL;
    if (e->state == ENTRY_READY)
        e->level->loaded--;
}

void entry_free(struct entry *e)
{
    struct queues *qs = e->level->queue->queues;
    assert(!list_linked(&e->link));
    entry_no_longer_fresh(e);
    finger_drop(e);
    if (e->level->hint == e)
        e->level->hint = NULL;
    forget_record(e);
    level_read_forget(e->level, e);
    if (e->twin)
        e->twin->twin = NULL;
    qs->entries--;
    if (qs->spare_count == QUEUE_SPARE_MAX) {
        mem_free(e);
        return;
    }
    qs->spare_count++;
    e->batch_next = qs->spare;
    qs->spare = e;
}

void entry_drop(struct entry *e)
{
    assert(!list_linked(&e->link) && !e->gap);
    e->state = ENTRY_GONE;
    if (e->batched) { /* its offset is not known yet */
        chunk_unref(e->chunk);
        e->chunk = NULL;
        e->record = NULL;
        return;
    }
    if (e->offset != ENTRY_NO_OFFSET)
        level_ack(e->level, e->offset, e->offset);
    entry_free(e);
}

void entry_unload(struct entry *e)
{
    if (e->offset != ENTRY_NO_OFFSET && !e->gap)
        forget_record(e);
}

static uint64_t end_pos(const struct list *l)
{
    const struct entry *e = list_entry(l, struct entry, link);
    return e->pos + (e->gap ? gap_end(e) - e->offset : 1);
}

/* A gap that was there at the start has room for messages with a place of their own, which it does not count:
 * it is divided there. Returns what comes after that position. */
static struct list *divide_gap(struct queue_level *l, struct entry *gap, uint64_t pos)
{
    uint64_t at = gap->offset + (pos - gap->pos);
    if (at + 1 < gap_end(gap)) {
        struct entry *rest = entry_new(l);
        rest->gap = true;
        rest->offset = at + 1;
        rest->pos = pos + 1;
        rest->expires_ms = gap->expires_ms;
        list_insert_before(gap->link.next, &rest->link);
    }
    struct list *after = gap->link.next;
    gap->expires_ms = (int64_t)at;
    if (gap->offset == at) {
        list_del(&gap->link);
        entry_free(gap);
    }
    return after;
}

/* The first that ends behind that position; there is one. */
static struct list *find_place(const struct queue_level *l, uint64_t pos, bool *ret_far)
{
    bool hinted = l->hint && !l->hint->gap && l->hint->pos < pos;
    struct list *at = hinted ? l->hint->link.next : l->ready.next;
    for (unsigned steps = 0; end_pos(at) <= pos; at = at->next)
        if (++steps == FAR) {
            struct entry *f = finger_below(l, pos);
            if (f && f->pos > list_entry(at, struct entry, link)->pos)
                at = &f->link;
            *ret_far = true;
        }
    return at;
}

/* Nearly always the place is at the end (a new message) or at the front (one that comes back). */
static void insert_sorted(struct queue_level *l, struct entry *e)
{
    if (list_empty(&l->ready) || end_pos(l->ready.prev) <= e->pos) {
        list_add_tail(&l->ready, &e->link);
        return;
    }
    bool far = false;
    struct list *before = find_place(l, e->pos, &far);
    if (far)
        finger_add(e);
    struct entry *b = list_entry(before, struct entry, link);
    if (b->gap && b->pos <= e->pos)
        before = divide_gap(l, b, e->pos);
    list_insert_before(before, &e->link);
}

void entry_make_ready(struct entry *e)
{
    struct queue_level *l = e->level;
    struct queue *q = l->queue;
    e->state = ENTRY_READY;
    insert_sorted(l, e);
    l->hint = e;
    if (e->record)
        l->loaded++;
    queue_ready_add(q, 1);
    q->ready_bytes += e->body_len;
}

void entry_take(struct entry *e)
{
    struct queue *q = e->level->queue;
    assert(e->state == ENTRY_READY && !e->gap && q->ready > 0);
    entry_no_longer_fresh(e);
    list_del(&e->link);
    finger_drop(e);
    if (e->level->hint == e)
        e->level->hint = NULL;
    if (e->record)
        e->level->loaded--;
    e->state = ENTRY_GONE;
    queue_ready_add(q, -1);
    q->ready_bytes -= e->body_len < q->ready_bytes ? e->body_len : q->ready_bytes;
}

void entry_delay(struct entry *e, int64_t due_ms)
{
    struct queue *q = e->level->queue;
    struct entry_delay *d = mem_alloc(sizeof(*d));
    assert(!list_linked(&e->link));
    *d = (struct entry_delay){.entry = e};
    e->state = ENTRY_DELAYED;
    entry_unload(e);
    heap_push(&q->delayed, &d->node, (uint64_t)due_ms);
}

int entry_message(const struct entry *e, struct message *ret)
{
    int64_t queued;
    assert(e->record);
    return message_read(span_of(e->record, e->len), ret, &queued, NULL);
}

bool entry_visible(const struct entry *e)
{
    if (e->batched)
        return false;
    return e->offset == ENTRY_NO_OFFSET || e->offset < log_durable(e->level->log);
}

uint64_t gap_messages(const struct queue_level *l, const struct entry *gap)
{
    uint64_t from = gap->offset, to = gap_end(gap), n = to - from - acked_count(&l->acked, from, to);
    const struct entry_note *note;
    for (size_t i = 0; (note = map_next(&l->notes, &i));)
        n -= note_has_place(note) && note->offset >= from && note->offset < to &&
             !acked_has(&l->acked, note->offset);
    return n;
}

/* ---- acknowledgement -------------------------------------------------------------------------------------
 */

void level_ack(struct queue_level *l, uint64_t first, uint64_t last)
{
    struct queues *qs = l->queue->queues;
    uint64_t low = l->acked.low;
    if (l->queue->deleted)
        return;
    acked_add(&l->acked, first, last);
    if (l->notes.count)
        for (uint64_t o = first; o <= last; o++)
            level_drop_note(l, o);
    if (first > low) {
        struct acked_range *r = l->unsaved_count ? &l->unsaved[l->unsaved_count - 1] : NULL;
        if (r && r->last + 1 == first) {
            r->last = last;
        } else {
            if (l->unsaved_count == l->unsaved_cap) {
                l->unsaved_cap = l->unsaved_cap ? l->unsaved_cap * 2 : 4;
                l->unsaved = mem_realloc(l->unsaved, l->unsaved_cap * sizeof(*l->unsaved));
            }
            l->unsaved[l->unsaved_count++] = (struct acked_range){first, last};
        }
    }
    queues_persist_later(qs, l);
}
