#include "base/reader.h"

#include "base/err.h"

void reader_init(struct reader *r, struct span bytes, struct arena *arena)
{
    *r = (struct reader){bytes.ptr, bytes.ptr ? bytes.ptr + bytes.len : NULL, arena, 0, NULL};
}

void reader_fail(struct reader *r, int err, const char *what)
{
    if (r->err)
        return;
    r->err = err;
    r->what = what;
    r->p = r->end; /* nothing more can be read */
}

static const uint8_t *take(struct reader *r, size_t n)
{
    if (r->err || reader_left(r) < n) {
        reader_fail(r, ERR_INVALID, "the message ends before its last field");
        return NULL;
    }
    const uint8_t *p = r->p;
    r->p += n;
    return p;
}

static uint64_t take_be(struct reader *r, size_t n)
{
    const uint8_t *p = take(r, n);
    uint64_t v = 0;
    for (size_t i = 0; p && i < n; i++)
        v = v << 8 | p[i];
    return v;
}

int8_t read_i8(struct reader *r)
{
    return (int8_t)take_be(r, 1);
}

int16_t read_i16(struct reader *r)
{
    return (int16_t)take_be(r, 2);
}

uint16_t read_u16(struct reader *r)
{
    return (uint16_t)take_be(r, 2);
}

int32_t read_i32(struct reader *r)
{
    return (int32_t)take_be(r, 4);
}

uint32_t read_u32(struct reader *r)
{
    return (uint32_t)take_be(r, 4);
}

int64_t read_i64(struct reader *r)
{
    return (int64_t)take_be(r, 8);
}

double read_f64(struct reader *r)
{
    uint64_t bits = take_be(r, 8);
    double d;
    memcpy(&d, &bits, sizeof(d));
    return d;
}

bool read_bool(struct reader *r)
{
    return read_i8(r) != 0;
}

/* LEB128 of at most `bits` bits: the last possible byte may only carry what is left of them. */
static uint64_t take_leb(struct reader *r, unsigned bits)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < bits; shift += 7) {
        const uint8_t *p = take(r, 1);
        if (!p)
            return 0;
        unsigned room = bits - shift;
        if (room < 7 && (*p & 0x7f) >> room)
            break;
        v |= (uint64_t)(*p & 0x7f) << shift;
        if (!(*p & 0x80))
            return v;
    }
    reader_fail(r, ERR_INVALID, "a variable-length number is too long");
    return 0;
}

uint32_t read_uvarint(struct reader *r)
{
    return (uint32_t)take_leb(r, 32);
}

int32_t read_varint(struct reader *r)
{
    uint32_t v = (uint32_t)take_leb(r, 32);
    return (int32_t)(v >> 1 ^ (~(v & 1) + 1));
}

int64_t read_varlong(struct reader *r)
{
    uint64_t v = take_leb(r, 64);
    return (int64_t)(v >> 1 ^ (~(v & 1) + 1));
}

struct span read_bytes(struct reader *r, size_t len)
{
    const uint8_t *p = take(r, len);
    return p ? span_of(p, len) : SPAN_NULL;
}
