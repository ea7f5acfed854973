/* /api/users, permissions, topic-permissions, policies, operator-policies, parameters, whoami. */
#include "app/mgmt_impl.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/access_format.h"
#include "core/user.h"

enum { ANY_MANAGER = USER_ADMINISTRATOR | USER_MONITORING | USER_POLICYMAKER | USER_MANAGEMENT };

/* ---- lists of records -----------------------------------------------------------------------------------
 */

typedef json_t *to_json(const struct meta_record *r);

/* Those records whose `part` of `parts` is this text; null: all. */
static void answer_records(struct conn *c, struct http_ticket ticket, enum meta_record_kind kind,
                           to_json *show, unsigned parts, unsigned part, struct span text)
{
    struct arena a;
    size_t count;
    json_t *out = json_array();
    arena_init(&a);
    struct meta_record **all = meta_record_list(c->shard, kind, &a, &count);
    for (size_t i = 0; i < count; i++) {
        struct span key[ACCESS_KEY_PARTS];
        if (access_key_read(all[i]->key, key, parts) < 0 ||
            (!span_is_null(text) && !span_eq(key[part], text)))
            continue;
        json_t *o = show(all[i]);
        if (o)
            json_array_append_new(out, o);
    }
    arena_fini(&a);
    admin_answer_json(c, ticket.seq, 200, out);
}

static const struct meta_record *find(struct shard *s, enum meta_record_kind kind, const struct span *parts,
                                      unsigned count)
{
    struct arena a;
    arena_init(&a);
    const struct meta_record *r = meta_record_find(s, kind, access_key(&a, parts, count));
    arena_fini(&a);
    return r;
}

static void answer_record(struct conn *c, struct http_ticket ticket, const struct meta_record *r,
                          to_json *show)
{
    json_t *o = r ? show(r) : NULL;
    if (o)
        admin_answer_json(c, ticket.seq, 200, o);
    else
        mgmt_not_found(c, ticket.seq);
}

/* Submits what was filled in, or says why not. */
static void submit(struct conn *c, struct http_ticket ticket, struct op_record *r, const char *why)
{
    if (!why) {
        op_record_submit(r);
        return;
    }
    mgmt_bad_request(c, ticket.seq, why);
    op_record_free(r);
}

/* ---- users ----------------------------------------------------------------------------------------------
 */

void mgmt_whoami(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    static const struct {
        unsigned tag;
        const char *name;
    } tags[] = {{USER_ADMINISTRATOR, "administrator"},
                {USER_MONITORING, "monitoring"},
                {USER_POLICYMAKER, "policymaker"},
                {USER_MANAGEMENT, "management"},
                {USER_IMPERSONATOR, "impersonator"}};
    json_t *all = json_array();
    for (unsigned i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
        if (auth_has_tag(c->actor.principal, tags[i].tag))
            json_array_append_new(all, json_string(tags[i].name));
    json_t *name = admin_json_span(span_str(c->actor.principal->name));
    admin_answer_json(c, ticket.seq, 200,
                      json_pack("{s:o, s:o, s:b}", "name", name, "tags", all, "is_internal_user", 1));
}

void mgmt_users(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    if (mgmt_needs_tag(c, ticket, USER_ADMINISTRATOR))
        answer_records(c, ticket, RECORD_USER, mgmt_user_json, 1, 0, SPAN_NULL);
}

void mgmt_user(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    if (mgmt_needs_tag(c, ticket, USER_ADMINISTRATOR))
        answer_record(c, ticket, find(c->shard, RECORD_USER, req->params, 1), mgmt_user_json);
}

/* The hash is made: now the user can be. */
static void hashed(struct conn *c, struct op *op)
{
    struct op_password *p = container_of(op, struct op_password, op);
    struct op_record *r = op->user;
    if (c && !op->err) {
        access_put_user(r, p->user, &p->ret_password, p->tags);
        op_record_submit(r);
    } else {
        if (c)
            http_respond_error(c, *(uint64_t *)r->op.user, err_http(op->err), err_text(op->err));
        op_record_free(r);
    }
    op_password_free(p);
}

static void put_with_plain(struct conn *c, struct op_record *r, struct span name, struct span plain,
                           struct span tags)
{
    struct op_password *p = op_new(c, sizeof(*p), hashed, r);
    password_set(p, name, plain, tags);
    op_password_submit(p);
}

void mgmt_user_put(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    json_t *o = mgmt_needs_tag(c, ticket, USER_ADMINISTRATOR) ? mgmt_take_body(c, req, ticket) : NULL;
    if (!o)
        return;
    struct span plain = mgmt_text(o, "password"), hash = mgmt_text(o, "password_hash");
    struct span algorithm = mgmt_text(o, "hashing_algorithm"), tags = mgmt_tags_of(o, req->arena);
    struct op_record *r = mgmt_record(c, ticket, find(c->shard, RECORD_USER, req->params, 1) != NULL);
    struct password p = {0};
    if (!json_object_get(o, "tags")) {
        submit(c, ticket, r, "Field 'tags' is required"); /* as RabbitMQ */
    } else if (!span_is_null(plain)) {
        put_with_plain(c, r, req->params[0], plain, tags);
    } else if (!span_is_null(hash) &&
               password_parse(span_is_null(algorithm) ? span_str("rabbit_password_hashing_sha256")
                                                      : algorithm,
                              hash, &p) < 0) {
        submit(c, ticket, r, "password_hash or hashing_algorithm cannot be read");
    } else {
        access_put_user(r, req->params[0], &p, tags); /* without either nobody can log in with a password */
        submit(c, ticket, r, NULL);
    }
    json_decref(o);
}

void mgmt_user_delete(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct op_record *r = mgmt_record(c, ticket, true);
    access_drop_user(r, req->params[0]);
    op_record_submit(r);
}

void mgmt_user_permissions(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    if (mgmt_needs_tag(c, ticket, USER_ADMINISTRATOR))
        answer_records(c, ticket, RECORD_PERMISSION, mgmt_permission_json, 2, 1, req->params[0]);
}

/* ---- permissions ----------------------------------------------------------------------------------------
 */

void mgmt_permissions(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    if (mgmt_needs_tag(c, ticket, USER_ADMINISTRATOR))
        answer_records(c, ticket, RECORD_PERMISSION, mgmt_permission_json, 2, 0, SPAN_NULL);
}

void mgmt_vhost_permissions(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    if (mgmt_needs_tag(c, ticket, USER_ADMINISTRATOR))
        answer_records(c, ticket, RECORD_PERMISSION, mgmt_permission_json, 2, 0, req->params[0]);
}

void mgmt_permission(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    if (mgmt_needs_tag(c, ticket, USER_ADMINISTRATOR))
        answer_record(c, ticket, find(c->shard, RECORD_PERMISSION, req->params, 2), mgmt_permission_json);
}

void mgmt_permission_put(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    json_t *o = mgmt_take_body(c, req, ticket);
    if (!o)
        return;
    struct op_record *r = mgmt_record(c, ticket, find(c->shard, RECORD_PERMISSION, req->params, 2) != NULL);
    submit(c, ticket, r, mgmt_fill_permission(r, o, req->params[0], req->params[1]));
    json_decref(o);
}

void mgmt_permission_delete(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct op_record *r = mgmt_record(c, ticket, true);
    access_drop_permission(r, req->params[0], req->params[1]);
    op_record_submit(r);
}

void mgmt_topic_permissions(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    if (mgmt_needs_tag(c, ticket, USER_ADMINISTRATOR))
        answer_records(c, ticket, RECORD_TOPIC_PERMISSION, mgmt_topic_permission_json, 3, 0, SPAN_NULL);
}

/* Of one user in one virtual host, as RabbitMQ: a list, since there is one for each exchange. */
void mgmt_topic_permission(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct arena a;
    size_t count;
    if (!mgmt_needs_tag(c, ticket, USER_ADMINISTRATOR))
        return;
    json_t *out = json_array();
    arena_init(&a);
    struct meta_record **all = meta_record_list(c->shard, RECORD_TOPIC_PERMISSION, &a, &count);
    for (size_t i = 0; i < count; i++) {
        struct span key[3];
        if (access_key_read(all[i]->key, key, 3) == 0 && span_eq(key[0], req->params[0]) &&
            span_eq(key[1], req->params[1]))
            json_array_append_new(out, mgmt_topic_permission_json(all[i]));
    }
    arena_fini(&a);
    admin_answer_json(c, ticket.seq, 200, out);
}

void mgmt_topic_permission_put(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    json_t *o = mgmt_take_body(c, req, ticket);
    if (!o)
        return;
    struct span key[] = {req->params[0], req->params[1], mgmt_text(o, "exchange")};
    struct op_record *r = mgmt_record(c, ticket, find(c->shard, RECORD_TOPIC_PERMISSION, key, 3) != NULL);
    submit(c, ticket, r, mgmt_fill_topic_permission(r, o, req->params[0], req->params[1]));
    json_decref(o);
}

/* ?exchange=name says which; RabbitMQ drops those of all exchanges, which is one record at a time here. */
void mgmt_topic_permission_delete(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct span exchange = SPAN_NULL;
    if (http_query_value(req, "exchange", &exchange) < 0 || span_is_null(exchange)) {
        mgmt_bad_request(c, ticket.seq, "say which with ?exchange=NAME");
        return;
    }
    struct op_record *r = mgmt_record(c, ticket, true);
    access_drop_topic_permission(r, req->params[0], req->params[1], exchange);
    op_record_submit(r);
}

/* ---- policies -------------------------------------------------------------------------------------------
 */

static void put_policy(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                       enum meta_record_kind kind)
{
    json_t *o = mgmt_take_body(c, req, ticket);
    if (!o)
        return;
    struct op_record *r = mgmt_record(c, ticket, find(c->shard, kind, req->params, 2) != NULL);
    submit(c, ticket, r, mgmt_fill_policy(r, kind, o, req->params[0], req->params[1]));
    json_decref(o);
}

static void drop_policy(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                        enum meta_record_kind kind)
{
    struct op_record *r = mgmt_record(c, ticket, true);
    access_drop_policy(r, kind, req->params[0], req->params[1]);
    op_record_submit(r);
}

#define POLICY_HANDLERS(kind, list, list_in, one, put, drop)                                                 \
    void list(struct conn *c, const struct http_request *req, struct http_ticket ticket)                     \
    {                                                                                                        \
        if (mgmt_needs_tag(c, ticket, ANY_MANAGER & ~USER_MANAGEMENT))                                       \
            answer_records(c, ticket, kind, mgmt_policy_json, 2, 0, SPAN_NULL);                              \
    }                                                                                                        \
    void list_in(struct conn *c, const struct http_request *req, struct http_ticket ticket)                  \
    {                                                                                                        \
        if (mgmt_needs_tag(c, ticket, ANY_MANAGER & ~USER_MANAGEMENT))                                       \
            answer_records(c, ticket, kind, mgmt_policy_json, 2, 0, req->params[0]);                         \
    }                                                                                                        \
    void one(struct conn *c, const struct http_request *req, struct http_ticket ticket)                      \
    {                                                                                                        \
        if (mgmt_needs_tag(c, ticket, ANY_MANAGER & ~USER_MANAGEMENT))                                       \
            answer_record(c, ticket, find(c->shard, kind, req->params, 2), mgmt_policy_json);                \
    }                                                                                                        \
    void put(struct conn *c, const struct http_request *req, struct http_ticket ticket)                      \
    {                                                                                                        \
        put_policy(c, req, ticket, kind);                                                                    \
    }                                                                                                        \
    void drop(struct conn *c, const struct http_request *req, struct http_ticket ticket)                     \
    {                                                                                                        \
        drop_policy(c, req, ticket, kind);                                                                   \
    }

POLICY_HANDLERS(RECORD_POLICY, mgmt_policies, mgmt_policies_in, mgmt_policy, mgmt_policy_put,
                mgmt_policy_delete)
POLICY_HANDLERS(RECORD_OPERATOR_POLICY, mgmt_operator_policies, mgmt_operator_policies_in,
                mgmt_operator_policy, mgmt_operator_policy_put, mgmt_operator_policy_delete)

/* ---- parameters: /api/parameters/{component}/{vhost}/{name} ---------------------------------------------
 */

void mgmt_parameters(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    if (mgmt_needs_tag(c, ticket, USER_ADMINISTRATOR | USER_POLICYMAKER))
        answer_records(c, ticket, RECORD_PARAMETER, mgmt_parameter_json, 3, 0, SPAN_NULL);
}

static void parameter_key(const struct http_request *req, struct span ret[3])
{
    ret[0] = req->params[1];
    ret[1] = req->params[0];
    ret[2] = req->params[2];
}

void mgmt_parameter(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct span key[3];
    parameter_key(req, key);
    if (mgmt_needs_tag(c, ticket, USER_ADMINISTRATOR | USER_POLICYMAKER))
        answer_record(c, ticket, find(c->shard, RECORD_PARAMETER, key, 3), mgmt_parameter_json);
}

void mgmt_parameter_put(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct span key[3];
    json_t *o = mgmt_take_body(c, req, ticket);
    if (!o)
        return;
    parameter_key(req, key);
    struct op_record *r = mgmt_record(c, ticket, find(c->shard, RECORD_PARAMETER, key, 3) != NULL);
    submit(c, ticket, r, mgmt_fill_parameter(r, o, key[1], key[0], key[2]));
    json_decref(o);
}

void mgmt_parameter_delete(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct op_record *r = mgmt_record(c, ticket, true);
    access_drop_parameter(r, req->params[1], req->params[0], req->params[2]);
    op_record_submit(r);
}
