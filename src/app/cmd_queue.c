/* colobus queue, exchange, binding: what AMQP clients declared in a running broker. */
#include <jansson.h>
#include <stdio.h>

#include "app/cli.h"
#include "app/cli_broker.h"

struct queue_args {
    struct broker_args broker;
    const char *vhost;
    bool if_empty, if_unused;
};

static const char *vhost_of(const struct queue_args *args)
{
    return args->vhost ? args->vhost : "/";
}

static const char *bool_mark(const json_t *o, const char *key, const char *mark)
{
    return json_is_true(json_object_get(o, key)) ? mark : "";
}

/* The default exchange has no name. */
static const char *exchange_of(const json_t *o, const char *key)
{
    const char *s = broker_string_of(o, key);
    return *s ? s : "(default)";
}

/* ---- queues ---------------------------------------------------------------------------------------------
 */

static void join_marks(const json_t *marks, char *out, size_t size)
{
    size_t len = 0;
    snprintf(out, size, "-");
    for (size_t i = 0; i < json_array_size(marks) && len < size; i++)
        len += (size_t)snprintf(out + len, size - len, "%s%s", i ? "," : "",
                                json_string_value(json_array_get(marks, i)));
}

static void show_queues(json_t *queues, struct text *out)
{
    size_t i;
    json_t *q;
    struct table table = {.right = {false, false, false, false, true, true, true, true}};
    table_row(
        &table,
        (const char *const[]){"VHOST", "QUEUE", "TYPE", "FEATURES", "READY", "UNACKED", "CONSUMERS", "BYTES"},
        8);
    json_array_foreach(queues, i, q)
    {
        char marks[128];
        join_marks(json_object_get(q, "features"), marks, sizeof(marks));
        table_row(&table,
                  (const char *const[]){
                      broker_string_of(q, "vhost"), broker_string_of(q, "name"), broker_string_of(q, "type"),
                      marks, broker_number_of(q, "messages_ready"),
                      broker_number_of(q, "messages_unacknowledged"), broker_number_of(q, "consumers"),
                      broker_number_of(q, "message_bytes_ready")},
                  8);
    }
    table_print(&table, out);
    table_free(&table);
}

/* Without the newline that ends a text of JSON. */
static void put_json(const json_t *v, struct text *out)
{
    text_put_json(out, v, JSON_COMPACT | JSON_ENCODE_ANY);
    while (out->len && out->ptr[out->len - 1] == '\n')
        out->ptr[--out->len] = 0;
}

static void put_value(const json_t *v, struct text *out)
{
    if (json_is_string(v))
        text_put(out, json_string_value(v));
    else
        put_json(v, out);
}

static void show_counts(const json_t *stats, struct text *out)
{
    static const struct {
        const char *key, *label;
    } rows[] = {{"publish", "came in"},
                {"deliver", "delivered"},
                {"deliver_no_ack", "without ack"},
                {"get", "polled"},
                {"get_no_ack", "polled without ack"},
                {"redeliver", "delivered again"},
                {"ack", "acknowledged"}};
    struct table table = {.right = {false, true}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (json_integer_value(json_object_get(stats, rows[i].key)))
            table_row(&table, (const char *const[]){rows[i].label, broker_number_of(stats, rows[i].key)}, 2);
    if (table.rows) {
        text_put(out, "\n");
        table_print(&table, out);
    }
    table_free(&table);
}

static void show_queue(json_t *q, struct text *out)
{
    const char *key;
    json_t *v, *arguments = json_object_get(q, "arguments");
    const char *policy = json_string_value(json_object_get(q, "policy"));
    text_printf(out, "%s  %s%s%s%s  in %s", broker_string_of(q, "name"), broker_string_of(q, "type"),
                bool_mark(q, "durable", ", durable"), bool_mark(q, "exclusive", ", exclusive"),
                bool_mark(q, "auto_delete", ", auto-delete"), broker_string_of(q, "vhost"));
    if (policy)
        text_printf(out, "  policy %s", policy);
    text_printf(out, "\nready %s  unacknowledged %s  consumers %s  bytes %s  memory %s\n",
                broker_number_of(q, "messages_ready"), broker_number_of(q, "messages_unacknowledged"),
                broker_number_of(q, "consumers"), broker_number_of(q, "message_bytes_ready"),
                broker_number_of(q, "memory"));
    show_counts(json_object_get(q, "message_stats"), out);
    if (json_object_size(arguments))
        text_put(out, "\n");
    json_object_foreach(arguments, key, v)
    {
        text_printf(out, "%s = ", key);
        put_value(v, out);
        text_put(out, "\n");
    }
}

/* "/api/queues", or those of --vhost. */
static int list_of(const struct queue_args *args, const char *subject, const char *path,
                   void (*show)(json_t *o, struct text *out))
{
    struct text in = {0};
    text_put(&in, path);
    if (args->vhost)
        broker_put_path("/", args->vhost, &in);
    int code = broker_ask_and_show(&args->broker, subject, in.ptr, show);
    text_free(&in);
    return code;
}

static int queue_list(void *state, int argc, char **argv)
{
    return list_of(state, "queue list", "/api/queues", show_queues);
}

static void put_queue_path(const struct queue_args *args, const char *name, struct text *out)
{
    broker_put_paths("/api/queues/", (const char *const[]){vhost_of(args), name, NULL}, out);
}

static int queue_describe(void *state, int argc, char **argv)
{
    const struct queue_args *args = state;
    struct text path = {0};
    put_queue_path(args, argv[0], &path);
    int code = broker_ask_and_show(&args->broker, argv[0], path.ptr, show_queue);
    text_free(&path);
    return code;
}

static int queue_purge(void *state, int argc, char **argv)
{
    const struct queue_args *args = state;
    struct text path = {0};
    put_queue_path(args, argv[0], &path);
    text_put(&path, "/contents");
    int code = broker_change(&args->broker, "DELETE", path.ptr, NULL, "purged", argv[0]);
    text_free(&path);
    return code;
}

static int queue_delete(void *state, int argc, char **argv)
{
    const struct queue_args *args = state;
    struct text path = {0};
    put_queue_path(args, argv[0], &path);
    if (args->if_empty || args->if_unused)
        text_printf(&path, "?if-empty=%s&if-unused=%s", args->if_empty ? "true" : "false",
                    args->if_unused ? "true" : "false");
    int code = broker_change(&args->broker, "DELETE", path.ptr, NULL, "deleted", argv[0]);
    text_free(&path);
    return code;
}

/* ---- exchanges and bindings -----------------------------------------------------------------------------
 */

static void show_exchanges(json_t *all, struct text *out)
{
    size_t i;
    json_t *x;
    struct table table = {0};
    table_row(&table, (const char *const[]){"VHOST", "EXCHANGE", "TYPE", "FEATURES"}, 4);
    json_array_foreach(all, i, x)
    {
        char marks[64];
        snprintf(marks, sizeof(marks), "%s%s%s", bool_mark(x, "durable", "D"),
                 bool_mark(x, "auto_delete", ",AD"), bool_mark(x, "internal", ",I"));
        const char *shown = marks[0] == ',' ? marks + 1 : marks[0] ? marks : "-";
        table_row(&table,
                  (const char *const[]){broker_string_of(x, "vhost"), exchange_of(x, "name"),
                                        broker_string_of(x, "type"), shown},
                  4);
    }
    table_print(&table, out);
    table_free(&table);
}

static int exchange_list(void *state, int argc, char **argv)
{
    return list_of(state, "exchange list", "/api/exchanges", show_exchanges);
}

/* Those of the default exchange, which nobody made, are left out. */
static void show_bindings(json_t *all, struct text *out)
{
    size_t i;
    json_t *b;
    struct table table = {0};
    table_row(&table, (const char *const[]){"VHOST", "EXCHANGE", "TO", "DESTINATION", "KEY", "ARGUMENTS"}, 6);
    json_array_foreach(all, i, b)
    {
        struct text args = {0};
        json_t *arguments = json_object_get(b, "arguments");
        if (!*broker_string_of(b, "source"))
            continue;
        if (json_object_size(arguments))
            put_json(arguments, &args);
        table_row(&table,
                  (const char *const[]){broker_string_of(b, "vhost"), broker_string_of(b, "source"),
                                        broker_string_of(b, "destination_type"),
                                        broker_string_of(b, "destination"),
                                        broker_string_of(b, "routing_key"), args.ptr ? args.ptr : ""},
                  6);
        text_free(&args);
    }
    table_print(&table, out);
    table_free(&table);
}

static int binding_list(void *state, int argc, char **argv)
{
    return list_of(state, "binding list", "/api/bindings", show_bindings);
}

/* ---- the table ------------------------------------------------------------------------------------------
 */

#define VHOST_OPTION(help)                                                                                   \
    {                                                                                                        \
        "--vhost", "NAME", help, CLI_TEXT, offsetof(struct queue_args, vhost)                                \
    }

static const struct cli_option list_options[] = {VHOST_OPTION("of this virtual host only (default: all)"),
                                                 BROKER_OPTION, JSON_OPTION};
static const struct cli_option describe_options[] = {VHOST_OPTION("its virtual host (default: /)"),
                                                     BROKER_OPTION, JSON_OPTION};
static const struct cli_option purge_options[] = {VHOST_OPTION("its virtual host (default: /)"),
                                                  BROKER_OPTION};
static const struct cli_option delete_options[] = {
    {"--if-empty", NULL, "only if it has no messages", CLI_FLAG, offsetof(struct queue_args, if_empty)},
    {"--if-unused", NULL, "only if it has no consumers", CLI_FLAG, offsetof(struct queue_args, if_unused)},
    VHOST_OPTION("its virtual host (default: /)"),
    BROKER_OPTION,
};

const struct cli_command cmd_queue_list = {
    .name = "queue list",
    .args = "",
    .summary = "list the queues of a running broker",
    .details =
        "Features: D durable, AD deleted with its last consumer, Excl exclusive, TTL messages expire,\n"
        "Exp expires unused, Lim and Lim B limits, Ovfl refuses when full, DLX and DLK dead letters,\n"
        "Pri priorities, SAC single active consumer, Dlv limited deliveries, Rty retries.\n",
    .examples =
        "colobus queue list\ncolobus queue list --json | jq '.[] | select(.messages_ready > 1000) | .name'\n",
    CLI_OPTIONS(list_options),
    .state_bytes = sizeof(struct queue_args),
    .run = queue_list,
};
const struct cli_command cmd_queue_describe = {
    .name = "queue describe",
    .args = "NAME",
    .summary = "show a queue's settings, messages and counts",
    .examples = "colobus queue describe orders\n",
    CLI_OPTIONS(describe_options),
    .min_args = 1,
    .max_args = 1,
    .state_bytes = sizeof(struct queue_args),
    .run = queue_describe,
};
const struct cli_command cmd_queue_purge = {
    .name = "queue purge",
    .args = "NAME",
    .summary = "drop the messages of a queue that wait",
    .details = "Those that are delivered and not acknowledged stay. They are not dead-lettered.\n",
    .examples = "colobus queue purge orders\n",
    CLI_OPTIONS(purge_options),
    .min_args = 1,
    .max_args = 1,
    .state_bytes = sizeof(struct queue_args),
    .run = queue_purge,
};
const struct cli_command cmd_queue_delete = {
    .name = "queue delete",
    .args = "NAME",
    .summary = "delete a queue and its messages",
    .examples = "colobus queue delete orders --if-empty\n",
    CLI_OPTIONS(delete_options),
    .min_args = 1,
    .max_args = 1,
    .state_bytes = sizeof(struct queue_args),
    .run = queue_delete,
};
const struct cli_command cmd_exchange_list = {
    .name = "exchange list",
    .args = "",
    .summary = "list the exchanges of a running broker",
    .details = "Features: D durable, AD deleted with its last binding, I internal.\n",
    .examples = "colobus exchange list --vhost shop\n",
    CLI_OPTIONS(list_options),
    .state_bytes = sizeof(struct queue_args),
    .run = exchange_list,
};
const struct cli_command cmd_binding_list = {
    .name = "binding list",
    .args = "",
    .summary = "list what is bound to the exchanges of a running broker",
    .examples = "colobus binding list\n",
    CLI_OPTIONS(list_options),
    .state_bytes = sizeof(struct queue_args),
    .run = binding_list,
};
