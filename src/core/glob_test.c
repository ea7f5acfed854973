/* The iterative matcher against one that follows the definition by recursion. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/glob.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/message.h"

const struct message_format *message_formats[MESSAGE_FORMATS];

static uint64_t dice;

static unsigned draw(unsigned below)
{
    dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)(dice >> 34) % below;
}

static bool matches(const char *pattern, const char *text)
{
    return glob_match(span_str(pattern), span_str(text), false);
}

static bool matches_nocase(const char *pattern, const char *text)
{
    return glob_match(span_str(pattern), span_str(text), true);
}

/* ---- the definition ------------------------------------------------------------------------------------ */

/* Which bytes an element takes. */
struct element {
    bool star;
    bool bytes[256];
};

static void take(struct element *e, int byte, bool nocase)
{
    e->bytes[byte] = true;
    if (nocase && byte >= 'a' && byte <= 'z')
        e->bytes[byte - 32] = true;
    if (nocase && byte >= 'A' && byte <= 'Z')
        e->bytes[byte + 32] = true;
}

static int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static void take_range(struct element *e, signed char a, signed char b, bool nocase)
{
    int low = a < b ? a : b, high = a < b ? b : a;
    for (int c = -128; c < 128; c++)
        if (nocase ? lower(c) >= lower(low) && lower(c) <= lower(high) : c >= low && c <= high)
            e->bytes[(uint8_t)c] = true;
}

/* Behind the `[`; returns what is behind the class. */
static struct span read_class(struct span p, bool nocase, struct element *e)
{
    bool negated = p.len && p.ptr[0] == '^';
    if (negated)
        p = span_of(p.ptr + 1, p.len - 1);
    while (p.len && p.ptr[0] != ']') {
        size_t used = 1;
        if (p.ptr[0] == '\\' && p.len > 1) {
            e->bytes[p.ptr[1]] = true;
            used = 2;
        } else if (p.len > 2 && p.ptr[1] == '-') {
            take_range(e, (signed char)p.ptr[0], (signed char)p.ptr[2], nocase);
            used = 3;
        } else {
            take(e, p.ptr[0], nocase);
        }
        p = span_of(p.ptr + used, p.len - used);
    }
    for (int i = 0; negated && i < 256; i++)
        e->bytes[i] = !e->bytes[i];
    return p.len ? span_of(p.ptr + 1, p.len - 1) : p;
}

static struct span read_element(struct span p, bool nocase, struct element *e)
{
    struct span rest = span_of(p.ptr + 1, p.len - 1);
    memset(e, 0, sizeof(*e));
    if (p.ptr[0] == '*') {
        e->star = true;
    } else if (p.ptr[0] == '?') {
        memset(e->bytes, true, sizeof(e->bytes));
    } else if (p.ptr[0] == '[') {
        return read_class(rest, nocase, e);
    } else if (p.ptr[0] == '\\' && rest.len) {
        take(e, rest.ptr[0], nocase);
        return span_of(rest.ptr + 1, rest.len - 1);
    } else {
        take(e, p.ptr[0], nocase);
    }
    return rest;
}

static bool naive(struct span p, struct span t, bool nocase)
{
    struct element e;
    struct span rest;
    if (p.len == 0)
        return t.len == 0;
    rest = read_element(p, nocase, &e);
    for (size_t i = 0; e.star && i <= t.len; i++)
        if (naive(rest, span_of(t.ptr + i, t.len - i), nocase))
            return true;
    return !e.star && t.len && e.bytes[t.ptr[0]] && naive(rest, span_of(t.ptr + 1, t.len - 1), nocase);
}

/* stringmatchlen() doesn't look at a pattern when there is no text. */
static bool defined(struct span p, struct span t, bool nocase)
{
    return t.len ? naive(p, t, nocase) : p.len == 0;
}

/* ---- tests --------------------------------------------------------------------------------------------- */

static void random_patterns_match_as_defined(void **state)
{
    static const char pattern_bytes[] = "**??[[]]^^--\\\\aabbABz\x80\xff",
                      text_bytes[] = "aaabbAB]^-z\\[*\x80\xff";
    char pattern[12], text[10];
    unsigned matched = 0;
    dice = 5;
    for (int round = 0; round < 400000; round++) {
        struct span p = {(uint8_t *)pattern, draw(sizeof(pattern) + 1)},
                    t = {(uint8_t *)text, draw(sizeof(text))};
        bool nocase = draw(2);
        for (size_t i = 0; i < p.len; i++)
            pattern[i] = pattern_bytes[draw(sizeof(pattern_bytes))]; /* its end too: a byte like any other */
        for (size_t i = 0; i < t.len; i++)
            text[i] = text_bytes[draw(sizeof(text_bytes))];
        bool match = glob_match(p, t, nocase);
        if (match != defined(p, t, nocase))
            fail_msg("'%.*s' and '%.*s', nocase %d: %d", SPAN_ARG(p), SPAN_ARG(t), nocase, match);
        matched += match;
    }
    assert_in_range(matched, 4000, 396000); /* the dice throw both */
}

static void what_matches_begins_with_the_literal_prefix(void **state)
{
    assert_int_equal(glob_literal_prefix(span_str("")), 0);
    assert_int_equal(glob_literal_prefix(span_str("news.*")), 5);
    assert_int_equal(glob_literal_prefix(span_str("a?")), 1);
    assert_int_equal(glob_literal_prefix(span_str("ab[c]")), 2);
    assert_int_equal(glob_literal_prefix(span_str("ab\\*")), 2);
    assert_int_equal(glob_literal_prefix(span_str("a^]-")), 4);
}

static void stars_and_question_marks(void **state)
{
    assert_true(matches("*", "a.b"));
    assert_true(matches("a*", "a"));
    assert_true(matches("h*llo", "heeello"));
    assert_true(matches("h**llo**", "hllo"));
    assert_true(matches("*a", "aba"));
    assert_true(matches("h?llo", "hello"));
    assert_false(matches("h?llo", "hllo"));
    assert_false(matches("a*b", "abc"));
    assert_false(matches("a?", "a"));
    assert_false(matches("*a?", "a"));
}

static void an_empty_text_matches_the_empty_pattern_only(void **state)
{
    assert_true(matches("", ""));
    assert_false(matches("*", ""));
    assert_false(matches("", "a"));
}

static void classes(void **state)
{
    assert_true(matches("h[ae]llo", "hallo"));
    assert_false(matches("h[ae]llo", "hillo"));
    assert_true(matches("h[^e]llo", "hallo"));
    assert_false(matches("h[^e]llo", "hello"));
    assert_true(matches("[a-c]", "b"));
    assert_true(matches("[c-a]", "b"));
    assert_false(matches("[]a]", "]a]"));
    assert_true(matches("[^]", "x"));
    assert_true(matches("[\\]]", "]"));
    assert_true(matches("[a\\-z]", "-"));
    assert_false(matches("[a\\-z]", "b"));
}

static void a_class_without_an_end_goes_to_the_end_of_the_pattern(void **state)
{
    assert_true(matches("x[ab", "xb"));
    assert_false(matches("x[", "x["));
    assert_true(matches("x[^", "x["));
    assert_true(matches("[a-", "-"));
    assert_true(matches("[\\", "\\"));
    assert_true(matches("[a-]", "^")); /* a range from ] to a */
    assert_false(matches("[a-]", "-"));
}

static void a_backslash_takes_the_meaning_from_what_follows(void **state)
{
    assert_true(matches("a\\*b", "a*b"));
    assert_false(matches("a\\*b", "axb"));
    assert_true(matches("\\[x]", "[x]"));
    assert_true(matches("a\\", "a\\"));
    assert_true(matches("\\\\", "\\"));
}

static void bytes_of_ranges_are_signed(void **state)
{
    assert_true(matches("[\x80-\xff]", "\xc3"));
    assert_true(matches("[\x01-\xff]", "\x01")); /* from -1 to 1 */
    assert_false(matches("[\x01-\xff]", "a"));
}

static void the_case_of_letters_may_not_matter(void **state)
{
    assert_true(matches_nocase("MAX*", "maxmemory"));
    assert_true(matches_nocase("[A-C]x", "bX"));
    assert_true(matches_nocase("[a]", "A"));
    assert_false(matches_nocase("[\\a]", "A"));
    assert_false(matches_nocase("[Z-a]", "z")); /* in order first, lower case then */
    assert_false(matches("A", "a"));
}

/* A matcher that tries every star again takes longer than the universe. */
static void many_stars_cost_no_more_than_pattern_times_text(void **state)
{
    enum { STARS = 2000, TEXT = 20000 };
    char *pattern = malloc(2 * STARS + 2), *text = malloc(TEXT);
    for (int i = 0; i < STARS; i++) {
        pattern[2 * i] = '*';
        pattern[2 * i + 1] = 'a';
    }
    memcpy(pattern + 2 * STARS, "*b", 2);
    memset(text, 'a', TEXT);
    assert_false(glob_match(span_of(pattern, 2 * STARS + 2), span_of(text, TEXT), false));
    text[TEXT - 1] = 'b';
    assert_true(glob_match(span_of(pattern, 2 * STARS + 2), span_of(text, TEXT), false));
    memset(pattern + 1, 'a', 2 * STARS); /* `*aaa...b`: from each place as far as the pattern goes */
    memset(text, 'a', TEXT);
    pattern[2 * STARS + 1] = 'b';
    assert_false(glob_match(span_of(pattern, 2 * STARS + 2), span_of(text, TEXT), false));
    free(pattern);
    free(text);
}

/* What needs more steps for a byte of the text than that matches nothing, as Redis gives up on some, too. */
static void a_pattern_made_to_be_slow_is_given_up(void **state)
{
    enum { PATTERN = 4096, TEXT = 1 << 20 };
    char *pattern = malloc(PATTERN), *text = malloc(TEXT);
    memset(pattern, 'a', PATTERN);
    memset(text, 'a', TEXT);
    pattern[0] = '*';
    pattern[PATTERN - 1] = 'b';
    text[TEXT - 1] = 'b';
    assert_false(glob_match(span_of(pattern, PATTERN), span_of(text, TEXT), false)); /* 4 billion steps */
    pattern[100] = 'b';
    text[TEXT - 1000] = 'b';
    assert_false(glob_match(span_of(pattern, 101), span_of(text, TEXT), false));
    assert_true(glob_match(span_str("*a*a*b*ab"), span_of(text, TEXT), false));
    assert_true(glob_match(span_of(pattern, 101), span_of(text + TEXT - 1200, 201), false));
    free(pattern);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_patterns_match_as_defined),
        cmocka_unit_test(what_matches_begins_with_the_literal_prefix),
        cmocka_unit_test(stars_and_question_marks),
        cmocka_unit_test(an_empty_text_matches_the_empty_pattern_only),
        cmocka_unit_test(classes),
        cmocka_unit_test(a_class_without_an_end_goes_to_the_end_of_the_pattern),
        cmocka_unit_test(a_backslash_takes_the_meaning_from_what_follows),
        cmocka_unit_test(bytes_of_ranges_are_signed),
        cmocka_unit_test(the_case_of_letters_may_not_matter),
        cmocka_unit_test(many_stars_cost_no_more_than_pattern_times_text),
        cmocka_unit_test(a_pattern_made_to_be_slow_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
