/* colobus topic ...: a running broker's topics, through its management port. */
#include <jansson.h>
#include <stdio.h>

#include "app/cli.h"
#include "app/cli_broker.h"
#include "base/err.h"
#include "base/mem.h"

struct topic_args {
    struct broker_args broker;
    const char *partitions;
    struct cli_list configs;
};

/* ---- showing ------------------------------------------------------------------------------------------- */

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
                  (const char *const[]){broker_string_of(t, "name"), broker_number_of(t, "partitions"),
                                        broker_number_of(t, "records"), size.ptr},
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
                  (const char *const[]){broker_number_of(p, "partition"), broker_number_of(p, "shard"),
                                        broker_number_of(p, "start_offset"),
                                        broker_number_of(p, "end_offset"), size.ptr},
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
    text_printf(out, "%s  id %s\n\n", broker_string_of(o, "name"), broker_string_of(o, "id"));
    show_partitions(json_object_get(o, "partitions"), out);
    if (json_array_size(configs) == 0)
        return;
    text_put(out, "\n");
    table_row(&table, (const char *const[]){"CONFIG", "VALUE", "SOURCE"}, 3);
    json_array_foreach(configs, i, c)
        table_row(&table,
                  (const char *const[]){broker_string_of(c, "name"), broker_string_of(c, "value"),
                                        json_is_true(json_object_get(c, "default")) ? "default" : "set"},
                  3);
    table_print(&table, out);
    table_free(&table);
}

/* ---- the commands -------------------------------------------------------------------------------------- */

static int run_list(void *state, int argc, char **argv)
{
    return broker_ask_and_show(state, "topic list", "/api/topics", show_list);
}

static int run_describe(void *state, int argc, char **argv)
{
    struct text path = {0};
    broker_put_path("/api/topics/", argv[0], &path);
    int code = broker_ask_and_show(state, argv[0], path.ptr, show_topic);
    text_free(&path);
    return code;
}

static int run_delete(void *state, int argc, char **argv)
{
    struct http_reply reply;
    struct text path = {0}, out = {0};
    broker_put_path("/api/topics/", argv[0], &path);
    int code = broker_ask(state, argv[0], "DELETE", path.ptr, SPAN_NULL, &reply);
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
    int code = broker_ask(&args->broker, argv[0], "POST", "/api/topics", text_span(&body), &reply);
    text_free(&body);
    if (code != EXIT_OK)
        return code;
    if (args->broker.json)
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
