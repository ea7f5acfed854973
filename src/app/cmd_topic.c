/* colobus topic ...: a running broker's topics, through its management port. */
#include <jansson.h>
#include <stdio.h>

#include "app/cli.h"
#include "app/http_client.h"
#include "base/err.h"
#include "base/mem.h"

struct topic_args {
    const char *broker;
    bool json;
    const char *partitions;
    struct cli_list configs;
};

#define BROKER_OPTION                                                                                        \
    {                                                                                                        \
        "--broker", "HOST:PORT", "management port of the broker (default 127.0.0.1:15672)", CLI_TEXT,        \
            offsetof(struct topic_args, broker)                                                              \
    }
#define JSON_OPTION                                                                                          \
    {                                                                                                        \
        "--json", NULL, "the broker's answer as it came", CLI_FLAG, offsetof(struct topic_args, json)        \
    }

/* ---- asking -------------------------------------------------------------------------------------------- */

/* "/api/topics/NAME", escaped. */
static void put_path(const char *name, struct text *out)
{
    text_put(out, "/api/topics/");
    for (const char *p = name; *p; p++) {
        bool plain = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     strchr("-._", *p);
        text_printf(out, plain ? "%c" : "%%%02X", (unsigned char)*p);
    }
}

/* With the broker's own words; `subject` is the topic asked about, or "topic list". */
static int fail_reply(const char *subject, const struct http_reply *reply)
{
    json_error_t where;
    json_t *o = json_loadb((const char *)reply->body.ptr, reply->body.len, 0, &where);
    const char *error = json_string_value(json_object_get(o, "error"));
    int code = error ? cli_fail(EXIT_FAILED, "%.250s: %.500s", subject, error)
                     : cli_fail(EXIT_FAILED, "the broker answered with HTTP status %d", reply->status);
    json_decref(o);
    return code;
}

/* Asks; on success *ret_reply is the caller's. Else the exit code, after a message. */
static int ask(const struct topic_args *args, const char *subject, const char *method, const char *path,
               struct span body, struct http_reply *ret_reply)
{
    const char *broker = args->broker ? args->broker : "127.0.0.1:15672";
    int err = http_client_call(broker, method, path, body, ret_reply);
    if (err == ERR_CLOSED)
        return cli_fail(EXIT_FAILED, "no broker answers at %s; is it running? (--broker HOST:PORT)", broker);
    if (err)
        return cli_fail(EXIT_FAILED, "%s: %s", broker, err_text(err));
    if (ret_reply->status < 400)
        return EXIT_OK;
    int code = fail_reply(subject, ret_reply);
    mem_free(ret_reply->memory);
    return code;
}

/* Asks and shows: the JSON as it is, or what `show` makes of it. */
static int ask_and_show(const struct topic_args *args, const char *subject, const char *path,
                        void (*show)(json_t *o, struct text *out))
{
    struct http_reply reply;
    struct text out = {0};
    int code = ask(args, subject, "GET", path, SPAN_NULL, &reply);
    if (code != EXIT_OK)
        return code;
    json_error_t where;
    json_t *o = args->json ? NULL : json_loadb((const char *)reply.body.ptr, reply.body.len, 0, &where);
    if (args->json)
        text_put_span(&out, reply.body);
    else if (o)
        show(o, &out);
    else
        code = cli_fail(EXIT_FAILED, "the broker's answer is not JSON");
    json_decref(o);
    mem_free(reply.memory);
    return code == EXIT_OK ? cli_print(&out) : code;
}

/* ---- showing ------------------------------------------------------------------------------------------- */

static const char *string_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "?";
}

/* The number as text in a rotating buffer, enough for one row. */
static const char *number_of(const json_t *o, const char *key)
{
    static char texts[TABLE_COLUMNS][24];
    static unsigned next;
    char *text = texts[next++ % TABLE_COLUMNS];
    snprintf(text, sizeof(texts[0]), "%lld", (long long)json_integer_value(json_object_get(o, key)));
    return text;
}

static void show_list(json_t *o, struct text *out)
{
    size_t i;
    json_t *t, *topics = json_object_get(o, "topics");
    struct table table = {.right = {false, true, true, true}};
    table_row(&table, (const char *const[]){"TOPIC", "PARTITIONS", "RECORDS", "SIZE"}, 4);
    json_array_foreach(topics, i, t)
    {
        struct text size = {0};
        text_put_bytes(&size, (uint64_t)json_integer_value(json_object_get(t, "bytes")));
        table_row(&table,
                  (const char *const[]){string_of(t, "name"), number_of(t, "partitions"),
                                        number_of(t, "records"), size.ptr},
                  4);
        text_free(&size);
    }
    table_print(&table, out);
    table_free(&table);
}

static void show_partitions(json_t *partitions, struct text *out)
{
    size_t i;
    json_t *p;
    struct table table = {.right = {true, true, true, true, true}};
    table_row(&table, (const char *const[]){"PARTITION", "SHARD", "START", "END", "SIZE"}, 5);
    json_array_foreach(partitions, i, p)
    {
        struct text size = {0};
        text_put_bytes(&size, (uint64_t)json_integer_value(json_object_get(p, "bytes")));
        table_row(&table,
                  (const char *const[]){number_of(p, "partition"), number_of(p, "shard"),
                                        number_of(p, "start_offset"), number_of(p, "end_offset"), size.ptr},
                  5);
        text_free(&size);
    }
    table_print(&table, out);
    table_free(&table);
}

static void show_topic(json_t *o, struct text *out)
{
    size_t i;
    json_t *c, *configs = json_object_get(o, "configs");
    struct table table = {0};
    text_printf(out, "%s  id %s\n\n", string_of(o, "name"), string_of(o, "id"));
    show_partitions(json_object_get(o, "partitions"), out);
    if (json_array_size(configs) == 0)
        return;
    text_put(out, "\n");
    table_row(&table, (const char *const[]){"CONFIG", "VALUE", "SOURCE"}, 3);
    json_array_foreach(configs, i, c)
        table_row(&table,
                  (const char *const[]){string_of(c, "name"), string_of(c, "value"),
                                        json_is_true(json_object_get(c, "default")) ? "default" : "set"},
                  3);
    table_print(&table, out);
    table_free(&table);
}

/* ---- the commands -------------------------------------------------------------------------------------- */

static int run_list(void *state, int argc, char **argv)
{
    return ask_and_show(state, "topic list", "/api/topics", show_list);
}

static int run_describe(void *state, int argc, char **argv)
{
    struct text path = {0};
    put_path(argv[0], &path);
    int code = ask_and_show(state, argv[0], path.ptr, show_topic);
    text_free(&path);
    return code;
}

static int run_delete(void *state, int argc, char **argv)
{
    struct http_reply reply;
    struct text path = {0}, out = {0};
    put_path(argv[0], &path);
    int code = ask(state, argv[0], "DELETE", path.ptr, SPAN_NULL, &reply);
    text_free(&path);
    if (code != EXIT_OK)
        return code;
    mem_free(reply.memory);
    text_printf(&out, "deleted %s\n", argv[0]);
    return cli_print(&out);
}

/* {"name", "partitions", "configs"} from the arguments; NULL after a message. */
static json_t *new_topic(const struct topic_args *args, const char *name)
{
    json_t *o = json_pack("{s:s, s:{}}", "name", name, "configs");
    if (!o) {
        cli_fail(EXIT_USAGE, "the name is not UTF-8");
        return NULL;
    }
    json_int_t n = 0;
    char rest;
    if (args->partitions &&
        (sscanf(args->partitions, "%" JSON_INTEGER_FORMAT "%c", &n, &rest) != 1 || n < 1)) {
        cli_fail(EXIT_USAGE, "--partitions must be a number from 1");
        json_decref(o);
        return NULL;
    }
    if (n)
        json_object_set_new(o, "partitions", json_integer(n));
    for (size_t i = 0; i < args->configs.count; i++) {
        const char *pair = args->configs.items[i], *eq = strchr(pair, '=');
        char key[128];
        if (!eq || eq == pair || (size_t)(eq - pair) >= sizeof(key)) {
            cli_fail(EXIT_USAGE, "--config takes NAME=VALUE, as retention.ms=3600000");
            json_decref(o);
            return NULL;
        }
        snprintf(key, sizeof(key), "%.*s", (int)(eq - pair), pair);
        json_object_set_new(json_object_get(o, "configs"), key, json_string(eq + 1));
    }
    return o;
}

static int run_create(void *state, int argc, char **argv)
{
    const struct topic_args *args = state;
    struct http_reply reply;
    struct text body = {0}, out = {0};
    json_t *o = new_topic(args, argv[0]);
    if (!o)
        return EXIT_USAGE;
    text_put_json(&body, o, JSON_COMPACT);
    json_decref(o);
    int code = ask(args, argv[0], "POST", "/api/topics", text_span(&body), &reply);
    text_free(&body);
    if (code != EXIT_OK)
        return code;
    if (args->json)
        text_put_span(&out, reply.body);
    else
        text_printf(&out, "created %s\n", argv[0]);
    mem_free(reply.memory);
    return cli_print(&out);
}

static const struct cli_option show_options[] = {BROKER_OPTION, JSON_OPTION};
static const struct cli_option delete_options[] = {BROKER_OPTION};
static const struct cli_option create_options[] = {
    {"--partitions", "N", "how many partitions (default: the setting kafka.default-partitions)", CLI_TEXT,
     offsetof(struct topic_args, partitions)},
    {"--config", "NAME=VALUE", "a topic config by Kafka's name; may be given many times", CLI_LIST,
     offsetof(struct topic_args, configs)},
    BROKER_OPTION,
    JSON_OPTION,
};

const struct cli_command cmd_topic_list = {
    .name = "topic list",
    .args = "",
    .summary = "list the topics of a running broker",
    .examples = "colobus topic list\ncolobus topic list --json | jq '.topics[].name'\n",
    CLI_OPTIONS(show_options),
    .state_bytes = sizeof(struct topic_args),
    .run = run_list,
};
const struct cli_command cmd_topic_create = {
    .name = "topic create",
    .args = "NAME",
    .summary = "create a topic",
    .examples = "colobus topic create orders --partitions 6\n"
                "colobus topic create events --config max.message.bytes=4194304\n",
    CLI_OPTIONS(create_options),
    .min_args = 1,
    .max_args = 1,
    .state_bytes = sizeof(struct topic_args),
    .run = run_create,
};
const struct cli_command cmd_topic_describe = {
    .name = "topic describe",
    .args = "NAME",
    .summary = "show a topic's partitions, offsets and configs",
    .examples = "colobus topic describe orders\n",
    CLI_OPTIONS(show_options),
    .min_args = 1,
    .max_args = 1,
    .state_bytes = sizeof(struct topic_args),
    .run = run_describe,
};
const struct cli_command cmd_topic_delete = {
    .name = "topic delete",
    .args = "NAME",
    .summary = "delete a topic and all its records",
    .examples = "colobus topic delete orders\n",
    CLI_OPTIONS(delete_options),
    .min_args = 1,
    .max_args = 1,
    .state_bytes = sizeof(struct topic_args),
    .run = run_delete,
};
