/* Stream sockets: a plain descriptor until os_sock_start(), a uv_tcp_t from then on. */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "os/real/real.h"

/* An accepted socket that was not started belongs to whoever got it from accept(); a started one lives until
 * closed() was called. */
struct os_sock {
    uint32_t magic;
    struct os_loop *loop;
    int fd; /* from the start on it is libuv's to close */
    bool started, closing;
    bool ended; /* input() was told the end: nothing more is read */
    const struct os_sock_ops *ops;
    void *user;
    uv_tcp_t tcp;
    uv_write_t write;
    bool writing;
    char peer[ADDRESS_TEXT_BYTES], local[ADDRESS_TEXT_BYTES];
    /* while it moves to another loop */
    struct os_sock *next;
    void (*accept)(void *user, struct os_sock *s);
    void *accept_user;
};

static void sockaddr_text(const struct sockaddr *sa, char buf[ADDRESS_TEXT_BYTES])
{
    struct address a = {.is_v6 = sa->sa_family == AF_INET6};
    if (a.is_v6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;
        uv_ip6_name(in6, a.host, sizeof a.host);
        a.port = ntohs(in6->sin6_port);
    } else {
        const struct sockaddr_in *in = (const void *)sa;
        uv_ip4_name(in, a.host, sizeof a.host);
        a.port = ntohs(in->sin_port);
    }
    address_format(&a, buf);
}

struct os_sock *sock_new(struct os_loop *loop, int fd, const struct sockaddr *peer)
{
    struct os_sock *s = mem_zalloc(sizeof *s);
    struct sockaddr_storage local = {.ss_family = peer->sa_family};
    socklen_t len = sizeof local;
    int on = 1;
    s->magic = SOCK_MAGIC;
    s->loop = loop;
    s->fd = fd;
    getsockname(fd, (struct sockaddr *)&local, &len);
    sockaddr_text(peer, s->peer);
    sockaddr_text((struct sockaddr *)&local, s->local);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on,
               sizeof on); /* finds dead peers of protocols without heartbeat */
    return s;
}

static void sock_free(struct os_sock *s)
{
    s->magic = 0;
    mem_free(s);
}

static struct os_sock *sock_of(void *data)
{
    struct os_sock *s = data;
    assert(s->magic == SOCK_MAGIC);
    return s;
}

/* ---- reading ---- */

/* No room is told to libuv as an empty buffer, which it answers with UV_ENOBUFS. */
static void alloc_cb(uv_handle_t *h, size_t suggested, uv_buf_t *ret_buf)
{
    struct os_sock *s = sock_of(h->data);
    uint8_t *ptr = NULL;
    size_t len = 0;
    if (!s->closing)
        s->ops->room(s->user, &ptr, &len);
    if (s->closing)
        len = 0;
    *ret_buf = uv_buf_init((char *)ptr, len > INT32_MAX ? INT32_MAX : (unsigned)len);
}

static void read_cb(uv_stream_t *h, ssize_t n, const uv_buf_t *buf)
{
    struct os_sock *s = sock_of(h->data);
    s->loop->active = true;
    if (n == 0 || s->closing) /* 0 is EAGAIN */
        return;
    if (n < 0)
        uv_read_stop(h);
    if (n == UV_ENOBUFS)
        return;
    s->ended = n < 0;
    s->ops->input(s->user, n > 0 ? n : n == UV_EOF ? 0 : real_sock_err((int)n));
}

void os_sock_start(struct os_sock *s, const struct os_sock_ops *ops, void *user)
{
    assert(s->magic == SOCK_MAGIC && !s->started && s->fd >= 0);
    s->ops = ops;
    s->user = user;
    s->started = true;
    s->loop->open++;
    uv_tcp_init(&s->loop->uv, &s->tcp);
    s->tcp.data = s;
    int err = uv_tcp_open(&s->tcp, s->fd);
    assert(err == 0); /* a socket of accept4() is non-blocking, and its loop has no other with this number */
    (void)err;
    os_sock_read_start(s);
}

void os_sock_read_stop(struct os_sock *s)
{
    if (!s->closing)
        uv_read_stop((uv_stream_t *)&s->tcp);
}

void os_sock_read_start(struct os_sock *s)
{
    assert(s->magic == SOCK_MAGIC && s->started);
    if (!s->closing && !s->ended)
        uv_read_start((uv_stream_t *)&s->tcp, alloc_cb, read_cb); /* UV_EALREADY: it is on */
}

/* ---- writing ---- */

static void write_cb(uv_write_t *req, int status)
{
    struct os_sock *s = sock_of(req->data);
    s->writing = false;
    s->loop->active = true;
    if (!s->closing)
        s->ops->written(s->user, status ? real_sock_err(status) : 0);
}

/* Fills bufs with spans from byte `skip` on; returns how many were filled in. */
static unsigned fill_bufs(uv_buf_t *bufs, const struct span *spans, size_t count, size_t skip)
{
    unsigned n = 0;
    for (size_t i = 0; i < count; i++) {
        size_t used = skip < spans[i].len ? skip : spans[i].len;
        skip -= used;
        if (spans[i].len > used)
            bufs[n++] =
                uv_buf_init((char *)(uintptr_t)(spans[i].ptr + used), (unsigned)(spans[i].len - used));
    }
    return n;
}

/* What the socket takes at once, or a negative error of libuv's. By send(2): write(2) does the same by way of
 * the file layer, which costs a small message some percent. */
static ssize_t send_some(const struct os_sock *s, uv_buf_t *bufs, unsigned n)
{
    struct msghdr m = {.msg_iov = (struct iovec *)bufs, .msg_iovlen = n}; /* a uv_buf_t is an iovec on Unix */
    ssize_t sent;
    do
        sent = n == 1 ? send(s->fd, bufs->base, bufs->len, MSG_NOSIGNAL | MSG_DONTWAIT)
                      : sendmsg(s->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return sent;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : uv_translate_sys_error(errno);
}

int os_sock_write(struct os_sock *s, const struct span *spans, size_t count)
{
    uv_buf_t bufs[OS_SOCK_SPANS];
    assert(s->magic == SOCK_MAGIC && s->started && !s->closing && !s->writing && count <= OS_SOCK_SPANS);
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += spans[i].len;
    if (total == 0)
        return 1;
    unsigned n = fill_bufs(bufs, spans, count, 0);
    ssize_t sent = send_some(s, bufs, n);
    if (sent < 0)
        return real_sock_err((int)sent);
    if ((size_t)sent == total)
        return 1;
    n = fill_bufs(bufs, spans, count, (size_t)sent);
    s->write.data = s;
    int err = uv_write(&s->write, (uv_stream_t *)&s->tcp, bufs, n, write_cb);
    if (err)
        return real_sock_err(err);
    s->writing = true;
    return 0;
}

/* ---- the end ---- */

static void close_cb(uv_handle_t *h)
{
    struct os_sock *s = sock_of(h->data);
    s->loop->closing--;
    s->loop->active = true;
    s->ops->closed(s->user);
    sock_free(s);
}

void os_sock_close(struct os_sock *s)
{
    assert(s->magic == SOCK_MAGIC && !s->closing);
    if (!s->started) {
        close(s->fd);
        sock_free(s);
        return;
    }
    s->closing = true;
    s->loop->open--;
    s->loop->closing++;
    uv_close((uv_handle_t *)&s->tcp,
             close_cb); /* closes the descriptor at once: no byte is read or sent any more */
}

const char *os_sock_peer(const struct os_sock *s)
{
    return s->peer;
}

const char *os_sock_local(const struct os_sock *s)
{
    return s->local;
}

/* ---- from loop to loop ---- */

void os_sock_move(struct os_sock *s, struct os_loop *to, void (*accept)(void *user, struct os_sock *s),
                  void *user)
{
    assert(s->magic == SOCK_MAGIC && !s->started);
    s->loop = to;
    s->accept = accept;
    s->accept_user = user;
    struct os_sock *head = atomic_load(&to->moved);
    do
        s->next = head;
    while (!atomic_compare_exchange_weak(&to->moved, &head, s));
    os_loop_wake(to);
}

/* Oldest first. */
static struct os_sock *moved_take_all(struct os_loop *loop)
{
    struct os_sock *newest = atomic_exchange(&loop->moved, NULL), *first = NULL;
    while (newest) {
        struct os_sock *older = newest->next;
        newest->next = first;
        first = newest;
        newest = older;
    }
    return first;
}

void sock_take_moved(struct os_loop *loop)
{
    for (struct os_sock *s = moved_take_all(loop), *next; s; s = next) {
        next = s->next; /* accept() may close it */
        s->accept(s->accept_user, s);
    }
}

void sock_drop_moved(struct os_loop *loop)
{
    for (struct os_sock *s = moved_take_all(loop), *next; s; s = next) {
        next = s->next;
        os_sock_close(s);
    }
}
