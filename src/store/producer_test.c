/* Idempotent producers: which batch may follow, which is a duplicate, which is refused. */
#include <stddef.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/batch.h"
#include "store/producer.h"

enum { ID = 4711, NOW_MS = 1000 };

static uint8_t header[BATCH_HEADER_BYTES];

/* A batch of `count` records from sequence `first` on. */
static const uint8_t *batch(int64_t id, int16_t epoch, int32_t first, int32_t count)
{
    memset(header, 0, sizeof(header));
    batch_set_producer_id(header, id);
    batch_set_producer_epoch(header, epoch);
    batch_set_base_sequence(header, first);
    batch_set_last_offset_delta(header, count - 1);
    batch_set_record_count(header, count);
    return header;
}

static int check(const struct producers *p, int16_t epoch, int32_t first, int32_t count)
{
    const struct producer_batch *known = NULL;
    int r = producers_check(p, batch(ID, epoch, first, count), &known);
    assert_int_equal(r == 1, known != NULL);
    return r;
}

/* Stores a batch; offsets are given out densely from `base`. */
static void append(struct producers *p, int16_t epoch, int32_t first, int32_t count, uint64_t base)
{
    batch(ID, epoch, first, count);
    batch_set_base_offset(header, (int64_t)base);
    batch_set_max_timestamp(header, (int64_t)base + 5);
    producers_append(p, header, NOW_MS);
}

/* Batches of 10 records: sequences 0..9, 10..19, ... at offsets 100, 110, ... */
static void begin(struct producers *p, int count)
{
    producers_init(p);
    for (int i = 0; i < count; i++)
        append(p, 0, 10 * i, 10, 100 + 10 * (uint64_t)i);
}

/* redpanda#22670: what was idle for long was refused. */
static void an_unknown_producer_may_begin_anywhere(void **state)
{
    struct producers p;
    begin(&p, 0);
    assert_int_equal(check(&p, 0, 0, 1), 0);
    assert_int_equal(check(&p, 7, 12345, 3), 0);
    producers_fini(&p);
}

static void the_next_sequence_follows(void **state)
{
    struct producers p;
    begin(&p, 1);
    assert_int_equal(check(&p, 0, 10, 1), 0);
    assert_int_equal(check(&p, 0, 10, 500), 0);
    producers_fini(&p);
}

static void a_gap_is_refused(void **state)
{
    struct producers p;
    begin(&p, 1);
    assert_int_equal(check(&p, 0, 11, 1), ERR_OUT_OF_ORDER);
    assert_int_equal(check(&p, 0, 20, 10), ERR_OUT_OF_ORDER);
    producers_fini(&p);
}

/* redpanda#3038, #3039: repetitions were refused, or stored twice. */
static void the_last_five_batches_are_known_again(void **state)
{
    struct producers p;
    const struct producer_batch *known;
    begin(&p, 12);
    for (int i = 7; i < 12; i++) {
        assert_int_equal(producers_check(&p, batch(ID, 0, 10 * i, 10), &known), 1);
        assert_int_equal(known->base_offset, 100 + 10 * i);
        assert_int_equal(known->timestamp, 105 + 10 * i);
    }
    producers_fini(&p);
}

static void older_batches_are_duplicates_without_an_offset(void **state)
{
    struct producers p;
    begin(&p, 12);
    for (int i = 0; i < 7; i++)
        assert_int_equal(check(&p, 0, 10 * i, 10), ERR_DUPLICATE_SEQUENCE);
    producers_fini(&p);
}

/* Kafka knows a batch by both its sequences. */
static void another_cut_of_what_was_stored_is_no_known_batch(void **state)
{
    struct producers p;
    begin(&p, 2);
    assert_int_equal(check(&p, 0, 0, 5), ERR_DUPLICATE_SEQUENCE);
    assert_int_equal(check(&p, 0, 15, 5), ERR_DUPLICATE_SEQUENCE);
    assert_int_equal(check(&p, 0, 15, 10), ERR_OUT_OF_ORDER);
    producers_fini(&p);
}

/* redpanda#4854: there it was out of order. */
static void sequences_wrap_to_zero(void **state)
{
    struct producers p;
    begin(&p, 0);
    append(&p, 0, INT32_MAX - 9, 10, 0); /* ends at 2^31-1 */
    assert_int_equal(check(&p, 0, 0, 10), 0);
    assert_int_equal(check(&p, 0, 1, 10), ERR_OUT_OF_ORDER);
    append(&p, 0, 0, 10, 10);
    assert_int_equal(check(&p, 0, 10, 1), 0);
    assert_int_equal(check(&p, 0, INT32_MAX - 9, 10), 1);
    producers_fini(&p);
}

static void a_batch_may_wrap_inside(void **state)
{
    struct producers p;
    begin(&p, 0);
    append(&p, 0, INT32_MAX - 4, 10, 0); /* 5 before the wrap, 5 after: the last is 4 */
    assert_int_equal(check(&p, 0, INT32_MAX - 4, 10), 1);
    assert_int_equal(check(&p, 0, 5, 1), 0);
    assert_int_equal(check(&p, 0, 4, 1), ERR_DUPLICATE_SEQUENCE);
    assert_int_equal(check(&p, 0, INT32_MAX - 20, 10), ERR_DUPLICATE_SEQUENCE);
    producers_fini(&p);
}

static void a_new_epoch_begins_at_zero(void **state)
{
    struct producers p;
    begin(&p, 2);
    assert_int_equal(check(&p, 1, 20, 1), ERR_OUT_OF_ORDER);
    assert_int_equal(check(&p, 1, 0, 1), 0);
    append(&p, 1, 0, 10, 200);
    assert_int_equal(check(&p, 1, 10, 1), 0);
    assert_int_equal(check(&p, 1, 0, 10), 1); /* of this epoch: 100 was that of the old one */
    producers_fini(&p);
}

static void an_old_epoch_is_refused(void **state)
{
    struct producers p;
    begin(&p, 0);
    append(&p, 3, 0, 10, 0);
    assert_int_equal(check(&p, 2, 10, 1), ERR_PRODUCER_EPOCH);
    assert_int_equal(check(&p, 2, 0, 10), ERR_PRODUCER_EPOCH); /* even what looks like a duplicate */
    producers_fini(&p);
}

static void producers_do_not_disturb_each_other(void **state)
{
    struct producers p;
    const struct producer_batch *known;
    begin(&p, 3);
    assert_int_equal(producers_check(&p, batch(ID + 1, 0, 99, 1), &known), 0);
    producers_append(&p, batch(ID + 1, 0, 99, 1), NOW_MS);
    assert_int_equal(check(&p, 0, 30, 1), 0);
    assert_int_equal(check(&p, 0, 20, 10), 1);
    producers_fini(&p);
}

static void idle_producers_are_forgotten(void **state)
{
    struct producers p;
    begin(&p, 2);
    producers_append(&p, batch(ID + 1, 0, 0, 1), NOW_MS + 50);
    assert_int_equal(producers_expire(&p, NOW_MS), 0);
    assert_int_equal(producers_expire(&p, NOW_MS + 50), 1);
    assert_int_equal(p.by_id.count, 1);
    assert_int_equal(check(&p, 0, 777, 1), 0); /* unknown again */
    producers_fini(&p);
}

static void truncation_forgets_what_the_log_lost(void **state)
{
    struct producers p;
    begin(&p, 8);                /* the window holds 30..79 at offsets 130..170 */
    producers_truncate(&p, 155); /* 160 and 170 are gone */
    assert_int_equal(check(&p, 0, 60, 10), 0);
    assert_int_equal(check(&p, 0, 50, 10), 1);
    assert_int_equal(check(&p, 0, 70, 10), ERR_OUT_OF_ORDER);
    append(&p, 0, 60, 10, 160);
    append(&p, 0, 70, 10, 170);
    append(&p, 0, 80, 10, 180);
    assert_int_equal(check(&p, 0, 40, 10), 1);
    assert_int_equal(check(&p, 0, 30, 10), ERR_DUPLICATE_SEQUENCE); /* the oldest made room */
    producers_truncate(&p, 0);
    assert_int_equal(p.by_id.count, 0);
    producers_fini(&p);
}

static void what_is_restored_decides_alike(void **state)
{
    struct producers p, copy;
    size_t count;
    begin(&p, 7);
    producers_append(&p, batch(3, 1, 0, 1), NOW_MS);
    producers_append(&p, batch(INT64_MAX, 1, 0, 1), NOW_MS);
    struct producer **all = producers_sorted(&p, &count);
    assert_int_equal(count, 3);
    assert_true(all[0]->id == 3 && all[1]->id == ID && all[2]->id == INT64_MAX);
    producers_init(&copy);
    for (size_t i = 0; i < count; i++)
        producers_restore(&copy, all[i]);
    producers_restore(&copy, all[1]); /* twice is once */
    mem_free(all);
    assert_int_equal(copy.by_id.count, 3);
    for (int i = 0; i < 9; i++)
        assert_int_equal(check(&copy, 0, 10 * i, 10), check(&p, 0, 10 * i, 10));
    producers_fini(&copy);
    producers_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_producer_may_begin_anywhere),
        cmocka_unit_test(the_next_sequence_follows),
        cmocka_unit_test(a_gap_is_refused),
        cmocka_unit_test(the_last_five_batches_are_known_again),
        cmocka_unit_test(older_batches_are_duplicates_without_an_offset),
        cmocka_unit_test(another_cut_of_what_was_stored_is_no_known_batch),
        cmocka_unit_test(sequences_wrap_to_zero),
        cmocka_unit_test(a_batch_may_wrap_inside),
        cmocka_unit_test(a_new_epoch_begins_at_zero),
        cmocka_unit_test(an_old_epoch_is_refused),
        cmocka_unit_test(producers_do_not_disturb_each_other),
        cmocka_unit_test(idle_producers_are_forgotten),
        cmocka_unit_test(truncation_forgets_what_the_log_lost),
        cmocka_unit_test(what_is_restored_decides_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
