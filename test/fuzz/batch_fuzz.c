/* Fuzzes all that reads record batches. Input: one byte of policy (bits 0-2: compression.type, 7 = producer;
 * 3: LogAppendTime, 4: compacted, 5: trust, 6: limits of time, 7: make the length and CRC right first), then
 * what a Produce request carries. A batch that is taken must be sound, and be taken again unchanged. */
#include <stdlib.h>

#include "base/err.h"
#include "core/records.h"

enum { NOW_MS = 1700000000, DECODED_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct compressor *z;
static struct chunk_pool pool;

static void require(bool ok)
{
    if (!ok)
        abort();
}

static struct records_policy policy_of(uint8_t bits)
{
    return (struct records_policy){
        .max_message_bytes = 1 << 20,
        .max_decoded_bytes = DECODED_MAX,
        .append_time = bits & 8,
        .before_max_ms = bits & 64 ? 3600000 : INT64_MAX,
        .after_max_ms = bits & 64 ? 3600000 : INT64_MAX,
        .codec = (bits & 7) < CODEC_COUNT ? bits & 7 : RECORDS_CODEC_PRODUCER,
        .level = 1,
        .compacted = bits & 16,
        .allow_zstd = true,
        .trust = bits & 32,
    };
}

static int64_t walk(struct span batch)
{
    struct records_iter it;
    struct record r;
    struct span key, value;
    int err = records_open(z, batch, DECODED_MAX, &it);
    int64_t count = 0;
    while (!err && (err = records_next(&it, &r)) > 0) {
        uint32_t headers = 0;
        for (struct span rest = r.headers; record_header_next(&rest, &key, &value) > 0;)
            headers++;
        require(headers == r.header_count);
        count++;
        err = 0;
    }
    return err ? err : count;
}

/* As the store sees bytes: nothing is known of them. */
static void read_as_stored(struct span bytes)
{
    size_t len;
    int64_t offset, ms;
    if (batch_peek(bytes, &len) || batch_check_header(span_of(bytes.ptr, len)))
        return;
    struct span batch = span_of(bytes.ptr, len);
    (void)batch_check_crc(batch);
    (void)walk(batch);
    (void)records_find_timestamp(z, batch, DECODED_MAX, 0, NOW_MS, &offset, &ms);
    (void)records_max_timestamp(z, batch, DECODED_MAX, 0, &offset, &ms);
}

static void check_taken(const struct records_policy *p, const struct records_verdict *v, struct arena *a)
{
    int64_t offset, ms;
    require(batch_check_header(v->batch) == 0 && batch_check_crc(v->batch) == 0);
    require(v->count > 0 && v->batch.len <= p->max_message_bytes);
    if (p->trust)
        return;
    require(walk(v->batch) == v->count);
    require(records_max_timestamp(z, v->batch, DECODED_MAX, 0, &offset, &ms) == 0);
    require(ms == v->max_timestamp || v->max_timestamp == -1);
    require(v->max_timestamp == -1 || offset == v->max_timestamp_delta);
    if (p->append_time)
        return; /* a producer may not send what was made of it */
    struct records_verdict again;
    require(records_check(z, p, v->batch, NOW_MS, a, &pool, &again) == 0);
    require(again.chunk == NULL && again.max_timestamp == v->max_timestamp && again.count == v->count);
}

static void produce(const struct records_policy *p, struct span in)
{
    struct arena a;
    struct records_verdict v;
    arena_init(&a);
    int err = records_check(z, p, in, NOW_MS, &a, &pool, &v);
    require((err == 0) == (v.message == NULL));
    if (err == 0)
        check_taken(p, &v, &a);
    for (uint32_t i = 0; i < v.error_count; i++)
        require(v.errors[i].message && v.errors[i].index >= 0);
    chunk_unref(v.chunk);
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (!z) {
        z = compressor_new();
        chunk_pool_init(&pool, "fuzz", 4096, 2);
    }
    struct records_policy p = policy_of(data[0]);
    size_t len = size - 1;
    uint8_t *bytes = malloc(len ? len : 1); /* its own block, so that the sanitizer sees its end */
    memcpy(bytes, data + 1, len);
    if (data[0] & 128 && len >= BATCH_HEADER_BYTES)
        batch_seal(bytes, len);
    produce(&p, span_of(bytes, len));
    read_as_stored(span_of(bytes, len));
    free(bytes);
    require(atomic_load(&pool.used_bytes) == 0);
    return 0;
}
