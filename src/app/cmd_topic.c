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
    struct cli_list configs; /* of topic config: --delete */
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

static void show_configs(json_t *o, struct text *out)
{
    size_t i;
    json_t *c, *configs = json_object_get(o, "configs");
    struct table table = {0};
    table_row(&table, (const char *const[]){"CONFIG", "VALUE", "SOURCE"}, 3);
    json_array_foreach(configs, i, c)
        table_row(&table,
                  (const char *const[]){broker_string_of(c, "name"), broker_string_of(c, "value"),
                                        json_is_true(json_object_get(c, "default")) ? "default" : "set"},
                  3);
    table_print(&table, out);
    table_free(&table);
}

static void show_topic(json_t *o, struct text *out)
{
    text_printf(out, "%s  id %s\n\n", broker_string_of(o, "name"), broker_string_of(o, "id"));
    show_partitions(json_object_get(o, "partitions"), out);
    if (json_array_size(json_object_get(o, "configs")) == 0)
        return;
    text_put(out, "\n");
    show_configs(o, out);
}

/* ---- the commands -------------------------------------------------------------------------------------- */

static int run_list(void *state, int argc, char **argv)
{
    return broker_ask_and_show(state, "topic list", "/api/topics", show_list);
}

static int run_describe(void *state, int argc, char **argv)
{
    return broker_describe(state, "/api/topics/", argv[0], show_topic);
}

static int run_delete(void *state, int argc, char **argv)
{
    return broker_delete(state, "/api/topics/", argv[0]);
}

/* Adds "NAME=VALUE" to the object; `how` is the form that was expected. False after a message. */
static bool put_pair(json_t *configs, const char *pair, const char *how)
{
    const char *eq = strchr(pair, '=');
    char key[128];
    if (!eq || eq == pair || (size_t)(eq - pair) >= sizeof(key)) {
        cli_fail(EXIT_USAGE, "%s, as retention.ms=3600000", how);
        return false;
    }
    snprintf(key, sizeof(key), "%.*s", (int)(eq - pair), pair);
    if (json_object_set_new(configs, key, json_string(eq + 1)) == 0)
        return true;
    cli_fail(EXIT_USAGE, "%s is not UTF-8", key);
    return false;
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
        if (!put_pair(json_object_get(o, "configs"), args->configs.items[i], "--config takes NAME=VALUE")) {
            json_decref(o);
            return NULL;
        }
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

/* {"configs"} from the arguments: null for what is deleted. NULL after a message. */
static json_t *new_change(const struct topic_args *args, int count, char **pairs)
{
    json_t *configs = json_object();
    bool good = true;
    for (size_t i = 0; i < args->configs.count && good; i++) {
        good = json_object_set_new(configs, args->configs.items[i], json_null()) == 0;
        if (!good)
            cli_fail(EXIT_USAGE, "--delete: the name is not UTF-8");
    }
    for (int i = 0; i < count && good; i++)
        good = put_pair(configs, pairs[i], "a config is given as NAME=VALUE");
    if (good)
        return json_pack("{s:o}", "configs", configs);
    json_decref(configs);
    return NULL;
}

static int run_config(void *state, int argc, char **argv)
{
    const struct topic_args *args = state;
    struct http_reply reply;
    struct text body = {0}, path = {0};
    bool changes = argc > 1 || args->configs.count > 0;
    json_t *o = changes ? new_change(args, argc - 1, argv + 1) : NULL;
    if (changes && !o)
        return EXIT_USAGE;
    if (o)
        text_put_json(&body, o, JSON_COMPACT);
    json_decref(o);
    broker_put_path("/api/topics/", argv[0], &path);
    int code =
        broker_ask(&args->broker, argv[0], changes ? "PATCH" : "GET", path.ptr, text_span(&body), &reply);
    text_free(&path);
    text_free(&body);
    return code == EXIT_OK ? broker_print_done(&args->broker, &reply, show_configs) : code;
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

static const struct cli_option config_options[] = {
    {"--delete", "NAME", "take a config back to the broker's default; may be given many times", CLI_LIST,
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
const struct cli_command cmd_topic_config = {
    .name = "topic config",
    .args = "NAME [CONFIG=VALUE ...]",
    .summary = "show or change a topic's configs",
    .examples = "colobus topic config orders\n"
                "colobus topic config orders retention.ms=3600000 cleanup.policy=compact,delete\n"
                "colobus topic config orders --delete retention.ms\n",
    CLI_OPTIONS(config_options),
    .min_args = 1,
    .max_args = CLI_LIST_ITEMS,
    .state_bytes = sizeof(struct topic_args),
    .run = run_config,
};
