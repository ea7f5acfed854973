"""What an operator sees of publish and subscribe: /api/subscriptions, the command line, the page, connections, metrics. The
subscribers are Redis's, byte by byte."""

import base64
import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from harness.broker import http_get
from harness.scenario import Skip, equal, eventually, main, raises, scenario, true
from redis_wire import OK, Failure, Gone, server


def told(ctx, **query):
    if not ctx.http:
        raise Skip("needs a broker of ours")
    status, text = http_get(ctx.http, "/api/subscriptions?" + urllib.parse.urlencode(query))
    equal(status, 200, text)
    return json.loads(text)


def change(ctx, method, path, body=None):
    request = urllib.request.Request(f"http://{ctx.http}/api{path}", method=method, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.status


def rows(ctx, **query):
    return [(row["kind"], row["name"], row["subscriptions"]) for row in told(ctx, **query)["subscriptions"]]


def metrics(ctx):
    if not ctx.http:
        raise Skip("needs a broker of ours")
    found = (line.split() for line in http_get(ctx.http, "/metrics")[1].splitlines() if line.startswith(("colobus_pubsub_", "colobus_redis_")))
    return {name.removeprefix("colobus_"): int(value) for name, value in found}


def as_user(ctx, user, path):
    """(status, text) of what a user with the password "secret" is told."""
    request = urllib.request.Request(f"http://{ctx.http}{path}")
    request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:secret".encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def connections(ctx, name):
    return [one for one in json.loads(http_get(ctx.http, "/api/connections")[1]) if one.get("user_provided_name") == name]


# ---- what is listened to

@scenario("channels, patterns and sharded channels are told with their subscriptions, wherever subscribers are connected")
def kinds(ctx):
    stem = ctx.name("s")
    equal(rows(ctx, pattern=stem + "*"), [], "nobody listens")
    with server(ctx) as a, server(ctx, 3) as b, server(ctx) as c:
        a.subscribed(stem, stem + ".a").subscribed(stem + ".*", verb="psubscribe", before=2)
        b.subscribed(stem, stem + ".b").subscribed(stem, verb="ssubscribe")
        c.subscribed(stem + ".b", stem)
        wanted = [("channel", stem, 3), ("channel", stem + ".b", 2), ("channel", stem + ".a", 1), ("pattern", stem + ".*", 1),
                  ("shard-channel", stem, 1)]
        for _ in range(4):  # each is another connection, so another shard is asked
            equal(rows(ctx, pattern=stem + "*"), wanted, "rows")
        equal(rows(ctx, pattern=stem + "*", vhost="/"), wanted, "of the virtual host")
        equal(rows(ctx, pattern=stem + ".[^b]"), [("channel", stem + ".a", 1), ("pattern", stem + ".*", 1)], "of a pattern")
        found = told(ctx, pattern=stem + "*", limit=2)
        equal(([row["name"] for row in found["subscriptions"]], found["more"]), ([stem, stem + ".b", stem + ".*", stem], 1), "limited")
        true(found["totals"]["subscriptions"] >= 8, "totals")
    eventually(lambda: rows(ctx, pattern=stem + "*") == [], 5, "they are gone with their connections")
    equal(http_get(ctx.http, "/api/subscriptions?vhost=none-of-these")[0], 404, "no virtual host")
    equal(http_get(ctx.http, "/api/subscriptions?limit=none")[0], 400, "no number")


@scenario("names may be any bytes and of any length, and many")
def names(ctx):
    stem = ctx.name("s")
    odd = stem.encode() + b"\xff\x00\x1b[31m<script>&\r\n"
    with server(ctx) as conn, server(ctx) as other:
        conn.subscribed(odd)
        row, = told(ctx, pattern=stem + "*")["subscriptions"]
        equal(row["name"], stem + r"\xff\x00\x1b[31m<script>&\x0d\x0a", "shown")
        equal(base64.b64decode(row["name_base64"]), odd, "exact")
        page = http_get(ctx.http, "/")[1]
        true("<script" not in page and "\x1b" not in page, "the page is safe")
        text = colobus(ctx, "subscription", "list", "--pattern", stem + "*")
        true("\x1b" not in text and "\0" not in text and "<script>" in text, text)
        conn.answers(b"*3\r\n$11\r\nunsubscribe\r\n$%d\r\n%s\r\n:0\r\n" % (len(odd), odd), "UNSUBSCRIBE")
        long = stem + "é" * 30000
        conn.subscribed(long)
        row, = told(ctx, pattern=stem + "*")["subscriptions"]
        true(long.startswith(row["name"]) and 500 < len(row["name"].encode()) <= 512, "the beginning of it")
        equal((row["name_bytes"], "name_base64" in row), (len(long.encode()), False), "its length")
        many = [f"{stem}.{i:05}" for i in range(25000)]
        other.send("SUBSCRIBE", *many)
        while not other.buffer.endswith(b"\r\n:%d\r\n" % len(many)):
            other.more()
        found = told(ctx, pattern=stem + ".*", limit=10000)
        equal(([row["name"] for row in found["subscriptions"]], found["more"]), (many[:10000], 15000), "the first of many")
        page = http_get(ctx.http, "/")[1]
        true(len(page) < 300000 and " more: " in page, f"the page is bounded: {len(page)}")


def colobus(ctx, *args):
    if ctx.pid is None or not ctx.http:
        raise Skip("needs a broker of ours")
    done = subprocess.run([os.readlink(f"/proc/{ctx.pid}/exe"), *args, "--broker", ctx.http], capture_output=True,
                          text=True, timeout=30, check=False)
    equal((done.returncode, done.stderr), (0, ""), " ".join(args))
    return done.stdout


@scenario("the command line lists them")
def command_line(ctx):
    stem = ctx.name("s")
    with server(ctx) as a, server(ctx) as b:
        a.subscribed(stem, stem + ".x").subscribed(stem + "*", verb="psubscribe", before=2)
        b.subscribed(stem)
        lines = [line.split() for line in colobus(ctx, "subscription", "list", "--pattern", stem + "*").splitlines()]
        equal(lines, [["VHOST", "KIND", "SUBSCRIPTIONS", "NAME"], ["/", "channel", "2", stem], ["/", "channel", "1", stem + ".x"],
                      ["/", "pattern", "1", stem + "*"]], "table")
        true("and 1 more" in colobus(ctx, "subscription", "list", "--pattern", stem + "*", "--limit", "1"), "limited")
        equal(len(json.loads(colobus(ctx, "subscription", "list", "--pattern", stem + "*", "--json"))["subscriptions"]), 3, "JSON")


@scenario("who may not enter the virtual host sees nothing of it")
def who_sees(ctx):
    stem, user = ctx.name("s"), ctx.name("user")
    equal(rows(ctx, pattern=stem), [], "nothing yet")
    equal(change(ctx, "PUT", f"/users/{user}", {"password": "secret", "tags": "management"}), 201, "user")
    try:
        with server(ctx) as conn:
            conn.subscribed(stem)
            equal(json.loads(as_user(ctx, user, "/api/subscriptions")[1])["subscriptions"], [], "of all that it sees")
            equal(as_user(ctx, user, "/api/subscriptions?vhost=/")[0], 404, "of the virtual host")
            true(stem not in as_user(ctx, user, "/")[1], "nor does the page say it")
            equal(json.loads(as_user(ctx, user, "/api/connections")[1]), [], "nor who is connected")
            change(ctx, "PUT", f"/permissions/%2F/{user}", {"configure": "", "write": "", "read": ""})
            status, text = as_user(ctx, user, f"/api/subscriptions?vhost=/&pattern={stem}")
            equal((status, [row["name"] for row in json.loads(text)["subscriptions"]]), (200, [stem]), "once it may enter")
            true(stem in as_user(ctx, user, "/")[1], "so does the page")
    finally:
        change(ctx, "DELETE", f"/users/{user}")


# ---- who is connected

@scenario("Redis's connections are told with those of AMQP, and closed")
def connected(ctx):
    name = ctx.name("c")
    if not ctx.http:
        raise Skip("needs a broker of ours")
    with server(ctx, 3) as conn:
        conn.answers(OK, "CLIENT", "SETNAME", name)
        conn.answers(OK, "CLIENT", "SETINFO", "lib-name", "mine")
        conn.subscribed(name, name + ".2")
        one, = connections(ctx, name)
        mine = conn.sock.getsockname()
        equal((one["protocol"], one["vhost"], one["peer_host"], one["peer_port"], one["subscriptions"], one["unread_bytes"], one["client_properties"]),
              ("Redis RESP3", "/", mine[0], mine[1], 2, 0, {"product": "mine"}), "connection")
        true(one["recv_oct"] > 0 and one["send_oct"] > 0, "bytes")
        path = "/connections/" + urllib.parse.quote(one["name"], safe="")
        equal(json.loads(http_get(ctx.http, "/api" + path)[1])["user_provided_name"], name, "by its name")
        equal(change(ctx, "DELETE", path), 204, "closed")
        raises(Gone, conn.more)
    equal(connections(ctx, name), [], "gone")


# ---- figures

@scenario("every metric of publish and subscribe counts what it says", timeout=60)
def counts(ctx):
    name = ctx.name("m")
    before = metrics(ctx)

    def grew(**wanted):
        def differences():
            now = metrics(ctx)
            return {key: now[key] - before[key] for key in wanted}
        eventually(lambda: differences() == wanted, 5, f"{differences()}, wanted {wanted}")

    with server(ctx) as a, server(ctx) as b, server(ctx) as admin:
        grew(redis_clients=3, redis_clients_total=3)
        a.subscribed(name).subscribed(name + "*", verb="psubscribe", before=1)
        b.subscribed(name).subscribed(name, verb="ssubscribe")
        grew(pubsub_subscriptions=4, redis_commands_total=4, pubsub_published_total=0)
        admin.publishes(3, name)
        admin.publishes(0, "nobody-" + name)
        admin.answers(b":1\r\n", "SPUBLISH", name, "x")
        grew(pubsub_published_total=3, pubsub_delivered_total=4, redis_commands_total=7, redis_errors_total=0)
        for words in (("GET", "x"), ("PUBLISH", "x"), ("CLIENT", "NONE")):
            raises(Failure, admin.ask, *words)
        grew(redis_errors_total=3)
        raises(Failure, admin.ask, "AUTH", "nobody-" + name, "x")
        grew(redis_errors_total=4, redis_refused_logins_total=1)
    grew(redis_clients=0, redis_clients_total=3, pubsub_subscriptions=0)


@scenario("messages that cannot go to an exchange are counted, and so are subscribers that do not read", timeout=60)
def losses(ctx):
    name, body = ctx.name("m"), b"x" * 100000
    before = metrics(ctx)
    long = name + "k" * 255
    equal(change(ctx, "PUT", f"/queues/%2F/{name}", {"durable": False}), 201, "queue")
    try:
        equal(change(ctx, "POST", f"/bindings/%2F/e/amq.topic/q/{name}", {"routing_key": "#"}), 201, "binding")
        with server(ctx) as conn, server(ctx) as hears:
            hears.subscribed(long)
            conn.publishes(1, long)
            equal(metrics(ctx)["pubsub_skipped_total"] - before["pubsub_skipped_total"], 1, "skipped")
    finally:
        change(ctx, "DELETE", f"/queues/%2F/{name}")
    with server(ctx) as conn, server(ctx, receive_buffer=4096) as late:
        conn.answers(OK, "CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 1048576 2")
        try:
            late.answers(OK, "CLIENT", "SETNAME", name)
            late.subscribed(name)
            for _ in range(100):
                conn.publishes(1, name, body)
            equal(metrics(ctx)["pubsub_late_subscribers"], before["pubsub_late_subscribers"] + 1, "late")
            true(told(ctx, limit=1)["totals"]["late_subscribers"] > 0, "of the totals")
            true(connections(ctx, name)[0]["unread_bytes"] > 1048576, "unread")
            eventually(lambda: metrics(ctx)["pubsub_slow_subscribers_total"] == before["pubsub_slow_subscribers_total"] + 1, 10, "cut")
            equal(metrics(ctx)["pubsub_late_subscribers"], before["pubsub_late_subscribers"], "late no more")
            true("slow subscribers disconnected" in http_get(ctx.http, "/")[1], "the page says so")
            conn.publishes(0, name)
        finally:
            conn.answers(OK, "CONFIG", "SET", "client-output-buffer-limit", "pubsub 33554432 8388608 60")


if __name__ == "__main__":
    main("redis-subscriptions-seen")
