#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "app/http_client.h"
#include "app/say_sink.h"
#include "app/text.h"
#include "base/err.h"

static void tables_align_their_columns(void **state)
{
    struct table t = {.right = {false, true}};
    struct text out = {0};
    table_row(&t, (const char *const[]){"NAME", "N", "LAST"}, 3);
    table_row(&t, (const char *const[]){"a-longer-name", "7", "x"}, 3);
    table_row(&t, (const char *const[]){"b", "1234", ""}, 3);
    table_print(&t, &out);
    assert_string_equal(out.ptr,
                        "NAME              N  LAST\na-longer-name     7  x\nb              1234  \n");
    table_free(&t);
    text_free(&out);
}

static void a_cell_does_not_command_the_terminal(void **state)
{
    struct table t = {0};
    struct text out = {0};
    table_row(&t, (const char *const[]){"a\033[2Jb\n\tc\x7f", "\u00e9"}, 2);
    table_print(&t, &out);
    assert_string_equal(out.ptr, "a?[2Jb??c?  \u00e9\n");
    table_free(&t);
    text_free(&out);
}

static void sizes_are_rounded_for_people(void **state)
{
    struct text out = {0};
    text_put_bytes(&out, 1023);
    text_put(&out, " ");
    text_put_bytes(&out, 1536);
    text_put(&out, " ");
    text_put_bytes(&out, UINT64_MAX);
    assert_string_equal(out.ptr, "1023 B 1.5 KiB 16.0 EiB");
    text_free(&out);
}

static void a_log_line_has_time_level_and_component(void **state)
{
    char line[200];
    size_t n = say_format(1767225599007, SAY_WARN, "journal", "msg=\"slow\" ms=3", line, sizeof(line));
    assert_string_equal(line,
                        "time=2025-12-31T23:59:59.007Z level=warn component=journal msg=\"slow\" ms=3\n");
    assert_int_equal(n, strlen(line));
}

static void a_log_line_too_long_stays_one_line(void **state)
{
    char line[64];
    size_t n =
        say_format(0, SAY_INFO, "x", "msg=\"0123456789012345678901234567890123456789\"", line, sizeof(line));
    assert_int_equal(n, 63);
    assert_int_equal(line[62], '\n');
}

static void answers_are_split_and_checked(void **state)
{
    struct http_reply r;
    assert_int_equal(http_reply_parse(span_str("HTTP/1.1 404 Not Found\r\nX: y\r\n\r\nbody"), &r), 0);
    assert_int_equal(r.status, 404);
    assert_true(span_eq_str(r.body, "body"));
    assert_int_equal(http_reply_parse(span_str(""), &r), ERR_INVALID);
    assert_int_equal(http_reply_parse(span_str("HTTP/1.1 200 OK\r\n"), &r), ERR_INVALID);
    assert_int_equal(http_reply_parse(span_str("SSH-2.0-OpenSSH\r\n\r\n"), &r), ERR_INVALID);
}

static void what_clients_make_up_is_shown_readably(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"news.1 <b>\\", "news.1 <b>\\"},
        {"gr\u00fc\u00df \u20ac \U0001f600", "gr\u00fc\u00df \u20ac \U0001f600"},
        {"a\x1b[1m\x7f\n", "a\\x1b[1m\\x7f\\x0a"},
        {"a\xc2\x85", "a\\xc2\\x85"}, /* C1: NEL */
        {"\xff\xfe"
         "b",
         "\\xff\\xfe"
         "b"},                      /* never in UTF-8 */
        {"\xe2\x82", "\\xe2\\x82"}, /* cut */
        {"\xc0\xaf", "\\xc0\\xaf"}, /* overlong */
        {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* surrogate */
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* beyond */
        {"\x80z", "\\x80z"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text t = {0};
        text_put_shown(&t, span_str(cases[i].in));
        assert_string_equal(t.ptr, cases[i].out);
        text_free(&t);
    }
    struct text nul = {0};
    text_put_shown(&nul, span_of("a\0b", 3));
    assert_string_equal(nul.ptr, "a\\x00b");
    text_free(&nul);
}

static void a_cut_does_not_end_within_a_character(void **state)
{
    struct span euro = span_str("a\u20ac\u20ac");
    assert_int_equal(text_cut(euro, 100).len, 7);
    assert_int_equal(text_cut(euro, 7).len, 7);
    assert_int_equal(text_cut(euro, 6).len, 4);
    assert_int_equal(text_cut(euro, 5).len, 4);
    assert_int_equal(text_cut(euro, 4).len, 4);
    assert_int_equal(text_cut(euro, 2).len, 1);
    assert_int_equal(text_cut(span_str("\x80\x80\x80\x80\x80\x80\x80\x80"), 6).len, 3); /* no characters */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_align_their_columns),
        cmocka_unit_test(a_cell_does_not_command_the_terminal),
        cmocka_unit_test(sizes_are_rounded_for_people),
        cmocka_unit_test(what_clients_make_up_is_shown_readably),
        cmocka_unit_test(a_cut_does_not_end_within_a_character),
        cmocka_unit_test(a_log_line_has_time_level_and_component),
        cmocka_unit_test(a_log_line_too_long_stays_one_line),
        cmocka_unit_test(answers_are_split_and_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
