/* Methods, properties, and what a message's death does to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "core/fields.h"
#include "proto/amqp/be.h"
#include "proto/amqp/method.h"
#include "proto/amqp/props.h"

static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena);
    return 0;
}

static int teardown(void **state)
{
    arena_fini(&arena);
    return 0;
}

/* ---- methods ------------------------------------------------------------------------------------------ */

static struct span encode(const struct amqp_method *m)
{
    size_t len = amqp_method_bytes(m);
    uint8_t *p = arena_alloc(&arena, len);
    assert_ptr_equal(amqp_method_encode(m, p), p + len);
    return span_of(p, len);
}

/* As librabbitmq and pika write it. */
static void bits_share_octets_from_the_lowest(void **state)
{
    struct amqp_method m = {.id = AMQP_QUEUE_DECLARE,
                            .queue_declare = {.queue = span_str("q"), .durable = true, .nowait = true}};
    static const uint8_t expect[] = {0, 50, 0, 10, 0, 0, 1, 'q', 0x12, 0, 0, 0, 0};
    struct span got = encode(&m);
    assert_int_equal(got.len, sizeof(expect));
    assert_memory_equal(got.ptr, expect, sizeof(expect));
}

static void fields_behind_bits_begin_a_new_octet(void **state)
{
    struct amqp_method m = {
        .id = AMQP_BASIC_DELIVER,
        .basic_deliver = {span_str("c"), 0x0102030405060708, true, span_str(""), span_str("k")}};
    static const uint8_t expect[] = {0, 60, 0, 60, 1, 'c', 1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 1, 'k'};
    struct span got = encode(&m);
    assert_int_equal(got.len, sizeof(expect));
    assert_memory_equal(got.ptr, expect, sizeof(expect));
}

static void ids_are_rabbitmqs(void **state)
{
    assert_int_equal(AMQP_EXCHANGE_UNBIND_OK, 40 << 16 | 51);
    assert_int_equal(AMQP_BASIC_NACK, 60 << 16 | 120);
    assert_int_equal(AMQP_CONNECTION_UPDATE_SECRET, 10 << 16 | 70);
    assert_int_equal(AMQP_CONFIRM_SELECT, 85 << 16 | 10);
    assert_true(amqp_method_has_content(AMQP_BASIC_PUBLISH));
    assert_false(amqp_method_has_content(AMQP_BASIC_GET));
    assert_true(amqp_method_from_client(AMQP_BASIC_NACK));
    assert_false(amqp_method_from_client(AMQP_BASIC_DELIVER));
}

/* Each with arguments that are all zero is decoded to the same, and every cut is noticed. */
static void every_method_survives_and_every_cut_is_noticed(void **state)
{
    static const uint32_t ids[] = {
#define METHOD(ID, name, class_id, method_id, flags, ...) AMQP_##ID,
#include "proto/amqp/methods.def"
#undef METHOD
    };
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct amqp_method m, back;
        memset(&m, 0, sizeof(m));
        m.id = ids[i];
        struct span bytes = encode(&m);
        assert_int_equal(amqp_method_decode(bytes, &back), 0);
        assert_int_equal(back.id, ids[i]);
        struct span again = encode(&back);
        assert_true(span_eq(bytes, again));
        for (size_t cut = 0; cut < bytes.len; cut++)
            assert_int_equal(amqp_method_decode(span_of(bytes.ptr, cut), &back), ERR_INVALID);
    }
}

static void an_unknown_method_is_told_by_its_id(void **state)
{
    static const uint8_t bytes[] = {0, 60, 0, 99, 1, 2};
    struct amqp_method m;
    assert_int_equal(amqp_method_decode(span_of(bytes, sizeof(bytes)), &m), ERR_UNSUPPORTED);
    assert_int_equal(m.id, 60 << 16 | 99);
}

static void a_table_that_is_none_is_refused(void **state)
{
    static const uint8_t bad[] = {1, 'k', 'F', 0, 0, 0, 9, 1}; /* a table that is longer than what is there */
    struct amqp_method m = {
        .id = AMQP_QUEUE_DECLARE,
        .queue_declare = {.queue = span_str("q"), .arguments = span_of(bad, sizeof(bad))}};
    assert_int_equal(amqp_method_decode(encode(&m), &m), ERR_INVALID);
}

/* ---- properties --------------------------------------------------------------------------------------- */

static struct span nested_table(void)
{
    struct fields_writer in, list, w;
    static const uint8_t decimal[5] = {2, 0, 0, 0x30, 0x39};
    struct field d = {.tag = 'D', .bytes = span_of(decimal, 5)};
    fields_writer_init(&in, &arena);
    fields_put(&in, span_str("price"), &d);
    fields_put_int(&in, span_str("n"), 's', -3);
    fields_writer_init(&list, &arena);
    fields_add_str(&list, span_str("one"));
    fields_add_table(&list, fields_done(&in));
    fields_writer_init(&w, &arena);
    fields_put_table(&w, span_str("nested"), fields_done(&in));
    fields_put_array(&w, span_str("list"), fields_done(&list));
    fields_put_bool(&w, span_str("yes"), true);
    return fields_done(&w);
}

static struct amqp_props all_props(void)
{
    return (struct amqp_props){
        .flags = 0xfffc,
        .delivery_mode = 2,
        .priority = 7,
        .timestamp = 1700000000,
        .headers = nested_table(),
        .content_type = span_str("text/plain"),
        .content_encoding = span_str("gzip"),
        .correlation_id = span_str("c-1"),
        .reply_to = span_str("answers"),
        .expiration = span_str("5000"),
        .message_id = span_str("m-1"),
        .type = span_str("t"),
        .user_id = span_str("guest"),
        .app_id = span_str("app"),
        .cluster_id = span_str(""),
    };
}

static void all_fourteen_properties_survive(void **state)
{
    struct amqp_props p = all_props(), back;
    struct span bytes = amqp_props_encode(&p, &arena);
    assert_int_equal(amqp_props_decode(bytes, &back), 0);
    assert_int_equal(back.delivery_mode, 2);
    assert_int_equal(back.priority, 7);
    assert_int_equal(back.timestamp, 1700000000);
    assert_true(span_eq_str(back.app_id, "app") && span_eq_str(back.message_id, "m-1"));
    assert_true(span_eq(back.headers, p.headers));
    assert_true(span_eq(amqp_props_encode(&back, &arena), bytes));
    for (size_t cut = 0; cut < bytes.len; cut++)
        assert_int_equal(amqp_props_decode(span_of(bytes.ptr, cut), &back), ERR_INVALID);
}

static void further_flag_words_are_read(void **state)
{
    static const uint8_t good[] = {0x10, 1, 0, 1, 0, 0, 2}, bad[] = {0x10, 1, 0x80, 0, 2},
                         odd[] = {0x10, 2, 2};
    struct amqp_props p;
    assert_int_equal(amqp_props_decode(span_of(good, sizeof(good)), &p), 0);
    assert_int_equal(p.flags, AMQP_DELIVERY_MODE);
    assert_int_equal(p.delivery_mode, 2);
    assert_int_equal(amqp_props_decode(span_of(bad, sizeof(bad)), &p), ERR_INVALID);
    assert_int_equal(amqp_props_decode(span_of(odd, sizeof(odd)), &p), ERR_INVALID);
}

static void one_header_is_set_and_the_others_stay(void **state)
{
    struct amqp_props p = all_props(), back;
    struct field v = {.tag = 'l', .integer = 3}, f;
    struct span with = amqp_props_with_header(amqp_props_encode(&p, &arena), "x-delivery-count", &v, &arena);
    v.integer = 4;
    with = amqp_props_with_header(with, "x-delivery-count", &v, &arena);
    assert_int_equal(amqp_props_decode(with, &back), 0);
    assert_int_equal(fields_count(back.headers), 4);
    assert_true(fields_get_str(back.headers, "x-delivery-count", &f) && f.integer == 4);
    assert_memory_equal(back.headers.ptr, p.headers.ptr, p.headers.len);
    static const uint8_t none[2];
    with = amqp_props_with_header(span_of(none, 2), "a", &v, &arena);
    assert_int_equal(amqp_props_decode(with, &back), 0);
    assert_int_equal(fields_count(back.headers), 1);
}

/* ---- keys --------------------------------------------------------------------------------------------- */

static struct span keyed_props(void)
{
    struct fields_writer w, cc, bcc;
    struct amqp_props p = {.flags = AMQP_HEADERS};
    fields_writer_init(&cc, &arena);
    fields_add_str(&cc, span_str("k2"));
    fields_add_str(&cc, span_str("k3"));
    fields_writer_init(&bcc, &arena);
    fields_add_str(&bcc, span_str("secret"));
    fields_writer_init(&w, &arena);
    fields_put_array(&w, span_str("CC"), fields_done(&cc));
    fields_put_array(&w, span_str("BCC"), fields_done(&bcc));
    p.headers = fields_done(&w);
    return amqp_props_encode(&p, &arena);
}

static void note_key(void *arg, struct span key)
{
    char **text = arg;
    *text = arena_printf(&arena, "%s %.*s", *text, SPAN_ARG(key));
}

static void further_keys_are_those_of_cc_and_bcc(void **state)
{
    struct message m = {.props = keyed_props()};
    char *keys = "";
    amqp_message_format.more_keys(&m, note_key, &keys);
    assert_string_equal(keys, " k2 k3 secret");
    m.props = span_of("\0", 2);
    keys = "";
    amqp_message_format.more_keys(&m, note_key, &keys);
    assert_string_equal(keys, "");
}

static void bcc_is_left_out(void **state)
{
    struct amqp_props p, back;
    struct field f;
    assert_true(amqp_props_has_bcc(keyed_props(), &p));
    struct span without = amqp_props_without_bcc(&p, &arena);
    assert_int_equal(amqp_props_decode(without, &back), 0);
    assert_true(fields_get_str(back.headers, "CC", &f));
    assert_false(fields_get_str(back.headers, "BCC", &f));
    assert_false(amqp_props_has_bcc(without, &p));
}

/* ---- death -------------------------------------------------------------------------------------------- */

static struct message die(struct message m, const char *queue, enum death_reason reason, int64_t time_ms)
{
    struct death d = {.queue = span_str(queue), .reason = reason, .time_ms = time_ms, .retries = -1};
    m.props = amqp_message_format.dead(&m, &d, &arena);
    return m;
}

static struct span headers_of(const struct message *m)
{
    struct amqp_props p;
    assert_int_equal(amqp_props_decode(m->props, &p), 0);
    return p.headers;
}

/* The n-th death, as "name=value ..." in its order. */
static const char *death_text(const struct message *m, unsigned n)
{
    struct field f;
    struct fields_iter it;
    struct span name;
    char *text = "";
    assert_true(fields_get_str(headers_of(m), "x-death", &f) && f.tag == 'A');
    fields_begin_array(&it, f.bytes);
    do {
        if (!fields_next(&it, &name, &f))
            return NULL;
    } while (n--);
    struct fields_iter in;
    fields_begin(&in, f.bytes);
    while (fields_next(&in, &name, &f)) {
        text = arena_printf(&arena, "%s%.*s:%c=", text, SPAN_ARG(name), f.tag);
        if (f.tag == 'S')
            text = arena_printf(&arena, "%s%.*s ", text, SPAN_ARG(f.bytes));
        else if (f.tag == 'A')
            text = arena_printf(&arena, "%s%zu ", text, f.bytes.len);
        else
            text = arena_printf(&arena, "%s%lld ", text, (long long)f.integer);
    }
    return text;
}

static const char *header_text(const struct message *m, const char *name)
{
    struct field f;
    if (!fields_get_str(headers_of(m), name, &f))
        return NULL;
    return f.tag == 'S' ? arena_printf(&arena, "%.*s", SPAN_ARG(f.bytes))
                        : arena_printf(&arena, "%c%lld", f.tag, (long long)f.integer);
}

static struct message message_with(struct amqp_props p)
{
    return (struct message){.exchange = span_str("x"),
                            .key = span_str("key"),
                            .props = amqp_props_encode(&p, &arena),
                            .format = MESSAGE_FORMAT_AMQP};
}

static void a_first_death_is_written_as_rabbitmq_does(void **state)
{
    struct amqp_props p;
    struct message m = die(message_with(all_props()), "q", DEATH_EXPIRED, 1700000001999);
    assert_string_equal(death_text(&m, 0), "original-expiration:S=5000 count:l=1 reason:S=expired queue:S=q "
                                           "time:T=1700000001 exchange:S=x routing-keys:A=8 ");
    assert_null(death_text(&m, 1));
    assert_string_equal(header_text(&m, "x-first-death-reason"), "expired");
    assert_string_equal(header_text(&m, "x-first-death-queue"), "q");
    assert_string_equal(header_text(&m, "x-first-death-exchange"), "x");
    assert_string_equal(header_text(&m, "x-last-death-reason"), "expired");
    assert_null(header_text(&m, "x-retry-count"));
    assert_int_equal(amqp_props_decode(m.props, &p), 0);
    assert_int_equal(p.flags, 0xfffc & ~AMQP_EXPIRATION);
    assert_true(span_eq_str(p.content_type, "text/plain"));
}

static void deaths_are_counted_by_queue_and_reason_latest_first(void **state)
{
    struct message m = die(message_with((struct amqp_props){0}), "a", DEATH_REJECTED, 1000);
    m = die(m, "b", DEATH_MAXLEN, 2000);
    m = die(m, "a", DEATH_REJECTED, 3000);
    m = die(m, "a", DEATH_EXPIRED, 4000);
    assert_string_equal(death_text(&m, 0),
                        "count:l=1 reason:S=expired queue:S=a time:T=4 exchange:S=x routing-keys:A=8 ");
    assert_string_equal(death_text(&m, 1),
                        "count:l=2 reason:S=rejected queue:S=a time:T=1 exchange:S=x routing-keys:A=8 ");
    assert_string_equal(death_text(&m, 2),
                        "count:l=1 reason:S=maxlen queue:S=b time:T=2 exchange:S=x routing-keys:A=8 ");
    assert_null(death_text(&m, 3));
    assert_string_equal(header_text(&m, "x-first-death-reason"), "rejected");
    assert_string_equal(header_text(&m, "x-last-death-reason"), "expired");
}

/* LavinMQ's amqp-protocol #12 and #14: they were damaged by the second death. */
static void nested_headers_survive_two_deaths_byte_for_byte(void **state)
{
    struct amqp_props p = all_props();
    struct message m = die(message_with(p), "q", DEATH_REJECTED, 1000);
    m = die(m, "dlq", DEATH_EXPIRED, 2000);
    struct span h = headers_of(&m);
    assert_int_equal(fields_check(h), 0);
    assert_true(h.len > p.headers.len);
    assert_memory_equal(h.ptr, p.headers.ptr, p.headers.len);
    assert_int_equal(fields_count(h), 3 + 7);
}

static void a_key_of_the_queues_own_drops_cc_and_bcc(void **state)
{
    struct message m = {.exchange = span_str("x"), .key = span_str("k"), .props = keyed_props()};
    struct death d = {.queue = span_str("q"), .retries = -1};
    struct message kept = m, dropped = m;
    kept.props = amqp_message_format.dead(&m, &d, &arena);
    d.routing_key_override = span_str("dead");
    dropped.props = amqp_message_format.dead(&m, &d, &arena);
    struct field f;
    assert_true(fields_get_str(headers_of(&kept), "BCC", &f));
    assert_false(fields_get_str(headers_of(&dropped), "CC", &f));
    assert_false(fields_get_str(headers_of(&dropped), "BCC", &f));
    /* Keys: "k", "k2", "k3", and never those of BCC. */
    assert_non_null(strstr(death_text(&dropped, 0), "routing-keys:A=20 "));
}

static void retries_are_told(void **state)
{
    struct message m = message_with((struct amqp_props){0});
    struct death d = {.queue = span_str("q"), .reason = DEATH_DELIVERY_LIMIT, .time_ms = 5000, .retries = 3};
    m.props = amqp_message_format.dead(&m, &d, &arena);
    d.retries = 4;
    m.props = amqp_message_format.dead(&m, &d, &arena);
    assert_string_equal(header_text(&m, "x-retry-count"), "l4");
    assert_string_equal(header_text(&m, "x-last-error-time"), "T5");
    assert_string_equal(header_text(&m, "x-original-queue"), "q");
    assert_string_equal(header_text(&m, "x-last-death-reason"), "delivery_limit");
    assert_int_equal(fields_count(headers_of(&m)), 7 + 3);
}

static bool closes_cycle(const struct message *m, const char *queue)
{
    return amqp_message_format.cycles(m, span_str(queue));
}

static void a_cycle_is_one_in_which_nobody_rejected(void **state)
{
    struct message m = die(message_with((struct amqp_props){0}), "a", DEATH_EXPIRED, 1000);
    m = die(m, "b", DEATH_EXPIRED, 2000);
    assert_true(closes_cycle(&m, "a"));
    assert_true(closes_cycle(&m, "b"));
    assert_false(closes_cycle(&m, "c"));
    m = die(m, "b", DEATH_REJECTED, 3000);
    assert_false(closes_cycle(&m, "a"));
    assert_false(closes_cycle(&m, "b"));
    m = message_with((struct amqp_props){0});
    assert_false(closes_cycle(&m, "a"));
}

/* A work queue, whose rejected messages come back by way of a queue with a TTL, may go on for ever. */
static void a_loop_of_retries_is_no_cycle(void **state)
{
    struct message m = message_with((struct amqp_props){0});
    for (unsigned i = 0; i < 5; i++) {
        m = die(m, "work", DEATH_REJECTED, 1000);
        assert_false(closes_cycle(&m, "retry"));
        m = die(m, "retry", DEATH_EXPIRED, 2000);
        assert_false(closes_cycle(&m, "work"));
    }
}

/* A client may send anything as x-death; RabbitMQ 3.12 counts on from what it sends (#10709). */
static void what_a_client_sends_as_x_death_counts_if_it_can(void **state)
{
    struct fields_writer table, list, w;
    struct amqp_props p = {.flags = AMQP_HEADERS};
    fields_writer_init(&table, &arena);
    fields_put_str(&table, span_str("queue"), span_str("q"));
    fields_put_int(&table, span_str("count"), 'I', 41);
    fields_put_str(&table, span_str("reason"), span_str("rejected"));
    fields_writer_init(&list, &arena);
    fields_add_str(&list, span_str("no table"));
    fields_add_table(&list, fields_done(&table));
    fields_writer_init(&w, &arena);
    fields_put_array(&w, span_str("x-death"), fields_done(&list));
    p.headers = fields_done(&w);
    struct message m = die(message_with(p), "q", DEATH_REJECTED, 1000);
    assert_string_equal(death_text(&m, 0), "queue:S=q count:l=42 reason:S=rejected ");
    fields_writer_init(&w, &arena);
    fields_put_str(&w, span_str("x-death"), span_str("once"));
    p.headers = fields_done(&w);
    m = die(message_with(p), "q", DEATH_REJECTED, 1000);
    assert_non_null(death_text(&m, 0));
    assert_int_equal(fields_count(headers_of(&m)), 7);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(bits_share_octets_from_the_lowest),
        T(fields_behind_bits_begin_a_new_octet),
        T(ids_are_rabbitmqs),
        T(every_method_survives_and_every_cut_is_noticed),
        T(an_unknown_method_is_told_by_its_id),
        T(a_table_that_is_none_is_refused),
        T(all_fourteen_properties_survive),
        T(further_flag_words_are_read),
        T(one_header_is_set_and_the_others_stay),
        T(further_keys_are_those_of_cc_and_bcc),
        T(bcc_is_left_out),
        T(a_first_death_is_written_as_rabbitmq_does),
        T(deaths_are_counted_by_queue_and_reason_latest_first),
        T(nested_headers_survive_two_deaths_byte_for_byte),
        T(a_key_of_the_queues_own_drops_cc_and_bcc),
        T(retries_are_told),
        T(a_cycle_is_one_in_which_nobody_rejected),
        T(a_loop_of_retries_is_no_cycle),
        T(what_a_client_sends_as_x_death_counts_if_it_can),
    };
    return cmocka_run_group_tests_name("amqp_wire", tests, NULL, NULL);
}
