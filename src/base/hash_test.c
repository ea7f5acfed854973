/* Hashes depend on the seed and on every byte. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/hash.h"

static void the_same_seed_gives_the_same_hash(void **state)
{
    hash_seed(1);
    uint64_t bytes = hash_bytes(span_str("orders")), number = hash_u64(77);
    hash_seed(2);
    assert_int_not_equal(hash_bytes(span_str("orders")), bytes);
    assert_int_not_equal(hash_u64(77), number);
    hash_seed(1);
    assert_int_equal(hash_bytes(span_str("orders")), bytes);
    assert_int_equal(hash_u64(77), number);
}

static void every_byte_and_the_length_count(void **state)
{
    uint8_t b[64] = {0};
    uint64_t zero = hash_bytes(span_of(b, 64));
    assert_int_not_equal(hash_bytes(span_of(b, 63)), zero);
    for (int i = 0; i < 64; i++) {
        b[i] = 1;
        assert_int_not_equal(hash_bytes(span_of(b, 64)), zero);
        b[i] = 0;
    }
}

/* Sequential numbers, as offsets and ids are, must spread over the low bits that tables use. */
static void sequential_numbers_spread(void **state)
{
    int bucket[64] = {0};
    for (uint64_t i = 0; i < 6400; i++)
        bucket[hash_u64(i) & 63]++;
    for (int i = 0; i < 64; i++)
        assert_in_range(bucket[i], 50, 160);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_hash),
        cmocka_unit_test(every_byte_and_the_length_count),
        cmocka_unit_test(sequential_numbers_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
