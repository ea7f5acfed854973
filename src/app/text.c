#include "app/text.h"

#include <assert.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

void text_free(struct text *t)
{
    mem_free(t->ptr);
    *t = (struct text){0};
}

static void reserve(struct text *t, size_t more)
{
    if (t->len + more + 1 <= t->cap)
        return;
    t->cap = (t->len + more + 1) * 2;
    t->ptr = mem_realloc(t->ptr, t->cap);
}

void text_put_span(struct text *t, struct span s)
{
    reserve(t, s.len);
    if (s.len)
        memcpy(t->ptr + t->len, s.ptr, s.len);
    t->len += s.len;
    t->ptr[t->len] = 0;
}

void text_put(struct text *t, const char *s)
{
    text_put_span(t, span_str(s));
}

void text_printf(struct text *t, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    assert(n >= 0);
    reserve(t, (size_t)n);
    vsnprintf(t->ptr + t->len, (size_t)n + 1, fmt, again);
    t->len += (size_t)n;
    va_end(again);
    va_end(ap);
}

void text_put_html(struct text *t, struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        switch (s.ptr[i]) {
        case '&':
            text_put(t, "&amp;");
            break;
        case '<':
            text_put(t, "&lt;");
            break;
        case '>':
            text_put(t, "&gt;");
            break;
        case '"':
            text_put(t, "&quot;");
            break;
        case '\'':
            text_put(t, "&#39;");
            break;
        default:
            text_put_span(t, span_of(s.ptr + i, 1));
        }
    }
}

/* Bytes of the character in front; 0: it is none (Unicode, table 3-7). */
static size_t utf8_len(struct span s)
{
    const uint8_t *p = s.ptr;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (n < 2 || n > s.len)
        return n < 2 ? n : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] >= 0xa0, beyond = p[0] == 0xf4 && p[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : n;
}

void text_put_shown(struct text *t, struct span s)
{
    for (size_t i = 0, n; i < s.len; i += n) {
        n = utf8_len(span_of(s.ptr + i, s.len - i));
        bool control = (n == 1 && (s.ptr[i] < ' ' || s.ptr[i] == 0x7f)) ||
                       (n == 2 && s.ptr[i] == 0xc2 && s.ptr[i + 1] < 0xa0); /* C1 */
        n = n ? n : 1;
        if (!control && utf8_len(span_of(s.ptr + i, s.len - i)))
            text_put_span(t, span_of(s.ptr + i, n));
        else
            for (size_t k = 0; k < n; k++)
                text_printf(t, "\\x%02x", s.ptr[i + k]);
    }
}

struct span text_cut(struct span s, size_t max)
{
    size_t n = max;
    if (s.len <= max)
        return s;
    while (n > 0 && max - n < 3 && (s.ptr[n] & 0xc0) == 0x80)
        n--;
    return span_of(s.ptr, n);
}

void text_put_bytes(struct text *t, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)bytes;
    size_t u = 0;
    for (; v >= 1024 && u + 1 < sizeof(units) / sizeof(units[0]); u++)
        v /= 1024;
    text_printf(t, u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

static int put_json(const char *buffer, size_t size, void *arg)
{
    text_put_span(arg, span_of(buffer, size));
    return 0;
}

void text_put_json(struct text *t, const struct json_t *o, size_t flags)
{
    json_dump_callback(o, put_json, t, flags);
    text_put(t, "\n");
}

struct span text_span(const struct text *t)
{
    return span_of(t->ptr ? t->ptr : "", t->len);
}

/* A terminal must not be told what to do by a name that a client made up. */
static char *printable(const char *s)
{
    char *copy = mem_strndup(s, strlen(s));
    for (char *p = copy; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    return copy;
}

void table_row(struct table *t, const char *const *cells, size_t count)
{
    if (!t->columns)
        t->columns = count;
    assert(count == t->columns && count <= TABLE_COLUMNS);
    if (t->rows == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 16;
        t->cells = mem_realloc(t->cells, t->cap * t->columns * sizeof(*t->cells));
    }
    for (size_t c = 0; c < count; c++)
        t->cells[t->rows * t->columns + c] = printable(cells[c]);
    t->rows++;
}

void table_print(const struct table *t, struct text *out)
{
    int width[TABLE_COLUMNS] = {0};
    for (size_t i = 0; i < t->rows * t->columns; i++) {
        int n = (int)strlen(t->cells[i]);
        if (n > width[i % t->columns])
            width[i % t->columns] = n;
    }
    for (size_t r = 0; r < t->rows; r++) {
        for (size_t c = 0; c < t->columns; c++) {
            const char *cell = t->cells[r * t->columns + c];
            bool last = c + 1 == t->columns;
            text_printf(out, "%*s%s",
                        t->right[c] ? width[c]
                        : last      ? 0
                                    : -width[c],
                        cell, last ? "\n" : "  ");
        }
    }
}

void table_free(struct table *t)
{
    for (size_t i = 0; i < t->rows * t->columns; i++)
        mem_free(t->cells[i]);
    mem_free(t->cells);
    *t = (struct table){0};
}
