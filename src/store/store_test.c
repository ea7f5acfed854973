/* The store on the simulated system: what a user of it relies on, without crashes. */
#include <stddef.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/batch.h"
#include "store/log_impl.h"
#include "store/rig.h"

static const struct log_config small_segments = {LOG_FSYNC, 16 << 10, 256, 86400000};
static const struct log_config os_log = {LOG_OS, 16 << 10, 256, 86400000};

static void open_with(struct rig *r, unsigned shards, const struct log_config *cfg, unsigned logs)
{
    sim_reset(1);
    rig_init(r, shards);
    assert_int_equal(rig_open(r), 0);
    for (unsigned i = 0; i < logs; i++)
        assert_int_equal(rig_create(r, i, cfg), 0);
    rig_settle(r);
}

static void end(struct rig *r)
{
    rig_close(r);
    rig_fini(r);
    sim_reset(0);
}

static void append_many(struct rig *r, struct rig_log *l, int n, uint32_t payload)
{
    for (int i = 0; i < n; i++) {
        int err;
        while ((err = rig_append(r, l, 1 + (uint32_t)i % 3, payload)) == ERR_AGAIN)
            rig_run(r, 50);
        assert_int_equal(err, 0);
        if (i % 7 == 0)
            rig_run(r, 30);
    }
    rig_settle(r);
}

static void appended_batches_are_read_back(void **state)
{
    struct rig r;
    open_with(&r, 1, &small_segments, 2);
    append_many(&r, &r.logs[0], 100, 100);
    append_many(&r, &r.logs[1], 3, 5000);
    assert_int_equal(r.acks, 2 + 103);
    rig_verify_all(&r, r.acks);
    end(&r);
}

static void nothing_is_visible_before_it_is_durable(void **state)
{
    struct rig r;
    uint8_t *bytes;
    size_t len;
    open_with(&r, 1, &small_segments, 1);
    assert_int_equal(rig_append(&r, &r.logs[0], 1, 10), 0);
    assert_int_equal(log_durable(r.logs[0].log), 0);
    assert_int_equal(rig_read(&r, r.logs[0].log, 0, 1000, &bytes, &len), 0);
    assert_int_equal(len, 0);
    mem_free(bytes);
    rig_settle(&r);
    assert_int_equal(log_durable(r.logs[0].log), 1);
    end(&r);
}

static void a_restart_keeps_everything(void **state)
{
    struct rig r;
    open_with(&r, 3, &small_segments, 9);
    for (int i = 0; i < 9; i++)
        append_many(&r, &r.logs[i], 20 * (i + 1), 300);
    for (int round = 0; round < 3; round++) {
        rig_close(&r);
        assert_int_equal(rig_open(&r), 0);
        rig_verify_all(&r, r.acks);
        append_many(&r, &r.logs[round], 30, 700);
    }
    end(&r);
}

static void recycling_moves_the_journal_into_segments(void **state)
{
    struct rig r;
    open_with(&r, 1, &small_segments, 3);
    for (int i = 0; i < 30; i++)
        append_many(&r, &r.logs[i % 3], 40, 1000);    /* 1.2 MB through a journal of 512 KB */
    assert_true(r.st->journal->stats.files <= 8 + 2); /* the limit, and what internal entries may add */
    assert_true(r.logs[0].log->segment_count > 3);
    rig_verify_all(&r, r.acks);
    rig_close(&r);
    assert_int_equal(rig_open(&r), 0);
    rig_verify_all(&r, r.acks);
    end(&r);
}

static void one_cold_log_pins_nothing(void **state)
{
    struct rig r;
    open_with(&r, 1, &small_segments, 60);
    for (int i = 1; i < 60; i++)
        append_many(&r, &r.logs[i], 1, 50);
    for (int i = 0; i < 40; i++)
        append_many(&r, &r.logs[0], 40, 1000);
    rig_settle(&r);
    for (int i = 1; i < 60; i++) { /* copied forward, again and again, without a file of their own */
        assert_int_equal(r.logs[i].log->segment_count, 0);
        assert_int_equal(r.logs[i].log->tail.count, 1);
    }
    assert_true(r.st->journal->stats.files <= 8 + 2); /* the limit, and what internal entries may add */
    rig_verify_all(&r, r.acks);
    rig_close(&r);
    assert_int_equal(rig_open(&r), 0);
    rig_verify_all(&r, r.acks);
    end(&r);
}

static void tails_keep_to_their_budget(void **state)
{
    struct rig r;
    sim_reset(1);
    rig_init(&r, 1);
    r.opt.tail_bytes = 512 << 10;
    r.opt.journal_file_bytes = 1 << 20;
    r.opt.journal_max_bytes = 16 << 20;
    assert_int_equal(rig_open(&r), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(rig_create(&r, i, &small_segments), 0);
    rig_settle(&r);
    for (int i = 0; i < 60; i++) {
        append_many(&r, &r.logs[i % 4], 10, 10000);
        assert_true(store_shard(r.st, 0)->tail_pool.used_bytes <= (3 << 20) / 2);
    }
    rig_verify_all(&r, r.acks);
    end(&r);
}

static void os_logs_are_acknowledged_when_written(void **state)
{
    struct rig r;
    open_with(&r, 1, &os_log, 2);
    append_many(&r, &r.logs[0], 200, 400);
    assert_int_equal(r.logs[0].log->tail.count, 0);
    rig_verify_all(&r, r.acks);
    rig_close(&r);
    assert_int_equal(rig_open(&r), 0);
    assert_false(store_was_unclean(r.st));
    assert_int_equal(log_epoch(r.logs[0].log), 0);
    rig_verify_all(&r, r.acks);
    end(&r);
}

static bool is_acked(void *arg)
{
    const struct rig_log *l = arg;
    return l->batches[l->count - 1].acked != 0;
}

/* While a state of the log is on its way, its batches wait; once it is there, nothing else may be needed. */
static void os_appends_go_on_after_a_state(void **state)
{
    struct rig r;
    open_with(&r, 1, &os_log, 1);
    append_many(&r, &r.logs[0], 10, 100);
    for (uint64_t steps = 0; steps < 200; steps++) {
        rig_settle(&r);
        assert_true(flush_start(r.logs[0].log, true));
        rig_run(&r, steps / 10); /* somewhere on the way */
        uint64_t begun = os_mono_ns();
        assert_int_equal(rig_append(&r, &r.logs[0], 1, 10), 0);
        os_loop_wake(r.loops[0]);
        assert_true(sim_run_until(is_acked, &r.logs[0], 100000));
        assert_true(os_mono_ns() - begun < 1000000000);
    }
    end(&r);
}

static void trimming_moves_the_start_and_frees_segments(void **state)
{
    struct rig r;
    open_with(&r, 1, &small_segments, 1);
    for (int i = 0; i < 10; i++)
        append_many(&r, &r.logs[0], 60, 1000);
    struct log *l = r.logs[0].log;
    size_t before = l->segment_count;
    assert_int_equal(rig_trim(&r, &r.logs[0], log_durable(l) - 3), 0);
    rig_settle(&r);
    rig_run(&r, 100);
    assert_true(l->segment_count < before);
    assert_int_equal(rig_trim(&r, &r.logs[0], log_durable(l) + 1), ERR_OFFSET_RANGE);
    rig_verify_all(&r, r.acks);
    rig_close(&r);
    assert_int_equal(rig_open(&r), 0);
    rig_verify_all(&r, r.acks);
    end(&r);
}

static void reads_start_at_any_offset(void **state)
{
    struct rig r;
    open_with(&r, 1, &small_segments, 1);
    for (int i = 0; i < 10; i++)
        append_many(&r, &r.logs[0], 60, 500);
    struct log *l = r.logs[0].log;
    assert_true(l->written > 0 && l->written < l->durable); /* segments and tail */
    for (uint64_t at = 0; at < l->durable; at += 7) {
        uint8_t *bytes;
        size_t len;
        assert_int_equal(rig_read(&r, l, at, 1, &bytes, &len), 0);
        assert_true((uint64_t)batch_base_offset(bytes) <= at && (uint64_t)batch_last_offset(bytes) >= at);
        assert_int_equal(len, batch_bytes(bytes)); /* one batch, though larger than asked for (KIP-74) */
        mem_free(bytes);
    }
    struct log_read beyond = {.offset = l->durable + 1, .max_bytes = 1};
    assert_int_equal(log_read(l, &beyond), ERR_OFFSET_RANGE);
    end(&r);
}

static void a_bad_index_is_rebuilt(void **state)
{
    struct rig r;
    char path[STORE_PATH_BYTES + 8];
    open_with(&r, 1, &small_segments, 1);
    for (int i = 0; i < 10; i++)
        append_many(&r, &r.logs[0], 60, 500);
    char name[STORE_PATH_BYTES];
    store_segment_path(1, 0, "idx", name);
    snprintf(path, sizeof(path), "data/%s", name);
    rig_close(&r);
    assert_int_equal(sim_disk_corrupt(path, 20, 0xff), 0);
    assert_int_equal(rig_open(&r), 0);
    rig_verify_all(&r, r.acks);
    rig_close(&r);
    os_unlink(path);
    assert_int_equal(rig_open(&r), 0);
    rig_verify_all(&r, r.acks);
    end(&r);
}

static void a_full_disk_refuses_publishers_and_heals(void **state)
{
    struct rig r;
    int err = 0;
    open_with(&r, 1, &small_segments, 2);
    append_many(&r, &r.logs[0], 20, 1000);
    sim_disk_capacity(sim_disk_used() + (600 << 10));
    for (int i = 0; i < 5000 && err != ERR_NO_SPACE; i++) {
        err = rig_append(&r, &r.logs[1], 1, 1000);
        rig_run(&r, 20);
        if (err == ERR_AGAIN)
            sim_advance_ms(10);
    }
    assert_int_equal(err, ERR_NO_SPACE);
    assert_int_equal(r.failed, 0);
    rig_verify_all(&r, r.acks);                                                /* readers go on */
    assert_int_equal(rig_trim(&r, &r.logs[0], log_durable(r.logs[0].log)), 0); /* so do deletes */
    sim_disk_capacity(UINT64_MAX);
    for (int i = 0; i < 100; i++) {
        sim_advance_ms(100);
        rig_run(&r, 100);
    }
    append_many(&r, &r.logs[1], 20, 1000);
    rig_verify_all(&r, r.acks);
    end(&r);
}

static void delete_first(struct rig *r)
{
    store_log_delete(r->logs[0].log);
    r->logs[0].log = NULL;
    r->logs[0].created = false;
    r->logs[0].created_ack = 0;
    rig_settle(r);
}

/* Nobody else writes here who would find out that there is space; a log that is not journaled never would,
 * since it is refused before. */
static void a_disk_filled_by_a_log_that_is_deleted_is_not_full_for_ever(void **state)
{
    struct rig r;
    struct store_figures figures;
    int err = 0;
    open_with(&r, 1, &small_segments, 1);
    sim_disk_capacity(sim_disk_used() + (600 << 10));
    for (int i = 0; i < 5000 && err != ERR_NO_SPACE; i++) {
        err = rig_append(&r, &r.logs[0], 1, 1000);
        rig_run(&r, 20);
        if (err == ERR_AGAIN)
            sim_advance_ms(10);
    }
    assert_int_equal(err, ERR_NO_SPACE);
    store_figures(r.st, &figures);
    assert_true(figures.disk_full);
    delete_first(&r);
    for (int i = 0; i < 100; i++) {
        sim_advance_ms(100);
        rig_run(&r, 100);
    }
    store_figures(r.st, &figures);
    assert_false(figures.disk_full);
    sim_disk_capacity(UINT64_MAX);
    end(&r);
}

static void timestamps_are_found(void **state)
{
    struct rig r;
    open_with(&r, 1, &small_segments, 1);
    for (int i = 0; i < 10; i++)
        append_many(&r, &r.logs[0], 60, 500);
    struct rig_log *l = &r.logs[0];
    for (size_t i = 0; i < l->count; i += 13) {
        uint8_t *bytes;
        size_t len;
        assert_int_equal(rig_find_time(&r, l->log, (int64_t)l->batches[i].seed, &bytes, &len), 0);
        assert_int_equal(batch_base_offset(bytes), l->batches[i].base);
        assert_int_equal(len, batch_bytes(bytes));
        mem_free(bytes);
    }
    end(&r);
}

static void deleted_logs_leave_nothing(void **state)
{
    struct rig r;
    open_with(&r, 1, &small_segments, 2);
    for (int i = 0; i < 10; i++)
        append_many(&r, &r.logs[0], 60, 1000);
    uint64_t before = sim_disk_used();
    assert_true(r.logs[0].log->segment_count > 0);
    delete_first(&r);
    rig_run(&r, 100); /* files go on the disk pool */
    assert_true(sim_disk_used() < before);
    append_many(&r, &r.logs[1], 10, 100);
    rig_verify(&r, &r.logs[1], r.acks);
    end(&r);
}

/* Flips a bit in the first place of the journal that holds these bytes. */
static void damage_journal(struct span bytes)
{
    static uint8_t all[64 << 10];
    int file = os_open("data/journal/0000000001.journal", OS_READ);
    int64_t n = os_pread(file, all, sizeof(all), 0);
    os_close(file);
    const uint8_t *at = memmem(all, (size_t)n, bytes.ptr, bytes.len);
    assert_non_null(at);
    assert_int_equal(sim_disk_corrupt("data/journal/0000000001.journal", (uint64_t)(at - all), 1), 0);
}

static void a_damaged_log_stays_set_aside_and_pins_nothing(void **state)
{
    struct rig r;
    uint8_t *bytes;
    size_t len;
    open_with(&r, 1, &small_segments, 3);
    append_many(&r, &r.logs[0], 3, 100);
    append_many(&r, &r.logs[1], 3, 100);
    struct span batch = rig_batch_make(r.logs[0].batches[0].seed, 1, 100);
    rig_close(&r);
    damage_journal(span_of(batch.ptr + BATCH_HEADER_BYTES, 100));
    for (int round = 0; round < 3; round++) {
        assert_int_equal(rig_open(&r), 0);
        assert_true(log_damaged(r.logs[0].log));
        assert_int_equal(rig_read(&r, r.logs[0].log, 0, 100, &bytes, &len), ERR_CORRUPT);
        assert_int_equal(rig_append(&r, &r.logs[0], 1, 10), ERR_CORRUPT);
        rig_verify(&r, &r.logs[1], r.acks);
        for (int i = 0; i < 10; i++)
            append_many(&r, &r.logs[2], 60, 1000); /* through the journal, and again */
        rig_close(&r);
    }
    assert_int_equal(rig_open(&r), 0);
    store_log_delete(r.logs[0].log); /* the way out */
    r.logs[0].log = NULL;
    r.logs[0].created = false;
    r.logs[0].created_ack = 0;
    rig_settle(&r);
    rig_verify(&r, &r.logs[2], r.acks);
    end(&r);
}

static void foreign_folders_are_left_alone(void **state)
{
    struct rig r;
    uint64_t size;
    open_with(&r, 1, &small_segments, 1);
    append_many(&r, &r.logs[0], 5, 100);
    rig_close(&r);
    assert_int_equal(os_mkdir("data/logs/notes"), 0);
    int file = os_open("data/logs/notes/todo", OS_WRITE | OS_CREATE);
    os_close(file);
    assert_int_equal(rig_open(&r), 0);
    rig_verify_all(&r, r.acks);
    assert_int_equal(os_path_size("data/logs/notes/todo", &size), 0);
    end(&r);
}

static void a_second_opener_is_refused(void **state)
{
    struct rig r, other;
    open_with(&r, 1, &small_segments, 1);
    rig_init(&other, 1);
    assert_int_equal(rig_open(&other), ERR_LOCKED);
    end(&r);
}

static void large_states_go_to_a_file(void **state)
{
    struct rig r;
    struct log_config cfg = small_segments;
    cfg.producer_expiry_ms = INT64_MAX / 4; /* the virtual clock jumps while nothing happens */
    open_with(&r, 1, &cfg, 1);
    struct log *l = r.logs[0].log;
    for (int64_t id = 0; id < 1500; id++) {
        struct producer x = {.id = id, .count = 1, .last_ms = os_wall_ms()};
        producers_restore(&l->producers, &x);
    }
    for (int i = 0; i < 20; i++)
        append_many(&r, &r.logs[0], 60, 1000);
    assert_non_null(l->spill);
    rig_close(&r);
    assert_int_equal(rig_open(&r), 0);
    assert_int_equal(r.logs[0].log->producers.by_id.count, 1500);
    rig_verify_all(&r, r.acks);
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appended_batches_are_read_back),
        cmocka_unit_test(nothing_is_visible_before_it_is_durable),
        cmocka_unit_test(a_restart_keeps_everything),
        cmocka_unit_test(recycling_moves_the_journal_into_segments),
        cmocka_unit_test(one_cold_log_pins_nothing),
        cmocka_unit_test(tails_keep_to_their_budget),
        cmocka_unit_test(os_logs_are_acknowledged_when_written),
        cmocka_unit_test(os_appends_go_on_after_a_state),
        cmocka_unit_test(trimming_moves_the_start_and_frees_segments),
        cmocka_unit_test(reads_start_at_any_offset),
        cmocka_unit_test(a_bad_index_is_rebuilt),
        cmocka_unit_test(a_full_disk_refuses_publishers_and_heals),
        cmocka_unit_test(a_disk_filled_by_a_log_that_is_deleted_is_not_full_for_ever),
        cmocka_unit_test(timestamps_are_found),
        cmocka_unit_test(deleted_logs_leave_nothing),
        cmocka_unit_test(a_damaged_log_stays_set_aside_and_pins_nothing),
        cmocka_unit_test(foreign_folders_are_left_alone),
        cmocka_unit_test(a_second_opener_is_refused),
        cmocka_unit_test(large_states_go_to_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
