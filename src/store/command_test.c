/* Command logs on the simulated system: snapshots inline and in files, load without a pause, a full disk,
 * damage. Power cuts are crash_test.c's. */
#include <stddef.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/err.h"
#include "store/journal_format.h"
#include "store/le.h"
#include "store/log_impl.h"
#include "store/rig.h"

static const struct log_config config = {LOG_FSYNC, 16 << 10, 256, 86400000};

enum { SMALL = 100, LARGE = 20000 }; /* snapshots: the journal of a rig takes up to 3 KiB */

static void begin(struct rig *r, unsigned shards, size_t snapshot_bytes)
{
    sim_reset(1);
    rig_init(r, shards);
    r->snapshot_bytes = snapshot_bytes;
    assert_int_equal(rig_open(r), 0);
    assert_int_equal(rig_create(r, 0, &config), 0);
    rig_settle(r);
}

static void end(struct rig *r)
{
    rig_close(r);
    rig_fini(r);
    sim_reset(0);
}

static void reopen(struct rig *r)
{
    rig_close(r);
    assert_int_equal(rig_open(r), 0);
    rig_verify_all(r, r->acks);
}

static void command(struct rig *r, unsigned index, uint32_t bytes)
{
    int err;
    while ((err = rig_command(r, index, bytes)) == ERR_AGAIN)
        rig_run(r, 50);
    assert_int_equal(err, 0);
}

/* Some 60 KiB of records, which the journal recycles what is older for. */
static void load(struct rig *r, int n)
{
    for (int i = 0; i < n; i++) {
        int err;
        while ((err = rig_append(r, &r->logs[0], 1, 3000)) == ERR_AGAIN)
            rig_run(r, 50);
        assert_int_equal(err, 0);
        if (i % 5 == 0)
            rig_run(r, 30);
    }
    rig_settle(r);
}

static struct command_log *log_of(const struct rig *r, unsigned index)
{
    uint64_t id = STORE_COMMAND_LOGS + index;
    return command_log_get(store_shard(r->st, store_shard_of(r->st, id)), id);
}

struct listed {
    unsigned count, snapshots;
    char last[64];
};

static int list_one(void *arg, const char *name, bool is_dir)
{
    struct listed *l = arg;
    l->count++;
    l->snapshots += strstr(name, ".snapshot") != NULL;
    snprintf(l->last, sizeof(l->last), "%s", name);
    return 0;
}

static struct listed states(void)
{
    struct listed l = {0};
    assert_int_equal(os_list("data/states", list_one, &l), 0);
    return l;
}

static void ids_tell_command_logs(void **state)
{
    assert_true(store_is_command_log(STORE_META_LOG));
    assert_false(store_is_command_log(1));
    assert_false(store_is_command_log(STORE_COMMAND_LOGS - 1));
    assert_true(store_is_command_log(STORE_COMMAND_LOGS));
    assert_true(store_is_command_log(STORE_COMMAND_LOGS + 15));
}

static void commands_come_back_in_order(void **state)
{
    struct rig r;
    begin(&r, 3, SMALL);
    for (unsigned i = 0; i < 200; i++)
        command(&r, i % RIG_COMMAND_LOGS, i);
    rig_settle(&r);
    assert_int_equal(r.acks, 1 + 200);
    reopen(&r);
    rig_close(&r);
    r.opt.shards = 2; /* they move to other shards then */
    assert_int_equal(rig_open(&r), 0);
    rig_verify_all(&r, r.acks);
    command(&r, 1, 10);
    reopen(&r);
    assert_int_equal(r.commands[1].count, 51);
    end(&r);
}

static void too_large_a_command_is_refused(void **state)
{
    struct rig r;
    static uint8_t bytes[64 << 10];
    begin(&r, 1, SMALL);
    assert_int_equal(
        store_command_append(store_shard(r.st, 0), STORE_COMMAND_LOGS, span_of(bytes, sizeof(bytes))),
        ERR_TOO_LARGE);
    assert_int_equal(rig_command(&r, 0, 0), 0); /* and took no number */
    rig_settle(&r);
    reopen(&r);
    end(&r);
}

static void cold_command_logs_pin_nothing(void **state)
{
    struct rig r;
    begin(&r, 1, SMALL);
    for (unsigned i = 0; i < RIG_COMMAND_LOGS; i++)
        command(&r, i, 10);
    load(&r, 400); /* twice the journal */
    assert_true(r.st->journal->stats.files <= 8 + 2);
    assert_true(journal_lsn_file(command_lowest(store_shard(r.st, 0))) > 10);
    assert_int_equal(states().count, 0);
    reopen(&r);
    end(&r);
}

/* There is never a moment without a command in flight. */
static void load_does_not_put_snapshots_off(void **state)
{
    struct rig r;
    begin(&r, 1, SMALL);
    for (int i = 0; i < 4000; i++) {
        command(&r, (unsigned)i % RIG_COMMAND_LOGS, 500);
        rig_run(&r, 3);
    }
    assert_true(r.st->journal->stats.bytes > 4 * r.opt.journal_max_bytes);
    assert_true(r.st->journal->stats.files <= 8 + 2);
    assert_true(r.snapshots > 10);
    rig_settle(&r);
    reopen(&r);
    end(&r);
}

static void large_snapshots_go_to_files_that_replace_each_other(void **state)
{
    struct rig r;
    begin(&r, 3, LARGE);
    for (unsigned i = 0; i < 2000; i++) {
        command(&r, i % RIG_COMMAND_LOGS, 500);
        rig_run(&r, 3);
    }
    rig_settle(&r);
    assert_true(r.large_snapshots > 3 * RIG_COMMAND_LOGS);
    rig_run(&r, 100);                                       /* files go on the disk pool */
    assert_int_equal(states().count, RIG_COMMAND_LOGS + 1); /* and the metadata's */
    assert_true(log_of(&r, 0)->file.len >= LARGE);
    reopen(&r);
    r.snapshot_bytes = SMALL; /* back into the journal */
    for (unsigned i = 0; i < 2000; i++) {
        command(&r, i % RIG_COMMAND_LOGS, 500);
        rig_run(&r, 3);
    }
    rig_settle(&r);
    rig_run(&r, 100);
    assert_int_equal(states().count, 1); /* the metadata did not change: next test */
    reopen(&r);
    end(&r);
}

/* It is named again by a newer entry, and that is all. */
static void a_file_is_not_written_again_if_nothing_changed(void **state)
{
    struct rig r;
    begin(&r, 1, LARGE);
    command(&r, 0, 10);
    load(&r, 200);
    struct spill_file file = log_of(&r, 0)->file;
    uint64_t lsn = log_of(&r, 0)->state_lsn, snapshots = r.snapshots;
    assert_true(file.name[0] != 0);
    load(&r, 400);
    assert_true(log_of(&r, 0)->state_lsn > lsn);
    assert_string_equal(log_of(&r, 0)->file.name, file.name);
    assert_int_equal(r.snapshots, snapshots);
    reopen(&r);
    command(&r, 0, 10);
    load(&r, 400);
    assert_string_not_equal(log_of(&r, 0)->file.name, file.name);
    rig_run(&r, 100);
    assert_int_equal(states().snapshots, 2); /* the metadata's, too */
    reopen(&r);
    end(&r);
}

static bool is_spilling(void *arg)
{
    return log_of(arg, 0)->saving == COMMANDS_SPILLING;
}

static bool is_saved(void *arg)
{
    return log_of(arg, 0)->saving == COMMANDS_IDLE;
}

static void commands_appended_while_a_file_is_written_are_kept(void **state)
{
    struct rig r;
    begin(&r, 1, LARGE);
    command(&r, 0, 10);
    rig_settle(&r);
    while (!is_spilling(&r)) {
        rig_append(&r, &r.logs[0], 1, 3000);
        rig_run(&r, 1);
    }
    size_t before = r.commands[0].count;
    for (int i = 0; i < 20; i++) {
        command(&r, 0, 10);
        rig_run(&r, 1);
    }
    assert_true(sim_run_until(is_saved, &r, 10000));
    rig_settle(&r);
    struct command_log *c = log_of(&r, 0);
    assert_int_equal(c->state_seq, before);
    assert_true(c->unsaved_lsn != 0);
    reopen(&r);
    assert_int_equal(r.commands[0].count, before + 20);
    load(&r, 400);
    reopen(&r);
    end(&r);
}

static void metadata_may_be_larger_than_the_journal(void **state)
{
    struct rig r;
    begin(&r, 2, 700 << 10); /* the journal: 512 KiB */
    load(&r, 400);
    assert_true(r.large_snapshots > 0);
    assert_true(r.st->journal->stats.files <= 8 + 2);
    reopen(&r);
    assert_true(r.logs[0].created);
    end(&r);
}

/* ---- a full disk ---- */

/* Commands until the disk is full; who publishes must hear it, and not wait for ever. */
static void fill(struct rig *r)
{
    int err = 0;
    for (int i = 0; i < 5000 && err != ERR_NO_SPACE; i++) {
        err = rig_command(r, 0, 1000);
        rig_run(r, 20);
        if (err == ERR_AGAIN)
            sim_advance_ms(10);
    }
    assert_int_equal(err, ERR_NO_SPACE);
    assert_int_equal(r->failed, 0);
}

static void wait_a_while(struct rig *r)
{
    for (int i = 0; i < 20; i++) {
        sim_advance_ms(100);
        rig_run(r, 200);
    }
}

static void a_full_disk_puts_a_large_snapshot_off(void **state)
{
    struct rig r;
    begin(&r, 1, 300 << 10);
    for (int i = 0; i < 100; i++)
        command(&r, 0, 1000);
    rig_settle(&r);
    sim_disk_capacity(sim_disk_used() + (200 << 10)); /* a part of it fits */
    fill(&r);
    assert_true(r.large_snapshots > 0 && log_of(&r, 0)->state_lsn == 0);
    uint64_t tries = r.snapshots, begun = os_mono_ns();
    wait_a_while(&r);
    uint64_t halves = (os_mono_ns() - begun) / 500000000;
    assert_in_range(r.snapshots - tries, halves, 2 * halves + 2); /* of two logs, every half second */
    assert_int_equal(states().count, 0);                          /* what a try had written is gone */
    sim_disk_capacity(UINT64_MAX);
    wait_a_while(&r);
    assert_true(log_of(&r, 0)->state_lsn != 0);
    for (int i = 0; i < 100; i++)
        command(&r, 0, 1000);
    rig_settle(&r);
    reopen(&r);
    end(&r);
}

static void publishers_hear_of_a_snapshot_that_finds_the_disk_full(void **state)
{
    struct rig r;
    begin(&r, 1, SMALL);
    for (int i = 0; i < 2000; i++) { /* the journal has all the files there may be */
        command(&r, 0, 500);
        rig_run(&r, 3);
    }
    rig_settle(&r);
    r.snapshot_bytes = 300 << 10;
    sim_disk_capacity(sim_disk_used() + (100 << 10));
    fill(&r);
    assert_false(r.st->journal->stats.refused); /* it has what it wants */
    sim_disk_capacity(UINT64_MAX);
    wait_a_while(&r);
    for (int i = 0; i < 100; i++)
        command(&r, 0, 1000);
    rig_settle(&r);
    reopen(&r);
    end(&r);
}

static void only_metadata_may_use_the_reserve(void **state)
{
    struct rig r;
    begin(&r, 1, SMALL);
    sim_disk_capacity(sim_disk_used());
    fill(&r);
    assert_int_equal(rig_create(&r, 1, &config), 0);
    rig_settle(&r);
    assert_true(r.logs[1].created);
    end(&r);
}

/* ---- damage ---- */

static char path[128];

static const char *states_path(const char *name)
{
    snprintf(path, sizeof(path), "data/states/%s", name);
    return path;
}

/* Flips a bit of a journal entry's body: the last place that holds these bytes. */
static void damage_journal(struct span what)
{
    static uint8_t all[64 << 10];
    for (unsigned no = 1; no < 100; no++) {
        snprintf(path, sizeof(path), "data/journal/%010u.journal", no);
        int file = os_open(path, OS_READ);
        if (file < 0)
            continue;
        int64_t n = os_pread(file, all, sizeof(all), 0);
        os_close(file);
        for (int64_t at = n - (int64_t)what.len; at >= 0; at--) {
            if (memcmp(all + at, what.ptr, what.len) != 0)
                continue;
            assert_int_equal(sim_disk_corrupt(path, (uint64_t)at, 1), 0);
            return;
        }
    }
    fail();
}

static void damage_command(const struct rig *r, unsigned index, uint64_t number)
{
    uint8_t head[16];
    le_put_u64(head, r->commands[index].id);
    le_put_u64(head + 8, number); /* the entry's header begins so, too, but stands before */
    damage_journal(span_of(head, sizeof(head)));
}

static int open_accepting_loss(struct rig *r)
{
    r->opt.accept_loss = true;
    int err = rig_open(r);
    r->opt.accept_loss = false;
    return err;
}

/* The last command of the log is lost, knowingly: the model forgets it. */
static void forget_last(struct rig_commands *c)
{
    c->model[c->model_count - 1].acked = 0;
}

static void a_damaged_command_is_not_dropped_silently(void **state)
{
    struct rig r;
    begin(&r, 2, SMALL);
    for (unsigned i = 0; i < 6; i++)
        command(&r, i % 2, 10);
    rig_settle(&r);
    rig_close(&r);
    damage_command(&r, 1, 3);
    assert_int_equal(rig_open(&r), ERR_CORRUPT);
    rig_give_up(&r);
    forget_last(&r.commands[1]);
    assert_int_equal(open_accepting_loss(&r), 0);
    rig_verify_all(&r, r.acks);
    assert_int_equal(r.commands[0].count, 3);
    assert_int_equal(r.commands[1].count, 2);
    rig_run(&r, 200);
    command(&r, 1, 20);
    rig_settle(&r);
    reopen(&r); /* a snapshot covers the damage: it need not be accepted again */
    assert_int_equal(r.commands[1].count, 3);
    end(&r);
}

static void a_damaged_or_missing_snapshot_is_not_dropped_silently(void **state)
{
    struct rig r;
    for (int round = 0; round < 2; round++) {
        begin(&r, 1, LARGE);
        command(&r, 2, 10);
        load(&r, 400);
        rig_close(&r);
        struct listed l = states();
        assert_int_equal(l.snapshots, 2); /* names in bytewise order: the metadata's first */
        if (round == 0)
            assert_int_equal(sim_disk_corrupt(states_path(l.last), 1000, 1), 0);
        else
            assert_int_equal(os_unlink(states_path(l.last)), 0);
        assert_int_equal(rig_open(&r), ERR_CORRUPT);
        rig_give_up(&r);
        forget_last(&r.commands[2]);
        assert_int_equal(open_accepting_loss(&r), 0);
        assert_int_equal(r.commands[2].count, 0);
        end(&r);
    }
}

/* They may be what the metadata named. */
static void files_of_logs_stay_when_metadata_are_lost(void **state)
{
    struct rig r;
    uint64_t size;
    begin(&r, 1, LARGE);
    load(&r, 400);
    char segment[STORE_PATH_BYTES];
    snprintf(segment, sizeof(segment), "data/logs/1/%020u.log", 0);
    assert_int_equal(os_path_size(segment, &size), 0);
    char snapshot[128];
    snprintf(snapshot, sizeof(snapshot), "data/states/%s",
             command_log_get(store_shard(r.st, 0), 0)->file.name);
    rig_close(&r);
    assert_int_equal(sim_disk_corrupt(snapshot, 1000, 1), 0);
    assert_int_equal(rig_open(&r), ERR_CORRUPT);
    rig_give_up(&r);
    assert_int_equal(open_accepting_loss(&r), 0);
    assert_false(r.logs[0].created);
    assert_int_equal(os_path_size(segment, &size), 0);
    rig_run(&r, 200);
    rig_close(&r);
    assert_int_equal(rig_open(&r), 0);
    assert_int_equal(os_path_size(segment, &size), ERR_NOT_FOUND);
    end(&r);
}

/* Nobody would take it over when the journal is recycled. */
static void an_unknown_command_log_is_refused(void **state)
{
    struct rig r;
    begin(&r, 1, SMALL);
    assert_int_equal(
        store_command_append(store_shard(r.st, 0), STORE_COMMAND_LOGS + RIG_COMMAND_LOGS, span_of("new", 3)),
        0);
    rig_settle(&r);
    rig_close(&r);
    assert_int_equal(rig_open(&r), ERR_UNSUPPORTED);
    rig_give_up(&r);
    rig_fini(&r);
    sim_reset(0);
}

/* What nobody claims may be claimed by a state that only a last, unsynced group replaces: if that cannot be
 * made durable nothing is removed. */
static void nothing_is_removed_before_the_journal_is_durable(void **state)
{
    struct rig r;
    unsigned failed = 0;
    begin(&r, 1, SMALL);
    rig_close(&r);
    for (int64_t n = 0; n < 20; n++) {
        uint64_t size;
        os_close(os_open("data/states/5-5.state", OS_WRITE | OS_CREATE));
        uint64_t acks = r.acks;
        sim_disk_fail_after(n, true, ERR_IO, SIM_FAIL_SYNC);
        int err = rig_open(&r);
        sim_disk_fail_after(-1, false, 0, 0);
        if (err) {
            assert_int_equal(os_path_size("data/states/5-5.state", &size), 0);
            failed++;
            rig_give_up(&r);
        } else {
            assert_int_equal(os_path_size("data/states/5-5.state", &size), ERR_NOT_FOUND);
            rig_give_up(&r);
        }
        r.acks = acks;
    }
    assert_true(failed > 3);
    assert_int_equal(rig_open(&r), 0);
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_tell_command_logs),
        cmocka_unit_test(commands_come_back_in_order),
        cmocka_unit_test(too_large_a_command_is_refused),
        cmocka_unit_test(cold_command_logs_pin_nothing),
        cmocka_unit_test(load_does_not_put_snapshots_off),
        cmocka_unit_test(large_snapshots_go_to_files_that_replace_each_other),
        cmocka_unit_test(a_file_is_not_written_again_if_nothing_changed),
        cmocka_unit_test(commands_appended_while_a_file_is_written_are_kept),
        cmocka_unit_test(metadata_may_be_larger_than_the_journal),
        cmocka_unit_test(a_full_disk_puts_a_large_snapshot_off),
        cmocka_unit_test(publishers_hear_of_a_snapshot_that_finds_the_disk_full),
        cmocka_unit_test(only_metadata_may_use_the_reserve),
        cmocka_unit_test(a_damaged_command_is_not_dropped_silently),
        cmocka_unit_test(a_damaged_or_missing_snapshot_is_not_dropped_silently),
        cmocka_unit_test(files_of_logs_stay_when_metadata_are_lost),
        cmocka_unit_test(an_unknown_command_log_is_refused),
        cmocka_unit_test(nothing_is_removed_before_the_journal_is_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
