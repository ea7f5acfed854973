/* A sans-I/O HTTP/1.1 server: parses requests at any split, routes them, and answers in order.
 *
 * Who serves HTTP fills a struct http_server once, before the loops run, and hangs it on the listener
 * (listener_info.front). Handlers run on the connection's shard and answer at once or later with
 * http_respond(). */
#ifndef COLOBUS_PROTO_HTTP_HTTP_H
#define COLOBUS_PROTO_HTTP_HTTP_H

#include "base/arena.h"
#include "proto/proto.h"

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_PATCH,
    HTTP_OPTIONS,
    HTTP_METHODS,
};

enum { HTTP_MAX_HEADERS = 64, HTTP_MAX_PARAMS = 4, HTTP_MAX_PIPELINE = 32 };

struct http_header {
    struct span name; /* as sent; compare without case */
    struct span value;
};

/* Everything in it lives until the handler returns; who answers later copies what it needs. */
struct http_request {
    enum http_method method;             /* HEAD arrives as GET; the server drops the body of the answer */
    struct span path;                    /* raw, "/api/topics/a%20b" */
    struct span query;                   /* raw, without "?"; null if there is none */
    struct span params[HTTP_MAX_PARAMS]; /* what the route's {names} stand for, percent-decoded, in order */
    size_t param_count;
    const struct http_header *headers;
    size_t header_count;
    struct span body;    /* chunks joined; empty if there is none */
    struct arena *arena; /* for the handler's scratch */
    const struct http_server *server;
};

/* A request that is being worked on. Copy it to answer later: conn->shard and conn->handle find the
 * connection again (or that it died), and seq the request. */
struct http_ticket {
    struct shard *shard;
    struct handle conn;
    uint64_t seq;
};

/* Must lead to exactly one http_respond() with this ticket's seq, now or later, unless the connection dies.
 */
typedef void http_handler(struct conn *c, const struct http_request *req, struct http_ticket ticket);

enum http_route_flags { HTTP_NEEDS_LENGTH = 1 /* 411 without Content-Length or chunks */ };

struct http_route {
    enum http_method method; /* GET serves HEAD too */
    const char *pattern;     /* "/api/topics/{name}": {x} stands for one segment that is not empty */
    http_handler *handler;
    unsigned flags;
};

struct http_limits {
    size_t header_bytes; /* request line and fields, the empty line included: 431 or 414 */
    size_t body_bytes;   /* 413 */
    uint64_t request_ms; /* first byte to last: 408 */
    uint64_t idle_ms;    /* between requests: closed without a word */
};

/* Immutable while connections exist. */
struct http_server {
    const struct http_route *routes;
    size_t route_count;
    const struct http_route *more_routes; /* looked at after those; NULL: none */
    size_t more_route_count;
    struct http_limits limits;
    const char *name;          /* the Server header; NULL: none */
    const char *allowed_hosts; /* names with commas besides localhost and addresses, for clients on loopback;
                                  "*": any */
    void *user;                /* the handlers' */
    /* Asked before each handler; may be NULL. True: it answers the request itself, or sees to it that
     * `handler` is called later, with a copy of the request; false: call it now. */
    bool (*guard)(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                  http_handler *handler);
    /* Called for every answer, for metrics; may be NULL. us: from the whole request to its answer. */
    void (*answered)(struct conn *c, const struct http_server *server, int status, uint64_t us);
};

extern const struct proto http_proto;

struct http_response {
    int status;
    const char *content_type;        /* NULL: no body */
    struct span body;                /* copied; or */
    struct outq *body_queue;         /* moved from; left empty. NULL: `body` */
    const struct http_header *extra; /* more fields, their values already legal */
    size_t extra_count;
    bool close; /* close the connection after it */
};

/* Answers one request; earlier requests of the connection are answered first, whatever the order of the
 * calls. On the connection's shard. */
void http_respond(struct conn *c, uint64_t seq, const struct http_response *r);
/* An answer of {"error": message} with the status. */
void http_respond_error(struct conn *c, uint64_t seq, int status, const char *message);

/* ---- for handlers -------------------------------------------------------------------------------------- */

/* The first field of this name, or null. */
struct span http_find_header(const struct http_request *req, const char *name);
/* The decoded value of ?name=value in the request's arena; null if absent. ERR_INVALID: bad escape. */
int http_query_value(const struct http_request *req, const char *name, struct span *ret_value);
/* Is the media type of the body this one ("application/json"), parameters aside? */
bool http_body_is(const struct http_request *req, const char *media_type);
const char *http_reason(int status);
struct span http_method_name(enum http_method m);

/* %XX of one path segment or query part into the arena ('+' becomes a space if plus is set). ERR_INVALID: a
 * broken escape or a NUL. */
int http_percent_decode(struct arena *a, struct span raw, bool plus, struct span *ret_text);

#endif
