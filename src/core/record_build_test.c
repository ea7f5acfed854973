/* Batches that are made here must be what a producer could have sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/err.h"
#include "core/record_build.h"
#include "core/records.h"
#include "core/topic_post.h"

static struct chunk_pool pool;

static void test_what_was_drafted_is_read_back(void **state)
{
    static const struct record_header headers[] = {{{(const uint8_t *)"h", 1}, {(const uint8_t *)"v", 1}},
                                                   {{(const uint8_t *)"null", 4}, {NULL, 0}}};
    struct record_builder b = {0};
    struct record_draft d = {span_str("key"), span_str("value"), headers, 2};
    struct records_iter it;
    struct record r;
    struct span rest, key, value;
    (void)state;
    assert_int_equal(record_build_add(&b, &pool, &d, 1000), 0);
    d = (struct record_draft){.value = span_str("")};
    assert_int_equal(record_build_add(&b, &pool, &d, 1005), 0);
    assert_int_equal(record_build_add(&b, &pool, &(struct record_draft){.key = span_str("k")}, 1005), 0);
    assert_int_equal(records_open(NULL, record_build_seal(&b), 1 << 20, &it), 0);
    assert_int_equal(records_next(&it, &r), 1);
    assert_true(span_eq_str(r.key, "key") && span_eq_str(r.value, "value") && r.timestamp == 1000);
    rest = r.headers;
    assert_int_equal(record_header_next(&rest, &key, &value), 1);
    assert_true(span_eq_str(key, "h") && span_eq_str(value, "v"));
    assert_int_equal(record_header_next(&rest, &key, &value), 1);
    assert_true(span_eq_str(key, "null") && span_is_null(value));
    assert_int_equal(records_next(&it, &r), 1);
    assert_true(span_is_null(r.key) && !span_is_null(r.value) && r.value.len == 0);
    assert_int_equal(r.timestamp, 1005);
    assert_int_equal(records_next(&it, &r), 1);
    assert_true(span_eq_str(r.key, "k") && span_is_null(r.value));
    assert_int_equal(records_next(&it, &r), 0);
    record_build_fini(&b);
}

static void test_a_batch_passes_the_checks_of_a_producers(void **state)
{
    static uint8_t large[70000];
    struct record_builder b = {0};
    struct record_draft d = {.value = span_of(large, sizeof(large))};
    struct records_policy policy = {.max_message_bytes = 1 << 20,
                                    .max_decoded_bytes = 1 << 20,
                                    .before_max_ms = INT64_MAX,
                                    .after_max_ms = INT64_MAX,
                                    .codec = RECORDS_CODEC_PRODUCER};
    struct records_verdict v;
    struct arena a;
    (void)state;
    arena_init(&a);
    size_t sum = 61;
    for (int i = 0; i < 300; i++) {
        d.value.len = i == 200 ? sizeof(large) : (size_t)i;
        sum += record_build_bytes(&d);
        assert_int_equal(record_build_add(&b, &pool, &d, 5 + i), 0);
    }
    assert_true(b.len <= sum);
    assert_int_equal(records_check(NULL, &policy, record_build_seal(&b), 10, &a, &pool, &v), 0);
    assert_int_equal(v.count, 300);
    assert_int_equal(v.max_timestamp, 304);
    record_build_fini(&b);
    arena_fini(&a);
}

/* From Kafka's UtilsTest. */
static void test_keys_are_hashed_as_kafka_does(void **state)
{
    (void)state;
    assert_int_equal((int32_t)topic_murmur2(span_str("21")), -973932308);
    assert_int_equal((int32_t)topic_murmur2(span_str("foobar")), -790332482);
    assert_int_equal((int32_t)topic_murmur2(span_str("a-little-bit-long-string")), -985981536);
    assert_int_equal((int32_t)topic_murmur2(span_str("a-little-bit-longer-string")), -1486304829);
    assert_int_equal((int32_t)topic_murmur2(span_str("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8")),
                     -58897971);
    assert_int_equal((int32_t)topic_murmur2(span_str("abc")), 479470107);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_drafted_is_read_back),
        cmocka_unit_test(test_a_batch_passes_the_checks_of_a_producers),
        cmocka_unit_test(test_keys_are_hashed_as_kafka_does),
    };
    chunk_pool_init(&pool, "test", 4096, 4);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    chunk_pool_fini(&pool);
    return failed;
}
