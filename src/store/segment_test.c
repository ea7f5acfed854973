/* Segments and their indexes after a power cut: the index is a help, and must never lead astray. */
#include <stddef.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/batch.h"
#include "store/log_impl.h"
#include "store/rig.h"

static const struct log_config os_log = {LOG_OS, 1 << 20, 256, INT64_MAX / 4};
static const char segment_path[] = "data/logs/1/00000000000000000000.log";
static const char index_path[] = "data/logs/1/00000000000000000000.idx";

static void append(struct rig *r, int n, uint32_t payload)
{
    for (int i = 0; i < n; i++) {
        assert_int_equal(rig_append(r, &r->logs[0], 1, payload), 0);
        rig_settle(r);
    }
}

static void cut_file(const char *path, uint64_t len)
{
    int file = os_open(path, OS_WRITE);
    assert_true(file >= 0);
    assert_int_equal(os_truncate(file, len), 0);
    os_close(file);
}

/* A log of 40 batches, whose segment lost all but its first 3000 bytes in a power cut; its index did not. */
static void lose_records_but_not_the_index(struct rig *r)
{
    sim_reset(1);
    rig_init(r, 1);
    assert_int_equal(rig_open(r), 0);
    assert_int_equal(rig_create(r, 0, &os_log), 0);
    rig_settle(r);
    append(r, 40, 239); /* 300 bytes each */
    struct sim_image *image = sim_disk_image(sim_disk_ops(), SIM_CRASH_KEEP);
    rig_abandon(r);
    sim_boot(image, 1);
    cut_file(segment_path, 3000 + 100);
    for (size_t i = 0; i < r->logs[0].count; i++)
        r->logs[0].batches[i].acked = 0; /* LOG_OS promises a prefix only */
    assert_int_equal(rig_open(r), 0);
    assert_int_equal(log_next(r->logs[0].log), 10);
}

static void read_from_everywhere(struct rig *r)
{
    struct log *l = r->logs[0].log;
    for (uint64_t at = 0; at < log_durable(l); at++) {
        uint8_t *bytes;
        size_t len;
        assert_int_equal(rig_read(r, l, at, 1, &bytes, &len), 0);
        assert_true(len > 0 && (uint64_t)batch_base_offset(bytes) <= at &&
                    (uint64_t)batch_last_offset(bytes) >= at);
        mem_free(bytes);
    }
}

static void reopen(struct rig *r)
{
    rig_close(r);
    assert_int_equal(rig_open(r), 0);
}

static void end(struct rig *r)
{
    rig_close(r);
    rig_fini(r);
    sim_reset(0);
}

/* A small batch gets an index entry; the large one after it gets none, but spans all that the old index
 * named. */
static void append_other_boundaries(struct rig *r)
{
    append(r, 1, 40);
    assert_int_equal(rig_append(r, &r->logs[0], 1000, 50000), 0);
    rig_settle(r);
}

static void an_index_of_records_that_were_lost_leads_nowhere(void **state)
{
    struct rig r;
    lose_records_but_not_the_index(&r);
    r.logs[0].count = 10;
    append_other_boundaries(&r);
    reopen(&r);
    read_from_everywhere(&r);
    end(&r);
}

static void it_leads_nowhere_after_a_read_in_between(void **state)
{
    struct rig r;
    lose_records_but_not_the_index(&r);
    rig_verify_all(&r, 0);
    append_other_boundaries(&r);
    reopen(&r);
    read_from_everywhere(&r);
    end(&r);
}

static void an_index_cut_or_missing_is_made_again(void **state)
{
    for (uint64_t len = 0; len < 200; len += 7) {
        struct rig r;
        sim_reset(1);
        rig_init(&r, 1);
        assert_int_equal(rig_open(&r), 0);
        assert_int_equal(rig_create(&r, 0, &os_log), 0);
        rig_settle(&r);
        append(&r, 40, 239);
        rig_close(&r);
        cut_file(index_path, len);
        assert_int_equal(rig_open(&r), 0);
        read_from_everywhere(&r);
        append(&r, 20, 100);
        reopen(&r);
        read_from_everywhere(&r);
        end(&r);
    }
}

static void an_index_that_is_right_but_for_its_last_entry_is_made_again(void **state)
{
    struct rig r;
    uint8_t bytes[INDEX_ENTRY_BYTES];
    struct index_entry e = {39, 39 * 300 - 7, INT64_MAX};
    sim_reset(1);
    rig_init(&r, 1);
    assert_int_equal(rig_open(&r), 0);
    assert_int_equal(rig_create(&r, 0, &os_log), 0);
    rig_settle(&r);
    append(&r, 40, 239);
    rig_close(&r);
    index_encode(&e, 0, bytes); /* its checksum is right */
    int file = os_open(index_path, OS_WRITE);
    assert_int_equal(os_size(file), INDEX_HEADER_BYTES + 40 * INDEX_ENTRY_BYTES);
    struct span s = span_of(bytes, sizeof(bytes));
    assert_int_equal(os_pwrite(file, &s, 1, INDEX_HEADER_BYTES + 39 * INDEX_ENTRY_BYTES), 0);
    os_close(file);
    assert_int_equal(rig_open(&r), 0);
    read_from_everywhere(&r);
    end(&r);
}

/* ---- walking ---- */

static int count(void *arg, const uint8_t *b, uint64_t pos)
{
    ++*(int *)arg;
    return 0;
}

static int stop_at_third(void *arg, const uint8_t *b, uint64_t pos)
{
    return ++*(int *)arg == 3 ? ERR_CLOSED : 0;
}

static int walk(const uint8_t *bytes, size_t len, int (*fn)(void *, const uint8_t *, uint64_t),
                int *ret_count)
{
    struct span s = span_of(bytes, len);
    sim_reset(1);
    assert_int_equal(os_mkdir("d"), 0);
    struct blobs *blobs = blobs_file_new("d");
    int file = blobs->ops->open(blobs, "x.log", BLOB_WRITE | BLOB_CREATE);
    assert_true(file >= 0);
    assert_true(len == 0 || blobs->ops->append(blobs, file, &s, 1, 0) == 0);
    *ret_count = 0;
    int err = segment_walk(blobs, file, 0, len, fn, ret_count);
    blobs->ops->close(blobs, file);
    blobs->ops->free(blobs);
    return err;
}

/* Four batches; returns their length. */
static size_t make_batches(uint8_t *ret)
{
    static const uint32_t payloads[] = {0, 70000, 3, 500}; /* one is larger than the walker's window */
    size_t len = 0;
    for (int i = 0; i < 4; i++) {
        struct span b = rig_batch_make((uint64_t)i, 1, payloads[i]);
        memcpy(ret + len, b.ptr, b.len);
        len += b.len;
    }
    return len;
}

static void a_walk_visits_every_batch(void **state)
{
    static uint8_t bytes[80000];
    int n;
    size_t len = make_batches(bytes);
    assert_int_equal(walk(bytes, len, count, &n), 0);
    assert_int_equal(n, 4);
    assert_int_equal(walk(bytes, 0, count, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(walk(bytes, len, stop_at_third, &n), ERR_CLOSED);
    assert_int_equal(n, 3);
}

static void a_walk_ends_at_what_is_no_batch(void **state)
{
    static uint8_t bytes[80000];
    int n;
    size_t len = make_batches(bytes);
    assert_int_equal(walk(bytes, len - 1, count, &n), ERR_CORRUPT);
    assert_int_equal(n, 3);
    assert_int_equal(walk(bytes, 61 + 10, count, &n), ERR_CORRUPT);
    assert_int_equal(n, 1);
    static const int32_t lengths[] = {INT32_MIN, -1, 0, 48, INT32_MAX};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        batch_set_batch_length(bytes + 61, lengths[i]);
        assert_int_equal(walk(bytes, len, count, &n), ERR_CORRUPT);
        assert_int_equal(n, 1);
    }
    batch_set_magic(bytes, 1);
    assert_int_equal(walk(bytes, len, count, &n), ERR_CORRUPT);
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_of_records_that_were_lost_leads_nowhere),
        cmocka_unit_test(it_leads_nowhere_after_a_read_in_between),
        cmocka_unit_test(an_index_cut_or_missing_is_made_again),
        cmocka_unit_test(an_index_that_is_right_but_for_its_last_entry_is_made_again),
        cmocka_unit_test(a_walk_visits_every_batch),
        cmocka_unit_test(a_walk_ends_at_what_is_no_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What an abandoned store had in memory is leaked on purpose, as a dead process's is. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}
