#include "base/chunk.h"

#include <assert.h>

#include "base/mem.h"

enum { CHUNK_MAX_BYTES = 1 << 30 };

void chunk_pool_init(struct chunk_pool *p, const char *name, size_t chunk_bytes, size_t keep)
{
    *p = (struct chunk_pool){.name = name, .chunk_bytes = chunk_bytes, .keep = keep};
}

static void keep_or_free(struct chunk_pool *p, struct chunk *c)
{
    if (c->cap == p->chunk_bytes && p->free_count < p->keep) {
        c->next = p->free;
        p->free = c;
        p->free_count++;
    } else if (c->cap > p->chunk_bytes && p->large_bytes + c->cap <= p->keep_large) {
        c->next = p->large;
        p->large = c;
        p->large_bytes += c->cap;
    } else {
        mem_free(c);
    }
}

/* Takes over what other threads gave back: push-only by them, taken whole by us, hence no ABA problem. */
static void collect(struct chunk_pool *p)
{
    struct chunk *c = atomic_exchange_explicit(&p->returned, NULL, memory_order_acquire);
    while (c) {
        struct chunk *next = c->next;
        keep_or_free(p, c);
        c = next;
    }
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
    if (p->free_count < p->free_low)
        p->free_low = p->free_count;
    return c;
}

/* The smallest that is large enough. There are few. */
static struct chunk *take_large(struct chunk_pool *p, size_t cap)
{
    struct chunk **best = NULL;
    if (p->keep_large)
        collect(p);
    for (struct chunk **at = &p->large; *at; at = &(*at)->next)
        if ((*at)->cap >= cap && (!best || (*at)->cap < (*best)->cap))
            best = at;
    struct chunk *c = best ? *best : NULL;
    if (c) {
        *best = c->next;
        p->large_bytes -= c->cap;
    }
    if (p->large_bytes < p->large_low)
        p->large_low = p->large_bytes;
    return c;
}

void chunk_pool_trim(struct chunk_pool *p)
{
    collect(p);
    for (size_t n = p->free_low < p->free_count ? p->free_low : p->free_count; n > 0; n--)
        mem_free(take_free(p));
    for (size_t n = p->large_low; n > 0 && p->large;) {
        struct chunk *c = take_large(p, 0);
        n = n > c->cap ? n - c->cap : 0;
        mem_free(c);
    }
    p->free_low = p->free_count;
    p->large_low = p->large_bytes;
}

bool chunk_pool_keeps(const struct chunk_pool *p)
{
    return p->free || p->large || atomic_load_explicit(&p->returned, memory_order_relaxed);
}

void chunk_pool_fini(struct chunk_pool *p)
{
    assert(atomic_load(&p->used_bytes) == 0);
    collect(p);
    while (p->free)
        mem_free(take_free(p));
    while (p->large)
        mem_free(take_large(p, 0));
}

static struct chunk *begin(struct chunk_pool *p, struct chunk *c)
{
    atomic_init(&c->refs, 1);
    c->used = 0;
    c->pool = p;
    c->next = NULL;
    atomic_fetch_add_explicit(&p->used_bytes, c->cap, memory_order_relaxed);
    return c;
}

struct chunk *chunk_take_kept(struct chunk_pool *p, size_t cap)
{
    struct chunk *c = cap <= p->chunk_bytes ? take_free(p) : take_large(p, cap);
    return c ? begin(p, c) : NULL;
}

struct chunk *chunk_new(struct chunk_pool *p, size_t cap)
{
    assert(cap <= CHUNK_MAX_BYTES);
    struct chunk *c = chunk_take_kept(p, cap);
    if (c)
        return c;
    if (cap < p->chunk_bytes)
        cap = p->chunk_bytes;
    c = mem_try(sizeof(*c) + cap);
    if (!c)
        return NULL;
    c->cap = (uint32_t)cap;
    return begin(p, c);
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
    if (cap == p->chunk_bytes ? p->keep : p->keep_large) {
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
