#include <assert.h>
#include <stdio.h>

#include "proto/http/route.h"
#include "proto/http/state.h"

static void fill_request(struct conn *c, struct http_conn *h, struct span in, struct http_request *req)
{
    const struct http_parser *p = &h->parser;
    struct http_header *headers = arena_array(&h->arena, p->field_count + 1, sizeof(*headers));
    for (size_t i = 0; i < p->field_count; i++) {
        const struct http_field *f = &p->fields[i];
        headers[i].name = span_of(in.ptr + f->name, f->name_len);
        headers[i].value = span_of(in.ptr + f->value, f->value_len);
    }
    *req = (struct http_request){
        .method = p->method == HTTP_HEAD ? HTTP_GET : p->method,
        .headers = headers,
        .header_count = p->field_count,
        .body = http_parse_body(p, in, &h->arena),
        .arena = &h->arena,
        .server = http_server_of(c),
    };
}

/* "GET, HEAD, OPTIONS" of the bits. */
static struct span allow_list(struct arena *a, unsigned methods)
{
    char text[128];
    size_t used = 0;
    for (int m = 0; m < HTTP_METHODS; m++) {
        if (methods & 1u << m)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.*s", used ? ", " : "",
                                     SPAN_ARG(http_method_name((enum http_method)m)));
    }
    return span_of(arena_copy(a, text, used + 1), used);
}

static void answer_methods(struct conn *c, struct http_conn *h, uint64_t seq, int status, unsigned methods)
{
    struct http_header allow = {span_str("Allow"), allow_list(&h->arena, methods | 1u << HTTP_OPTIONS)};
    struct http_response r = {.status = status, .extra = &allow, .extra_count = 1};
    if (status == 405) {
        r.content_type = "application/json";
        r.body = span_str("{\"error\":\"this path does not have that method\"}\n");
    }
    http_respond(c, seq, &r);
}

static void route(struct conn *c, struct http_conn *h, struct http_request *req, struct http_ticket ticket)
{
    const struct http_route *route;
    unsigned methods;
    const struct http_parser *p = &h->parser;
    if (http_route_find(req->server, req, &route, &methods))
        http_respond_error(c, ticket.seq, 400, "broken escape in the path");
    else if (methods == 0)
        http_respond_error(c, ticket.seq, 404, "there is nothing at this path");
    else if (!route)
        answer_methods(c, h, ticket.seq, p->method == HTTP_OPTIONS ? 204 : 405, methods);
    else if (route->flags & HTTP_NEEDS_LENGTH && !p->has_length && !p->has_coding)
        http_respond_error(c, ticket.seq, 411, "this request needs a Content-Length");
    else if (!req->server->guard || !req->server->guard(c, req, ticket, route->handler))
        route->handler(c, req, ticket);
}

void http_dispatch(struct conn *c, struct http_conn *h, struct span in)
{
    const struct http_parser *p = &h->parser;
    assert(p->phase == HTTP_COMPLETE);
    struct http_exchange *x = http_exchange_new(c, h, in.len);
    x->head_only = p->method == HTTP_HEAD;
    x->old = p->minor == 0;
    x->close = p->close;
    x->has_credit = true;
    conn_take_credit(c, x->credit);
    uint64_t seq = x->seq; /* x may be gone once it is answered */

    struct http_request req;
    fill_request(c, h, in, &req);
    struct span target = span_of(in.ptr + p->target, p->target_len);
    struct span host = p->host ? req.headers[p->host - 1].value : SPAN_NULL;
    if (!http_split_target(target, &host, &req.path, &req.query))
        http_respond_error(c, seq, 400, "malformed request target");
    else if (!http_host_allowed(c->local, host, req.server->allowed_hosts))
        http_respond_error(c, seq, 403, "this Host is not allowed here; see the setting http.allowed-hosts");
    else if (span_eq_str(target, "*") && p->method == HTTP_OPTIONS)
        answer_methods(c, h, seq, 204, 1u << HTTP_GET | 1u << HTTP_HEAD);
    else if (span_eq_str(target, "*"))
        http_respond_error(c, seq, 400, "malformed request target");
    else
        route(c, h, &req, (struct http_ticket){c->shard, c->handle, seq});
}
