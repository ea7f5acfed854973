/* What a producer may send and what it gets for anything else, in Kafka's terms; and what is stored then. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/records_testkit.h"

enum { NOW = KIT_MS + 5000, DECODED_MAX = 1 << 20 };

static struct compressor *z;
static struct arena arena;
static struct chunk_pool pool;
static struct records_policy policy;
static struct records_verdict v;
static struct kit kit;

static int setup(void **state)
{
    z = compressor_new();
    arena_init(&arena);
    chunk_pool_init(&pool, "test", 4096, 2);
    policy = (struct records_policy){.max_message_bytes = 1 << 20,
                                     .max_decoded_bytes = DECODED_MAX,
                                     .before_max_ms = INT64_MAX,
                                     .after_max_ms = 3600000,
                                     .codec = RECORDS_CODEC_PRODUCER,
                                     .level = COMPRESS_LEVEL_DEFAULT,
                                     .allow_zstd = true};
    memset(&v, 0, sizeof(v));
    kit_init(&kit);
    return 0;
}

static int teardown(void **state)
{
    chunk_unref(v.chunk);
    chunk_pool_fini(&pool); /* asserts that no chunk is left */
    arena_fini(&arena);
    compressor_free(z);
    return 0;
}

static int check(struct span in)
{
    chunk_unref(v.chunk);
    v.chunk = NULL;
    return records_check(z, &policy, in, NOW, &arena, &pool, &v);
}

/* Refused with this code, and a reason. */
static void refused(struct span in, int err)
{
    assert_int_equal(check(in), err);
    assert_non_null(v.message);
    assert_null(v.chunk);
    assert_null(v.batch.ptr);
}

static void three_records(void)
{
    kit_init(&kit);
    kit_record(&kit, KIT_MS + 10, "a", "first");
    kit_record(&kit, KIT_MS + 30, "b", NULL);
    kit_record_with(&kit, KIT_MS + 20, "c", "", "trace", "1");
}

/* ---- what is good ------------------------------------------------------------------------------------ */

static void a_good_batch_is_stored_from_where_it_arrived(void **state)
{
    for (enum codec c = CODEC_NONE; c < CODEC_COUNT; c++) {
        three_records();
        struct span in = kit_seal_codec(&kit, z, c);
        assert_int_equal(check(in), 0);
        assert_ptr_equal(v.batch.ptr, in.ptr);
        assert_int_equal(v.batch.len, in.len);
        assert_null(v.chunk);
        assert_null(v.message);
        assert_int_equal(v.count, 3);
        assert_int_equal(v.max_timestamp, KIT_MS + 30);
        assert_int_equal(v.max_timestamp_delta, 1);
        assert_int_equal(v.append_ms, -1);
        assert_int_equal(v.last_sequence, -1);
        assert_int_equal(pool.used_bytes, 0);
    }
}

static void producer_and_sequences_are_reported(void **state)
{
    three_records();
    batch_set_producer_id(kit.bytes, 4711);
    batch_set_producer_epoch(kit.bytes, 2);
    batch_set_base_sequence(kit.bytes, INT32_MAX - 1);
    batch_set_attributes(kit.bytes, BATCH_TRANSACTIONAL);
    assert_int_equal(check(kit_seal(&kit)), 0);
    assert_int_equal(v.producer_id, 4711);
    assert_int_equal(v.producer_epoch, 2);
    assert_int_equal(v.base_sequence, INT32_MAX - 1);
    assert_int_equal(v.last_sequence, 0);
    assert_true(v.transactional);
}

static void records_without_a_timestamp_are_taken(void **state)
{
    batch_set_base_timestamp(kit.bytes, -1);
    kit_record(&kit, -1, NULL, "x");
    kit_record(&kit, -1, NULL, "y");
    policy.before_max_ms = 1000;
    assert_int_equal(check(kit_seal(&kit)), 0);
    assert_null(v.chunk);
    assert_int_equal(v.max_timestamp, -1);
    assert_int_equal(v.max_timestamp_delta, -1);
}

/* ---- shape ------------------------------------------------------------------------------------------- */

static void nothing_and_half_a_batch_are_invalid_records(void **state)
{
    three_records();
    struct span in = kit_seal(&kit);
    refused(SPAN_NULL, ERR_BAD_BATCH);
    for (size_t n = 0; n < in.len; n++)
        refused(span_of(in.ptr, n), ERR_BAD_BATCH);
}

static void old_formats_are_invalid_and_unknown_ones_corrupt(void **state)
{
    static const struct {
        int8_t magic;
        int err;
    } rows[] = {{0, ERR_BAD_BATCH}, {1, ERR_BAD_BATCH}, {3, ERR_BAD_CHECKSUM}, {-1, ERR_BAD_CHECKSUM}};
    for (size_t i = 0; i < 4; i++) {
        three_records();
        kit_seal(&kit);
        batch_set_magic(kit.bytes, rows[i].magic);
        refused(span_of(kit.bytes, kit.len), rows[i].err);
    }
}

static void a_length_shorter_than_any_batch_is_corrupt(void **state)
{
    three_records();
    struct span in = kit_seal(&kit);
    for (int32_t length = -1; length < BATCH_HEADER_BYTES - BATCH_LENGTH_END; length++) {
        batch_set_batch_length(kit.bytes, length);
        refused(in, ERR_BAD_CHECKSUM);
    }
}

static void there_must_be_exactly_one_batch(void **state)
{
    three_records();
    size_t len = kit_seal(&kit).len;
    memcpy(kit.bytes + len, kit.bytes, len);
    refused(span_of(kit.bytes, 2 * len), ERR_BAD_BATCH);
    refused(span_of(kit.bytes, len + 1), ERR_BAD_BATCH);
}

static void every_flipped_bit_under_the_crc_is_corrupt(void **state)
{
    three_records();
    struct span in = kit_seal(&kit);
    for (size_t bit = BATCH_LENGTH_END * 8 + 40; bit < in.len * 8; bit++) {
        kit.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int err = check(in);
        assert_true(err == ERR_BAD_CHECKSUM || err == ERR_BAD_CODEC); /* the codec is looked at before */
        kit.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void a_base_offset_of_the_producers_is_invalid(void **state)
{
    three_records();
    batch_set_base_offset(kit.bytes, 7);
    refused(kit_seal(&kit), ERR_BAD_BATCH);
}

static void a_batch_over_the_limit_is_too_large(void **state)
{
    three_records();
    struct span in = kit_seal(&kit);
    policy.max_message_bytes = in.len;
    assert_int_equal(check(in), 0);
    policy.max_message_bytes = in.len - 1;
    refused(in, ERR_TOO_LARGE);
}

/* ---- header ------------------------------------------------------------------------------------------ */

static void counts_and_offsets_must_agree(void **state)
{
    static const int32_t rows[][2] = {{2, 4},  {3, 3},         {1, 3}, {-1, 3}, {2, 0}, {2, -1},
                                      {-1, 0}, {INT32_MAX, 3}, {2, 2}, {3, 4},  {1, 2}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        three_records();
        kit_seal(&kit);
        batch_set_last_offset_delta(kit.bytes, rows[i][0]);
        batch_set_record_count(kit.bytes, rows[i][1]);
        refused(kit_reseal(&kit), ERR_BAD_BATCH);
    }
}

static void clients_may_not_write_control_batches(void **state)
{
    three_records();
    batch_set_attributes(kit.bytes, BATCH_CONTROL | BATCH_TRANSACTIONAL);
    refused(kit_seal(&kit), ERR_BAD_BATCH);
}

static void an_idempotent_batch_needs_sequence_and_epoch(void **state)
{
    three_records();
    batch_set_producer_id(kit.bytes, 1);
    batch_set_producer_epoch(kit.bytes, 0);
    refused(kit_seal(&kit), ERR_BAD_BATCH);
    batch_set_base_sequence(kit.bytes, 0);
    batch_set_producer_epoch(kit.bytes, -1);
    refused(kit_reseal(&kit), ERR_BAD_BATCH);
    batch_set_producer_epoch(kit.bytes, 0);
    assert_int_equal(check(kit_reseal(&kit)), 0);
}

static void producers_may_not_claim_log_append_time(void **state)
{
    for (int topic = 0; topic < 2; topic++) {
        policy.append_time = topic;
        three_records();
        batch_set_attributes(kit.bytes, BATCH_APPEND_TIME);
        refused(kit_seal(&kit), ERR_BAD_TIMESTAMP);
    }
}

static void zstd_needs_produce_7_and_unknown_codecs_are_refused(void **state)
{
    three_records();
    struct span in = kit_seal_codec(&kit, z, CODEC_ZSTD);
    policy.allow_zstd = false;
    refused(in, ERR_BAD_CODEC);
    for (uint16_t codec = CODEC_COUNT; codec < 8; codec++) {
        batch_set_attributes(kit.bytes, codec);
        refused(kit_reseal(&kit), ERR_BAD_CODEC);
    }
}

static void bits_that_are_not_a_producers_are_cleared(void **state)
{
    three_records();
    batch_set_attributes(kit.bytes, BATCH_DELETE_HORIZON | 0x8000);
    assert_int_equal(check(kit_seal(&kit)), 0);
    assert_non_null(v.chunk);
    assert_int_equal(batch_attributes(v.batch.ptr), 0);
    assert_int_equal(batch_check_crc(v.batch), 0);
}

/* ---- records ----------------------------------------------------------------------------------------- */

static void timestamps_out_of_range_are_named_record_by_record(void **state)
{
    policy.before_max_ms = 1000;
    policy.after_max_ms = 500;
    kit_record(&kit, NOW - 1000, NULL, "oldest");
    kit_record(&kit, NOW - 1001, NULL, "too old");
    kit_record(&kit, NOW + 500, NULL, "newest");
    kit_record(&kit, NOW + 501, NULL, "too new");
    refused(kit_seal(&kit), ERR_BAD_TIMESTAMP);
    assert_int_equal(v.error_count, 2);
    assert_int_equal(v.errors[0].index, 1);
    assert_int_equal(v.errors[1].index, 3);
    assert_string_equal(
        v.errors[0].message,
        "Timestamp 1700003999 of message with offset 1 is out of range. The timestamp should be "
        "within [1700004000, 1700005500]");
    policy.append_time = true; /* then the broker stamps them anyway */
    assert_int_equal(check(kit_reseal(&kit)), 0);
}

static void extreme_times_and_limits_do_not_overflow(void **state)
{
    policy.before_max_ms = policy.after_max_ms = INT64_MAX;
    batch_set_base_timestamp(kit.bytes, 0);
    kit_record(&kit, INT64_MAX, NULL, "end of time");
    assert_int_equal(check(kit_seal(&kit)), 0);
    kit_init(&kit);
    kit_record(&kit, KIT_MS, NULL, "x");
    kit_seal(&kit);
    batch_set_base_timestamp(kit.bytes, INT64_MAX);
    assert_int_equal(check(kit_reseal(&kit)), 0);
    kit_init(&kit);
    kit_record(&kit, KIT_MS + 1, NULL, "base + delta overflows");
    kit_seal(&kit);
    batch_set_base_timestamp(kit.bytes, INT64_MAX);
    refused(kit_reseal(&kit), ERR_BAD_BATCH);
}

static void a_compacted_topic_needs_keys(void **state)
{
    policy.compacted = true;
    for (enum codec c = CODEC_NONE; c < CODEC_COUNT; c++) {
        kit_init(&kit);
        kit_record(&kit, KIT_MS, "", "an empty key is a key");
        kit_record(&kit, KIT_MS, NULL, "none");
        refused(kit_seal_codec(&kit, z, c), ERR_BAD_BATCH);
        assert_int_equal(v.error_count, 1);
        assert_int_equal(v.errors[0].index, 1);
    }
    three_records();
    assert_int_equal(check(kit_seal(&kit)), 0);
}

static void the_list_of_errors_is_bounded(void **state)
{
    policy.after_max_ms = 0;
    for (int i = 0; i < RECORDS_MAX_ERRORS + 100; i++)
        kit_record(&kit, NOW + 1 + i, NULL, "x");
    refused(kit_seal(&kit), ERR_BAD_TIMESTAMP);
    assert_int_equal(v.error_count, RECORDS_MAX_ERRORS);
    assert_int_equal(v.errors[RECORDS_MAX_ERRORS - 1].index, RECORDS_MAX_ERRORS - 1);
}

/* Bodies of one record: attributes, timestamp delta, offset delta, key, value, headers. */
static void malformed_records_are_invalid(void **state)
{
    static const struct {
        const char *what, *body;
        size_t len;
    } rows[] = {
#define ROW(what, body) {what, body, sizeof(body) - 1}
        ROW("nothing", ""),
        ROW("attributes only", "\0"),
        ROW("no headers", "\0\0\0\1\2x"),
        ROW("a byte too many", "\0\0\0\1\2x\0y"),
        ROW("offset delta 1", "\0\0\2\1\2x\0"),
        ROW("offset delta -1", "\0\0\1\1\2x\0"),
        ROW("key beyond the end", "\0\0\0\x7ex\2y\0"),
        ROW("key length -2", "\0\0\0\3\2x\0"),
        ROW("value beyond the end", "\0\0\0\1\x7ey\0"),
        ROW("value length -2", "\0\0\0\1\3\0"),
        ROW("headers -1", "\0\0\0\1\2x\1"),
        ROW("more headers than bytes", "\0\0\0\1\2x\4\2k\2v"),
        ROW("huge number of headers", "\0\0\0\1\2x\xfe\xff\xff\xff\x0f"),
        ROW("null header key", "\0\0\0\1\2x\2\1\2v"),
        ROW("header value beyond the end", "\0\0\0\1\2x\2\2k\4v"),
        ROW("varint of 6 bytes", "\0\0\x80\x80\x80\x80\x80\0\1\2x\0"),
        ROW("varint of 33 bits", "\0\0\x80\x80\x80\x80\x10\1\2x\0"),
        ROW("varlong of 11 bytes", "\0\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\0\0\1\2x\0"),
#undef ROW
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (enum codec c = CODEC_NONE; c < CODEC_COUNT; c++) {
            kit_init(&kit);
            kit_body(&kit, (const uint8_t *)rows[i].body, rows[i].len);
            refused(kit_seal_codec(&kit, z, c), ERR_BAD_BATCH);
        }
    }
    kit_init(&kit);
    kit_body(&kit, (const uint8_t *)"\0\0\0\1\2x\2\2k\1", 10); /* and this is how it should be */
    assert_int_equal(check(kit_seal(&kit)), 0);
}

static void counts_must_match_the_records_that_are_there(void **state)
{
    for (int wrong = 1; wrong <= 5; wrong++) {
        three_records();
        kit.count = wrong;
        int err = check(kit_seal(&kit));
        assert_int_equal(err, wrong == 3 ? 0 : ERR_BAD_BATCH);
    }
}

static void damaged_compression_is_invalid(void **state)
{
    for (enum codec c = CODEC_GZIP; c < CODEC_COUNT; c++) {
        three_records();
        kit_seal_codec(&kit, z, c);
        kit.len--;
        refused(kit_reseal(&kit), ERR_BAD_BATCH);
        kit.len = BATCH_HEADER_BYTES;
        refused(kit_reseal(&kit), ERR_BAD_BATCH);
    }
}

static void a_bomb_is_too_large(void **state)
{
    static char value[200000];
    memset(value, 'x', sizeof(value) - 1);
    for (enum codec c = CODEC_GZIP; c < CODEC_COUNT; c++) {
        kit_init(&kit);
        kit_record(&kit, KIT_MS, NULL, value);
        struct span in = kit_seal_codec(&kit, z, c);
        assert_int_equal(check(in), 0);
        policy.max_decoded_bytes = 199999;
        refused(in, ERR_TOO_LARGE);
        policy.max_decoded_bytes = DECODED_MAX;
    }
}

/* ---- rewriting --------------------------------------------------------------------------------------- */

/* The stored batch is sound, and its records are those of three_records(). */
static void stored_three(enum codec codec)
{
    assert_int_equal(batch_check_header(v.batch), 0);
    assert_int_equal(batch_check_crc(v.batch), 0);
    assert_int_equal(batch_codec(v.batch.ptr), codec);
    assert_true(compress_is_portable(codec, batch_records(v.batch)));
    struct records_iter it;
    struct record r[3], none;
    assert_int_equal(records_open(z, v.batch, DECODED_MAX, &it), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(records_next(&it, &r[i]), 1);
    assert_int_equal(records_next(&it, &none), 0);
    assert_true(span_eq_str(r[0].value, "first"));
    assert_true(span_eq_str(r[2].key, "c"));
    assert_true(span_is_null(r[1].value));
    assert_false(span_is_null(r[2].value));
    assert_int_equal(r[2].header_count, 1);
}

static void a_wrong_max_timestamp_is_repaired(void **state)
{
    static const int64_t wrong[] = {-1, 0, KIT_MS, KIT_MS + 31, INT64_MAX};
    for (enum codec c = CODEC_NONE; c < CODEC_COUNT; c++) {
        for (size_t i = 0; i < 5; i++) {
            three_records();
            kit_seal_codec(&kit, z, c);
            batch_set_max_timestamp(kit.bytes, wrong[i]);
            assert_int_equal(check(kit_reseal(&kit)), 0);
            assert_non_null(v.chunk);
            assert_int_equal(v.chunk->used, v.batch.len);
            assert_int_equal(batch_max_timestamp(v.batch.ptr), KIT_MS + 30);
            assert_int_equal(batch_max_timestamp(kit.bytes), wrong[i]); /* the input is not ours to change */
            stored_three(c);
        }
    }
}

static void a_topic_may_stamp_its_records(void **state)
{
    policy.append_time = true;
    for (enum codec c = CODEC_NONE; c < CODEC_COUNT; c++) {
        three_records();
        assert_int_equal(check(kit_seal_codec(&kit, z, c)), 0);
        assert_int_equal(batch_attributes(v.batch.ptr), BATCH_APPEND_TIME | c);
        assert_int_equal(batch_max_timestamp(v.batch.ptr), NOW);
        assert_int_equal(v.append_ms, NOW);
        assert_int_equal(v.max_timestamp, NOW);
        assert_int_equal(v.max_timestamp_delta, 0);
        stored_three(c);
    }
}

static void a_topic_may_choose_the_codec(void **state)
{
    for (enum codec from = CODEC_NONE; from < CODEC_COUNT; from++) {
        for (enum codec to = CODEC_NONE; to < CODEC_COUNT; to++) {
            three_records();
            batch_set_producer_id(kit.bytes, 9);
            batch_set_producer_epoch(kit.bytes, 1);
            batch_set_base_sequence(kit.bytes, 5);
            policy.codec = (int)to;
            assert_int_equal(check(kit_seal_codec(&kit, z, from)), 0);
            assert_true((v.chunk != NULL) == (from != to));
            assert_int_equal(v.producer_id, 9);
            assert_int_equal(v.last_sequence, 7);
            stored_three(to);
        }
    }
}

static void what_grows_over_the_limit_by_recompression_is_too_large(void **state)
{
    static char value[50000];
    memset(value, 'x', sizeof(value) - 1);
    kit_record(&kit, KIT_MS, NULL, value);
    policy.codec = CODEC_NONE;
    policy.max_message_bytes = 40000;
    refused(kit_seal_codec(&kit, z, CODEC_GZIP), ERR_TOO_LARGE);
}

static void lz4_that_java_cannot_read_is_written_anew(void **state)
{
    three_records();
    kit_seal_codec(&kit, z, CODEC_LZ4);
    /* The same frame with the flag "blocks are linked" and the header checksum that belongs to it. */
    uint8_t *frame = kit.bytes + BATCH_HEADER_BYTES;
    frame[4] &= (uint8_t)~0x20;
    int err = ERR_BAD_BATCH;
    for (int checksum = 0; checksum < 256 && err; checksum++) {
        frame[6] = (uint8_t)checksum;
        err = check(kit_reseal(&kit));
    }
    assert_int_equal(err, 0);
    assert_non_null(v.chunk);
    stored_three(CODEC_LZ4);
}

static void trust_believes_a_plausible_header_only(void **state)
{
    policy.trust = true;
    three_records();
    kit_seal(&kit);
    kit.bytes[kit.len - 1] ^= 1;        /* the last header's value is another */
    kit.bytes[BATCH_HEADER_BYTES] ^= 2; /* and a record's length is wrong */
    assert_int_equal(check(kit_reseal(&kit)), 0);
    assert_int_equal(v.max_timestamp, KIT_MS + 30);
    assert_int_equal(v.max_timestamp_delta, -1);
    batch_set_max_timestamp(kit.bytes, -1); /* implausible: now it looks */
    refused(kit_reseal(&kit), ERR_BAD_BATCH);
    batch_set_max_timestamp(kit.bytes, NOW + 3600001);
    refused(kit_reseal(&kit), ERR_BAD_BATCH);
}

static void without_memory_it_fails_and_leaves_nothing(void **state)
{
    three_records();
    policy.append_time = true;
    struct span in = kit_seal(&kit);
    mem_fail_after(0, false); /* the pool has no chunk at hand */
    int err = check(in);
    mem_fail_after(-1, false);
    assert_int_equal(err, ERR_NO_MEMORY);
    assert_null(v.chunk);
    assert_non_null(v.message);
    assert_int_equal(check(in), 0);
}

/* ---- reading ----------------------------------------------------------------------------------------- */

static void headers_are_walked_one_by_one(void **state)
{
    kit_body(&kit, (const uint8_t *)"\0\0\0\1\2x\6\2a\4bc\0\1\4de\0", 18);
    struct records_iter it;
    struct record r;
    assert_int_equal(records_open(NULL, kit_seal(&kit), 0, &it), 0);
    assert_int_equal(records_next(&it, &r), 1);
    assert_int_equal(r.header_count, 3);
    struct span key, value, rest = r.headers;
    assert_int_equal(record_header_next(&rest, &key, &value), 1);
    assert_true(span_eq_str(key, "a") && span_eq_str(value, "bc"));
    assert_int_equal(record_header_next(&rest, &key, &value), 1);
    assert_true(span_eq_str(key, "") && span_is_null(value));
    assert_int_equal(record_header_next(&rest, &key, &value), 1);
    assert_true(span_eq_str(key, "de") && span_eq_str(value, "") && !span_is_null(value));
    assert_int_equal(record_header_next(&rest, &key, &value), 0);
}

static void the_first_record_at_or_after_a_time_is_found(void **state)
{
    static const int64_t rows[][2] = {{0, 100}, {10, 100}, {11, 101}, {30, 101}};
    for (enum codec c = CODEC_NONE; c < CODEC_COUNT; c++) {
        three_records();
        kit_seal_codec(&kit, z, c);
        batch_set_base_offset(kit.bytes, 100);
        struct span b = span_of(kit.bytes, kit.len);
        int64_t offset, ms;
        for (int i = 0; i < 4; i++) {
            assert_int_equal(records_find_timestamp(z, b, DECODED_MAX, 0, KIT_MS + rows[i][0], &offset, &ms),
                             0);
            assert_int_equal(offset, rows[i][1]);
            assert_int_equal(ms, KIT_MS + (offset == 100 ? 10 : 30));
        }
        assert_int_equal(records_find_timestamp(z, b, DECODED_MAX, 0, KIT_MS + 31, &offset, &ms),
                         ERR_NOT_FOUND);
        assert_int_equal(records_max_timestamp(z, b, DECODED_MAX, 0, &offset, &ms), 0);
        assert_int_equal(offset, 101);
        assert_int_equal(ms, KIT_MS + 30);
    }
}

static void with_log_append_time_all_records_have_one_time(void **state)
{
    three_records();
    policy.append_time = true;
    assert_int_equal(check(kit_seal(&kit)), 0);
    int64_t offset, ms;
    assert_int_equal(records_find_timestamp(z, v.batch, DECODED_MAX, 0, NOW, &offset, &ms), 0);
    assert_int_equal(offset, 0);
    assert_int_equal(ms, NOW);
    assert_int_equal(records_find_timestamp(z, v.batch, DECODED_MAX, 0, NOW + 1, &offset, &ms),
                     ERR_NOT_FOUND);
    assert_int_equal(records_max_timestamp(z, v.batch, DECODED_MAX, 0, &offset, &ms), 0);
    assert_int_equal(offset, 0); /* all have it, so the first: KIP-734 */
}

static void the_first_of_several_maxima_is_reported(void **state)
{
    kit_record(&kit, KIT_MS + 1, NULL, "x");
    kit_record(&kit, KIT_MS + 2, NULL, "x");
    kit_record(&kit, KIT_MS + 2, NULL, "x");
    assert_int_equal(check(kit_seal(&kit)), 0);
    assert_int_equal(v.max_timestamp_delta, 1);
    int64_t offset, ms;
    assert_int_equal(records_max_timestamp(z, v.batch, DECODED_MAX, 0, &offset, &ms), 0);
    assert_int_equal(offset, 1);
}

static void an_emptied_batch_has_no_times(void **state)
{
    struct span b = kit_seal(&kit); /* no record: what compaction may leave */
    batch_set_last_offset_delta(kit.bytes, 5);
    batch_set_max_timestamp(kit.bytes, NOW);
    int64_t offset, ms;
    assert_int_equal(records_find_timestamp(z, b, DECODED_MAX, 0, 0, &offset, &ms), ERR_NOT_FOUND);
    assert_int_equal(records_max_timestamp(z, b, DECODED_MAX, 0, &offset, &ms), ERR_NOT_FOUND);
}

static void a_stored_batch_that_is_damaged_is_an_error(void **state)
{
    three_records();
    struct span b = kit_seal(&kit);
    batch_set_record_count(kit.bytes, 2); /* one more than said */
    struct records_iter it;
    struct record r;
    assert_int_equal(records_open(NULL, b, 0, &it), 0);
    assert_int_equal(records_next(&it, &r), 1);
    assert_int_equal(records_next(&it, &r), 1);
    assert_int_equal(records_next(&it, &r), ERR_BAD_BATCH);
    batch_set_record_count(kit.bytes, 4);
    int64_t offset, ms;
    assert_int_equal(records_find_timestamp(z, b, 0, 0, KIT_MS + 30, &offset, &ms), 0); /* found before */
    batch_set_max_timestamp(kit.bytes, KIT_MS + 99);
    assert_int_equal(records_max_timestamp(z, b, 0, 0, &offset, &ms), ERR_BAD_BATCH);
}

/* ---- anything at all --------------------------------------------------------------------------------- */

static void flipped_bits_under_a_good_crc_never_crash(void **state)
{
    policy.compacted = true;
    int refusals = 0;
    for (enum codec c = CODEC_NONE; c < CODEC_COUNT; c++) {
        three_records();
        kit_seal_codec(&kit, z, c);
        for (size_t bit = BATCH_CRC_START * 8; bit < kit.len * 8; bit++) {
            kit.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            int err = check(kit_reseal(&kit));
            refusals += err < 0;
            if (!err)
                assert_int_equal(batch_check_crc(v.batch), 0);
            kit.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
    assert_true(refusals > 1000);
}

/* ---- batches of real clients ------------------------------------------------------------------------- */

static size_t load(const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s.bin", GOLDEN_BATCHES, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    kit.len = fread(kit.bytes, 1, sizeof(kit.bytes), f);
    fclose(f);
    return kit.len;
}

/* The function of i that both generators use, in test/golden/batches/make. */
static void check_golden_record(const struct record *r, int i)
{
    char key[16], value[64] = "";
    snprintf(key, sizeof(key), "key-%d", i);
    for (int k = 0; k < 4; k++)
        snprintf(value + strlen(value), sizeof(value) - strlen(value), "value %d ", i);
    assert_true(r->timestamp == 1700000000000 + i * 37 % 1009);
    assert_true(span_is_null(r->key) == (i % 7 == 3));
    assert_true(span_is_null(r->value) == (i % 11 == 5));
    assert_true(span_is_null(r->key) || span_eq_str(r->key, key));
    assert_true(span_is_null(r->value) || span_eq_str(r->value, value));
    assert_int_equal(r->header_count, i % 5 == 0 ? 3 : 0);
    struct span rest = r->headers, name, content;
    if (r->header_count) {
        assert_int_equal(record_header_next(&rest, &name, &content), 1);
        snprintf(value, sizeof(value), "id-%d", i);
        assert_true(span_eq_str(name, "trace") && span_eq_str(content, value));
    }
}

static void check_golden(const char *name, int count)
{
    struct span in = span_of(kit.bytes, load(name));
    assert_int_equal(records_check(z, &policy, in, 1700000000000, &arena, &pool, &v), 0);
    assert_ptr_equal(v.batch.ptr, in.ptr); /* nothing to repair */
    assert_int_equal(v.count, count);
    struct records_iter it;
    struct record r;
    assert_int_equal(records_open(z, in, DECODED_MAX, &it), 0);
    for (int i = 0; i < count; i++) {
        assert_int_equal(records_next(&it, &r), 1);
        assert_int_equal(r.offset, i);
        check_golden_record(&r, i % 60);
    }
    assert_int_equal(records_next(&it, &r), 0);
}

static void batches_of_real_clients_are_read_in_full(void **state)
{
    for (enum codec c = CODEC_NONE; c < CODEC_COUNT; c++) {
        char name[32];
        snprintf(name, sizeof(name), "java-%s", codec_name(c));
        check_golden(name, 60);
        snprintf(name, sizeof(name), "python-%s", codec_name(c));
        check_golden(name, 60);
        snprintf(name, sizeof(name), "java-%s-large", codec_name(c));
        if (c != CODEC_NONE)
            check_golden(name, 3000);
    }
    check_golden("java-transactional", 4);
    assert_true(v.transactional);
    assert_int_equal(v.producer_id, 4711);
    assert_int_equal(v.last_sequence, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_good_batch_is_stored_from_where_it_arrived),
        T(producer_and_sequences_are_reported),
        T(records_without_a_timestamp_are_taken),
        T(nothing_and_half_a_batch_are_invalid_records),
        T(old_formats_are_invalid_and_unknown_ones_corrupt),
        T(a_length_shorter_than_any_batch_is_corrupt),
        T(there_must_be_exactly_one_batch),
        T(every_flipped_bit_under_the_crc_is_corrupt),
        T(a_base_offset_of_the_producers_is_invalid),
        T(a_batch_over_the_limit_is_too_large),
        T(counts_and_offsets_must_agree),
        T(clients_may_not_write_control_batches),
        T(an_idempotent_batch_needs_sequence_and_epoch),
        T(producers_may_not_claim_log_append_time),
        T(zstd_needs_produce_7_and_unknown_codecs_are_refused),
        T(bits_that_are_not_a_producers_are_cleared),
        T(timestamps_out_of_range_are_named_record_by_record),
        T(extreme_times_and_limits_do_not_overflow),
        T(a_compacted_topic_needs_keys),
        T(the_list_of_errors_is_bounded),
        T(malformed_records_are_invalid),
        T(counts_must_match_the_records_that_are_there),
        T(damaged_compression_is_invalid),
        T(a_bomb_is_too_large),
        T(a_wrong_max_timestamp_is_repaired),
        T(a_topic_may_stamp_its_records),
        T(a_topic_may_choose_the_codec),
        T(what_grows_over_the_limit_by_recompression_is_too_large),
        T(lz4_that_java_cannot_read_is_written_anew),
        T(trust_believes_a_plausible_header_only),
        T(without_memory_it_fails_and_leaves_nothing),
        T(headers_are_walked_one_by_one),
        T(the_first_record_at_or_after_a_time_is_found),
        T(with_log_append_time_all_records_have_one_time),
        T(the_first_of_several_maxima_is_reported),
        T(an_emptied_batch_has_no_times),
        T(a_stored_batch_that_is_damaged_is_an_error),
        T(flipped_bits_under_a_good_crc_never_crash),
        T(batches_of_real_clients_are_read_in_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
