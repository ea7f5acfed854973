"""Names and declarations: exchanges, queues, bindings, what is equivalent, what is refused and in which words."""

import os
import re
import time

from amqp_expect import channel, confirming, publish_all, ready, refused
from amqp_wire import Closed, Connection
from harness.scenario import equal, eventually, main, raises, scenario, true


def again(ctx, code, text, name, **given):
    """The method on a fresh channel must close it with that code and text."""
    with channel(ctx) as ch:
        error = refused(code, text, ch.call, name, **given)
        true(not error.of_connection, "the connection was closed")


def queue_inequivalent(ctx, arguments, other, text):
    with channel(ctx) as ch:
        queue = ctx.name("q")
        ch.declare(queue, arguments)
        again(ctx, 406, f"PRECONDITION_FAILED - inequivalent arg {text.format(queue=queue)}", "queue.declare",
              queue=queue, arguments=other)
        ch.call("queue.delete", queue=queue)


# ---- queues

@scenario("declare-ok tells the name, the messages that are ready and the consumers")
def counts(ctx):
    with confirming(ctx) as ch:
        queue = ctx.name("q")
        found = ch.declare(queue, exclusive=True)
        equal((found.queue, found.messages, found.consumers), (queue, 0, 0), "new queue")
        publish_all(ch, queue, b"1", b"2", b"3")
        equal(ch.count(queue), (3, 0), "after three messages")
        ch.call("basic.qos", prefetch_count=1)
        ch.consume(queue)
        ch.next("basic.deliver")
        equal(ch.count(queue), (2, 1), "with one in the hands of a consumer")


@scenario("a queue that was not declared is not found: passive, get, consume, delete is silent, purge, bind")
def not_found(ctx):
    queue = ctx.name("missing")
    text = f"NOT_FOUND - no queue '{queue}' in vhost '/'"
    again(ctx, 404, text, "queue.declare", queue=queue, passive=True)
    again(ctx, 404, text, "basic.consume", queue=queue)
    again(ctx, 404, text, "queue.purge", queue=queue)
    again(ctx, 404, text, "queue.bind", queue=queue, exchange="amq.direct", routing_key="x")
    with channel(ctx) as ch:
        refused(404, text, ch.get, queue)
    with channel(ctx) as ch:
        equal(ch.call("queue.delete", queue=queue).messages, 0, "messages of a queue that is not there")


@scenario("server-named queues: amq.gen-, and the last one is meant by an empty name")
def server_named(ctx):
    with channel(ctx) as ch:
        name = ch.declare(exclusive=True).queue
        true(re.fullmatch(r"amq\.gen-[A-Za-z0-9_-]{22}", name), f"name {name}")
        ch.bind("", "amq.direct", name)
        ch.publish("amq.direct", name, b"x")
        ready(ch, name, 1)
        equal(ch.get("").body, b"x", "body")
        ch.consume("")
        equal(ch.count(name)[1], 1, "consumers")
    with channel(ctx) as ch:
        refused(404, "NOT_FOUND - no previously declared queue", ch.consume, "")


@scenario("names with a reserved prefix are refused")
def reserved(ctx):
    again(ctx, 403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'", "queue.declare", queue="amq.mine")
    again(ctx, 403, "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'", "exchange.declare",
          exchange="amq.mine", type="direct")


@scenario("names in any script, up to 255 bytes, and with spaces")
def odd_names(ctx):
    with channel(ctx) as ch:
        for name in ("очередь-日本語-🐒" + ctx.name(), " with space " + ctx.name(), (ctx.name() + "x" * 255)[:255]):
            equal(ch.declare(name, exclusive=True).queue, name, "name")
            ch.publish("", name, b"x")
            ready(ch, name, 1)


@scenario("CR and LF are taken out of names")
def stripped(ctx):
    with channel(ctx) as ch:
        name = ctx.name("q")
        equal(ch.declare(f"\r\n{name[:3]}\n{name[3:]}\r\n", exclusive=True).queue, name, "name")
        equal(ch.declare(name + "\n", passive=True).queue, name, "name, passive")
        exchange = ctx.name("x")
        ch.exchange(exchange + "\r\n", "fanout", auto_delete=True)
        ch.call("exchange.declare", exchange=exchange, type="fanout", passive=True)


@scenario("a repeated declaration with equal properties is answered, others are told what differs")
def equivalence(ctx):
    with channel(ctx) as ch:
        queue = ctx.name("q")
        ch.declare(queue, durable=True)
        ch.declare(queue, durable=True)
        start = f"PRECONDITION_FAILED - inequivalent arg '{{}}' for queue '{queue}' in vhost '/': received '{{}}' but current is '{{}}'"
        again(ctx, 406, start.format("durable", "false", "true"), "queue.declare", queue=queue)
        again(ctx, 406, start.format("auto_delete", "true", "false"), "queue.declare", queue=queue, durable=True, auto_delete=True)
        again(ctx, 405, f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. It could "
              "be originally declared on another connection or the exclusive property value does not match that of the "
              "original declaration.", "queue.declare", queue=queue, durable=True, exclusive=True)
        ch.call("queue.delete", queue=queue)


@scenario("arguments that differ are named with value and type")
def inequivalent(ctx):
    queue_inequivalent(ctx, {"x-max-priority": 10}, {}, "'x-max-priority' for queue '{queue}' in vhost '/': received none "
                       "but current is the value '10' of type 'signedint'")
    queue_inequivalent(ctx, {}, {"x-message-ttl": ("l", 5)}, "'x-message-ttl' for queue '{queue}' in vhost '/': received "
                       "the value '5' of type 'long' but current is none")
    queue_inequivalent(ctx, {"x-message-ttl": ("s", 10)}, {"x-message-ttl": ("B", 11)}, "'x-message-ttl' for queue "
                       "'{queue}' in vhost '/': received '11' but current is '10'")
    queue_inequivalent(ctx, {"x-dead-letter-exchange": "a"}, {"x-dead-letter-exchange": "b"}, "'x-dead-letter-exchange' "
                       "for queue '{queue}' in vhost '/': received 'b' but current is 'a'")


@scenario("numbers of any width are equal, unknown arguments are not compared, classic is the default type")
def equivalent(ctx):
    with channel(ctx) as ch:
        queue = ctx.name("q")
        for tag in "bBsuIl":
            ch.declare(queue, {"x-max-length": (tag, 10), "x-of-mine": ctx.name()})
        ch.declare(queue, {"x-max-length": 10})
        ch.declare(queue, {"x-max-length": 10, "x-queue-type": "classic"})
        ch.call("queue.delete", queue=queue)


@scenario("arguments with impossible values are refused")
def impossible(ctx):
    for key, value in (("x-message-ttl", -1), ("x-message-ttl", "10"), ("x-expires", 0), ("x-expires", -5),
                       ("x-max-length", -1), ("x-max-length-bytes", -1), ("x-max-priority", -1), ("x-max-priority", 256),
                       ("x-overflow", "nonsense"), ("x-dead-letter-exchange", 7), ("x-single-active-consumer", "yes"),
                       ("x-queue-type", "nonsense"), ("x-dead-letter-routing-key", 1)):
        with channel(ctx) as ch:
            error = raises(Closed, ch.declare, ctx.name("q"), {key: value})
            true(error.code == 406 and not error.of_connection, f"{key}={value!r}: {error}")
            true(key in error.text, f"{key}={value!r}: {error}")
    queue = ctx.name("q")
    again(ctx, 406, f"PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue '{queue}' in vhost '/': "
          "{value_negative,-1}", "queue.declare", queue=queue, arguments={"x-message-ttl": -1})
    again(ctx, 406, f"PRECONDITION_FAILED - invalid arg 'x-dead-letter-routing-key' for queue '{queue}' in vhost '/': "
          "routing_key_but_no_dlx_defined", "queue.declare", queue=queue, arguments={"x-dead-letter-routing-key": "k"})


@scenario("an exclusive queue is locked for other connections, and gone with its own")
def exclusive(ctx):
    queue = ctx.name("q")
    locked = (f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. It could be "
              "originally declared on another connection or the exclusive property value does not match that of the "
              "original declaration.")
    with channel(ctx) as owner:
        owner.declare(queue, exclusive=True, durable=True)
        owner.connection.channel().consume(queue)
        for name, given in (("queue.declare", {"passive": True}), ("queue.declare", {"exclusive": True}),
                            ("basic.consume", {}), ("queue.purge", {}), ("queue.delete", {}),
                            ("queue.bind", {"exchange": "amq.direct", "routing_key": "x"})):
            again(ctx, 405, locked, name, queue=queue, **given)
        owner.connection.close()
    with channel(ctx) as ch:
        refused(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'", ch.declare, queue, passive=True)


@scenario("an auto-delete queue goes with its last consumer, not before it had one")
def auto_delete(ctx):
    with channel(ctx) as ch, channel(ctx) as other:
        queue = ctx.name("q")
        ch.declare(queue, auto_delete=True)
        ch.publish("", queue, b"x")
        ready(ch, queue, 1)
        first = ch.consume(queue)
        second = other.consume(queue)
        ch.call("basic.cancel", consumer_tag=first)
        equal(ch.count(queue)[1], 1, "consumers left")
        other.call("basic.cancel", consumer_tag=second)
        refused(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'", ch.declare, queue, passive=True)
    with channel(ctx) as ch:
        queue = ch.declare(ctx.name("q"), auto_delete=True).queue
        with channel(ctx) as other:
            other.consume(queue)

        def gone():
            with channel(ctx) as probe:
                try:
                    probe.declare(queue, passive=True)
                except Closed as error:
                    return error.code == 404
            return False
        eventually(gone, 5, "deleted with the connection of its consumer")


@scenario("delete: if-unused, if-empty, and how many messages were in it")
def delete(ctx):
    with confirming(ctx) as ch:
        queue = ctx.name("q")
        ch.declare(queue)
        publish_all(ch, queue, b"1", b"2")
        again(ctx, 406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty", "queue.delete", queue=queue, if_empty=True)
        tag = ch.consume(queue, no_ack=False)
        again(ctx, 406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use", "queue.delete", queue=queue, if_unused=True)
        ch.call("basic.cancel", consumer_tag=tag)
        ch.call("basic.recover", requeue=True)
        ready(ch, queue, 2)
        equal(ch.call("queue.delete", queue=queue, if_unused=True).messages, 2, "messages")


@scenario("purge takes what is ready, and leaves what consumers hold")
def purge(ctx):
    with confirming(ctx) as ch:
        queue = ch.declare(exclusive=True).queue
        publish_all(ch, queue, b"1", b"2", b"3")
        equal(ch.get(queue, no_ack=False).body, b"1", "body")
        equal(ch.call("queue.purge", queue=queue).messages, 2, "purged")
        equal(ch.count(queue)[0], 0, "ready")
        ch.send("basic.nack", tag=1, requeue=True)
        ready(ch, queue, 1)


@scenario("nowait declarations, bindings and deletions happen in order and are not answered")
def nowait(ctx):
    with channel(ctx) as ch:
        queue, exchange = ctx.name("q"), ctx.name("x")
        ch.send("exchange.declare", exchange=exchange, type="direct", nowait=True)
        ch.send("queue.declare", queue=queue, exclusive=True, nowait=True)
        ch.send("queue.bind", queue=queue, exchange=exchange, routing_key="k", nowait=True)
        ch.publish(exchange, "k", b"x")
        ch.send("basic.consume", queue=queue, consumer_tag="mine", no_ack=True, nowait=True)
        equal(ch.next("basic.deliver").body, b"x", "body")
        ch.send("basic.cancel", consumer_tag="mine", nowait=True)
        ch.send("queue.purge", queue=queue, nowait=True)
        ch.send("exchange.delete", exchange=exchange, nowait=True)
        ch.send("queue.delete", queue=queue, nowait=True)
        ch.silent(0.1)
        refused(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'", ch.declare, queue, passive=True)


@scenario("x-expires: a queue nobody uses goes, one with a consumer stays")
def expires(ctx):
    with channel(ctx) as ch:
        unused, used = (ch.declare(ctx.name("q"), {"x-expires": 300}).queue for _ in range(2))
        ch.consume(used)
        time.sleep(0.6)
        equal(ch.count(used)[1], 1, "consumers of the queue in use")
        ch.call("queue.delete", queue=used)
        refused(404, f"NOT_FOUND - no queue '{unused}' in vhost '/'", ch.declare, unused, passive=True)


@scenario("x-expires begins again with a get or a declaration")
def expires_again(ctx):
    with channel(ctx) as ch:
        queue = ctx.name("q")
        ch.declare(queue, {"x-expires": 500})
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            ch.get(queue)
            time.sleep(0.1)
        ch.declare(queue, {"x-expires": 500})
        time.sleep(1)
        refused(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'", ch.declare, queue, passive=True)


# ---- exchanges

@scenario("the predeclared exchanges are there and durable")
def predeclared(ctx):
    with channel(ctx) as ch:
        for name, kind in (("amq.direct", "direct"), ("amq.fanout", "fanout"), ("amq.topic", "topic"),
                           ("amq.headers", "headers"), ("amq.match", "headers")):
            ch.call("exchange.declare", exchange=name, type=kind, passive=True, durable=True)
        for name, kind in (("amq.direct", "direct"), ("amq.match", "headers")):
            ch.call("exchange.declare", exchange=name, type=kind, durable=True)


@scenario("exchanges: not found, unknown type, what differs")
def exchange_refusals(ctx):
    exchange = ctx.name("x")
    missing = f"NOT_FOUND - no exchange '{exchange}' in vhost '/'"
    again(ctx, 404, missing, "exchange.declare", exchange=exchange, type="direct", passive=True)
    with channel(ctx) as ch:
        ch.publish(exchange, "k", b"x")
        refused(404, missing, ch.next)
    with Connection(ctx.bootstrap) as conn:
        error = raises(Closed, conn.channel().exchange, exchange, "nonsense")
        true(error.text.endswith("unknown exchange type 'nonsense'"), error.text)
        true(error.code in (406, 503), f"code {error.code}")  # 503 before RabbitMQ 4
    with channel(ctx) as ch:
        ch.exchange(exchange, "direct")
        ch.exchange(exchange, "direct")
        start = f"PRECONDITION_FAILED - inequivalent arg '{{}}' for exchange '{exchange}' in vhost '/': received '{{}}' but current is '{{}}'"
        again(ctx, 406, start.format("type", "topic", "direct"), "exchange.declare", exchange=exchange, type="topic")
        again(ctx, 406, start.format("durable", "true", "false"), "exchange.declare", exchange=exchange, type="direct", durable=True)
        again(ctx, 406, start.format("auto_delete", "true", "false"), "exchange.declare", exchange=exchange, type="direct", auto_delete=True)
        again(ctx, 406, start.format("internal", "true", "false"), "exchange.declare", exchange=exchange, type="direct", internal=True)
        again(ctx, 406, f"PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange '{exchange}' in vhost '/': "
              "received the value 'a' of type 'longstr' but current is none", "exchange.declare", exchange=exchange,
              type="direct", arguments={"alternate-exchange": "a"})
        ch.call("exchange.delete", exchange=exchange)
        ch.call("exchange.delete", exchange=exchange)  # of one that is not there


@scenario("the default exchange can neither be bound nor deleted, amq.* not deleted")
def untouchable(ctx):
    with channel(ctx) as ch:
        queue = ch.declare(ctx.name("q"), auto_delete=True).queue
        text = "ACCESS_REFUSED - operation not permitted on the default exchange"
        again(ctx, 403, text, "queue.bind", queue=queue, exchange="", routing_key="x")
        again(ctx, 403, text, "queue.unbind", queue=queue, exchange="", routing_key=queue)
        again(ctx, 403, text, "exchange.delete", exchange="")
        again(ctx, 403, text, "exchange.declare", exchange="", type="direct", passive=True)
        again(ctx, 403, "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
              "exchange.delete", exchange="amq.direct")
        ch.call("queue.delete", queue=queue)


@scenario("an exchange in use is not deleted if-unused, an auto-delete one goes with its last binding")
def exchange_unused(ctx):
    with channel(ctx) as ch:
        queue = ch.declare(exclusive=True).queue
        exchange = ch.exchange(ctx.name("x"), "direct", auto_delete=True)
        ch.bind(queue, exchange, "a")
        ch.bind(queue, exchange, "b")
        again(ctx, 406, f"PRECONDITION_FAILED - exchange '{exchange}' in vhost '/' in use", "exchange.delete",
              exchange=exchange, if_unused=True)
        ch.call("queue.unbind", queue=queue, exchange=exchange, routing_key="a")
        ch.exchange(exchange, "direct", auto_delete=True)
        ch.call("queue.unbind", queue=queue, exchange=exchange, routing_key="b")
        again(ctx, 404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'", "exchange.declare", exchange=exchange,
              type="direct", passive=True)


@scenario("an internal exchange can't be published to")
def internal(ctx):
    with channel(ctx) as ch:
        exchange = ch.exchange(ctx.name("x"), "fanout", internal=True)
        ch.publish(exchange, "", b"x")
        refused(403, f"ACCESS_REFUSED - cannot publish to internal exchange '{exchange}' in vhost '/'", ch.next)
    with channel(ctx) as ch:
        ch.call("exchange.delete", exchange=exchange)


@scenario("unbinding what is not bound is answered, binding to what is missing is not found")
def unbind(ctx):
    with channel(ctx) as ch:
        queue, missing = ch.declare(ctx.name("q"), auto_delete=True).queue, ctx.name("x")
        ch.call("queue.unbind", queue=queue, exchange="amq.direct", routing_key="never")
        ch.bind(queue, "amq.direct", "twice")
        ch.bind(queue, "amq.direct", "twice")
        ch.publish("amq.direct", "twice", b"x")
        ready(ch, queue, 1)
        text = f"NOT_FOUND - no exchange '{missing}' in vhost '/'"
        again(ctx, 404, text, "queue.bind", queue=queue, exchange=missing)
        again(ctx, 404, text, "exchange.bind", destination=missing, source="amq.direct")
        again(ctx, 404, text, "exchange.bind", destination="amq.direct", source=missing)
        ch.call("queue.delete", queue=queue)


if __name__ == "__main__":
    main(os.environ.get("CLIENT", "amqp-declaring"))
