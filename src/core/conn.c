#include "core/conn.h"

#include <assert.h>

#include "base/err.h"
#include "base/say.h"
#include "core/shard.h"

/* Its input is looked at in the next input phase. */
static void make_ready(struct conn *c)
{
    if (!list_linked(&c->ready_link))
        list_add_tail(&c->shard->ready, &c->ready_link);
}

void conn_take_credit(struct conn *c, size_t bytes)
{
    assert(c->magic == CONN_MAGIC);
    c->ops_left--;
    c->bytes_left -= (int64_t)bytes;
}

void conn_give_credit(struct conn *c, size_t bytes)
{
    assert(c->magic == CONN_MAGIC && c->ops_left < c->ops_max);
    c->ops_left++;
    c->bytes_left += (int64_t)bytes;
    make_ready(c);
}

void conn_hold(struct conn *c)
{
    assert(c->magic == CONN_MAGIC);
    c->held = true;
}

void conn_release(struct conn *c)
{
    assert(c->magic == CONN_MAGIC);
    if (!c->held)
        return;
    c->held = false;
    make_ready(c);
}

void conn_yield(struct conn *c)
{
    assert(c->magic == CONN_MAGIC);
    c->yielding = true;
}

bool conn_can_read(const struct conn *c)
{
    return !c->held && c->ops_left > 0 && c->bytes_left > 0 && !c->closing && !c->aborted &&
           (c->out_limit == 0 || c->out.len <= c->out_limit);
}

bool conn_quiet(const struct conn *c)
{
    return c->ops_left == c->ops_max;
}

void conn_wake_output(struct conn *c)
{
    if (!list_linked(&c->flush_link))
        list_add_tail(&c->shard->flush, &c->flush_link);
}

void conn_wake_answer(struct conn *c)
{
    list_del(&c->flush_link);
    list_add_head(&c->shard->flush, &c->flush_link);
}

/* Peers decide how often this happens, so the lines are counted per second. */
bool conn_may_log(struct shard *s)
{
    enum { LINES_PER_SECOND = 10 };
    if (s->now_ns - s->log_second_ns >= 1000000000) {
        s->log_second_ns = s->now_ns;
        s->log_lines = 0;
    }
    return s->log_lines++ < LINES_PER_SECOND;
}

void conn_fail(struct conn *c, int err, const char *why)
{
    assert(c->magic == CONN_MAGIC);
    if (c->closing || c->aborted)
        return;
    metrics_add_at(c->shard->metrics, METRIC_CONNECTIONS_FAILED, c->listener ? c->listener->metrics_slot : 0,
                   1);
    if (conn_may_log(c->shard))
        say_warn(c->listener ? c->listener->name : "conn", "connection failed",
                 "peer=%s reason=\"%s\" error=%s", c->peer, why, err_name(err));
    conn_finish(c);
}

void conn_finish(struct conn *c)
{
    c->closing = true;
    conn_wake_output(c);
}

void conn_abort(struct conn *c)
{
    c->aborted = true;
    conn_wake_output(c);
}

void conn_set_deadline(struct conn *c, uint64_t deadline_mono_ns)
{
    struct heap *h = &c->shard->conn_deadlines;
    if (c->deadline.place && c->deadline.key == deadline_mono_ns)
        return;
    heap_remove(h, &c->deadline);
    if (deadline_mono_ns != UINT64_MAX)
        heap_push(h, &c->deadline, deadline_mono_ns);
}
