#include "app/cli.h"
#include "app/version.h"

static int run_version(void *state, int argc, char **argv)
{
    struct text out = {0};
    text_put(&out, "colobus " COLOBUS_VERSION "\n");
    return cli_print(&out);
}

const struct cli_command cmd_version = {
    .name = "version",
    .args = "",
    .summary = "print the version",
    .run = run_version,
};

static int run_completion(void *state, int argc, char **argv)
{
    struct text out = {0};
    if (!cli_completion(argv[0], &out))
        return cli_fail(EXIT_USAGE, "completion: %.40s is none of bash, zsh, fish", argv[0]);
    return cli_print(&out);
}

const struct cli_command cmd_completion = {
    .name = "completion",
    .args = "bash|zsh|fish",
    .summary = "print a completion script for a shell",
    .examples = "source <(colobus completion bash)\n"
                "colobus completion zsh > ~/.zfunc/_colobus\n"
                "colobus completion fish > ~/.config/fish/completions/colobus.fish\n",
    .min_args = 1,
    .max_args = 1,
    .run = run_completion,
};
