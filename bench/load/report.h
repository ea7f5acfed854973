/* The result of a run as one JSON object on standard output. */
#ifndef COLOBUS_BENCH_REPORT_H
#define COLOBUS_BENCH_REPORT_H

#include <stdint.h>

#include "load/histogram.h"

/* One direction: records, bytes of their values, and the time in which they went through. */
struct report_flow {
    uint64_t records, bytes;
    double seconds;
    const struct histogram *latency; /* ns; NULL or empty: not shown */
};

/* Either may be NULL. Adds the CPU seconds of this process. */
void report_print(const struct report_flow *produced, const struct report_flow *consumed);
void report_print_first(uint64_t acked_at_ns);

#endif
