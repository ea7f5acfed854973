#include "redis/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct peer *peer_open(struct load *l)
{
    struct peer *p = calloc(1, sizeof(*p));
    if (p == NULL)
        die("connection", "no memory");
    p->fd = dial(l->args.broker);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, p->fd, &e) != 0)
        die("epoll", strerror(errno));
    return p;
}

void peer_free(struct peer *p)
{
    close(p->fd);
    out_free(&p->out);
    free(p->left);
    free(p->due);
    free(p->next);
    free(p);
}

static void want_output(struct load *l, struct peer *p, bool want)
{
    if (p->want_out == want)
        return;
    p->want_out = want;
    struct epoll_event e = {.events = EPOLLIN | (want ? EPOLLOUT : 0u), .data.ptr = p};
    epoll_ctl(l->epoll, EPOLL_CTL_MOD, p->fd, &e);
}

void peer_flush(struct load *l, struct peer *p)
{
    struct out *o = &p->out;
    while (o->start < o->end) {
        ssize_t n = send(p->fd, o->ptr + o->start, o->end - o->start, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            die("send", strerror(errno));
        if (n < 0)
            break;
        o->start += (size_t)n;
    }
    want_output(l, p, o->start < o->end);
}

/* Answers while setting up: any value will do but an error. */
static size_t take_setup(struct peer *p, const uint8_t *bytes, size_t n)
{
    size_t at = 0;
    while (p->waiting > 0) {
        int64_t size = value_size(bytes + at, n - at);
        if (size < 0)
            die("answer", "is no RESP");
        if (size == 0)
            return at;
        if (bytes[at] == '-') {
            char text[200];
            snprintf(text, sizeof(text), "%.*s", (int)size - 3, bytes + at + 1);
            die("the broker says", text);
        }
        at += (size_t)size;
        p->waiting--;
    }
    p->ready = true;
    return at;
}

static size_t take(struct load *l, struct peer *p, const uint8_t *bytes, size_t n)
{
    size_t at = p->ready ? 0 : take_setup(p, bytes, n);
    if (!p->ready)
        return at;
    if (p->publishes)
        return at + publish_answers(l, p, bytes + at, n - at);
    return at + subscribe_messages(l, p, bytes + at, n - at);
}

static void keep(struct peer *p, const uint8_t *bytes, size_t n)
{
    if (n > p->left_cap) {
        p->left_cap = 2 * n;
        p->left = realloc(p->left, p->left_cap);
        if (p->left == NULL)
            die("input", "no memory");
    }
    if (n > 0)
        memcpy(p->left, bytes, n);
    p->left_size = n;
}

static void peer_read(struct load *l, struct peer *p)
{
    if (p->left_size > INPUT_BYTES)
        die("input", "has no end");
    if (p->left_size > 0)
        memcpy(l->input, p->left, p->left_size);
    ssize_t n = recv(p->fd, l->input + p->left_size, INPUT_BYTES, 0);
    if (n == 0)
        die("connection",
            p->publishes ? "of a publisher, ended by the broker" : "of a subscriber, ended by the broker");
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        die("receive", strerror(errno));
    if (n <= 0)
        return;
    size_t size = p->left_size + (size_t)n;
    l->read_ns = now_ns();
    size_t taken = take(l, p, l->input, size);
    keep(p, l->input + taken, size - taken);
}

void load_poll(struct load *l, int64_t timeout_ns)
{
    struct epoll_event events[512];
    struct timespec wait = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    int n = epoll_pwait2(l->epoll, events, 512, timeout_ns < 0 ? NULL : &wait, NULL);
    if (n < 0 && errno != EINTR)
        die("epoll", strerror(errno));
    for (int i = 0; i < n; i++) {
        struct peer *p = events[i].data.ptr;
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            peer_read(l, p);
        if (p->out.start < p->out.end)
            peer_flush(l, p);
    }
}

void peer_settle(struct load *l, struct peer *p)
{
    uint64_t limit = now_ns() + 60 * (uint64_t)1000000000;
    peer_flush(l, p);
    while (!p->ready) {
        load_poll(l, 100000000);
        if (now_ns() > limit)
            die("setup", "no answer in 60 s");
    }
}
