/* The sparse index: what is found, and what of a file is believed. */
#include <stddef.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "store/index.h"

enum { BASE = 1000, ENTRIES = 20, FILE_BYTES = INDEX_HEADER_BYTES + ENTRIES * INDEX_ENTRY_BYTES };

/* Every 10 offsets and 400 bytes; the timestamps of the batches before stand still for three entries each. */
static struct index_entry nth(int i)
{
    return (struct index_entry){BASE + 10 * (uint64_t)i, 400 * (uint32_t)i, i ? 50 * (i / 3) : INT64_MIN};
}

static void make_index(struct index *x)
{
    index_init(x);
    for (int i = 0; i < ENTRIES; i++)
        index_add(x, nth(i));
}

static void make_file(uint8_t ret[FILE_BYTES])
{
    index_encode_header(BASE, ret);
    for (int i = 0; i < ENTRIES; i++) {
        struct index_entry e = nth(i);
        index_encode(&e, BASE, ret + INDEX_HEADER_BYTES + i * INDEX_ENTRY_BYTES);
    }
}

/* How many entries of the file are believed, for a segment [BASE, next) of `len` bytes. */
static size_t believed(const uint8_t *file, size_t bytes, uint64_t next, uint64_t len)
{
    struct index x;
    index_init(&x);
    assert_int_equal(index_decode(span_of(file, bytes), BASE, next, len, &x), 0);
    size_t count = x.count;
    for (size_t i = 0; i < count; i++) {
        struct index_entry e = nth((int)i);
        assert_int_equal(x.entries[i].offset, e.offset);
        assert_int_equal(x.entries[i].pos, e.pos);
        assert_true(x.entries[i].max_before == e.max_before);
    }
    index_fini(&x);
    return count;
}

static void an_empty_index_points_to_the_start(void **state)
{
    struct index x;
    index_init(&x);
    assert_int_equal(index_find_offset(&x, 5), 0);
    assert_int_equal(index_find_time(&x, 5), 0);
    index_fini(&x);
}

static void the_last_entry_at_or_before_an_offset_is_found(void **state)
{
    struct index x;
    make_index(&x);
    assert_int_equal(index_find_offset(&x, 0), 0);
    assert_int_equal(index_find_offset(&x, BASE), 0);
    assert_int_equal(index_find_offset(&x, BASE + 9), 0);
    assert_int_equal(index_find_offset(&x, BASE + 10), 400);
    assert_int_equal(index_find_offset(&x, BASE + 199), 19 * 400);
    assert_int_equal(index_find_offset(&x, BASE + 100000), 19 * 400);
    index_fini(&x);
}

/* The first batch with that timestamp may stand right after the last entry before which all are older. */
static void a_search_by_time_begins_before_the_first_match(void **state)
{
    struct index x;
    make_index(&x);
    assert_int_equal(index_find_time(&x, INT64_MIN), 0);
    assert_int_equal(index_find_time(&x, -1), 0);
    assert_int_equal(index_find_time(&x, 0), 0);
    assert_int_equal(index_find_time(&x, 1), 2 * 400);
    assert_int_equal(index_find_time(&x, 50), 2 * 400);
    assert_int_equal(index_find_time(&x, 51), 5 * 400);
    assert_int_equal(index_find_time(&x, INT64_MAX), 19 * 400);
    index_fini(&x);
}

static void a_file_gives_back_what_was_encoded(void **state)
{
    uint8_t file[FILE_BYTES];
    make_file(file);
    assert_int_equal(believed(file, sizeof(file), UINT64_MAX, UINT64_MAX), ENTRIES);
}

static void a_file_of_another_segment_is_refused(void **state)
{
    uint8_t file[FILE_BYTES];
    struct index x;
    index_init(&x);
    make_file(file);
    assert_int_equal(index_decode(span_of(file, sizeof(file)), BASE + 1, UINT64_MAX, UINT64_MAX, &x),
                     ERR_CORRUPT);
    assert_int_equal(index_decode(span_of(file, 15), BASE, UINT64_MAX, UINT64_MAX, &x), ERR_CORRUPT);
    file[0] ^= 1;
    assert_int_equal(index_decode(span_of(file, sizeof(file)), BASE, UINT64_MAX, UINT64_MAX, &x),
                     ERR_CORRUPT);
    assert_int_equal(x.count, 0);
}

static void a_file_cut_anywhere_gives_its_whole_entries(void **state)
{
    uint8_t file[FILE_BYTES];
    make_file(file);
    for (size_t len = INDEX_HEADER_BYTES; len <= sizeof(file); len++)
        assert_int_equal(believed(file, len, UINT64_MAX, UINT64_MAX),
                         (len - INDEX_HEADER_BYTES) / INDEX_ENTRY_BYTES);
}

static void a_damaged_entry_ends_what_is_believed(void **state)
{
    uint8_t file[FILE_BYTES];
    for (size_t at = INDEX_HEADER_BYTES; at < sizeof(file); at++) {
        make_file(file);
        file[at] ^= 1 << at % 8;
        assert_int_equal(believed(file, sizeof(file), UINT64_MAX, UINT64_MAX),
                         (at - INDEX_HEADER_BYTES) / INDEX_ENTRY_BYTES);
    }
}

static void entries_beyond_the_segment_are_not_believed(void **state)
{
    uint8_t file[FILE_BYTES];
    make_file(file);
    assert_int_equal(believed(file, sizeof(file), BASE + 50, UINT64_MAX), 5);
    assert_int_equal(believed(file, sizeof(file), BASE + 51, UINT64_MAX), 6);
    assert_int_equal(believed(file, sizeof(file), UINT64_MAX, 400 * 7), 7);
    assert_int_equal(believed(file, sizeof(file), UINT64_MAX, 400 * 7 + 1), 8);
    assert_int_equal(believed(file, sizeof(file), BASE, 0), 0);
}

static void put(uint8_t *file, int i, struct index_entry e)
{
    index_encode(&e, BASE, file + INDEX_HEADER_BYTES + i * INDEX_ENTRY_BYTES);
}

static void entries_out_of_order_are_not_believed(void **state)
{
    uint8_t file[FILE_BYTES];
    make_file(file);
    put(file, 7, (struct index_entry){nth(6).offset, nth(7).pos, nth(7).max_before});
    assert_int_equal(believed(file, sizeof(file), UINT64_MAX, UINT64_MAX), 7);
    make_file(file);
    put(file, 7, (struct index_entry){nth(7).offset, nth(6).pos, nth(7).max_before});
    assert_int_equal(believed(file, sizeof(file), UINT64_MAX, UINT64_MAX), 7);
    make_file(file);
    put(file, 7, (struct index_entry){nth(7).offset, nth(7).pos, -1});
    assert_int_equal(believed(file, sizeof(file), UINT64_MAX, UINT64_MAX), 7);
    make_file(file);
    put(file, 0, (struct index_entry){nth(0).offset, 1, INT64_MIN}); /* the first batch stands at 0 */
    assert_int_equal(believed(file, sizeof(file), UINT64_MAX, UINT64_MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_index_points_to_the_start),
        cmocka_unit_test(the_last_entry_at_or_before_an_offset_is_found),
        cmocka_unit_test(a_search_by_time_begins_before_the_first_match),
        cmocka_unit_test(a_file_gives_back_what_was_encoded),
        cmocka_unit_test(a_file_of_another_segment_is_refused),
        cmocka_unit_test(a_file_cut_anywhere_gives_its_whole_entries),
        cmocka_unit_test(a_damaged_entry_ends_what_is_believed),
        cmocka_unit_test(entries_beyond_the_segment_are_not_believed),
        cmocka_unit_test(entries_out_of_order_are_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
