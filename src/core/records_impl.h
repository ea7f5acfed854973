/* The layout of one record in a batch of magic 2, for the two files that walk over records.
 *
 *     varint   length of what follows
 *     i8       attributes, unused
 *     varlong  timestamp - the batch's base_timestamp
 *     varint   offset - the batch's base_offset
 *     varint   key length (-1: null), key
 *     varint   value length (-1: null), value
 *     varint   number of headers, each: varint key length, key, varint value length (-1: null), value
 *
 * Varints are zigzag LEB128: 5 bytes at most, varlongs 10. Source: Kafka's DefaultRecord. */
#ifndef COLOBUS_CORE_RECORDS_IMPL_H
#define COLOBUS_CORE_RECORDS_IMPL_H

#include "base/span.h"

/* What is left of some bytes; `bad` sticks. */
struct cursor {
    const uint8_t *p, *end;
    bool bad;
};

struct raw_record {
    int64_t timestamp_delta;
    int32_t offset_delta;
    uint32_t header_count;
    struct span key, value, headers;
};

/* At most `max_bytes`, and no bits beyond `max_bits`; for what the inline ways below did not take. */
uint64_t cursor_leb128(struct cursor *c, unsigned max_bytes, unsigned max_bits);
/* Checks header_count headers and takes their bytes. */
struct span cursor_headers(struct cursor *c, uint32_t count);

/* One or two bytes, which is nearly all; false: neither, and nothing is taken. */
static inline bool cursor_short(struct cursor *c, uint32_t *ret)
{
    const uint8_t *p = c->p;
    if (__builtin_expect(c->end - p < 2, 0))
        return false;
    uint32_t low = p[0], high = p[1];
    if (low < 0x80) {
        *ret = low;
        c->p = p + 1;
        return true;
    }
    *ret = (low & 0x7f) | high << 7;
    c->p = p + (high < 0x80 ? 2 : 0);
    return high < 0x80;
}

static inline int32_t cursor_varint(struct cursor *c)
{
    uint32_t u;
    if (__builtin_expect(!cursor_short(c, &u), 0))
        u = (uint32_t)cursor_leb128(c, 5, 32);
    return (int32_t)(u >> 1 ^ -(u & 1));
}

static inline int64_t cursor_varlong(struct cursor *c)
{
    uint32_t u32;
    if (__builtin_expect(cursor_short(c, &u32), 1))
        return (int32_t)(u32 >> 1 ^ -(u32 & 1));
    uint64_t u = cursor_leb128(c, 10, 64);
    return (int64_t)(u >> 1 ^ -(u & 1));
}

/* A length and as many bytes; length -1 gives the null span. */
static inline struct span cursor_bytes(struct cursor *c)
{
    int32_t len = cursor_varint(c);
    if (len == -1)
        return SPAN_NULL;
    if (len < -1 || len > c->end - c->p) {
        c->bad = true;
        return SPAN_NULL;
    }
    struct span s = span_of(c->p, (size_t)len);
    c->p += len;
    return s;
}

/* Takes the next record off; false if it is malformed or its parts do not fill its length exactly. */
static inline bool cursor_record(struct cursor *c, struct raw_record *ret)
{
    int32_t len = cursor_varint(c);
    if (c->bad || len < 1 || len > c->end - c->p)
        return false;
    struct cursor r = {c->p + 1, c->p + len, false}; /* + 1: attributes */
    c->p += len;
    ret->timestamp_delta = cursor_varlong(&r);
    ret->offset_delta = cursor_varint(&r);
    ret->key = cursor_bytes(&r);
    ret->value = cursor_bytes(&r);
    int32_t headers = 0;
    if (__builtin_expect(r.end - r.p == 1 && *r.p == 0, 1))
        r.p++; /* the usual end: no headers */
    else
        headers = cursor_varint(&r);
    if (r.bad || headers < 0)
        return false;
    ret->header_count = (uint32_t)headers;
    ret->headers = headers ? cursor_headers(&r, (uint32_t)headers) : span_of(r.p, 0);
    return !r.bad && r.p == r.end;
}

#endif
