/* Reference-counted byte buffers that travel between threads: socket input, log tails, read results. */
#ifndef COLOBUS_BASE_CHUNK_H
#define COLOBUS_BASE_CHUNK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A pool accounts for the bytes of its chunks, and keeps some for reuse: a chunk that was filled before costs
 * no page faults. What was not needed between two trims goes back to the heap. One thread (its shard's) takes
 * from it; any thread may give back. It must outlive its chunks. */
struct chunk_pool {
    const char *name;
    size_t chunk_bytes;               /* the standard capacity, which is recycled */
    size_t keep;                      /* free ones of that size kept at the most */
    size_t keep_large;                /* bytes of larger free ones kept at the most; set after init */
    _Atomic size_t used_bytes;        /* of all chunks now referenced */
    _Atomic(struct chunk *) returned; /* given back by any thread, not yet taken over */
    struct chunk *free;               /* the owner thread's */
    size_t free_count, free_low;      /* low: the fewest since the last trim */
    struct chunk *large;              /* likewise */
    size_t large_bytes, large_low;
};

/* Who holds references: input chunks, the connection and every operation that borrows from them; tail
 * chunks, their log's tail, the journal group in flight, and every response still being written. */
struct chunk {
    _Atomic uint32_t refs;
    uint32_t cap;  /* bytes of data[] */
    uint32_t used; /* the filler's cursor; only the thread that fills it touches it */
    struct chunk_pool *pool;
    struct chunk *next; /* in the pool's lists */
    uint8_t data[];
};

void chunk_pool_init(struct chunk_pool *p, const char *name, size_t chunk_bytes, size_t keep);
/* Frees what the pool keeps. All its chunks must have come back (asserted). */
void chunk_pool_fini(struct chunk_pool *p);

/* A chunk with at least `cap` bytes of room and one reference, the caller's. NULL: memory is gone.
 * cap is at most 1 GiB. Owner thread only. */
struct chunk *chunk_new(struct chunk_pool *p, size_t cap);
/* The same, of what the pool keeps: it allocates nothing. NULL: it has none so large. */
struct chunk *chunk_take_kept(struct chunk_pool *p, size_t cap);
/* Takes over what came back, and gives to the heap what nobody needed since the last call; now and then, by
 * the owner. */
void chunk_pool_trim(struct chunk_pool *p);
/* Is there anything that it may give to the heap? */
bool chunk_pool_keeps(const struct chunk_pool *p);
struct chunk *chunk_ref(struct chunk *c);
/* Takes NULL. Any thread. */
void chunk_unref(struct chunk *c);

#endif
