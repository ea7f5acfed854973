/* Inside publishers: what their files ask of each other. */
#ifndef COLOBUS_CORE_PUBLISHER_IMPL_H
#define COLOBUS_CORE_PUBLISHER_IMPL_H

#include "core/publisher.h"

enum {
    PUBLISHER_RUN_ITEMS = 4096,    /* messages of one run or batch */
    PUBLISHER_RUN_BYTES = 1 << 20, /* of messages, after which a run leaves early */
};

/* To the subscriptions of an exchange with `subjects`; how many hear it. */
uint64_t publisher_tell_subjects(struct shard *s, struct vspace *v, const struct message *m, bool more_keys,
                                 struct chunk *chunk, struct conn *c);

/* ---- publisher_echo.c: what subscriptions hear when it is durable -------------------------------------- */

struct echo;

/* Those that wait for one operation. Zeroes are none. */
struct echoes {
    struct echo **items;
    uint32_t count, cap;
};

/* NULL: it need not wait, or nobody could hear it. Else it waits for the call's own part, which ends with
 * echo_part_over(), and for those added. */
struct echo *echo_new(struct publisher *p, const struct message *m, const struct routed *to,
                      struct chunk *chunk);
void echoes_add(struct echoes *all, struct echo *e);
/* The operation is over, well or not. `c`: the publisher's connection; NULL: it has died. */
void echoes_over(struct echoes *all, struct conn *c);
void echo_part_over(struct echo *e, struct conn *c);
void echo_line_close(struct publisher *p);

/* ---- publisher_posts.c: publishes that go to topics ---------------------------------------------------- */

/* Adds the message to the batches of its topics; `e` may be NULL. */
void publisher_post(struct publisher *p, const struct message *m, const struct routed *to, uint64_t tag,
                    struct echo *e);
void publisher_flush_posts(struct publisher *p);
void publisher_free_posts(struct publisher *p);

#endif
