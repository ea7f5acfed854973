#include "base/ptrset.h"

#include <assert.h>

#include "base/mem.h"

enum { MIN_CAP = 8 };

void ptrset_init(struct ptrset *s)
{
    *s = (struct ptrset){0};
}

void ptrset_fini(struct ptrset *s)
{
    mem_free(s->hashes);
    mem_free(s->items);
    ptrset_init(s);
}

static void place(struct ptrset *s, uint32_t hash, void *item)
{
    size_t i = hash & (s->cap - 1);
    while (s->items[i])
        i = (i + 1) & (s->cap - 1);
    s->hashes[i] = hash;
    s->items[i] = item;
}

static void resize(struct ptrset *s, size_t cap)
{
    struct ptrset old = *s;
    s->cap = cap;
    s->hashes = mem_zalloc(cap * sizeof(*s->hashes));
    s->items = mem_zalloc(cap * sizeof(*s->items));
    for (size_t i = 0; i < old.cap; i++)
        if (old.items[i])
            place(s, old.hashes[i], old.items[i]);
    mem_free(old.hashes);
    mem_free(old.items);
}

void *ptrset_get(const struct ptrset *s, uint64_t hash, ptrset_eq *eq, const void *key)
{
    uint32_t h = (uint32_t)hash;
    if (!s->cap)
        return NULL;
    for (size_t i = h & (s->cap - 1); s->items[i]; i = (i + 1) & (s->cap - 1))
        if (s->hashes[i] == h && eq(s->items[i], key))
            return s->items[i];
    return NULL;
}

void ptrset_put(struct ptrset *s, uint64_t hash, void *item)
{
    assert(item);
    if ((s->count + 1) * 4 > s->cap * 3)
        resize(s, s->cap ? s->cap * 2 : MIN_CAP);
    place(s, (uint32_t)hash, item);
    s->count++;
}

void ptrset_del(struct ptrset *s, uint64_t hash, const void *item)
{
    size_t mask = s->cap - 1, hole = (uint32_t)hash & mask;
    assert(s->count > 0);
    while (s->items[hole] != item) {
        assert(s->items[hole]);
        hole = (hole + 1) & mask;
    }
    for (size_t i = (hole + 1) & mask; s->items[i]; i = (i + 1) & mask)
        if (((i - s->hashes[i]) & mask) >= ((i - hole) & mask)) { /* its home is at or before the hole */
            s->hashes[hole] = s->hashes[i];
            s->items[hole] = s->items[i];
            hole = i;
        }
    s->items[hole] = NULL;
    s->count--;
    if (s->cap > MIN_CAP && s->count * 8 < s->cap)
        resize(s, s->cap / 2);
}

void *ptrset_next(const struct ptrset *s, size_t *cursor)
{
    while (*cursor < s->cap) {
        void *item = s->items[(*cursor)++];
        if (item)
            return item;
    }
    return NULL;
}
