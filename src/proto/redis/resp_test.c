/* The parser: a corpus of commands, whole, cut at every byte, and byte by byte, always in other memory; and
 * what the writer writes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "proto/redis/resp.h"

/* ---- the parser ---------------------------------------------------------------------------------------- */

enum { SHOWN_BYTES = 4096 };

struct feed {
    struct resp_parser parser;
    struct resp_limits limits;
    struct span input; /* all there will be */
    size_t taken, need;
    char shown[SHOWN_BYTES];
    size_t len;
    bool over;
};

static const struct resp_limits limits = {
    .max_args = 100, .max_bulk = 1000, .max_bytes = 1500, .max_inline = 50, .known = true};

__attribute__((format(printf, 2, 3))) static void show(struct feed *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(f->shown + f->len, sizeof(f->shown) - f->len, format, args);
    va_end(args);
    f->len += (size_t)n;
    assert_true(f->len < sizeof(f->shown));
}

static void show_bytes(struct feed *f, struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        show(f, s.ptr[i] > ' ' && s.ptr[i] < 0x7f ? "%c" : "\\%02x", s.ptr[i]);
}

/* "[PING] [ECHO|a] !why" */
static void show_command(struct feed *f)
{
    show(f, "[");
    for (size_t i = 0; i < f->parser.count; i++) {
        show(f, i ? "|" : "");
        show_bytes(f, f->parser.args[i]);
    }
    show(f, "]");
}

/* The first `upto` bytes are there: in memory of their own, which ends where they end. */
static void feed_upto(struct feed *f, size_t upto)
{
    while (!f->over && upto > f->taken && upto - f->taken >= f->need) {
        size_t have = upto - f->taken, need = 0;
        const char *why = NULL;
        uint8_t *copy = malloc(have);
        memcpy(copy, f->input.ptr + f->taken, have);
        int64_t n = resp_parse(&f->parser, span_of(copy, have), &f->limits, &need, &why);
        if (n > 0)
            show_command(f);
        if (n < 0)
            show(f, "!%s", why);
        free(copy);
        f->over = n < 0;
        if (n == 0) {
            assert_true(need == 0 || need > have);
            f->need = need;
            return;
        }
        f->taken += n > 0 ? (size_t)n : 0;
        f->need = 0;
    }
}

static void feed_init(struct feed *f, struct span input, bool known)
{
    memset(f, 0, sizeof(*f));
    resp_parser_init(&f->parser);
    f->limits = limits;
    f->limits.known = known;
    f->input = input;
}

static void expect_parsed(struct span input, bool known, const char *expected)
{
    struct feed f;
    for (size_t cut = 0; cut <= input.len; cut++) {
        feed_init(&f, input, known);
        feed_upto(&f, cut);
        feed_upto(&f, input.len);
        assert_string_equal(f.shown, expected);
        resp_parser_fini(&f.parser);
    }
    for (size_t step = 1; step < 8; step++) {
        feed_init(&f, input, known);
        for (size_t at = 0; at < input.len; at += step)
            feed_upto(&f, at);
        feed_upto(&f, input.len);
        assert_string_equal(f.shown, expected);
        resp_parser_fini(&f.parser);
    }
}

struct row {
    const char *input, *expected;
};

#define TEN   "0123456789"
#define FIFTY TEN TEN TEN TEN TEN

static const struct row rows[] = {
    {"*1\r\n$4\r\nPING\r\n", "[PING]"},
    {"*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n", "[PUBLISH|a|][PING]"},
    {"*2\r\n$4\r\nECHO\r\n$12\r\n*1\r\n$4\r\nPING\r\nPING\r\n", "[ECHO|*1\\0d\\0a$4\\0d\\0aPING][PING]"},
    {"*0\r\n*-1\r\n*-7\r\n\r\n\nPING\n  PING  a \r\n", "[][][][][][PING][PING|a]"},
    {"*1\rx$4\rxPINGxx", "[PING]"}, /* only CR is looked for */
    /* heads */
    {"*abc\r\n", "!Protocol error: invalid multibulk length"},
    {"*01\r\n", "!Protocol error: invalid multibulk length"},
    {"*-0\r\n", "!Protocol error: invalid multibulk length"},
    {"*\r\n", "!Protocol error: invalid multibulk length"},
    {"*100\r\n", ""},
    {"*101\r\n", "!Protocol error: invalid multibulk length"},
    {"*9223372036854775808\r\n", "!Protocol error: invalid multibulk length"},
    {"*2\r\n$4\r\nECHO\r\n+1\r\n", "!Protocol error: expected '$', got '+'"},
    {"*1\r\n\r\n", "!Protocol error: expected '$', got '\r'"},
    {"*1\r\n$-1\r\n", "!Protocol error: invalid bulk length"},
    {"*1\r\n$a\r\n", "!Protocol error: invalid bulk length"},
    {"*1\r\n$04\r\nPING\r\n", "!Protocol error: invalid bulk length"},
    {"*1\r\n$1001\r\n", "!Protocol error: invalid bulk length"},
    {"*1\r\n$1000\r\n", ""},
    {"*1" FIFTY, "!Protocol error: too big mbulk count string"},
    {"*1\r\n$" FIFTY, "!Protocol error: too big bulk count string"},
    {"*1\r\n" FIFTY "1", "!Protocol error: too big bulk count string"},
    /* inline */
    {FIFTY "\n", "[" FIFTY "]"},
    {FIFTY "1\n", "!Protocol error: too big inline request"},
    {FIFTY "1", "!Protocol error: too big inline request"},
    {"set  key\t\"a b\"\r\n", "[set|key|a\\20b]"},
    {"echo \"\\x41\\x0a\\n\\r\\t\\b\\a\\\\\\\"\\q\\xzz\"\r\n", "[echo|A\\0a\\0a\\0d\\09\\08\\07\\\"qxzz]"},
    {"echo 'a\\'b\\n' \"\" ''\r\n", "[echo|a'b\\n||]"},
    {"echo foo\"bar\" x\r\n", "[echo|foobar|x]"},
    {"echo \"abc\r\n", "!Protocol error: unbalanced quotes in request"},
    {"echo 'abc\r\n", "!Protocol error: unbalanced quotes in request"},
    {"echo \"abc\"d\r\n", "!Protocol error: unbalanced quotes in request"},
    {"echo 'abc'd\r\n", "!Protocol error: unbalanced quotes in request"},
    {"echo \"abc\\\"\r\n", "!Protocol error: unbalanced quotes in request"},
    {"PING \"x\"\r\nPING y\r\n*1\r\n$1\r\nz\r\n", "[PING|x][PING|y][z]"},
};

static void commands_are_the_same_wherever_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_parsed(span_str(rows[i].input), true, rows[i].expected);
}

static void who_has_not_logged_in_may_send_less(void **state)
{
    (void)state;
    expect_parsed(span_str("*10\r\n"), false, "");
    expect_parsed(span_str("*11\r\n"), false, "!Protocol error: unauthenticated multibulk length");
    struct feed f;
    feed_init(&f, span_str("*1\r\n$16385\r\n"), false);
    f.limits.max_bulk = f.limits.max_bytes = 1 << 20;
    feed_upto(&f, f.input.len);
    assert_string_equal(f.shown, "!Protocol error: unauthenticated bulk length");
    resp_parser_fini(&f.parser);
}

static void a_command_as_a_whole_is_bounded(void **state)
{
    (void)state;
    char input[2100], body[801];
    memset(body, 'x', 800);
    body[800] = 0;
    snprintf(input, sizeof(input), "*2\r\n$800\r\n%s\r\n$800\r\n%s\r\n", body, body);
    expect_parsed(span_str(input), true, "!Protocol error: invalid bulk length");
}

static void a_large_argument_is_asked_for_as_a_whole(void **state)
{
    (void)state;
    struct feed f;
    feed_init(&f, span_str("*2\r\n$4\r\nECHO\r\n$900\r\n"), true);
    feed_upto(&f, f.input.len);
    assert_int_equal(f.need, f.input.len + 902);
    resp_parser_fini(&f.parser);
}

/* Each byte is looked at once, however many pieces there are: else this takes hours. */
static void many_arguments_in_single_bytes_take_linear_time(void **state)
{
    (void)state;
    enum { ARGS = 50000, EACH = 7 };
    static char input[16 + ARGS * EACH + 1];
    struct resp_parser p;
    struct resp_limits l = limits;
    l.max_args = ARGS;
    l.max_bytes = sizeof(input);
    size_t len = (size_t)sprintf(input, "*%d\r\n", ARGS), need;
    const char *why;
    for (size_t i = 0; i < ARGS; i++)
        len += (size_t)sprintf(input + len, "$1\r\n%c\r\n", (char)('a' + i % 26));
    resp_parser_init(&p);
    for (size_t have = 1; have < len; have++)
        assert_int_equal(resp_parse(&p, span_of(input, have), &l, &need, &why), 0);
    assert_int_equal(resp_parse(&p, span_of(input, len), &l, &need, &why), len);
    assert_int_equal(p.count, ARGS);
    for (size_t i = 0; i < ARGS; i++)
        assert_int_equal(p.args[i].ptr[0], 'a' + i % 26);
    resp_parser_fini(&p);
}

static void nothing_is_allocated_by_what_a_head_announces(void **state)
{
    (void)state;
    struct resp_parser p;
    struct resp_limits l = {.max_args = 1 << 20, .max_bulk = 1 << 29, .max_bytes = 1 << 30, .max_inline = 99};
    const char *why, *input = "*1000000\r\n$500000000\r\nx";
    size_t need;
    l.known = true;
    resp_parser_init(&p);
    assert_int_equal(resp_parse(&p, span_str(input), &l, &need, &why), 0);
    assert_int_equal(p.cap, 0);
    resp_parser_fini(&p);
}

static void integers_are_strict(void **state)
{
    (void)state;
    int64_t v = 0;
    assert_true(resp_parse_integer(span_str("0"), &v) && v == 0);
    assert_true(resp_parse_integer(span_str("-12"), &v) && v == -12);
    assert_true(resp_parse_integer(span_str("9223372036854775807"), &v) && v == INT64_MAX);
    assert_true(resp_parse_integer(span_str("-9223372036854775808"), &v) && v == INT64_MIN);
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      "01",
                                      "-0",
                                      " 1",
                                      "1 ",
                                      "1a",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(resp_parse_integer(span_str(bad[i]), &v));
}

/* ---- the writer ---------------------------------------------------------------------------------------- */

static struct chunk_pool pool;
static struct outq q;

static void expect_written(const char *expected)
{
    char text[8192];
    assert_true(q.len < sizeof(text));
    outq_copy_to(&q, (uint8_t *)text);
    text[q.len] = 0;
    assert_string_equal(text, expected);
    outq_consume(&q, q.len);
}

static void write_all(struct resp_writer *w)
{
    resp_null(w);
    resp_null_array(w);
    resp_map(w, 3);
    resp_set(w, 2);
    resp_push(w, 1);
    resp_bool(w, true);
    resp_bool(w, false);
    resp_double(w, 1.5);
    resp_double(w, -INFINITY);
    resp_verbatim(w, span_str("ab"));
}

static void both_versions_are_written(void **state)
{
    (void)state;
    struct resp_writer w = {.out = &q, .version = 2};
    write_all(&w);
    expect_written("$-1\r\n*-1\r\n*6\r\n*2\r\n*1\r\n:1\r\n:0\r\n$3\r\n1.5\r\n$4\r\n-inf\r\n$2\r\nab\r\n");
    w.version = 3;
    write_all(&w);
    expect_written("_\r\n_\r\n%3\r\n~2\r\n>1\r\n#t\r\n#f\r\n,1.5\r\n,-inf\r\n=6\r\ntxt:ab\r\n");
    resp_simple(&w, "OK");
    resp_integer(&w, INT64_MIN);
    resp_integer(&w, INT64_MAX);
    resp_integer(&w, 0);
    resp_bulk(&w, SPAN_NULL);
    resp_bulk_str(&w, "a\r\nb");
    resp_array(&w, 0);
    expect_written(
        "+OK\r\n:-9223372036854775808\r\n:9223372036854775807\r\n:0\r\n$0\r\n\r\n$4\r\na\r\nb\r\n*0\r\n");
}

static void an_error_is_one_line(void **state)
{
    (void)state;
    struct resp_writer w = {.out = &q, .version = 2};
    resp_error(&w, "ERR unknown command '%s'", "a\r\nb");
    expect_written("-ERR unknown command 'a  b'\r\n");
    resp_error(&w, "ERR end\r\n");
    expect_written("-ERR end\r\n");
    assert_int_equal(w.errors, 2);
    char *large = malloc(5000);
    memset(large, 'x', 4999);
    large[4999] = 0;
    resp_error(&w, "%s", large);
    assert_true(q.len < 2100);
    outq_consume(&q, q.len);
    free(large);
}

static void answers_to_nobody_are_not_written(void **state)
{
    (void)state;
    struct resp_writer w = {.version = 2};
    resp_simple(&w, "OK");
    resp_error(&w, "ERR x");
    resp_bulk_str(&w, "x");
    assert_false(w.failed);
    assert_int_equal(w.errors, 1);
}

static int setup(void **state)
{
    (void)state;
    chunk_pool_init(&pool, "out", 256, 4);
    outq_init(&q, &pool);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    outq_fini(&q);
    chunk_pool_fini(&pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_the_same_wherever_they_are_cut),
        cmocka_unit_test(who_has_not_logged_in_may_send_less),
        cmocka_unit_test(a_command_as_a_whole_is_bounded),
        cmocka_unit_test(a_large_argument_is_asked_for_as_a_whole),
        cmocka_unit_test(many_arguments_in_single_bytes_take_linear_time),
        cmocka_unit_test(nothing_is_allocated_by_what_a_head_announces),
        cmocka_unit_test(integers_are_strict),
        cmocka_unit_test_setup_teardown(both_versions_are_written, setup, teardown),
        cmocka_unit_test_setup_teardown(an_error_is_one_line, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_to_nobody_are_not_written, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
