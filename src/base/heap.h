/* Intrusive binary min-heap of deadlines: each element knows its place, so it can be moved or removed. */
#ifndef COLOBUS_BASE_HEAP_H
#define COLOBUS_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint64_t key; /* smallest first; equal keys in order of insertion */
    uint64_t tie;
    size_t place; /* index + 1; 0: not in a heap */
};

struct heap {
    struct heap_node **nodes;
    uint32_t count, cap;
    uint64_t next_tie;
};

void heap_init(struct heap *h);
void heap_fini(struct heap *h);                                    /* the nodes are their owners' */
void heap_push(struct heap *h, struct heap_node *n, uint64_t key); /* n must not be in a heap */
void heap_remove(struct heap *h, struct heap_node *n);             /* harmless if n is not in */
struct heap_node *heap_first(const struct heap *h);                /* NULL if empty */

#endif
