/* Connections: what a client sends and what it hears, byte for byte, on the whole broker with one shard and
 * three; each transcript whole, byte by byte, and cut at random. What is expected was recorded from Redis
 * 7.0.15, unless a comment says otherwise. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/say.h"
#include "core/metrics.h"
#include "core/space.h"
#include "proto/redis/testkit.h"

struct transcript {
    const char *says, *hears;
};

enum { RANDOM_CUTS = 3 };

static void expect(struct span says, const char *hears, size_t step)
{
    struct sim_peer *p = kit_connect();
    kit_send(p, says, step);
    char *heard = kit_hear(p);
    assert_string_equal(heard, hears);
    mem_free(heard);
    sim_peer_close(p);
}

static void run_span(struct span says, const char *hears)
{
    expect(says, hears, SIZE_MAX);
    expect(says, hears, 1);
    for (unsigned i = 0; i < RANDOM_CUTS; i++)
        expect(says, hears, 0);
}

static void run_all(const char *shards, const char *const *settings, const struct transcript *rows,
                    size_t count)
{
    kit_start(shards, settings);
    for (size_t i = 0; i < count; i++)
        run_span(span_str(rows[i].says), rows[i].hears);
    kit_stop();
}
#define RUN_ALL(shards, settings, rows) run_all(shards, settings, rows, sizeof(rows) / sizeof(rows[0]))

#define HELLO_FIELDS(proto)                                                                                  \
    "$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n$5\r\nproto\r\n:" proto                  \
    "\r\n$2\r\nid\r\n:ID\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$"              \
    "7\r\nmodules\r\n*0\r\n"
#define HELLO_2 "*14\r\n" HELLO_FIELDS("2")
#define HELLO_3 "%7\r\n" HELLO_FIELDS("3")

/* ---- who comes in without a login -----------------------------------------------------------------------
 */

static const struct transcript open_rows[] = {
    {"PING\r\nping a\n*1\r\n$4\r\nPiNg\r\n*2\r\n$4\r\nPING\r\n$3\r\na\r\n\r\n",
     "+PONG\r\n$1\r\na\r\n+PONG\r\n$3\r\na\r\n\r\n"},
    {"PING a b\r\nECHO\r\nECHO x\r\nECHO ''\r\n", "-ERR wrong number of arguments for 'ping' command\r\n-ERR "
                                                  "wrong number of arguments for 'echo' command\r\n"
                                                  "$1\r\nx\r\n$0\r\n\r\n"},
    {"\r\n*0\r\n*-1\r\nPING\r\n", "+PONG\r\n"},
    {"SELECT 15\r\nSELECT 16\r\nSELECT -1\r\nSELECT a\r\nSELECT 99999999999\r\n",
     "+OK\r\n-ERR DB index is out of range\r\n-ERR DB index is out of range\r\n"
     "-ERR value is not an integer or out of range\r\n"
     "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"},
    {"QUIT\r\nPING\r\n", "+OK\r\n<EOF>"},
    /* unknown */
    {"FOO a \"b\\r\\nc\"\r\nPING\r\n",
     "-ERR unknown command 'FOO', with args beginning with: 'a' 'b  c' \r\n+PONG\r\n"},
    {"FOO\r\n", "-ERR unknown command 'FOO', with args beginning with: \r\n"},
    {"*2\r\n$0\r\n\r\n$2\r\n%n\r\n", "-ERR unknown command '', with args beginning with: '%n' \r\n"},
    {"FOO abcdefgh abcdefgh abcdefgh abcdefgh abcdefgh abcdefgh abcdefgh abcdefgh abcdefgh abcdefgh abcdefgh "
     "abcdefgh "
     "abcdefgh\r\n",
     "-ERR unknown command 'FOO', with args beginning with: 'abcdefgh' 'abcdefgh' 'abcdefgh' 'abcdefgh' "
     "'abcdefgh' "
     "'abcdefgh' 'abcdefgh' 'abcdefgh' 'abcdefgh' 'abcdefgh' 'abcdefgh' 'abcdefg' \r\n"},
    /* who it is */
    {"AUTH x\r\n",
     "-ERR AUTH <password> called without any password configured for the default user. Are you sure "
     "your configuration is correct?\r\n"},
    {"AUTH\r\nAUTH a b c\r\nAUTH a b\r\nAUTH default x\r\nPING\r\n",
     "-ERR wrong number of arguments for 'auth' command\r\n-ERR syntax error\r\n"
     "-WRONGPASS invalid username-password pair or user is disabled.\r\n+OK\r\n+PONG\r\n"},
    {"AUTH guest guest\r\nAUTH guest wrong\r\nPING\r\n",
     "+OK\r\n-WRONGPASS invalid username-password pair or user is disabled.\r\n+PONG\r\n"},
    {"HELLO\r\nHELLO 3\r\nHELLO\r\nHELLO 2\r\n", HELLO_2 HELLO_3 HELLO_3 HELLO_2},
    {"HELLO 3 AUTH guest guest SETNAME n\r\n", HELLO_3},
    {"HELLO 3 AUTH default x SETNAME n\r\n", HELLO_3},
    {"HELLO 3 AUTH guest wrong\r\nHELLO\r\n",
     "-WRONGPASS invalid username-password pair or user is disabled.\r\n" HELLO_2},
    {"HELLO a\r\nHELLO 1\r\nHELLO 4\r\nHELLO 3 FOO\r\nHELLO 3 AUTH a\r\nHELLO 3 SETNAME 'a b'\r\nHELLO\r\n",
     "-ERR Protocol version is not an integer or out of range\r\n-NOPROTO unsupported protocol version\r\n"
     "-NOPROTO unsupported protocol version\r\n-ERR Syntax error in HELLO option 'FOO'\r\n"
     "-ERR Syntax error in HELLO option 'AUTH'\r\n"
     "-ERR Client names cannot contain spaces, newlines or special characters.\r\n" HELLO_2},
    {"HELLO 3\r\nRESET\r\nHELLO\r\n", HELLO_3 "+RESET\r\n" HELLO_2},
    /* transactions */
    {"MULTI\r\nPING\r\nECHO 'a b'\r\nSELECT 99\r\nEXEC\r\nEXEC\r\n",
     "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+PONG\r\n$3\r\na b\r\n-ERR DB index is out of range\r\n"
     "-ERR EXEC without MULTI\r\n"},
    {"MULTI\r\nEXEC\r\nDISCARD\r\n", "+OK\r\n*0\r\n-ERR DISCARD without MULTI\r\n"},
    {"MULTI\r\nPING\r\nDISCARD\r\nPING\r\nEXEC a\r\n",
     "+OK\r\n+QUEUED\r\n+OK\r\n+PONG\r\n"
     "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n"},
    {"MULTI\r\nMULTI\r\nWATCH a\r\nPING\r\nEXEC\r\n",
     "+OK\r\n-ERR MULTI calls can not be nested\r\n-ERR WATCH inside MULTI is not "
     "allowed\r\n+QUEUED\r\n*1\r\n+PONG\r\n"},
    {"MULTI\r\nFOO\r\nPING\r\nEXEC\r\nPING\r\n",
     "+OK\r\n-ERR unknown command 'FOO', with args beginning with: \r\n+QUEUED\r\n"
     "-EXECABORT Transaction discarded because of previous errors.\r\n+PONG\r\n"},
    {"MULTI\r\nECHO\r\nEXEC\r\n", "+OK\r\n-ERR wrong number of arguments for 'echo' command\r\n"
                                  "-EXECABORT Transaction discarded because of previous errors.\r\n"},
    {"MULTI\r\nPING\r\nEXEC a\r\nEXEC\r\n",
     "+OK\r\n+QUEUED\r\n"
     "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n"
     "-ERR EXEC without MULTI\r\n"},
    {"WATCH a b\r\nMULTI\r\nUNWATCH\r\nEXEC\r\nWATCH\r\n",
     "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n-ERR wrong number of arguments for 'watch' command\r\n"},
    {"MULTI\r\nAUTH guest guest\r\nAUTH a b\r\nHELLO 3\r\nPING\r\nEXEC\r\nPING\r\n", /* EXEC waits for logins
                                                                                      */
     "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n+OK\r\n"
     "-WRONGPASS invalid username-password pair or user is disabled.\r\n" HELLO_3 "+PONG\r\n+PONG\r\n"},
    {"MULTI\r\nPING\r\nRESET\r\nEXEC\r\nMULTI\r\nQUIT\r\n",
     "+OK\r\n+QUEUED\r\n+RESET\r\n-ERR EXEC without MULTI\r\n+OK\r\n+OK\r\n<EOF>"},
    /* what is no command */
    {"*1\r\n$4\r\nPING\r\n*x\r\nPING\r\n", "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n<EOF>"},
    {"*1\r\nPING\r\n", "-ERR Protocol error: expected '$', got 'P'\r\n<EOF>"},
    {"ECHO \"a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n<EOF>"},
    {"POST / HTTP/1.1\r\nHost: x\r\n\r\n", "<EOF>"},
    {"*1\r\n$5\r\nhost:\r\n", "<EOF>"},
};

static void answers_are_those_of_redis(void **state)
{
    RUN_ALL(*state, NULL, open_rows);
}

/* ---- subscribers ----------------------------------------------------------------------------------------
 */

static const struct transcript subscriber_rows[] = {
    {"SUBSCRIBE a\r\nECHO x\r\nPING\r\nPING x\r\nMULTI\r\nAUTH x\r\nHELLO 3\r\nFOO\r\nRESET\r\nPING\r\n",
     "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n-ERR Can't execute 'echo': only (P|S)SUBSCRIBE / "
     "(P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
     "context\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n*2\r\n$4\r\npong\r\n$1\r\nx\r\n-ERR Can't execute 'multi': "
     "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n-ERR Can't "
     "execute 'auth': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
     "context\r\n-ERR Can't execute 'hello': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
     "are allowed in this context\r\n-ERR unknown command 'FOO', with args beginning with: "
     "\r\n+RESET\r\n+PONG\r\n"},
    {"HELLO 3\r\nSUBSCRIBE a\r\nPING\r\nECHO a\r\nUNSUBSCRIBE\r\n",
     HELLO_3 ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n+PONG\r\n$1\r\na\r\n>3\r\n$11\r\nunsubscribe\r\n$"
             "1\r\na\r\n:0\r\n"},
    {"SUBSCRIBE a\r\nQUIT\r\nPING\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n+OK\r\n<EOF>"},
    {"SUBSCRIBE a b a\r\nPSUBSCRIBE a*\r\nSSUBSCRIBE a\r\nUNSUBSCRIBE "
     "a\r\nUNSUBSCRIBE\r\nPUNSUBSCRIBE\r\nSUNSUBSCRIBE\r\nUNSUBSCRIBE\r\nECHO x\r\n",
     "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n*3\r\n$"
     "9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n*3\r\n$10\r\npsubscribe\r\n$2\r\na*\r\n:3\r\n*3\r\n$"
     "10\r\nssubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:2\r\n*3\r\n$"
     "11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n*3\r\n$12\r\npunsubscribe\r\n$2\r\na*\r\n:0\r\n*3\r\n$"
     "12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n$1\r\nx\r\n"},
    {"MULTI\r\nSUBSCRIBE a\r\nPING\r\nUNSUBSCRIBE\r\nEXEC\r\nPING\r\n",
     "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*2\r\n$"
     "4\r\npong\r\n$0\r\n\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n+PONG\r\n"},
    {"CLIENT REPLY OFF\r\nPING\r\nFOO\r\nCLIENT REPLY ON\r\nCLIENT REPLY SKIP\r\nPING\r\nPING 2\r\n",
     "+OK\r\n$1\r\n2\r\n"},
    {"CLIENT REPLY SKIP\r\nMULTI\r\nCLIENT REPLY SKIP\r\nEXEC\r\nPING\r\nPING 2\r\n",
     "+QUEUED\r\n*1\r\n$1\r\n2\r\n"},
    {"MULTI\r\nCLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY ON\r\nPING\r\nEXEC\r\nPING\r\n",
     "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n+OK\r\n+PONG\r\n+PONG\r\n"},
    {"CLIENT NOSUCH\r\nCLIENT\r\nMULTI\r\nCLIENT NOSUCH\r\nEXEC\r\n",
     "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.\r\n-ERR wrong number of arguments for 'client' "
     "command\r\n+OK\r\n-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.\r\n-EXECABORT Transaction "
     "discarded because of previous errors.\r\n"},
    {"SUBSCRIBE\r\nPUBLISH a\r\nPUBLISH a b\r\nPUBLISH '' \"\"\r\n",
     "-ERR wrong number of arguments for 'subscribe' command\r\n-ERR wrong number of arguments for 'publish' "
     "command\r\n:0\r\n:0\r\n"},
    /* What a client hears of its own doings comes behind the answer, as since Redis 7.2. */
    {"HELLO 3\r\nSUBSCRIBE 'a b'\r\nPUBLISH 'a b' \"x\\r\\n\"\r\nMULTI\r\nPUBLISH 'a b' "
     "y\r\nPING\r\nEXEC\r\n",
     HELLO_3
     ">3\r\n$9\r\nsubscribe\r\n$3\r\na b\r\n:1\r\n"
     ":1\r\n>3\r\n$7\r\nmessage\r\n$3\r\na b\r\n$3\r\nx\r\n\r\n"
     "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n+PONG\r\n>3\r\n$7\r\nmessage\r\n$3\r\na b\r\n$1\r\ny\r\n"},
};

static void subscribers_are_answered_in_order(void **state)
{
    RUN_ALL(*state, NULL, subscriber_rows);
}

/* ---- who must log in ------------------------------------------------------------------------------------
 */

#define NOAUTH "-NOAUTH Authentication required.\r\n"

static const struct transcript closed_rows[] = {
    {"PING\r\nFOO\r\nECHO\r\nQUIT\r\n",
     NOAUTH "-ERR unknown command 'FOO', with args beginning with: \r\n"
            "-ERR wrong number of arguments for 'echo' command\r\n+OK\r\n<EOF>"},
    {"HELLO 3\r\nHELLO 3 AUTH guest guest\r\nPING\r\n",
     "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH "
     "<user> "
     "<pass> option can be used to authenticate the client and select the RESP protocol version at the same "
     "time\r\n" HELLO_3 "+PONG\r\n"},
    {"AUTH guest guest\r\nPING\r\nRESET\r\nPING\r\n", "+OK\r\n+PONG\r\n+RESET\r\n" NOAUTH},
    {"AUTH wrong\r\nAUTH default x\r\nAUTH guest wrong\r\nPING\r\n",
     "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
     "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
     "-WRONGPASS invalid username-password pair or user is disabled.\r\n" NOAUTH},
    {"MULTI\r\nEXEC\r\n",
     NOAUTH "-EXECABORT Transaction discarded because of: NOAUTH Authentication required.\r\n"},
    {"*11\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n<EOF>"},
    {"*1\r\n$16385\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n<EOF>"},
    {"AUTH guest guest\r\n*11\r\n", "+OK\r\n"},
};

static const char *const logins[] = {"auth.anonymous", "none", NULL};

static void who_must_log_in_does_so_first(void **state)
{
    RUN_ALL(*state, logins, closed_rows);
}

static void who_does_not_log_in_is_cut(void **state)
{
    kit_start(*state, logins);
    struct sim_peer *in = kit_connect(), *out = kit_connect();
    kit_send(in, span_str("AUTH guest guest\r\n"), SIZE_MAX);
    kit_send(out, span_str("PING\r\n"), SIZE_MAX);
    kit_run_ms(9000);
    assert_false(sim_peer_closed(out));
    kit_run_ms(2000);
    assert_true(sim_peer_closed(out));
    assert_false(sim_peer_closed(in));
    sim_peer_close(in);
    sim_peer_close(out);
    kit_stop();
}

/* ---- the virtual host -----------------------------------------------------------------------------------
 */

static void nobody_gets_more_time_by_starting_over(void **state)
{
    static const char *const hasty[] = {"auth.anonymous", "none", "redis.handshake-timeout", "300ms", NULL};
    kit_start(*state, hasty);
    struct sim_peer *p = kit_connect();
    for (unsigned ms = 0; ms < 500; ms += 50) {
        sim_peer_send(p, span_str("RESET\r\n"));
        kit_run_ms(50);
    }
    assert_true(sim_peer_closed(p));
    sim_peer_close(p);
    kit_stop();
}

static void a_virtual_host_that_is_not_there_is_said_so(void **state)
{
    static const char *const settings[] = {"redis.vhost", "/gone", NULL};
    static const struct transcript rows[] = {
        {"PING\r\nAUTH guest guest\r\n",
         "+PONG\r\n-ERR the virtual host '/gone' (setting redis.vhost) does not exist\r\n"},
        {"PUBLISH a b\r\nPING\r\n",
         "-ERR the virtual host '/gone' (setting redis.vhost) does not exist\r\n+PONG\r\n"},
    };
    RUN_ALL(*state, settings, rows);
}

static bool op_over;

static void completed(struct conn *c, struct op *op)
{
    (void)c;
    assert_int_equal(op->err, 0);
    op_over = true;
    op_entity_free((struct op_entity *)(void *)op);
}

static void make_vhost(const char *name)
{
    struct op_vhost_put *v = op_new_internal(&kit_broker()->shards[0], sizeof(*v), completed, NULL);
    v->name = span_str(name);
    op_over = false;
    op_vhost_put_submit(v);
    kit_run_ms(100);
    assert_true(op_over);
}

static void delete_vhost(const char *name)
{
    struct op_vhost_delete *v = op_new_internal(&kit_broker()->shards[0], sizeof(*v), completed, NULL);
    v->name = span_str(name);
    op_over = false;
    op_vhost_delete_submit(v);
    kit_run_ms(100);
    assert_true(op_over);
}

static void hears(struct sim_peer *p, const char *says, const char *wanted)
{
    kit_send(p, span_str(says), SIZE_MAX);
    char *heard = kit_hear(p);
    assert_string_equal(heard, wanted);
    mem_free(heard);
}

/* Clients wait for it to be made, and are cut when it is deleted. */
static void a_virtual_host_comes_and_goes(void **state)
{
    static const char *const settings[] = {"redis.vhost", "v", NULL};
    static const char refused[] = "-ERR the virtual host 'v' (setting redis.vhost) does not exist\r\n";
    kit_start(*state, settings);
    struct sim_peer *p = kit_connect();
    hears(p, "SUBSCRIBE a\r\n", refused);
    make_vhost("v");
    hears(p, "SUBSCRIBE a\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    delete_vhost("v");
    hears(p, "", "<EOF>");
    sim_peer_close(p);
    p = kit_connect();
    hears(
        p, "PUBLISH a b\r\nPING\r\nMULTI\r\nPUBSUB NUMPAT\r\nEXEC\r\n",
        "-ERR the virtual host 'v' (setting redis.vhost) does not exist\r\n+PONG\r\n+OK\r\n+QUEUED\r\n*1\r\n"
        "-ERR the virtual host 'v' (setting redis.vhost) does not exist\r\n");
    sim_peer_close(p);
    kit_stop();
}

/* ---- sizes ----------------------------------------------------------------------------------------------
 */

static void a_large_argument_comes_back(void **state)
{
    enum { SIZE = 3 << 20 };
    char head[64];
    kit_start(*state, NULL);
    int n = snprintf(head, sizeof(head), "*2\r\n$4\r\nECHO\r\n$%d\r\n", SIZE);
    uint8_t *body = mem_alloc(SIZE + 2);
    for (size_t i = 0; i < SIZE; i++)
        body[i] = (uint8_t)('a' + i % 23);
    memcpy(body + SIZE, "\r\n", 2);
    struct sim_peer *p = kit_connect();
    sim_peer_window(p, SIZE * 2);
    kit_send(p, span_of(head, (size_t)n), SIZE_MAX);
    kit_send(p, span_of(body, SIZE + 2), 60000);
    char *heard = kit_hear(p);
    assert_int_equal(strlen(heard), (size_t)snprintf(head, sizeof(head), "$%d\r\n", SIZE) + SIZE + 2);
    assert_memory_equal(heard + strlen(head), body, SIZE);
    mem_free(heard);
    mem_free(body);
    sim_peer_close(p);
    kit_stop();
}

/* A client that does not read is not read from: what it makes the broker keep is bounded. */
static void who_does_not_read_is_not_read_from(void **state)
{
    enum { PINGS = 400000 };
    kit_start(*state, NULL);
    struct sim_peer *p = kit_connect();
    sim_peer_window(p, 1000);
    uint8_t *pings = mem_alloc(PINGS * 6);
    for (size_t i = 0; i < PINGS; i++)
        memcpy(pings + i * 6, "PING\r\n", 6);
    sim_peer_send(p, span_of(pings, PINGS * 6));
    kit_run_ms(200);
    assert_true(metrics_sum(kit_broker()->metrics, METRIC_REDIS_COMMANDS, 0) < PINGS / 2);
    sim_peer_window(p, PINGS * 7);
    char *heard = kit_hear(p);
    assert_int_equal(strlen(heard), PINGS * 7);
    assert_int_equal(metrics_sum(kit_broker()->metrics, METRIC_REDIS_COMMANDS, 0), PINGS);
    mem_free(heard);
    mem_free(pings);
    sim_peer_close(p);
    kit_stop();
}

static void transactions_of_any_size_run_in_order(void **state)
{
    enum { COMMANDS = 3000, BYTES = 100 };
    kit_start(*state, NULL);
    struct sim_peer *p = kit_connect();
    char *text = mem_alloc(COMMANDS * (BYTES + 64)), *wanted = mem_alloc(COMMANDS * (BYTES + 64));
    size_t len = (size_t)sprintf(text, "MULTI\r\n"), wants = (size_t)sprintf(wanted, "+OK\r\n");
    for (int i = 0; i < COMMANDS; i++) {
        len += (size_t)sprintf(text + len, "ECHO %0*d\r\n", 1 + i % BYTES, i);
        wants += (size_t)sprintf(wanted + wants, "+QUEUED\r\n");
    }
    len += (size_t)sprintf(text + len, "EXEC\r\nPING\r\n");
    wants += (size_t)sprintf(wanted + wants, "*%d\r\n", COMMANDS);
    for (int i = 0; i < COMMANDS; i++) {
        char v[BYTES + 16];
        int n = sprintf(v, "%0*d", 1 + i % BYTES, i);
        wants += (size_t)sprintf(wanted + wants, "$%d\r\n%s\r\n", n, v);
    }
    sprintf(wanted + wants, "+PONG\r\n");
    kit_send(p, span_of(text, len), 1000);
    char *heard = kit_hear(p);
    assert_string_equal(heard, wanted);
    mem_free(heard);
    mem_free(wanted);
    mem_free(text);
    sim_peer_close(p);
    kit_stop();
}

static void channels_are_not_listed_when_there_is_no_room_for_the_answer(void **state)
{
    enum { NAMES = 30, SIZE = 50000 };
    static const char *const settings[] = {"memory.output-bytes", "1MiB", NULL};
    static uint8_t name[SIZE + 2];
    char head[64];
    kit_start(*state, settings);
    struct sim_peer *p = kit_connect(), *asks = kit_connect();
    memset(name, 'x', SIZE);
    memcpy(name + SIZE, "\r\n", 2);
    int n = snprintf(head, sizeof(head), "*2\r\n$9\r\nSUBSCRIBE\r\n$%d\r\n", SIZE);
    for (uint8_t i = 0; i < NAMES; i++) {
        name[0] = (uint8_t)('A' + i);
        kit_send(p, span_of(head, (size_t)n), SIZE_MAX);
        kit_send(p, span_of(name, sizeof(name)), SIZE_MAX);
        mem_free(kit_hear(p));
    }
    kit_send(asks, span_str("PUBSUB CHANNELS\r\nPUBSUB CHANNELS A*\r\n"), SIZE_MAX);
    char *heard = kit_hear(asks);
    const char *first = "-OOM command not allowed when used memory > 'maxmemory'.\r\n*1\r\n$50000\r\nAxxx";
    assert_memory_equal(heard, first, strlen(first));
    mem_free(heard);
    sim_peer_close(p);
    sim_peer_close(asks);
    kit_stop();
}

/* At 80 % of the memory for requests nobody would be read from, and no transaction could end. */
static void transactions_leave_memory_to_others(void **state)
{
    enum { CLIENTS = 3, EACH = 60, SIZE = 200 << 10 };
    static const char *const settings[] = {"memory.request-bytes", "16MiB", NULL};
    static uint8_t body[SIZE + 2];
    char head[64];
    struct sim_peer *p[CLIENTS];
    kit_start(*state, settings);
    int n = snprintf(head, sizeof(head), "*2\r\n$4\r\nECHO\r\n$%d\r\n", SIZE);
    body[SIZE] = '\r';
    body[SIZE + 1] = '\n';
    for (unsigned i = 0; i < CLIENTS; i++) {
        p[i] = kit_connect();
        kit_send(p[i], span_str("MULTI\r\n"), SIZE_MAX);
        for (unsigned k = 0; k < EACH; k++) {
            kit_send(p[i], span_of(head, (size_t)n), SIZE_MAX);
            kit_send(p[i], span_of(body, sizeof(body)), SIZE_MAX);
        }
        kit_run_ms(200);
    }
    unsigned refused = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        kit_send(p[i], span_str("EXEC\r\nPING\r\n"), SIZE_MAX);
        char *heard = kit_hear(p[i]);
        refused += strstr(heard, "-OOM command not allowed") && strstr(heard, "-EXECABORT");
        assert_string_equal(heard + strlen(heard) - 7, "+PONG\r\n");
        mem_free(heard);
        sim_peer_close(p[i]);
    }
    assert_int_equal(refused, CLIENTS);
    kit_stop();
}

static void errors_are_counted(void **state)
{
    kit_start(*state, NULL);
    struct metrics *m = kit_broker()->metrics;
    struct sim_peer *p = kit_connect();
    kit_send(p, span_str("PING\r\nFOO\r\nECHO\r\nAUTH a b\r\nSELECT x\r\n"), SIZE_MAX);
    mem_free(kit_hear(p));
    assert_int_equal(metrics_sum(m, METRIC_REDIS_COMMANDS, 0), 3);
    assert_int_equal(metrics_sum(m, METRIC_REDIS_ERRORS, 0), 4);
    assert_int_equal(metrics_sum(m, METRIC_REDIS_LOGINS_REFUSED, 0), 1);
    sim_peer_close(p);
    kit_stop();
}

/* ---- log lines ------------------------------------------------------------------------------------------
 */

static unsigned lines;
static char line[1200];

static void sink(enum say_level level, const char *component, const char *text)
{
    (void)level;
    if (strcmp(component, "redis") != 0)
        return;
    lines++;
    snprintf(line, sizeof(line), "%s", text);
}

/* One line for each connection, and few for all: clients decide how often. */
static void unknown_commands_are_logged_once(void **state)
{
    kit_start(*state, NULL);
    say_init(sink, SAY_WARN);
    lines = 0;
    struct sim_peer *p = kit_connect();
    kit_send(p, span_str("\"GE\\x01T\\n\" a\r\nSET a b\r\n"), SIZE_MAX);
    mem_free(kit_hear(p));
    sim_peer_close(p);
    assert_int_equal(lines, 1);
    assert_non_null(strstr(line, "command=\"GE\\x01T\\x0a\""));
    assert_non_null(strstr(line, "Colobus serves publish and subscribe only"));
    lines = 0;
    kit_run_ms(1000);
    for (unsigned i = 0; i < 100; i++) {
        p = kit_connect();
        kit_send(p, span_str("SET a b\r\nAUTH x y\r\n"), SIZE_MAX);
        kit_run_ms(5);
        sim_peer_close(p);
    }
    say_init(NULL, SAY_ERROR);
    assert_in_range(lines, 2, 70);
    kit_stop();
}

/* ---- clients that go ------------------------------------------------------------------------------------
 */

/* A client may go while its login is on its way. */
static void clients_may_go_at_any_time(void **state)
{
    kit_start(*state, NULL);
    for (unsigned ms = 0; ms < 10; ms++) {
        struct sim_peer *p = kit_connect();
        kit_send(p, span_str("MULTI\r\nAUTH guest guest\r\nAUTH x y\r\nEXEC\r\nAUTH guest wrong\r\n"),
                 SIZE_MAX);
        kit_run_ms(ms / 2);
        sim_peer_close(p);
    }
    kit_run_ms(100);
    kit_stop();
}

#define BOTH(test)                                                                                           \
    {#test " (1 shard)", test, NULL, NULL, (void *)(uintptr_t) "1"},                                         \
    {                                                                                                        \
#test " (3 shards)", test, NULL, NULL, (void *)(uintptr_t) "3"                                       \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(answers_are_those_of_redis),
        BOTH(subscribers_are_answered_in_order),
        BOTH(who_must_log_in_does_so_first),
        BOTH(who_does_not_log_in_is_cut),
        BOTH(nobody_gets_more_time_by_starting_over),
        BOTH(a_virtual_host_that_is_not_there_is_said_so),
        BOTH(a_virtual_host_comes_and_goes),
        BOTH(a_large_argument_comes_back),
        BOTH(who_does_not_read_is_not_read_from),
        BOTH(transactions_of_any_size_run_in_order),
        BOTH(channels_are_not_listed_when_there_is_no_room_for_the_answer),
        BOTH(transactions_leave_memory_to_others),
        BOTH(errors_are_counted),
        BOTH(unknown_commands_are_logged_once),
        BOTH(clients_may_go_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
