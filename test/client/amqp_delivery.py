"""From the queue to the consumer and back: acknowledgements, prefetch, order, confirms, transactions, replies."""

import collections
import os
import time

from amqp_expect import bodies, channel, confirming, deliveries, publish_all, ready, refused
from amqp_wire import Connection, content, method
from harness.scenario import equal, eventually, main, scenario, true


def filled(ch, count, arguments=None, start=0):
    """A queue with the bodies "0", "1", ... in it."""
    queue = ch.declare(exclusive=True, arguments=arguments).queue
    publish_all(ch, queue, *(b"%d" % i for i in range(start, count)))
    return queue


def numbers(start, end):
    return [b"%d" % i for i in range(start, end)]


def seen(events):
    return [(event.body, event.redelivered) for event in events]


# ---- acknowledgements

@scenario("deliveries come in order, with tags from 1, not redelivered")
def ordered(ctx):
    with confirming(ctx) as ch:
        queue = filled(ch, 100)
        tag = ch.consume(queue)
        got = deliveries(ch, 100)
        equal(bodies(got), numbers(0, 100), "bodies")
        equal([event.tag for event in got], list(range(1, 101)), "tags")
        equal({(e.redelivered, e.consumer_tag, e.exchange, e.routing_key) for e in got}, {(False, tag, "", queue)}, "fields")
        ch.send("basic.ack", tag=100, multiple=True)
        ch.silent(0.1)
        equal(ch.count(queue), (0, 1), "ready and consumers")


@scenario("what was not acknowledged comes again after the channel ends, in order and marked")
def redelivered(ctx):
    with confirming(ctx) as ch:
        queue = filled(ch, 6)
        other = ch.connection.channel()
        other.consume(queue)
        got = deliveries(other, 6)
        other.send("basic.ack", tag=got[0].tag)
        other.send("basic.ack", tag=got[3].tag)
        other.close()
        ch.consume(queue)
        equal(seen(deliveries(ch, 4)), [(b"%d" % i, True) for i in (1, 2, 4, 5)], "deliveries")


@scenario("a connection that breaks gives back what it held, to other consumers too")
def broken(ctx):
    with confirming(ctx) as ch:
        queue = ctx.name("q")
        ch.declare(queue)
        publish_all(ch, queue, *numbers(0, 5))
        with channel(ctx) as other:
            other.consume(queue)
            deliveries(other, 5)
            ch.consume(queue)
        equal(seen(deliveries(ch, 5)), [(body, True) for body in numbers(0, 5)], "deliveries")
        ch.call("queue.delete", queue=queue)


@scenario("reject and nack with requeue: back to its place, marked as redelivered")
def requeue(ctx):
    with confirming(ctx) as ch:
        queue = filled(ch, 4)
        first, second, third = (ch.get(queue, no_ack=False) for _ in range(3))
        ch.send("basic.reject", tag=second.tag, requeue=True)
        ch.send("basic.nack", tag=first.tag, requeue=True)
        ready(ch, queue, 3)
        again = [ch.get(queue) for _ in range(3)]
        equal(seen(again), [(b"0", True), (b"1", True), (b"3", False)], "messages")
        ch.send("basic.ack", tag=third.tag)


@scenario("nack multiple takes all up to the tag; 0 means all")
def nack_multiple(ctx):
    with confirming(ctx) as ch:
        queue = filled(ch, 6)
        got = [ch.get(queue, no_ack=False) for _ in range(6)]
        ch.send("basic.nack", tag=got[2].tag, multiple=True, requeue=True)
        ready(ch, queue, 3)
        ch.send("basic.nack", tag=0, multiple=True, requeue=False)
        equal(ch.drain(queue), numbers(0, 3), "bodies that came back")


@scenario("ack of tag 0 with multiple where nothing is held is allowed")
def ack_nothing(ctx):
    with channel(ctx) as ch:
        ch.send("basic.ack", tag=0, multiple=True)
        ch.send("basic.nack", tag=0, multiple=True)
        ch.declare(exclusive=True)


@scenario("unknown delivery tags, and ones used twice, close the channel with 406")
def unknown_tags(ctx):
    with Connection(ctx.bootstrap) as conn:
        for name, given in (("basic.ack", {"tag": 5}), ("basic.nack", {"tag": 5}), ("basic.reject", {"tag": 5}),
                            ("basic.ack", {"tag": 5, "multiple": True})):
            ch = conn.channel()
            ch.send(name, **given)
            error = refused(406, "PRECONDITION_FAILED - unknown delivery tag 5", ch.next)
            true(not error.of_connection, "the connection was closed")
        ch = conn.channel()
        ch.call("confirm.select")
        queue = filled(ch, 1)
        tag = ch.get(queue, no_ack=False).tag
        ch.send("basic.ack", tag=tag)
        ch.send("basic.ack", tag=tag)
        refused(406, f"PRECONDITION_FAILED - unknown delivery tag {tag}", ch.next)


@scenario("a tag of another channel is unknown, and one of a no-ack consumer")
def foreign_tags(ctx):
    with Connection(ctx.bootstrap) as conn:
        one, two, three = (conn.channel() for _ in range(3))
        one.call("confirm.select")
        queue = filled(one, 2)
        one.get(queue, no_ack=False)
        two.send("basic.ack", tag=1)
        refused(406, "PRECONDITION_FAILED - unknown delivery tag 1", two.next)
        three.consume(queue, no_ack=True)
        three.next("basic.deliver")
        three.send("basic.ack", tag=1)
        refused(406, "PRECONDITION_FAILED - unknown delivery tag 1", three.next)


@scenario("recover gives back all that is held, in order")
def recover(ctx):
    with confirming(ctx) as ch:
        queue = filled(ch, 3)
        ch.consume(queue)
        deliveries(ch, 3)
        ch.send("basic.recover", requeue=True)
        names = [ch.next() for _ in range(4)]
        equal(sorted(event.name for event in names), ["basic.deliver"] * 3 + ["basic.recover-ok"], "answers")
        equal(seen(e for e in names if e.name == "basic.deliver"), [(b"%d" % i, True) for i in range(3)], "messages")
        ch.send("basic.recover-async", requeue=True)
        equal(seen(deliveries(ch, 3)), [(b"%d" % i, True) for i in range(3)], "messages after recover-async")


@scenario("a message that is nacked again and again does not starve the others")
def poison(ctx):
    with confirming(ctx) as ch:
        queue = filled(ch, 5)
        ch.call("basic.qos", prefetch_count=2)
        ch.consume(queue)
        good = []
        while len(good) < 4:
            event = ch.next("basic.deliver")
            if event.body == b"0":
                ch.send("basic.nack", tag=event.tag, requeue=True)
            else:
                good.append(event.body)
                ch.send("basic.ack", tag=event.tag)
        equal(good, numbers(1, 5), "the others")


# ---- basic.get

@scenario("get tells how many are left, whether redelivered, and where it came from")
def get(ctx):
    with confirming(ctx) as ch:
        exchange = ch.exchange(ctx.name("x"), "fanout", auto_delete=True)
        queue = ch.declare(exclusive=True).queue
        ch.bind(queue, exchange)
        publish_all(ch, "key", b"1", b"2", exchange=exchange)
        got = ch.get(queue, no_ack=False)
        equal((got.body, got.messages, got.redelivered, got.exchange, got.routing_key), (b"1", 1, False, exchange, "key"), "first")
        ch.send("basic.nack", tag=got.tag, requeue=True)
        ready(ch, queue, 2)
        equal([ch.get(queue).redelivered for _ in range(2)], [True, False], "redelivered")
        equal(ch.get(queue), None, "an empty queue")


@scenario("get sees what its channel published before, persistent or not")
def get_after_publish(ctx):
    with channel(ctx) as ch:
        queue = ch.declare(ctx.name("q"), durable=True).queue
        for mode in (1, 2):
            for i in range(20):
                ch.publish("", queue, b"%d" % i, delivery_mode=mode)
                got = ch.get(queue)
                true(got, f"no message with delivery mode {mode}, turn {i}")
                equal(got.body, b"%d" % i, "body")
        ch.call("queue.delete", queue=queue)


# ---- prefetch and sharing

@scenario("prefetch 1: one at a time, the next after its acknowledgement")
def prefetch_one(ctx):
    with confirming(ctx) as ch:
        queue = filled(ch, 5)
        ch.call("basic.qos", prefetch_count=1)
        ch.consume(queue)
        for i in range(5):
            event = ch.next("basic.deliver")
            equal(event.body, b"%d" % i, "body")
            ch.silent(0.05)
            ch.send("basic.ack", tag=event.tag)


@scenario("prefetch counts for each consumer that comes after it, not for those before")
def prefetch_each(ctx):
    with confirming(ctx) as ch:
        one, two = filled(ch, 10), filled(ch, 10)
        ch.call("basic.qos", prefetch_count=2)
        ch.consume(one, "a")
        ch.call("basic.qos", prefetch_count=3)
        ch.consume(two, "b")
        time.sleep(0.2)
        got = collections.Counter(event.consumer_tag for event in deliveries(ch, 5))
        equal(got, {"a": 2, "b": 3}, "deliveries")
        ch.silent(0.1)


@scenario("global prefetch limits all consumers of the channel together")
def prefetch_global(ctx):
    with confirming(ctx) as ch:
        one, two = filled(ch, 10), filled(ch, 10)
        ch.call("basic.qos", prefetch_count=4, global_=True)
        ch.consume(one, "a")
        ch.consume(two, "b")
        got = deliveries(ch, 4)
        ch.silent(0.1)
        ch.send("basic.ack", tag=got[-1].tag, multiple=True)
        deliveries(ch, 4)
        ch.silent(0.1)


@scenario("global prefetch changes while consumers run: raised at once, lowered as they acknowledge")
def prefetch_changes(ctx):
    with confirming(ctx) as ch:
        queue = filled(ch, 40)
        ch.call("basic.qos", prefetch_count=2, global_=True)
        ch.consume(queue)
        got = deliveries(ch, 2)
        ch.silent(0.1)
        ch.call("basic.qos", prefetch_count=6, global_=True)
        got += deliveries(ch, 4)
        ch.silent(0.1)
        ch.call("basic.qos", prefetch_count=3, global_=True)
        for event in got[:3]:
            ch.send("basic.ack", tag=event.tag)
        ch.silent(0.1)
        for event in got[3:]:
            ch.send("basic.ack", tag=event.tag)
        deliveries(ch, 3)
        ch.silent(0.1)
        ch.call("basic.qos", prefetch_count=0, global_=True)
        equal(len(deliveries(ch, 31)), 31, "the rest after the limit is gone")


@scenario("both limits hold: of the consumer and of the channel")
def prefetch_both(ctx):
    with confirming(ctx) as ch:
        one, two = filled(ch, 10), filled(ch, 10)
        ch.call("basic.qos", prefetch_count=2)
        ch.call("basic.qos", prefetch_count=3, global_=True)
        ch.consume(one, "a")
        got = deliveries(ch, 2)
        ch.silent(0.05)
        ch.consume(two, "b")
        got += deliveries(ch, 1)
        ch.silent(0.1)
        ch.send("basic.ack", tag=got[-1].tag, multiple=True)
        found = collections.Counter(event.consumer_tag for event in deliveries(ch, 3))
        true(max(found.values()) <= 2, f"deliveries {found}")
        ch.silent(0.1)


@scenario("no_ack and get are not held back by the prefetch")
def prefetch_not(ctx):
    with confirming(ctx) as ch:
        queue = filled(ch, 10)
        ch.call("basic.qos", prefetch_count=1)
        for _ in range(3):
            ch.get(queue, no_ack=False)
        ch.consume(queue, no_ack=True)
        deliveries(ch, 7)


@scenario("a work queue: the one who is slow holds back nobody")
def work_queue(ctx):
    with confirming(ctx) as ch:
        queue = filled(ch, 20)
        slow, fast = ch.connection.channel(), ch.connection.channel()
        for worker in (slow, fast):
            worker.call("basic.qos", prefetch_count=1)
            worker.consume(queue)
        slow.next("basic.deliver")
        done = []
        for _ in range(19):
            event = fast.next("basic.deliver")
            done.append(event.body)
            fast.send("basic.ack", tag=event.tag)
        equal(len(set(done)), 19, "done by the fast one")


@scenario("consumer priorities: the higher one first while it has room")
def consumer_priority(ctx):
    with confirming(ctx) as ch:
        queue = ch.declare(exclusive=True).queue
        ch.call("basic.qos", prefetch_count=3)
        ch.consume(queue, "low", {"x-priority": -1})
        ch.consume(queue, "usual")
        ch.consume(queue, "high", {"x-priority": 10})
        for _ in range(8):
            ch.publish("", queue, b"x")
        got = [ch.wait_for("basic.deliver").consumer_tag for _ in range(8)]
        equal(got, ["high"] * 3 + ["usual"] * 3 + ["low"] * 2, "deliveries")


@scenario("single active consumer: the first has all, the next follows when it goes")
def single_active(ctx):
    with confirming(ctx) as ch:
        queue = ch.declare(exclusive=True, arguments={"x-single-active-consumer": True}).queue
        one, two = ch.connection.channel(), ch.connection.channel()
        tag = one.consume(queue)
        two.consume(queue)
        publish_all(ch, queue, *numbers(0, 4))
        equal(bodies(deliveries(one, 4)), numbers(0, 4), "the first consumer's")
        two.silent(0.1)
        one.send("basic.ack", tag=2, multiple=True)
        one.call("basic.cancel", consumer_tag=tag)
        publish_all(ch, queue, b"4")
        equal(bodies(deliveries(two, 1)), [b"4"], "the second consumer's")
        one.close()
        equal(seen(deliveries(two, 2)), [(b"2", True), (b"3", True)], "what the first had held")


@scenario("an exclusive consumer shuts out others")
def exclusive_consumer(ctx):
    with channel(ctx) as ch:
        queue = ch.declare(ctx.name("q"), exclusive=True).queue
        text = f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"
        one, two, three = (ch.connection.channel() for _ in range(3))
        tag = one.consume(queue, exclusive=True)
        error = refused(403, text, two.consume, queue)
        true(not error.of_connection, "the connection was closed")
        one.call("basic.cancel", consumer_tag=tag)
        three.consume(queue)
        refused(403, text, one.consume, queue, exclusive=True)


@scenario("after cancel-ok no more comes, and what is held may still be acknowledged")
def cancel(ctx):
    with confirming(ctx) as ch:
        queue = filled(ch, 5)
        ch.call("basic.qos", prefetch_count=2)
        tag = ch.consume(queue, "mine")
        got = deliveries(ch, 2)
        equal(ch.call("basic.cancel", consumer_tag=tag).consumer_tag, "mine", "tag")
        ch.send("basic.ack", tag=got[0].tag)
        ch.send("basic.nack", tag=got[1].tag, requeue=True)
        ready(ch, queue, 4)
        ch.silent(0.05)
        equal(ch.call("basic.cancel", consumer_tag="nobody").consumer_tag, "nobody", "cancel of nobody")


@scenario("a deleted queue cancels its consumers, if they can be told")
def cancel_notify(ctx):
    with channel(ctx) as ch, channel(ctx, capabilities={}) as deaf:
        queue = ctx.name("q")
        ch.declare(queue)
        one, two = ch.consume(queue), ch.consume(queue)
        deaf.consume(queue)
        ch.send("queue.delete", queue=queue)
        got = [ch.next("basic.cancel", "queue.delete-ok") for _ in range(3)]
        equal({event.consumer_tag for event in got if event.name == "basic.cancel"}, {one, two}, "cancelled")
        equal({event.nowait for event in got if event.name == "basic.cancel"}, {True}, "nowait")
        deaf.silent(0.1)
        deaf.declare(exclusive=True)


# ---- confirms and transactions

@scenario("confirms: each message once, in whatever groups")
def confirms(ctx):
    with channel(ctx) as ch:
        queue = ch.declare(exclusive=True).queue
        ch.call("confirm.select")
        ch.call("confirm.select")
        for i in range(500):
            ch.publish("", queue if i % 3 else "nowhere", b"x", delivery_mode=1 + i % 2)
        done, highest = set(), 0
        while len(done) < 500:
            event = ch.next("basic.ack")
            new = {tag for tag in range(1, event.tag + 1) if tag not in done} if event.multiple else {event.tag}
            true(new and not new & done, f"{event} confirms nothing new")
            done |= new
            highest = max(highest, event.tag)
        equal((done, highest), (set(range(1, 501)), 500), "confirmed")
        ch.silent(0.1)


@scenario("confirm.select without an answer")
def confirm_nowait(ctx):
    with channel(ctx) as ch:
        ch.send("confirm.select", nowait=True)
        ch.publish("", "nowhere", b"x")
        equal(ch.next("basic.ack").tag, 1, "tag")


@scenario("transactions: publishes are seen and acknowledgements hold from the commit on")
def tx_commit(ctx):
    with confirming(ctx) as probe:
        queue = filled(probe, 2)
        ch = probe.connection.channel()
        ch.call("tx.select")
        got = [ch.get(queue, no_ack=False) for _ in range(2)]
        ch.publish("", queue, b"new")
        ch.publish("", "nowhere", b"lost", mandatory=True)
        ch.send("basic.ack", tag=got[0].tag)
        ch.silent(0.1)
        equal(probe.count(queue)[0], 0, "before the commit")
        ch.send("tx.commit")
        equal([ch.next().name for _ in range(2)], ["basic.return", "tx.commit-ok"], "answers")
        equal(probe.count(queue)[0], 1, "after the commit")
        ch.close()
        ready(probe, queue, 2)
        equal(probe.drain(queue), [b"1", b"new"], "left when the channel is closed")


@scenario("transactions: rollback forgets publishes and acknowledgements")
def tx_rollback(ctx):
    with confirming(ctx) as probe:
        queue = filled(probe, 1)
        ch = probe.connection.channel()
        ch.call("tx.select")
        tag = ch.get(queue, no_ack=False).tag
        ch.publish("", queue, b"new")
        ch.send("basic.ack", tag=tag)
        ch.call("tx.rollback")
        ch.call("tx.commit")
        equal(probe.count(queue)[0], 0, "after the rollback")
        ch.send("basic.ack", tag=tag)
        ch.call("tx.commit")
        ch.close()
        time.sleep(0.05)
        equal(probe.drain(queue), [], "left")


@scenario("transactions that end with their channel leave nothing")
def tx_abandoned(ctx):
    with channel(ctx) as ch:
        queue = ch.declare(exclusive=True).queue
        other = ch.connection.channel()
        other.call("tx.select")
        other.publish("", queue, b"x")
        other.close()
        time.sleep(0.05)
        equal(ch.count(queue)[0], 0, "messages")


@scenario("confirms and transactions exclude each other; commit needs a transaction")
def tx_confirm(ctx):
    with Connection(ctx.bootstrap) as conn:
        ch = conn.channel()
        ch.call("tx.select")
        refused(406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode", ch.call, "confirm.select")
        ch = conn.channel()
        ch.call("confirm.select")
        refused(406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode", ch.call, "tx.select")
        for name in ("tx.commit", "tx.rollback"):
            error = refused(406, "PRECONDITION_FAILED - channel is not transactional", conn.channel().call, name)
            true(not error.of_connection, "the connection was closed")


# ---- direct reply-to

@scenario("direct reply-to: a call and its answer")
def reply_to(ctx):
    with channel(ctx) as caller, channel(ctx) as server:
        queue = ctx.name("rpc")
        server.declare(queue, auto_delete=True)
        server.consume(queue, no_ack=True)
        tag = caller.consume("amq.rabbitmq.reply-to", no_ack=True)
        for i in range(3):
            caller.publish("", queue, b"question", reply_to="amq.rabbitmq.reply-to", correlation_id=str(i))
            asked = server.next("basic.deliver")
            address = asked.properties["reply_to"]
            true(address.startswith("amq.rabbitmq.reply-to."), f"reply-to {address}")
            equal(server.declare(address, passive=True).queue, address, "passive declaration of the address")
            server.publish("", address, b"answer", correlation_id=asked.properties["correlation_id"])
            got = caller.next("basic.deliver")
            equal((got.body, got.properties["correlation_id"], got.consumer_tag), (b"answer", str(i), tag), "answer")
        server.silent(0.05)


@scenario("direct reply-to: an answer to somebody who is gone is returned")
def reply_to_gone(ctx):
    with channel(ctx) as server:
        queue = server.declare(ctx.name("rpc")).queue
        with channel(ctx) as caller:
            caller.consume("amq.rabbitmq.reply-to", no_ack=True)
            caller.publish("", queue, b"question", reply_to="amq.rabbitmq.reply-to")
            address = eventually(lambda: server.get(queue), 5, "the question").properties["reply_to"]
            caller.connection.close()
        time.sleep(0.2)
        server.publish("", address, b"answer", mandatory=True)
        equal(server.next("basic.return").code, 312, "code")
        refused(404, f"NOT_FOUND - no queue '{address}' in vhost '/'", server.declare, address, passive=True)
    with channel(ctx) as ch:
        ch.call("queue.delete", queue=queue)


@scenario("direct reply-to: without a consumer, with acknowledgements, or twice, it is refused")
def reply_to_refused(ctx):
    name, start = "amq.rabbitmq.reply-to", "PRECONDITION_FAILED - "
    with Connection(ctx.bootstrap) as conn:
        ch = conn.channel()
        ch.publish("", "x", b"x", reply_to=name)
        refused(406, start + "fast reply consumer does not exist", ch.next)
        refused(406, start + "reply consumer cannot acknowledge", conn.channel().consume, name)
        ch = conn.channel()
        ch.consume(name, no_ack=True)
        refused(406, start + "reply consumer already set", ch.consume, name, no_ack=True)


# ---- under load

@scenario("publishers and consumers at once: nothing lost, nothing twice", timeout=60)
def both_ways(ctx):
    with channel(ctx) as ch, channel(ctx) as other:
        queue = ctx.name("q")
        ch.declare(queue, durable=True)
        ch.call("confirm.select")
        other.call("basic.qos", prefetch_count=50)
        other.consume(queue)
        count = 3000
        found = []
        for at in range(0, count, 100):
            for i in range(at, at + 100):
                ch.publish("", queue, b"%d" % i, delivery_mode=2)
            for _ in range(100):
                event = other.next("basic.deliver")
                found.append(int(event.body))
                if len(found) % 25 == 0:
                    other.send("basic.ack", tag=event.tag, multiple=True)
        equal(found, list(range(count)), "bodies")
        other.connection.close()
        equal(ch.call("queue.delete", queue=queue).messages, 0, "messages left")


@scenario("bodies from 0 to 10 MiB pass whole", timeout=60)
def large(ctx):
    with channel(ctx) as ch:
        queue = ch.declare(exclusive=True).queue
        ch.call("basic.qos", prefetch_count=1)
        ch.consume(queue)
        for size in (0, 1, 131063, 131064, 131065, 262128, 1 << 20, 10 << 20):
            body = os.urandom(size)
            ch.publish("", queue, body, delivery_mode=2)
            got = ch.next("basic.deliver")
            true(got.body == body, f"{size} bytes: another body of {len(got.body)}")
            ch.send("basic.ack", tag=got.tag)


@scenario("a deep pipeline: publishes behind publishes, never waiting")
def pipeline(ctx):
    with channel(ctx) as ch:
        queue = ch.declare(exclusive=True).queue
        one = method("basic.publish", ch.number, routing_key=queue)
        ch.connection.send_raw(b"".join(one + content(ch.number, b"%d" % i) for i in range(20000)))
        ready(ch, queue, 20000, 20)
        ch.consume(queue, no_ack=True)
        equal(bodies(deliveries(ch, 20000)), numbers(0, 20000), "bodies")


if __name__ == "__main__":
    main(os.environ.get("CLIENT", "amqp-delivery"))
