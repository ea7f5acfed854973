/* From a command's words to what runs: the checks of Redis's processCommand(), in its order and its words. */
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "proto/redis/redis_impl.h"

/* ---- names --------------------------------------------------------------------------------------------- */

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* word is lower case. */
bool redis_is(struct span arg, const char *word)
{
    size_t i = 0;
    while (i < arg.len && word[i] && lower(arg.ptr[i]) == lower((uint8_t)word[i]))
        i++;
    return i == arg.len && !word[i];
}

const struct redis_command *redis_subcommand_find(const struct redis_command *c, struct span name)
{
    for (const struct redis_command *s = c->subcommands; s && s->name; s++)
        if (redis_is(name, s->name))
            return s;
    return NULL;
}

const char *redis_full_name(const struct redis_command *command, char buf[REDIS_NAME_BYTES])
{
    snprintf(buf, REDIS_NAME_BYTES, "%s%s%s", command->parent ? command->parent->name : "",
             command->parent ? "|" : "", command->name);
    return buf;
}

/* ---- numbers ------------------------------------------------------------------------------------------- */

bool redis_parse_integer(struct span text, int64_t *ret)
{
    return resp_parse_integer(text, ret);
}

/* ---- answers ------------------------------------------------------------------------------------------- */

struct resp_writer *redis_reply(struct redis_conn *rc)
{
    if (rc->pushing || rc->reply_mode == REDIS_REPLY_ON || rc->reply_mode == REDIS_REPLY_SKIP_NEXT)
        return &rc->out;
    rc->nowhere.version = rc->out.version;
    return &rc->nowhere;
}

void redis_error_arity(const struct redis_call *c)
{
    char name[REDIS_NAME_BYTES];
    resp_error(redis_reply(c->rc), "ERR wrong number of arguments for '%s' command",
               redis_full_name(c->command, name));
}

void redis_error_syntax(const struct redis_call *c)
{
    resp_error(redis_reply(c->rc), "ERR syntax error");
}

/* As Redis prints words of its clients: up to 128 bytes, up to a NUL. */
enum { SHOWN_MAX = 128 };

static struct span shown(struct span arg, size_t max)
{
    return span_of(arg.ptr, arg.len < max ? arg.len : max);
}

static void upper_name(const struct redis_command *c, char buf[REDIS_NAME_BYTES])
{
    const struct redis_command *top = c->parent ? c->parent : c;
    size_t i = 0;
    for (; top->name[i] && i < REDIS_NAME_BYTES - 1; i++)
        buf[i] = (char)(top->name[i] >= 'a' && top->name[i] <= 'z' ? top->name[i] - 'a' + 'A' : top->name[i]);
    buf[i] = 0;
}

void redis_error_subcommand(const struct redis_call *c)
{
    char name[REDIS_NAME_BYTES];
    struct span word = c->count > 1 ? c->args[1] : SPAN_NULL;
    upper_name(c->command, name);
    resp_error(redis_reply(c->rc), "ERR unknown subcommand '%.*s'. Try %s HELP.",
               SPAN_ARG(shown(word, SHOWN_MAX)), name);
}

/* networking.c, addReplyHelp() */
void redis_help(const struct redis_call *c, const char *const *lines, size_t count)
{
    char name[REDIS_NAME_BYTES];
    char title[REDIS_NAME_BYTES + 80];
    struct resp_writer *w = redis_reply(c->rc);
    upper_name(c->command, name);
    snprintf(title, sizeof(title), "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", name);
    resp_array(w, count + 3);
    resp_simple(w, title);
    for (size_t i = 0; i < count; i++)
        resp_simple(w, lines[i]);
    resp_simple(w, "HELP");
    resp_simple(w, "    Prints this help.");
}

/* ---- refusals ------------------------------------------------------------------------------------------ */

/* A command that was refused before it ran: the transaction is spoilt, and EXEC ends it. `text` without the
 * minus: "ERR ...", "NOAUTH ...". */
static enum redis_outcome refuse(const struct redis_call *c, const char *text)
{
    struct redis_conn *rc = c->rc;
    const char *reason = strncmp(text, "ERR ", 4) == 0 ? text + 4 : text;
    if (c->command && strcmp(c->command->name, "exec") == 0) {
        redis_multi_drop(rc);
        resp_error(redis_reply(rc), "EXECABORT Transaction discarded because of: %s", reason);
        return REDIS_DONE;
    }
    redis_multi_taint(rc);
    resp_error(redis_reply(rc), "%s", text);
    return REDIS_DONE;
}

/* What was asked for is no part of Colobus: the operator hears of it once for each connection. */
static void tell_unknown(struct redis_conn *rc, struct span name)
{
    char quoted[SAY_QUOTE_BYTES];
    if (rc->told_unknown)
        return;
    rc->told_unknown = true;
    if (conn_may_log(rc->conn->shard))
        say_warn(
            "redis", "unknown command",
            "peer=%s command=%s reason=\"Colobus serves publish and subscribe only, not Redis's data types\"",
            rc->conn->peer, say_quote(name, quoted));
}

/* server.c, commandCheckExistence() */
static enum redis_outcome unknown_command(const struct redis_call *c)
{
    char text[2 * SHOWN_MAX + 128], args[SHOWN_MAX + 8];
    size_t len = 0;
    args[0] = 0;
    for (size_t i = 1; i < c->count && len < SHOWN_MAX; i++) {
        snprintf(args + len, sizeof(args) - len, "'%.*s' ", SPAN_ARG(shown(c->args[i], SHOWN_MAX - len)));
        len += strlen(args + len);
    }
    tell_unknown(c->rc, c->args[0]);
    snprintf(text, sizeof(text), "ERR unknown command '%.*s', with args beginning with: %s",
             SPAN_ARG(shown(c->args[0], SHOWN_MAX)), args);
    return refuse(c, text);
}

static enum redis_outcome unknown_subcommand(const struct redis_call *c)
{
    redis_multi_taint(c->rc);
    redis_error_subcommand(c);
    return REDIS_DONE;
}

static enum redis_outcome wrong_arity(const struct redis_call *c)
{
    char text[REDIS_NAME_BYTES + 64], name[REDIS_NAME_BYTES];
    snprintf(text, sizeof(text), "ERR wrong number of arguments for '%s' command",
             redis_full_name(c->command, name));
    return refuse(c, text);
}

static enum redis_outcome not_while_subscribed(const struct redis_call *c)
{
    char text[REDIS_NAME_BYTES + 160], name[REDIS_NAME_BYTES];
    snprintf(
        text, sizeof(text),
        "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "
        "this context",
        redis_full_name(c->command, name));
    return refuse(c, text);
}

/* ---- one command --------------------------------------------------------------------------------------- */

static bool has_arity(const struct redis_command *c, size_t count)
{
    return c->arity >= 0 ? count == (size_t)c->arity : count >= (size_t)-c->arity;
}

/* server.c, securityWarningCommand(): a browser was made to talk to this port. It hears nothing, not even
 * what was answered before. */
static bool is_http(struct span name)
{
    return redis_is(name, "post") || redis_is(name, "host:");
}

static enum redis_outcome end_http(struct redis_conn *rc)
{
    rc->closing = true;
    conn_fail(
        rc->conn, ERR_INVALID,
        "this is HTTP, not Redis's protocol: perhaps an attack by a web page (cross-protocol scripting)");
    conn_abort(rc->conn);
    return REDIS_DONE;
}

/* The command or subcommand; NULL and *ret_parent: the subcommand is unknown. */
static const struct redis_command *look_up(const struct span *args, size_t count,
                                           const struct redis_command **ret_parent)
{
    const struct redis_command *c = redis_command_find(args[0]);
    *ret_parent = c;
    if (!c || !c->subcommands || count < 2)
        return c;
    return redis_subcommand_find(c, args[1]);
}

static enum redis_outcome run_or_queue(const struct redis_call *call)
{
    struct redis_conn *rc = call->rc;
    uint32_t flags = call->command->flags;
    if (rc->may_do_nothing && !(flags & REDIS_NO_AUTH))
        return refuse(call, "NOAUTH Authentication required.");
    if (rc->multi && (flags & REDIS_NO_MULTI))
        return refuse(call, "ERR Command not allowed inside a transaction");
    if (!(flags & REDIS_SUBSCRIBED_TOO) && rc->out.version == 2 && redis_is_subscribed(rc))
        return not_while_subscribed(call);
    if (rc->multi && !(flags & REDIS_AT_ONCE)) {
        redis_multi_queue(call);
        return REDIS_DONE;
    }
    return redis_run(call);
}

enum redis_outcome redis_process(struct redis_conn *rc, const struct span *args, size_t count,
                                 struct chunk *chunk)
{
    const struct redis_command *parent;
    struct redis_call call = {.rc = rc, .args = args, .count = count, .chunk = chunk};
    call.command = rc->last = look_up(args, count, &parent);
    if (!call.command) {
        if (is_http(args[0]))
            return end_http(rc);
        if (!parent)
            return unknown_command(&call);
        call.command = parent;
        return unknown_subcommand(&call);
    }
    if (!has_arity(call.command, count))
        return wrong_arity(&call);
    return run_or_queue(&call);
}

enum redis_outcome redis_run(const struct redis_call *c)
{
    struct redis_conn *rc = c->rc;
    metrics_add(rc->conn->shard->metrics, METRIC_REDIS_COMMANDS, 1);
    rc->pushing = c->command->flags & REDIS_IS_PUSH;
    if ((c->command->flags & REDIS_PUBSUB) && !rc->space && !redis_has_space(rc))
        return REDIS_DONE;
    return c->command->run(c);
}
