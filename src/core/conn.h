/* A connection as the core knows it: one client, one protocol, no socket. */
#ifndef COLOBUS_CORE_CONN_H
#define COLOBUS_CORE_CONN_H

#include "base/heap.h"
#include "base/list.h"
#include "base/outq.h"
#include "core/auth.h"
#include "core/handle.h"

struct shard;
struct proto;

enum { CONN_MAGIC = 0x434f4e4e };

/* Owned by its shard; touched by that shard's thread only. Others refer to it by `handle`. */
struct conn {
    uint32_t magic;
    struct shard *shard;
    struct handle handle;
    struct actor actor; /* principal and virtual host of every operation */
    const struct proto *proto;
    void *proto_state;
    const struct listener_info *listener;
    const char *peer;  /* "127.0.0.1:51234" */
    const char *local; /* the address the client came in on */

    /* Set before open() and constant from then on. */
    bool secure;               /* encrypted: TLS between the client and the front */
    const char *peer_identity; /* the name in the client's certificate, verified against tls.ca and chosen by
                                  tls.identity-from, UTF-8; NULL: none. As long-lived as the connection. */

    struct outq out;        /* bytes to flush at the end of the turn */
    struct list flush_link; /* in shard->flush while `out` may have bytes to send */
    struct list ready_link; /* in shard->ready while it has input to look at */

    /* Credits: taken when an operation is submitted, given back when it completes. No reading below zero. */
    int32_t ops_left;
    int64_t bytes_left;

    bool yielding;             /* conn_yield(): no more input in this turn */
    bool held;                 /* conn_hold(): the front end wants no input now */
    bool paused;               /* the front does not read from it, for want of memory or room */
    bool closing;              /* no more input; close when `out` is flushed */
    bool aborted;              /* close at once */
    struct heap_node deadline; /* tick(), in shard->conn_deadlines */
    size_t out_limit;          /* a client that leaves more than this unread is not read from */
    int32_t ops_max;           /* ops_left of a connection with nothing in flight */
    uint64_t bytes_in, bytes_out;
};

/* What a front end knows of the listener its client came in on. */
struct listener_info {
    const char *name;            /* "kafka" or the name given in the setting */
    const char *bound;           /* address bound, with its real port */
    const char *advertised_host; /* NULL: the local address of each connection */
    uint16_t advertised_port;    /* 0: the bound port */
    unsigned metrics_slot;       /* of METRICS_DIM_LISTENER */
    const void *front;           /* what the front end needs to serve it, e.g. HTTP's struct http_server */
};

/* Takes / gives credit for one operation holding `bytes` of memory. The front end calls both: per request, so
 * that what it has in flight is bounded whatever it consists of. A connection whose client has stopped
 * sending is closed when all its credit is back and its output flushed. */
void conn_take_credit(struct conn *c, size_t bytes);
void conn_give_credit(struct conn *c, size_t bytes);
bool conn_can_read(const struct conn *c);
/* The front end wants no more input until conn_release(), which has what waits looked at again: for frames in
 * front that must wait for something. Whoever waits for an operation holds credit meanwhile. */
void conn_hold(struct conn *c);
void conn_release(struct conn *c);
/* Said inside input(): the rest of what has arrived is for the next turn, others first. */
void conn_yield(struct conn *c);
/* True if it has given back all credit: nothing is in flight. */
bool conn_quiet(const struct conn *c);
/* Output was appended: have it flushed this turn. Safe to call often. */
void conn_wake_output(struct conn *c);
/* The same, before the others: with answers that clients wait for, who send their next requests while the
 * messages of this turn are written to others. */
void conn_wake_answer(struct conn *c);
/* Ends the connection after its output is flushed, with one log line that says why. */
void conn_fail(struct conn *c, int err, const char *why);
/* Ends the connection in good order, after its output is flushed. */
void conn_finish(struct conn *c);
/* Ends it at once, whatever is queued; for a broken socket. */
void conn_abort(struct conn *c);
/* May one more line about what peers do be logged in this second? Counts it; for lines that a peer can cause
 * at will.
 */
bool conn_may_log(struct shard *s);
/* When tick() is called next; UINT64_MAX: never. */
void conn_set_deadline(struct conn *c, uint64_t deadline_mono_ns);

#endif
