/* CONFIG: of Redis's parameters those that are true here under its names (config.c). What can be changed is
 * what a subscriber may leave unread; it lasts until the broker is restarted. */
#include "core/broker.h"
#include "core/glob.h"
#include "proto/redis/commands.h"
#include "proto/redis/text.h"

/* ---- values -------------------------------------------------------------------------------------------- */

typedef void show_value(const struct redis_conn *rc, struct redis_text *t);

static const struct config *settings(const struct redis_conn *rc)
{
    return rc->conn->shard->config;
}

/* Only subscribers are cut for what they leave unread. Others aren't read from; there are no replicas, whose
 * class has Redis's default. */
static const char other_classes[] = "normal 0 0 0 slave 268435456 67108864 60 ";

static void show_output_limits(const struct redis_conn *rc, struct redis_text *t)
{
    const struct subject_limits *l = subject_limits(rc->conn->shard->broker);
    redis_text_printf(t, "%spubsub %llu %llu %llu", other_classes, (unsigned long long)atomic_load(&l->hard),
                      (unsigned long long)atomic_load(&l->soft),
                      (unsigned long long)atomic_load(&l->soft_ms) / 1000);
}

static void show_max_clients(const struct redis_conn *rc, struct redis_text *t)
{
    redis_text_printf(t, "%llu", (unsigned long long)settings(rc)->max_connections);
}

static void show_max_bulk(const struct redis_conn *rc, struct redis_text *t)
{
    redis_text_printf(t, "%llu", (unsigned long long)settings(rc)->redis_max_bulk_bytes);
}

/* Of the listener that the client came in on. */
static void show_port(const struct redis_conn *rc, struct redis_text *t)
{
    redis_text_printf(t, "%u", rc->conn->secure ? 0 : redis_port(rc));
}

static void show_tls_port(const struct redis_conn *rc, struct redis_text *t)
{
    redis_text_printf(t, "%u", rc->conn->secure ? redis_port(rc) : 0);
}

static void show_bind(const struct redis_conn *rc, struct redis_text *t)
{
    const char *bound = rc->conn->listener ? rc->conn->listener->bound : "";
    const char *colon = strrchr(bound, ':');
    struct span host = span_of(bound, colon ? (size_t)(colon - bound) : strlen(bound));
    if (host.len > 1 && host.ptr[0] == '[')
        host = span_of(host.ptr + 1, host.len - 2);
    redis_text_put(t, host);
}

/* ---- parameters ---------------------------------------------------------------------------------------- */

typedef const char *change_value(struct redis_conn *rc, struct span value, bool try_only);
static change_value change_output_limits;

static const struct parameter {
    const char *name;
    const char *value; /* NULL: by `show` */
    show_value *show;
    change_value *change; /* NULL: it is what it is. Returns NULL or why not. */
} parameters[] = {
    {"appendonly", "no", NULL, NULL},
    {"bind", NULL, show_bind, NULL},
    {"client-output-buffer-limit", NULL, show_output_limits, change_output_limits},
    {"cluster-enabled", "no", NULL, NULL},
    {"databases", "16", NULL, NULL},
    {"maxclients", NULL, show_max_clients, NULL},
    {"maxmemory", "0", NULL, NULL},
    {"maxmemory-policy", "noeviction", NULL, NULL},
    {"notify-keyspace-events", "", NULL, NULL},
    {"port", NULL, show_port, NULL},
    {"proto-max-bulk-len", NULL, show_max_bulk, NULL},
    {"replica-read-only", "yes", NULL, NULL},
    {"save", "", NULL, NULL},
    {"slave-read-only", "yes", NULL, NULL},
    {"tcp-keepalive", "0", NULL, NULL},
    {"timeout", "0", NULL, NULL},
    {"tls-port", NULL, show_tls_port, NULL},
};
enum { PARAMETERS = sizeof(parameters) / sizeof(*parameters) };

static const struct parameter *find_parameter(struct span name)
{
    for (size_t i = 0; i < PARAMETERS; i++)
        if (redis_is(name, parameters[i].name))
            return &parameters[i];
    return NULL;
}

static void show(const struct redis_conn *rc, const struct parameter *p, struct redis_text *t)
{
    if (p->value)
        redis_text_put(t, span_str(p->value));
    else
        p->show(rc, t);
}

/* ---- GET ----------------------------------------------------------------------------------------------- */

static void put_parameter(const struct redis_call *c, struct resp_writer *w, struct span name,
                          const struct parameter *p)
{
    struct redis_text value = {0};
    show(c->rc, p, &value);
    resp_bulk(w, name);
    resp_bulk(w, redis_text_span(&value));
    redis_text_free(&value);
}

enum { PATTERNS_MAX = 64, PATTERN_BYTES = 256 };

/* Those that a pattern names, or matches: as bits. One that is longer than any name has use for matches
 * nothing: it could only cost time. */
static uint32_t matching(struct span pattern)
{
    uint32_t found = 0;
    _Static_assert(PARAMETERS <= 32, "a bit each");
    if (pattern.len > PATTERN_BYTES)
        return 0;
    for (size_t i = 0; i < PARAMETERS; i++)
        if (glob_match(pattern, span_str(parameters[i].name), true))
            found |= UINT32_C(1) << i;
    return found;
}

/* A name without wildcards is told as it was asked for. */
static struct span asked_name(const struct redis_call *c, size_t i)
{
    for (size_t a = 2; a < c->count; a++)
        if (redis_is(c->args[a], parameters[i].name))
            return c->args[a];
    return span_str(parameters[i].name);
}

static REDIS_COMMAND(config_get)
{
    struct resp_writer *w = redis_reply(c->rc);
    uint32_t found = 0;
    if (c->count - 2 > PATTERNS_MAX) {
        resp_error(w, "ERR more than %d patterns", PATTERNS_MAX);
        return REDIS_DONE;
    }
    for (size_t i = 2; i < c->count; i++)
        found |= matching(c->args[i]);
    resp_map(w, (size_t)__builtin_popcount(found));
    for (size_t i = 0; i < PARAMETERS; i++)
        if (found & UINT32_C(1) << i)
            put_parameter(c, w, asked_name(c, i), &parameters[i]);
    return REDIS_DONE;
}

/* ---- client-output-buffer-limit ------------------------------------------------------------------------ */

/* Up to the next space, which is dropped. False: there is nothing more, or nothing before the space. */
static bool next_word(struct span *rest, struct span *ret)
{
    const uint8_t *space = rest->len ? memchr(rest->ptr, ' ', rest->len) : NULL;
    size_t len = space ? (size_t)(space - rest->ptr) : rest->len, used = len + (space != NULL);
    *ret = span_of(rest->ptr, len);
    *rest = span_of(rest->ptr + used, rest->len - used);
    return len > 0;
}

/* util.c: memtoull() */
static bool parse_bytes(struct span text, uint64_t *ret)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"", 1},           {"b", 1},
                 {"k", 1000},       {"kb", 1024},
                 {"m", 1000000},    {"mb", 1024 * 1024},
                 {"g", 1000000000}, {"gb", 1024 * 1024 * 1024}};
    size_t digits = 0;
    int64_t n;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    if (digits == 0 || !redis_parse_integer(span_of(text.ptr, digits), &n))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
        if (redis_is(span_of(text.ptr + digits, text.len - digits), units[i].name))
            return !__builtin_mul_overflow((uint64_t)n, units[i].bytes, ret);
    return false;
}

struct output_class {
    uint64_t hard, soft, seconds;
};
enum output_class_name { NORMAL, SLAVE, PUBSUB, CLASSES };

static bool parse_class_name(struct span word, enum output_class_name *ret)
{
    *ret = redis_is(word, "normal")                               ? NORMAL
           : redis_is(word, "slave") || redis_is(word, "replica") ? SLAVE
           : redis_is(word, "pubsub")                             ? PUBSUB
                                                                  : CLASSES;
    return *ret != CLASSES;
}

/* "pubsub 32mb 8mb 60", and so on. NULL, or why not, in Redis's words. */
static const char *parse_output_limits(struct span text, struct output_class classes[CLASSES])
{
    const char *syntax = "Wrong number of arguments in buffer limit configuration.";
    const char *numbers = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
    struct span word, rest = text;
    size_t words = 0;
    for (; rest.len; words++)
        if (!next_word(&rest, &word))
            return syntax;
    if (words % 4)
        return syntax;
    for (rest = text; rest.len;) {
        enum output_class_name name;
        struct output_class k;
        int64_t seconds;
        next_word(&rest, &word);
        if (!parse_class_name(word, &name))
            return "Invalid client class specified in buffer limit configuration.";
        next_word(&rest, &word);
        if (!parse_bytes(word, &k.hard))
            return numbers;
        next_word(&rest, &word);
        if (!parse_bytes(word, &k.soft))
            return numbers;
        next_word(&rest, &word);
        if (!redis_parse_integer(word, &seconds) || seconds < 0 || seconds > INT32_MAX)
            return numbers;
        k.seconds = (uint64_t)seconds;
        classes[name] = k;
    }
    return NULL;
}

static bool same_class(const struct output_class *a, const struct output_class *b)
{
    return a->hard == b->hard && a->soft == b->soft && a->seconds == b->seconds;
}

static const char *change_output_limits(struct redis_conn *rc, struct span value, bool try_only)
{
    struct subject_limits *l = subject_limits(rc->conn->shard->broker);
    const struct output_class normal = {0, 0, 0}, slave = {268435456, 67108864, 60};
    struct output_class wanted[CLASSES] = {
        normal, slave, {atomic_load(&l->hard), atomic_load(&l->soft), atomic_load(&l->soft_ms) / 1000}};
    const char *why = parse_output_limits(value, wanted);
    if (why)
        return why;
    if (!same_class(&wanted[NORMAL], &normal) || !same_class(&wanted[SLAVE], &slave))
        return "only the limits of the class pubsub can be changed here";
    if (!try_only) {
        atomic_store(&l->hard, wanted[PUBSUB].hard);
        atomic_store(&l->soft, wanted[PUBSUB].soft);
        atomic_store(&l->soft_ms, wanted[PUBSUB].seconds * 1000);
    }
    return NULL;
}

/* ---- SET ----------------------------------------------------------------------------------------------- */

static void refuse(const struct redis_call *c, const struct parameter *p, const char *why)
{
    resp_error(redis_reply(c->rc), "ERR CONFIG SET failed (possibly related to argument '%s') - %s", p->name,
               why);
}

/* To what it is already: done. NULL, or why not. */
static const char *unchanged(const struct redis_conn *rc, const struct parameter *p, struct span value)
{
    struct redis_text now = {0};
    show(rc, p, &now);
    bool same = redis_text_span(&now).len == value.len && span_eq(redis_text_span(&now), value);
    redis_text_free(&now);
    if (same)
        return NULL;
    return strcmp(p->name, "notify-keyspace-events") == 0 ? "there are no keys here that could have events"
                                                          : "can't set immutable config";
}

/* All of them, or none. False: it was answered with an error. */
static bool set_all(const struct redis_call *c, bool try_only)
{
    uint32_t seen = 0;
    for (size_t i = 2; i < c->count; i += 2) {
        const struct parameter *p = find_parameter(c->args[i]);
        uint32_t bit = UINT32_C(1) << (p - parameters);
        const char *why =
            p->change ? p->change(c->rc, c->args[i + 1], try_only) : unchanged(c->rc, p, c->args[i + 1]);
        if (seen & bit)
            why = "duplicate parameter";
        seen |= bit;
        if (why) {
            refuse(c, p, why);
            return false;
        }
    }
    return true;
}

static REDIS_COMMAND(config_set)
{
    if (!redis_may(c, AUTH_CONFIGURE))
        return REDIS_DONE;
    if (c->count % 2) {
        redis_error_syntax(c);
        return REDIS_DONE;
    }
    for (size_t i = 2; i < c->count; i += 2)
        if (!find_parameter(c->args[i])) {
            resp_error(redis_reply(c->rc),
                       "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
                       (int)(c->args[i].len < 128 ? c->args[i].len : 128), (const char *)c->args[i].ptr);
            return REDIS_DONE;
        }
    if (set_all(c, true) && set_all(c, false))
        resp_simple(redis_reply(c->rc), "OK");
    return REDIS_DONE;
}

static REDIS_COMMAND(config_rewrite)
{
    resp_error(redis_reply(c->rc), "ERR The server is running without a config file");
    return REDIS_DONE;
}

static REDIS_COMMAND(config_help)
{
    static const char *const lines[] = {
        "GET <pattern> [<pattern> ...]",
        "    Those of Redis's parameters that mean something here, and their values.",
        "REWRITE",
        "    Refused: settings of Colobus are written by people.",
        "SET <parameter> <value> [<parameter> <value> ...]",
        "    Change client-output-buffer-limit of the class pubsub, until the next start.",
    };
    redis_help(c, lines, sizeof(lines) / sizeof(*lines));
    return REDIS_DONE;
}

enum {
    ANYTIME = REDIS_LOADING | REDIS_STALE,
    ADMIN = REDIS_ADMIN | REDIS_NOSCRIPT | ANYTIME,
};

struct redis_command redis_config_subcommands[] = {
    {"get", "Tells the values of parameters", "2.0.0", "server", "O(N), N: patterns", -3, ADMIN,
     redis_cmd_config_get, NULL, NULL},
    {"help", "Tells what CONFIG can do", "5.0.0", "server", "O(1)", 2, ANYTIME, redis_cmd_config_help, NULL,
     NULL},
    {"rewrite", "Refuses to write a configuration file", "2.8.0", "server", "O(1)", 2, ADMIN,
     redis_cmd_config_rewrite, NULL, NULL},
    {"set", "Changes parameters until the next start", "2.0.0", "server", "O(N), N: parameters", -4, ADMIN,
     redis_cmd_config_set, NULL, NULL},
    {0},
};
