/* colobus tap: topics that go on into exchanges of a running broker. */
#include <jansson.h>

#include "app/cli.h"
#include "app/cli_broker.h"

struct tap_args {
    struct broker_args broker;
    const char *key;
    bool next;
};

static void show_taps(json_t *taps, struct text *out)
{
    size_t i;
    json_t *t;
    struct table table = {0};
    table_row(&table, (const char *const[]){"TAP", "TOPIC", "EXCHANGE", "ROUTING KEY", "FROM"}, 5);
    json_array_foreach(taps, i, t)
        table_row(&table,
                  (const char *const[]){broker_string_of(t, "name"), broker_string_of(t, "topic"),
                                        broker_string_of(t, "exchange"), broker_string_of(t, "routing_key"),
                                        broker_string_of(t, "from")},
                  5);
    table_print(&table, out);
    table_free(&table);
}

static int tap_list(void *state, int argc, char **argv)
{
    return broker_ask_and_show(state, "tap list", "/api/taps", show_taps);
}

static int tap_add(void *state, int argc, char **argv)
{
    const struct tap_args *args = state;
    struct text path = {0};
    json_t *o = json_pack("{s:s, s:s, s:s}", "topic", argv[1], "exchange", argv[2], "from",
                          args->next ? "next" : "first");
    if (!o || (args->key && json_object_set_new(o, "routing_key", json_string(args->key)) < 0)) {
        json_decref(o);
        return cli_fail(EXIT_USAGE, "an argument is not UTF-8");
    }
    broker_put_path("/api/taps/", argv[0], &path);
    int code = broker_change(&args->broker, "PUT", path.ptr, o, "added", argv[0]);
    text_free(&path);
    return code;
}

static int tap_delete(void *state, int argc, char **argv)
{
    return broker_delete(state, "/api/taps/", argv[0]);
}

static const struct cli_option list_options[] = {BROKER_OPTION, JSON_OPTION};
static const struct cli_option delete_options[] = {BROKER_OPTION};
static const struct cli_option add_options[] = {
    {"--routing-key", "KEY", "routing key (default: the topic's name)", CLI_TEXT,
     offsetof(struct tap_args, key)},
    {"--next", NULL, "begin with what comes, not with the oldest record", CLI_FLAG,
     offsetof(struct tap_args, next)},
    BROKER_OPTION,
};

const struct cli_command cmd_tap_list = {.name = "tap list",
                                         .args = "",
                                         .summary = "list the topics that go on into exchanges",
                                         .examples = NULL,
                                         CLI_OPTIONS(list_options),
                                         .state_bytes = sizeof(struct tap_args),
                                         .run = tap_list};
const struct cli_command cmd_tap_add = {.name = "tap add",
                                        .args = "NAME TOPIC EXCHANGE",
                                        .summary = "let a topic's records go on into an exchange",
                                        .examples = NULL,
                                        CLI_OPTIONS(add_options),
                                        .min_args = 3,
                                        .max_args = 3,
                                        .state_bytes = sizeof(struct tap_args),
                                        .run = tap_add};
const struct cli_command cmd_tap_delete = {.name = "tap delete",
                                           .args = "NAME",
                                           .summary = "let it stop",
                                           .examples = NULL,
                                           CLI_OPTIONS(delete_options),
                                           .min_args = 1,
                                           .max_args = 1,
                                           .state_bytes = sizeof(struct tap_args),
                                           .run = tap_delete};
