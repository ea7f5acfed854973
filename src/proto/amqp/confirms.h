/* Publisher confirms of one channel: which of its publishes are not decided yet, and what to tell next.
 *
 * Each publish has a number, from 1, and as many parts as there are shards that store it. It is decided when
 * all parts are back: acknowledged, or refused if any part was. What is told is monotonic: nothing is told
 * of a publish before all that came before it, so that a client sees ascending tags only, and a run of equal
 * outcomes is one frame with `multiple`. */
#ifndef COLOBUS_PROTO_AMQP_CONFIRMS_H
#define COLOBUS_PROTO_AMQP_CONFIRMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONFIRMS_MAX_PARTS = 127 };

/* Invariants: [first, next) are the publishes not told yet, next - first <= cap; slots[seq % cap] holds the
 * parts of seq that are not back, with CONFIRMS_FAILED if one was refused. */
struct confirms {
    uint64_t first, next;
    uint8_t *slots; /* NULL: none is open */
    uint32_t cap;   /* 0 or a power of two */
};

void confirms_init(struct confirms *c);
void confirms_fini(struct confirms *c);
/* A publish with this many parts (0: it is decided already); returns its number. */
uint64_t confirms_publish(struct confirms *c, unsigned parts);
/* Is a part of `seq` not back yet? */
bool confirms_awaits(const struct confirms *c, uint64_t seq);
/* One part of `seq`, which is awaited, is back. */
void confirms_done(struct confirms *c, uint64_t seq, bool failed);
/* What to tell now: all from the last told one up to *ret_last. False: nothing. */
struct confirm {
    uint64_t last;
    bool multiple, nack;
};
bool confirms_next(struct confirms *c, struct confirm *ret);
/* Publishes that were not told yet. */
static inline uint64_t confirms_open(const struct confirms *c)
{
    return c->next - c->first;
}

#endif
