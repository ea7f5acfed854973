#include "bare/wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

void wire_die(const char *what, const char *why)
{
    fprintf(stderr, "bare: %s: %s\n", what, why);
    _exit(1);
}

uint64_t wire_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint8_t *room(struct wire *w, size_t n)
{
    if (n > w->size - w->at)
        wire_die("message", "shorter than its fields");
    w->at += n;
    return w->bytes + w->at - n;
}

static void put(struct wire *w, uint64_t v, int bytes)
{
    uint8_t *to = room(w, (size_t)bytes);
    for (int i = 0; i < bytes; i++)
        to[i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
}

static uint64_t get(struct wire *w, int bytes)
{
    const uint8_t *from = room(w, (size_t)bytes);
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | from[i];
    return v;
}

void put_i8(struct wire *w, int8_t v)
{
    put(w, (uint64_t)v, 1);
}

void put_i16(struct wire *w, int16_t v)
{
    put(w, (uint64_t)v, 2);
}

void put_i32(struct wire *w, int32_t v)
{
    put(w, (uint64_t)v, 4);
}

void put_i64(struct wire *w, int64_t v)
{
    put(w, (uint64_t)v, 8);
}

void put_varint(struct wire *w, int64_t v)
{
    uint64_t z = (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
    for (; z >= 0x80; z >>= 7)
        put(w, z | 0x80, 1);
    put(w, z, 1);
}

void put_text(struct wire *w, const char *text)
{
    size_t n = strlen(text);
    put_i16(w, (int16_t)n);
    memcpy(room(w, n), text, n);
}

int16_t get_i16(struct wire *w)
{
    return (int16_t)get(w, 2);
}

int32_t get_i32(struct wire *w)
{
    return (int32_t)get(w, 4);
}

int64_t get_i64(struct wire *w)
{
    return (int64_t)get(w, 8);
}

void skip(struct wire *w, size_t n)
{
    room(w, n);
}

void skip_text(struct wire *w)
{
    int16_t n = get_i16(w);
    skip(w, n > 0 ? (size_t)n : 0);
}

void wire_begin(struct wire *w, int16_t api, int16_t version, int32_t correlation)
{
    w->at = 0;
    put_i32(w, 0);
    put_i16(w, api);
    put_i16(w, version);
    put_i32(w, correlation);
    put_text(w, "bare");
}

void wire_end(struct wire *w, size_t more)
{
    struct wire length = {w->bytes, 4, 0};
    put_i32(&length, (int32_t)(w->at - 4 + more));
}

int wire_connect(const char *broker)
{
    char host[256];
    const char *colon = strrchr(broker, ':');
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *address;
    if (colon == NULL || (size_t)(colon - broker) >= sizeof(host))
        wire_die("broker", "is not host:port");
    snprintf(host, sizeof(host), "%.*s", (int)(colon - broker), broker);
    if (getaddrinfo(host, colon + 1, &hints, &address) != 0)
        wire_die(broker, "no such host");
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (s < 0 || connect(s, address->ai_addr, address->ai_addrlen) != 0)
        wire_die(broker, strerror(errno));
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    freeaddrinfo(address);
    return s;
}

void wire_send(int s, const void *bytes, size_t n, const void *more, size_t more_n)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)bytes, n}, {(void *)(uintptr_t)more, more_n}};
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};
    while (parts[0].iov_len + parts[1].iov_len > 0) {
        ssize_t sent = sendmsg(s, &m, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            wire_die("send", strerror(errno));
        for (int i = 0; i < 2; i++) {
            size_t gone = (size_t)sent < parts[i].iov_len ? (size_t)sent : parts[i].iov_len;
            if (gone > 0) /* `more` may be NULL */
                parts[i].iov_base = (uint8_t *)parts[i].iov_base + gone;
            parts[i].iov_len -= gone;
            sent -= (ssize_t)gone;
        }
    }
}

static void receive_all(int s, uint8_t *to, size_t n)
{
    while (n > 0) {
        ssize_t got = recv(s, to, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            wire_die("receive", got < 0 ? strerror(errno) : "the broker closed the connection");
        to += got;
        n -= (size_t)got;
    }
}

struct wire wire_receive(int s, uint8_t *to, size_t room_bytes, int32_t correlation)
{
    uint8_t prefix[4];
    receive_all(s, prefix, sizeof(prefix));
    int32_t length = get_i32(&(struct wire){prefix, sizeof(prefix), 0});
    if (length < 4 || (size_t)length > room_bytes)
        wire_die("receive", "a response of impossible length");
    receive_all(s, to, (size_t)length);
    struct wire w = {to, (size_t)length, 0};
    if (get_i32(&w) != correlation)
        wire_die("receive", "a response out of order");
    return w;
}

/* CRC-32C, a bit at a time: it is done once per run. */
static uint32_t crc32c(const uint8_t *bytes, size_t n)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78u & -(crc & 1));
    }
    return ~crc;
}

static void put_record(struct wire *w, uint32_t number, uint32_t size)
{
    uint8_t scratch[32];
    struct wire head = {scratch, sizeof(scratch), 0};
    put_i8(&head, 0);          /* attributes */
    put_varint(&head, 0);      /* timestamp delta */
    put_varint(&head, number); /* offset delta */
    put_varint(&head, -1);     /* no key */
    put_varint(&head, size);
    put_varint(w, (int64_t)(head.at + size + 1));
    memcpy(room(w, head.at), scratch, head.at);
    uint8_t *value = room(w, size);
    for (uint32_t i = 0; i < size; i++)
        value[i] = (uint8_t)(' ' + (number * 31 + i * i) % 64);
    put_varint(w, 0); /* headers */
}

uint8_t *wire_batch(uint32_t records, uint32_t size, size_t *ret_bytes)
{
    struct timespec now;
    struct wire w = {.size = 61 + (size_t)records * (size + 32)};
    w.bytes = malloc(w.size);
    if (w.bytes == NULL)
        wire_die("batch", "no memory");
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    put_i64(&w, 0);  /* base offset */
    put_i32(&w, 0);  /* length, below */
    put_i32(&w, -1); /* leader epoch */
    put_i8(&w, 2);   /* magic */
    put_i32(&w, 0);  /* CRC, below */
    put_i16(&w, 0);  /* attributes */
    put_i32(&w, (int32_t)records - 1);
    put_i64(&w, now_ms);
    put_i64(&w, now_ms);
    put_i64(&w, -1); /* producer id, epoch, sequence: none */
    put_i16(&w, -1);
    put_i32(&w, -1);
    put_i32(&w, (int32_t)records);
    for (uint32_t i = 0; i < records; i++)
        put_record(&w, i, size);
    *ret_bytes = w.at;
    put_i32(&(struct wire){w.bytes + 8, 4, 0}, (int32_t)(w.at - 12));
    put_i32(&(struct wire){w.bytes + 17, 4, 0}, (int32_t)crc32c(w.bytes + 21, w.at - 21));
    return w.bytes;
}
