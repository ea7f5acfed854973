/* The command line: a table of commands, each with its options, help and function. */
#ifndef COLOBUS_APP_CLI_H
#define COLOBUS_APP_CLI_H

#include "app/text.h"

/* Exit codes of the program. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

enum { CLI_LIST_ITEMS = 256 };

/* An option that may be given several times. */
struct cli_list {
    const char *items[CLI_LIST_ITEMS];
    size_t count;
};

enum cli_kind {
    CLI_FLAG, /* bool */
    CLI_TEXT, /* const char *, NULL if absent */
    CLI_LIST, /* struct cli_list */
};

struct cli_option {
    const char *name; /* "--data-dir" */
    const char *arg;  /* "DIR"; NULL for a flag */
    const char *help;
    enum cli_kind kind;
    size_t offset; /* into the command's state */
};

struct cli_command {
    const char *name;     /* "topic create": at most two words */
    const char *args;     /* "NAME", or "" */
    const char *summary;  /* one line, no full stop */
    const char *details;  /* more help, or NULL; ends with a newline */
    const char *examples; /* lines, each ending with a newline; NULL: none */
    const struct cli_option *options;
    size_t option_count;
    int min_args, max_args;
    size_t state_bytes; /* zeroed before the options are read */
    int (*run)(void *state, int argc,
               char **argv); /* the arguments that are not options; returns an exit code */
};

extern const struct cli_command *const cli_commands[];
extern const size_t cli_command_count;
extern const struct cli_command cmd_serve, cmd_config, cmd_topic_list, cmd_topic_create, cmd_topic_describe,
    cmd_topic_config, cmd_topic_delete, cmd_group_list, cmd_group_describe, cmd_group_reset, cmd_group_delete,
    cmd_queue_list, cmd_queue_describe, cmd_queue_purge, cmd_queue_delete, cmd_exchange_list,
    cmd_binding_list, cmd_subscription_list, cmd_user_list, cmd_user_add, cmd_user_passwd, cmd_user_delete,
    cmd_permission_list, cmd_permission_set, cmd_permission_clear, cmd_vhost_list, cmd_vhost_add,
    cmd_vhost_delete, cmd_policy_list, cmd_policy_set, cmd_policy_clear, cmd_tap_list, cmd_tap_add,
    cmd_tap_delete, cmd_definitions_export, cmd_definitions_import, cmd_dump, cmd_version, cmd_completion;

/* The whole program; returns its exit code. */
int cli_main(int argc, char **argv);

/* cli_help.c */
void cli_help_all(struct text *out);
void cli_help_group(const char *group, struct text *out); /* "topic" */
void cli_help_command(const struct cli_command *cmd, struct text *out);
/* completion.c. False: no such shell. */
bool cli_completion(const char *shell, struct text *out);

/* Writes the text to standard output and frees it. EXIT_OK, or EXIT_FAILED if nobody takes it. */
int cli_print(struct text *out);
/* "colobus: ..." on standard error; returns `code`. */
int cli_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define CLI_OPTIONS(list) (list), sizeof(list) / sizeof((list)[0])

#endif
