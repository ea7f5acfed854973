/* Who asks on the management port: HTTP's basic authentication (RFC 7617). */
#include <strings.h>

#include "app/mgmt_impl.h"
#include "base/base64.h"
#include "base/crypt.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/user.h"

enum { CREDENTIALS_MAX = 1024 };

/* A request that waits until its user is known. */
struct waiting {
    struct arena arena;
    struct http_request req; /* a copy */
    struct http_ticket ticket;
    http_handler *handler;
};

static void free_waiting(struct waiting *w)
{
    arena_fini(&w->arena);
    mem_free(w);
}

static struct waiting *copy_request(const struct http_request *req, struct http_ticket ticket,
                                    http_handler *handler)
{
    struct waiting *w = mem_zalloc(sizeof(*w));
    arena_init(&w->arena);
    w->ticket = ticket;
    w->handler = handler;
    w->req = *req;
    w->req.arena = &w->arena;
    w->req.path = mgmt_copy(&w->arena, req->path);
    w->req.query = mgmt_copy(&w->arena, req->query);
    w->req.body = mgmt_copy(&w->arena, req->body);
    for (size_t i = 0; i < req->param_count; i++)
        w->req.params[i] = mgmt_copy(&w->arena, req->params[i]);
    struct http_header *h = arena_array(&w->arena, req->header_count + 1, sizeof(*h));
    for (size_t i = 0; i < req->header_count; i++)
        h[i] = (struct http_header){mgmt_copy(&w->arena, req->headers[i].name),
                                    mgmt_copy(&w->arena, req->headers[i].value)};
    w->req.headers = h;
    return w;
}

/* Requests of one connection may be of several users: each has its own while its handler takes it up. */
static void handle_as(struct conn *c, const struct principal *who, struct waiting *w)
{
    const struct principal *before = c->actor.principal;
    c->actor.principal = who;
    w->handler(c, &w->req, w->ticket);
    c->actor.principal = before;
}

static void logged_in(struct conn *c, struct op *op)
{
    struct op_login *l = container_of(op, struct op_login, op);
    struct waiting *w = op->user;
    const unsigned tags = USER_ADMINISTRATOR | USER_MONITORING | USER_POLICYMAKER | USER_MANAGEMENT;
    if (!c)
        ;
    else if (op->err == ERR_DENIED)
        mgmt_unauthorised(c, w->ticket.seq,
                          l->ret_refusal == LOGIN_NOT_LOOPBACK ? "User can only log in via localhost"
                                                               : "Login failed");
    else if (op->err)
        http_respond_error(c, w->ticket.seq, err_http(op->err), err_text(op->err));
    else if (!auth_has_tag(l->ret_principal, tags))
        mgmt_unauthorised(c, w->ticket.seq, "Not management user");
    else
        handle_as(c, l->ret_principal, w);
    free_waiting(w);
    op_login_free(l);
}

/* "Basic " and base64 of user:password. False: it is something else. */
static bool take_credentials(struct op_login *l, struct span header)
{
    uint8_t bytes[CREDENTIALS_MAX];
    static const char scheme[] = "Basic ";
    const size_t n = sizeof(scheme) - 1;
    if (header.len < n || strncasecmp((const char *)header.ptr, scheme, n) != 0)
        return false;
    int len = base64_read(span_of(header.ptr + n, header.len - n), bytes, sizeof(bytes));
    const uint8_t *colon = len > 0 ? memchr(bytes, ':', (size_t)len) : NULL;
    if (colon)
        login_set(l, span_of(bytes, (size_t)(colon - bytes)),
                  span_of(colon + 1, (size_t)(bytes + len - colon - 1)));
    crypt_wipe(bytes, sizeof(bytes));
    return colon != NULL;
}

static bool is_public(struct span path)
{
    return span_eq_str(path, "/healthz") || span_eq_str(path, "/metrics");
}

bool mgmt_guard(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                http_handler *handler)
{
    struct span header = http_find_header(req, "authorization");
    bool loopback = auth_is_loopback(c->peer), trusted = loopback && c->shard->config->http_trust_loopback;
    if (span_is_null(header) && (trusted || is_public(req->path))) {
        c->actor.principal = trusted ? &auth_operator : &auth_nobody;
        return false;
    }
    if (span_is_null(header)) {
        mgmt_unauthorised(c, ticket.seq, "Login failed");
        return true;
    }
    struct op_login *l = op_new(c, sizeof(*l), logged_in, NULL);
    l->from_loopback = loopback;
    if (!take_credentials(l, header)) {
        op_login_free(l);
        mgmt_unauthorised(c, ticket.seq, "Login failed");
        return true;
    }
    l->op.user = copy_request(req, ticket, handler);
    op_login_submit(l);
    return true;
}
