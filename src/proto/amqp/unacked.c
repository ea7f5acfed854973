#include "proto/amqp/unacked.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

enum { MIN_ENTRIES = 16, KEEP_ENTRIES = 1024 };

void unacked_init(struct unacked *u)
{
    *u = (struct unacked){0};
}

void unacked_fini(struct unacked *u)
{
    mem_free(u->entries);
    unacked_init(u);
}

static void squeeze(struct unacked *u)
{
    uint32_t to = 0;
    for (uint32_t i = u->first; i < u->end; i++)
        if (u->entries[i].who)
            u->entries[to++] = u->entries[i];
    u->first = 0;
    u->end = to;
    assert(u->end == u->live);
}

static void make_room(struct unacked *u)
{
    if (u->end < u->cap)
        return;
    if (u->cap && u->live <= u->cap / 2) {
        squeeze(u);
        return;
    }
    u->cap = u->cap ? u->cap * 2 : MIN_ENTRIES;
    u->entries = mem_realloc(u->entries, u->cap * sizeof(*u->entries));
}

void unacked_add(struct unacked *u, uint64_t tag, void *who, uint64_t lease, uint64_t at_ms)
{
    assert(who);
    assert(u->first == u->end || u->entries[u->end - 1].tag < tag);
    make_room(u);
    u->entries[u->end++] = (struct unacked_entry){tag, lease, at_ms, who};
    u->live++;
}

const struct unacked_entry *unacked_first(const struct unacked *u)
{
    return u->live ? &u->entries[u->first] : NULL;
}

/* NULL: there is none with this tag. */
static struct unacked_entry *find(const struct unacked *u, uint64_t tag)
{
    uint32_t low = u->first, high = u->end;
    if (low == high || tag < u->entries[low].tag)
        return NULL;
    uint64_t guess = tag - u->entries[low].tag; /* right if there is no gap */
    if (guess < high - low && u->entries[low + guess].tag == tag)
        low += (uint32_t)guess;
    else
        while (high - low > 1) {
            uint32_t middle = low + (high - low) / 2;
            *(u->entries[middle].tag <= tag ? &low : &high) = middle;
        }
    struct unacked_entry *e = &u->entries[low];
    return e->tag == tag && e->who ? e : NULL;
}

static void trim(struct unacked *u)
{
    while (u->first < u->end && !u->entries[u->first].who)
        u->first++;
    while (u->first < u->end && !u->entries[u->end - 1].who)
        u->end--;
    if (u->first < u->end)
        return;
    u->first = u->end = 0;
    if (u->cap > KEEP_ENTRIES)
        unacked_fini(u);
}

int unacked_take(struct unacked *u, uint64_t tag, bool multiple,
                 void (*fn)(void *arg, const struct unacked_entry *e), void *arg)
{
    struct unacked_entry *last = NULL;
    if (tag == 0 && multiple) { /* AMQP 0-9-1, basic.ack: all outstanding */
        if (u->live == 0)
            return 0;
        last = &u->entries[u->end - 1];
    } else {
        last = find(u, tag);
    }
    if (!last)
        return ERR_NOT_FOUND;
    for (struct unacked_entry *e = multiple ? &u->entries[u->first] : last; e <= last; e++) {
        if (!e->who)
            continue;
        fn(arg, e);
        e->who = NULL;
        u->live--;
    }
    trim(u);
    return 0;
}

void unacked_put_back(struct unacked *u, const struct unacked_entry *entries, uint32_t n)
{
    uint32_t had = (squeeze(u), u->live), i = had;
    if (n == 0)
        return;
    while (u->cap < had + n)
        u->cap = u->cap ? u->cap * 2 : MIN_ENTRIES;
    u->entries = mem_realloc(u->entries, u->cap * sizeof(*u->entries));
    uint32_t to = had + n;
    for (uint32_t k = n; k > 0;) { /* a merge from the back */
        if (i > 0 && u->entries[i - 1].tag > entries[k - 1].tag)
            u->entries[--to] = u->entries[--i];
        else
            u->entries[--to] = entries[--k];
    }
    u->end = u->live = had + n;
}
