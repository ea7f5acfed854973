/* Frames and content, in both directions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "proto/amqp/be.h"
#include "proto/amqp/test_client.h"

/* ---- frames ------------------------------------------------------------------------------------------- */

static void frames_that_make_no_sense_have_their_codes(void **state)
{
    static const uint8_t junk[] = {0xff, 0xff};
    const struct {
        int code;
        struct span bytes;
    } rows[] = {
        {501, rig_frame(&arena, 4, 0, SPAN_NULL)},
        {501, rig_frame(&arena, 'G', 1, SPAN_NULL)},
        {505, rig_frame(&arena, AMQP_FRAME_HEARTBEAT, 1, SPAN_NULL)},
        {505, rig_frame(&arena, AMQP_FRAME_BODY, 1, SPAN_NULL)},
        {505, rig_frame(&arena, AMQP_FRAME_BODY, 0, SPAN_NULL)},
        {505, rig_header(&arena, 1, 3, span_of(no_props, 2))},
        {505, rig_frame(&arena, AMQP_FRAME_BODY, 9, SPAN_NULL)},
        {501, rig_frame(&arena, AMQP_FRAME_METHOD, 1, span_of(junk, 2))},
        {501, rig_frame(&arena, AMQP_FRAME_METHOD, 1, span_of("\0\x32\0\x0a\0\0\x05q", 8))},
        {503, rig_frame(&arena, AMQP_FRAME_METHOD, 1, span_of("\0\x32\0\x63", 4))},
        {503, rig_method(&arena, 1, &(struct amqp_method){.id = AMQP_BASIC_DELIVER})},
        {503, rig_method(&arena, 1, &(struct amqp_method){.id = AMQP_CONNECTION_CLOSE})},
        {504, rig_method(&arena, 0, &(struct amqp_method){.id = AMQP_QUEUE_DECLARE})},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        reopen();
        open_channel(1);
        rig_send(rows[i].bytes);
        struct amqp_connection_close c = expect(0, AMQP_CONNECTION_CLOSE).connection_close;
        if (c.reply_code != rows[i].code)
            fail_msg("row %zu: %d, not %d: %.*s", i, c.reply_code, rows[i].code, SPAN_ARG(c.reply_text));
    }
}

static void a_frame_with_another_end_ends_the_connection_at_once(void **state)
{
    struct span f = rig_frame(&arena, AMQP_FRAME_HEARTBEAT, 0, SPAN_NULL);
    ((uint8_t *)(uintptr_t)f.ptr)[f.len - 1] = 0xcd;
    rig_send(f);
    struct amqp_connection_close c = expect(0, AMQP_CONNECTION_CLOSE).connection_close;
    assert_int_equal(c.reply_code, 501);
    expect_over();
}

static void eight_octets_too_many_are_forgiven(void **state)
{
    rig_free();
    rig_open();
    rig_handshake(4096, 0);
    open_channel(1);
    rig_send(message_frames(1, 4096, 4096));
    assert_non_null(strstr(rig->transcript, "body=4096"));
    rig_send(message_frames(1, 4097, 4097));
    struct amqp_connection_close c = expect(0, AMQP_CONNECTION_CLOSE).connection_close;
    assert_int_equal(c.reply_code, 501);
    expect_over();
}

/* ---- content ------------------------------------------------------------------------------------------ */

static void messages_arrive_whatever_their_frames(void **state)
{
    static const size_t sizes[] = {0, 1, 16, 4000, 24 << 10, 100000, 131064, 200000};
    static const size_t pieces[] = {1000, 7777, 131064};
    open_channel(1);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (size_t k = 0; k < 3; k++) {
            rig_send(message_frames(1, sizes[i], pieces[k]));
            expect_transcript(published(1, sizes[i]));
        }
    expect_silence();
}

static void small_messages_are_taken_from_the_input(void **state)
{
    open_channel(1);
    size_t used = rig->shard.small_input_pool.used_bytes + rig->shard.input_pool.used_bytes;
    rig_send(message_frames(1, 16, 100));
    rig_send(span_of(message_frames(1, 16, 100).ptr, 40));
    assert_int_equal(rig->shard.small_input_pool.used_bytes + rig->shard.input_pool.used_bytes, used);
    assert_int_equal(rig->shard.small_input_pool.used_bytes, 0);
}

static void other_channels_may_come_between_the_frames_of_a_message(void **state)
{
    struct span h1 = rig_header(&arena, 1, 6, span_of(no_props, 2)),
                h2 = rig_header(&arena, 2, 3, span_of(no_props, 2));
    struct span b1 = rig_frame(&arena, AMQP_FRAME_BODY, 1, span_of(body_of(6).ptr, 3));
    struct span b1b = rig_frame(&arena, AMQP_FRAME_BODY, 1, span_of(body_of(6).ptr + 3, 3));
    struct span b2 = rig_frame(&arena, AMQP_FRAME_BODY, 2, body_of(3));
    struct span beat = rig_frame(&arena, AMQP_FRAME_HEARTBEAT, 0, SPAN_NULL);
    struct span parts[] = {publish_frame(1), publish_frame(2), h1, beat, h2, b1, b2, beat, b1b};
    open_channel(1);
    open_channel(2);
    rig_send(rig_join(&arena, parts, 9));
    expect_transcript(arena_printf(&arena, "%s%s", published(2, 3), published(1, 6)));
}

static void content_out_of_order_is_an_unexpected_frame(void **state)
{
    struct span header = rig_header(&arena, 1, 6, span_of(no_props, 2)),
                half = rig_frame(&arena, 3, 1, body_of(3));
    struct span other =
        rig_frame(&arena, AMQP_FRAME_HEADER, 1, span_of("\0\x32\0\0\0\0\0\0\0\0\0\1\0\0", 14));
    const struct span scripts[][3] = {{publish_frame(1), publish_frame(1)},
                                      {publish_frame(1), half},
                                      {publish_frame(1), header, header},
                                      {publish_frame(1), header, publish_frame(1)},
                                      {publish_frame(1), other}};
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        reopen();
        open_channel(1);
        rig_send(rig_join(&arena, scripts[i], 3));
        rig_send(rig_method(&arena, 0, &(struct amqp_method){.id = AMQP_CONNECTION_UPDATE_SECRET}));
        struct amqp_connection_close c = expect(0, AMQP_CONNECTION_CLOSE).connection_close;
        if (c.reply_code != 505)
            fail_msg("script %zu: %d %.*s", i, c.reply_code, SPAN_ARG(c.reply_text));
    }
}

/* Not only when a body comes that nobody will send. */
static void a_header_of_another_class_is_told_at_once(void **state)
{
    struct span parts[] = {publish_frame(1), rig_frame(&arena, AMQP_FRAME_HEADER, 1,
                                                       span_of("\0\x32\0\0\0\0\0\0\0\0\0\3\0\0", 14))};
    open_channel(1);
    rig_send(rig_join(&arena, parts, 2));
    expect_close(505, AMQP_BASIC_PUBLISH,
                 "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead");
}

static void frames_are_shown_as_rabbitmq_shows_them(void **state)
{
    open_channel(1);
    rig_send(rig_frame(&arena, AMQP_FRAME_METHOD, 1, span_of("\xff\1", 2)));
    expect_close(501, 0, "FRAME_ERROR - type 1, all octets = <<255,1>>: unknown_frame");
    reopen();
    rig_send(rig_frame(&arena, AMQP_FRAME_BODY, 0, body_of(20)));
    expect_close(
        505, 0,
        "UNEXPECTED_FRAME - type 3, first 16 octets = <<0,7,14,21,28,35,42,49,56,63,70,77,84,91,98,105>>");
}

static void a_body_beyond_its_header_is_a_frame_error(void **state)
{
    struct span parts[] = {publish_frame(1), rig_header(&arena, 1, 4, span_of(no_props, 2)),
                           rig_frame(&arena, AMQP_FRAME_BODY, 1, body_of(5))};
    open_channel(1);
    rig_send(rig_join(&arena, parts, 3));
    struct amqp_connection_close c = expect(0, AMQP_CONNECTION_CLOSE).connection_close;
    assert_int_equal(c.reply_code, 501);
    expect_transcript("1 closed\nconnection closed\n");
}

static void properties_that_are_none_are_a_syntax_error(void **state)
{
    struct span parts[] = {publish_frame(1), rig_header(&arena, 1, 0, span_of("\x80\0\x09text", 7))};
    open_channel(1);
    rig_send(rig_join(&arena, parts, 2));
    expect_close(502, AMQP_BASIC_PUBLISH, "SYNTAX_ERROR - cannot decode the content header");
}

static void a_message_that_is_too_large_ends_the_channel_before_its_body_comes(void **state)
{
    uint64_t size = rig->config.amqp_max_message_bytes + 1;
    struct span parts[] = {publish_frame(1), rig_header(&arena, 1, size, span_of(no_props, 2)),
                           rig_frame(&arena, AMQP_FRAME_BODY, 1, body_of(1000))};
    open_channel(1);
    rig_send(rig_join(&arena, parts, 3));
    struct amqp_channel_close c = expect(1, AMQP_CHANNEL_CLOSE).channel_close;
    assert_int_equal(c.reply_code, 406);
    assert_true(span_eq_str(c.reply_text,
                            "PRECONDITION_FAILED - message size 15728641 is larger than configured "
                            "max size 15728640"));
    rig_send(parts[2]);
    expect_silence();
    assert_int_equal(rig->shard.small_input_pool.used_bytes, 0);
}

/* A size is only a promise: memory follows what has come. */
static void nothing_is_allocated_by_an_announced_size(void **state)
{
    struct span parts[] = {publish_frame(1), rig_header(&arena, 1, 16 << 20, span_of(no_props, 2)),
                           rig_frame(&arena, AMQP_FRAME_BODY, 1, body_of(1000))};
    open_channel(1);
    size_t before = rig->shard.input_pool.used_bytes;
    rig_send(rig_join(&arena, parts, 3));
    assert_int_equal(rig->shard.input_pool.used_bytes, before);
    assert_true(rig->shard.small_input_pool.used_bytes <= 8192);
}

/* ---- on the way out ----------------------------------------------------------------------------------- */

static struct amqp_method deliver(void)
{
    return (struct amqp_method){.id = AMQP_BASIC_DELIVER,
                                .basic_deliver = {span_str("c"), 1, false, span_str("x"), span_str("k")}};
}

static void expect_message(struct span body, size_t piece_max)
{
    struct amqp_frame f;
    expect(1, AMQP_BASIC_DELIVER);
    assert_true(rig_next(&arena, &f));
    assert_int_equal(f.type, AMQP_FRAME_HEADER);
    assert_int_equal(be_u64(f.payload.ptr + 4), body.len);
    size_t at = 0;
    while (at < body.len) {
        assert_true(rig_next(&arena, &f));
        assert_int_equal(f.type, AMQP_FRAME_BODY);
        assert_int_equal(f.channel, 1);
        assert_true(f.payload.len <= piece_max && at + f.payload.len <= body.len);
        assert_memory_equal(f.payload.ptr, body.ptr + at, f.payload.len);
        at += f.payload.len;
    }
    expect_silence();
}

static void messages_leave_in_frames_that_the_client_takes(void **state)
{
    static const size_t sizes[] = {0, 1, 4088, 4089, 8176, 30000};
    rig_free();
    rig_open();
    rig_handshake(4096, 0);
    open_channel(1);
    struct amqp_conn *ac = amqp_conn_of(rig->conn.proto_state);
    struct chunk *chunk = chunk_new(&rig->shard.input_pool, 40000);
    memcpy(chunk->data, body_of(30000).ptr, 30000);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct amqp_method m = deliver();
        amqp_send_content(ac->channels[1], &m, span_of(no_props, 2), span_of(chunk->data, sizes[i]), chunk);
        expect_message(span_of(chunk->data, sizes[i]), 4088);
    }
    chunk_unref(chunk);
}

static void large_bodies_are_not_copied(void **state)
{
    open_channel(1);
    struct amqp_conn *ac = amqp_conn_of(rig->conn.proto_state);
    struct chunk *chunk = chunk_new(&rig->shard.input_pool, 300000);
    memcpy(chunk->data, body_of(300000).ptr, 300000);
    struct amqp_method m = deliver();
    amqp_send_content(ac->channels[1], &m, SPAN_NULL, span_of(chunk->data, 300000), chunk);
    assert_int_equal(atomic_load(&chunk->refs), 1 + 3);
    expect_message(span_of(chunk->data, 300000), 131064);
    assert_int_equal(atomic_load(&chunk->refs), 1);
    chunk_unref(chunk);
}

static void nobody_is_shown_bcc(void **state)
{
    struct fields_writer w, list;
    struct amqp_props p = {.flags = AMQP_HEADERS};
    struct amqp_frame f;
    fields_writer_init(&list, &arena);
    fields_add_str(&list, span_str("secret"));
    fields_writer_init(&w, &arena);
    fields_put_array(&w, span_str("BCC"), fields_done(&list));
    fields_put_bool(&w, span_str("other"), true);
    p.headers = fields_done(&w);
    open_channel(1);
    struct amqp_method m = deliver();
    amqp_send_content(amqp_conn_of(rig->conn.proto_state)->channels[1], &m, amqp_props_encode(&p, &arena),
                      span_str("b"), NULL);
    expect(1, AMQP_BASIC_DELIVER);
    assert_true(rig_next(&arena, &f));
    assert_int_equal(amqp_props_decode(span_of(f.payload.ptr + 12, f.payload.len - 12), &p), 0);
    assert_int_equal(fields_count(p.headers), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, client_setup, client_teardown)
#define O(f) cmocka_unit_test_setup_teardown(f, client_setup_open, client_teardown)
    const struct CMUnitTest tests[] = {
        O(a_frame_with_another_end_ends_the_connection_at_once),
        O(eight_octets_too_many_are_forgiven),
        O(messages_arrive_whatever_their_frames),
        O(small_messages_are_taken_from_the_input),
        O(other_channels_may_come_between_the_frames_of_a_message),
        O(a_header_of_another_class_is_told_at_once),
        O(frames_are_shown_as_rabbitmq_shows_them),
        O(a_body_beyond_its_header_is_a_frame_error),
        O(properties_that_are_none_are_a_syntax_error),
        O(a_message_that_is_too_large_ends_the_channel_before_its_body_comes),
        O(nothing_is_allocated_by_an_announced_size),
        O(messages_leave_in_frames_that_the_client_takes),
        O(large_bodies_are_not_copied),
        O(nobody_is_shown_bcc),
        T(frames_that_make_no_sense_have_their_codes),
        T(content_out_of_order_is_an_unexpected_frame),
    };
    return cmocka_run_group_tests_name("amqp_content", tests, NULL, NULL);
}
