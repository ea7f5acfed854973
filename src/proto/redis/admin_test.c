/* CLIENT, INFO, CONFIG, COMMAND and the small commands, on the whole broker. What a table expects was
 * recorded from Redis 7.0.15, unless a comment says otherwise. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "core/access.h"
#include "core/subject.h"
#include "proto/redis/testkit.h"
#include "proto/redis/text.h"

/* ---- what one client says and hears -------------------------------------------------------------------- */

struct row {
    const char *says, *hears; /* says: without the end of its line */
};

/* What is heard; valid until the next call. */
static const char *ask(struct sim_peer *p, const char *line)
{
    static char *heard;
    mem_free(heard);
    kit_send(p, span_str(line), SIZE_MAX);
    kit_send(p, span_str("\r\n"), SIZE_MAX);
    heard = kit_hear(p);
    return heard;
}

static void converse(const struct row *rows, size_t count, bool resp3, size_t step)
{
    struct sim_peer *p = kit_connect();
    struct redis_text says = {0}, hears = {0};
    if (resp3)
        assert_non_null(strstr(ask(p, "hello 3"), "proto\r\n:3\r\n"));
    for (size_t i = 0; i < count; i++) {
        redis_text_put(&says, span_str(rows[i].says));
        redis_text_put(&says, span_str("\r\n"));
        redis_text_put(&hears, span_str(rows[i].hears));
    }
    redis_text_put(&hears, span_of("", 1));
    kit_send(p, redis_text_span(&says), step);
    char *heard = kit_hear(p);
    assert_string_equal(heard, hears.ptr);
    mem_free(heard);
    redis_text_free(&says);
    redis_text_free(&hears);
    sim_peer_close(p);
}

/* All at once, and in pieces. */
static void converse_twice(const struct row *rows, size_t count, bool resp3)
{
    converse(rows, count, resp3, SIZE_MAX);
    converse(rows, count, resp3, 0);
}
#define RESP2(rows) converse_twice(rows, sizeof(rows) / sizeof(*(rows)), false)
#define RESP3(rows) converse_twice(rows, sizeof(rows) / sizeof(*(rows)), true)

static const struct row client_errors[] = {
    {"client", "-ERR wrong number of arguments for 'client' command\r\n"},
    {"client foo", "-ERR unknown subcommand 'foo'. Try CLIENT HELP.\r\n"},
    {"client id x", "-ERR wrong number of arguments for 'client|id' command\r\n"},
    {"client getname x", "-ERR wrong number of arguments for 'client|getname' command\r\n"},
    {"client info x", "-ERR wrong number of arguments for 'client|info' command\r\n"},
    {"client list foo", "-ERR syntax error\r\n"},
    {"client list type", "-ERR syntax error\r\n"},
    {"client list id", "-ERR syntax error\r\n"},
    {"client list id 1 x", "-ERR Invalid client ID\r\n"},
    {"client list type foo", "-ERR Unknown client type 'foo'\r\n"},
    {"client list type master", "$0\r\n\r\n"},
    {"client list id 0 99999999", "$0\r\n\r\n"},
};
static const struct row client_names[] = {
    {"client getname", "$-1\r\n"},
    {"client setname \"a b\"",
     "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
    {"client setname abc", "+OK\r\n"},
    {"client getname", "$3\r\nabc\r\n"},
    {"client setname \"\"", "+OK\r\n"},
    {"client getname", "$-1\r\n"},
};
static const struct row client_kill_errors[] = {
    {"client kill", "-ERR wrong number of arguments for 'client|kill' command\r\n"},
    {"client kill 1.2.3.4:5", "-ERR No such client\r\n"},
    {"client kill id", "-ERR No such client\r\n"},
    {"client kill id x", "-ERR client-id should be greater than 0\r\n"},
    {"client kill id 0", "-ERR client-id should be greater than 0\r\n"},
    {"client kill id 99999999", ":0\r\n"},
    {"client kill id 99999999 foo bar", "-ERR syntax error\r\n"},
    {"client kill type foo", "-ERR Unknown client type 'foo'\r\n"},
    {"client kill type pubsub", ":0\r\n"},
    {"client kill user nobody", "-ERR No such user 'nobody'\r\n"},
    {"client kill skipme foo", "-ERR syntax error\r\n"},
    {"client kill id 99 skipme", "-ERR syntax error\r\n"},
    {"client kill laddr 1.1.1.1:1", ":0\r\n"},
};
static const struct row client_replies[] = {
    {"client reply foo", "-ERR syntax error\r\n"},
    {"client reply skip", ""},
    {"ping", ""},
    {"ping", "+PONG\r\n"},
    {"client reply off", ""},
    {"ping", ""},
    {"client list", ""},
    {"client kill", ""},
    {"client reply on", "+OK\r\n"},
    {"ping", "+PONG\r\n"},
};
static const struct row client_marks[] = {
    {"client no-evict on", "+OK\r\n"},
    {"client no-evict foo", "-ERR syntax error\r\n"},
    {"client tracking off", "+OK\r\n"},
    {"client tracking foo", "-ERR syntax error\r\n"},
    {"client tracking", "-ERR wrong number of arguments for 'client|tracking' command\r\n"},
    {"client trackinginfo",
     "*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n"},
    {"client getredir", ":-1\r\n"},
    {"client caching yes", "-ERR CLIENT CACHING can be called only when the client is in tracking mode with "
                           "OPTIN or OPTOUT mode enabled\r\n"},
    {"client unblock 5", ":0\r\n"},
    {"client unblock x", "-ERR value is not an integer or out of range\r\n"},
    {"client unblock 5 foo", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n"},
    {"client unblock 5 timeout", ":0\r\n"},
    {"client unblock 5 error x",
     "-ERR unknown subcommand or wrong number of arguments for 'unblock'. Try CLIENT HELP.\r\n"},
};
static const struct row client_tracking_3[] = {
    {"client tracking off", "+OK\r\n"},
    {"client trackinginfo",
     "%3\r\n$5\r\nflags\r\n~1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n"},
    {"client getname", "_\r\n"},
    {"client list type replica", "=4\r\ntxt:\r\n"},
};
static const struct row client_in_exec[] = {
    {"multi", "+OK\r\n"},
    {"client kill id 99999999", "+QUEUED\r\n"},
    {"client getname", "+QUEUED\r\n"},
    {"client list type master", "+QUEUED\r\n"},
    {"exec", "*3\r\n:0\r\n$-1\r\n$0\r\n\r\n"},
};
static const struct row small_commands[] = {
    {"time x", "-ERR wrong number of arguments for 'time' command\r\n"},
    {"dbsize", ":0\r\n"},
    {"dbsize x", "-ERR wrong number of arguments for 'dbsize' command\r\n"},
    {"wait", "-ERR wrong number of arguments for 'wait' command\r\n"},
    {"wait x 1", "-ERR value is not an integer or out of range\r\n"},
    {"wait 1 x", "-ERR timeout is not an integer or out of range\r\n"},
    {"wait 0 -1", "-ERR timeout is negative\r\n"},
    {"wait 0 0", ":0\r\n"},
    {"role", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"},
    {"role x", "-ERR wrong number of arguments for 'role' command\r\n"},
    {"readonly", "-ERR This instance has cluster support disabled\r\n"},
    {"readwrite", "-ERR This instance has cluster support disabled\r\n"},
    {"asking", "-ERR This instance has cluster support disabled\r\n"},
    {"cluster", "-ERR wrong number of arguments for 'cluster' command\r\n"},
    {"cluster info", "-ERR This instance has cluster support disabled\r\n"},
    {"acl", "-ERR wrong number of arguments for 'acl' command\r\n"},
    {"acl whoami", "$7\r\ndefault\r\n"},
    {"acl cat foo", "-ERR Unknown category 'foo'\r\n"},
    {"acl cat pubsub x", "-ERR unknown subcommand or wrong number of arguments for 'cat'. Try ACL HELP.\r\n"},
    {"module list", "*0\r\n"},
    {"module", "-ERR wrong number of arguments for 'module' command\r\n"},
    {"info keyspace cluster", "$44\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n\r\n"},
    {"info modules", "$11\r\n# Modules\r\n\r\n"},
    {"info nothing", "$0\r\n\r\n"},
    {"INFO Cluster KEYSPACE modules",
     "$57\r\n# Modules\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n\r\n"},
};
static const struct row small_commands_3[] = {
    {"info cluster", "=34\r\ntxt:# Cluster\r\ncluster_enabled:0\r\n\r\n"},
    {"role", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"},
    {"acl whoami", "$7\r\ndefault\r\n"},
    {"module list", "*0\r\n"},
    {"dbsize", ":0\r\n"},
};
static const struct row command_info[] = {
    {"command info publish client|id foo CLIENT|GETNAME client|foo ping|x",
     "*6\r\n*10\r\n$7\r\npublish\r\n:3\r\n*4\r\n+pubsub\r\n+loading\r\n+stale\r\n+fast\r\n:0\r\n:0\r\n:0\r\n*"
     "2\r\n+@pubsub\r\n+@fast\r\n*0\r\n*0\r\n*0\r\n*10\r\n$9\r\nclient|id\r\n:2\r\n*3\r\n+noscript\r\n+"
     "loading\r\n+stale\r\n:0\r\n:0\r\n:0\r\n*2\r\n+@slow\r\n+@connection\r\n*0\r\n*0\r\n*0\r\n$-1\r\n*"
     "10\r\n$14\r\nclient|getname\r\n:2\r\n*3\r\n+noscript\r\n+loading\r\n+stale\r\n:0\r\n:0\r\n:0\r\n*2\r\n+"
     "@slow\r\n+@connection\r\n*0\r\n*0\r\n*0\r\n$-1\r\n$-1\r\n"},
    {"command info ssubscribe role",
     "*2\r\n*10\r\n$10\r\nssubscribe\r\n:-2\r\n*4\r\n+pubsub\r\n+noscript\r\n+loading\r\n+stale\r\n:1\r\n:-"
     "1\r\n:1\r\n*2\r\n+@pubsub\r\n+@slow\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*1\r\n+not_key\r\n$12\r\nbegin_"
     "search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_"
     "keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:-1\r\n$"
     "7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n*10\r\n$4\r\nrole\r\n:1\r\n*4\r\n+noscript\r\n+"
     "loading\r\n+stale\r\n+fast\r\n:0\r\n:0\r\n:0\r\n*3\r\n+@admin\r\n+@fast\r\n+@dangerous\r\n*0\r\n*0\r\n*"
     "0\r\n"},
    {"command list filterby pattern client|k*", "*1\r\n$11\r\nclient|kill\r\n"},
    {"command list filterby module x", "*0\r\n"},
    {"command list x", "-ERR syntax error\r\n"},
    {"command list filterby", "-ERR syntax error\r\n"},
    {"command list filterby foo x", "-ERR syntax error\r\n"},
    {"command list filterby aclcat nothing", "*0\r\n"},
};
static const struct row command_info_3[] = {
    {"command info publish client|id foo CLIENT|GETNAME client|foo ping|x",
     "*6\r\n*10\r\n$7\r\npublish\r\n:3\r\n~4\r\n+pubsub\r\n+loading\r\n+stale\r\n+fast\r\n:0\r\n:0\r\n:0\r\n~"
     "2\r\n+@pubsub\r\n+@fast\r\n~0\r\n~0\r\n~0\r\n*10\r\n$9\r\nclient|id\r\n:2\r\n~3\r\n+noscript\r\n+"
     "loading\r\n+stale\r\n:0\r\n:0\r\n:0\r\n~2\r\n+@slow\r\n+@connection\r\n~0\r\n~0\r\n~0\r\n_\r\n*10\r\n$"
     "14\r\nclient|getname\r\n:2\r\n~3\r\n+noscript\r\n+loading\r\n+stale\r\n:0\r\n:0\r\n:0\r\n~2\r\n+@"
     "slow\r\n+@connection\r\n~0\r\n~0\r\n~0\r\n_\r\n_\r\n"},
    {"command info ssubscribe role",
     "*2\r\n*10\r\n$10\r\nssubscribe\r\n:-2\r\n~4\r\n+pubsub\r\n+noscript\r\n+loading\r\n+stale\r\n:1\r\n:-"
     "1\r\n:1\r\n~2\r\n+@pubsub\r\n+@slow\r\n~0\r\n~1\r\n%3\r\n$5\r\nflags\r\n~1\r\n+not_key\r\n$12\r\nbegin_"
     "search\r\n%2\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n%1\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_"
     "keys\r\n%2\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n%3\r\n$7\r\nlastkey\r\n:-1\r\n$"
     "7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n~0\r\n*10\r\n$4\r\nrole\r\n:1\r\n~4\r\n+noscript\r\n+"
     "loading\r\n+stale\r\n+fast\r\n:0\r\n:0\r\n:0\r\n~3\r\n+@admin\r\n+@fast\r\n+@dangerous\r\n~0\r\n~0\r\n~"
     "0\r\n"},
};
static const struct row command_keys[] = {
    {"command docs nothing", "*0\r\n"},
    {"command getkeys", "-ERR wrong number of arguments for 'command|getkeys' command\r\n"},
    {"command getkeys foo a", "-ERR Invalid command specified\r\n"},
    {"command getkeys publish a b", "-ERR The command has no key arguments\r\n"},
    {"command getkeys spublish a b", "-ERR The command has no key arguments\r\n"},
    {"command getkeys watch a b", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
    {"command getkeysandflags watch a b",
     "*2\r\n*2\r\n$1\r\na\r\n*1\r\n+RO\r\n*2\r\n$1\r\nb\r\n*1\r\n+RO\r\n"},
    {"command foo", "-ERR unknown subcommand 'foo'. Try COMMAND HELP.\r\n"},
};
static const struct row command_keys_3[] = {
    {"command getkeysandflags watch a b",
     "*2\r\n*2\r\n$1\r\na\r\n~1\r\n+RO\r\n*2\r\n$1\r\nb\r\n~1\r\n+RO\r\n"},
    {"command docs nothing", "%0\r\n"},
};
static const struct row config_get[] = {
    {"config", "-ERR wrong number of arguments for 'config' command\r\n"},
    {"config foo", "-ERR unknown subcommand 'foo'. Try CONFIG HELP.\r\n"},
    {"config get", "-ERR wrong number of arguments for 'config|get' command\r\n"},
    {"config get foo", "*0\r\n"},
    {"config get save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"},
    {"config get MAXMEMORY maxmemory", "*2\r\n$9\r\nMAXMEMORY\r\n$1\r\n0\r\n"},
    {"config get databases appendonly",
     "*4\r\n$10\r\nappendonly\r\n$2\r\nno\r\n$9\r\ndatabases\r\n$2\r\n16\r\n"},
    {"config get client-output*", "*2\r\n$26\r\nclient-output-buffer-limit\r\n$67\r\nnormal 0 0 0 slave "
                                  "268435456 67108864 60 pubsub 33554432 8388608 60\r\n"},
    {"config rewrite", "-ERR The server is running without a config file\r\n"},
    {"config rewrite x", "-ERR wrong number of arguments for 'config|rewrite' command\r\n"},
};
static const struct row config_get_3[] = {
    {"config get save", "%1\r\n$4\r\nsave\r\n$0\r\n\r\n"},
    {"config get maxmemory appendonly",
     "%2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n"},
    {"config get foo", "%0\r\n"},
};
static const struct row config_set_rows[] = {
    {"config set", "-ERR wrong number of arguments for 'config|set' command\r\n"},
    {"config set x", "-ERR wrong number of arguments for 'config|set' command\r\n"},
    {"config set x y", "-ERR Unknown option or number of arguments for CONFIG SET - 'x'\r\n"},
    {"config set maxmemory 0 x", "-ERR syntax error\r\n"},
    {"config set databases 3",
     "-ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config\r\n"},
    {"config set maxmemory 0 maxmemory 0",
     "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - duplicate parameter\r\n"},
    {"config set maxmemory 0 foo 0", "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'\r\n"},
    {"config set save \"\"", "+OK\r\n"},
};
static const struct row config_limits[] = {
    {"config set client-output-buffer-limit foo",
     "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Wrong number of "
     "arguments in buffer limit configuration.\r\n"},
    {"config set client-output-buffer-limit \"foo 0 0 0\"",
     "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Invalid client "
     "class specified in buffer limit configuration.\r\n"},
    {"config set client-output-buffer-limit \"pubsub 1 2\"",
     "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Wrong number of "
     "arguments in buffer limit configuration.\r\n"},
    {"config set client-output-buffer-limit \"pubsub x 0 0\"",
     "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Error in hard, "
     "soft or soft_seconds setting in buffer limit configuration.\r\n"},
    {"config set client-output-buffer-limit \"pubsub 1kb 1k -1\"",
     "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Error in hard, "
     "soft or soft_seconds setting in buffer limit configuration.\r\n"},
    {"config set client-output-buffer-limit \"pubsub 1gb 1g 60x\"",
     "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Error in hard, "
     "soft or soft_seconds setting in buffer limit configuration.\r\n"},
    {"config set client-output-buffer-limit \"pubsub -1 1g 60\"",
     "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Error in hard, "
     "soft or soft_seconds setting in buffer limit configuration.\r\n"},
    {"config set client-output-buffer-limit \"pubsub 1xb 1g 60\"",
     "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Error in hard, "
     "soft or soft_seconds setting in buffer limit configuration.\r\n"},
    {"config set client-output-buffer-limit \"pubsub  32mb 8mb 60\"",
     "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Wrong number of "
     "arguments in buffer limit configuration.\r\n"},
    {"config set client-output-buffer-limit \"master 0 0 0\"",
     "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Invalid client "
     "class specified in buffer limit configuration.\r\n"},
    {"config set client-output-buffer-limit \"replica 256mb 64mb 60 PubSub 1GB 2k 3\"", "+OK\r\n"},
    {"config get client-output-buffer-limit", "*2\r\n$26\r\nclient-output-buffer-limit\r\n$65\r\nnormal 0 0 "
                                              "0 slave 268435456 67108864 60 pubsub 1073741824 2000 3\r\n"},
    {"config set client-output-buffer-limit \"pubsub 1m 2kb 3 pubsub 32mb 8mb 60\"", "+OK\r\n"},
    {"config get client-output-buffer-limit", "*2\r\n$26\r\nclient-output-buffer-limit\r\n$67\r\nnormal 0 0 "
                                              "0 slave 268435456 67108864 60 pubsub 33554432 8388608 60\r\n"},
    {"config set client-output-buffer-limit \"\"", "+OK\r\n"},
};

/* Colobus's own words: what Redis has of 7.2, and what isn't there. */
static const struct row own_words[] = {
    {"client setinfo lib-name redis-py", "+OK\r\n"},
    {"client setinfo LIB-VER 5.0.1", "+OK\r\n"},
    {"client setinfo lib-ver \"a b\"",
     "-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n"},
    {"client setinfo foo x", "-ERR Unrecognized option 'foo'\r\n"},
    {"client no-touch on", "+OK\r\n"},
    {"client kill maxage 0", "-ERR maxage should be greater than 0\r\n"},
    {"client kill maxage 1000 skipme no", ":0\r\n"},
    {"client tracking on", "-ERR Colobus serves publish and subscribe: it has no keys to track\r\n"},
    {"client pause 100", "-ERR unknown subcommand 'pause'. Try CLIENT HELP.\r\n"},
    {"config resetstat", "-ERR unknown subcommand 'resetstat'. Try CONFIG HELP.\r\n"},
    {"config get notify-keyspace-events", "*2\r\n$22\r\nnotify-keyspace-events\r\n$0\r\n\r\n"},
    {"config set notify-keyspace-events \"\"", "+OK\r\n"},
    {"config set notify-keyspace-events KEA",
     "-ERR CONFIG SET failed (possibly related to argument "
     "'notify-keyspace-events') - there are no keys here that could have "
     "events\r\n"},
    {"config set maxmemory 1",
     "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - can't set "
     "immutable config\r\n"},
    {"config set client-output-buffer-limit \"normal 1 1 1\"",
     "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - only the limits "
     "of the class "
     "pubsub can be changed here\r\n"},
    {"cluster foo", "-ERR This instance has cluster support disabled\r\n"},
    {"command docs echo", "*2\r\n$4\r\necho\r\n*10\r\n$7\r\nsummary\r\n$24\r\nAnswers what it is "
                          "given\r\n$5\r\nsince\r\n$5\r\n1.0.0\r\n$5\r\ngroup"
                          "\r\n$10\r\nconnection\r\n$10\r\ncomplexity\r\n$4\r\nO(1)\r\n$9\r\narguments\r\n*"
                          "1\r\n*4\r\n$4\r\nname\r\n$7\r\nmessage\r\n$4"
                          "\r\ntype\r\n$6\r\nstring\r\n"},
};

static void answers_are_those_of_redis(void **state)
{
    for (int shards = 1; shards <= 3; shards += 2) {
        kit_start(shards == 1 ? "1" : "3", NULL);
        RESP2(client_errors);
        RESP2(client_names);
        RESP2(client_kill_errors);
        RESP2(client_replies);
        RESP2(client_marks);
        RESP3(client_tracking_3);
        RESP2(client_in_exec);
        RESP2(small_commands);
        RESP3(small_commands_3);
        RESP2(command_info);
        RESP3(command_info_3);
        RESP2(command_keys);
        RESP3(command_keys_3);
        RESP2(config_get);
        RESP3(config_get_3);
        RESP2(config_set_rows);
        RESP2(config_limits);
        RESP2(own_words);
        kit_stop();
    }
}

/* ---- several clients ----------------------------------------------------------------------------------- */

enum { CLIENTS = 5 };

static int start(void **state)
{
    kit_start("3", NULL);
    return 0;
}

static int stop(void **state)
{
    kit_stop();
    return 0;
}

static int ask_id(struct sim_peer *p)
{
    const char *answer = ask(p, "client id");
    assert_int_equal(answer[0], ':');
    return atoi(answer + 1);
}

static const char *ask_about(struct sim_peer *p, const char *format, int id)
{
    char line[80];
    snprintf(line, sizeof(line), format, id);
    return ask(p, line);
}

/* More than there are shards; with their ids. */
static void connect_all(struct sim_peer *p[CLIENTS], int ids[CLIENTS])
{
    char line[40];
    for (int i = 0; i < CLIENTS; i++) {
        p[i] = kit_connect();
        snprintf(line, sizeof(line), "client setname n%d", i);
        assert_string_equal(ask(p[i], line), "+OK\r\n");
        ids[i] = ask_id(p[i]);
        assert_true(i == 0 || ids[i] > ids[i - 1]);
    }
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        n++;
    return n;
}

static void the_clients_of_all_shards_are_listed(void **state)
{
    struct sim_peer *p[CLIENTS];
    int ids[CLIENTS];
    char name[20];
    connect_all(p, ids);
    const char *list = ask(p[1], "client list");
    assert_int_equal(count(list, "id="), CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        snprintf(name, sizeof(name), " name=n%d ", i);
        assert_int_equal(count(list, name), 1);
    }
    assert_int_equal(count(list, "cmd=client|list"), 1);
    assert_int_equal(count(ask(p[1], "client list type normal"), "id="), CLIENTS);
    assert_int_equal(count(ask(p[1], "client list type pubsub"), "id="), 0);
    list = ask_about(p[1], "client list id 0 %d 7777777", ids[3]);
    assert_int_equal(count(list, "id="), 1);
    assert_int_equal(count(list, "name=n3"), 1);
}

/* More than a shard has under way at a time. */
static void many_may_ask_at_once(void **state)
{
    enum { MANY = 40 };
    struct sim_peer *p[MANY];
    for (int i = 0; i < MANY; i++)
        p[i] = kit_connect();
    kit_run_ms(100);
    for (int i = 0; i < MANY; i++)
        kit_send(p[i], span_str("client list\r\nclient kill id 7777777\r\nclient list\r\n"), SIZE_MAX);
    for (int i = 0; i < MANY; i++) {
        char *heard = kit_hear(p[i]);
        assert_int_equal(count(heard, "id="), 2 * MANY);
        assert_int_equal(count(heard, "\r\n:0\r\n$"), 1);
        mem_free(heard);
    }
}

static void a_list_that_finds_no_memory_for_output_is_refused(void **state)
{
    kit_stop();
    kit_start("3", (const char *const[]){"memory.output-bytes", "1MiB", NULL});
    struct sim_peer *p = NULL;
    char *line = mem_zalloc(1100);
    memcpy(line, "client setname ", 15);
    memset(line + 15, 'a', 1024);
    for (int i = 0; i < 1100; i++)
        assert_string_equal(ask(p = kit_connect(), line), "+OK\r\n");
    mem_free(line);
    assert_string_equal(ask(p, "client list"),
                        "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    assert_int_equal(count(ask_about(p, "client list id %d", ask_id(p)), "id="), 1);
}

static void a_line_tells_what_its_client_does(void **state)
{
    struct sim_peer *p = kit_connect(), *other = kit_connect();
    int id = ask_id(p);
    ask(p, "hello 3 setname n");
    ask(p, "client setinfo lib-name lib");
    ask(p, "client no-evict on");
    ask(p, "select 3");
    assert_string_equal(
        ask(p, "subscribe a b"),
        ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n");
    ask(p, "psubscribe c*");
    ask(p, "ssubscribe d");
    ask(p, "multi");
    ask(p, "ping");
    kit_run_ms(3000);
    const char *line = ask_about(other, "client list id %d", id);
    assert_non_null(strstr(line, " name=n age=3 idle=3 flags=Pxe db=3 sub=2 psub=1 ssub=1 multi=1 "));
    assert_non_null(strstr(line, " cmd=ping user=default redir=-1 resp=3 lib-name=lib lib-ver=\n"));
    assert_int_equal(count(ask(other, "client list type pubsub"), "id="), 1);
    ask(p, "discard");
    ask(p, "foo");
    assert_non_null(strstr(ask_about(other, "client list id %d", id), " cmd=NULL "));
    ask(p, "multi\r\nping\r\nexec");
    assert_non_null(strstr(ask_about(other, "client list id %d", id), " cmd=exec "));
}

static void clients_are_killed_on_any_shard(void **state)
{
    struct sim_peer *p[CLIENTS];
    int ids[CLIENTS];
    connect_all(p, ids);
    for (int i = 1; i < CLIENTS; i++) {
        assert_string_equal(ask_about(p[0], "client kill id %d", ids[i]), ":1\r\n");
        assert_true(sim_peer_closed(p[i]));
        assert_string_equal(ask_about(p[0], "client kill id %d", ids[i]), ":0\r\n");
    }
    assert_int_equal(count(ask(p[0], "client list"), "id="), 1);
}

static char *copied(const char *text)
{
    return mem_strndup(text, strlen(text));
}

static void a_filter_names_those_to_be_killed(void **state)
{
    struct sim_peer *p[CLIENTS];
    int ids[CLIENTS];
    char line[100];
    connect_all(p, ids);
    ask(p[4], "subscribe a");
    assert_string_equal(ask(p[0], "client kill type pubsub"), ":1\r\n");
    assert_true(sim_peer_closed(p[4]));
    ask(p[3], "auth guest guest");
    assert_string_equal(ask(p[0], "client kill user guest"), ":1\r\n");
    assert_true(sim_peer_closed(p[3]));
    char *about = copied(ask_about(p[0], "client list id %d", ids[2]));
    char *addr = strstr(about, "addr=") + 5;
    *strchr(addr, ' ') = 0;
    snprintf(line, sizeof(line), "client kill %s", addr);
    mem_free(about);
    assert_string_equal(ask(p[0], line), "+OK\r\n");
    assert_true(sim_peer_closed(p[2]));
    assert_string_equal(ask(p[0], line), "-ERR No such client\r\n");
    kit_run_ms(2000);
    assert_string_equal(ask(p[0], "client kill maxage 100"), ":0\r\n");
    assert_string_equal(ask(p[0], "client kill maxage 1"), ":1\r\n"); /* not itself */
    assert_true(sim_peer_closed(p[1]));
}

static void who_kills_itself_hears_so_first(void **state)
{
    struct sim_peer *p = kit_connect();
    int id = ask_id(p);
    assert_string_equal(ask_about(p, "client kill id %d\r\nping", id), ":0\r\n+PONG\r\n");
    assert_string_equal(ask_about(p, "client kill id %d skipme no\r\nping", id), ":1\r\n<EOF>");
    p = kit_connect();
    assert_string_equal(
        ask_about(p, "multi\r\nclient kill id %d skipme no\r\nping\r\nexec\r\nping", ask_id(p)),
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n+PONG\r\n<EOF>");
}

static void nobody_misses_a_client_that_left_before_its_answer(void **state)
{
    for (int i = 0; i < 20; i++) {
        struct sim_peer *p = kit_connect();
        kit_run_ms(30);
        kit_send(p, span_str("client list\r\nclient kill id 7777777\r\n"), SIZE_MAX);
        if (i % 2)
            kit_run_ms(1);
        sim_peer_close(p);
    }
    kit_run_ms(100);
    struct sim_peer *p = kit_connect();
    assert_int_equal(count(ask(p, "client list"), "id="), 1);
    assert_non_null(strstr(ask(p, "info clients"), "connected_clients:1\r\n"));
}

/* ---- permission ---------------------------------------------------------------------------------------- */

static void changed(struct conn *c, struct op *op)
{
    assert_int_equal(op->err, 0);
    op_record_free(container_of(op, struct op_record, op));
}

static void give_guest_tags(const char *tags)
{
    struct op_record *r = op_new_internal(&kit_broker()->shards[0], sizeof(*r), changed, NULL);
    access_put_user(r, span_str("guest"), NULL, span_str(tags));
    op_record_submit(r);
    kit_run_ms(50);
}

static const struct row of_a_user[] = {
    {"auth guest guest", "+OK\r\n"},
    {"client list", "-NOPERM this user has no permissions to run the 'client|list' command\r\n"},
    {"client kill id 7777777", "-NOPERM this user has no permissions to run the 'client|kill' command\r\n"},
    {"config set save \"\"", "-NOPERM this user has no permissions to run the 'config|set' command\r\n"},
    {"acl whoami", "$5\r\nguest\r\n"},
};
static const struct row of_monitoring[] = {
    {"auth guest guest", "+OK\r\n"},
    {"client list type master", "$0\r\n\r\n"},
    {"client kill id 7777777", "-NOPERM this user has no permissions to run the 'client|kill' command\r\n"},
    {"config set save \"\"", "-NOPERM this user has no permissions to run the 'config|set' command\r\n"},
};
static const struct row of_an_administrator[] = {
    {"auth guest guest", "+OK\r\n"},
    {"client list type master", "$0\r\n\r\n"},
    {"client kill id 7777777", ":0\r\n"},
    {"config set save \"\"", "+OK\r\n"},
};

static void other_clients_are_for_who_has_the_broker_permission(void **state)
{
    give_guest_tags("");
    RESP2(of_a_user);
    give_guest_tags("monitoring");
    RESP2(of_monitoring);
    give_guest_tags("administrator");
    RESP2(of_an_administrator);
}

/* ---- figures and parameters ---------------------------------------------------------------------------- */

static void info_tells_the_figures_of_all_shards(void **state)
{
    struct sim_peer *p[CLIENTS];
    int ids[CLIENTS];
    connect_all(p, ids);
    ask(p[1], "subscribe a b");
    ask(p[2], "subscribe b");
    ask(p[3], "psubscribe a*");
    ask(p[4], "ssubscribe d");
    ask(p[0], "foo");
    const char *info = ask(p[0], "info");
    assert_non_null(strstr(info, "# Server\r\nredis_version:7.2.4\r\ncolobus_version:"));
    assert_non_null(strstr(info, "\r\ntcp_port:6379\r\n"));
    assert_non_null(strstr(info, "\r\n\r\n# Clients\r\nconnected_clients:5\r\n"));
    assert_non_null(strstr(info, "\r\n\r\n# Persistence\r\nloading:0\r\n"));
    assert_non_null(strstr(info, "\r\ntotal_connections_received:5\r\n"));
    assert_non_null(strstr(info, "\r\ntotal_commands_processed:15\r\ntotal_error_replies:1\r\n"));
    assert_non_null(strstr(info, "\r\npubsub_channels:2\r\npubsub_patterns:1\r\npubsubshard_channels:1\r\n"));
    assert_non_null(strstr(info, "\r\n\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"));
    assert_non_null(strstr(info, "\r\n\r\n# Keyspace\r\n\r\n"));
    assert_int_equal(count(ask(p[0], "info server STATS foo"), "# "), 2);
    assert_int_equal(count(ask(p[0], "info everything"), "# "), 10);
}

static void subscribers_limits_are_changed_for_all(void **state)
{
    const struct subject_limits *l = subject_limits(kit_broker());
    struct sim_peer *p = kit_connect(), *other = kit_connect();
    const char *set = "config set client-output-buffer-limit \"pubsub 1mb 2k 7\"";
    assert_string_equal(ask(p, set), "+OK\r\n");
    assert_int_equal(atomic_load(&l->hard), 1 << 20);
    assert_int_equal(atomic_load(&l->soft), 2000);
    assert_int_equal(atomic_load(&l->soft_ms), 7000);
    assert_non_null(
        strstr(ask(other, "config get client-output-buffer-limit"), " pubsub 1048576 2000 7\r\n"));
    ask(p, "config set client-output-buffer-limit \"pubsub 1 1 1\" maxmemory 1"); /* all or nothing */
    assert_int_equal(atomic_load(&l->hard), 1 << 20);
}

/* ---- COMMAND ------------------------------------------------------------------------------------------- */

static void every_command_is_described(void **state)
{
    struct sim_peer *p = kit_connect();
    char begin[20];
    int n = atoi(ask(p, "command count") + 1);
    assert_true(n > 30);
    snprintf(begin, sizeof(begin), "*%d\r\n*10\r\n", n);
    assert_true(strncmp(ask(p, "command"), begin, strlen(begin)) == 0);
    assert_true(strncmp(ask(p, "command info"), begin, strlen(begin)) == 0);
    snprintf(begin, sizeof(begin), "*%d\r\n", 2 * n);
    const char *docs = ask(p, "command docs");
    assert_true(strncmp(docs, begin, strlen(begin)) == 0);
    assert_int_equal(count(docs, "\r\nsummary\r\n"), count(docs, "\r\nsince\r\n"));
    assert_int_equal(count(docs, "\r\nsubcommands\r\n"), 6);
    assert_non_null(strstr(docs, "\r\n$14\r\nclient|setname\r\n"));
}

static void a_choice_is_an_argument_of_its_words(void **state)
{
    struct sim_peer *p = kit_connect();
    assert_non_null(strstr(
        ask(p, "command docs client|no-evict"),
        "arguments\r\n*1\r\n*6\r\n$4\r\nname\r\n$6\r\nON/OFF\r\n$4\r\ntype\r\n$5\r\noneof\r\n$9\r\narguments"
        "\r\n*2\r\n*6\r\n$4\r\nname\r\n$2\r\nON\r\n$4\r\ntype\r\n$10\r\npure-token\r\n$5\r\ntoken\r\n$2\r\n"
        "ON\r\n*6\r\n$4\r\nname\r\n$3\r\nOFF\r\n"));
    assert_non_null(strstr(
        ask(p, "command docs subscribe"),
        "$4\r\nname\r\n$7\r\nchannel\r\n$4\r\ntype\r\n$6\r\nstring\r\n$5\r\nflags\r\n*1\r\n+multiple\r\n"));
}

static char *repeated(const char *head, const char *word, int times)
{
    size_t len = strlen(word);
    char *line = mem_zalloc(strlen(head) + (size_t)times * len + 1);
    strcpy(line, head);
    for (char *at = line + strlen(head); times-- > 0; at += len)
        memcpy(at, word, len + 1);
    return line;
}

static void one_command_does_not_ask_for_too_much(void **state)
{
    struct sim_peer *p = kit_connect();
    char *line = repeated("command docs", " client", 1025);
    assert_string_equal(ask(p, line), "-ERR more than 1024 names\r\n");
    mem_free(line);
    line = repeated("command info", " x", 1024);
    assert_int_equal(count(ask(p, line), "$-1\r\n"), 1024);
    mem_free(line);
    line = repeated("config get", " *", 65);
    assert_string_equal(ask(p, line), "-ERR more than 64 patterns\r\n");
    mem_free(line);
    line = repeated("config get ", "*", 257);
    assert_string_equal(ask(p, line), "*0\r\n");
    mem_free(line);
    line = repeated("client setname ", "a", 1025);
    assert_string_equal(ask(p, line), "-ERR Client names cannot be longer than 1024 bytes.\r\n");
    mem_free(line);
    line = repeated("hello 3 setname ", "a", 1025);
    assert_string_equal(ask(p, line), "-ERR Client names cannot be longer than 1024 bytes.\r\n");
    mem_free(line);
}

static void commands_of_a_category_are_found(void **state)
{
    struct sim_peer *p = kit_connect();
    char *listed = copied(ask(p, "command list filterby aclcat pubsub"));
    assert_true(strncmp(listed, "*13\r\n", 5) == 0); /* as many as Redis 7.0 has */
    assert_string_equal(ask(p, "acl cat pubsub"), listed);
    mem_free(listed);
    assert_non_null(strstr(ask(p, "command list filterby aclcat dangerous"), "$11\r\nclient|kill\r\n"));
    assert_non_null(
        strstr(ask(p, "acl help"), "+ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n"));
    assert_true(strncmp(ask(p, "acl cat"), "*21\r\n$8\r\nkeyspace\r\n", 19) == 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_of_redis),
        T(the_clients_of_all_shards_are_listed),
        T(many_may_ask_at_once),
        T(a_list_that_finds_no_memory_for_output_is_refused),
        T(a_line_tells_what_its_client_does),
        T(clients_are_killed_on_any_shard),
        T(a_filter_names_those_to_be_killed),
        T(who_kills_itself_hears_so_first),
        T(nobody_misses_a_client_that_left_before_its_answer),
        T(other_clients_are_for_who_has_the_broker_permission),
        T(info_tells_the_figures_of_all_shards),
        T(subscribers_limits_are_changed_for_all),
        T(every_command_is_described),
        T(a_choice_is_an_argument_of_its_words),
        T(one_command_does_not_ask_for_too_much),
        T(commands_of_a_category_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
