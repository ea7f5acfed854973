/* What the files of compress_*.c share: the scratch buffer that grows with what is produced. */
#ifndef COLOBUS_BASE_COMPRESS_IMPL_H
#define COLOBUS_BASE_COMPRESS_IMPL_H

#include "base/compress.h"

struct scratch {
    uint8_t *ptr;
    size_t len, cap;
};

/* Contexts are NULL until their codec is first used. */
struct compressor {
    struct scratch decoded, encoded;
    struct z_stream_s *inflate, *deflate;
    int deflate_level;
    struct LZ4F_dctx_s *lz4_decoder;
    struct ZSTD_DCtx_s *zstd_decoder;
    struct ZSTD_CCtx_s *zstd_encoder;
};

/* Empties s and gives it room for about `hint` bytes, limit + 1 at the most. 0 or ERR_NO_MEMORY. */
int scratch_start(struct scratch *s, size_t hint, size_t limit);
/* Makes s->len < s->cap by doubling. ERR_TOO_LARGE: more than `limit` bytes are in it. ERR_NO_MEMORY. */
int scratch_more(struct scratch *s, size_t limit);
/* Makes room for `need` more bytes, and doubles if limit + 1 allows it, so that many small steps stay cheap.
 * ERR_NO_MEMORY. */
int scratch_reserve(struct scratch *s, size_t need, size_t limit);

/* One pair per codec. Decoders append to z->decoded and may leave one byte more than `limit` in it, at least,
 * instead of ERR_TOO_LARGE. Encoders append to z->encoded. */
int gzip_decode(struct compressor *z, struct span in, size_t limit);
int gzip_encode(struct compressor *z, int level, struct span in);
int snappy_decode(struct compressor *z, struct span in, size_t limit);
int snappy_encode(struct compressor *z, struct span in);
int lz4_decode(struct compressor *z, struct span in, size_t limit);
int lz4_encode(struct compressor *z, int level, struct span in);
int zstd_decode(struct compressor *z, struct span in, size_t limit);
int zstd_encode(struct compressor *z, int level, struct span in);

void gzip_fini(struct compressor *z);
void lz4_fini(struct compressor *z);
void zstd_fini(struct compressor *z);

/* `level` cut to [min, max]; the default stays what the codec calls it. */
static inline int level_clamp(int level, int min, int max, int by_default)
{
    if (level == COMPRESS_LEVEL_DEFAULT)
        return by_default;
    return level < min ? min : level > max ? max : level;
}

#endif
