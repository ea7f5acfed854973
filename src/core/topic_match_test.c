/* The automaton over a trie, against a matcher that follows the definition. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/topic_match.h"

#include <stdio.h>
#include <stdlib.h>

enum { PATTERNS = 400, ROUNDS = 60, KEYS = 60 };

const struct message_format *message_formats[MESSAGE_FORMATS];

struct pattern {
    struct binding binding;
    char text[64];
    bool in; /* the tree */
    int found;
};

static struct pattern patterns[PATTERNS];
static struct topic_tree *tree;

static uint64_t dice;

static int draw(void)
{
    dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (int)(dice >> 34);
}

static int setup(void **state)
{
    tree = topic_tree_new();
    memset(patterns, 0, sizeof(patterns));
    return 0;
}

static int teardown(void **state)
{
    topic_tree_free(tree);
    return 0;
}

static void add(int i, const char *text)
{
    snprintf(patterns[i].text, sizeof(patterns[i].text), "%s", text);
    patterns[i].binding.key = span_str(patterns[i].text);
    patterns[i].in = true;
    topic_tree_add(tree, &patterns[i].binding);
}

static void del(int i)
{
    patterns[i].in = false;
    topic_tree_del(tree, &patterns[i].binding);
}

static void count(void *arg, struct binding *const *bindings, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        container_of(bindings[i], struct pattern, binding)->found++;
}

static void match(const char *key)
{
    for (int i = 0; i < PATTERNS; i++)
        patterns[i].found = 0;
    topic_tree_match(tree, span_str(key), count, NULL);
}

static bool matches(const char *pattern, const char *key)
{
    add(0, pattern);
    match(key);
    del(0);
    assert_in_range(patterns[0].found, 0, 1);
    return patterns[0].found;
}

/* ---- the definition ------------------------------------------------------------------------------------ */

/* Takes the first word off. False: there is none. */
static bool next_word(const char **s, struct span *ret)
{
    if (!*s)
        return false;
    const char *dot = strchr(*s, '.');
    *ret = span_of(*s, dot ? (size_t)(dot - *s) : strlen(*s));
    *s = dot ? dot + 1 : NULL;
    return true;
}

static bool naive(const char *pattern, const char *key)
{
    struct span p, k;
    if (!next_word(&pattern, &p))
        return !key;
    if (span_eq_str(p, "#")) {
        for (;;) {
            if (naive(pattern, key))
                return true;
            if (!next_word(&key, &k))
                return false;
        }
    }
    return next_word(&key, &k) && (span_eq_str(p, "*") || span_eq(p, k)) && naive(pattern, key);
}

static bool defined(const char *pattern, const char *key)
{
    return naive(*pattern ? pattern : NULL, *key ? key : NULL);
}

/* Up to `most` words of this alphabet. */
static void random_words(char *text, const char *alphabet[], int letters, int most)
{
    int n = draw() % (most + 1);
    text[0] = '\0';
    for (int i = 0; i < n; i++) {
        strcat(text, i ? "." : "");
        strcat(text, alphabet[draw() % letters]);
    }
}

static void compare(const char *key)
{
    match(key);
    for (int i = 0; i < PATTERNS; i++)
        if (patterns[i].found != (patterns[i].in && defined(patterns[i].text, key)))
            fail_msg("'%s' and '%s': found %d times", patterns[i].text, key, patterns[i].found);
}

/* ---- tests --------------------------------------------------------------------------------------------- */

static void random_patterns_match_as_defined(void **state)
{
    static const char *pattern_words[] = {"#", "*", "a", "b", "", "#", "*", "abc"};
    static const char *key_words[] = {"a", "b", "", "abc", "x"};
    char text[64];
    dice = 11;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < PATTERNS; i++)
            if (patterns[i].in && draw() % 2) {
                del(i);
            } else if (!patterns[i].in) {
                random_words(text, pattern_words, 8, 7);
                add(i, text);
            }
        for (int i = 0; i < KEYS; i++) {
            random_words(text, key_words, 5, 9);
            compare(text);
        }
    }
    for (int i = 0; i < PATTERNS; i++)
        if (patterns[i].in)
            del(i);
    assert_int_equal(topic_tree_nodes(tree), 1);
}

static void the_definition_itself_is_right(void **state)
{
    assert_true(defined("a.*.c", "a.b.c"));
    assert_false(defined("a.*.c", "a.c"));
    assert_true(defined("a.#.c", "a.c"));
    assert_true(defined("#", ""));
    assert_false(defined("*", ""));
    assert_true(defined("*", "a"));
    assert_false(defined("", "a"));
}

static void a_star_is_one_word_even_an_empty_one(void **state)
{
    assert_true(matches("*.a", ".a"));
    assert_true(matches("a.*", "a."));
    assert_false(matches("a.*", "a"));
    assert_false(matches("*", ""));
    assert_true(matches("*.*", "."));
}

static void a_hash_is_any_number_of_words(void **state)
{
    assert_true(matches("#", ""));
    assert_true(matches("#", "a.b.c"));
    assert_true(matches("a.#", "a"));
    assert_true(matches("#.c", "c"));
    assert_true(matches("#.#.#", ""));
    assert_true(matches("#.*.#", "a"));
    assert_false(matches("#.*.#", ""));
}

static void wildcards_inside_of_words_are_letters(void **state)
{
    assert_false(matches("a*", "ab"));
    assert_true(matches("a*.b#", "a*.b#"));
    assert_true(matches("*", "#"));
    assert_false(matches("a", "*"));
}

static void patterns_that_mean_the_same_share_a_node(void **state)
{
    add(0, "#.*");
    size_t nodes = topic_tree_nodes(tree);
    add(1, "*.#");
    add(2, "#.#.*.#");
    assert_int_equal(topic_tree_nodes(tree), nodes);
    match("a.b");
    assert_true(patterns[0].found && patterns[1].found && patterns[2].found);
    del(1);
    del(0);
    match("a");
    assert_int_equal(patterns[2].found, 1);
    del(2);
    assert_int_equal(topic_tree_nodes(tree), 1);
}

static void one_key_may_have_many_bindings(void **state)
{
    for (int i = 0; i < PATTERNS; i++)
        add(i, i % 2 ? "a.#" : "a.b");
    compare("a.b");
    for (int i = 0; i < PATTERNS; i += 3)
        del(i);
    compare("a.b");
    compare("a.c");
}

/* Without a set of what was visited this takes longer than the universe. */
static void many_hashes_cost_no_more_than_states(void **state)
{
    char key[256];
    for (int i = 0; i < 127; i++)
        strcpy(key + 2 * i, "a.");
    strcpy(key + 254, "a");
    add(0, "#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.b");
    add(1, "#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a");
    match(key);
    assert_int_equal(patterns[0].found, 0);
    assert_int_equal(patterns[1].found, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_definition_itself_is_right),        T(random_patterns_match_as_defined),
        T(a_star_is_one_word_even_an_empty_one),  T(a_hash_is_any_number_of_words),
        T(wildcards_inside_of_words_are_letters), T(patterns_that_mean_the_same_share_a_node),
        T(one_key_may_have_many_bindings),        T(many_hashes_cost_no_more_than_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
