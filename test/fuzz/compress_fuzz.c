/* Fuzzes the codecs. Input: one byte (bits 0-2: codec, bit 3: small limit), then compressed bytes.
 * Whatever they are, memory stays bounded; and taken as plain bytes, they survive encoding and decoding. */
#include <stdlib.h>

#include "base/compress.h"
#include "base/err.h"

enum { SMALL_LIMIT = 1000, LARGE_LIMIT = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void decode(struct compressor *z, enum codec codec, struct span in, size_t limit)
{
    struct span out;
    int err = compress_decode(z, codec, in, limit, &out);
    require(err == 0 || err == ERR_BAD_BATCH || err == ERR_TOO_LARGE || err == ERR_BAD_CODEC);
    require(err != 0 || out.len <= limit);
    if (err == 0 && out.len > 0) { /* every byte is there to be read */
        volatile uint8_t sum = 0;
        for (size_t i = 0; i < out.len; i++)
            sum = (uint8_t)(sum + out.ptr[i]);
    }
    /* The encoder's buffer, and the decoder's if it is from before a smaller limit, may be kept as they are.
     */
    require(compressor_scratch_bytes(z) <= limit + 1 + 2 * COMPRESS_KEEP_BYTES);
    require(err == 0 || compressor_scratch_bytes(z) <= 2 * COMPRESS_KEEP_BYTES);
}

static void round_trip(struct compressor *z, enum codec codec, struct span in)
{
    struct span packed, out;
    require(compress_encode(z, codec, (int)(in.len % 10), in, &packed) == 0);
    require(compress_decode(z, codec, packed, in.len, &out) == 0);
    require(span_eq(in, out));
    compressor_trim(z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    static struct compressor *z; /* kept, so that one input meets what the one before left */
    if (!z)
        z = compressor_new();
    enum codec codec = (enum codec)(data[0] & 7);
    struct span in = span_of(data + 1, size - 1);
    decode(z, codec, in, data[0] & 8 ? SMALL_LIMIT : LARGE_LIMIT);
    if (codec < CODEC_COUNT)
        round_trip(z, codec, in);
    return 0;
}
