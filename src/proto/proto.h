/* The contract of a protocol front end: a table of functions that does no I/O.
 *
 * A front end takes bytes and answers how many it consumed; it changes the world only by core operations,
 * and by appending to its connection's output queue. So each protocol is tested, simulated and fuzzed
 * without a socket, split at any byte. */
#ifndef COLOBUS_PROTO_PROTO_H
#define COLOBUS_PROTO_PROTO_H

#include "base/outq.h"
#include "base/span.h"
#include "core/conn.h"

struct listener;

struct proto {
    const char *name;   /* "kafka": component of log lines, label of metrics, prefix of settings */
    size_t state_bytes; /* of the protocol's own state, which the caller allocates zeroed */

    /* A connection was accepted. `state` is conn->proto_state. */
    void (*open)(struct conn *c, void *state);

    /* `input` is all that arrived and was not consumed yet; it lies inside `chunk`, of which a reference may
     * be taken to keep borrowed bytes alive. Returns the number of bytes consumed (0: need more) or a
     * negative error after conn_fail() or with its own words already queued: the connection is then closed
     * once the output is flushed. If it needs more, *ret_need says how many bytes in all it must see before a
     * call makes sense (0: any); never trusted for allocation beyond doubling what has arrived.
     * Called again while it consumes and conn_can_read(). */
    int64_t (*input)(struct conn *c, void *state, struct span input, struct chunk *chunk, size_t *ret_need);

    /* Time passed: called at the deadline set with conn_set_deadline(). */
    void (*tick)(struct conn *c, void *state, uint64_t now_mono_ns);

    /* The socket took some of c->out. NULL: nobody waits for that. */
    void (*written)(struct conn *c, void *state);

    /* The broker stops: the last chance to say so. Nothing is read any more; the connection ends when its
     * output is flushed and nothing is in flight. NULL: there are no words for it. */
    void (*stop)(struct conn *c, void *state);

    /* The connection is gone: drop what dies with it. Completions for it are dropped by its handle. */
    void (*closed)(struct conn *c, void *state);
};

#endif
