/* Pools, loops on several threads, timers and signals. Assertions on other threads are assert()'s. */
#include "os/real/real_test.h"

#include <pthread.h>
#include <signal.h>

enum { JOBS = 2000, WAKES = 100000, LOOPS = 3 };

static const uint64_t ms = 1000000;

/* ---- jobs ---- */

struct numbered_job {
    struct os_job job;
    int number;
};

struct jobs_world {
    struct os_loop *loop;
    struct os_pool *pool;
    int runs, dones, turns_after_last;
    bool runs_in_order; /* the pool thread's */
    bool dones_in_order;
    pthread_t home;
    struct numbered_job jobs[JOBS];
};

static struct jobs_world jw;

static void job_run(struct os_job *job)
{
    struct numbered_job *n = (struct numbered_job *)job;
    jw.runs_in_order &= n->number == jw.runs++; /* one thread: nobody else is here */
    assert(!pthread_equal(pthread_self(), jw.home));
}

static void job_done(struct os_job *job)
{
    struct numbered_job *n = (struct numbered_job *)job;
    assert(pthread_equal(pthread_self(), jw.home));
    jw.dones_in_order &= n->number == jw.dones++;
    memset(n, 0xee, sizeof(*n)); /* it is ours again */
}

static void jobs_turn(void *arg)
{
    if (jw.dones == JOBS)
        os_loop_stop(jw.loop);
}

static void one_thread_keeps_the_order_of_jobs_and_of_done(void **state)
{
    jw = (struct jobs_world){.runs_in_order = true, .dones_in_order = true, .home = pthread_self()};
    jw.loop = os_loop_new(jobs_turn, NULL);
    jw.pool = os_pool_new("a-rather-long-name", 1);
    for (int i = 0; i < JOBS; i++) {
        jw.jobs[i] = (struct numbered_job){.job = {job_run, job_done, jw.loop, NULL}, .number = i};
        os_pool_submit(jw.pool, &jw.jobs[i].job);
    }
    os_loops_run(&jw.loop, 1);
    assert_int_equal(jw.dones, JOBS);
    os_pool_free(jw.pool);
    assert_true(jw.runs_in_order && jw.dones_in_order);
    os_loop_free(jw.loop);
}

static atomic_int anonymous_runs;

static void free_run(struct os_job *job)
{
    atomic_fetch_add(&anonymous_runs, 1);
    free(job);
}

static void jobs_without_a_home_may_free_themselves(void **state)
{
    struct os_pool *pool = os_pool_new("free", 4);
    atomic_store(&anonymous_runs, 0);
    for (int i = 0; i < JOBS; i++) {
        struct os_job *job = calloc(1, sizeof(*job));
        job->run = free_run;
        os_pool_submit(pool, job);
    }
    os_pool_free(pool);
    assert_int_equal(atomic_load(&anonymous_runs), JOBS);
}

/* ---- wakes around a ring ---- */

/* A token goes around the ring with a wake; the loop that has it passes it on. None may be lost. */
struct ring_loop {
    struct os_loop *loop;
    struct ring_loop *next;
    _Atomic(int) token; /* 0: not here; n: it has gone n - 1 steps */
};

static struct ring_loop ring[LOOPS];

static void ring_turn(void *arg)
{
    struct ring_loop *r = arg;
    int steps = atomic_exchange(&r->token, 0);
    if (steps == 0)
        return;
    if (steps > WAKES) {
        for (int i = 0; i < LOOPS; i++)
            os_loop_stop(ring[i].loop);
        return;
    }
    atomic_store(&r->next->token, steps + 1);
    os_loop_wake(r->next->loop);
}

static void no_wake_between_threads_is_lost(void **state)
{
    struct os_loop *loops[LOOPS];
    for (int i = 0; i < LOOPS; i++) {
        loops[i] = ring[i].loop = os_loop_new(ring_turn, &ring[i]);
        ring[i].next = &ring[(i + 1) % LOOPS];
    }
    atomic_store(&ring[0].token, 1);
    os_loop_wake(loops[0]);
    os_loops_run(loops, LOOPS);
    for (int i = 0; i < LOOPS; i++)
        os_loop_free(loops[i]);
}

/* All wake one loop at once, each after a count it must see. */
static atomic_int pushed[LOOPS];
static int seen[LOOPS];
static struct os_loop *target;

static void target_turn(void *arg)
{
    int sum = 0;
    for (int i = 0; i < LOOPS; i++) {
        seen[i] = atomic_load_explicit(&pushed[i], memory_order_acquire);
        sum += seen[i];
    }
    if (sum == LOOPS * WAKES)
        os_loop_stop(target);
}

static void *pusher(void *arg)
{
    atomic_int *count = arg;
    for (int i = 0; i < WAKES; i++) {
        atomic_fetch_add_explicit(count, 1, memory_order_release);
        os_loop_wake(target);
    }
    return NULL;
}

static void many_wakers_of_one_loop_are_all_seen(void **state)
{
    pthread_t threads[LOOPS];
    target = os_loop_new(target_turn, NULL);
    for (int i = 0; i < LOOPS; i++) {
        atomic_store(&pushed[i], 0);
        pthread_create(&threads[i], NULL, pusher, &pushed[i]);
    }
    os_loops_run(&target, 1); /* hangs if the last wake is lost */
    for (int i = 0; i < LOOPS; i++)
        pthread_join(threads[i], NULL);
    os_loop_free(target);
}

/* ---- one loop's own turns ---- */

struct alone {
    struct os_loop *loop;
    int turns, signals;
    uint64_t due, late_ns;
};

static void self_wake_turn(void *arg)
{
    struct alone *a = arg;
    if (++a->turns == 1000)
        os_loop_stop(a->loop);
    os_loop_wake(a->loop);
}

static void a_loop_may_wake_itself(void **state)
{
    struct alone a = {0};
    a.loop = os_loop_new(self_wake_turn, &a);
    os_loop_wake(a.loop);
    os_loops_run(&a.loop, 1);
    assert_int_equal(a.turns, 1000);
    os_loop_free(a.loop);
}

/* Timers of 0, 1, 2, ... 19 ms, every other replaced by an earlier one; some are due at once. */
static void timer_turn(void *arg)
{
    struct alone *a = arg;
    uint64_t now = os_mono_ns();
    assert(now >= a->due);
    a->late_ns = now - a->due > a->late_ns ? now - a->due : a->late_ns;
    if (++a->turns == 20) {
        os_loop_stop(a->loop);
        return;
    }
    a->due = now + (uint64_t)a->turns * ms - ms / 3;
    if (a->turns % 2)
        os_loop_timer(a->loop, a->due + 3600 * 1000 * ms);
    os_loop_timer(a->loop, a->turns % 5 ? a->due : 1);
    if (a->turns % 5 == 0)
        a->due = 0;
}

static void timers_fire_and_never_early(void **state)
{
    struct alone a = {0};
    a.loop = os_loop_new(timer_turn, &a);
    os_loop_timer(a.loop, os_mono_ns() + ms);
    os_loops_run(&a.loop, 1);
    assert_int_equal(a.turns, 20);
    os_loop_free(a.loop);
}

static void cancelled_turn(void *arg)
{
    struct alone *a = arg;
    if (++a->turns == 1) {
        os_loop_timer(a->loop, os_mono_ns() + 2 * ms);
        os_loop_timer(a->loop, UINT64_MAX);
        os_loop_timer(a->loop, os_mono_ns() + 10 * ms);
        a->due = os_mono_ns() + 10 * ms - ms;
    } else {
        assert(os_mono_ns() >= a->due);
        os_loop_stop(a->loop);
    }
}

static void a_cancelled_timer_does_not_fire(void **state)
{
    struct alone a = {0};
    a.loop = os_loop_new(cancelled_turn, &a);
    os_loop_wake(a.loop);
    os_loops_run(&a.loop, 1);
    assert_int_equal(a.turns, 2);
    os_loop_free(a.loop);
}

static void count_signal(void *arg)
{
    ((struct alone *)arg)->signals++;
}

static void signal_turn(void *arg)
{
    struct alone *a = arg;
    a->turns++;
    if (a->signals == 0 || a->signals == 1)
        kill(getpid(), a->signals ? SIGINT : SIGTERM);
    else
        os_loop_stop(a->loop);
}

static void stop_signals_are_told_every_time(void **state)
{
    struct alone a = {0};
    a.loop = os_loop_new(signal_turn, &a);
    os_loop_on_stop_signal(a.loop, count_signal, &a);
    os_loop_wake(a.loop);
    os_loops_run(&a.loop, 1);
    assert_int_equal(a.signals, 2);
    os_loop_free(a.loop);
}

static void a_loop_that_never_ran_can_be_freed(void **state)
{
    struct alone a = {0};
    struct os_loop *loop = os_loop_new(self_wake_turn, &a);
    os_loop_wake(loop);
    os_loop_timer(loop, 1);
    os_loop_free(loop);
    os_loop_free(NULL);
    os_pool_free(NULL);
    assert_int_equal(a.turns, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_keeps_the_order_of_jobs_and_of_done),
        cmocka_unit_test(jobs_without_a_home_may_free_themselves),
        cmocka_unit_test(no_wake_between_threads_is_lost),
        cmocka_unit_test(many_wakers_of_one_loop_are_all_seen),
        cmocka_unit_test(a_loop_may_wake_itself),
        cmocka_unit_test(timers_fire_and_never_early),
        cmocka_unit_test(a_cancelled_timer_does_not_fire),
        cmocka_unit_test(stop_signals_are_told_every_time),
        cmocka_unit_test(a_loop_that_never_ran_can_be_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
