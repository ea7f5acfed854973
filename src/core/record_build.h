/* Making record batches: what came by another protocol becomes records of a topic. */
#ifndef COLOBUS_CORE_RECORD_BUILD_H
#define COLOBUS_CORE_RECORD_BUILD_H

#include "base/chunk.h"
#include "base/span.h"

/* A record to be written; its spans are borrowed. */
struct record_header {
    struct span key, value; /* value null: null. The key never is. */
};
struct record_draft {
    struct span key, value; /* null: none, a tombstone */
    const struct record_header *headers;
    uint32_t header_count;
};

/* A batch being filled: uncompressed, without a producer. Zeroes are an empty one. */
struct record_builder {
    struct chunk *chunk; /* one reference; NULL: empty */
    size_t len;          /* of the batch, header included */
    int32_t count;
    int64_t base_ms, max_ms;
};

/* What the draft will take of a batch at the most. */
size_t record_build_bytes(const struct record_draft *d);
/* Copies the draft to the end of the batch. `now_ms` is its timestamp, not below those before. The chunk
 * grows as need be. ERR_NO_MEMORY, ERR_TOO_LARGE (above 1 GiB): nothing has changed. */
int record_build_add(struct record_builder *b, struct chunk_pool *pool, const struct record_draft *d,
                     int64_t now_ms);
/* Header and checksum: a whole batch, in the chunk. Not of an empty one. */
struct span record_build_seal(struct record_builder *b);
/* Drops the chunk; empty again. */
void record_build_fini(struct record_builder *b);

#endif
