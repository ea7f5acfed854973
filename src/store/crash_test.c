/* Power cuts: a random workload on the simulated disk; after every chosen operation the disk as it may look
 * then is recovered, and everything that had been acknowledged by that moment must be there, once, in order.
 *
 *   crash_test                a few seconds of seeds, as the ordinary tests run it
 *   crash_test SEED [COUNT]   these seeds */
#include <stddef.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/log_impl.h"
#include "store/rig.h"

enum { LOGS = 8, CUTS = 24 };

static uint64_t first_seed = 1, seeds = 12, snapshots, large_snapshots;

/* Retention at a time when between none and all of the log is too old. */
static void retain(struct rig *r, struct rig_log *l)
{
    int64_t newest = l->count ? (int64_t)l->batches[l->count - 1].seed : 0;
    rig_retain(r, l, newest + l->config.retention_ms + 2 - (int64_t)sim_random_below(60));
}

static void script_commands(struct rig *r, unsigned shard)
{
    static const size_t sizes[] = {0, 1000, 20000};
    if (sim_random_below(50) == 0)
        r->snapshot_bytes = sizes[sim_random_below(3)];
    for (unsigned n = (unsigned)sim_random_below(3); n-- > 0;) {
        unsigned i = (unsigned)sim_random_below(RIG_COMMAND_LOGS);
        if (store_shard_of(r->st, r->commands[i].id) == shard)
            rig_command(r, i, (uint32_t)sim_random_below(sim_random_below(10) ? 100 : 2000));
    }
}

/* What one turn of one shard does: creates, appends, trims, removes what is too old, commands. */
static void script(struct rig *r, unsigned shard, void *arg)
{
    const struct log_config *configs = arg;
    script_commands(r, shard);
    for (unsigned n = (unsigned)sim_random_below(4); n-- > 0;) {
        unsigned i = (unsigned)sim_random_below(LOGS);
        struct rig_log *l = &r->logs[i];
        if (shard == 0 && !l->created && !l->creating)
            rig_create(r, i, &configs[i]);
        if (!l->log || store_shard_of(r->st, l->id) != shard)
            continue;
        uint32_t payload =
            sim_random_below(10) ? (uint32_t)sim_random_below(600) : (uint32_t)sim_random_below(6000);
        if (sim_random_below(40) == 0)
            rig_trim(r, l,
                     log_durable(l->log) - sim_random_below(log_durable(l->log) - log_start(l->log) + 1));
        else if (sim_random_below(30) == 0)
            retain(r, l);
        else
            rig_append(r, l, 1 + (uint32_t)sim_random_below(4), payload);
    }
}

static void prepare(struct rig *r, struct log_config *configs, unsigned shards,
                    enum log_durability durability)
{
    rig_init(r, shards);
    r->opt.tail_bytes =
        sim_random_below(2) ? 300 << 10 : 30 << 10; /* the latter flushes early, without sync */
    r->script = script;
    r->script_arg = configs;
    for (int i = 0; i < LOGS; i++)
        configs[i] = (struct log_config){
            durability, 4096 + (uint64_t)i * 4000, 256, INT64_MAX / 4, i % 3 ? 15 : 0, 20, i % 4 ? -1 : 9000};
}

/* Recovers one image and compares with what was acknowledged; then writes on, and recovers that, too. */
static void recover_image(struct rig *r, struct sim_image *image, uint64_t ack, uint64_t seed)
{
    struct rig copy = *r;
    rig_copy_model(&copy);
    sim_boot(image, seed);
    copy.script = NULL;
    assert_int_equal(rig_open(&copy), 0);
    rig_verify_all(&copy, ack);
    rig_rebase(&copy);
    rig_settle(&copy);
    for (int i = 0; i < LOGS; i++)
        if (copy.logs[i].log)
            rig_append(&copy, &copy.logs[i], 2, 100);
    for (unsigned i = 0; i < RIG_COMMAND_LOGS; i++)
        rig_command(&copy, i, 50);
    rig_settle(&copy);
    rig_verify_all(&copy, UINT64_MAX - 1);
    rig_close(&copy);
    assert_int_equal(rig_open(&copy), 0);
    rig_verify_all(&copy, UINT64_MAX - 1);
    rig_close(&copy);
    rig_fini(&copy);
}

static struct sim_image *cut(uint64_t op, enum sim_crash_mode mode)
{
    return sim_disk_image(op, mode);
}

static void one_seed(uint64_t seed, unsigned shards)
{
    static const enum sim_crash_mode modes[] = {SIM_CRASH_DROP, SIM_CRASH_KEEP, SIM_CRASH_RANDOM,
                                                SIM_CRASH_TORN};
    struct rig r;
    struct log_config configs[LOGS];
    struct sim_image *images[CUTS];
    uint64_t acks[CUTS];
    sim_reset(seed);
    prepare(&r, configs, shards, LOG_FSYNC);
    sim_disk_log(true);
    assert_int_equal(rig_open(&r), 0);
    rig_run(&r, 2000);
    for (int i = 0; i < CUTS; i++) {
        for (unsigned k = 0; k < shards; k++)
            os_loop_wake(r.loops[k]);
        rig_run(&r, 100);
    }
    uint64_t ops = sim_disk_ops();
    for (int i = 0; i < CUTS; i++) { /* spread over the run, the beginning included */
        uint64_t op = i < 4 ? (uint64_t)i * 7 + seed % 7 : sim_random_below(ops + 1);
        images[i] = cut(op, modes[(seed + (uint64_t)i) % 4]);
        acks[i] = sim_disk_mark_before(op);
    }
    rig_abandon(&r);
    snapshots += r.snapshots;
    large_snapshots += r.large_snapshots;
    for (int i = 0; i < CUTS; i++)
        recover_image(&r, images[i], acks[i], seed + (uint64_t)i);
    rig_fini(&r);
    sim_reset(0);
}

static void acknowledged_batches_survive_power_cuts(void **state)
{
    for (uint64_t s = first_seed; s < first_seed + seeds; s++)
        one_seed(s, s % 2 ? 1 : 3);
    assert_true(seeds < 10 || (large_snapshots > 10 * seeds && snapshots > 2 * large_snapshots));
}

/* LOG_OS promises less: what the kernel has survives a kill, and after a power cut the log is a prefix. */
static void os_logs_survive_a_kill(void **state)
{
    struct rig r;
    struct log_config configs[LOGS];
    for (uint64_t s = first_seed; s < first_seed + seeds; s++) {
        sim_reset(s);
        prepare(&r, configs, s % 2 ? 1 : 3, LOG_OS);
        assert_int_equal(rig_open(&r), 0);
        for (int i = 0; i < 40; i++)
            rig_run(&r, 60);
        uint64_t op = sim_disk_ops();
        struct sim_image *image = cut(op, SIM_CRASH_KEEP);
        rig_abandon(&r);
        sim_boot(image, s);
        r.script = NULL;
        assert_int_equal(rig_open(&r), 0);
        rig_verify_all(&r, r.acks);
        for (int i = 0; i < LOGS; i++)
            if (r.logs[i].log && log_durable(r.logs[i].log))
                assert_int_equal(log_epoch(r.logs[i].log), 1); /* clients must notice */
        rig_close(&r);
        rig_fini(&r);
    }
    sim_reset(0);
}

static void os_logs_are_a_prefix_after_a_power_cut(void **state)
{
    struct rig r;
    struct log_config configs[LOGS];
    for (uint64_t s = first_seed; s < first_seed + seeds; s++) {
        sim_reset(s);
        prepare(&r, configs, 1, LOG_OS);
        sim_disk_log(true);
        assert_int_equal(rig_open(&r), 0);
        for (int i = 0; i < 40; i++)
            rig_run(&r, 60);
        struct sim_image *image = cut(sim_disk_ops(), SIM_CRASH_RANDOM);
        rig_abandon(&r);
        sim_boot(image, s);
        r.script = NULL;
        for (int i = 0; i < LOGS;
             i++) { /* creation and trims are journaled and stay promised; records are not */
            for (size_t k = 0; k < r.logs[i].count; k++)
                r.logs[i].batches[k].acked = 0;
            r.logs[i].start_ack = 0;
        }
        assert_int_equal(rig_open(&r), 0);
        rig_verify_all(&r, r.acks);
        rig_close(&r);
        rig_fini(&r);
    }
    sim_reset(0);
}

/* A crash during recovery, again and again: recovery itself may be cut anywhere. */
static void recovery_survives_power_cuts(void **state)
{
    struct rig r;
    struct log_config configs[LOGS];
    for (uint64_t s = first_seed; s < first_seed + seeds; s++) {
        sim_reset(s);
        prepare(&r, configs, 1, LOG_FSYNC);
        assert_int_equal(rig_open(&r), 0);
        for (int i = 0; i < 30; i++)
            rig_run(&r, 60);
        uint64_t ack = r.acks;
        for (int round = 0; round < 6; round++) {
            struct sim_image *image = cut(sim_disk_ops(), round % 2 ? SIM_CRASH_RANDOM : SIM_CRASH_DROP);
            rig_abandon(&r);
            sim_boot(image, s + (uint64_t)round);
            r.script = NULL;
            assert_int_equal(rig_open(&r), 0);
            rig_run(&r, sim_random_below(40)); /* cut in the middle of what follows recovery */
        }
        rig_settle(&r);
        rig_verify_all(&r, ack);
        rig_close(&r);
        rig_fini(&r);
    }
    sim_reset(0);
}

/* The Nth write or sync fails, once or for good: the store stops acknowledging, and recovery has everything.
 */
static void failing_calls_stop_it_and_lose_nothing(void **state)
{
    static const unsigned kinds[] = {SIM_FAIL_WRITE, SIM_FAIL_SYNC, SIM_FAIL_META, SIM_FAIL_ALL};
    struct rig r;
    struct log_config configs[LOGS];
    for (uint64_t n = 0; n < 40 * seeds / 4; n++) {
        sim_reset(n);
        prepare(&r, configs, n % 2 ? 1 : 3, LOG_FSYNC);
        sim_disk_fail_after((int64_t)n, n % 3 == 0, n % 5 ? ERR_IO : ERR_NO_SPACE, kinds[n % 4]);
        int err = rig_open(&r);
        for (int i = 0; i < 30 && !err && !r.failed; i++)
            rig_run(&r, 60);
        sim_disk_fail_after(-1, false, 0, 0);
        uint64_t ack = r.acks;
        struct sim_image *image = cut(sim_disk_ops(), n % 2 ? SIM_CRASH_RANDOM : SIM_CRASH_DROP);
        rig_abandon(&r);
        sim_boot(image, n);
        r.script = NULL;
        assert_int_equal(rig_open(&r), 0);
        rig_verify_all(&r, ack);
        rig_close(&r);
        rig_fini(&r);
    }
    sim_reset(0);
}

static jmp_buf died;

static void die(void)
{
    longjmp(died, 1);
}

/* The Nth allocation fails, once or for good: an error or the end of the process, and recovery has
 * everything. */
static void failing_allocations_lose_nothing(void **state)
{
    static struct rig r; /* survives the longjmp */
    struct log_config configs[LOGS];
    mem_on_exhausted(die);
    for (uint64_t n = 0; n < 60 * seeds / 4; n++) {
        sim_reset(n);
        prepare(&r, configs, n % 2 ? 1 : 3, LOG_FSYNC);
        if (setjmp(died) == 0) {
            mem_fail_after((int64_t)(n < 30 ? n : n * n / 4), n % 3 == 0);
            rig_open(&r);
            for (int i = 0; i < 30; i++)
                rig_run(&r, 60);
        }
        mem_fail_after(-1, false);
        sim_died();
        uint64_t ack = r.acks;
        struct sim_image *image = cut(sim_disk_ops(), n % 2 ? SIM_CRASH_RANDOM : SIM_CRASH_KEEP);
        rig_abandon(&r);
        sim_boot(image, n);
        r.script = NULL;
        assert_int_equal(rig_open(&r), 0);
        rig_verify_all(&r, ack);
        rig_close(&r);
        rig_fini(&r);
    }
    mem_on_exhausted(NULL);
    sim_reset(0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_batches_survive_power_cuts),
        cmocka_unit_test(os_logs_survive_a_kill),
        cmocka_unit_test(os_logs_are_a_prefix_after_a_power_cut),
        cmocka_unit_test(recovery_survives_power_cuts),
        cmocka_unit_test(failing_calls_stop_it_and_lose_nothing),
        cmocka_unit_test(failing_allocations_lose_nothing),
    };
    if (argc > 1)
        first_seed = strtoull(argv[1], NULL, 0);
    if (argc > 1)
        seeds = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What an abandoned store had in memory is leaked on purpose, as a dead process's is. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}
