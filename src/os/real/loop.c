/* One libuv loop per shard. Each round polls once; if anything happened, the round ends with a turn. */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "os/real/real.h"

static _Thread_local struct os_loop *current; /* the loop that this thread runs */

static void must(int uv_err, const char *what)
{
    if (uv_err == 0)
        return;
    fprintf(stderr, "level=error component=os msg=\"cannot make an event loop\" call=%s error=%s\n", what,
            uv_err_name(uv_err));
    exit(1);
}

static struct os_loop *loop_of(uv_handle_t *h)
{
    struct os_loop *loop = h->loop->data;
    assert(loop->magic == LOOP_MAGIC);
    return loop;
}

static void async_cb(uv_async_t *h)
{
    loop_of((uv_handle_t *)h)->active = true;
}

static void kick_cb(uv_idle_t *h)
{
}

/* uv_run() fires timers before it polls too: without the kick it would then wait for something else. */
static void timer_cb(uv_timer_t *h)
{
    struct os_loop *loop = loop_of((uv_handle_t *)h);
    loop->deadline = UINT64_MAX;
    loop->active = true;
    uv_idle_start(&loop->kick, kick_cb);
}

static void signal_cb(uv_signal_t *h, int signum)
{
    struct os_loop *loop = loop_of((uv_handle_t *)h);
    loop->active = true;
    loop->on_stop_signal(loop->on_stop_signal_arg);
}

struct os_loop *os_loop_new(void (*turn)(void *arg), void *arg)
{
    struct os_loop *loop = mem_zalloc(sizeof *loop);
    assert(turn);
    loop->magic = LOOP_MAGIC;
    loop->turn = turn;
    loop->arg = arg;
    loop->deadline = UINT64_MAX;
    must(uv_loop_init(&loop->uv), "uv_loop_init");
    loop->uv.data = loop;
    must(uv_async_init(&loop->uv, &loop->async, async_cb), "uv_async_init");
    must(uv_timer_init(&loop->uv, &loop->timer), "uv_timer_init");
    must(uv_idle_init(&loop->uv, &loop->kick), "uv_idle_init");
    must(uv_signal_init(&loop->uv, &loop->sigterm), "uv_signal_init");
    must(uv_signal_init(&loop->uv, &loop->sigint), "uv_signal_init");
    signal(SIGPIPE, SIG_IGN); /* libuv writes with sendmsg() without MSG_NOSIGNAL */
    return loop;
}

/* The exchange orders what the caller did before it against take_activity()'s exchange, which is why the
 * flag is ours: uv_async_send() may return early on a plain read. */
void os_loop_wake(struct os_loop *loop)
{
    assert(loop->magic == LOOP_MAGIC);
    if (current == loop) {
        loop->again = true;
        return;
    }
    if (!atomic_exchange(&loop->woken, true))
        uv_async_send(&loop->async);
}

void loop_job_done(struct os_loop *loop, struct os_job *job)
{
    struct os_job *head = atomic_load(&loop->done);
    do
        job->next = head;
    while (!atomic_compare_exchange_weak(&loop->done, &head, job));
    os_loop_wake(loop);
}

static void take_done(struct os_loop *loop)
{
    struct os_job *newest = atomic_exchange(&loop->done, NULL), *first = NULL;
    while (newest) { /* turn the stack around: oldest first */
        struct os_job *older = newest->next;
        newest->next = first;
        first = newest;
        newest = older;
    }
    while (first) {
        struct os_job *job = first;
        first = job->next; /* done() may free the job */
        job->done(job);
    }
}

/* Whether this round shall have a turn. What was put on the lists before `woken` was set is seen after. */
static bool take_activity(struct os_loop *loop)
{
    bool active = atomic_exchange(&loop->woken, false) | loop->active | loop->again;
    loop->active = loop->again = false;
    uv_idle_stop(&loop->kick);
    return active;
}

/* closed() of the sockets that were closed in the last turn still comes. */
static void drain_closes(struct os_loop *loop)
{
    assert(loop->open == 0 && "sockets and listeners must be closed before their loop is stopped");
    while (loop->closing > 0)
        uv_run(&loop->uv, UV_RUN_NOWAIT);
}

static void *loop_run(void *arg)
{
    struct os_loop *loop = arg;
    current = loop;
    while (!atomic_load(&loop->stopping)) {
        uv_run(&loop->uv, loop->again ? UV_RUN_NOWAIT : UV_RUN_ONCE);
        if (!take_activity(loop))
            continue;
        sock_take_moved(loop);
        take_done(loop);
        loop->turn(loop->arg);
    }
    drain_closes(loop);
    current = NULL;
    return NULL;
}

void os_loops_run(struct os_loop **loops, unsigned count)
{
    assert(count > 0);
    for (unsigned i = 1; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "loop-%u", i);
        real_thread_start(&loops[i]->thread, name, loop_run, loops[i]);
    }
    loop_run(loops[0]);
    for (unsigned i = 1; i < count; i++)
        pthread_join(loops[i]->thread, NULL);
}

/* libuv's clock is this one in whole milliseconds, rounded down: never early, late by one at the most. */
void os_loop_timer(struct os_loop *loop, uint64_t deadline_mono_ns)
{
    if (deadline_mono_ns == loop->deadline)
        return;
    loop->deadline = deadline_mono_ns;
    if (deadline_mono_ns == UINT64_MAX) {
        uv_timer_stop(&loop->timer);
        return;
    }
    uint64_t due_ms = deadline_mono_ns / 1000000 + (deadline_mono_ns % 1000000 != 0);
    uint64_t now_ms = uv_now(&loop->uv);
    uv_timer_start(&loop->timer, timer_cb, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

void os_loop_stop(struct os_loop *loop)
{
    atomic_store(&loop->stopping, true);
    os_loop_wake(loop);
}

void os_loop_on_stop_signal(struct os_loop *loop, void (*fn)(void *arg), void *arg)
{
    loop->on_stop_signal = fn;
    loop->on_stop_signal_arg = arg;
    must(uv_signal_start(&loop->sigterm, signal_cb, SIGTERM), "uv_signal_start");
    must(uv_signal_start(&loop->sigint, signal_cb, SIGINT), "uv_signal_start");
}

void os_loop_free(struct os_loop *loop)
{
    if (!loop)
        return;
    assert(loop->magic == LOOP_MAGIC && loop->open == 0);
    sock_drop_moved(loop);
    uv_close((uv_handle_t *)&loop->async, NULL);
    uv_close((uv_handle_t *)&loop->timer, NULL);
    uv_close((uv_handle_t *)&loop->kick, NULL);
    uv_close((uv_handle_t *)&loop->sigterm, NULL);
    uv_close((uv_handle_t *)&loop->sigint, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    int busy = uv_loop_close(&loop->uv);
    assert(busy == 0);
    (void)busy;
    loop->magic = 0;
    mem_free(loop);
}
