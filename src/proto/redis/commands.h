/* What client.c, server.c, config.c, describe.c and pubsub.c give to the table of commands, and to the other
 * files. */
#ifndef COLOBUS_PROTO_REDIS_COMMANDS_H
#define COLOBUS_PROTO_REDIS_COMMANDS_H

#include "proto/redis/redis_impl.h"

/* Subcommands, each with an empty row at the end. Constant but for `parent`. */
extern struct redis_command redis_acl_subcommands[], redis_client_subcommands[], redis_command_subcommands[],
    redis_config_subcommands[], redis_module_subcommands[], redis_pubsub_subcommands[];

REDIS_COMMAND(asking);
REDIS_COMMAND(cluster);
REDIS_COMMAND(command);
REDIS_COMMAND(dbsize);
REDIS_COMMAND(info);
REDIS_COMMAND(lolwut);
REDIS_COMMAND(readonly);
REDIS_COMMAND(readwrite);
REDIS_COMMAND(role);
REDIS_COMMAND(time);
REDIS_COMMAND(wait);

/* May the client do what the command does to the broker (AUTH_BROKER)? False: it was told that it may not. */
bool redis_may(const struct redis_call *c, enum auth_action action);
/* CLIENT SETNAME, HELLO SETNAME: the error if this cannot be a client's name; NULL: it can. Empty: none. */
const char *redis_name_refusal(struct span name);
/* "ERR unknown subcommand or wrong number of arguments for 'x'. Try CLIENT HELP." */
void redis_error_subcommand_syntax(const struct redis_call *c);
/* describe.c: is the command in this category of Redis's ACLs ("pubsub")? */
bool redis_in_category(const struct redis_command *c, const char *category);
/* The port that the client came in on. */
unsigned redis_port(const struct redis_conn *rc);

#endif
