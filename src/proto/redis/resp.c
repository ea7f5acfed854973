#include "proto/redis/resp.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"

enum {
    ARGS_FIRST = 8,
    ARGS_KEPT = 256, /* a parser that has grown beyond it gives its memory back */
    NUMBER_BYTES = 24,
    ERROR_BYTES = 2048, /* of an answer; what is longer is cut */
};

/* ---- the parser ---------------------------------------------------------------------------------------- */

void resp_parser_init(struct resp_parser *p)
{
    *p = (struct resp_parser){0};
}

void resp_parser_fini(struct resp_parser *p)
{
    mem_free(p->args);
    mem_free(p->words);
    resp_parser_init(p);
}

/* Before a command's first byte. */
static void begin(struct resp_parser *p)
{
    if (p->cap > ARGS_KEPT) {
        mem_free(p->args);
        p->args = NULL;
        p->cap = 0;
    }
    if (p->words) {
        mem_free(p->words);
        p->words = NULL;
    }
    p->count = 0;
    p->at = p->seen = 0;
    p->args_left = p->bulk_left = -1;
    p->begun = true;
}

/* By what has arrived, never by what was announced. */
static void push(struct resp_parser *p, size_t at, size_t len)
{
    if (p->count == p->cap) {
        p->cap = p->cap ? p->cap * 2 : ARGS_FIRST;
        p->args = mem_realloc(p->args, p->cap * sizeof(*p->args));
    }
    p->args[p->count++] = (struct span){(const uint8_t *)(uintptr_t)at, len};
}

/* The command is whole: `bytes` long, its arguments lie behind base. */
static int64_t whole(struct resp_parser *p, const uint8_t *base, size_t bytes)
{
    for (size_t i = 0; i < p->count; i++)
        p->args[i].ptr = base + (uintptr_t)p->args[i].ptr;
    p->begun = false;
    return (int64_t)bytes;
}

static int64_t fail(const char **ret_why, const char *why)
{
    *ret_why = why;
    return ERR_INVALID;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* string2ll() of Redis: no plus, no leading zeros, nothing around it. */
bool resp_parse_integer(struct span text, int64_t *ret)
{
    const uint8_t *p = text.ptr;
    size_t len = text.len;
    bool negative = len > 0 && p[0] == '-';
    uint64_t v = 0;
    size_t i = negative;
    if (i == len || !is_digit(p[i]) || (p[i] == '0' && len > 1))
        return false;
    for (; i < len; i++)
        if (!is_digit(p[i]) || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, p[i] - '0', &v))
            return false;
    if (v > (uint64_t)INT64_MAX + negative)
        return false;
    *ret = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* The line that begins at p->at ends before the byte that is returned: `end`, or what follows it must come,
 * too (Redis looks for CR and takes the next byte for LF). -1: it is not all there. */
static int64_t find_line(struct resp_parser *p, struct span in, uint8_t end, size_t follows)
{
    size_t from = p->seen > p->at ? p->seen : p->at;
    const uint8_t *e = from < in.len ? memchr(in.ptr + from, end, in.len - from) : NULL;
    p->seen = e ? (size_t)(e - in.ptr) : in.len;
    return e && p->seen + follows < in.len ? (int64_t)p->seen : -1;
}

/* A head of one or two digits that is all there: the usual case. Its length; 0: it is not so. */
static inline size_t short_head(const uint8_t *s, size_t left, int64_t *ret)
{
    if (left < 5 || !is_digit(s[1]))
        return 0;
    *ret = s[1] - '0';
    if (s[2] == '\r')
        return 4;
    if (s[3] != '\r' || !is_digit(s[2]) || s[1] == '0')
        return 0;
    *ret = *ret * 10 + (s[2] - '0');
    return 5;
}

/* A head's number between its first byte and CR. 1: it is there, 0: more must come, or ERR_INVALID. */
static int take_number(struct resp_parser *p, struct span in, const struct resp_limits *l, int64_t *ret,
                       bool *ret_bad)
{
    size_t from = p->at;
    int64_t end = find_line(p, in, '\r', 1);
    if ((end < 0 ? p->seen : (size_t)end) - from > l->max_inline)
        return ERR_INVALID;
    if (end < 0)
        return 0;
    size_t line = (size_t)end - from;
    *ret_bad = line == 0 || !resp_parse_integer(span_of(in.ptr + from + 1, line - 1), ret);
    p->at = (size_t)end + 2;
    return 1;
}

/* "*3\r\n": networking.c, processMultibulkBuffer(). */
static int take_array_head(struct resp_parser *p, struct span in, const struct resp_limits *l,
                           const char **ret_why)
{
    enum { UNKNOWN_ARGS = 10 };
    int64_t n = 0;
    bool bad = false;
    size_t head = short_head(in.ptr, in.len, &n);
    p->at += head;
    int found = head ? 1 : take_number(p, in, l, &n, &bad);
    if (found < 0)
        return (int)fail(ret_why, "Protocol error: too big mbulk count string");
    if (found == 0)
        return 0;
    if (bad || n > (int64_t)l->max_args)
        return (int)fail(ret_why, "Protocol error: invalid multibulk length");
    if (!l->known && n > UNKNOWN_ARGS)
        return (int)fail(ret_why, "Protocol error: unauthenticated multibulk length");
    p->args_left = n < 0 ? 0 : n;
    return 1;
}

static int not_a_bulk(struct resp_parser *p, uint8_t c, const char **ret_why)
{
    snprintf(p->why, sizeof(p->why), "Protocol error: expected '$', got '%c'", c);
    return (int)fail(ret_why, p->why);
}

/* "$5\r\n" */
static int take_bulk_head(struct resp_parser *p, struct span in, const struct resp_limits *l,
                          const char **ret_why)
{
    enum { UNKNOWN_BYTES = 16384 };
    int64_t n = 0;
    bool bad = false;
    if (p->at == in.len)
        return 0;
    uint8_t first = in.ptr[p->at];
    int found = take_number(p, in, l, &n, &bad);
    if (found < 0)
        return (int)fail(ret_why, "Protocol error: too big bulk count string");
    if (found == 0)
        return 0;
    if (first != '$')
        return not_a_bulk(p, first, ret_why);
    if (bad || n < 0 || n > (int64_t)l->max_bulk || p->at + (size_t)n > l->max_bytes)
        return (int)fail(ret_why, "Protocol error: invalid bulk length");
    if (!l->known && n > UNKNOWN_BYTES)
        return (int)fail(ret_why, "Protocol error: unauthenticated bulk length");
    p->bulk_left = n;
    return 1;
}

/* The usual case: "$16\r\n", all there and within all limits. */
static inline void take_short_bulk_head(struct resp_parser *p, struct span in, const struct resp_limits *l)
{
    int64_t n = 0;
    const uint8_t *s = in.ptr + p->at;
    size_t head = p->at < in.len && *s == '$' ? short_head(s, in.len - p->at, &n) : 0;
    if (head == 0 || n > (int64_t)l->max_bulk || p->at + head + (size_t)n > l->max_bytes)
        return;
    p->at += head;
    p->bulk_left = n;
}

static int64_t parse_array(struct resp_parser *p, struct span in, const struct resp_limits *l,
                           size_t *ret_need, const char **ret_why)
{
    int err = p->args_left < 0 ? take_array_head(p, in, l, ret_why) : 1;
    while (err > 0 && p->args_left > 0) {
        if (p->bulk_left < 0)
            take_short_bulk_head(p, in, l);
        if (p->bulk_left < 0 && (err = take_bulk_head(p, in, l, ret_why)) <= 0)
            break;
        size_t len = (size_t)p->bulk_left, end = p->at + len + 2; /* what ends it is not looked at */
        if (in.len < end) {
            *ret_need = end;
            return 0;
        }
        push(p, p->at, len);
        p->at = end;
        p->bulk_left = -1;
        p->args_left--;
    }
    return err > 0 ? whole(p, in.ptr, p->at) : err;
}

/* ---- inline commands: sds.c, sdssplitargs() ------------------------------------------------------------ */

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_of(uint8_t c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character behind a backslash between double quotes; returns how many bytes it took. */
static size_t unescape(const uint8_t *s, size_t left, uint8_t *ret)
{
    static const char from[] = "nrtba", to[] = "\n\r\t\b\a";
    if (left >= 3 && s[0] == 'x' && hex_of(s[1]) >= 0 && hex_of(s[2]) >= 0) {
        *ret = (uint8_t)(hex_of(s[1]) << 4 | hex_of(s[2]));
        return 3;
    }
    const char *f = s[0] ? strchr(from, s[0]) : NULL;
    *ret = f ? (uint8_t)to[f - from] : s[0];
    return 1;
}

/* From behind the opening quote to behind the closing one. 0: it is not closed, or does not end a word. */
static size_t quoted(struct resp_parser *p, const uint8_t *s, size_t left, uint8_t quote)
{
    size_t i = 0;
    while (i < left && s[i] != quote) {
        uint8_t c = s[i++];
        if (c == '\\' && quote == '"' && i < left)
            i += unescape(s + i, left - i, &c);
        else if (c == '\\' && quote == '\'' && i < left && s[i] == '\'')
            c = s[i++];
        p->words[p->words_len++] = c;
    }
    if (i == left || (i + 1 < left && !is_space(s[i + 1])))
        return 0;
    return i + 1;
}

static bool ends_word(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0;
}

/* With quotes: words are copied, and args are places in p->words. */
static bool split_quoted(struct resp_parser *p, const uint8_t *line, size_t len)
{
    size_t i = 0;
    p->words = mem_alloc(len + 1);
    p->words_len = 0;
    for (;;) {
        while (i < len && is_space(line[i]))
            i++;
        if (i == len || line[i] == 0)
            return true;
        size_t word = p->words_len;
        while (i < len && !ends_word(line[i])) {
            uint8_t c = line[i++];
            if (c != '"' && c != '\'') {
                p->words[p->words_len++] = c;
                continue;
            }
            size_t n = quoted(p, line + i, len - i, c);
            if (n == 0)
                return false;
            i += n;
            break; /* a quote ends its word */
        }
        push(p, word, p->words_len - word);
    }
}

static void split_plain(struct resp_parser *p, const uint8_t *line, size_t len)
{
    for (size_t i = 0; i < len && line[i];) {
        size_t word = i;
        while (i < len && !ends_word(line[i]))
            i++;
        if (i > word)
            push(p, word, i - word);
        while (i < len && is_space(line[i]))
            i++;
    }
}

static int64_t parse_inline(struct resp_parser *p, struct span in, const struct resp_limits *l,
                            const char **ret_why)
{
    int64_t end = find_line(p, in, '\n', 0);
    if (p->seen > l->max_inline)
        return fail(ret_why, "Protocol error: too big inline request");
    if (end < 0)
        return 0;
    size_t len = (size_t)end, skip = 0;
    if (len > 0 && in.ptr[len - 1] == '\r')
        len--;
    while (skip < len && is_space(in.ptr[skip]))
        skip++;
    const uint8_t *line = in.ptr + skip;
    len -= skip;
    if (len == 0)
        return whole(p, line, (size_t)end + 1);
    if (!memchr(line, '"', len) && !memchr(line, '\'', len)) {
        split_plain(p, line, len);
        return whole(p, line, (size_t)end + 1);
    }
    if (!split_quoted(p, line, len))
        return fail(ret_why, "Protocol error: unbalanced quotes in request");
    return whole(p, p->words, (size_t)end + 1);
}

int64_t resp_parse(struct resp_parser *p, struct span input, const struct resp_limits *l, size_t *ret_need,
                   const char **ret_why)
{
    *ret_need = 0;
    if (input.len == 0)
        return 0;
    if (!p->begun)
        begin(p);
    if (input.ptr[0] == '*')
        return parse_array(p, input, l, ret_need, ret_why);
    return parse_inline(p, input, l, ret_why);
}

/* ---- the writer ---------------------------------------------------------------------------------------- */

static void put(struct resp_writer *w, const void *bytes, size_t len)
{
    if (w->out && len > 0 && outq_copy(w->out, span_of(bytes, len)) != 0)
        w->failed = true;
}

/* "TYPE NUMBER CR LF" into buf, from its end; returns where it begins. */
static char *format_head(char type, int64_t v, char buf[NUMBER_BYTES])
{
    uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    char *at = buf + NUMBER_BYTES;
    *--at = '\n';
    *--at = '\r';
    do {
        *--at = (char)('0' + left % 10);
    } while (left /= 10);
    if (v < 0)
        *--at = '-';
    *--at = type;
    return at;
}

static void put_head(struct resp_writer *w, char type, int64_t v)
{
    char buf[NUMBER_BYTES], *at = format_head(type, v, buf);
    put(w, at, (size_t)(buf + NUMBER_BYTES - at));
}

static void put_line(struct resp_writer *w, const char *text, size_t len)
{
    put(w, text, len);
    put(w, "\r\n", 2);
}

void resp_simple(struct resp_writer *w, const char *text)
{
    put(w, "+", 1);
    put_line(w, text, strlen(text));
}

void resp_error(struct resp_writer *w, const char *format, ...)
{
    char text[ERROR_BYTES];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    while (len > 0 && (text[len - 1] == '\r' || text[len - 1] == '\n'))
        len--;
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\r' || text[i] == '\n')
            text[i] = ' ';
    w->errors++;
    put(w, "-", 1);
    put_line(w, text, len);
}

void resp_integer(struct resp_writer *w, int64_t v)
{
    put_head(w, ':', v);
}

void resp_bulk(struct resp_writer *w, struct span bytes)
{
    put_head(w, '$', (int64_t)bytes.len);
    put(w, bytes.ptr, bytes.len);
    put(w, "\r\n", 2);
}

void resp_bulk_str(struct resp_writer *w, const char *text)
{
    resp_bulk(w, span_str(text));
}

void resp_null(struct resp_writer *w)
{
    if (w->version == 3)
        put(w, "_\r\n", 3);
    else
        put(w, "$-1\r\n", 5);
}

void resp_null_array(struct resp_writer *w)
{
    if (w->version == 3)
        put(w, "_\r\n", 3);
    else
        put(w, "*-1\r\n", 5);
}

void resp_array(struct resp_writer *w, size_t count)
{
    put_head(w, '*', (int64_t)count);
}

void resp_map(struct resp_writer *w, size_t pairs)
{
    if (w->version == 3)
        put_head(w, '%', (int64_t)pairs);
    else
        resp_array(w, pairs * 2);
}

void resp_set(struct resp_writer *w, size_t count)
{
    put_head(w, w->version == 3 ? '~' : '*', (int64_t)count);
}

void resp_push(struct resp_writer *w, size_t count)
{
    put_head(w, w->version == 3 ? '>' : '*', (int64_t)count);
}

void resp_bool(struct resp_writer *w, bool v)
{
    if (w->version == 3)
        put(w, v ? "#t\r\n" : "#f\r\n", 4);
    else
        resp_integer(w, v);
}

/* networking.c, addReplyDouble(): 17 digits, and "inf", "-inf", "nan". */
void resp_double(struct resp_writer *w, double v)
{
    char text[64];
    int n = isinf(v) ? snprintf(text, sizeof(text), v > 0 ? "inf" : "-inf")
                     : snprintf(text, sizeof(text), "%.17g", v);
    if (w->version != 3) {
        resp_bulk(w, span_of(text, (size_t)n));
        return;
    }
    put(w, ",", 1);
    put_line(w, text, (size_t)n);
}

void resp_verbatim(struct resp_writer *w, struct span text)
{
    if (w->version != 3) {
        resp_bulk(w, text);
        return;
    }
    put_head(w, '=', (int64_t)text.len + 4);
    put(w, "txt:", 4);
    put_line(w, (const char *)text.ptr, text.len);
}
