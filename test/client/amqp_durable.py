"""What a stop and a kill of the broker leave of exchanges, queues, bindings and messages."""

import os
import threading
import time

from amqp_expect import confirming, publish_all, ready, refused
from amqp_wire import Closed, Connection, Gone
from harness.control import Control
from harness.scenario import equal, eventually, main, raises, scenario, true

LIMIT_S = 120  # other brokers take their time


def numbers(start, end):
    return [b"%d" % i for i in range(start, end)]


def reconnected(ctx):
    """A channel of a broker that has just been started: its port may answer before it serves."""
    def attempt():
        try:
            return Connection(ctx.bootstrap).channel()
        except (Gone, Closed, OSError):
            return None
    return eventually(attempt, 30, "a connection")


def furniture(ch, ctx, **arguments):
    """(exchange, queue) that are durable, bound with the key k."""
    exchange, queue = ctx.name("x"), ctx.name("q")
    ch.exchange(exchange, "topic", durable=True)
    ch.declare(queue, arguments, durable=True)
    ch.bind(queue, exchange, "k.#")
    return exchange, queue


def removed(ch, exchange, queue):
    ch.call("queue.delete", queue=queue)
    ch.call("exchange.delete", exchange=exchange)


@scenario("a stop tells connections 320, and durable queues keep their persistent messages", LIMIT_S)
def stop(ctx):
    control = Control()
    with confirming(ctx) as ch:
        exchange, queue = furniture(ch, ctx)
        publish_all(ch, "k.1", *numbers(0, 50), exchange=exchange, delivery_mode=2, headers={"a": 1}, message_id="m")
        publish_all(ch, "k.1", b"transient", exchange=exchange, delivery_mode=1)
        fleeting = ch.declare(ctx.name("q")).queue
        passing = ch.exchange(ctx.name("x"), "direct")
        ch.exchange(ctx.name("x"), "direct", durable=True)
        control.stop()
        refused(320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'", ch.connection.until_closed)
    control.start()
    ch = reconnected(ctx)
    equal(ch.count(queue)[0], 50, "messages")
    first = ch.get(queue)
    equal((first.body, first.headers, first.properties["message_id"], first.routing_key, first.exchange),
          (b"0", {"a": 1}, "m", "k.1", exchange), "the first message")
    equal(ch.drain(queue), numbers(1, 50), "bodies")
    ch.call("confirm.select")
    publish_all(ch, "k.2", b"again", exchange=exchange)
    equal(ch.drain(queue), [b"again"], "a message through the binding")
    removed(ch, exchange, queue)
    refused(404, f"NOT_FOUND - no queue '{fleeting}' in vhost '/'", ch.declare, fleeting, passive=True)
    refused(404, f"NOT_FOUND - no exchange '{passing}' in vhost '/'", ch.connection.channel().call, "exchange.declare",
            exchange=passing, type="direct", passive=True)
    ch.connection.close()


@scenario("kill -9 loses no confirmed persistent message, and brings back none that was acknowledged and seen so", LIMIT_S)
def kill(ctx):
    control = Control()
    with confirming(ctx) as ch:
        exchange, queue = furniture(ch, ctx)
        other = ch.declare(ctx.name("q"), durable=True).queue
        ch.bind(other, exchange, "k.*")
        publish_all(ch, "k.1", *numbers(0, 40), exchange=exchange, delivery_mode=2)
        large = os.urandom(400000)
        publish_all(ch, "k.1", large, exchange=exchange, delivery_mode=2)
        held = [ch.get(queue, no_ack=False) for _ in range(10)]
        control.kill()
        raises(Gone, ch.connection.until_closed)
    control.start()
    ch = reconnected(ctx)
    equal(len(held), 10, "messages that were held")
    for name in (queue, other):
        got = ch.drain(name)
        equal(got[:-1], numbers(0, 40), f"bodies of {name}")
        true(got[-1] == large, "the large body is another")
    ch.call("queue.delete", queue=other)
    removed(ch, exchange, queue)
    ch.connection.close()


@scenario("what was acknowledged stays away after a stop, what was held comes back", LIMIT_S)
def acknowledged(ctx):
    control = Control()
    with confirming(ctx) as ch:
        exchange, queue = furniture(ch, ctx)
        publish_all(ch, "k", *numbers(0, 20), exchange=exchange, delivery_mode=2)
        for i in range(20):
            tag = ch.get(queue, no_ack=False).tag
            if i % 2:
                ch.send("basic.ack", tag=tag)
        ch.declare(queue, passive=True)
        control.stop()
    control.start()
    ch = reconnected(ctx)
    equal(ch.drain(queue), numbers(0, 20)[::2], "bodies")
    removed(ch, exchange, queue)
    ch.connection.close()


@scenario("arguments, bindings between exchanges and dead letters work on after a restart", LIMIT_S)
def arguments(ctx):
    control = Control()
    with confirming(ctx) as ch:
        grave = ch.declare(ctx.name("grave"), durable=True).queue
        dying = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": grave}
        exchange, queue = furniture(ch, ctx, **dying, **{"x-max-length": 3})
        outer = ch.exchange(ctx.name("x"), "fanout", durable=True)
        ch.call("exchange.bind", destination=exchange, source=outer, routing_key="")
        publish_all(ch, "k", *numbers(0, 4), exchange=outer, delivery_mode=2)
        ready(ch, grave, 1)
        # RabbitMQ does not wait for a dead letter to be on disk, so that a kill may lose it. Ours must not.
        control.stop() if ctx.external else control.kill()
    control.start()
    ch = reconnected(ctx)
    ch.call("confirm.select")
    publish_all(ch, "k", b"4", exchange=outer, delivery_mode=2)
    ready(ch, grave, 2)
    equal([ch.drain(grave), ch.drain(queue)], [numbers(0, 2), numbers(2, 5)], "dead letters and the rest")
    refused(406, f"PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue '{queue}' in vhost '/': received none but "
            "current is the value '3' of type 'signedint'", ch.connection.channel().declare, queue, dying, durable=True)
    removed(ch, exchange, queue)
    ch.call("exchange.delete", exchange=outer)
    ch.call("queue.delete", queue=grave)
    ch.connection.close()


@scenario("a time that began before a stop goes on, and what expired meanwhile is a dead letter", LIMIT_S)
def expired(ctx):
    control = Control()
    with confirming(ctx) as ch:
        grave = ch.declare(ctx.name("grave"), durable=True).queue
        exchange, queue = furniture(ch, ctx, **{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": grave})
        publish_all(ch, "k", b"soon", exchange=exchange, delivery_mode=2, expiration="300")
        publish_all(ch, "k", b"late", exchange=exchange, delivery_mode=2, expiration="3600000")
        control.stop()
    time.sleep(0.3)
    control.start()
    ch = reconnected(ctx)
    ready(ch, grave, 1)
    equal(ch.get(grave).headers["x-death"][0]["reason"], "expired", "reason")
    equal(ch.drain(queue), [b"late"], "left")
    removed(ch, exchange, queue)
    ch.call("queue.delete", queue=grave)
    ch.connection.close()


@scenario("a kill while publishing: all that was confirmed is there, in order", LIMIT_S)
def kill_publishing(ctx):
    control = Control()
    confirmed = 0
    with confirming(ctx) as ch:
        exchange, queue = furniture(ch, ctx)
        killer = threading.Timer(0.4, control.kill)
        killer.start()
        sent = 0
        try:
            while True:
                for _ in range(20):
                    ch.publish(exchange, "k", b"%d" % sent, delivery_mode=2)
                    sent += 1
                while confirmed < sent - 40:
                    event = ch.next("basic.ack")
                    true(event.multiple or event.tag == confirmed + 1 or event.tag <= sent, f"{event}")
                    confirmed = max(confirmed, event.tag) if event.multiple else confirmed + 1
        except (Gone, OSError):
            pass
        killer.join()
    control.start()
    ch = reconnected(ctx)
    found = [int(body) for body in ch.drain(queue)]
    true(confirmed > 0, "nothing was confirmed")
    equal(found[:confirmed], list(range(confirmed)), "confirmed messages")
    equal(found, sorted(set(found)), "order of all")
    removed(ch, exchange, queue)
    ch.connection.close()


if __name__ == "__main__":
    main(os.environ.get("CLIENT", "amqp-durable"))
