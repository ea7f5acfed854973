#include "core/message.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/err.h"

static uint8_t record[4096];

static struct message full(void)
{
    return (struct message){.exchange = span_str("an exchange"),
                            .key = span_str("a.key"),
                            .props = span_str("properties"),
                            .body = span_str("the body"),
                            .ttl_ms = 1500,
                            .expires_ms = 1700000000000,
                            .due_ms = -1,
                            .priority = 200,
                            .flags = MESSAGE_PERSISTENT,
                            .format = MESSAGE_FORMAT_AMQP};
}

static void assert_same(const struct message *a, const struct message *b)
{
    assert_true(span_eq(a->exchange, b->exchange) && span_eq(a->key, b->key));
    assert_true(span_eq(a->props, b->props) && span_eq(a->body, b->body));
    assert_int_equal(a->ttl_ms, b->ttl_ms);
    assert_int_equal(a->expires_ms, b->expires_ms);
    assert_int_equal(a->due_ms, b->due_ms);
    assert_int_equal(a->priority, b->priority);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->format, b->format);
}

static void assert_round_trip(const struct message *m)
{
    struct message back;
    int64_t queued;
    size_t len, bytes = message_record_bytes(m);
    assert_true(bytes < sizeof(record));
    memset(record, 0xaa, sizeof(record));
    message_write(record, m, 42);
    assert_int_equal(record[bytes], 0xaa);
    assert_int_equal(message_read(span_of(record, sizeof(record)), &back, &queued, &len), 0);
    assert_int_equal(len, bytes);
    assert_int_equal(queued, 42);
    assert_same(m, &back);
}

static void every_field_comes_back(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 128; bits++) {
        struct message m = full();
        if (bits & 1)
            m.ttl_ms = -1;
        if (bits & 2)
            m.expires_ms = 0;
        if (bits & 4)
            m.due_ms = 0;
        if (bits & 8)
            m.exchange = span_str("");
        if (bits & 16)
            m.key = span_str("");
        if (bits & 32)
            m.props = span_str("");
        if (bits & 64)
            m.body = span_str("");
        assert_round_trip(&m);
    }
}

static void a_ttl_of_zero_is_one(void **state)
{
    (void)state;
    struct message m = full();
    m.ttl_ms = 0;
    assert_round_trip(&m);
}

static void names_may_have_255_bytes(void **state)
{
    static uint8_t long_name[255];
    (void)state;
    struct message m = full();
    m.exchange = m.key = span_of(long_name, sizeof(long_name));
    assert_round_trip(&m);
}

static void nothing_is_cut(void **state)
{
    (void)state;
    struct message m = full(), back;
    int64_t queued;
    size_t bytes = message_record_bytes(&m);
    message_write(record, &m, 42);
    for (size_t len = 0; len < bytes; len++) {
        uint8_t *exact = malloc(len + 1); /* a sanitizer sees what is read beyond it */
        memcpy(exact, record, len);
        assert_int_equal(message_read(span_of(exact, len), &back, &queued, NULL), ERR_CORRUPT);
        free(exact);
    }
}

/* Whatever a byte becomes: refused, or all of it lies in the record. */
static void damage_stays_inside(void **state)
{
    (void)state;
    struct message m = full(), back;
    int64_t queued;
    size_t bytes = message_record_bytes(&m), refused = 0, len;
    for (size_t at = 0; at < bytes; at++) {
        for (unsigned mask = 1; mask < 256; mask++) {
            message_write(record, &m, 42);
            record[at] ^= (uint8_t)mask;
            if (message_read(span_of(record, bytes), &back, &queued, &len)) {
                refused++;
                continue;
            }
            assert_true(len <= bytes);
            const struct span parts[] = {back.exchange, back.key, back.props, back.body};
            size_t sum = 0;
            for (unsigned i = 0; i < 4; i++) {
                assert_true(parts[i].ptr >= record && parts[i].ptr + parts[i].len <= record + len);
                sum += parts[i].len;
            }
            assert_true(sum <= len);
        }
    }
    assert_true(refused > 4 * 255); /* lengths, the format, the bits of options */
}

static void formats_of_the_future_are_refused(void **state)
{
    (void)state;
    struct message m = full(), back;
    int64_t queued;
    message_write(record, &m, 42);
    record[6] = MESSAGE_FORMATS;
    assert_int_equal(message_read(span_of(record, sizeof(record)), &back, &queued, NULL), ERR_CORRUPT);
    message_write(record, &m, 42);
    record[9] |= 8;
    assert_int_equal(message_read(span_of(record, sizeof(record)), &back, &queued, NULL), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_comes_back),   cmocka_unit_test(a_ttl_of_zero_is_one),
        cmocka_unit_test(names_may_have_255_bytes), cmocka_unit_test(nothing_is_cut),
        cmocka_unit_test(damage_stays_inside),      cmocka_unit_test(formats_of_the_future_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
