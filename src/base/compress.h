/* The compression codecs of Kafka's record batches, with bounded memory whatever a peer's bytes claim. */
#ifndef COLOBUS_BASE_COMPRESS_H
#define COLOBUS_BASE_COMPRESS_H

#include "base/span.h"

/* The numbers are those of a batch's attributes, bits 0-2. */
enum codec { CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD, CODEC_COUNT };

enum {
    COMPRESS_MAX_BYTES = 512 << 20, /* nothing is ever decompressed beyond this, whatever max_out says */
    COMPRESS_KEEP_BYTES = 1 << 20,  /* a larger scratch buffer is given back at the next call */
    COMPRESS_LEVEL_DEFAULT = -0x7fffffff,
};

/* Codec contexts and scratch buffers, made on first use and reused: one per shard, its thread only. */
struct compressor;

struct compressor *compressor_new(void);
void compressor_free(struct compressor *z); /* takes NULL */
/* Gives back scratch beyond COMPRESS_KEEP_BYTES now; what earlier calls returned is gone. For a quiet moment.
 */
void compressor_trim(struct compressor *z);
/* Bytes of the scratch buffers now held; codec contexts come on top. */
size_t compressor_scratch_bytes(const struct compressor *z);

/* Decompresses all of `in`. *ret_out lives until the next compress_decode() or compressor_trim(); with
 * CODEC_NONE it is `in` itself. The scratch buffer grows with bytes really produced (at most doubling) or,
 * for snappy, to at most 22 times the input, and never beyond max_out + 1. ERR_TOO_LARGE: more than max_out
 * bytes come out. ERR_BAD_BATCH: damaged, cut or trailing bytes. ERR_BAD_CODEC: not a codec. ERR_NO_MEMORY.
 */
int compress_decode(struct compressor *z, enum codec codec, struct span in, size_t max_out,
                    struct span *ret_out);

/* Compresses `in`, which may be what compress_decode() returned, into the form that every Kafka client reads
 * (snappy in snappy-java's framing, lz4 as a frame of independent blocks). *ret_out lives until the next
 * compress_encode() or compressor_trim(). `level` is the codec's own (gzip 1..9, lz4 1..12, zstd 1..19;
 * others are cut to the nearest), or COMPRESS_LEVEL_DEFAULT. ERR_BAD_CODEC, ERR_NO_MEMORY, ERR_TOO_LARGE:
 * `in` is longer than COMPRESS_MAX_BYTES. */
int compress_encode(struct compressor *z, enum codec codec, int level, struct span in, struct span *ret_out);

/* False if the Java client cannot read these compressed bytes although others can: lz4 frames whose blocks
 * depend on each other. Looks at the frame's first bytes only. */
bool compress_is_portable(enum codec codec, struct span in);

const char *codec_name(enum codec codec); /* "none", "gzip", "snappy", "lz4", "zstd" */
/* By name; also "uncompressed". ERR_BAD_CODEC. */
int codec_parse(struct span name, enum codec *ret_codec);

#endif
