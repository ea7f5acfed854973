/* The hash map, against a plain array as the model. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"

enum { KEYS = 3000, OPS = 100000 };

struct item {
    char name[24];
    bool in; /* what the model says */
};

static struct item items[KEYS];
static struct map map;

static int setup(void **state)
{
    map_init(&map);
    for (int i = 0; i < KEYS; i++) {
        snprintf(items[i].name, sizeof(items[i].name), "%s-%d", i % 2 ? "topic" : "t", i);
        items[i].in = false;
    }
    return 0;
}

static int teardown(void **state)
{
    map_fini(&map);
    return 0;
}

static void check_count_and_iteration(void)
{
    size_t cursor = 0, seen = 0, expected = 0;
    struct item *it;
    while ((it = map_next(&map, &cursor))) {
        assert_true(it->in);
        seen++;
    }
    for (int i = 0; i < KEYS; i++)
        expected += items[i].in;
    assert_int_equal(seen, expected);
    assert_int_equal(map.count, expected);
}

static void random_operations_agree_with_the_model(void **state)
{
    srand(3);
    for (int op = 0; op < OPS; op++) {
        int phase = op / (OPS / 4); /* grow, churn, shrink, grow again */
        struct item *it = &items[rand() % KEYS];
        struct span key = span_str(it->name);
        assert_ptr_equal(map_get(&map, key), it->in ? it : NULL);
        bool wish = rand() % 10 < (phase == 2 ? 1 : phase == 1 ? 5 : 8);
        if (wish && !it->in)
            map_put(&map, key, it);
        else if (!wish)
            assert_ptr_equal(map_del(&map, key), it->in ? it : NULL);
        it->in = wish;
        if (op % 1000 == 0)
            check_count_and_iteration();
    }
    check_count_and_iteration();
}

static void random_operations_with_numbers_agree_too(void **state)
{
    srand(4);
    for (int op = 0; op < OPS; op++) {
        uint64_t n = (uint64_t)(rand() % KEYS);
        uint64_t key = n << 32; /* numbers that a poor hash would put on one slot */
        struct item *it = &items[n];
        assert_ptr_equal(map_get_u64(&map, key), it->in ? it : NULL);
        if (it->in)
            assert_ptr_equal(map_del_u64(&map, key), it);
        else
            map_put_u64(&map, key, it);
        it->in = !it->in;
    }
    check_count_and_iteration();
}

static void every_deletion_leaves_the_others_findable(void **state)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        hash_seed(seed); /* another layout each time */
        for (int i = 0; i < 12; i++)
            map_put(&map, span_str(items[i].name), &items[i]);
        for (int i = 0; i < 12; i++) {
            assert_ptr_equal(map_del(&map, span_str(items[i].name)), &items[i]);
            for (int k = i + 1; k < 12; k++)
                assert_ptr_equal(map_get(&map, span_str(items[k].name)), &items[k]);
        }
    }
}

static void an_empty_map_answers_null(void **state)
{
    size_t cursor = 0;
    assert_null(map_get(&map, span_str("x")));
    assert_null(map_del(&map, span_str("x")));
    assert_null(map_get_u64(&map, 0));
    assert_null(map_next(&map, &cursor));
}

static void empty_bytes_and_number_zero_are_different_keys(void **state)
{
    map_put(&map, span_str(""), &items[0]);
    map_put_u64(&map, 0, &items[1]);
    assert_ptr_equal(map_get(&map, span_str("")), &items[0]);
    assert_ptr_equal(map_get_u64(&map, 0), &items[1]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(random_operations_agree_with_the_model),         T(random_operations_with_numbers_agree_too),
        T(every_deletion_leaves_the_others_findable),      T(an_empty_map_answers_null),
        T(empty_bytes_and_number_zero_are_different_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
