/* What has to survive a restart about deliveries: acknowledgements above the low-water mark, how often a
 * message came back and when it is due, and moves. The mark itself is the start of the queue's log.
 *
 * All of a shard's acknowledgements of a turn are written together, in the same group of the journal as its
 * messages; alone they wait for QUEUE_PERSIST_MS, so that an acknowledgement never causes a sync of its own,
 * unless somebody waits for it. They go to one of 64 command logs, by the queue's log id, so that they live
 * on the queue's shard.
 *
 * A command, big-endian; everything in it is idempotent, and a snapshot is one such command per log:
 *
 *   u8 version (0), u64 log id, u64 low-water mark, u64 number of the last move
 *   u32 count, each {u64 first, u64 last} acknowledged
 *   u32 count, each {u64 offset, u32 returned, u32 retried, i64 due ms, u64 move, u8 reason}; all 0 but
 * offset: none u32 count, each {u64 log, u64 number} of the last move that came from there
 *
 * A snapshot is "CLBQ", u8 version (0), then commands, each after its u32 length. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/queue_impl.h"

enum { VERSION = 0, RANGE_BYTES = 16, NOTE_BYTES = 41, SOURCE_BYTES = 16 };

static const uint8_t snapshot_magic[5] = {'C', 'L', 'B', 'Q', VERSION};

/* ---- notes -----------------------------------------------------------------------------------------------
 */

struct entry_note *level_note(struct queue_level *l, uint64_t offset, bool make)
{
    struct entry_note *n = l->notes.count ? map_get_u64(&l->notes, offset + 1) : NULL;
    if (!n && make) {
        n = mem_zalloc(sizeof(*n));
        n->offset = offset;
        map_put_u64(&l->notes, offset + 1, n);
    }
    return n;
}

void level_touch_note(struct queue_level *l, struct entry_note *n)
{
    if (l->stale_count == l->stale_cap) {
        l->stale_cap = l->stale_cap ? l->stale_cap * 2 : 4;
        l->stale = mem_realloc(l->stale, l->stale_cap * sizeof(*l->stale));
    }
    l->stale[l->stale_count++] = n->offset;
    queues_persist_later(l->queue->queues, l);
}

void level_drop_note(struct queue_level *l, uint64_t offset)
{
    mem_free(map_del_u64(&l->notes, offset + 1));
}

static struct level_source *source_of(struct queue_level *l, uint64_t origin)
{
    struct level_source *src = map_get_u64(&l->sources, origin + 1);
    if (!src) {
        src = mem_zalloc(sizeof(*src));
        src->origin = origin;
        map_put_u64(&l->sources, origin + 1, src);
    }
    return src;
}

static void set_source(struct queue_level *l, uint64_t origin, uint64_t seq, bool stale)
{
    struct level_source *src = source_of(l, origin);
    if (seq > src->seq)
        src->seq = seq;
    if (seq >= src->missed)
        src->missed = 0;
    src->stale = stale;
}

void level_missed_from(struct queue_level *l, uint64_t origin, uint64_t seq)
{
    struct level_source *src = source_of(l, origin);
    if (src->missed && src->missed < seq)
        return;
    src->missed = seq;
    src->missed_until_ns = l->queue->queues->shard->now_ns + QUEUE_MOVE_MISSED_MS * 1000000ull;
}

void level_came_from(struct queue_level *l, uint64_t origin, uint64_t seq)
{
    set_source(l, origin, seq, true);
    queues_persist_later(l->queue->queues, l);
    l->queue->queues->persist_now = true;
}

/* ---- writing ---------------------------------------------------------------------------------------------
 */

static void write_range(struct writer *w, uint64_t first, uint64_t last)
{
    write_i64(w, (int64_t)first);
    write_i64(w, (int64_t)last);
}

static void write_note(struct writer *w, uint64_t offset, const struct entry_note *n)
{
    static const struct entry_note none;
    n = n ? n : &none;
    write_i64(w, (int64_t)offset);
    write_u32(w, n->count);
    write_u32(w, n->retries);
    write_i64(w, n->due_ms);
    write_i64(w, (int64_t)n->move);
    write_i64(w, (int64_t)n->order);
    write_i8(w, (int8_t)n->reason);
}

static void write_head(struct writer *w, const struct queue_level *l)
{
    write_i8(w, VERSION);
    write_i64(w, (int64_t)log_id(l->log));
    write_i64(w, (int64_t)l->acked.low);
    write_i64(w, (int64_t)l->move_seq);
}

static uint32_t write_sources(struct writer *w, const struct queue_level *l, bool all)
{
    struct level_source *src;
    uint32_t n = 0;
    for (size_t i = 0; (src = map_next(&l->sources, &i));) {
        if (!all && !src->stale)
            continue;
        write_range(w, src->origin, src->seq);
        n++;
    }
    return n;
}

/* Only what is new. */
static void write_changes(struct writer *w, const struct queue_level *l)
{
    uint32_t n = 0;
    write_head(w, l);
    uint8_t *count = write_reserve_u32(w);
    for (uint32_t i = 0; i < l->unsaved_count; i++)
        if (l->unsaved[i].last >= l->acked.low && ++n)
            write_range(w, l->unsaved[i].first, l->unsaved[i].last);
    write_patch_u32(count, n);
    n = 0;
    count = write_reserve_u32(w);
    for (uint32_t i = 0; i < l->stale_count; i++)
        if (l->stale[i] >= l->acked.low && ++n)
            write_note(w, l->stale[i], map_get_u64(&l->notes, l->stale[i] + 1));
    write_patch_u32(count, n);
    count = write_reserve_u32(w);
    write_patch_u32(count, write_sources(w, l, false));
}

static void write_all(struct writer *w, const struct queue_level *l)
{
    uint32_t n = 0;
    uint64_t first, last, at = l->acked.low;
    const struct entry_note *note;
    write_head(w, l);
    uint8_t *count = write_reserve_u32(w);
    for (; acked_next_run(&l->acked, at, log_next(l->log), &first, &last); at = last + 1, n++)
        write_range(w, first, last);
    write_patch_u32(count, n);
    write_u32(w, (uint32_t)l->notes.count);
    for (size_t i = 0; (note = map_next(&l->notes, &i));)
        write_note(w, note->offset, note);
    write_u32(w, (uint32_t)l->sources.count);
    (void)write_sources(w, l, true);
}

static void written(struct queue_level *l)
{
    struct level_source *src;
    l->unsaved_count = l->stale_count = 0;
    if (l->unsaved_cap > 64) {
        mem_free(l->unsaved);
        l->unsaved = NULL;
        l->unsaved_cap = 0;
    }
    for (size_t i = 0; (src = map_next(&l->sources, &i));)
        src->stale = false;
}

static bool needs_command(const struct queue_level *l)
{
    struct level_source *src;
    for (uint32_t i = 0; i < l->unsaved_count; i++)
        if (l->unsaved[i].last >= l->acked.low)
            return true;
    for (uint32_t i = 0; i < l->stale_count; i++)
        if (l->stale[i] >= l->acked.low)
            return true;
    for (size_t i = 0; (src = map_next(&l->sources, &i));)
        if (src->stale)
            return true;
    return false;
}

static uint64_t command_log_of(uint64_t log_id)
{
    return QUEUE_COMMAND_LOGS + log_id % STORE_LOG_SLOTS;
}

static int append(struct shard *s, struct queue_level *l)
{
    struct outq q;
    struct writer w;
    outq_init(&q, &s->output_pool);
    writer_init(&w, &q);
    write_changes(&w, l);
    int err = w.err;
    if (!err) {
        size_t len = q.len;
        uint8_t *bytes = mem_alloc(len);
        outq_copy_to(&q, bytes);
        err = store_command_append(s->store, command_log_of(log_id(l->log)), span_of(bytes, len));
        mem_free(bytes);
    }
    outq_fini(&q);
    return err;
}

static int persist(struct shard *s, struct queue_level *l)
{
    int err = needs_command(l) ? append(s, l) : 0;
    if (err)
        return err;
    uint64_t mark = l->acked.low < log_durable(l->log) ? l->acked.low : log_durable(l->log);
    err = mark > log_start(l->log) ? log_set_start(l->log, mark) : 0;
    if (err)
        return err;
    written(l);
    shard_appended(s);
    level_compact_maybe(l);
    return mark == l->acked.low ? 0 : ERR_AGAIN; /* purged before it was durable */
}

static void begin_barriers(struct shard *s)
{
    struct queues *qs = s->queues;
    struct store_wait *w = qs->barriers, *next;
    qs->barriers = NULL;
    qs->barriers_tail = &qs->barriers;
    for (; w; w = next) {
        next = w->next;
        store_wait(s->store, w);
        shard_appended(s);
    }
}

static void time_to_persist(struct shard *s, struct shard_timer *t)
{
    (void)t;
    s->queues->persist_now = true; /* timers come before the submit */
}

void queues_persist(struct shard *s)
{
    struct queues *qs = s->queues;
    bool failed = false;
    if (!qs->persist_now || s->saving)
        return;
    list_each_safe (l, tmp, &qs->persist) {
        struct queue_level *level = list_entry(l, struct queue_level, persist_link);
        if (persist(s, level))
            failed = true;
        else
            list_del(l);
    }
    if (failed) { /* no room in the journal: soon again */
        shard_timer_set(s, &qs->persist_timer, s->now_ns + QUEUE_PERSIST_MS * 1000000ull);
        return;
    }
    qs->persist_now = false;
    shard_timer_cancel(s, &qs->persist_timer);
    begin_barriers(s);
}

void queues_save(struct shard *s)
{
    s->queues->persist_now = true;
    queues_seal(s);
}

void queues_persist_later(struct queues *qs, struct queue_level *l)
{
    if (!list_linked(&l->persist_link))
        list_add_tail(&qs->persist, &l->persist_link);
    if (!qs->persist_now && !qs->persist_timer.node.place) {
        qs->persist_timer.fire = time_to_persist;
        shard_timer_set(qs->shard, &qs->persist_timer, qs->shard->now_ns + QUEUE_PERSIST_MS * 1000000ull);
    }
}

void queues_barrier(struct shard *s, struct store_wait *w)
{
    struct queues *qs = s->queues;
    w->next = NULL;
    *qs->barriers_tail = w;
    qs->barriers_tail = &w->next;
    qs->persist_now = true;
    s->again = true;
}

void queues_snapshot(struct shard *s, unsigned slot, struct outq *out)
{
    struct writer w;
    struct queue *q;
    writer_init(&w, out);
    write_bytes(&w, span_of(snapshot_magic, sizeof(snapshot_magic)));
    for (size_t i = 0; (q = queue_next(s->queues, &i));) {
        if (q->info->id % STORE_LOG_SLOTS != slot)
            continue;
        for (unsigned n = 0; n < q->level_count; n++) {
            const struct queue_level *l = queue_level_at(q, n);
            if (!l || !l->log || (!l->acked.above && !l->notes.count && !l->sources.count && !l->move_seq))
                continue;
            uint8_t *length = write_reserve_u32(&w);
            size_t before = w.q->len;
            write_all(&w, l);
            if (!w.err)
                write_patch_u32(length, (uint32_t)(w.q->len - before));
        }
    }
    if (w.err)
        outq_fini(out);
}

/* ---- reading, at the start -------------------------------------------------------------------------------
 */

static struct queue_fold *fold_of(struct queues *qs, uint64_t log_id)
{
    struct queue_fold *f = map_get_u64(&qs->folds, log_id + 1);
    if (!f) {
        f = mem_zalloc(sizeof(*f));
        f->level.magic = QUEUE_LEVEL_MAGIC;
        acked_init(&f->level.acked, 0);
        map_init(&f->level.notes);
        map_init(&f->level.sources);
        f->log_id = log_id;
        map_put_u64(&qs->folds, log_id + 1, f);
    }
    return f;
}

static void read_note(struct reader *r, struct queue_level *l)
{
    struct entry_note n = {.offset = (uint64_t)read_i64(r)};
    n.count = read_u32(r);
    n.retries = read_u32(r);
    n.due_ms = read_i64(r);
    n.move = (uint64_t)read_i64(r);
    n.order = (uint64_t)read_i64(r);
    n.reason = (uint8_t)read_i8(r);
    if (r->err || n.offset > INT64_MAX || n.reason > DEATH_DELIVERY_LIMIT) {
        reader_fail(r, ERR_INVALID, "a note");
        return;
    }
    if (!n.count && !n.retries && !n.due_ms && !n.move && !n.order)
        level_drop_note(l, n.offset);
    else
        *level_note(l, n.offset, true) = n;
}

static uint32_t read_count(struct reader *r, size_t each)
{
    uint32_t n = read_u32(r);
    if (n > reader_left(r) / each)
        reader_fail(r, ERR_INVALID, "more elements than bytes");
    return r->err ? 0 : n;
}

int queues_replay(struct shard *s, struct span command)
{
    struct reader r;
    reader_init(&r, command, NULL);
    if (read_i8(&r) != VERSION)
        reader_fail(&r, ERR_INVALID, "a version of the future");
    uint64_t id = (uint64_t)read_i64(&r), low = (uint64_t)read_i64(&r), seq = (uint64_t)read_i64(&r);
    if (r.err || id > INT64_MAX || low > INT64_MAX)
        return ERR_CORRUPT;
    struct queue_level *l = &fold_of(s->queues, id)->level;
    if (seq > l->move_seq)
        l->move_seq = seq;
    if (low > 0)
        acked_add(&l->acked, 0, low - 1);
    for (uint32_t n = read_count(&r, RANGE_BYTES); n-- > 0 && !r.err;) {
        uint64_t first = (uint64_t)read_i64(&r), last = (uint64_t)read_i64(&r);
        if (first > last || last > INT64_MAX)
            return ERR_CORRUPT;
        acked_add(&l->acked, first, last);
    }
    for (uint32_t n = read_count(&r, NOTE_BYTES); n-- > 0 && !r.err;)
        read_note(&r, l);
    for (uint32_t n = read_count(&r, SOURCE_BYTES); n-- > 0 && !r.err;) {
        uint64_t origin = (uint64_t)read_i64(&r), number = (uint64_t)read_i64(&r);
        if (origin < INT64_MAX)
            set_source(l, origin, number, false);
    }
    return r.err || reader_left(&r) ? ERR_CORRUPT : 0;
}

int queues_restore(struct shard *s, struct span snapshot)
{
    struct reader r;
    reader_init(&r, snapshot, NULL);
    if (!span_eq(read_bytes(&r, sizeof(snapshot_magic)), span_of(snapshot_magic, sizeof(snapshot_magic))))
        return ERR_CORRUPT;
    while (!r.err && reader_left(&r) > 0) {
        struct span command = read_bytes(&r, read_u32(&r));
        int err = r.err ? ERR_CORRUPT : queues_replay(s, command);
        if (err)
            return err;
    }
    return r.err ? ERR_CORRUPT : 0;
}

static void fold_free(struct queue_fold *f)
{
    level_memory_fini(&f->level);
    mem_free(f);
}

void queue_fold_take(struct queue_level *l)
{
    struct queue_fold *f = map_del_u64(&l->queue->queues->folds, log_id(l->log) + 1);
    uint64_t start = log_start(l->log), next = log_next(l->log);
    if (f) {
        struct acked acked = l->acked;
        l->acked = f->level.acked;
        f->level.acked = acked;
        struct map notes = l->notes, sources = l->sources;
        l->notes = f->level.notes;
        l->sources = f->level.sources;
        f->level.notes = notes;
        f->level.sources = sources;
        l->move_seq = f->level.move_seq;
        fold_free(f);
    }
    if (start > l->acked.low && start > 0)
        acked_add(&l->acked, 0, start - 1);
    assert(l->acked.low <= next || log_damaged(l->log));
}

void queues_folds_fini(struct queues *qs)
{
    struct queue_fold *f;
    for (size_t i = 0; (f = map_next(&qs->folds, &i));)
        fold_free(f);
    map_fini(&qs->folds);
    map_init(&qs->folds);
}
