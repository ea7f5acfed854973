/* Segments and their indexes in words. */
#include "base/err.h"
#include "store/batch.h"
#include "store/dump_impl.h"
#include "store/index.h"

/* NULL: a batch stands here. */
static const char *what_is_wrong(const struct dump *d, const uint8_t *b, uint64_t pos)
{
    if (!b)
        return "less than the header of a batch";
    if (batch_magic(b) != BATCH_MAGIC || batch_batch_length(b) < BATCH_HEADER_BYTES - BATCH_LENGTH_END)
        return "no batch begins here";
    if (batch_bytes(b) > d->size - pos)
        return "the file ends inside this batch";
    return NULL;
}

/* Shows the batch at *pos and steps over it; *next is the offset that it should begin with. */
static void print_batch(struct dump *d, const uint8_t *b, uint64_t *pos, uint64_t *next)
{
    char buf[DUMP_LINE_BYTES];
    uint64_t len = batch_bytes(b), base = (uint64_t)batch_base_offset(b);
    uint32_t epoch = (uint32_t)batch_leader_epoch(b);
    const char *gap = *pos > 0 && base != *next ? " GAP before it" : "";
    *next = base + (uint64_t)batch_last_offset_delta(b) + 1;
    dump_batch(b, buf);
    bool ok = dump_batch_crc_ok(d, *pos, len); /* moves the window: b is gone */
    dump_line(d, "batch position=%llu length=%llu epoch=%u crc=%s%s %s", (unsigned long long)*pos,
              (unsigned long long)len, epoch, ok ? "ok" : "DAMAGED", gap, buf);
    d->damaged |= !ok;
    *pos += len;
}

void dump_segment(struct dump *d)
{
    uint64_t pos = 0, batches = 0, next = 0;
    dump_line(d, "segment, %llu bytes", (unsigned long long)d->size);
    for (; pos < d->size && !d->err; batches++) {
        const uint8_t *b = dump_at(d, pos, BATCH_HEADER_BYTES);
        const char *wrong = what_is_wrong(d, b, pos);
        if (wrong) { /* also what a broker is just writing */
            dump_line(d, "DAMAGED or incomplete at position %llu: %s; %llu bytes are left",
                      (unsigned long long)pos, wrong, (unsigned long long)(d->size - pos));
            d->damaged = true;
            break;
        }
        print_batch(d, b, &pos, &next);
    }
    dump_line(d, "%llu batches", (unsigned long long)batches);
}

void dump_index(struct dump *d)
{
    char time[DUMP_TIME_BYTES];
    uint64_t base, pos = INDEX_HEADER_BYTES;
    const uint8_t *p = dump_at(d, 0, INDEX_HEADER_BYTES);
    if (!p || index_header_decode(p, &base) != 0) {
        dump_line(d, "index, %llu bytes, header DAMAGED", (unsigned long long)d->size);
        d->damaged = true;
        return;
    }
    dump_line(d, "index of the segment that begins at offset %llu, %llu bytes", (unsigned long long)base,
              (unsigned long long)d->size);
    for (; !d->err && (p = dump_at(d, pos, INDEX_ENTRY_BYTES)); pos += INDEX_ENTRY_BYTES) {
        struct index_entry e;
        bool ok = index_entry_decode(p, base, &e);
        dump_line(d, "entry offset=%llu position=%u max_time_before=%s checksum=%s",
                  (unsigned long long)e.offset, e.pos, dump_time(e.max_before, time), ok ? "ok" : "DAMAGED");
        d->damaged |= !ok;
    }
    if (pos < d->size)
        dump_line(d, "%llu bytes at the end are no whole entry", (unsigned long long)(d->size - pos));
}
