#include "core/metrics.h"

#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/metrics_registry.h"

const struct metric_info metric_infos[METRIC_COUNT] = {
#define METRIC(id, name, type, dim, unit, help)                                                              \
    [METRIC_##id] = {name,                                                                                   \
                     help,                                                                                   \
                     METRIC_##type,                                                                          \
                     METRICS_DIM_##dim,                                                                      \
                     METRIC_UNIT_##unit,                                                                     \
                     METRIC_AT_##id,                                                                         \
                     METRICS_CELLS_##type,                                                                   \
                     METRICS_SLOTS_##dim,                                                                    \
                     METRICS_SHIFT_##unit},
#include "core/metrics.def"
#undef METRIC
};

_Static_assert(METRICS_CELLS < UINT16_MAX, "cells are numbered by a u16");

/* ---- writing ------------------------------------------------------------------------------------------- */

/* The smallest bucket whose bound, 2^(i + shift), is at least the value; METRICS_BUCKETS if none is. */
static unsigned bucket_of(uint64_t value, unsigned shift)
{
    unsigned log = value <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(value - 1);
    unsigned bucket = log <= shift ? 0 : log - shift;
    return bucket < METRICS_BUCKETS ? bucket : METRICS_BUCKETS;
}

void metrics_observe_at(struct metrics_shard *m, enum metric id, unsigned slot, uint64_t value)
{
    const struct metric_info *i = &metric_infos[id];
    assert(i->type == METRIC_HISTOGRAM);
    size_t first = metrics_cell(id, slot);
    metrics_cell_add(m, first + bucket_of(value, i->shift), 1);
    metrics_cell_add(m, first + METRICS_BUCKETS + 1, value);
}

void metrics_kafka_error(struct metrics_shard *m, unsigned api_key, int code)
{
    unsigned slot = api_key < METRICS_SLOTS_KAFKA_API ? api_key : METRICS_SLOTS_KAFKA_API - 1;
    uint32_t key = metrics_error_key(slot, code);
    struct metrics_error *e = &m->kafka_errors[METRICS_ERRORS - 1];
    for (size_t i = 0; i < METRICS_ERRORS - 1; i++) {
        uint32_t have = atomic_load_explicit(&m->kafka_errors[i].key, memory_order_relaxed);
        if (have == key || have == 0) {
            e = &m->kafka_errors[i];
            atomic_store_explicit(&e->key, key, memory_order_relaxed);
            break;
        }
    }
    uint64_t n = atomic_load_explicit(&e->count, memory_order_relaxed);
    atomic_store_explicit(&e->count, n + 1, memory_order_relaxed);
}

/* ---- the registry -------------------------------------------------------------------------------------- */

struct metrics *metrics_new(void)
{
    struct metrics *reg = mem_zalloc(sizeof(*reg));
    list_init(&reg->shards);
    list_init(&reg->collectors);
    list_init(&reg->pools);
    list_init(&reg->limits);
    return reg;
}

static void free_list(struct list *head)
{
    list_each_safe (it, next, head)
        mem_free(it); /* the link is the first member of each */
}

void metrics_free(struct metrics *reg)
{
    if (!reg)
        return;
    list_each_safe (it, next, &reg->shards)
        mem_free(list_entry(it, struct metrics_shard, link));
    free_list(&reg->collectors);
    free_list(&reg->pools);
    free_list(&reg->limits);
    for (size_t d = 0; d < METRICS_DIMS; d++) {
        for (size_t s = 0; s < METRICS_SLOTS_MAX; s++)
            mem_free(reg->slot_labels[d][s]);
    }
    mem_free(reg);
}

struct metrics_shard *metrics_shard_new(struct metrics *reg)
{
    struct metrics_shard *m = mem_zalloc(sizeof(*m));
    list_add_tail(&reg->shards, &m->link);
    return m;
}

void metrics_name_slot(struct metrics *reg, enum metrics_dim dim, unsigned slot,
                       const struct metrics_label *labels, size_t count)
{
    assert(dim < METRICS_DIMS && slot < METRICS_SLOTS_MAX);
    char text[512];
    size_t len = metrics_labels_format(labels, count, text, sizeof(text));
    mem_free(reg->slot_labels[dim][slot]);
    reg->slot_labels[dim][slot] = mem_strndup(text, len);
}

void metrics_name_kafka_errors(struct metrics *reg, const char *(*name)(int code))
{
    reg->error_name = name;
}

void metrics_add_collector(struct metrics *reg, metrics_collect_fn *fn, void *arg)
{
    struct metrics_collector *c = mem_zalloc(sizeof(*c));
    c->fn = fn;
    c->arg = arg;
    list_add_tail(&reg->collectors, &c->link);
}

void metrics_add_pool(struct metrics *reg, unsigned shard, const struct chunk_pool *pool)
{
    struct metrics_pool *p = mem_zalloc(sizeof(*p));
    p->pool = pool;
    p->shard = shard;
    list_add_tail(&reg->pools, &p->link);
}

void metrics_add_limit(struct metrics *reg, const char *pool, uint64_t bytes)
{
    struct metrics_limit *l = mem_zalloc(sizeof(*l));
    l->pool = pool;
    l->bytes = bytes;
    list_add_tail(&reg->limits, &l->link);
}

uint64_t metrics_cell_sum(const struct metrics *reg, size_t cell)
{
    uint64_t sum = 0;
    list_each (it, (struct list *)&reg->shards)
        sum += atomic_load_explicit(&list_entry(it, struct metrics_shard, link)->cells[cell],
                                    memory_order_relaxed);
    return sum;
}

uint64_t metrics_sum(const struct metrics *reg, enum metric id, unsigned slot)
{
    assert(metric_infos[id].type != METRIC_HISTOGRAM);
    return metrics_cell_sum(reg, metrics_cell(id, slot));
}
