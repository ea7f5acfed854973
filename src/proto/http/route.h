/* From a request's target to the handler that serves it. For this folder only. */
#ifndef COLOBUS_PROTO_HTTP_ROUTE_H
#define COLOBUS_PROTO_HTTP_ROUTE_H

#include "proto/http/http.h"

/* Splits the target; an absolute one overwrites *host. False: malformed. */
bool http_split_target(struct span target, struct span *host, struct span *ret_path, struct span *ret_query);
/* May a client that came in on `local` use this Host? */
bool http_host_allowed(const char *local, struct span host, const char *allowed);
/* Fills req->params. *ret_route NULL: nothing for this method; *ret_methods has a bit for each that the path
 * has, 0: no such path. ERR_INVALID: a broken escape in the path. */
int http_route_find(const struct http_server *server, struct http_request *req,
                    const struct http_route **ret_route, unsigned *ret_methods);

#endif
