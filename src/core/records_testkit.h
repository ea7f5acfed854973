/* Makes record batches by hand, good and bad ones, for the tests of records.c. */
#ifndef COLOBUS_CORE_RECORDS_TESTKIT_H
#define COLOBUS_CORE_RECORDS_TESTKIT_H

#include "core/records.h"

enum { KIT_MS = 1700000000 };

/* Start with kit_init(), add records, then kit_seal(). Fields of the header may be changed before the seal.
 */
struct kit {
    uint8_t bytes[1 << 18];
    size_t len;
    int32_t count;
};

static inline void kit_put(struct kit *k, const void *p, size_t len)
{
    memcpy(k->bytes + k->len, p, len);
    k->len += len;
}

static inline void kit_varlong(struct kit *k, int64_t v)
{
    uint64_t u = (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
    for (; u > 0x7f; u >>= 7)
        k->bytes[k->len++] = (uint8_t)(u | 0x80);
    k->bytes[k->len++] = (uint8_t)u;
}

static inline void kit_bytes(struct kit *k, const char *s)
{
    kit_varlong(k, s ? (int64_t)strlen(s) : -1);
    if (s)
        kit_put(k, s, strlen(s));
}

static inline void kit_init(struct kit *k)
{
    memset(k->bytes, 0, BATCH_HEADER_BYTES);
    k->len = BATCH_HEADER_BYTES;
    k->count = 0;
    batch_set_magic(k->bytes, BATCH_MAGIC);
    batch_set_leader_epoch(k->bytes, -1);
    batch_set_base_timestamp(k->bytes, KIT_MS);
    batch_set_max_timestamp(k->bytes, -1);
    batch_set_producer_id(k->bytes, -1);
    batch_set_producer_epoch(k->bytes, -1);
    batch_set_base_sequence(k->bytes, -1);
}

/* A record whose body is given: the length is put before it. */
static inline void kit_body(struct kit *k, const uint8_t *body, size_t len)
{
    kit_varlong(k, (int64_t)len);
    kit_put(k, body, len);
    k->count++;
}

/* A record; offset deltas count up. With a header if header_key is not NULL. */
static inline void kit_record_with(struct kit *k, int64_t ms, const char *key, const char *value,
                                   const char *header_key, const char *header_value)
{
    static struct kit body;
    body.len = 0;
    kit_put(&body, "", 1);
    kit_varlong(&body, ms - batch_base_timestamp(k->bytes));
    kit_varlong(&body, k->count);
    kit_bytes(&body, key);
    kit_bytes(&body, value);
    kit_varlong(&body, header_key ? 1 : 0);
    if (header_key) {
        kit_bytes(&body, header_key);
        kit_bytes(&body, header_value);
    }
    kit_body(k, body.bytes, body.len);
    if (ms > batch_max_timestamp(k->bytes))
        batch_set_max_timestamp(k->bytes, ms);
}

static inline void kit_record(struct kit *k, int64_t ms, const char *key, const char *value)
{
    kit_record_with(k, ms, key, value, NULL, NULL);
}

/* Compresses the records, and sets what depends on them. */
static inline struct span kit_seal_codec(struct kit *k, struct compressor *z, enum codec codec)
{
    struct span packed;
    batch_set_record_count(k->bytes, k->count);
    batch_set_last_offset_delta(k->bytes, k->count - 1);
    if (codec != CODEC_NONE &&
        compress_encode(z, codec, COMPRESS_LEVEL_DEFAULT,
                        span_of(k->bytes + BATCH_HEADER_BYTES, k->len - BATCH_HEADER_BYTES), &packed) == 0) {
        k->len = BATCH_HEADER_BYTES;
        kit_put(k, packed.ptr, packed.len);
        batch_set_attributes(k->bytes, (uint16_t)(batch_attributes(k->bytes) | codec));
    }
    batch_seal(k->bytes, k->len);
    return span_of(k->bytes, k->len);
}

static inline struct span kit_seal(struct kit *k)
{
    return kit_seal_codec(k, NULL, CODEC_NONE);
}

/* Seals again after a change of the header or of sealed bytes. */
static inline struct span kit_reseal(struct kit *k)
{
    batch_seal(k->bytes, k->len);
    return span_of(k->bytes, k->len);
}

#endif
