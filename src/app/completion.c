/* Completion scripts, generated from the tables of commands and settings, so that they cannot fall behind. */
#include <stdio.h>

#include "app/cli.h"
#include "core/config.h"

/* First words: each command once ("topic" for all of its own). */
static void put_first_words(struct text *out)
{
    const char *before = "";
    for (size_t i = 0; i < cli_command_count; i++) {
        const char *name = cli_commands[i]->name;
        size_t n = strcspn(name, " ");
        if (strncmp(before, name, n) != 0 || (before[n] != ' ' && before[n] != 0))
            text_printf(out, "%.*s ", (int)n, name);
        before = name;
    }
    text_put(out, "help");
}

/* Length of the first word if command i is the first of several that begin with it ("topic list"); else 0. */
static size_t family_at(size_t i)
{
    const char *name = cli_commands[i]->name;
    size_t n = strcspn(name, " ");
    bool again = i > 0 && strncmp(cli_commands[i - 1]->name, name, n + 1) == 0;
    return name[n] && !again ? n : 0;
}

static void put_second_words(const char *family, size_t n, struct text *out)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const char *name = cli_commands[i]->name;
        if (strncmp(name, family, n) == 0 && name[n] == ' ')
            text_printf(out, "%s ", name + n + 1);
    }
}

static void put_families(struct text *out)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        size_t n = family_at(i);
        if (n == 0)
            continue;
        text_printf(out, "  elif [ \"$COMP_CWORD\" -eq 2 ] && [ \"$prev\" = %.*s ]; then\n    words=\"",
                    (int)n, cli_commands[i]->name);
        put_second_words(cli_commands[i]->name, n, out);
        text_put(out, "\"\n");
    }
}

static void put_options(const struct cli_command *cmd, struct text *out)
{
    for (size_t i = 0; i < cmd->option_count; i++)
        text_printf(out, "%s ", cmd->options[i].name);
    text_put(out, "--help");
}

static void put_keys(const char *suffix, struct text *out)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        text_printf(out, "%s%s%s", i ? " " : "", config_settings[i].key, suffix);
}

/* A case for each command: its options. Patterns are "$cmd" as two words, a space between. */
static void put_cases(const char *format, struct text *out)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *cmd = cli_commands[i];
        struct text options = {0};
        put_options(cmd, &options);
        text_printf(out, strchr(cmd->name, ' ') ? "    \"%s\")" : "    \"%s \"*)", cmd->name);
        text_put(out, " ");
        text_put(out, format);
        text_printf(out, "\"%s\" ;;\n", options.ptr);
        text_free(&options);
    }
}

/* bash and zsh share the body: zsh runs it through bashcompinit, which every zsh carries. */
static void put_bash(struct text *out)
{
    text_put(out, "_colobus() {\n"
                  "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words\n"
                  "  COMPREPLY=()\n"
                  "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    words=\"");
    put_first_words(out);
    text_put(out, "\"\n  elif [ \"$prev\" = --set ]; then\n    words=\"");
    put_keys("=", out);
    text_put(out, "\"\n    compopt -o nospace 2>/dev/null\n"
                  "  elif [ \"$prev\" = --config ] || [ \"${COMP_WORDS[1]}\" = dump ] && [ \"${cur#-}\" = "
                  "\"$cur\" ]; then\n"
                  "    COMPREPLY=($(compgen -f -- \"$cur\"))\n    return\n"
                  "  elif [ \"$prev\" = --data-dir ]; then\n"
                  "    COMPREPLY=($(compgen -d -- \"$cur\"))\n    return\n");
    put_families(out);
    text_put(out, "  elif [ \"$COMP_CWORD\" -eq 2 ] && [ \"$prev\" = completion ]; then\n"
                  "    words=\"bash zsh fish\"\n"
                  "  else case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n");
    put_cases("words=", out);
    text_put(out, "    *) words=--help ;;\n  esac; fi\n"
                  "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                  "}\n"
                  "complete -F _colobus colobus\n");
}

static void put_zsh(struct text *out)
{
    text_put(out, "#compdef colobus\nautoload -Uz bashcompinit && bashcompinit\n");
    put_bash(out);
}

/* A text in fish's single quotes. */
static void put_fish_text(const char *s, struct text *out)
{
    text_put(out, "'");
    for (; *s; s++)
        text_printf(out, *s == '\'' || *s == '\\' ? "\\%c" : "%c", *s);
    text_put(out, "'");
}

static void put_fish_command(const struct cli_command *cmd, struct text *out)
{
    size_t n = strcspn(cmd->name, " ");
    const char *second = cmd->name[n] ? cmd->name + n + 1 : NULL;
    if (second)
        text_printf(out,
                    "complete -c colobus -f -n '__fish_seen_subcommand_from %.*s; and not "
                    "__fish_seen_subcommand_from "
                    "%s' -a %s -d ",
                    (int)n, cmd->name, second, second);
    else
        text_printf(out, "complete -c colobus -f -n __fish_use_subcommand -a %s -d ", cmd->name);
    put_fish_text(cmd->summary, out);
    text_put(out, "\n");
    for (size_t i = 0; i < cmd->option_count; i++) {
        const struct cli_option *o = &cmd->options[i];
        text_printf(out, "complete -c colobus -n '__fish_seen_subcommand_from %.*s%s%s' -l %s %s-d ", (int)n,
                    cmd->name, second ? "; and __fish_seen_subcommand_from " : "", second ? second : "",
                    o->name + 2, o->arg ? "-r " : "");
        put_fish_text(o->help, out);
        text_put(out, "\n");
    }
}

static void put_fish(struct text *out)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        int n = (int)family_at(i);
        const char *name = cli_commands[i]->name;
        if (n > 0)
            text_printf(
                out,
                "complete -c colobus -f -n __fish_use_subcommand -a %.*s -d '%.*ss of a running broker'\n", n,
                name, n, name);
    }
    for (size_t i = 0; i < cli_command_count; i++)
        put_fish_command(cli_commands[i], out);
    text_put(out, "complete -c colobus -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n"
                  "complete -c colobus -n '__fish_seen_subcommand_from serve config' -l set -x -a '");
    put_keys("=", out);
    text_put(out, "'\ncomplete -c colobus -n '__fish_seen_subcommand_from dump' -F\n");
}

bool cli_completion(const char *shell, struct text *out)
{
    if (strcmp(shell, "bash") == 0)
        put_bash(out);
    else if (strcmp(shell, "zsh") == 0)
        put_zsh(out);
    else if (strcmp(shell, "fish") == 0)
        put_fish(out);
    else
        return false;
    return true;
}
