/* The limit of a channel over its consumers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/amqp/limiter.h"

static struct limiter l;
static struct limited a, b, c;

static int setup(void **state)
{
    (void)state;
    limiter_init(&l);
    limited_init(&a);
    limited_init(&b);
    limited_init(&c);
    return 0;
}

static void expect(const struct limited *who, uint32_t credit)
{
    uint32_t got = 0;
    assert_ptr_equal(limiter_next(&l, &got), who);
    assert_int_equal(got, credit);
}

static void expect_nobody(void)
{
    uint32_t got;
    assert_null(limiter_next(&l, &got));
}

static void one_gets_all_the_room(void **state)
{
    (void)state;
    l.limit = 10;
    limiter_wait(&l, &a);
    limiter_wait(&l, &a); /* harmless */
    expect(&a, 10);
    expect_nobody();
}

static void those_who_wait_share(void **state)
{
    (void)state;
    l.limit = 7;
    limiter_wait(&l, &a);
    limiter_wait(&l, &b);
    limiter_wait(&l, &c);
    expect(&a, 2);
    expect(&b, 2);
    expect(&c, 3);
}

static void with_one_place_everybody_gets_a_turn(void **state)
{
    (void)state;
    l.limit = 1;
    limiter_wait(&l, &a);
    limiter_wait(&l, &b);
    for (int i = 0; i < 4; i++) {
        struct limited *now = i % 2 ? &b : &a;
        expect(now, 1);
        expect_nobody();
        limiter_delivered(&l, now, 1, 0);
        limiter_wait(&l, now); /* it has more */
        expect_nobody();
        limiter_settled(&l, 1);
    }
}

static void unused_credit_goes_to_others(void **state)
{
    (void)state;
    l.limit = 5;
    limiter_wait(&l, &a);
    expect(&a, 5);
    limiter_wait(&l, &b);
    expect_nobody();
    limiter_delivered(&l, &a, 2, 3);
    expect(&b, 3);
}

static void a_lower_limit_holds_once_there_is_room_again(void **state)
{
    (void)state;
    l.limit = 5;
    limiter_wait(&l, &a);
    expect(&a, 5);
    limiter_delivered(&l, &a, 5, 0);
    limiter_wait(&l, &a);
    l.limit = 2;
    limiter_settled(&l, 3);
    expect_nobody();
    limiter_settled(&l, 1);
    expect(&a, 1);
}

static void a_higher_limit_is_given_out_at_once(void **state)
{
    (void)state;
    l.limit = 1;
    limiter_wait(&l, &a);
    expect(&a, 1);
    limiter_delivered(&l, &a, 1, 0);
    limiter_wait(&l, &a);
    expect_nobody();
    l.limit = 4;
    expect(&a, 3);
}

static void who_leaves_gives_back_what_it_had(void **state)
{
    (void)state;
    l.limit = 4;
    limiter_wait(&l, &a);
    expect(&a, 4);
    limiter_wait(&l, &b);
    limiter_leave(&l, &a);
    expect(&b, 4);
    limiter_delivered(&l, &a, 1, 3); /* was on its way: counted, but gives nothing back twice */
    assert_int_equal(l.unacked, 1);
    assert_int_equal(l.granted, 4);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_gets_all_the_room),
        TEST(those_who_wait_share),
        TEST(with_one_place_everybody_gets_a_turn),
        TEST(unused_credit_goes_to_others),
        TEST(a_lower_limit_holds_once_there_is_room_again),
        TEST(a_higher_limit_is_given_out_at_once),
        TEST(who_leaves_gives_back_what_it_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
