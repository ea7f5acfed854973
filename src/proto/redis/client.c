/* CLIENT: what a connection says of itself, and what it asks about the others (networking.c:
 * clientCommand()). */
#include <stdint.h>

#include "base/mem.h"
#include "proto/redis/clients.h"
#include "proto/redis/commands.h"

enum { NAME_BYTES = 1024 }; /* of a name or library, which Redis doesn't bound */

bool redis_may(const struct redis_call *c, enum auth_action action)
{
    char name[REDIS_NAME_BYTES];
    if (!auth_check(&c->rc->conn->actor, action, AUTH_BROKER, SPAN_NULL))
        return true;
    resp_error(redis_reply(c->rc), "NOPERM this user has no permissions to run the '%s' command",
               redis_full_name(c->command, name));
    return false;
}

void redis_error_subcommand_syntax(const struct redis_call *c)
{
    struct span word = c->args[1];
    char top[REDIS_NAME_BYTES];
    size_t i = 0;
    for (const char *name = c->command->parent->name; name[i]; i++)
        top[i] = (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 'a' + 'A' : name[i]);
    top[i] = 0;
    resp_error(redis_reply(c->rc),
               "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s HELP.", SPAN_ARG(word),
               top);
}

static enum redis_outcome ok(const struct redis_call *c)
{
    resp_simple(redis_reply(c->rc), "OK");
    return REDIS_DONE;
}

static enum redis_outcome bad_syntax(const struct redis_call *c)
{
    redis_error_syntax(c);
    return REDIS_DONE;
}

static enum redis_outcome fail(const struct redis_call *c, const char *text)
{
    resp_error(redis_reply(c->rc), "%s", text);
    return REDIS_DONE;
}

/* ---- itself -------------------------------------------------------------------------------------------- */

static REDIS_COMMAND(client_id)
{
    resp_integer(redis_reply(c->rc), (int64_t)c->rc->id);
    return REDIS_DONE;
}

static REDIS_COMMAND(client_info)
{
    struct redis_text line = {0};
    redis_client_line(&line, c->rc);
    resp_verbatim(redis_reply(c->rc), redis_text_span(&line));
    redis_text_free(&line);
    return REDIS_DONE;
}

static REDIS_COMMAND(client_getname)
{
    struct resp_writer *w = redis_reply(c->rc);
    if (c->rc->name)
        resp_bulk_str(w, c->rc->name);
    else
        resp_null(w);
    return REDIS_DONE;
}

/* validateClientAttr(): CLIENT LIST has one client a line, and words on it. */
static bool is_printable(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '!' || text.ptr[i] > '~')
            return false;
    return true;
}

/* An empty one takes it away. */
static void set_text(char **text, struct span value)
{
    mem_free(*text);
    *text = value.len ? mem_strndup(value.ptr, value.len) : NULL;
}

const char *redis_name_refusal(struct span name)
{
    if (!is_printable(name))
        return "ERR Client names cannot contain spaces, newlines or special characters.";
    return name.len > NAME_BYTES ? "ERR Client names cannot be longer than 1024 bytes." : NULL;
}

static REDIS_COMMAND(client_setname)
{
    const char *refusal = redis_name_refusal(c->args[2]);
    if (refusal)
        return fail(c, refusal);
    set_text(&c->rc->name, c->args[2]);
    return ok(c);
}

static REDIS_COMMAND(client_setinfo)
{
    struct redis_conn *rc = c->rc;
    struct span key = c->args[2], value = c->args[3];
    bool name = redis_is(key, "lib-name");
    if (!name && !redis_is(key, "lib-ver"))
        resp_error(redis_reply(rc), "ERR Unrecognized option '%.*s'", (int)(key.len < 128 ? key.len : 128),
                   (const char *)key.ptr);
    else if (!is_printable(value))
        resp_error(redis_reply(rc), "ERR %.*s cannot contain spaces, newlines or special characters.",
                   SPAN_ARG(key));
    else if (value.len > NAME_BYTES)
        resp_error(redis_reply(rc), "ERR %.*s cannot be longer than %d bytes.", SPAN_ARG(key), NAME_BYTES);
    else {
        set_text(name ? &rc->lib_name : &rc->lib_version, value);
        return ok(c);
    }
    return REDIS_DONE;
}

static REDIS_COMMAND(client_reply)
{
    struct redis_conn *rc = c->rc;
    if (redis_is(c->args[2], "on")) {
        rc->reply_mode = REDIS_REPLY_ON;
        return ok(c);
    }
    if (redis_is(c->args[2], "off"))
        rc->reply_mode = REDIS_REPLY_OFF;
    else if (!redis_is(c->args[2], "skip"))
        return bad_syntax(c);
    else if (rc->reply_mode != REDIS_REPLY_OFF)
        rc->reply_mode = REDIS_REPLY_SKIP_NEXT;
    return REDIS_DONE;
}

static enum redis_outcome on_or_off(const struct redis_call *c, bool *what)
{
    bool on = redis_is(c->args[2], "on");
    if (!on && !redis_is(c->args[2], "off"))
        return bad_syntax(c);
    *what = on;
    return ok(c);
}

/* Nobody is evicted here, for it or not; CLIENT LIST shows it. */
static REDIS_COMMAND(client_no_evict)
{
    return on_or_off(c, &c->rc->no_evict);
}

static REDIS_COMMAND(client_no_touch)
{
    return on_or_off(c, &c->rc->no_touch);
}

/* ---- client-side caching, which wants keys ------------------------------------------------------------- */

static REDIS_COMMAND(client_tracking)
{
    if (redis_is(c->args[2], "on"))
        return fail(c, "ERR Colobus serves publish and subscribe: it has no keys to track");
    return redis_is(c->args[2], "off") ? ok(c) : bad_syntax(c);
}

static REDIS_COMMAND(client_trackinginfo)
{
    struct resp_writer *w = redis_reply(c->rc);
    resp_map(w, 3);
    resp_bulk_str(w, "flags");
    resp_set(w, 1);
    resp_bulk_str(w, "off");
    resp_bulk_str(w, "redirect");
    resp_integer(w, -1);
    resp_bulk_str(w, "prefixes");
    resp_array(w, 0);
    return REDIS_DONE;
}

static REDIS_COMMAND(client_getredir)
{
    resp_integer(redis_reply(c->rc), -1);
    return REDIS_DONE;
}

static REDIS_COMMAND(client_caching)
{
    return fail(c, "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
                   "OPTOUT mode enabled");
}

/* No command here blocks. */
static REDIS_COMMAND(client_unblock)
{
    int64_t id;
    if (c->count > 4) {
        redis_error_subcommand_syntax(c);
        return REDIS_DONE;
    }
    if (c->count == 4 && !redis_is(c->args[3], "timeout") && !redis_is(c->args[3], "error"))
        return fail(c, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    if (!redis_parse_integer(c->args[2], &id))
        return fail(c, "ERR value is not an integer or out of range");
    resp_integer(redis_reply(c->rc), 0);
    return REDIS_DONE;
}

/* ---- LIST ---------------------------------------------------------------------------------------------- */

static void listed(struct conn *conn, struct op *op)
{
    struct redis_clients_visit *v = container_of(op, struct redis_clients_visit, op);
    struct redis_conn *rc = conn ? redis_conn_of(conn->proto_state) : NULL;
    if (rc && (v->lines.failed || redis_output_is_full(conn->shard, v->lines.len)))
        resp_error(redis_reply(rc), "OOM command not allowed when used memory > 'maxmemory'.");
    else if (rc)
        resp_verbatim(redis_reply(rc), redis_text_span(&v->lines));
    redis_clients_visit_free(v);
    if (rc)
        redis_command_over(rc);
}

static bool unknown_type(const struct redis_call *c, struct span type)
{
    resp_error(redis_reply(c->rc), "ERR Unknown client type '%.*s'", (int)(type.len < 128 ? type.len : 128),
               (const char *)type.ptr);
    return false;
}

static bool list_ids(const struct redis_call *c, struct redis_clients_visit *v)
{
    struct redis_client_filter *f = &v->filter;
    f->ids = arena_array(&v->arena, c->count - 3, sizeof(*f->ids));
    for (size_t i = 3; i < c->count; i++) {
        int64_t id;
        if (!redis_parse_integer(c->args[i], &id)) {
            resp_error(redis_reply(c->rc), "ERR Invalid client ID");
            return false;
        }
        f->ids[f->id_count++] = (uint64_t)id;
    }
    return true;
}

/* False: it was answered with an error. */
static bool list_filter(const struct redis_call *c, struct redis_clients_visit *v)
{
    if (c->count == 2)
        return true;
    if (c->count == 4 && redis_is(c->args[2], "type"))
        return redis_client_type_parse(c->args[3], &v->filter.type) || unknown_type(c, c->args[3]);
    if (c->count > 3 && redis_is(c->args[2], "id"))
        return list_ids(c, v);
    redis_error_syntax(c);
    return false;
}

static REDIS_COMMAND(client_list)
{
    if (!redis_may(c, AUTH_DESCRIBE))
        return REDIS_DONE;
    struct redis_clients_visit *v = redis_clients_visit_new(c->rc, listed);
    if (!list_filter(c, v)) {
        redis_clients_visit_free(v);
        return REDIS_DONE;
    }
    redis_clients_visit_submit(v);
    return REDIS_WAIT;
}

/* ---- KILL ---------------------------------------------------------------------------------------------- */

static void answer_killed(struct redis_conn *rc, const struct redis_clients_visit *v)
{
    struct resp_writer *w = redis_reply(rc);
    bool old = v->op.user != NULL; /* "CLIENT KILL addr" */
    if (v->op.err)
        resp_error(w, "ERR No such user '%.*s'", SPAN_ARG(v->filter.user));
    else if (!old)
        resp_integer(w, (int64_t)v->killed);
    else if (v->killed)
        resp_simple(w, "OK");
    else
        resp_error(w, "ERR No such client");
}

static void killed(struct conn *conn, struct op *op)
{
    struct redis_clients_visit *v = container_of(op, struct redis_clients_visit, op);
    struct redis_conn *rc = conn ? redis_conn_of(conn->proto_state) : NULL;
    if (rc) {
        answer_killed(rc, v);
        if (v->killed_self) { /* CLIENT_CLOSE_AFTER_REPLY */
            rc->closing = true;
            conn_finish(conn);
        }
    }
    redis_clients_visit_free(v);
    if (rc)
        redis_command_over(rc);
}

static struct span copied(struct redis_clients_visit *v, struct span s)
{
    return span_of(arena_copy(&v->arena, s.ptr ? s.ptr : (const uint8_t *)"", s.len), s.len);
}

static bool positive(const struct redis_call *c, struct span text, const char *name, int64_t *ret)
{
    if (redis_parse_integer(text, ret) && *ret >= 1)
        return true;
    resp_error(redis_reply(c->rc), "ERR %s should be greater than 0", name);
    return false;
}

static bool skip_me(const struct redis_call *c, struct span value, struct redis_client_filter *f)
{
    bool yes = redis_is(value, "yes");
    if (!yes && !redis_is(value, "no")) {
        redis_error_syntax(c);
        return false;
    }
    f->but_not = yes ? c->rc->id : 0;
    return true;
}

static bool kill_option(const struct redis_call *c, struct span key, struct span value,
                        struct redis_clients_visit *v)
{
    struct redis_client_filter *f = &v->filter;
    int64_t id;
    if (redis_is(key, "id")) {
        if (!positive(c, value, "client-id", &id))
            return false;
        f->ids = arena_alloc(&v->arena, sizeof(*f->ids));
        f->ids[0] = (uint64_t)id;
        f->id_count = 1;
    } else if (redis_is(key, "type")) {
        return redis_client_type_parse(value, &f->type) || unknown_type(c, value);
    } else if (redis_is(key, "addr")) {
        f->addr = copied(v, value);
    } else if (redis_is(key, "laddr")) {
        f->laddr = copied(v, value);
    } else if (redis_is(key, "user")) {
        f->user = copied(v, value);
    } else if (redis_is(key, "skipme")) {
        return skip_me(c, value, f);
    } else if (redis_is(key, "maxage")) {
        return positive(c, value, "maxage", &f->max_age_s);
    } else {
        redis_error_syntax(c);
        return false;
    }
    return true;
}

/* False: it was answered with an error. */
static bool kill_filter(const struct redis_call *c, struct redis_clients_visit *v)
{
    if (c->count == 3) {
        v->op.user = v;
        v->filter.addr = copied(v, c->args[2]);
        return true;
    }
    v->filter.but_not = c->rc->id;
    for (size_t i = 2; i < c->count; i += 2) {
        if (i + 1 == c->count) {
            redis_error_syntax(c);
            return false;
        }
        if (!kill_option(c, c->args[i], c->args[i + 1], v))
            return false;
    }
    return true;
}

static REDIS_COMMAND(client_kill)
{
    if (!redis_may(c, AUTH_CONFIGURE))
        return REDIS_DONE;
    struct redis_clients_visit *v = redis_clients_visit_new(c->rc, killed);
    v->kill = true;
    if (!kill_filter(c, v)) {
        redis_clients_visit_free(v);
        return REDIS_DONE;
    }
    redis_clients_visit_submit(v);
    return REDIS_WAIT;
}

static REDIS_COMMAND(client_help)
{
    static const char *const lines[] = {
        "CACHING (YES|NO)",
        "    Only with client-side caching, which is not served.",
        "GETNAME",
        "    The name of this connection.",
        "GETREDIR",
        "    Where notifications of client-side caching go: -1, nowhere.",
        "ID",
        "    The number of this connection.",
        "INFO",
        "    This connection, as LIST shows it.",
        "KILL <ip:port>",
        "    End the connection from this address.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    End all connections to which every option applies:",
        "    * ADDR <ip:port>",
        "      It comes from there.",
        "    * ID <client-id>",
        "      It has this number.",
        "    * LADDR <ip:port>",
        "      It came in on this address.",
        "    * MAXAGE <seconds>",
        "      It is older than that.",
        "    * SKIPME (YES|NO)",
        "      It is another than this one (default: yes).",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      It is of this type.",
        "    * USER <username>",
        "      This user has logged in on it.",
        "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> [<client-id> ...]]",
        "    All connections, or those of a type, or those with these numbers.",
        "NO-EVICT (ON|OFF)",
        "    Kept for LIST to show; no connection is ever evicted.",
        "NO-TOUCH (ON|OFF)",
        "    The same; there are no keys to touch.",
        "REPLY (ON|OFF|SKIP)",
        "    Whether the commands of this connection are answered.",
        "SETINFO (LIB-NAME|LIB-VER) <text>",
        "    Say which library this connection uses.",
        "SETNAME <name>",
        "    Give this connection a name.",
        "TRACKING OFF",
        "    Client-side caching is off, and cannot be switched on.",
        "TRACKINGINFO",
        "    What client-side caching does for this connection.",
        "UNBLOCK <client-id> [TIMEOUT|ERROR]",
        "    0: no connection is ever blocked.",
    };
    redis_help(c, lines, sizeof(lines) / sizeof(*lines));
    return REDIS_DONE;
}

enum {
    ANYTIME = REDIS_LOADING | REDIS_STALE,
    ITSELF = REDIS_NOSCRIPT | ANYTIME,
    ADMIN = REDIS_ADMIN | ITSELF,
};

#define ROW(name, fn, summary, since, complexity, arity, flags)                                              \
    {                                                                                                        \
        name, summary, since, "connection", complexity, arity, flags, redis_cmd_client_##fn, NULL, NULL      \
    }

struct redis_command redis_client_subcommands[] = {
    ROW("caching", caching, "Is about client-side caching, which is not served", "6.0.0", "O(1)", 3, ITSELF),
    ROW("getname", getname, "Tells the name of the connection", "2.6.9", "O(1)", 2, ITSELF),
    ROW("getredir", getredir, "Tells where notifications of client-side caching go", "6.0.0", "O(1)", 2,
        ITSELF),
    ROW("help", help, "Tells what CLIENT can do", "5.0.0", "O(1)", 2, ANYTIME),
    ROW("id", id, "Tells the number of the connection", "5.0.0", "O(1)", 2, ITSELF),
    ROW("info", info, "Describes the connection", "6.2.0", "O(1)", 2, ITSELF),
    ROW("kill", kill, "Ends connections", "2.4.0", "O(N), N: connections", -3, ADMIN),
    ROW("list", list, "Describes connections", "2.4.0", "O(N), N: connections", -2, ADMIN),
    ROW("no-evict", no_evict, "Sets a mark that CLIENT LIST shows", "7.0.0", "O(1)", 3, ADMIN),
    ROW("no-touch", no_touch, "Sets a mark that CLIENT LIST shows", "7.2.0", "O(1)", 3, ITSELF),
    ROW("reply", reply, "Says whether commands are answered", "3.2.0", "O(1)", 3, ITSELF),
    ROW("setinfo", setinfo, "Says which library the connection uses", "7.2.0", "O(1)", 4, ITSELF),
    ROW("setname", setname, "Gives the connection a name", "2.6.9", "O(1)", 3, ITSELF),
    ROW("tracking", tracking, "Switches client-side caching off", "6.0.0", "O(1)", -3, ITSELF),
    ROW("trackinginfo", trackinginfo, "Tells that client-side caching is off", "6.2.0", "O(1)", 2, ITSELF),
    ROW("unblock", unblock, "Finds nobody blocked", "5.0.0", "O(1)", -3, ADMIN),
    {0},
};
