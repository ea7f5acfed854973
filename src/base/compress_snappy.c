/* snappy: a raw block, or blocks in the framing of snappy-java, which the Java client writes.
 *
 *     8  bytes  82 'S' 'N' 'A' 'P' 'P' 'Y' 00
 *     8  bytes  version and lowest compatible version, i32 each; some writers use the wrong byte order
 *     then, until the end: i32 length (big-endian), that many bytes of a raw block
 *
 * Streams may be concatenated: where a length would stand, the 16 bytes may come again. This is not the
 * framing of snappy's own framing_format.txt, which no Kafka client uses. */
#include <endian.h>
#include <snappy-c.h>

#include "base/compress_impl.h"
#include "base/err.h"

enum {
    XERIAL_HEADER_BYTES = 16,
    XERIAL_BLOCK_BYTES = 32 * 1024, /* snappy-java's default */
    /* Snappy's densest element is a copy of 64 bytes in 3, so a block that claims more lies. */
    SNAPPY_MAX_RATIO = 22,
    SNAPPY_RATIO_SLACK = 64,
};

static const uint8_t xerial_magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};

static bool is_xerial(struct span in)
{
    return in.len >= XERIAL_HEADER_BYTES && memcmp(in.ptr, xerial_magic, sizeof(xerial_magic)) == 0;
}

static int decode_block(struct scratch *out, struct span in, size_t limit)
{
    size_t size;
    if (snappy_uncompressed_length((const char *)in.ptr, in.len, &size) != SNAPPY_OK)
        return ERR_BAD_BATCH;
    if (size > in.len * SNAPPY_MAX_RATIO + SNAPPY_RATIO_SLACK)
        return ERR_BAD_BATCH;
    if (out->len > limit || size > limit - out->len)
        return ERR_TOO_LARGE;
    int err = scratch_reserve(out, size, limit);
    if (err)
        return err;
    if (snappy_uncompress((const char *)in.ptr, in.len, (char *)out->ptr + out->len, &size) != SNAPPY_OK)
        return ERR_BAD_BATCH;
    out->len += size;
    return 0;
}

static struct span skip(struct span in, size_t n)
{
    return span_of(in.ptr + n, in.len - n);
}

static int decode_xerial(struct scratch *out, struct span in, size_t limit)
{
    while (in.len > 0) {
        if (is_xerial(in)) {
            in = skip(in, XERIAL_HEADER_BYTES);
            continue;
        }
        uint32_t n;
        if (in.len < sizeof(n))
            return ERR_BAD_BATCH;
        memcpy(&n, in.ptr, sizeof(n));
        n = be32toh(n);
        in = skip(in, sizeof(n));
        if (n > in.len)
            return ERR_BAD_BATCH;
        int err = decode_block(out, span_of(in.ptr, n), limit);
        if (err)
            return err;
        in = skip(in, n);
    }
    return 0;
}

int snappy_decode(struct compressor *z, struct span in, size_t limit)
{
    return is_xerial(in) ? decode_xerial(&z->decoded, in, limit) : decode_block(&z->decoded, in, limit);
}

static void put_u32(struct scratch *out, uint32_t v)
{
    v = htobe32(v);
    memcpy(out->ptr + out->len, &v, sizeof(v));
    out->len += sizeof(v);
}

/* The caller made room. */
static int encode_block(struct scratch *out, struct span in)
{
    size_t n = out->cap - out->len - sizeof(uint32_t);
    char *to = (char *)out->ptr + out->len + sizeof(uint32_t);
    if (snappy_compress((const char *)in.ptr, in.len, to, &n) != SNAPPY_OK)
        return ERR_BUG;
    put_u32(out, (uint32_t)n);
    out->len += n;
    return 0;
}

int snappy_encode(struct compressor *z, struct span in)
{
    struct scratch *out = &z->encoded;
    size_t blocks = in.len / XERIAL_BLOCK_BYTES + 1;
    size_t block_bound = snappy_max_compressed_length(XERIAL_BLOCK_BYTES) + sizeof(uint32_t);
    if (blocks == 1)
        block_bound = snappy_max_compressed_length(in.len) + sizeof(uint32_t);
    int err = scratch_reserve(out, XERIAL_HEADER_BYTES + blocks * block_bound, COMPRESS_MAX_BYTES);
    if (err)
        return err;
    memcpy(out->ptr, xerial_magic, sizeof(xerial_magic));
    out->len = sizeof(xerial_magic);
    put_u32(out, 1);
    put_u32(out, 1);
    while (!err && in.len > 0) {
        size_t n = in.len < XERIAL_BLOCK_BYTES ? in.len : XERIAL_BLOCK_BYTES;
        err = encode_block(out, span_of(in.ptr, n));
        in = skip(in, n);
    }
    return err;
}
