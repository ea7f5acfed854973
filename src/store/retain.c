/* Retention: what a log's settings no longer keep goes from its front, and the disk space of what lies below
 * a log's start is given back.
 *
 * The rules are Kafka's, UnifiedLog.deleteOldSegments(), oldest segment first and up to the first that stays:
 *
 *   time   its largest timestamp is more than retention.ms ago. A timestamp in the future keeps it until
 * then. size   without it the log still has retention.bytes.
 *
 * A log of ours may have its newest records in the journal and in memory only. There they go batch by batch
 * by time, so that a log that is written no more gets empty however little it holds; and by size in runs of
 * segment.bytes, which is what segments of them would hold.
 *
 * To remove is to move the start. The files go when the new start is durable (start before unlink), the last
 * segment too if all of it is below the start: then the log has no segment, and the next one begins at
 * `written`. */
#include <assert.h>

#include "base/say.h"
#include "store/log_impl.h"

struct walk {
    const struct log *l;
    int64_t now_ms;
    uint64_t size;  /* of what is left */
    uint64_t start; /* so far */
    uint64_t segments, bytes;
};

static bool is_old(const struct walk *w, int64_t newest_ms)
{
    int64_t age;
    return w->l->config.retention_ms >= 0 && !__builtin_sub_overflow(w->now_ms, newest_ms, &age) &&
           age > w->l->config.retention_ms;
}

static bool is_too_much(const struct walk *w, uint64_t bytes)
{
    int64_t keep = w->l->config.retention_bytes;
    return keep >= 0 && w->size >= bytes && w->size - bytes >= (uint64_t)keep;
}

static void remove_to(struct walk *w, uint64_t offset, uint64_t bytes)
{
    w->start = offset;
    w->size -= bytes;
    w->bytes += bytes;
}

/* Records without a timestamp are as old as their file's last change, as in Kafka: when the next segment was
 * begun, or for the last one when a batch without a timestamp was last appended. */
static int64_t newest_ms(const struct log *l, size_t i)
{
    const struct segment *seg = l->segments[i];
    if (seg->max_ts >= 0)
        return seg->max_ts;
    return i + 1 < l->segment_count ? l->segments[i + 1]->created_ms : l->untimed_ms;
}

/* False: this one stays, and so does what comes after it. */
static bool pass_segment(struct walk *w, size_t i)
{
    const struct segment *seg = w->l->segments[i];
    if (seg->next <= w->l->start)
        return true; /* waits for its start to be durable */
    if (seg->len == 0 || !(is_old(w, newest_ms(w->l, i)) || is_too_much(w, seg->len)))
        return false;
    remove_to(w, seg->next, seg->len);
    w->segments++;
    return true;
}

/* Batches [from, ret) would fill a segment: the one after them does not fit. 0: they would not fill it. */
static size_t full_run(const struct log *l, size_t from, uint64_t *ret_bytes)
{
    uint64_t bytes = 0;
    for (size_t i = from; i < l->tail_durable; i++) {
        uint64_t len = tail_at(&l->tail, i)->len;
        if (i > from && bytes + len > l->config.segment_bytes) {
            *ret_bytes = bytes;
            return i;
        }
        bytes += len;
    }
    return 0;
}

static void pass_tail(struct walk *w)
{
    const struct log *l = w->l;
    size_t i = tail_find(&l->tail, w->start), end;
    for (; i < l->tail_durable; i++) {
        const struct tail_batch *b = tail_at(&l->tail, i);
        if (!is_old(w, b->max_ts >= 0 ? b->max_ts : l->untimed_ms))
            break;
        remove_to(w, b->base + b->count, b->len);
    }
    for (uint64_t bytes; l->config.retention_bytes >= 0 && (end = full_run(l, i, &bytes)) != 0; i = end) {
        if (!is_too_much(w, bytes))
            break;
        remove_to(w, tail_at(&l->tail, end)->base, bytes);
    }
}

/* What lies wholly below the start and is not dropped yet does not count. */
static uint64_t live_bytes(const struct log *l)
{
    uint64_t size = log_bytes(l);
    for (size_t i = 0; i < l->segment_count && l->segments[i]->next <= l->start; i++)
        size -= l->segments[i]->len;
    for (size_t i = 0; i < l->tail.count; i++) {
        const struct tail_batch *b = tail_at(&l->tail, i);
        if (b->base + b->count > l->start)
            break;
        size -= b->len;
    }
    return size;
}

/* A LOG_OS log's batches after its last state are nowhere but in its segments: the state must know first what
 * they say of producers. */
static bool is_saved(const struct log *l)
{
    return l->config.durability == LOG_FSYNC || l->saved == l->written;
}

int log_retain(struct log *l, int64_t now_ms, struct log_removed *ret)
{
    *ret = (struct log_removed){0};
    if (!log_alive(l))
        return 0;
    log_drop_old(l);
    if (!is_saved(l) && l->segment_count == 1 && l->segments[0]->next <= l->start_durable)
        flush_start(l, true); /* for the next time */
    if (l->config.retention_ms < 0 && l->config.retention_bytes < 0)
        return 0;
    struct walk w = {.l = l, .now_ms = now_ms, .size = live_bytes(l), .start = l->start};
    size_t i = 0;
    while (i < l->segment_count && pass_segment(&w, i))
        i++;
    if (i == l->segment_count)
        pass_tail(&w);
    if (w.start == l->start)
        return 0;
    assert(w.start <= l->durable);
    uint64_t records = w.start - l->start;
    int err = log_set_start(l, w.start);
    if (err)
        return err;
    *ret = (struct log_removed){w.segments, records, w.bytes};
    say_debug("retain", "removed what is no longer kept", "log=%llu start=%llu records=%llu bytes=%llu",
              (unsigned long long)l->id, (unsigned long long)w.start, (unsigned long long)records,
              (unsigned long long)w.bytes);
    return 0;
}

/* ---- giving space back ---- */

static void drop_segments(struct log *l, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        l->segment_bytes -= l->segments[i]->len;
        segment_doom(l->segments[i]);
    }
    l->segment_count -= n;
    memmove(l->segments, l->segments + n, l->segment_count * sizeof(struct segment *));
}

/* Without segments, what the log has begins with its tail, and nothing below that has to be vouched for. */
static void drop_tail(struct log *l, uint64_t start)
{
    while (l->tail_durable) {
        const struct tail_batch *b = tail_at(&l->tail, 0);
        if (b->base + b->count > start)
            break;
        l->written = b->base + b->count;
        tail_drop_first(&l->tail);
        l->tail_durable--;
    }
    if (l->tail.count == 0)
        list_del(&l->tail_link);
    if (l->config.durability == LOG_FSYNC)
        l->saved = l->written;
}

/* A state may still name the segments that go: recovery knows why they are gone. A flush writes to the last
 * segment and reads the tail. A state on its way was made with the tail that is there: when it is durable,
 * the journal must keep the entries after it, which it knows from the tail. */
void log_drop_old(struct log *l)
{
    bool idle = !l->flush && !l->saving && is_saved(l);
    size_t n = 0;
    if (!l->ss->st->started || !log_alive(l))
        return;
    while (n < l->segment_count && l->segments[n]->next <= l->start_durable &&
           (n + 1 < l->segment_count || (idle && l->segments[n]->len > 0)))
        n++;
    if (n)
        drop_segments(l, n);
    if (idle && l->segment_count == 0)
        drop_tail(l, l->start_durable);
}
