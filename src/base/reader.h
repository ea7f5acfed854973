/* Sticky-error reader for big-endian wire formats: decode the whole message, check once at the end. */
#ifndef COLOBUS_BASE_READER_H
#define COLOBUS_BASE_READER_H

#include "base/arena.h"
#include "base/span.h"

/* After the first error every read returns zero, null or empty and moves nothing; `err` keeps the first code
 * (ERR_INVALID: malformed; ERR_LIMIT: an array or string over its limit) and `what` its reason. */
struct reader {
    const uint8_t *p, *end;
    struct arena *arena; /* arrays of decoded structs go here */
    int err;
    const char *what; /* static text */
};

void reader_init(struct reader *r, struct span bytes, struct arena *arena);
/* Records the first failure. */
void reader_fail(struct reader *r, int err, const char *what);

static inline size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->p);
}

int8_t read_i8(struct reader *r);
int16_t read_i16(struct reader *r);
uint16_t read_u16(struct reader *r);
int32_t read_i32(struct reader *r);
uint32_t read_u32(struct reader *r);
int64_t read_i64(struct reader *r);
double read_f64(struct reader *r);
bool read_bool(struct reader *r); /* any byte but 0 is true */
/* Unsigned LEB128, at most 5 bytes, as Kafka's flexible versions use. More bytes or bits: ERR_INVALID. */
uint32_t read_uvarint(struct reader *r);
int32_t read_varint(struct reader *r);  /* zigzag */
int64_t read_varlong(struct reader *r); /* zigzag, at most 10 bytes */
/* `len` bytes, borrowed from the input. */
struct span read_bytes(struct reader *r, size_t len);

#endif
