/* The life of a connection on its shard: adopted, opened, destroyed, buried. */
#include <assert.h>

#include "base/mem.h"
#include "proto/front_impl.h"

/* The last callback: nothing refers to its output any more. */
static void closed(void *user)
{
    struct front_conn *fc = user;
    struct shard *s = fc->conn.shard;
    assert(fc->dead);
    outq_fini(&fc->conn.out);
    conn_tls_free(fc->tls);
    mem_free(fc->conn.proto_state);
    fc->conn.magic = 0;
    fc->gone.run = listener_conn_gone;
    msg_send(s, &s->broker->shards[0], &fc->gone);
}

static const struct os_sock_ops socket_ops = {conn_room, conn_input, conn_written, closed};

/* In the poll phase: only noted, since the shard's clock stands at its last turn. */
void conn_adopt(void *user, struct os_sock *sock)
{
    struct front_conn *fc = user;
    struct conn *c = &fc->conn;
    struct shard *s = c->shard;
    fc->sock = sock;
    c->magic = CONN_MAGIC;
    c->handle = handle_new(&s->conns, c);
    c->proto = fc->listener->proto;
    c->proto_state = mem_zalloc(c->proto->state_bytes);
    c->listener = &fc->listener->info;
    c->peer = os_sock_peer(sock);
    c->actor.principal = auth_unnamed(s->config, auth_is_loopback(c->peer));
    c->actor.vhost = &auth_default_vhost;
    c->local = os_sock_local(sock);
    c->ops_max = c->ops_left = (int32_t)fc->listener->max_ops;
    c->bytes_left = (int64_t)fc->listener->max_bytes;
    c->out_limit = FRONT_OUT_LIMIT;
    outq_init(&c->out, &s->output_pool);
    list_init(&c->flush_link);
    list_init(&c->ready_link);
    if (fc->tls)
        conn_tls_start(fc);
    list_add_tail(&s->ready, &c->ready_link);
    os_loop_wake(s->loop);
}

void conn_open(struct front_conn *fc)
{
    struct conn *c = &fc->conn;
    assert(!fc->opened && !fc->dead);
    fc->opened = true;
    c->proto->open(c, c->proto_state);
}

void conn_start_if_new(struct front_conn *fc)
{
    struct conn *c = &fc->conn;
    if (fc->started)
        return;
    fc->started = true;
    metrics_gauge_add_at(c->shard->metrics, METRIC_CONNECTIONS, front_slot(fc), 1);
    metrics_add_at(c->shard->metrics, METRIC_CONNECTIONS_TOTAL, front_slot(fc), 1);
    if (!fc->tls)
        conn_open(fc);
    fc->reading = true;
    os_sock_start(fc->sock, &socket_ops, fc);
}

static void forget(struct front_conn *fc)
{
    struct conn *c = &fc->conn;
    list_del(&c->ready_link);
    list_del(&c->flush_link);
    heap_remove(&c->shard->conn_deadlines, &c->deadline);
    conn_drop_input(fc);
    if (fc->tls)
        conn_tls_forget(fc);
    struct front_shard *fs = front_shard_of(c->shard);
    uint64_t all = atomic_load_explicit(&fs->out_bytes, memory_order_relaxed);
    atomic_store_explicit(&fs->out_bytes, all - fc->out_counted, memory_order_relaxed);
    fc->out_counted = 0;
}

void conn_destroy(struct front_conn *fc)
{
    struct conn *c = &fc->conn;
    if (fc->dead)
        return;
    conn_start_if_new(fc); /* so that there is one way to end, too */
    fc->dead = true;
    handle_free(&c->shard->conns, c->handle);
    if (fc->opened)
        c->proto->closed(c, c->proto_state);
    forget(fc);
    metrics_gauge_add_at(c->shard->metrics, METRIC_CONNECTIONS, front_slot(fc), -1);
    os_sock_close(fc->sock);
}

/* Those with nothing in flight end in the flush phase of this turn. */
void conn_stop_all(struct shard *s)
{
    struct conn *c;
    for (uint32_t i = 0; (c = handle_next(&s->conns, &i));) {
        if (c->proto->stop && front_conn_of(c)->opened && !c->closing)
            c->proto->stop(c, c->proto_state);
        conn_wake_output(c);
    }
}

void conn_abort_all(struct shard *s)
{
    struct conn *c;
    for (uint32_t i = 0; (c = handle_next(&s->conns, &i));)
        conn_destroy(front_conn_of(c));
}
