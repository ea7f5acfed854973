/* Sticky-error writer for big-endian wire formats, into an output queue. */
#ifndef COLOBUS_BASE_WRITER_H
#define COLOBUS_BASE_WRITER_H

#include "base/outq.h"

/* After the first error (ERR_NO_MEMORY) writes do nothing. */
struct writer {
    struct outq *q;
    int err;
};

void writer_init(struct writer *w, struct outq *q);

void write_i8(struct writer *w, int8_t v);
void write_i16(struct writer *w, int16_t v);
void write_u16(struct writer *w, uint16_t v);
void write_i32(struct writer *w, int32_t v);
void write_u32(struct writer *w, uint32_t v);
void write_i64(struct writer *w, int64_t v);
void write_f64(struct writer *w, double v);
void write_bool(struct writer *w, bool v);
void write_uvarint(struct writer *w, uint32_t v);
void write_varint(struct writer *w, int32_t v);
void write_varlong(struct writer *w, int64_t v);
/* Copies. */
void write_bytes(struct writer *w, struct span bytes);
/* References the rope's chunks instead of copying. */
void write_rope(struct writer *w, const struct rope *rope);

/* A 4-byte length to be patched: reserve before, patch with the number of bytes written since. */
uint8_t *write_reserve_u32(struct writer *w);
void write_patch_u32(uint8_t *at, uint32_t v);

#endif
