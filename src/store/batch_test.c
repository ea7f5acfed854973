/* The header of a record batch: where its fields are, and which batches may stand in a log. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/batch.h"

#include "base/err.h"

enum { LEN = BATCH_HEADER_BYTES + 20 };
static uint8_t b[LEN];

/* A sane batch of 3 records (20 bytes of whatever) at offset 100. */
static int setup(void **state)
{
    memset(b, 0, sizeof(b));
    batch_set_base_offset(b, 100);
    batch_set_magic(b, BATCH_MAGIC);
    batch_set_last_offset_delta(b, 2);
    batch_set_record_count(b, 3);
    batch_set_producer_id(b, -1);
    batch_set_base_sequence(b, -1);
    batch_seal(b, LEN);
    return 0;
}

static void fields_stand_where_kafka_puts_them(void **state)
{
    for (int i = 0; i < BATCH_HEADER_BYTES; i++)
        b[i] = (uint8_t)(i + 1);
    assert_true(batch_base_offset(b) == 0x0102030405060708);
    assert_int_equal(batch_batch_length(b), 0x090a0b0c);
    assert_int_equal(batch_leader_epoch(b), 0x0d0e0f10);
    assert_int_equal(batch_magic(b), 0x11);
    assert_int_equal(batch_crc(b), 0x12131415);
    assert_int_equal(batch_attributes(b), 0x1617);
    assert_int_equal(batch_last_offset_delta(b), 0x18191a1b);
    assert_true(batch_base_timestamp(b) == 0x1c1d1e1f20212223);
    assert_true(batch_max_timestamp(b) == 0x2425262728292a2b);
    assert_true(batch_producer_id(b) == 0x2c2d2e2f30313233);
    assert_int_equal(batch_producer_epoch(b), 0x3435);
    assert_int_equal(batch_base_sequence(b), 0x36373839);
    assert_int_equal(batch_record_count(b), 0x3a3b3c3d);
}

static void setters_are_the_inverse_of_getters(void **state)
{
#define CHECK(name, type, at, bits)                                                                          \
    batch_set_##name(b, (type)-at - 2);                                                                      \
    assert_true(batch_##name(b) == (type)((type)-at - 2));
    BATCH_FIELDS(CHECK)
#undef CHECK
    batch_set_magic(b, -7);
    assert_int_equal(batch_magic(b), -7);
    assert_int_equal(batch_record_count(b), -57 - 2); /* no setter has overwritten its neighbour */
    assert_true(batch_base_offset(b) == -2);
}

static void a_sealed_batch_is_sound(void **state)
{
    size_t len;
    assert_int_equal(batch_peek(span_of(b, LEN), &len), 0);
    assert_int_equal(len, LEN);
    assert_int_equal(batch_check_header(span_of(b, LEN)), 0);
    assert_int_equal(batch_check_crc(span_of(b, LEN)), 0);
    assert_int_equal(batch_last_offset(b), 102);
    assert_int_equal(batch_next_offset(b), 103);
    assert_int_equal(batch_records(span_of(b, LEN)).len, 20);
}

static void offset_and_epoch_are_outside_the_crc_and_all_else_is_inside(void **state)
{
    for (size_t bit = 0; bit < LEN * 8; bit++) {
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int expected = bit / 8 < BATCH_MAGIC_END ? 0 : ERR_BAD_CHECKSUM;
        assert_int_equal(batch_check_crc(span_of(b, LEN)), expected);
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void a_batch_that_has_not_arrived_is_awaited(void **state)
{
    for (size_t n = 0; n < LEN; n++) {
        size_t len = 77;
        assert_int_equal(batch_peek(span_of(b, n), &len), ERR_EOF);
        assert_int_equal(len, n < BATCH_LENGTH_END ? 0 : LEN);
        assert_int_equal(batch_check_header(span_of(b, n)), ERR_BAD_BATCH);
    }
    size_t len;
    uint8_t more[LEN + 5] = {0};
    memcpy(more, b, LEN);
    assert_int_equal(batch_peek(span_of(more, sizeof(more)), &len), 0);
    assert_int_equal(len, LEN);
    assert_int_equal(batch_check_header(span_of(more, sizeof(more))), ERR_BAD_BATCH); /* not exactly one */
}

static void impossible_lengths_and_formats_are_refused(void **state)
{
    size_t len;
    static const int32_t lengths[] = {0, -1, INT32_MIN, 48};
    for (int i = 0; i < 4; i++) {
        batch_set_batch_length(b, lengths[i]);
        assert_int_equal(batch_peek(span_of(b, LEN), &len), ERR_BAD_BATCH);
    }
    setup(state);
    batch_set_magic(b, 1);
    assert_int_equal(batch_peek(span_of(b, LEN), &len), ERR_BAD_BATCH);
}

static void compaction_may_leave_fewer_records_than_offsets_but_not_more(void **state)
{
    batch_set_record_count(b, 0);
    assert_int_equal(batch_check_header(span_of(b, LEN)), 0);
    batch_set_record_count(b, 4);
    assert_int_equal(batch_check_header(span_of(b, LEN)), ERR_BAD_BATCH);
    batch_set_record_count(b, -1);
    assert_int_equal(batch_check_header(span_of(b, LEN)), ERR_BAD_BATCH);
    batch_set_record_count(b, 0);
    batch_set_last_offset_delta(b, -1);
    assert_int_equal(batch_check_header(span_of(b, LEN)), ERR_BAD_BATCH);
}

static void offsets_that_overflow_and_unknown_codecs_are_refused(void **state)
{
    batch_set_base_offset(b, INT64_MAX - 2);
    assert_int_equal(batch_check_header(span_of(b, LEN)), ERR_BAD_BATCH);
    batch_set_base_offset(b, INT64_MAX - 3);
    assert_int_equal(batch_check_header(span_of(b, LEN)), 0);
    batch_set_base_offset(b, -1);
    assert_int_equal(batch_check_header(span_of(b, LEN)), ERR_BAD_BATCH);
    setup(state);
    batch_set_attributes(b, 5);
    assert_int_equal(batch_check_header(span_of(b, LEN)), ERR_BAD_BATCH);
    batch_set_attributes(b, CODEC_ZSTD | BATCH_TRANSACTIONAL);
    assert_int_equal(batch_check_header(span_of(b, LEN)), 0);
    assert_int_equal(batch_codec(b), CODEC_ZSTD);
}

static void sequences_wrap_to_zero(void **state)
{
    assert_int_equal(batch_last_sequence(b), -1); /* no producer */
    batch_set_base_sequence(b, 0);
    assert_int_equal(batch_last_sequence(b), 2);
    batch_set_base_sequence(b, INT32_MAX - 2);
    assert_int_equal(batch_last_sequence(b), INT32_MAX);
    batch_set_base_sequence(b, INT32_MAX - 1);
    assert_int_equal(batch_last_sequence(b), 0);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(fields_stand_where_kafka_puts_them),
        T(setters_are_the_inverse_of_getters),
        T(a_sealed_batch_is_sound),
        T(offset_and_epoch_are_outside_the_crc_and_all_else_is_inside),
        T(a_batch_that_has_not_arrived_is_awaited),
        T(impossible_lengths_and_formats_are_refused),
        T(compaction_may_leave_fewer_records_than_offsets_but_not_more),
        T(offsets_that_overflow_and_unknown_codecs_are_refused),
        T(sequences_wrap_to_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
