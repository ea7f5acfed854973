/* Content on its way in: a publish, its header, its body.
 *
 * Most messages arrive whole, in frames that follow each other: they are taken where they lie in the input,
 * and nothing is copied or allocated. Frames of one message that come one by one, or with another channel's
 * between them, are gathered in a chunk: the publish's payload, the properties, the body. It grows with what
 * has come, never by what was announced. */
#include <assert.h>

#include "base/err.h"
#include "proto/amqp/amqp_impl.h"
#include "proto/amqp/be.h"

enum {
    CONTENT_HEAD_BYTES = 12, /* class, weight, body size (2.3.5.2) */
    IN_PLACE_MAX =
        24 << 10, /* all frames of a message that is taken from the input; half of its chunk must do */
    GATHER_MIN = 1024,
};

static const uint32_t publish_id = AMQP_BASIC_PUBLISH;

/* ---- the header --------------------------------------------------------------------------------------- */

static int header_decode(struct amqp_channel *ch, struct span payload, struct amqp_content *ret,
                         uint64_t *ret_size)
{
    if (payload.len < CONTENT_HEAD_BYTES) {
        amqp_connection_exception(ch->ac, AMQP_FRAME_ERROR, AMQP_NO_METHOD, "content header of %zu octets",
                                  payload.len);
        return ERR_INVALID;
    }
    unsigned class_id = be_u16(payload.ptr), weight = be_u16(payload.ptr + 2);
    if (class_id != publish_id >> 16 || weight != 0) {
        amqp_connection_exception(ch->ac, AMQP_UNEXPECTED_FRAME, publish_id,
                                  "expected content header for class %u, got one for class %u%s instead",
                                  publish_id >> 16, class_id, weight ? " with a weight" : "");
        return ERR_INVALID;
    }
    *ret_size = be_u64(payload.ptr + 4);
    ret->raw = span_of(payload.ptr + CONTENT_HEAD_BYTES, payload.len - CONTENT_HEAD_BYTES);
    if (amqp_props_decode(ret->raw, &ret->props) == 0)
        return 0;
    amqp_connection_exception(ch->ac, AMQP_SYNTAX_ERROR, publish_id, "cannot decode the content header");
    return ERR_INVALID;
}

/* A message with its envelope must fit what the journal takes at once: a quarter of a file, see
 * store/journal.h. */
static uint64_t largest(const struct config *c)
{
    enum { ENVELOPE_BYTES = 256 << 10 }; /* properties, and what stands around them */
    uint64_t fits = c->journal_file_bytes / 4 > 2 * ENVELOPE_BYTES
                        ? c->journal_file_bytes / 4 - ENVELOPE_BYTES
                        : c->journal_file_bytes / 8;
    return c->amqp_max_message_bytes < fits ? c->amqp_max_message_bytes : fits;
}

/* As RabbitMQ does; it asks when the body has come, for which nobody needs to wait. */
static bool too_large(struct amqp_channel *ch, uint64_t body_size)
{
    uint64_t max = largest(ch->ac->conn->shard->config);
    if (body_size <= max)
        return false;
    amqp_channel_exception(ch, AMQP_PRECONDITION_FAILED, publish_id,
                           "message size %llu is larger than configured max size %llu",
                           (unsigned long long)body_size, (unsigned long long)max);
    return true;
}

/* ---- in place ----------------------------------------------------------------------------------------- */

/* The frame behind `at`. 1: it is there; 0: wait for *ret_need bytes; < 0: it is not of the kind looked for,
 * or too large to be waited for. */
static int look(const struct amqp_channel *ch, struct span input, size_t at, uint8_t type,
                struct span *ret_payload, size_t *ret_need)
{
    if (input.len < at + AMQP_FRAME_HEAD_BYTES) {
        *ret_need = at + AMQP_FRAME_HEAD_BYTES;
        return 0;
    }
    const uint8_t *p = input.ptr + at;
    size_t len = be_u32(p + 3), end = at + AMQP_FRAME_EXTRA_BYTES + len;
    if (p[0] != type || be_u16(p + 1) != ch->number || len > amqp_payload_max(ch->ac) || end > IN_PLACE_MAX)
        return -1;
    if (input.len < end) {
        *ret_need = end;
        return 0;
    }
    if (input.ptr[end - 1] != AMQP_FRAME_END)
        return -1;
    *ret_payload = span_of(p + AMQP_FRAME_HEAD_BYTES, len);
    return 1;
}

static void begin(struct amqp_channel *ch, struct span publish);

int64_t amqp_publish_input(struct amqp_channel *ch, const struct amqp_frame *frame,
                           const struct amqp_method *m, struct span input, struct chunk *chunk,
                           size_t *ret_need)
{
    size_t at = frame->bytes;
    struct span payload, body = span_of("", 0);
    struct amqp_content c;
    uint64_t size;
    int r = look(ch, input, at, AMQP_FRAME_HEADER, &payload, ret_need);
    if (r > 0 && (payload.len < CONTENT_HEAD_BYTES || be_u16(payload.ptr) != publish_id >> 16))
        r = -1; /* which is told when the header is looked at by itself */
    if (r > 0) {
        size = be_u64(payload.ptr + 4);
        at += payload.len + AMQP_FRAME_EXTRA_BYTES;
        if (size > 0)
            r = size > IN_PLACE_MAX ? -1 : look(ch, input, at, AMQP_FRAME_BODY, &body, ret_need);
        if (r > 0 && body.len != size)
            r = -1;
    }
    if (r == 0)
        return 0;
    if (r < 0) {
        begin(ch, frame->payload);
        return (int64_t)frame->bytes;
    }
    if (header_decode(ch, payload, &c, &size) != 0 || too_large(ch, size))
        return (int64_t)at;
    c.body = body;
    c.chunk = chunk;
    amqp_channel_content(ch, m, &c);
    return (int64_t)at + (body.len ? (int64_t)body.len + AMQP_FRAME_EXTRA_BYTES : 0);
}

/* ---- gathered ----------------------------------------------------------------------------------------- */

void amqp_incoming_drop(struct amqp_channel *ch)
{
    chunk_unref(ch->in.chunk);
    ch->in = (struct amqp_incoming){AMQP_CONTENT_NONE};
}

static void out_of_memory(struct amqp_channel *ch)
{
    conn_fail(ch->ac->conn, ERR_NO_MEMORY, "no memory for a message that arrives");
    amqp_conn_over(ch->ac);
}

/* All that has come, and what comes now; at most twice of it. */
static bool grow(struct amqp_channel *ch, size_t more, uint64_t expected)
{
    struct amqp_incoming *in = &ch->in;
    size_t have = in->chunk ? in->chunk->used : 0;
    if (in->chunk && in->chunk->cap - have >= more)
        return true;
    uint64_t cap = (have + more) * 2;
    if (cap < GATHER_MIN)
        cap = GATHER_MIN;
    if (cap > expected && expected >= have + more)
        cap = expected;
    struct shard *s = ch->ac->conn->shard;
    struct chunk_pool *pool = cap > s->small_input_pool.chunk_bytes ? &s->input_pool : &s->small_input_pool;
    struct chunk *c = chunk_new(pool, (size_t)cap);
    if (!c) {
        out_of_memory(ch);
        return false;
    }
    if (have > 0)
        memcpy(c->data, in->chunk->data, have);
    c->used = (uint32_t)have;
    chunk_unref(in->chunk);
    in->chunk = c;
    return true;
}

static bool gather(struct amqp_channel *ch, struct span bytes, uint64_t expected)
{
    if (!grow(ch, bytes.len, expected))
        return false;
    struct chunk *c = ch->in.chunk;
    if (bytes.len > 0)
        memcpy(c->data + c->used, bytes.ptr, bytes.len);
    c->used += (uint32_t)bytes.len;
    return true;
}

static void begin(struct amqp_channel *ch, struct span publish)
{
    assert(ch->in.phase == AMQP_CONTENT_NONE && !ch->in.chunk);
    if (!gather(ch, publish, 0))
        return;
    ch->in.method_len = (uint32_t)publish.len;
    ch->in.phase = AMQP_CONTENT_HEADER;
}

static void finish(struct amqp_channel *ch)
{
    struct amqp_incoming in = ch->in;
    struct amqp_method m;
    struct amqp_content c = {.chunk = in.chunk};
    const uint8_t *p = in.chunk->data;
    ch->in = (struct amqp_incoming){AMQP_CONTENT_NONE};
    int err = amqp_method_decode(span_of(p, in.method_len), &m); /* again: its spans must lie in the chunk */
    c.raw = span_of(p + in.method_len, in.props_len);
    err = err ? err : amqp_props_decode(c.raw, &c.props);
    assert(err == 0); /* they were good when they came */
    c.body = span_of(p + in.method_len + in.props_len, (size_t)in.body_size);
    amqp_channel_content(ch, &m, &c);
    chunk_unref(in.chunk);
}

void amqp_header_frame(struct amqp_channel *ch, struct span payload)
{
    struct amqp_content c;
    uint64_t size;
    if (ch->in.phase != AMQP_CONTENT_HEADER) {
        amqp_connection_exception(
            ch->ac, AMQP_UNEXPECTED_FRAME, ch->in.phase == AMQP_CONTENT_NONE ? AMQP_NO_METHOD : publish_id,
            ch->in.phase == AMQP_CONTENT_NONE ? "expected method frame, got non method frame instead"
                                              : "expected content body, got non content body frame instead");
        return;
    }
    if (header_decode(ch, payload, &c, &size) != 0 || too_large(ch, size))
        return;
    uint64_t expected = ch->in.method_len + c.raw.len + size;
    if (!gather(ch, c.raw, expected))
        return;
    ch->in.props_len = (uint32_t)c.raw.len;
    ch->in.body_size = size;
    ch->in.phase = AMQP_CONTENT_BODY;
    if (size == 0)
        finish(ch);
}

void amqp_body_frame(struct amqp_channel *ch, struct span payload)
{
    struct amqp_incoming *in = &ch->in;
    if (in->phase != AMQP_CONTENT_BODY) {
        amqp_connection_exception(
            ch->ac, AMQP_UNEXPECTED_FRAME, in->phase == AMQP_CONTENT_NONE ? AMQP_NO_METHOD : publish_id,
            in->phase == AMQP_CONTENT_NONE
                ? "expected method frame, got non method frame instead"
                : "expected content header for class 60, got non content header frame instead");
        return;
    }
    uint64_t expected = in->method_len + in->props_len + in->body_size;
    if (in->chunk->used + payload.len > expected) {
        amqp_connection_exception(ch->ac, AMQP_FRAME_ERROR, publish_id,
                                  "the body is larger than the %llu octets that its header announced",
                                  (unsigned long long)in->body_size);
        return;
    }
    if (gather(ch, payload, expected) && in->chunk->used == expected)
        finish(ch);
}
