/* The commands that Colobus serves, and how they are found. Texts are our own: COMMAND DOCS
 * shows them. */
#include <assert.h>

#include "proto/redis/commands.h"

#define RUN(name) enum redis_outcome redis_cmd_##name(const struct redis_call *c)
RUN(auth);
RUN(discard);
RUN(echo);
RUN(exec);
RUN(hello);
RUN(multi);
RUN(ping);
RUN(quit);
RUN(reset);
RUN(select);
RUN(unwatch);
RUN(watch);
RUN(psubscribe);
RUN(publish);
RUN(punsubscribe);
RUN(spublish);
RUN(ssubscribe);
RUN(subscribe);
RUN(sunsubscribe);
RUN(unsubscribe);
#undef RUN

/* Subcommands of one: rows as below, and an empty one at the end. The table is not const for `parent` only.
 */

enum {
    CONNECTION = REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE | REDIS_FAST,
    SUBSCRIBING =
        REDIS_PUBSUB | REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE | REDIS_SUBSCRIBED_TOO | REDIS_IS_PUSH,
    PUBLISHING = REDIS_PUBSUB | REDIS_LOADING | REDIS_STALE,
};

/* Sorted by name, which is checked at the start. */
struct redis_command redis_commands[] = {
    {"acl", "Asks about users and categories of commands", "6.0.0", "server", "Depends on the subcommand", -2,
     0, NULL, redis_acl_subcommands, NULL},
    {"asking", "Refuses: there is no cluster", "3.0.0", "cluster", "O(1)", 1, REDIS_FAST, redis_cmd_asking,
     NULL, NULL},
    {"auth", "Logs in", "1.0.0", "connection", "O(1), and the time of a password's hash", -2,
     CONNECTION | REDIS_NO_AUTH, redis_cmd_auth, NULL, NULL},
    {"client", "Asks about connections", "2.4.0", "connection", "Depends on the subcommand", -2, 0, NULL,
     redis_client_subcommands, NULL},
    {"cluster", "Refuses: there is no cluster", "3.0.0", "cluster", "O(1)", -2, REDIS_LOADING | REDIS_STALE,
     redis_cmd_cluster, NULL, NULL},
    {"command", "Describes all commands", "2.8.13", "server", "O(N), N: commands that are served", -1,
     REDIS_LOADING | REDIS_STALE, redis_cmd_command, redis_command_subcommands, NULL},
    {"config", "Asks for parameters and changes them", "2.0.0", "server", "Depends on the subcommand", -2, 0,
     NULL, redis_config_subcommands, NULL},
    {"dbsize", "Counts keys: there are none", "1.0.0", "server", "O(1)", 1, REDIS_READONLY | REDIS_FAST,
     redis_cmd_dbsize, NULL, NULL},
    {"discard", "Drops the commands queued since MULTI", "2.0.0", "transactions", "O(N), N: commands queued",
     1, CONNECTION | REDIS_AT_ONCE, redis_cmd_discard, NULL, NULL},
    {"echo", "Answers what it is given", "1.0.0", "connection", "O(1)", 2,
     REDIS_LOADING | REDIS_STALE | REDIS_FAST, redis_cmd_echo, NULL, NULL},
    {"exec", "Runs the commands queued since MULTI", "1.2.0", "transactions", "That of the commands queued",
     1, REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE | REDIS_AT_ONCE, redis_cmd_exec, NULL, NULL},
    {"hello", "Chooses the protocol, logs in, and tells about the server", "6.0.0", "connection", "O(1)", -1,
     CONNECTION | REDIS_NO_AUTH, redis_cmd_hello, NULL, NULL},
    {"info", "Tells figures of the server", "1.0.0", "server", "O(1)", -1, REDIS_LOADING | REDIS_STALE,
     redis_cmd_info, NULL, NULL},
    {"lolwut", "Tells the version", "5.0.0", "server", "O(1)", -1, REDIS_READONLY | REDIS_FAST,
     redis_cmd_lolwut, NULL, NULL},
    {"module", "Asks about modules", "4.0.0", "server", "Depends on the subcommand", -2, 0, NULL,
     redis_module_subcommands, NULL},
    {"multi", "Begins to queue commands for EXEC", "1.2.0", "transactions", "O(1)", 1,
     CONNECTION | REDIS_AT_ONCE, redis_cmd_multi, NULL, NULL},
    {"ping", "Answers PONG, or what it is given", "1.0.0", "connection", "O(1)", -1,
     REDIS_FAST | REDIS_SUBSCRIBED_TOO, redis_cmd_ping, NULL, NULL},
    {"psubscribe", "Listens for messages to channels that match patterns", "2.0.0", "pubsub",
     "O(N), N: patterns subscribed to", -2, SUBSCRIBING, redis_cmd_psubscribe, NULL, NULL},
    {"publish", "Sends a message to a channel", "2.0.0", "pubsub", "O(N), N: subscriptions that hear it", 3,
     PUBLISHING | REDIS_FAST, redis_cmd_publish, NULL, NULL},
    {"pubsub", "Asks about channels and subscriptions", "2.8.0", "pubsub", "Depends on the subcommand", -2, 0,
     NULL, redis_pubsub_subcommands, NULL},
    {"punsubscribe", "Stops listening for messages to channels that match patterns", "2.0.0", "pubsub",
     "O(N), N: patterns given up", -1, SUBSCRIBING, redis_cmd_punsubscribe, NULL, NULL},
    {"quit", "Ends the connection", "1.0.0", "connection", "O(1)", -1,
     CONNECTION | REDIS_NO_AUTH | REDIS_AT_ONCE | REDIS_SUBSCRIBED_TOO, redis_cmd_quit, NULL, NULL},
    {"readonly", "Refuses: there is no cluster", "3.0.0", "cluster", "O(1)", 1,
     REDIS_LOADING | REDIS_STALE | REDIS_FAST, redis_cmd_readonly, NULL, NULL},
    {"readwrite", "Refuses: there is no cluster", "3.0.0", "cluster", "O(1)", 1,
     REDIS_LOADING | REDIS_STALE | REDIS_FAST, redis_cmd_readwrite, NULL, NULL},
    {"reset", "Makes the connection what it was when it began", "6.2.0", "connection", "O(1)", 1,
     CONNECTION | REDIS_NO_AUTH | REDIS_AT_ONCE | REDIS_SUBSCRIBED_TOO, redis_cmd_reset, NULL, NULL},
    {"role", "Tells the role in replication: master", "2.8.12", "server", "O(1)", 1,
     REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE | REDIS_FAST, redis_cmd_role, NULL, NULL},
    {"select", "Takes 0 to 15, and changes nothing: channels are the same in all", "1.0.0", "connection",
     "O(1)", 2, REDIS_LOADING | REDIS_STALE | REDIS_FAST, redis_cmd_select, NULL, NULL},
    {"spublish", "Sends a message to a shard channel", "7.0.0", "pubsub",
     "O(N), N: subscriptions that hear it", 3, PUBLISHING | REDIS_FAST, redis_cmd_spublish, NULL, NULL},
    {"ssubscribe", "Listens for messages to shard channels", "7.0.0", "pubsub",
     "O(N), N: shard channels subscribed to", -2, SUBSCRIBING, redis_cmd_ssubscribe, NULL, NULL},
    {"subscribe", "Listens for messages to channels", "2.0.0", "pubsub", "O(N), N: channels subscribed to",
     -2, SUBSCRIBING, redis_cmd_subscribe, NULL, NULL},
    {"sunsubscribe", "Stops listening for messages to shard channels", "7.0.0", "pubsub",
     "O(N), N: shard channels given up", -1, SUBSCRIBING, redis_cmd_sunsubscribe, NULL, NULL},
    {"time", "Tells the time", "2.6.0", "server", "O(1)", 1, REDIS_LOADING | REDIS_STALE | REDIS_FAST,
     redis_cmd_time, NULL, NULL},
    {"unsubscribe", "Stops listening for messages to channels", "2.0.0", "pubsub",
     "O(N), N: channels given up", -1, SUBSCRIBING, redis_cmd_unsubscribe, NULL, NULL},
    {"unwatch", "Takes WATCH back", "2.2.0", "transactions", "O(1)", 1, CONNECTION, redis_cmd_unwatch, NULL,
     NULL},
    {"wait", "Counts the replicas that have it: there are none", "3.0.0", "generic", "O(1)", 3,
     REDIS_NOSCRIPT, redis_cmd_wait, NULL, NULL},
    {"watch", "Accepted: there are no keys that could change", "2.2.0", "transactions", "O(1)", -2,
     CONNECTION | REDIS_AT_ONCE, redis_cmd_watch, NULL, NULL},
};
const size_t redis_command_count = sizeof(redis_commands) / sizeof(redis_commands[0]);

/* ---- by name: a hash of length, first and last letter, which is seldom shared ----------------------------
 */

enum { BUCKETS = 256 };

static uint8_t buckets[BUCKETS]; /* 1 + index into redis_commands; 0: free */

static unsigned hash(const uint8_t *name, size_t len)
{
    unsigned first = name[0] | 0x20u, middle = name[len / 2] | 0x20u, last = name[len - 1] | 0x20u;
    return (first * 33 + middle * 7 + last * 13 + (unsigned)len * 59) % BUCKETS;
}

__attribute__((constructor)) static void prepare(void)
{
    assert(redis_command_count < BUCKETS / 2);
    for (size_t i = 0; i < redis_command_count; i++) {
        const struct redis_command *c = &redis_commands[i];
        assert(i == 0 || strcmp(redis_commands[i - 1].name, c->name) < 0);
        unsigned h = hash((const uint8_t *)c->name, strlen(c->name));
        while (buckets[h])
            h = (h + 1) % BUCKETS;
        buckets[h] = (uint8_t)(i + 1);
        for (struct redis_command *s = (struct redis_command *)(void *)c->subcommands; s && s->name; s++)
            s->parent = c;
    }
}

const struct redis_command *redis_command_find(struct span name)
{
    if (name.len == 0)
        return NULL;
    for (unsigned h = hash(name.ptr, name.len); buckets[h]; h = (h + 1) % BUCKETS)
        if (redis_is(name, redis_commands[buckets[h] - 1].name))
            return &redis_commands[buckets[h] - 1];
    return NULL;
}
