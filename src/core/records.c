/* Validation and rewriting of the one batch that a Produce request carries for a partition. The order of the
 * checks is Kafka's, since the first that fails decides the error code that the client sees:
 *
 *   1. shape: one whole batch of magic 2     ByteBufferLogInputStream, ProduceRequest.validateRecords()
 *   2. base offset, size, CRC                UnifiedLog.analyzeAndValidateRecords()
 *   3. offsets, counts, control, sequence    LogValidator.validateBatch()
 *   4. each record                           LogValidator.validateRecord(), DefaultRecord.readFrom()
 *   5. size again, of what was recompressed
 *
 * Stricter than Kafka, because a consumer would stumble over it: bytes after the batch, offset deltas that
 * are not 0, 1, 2 ..., null lengths other than -1, an idempotent batch with a negative epoch. Attribute bits
 * that are none of a producer's business are cleared. */
#include "core/records.h"

#include <assert.h>
#include <inttypes.h>

#include "base/err.h"
#include "core/records_impl.h"

enum {
    V0_LEAST_LENGTH = 14, /* the shortest message of format 0, Kafka's LegacyRecord.RECORD_OVERHEAD_V0 */
    PRODUCER_ATTRIBUTES = BATCH_CODEC_MASK | BATCH_TRANSACTIONAL, /* what a producer may set */
    NO_TIMESTAMP = -1,
};

/* One validation under way. */
struct check {
    struct compressor *z;
    const struct records_policy *policy;
    struct span in;
    int64_t now_ms;
    struct arena *arena;
    struct chunk_pool *pool;
    struct records_verdict *verdict;
    struct span decoded;    /* the records, uncompressed; null as long as nobody asked */
    int64_t min_ms, max_ms; /* timestamps that are accepted */
    bool bad_timestamp;     /* among the per-record errors */
    bool walked;
};

static int refuse(struct check *c, int err, const char *why)
{
    c->verdict->message = why;
    return err;
}

/* ---- 1. shape ---------------------------------------------------------------------------------------- */

static int check_shape(struct check *c)
{
    static const char none[] = "Produce requests must have at least one record batch";
    if (c->in.len < BATCH_LENGTH_END)
        return refuse(c, ERR_BAD_BATCH, none);
    int32_t length = batch_batch_length(c->in.ptr);
    if (length < V0_LEAST_LENGTH)
        return refuse(c, ERR_BAD_CHECKSUM, "Record size is less than the minimum record overhead");
    if (c->in.len < BATCH_MAGIC_END)
        return refuse(c, ERR_BAD_BATCH, none);
    int8_t magic = batch_magic(c->in.ptr);
    if (magic < 0 || magic > BATCH_MAGIC)
        return refuse(c, ERR_BAD_CHECKSUM,
                      arena_printf(c->arena, "Invalid magic found in record: %d", magic));
    if (batch_bytes(c->in.ptr) > c->in.len)
        return refuse(c, ERR_BAD_BATCH, none);
    if (magic != BATCH_MAGIC)
        return refuse(c, ERR_BAD_BATCH,
                      "Produce requests are only allowed to contain record batches with magic version 2");
    if (length < BATCH_HEADER_BYTES - BATCH_LENGTH_END)
        return refuse(c, ERR_BAD_CHECKSUM, "Record batch is smaller than the minimum allowed overhead");
    if (batch_bytes(c->in.ptr) != c->in.len)
        return refuse(c, ERR_BAD_BATCH,
                      "Produce requests are only allowed to contain exactly one record batch");
    return 0;
}

static int check_codec(struct check *c)
{
    enum codec codec = batch_codec(c->in.ptr);
    if (codec >= CODEC_COUNT)
        return refuse(c, ERR_BAD_CODEC, "Unknown compression type");
    if (codec == CODEC_ZSTD && !c->policy->allow_zstd) /* KIP-110 */
        return refuse(c, ERR_BAD_CODEC,
                      "Produce requests before version 7 are not allowed to use ZStandard compression");
    return 0;
}

/* ---- 2. and 3. the header ---------------------------------------------------------------------------- */

static int too_large(struct check *c, size_t bytes)
{
    return refuse(
        c, ERR_TOO_LARGE,
        arena_printf(c->arena,
                     "The record batch size is %zu bytes which exceeds the maximum configured value "
                     "of %zu (max.message.bytes).",
                     bytes, c->policy->max_message_bytes));
}

static int check_envelope(struct check *c)
{
    int64_t base = batch_base_offset(c->in.ptr);
    if (base != 0)
        return refuse(c, ERR_BAD_BATCH,
                      arena_printf(c->arena,
                                   "The baseOffset of the record batch should be 0, but it is %" PRId64,
                                   base));
    if (c->in.len > c->policy->max_message_bytes)
        return too_large(c, c->in.len);
    if (batch_check_crc(c->in))
        return refuse(c, ERR_BAD_CHECKSUM, "Record is corrupt: its CRC-32C does not match");
    return 0;
}

static int check_counts(struct check *c)
{
    const uint8_t *b = c->in.ptr;
    int32_t count = batch_record_count(b), last = batch_last_offset_delta(b);
    if (last < 0)
        return refuse(c, ERR_BAD_BATCH, "Batch has an invalid offset range");
    if (count <= 0)
        return refuse(c, ERR_BAD_BATCH,
                      arena_printf(c->arena, "Invalid reported count for record batch: %" PRId32, count));
    if ((int64_t)last + 1 != count)
        return refuse(c, ERR_BAD_BATCH,
                      arena_printf(c->arena,
                                   "Inconsistent batch offset range [0, %" PRId32
                                   "] and count of records %" PRId32,
                                   last, count));
    return 0;
}

static int check_producer(struct check *c)
{
    const uint8_t *b = c->in.ptr;
    if (batch_attributes(b) & BATCH_CONTROL)
        return refuse(c, ERR_BAD_BATCH, "Clients are not allowed to write control records");
    if (batch_producer_id(b) >= 0 && batch_base_sequence(b) < 0)
        return refuse(c, ERR_BAD_BATCH,
                      arena_printf(c->arena,
                                   "Invalid sequence number %" PRId32
                                   " in record batch with producerId %" PRId64,
                                   batch_base_sequence(b), batch_producer_id(b)));
    if (batch_producer_id(b) >= 0 && batch_producer_epoch(b) < 0)
        return refuse(c, ERR_BAD_BATCH, "Invalid producer epoch in record batch with a producerId");
    if (batch_attributes(b) & BATCH_APPEND_TIME)
        return refuse(c, ERR_BAD_TIMESTAMP,
                      "Invalid timestamp type in message. Producer should not set timestamp type to "
                      "LogAppendTime.");
    return 0;
}

static int check_header(struct check *c)
{
    int err = check_shape(c);
    if (!err)
        err = check_codec(c);
    if (!err)
        err = check_envelope(c);
    if (!err)
        err = check_counts(c);
    if (!err)
        err = check_producer(c);
    return err;
}

/* ---- 4. the records ---------------------------------------------------------------------------------- */

/* now - before and now + after, without overflow; a topic that stamps records itself takes any. */
static void set_accepted_times(struct check *c)
{
    const struct records_policy *p = c->policy;
    if (p->append_time || __builtin_sub_overflow(c->now_ms, p->before_max_ms, &c->min_ms))
        c->min_ms = INT64_MIN;
    if (p->append_time || __builtin_add_overflow(c->now_ms, p->after_max_ms, &c->max_ms))
        c->max_ms = INT64_MAX;
}

static bool time_accepted(const struct check *c, int64_t ms)
{
    return ms == NO_TIMESTAMP || (ms >= c->min_ms && ms <= c->max_ms);
}

static int decode(struct check *c)
{
    if (!span_is_null(c->decoded))
        return 0;
    struct span records = batch_records(c->in);
    enum codec codec = batch_codec(c->in.ptr);
    if (codec == CODEC_NONE) {
        c->decoded = records;
        return 0;
    }
    int err = compress_decode(c->z, codec, records, c->policy->max_decoded_bytes, &c->decoded);
    if (err == ERR_TOO_LARGE)
        return refuse(c, err,
                      arena_printf(c->arena,
                                   "The records of the batch are larger than %zu bytes when decompressed",
                                   c->policy->max_decoded_bytes));
    if (err)
        return refuse(c, err, err == ERR_NO_MEMORY ? err_text(err) : "The compressed records are damaged");
    return 0;
}

static void note_error(struct check *c, int32_t index, const char *message)
{
    struct records_verdict *v = c->verdict;
    if (!v->errors)
        v->errors = arena_array(c->arena, RECORDS_MAX_ERRORS, sizeof(*v->errors));
    if (v->error_count < RECORDS_MAX_ERRORS)
        v->errors[v->error_count++] = (struct record_error){index, message};
}

/* The slow side of the walk: something is wrong with this record. */
static __attribute__((noinline)) void note_bad_record(struct check *c, int32_t index, bool no_key, int64_t ms)
{
    if (no_key) {
        note_error(c, index, "Compacted topic cannot accept message without key");
        return;
    }
    c->bad_timestamp = true;
    if (c->verdict->error_count == RECORDS_MAX_ERRORS)
        return; /* the text would be lost */
    note_error(c, index,
               arena_printf(c->arena,
                            "Timestamp %" PRId64 " of message with offset %" PRId32
                            " is out of range. The timestamp should be within [%" PRId64 ", %" PRId64 "]",
                            ms, index, c->min_ms, c->max_ms));
}

/* What is malformed outweighs single records that are refused. */
static int refuse_malformed(struct check *c, const char *why)
{
    c->verdict->errors = NULL;
    c->verdict->error_count = 0;
    return refuse(c, ERR_BAD_BATCH, why);
}

static int refuse_records(struct check *c)
{
    if (c->bad_timestamp)
        return refuse(c, ERR_BAD_TIMESTAMP,
                      "One or more records have been rejected due to invalid timestamp");
    return refuse(c, ERR_BAD_BATCH, "One or more records have been rejected: they have no key");
}

/* Checks every record; sets count and the timestamps of the verdict. */
static int walk(struct check *c)
{
    struct records_verdict *v = c->verdict;
    struct cursor cur = {c->decoded.ptr, c->decoded.ptr + c->decoded.len, false};
    int64_t base_ms = batch_base_timestamp(c->in.ptr), largest = NO_TIMESTAMP, ms;
    int32_t largest_at = -1, count = batch_record_count(c->in.ptr);
    bool needs_key = c->policy->compacted;
    for (int32_t i = 0; i < count; i++) {
        struct raw_record r;
        if (!cursor_record(&cur, &r) || r.offset_delta != i ||
            __builtin_add_overflow(base_ms, r.timestamp_delta, &ms))
            return refuse_malformed(
                c, arena_printf(c->arena, "Record %" PRId32 " of the batch is malformed", i));
        bool no_key = needs_key && span_is_null(r.key);
        if (__builtin_expect(no_key || !time_accepted(c, ms), 0))
            note_bad_record(c, i, no_key, ms);
        if (ms > largest) {
            largest = ms;
            largest_at = i;
        }
    }
    if (cur.p != cur.end)
        return refuse_malformed(c, "Incorrect declared batch size, bytes remain after the last record");
    if (v->error_count)
        return refuse_records(c);
    v->max_timestamp = largest;
    v->max_timestamp_delta = largest_at;
    c->walked = true;
    return 0;
}

/* True if the policy lets the header speak for the records, and the header is plausible. */
static bool may_skip_walk(const struct check *c)
{
    const uint8_t *b = c->in.ptr;
    int64_t base_ms = batch_base_timestamp(b), max_ms = batch_max_timestamp(b);
    if (!c->policy->trust || c->policy->compacted)
        return false;
    if (c->policy->append_time)
        return true;
    return base_ms >= 0 && max_ms >= base_ms && time_accepted(c, base_ms) && time_accepted(c, max_ms);
}

static int check_records(struct check *c)
{
    set_accepted_times(c);
    if (may_skip_walk(c)) {
        c->verdict->max_timestamp = batch_max_timestamp(c->in.ptr);
        c->verdict->max_timestamp_delta = -1;
        return 0;
    }
    int err = decode(c);
    return err ? err : walk(c);
}

/* ---- rewriting --------------------------------------------------------------------------------------- */

static enum codec target_codec(const struct check *c)
{
    return c->policy->codec == RECORDS_CODEC_PRODUCER ? batch_codec(c->in.ptr) : (enum codec)c->policy->codec;
}

/* What the records shall be stored as: as they came, if codec and form are already right. */
static int recode(struct check *c, struct span *ret_records)
{
    enum codec codec = target_codec(c);
    struct span records = batch_records(c->in);
    if (codec == batch_codec(c->in.ptr) && compress_is_portable(codec, records)) {
        *ret_records = records;
        return 0;
    }
    int err = decode(c);
    if (!err && !c->walked)
        err = walk(c); /* nothing is written by us that was not looked at */
    if (err)
        return err;
    err = compress_encode(c->z, codec, c->policy->level, c->decoded, &records);
    if (err)
        return refuse(c, err, err_text(err));
    if (records.len + BATCH_HEADER_BYTES > c->policy->max_message_bytes)
        return too_large(c, records.len + BATCH_HEADER_BYTES);
    *ret_records = records;
    return 0;
}

static int write_batch(struct check *c, struct span records, uint16_t attributes, int64_t max_timestamp)
{
    size_t len = BATCH_HEADER_BYTES + records.len;
    struct chunk *chunk = chunk_new(c->pool, len);
    if (!chunk)
        return refuse(c, ERR_NO_MEMORY, err_text(ERR_NO_MEMORY));
    uint8_t *b = chunk->data;
    memcpy(b, c->in.ptr, BATCH_HEADER_BYTES);
    memcpy(b + BATCH_HEADER_BYTES, records.ptr, records.len);
    batch_set_attributes(b, attributes);
    batch_set_max_timestamp(b, max_timestamp);
    batch_seal(b, len);
    chunk->used = (uint32_t)len;
    c->verdict->chunk = chunk;
    c->verdict->batch = span_of(b, len);
    return 0;
}

static int rewrite(struct check *c)
{
    struct records_verdict *v = c->verdict;
    const uint8_t *b = c->in.ptr;
    struct span records;
    int err = recode(c, &records);
    if (err)
        return err;
    uint16_t attributes = batch_attributes(b) & PRODUCER_ATTRIBUTES & ~BATCH_CODEC_MASK;
    attributes |= (uint16_t)target_codec(c);
    if (c->policy->append_time) {
        attributes |= BATCH_APPEND_TIME;
        v->append_ms = v->max_timestamp = c->now_ms;
        v->max_timestamp_delta = 0; /* all have it */
    }
    bool same = records.ptr == b + BATCH_HEADER_BYTES && attributes == batch_attributes(b) &&
                v->max_timestamp == batch_max_timestamp(b);
    if (!same)
        return write_batch(c, records, attributes, v->max_timestamp);
    v->batch = c->in;
    return 0;
}

static void fill_from_header(struct records_verdict *v, const uint8_t *b)
{
    v->count = batch_record_count(b);
    v->base_timestamp = batch_base_timestamp(b);
    v->producer_id = batch_producer_id(b) < 0 ? -1 : batch_producer_id(b);
    v->producer_epoch = batch_producer_epoch(b);
    v->base_sequence = batch_base_sequence(b);
    v->last_sequence = v->producer_id < 0 ? -1 : batch_last_sequence(b);
    v->transactional = batch_attributes(b) & BATCH_TRANSACTIONAL;
}

int records_check(struct compressor *z, const struct records_policy *p, struct span in, int64_t now_ms,
                  struct arena *a, struct chunk_pool *pool, struct records_verdict *ret)
{
    *ret = (struct records_verdict){.append_ms = -1};
    struct check c = {
        .z = z,
        .policy = p,
        .in = in,
        .now_ms = now_ms,
        .arena = a,
        .pool = pool,
        .verdict = ret,
    };
    int err = check_header(&c);
    if (!err)
        err = check_records(&c);
    if (!err)
        err = rewrite(&c);
    if (z)
        compressor_trim(z); /* nothing points into its scratch any more */
    if (err)
        return err;
    assert(ret->batch.ptr && !ret->message);
    fill_from_header(ret, ret->batch.ptr);
    return 0;
}
