/* Small commands of a server, a replica or a cluster that libraries send without being asked. */
#include <stdlib.h>

#include "proto/redis/commands.h"
#include "proto/redis/text.h"

static enum redis_outcome fail(const struct redis_call *c, const char *text)
{
    resp_error(redis_reply(c->rc), "%s", text);
    return REDIS_DONE;
}

unsigned redis_port(const struct redis_conn *rc)
{
    const char *colon = strrchr(rc->conn->local, ':');
    return colon ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
}

REDIS_COMMAND(time)
{
    struct resp_writer *w = redis_reply(c->rc);
    struct redis_text n = {0};
    int64_t ms = c->rc->conn->shard->now_ms;
    resp_array(w, 2);
    redis_text_printf(&n, "%lld", (long long)(ms / 1000));
    resp_bulk(w, redis_text_span(&n));
    n.len = 0;
    redis_text_printf(&n, "%lld", (long long)(ms % 1000 * 1000));
    resp_bulk(w, redis_text_span(&n));
    redis_text_free(&n);
    return REDIS_DONE;
}

REDIS_COMMAND(dbsize)
{
    resp_integer(redis_reply(c->rc), 0);
    return REDIS_DONE;
}

/* Of a master without replicas; it doesn't wait for some to come. */
REDIS_COMMAND(wait)
{
    int64_t n;
    if (!redis_parse_integer(c->args[1], &n))
        return fail(c, "ERR value is not an integer or out of range");
    if (!redis_parse_integer(c->args[2], &n))
        return fail(c, "ERR timeout is not an integer or out of range");
    if (n < 0)
        return fail(c, "ERR timeout is negative");
    resp_integer(redis_reply(c->rc), 0);
    return REDIS_DONE;
}

REDIS_COMMAND(role)
{
    struct resp_writer *w = redis_reply(c->rc);
    resp_array(w, 3);
    resp_bulk_str(w, "master");
    resp_integer(w, 0);
    resp_array(w, 0);
    return REDIS_DONE;
}

REDIS_COMMAND(lolwut)
{
    resp_verbatim(redis_reply(c->rc), span_str("Colobus ver. " COLOBUS_VERSION "\n"));
    return REDIS_DONE;
}

/* ---- clusters: as a Redis without one answers ---------------------------------------------------------- */

static enum redis_outcome no_cluster(const struct redis_call *c)
{
    return fail(c, "ERR This instance has cluster support disabled");
}

REDIS_COMMAND(asking)
{
    return no_cluster(c);
}

REDIS_COMMAND(cluster)
{
    return no_cluster(c);
}

REDIS_COMMAND(readonly)
{
    return no_cluster(c);
}

REDIS_COMMAND(readwrite)
{
    return no_cluster(c);
}

/* ---- MODULE and ACL ------------------------------------------------------------------------------------ */

static REDIS_COMMAND(module_list)
{
    resp_array(redis_reply(c->rc), 0);
    return REDIS_DONE;
}

static REDIS_COMMAND(module_help)
{
    static const char *const lines[] = {"LIST", "    Modules that are loaded: none, ever."};
    redis_help(c, lines, sizeof(lines) / sizeof(*lines));
    return REDIS_DONE;
}

enum {
    ANYTIME = REDIS_LOADING | REDIS_STALE,
    ADMIN = REDIS_ADMIN | REDIS_NOSCRIPT,
};

struct redis_command redis_module_subcommands[] = {
    {"help", "Tells what MODULE can do", "5.0.0", "server", "O(1)", 2, ANYTIME, redis_cmd_module_help, NULL,
     NULL},
    {"list", "Lists modules: there are none", "4.0.0", "server", "O(1)", 2, ADMIN, redis_cmd_module_list,
     NULL, NULL},
    {0},
};

static REDIS_COMMAND(acl_whoami)
{
    resp_bulk_str(redis_reply(c->rc), c->rc->user ? c->rc->user : "default");
    return REDIS_DONE;
}

/* acl.c, ACLCommandCategories[] */
static const char *const categories[] = {
    "keyspace", "read",   "write",       "set",       "sortedset",  "list",        "hash",
    "string",   "bitmap", "hyperloglog", "geo",       "stream",     "pubsub",      "admin",
    "fast",     "slow",   "blocking",    "dangerous", "connection", "transaction", "scripting"};
enum { CATEGORIES = sizeof(categories) / sizeof(*categories) };

static const char *category_named(struct span name)
{
    for (size_t i = 0; i < CATEGORIES; i++)
        if (redis_is(name, categories[i]))
            return categories[i];
    return NULL;
}

static void put_if_in(struct resp_writer *w, const struct redis_command *cmd, const char *category,
                      size_t *count)
{
    char name[REDIS_NAME_BYTES];
    if (!redis_in_category(cmd, category))
        return;
    ++*count;
    if (w)
        resp_bulk_str(w, redis_full_name(cmd, name));
}

/* Returns how many there are; w NULL: only counts. Of a command with subcommands each stands for itself. */
static size_t put_members(struct resp_writer *w, const char *category)
{
    size_t count = 0;
    for (size_t i = 0; i < redis_command_count; i++) {
        const struct redis_command *cmd = &redis_commands[i];
        if (!cmd->subcommands || cmd->run)
            put_if_in(w, cmd, category, &count);
        for (const struct redis_command *s = cmd->subcommands; s && s->name; s++)
            put_if_in(w, s, category, &count);
    }
    return count;
}

static REDIS_COMMAND(acl_cat)
{
    struct resp_writer *w = redis_reply(c->rc);
    const char *category;
    if (c->count > 3) {
        redis_error_subcommand_syntax(c);
    } else if (c->count == 2) {
        resp_array(w, CATEGORIES);
        for (size_t i = 0; i < CATEGORIES; i++)
            resp_bulk_str(w, categories[i]);
    } else if (!(category = category_named(c->args[2]))) {
        resp_error(w, "ERR Unknown category '%.*s'", SPAN_ARG(c->args[2]));
    } else {
        resp_array(w, put_members(NULL, category));
        put_members(w, category);
    }
    return REDIS_DONE;
}

static REDIS_COMMAND(acl_help)
{
    static const char *const lines[] = {
        "CAT [<category>]",
        "    Redis's categories of commands, or the commands in one that are served here.",
        "WHOAMI",
        "    The user of this connection.",
    };
    redis_help(c, lines, sizeof(lines) / sizeof(*lines));
    return REDIS_DONE;
}

struct redis_command redis_acl_subcommands[] = {
    {"cat", "Lists categories of commands, or the commands in one", "6.0.0", "server",
     "O(N), N: commands that are served", -2, ANYTIME | REDIS_NOSCRIPT, redis_cmd_acl_cat, NULL, NULL},
    {"help", "Tells what ACL can do", "6.0.0", "server", "O(1)", 2, ANYTIME, redis_cmd_acl_help, NULL, NULL},
    {"whoami", "Tells which user the connection is", "6.0.0", "server", "O(1)", 2, ANYTIME | REDIS_NOSCRIPT,
     redis_cmd_acl_whoami, NULL, NULL},
    {0},
};
