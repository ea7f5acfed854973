#include "app/cmd_config.h"

#include "app/config_describe.h"
#include "app/config_file.h"
#include "app/say_sink.h"
#include "app/serve.h"
#include "base/mem.h"

static int apply(const struct config_args *args, struct config *c, struct config_error *why)
{
    int err = args->file ? config_file_load(c, args->file, why) : 0;
    if (!err && args->data_dir)
        err = config_set(c, "data-dir", args->data_dir, CONFIG_COMMAND_LINE, why);
    if (!err && args->log_level)
        err = config_set(c, "log.level", args->log_level, CONFIG_COMMAND_LINE, why);
    for (size_t i = 0; !err && i < args->sets.count; i++)
        err = config_set_pair(c, args->sets.items[i], CONFIG_COMMAND_LINE, why);
    return err ? err : config_check(c, why);
}

int config_from_args(const struct config_args *args, struct config *ret_config)
{
    struct config_error why;
    config_init(ret_config);
    return apply(args, ret_config, &why) ? cli_fail(EXIT_USAGE, "%s", why.text) : EXIT_OK;
}

/* ---- serve --------------------------------------------------------------------------------------------- */

struct serve_args {
    struct config_args config;
};

static int run_serve(void *state, int argc, char **argv)
{
    const struct serve_args *args = state;
    struct config *c = mem_alloc(sizeof(*c));
    int code = config_from_args(&args->config, c);
    if (code == EXIT_OK) {
        say_init(say_stderr, (enum say_level)c->log_level);
        code = serve_run(c);
    }
    mem_free(c);
    return code;
}

static const struct cli_option serve_options[] = {CONFIG_ARG_OPTIONS(struct serve_args, config)};
const struct cli_command cmd_serve = {
    .name = "serve",
    .args = "",
    .summary = "run the broker",
    .details =
        "The line \"colobus ready\" on standard output means that every listener accepts. Log lines go to\n"
        "standard error. SIGTERM and SIGINT stop it cleanly.\n\n"
        "Ports, on 127.0.0.1: 9092 Kafka, 5672 AMQP, 6379 Redis (publish and subscribe), 15672 management.\n"
        "--set kafka.listen=..., amqp.listen, redis.listen, http.listen: another address, or off.\n",
    .examples = "colobus serve\n"
                "colobus serve --data-dir /var/lib/colobus --set kafka.listen=0.0.0.0:9092\n"
                "colobus serve --config colobus.ini --set shards=4 --set http.listen=off\n",
    CLI_OPTIONS(serve_options),
    .state_bytes = sizeof(struct serve_args),
    .run = run_serve,
};

/* ---- config -------------------------------------------------------------------------------------------- */

struct show_args {
    struct config_args config;
    bool describe, json, markdown;
};

static int run_config(void *state, int argc, char **argv)
{
    const struct show_args *args = state;
    struct text out = {0};
    struct config *c = mem_alloc(sizeof(*c));
    int code = config_from_args(&args->config, c);
    if (code == EXIT_OK) {
        if (args->markdown)
            config_describe_markdown(&out);
        else if (args->json)
            config_describe_json(c, &out);
        else if (args->describe)
            config_describe_table(c, &out);
        else
            config_print_values(c, &out);
        code = cli_print(&out);
    }
    mem_free(c);
    return code;
}

static const struct cli_option show_options[] = {
    {"--describe", NULL, "with types, limits and what each one is for", CLI_FLAG,
     offsetof(struct show_args, describe)},
    {"--json", NULL, "as JSON", CLI_FLAG, offsetof(struct show_args, json)},
    {"--markdown", NULL, "as doc/settings.md", CLI_FLAG, offsetof(struct show_args, markdown)},
    CONFIG_ARG_OPTIONS(struct show_args, config),
};
const struct cli_command cmd_config = {
    .name = "config",
    .args = "",
    .summary = "show and check settings",
    .details =
        "Prints the settings that `colobus serve` would run with, given the same options, in the form of a\n"
        "configuration file; what is at its default is commented out. Exit code 2 and a reason if they are "
        "wrong.\n",
    .examples = "colobus config --describe\n"
                "colobus config --config colobus.ini\n"
                "colobus config --describe --json | jq '.[] | select(.source != \"default\")'\n",
    CLI_OPTIONS(show_options),
    .state_bytes = sizeof(struct show_args),
    .run = run_config,
};
