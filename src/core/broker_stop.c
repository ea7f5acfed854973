/* The end of a broker: drain connections, save the store, stop the loops; each with a deadline.
 *
 *   RUNNING -> DRAINING   a stop signal: no new connections, waiting reads return, answers in flight go out
 *           -> SAVING     no connection is left, or the deadline came and they were cut: the store stops
 *           -> ENDED      it has stopped on every shard, or the second deadline came: the loops stop
 *
 * A failed store goes from anywhere to ENDED: connections are cut, since no answer can be true any more. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "core/broker.h"
#include "core/group.h"
#include "core/op_impl.h"
#include "core/queue.h"

enum { SAVE_TIMEOUT_MS = 30000, CUT_TIMEOUT_MS = 1000 };

struct broker_order {
    struct msg stop, cut, save, saved, end;
    struct broker *broker;
    struct shard *shard;
    bool saving, ending, reported;
};

static void after_ms(struct broker *b, uint64_t ms)
{
    shard_timer_set(&b->shards[0], &b->stop_timer, os_mono_ns() + ms * 1000000);
}

/* ---- on each shard ------------------------------------------------------------------------------------- */

static void do_stop(struct shard *s, struct msg *m)
{
    (void)m;
    s->stopping = true;
    partition_wake_all(s); /* reads that wait answer with what there is */
    groups_stop(s);
    if (s->hooks)
        s->hooks->stop(s);
}

static void do_cut(struct shard *s, struct msg *m)
{
    (void)m;
    s->stopping = true;
    if (s->hooks)
        s->hooks->abort(s);
}

static void do_save(struct shard *s, struct msg *m)
{
    container_of(m, struct broker_order, save)->saving = true;
    queues_save(s);
    s->saving = true;
    shard_space(s, ERR_STOPPING);
    queues_stop(s);
    store_shard_stop(s->store);
}

static void do_end(struct shard *s, struct msg *m)
{
    s->stopping = true;
    if (s->hooks)
        s->hooks->abort(s);
    container_of(m, struct broker_order, end)->ending = true;
}

/* ---- on shard 0 ---------------------------------------------------------------------------------------- */

static void send_all(struct broker *b, size_t which, void (*run)(struct shard *s, struct msg *m))
{
    for (unsigned i = 0; i < b->shard_count; i++) {
        struct msg *m = (struct msg *)((char *)&b->orders[i] + which);
        m->run = run;
        msg_send(&b->shards[0], &b->shards[i], m);
    }
}

static void end(struct broker *b, int exit_code)
{
    if (b->phase == BROKER_ENDED)
        return;
    b->phase = BROKER_ENDED;
    b->exit_code = exit_code;
    shard_timer_cancel(&b->shards[0], &b->stop_timer);
    send_all(b, offsetof(struct broker_order, end), do_end);
}

static void do_saved(struct shard *s, struct msg *m)
{
    struct broker *b = s->broker;
    (void)m;
    assert(b->acks_left > 0);
    if (--b->acks_left == 0 && b->phase == BROKER_SAVING) {
        say_info("broker", "stopped", "uptime_s=%llu",
                 (unsigned long long)((os_mono_ns() - b->started_ns) / 1000000000));
        end(b, 0);
    }
}

static void save(struct broker *b)
{
    b->phase = BROKER_SAVING;
    b->acks_left = b->shard_count;
    after_ms(b, SAVE_TIMEOUT_MS);
    send_all(b, offsetof(struct broker_order, save), do_save);
}

/* The time to be polite is over. */
static void cut(struct broker *b)
{
    if (b->hurried)
        return;
    b->hurried = true;
    say_warn("broker", "connections are cut", "open=%u", b->open_conns);
    send_all(b, offsetof(struct broker_order, cut), do_cut);
    after_ms(b, CUT_TIMEOUT_MS);
}

static void overdue(struct shard *s, struct shard_timer *t)
{
    struct broker *b = s->broker;
    (void)t;
    if (b->phase == BROKER_DRAINING && !b->hurried) {
        cut(b);
    } else if (b->phase == BROKER_DRAINING) {
        save(b);
    } else if (b->phase == BROKER_SAVING) {
        say_warn("broker", "the store did not stop in time, the next start recovers", "timeout_ms=%d",
                 SAVE_TIMEOUT_MS);
        end(b, 0); /* nothing acknowledged is lost: the journal has it */
    }
}

void broker_stop(struct broker *b)
{
    if (b->phase <= BROKER_RUNNING) {
        say_info("broker", "stopping", "connections=%u", b->open_conns);
        b->phase = BROKER_DRAINING;
        send_all(b, offsetof(struct broker_order, stop), do_stop);
        after_ms(b, b->config->shutdown_timeout_ms);
    } else if (b->phase == BROKER_DRAINING) {
        cut(b);
    }
}

void broker_stop_init(struct broker *b)
{
    b->orders = mem_zalloc(b->shard_count * sizeof(*b->orders));
    for (unsigned i = 0; i < b->shard_count; i++) {
        b->orders[i].broker = b;
        b->orders[i].shard = &b->shards[i];
    }
    b->stop_timer.fire = overdue;
}

/* At the end of each turn: what of the stop is due on this shard. */
void broker_stop_step(struct shard *s)
{
    struct broker *b = s->broker;
    struct broker_order *o = &b->orders[s->index];
    if (s->index == 0 && atomic_load(&b->failed))
        end(b, 1);
    if (s->index == 0 && b->phase == BROKER_DRAINING && b->open_conns == 0 && !o->reported)
        save(b);
    if (o->saving && !o->reported && store_shard_stopped(s->store)) {
        o->reported = s->saved = true;
        o->saved.run = do_saved;
        msg_send(s, &b->shards[0], &o->saved);
    }
    if (o->ending) {
        o->ending = false;
        os_loop_stop(s->loop);
    }
}
