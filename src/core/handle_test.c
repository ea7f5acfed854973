/* Handles: what died is not found again, even when its slot is used again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/handle.h"

static int things[200];

static void a_live_thing_is_found_by_its_handle(void **state)
{
    struct handle_table t;
    handle_table_init(&t, 3);
    struct handle a = handle_new(&t, &things[0]), b = handle_new(&t, &things[1]);
    assert_ptr_equal(handle_get(&t, a), &things[0]);
    assert_ptr_equal(handle_get(&t, b), &things[1]);
    assert_int_equal(a.shard, 3);
    assert_int_not_equal(a.generation, 0);
    handle_table_fini(&t);
}

static void a_dead_thing_is_not_found_when_its_slot_is_used_again(void **state)
{
    struct handle_table t;
    handle_table_init(&t, 0);
    struct handle old = handle_new(&t, &things[0]);
    handle_free(&t, old);
    assert_null(handle_get(&t, old));
    struct handle next = handle_new(&t, &things[1]);
    assert_int_equal(next.index, old.index);
    assert_null(handle_get(&t, old));
    assert_ptr_equal(handle_get(&t, next), &things[1]);
    handle_table_fini(&t);
}

static void the_zero_handle_is_nobody(void **state)
{
    struct handle_table t;
    handle_table_init(&t, 0);
    (void)handle_new(&t, &things[0]);
    assert_null(handle_get(&t, (struct handle){0}));
    assert_null(handle_get(&t, (struct handle){.index = 1000000, .generation = 1}));
    handle_table_fini(&t);
}

static void walking_visits_each_live_thing_once(void **state)
{
    struct handle_table t;
    struct handle h[200];
    unsigned seen = 0;
    handle_table_init(&t, 0);
    for (int i = 0; i < 200; i++)
        h[i] = handle_new(&t, &things[i]);
    for (int i = 0; i < 200; i += 2)
        handle_free(&t, h[i]);
    for (uint32_t at = 0; handle_next(&t, &at);)
        seen++;
    assert_int_equal(seen, 100);
    assert_int_equal(t.live, 100);
    handle_table_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_live_thing_is_found_by_its_handle),
        cmocka_unit_test(a_dead_thing_is_not_found_when_its_slot_is_used_again),
        cmocka_unit_test(the_zero_handle_is_nobody),
        cmocka_unit_test(walking_visits_each_live_thing_once),
    };
    return cmocka_run_group_tests_name("core_handle", tests, NULL, NULL);
}
