/* Listeners: accepting on shard 0, limits, and dealing connections out to the shards. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "proto/front_impl.h"

/* ---- limits -------------------------------------------------------------------------------------------- */

/* "127.0.0.1:51234" without the port. */
static struct span ip_of(const char *peer)
{
    const char *colon = strrchr(peer, ':');
    return span_of(peer, colon ? (size_t)(colon - peer) : strlen(peer));
}

static struct front_ip *ip_take(struct front *f, struct span text)
{
    struct front_ip *ip = map_get(&f->ips, text);
    if (!ip) {
        ip = mem_zalloc(sizeof(*ip));
        ip->text = mem_strndup(text.ptr, text.len);
        map_put(&f->ips, span_str(ip->text), ip);
    }
    ip->conns++;
    return ip;
}

static void ip_put(struct front *f, struct front_ip *ip)
{
    assert(ip->conns > 0);
    if (--ip->conns > 0)
        return;
    map_del(&f->ips, span_str(ip->text));
    mem_free(ip->text);
    mem_free(ip);
}

/* NULL, or why not. */
static const char *refuse_reason(const struct front *f, const char *peer)
{
    const struct broker *b = f->broker;
    const struct front_ip *ip = map_get(&f->ips, ip_of(peer));
    if (b->phase != BROKER_RUNNING)
        return "the broker is not running";
    if (b->open_conns >= b->config->max_connections)
        return "max-connections is reached";
    if (ip && ip->conns >= b->config->max_connections_per_ip)
        return "max-connections-per-ip is reached";
    return NULL;
}

/* At most one line per second, with how many it stands for. */
static void say_refused(struct front *f, const struct front_listener *l, const char *peer, const char *reason)
{
    uint64_t now = os_mono_ns();
    metrics_add_at(f->broker->shards[0].metrics, METRIC_CONNECTIONS_REFUSED, l->info.metrics_slot, 1);
    f->refused++;
    if (f->refused_log_ns && now - f->refused_log_ns < 1000000000)
        return;
    say_warn(l->info.name, "connection refused", "peer=%s reason=\"%s\" count=%u", peer, reason, f->refused);
    f->refused_log_ns = now;
    f->refused = 0;
}

/* ---- accepting ----------------------------------------------------------------------------------------- */

static void on_accept(void *user, struct os_sock *sock)
{
    struct front_listener *l = user;
    struct front *f = l->front;
    struct broker *b = f->broker;
    const char *peer = os_sock_peer(sock), *reason = refuse_reason(f, peer);
    if (reason) {
        say_refused(f, l, peer, reason);
        os_sock_close(sock);
        return;
    }
    struct front_conn *fc = mem_zalloc(sizeof(*fc));
    struct shard *s = &b->shards[f->next_shard++ % b->shard_count];
    fc->front = f;
    fc->listener = l;
    fc->conn.shard = s;
    fc->ip = ip_take(f, ip_of(peer));
    if (l->tls) {
        fc->tls = mem_zalloc(sizeof(*fc->tls));
        fc->tls->context = tls_ref(front_tls_now(f));
    }
    list_add_tail(&f->conns, &fc->link);
    b->open_conns++;
    if (s->index == 0)
        conn_adopt(fc, sock);
    else
        os_sock_move(sock, s->loop, conn_adopt, fc);
}

/* Its place is free again. On shard 0, as accepting. */
void listener_conn_gone(struct shard *s, struct msg *m)
{
    struct front_conn *fc = container_of(m, struct front_conn, gone);
    assert(s->index == 0 && s->broker->open_conns > 0);
    s->broker->open_conns--;
    ip_put(fc->front, fc->ip);
    list_del(&fc->link);
    mem_free(fc);
}

/* ---- opening and closing ------------------------------------------------------------------------------- */

static void name_metrics(const struct front *f, const struct front_listener *l)
{
    const struct metrics_label labels[] = {{"protocol", span_str(l->proto->name)},
                                           {"listener", span_str(l->info.name)}};
    metrics_name_slot(f->broker->metrics, METRICS_DIM_LISTENER, l->info.metrics_slot, labels, 2);
}

int front_open(struct front *f, const struct front_listen *spec)
{
    if (f->listener_count == FRONT_MAX_LISTENERS)
        return ERR_LIMIT;
    struct front_listener *l = &f->listeners[f->listener_count];
    assert(spec->max_ops > 0 && spec->max_ops <= INT32_MAX && spec->max_bytes > 0);
    *l = (struct front_listener){.front = f,
                                 .proto = spec->proto,
                                 .tls = spec->tls,
                                 .max_ops = spec->max_ops,
                                 .max_bytes = spec->max_bytes};
    int err = spec->tls ? front_tls_load(f) : 0;
    if (!err)
        err = os_listen(f->broker->loops[0], spec->address, 1024, on_accept, l, &l->socket);
    if (err)
        return err;
    l->name = mem_strndup(spec->name, strlen(spec->name));
    const char *bound = os_listener_address(l->socket);
    l->bound = mem_strndup(bound, strlen(bound));
    if (spec->advertised_host)
        l->advertised_host = mem_strndup(spec->advertised_host, strlen(spec->advertised_host));
    l->info = (struct listener_info){.name = l->name,
                                     .bound = l->bound,
                                     .advertised_host = l->advertised_host,
                                     .advertised_port = spec->advertised_port,
                                     .metrics_slot = f->listener_count,
                                     .front = spec->front};
    f->listener_count++;
    name_metrics(f, l);
    say_info(l->name, "listening", "address=%s protocol=%s tls=%s", l->info.bound, l->proto->name,
             l->tls ? "yes" : "no");
    return 0;
}

void listener_close_all(struct front *f)
{
    front_tls_stop(f);
    for (unsigned i = 0; i < f->listener_count; i++) {
        struct front_listener *l = &f->listeners[i];
        if (l->socket)
            os_listener_close(l->socket);
        l->socket = NULL;
    }
}
