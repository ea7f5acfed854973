/* colobus group ...: a running broker's consumer groups, through its management port. */
#include <jansson.h>
#include <stdio.h>

#include "app/cli.h"
#include "app/cli_broker.h"
#include "base/date.h"
#include "base/mem.h"

struct group_args {
    struct broker_args broker;
    const char *topic, *partition, *to;
};

/* ---- showing ------------------------------------------------------------------------------------------- */

static const char *or_dash(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s && *s ? s : "-";
}

static void show_list(json_t *o, struct text *out)
{
    size_t i;
    json_t *g, *groups = json_object_get(o, "groups");
    struct table table = {.right = {false, false, true, true, true}};
    table_row(&table, (const char *const[]){"GROUP", "STATE", "MEMBERS", "PARTITIONS", "LAG"}, 5);
    json_array_foreach(groups, i, g)
        table_row(&table,
                  (const char *const[]){broker_string_of(g, "name"), broker_string_of(g, "state"),
                                        broker_number_of(g, "members"), broker_number_of(g, "offsets"),
                                        broker_number_of(g, "lag")},
                  5);
    table_print(&table, out);
    table_free(&table);
}

static void show_offsets(json_t *offsets, struct text *out)
{
    size_t i;
    json_t *p;
    struct table table = {.right = {false, true, true, true, true}};
    table_row(&table, (const char *const[]){"TOPIC", "PARTITION", "COMMITTED", "END", "LAG"}, 5);
    json_array_foreach(offsets, i, p)
        table_row(&table,
                  (const char *const[]){broker_string_of(p, "topic"), broker_number_of(p, "partition"),
                                        broker_number_of(p, "offset"), broker_number_of(p, "end_offset"),
                                        broker_number_of(p, "lag")},
                  5);
    table_print(&table, out);
    table_free(&table);
}

static void show_members(json_t *members, struct text *out)
{
    size_t i;
    json_t *m;
    struct table table = {0};
    table_row(&table, (const char *const[]){"MEMBER", "INSTANCE", "CLIENT", "HOST"}, 4);
    json_array_foreach(members, i, m)
        table_row(&table,
                  (const char *const[]){broker_string_of(m, "id"), or_dash(m, "instance_id"),
                                        or_dash(m, "client_id"), broker_string_of(m, "host")},
                  4);
    table_print(&table, out);
    table_free(&table);
}

static void show_group(json_t *o, struct text *out)
{
    json_t *members = json_object_get(o, "members"), *offsets = json_object_get(o, "offsets");
    text_printf(out, "%s  %s  generation %s  protocol %s  lag %s\n", broker_string_of(o, "name"),
                broker_string_of(o, "state"), broker_number_of(o, "generation"), or_dash(o, "protocol"),
                broker_number_of(o, "lag"));
    if (json_array_size(offsets)) {
        text_put(out, "\n");
        show_offsets(offsets, out);
    }
    if (json_array_size(members)) {
        text_put(out, "\n");
        show_members(members, out);
    }
}

/* ---- the commands -------------------------------------------------------------------------------------- */

static int run_list(void *state, int argc, char **argv)
{
    return broker_ask_and_show(state, "group list", "/api/groups", show_list);
}

static int run_describe(void *state, int argc, char **argv)
{
    return broker_describe(state, "/api/groups/", argv[0], show_group);
}

static int run_delete(void *state, int argc, char **argv)
{
    return broker_delete(state, "/api/groups/", argv[0]);
}

/* "2026-11-21T10:00:00Z", or a day alone. -1: it is no date. */
static int64_t parse_date(const char *s)
{
    struct date d = {0};
    char rest;
    int n = sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2dZ%c", &d.year, &d.month, &d.day, &d.hour, &d.minute, &d.second,
                   &rest);
    bool whole = n == 6 && s[strlen(s) - 1] == 'Z';
    if (!whole && n != 3)
        return -1;
    return n == 3 && strlen(s) != 10 ? -1 : date_to_ms(&d);
}

/* Digits and nothing else. */
static bool parse_number(const char *s, json_int_t max, json_int_t *ret)
{
    json_int_t n = 0;
    for (const char *p = s; *p; p++) {
        if (*p < '0' || *p > '9' || n > (max - (*p - '0')) / 10)
            return false;
        n = n * 10 + (*p - '0');
    }
    *ret = n;
    return *s;
}

/* The "to" of the request; NULL: it cannot be read. */
static json_t *target(const char *to)
{
    json_int_t offset;
    if (strcmp(to, "earliest") == 0 || strcmp(to, "latest") == 0)
        return json_string(to);
    if (parse_number(to, INT64_MAX, &offset))
        return json_integer(offset);
    int64_t ms = parse_date(to);
    return ms < 0 ? NULL : json_pack("{s:I}", "time_ms", (json_int_t)ms);
}

/* {"topic", "partition", "to"} from the options; NULL after a message. */
static json_t *new_reset(const struct group_args *args)
{
    json_int_t partition = -1;
    json_t *to = args->to ? target(args->to) : NULL;
    if (!args->topic || !to) {
        cli_fail(EXIT_USAGE, !args->topic
                                 ? "group reset needs --topic"
                                 : "group reset needs --to earliest, latest, an offset, or a time as "
                                   "2026-11-21T10:00:00Z");
        json_decref(to);
        return NULL;
    }
    if (args->partition && !parse_number(args->partition, INT32_MAX, &partition)) {
        cli_fail(EXIT_USAGE, "--partition must be a number from 0");
        json_decref(to);
        return NULL;
    }
    json_t *o = json_pack("{s:s, s:o}", "topic", args->topic, "to", to);
    if (!o)
        cli_fail(EXIT_USAGE, "the topic's name is not UTF-8");
    else if (partition >= 0)
        json_object_set_new(o, "partition", json_integer(partition));
    return o;
}

static int run_reset(void *state, int argc, char **argv)
{
    const struct group_args *args = state;
    struct http_reply reply;
    struct text path = {0}, body = {0};
    json_t *o = new_reset(args);
    if (!o)
        return EXIT_USAGE;
    text_put_json(&body, o, JSON_COMPACT);
    json_decref(o);
    broker_put_path("/api/groups/", argv[0], &path);
    text_put(&path, "/reset");
    int code = broker_ask(&args->broker, argv[0], "POST", path.ptr, text_span(&body), &reply);
    text_free(&path);
    text_free(&body);
    return code == EXIT_OK ? broker_print_done(&args->broker, &reply, show_group) : code;
}

static const struct cli_option show_options[] = {BROKER_OPTION, JSON_OPTION};
static const struct cli_option delete_options[] = {BROKER_OPTION};
static const struct cli_option reset_options[] = {
    {"--topic", "TOPIC", "the topic whose positions are set", CLI_TEXT, offsetof(struct group_args, topic)},
    {"--partition", "N", "one partition only (default: all)", CLI_TEXT,
     offsetof(struct group_args, partition)},
    {"--to", "WHERE", "earliest, latest, an offset, or a time (UTC) as 2026-11-21T10:00:00Z", CLI_TEXT,
     offsetof(struct group_args, to)},
    BROKER_OPTION,
    JSON_OPTION,
};

const struct cli_command cmd_group_list = {
    .name = "group list",
    .args = "",
    .summary = "list the consumer groups of a running broker",
    .examples = "colobus group list\ncolobus group list --json | jq '.groups[] | select(.lag > 1000)'\n",
    CLI_OPTIONS(show_options),
    .state_bytes = sizeof(struct group_args),
    .run = run_list,
};
const struct cli_command cmd_group_describe = {
    .name = "group describe",
    .args = "NAME",
    .summary = "show a group's members, committed offsets and lag",
    .examples = "colobus group describe billing\n",
    CLI_OPTIONS(show_options),
    .min_args = 1,
    .max_args = 1,
    .state_bytes = sizeof(struct group_args),
    .run = run_describe,
};
const struct cli_command cmd_group_reset = {
    .name = "group reset",
    .args = "NAME",
    .summary = "set where a group without members goes on reading",
    .details =
        "A group that does not exist is made. One that has members is refused: stop its consumers first.\n",
    .examples = "colobus group reset billing --topic orders --to earliest\n"
                "colobus group reset billing --topic orders --partition 3 --to 1500\n"
                "colobus group reset billing --topic orders --to 2026-11-21T10:00:00Z\n",
    CLI_OPTIONS(reset_options),
    .min_args = 1,
    .max_args = 1,
    .state_bytes = sizeof(struct group_args),
    .run = run_reset,
};
const struct cli_command cmd_group_delete = {
    .name = "group delete",
    .args = "NAME",
    .summary = "delete a group without members and its committed offsets",
    .examples = "colobus group delete billing\n",
    CLI_OPTIONS(delete_options),
    .min_args = 1,
    .max_args = 1,
    .state_bytes = sizeof(struct group_args),
    .run = run_delete,
};
