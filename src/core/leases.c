#include "core/leases.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

enum { FIRST_CAP = 4 };

void leases_fini(struct leases *l)
{
    mem_free(l->items);
    *l = (struct leases){.last = l->last};
}

static void squeeze(struct leases *l)
{
    uint32_t to = 0;
    for (uint32_t i = l->first; i < l->end; i++)
        if (l->items[i].entry)
            l->items[to++] = l->items[i];
    l->first = 0;
    l->end = to;
}

static void make_room(struct leases *l)
{
    if (l->end < l->cap)
        return;
    if (l->live > l->cap / 2 || l->cap == 0) {
        l->cap = l->cap ? l->cap * 2 : FIRST_CAP;
        l->items = mem_realloc(l->items, l->cap * sizeof(*l->items));
    }
    squeeze(l);
}

uint64_t leases_add(struct leases *l, struct entry *e)
{
    make_room(l);
    l->items[l->end++] = (struct lease){++l->last, e};
    l->live++;
    return l->last;
}

/* The first item with a number >= `number`; l->end: none. Mostly there are no holes before it. */
static uint32_t find(const struct leases *l, uint64_t number)
{
    uint32_t low = l->first, high = l->end;
    if (low == high || number <= l->items[low].number)
        return low;
    if (number - l->items[low].number < high - low &&
        l->items[low + (number - l->items[low].number)].number == number)
        return low + (uint32_t)(number - l->items[low].number);
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (l->items[mid].number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct entry *leases_next(const struct leases *l, uint64_t number, uint64_t *ret_number)
{
    for (uint32_t i = find(l, number); i < l->end; i++) {
        if (!l->items[i].entry)
            continue;
        *ret_number = l->items[i].number;
        return l->items[i].entry;
    }
    return NULL;
}

void leases_take(struct leases *l, uint64_t number)
{
    uint32_t i = find(l, number);
    assert(i < l->end && l->items[i].number == number && l->items[i].entry);
    l->items[i].entry = NULL;
    l->live--;
    while (l->first < l->end && !l->items[l->first].entry)
        l->first++;
    if (l->first == l->end)
        l->first = l->end = 0;
}
