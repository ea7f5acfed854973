#include "proto/amqp/test_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct arena arena;
const uint8_t no_props[2];

void forget_transcript(void)
{
    rig->transcript_len = 0;
    rig->transcript[0] = 0;
}

int client_setup(void **state)
{
    arena_init(&arena);
    rig_open();
    return 0;
}

int client_teardown(void **state)
{
    rig_free();
    arena_fini(&arena);
    return 0;
}

int client_setup_open(void **state)
{
    client_setup(state);
    rig_handshake(131072, 0);
    forget_transcript();
    return 0;
}

/* Another client comes in. */
void reopen(void)
{
    rig_free();
    rig_open();
    rig_handshake(131072, 0);
    forget_transcript();
}

/* ---- what is said and heard --------------------------------------------------------------------------- */

void say_method(uint16_t channel, struct amqp_method m)
{
    rig_send(rig_method(&arena, channel, &m));
}

void say_id(uint16_t channel, uint32_t id)
{
    say_method(channel, (struct amqp_method){.id = id});
}

struct span publish_frame(uint16_t channel)
{
    return rig_method(
        &arena, channel,
        &(struct amqp_method){.id = AMQP_BASIC_PUBLISH,
                              .basic_publish = {.exchange = span_str("x"), .routing_key = span_str("k")}});
}

struct span body_of(size_t len)
{
    uint8_t *p = arena_alloc(&arena, len + 1);
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(i * 7 + i / 256);
    return span_of(p, len);
}

/* Method, header, and the body in frames of at most `piece`. */
struct span message_frames(uint16_t channel, size_t len, size_t piece)
{
    struct span *parts = arena_array(&arena, 3 + len / piece, sizeof(*parts)), body = body_of(len);
    size_t n = 0;
    parts[n++] = publish_frame(channel);
    parts[n++] = rig_header(&arena, channel, len, span_of(no_props, 2));
    for (size_t at = 0; at < len; at += piece)
        parts[n++] = rig_frame(&arena, AMQP_FRAME_BODY, channel,
                               span_of(body.ptr + at, len - at < piece ? len - at : piece));
    return rig_join(&arena, parts, n);
}

/* Next method that the broker sends; it must be this one. */
struct amqp_method expect(uint16_t channel, uint32_t id)
{
    struct amqp_frame f;
    struct amqp_method m;
    if (!rig_next(&arena, &f))
        fail_msg("nothing was sent, %s is awaited", amqp_method_name(id));
    assert_int_equal(f.type, AMQP_FRAME_METHOD);
    assert_int_equal(f.channel, channel);
    assert_int_equal(amqp_method_decode(f.payload, &m), 0);
    if (m.id == AMQP_CONNECTION_CLOSE && id != m.id)
        fail_msg("connection.close: %.*s", SPAN_ARG(m.connection_close.reply_text));
    assert_string_equal(amqp_method_name(m.id), amqp_method_name(id));
    return m;
}

void expect_silence(void)
{
    assert_int_equal(rig->conn.out.len, 0);
}

void expect_close(int code, uint32_t method, const char *text)
{
    struct amqp_connection_close c = expect(0, AMQP_CONNECTION_CLOSE).connection_close;
    assert_int_equal(c.reply_code, code);
    assert_int_equal((uint32_t)c.class_id << 16 | c.method_id, method);
    assert_string_equal(arena_printf(&arena, "%.*s", SPAN_ARG(c.reply_text)), text);
}

void expect_over(void)
{
    assert_true(rig->conn.closing);
}

void expect_transcript(const char *text)
{
    assert_string_equal(rig->transcript, text);
    forget_transcript();
}

void open_channel(uint16_t channel)
{
    say_id(channel, AMQP_CHANNEL_OPEN);
    expect(channel, AMQP_CHANNEL_OPEN_OK);
    forget_transcript();
}

const char *published(uint16_t channel, size_t len)
{
    uint32_t sum = 0;
    struct span b = body_of(len);
    for (size_t i = 0; i < len; i++)
        sum = sum * 31 + b.ptr[i];
    return arena_printf(&arena, "%u publish 'x' 'k' props=2 body=%zu sum=%x\n", channel, len, sum);
}
