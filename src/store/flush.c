/* Flushing: writing tails to their segments in the background, on the disk pool.
 *
 * A flush without sync gives memory back: the batches are in the page cache then, and still in the journal. A
 * flush with sync lets the journal go: after the sync, a state entry that names the synced length is
 * appended, and once that is durable the log needs nothing older. LOG_OS logs have no journal: for them the
 * write itself is what publishers wait for. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "store/log_impl.h"

enum {
    RETRY_NS = 500000000,
    RESERVE_BYTES = 1 << 20, /* of space ahead of a segment's end, at the most */
    HINT_BYTES = 1 << 20,    /* written, and not on the way to the disk yet */
};

/* ---- planning, on the shard ---- */

static uint64_t writable(const struct log *l)
{
    return l->config.durability == LOG_OS ? l->tail.count : l->tail_durable;
}

static struct segment *last_segment(const struct log *l)
{
    return l->segment_count ? l->segments[l->segment_count - 1] : NULL;
}

/* A segment is so old at a batch that this one begins the next: Kafka's LogSegment.timeWaitedForRoll(). It
 * goes by the timestamps of the records, so that history that is copied to a topic is divided, and later
 * removed, as if it had been written in its time. Where the first batch has none, by the clock. The first
 * flush after a start reads the first batch; until then none is too old. */
static bool too_old(const struct log *l, int64_t first_ms, int64_t created_ms, int64_t batch_ms)
{
    int64_t waited;
    if (l->config.segment_ms == 0 || first_ms == FIRST_UNKNOWN)
        return false;
    if (first_ms < 0)
        return os_wall_ms() - created_ms > l->config.segment_ms;
    return !__builtin_sub_overflow(batch_ms, first_ms, &waited) && waited > l->config.segment_ms;
}

static bool takes(const struct segment *seg, const struct tail_batch *b)
{
    const struct log *l = seg->log;
    return seg->len == 0 || (seg->len + b->len <= l->config.segment_bytes &&
                             !too_old(l, seg->first_ms, seg->created_ms, b->max_ts));
}

/* The segment that takes the next batch: the last one, or a new one when that is full or old. */
static void choose_segment(struct log *l, struct flush *f)
{
    struct segment *seg = last_segment(l);
    if (seg && (writable(l) == 0 || takes(seg, tail_at(&l->tail, 0)))) {
        f->seg = seg;
    } else {
        if (seg && (seg->dirty || seg->dir_dirty)) { /* sealed: nothing will sync it later */
            f->full = seg;
            segment_pin(seg);
        }
        f->seg = segment_new(l, l->written);
        f->seg->created_ms = os_wall_ms();
        f->seg->dir_dirty = true;
    }
    segment_pin(f->seg);
    f->pos = f->seg->len;
    f->end = l->written;
    f->max_ts = f->seg->max_ts;
    f->first_ms = f->seg->first_ms;
    f->reserved = f->seg->reserved;
    f->hinted = f->seg->hinted < f->pos ? f->seg->hinted : f->pos;
    f->mark_at = f->seg->index_count;
}

static void add_span(struct flush *f, struct span s, size_t *cap)
{
    struct span *last = f->span_count ? &f->spans[f->span_count - 1] : NULL;
    if (last && last->ptr + last->len == s.ptr) {
        last->len += s.len;
        return;
    }
    if (f->span_count == *cap) {
        *cap = *cap ? *cap * 2 : 8;
        f->spans = mem_realloc(f->spans, *cap * sizeof(*f->spans));
    }
    f->spans[f->span_count++] = s;
}

static void choose_batches(struct log *l, struct flush *f)
{
    size_t cap = 0, n = writable(l);
    uint64_t mark_pos = f->seg->indexed_pos;
    bool first_mark = f->seg->index_count == 0;
    for (size_t i = 0; i < n; i++) {
        const struct tail_batch *b = tail_at(&l->tail, i);
        bool begun = f->pos + f->len > 0;
        bool full = begun && f->pos + f->len + b->len > l->config.segment_bytes;
        if (!begun)
            f->first_ms = b->max_ts;
        if (full || (f->len && too_old(l, f->first_ms, f->seg->created_ms, b->max_ts)) ||
            (f->len && f->len + b->len > FLUSH_MAX_BYTES))
            break;
        uint64_t at = f->pos + f->len;
        if (first_mark || at >= mark_pos + l->config.index_interval_bytes) {
            index_add(&f->marks,
                      (struct index_entry){b->base, (uint32_t)at, f->max_ts < 0 ? INT64_MIN : f->max_ts});
            mark_pos = at;
            first_mark = false;
        }
        add_span(f, span_of(b->ptr, b->len), &cap);
        f->len += b->len;
        f->end = b->base + b->count;
        f->batches++;
        if (b->max_ts > f->max_ts)
            f->max_ts = b->max_ts;
    }
}

static struct flush *flush_plan(struct log *l, bool sync)
{
    struct flush *f = mem_zalloc(sizeof(*f));
    f->log = l;
    f->opened = -1;
    f->sync = sync;
    index_init(&f->marks);
    index_init(&f->index);
    choose_segment(l, f);
    choose_batches(l, f);
    f->sync_dir = sync && f->seg->dir_dirty;
    l->flush = f;
    l->ss->flushes++;
    return f;
}

/* ---- writing, on a thread of the pool ---- */

static struct blobs *blobs_of(const struct flush *f)
{
    return f->log->ss->st->blobs;
}

static int open_segment(struct flush *f, int *ret_file)
{
    char path[STORE_PATH_BYTES];
    if (f->seg->file >= 0) {
        *ret_file = f->seg->file;
        return 0;
    }
    store_segment_path(f->log->id, f->seg->base, "log", path);
    f->opened = blobs_of(f)->ops->open(blobs_of(f), path, BLOB_WRITE | BLOB_CREATE);
    *ret_file = f->opened;
    return f->opened < 0 ? f->opened : 0;
}

static int sync_dirs(const struct flush *f)
{
    char path[STORE_PATH_BYTES];
    store_log_dir(f->log->id, path);
    return blobs_of(f)->ops->sync_names(blobs_of(f), path);
}

static void write_marks(const struct flush *f)
{
    char path[STORE_PATH_BYTES];
    if (f->marks.count == 0)
        return;
    store_segment_path(f->log->id, f->seg->base, "idx", path);
    struct blobs *b = blobs_of(f);
    int file = b->ops->open(b, path, BLOB_WRITE | BLOB_CREATE | (f->mark_at == 0 ? BLOB_EMPTY : 0));
    if (file < 0)
        return; /* rebuilt when it is read */
    uint8_t header[INDEX_HEADER_BYTES], *bytes = mem_alloc(f->marks.count * INDEX_ENTRY_BYTES);
    index_encode_header(f->seg->base, header);
    for (size_t i = 0; i < f->marks.count; i++)
        index_encode(&f->marks.entries[i], f->seg->base, bytes + i * INDEX_ENTRY_BYTES);
    struct span head = span_of(header, sizeof(header)),
                s = span_of(bytes, f->marks.count * INDEX_ENTRY_BYTES);
    if (f->mark_at == 0)
        b->ops->append(b, file, &head, 1, 0);
    b->ops->append(b, file, &s, 1, INDEX_HEADER_BYTES + (uint64_t)f->mark_at * INDEX_ENTRY_BYTES);
    b->ops->close(b, file);
    mem_free(bytes);
}

/* The index of a segment that recovery took over: known again before marks are added to it. */
static int know_index(struct flush *f, int file)
{
    if (f->pos == 0 || f->mark_at > 0)
        return 0;
    int err = segment_load_index(f->seg, file, f->seg->next, f->pos, true, &f->index);
    f->mark_at = (uint32_t)f->index.count;
    f->index_loaded = !err;
    return err;
}

/* The first batch of a segment that recovery took over. */
static int know_first(struct flush *f, int file)
{
    uint8_t head[BATCH_HEADER_BYTES];
    if (f->pos == 0 || f->first_ms != FIRST_UNKNOWN)
        return 0;
    int64_t n = blobs_of(f)->ops->read(blobs_of(f), file, head, sizeof(head), 0);
    if (n < (int64_t)sizeof(head))
        return n < 0 ? (int)n : ERR_CORRUPT;
    f->first_ms = batch_max_timestamp(head);
    return 0;
}

/* Small flushes of LOG_OS, one for each turn, ask for more space than they need: as much as is there already,
 * so that small logs waste little. */
static int reserve(struct flush *f, int file)
{
    struct blobs *b = blobs_of(f);
    uint64_t end = f->pos + f->len, ahead = 0;
    if (end <= f->reserved)
        return 0;
    if (f->log->config.durability == LOG_OS)
        ahead = f->pos < RESERVE_BYTES ? f->pos : RESERVE_BYTES;
    f->reserved = end + ahead;
    int err = b->ops->reserve(b, file, f->pos, f->len + ahead);
    if (err != ERR_NO_SPACE || ahead == 0)
        return err;
    f->reserved = end;
    return b->ops->reserve(b, file, f->pos, f->len);
}

static int write_batches(struct flush *f, int file)
{
    if (f->len == 0)
        return 0;
    struct blobs *b = blobs_of(f);
    int err = reserve(f, file);
    if (!err)
        err = b->ops->append(b, file, f->spans, f->span_count, f->pos);
    uint64_t end = f->pos + f->len;
    if (!err && !f->sync && end - f->hinted >= HINT_BYTES) {
        b->ops->write_soon(b, file, f->hinted, end - f->hinted);
        f->hinted = end;
    }
    return err;
}

static void flush_run(struct os_job *job)
{
    struct flush *f = container_of(job, struct flush, job);
    struct blobs *b = blobs_of(f);
    int file, err = 0;
    if (f->full && f->full->file >= 0)
        err = b->ops->sync(b, f->full->file);
    if (!err && f->full && f->full->dir_dirty)
        err = sync_dirs(f);
    if (!err)
        err = open_segment(f, &file);
    if (!err)
        err = know_index(f, file);
    if (!err)
        err = know_first(f, file);
    if (!err)
        err = write_batches(f, file);
    if (!err)
        write_marks(f);
    if (!err && f->sync) {
        err = b->ops->sync(b, file);
        f->hinted = f->pos + f->len;
    }
    if (!err && f->sync_dir)
        err = sync_dirs(f);
    f->err = err;
}

/* ---- the end, on the shard again ---- */

static void set_dirty(struct segment *seg, bool dirty)
{
    if (seg->dirty != dirty) {
        seg->dirty = dirty;
        if (dirty)
            seg->log->ss->dirty_files++;
        else
            seg->log->ss->dirty_files--;
    }
}

static void apply_written(struct log *l, struct flush *f)
{
    struct segment *seg = f->seg;
    seg->len = f->pos + f->len;
    seg->next = f->end;
    seg->max_ts = f->max_ts;
    seg->first_ms = f->first_ms;
    seg->reserved = f->reserved;
    seg->hinted = f->hinted;
    seg->index_count = f->mark_at + (uint32_t)f->marks.count;
    if (f->marks.count)
        seg->indexed_pos = f->marks.entries[f->marks.count - 1].pos;
    if (f->index_loaded && !seg->index_loaded) {
        seg->index = f->index;
        index_init(&f->index);
        seg->index_loaded = true;
    }
    for (size_t i = 0; seg->index_loaded && i < f->marks.count; i++)
        index_add(&seg->index, f->marks.entries[i]);
    if (f->pos == 0 && !seg->index_loaded) { /* new: the whole index is known */
        seg->index = f->marks;
        index_init(&f->marks);
        seg->index_loaded = true;
    }
    l->segment_bytes += f->len;
    for (size_t i = 0; i < f->batches; i++) {
        tail_drop_first(&l->tail);
        if (l->tail_durable)
            l->tail_durable--;
    }
    if (l->tail.count == 0)
        list_del(&l->tail_link);
    l->written = f->end;
    set_dirty(seg, !f->sync && (seg->dirty || f->len));
    if (f->sync)
        seg->dir_dirty = false;
    if (f->full) {
        set_dirty(f->full, false);
        f->full->dir_dirty = false;
    }
}

static void flush_free(struct flush *f)
{
    struct log *l = f->log;
    struct store_shard *ss = l->ss;
    l->flush = NULL;
    ss->flushes--;
    segment_adopt(f->seg, f->opened);
    l->refs++; /* unpinning may drop the last reference of a deleted log */
    segment_unpin(f->seg);
    if (f->full)
        segment_unpin(f->full);
    mem_free(f->spans);
    index_fini(&f->marks);
    index_fini(&f->index);
    mem_free(f);
    if (l->deleted) {
        tail_fini(&l->tail);
        log_remove_files(l);
    }
    log_unref(l);
}

void disk_is_full(struct store_shard *ss)
{
    if (!ss->disk_full)
        say_error("store", "no space left on the disk: publishers are refused until there is", "shard=%u",
                  ss->index);
    ss->disk_full = true;
    ss->retry_at_ns = ss->now_ns + RETRY_NS;
    ss->starved = true; /* whoever waits for memory must hear that there will be none */
}

static void flush_failed(struct log *l, struct flush *f)
{
    if (f->err != ERR_NO_SPACE) {
        store_fail(l->ss->st, f->err, "writing a segment");
        return;
    }
    disk_is_full(l->ss);
    if (f->pos == 0 && f->seg->len == 0 && l->segment_count && last_segment(l) == f->seg && !f->seg->doomed) {
        l->segment_count--; /* it never came to be */
        f->seg->doomed = true;
    }
}

void disk_is_fine(struct store_shard *ss)
{
    if (!ss->disk_full)
        return;
    ss->disk_full = false;
    ss->starved = true;
    say_info("store", "there is space on the disk again, publishers go on", "shard=%u", ss->index);
}

static void flush_done(struct os_job *job)
{
    struct flush *f = container_of(job, struct flush, job);
    struct log *l = f->log;
    bool save = false;
    if (f->err) {
        flush_failed(l, f);
    } else if (!l->deleted) {
        disk_is_fine(l->ss);
        apply_written(l, f);
        save = f->sync && l->ss->st->started;
        if (l->config.durability == LOG_OS && l->written > l->durable)
            log_advance(l, l->written);
    }
    l->refs++;
    flush_free(f);
    if (!l->deleted)
        log_drop_old(l); /* the start may have moved meanwhile */
    if (save && !l->deleted) {
        size_t len;
        uint8_t *state = state_encode(l, l->next, &len);
        state_append(l, state, len, l->next);
    }
    log_unref(l);
}

/* ---- when to flush ---- */

static bool can_start(const struct log *l)
{
    return !l->flush && !l->saving && log_alive(l);
}

bool flush_start(struct log *l, bool sync)
{
    struct store_shard *ss = l->ss;
    if (!can_start(l))
        return true;
    if (l->config.durability == LOG_OS && !atomic_load_explicit(&ss->st->marked, memory_order_relaxed))
        return false; /* a crash from here on must be known as one */
    if (ss->flushes >= MAX_FLUSHES || (ss->disk_full && ss->now_ns < ss->retry_at_ns))
        return false;
    if (!sync && writable(l) == 0)
        return true;
    struct segment *seg = last_segment(l);
    if (writable(l) == 0 && (!seg || !(seg->dirty || seg->dir_dirty))) { /* only the state is to be renewed */
        size_t len;
        uint8_t *state = state_encode(l, l->next, &len);
        state_append(l, state, len, l->next);
        return true;
    }
    if (ss->dirty_files >= ss->max_files / 2)
        sync = true; /* unsynced files stay open: keep their number down */
    struct flush *f = flush_plan(l, sync);
    f->job = (struct os_job){.run = flush_run, .done = flush_done, .home = ss->loop};
    os_pool_submit(ss->st->pool, &f->job);
    return true;
}

bool flush_run_now(struct log *l)
{
    struct flush *f = flush_plan(l, true);
    f->job = (struct os_job){.run = flush_run};
    f->job.run(&f->job);
    int err = f->err;
    flush_done(&f->job);
    return err == 0;
}

/* Flushes the larger tails first; gathers what is left when small remnants keep many chunks alive. */
void flush_pressure(struct store_shard *ss)
{
    size_t used = atomic_load_explicit(&ss->tail_pool.used_bytes, memory_order_relaxed);
    if (used <= ss->tail_limit || ss->flushes >= MAX_FLUSHES)
        return;
    uint64_t sum = 0, logs = 0;
    list_each (it, &ss->tails) {
        sum += list_entry(it, struct log, tail_link)->tail.bytes;
        logs++;
    }
    if (sum < ss->tail_limit / 2) {
        if (ss->flushes == 0 && ss->groups_in_flight == 0)
            tail_compact(ss);
        return;
    }
    uint64_t at_least = sum / (2 * logs);
    list_each_safe (it, tmp, &ss->tails) {
        struct log *l = list_entry(it, struct log, tail_link);
        if (l->tail.bytes < at_least || !can_start(l) || writable(l) == 0)
            continue;
        if (!flush_start(l, false))
            return;
        list_del(&l->tail_link); /* next time the others come first */
        list_add_tail(&ss->tails, &l->tail_link);
    }
}

void flush_os(struct store_shard *ss)
{
    list_each_safe (it, tmp, &ss->os_dirty) {
        struct log *l = list_entry(it, struct log, os_link);
        if (l->flush || l->saving)
            continue;
        if (writable(l) == 0)
            list_del(&l->os_link);
        else if (!flush_start(l, false))
            return;
    }
}
