/* Prometheus' text format, version 0.0.4:
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format */
#include <stdio.h>

#include "base/err.h"
#include "core/metrics_registry.h"

void metrics_writer_init(struct metrics_writer *w, struct outq *q)
{
    w->q = q;
    w->err = 0;
    w->used = 0;
}

static void flush(struct metrics_writer *w)
{
    if (!w->err && w->used)
        w->err = outq_copy(w->q, span_of(w->buf, w->used));
    w->used = 0;
}

int metrics_writer_finish(struct metrics_writer *w)
{
    flush(w);
    return w->err;
}

static void put(struct metrics_writer *w, const void *ptr, size_t len)
{
    const uint8_t *p = ptr;
    while (len && !w->err) {
        if (w->used == sizeof(w->buf))
            flush(w);
        size_t room = sizeof(w->buf) - w->used, n = len < room ? len : room;
        memcpy(w->buf + w->used, p, n);
        w->used += n;
        p += n;
        len -= n;
    }
}

static void put_str(struct metrics_writer *w, const char *s)
{
    put(w, s, strlen(s));
}

void metrics_family(struct metrics_writer *w, const char *name, const char *type, const char *help)
{
    put_str(w, "# HELP ");
    put_str(w, name);
    put_str(w, " ");
    put_str(w, help);
    put_str(w, "\n# TYPE ");
    put_str(w, name);
    put_str(w, " ");
    put_str(w, type);
    put_str(w, "\n");
}

/* The escape of one byte of a label's value, or NULL. Bytes outside ASCII pass: values are UTF-8 or shown as
 * such. */
static const char *escape_of(uint8_t c)
{
    return c == '\\' ? "\\\\" : c == '"' ? "\\\"" : c == '\n' ? "\\n" : NULL;
}

size_t metrics_labels_format(const struct metrics_label *labels, size_t count, char *ret_text, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        char one[600];
        int n = snprintf(one, sizeof(one), "%s%s=\"", i ? "," : "", labels[i].name);
        size_t len = n < 100 ? (size_t)n : 99;
        for (size_t k = 0; k < labels[i].value.len && len < sizeof(one) - 4; k++) {
            const char *esc = escape_of(labels[i].value.ptr[k]);
            if (esc)
                one[len++] = *esc++;
            one[len++] = esc ? *esc : (char)labels[i].value.ptr[k];
        }
        one[len++] = '"';
        if (used + len >= size)
            break;
        memcpy(ret_text + used, one, len);
        used += len;
    }
    ret_text[used] = 0;
    return used;
}

/* `name{labels} value`, the labels ready; either may be empty or NULL. */
static void put_line(struct metrics_writer *w, const char *name, const char *suffix, const char *labels,
                     const char *more, const char *value)
{
    bool some = labels && *labels, extra = more && *more;
    put_str(w, name);
    put_str(w, suffix);
    if (some || extra) {
        put_str(w, "{");
        put_str(w, some ? labels : "");
        put_str(w, some && extra ? "," : "");
        put_str(w, extra ? more : "");
        put_str(w, "}");
    }
    put_str(w, " ");
    put_str(w, value);
    put_str(w, "\n");
}

void metrics_sample(struct metrics_writer *w, const char *name, const struct metrics_label *labels,
                    size_t count, uint64_t value)
{
    char text[1200], number[24];
    metrics_labels_format(labels, count, text, sizeof(text));
    snprintf(number, sizeof(number), "%llu", (unsigned long long)value);
    put_line(w, name, "", text, NULL, number);
}

void metrics_sample_f64(struct metrics_writer *w, const char *name, const struct metrics_label *labels,
                        size_t count, double value)
{
    char text[1200], number[32];
    metrics_labels_format(labels, count, text, sizeof(text));
    snprintf(number, sizeof(number), "%.9g", value);
    put_line(w, name, "", text, NULL, number);
}

/* ---- the table ----------------------------------------------------------------------------------------- */

/* A bound or a sum in the unit shown. */
static void format_in_unit(char *ret_text, size_t size, enum metric_unit unit, uint64_t v)
{
    if (unit == METRIC_UNIT_TIME)
        snprintf(ret_text, size, "%.9g", (double)v / 1e6);
    else
        snprintf(ret_text, size, "%llu", (unsigned long long)v);
}

static void put_histogram(const struct metrics *reg, struct metrics_writer *w, const struct metric_info *i,
                          size_t first, const char *labels)
{
    uint64_t total = 0;
    char bound[32], le[48], number[32];
    for (unsigned b = 0; b <= METRICS_BUCKETS; b++) {
        total += metrics_cell_sum(reg, first + b);
        format_in_unit(bound, sizeof(bound), i->unit, 1ULL << (b + i->shift));
        snprintf(le, sizeof(le), "le=\"%s\"", b < METRICS_BUCKETS ? bound : "+Inf");
        snprintf(number, sizeof(number), "%llu", (unsigned long long)total);
        put_line(w, i->name, "_bucket", labels, le, number);
    }
    put_line(w, i->name, "_count", labels, NULL, number);
    format_in_unit(number, sizeof(number), i->unit, metrics_cell_sum(reg, first + METRICS_BUCKETS + 1));
    put_line(w, i->name, "_sum", labels, NULL, number);
}

static bool all_zero(const struct metrics *reg, size_t first, size_t cells)
{
    for (size_t c = first; c < first + cells; c++) {
        if (metrics_cell_sum(reg, c))
            return false;
    }
    return true;
}

/* A series with a dimension appears once it was used, or if its slot is a listener that exists. */
static void put_slot(const struct metrics *reg, struct metrics_writer *w, const struct metric_info *i,
                     unsigned slot)
{
    size_t first = i->at + (size_t)i->cells * slot;
    const char *labels = reg->slot_labels[i->dim][slot];
    char number[32];
    if (i->dim != METRICS_DIM_NONE && !(i->dim == METRICS_DIM_LISTENER && labels) &&
        all_zero(reg, first, i->cells))
        return;
    char unnamed[32];
    if (!labels && i->dim != METRICS_DIM_NONE) {
        snprintf(unnamed, sizeof(unnamed), "slot=\"%u\"", slot);
        labels = unnamed;
    }
    if (i->type == METRIC_HISTOGRAM) {
        put_histogram(reg, w, i, first, labels);
        return;
    }
    uint64_t v = metrics_cell_sum(reg, first);
    if (i->type == METRIC_GAUGE)
        snprintf(number, sizeof(number), "%lld", (long long)v);
    else
        snprintf(number, sizeof(number), "%llu", (unsigned long long)v);
    put_line(w, i->name, "", labels, NULL, number);
}

static void put_table(const struct metrics *reg, struct metrics_writer *w)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    for (size_t m = 0; m < METRIC_COUNT; m++) {
        const struct metric_info *i = &metric_infos[m];
        metrics_family(w, i->name, types[i->type], i->help);
        for (unsigned slot = 0; slot < i->slots; slot++)
            put_slot(reg, w, i, slot);
    }
}

/* ---- what has no row ----------------------------------------------------------------------------------- */

static uint64_t error_sum(const struct metrics *reg, uint32_t key)
{
    uint64_t sum = 0;
    list_each (it, (struct list *)&reg->shards) {
        const struct metrics_shard *m = list_entry(it, struct metrics_shard, link);
        for (size_t e = 0; e < METRICS_ERRORS; e++) {
            if (atomic_load_explicit(&m->kafka_errors[e].key, memory_order_relaxed) == key)
                sum += atomic_load_explicit(&m->kafka_errors[e].count, memory_order_relaxed);
        }
    }
    return sum;
}

/* Has a shard before `until` the same key? Then its sum was shown there. */
static bool seen_before(const struct metrics *reg, const struct list *until, uint32_t key)
{
    for (struct list *it = reg->shards.next; it != until; it = it->next) {
        const struct metrics_shard *m = list_entry(it, struct metrics_shard, link);
        for (size_t e = 0; e < METRICS_ERRORS - 1; e++) {
            if (atomic_load_explicit(&m->kafka_errors[e].key, memory_order_relaxed) == key)
                return true;
        }
    }
    return false;
}

static void put_error(const struct metrics *reg, struct metrics_writer *w, uint32_t key)
{
    unsigned slot = (key >> 16) & 0x7fff;
    int code = (int16_t)key;
    char number[24], error[80], code_text[16];
    const char *labels = reg->slot_labels[METRICS_DIM_KAFKA_API][slot];
    char unnamed[32];
    snprintf(unnamed, sizeof(unnamed), "slot=\"%u\"", slot);
    snprintf(code_text, sizeof(code_text), "%d", code);
    const char *name = reg->error_name ? reg->error_name(code) : NULL;
    snprintf(error, sizeof(error), "error=\"%.60s\"", name ? name : code_text);
    snprintf(number, sizeof(number), "%llu", (unsigned long long)error_sum(reg, key));
    put_line(w, "colobus_kafka_errors_total", "", labels ? labels : unnamed, error, number);
}

static void put_errors(const struct metrics *reg, struct metrics_writer *w)
{
    metrics_family(w, "colobus_kafka_errors_total", "counter",
                   "Kafka answers that carried an error, by its name.");
    list_each (it, (struct list *)&reg->shards) {
        const struct metrics_shard *m = list_entry(it, struct metrics_shard, link);
        for (size_t e = 0; e < METRICS_ERRORS - 1; e++) {
            uint32_t key = atomic_load_explicit(&m->kafka_errors[e].key, memory_order_relaxed);
            if (key && !seen_before(reg, it, key))
                put_error(reg, w, key);
        }
    }
    uint64_t rest = 0;
    list_each (it, (struct list *)&reg->shards)
        rest += atomic_load_explicit(
            &list_entry(it, struct metrics_shard, link)->kafka_errors[METRICS_ERRORS - 1].count,
            memory_order_relaxed);
    if (rest)
        metrics_sample(w, "colobus_kafka_errors_total",
                       (struct metrics_label[]){{"api", span_str("other")}, {"error", span_str("other")}}, 2,
                       rest);
}

static void put_pools(const struct metrics *reg, struct metrics_writer *w)
{
    if (!list_empty(&reg->pools))
        metrics_family(w, "colobus_memory_pool_bytes", "gauge", "Memory that is in use, by pool and shard.");
    list_each (it, (struct list *)&reg->pools) {
        const struct metrics_pool *p = list_entry(it, struct metrics_pool, link);
        char shard[16];
        snprintf(shard, sizeof(shard), "%u", p->shard);
        struct metrics_label labels[] = {{"pool", span_str(p->pool->name)}, {"shard", span_str(shard)}};
        metrics_sample(w, "colobus_memory_pool_bytes", labels, 2,
                       atomic_load_explicit(&p->pool->used_bytes, memory_order_relaxed));
    }
    if (!list_empty(&reg->limits))
        metrics_family(w, "colobus_memory_limit_bytes", "gauge", "What a kind of memory may grow to.");
    list_each (it, (struct list *)&reg->limits) {
        const struct metrics_limit *l = list_entry(it, struct metrics_limit, link);
        metrics_sample(w, "colobus_memory_limit_bytes", (struct metrics_label[]){{"pool", span_str(l->pool)}},
                       1, l->bytes);
    }
}

void metrics_render(const struct metrics *reg, struct metrics_writer *w)
{
    put_table(reg, w);
    put_errors(reg, w);
    put_pools(reg, w);
    list_each (it, (struct list *)&reg->collectors) {
        const struct metrics_collector *c = list_entry(it, struct metrics_collector, link);
        c->fn(c->arg, w);
    }
}
