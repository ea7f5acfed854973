#include "amqp/load.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int dial(const char *broker)
{
    char host[256];
    const char *colon = strrchr(broker, ':');
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *address;
    if (colon == NULL || (size_t)(colon - broker) >= sizeof(host))
        die("broker", "is not HOST:PORT");
    snprintf(host, sizeof(host), "%.*s", (int)(colon - broker), broker);
    if (getaddrinfo(host, colon + 1, &hints, &address) != 0)
        die(broker, "no such host");
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (s < 0 || connect(s, address->ai_addr, address->ai_addrlen) != 0)
        die(broker, strerror(errno));
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    fcntl(s, F_SETFL, O_NONBLOCK);
    freeaddrinfo(address);
    return s;
}

static void put_start_ok(const struct args *a, struct out *o)
{
    char plain[512];
    int n = snprintf(plain, sizeof(plain), "%c%s%c%s", 0, a->user, 0, a->password);
    size_t at = method_begin(o, 0, CONNECTION_START_OK);
    put_table(o, "product=amqp_load");
    put_short(o, "PLAIN");
    put_long(o, plain, (size_t)n);
    put_short(o, "en_US");
    frame_end(o, at);
}

/* All of it at once: what the server says in between is known, but for its limits, which are checked when
 * they come. */
static void put_handshake(const struct args *a, struct peer *p)
{
    struct out *o = &p->out;
    put_bytes(o, "AMQP\0\0\x09\x01", 8);
    put_start_ok(a, o);
    size_t at = method_begin(o, 0, CONNECTION_TUNE_OK);
    put16(o, 2047);
    put32(o, FRAME_MAX);
    put16(o, 0); /* no heartbeats */
    frame_end(o, at);
    at = method_begin(o, 0, CONNECTION_OPEN);
    put_short(o, a->vhost);
    put16(o, 0);
    frame_end(o, at);
    for (uint32_t i = 0; i < p->channel_count; i++) {
        at = method_begin(o, p->channels[i].id, CHANNEL_OPEN);
        put8(o, 0);
        frame_end(o, at);
    }
    p->waiting = 1 + p->channel_count;
}

struct peer *peer_open(struct load *l, uint32_t channels)
{
    struct peer *p = calloc(1, sizeof(*p));
    l->peers = realloc(l->peers, (l->peer_count + 1) * sizeof(*l->peers));
    if (p == NULL || l->peers == NULL)
        die("connection", "no memory");
    p->channels = calloc(channels, sizeof(*p->channels));
    p->in = malloc(l->args.mode == MODE_IDLE ? 4096 : INPUT_BYTES);
    if (p->channels == NULL || p->in == NULL)
        die("connection", "no memory");
    for (uint32_t i = 0; i < channels; i++)
        p->channels[i].id = (uint16_t)(i + 1);
    p->channel_count = channels;
    p->fd = dial(l->args.broker);
    p->writable = true;
    l->peers[l->peer_count++] = p;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, p->fd, &e) != 0)
        die("epoll", strerror(errno));
    put_handshake(&l->args, p);
    peer_flush(l, p);
    return p;
}

void peer_free(struct load *l, struct peer *p)
{
    (void)l;
    close(p->fd);
    out_free(&p->out);
    for (uint32_t i = 0; i < p->channel_count; i++)
        free(p->channels[i].pub.due);
    free(p->channels);
    free(p->in);
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
    p->writable = o->start == o->end;
    want_output(l, p, !p->writable);
}

static _Noreturn void die_of_close(const char *what, const uint8_t *body, uint32_t size)
{
    char text[300];
    uint32_t n = size >= 3 ? body[2] : 0;
    snprintf(text, sizeof(text), "%u %.*s", size >= 2 ? get16(body) : 0, n <= size - 3 ? (int)n : 0,
             body + 3);
    die(what, text);
}

static void check_tune(const uint8_t *body, uint32_t size)
{
    uint32_t frame_max = size >= 6 ? get32(body + 2) : 0;
    if (frame_max != 0 && frame_max < FRAME_MAX)
        die("tune", "the broker's frames are smaller than this client's");
}

static void on_method(struct load *l, struct peer *p, struct channel *c, const uint8_t *payload,
                      uint32_t size)
{
    const uint8_t *body = payload + 4;
    uint32_t left = size - 4;
    switch (get32(payload)) {
    case BASIC_DELIVER:
        consume_deliver(l, c, body, left);
        return;
    case BASIC_ACK:
    case BASIC_NACK:
        publish_confirmed(l, c, get64(body), body[8] & 1, get32(payload) == BASIC_NACK);
        return;
    case BASIC_RETURN:
        l->now.returned++;
        return;
    case CONNECTION_START:
        return;
    case CONNECTION_TUNE:
        check_tune(body, left);
        return;
    case CONNECTION_BLOCKED:
    case CONNECTION_UNBLOCKED:
        p->blocked = get32(payload) == CONNECTION_BLOCKED;
        return;
    case CONNECTION_CLOSE:
        die_of_close("the broker closed the connection", body, left);
    case CHANNEL_CLOSE:
        die_of_close("the broker closed the channel", body, left);
    case BASIC_CANCEL:
        die("consumer", "cancelled by the broker");
    case QUEUE_DECLARE_OK:
        p->last_count = get32(body + 1 + body[0]);
        break;
    default:
        break;
    }
    if (p->waiting == 0)
        die("method", "a reply that nobody waits for");
    p->waiting--;
}

static void on_frame(struct load *l, struct peer *p, const uint8_t *frame, uint32_t size)
{
    uint32_t channel = get16(frame + 1);
    struct channel *c = channel > 0 && channel <= p->channel_count ? &p->channels[channel - 1] : NULL;
    if (frame[7 + size] != FRAME_END || (channel > 0 && c == NULL))
        die("frame", "damaged");
    if (frame[0] == FRAME_METHOD && size >= 4)
        on_method(l, p, c, frame + 7, size);
    else if (frame[0] == FRAME_HEADER && c != NULL)
        consume_header(l, p, c, frame + 7, size);
    else if (frame[0] == FRAME_BODY && c != NULL)
        consume_body(l, p, c, frame + 7, size);
    else if (frame[0] != FRAME_HEARTBEAT)
        die("frame", "of no known type");
}

static void take_frames(struct load *l, struct peer *p)
{
    while (p->in_end - p->in_start >= FRAME_EXTRA) {
        const uint8_t *frame = p->in + p->in_start;
        uint32_t size = get32(frame + 3);
        if (memcmp(frame, "AMQP", 4) == 0)
            die("protocol header", "refused");
        if (size > FRAME_MAX)
            die("frame", "larger than agreed");
        if (p->in_end - p->in_start < size + FRAME_EXTRA)
            break;
        on_frame(l, p, frame, size);
        p->in_start += size + FRAME_EXTRA;
    }
}

void peer_read(struct load *l, struct peer *p)
{
    size_t cap = l->args.mode == MODE_IDLE ? 4096 : INPUT_BYTES;
    if (p->in_start > 0) {
        memmove(p->in, p->in + p->in_start, p->in_end - p->in_start);
        p->in_end -= p->in_start;
        p->in_start = 0;
    }
    ssize_t n = recv(p->fd, p->in + p->in_end, cap - p->in_end, 0);
    if (n == 0 && p->closing && p->waiting == 0)
        epoll_ctl(l->epoll, EPOLL_CTL_DEL, p->fd, NULL);
    else if (n == 0)
        die("connection", "ended by the broker");
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        die("receive", strerror(errno));
    if (n <= 0)
        return;
    p->in_end += (size_t)n;
    l->read_ns = now_ns();
    take_frames(l, p);
}

void load_poll(struct load *l, int64_t timeout_ns)
{
    struct epoll_event events[128];
    struct timespec wait = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    int n = epoll_pwait2(l->epoll, events, 128, timeout_ns < 0 ? NULL : &wait, NULL);
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

void load_settle(struct load *l)
{
    uint64_t limit = now_ns() + 300 * (uint64_t)1000000000;
    for (uint32_t i = 0; i < l->peer_count; i++) {
        while (l->peers[i]->waiting > 0 || l->peers[i]->out.start < l->peers[i]->out.end) {
            peer_flush(l, l->peers[i]);
            load_poll(l, 100000000);
            if (now_ns() > limit)
                die("setup", "no reply in 300 s");
        }
    }
}
