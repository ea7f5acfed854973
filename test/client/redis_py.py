"""redis-py: what programs written with it do, blocking and asynchronous, in RESP2 and, where the version has it, RESP3."""

import asyncio
import contextlib
import inspect
import os
import threading
import time
import warnings

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness.control import Control
from harness.scenario import Skip, equal, eventually, main, raises, scenario, true
from harness.tls import Authority
from redis_users import a_user

warnings.simplefilter("ignore", DeprecationWarning)
VERSION = tuple(map(int, redis.__version__.split(".")[:2]))
PROTOCOLS = ({"protocol": 2}, {"protocol": 3}) if VERSION >= (5, 0) else ({},)
ONCE = {"retry": Retry(NoBackoff(), 0)}  # 8.x tries a refused login again, for seconds
BODIES = (b"", b"\r\n", b"\x00\xff\r\n", b"$3\r\nabc", "zażółć".encode(), bytes(range(256)) * 4096)


def options(ctx, **more):
    host, port = ctx.bootstrap.rsplit(":", 1)
    return {"host": host, "port": int(port), "socket_timeout": 10, **more}


@contextlib.contextmanager
def client(ctx, **more):
    conn = redis.Redis(**options(ctx, **more))
    try:
        yield conn
    finally:
        conn.close()


@contextlib.contextmanager
def listening(conn, *channels, patterns=(), shards=(), **more):
    """A PubSub whose subscriptions have been confirmed."""
    pubsub = conn.pubsub(**more)
    try:
        for verb, names in ((pubsub.subscribe, channels), (pubsub.psubscribe, patterns)):
            if names:
                verb(*names)
        if shards:
            pubsub.ssubscribe(*shards)
        if not more.get("ignore_subscribe_messages"):
            for _ in range(len(channels) + len(patterns) + len(shards)):
                true("subscribe" in next_of(pubsub)["type"], "a confirmation")
        yield pubsub
    finally:
        pubsub.close()


def next_of(pubsub, timeout=10, **more):
    """The next message or confirmation."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found = pubsub.get_message(timeout=1, **more)
        if found:
            return found
    raise AssertionError("no message came")


def told(kind, channel, data, pattern=None):
    return {"type": kind, "pattern": pattern, "channel": channel, "data": data}


def in_each(function):
    """A scenario's body, called with each protocol that the version knows."""
    def body(ctx):
        for protocol in PROTOCOLS:
            function(ctx, protocol)
    return body


def awaited(function):
    return lambda ctx: asyncio.run(asyncio.wait_for(function(ctx), 25))


# ---- connecting

@scenario("the default protocol connects, RESP3 in the newest")
def default(ctx):
    with client(ctx) as conn:
        equal(int(conn.client_info()["resp"]), 3 if VERSION >= (8, 0) else 2, "RESP")


@scenario("connects: plainly, with a name and a database, from a URL; ping, echo, info, time, client id")
@in_each
def connect(ctx, protocol):
    with client(ctx, **protocol) as conn:
        equal((conn.ping(), conn.echo("x")), (True, b"x"), "answers")
        true(conn.info()["redis_version"].startswith("7."), "version")
        true(abs(conn.time()[0] - time.time()) < 5, "time")
        true(conn.client_id() > 0 and conn.client_list(), "client")
    with client(ctx, client_name="me", db=3, **protocol) as conn:
        equal(conn.client_getname() in ("me", b"me"), True, "name")
        equal(int(conn.client_info()["db"]), 3, "database")
    conn = redis.Redis.from_url(f"redis://{ctx.bootstrap}/2", **protocol)
    equal((conn.ping(), len(conn.config_get("notify-keyspace-events"))), (True, 1), "from a URL")
    conn.close()


@scenario("subscribes and unsubscribes, channels and patterns, and is told the counts")
@in_each
def counts(ctx, protocol):
    a, b, p = (ctx.name().encode() for _ in range(3))
    with client(ctx, **protocol) as conn:
        pubsub = conn.pubsub()
        pubsub.subscribe(a, b)
        equal([next_of(pubsub) for _ in range(2)], [told("subscribe", a, 1), told("subscribe", b, 2)], "subscribe")
        pubsub.psubscribe(p)
        equal(next_of(pubsub), told("psubscribe", p, 3), "psubscribe")
        pubsub.unsubscribe(a)
        equal(next_of(pubsub), told("unsubscribe", a, 2), "unsubscribe")
        pubsub.punsubscribe()
        equal(next_of(pubsub), told("punsubscribe", p, 1), "punsubscribe")
        pubsub.unsubscribe()
        equal(next_of(pubsub), told("unsubscribe", b, 0), "unsubscribe")
        equal(pubsub.subscribed, False, "subscribed")
        pubsub.subscribe(a)
        equal(next_of(pubsub), told("subscribe", a, 1), "again")
        pubsub.close()


@scenario("messages: once for each subscription, in order, any bytes, up to 1 MiB")
@in_each
def messages(ctx, protocol):
    channel = ctx.name().encode()
    with client(ctx, **protocol) as conn, listening(conn, channel, patterns=[channel + b"*"]) as pubsub, \
            listening(conn, channel) as other:
        for body in BODIES:
            equal(conn.publish(channel, body), 3, "receivers")
            equal(next_of(pubsub), told("message", channel, body), "message")
            equal(next_of(pubsub), told("pmessage", channel, body, channel + b"*"), "pmessage")
            equal(next_of(other), told("message", channel, body), "another's")
        for i in range(500):
            conn.publish(channel, i)
        equal([int(next_of(other)["data"]) for _ in range(500)], list(range(500)), "order")
        equal([int(next_of(pubsub)["data"]) for _ in range(1000)], [i for i in range(500) for _ in "ab"], "order of both")


@scenario("PUBLISH counts exactly, with 12 subscribers on connections of their own")
def exact(ctx):
    channel = ctx.name()
    with client(ctx) as conn, contextlib.ExitStack() as stack:
        some = []
        for count in range(1, 13):
            some.append(stack.enter_context(listening(conn, channel)))
            equal(conn.publish(channel, count), count, "receivers")
        for number, pubsub in enumerate(some, 1):
            equal([int(next_of(pubsub)["data"]) for _ in range(number, 13)], list(range(number, 13)), "heard")
        for pubsub in some[:5]:
            pubsub.unsubscribe()
            equal(next_of(pubsub)["type"], "unsubscribe", "confirmation")
        equal(conn.publish(channel, "x"), 7, "receivers")


@scenario("patterns with ? [] and escapes")
def patterns(ctx):
    run = ctx.name()
    with client(ctx, decode_responses=True) as conn:
        with listening(conn, patterns=[f"{run}.h?llo", f"{run}.h[ae]y", f"{run}.\\*", f"{run}.[^x]"]) as pubsub:
            for channel, count in (("hello", 1), ("hllo", 0), ("hay", 1), ("hiy", 0), ("*", 2), ("x", 0), ("y", 1), ("yy", 0)):
                equal(conn.publish(f"{run}.{channel}", "x"), count, channel)
            equal([next_of(pubsub)["channel"] for _ in range(5)], [f"{run}.{c}" for c in ("hello", "hay", "*", "*", "y")], "heard")


@scenario("handlers, decode_responses, ignore_subscribe_messages, and a thread that runs them")
@in_each
def handlers(ctx, protocol):
    channel, pattern = ctx.name("news"), ctx.name("p") + ".*"
    heard = []
    with client(ctx, decode_responses=True, **protocol) as conn:
        pubsub = conn.pubsub(ignore_subscribe_messages=True)
        pubsub.subscribe(**{channel: heard.append})
        pubsub.psubscribe(**{pattern: heard.append})
        worker = pubsub.run_in_thread(sleep_time=0.05, daemon=True)
        eventually(lambda: conn.publish(channel, "zażółć") == 1, 5, "subscribed")
        eventually(lambda: conn.publish(pattern[:-1] + "x", "y") == 1, 5, "subscribed")
        eventually(lambda: len(heard) >= 2, 5, "heard")
        worker.stop()
        worker.join(5)
        equal(heard, [told("message", channel, "zażółć"), told("pmessage", pattern[:-1] + "x", "y", pattern)], "heard")


@scenario("listen() in one thread, publishes from another")
@in_each
def listen(ctx, protocol):
    channel = ctx.name()
    with client(ctx, decode_responses=True, **protocol) as conn:
        pubsub = conn.pubsub()
        pubsub.subscribe(channel)
        heard = []

        def run():
            for item in pubsub.listen():
                heard.append(item)
                if item["data"] == "end":
                    break
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        eventually(lambda: conn.publish(channel, "begin") == 1, 5, "subscribed")
        for i in range(200):
            conn.publish(channel, f"{i}")
        conn.publish(channel, "end")
        thread.join(10)
        equal([item["data"] for item in heard], [1, "begin", *map(str, range(200)), "end"], "heard")
        pubsub.close()


@scenario("health checks: PING while subscribed, and before commands")
@in_each
def health(ctx, protocol):
    channel = ctx.name()
    with client(ctx, health_check_interval=1, **protocol) as conn, listening(conn, channel) as pubsub:
        for _ in range(2):
            time.sleep(1.05)
            true(pubsub.check_health() is None and pubsub.get_message() is None, "a health check is no message")
            conn.publish(channel, "x")
            equal(next_of(pubsub), told("message", channel.encode(), b"x"), "heard")
        pubsub.ping("hello")
        equal(next_of(pubsub)["type"], "pong", "pong")


@scenario("sharded channels: spublish, ssubscribe")
@in_each
def sharded(ctx, protocol):
    channel = ctx.name().encode()
    with client(ctx, **protocol) as conn:
        if not hasattr(conn.pubsub(), "ssubscribe"):
            equal(VERSION < (5, 0), True, "old")
            with listening(conn, channel):
                equal(conn.execute_command("SPUBLISH", channel, b"x"), 0, "nobody")
            return
        with listening(conn, channel, shards=[channel]) as pubsub:
            equal(conn.execute_command("SPUBLISH", channel, b"one"), 1, "receivers")
            equal((pubsub.get_sharded_message(timeout=5) if hasattr(pubsub, "get_sharded_message") else next_of(pubsub)),
                  told("smessage", channel, b"one"), "smessage")
            equal(conn.publish(channel, b"two"), 1, "receivers")
            equal(next_of(pubsub), told("message", channel, b"two"), "message")
            equal(conn.pubsub_shardchannels(channel), [channel], "channels")
            equal(conn.pubsub_shardnumsub(channel), [(channel, 1)], "counts")
            pubsub.sunsubscribe(channel)
            equal(next_of(pubsub), told("sunsubscribe", channel, 0), "sunsubscribe")


@scenario("pubsub_channels, pubsub_numsub, pubsub_numpat")
@in_each
def questions(ctx, protocol):
    run = ctx.name()
    with client(ctx, decode_responses=True, **protocol) as conn, listening(conn, run + "a", run + "b", patterns=[run + "*"]), \
            listening(conn, run + "b"):
        equal(sorted(conn.pubsub_channels(run + "*")), [run + "a", run + "b"], "channels")
        equal(conn.pubsub_numsub(run + "a", run + "b", run + "c"), [(run + "a", 1), (run + "b", 2), (run + "c", 0)], "numsub")
        true(conn.pubsub_numpat() >= 1, "numpat")


@scenario("pipelines: 10,000 publishes, and a transaction")
@in_each
def pipelines(ctx, protocol):
    channel = ctx.name().encode()
    with client(ctx, **protocol) as conn, listening(conn, channel) as pubsub:
        with conn.pipeline(transaction=False) as pipe:
            for i in range(10000):
                pipe.publish(channel, i)
            equal(pipe.execute(), [1] * 10000, "receivers")
        for i in range(10000):
            if int(next_of(pubsub)["data"]) != i:
                raise AssertionError(f"not in order at {i}")
        with conn.pipeline() as pipe:
            pipe.publish(channel, "a")
            pipe.echo("x")
            pipe.publish(channel, "b")
            equal(pipe.execute(), [1, b"x", 1], "transaction")
        equal([next_of(pubsub)["data"] for _ in range(2)], [b"a", b"b"], "heard")


@scenario("a killed connection comes back, and is subscribed again")
@in_each
def killed(ctx, protocol):
    channel, name = ctx.name().encode(), ctx.name("victim")
    with client(ctx, **protocol) as conn, client(ctx, client_name=name, **protocol) as other, \
            listening(other, channel, patterns=[channel + b"?"]) as pubsub:
        ids = [one["id"] for one in conn.client_list() if one["name"] == name]
        equal(len(ids), 1, "connections of the other")
        conn.client_kill_filter(_id=ids[0])
        found = []

        def heard():
            conn.publish(channel, "again")
            conn.publish(channel + b"!", "again")
            with contextlib.suppress(redis.ConnectionError):  # a program's loop goes on
                item = pubsub.get_message(timeout=0.05)
                if item:
                    found.append(item["type"])
            return {"message", "pmessage"} <= set(found)
        eventually(heard, 10, "heard again")
        equal(found[:2] if found[0] == "subscribe" else found[1::-1], ["subscribe", "psubscribe"], "confirmed again")
        equal(other.ping(), True, "a command on a connection of its own")


@scenario("commands that Colobus does not serve raise ResponseError, and the client goes on")
@in_each
def not_served(ctx, protocol):
    if ctx.external:
        raise Skip("Redis has them")
    with client(ctx, **protocol) as conn:
        for act in (lambda: conn.get("k"), lambda: conn.set("k", "v"), lambda: conn.lpush("l", 1), lambda: conn.xadd("s", {"a": 1})):
            true("unknown command" in str(raises(redis.ResponseError, act)), "text")
            equal(conn.ping(), True, "goes on")
        with conn.pipeline(transaction=False) as pipe:
            pipe.ping().get("k").ping()
            found = pipe.execute(raise_on_error=False)
            equal((found[0], type(found[1]), found[2]), (True, redis.ResponseError, True), "in a pipeline")


@scenario("the broker stops, or is killed, and comes back: so do the subscribers", timeout=60)
@in_each
def restarted(ctx, protocol):
    control = Control()
    channel = ctx.name().encode()
    for end in (control.stop, control.kill):
        with client(ctx, **protocol) as conn, listening(conn, channel, patterns=[channel + b"*"]) as pubsub:
            equal(conn.publish(channel, "before"), 2, "receivers")
            equal({next_of(pubsub)["type"] for _ in range(2)}, {"message", "pmessage"}, "heard")
            end()
            control.start()
            found = []

            def heard():
                with contextlib.suppress(redis.ConnectionError):
                    item = pubsub.get_message(timeout=0.05)
                    if item:
                        found.append(item["type"])
                with contextlib.suppress(redis.ConnectionError):
                    conn.publish(channel, "after")
                return {"message", "pmessage"} <= set(found)
            eventually(heard, 10, "heard again")


# ---- logging in

@scenario("username and password: right, wrong, and without permissions for a channel")
@in_each
def login(ctx, protocol):
    with a_user(ctx) as name:
        with client(ctx, username=name, password="secret", **protocol) as conn:
            true(conn.ping() and conn.acl_whoami() in (name, name.encode()), "in")
            with listening(conn, "a"):
                pass
        with client(ctx, username=name, password="wrong", **ONCE, **protocol) as conn:
            raises(redis.AuthenticationError, conn.ping)
        with client(ctx, username=name + "x", password="secret", **ONCE, **protocol) as conn:
            raises(redis.AuthenticationError, conn.ping)
    if ctx.external:
        return
    with a_user(ctx, topics={"write": "^ok$", "read": "^ok$"}) as name, client(ctx, username=name, password="secret", **protocol) as conn:
        equal(conn.publish("ok", "x"), 0, "allowed")
        raises(redis.exceptions.NoPermissionError, conn.publish, "secret", "x")
        pubsub = conn.pubsub()
        pubsub.subscribe("secret")
        raises(redis.exceptions.NoPermissionError, next_of, pubsub)
        pubsub.close()


@scenario("TLS: rediss://")
@in_each
def tls(ctx, protocol):
    if "TLS_REDIS" not in os.environ:
        raise Skip("the broker has no listener with TLS")
    channel = ctx.name().encode()
    port = os.environ["TLS_REDIS"].rsplit(":", 1)[1]
    authority = Authority(os.environ["TLS_DIR"]).certificate
    conn = redis.Redis.from_url(f"rediss://localhost:{port}", ssl_ca_certs=authority, **protocol)
    with client(ctx, **protocol) as plain, listening(conn, channel) as pubsub:
        for body in BODIES:
            equal(plain.publish(channel, body), 1, "receivers")
            equal(next_of(pubsub), told("message", channel, body), "heard")
        equal(conn.publish(channel, "from it"), 1, "receivers")
    conn.close()
    stranger = redis.Redis.from_url(f"rediss://localhost:{port}", **ONCE, **protocol)
    raises(redis.ConnectionError, stranger.ping)
    stranger.close()


# ---- asyncio

@contextlib.asynccontextmanager
async def a_client(ctx, **more):
    conn = redis.asyncio.Redis(**options(ctx, **more))
    try:
        yield conn
    finally:
        closed = conn.aclose() if hasattr(conn, "aclose") else conn.close()
        await closed


async def a_next(pubsub, timeout=10):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found = await pubsub.get_message(timeout=1)
        if found:
            return found
    raise AssertionError("no message came")


async def a_close(pubsub):
    closed = pubsub.aclose() if hasattr(pubsub, "aclose") else pubsub.close()
    if inspect.isawaitable(closed):
        await closed


@scenario("asyncio: subscribe, listen, publish, counts, unsubscribe")
@awaited
async def a_listen(ctx):
    for protocol in PROTOCOLS:
        channel = ctx.name().encode()
        async with a_client(ctx, client_name="async", **protocol) as conn:
            pubsub = conn.pubsub()
            await pubsub.subscribe(channel)
            await pubsub.psubscribe(channel + b"*")
            equal([await a_next(pubsub) for _ in range(2)], [told("subscribe", channel, 1), told("psubscribe", channel + b"*", 2)], "confirmed")
            for body in BODIES:
                equal(await conn.publish(channel, body), 2, "receivers")
                equal(await a_next(pubsub), told("message", channel, body), "message")
                equal(await a_next(pubsub), told("pmessage", channel, body, channel + b"*"), "pmessage")
            await pubsub.unsubscribe()
            equal(await a_next(pubsub), told("unsubscribe", channel, 1), "unsubscribed")
            await pubsub.punsubscribe()
            equal(await a_next(pubsub), told("punsubscribe", channel + b"*", 0), "unsubscribed")
            await a_close(pubsub)


@scenario("asyncio: 30 tasks listen while 5 publish", timeout=40)
@awaited
async def a_many(ctx):
    channel = ctx.name().encode()
    async with a_client(ctx) as conn:
        ready = asyncio.Semaphore(0)

        async def hear():
            pubsub = conn.pubsub()
            await pubsub.subscribe(channel)
            equal((await a_next(pubsub))["type"], "subscribe", "confirmation")
            ready.release()
            found = [(await a_next(pubsub))["data"] for _ in range(100)]
            await a_close(pubsub)
            return found

        async def publish(number):
            for i in range(20):
                equal(await conn.publish(channel, b"%d %d" % (number, i)), 30, "receivers")
        listeners = [asyncio.create_task(hear()) for _ in range(30)]
        for _ in listeners:
            await ready.acquire()
        await asyncio.gather(*(publish(number) for number in range(5)))
        for found in await asyncio.gather(*listeners):
            for number in range(5):
                equal([one for one in found if one.startswith(b"%d " % number)], [b"%d %d" % (number, i) for i in range(20)], "in order")


@scenario("asyncio: pipelines, and a killed connection")
@awaited
async def a_killed(ctx):
    for protocol in PROTOCOLS:
        channel, name = ctx.name().encode(), ctx.name("victim")
        async with a_client(ctx, **protocol) as conn, a_client(ctx, client_name=name, **protocol) as other:
            pubsub = other.pubsub()
            await pubsub.subscribe(channel)
            await a_next(pubsub)
            async with conn.pipeline(transaction=True) as pipe:
                equal(await pipe.publish(channel, "a").publish(channel, "b").execute(), [1, 1], "transaction")
            equal([(await a_next(pubsub))["data"] for _ in range(2)], [b"a", b"b"], "heard")
            for one in await conn.client_list():
                if one["name"] == name:
                    await conn.client_kill_filter(_id=one["id"])
            end = time.monotonic() + 10
            while True:
                with contextlib.suppress(redis.ConnectionError):
                    found = await pubsub.get_message(timeout=0.05)
                    if found and found["type"] == "message":
                        break
                await conn.publish(channel, "again")
                true(time.monotonic() < end, "it does not come back")
            await a_close(pubsub)


if __name__ == "__main__":
    main(os.environ.get("CLIENT", "redis-py"))
