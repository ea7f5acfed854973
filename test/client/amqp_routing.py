"""Where messages go: every kind of exchange, bindings between exchanges, mandatory, CC and BCC."""

import os
import time

from amqp_expect import channel, confirming, publish_all, refused
from amqp_wire import Closed
from harness.scenario import Skip, equal, main, raises, scenario, true


def bound(ch, exchange, *keys, arguments=None):
    """A new queue bound with each key."""
    queue = ch.declare(exclusive=True).queue
    for key in keys:
        ch.bind(queue, exchange, key, arguments)
    return queue


def routes(ch, exchange, key, wanted, **properties):
    """A message must come to exactly the wanted ones of {name: queue}, once."""
    publish_all(ch, key, b"x", exchange=exchange, **properties)
    found = {name for name, queue in wanted["of"].items() if len(ch.drain(queue)) == 1}
    equal(found, set(wanted["to"]), f"queues for {key!r} {properties}")


@scenario("the default exchange routes to the queue of that name")
def default(ctx):
    with confirming(ctx) as ch:
        one, two = bound(ch, ""), bound(ch, "")
        publish_all(ch, one, b"1")
        equal([ch.drain(one), ch.drain(two)], [[b"1"], []], "bodies")
        equal(ch.get(one), None, "an empty queue")


@scenario("direct: all queues with that key, each once")
def direct(ctx):
    with confirming(ctx) as ch:
        exchange = ch.exchange(ctx.name("x"), "direct", auto_delete=True)
        of = {"a": bound(ch, exchange, "email"), "b": bound(ch, exchange, "email", "sms"), "c": bound(ch, exchange, "")}
        for key, to in (("email", "ab"), ("sms", "b"), ("", "c"), ("Email", ""), ("email.x", "")):
            routes(ch, exchange, key, {"of": of, "to": to})


@scenario("fanout: every queue, whatever the key")
def fanout(ctx):
    with confirming(ctx) as ch:
        exchange = ch.exchange(ctx.name("x"), "fanout", auto_delete=True)
        of = {"a": bound(ch, exchange, "k1", "k2"), "b": bound(ch, exchange, "")}
        for key in ("k1", "", "other"):
            routes(ch, exchange, key, {"of": of, "to": "ab"})


@scenario("topic: words, * and #")
def topic(ctx):
    with confirming(ctx) as ch:
        exchange = ch.exchange(ctx.name("x"), "topic", auto_delete=True)
        patterns = ["order.created.*", "order.#", "#", "*", "*.*.eu", "#.eu", "a.#.b", "#.#", "order..x", "a.*.#.b", ""]
        of = {pattern: bound(ch, exchange, pattern) for pattern in patterns}
        for key, to in (("order.created.eu", ["order.created.*", "order.#", "#", "*.*.eu", "#.eu", "#.#"]),
                        ("order.created", ["order.#", "#", "#.#"]), ("order", ["order.#", "#", "*", "#.#"]),
                        ("eu", ["#", "*", "#.eu", "#.#"]), ("a.b", ["#", "a.#.b", "#.#"]),
                        ("a.x.b", ["#", "a.#.b", "#.#", "a.*.#.b"]), ("a.x.y.z.b", ["#", "a.#.b", "#.#", "a.*.#.b"]),
                        ("order..x", ["order.#", "#", "#.#", "order..x"]), ("", ["#", "#.#", ""])):
            routes(ch, exchange, key, {"of": of, "to": to})


@scenario("topic: a removed pattern no longer matches, the others do")
def topic_unbind(ctx):
    with confirming(ctx) as ch:
        exchange = ch.exchange(ctx.name("x"), "topic", auto_delete=True)
        of = {"a": bound(ch, exchange, "x.*", "x.#"), "b": bound(ch, exchange, "x.*")}
        routes(ch, exchange, "x.y", {"of": of, "to": "ab"})
        ch.call("queue.unbind", queue=of["a"], exchange=exchange, routing_key="x.#")
        routes(ch, exchange, "x.y.z", {"of": of, "to": ""})
        ch.call("queue.unbind", queue=of["b"], exchange=exchange, routing_key="x.*")
        routes(ch, exchange, "x.y", {"of": of, "to": "a"})


@scenario("headers: all and any, by value, by type, by presence")
def headers(ctx):
    with confirming(ctx) as ch:
        exchange = ch.exchange(ctx.name("x"), "headers", auto_delete=True)
        of = {"all": bound(ch, exchange, "", arguments={"x-match": "all", "a": 1, "b": "two"}),
              "any": bound(ch, exchange, "", arguments={"x-match": "any", "a": 1, "b": "two"}),
              "default": bound(ch, exchange, "", arguments={"a": 1, "b": "two"}),
              "there": bound(ch, exchange, "", arguments={"x-match": "all", "c": None}),
              "none": bound(ch, exchange, "", arguments={"x-match": "all"}),
              "never": bound(ch, exchange, "", arguments={"x-match": "any"})}
        for given, to in (({"a": 1, "b": "two"}, ["all", "any", "default", "none"]), ({"a": 1}, ["any", "none"]),
                          ({"b": "two", "c": 7}, ["any", "there", "none"]), ({"a": "1"}, ["none"]), ({}, ["none"]),
                          ({"a": 2, "b": "three"}, ["none"]), ({"a": ("l", 1), "b": "two"}, ["all", "any", "default", "none"])):
            routes(ch, exchange, "", {"of": of, "to": to}, headers=given)


@scenario("headers: x-match all-with-x and any-with-x look at x- headers as well")
def headers_with_x(ctx):
    with confirming(ctx) as ch:
        exchange = ch.exchange(ctx.name("x"), "headers", auto_delete=True)
        of = {kind: bound(ch, exchange, "", arguments={"x-match": kind, "x-key": "v", "a": 1})
              for kind in ("all", "any", "all-with-x", "any-with-x")}
        for given, to in (({"x-key": "v", "a": 1}, ["all", "any", "all-with-x", "any-with-x"]), ({"a": 1}, ["all", "any", "any-with-x"]),
                          ({"x-key": "v"}, ["any-with-x"])):
            routes(ch, exchange, "", {"of": of, "to": to}, headers=given)


@scenario("a wrong x-match is refused")
def wrong_match(ctx):
    with channel(ctx) as ch:
        queue = ch.declare(exclusive=True).queue
        error = refused(406, "PRECONDITION_FAILED - Invalid x-match field value <<\"some\">>; expected all, any, all-with-x, "
                        "or any-with-x", ch.bind, queue, "amq.headers", "", {"x-match": "some"})
        true(not error.of_connection, "the connection was closed")


@scenario("alternate exchange: what finds no queue goes there, and counts as routed")
def alternate(ctx):
    with confirming(ctx) as ch:
        other = ch.exchange(ctx.name("other"), "fanout", auto_delete=True)
        exchange = ch.exchange(ctx.name("x"), "direct", {"alternate-exchange": other})
        of = {"direct": bound(ch, exchange, "k"), "other": bound(ch, other, "")}
        routes(ch, exchange, "k", {"of": of, "to": ["direct"]})
        routes(ch, exchange, "else", {"of": of, "to": ["other"]})
        ch.publish(exchange, "else", b"x", mandatory=True)
        equal(ch.next().name, "basic.ack", "answer")
        ch.call("exchange.delete", exchange=exchange)


@scenario("alternate exchanges in a circle, or missing, do no harm")
def alternate_circle(ctx):
    with confirming(ctx) as ch:
        one, two = ctx.name("x"), ctx.name("x")
        ch.exchange(one, "direct", {"alternate-exchange": two}, auto_delete=True)
        ch.exchange(two, "direct", {"alternate-exchange": one}, auto_delete=True)
        queue = bound(ch, two, "k")
        publish_all(ch, "nowhere", b"x", exchange=one)
        publish_all(ch, "k", b"y", exchange=one)
        equal(ch.drain(queue), [b"y"], "bodies")
        lonely = ch.exchange(ctx.name("x"), "direct", {"alternate-exchange": ctx.name("missing")})
        publish_all(ch, "k", b"x", exchange=lonely)
        for exchange in (one, two, lonely):
            ch.call("exchange.delete", exchange=exchange)


@scenario("exchanges bound to exchanges: through all, each queue once, also in a circle")
def exchange_to_exchange(ctx):
    with confirming(ctx) as ch:
        source, middle, end = (ch.exchange(ctx.name("x"), kind) for kind in ("topic", "fanout", "direct"))
        ch.call("exchange.bind", destination=middle, source=source, routing_key="a.#")
        ch.call("exchange.bind", destination=end, source=middle)
        ch.call("exchange.bind", destination=source, source=end, routing_key="a.b")
        of = {"end": bound(ch, end, "a.b"), "middle": bound(ch, middle, "")}
        ch.bind(of["end"], source, "#.b")
        routes(ch, source, "a.b", {"of": of, "to": ["end", "middle"]})
        routes(ch, source, "a.c", {"of": of, "to": ["middle"]})
        routes(ch, source, "c.b", {"of": of, "to": ["end"]})
        ch.call("exchange.unbind", destination=middle, source=source, routing_key="a.#")
        routes(ch, source, "a.c", {"of": of, "to": []})
        for exchange in (source, middle, end):
            ch.call("exchange.delete", exchange=exchange)


@scenario("mandatory: returned with 312 before it is confirmed, the content untouched")
def mandatory(ctx):
    with confirming(ctx) as ch:
        exchange = ch.exchange(ctx.name("x"), "direct", auto_delete=True)
        queue = bound(ch, exchange, "k")
        for i in range(20):
            ch.publish(exchange, "nowhere", b"body-%d" % i, mandatory=True, message_id=str(i), headers={"h": i})
        returned = confirmed = 0
        while confirmed < 20:
            back = ch.next("basic.return", "basic.ack")
            if back.name == "basic.ack":
                confirmed = back.tag
                true(confirmed <= returned, f"{back} after {returned} returns")
                continue
            i, returned = returned, returned + 1
            equal((back.code, back.text, back.exchange, back.routing_key), (312, "NO_ROUTE", exchange, "nowhere"), "return")
            equal((back.body, back.properties["message_id"], back.headers), (b"body-%d" % i, str(i), {"h": i}), "content")
        ch.publish(exchange, "k", b"found", mandatory=True)
        equal(ch.next().name, "basic.ack", "answer to a routed one")
        publish_all(ch, "nowhere", b"dropped", exchange=exchange)
        equal(ch.drain(queue), [b"found"], "bodies")


@scenario("mandatory without confirms, and a body of several frames returned")
def mandatory_large(ctx):
    body = os.urandom(300000)
    with channel(ctx) as ch:
        ch.publish("", ctx.name("missing"), body, mandatory=True)
        true(ch.next("basic.return").body == body, "another body")


@scenario("CC and BCC: more routing keys, of which BCC is taken out")
def cc(ctx):
    with confirming(ctx) as ch:
        to, copy, blind = (ch.declare(exclusive=True).queue for _ in range(3))
        publish_all(ch, to, b"x", headers={"CC": [copy, to], "BCC": [blind], "other": 1})
        for queue in (to, copy, blind):
            got = ch.get(queue)
            equal(got.headers, {"CC": [copy, to], "other": 1}, f"headers in {queue}")
            equal(got.routing_key, to, "routing key")
            equal(ch.get(queue), None, "no second one")


@scenario("CC that is no array is refused")
def wrong_cc(ctx):
    with channel(ctx) as ch:
        ch.publish("", "x", b"x", headers={"CC": "text"})
        error = raises(Closed, ch.next)
        true(error.code == 406 and "CC" in error.text, str(error))


@scenario("every property and every type of header value passes untouched")
def untouched(ctx):
    with confirming(ctx) as ch:
        queue = ch.declare(exclusive=True).queue
        values = {"t": ("t", True), "b": ("b", -5), "B": ("B", 200), "s": ("s", -300), "u": ("u", 60000), "I": ("I", -70000),
                  "i": ("i", 4000000000), "l": ("l", -1 << 60), "f": ("f", 1.5), "d": ("d", 1e100), "D": ("D", (2, 31415)),
                  "S": ("S", "text\u00e9"), "T": ("T", 1700000000), "x": ("x", b"\0\xff"), "V": ("V", None),
                  "F": ("F", {"inner": ("F", {"deep": ("A", [("I", 1), ("S", "a"), ("F", {})])})}), "A": ("A", [])}
        given = {"content_type": "text/plain", "content_encoding": "utf-8", "headers": values, "delivery_mode": 1,
                 "priority": 3, "correlation_id": "c", "reply_to": "r", "message_id": "m",
                 "timestamp": 1700000001, "type": "t", "user_id": "guest", "app_id": "a", "cluster_id": "k"}
        publish_all(ch, queue, b"x", **given)
        got = ch.get(queue)
        equal(dict(got.properties), given, "properties")
        publish_all(ch, queue, b"")
        got = ch.get(queue)
        equal((got.body, got.properties), (b"", {}), "an empty message")


@scenario("user-id must be the user's own")
def user_id(ctx):
    with channel(ctx) as ch:
        ch.publish("", "x", b"x", user_id="somebody")
        refused(406, "PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was 'guest'", ch.next)


# ---- kinds that RabbitMQ has as plugins

@scenario("x-consistent-hash: each key goes to one queue, all queues get some")
def consistent_hash(ctx):
    with confirming(ctx) as ch:
        exchange = ch.exchange(ctx.name("x"), "x-consistent-hash", auto_delete=True)
        queues = [bound(ch, exchange, "10") for _ in range(3)]
        for i in range(180):
            publish_all(ch, f"key-{i % 90}", b"%d" % (i % 90), exchange=exchange)
        found = [ch.drain(queue) for queue in queues]
        true(all(len(part) >= 10 for part in found), f"shares {[len(part) for part in found]}")
        equal(sum(len(set(part)) for part in found), 90, "keys that have one home")


@scenario("x-random: one queue for each message, all get some")
def random_exchange(ctx):
    with confirming(ctx) as ch:
        exchange = ch.exchange(ctx.name("x"), "x-random", auto_delete=True)
        queues = [bound(ch, exchange, "") for _ in range(3)]
        publish_all(ch, "k", *(b"x" for _ in range(90)), exchange=exchange)
        found = [len(ch.drain(queue)) for queue in queues]
        equal(sum(found), 90, "messages")
        true(min(found) >= 5, f"shares {found}")


@scenario("x-delayed-message: after x-delay, routed by the kind that x-delayed-type names")
def delayed(ctx):
    if ctx.external:
        raise Skip("a plugin that is not everywhere")
    with confirming(ctx) as ch:
        exchange = ch.exchange(ctx.name("x"), "x-delayed-message", {"x-delayed-type": "topic"}, auto_delete=True)
        queue = bound(ch, exchange, "a.#")
        other = ch.connection.channel()
        other.consume(queue, no_ack=True)
        began = time.monotonic()
        for delay in (400, 100, 200):
            publish_all(ch, "a.b", b"%d" % delay, exchange=exchange, headers={"x-delay": delay})
        publish_all(ch, "a.c", b"0", exchange=exchange)
        publish_all(ch, "b.c", b"nowhere", exchange=exchange, headers={"x-delay": 50})
        for delay in (0, 100, 200, 400):
            got = other.next("basic.deliver")
            took = (time.monotonic() - began) * 1000
            equal(got.body, b"%d" % delay, "body")
            true(delay <= took + 1 < delay + 300, f"delay {delay}: came after {took:.0f} ms")
        other.silent(0.1)


if __name__ == "__main__":
    main(os.environ.get("CLIENT", "amqp-routing"))
