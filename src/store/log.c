/* Logs: appending, and what is known of a log beyond its records. */
#include "store/log_impl.h"

#include <assert.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"

/* ---- life ---- */

struct log *log_new(struct store_shard *ss, uint64_t id, const struct log_config *cfg)
{
    struct log *l = mem_zalloc(sizeof(*l));
    l->magic = LOG_MAGIC;
    l->id = id;
    l->ss = ss;
    l->config = *cfg;
    l->max_ts = -1;
    tail_init(&l->tail);
    producers_init(&l->producers);
    list_init(&l->pin_link);
    list_init(&l->tail_link);
    list_init(&l->os_link);
    list_init(&l->state_link);
    l->waits_tail = &l->waits;
    ptrset_put(&ss->logs, hash_u64(id), l);
    atomic_fetch_add_explicit(&ss->st->log_count, 1, memory_order_relaxed);
    return l;
}

static void remove_dir(const struct log *l)
{
    char path[STORE_PATH_BYTES];
    store_log_dir(l->id, path);
    state_unlink(l);
    segment_unlink(l->ss->st, path, true);
}

void log_free(struct log *l)
{
    assert(l->magic == LOG_MAGIC && l->refs == 0 && !l->flush);
    for (size_t i = 0; i < l->segment_count; i++)
        segment_free(l->segments[i]);
    mem_free(l->segments);
    mem_free(l->epochs);
    tail_fini(&l->tail);
    producers_fini(&l->producers);
    list_del(&l->pin_link);
    list_del(&l->tail_link);
    list_del(&l->os_link);
    list_del(&l->state_link);
    mem_free(l->state);
    if (l->deleted)
        remove_dir(l);
    else
        ptrset_del(&l->ss->logs, hash_u64(l->id), l);
    mem_free(l->spill);
    mem_free(l->old_spill);
    atomic_fetch_sub_explicit(&l->ss->st->log_count, 1, memory_order_relaxed);
    l->magic = 0;
    mem_free(l);
}

void log_unref(struct log *l)
{
    assert(l->magic == LOG_MAGIC && l->refs > 0);
    l->refs--;
    if (l->deleted && l->refs == 0 && !l->flush)
        log_free(l);
}

struct log *store_log_new(struct store_shard *ss, uint64_t id, const struct log_config *cfg)
{
    return log_new(ss, id, cfg);
}

static bool has_id(const void *item, const void *key)
{
    return ((const struct log *)item)->id == *(const uint64_t *)key;
}

struct log *store_log_get(struct store_shard *ss, uint64_t id)
{
    return ptrset_get(&ss->logs, hash_u64(id), has_id, &id);
}

bool log_alive(const struct log *l)
{
    return !l->deleted && !l->damaged;
}

/* ---- figures ---- */

uint64_t log_id(const struct log *l)
{
    return l->id;
}

uint64_t log_start(const struct log *l)
{
    return l->start;
}

uint64_t log_next(const struct log *l)
{
    return l->next;
}

uint64_t log_durable(const struct log *l)
{
    return l->durable;
}

uint32_t log_epoch(const struct log *l)
{
    return l->epoch_count ? l->epochs[l->epoch_count - 1].epoch : 0;
}

uint64_t log_bytes(const struct log *l)
{
    return l->segment_bytes + l->tail.bytes;
}

int64_t log_max_timestamp(const struct log *l)
{
    return l->max_ts;
}

bool log_damaged(const struct log *l)
{
    return l->damaged;
}

void *log_user(const struct log *l)
{
    return l->user;
}

void log_set_user(struct log *l, void *user)
{
    l->user = user;
}

void log_set_config(struct log *l, const struct log_config *cfg)
{
    l->config = *cfg;
}

/* ---- leader epochs ---- */

static void epoch_note(struct log *l, uint32_t epoch, uint64_t start)
{
    if (l->epoch_count && l->epochs[l->epoch_count - 1].epoch >= epoch)
        return;
    l->epochs = mem_realloc(l->epochs, (l->epoch_count + 1) * sizeof(*l->epochs));
    l->epochs[l->epoch_count++] = (struct epoch_start){epoch, start};
}

void log_bump_epoch(struct log *l)
{
    epoch_note(l, log_epoch(l) + 1, l->next);
}

void log_epoch_end(const struct log *l, int32_t epoch, int32_t *ret_epoch, int64_t *ret_end)
{
    *ret_epoch = -1;
    *ret_end = -1;
    if (epoch < 0 || (uint32_t)epoch > log_epoch(l))
        return;
    if ((uint32_t)epoch == log_epoch(l)) { /* Kafka: the present epoch ends at the log's end */
        *ret_epoch = epoch;
        *ret_end = (int64_t)l->durable;
        return;
    }
    for (size_t i = l->epoch_count; i-- > 0;) {
        if (l->epochs[i].epoch <= (uint32_t)epoch) {
            *ret_epoch = (int32_t)l->epochs[i].epoch;
            *ret_end = (int64_t)(i + 1 < l->epoch_count ? l->epochs[i + 1].start : l->durable);
            return;
        }
    }
}

/* ---- append ---- */

/* The fold over batches: what the log knows beyond its records. */
void log_apply_batch(struct log *l, const uint8_t *b, int64_t now_ms)
{
    epoch_note(l, (uint32_t)batch_leader_epoch(b), (uint64_t)batch_base_offset(b));
    if (batch_max_timestamp(b) > l->max_ts)
        l->max_ts = batch_max_timestamp(b);
    if (batch_max_timestamp(b) < 0)
        l->untimed_ms = now_ms;
    if (batch_producer_id(b) >= 0)
        producers_append(&l->producers, b, now_ms);
}

/* Memory first, then the journal: a tail that cannot be flushed fast enough holds its publishers back. */
static int admit(struct log *l, size_t len)
{
    struct store_shard *ss = l->ss;
    size_t used = atomic_load_explicit(&ss->tail_pool.used_bytes, memory_order_relaxed);
    if (used > 2 * ss->tail_limit + len && !list_empty(&ss->tails)) {
        flush_pressure(ss);
        ss->starved = true;
        return ss->disk_full ? ERR_NO_SPACE : ERR_AGAIN;
    }
    if (l->config.durability == LOG_OS)
        return ss->disk_full ? ERR_NO_SPACE : atomic_load(&ss->st->failed) ? ERR_IO : 0;
    int err = group_admit(ss, len, false);
    return err == ERR_AGAIN && ss->disk_full ? ERR_NO_SPACE : err;
}

static void journal_batch(struct log *l, const struct tail_batch *b)
{
    struct journal_entry e = {
        .log_id = l->id,
        .base = b->base,
        .epoch = log_epoch(l),
        .type = JOURNAL_BATCH,
        .body = span_of(b->ptr, b->len),
        .chunk = chunk_ref(b->chunk),
        .user = l,
    };
    group_add(l->ss, &e);
}

static void push_tail(struct log *l, const struct tail_batch *b)
{
    if (l->tail.count == 0)
        list_add_tail(&l->ss->tails, &l->tail_link);
    tail_push(&l->tail, b);
}

int log_append(struct log *l, struct span batch, uint64_t *ret_base, int64_t *ret_timestamp)
{
    assert(batch.len >= BATCH_HEADER_BYTES && batch_bytes(batch.ptr) == batch.len);
    if (l->damaged)
        return ERR_CORRUPT;
    if (batch_producer_id(batch.ptr) >= 0) {
        const struct producer_batch *known;
        int r = producers_check(&l->producers, batch.ptr, &known);
        if (r == 1) {
            *ret_base = known->base_offset;
            if (ret_timestamp)
                *ret_timestamp = known->timestamp;
        }
        if (r)
            return r;
    }
    int err = admit(l, batch.len);
    if (err)
        return err;
    struct tail_batch b;
    err = tail_store(l->ss, batch, &b); /* an admitted but unused reserve goes back with the group */
    if (err)
        return err;
    uint8_t *bytes = (uint8_t *)b.ptr;
    batch_set_base_offset(bytes, (int64_t)l->next);
    batch_set_leader_epoch(bytes, (int32_t)log_epoch(l));
    b.base = l->next;
    b.count = (uint32_t)batch_last_offset_delta(bytes) + 1;
    b.max_ts = batch_max_timestamp(bytes);
    push_tail(l, &b);
    l->next += b.count;
    log_apply_batch(l, bytes, os_wall_ms());
    if (l->config.durability == LOG_FSYNC)
        journal_batch(l, &b);
    else if (!list_linked(&l->os_link))
        list_add_tail(&l->ss->os_dirty, &l->os_link);
    *ret_base = b.base;
    return 0;
}

/* ---- durability ---- */

void log_wait(struct log *l, struct store_wait *w)
{
    if (l->config.durability == LOG_FSYNC || l->durable >= l->next) {
        store_wait(l->ss, w);
        return;
    }
    w->until = l->next;
    w->next = NULL;
    *l->waits_tail = w;
    l->waits_tail = &w->next;
}

void log_advance(struct log *l, uint64_t durable)
{
    assert(durable >= l->durable && durable <= l->next);
    l->durable = durable;
    while (l->waits && l->waits->until <= durable) {
        struct store_wait *w = l->waits;
        l->waits = w->next;
        if (!l->waits)
            l->waits_tail = &l->waits;
        if (l->starts_pending) /* a trim among them is durable with the journal, not with the segment */
            store_wait(l->ss, w);
        else
            w->done(w, 0);
    }
    l->ss->st->ev.advanced(l->ss->st->ev.arg, l);
}

static void fail_waits(struct log *l, int err)
{
    struct store_wait *w = l->waits;
    l->waits = NULL;
    l->waits_tail = &l->waits;
    while (w) {
        struct store_wait *next = w->next;
        w->done(w, err);
        w = next;
    }
}

/* ---- start and end ---- */

struct start_wait {
    struct store_wait wait;
    struct log *log;
    uint64_t start; /* l->start may have moved on, not durably yet */
};

/* The new start is durable: recovery will not look below it, so the files may go (start before unlink). */
static void start_durable(struct store_wait *w, int err)
{
    struct start_wait *sw = container_of(w, struct start_wait, wait);
    struct log *l = sw->log;
    l->starts_pending--;
    if (!err && log_alive(l)) {
        if (sw->start > l->start_durable)
            l->start_durable = sw->start;
        log_drop_old(l);
    }
    mem_free(sw);
    log_unref(l);
}

int log_set_start(struct log *l, uint64_t offset)
{
    if (l->damaged)
        return ERR_CORRUPT;
    if (offset > l->durable)
        return ERR_OFFSET_RANGE;
    if (offset <= l->start)
        return 0;
    int err = group_admit(l->ss, 0, true);
    if (err)
        return err;
    struct journal_entry e = {.log_id = l->id, .base = offset, .type = JOURNAL_START, .user = l};
    group_add(l->ss, &e);
    l->start = offset;
    struct start_wait *sw = mem_zalloc(sizeof(*sw));
    sw->wait.done = start_durable;
    sw->log = l;
    sw->start = offset;
    l->refs++;
    l->starts_pending++;
    store_wait(l->ss, &sw->wait);
    return 0;
}

void log_remove_files(struct log *l)
{
    while (l->segment_count > 0)
        segment_doom(l->segments[--l->segment_count]);
    l->segment_bytes = 0;
}

void store_log_delete(struct log *l)
{
    struct store_shard *ss = l->ss;
    fail_waits(l, ERR_NOT_FOUND);
    ptrset_del(&ss->logs, hash_u64(l->id), l);
    l->deleted = true;
    list_del(&l->pin_link);
    list_del(&l->os_link);
    list_del(&l->state_link);
    list_del(&l->tail_link);
    pin_tell(ss);
    if (!l->flush) {
        tail_fini(&l->tail);
        log_remove_files(l);
    } /* else the flush's end does it */
    l->refs++;
    log_unref(l);
}

void log_check(const struct log *l)
{
    assert(l->magic == LOG_MAGIC);
    if (!log_alive(l))
        return;
    assert(l->saved <= l->written && l->written <= l->durable && l->durable <= l->next); /* 1 */
    assert(l->start <= l->durable);
    if (l->tail.count) { /* 2 */
        const struct tail_batch *first = tail_at(&l->tail, 0), *last = tail_at(&l->tail, l->tail.count - 1);
        assert(first->base == l->written && last->base + last->count == l->next);
    } else {
        assert(l->written == l->next);
    }
    for (size_t i = 1; i < l->segment_count; i++) /* 3 */
        assert(l->segments[i - 1]->next == l->segments[i]->base);
    assert(l->segment_count ? l->segments[l->segment_count - 1]->next == l->written : l->written <= l->start);
    assert((l->pin_lsn != 0) == list_linked(&l->pin_link)); /* 4 */
    assert(!(l->flush && l->saving));                       /* 5 */
}
