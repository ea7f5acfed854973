/* Messages become records, and records messages: README.md has the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "proto/amqp/props.h"
#include "proto/amqp/record.h"

const struct message_format *message_formats[MESSAGE_FORMATS];

static struct arena arena;
static struct chunk_pool pool;

static struct span str(const char *s)
{
    return span_str(s);
}

/* What the draft is when it is read back. */
static struct record stored(const struct record_draft *d)
{
    struct record_builder b = {0};
    struct records_iter it;
    struct record r;
    assert_int_equal(record_build_add(&b, &pool, d, 123456), 0);
    struct span batch = record_build_seal(&b);
    batch = span_of(arena_copy(&arena, batch.ptr, batch.len), batch.len);
    record_build_fini(&b);
    assert_int_equal(records_open(NULL, batch, 1 << 20, &it), 0);
    assert_int_equal(records_next(&it, &r), 1);
    return r;
}

static struct message message(void)
{
    struct fields_writer w;
    fields_writer_init(&w, &arena);
    fields_put_str(&w, str("text"), str("x"));
    fields_put_int(&w, str("n"), 'I', -7);
    fields_put_array(&w, str("x-death"), SPAN_NULL);
    fields_put_array(&w, str("BCC"), SPAN_NULL);
    struct amqp_props p = {.flags = AMQP_HEADERS | AMQP_USER_ID | AMQP_EXPIRATION | AMQP_PRIORITY |
                                    AMQP_MESSAGE_ID,
                           .headers = fields_done(&w),
                           .user_id = str("alice"),
                           .expiration = str("5000"),
                           .message_id = str("m"),
                           .priority = 4};
    return (struct message){.exchange = str("ex"),
                            .key = str("k"),
                            .body = str("body"),
                            .props = amqp_props_encode(&p, &arena),
                            .format = MESSAGE_FORMAT_AMQP};
}

static struct record record_of(const struct message *m)
{
    struct record_draft d = {.value = m->body};
    amqp_message_record(m, &arena, &d);
    return stored(&d);
}

static struct amqp_props props_of(const struct record *r, bool enters, struct message *ret)
{
    struct amqp_props p;
    *ret = (struct message){.ttl_ms = -1};
    amqp_message_of_record(r, enters, &arena, ret);
    assert_int_equal(amqp_props_decode(ret->props, &p), 0);
    return p;
}

static bool has(const struct record *r, const char *name, const char *value)
{
    struct span v;
    return amqp_record_header(r, name, &v) && span_eq_str(v, value);
}

static void test_scalars_are_plain_headers(void **state)
{
    struct message m = message();
    struct record r = record_of(&m);
    struct span v;
    (void)state;
    assert_true(has(&r, "amqp.exchange", "ex") && has(&r, "amqp.routing-key", "k"));
    assert_true(has(&r, "text", "x") && has(&r, "n", "-7"));
    assert_true(has(&r, "amqp.user-id", "alice") && has(&r, "amqp.priority", "4"));
    assert_true(has(&r, "amqp.message-id", "m") && has(&r, "amqp.expiration", "5000"));
    assert_false(amqp_record_header(&r, "x-death", &v));
    assert_true(amqp_record_header(&r, AMQP_RECORD_PROPERTIES, &v));
    assert_null(memmem(v.ptr, v.len, "BCC", 3));
}

static void test_a_reader_gets_back_what_was_sent_but_not_by_whom(void **state)
{
    struct message m = message(), back;
    struct record r = record_of(&m);
    struct amqp_props p = props_of(&r, false, &back);
    struct field f;
    (void)state;
    assert_true(span_eq_str(back.exchange, "ex") && span_eq_str(back.key, "k"));
    assert_int_equal(p.flags, AMQP_HEADERS | AMQP_EXPIRATION | AMQP_PRIORITY | AMQP_MESSAGE_ID);
    assert_true(fields_get_str(p.headers, "n", &f) && f.tag == 'I' && f.integer == -7);
    assert_true(fields_get_str(p.headers, "x-death", &f));
    assert_int_equal(back.ttl_ms, -1);
}

static void test_what_enters_a_queue_claims_no_deaths_and_has_its_ttl(void **state)
{
    struct message m = message(), back;
    struct record r = record_of(&m);
    struct amqp_props p = props_of(&r, true, &back);
    struct field f;
    (void)state;
    assert_false(fields_get_str(p.headers, "x-death", &f));
    assert_true(fields_get_str(p.headers, "text", &f));
    assert_int_equal(back.ttl_ms, 5000);
    assert_int_equal(back.priority, 4);
}

static void test_a_foreign_record_has_its_headers_and_key(void **state)
{
    const struct record_header headers[] = {
        {str("content-type"), str("text/plain")}, {str("amqp.priority"), str("300")},
        {str("x-death"), str("forged")},          {str("amqp.properties"), str("forged")},
        {str("amqp.user-id"), str("root")},       {str("null"), SPAN_NULL}};
    struct record_draft d = {.key = str("key"), .headers = headers, .header_count = 6};
    struct record r = stored(&d);
    struct message m;
    struct amqp_props p = props_of(&r, true, &m);
    struct field f;
    (void)state;
    assert_true(span_eq_str(p.content_type, "text/plain") && p.delivery_mode == 2 && p.timestamp == 123);
    assert_false(p.flags & (AMQP_USER_ID | AMQP_PRIORITY));
    assert_true(fields_get_str(p.headers, "kafka-key", &f) && span_eq_str(f.bytes, "key"));
    assert_true(fields_get_str(p.headers, "kafka-null", &f) && f.integer == 1);
    assert_true(fields_get_str(p.headers, "null", &f) && f.tag == 'V');
    assert_true(fields_get_str(p.headers, "amqp.priority", &f)); /* no number that a priority can be */
    assert_false(fields_get_str(p.headers, "x-death", &f));
    assert_int_equal(fields_count(p.headers), 5);
}

static uint32_t dice(void)
{
    static uint32_t state = 5;
    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

/* Whatever a producer puts there, what comes out are properties. */
static void test_any_bytes_make_a_message(void **state)
{
    (void)state;
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[48];
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)(dice() % 3 ? dice() % 12 : dice());
        struct record_header h = {str("amqp.properties"), span_of(bytes, (size_t)(dice() % 48))};
        struct record_draft d = {.value = str("v"), .headers = &h, .header_count = 1};
        struct record r = stored(&d), raw = {.headers = span_of(bytes, sizeof(bytes)), .timestamp = -1};
        struct message m;
        props_of(&r, dice() % 2, &m);
        props_of(&raw, dice() % 2, &m);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars_are_plain_headers),
        cmocka_unit_test(test_a_reader_gets_back_what_was_sent_but_not_by_whom),
        cmocka_unit_test(test_what_enters_a_queue_claims_no_deaths_and_has_its_ttl),
        cmocka_unit_test(test_a_foreign_record_has_its_headers_and_key),
        cmocka_unit_test(test_any_bytes_make_a_message),
    };
    arena_init(&arena);
    chunk_pool_init(&pool, "test", 4096, 4);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&arena);
    chunk_pool_fini(&pool);
    return failed;
}
