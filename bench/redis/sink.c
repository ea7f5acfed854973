/* A broker that knows no more than this client: one epoll, one list of subscribers, no limits. What the
 * client can do against it is the most that it can measure; and it can be asked to make mistakes, which the
 * client must notice. */
#include "redis/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_WORDS = 8 };

struct word {
    const uint8_t *ptr;
    size_t size;
};

struct client {
    int fd;
    bool pushes; /* RESP3 */
    bool pattern;
    char topic[256]; /* "": it has not subscribed */
    struct out out;
    uint8_t *in;
    size_t in_size;
    struct client *next;
};

struct sink {
    const struct args *args;
    int epoll, listener;
    struct client *clients;
    uint64_t delivered, answered;
};

static void put_word(struct out *o, struct word w)
{
    put_bulk(o, w.ptr, w.size);
}

static void put_message(struct client *c, struct word channel, struct word payload)
{
    put_head(&c->out, c->pushes ? '>' : '*', c->pattern ? 4 : 3);
    put_bulk(&c->out, c->pattern ? "pmessage" : "message", c->pattern ? 8 : 7);
    if (c->pattern)
        put_bulk(&c->out, c->topic, strlen(c->topic));
    put_word(&c->out, channel);
    put_word(&c->out, payload);
}

static bool is_time(const struct args *a, uint64_t n, const char *how)
{
    return a->spoil > 0 && n % a->spoil == 0 && strcmp(a->spoil_how, how) == 0;
}

/* A number in the payload that is to come first: as if two had changed places. */
static void put_later(struct client *c, struct word channel, struct word payload)
{
    uint8_t bytes[STAMP_BYTES];
    memcpy(bytes, payload.ptr, sizeof(bytes));
    set64(bytes, get64(bytes) + 1);
    put_message(c, channel, (struct word){bytes, sizeof(bytes)});
    put_message(c, channel, payload);
}

static void deliver(struct sink *s, struct client *c, struct word channel, struct word payload)
{
    uint64_t n = ++s->delivered;
    if (is_time(s->args, n, "drop"))
        return;
    if (is_time(s->args, n, "swap")) {
        put_later(c, channel, payload);
        return;
    }
    put_message(c, channel, payload);
    if (is_time(s->args, n, "twice"))
        put_message(c, channel, payload);
    if (is_time(s->args, n, "damage"))
        c->out.ptr[c->out.end - 3] ^= 1;
}

static bool hears(const struct client *c, struct word channel)
{
    size_t n = strlen(c->topic);
    if (c->pattern) /* "x.*" */
        return n > 0 && channel.size >= n - 1 && memcmp(c->topic, channel.ptr, n - 1) == 0;
    return n > 0 && channel.size == n && memcmp(c->topic, channel.ptr, n) == 0;
}

static void publish(struct sink *s, struct client *from, struct word channel, struct word payload)
{
    uint64_t heard = 0;
    for (struct client *c = s->clients; c != NULL; c = c->next) {
        if (hears(c, channel)) {
            deliver(s, c, channel, payload);
            heard++;
        }
    }
    put_head(&from->out, ':', heard + is_time(s->args, ++s->answered, "answer"));
}

static bool is(struct word w, const char *text)
{
    return w.size == strlen(text) && strncasecmp((const char *)w.ptr, text, w.size) == 0;
}

static void on_command(struct sink *s, struct client *c, const struct word *words, uint64_t count)
{
    if (count == 3 && is(words[0], "publish")) {
        publish(s, c, words[1], words[2]);
    } else if (count == 2 && (is(words[0], "subscribe") || is(words[0], "psubscribe"))) {
        c->pattern = words[0].size == 10;
        snprintf(c->topic, sizeof(c->topic), "%.*s", (int)words[1].size, (const char *)words[1].ptr);
        put_head(&c->out, c->pushes ? '>' : '*', 3);
        put_word(&c->out, words[0]);
        put_word(&c->out, words[1]);
        put_head(&c->out, ':', 1);
    } else if (count == 2 && is(words[0], "hello")) {
        c->pushes = true;
        put_bytes(&c->out, "%1\r\n+proto\r\n:3\r\n", 16);
    } else if (count == 1 && is(words[0], "ping")) {
        put_bytes(&c->out, "+PONG\r\n", 7);
    } else {
        put_bytes(&c->out, "-ERR unknown command\r\n", 22);
    }
}

/* The words of a command that is whole. */
static uint64_t split(const uint8_t *bytes, size_t n, struct word *words)
{
    uint64_t count = 0, size;
    int64_t at = take_number(bytes, n, &count);
    for (uint64_t i = 0; i < count && i < MAX_WORDS; i++) {
        at += take_number(bytes + at, n - (size_t)at, &size);
        words[i] = (struct word){bytes + at, size};
        at += (int64_t)size + 2;
    }
    return count < MAX_WORDS ? count : MAX_WORDS;
}

static size_t take_commands(struct sink *s, struct client *c)
{
    struct word words[MAX_WORDS];
    size_t at = 0;
    while (at < c->in_size) {
        int64_t size = value_size(c->in + at, c->in_size - at);
        if (size < 0 || c->in[at] != '*')
            die("sink", "what came is no command");
        if (size == 0)
            break;
        on_command(s, c, words, split(c->in + at, (size_t)size, words));
        at += (size_t)size;
    }
    return at;
}

static void client_free(struct sink *s, struct client *c)
{
    struct client **at = &s->clients;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    close(c->fd);
    out_free(&c->out);
    free(c->in);
    free(c);
}

static void client_read(struct sink *s, struct client *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_size, 2 * INPUT_BYTES - c->in_size, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        client_free(s, c);
        return;
    }
    c->in_size += (size_t)n;
    size_t taken = take_commands(s, c);
    memmove(c->in, c->in + taken, c->in_size - taken);
    c->in_size -= taken;
}

static void client_accept(struct sink *s)
{
    struct client *c = calloc(1, sizeof(*c));
    int one = 1;
    if (c == NULL || (c->in = malloc(2 * INPUT_BYTES)) == NULL)
        die("sink", "no memory");
    c->fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (c->fd < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
        die("sink", strerror(errno));
    c->next = s->clients;
    s->clients = c;
}

/* Whoever does not read is tried again in the next round. */
static bool flush_all(struct sink *s)
{
    bool left = false;
    for (struct client *c = s->clients; c != NULL; c = c->next) {
        ssize_t n = 0;
        if (c->out.start < c->out.end)
            n = send(c->fd, c->out.ptr + c->out.start, c->out.end - c->out.start, MSG_NOSIGNAL);
        if (n > 0)
            c->out.start += (size_t)n;
        left = left || c->out.start < c->out.end;
    }
    return left;
}

static int open_listener(const char *broker)
{
    char host[64];
    const char *colon = strrchr(broker, ':');
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t size = sizeof(a);
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (colon == NULL || (size_t)(colon - broker) >= sizeof(host))
        die("broker", "is not HOST:PORT");
    snprintf(host, sizeof(host), "%.*s", (int)(colon - broker), broker);
    a.sin_port = htons((uint16_t)atoi(colon + 1));
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1 || bind(s, (struct sockaddr *)&a, sizeof(a)) != 0 ||
        listen(s, 512) != 0 || getsockname(s, (struct sockaddr *)&a, &size) != 0)
        die(broker, "cannot listen");
    printf("{\"port\":%u}\n", ntohs(a.sin_port));
    fflush(stdout);
    return s;
}

int sink_run(const struct args *args)
{
    struct sink s = {.args = args, .epoll = epoll_create1(0), .listener = open_listener(args->broker)};
    struct epoll_event events[128], e = {.events = EPOLLIN, .data.ptr = NULL};
    bool left = false;
    if (s.epoll < 0 || epoll_ctl(s.epoll, EPOLL_CTL_ADD, s.listener, &e) != 0)
        die("sink", strerror(errno));
    for (;;) {
        int n = epoll_wait(s.epoll, events, 128, left ? 1 : -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                client_accept(&s);
            else
                client_read(&s, events[i].data.ptr);
        }
        left = flush_all(&s);
    }
}
