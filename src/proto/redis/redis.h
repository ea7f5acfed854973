/* The Redis front end: publish and subscribe as Redis's clients know it, RESP2 and RESP3. */
#ifndef COLOBUS_PROTO_REDIS_H
#define COLOBUS_PROTO_REDIS_H

#include "proto/proto.h"

/* Operations of one connection that are worked on at a time: messages on their way to other shards. */
enum { REDIS_OPS_IN_FLIGHT = 1024 };

extern const struct proto redis_proto;

#endif
