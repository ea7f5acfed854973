/* The heap of deadlines, against a plain array. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/heap.h"

#include <stdlib.h>

enum { NODES = 500 };

static struct heap heap;
static struct heap_node nodes[NODES];

static int setup(void **state)
{
    heap_init(&heap);
    for (int i = 0; i < NODES; i++)
        nodes[i] = (struct heap_node){0};
    return 0;
}

static int teardown(void **state)
{
    heap_fini(&heap);
    return 0;
}

static void an_empty_heap_has_no_first(void **state)
{
    assert_null(heap_first(&heap));
    heap_remove(&heap, &nodes[0]); /* harmless */
    heap_push(&heap, &nodes[0], 5);
    heap_remove(&heap, &nodes[0]);
    assert_null(heap_first(&heap));
}

static void equal_keys_come_in_order_of_insertion(void **state)
{
    for (int i = 0; i < NODES; i++)
        heap_push(&heap, &nodes[i], (uint64_t)(i % 3));
    for (int key = 0; key < 3; key++) {
        for (int i = key; i < NODES; i += 3) {
            assert_ptr_equal(heap_first(&heap), &nodes[i]);
            heap_remove(&heap, &nodes[i]);
        }
    }
    assert_int_equal(heap.count, 0);
}

/* The node that must be first: smallest key, then oldest. */
static struct heap_node *expected_first(void)
{
    struct heap_node *best = NULL;
    for (int i = 0; i < NODES; i++) {
        struct heap_node *n = &nodes[i];
        if (n->place && (!best || n->key < best->key || (n->key == best->key && n->tie < best->tie)))
            best = n;
    }
    return best;
}

static void random_pushes_and_removals_keep_the_smallest_first(void **state)
{
    srand(7);
    for (int i = 0; i < 20000; i++) {
        struct heap_node *n = &nodes[rand() % NODES];
        if (n->place)
            heap_remove(&heap, n);
        else
            heap_push(&heap, n, (uint64_t)(rand() % 100));
        assert_ptr_equal(heap_first(&heap), expected_first());
    }
}

static void a_sorted_sequence_comes_out(void **state)
{
    srand(8);
    for (int i = 0; i < NODES; i++)
        heap_push(&heap, &nodes[i], ((uint64_t)rand() << 32) + (uint64_t)rand());
    uint64_t last = 0;
    for (int i = 0; i < NODES; i++) {
        struct heap_node *n = heap_first(&heap);
        assert_true(n->key >= last);
        last = n->key;
        heap_remove(&heap, n);
    }
    assert_null(heap_first(&heap));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_empty_heap_has_no_first),
        T(equal_keys_come_in_order_of_insertion),
        T(random_pushes_and_removals_keep_the_smallest_first),
        T(a_sorted_sequence_comes_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
