/* Connections: handshakes, frames, content, exceptions, heartbeats, split at any byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "proto/amqp/be.h"
#include "proto/amqp/rig.h"

static struct arena arena;
static const uint8_t no_props[2];

static void forget_transcript(void)
{
    rig->transcript_len = 0;
    rig->transcript[0] = 0;
}

static int setup(void **state)
{
    arena_init(&arena);
    rig_open();
    return 0;
}

static int teardown(void **state)
{
    rig_free();
    arena_fini(&arena);
    return 0;
}

static int setup_open(void **state)
{
    setup(state);
    rig_handshake(131072, 0);
    forget_transcript();
    return 0;
}

/* ---- what is said and heard
 * ------------------------------------------------------------------------------------ */

static void say_method(uint16_t channel, struct amqp_method m)
{
    rig_send(rig_method(&arena, channel, &m));
}

static void say_id(uint16_t channel, uint32_t id)
{
    say_method(channel, (struct amqp_method){.id = id});
}

static struct span publish_frame(uint16_t channel)
{
    return rig_method(
        &arena, channel,
        &(struct amqp_method){.id = AMQP_BASIC_PUBLISH,
                              .basic_publish = {.exchange = span_str("x"), .routing_key = span_str("k")}});
}

static struct span body_of(size_t len)
{
    uint8_t *p = arena_alloc(&arena, len + 1);
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(i * 7 + i / 256);
    return span_of(p, len);
}

/* Method, header, and the body in frames of at most `piece`. */
static struct span message_frames(uint16_t channel, size_t len, size_t piece)
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
static struct amqp_method expect(uint16_t channel, uint32_t id)
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

static void expect_silence(void)
{
    assert_int_equal(rig->conn.out.len, 0);
}

static void expect_close(int code, uint32_t method, const char *text)
{
    struct amqp_connection_close c = expect(0, AMQP_CONNECTION_CLOSE).connection_close;
    assert_int_equal(c.reply_code, code);
    assert_int_equal((uint32_t)c.class_id << 16 | c.method_id, method);
    assert_string_equal(arena_printf(&arena, "%.*s", SPAN_ARG(c.reply_text)), text);
}

static void expect_over(void)
{
    assert_true(rig->conn.closing);
}

static void expect_transcript(const char *text)
{
    assert_string_equal(rig->transcript, text);
    forget_transcript();
}

static void open_channel(uint16_t channel)
{
    say_id(channel, AMQP_CHANNEL_OPEN);
    expect(channel, AMQP_CHANNEL_OPEN_OK);
    forget_transcript();
}

/* ---- handshake
 * ------------------------------------------------------------------------------------------------- */

static void say_header(void)
{
    rig_send(span_of("AMQP\0\0\x09\x01", 8));
}

static void say_start_ok(const char *mechanism, struct span response, bool can_close)
{
    struct fields_writer caps, props;
    fields_writer_init(&caps, &arena);
    fields_put_bool(&caps, span_str("authentication_failure_close"), can_close);
    fields_writer_init(&props, &arena);
    fields_put_table(&props, span_str("capabilities"), fields_done(&caps));
    say_method(0, (struct amqp_method){.id = AMQP_CONNECTION_START_OK,
                                       .connection_start_ok = {.client_properties = fields_done(&props),
                                                               .mechanism = span_str(mechanism),
                                                               .response = response,
                                                               .locale = span_str("en_US")}});
}

static void log_in(void)
{
    say_header();
    expect(0, AMQP_CONNECTION_START);
    say_start_ok("PLAIN", span_of("\0guest\0guest", 12), true);
    expect(0, AMQP_CONNECTION_TUNE);
}

static void say_tune_ok(uint16_t channel_max, uint32_t frame_max, uint16_t heartbeat)
{
    say_method(0, (struct amqp_method){.id = AMQP_CONNECTION_TUNE_OK,
                                       .connection_tune_ok = {channel_max, frame_max, heartbeat}});
}

static void say_open(const char *vhost)
{
    say_method(0, (struct amqp_method){.id = AMQP_CONNECTION_OPEN,
                                       .connection_open = {.virtual_host = span_str(vhost)}});
}

static void a_client_comes_in(void **state)
{
    say_header();
    struct amqp_connection_start s = expect(0, AMQP_CONNECTION_START).connection_start;
    assert_true(span_eq_str(s.mechanisms, "PLAIN AMQPLAIN"));
    struct field f, cap;
    assert_true(fields_get_str(s.server_properties, "product", &f) && span_eq_str(f.bytes, "RabbitMQ"));
    assert_true(fields_get_str(s.server_properties, "platform", &f) && span_eq_str(f.bytes, "Colobus"));
    assert_true(fields_get_str(s.server_properties, "capabilities", &f) && fields_count(f.bytes) == 9);
    assert_true(fields_get_str(f.bytes, "connection.blocked", &cap) && cap.tag == 't' && cap.integer == 1);
    say_start_ok("PLAIN", span_of("\0guest\0guest", 12), true);
    struct amqp_connection_tune t = expect(0, AMQP_CONNECTION_TUNE).connection_tune;
    assert_int_equal(t.channel_max, 2047);
    assert_int_equal(t.frame_max, 131072);
    assert_int_equal(t.heartbeat, 60);
    say_tune_ok(10, 4096, 0);
    say_open("/");
    expect(0, AMQP_CONNECTION_OPEN_OK);
    expect_transcript("connection opened\n");
    assert_string_equal(rig->conn.actor.principal->name, "guest");
    say_method(0, (struct amqp_method){.id = AMQP_CONNECTION_CLOSE, .connection_close = {.reply_code = 200}});
    expect(0, AMQP_CONNECTION_CLOSE_OK);
    expect_transcript("connection closed\n");
    assert_int_equal(rig->conns_gone, 1);
    expect_over();
}

static void the_other_name_of_the_version_is_accepted(void **state)
{
    rig_send(span_of("AMQP\1\1\0\x09", 8));
    expect(0, AMQP_CONNECTION_START);
}

static void other_protocols_are_told_ours(void **state)
{
    static const char *const headers[] = {"GET / HTTP/1.1\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01",
                                          "AMQP\3\1\0\0", "AMQP\0\0\x08\0", "*1\r\n$4\r\nPING\r\n"};
    for (size_t i = 0; i < 5; i++) {
        rig_send(span_of(headers[i], 8));
        uint8_t out[8];
        assert_int_equal(rig->conn.out.len, 8);
        outq_copy_to(&rig->conn.out, out);
        assert_memory_equal(out, "AMQP\0\0\x09\x01", 8);
        expect_over();
        rig_free();
        rig_open();
    }
}

static void amqplain_and_secure_work_too(void **state)
{
    struct fields_writer w;
    fields_writer_init(&w, &arena);
    fields_put_str(&w, span_str("LOGIN"), span_str("guest"));
    fields_put_str(&w, span_str("PASSWORD"), span_str("guest"));
    say_header();
    expect(0, AMQP_CONNECTION_START);
    say_start_ok("AMQPLAIN", SPAN_NULL, false);
    expect(0, AMQP_CONNECTION_SECURE);
    say_method(
        0, (struct amqp_method){.id = AMQP_CONNECTION_SECURE_OK, .connection_secure_ok = {fields_done(&w)}});
    expect(0, AMQP_CONNECTION_TUNE);
}

static void external_is_for_who_has_a_certificate(void **state)
{
    rig->conn.peer_identity = "guest";
    say_header();
    struct amqp_connection_start s = expect(0, AMQP_CONNECTION_START).connection_start;
    assert_true(span_eq_str(s.mechanisms, "PLAIN AMQPLAIN EXTERNAL"));
    say_start_ok("EXTERNAL", span_str(""), false);
    expect(0, AMQP_CONNECTION_TUNE);
}

static void a_wrong_password_is_told_to_who_can_hear_it(void **state)
{
    say_header();
    expect(0, AMQP_CONNECTION_START);
    say_start_ok("PLAIN", span_of("\0guest\0wrong", 12), true);
    expect_close(
        403, 0,
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the "
        "broker logfile.");
    assert_false(rig->conn.closing);
    say_id(0, AMQP_CONNECTION_CLOSE_OK);
    expect_over();
}

static void others_just_see_the_connection_end(void **state)
{
    static const struct {
        const char *mechanism;
        struct span response;
    } rows[] = {{"PLAIN", {(const uint8_t *)"\0guest\0wrong", 12}},
                {"PLAIN", {(const uint8_t *)"guest", 5}},
                {"PLAIN", {(const uint8_t *)"\0guest\0guest\0x", 14}},
                {"AMQPLAIN", {(const uint8_t *)"\0guest\0guest", 12}},
                {"EXTERNAL", {(const uint8_t *)"guest", 5}},
                {"GSSAPI", {(const uint8_t *)"guest", 5}}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        say_header();
        expect(0, AMQP_CONNECTION_START);
        say_start_ok(rows[i].mechanism, rows[i].response, false);
        say_tune_ok(0, 0, 0);
        say_open("/");
        expect_silence();
        assert_false(rig->conn.closing);
        rig_advance_ms(1000);
        expect_over();
        expect_silence();
        rig_free();
        rig_open();
    }
}

static void frames_of_4096_and_no_limit_at_all_are_agreed_to(void **state)
{
    static const struct {
        uint32_t asked, got;
    } rows[] = {{4096, 4096}, {0, 131072}, {131072, 131072}};
    for (size_t i = 0; i < 3; i++) {
        log_in();
        say_tune_ok(0, rows[i].asked, 0);
        struct amqp_conn *ac = amqp_conn_of(rig->conn.proto_state);
        assert_int_equal(ac->frame_max, rows[i].got);
        assert_int_equal(ac->channel_max, 2047);
        rig_free();
        rig_open();
    }
}

static void what_cannot_be_agreed_to_is_refused(void **state)
{
    static const struct {
        uint16_t channel_max;
        uint32_t frame_max;
        const char *text;
    } rows[] = {
        {0, 4095, "NOT_ALLOWED - negotiated frame_max = 4095 is lower than the minimum allowed value (4096)"},
        {0, 131073,
         "NOT_ALLOWED - negotiated frame_max = 131073 is higher than the maximum allowed value (131072)"},
        {2048, 4096,
         "NOT_ALLOWED - negotiated channel_max = 2048 is higher than the maximum allowed value (2047)"}};
    for (size_t i = 0; i < 3; i++) {
        log_in();
        say_tune_ok(rows[i].channel_max, rows[i].frame_max, 0);
        expect_close(530, AMQP_CONNECTION_TUNE, rows[i].text);
        rig_free();
        rig_open();
    }
}

static void a_virtual_host_that_does_not_exist_is_named(void **state)
{
    log_in();
    say_tune_ok(0, 0, 0);
    say_open("nowhere");
    expect_close(530, AMQP_CONNECTION_OPEN, "NOT_ALLOWED - vhost nowhere not found");
    expect_transcript("");
}

static void methods_out_of_their_order_are_refused(void **state)
{
    say_header();
    expect(0, AMQP_CONNECTION_START);
    say_open("/");
    expect_close(504, AMQP_CONNECTION_OPEN, "CHANNEL_ERROR - unexpected method in connection state starting");
}

static void a_channel_before_open_is_an_unexpected_frame(void **state)
{
    log_in();
    say_id(1, AMQP_CHANNEL_OPEN);
    struct amqp_connection_close c = expect(0, AMQP_CONNECTION_CLOSE).connection_close;
    assert_int_equal(c.reply_code, 505);
}

static void a_handshake_that_takes_too_long_ends(void **state)
{
    log_in();
    rig_advance_ms(9999);
    assert_false(rig->conn.closing);
    rig_advance_ms(1);
    expect_over();
    expect_silence();
}

static void large_frames_are_not_waited_for_before_the_login(void **state)
{
    static const uint8_t frame[] = {1, 0, 0, 0, 0, 0x20, 1};
    say_header();
    expect(0, AMQP_CONNECTION_START);
    rig_send(span_of(frame, sizeof(frame)));
    struct amqp_connection_close c = expect(0, AMQP_CONNECTION_CLOSE).connection_close;
    assert_int_equal(c.reply_code, 501);
    expect_over();
}

/* ---- channels
 * -------------------------------------------------------------------------------------------------- */

static void channels_open_and_close(void **state)
{
    open_channel(1);
    open_channel(2047);
    say_id(1, AMQP_QUEUE_DECLARE);
    say_id(1, AMQP_CHANNEL_CLOSE);
    expect(1, AMQP_CHANNEL_CLOSE_OK);
    open_channel(1);
    say_id(2047, AMQP_TX_SELECT);
    expect_transcript("2047 tx_select\n");
}

static void a_channel_that_is_not_open_is_an_error(void **state)
{
    say_id(3, AMQP_QUEUE_DECLARE);
    expect_close(504, AMQP_QUEUE_DECLARE, "CHANNEL_ERROR - expected 'channel.open'");
}

static void opening_twice_is_an_error(void **state)
{
    open_channel(1);
    say_id(1, AMQP_CHANNEL_OPEN);
    expect_close(504, AMQP_CHANNEL_OPEN, "CHANNEL_ERROR - second 'channel.open' seen");
    expect_transcript("1 closed\nconnection closed\n");
}

static void more_channels_than_agreed_are_an_error(void **state)
{
    say_id(2048, AMQP_CHANNEL_OPEN);
    struct amqp_connection_close c = expect(0, AMQP_CONNECTION_CLOSE).connection_close;
    assert_int_equal(c.reply_code, 530);
}

static void an_exception_ends_the_channel_and_nothing_else(void **state)
{
    open_channel(1);
    open_channel(2);
    say_id(1, AMQP_BASIC_RECOVER);
    struct amqp_channel_close c = expect(1, AMQP_CHANNEL_CLOSE).channel_close;
    assert_int_equal(c.reply_code, 404);
    assert_true(span_eq_str(c.reply_text, "NOT_FOUND - no queue 'q' in vhost '/'"));
    assert_int_equal(c.class_id, 60);
    assert_int_equal(c.method_id, 110);
    say_id(2, AMQP_TX_SELECT);
    expect_transcript("1 basic_recover\n1 closed\n2 tx_select\n");
}

/* rabbitmq-server#13384: aio-pika fails when anything comes after channel.close. */
static void nothing_happens_on_a_channel_between_close_and_close_ok(void **state)
{
    open_channel(1);
    say_id(1, AMQP_BASIC_RECOVER);
    expect(1, AMQP_CHANNEL_CLOSE);
    forget_transcript();
    say_id(1, AMQP_QUEUE_DECLARE);
    rig_send(message_frames(1, 100, 60));
    rig_send(rig_frame(&arena, AMQP_FRAME_BODY, 1, body_of(5)));
    struct amqp_conn *ac = amqp_conn_of(rig->conn.proto_state);
    amqp_send(ac->channels[1], &(struct amqp_method){.id = AMQP_QUEUE_BIND_OK});
    assert_null(amqp_channel_find(ac, 1));
    expect_silence();
    say_id(1, AMQP_CHANNEL_CLOSE_OK);
    expect_transcript("");
    open_channel(1);
}

static void both_sides_may_close_a_channel_at_once(void **state)
{
    open_channel(1);
    say_id(1, AMQP_BASIC_RECOVER);
    expect(1, AMQP_CHANNEL_CLOSE);
    say_id(1, AMQP_CHANNEL_CLOSE);
    expect(1, AMQP_CHANNEL_CLOSE_OK);
    say_id(1, AMQP_CHANNEL_CLOSE_OK);
    open_channel(1);
}

static void a_hard_error_ends_the_connection(void **state)
{
    open_channel(1);
    say_id(1, AMQP_BASIC_RECOVER_ASYNC);
    expect_close(540, AMQP_BASIC_RECOVER_ASYNC, "NOT_IMPLEMENTED - recover");
    expect_transcript("1 basic_recover_async\n1 closed\nconnection closed\n");
    say_id(1, AMQP_QUEUE_DECLARE);
    say_id(2, AMQP_CHANNEL_OPEN);
    expect_transcript("");
    expect_silence();
    say_id(0, AMQP_CONNECTION_CLOSE_OK);
    expect_over();
}

static void close_ok_is_not_awaited_forever(void **state)
{
    open_channel(1);
    say_id(1, AMQP_BASIC_RECOVER_ASYNC);
    rig_advance_ms(29999);
    assert_false(rig->conn.closing);
    rig_advance_ms(1);
    expect_over();
}

static void long_texts_are_cut(void **state)
{
    open_channel(1);
    struct amqp_conn *ac = amqp_conn_of(rig->conn.proto_state);
    amqp_channel_exception(ac->channels[1], AMQP_NOT_FOUND, 0, "%0300d", 7);
    struct amqp_channel_close c = expect(1, AMQP_CHANNEL_CLOSE).channel_close;
    assert_int_equal(c.reply_text.len, 255);
    assert_memory_equal(c.reply_text.ptr + 252, "...", 3);
}

static void a_channel_that_waits_leaves_its_frames_unread(void **state)
{
    open_channel(1);
    open_channel(2);
    rig->wait_at_declare = true;
    struct span parts[] = {
        rig_method(&arena, 1, &(struct amqp_method){.id = AMQP_QUEUE_DECLARE}),
        rig_method(&arena, 2, &(struct amqp_method){.id = AMQP_TX_SELECT}),
        rig_method(&arena, 1, &(struct amqp_method){.id = AMQP_QUEUE_BIND}),
        rig_method(&arena, 2, &(struct amqp_method){.id = AMQP_TX_COMMIT}),
    };
    rig_send(rig_join(&arena, parts, 4));
    expect_transcript("1 queue_declare\n2 tx_select\n");
    amqp_channel_resume(amqp_conn_of(rig->conn.proto_state)->channels[1]);
    rig_pump();
    expect_transcript("1 queue_bind\n2 tx_commit\n");
}

static void a_blocked_connection_may_do_all_but_publish(void **state)
{
    struct amqp_conn *ac = amqp_conn_of(rig->conn.proto_state);
    open_channel(1);
    amqp_conn_set_blocked(ac, true, "low on memory");
    amqp_conn_set_blocked(ac, true, "low on memory");
    assert_true(span_eq_str(expect(0, AMQP_CONNECTION_BLOCKED).connection_blocked.reason, "low on memory"));
    expect_silence();
    say_id(1, AMQP_BASIC_ACK);
    rig_send(message_frames(1, 3, 10));
    expect_transcript("1 basic_ack\n");
    amqp_conn_set_blocked(ac, false, NULL);
    rig_pump();
    expect(0, AMQP_CONNECTION_UNBLOCKED);
    assert_non_null(strstr(rig->transcript, "1 publish 'x' 'k'"));
}

static void secrets_may_be_renewed(void **state)
{
    say_id(0, AMQP_CONNECTION_UPDATE_SECRET);
    expect(0, AMQP_CONNECTION_UPDATE_SECRET_OK);
}

static void the_broker_says_that_it_stops(void **state)
{
    open_channel(1);
    amqp_proto.stop(&rig->conn, rig->conn.proto_state);
    expect_close(320, 0, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'");
    expect_transcript("1 closed\nconnection closed\n");
}

/* ---- frames
 * ------------------------------------------------------------------------------------------------------ */

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
        {502, rig_frame(&arena, AMQP_FRAME_METHOD, 1, span_of(junk, 2))},
        {502, rig_frame(&arena, AMQP_FRAME_METHOD, 1, span_of("\0\x32\0\x0a\0\0\x05q", 8))},
        {503, rig_frame(&arena, AMQP_FRAME_METHOD, 1, span_of("\0\x32\0\x63", 4))},
        {503, rig_method(&arena, 1, &(struct amqp_method){.id = AMQP_BASIC_DELIVER})},
        {503, rig_method(&arena, 1, &(struct amqp_method){.id = AMQP_CONNECTION_CLOSE})},
        {504, rig_method(&arena, 0, &(struct amqp_method){.id = AMQP_QUEUE_DECLARE})},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        setup_open(NULL);
        open_channel(1);
        rig_send(rows[i].bytes);
        struct amqp_connection_close c = expect(0, AMQP_CONNECTION_CLOSE).connection_close;
        if (c.reply_code != rows[i].code)
            fail_msg("row %zu: %d, not %d: %.*s", i, c.reply_code, rows[i].code, SPAN_ARG(c.reply_text));
        rig_free();
    }
    rig_open();
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

/* ---- content
 * ------------------------------------------------------------------------------------------------------ */

static const char *published(uint16_t channel, size_t len)
{
    uint32_t sum = 0;
    struct span b = body_of(len);
    for (size_t i = 0; i < len; i++)
        sum = sum * 31 + b.ptr[i];
    return arena_printf(&arena, "%u publish 'x' 'k' props=2 body=%zu sum=%x\n", channel, len, sum);
}

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
        setup_open(NULL);
        open_channel(1);
        rig_send(rig_join(&arena, scripts[i], 3));
        rig_send(rig_method(&arena, 0, &(struct amqp_method){.id = AMQP_CONNECTION_UPDATE_SECRET}));
        struct amqp_connection_close c = expect(0, AMQP_CONNECTION_CLOSE).connection_close;
        if (c.reply_code != 505)
            fail_msg("script %zu: %d %.*s", i, c.reply_code, SPAN_ARG(c.reply_text));
        rig_free();
    }
    rig_open();
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
                            "PRECONDITION_FAILED - message size 16777217 is larger than configured "
                            "max size 16777216"));
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

/* ---- on the way out
 * ----------------------------------------------------------------------------------------------- */

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

/* ---- heartbeats
 * --------------------------------------------------------------------------------------------------- */

static void expect_heartbeat(void)
{
    struct amqp_frame f;
    assert_true(rig_next(&arena, &f));
    assert_int_equal(f.type, AMQP_FRAME_HEARTBEAT);
    assert_int_equal(f.channel, 0);
}

static void open_with_heartbeat(uint16_t s)
{
    rig_free();
    rig_open();
    rig_handshake(131072, s);
}

static void a_silent_broker_sends_heartbeats(void **state)
{
    open_with_heartbeat(10);
    rig_advance_ms(4999);
    expect_silence();
    rig->conn.bytes_out += 8;
    rig_advance_ms(1); /* something was written: no need */
    expect_silence();
    rig_advance_ms(5000);
    expect_heartbeat();
    rig_advance_ms(5000);
    expect_silence(); /* the heartbeat was traffic */
}

static void a_silent_client_is_cut_at_the_second_look(void **state)
{
    struct span beat = rig_frame(&arena, AMQP_FRAME_HEARTBEAT, 0, SPAN_NULL);
    open_with_heartbeat(10);
    for (unsigned i = 0; i < 5; i++) {
        rig_send(beat);
        rig_advance_ms(10000);
        assert_false(rig->conn.closing);
    }
    rig_advance_ms(9999);
    assert_false(rig->conn.closing);
    rig_send(span_of(beat.ptr, 3)); /* any octet counts */
    rig_advance_ms(1);
    rig_advance_ms(10000);
    assert_false(rig->conn.closing);
    rig_advance_ms(10000);
    expect_over();
}

static void who_is_not_read_from_is_not_blamed(void **state)
{
    open_with_heartbeat(1);
    open_channel(1);
    amqp_conn_set_blocked(amqp_conn_of(rig->conn.proto_state), true, "low on disk");
    rig_send(message_frames(1, 3, 10));
    for (unsigned i = 0; i < 10; i++)
        rig_advance_ms(1000);
    assert_false(rig->conn.closing);
    forget_transcript();
    amqp_conn_set_blocked(amqp_conn_of(rig->conn.proto_state), false, NULL);
    rig_pump();
    expect_transcript(published(1, 3));
}

static void zero_is_no_heartbeat(void **state)
{
    open_with_heartbeat(0);
    rig_advance_ms(3600000);
    assert_false(rig->conn.closing);
    expect_silence();
}

/* ---- split
 * -------------------------------------------------------------------------------------------------------- */

static struct span session_script(void)
{
    struct span parts[] = {
        rig_method(&arena, 1, &(struct amqp_method){.id = AMQP_CHANNEL_OPEN}),
        rig_method(&arena, 2, &(struct amqp_method){.id = AMQP_CHANNEL_OPEN}),
        rig_method(&arena, 1, &(struct amqp_method){.id = AMQP_QUEUE_DECLARE}),
        message_frames(1, 16, 100),
        message_frames(2, 50, 20),
        rig_frame(&arena, AMQP_FRAME_HEARTBEAT, 0, SPAN_NULL),
        message_frames(1, 0, 20),
        publish_frame(1),
        message_frames(2, 7, 20),
        rig_header(&arena, 1, 2, span_of(no_props, 2)),
        rig_frame(&arena, AMQP_FRAME_BODY, 1, body_of(2)),
        rig_method(&arena, 2, &(struct amqp_method){.id = AMQP_BASIC_RECOVER}),
        message_frames(2, 7, 20),
        rig_method(&arena, 2, &(struct amqp_method){.id = AMQP_CHANNEL_CLOSE_OK}),
        rig_method(&arena, 1, &(struct amqp_method){.id = AMQP_CHANNEL_CLOSE}),
        rig_method(&arena, 0, &(struct amqp_method){.id = AMQP_CONNECTION_CLOSE}),
    };
    return rig_join(&arena, parts, sizeof(parts) / sizeof(parts[0]));
}

static const char *run_split(struct span script, size_t first, size_t step)
{
    rig_free();
    rig_open();
    rig_handshake(131072, 0);
    for (size_t at = 0, n = first; at < script.len; at += n, n = step) {
        if (n > script.len - at)
            n = script.len - at;
        rig_send(span_of(script.ptr + at, n));
    }
    uint8_t *out = arena_alloc(&arena, rig->conn.out.len + 1);
    outq_copy_to(&rig->conn.out, out);
    uint32_t sum = 0;
    for (size_t i = 0; i < rig->conn.out.len; i++)
        sum = sum * 31 + out[i];
    return arena_printf(&arena, "%sout=%zu sum=%x", rig->transcript, rig->conn.out.len, sum);
}

static void the_same_bytes_split_anywhere_do_the_same(void **state)
{
    struct span script = session_script();
    const char *whole = run_split(script, script.len, script.len);
    assert_non_null(strstr(whole, published(2, 50)));
    assert_non_null(strstr(whole, "2 closed\n1 closed\nconnection closed\n"));
    for (size_t cut = 1; cut < script.len; cut++)
        assert_string_equal(run_split(script, cut, script.len), whole);
    for (size_t step = 1; step < 9; step++)
        assert_string_equal(run_split(script, step, step), whole);
}

static void a_client_that_leaves_takes_all_with_it(void **state)
{
    open_channel(1);
    open_channel(5);
    rig_send(publish_frame(1));
    rig_send(rig_header(&arena, 5, 5, span_of(no_props, 2)));
    rig_close();
    assert_int_equal(rig->space.refs, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define O(f) cmocka_unit_test_setup_teardown(f, setup_open, teardown)
    const struct CMUnitTest tests[] = {
        T(a_client_comes_in),
        T(the_other_name_of_the_version_is_accepted),
        T(other_protocols_are_told_ours),
        T(amqplain_and_secure_work_too),
        T(external_is_for_who_has_a_certificate),
        T(a_wrong_password_is_told_to_who_can_hear_it),
        T(others_just_see_the_connection_end),
        T(frames_of_4096_and_no_limit_at_all_are_agreed_to),
        T(what_cannot_be_agreed_to_is_refused),
        T(a_virtual_host_that_does_not_exist_is_named),
        T(methods_out_of_their_order_are_refused),
        T(a_channel_before_open_is_an_unexpected_frame),
        T(a_handshake_that_takes_too_long_ends),
        T(large_frames_are_not_waited_for_before_the_login),
        O(channels_open_and_close),
        O(a_channel_that_is_not_open_is_an_error),
        O(opening_twice_is_an_error),
        O(more_channels_than_agreed_are_an_error),
        O(an_exception_ends_the_channel_and_nothing_else),
        O(nothing_happens_on_a_channel_between_close_and_close_ok),
        O(both_sides_may_close_a_channel_at_once),
        O(a_hard_error_ends_the_connection),
        O(close_ok_is_not_awaited_forever),
        O(long_texts_are_cut),
        O(a_channel_that_waits_leaves_its_frames_unread),
        O(a_blocked_connection_may_do_all_but_publish),
        O(secrets_may_be_renewed),
        O(the_broker_says_that_it_stops),
        O(a_frame_with_another_end_ends_the_connection_at_once),
        O(eight_octets_too_many_are_forgiven),
        O(messages_arrive_whatever_their_frames),
        O(small_messages_are_taken_from_the_input),
        O(other_channels_may_come_between_the_frames_of_a_message),
        O(a_body_beyond_its_header_is_a_frame_error),
        O(properties_that_are_none_are_a_syntax_error),
        O(a_message_that_is_too_large_ends_the_channel_before_its_body_comes),
        O(nothing_is_allocated_by_an_announced_size),
        O(messages_leave_in_frames_that_the_client_takes),
        O(large_bodies_are_not_copied),
        O(nobody_is_shown_bcc),
        T(a_silent_broker_sends_heartbeats),
        T(a_silent_client_is_cut_at_the_second_look),
        T(who_is_not_read_from_is_not_blamed),
        T(zero_is_no_heartbeat),
        T(the_same_bytes_split_anywhere_do_the_same),
        O(a_client_that_leaves_takes_all_with_it),
        T(frames_that_make_no_sense_have_their_codes),
        T(content_out_of_order_is_an_unexpected_frame),
    };
    return cmocka_run_group_tests_name("amqp_conn", tests, NULL, NULL);
}
