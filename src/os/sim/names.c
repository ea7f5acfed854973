#include "os/sim/names.h"

#include <string.h>

void names_fini(struct names *t)
{
    for (size_t i = 0; i < t->count; i++)
        blob_unref(t->items[i].text);
    sim_free(t->items);
    *t = (struct names){0};
}

void names_copy(struct names *dst, const struct names *src)
{
    *dst = (struct names){.count = src->count, .cap = src->count};
    dst->items = sim_zalloc(src->count * sizeof *src->items);
    for (size_t i = 0; i < src->count; i++) {
        dst->items[i] = src->items[i];
        blob_ref(src->items[i].text);
    }
}

/* Where the name is, or would be. */
static size_t place(const struct names *t, struct span name)
{
    size_t lo = 0, hi = t->count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (span_cmp(blob_span(t->items[mid].text), name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool is_at(const struct names *t, size_t at, struct span name)
{
    return at < t->count && span_eq(blob_span(t->items[at].text), name);
}

uint32_t names_get(const struct names *t, struct span name)
{
    size_t at = place(t, name);
    return is_at(t, at, name) ? t->items[at].ino : 0;
}

void names_put(struct names *t, struct blob *name, uint32_t ino)
{
    size_t at = place(t, blob_span(name));
    if (is_at(t, at, blob_span(name))) {
        t->items[at].ino = ino;
        return;
    }
    t->items = sim_grow(t->items, t->count, &t->cap, sizeof *t->items);
    memmove(t->items + at + 1, t->items + at, (t->count - at) * sizeof *t->items);
    t->items[at] = (struct name){blob_ref(name), ino};
    t->count++;
}

void names_del(struct names *t, struct span name)
{
    size_t at = place(t, name);
    if (!is_at(t, at, name))
        return;
    blob_unref(t->items[at].text);
    t->count--;
    memmove(t->items + at, t->items + at + 1, (t->count - at) * sizeof *t->items);
}
