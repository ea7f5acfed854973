/* What the broker does with the records inside a batch: validate and rewrite what a producer sent, find a
 * record by its time, walk over records. */
#ifndef COLOBUS_CORE_RECORDS_H
#define COLOBUS_CORE_RECORDS_H

#include "base/arena.h"
#include "base/chunk.h"
#include "base/compress.h"
#include "base/span.h"
#include "store/batch.h"

/* ---- validation of what a producer sent -------------------------------------------------------------- */

enum {
    RECORDS_MAX_ERRORS = 500,    /* per-record errors reported of one batch; no more are looked for */
    RECORDS_CODEC_PRODUCER = -1, /* keep the codec the producer chose */
};

/* The topic's settings, as far as they concern records. */
struct records_policy {
    size_t max_message_bytes; /* max.message.bytes: the whole batch, as sent and as stored */
    size_t max_decoded_bytes; /* the records of one batch, decompressed */
    bool append_time;         /* message.timestamp.type=LogAppendTime */
    int64_t before_max_ms;    /* message.timestamp.before.max.ms; INT64_MAX: no limit */
    int64_t after_max_ms;     /* message.timestamp.after.max.ms */
    int codec;                /* compression.type: an enum codec, or RECORDS_CODEC_PRODUCER */
    int level;                /* for recompression; COMPRESS_LEVEL_DEFAULT */
    bool compacted;           /* cleanup.policy has compact: every record needs a key */
    bool allow_zstd;          /* the request is Produce v7 or later, KIP-110 */
    bool trust;               /* skip the walk over records where the header alone can be believed */
};

struct record_error {
    int32_t index; /* of the record in its batch, from 0 */
    const char *message;
};

struct records_verdict {
    /* Always set. Texts live as long as the arena. */
    const char *message;         /* why it was refused; NULL if it was not */
    struct record_error *errors; /* NULL if none; in order of index */
    uint32_t error_count;

    /* Set if the batch is good. Base offset and leader epoch are still the producer's: the log sets them in
     * its copy. */
    struct span batch;           /* what to store: the input itself, or inside `chunk` */
    struct chunk *chunk;         /* NULL, or the rewritten batch with one reference, the caller's */
    int32_t count;               /* records, >= 1; offsets it takes */
    int64_t base_timestamp;      /* ms, of the batch header */
    int64_t max_timestamp;       /* ms; -1: no record has a timestamp */
    int32_t max_timestamp_delta; /* offset delta of the first record with it; -1: not known
                                  * (policy.trust) */
    int64_t append_ms;           /* LogAppendTime given to all records, or -1: CreateTime */
    int64_t producer_id;         /* -1: not idempotent */
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t last_sequence; /* wraps from 2^31-1 to 0; -1 if there is no producer id */
    bool transactional;    /* not refused here: the caller decides */
};

/* Validates the records field of a Produce request for one partition as Kafka's
 * ProduceRequest.validateRecords(), UnifiedLog.analyzeAndValidateRecords() and LogValidator do, and rewrites
 * the batch if the policy asks for it (timestamp type, codec) or the header is wrong (max timestamp, lz4 that
 * Java cannot read). A good uncompressed batch is neither copied nor changed. `in` may be the null span. `z`
 * and `pool` are the calling shard's.
 *
 * 0; ERR_BAD_BATCH (INVALID_RECORD; errors[] where single records are the reason), ERR_BAD_CHECKSUM
 * (CORRUPT_MESSAGE), ERR_TOO_LARGE, ERR_BAD_TIMESTAMP (with errors[]), ERR_BAD_CODEC, ERR_NO_MEMORY. */
int records_check(struct compressor *z, const struct records_policy *p, struct span in, int64_t now_ms,
                  struct arena *a, struct chunk_pool *pool, struct records_verdict *ret);

/* ---- walking over a stored batch --------------------------------------------------------------------- */

struct record {
    int64_t offset;
    int64_t timestamp; /* ms; the batch's max_timestamp if it has BATCH_APPEND_TIME */
    struct span key;   /* null span: no key */
    struct span value; /* null span: a tombstone */
    uint32_t header_count;
    struct span headers; /* for record_header_next() */
};

struct records_iter {
    const uint8_t *p, *end;
    int32_t left; /* records the header still promises */
    int64_t base_offset, base_timestamp;
    int64_t append_ms; /* with append_time: the timestamp of all */
    bool append_time;
};

/* Opens one whole batch that has passed batch_check_header(). Spans of the records point into `batch`, or
 * into z's scratch until its next use; `z` may be NULL if the batch is not compressed. Errors as
 * compress_decode(). */
int records_open(struct compressor *z, struct span batch, size_t max_decoded_bytes, struct records_iter *ret);
/* 1: *ret is the next record; 0: no more; ERR_BAD_BATCH: malformed, or fewer or more than the header says. */
int records_next(struct records_iter *it, struct record *ret);
/* Takes the first header off `rest` (which starts as record.headers). 1, 0: no more, ERR_BAD_BATCH.
 * Keys are never null, values may be. */
int record_header_next(struct span *rest, struct span *ret_key, struct span *ret_value);

/* ---- time queries over a stored batch ---------------------------------------------------------------- */

/* The first record of the batch at or after offset `from` with a timestamp >= target_ms. ERR_NOT_FOUND: none;
 * else as records_next(). */
int records_find_timestamp(struct compressor *z, struct span batch, size_t max_decoded_bytes, int64_t from,
                           int64_t target_ms, int64_t *ret_offset, int64_t *ret_timestamp);
/* The first of the records at or after offset `from` with the largest timestamp among them (KIP-734).
 * ERR_NOT_FOUND: there is none. */
int records_max_timestamp(struct compressor *z, struct span batch, size_t max_decoded_bytes, int64_t from,
                          int64_t *ret_offset, int64_t *ret_timestamp);

#endif
