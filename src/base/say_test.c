/* Log lines: levels, cutting, and bytes of peers made harmless. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/say.h"

#include <stdio.h>

#include "base/err.h"

static char last[2048];
static int lines;

static void keep(enum say_level level, const char *component, const char *line)
{
    snprintf(last, sizeof(last), "%s %s %s", say_level_name(level), component, line);
    lines++;
}

static int setup(void **state)
{
    lines = 0;
    say_init(keep, SAY_INFO);
    return 0;
}

static int teardown(void **state)
{
    say_init(NULL, SAY_INFO);
    return 0;
}

static void a_line_has_level_component_message_and_pairs(void **state)
{
    say_warn("journal", "recovered", "files=%d bytes=%zu", 3, (size_t)4096);
    assert_string_equal(last, "warn journal msg=\"recovered\" files=3 bytes=4096");
}

static void lines_above_the_level_are_not_said(void **state)
{
    say_debug("x", "quiet", "n=%d", 1);
    assert_int_equal(lines, 0);
    assert_false(say_enabled(SAY_DEBUG));
    say_init(keep, SAY_DEBUG);
    say_debug("x", "loud", "n=%d", 1);
    assert_int_equal(lines, 1);
}

static void a_long_line_is_cut(void **state)
{
    char text[3000];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    say_info("x", "long", "text=%s", text);
    assert_int_equal(lines, 1);
    assert_in_range(strlen(last), 900, 1100);
}

static void levels_are_parsed_by_name(void **state)
{
    enum say_level level;
    assert_int_equal(say_level_parse("debug", &level), 0);
    assert_int_equal(level, SAY_DEBUG);
    assert_int_equal(say_level_parse("loud", &level), ERR_INVALID);
}

static void quoting_escapes_all_that_is_not_plain(void **state)
{
    char buf[SAY_QUOTE_BYTES];
    assert_string_equal(say_quote(span_str("orders"), buf), "\"orders\"");
    assert_string_equal(say_quote(span_of("a\n\0\"\\\x7f\xff", 7), buf),
                        "\"a\\x0a\\x00\\x22\\x5c\\x7f\\xff\"");
    assert_string_equal(say_quote(SPAN_NULL, buf), "\"\"");
}

static void quoting_cuts_at_64_bytes_and_fits_the_buffer(void **state)
{
    uint8_t bytes[1000];
    char buf[SAY_QUOTE_BYTES];
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(strlen(say_quote(span_of(bytes, sizeof(bytes)), buf)), SAY_QUOTE_BYTES - 1);
    assert_string_equal(buf + SAY_QUOTE_BYTES - 9, "\\xff...\"");
    assert_int_equal(strlen(say_quote(span_of(bytes, 64), buf)), 64 * 4 + 2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_line_has_level_component_message_and_pairs),
        T(lines_above_the_level_are_not_said),
        T(a_long_line_is_cut),
        T(levels_are_parsed_by_name),
        T(quoting_escapes_all_that_is_not_plain),
        T(quoting_cuts_at_64_bytes_and_fits_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
