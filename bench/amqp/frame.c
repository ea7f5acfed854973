#include "amqp/frame.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

void die(const char *what, const char *why)
{
    fprintf(stderr, "amqp_load: %s: %s\n", what, why);
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint8_t *out_room(struct out *o, size_t n)
{
    if (o->start == o->end)
        o->start = o->end = 0;
    if (o->cap - o->end < n && o->start > 0) {
        memmove(o->ptr, o->ptr + o->start, o->end - o->start);
        o->end -= o->start;
        o->start = 0;
    }
    if (o->cap - o->end < n) {
        o->cap = (o->end + n) * 2;
        o->ptr = realloc(o->ptr, o->cap);
        if (o->ptr == NULL)
            die("output", "no memory");
    }
    return o->ptr + o->end;
}

void out_free(struct out *o)
{
    free(o->ptr);
    *o = (struct out){0};
}

void put8(struct out *o, uint8_t v)
{
    *out_room(o, 1) = v;
    o->end += 1;
}

void put16(struct out *o, uint16_t v)
{
    set16(out_room(o, 2), v);
    o->end += 2;
}

void put32(struct out *o, uint32_t v)
{
    put16(o, (uint16_t)(v >> 16));
    put16(o, (uint16_t)v);
}

void put64(struct out *o, uint64_t v)
{
    set64(out_room(o, 8), v);
    o->end += 8;
}

void put_bytes(struct out *o, const void *bytes, size_t n)
{
    memcpy(out_room(o, n), bytes, n);
    o->end += n;
}

void put_short(struct out *o, const char *text)
{
    size_t n = strlen(text);
    if (n > 255)
        die(text, "longer than a short string");
    put8(o, (uint8_t)n);
    put_bytes(o, text, n);
}

void put_long(struct out *o, const void *bytes, size_t n)
{
    put32(o, (uint32_t)n);
    put_bytes(o, bytes, n);
}

static void put_value(struct out *o, const char *text)
{
    bool number = *text != '\0';
    for (const char *p = text; *p != '\0'; p++)
        number = number && isdigit((unsigned char)*p);
    if (number) {
        put8(o, 'I');
        put32(o, (uint32_t)strtoul(text, NULL, 10));
    } else if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        put8(o, 't');
        put8(o, *text == 't');
    } else {
        put8(o, 'S');
        put_long(o, text, strlen(text));
    }
}

void put_table(struct out *o, const char *arguments)
{
    size_t at = o->end - o->start;
    put32(o, 0);
    char *copy = strdup(arguments != NULL ? arguments : ""), *rest = copy;
    for (char *pair; (pair = strsep(&rest, ",")) != NULL;) {
        char *value = strchr(pair, '=');
        if (value == NULL)
            continue;
        *value++ = '\0';
        put_short(o, pair);
        put_value(o, value);
    }
    free(copy);
    uint32_t size = __builtin_bswap32((uint32_t)(o->end - o->start - at - 4));
    memcpy(o->ptr + o->start + at, &size, sizeof(size));
}

size_t frame_begin(struct out *o, uint8_t type, uint16_t channel)
{
    size_t at = o->end - o->start;
    put8(o, type);
    put16(o, channel);
    put32(o, 0);
    return at;
}

size_t method_begin(struct out *o, uint16_t channel, enum amqp_method method)
{
    size_t at = frame_begin(o, FRAME_METHOD, channel);
    put32(o, (uint32_t)method);
    return at;
}

void frame_end(struct out *o, size_t at)
{
    uint32_t size = __builtin_bswap32((uint32_t)(o->end - o->start - at - 7));
    memcpy(o->ptr + o->start + at + 3, &size, sizeof(size));
    put8(o, FRAME_END);
}
