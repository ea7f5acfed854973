#include "store/batch.h"

#include <assert.h>

#include "base/crc32c.h"
#include "base/err.h"

int batch_peek(struct span bytes, size_t *ret_len)
{
    if (bytes.len < BATCH_LENGTH_END) {
        *ret_len = 0;
        return ERR_EOF;
    }
    int32_t length = batch_batch_length(bytes.ptr);
    if (length < BATCH_HEADER_BYTES - BATCH_LENGTH_END)
        return ERR_BAD_BATCH;
    if (bytes.len >= BATCH_MAGIC_END && batch_magic(bytes.ptr) != BATCH_MAGIC)
        return ERR_BAD_BATCH;
    *ret_len = batch_bytes(bytes.ptr);
    return bytes.len < *ret_len ? ERR_EOF : 0;
}

/* A batch takes at least as many offsets as it holds records; compaction removes records, never offsets. */
static bool counts_agree(const uint8_t *b)
{
    return batch_record_count(b) >= 0 && batch_last_offset_delta(b) >= 0 &&
           batch_last_offset_delta(b) >= batch_record_count(b) - 1;
}

int batch_check_header(struct span batch)
{
    size_t len;
    if (batch_peek(batch, &len) < 0 || len != batch.len)
        return ERR_BAD_BATCH;
    if (batch_codec(batch.ptr) >= CODEC_COUNT)
        return ERR_BAD_BATCH;
    int64_t base = batch_base_offset(batch.ptr);
    if (!counts_agree(batch.ptr) || base < 0 || base > INT64_MAX - batch_last_offset_delta(batch.ptr) - 1)
        return ERR_BAD_BATCH;
    return 0;
}

int batch_check_crc(struct span batch)
{
    assert(batch.len >= BATCH_HEADER_BYTES);
    uint32_t crc = crc32c(batch.ptr + BATCH_CRC_START, batch.len - BATCH_CRC_START);
    return crc == batch_crc(batch.ptr) ? 0 : ERR_BAD_CHECKSUM;
}

void batch_seal(uint8_t *batch, size_t len)
{
    assert(len >= BATCH_HEADER_BYTES && len - BATCH_LENGTH_END <= INT32_MAX);
    batch_set_batch_length(batch, (int32_t)(len - BATCH_LENGTH_END));
    batch_set_crc(batch, crc32c(batch + BATCH_CRC_START, len - BATCH_CRC_START));
}
