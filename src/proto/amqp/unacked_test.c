/* What a channel's client has to acknowledge: tags, holes, multiple, rolling back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "proto/amqp/unacked.h"

enum { MANY = 4000 };

static struct unacked u;
static int consumer_a, consumer_b;
static struct unacked_entry taken[MANY];
static uint32_t taken_count;

static uint32_t draw(void) /* repeatable */
{
    static uint32_t state = 12345;
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

static int setup(void **state)
{
    (void)state;
    unacked_init(&u);
    taken_count = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unacked_fini(&u);
    return 0;
}

static void note(void *arg, const struct unacked_entry *e)
{
    (void)arg;
    taken[taken_count++] = *e;
}

static int take(uint64_t tag, bool multiple)
{
    taken_count = 0;
    return unacked_take(&u, tag, multiple, note, NULL);
}

static void add(uint64_t first, uint64_t last)
{
    for (uint64_t t = first; t <= last; t++)
        unacked_add(&u, t, t % 2 ? &consumer_a : &consumer_b, t + 100, 7);
}

static void one_is_taken_by_its_tag_once(void **state)
{
    (void)state;
    add(1, 5);
    assert_int_equal(take(3, false), 0);
    assert_int_equal(taken_count, 1);
    assert_int_equal(taken[0].lease, 103);
    assert_ptr_equal(taken[0].who, &consumer_a);
    assert_int_equal(take(3, false), ERR_NOT_FOUND);
    assert_int_equal(u.live, 4);
}

static void multiple_takes_all_up_to_it(void **state)
{
    (void)state;
    add(1, 6);
    assert_int_equal(take(2, false), 0);
    assert_int_equal(take(4, true), 0);
    assert_int_equal(taken_count, 3);
    assert_int_equal(taken[0].tag, 1);
    assert_int_equal(taken[1].tag, 3);
    assert_int_equal(taken[2].tag, 4);
    assert_int_equal(take(4, true), ERR_NOT_FOUND); /* as RabbitMQ: it must be outstanding itself */
    assert_int_equal(u.live, 2);
}

static void zero_with_multiple_is_all_even_if_there_is_none(void **state)
{
    (void)state;
    assert_int_equal(take(0, true), 0);
    assert_int_equal(taken_count, 0);
    add(1, 3);
    assert_int_equal(take(0, true), 0);
    assert_int_equal(taken_count, 3);
    assert_int_equal(take(0, false), ERR_NOT_FOUND);
}

static void unknown_tags_change_nothing(void **state)
{
    (void)state;
    add(10, 12);
    assert_int_equal(take(9, true), ERR_NOT_FOUND);
    assert_int_equal(take(13, true), ERR_NOT_FOUND);
    assert_int_equal(take(UINT64_MAX, false), ERR_NOT_FOUND);
    assert_int_equal(u.live, 3);
}

static void tags_may_have_gaps(void **state)
{
    (void)state;
    for (uint64_t t = 5; t < 500; t += 7)
        unacked_add(&u, t, &consumer_a, t, 7);
    assert_int_equal(take(6, false), ERR_NOT_FOUND);
    assert_int_equal(take(5 + 7 * 40, false), 0);
    assert_int_equal(taken[0].lease, 5 + 7 * 40);
    assert_int_equal(take(5 + 7 * 39, true), 0);
    assert_int_equal(taken_count, 40);
}

static void an_old_one_does_not_hold_the_memory_of_later_ones(void **state)
{
    (void)state;
    unacked_add(&u, 1, &consumer_a, 1, 7);
    for (uint64_t t = 2; t < 200000; t++) {
        unacked_add(&u, t, &consumer_b, t, 7);
        assert_int_equal(take(t, false), 0);
    }
    assert_int_equal(u.live, 1);
    assert_true(u.cap <= 64);
    assert_int_equal(take(1, false), 0);
}

static void what_was_taken_can_be_put_back_in_its_place(void **state)
{
    (void)state;
    static struct unacked_entry back[MANY];
    add(1, 10);
    uint64_t tags[] = {2, 3, 9, 10};
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(take(tags[i], false), 0);
        back[i] = taken[0];
    }
    add(11, 12);
    unacked_put_back(&u, back, 4);
    assert_int_equal(take(12, true), 0);
    assert_int_equal(taken_count, 12);
    for (uint32_t i = 0; i < 12; i++) {
        assert_int_equal(taken[i].tag, i + 1);
        assert_int_equal(taken[i].lease, i + 101);
    }
}

/* Against a plain array. */
static void any_order_agrees_with_a_plain_table(void **state)
{
    (void)state;
    static bool there[MANY];
    memset(there, 0, sizeof(there));
    uint64_t next = 1;
    while (next < MANY) {
        if (draw() % 2) {
            there[next] = draw() % 8 != 0; /* some need no acknowledgement */
            if (there[next])
                unacked_add(&u, next, &consumer_a, next, 7);
            next++;
            continue;
        }
        uint64_t tag = draw() % next;
        bool multiple = draw() % 64 == 0;
        bool known = tag && there[tag];
        if (tag == 0)
            continue;
        assert_int_equal(take(tag, multiple), known ? 0 : ERR_NOT_FOUND);
        uint32_t n = 0;
        for (uint64_t t = multiple ? 1 : tag; known && t <= tag; t++)
            if (there[t]) {
                assert_int_equal(taken[n++].tag, t);
                there[t] = false;
            }
        assert_int_equal(taken_count, n);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_is_taken_by_its_tag_once),
        TEST(multiple_takes_all_up_to_it),
        TEST(zero_with_multiple_is_all_even_if_there_is_none),
        TEST(unknown_tags_change_nothing),
        TEST(tags_may_have_gaps),
        TEST(an_old_one_does_not_hold_the_memory_of_later_ones),
        TEST(what_was_taken_can_be_put_back_in_its_place),
        TEST(any_order_agrees_with_a_plain_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
