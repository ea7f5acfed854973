"""What ends a message otherwise than an acknowledgement: TTL, length, dead letters; and priorities."""

import os
import time

from amqp_expect import channel, confirming, deliveries, publish_all, ready
from amqp_wire import Closed
from harness.scenario import Skip, equal, eventually, main, raises, scenario, true

def numbers(start, end):
    return [b"%d" % i for i in range(start, end)]


def graves(ch, ctx, arguments=None, **flags):
    """(queue, its dead letters' queue)"""
    grave = ch.declare(exclusive=True).queue
    dying = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": grave, **(arguments or {})}
    return ch.declare(ctx.name("q"), dying, exclusive=True, **flags).queue, grave


def took_ms(began):
    return (time.monotonic() - began) * 1000


# ---- time

@scenario("x-message-ttl: gone in time, never delivered late")
def queue_ttl(ctx):
    with confirming(ctx) as ch:
        queue = ch.declare(exclusive=True, arguments={"x-message-ttl": 150}).queue
        publish_all(ch, queue, *numbers(0, 10))
        equal(ch.get(queue).body, b"0", "a message in time")
        eventually(lambda: ch.count(queue)[0] == 0, 1, "all gone")
        equal(ch.get(queue), None, "after the time")


@scenario("expiration of a message; the shorter of both times holds")
def message_ttl(ctx):
    with confirming(ctx) as ch:
        queue, grave = graves(ch, ctx, {"x-message-ttl": 400})
        ch.consume(grave, no_ack=True)
        began = time.monotonic()
        publish_all(ch, queue, b"short", expiration="150")
        equal(ch.next("basic.deliver").body, b"short", "body")
        true(150 <= took_ms(began) + 1 < 300, f"short took {took_ms(began):.0f} ms")
        began = time.monotonic()
        publish_all(ch, queue, b"long", expiration="60000")
        equal(ch.next("basic.deliver").body, b"long", "body")
        true(400 <= took_ms(began) + 1 < 600, f"long took {took_ms(began):.0f} ms")


@scenario("dead-lettered soon after the time on an idle queue")
def precise(ctx):
    with confirming(ctx) as ch:
        queue, grave = graves(ch, ctx)
        ch.consume(grave, no_ack=True)
        late = []
        for ttl in (1, 20, 55, 100, 133):
            began = time.monotonic()
            ch.publish("", queue, b"x", expiration=str(ttl))
            ch.wait_for("basic.deliver")
            late.append(took_ms(began) - ttl)
        true(min(late) >= -1, f"earlier than told: {late}")
        true(sorted(late)[2] < 30, f"late by {late} ms")


@scenario("a time of 0: only for a consumer that waits")
def zero_ttl(ctx):
    with confirming(ctx) as ch:
        queue = ch.declare(exclusive=True).queue
        publish_all(ch, queue, b"nobody", expiration="0")
        equal(ch.get(queue), None, "message for nobody")
        other = ch.connection.channel()
        other.consume(queue, no_ack=True)
        publish_all(ch, queue, b"somebody", expiration="0")
        equal(other.next("basic.deliver").body, b"somebody", "body")
        equal(ch.count(queue)[0], 0, "left")


@scenario("an expiration that is no number closes the channel with 406")
def bad_expiration(ctx):
    for given in ("soon", "-1", "1.5", ""):
        with channel(ctx) as ch:
            ch.publish("", "x", b"x", expiration=given)
            error = raises(Closed, ch.next)
            true(error.text.startswith(f"PRECONDITION_FAILED - invalid expiration '{given}': "), str(error))
            equal((error.code, error.of_connection), (406, False), "code")


@scenario("what a consumer holds does not expire, what it gives back does")
def held(ctx):
    with confirming(ctx) as ch:
        queue, grave = graves(ch, ctx, {"x-message-ttl": 100})
        publish_all(ch, queue, b"1")
        got = ch.get(queue, no_ack=False)
        time.sleep(0.3)
        equal(ch.count(grave)[0], 0, "dead letters")
        ch.send("basic.nack", tag=got.tag, requeue=True)
        ready(ch, grave, 1, 1)
        equal(ch.get(grave).headers["x-death"][0]["reason"], "expired", "reason")


# ---- length

@scenario("x-max-length drops the oldest; what consumers hold does not count")
def max_length(ctx):
    with confirming(ctx) as ch:
        queue = ch.declare(exclusive=True, arguments={"x-max-length": 3}).queue
        publish_all(ch, queue, *numbers(0, 5))
        equal(ch.count(queue)[0], 3, "ready")
        equal(ch.get(queue, no_ack=False).body, b"2", "the oldest")
        publish_all(ch, queue, b"5")
        equal(ch.drain(queue), [b"3", b"4", b"5"], "bodies")


@scenario("x-max-length-bytes counts bodies; one that is larger than all is not kept, nor any with x-max-length 0")
def max_bytes(ctx):
    with confirming(ctx) as ch:
        queue = ch.declare(exclusive=True, arguments={"x-max-length-bytes": 100}).queue
        publish_all(ch, queue, b"a" * 60, b"b" * 40, b"c" * 1)
        equal(ch.drain(queue), [b"b" * 40, b"c"], "bodies")
        publish_all(ch, queue, b"d" * 101)
        equal(ch.drain(queue), [], "bodies after one that is larger than all")
        none = ch.declare(exclusive=True, arguments={"x-max-length": 0}).queue
        publish_all(ch, none, b"x")
        equal(ch.drain(none), [], "bodies of a queue of length 0")


@scenario("reject-publish: what does not fit is nacked, and accepted again when there is room")
def reject_publish(ctx):
    with confirming(ctx) as ch:
        queue = ch.declare(exclusive=True, arguments={"x-max-length": 2, "x-overflow": "reject-publish"}).queue
        equal([ch.confirmed("", queue, body) for body in numbers(0, 4)], ["basic.ack"] * 2 + ["basic.nack"] * 2, "answers")
        equal(ch.get(queue).body, b"0", "the oldest")
        equal(ch.confirmed("", queue, b"4"), "basic.ack", "answer when there is room")
        equal(ch.drain(queue), [b"1", b"4"], "bodies")


@scenario("reject-publish in one of two queues: nacked, and yet in the other")
def reject_one_of_two(ctx):
    with confirming(ctx) as ch:
        exchange = ch.exchange(ctx.name("x"), "fanout", auto_delete=True)
        full = ch.declare(exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}).queue
        free = ch.declare(exclusive=True).queue
        ch.bind(full, exchange)
        ch.bind(free, exchange)
        equal([ch.confirmed(exchange, "", body) for body in (b"1", b"2")], ["basic.ack", "basic.nack"], "answers")
        equal([ch.drain(full), ch.drain(free)], [[b"1"], [b"1", b"2"]], "bodies")


@scenario("reject-publish-dlx: what does not fit is a dead letter as well")
def reject_publish_dlx(ctx):
    with confirming(ctx) as ch:
        queue, grave = graves(ch, ctx, {"x-max-length": 1, "x-overflow": "reject-publish-dlx"})
        equal([ch.confirmed("", queue, body) for body in (b"1", b"2")], ["basic.ack", "basic.nack"], "answers")
        ready(ch, grave, 1)
        got = ch.get(grave)
        equal((got.body, got.headers["x-death"][0]["reason"]), (b"2", "maxlen"), "dead letter")


# ---- dead letters

@scenario("x-death of a rejected message: every field, its type and order")
def death_rejected(ctx):
    with confirming(ctx) as ch:
        queue, grave = graves(ch, ctx)
        publish_all(ch, queue, b"x", headers={"mine": 1}, message_id="m")
        ch.send("basic.reject", tag=ch.get(queue, no_ack=False).tag, requeue=False)
        ready(ch, grave, 1)
        got = ch.get(grave)
        equal((got.exchange, got.routing_key, got.body, got.properties["message_id"]), ("", grave, b"x", "m"), "message")
        headers = got.properties["headers"]
        equal({key: value for key, value in headers.items() if key != "x-death"},
              {"mine": ("I", 1), "x-first-death-exchange": ("S", ""), "x-first-death-queue": ("S", queue),
               "x-first-death-reason": ("S", "rejected"), **last_death(headers, queue, "rejected", "")}, "other headers")
        tag, deaths = headers["x-death"]
        equal((tag, len(deaths), deaths[0][0]), ("A", 1, "F"), "x-death")
        death = deaths[0][1]
        equal(death.pop("time")[0], "T", "type of time")
        equal(death, {"count": ("l", 1), "reason": ("S", "rejected"), "queue": ("S", queue), "exchange": ("S", ""),
                      "routing-keys": ("A", [("S", queue)])}, "x-death")


def last_death(headers, queue, reason, exchange):
    """x-last-death-*, which RabbitMQ has since 3.13; an older one is not asked for them."""
    if "x-last-death-queue" not in headers and os.environ.get("OLD_RABBITMQ"):
        return {}
    return {"x-last-death-exchange": ("S", exchange), "x-last-death-queue": ("S", queue), "x-last-death-reason": ("S", reason)}


@scenario("x-death of an expired message: original-expiration, and the expiration is gone")
def death_expired(ctx):
    with confirming(ctx) as ch:
        exchange = ch.exchange(ctx.name("x"), "direct", auto_delete=True)
        queue, grave = graves(ch, ctx)
        ch.bind(queue, exchange, "k")
        began = int(time.time())
        publish_all(ch, "k", b"x", exchange=exchange, expiration="30", headers={"CC": ["copy"], "BCC": ["blind"]})
        ready(ch, grave, 1)
        got = ch.get(grave)
        true("expiration" not in got.properties, "it still has an expiration")
        death = got.headers["x-death"][0]
        true(began - 1 <= death.pop("time") <= time.time() + 1, "time")
        equal(death, {"count": 1, "reason": "expired", "queue": queue, "exchange": exchange, "routing-keys": ["k", "copy"],
                      "original-expiration": "30"}, "x-death")


@scenario("x-death of a dropped message says maxlen")
def death_maxlen(ctx):
    with confirming(ctx) as ch:
        queue, grave = graves(ch, ctx, {"x-max-length": 1})
        publish_all(ch, queue, b"1", b"2")
        ready(ch, grave, 1)
        got = ch.get(grave)
        equal((got.body, got.headers["x-death"][0]["reason"]), (b"1", "maxlen"), "dead letter")


@scenario("deaths in several queues: the latest first, each queue and reason once, counted")
def deaths(ctx):
    with confirming(ctx) as ch:
        one, two = ctx.name("one"), ctx.name("two")
        for queue, other in ((one, two), (two, one)):
            ch.declare(queue, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": other}, exclusive=True)
        publish_all(ch, one, b"x")
        for turn in range(5):
            queue = (one, two)[turn % 2]
            ready(ch, queue, 1)
            ch.send("basic.reject", tag=ch.get(queue, no_ack=False).tag, requeue=False)
        ready(ch, two, 1)
        got = ch.get(two)
        equal([(death["queue"], death["count"], death["reason"]) for death in got.headers["x-death"]],
              [(one, 3, "rejected"), (two, 2, "rejected")], "x-death")
        equal(got.headers["x-first-death-queue"], one, "x-first-death-queue")


@scenario("a circle of dead letters without a rejection ends, with one it goes on")
def circle(ctx):
    with confirming(ctx) as ch:
        queue = ctx.name("q")
        ch.declare(queue, {"x-dead-letter-exchange": "", "x-message-ttl": 50}, exclusive=True)
        publish_all(ch, queue, b"x")
        time.sleep(0.3)
        equal(ch.count(queue)[0], 0, "messages that expire into their own queue")
        wait, work = ctx.name("wait"), ctx.name("work")
        ch.declare(wait, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": work, "x-message-ttl": 30}, exclusive=True)
        ch.declare(work, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": wait}, exclusive=True)
        publish_all(ch, work, b"retry")
        for turn in range(4):
            ready(ch, work, 1)
            got = ch.get(work, no_ack=False)
            counts = {(d["queue"], d["reason"]): d["count"] for d in got.headers["x-death"]} if turn else {}
            equal(counts, {(wait, "expired"): turn, (work, "rejected"): turn} if turn else {}, "x-death")
            ch.send("basic.reject", tag=got.tag, requeue=False)


@scenario("an x-death that a client gives is counted on")
def own_death(ctx):
    with confirming(ctx) as ch:
        queue, grave = graves(ch, ctx)
        for turn in (1, 2, 3):
            headers = {}
            if turn > 1:
                headers = dict(got.properties["headers"])
            publish_all(ch, queue, b"x", headers=headers)
            ch.send("basic.nack", tag=ch.get(queue, no_ack=False).tag, requeue=False)
            ready(ch, grave, 1)
            got = ch.get(grave)
            equal([death["count"] for death in got.headers["x-death"]], [turn], "count")


@scenario("nested headers survive being dead-lettered twice")
def nested(ctx):
    with confirming(ctx) as ch:
        queue, grave = graves(ch, ctx)
        mine = {"table": ("F", {"list": ("A", [("D", (2, 314)), ("F", {"x": ("x", b"\0\1")}), ("V", None)])}),
                "short": ("s", 5), "time": ("T", 1700000000), "float": ("f", 0.5), "u": ("B", 7)}
        publish_all(ch, queue, b"x", headers=mine)
        for turn in range(2):
            ch.send("basic.reject", tag=ch.get(queue, no_ack=False).tag, requeue=False)
            ready(ch, grave, 1)
            got = ch.get(grave)
            equal({key: value for key, value in got.properties["headers"].items() if key in mine}, mine, f"headers, turn {turn}")
            publish_all(ch, queue, got.body, headers=dict(got.properties["headers"]))


@scenario("without a dead-letter key the message keeps its own, CC too; a missing exchange loses it")
def death_key(ctx):
    with confirming(ctx) as ch:
        exchange = ch.exchange(ctx.name("x"), "topic", auto_delete=True)
        grave = ch.declare(exclusive=True).queue
        ch.bind(grave, exchange, "#")
        queue = ch.declare(ctx.name("q"), {"x-dead-letter-exchange": exchange}, exclusive=True).queue
        ch.bind(queue, "amq.direct", queue + ".key")
        publish_all(ch, queue + ".key", b"x", exchange="amq.direct")
        ch.send("basic.reject", tag=ch.get(queue, no_ack=False).tag, requeue=False)
        ready(ch, grave, 1)
        got = ch.get(grave)
        equal((got.exchange, got.routing_key), (exchange, queue + ".key"), "exchange and key")
        lost = ch.declare(ctx.name("q"), {"x-dead-letter-exchange": ctx.name("missing")}, exclusive=True).queue
        publish_all(ch, lost, b"x")
        ch.send("basic.reject", tag=ch.get(lost, no_ack=False).tag, requeue=False)
        equal(ch.count(lost)[0], 0, "messages left")


@scenario("deletion and purge of a queue make no dead letters")
def no_death(ctx):
    with confirming(ctx) as ch:
        queue, grave = graves(ch, ctx)
        publish_all(ch, queue, b"1", b"2")
        ch.call("queue.purge", queue=queue)
        publish_all(ch, queue, b"3")
        ch.call("queue.delete", queue=queue)
        time.sleep(0.1)
        equal(ch.count(grave)[0], 0, "dead letters")


@scenario("many dead letters at once keep their order")
def many_deaths(ctx):
    with confirming(ctx) as ch:
        queue, grave = graves(ch, ctx)
        for i in range(500):
            ch.publish("", queue, b"%d" % i)
        other = ch.connection.channel()
        ready(other, queue, 500)
        other.consume(queue)
        last = deliveries(other, 500)[-1]
        other.send("basic.nack", tag=last.tag, multiple=True, requeue=False)
        ready(other, grave, 500)
        equal(other.drain(grave), numbers(0, 500), "bodies")


# ---- priorities

@scenario("priorities: the highest first, equal ones in order, what is above the maximum counts as it")
def priorities(ctx):
    with confirming(ctx) as ch:
        queue = ch.declare(exclusive=True, arguments={"x-max-priority": 10}).queue
        for body, priority in ((b"low", 1), (b"none", None), (b"high", 9), (b"max", 10), (b"beyond", 200), (b"high2", 9), (b"zero", 0)):
            publish_all(ch, queue, body, **({} if priority is None else {"priority": priority}))
        equal(ch.drain(queue), [b"max", b"beyond", b"high", b"high2", b"low", b"none", b"zero"], "order")


@scenario("priorities: a late urgent message overtakes what waits, not what was delivered; requeued ones keep theirs")
def urgent(ctx):
    with confirming(ctx) as ch:
        queue = ch.declare(exclusive=True, arguments={"x-max-priority": 255}).queue
        publish_all(ch, queue, *numbers(0, 4), priority=1)
        worker = ch.connection.channel()
        worker.call("basic.qos", prefetch_count=1)
        worker.consume(queue)
        first = worker.next("basic.deliver")
        publish_all(ch, queue, b"urgent", priority=255)
        worker.send("basic.nack", tag=first.tag, requeue=True)
        got = []
        for _ in range(5):
            event = worker.next("basic.deliver")
            got.append(event.body)
            worker.send("basic.ack", tag=event.tag)
        equal(got, [b"urgent"] + numbers(0, 4), "order")


@scenario("priorities and length: the least urgent is dropped, where RabbitMQ drops the most urgent")
def priority_overflow(ctx):
    with confirming(ctx) as ch:
        queue = ch.declare(exclusive=True, arguments={"x-max-priority": 5, "x-max-length": 2}).queue
        for body, priority in ((b"a", 5), (b"b", 1), (b"c", 3)):
            publish_all(ch, queue, body, priority=priority)
        equal(ch.drain(queue), [b"c", b"b"] if ctx.external else [b"a", b"c"], "bodies")


# ---- delivery limits and retries

@scenario("x-delivery-limit of a quorum queue: after so many returns a dead letter")
def delivery_limit(ctx):
    with confirming(ctx) as ch:
        grave = ch.declare(exclusive=True).queue
        queue = ch.declare(ctx.name("q"), {"x-queue-type": "quorum", "x-delivery-limit": 2, "x-dead-letter-exchange": "",
                                           "x-dead-letter-routing-key": grave}, durable=True).queue
        publish_all(ch, queue, b"x")
        worker = ch.connection.channel()
        worker.consume(queue)
        for turn in range(3):
            event = worker.next("basic.deliver")
            equal((event.redelivered, event.headers.get("x-delivery-count") if event.properties.get("headers") else None),
                  (turn > 0, turn or None), "redelivered and count")
            worker.send("basic.nack", tag=event.tag, requeue=True)
        ready(ch, grave, 1)
        equal(ch.get(grave).headers["x-death"][0]["reason"], "delivery_limit", "reason")
        ch.call("queue.delete", queue=queue)


@scenario("x-max-retries: back after a growing delay, then a dead letter with its history", timeout=40)
def retries(ctx):
    if ctx.external:
        raise Skip("ours")
    with confirming(ctx) as ch:
        grave = ch.declare(exclusive=True).queue
        queue = ch.declare(ctx.name("q"), {"x-max-retries": 3, "x-delayed-retry-type": "failed", "x-delayed-retry-min": 100,
                                           "x-delayed-retry-max": 200, "x-dead-letter-exchange": "",
                                           "x-dead-letter-routing-key": grave}, exclusive=True).queue
        worker = ch.connection.channel()
        worker.consume(queue)
        publish_all(ch, queue, b"x")
        last = time.monotonic()
        for least in (0, 100, 200, 200):
            event = worker.next("basic.deliver")
            true(least <= took_ms(last) + 1 < least + 300, f"came after {took_ms(last):.0f} ms, wanted {least}")
            last = time.monotonic()
            worker.send("basic.reject", tag=event.tag, requeue=False)
        ready(ch, grave, 1)
        got = ch.get(grave)
        equal((got.body, got.headers["x-death"][0]["reason"], got.headers["x-death"][0]["queue"]),
              (b"x", "delivery_limit", queue), "dead letter")


if __name__ == "__main__":
    main(os.environ.get("CLIENT", "amqp-limits"))
