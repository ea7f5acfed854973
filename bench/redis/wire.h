/* RESP as the load client writes and reads it: growing output, values skipped whole, and what talking to a
 * broker takes. */
#ifndef COLOBUS_BENCH_REDIS_WIRE_H
#define COLOBUS_BENCH_REDIS_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes on their way out: [start, end) of ptr. */
struct out {
    uint8_t *ptr;
    size_t start, end, cap;
};

/* Room for `n` more bytes at the end. */
uint8_t *out_room(struct out *o, size_t n);
void out_free(struct out *o);
void put_bytes(struct out *o, const void *bytes, size_t n);
void put_head(struct out *o, char type, uint64_t n);              /* "*3\r\n" */
void put_bulk(struct out *o, const void *bytes, size_t n);        /* "$5\r\nhello\r\n" */
void put_command(struct out *o, const char *const *words, int n); /* an array of bulk strings */

/* Bytes of the value of RESP2 or RESP3 that begins here, with all that it holds; 0: it is not whole; -1: it
 * is none. */
int64_t value_size(const uint8_t *bytes, size_t n);
/* A line "<type><digits>\r\n": its bytes, 0: it is not whole, -1: it is none. */
int64_t take_number(const uint8_t *bytes, size_t n, uint64_t *ret);

/* What every payload begins with: who published it, his how-manieth it is, and when it was due. */
enum { STAMP_BYTES = 16, STAMP_NUMBER_BITS = 48 };

static inline void set64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline uint64_t get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* A socket connected to "host:port" (IPv4), not blocking, or the end of the program. */
int dial(const char *broker);
/* Says what went wrong and ends the program with 1. */
_Noreturn void die(const char *what, const char *why);
uint64_t now_ns(void); /* CLOCK_MONOTONIC */
/* User and system time of a process: what its /proc/PID/stat says, without the rounding to ticks; 0 if it is
 * not there. */
double process_cpu_seconds(int pid);

#endif
