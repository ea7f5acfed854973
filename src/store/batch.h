/* Access to the header of a record batch (magic 2), the unit that topics store, byte for byte as on the wire.
 *
 *    offset  type  field                 notes
 *         0  i64   base_offset           outside the CRC, so the broker assigns it in place
 *         8  i32   batch_length          bytes that follow this field: the whole batch is 12 more
 *        12  i32   leader_epoch          outside the CRC
 *        16  i8    magic                 2; at the same place in formats 0 and 1
 *        17  u32   crc                   CRC-32C of [21, end)
 *        21  i16   attributes            enum batch_attributes
 *        23  i32   last_offset_delta     the batch takes offsets base .. base + delta, also when compaction
 *                                        has removed records from it
 *        27  i64   base_timestamp        ms; records hold deltas to it
 *        35  i64   max_timestamp         ms; with BATCH_APPEND_TIME the timestamp of every record
 *        43  i64   producer_id           -1: none
 *        51  i16   producer_epoch
 *        53  i32   base_sequence         of the first record; wraps from 2^31-1 to 0
 *        57  i32   record_count          0 only in what compaction left
 *        61        records               compressed as a whole by the codec
 *
 * Numbers are big-endian. Source: Kafka's DefaultRecordBatch. The getters and setters take the first byte of
 * at least BATCH_HEADER_BYTES bytes and know nothing of validity. Any thread. */
#ifndef COLOBUS_STORE_BATCH_H
#define COLOBUS_STORE_BATCH_H

#include <endian.h>

#include "base/compress.h"
#include "base/span.h"

enum {
    BATCH_LENGTH_END = 12, /* base_offset and batch_length: what batch_length does not count */
    BATCH_MAGIC_END = 17,  /* enough bytes to know length and format */
    BATCH_CRC_START = 21,  /* first byte under the CRC */
    BATCH_HEADER_BYTES = 61,
    BATCH_MAGIC = 2,
};

enum batch_attributes {
    BATCH_CODEC_MASK = 7,
    BATCH_APPEND_TIME = 1 << 3, /* LogAppendTime; clear: CreateTime */
    BATCH_TRANSACTIONAL = 1 << 4,
    BATCH_CONTROL = 1 << 5,
    BATCH_DELETE_HORIZON = 1 << 6, /* base_timestamp is when tombstones may go, KIP-534 */
};

/* The total length of the batch at the front of `bytes`. ERR_EOF: not all of it is there (*ret_len is set if
 * the length is known, else 0, in this case only). ERR_BAD_BATCH: the length or the magic is impossible. */
int batch_peek(struct span bytes, size_t *ret_len);
/* Structural sanity of one whole batch as it may stand in a log: `batch` is exactly one batch, magic 2, a
 * known codec, counts and offsets that agree. No CRC, no look at records. ERR_BAD_BATCH. */
int batch_check_header(struct span batch);
/* ERR_BAD_CHECKSUM. `batch` has passed batch_peek(). */
int batch_check_crc(struct span batch);
/* Sets batch_length from `len` and the CRC, after anything else has been set. `len` >= BATCH_HEADER_BYTES. */
void batch_seal(uint8_t *batch, size_t len);

static inline uint16_t batch_load16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return be16toh(v);
}

static inline uint32_t batch_load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return be32toh(v);
}

static inline uint64_t batch_load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return be64toh(v);
}

static inline void batch_store16(uint8_t *p, uint16_t v)
{
    v = htobe16(v);
    memcpy(p, &v, sizeof(v));
}

static inline void batch_store32(uint8_t *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, sizeof(v));
}

static inline void batch_store64(uint8_t *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, sizeof(v));
}

/* One row per field: name, C type, offset, bits. Gives batch_NAME(b) and batch_set_NAME(b, v). */
#define BATCH_FIELDS(X)                                                                                      \
    X(base_offset, int64_t, 0, 64)                                                                           \
    X(batch_length, int32_t, 8, 32)                                                                          \
    X(leader_epoch, int32_t, 12, 32)                                                                         \
    X(crc, uint32_t, 17, 32)                                                                                 \
    X(attributes, uint16_t, 21, 16)                                                                          \
    X(last_offset_delta, int32_t, 23, 32)                                                                    \
    X(base_timestamp, int64_t, 27, 64)                                                                       \
    X(max_timestamp, int64_t, 35, 64)                                                                        \
    X(producer_id, int64_t, 43, 64)                                                                          \
    X(producer_epoch, int16_t, 51, 16)                                                                       \
    X(base_sequence, int32_t, 53, 32)                                                                        \
    X(record_count, int32_t, 57, 32)

#define BATCH_ACCESSORS(name, type, at, bits)                                                                \
    static inline type batch_##name(const uint8_t *b)                                                        \
    {                                                                                                        \
        return (type)batch_load##bits(b + (at));                                                             \
    }                                                                                                        \
    static inline void batch_set_##name(uint8_t *b, type v)                                                  \
    {                                                                                                        \
        batch_store##bits(b + (at), (uint##bits##_t)v);                                                      \
    }
BATCH_FIELDS(BATCH_ACCESSORS)
#undef BATCH_ACCESSORS

static inline int8_t batch_magic(const uint8_t *b)
{
    return (int8_t)b[16];
}

static inline void batch_set_magic(uint8_t *b, int8_t v)
{
    b[16] = (uint8_t)v;
}

/* Bytes of the whole batch. */
static inline size_t batch_bytes(const uint8_t *b)
{
    return (size_t)batch_batch_length(b) + BATCH_LENGTH_END;
}

static inline int64_t batch_last_offset(const uint8_t *b)
{
    return batch_base_offset(b) + batch_last_offset_delta(b);
}

/* The offset after this batch. */
static inline int64_t batch_next_offset(const uint8_t *b)
{
    return batch_last_offset(b) + 1;
}

/* Bits 0-2 of the attributes, which may be no codec: 5, 6, 7. */
static inline enum codec batch_codec(const uint8_t *b)
{
    return (enum codec)(batch_attributes(b) & BATCH_CODEC_MASK);
}

/* The sequence of the last record, or -1 without a producer. Sequences wrap from 2^31-1 to 0. */
static inline int32_t batch_last_sequence(const uint8_t *b)
{
    if (batch_base_sequence(b) < 0)
        return -1;
    return (int32_t)(((uint32_t)batch_base_sequence(b) + (uint32_t)batch_last_offset_delta(b)) & INT32_MAX);
}

/* The records as they stand, compressed or not. `batch` is one whole batch. */
static inline struct span batch_records(struct span batch)
{
    return span_of(batch.ptr + BATCH_HEADER_BYTES, batch.len - BATCH_HEADER_BYTES);
}

#endif
