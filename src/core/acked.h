/* Which offsets of a log are acknowledged: all below a low-water mark, and a set above it.
 *
 * Above the mark, blocks of 4096 offsets are a bitmap each, made when the first of them is acknowledged, and
 * gone when the mark has passed. */
#ifndef COLOBUS_CORE_ACKED_H
#define COLOBUS_CORE_ACKED_H

#include "base/map.h"

struct acked {
    uint64_t low;      /* all below are acknowledged, this one is not */
    uint64_t above;    /* how many above it are */
    struct map blocks; /* number + 1 -> struct acked_block */
};

void acked_init(struct acked *a, uint64_t low);
void acked_fini(struct acked *a);
/* [first, last]; what is acknowledged already does no harm. Returns how many were not. */
uint64_t acked_add(struct acked *a, uint64_t first, uint64_t last);
bool acked_has(const struct acked *a, uint64_t offset);
/* How many in [from, to) are. */
uint64_t acked_count(const struct acked *a, uint64_t from, uint64_t to);
/* The next run [*ret_first, *ret_last] of those at or above `from`; false: there is none. Sorted. */
bool acked_next_run(const struct acked *a, uint64_t from, uint64_t end, uint64_t *ret_first,
                    uint64_t *ret_last);

#endif
