/* The broker's end of scripted connections: os.h's sockets, and the steps in which things happen to them. */
#include "os/sim/sock.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"

struct os_sock *sock_new(struct os_listener *l, const struct address *to)
{
    struct os_sock *s = sim_zalloc(sizeof *s);
    struct address from = *to;
    s->id = world_id();
    from.port = (uint16_t)(50000 + s->id % 15000);
    address_format(&from, s->peer_text);
    address_format(to, s->local_text);
    s->loop = l->loop;
    s->listener = l;
    s->accept = l->accept;
    s->accept_user = l->user;
    list_add_tail(&world()->socks, &s->link);
    return s;
}

static void hang_up(struct os_sock *s)
{
    if (s->peer)
        s->peer->sock = NULL;
    s->peer = NULL;
}

void sock_drop(struct os_sock *s)
{
    hang_up(s);
    list_del(&s->link);
    stream_fini(&s->in);
    sim_free(s);
}

/* ---- os.h ---- */

void os_sock_start(struct os_sock *s, const struct os_sock_ops *ops, void *user)
{
    assert(s->state == SOCK_ACCEPTED);
    s->state = SOCK_STARTED;
    s->ops = ops;
    s->user = user;
    s->reading = true;
}

void os_sock_read_stop(struct os_sock *s)
{
    s->reading = false;
}

void os_sock_read_start(struct os_sock *s)
{
    assert(s->state == SOCK_STARTED || s->state == SOCK_CLOSING);
    s->reading = true;
}

/* Gives the peer up to `max` bytes of the write in progress, as far as its window goes. */
static size_t push_out(struct os_sock *s, size_t max)
{
    size_t room = s->peer->window > s->peer->received.len ? s->peer->window - s->peer->received.len : 0;
    size_t left = max < room ? max : room, sent = left;
    for (size_t i = 0; i < s->out_count && left > 0; i++) {
        size_t n = s->out[i].len < left ? s->out[i].len : left;
        stream_push(&s->peer->received, span_of(s->out[i].ptr, n));
        s->out[i] = span_of(s->out[i].ptr + n, s->out[i].len - n);
        left -= n;
    }
    return sent;
}

static size_t out_len(const struct os_sock *s)
{
    size_t len = 0;
    for (size_t i = 0; i < s->out_count; i++)
        len += s->out[i].len;
    return len;
}

/* One write in eight is cut short although it would fit. */
int os_sock_write(struct os_sock *s, const struct span *spans, size_t count)
{
    assert(s->state == SOCK_STARTED && !s->writing && count <= OS_SOCK_SPANS);
    if (!s->peer)
        return ERR_CLOSED;
    s->out_count = count;
    if (count)
        memcpy(s->out, spans, count * sizeof *spans);
    size_t total = out_len(s);
    size_t max = sim_random_below(8) == 0 ? sim_random_below(total + 1) : total;
    size_t sent = push_out(s, max);
    world_trace('w', s->id, sent);
    s->writing = sent < total;
    return s->writing ? 0 : 1;
}

void os_sock_close(struct os_sock *s)
{
    assert(s->state == SOCK_ACCEPTED || s->state == SOCK_STARTED);
    world_trace('c', s->id, 0);
    if (s->state == SOCK_ACCEPTED) {
        sock_drop(s);
        return;
    }
    hang_up(s);
    s->state = SOCK_CLOSING;
}

const char *os_sock_peer(const struct os_sock *s)
{
    return s->peer_text;
}

const char *os_sock_local(const struct os_sock *s)
{
    return s->local_text;
}

void os_sock_move(struct os_sock *s, struct os_loop *to, void (*accept)(void *user, struct os_sock *s),
                  void *user)
{
    assert(s->state == SOCK_ACCEPTED);
    s->state = SOCK_WAITING;
    s->loop = to;
    s->accept = accept;
    s->accept_user = user;
    list_del(&s->link); /* behind those that wait for this loop already */
    list_add_tail(&world()->socks, &s->link);
}

/* ---- steps ---- */

static void act_accept(void *object)
{
    struct os_sock *s = object;
    s->state = SOCK_ACCEPTED;
    s->listener = NULL;
    s->loop->woken = true;
    world_trace('a', s->id, s->loop->id);
    s->accept(s->accept_user, s);
}

static void deliver(struct os_sock *s, uint8_t *room, size_t len)
{
    size_t n = s->in.len < len ? s->in.len : len;
    if (sim_random_below(2))
        n = 1 + sim_random_below(n);
    memcpy(room, stream_bytes(&s->in).ptr, n);
    stream_drop(&s->in, n);
    world_trace('i', s->id, n);
    s->ops->input(s->user, (int64_t)n);
}

static void act_input(void *object)
{
    struct os_sock *s = object;
    uint8_t *room = NULL;
    size_t len = 0;
    s->loop->woken = true;
    if (s->in.len == 0) {
        s->ended = true;
        world_trace('e', s->id, s->reset);
        s->ops->input(s->user, s->reset ? ERR_CLOSED : 0);
        return;
    }
    s->ops->room(s->user, &room, &len);
    if (s->state != SOCK_STARTED)
        return;
    if (len > 0)
        deliver(s, room, len);
    else
        s->reading = false;
}

static void act_write(void *object)
{
    struct os_sock *s = object;
    size_t left = out_len(s);
    if (s->peer && push_out(s, sim_random_below(2) ? left : 1 + sim_random_below(left)) < left)
        return;
    s->writing = false;
    s->loop->woken = true;
    world_trace('W', s->id, left);
    s->ops->written(s->user, s->peer ? 0 : ERR_CLOSED);
}

static void act_closed(void *object)
{
    struct os_sock *s = object;
    void *user = s->user;
    const struct os_sock_ops *ops = s->ops;
    s->loop->woken = true;
    world_trace('C', s->id, 0);
    sock_drop(s);
    ops->closed(user);
}

static void add_started(struct os_sock *s)
{
    if (s->reading && !s->ended && (s->in.len > 0 || !s->peer))
        world_add_action(act_input, s);
    if (s->writing && (!s->peer || s->peer->received.len < s->peer->window))
        world_add_action(act_write, s);
}

void socks_add_actions(void)
{
    struct world *w = world();
    list_each (it, &w->socks) {
        struct os_sock *s = list_entry(it, struct os_sock, link);
        if (s->state == SOCK_CLOSING) {
            world_add_action(act_closed, s);
        } else if (s->loop->stopped) {
            continue;
        } else if (s->state == SOCK_STARTED) {
            add_started(s);
        } else if (s->state == SOCK_WAITING && s->loop->accept_step != w->steps) {
            s->loop->accept_step = w->steps; /* the others wait for this one */
            world_add_action(act_accept, s);
        }
    }
}

unsigned socks_closing(const struct os_loop *loop)
{
    unsigned n = 0;
    struct list *socks = &world()->socks;
    list_each (it, socks) {
        const struct os_sock *s = list_entry(it, struct os_sock, link);
        n += s->loop == loop && s->state == SOCK_CLOSING;
    }
    return n;
}
