/* The sparse index of a segment: offset, position and running maximum timestamp, every few KiB. */
#ifndef COLOBUS_STORE_INDEX_H
#define COLOBUS_STORE_INDEX_H

#include "base/span.h"

/* One batch of the segment: where it stands, and the largest timestamp of all batches before it. */
struct index_entry {
    uint64_t offset;
    uint32_t pos;
    int64_t max_before; /* INT64_MIN: the first */
};

struct index {
    struct index_entry *entries;
    size_t count, cap;
};

enum { INDEX_ENTRY_BYTES = 24, INDEX_HEADER_BYTES = 16 };

void index_init(struct index *x);
void index_fini(struct index *x);
void index_add(struct index *x, struct index_entry e);
/* The last entry at or before the offset, or the start of the segment. */
uint32_t index_find_offset(const struct index *x, uint64_t offset);
/* A position from which the first batch with max timestamp >= ts is found by going forward. */
uint32_t index_find_time(const struct index *x, int64_t ts);

void index_encode_header(uint64_t segment_base, uint8_t ret[INDEX_HEADER_BYTES]);
void index_encode(const struct index_entry *e, uint64_t segment_base, uint8_t ret[INDEX_ENTRY_BYTES]);
/* An entry as it stands in a file of that segment; false: it does not match its checksum. */
bool index_entry_decode(const uint8_t bytes[INDEX_ENTRY_BYTES], uint64_t segment_base,
                        struct index_entry *ret);
/* The segment's base offset. ERR_CORRUPT: no header of an index file. */
int index_header_decode(const uint8_t bytes[INDEX_HEADER_BYTES], uint64_t *ret_base);
/* The valid entries of an index file whose segment holds [base, next) in `len` bytes; what is damaged, out of
 * order or beyond the segment ends it. ERR_CORRUPT if the header is wrong. */
int index_decode(struct span file, uint64_t base, uint64_t next, uint64_t len, struct index *ret);

#endif
