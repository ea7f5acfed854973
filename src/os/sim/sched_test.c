/* Loops, jobs and the clock of the simulator. */
#include "os/sim/sim_test.h"

enum { JOBS = 20 };

struct counted {
    struct os_loop *loop;
    int turns, stop_after;
    uint64_t last_ns;
};

static void count_turn(void *arg)
{
    struct counted *c = arg;
    c->turns++;
    c->last_ns = os_mono_ns();
    if (c->stop_after && c->turns >= c->stop_after)
        os_loop_stop(c->loop);
}

static void a_turn_comes_for_a_wake_and_not_without(void **state)
{
    struct counted c = {0};
    c.loop = os_loop_new(count_turn, &c);
    assert_false(sim_step());
    os_loop_wake(c.loop);
    os_loop_wake(c.loop);
    assert_true(sim_step());
    assert_false(sim_step());
    assert_int_equal(c.turns, 1);
}

static void the_clock_jumps_to_the_next_timer(void **state)
{
    struct counted c = {0};
    uint64_t start = os_mono_ns();
    int64_t wall = os_wall_ms();
    c.loop = os_loop_new(count_turn, &c);
    os_loop_timer(c.loop, start + 9000000000u);
    os_loop_timer(c.loop, start + 5000000000u); /* replaces */
    assert_true(sim_step());
    assert_int_equal(c.last_ns, start + 5000000000u);
    assert_int_equal(os_wall_ms() - wall, 5000);
    assert_false(sim_step());
    os_loop_timer(c.loop, os_mono_ns() + 1000000);
    os_loop_timer(c.loop, UINT64_MAX);
    assert_false(sim_step());
    os_loop_timer(c.loop, os_mono_ns() + 1000000);
    sim_advance_ms(1000);
    assert_true(sim_step());
    assert_int_equal(c.turns, 2);
}

struct noted_job {
    struct os_job job;
    char name;
    struct os_pool *pool;
};

static char notes[4 * JOBS + 1];

static void note(char c)
{
    size_t len = strlen(notes);
    assert_true(len + 1 < sizeof(notes));
    notes[len] = c;
    notes[len + 1] = 0;
}

static void note_run(struct os_job *job)
{
    note(((struct noted_job *)job)->name);
}

static void note_done(struct os_job *job)
{
    note((char)(((struct noted_job *)job)->name - 'a' + 'A'));
}

static void submit_jobs(struct noted_job *jobs, struct os_pool *pool, struct os_loop *home)
{
    notes[0] = 0;
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct noted_job){.job = {note_run, note_done, home, NULL}, .name = (char)('a' + i)};
        os_pool_submit(pool, &jobs[i].job);
    }
}

/* Only the letters from `from` on, of 26. */
static void filter(char *ret, char from)
{
    for (const char *n = notes; *n; n++)
        if (*n >= from && *n < from + 26)
            *ret++ = *n;
    *ret = 0;
}

static void one_thread_runs_jobs_in_order(void **state)
{
    struct counted c = {0};
    struct noted_job jobs[JOBS];
    char runs[JOBS + 1], dones[JOBS + 1];
    c.loop = os_loop_new(count_turn, &c);
    struct os_pool *pool = os_pool_new("p", 1);
    submit_jobs(jobs, pool, c.loop);
    while (sim_step())
        ;
    filter(runs, 'a');
    filter(dones, 'A');
    assert_string_equal(runs, "abcdefghijklmnopqrst");
    assert_string_equal(dones, "ABCDEFGHIJKLMNOPQRST");
    assert_memory_not_equal(notes, "abcdefghijklmnopqrst", JOBS); /* they interleave */
    assert_true(c.turns > 0);
    os_pool_free(pool);
}

static void several_threads_overtake_each_other_a_little(void **state)
{
    struct counted c = {0};
    struct noted_job jobs[JOBS];
    char runs[JOBS + 1];
    c.loop = os_loop_new(count_turn, &c);
    submit_jobs(jobs, os_pool_new("p", 3), c.loop);
    while (sim_step())
        ;
    filter(runs, 'a');
    assert_string_not_equal(runs, "abcdefghijklmnopqrst");
    for (int i = 0; i < JOBS; i++)
        assert_true(runs[i] - 'a' <= i + 2); /* with three threads, started in order */
}

static void freeing_a_pool_finishes_what_was_submitted(void **state)
{
    struct noted_job jobs[JOBS];
    struct os_pool *pool = os_pool_new("p", 2);
    submit_jobs(jobs, pool, NULL);
    os_pool_free(pool);
    assert_int_equal(strlen(notes), JOBS);
}

static void loops_run_until_all_are_stopped(void **state)
{
    struct counted c[3] = {{.stop_after = 1}, {.stop_after = 1}, {.stop_after = 1}};
    struct os_loop *loops[3];
    for (int i = 0; i < 3; i++) {
        loops[i] = c[i].loop = os_loop_new(count_turn, &c[i]);
        os_loop_timer(loops[i], os_mono_ns() + (uint64_t)i * 1000000000u);
    }
    os_loops_run(loops, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(c[i].turns, 1);
        os_loop_wake(loops[i]);
    }
    assert_false(sim_step()); /* a stopped loop has no turns */
    for (int i = 0; i < 3; i++)
        os_loop_free(loops[i]);
}

static void note_signal(void *arg)
{
    *(int *)arg += 1;
}

static void a_stop_signal_reaches_the_loop_that_asked(void **state)
{
    int signals = 0;
    struct counted c = {.stop_after = 1};
    c.loop = os_loop_new(count_turn, &c);
    os_loop_on_stop_signal(c.loop, note_signal, &signals);
    sim_stop_signal();
    os_loops_run(&c.loop, 1);
    assert_int_equal(signals, 1);
    assert_int_equal(c.turns, 1);
}

static void a_reset_drops_loops_and_jobs_without_a_call(void **state)
{
    struct counted c = {0};
    struct noted_job jobs[JOBS];
    c.loop = os_loop_new(count_turn, &c);
    submit_jobs(jobs, os_pool_new("p", 1), c.loop);
    os_loop_wake(c.loop);
    sim_reset(1);
    assert_false(sim_step());
    assert_string_equal(notes, "");
    assert_int_equal(c.turns, 0);
}

static bool has_turned(void *arg)
{
    return ((struct counted *)arg)->turns >= 3;
}

static void rewake(void *arg)
{
    count_turn(arg);
    os_loop_wake(((struct counted *)arg)->loop);
}

static void stepping_ends_at_the_condition_or_the_limit(void **state)
{
    struct counted c = {0};
    c.loop = os_loop_new(rewake, &c);
    assert_false(sim_run_until(has_turned, &c, 10));
    os_loop_wake(c.loop);
    assert_false(sim_run_until(has_turned, &c, 2));
    assert_true(sim_run_until(has_turned, &c, 1));
    assert_int_equal(c.turns, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_turn_comes_for_a_wake_and_not_without),
        T(the_clock_jumps_to_the_next_timer),
        T(one_thread_runs_jobs_in_order),
        T(several_threads_overtake_each_other_a_little),
        T(freeing_a_pool_finishes_what_was_submitted),
        T(loops_run_until_all_are_stopped),
        T(a_stop_signal_reaches_the_loop_that_asked),
        T(a_reset_drops_loops_and_jobs_without_a_call),
        T(stepping_ends_at_the_condition_or_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
