#include <stdio.h>

#include "app/cli.h"

static void put_rows(struct table *rows, struct text *out)
{
    struct text lines = {0};
    table_print(rows, &lines);
    for (const char *p = lines.ptr; p && *p;) { /* indented */
        size_t n = strcspn(p, "\n") + 1;
        text_printf(out, "  %.*s", (int)n, p);
        p += n;
    }
    text_free(&lines);
    table_free(rows);
}

static void add_commands(const char *prefix, struct table *rows)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *cmd = cli_commands[i];
        char name[80];
        if (strncmp(cmd->name, prefix, strlen(prefix)) != 0)
            continue;
        snprintf(name, sizeof(name), "%s%s%s", cmd->name, *cmd->args ? " " : "", cmd->args);
        table_row(rows, (const char *const[]){name, cmd->summary}, 2);
    }
}

void cli_help_all(struct text *out)
{
    struct table rows = {0};
    text_put(
        out,
        "Colobus: every message bus, co-located. One broker that speaks the protocols you already use.\n\n"
        "Usage: colobus COMMAND [OPTION...]\n\nCommands:\n");
    add_commands("", &rows);
    put_rows(&rows, out);
    text_put(out, "\nTry:\n"
                  "  colobus serve                        the broker with its defaults, data in ./data\n"
                  "  colobus COMMAND --help               options and examples of a command\n"
                  "  colobus config --describe            every setting, with its default and meaning\n\n"
                  "Exit codes: 0 success, 1 failure while running, 2 wrong usage or configuration.\n");
}

void cli_help_group(const char *group, struct text *out)
{
    struct table rows = {0};
    char prefix[80];
    snprintf(prefix, sizeof(prefix), "%.60s ", group);
    text_printf(out, "Usage: colobus %s COMMAND [OPTION...]\n\nCommands:\n", group);
    add_commands(prefix, &rows);
    put_rows(&rows, out);
}

static void put_examples(const struct cli_command *cmd, struct text *out)
{
    text_put(out, "\nExamples:\n");
    for (const char *p = cmd->examples; *p;) {
        size_t n = strcspn(p, "\n") + 1;
        text_printf(out, "  %.*s", (int)n, p);
        p += n;
    }
}

void cli_help_command(const struct cli_command *cmd, struct text *out)
{
    struct table rows = {0};
    char name[80];
    text_printf(out, "colobus %s: %s.\n\nUsage: colobus %s%s%s%s\n", cmd->name, cmd->summary, cmd->name,
                cmd->option_count ? " [OPTION...]" : "", *cmd->args ? " " : "", cmd->args);
    if (cmd->details)
        text_printf(out, "\n%s", cmd->details);
    text_put(out, "\nOptions:\n");
    for (size_t i = 0; i < cmd->option_count; i++) {
        const struct cli_option *o = &cmd->options[i];
        snprintf(name, sizeof(name), "%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        table_row(&rows, (const char *const[]){name, o->help}, 2);
    }
    table_row(&rows, (const char *const[]){"--help", "this text"}, 2);
    put_rows(&rows, out);
    if (cmd->examples)
        put_examples(cmd, out);
}
