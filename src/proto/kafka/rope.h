/* Record batches spread over a rope of slices: what a Fetch answer looks at before it sends them. */
#ifndef COLOBUS_PROTO_KAFKA_ROPE_H
#define COLOBUS_PROTO_KAFKA_ROPE_H

#include "base/outq.h"

/* The length of the batches before the first that is compressed with zstd; all if none is. */
size_t kafka_rope_before_zstd(const struct rope *rope);
/* Keeps the first `len` bytes. The slices stay their owner's, which still drops all references: `rope` is a
 * copy by value of the owner's, and only the lengths of the slices are changed. */
void kafka_rope_cut(struct rope *rope, size_t len);

#endif
