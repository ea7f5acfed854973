#include "app/cli.h"

#include "base/err.h"
#include "os/os.h"
#include "store/dump.h"

enum { PIECE_BYTES = 64 << 10 };

/* Printed piece by piece: a journal file in words is longer than memory should hold. */
static int put_text(void *arg, struct span text)
{
    struct text *out = arg;
    text_put_span(out, text);
    if (out->len < PIECE_BYTES)
        return 0;
    int err = os_write_stdout(text_span(out));
    out->len = 0;
    return err;
}

static int run_dump(void *state, int argc, char **argv)
{
    struct text out = {0};
    int err = dump_file(argv[0], put_text, &out);
    int code = cli_print(&out); /* what was readable before a fault is worth showing */
    if (err == ERR_UNSUPPORTED)
        return cli_fail(EXIT_FAILED, "%.400s: this is no journal, segment, index or state", argv[0]);
    return err ? cli_fail(EXIT_FAILED, "%.400s: %s", argv[0], err_text(err)) : code;
}

const struct cli_command cmd_dump = {
    .name = "dump",
    .args = "FILE",
    .summary = "print a file of the data directory in words",
    .details = "Takes any file the store writes: journal files, segments, indexes, state. The broker may be "
               "running. Exits with 1 if the file is damaged, after showing what can be read.\n",
    .examples = "colobus dump data/journal/0000000001.journal | less\n"
                "colobus dump data/logs/1/00000000000000000000.log\n"
                "colobus dump data/logs/1/00000000000000000000.idx\n"
                "colobus dump data/states/1-123456789.state\n",
    .min_args = 1,
    .max_args = 1,
    .run = run_dump,
};
