"""The Redis connection in bytes: requests of every shape, protocol errors, HELLO, CLIENT, MULTI and what is refused, as
Redis 7 answers."""

import socket
import time

from harness.scenario import Skip, equal, eventually, main, scenario, true
from redis_wire import (NO_ARRAY, NONE, OK, PONG, QUEUED, RESET, Gone, array, bulk, command, error, integer, server,
                        still_serves, strings, told)

ONLY = "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"


def arity(name):
    return error(f"ERR wrong number of arguments for '{name}' command")


def each_answers(conn, *pairs):
    for words, wanted in pairs:
        conn.answers(wanted, *words.split(" "))


def dies(ctx, sent, *last_words):
    """These bytes end their connection, after these words, and no other connection."""
    with server(ctx) as conn:
        conn.send_raw(sent)
        conn.ends(b"".join(last_words))
    still_serves(ctx)


# ---- how commands come

@scenario("PING and ECHO, in any case; wrong numbers of arguments")
def ping(ctx):
    with server(ctx) as conn:
        each_answers(conn, ("PING", PONG), ("ping", PONG), ("PiNg hello", bulk("hello")), ("PING a b", arity("ping")),
                     ("ECHO x", bulk("x")), ("ECHO", arity("echo")), ("echo a b", arity("echo")), ("PING", PONG))
        conn.answers(bulk(b"\x00\r\n\xff"), "ECHO", b"\x00\r\n\xff")
        conn.answers(bulk(b""), "ECHO", b"")


@scenario("inline commands: spaces, quotes, escapes, bare newlines")
def inline(ctx):
    with server(ctx) as conn:
        for sent, wanted in ((b"PING\r\n", PONG), (b"PING\n", PONG), (b"  PING   a  \r\n", bulk("a")), (b"\r\n\n\r\nPING\n", PONG),
                             (b'ECHO "a\\x00b\\n \\"c\\""\r\n', bulk(b'a\x00b\n "c"')), (b"ECHO 'it\\'s \\n'\r\n", bulk("it's \\n")),
                             (b'ECHO ""\r\n', bulk("")), (b"ECHO a\tb\r\n", arity("echo")), (b'ECHO "\\t\\a\\q"\r\n', bulk(b"\t\aq")),
                             (b"FOO bar\r\n", error("ERR unknown command 'FOO', with args beginning with: 'bar' "))):
            conn.send_raw(sent)
            conn.comes(wanted, repr(sent))
        conn.send_raw(b"PING\r\n" + command("PING", "a") + b"ECHO b\n" + command("ECHO", "c"))
        conn.comes(PONG + bulk("a") + bulk("b") + bulk("c"), "both kinds in turn")


@scenario("empty commands are no commands")
def empty(ctx):
    with server(ctx) as conn:
        conn.send_raw(b"*0\r\n*-1\r\n*-10\r\n\r\n" + command("PING"))
        conn.comes(PONG)
        conn.silent()


@scenario("byte by byte, and all at once")
def cut(ctx):
    stream = (command("PING") + b"ECHO inline\r\n" + command("ECHO", b"\r\n$3\r\nx\x00") + command("MULTI") + command("ECHO", "a" * 300)
              + command("EXEC") + b"*0\r\n" + command("NONSENSE", "x"))
    wanted = (PONG + bulk("inline") + bulk(b"\r\n$3\r\nx\x00") + OK + QUEUED + array(bulk("a" * 300))
              + error("ERR unknown command 'NONSENSE', with args beginning with: 'x' "))
    with server(ctx) as conn:
        for at in range(len(stream)):
            conn.send_raw(stream[at:at + 1])
        conn.comes(wanted, "byte by byte")
        for step in (2, 3, 7, 64, len(stream)):
            for at in range(0, len(stream), step):
                conn.send_raw(stream[at:at + step])
            conn.comes(wanted, f"{step} at a time")


@scenario("10,000 commands in one go are answered in order")
def pipelined(ctx):
    with server(ctx) as conn:
        conn.send_raw(b"".join(command("ECHO", i) for i in range(10000)))
        conn.comes(b"".join(bulk(i) for i in range(10000)))


@scenario("an argument of 1 MiB, and a command of 1,000 arguments")
def large(ctx):
    body = bytes(range(256)) * 4096
    with server(ctx) as conn:
        conn.answers(bulk(body), "ECHO", body)
        conn.answers(arity("echo"), "ECHO", *range(1000))
        conn.answers(strings(*(x for i in range(999) for x in (i, ""))).replace(b"$0\r\n\r\n", b":0\r\n"), "PUBSUB", "NUMSUB", *range(999))


# ---- what ends the connection

@scenario("protocol errors are told, and end the connection")
def protocol_errors(ctx):
    def wrong(sent, text):
        dies(ctx, sent, error(f"ERR Protocol error: {text}"))
    wrong(b"*x\r\n", "invalid multibulk length")
    wrong(b"*99999999999999999999\r\n", "invalid multibulk length")
    wrong(b"*2147483648\r\n", "invalid multibulk length")
    wrong(b"*1\r\n+PING\r\n", "expected '$', got '+'")
    wrong(b"*2\r\n$4\r\nPING\r\nx\r\n", "expected '$', got 'x'")
    wrong(b"*1\r\n$x\r\n", "invalid bulk length")
    wrong(b"*1\r\n$-1\r\n", "invalid bulk length")
    wrong(b"*1\r\n$999999999\r\n", "invalid bulk length")
    wrong(b'ECHO "x\r\n', "unbalanced quotes in request")
    wrong(b'ECHO "x"y\r\n', "unbalanced quotes in request")
    wrong(b"ECHO 'x'y\r\n", "unbalanced quotes in request")


@scenario("heads and lines without an end are told to be too big")
def endless(ctx):
    for sent, text in ((b"A" * 66000, "too big inline request"), (b"*" + b"1" * 66000, "too big mbulk count string"),
                       (b"*1\r\n$" + b"1" * 66000, "too big bulk count string")):
        with server(ctx) as conn:
            conn.send_raw(sent)
            conn.comes(error(f"ERR Protocol error: {text}"))
    still_serves(ctx)


@scenario("what was asked before a protocol error is answered first")
def answered_before(ctx):
    dies(ctx, command("PING") + command("ECHO", "x") + b"*1\r\n!\r\n", PONG, bulk("x"),
         error("ERR Protocol error: expected '$', got '!'"))


@scenario("a browser that was tricked into speaking to Redis is cut off")
def http(ctx):
    for sent in (b"POST / HTTP/1.1\r\nPING\r\n", b"Host: localhost\r\nPING\r\n"):
        with server(ctx) as conn:
            conn.send_raw(sent)
            found = b""
            try:
                while True:
                    found += conn.take(1)
            except Gone:
                pass
            true(PONG not in found, f"it went on: {found}")
    still_serves(ctx)


@scenario("clients that go in the middle of a command, and garbage, do no harm")
def gone(ctx):
    for sent in (b"", b"*", b"*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$100\r\nabc", b"*1000\r\n" + b"$1\r\na\r\n" * 400, b"\x00" * 1000 + b"\n",
                 bytes(range(256)) * 40 + b"\r\n"):
        with server(ctx) as conn:
            conn.send_raw(sent)
    still_serves(ctx)


@scenario("QUIT: +OK, and the end; what follows is not heard")
def quits(ctx):
    dies(ctx, command("PING") + command("QUIT") + command("PING"), PONG, OK)
    dies(ctx, command("MULTI") + command("QUIT"), OK, OK)
    dies(ctx, command("SUBSCRIBE", "a") + command("quit"), told("subscribe", "a", 1), OK)


@scenario("a client that has shut its sending side still gets its answers")
def half_closed(ctx):
    with server(ctx) as conn:
        conn.send_raw(command("ECHO", "last"))
        conn.comes(bulk("last"))
        conn.send_raw(command("PING"))
        conn.sock.shutdown(socket.SHUT_WR)
        eventually(lambda: closed(conn), 5, "the end")
    still_serves(ctx)


def closed(conn):
    try:
        conn.more()
    except Gone:
        return True
    return False


# ---- HELLO, SELECT, RESET

@scenario("HELLO: what the server is, in RESP2 as a list and in RESP3 as a map")
def hello(ctx):
    with server(ctx) as conn:
        for version in (2, 3, 3, 2):
            conn.send("HELLO", version)
            found = conn.read()
            equal(isinstance(found, dict), version == 3, "a map in RESP3 only")
            if isinstance(found, list):
                found = dict(zip(found[::2], found[1::2]))
            equal(list(found), [b"server", b"version", b"proto", b"id", b"mode", b"role", b"modules"], "keys")
            equal((found[b"server"], found[b"mode"], found[b"role"], found[b"modules"]), (b"redis", b"standalone", b"master", []), "who")
            equal(found[b"proto"], version, "proto")
            true(found[b"version"].startswith(b"7."), f"version {found[b'version']}")
            equal(found[b"id"], conn.ask("CLIENT", "ID"), "id")
            conn.answers(NONE[version], "CLIENT", "GETNAME")
        equal(conn.ask("HELLO")[5], 2, "HELLO alone changes nothing")
        conn.hello(3)
        equal(conn.ask("HELLO")[b"proto"], 3, "HELLO alone changes nothing")


@scenario("HELLO with options, and what it refuses")
def hello_options(ctx):
    with server(ctx) as conn:
        each_answers(conn, ("HELLO 4", error("NOPROTO unsupported protocol version")),
                     ("HELLO 1", error("NOPROTO unsupported protocol version")),
                     ("HELLO x", error("ERR Protocol version is not an integer or out of range")),
                     ("HELLO 3 FOO", error("ERR Syntax error in HELLO option 'FOO'")),
                     ("HELLO 3 SETNAME", error("ERR Syntax error in HELLO option 'SETNAME'")),
                     ("HELLO 3 AUTH a", error("ERR Syntax error in HELLO option 'AUTH'")),
                     ("HELLO 3 SETNAME a b", error("ERR Syntax error in HELLO option 'b'")),
                     ("HELLO 3 AUTH nobody wrong", error("WRONGPASS invalid username-password pair or user is disabled.")))
        conn.answers(error("ERR Client names cannot contain spaces, newlines or special characters."), "HELLO", 3, "SETNAME", "a b")
        equal(conn.ask("HELLO")[5], 2, "it is RESP2 still")
        conn.hello(3, "SETNAME", "hello-name")
        conn.answers(bulk("hello-name"), "CLIENT", "GETNAME")


@scenario("SELECT: sixteen numbers that make no difference")
def select(ctx):
    with server(ctx) as conn, server(ctx) as other:
        each_answers(conn, ("SELECT 0", OK), ("SELECT 15", OK), ("SELECT 16", error("ERR DB index is out of range")),
                     ("SELECT -1", error("ERR DB index is out of range")),
                     ("SELECT x", error("ERR value is not an integer or out of range")))
        true(b" db=15 " in conn.ask("CLIENT", "INFO"), "database in CLIENT INFO")
        channel = ctx.name()
        conn.subscribed(channel)
        other.publishes(1, channel)


@scenario("RESET: RESP2, no subscriptions, no MULTI, no name, database 0, answers on")
def reset(ctx):
    with server(ctx) as conn, server(ctx) as other:
        channel = ctx.name()
        conn.hello(3)
        each_answers(conn, ("SELECT 3", OK), ("CLIENT SETNAME reset-me", OK), ("MULTI", OK), ("PING", QUEUED), ("RESET", RESET),
                     ("EXEC", error("ERR EXEC without MULTI")), ("CLIENT GETNAME", NONE[2]))
        conn.resp = 2
        true(b" db=0 " in conn.ask("CLIENT", "INFO"), "database")
        equal(conn.ask("HELLO")[5], 2, "proto")
        conn.subscribed(channel)
        conn.send("PSUBSCRIBE", channel + "*")
        conn.comes(told("psubscribe", channel + "*", 2))
        conn.subscribed(channel, verb="ssubscribe")
        other.publishes(2, channel)
        conn.answers(b"".join((b"*3\r\n", bulk("message"), bulk(channel), bulk("x"), b"*4\r\n", bulk("pmessage"), bulk(channel + "*"),
                               bulk(channel), bulk("x"), RESET)), "RESET")
        conn.answers(PONG, "PING")
        other.publishes(0, channel)
        other.answers(integer(0), "SPUBLISH", channel, "x")
        conn.send_raw(command("CLIENT", "REPLY", "OFF") + command("PING") + command("RESET") + command("PING"))
        conn.comes(RESET + PONG, "RESET after CLIENT REPLY OFF")


# ---- CLIENT

@scenario("CLIENT ID, SETNAME, GETNAME, INFO, LIST")
def client(ctx):
    with server(ctx) as conn, server(ctx) as other:
        mine, its = conn.ask("CLIENT", "ID"), other.ask("CLIENT", "ID")
        true(0 < mine and mine != its, f"ids {mine} and {its}")
        name = ctx.name("client")
        conn.answers(OK, "CLIENT", "SETNAME", name)
        conn.answers(bulk(name), "CLIENT", "GETNAME")
        each_answers(conn, ("CLIENT", arity("client")), ("CLIENT NONSENSE", error("ERR unknown subcommand 'NONSENSE'. Try CLIENT HELP.")),
                     ("CLIENT ID x", arity("client|id")))
        conn.answers(error("ERR Client names cannot contain spaces, newlines or special characters."), "CLIENT", "SETNAME", "a b")
        conn.answers(bulk(name), "CLIENT", "GETNAME")
        info = fields(conn.ask("CLIENT", "INFO"))
        port = conn.sock.getsockname()[1]
        equal((info["id"], info["addr"], info["laddr"], info["name"], info["cmd"], info["user"], info["resp"], info["multi"], info["sub"]),
              (str(mine), f"127.0.0.1:{port}", ctx.bootstrap, name, "client|info", "default", "2", "-1", "0"), "CLIENT INFO")
        conn.hello(3)
        listed = {line["id"]: line for line in map(fields, other.ask("CLIENT", "LIST").splitlines())}
        equal((listed[str(mine)]["name"], listed[str(mine)]["resp"]), (name, "3"), "seen by another")
        true(str(its) in listed, "itself")
        equal([fields(line)["name"] for line in other.ask("CLIENT", "LIST", "ID", mine).splitlines()], [name], "by id")
        conn.answers(OK, "CLIENT", "SETNAME", "")
        conn.answers(NONE[3], "CLIENT", "GETNAME")


def fields(line):
    return dict(pair.split("=", 1) for pair in line.decode().split())


@scenario("CLIENT LIST says who has subscribed to how much")
def client_counts(ctx):
    with server(ctx) as conn, server(ctx) as other:
        me = conn.ask("CLIENT", "ID")
        a, b = ctx.name(), ctx.name()
        conn.subscribed(a, b)
        conn.answers(told("psubscribe", a + "*", 3), "PSUBSCRIBE", a + "*")
        found = fields(other.ask("CLIENT", "LIST", "ID", me))
        equal((found["sub"], found["psub"], "P" in found["flags"]), ("2", "1", True), "counts")


@scenario("CLIENT KILL: by id, by address; the connection is closed and its subscriptions gone")
def client_kill(ctx):
    with server(ctx) as conn:
        each_answers(conn, ("CLIENT KILL 127.0.0.1:1", error("ERR No such client")), ("CLIENT KILL ID 99999999", integer(0)),
                     ("CLIENT KILL ID x", error("ERR client-id should be greater than 0")), ("CLIENT KILL FOO x", error("ERR syntax error")))
        channel = ctx.name()
        for how in ("ID", "ADDR", "old"):
            with server(ctx) as victim:
                number = victim.ask("CLIENT", "ID")
                host, port = victim.sock.getsockname()
                victim.subscribed(channel)
                conn.publishes(1, channel, how)
                if how == "old":
                    conn.answers(OK, "CLIENT", "KILL", f"{host}:{port}")
                else:
                    conn.answers(integer(1), "CLIENT", "KILL", how, number if how == "ID" else f"{host}:{port}")
                victim.hears((channel, how))
                victim.ends()
            eventually(lambda: conn.ask("PUBLISH", channel, "") == 0, 5, "nobody hears it")


@scenario("CLIENT REPLY: OFF, SKIP, ON")
def client_reply(ctx):
    with server(ctx) as conn:
        conn.answers(OK, "CLIENT", "REPLY", "ON")
        conn.answers(error("ERR syntax error"), "CLIENT", "REPLY", "FOO")
        conn.send_raw(command("CLIENT", "REPLY", "SKIP") + command("ECHO", "a") + command("ECHO", "b"))
        conn.comes(bulk("b"), "the one after the one that is skipped")
        conn.send_raw(command("CLIENT", "REPLY", "OFF") + command("ECHO", "a") + command("NONSENSE") + command("MULTI")
                      + command("ECHO", "b") + command("EXEC") + command("CLIENT", "REPLY", "ON") + command("ECHO", "c"))
        conn.comes(OK + bulk("c"), "ON, and what follows")
        conn.silent()


@scenario("what client libraries send when they connect is answered, or refused without harm")
def greetings(ctx):
    with server(ctx) as conn:
        for words in ("CLIENT SETINFO LIB-NAME test", "CLIENT SETINFO LIB-VER 1.0", "CLIENT MAINT_NOTIFICATIONS ON", "CLIENT NO-TOUCH ON",
                      "CLIENT NO-EVICT ON", "CLIENT TRACKING OFF", "COMMAND", "COMMAND COUNT", "COMMAND DOCS", "COMMAND INFO publish",
                      "INFO", "INFO server", "READONLY", "CLUSTER INFO", "CLUSTER SLOTS", "CONFIG GET *", "SENTINEL MASTERS", "ROLE",
                      "ACL WHOAMI", "DBSIZE", "TIME", "WAIT 0 0", "LASTSAVE"):
            conn.send(*words.split())
            conn.read()
            conn.nothing_left(words)
        if not ctx.external:  # 7.2
            each_answers(conn, ("CLIENT SETINFO LIB-NAME some-lib", OK), ("CLIENT SETINFO LIB-VER 1.2.3", OK))
            info = fields(conn.ask("CLIENT", "INFO"))
            equal((info["lib-name"], info["lib-ver"]), ("some-lib", "1.2.3"), "in CLIENT INFO")


@scenario("INFO, TIME, ROLE, DBSIZE, CONFIG GET say what libraries look for")
def info(ctx):
    with server(ctx) as conn:
        text = conn.ask("INFO").decode()
        values = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        true(values["redis_version"].startswith("7."), "redis_version")
        equal((values["redis_mode"], values["loading"], values["role"]), ("standalone", "0", "master"), "INFO")
        true(int(values["connected_clients"]) >= 1, "connected_clients")
        one = conn.ask("INFO", "SERVER").decode()
        true("redis_version:" in one and "connected_clients:" not in one, "one section")
        seconds, micros = conn.ask("TIME")
        true(abs(int(seconds) - time.time()) < 5 and 0 <= int(micros) < 1000000, "TIME")
        equal(conn.ask("ROLE")[0], b"master", "ROLE")
        conn.answers(integer(0), "DBSIZE")
        conn.answers(bulk("default"), "ACL", "WHOAMI")
        conn.answers(strings("notify-keyspace-events", ""), "CONFIG", "GET", "notify-keyspace-events")
        name, limit = conn.ask("CONFIG", "GET", "client-output-buffer-limit")
        true(limit.endswith(b"pubsub 33554432 8388608 60"), f"limits {limit}")
        conn.answers(array(), "CONFIG", "GET", "no-such-setting")
        conn.hello(3)
        equal(conn.ask("CONFIG", "GET", "no-such-setting"), {}, "a map in RESP3")
        for words in (("INFO", "server"), ("CLIENT", "LIST"), ("CLIENT", "INFO")):
            conn.send(*words)
            equal(conn.take(1), b"=", "a verbatim string in RESP3")
            conn.buffer[:0] = b"="
            conn.read()
            conn.nothing_left()


@scenario("COMMAND INFO, COUNT, DOCS and LIST know the commands of publish and subscribe")
def commands(ctx):
    with server(ctx) as conn:
        publish, none = conn.ask("COMMAND", "INFO", "publish", "nonsense")
        equal((publish[0], publish[1], none), (b"publish", 3, None), "name and arity")
        true({b"pubsub", b"fast"} <= set(publish[2]), f"flags {publish[2]}")
        names = {b"subscribe", b"unsubscribe", b"psubscribe", b"punsubscribe", b"ssubscribe", b"sunsubscribe", b"publish", b"spublish",
                 b"pubsub", b"multi", b"exec", b"ping", b"hello", b"auth", b"client"}
        every = conn.ask("COMMAND")
        true(names <= {one[0] for one in every}, f"missing {names - {one[0] for one in every}}")
        equal(len(every), conn.ask("COMMAND", "COUNT"), "COUNT")
        true(names <= set(conn.ask("COMMAND", "LIST")), "LIST")
        conn.hello(3)
        docs = conn.ask("COMMAND", "DOCS", "publish")
        true(b"summary" in docs[b"publish"] and b"since" in docs[b"publish"], f"docs {docs}")


# ---- what is not there

@scenario("unknown commands: Redis's words, and the connection goes on")
def unknown(ctx):
    with server(ctx) as conn:
        for words, beginning in ((["NONSENSE"], ""), (["nonsense", "a", "b"], "'a' 'b' "), (["NONSENSE", *["x" * 20] * 10], None)):
            text = beginning if beginning is not None else ("'" + "x" * 20 + "' ") * 5 + "'" + "x" * 13 + "' "  # of 128 bytes
            conn.answers(error(f"ERR unknown command '{words[0]}', with args beginning with: {text}"), *words)
        conn.answers(error("ERR unknown command '" + "N" * 128 + "', with args beginning with: "), "N" * 500)
        conn.answers(error("ERR unknown command 'A  B', with args beginning with: 'c  d' "), "A\r\nB", "c\r\nd")
        conn.answers(PONG, "PING")


@scenario("keys and values are not served: each such command is unknown, and its client goes on")
def not_served(ctx):
    if ctx.external:
        raise Skip("Redis has them")
    with server(ctx) as conn:
        for words in ("GET k", "SET k v", "DEL k", "LPUSH k v", "XADD s * a b", "EVAL return 0", "KEYS *", "FLUSHALL", "SCAN 0"):
            name, *rest = words.split()
            conn.answers(error(f"ERR unknown command '{name}', with args beginning with: " + "".join(f"'{x}' " for x in rest)), name, *rest)
        conn.answers(PONG, "PING")


# ---- MULTI

@scenario("MULTI, EXEC, DISCARD: queued, run together, thrown away")
def multi(ctx):
    with server(ctx) as conn:
        each_answers(conn, ("EXEC", error("ERR EXEC without MULTI")), ("DISCARD", error("ERR DISCARD without MULTI")),
                     ("MULTI", OK), ("EXEC", array()), ("MULTI", OK), ("MULTI", error("ERR MULTI calls can not be nested")),
                     ("PING", QUEUED), ("ECHO x", QUEUED), ("SELECT 99", QUEUED), ("PING y", QUEUED),
                     ("EXEC", array(PONG, bulk("x"), error("ERR DB index is out of range"), bulk("y"))),
                     ("EXEC", error("ERR EXEC without MULTI")),
                     ("MULTI", OK), ("PING", QUEUED), ("DISCARD", OK), ("EXEC", error("ERR EXEC without MULTI")), ("PING", PONG))


@scenario("an error while commands are queued makes EXEC refuse")
def multi_refused(ctx):
    with server(ctx) as conn:
        for bad, text in (("NONSENSE", error("ERR unknown command 'NONSENSE', with args beginning with: ")), ("PUBLISH a", arity("publish")),
                          ("CLIENT NONSENSE", error("ERR unknown subcommand 'NONSENSE'. Try CLIENT HELP."))):
            each_answers(conn, ("MULTI", OK), ("PING", QUEUED), (bad, text), ("PING", QUEUED),
                         ("EXEC", error("EXECABORT Transaction discarded because of previous errors.")), ("PING", PONG))
        each_answers(conn, ("MULTI", OK), ("WATCH a", error("ERR WATCH inside MULTI is not allowed")), ("PING", QUEUED),
                     ("EXEC", array(PONG)))


@scenario("WATCH and UNWATCH: nothing ever changes")
def watch(ctx):
    with server(ctx) as conn:
        each_answers(conn, ("WATCH a b", OK), ("MULTI", OK), ("PING", QUEUED), ("EXEC", array(PONG)), ("WATCH a", OK), ("UNWATCH", OK),
                     ("WATCH", arity("watch")))


@scenario("publishes of a transaction come when it is executed, in order, together")
def multi_publish(ctx):
    channel = ctx.name()
    with server(ctx) as conn, server(ctx) as other:
        conn.subscribed(channel)
        other.send_raw(command("MULTI") + b"".join(command("PUBLISH", channel, i) for i in range(100)))
        other.comes(OK + QUEUED * 100)
        conn.silent()
        other.answers(array(*[integer(1)] * 100), "EXEC")
        conn.hears(*((channel, i) for i in range(100)))
        other.send_raw(command("MULTI") + command("PUBLISH", channel, "never") + command("DISCARD") + command("PUBLISH", channel, "now"))
        other.comes(OK + QUEUED + OK + integer(1))
        conn.hears((channel, "now"))


@scenario("a transaction of 10,000 commands, in one go")
def multi_large(ctx):
    with server(ctx) as conn:
        conn.send_raw(command("MULTI") + command("ECHO", "x" * 100) * 10000 + command("EXEC"))
        conn.comes(OK + QUEUED * 10000 + array(*[bulk("x" * 100)] * 10000))


@scenario("RESET and HELLO between MULTI and EXEC")
def multi_reset(ctx):
    with server(ctx) as conn:
        each_answers(conn, ("MULTI", OK), ("HELLO 3", QUEUED), ("CLIENT GETNAME", QUEUED), ("RESET", RESET),
                     ("EXEC", error("ERR EXEC without MULTI")))
        equal(NO_ARRAY[2], b"*-1\r\n", "as RESP2 has it")


@scenario("RESP2 clients that have subscribed may do little else")
def restricted(ctx):
    channel = ctx.name()

    def refused(name):
        return error(f"ERR Can't execute '{name}': {ONLY}")
    with server(ctx) as conn:
        conn.subscribed(channel)
        each_answers(conn, ("PUBLISH a b", refused("publish")), ("publish a b", refused("publish")), ("HELLO 3", refused("hello")),
                     ("CLIENT ID", refused("client|id")), ("PUBSUB CHANNELS", refused("pubsub|channels")), ("ECHO x", refused("echo")),
                     ("MULTI", refused("multi")), ("AUTH a b", refused("auth")), ("SELECT 0", refused("select")),
                     ("NONSENSE", error("ERR unknown command 'NONSENSE', with args beginning with: ")), ("ECHO", arity("echo")),
                     ("PING", strings("pong", "")), ("PING x", strings("pong", "x")), ("PING x y", arity("ping")),
                     (f"UNSUBSCRIBE {channel}", told("unsubscribe", channel, 0)), ("ECHO x", bulk("x")), ("PING", PONG))
        for verb in ("p", "s"):  # patterns and shards count, too
            conn.subscribed(channel, verb=verb + "subscribe")
            each_answers(conn, ("ECHO x", refused("echo")), (f"{verb}UNSUBSCRIBE {channel}", told(f"{verb}unsubscribe", channel, 0)),
                         ("ECHO x", bulk("x")))


if __name__ == "__main__":
    main("redis-raw")
