/* The confirms of a channel: monotonic, coalesced, each publish told exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/amqp/confirms.h"

static struct confirms c;

static uint32_t draw(void) /* repeatable */
{
    static uint32_t state = 12345;
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

static int setup(void **state)
{
    (void)state;
    confirms_init(&c);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    confirms_fini(&c);
    return 0;
}

static void expect(uint64_t last, bool multiple, bool nack)
{
    struct confirm got;
    assert_true(confirms_next(&c, &got));
    assert_int_equal(got.last, last);
    assert_int_equal(got.multiple, multiple);
    assert_int_equal(got.nack, nack);
}

static void expect_nothing(void)
{
    struct confirm got;
    assert_false(confirms_next(&c, &got));
}

static void numbers_begin_at_one(void **state)
{
    (void)state;
    assert_int_equal(confirms_publish(&c, 1), 1);
    assert_int_equal(confirms_publish(&c, 1), 2);
    assert_int_equal(confirms_open(&c), 2);
}

static void a_publish_to_nowhere_is_confirmed_at_once(void **state)
{
    (void)state;
    confirms_publish(&c, 0);
    expect(1, false, false);
    expect_nothing();
}

static void a_publish_is_confirmed_when_all_parts_are_back(void **state)
{
    (void)state;
    confirms_publish(&c, 3);
    confirms_done(&c, 1, false);
    confirms_done(&c, 1, false);
    expect_nothing();
    confirms_done(&c, 1, false);
    expect(1, false, false);
}

static void one_part_that_fails_refuses_the_whole(void **state)
{
    (void)state;
    confirms_publish(&c, 2);
    confirms_done(&c, 1, true);
    expect_nothing();
    confirms_done(&c, 1, false);
    expect(1, false, true);
}

static void equal_outcomes_are_told_together(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        confirms_publish(&c, 1);
    for (uint64_t seq = 1; seq <= 100; seq++)
        confirms_done(&c, seq, seq == 50 || seq == 51);
    expect(49, true, false);
    expect(51, true, true);
    expect(100, true, false);
    expect_nothing();
}

static void nothing_is_told_before_what_was_published_before(void **state)
{
    (void)state;
    confirms_publish(&c, 1);
    confirms_publish(&c, 1);
    confirms_done(&c, 2, false);
    expect_nothing();
    confirms_done(&c, 1, false);
    expect(2, true, false);
}

/* Each is told exactly once, in order, with its own outcome. */
static void any_order_of_completion_tells_each_once(void **state)
{
    (void)state;
    enum { N = 5000, WINDOW = 700 };
    static bool failed[N + 1], done[N + 1];
    uint64_t told = 0, sent = 0;
    while (told < N) {
        while (sent < N && sent - told < WINDOW)
            done[confirms_publish(&c, 1)] = false, sent++;
        uint64_t seq = told + 1 + draw() % (sent - told);
        if (!done[seq]) {
            done[seq] = true;
            failed[seq] = draw() % 5 == 0;
            confirms_done(&c, seq, failed[seq]);
        }
        struct confirm got;
        while (confirms_next(&c, &got))
            for (assert_true(got.last > told); told < got.last;) {
                told++;
                assert_true(done[told]);
                assert_int_equal(failed[told], got.nack);
            }
    }
    assert_int_equal(confirms_open(&c), 0);
}

/* An answer to another channel that had the same number is none of these. */
static void only_what_is_open_is_awaited(void **state)
{
    (void)state;
    assert_false(confirms_awaits(&c, 0));
    assert_false(confirms_awaits(&c, 1));
    confirms_publish(&c, 2);
    confirms_publish(&c, 0);
    assert_true(confirms_awaits(&c, 1));
    assert_false(confirms_awaits(&c, 2));
    assert_false(confirms_awaits(&c, 3));
    confirms_done(&c, 1, true);
    assert_true(confirms_awaits(&c, 1));
    confirms_done(&c, 1, false);
    assert_false(confirms_awaits(&c, 1));
    expect(1, false, true);
    assert_false(confirms_awaits(&c, 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(numbers_begin_at_one),
        TEST(a_publish_to_nowhere_is_confirmed_at_once),
        TEST(a_publish_is_confirmed_when_all_parts_are_back),
        TEST(one_part_that_fails_refuses_the_whole),
        TEST(equal_outcomes_are_told_together),
        TEST(nothing_is_told_before_what_was_published_before),
        TEST(any_order_of_completion_tells_each_once),
        TEST(only_what_is_open_is_awaited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
