#include "proto/front.h"

#include "base/err.h"
#include "base/mem.h"
#include "proto/front_impl.h"

static void hook_stop(struct shard *s)
{
    if (s->index == 0)
        listener_close_all(s->broker->front);
    conn_stop_all(s);
}

static void hook_abort(struct shard *s)
{
    if (s->index == 0)
        listener_close_all(s->broker->front);
    conn_abort_all(s);
}

static void hook_tick(struct shard *s, struct conn *c)
{
    if (c->closing)
        conn_abort(c);
    else if (!front_conn_of(c)->opened)
        conn_fail(c, ERR_TIMEOUT, "no TLS handshake within tls.handshake-timeout");
    else
        c->proto->tick(c, c->proto_state, s->now_ns);
}

const struct shard_hooks front_hooks = {
    .input = conn_feed_ready,
    .flush = conn_flush_all,
    .stop = hook_stop,
    .abort = hook_abort,
    .tick = hook_tick,
};

struct front *front_new(struct broker *b)
{
    struct front *f = mem_zalloc(sizeof(*f));
    f->broker = b;
    f->shards = mem_zalloc(b->shard_count * sizeof(*f->shards));
    map_init(&f->ips);
    list_init(&f->conns);
    b->front = f;
    metrics_add_limit(b->metrics, "input", b->config->memory_request_bytes);
    metrics_add_limit(b->metrics, "output", b->config->memory_output_bytes);
    return f;
}

static void free_unseen(struct front_conn *fc)
{
    conn_tls_free(fc->tls);
    mem_free(fc);
}

void front_free(struct front *f)
{
    if (!f)
        return;
    list_each_safe (l, tmp, &f->conns) /* accepted, but their shards ended before they saw them */
        free_unseen(list_entry(l, struct front_conn, link));
    front_tls_free(f);
    struct front_ip *ip;
    for (size_t i = 0; (ip = map_next(&f->ips, &i));) {
        mem_free(ip->text);
        mem_free(ip);
    }
    map_fini(&f->ips);
    for (unsigned i = 0; i < f->listener_count; i++) {
        mem_free(f->listeners[i].name);
        mem_free(f->listeners[i].advertised_host);
        mem_free(f->listeners[i].bound);
    }
    mem_free(f->shards);
    mem_free(f);
}

const struct listener_info *front_listener(const struct front *f, unsigned i)
{
    return i < f->listener_count ? &f->listeners[i].info : NULL;
}

const char *front_address(const struct front *f, unsigned i)
{
    const struct listener_info *l = front_listener(f, i);
    return l ? l->bound : NULL;
}
