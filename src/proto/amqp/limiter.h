/* The limit of a channel over all its consumers (basic.qos with global=true in RabbitMQ's words).
 *
 * Consumers deliver against credit that is given out of the limit's room. One that has something and no
 * credit waits in line; what room there is is dealt out evenly to who waits. A limit may be raised and
 * lowered while consumers run: what was given out stays given, and nothing more is until there is room again.
 */
#ifndef COLOBUS_PROTO_AMQP_LIMITER_H
#define COLOBUS_PROTO_AMQP_LIMITER_H

#include <stdint.h>

#include "base/list.h"

/* Embedded in a consumer. */
struct limited {
    struct list link;
    uint32_t granted; /* credit it has */
};

/* Invariant: granted is the sum over all limited consumers. */
struct limiter {
    uint32_t limit;   /* 0: there is none */
    uint32_t unacked; /* deliveries of consumers that need an acknowledgement */
    uint32_t granted;
    uint32_t waiting;
    struct list line; /* struct limited */
};

void limiter_init(struct limiter *l);
void limited_init(struct limited *c);
/* It could deliver, had it credit. */
void limiter_wait(struct limiter *l, struct limited *c);
/* Whom to give how much now. NULL: nobody. */
struct limited *limiter_next(struct limiter *l, uint32_t *ret_credit);
/* A consumer delivered `n` messages against its credit, and gave back `unused` of it. */
void limiter_delivered(struct limiter *l, struct limited *c, uint32_t n, uint32_t unused);
void limiter_settled(struct limiter *l, uint32_t n);
/* It takes part no more; what it delivered stays counted until it is settled. */
void limiter_leave(struct limiter *l, struct limited *c);

#endif
