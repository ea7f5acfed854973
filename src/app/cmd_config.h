/* Settings from the command line, for the commands that take them. */
#ifndef COLOBUS_APP_CMD_CONFIG_H
#define COLOBUS_APP_CMD_CONFIG_H

#include "app/cli.h"
#include "core/config.h"

struct config_args {
    const char *file, *data_dir, *log_level;
    struct cli_list sets;
};

#define CONFIG_ARG_OPTIONS(type, member)                                                                     \
    {"--data-dir", "DIR", "where everything is stored (setting data-dir)", CLI_TEXT,                         \
     offsetof(type, member) + offsetof(struct config_args, data_dir)},                                       \
        {"--config", "FILE", "read settings from this file", CLI_TEXT,                                       \
         offsetof(type, member) + offsetof(struct config_args, file)},                                       \
        {"--set", "KEY=VALUE", "change one setting; may be given many times", CLI_LIST,                      \
         offsetof(type, member) + offsetof(struct config_args, sets)},                                       \
    {                                                                                                        \
        "--log-level", "LEVEL", "error, warn, info or debug (setting log.level)", CLI_TEXT,                  \
            offsetof(type, member) + offsetof(struct config_args, log_level)                                 \
    }

/* Defaults, then the file, then the command line, then the checks between settings. EXIT_OK, or EXIT_USAGE
 * after a message. */
int config_from_args(const struct config_args *args, struct config *ret_config);

#endif
