/* Asks a running broker over its management port, for the subcommands. */
#ifndef COLOBUS_APP_HTTP_CLIENT_H
#define COLOBUS_APP_HTTP_CLIENT_H

#include "base/span.h"

struct http_reply {
    int status;
    struct span body;
    uint8_t *memory; /* that `body` lies in; for mem_free() */
};

/* One request; user: "name:password", NULL: none; body null: none, else JSON. 0 whatever the status is, or
 * os_client_exchange()'s errors; ERR_INVALID also if the answer is not HTTP. */
int http_client_call(const char *broker, const char *user, const char *method, const char *path,
                     struct span body, struct http_reply *ret_reply);

/* Splits an answer that is complete, as read until the other side closed. ERR_INVALID. */
int http_reply_parse(struct span bytes, struct http_reply *ret_reply);

#endif
