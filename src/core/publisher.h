/* Publishing for a connection: from a message to all that its exchange leads to.
 *
 * What a connection publishes within one input is gathered into one run for each shard with queues for it,
 * one batch for each partition, and goes to subscriptions at once. Nothing is looked up in the usual case but
 * the route of the key, and nothing allocated. */
#ifndef COLOBUS_CORE_PUBLISHER_H
#define COLOBUS_CORE_PUBLISHER_H

#include "core/queue.h"
#include "core/space.h"
#include "core/subject.h"
#include "core/topic_post.h"

/* ---- routes ------------------------------------------------------------------------------------------- */

struct routed_queue {
    uint64_t id;
    unsigned shard;
};
/* Where a message goes: queues sorted by shard, ways into topics, and subscriptions. Valid until the next
 * look-up on this shard. */
struct routed {
    const struct routed_queue *queues;
    const struct topic_way *topics;
    uint32_t queue_count, topic_count;
    struct vspace *space; /* it was routed in */
    bool subjects;        /* it came by amq.topic: subscriptions of the virtual host hear it */
    bool more_keys;       /* the message's format has further keys for it: they hear each as a subject */
    bool found;           /* it went somewhere, be it no queue; without subscriptions */
    uint64_t delayed_id;  /* the delay queue that it goes to first, for delay_ms; 0: none */
    int64_t delay_ms;
};
/* By what was found before, while the tables stay the same (a table for each shard, direct-mapped); else by
 * route_message(). The key is one that exchanges can be asked about, of up to 255 bytes. `more_keys`: the
 * message's format has further keys for it. */
void route_look_up(struct shard *s, struct vspace *v, struct exchange *x, const struct message *m,
                   bool more_keys, struct routed *ret);

/* ---- publishers ---------------------------------------------------------------------------------------- */

enum { PUBLISHER_MAX_SHARDS = 64 };

struct publisher_ops {
    /* A part of the publish with this tag (not 0) is over: err 0, or why not. May come inside
     * publisher_send() and publisher_flush(). */
    void (*part)(struct conn *c, uint64_t tag, int err);
    /* Several parts were told: now is the time to answer. */
    void (*parts_told)(struct conn *c);
};

/* Embedded in the front end's state of a connection, or allocated when it first publishes. */
struct publisher {
    struct conn *conn;
    const struct publisher_ops *ops; /* NULL: nobody asks, tags are 0 */
    uint64_t gathered;               /* shards with a run, a bit each */
    struct publisher_run *runs[PUBLISHER_MAX_SHARDS];
    struct publisher_posts *posts; /* NULL: nothing has gone to a topic yet */
    struct echo_line *echoes;      /* NULL: subscriptions have not had to wait yet */
};
void publisher_init(struct publisher *p, struct conn *c, const struct publisher_ops *ops);
/* After publisher_flush(). */
void publisher_fini(struct publisher *p);

/* How many parts publisher_send() will tell. */
unsigned publisher_parts_of(const struct routed *to);
/* Adds the message to the runs of all its targets, and gives it to subscriptions; returns how many of them
 * hear it now. `chunk`: where the spans of m lie; NULL, for a message without targets only: they are borrowed
 * for the call.
 *
 * A persistent message that goes to a durable queue or a topic is heard when all its targets are done with
 * it, since nobody may see it before it is durable: then the return value is 0. Such ones are heard in the
 * order of their publisher, but one that is not to be on the disk may overtake them. In the input phase: the
 * connection may have to yield (subject_turn_is_full()). */
uint64_t publisher_send(struct publisher *p, const struct message *m, const struct routed *to,
                        struct chunk *chunk, uint64_t tag);
/* Sends off what was gathered: at the end of each input. */
void publisher_flush(struct publisher *p);

#endif
