/* One Kafka connection: frames in, requests in order, answers out in the same order. */
#ifndef COLOBUS_PROTO_KAFKA_CONN_H
#define COLOBUS_PROTO_KAFKA_CONN_H

#include "base/list.h"
#include "proto/kafka/request.h"

enum {
    KAFKA_CONN_MAGIC = 0x4b434f4e,
    KAFKA_MIN_HEADER_BYTES = 8, /* API key, version, correlation id */
    /* A request that has begun to arrive may take this long, plus a second for each of these bytes. */
    KAFKA_RECEIVE_GRACE_MS = 60000,
    KAFKA_RECEIVE_BYTES_PER_S = 64 * 1024,
};

/* The protocol state of a struct conn; the caller of the proto table owns it. The connection's shard only.
 *
 * 1. `requests` holds every request that is not answered yet, in the order of arrival.
 * 2. Only the answer of the first is ever written to conn->out; others keep theirs until they are first.
 * 3. After `poisoned` nothing is read any more: the last of `requests` ends the connection when it is first.
 */
struct kafka_conn {
    uint32_t magic;
    struct conn *conn;
    struct list requests;         /* struct kafka_request.link */
    uint64_t active_ns;           /* when the last request was complete or answered */
    uint64_t receive_deadline_ns; /* of the request that has half arrived; 0: none */
    bool greeted;                 /* a complete request has come */
    bool poisoned;
    bool failed; /* conn_fail() was called: nothing is written any more */
};

/* Writes the answers that are ready, up to the first that is not, and ends the connection if one says so. */
void kafka_conn_advance(struct kafka_conn *kc);

#endif
