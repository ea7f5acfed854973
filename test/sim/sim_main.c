/* The whole broker in simulation: `sim [SEED] [--steps N] [--shards N] [--seeds N] [--verbose]`.
 *
 * A run is several lives of one data directory. In each, clients produce and consume while faults happen:
 * full disks, cut connections, nonsense; it ends by a clean stop, a power cut, a kill, or a disk that fails.
 * At the end everything is read and checked, see ledger.h. The same seed gives the same run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"
#include "base/err.h"
#include "base/say.h"
#include "group_ledger.h"
#include "ledger.h"
#include "stage.h"

enum { PATIENCE = 400000 }; /* steps in which what must happen has to */

static struct {
    uint64_t seed, steps;
    unsigned shards, seeds; /* shards 0: by the seed */
    bool verbose;
} args = {.seed = 1, .steps = 6000, .seeds = 1};

static void note(const char *what, uint64_t n)
{
    if (args.verbose)
        fprintf(stderr, "-- %s %llu (values %llu, acks %llu)\n", what, (unsigned long long)n,
                (unsigned long long)ledger_values(), (unsigned long long)ledger_acks());
}

static void cut_all(void)
{
    producers_cut();
    consumers_cut();
    members_cut();
    vandal_cut();
    setup_cut();
}

/* ---- a life -------------------------------------------------------------------------------------------- */

static void act(bool may_send_new)
{
    unsigned who = (unsigned)sim_random_below(PRODUCERS + CONSUMERS + MEMBERS + 1);
    if (who < PRODUCERS)
        producer_step(who, may_send_new);
    else if (who < PRODUCERS + CONSUMERS)
        consumer_step(who - PRODUCERS);
    else if (who < PRODUCERS + CONSUMERS + MEMBERS)
        member_step(who - PRODUCERS - CONSUMERS, !may_send_new);
    else if (sim_random_below(8) == 0)
        vandal_step();
}

static void wait_until_ready(void)
{
    for (unsigned i = 0; i < PATIENCE && !stage.ready; i++)
        if (!stage_step())
            ledger_violation("the broker ended while it started");
    if (!stage.ready)
        ledger_violation("the broker does not get ready");
}

static void create_topic(void)
{
    for (unsigned i = 0; i < PATIENCE; i++) {
        if (setup_step())
            return;
        if (!stage_step())
            ledger_violation("the broker ended while the topic was created");
    }
    ledger_violation("the topic cannot be created");
}

/* False: the broker ended by itself. */
static bool live(uint64_t steps)
{
    uint64_t full_from = UINT64_MAX, full_to = 0;
    if (sim_random_below(3) == 0) {
        full_from = sim_random_below(steps);
        full_to = full_from + sim_random_below(steps);
    }
    for (uint64_t i = 0; i < steps; i++) {
        if (i == full_from) {
            note("full disk at step", i);
            sim_disk_capacity(sim_disk_used() + sim_random_below(1 << 20));
        }
        if (i == full_to)
            sim_disk_capacity(UINT64_MAX);
        for (uint64_t k = sim_random_below(4); k > 0;
             k--) /* when nothing can happen a step moves the clock */
            if (!stage_step())
                return false;
        act(true);
    }
    return true;
}

static void fail_disk_soon(void)
{
    static const unsigned calls[] = {SIM_FAIL_WRITE, SIM_FAIL_SYNC, SIM_FAIL_WRITE | SIM_FAIL_SYNC};
    sim_disk_fail_after((int64_t)sim_random_below(400), sim_random_below(2), ERR_IO,
                        calls[sim_random_below(3)]);
}

/* Ends the life in one of the ways there are, and boots the next one on what is left. */
static void die(bool ended)
{
    static const enum sim_crash_mode modes[] = {SIM_CRASH_DROP, SIM_CRASH_KEEP, SIM_CRASH_RANDOM,
                                                SIM_CRASH_TORN};
    enum sim_crash_mode mode = modes[sim_random_below(4)];
    cut_all();
    if (!ended && sim_random_below(4) == 0) {
        note("clean stop", 0);
        sim_disk_fail_after(-1, false, 0, SIM_FAIL_ALL);
        sim_disk_capacity(UINT64_MAX);
        stage_stop();
        mode = SIM_CRASH_DROP; /* and then the power fails: a clean stop leaves nothing to lose */
    }
    note(ended ? "failed store, crash mode" : "crash mode", mode);
    sim_disk_capacity(UINT64_MAX);
    stage_crash(mode);
}

/* No faults any more: everything must come to its end. */
static void settle(void)
{
    for (unsigned i = 0; i < PATIENCE && !producers_idle(); i++) {
        if (!stage_step())
            ledger_violation("the broker ended without a fault");
        act(false);
    }
    if (!producers_idle())
        ledger_violation("producers get no answer");
    for (unsigned i = 0; i < PATIENCE && !members_settled(); i++) {
        if (!stage_step())
            ledger_violation("the broker ended without a fault");
        act(false);
    }
    if (!members_settled())
        ledger_violation("the group does not come to rest");
    scan_reset();
    for (unsigned i = 0; i < PATIENCE; i++) {
        if (scan_step()) {
            ledger_check_scan();
            return;
        }
        if (!stage_step())
            ledger_violation("the broker ended without a fault");
    }
    ledger_violation("not everything can be read");
}

static void run(uint64_t seed)
{
    unsigned shards = args.shards ? args.shards : seed % 2 ? 3 : 1;
    ledger_reset(seed);
    stage_init(seed, shards);
    producers_reset();
    consumers_reset();
    members_reset();
    group_ledger_reset();
    stage_boot();
    wait_until_ready();
    create_topic();
    unsigned lives = 2 + (unsigned)sim_random_below(4);
    for (unsigned i = 0; i < lives; i++) {
        note("life", i);
        if (sim_random_below(5) == 0)
            fail_disk_soon();
        bool ended = !live(args.steps / lives);
        die(ended);
        group_ledger_new_life();
        stage_boot();
        wait_until_ready();
    }
    settle();
    cut_all();
    stage_stop();
    printf("seed %llu shards %u: %llu values, %llu acknowledged, %llu offsets committed, %u lives: ok\n",
           (unsigned long long)seed, shards, (unsigned long long)ledger_values(),
           (unsigned long long)ledger_acks(), (unsigned long long)group_ledger_commits(), lives);
}

/* ---- arguments ----------------------------------------------------------------------------------------- */

static void say_line(enum say_level level, const char *component, const char *line)
{
    fprintf(stderr, "%8.3f %s %s: %s\n", (double)os_mono_ns() / 1e9, say_level_name(level), component, line);
}

static int usage(void)
{
    fprintf(stderr, "usage: sim [SEED] [--steps N] [--shards N] [--seeds N] [--verbose]\n");
    return 2;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            args.verbose = true;
        else if (strcmp(argv[i], "--steps") == 0 && i + 1 < argc)
            args.steps = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--shards") == 0 && i + 1 < argc)
            args.shards = (unsigned)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
            args.seeds = (unsigned)strtoul(argv[++i], NULL, 10);
        else if (argv[i][0] >= '0' && argv[i][0] <= '9')
            args.seed = strtoull(argv[i], NULL, 10);
        else
            return usage();
    }
    if (args.verbose)
        say_init(say_line, SAY_INFO);
    for (unsigned i = 0; i < args.seeds; i++)
        run(args.seed + i);
    return 0;
}
