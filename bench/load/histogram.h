/* Latencies in logarithmic buckets: any range, 1.6 % resolution, constant memory. */
#ifndef COLOBUS_BENCH_HISTOGRAM_H
#define COLOBUS_BENCH_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_SUB_BITS = 6,  /* 64 buckets for each power of two */
    HISTOGRAM_MAX_BITS = 42, /* larger values (over an hour in nanoseconds) are counted as this large */
    HISTOGRAM_BUCKETS = (HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS,
};

/* All zero is empty. One thread at a time. */
struct histogram {
    uint64_t count, max;
    double sum;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);
/* Adds all of `from` to `h`. */
void histogram_merge(struct histogram *h, const struct histogram *from);
/* The value that `percent` (0 to 100) of all values do not exceed, at most 1.6 % too large; 0 if there are
 * none. */
uint64_t histogram_percentile(const struct histogram *h, double percent);

#endif
