/* The frame of dump: tells what kind of file it is, and reads it through one window of fixed size. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/crc32c.h"
#include "base/date.h"
#include "base/err.h"
#include "base/mem.h"
#include "os/os.h"
#include "store/batch.h"
#include "store/dump_impl.h"

void dump_line(struct dump *d, const char *fmt, ...)
{
    char line[2 * DUMP_LINE_BYTES];
    va_list ap;
    if (d->err)
        return;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n > sizeof(line) - 2 ? sizeof(line) - 2 : (size_t)n;
    line[len++] = '\n';
    d->err = d->put(d->arg, span_of(line, len));
}

const uint8_t *dump_at(struct dump *d, uint64_t pos, size_t len)
{
    assert(len <= DUMP_WINDOW_BYTES);
    if (pos > d->size || len > d->size - pos)
        return NULL;
    if (pos < d->window_at || pos - d->window_at > d->window_len ||
        len > d->window_len - (pos - d->window_at)) {
        int64_t n = os_pread(d->file, d->window, DUMP_WINDOW_BYTES, pos);
        d->window_at = pos;
        d->window_len = n < 0 ? 0 : (size_t)n;
        if (n < 0 && !d->err)
            d->err = (int)n;
        if (len > d->window_len) /* it was cut meanwhile */
            return NULL;
    }
    return d->window + (pos - d->window_at);
}

bool dump_crc(struct dump *d, uint64_t pos, uint64_t len, uint32_t *crc)
{
    while (len > 0) {
        size_t n = len < DUMP_WINDOW_BYTES / 4 ? (size_t)len : DUMP_WINDOW_BYTES / 4;
        const uint8_t *p = dump_at(d, pos, n);
        if (!p)
            return false;
        *crc = crc32c_more(*crc, p, n);
        pos += n;
        len -= n;
    }
    return true;
}

const char *dump_time(int64_t ms, char buf[DUMP_TIME_BYTES])
{
    if (ms < 0)
        return "none";
    struct date t = date_of(ms);
    snprintf(buf, DUMP_TIME_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", t.year % 10000, t.month % 100,
             t.day % 100, t.hour % 100, t.minute % 100, t.second % 100, t.ms % 1000);
    return buf;
}

/* ---- record batches, which stand in journals and segments alike ---- */

static const char *codec_of(const uint8_t *b)
{
    return batch_codec(b) < CODEC_COUNT ? codec_name(batch_codec(b)) : "unknown";
}

const char *dump_batch(const uint8_t *b, char buf[DUMP_LINE_BYTES])
{
    char time[DUMP_TIME_BYTES], producer[64] = "none";
    if (batch_producer_id(b) >= 0)
        snprintf(producer, sizeof(producer), "%lld/%d sequence=%d", (long long)batch_producer_id(b),
                 batch_producer_epoch(b), batch_base_sequence(b));
    snprintf(buf, DUMP_LINE_BYTES, "offsets=%lld..%lld records=%d codec=%s max_time=%s%s producer=%s%s%s",
             (long long)batch_base_offset(b), (long long)batch_base_offset(b) + batch_last_offset_delta(b),
             batch_record_count(b), codec_of(b), dump_time(batch_max_timestamp(b), time),
             batch_attributes(b) & BATCH_APPEND_TIME ? " (append time)" : "", producer,
             batch_attributes(b) & BATCH_TRANSACTIONAL ? " transactional" : "",
             batch_attributes(b) & BATCH_CONTROL ? " control" : "");
    return buf;
}

bool dump_batch_crc_ok(struct dump *d, uint64_t pos, uint64_t len)
{
    const uint8_t *b = len < BATCH_HEADER_BYTES ? NULL : dump_at(d, pos, BATCH_HEADER_BYTES);
    uint32_t crc = 0, want = b ? batch_crc(b) : 0;
    return b && dump_crc(d, pos + BATCH_CRC_START, len - BATCH_CRC_START, &crc) && crc == want;
}

/* ---- which kind ---- */

static void dump_state_file(struct dump *d)
{
    dump_line(d, "state of a log, %llu bytes (its checksum stands in the journal)",
              (unsigned long long)d->size);
    dump_state(d, 0, d->size, true);
}

static void dump_snapshot_file(struct dump *d)
{
    dump_line(d, "snapshot of a command log, %llu bytes (its checksum stands in the journal)",
              (unsigned long long)d->size);
}

static const struct kind {
    const char *suffix, *magic;
    void (*print)(struct dump *d);
} kinds[] = {
    {".journal", "CLBJRNL1", dump_journal},
    {".idx", "CLBINDX1", dump_index},
    {".state", "CST1", dump_state_file},
    {".log", NULL, dump_segment},
    {".snapshot", NULL, dump_snapshot_file},
    {".batches", NULL, dump_segment}, /* saved of a damaged log */
    {".damaged", NULL, dump_journal}, /* put aside when loss was accepted */
    {".spare", NULL, dump_spare},
};

static bool ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s), k = strlen(suffix);
    return n >= k && strcmp(s + n - k, suffix) == 0;
}

/* By the name, so that a damaged file is known too; else, for a file that was copied and renamed, by its
 * bytes. */
static const struct kind *kind_of(struct dump *d, const char *path)
{
    size_t count = sizeof(kinds) / sizeof(*kinds);
    for (size_t i = 0; i < count; i++)
        if (ends_with(path, kinds[i].suffix))
            return &kinds[i];
    for (size_t i = 0; i < count; i++) {
        size_t len = kinds[i].magic ? strlen(kinds[i].magic) : 0;
        const uint8_t *p = len ? dump_at(d, 0, len) : NULL;
        if (p && memcmp(p, kinds[i].magic, len) == 0)
            return &kinds[i];
    }
    return NULL;
}

int dump_file(const char *path, int (*put)(void *arg, struct span text), void *arg)
{
    struct dump d = {.put = put, .arg = arg};
    d.file = os_open(path, OS_READ);
    if (d.file < 0)
        return d.file;
    int64_t size = os_size(d.file);
    d.err = size < 0 ? (int)size : 0;
    d.size = size < 0 ? 0 : (uint64_t)size;
    d.window = mem_alloc(DUMP_WINDOW_BYTES);
    const struct kind *kind = kind_of(&d, path);
    if (kind && !d.err)
        kind->print(&d);
    mem_free(d.window);
    os_close(d.file);
    if (!kind && !d.err)
        return ERR_UNSUPPORTED;
    return d.err ? d.err : d.damaged ? ERR_CORRUPT : 0;
}
