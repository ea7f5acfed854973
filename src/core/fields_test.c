/* Tables of fields: what is refused, how values compare, how they are told to clients. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/fields.h"

#include "base/err.h"

static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena);
    return 0;
}

static int teardown(void **state)
{
    arena_fini(&arena);
    return 0;
}

#define BYTES(...) span_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static struct field of_int(char tag, int64_t v)
{
    return (struct field){.tag = tag, .integer = v};
}

static struct field of_text(char tag, const char *s)
{
    return (struct field){.tag = tag, .bytes = span_str(s)};
}

static bool same(struct field a, struct field b)
{
    assert_int_equal(field_eq(&a, &b), field_eq(&b, &a));
    return field_eq(&a, &b);
}

/* A table of one nested table in another, `depth` in all. */
static struct span nested(int depth)
{
    struct span table = SPAN_NULL;
    for (int i = 1; i < depth; i++) {
        struct fields_writer w;
        fields_writer_init(&w, &arena);
        fields_put_table(&w, span_str("t"), table);
        table = fields_done(&w);
    }
    return table;
}

static void what_is_written_is_read(void **state)
{
    static const char tags[] = "tbBsuIilLT";
    struct fields_writer w;
    struct field f;
    fields_writer_init(&w, &arena);
    for (size_t i = 0; tags[i]; i++)
        fields_put_int(&w, span_of(&tags[i], 1), tags[i], 1);
    fields_put_str(&w, span_str("S"), span_str("text"));
    fields_put(&w, span_str("f"), &(struct field){.tag = 'f', .number = 0.5});
    fields_put(&w, span_str("d"), &(struct field){.tag = 'd', .number = -1.25});
    fields_put(&w, span_str("D"), &(struct field){.tag = 'D', .bytes = BYTES(2, 0, 0, 1, 44)});
    fields_put(&w, span_str("V"), &(struct field){.tag = 'V'});
    struct span table = fields_done(&w);
    assert_int_equal(fields_check(table), 0);
    assert_int_equal(fields_count(table), 15);
    for (size_t i = 0; tags[i]; i++)
        assert_true(fields_get(table, span_of(&tags[i], 1), &f) && f.tag == tags[i] && f.integer == 1);
    assert_true(fields_get_str(table, "D", &f) && f.number == 3.0);
    assert_true(fields_get_str(table, "d", &f) && f.number == -1.25);
    assert_true(fields_get_str(table, "S", &f) && span_eq_str(f.bytes, "text"));
    assert_false(fields_get_str(table, "none", &f));
}

static void signs_are_kept_and_both_longs_are_signed(void **state)
{
    struct field f;
    struct span table = BYTES(1, 'a', 'b', 0xff, 1, 'b', 'B', 0xff, 1, 'c', 'L', 0xff, 0xff, 0xff, 0xff, 0xff,
                              0xff, 0xff, 0xfe);
    assert_int_equal(fields_check(table), 0);
    assert_true(fields_get_str(table, "a", &f) && f.integer == -1);
    assert_true(fields_get_str(table, "b", &f) && f.integer == 255);
    assert_true(fields_get_str(table, "c", &f) && f.integer == -2);
}

static void malformed_tables_are_refused(void **state)
{
    assert_int_equal(fields_check(BYTES(1)), ERR_INVALID);
    assert_int_equal(fields_check(BYTES(1, 'a')), ERR_INVALID);
    assert_int_equal(fields_check(BYTES(1, 'a', '?')), ERR_INVALID);
    assert_int_equal(fields_check(BYTES(1, 'a', 'I', 0, 0, 0)), ERR_INVALID);
    assert_int_equal(fields_check(BYTES(1, 'a', 'S', 0xff, 0xff, 0xff, 0xff, 1)), ERR_INVALID);
    assert_int_equal(fields_check(BYTES(1, 'a', 'A', 0, 0, 0, 1, 'I')), ERR_INVALID);
    assert_int_equal(fields_check(BYTES(1, 'a', 'F', 0, 0, 0, 2, 1, 'b')), ERR_INVALID);
    assert_int_equal(fields_check(BYTES(200, 'a', 'V')), ERR_INVALID);
}

static void empty_tables_and_double_names_are_fine(void **state)
{
    struct field f;
    struct span twice = BYTES(1, 'a', 'b', 1, 1, 'a', 'b', 2);
    assert_int_equal(fields_check(SPAN_NULL), 0);
    assert_int_equal(fields_check(span_str("")), 0);
    assert_int_equal(fields_check(twice), 0);
    assert_true(fields_get_str(twice, "a", &f) && f.integer == 1);
}

static void depth_is_bounded(void **state)
{
    assert_int_equal(fields_check(nested(FIELDS_MAX_DEPTH)), 0);
    assert_int_equal(fields_check(nested(FIELDS_MAX_DEPTH + 1)), ERR_INVALID);
}

static void integers_are_one_class_and_floats_another(void **state)
{
    struct field ten = {.tag = 'd', .number = 10}, ten_float = {.tag = 'f', .number = 10};
    assert_true(same(of_int('b', 10), of_int('l', 10)));
    assert_true(same(of_int('T', 10), of_int('I', 10)));
    assert_false(same(of_int('T', -1), of_int('l', -1))); /* 2^64 - 1 */
    assert_true(same(ten, ten_float));
    assert_false(same(of_int('l', 10), ten));
    assert_false(same(of_int('t', 1), of_int('b', 1)));
    assert_true(same(of_text('S', "a"), of_text('x', "a")));
    assert_false(same(of_text('S', "1"), of_int('b', 1)));
}

static void inside_of_tables_types_count(void **state)
{
    struct field a = {.tag = 'F', .bytes = BYTES(1, 'k', 's', 0, 1)};
    struct field b = {.tag = 'F', .bytes = BYTES(1, 'k', 'b', 1)};
    struct field empty = {.tag = 'F'}, none = {.tag = 'A'};
    assert_true(same(a, a));
    assert_false(same(a, b));
    assert_true(same(empty, none));
    assert_false(same(a, none));
}

static void differences_are_told_in_rabbitmqs_words(void **state)
{
    struct fields_writer one, other;
    fields_writer_init(&one, &arena);
    fields_writer_init(&other, &arena);
    fields_put_int(&one, span_str("p"), 'l', 10);
    fields_put_str(&one, span_str("s"), span_str("x"));
    fields_put_int(&one, span_str("same"), 's', 7);
    fields_put_int(&other, span_str("s"), 'I', 5);
    fields_put_int(&other, span_str("same"), 'l', 7);
    struct span a = fields_done(&one), b = fields_done(&other);
    assert_string_equal(fields_difference(a, b, span_str("p"), &arena),
                        "received none but current is the value '10' of type 'long'");
    assert_string_equal(fields_difference(b, a, span_str("p"), &arena),
                        "received the value '10' of type 'long' but current is none");
    assert_string_equal(fields_difference(a, b, span_str("s"), &arena), "received '5' but current is 'x'");
    assert_null(fields_difference(a, b, span_str("same"), &arena));
    assert_null(fields_difference(a, b, span_str("nobody's"), &arena));
}

static void values_are_printed_as_erlang_does(void **state)
{
    struct field table = {.tag = 'F', .bytes = BYTES(1, 'k', 's', 0, 1, 1, 'l', 'S', 0, 0, 0, 1, 'v')};
    struct field decimal = {.tag = 'D', .bytes = BYTES(2, 0, 0, 1, 44)}, ten = {.tag = 'd', .number = 10},
                 large = {.tag = 'd', .number = 1e30}, yes = of_int('t', 1), none = {.tag = 'V'};
    assert_string_equal(field_text(&table, &arena), "[{<<\"k\">>,short,1},{<<\"l\">>,longstr,<<\"v\">>}]");
    assert_string_equal(field_text(&decimal, &arena), "{2,300}");
    assert_string_equal(field_text(&ten, &arena), "10.0");
    assert_string_equal(field_text(&large, &arena), "1.0e30");
    assert_string_equal(field_describe(&yes, &arena), "the value 'true' of type 'bool'");
    assert_string_equal(field_describe(&none, &arena), "the value 'undefined' of type 'void'");
}

static void long_values_are_cut(void **state)
{
    char s[5000];
    memset(s, 'x', sizeof(s));
    s[sizeof(s) - 1] = '\0';
    struct field f = of_text('S', s);
    assert_in_range(strlen(field_describe(&f, &arena)), 255, 400);
}

static void sorting_keeps_the_order_of_double_names(void **state)
{
    struct span table = BYTES(1, 'b', 'b', 1, 1, 'a', 'b', 2, 1, 'b', 'b', 0, 0, 'V');
    struct span sorted = BYTES(0, 'V', 1, 'a', 'b', 2, 1, 'b', 'b', 1, 1, 'b', 'b', 0);
    assert_true(span_eq(fields_sort(table, &arena), sorted));
    assert_ptr_equal(fields_sort(sorted, &arena).ptr, sorted.ptr);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_written_is_read),
        T(signs_are_kept_and_both_longs_are_signed),
        T(malformed_tables_are_refused),
        T(empty_tables_and_double_names_are_fine),
        T(depth_is_bounded),
        T(integers_are_one_class_and_floats_another),
        T(inside_of_tables_types_count),
        T(differences_are_told_in_rabbitmqs_words),
        T(values_are_printed_as_erlang_does),
        T(long_values_are_cut),
        T(sorting_keeps_the_order_of_double_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
