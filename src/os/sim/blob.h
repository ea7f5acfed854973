/* Memory of the simulator: shared immutable bytes, and a heap that the fault point of base/mem.h leaves
 * alone, so that a test which fails the broker's Nth allocation never hits the world around it. */
#ifndef COLOBUS_OS_SIM_BLOB_H
#define COLOBUS_OS_SIM_BLOB_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

void *sim_zalloc(size_t size);
void *sim_realloc(void *ptr, size_t size);
void sim_free(void *ptr);
/* Room for one more element in an array of `count`; returns the array, moved if it had to grow. */
void *sim_grow(void *items, size_t count, size_t *cap, size_t item_bytes);

/* Names and written data; held by the log of operations, by pending writes and by directory entries. */
struct blob {
    unsigned refs;
    size_t len;
    uint8_t bytes[];
};

struct blob *blob_new(struct span bytes);
struct blob *blob_ref(struct blob *b); /* takes NULL */
void blob_unref(struct blob *b);       /* takes NULL */

static inline struct span blob_span(const struct blob *b)
{
    return span_of(b->bytes, b->len);
}

#endif
