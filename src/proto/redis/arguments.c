/* Arguments of commands, for redis-cli's hints. One line for each command, with commas between
 * its arguments.
 *
 *     name     a string        ?name      may be left out
 *     name:t   of type t       TOKEN=name behind the word TOKEN; TOKEN=: the word alone
 *     name+    one or more     a/b        one of these words
 *
 * COMMAND DOCS of Redis has more to say (nested blocks, versions); this is what shows. */
#include "proto/redis/describe.h"

static const struct syntax {
    const char *command, *arguments;
} syntaxes[] = {
    {"acl|cat", "?category"},
    {"auth", "?username,password"},
    {"client|caching", "YES/NO"},
    {"client|kill",
     "?address,?ID=client-id:integer,?TYPE=NORMAL/MASTER/REPLICA/"
     "PUBSUB,?USER=username,?ADDR=address,?LADDR=address,?SKIPME=YES/NO,?MAXAGE=seconds:integer"},
    {"client|list", "?TYPE=NORMAL/MASTER/REPLICA/PUBSUB,?ID=client-id:integer+"},
    {"client|no-evict", "ON/OFF"},
    {"client|no-touch", "ON/OFF"},
    {"client|reply", "ON/OFF/SKIP"},
    {"client|setinfo", "LIB-NAME/LIB-VER,text"},
    {"client|setname", "connection-name"},
    {"client|tracking", "OFF="},
    {"client|unblock", "client-id:integer,?TIMEOUT/ERROR"},
    {"command|docs", "?command-name+"},
    {"command|getkeys", "command,?arg+"},
    {"command|getkeysandflags", "command,?arg+"},
    {"command|info", "?command-name+"},
    {"command|list", "?FILTERBY=filter name"},
    {"config|get", "parameter+"},
    {"config|set", "parameter value+"},
    {"echo", "message"},
    {"hello", "?protover:integer,?AUTH=username password,?SETNAME=clientname"},
    {"info", "?section+"},
    {"ping", "?message"},
    {"psubscribe", "pattern:pattern+"},
    {"publish", "channel,message"},
    {"pubsub|channels", "?pattern:pattern"},
    {"pubsub|numsub", "?channel+"},
    {"pubsub|shardchannels", "?pattern:pattern"},
    {"pubsub|shardnumsub", "?shardchannel+"},
    {"punsubscribe", "?pattern:pattern+"},
    {"select", "index:integer"},
    {"spublish", "shardchannel,message"},
    {"ssubscribe", "shardchannel+"},
    {"subscribe", "channel+"},
    {"sunsubscribe", "?shardchannel+"},
    {"unsubscribe", "?channel+"},
    {"wait", "numreplicas:integer,timeout:integer"},
    {"watch", "key+"},
};

struct argument {
    struct span name, type, token;
    bool optional, multiple, choice;
};

static bool take(struct span *s, char c)
{
    if (s->len == 0 || s->ptr[0] != (uint8_t)c)
        return false;
    *s = span_of(s->ptr + 1, s->len - 1);
    return true;
}

/* What is before the first `c`, which is dropped; all of it if there is none. */
static struct span take_until(struct span *s, char c)
{
    const uint8_t *at = s->len ? memchr(s->ptr, c, s->len) : NULL;
    struct span front = span_of(s->ptr, at ? (size_t)(at - s->ptr) : s->len);
    size_t used = front.len + (at != NULL);
    *s = span_of(s->ptr + used, s->len - used);
    return front;
}

static bool has(struct span s, char c)
{
    return s.len && memchr(s.ptr, c, s.len);
}

static struct argument next(struct span *syntax)
{
    struct span word = take_until(syntax, ',');
    struct argument a = {.type = span_str("string"), .optional = take(&word, '?')};
    if (has(word, '='))
        a.token = take_until(&word, '=');
    if (word.len && word.ptr[word.len - 1] == '+') {
        a.multiple = true;
        word.len--;
    }
    a.choice = has(word, '/');
    a.name = take_until(&word, ':');
    if (word.len)
        a.type = word;
    if (a.choice)
        a.type = span_str("oneof");
    if (a.name.len == 0) {
        a.name = a.token;
        a.type = span_str("pure-token");
    }
    return a;
}

static struct span syntax_of(const struct redis_command *c)
{
    char name[REDIS_NAME_BYTES];
    redis_full_name(c, name);
    for (size_t i = 0; i < sizeof(syntaxes) / sizeof(*syntaxes); i++)
        if (strcmp(syntaxes[i].command, name) == 0)
            return span_str(syntaxes[i].arguments);
    return SPAN_NULL;
}

static void put(struct resp_writer *w, const char *key, struct span value)
{
    resp_bulk_str(w, key);
    resp_bulk(w, value);
}

static void put_choices(struct resp_writer *w, struct span choices)
{
    size_t n = 1;
    for (size_t i = 0; i < choices.len; i++)
        n += choices.ptr[i] == '/';
    resp_bulk_str(w, "arguments");
    resp_array(w, n);
    while (choices.len) {
        struct span choice = take_until(&choices, '/');
        resp_map(w, 3);
        put(w, "name", choice);
        put(w, "type", span_str("pure-token"));
        put(w, "token", choice);
    }
}

static void put_argument(struct resp_writer *w, const struct argument *a)
{
    size_t flags = (size_t)a->optional + a->multiple;
    resp_map(w, 2 + (a->token.len > 0) + (flags > 0) + a->choice);
    put(w, "name", a->name);
    put(w, "type", a->type);
    if (a->token.len)
        put(w, "token", a->token);
    if (flags) {
        resp_bulk_str(w, "flags");
        resp_set(w, flags);
    }
    if (a->optional)
        resp_simple(w, "optional");
    if (a->multiple)
        resp_simple(w, "multiple");
    if (a->choice)
        put_choices(w, a->name);
}

size_t redis_arguments_count(const struct redis_command *c)
{
    struct span syntax = syntax_of(c);
    size_t n = 0;
    for (; syntax.len; n++)
        next(&syntax);
    return n;
}

void redis_arguments_put(struct resp_writer *w, const struct redis_command *c)
{
    struct span syntax = syntax_of(c);
    resp_array(w, redis_arguments_count(c));
    while (syntax.len) {
        struct argument a = next(&syntax);
        put_argument(w, &a);
    }
}
