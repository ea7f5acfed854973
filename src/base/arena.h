/* Bump allocator for the life of one request: handlers allocate and never free. */
#ifndef COLOBUS_BASE_ARENA_H
#define COLOBUS_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena_block;

struct arena {
    struct arena_block *head; /* newest block */
    size_t used, cap;         /* within head */
    size_t total;             /* bytes of all blocks */
};

void arena_init(struct arena *a);
/* Gives everything back; the arena can be used again. */
void arena_fini(struct arena *a);

/* Zeroed, 16-byte aligned. Never NULL (mem.h's policy): callers bound `size` by bytes that have arrived. */
void *arena_alloc(struct arena *a, size_t size);
/* `count` elements of `size` bytes; count * size must not overflow, which is asserted. */
void *arena_array(struct arena *a, size_t count, size_t size);
void *arena_copy(struct arena *a, const void *ptr, size_t len);
/* A C string of these bytes. */
char *arena_strndup(struct arena *a, const void *ptr, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
