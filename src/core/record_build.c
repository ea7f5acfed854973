/* The layout of a record is in records_impl.h, that of a batch in store/batch.h. */
#include "core/record_build.h"

#include <assert.h>

#include "base/err.h"
#include "store/batch.h"

enum {
    FIRST_BYTES = 4 << 10,
    VARINT_MAX = 5,
    VARLONG_MAX = 10,
    MAX_BYTES = 1 << 30,
};

/* ---- varints: zigzag LEB128 ---------------------------------------------------------------------------- */

static uint8_t *put_varlong(uint8_t *at, int64_t v)
{
    uint64_t u = (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
    for (; u >= 0x80; u >>= 7)
        *at++ = (uint8_t)(u | 0x80);
    *at++ = (uint8_t)u;
    return at;
}

static size_t varlong_bytes(int64_t v)
{
    uint64_t u = (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
    size_t n = 1;
    for (; u >= 0x80; u >>= 7)
        n++;
    return n;
}

static size_t span_bytes(struct span s)
{
    return span_is_null(s) ? 1 : varlong_bytes((int64_t)s.len) + s.len;
}

static uint8_t *put_span(uint8_t *at, struct span s)
{
    at = put_varlong(at, span_is_null(s) ? -1 : (int64_t)s.len);
    if (s.len > 0)
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

/* ---- one record ---------------------------------------------------------------------------------------- */

/* Of what stands behind the length. */
static size_t body_bytes(const struct record_draft *d, int64_t time_delta, int32_t index)
{
    size_t n = 1 + varlong_bytes(time_delta) + varlong_bytes(index) + span_bytes(d->key) +
               span_bytes(d->value) + varlong_bytes(d->header_count);
    for (uint32_t i = 0; i < d->header_count; i++)
        n += span_bytes(d->headers[i].key) + span_bytes(d->headers[i].value);
    return n;
}

size_t record_build_bytes(const struct record_draft *d)
{
    return VARINT_MAX + VARLONG_MAX + VARINT_MAX + body_bytes(d, 0, 0);
}

static void put_record(uint8_t *at, const struct record_draft *d, size_t len, int64_t time_delta,
                       int32_t index)
{
    at = put_varlong(at, (int64_t)len);
    *at++ = 0; /* attributes */
    at = put_varlong(at, time_delta);
    at = put_varlong(at, index);
    at = put_span(at, d->key);
    at = put_span(at, d->value);
    at = put_varlong(at, d->header_count);
    for (uint32_t i = 0; i < d->header_count; i++) {
        at = put_span(at, d->headers[i].key);
        at = put_span(at, d->headers[i].value);
    }
}

/* ---- the batch ----------------------------------------------------------------------------------------- */

static int make_room(struct record_builder *b, struct chunk_pool *pool, size_t len)
{
    size_t have = b->chunk ? b->len : BATCH_HEADER_BYTES, need = have + len;
    if (need > MAX_BYTES)
        return ERR_TOO_LARGE;
    if (b->chunk && b->chunk->cap >= need)
        return 0;
    size_t cap = b->chunk ? (size_t)b->chunk->cap * 4 : FIRST_BYTES;
    struct chunk *c = chunk_new(pool, need > cap ? need : cap > MAX_BYTES ? MAX_BYTES : cap);
    if (!c)
        return ERR_NO_MEMORY;
    if (b->chunk)
        memcpy(c->data, b->chunk->data, b->len);
    chunk_unref(b->chunk);
    b->chunk = c;
    b->len = have;
    return 0;
}

int record_build_add(struct record_builder *b, struct chunk_pool *pool, const struct record_draft *d,
                     int64_t now_ms)
{
    int64_t delta = b->count ? now_ms - b->base_ms : 0;
    size_t body = body_bytes(d, delta, b->count), len = varlong_bytes((int64_t)body) + body;
    int err = make_room(b, pool, len);
    if (err)
        return err;
    if (b->count == 0)
        b->base_ms = b->max_ms = now_ms;
    put_record(b->chunk->data + b->len, d, body, delta, b->count);
    if (now_ms > b->max_ms)
        b->max_ms = now_ms;
    b->len += len;
    b->count++;
    return 0;
}

struct span record_build_seal(struct record_builder *b)
{
    assert(b->count > 0);
    uint8_t *h = b->chunk->data;
    memset(h, 0, BATCH_HEADER_BYTES);
    batch_set_magic(h, BATCH_MAGIC);
    batch_set_leader_epoch(h, -1);
    batch_set_last_offset_delta(h, b->count - 1);
    batch_set_base_timestamp(h, b->base_ms);
    batch_set_max_timestamp(h, b->max_ms);
    batch_set_producer_id(h, -1);
    batch_set_producer_epoch(h, -1);
    batch_set_base_sequence(h, -1);
    batch_set_record_count(h, b->count);
    batch_seal(h, b->len);
    b->chunk->used = (uint32_t)b->len;
    return span_of(h, b->len);
}

void record_build_fini(struct record_builder *b)
{
    chunk_unref(b->chunk);
    *b = (struct record_builder){0};
}
