#include "proto/redis/text.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

enum { FIRST = 1024, PIECE = 1024 };

static bool grow(struct redis_text *t, size_t len)
{
    size_t cap = t->cap ? t->cap : FIRST;
    if (t->failed || t->cap - t->len >= len)
        return !t->failed;
    while (cap - t->len < len)
        cap *= 2;
    char *ptr = mem_try(cap);
    if (!ptr) {
        t->failed = true;
        return false;
    }
    if (t->len)
        memcpy(ptr, t->ptr, t->len);
    mem_free(t->ptr);
    t->ptr = ptr;
    t->cap = cap;
    return true;
}

void redis_text_put(struct redis_text *t, struct span bytes)
{
    if (bytes.len == 0 || !grow(t, bytes.len))
        return;
    memcpy(t->ptr + t->len, bytes.ptr, bytes.len);
    t->len += bytes.len;
}

void redis_text_printf(struct redis_text *t, const char *format, ...)
{
    char piece[PIECE];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(piece, sizeof(piece), format, args);
    va_end(args);
    if (len > 0)
        redis_text_put(t, span_of(piece, (size_t)len < sizeof(piece) ? (size_t)len : sizeof(piece) - 1));
}

struct span redis_text_span(const struct redis_text *t)
{
    return span_of(t->ptr ? t->ptr : "", t->len);
}

void redis_text_free(struct redis_text *t)
{
    mem_free(t->ptr);
    *t = (struct redis_text){0};
}
