/* COMMAND: what there is, as libraries and redis-cli ask for it (server.c: commandCommand() and its kin). */
#include "core/glob.h"
#include "proto/redis/describe.h"

/* What one answer is bounded by: names are a few bytes, what is told of each may be kilobytes. */
enum { NAMES_MAX = 1024, PATTERN_BYTES = 256 };

/* ---- names --------------------------------------------------------------------------------------------- */

/* "client" or "client|list", whatever the case. */
static const struct redis_command *named(struct span name)
{
    const uint8_t *bar = name.len ? memchr(name.ptr, '|', name.len) : NULL;
    const struct redis_command *c =
        redis_command_find(bar ? span_of(name.ptr, (size_t)(bar - name.ptr)) : name);
    return c && bar ? redis_subcommand_find(c, span_of(bar + 1, name.len - (size_t)(bar + 1 - name.ptr))) : c;
}

static bool too_many_names(const struct redis_call *c)
{
    if (c->count - 2 <= NAMES_MAX)
        return false;
    resp_error(redis_reply(c->rc), "ERR more than %d names", NAMES_MAX);
    return true;
}

static size_t count_rows(const struct redis_command *rows)
{
    size_t n = 0;
    while (rows && rows[n].name)
        n++;
    return n;
}

/* ---- what a command is --------------------------------------------------------------------------------- */

/* In Redis's order. */
static const struct {
    uint32_t flag;
    const char *word;
} flag_words[] = {
    {REDIS_READONLY, "readonly"}, {REDIS_DENYOOM, "denyoom"},   {REDIS_ADMIN, "admin"},
    {REDIS_PUBSUB, "pubsub"},     {REDIS_NOSCRIPT, "noscript"}, {REDIS_BLOCKING, "blocking"},
    {REDIS_LOADING, "loading"},   {REDIS_STALE, "stale"},       {REDIS_FAST, "fast"},
    {REDIS_NO_AUTH, "no_auth"},   {REDIS_NO_MULTI, "no_multi"},
};
enum { FLAG_WORDS = sizeof(flag_words) / sizeof(*flag_words) };

static void put_flags(struct resp_writer *w, uint32_t flags)
{
    size_t n = 0;
    for (size_t i = 0; i < FLAG_WORDS; i++)
        n += (flags & flag_words[i].flag) != 0;
    resp_set(w, n);
    for (size_t i = 0; i < FLAG_WORDS; i++)
        if (flags & flag_words[i].flag)
            resp_simple(w, flag_words[i].word);
}

/* Categories that don't follow from flags and group: Redis gives them to these by hand. */
static const struct {
    const char *command, *category;
} by_hand[] = {
    {"asking", "connection"}, {"command", "connection"},  {"dbsize", "keyspace"},
    {"info", "dangerous"},    {"readonly", "connection"}, {"readwrite", "connection"},
    {"role", "admin"},        {"role", "dangerous"},      {"wait", "connection"},
};

static bool is_given(const struct redis_command *c, const char *category)
{
    const char *top = c->parent ? c->parent->name : c->name;
    for (size_t i = 0; i < sizeof(by_hand) / sizeof(*by_hand); i++)
        if (strcmp(by_hand[i].command, top) == 0 && strcmp(by_hand[i].category, category) == 0)
            return true;
    return false;
}

/* setImplicitACLCategories(). A command with subcommands only has none but its speed. */
bool redis_in_category(const struct redis_command *c, const char *category)
{
    bool runs = c->run != NULL;
    if (strcmp(category, "read") == 0)
        return c->flags & REDIS_READONLY;
    if (strcmp(category, "pubsub") == 0)
        return c->flags & REDIS_PUBSUB;
    if (strcmp(category, "fast") == 0)
        return c->flags & REDIS_FAST;
    if (strcmp(category, "slow") == 0)
        return !(c->flags & REDIS_FAST);
    if (strcmp(category, "blocking") == 0)
        return c->flags & REDIS_BLOCKING;
    if (is_given(c, category))
        return true;
    if (strcmp(category, "admin") == 0 || strcmp(category, "dangerous") == 0)
        return c->flags & REDIS_ADMIN;
    return runs && (strcmp(category, "transaction") == 0
                        ? strcmp(c->group, "transactions") == 0
                        : strcmp(c->group, category) == 0 && strcmp(category, "connection") == 0);
}

static void put_categories(struct resp_writer *w, const struct redis_command *c)
{
    static const char *const shown[] = {"keyspace", "read",     "pubsub",    "admin",      "fast",
                                        "slow",     "blocking", "dangerous", "connection", "transaction"};
    enum { SHOWN = sizeof(shown) / sizeof(*shown) };
    char word[REDIS_NAME_BYTES] = "@";
    size_t n = 0;
    for (size_t i = 0; i < SHOWN; i++)
        n += redis_in_category(c, shown[i]);
    resp_set(w, n);
    for (size_t i = 0; i < SHOWN; i++)
        if (redis_in_category(c, shown[i])) {
            strcpy(word + 1, shown[i]);
            resp_simple(w, word);
        }
}

/* ---- keys ---------------------------------------------------------------------------------------------- */

/* What clients of a cluster find a command's node by: its keys, and sharded channels, which are none. */
static const struct keys {
    const char *command;
    int last; /* the first is argument 1; -1: all */
    const char *flag;
} keys_of[] = {{"spublish", 1, "not_key"},
               {"ssubscribe", -1, "not_key"},
               {"sunsubscribe", -1, "not_key"},
               {"watch", -1, "RO"}};

static const struct keys *find_keys(const struct redis_command *c)
{
    for (size_t i = 0; i < sizeof(keys_of) / sizeof(*keys_of); i++)
        if (!c->parent && strcmp(keys_of[i].command, c->name) == 0)
            return &keys_of[i];
    return NULL;
}

static void put_number(struct resp_writer *w, const char *name, int n)
{
    resp_bulk_str(w, name);
    resp_integer(w, n);
}

static void put_key_specs(struct resp_writer *w, const struct keys *k)
{
    resp_set(w, k != NULL);
    if (!k)
        return;
    resp_map(w, 3);
    resp_bulk_str(w, "flags");
    resp_set(w, 1);
    resp_simple(w, k->flag);
    resp_bulk_str(w, "begin_search");
    resp_map(w, 2);
    resp_bulk_str(w, "type");
    resp_bulk_str(w, "index");
    resp_bulk_str(w, "spec");
    resp_map(w, 1);
    put_number(w, "index", 1);
    resp_bulk_str(w, "find_keys");
    resp_map(w, 2);
    resp_bulk_str(w, "type");
    resp_bulk_str(w, "range");
    resp_bulk_str(w, "spec");
    resp_map(w, 3);
    put_number(w, "lastkey", k->last < 0 ? k->last : k->last - 1);
    put_number(w, "keystep", 1);
    put_number(w, "limit", 0);
}

/* ---- COMMAND, COMMAND INFO ----------------------------------------------------------------------------- */

static void put_info(struct resp_writer *w, const struct redis_command *c)
{
    char name[REDIS_NAME_BYTES];
    const struct keys *k = find_keys(c);
    size_t subcommands = count_rows(c->subcommands);
    resp_array(w, 10);
    resp_bulk_str(w, redis_full_name(c, name));
    resp_integer(w, c->arity);
    put_flags(w, c->run ? c->flags : 0);
    resp_integer(w, k ? 1 : 0);
    resp_integer(w, k ? k->last : 0);
    resp_integer(w, k ? 1 : 0);
    put_categories(w, c);
    resp_set(w, 0); /* hints for proxies: none is needed for one node */
    put_key_specs(w, k);
    if (subcommands)
        resp_array(w, subcommands);
    else
        resp_set(w, 0);
    for (size_t i = 0; i < subcommands; i++)
        put_info(w, &c->subcommands[i]);
}

static enum redis_outcome put_all(const struct redis_call *c)
{
    struct resp_writer *w = redis_reply(c->rc);
    resp_array(w, redis_command_count);
    for (size_t i = 0; i < redis_command_count; i++)
        put_info(w, &redis_commands[i]);
    return REDIS_DONE;
}

REDIS_COMMAND(command)
{
    return put_all(c);
}

static REDIS_COMMAND(command_info)
{
    struct resp_writer *w = redis_reply(c->rc);
    if (c->count == 2)
        return put_all(c);
    if (too_many_names(c))
        return REDIS_DONE;
    resp_array(w, c->count - 2);
    for (size_t i = 2; i < c->count; i++) {
        const struct redis_command *it = named(c->args[i]);
        if (it)
            put_info(w, it);
        else
            resp_null(w);
    }
    return REDIS_DONE;
}

static REDIS_COMMAND(command_count)
{
    resp_integer(redis_reply(c->rc), (int64_t)redis_command_count);
    return REDIS_DONE;
}

/* ---- COMMAND LIST -------------------------------------------------------------------------------------- */

enum filter { ALL, BY_MODULE, BY_CATEGORY, BY_PATTERN };

static bool is_listed(const struct redis_command *c, enum filter by, struct span what)
{
    char text[REDIS_NAME_BYTES];
    size_t len = what.len < sizeof(text) - 1 ? what.len : sizeof(text) - 1;
    switch (by) {
    case BY_CATEGORY: /* a command with subcommands only is in none */
        for (size_t i = 0; i < len; i++)
            text[i] = (char)(what.ptr[i] >= 'A' && what.ptr[i] <= 'Z' ? what.ptr[i] | 0x20 : what.ptr[i]);
        text[len] = 0;
        return c->run && redis_in_category(c, text);
    case BY_PATTERN:
        return what.len <= PATTERN_BYTES && glob_match(what, span_str(redis_full_name(c, text)), true);
    default:
        return by == ALL;
    }
}

/* Returns how many; w NULL: only counts. */
static size_t list_rows(struct resp_writer *w, const struct redis_command *rows, size_t count, enum filter by,
                        struct span what)
{
    char name[REDIS_NAME_BYTES];
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_listed(&rows[i], by, what)) {
            n++;
            if (w)
                resp_bulk_str(w, redis_full_name(&rows[i], name));
        }
        n += list_rows(w, rows[i].subcommands, count_rows(rows[i].subcommands), by, what);
    }
    return n;
}

static REDIS_COMMAND(command_list)
{
    struct resp_writer *w = redis_reply(c->rc);
    enum filter by = ALL;
    struct span what = c->count == 5 ? c->args[4] : SPAN_NULL;
    if (c->count == 5 && redis_is(c->args[2], "filterby"))
        by = redis_is(c->args[3], "module")    ? BY_MODULE
             : redis_is(c->args[3], "aclcat")  ? BY_CATEGORY
             : redis_is(c->args[3], "pattern") ? BY_PATTERN
                                               : ALL;
    if (c->count > 2 && by == ALL) {
        redis_error_syntax(c);
        return REDIS_DONE;
    }
    resp_array(w, list_rows(NULL, redis_commands, redis_command_count, by, what));
    list_rows(w, redis_commands, redis_command_count, by, what);
    return REDIS_DONE;
}

/* ---- COMMAND GETKEYS ----------------------------------------------------------------------------------- */

static enum redis_outcome get_keys(const struct redis_call *c, bool with_flags)
{
    struct resp_writer *w = redis_reply(c->rc);
    const struct redis_command *it = redis_command_find(c->args[2]);
    const struct keys *k = it ? find_keys(it) : NULL;
    if (it && it->subcommands && c->count > 3)
        it = redis_subcommand_find(it, c->args[3]);
    if (!it) {
        resp_error(w, "ERR Invalid command specified");
    } else if (!k || strcmp(k->flag, "not_key") == 0) {
        resp_error(w, "ERR The command has no key arguments");
    } else if (c->count < 4) {
        resp_error(w, "ERR Invalid number of arguments specified for command");
    } else {
        resp_array(w, c->count - 3);
        for (size_t i = 3; i < c->count; i++) {
            if (with_flags)
                resp_array(w, 2);
            resp_bulk(w, c->args[i]);
            if (with_flags) {
                resp_set(w, 1);
                resp_simple(w, k->flag);
            }
        }
    }
    return REDIS_DONE;
}

static REDIS_COMMAND(command_getkeys)
{
    return get_keys(c, false);
}

static REDIS_COMMAND(command_getkeysandflags)
{
    return get_keys(c, true);
}

/* ---- COMMAND DOCS -------------------------------------------------------------------------------------- */

static size_t count_known(const struct redis_call *c)
{
    size_t n = 0;
    for (size_t i = 2; i < c->count; i++)
        n += named(c->args[i]) != NULL;
    return n;
}

static void put_doc(struct resp_writer *w, const struct redis_command *c)
{
    char name[REDIS_NAME_BYTES];
    size_t subcommands = count_rows(c->subcommands), arguments = redis_arguments_count(c);
    resp_bulk_str(w, redis_full_name(c, name));
    resp_map(w, 3 + (c->complexity != NULL) + (arguments > 0) + (subcommands > 0));
    resp_bulk_str(w, "summary");
    resp_bulk_str(w, c->summary);
    resp_bulk_str(w, "since");
    resp_bulk_str(w, c->since);
    resp_bulk_str(w, "group");
    resp_bulk_str(w, c->group);
    if (c->complexity) {
        resp_bulk_str(w, "complexity");
        resp_bulk_str(w, c->complexity);
    }
    if (arguments) {
        resp_bulk_str(w, "arguments");
        redis_arguments_put(w, c);
    }
    if (subcommands) {
        resp_bulk_str(w, "subcommands");
        resp_map(w, subcommands);
    }
    for (size_t i = 0; i < subcommands; i++)
        put_doc(w, &c->subcommands[i]);
}

static REDIS_COMMAND(command_docs)
{
    struct resp_writer *w = redis_reply(c->rc);
    const struct redis_command *it;
    if (too_many_names(c))
        return REDIS_DONE;
    resp_map(w, c->count == 2 ? redis_command_count : count_known(c));
    for (size_t i = 0; c->count == 2 && i < redis_command_count; i++)
        put_doc(w, &redis_commands[i]);
    for (size_t i = 2; i < c->count; i++)
        if ((it = named(c->args[i])))
            put_doc(w, it);
    return REDIS_DONE;
}

static REDIS_COMMAND(command_help)
{
    static const char *const lines[] = {
        "(no subcommand)",
        "    All commands, as INFO shows them.",
        "COUNT",
        "    How many commands there are.",
        "DOCS [<command-name> ...]",
        "    What commands are for and which arguments they take; without names: all of them.",
        "GETKEYS <full-command>",
        "    Which arguments of the command are keys.",
        "GETKEYSANDFLAGS <full-command>",
        "    The same, and what is done with them.",
        "INFO [<command-name> ...]",
        "    Arity, flags and categories of commands; without names: of all.",
        "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
        "    Names of commands.",
    };
    redis_help(c, lines, sizeof(lines) / sizeof(*lines));
    return REDIS_DONE;
}

enum { ANYTIME = REDIS_LOADING | REDIS_STALE };

struct redis_command redis_command_subcommands[] = {
    {"count", "Tells how many commands there are", "2.8.13", "server", "O(1)", 2, ANYTIME,
     redis_cmd_command_count, NULL, NULL},
    {"docs", "Tells what commands are for and which arguments they take", "7.0.0", "server",
     "O(N), N: commands asked for", -2, ANYTIME, redis_cmd_command_docs, NULL, NULL},
    {"getkeys", "Picks the keys out of a command", "2.8.13", "server", "O(N), N: arguments of the command",
     -3, ANYTIME, redis_cmd_command_getkeys, NULL, NULL},
    {"getkeysandflags", "Picks the keys out of a command, and tells what is done with them", "7.0.0",
     "server", "O(N), N: arguments of the command", -3, ANYTIME, redis_cmd_command_getkeysandflags, NULL,
     NULL},
    {"help", "Tells what COMMAND can do", "5.0.0", "server", "O(1)", 2, ANYTIME, redis_cmd_command_help, NULL,
     NULL},
    {"info", "Tells arity, flags and categories of commands", "2.8.13", "server",
     "O(N), N: commands asked for", -2, ANYTIME, redis_cmd_command_info, NULL, NULL},
    {"list", "Lists names of commands", "7.0.0", "server", "O(N), N: commands that are served", -2, ANYTIME,
     redis_cmd_command_list, NULL, NULL},
    {0},
};
