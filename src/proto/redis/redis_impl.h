/* Inside the Redis front end: the connection, and what the files of this folder ask of each other.
 *
 *   resp.c       bytes to commands, answers to bytes
 *   conn.c       the connection: from input to commands, one after the other
 *   command.c    the table of commands; what is checked before one runs (server.c: processCommand)
 *   auth.c       AUTH, HELLO, RESET, QUIT: who the client is and which RESP it speaks
 *   multi.c      MULTI, EXEC, DISCARD, WATCH, UNWATCH
 *   pubsub.c     SUBSCRIBE and its kin, PUBLISH, PUBSUB
 *   push.c       messages on their way to subscribers
 *   client.c     CLIENT
 *   server.c     INFO, TIME, DBSIZE and other small ones
 *   config.c     CONFIG
 *   describe.c   COMMAND
 *
 * Everything runs on the connection's shard. */
#ifndef COLOBUS_PROTO_REDIS_IMPL_H
#define COLOBUS_PROTO_REDIS_IMPL_H

#include "core/conn.h"
#include "core/publisher.h"
#include "core/shard.h"
#include "core/subject.h"
#include "proto/redis/redis.h"
#include "proto/redis/resp.h"

enum { REDIS_CONN_MAGIC = 0x52454449 };

struct redis_multi; /* multi.c: commands that wait for EXEC */

enum redis_reply_mode { REDIS_REPLY_ON, REDIS_REPLY_OFF, REDIS_REPLY_SKIP_NEXT, REDIS_REPLY_SKIP };

/* conn->proto_state.
 *
 * 1. Commands run one after the other. One that waits (REDIS_WAIT) holds the connection until
 *    redis_command_over(); `running` is true from its begin to its end.
 * 2. While a command runs, what the client hears as a subscriber waits behind its answer (subscriber_hold()).
 *    A whole EXEC counts as one command. */
struct redis_conn {
    uint32_t magic;
    struct conn *conn;
    uint64_t id;                 /* CLIENT ID; ascends, never 0 */
    uint64_t opened_ms, last_ms; /* wall clock: CLIENT LIST's age and idle */
    struct resp_parser parser;
    struct resp_writer out;     /* where answers go; out.version is the RESP spoken */
    struct resp_writer nowhere; /* where they go if the client wants none, see redis_reply() */
    struct subscriber sub;
    struct outq answer;        /* of SUBSCRIBE and its kin, until all shards know */
    struct exchange *exchange; /* amq.topic, as of exchange_generation */
    uint64_t exchange_generation;
    struct vspace *space;        /* the virtual host it is in; one reference; NULL: it was not there */
    struct redis_multi *multi;   /* NULL: not between MULTI and EXEC */
    struct publisher *publisher; /* NULL until something goes to a queue or topic */
    char *name, *lib_name, *lib_version; /* owned, may be NULL */
    char *user;                          /* name logged in with, owned; NULL: "default" */
    const struct redis_command *last;    /* the newest command, for CLIENT LIST */
    uint32_t db;                         /* SELECT; means nothing */
    uint8_t reply_mode;                  /* enum redis_reply_mode */
    bool running, waiting, executing;    /* executing: an EXEC's commands */
    bool pushing;                        /* a command with REDIS_IS_PUSH runs */
    bool deaf;                           /* after RESET: other shards may not know yet */
    bool may_do_nothing;                 /* it must log in first */
    bool told_unknown;                   /* the log line about commands that are not served was written */
    bool no_evict, no_touch, tracking_asked;
    bool closing;     /* after QUIT: nothing more is read */
    struct list link; /* of the shard's clients, client.c */
};
static inline struct redis_conn *redis_conn_of(void *state)
{
    return state;
}

/* ---- commands ------------------------------------------------------------------------------------------ */

struct redis_call {
    struct redis_conn *rc;
    const struct redis_command *command;
    const struct span *args; /* args[0] is the command's name as it came; of a subcommand args[1] too */
    size_t count;
    struct chunk *chunk; /* where args lie; a reference keeps them beyond the call */
};

enum redis_outcome {
    REDIS_DONE, /* answered */
    REDIS_WAIT, /* the answer comes later, with redis_command_over() at its end; args are gone by then */
};

enum redis_flag { /* Redis's names, as COMMAND INFO shows them */
                  REDIS_PUBSUB = 1 << 0,
                  REDIS_NOSCRIPT = 1 << 1,
                  REDIS_LOADING = 1 << 2,
                  REDIS_STALE = 1 << 3,
                  REDIS_FAST = 1 << 4,
                  REDIS_ADMIN = 1 << 5,
                  REDIS_NO_AUTH = 1 << 6,  /* may be called before logging in */
                  REDIS_NO_MULTI = 1 << 7, /* not between MULTI and EXEC */
                  REDIS_RANDOM = 1 << 8,
                  REDIS_READONLY = 1 << 9,
                  REDIS_DENYOOM = 1 << 10,
                  REDIS_BLOCKING = 1 << 11,
                  /* ours */
                  REDIS_SUBSCRIBED_TOO = 1 << 16, /* RESP2 clients that have subscribed may call it */
                  REDIS_AT_ONCE = 1 << 17, /* runs at once between MULTI and EXEC, instead of being queued */
                  REDIS_IS_PUSH = 1 << 18, /* its answers are pushes: CLIENT REPLY OFF does not stop them */
};

struct redis_command {
    const char *name; /* lower case: "subscribe"; of a subcommand its own: "setname" */
    const char *summary, *since, *group, *complexity; /* for COMMAND DOCS */
    int16_t arity;                                    /* with the name(s); negative: at least */
    uint32_t flags;
    enum redis_outcome (*run)(const struct redis_call *c); /* NULL: it has subcommands only */
    const struct redis_command *subcommands;               /* ends with a NULL name; NULL: it has none */
    const struct redis_command *parent;                    /* of a subcommand; filled in by table.c */
};
/* All that Colobus serves, sorted by name. Only table.c changes them, before main() begins. */
extern struct redis_command redis_commands[];
extern const size_t redis_command_count;
/* By name, whatever its case. NULL: there is none. */
const struct redis_command *redis_command_find(struct span name);
const struct redis_command *redis_subcommand_find(const struct redis_command *c, struct span name);

/* What the files fill the table with: enum redis_outcome redis_cmd_publish(const struct redis_call *), ... */
#define REDIS_COMMAND(name)                                                                                  \
    enum redis_outcome redis_cmd_##name(const struct redis_call *c);                                         \
    enum redis_outcome redis_cmd_##name(const struct redis_call *c)

/* Checks and runs one command, or queues it; as Redis's processCommand() does. */
enum redis_outcome redis_process(struct redis_conn *rc, const struct span *args, size_t count,
                                 struct chunk *chunk);
/* Runs it, after the checks: for EXEC. */
enum redis_outcome redis_run(const struct redis_call *c);
/* The command that waited has been answered. Goes on with an EXEC, or with the input. */
void redis_command_over(struct redis_conn *rc);

/* ---- answers: to rc->out, unless CLIENT REPLY says otherwise --------------------------------------------
 */

/* The writer for answers of a command; one that throws everything away where the client wants none. */
struct resp_writer *redis_reply(struct redis_conn *rc);
/* "client|setname", as errors and COMMAND show it. */
enum { REDIS_NAME_BYTES = 64 };
const char *redis_full_name(const struct redis_command *command, char buf[REDIS_NAME_BYTES]);
/* "-ERR wrong number of arguments for 'x' command" and other usual ones */
void redis_error_arity(const struct redis_call *c);
void redis_error_syntax(const struct redis_call *c);      /* "ERR syntax error" */
void redis_error_subcommand(const struct redis_call *c);  /* "ERR unknown subcommand 'x'. Try CLIENT HELP." */
bool redis_parse_integer(struct span text, int64_t *ret); /* string2ll: strict */
bool redis_is(struct span arg, const char *word);         /* whatever the case */
/* HELP of a command: title and lines as addReplyHelp() writes them. */
void redis_help(const struct redis_call *c, const char *const *lines, size_t count);

/* ---- what the files do for each other -------------------------------------------------------------------
 */

/* auth.c. The vhost is found and may be entered: the client is let in. */
void redis_auth_begin(struct redis_conn *rc);
void redis_auth_end(struct redis_conn *rc);
/* Looks again for a virtual host that was not there, or is gone. False: there is none, and the client was
 * told so. */
bool redis_has_space(struct redis_conn *rc);
/* conn.c. A command that is not in run begins to wait on its own: as if it had answered REDIS_WAIT. */
void redis_wait(struct redis_conn *rc);
/* multi.c */
void redis_multi_queue(const struct redis_call *c); /* "+QUEUED" */
void redis_multi_taint(struct redis_conn *rc);      /* an error while queueing: EXEC will refuse */
bool redis_multi_next(struct redis_conn *rc);       /* goes on with an EXEC; true: it is over */
void redis_multi_drop(struct redis_conn *rc);
size_t redis_multi_count(const struct redis_conn *rc); /* commands that wait for EXEC */
/* pubsub.c */
void redis_pubsub_begin(struct redis_conn *rc);
void redis_pubsub_end(struct redis_conn *rc);          /* the connection goes */
bool redis_is_subscribed(const struct redis_conn *rc); /* to anything: RESP2 allows few commands then */
enum redis_outcome redis_pubsub_reset(struct redis_conn *rc); /* RESET: all subscriptions go; answers */
void redis_publish_flush(struct redis_conn *rc);              /* at the end of the input */
/* push.c */
extern const struct subscriber_ops redis_subscriber_ops;
/* client.c: who is connected to this shard */
void redis_clients_add(struct redis_conn *rc);
void redis_clients_del(struct redis_conn *rc);

#endif
