/* /api/vhosts, queues, exchanges, bindings. */
#include "app/mgmt_impl.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/queue.h"
#include "core/user.h"

struct vspace *mgmt_space(struct conn *c, struct http_ticket ticket, struct span name)
{
    struct vspace *v = space_find(c->shard, name);
    if (!v)
        mgmt_not_found(c, ticket.seq);
    else if (auth_may_enter(c->actor.principal, name) &&
             !auth_has_tag(c->actor.principal, USER_ADMINISTRATOR | USER_MONITORING)) {
        mgmt_denied(c, ticket.seq);
        return NULL;
    }
    return v;
}

bool mgmt_visible(const struct conn *c, const struct vspace *v)
{
    return auth_has_tag(c->actor.principal, USER_ADMINISTRATOR | USER_MONITORING) ||
           auth_may_enter(c->actor.principal, span_str(v->vhost.name)) == 0;
}

/* ---- virtual hosts --------------------------------------------------------------------------------------
 */

static json_t *vhost_json(const struct vspace *v)
{
    json_t *o = mgmt_json_of(v->args);
    json_object_set_new(o, "name", admin_json_span(span_str(v->vhost.name)));
    if (!json_object_get(o, "description"))
        json_object_set_new(o, "description", json_string(""));
    if (!json_is_array(json_object_get(o, "tags")))
        json_object_set_new(o, "tags", json_array());
    json_object_set_new(o, "tracing", json_false());
    return o;
}

void mgmt_vhosts(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    size_t count;
    json_t *out = json_array();
    struct vspace **all = space_list(c->shard, req->arena, &count);
    for (size_t i = 0; i < count; i++)
        if (mgmt_visible(c, all[i]))
            json_array_append_new(out, vhost_json(all[i]));
    mgmt_answer_list_now(c, req, ticket, out);
}

void mgmt_vhost(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct vspace *v = mgmt_space(c, ticket, req->params[0]);
    if (v)
        admin_answer_json(c, ticket.seq, 200, vhost_json(v));
}

/* An operation on virtual hosts is none in one. */
static void *vhost_op(struct conn *c, struct http_ticket ticket, size_t size, int status)
{
    if (!mgmt_needs_tag(c, ticket, USER_ADMINISTRATOR))
        return NULL;
    return mgmt_entity_new(c, ticket, size, &auth_default_vhost, status);
}

void mgmt_vhost_put(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    json_t *o = mgmt_take_body(c, req, ticket);
    struct span args;
    if (!o)
        return;
    struct op_vhost_put *v =
        vhost_op(c, ticket, sizeof(*v), space_find(c->shard, req->params[0]) ? 204 : 201);
    if (v) {
        v->name = mgmt_copy(&v->e.arena, req->params[0]);
        if (mgmt_table_of(o, &v->e.arena, &args) < 0)
            args = span_str("");
        v->args = args;
        op_vhost_put_submit(v);
    }
    json_decref(o);
}

void mgmt_vhost_delete(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct op_vhost_delete *v = vhost_op(c, ticket, sizeof(*v), 204);
    if (!v)
        return;
    v->name = mgmt_copy(&v->e.arena, req->params[0]);
    op_vhost_delete_submit(v);
}

const char *mgmt_fill_queue(struct op_queue_declare *d, const json_t *o, struct span name)
{
    d->name = mgmt_copy(&d->e.arena, name);
    d->durable = mgmt_flag(o, "durable", true);
    d->auto_delete = mgmt_flag(o, "auto_delete", false);
    return mgmt_table_of(json_object_get(o, "arguments"), &d->e.arena, &d->args) < 0
               ? "the arguments cannot be read"
               : NULL;
}

const char *mgmt_fill_exchange(struct op_exchange_declare *d, const json_t *o, struct span name)
{
    struct span type = mgmt_text(o, "type");
    d->name = mgmt_copy(&d->e.arena, name);
    d->type = span_is_null(type) ? span_str("direct") : mgmt_copy(&d->e.arena, type);
    d->durable = mgmt_flag(o, "durable", true);
    d->auto_delete = mgmt_flag(o, "auto_delete", false);
    d->internal = mgmt_flag(o, "internal", false);
    return mgmt_table_of(json_object_get(o, "arguments"), &d->e.arena, &d->args) < 0
               ? "the arguments cannot be read"
               : NULL;
}

const char *mgmt_fill_binding(struct op_bind *b, const json_t *o, struct span source, struct span dest)
{
    struct span key = mgmt_text(o, "routing_key");
    struct arena *a = &b->e.arena;
    struct span kind = mgmt_text(o, "destination_type");
    b->source = mgmt_copy(a, source);
    b->dest = mgmt_copy(a, dest);
    b->key = span_is_null(key) ? span_str("") : mgmt_copy(a, key);
    b->kind = span_eq_str(kind, "exchange") ? DEST_EXCHANGE
              : span_eq_str(kind, "topic")  ? DEST_TOPIC
                                            : DEST_QUEUE;
    return mgmt_table_of(json_object_get(o, "arguments"), a, &b->args) < 0 ? "the arguments cannot be read"
                                                                           : NULL;
}

/* Submits, or says what is wrong with it. True: it may be submitted. */
static bool filled(struct conn *c, struct http_ticket ticket, struct op_entity *e, const char *why)
{
    if (!why)
        return true;
    mgmt_bad_request(c, ticket.seq, why);
    op_entity_free(e);
    return false;
}

void mgmt_queue_put(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    json_t *o = mgmt_take_body(c, req, ticket);
    if (!o)
        return;
    struct vspace *v = space_find(c->shard, req->params[0]);
    bool exists = v && space_queue(v, req->params[1]);
    struct op_queue_declare *d = mgmt_entity(c, ticket, sizeof(*d), req->params[0], exists ? 204 : 201);
    if (d && filled(c, ticket, &d->e, mgmt_fill_queue(d, o, req->params[1])))
        op_queue_declare_submit(d);
    json_decref(o);
}

/* ?if-unused=true and ?if-empty=true */
static bool asked_for(const struct http_request *req, const char *name)
{
    struct span value;
    return http_query_value(req, name, &value) == 0 && span_eq_str(value, "true");
}

void mgmt_queue_delete(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct vspace *v = space_find(c->shard, req->params[0]);
    if (v && !space_queue(v, req->params[1])) {
        mgmt_not_found(c, ticket.seq);
        return;
    }
    struct op_queue_delete *d = mgmt_entity(c, ticket, sizeof(*d), req->params[0], 204);
    if (!d)
        return;
    d->name = mgmt_copy(&d->e.arena, req->params[1]);
    d->if_unused = asked_for(req, "if-unused");
    d->if_empty = asked_for(req, "if-empty");
    op_queue_delete_submit(d);
}

/* ---- exchanges ------------------------------------------------------------------------------------------
 */

json_t *mgmt_exchange_json(const struct exchange *x)
{
    const struct vspace *v = x->user;
    const char *type = x->type == EXCHANGE_DEFAULT ? "direct" : exchange_type_name(x->type);
    return json_pack("{s:o, s:o, s:s, s:b, s:b, s:b, s:o, s:s}", "name", admin_json_span(x->name), "vhost",
                     admin_json_span(span_str(v->vhost.name)), "type", type, "durable", x->durable,
                     "auto_delete", x->auto_delete, "internal", x->internal, "arguments",
                     mgmt_json_of(x->args), "user_who_performed_action", "");
}

static void add_exchanges(struct conn *c, struct vspace *v, struct arena *a, json_t *out)
{
    size_t count;
    struct actor all = {&auth_operator, &v->vhost};
    struct exchange **list = exchange_list(c->shard, &all, a, &count);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(out, mgmt_exchange_json(list[i]));
}

void mgmt_exchanges(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    size_t count;
    json_t *out = json_array();
    struct vspace **all = space_list(c->shard, req->arena, &count);
    for (size_t i = 0; i < count; i++)
        if (mgmt_visible(c, all[i]))
            add_exchanges(c, all[i], req->arena, out);
    mgmt_answer_list_now(c, req, ticket, out);
}

void mgmt_exchanges_in(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct vspace *v = mgmt_space(c, ticket, req->params[0]);
    if (!v)
        return;
    json_t *out = json_array();
    add_exchanges(c, v, req->arena, out);
    mgmt_answer_list_now(c, req, ticket, out);
}

/* In a path the default exchange has RabbitMQ's name for it. */
struct span mgmt_path_name(struct span param)
{
    return span_eq_str(param, "amq.default") ? span_str("") : param;
}

void mgmt_exchange(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct vspace *v = mgmt_space(c, ticket, req->params[0]);
    struct exchange *x = v ? map_get(&v->exchanges, mgmt_path_name(req->params[1])) : NULL;
    if (x)
        admin_answer_json(c, ticket.seq, 200, mgmt_exchange_json(x));
    else if (v)
        mgmt_not_found(c, ticket.seq);
}

void mgmt_exchange_put(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    json_t *o = mgmt_take_body(c, req, ticket);
    if (!o)
        return;
    struct vspace *v = space_find(c->shard, req->params[0]);
    bool exists = v && map_get(&v->exchanges, req->params[1]);
    struct op_exchange_declare *d = mgmt_entity(c, ticket, sizeof(*d), req->params[0], exists ? 204 : 201);
    if (d && filled(c, ticket, &d->e, mgmt_fill_exchange(d, o, req->params[1])))
        op_exchange_declare_submit(d);
    json_decref(o);
}

void mgmt_exchange_delete(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct vspace *v = space_find(c->shard, req->params[0]);
    if (v && !map_get(&v->exchanges, req->params[1])) {
        mgmt_not_found(c, ticket.seq);
        return;
    }
    struct op_exchange_delete *d = mgmt_entity(c, ticket, sizeof(*d), req->params[0], 204);
    if (!d)
        return;
    d->name = mgmt_copy(&d->e.arena, req->params[1]);
    d->if_unused = asked_for(req, "if-unused");
    op_exchange_delete_submit(d);
}

/* ---- bindings -------------------------------------------------------------------------------------------
 */

json_t *mgmt_binding_json(const struct binding *b)
{
    static const char *const kinds[] = {
        [DEST_QUEUE] = "queue", [DEST_EXCHANGE] = "exchange", [DEST_TOPIC] = "topic"};
    const struct vspace *v = b->source->user;
    struct arena a;
    arena_init(&a);
    json_t *properties = admin_json_span(mgmt_properties_key(b, &a));
    arena_fini(&a);
    return json_pack("{s:o, s:o, s:o, s:s, s:o, s:o, s:o}", "source", admin_json_span(b->source->name),
                     "vhost", admin_json_span(span_str(v->vhost.name)), "destination",
                     admin_json_span(b->dest->name), "destination_type", kinds[b->dest->kind], "routing_key",
                     admin_json_span(b->key), "arguments", mgmt_json_of(b->args), "properties_key",
                     properties);
}

/* The default exchange's, which nobody made: each queue by its name. */
static json_t *implicit_binding(const struct queue_info *q)
{
    return json_pack("{s:s, s:o, s:o, s:s, s:o, s:{}, s:o}", "source", "", "vhost",
                     admin_json_span(span_str(q->space->vhost.name)), "destination",
                     admin_json_span(q->dest.name), "destination_type", "queue", "routing_key",
                     admin_json_span(q->dest.name), "arguments", "properties_key",
                     admin_json_span(q->dest.name));
}

static void add_bindings_of(const struct exchange *x, json_t *out)
{
    list_each (l, &x->bindings)
        json_array_append_new(out, mgmt_binding_json(list_entry(l, struct binding, by_source)));
}

static void add_bindings(struct conn *c, struct vspace *v, struct arena *a, json_t *out)
{
    size_t count, queue_count;
    struct actor all = {&auth_operator, &v->vhost};
    struct queue_info **queues = queue_list(c->shard, &all, a, &queue_count);
    struct exchange **list = exchange_list(c->shard, &all, a, &count);
    for (size_t i = 0; i < queue_count; i++)
        json_array_append_new(out, implicit_binding(queues[i]));
    for (size_t i = 0; i < count; i++)
        add_bindings_of(list[i], out);
}

void mgmt_bindings(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    size_t count;
    json_t *out = json_array();
    struct vspace **all = space_list(c->shard, req->arena, &count);
    for (size_t i = 0; i < count; i++)
        if (mgmt_visible(c, all[i]))
            add_bindings(c, all[i], req->arena, out);
    mgmt_answer_list_now(c, req, ticket, out);
}

void mgmt_bindings_in(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct vspace *v = mgmt_space(c, ticket, req->params[0]);
    if (!v)
        return;
    json_t *out = json_array();
    add_bindings(c, v, req->arena, out);
    mgmt_answer_list_now(c, req, ticket, out);
}

/* /api/bindings/{vhost}/e/{source}/q|e/{destination} */
static void bind_to(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                    const char *kind)
{
    json_t *o = mgmt_take_body(c, req, ticket);
    if (!o)
        return;
    json_object_set_new(o, "destination_type", json_string(kind));
    struct op_bind *b = mgmt_entity(c, ticket, sizeof(*b), req->params[0], 201);
    if (b &&
        filled(c, ticket, &b->e, mgmt_fill_binding(b, o, mgmt_path_name(req->params[1]), req->params[2])))
        op_bind_submit(b);
    json_decref(o);
}

void mgmt_bind_queue(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    bind_to(c, req, ticket, "queue");
}

void mgmt_bind_exchange(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    bind_to(c, req, ticket, "exchange");
}
