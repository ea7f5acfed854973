/* Listeners, and the client's end of scripted connections. */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "os/sim/sock.h"

enum { DEFAULT_WINDOW = 1 << 20 };

/* ---- listeners ---- */

struct os_listener *listener_find(const struct address *a)
{
    struct list *listeners = &world()->listeners;
    list_each (it, listeners) {
        struct os_listener *l = list_entry(it, struct os_listener, link);
        bool same = l->address.is_v6 == a->is_v6 && l->address.port == a->port;
        if (same && (address_is_any(&l->address) || strcmp(l->address.host, a->host) == 0))
            return l;
    }
    return NULL;
}

int os_listen(struct os_loop *loop, const char *address, int backlog,
              void (*accept)(void *user, struct os_sock *s), void *user, struct os_listener **ret_listener)
{
    struct world *w = world();
    struct address a;
    int err = address_parse(address, &a);
    if (err)
        return err;
    bool any_port = a.port == 0;
    do
        a.port = any_port ? w->next_port++ : a.port;
    while (any_port && listener_find(&a));
    if (listener_find(&a))
        return ERR_EXISTS;
    struct os_listener *l = sim_zalloc(sizeof *l);
    l->loop = loop;
    l->address = a;
    l->accept = accept;
    l->user = user;
    address_format(&a, l->text);
    list_add_tail(&w->listeners, &l->link);
    *ret_listener = l;
    return 0;
}

const char *os_listener_address(const struct os_listener *l)
{
    return l->text;
}

void listener_drop(struct os_listener *l)
{
    list_del(&l->link);
    sim_free(l);
}

/* Connections that wait to be accepted from it are reset, as a kernel does. */
void os_listener_close(struct os_listener *l)
{
    struct world *w = world();
    list_each_safe (it, next, &w->socks) {
        struct os_sock *s = list_entry(it, struct os_sock, link);
        if (s->state == SOCK_WAITING && s->listener == l)
            sock_drop(s);
    }
    listener_drop(l);
}

unsigned socks_open(const struct os_loop *loop)
{
    unsigned n = 0;
    struct world *w = world();
    list_each (it, &w->socks) {
        const struct os_sock *s = list_entry(it, struct os_sock, link);
        n += s->loop == loop && s->state == SOCK_STARTED;
    }
    list_each (it, &w->listeners)
        n += list_entry(it, struct os_listener, link)->loop == loop;
    return n;
}

/* ---- peers ---- */

struct sim_peer *sim_connect(const char *address)
{
    struct address a;
    struct os_listener *l = address_parse(address, &a) ? NULL : listener_find(&a);
    if (!l)
        return NULL;
    struct sim_peer *p = sim_zalloc(sizeof *p);
    p->window = DEFAULT_WINDOW;
    p->sock = sock_new(l, &a);
    p->sock->peer = p;
    list_add_tail(&world()->peers, &p->link);
    return p;
}

void sim_peer_send(struct sim_peer *p, struct span bytes)
{
    if (p->sock)
        stream_push(&p->sock->in, bytes);
}

struct span sim_peer_received(struct sim_peer *p)
{
    return stream_bytes(&p->received);
}

void sim_peer_consume(struct sim_peer *p, size_t len)
{
    stream_drop(&p->received, len);
}

bool sim_peer_closed(const struct sim_peer *p)
{
    return !p->sock;
}

void sim_peer_window(struct sim_peer *p, size_t bytes)
{
    p->window = bytes;
}

void peer_drop(struct sim_peer *p)
{
    if (p->sock)
        p->sock->peer = NULL;
    list_del(&p->link);
    stream_fini(&p->received);
    sim_free(p);
}

/* tcp(7): closing with unread bytes resets the connection. Half the time that overtakes nothing but the end.
 */
void sim_peer_close(struct sim_peer *p)
{
    if (p->sock)
        p->sock->reset = p->received.len > 0 && sim_random_below(2);
    peer_drop(p);
}

void socks_drop_all(void)
{
    struct world *w = world();
    while (!list_empty(&w->socks))
        sock_drop(list_entry(list_first(&w->socks), struct os_sock, link));
    while (!list_empty(&w->peers))
        peer_drop(list_entry(list_first(&w->peers), struct sim_peer, link));
    while (!list_empty(&w->listeners))
        listener_drop(list_entry(list_first(&w->listeners), struct os_listener, link));
}
