/* Deliveries of one channel that its client has not settled yet, by delivery tag.
 *
 * Tags ascend, with gaps where deliveries needed no acknowledgement. What is settled out of order leaves a
 * hole; holes are squeezed out when they are more than the rest, so that one old delivery does not hold the
 * memory of all that came after it. */
#ifndef COLOBUS_PROTO_AMQP_UNACKED_H
#define COLOBUS_PROTO_AMQP_UNACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `who` is the consumer, never NULL; in the table NULL is a hole. */
struct unacked_entry {
    uint64_t tag, lease;
    uint64_t at_ms; /* when it was delivered, by a clock that does not jump */
    void *who;
};

/* Invariants: entries [first, end) have ascending tags; `live` of them are no holes; first and last entry are
 * none. */
struct unacked {
    struct unacked_entry *entries;
    uint32_t first, end, cap, live;
};

void unacked_init(struct unacked *u);
void unacked_fini(struct unacked *u);
/* `tag` is above all that were added before. */
void unacked_add(struct unacked *u, uint64_t tag, void *who, uint64_t lease, uint64_t at_ms);
/* The oldest. NULL: none. */
const struct unacked_entry *unacked_first(const struct unacked *u);
/* Takes out the delivery with this tag, with `multiple` all up to it, too; tag 0 with multiple: all there
 * are. fn hears of each, in order. ERR_NOT_FOUND: there is no such tag, and nothing happened. */
int unacked_take(struct unacked *u, uint64_t tag, bool multiple,
                 void (*fn)(void *arg, const struct unacked_entry *e), void *arg);
/* Puts back what was taken: `n` entries, sorted by tag (a rolled back transaction). */
void unacked_put_back(struct unacked *u, const struct unacked_entry *entries, uint32_t n);

#endif
