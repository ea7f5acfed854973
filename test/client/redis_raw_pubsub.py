"""Redis's publish and subscribe in bytes: every answer and every message as Redis 7 writes it, who hears what, in which
order and how often, and how many PUBLISH says they are."""

import contextlib
import random
import threading
import time

from harness.scenario import Skip, equal, eventually, main, scenario, true
from redis_wire import (NONE, OK, PONG, QUEUED, RESET, Gone, Redis, array, bulk, command, error, integer, message, pmessage, pushed, server,
                        strings, told, until_readable)

BODIES = (b"", b"x", b"\r\n", b"$5\r\nhello\r\n", b"\x00", b"\x00\xff\r\n\x00", b"+OK\r\n", "zażółć".encode(), bytes(range(256)), b"z" * 5000)


@contextlib.contextmanager
def servers(ctx, count, resp=2):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(server(ctx, resp)) for _ in range(count)]


def in_both(function):
    """A scenario's body, called with RESP 2 and 3."""
    def body(ctx):
        for resp in (2, 3):
            function(ctx, resp)
    return body


# ---- subscribing

@scenario("SUBSCRIBE and UNSUBSCRIBE: an answer for each channel, with the count")
@in_both
def subscribe(ctx, resp):
    with server(ctx, resp) as conn:
        a, b, c = ctx.name(), ctx.name(), ctx.name()
        conn.answers(told("subscribe", a, 1, resp) + told("subscribe", b, 2, resp) + told("subscribe", a, 2, resp), "SUBSCRIBE", a, b, a)
        conn.answers(told("subscribe", c, 3, resp), "subscribe", c)
        conn.answers(told("unsubscribe", b, 2, resp) + told("unsubscribe", b, 2, resp) + told("unsubscribe", "never", 2, resp),
                     "UNSUBSCRIBE", b, b, "never")
        conn.send("UNSUBSCRIBE")
        found = conn.take(len(told("unsubscribe", a, 1, resp) + told("unsubscribe", c, 0, resp)))
        true(found in (told("unsubscribe", a, 1, resp) + told("unsubscribe", c, 0, resp),
                       told("unsubscribe", c, 1, resp) + told("unsubscribe", a, 0, resp)), f"all the rest, in any order: {found}")
        conn.answers(PONG, "PING")


@scenario("PSUBSCRIBE and PUNSUBSCRIBE count together with channels, shards for themselves")
@in_both
def psubscribe(ctx, resp):
    with server(ctx, resp) as conn:
        a, b = ctx.name(), ctx.name()
        conn.answers(told("psubscribe", a, 1, resp) + told("psubscribe", b, 2, resp) + told("psubscribe", b, 2, resp), "PSUBSCRIBE", a, b, b)
        conn.answers(told("subscribe", a, 3, resp), "SUBSCRIBE", a)
        conn.answers(told("ssubscribe", a, 1, resp) + told("ssubscribe", b, 2, resp), "SSUBSCRIBE", a, b)
        conn.answers(told("unsubscribe", "never", 3, resp), "UNSUBSCRIBE", "never")
        conn.answers(told("sunsubscribe", "never", 2, resp), "SUNSUBSCRIBE", "never")
        conn.answers(told("punsubscribe", b, 2, resp) + told("punsubscribe", a, 1, resp), "PUNSUBSCRIBE", b, a)
        conn.answers(told("sunsubscribe", b, 1, resp), "SUNSUBSCRIBE", b)
        conn.answers(told("unsubscribe", a, 0, resp), "UNSUBSCRIBE")
        conn.answers(told("sunsubscribe", a, 0, resp), "SUNSUBSCRIBE")


@scenario("unsubscribing from nothing is answered once, without a channel")
@in_both
def from_nothing(ctx, resp):
    with server(ctx, resp) as conn:
        for verb in ("unsubscribe", "punsubscribe", "sunsubscribe"):
            conn.answers(told(verb, None, 0, resp), verb)
            conn.answers(told(verb, "a", 0, resp) + told(verb, "b", 0, resp), verb, "a", "b")
        a = ctx.name()
        conn.subscribed(a)
        conn.answers(told("punsubscribe", None, 1, resp), "PUNSUBSCRIBE")
        conn.answers(told("sunsubscribe", None, 0, resp), "SUNSUBSCRIBE")
        conn.subscribed(a, verb="ssubscribe")
        conn.answers(told("unsubscribe", a, 0, resp), "UNSUBSCRIBE")
        conn.answers(told("unsubscribe", None, 0, resp), "UNSUBSCRIBE")


@scenario("answers to subscriptions and to other commands come in the order of all of them")
def among_others(ctx):
    a, b = ctx.name(), ctx.name()
    with server(ctx, 3) as conn:
        for _ in range(20):
            conn.send_raw(command("ECHO", "1") + command("SUBSCRIBE", a) + command("ECHO", "2") + command("PSUBSCRIBE", b) + command("SSUBSCRIBE", b)
                          + command("PING") + command("UNSUBSCRIBE", a) + command("ECHO", "3") + command("PUNSUBSCRIBE") + command("SUNSUBSCRIBE")
                          + command("ECHO", "4"))
            conn.comes(bulk("1") + told("subscribe", a, 1, 3) + bulk("2") + told("psubscribe", b, 2, 3) + told("ssubscribe", b, 1, 3) + PONG
                       + told("unsubscribe", a, 1, 3) + bulk("3") + told("punsubscribe", b, 0, 3) + told("sunsubscribe", b, 0, 3) + bulk("4"))


@scenario("2,000 channels in one command; all of them hear, and all of them go")
def thousands(ctx):
    names = [f"{ctx.run}-{i}" for i in range(2000)]
    with server(ctx, 3) as conn, server(ctx) as other:
        conn.subscribed(*names)
        other.send_raw(b"".join(command("PUBLISH", name, i) for i, name in enumerate(names)))
        other.comes(integer(1) * 2000)
        conn.hears(*((name, i) for i, name in enumerate(names)))
        equal(len(other.ask("PUBSUB", "CHANNELS", f"{ctx.run}-*")), 2000, "channels")
        conn.send("UNSUBSCRIBE")
        found = [conn.read() for _ in names]
        equal((sorted(one[1] for one in found), [one[2] for one in found]), (sorted(n.encode() for n in names), list(range(1999, -1, -1))),
              "answers")
        other.answers(array(), "PUBSUB", "CHANNELS", f"{ctx.run}-*")


@scenario("wrong numbers of arguments")
def arities(ctx):
    with server(ctx) as conn:
        for verb in ("subscribe", "psubscribe", "ssubscribe", "publish", "spublish", "pubsub"):
            conn.answers(error(f"ERR wrong number of arguments for '{verb}' command"), verb)
        for words in (("PUBLISH", "a"), ("PUBLISH", "a", "b", "c"), ("SPUBLISH", "a"), ("SPUBLISH", "a", "b", "c")):
            conn.answers(error(f"ERR wrong number of arguments for '{words[0].lower()}' command"), *words)


# ---- hearing

@scenario("messages of every kind, byte for byte")
@in_both
def bodies(ctx, resp):
    with server(ctx, resp) as conn, server(ctx) as other:
        channel = ctx.name()
        conn.subscribed(channel)
        for body in BODIES:
            other.publishes(1, channel, body)
        conn.hears(*((channel, body) for body in BODIES))
        pattern = channel + "*"
        conn.answers(told("psubscribe", pattern, 2, resp), "PSUBSCRIBE", pattern)
        for body in BODIES:
            other.publishes(2, channel, body)
            conn.comes(message(channel, body, resp) + pmessage(pattern, channel, body, resp), "both")


@scenario("names of channels are bytes: binary, empty, long, with spaces, in both cases")
@in_both
def names(ctx, resp):
    all_of_them = (b"", b" ", b"a b", b"\x00", b"\r\n", b"\xff\xfe", b"x" * 300, b"x" * 60000, b"caf\xc3\xa9", b"A.b", b"a.B", b"*", b"#", b"a.*", b"$x", b"_INBOX.1")
    run = ctx.name().encode()
    with server(ctx, resp) as conn, server(ctx) as other:
        channels = [name + run if name else name for name in all_of_them]
        if ctx.external:
            channels = channels[1:] + [b""]
        conn.subscribed(*channels)
        for name in channels:
            other.publishes(1, name, b"to " + name)
        for name in channels:
            conn.hears((name, b"to " + name))
        other.publishes(0, run + b"A", "other case")
        conn.nothing_left() if resp == 3 else conn.answers(strings("pong", ""), "PING")


@scenario("1 MiB and 8 MiB, to subscribers of both protocols")
def large(ctx):
    channel = ctx.name()
    with servers(ctx, 2) as (old, other), server(ctx, 3) as new:
        for conn in (old, new):
            conn.subscribed(channel)
        for size in (1 << 20, 8 << 20):
            body = bytes(range(256)) * (size // 256)
            hearers = [threading.Thread(target=conn.hears, args=((channel, body),)) for conn in (old, new)]
            for hearer in hearers:
                hearer.start()
            other.publishes(2, channel, body)
            for hearer in hearers:
                hearer.join()
            for conn in (old, new):
                equal(bytes(conn.buffer), b"", "left over")
        old.answers(strings("pong", "end"), "PING", "end")
        new.nothing_left()


@scenario("a message comes once for each subscription that it matches")
@in_both
def once_each(ctx, resp):
    run = ctx.name("n")
    with server(ctx, resp) as conn, server(ctx) as other:
        conn.subscribed(f"{run}.foo", f"{run}.bar")
        patterns = [f"{run}.f*", f"{run}.*", f"{run}.?oo"]
        conn.answers(b"".join(told("psubscribe", pattern, 3 + i, resp) for i, pattern in enumerate(patterns)), "PSUBSCRIBE", *patterns)
        other.publishes(4, f"{run}.foo", "hello")
        found = [conn.read() for _ in range(4)]
        equal(list(found[0]), [b"message", f"{run}.foo".encode(), b"hello"], "the channel comes first")
        equal(sorted(one[1].decode() for one in found[1:]), sorted(patterns), "each pattern once")
        other.publishes(2, f"{run}.bar", "x")
        conn.comes(message(f"{run}.bar", "x", resp) + pmessage(f"{run}.*", f"{run}.bar", "x", resp), "bar")
        other.publishes(0, f"{run}", "x")
        other.publishes(1, f"{run}.", "x")
        conn.comes(pmessage(f"{run}.*", f"{run}.", "x", resp))


GLOBS = {  # pattern: (matches, doesn't)
    "*": (["", "a", "a.b", "a b", "\r\n", "*"], []),
    "a*": (["a", "ab", "a.b.c", "a*"], ["", "b", "ba"]),
    "*a": (["a", "ba", "aa"], ["", "ab"]),
    "a*b*c": (["abc", "aXbYc", "abcbc", "abbc"], ["ab", "acb", "abcd"]),
    "a?c": (["abc", "a.c", "a?c"], ["ac", "abbc", ""]),
    "???": (["abc", "..."], ["ab", "abcd"]),
    "[abc]x": (["ax", "bx", "cx"], ["dx", "x", "abcx"]),
    "[a-c]x": (["ax", "bx"], ["dx", "-x"]),
    "[c-a]x": (["ax", "bx"], ["dx"]),
    "[^a]x": (["bx", "^x"], ["ax", "x"]),
    "[^a-c]x": (["dx"], ["ax", "bx"]),
    "[a-]x": (["]", "^", "a", "x"], ["ax", "b", "-"]),  # the bracket is the range's end, and nothing ends the class
    "[]x": ([], ["x", "]x", "[]x"]),
    "[abc": (["a", "b", "c"], ["d", "[abc", "ab"]),
    "[^abc": (["d"], ["a"]),
    "[\\]]x": (["]x"], ["\\x", "x"]),
    "[a\\-c]x": (["ax", "-x", "cx"], ["bx"]),
    "a\\*b": (["a*b"], ["aXb", "a\\*b"]),
    "a\\?b": (["a?b"], ["aXb"]),
    "a\\[b]": (["a[b]"], ["ab"]),
    "a\\\\b": (["a\\b"], ["a\\\\b", "ab"]),
    "a\\": (["a\\"], ["a"]),
    "a.b": (["a.b"], ["aXb", "a.b.c"]),
    "a#": (["a#"], ["a", "a.b"]),
    "**a**": (["a", "xax"], ["x", ""]),
    "*?": (["a", "ab"], [""]),
    "a*b?": (["abc", "abbb"], ["ab"]),
    "A*": (["Ab"], ["ab"]),
    "h[ae]llo": (["hello", "hallo"], ["hillo", "hllo"]),
    "\x00*": (["\x00", "\x00a"], ["a"]),
}


@scenario("patterns: * ? [a-c] [^a] \\ as Redis matches them")
def globs(ctx):
    run = ctx.name("g") + ":"
    with server(ctx, 3) as conn, server(ctx) as other:
        for pattern, (yes, no) in GLOBS.items():
            conn.answers(told("psubscribe", run + pattern, 1, 3), "PSUBSCRIBE", run + pattern)
            for channel in yes:
                other.answers(integer(1), "PUBLISH", run + channel, "yes")
                conn.comes(pmessage(run + pattern, run + channel, "yes", 3), f"{channel!r} by {pattern!r}")
            for channel in no:
                equal((channel, other.ask("PUBLISH", run + channel, "no")), (channel, 0), f"heard by {pattern!r}")
            conn.answers(told("punsubscribe", run + pattern, 0, 3), "PUNSUBSCRIBE", run + pattern)
            conn.nothing_left(pattern)


@scenario("a pattern that would take for ever to match does not", timeout=20)
def evil(ctx):
    with server(ctx, 3) as conn, server(ctx) as other:
        pattern = ctx.name() + "a*" * 60 + "b"
        conn.answers(told("psubscribe", pattern, 1, 3), "PSUBSCRIBE", pattern)
        began = time.monotonic()
        for _ in range(10):
            other.publishes(0, pattern.split("a*")[0] + "a" * 2000)
        true(time.monotonic() - began < 5, "ten publishes took 5 s")


# ---- order, exactness

@scenario("who has been told of a subscription is counted at once, whoever publishes", timeout=30)
def counted(ctx):
    channel = ctx.name()
    with servers(ctx, 8) as publishers, servers(ctx, 12) as hearers:
        for count, conn in enumerate(hearers, 1):
            conn.subscribed(channel)
            for publisher in publishers:
                publisher.publishes(count, channel)
        for count, conn in enumerate(hearers, 1):
            for before in range(count, len(hearers) + 1):
                conn.hears(*[(channel, "x")] * len(publishers))
                del before
            conn.answers(told("unsubscribe", channel, 0), "UNSUBSCRIBE", channel)
            for publisher in publishers:
                publisher.publishes(len(hearers) - count, channel)
            for rest in hearers[count:]:
                rest.hears(*[(channel, "x")] * len(publishers))
            conn.answers(PONG, "PING")


@scenario("10,000 publishes in one go: every one is counted, and heard in order by all", timeout=60)
def pipelined(ctx):
    channel, count = ctx.name(), 10000
    wanted = [(channel, i) for i in range(count)]
    with servers(ctx, 3) as hearers, servers(ctx, 2, 3) as new, server(ctx) as other:
        for conn in hearers + new:
            conn.subscribed(channel)
        threads = [threading.Thread(target=hear_all, args=(conn, wanted)) for conn in hearers + new]
        for thread in threads:
            thread.start()
        other.send_raw(b"".join(command("PUBLISH", channel, i) for i in range(count)))
        other.comes(integer(5) * count, "counts")
        for thread in threads:
            thread.join()
        for conn in hearers + new:
            equal(getattr(conn, "heard", None), True, "all in order")


def hear_all(conn, wanted):
    conn.comes(b"".join(message(channel, body, conn.resp) for channel, body in wanted), "messages")
    conn.heard = True


@scenario("several publishers: the order of each is kept")
def publishers(ctx):
    channel, count = ctx.name(), 1000
    with servers(ctx, 4) as some, servers(ctx, 4, 3) as hearers:
        for conn in hearers:
            conn.subscribed(channel)
        for number, publisher in enumerate(some):
            publisher.send_raw(b"".join(command("PUBLISH", channel, f"{number} {i}") for i in range(count)))
        for publisher in some:
            publisher.comes(integer(4) * count, "counts")
        for conn in hearers:
            last = [-1] * 4
            for _ in range(4 * count):
                number, i = map(int, conn.read()[2].split())
                equal(i, last[number] + 1, f"next of publisher {number}")
                last[number] = i


@scenario("what is published before a subscription, and after its end, is not heard")
def before_and_after(ctx):
    channel = ctx.name()
    with server(ctx, 3) as conn, server(ctx, 3) as other:
        for i in range(50):
            other.publishes(0, channel, f"before {i}")
            conn.subscribed(channel)
            other.publishes(1, channel, i)
            conn.hears((channel, i))
            conn.answers(told("unsubscribe", channel, 0, 3), "UNSUBSCRIBE", channel)
            other.publishes(0, channel, f"after {i}")
        conn.nothing_left()
        conn.send_raw((command("SUBSCRIBE", channel) + command("PUBLISH", channel, "in") + command("UNSUBSCRIBE", channel)
                       + command("PUBLISH", channel, "out")) * 20)
        found = [conn.read() for _ in range(100)]
        equal((found.count(1), found.count(0), sum(isinstance(x, tuple) and x[0] == b"message" for x in found)), (20, 20, 20), "in one go")
        conn.nothing_left()


@scenario("subscriptions of a connection that is gone are gone")
def gone(ctx):
    channel = ctx.name()
    with server(ctx) as other:
        for verb in ("subscribe", "psubscribe", "ssubscribe"):
            conns = [server(ctx).subscribed(channel, verb=verb) for _ in range(6)]
            publish = "SPUBLISH" if verb == "ssubscribe" else "PUBLISH"
            other.answers(integer(6), publish, channel, "x")
            for conn in conns[:3]:
                conn.close()
            eventually(lambda publish=publish: other.ask(publish, channel, "x") == 3, 5, "three are left")
            for conn in conns[3:]:
                conn.send("QUIT")
            eventually(lambda publish=publish: other.ask(publish, channel, "x") == 0, 5, "none is left")
            for conn in conns:
                conn.close()
        other.answers(array(), "PUBSUB", "CHANNELS", channel)
        other.answers(array(), "PUBSUB", "SHARDCHANNELS", channel)


@scenario("subscribers come and go while others are published to", timeout=30)
def churn(ctx):
    channel, count = ctx.name(), 3000
    stop = threading.Event()
    with server(ctx, 3) as steady, server(ctx) as other, servers(ctx, 3, 3) as fickle:
        steady.subscribed(channel)
        errors = []

        def come_and_go(conn):
            try:
                while not stop.is_set():
                    conn.answers(told("subscribe", channel, 1, 3), "SUBSCRIBE", channel)
                    numbers = []
                    while len(numbers) < 20 and not stop.is_set():
                        numbers.append(int(conn.read()[2]))
                    conn.send("UNSUBSCRIBE", channel)
                    while (item := conn.read())[0] != b"unsubscribe":
                        numbers.append(int(item[2]))
                    equal(numbers, list(range(numbers[0], numbers[0] + len(numbers))) if numbers else [], "no gap")
                    conn.nothing_left()
            except Exception as problem:  # told below
                errors.append(problem)
        threads = [threading.Thread(target=come_and_go, args=(conn,)) for conn in fickle]
        for thread in threads:
            thread.start()
        for i in range(0, count, 10):
            other.send_raw(b"".join(command("PUBLISH", channel, i + j) for j in range(10)))
            true(all(1 <= other.read() <= 4 for _ in range(10)), "counts")
        stop.set()
        until = count
        while any(thread.is_alive() for thread in threads):  # those that wait for a message
            other.send("PUBLISH", channel, until)
            other.read()
            until += 1
            time.sleep(0.002)
        equal(errors, [], "errors")
        steady.hears(*((channel, i) for i in range(until)))


class Model:
    """One connection, and what it should have subscribed to."""

    def __init__(self, ctx, resp):
        self.conn = server(ctx, resp)
        self.wants = {"": set(), "p": set(), "s": set()}

    def count(self, kind):
        return len(self.wants["s"]) if kind == "s" else len(self.wants[""]) + len(self.wants["p"])

    def change(self, kind, names, add):
        wanted = b""
        for name in names:
            (self.wants[kind].add if add else self.wants[kind].discard)(name)
            wanted += told(f"{kind}{'' if add else 'un'}subscribe", name, self.count(kind), self.conn.resp)
        self.conn.answers(wanted, f"{kind}{'' if add else 'un'}subscribe", *names)

    def due(self, kind, channel, body):
        """What a publish brings, as a sorted list."""
        resp = self.conn.resp
        if kind == "s":
            return [message(channel, body, resp, "smessage")] if channel in self.wants["s"] else []
        found = [message(channel, body, resp)] if channel in self.wants[""] else []
        return found + sorted(pmessage(p, channel, body, resp) for p in self.wants["p"] if channel.startswith(p[:-1]))

    def hears(self, due):
        found = self.conn.take(sum(map(len, due)))
        orders = [due, due[:-2] + due[:-3:-1]]  # at most two patterns match; Redis has them in any order
        true(found in [b"".join(order) for order in orders], f"heard {found}, due {due}")


@scenario("3,000 random steps of 16 connections agree with a model: every answer, count and message", timeout=60)
def random_steps(ctx):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"# seed {seed}")
    dice, run = random.Random(seed), ctx.name("m")
    names = [f"{run}.{a}{b}" for a in "abc" for b in "xyz"]
    patterns = [f"{run}.*", *(f"{run}.{a}*" for a in "abc")]
    models = [Model(ctx, dice.choice((2, 3))) for _ in range(16)]
    with servers(ctx, 4) as publishers:
        for step in range(3000):
            at = dice.randrange(len(models))
            model, what = models[at], dice.random()
            kind = dice.choice(("", "", "p", "s"))
            some = dice.sample(patterns if kind == "p" else names, dice.randint(1, 3))
            if what < 0.25:
                model.change(kind, some, True)
            elif what < 0.45:
                model.change(kind, some, False)
            elif what < 0.47:
                model.conn.answers(RESET, "RESET")
                resp = model.conn.resp
                model.conn.resp = 2
                model.wants = {"": set(), "p": set(), "s": set()}
                if resp == 3:
                    model.conn.hello(3)
            else:
                channel, shared = dice.choice(names), kind != "s"
                due = [one.due(kind, channel, step) for one in models]
                dice.choice(publishers).answers(integer(sum(map(len, due))), "PUBLISH" if shared else "SPUBLISH", channel, step)
                for one, what_is_due in zip(models, due):
                    one.hears(what_is_due)
        for model in models:
            model.conn.answers(RESET, "RESET")
            model.conn.nothing_left()
            model.conn.close()
        publishers[0].answers(array(), "PUBSUB", "CHANNELS", run + "*")


# ---- the same connection publishes and hears

@scenario("who publishes to itself hears it after the answer")
def to_itself(ctx):
    if ctx.external:
        raise Skip("Redis has it so from 7.2 on")
    a, b = ctx.name(), ctx.name()
    with server(ctx, 3) as conn:
        conn.subscribed(a, b)
        conn.answers(integer(1) + message(a, "1", 3), "PUBLISH", a, "1")
        conn.send_raw(command("PUBLISH", a, "2") + command("PUBLISH", b, "3") + command("PING"))
        conn.comes(integer(1) + message(a, "2", 3) + integer(1) + message(b, "3", 3) + PONG, "in one go")
        conn.send_raw(command("MULTI") + command("PUBLISH", a, "4") + command("PING", "hello") + command("PUBLISH", b, "5") + command("EXEC"))
        conn.comes(OK + QUEUED * 3 + array(integer(1), bulk("hello"), integer(1)) + message(a, "4", 3) + message(b, "5", 3), "in MULTI")


@scenario("messages of others do not cut a transaction's answer in two", timeout=20)
def transaction_whole(ctx):
    channel = ctx.name()
    stop = threading.Event()
    with server(ctx, 3) as conn, server(ctx) as other:
        conn.subscribed(channel)

        def publish():
            while not stop.is_set():
                other.send_raw(command("PUBLISH", channel, "x") * 50)
                other.take(len(integer(1)) * 50)
                time.sleep(0.001)  # as much as the other side can read in Python
        thread = threading.Thread(target=publish)
        thread.start()
        try:
            for _ in range(50):
                conn.send_raw(command("MULTI") + command("PING", "a" * 100) * 20 + command("EXEC"))
                answers = [item for item in iter_until(conn, list)]
                equal(answers[-1], [b"a" * 100] * 20, "the answer is whole")
                equal([x for x in answers if not isinstance(x, tuple)][:-1], [b"OK"] + [b"QUEUED"] * 20, "before it")
        finally:
            stop.set()
            thread.join()


def iter_until(conn, kind):
    while True:
        item = conn.read()
        yield item
        if isinstance(item, kind):
            return


@scenario("subscribing between MULTI and EXEC")
def in_multi(ctx):
    a, b = ctx.name(), ctx.name()
    with server(ctx) as conn, server(ctx) as other:
        conn.send_raw(command("MULTI") + command("SUBSCRIBE", a, b) + command("PING") + command("PUNSUBSCRIBE") + command("EXEC"))
        conn.comes(OK + QUEUED * 3 + b"*3\r\n" + told("subscribe", a, 1) + told("subscribe", b, 2) + strings("pong", "")
                   + told("punsubscribe", None, 2), "EXEC")
        other.publishes(1, b, "x")
        conn.hears((b, "x"))
        conn.answers(told("unsubscribe", a, 1) + told("unsubscribe", b, 0), "UNSUBSCRIBE", a, b)
        conn.send_raw(command("MULTI") + command("SUBSCRIBE", a) + command("UNSUBSCRIBE", a) + command("ECHO", "x") + command("EXEC"))
        conn.comes(OK + QUEUED * 3 + b"*3\r\n" + told("subscribe", a, 1) + told("unsubscribe", a, 0) + bulk("x"), "EXEC")
        other.publishes(0, a)
        conn.send_raw(command("MULTI") + command("SSUBSCRIBE", a) + command("PING") + command("SUNSUBSCRIBE") + command("EXEC"))
        conn.comes(OK + QUEUED * 3 + b"*3\r\n" + error("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client") + PONG
                   + told("sunsubscribe", None, 0), "EXEC")


@scenario("CLIENT REPLY OFF: subscribing is answered and messages come, other answers don't")
@in_both
def reply_off(ctx, resp):
    channel = ctx.name()
    with server(ctx, resp) as conn, server(ctx) as other:
        conn.send_raw(command("CLIENT", "REPLY", "OFF") + command("PING") + command("SUBSCRIBE", channel))
        conn.comes(told("subscribe", channel, 1, resp))
        other.publishes(1, channel, "x")
        conn.hears((channel, "x"))
        if resp == 3:
            conn.send("PUBLISH", channel, "self")
            conn.hears((channel, "self"))
        conn.send_raw(command("PING") + command("UNSUBSCRIBE"))
        conn.comes(told("unsubscribe", channel, 0, resp))
        conn.send_raw(command("CLIENT", "REPLY", "ON") + command("PING"))
        conn.comes(OK + PONG)


@scenario("PING while subscribed: a pair in RESP2, as ever in RESP3; RESP3 clients may do anything")
def ping(ctx):
    channel = ctx.name()
    with server(ctx) as old, server(ctx, 3) as new:
        old.subscribed(channel)
        new.subscribed(channel)
        old.answers(strings("pong", ""), "PING")
        old.answers(strings("pong", "redis-py-health-check"), "PING", "redis-py-health-check")
        new.answers(PONG, "PING")
        new.answers(bulk("x"), "PING", "x")
        new.answers(bulk("y"), "ECHO", "y")
        new.answers(NONE[3], "CLIENT", "GETNAME")
        equal(new.hello(2)[b"proto"], 2, "HELLO")
        new.answers(strings("pong", ""), "PING")
        with server(ctx) as other:
            other.publishes(2, channel, "now in RESP2")
        old.hears((channel, "now in RESP2"))
        new.hears((channel, "now in RESP2"))


# ---- PUBSUB

@scenario("PUBSUB CHANNELS, NUMSUB, NUMPAT")
def pubsub(ctx):
    run = ctx.name()
    a, b, c = (f"{run}.{x}" for x in "abc")
    with servers(ctx, 4) as (one, two, three, other):
        patterns = other.ask("PUBSUB", "NUMPAT")
        one.subscribed(a, b)
        two.subscribed(b)
        for conn, before in ((two, 1), (three, 0)):
            conn.send("PSUBSCRIBE", run + "*")
            conn.comes(told("psubscribe", run + "*", before + 1))
        three.answers(told("psubscribe", run + "?x", 2), "PSUBSCRIBE", run + "?x")
        equal(sorted(other.ask("PUBSUB", "CHANNELS", run + ".*")), [a.encode(), b.encode()], "CHANNELS with a pattern")
        true({a.encode(), b.encode()} <= set(other.ask("PUBSUB", "CHANNELS")), "CHANNELS")
        other.answers(array(), "PUBSUB", "CHANNELS", run + "?x")
        other.answers(array(bulk(a), integer(1), bulk(b), integer(2), bulk(c), integer(0), bulk(b), integer(2)), "PUBSUB", "NUMSUB", a, b, c, b)
        other.answers(array(), "PUBSUB", "NUMSUB")
        equal(other.ask("PUBSUB", "NUMPAT") - patterns, 2, "different patterns")
        other.answers(array(), "PUBSUB", "SHARDCHANNELS", run + "*")
        other.answers(array(bulk(a), integer(0)), "PUBSUB", "SHARDNUMSUB", a)
        three.close()
        eventually(lambda: other.ask("PUBSUB", "NUMPAT") - patterns == 1, 5, "one pattern is left")


@scenario("PUBSUB: help, and what it refuses")
def pubsub_refuses(ctx):
    with server(ctx) as conn:
        conn.answers(error("ERR unknown subcommand 'NONSENSE'. Try PUBSUB HELP."), "PUBSUB", "NONSENSE")
        conn.answers(error("ERR wrong number of arguments for 'pubsub|numpat' command"), "PUBSUB", "NUMPAT", "x")
        conn.answers(error("ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP."), "PUBSUB", "CHANNELS",
                     "a", "b")
        conn.answers(error("ERR unknown subcommand or wrong number of arguments for 'SHARDCHANNELS'. Try PUBSUB HELP."), "PUBSUB",
                     "SHARDCHANNELS", "a", "b")
        found = conn.ask("PUBSUB", "HELP")
        equal(found[0], b"PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", "help")
        true(b"NUMPAT" in found and b"SHARDNUMSUB [<shardchannel> ...]" in found, f"help {found}")


# ---- sharded

@scenario("sharded channels are a space of their own, without patterns")
@in_both
def sharded(ctx, resp):
    channel = ctx.name()
    with server(ctx, resp) as conn, server(ctx, resp) as plain, server(ctx) as other:
        conn.answers(told("ssubscribe", channel, 1, resp) + told("ssubscribe", channel, 1, resp), "SSUBSCRIBE", channel, channel)
        plain.subscribed(channel)
        plain.answers(told("psubscribe", channel + "*", 2, resp), "PSUBSCRIBE", channel + "*")
        for body in BODIES:
            other.answers(integer(1), "SPUBLISH", channel, body)
            conn.comes(message(channel, body, resp, "smessage"), "smessage")
        other.publishes(2, channel, "plain")
        plain.comes(message(channel, "plain", resp) + pmessage(channel + "*", channel, "plain", resp))
        other.answers(strings(channel), "PUBSUB", "SHARDCHANNELS", channel + "*")
        other.answers(array(bulk(channel), integer(1), bulk("no"), integer(0)), "PUBSUB", "SHARDNUMSUB", channel, "no")
        conn.subscribed(channel, before=0)
        other.publishes(3, channel, "both")
        conn.hears((channel, "both"))
        conn.answers(told("sunsubscribe", channel, 0, resp), "SUNSUBSCRIBE", channel)
        other.answers(integer(0), "SPUBLISH", channel, "x")


# ---- slow subscribers

@contextlib.contextmanager
def limits(conn, text):
    conn.answers(OK, "CONFIG", "SET", "client-output-buffer-limit", text)
    try:
        yield
    finally:
        conn.answers(OK, "CONFIG", "SET", "client-output-buffer-limit", "pubsub 33554432 8388608 60")


@scenario("a subscriber that reads nothing is cut at the hard limit, others get everything", timeout=60)
def slow(ctx):
    channel, body = ctx.name(), b"x" * 100000
    with server(ctx) as other, server(ctx, 3) as quick, limits(other, "pubsub 1048576 0 0"):
        before = metric(ctx, "colobus_pubsub_slow_subscribers_total")
        with Redis(ctx.bootstrap, receive_buffer=4096) as stuck:
            stuck.subscribed(channel)
            quick.subscribed(channel)
            sent, cut = 0, None
            while cut is None or sent < cut + 20:
                count = other.ask("PUBLISH", channel, body)
                quick.hears((channel, body))
                sent += 1
                if count == 1 and cut is None:
                    cut = sent
                true(count == (2 if cut is None else 1), f"publish {sent} was heard by {count}")
                true(sent < 1000, "nobody was cut")
            true(cut > 10, f"cut after {cut} messages, which is below the limit")
            stuck.sock.settimeout(5)
            read_to_the_end(stuck)
        quick.nothing_left()
        if before is not None:
            equal(metric(ctx, "colobus_pubsub_slow_subscribers_total"), before + 1, "metric")
    with server(ctx) as conn:
        equal(conn.ask("CONFIG", "GET", "client-output-buffer-limit")[1].split(b"pubsub ")[1], b"33554432 8388608 60", "limits are back")


def read_to_the_end(conn):
    try:
        while True:
            conn.buffer.clear()
            conn.more()
    except Gone:
        pass


def metric(ctx, name):
    if not ctx.http:
        return None
    from harness.broker import http_get
    return sum(float(line.rsplit(" ", 1)[1]) for line in http_get(ctx.http, "/metrics")[1].splitlines() if line.split("{")[0].split(" ")[0] == name)


@scenario("a subscriber over the soft limit is cut when its time is over, and not before if it reads on", timeout=60)
def soft(ctx):
    channel, body = ctx.name(), b"x" * 100000
    with server(ctx) as other, limits(other, "pubsub 0 1048576 1"):
        with Redis(ctx.bootstrap, receive_buffer=4096) as stuck, Redis(ctx.bootstrap, receive_buffer=4096) as late:
            stuck.subscribed(channel)
            late.subscribed(channel)
            sent = 100
            other.send_raw(command("PUBLISH", channel, body) * sent)
            other.comes(integer(2) * sent)
            began = time.monotonic()
            late.hears(*[(channel, body)] * sent)  # all of it: it is not over the limit any more
            while other.ask("PUBLISH", channel, "") == 2:
                late.hears((channel, ""))
                true(time.monotonic() - began < 6, "nobody was cut")
                time.sleep(0.05)
            true(time.monotonic() - began > 0.7, "cut before its time")
            late.hears((channel, ""))
            other.publishes(1, channel, "still there")
            late.hears((channel, "still there"))


@scenario("a publisher that does not read its answers harms nobody", timeout=30)
def mute_publisher(ctx):
    channel = ctx.name()
    with server(ctx, 3) as conn, Redis(ctx.bootstrap, receive_buffer=4096) as mute:
        conn.subscribed(channel)
        mute.send_raw(command("PUBLISH", channel, "y" * 50) * 20000)
        conn.hears(*[(channel, "y" * 50)] * 20000)
        until_readable(mute)
        mute.comes(integer(1) * 20000)


@scenario("pushes have their own mark in RESP3 only")
def marks(ctx):
    equal((pushed(2, b":1\r\n"), pushed(3, b":1\r\n")), (b"*1\r\n:1\r\n", b">1\r\n:1\r\n"), "as written here")
    with server(ctx, 3) as new, server(ctx) as old:
        channel = ctx.name()
        for conn in (new, old):
            conn.send("SUBSCRIBE", channel)
            equal(conn.take(1), b">" if conn is new else b"*", "first byte")


if __name__ == "__main__":
    main("redis-raw-pubsub")
