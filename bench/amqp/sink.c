/* A broker without a queue: it says yes to everything, counts and drops what is published, confirms each
 * piece of input at once, and delivers to a consumer as fast as the socket takes it. What the load client can
 * do against it is the most that it can measure. */
#include "amqp/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SINK_INPUT = 1 << 20, SINK_OUTPUT = 128 << 10 };

struct sink {
    int fd;
    const struct args *args;
    struct out out;
    uint64_t published, confirmed; /* of one channel, which is enough here */
    uint16_t publishes_on, consumes_on;
    bool confirms, closed;
    char tag[256];
};

static void reply(struct sink *s, uint16_t channel, enum amqp_method method)
{
    size_t at = method_begin(&s->out, channel, method);
    switch (method) {
    case CONNECTION_START:
        put16(&s->out, 9);
        put_table(&s->out, NULL);
        put_long(&s->out, "PLAIN", 5);
        put_long(&s->out, "en_US", 5);
        break;
    case CONNECTION_TUNE:
        put16(&s->out, 2047);
        put32(&s->out, FRAME_MAX);
        put16(&s->out, 0);
        break;
    case QUEUE_DECLARE_OK:
        put_short(&s->out, "");
        put64(&s->out, 0);
        break;
    case BASIC_CONSUME_OK:
        put_short(&s->out, s->tag);
        break;
    case CHANNEL_OPEN_OK:
        put32(&s->out, 0);
        break;
    case CONNECTION_OPEN_OK:
        put8(&s->out, 0);
        break;
    case QUEUE_DELETE_OK:
        put32(&s->out, 0);
        break;
    default:
        break;
    }
    frame_end(&s->out, at);
}

static void on_sink_method(struct sink *s, uint16_t channel, const uint8_t *payload)
{
    static const struct {
        enum amqp_method method, reply;
    } replies[] = {
        {CONNECTION_START_OK, CONNECTION_TUNE},  {CONNECTION_OPEN, CONNECTION_OPEN_OK},
        {CHANNEL_OPEN, CHANNEL_OPEN_OK},         {EXCHANGE_DECLARE, EXCHANGE_DECLARE_OK},
        {QUEUE_DECLARE, QUEUE_DECLARE_OK},       {QUEUE_BIND, QUEUE_BIND_OK},
        {QUEUE_DELETE, QUEUE_DELETE_OK},         {BASIC_QOS, BASIC_QOS_OK},
        {BASIC_CONSUME, BASIC_CONSUME_OK},       {CONFIRM_SELECT, CONFIRM_SELECT_OK},
        {CONNECTION_CLOSE, CONNECTION_CLOSE_OK}, {EXCHANGE_DELETE, EXCHANGE_DELETE_OK},
    };
    uint32_t method = get32(payload);
    if (method == BASIC_PUBLISH) {
        s->published++;
        s->publishes_on = channel;
        return;
    }
    if (method == BASIC_CONSUME) {
        s->consumes_on = channel;
        const uint8_t *tag = payload + 7 + payload[6];
        memcpy(s->tag, tag + 1, *tag);
        s->tag[*tag] = '\0';
    }
    s->confirms = s->confirms || method == CONFIRM_SELECT;
    s->closed = s->closed || method == CONNECTION_CLOSE;
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        if (replies[i].method == method)
            reply(s, channel, replies[i].reply);
    }
}

/* Returns how many of the bytes were whole frames. */
static size_t take(struct sink *s, const uint8_t *bytes, size_t n)
{
    size_t at = 0;
    while (n - at >= FRAME_EXTRA) {
        if (memcmp(bytes + at, "AMQP", 4) == 0) {
            reply(s, 0, CONNECTION_START);
            at += 8;
            continue;
        }
        uint32_t size = get32(bytes + at + 3);
        if (size > FRAME_MAX || n - at < size + FRAME_EXTRA)
            break;
        if (bytes[at] == FRAME_METHOD)
            on_sink_method(s, get16(bytes + at + 1), bytes + at + 7);
        at += size + FRAME_EXTRA;
    }
    if (s->confirms && s->published > s->confirmed) {
        size_t frame = method_begin(&s->out, s->publishes_on, BASIC_ACK);
        put64(&s->out, s->published);
        put8(&s->out, 1);
        frame_end(&s->out, frame);
        s->confirmed = s->published;
    }
    return at;
}

static void put_delivery(struct sink *s, uint64_t tag)
{
    struct out *o = &s->out;
    size_t at = method_begin(o, s->consumes_on, BASIC_DELIVER);
    put_short(o, s->tag);
    put64(o, tag);
    put8(o, 0);
    put_short(o, "");
    put_short(o, "load-0");
    frame_end(o, at);
    at = frame_begin(o, FRAME_HEADER, s->consumes_on);
    put32(o, 60 << 16);
    put64(o, s->args->size);
    put16(o, 0);
    frame_end(o, at);
    for (uint32_t done = 0; done < s->args->size;) {
        uint32_t n =
            s->args->size - done < FRAME_MAX - FRAME_EXTRA ? s->args->size - done : FRAME_MAX - FRAME_EXTRA;
        at = frame_begin(o, FRAME_BODY, s->consumes_on);
        memset(out_room(o, n), 0, n);
        o->end += n;
        frame_end(o, at);
        done += n;
    }
}

static bool send_all(struct sink *s)
{
    while (s->out.start < s->out.end) {
        ssize_t n = send(s->fd, s->out.ptr + s->out.start, s->out.end - s->out.start, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        s->out.start += (size_t)n;
    }
    return true;
}

/* The same bytes again and again: delivery tags repeat, which a client without acknowledgements does not see.
 * Looks for input between two pieces. */
static bool deliver(struct sink *s)
{
    char byte;
    while (s->out.end - s->out.start < SINK_OUTPUT)
        put_delivery(s, 1);
    size_t begin = s->out.start;
    while (recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0) {
        s->out.start = begin;
        if (!send_all(s))
            return false;
    }
    s->out.start = s->out.end = 0;
    return true;
}

static void *serve(void *arg)
{
    struct sink *s = arg;
    uint8_t *in = malloc(SINK_INPUT);
    size_t end = 0;
    for (ssize_t n; in != NULL && (n = recv(s->fd, in + end, SINK_INPUT - end, 0)) > 0;) {
        end += (size_t)n;
        size_t used = take(s, in, end);
        memmove(in, in + used, end - used);
        end -= used;
        if (!send_all(s) || s->closed)
            break;
        if (s->consumes_on != 0 && !deliver(s))
            break;
    }
    close(s->fd);
    free(in);
    out_free(&s->out);
    free(s);
    return NULL;
}

static int listen_on(const char *broker)
{
    const char *colon = strrchr(broker, ':');
    int port = colon != NULL ? atoi(colon + 1) : 0, one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 1024) != 0)
        die("sink", strerror(errno));
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("{\"port\":%u}\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int sink_run(const struct args *args)
{
    int listener = listen_on(args->broker);
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
        struct sink *s = calloc(1, sizeof(*s));
        pthread_t thread;
        int one = 1;
        if (s == NULL)
            die("sink", "no memory");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        s->fd = fd;
        s->args = args;
        if (pthread_create(&thread, NULL, serve, s) != 0)
            die("sink", "cannot start a thread");
        pthread_detach(thread);
    }
    return 0;
}
