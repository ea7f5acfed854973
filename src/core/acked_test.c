#include "core/acked.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

enum { RANGE = 40000 }; /* some ten blocks */

static bool naive[RANGE];
static struct acked a;

static uint64_t state_of_dice;

static uint64_t dice(uint64_t limit)
{
    state_of_dice = state_of_dice * 6364136223846793005u + 1442695040888963407u;
    return (state_of_dice >> 33) % limit;
}

static uint64_t naive_add(uint64_t first, uint64_t last)
{
    uint64_t n = 0;
    for (uint64_t o = first; o <= last; o++) {
        n += !naive[o];
        naive[o] = true;
    }
    return n;
}

static void check_runs(uint64_t from, uint64_t end)
{
    uint64_t first, last, at = from > a.low ? from : a.low;
    while (acked_next_run(&a, at, end, &first, &last)) {
        assert_true(first >= at && last >= first && last < end);
        for (uint64_t o = at; o < first; o++)
            assert_false(naive[o]);
        for (uint64_t o = first; o <= last; o++)
            assert_true(naive[o]);
        assert_true(last + 1 == end || !naive[last + 1]);
        at = last + 1;
    }
    for (uint64_t o = at; o < end; o++)
        assert_false(naive[o]);
}

static void check(void)
{
    uint64_t low = 0, above = 0;
    while (low < RANGE && naive[low])
        low++;
    for (uint64_t o = low; o < RANGE; o++) {
        above += naive[o];
        assert_int_equal(acked_has(&a, o), naive[o]);
    }
    assert_int_equal(a.low, low);
    assert_int_equal(a.above, above);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t from = dice(RANGE), to = from + dice(RANGE - from), n = 0;
        for (uint64_t o = from; o < to; o++)
            n += naive[o];
        assert_int_equal(acked_count(&a, from, to), n);
        check_runs(from, to);
    }
    check_runs(0, RANGE);
}

/* Single ones, short runs and long ones; at the mark, just above it, and anywhere. */
static void add_any(uint64_t lengths)
{
    uint64_t first = dice(3) ? dice(RANGE - 1) : a.low + dice(3), length = 1 + dice(lengths);
    if (first >= RANGE - 1)
        first = RANGE - 2;
    uint64_t last = first + length - 1;
    if (last >= RANGE - 1)
        last = RANGE - 2; /* the last one stays, so that the mark does, too */
    assert_int_equal(acked_add(&a, first, last), naive_add(first, last));
}

static void it_is_the_same_as_a_naive_set(void **state)
{
    static const uint64_t lengths[] = {1, 3, 64, 5000, 1};
    (void)state;
    for (unsigned seed = 1; seed <= 6; seed++) {
        state_of_dice = seed;
        memset(naive, 0, sizeof(naive));
        uint64_t low = dice(2) * dice(9000);
        for (uint64_t o = 0; o < low; o++)
            naive[o] = true;
        acked_init(&a, low);
        for (unsigned i = 0; i < 1500; i++) {
            add_any(lengths[dice(5)]);
            if (i % 100 == 0)
                check();
        }
        check();
        assert_int_equal(acked_add(&a, 0, RANGE - 2), naive_add(0, RANGE - 2));
        check();
        assert_int_equal(a.blocks.count, 0);
        acked_fini(&a);
    }
}

static void edges_of_blocks(void **state)
{
    uint64_t first, last;
    (void)state;
    acked_init(&a, 0);
    assert_int_equal(acked_add(&a, 4095, 4096), 2);
    assert_int_equal(acked_add(&a, 8191, 8191), 1);
    assert_true(acked_next_run(&a, 0, 10000, &first, &last));
    assert_int_equal(first, 4095);
    assert_int_equal(last, 4096);
    assert_true(acked_next_run(&a, 0, 4096, &first, &last)); /* cut at its end */
    assert_int_equal(last, 4095);
    assert_true(acked_next_run(&a, 4097, 10000, &first, &last));
    assert_int_equal(first, 8191);
    assert_false(acked_next_run(&a, 8192, 100000, &first, &last));
    assert_int_equal(acked_add(&a, 0, 4094), 4095);
    assert_int_equal(a.low, 4097);
    acked_fini(&a);
}

/* What a jump of the mark leaves behind is given back, however far it is. */
static void the_mark_jumps(void **state)
{
    (void)state;
    acked_init(&a, 0);
    acked_add(&a, 5, 5);
    acked_add(&a, 1ull << 26, 1ull << 26);
    assert_int_equal(a.blocks.count, 2);
    assert_int_equal(acked_add(&a, 0, (1ull << 26) - 1), (1ull << 26) - 1);
    assert_int_equal(a.low, (1ull << 26) + 1);
    assert_int_equal(a.above, 0);
    assert_int_equal(a.blocks.count, 0);
    assert_int_equal(acked_count(&a, 0, 1ull << 30), (1ull << 26) + 1);
    acked_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_same_as_a_naive_set),
        cmocka_unit_test(edges_of_blocks),
        cmocka_unit_test(the_mark_jumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
