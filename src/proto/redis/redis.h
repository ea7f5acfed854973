/* The Redis front end: publish and subscribe as Redis's clients know it, RESP2 and RESP3. */
#ifndef COLOBUS_PROTO_REDIS_H
#define COLOBUS_PROTO_REDIS_H

#include "proto/proto.h"

extern const struct proto redis_proto;

#endif
