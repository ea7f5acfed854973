/* Segment files: LOG_DIR/BASE.log holds record batches as they are on the wire, one after the other, nothing
 * else; BASE.idx is its sparse index (index.c). This source has the cache of open files and the walks. */
#include <assert.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "store/log_impl.h"

struct segment *segment_new(struct log *l, uint64_t base)
{
    struct segment *seg = mem_zalloc(sizeof(*seg));
    seg->base = seg->next = base;
    seg->max_ts = -1;
    seg->first_ms = FIRST_UNKNOWN;
    seg->file = -1;
    seg->log = l;
    index_init(&seg->index);
    list_init(&seg->lru);
    if (l->segment_count == l->segment_cap) {
        l->segment_cap = l->segment_cap ? l->segment_cap * 2 : 1;
        l->segments = mem_realloc(l->segments, l->segment_cap * sizeof(struct segment *));
    }
    l->segments[l->segment_count++] = seg;
    return seg;
}

void segment_close(struct segment *seg)
{
    struct store_shard *ss = seg->log->ss;
    if (seg->file >= 0) {
        ss->st->blobs->ops->close(ss->st->blobs, seg->file);
        seg->file = -1;
        ss->open_files--;
    }
    if (seg->dirty)
        ss->dirty_files--;
    seg->dirty = false;
    index_fini(&seg->index);
    seg->index_loaded = false;
    list_del(&seg->lru);
}

void segment_free(struct segment *seg)
{
    assert(seg->pins == 0);
    segment_close(seg);
    mem_free(seg);
}

struct segment *segment_find(const struct log *l, uint64_t offset)
{
    size_t lo = 0, hi = l->segment_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (l->segments[mid]->next <= offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < l->segment_count ? l->segments[lo] : NULL;
}

void segment_pin(struct segment *seg)
{
    seg->pins++;
    seg->log->refs++;
    list_del(&seg->lru);
}

struct unlink_job {
    struct os_job job;
    struct blobs *blobs;
    bool dir;
    char path[STORE_PATH_BYTES];
};

/* Whether it works does not matter: what is left is swept at the next start. */
static void unlink_run(struct os_job *job)
{
    struct unlink_job *u = container_of(job, struct unlink_job, job);
    if (u->dir)
        u->blobs->ops->remove_folder(u->blobs, u->path);
    else
        u->blobs->ops->remove(u->blobs, u->path);
    mem_free(u);
}

void segment_unlink(struct store *st, const char *path, bool dir)
{
    struct unlink_job *u = mem_zalloc(sizeof(*u));
    u->blobs = st->blobs;
    u->dir = dir;
    snprintf(u->path, sizeof(u->path), "%s", path);
    u->job.run = unlink_run;
    os_pool_submit(st->pool, &u->job);
}

static void unlink_files(const struct segment *seg)
{
    char path[STORE_PATH_BYTES];
    struct store *st = seg->log->ss->st;
    store_segment_path(seg->log->id, seg->base, "log", path);
    segment_unlink(st, path, false);
    store_segment_path(seg->log->id, seg->base, "idx", path);
    segment_unlink(st, path, false);
}

void segment_unpin(struct segment *seg)
{
    struct log *l = seg->log;
    assert(seg->pins > 0);
    if (--seg->pins == 0) {
        if (seg->doomed) {
            unlink_files(seg);
            segment_free(seg);
        } else if (seg->file >= 0 && !seg->dirty) {
            list_add_tail(&l->ss->lru, &seg->lru);
            segment_evict(l->ss);
        }
    }
    log_unref(l);
}

void segment_doom(struct segment *seg)
{
    seg->doomed = true;
    if (seg->pins == 0) {
        unlink_files(seg);
        segment_free(seg);
    }
}

void segment_adopt(struct segment *seg, int file)
{
    if (file < 0)
        return;
    if (seg->file >= 0) {
        struct blobs *b = seg->log->ss->st->blobs;
        b->ops->close(b, file);
        return;
    }
    seg->file = file;
    seg->log->ss->open_files++;
}

/* Closes what was used longest ago until the shard keeps to its limit. Dirty files are not in the list: an
 * error of their write-back must come to the descriptor that will sync them. */
void segment_evict(struct store_shard *ss)
{
    while (ss->open_files > ss->max_files && !list_empty(&ss->lru))
        segment_close(list_entry(ss->lru.next, struct segment, lru));
}

/* ---- walking ---- */

int segment_walk(struct blobs *blobs, int file, uint64_t pos, uint64_t len,
                 int (*fn)(void *, const uint8_t *, uint64_t), void *arg)
{
    enum { WINDOW = 64 << 10 };
    uint8_t *window = mem_alloc(WINDOW);
    uint64_t window_at = 0, window_len = 0;
    int err = 0;
    while (!err && pos < len) {
        if (pos < window_at || pos + BATCH_HEADER_BYTES > window_at + window_len) {
            int64_t n = blobs->ops->read(blobs, file, window, len - pos < WINDOW ? len - pos : WINDOW, pos);
            window_at = pos;
            window_len = n < 0 ? 0 : (uint64_t)n;
            if (n < BATCH_HEADER_BYTES) {
                err = n < 0 ? (int)n : ERR_CORRUPT;
                break;
            }
        }
        const uint8_t *b = window + (pos - window_at);
        if (batch_magic(b) != BATCH_MAGIC || batch_batch_length(b) < BATCH_HEADER_BYTES - BATCH_LENGTH_END ||
            batch_bytes(b) > len - pos)
            err = ERR_CORRUPT;
        else
            err = fn(arg, b, pos);
        pos += batch_bytes(b);
    }
    mem_free(window);
    return err;
}

struct rebuild {
    struct index *index;
    const struct segment *seg;
    uint64_t next_pos;
    int64_t max_ts;
};

static int rebuild_one(void *arg, const uint8_t *b, uint64_t pos)
{
    struct rebuild *r = arg;
    const struct index_entry *last = r->index->count ? &r->index->entries[r->index->count - 1] : NULL;
    if (last && last->pos == pos && last->offset != (uint64_t)batch_base_offset(b))
        return ERR_CORRUPT;
    if (pos >= r->next_pos || r->index->count == 0) {
        if (r->index->count == 0 || r->index->entries[r->index->count - 1].pos < pos)
            index_add(r->index,
                      (struct index_entry){(uint64_t)batch_base_offset(b), (uint32_t)pos, r->max_ts});
        r->next_pos = pos + r->seg->log->config.index_interval_bytes;
    }
    if (batch_max_timestamp(b) > r->max_ts)
        r->max_ts = batch_max_timestamp(b);
    return 0;
}

static int walk_from(const struct segment *seg, int file, uint64_t len, struct index *x)
{
    struct rebuild r = {.index = x, .seg = seg, .max_ts = INT64_MIN};
    uint64_t from = 0;
    if (x->count) {
        from = x->entries[x->count - 1].pos;
        r.max_ts = x->entries[x->count - 1].max_before;
        r.next_pos = from + seg->log->config.index_interval_bytes;
    }
    return segment_walk(seg->log->ss->st->blobs, file, from, len, rebuild_one, &r);
}

/* Completes an index from the segment, from its last valid entry on. If no such batch stands there, the index
 * is that of something else, however right its checksums are: it is made anew. */
static int rebuild_index(const struct segment *seg, int file, uint64_t len, struct index *x, size_t *found)
{
    int err = walk_from(seg, file, len, x);
    if (err != ERR_CORRUPT || *found == 0)
        return err;
    x->count = *found = 0;
    return walk_from(seg, file, len, x);
}

static void save_index(const struct segment *seg, const char *path, const struct index *x)
{
    uint8_t *bytes = mem_alloc(INDEX_HEADER_BYTES + x->count * INDEX_ENTRY_BYTES);
    index_encode_header(seg->base, bytes);
    for (size_t i = 0; i < x->count; i++)
        index_encode(&x->entries[i], seg->base, bytes + INDEX_HEADER_BYTES + i * INDEX_ENTRY_BYTES);
    struct span s = span_of(bytes, INDEX_HEADER_BYTES + x->count * INDEX_ENTRY_BYTES);
    struct blobs *b = seg->log->ss->st->blobs;
    int file = b->ops->open(b, path, BLOB_WRITE | BLOB_CREATE | BLOB_EMPTY);
    if (file >= 0) {
        b->ops->append(b, file, &s, 1, 0); /* a help only: failing to save it is no error */
        b->ops->close(b, file);
    }
    mem_free(bytes);
}

static void read_index(const struct segment *seg, const char *path, uint64_t next, uint64_t len,
                       struct index *ret)
{
    uint64_t size = 0, most = INDEX_HEADER_BYTES + (len / BATCH_HEADER_BYTES + 1) * INDEX_ENTRY_BYTES;
    struct blobs *b = seg->log->ss->st->blobs;
    if (b->ops->size(b, path, &size) != 0 || size == 0 || size > most)
        return;
    int file = b->ops->open(b, path, BLOB_READ);
    if (file < 0)
        return;
    uint8_t *bytes = mem_alloc(size);
    int64_t n = b->ops->read(b, file, bytes, size, 0);
    b->ops->close(b, file);
    if (n > 0)
        index_decode(span_of(bytes, (size_t)n), seg->base, next, len, ret);
    mem_free(bytes);
}

int segment_load_index(const struct segment *seg, int file, uint64_t next, uint64_t len, bool save,
                       struct index *ret)
{
    char path[STORE_PATH_BYTES];
    store_segment_path(seg->log->id, seg->base, "idx", path);
    index_init(ret);
    read_index(seg, path, next, len, ret);
    size_t found = ret->count;
    int err = rebuild_index(seg, file, len, ret, &found);
    if (!err && save && ret->count > found) {
        say_info("segment", "rebuilt an index", "log=%llu base=%llu entries=%zu of=%zu",
                 (unsigned long long)seg->log->id, (unsigned long long)seg->base, ret->count - found,
                 ret->count);
        save_index(seg, path, ret);
    }
    return err;
}

int segment_cut_index(const struct segment *seg)
{
    char path[STORE_PATH_BYTES];
    struct blobs *b = seg->log->ss->st->blobs;
    struct index x;
    uint64_t size;
    store_segment_path(seg->log->id, seg->base, "idx", path);
    if (b->ops->size(b, path, &size) != 0)
        return 0;
    index_init(&x);
    read_index(seg, path, seg->next, seg->len, &x);
    uint64_t len = x.count ? INDEX_HEADER_BYTES + x.count * INDEX_ENTRY_BYTES : 0;
    index_fini(&x);
    if (size <= len)
        return 0;
    int file = b->ops->open(b, path, BLOB_WRITE);
    if (file < 0)
        return file;
    int err = b->ops->cut(b, file, len);
    if (!err)
        err = b->ops->sync(b, file);
    b->ops->close(b, file);
    return err;
}
