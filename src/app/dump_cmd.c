#include "app/cli.h"

#include "base/err.h"

/* Provided by the store (store/dump.h); a build without it says so. */
__attribute__((weak)) int dump_file(const char *path, int (*put)(void *arg, struct span text), void *arg);

static int put_text(void *arg, struct span text)
{
    text_put_span(arg, text);
    return 0;
}

static int run_dump(void *state, int argc, char **argv)
{
    struct text out = {0};
    if (!dump_file)
        return cli_fail(EXIT_FAILED, "this build cannot read the store's files");
    int err = dump_file(argv[0], put_text, &out);
    int code = cli_print(&out); /* what was readable before a fault is worth showing */
    return err ? cli_fail(EXIT_FAILED, "%.400s: %s", argv[0], err_text(err)) : code;
}

const struct cli_command cmd_dump = {
    .name = "dump",
    .args = "FILE",
    .summary = "print a file of the data directory in words",
    .details = "Takes any file the store writes: journal files, segments, indexes, state. The broker may be "
               "running.\n",
    .examples = "colobus dump data/journal/1 | less\n",
    .min_args = 1,
    .max_args = 1,
    .run = run_dump,
};
