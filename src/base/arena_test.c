/* Arenas: aligned, zeroed, and everything given back at once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"

#include <string.h>

static void memory_is_zeroed_aligned_and_apart(void **state)
{
    struct arena a;
    arena_init(&a);
    uint8_t *p[200];
    for (int i = 0; i < 200; i++) {
        p[i] = arena_alloc(&a, (size_t)i * 7);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        for (int k = 0; k < i * 7; k++)
            assert_int_equal(p[i][k], 0);
        memset(p[i], i, (size_t)i * 7);
    }
    for (int i = 0; i < 200; i++)
        for (int k = 0; k < i * 7; k++)
            assert_int_equal(p[i][k], (uint8_t)i);
    arena_fini(&a);
}

static void a_large_piece_gets_a_block_of_its_own(void **state)
{
    struct arena a;
    arena_init(&a);
    char *small = arena_strndup(&a, "small", 5);
    uint8_t *large = arena_alloc(&a, 1000000);
    large[999999] = 1;
    assert_true(a.total >= 1000000 && a.total < 1100000);
    assert_string_equal(small, "small");
    arena_fini(&a);
}

static void an_arena_can_be_used_again_after_fini(void **state)
{
    struct arena a;
    arena_init(&a);
    arena_fini(&a);
    for (int i = 0; i < 3; i++) {
        assert_non_null(arena_alloc(&a, 0));
        assert_non_null(arena_array(&a, 1000, 100));
        arena_fini(&a);
        assert_int_equal(a.total, 0);
    }
}

static void copies_and_texts_are_the_arenas_own(void **state)
{
    struct arena a;
    arena_init(&a);
    char text[] = "abc\0def";
    void *copy = arena_copy(&a, text, sizeof(text));
    char *s = arena_strndup(&a, text + 4, 2);
    memset(text, 'x', sizeof(text));
    assert_memory_equal(copy, "abc\0def", sizeof(text));
    assert_string_equal(s, "de");
    assert_string_equal(arena_printf(&a, "%d of %s", 7, "nine"), "7 of nine");
    assert_string_equal(arena_strndup(&a, NULL, 0), "");
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(a_large_piece_gets_a_block_of_its_own),
        cmocka_unit_test(an_arena_can_be_used_again_after_fini),
        cmocka_unit_test(copies_and_texts_are_the_arenas_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
