/* Reference-counted byte buffers that travel between threads: socket input, log tails, read results. */
#ifndef COLOBUS_BASE_CHUNK_H
#define COLOBUS_BASE_CHUNK_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* A pool accounts for the bytes of its chunks, and keeps a few of its standard size for reuse. One thread
 * (its shard's) takes from it; any thread may give back. It must outlive its chunks. */
struct chunk_pool {
    const char *name;
    size_t chunk_bytes;               /* the standard capacity, which is recycled */
    size_t keep;                      /* free chunks kept at the most */
    _Atomic size_t used_bytes;        /* of all chunks now referenced */
    _Atomic(struct chunk *) returned; /* given back by any thread, not yet taken over */
    struct chunk *free;               /* the owner thread's */
    size_t free_count;
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
/* Takes over what came back and gives what is more than `keep` to the heap; for a quiet moment. Owner only.
 */
void chunk_pool_trim(struct chunk_pool *p);
struct chunk *chunk_ref(struct chunk *c);
/* Takes NULL. Any thread. */
void chunk_unref(struct chunk *c);

#endif
