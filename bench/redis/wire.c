#include "redis/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void die(const char *what, const char *why)
{
    fprintf(stderr, "redis_load: %s: %s\n", what, why);
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

double process_cpu_seconds(int pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return 0;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int dial(const char *broker)
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

uint8_t *out_room(struct out *o, size_t n)
{
    if (o->start == o->end)
        o->start = o->end = 0;
    if (o->cap - o->end < n && o->start > 0) {
        memmove(o->ptr, o->ptr + o->start, o->end - o->start);
        o->end -= o->start;
        o->start = 0;
    }
    if (o->cap - o->end < n) {
        o->cap = (o->end + n) * 2;
        o->ptr = realloc(o->ptr, o->cap);
        if (o->ptr == NULL)
            die("output", "no memory");
    }
    return o->ptr + o->end;
}

void out_free(struct out *o)
{
    free(o->ptr);
    *o = (struct out){0};
}

void put_bytes(struct out *o, const void *bytes, size_t n)
{
    if (n > 0)
        memcpy(out_room(o, n), bytes, n);
    o->end += n;
}

void put_head(struct out *o, char type, uint64_t n)
{
    o->end += (size_t)sprintf((char *)out_room(o, 32), "%c%llu\r\n", type, (unsigned long long)n);
}

void put_bulk(struct out *o, const void *bytes, size_t n)
{
    put_head(o, '$', n);
    put_bytes(o, bytes, n);
    put_bytes(o, "\r\n", 2);
}

void put_command(struct out *o, const char *const *words, int n)
{
    put_head(o, '*', (uint64_t)n);
    for (int i = 0; i < n; i++)
        put_bulk(o, words[i], strlen(words[i]));
}

int64_t take_number(const uint8_t *bytes, size_t n, uint64_t *ret)
{
    uint64_t v = 0;
    size_t at = 1;
    for (; at < n && bytes[at] >= '0' && bytes[at] <= '9' && at < 20; at++)
        v = v * 10 + (bytes[at] - '0');
    if (n < at + 2)
        return at < n && bytes[at] != '\r' ? -1 : 0;
    if (at == 1 || bytes[at] != '\r' || bytes[at + 1] != '\n')
        return -1;
    *ret = v;
    return (int64_t)at + 2;
}

static int64_t line_size(const uint8_t *bytes, size_t n)
{
    const uint8_t *end = memchr(bytes, '\n', n);
    return end ? end - bytes + 1 : 0;
}

/* How many values stand behind the head of one. */
static uint64_t parts_of(uint8_t type, uint64_t count)
{
    if (type == '%' || type == '|')
        return 2 * count;
    return type == '*' || type == '~' || type == '>' ? count : 0;
}

/* The bytes of a value without the values that it holds, which are *ret_parts. */
static int64_t head_size(const uint8_t *bytes, size_t n, uint64_t *ret_parts)
{
    uint64_t count = 0;
    int64_t head = line_size(bytes, n);
    *ret_parts = 0;
    if (strchr("+-:_#,($*=!~>%|", bytes[0]) == NULL || bytes[0] == 0)
        return -1;
    if (head == 0 || strchr("+-:_#,(", bytes[0]) != NULL || bytes[1] == '-') /* a line; null */
        return head;
    if (take_number(bytes, n, &count) < 0)
        return -1;
    if (strchr("$=!", bytes[0]) != NULL)
        return count <= n && head + (int64_t)count + 2 <= (int64_t)n ? head + (int64_t)count + 2 : 0;
    *ret_parts = parts_of(bytes[0], count);
    return head;
}

int64_t value_size(const uint8_t *bytes, size_t n)
{
    size_t at = 0;
    for (uint64_t left = 1, parts; left > 0; left += parts - 1) {
        int64_t size = at < n ? head_size(bytes + at, n - at, &parts) : 0;
        if (size <= 0)
            return size;
        at += (size_t)size;
    }
    return (int64_t)at;
}
