/* Borrowed bytes: a pointer and a length, passed by value. Nothing from a wire is a C string. */
#ifndef COLOBUS_BASE_SPAN_H
#define COLOBUS_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Whoever hands a span out says how long the bytes live; the holder never frees them.
 * A null span (ptr == NULL) is a null value, which is not the same as an empty one. */
struct span {
    const uint8_t *ptr;
    size_t len;
};

#define SPAN_NULL ((struct span){NULL, 0})

static inline struct span span_of(const void *ptr, size_t len)
{
    return (struct span){ptr, len};
}

/* The bytes of a C string, without its terminator. NULL gives the null span. */
static inline struct span span_str(const char *s)
{
    return s ? (struct span){(const uint8_t *)s, strlen(s)} : SPAN_NULL;
}

static inline bool span_is_null(struct span s)
{
    return s.ptr == NULL;
}

static inline bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool span_eq_str(struct span a, const char *s)
{
    return span_eq(a, span_str(s));
}

/* Total order: bytewise, a prefix sorts first. For sorted listings. */
static inline int span_cmp(struct span a, struct span b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

/* For printf: printf("%.*s", SPAN_ARG(s)). Only for bytes already known to be printable. */
#define SPAN_ARG(s) (int)(s).len, (const char *)((s).ptr ? (s).ptr : (const uint8_t *)"")

#endif
