/* Answers of the management API, and the ends of the operations behind them. */
#include "app/mgmt_impl.h"
#include "base/err.h"
#include "core/user.h"

void mgmt_answer_error(struct conn *c, uint64_t seq, int status, const char *error, const char *reason)
{
    json_t *o = json_object();
    json_object_set_new(o, "error", json_string(error));
    json_object_set_new(o, "reason", admin_json_span(span_str(reason)));
    admin_answer_json(c, seq, status, o);
}

void mgmt_unauthorised(struct conn *c, uint64_t seq, const char *reason)
{
    static const struct http_header ask = {{(const uint8_t *)"WWW-Authenticate", 16},
                                           {(const uint8_t *)"Basic realm=\"Colobus\"", 21}};
    json_t *o = json_pack("{s:s, s:s}", "error", "not_authorised", "reason", reason);
    struct text text = {0};
    text_put_json(&text, o, JSON_COMPACT);
    json_decref(o);
    http_respond(c, seq,
                 &(struct http_response){.status = 401,
                                         .content_type = "application/json",
                                         .body = text_span(&text),
                                         .extra = &ask,
                                         .extra_count = 1});
    text_free(&text);
}

/* RabbitMQ answers 401 for what another user may do. */
void mgmt_denied(struct conn *c, uint64_t seq)
{
    mgmt_unauthorised(c, seq, "Not administrator user");
}

void mgmt_not_found(struct conn *c, uint64_t seq)
{
    mgmt_answer_error(c, seq, 404, "Object Not Found", "Not Found");
}

void mgmt_bad_request(struct conn *c, uint64_t seq, const char *reason)
{
    mgmt_answer_error(c, seq, 400, "bad_request", reason);
}

void mgmt_fail(struct conn *c, uint64_t seq, int err, const char *why)
{
    if (err == ERR_DENIED)
        mgmt_denied(c, seq);
    else if (err == ERR_NOT_FOUND && !why)
        mgmt_not_found(c, seq);
    else if (err == ERR_ARGUMENT || err == ERR_INEQUIVALENT || err == ERR_INVALID || err == ERR_NOT_FOUND ||
             err == ERR_IN_USE || err == ERR_NOT_EMPTY || err == ERR_RESERVED || err == ERR_LOCKED_OUT)
        mgmt_bad_request(c, seq, why ? why : err_text(err));
    else
        http_respond_error(c, seq, err_http(err), why ? why : err_text(err));
}

void mgmt_no_content(struct conn *c, uint64_t seq, int status)
{
    http_respond(c, seq, &(struct http_response){.status = status});
}

bool mgmt_needs_tag(struct conn *c, struct http_ticket ticket, unsigned tags)
{
    if (auth_has_tag(c->actor.principal, tags))
        return true;
    mgmt_denied(c, ticket.seq);
    return false;
}

/* RabbitMQ asks for no content type. A web page cannot send PUT or DELETE elsewhere without the consent that
 * this server never gives, but a POST of a form it can. */
json_t *mgmt_take_body(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    json_error_t where;
    if (req->method == HTTP_POST && !http_body_is(req, "application/json")) {
        http_respond_error(c, ticket.seq, 415, "send Content-Type: application/json");
        return NULL;
    }
    if (req->body.len == 0)
        return json_object();
    json_t *o = json_loadb((const char *)req->body.ptr, req->body.len, 0, &where);
    if (o && json_is_object(o))
        return o;
    json_decref(o);
    mgmt_bad_request(c, ticket.seq, "the body is not a JSON object");
    return NULL;
}

/* ---- ends of operations ---------------------------------------------------------------------------------
 */

/* Which request it was, and with what it is answered. In the operation's arena. */
struct pending {
    uint64_t seq;
    int status;
};

static struct pending *pending_new(struct arena *a, struct http_ticket ticket, int status)
{
    struct pending *p = arena_alloc(a, sizeof(*p));
    *p = (struct pending){ticket.seq, status};
    return p;
}

static void answer(struct conn *c, const struct pending *p, int err, const char *why)
{
    if (!c)
        return;
    if (err)
        mgmt_fail(c, p->seq, err, why);
    else
        mgmt_no_content(c, p->seq, p->status);
}

static void record_done(struct conn *c, struct op *op)
{
    struct op_record *r = container_of(op, struct op_record, op);
    answer(c, op->user, op->err, r->why);
    op_record_free(r);
}

struct op_record *mgmt_record(struct conn *c, struct http_ticket ticket, bool exists)
{
    struct op_record *r = op_new(c, sizeof(*r), record_done, NULL);
    arena_init(&r->arena);
    r->op.user = pending_new(&r->arena, ticket, exists ? 204 : 201);
    return r;
}

static void entity_done(struct conn *c, struct op *op)
{
    struct op_entity *e = container_of(op, struct op_entity, op);
    answer(c, op->user, op->err, e->why);
    op_entity_free(e);
}

void *mgmt_entity_new(struct conn *c, struct http_ticket ticket, size_t size, const struct vhost *vhost,
                      int status)
{
    struct op_entity *e = op_new(c, size, entity_done, NULL);
    arena_init(&e->arena);
    e->op.actor.vhost = vhost;
    e->op.user = pending_new(&e->arena, ticket, status);
    return e;
}

void *mgmt_entity(struct conn *c, struct http_ticket ticket, size_t size, struct span vhost, int status)
{
    struct vspace *v = space_find(c->shard, vhost);
    if (v && auth_may_enter(c->actor.principal, vhost) == 0)
        return mgmt_entity_new(c, ticket, size, &v->vhost, status);
    if (v)
        mgmt_denied(c, ticket.seq);
    else
        mgmt_not_found(c, ticket.seq);
    return NULL;
}
