/* The codecs: what goes in comes out, and no input makes them crash or take more memory than they may. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <lz4frame.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/compress.h"
#include "base/err.h"
#include "base/mem.h"

enum { MIB = 1 << 20, LIMIT = 4 * MIB };

static const enum codec codecs[] = {CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD};
#define EACH_CODEC(c) for (enum codec c = CODEC_GZIP; c <= CODEC_ZSTD; c++)

static uint64_t rng_state;

static uint32_t rng(void)
{
    rng_state = rng_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rng_state >> 33);
}

/* Bytes of a kind between noise and repetition. */
static void fill(uint8_t *p, size_t len)
{
    uint32_t kind = rng() % 4;
    for (size_t i = 0; i < len; i++) {
        if (kind == 0 || i < 16 || rng() % 8 == 0)
            p[i] = (uint8_t)rng();
        else
            p[i] = kind == 1 ? p[i - 1] : p[i - 1 - rng() % 16];
    }
}

static int setup(void **state)
{
    rng_state = 42;
    *state = compressor_new();
    return 0;
}

static int teardown(void **state)
{
    compressor_free(*state);
    return 0;
}

static void what_is_encoded_decodes_to_the_same(void **state)
{
    uint8_t *data = malloc(300000);
    EACH_CODEC(c)
    {
        for (int round = 0; round < 60; round++) {
            size_t len = round < 20 ? (size_t)round : rng() % (round < 40 ? 3000 : 300000);
            fill(data, len);
            struct span packed, out;
            int level = round % 3 ? COMPRESS_LEVEL_DEFAULT : round % 12;
            assert_int_equal(compress_encode(*state, c, level, span_of(data, len), &packed), 0);
            assert_int_equal(compress_decode(*state, c, packed, len, &out), 0);
            assert_true(span_eq(out, span_of(data, len)));
        }
    }
    free(data);
}

static void one_byte_below_the_real_size_is_too_large(void **state)
{
    uint8_t data[20000];
    EACH_CODEC(c)
    {
        for (int round = 0; round < 30; round++) {
            size_t len = 1 + rng() % sizeof(data);
            fill(data, len);
            struct span packed, out;
            assert_int_equal(compress_encode(*state, c, COMPRESS_LEVEL_DEFAULT, span_of(data, len), &packed),
                             0);
            assert_int_equal(compress_decode(*state, c, packed, len - 1, &out), ERR_TOO_LARGE);
        }
    }
}

/* ---- what others write ------------------------------------------------------------------------------- */

static void snappy_of_both_forms_is_read(void **state)
{
    uint8_t data[5000], raw[8000];
    char framed[16 + 4 + 8000];
    fill(data, sizeof(data));
    size_t n = sizeof(raw);
    assert_int_equal(snappy_compress((char *)data, sizeof(data), (char *)raw, &n), SNAPPY_OK);
    struct span out;
    assert_int_equal(compress_decode(*state, CODEC_SNAPPY, span_of(raw, n), LIMIT, &out), 0);
    assert_true(span_eq(out, span_of(data, sizeof(data))));
    memcpy(framed, "\x82SNAPPY\0\0\0\0\1\0\0\0\1", 16);
    uint8_t length[4] = {0, 0, (uint8_t)(n >> 8), (uint8_t)n};
    memcpy(framed + 16, length, 4);
    memcpy(framed + 20, raw, n);
    assert_int_equal(compress_decode(*state, CODEC_SNAPPY, span_of(framed, 20 + n), LIMIT, &out), 0);
    assert_true(span_eq(out, span_of(data, sizeof(data))));
}

/* Each codec allows its streams to follow each other. */
static void streams_may_be_concatenated(void **state)
{
    uint8_t data[6000], twice[12000], packed[40000];
    fill(data, sizeof(data));
    memcpy(twice, data, sizeof(data));
    memcpy(twice + sizeof(data), data, sizeof(data));
    EACH_CODEC(c)
    {
        struct span one, out;
        assert_int_equal(compress_encode(*state, c, 3, span_of(data, sizeof(data)), &one), 0);
        memcpy(packed, one.ptr, one.len);
        memcpy(packed + one.len, one.ptr, one.len);
        assert_int_equal(compress_decode(*state, c, span_of(packed, 2 * one.len), sizeof(twice), &out), 0);
        assert_true(span_eq(out, span_of(twice, sizeof(twice))));
        assert_int_equal(compress_decode(*state, c, span_of(packed, 2 * one.len), sizeof(twice) - 1, &out),
                         ERR_TOO_LARGE);
    }
}

static void zstd_frames_without_content_size_are_read(void **state)
{
    uint8_t data[100000], packed[120000];
    fill(data, sizeof(data));
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, 0);
    size_t n = ZSTD_compress2(ctx, packed, sizeof(packed), data, sizeof(data));
    ZSTD_freeCCtx(ctx);
    assert_int_equal(ZSTD_getFrameContentSize(packed, n), ZSTD_CONTENTSIZE_UNKNOWN);
    struct span out;
    assert_int_equal(compress_decode(*state, CODEC_ZSTD, span_of(packed, n), sizeof(data), &out), 0);
    assert_true(span_eq(out, span_of(data, sizeof(data))));
}

static void linked_lz4_blocks_are_read_but_not_portable(void **state)
{
    static uint8_t data[300000], packed[400000];
    fill(data, sizeof(data));
    for (int id = LZ4F_max64KB; id <= LZ4F_max4MB; id++) {
        LZ4F_preferences_t prefs = {.frameInfo = {.blockSizeID = id,
                                                  .blockMode = LZ4F_blockLinked,
                                                  .contentChecksumFlag = LZ4F_contentChecksumEnabled}};
        size_t n = LZ4F_compressFrame(packed, sizeof(packed), data, sizeof(data), &prefs);
        struct span out, in = span_of(packed, n);
        assert_int_equal(compress_decode(*state, CODEC_LZ4, in, LIMIT, &out), 0);
        assert_true(span_eq(out, span_of(data, sizeof(data))));
        assert_true(compress_is_portable(CODEC_LZ4, in) == (id >= LZ4F_max1MB)); /* there it is one block */
    }
}

static void what_we_encode_is_portable(void **state)
{
    static uint8_t data[200000];
    fill(data, sizeof(data));
    struct span packed;
    for (int level = 1; level <= 12; level++) {
        assert_int_equal(compress_encode(*state, CODEC_LZ4, level, span_of(data, sizeof(data)), &packed), 0);
        assert_true(compress_is_portable(CODEC_LZ4, packed));
    }
}

/* ---- bombs ------------------------------------------------------------------------------------------- */

/* 1 GiB of zeros, through each library's streaming encoder. */
static size_t gzip_bomb(uint8_t *to, size_t cap, const uint8_t *zeros)
{
    z_stream s = {0};
    deflateInit2(&s, 9, Z_DEFLATED, 31, 8, 0);
    s.next_out = to;
    s.avail_out = (uInt)cap;
    for (int i = 0; i < 1024; i++) {
        s.next_in = (Bytef *)zeros;
        s.avail_in = MIB;
        deflate(&s, i == 1023 ? Z_FINISH : Z_NO_FLUSH);
    }
    size_t n = cap - s.avail_out;
    deflateEnd(&s);
    return n;
}

static size_t zstd_bomb(uint8_t *to, size_t cap, const uint8_t *zeros)
{
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    ZSTD_outBuffer out = {to, cap, 0};
    for (int i = 0; i < 1024; i++) {
        ZSTD_inBuffer in = {zeros, MIB, 0};
        ZSTD_compressStream2(ctx, &out, &in, i == 1023 ? ZSTD_e_end : ZSTD_e_continue);
    }
    ZSTD_freeCCtx(ctx);
    return out.pos;
}

static size_t lz4_bomb(uint8_t *to, size_t cap, const uint8_t *zeros)
{
    LZ4F_cctx *ctx;
    LZ4F_createCompressionContext(&ctx, LZ4F_VERSION);
    LZ4F_preferences_t prefs = {.frameInfo = {.blockSizeID = LZ4F_max4MB}};
    size_t n = LZ4F_compressBegin(ctx, to, cap, &prefs);
    for (int i = 0; i < 1024; i++)
        n += LZ4F_compressUpdate(ctx, to + n, cap - n, zeros, MIB, NULL);
    n += LZ4F_compressEnd(ctx, to + n, cap - n, NULL);
    LZ4F_freeCompressionContext(ctx);
    return n;
}

/* Snappy is at most 22 times smaller, so this bomb is 47 MiB of one block in snappy-java's framing, repeated.
 */
static size_t snappy_bomb(uint8_t *to, size_t cap, const uint8_t *zeros)
{
    size_t n = snappy_max_compressed_length(MIB);
    memcpy(to, "\x82SNAPPY\0\0\0\0\1\0\0\0\1", 16);
    snappy_compress((const char *)zeros, MIB, (char *)to + 20, &n);
    uint8_t length[4] = {0, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    memcpy(to + 16, length, 4);
    for (int i = 1; i < 1024; i++)
        memcpy(to + 16 + (size_t)i * (n + 4), to + 16, n + 4);
    return 16 + 1024 * (n + 4);
}

static void bombs_are_stopped_at_the_limit(void **state)
{
    size_t cap = 64 * MIB;
    uint8_t *zeros = calloc(1, MIB), *bomb = malloc(cap);
    size_t (*const make[])(uint8_t *, size_t, const uint8_t *) = {gzip_bomb, snappy_bomb, lz4_bomb,
                                                                  zstd_bomb};
    for (int i = 0; i < 4; i++) {
        size_t n = make[i](bomb, cap, zeros);
        assert_true(n > 0 && n <= cap);
        struct span out;
        assert_int_equal(compress_decode(*state, codecs[i], span_of(bomb, n), LIMIT, &out), ERR_TOO_LARGE);
        assert_true(compressor_scratch_bytes(*state) <= LIMIT + 1);
    }
    free(zeros);
    free(bomb);
}

/* A few bytes that claim gigabytes must not cost more than the smallest buffer. */
static void claims_are_not_believed(void **state)
{
    static const uint8_t snappy[] = {0x80, 0x80, 0x80, 0x80, 0x01, 0, 'x'}; /* 256 MiB */
    static const uint8_t lz4[] = {4, 0x22, 0x4d, 0x18, 0x68, 0x70, 0, 0, 0, 0x10,
                                  0, 0,    0,    0,    0x2f, 0,    0, 0, 0};
    static const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x88, 0, 0, 0, 0x10, 0, 0, 0, 0, 1, 0, 0};
    struct span out;
    assert_true(compress_decode(*state, CODEC_SNAPPY, span_of(snappy, sizeof(snappy)), SIZE_MAX, &out) < 0);
    assert_true(compress_decode(*state, CODEC_LZ4, span_of(lz4, sizeof(lz4)), SIZE_MAX, &out) < 0);
    assert_true(compress_decode(*state, CODEC_ZSTD, span_of(zstd, sizeof(zstd)), SIZE_MAX, &out) < 0);
    assert_true(compressor_scratch_bytes(*state) <= 8192);
}

/* Many frames that each ask for a little more room must not copy the whole each time. */
static void many_small_frames_stay_cheap(void **state)
{
    enum { FRAMES = 20000 };
    static uint8_t packed[FRAMES * 64], zeros[400];
    size_t one = ZSTD_compress(packed, 64, zeros, sizeof(zeros), 3);
    for (int i = 1; i < FRAMES; i++)
        memcpy(packed + (size_t)i * one, packed, one);
    struct span out;
    assert_int_equal(compress_decode(*state, CODEC_ZSTD, span_of(packed, FRAMES * one), 64 * MIB, &out), 0);
    assert_int_equal(out.len, FRAMES * sizeof(zeros));
}

static void a_large_buffer_is_given_back(void **state)
{
    uint8_t *zeros = calloc(1, 8 * MIB);
    struct span packed, out;
    assert_int_equal(compress_encode(*state, CODEC_ZSTD, 1, span_of(zeros, 8 * MIB), &packed), 0);
    assert_int_equal(compress_decode(*state, CODEC_ZSTD, packed, 8 * MIB, &out), 0);
    assert_true(compressor_scratch_bytes(*state) > 8 * MIB);
    compressor_trim(*state);
    assert_true(compressor_scratch_bytes(*state) <= 2 * COMPRESS_KEEP_BYTES);
    free(zeros);
}

static void a_small_batch_gives_back_what_a_large_one_needed(void **state)
{
    uint8_t *zeros = calloc(1, 8 * MIB);
    struct span packed, out;
    assert_int_equal(compress_encode(*state, CODEC_GZIP, 1, span_of(zeros, 8 * MIB), &packed), 0);
    assert_int_equal(compress_decode(*state, CODEC_GZIP, packed, 8 * MIB, &out), 0);
    assert_int_equal(compress_encode(*state, CODEC_GZIP, 1, span_of(zeros, 100), &packed), 0);
    assert_int_equal(compress_decode(*state, CODEC_GZIP, packed, 100, &out), 0);
    assert_true(compressor_scratch_bytes(*state) <= 2 * COMPRESS_KEEP_BYTES);
    free(zeros);
}

/* ---- damage ------------------------------------------------------------------------------------------ */

/* Exact copies on the heap, so that a sanitizer sees reads beyond the end. */
static int decode_copy(struct compressor *z, enum codec c, const uint8_t *p, size_t len, struct span *ret)
{
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, p, len);
    int err = compress_decode(z, c, span_of(copy, len), LIMIT, ret);
    free(copy);
    return err;
}

static void every_truncation_is_an_error(void **state)
{
    uint8_t data[1500], packed[4000];
    fill(data, sizeof(data));
    EACH_CODEC(c)
    {
        struct span s, out;
        assert_int_equal(compress_encode(*state, c, 3, span_of(data, sizeof(data)), &s), 0);
        memcpy(packed, s.ptr, s.len);
        for (size_t n = 0; n < s.len; n++) {
            int err = decode_copy(*state, c, packed, n, &out);
            /* What is left of snappy-java's framing after its header alone is a valid stream of nothing. */
            if (!(c == CODEC_SNAPPY && n == 16))
                assert_int_equal(err, ERR_BAD_BATCH);
        }
        packed[s.len] = 0; /* and a byte too many is one as well */
        assert_int_equal(decode_copy(*state, c, packed, s.len + 1, &out), ERR_BAD_BATCH);
    }
}

static void bit_flips_never_crash(void **state)
{
    uint8_t data[700], packed[2000];
    fill(data, sizeof(data));
    int refused = 0;
    EACH_CODEC(c)
    {
        struct span s, out;
        assert_int_equal(compress_encode(*state, c, 3, span_of(data, sizeof(data)), &s), 0);
        memcpy(packed, s.ptr, s.len);
        for (size_t bit = 0; bit < s.len * 8; bit++) {
            packed[bit / 8] ^= (uint8_t)(1 << bit % 8);
            refused += decode_copy(*state, c, packed, s.len, &out) < 0;
            packed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_int_equal(decode_copy(*state, c, packed, s.len, &out), 0); /* the context has recovered */
    }
    assert_true(refused > 1000);
}

/* Found by fuzzing: a frame with a false content size made the next, good one an error. */
static void a_bad_frame_leaves_nothing_behind(void **state)
{
    uint8_t data[700], bad[900];
    fill(data, sizeof(data));
    LZ4F_preferences_t prefs = {.frameInfo = {.contentSize = sizeof(data)}};
    size_t n = LZ4F_compressFrame(bad, sizeof(bad), data, sizeof(data), &prefs);
    struct span good, out;
    assert_int_equal(decode_copy(*state, CODEC_LZ4, bad, n - 10, &out), ERR_BAD_BATCH); /* cut */
    assert_int_equal(compress_encode(*state, CODEC_LZ4, 1, span_of(data, sizeof(data)), &good), 0);
    assert_int_equal(compress_decode(*state, CODEC_LZ4, good, LIMIT, &out), 0);
}

static void a_failed_allocation_is_an_error(void **state)
{
    uint8_t data[50000];
    memset(data, 'x', sizeof(data));
    EACH_CODEC(c)
    {
        struct span packed, out;
        assert_int_equal(compress_encode(*state, c, 3, span_of(data, sizeof(data)), &packed), 0);
        struct compressor *fresh = compressor_new();
        if (c == CODEC_GZIP) /* its context is of our own size, and without it the process stops */
            assert_true(compress_decode(fresh, c, span_of("x", 1), 10, &out) < 0);
        mem_fail_after(0, true);
        int err = compress_decode(fresh, c, packed, LIMIT, &out);
        mem_fail_after(-1, false);
        assert_int_equal(err, ERR_NO_MEMORY);
        assert_int_equal(compress_decode(fresh, c, packed, LIMIT, &out), 0);
        compressor_free(fresh);
    }
}

/* ---- names ------------------------------------------------------------------------------------------- */

static void codecs_have_kafkas_names(void **state)
{
    enum codec c;
    for (int i = 0; i < CODEC_COUNT; i++) {
        assert_int_equal(codec_parse(span_str(codec_name(i)), &c), 0);
        assert_int_equal(c, i);
    }
    assert_int_equal(codec_parse(span_str("uncompressed"), &c), 0);
    assert_int_equal(c, CODEC_NONE);
    assert_int_equal(codec_parse(span_str("brotli"), &c), ERR_BAD_CODEC);
    assert_string_equal(codec_name(7), "unknown");
    struct span out;
    assert_int_equal(compress_decode(*state, 7, span_str("x"), 10, &out), ERR_BAD_CODEC);
    assert_int_equal(compress_encode(*state, 7, 1, span_str("x"), &out), ERR_BAD_CODEC);
}

static void uncompressed_bytes_are_passed_through(void **state)
{
    struct span out, in = span_str("hello");
    assert_int_equal(compress_decode(NULL, CODEC_NONE, in, 5, &out), 0);
    assert_ptr_equal(out.ptr, in.ptr);
    assert_int_equal(compress_decode(NULL, CODEC_NONE, in, 4, &out), ERR_TOO_LARGE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_encoded_decodes_to_the_same),
        T(one_byte_below_the_real_size_is_too_large),
        T(snappy_of_both_forms_is_read),
        T(streams_may_be_concatenated),
        T(zstd_frames_without_content_size_are_read),
        T(linked_lz4_blocks_are_read_but_not_portable),
        T(what_we_encode_is_portable),
        T(bombs_are_stopped_at_the_limit),
        T(claims_are_not_believed),
        T(many_small_frames_stay_cheap),
        T(a_large_buffer_is_given_back),
        T(a_small_batch_gives_back_what_a_large_one_needed),
        T(every_truncation_is_an_error),
        T(bit_flips_never_crash),
        T(a_bad_frame_leaves_nothing_behind),
        T(a_failed_allocation_is_an_error),
        T(codecs_have_kafkas_names),
        T(uncompressed_bytes_are_passed_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
