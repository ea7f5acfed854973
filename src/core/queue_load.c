/* Reading messages of a queue that are in the log only. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "core/queue_impl.h"
#include "store/batch.h"

struct level_read {
    struct log_read r;
    struct queue_level *level;
    struct entry *target; /* NULL: nobody needs it any more */
};

static void read_free(struct level_read *lr)
{
    log_read_fini(&lr->r);
    mem_free(lr);
}

void level_read_forget(struct queue_level *l, const struct entry *e)
{
    if (l->read && l->read->target == e)
        l->read->target = NULL;
}

bool queue_is_reading(const struct queue *q)
{
    for (unsigned n = 0; n < q->level_count; n++) {
        const struct queue_level *l = queue_level_at(q, n);
        if (l && l->read)
            return true;
    }
    return false;
}

/* ---- what was read ---------------------------------------------------------------------------------------
 */

/* A copy: what waits for long must not hold memory of the store, which publishers wait for. */
static int fill(struct entry *e, struct span record, const struct message *m)
{
    uint8_t *at = queue_record_room(e->level->queue->queues, record.len, &e->chunk);
    if (!at)
        return ERR_NO_MEMORY;
    memcpy(at, record.ptr, record.len);
    e->record = at;
    e->len = (uint32_t)record.len;
    e->body_len = (uint32_t)m->body.len;
    if (e->state == ENTRY_READY)
        e->level->loaded++;
    return 0;
}

/* A message of the gap comes to stand before what is left of it. */
static int emerge(struct entry *gap, uint64_t offset, struct span record, const struct message *m)
{
    struct queue_level *l = gap->level;
    struct queue *q = l->queue;
    const struct entry_note *n = level_note(l, offset, false);
    if (acked_has(&l->acked, offset) || note_has_place(n))
        return 0; /* it is gone, or has a place of its own */
    struct entry *e = entry_new(l);
    e->offset = offset;
    e->pos = gap->pos + (offset - gap->offset);
    e->expires_ms = m->expires_ms;
    e->count = n ? n->count : 0;
    e->retries = n ? n->retries : 0;
    e->redelivered = offset < l->recovered;
    int err = fill(e, record, m);
    if (err) {
        entry_free(e);
        return err;
    }
    list_insert_before(&gap->link, &e->link);
    if (m->due_ms > q->queues->shard->now_ms) {
        entry_take(e);
        entry_delay(e, m->due_ms);
    }
    return 0;
}

struct parse {
    struct entry *target;
    uint64_t next; /* offset after what was looked at */
    bool done;
};

static int parse_record(struct parse *p, uint64_t offset, struct span record)
{
    struct entry *e = p->target;
    struct message m;
    int64_t queued;
    int err = message_read(record, &m, &queued, NULL);
    if (err)
        return err;
    if (!e->gap) {
        if (offset == e->offset) {
            err = fill(e, record, &m);
            e->expires_ms = m.expires_ms;
            p->done = !err;
        }
    } else if (offset >= e->offset && offset < gap_end(e)) {
        err = emerge(e, offset, record, &m);
    }
    if (!err)
        p->next = offset + 1;
    return err;
}

static int parse_batch(struct parse *p, struct span batch)
{
    struct span records = batch_records(batch);
    uint64_t offset = (uint64_t)batch_base_offset(batch.ptr);
    for (int32_t i = 0; i < batch_record_count(batch.ptr) && !p->done; i++, offset++) {
        size_t len;
        struct message m;
        int64_t queued;
        int err = message_read(records, &m, &queued, &len);
        if (!err)
            err = parse_record(p, offset, span_of(records.ptr, len));
        if (err)
            return err;
        records = span_of(records.ptr + len, records.len - len);
    }
    p->next = (uint64_t)batch_next_offset(batch.ptr);
    return 0;
}

static int parse_all(struct parse *p, const struct rope *data)
{
    int err = 0;
    for (size_t i = 0; i < data->count && !err && !p->done; i++) {
        const struct slice *s = &data->slices[i];
        size_t at = 0, len;
        while (at < s->len && !err && !p->done) {
            err = batch_peek(span_of(s->ptr + at, s->len - at), &len);
            if (!err)
                err = parse_batch(p, span_of(s->ptr + at, len));
            at += err ? 0 : len;
        }
    }
    return err;
}

/* The gap begins later now, or is no more. */
static void shrink(struct entry *gap, uint64_t next)
{
    uint64_t end = gap_end(gap);
    if (next > end)
        next = end;
    if (next > gap->offset) {
        gap->pos += next - gap->offset;
        gap->offset = next;
    }
    if (gap->offset >= end) {
        list_del(&gap->link);
        entry_free(gap);
    }
}

/* What cannot be read is not lost on the disk, but nobody gets it: it is said, and passed over. */
static void skip_damage(struct level_read *lr, int err)
{
    struct entry *e = lr->target;
    struct queue *q = e->level->queue;
    say_error("queue", "messages cannot be read and are passed over", "queue=%.*s offset=%llu error=%s",
              SPAN_ARG(q->info->dest.name), (unsigned long long)e->offset, err_name(err));
    if (e->gap) {
        uint64_t n = gap_messages(e->level, e);
        queue_ready_add(q, -(int64_t)(n < q->ready ? n : q->ready));
        shrink(e, gap_end(e));
        return;
    }
    if (e->state == ENTRY_LEASED || e->state == ENTRY_DELAYED) { /* to be copied forward: it is not */
        e->level->compact_below = 0;
        return;
    }
    if (e->state == ENTRY_READY)
        entry_take(e);
    list_del(&e->link);
    entry_free(e);
}

/* ERR_NO_MEMORY: later. */
static int take(struct level_read *lr, int err)
{
    struct parse p = {.target = lr->target};
    if (!lr->target)
        return 0;
    if (p.target->gap && lr->r.offset < lr->level->acked.low && err == ERR_OFFSET_RANGE)
        return 0; /* the log begins later now: once more */
    if (!err)
        err = parse_all(&p, &lr->r.data);
    if (!err && (p.target->gap ? p.next <= lr->r.offset : !p.done))
        err = ERR_CORRUPT; /* what is durable must be there */
    if (p.target->gap)
        shrink(p.target, p.next);
    if (err && err != ERR_NO_MEMORY && lr->target)
        skip_damage(lr, err);
    return err == ERR_NO_MEMORY ? err : 0;
}

static void read_done(struct log_read *r, int err)
{
    struct level_read *lr = container_of(r, struct level_read, r);
    struct queue_level *l = lr->level;
    struct queue *q = l->queue;
    if (!q->deleted) {
        (void)take(lr, err);
        l->read = NULL;
        queue_retry_gets(q);
        queue_wake(q);
        q->queues->shard->again = true;
    }
    read_free(lr);
    queue_unref(q);
}

bool level_load(struct queue_level *l, struct entry *e)
{
    if (e->record && !e->gap)
        return true;
    if (l->read)
        return false;
    if (e->gap && e->offset < l->acked.low) { /* the log may begin later than the gap does */
        shrink(e, l->acked.low);
        return true;
    }
    struct level_read *lr = mem_zalloc(sizeof(*lr));
    lr->level = l;
    lr->target = e;
    lr->r.offset = e->offset;
    lr->r.max_bytes = e->gap ? QUEUE_READ_BYTES : 1;
    lr->r.at_least_one = true;
    lr->r.done = read_done;
    l->read = lr;
    int err = log_read(l->log, &lr->r);
    if (err == ERR_AGAIN) {
        l->queue->refs++;
        return false;
    }
    err = take(lr, err);
    l->read = NULL;
    read_free(lr);
    return err != ERR_NO_MEMORY;
}
