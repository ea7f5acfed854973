/* The headers exchange, as a table: arguments, headers, whether RabbitMQ 3.13 lets them match. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/exchange_impl.h"

#include <stdlib.h>

#include "base/err.h"

const struct message_format *message_formats[MESSAGE_FORMATS];

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

/* "a=1 b=?" : integers where there are digits, void for ?, nothing for -, else strings. */
static struct span table(const char *text)
{
    struct fields_writer w;
    fields_writer_init(&w, &arena);
    while (*text) {
        size_t name = strcspn(text, "="), value = strcspn(text + name + 1, " ");
        struct span n = span_of(text, name), v = span_of(text + name + 1, value);
        if (v.ptr[0] == '?')
            fields_put(&w, n, &(struct field){.tag = 'V'});
        else if (v.ptr[0] >= '0' && v.ptr[0] <= '9')
            fields_put_int(&w, n, value > 1 ? 'l' : 'b', atoi((const char *)v.ptr));
        else
            fields_put_str(&w, n, v);
        text += name + 1 + value;
        text += strspn(text, " ");
    }
    return fields_done(&w);
}

static const struct row {
    const char *args, *headers;
    bool matches;
} rows[] = {
    {"x-match=all a=1 b=2", "a=1 b=2 c=3", true},
    {"x-match=all a=1 b=2", "a=1", false},
    {"x-match=all a=1 b=2", "a=1 b=3", false},
    {"a=1 b=2", "b=2 a=1", true}, /* all, if it does not say */
    {"a=1 b=2", "b=2", false},
    {"x-match=any a=1 b=2", "b=2", true},
    {"x-match=any a=1 b=2", "a=2 b=1", false},
    {"x-match=any a=1 b=2", "", false},
    {"x-match=all", "", true}, /* all of nothing */
    {"", "a=1", true},
    {"x-match=any", "a=1", false}, /* any of nothing */
    {"x-match=all a=?", "a=text", true},
    {"x-match=all a=?", "b=1", false},
    {"x-match=any a=? b=1", "a=0", true},
    {"x-match=all x-a=1 b=2", "b=2", true}, /* x- does not count */
    {"x-match=any x-a=1 b=2", "x-a=1", false},
    {"x-match=any x-a=1", "x-a=1", false},
    {"x-match=all-with-x x-a=1 b=2", "b=2", false},
    {"x-match=all-with-x x-a=1 b=2", "b=2 x-a=1", true},
    {"x-match=any-with-x x-a=1 b=2", "x-a=1", true},
    {"x-match=any-with-x x-a=?", "x-match=any-with-x", false},
    {"x-match=all-with-x", "", true},
    {"x-match=any-with-x", "x-match=any-with-x", false},
    {"a=1", "a=01", true}, /* of another width */
    {"a=1", "a=one", false},
    {"a=1", "a=?", false},
    {"a=2", "a=1 a=2", true}, /* the last one counts */
    {"a=1", "a=1 a=2", false},
    {"a=v", "a=v", true},
    {"a=v", "a=V", false},
    {"a=v", "A=v", false},
};

static void headers_match_as_in_rabbitmq(void **state)
{
    struct header_list l = {0};
    const char *why;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct span args = fields_sort(table(rows[i].args), &arena);
        assert_int_equal(headers_check_args(args, &arena, &why), 0);
        headers_collect(&l, table(rows[i].headers));
        if (headers_match(args, &l) != rows[i].matches)
            fail_msg("{%s} and {%s}", rows[i].args, rows[i].headers);
    }
    header_list_fini(&l);
}

static void a_bad_x_match_is_refused_in_rabbitmqs_words(void **state)
{
    const char *why;
    assert_int_equal(headers_check_args(table("x-match=bogus"), &arena, &why), ERR_ARGUMENT);
    assert_string_equal(why, "Invalid x-match field value <<\"bogus\">>; "
                             "expected all, any, all-with-x, or any-with-x");
    assert_int_equal(headers_check_args(table("x-match=1"), &arena, &why), ERR_ARGUMENT);
    assert_string_equal(why, "Invalid x-match field type byte (value 1); expected longstr");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(headers_match_as_in_rabbitmq),
        T(a_bad_x_match_is_refused_in_rabbitmqs_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
