/* Recovery of LOG_OS logs: their records were never in the journal, so the end of the last segment is scanned
 * batch by batch, and cut at the first one that is incomplete, damaged or out of sequence. */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "store/log_impl.h"

struct scan_os {
    struct log *log;
    struct segment *seg;
    int file;
    uint8_t *bytes;
    size_t cap;
};

/* The batch at `pos`, if it is whole, right and the next one. */
static bool load(struct scan_os *s, uint64_t pos, uint64_t size, struct span *ret)
{
    struct blobs *b = s->log->ss->st->blobs;
    uint8_t head[BATCH_HEADER_BYTES];
    if (size - pos < sizeof(head) ||
        b->ops->read(b, s->file, head, sizeof(head), pos) != (int64_t)sizeof(head))
        return false;
    size_t len = batch_bytes(head);
    if (batch_magic(head) != BATCH_MAGIC || batch_batch_length(head) < 0 || len < BATCH_HEADER_BYTES ||
        len > size - pos || (uint64_t)batch_base_offset(head) != s->seg->next)
        return false;
    if (len > s->cap) { /* bounded by the file's size */
        s->bytes = mem_realloc(s->bytes, len);
        s->cap = len;
    }
    if (b->ops->read(b, s->file, s->bytes, len, pos) != (int64_t)len)
        return false;
    *ret = span_of(s->bytes, len);
    return batch_check_header(*ret) == 0 && batch_check_crc(*ret) == 0;
}

static int cut(struct scan_os *s, uint64_t size)
{
    if (size == s->seg->len)
        return 0;
    say_warn("store", "cut the unsynced end of a log", "log=%llu offset=%llu bytes=%llu",
             (unsigned long long)s->log->id, (unsigned long long)s->seg->next,
             (unsigned long long)(size - s->seg->len));
    struct blobs *b = s->log->ss->st->blobs;
    int err = b->ops->cut(b, s->file, s->seg->len);
    return err ? err : b->ops->sync(b, s->file);
}

static int scan_segment(struct scan_os *s)
{
    struct log *l = s->log;
    char path[STORE_PATH_BYTES];
    store_segment_path(l->id, s->seg->base, "log", path);
    struct blobs *blobs = l->ss->st->blobs;
    uint64_t size = 0;
    s->file = blobs->ops->open(blobs, path, BLOB_WRITE);
    if (s->file < 0)
        return s->file;
    int err = blobs->ops->size(blobs, path, &size);
    struct span b;
    while (!err && size > s->seg->len && load(s, s->seg->len, size, &b)) {
        log_apply_batch(l, b.ptr, os_wall_ms());
        s->seg->len += b.len;
        s->seg->next = (uint64_t)batch_next_offset(b.ptr);
        if (batch_max_timestamp(b.ptr) > s->seg->max_ts)
            s->seg->max_ts = batch_max_timestamp(b.ptr);
        l->segment_bytes += b.len;
    }
    if (!err)
        err = cut(s, size);
    if (!err && l->ss->st->unclean)
        err = segment_cut_index(s->seg);
    blobs->ops->close(blobs, s->file);
    l->written = l->next = l->durable = s->seg->next;
    return err;
}

struct bases {
    uint64_t *v;
    size_t count, cap;
};

static int note_base(void *arg, const char *name, bool is_dir)
{
    struct bases *b = arg;
    char *suffix;
    uint64_t base = strtoull(name, &suffix, 10);
    if (is_dir || suffix == name || strcmp(suffix, ".log") != 0)
        return 0;
    if (b->count == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 8;
        b->v = mem_realloc(b->v, b->cap * sizeof(*b->v));
    }
    b->v[b->count++] = base; /* names have leading zeros, so they come in order */
    return 0;
}

/* The number of the file that holds the start: the last one that begins at or before it. Those before it may
 * be there or not, for they are being unlinked. */
static size_t start_file(const struct log *l, const struct bases *b)
{
    size_t i = 0;
    while (i + 1 < b->count && b->v[i + 1] <= l->start)
        i++;
    return i;
}

static void forget_segments(struct log *l)
{
    while (l->segment_count > 0)
        segment_free(l->segments[--l->segment_count]); /* the sweep removes the files */
    l->segment_bytes = 0;
}

/* Takes the segments one after the other: those the state knows, then those begun later, each of which must
 * go on where the one before ends. */
static int scan_all(struct scan_os *s, const struct bases *b)
{
    struct log *l = s->log;
    size_t i = start_file(l, b);
    int err = 0;
    if (b->count && l->segment_count && l->segments[l->segment_count - 1]->base < b->v[i])
        forget_segments(l); /* the state is from before the start moved on */
    if (l->segment_count) {
        s->seg = l->segments[l->segment_count - 1];
        err = scan_segment(s);
    }
    for (; !err && i < b->count; i++) {
        bool first = l->segment_count == 0;
        if (!first && (b->v[i] != l->written || l->segments[l->segment_count - 1]->base == b->v[i]))
            continue;
        s->seg = segment_new(l, b->v[i]);
        if (first && l->start < b->v[i])
            l->start = b->v[i];
        err = scan_segment(s);
    }
    return err;
}

/* Nothing readable is left, but offsets below the start, which is durable, were given out: never again. */
static void begin_at_start(struct log *l)
{
    forget_segments(l);
    l->written = l->next = l->durable = l->start;
}

int recover_os_log(struct log *l)
{
    struct scan_os s = {.log = l};
    struct bases bases = {0};
    char dir[STORE_PATH_BYTES];
    store_log_dir(l->id, dir);
    int err = l->ss->st->blobs->ops->list(l->ss->st->blobs, dir, note_base, &bases);
    if (!err || err == ERR_NOT_FOUND)
        err = scan_all(&s, &bases);
    mem_free(bases.v);
    mem_free(s.bytes);
    if (err)
        return err;
    if (l->start > l->next)
        begin_at_start(l);
    producers_truncate(&l->producers, l->next);
    if (l->ss->st->unclean && l->next > 0) { /* what was lost cannot be told from what never was */
        log_bump_epoch(l);
        l->renew_state = true;
    }
    return 0;
}
