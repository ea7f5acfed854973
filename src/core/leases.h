/* The leases of one consumer, by number: numbers ascend without gaps, and are settled in any order.
 *
 * What is settled out of order leaves a hole; holes are squeezed out when they are more than the rest, so
 * that one old lease does not hold the memory of all that came after it. */
#ifndef COLOBUS_CORE_LEASES_H
#define COLOBUS_CORE_LEASES_H

#include <stddef.h>
#include <stdint.h>

struct entry;

struct lease {
    uint64_t number;
    struct entry *entry; /* NULL: a hole */
};

/* Invariants: items [first, end) have ascending numbers; `live` of them are no holes; the first is none. */
struct leases {
    struct lease *items;
    uint32_t first, end, cap, live;
    uint64_t last; /* number given out last; 0: none */
};

void leases_fini(struct leases *l);
/* Its number. */
uint64_t leases_add(struct leases *l, struct entry *e);
/* The first lease with a number >= `number`, in *ret_number; NULL: there is none. */
struct entry *leases_next(const struct leases *l, uint64_t number, uint64_t *ret_number);
/* Takes a lease out that leases_next() has shown. */
void leases_take(struct leases *l, uint64_t number);

#endif
