/* Listeners. They accept by themselves on a polled descriptor rather than by uv_listen(), for one reason:
 * when descriptors have run out, a level-triggered loop must neither spin nor stop listening. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "os/real/real.h"

enum {
    ACCEPTS_PER_ROUND = 64, /* so that a storm of connections does not hold up those that are there */
    RETRY_MS = 50,          /* how long nothing is accepted when even the reserve is gone */
};

struct os_listener {
    uint32_t magic;
    struct os_loop *loop;
    int fd;
    int reserve; /* a descriptor to give up, so that a connection that cannot be kept can be refused; or -1 */
    bool closing;
    unsigned handles; /* of libuv, not yet closed */
    uv_poll_t poll;
    uv_timer_t retry;
    void (*accept)(void *user, struct os_sock *s);
    void *user;
    char address[ADDRESS_TEXT_BYTES];
};

static struct os_listener *listener_of(void *data)
{
    struct os_listener *l = data;
    assert(l->magic == LISTENER_MAGIC);
    return l;
}

static int reserve_open(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void poll_cb(uv_poll_t *h, int status, int events);

static void retry_cb(uv_timer_t *h)
{
    struct os_listener *l = listener_of(h->data);
    if (l->reserve < 0)
        l->reserve = reserve_open();
    uv_poll_start(&l->poll, UV_READABLE, poll_cb);
}

static void pause_accepting(struct os_listener *l)
{
    uv_poll_stop(&l->poll);
    uv_timer_start(&l->retry, retry_cb, RETRY_MS, 0);
}

/* Out of descriptors: accepts one connection with the reserve and closes it, so that its client learns of it
 * and the poll does not report it for ever. False: there is nothing to do this with. */
static bool refuse_one(struct os_listener *l)
{
    if (l->reserve < 0)
        return false;
    close(l->reserve);
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    l->reserve = reserve_open();
    return fd >= 0 && l->reserve >= 0;
}

/* What to do after a failed accept: true to try the next one in this round. */
static bool accept_failed(struct os_listener *l, int errnum)
{
    switch (errnum) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
        if (refuse_one(l))
            return true;
        pause_accepting(l);
        return false;
    case ENOBUFS:
    case ENOMEM:
        pause_accepting(l);
        return false;
    default: /* the errors of a connection that ended before we came: accept(2), "Error handling" */
        return true;
    }
}

static void poll_cb(uv_poll_t *h, int status, int events)
{
    struct os_listener *l = listener_of(h->data);
    l->loop->active = true;
    for (int i = 0; i < ACCEPTS_PER_ROUND && !l->closing; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        int fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            l->accept(l->user, sock_new(l->loop, fd, (struct sockaddr *)&peer));
        else if (!accept_failed(l, errno))
            break;
    }
}

/* ---- opening ---- */

static void to_sockaddr(const struct address *a, struct sockaddr_storage *ret_sa, socklen_t *ret_len)
{
    if (a->is_v6) {
        uv_ip6_addr(a->host, a->port, (struct sockaddr_in6 *)ret_sa);
        *ret_len = sizeof(struct sockaddr_in6);
    } else {
        uv_ip4_addr(a->host, a->port, (struct sockaddr_in *)ret_sa);
        *ret_len = sizeof(struct sockaddr_in);
    }
}

/* A bound and listening descriptor; `a` gets the real port. */
static int listen_fd(struct address *a, int backlog)
{
    struct sockaddr_storage sa;
    socklen_t len;
    int on = 1;
    to_sockaddr(a, &sa, &len);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return real_sock_err(-errno);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* a restart finds connections in TIME_WAIT */
    if (bind(fd, (struct sockaddr *)&sa, len) || listen(fd, backlog) ||
        getsockname(fd, (struct sockaddr *)&sa, &len)) {
        int err = real_sock_err(-errno);
        close(fd);
        return err;
    }
    a->port =
        ntohs(a->is_v6 ? ((struct sockaddr_in6 *)&sa)->sin6_port : ((struct sockaddr_in *)&sa)->sin_port);
    return fd;
}

/* libuv refuses only descriptors that epoll cannot watch, or that this loop has already: neither can be. */
static void listener_poll(struct os_listener *l)
{
    int err = uv_poll_init(&l->loop->uv, &l->poll, l->fd);
    assert(err == 0);
    uv_timer_init(&l->loop->uv, &l->retry);
    l->poll.data = l->retry.data = l;
    l->handles = 2;
    l->loop->open++;
    err = uv_poll_start(&l->poll, UV_READABLE, poll_cb);
    assert(err == 0);
    (void)err;
}

int os_listen(struct os_loop *loop, const char *address, int backlog,
              void (*accept)(void *user, struct os_sock *s), void *user, struct os_listener **ret_listener)
{
    struct address a;
    int err = address_parse(address, &a);
    if (err)
        return err;
    int fd = listen_fd(&a, backlog);
    if (fd < 0)
        return fd;
    struct os_listener *l = mem_zalloc(sizeof *l);
    l->magic = LISTENER_MAGIC;
    l->loop = loop;
    l->fd = fd;
    l->reserve = reserve_open();
    l->accept = accept;
    l->user = user;
    address_format(&a, l->address);
    listener_poll(l);
    *ret_listener = l;
    return 0;
}

const char *os_listener_address(const struct os_listener *l)
{
    return l->address;
}

static void close_cb(uv_handle_t *h)
{
    struct os_listener *l = listener_of(h->data);
    l->loop->closing--;
    if (--l->handles > 0)
        return;
    l->magic = 0;
    mem_free(l);
}

void os_listener_close(struct os_listener *l)
{
    assert(l->magic == LISTENER_MAGIC && !l->closing);
    l->closing = true;
    l->loop->open--;
    l->loop->closing += l->handles;
    uv_close((uv_handle_t *)&l->poll, close_cb);
    uv_close((uv_handle_t *)&l->retry, close_cb);
    close(l->fd);
    if (l->reserve >= 0)
        close(l->reserve);
}
