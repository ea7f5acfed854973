/* Sends records, as fast as it goes or on a schedule, and notes when each was acknowledged. */
#ifndef COLOBUS_BENCH_PRODUCE_H
#define COLOBUS_BENCH_PRODUCE_H

#include <stdatomic.h>

#include "load/client.h"
#include "load/histogram.h"

/* One client instance with two threads: the caller sends, another takes acknowledgements. */
struct producer {
    const struct load_args *args;
    uint32_t number; /* of args->clients */
    uint64_t start_ns, sent;
    _Atomic uint64_t acked, failed; /* of those that count, by the thread of acknowledgements */
    _Atomic uint64_t warm;          /* warm-up records acknowledged */
    _Atomic bool stop;
    const char *failure; /* why the first failed record failed */
    uint64_t last_ack_ns;
    struct histogram latency; /* ns; read after producer_run() */
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    uint8_t *payload;
};

/* Connects, and sends the warm-up records. */
void producer_open(struct producer *p, const struct load_args *args, uint32_t number);
/* Sends from `start_ns` on until the count or the seconds are reached, and waits for all acknowledgements. */
void producer_run(struct producer *p, uint64_t start_ns);
void producer_close(struct producer *p);

/* Mode `first`: the moment at which one record was acknowledged (CLOCK_MONOTONIC). */
uint64_t produce_first(const struct load_args *args);

/* The first bytes of every value: when the record was due (ns), 0 for warm-up. */
enum { PAYLOAD_STAMP_BYTES = 8 };

#endif
