#include "base/map.h"

#include <assert.h>

#include "base/hash.h"
#include "base/mem.h"

void map_init(struct map *m)
{
    *m = (struct map){0};
}

void map_fini(struct map *m)
{
    mem_free(m->slots);
    map_init(m);
}

static struct span key_u64(uint64_t key)
{
    return (struct span){NULL, key};
}

static uint64_t key_hash(struct span key)
{
    return key.ptr ? hash_bytes(key) : hash_u64(key.len);
}

static bool key_eq(struct span a, struct span b)
{
    if (!a.ptr || !b.ptr)
        return a.ptr == b.ptr && a.len == b.len;
    return span_eq(a, b);
}

/* The slot that holds the key, or the free one where it would go. Load stays under 3/4, so one exists. */
static struct map_slot *probe(const struct map *m, struct span key, uint64_t hash)
{
    size_t i = hash & (m->cap - 1);
    while (m->slots[i].value && !(m->slots[i].hash == hash && key_eq(m->slots[i].key, key)))
        i = (i + 1) & (m->cap - 1);
    return &m->slots[i];
}

static void grow(struct map *m)
{
    struct map old = *m;
    assert(old.cap <= UINT32_MAX / 2);
    m->cap = old.cap ? old.cap * 2 : 16;
    m->slots = mem_zalloc(m->cap * sizeof(*m->slots));
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].value)
            *probe(m, old.slots[i].key, old.slots[i].hash) = old.slots[i];
    mem_free(old.slots);
}

void *map_get(const struct map *m, struct span key)
{
    return m->cap ? probe(m, key, key_hash(key))->value : NULL;
}

void map_put(struct map *m, struct span key, void *value)
{
    assert(value);
    if (m->count + 1 > m->cap / 4 * 3)
        grow(m);
    uint64_t hash = key_hash(key);
    struct map_slot *s = probe(m, key, hash);
    assert(!s->value);
    *s = (struct map_slot){key, hash, value};
    m->count++;
}

void *map_del(struct map *m, struct span key)
{
    if (!m->cap)
        return NULL;
    struct map_slot *s = probe(m, key, key_hash(key));
    void *value = s->value;
    if (!value)
        return NULL;
    size_t hole = (size_t)(s - m->slots), mask = m->cap - 1;
    for (size_t i = (hole + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
        size_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) { /* its home is at or before the hole: move it in */
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole].value = NULL;
    m->count--;
    return value;
}

void *map_get_u64(const struct map *m, uint64_t key)
{
    return map_get(m, key_u64(key));
}

void map_put_u64(struct map *m, uint64_t key, void *value)
{
    map_put(m, key_u64(key), value);
}

void *map_del_u64(struct map *m, uint64_t key)
{
    return map_del(m, key_u64(key));
}

void *map_next(const struct map *m, size_t *cursor)
{
    while (*cursor < m->cap) {
        void *value = m->slots[(*cursor)++].value;
        if (value)
            return value;
    }
    return NULL;
}
