/* Output of connections: writing what is queued, and ending those whose time has come. */
#include <assert.h>

#include "proto/front_impl.h"

static void count_output(struct front_conn *fc)
{
    struct front_shard *fs = front_shard_of(fc->conn.shard);
    uint64_t all = atomic_load_explicit(&fs->out_bytes, memory_order_relaxed);
    size_t now = fc->dead ? 0 : conn_unsent(fc);
    atomic_store_explicit(&fs->out_bytes, all - fc->out_counted + now, memory_order_relaxed);
    fc->out_counted = now;
}

void conn_out_consume(struct front_conn *fc, size_t n)
{
    struct conn *c = &fc->conn;
    bool was_full = c->out.len > c->out_limit;
    outq_consume(&c->out, n);
    if (was_full && c->out.len <= c->out_limit && !list_linked(&c->ready_link))
        list_add_tail(&c->shard->ready, &c->ready_link);
    if (c->proto->written)
        c->proto->written(c, c->proto_state);
}

/* The socket took n bytes. */
static void consumed(struct front_conn *fc, size_t n)
{
    struct conn *c = &fc->conn;
    if (fc->tls)
        outq_consume(&fc->tls->wire, n);
    else
        conn_out_consume(fc, n);
    c->bytes_out += n;
    metrics_add_at(c->shard->metrics, METRIC_BYTES_OUT, front_slot(fc), n);
}

void conn_written(void *user, int status)
{
    struct front_conn *fc = user;
    if (fc->dead)
        return;
    size_t n = fc->writing;
    fc->writing = 0;
    if (status < 0) {
        conn_abort(&fc->conn);
        return;
    }
    consumed(fc, n);
    conn_wake_output(&fc->conn);
}

/* False: the connection is broken. */
static bool write_some(struct front_conn *fc)
{
    struct span spans[FRONT_SPANS];
    struct outq *wire = conn_wire(fc);
    for (unsigned i = 0; conn_unsent(fc) > 0 && !fc->writing; i++) {
        if (i == FRONT_WRITES) {
            conn_wake_output(&fc->conn); /* others first */
            return true;
        }
        if (fc->tls && !conn_tls_seal(fc))
            return false;
        size_t count = outq_peek(wire, spans, FRONT_SPANS), n = 0;
        for (size_t k = 0; k < count; k++)
            n += spans[k].len;
        int r = os_sock_write(fc->sock, spans, count);
        if (r < 0)
            return false;
        if (r == 1)
            consumed(fc, n);
        else
            fc->writing = n;
    }
    return true;
}

static bool is_over(const struct front_conn *fc)
{
    const struct conn *c = &fc->conn;
    if (c->aborted)
        return true;
    if (conn_unsent(fc) > 0)
        return false;
    if (c->closing)
        return true;
    return (fc->eof || c->shard->stopping) && conn_quiet(c) && !list_linked(&c->ready_link);
}

/* A client that does not take its last answer is not waited for forever. */
static void linger(struct front_conn *fc)
{
    fc->lingering = true;
    conn_set_deadline(&fc->conn, fc->conn.shard->now_ns + FRONT_LINGER_MS * 1000000ull);
}

/* The last words of an encrypted connection; what is sent after them would be refused. */
static void say_goodbye(struct front_conn *fc)
{
    if (fc->conn.aborted || !fc->tls || fc->tls->closed)
        return;
    conn_tls_close(fc);
    fc->conn.closing = true;
    if (fc->started && !write_some(fc))
        fc->conn.aborted = true;
}

/* While memory.output-bytes runs short, who has anything unread is not read from; this one has taken it all.
 */
static void read_on(struct front_conn *fc)
{
    struct conn *c = &fc->conn;
    if (fc->eof || c->closing || c->shard->stopping)
        return;
    if (c->paused && conn_unsent(fc) == 0 && !list_linked(&c->ready_link))
        list_add_tail(&c->shard->ready, &c->ready_link); /* conn_prune_ready() */
}

void conn_settle(struct front_conn *fc)
{
    if (fc->dead)
        return;
    if (!fc->conn.aborted && fc->started && !write_some(fc))
        fc->conn.aborted = true;
    if (is_over(fc))
        say_goodbye(fc);
    count_output(fc);
    if (is_over(fc))
        conn_destroy(fc);
    else if (fc->conn.closing && !fc->lingering)
        linger(fc);
    else
        read_on(fc);
}

void conn_flush_all(struct shard *s)
{
    struct list now;
    list_init(&now);
    while (!list_empty(&s->flush)) {
        struct list *l = list_first(&s->flush);
        list_del(l);
        list_add_tail(&now, l);
    }
    while (!list_empty(&now)) {
        struct list *l = list_first(&now);
        list_del(l);
        conn_settle(front_conn_of(list_entry(l, struct conn, flush_link)));
    }
    conn_prune_ready(s);
}
