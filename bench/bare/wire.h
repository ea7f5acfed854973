/* Just enough of Kafka's protocol to load a broker at next to no cost of the client's own: frames on a
 * blocking socket. */
#ifndef COLOBUS_BENCH_WIRE_H
#define COLOBUS_BENCH_WIRE_H

#include <stddef.h>
#include <stdint.h>

enum { WIRE_PRODUCE = 0, WIRE_FETCH = 1, WIRE_LIST_OFFSETS = 2 };

/* A request under construction, or a response being read: big-endian fields one after the other. Never grows;
 * a buffer that is too short ends the program. */
struct wire {
    uint8_t *bytes;
    size_t size, at;
};

void put_i8(struct wire *w, int8_t v);
void put_i16(struct wire *w, int16_t v);
void put_i32(struct wire *w, int32_t v);
void put_i64(struct wire *w, int64_t v);
void put_varint(struct wire *w, int64_t v); /* zigzag */
void put_text(struct wire *w, const char *text);
int16_t get_i16(struct wire *w);
int32_t get_i32(struct wire *w);
int64_t get_i64(struct wire *w);
void skip_text(struct wire *w);
void skip(struct wire *w, size_t n);

/* Leaves room for the length of the frame and writes a request header of version 1. */
void wire_begin(struct wire *w, int16_t api, int16_t version, int32_t correlation);
/* Fills the length in; `more` bytes follow that are not in the buffer. */
void wire_end(struct wire *w, size_t more);

/* CLOCK_MONOTONIC. */
uint64_t wire_now_ns(void);
/* Prints why and ends the process with 1. */
_Noreturn void wire_die(const char *what, const char *why);
/* Connects to "host:port" (IPv4), or dies. The caller's. */
int wire_connect(const char *broker);
void wire_send(int s, const void *bytes, size_t n, const void *more, size_t more_n);
/* Reads a whole response, its length aside, into `room` bytes at `to`; dies if it is longer. The correlation
 * id is checked and skipped in what is returned. */
struct wire wire_receive(int s, uint8_t *to, size_t room, int32_t correlation);

/* One batch (magic 2) of `records` records with values of `size` bytes. The caller's to free. */
uint8_t *wire_batch(uint32_t records, uint32_t size, size_t *ret_bytes);

#endif
