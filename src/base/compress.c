#include "base/compress.h"

#include <assert.h>

#include "base/compress_impl.h"
#include "base/err.h"
#include "base/mem.h"

enum { SCRATCH_MIN_BYTES = 4096, GUESSED_RATIO = 4 };

static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd"};
_Static_assert(sizeof(names) / sizeof(names[0]) == CODEC_COUNT, "a name for each codec");

const char *codec_name(enum codec codec)
{
    return (unsigned)codec < CODEC_COUNT ? names[codec] : "unknown";
}

int codec_parse(struct span name, enum codec *ret_codec)
{
    if (span_eq_str(name, "uncompressed")) {
        *ret_codec = CODEC_NONE;
        return 0;
    }
    for (int i = 0; i < CODEC_COUNT; i++) {
        if (span_eq_str(name, names[i])) {
            *ret_codec = (enum codec)i;
            return 0;
        }
    }
    return ERR_BAD_CODEC;
}

static int scratch_resize(struct scratch *s, size_t cap)
{
    uint8_t *ptr = mem_try(cap);
    if (!ptr)
        return ERR_NO_MEMORY;
    if (s->len)
        memcpy(ptr, s->ptr, s->len);
    mem_free(s->ptr);
    s->ptr = ptr;
    s->cap = cap;
    return 0;
}

static void scratch_drop(struct scratch *s)
{
    mem_free(s->ptr);
    *s = (struct scratch){0};
}

int scratch_start(struct scratch *s, size_t hint, size_t limit)
{
    s->len = 0;
    if (s->cap > COMPRESS_KEEP_BYTES)
        scratch_drop(s);
    if (hint < SCRATCH_MIN_BYTES)
        hint = SCRATCH_MIN_BYTES;
    if (hint > limit + 1)
        hint = limit + 1;
    return s->cap < hint ? scratch_resize(s, hint) : 0;
}

int scratch_more(struct scratch *s, size_t limit)
{
    if (s->len > limit)
        return ERR_TOO_LARGE;
    return scratch_reserve(s, 1, limit);
}

int scratch_reserve(struct scratch *s, size_t need, size_t limit)
{
    if (s->cap - s->len >= need)
        return 0;
    size_t cap = s->cap * 2 > limit + 1 ? limit + 1 : s->cap * 2;
    return scratch_resize(s, cap > s->len + need ? cap : s->len + need);
}

struct compressor *compressor_new(void)
{
    return mem_zalloc(sizeof(struct compressor));
}

void compressor_free(struct compressor *z)
{
    if (!z)
        return;
    gzip_fini(z);
    lz4_fini(z);
    zstd_fini(z);
    scratch_drop(&z->decoded);
    scratch_drop(&z->encoded);
    mem_free(z);
}

void compressor_trim(struct compressor *z)
{
    if (z->decoded.cap > COMPRESS_KEEP_BYTES)
        scratch_drop(&z->decoded);
    if (z->encoded.cap > COMPRESS_KEEP_BYTES)
        scratch_drop(&z->encoded);
}

size_t compressor_scratch_bytes(const struct compressor *z)
{
    return z->decoded.cap + z->encoded.cap;
}

static int decode_by(struct compressor *z, enum codec codec, struct span in, size_t limit)
{
    switch (codec) {
    case CODEC_GZIP:
        return gzip_decode(z, in, limit);
    case CODEC_SNAPPY:
        return snappy_decode(z, in, limit);
    case CODEC_LZ4:
        return lz4_decode(z, in, limit);
    case CODEC_ZSTD:
        return zstd_decode(z, in, limit);
    default:
        return ERR_BAD_CODEC;
    }
}

int compress_decode(struct compressor *z, enum codec codec, struct span in, size_t max_out,
                    struct span *ret_out)
{
    size_t limit = max_out < COMPRESS_MAX_BYTES ? max_out : COMPRESS_MAX_BYTES;
    if (codec == CODEC_NONE) {
        if (in.len > limit)
            return ERR_TOO_LARGE;
        *ret_out = in;
        return 0;
    }
    if ((unsigned)codec >= CODEC_COUNT)
        return ERR_BAD_CODEC;
    if (in.len == 0)
        return ERR_BAD_BATCH; /* even nothing has a header in every codec */
    if (in.len > COMPRESS_MAX_BYTES)
        return ERR_TOO_LARGE;
    int err = scratch_start(&z->decoded, in.len * GUESSED_RATIO, limit);
    if (!err)
        err = decode_by(z, codec, in, limit);
    if (!err && z->decoded.len > limit)
        err = ERR_TOO_LARGE;
    if (!err)
        *ret_out = span_of(z->decoded.ptr, z->decoded.len);
    else if (z->decoded.cap > COMPRESS_KEEP_BYTES)
        scratch_drop(&z->decoded);
    return err;
}

static int encode_by(struct compressor *z, enum codec codec, int level, struct span in)
{
    switch (codec) {
    case CODEC_GZIP:
        return gzip_encode(z, level, in);
    case CODEC_SNAPPY:
        return snappy_encode(z, in);
    case CODEC_LZ4:
        return lz4_encode(z, level, in);
    case CODEC_ZSTD:
        return zstd_encode(z, level, in);
    default:
        return ERR_BAD_CODEC;
    }
}

int compress_encode(struct compressor *z, enum codec codec, int level, struct span in, struct span *ret_out)
{
    if (in.len > COMPRESS_MAX_BYTES)
        return ERR_TOO_LARGE;
    if (codec == CODEC_NONE) {
        *ret_out = in;
        return 0;
    }
    int err = scratch_start(&z->encoded, 0, COMPRESS_MAX_BYTES);
    if (!err)
        err = encode_by(z, codec, level, in);
    if (!err)
        *ret_out = span_of(z->encoded.ptr, z->encoded.len);
    return err;
}

/* The frame descriptor follows the 4-byte magic; bit 5 of its first byte is block independence. Kafka's own
 * lz4 reader requires it (Lz4BlockInputStream: "Dependent block stream is unsupported"). */
bool compress_is_portable(enum codec codec, struct span in)
{
    static const uint8_t frame_magic[] = {0x04, 0x22, 0x4d, 0x18};
    if (codec != CODEC_LZ4 || in.len < 5)
        return true;
    return memcmp(in.ptr, frame_magic, 4) == 0 && (in.ptr[4] & 0x20);
}
