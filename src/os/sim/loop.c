/* Simulated loops: each done(), each turn and each signal is a step of its own. */
#include <assert.h>

#include "os/sim/world.h"

struct os_loop *os_loop_new(void (*turn)(void *arg), void *arg)
{
    struct os_loop *loop = sim_zalloc(sizeof *loop);
    assert(turn);
    loop->id = world_id();
    loop->turn = turn;
    loop->arg = arg;
    loop->deadline = UINT64_MAX;
    loop->done_last = &loop->done;
    list_add_tail(&world()->loops, &loop->link);
    return loop;
}

static void loop_drop(struct os_loop *loop)
{
    list_del(&loop->link);
    sim_free(loop);
}

void os_loop_free(struct os_loop *loop)
{
    if (!loop)
        return;
    assert(socks_open(loop) == 0 && socks_closing(loop) == 0);
    loop_drop(loop);
}

/* Loops that went before they were told of jobs that had ended; kept as in pool.c. */
static struct list lost = {&lost, &lost};

void loops_drop_all(void)
{
    struct world *w = world();
    while (!list_empty(&w->loops)) {
        struct os_loop *loop = list_entry(list_first(&w->loops), struct os_loop, link);
        if (!loop->done) {
            loop_drop(loop);
            continue;
        }
        list_del(&loop->link);
        list_add_tail(&lost, &loop->link);
    }
}

void os_loop_wake(struct os_loop *loop)
{
    loop->woken = true;
}

void os_loop_timer(struct os_loop *loop, uint64_t deadline_mono_ns)
{
    loop->deadline = deadline_mono_ns;
}

void os_loop_stop(struct os_loop *loop)
{
    loop->stopped = true;
}

void os_loop_on_stop_signal(struct os_loop *loop, void (*fn)(void *arg), void *arg)
{
    loop->on_stop_signal = fn;
    loop->on_stop_signal_arg = arg;
}

void sim_stop_signal(void)
{
    struct list *loops = &world()->loops;
    list_each (it, loops) {
        struct os_loop *loop = list_entry(it, struct os_loop, link);
        loop->signalled = loop->on_stop_signal != NULL;
    }
}

void loop_job_done(struct os_loop *loop, struct os_job *job)
{
    job->next = NULL;
    *loop->done_last = job;
    loop->done_last = &job->next;
}

/* ---- steps ---- */

static void act_done(void *object)
{
    struct os_loop *loop = object;
    struct os_job *job = loop->done;
    loop->done = job->next;
    if (!loop->done)
        loop->done_last = &loop->done;
    loop->woken = true;
    world_trace('d', loop->id, 0);
    job->done(job);
}

static void act_turn(void *object)
{
    struct os_loop *loop = object;
    loop->woken = false;
    if (loop->deadline <= world()->now_ns)
        loop->deadline = UINT64_MAX;
    world_trace('t', loop->id, world()->now_ns);
    loop->turn(loop->arg);
}

static void act_signal(void *object)
{
    struct os_loop *loop = object;
    loop->signalled = false;
    loop->woken = true;
    world_trace('s', loop->id, 0);
    loop->on_stop_signal(loop->on_stop_signal_arg);
}

void loops_add_actions(void)
{
    struct world *w = world();
    list_each (it, &w->loops) {
        struct os_loop *loop = list_entry(it, struct os_loop, link);
        if (loop->stopped)
            continue;
        if (loop->done)
            world_add_action(act_done, loop);
        if (loop->woken || loop->deadline <= w->now_ns)
            world_add_action(act_turn, loop);
        if (loop->signalled)
            world_add_action(act_signal, loop);
    }
}

uint64_t loops_next_deadline(void)
{
    uint64_t next = UINT64_MAX;
    struct list *loops = &world()->loops;
    list_each (it, loops) {
        struct os_loop *loop = list_entry(it, struct os_loop, link);
        if (!loop->stopped && loop->deadline < next)
            next = loop->deadline;
    }
    return next;
}

static bool have_ended(struct os_loop **loops, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (!loops[i]->stopped || socks_closing(loops[i]))
            return false;
        assert(socks_open(loops[i]) == 0 &&
               "sockets and listeners must be closed before their loop is stopped");
    }
    return true;
}

/* A real one would wait for ever where this returns because nothing will happen any more. */
void os_loops_run(struct os_loop **loops, unsigned count)
{
    while (!have_ended(loops, count))
        if (!sim_step())
            return;
}
