/* zstd, RFC 8878: one frame or several, with or without a content size.
 *
 * Each frame is decoded at one go into the scratch buffer, and again after doubling it where it was too
 * small. A streaming decoder would first allocate the window that the frame's header claims, up to 128 MiB
 * for a frame of ten bytes; here the output is the window. All attempts together cost at most about three
 * times the last. */
#include <zstd.h>
#include <zstd_errors.h>

#include <endian.h>

#include "base/compress_impl.h"
#include "base/err.h"

enum {
    ZSTD_LEVEL_MIN = -100,
    ZSTD_LEVEL_MAX = 19, /* above are those that need hundreds of MB */
    /* How much of a declared content size is believed before the bytes are seen. */
    DECLARED_MAX_RATIO = 16,
};

void zstd_fini(struct compressor *z)
{
    ZSTD_freeDCtx(z->zstd_decoder); /* takes NULL */
    ZSTD_freeCCtx(z->zstd_encoder);
    z->zstd_decoder = NULL;
    z->zstd_encoder = NULL;
}

/* Only RFC 8878's frames: the library may also know the formats of its youth, which nobody should send. */
static bool is_frame(struct span in)
{
    uint32_t magic;
    if (in.len < sizeof(magic))
        return false;
    memcpy(&magic, in.ptr, sizeof(magic));
    magic = le32toh(magic);
    return magic == ZSTD_MAGICNUMBER || (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

/* The content size of a frame is a wish: it saves doubling, and refuses early what is too large anyway. */
static int heed_content_size(struct scratch *out, struct span frame, size_t limit)
{
    unsigned long long size = ZSTD_getFrameContentSize(frame.ptr, frame.len);
    if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR)
        return 0;
    if (out->len > limit || size > limit - out->len)
        return ERR_TOO_LARGE;
    if (size > frame.len * DECLARED_MAX_RATIO)
        size = frame.len * DECLARED_MAX_RATIO;
    return scratch_reserve(out, size, limit);
}

static int decode_frame(struct compressor *z, struct span frame, size_t limit)
{
    struct scratch *out = &z->decoded;
    int err = heed_content_size(out, frame, limit);
    while (!err) {
        size_t n = ZSTD_decompressDCtx(z->zstd_decoder, out->ptr + out->len, out->cap - out->len, frame.ptr,
                                       frame.len);
        if (!ZSTD_isError(n)) {
            out->len += n;
            return 0;
        }
        ZSTD_ErrorCode code = ZSTD_getErrorCode(n);
        if (code == ZSTD_error_memory_allocation)
            return ERR_NO_MEMORY;
        if (code != ZSTD_error_dstSize_tooSmall)
            return ERR_BAD_BATCH;
        err = out->cap > limit ? ERR_TOO_LARGE : scratch_reserve(out, out->cap - out->len + 1, limit);
    }
    return err;
}

int zstd_decode(struct compressor *z, struct span in, size_t limit)
{
    if (!z->zstd_decoder)
        z->zstd_decoder = ZSTD_createDCtx();
    if (!z->zstd_decoder)
        return ERR_NO_MEMORY;
    while (in.len > 0) {
        size_t n = is_frame(in) ? ZSTD_findFrameCompressedSize(in.ptr, in.len) : 0;
        if (n == 0 || ZSTD_isError(n) || n > in.len)
            return ERR_BAD_BATCH;
        int err = decode_frame(z, span_of(in.ptr, n), limit);
        if (err)
            return err;
        in = span_of(in.ptr + n, in.len - n);
    }
    return 0;
}

int zstd_encode(struct compressor *z, int level, struct span in)
{
    if (!z->zstd_encoder)
        z->zstd_encoder = ZSTD_createCCtx();
    if (!z->zstd_encoder)
        return ERR_NO_MEMORY;
    struct scratch *out = &z->encoded;
    int err = scratch_reserve(out, ZSTD_compressBound(in.len), COMPRESS_MAX_BYTES);
    if (err)
        return err;
    level = level_clamp(level, ZSTD_LEVEL_MIN, ZSTD_LEVEL_MAX, ZSTD_CLEVEL_DEFAULT);
    size_t n = ZSTD_compressCCtx(z->zstd_encoder, out->ptr, out->cap, in.ptr, in.len, level);
    if (ZSTD_isError(n))
        return ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation ? ERR_NO_MEMORY : ERR_BUG;
    out->len = n;
    return 0;
}
