#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { ARENA_FIRST_BYTES = 1024, ARENA_MAX_BYTES = 64 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t cap;
    _Alignas(16) uint8_t data[];
};

void arena_init(struct arena *a)
{
    *a = (struct arena){0};
}

void arena_fini(struct arena *a)
{
    for (struct arena_block *b = a->head; b;) {
        struct arena_block *next = b->next;
        mem_free(b);
        b = next;
    }
    arena_init(a);
}

static void arena_grow(struct arena *a, size_t need)
{
    size_t cap = a->head ? a->head->cap * 2 : ARENA_FIRST_BYTES;
    if (cap > ARENA_MAX_BYTES)
        cap = ARENA_MAX_BYTES;
    if (cap < need)
        cap = need;
    struct arena_block *b = mem_alloc(sizeof(*b) + cap);
    b->next = a->head;
    b->cap = cap;
    a->head = b;
    a->used = 0;
    a->cap = cap;
    a->total += cap;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (a->cap - a->used < size)
        arena_grow(a, size);
    void *p = a->head ? a->head->data + a->used : NULL;
    a->used += size;
    if (!p) { /* size 0 on a fresh arena */
        arena_grow(a, 16);
        p = a->head->data;
    }
    memset(p, 0, size);
    return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    assert(size == 0 || count <= SIZE_MAX / 2 / size);
    return arena_alloc(a, count * size);
}

void *arena_copy(struct arena *a, const void *ptr, size_t len)
{
    void *p = arena_alloc(a, len);
    if (len)
        memcpy(p, ptr, len);
    return p;
}

char *arena_strndup(struct arena *a, const void *ptr, size_t len)
{
    char *s = arena_alloc(a, len + 1);
    if (len)
        memcpy(s, ptr, len);
    return s;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    assert(n >= 0);
    char *s = arena_alloc(a, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}
