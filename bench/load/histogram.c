#include "load/histogram.h"

/* Values below 2^SUB_BITS have a bucket each; above, the leading SUB_BITS + 1 bits of a value name its
 * bucket. */
static uint32_t bucket_of(uint64_t value)
{
    if (value >> HISTOGRAM_MAX_BITS != 0)
        value = ((uint64_t)1 << HISTOGRAM_MAX_BITS) - 1;
    if (value < (uint64_t)1 << HISTOGRAM_SUB_BITS)
        return (uint32_t)value;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return (shift << HISTOGRAM_SUB_BITS) + (uint32_t)(value >> shift);
}

/* The largest value of a bucket. */
static uint64_t bucket_top(uint32_t bucket)
{
    if (bucket < 2u << HISTOGRAM_SUB_BITS)
        return bucket;
    uint32_t shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t lead = bucket - ((uint64_t)shift << HISTOGRAM_SUB_BITS);
    return ((lead + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->buckets[bucket_of(value)]++;
    h->count++;
    h->sum += (double)value;
    if (value > h->max)
        h->max = value;
}

void histogram_merge(struct histogram *h, const struct histogram *from)
{
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        h->buckets[i] += from->buckets[i];
    h->count += from->count;
    h->sum += from->sum;
    if (from->max > h->max)
        h->max = from->max;
}

/* The smallest rank, from 1, that has `percent` of all at or below it. */
static uint64_t rank_of(double percent, uint64_t count)
{
    double exact = percent / 100 * (double)count;
    uint64_t rank = (uint64_t)exact;
    return (double)rank < exact ? rank + 1 : rank;
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
    uint64_t wanted = rank_of(percent, h->count), seen = 0;
    if (h->count == 0)
        return 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= wanted && seen > 0)
            return bucket_top(i) < h->max ? bucket_top(i) : h->max;
    }
    return h->max;
}
