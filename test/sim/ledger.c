#include "ledger.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

struct value {
    uint8_t state, partition;
    bool idempotent, placed;
    uint16_t producer;
    uint32_t sent;
    uint64_t offset; /* acknowledged, or where it was seen first */
};

/* Values by offset; 0: nobody has seen it. */
struct places {
    uint64_t *value;
    uint64_t len, cap;
};

static struct {
    uint64_t seed;
    struct value *values;
    uint64_t count, cap, acks;
    struct places seen[LEDGER_PARTITIONS], scan[LEDGER_PARTITIONS];
} ledger;

static void drop(struct places *p)
{
    mem_free(p->value);
    *p = (struct places){0};
}

void ledger_reset(uint64_t seed)
{
    mem_free(ledger.values);
    for (unsigned i = 0; i < LEDGER_PARTITIONS; i++) {
        drop(&ledger.seen[i]);
        drop(&ledger.scan[i]);
    }
    ledger.values = NULL;
    ledger.count = ledger.cap = ledger.acks = 0;
    ledger.seed = seed;
}

void ledger_violation(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "VIOLATION seed=%llu: ", (unsigned long long)ledger.seed);
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(1);
}

static struct value *find(uint64_t value)
{
    if (value == 0 || value > ledger.count)
        ledger_violation("value %llu was never sent", (unsigned long long)value);
    return &ledger.values[value - 1];
}

uint64_t ledger_new(unsigned partition, unsigned producer, bool idempotent)
{
    if (ledger.count == ledger.cap) {
        ledger.cap = ledger.cap ? ledger.cap * 2 : 1024;
        ledger.values = mem_realloc(ledger.values, ledger.cap * sizeof(*ledger.values));
    }
    ledger.values[ledger.count] = (struct value){
        .partition = (uint8_t)partition, .producer = (uint16_t)producer, .idempotent = idempotent};
    return ++ledger.count;
}

void ledger_sent(uint64_t value)
{
    find(value)->sent++;
}

/* The value's slot at this offset, made if need be. */
static uint64_t *slot(struct places *p, uint64_t offset)
{
    if (offset > (1u << 28))
        ledger_violation("an offset of %llu", (unsigned long long)offset);
    if (offset >= p->cap) {
        uint64_t cap = p->cap ? p->cap * 2 : 1024;
        while (cap <= offset)
            cap *= 2;
        p->value = mem_realloc(p->value, cap * sizeof(*p->value));
        for (uint64_t i = p->cap; i < cap; i++)
            p->value[i] = 0;
        p->cap = cap;
    }
    if (offset >= p->len)
        p->len = offset + 1;
    return &p->value[offset];
}

static void place(unsigned partition, uint64_t offset, uint64_t value, const char *how)
{
    uint64_t *at = slot(&ledger.seen[partition], offset);
    if (*at && *at != value)
        ledger_violation("partition %u offset %llu holds value %llu and, %s, value %llu", partition,
                         (unsigned long long)offset, (unsigned long long)*at, how, (unsigned long long)value);
    *at = value;
    struct value *v = find(value);
    if (v->partition != partition)
        ledger_violation("value %llu of partition %u %s in partition %u", (unsigned long long)value,
                         v->partition, how, partition);
    if (v->placed && v->offset != offset && (v->idempotent || v->sent < 2))
        ledger_violation("value %llu of producer %u%s, sent %u times, stands at offset %llu and, %s, at %llu",
                         (unsigned long long)value, v->producer, v->idempotent ? " (idempotent)" : "",
                         v->sent, (unsigned long long)v->offset, how, (unsigned long long)offset);
    if (!v->placed)
        v->offset = offset;
    v->placed = true;
}

void ledger_acked(uint64_t value, uint64_t offset)
{
    struct value *v = find(value);
    place(v->partition, offset, value, "acknowledged");
    v->state = VALUE_OK;
    v->offset = offset;
    ledger.acks++;
}

void ledger_refused(uint64_t value)
{
    struct value *v = find(value);
    if (v->placed)
        ledger_violation("value %llu was refused, but stands at offset %llu", (unsigned long long)value,
                         (unsigned long long)v->offset);
    v->state = VALUE_REFUSED;
}

void ledger_unknown(uint64_t value)
{
    find(value)->state = VALUE_UNKNOWN;
}

void ledger_seen(unsigned partition, uint64_t offset, uint64_t value)
{
    if (find(value)->state == VALUE_REFUSED)
        ledger_violation("value %llu was refused, but is seen at partition %u offset %llu",
                         (unsigned long long)value, partition, (unsigned long long)offset);
    place(partition, offset, value, "seen");
}

void ledger_watermark(unsigned partition, uint64_t high_watermark)
{
    if (high_watermark < ledger.seen[partition].len)
        ledger_violation(
            "partition %u has a high watermark of %llu, but offset %llu was acknowledged or seen", partition,
            (unsigned long long)high_watermark, (unsigned long long)ledger.seen[partition].len - 1);
}

void ledger_scan(unsigned partition, uint64_t offset, uint64_t value)
{
    ledger_seen(partition, offset, value);
    *slot(&ledger.scan[partition], offset) = value;
}

static void check_survival(unsigned partition)
{
    const struct places *seen = &ledger.seen[partition], *scan = &ledger.scan[partition];
    for (uint64_t i = 0; i < seen->len; i++)
        if (seen->value[i] && (i >= scan->len || scan->value[i] != seen->value[i]))
            ledger_violation("partition %u offset %llu held value %llu, which is gone (%llu are left)",
                             partition, (unsigned long long)i, (unsigned long long)seen->value[i],
                             (unsigned long long)scan->len);
}

static void check_order(unsigned partition)
{
    static uint64_t last[1 << 16];
    const struct places *scan = &ledger.scan[partition];
    for (unsigned i = 0; i < 1 << 16; i++)
        last[i] = 0;
    for (uint64_t i = 0; i < scan->len; i++) {
        const struct value *v = find(scan->value[i]);
        if (v->idempotent && scan->value[i] < last[v->producer])
            ledger_violation("producer %u sent value %llu before %llu, but it stands behind it", v->producer,
                             (unsigned long long)scan->value[i], (unsigned long long)last[v->producer]);
        last[v->producer] = scan->value[i];
    }
}

void ledger_check_scan(void)
{
    for (unsigned p = 0; p < LEDGER_PARTITIONS; p++) {
        check_survival(p);
        check_order(p);
    }
    for (uint64_t i = 1; i <= ledger.count; i++) {
        const struct value *v = find(i);
        const struct places *scan = &ledger.scan[v->partition];
        if (v->state == VALUE_OK && (v->offset >= scan->len || scan->value[v->offset] != i))
            ledger_violation("value %llu was acknowledged at partition %u offset %llu and is lost",
                             (unsigned long long)i, v->partition, (unsigned long long)v->offset);
    }
}

uint64_t ledger_values(void)
{
    return ledger.count;
}

uint64_t ledger_acks(void)
{
    return ledger.acks;
}
