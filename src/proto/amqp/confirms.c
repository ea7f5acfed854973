#include "proto/amqp/confirms.h"

#include <assert.h>

#include "base/mem.h"

enum { FAILED = 0x80, MIN_SLOTS = 64, KEEP_SLOTS = 4096 };
_Static_assert((int)CONFIRMS_MAX_PARTS < (int)FAILED, "parts and the flag share a byte");

void confirms_init(struct confirms *c)
{
    *c = (struct confirms){.first = 1, .next = 1};
}

void confirms_fini(struct confirms *c)
{
    mem_free(c->slots);
    confirms_init(c);
}

static void grow(struct confirms *c)
{
    uint32_t cap = c->cap ? c->cap * 2 : MIN_SLOTS;
    assert(cap > c->cap);
    uint8_t *slots = mem_alloc(cap);
    for (uint64_t seq = c->first; seq < c->next; seq++)
        slots[seq & (cap - 1)] = c->slots[seq & (c->cap - 1)];
    mem_free(c->slots);
    c->slots = slots;
    c->cap = cap;
}

uint64_t confirms_publish(struct confirms *c, unsigned parts)
{
    assert(parts <= CONFIRMS_MAX_PARTS);
    if (c->next - c->first == c->cap)
        grow(c);
    c->slots[c->next & (c->cap - 1)] = (uint8_t)parts;
    return c->next++;
}

bool confirms_awaits(const struct confirms *c, uint64_t seq)
{
    return seq >= c->first && seq < c->next && (c->slots[seq & (c->cap - 1)] & ~FAILED);
}

void confirms_done(struct confirms *c, uint64_t seq, bool failed)
{
    assert(confirms_awaits(c, seq));
    uint8_t *slot = &c->slots[seq & (c->cap - 1)];
    *slot = (uint8_t)(*slot - 1) | (failed ? FAILED : 0);
}

/* A burst leaves no large table behind. */
static void shrink(struct confirms *c)
{
    if (c->first != c->next || c->cap <= KEEP_SLOTS)
        return;
    mem_free(c->slots);
    c->slots = NULL;
    c->cap = 0;
}

bool confirms_next(struct confirms *c, struct confirm *ret)
{
    uint64_t seq = c->first;
    if (seq == c->next)
        return false;
    uint8_t outcome = c->slots[seq & (c->cap - 1)];
    if (outcome & ~FAILED)
        return false;
    while (seq < c->next && c->slots[seq & (c->cap - 1)] == outcome)
        seq++;
    *ret = (struct confirm){.last = seq - 1, .multiple = seq - c->first > 1, .nack = outcome == FAILED};
    c->first = seq;
    shrink(c);
    return true;
}
