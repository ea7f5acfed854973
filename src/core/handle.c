#include "core/handle.h"

#include <assert.h>

#include "base/mem.h"

enum { NO_SLOT = UINT32_MAX };

struct handle_slot {
    void *thing; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

void handle_table_init(struct handle_table *t, uint16_t shard)
{
    *t = (struct handle_table){.free_head = NO_SLOT, .shard = shard};
}

void handle_table_fini(struct handle_table *t)
{
    mem_free(t->slots);
    handle_table_init(t, t->shard);
}

static void grow(struct handle_table *t)
{
    uint32_t cap = t->cap ? t->cap * 2 : 16;
    assert(cap > t->cap);
    t->slots = mem_realloc(t->slots, cap * sizeof(*t->slots));
    for (uint32_t i = cap; i-- > t->cap;) {
        t->slots[i] = (struct handle_slot){NULL, 1, t->free_head};
        t->free_head = i;
    }
    t->cap = cap;
}

struct handle handle_new(struct handle_table *t, void *thing)
{
    assert(thing);
    if (t->free_head == NO_SLOT)
        grow(t);
    uint32_t i = t->free_head;
    t->free_head = t->slots[i].next_free;
    t->slots[i].thing = thing;
    t->live++;
    return (struct handle){i, t->slots[i].generation, t->shard};
}

void *handle_get(const struct handle_table *t, struct handle h)
{
    if (h.generation == 0 || h.index >= t->cap)
        return NULL;
    assert(h.shard == t->shard);
    const struct handle_slot *s = &t->slots[h.index];
    return s->generation == h.generation ? s->thing : NULL;
}

void handle_free(struct handle_table *t, struct handle h)
{
    assert(handle_get(t, h));
    struct handle_slot *s = &t->slots[h.index];
    s->thing = NULL;
    if (++s->generation == 0) /* never given out */
        s->generation = 1;
    s->next_free = t->free_head;
    t->free_head = h.index;
    t->live--;
}

void *handle_next(const struct handle_table *t, uint32_t *cursor)
{
    while (*cursor < t->cap) {
        void *thing = t->slots[(*cursor)++].thing;
        if (thing)
            return thing;
    }
    return NULL;
}
