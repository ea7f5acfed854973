#include "app/cli.h"

#include <stdarg.h>
#include <stdio.h>

#include "app/version.h"
#include "base/mem.h"
#include "core/config.h"
#include "os/os.h"

const struct cli_command *const cli_commands[] = {
    &cmd_serve,
    &cmd_config,
    &cmd_topic_list,
    &cmd_topic_create,
    &cmd_topic_describe,
    &cmd_topic_config,
    &cmd_topic_delete,
    &cmd_group_list,
    &cmd_group_describe,
    &cmd_group_reset,
    &cmd_group_delete,
    &cmd_queue_list,
    &cmd_queue_describe,
    &cmd_queue_purge,
    &cmd_queue_delete,
    &cmd_exchange_list,
    &cmd_binding_list,
    &cmd_subscription_list,
    &cmd_user_list,
    &cmd_user_add,
    &cmd_user_passwd,
    &cmd_user_delete,
    &cmd_permission_list,
    &cmd_permission_set,
    &cmd_permission_clear,
    &cmd_vhost_list,
    &cmd_vhost_add,
    &cmd_vhost_delete,
    &cmd_policy_list,
    &cmd_policy_set,
    &cmd_policy_clear,
    &cmd_tap_list,
    &cmd_tap_add,
    &cmd_tap_delete,
    &cmd_definitions_export,
    &cmd_definitions_import,
    &cmd_dump,
    &cmd_completion,
    &cmd_version,
};
const size_t cli_command_count = sizeof(cli_commands) / sizeof(cli_commands[0]);

int cli_print(struct text *out)
{
    int err = os_write_stdout(text_span(out));
    text_free(out);
    return err ? EXIT_FAILED : EXIT_OK;
}

int cli_fail(int code, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = snprintf(line, sizeof(line), "colobus: ");
    vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
    va_end(ap);
    size_t len = strlen(line);
    line[len] = '\n';
    os_write_stderr(span_of(line, len + 1));
    return code;
}

/* ---- options ------------------------------------------------------------------------------------------- */

static const struct cli_command *current; /* for the candidate functions of config_nearest() */

static const char *option_at(size_t i)
{
    return i < current->option_count ? current->options[i].name : "--help";
}

static int unknown_option(const struct cli_command *cmd, const char *arg)
{
    char name[64];
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, "="), arg);
    current = cmd;
    const char *near = config_nearest(name, option_at, cmd->option_count + 1);
    if (near)
        return cli_fail(EXIT_USAGE, "%s: unknown option %s; did you mean %s?", cmd->name, name, near);
    return cli_fail(EXIT_USAGE, "%s: unknown option %s; see `colobus %s --help`", cmd->name, name, cmd->name);
}

/* Finds the option that `arg` names; *ret_value is what follows "=", or NULL. */
static const struct cli_option *find_option(const struct cli_command *cmd, const char *arg,
                                            const char **ret_value)
{
    size_t len = strcspn(arg, "=");
    *ret_value = arg[len] ? arg + len + 1 : NULL;
    for (size_t i = 0; i < cmd->option_count; i++) {
        if (strlen(cmd->options[i].name) == len && memcmp(cmd->options[i].name, arg, len) == 0)
            return &cmd->options[i];
    }
    return NULL;
}

static int store_option(const struct cli_option *o, const char *value, void *state)
{
    void *field = (char *)state + o->offset;
    struct cli_list *list = field;
    switch (o->kind) {
    case CLI_FLAG:
        *(bool *)field = true;
        return 0;
    case CLI_TEXT:
        *(const char **)field = value;
        return 0;
    case CLI_LIST:
        if (list->count == CLI_LIST_ITEMS)
            return cli_fail(EXIT_USAGE, "%s is given more than %d times", o->name, CLI_LIST_ITEMS);
        list->items[list->count++] = value;
        return 0;
    }
    return EXIT_USAGE;
}

/* Reads argv[*at], an option, and its value. */
static int take_option(const struct cli_command *cmd, int argc, char **argv, int *at, void *state)
{
    const char *value;
    const struct cli_option *o = find_option(cmd, argv[*at], &value);
    if (!o)
        return unknown_option(cmd, argv[*at]);
    if (o->kind == CLI_FLAG && value)
        return cli_fail(EXIT_USAGE, "%s takes no value", o->name);
    if (o->kind != CLI_FLAG && !value) {
        if (*at + 1 == argc)
            return cli_fail(EXIT_USAGE, "%s needs a value: %s %s", o->name, o->name, o->arg);
        value = argv[++*at];
    }
    return store_option(o, value, state);
}

static bool is_help(const char *arg)
{
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

static int check_count(const struct cli_command *cmd, int count)
{
    if (count < cmd->min_args)
        return cli_fail(EXIT_USAGE, "%s: %s is missing; see `colobus %s --help`", cmd->name, cmd->args,
                        cmd->name);
    if (count > cmd->max_args)
        return cli_fail(EXIT_USAGE, "%s: too many arguments; see `colobus %s --help`", cmd->name, cmd->name);
    return 0;
}

/* argv holds what follows the command's name. */
static int run_command(const struct cli_command *cmd, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (is_help(argv[i])) {
            struct text help = {0};
            cli_help_command(cmd, &help);
            return cli_print(&help);
        }
    }
    void *state = mem_zalloc(cmd->state_bytes + 1);
    int count = 0, code = 0; /* arguments move to the front of argv */
    bool only_args = false;
    for (int i = 0; i < argc && !code; i++) {
        if (!only_args && strcmp(argv[i], "--") == 0)
            only_args = true;
        else if (!only_args && argv[i][0] == '-' && argv[i][1])
            code = take_option(cmd, argc, argv, &i, state);
        else
            argv[count++] = argv[i];
    }
    if (!code)
        code = check_count(cmd, count);
    if (!code)
        code = cmd->run(state, count, argv);
    mem_free(state);
    return code;
}

/* ---- commands ------------------------------------------------------------------------------------------ */

/* How many words of argv the command's name takes; 0: it is another one. */
static int names(const struct cli_command *cmd, int argc, char **argv)
{
    size_t first = strcspn(cmd->name, " ");
    if (strlen(argv[0]) != first || memcmp(argv[0], cmd->name, first) != 0)
        return 0;
    if (cmd->name[first] == 0)
        return 1;
    return argc > 1 && strcmp(argv[1], cmd->name + first + 1) == 0 ? 2 : 0;
}

static bool is_group(const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i < cli_command_count; i++) {
        if (strncmp(cli_commands[i]->name, word, len) == 0 && cli_commands[i]->name[len] == ' ')
            return true;
    }
    return false;
}

static const char *command_at(size_t i)
{
    return cli_commands[i]->name;
}

static int unknown_command(int argc, char **argv)
{
    char typed[80];
    snprintf(typed, sizeof(typed), "%.30s", argv[0]);
    const char *near = config_nearest(typed, command_at, cli_command_count);
    if (!near && argc > 1 && argv[1][0] != '-') {
        snprintf(typed, sizeof(typed), "%.30s %.30s", argv[0], argv[1]);
        near = config_nearest(typed, command_at, cli_command_count);
    }
    if (near)
        return cli_fail(EXIT_USAGE, "unknown command %s; did you mean %s?", typed, near);
    return cli_fail(EXIT_USAGE, "unknown command %s; `colobus --help` lists all", typed);
}

static int print_group(int argc, char **argv)
{
    struct text help = {0};
    if (argc > 1 && !is_help(argv[1]))
        return unknown_command(argc, argv);
    cli_help_group(argv[0], &help);
    if (argc > 1)
        return cli_print(&help);
    os_write_stderr(text_span(&help));
    text_free(&help);
    return EXIT_USAGE;
}

int cli_main(int argc, char **argv)
{
    struct text help = {0};
    if (argc < 2 || is_help(argv[1]) || (strcmp(argv[1], "help") == 0 && argc == 2)) {
        cli_help_all(&help);
        return cli_print(&help);
    }
    if (strcmp(argv[1], "--version") == 0)
        return run_command(&cmd_version, 0, NULL);
    bool help_first = strcmp(argv[1], "help") == 0; /* colobus help topic create */
    argc -= 1 + help_first;
    argv += 1 + help_first;
    for (size_t i = 0; i < cli_command_count; i++) {
        int words = names(cli_commands[i], argc, argv);
        if (words && help_first) {
            cli_help_command(cli_commands[i], &help);
            return cli_print(&help);
        }
        if (words)
            return run_command(cli_commands[i], argc - words, argv + words);
    }
    if (is_group(argv[0]))
        return print_group(argc, argv);
    return unknown_command(argc, argv);
}
