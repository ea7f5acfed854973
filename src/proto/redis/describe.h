/* Inside COMMAND: the arguments of commands, in arguments.c. */
#ifndef COLOBUS_PROTO_REDIS_DESCRIBE_H
#define COLOBUS_PROTO_REDIS_DESCRIBE_H

#include "proto/redis/commands.h"

/* 0: it takes none, or nobody has written them down. */
size_t redis_arguments_count(const struct redis_command *c);
/* The array "arguments" of COMMAND DOCS, from which redis-cli makes its hints. */
void redis_arguments_put(struct resp_writer *w, const struct redis_command *c);

#endif
