/* Reads all partitions from the beginning and notes how old each record is. */
#ifndef COLOBUS_BENCH_CONSUME_H
#define COLOBUS_BENCH_CONSUME_H

#include <stdatomic.h>

#include "load/client.h"
#include "load/histogram.h"

/* One client instance; it reads the partitions p with p % clients == number. */
struct consumer {
    const struct load_args *args;
    uint32_t number;
    uint64_t first_ns, last_ns; /* when the first and the last record came */
    uint64_t warm;              /* warm-up records read */
    _Atomic uint64_t records;   /* the others */
    uint64_t bytes;             /* of values */
    struct histogram age;       /* ns from due to read; only meaningful while the producer is running */
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue;
};

void consumer_open(struct consumer *c, const struct load_args *args, uint32_t number);
/* Fetching begins here. */
void consumer_start(struct consumer *c);
/* Reads the warm-up records of all producers, so that librdkafka has found its leader and offset: that may
 * take it half a second. Dies if others come. */
void consumer_warm_up(struct consumer *c);
/* Reads until *total records are read by all clients (as *seen counts) or the deadline; *total may still be
 * set to its value by another thread, until then it is UINT64_MAX. */
void consumer_run(struct consumer *c, _Atomic uint64_t *seen, _Atomic uint64_t *total, uint64_t deadline_ns);
void consumer_close(struct consumer *c);

#endif
