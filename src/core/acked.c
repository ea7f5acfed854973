#include "core/acked.h"

#include <assert.h>

#include "base/mem.h"

enum { BLOCK_OFFSETS = 4096, WORDS = BLOCK_OFFSETS / 64 };

struct acked_block {
    uint32_t count;
    uint64_t bits[WORDS];
};

void acked_init(struct acked *a, uint64_t low)
{
    *a = (struct acked){.low = low};
    map_init(&a->blocks);
}

void acked_fini(struct acked *a)
{
    struct acked_block *b;
    for (size_t i = 0; (b = map_next(&a->blocks, &i));)
        mem_free(b);
    map_fini(&a->blocks);
}

static struct acked_block *block_of(const struct acked *a, uint64_t offset)
{
    return a->above ? map_get_u64(&a->blocks, offset / BLOCK_OFFSETS + 1) : NULL;
}

static bool bit(const struct acked_block *b, uint64_t offset)
{
    uint64_t at = offset % BLOCK_OFFSETS;
    return b->bits[at / 64] >> (at % 64) & 1;
}

bool acked_has(const struct acked *a, uint64_t offset)
{
    if (offset < a->low)
        return true;
    const struct acked_block *b = block_of(a, offset);
    return b && bit(b, offset);
}

static bool set_one(struct acked *a, uint64_t offset)
{
    struct acked_block *b = map_get_u64(&a->blocks, offset / BLOCK_OFFSETS + 1);
    if (!b) {
        b = mem_zalloc(sizeof(*b));
        map_put_u64(&a->blocks, offset / BLOCK_OFFSETS + 1, b);
    }
    if (bit(b, offset))
        return false;
    b->bits[offset % BLOCK_OFFSETS / 64] |= 1ull << (offset % 64);
    b->count++;
    a->above++;
    return true;
}

/* The mark moves over what follows it. */
static void advance(struct acked *a)
{
    struct acked_block *b;
    while ((b = block_of(a, a->low)) && bit(b, a->low)) {
        b->bits[a->low % BLOCK_OFFSETS / 64] &= ~(1ull << (a->low % 64));
        a->above--;
        if (--b->count == 0) {
            map_del_u64(&a->blocks, a->low / BLOCK_OFFSETS + 1);
            mem_free(b);
        }
        a->low++;
    }
}

/* What the mark leaves behind, when it jumps. */
static uint64_t forget_below(struct acked *a, uint64_t low)
{
    uint64_t known = acked_count(a, a->low, low);
    uint64_t block = a->low / BLOCK_OFFSETS;
    for (; known && a->above && block <= (low - 1) / BLOCK_OFFSETS; block++) {
        struct acked_block *b = map_get_u64(&a->blocks, block + 1);
        for (uint64_t o = block * BLOCK_OFFSETS; b && o < low && o < (block + 1) * BLOCK_OFFSETS; o++) {
            if (!bit(b, o))
                continue;
            b->bits[o % BLOCK_OFFSETS / 64] &= ~(1ull << (o % 64));
            a->above--;
            b->count--;
        }
        if (b && b->count == 0) {
            map_del_u64(&a->blocks, block + 1);
            mem_free(b);
        }
    }
    return known;
}

uint64_t acked_add(struct acked *a, uint64_t first, uint64_t last)
{
    uint64_t added = 0;
    assert(first <= last && last < UINT64_MAX);
    if (first <= a->low) {
        if (last < a->low)
            return 0;
        added = last + 1 - a->low - forget_below(a, last + 1);
        a->low = last + 1;
        advance(a);
        return added;
    }
    for (uint64_t o = first; o <= last; o++)
        added += set_one(a, o);
    return added;
}

uint64_t acked_count(const struct acked *a, uint64_t from, uint64_t to)
{
    uint64_t n = 0, first, last;
    if (from < a->low) {
        n = (to < a->low ? to : a->low) - from;
        from = a->low;
    }
    while (from < to && acked_next_run(a, from, to, &first, &last)) {
        n += last - first + 1;
        from = last + 1;
    }
    return n;
}

/* The first offset >= from within the block whose bit is `set`. */
static uint64_t scan(const struct acked_block *b, uint64_t from, bool set)
{
    uint64_t base = from - from % BLOCK_OFFSETS, at = from % BLOCK_OFFSETS;
    while (at < BLOCK_OFFSETS) {
        uint64_t w = b->bits[at / 64];
        w = (set ? w : ~w) >> (at % 64);
        if (w)
            return base + at + (unsigned)__builtin_ctzll(w);
        at = (at / 64 + 1) * 64;
    }
    return base + BLOCK_OFFSETS;
}

bool acked_next_run(const struct acked *a, uint64_t from, uint64_t end, uint64_t *ret_first,
                    uint64_t *ret_last)
{
    bool found = false;
    if (from < a->low)
        from = a->low;
    for (uint64_t o = from; o < end && a->above;) {
        const struct acked_block *b = block_of(a, o);
        uint64_t next = (o / BLOCK_OFFSETS + 1) * BLOCK_OFFSETS;
        if (!found) {
            o = b ? scan(b, o, true) : next;
            if (b && o < next && o < end) {
                found = true;
                *ret_first = o;
            }
            continue;
        }
        o = b ? scan(b, o, false) : o;
        *ret_last = o - 1;
        if (!b || o < next)
            break;
    }
    if (found && *ret_last >= end)
        *ret_last = end - 1;
    return found;
}
