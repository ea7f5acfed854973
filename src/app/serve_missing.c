/* Until serve.c is linked, which replaces this. */
#include "app/cli.h"
#include "app/serve.h"

__attribute__((weak)) int serve_run(const struct config *cfg)
{
    return cli_fail(EXIT_FAILED, "this build has no broker in it");
}
