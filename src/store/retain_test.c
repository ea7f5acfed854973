/* Retention: what goes, what stays, and that nothing of it is lost or given out again by a restart. */
#include <stddef.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/log_impl.h"
#include "store/rig.h"

enum { KEEP_MS = 1000, SEGMENT = 16 << 10 };

static const struct log_config by_time = {LOG_FSYNC, SEGMENT, 256, 86400000, 0, KEEP_MS, -1};
static const struct log_config by_size = {LOG_FSYNC, SEGMENT, 256, 86400000, 0, -1, 40000};
static const struct log_config os_by_time = {LOG_OS, SEGMENT, 256, 86400000, 0, KEEP_MS, -1};
static const struct log_config rolled = {LOG_FSYNC, SEGMENT, 256, 86400000, 10, -1, -1};

static struct rig r;

static struct rig_log *start_with(const struct log_config *cfg, unsigned logs)
{
    sim_reset(1);
    rig_init(&r, 1);
    assert_int_equal(rig_open(&r), 0);
    for (unsigned i = 0; i < logs; i++)
        assert_int_equal(rig_create(&r, i, cfg), 0);
    rig_settle(&r);
    return &r.logs[0];
}

static void end(void)
{
    rig_verify_all(&r, r.acks);
    rig_close(&r);
    rig_fini(&r);
    sim_reset(0);
}

static void restart(void)
{
    rig_close(&r);
    assert_int_equal(rig_open(&r), 0);
    rig_verify_all(&r, r.acks);
}

/* The process dies; what it had written to files is there. */
static void kill_it(void)
{
    struct sim_image *image = sim_disk_image(sim_disk_ops(), SIM_CRASH_KEEP);
    rig_abandon(&r);
    sim_boot(image, 2);
    assert_int_equal(rig_open(&r), 0);
    rig_verify_all(&r, r.acks);
}

static void append(struct rig_log *l, int n, uint32_t payload)
{
    for (int i = 0; i < n; i++) {
        int err;
        while ((err = rig_append(&r, l, 1 + (uint32_t)i % 3, payload)) == ERR_AGAIN)
            rig_run(&r, 50);
        assert_int_equal(err, 0);
        if (i % 7 == 0)
            rig_run(&r, 30);
    }
    rig_settle(&r);
}

static void flush(struct rig_log *l)
{
    for (int i = 0; i < 100 && (l->log->tail.count || l->log->saved != l->log->written); i++) {
        assert_true(flush_start(l->log, true));
        rig_settle(&r);
    }
    assert_int_equal(l->log->tail.count, 0);
}

/* Retention when batch `i` and those before it are too old, and no more. */
static void retain_through(struct rig_log *l, size_t i)
{
    assert_int_equal(rig_retain(&r, l, (int64_t)l->batches[i].seed + KEEP_MS + 1), 0);
    rig_settle(&r);
    rig_run(&r, 100); /* files go on the disk pool */
}

static uint64_t files_of(struct rig_log *l)
{
    char path[STORE_PATH_BYTES];
    uint64_t n = 0, size;
    for (size_t i = 0; i < l->count; i++) {
        store_segment_path(l->id, l->batches[i].base, "log", path);
        n += r.st->blobs->ops->size(r.st->blobs, path, &size) == 0;
    }
    return n;
}

/* So much on another log that the journal forgets all there is. */
static void churn(struct rig_log *other)
{
    for (int i = 0; i < 25; i++)
        append(other, 40, 1000);
}

/* ---- time ---------------------------------------------------------------------------------------------- */

static void segments_go_oldest_first_up_to_the_first_that_is_not_old(void **state)
{
    struct rig_log *l = start_with(&by_time, 1);
    append(l, 100, 1000);
    flush(l);
    size_t segments = l->log->segment_count;
    assert_true(segments > 4);
    uint64_t first_left = l->log->segments[2]->base;
    retain_through(l, 15); /* the largest timestamp of the second segment is not reached */
    assert_int_equal(log_start(l->log), l->log->segments[0]->base);
    assert_int_equal(l->log->segment_count, segments - 1);
    size_t i = 0;
    while (l->batches[i].base < first_left)
        i++;
    retain_through(l, i - 1);
    assert_int_equal(log_start(l->log), first_left);
    assert_int_equal(files_of(l), segments - 2);
    restart();
    assert_int_equal(log_start(l->log), first_left);
    end();
}

static void exactly_the_retention_time_is_not_too_old(void **state)
{
    struct rig_log *l = start_with(&by_time, 1);
    append(l, 1, 100);
    assert_int_equal(rig_retain(&r, l, (int64_t)l->batches[0].seed + KEEP_MS), 0);
    assert_int_equal(log_start(l->log), 0);
    assert_int_equal(rig_retain(&r, l, (int64_t)l->batches[0].seed + KEEP_MS + 1), 0);
    assert_int_equal(log_start(l->log), 1);
    rig_settle(&r);
    end();
}

static void a_log_in_the_journal_only_gets_empty_batch_by_batch(void **state)
{
    struct rig_log *l = start_with(&by_time, 2);
    append(l, 10, 100);
    retain_through(l, 4);
    assert_int_equal(log_start(l->log), l->batches[5].base);
    assert_int_equal(l->log->tail.count, 5); /* the memory is given back */
    kill_it();
    retain_through(l, 9);
    assert_int_equal(log_start(l->log), log_next(l->log));
    assert_int_equal(log_bytes(l->log), 0);
    kill_it();
    assert_int_equal(log_start(l->log), log_next(l->log));
    churn(&r.logs[1]); /* its state has no segment, and the journal nothing of it */
    restart();
    uint64_t next = log_next(l->log);
    assert_int_equal(log_start(l->log), next);
    append(l, 1, 100);
    assert_int_equal(l->batches[l->count - 1].base, next); /* no offset is given out twice */
    end();
}

static void a_cold_log_gives_its_last_segment_back(void **state)
{
    struct rig_log *l = start_with(&by_time, 2);
    append(l, 20, 1000);
    flush(l);
    append(l, 3, 1000); /* some in the tail, too */
    retain_through(l, l->count - 1);
    assert_int_equal(log_start(l->log), log_next(l->log));
    assert_int_equal(l->log->segment_count, 0);
    assert_int_equal(files_of(l), 0);
    kill_it(); /* the newest state names the segments that are gone */
    assert_int_equal(log_bytes(l->log), 0);
    append(l, 20, 1000);
    flush(l);
    kill_it();
    churn(&r.logs[1]);
    restart();
    end();
}

static void a_log_of_the_system_cache_gives_its_last_segment_back(void **state)
{
    struct rig_log *l = start_with(&os_by_time, 1);
    append(l, 40, 1000);
    uint64_t next = log_next(l->log);
    retain_through(l, l->count - 1);
    assert_int_equal(files_of(l), 1);
    retain_through(l, l->count - 1); /* its state is saved first */
    retain_through(l, l->count - 1);
    assert_int_equal(l->log->segment_count, 0);
    assert_int_equal(files_of(l), 0);
    kill_it();
    assert_int_equal(log_next(l->log), next);
    append(l, 5, 1000);
    assert_int_equal(l->batches[l->count - 5].base, next);
    restart();
    end();
}

static void a_start_amid_a_batch_survives_without_segments(void **state)
{
    struct rig_log *l = start_with(&by_time, 2);
    append(l, 6, 100); /* 1, 2, 3, 1, 2, 3 records */
    assert_int_equal(rig_trim(&r, l, l->batches[2].base + 1), 0);
    rig_settle(&r);
    assert_int_equal(l->log->tail.count, 4);
    churn(&r.logs[1]);
    assert_int_equal(l->log->segment_count, 0);
    kill_it();
    assert_int_equal(log_start(l->log), l->batches[2].base + 1);
    assert_int_equal(l->log->tail.count, 4);
    end();
}

static int append_numbered(struct rig_log *l, int32_t sequence, uint64_t *ret_base)
{
    struct span b = rig_batch_make(1, 1, 100);
    batch_set_producer_id((uint8_t *)b.ptr, 77);
    batch_set_producer_epoch((uint8_t *)b.ptr, 0);
    batch_set_base_sequence((uint8_t *)b.ptr, sequence);
    batch_seal((uint8_t *)b.ptr, b.len);
    int err = log_append(l->log, b, ret_base, NULL);
    rig_settle(&r);
    return err;
}

static void producers_go_on_though_their_records_are_gone(void **state)
{
    static const struct log_config *const configs[] = {&by_time, &os_by_time};
    for (int i = 0; i < 2; i++) {
        uint64_t base;
        struct log_removed removed;
        struct rig_log *l = start_with(configs[i], 1);
        for (int32_t s = 0; s < 8; s++)
            assert_int_equal(append_numbered(l, s, &base), 0);
        for (int k = 0; k < 3; k++) {
            assert_int_equal(log_retain(l->log, KEEP_MS + 2, &removed), 0);
            rig_settle(&r);
        }
        assert_int_equal(log_bytes(l->log), 0);
        struct sim_image *image = sim_disk_image(sim_disk_ops(), SIM_CRASH_KEEP);
        rig_abandon(&r);
        sim_boot(image, 2);
        assert_int_equal(rig_open(&r), 0);
        assert_int_equal(append_numbered(l, 7, &base), 1); /* known, at the offset it had */
        assert_int_equal(base, 7);
        assert_int_equal(append_numbered(l, 9, &base), ERR_OUT_OF_ORDER);
        assert_int_equal(append_numbered(l, 8, &base), 0);
        assert_int_equal(base, 8);
        rig_close(&r);
        rig_fini(&r);
        sim_reset(0);
    }
}

/* ---- timestamps that are none, or wrong ---------------------------------------------------------------- */

static void append_at(struct rig_log *l, int64_t ms)
{
    uint64_t base;
    struct span b = rig_batch_make(1, 1, 500);
    batch_set_base_timestamp((uint8_t *)b.ptr, ms);
    batch_set_max_timestamp((uint8_t *)b.ptr, ms);
    batch_seal((uint8_t *)b.ptr, b.len);
    assert_int_equal(log_append(l->log, b, &base, NULL), 0);
    rig_settle(&r);
}

static void start_is(struct rig_log *l, int64_t now_ms, uint64_t start)
{
    struct log_removed removed;
    assert_int_equal(log_retain(l->log, now_ms, &removed), 0);
    assert_int_equal(log_start(l->log), start);
    rig_settle(&r);
}

static void end_unverified(void)
{
    rig_close(&r);
    rig_fini(&r);
    sim_reset(0);
}

static void a_timestamp_in_the_future_keeps_it_and_what_follows(void **state)
{
    struct rig_log *l = start_with(&by_time, 1);
    append_at(l, 1000);
    append_at(l, 900000);
    append_at(l, 1000);
    start_is(l, 5000, 1);
    start_is(l, 900000 + KEEP_MS, 1);
    start_is(l, 900000 + KEEP_MS + 1, 3);
    end_unverified();
}

static void records_without_a_timestamp_age_by_the_clock(void **state)
{
    struct rig_log *l = start_with(&by_time, 1);
    int64_t now = os_wall_ms();
    append_at(l, -1);
    start_is(l, now + KEEP_MS, 0);
    start_is(l, os_wall_ms() + KEEP_MS + 1, 1);
    append_at(l, -1);
    flush(l);
    start_is(l, now + KEEP_MS, 1);
    sim_advance_ms(10 * KEEP_MS);
    rig_close(&r);
    assert_int_equal(rig_open(&r), 0);
    start_is(l, now + 10 * KEEP_MS, 1); /* nobody knows, so it is kept for once more */
    start_is(l, os_wall_ms() + KEEP_MS + 1, 2);
    end_unverified();
}

/* ---- size ---------------------------------------------------------------------------------------------- */

static void size_keeps_at_least_what_it_says(void **state)
{
    struct rig_log *l = start_with(&by_size, 1);
    append(l, 100, 1000);
    flush(l);
    uint64_t all = log_bytes(l->log), segment = l->log->segments[0]->len;
    assert_int_equal(rig_retain(&r, l, INT64_MAX), 0);
    rig_settle(&r);
    assert_true(log_bytes(l->log) >= 40000 && log_bytes(l->log) < 40000 + segment);
    assert_int_equal((all - log_bytes(l->log)) % segment, 0);
    uint64_t start = log_start(l->log);
    assert_int_equal(rig_retain(&r, l, INT64_MAX), 0);
    assert_int_equal(log_start(l->log), start);
    end();
}

static void size_counts_what_is_in_memory_in_runs_of_a_segment(void **state)
{
    struct rig_log *l = start_with(&by_size, 1);
    append(l, 50, 1000);
    assert_int_equal(l->log->segment_count, 0);
    assert_int_equal(rig_retain(&r, l, INT64_MAX), 0);
    rig_settle(&r);
    assert_int_equal(log_start(l->log), 0); /* 53 KB less a run of 15 batches would be too little */
    append(l, 10, 1000);
    assert_int_equal(rig_retain(&r, l, INT64_MAX), 0);
    rig_settle(&r);
    assert_int_equal(log_start(l->log), l->batches[15].base);
    assert_int_equal(l->log->tail.count, 45);
    restart();
    end();
}

/* ---- rolling by time ----------------------------------------------------------------------------------- */

static void a_batch_much_newer_than_the_first_begins_a_segment(void **state)
{
    struct rig_log *l = start_with(&rolled, 1);
    append(l, 36, 10); /* timestamps one apart: 0 to 10 in the first */
    flush(l);
    assert_int_equal(l->log->segment_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(l->log->segments[i]->base, l->batches[i * 11].base);
    end();
}

static void a_restart_does_not_make_a_segment_young(void **state)
{
    struct rig_log *l = start_with(&rolled, 1);
    append(l, 3, 10);
    flush(l);
    restart();
    append(l, 3, 10);
    flush(l); /* this flush reads the first batch */
    assert_int_equal(l->log->segment_count, 1);
    append(l, 8, 10);
    flush(l);
    assert_int_equal(l->log->segment_count, 2);
    assert_int_equal(l->log->segments[1]->base, l->batches[11].base);
    end();
}

/* ---- trouble ------------------------------------------------------------------------------------------- */

static void a_full_disk_is_freed(void **state)
{
    struct rig_log *l = start_with(&by_time, 2);
    append(l, 100, 1000);
    flush(l);
    sim_disk_capacity(sim_disk_used() + (300 << 10));
    int err = 0;
    for (int i = 0; i < 5000 && err != ERR_NO_SPACE; i++) {
        err = rig_append(&r, &r.logs[1], 1, 1000);
        rig_run(&r, 20);
        if (err == ERR_AGAIN)
            sim_advance_ms(10);
    }
    assert_int_equal(err, ERR_NO_SPACE);
    uint64_t used = sim_disk_used();
    retain_through(l, l->count - 1);
    assert_true(sim_disk_used() + 90000 < used);
    assert_int_equal(r.failed, 0);
    end();
}

static void a_change_of_the_settings_is_applied_the_next_time(void **state)
{
    struct rig_log *l = start_with(&by_size, 1);
    append(l, 10, 100);
    int64_t late = (int64_t)l->batches[9].seed + 2 * KEEP_MS;
    assert_int_equal(rig_retain(&r, l, late), 0);
    assert_int_equal(log_start(l->log), 0);
    l->config.retention_ms = KEEP_MS;
    log_set_config(l->log, &l->config);
    assert_int_equal(rig_retain(&r, l, late), 0);
    assert_int_equal(log_start(l->log), log_next(l->log));
    rig_settle(&r);
    end();
}

/* A reader has the last segment open, and a writer goes on: nothing is taken from under them. */
static void readers_and_writers_are_not_disturbed(void **state)
{
    struct rig_log *l = start_with(&by_time, 1);
    append(l, 40, 1000);
    flush(l);
    uint8_t *bytes;
    size_t len;
    append(l, 5, 1000);
    assert_true(flush_start(l->log, true)); /* in flight */
    uint64_t before = l->log->written;
    assert_int_equal(rig_retain(&r, l, (int64_t)l->batches[39].seed + KEEP_MS + 1), 0);
    assert_int_equal(log_start(l->log), before);
    rig_settle(&r);
    rig_run(&r, 100);
    assert_int_equal(rig_read(&r, l->log, before, 100000, &bytes, &len), 0);
    assert_int_equal(batch_base_offset(bytes), before);
    mem_free(bytes);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_go_oldest_first_up_to_the_first_that_is_not_old),
        cmocka_unit_test(exactly_the_retention_time_is_not_too_old),
        cmocka_unit_test(a_log_in_the_journal_only_gets_empty_batch_by_batch),
        cmocka_unit_test(a_cold_log_gives_its_last_segment_back),
        cmocka_unit_test(a_log_of_the_system_cache_gives_its_last_segment_back),
        cmocka_unit_test(a_start_amid_a_batch_survives_without_segments),
        cmocka_unit_test(producers_go_on_though_their_records_are_gone),
        cmocka_unit_test(a_timestamp_in_the_future_keeps_it_and_what_follows),
        cmocka_unit_test(records_without_a_timestamp_age_by_the_clock),
        cmocka_unit_test(size_keeps_at_least_what_it_says),
        cmocka_unit_test(size_counts_what_is_in_memory_in_runs_of_a_segment),
        cmocka_unit_test(a_batch_much_newer_than_the_first_begins_a_segment),
        cmocka_unit_test(a_restart_does_not_make_a_segment_young),
        cmocka_unit_test(a_full_disk_is_freed),
        cmocka_unit_test(a_change_of_the_settings_is_applied_the_next_time),
        cmocka_unit_test(readers_and_writers_are_not_disturbed),
    };
    return cmocka_run_group_tests_name("store_retain", tests, NULL, NULL);
}

/* What an abandoned store had in memory is leaked on purpose, as a dead process's is. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}
