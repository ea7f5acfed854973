/* Counters, gauges and histograms: written without locks by one thread each, summed when somebody scrapes. */
#ifndef COLOBUS_CORE_METRICS_H
#define COLOBUS_CORE_METRICS_H

#include <assert.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/outq.h"

/* What one series per value is kept for. The values are numbered slots; whoever uses a slot names its labels
 * once with metrics_name_slot(). */
enum metrics_dim {
    METRICS_DIM_NONE,
    METRICS_DIM_LISTENER,
    METRICS_DIM_KAFKA_API,
    METRICS_DIM_HTTP_CODE,
    METRICS_DIM_DEATH,
    METRICS_DIMS
};

enum {
    METRICS_SLOTS_NONE = 1,
    METRICS_SLOTS_LISTENER = 32,  /* in the order of the listeners */
    METRICS_SLOTS_KAFKA_API = 96, /* by API key; the last one is for unknown keys */
    METRICS_SLOTS_HTTP_CODE = 6,  /* status / 100 */
    METRICS_SLOTS_DEATH = 4,      /* enum death_reason */
    METRICS_SLOTS_MAX = 96,

    /* Bucket i counts observations up to 2^(i + shift of the unit); then those above, then their sum. */
    METRICS_BUCKETS = 22,
    METRICS_CELLS_COUNTER = 1,
    METRICS_CELLS_GAUGE = 1,
    METRICS_CELLS_HISTOGRAM = METRICS_BUCKETS + 2,
    METRICS_SHIFT_NONE = 0,
    METRICS_SHIFT_TIME = 4,  /* 16 us to 33.6 s */
    METRICS_SHIFT_BYTES = 9, /* 512 bytes to 1 GiB */
    METRICS_SHIFT_COUNT = 0, /* 1 to 2 Mi */
};

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
enum metric_unit { METRIC_UNIT_NONE, METRIC_UNIT_TIME, METRIC_UNIT_BYTES, METRIC_UNIT_COUNT };

enum metric {
#define METRIC(id, name, type, dim, unit, help) METRIC_##id,
#include "core/metrics.def"
#undef METRIC
    METRIC_COUNT
};

/* Where each metric's cells begin: first = METRIC_AT_x, and the next row goes on after METRIC_LAST_x. */
enum {
#define METRIC(id, name, type, dim, unit, help)                                                              \
    METRIC_AT_##id, METRIC_LAST_##id = METRIC_AT_##id + METRICS_CELLS_##type * METRICS_SLOTS_##dim - 1,
#include "core/metrics.def"
#undef METRIC
    METRICS_CELLS
};

struct metric_info {
    const char *name, *help;
    enum metric_type type;
    enum metrics_dim dim;
    enum metric_unit unit;
    uint16_t at, cells, slots, shift; /* first cell, cells per slot */
};
extern const struct metric_info metric_infos[METRIC_COUNT];

enum { METRICS_ERRORS = 128 };
struct metrics_error {
    _Atomic uint32_t key; /* 0: free; else slot and code, packed by metrics.c */
    _Atomic uint64_t count;
};

/* The figures of one thread (a shard, the journal): it alone writes, with relaxed stores; any thread reads.
 */
struct metrics_shard {
    _Atomic uint64_t cells[METRICS_CELLS];
    struct metrics_error
        kafka_errors[METRICS_ERRORS]; /* (API, error code) pairs seen; the last is for the rest */
    struct list link;
};

/* Each is called by the owner thread of `m` only. slot is 0 for metrics without a dimension. A slot out of
 * range is counted in the last one. */
static inline void metrics_cell_add(struct metrics_shard *m, size_t cell, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&m->cells[cell], memory_order_relaxed);
    atomic_store_explicit(&m->cells[cell], v + n, memory_order_relaxed);
}

static inline size_t metrics_cell(enum metric id, unsigned slot)
{
    const struct metric_info *i = &metric_infos[id];
    return i->at + (size_t)i->cells * (slot < i->slots ? slot : (unsigned)i->slots - 1);
}

static inline void metrics_add_at(struct metrics_shard *m, enum metric id, unsigned slot, uint64_t n)
{
    assert(metric_infos[id].type == METRIC_COUNTER);
    metrics_cell_add(m, metrics_cell(id, slot), n);
}

static inline void metrics_add(struct metrics_shard *m, enum metric id, uint64_t n)
{
    metrics_add_at(m, id, 0, n);
}

/* A gauge goes up or down by `delta`; the sum over all threads is shown. */
static inline void metrics_gauge_add_at(struct metrics_shard *m, enum metric id, unsigned slot, int64_t delta)
{
    assert(metric_infos[id].type == METRIC_GAUGE);
    metrics_cell_add(m, metrics_cell(id, slot), (uint64_t)delta);
}

/* One observation of a histogram: microseconds, bytes or a count, as its row says. */
void metrics_observe_at(struct metrics_shard *m, enum metric id, unsigned slot, uint64_t value);

static inline void metrics_observe(struct metrics_shard *m, enum metric id, uint64_t value)
{
    metrics_observe_at(m, id, 0, value);
}

/* colobus_kafka_errors_total{api,error}: one more answer of this API carried this error code (not 0). */
void metrics_kafka_error(struct metrics_shard *m, unsigned api_key, int code);

/* ---- the registry: made before the threads start, one per broker --------------------------------------- */

struct metrics_label {
    const char *name;
    struct span value; /* any bytes; escaped when written */
};

struct metrics_writer;
typedef void metrics_collect_fn(void *arg, struct metrics_writer *w);

struct metrics; /* the registry */

struct metrics *metrics_new(void);
/* After all threads have ended; frees the shards' figures too. */
void metrics_free(struct metrics *reg);
/* The figures of one more thread; the registry's. */
struct metrics_shard *metrics_shard_new(struct metrics *reg);
/* The labels of a slot, copied: ("protocol", "kafka"), ("listener", "external") or ("api", "Produce"). A slot
 * without labels is shown with its number. */
void metrics_name_slot(struct metrics *reg, enum metrics_dim dim, unsigned slot,
                       const struct metrics_label *labels, size_t count);
/* How an error code of Kafka is called; without it, the number. */
void metrics_name_kafka_errors(struct metrics *reg, const char *(*name)(int code));
/* Called on the thread that renders, each time: it must only read what any thread may. */
void metrics_add_collector(struct metrics *reg, metrics_collect_fn *fn, void *arg);
/* Shows a pool as colobus_memory_pool_bytes{pool,shard}; the pool must outlive the registry's use. */
void metrics_add_pool(struct metrics *reg, unsigned shard, const struct chunk_pool *pool);
/* One memory limit, as colobus_memory_limit_bytes{pool}. */
void metrics_add_limit(struct metrics *reg, const char *pool, uint64_t bytes);

/* The sum over all threads of one counter or gauge, for tests and overviews. */
uint64_t metrics_sum(const struct metrics *reg, enum metric id, unsigned slot);

/* ---- rendering ------------------------------------------------------------------------------------------
 */

/* Writes Prometheus' text format 0.0.4 into a queue, with a sticky error. */
struct metrics_writer {
    struct outq *q;
    int err; /* 0 or ERR_NO_MEMORY */
    uint8_t buf[4096];
    size_t used;
};

void metrics_writer_init(struct metrics_writer *w, struct outq *q);
/* Hands the rest to the queue; returns w->err. */
int metrics_writer_finish(struct metrics_writer *w);

/* HELP and TYPE ("counter", "gauge", "histogram"), before the family's samples, which must follow together.
 */
void metrics_family(struct metrics_writer *w, const char *name, const char *type, const char *help);
void metrics_sample(struct metrics_writer *w, const char *name, const struct metrics_label *labels,
                    size_t count, uint64_t value);
void metrics_sample_f64(struct metrics_writer *w, const char *name, const struct metrics_label *labels,
                        size_t count, double value);

/* Everything registered: all rows of the table, then the collectors in the order of their registration. Any
 * thread. */
void metrics_render(const struct metrics *reg, struct metrics_writer *w);

#endif
