/* Inside of the metrics: what the registry holds. For metrics*.c only. */
#ifndef COLOBUS_CORE_METRICS_REGISTRY_H
#define COLOBUS_CORE_METRICS_REGISTRY_H

#include "core/metrics.h"

struct metrics_collector {
    struct list link;
    metrics_collect_fn *fn;
    void *arg;
};

struct metrics_pool {
    struct list link;
    const struct chunk_pool *pool;
    unsigned shard;
};

struct metrics_limit {
    struct list link;
    const char *pool; /* static text */
    uint64_t bytes;
};

struct metrics {
    struct list shards;                                 /* struct metrics_shard, by its link */
    struct list collectors;                             /* struct metrics_collector */
    struct list pools;                                  /* struct metrics_pool */
    struct list limits;                                 /* struct metrics_limit */
    char *slot_labels[METRICS_DIMS][METRICS_SLOTS_MAX]; /* name="value",... ready to print; NULL: unnamed */
    const char *(*error_name)(int code);
};

/* Never 0: the top bit is set. */
static inline uint32_t metrics_error_key(unsigned slot, int code)
{
    return 0x80000000u | slot << 16 | (uint16_t)code;
}

/* name="escaped value",...: returns its length; cut between labels if it does not fit. */
size_t metrics_labels_format(const struct metrics_label *labels, size_t count, char *ret_text, size_t size);
uint64_t metrics_cell_sum(const struct metrics *reg, size_t cell);

#endif
