#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "load/histogram.h"

static struct histogram h, other;

static int empty(void **state)
{
    h = other = (struct histogram){0};
    return 0;
}

static void test_without_values_every_percentile_is_zero(void **state)
{
    assert_int_equal(histogram_percentile(&h, 50), 0);
    assert_int_equal(histogram_percentile(&h, 100), 0);
}

static void test_small_values_are_exact(void **state)
{
    for (uint64_t v = 1; v <= 100; v++)
        histogram_add(&h, v);
    assert_int_equal(histogram_percentile(&h, 50), 50);
    assert_int_equal(histogram_percentile(&h, 99), 99);
    assert_int_equal(histogram_percentile(&h, 100), 100);
}

static void test_large_values_are_at_most_a_64th_too_large(void **state)
{
    for (uint64_t v = 100; v < (uint64_t)1 << 41; v = v * 5 / 3) {
        empty(NULL);
        histogram_add(&h, v);
        histogram_add(&h, UINT64_MAX); /* so that max does not hide the bucket */
        uint64_t median = histogram_percentile(&h, 50);
        assert_true(median >= v);
        assert_true(median - v <= v / 64);
    }
}

static void test_merging_is_the_same_as_adding_all_to_one(void **state)
{
    for (uint64_t v = 0; v < 1000; v++)
        histogram_add(v % 2 ? &h : &other, v * 1000);
    histogram_merge(&h, &other);
    assert_int_equal(h.count, 1000);
    assert_int_equal(h.max, 999000);
    uint64_t median = histogram_percentile(&h, 50);
    assert_true(median >= 499000 && median <= 499000 + 499000 / 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_without_values_every_percentile_is_zero, empty),
        cmocka_unit_test_setup(test_small_values_are_exact, empty),
        cmocka_unit_test_setup(test_large_values_are_at_most_a_64th_too_large, empty),
        cmocka_unit_test_setup(test_merging_is_the_same_as_adding_all_to_one, empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
