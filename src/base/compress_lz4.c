/* lz4: the frame format of lz4_Frame_format.md, one frame or several. Batches of magic 2 carry correct header
 * checksums; Kafka's famous wrong one belonged to formats 0 and 1 (KIP-57). */
#include <assert.h>
#include <lz4frame.h>
#include <lz4hc.h>

#include "base/compress_impl.h"
#include "base/err.h"

enum {
    BLOCK_ID_256_KIB = 5, /* in bits 4-6 of a frame's second descriptor byte; 6: 1 MiB, 7: 4 MiB */
    BLOCK_ID_AT = 5,
};

void lz4_fini(struct compressor *z)
{
    LZ4F_freeDecompressionContext(z->lz4_decoder); /* takes NULL */
    z->lz4_decoder = NULL;
}

static int start_decoder(struct compressor *z)
{
    if (z->lz4_decoder) {
        LZ4F_resetDecompressionContext(z->lz4_decoder);
        return 0;
    }
    return LZ4F_isError(LZ4F_createDecompressionContext(&z->lz4_decoder, LZ4F_VERSION)) ? ERR_NO_MEMORY : 0;
}

/* True if this frame makes the decoder allocate buffers for large blocks: up to 8 MiB, before any is seen. */
static bool has_large_blocks(struct span frame)
{
    return frame.len > BLOCK_ID_AT && (frame.ptr[BLOCK_ID_AT] >> 4 & 7) > BLOCK_ID_256_KIB;
}

/* The codes themselves are not in the public header, their names are. */
static bool is_memory_error(size_t r)
{
    return strcmp(LZ4F_getErrorName(r), "ERROR_allocation_failed") == 0;
}

/* One step: room, decode, advance. *ret_left is 0 at the end of a frame. */
static int decode_some(struct compressor *z, struct span *in, size_t limit, size_t *ret_left)
{
    struct scratch *out = &z->decoded;
    int err = scratch_more(out, limit);
    if (err)
        return err;
    size_t made = out->cap - out->len, taken = in->len;
    size_t left = LZ4F_decompress(z->lz4_decoder, out->ptr + out->len, &made, in->ptr, &taken, NULL);
    if (LZ4F_isError(left))
        return is_memory_error(left) ? ERR_NO_MEMORY : ERR_BAD_BATCH;
    if (made == 0 && taken == 0)
        return ERR_BAD_BATCH; /* it has room and wants more input: cut */
    out->len += made;
    *in = span_of(in->ptr + taken, in->len - taken);
    *ret_left = left;
    return 0;
}

int lz4_decode(struct compressor *z, struct span in, size_t limit)
{
    int err = start_decoder(z);
    bool large = false;
    size_t left = 0;
    while (!err && (in.len > 0 || left > 0)) {
        if (left == 0)
            large = large || has_large_blocks(in);
        err = decode_some(z, &in, limit, &left);
    }
    /* LZ4F_resetDecompressionContext() keeps what is missing of a declared content size, and would then find
     * the next frame wrong (1.9.4): a context that has met an error is not used again. */
    if (err || large)
        lz4_fini(z);
    return err;
}

int lz4_encode(struct compressor *z, int level, struct span in)
{
    /* What the Java client writes: independent blocks, no checksum of the content, no content size. */
    LZ4F_preferences_t prefs = {
        .frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
        .compressionLevel = level_clamp(level, 1, LZ4HC_CLEVEL_MAX, 0),
    };
    struct scratch *out = &z->encoded;
    int err = scratch_reserve(out, LZ4F_compressFrameBound(in.len, &prefs), COMPRESS_MAX_BYTES);
    if (err)
        return err;
    size_t n = LZ4F_compressFrame(out->ptr, out->cap, in.ptr, in.len, &prefs);
    if (LZ4F_isError(n))
        return is_memory_error(n) ? ERR_NO_MEMORY : ERR_BUG;
    out->len = n;
    return 0;
}
