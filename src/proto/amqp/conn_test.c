/* Connections: handshakes, channels, exceptions, heartbeats, the same bytes split anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "proto/amqp/be.h"
#include "proto/amqp/test_client.h"

/* ---- handshake ---------------------------------------------------------------------------------------- */

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

/* ---- channels ----------------------------------------------------------------------------------------- */

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

/* ---- heartbeats --------------------------------------------------------------------------------------- */

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

/* ---- split -------------------------------------------------------------------------------------------- */

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
#define T(f) cmocka_unit_test_setup_teardown(f, client_setup, client_teardown)
#define O(f) cmocka_unit_test_setup_teardown(f, client_setup_open, client_teardown)
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
        T(a_silent_broker_sends_heartbeats),
        T(a_silent_client_is_cut_at_the_second_look),
        T(who_is_not_read_from_is_not_blamed),
        T(zero_is_no_heartbeat),
        T(the_same_bytes_split_anywhere_do_the_same),
        O(a_client_that_leaves_takes_all_with_it),
    };
    return cmocka_run_group_tests_name("amqp_conn", tests, NULL, NULL);
}
