/* The bare client: batches made once and sent again and again, responses not looked into beyond their errors.
 * What it measures is the broker, where librdkafka costs more than the broker does. */
#ifndef COLOBUS_BENCH_BARE_H
#define COLOBUS_BENCH_BARE_H

#include <stdint.h>

#include "load/histogram.h"

struct bare_args {
    uint32_t mode; /* a row of main.c's table */
    const char *broker, *topic;
    uint32_t partitions, connections; /* connection c serves the partitions p with p % connections == c */
    uint32_t size, batch_bytes, in_flight, fetch_bytes;
    uint64_t last;  /* fetch: only the newest records of each partition, again and again; 0: all, once */
    double seconds; /* of produce, copy, and fetch with `last` */
};

/* What one connection did; filled in by its thread. */
struct bare_flow {
    const struct bare_args *args;
    uint32_t number;
    uint64_t warm;                     /* records sent before the clock began */
    uint64_t records, bytes, requests; /* bytes: of values when produced, of batches when fetched or copied */
    uint64_t begin_ns, end_ns;
    struct histogram latency; /* ns from request to response */
};

void bare_produce(struct bare_flow *f);
void bare_fetch(struct bare_flow *f);
/* A TCP connection on loopback with a thread at each end that does nothing else. */
void bare_copy(struct bare_flow *f);

#endif
