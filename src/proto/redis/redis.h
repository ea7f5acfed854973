/* The Redis front end: publish and subscribe as Redis's clients know it, RESP2 and RESP3. */
#ifndef COLOBUS_PROTO_REDIS_H
#define COLOBUS_PROTO_REDIS_H

#include "proto/proto.h"

/* Operations of one connection that are worked on at a time: messages on their way to other shards. */
enum { REDIS_OPS_IN_FLIGHT = 1024 };

extern const struct proto redis_proto;

/* What those who look at connections see. Texts may be NULL, and live as long as the turn. */
struct redis_conn_info {
    const char *name; /* CLIENT SETNAME */
    const char *library, *library_version;
    const char *user; /* NULL: it has not logged in, and need not */
    const char *vhost;
    unsigned resp; /* 2 or 3 */
    uint32_t subscriptions;
    size_t unread; /* bytes of answers and messages that it has not taken */
    int64_t opened_ms;
};
/* On the connection's shard. False: it is no connection of Redis, or has to log in first. */
bool redis_describe(const struct conn *c, struct redis_conn_info *ret);

#endif
