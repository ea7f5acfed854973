/* /api/definitions: everything that was declared, as one JSON document in RabbitMQ's form, out and in. */
#include "app/mgmt_impl.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/access_format.h"
#include "core/user.h"

/* ---- out ------------------------------------------------------------------------------------------------
 */

static json_t *records_of(struct shard *s, enum meta_record_kind kind, unsigned parts, struct span vhost,
                          json_t *(*show)(const struct meta_record *r))
{
    struct arena a;
    size_t count;
    json_t *out = json_array();
    arena_init(&a);
    struct meta_record **all = meta_record_list(s, kind, &a, &count);
    for (size_t i = 0; i < count; i++) {
        struct span key[ACCESS_KEY_PARTS];
        json_t *o;
        if (access_key_read(all[i]->key, key, parts) == 0 &&
            (span_is_null(vhost) || span_eq(key[0], vhost)) && (o = show(all[i])))
            json_array_append_new(out, o);
    }
    arena_fini(&a);
    return out;
}

/* Durable ones, that is; those that a connection owns end with it. */
static void export_queues(struct shard *s, struct vspace *v, struct arena *a, json_t *out)
{
    size_t count;
    struct actor all = {&auth_operator, &v->vhost};
    struct queue_info **list = queue_list(s, &all, a, &count);
    for (size_t i = 0; i < count; i++) {
        const struct queue_info *q = list[i];
        if (q->exclusive || !q->durable)
            continue;
        json_array_append_new(out,
                              json_pack("{s:o, s:o, s:b, s:b, s:o}", "name", admin_json_span(q->dest.name),
                                        "vhost", admin_json_span(span_str(v->vhost.name)), "durable", 1,
                                        "auto_delete", q->auto_delete, "arguments", mgmt_json_of(q->args)));
    }
}

static bool is_durable(const struct binding *b)
{
    return b->durable;
}

static void export_exchange(const struct exchange *x, json_t *exchanges, json_t *bindings)
{
    bool builtin = x->name.len == 0 || (x->name.len >= 4 && memcmp(x->name.ptr, "amq.", 4) == 0);
    if (!builtin && x->durable) {
        json_t *o = mgmt_exchange_json(x);
        json_object_del(o, "user_who_performed_action");
        json_array_append_new(exchanges, o);
    }
    list_each (l, &x->bindings) {
        const struct binding *b = list_entry(l, struct binding, by_source);
        if (!is_durable(b))
            continue;
        json_t *o = mgmt_binding_json(b);
        json_object_del(o, "properties_key");
        json_array_append_new(bindings, o);
    }
}

static void export_space(struct shard *s, struct vspace *v, struct arena *a, json_t *o)
{
    size_t count;
    struct actor all = {&auth_operator, &v->vhost};
    struct exchange **list = exchange_list(s, &all, a, &count);
    export_queues(s, v, a, json_object_get(o, "queues"));
    for (size_t i = 0; i < count; i++)
        export_exchange(list[i], json_object_get(o, "exchanges"), json_object_get(o, "bindings"));
}

static json_t *export_head(const char *version)
{
    json_t *o = json_object();
    json_object_set_new(o, "rabbit_version", json_string(MGMT_RABBIT_VERSION));
    json_object_set_new(o, "rabbitmq_version", json_string(MGMT_RABBIT_VERSION));
    json_object_set_new(o, "product_name", json_string("Colobus"));
    json_object_set_new(o, "product_version", json_string(version));
    return o;
}

static void export_common(struct shard *s, struct span vhost, json_t *o)
{
    json_object_set_new(o, "policies", records_of(s, RECORD_POLICY, 2, vhost, mgmt_policy_json));
    json_object_set_new(o, "parameters", records_of(s, RECORD_PARAMETER, 3, vhost, mgmt_parameter_json));
    json_object_set_new(o, "queues", json_array());
    json_object_set_new(o, "exchanges", json_array());
    json_object_set_new(o, "bindings", json_array());
}

static void without_vhost(json_t *o)
{
    static const char *const lists[] = {"policies", "parameters", "queues", "exchanges", "bindings"};
    for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        size_t k;
        json_t *one;
        json_array_foreach(json_object_get(o, lists[i]), k, one) json_object_del(one, "vhost");
    }
}

static json_t *vhosts_json(struct shard *s, struct arena *a, size_t *ret_count, struct vspace ***ret_all)
{
    json_t *out = json_array();
    *ret_all = space_list(s, a, ret_count);
    for (size_t i = 0; i < *ret_count; i++) {
        json_t *v = mgmt_json_of((*ret_all)[i]->args);
        json_object_set_new(v, "name", admin_json_span(span_str((*ret_all)[i]->vhost.name)));
        json_array_append_new(out, v);
    }
    return out;
}

/* Operator policies are parameters of the component "operator_policy" there. */
static void add_operator_policies(struct shard *s, struct span vhost, json_t *parameters)
{
    size_t i;
    json_t *p, *all = records_of(s, RECORD_OPERATOR_POLICY, 2, vhost, mgmt_policy_json);
    json_array_foreach(all, i, p)
    {
        json_t *value =
            json_pack("{s:O, s:O, s:O, s:O}", "pattern", json_object_get(p, "pattern"), "apply-to",
                      json_object_get(p, "apply-to"), "priority", json_object_get(p, "priority"),
                      "definition", json_object_get(p, "definition"));
        json_array_append_new(
            parameters, json_pack("{s:O, s:s, s:O, s:o}", "vhost", json_object_get(p, "vhost"), "component",
                                  "operator_policy", "name", json_object_get(p, "name"), "value", value));
    }
    json_decref(all);
}

void mgmt_definitions(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct shard *s = c->shard;
    struct vspace **all;
    size_t count;
    const struct admin *admin = req->server->user;
    if (!mgmt_needs_tag(c, ticket, USER_ADMINISTRATOR))
        return;
    json_t *o = export_head(admin->version);
    json_object_set_new(o, "users", records_of(s, RECORD_USER, 1, SPAN_NULL, mgmt_user_json));
    json_object_set_new(o, "vhosts", vhosts_json(s, req->arena, &count, &all));
    json_object_set_new(o, "permissions",
                        records_of(s, RECORD_PERMISSION, 2, SPAN_NULL, mgmt_permission_json));
    json_object_set_new(o, "topic_permissions",
                        records_of(s, RECORD_TOPIC_PERMISSION, 3, SPAN_NULL, mgmt_topic_permission_json));
    json_object_set_new(o, "global_parameters",
                        records_of(s, RECORD_GLOBAL_PARAMETER, 1, SPAN_NULL, mgmt_global_parameter_json));
    export_common(s, SPAN_NULL, o);
    add_operator_policies(s, SPAN_NULL, json_object_get(o, "parameters"));
    for (size_t i = 0; i < count; i++)
        export_space(s, all[i], req->arena, o);
    admin_answer_json(c, ticket.seq, 200, o);
}

void mgmt_definitions_in(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    const struct admin *admin = req->server->user;
    struct vspace *v = space_find(c->shard, req->params[0]);
    if (!mgmt_needs_tag(c, ticket, USER_ADMINISTRATOR))
        return;
    if (!v) {
        mgmt_not_found(c, ticket.seq);
        return;
    }
    json_t *o = export_head(admin->version);
    export_common(c->shard, req->params[0], o);
    add_operator_policies(c->shard, req->params[0], json_object_get(o, "parameters"));
    export_space(c->shard, v, req->arena, o);
    without_vhost(o);
    admin_answer_json(c, ticket.seq, 200, o);
}

/* ---- in -------------------------------------------------------------------------------------------------
 */

/* In this order, since the later ones need the earlier: all of a step at once, then the next step. What is
 * there already and the same is left alone; the first thing that is refused ends it, and what came before
 * stays, as in RabbitMQ. */
enum step {
    STEP_GLOBAL_PARAMETERS,
    STEP_VHOSTS,
    STEP_PASSWORDS, /* hashes of those given in plain text */
    STEP_USERS,
    STEP_PERMISSIONS,
    STEP_TOPIC_PERMISSIONS,
    STEP_PARAMETERS,
    STEP_POLICIES,
    STEP_EXCHANGES,
    STEP_QUEUES,
    STEP_BINDINGS,
    STEPS
};
static const char *const step_lists[STEPS] = {
    "global_parameters", "vhosts",   "users",     "users",  "permissions", "topic_permissions",
    "parameters",        "policies", "exchanges", "queues", "bindings"};

struct import {
    struct arena arena;
    struct http_ticket ticket;
    struct shard *shard;
    struct actor actor;
    struct handle conn;
    json_t *body;
    struct span vhost; /* of all of it; null: each thing says its own */
    enum step step;
    unsigned pending;
    int err;
    const char *why;
};

static void import_next(struct import *im);

static void import_failed(struct import *im, int err, const char *why)
{
    if (im->err)
        return;
    im->err = err;
    im->why = why ? arena_printf(&im->arena, "%s: %s", step_lists[im->step], why) : NULL;
}

static void import_end(struct import *im)
{
    struct conn *c = handle_get(&im->shard->conns, im->ticket.conn);
    if (c && im->err)
        mgmt_fail(c, im->ticket.seq, im->err, im->why);
    else if (c)
        mgmt_no_content(c, im->ticket.seq, 204);
    json_decref(im->body);
    arena_fini(&im->arena);
    mem_free(im);
}

static void one_done(struct import *im, int err, const char *why)
{
    if (err)
        import_failed(im, err, why);
    if (--im->pending == 0)
        import_next(im);
}

static void record_done(struct conn *c, struct op *op)
{
    struct op_record *r = container_of(op, struct op_record, op);
    (void)c;
    one_done(op->user, op->err, r->why);
    op_record_free(r);
}

static void entity_done(struct conn *c, struct op *op)
{
    struct op_entity *e = container_of(op, struct op_entity, op);
    (void)c;
    one_done(op->user, op->err, e->why);
    op_entity_free(e);
}

/* Goes on when the client has gone, too: half a configuration helps nobody. */
static void *import_op(struct import *im, size_t size, void (*done)(struct conn *c, struct op *op))
{
    struct op *op = op_new_internal(im->shard, size, done, im);
    op->actor = im->actor;
    return op;
}

static void submit_record(struct import *im, struct op_record *r, const char *why)
{
    if (why) {
        op_record_free(r);
        import_failed(im, ERR_ARGUMENT, why);
        return;
    }
    im->pending++;
    op_record_submit(r);
}

/* The virtual host that a thing is in; NULL: it is said that there is none. */
static struct vspace *space_for(struct import *im, const json_t *o)
{
    struct span name = span_is_null(im->vhost) ? mgmt_text(o, "vhost") : im->vhost;
    struct vspace *v = span_is_null(name) ? NULL : space_find(im->shard, name);
    if (!v)
        import_failed(im, ERR_ARGUMENT, "there is no such vhost");
    return v;
}

static bool entity_in(struct import *im, struct op_entity *e, const json_t *o)
{
    struct vspace *v = space_for(im, o);
    if (v)
        e->op.actor.vhost = &v->vhost;
    else
        op_entity_free(e);
    return v != NULL;
}

/* True: fill() was content. */
static bool entity_ok(struct import *im, struct op_entity *e, const char *why)
{
    if (!why) {
        im->pending++;
        return true;
    }
    import_failed(im, ERR_ARGUMENT, why);
    op_entity_free(e);
    return false;
}

/* ---- one thing of each list ---- */

static void import_global_parameter(struct import *im, json_t *o)
{
    struct op_record *r = import_op(im, sizeof(*r), record_done);
    struct span name = mgmt_text(o, "name");
    struct text text = {0};
    json_t *value = json_object_get(o, "value");
    if (value)
        text_put_json(&text, value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (value && !span_is_null(name))
        access_put_global_parameter(r, name, text_span(&text));
    text_free(&text);
    submit_record(im, r, value && !span_is_null(name) ? NULL : "name and value are wanted");
}

static void import_vhost(struct import *im, json_t *o)
{
    struct op_vhost_put *v = import_op(im, sizeof(*v), entity_done);
    struct span name = mgmt_text(o, "name"), args;
    json_t *rest = json_copy(o);
    json_object_del(rest, "name");
    v->name = mgmt_copy(&v->e.arena, name);
    bool ok = mgmt_table_of(rest, &v->e.arena, &args) == 0 && !span_is_null(name);
    json_decref(rest);
    v->args = args;
    if (entity_ok(im, &v->e, ok ? NULL : "a name is wanted"))
        op_vhost_put_submit(v);
}

/* The hash takes the password's place in the document. */
static void password_done(struct conn *c, struct op *op)
{
    struct op_password *p = container_of(op, struct op_password, op);
    struct import *im = op->user;
    char text[PASSWORD_TEXT_BYTES];
    size_t i;
    json_t *user;
    (void)c;
    password_text(&p->ret_password, text);
    json_array_foreach(json_object_get(im->body, "users"), i, user)
    {
        if (!span_eq(mgmt_text(user, "name"), p->user) || !json_object_get(user, "password"))
            continue;
        json_object_del(user, "password");
        json_object_set_new(user, "password_hash", json_string(text));
        json_object_set_new(user, "hashing_algorithm",
                            json_string(password_algorithm_name(&p->ret_password)));
    }
    int err = op->err;
    op_password_free(p);
    one_done(im, err, NULL);
}

static void import_password(struct import *im, json_t *o)
{
    struct span name = mgmt_text(o, "name"), plain = mgmt_text(o, "password");
    if (span_is_null(plain) || span_is_null(name))
        return;
    struct op_password *p = import_op(im, sizeof(*p), password_done);
    password_set(p, name, plain, span_str(""));
    im->pending++;
    op_password_submit(p);
}

static void import_user(struct import *im, json_t *o)
{
    struct op_record *r = import_op(im, sizeof(*r), record_done);
    struct span name = mgmt_text(o, "name"), hash = mgmt_text(o, "password_hash");
    struct span algorithm = mgmt_text(o, "hashing_algorithm");
    struct password p = {0};
    const char *why = span_is_null(name) ? "a name is wanted" : NULL;
    if (span_is_null(algorithm)) /* before RabbitMQ 3.6 */
        algorithm = span_str(json_object_get(o, "hashing_algorithm") ? "" : "rabbit_password_hashing_md5");
    if (!why && !span_is_null(hash) && password_parse(algorithm, hash, &p) < 0)
        why = "password_hash or hashing_algorithm cannot be read";
    if (!why)
        access_put_user(r, name, &p, mgmt_tags_of(o, &r->arena));
    submit_record(im, r, why);
}

static void import_permission(struct import *im, json_t *o)
{
    struct op_record *r = import_op(im, sizeof(*r), record_done);
    submit_record(im, r, mgmt_fill_permission(r, o, SPAN_NULL, SPAN_NULL));
}

static void import_topic_permission(struct import *im, json_t *o)
{
    struct op_record *r = import_op(im, sizeof(*r), record_done);
    submit_record(im, r, mgmt_fill_topic_permission(r, o, SPAN_NULL, SPAN_NULL));
}

static void import_parameter(struct import *im, json_t *o)
{
    struct op_record *r = import_op(im, sizeof(*r), record_done);
    struct span name = mgmt_text(o, "name");
    struct span vhost = span_is_null(im->vhost) ? mgmt_text(o, "vhost") : im->vhost;
    if (!span_eq_str(mgmt_text(o, "component"), "operator_policy"))
        submit_record(im, r, mgmt_fill_parameter(r, o, SPAN_NULL, im->vhost, SPAN_NULL));
    else if (span_is_null(name) || span_is_null(vhost))
        submit_record(im, r, "vhost and name are wanted");
    else
        submit_record(im, r,
                      mgmt_fill_policy(r, RECORD_OPERATOR_POLICY, json_object_get(o, "value"), vhost, name));
}

static void import_policy(struct import *im, json_t *o)
{
    struct op_record *r = import_op(im, sizeof(*r), record_done);
    submit_record(im, r, mgmt_fill_policy(r, RECORD_POLICY, o, im->vhost, SPAN_NULL));
}

static void import_exchange(struct import *im, json_t *o)
{
    struct op_exchange_declare *d = import_op(im, sizeof(*d), entity_done);
    struct span name = mgmt_text(o, "name");
    if (!entity_in(im, &d->e, o))
        return;
    if (entity_ok(im, &d->e, span_is_null(name) ? "a name is wanted" : mgmt_fill_exchange(d, o, name)))
        op_exchange_declare_submit(d);
}

static void import_queue(struct import *im, json_t *o)
{
    struct op_queue_declare *d = import_op(im, sizeof(*d), entity_done);
    struct span name = mgmt_text(o, "name");
    if (!entity_in(im, &d->e, o))
        return;
    if (entity_ok(im, &d->e, name.len == 0 ? "a name is wanted" : mgmt_fill_queue(d, o, name)))
        op_queue_declare_submit(d);
}

static void import_binding(struct import *im, json_t *o)
{
    struct op_bind *b = import_op(im, sizeof(*b), entity_done);
    struct span source = mgmt_text(o, "source"), dest = mgmt_text(o, "destination");
    if (!entity_in(im, &b->e, o))
        return;
    bool ok = !span_is_null(source) && !span_is_null(dest);
    if (entity_ok(im, &b->e,
                  ok ? mgmt_fill_binding(b, o, source, dest) : "source and destination are wanted"))
        op_bind_submit(b);
}

/* ---- all of them ---- */

static void (*const importers[STEPS])(struct import *im, json_t *o) = {
    import_global_parameter, import_vhost,     import_password, import_user,     import_permission,
    import_topic_permission, import_parameter, import_policy,   import_exchange, import_queue,
    import_binding};

static void import_step(struct import *im)
{
    size_t i;
    json_t *o;
    im->pending = 1; /* the submitting itself */
    json_array_foreach(json_object_get(im->body, step_lists[im->step]), i, o)
    {
        if (im->err)
            break;
        if (json_is_object(o))
            importers[im->step](im, o);
        else
            import_failed(im, ERR_ARGUMENT, "an object is wanted");
    }
    im->pending--;
}

static void import_next(struct import *im)
{
    while (!im->err && ++im->step < STEPS) {
        import_step(im);
        if (im->pending > 0)
            return;
    }
    import_end(im);
}

static void import_start(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                         struct span vhost)
{
    json_t *body = mgmt_needs_tag(c, ticket, USER_ADMINISTRATOR) ? mgmt_take_body(c, req, ticket) : NULL;
    if (!body)
        return;
    struct import *im = mem_zalloc(sizeof(*im));
    arena_init(&im->arena);
    im->ticket = ticket;
    im->shard = c->shard;
    im->actor = c->actor;
    im->body = body;
    im->vhost = mgmt_copy(&im->arena, vhost);
    im->step = STEP_GLOBAL_PARAMETERS;
    import_step(im);
    if (im->pending == 0)
        import_next(im);
}

void mgmt_definitions_put(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    import_start(c, req, ticket, SPAN_NULL);
}

void mgmt_definitions_put_in(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    if (space_find(c->shard, req->params[0]))
        import_start(c, req, ticket, req->params[0]);
    else
        mgmt_not_found(c, ticket.seq);
}
