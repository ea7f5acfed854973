/* colobus subscription: what subscribers of a running broker listen to. */
#include <jansson.h>

#include "app/cli.h"
#include "app/cli_broker.h"

struct subscription_args {
    struct broker_args broker;
    const char *vhost, *pattern, *limit;
};

static void show_subscriptions(json_t *o, struct text *out)
{
    size_t i;
    json_t *s;
    json_int_t more = json_integer_value(json_object_get(o, "more"));
    struct table table = {.right = {false, false, true}};
    table_row(&table, (const char *const[]){"VHOST", "KIND", "SUBSCRIPTIONS", "NAME"}, 4);
    json_array_foreach(json_object_get(o, "subscriptions"), i, s)
    {
        struct text name = {0};
        text_put(&name, broker_string_of(s, "name"));
        if (json_object_get(s, "name_bytes"))
            text_printf(&name, "... (%s bytes)", broker_number_of(s, "name_bytes"));
        table_row(&table,
                  (const char *const[]){broker_string_of(s, "vhost"), broker_string_of(s, "kind"),
                                        broker_number_of(s, "subscriptions"), name.ptr},
                  4);
        text_free(&name);
    }
    table_print(&table, out);
    table_free(&table);
    if (more > 0)
        text_printf(out, "and %lld more; --limit N shows up to 10000 of each kind\n", (long long)more);
}

static void put_query(const char *name, const char *value, struct text *path)
{
    if (!value)
        return;
    text_put(path, strchr(path->ptr, '?') ? "&" : "?");
    text_put(path, name);
    broker_put_path("=", value, path);
}

static int subscription_list(void *state, int argc, char **argv)
{
    const struct subscription_args *args = state;
    struct text path = {0};
    text_put(&path, "/api/subscriptions");
    put_query("vhost", args->vhost, &path);
    put_query("pattern", args->pattern, &path);
    put_query("limit", args->limit, &path);
    int code = broker_ask_and_show(&args->broker, args->vhost ? args->vhost : "subscription list", path.ptr,
                                   show_subscriptions);
    text_free(&path);
    return code;
}

static const struct cli_option list_options[] = {
    {"--vhost", "NAME", "of this virtual host only (default: all)", CLI_TEXT,
     offsetof(struct subscription_args, vhost)},
    {"--pattern", "GLOB", "only names that match, as PSUBSCRIBE would (quote it)", CLI_TEXT,
     offsetof(struct subscription_args, pattern)},
    {"--limit", "N", "at most so many of each kind (default: 1000)", CLI_TEXT,
     offsetof(struct subscription_args, limit)},
    BROKER_OPTION,
    JSON_OPTION,
};

const struct cli_command cmd_subscription_list = {
    .name = "subscription list",
    .args = "",
    .summary = "list the channels and patterns that subscribers listen to",
    .details = "Those with most subscriptions first. Kinds: channel (SUBSCRIBE), pattern (PSUBSCRIBE),\n"
               "shard-channel (SSUBSCRIBE). What queues are bound to is in `colobus binding list`.\n",
    .examples = "colobus subscription list --pattern 'news.*'\n"
                "colobus subscription list --json | jq .totals\n",
    CLI_OPTIONS(list_options),
    .state_bytes = sizeof(struct subscription_args),
    .run = subscription_list,
};
