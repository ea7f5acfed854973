/* The part of RabbitMQ's management API that tools rely on, over HTTP: users, permissions, policies, virtual
 * hosts, definitions, queues, exchanges, bindings. Beside admin.h's own endpoints, on the same port.
 *
 * Reads answer from the replica of the connection's shard; writes are operations of the core, authorised
 * there. */
#ifndef COLOBUS_APP_MGMT_H
#define COLOBUS_APP_MGMT_H

#include "app/admin.h"

extern const struct http_route mgmt_routes[];
extern const size_t mgmt_route_count;

/* struct http_server.guard of the whole port. A client that names a user must prove it; then its requests act
 * for that user, which needs a tag for the management. One on loopback need not, and acts for the operator;
 * others may only ask for health and metrics. */
bool mgmt_guard(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                http_handler *handler);

#endif
