/* Walking over the records of a stored batch, and finding one by its time. */
#include "base/err.h"
#include "core/records.h"
#include "core/records_impl.h"

uint64_t cursor_leb128(struct cursor *c, unsigned max_bytes, unsigned max_bits)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < max_bytes && c->p < c->end; i++) {
        uint64_t byte = *c->p++;
        unsigned shift = i * 7, room = max_bits - shift;
        if (room < 7 && (byte & 0x7f) >> room)
            break;
        v |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
    c->bad = true;
    return 0;
}

struct span cursor_headers(struct cursor *c, uint32_t count)
{
    const uint8_t *start = c->p;
    for (uint32_t i = 0; i < count && !c->bad; i++) {
        if (span_is_null(cursor_bytes(c)))
            c->bad = true; /* keys are never null */
        (void)cursor_bytes(c);
    }
    return span_of(start, (size_t)(c->p - start));
}

int records_open(struct compressor *z, struct span batch, size_t max_decoded_bytes, struct records_iter *ret)
{
    const uint8_t *b = batch.ptr;
    struct span records = batch_records(batch);
    if (batch_codec(b) != CODEC_NONE) {
        int err = compress_decode(z, batch_codec(b), records, max_decoded_bytes, &records);
        if (err)
            return err;
    }
    *ret = (struct records_iter){
        .p = records.ptr,
        .end = records.ptr + records.len,
        .left = batch_record_count(b),
        .base_offset = batch_base_offset(b),
        .base_timestamp = batch_base_timestamp(b),
        .append_ms = batch_max_timestamp(b),
        .append_time = batch_attributes(b) & BATCH_APPEND_TIME,
    };
    return 0;
}

/* Stored bytes may hold anything in batches that were trusted: wrap instead of overflowing. */
static int64_t add_wrapping(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

int records_next(struct records_iter *it, struct record *ret)
{
    if (it->left <= 0)
        return it->p == it->end ? 0 : ERR_BAD_BATCH;
    struct cursor c = {it->p, it->end, false};
    struct raw_record raw;
    if (!cursor_record(&c, &raw) || raw.offset_delta < 0)
        return ERR_BAD_BATCH;
    it->p = c.p;
    it->left--;
    *ret = (struct record){
        .offset = add_wrapping(it->base_offset, raw.offset_delta),
        .timestamp = it->append_time ? it->append_ms : add_wrapping(it->base_timestamp, raw.timestamp_delta),
        .key = raw.key,
        .value = raw.value,
        .header_count = raw.header_count,
        .headers = raw.headers,
    };
    return 1;
}

int record_header_next(struct span *rest, struct span *ret_key, struct span *ret_value)
{
    if (rest->len == 0)
        return 0;
    struct cursor c = {rest->ptr, rest->ptr + rest->len, false};
    struct span key = cursor_bytes(&c), value = cursor_bytes(&c);
    if (c.bad || span_is_null(key))
        return ERR_BAD_BATCH;
    *rest = span_of(c.p, (size_t)(c.end - c.p));
    *ret_key = key;
    *ret_value = value;
    return 1;
}

int records_find_timestamp(struct compressor *z, struct span batch, size_t max_decoded_bytes, int64_t from,
                           int64_t target_ms, int64_t *ret_offset, int64_t *ret_timestamp)
{
    if (batch_max_timestamp(batch.ptr) < target_ms)
        return ERR_NOT_FOUND;
    struct records_iter it;
    struct record r;
    int err = records_open(z, batch, max_decoded_bytes, &it);
    if (err)
        return err;
    while ((err = records_next(&it, &r)) > 0 && (r.timestamp < target_ms || r.offset < from))
        ;
    if (z)
        compressor_trim(z); /* of r, only numbers are used from here on */
    if (err <= 0)
        return err ? err : ERR_NOT_FOUND;
    *ret_offset = r.offset;
    *ret_timestamp = r.timestamp;
    return 0;
}

/* Stops early at the header's maximum, which was made true when the batch was stored. */
static int first_of_largest(struct records_iter *it, int64_t known_max, int64_t from, struct record *ret_best)
{
    struct record r, best = {0};
    bool any = false;
    int more;
    while ((more = records_next(it, &r)) > 0) {
        if (r.offset < from)
            continue;
        if (!any || r.timestamp > best.timestamp)
            best = r;
        any = true;
        if (best.timestamp == known_max)
            break;
    }
    if (more < 0)
        return more;
    if (!any)
        return ERR_NOT_FOUND;
    *ret_best = best;
    return 0;
}

int records_max_timestamp(struct compressor *z, struct span batch, size_t max_decoded_bytes, int64_t from,
                          int64_t *ret_offset, int64_t *ret_timestamp)
{
    struct records_iter it;
    struct record best = {0};
    if (batch_record_count(batch.ptr) <= 0)
        return ERR_NOT_FOUND;
    int err = records_open(z, batch, max_decoded_bytes, &it);
    if (!err)
        err = first_of_largest(&it, batch_max_timestamp(batch.ptr), from, &best);
    if (z)
        compressor_trim(z); /* of best, only numbers are used from here on */
    if (err)
        return err;
    *ret_offset = best.offset;
    *ret_timestamp = best.timestamp;
    return 0;
}
