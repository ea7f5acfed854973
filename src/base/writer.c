#include "base/writer.h"

#include "base/err.h"

void writer_init(struct writer *w, struct outq *q)
{
    *w = (struct writer){q, 0};
}

static uint8_t *room(struct writer *w, size_t n)
{
    uint8_t *p = w->err ? NULL : outq_reserve(w->q, n);
    if (!p && !w->err)
        w->err = ERR_NO_MEMORY;
    return p;
}

static void put_be(struct writer *w, uint64_t v, size_t n)
{
    uint8_t *p = room(w, n);
    for (size_t i = 0; p && i < n; i++)
        p[i] = (uint8_t)(v >> 8 * (n - 1 - i));
}

void write_i8(struct writer *w, int8_t v)
{
    put_be(w, (uint8_t)v, 1);
}

void write_i16(struct writer *w, int16_t v)
{
    put_be(w, (uint16_t)v, 2);
}

void write_u16(struct writer *w, uint16_t v)
{
    put_be(w, v, 2);
}

void write_i32(struct writer *w, int32_t v)
{
    put_be(w, (uint32_t)v, 4);
}

void write_u32(struct writer *w, uint32_t v)
{
    put_be(w, v, 4);
}

void write_i64(struct writer *w, int64_t v)
{
    put_be(w, (uint64_t)v, 8);
}

void write_f64(struct writer *w, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    put_be(w, bits, 8);
}

void write_bool(struct writer *w, bool v)
{
    put_be(w, v, 1);
}

static void put_leb(struct writer *w, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    do {
        bytes[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v);
    write_bytes(w, span_of(bytes, n));
}

void write_uvarint(struct writer *w, uint32_t v)
{
    put_leb(w, v);
}

void write_varint(struct writer *w, int32_t v)
{
    put_leb(w, (uint32_t)v << 1 ^ (uint32_t)(v >> 31));
}

void write_varlong(struct writer *w, int64_t v)
{
    put_leb(w, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

void write_bytes(struct writer *w, struct span bytes)
{
    if (!w->err)
        w->err = outq_copy(w->q, bytes);
}

void write_rope(struct writer *w, const struct rope *rope)
{
    for (size_t i = 0; !w->err && i < rope->count; i++)
        outq_ref(w->q, rope->slices[i].chunk, span_of(rope->slices[i].ptr, rope->slices[i].len));
}

uint8_t *write_reserve_u32(struct writer *w)
{
    return room(w, 4);
}

void write_patch_u32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> 8 * (3 - i));
}
