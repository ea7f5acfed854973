/* The state of a log as bytes: there and back, and whatever a disk may make of them. */
#include <stddef.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "base/mem.h"
#include "os/sim/sim.h"
#include "store/le.h"
#include "store/log_impl.h"
#include "store/state_format.h"

enum { AS_OF = 5000, START = 17, PRODUCERS = 4 };

/* A log without a shard: enough for its state. */
static void log_begin(struct log *l)
{
    *l = (struct log){.magic = LOG_MAGIC, .max_ts = -1};
    producers_init(&l->producers);
}

static void log_end(struct log *l)
{
    for (size_t i = 0; i < l->segment_count; i++)
        segment_free(l->segments[i]);
    mem_free(l->segments);
    mem_free(l->epochs);
    producers_fini(&l->producers);
}

static void add_segment(struct log *l, uint64_t base, uint64_t next, uint64_t len)
{
    struct segment *seg = segment_new(l, base);
    seg->next = next;
    seg->len = len;
    seg->max_ts = (int64_t)base + 3;
    seg->created_ms = (int64_t)base + 4;
}

static void log_sample(struct log *l)
{
    log_begin(l);
    l->start = START;
    l->max_ts = 1234567890123;
    add_segment(l, 10, 2000, 70000);
    add_segment(l, 2000, 2001, 61);
    add_segment(l, 2001, 4500, 90000);
    l->epochs = mem_alloc(2 * sizeof(*l->epochs));
    l->epochs[l->epoch_count++] = (struct epoch_start){0, 10};
    l->epochs[l->epoch_count++] = (struct epoch_start){3, 2001};
    for (int i = 0; i < PRODUCERS; i++) {
        struct producer x = {
            .id = 100 - i, .last_ms = 77 + i, .epoch = (int16_t)(i * 300), .count = (uint8_t)(i + 2)};
        x.newest = (uint8_t)(i % x.count);
        for (int k = 0; k < x.count; k++)
            x.batches[k] = (struct producer_batch){k, k + 9, 1000u + (unsigned)k, -1};
        producers_restore(&l->producers, &x);
    }
}

static uint8_t *sample(size_t *ret_len)
{
    struct log l;
    log_sample(&l);
    uint8_t *bytes = state_encode(&l, AS_OF, ret_len);
    log_end(&l);
    return bytes;
}

static int decode(struct span bytes, uint64_t *ret_as_of)
{
    struct log l;
    log_begin(&l);
    int err = state_decode(&l, bytes, ret_as_of);
    log_end(&l);
    return err;
}

/* A copy of exactly that size, so that a sanitizer sees every step beyond it. */
static int decode_exact(const uint8_t *bytes, size_t len)
{
    uint64_t as_of;
    uint8_t *copy = mem_alloc(len);
    memcpy(copy, bytes, len);
    int err = decode(span_of(copy, len), &as_of);
    mem_free(copy);
    return err;
}

static void everything_comes_back(void **state)
{
    struct log l;
    uint64_t as_of;
    size_t len, again_len;
    uint8_t *bytes = sample(&len);
    log_begin(&l);
    assert_int_equal(state_decode(&l, span_of(bytes, len), &as_of), 0);
    assert_int_equal(as_of, AS_OF);
    assert_int_equal(l.start, START);
    assert_int_equal(l.max_ts, 1234567890123);
    assert_int_equal(l.segment_count, 3);
    assert_int_equal(l.segments[2]->synced_len, 90000);
    assert_int_equal(l.segments[1]->created_ms, 2004);
    assert_int_equal(l.segment_bytes, 160061);
    assert_true(l.written == 4500 && l.saved == 4500);
    assert_int_equal(l.epoch_count, 2);
    assert_int_equal(l.producers.by_id.count, PRODUCERS);
    uint8_t *again = state_encode(&l, as_of, &again_len);
    assert_int_equal(again_len, len);
    assert_memory_equal(again, bytes, len);
    mem_free(again);
    mem_free(bytes);
    log_end(&l);
}

static void the_empty_state_comes_back(void **state)
{
    struct log l;
    uint64_t as_of;
    size_t len;
    log_begin(&l);
    uint8_t *bytes = state_encode(&l, 0, &len);
    assert_int_equal(len, STATE_HEADER_BYTES);
    assert_int_equal(decode(span_of(bytes, len), &as_of), 0);
    assert_int_equal(as_of, 0);
    mem_free(bytes);
    log_end(&l);
}

static void every_truncation_is_an_error(void **state)
{
    size_t len;
    uint8_t *bytes = sample(&len);
    for (size_t n = 0; n < len; n++)
        assert_int_equal(decode_exact(bytes, n), ERR_CORRUPT);
    assert_int_equal(decode_exact(bytes, len), 0);
    mem_free(bytes);
}

static void bytes_too_many_are_an_error(void **state)
{
    size_t len;
    uint8_t *bytes = sample(&len), *more = mem_zalloc(len + 100);
    memcpy(more, bytes, len);
    for (size_t n = 1; n <= 100; n++)
        assert_int_equal(decode_exact(more, len + n), ERR_CORRUPT);
    mem_free(more);
    mem_free(bytes);
}

/* The entry's CRC finds them; but a decoder must stand whatever it is given. */
static void every_bit_flip_is_an_error_or_harmless(void **state)
{
    size_t len, refused = 0;
    uint8_t *bytes = sample(&len);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int err = decode_exact(bytes, len);
        assert_true(err == 0 || err == ERR_CORRUPT);
        refused += err != 0;
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(refused > 32 + 3 * 32); /* the magic and the counts at the least */
    assert_int_equal(decode_exact(bytes, len), 0);
    mem_free(bytes);
}

static void counts_beyond_the_bytes_allocate_nothing(void **state)
{
    size_t len;
    uint8_t *bytes = sample(&len);
    for (int at = 32; at <= 40; at += 4) {
        uint32_t was = le_u32(bytes + at);
        le_put_u32(bytes + at, UINT32_MAX);
        assert_int_equal(decode_exact(bytes, len), ERR_CORRUPT);
        le_put_u32(bytes + at, was);
    }
    mem_free(bytes);
}

static void segments_with_a_gap_are_an_error(void **state)
{
    size_t len;
    uint8_t *bytes = sample(&len);
    le_put_u64(bytes + STATE_HEADER_BYTES + STATE_SEGMENT_BYTES, 2001); /* the second one's base */
    assert_int_equal(decode_exact(bytes, len), ERR_CORRUPT);
    mem_free(bytes);
}

/* ---- in a file of its own ---- */

static void put_file(const char *path, struct span bytes)
{
    int file = os_open(path, OS_WRITE | OS_CREATE | OS_TRUNC);
    assert_true(file >= 0);
    assert_int_equal(os_pwrite(file, &bytes, 1, 0), 0);
    os_close(file);
}

/* The body of an entry that names 7-1.state, and that file. */
static void spill(struct span bytes, uint8_t body[STATE_SPILL_BYTES])
{
    sim_reset(1);
    assert_int_equal(os_mkdir("d"), 0);
    assert_int_equal(os_mkdir("d/states"), 0);
    put_file("d/states/7-1.state", bytes);
    memset(body, 0, STATE_SPILL_BYTES);
    le_put_u64(body, START + 1);
    le_put_u64(body + 8, bytes.len);
    le_put_u32(body + 16, crc32c(bytes.ptr, bytes.len));
    memcpy(body + 20, "7-1.state", 9);
}

static int read_spilled(const uint8_t *body, size_t len, uint64_t *ret_start)
{
    struct store st = {.blobs = blobs_file_new("d")};
    uint8_t *bytes;
    size_t bytes_len;
    char name[48];
    int err = state_read_spilled(&st, span_of(body, len), &bytes, &bytes_len, name);
    st.blobs->ops->free(st.blobs);
    if (err)
        return err;
    *ret_start = le_u64(bytes + STATE_START_AT);
    mem_free(bytes);
    return 0;
}

static void a_spilled_state_is_read_with_the_start_of_its_entry(void **state)
{
    uint8_t body[STATE_SPILL_BYTES];
    uint64_t start;
    size_t len;
    uint8_t *bytes = sample(&len);
    spill(span_of(bytes, len), body);
    assert_int_equal(read_spilled(body, sizeof(body), &start), 0);
    assert_int_equal(start, START + 1);
    mem_free(bytes);
    sim_reset(0);
}

static void a_spilled_state_that_is_missing_or_other_is_an_error(void **state)
{
    uint8_t body[STATE_SPILL_BYTES];
    uint64_t start;
    size_t len;
    uint8_t *bytes = sample(&len);
    spill(span_of(bytes, len), body);
    assert_int_equal(read_spilled(body, sizeof(body) - 1, &start), ERR_CORRUPT);
    body[21] = '/';
    assert_int_equal(read_spilled(body, sizeof(body), &start), ERR_CORRUPT); /* never out of the folder */
    body[21] = '-';
    assert_int_equal(sim_disk_corrupt("d/states/7-1.state", 30, 1), 0);
    assert_int_equal(read_spilled(body, sizeof(body), &start), ERR_CORRUPT);
    put_file("d/states/7-1.state", span_of(bytes, len - 1));
    assert_int_equal(read_spilled(body, sizeof(body), &start), ERR_CORRUPT);
    assert_int_equal(os_unlink("d/states/7-1.state"), 0);
    assert_int_equal(read_spilled(body, sizeof(body), &start), ERR_CORRUPT);
    mem_free(bytes);
    sim_reset(0);
}

static void a_spilled_state_too_short_to_be_one_is_an_error(void **state)
{
    uint8_t body[STATE_SPILL_BYTES];
    uint64_t start;
    for (size_t len = 0; len < STATE_HEADER_BYTES; len++) {
        spill(span_of("123456789012345678901234567890123456789012345678", len), body);
        assert_int_equal(read_spilled(body, sizeof(body), &start), ERR_CORRUPT);
    }
    sim_reset(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_comes_back),
        cmocka_unit_test(the_empty_state_comes_back),
        cmocka_unit_test(every_truncation_is_an_error),
        cmocka_unit_test(bytes_too_many_are_an_error),
        cmocka_unit_test(every_bit_flip_is_an_error_or_harmless),
        cmocka_unit_test(counts_beyond_the_bytes_allocate_nothing),
        cmocka_unit_test(segments_with_a_gap_are_an_error),
        cmocka_unit_test(a_spilled_state_is_read_with_the_start_of_its_entry),
        cmocka_unit_test(a_spilled_state_that_is_missing_or_other_is_an_error),
        cmocka_unit_test(a_spilled_state_too_short_to_be_one_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
