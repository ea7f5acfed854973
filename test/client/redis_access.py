"""Who may do what over Redis's protocol, in bytes: AUTH and HELLO with users of the broker, NOAUTH, NOPERM, and TLS."""

import contextlib
import os
import ssl
import time

from harness.control import Control
from harness.scenario import Skip, equal, eventually, main, scenario, true
from harness.tls import Authority
from redis_users import EVERYTHING, a_user
from redis_wire import (OK, PONG, QUEUED, RESET, Gone, Redis, array, bulk, command, error, integer, server, still_serves, strings, told)

WRONGPASS = error("WRONGPASS invalid username-password pair or user is disabled.")
NOAUTH = error("NOAUTH Authentication required.")


@contextlib.contextmanager
def login_needed(ctx):
    """Nobody may do anything without; yields somebody's name and password."""
    if ctx.external:
        with server(ctx) as conn:
            conn.answers(OK, "CONFIG", "SET", "requirepass", "sesame")
            try:
                yield "default", "sesame"
            finally:
                conn.answers(OK, "CONFIG", "SET", "requirepass", "")
        return
    with Control().restarted(anonymous="none"):
        yield "guest", "guest"


@scenario("AUTH with a user's name and password, and without")
def auth(ctx):
    with a_user(ctx) as name, server(ctx) as conn:
        conn.answers(bulk("default"), "ACL", "WHOAMI")
        for words in ((name, "wrong"), (name, ""), ("nobody", "secret"), (name + "x", "secret"), ("", "secret"), (b"\x00\xff", b"\xff\x00")):
            conn.answers(WRONGPASS, "AUTH", *words)
        conn.answers(bulk("default"), "ACL", "WHOAMI")
        conn.answers(error("ERR wrong number of arguments for 'auth' command"), "AUTH")
        conn.answers(error("ERR syntax error"), "AUTH", "a", "b", "c")
        conn.answers(error("ERR AUTH <password> called without any password configured for the default user. Are you sure your "
                           "configuration is correct?"), "AUTH", "secret")
        conn.answers(OK, "AUTH", name, "secret")
        conn.answers(bulk(name), "ACL", "WHOAMI")
        true(f" user={name} ".encode() in conn.ask("CLIENT", "INFO"), "in CLIENT INFO")
        conn.answers(WRONGPASS, "AUTH", name, "wrong")
        conn.answers(bulk(name), "ACL", "WHOAMI")  # one stays who one was
        conn.answers(RESET, "RESET")
        conn.answers(bulk("default"), "ACL", "WHOAMI")


@scenario("HELLO with AUTH: who is refused stays with RESP2 and without a name")
def hello(ctx):
    with a_user(ctx) as name, server(ctx) as conn:
        conn.answers(WRONGPASS, "HELLO", 3, "AUTH", name, "wrong")
        equal(conn.ask("HELLO")[5], 2, "RESP2 still")
        conn.hello(3, "AUTH", name, "secret", "SETNAME", "me")
        conn.answers(bulk("me"), "CLIENT", "GETNAME")
        conn.answers(bulk(name), "ACL", "WHOAMI")
        conn.answers(WRONGPASS, "HELLO", 2, "AUTH", name, "wrong")
        conn.answers(bulk(name), "ACL", "WHOAMI")


@scenario("commands that come behind an AUTH wait for its outcome")
def pipelined(ctx):
    with a_user(ctx) as name, server(ctx) as conn:
        channel = ctx.name()
        conn.send_raw(command("AUTH", name, "secret") + command("ACL", "WHOAMI") + command("AUTH", name, "wrong") + command("ECHO", "x")
                      + command("HELLO", 3, "AUTH", name, "secret")[:20])
        conn.comes(OK + bulk(name) + WRONGPASS + bulk("x"))
        conn.send_raw(command("HELLO", 3, "AUTH", name, "secret")[20:] + command("SUBSCRIBE", channel))
        equal(conn.read()[b"proto"], 3, "proto")
        conn.comes(told("subscribe", channel, 1, 3))


@scenario("AUTH between MULTI and EXEC")
def in_multi(ctx):
    with a_user(ctx) as name, server(ctx) as conn:
        conn.send_raw(command("MULTI") + command("ACL", "WHOAMI") + command("AUTH", name, "wrong") + command("AUTH", name, "secret")
                      + command("ACL", "WHOAMI") + command("EXEC") + command("ACL", "WHOAMI"))
        conn.comes(OK + QUEUED * 4 + array(bulk("default"), WRONGPASS, OK, bulk(name)) + bulk(name))


@scenario("a client that goes while its password is looked at does no harm")
def gone(ctx):
    with a_user(ctx) as name:
        for _ in range(20):
            with server(ctx) as conn:
                conn.send("AUTH", name, "secret")
        with server(ctx) as conn:
            conn.send_raw(command("AUTH", name, "secret") + command("SUBSCRIBE", ctx.name()) + command("QUIT"))
        still_serves(ctx)


@scenario("without a login, where one is needed: NOAUTH for everything but AUTH, HELLO, RESET and QUIT", timeout=60)
def noauth(ctx):
    with login_needed(ctx) as (name, password), server(ctx) as mute:
        began = time.monotonic()
        with server(ctx) as conn:
            for words in ("PING", "ECHO x", "PUBLISH a b", "SUBSCRIBE a", "PSUBSCRIBE a", "SSUBSCRIBE a", "UNSUBSCRIBE", "PUBSUB CHANNELS", "MULTI",
                          "CLIENT ID", "CLIENT SETNAME x", "CONFIG GET *", "INFO", "COMMAND", "SELECT 0", "ACL WHOAMI"):
                conn.answers(NOAUTH, *words.split())
            conn.answers(error("ERR unknown command 'NONSENSE', with args beginning with: "), "NONSENSE")
            conn.answers(error("ERR wrong number of arguments for 'publish' command"), "PUBLISH", "a")
            for words in (("HELLO",), ("HELLO", 3), ("HELLO", 3, "SETNAME", "x")):
                conn.send(*words)
                true(conn.line().startswith(b"-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "),
                     f"{words}")
            conn.answers(WRONGPASS, "AUTH", name, "wrong")
            conn.answers(WRONGPASS, "AUTH", "wrong")
            conn.answers(NOAUTH, "PING")
            conn.answers(RESET, "RESET")
            conn.answers(OK, "AUTH", name, password)
            conn.answers(PONG, "PING")
            conn.answers(WRONGPASS, "AUTH", name, "wrong")
            conn.answers(PONG, "PING")
            conn.answers(RESET, "RESET")
            conn.answers(NOAUTH, "PING")
            conn.hello(3, "AUTH", name, password)
            conn.answers(PONG, "PING")
            conn.answers(OK, "QUIT")
        for sent, text in ((b"*11\r\n$1\r\n", "unauthenticated multibulk length"), (b"*1\r\n$20000\r\n", "unauthenticated bulk length")):
            with server(ctx) as conn:
                conn.send_raw(sent)
                conn.ends(error(f"ERR Protocol error: {text}"))
        with server(ctx) as conn:
            conn.send("QUIT")
            conn.ends(OK)
        if not ctx.external:  # redis.handshake-timeout
            mute.ends()
            true(time.monotonic() - began >= float(os.environ["HANDSHAKE_S"]) - 0.2, "ended before its time")
    still_serves(ctx)


# ---- permissions

def noperm(conn, *words):
    conn.send(*words)
    line = conn.line()
    true(line.startswith(b"-NOPERM "), f"{words}: {line}")


@scenario("who may not write to amq.topic may not publish, who may not read from it may not subscribe")
def permissions(ctx):
    for may in ("write", "read"):
        with a_user(ctx, {**EVERYTHING, "write": "^$", "read": "^$", may: "^amq\\.topic$"}) as name, server(ctx) as conn:
            channel = ctx.name()
            conn.answers(OK, "AUTH", name, "secret")
            for words in (("PUBLISH", channel, "x"), ("SPUBLISH", channel, "x")):
                if may == "write":
                    conn.answers(integer(0), *words)
                else:
                    noperm(conn, *words)
            for count, verb in enumerate(("subscribe", "psubscribe"), 1):
                if may == "read":
                    conn.answers(told(verb, channel, count), verb, channel)
                else:
                    noperm(conn, verb, channel)


@scenario("a subscriber whose user is deleted hears nothing more")
def deleted(ctx):
    channel = ctx.name()
    with server(ctx) as other, server(ctx) as conn:
        with a_user(ctx) as name:
            conn.answers(OK, "AUTH", name, "secret")
            conn.answers(told("subscribe", channel, 1), "SUBSCRIBE", channel)
            other.publishes(1, channel, "before")
            conn.hears((channel, "before"))
        other.ask("PUBLISH", channel, "after")
        conn.ends()


@scenario("topic permissions decide about each channel, and about patterns as they are written")
def topics(ctx):
    with a_user(ctx, topics={"write": "^out\\.", "read": "^in\\."}) as name, server(ctx) as conn, server(ctx) as other:
        conn.hello(3, "AUTH", name, "secret")
        conn.answers(integer(0), "PUBLISH", "out.a", "x")
        for words in (("PUBLISH", "in.a", "x"), ("PUBLISH", "", "x"), ("SUBSCRIBE", "out.a"), ("PSUBSCRIBE", "*"), ("PSUBSCRIBE", "i*")):
            noperm(conn, *words)
        conn.answers(told("subscribe", "in.a", 1, 3), "SUBSCRIBE", "in.a")
        conn.answers(told("psubscribe", "in.*", 2, 3), "PSUBSCRIBE", "in.*")
        other.publishes(2, "in.a")
        other.publishes(0, "out.a")
        conn.read(), conn.read()
        conn.send_raw(command("MULTI") + command("PING") + command("PUBLISH", "in.a", "x"))
        conn.comes(OK + QUEUED)
        line = conn.line()  # Redis refuses at once; at the latest EXEC must
        conn.send("EXEC")
        outcome = conn.read()
        true(line.startswith(b"-NOPERM ") or "NOPERM" in repr(outcome), f"{line}, then {outcome!r}")
        conn.nothing_left()


@scenario("SUBSCRIBE to some channels that are not allowed subscribes to none of them")
def all_or_none(ctx):
    with a_user(ctx, topics={"write": "", "read": "^in\\."}) as name, server(ctx) as conn, server(ctx) as other:
        conn.answers(OK, "AUTH", name, "secret")
        run = ctx.name()
        noperm(conn, "SUBSCRIBE", f"in.{run}", "out.a", "in.b")
        other.publishes(0, f"in.{run}")
        conn.answers(PONG, "PING")


@scenario("a user without permissions in the virtual host is not let in")
def no_vhost(ctx):
    with a_user(ctx, {}) as name, server(ctx) as conn:
        conn.send("AUTH", name, "secret")
        line = conn.line()
        true(line.startswith((b"-WRONGPASS", b"-NOPERM")), f"{line}")
        conn.answers(bulk("default"), "ACL", "WHOAMI")


@scenario("what concerns others is for administrators: CLIENT LIST and KILL, CONFIG SET; what concerns oneself is not")
def administering(ctx):
    with a_user(ctx, tags="") as name, a_user(ctx, tags="administrator") as boss, server(ctx) as conn, server(ctx) as other:
        conn.hello(3, "AUTH", name, "secret")
        number = conn.ask("CLIENT", "ID")
        for words in (("CLIENT", "LIST"), ("CLIENT", "KILL", "ID", 1), ("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0")):
            noperm(conn, *words)
        true(f"id={number} ".encode() in conn.ask("CLIENT", "INFO"), "about itself")
        conn.answers(OK, "CLIENT", "SETNAME", "me")
        equal(conn.ask("CONFIG", "GET", "no-such-setting"), {}, "CONFIG GET")
        other.answers(OK, "AUTH", boss, "secret")
        true(f" user={name} ".encode() in other.ask("CLIENT", "LIST", "ID", number), "in the list")
        other.answers(integer(1), "CLIENT", "KILL", "ID", number)
        conn.ends()


# ---- TLS

def encrypted(conn, own=None):
    """The same connection under TLS, with a certificate of its own or without."""
    rules = ssl.create_default_context(cafile=Authority(os.environ["TLS_DIR"]).certificate)
    if own:
        rules.load_cert_chain(*own)
    conn.sock = rules.wrap_socket(conn.sock, server_hostname="localhost")
    return conn


@scenario("TLS: the same commands; messages go between plain and encrypted clients")
def tls(ctx):
    if "TLS_REDIS" not in os.environ:
        raise Skip("the broker has no listener with TLS")
    channel = ctx.name()
    with encrypted(Redis(os.environ["TLS_REDIS"])) as conn, server(ctx, 3) as other:
        conn.answers(PONG, "PING")
        conn.hello(3)
        conn.subscribed(channel)
        other.subscribed(channel)
        body = bytes(range(256)) * 4096
        other.answers(integer(2) + b">3\r\n" + bulk("message") + bulk(channel) + bulk(body), "PUBLISH", channel, body)
        conn.hears((channel, body))
        conn.send("PUBLISH", channel, "back")
        conn.comes(integer(2))
        conn.hears((channel, "back"))
        other.hears((channel, "back"))
        conn.send_raw(command("ECHO", "x") * 5000)
        conn.comes(bulk("x") * 5000)
    eventually(lambda: gone_from(ctx, channel), 5, "nobody hears it")
    with Redis(os.environ["TLS_REDIS"]) as plain:
        plain.send("PING")
        try:
            true(plain.take(1) != b"+", "an answer without TLS")
        except Gone:
            pass


@scenario("a client certificate in a user's name is a login")
def certificate(ctx):
    if "TLS_REDIS" not in os.environ:
        raise Skip("the broker has no listener with TLS")
    authority = Authority(os.environ["TLS_DIR"])
    with a_user(ctx) as name:
        for subject, who in ((name, name), ("nobody-of-that-name", "default")):
            with encrypted(Redis(os.environ["TLS_REDIS"]), authority.issue("redis", f"/CN={subject}")) as conn:
                conn.answers(bulk(who), "ACL", "WHOAMI")
                conn.answers(OK, "AUTH", "guest", "guest")
                conn.answers(bulk("guest"), "ACL", "WHOAMI")


def gone_from(ctx, channel):
    with server(ctx) as conn:
        return conn.ask("PUBLISH", channel, "") == 0


@scenario("strings that look like errors or pushes stay strings")
def harmless(ctx):
    with server(ctx, 3) as conn:
        conn.answers(bulk("-ERR no"), "ECHO", "-ERR no")
        conn.answers(OK, "CLIENT", "SETNAME", ">3")
        conn.answers(bulk(">3"), "CLIENT", "GETNAME")
        conn.answers(strings(), "PUBSUB", "CHANNELS", ctx.name())


if __name__ == "__main__":
    main("redis-access")
