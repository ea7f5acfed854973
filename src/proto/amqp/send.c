/* Frames on their way out. A frame's head, payload and end are written in one place; large bodies are not
 * copied but referred to, where they lie in the log's or the reader's chunk. */
#include <assert.h>

#include "base/arena.h"
#include "proto/amqp/amqp_impl.h"
#include "proto/amqp/be.h"

enum {
    COPY_MAX = 4096, /* bodies up to this are copied behind their header: cheaper than another iovec */
    CONTENT_HEAD_BYTES = 12,
};

static uint8_t *put_frame_head(uint8_t *at, uint8_t type, uint16_t channel, size_t payload)
{
    *at++ = type;
    at = be_put_u16(at, channel);
    return be_put_u32(at, (uint32_t)payload);
}

static uint8_t *put_span(uint8_t *at, struct span s)
{
    if (s.len > 0)
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

static uint8_t *put_method(uint8_t *at, uint16_t channel, const struct amqp_method *m, size_t payload)
{
    at = put_frame_head(at, AMQP_FRAME_METHOD, channel, payload);
    at = amqp_method_encode(m, at);
    *at++ = AMQP_FRAME_END;
    return at;
}

/* NULL: memory is gone, and the connection with it. */
static uint8_t *reserve(struct amqp_conn *ac, size_t len)
{
    uint8_t *at = outq_reserve(&ac->conn->out, len);
    if (!at)
        conn_abort(ac->conn);
    return at;
}

static void send_method(struct amqp_conn *ac, uint16_t channel, const struct amqp_method *m)
{
    size_t payload = amqp_method_bytes(m);
    uint8_t *at = reserve(ac, payload + AMQP_FRAME_EXTRA_BYTES);
    if (!at)
        return;
    put_method(at, channel, m, payload);
    conn_wake_output(ac->conn);
}

void amqp_conn_send(struct amqp_conn *ac, const struct amqp_method *m)
{
    if (ac->phase != AMQP_CONN_OVER)
        send_method(ac, 0, m);
}

void amqp_send_heartbeat(struct amqp_conn *ac)
{
    static const uint8_t frame[] = {AMQP_FRAME_HEARTBEAT, 0, 0, 0, 0, 0, 0, AMQP_FRAME_END};
    uint8_t *at = reserve(ac, sizeof(frame));
    if (!at)
        return;
    memcpy(at, frame, sizeof(frame));
    conn_wake_output(ac->conn);
}

static bool may_send(const struct amqp_channel *ch)
{
    return ch->phase == AMQP_CHANNEL_ALIVE && ch->ac->phase == AMQP_CONN_OPEN;
}

void amqp_send(struct amqp_channel *ch, const struct amqp_method *m)
{
    if (may_send(ch))
        send_method(ch->ac, ch->number, m);
}

/* ---- content ------------------------------------------------------------------------------------------ */

/* What comes before the properties. */
static uint8_t *put_content_head(uint8_t *at, uint16_t channel, size_t props, size_t body)
{
    at = put_frame_head(at, AMQP_FRAME_HEADER, channel, CONTENT_HEAD_BYTES + props);
    at = be_put_u16(at, AMQP_BASIC_DELIVER >> 16);
    at = be_put_u16(at, 0); /* weight */
    return be_put_u64(at, body);
}

static void send_body(struct amqp_channel *ch, struct span body, struct chunk *chunk)
{
    struct amqp_conn *ac = ch->ac;
    size_t piece_max = ac->frame_max - AMQP_FRAME_EXTRA_BYTES;
    while (body.len > 0) {
        struct span piece = span_of(body.ptr, body.len < piece_max ? body.len : piece_max);
        uint8_t *at = reserve(ac, AMQP_FRAME_HEAD_BYTES);
        if (!at)
            return;
        put_frame_head(at, AMQP_FRAME_BODY, ch->number, piece.len);
        if (chunk && piece.len > COPY_MAX)
            outq_ref(&ac->conn->out, chunk, piece);
        else if (outq_copy(&ac->conn->out, piece) != 0)
            conn_abort(ac->conn);
        at = reserve(ac, 1);
        if (!at)
            return;
        *at = AMQP_FRAME_END;
        body.ptr += piece.len;
        body.len -= piece.len;
    }
}

static void send_pieces(struct amqp_channel *ch, const struct amqp_method *m, size_t method,
                        struct span props, struct span body, struct chunk *chunk)
{
    struct amqp_conn *ac = ch->ac;
    uint8_t *at = reserve(ac, method + AMQP_FRAME_EXTRA_BYTES + AMQP_FRAME_HEAD_BYTES + CONTENT_HEAD_BYTES);
    if (!at)
        return;
    at = put_method(at, ch->number, m, method);
    put_content_head(at, ch->number, props.len, body.len);
    if (outq_copy(&ac->conn->out, props) != 0 || !(at = reserve(ac, 1))) {
        conn_abort(ac->conn);
        return;
    }
    *at = AMQP_FRAME_END;
    send_body(ch, body, chunk);
    conn_wake_output(ac->conn);
}

static void send_content(struct amqp_channel *ch, const struct amqp_method *m, struct span props,
                         struct span body, struct chunk *chunk)
{
    struct amqp_conn *ac = ch->ac;
    size_t method = amqp_method_bytes(m);
    size_t len = method + AMQP_FRAME_EXTRA_BYTES + CONTENT_HEAD_BYTES + props.len + AMQP_FRAME_EXTRA_BYTES +
                 (body.len ? body.len + AMQP_FRAME_EXTRA_BYTES : 0);
    if (len > COPY_MAX || body.len + AMQP_FRAME_EXTRA_BYTES > ac->frame_max) {
        send_pieces(ch, m, method, props, body, chunk);
        return;
    }
    uint8_t *at = reserve(ac, len);
    if (!at)
        return;
    at = put_method(at, ch->number, m, method);
    at = put_content_head(at, ch->number, props.len, body.len);
    at = put_span(at, props);
    *at++ = AMQP_FRAME_END;
    if (body.len > 0) {
        at = put_frame_head(at, AMQP_FRAME_BODY, ch->number, body.len);
        at = put_span(at, body);
        *at = AMQP_FRAME_END;
    }
    conn_wake_output(ac->conn);
}

void amqp_send_content(struct amqp_channel *ch, const struct amqp_method *m, struct span props,
                       struct span body, struct chunk *chunk)
{
    static const uint8_t no_props[2];
    struct amqp_props p;
    if (!may_send(ch))
        return;
    if (props.len < sizeof(no_props)) /* it came by another protocol */
        props = span_of(no_props, sizeof(no_props));
    if (!amqp_props_has_bcc(props, &p)) {
        send_content(ch, m, props, body, chunk);
        return;
    }
    struct arena a;
    arena_init(&a);
    send_content(ch, m, amqp_props_without_bcc(&p, &a), body, chunk);
    arena_fini(&a);
}
