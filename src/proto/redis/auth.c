/* Who the client is and which RESP it speaks: AUTH, HELLO, RESET, QUIT, SELECT; and the virtual host.
 *
 * A client that `auth.anonymous` lets in is Redis's user "default" without a password; any other must log in
 * before anything else. */
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "core/space.h"
#include "core/user.h"
#include "proto/redis/commands.h"

enum { NS_PER_MS = 1000000, DATABASES = 16 };

#define DEFAULT_USER "default"

/* ---- the virtual host ---------------------------------------------------------------------------------- */

static void enter(struct redis_conn *rc)
{
    struct conn *c = rc->conn;
    struct vspace *v = space_find(c->shard, span_str(c->shard->config->redis_vhost));
    if (!v || rc->space)
        return;
    space_ref(v);
    rc->space = v;
    c->actor.vhost = &v->vhost;
}

static bool may_enter(const struct redis_conn *rc, const struct principal *p)
{
    return auth_may_enter(p, span_str(rc->conn->shard->config->redis_vhost)) == 0;
}

bool redis_has_space(struct redis_conn *rc)
{
    const char *name = rc->conn->shard->config->redis_vhost;
    if (!rc->space)
        enter(rc);
    if (!rc->space)
        resp_error(redis_reply(rc), "ERR the virtual host '%s' (setting redis.vhost) does not exist", name);
    return rc->space;
}

/* ---- who it is ----------------------------------------------------------------------------------------- */

static void arm(struct redis_conn *rc)
{
    struct conn *c = rc->conn;
    uint64_t timeout_ns = c->shard->config->redis_handshake_timeout_ms * NS_PER_MS;
    conn_set_deadline(c, rc->may_do_nothing ? c->shard->now_ns + timeout_ns : UINT64_MAX);
}

static void be_unnamed(struct redis_conn *rc)
{
    struct conn *c = rc->conn;
    bool had_to_log_in = rc->may_do_nothing;
    c->actor.principal = auth_unnamed(c->shard->config, auth_is_loopback(c->peer));
    rc->may_do_nothing = c->actor.principal->kind == PRINCIPAL_NOBODY;
    mem_free(rc->user);
    rc->user = NULL;
    if (!had_to_log_in) /* else its time runs already, RESET gives it no more */
        arm(rc);
}

static void be_user(struct redis_conn *rc, const struct principal *p, struct span name)
{
    rc->conn->actor.principal = p;
    rc->may_do_nothing = false;
    mem_free(rc->user);
    rc->user = mem_strndup(name.ptr, name.len);
    arm(rc);
}

/* ---- HELLO's answer ------------------------------------------------------------------------------------ */

struct hello {
    uint8_t version; /* 0: as it is */
    struct span name;
    bool has_name;
};

static void set_name(struct redis_conn *rc, struct span name)
{
    mem_free(rc->name);
    rc->name = name.len ? mem_strndup(name.ptr, name.len) : NULL;
}

static void answer_hello(struct redis_conn *rc, const struct hello *h)
{
    if (h->has_name)
        set_name(rc, h->name);
    if (h->version)
        rc->out.version = h->version;
    struct resp_writer *w = redis_reply(rc);
    resp_map(w, 7);
    resp_bulk_str(w, "server");
    resp_bulk_str(w, "redis");
    resp_bulk_str(w, "version");
    resp_bulk_str(w, rc->conn->shard->config->redis_version);
    resp_bulk_str(w, "proto");
    resp_integer(w, rc->out.version);
    resp_bulk_str(w, "id");
    resp_integer(w, (int64_t)rc->id);
    resp_bulk_str(w, "mode");
    resp_bulk_str(w, "standalone");
    resp_bulk_str(w, "role");
    resp_bulk_str(w, "master");
    resp_bulk_str(w, "modules");
    resp_array(w, 0);
}

/* ---- logging in ---------------------------------------------------------------------------------------- */

/* What an answer needs when the login is over; the arguments are gone by then. */
struct login_after {
    enum { AFTER_AUTH, AFTER_HELLO, AFTER_CERTIFICATE } kind;
    bool old_form; /* AUTH with a password only */
    struct hello hello;
    char name[]; /* hello.name */
};

static void log_refusal(struct redis_conn *rc, const struct op_login *l, const char *reason)
{
    char quoted[SAY_QUOTE_BYTES];
    if (conn_may_log(rc->conn->shard))
        say_warn("redis", "login refused", "peer=%s user=%s reason=\"%s\"", rc->conn->peer,
                 say_quote(l->user, quoted), reason);
}

static void refuse_login(struct redis_conn *rc, const struct op_login *l)
{
    metrics_add(rc->conn->shard->metrics, METRIC_REDIS_LOGINS_REFUSED, 1);
    log_refusal(rc, l,
                l->ret_refusal == LOGIN_NOT_LOOPBACK ? "this user can only connect via localhost"
                                                     : "no such user, or another password");
    resp_error(redis_reply(rc), "WRONGPASS invalid username-password pair or user is disabled.");
}

/* acl.c, authCommand(). Redis's user "default" without a password is who a client is that need not log in,
 * and any password will do for it. True: it is that one. */
static bool is_nopass(struct redis_conn *rc, const struct op_login *l)
{
    const struct conn *c = rc->conn;
    return l->ret_unknown_user && span_eq_str(l->user, DEFAULT_USER) &&
           auth_unnamed(c->shard->config, auth_is_loopback(c->peer))->kind != PRINCIPAL_NOBODY;
}

/* 0, or the client was told why not. */
static int login_result(struct redis_conn *rc, const struct op_login *l, const struct login_after *after)
{
    struct resp_writer *w = redis_reply(rc);
    if (l->op.err == ERR_DENIED && is_nopass(rc, l)) {
        if (!after->old_form) {
            be_unnamed(rc);
            return 0;
        }
        resp_error(w,
                   "ERR AUTH <password> called without any password configured for the default user. Are you "
                   "sure your configuration is correct?");
    } else if (l->op.err == ERR_DENIED) {
        refuse_login(rc, l);
    } else if (l->op.err) {
        resp_error(w, "ERR %s",
                   l->op.err == ERR_LIMIT ? "too many clients log in at once" : err_text(l->op.err));
    } else if (!may_enter(rc, l->ret_principal)) {
        log_refusal(rc, l, "no permissions in the virtual host of Redis's clients (redis.vhost)");
        if (redis_has_space(rc))
            resp_error(w, "NOPERM access to virtual host '%s' refused for this user",
                       rc->conn->shard->config->redis_vhost);
        return ERR_DENIED;
    } else {
        be_user(rc, l->ret_principal, l->user);
    }
    return l->op.err;
}

static void logged_in(struct conn *c, struct op *op)
{
    struct op_login *l = (struct op_login *)(void *)op;
    struct login_after *after = op->user;
    struct redis_conn *rc = c ? redis_conn_of(c->proto_state) : NULL;
    if (rc) {
        if (after->kind == AFTER_CERTIFICATE) {
            if (!op->err && may_enter(rc, l->ret_principal))
                be_user(rc, l->ret_principal, l->user);
        } else if (login_result(rc, l, after) == 0) {
            if (after->kind == AFTER_HELLO)
                answer_hello(rc, &after->hello);
            else
                resp_simple(redis_reply(rc), "OK");
        }
        redis_command_over(rc);
    }
    mem_free(after);
    op_login_free(l);
}

static struct login_after *after_new(int kind, const struct hello *h)
{
    struct login_after *a = mem_zalloc(sizeof(*a) + (h ? h->name.len : 0));
    a->kind = kind;
    if (!h)
        return a;
    a->hello = *h;
    a->hello.name.ptr = (const uint8_t *)a->name;
    if (h->name.len)
        memcpy(a->name, h->name.ptr, h->name.len);
    return a;
}

static void login(struct redis_conn *rc, struct span user, struct span password, struct login_after *after)
{
    struct conn *c = rc->conn;
    struct op_login *l = op_new(c, sizeof(*l), logged_in, after);
    login_set(l, user, password);
    l->mechanism = after->kind == AFTER_CERTIFICATE ? LOGIN_EXTERNAL : LOGIN_PASSWORD;
    l->from_loopback = auth_is_loopback(c->peer);
    op_login_submit(l);
}

void redis_auth_begin(struct redis_conn *rc)
{
    be_unnamed(rc);
    enter(rc);
    if (!rc->conn->peer_identity)
        return;
    login(rc, span_str(rc->conn->peer_identity), SPAN_NULL, after_new(AFTER_CERTIFICATE, NULL));
    redis_wait(rc);
}

void redis_auth_end(struct redis_conn *rc)
{
    mem_free(rc->user);
    rc->user = NULL;
    if (rc->space)
        space_unref(rc->space);
    rc->space = NULL;
}

/* ---- commands ------------------------------------------------------------------------------------------ */

REDIS_COMMAND(auth)
{
    if (c->count > 3) {
        redis_error_syntax(c);
        return REDIS_DONE;
    }
    struct login_after *after = after_new(AFTER_AUTH, NULL);
    after->old_form = c->count == 2;
    login(c->rc, after->old_form ? span_str(DEFAULT_USER) : c->args[1], c->args[c->count - 1], after);
    return REDIS_WAIT;
}

struct hello_options {
    struct hello hello;
    struct span user, password;
    bool auth;
};

/* False: the client was told what is wrong. */
static bool parse_hello(const struct redis_call *c, struct hello_options *o)
{
    struct resp_writer *w = redis_reply(c->rc);
    int64_t version = 0;
    if (c->count > 1 && !redis_parse_integer(c->args[1], &version)) {
        resp_error(w, "ERR Protocol version is not an integer or out of range");
        return false;
    }
    if (c->count > 1 && (version < 2 || version > 3)) {
        resp_error(w, "NOPROTO unsupported protocol version");
        return false;
    }
    o->hello.version = (uint8_t)version;
    for (size_t i = 2; i < c->count; i++) {
        size_t more = c->count - 1 - i;
        if (redis_is(c->args[i], "auth") && more >= 2) {
            o->auth = true;
            o->user = c->args[++i];
            o->password = c->args[++i];
        } else if (redis_is(c->args[i], "setname") && more >= 1) {
            o->hello.has_name = true;
            o->hello.name = c->args[++i];
            const char *refusal = redis_name_refusal(o->hello.name);
            if (refusal) {
                resp_error(w, "%s", refusal);
                return false;
            }
        } else {
            resp_error(w, "ERR Syntax error in HELLO option '%.*s'", SPAN_ARG(c->args[i]));
            return false;
        }
    }
    return true;
}

REDIS_COMMAND(hello)
{
    struct redis_conn *rc = c->rc;
    struct hello_options o = {.auth = false};
    if (!parse_hello(c, &o))
        return REDIS_DONE;
    if (o.auth) {
        login(rc, o.user, o.password, after_new(AFTER_HELLO, &o.hello));
        return REDIS_WAIT;
    }
    if (rc->may_do_nothing)
        resp_error(
            redis_reply(rc),
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
            "AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol "
            "version at the same time");
    else
        answer_hello(rc, &o.hello);
    return REDIS_DONE;
}

/* networking.c, resetCommand() */
REDIS_COMMAND(reset)
{
    struct redis_conn *rc = c->rc;
    redis_multi_drop(rc);
    be_unnamed(rc);
    set_name(rc, SPAN_NULL);
    rc->db = 0;
    rc->out.version = 2;
    rc->reply_mode = REDIS_REPLY_ON;
    rc->tracking_asked = rc->no_evict = rc->no_touch = false;
    return redis_pubsub_reset(rc);
}

REDIS_COMMAND(quit)
{
    resp_simple(redis_reply(c->rc), "OK");
    c->rc->closing = true;
    conn_finish(c->rc->conn);
    return REDIS_DONE;
}

REDIS_COMMAND(select)
{
    int64_t db;
    struct resp_writer *w = redis_reply(c->rc);
    if (!redis_parse_integer(c->args[1], &db)) {
        resp_error(w, "ERR value is not an integer or out of range");
    } else if (db < INT32_MIN || db > INT32_MAX) {
        resp_error(w, "ERR value is out of range, value must between %d and %d", INT32_MIN, INT32_MAX);
    } else if (db < 0 || db >= DATABASES) {
        resp_error(w, "ERR DB index is out of range");
    } else {
        c->rc->db = (uint32_t)db;
        resp_simple(w, "OK");
    }
    return REDIS_DONE;
}

REDIS_COMMAND(echo)
{
    resp_bulk(redis_reply(c->rc), c->args[1]);
    return REDIS_DONE;
}

/* server.c, pingCommand(): RESP2 clients that have subscribed are answered like by a message. */
REDIS_COMMAND(ping)
{
    struct resp_writer *w = redis_reply(c->rc);
    if (c->count > 2) {
        redis_error_arity(c);
    } else if (w->version == 2 && redis_is_subscribed(c->rc)) {
        resp_array(w, 2);
        resp_bulk_str(w, "pong");
        resp_bulk(w, c->count == 2 ? c->args[1] : span_str(""));
    } else if (c->count == 2) {
        resp_bulk(w, c->args[1]);
    } else {
        resp_simple(w, "PONG");
    }
    return REDIS_DONE;
}
