/* The queues in simulation: `queue-sim [SEED] [--steps N] [--seeds N] [--message ID] [--verbose]`.
 *
 * A run is several lives of one data directory, each with another number of shards perhaps. In each,
 * publishers and consumers use eight queues while faults happen; it ends by a clean stop, a power cut, a
 * kill, or a disk that fails. At the end everything is taken and checked, see queue_ledger.c. The same seed
 * gives the same run. */
#include "queue_sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/say.h"

enum { PATIENCE = 3000000 }; /* steps in which what must happen has to */

static struct {
    uint64_t seed, steps;
    unsigned seeds;
    bool verbose;
} args = {.seed = 1, .steps = 20000, .seeds = 1};

static void note(const char *what, uint64_t n)
{
    if (args.verbose)
        fprintf(stderr, "-- %s %llu (life %u, messages %llu, deliveries %llu)\n", what, (unsigned long long)n,
                scene.life, (unsigned long long)ledger_messages(), (unsigned long long)ledger_deliveries());
}

/* ---- a life -------------------------------------------------------------------------------------------- */

static void boot(void)
{
    static const unsigned shards[] = {1, 1, 3, 3, 2};
    stage_boot(shards[sim_random_below(5)]);
    note("shards", scene.broker->shard_count);
    clients_new_life();
    plans_new_life();
    for (unsigned i = 0; i < PATIENCE && !plans_are_present(); i++)
        if (!stage_step())
            violation("the broker ended while queues were declared");
    if (!plans_are_present())
        violation("queues cannot be declared");
    check_invariants();
}

static void act(void)
{
    unsigned q = (unsigned)sim_random_below(QUEUES);
    switch (sim_random_below(12)) {
    case 0:
    case 1:
    case 2:
        publisher_step((unsigned)sim_random_below(PUBLISHERS));
        break;
    case 3:
        if (sim_random_below(60) == 0)
            plan_purge(q);
        else if (q >= 2 && plans[q].state == PLAN_PRESENT && sim_random_below(120) == 0)
            plan_delete(q);
        else if (plans[q].state == PLAN_ABSENT)
            plan_declare(q);
        break;
    default:
        taker_step((unsigned)sim_random_below(TAKERS));
    }
}

/* In some lives the disk is full now and then, or for the rest of it. */
static void change_disk(unsigned one_in, bool *is_full)
{
    if (!one_in || sim_random_below(one_in))
        return;
    *is_full = !*is_full;
    note(*is_full ? "full disk" : "room on the disk", sim_disk_used());
    scene.was_full = true;
    sim_disk_capacity(*is_full ? sim_disk_used() + sim_random_below(1 << 19) : UINT64_MAX);
}

/* False: the broker ended by itself. */
static bool live(uint64_t steps)
{
    static const unsigned changes[] = {0, 0, 0, 4000, 1000, 300};
    unsigned one_in = changes[sim_random_below(6)];
    bool full = false;
    for (uint64_t i = 0; i < steps; i++) {
        for (uint64_t k = sim_random_below(6); k > 0; k--)
            if (!stage_step())
                return false;
        if (i % 16 == 0)
            check_invariants();
        change_disk(one_in, &full);
        act();
    }
    return true;
}

static void fail_disk_soon(void)
{
    static const unsigned calls[] = {SIM_FAIL_WRITE, SIM_FAIL_SYNC, SIM_FAIL_WRITE | SIM_FAIL_SYNC};
    sim_disk_fail_after((int64_t)sim_random_below(400), sim_random_below(2), ERR_IO,
                        calls[sim_random_below(3)]);
}

/* Ends the life in one of the ways there are. */
static void die(bool ended)
{
    static const enum sim_crash_mode modes[] = {SIM_CRASH_DROP, SIM_CRASH_KEEP, SIM_CRASH_RANDOM,
                                                SIM_CRASH_TORN};
    enum sim_crash_mode mode = modes[sim_random_below(4)];
    bool clean = !ended && sim_random_below(4) == 0;
    sim_disk_capacity(UINT64_MAX);
    if (clean) {
        note("clean stop", 0);
        sim_disk_fail_after(-1, false, 0, SIM_FAIL_ALL);
        stage_stop();
        mode = SIM_CRASH_DROP; /* and then the power fails: a clean stop leaves nothing to lose */
    }
    note(ended ? "failed store, crash mode" : "crash mode", mode);
    ledger_new_life(clean && !scene.unsaved);
    stage_crash(mode);
}

/* No faults any more: everything must come out. */
static void settle(void)
{
    unsigned quiet = 0;
    for (unsigned i = 0; i < PATIENCE; i++) {
        if (!stage_step())
            violation("the broker ended without a fault");
        if (i % 64)
            continue;
        check_invariants();
        takers_drain();
        quiet = plans_are_present() && clients_idle() && queues_are_quiet() ? quiet + 1 : 0;
        if (quiet == 20) {
            ledger_check_end();
            return;
        }
    }
    violation("the queues don't come to rest");
}

static void run(uint64_t seed)
{
    stage_init(seed);
    ledger_reset();
    plans_init();
    if (args.verbose)
        plans_tell();
    boot();
    unsigned lives = 2 + (unsigned)sim_random_below(4);
    for (unsigned i = 0; i < lives; i++) {
        if (sim_random_below(6) == 0)
            fail_disk_soon();
        die(!live(args.steps / lives));
        boot();
    }
    settle();
    printf("seed %llu: %u lives, ", (unsigned long long)seed, lives + 1);
    ledger_tell();
    stage_stop();
}

/* ---- arguments ----------------------------------------------------------------------------------------- */

static void say_line(enum say_level level, const char *component, const char *line)
{
    fprintf(stderr, "%8.3f %s %s: %s\n", (double)os_mono_ns() / 1e9, say_level_name(level), component, line);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            args.verbose = true;
        } else if (strcmp(argv[i], "--steps") == 0 && i + 1 < argc) {
            args.steps = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) {
            args.seeds = (unsigned)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--message") == 0 && i + 1 < argc) {
            ledger_follows = strtoull(argv[++i], NULL, 10);
        } else if (argv[i][0] >= '0' && argv[i][0] <= '9') {
            args.seed = strtoull(argv[i], NULL, 10);
        } else {
            fprintf(stderr, "usage: queue-sim [SEED] [--steps N] [--seeds N] [--message ID] [--verbose]\n");
            return 2;
        }
    }
    if (args.verbose)
        say_init(say_line, SAY_INFO);
    for (unsigned i = 0; i < args.seeds; i++)
        run(args.seed + i);
    return 0;
}
