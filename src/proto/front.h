/* Where connections meet shards: listeners, accepting, input chunks, flushing. The only user of sockets. */
#ifndef COLOBUS_PROTO_FRONT_H
#define COLOBUS_PROTO_FRONT_H

#include "core/broker.h"
#include "proto/proto.h"

struct front;

struct front_listen {
    const struct proto *proto;
    const char *name;            /* copied */
    const char *address;         /* as os_listen() takes it */
    const char *advertised_host; /* NULL: the local address of each connection; copied */
    uint16_t advertised_port;    /* 0: the bound port */
    const void *front;           /* listener_info.front */
    unsigned max_ops;            /* credits of a connection: operations */
    uint64_t max_bytes;          /* and bytes in flight */
    bool tls;                    /* encrypted, by the settings tls.* */
};

/* For broker_options.hooks. */
extern const struct shard_hooks front_hooks;

/* Becomes broker->front. Before the loops run. */
struct front *front_new(struct broker *b);
/* After broker_close(), which brings the last connections home. Takes NULL. */
void front_free(struct front *f);
/* Accepts from now on. Shard 0's thread. Errors as os_listen(); ERR_LIMIT: too many listeners; ERR_BAD_TLS:
 * the certificate files cannot be used, which was logged. */
int front_open(struct front *f, const struct front_listen *l);
/* The address bound of the i-th listener, in the order they were opened; NULL: there are fewer. */
const char *front_address(const struct front *f, unsigned i);
const struct listener_info *front_listener(const struct front *f, unsigned i);

#endif
