#include "store/producer.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/batch.h"

void producers_init(struct producers *p)
{
    map_init(&p->by_id);
}

void producers_fini(struct producers *p)
{
    size_t cursor = 0;
    for (struct producer *x; (x = map_next(&p->by_id, &cursor));)
        mem_free(x);
    map_fini(&p->by_id);
}

/* Sequences are i32 and wrap from 2^31-1 to 0, never negative. */
static int32_t next_seq(int32_t seq)
{
    return seq == INT32_MAX ? 0 : seq + 1;
}

static const struct producer_batch *find(const struct producer *x, int32_t first, int32_t last)
{
    for (int i = 0; i < x->count; i++)
        if (x->batches[i].first_seq == first && x->batches[i].last_seq == last)
            return &x->batches[i];
    return NULL;
}

int producers_check(const struct producers *p, const uint8_t *b, const struct producer_batch **ret_known)
{
    const struct producer *x = map_get_u64(&p->by_id, (uint64_t)batch_producer_id(b));
    int16_t epoch = batch_producer_epoch(b);
    int32_t first = batch_base_sequence(b), last = batch_last_sequence(b);
    if (!x)
        return 0; /* never seen or forgotten: any sequence may begin (ProducerAppendInfo.checkSequence) */
    if (epoch < x->epoch)
        return ERR_PRODUCER_EPOCH;
    if (epoch > x->epoch)
        return first == 0 ? 0 : ERR_OUT_OF_ORDER;
    const struct producer_batch *known = find(x, first, last);
    if (known) {
        *ret_known = known;
        return 1;
    }
    int32_t newest = x->batches[x->newest].last_seq;
    if (first == next_seq(newest))
        return 0;
    /* All of it lies at or before what was stored last: an old duplicate, out of the window. The distance is
     * taken on the ring of 2^31 sequences. */
    uint32_t behind = ((uint32_t)newest - (uint32_t)last) & INT32_MAX;
    return behind < INT32_MAX / 2 ? ERR_DUPLICATE_SEQUENCE : ERR_OUT_OF_ORDER;
}

void producers_append(struct producers *p, const uint8_t *b, int64_t now_ms)
{
    int64_t id = batch_producer_id(b);
    struct producer *x = map_get_u64(&p->by_id, (uint64_t)id);
    if (!x) {
        x = mem_zalloc(sizeof(*x));
        x->id = id;
        x->epoch = batch_producer_epoch(b);
        map_put_u64(&p->by_id, (uint64_t)id, x);
    }
    if (x->epoch != batch_producer_epoch(b)) {
        x->epoch = batch_producer_epoch(b);
        x->count = 0;
    }
    if (x->count < PRODUCER_WINDOW) /* while it fills, batches stand in order from slot 0 */
        x->newest = x->count++;
    else
        x->newest = (uint8_t)((x->newest + 1) % PRODUCER_WINDOW);
    x->last_ms = now_ms;
    x->batches[x->newest] = (struct producer_batch){
        .first_seq = batch_base_sequence(b),
        .last_seq = batch_last_sequence(b),
        .base_offset = (uint64_t)batch_base_offset(b),
        .timestamp = batch_max_timestamp(b),
    };
}

static int compare(const void *a, const void *b)
{
    const struct producer *x = *(struct producer *const *)a, *y = *(struct producer *const *)b;
    return (x->id > y->id) - (x->id < y->id);
}

struct producer **producers_sorted(const struct producers *p, size_t *ret_count)
{
    struct producer **all = mem_alloc((p->by_id.count + 1) * sizeof(*all)), *x;
    size_t n = 0, cursor = 0;
    while ((x = map_next(&p->by_id, &cursor)))
        all[n++] = x;
    qsort(all, n, sizeof(*all), compare);
    *ret_count = n;
    return all;
}

size_t producers_expire(struct producers *p, int64_t before_ms)
{
    size_t count, gone = 0;
    if (p->by_id.count == 0)
        return 0;
    struct producer **all = producers_sorted(p, &count);
    for (size_t i = 0; i < count; i++) {
        if (all[i]->last_ms >= before_ms)
            continue;
        map_del_u64(&p->by_id, (uint64_t)all[i]->id);
        mem_free(all[i]);
        gone++;
    }
    mem_free(all);
    return gone;
}

void producers_restore(struct producers *p, const struct producer *from)
{
    struct producer *x = map_get_u64(&p->by_id, (uint64_t)from->id);
    if (!x) {
        x = mem_alloc(sizeof(*x));
        map_put_u64(&p->by_id, (uint64_t)from->id, x);
    }
    *x = *from;
}

/* Keeps the batches below `next`, oldest first. */
static void truncate_one(struct producer *x, uint64_t next)
{
    struct producer_batch kept[PRODUCER_WINDOW];
    uint8_t n = 0;
    for (int i = 0; i < x->count; i++) {
        const struct producer_batch *b = &x->batches[(x->newest + 1 + i) % x->count];
        if (b->base_offset < next)
            kept[n++] = *b;
    }
    memcpy(x->batches, kept, n * sizeof(*kept));
    x->count = n;
    x->newest = n ? n - 1 : 0;
}

void producers_truncate(struct producers *p, uint64_t next)
{
    size_t count;
    struct producer **all = producers_sorted(p, &count);
    for (size_t i = 0; i < count; i++) {
        truncate_one(all[i], next);
        if (all[i]->count == 0) {
            map_del_u64(&p->by_id, (uint64_t)all[i]->id);
            mem_free(all[i]);
        }
    }
    mem_free(all);
}
