/* AMQP 0-9-1 as the load client writes and reads it: growing output, borrowed input, the few methods it
 * needs. */
#ifndef COLOBUS_BENCH_AMQP_FRAME_H
#define COLOBUS_BENCH_AMQP_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { FRAME_METHOD = 1, FRAME_HEADER = 2, FRAME_BODY = 3, FRAME_HEARTBEAT = 8, FRAME_END = 0xCE };
enum { FRAME_MAX = 131072, FRAME_EXTRA = 8 }; /* octets of a frame around its payload */

/* class << 16 | method */
enum amqp_method {
    CONNECTION_START = 10 << 16 | 10,
    CONNECTION_START_OK = 10 << 16 | 11,
    CONNECTION_TUNE = 10 << 16 | 30,
    CONNECTION_TUNE_OK = 10 << 16 | 31,
    CONNECTION_OPEN = 10 << 16 | 40,
    CONNECTION_OPEN_OK = 10 << 16 | 41,
    CONNECTION_CLOSE = 10 << 16 | 50,
    CONNECTION_CLOSE_OK = 10 << 16 | 51,
    CONNECTION_BLOCKED = 10 << 16 | 60,
    CONNECTION_UNBLOCKED = 10 << 16 | 61,
    CHANNEL_OPEN = 20 << 16 | 10,
    CHANNEL_OPEN_OK = 20 << 16 | 11,
    CHANNEL_CLOSE = 20 << 16 | 40,
    EXCHANGE_DECLARE = 40 << 16 | 10,
    EXCHANGE_DECLARE_OK = 40 << 16 | 11,
    EXCHANGE_DELETE = 40 << 16 | 20,
    EXCHANGE_DELETE_OK = 40 << 16 | 21,
    QUEUE_DECLARE = 50 << 16 | 10,
    QUEUE_DECLARE_OK = 50 << 16 | 11,
    QUEUE_BIND = 50 << 16 | 20,
    QUEUE_BIND_OK = 50 << 16 | 21,
    QUEUE_DELETE = 50 << 16 | 40,
    QUEUE_DELETE_OK = 50 << 16 | 41,
    BASIC_QOS = 60 << 16 | 10,
    BASIC_QOS_OK = 60 << 16 | 11,
    BASIC_CONSUME = 60 << 16 | 20,
    BASIC_CONSUME_OK = 60 << 16 | 21,
    BASIC_CANCEL = 60 << 16 | 30,
    BASIC_PUBLISH = 60 << 16 | 40,
    BASIC_RETURN = 60 << 16 | 50,
    BASIC_DELIVER = 60 << 16 | 60,
    BASIC_ACK = 60 << 16 | 80,
    BASIC_NACK = 60 << 16 | 120,
    CONFIRM_SELECT = 85 << 16 | 10,
    CONFIRM_SELECT_OK = 85 << 16 | 11,
};

/* Bytes on their way out: [start, end) of ptr. */
struct out {
    uint8_t *ptr;
    size_t start, end, cap;
};

/* Room for `n` more bytes at the end. */
uint8_t *out_room(struct out *o, size_t n);
void out_free(struct out *o);
void put8(struct out *o, uint8_t v);
void put16(struct out *o, uint16_t v);
void put32(struct out *o, uint32_t v);
void put64(struct out *o, uint64_t v);
void put_bytes(struct out *o, const void *bytes, size_t n);
void put_short(struct out *o, const char *text); /* at most 255 bytes */
void put_long(struct out *o, const void *bytes, size_t n);
/* `arguments`: "key=value,..." or NULL; a value of digits only becomes a 32-bit integer, true and false a
 * boolean, all else a string. */
void put_table(struct out *o, const char *arguments);
/* Begins a frame; frame_end() of the offset (from `start`) that it returned sets its size and ends it. */
size_t frame_begin(struct out *o, uint8_t type, uint16_t channel);
size_t method_begin(struct out *o, uint16_t channel, enum amqp_method method);
void frame_end(struct out *o, size_t at);

static inline uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap32(v);
}

static inline uint64_t get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap64(v);
}

static inline void set16(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof(v));
}

static inline void set64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof(v));
}

/* Says what went wrong and ends the program with 1. */
_Noreturn void die(const char *what, const char *why);
uint64_t now_ns(void); /* CLOCK_MONOTONIC: the same in all processes of this machine */

#endif
