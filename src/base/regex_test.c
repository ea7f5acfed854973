/* Patterns match as Perl's do, and none can hold a thread up. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/regex.h"

static bool matches(const char *pattern, const char *subject)
{
    struct regex *r;
    char why[REGEX_WHY];
    assert_int_equal(regex_new(span_str(pattern), why, &r), 0);
    bool yes = regex_match(r, span_str(subject));
    regex_free(r);
    return yes;
}

static void a_pattern_is_not_anchored_unless_it_says_so(void **state)
{
    assert_true(matches("order", "my-orders"));
    assert_false(matches("^order", "my-orders"));
    assert_true(matches("^(?!amq\\.).*", "orders"));
    assert_false(matches("^(?!amq\\.).*", "amq.topic"));
    assert_true(matches("", ""));
}

static void a_pattern_that_is_none_is_refused_with_the_reason(void **state)
{
    struct regex *r;
    char why[REGEX_WHY] = "";
    assert_int_equal(regex_new(span_str("a(b"), why, &r), ERR_INVALID);
    assert_string_equal(why, "missing closing parenthesis, at character 3");
    static char big[REGEX_MAX_PATTERN + 1];
    memset(big, 'a', sizeof(big));
    assert_int_equal(regex_new(span_of(big, sizeof(big)), why, &r), ERR_INVALID);
}

/* Exponential without a limit: 2^40 steps. */
static void a_match_ends_after_a_bounded_number_of_steps(void **state)
{
    assert_false(matches("^(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_is_not_anchored_unless_it_says_so),
        cmocka_unit_test(a_pattern_that_is_none_is_refused_with_the_reason),
        cmocka_unit_test(a_match_ends_after_a_bounded_number_of_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
