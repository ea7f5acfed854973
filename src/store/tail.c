/* Tails: references to the newest batches of each log, in chunks that all logs of a shard share. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/log_impl.h"

void tail_init(struct tail *t)
{
    *t = (struct tail){0};
}

void tail_fini(struct tail *t)
{
    for (size_t i = 0; i < t->count; i++)
        chunk_unref(tail_at(t, i)->chunk);
    mem_free(t->batches);
    tail_init(t);
}

struct tail_batch *tail_at(const struct tail *t, size_t i)
{
    assert(i < t->count);
    return &t->batches[t->first + i];
}

void tail_push(struct tail *t, const struct tail_batch *b)
{
    if (t->first + t->count == t->cap) {
        if (t->first > t->cap / 2) {
            memmove(t->batches, t->batches + t->first, t->count * sizeof(*t->batches));
            t->first = 0;
        } else {
            t->cap = t->cap ? t->cap * 2 : 4;
            t->batches = mem_realloc(t->batches, t->cap * sizeof(*t->batches));
        }
    }
    t->batches[t->first + t->count++] = *b;
    t->bytes += b->len;
}

void tail_drop_first(struct tail *t)
{
    struct tail_batch *b = tail_at(t, 0);
    t->bytes -= b->len;
    chunk_unref(b->chunk);
    t->first++;
    t->count--;
    if (t->count == 0)
        tail_fini(t);
}

size_t tail_find(const struct tail *t, uint64_t offset)
{
    size_t lo = 0, hi = t->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct tail_batch *b = tail_at(t, mid);
        if (b->base + b->count <= offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Copies a batch into the chunk being filled; the result holds one reference. ERR_NO_MEMORY. */
int tail_store(struct store_shard *ss, struct span batch, struct tail_batch *ret)
{
    struct chunk *c = ss->tail_chunk;
    if (!c || c->cap - c->used < batch.len) {
        size_t cap = batch.len + -batch.len % TAIL_ROUND_BYTES; /* so that large ones fit again */
        c = chunk_new(&ss->tail_pool, cap);
        if (!c)
            return ERR_NO_MEMORY;
        if (c->cap - batch.len > TAIL_CHUNK_BYTES / 8) { /* worth filling further */
            chunk_unref(ss->tail_chunk);
            ss->tail_chunk = chunk_ref(c);
        }
    } else {
        chunk_ref(c);
    }
    uint8_t *p = c->data + c->used;
    memcpy(p, batch.ptr, batch.len);
    c->used += (uint32_t)batch.len;
    *ret = (struct tail_batch){.chunk = c, .ptr = p, .len = (uint32_t)batch.len};
    return 0;
}

/* Small remnants of many logs can keep many chunks alive, each nearly empty: copies them together. */
void tail_compact(struct store_shard *ss)
{
    chunk_unref(ss->tail_chunk); /* remnants go to fresh chunks */
    ss->tail_chunk = NULL;
    list_each (it, &ss->tails) {
        struct log *l = list_entry(it, struct log, tail_link);
        if (l->flush) /* its job holds the chunks anyway */
            continue;
        for (size_t i = 0; i < l->tail_durable; i++) { /* what is in flight is read by the journal's thread */
            struct tail_batch *b = tail_at(&l->tail, i), moved;
            if (tail_store(ss, span_of(b->ptr, b->len), &moved) != 0)
                return;
            chunk_unref(b->chunk);
            b->chunk = moved.chunk;
            b->ptr = moved.ptr;
        }
    }
}
