#include "base/chunk.h"

#include <assert.h>

#include "base/mem.h"

enum { CHUNK_MAX_BYTES = 1 << 30 };

void chunk_pool_init(struct chunk_pool *p, const char *name, size_t chunk_bytes, size_t keep)
{
    *p = (struct chunk_pool){.name = name, .chunk_bytes = chunk_bytes, .keep = keep};
}

/* Takes over what other threads gave back: push-only by them, taken whole by us, hence no ABA problem. */
static void collect(struct chunk_pool *p)
{
    struct chunk *c = atomic_exchange_explicit(&p->returned, NULL, memory_order_acquire);
    while (c) {
        struct chunk *next = c->next;
        if (p->free_count < p->keep) {
            c->next = p->free;
            p->free = c;
            p->free_count++;
        } else {
            mem_free(c);
        }
        c = next;
    }
}

void chunk_pool_trim(struct chunk_pool *p)
{
    collect(p);
}

void chunk_pool_fini(struct chunk_pool *p)
{
    assert(atomic_load(&p->used_bytes) == 0);
    collect(p);
    while (p->free) {
        struct chunk *c = p->free;
        p->free = c->next;
        mem_free(c);
    }
    p->free_count = 0;
}

static struct chunk *take_free(struct chunk_pool *p)
{
    if (!p->free)
        collect(p);
    struct chunk *c = p->free;
    if (c) {
        p->free = c->next;
        p->free_count--;
    }
    return c;
}

struct chunk *chunk_new(struct chunk_pool *p, size_t cap)
{
    assert(cap <= CHUNK_MAX_BYTES);
    struct chunk *c = NULL;
    if (cap <= p->chunk_bytes) {
        cap = p->chunk_bytes;
        c = take_free(p);
    }
    if (!c)
        c = mem_try(sizeof(*c) + cap);
    if (!c)
        return NULL;
    atomic_init(&c->refs, 1);
    c->cap = (uint32_t)cap;
    c->used = 0;
    c->pool = p;
    c->next = NULL;
    atomic_fetch_add_explicit(&p->used_bytes, cap, memory_order_relaxed);
    return c;
}

struct chunk *chunk_ref(struct chunk *c)
{
    uint32_t old = atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    assert(old > 0 && old < UINT32_MAX);
    (void)old;
    return c;
}

void chunk_unref(struct chunk *c)
{
    if (!c)
        return;
    uint32_t old = atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel);
    assert(old > 0);
    if (old != 1)
        return;
    struct chunk_pool *p = c->pool;
    size_t cap = c->cap;
    if (cap == p->chunk_bytes && p->keep) {
        struct chunk *head = atomic_load_explicit(&p->returned, memory_order_relaxed);
        do {
            c->next = head;
        } while (!atomic_compare_exchange_weak_explicit(&p->returned, &head, c, memory_order_release,
                                                        memory_order_relaxed));
    } else {
        mem_free(c);
    }
    atomic_fetch_sub_explicit(&p->used_bytes, cap, memory_order_release);
}
