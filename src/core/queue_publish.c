/* Messages come into queues: transient ones into memory, others into their level's batch, which goes to the
 * log once in a turn. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/op_impl.h"
#include "core/queue_impl.h"
#include "store/batch.h"

/* ---- the operation ---------------------------------------------------------------------------------------
 */

static void *grow(void *array, uint32_t *cap, size_t size)
{
    *cap = *cap ? *cap * 2 : 8;
    return mem_realloc(array, *cap * size);
}

struct publish_item *op_publish_add(struct op_publish *p)
{
    if (p->count == p->cap)
        p->items = grow(p->items, &p->cap, sizeof(*p->items));
    struct publish_item *it = &p->items[p->count++];
    *it = (struct publish_item){.first = p->queue_count};
    return it;
}

void op_publish_add_queue(struct op_publish *p, uint64_t queue_id)
{
    if (p->queue_count == p->queue_cap)
        p->queues = grow(p->queues, &p->queue_cap, sizeof(*p->queues));
    p->queues[p->queue_count++] = queue_id;
    p->items[p->count - 1].count++;
}

void op_publish_keep(struct op_publish *p, struct chunk *c)
{
    if (p->chunk_count && p->chunks[p->chunk_count - 1] == c)
        return;
    if (p->chunk_count == p->chunk_cap)
        p->chunks = grow(p->chunks, &p->chunk_cap, sizeof(struct chunk *));
    p->chunks[p->chunk_count++] = chunk_ref(c);
}

void op_publish_free(struct op_publish *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; i < p->chunk_count; i++)
        chunk_unref(p->chunks[i]);
    mem_free(p->chunks);
    mem_free(p->batch_last);
    mem_free(p->items);
    mem_free(p->queues);
    op_free(p);
}

static void release(struct op_publish *p)
{
    assert(p->pending > 0);
    if (--p->pending == 0)
        op_return(op_owner(&p->op, p->shard), &p->op);
}

static void fail_items(struct op_publish *p, int err)
{
    for (uint32_t i = 0; i < p->count; i++)
        if (p->items[i].msg.flags & MESSAGE_PERSISTENT)
            p->items[i].err = err;
}

/* The queue that a move goes to; NULL: it is no move, or the queue is gone. */
static struct queue *move_target(const struct op_publish *p)
{
    const struct shard *s = op_owner(&p->op, p->shard);
    return p->origin ? queue_by_id(s->queues, p->queues[0]) : NULL;
}

/* The queue knows how far it has come with each batch, in one group with it. With priorities batches of
 * several levels are filled at a time: it knows that when all are there. */
static void sequence_appended(struct op_publish *p, struct queue *q)
{
    uint32_t nth = p->appended++;
    if (p->broken)
        return;
    if (q->level_count == 1)
        level_came_from(&q->level, p->origin, p->batch_last[nth]);
    else if (!p->publishing && p->appended == p->joined)
        level_came_from(&q->level, p->origin, p->origin_seq);
}

static void op_appended(struct batch_wait *w, int err)
{
    struct op_publish *p = container_of(w, struct op_publish, wait);
    struct queue *q = move_target(p);
    p->broken |= err != 0;
    if (err) {
        fail_items(p, err);
        if (q && !p->sequence)
            level_missed_from(&q->level, p->origin, p->origin_seq);
        release(p);
        return;
    }
    if (q && p->sequence)
        sequence_appended(p, q);
    else if (q)
        level_came_from(&q->level, p->origin, p->origin_seq);
}

static void op_durable(struct batch_wait *w, int err)
{
    struct op_publish *p = container_of(w, struct op_publish, wait);
    if (err)
        fail_items(p, err);
    release(p);
}

/* A quorum queue has every message on the disk, whatever its publisher asked for. */
static bool keeps_all(const struct queue *q)
{
    return q->info->type == QUEUE_QUORUM;
}

static void publish_one(struct queues *qs, struct op_publish *p, struct publish_item *it)
{
    bool kept = false;
    for (uint32_t i = it->first; i < it->first + it->count; i++) {
        struct queue *q = queue_by_id(qs, p->queues[i]);
        int r = q ? queue_enqueue(q, &it->msg, &p->wait) : 0;
        if (r < 0) {
            it->err = r;
            if (p->origin && r != ERR_REFUSED)
                level_missed_from(&q->level, p->origin, p->origin_seq);
        } else {
            p->pending += (uint32_t)r;
        }
        kept |= q && keeps_all(q);
    }
    if (kept) /* its outcome is that of the batch */
        it->msg.flags |= MESSAGE_PERSISTENT;
}

static void joined_batch(struct op_publish *p)
{
    p->batch_last = mem_realloc(p->batch_last, (p->joined + 1) * sizeof(*p->batch_last));
    p->joined++;
    p->pending++;
}

static void came_before(struct store_wait *w, int err)
{
    struct op_publish *p = container_of(w, struct op_publish, settled);
    if (err)
        fail_items(p, err);
    release(p);
}

static void wait_for_before(struct shard *s, struct op_publish *p)
{
    p->pending++;
    p->settled.done = came_before;
    store_wait(s->store, &p->settled);
    shard_appended(s);
}

/* A move (of one message to one queue) that was cut off by a crash, perhaps, comes again: once is enough. */
static bool is_repeated(struct shard *s, struct op_publish *p)
{
    struct queue *q = move_target(p);
    struct level_source *src = q ? map_get_u64(&q->level.sources, p->origin + 1) : NULL;
    if (!src || p->origin_seq > src->seq)
        return false;
    wait_for_before(s, p);
    return true;
}

/* One before it has failed and comes again: if this one came first, that one would be taken for a repetition.
 */
static bool is_too_early(const struct shard *s, const struct op_publish *p)
{
    const struct queue *q = move_target(p);
    const struct level_source *src = q ? map_get_u64(&q->level.sources, p->origin + 1) : NULL;
    return src && src->missed && p->origin_seq > src->missed && s->now_ns < src->missed_until_ns;
}

/* batch_last is set after the message joined: a batch that is full is sealed when the next one comes. */
static void publish_sequence(struct shard *s, struct op_publish *p)
{
    struct queue *q = queue_by_id(s->queues, p->queues[0]);
    const struct level_source *src = q ? map_get_u64(&q->level.sources, p->origin + 1) : NULL;
    uint64_t known = src ? src->seq : 0;
    bool repeated = false;
    int err = 0;
    p->publishing = true;
    for (uint32_t i = 0; q && i < p->count; i++) {
        struct publish_item *it = &p->items[i];
        int r = err ? ERR_REFUSED : it->tag <= known ? 0 : queue_enqueue(q, &it->msg, &p->wait);
        if (r == ERR_REFUSED && !err && q->info->config->overflow == OVERFLOW_REJECT_DEAD_LETTER)
            r = 0; /* it went to the dead letters, once */
        if (r < 0) {
            it->err = err = r;
            continue;
        }
        repeated |= it->tag <= known;
        if (r > 0)
            joined_batch(p);
        p->origin_seq = it->tag;
        if (p->joined)
            p->batch_last[p->joined - 1] = it->tag;
    }
    p->publishing = false;
    if (repeated)
        wait_for_before(s, p);
    if (q && q->level_count > 1 && p->joined && p->appended == p->joined && !p->broken)
        level_came_from(&q->level, p->origin, p->origin_seq);
}

static void start(struct shard *s, struct msg *m)
{
    struct op_publish *p = container_of(m, struct op_publish, op.msg);
    p->wait = (struct batch_wait){op_appended, op_durable};
    p->pending = 1;
    if (s->saving)
        p->op.err = ERR_STOPPING;
    else if (p->sequence)
        publish_sequence(s, p);
    else if (is_too_early(s, p))
        p->op.err = ERR_AGAIN;
    else if (!is_repeated(s, p))
        for (uint32_t i = 0; i < p->count; i++)
            publish_one(s->queues, p, &p->items[i]);
    release(p);
}

void op_publish_submit(struct op_publish *p)
{
    op_send(&p->op, op_owner(&p->op, p->shard), start);
}

/* ---- batches ---------------------------------------------------------------------------------------------
 */

static void batch_free(struct queue_batch *b)
{
    chunk_unref(b->chunk);
    mem_free(b->waits);
    queue_unref(b->level->queue);
    mem_free(b);
}

static void batch_durable(struct store_wait *w, int err)
{
    struct queue_batch *b = container_of(w, struct queue_batch, durable);
    for (uint32_t i = 0; i < b->wait_count; i++)
        if (b->waits[i])
            b->waits[i]->durable(b->waits[i], err);
    batch_free(b);
}

/* Out of the delayed ones, unless it went with its queue already. */
static void undelay(struct entry *e)
{
    struct heap *h = &e->level->queue->delayed;
    for (size_t i = 0; i < h->count; i++) {
        struct entry_delay *d = container_of(h->nodes[i], struct entry_delay, node);
        if (d->entry != e)
            continue;
        heap_remove(h, &d->node);
        mem_free(d);
        return;
    }
}

/* It cannot be stored: its messages were never there. */
static void batch_failed(struct queue_batch *b, int err)
{
    for (struct entry *e = b->first, *next; e; e = next) {
        next = e->batch_next;
        e->batched = false;
        if (e->state == ENTRY_READY)
            entry_take(e);
        if (e->state == ENTRY_DELAYED)
            undelay(e);
        entry_free(e); /* a copy, too: its original stays where it is */
    }
    queue_wake(b->level->queue);
    for (uint32_t i = 0; i < b->wait_count; i++)
        b->waits[i]->appended(b->waits[i], err);
    batch_free(b);
}

/* A message that many are before is read from the log when it is its turn. */
static void page_out(struct queue_level *l, struct entry *e)
{
    struct list *p = e->link.prev;
    struct entry *prev = p == &l->ready ? NULL : list_entry(p, struct entry, link);
    if (p == &l->ready) /* the head is known, for its time may come */
        return;
    if (prev && prev->gap && gap_end(prev) == e->offset &&
        prev->pos + (gap_end(prev) - prev->offset) == e->pos) {
        prev->expires_ms++;
        list_del(&e->link);
        entry_free(e);
        return;
    }
    entry_unload(e);
    e->gap = true;
    e->expires_ms = (int64_t)e->offset + 1;
}

static void give_offsets(struct queue_batch *b, uint64_t base)
{
    struct queue_level *l = b->level;
    for (struct entry *e = b->first, *next; e; e = next, base++) {
        next = e->batch_next;
        e->batch_next = NULL;
        e->batched = false;
        e->offset = base;
        if (e->state == ENTRY_COPY) {
            entry_copied(e, base);
        } else if (e->state == ENTRY_GONE) {
            level_ack(l, base, base);
            entry_free(e);
        } else if (e->state == ENTRY_DELAYED) {
            entry_unload(e);
        } else if (e->state == ENTRY_READY && l->loaded > QUEUE_LOADED_MAX) {
            page_out(l, e);
        }
    }
}

static int batch_append(struct queue_batch *b)
{
    struct queue_level *l = b->level;
    struct shard *s = b->queues->shard;
    uint64_t base;
    if (l->queue->deleted) { /* nobody will miss it */
        for (struct entry *e = b->first, *next; e; e = next) {
            next = e->batch_next;
            entry_free(e);
        }
        store_wait(s->store, &b->durable);
    } else {
        int err = s->saving ? ERR_STOPPING : log_append(l->log, span_of(b->chunk->data, b->len), &base, NULL);
        if (err)
            return err;
        give_offsets(b, base);
        log_wait(l->log, &b->durable);
    }
    for (uint32_t i = 0; i < b->wait_count; i++) {
        struct batch_wait *w = b->waits[i];
        if (!w->durable) /* it may be gone afterwards */
            b->waits[i] = NULL;
        w->appended(w, 0);
    }
    shard_appended(s);
    return 0;
}

static int batch_retry(struct shard *s, struct space_wait *w, int err)
{
    struct queue_batch *b = container_of(w, struct queue_batch, stall);
    (void)s;
    if (!err)
        err = batch_append(b);
    if (err && err != ERR_AGAIN)
        batch_failed(b, err);
    return err;
}

static void batch_seal_header(struct queue_batch *b, int64_t now_ms)
{
    uint8_t *h = b->chunk->data;
    memset(h, 0, BATCH_HEADER_BYTES);
    batch_set_magic(h, BATCH_MAGIC);
    batch_set_last_offset_delta(h, (int32_t)b->count - 1);
    batch_set_base_timestamp(h, now_ms);
    batch_set_max_timestamp(h, now_ms);
    batch_set_producer_id(h, -1);
    batch_set_producer_epoch(h, -1);
    batch_set_base_sequence(h, -1);
    batch_set_record_count(h, (int32_t)b->count);
    batch_seal(h, b->len);
}

static void seal(struct queue_level *l)
{
    struct queue_batch *b = l->batch;
    struct shard *s = b->queues->shard;
    l->batch = NULL;
    list_del(&l->batch_link);
    batch_seal_header(b, s->now_ms);
    int err = shard_is_stalled(s) ? ERR_AGAIN : batch_append(b);
    if (err == ERR_AGAIN)
        shard_wait_for_space(s, &b->stall);
    else if (err)
        batch_failed(b, err);
}

void queues_seal(struct shard *s)
{
    struct queues *qs = s->queues;
    qs->persist_now |= !list_empty(&qs->batches); /* there is a group anyway */
    while (!list_empty(&qs->batches))
        seal(list_entry(list_first(&qs->batches), struct queue_level, batch_link));
    queues_persist(s);
}

static struct queue_batch *batch_new(struct queue_level *l, size_t len, bool large)
{
    struct queues *qs = l->queue->queues;
    struct chunk_pool *pool = large ? &qs->large_pool : &qs->small_pool;
    size_t need = BATCH_HEADER_BYTES + len;
    struct chunk *c = chunk_new(pool, need > pool->chunk_bytes ? need : pool->chunk_bytes);
    if (!c)
        return NULL;
    struct queue_batch *b = mem_zalloc(sizeof(*b));
    b->level = l;
    b->queues = qs;
    b->chunk = c;
    b->len = BATCH_HEADER_BYTES;
    b->durable.done = batch_durable;
    b->stall.retry = batch_retry;
    list_init(&b->stall.link);
    l->queue->refs++;
    l->batch = b;
    list_add_tail(&qs->batches, &l->batch_link);
    return b;
}

/* Room for a record at the end of the level's batch, or of a new one. */
struct queue_batch *queue_batch_room(struct queue_level *l, size_t len)
{
    struct queue_batch *b = l->batch;
    if (b && b->chunk->cap - b->len >= len)
        return b;
    if (!b)
        return batch_new(l, len, len > QUEUE_BATCH_SMALL / 2);
    seal(l);
    return batch_new(l, len, true);
}

/* 1: the wait has joined a batch that it was not in. */
static int batch_wait_join(struct queue_batch *b, struct batch_wait *w)
{
    if (!w || (b->wait_count && b->waits[b->wait_count - 1] == w))
        return 0;
    if (b->wait_count == b->wait_cap)
        b->waits = grow(b->waits, &b->wait_cap, sizeof(struct batch_wait *));
    b->waits[b->wait_count++] = w;
    return 1;
}

void queue_batch_link(struct queue_batch *b, struct entry *e)
{
    if (b->last)
        b->last->batch_next = e;
    else
        b->first = e;
    b->last = e;
    b->count++;
    e->batched = true;
}

/* ---- a message -------------------------------------------------------------------------------------------
 */

uint8_t *queue_record_room(struct queues *qs, size_t len, struct chunk **ret_chunk)
{
    struct chunk *c = qs->transient;
    if (!c || c->cap - c->used < len) {
        struct chunk_pool *pool = &qs->large_pool;
        c = chunk_new(pool, len > pool->chunk_bytes ? len : pool->chunk_bytes);
        if (!c)
            return NULL;
        if (len <= pool->chunk_bytes / 4) {
            chunk_unref(qs->transient);
            qs->transient = chunk_ref(c);
        }
    } else {
        chunk_ref(c);
    }
    uint8_t *at = c->data + c->used;
    c->used += (uint32_t)len;
    *ret_chunk = c;
    return at;
}

static void set_expiry(const struct queue *q, struct message *m, int64_t now_ms)
{
    int64_t ttl = q->info->config->ttl_ms;
    if (m->ttl_ms >= 0 && (ttl < 0 || m->ttl_ms < ttl))
        ttl = m->ttl_ms;
    m->expires_ms = ttl >= 0 ? now_ms + ttl : 0;
}

static void write_record(struct entry *e, uint8_t *at, size_t len, const struct message *m)
{
    message_write(at, m, e->level->queue->queues->shard->now_ms);
    e->record = at;
    e->len = (uint32_t)len;
    e->body_len = (uint32_t)m->body.len;
}

static int store_in_memory(struct entry *e, const struct message *m)
{
    size_t len = message_record_bytes(m);
    uint8_t *at = queue_record_room(e->level->queue->queues, len, &e->chunk);
    if (!at)
        return ERR_NO_MEMORY;
    write_record(e, at, len, m);
    return 0;
}

static int store(struct queue_level *l, struct entry *e, const struct message *m, struct batch_wait *w)
{
    if (!l->log || !(m->flags & MESSAGE_PERSISTENT))
        return store_in_memory(e, m);
    size_t len = message_record_bytes(m);
    struct queue_batch *b = queue_batch_room(l, len);
    if (!b)
        return ERR_NO_MEMORY;
    uint8_t *at = b->chunk->data + b->len;
    b->len += len;
    e->chunk = chunk_ref(b->chunk);
    queue_batch_link(b, e);
    write_record(e, at, len, m);
    return batch_wait_join(b, w);
}

struct entry *queue_unborn(struct queue *q, const struct message *m)
{
    struct entry *e = entry_new(&q->level);
    if (store_in_memory(e, m) == 0)
        return e;
    entry_free(e);
    return NULL;
}

int queue_enqueue(struct queue *q, const struct message *m, struct batch_wait *w)
{
    struct message copy = *m;
    struct queues *qs = q->queues;
    int err = queue_admit(q, m);
    if (err)
        return err;
    if (keeps_all(q))
        copy.flags |= MESSAGE_PERSISTENT;
    struct queue_level *l = queue_level_of(q, m->priority, copy.flags & MESSAGE_PERSISTENT);
    if (q->forward) { /* it expires where it goes */
        copy.expires_ms = 0;
    } else {
        set_expiry(q, &copy, qs->shard->now_ms);
        copy.due_ms = 0;
    }
    struct entry *e = entry_new(l);
    int joined = store(l, e, &copy, w);
    if (joined < 0) {
        entry_free(e);
        return joined;
    }
    q->counts.published++;
    metrics_add(queue_metrics(q), METRIC_QUEUE_IN, 1);
    e->pos = l->next_pos++;
    e->expires_ms = copy.expires_ms;
    e->fresh = e->expires_ms && e->expires_ms <= qs->shard->now_ms;
    q->fresh_count += e->fresh;
    if (copy.due_ms > qs->shard->now_ms)
        entry_delay(e, copy.due_ms);
    else
        entry_make_ready(e);
    queue_wake(q);
    return joined;
}
