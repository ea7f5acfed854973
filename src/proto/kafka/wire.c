#include "proto/kafka/wire.h"

#include <assert.h>

#include "base/err.h"

static const uint8_t no_bytes[1];
const struct span wire_empty = {no_bytes, 0};

/* A length or count that is -1 for null: compact ones are sent plus one (KIP-482). */
static int64_t check_length(struct reader *r, int64_t len, bool nullable)
{
    if (r->err)
        return 0;
    if (len == -1 && nullable)
        return -1;
    if (len < 0) {
        reader_fail(r, ERR_INVALID, "a field that may not be null is null, or a length is negative");
        return 0;
    }
    return len;
}

static struct span read_counted(struct reader *r, int64_t len, bool nullable)
{
    len = check_length(r, len, nullable);
    return len < 0 ? SPAN_NULL : read_bytes(r, (size_t)len);
}

struct span wire_read_string(struct reader *r, bool flexible, bool nullable)
{
    int64_t len = flexible ? (int64_t)read_uvarint(r) - 1 : read_i16(r);
    if (len > INT16_MAX) {
        reader_fail(r, ERR_INVALID, "a string is longer than 32767 bytes");
        return SPAN_NULL;
    }
    return read_counted(r, len, nullable);
}

struct span wire_read_bytes(struct reader *r, bool flexible, bool nullable)
{
    int64_t len = flexible ? (int64_t)read_uvarint(r) - 1 : read_i32(r);
    return read_counted(r, len, nullable);
}

struct rope wire_read_records(struct reader *r, bool flexible, bool nullable)
{
    struct span s = wire_read_bytes(r, flexible, nullable);
    if (s.len == 0)
        return (struct rope){NULL, 0, 0};
    struct slice *slice = arena_alloc(r->arena, sizeof(*slice));
    *slice = (struct slice){NULL, s.ptr, s.len};
    return (struct rope){slice, 1, s.len};
}

struct kafka_uuid wire_read_uuid(struct reader *r)
{
    struct kafka_uuid id = {{0}};
    struct span s = read_bytes(r, sizeof(id.bytes));
    if (s.ptr)
        memcpy(id.bytes, s.ptr, sizeof(id.bytes));
    return id;
}

void *wire_read_array(struct reader *r, bool flexible, bool nullable, size_t min_bytes, size_t item_size,
                      int32_t *ret_count)
{
    assert(min_bytes > 0);
    int64_t count = flexible ? (int64_t)read_uvarint(r) - 1 : read_i32(r);
    *ret_count = 0;
    count = check_length(r, count, nullable);
    if (count <= 0) {
        *ret_count = (int32_t)count;
        return NULL;
    }
    if ((uint64_t)count > reader_left(r) / min_bytes) {
        reader_fail(r, ERR_LIMIT, "an array claims more elements than the message has bytes for");
        return NULL;
    }
    if (r->arena->total + (uint64_t)count * item_size > WIRE_MAX_DECODED_BYTES) {
        reader_fail(r, ERR_LIMIT, "the message has more array elements than one request may decode into");
        return NULL;
    }
    *ret_count = (int32_t)count;
    return arena_array(r->arena, (size_t)count, item_size);
}

struct wire_open_tag wire_open_tag(struct reader *r)
{
    struct wire_open_tag tag = {read_uvarint(r), r->end};
    uint32_t size = read_uvarint(r);
    if (size > reader_left(r))
        reader_fail(r, ERR_INVALID, "a tagged field is longer than the message");
    if (!r->err)
        r->end = r->p + size;
    return tag;
}

void wire_skip_tag(struct reader *r)
{
    read_bytes(r, reader_left(r));
}

void wire_close_tag(struct reader *r, const struct wire_open_tag *tag)
{
    if (reader_left(r) > 0)
        reader_fail(r, ERR_INVALID, "a tagged field is longer than its value");
    r->end = tag->end;
    if (r->err)
        r->p = r->end;
}

void wire_skip_tags(struct reader *r)
{
    uint32_t count = read_uvarint(r);
    for (uint32_t i = 0; i < count && !r->err; i++) { /* two bytes or more each, or the reader fails */
        struct wire_open_tag tag = wire_open_tag(r);
        wire_skip_tag(r);
        wire_close_tag(r, &tag);
    }
}

static void writer_fail(struct writer *w, int err)
{
    if (!w->err)
        w->err = err;
}

void wire_write_string(struct writer *w, bool flexible, bool nullable, struct span s)
{
    int len = s.ptr || !nullable ? (int)s.len : -1;
    if (s.len > INT16_MAX)
        writer_fail(w, ERR_LIMIT);
    else if (flexible)
        write_uvarint(w, (uint32_t)(len + 1));
    else
        write_i16(w, (int16_t)len);
    write_bytes(w, s);
}

void wire_write_bytes(struct writer *w, bool flexible, bool nullable, struct span s)
{
    bool null = !s.ptr && nullable;
    if (s.len >= INT32_MAX)
        writer_fail(w, ERR_LIMIT);
    else if (flexible)
        write_uvarint(w, null ? 0 : (uint32_t)s.len + 1);
    else
        write_i32(w, null ? -1 : (int32_t)s.len);
    write_bytes(w, s);
}

void wire_write_records(struct writer *w, bool flexible, const struct rope *records)
{
    if (records->len >= INT32_MAX)
        writer_fail(w, ERR_LIMIT);
    else if (flexible)
        write_uvarint(w, (uint32_t)records->len + 1);
    else
        write_i32(w, (int32_t)records->len);
    write_rope(w, records);
}

void wire_write_uuid(struct writer *w, struct kafka_uuid id)
{
    write_bytes(w, span_of(id.bytes, sizeof(id.bytes)));
}

void wire_write_count(struct writer *w, bool flexible, bool nullable, int32_t count)
{
    assert(count >= -1);
    if (count < 0 && !nullable)
        count = 0;
    if (flexible)
        write_uvarint(w, (uint32_t)count + 1);
    else
        write_i32(w, count);
}

void wire_begin_tag(struct wire_tag *tag, const struct writer *w)
{
    outq_init(&tag->bytes, w->q->pool);
    writer_init(&tag->w, &tag->bytes);
    tag->w.err = w->err;
}

void wire_end_tag(struct wire_tag *tag, struct writer *w, uint32_t number)
{
    if (tag->w.err)
        writer_fail(w, tag->w.err);
    write_uvarint(w, number);
    write_uvarint(w, (uint32_t)tag->bytes.len);
    /* Copied: tagged fields are small, and a chunk of their own would be mostly empty. */
    struct span s;
    while (outq_peek(&tag->bytes, &s, 1) == 1) {
        write_bytes(w, s);
        outq_consume(&tag->bytes, s.len);
    }
    outq_fini(&tag->bytes);
}

bool wire_uuid_is_zero(struct kafka_uuid id)
{
    static const struct kafka_uuid zero;
    return memcmp(&id, &zero, sizeof(id)) == 0;
}
