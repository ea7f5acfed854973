/* Reading: from the tail by reference, from segments at once where the page cache has it, else on the pool.
 */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/log_impl.h"

/* ---- from the tail ---- */

static void add_slice(struct log_read *r, struct chunk *chunk, struct span s)
{
    struct slice *last = r->data.count ? &r->data.slices[r->data.count - 1] : NULL;
    r->data.len += s.len;
    if (last && last->chunk == chunk && last->ptr + last->len == s.ptr) {
        last->len += s.len;
        return;
    }
    if (r->data.count == r->slices_cap) {
        r->slices_cap = r->slices_cap ? r->slices_cap * 2 : 4;
        r->data.slices = mem_realloc(r->data.slices, r->slices_cap * sizeof(struct slice));
    }
    r->data.slices[r->data.count++] = (struct slice){chunk_ref(chunk), s.ptr, s.len};
}

void log_read_fini(struct log_read *r)
{
    for (size_t i = 0; i < r->data.count; i++)
        chunk_unref(r->data.slices[i].chunk);
    mem_free(r->data.slices);
    r->data = (struct rope){0};
    r->slices_cap = 0;
}

static void read_tail(const struct log *l, struct log_read *r)
{
    for (size_t i = tail_find(&l->tail, r->offset); i < l->tail_durable; i++) {
        const struct tail_batch *b = tail_at(&l->tail, i);
        if (r->data.len + b->len > r->max_bytes && !(r->at_least_one && r->data.len == 0))
            return;
        add_slice(r, b->chunk, span_of(b->ptr, b->len));
    }
}

/* ---- from a segment ---- */

/* One look into a segment: for the batch that holds an offset, or for the first with a timestamp. */
struct segment_reader {
    struct log_read *read;
    struct segment *seg;
    bool by_time, index_loaded, save_index;
    int64_t timestamp;
    uint64_t offset;  /* by_time: batches that end before it do not count */
    bool by_max;      /* look at all batches first, */
    int64_t max_ts;   /* for their largest timestamp, */
    uint64_t max_pos; /* the first with it, */
    int64_t
        elsewhere; /* and take it if no batch of the log after the segment has a larger one, namely this */
    uint64_t next, len; /* of the segment when the read began */
    uint64_t pos;       /* where to look next */
    bool pos_known;
    int file, opened;
    struct index index; /* loaded by the job */
    struct chunk *chunk;
    uint32_t filled;
    struct span found; /* whole batches, inside chunk */
    size_t need;       /* the first batch wants a chunk of this size */
    int err;
};

static bool wanted(struct segment_reader *r, const uint8_t *b, uint64_t pos)
{
    if ((uint64_t)batch_last_offset(b) < r->offset)
        return false;
    if (r->by_max) {
        if (batch_max_timestamp(b) > r->max_ts) {
            r->max_ts = batch_max_timestamp(b);
            r->max_pos = pos;
        }
        return false;
    }
    return !r->by_time || batch_max_timestamp(b) >= r->timestamp;
}

/* Takes whole batches from `from` on, within max_bytes (by_time: one). ERR_AGAIN: the first is incomplete. */
static int take_batches(struct segment_reader *r, size_t from)
{
    const uint8_t *data = r->chunk->data;
    size_t end = from, max = r->read->max_bytes;
    while (r->filled - end >= BATCH_HEADER_BYTES) {
        const uint8_t *b = data + end;
        size_t n = batch_bytes(b);
        bool first = end == from;
        if (batch_magic(b) != BATCH_MAGIC || n < BATCH_HEADER_BYTES)
            return ERR_CORRUPT;
        if (!first && (r->by_time || end - from + n > max))
            break;
        if (first && !r->by_time && n > max && !r->read->at_least_one)
            return 0;
        if (n > r->filled - end) {
            if (!first)
                break;
            r->pos += from;
            r->need = n;
            return ERR_AGAIN;
        }
        end += n;
    }
    r->found = span_of(data + from, end - from);
    return 0;
}

/* Looks through what was read at r->pos. ERR_AGAIN: read on at the new r->pos. */
static int look(struct segment_reader *r)
{
    const uint8_t *data = r->chunk->data;
    size_t at = 0;
    while (r->filled - at >= BATCH_HEADER_BYTES) {
        const uint8_t *b = data + at;
        size_t n = batch_bytes(b);
        if (batch_magic(b) != BATCH_MAGIC || batch_batch_length(b) < BATCH_HEADER_BYTES - BATCH_LENGTH_END ||
            n > r->len - r->pos - at)
            return ERR_CORRUPT;
        if (wanted(r, b, r->pos + at))
            return take_batches(r, at);
        at += n;
        if (at >= r->filled)
            break;
    }
    r->pos += at;
    if (r->pos < r->len)
        return ERR_AGAIN;
    if (!r->by_max || r->max_ts < r->elsewhere)
        return 0;
    r->by_max = false;
    r->timestamp = r->max_ts;
    r->pos = r->max_pos;
    return ERR_AGAIN;
}

/* Reads until found. nowait: ERR_AGAIN where the disk would be waited for. ERR_LIMIT: needs a larger chunk.
 */
static int search(struct segment_reader *r, bool nowait)
{
    struct blobs *b = r->seg->log->ss->st->blobs;
    for (;;) {
        size_t want = r->chunk->cap < r->len - r->pos ? r->chunk->cap : r->len - r->pos;
        if (r->need > r->chunk->cap)
            return ERR_LIMIT;
        int64_t n = nowait ? b->ops->read_cached(b, r->file, r->chunk->data, want, r->pos)
                           : b->ops->read(b, r->file, r->chunk->data, want, r->pos);
        if (n < 0)
            return (int)n;
        if (nowait && n < (int64_t)want && (n < BATCH_HEADER_BYTES || r->need > (size_t)n))
            return ERR_AGAIN;
        if (n < BATCH_HEADER_BYTES)
            return ERR_CORRUPT; /* the file is shorter than it was */
        r->filled = (uint32_t)n;
        int err = look(r);
        if (err != ERR_AGAIN)
            return err;
    }
}

static void find_pos(struct segment_reader *r, const struct index *x)
{
    if (r->pos_known)
        return;
    uint32_t by_offset = index_find_offset(x, r->offset);
    uint32_t by_time = r->by_time && !r->by_max ? index_find_time(x, r->timestamp) : 0;
    r->pos = by_time > by_offset ? by_time : by_offset;
    r->pos_known = true;
}

static void reader_run(struct os_job *job)
{
    struct segment_reader *r = container_of(job, struct log_read, job)->reader;
    char path[STORE_PATH_BYTES];
    if (r->file < 0) {
        struct log *l = r->seg->log;
        store_segment_path(l->id, r->seg->base, "log", path);
        r->file = r->opened = l->ss->st->blobs->ops->open(l->ss->st->blobs, path, BLOB_WRITE);
        if (r->file < 0) {
            r->err = r->file;
            return;
        }
    }
    if (!r->pos_known) {
        r->err = segment_load_index(r->seg, r->file, r->next, r->len, r->save_index, &r->index);
        if (r->err)
            return;
        r->index_loaded = true;
        find_pos(r, &r->index);
    }
    r->err = search(r, false);
}

static size_t first_cap(const struct log_read *r, const struct segment_reader *s)
{
    size_t cap = s->by_time ? READ_CHUNK_BYTES : r->max_bytes + s->seg->log->config.index_interval_bytes;
    if (cap > READ_MAX_BYTES)
        cap = READ_MAX_BYTES;
    if (cap > s->seg->len)
        cap = s->seg->len;
    return cap < BATCH_HEADER_BYTES ? BATCH_HEADER_BYTES : cap;
}

static void reader_free(struct log_read *read)
{
    struct segment_reader *r = read->reader;
    struct segment *seg = r->seg;
    segment_adopt(seg, r->opened);
    if (r->index_loaded && !seg->index_loaded && seg->file >= 0) {
        seg->index = r->index;
        seg->index_loaded = true;
        if (r->index.count > seg->index_count) {
            seg->index_count = (uint32_t)r->index.count;
            seg->indexed_pos = r->index.entries[r->index.count - 1].pos;
        }
    } else {
        index_fini(&r->index);
    }
    chunk_unref(r->chunk);
    segment_unpin(seg);
    mem_free(r);
    read->reader = NULL;
}

static void reader_done(struct os_job *job);

static int submit(struct log_read *read)
{
    struct store_shard *ss = read->reader->seg->log->ss;
    read->job = (struct os_job){.run = reader_run, .done = reader_done, .home = ss->loop};
    ss->reads++;
    os_pool_submit(ss->st->pool, &read->job);
    return ERR_AGAIN;
}

/* After a search: 0 filled in (perhaps empty), ERR_AGAIN: submitted again, else an error. */
static int conclude(struct log_read *read, int err)
{
    struct segment_reader *r = read->reader;
    if (err == ERR_LIMIT) { /* one batch larger than the chunk */
        chunk_unref(r->chunk);
        r->chunk = chunk_new(&r->seg->log->ss->read_pool, r->need);
        return r->chunk ? submit(read) : ERR_NO_MEMORY;
    }
    if (!err && r->found.len) {
        add_slice(read, r->chunk, r->found);
        atomic_fetch_add_explicit(&r->seg->log->ss->st->read_bytes, r->found.len, memory_order_relaxed);
    }
    return err;
}

static struct segment_reader *reader_new(struct log_read *read, struct segment *seg)
{
    struct segment_reader *r = mem_zalloc(sizeof(*r));
    const struct log *l = seg->log;
    r->read = read;
    r->seg = seg;
    r->next = seg->next;
    r->len = seg->len;
    r->file = seg->file;
    r->opened = -1;
    r->save_index = seg != l->segments[l->segment_count - 1];
    index_init(&r->index);
    read->reader = r;
    segment_pin(seg);
    return r;
}

/* Reads at once if the file is open and cached, else on the pool. */
static int reader_start(struct log_read *read)
{
    struct segment_reader *r = read->reader;
    struct segment *seg = r->seg;
    r->chunk = chunk_new(&seg->log->ss->read_pool, first_cap(read, r));
    if (!r->chunk) {
        reader_free(read);
        return ERR_NO_MEMORY;
    }
    if (seg->index_loaded)
        find_pos(r, &seg->index);
    int err = ERR_AGAIN;
    if (seg->file >= 0 && r->pos_known && !r->by_max)
        err = search(r, true);
    err = err == ERR_AGAIN ? submit(read) : conclude(read, err);
    if (err != ERR_AGAIN)
        reader_free(read);
    return err;
}

static int find_time_from(struct log *l, struct log_read *read, uint64_t from, int64_t timestamp);

static void reader_done(struct os_job *job)
{
    struct log_read *read = container_of(job, struct log_read, job);
    struct segment_reader *r = read->reader;
    struct log *l = r->seg->log;
    bool by_time = r->by_time;
    int64_t timestamp = r->by_max ? r->elsewhere : r->timestamp; /* by_max still: not in this segment */
    uint64_t next = r->seg->next;
    l->ss->reads--;
    int err = l->deleted ? ERR_NOT_FOUND : conclude(read, r->err);
    if (err == ERR_AGAIN)
        return;
    l->refs++;
    reader_free(read);
    if (!err && by_time && read->data.len == 0) /* what matched lies below the offset */
        err = find_time_from(l, read, next, timestamp);
    log_unref(l);
    if (err != ERR_AGAIN)
        read->done(read, err);
}

/* ---- the two questions ---- */

int log_read(struct log *l, struct log_read *r)
{
    r->data = (struct rope){0};
    r->slices_cap = 0;
    r->log = l;
    r->reader = NULL;
    if (l->damaged)
        return ERR_CORRUPT;
    if (r->offset < l->start || r->offset > l->durable)
        return ERR_OFFSET_RANGE;
    if (r->offset == l->durable)
        return 0;
    if (r->offset >= l->written) {
        read_tail(l, r);
        return 0;
    }
    struct segment_reader *s = reader_new(r, segment_find(l, r->offset));
    s->offset = r->offset;
    return reader_start(r);
}

static uint64_t floor_of(const struct log *l, const struct log_read *read)
{
    return read->offset > l->start ? read->offset : l->start;
}

static int find_time_from(struct log *l, struct log_read *read, uint64_t from, int64_t timestamp)
{
    uint64_t floor = floor_of(l, read);
    for (size_t i = 0; i < l->segment_count; i++) {
        struct segment *seg = l->segments[i];
        if (seg->next <= from || seg->next <= floor || seg->max_ts < timestamp)
            continue;
        struct segment_reader *s = reader_new(read, seg);
        s->by_time = true;
        s->timestamp = timestamp;
        s->offset = floor;
        int err = reader_start(read);
        if (err || read->data.len)
            return err;
    }
    for (size_t i = tail_find(&l->tail, floor > from ? floor : from); i < l->tail_durable; i++) {
        const struct tail_batch *b = tail_at(&l->tail, i);
        if (b->max_ts >= timestamp) {
            add_slice(read, b->chunk, span_of(b->ptr, b->len));
            return 0;
        }
    }
    return 0;
}

static int begin_find(struct log *l, struct log_read *r)
{
    r->data = (struct rope){0};
    r->slices_cap = 0;
    r->log = l;
    r->reader = NULL;
    r->max_bytes = 0;
    r->at_least_one = true;
    return l->damaged ? ERR_CORRUPT : 0;
}

int log_find_time(struct log *l, int64_t timestamp, struct log_read *r)
{
    int err = begin_find(l, r);
    return err ? err : find_time_from(l, r, 0, timestamp);
}

/* The largest timestamp of what lies wholly at or after the floor, as far as segments and the tail tell. */
static int64_t largest_above(const struct log *l, uint64_t floor)
{
    int64_t largest = -1;
    for (size_t i = 0; i < l->segment_count; i++)
        if (l->segments[i]->base >= floor && l->segments[i]->max_ts > largest)
            largest = l->segments[i]->max_ts;
    for (size_t i = tail_find(&l->tail, floor); i < l->tail_durable; i++)
        if (tail_at(&l->tail, i)->max_ts > largest)
            largest = tail_at(&l->tail, i)->max_ts;
    return largest;
}

/* A segment with the floor inside may have its largest timestamp below it: only that one is walked through,
 * on the pool, and only if its largest might be the log's. */
int log_find_max(struct log *l, struct log_read *r)
{
    int err = begin_find(l, r);
    if (err)
        return err;
    uint64_t floor = floor_of(l, r);
    int64_t largest = largest_above(l, floor);
    struct segment *seg = segment_find(l, floor);
    if (seg && seg->base < floor && seg->max_ts >= 0 && seg->max_ts >= largest) {
        struct segment_reader *s = reader_new(r, seg);
        s->by_time = s->by_max = true;
        s->max_ts = -1;
        s->offset = floor;
        s->elsewhere = largest < 0 ? 0 : largest;
        return reader_start(r);
    }
    return largest < 0 ? 0 : find_time_from(l, r, 0, largest);
}
