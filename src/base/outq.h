/* Output queue: bytes waiting to be written, owned or referenced in chunks, in order. */
#ifndef COLOBUS_BASE_OUTQ_H
#define COLOBUS_BASE_OUTQ_H

#include "base/chunk.h"
#include "base/span.h"

/* A run of bytes inside a chunk; the holder of a slice holds one reference to the chunk.
 * chunk == NULL: borrowed bytes, for tests. */
struct slice {
    struct chunk *chunk;
    const uint8_t *ptr;
    size_t len;
};

/* A sequence of slices, seen as one run of bytes. The array is the creator's (an arena's, mostly). */
struct rope {
    struct slice *slices;
    size_t count;
    size_t len; /* sum of the slices' */
};

struct outq {
    struct chunk_pool *pool; /* for copied bytes */
    struct slice *slices;    /* ring-less array: [first, first + count) */
    size_t first, count, cap;
    size_t len;            /* bytes waiting */
    struct chunk *filling; /* the chunk this queue made last and may fill further; not a reference */
};

void outq_init(struct outq *q, struct chunk_pool *pool);
/* Drops every reference. */
void outq_fini(struct outq *q);

/* Room for `len` contiguous bytes, len at most the pool's standard chunk, at the end of the queue. They count
 * as queued at once; the pointer stays valid until they are consumed, so that a length can be patched in
 * later. NULL: out of memory. */
uint8_t *outq_reserve(struct outq *q, size_t len);
/* Copies bytes in. ERR_NO_MEMORY. */
int outq_copy(struct outq *q, struct span bytes);
/* Appends a reference (takes one of its own if the chunk is not NULL) without copying. */
void outq_ref(struct outq *q, struct chunk *chunk, struct span bytes);
/* Would the bytes at `ptr` of the chunk join the last slice? Then a reference to them costs nothing. */
bool outq_continues(const struct outq *q, const struct chunk *chunk, const uint8_t *ptr);
/* Moves all of `from` to the end of `to`; `from` is empty afterwards. */
void outq_move(struct outq *to, struct outq *from);

/* The first slices as spans, for a vectored write: returns how many were filled in. */
size_t outq_peek(const struct outq *q, struct span *ret_spans, size_t max);
/* Copies all that waits to `ret`, which has room for q->len bytes. */
void outq_copy_to(const struct outq *q, uint8_t *ret);
/* Drops `len` bytes from the front, len <= q->len. */
void outq_consume(struct outq *q, size_t len);

#endif
