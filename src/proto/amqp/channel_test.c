/* What channels promise: order of answers, confirms, settlements and crashes, limits, transactions, deaths.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "core/subject.h"
#include "proto/amqp/channel.h"
#include "proto/amqp/channel_testkit.h"

static struct amqp_method ack(uint64_t tag, bool multiple)
{
    return (struct amqp_method){.id = AMQP_BASIC_ACK,
                                .basic_ack = {.delivery_tag = tag, .multiple = multiple}};
}

static struct amqp_method nack(uint64_t tag, bool multiple, bool requeue)
{
    return (struct amqp_method){
        .id = AMQP_BASIC_NACK, .basic_nack = {.delivery_tag = tag, .multiple = multiple, .requeue = requeue}};
}

static struct amqp_method qos(uint16_t count, bool global)
{
    return (struct amqp_method){.id = AMQP_BASIC_QOS,
                                .basic_qos = {.prefetch_count = count, .global = global}};
}

static struct amqp_method declare(const char *queue)
{
    return (struct amqp_method){.id = AMQP_QUEUE_DECLARE, .queue_declare = {.queue = span_str(queue)}};
}

static void publish_many(struct client *c, unsigned channel, const char *queue, unsigned count,
                         bool persistent)
{
    c->cork = true;
    for (unsigned i = 0; i < count; i++)
        client_publish(c, channel,
                       (struct publish){
                           .key = queue, .body = arena_printf(&c->arena, "%u", i), .persistent = persistent});
    c->cork = false;
    client_push(c);
}

/* Deliveries that come, up to `max`; returns how many. The last one's tag is *ret_tag. */
static unsigned drain(struct client *c, unsigned max, uint64_t *ret_tag)
{
    unsigned n = 0, on;
    struct amqp_props p;
    while (n < max) {
        struct amqp_method m = client_hear_any(c, &on, 50);
        if (m.id == 0)
            break;
        assert_int_equal(m.id, AMQP_BASIC_DELIVER);
        *ret_tag = m.basic_deliver.delivery_tag;
        client_hear_body(c, &p);
        n++;
    }
    return n;
}

/* ---- order --------------------------------------------------------------------------------------------- */

static void answers_come_in_the_order_of_the_requests(void **state)
{
    kit_start(state);
    struct client *c = client_new(1);
    struct amqp_basic_get_ok got;
    c->cork = true;
    client_say(c, 1, declare("q"));
    client_publish(c, 1, (struct publish){.key = "q", .body = "hello"});
    client_say(c, 1, (struct amqp_method){.id = AMQP_BASIC_GET, .basic_get = {.queue = span_str("q")}});
    client_say(c, 1, qos(1, false));
    client_say(c, 1, (struct amqp_method){.id = AMQP_QUEUE_DELETE, .queue_delete = {.queue = span_str("q")}});
    client_say(c, 1, (struct amqp_method){.id = AMQP_CONFIRM_SELECT});
    c->cork = false;
    client_push(c);
    client_hear(c, 1, AMQP_QUEUE_DECLARE_OK);
    got = client_hear(c, 1, AMQP_BASIC_GET_OK).basic_get_ok;
    assert_int_equal(got.delivery_tag, 1);
    assert_string_equal(client_hear_body(c, &(struct amqp_props){0}), "hello");
    client_hear(c, 1, AMQP_BASIC_QOS_OK);
    client_hear(c, 1, AMQP_QUEUE_DELETE_OK);
    client_hear(c, 1, AMQP_CONFIRM_SELECT_OK);
    client_close(c);
    kit_stop();
}

static void a_publish_behind_a_declaration_without_answer_is_not_lost(void **state)
{
    kit_start(state);
    struct client *c = client_new(1);
    c->cork = true;
    struct amqp_method m = declare("q");
    m.queue_declare.nowait = true;
    client_say(c, 1, m);
    client_publish(c, 1, (struct publish){.key = "q", .body = "x"});
    c->cork = false;
    client_push(c);
    assert_int_equal(client_count(c, 1, "q"), 1);
    client_close(c);
    kit_stop();
}

static void nothing_runs_that_stands_behind_an_exception(void **state)
{
    kit_start(state);
    struct client *c = client_new(2);
    c->cork = true;
    client_publish(c, 1, (struct publish){.exchange = "none", .key = "q", .body = "x"});
    client_say(c, 1, declare("q"));
    c->cork = false;
    client_push(c);
    client_hear_close(c, 1, 404, "NOT_FOUND - no exchange 'none' in vhost '/'");
    client_hear_nothing(c);
    client_say(c, 2, (struct amqp_method){.id = AMQP_BASIC_GET, .basic_get = {.queue = span_str("q")}});
    client_hear_close(c, 2, 404, "NOT_FOUND - no queue 'q' in vhost '/'");
    client_close(c);
    kit_stop();
}

/* ---- confirms ------------------------------------------------------------------------------------------ */

static void a_return_comes_before_its_confirm(void **state)
{
    kit_start(state);
    struct client *c = client_new(1);
    client_ask(c, 1, (struct amqp_method){.id = AMQP_CONFIRM_SELECT}, AMQP_CONFIRM_SELECT_OK);
    client_publish(c, 1, (struct publish){.key = "nowhere", .body = "x", .mandatory = true});
    struct amqp_basic_return r = client_hear(c, 1, AMQP_BASIC_RETURN).basic_return;
    assert_int_equal(r.reply_code, 312);
    assert_true(span_eq_str(r.reply_text, "NO_ROUTE") && span_eq_str(r.routing_key, "nowhere"));
    assert_string_equal(client_hear_body(c, &(struct amqp_props){0}), "x");
    assert_int_equal(client_hear(c, 1, AMQP_BASIC_ACK).basic_ack.delivery_tag, 1);
    client_close(c);
    kit_stop();
}

static void a_full_queue_that_refuses_is_told_with_nack(void **state)
{
    kit_start(state);
    struct client *c = client_new(1);
    struct fields_writer w;
    fields_writer_init(&w, &c->arena);
    fields_put_int(&w, span_str("x-max-length"), 'l', 2);
    fields_put_str(&w, span_str("x-overflow"), span_str("reject-publish"));
    client_declare(c, 1, "q", false, fields_done(&w));
    client_ask(c, 1, (struct amqp_method){.id = AMQP_CONFIRM_SELECT}, AMQP_CONFIRM_SELECT_OK);
    publish_many(c, 1, "q", 3, false);
    uint64_t acked = 0;
    while (acked < 2)
        acked = client_hear(c, 1, AMQP_BASIC_ACK).basic_ack.delivery_tag;
    assert_int_equal(client_hear(c, 1, AMQP_BASIC_NACK).basic_nack.delivery_tag, 3);
    client_close(c);
    kit_stop();
}

static void what_was_confirmed_survives_a_crash(void **state)
{
    kit_start(state);
    struct client *c = client_new(1);
    client_declare(c, 1, "q", true, SPAN_NULL);
    client_ask(c, 1, (struct amqp_method){.id = AMQP_CONFIRM_SELECT}, AMQP_CONFIRM_SELECT_OK);
    publish_many(c, 1, "q", 50, true);
    for (uint64_t acked = 0; acked < 50;)
        acked = client_hear(c, 1, AMQP_BASIC_ACK).basic_ack.delivery_tag;
    client_close(c);
    kit_crash(SIM_CRASH_DROP);
    c = client_new(1);
    assert_int_equal(client_count(c, 1, "q"), 50);
    client_close(c);
    kit_stop();
}

/* ---- settling ------------------------------------------------------------------------------------------ */

/* An acknowledgement has no answer; what comes after it has. */
static void what_was_acknowledged_before_an_answer_never_comes_back(void **state)
{
    kit_start(state);
    struct client *c = client_new(1);
    struct amqp_basic_deliver d;
    client_declare(c, 1, "q", true, SPAN_NULL);
    publish_many(c, 1, "q", 3, true);
    client_consume(c, 1, "q", false);
    for (int i = 0; i < 3; i++)
        client_delivery(c, 1, &d);
    client_say(c, 1, ack(2, true));
    client_ask(c, 1, qos(7, false), AMQP_BASIC_QOS_OK);
    client_close(c);
    kit_crash(SIM_CRASH_DROP);
    c = client_new(1);
    assert_int_equal(client_count(c, 1, "q"), 1);
    client_close(c);
    kit_stop();
}

/* Closing is answered, too. */
static void acknowledged_and_closed_with(void **state, unsigned channel, uint32_t close, uint32_t answer)
{
    kit_start(state);
    struct client *c = client_new(1);
    struct amqp_basic_get_ok got;
    client_declare(c, 1, "q", true, SPAN_NULL);
    publish_many(c, 1, "q", 2, true);
    assert_string_equal(client_get(c, 1, "q", &got), "0");
    c->cork = true;
    client_say(c, 1, ack(1, false));
    client_say(c, channel, (struct amqp_method){.id = close});
    c->cork = false;
    client_push(c);
    client_hear(c, channel, answer);
    client_close(c);
    kit_crash(SIM_CRASH_DROP);
    c = client_new(1);
    assert_int_equal(client_count(c, 1, "q"), 1);
    client_close(c);
    kit_stop();
}

static void what_was_acknowledged_before_a_channel_was_closed_never_comes_back(void **state)
{
    acknowledged_and_closed_with(state, 1, AMQP_CHANNEL_CLOSE, AMQP_CHANNEL_CLOSE_OK);
}

static void what_was_acknowledged_before_a_connection_was_closed_never_comes_back(void **state)
{
    acknowledged_and_closed_with(state, 0, AMQP_CONNECTION_CLOSE, AMQP_CONNECTION_CLOSE_OK);
}

static void an_unknown_tag_ends_the_channel(void **state)
{
    kit_start(state);
    struct client *c = client_new(1);
    struct amqp_basic_get_ok got;
    client_declare(c, 1, "q", false, SPAN_NULL);
    publish_many(c, 1, "q", 1, false);
    assert_string_equal(client_get(c, 1, "q", &got), "0");
    client_say(c, 1, ack(1, false));
    client_say(c, 1, ack(0, true)); /* nothing is open: that is all of it */
    client_say(c, 1, ack(1, false));
    client_hear_close(c, 1, 406, "PRECONDITION_FAILED - unknown delivery tag 1");
    client_close(c);
    kit_stop();
}

static void what_a_dead_channel_held_goes_back(void **state)
{
    kit_start(state);
    struct client *c = client_new(2), *other;
    struct amqp_basic_get_ok got;
    uint64_t tag;
    client_declare(c, 1, "q", true, SPAN_NULL);
    publish_many(c, 1, "q", 20, true);
    client_consume(c, 2, "q", false);
    assert_int_equal(drain(c, 20, &tag), 20);
    client_say(c, 2, ack(5, true));
    client_ask(c, 2, (struct amqp_method){.id = AMQP_CHANNEL_CLOSE}, AMQP_CHANNEL_CLOSE_OK);
    assert_string_equal(client_get(c, 1, "q", &got), "5");
    assert_true(got.redelivered);
    assert_int_equal(got.message_count, 14);
    client_close(c);
    kit_run_ms(50);
    other = client_new(1);
    assert_int_equal(client_count(other, 1, "q"), 15);
    client_close(other);
    kit_stop();
}

static void what_is_rejected_is_gone_and_what_is_requeued_returns(void **state)
{
    kit_start(state);
    struct client *c = client_new(1);
    struct amqp_basic_deliver d;
    client_declare(c, 1, "q", false, SPAN_NULL);
    publish_many(c, 1, "q", 3, false);
    client_consume(c, 1, "q", false);
    for (int i = 0; i < 3; i++)
        client_delivery(c, 1, &d);
    client_say(c, 1, nack(1, false, false));
    client_say(c, 1, nack(3, true, true));
    assert_string_equal(client_delivery(c, 1, &d), "1");
    assert_true(d.redelivered);
    assert_int_equal(d.delivery_tag, 4);
    assert_string_equal(client_delivery(c, 1, &d), "2");
    client_hear_nothing(c);
    client_close(c);
    kit_stop();
}

/* ---- limits -------------------------------------------------------------------------------------------- */

static void a_prefetch_holds_for_consumers_declared_later(void **state)
{
    kit_start(state);
    struct client *c = client_new(1);
    uint64_t tag;
    client_declare(c, 1, "q", false, SPAN_NULL);
    publish_many(c, 1, "q", 10, false);
    client_ask(c, 1, qos(3, false), AMQP_BASIC_QOS_OK);
    client_consume(c, 1, "q", false);
    assert_int_equal(drain(c, 10, &tag), 3);
    client_ask(c, 1, qos(9, false), AMQP_BASIC_QOS_OK); /* not for this one */
    client_say(c, 1, ack(2, true));
    assert_int_equal(drain(c, 10, &tag), 2);
    client_close(c);
    kit_stop();
}

static void the_limit_of_a_channel_can_change_while_consumers_run(void **state)
{
    kit_start(state);
    struct client *c = client_new(1);
    uint64_t tag;
    client_declare(c, 1, "a", false, SPAN_NULL);
    client_declare(c, 1, "b", false, SPAN_NULL);
    client_consume(c, 1, "a", false);
    client_consume(c, 1, "b", false);
    client_ask(c, 1, qos(4, true), AMQP_BASIC_QOS_OK);
    publish_many(c, 1, "a", 20, false);
    publish_many(c, 1, "b", 20, false);
    assert_int_equal(drain(c, 40, &tag), 4);
    client_ask(c, 1, qos(7, true), AMQP_BASIC_QOS_OK);
    assert_int_equal(drain(c, 40, &tag), 3);
    client_ask(c, 1, qos(2, true), AMQP_BASIC_QOS_OK);
    client_say(c, 1, ack(5, true));
    assert_int_equal(drain(c, 40, &tag), 0);
    client_say(c, 1, ack(0, true));
    assert_int_equal(drain(c, 40, &tag), 2);
    client_ask(c, 1, qos(0, true), AMQP_BASIC_QOS_OK);
    assert_int_equal(drain(c, 40, &tag), 31);
    client_close(c);
    kit_stop();
}

static void both_queues_of_a_limited_channel_are_served(void **state)
{
    kit_start(state);
    struct client *c = client_new(1);
    struct amqp_basic_deliver d;
    unsigned of[2] = {0, 0};
    client_declare(c, 1, "a", false, SPAN_NULL);
    client_declare(c, 1, "b", false, SPAN_NULL);
    publish_many(c, 1, "a", 30, false);
    publish_many(c, 1, "b", 30, false);
    client_ask(c, 1, qos(1, true), AMQP_BASIC_QOS_OK);
    client_consume(c, 1, "a", false);
    const char *first = client_delivery(c, 1, &d);
    assert_string_equal(first, "0");
    client_say(c, 1,
               (struct amqp_method){.id = AMQP_BASIC_CONSUME, .basic_consume = {.queue = span_str("b")}});
    client_hear(c, 1, AMQP_BASIC_CONSUME_OK);
    for (uint64_t tag = 1; tag <= 20; tag++) {
        client_say(c, 1, ack(tag, false));
        client_delivery(c, 1, &d);
        of[span_eq_str(d.routing_key, "b")]++;
    }
    assert_int_equal(of[0], 10);
    assert_int_equal(of[1], 10);
    client_close(c);
    kit_stop();
}

static void a_client_that_does_not_read_is_not_buffered_for(void **state)
{
    kit_start(state);
    struct client *c = client_new(1), *reader = client_new(1);
    struct amqp_basic_deliver d;
    static char body[20000];
    memset(body, 'x', sizeof(body) - 1);
    client_declare(c, 1, "q", false, SPAN_NULL);
    for (int i = 0; i < 200; i++)
        client_publish(c, 1, (struct publish){.key = "q", .body = body});
    assert_int_equal(client_count(c, 1, "q"), 200);
    sim_peer_window(reader->peer, 4096);
    client_say(reader, 1,
               (struct amqp_method){.id = AMQP_BASIC_CONSUME,
                                    .basic_consume = {.queue = span_str("q"), .no_ack = true}});
    kit_run_ms(200);
    assert_in_range(client_count(c, 1, "q"), 200 - 2 * (AMQP_OUT_BUSY + AMQP_WINDOW_BYTES) / 20000, 190);
    sim_peer_window(reader->peer, 1 << 20);
    client_hear(reader, 1, AMQP_BASIC_CONSUME_OK);
    for (int i = 0; i < 200; i++)
        assert_string_equal(client_delivery(reader, 1, &d), body);
    client_close(reader);
    client_close(c);
    kit_stop();
}

/* ---- alarms -------------------------------------------------------------------------------------------- */

/* Only acknowledgements can end the alarm, and here they stand behind a publish. */
static void publishes_are_held_while_memory_is_short_and_acknowledgements_are_not(void **state)
{
    static char body[64 << 10];
    kit_start_with(state, "memory.queue-bytes", "16MiB");
    struct client *c = client_new(1);
    struct amqp_method m = {0};
    unsigned sent = 0, got = 0, on = 0, unblocked = 0;
    const char *last = "";
    client_declare(c, 1, "q", false, SPAN_NULL);
    memset(body, 'x', sizeof(body) - 1);
    for (; m.id == 0; sent++) {
        client_publish(c, 1, (struct publish){.key = "q", .body = body});
        m = client_hear_any(c, &on, 10);
    }
    assert_int_equal(m.id, AMQP_CONNECTION_BLOCKED);
    assert_true(span_eq_str(m.connection_blocked.reason, "low on memory"));
    client_publish(c, 1, (struct publish){.key = "q", .body = "the last"});
    client_consume(c, 1, "q", false);
    while (strcmp(last, "the last") != 0) {
        m = client_hear_any(c, &on, 2000);
        unblocked += m.id == AMQP_CONNECTION_UNBLOCKED;
        if (m.id == AMQP_CONNECTION_UNBLOCKED)
            continue;
        assert_int_equal(m.id, AMQP_BASIC_DELIVER);
        last = client_hear_body(c, &(struct amqp_props){0});
        client_say(c, 1, ack(m.basic_deliver.delivery_tag, false));
        got++;
    }
    assert_int_equal(got, sent + 1);
    assert_int_equal(unblocked, 1);
    client_close(c);
    kit_stop();
}

/* ---- consumers ----------------------------------------------------------------------------------------- */

static void a_cancelled_consumer_gets_nothing_and_its_deliveries_can_be_acknowledged(void **state)
{
    kit_start(state);
    struct client *c = client_new(1);
    uint64_t tag;
    client_declare(c, 1, "q", false, SPAN_NULL);
    publish_many(c, 1, "q", 2, false);
    client_say(
        c, 1,
        (struct amqp_method){.id = AMQP_BASIC_CONSUME,
                             .basic_consume = {.queue = span_str("q"), .consumer_tag = span_str("t")}});
    client_hear(c, 1, AMQP_BASIC_CONSUME_OK);
    assert_int_equal(drain(c, 2, &tag), 2);
    client_ask(c, 1,
               (struct amqp_method){.id = AMQP_BASIC_CANCEL, .basic_cancel = {.consumer_tag = span_str("t")}},
               AMQP_BASIC_CANCEL_OK);
    publish_many(c, 1, "q", 1, false);
    client_hear_nothing(c);
    client_say(c, 1, ack(2, false));
    client_say(c, 1, nack(1, false, true));
    assert_int_equal(client_count(c, 1, "q"), 2);
    client_close(c);
    kit_stop();
}

static void a_deleted_queue_cancels_its_consumers(void **state)
{
    kit_start(state);
    struct client *c = client_new(2);
    struct amqp_basic_deliver d;
    client_declare(c, 1, "q", false, SPAN_NULL);
    publish_many(c, 1, "q", 1, false);
    client_say(
        c, 1,
        (struct amqp_method){.id = AMQP_BASIC_CONSUME,
                             .basic_consume = {.queue = span_str("q"), .consumer_tag = span_str("t")}});
    client_hear(c, 1, AMQP_BASIC_CONSUME_OK);
    client_delivery(c, 1, &d);
    client_say(c, 2, (struct amqp_method){.id = AMQP_QUEUE_DELETE, .queue_delete = {.queue = span_str("q")}});
    unsigned seen = 0, on;
    for (int i = 0; i < 2; i++) {
        struct amqp_method m = client_hear_any(c, &on, 1000);
        if (m.id == AMQP_BASIC_CANCEL) {
            assert_true(on == 1 && span_eq_str(m.basic_cancel.consumer_tag, "t") && m.basic_cancel.nowait);
            seen |= 1;
        } else if (m.id == AMQP_QUEUE_DELETE_OK) {
            seen |= 2;
        }
    }
    assert_int_equal(seen, 3);
    client_say(c, 1, ack(1, false)); /* its lease is gone, and nobody minds */
    client_ask(c, 1, qos(1, false), AMQP_BASIC_QOS_OK);
    client_close(c);
    kit_stop();
}

static void a_delivery_that_nobody_settles_ends_its_channel(void **state)
{
    kit_start_with(state, "amqp.consumer-timeout", "1s");
    struct client *c = client_new(2);
    struct amqp_basic_get_ok got;
    client_declare(c, 1, "q", false, SPAN_NULL);
    publish_many(c, 1, "q", 2, false);
    assert_string_equal(client_get(c, 2, "q", &got), "0");
    client_say(c, 2, ack(1, false));
    kit_run_ms(900);
    assert_string_equal(client_get(c, 2, "q", &got), "1");
    kit_run_ms(900); /* the first one is long gone, this one is not late */
    client_hear_nothing(c);
    client_hear_close(c, 2, 406,
                      "PRECONDITION_FAILED - delivery acknowledgement on channel 2 timed out. Timeout value "
                      "used: 1000 ms. This timeout value can be configured, see consumers doc guide to learn "
                      "more");
    assert_int_equal(client_count(c, 1, "q"), 1);
    client_close(c);
    kit_stop();
}

static void an_exclusive_queue_goes_with_its_connection(void **state)
{
    kit_start(state);
    struct client *c = client_new(1), *other = client_new(2);
    struct amqp_method m = declare("x");
    m.queue_declare.exclusive = true;
    client_ask(c, 1, m, AMQP_QUEUE_DECLARE_OK);
    client_say(other, 1,
               (struct amqp_method){.id = AMQP_BASIC_CONSUME, .basic_consume = {.queue = span_str("x")}});
    assert_int_equal(client_hear(other, 1, AMQP_CHANNEL_CLOSE).channel_close.reply_code, 405);
    client_close(c);
    kit_run_ms(50);
    client_say(other, 2, (struct amqp_method){.id = AMQP_BASIC_GET, .basic_get = {.queue = span_str("x")}});
    client_hear_close(other, 2, 404, "NOT_FOUND - no queue 'x' in vhost '/'");
    client_close(other);
    kit_stop();
}

/* ---- transactions -------------------------------------------------------------------------------------- */

static void a_transaction_takes_effect_at_its_commit(void **state)
{
    kit_start(state);
    struct client *c = client_new(2);
    struct amqp_basic_get_ok got;
    client_declare(c, 1, "q", true, SPAN_NULL);
    publish_many(c, 1, "q", 1, true);
    client_ask(c, 2, (struct amqp_method){.id = AMQP_TX_SELECT}, AMQP_TX_SELECT_OK);
    assert_string_equal(client_get(c, 2, "q", &got), "0");
    client_publish(c, 2, (struct publish){.key = "q", .body = "new", .persistent = true});
    client_publish(c, 2, (struct publish){.key = "nowhere", .body = "back", .mandatory = true});
    client_say(c, 2, ack(got.delivery_tag, false));
    client_hear_nothing(c);
    assert_int_equal(client_count(c, 1, "q"), 0);
    client_say(c, 2, (struct amqp_method){.id = AMQP_TX_COMMIT});
    client_hear(c, 2, AMQP_BASIC_RETURN);
    client_hear_body(c, &(struct amqp_props){0});
    client_hear(c, 2, AMQP_TX_COMMIT_OK);
    client_close(c);
    kit_crash(SIM_CRASH_DROP);
    c = client_new(1);
    assert_string_equal(client_get(c, 1, "q", &got), "new");
    assert_int_equal(got.message_count, 0);
    client_close(c);
    kit_stop();
}

static void what_is_rolled_back_is_open_again(void **state)
{
    kit_start(state);
    struct client *c = client_new(1);
    struct amqp_basic_get_ok got;
    client_declare(c, 1, "q", false, SPAN_NULL);
    publish_many(c, 1, "q", 1, false);
    client_ask(c, 1, (struct amqp_method){.id = AMQP_TX_SELECT}, AMQP_TX_SELECT_OK);
    assert_string_equal(client_get(c, 1, "q", &got), "0");
    client_publish(c, 1, (struct publish){.key = "q", .body = "never"});
    client_say(c, 1, ack(1, false));
    client_ask(c, 1, (struct amqp_method){.id = AMQP_TX_ROLLBACK}, AMQP_TX_ROLLBACK_OK);
    client_say(c, 1, nack(1, false, true));
    client_ask(c, 1, (struct amqp_method){.id = AMQP_TX_COMMIT}, AMQP_TX_COMMIT_OK);
    assert_int_equal(client_count(c, 1, "q"), 1);
    client_close(c);
    kit_stop();
}

/* ---- direct reply-to ----------------------------------------------------------------------------------- */

static void a_reply_goes_straight_to_who_asked(void **state)
{
    kit_start(state);
    struct client *asker = client_new(1), *server = client_new(1), *other = client_new(1);
    struct amqp_basic_deliver d;
    struct amqp_props p;
    client_declare(server, 1, "rpc", false, SPAN_NULL);
    client_consume(asker, 1, "amq.rabbitmq.reply-to", true);
    client_publish(asker, 1,
                   (struct publish){.key = "rpc", .body = "ask", .reply_to = "amq.rabbitmq.reply-to"});
    client_say(server, 1,
               (struct amqp_method){.id = AMQP_BASIC_CONSUME,
                                    .basic_consume = {.queue = span_str("rpc"), .no_ack = true}});
    client_hear(server, 1, AMQP_BASIC_CONSUME_OK);
    client_hear(server, 1, AMQP_BASIC_DELIVER);
    client_hear_body(server, &p);
    const char *address = arena_printf(&server->arena, "%.*s", SPAN_ARG(p.reply_to));
    client_publish(server, 1, (struct publish){.key = address, .body = "answer", .mandatory = true});
    assert_string_equal(client_delivery(asker, 1, &d), "answer");
    client_hear_nothing(server);
    client_close(asker);
    kit_run_ms(50);
    client_publish(server, 1, (struct publish){.key = address, .body = "late", .mandatory = true});
    client_hear(server, 1, AMQP_BASIC_RETURN);
    client_close(other);
    client_close(server);
    kit_stop();
}

/* ---- subscriptions --------------------------------------------------------------------------------------
 */

static struct conn listener;
static struct subscriber subscriber;
static char heard[256]; /* "key:body " for each message */
static bool settled;

static void hear(struct subscriber *w, const struct interest *in, const struct subject_message *m,
                 struct subject_wire wires[SUBJECT_WIRES], bool alone)
{
    (void)w;
    (void)in;
    (void)wires;
    (void)alone;
    size_t len = strlen(heard);
    snprintf(heard + len, sizeof(heard) - len, "%.*s:%.*s ", SPAN_ARG(m->key), SPAN_ARG(m->body));
}

static void on_settled(struct subscriber *w)
{
    (void)w;
    settled = true;
}

/* By another protocol, as it were. */
static void subscribe(const char *glob)
{
    static const struct subscriber_ops ops = {hear, on_settled};
    heard[0] = 0;
    listener = (struct conn){.magic = CONN_MAGIC,
                             .shard = kit_shard(),
                             .actor = {&auth_operator, &auth_default_vhost},
                             .ops_left = 1,
                             .ops_max = 1};
    list_init(&listener.ready_link);
    list_init(&listener.flush_link);
    listener.handle = handle_new(&kit_shard()->conns, &listener);
    subscriber_init(&subscriber, &listener, &ops, MESSAGE_FORMAT_REDIS);
    assert_int_equal(subscriber_add(&subscriber, SUBJECT_SHARED, SUBJECT_GLOB, span_str(glob)), 1);
    settled = subscriber_settle(&subscriber);
    kit_run_ms(20);
    assert_true(settled);
}

static void unsubscribe(void)
{
    subscriber_close(&subscriber);
    kit_run_ms(20);
    handle_free(&kit_shard()->conns, listener.handle);
}

static uint64_t unroutable(void)
{
    return metrics_sum(kit_shard()->broker->metrics, METRIC_AMQP_UNROUTABLE, 0);
}

static void what_a_subscription_hears_is_not_returned(void **state)
{
    kit_start(state);
    struct client *c = client_new(1);
    subscribe("heard*");
    client_ask(c, 1, (struct amqp_method){.id = AMQP_CONFIRM_SELECT}, AMQP_CONFIRM_SELECT_OK);
    struct publish p = {.exchange = "amq.topic", .key = "heard", .body = "1", .mandatory = true};
    client_publish(c, 1, p);
    assert_int_equal(client_hear(c, 1, AMQP_BASIC_ACK).basic_ack.delivery_tag, 1);
    client_hear_nothing(c);
    assert_string_equal(heard, "heard:1 ");
    assert_int_equal(unroutable(), 0);
    p = (struct publish){.exchange = "amq.topic", .key = "x", .cc = "heard2", .body = "2", .mandatory = true};
    client_publish(c, 1, p);
    assert_int_equal(client_hear(c, 1, AMQP_BASIC_ACK).basic_ack.delivery_tag, 2);
    p = (struct publish){.exchange = "amq.topic", .key = "x", .body = "3", .mandatory = true};
    client_publish(c, 1, p);
    client_hear(c, 1, AMQP_BASIC_RETURN);
    client_hear_body(c, &(struct amqp_props){0});
    assert_int_equal(client_hear(c, 1, AMQP_BASIC_ACK).basic_ack.delivery_tag, 3);
    kit_run_ms(20);
    assert_string_equal(heard, "heard:1 heard2:2 ");
    assert_int_equal(unroutable(), 1);
    unsubscribe();
    client_close(c);
    kit_stop();
}

static void a_transaction_is_heard_when_it_is_durable(void **state)
{
    kit_start(state);
    struct client *c = client_new(1);
    subscribe("*");
    client_declare(c, 1, "q", true, SPAN_NULL);
    client_ask(c, 1,
               (struct amqp_method){.id = AMQP_QUEUE_BIND,
                                    .queue_bind = {.queue = span_str("q"),
                                                   .exchange = span_str("amq.topic"),
                                                   .routing_key = span_str("q")}},
               AMQP_QUEUE_BIND_OK);
    client_ask(c, 1, (struct amqp_method){.id = AMQP_TX_SELECT}, AMQP_TX_SELECT_OK);
    struct publish p = {.exchange = "amq.topic", .key = "q", .body = "1", .persistent = true};
    client_publish(c, 1, p);
    p.key = "nowhere";
    p.body = "2";
    client_publish(c, 1, p);
    kit_run_ms(50);
    assert_string_equal(heard, "");
    client_ask(c, 1, (struct amqp_method){.id = AMQP_TX_COMMIT}, AMQP_TX_COMMIT_OK);
    kit_run_ms(20);
    assert_string_equal(heard, "nowhere:2 q:1 ");
    assert_int_equal(client_count(c, 1, "q"), 1);
    unsubscribe();
    client_close(c);
    kit_stop();
}

/* ---- texts --------------------------------------------------------------------------------------------- */

static void expirations_are_numbers(void **state)
{
    static const char *const rows[][2] = {
        {"abc", "PRECONDITION_FAILED - invalid expiration 'abc': no_integer"},
        {"", "PRECONDITION_FAILED - invalid expiration '': no_integer"},
        {"10s", "PRECONDITION_FAILED - invalid expiration '10s': {leftover_string,\"s\"}"},
        {"-1", "PRECONDITION_FAILED - invalid expiration '-1': {value_negative,-1}"},
        {"4294967296", "PRECONDITION_FAILED - invalid expiration '4294967296': {value_too_big,4294967296}"},
    };
    kit_start(state);
    struct client *c = client_new(5);
    for (unsigned i = 0; i < 5; i++) {
        client_publish(c, i + 1, (struct publish){.key = "q", .body = "x", .expiration = rows[i][0]});
        client_hear_close(c, i + 1, 406, rows[i][1]);
    }
    client_close(c);
    kit_stop();
}

static void modes_do_not_mix(void **state)
{
    kit_start(state);
    struct client *c = client_new(3);
    client_ask(c, 1, (struct amqp_method){.id = AMQP_TX_SELECT}, AMQP_TX_SELECT_OK);
    client_say(c, 1, (struct amqp_method){.id = AMQP_CONFIRM_SELECT});
    client_hear_close(c, 1, 406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode");
    client_ask(c, 2, (struct amqp_method){.id = AMQP_CONFIRM_SELECT}, AMQP_CONFIRM_SELECT_OK);
    client_say(c, 2, (struct amqp_method){.id = AMQP_TX_SELECT});
    client_hear_close(c, 2, 406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode");
    client_say(c, 3, (struct amqp_method){.id = AMQP_TX_COMMIT});
    client_hear_close(c, 3, 406, "PRECONDITION_FAILED - channel is not transactional");
    client_close(c);
    kit_stop();
}

/* One shard, and three. */
#define BOTH(name)                                                                                           \
    {#name ", 1 shard", name, NULL, NULL, (void *)"1"},                                                      \
    {                                                                                                        \
#name ", 3 shards", name, NULL, NULL, (void *)"3"                                                    \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(answers_come_in_the_order_of_the_requests),
        BOTH(a_publish_behind_a_declaration_without_answer_is_not_lost),
        BOTH(nothing_runs_that_stands_behind_an_exception),
        BOTH(a_return_comes_before_its_confirm),
        BOTH(a_full_queue_that_refuses_is_told_with_nack),
        BOTH(what_was_confirmed_survives_a_crash),
        BOTH(what_was_acknowledged_before_an_answer_never_comes_back),
        BOTH(what_was_acknowledged_before_a_channel_was_closed_never_comes_back),
        BOTH(what_was_acknowledged_before_a_connection_was_closed_never_comes_back),
        BOTH(an_unknown_tag_ends_the_channel),
        BOTH(what_a_dead_channel_held_goes_back),
        BOTH(what_is_rejected_is_gone_and_what_is_requeued_returns),
        BOTH(a_prefetch_holds_for_consumers_declared_later),
        BOTH(the_limit_of_a_channel_can_change_while_consumers_run),
        BOTH(both_queues_of_a_limited_channel_are_served),
        BOTH(a_client_that_does_not_read_is_not_buffered_for),
        BOTH(publishes_are_held_while_memory_is_short_and_acknowledgements_are_not),
        BOTH(a_cancelled_consumer_gets_nothing_and_its_deliveries_can_be_acknowledged),
        BOTH(a_deleted_queue_cancels_its_consumers),
        BOTH(a_delivery_that_nobody_settles_ends_its_channel),
        BOTH(an_exclusive_queue_goes_with_its_connection),
        BOTH(a_transaction_takes_effect_at_its_commit),
        BOTH(what_is_rolled_back_is_open_again),
        BOTH(a_reply_goes_straight_to_who_asked),
        BOTH(what_a_subscription_hears_is_not_returned),
        BOTH(a_transaction_is_heard_when_it_is_durable),
        BOTH(expirations_are_numbers),
        BOTH(modes_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
