"""Between Redis's clients, RabbitMQ's and Kafka's: what one publishes to amq.topic, or to a channel, all others hear."""

import contextlib
import json
import os
import time
import urllib.request

import pika
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from pika.exceptions import UnroutableError

from harness.broker import http_get
from harness.scenario import Skip, equal, eventually, main, raises, scenario, true
from harness.wire import Connection
from redis_wire import OK, QUEUED, array, command, integer, pmessage, server, told

TRANSIENT, PERSISTENT = pika.BasicProperties(delivery_mode=1), pika.BasicProperties(delivery_mode=2)
BODIES = (b"", b"x", b"\r\n\x00\xff", bytes(range(256)) * 1000)


def address(name):
    if name not in os.environ:
        raise Skip("nobody says where the same broker speaks other protocols")
    return os.environ[name]


@contextlib.contextmanager
def channel(vhost="/"):
    host, port = address("AMQP").rsplit(":", 1)
    connection = pika.BlockingConnection(pika.ConnectionParameters(host=host, port=int(port), virtual_host=vhost,
                                                                   credentials=pika.PlainCredentials("guest", "guest")))
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def bound(ch, *keys, durable=False, **arguments):
    """Name of a new queue that amq.topic leads to by these keys."""
    queue = ch.queue_declare("", durable=durable, exclusive=not durable, arguments=arguments or None).method.queue
    for key in keys:
        ch.queue_bind(queue, "amq.topic", key)
    return queue


def taken(ch, queue, count):
    """So many messages of the queue, and no more, as [(routing key, body)]."""
    found = []

    def take():
        method = True
        while method and len(found) < count:
            method, _, body = ch.basic_get(queue, auto_ack=True)
            if method:
                found.append((method.routing_key, body))
        return len(found) == count
    eventually(take, 10, f"{count} messages in {queue}")
    equal(ch.basic_get(queue)[0], None, "one too many")
    return found


# ---- AMQP to Redis -----------------------------------------------------------------------------------------------------


@scenario("what pika publishes to amq.topic is heard by channel and by pattern, byte for byte")
def from_amqp(ctx):
    key = ctx.name("orders") + ".eu.new"
    for resp in (2, 3):
        with channel() as ch, server(ctx, resp) as conn:
            conn.subscribed(key)
            conn.answers(told("psubscribe", "orders-*.new", 2, resp), "PSUBSCRIBE", "orders-*.new")  # a dot is a byte like others
            for properties in (None, TRANSIENT, PERSISTENT):
                for body in BODIES:
                    ch.basic_publish("amq.topic", key, body, properties)
                    conn.hears((key, body))
                    conn.comes(pmessage("orders-*.new", key, body, resp), "by its pattern")


@scenario("a durable queue gets the persistent message, too; with confirms; all in order")
def with_confirms(ctx):
    key = ctx.name("key")
    with channel() as ch, server(ctx, 3) as conn:
        queue = bound(ch, key, durable=True)
        conn.subscribed(key)
        ch.confirm_delivery()
        for i in range(50):
            ch.basic_publish("amq.topic", key, f"{i}", PERSISTENT, mandatory=True)
            conn.hears((key, i))
        equal(taken(ch, queue, 50), [(key, b"%d" % i) for i in range(50)], "in the queue")
        ch.queue_delete(queue)


@scenario("2,000 publishes without confirms are heard in order, transient ones and such as go to a disk")
def in_order(ctx):
    for properties in (TRANSIENT, PERSISTENT):
        key = ctx.name("key")
        with channel() as ch, server(ctx, 3) as conn, server(ctx) as other:
            queue = bound(ch, key, durable=True)
            conn.subscribed(key)
            other.subscribed(key)
            for i in range(2000):
                ch.basic_publish("amq.topic", key, f"{i}", properties)
            for one in (conn, other):
                one.hears(*((key, i) for i in range(2000)))
            eventually(lambda: ch.queue_declare(queue, passive=True).method.message_count == 2000, 10, "in the queue")
            ch.queue_delete(queue)


@scenario("bindings between exchanges, an alternate exchange and a dead-letter exchange lead to subscribers, too")
def by_other_exchanges(ctx):
    key, fan, lost = ctx.name("key"), ctx.name("fan"), ctx.name("lost")
    with channel() as ch, server(ctx, 3) as conn:
        conn.subscribed(key)
        ch.exchange_declare(fan, "fanout")
        ch.exchange_bind("amq.topic", fan)
        ch.basic_publish(fan, key, b"by a fanout")
        conn.hears((key, "by a fanout"))
        ch.exchange_declare(lost, "direct", arguments={"alternate-exchange": "amq.topic"})
        ch.basic_publish(lost, key, b"by an alternate")
        conn.hears((key, "by an alternate"))
        queue = ch.queue_declare("", exclusive=True, arguments={"x-dead-letter-exchange": "amq.topic",
                                                                "x-dead-letter-routing-key": key}).method.queue
        for properties in (TRANSIENT, PERSISTENT):
            ch.basic_publish("", queue, b"dead", properties)
            eventually(lambda: reject(ch, queue), 5, "a message to reject")
            conn.hears((key, "dead"))
        ch.basic_publish("", queue, b"too late", pika.BasicProperties(expiration="50"))
        conn.hears((key, "too late"))
        ch.exchange_delete(fan)
        ch.exchange_delete(lost)


def reject(ch, queue):
    method = ch.basic_get(queue)[0]
    if method:
        ch.basic_nack(method.delivery_tag, requeue=False)
    return method


@scenario("mandatory: who is heard by a subscriber is not returned, who is heard by nobody is; both are confirmed")
def mandatory(ctx):
    key = ctx.name("key")
    with channel() as ch, contextlib.ExitStack() as stack:
        ch.confirm_delivery()
        for properties in (TRANSIENT, PERSISTENT):
            raises(UnroutableError, ch.basic_publish, "amq.topic", key, b"nobody", properties, mandatory=True)
            with server(ctx, 3) as conn:
                conn.subscribed(key)
                ch.basic_publish("amq.topic", key, b"somebody", properties, mandatory=True)
                conn.hears((key, "somebody"))
                conn.answers(told("unsubscribe", key, 0, 3), "UNSUBSCRIBE", key)
            raises(UnroutableError, ch.basic_publish, "amq.topic", key, b"nobody", properties, mandatory=True)
        for _ in range(6):  # wherever the subscriber's connection is
            conn = stack.enter_context(server(ctx, 3))
            conn.answers(told("psubscribe", key + "*", 1, 3), "PSUBSCRIBE", key + "*")
            ch.basic_publish("amq.topic", key, b"somebody", mandatory=True)
            conn.comes(pmessage(key + "*", key, "somebody", 3))
            conn.close()
            eventually(lambda: nobody(ctx, key), 5, "nobody hears it")


def nobody(ctx, key):
    with server(ctx) as conn:
        return conn.ask("PUBLISH", key, "") == 0


@scenario("the default exchange, other exchanges, other virtual hosts: not heard")
def not_heard(ctx):
    key = ctx.name("key")
    vhost = ctx.name("host")
    manage(ctx, "PUT", f"/api/vhosts/{vhost}")
    manage(ctx, "PUT", f"/api/permissions/{vhost}/guest", {"configure": ".*", "write": ".*", "read": ".*"})
    with channel() as ch, channel(vhost) as elsewhere, server(ctx, 3) as conn:
        conn.subscribed(key)
        elsewhere.basic_publish("amq.topic", key, b"elsewhere")
        ch.basic_publish("", key, b"default")
        ch.basic_publish("amq.direct", key, b"direct")
        ch.basic_publish("amq.topic", key + ".more", b"another key")
        ch.basic_publish("amq.topic", key, b"this")
        conn.hears((key, "this"))
        conn.nothing_left()
    manage(ctx, "DELETE", f"/api/vhosts/{vhost}")


@scenario("transactions of AMQP are heard when they are committed")
def transactions(ctx):
    key = ctx.name("key")
    with channel() as ch, server(ctx, 3) as conn:
        conn.subscribed(key)
        ch.tx_select()
        ch.basic_publish("amq.topic", key, b"never")
        ch.tx_rollback()
        ch.basic_publish("amq.topic", key, b"one")
        ch.basic_publish("amq.topic", key, b"two", PERSISTENT)
        conn.nothing_left()
        ch.tx_commit()
        equal(sorted((conn.read()[2], conn.read()[2])), [b"one", b"two"], "heard")


@scenario("the management API publishes to subscribers")
def by_management(ctx):
    key = ctx.name("key")
    with server(ctx, 3) as conn:
        conn.subscribed(key)
        manage(ctx, "POST", "/api/exchanges/%2F/amq.topic/publish",
               {"routing_key": key, "payload": "by http", "payload_encoding": "string", "properties": {}})
        conn.hears((key, "by http"))


# ---- Redis to AMQP -----------------------------------------------------------------------------------------------------


@scenario("PUBLISH goes to queues bound to amq.topic by a word, by a.* and by #, and counts them")
def to_amqp(ctx):
    run = ctx.name("run")
    with channel() as ch, server(ctx) as conn, server(ctx, 3) as hearer:
        exact, star, hash_ = bound(ch, f"{run}.a"), bound(ch, f"{run}.*"), bound(ch, f"{run}.#", f"{run}.*", f"{run}.a")
        hearer.subscribed(f"{run}.a")
        for body in BODIES:
            conn.publishes(4, f"{run}.a", body)  # a queue counts once, however many bindings lead to it
            hearer.hears((f"{run}.a", body))
        conn.publishes(2, f"{run}.b", "b")
        conn.publishes(1, f"{run}.b.c", "bc")
        conn.publishes(1, run, "run")
        conn.publishes(0, f"x{run}", "none")
        conn.answers(integer(0), "SPUBLISH", f"{run}.a", "sharded")
        equal(taken(ch, exact, 4), [(f"{run}.a", body) for body in BODIES], "exact")
        equal(taken(ch, star, 5), [(f"{run}.a", body) for body in BODIES] + [(f"{run}.b", b"b")], "star")
        equal([body for _, body in taken(ch, hash_, 7)], [*BODIES, b"b", b"bc", b"run"], "hash")


@scenario("what came from Redis is an ordinary message to an AMQP consumer: its key, no properties, the body's bytes")
def as_delivered(ctx):
    key = ctx.name("key")
    with channel() as ch, server(ctx) as conn:
        queue = bound(ch, key, durable=True)
        conn.publishes(1, key, b"\x00\r\n")
        found = []
        eventually(lambda: found or (found.append(ch.basic_get(queue)) if ch.queue_declare(queue, passive=True).method.message_count else None),
                   5, "a message")
        method, properties, body = found[0]
        equal((method.exchange, method.routing_key, method.redelivered, body), ("amq.topic", key, False, b"\x00\r\n"), "delivery")
        equal({name: value for name, value in vars(properties).items() if value is not None}, {}, "properties")
        ch.queue_delete(queue)


@scenario("10,000 publishes in one go are in the queue, in order; so are those of a transaction")
def many(ctx):
    key = ctx.name("key")
    with channel() as ch, server(ctx) as conn:
        queue = bound(ch, key)
        conn.send_raw(b"".join(command("PUBLISH", key, i) for i in range(10000)))
        conn.comes(integer(1) * 10000)
        found = []
        for _, _, body in ch.consume(queue, auto_ack=True, inactivity_timeout=5):
            found.append(body)
            if body in (None, b"9999"):
                break
        true(found == [b"%d" % i for i in range(10000)], f"{len(found)} messages, the last {found[-1:]}")
        ch.cancel()
        conn.send_raw(command("MULTI") + command("PUBLISH", key, "a") + command("PUBLISH", key, "b") + command("EXEC"))
        conn.comes(OK + QUEUED * 2 + array(integer(1), integer(1)))
        equal([body for _, body in taken(ch, queue, 2)], [b"a", b"b"], "of the transaction")


@scenario("bindings that come and go count at once")
def bindings_change(ctx):
    key = ctx.name("key")
    with channel() as ch, server(ctx) as conn, server(ctx) as other:
        queue = bound(ch)
        for _ in range(20):
            for one in (conn, other):
                one.publishes(0, key)
            ch.queue_bind(queue, "amq.topic", key)
            for one in (conn, other):
                one.publishes(1, key)
            ch.queue_unbind(queue, "amq.topic", key)
        ch.queue_bind(queue, "amq.topic", key)
        ch.queue_delete(queue)
        conn.publishes(0, key)


# ---- names that do not cross -------------------------------------------------------------------------------------------


@scenario("keys that begin with $ or _INBOX are not matched by wildcards of another protocol")
def reserved(ctx):
    run = ctx.name()
    with channel() as ch, server(ctx, 3) as hearer, server(ctx) as conn:
        for key in (f"$SYS.{run}", f"_INBOX.{run}"):
            everything, exact = bound(ch, "#"), bound(ch, key)
            hearer.answers(told("psubscribe", "*" + run, 1, 3), "PSUBSCRIBE", "*" + run)
            conn.publishes(2, key, "from redis")  # the pattern is Redis's own, and the queue is bound to the very key
            hearer.comes(pmessage("*" + run, key, "from redis", 3))
            ch.basic_publish("amq.topic", key, b"from amqp")
            equal(taken(ch, exact, 2), [(key, b"from redis"), (key, b"from amqp")], "by the exact key")
            equal(taken(ch, everything, 1), [(key, b"from amqp")], "by #")
            hearer.nothing_left()
            hearer.answers(told("subscribe", key, 2, 3), "SUBSCRIBE", key)
            ch.basic_publish("amq.topic", key, b"again")
            hearer.hears((key, "again"))
            hearer.answers(told("unsubscribe", key, 1, 3), "UNSUBSCRIBE", key)
            hearer.answers(told("punsubscribe", "*" + run, 0, 3), "PUNSUBSCRIBE")
            ch.queue_delete(everything)
            ch.queue_delete(exact)


@scenario("channels of more than 255 bytes stay among Redis's clients, and are counted")
def too_long(ctx):
    with channel() as ch, server(ctx, 3) as hearer, server(ctx) as conn:
        queue = bound(ch, "#")
        before = metric(ctx, "colobus_pubsub_skipped_total")
        for length, count in ((255, 2), (256, 1), (5000, 1)):
            name = (ctx.name() + "x" * length)[:length]
            hearer.answers(told("subscribe", name, 1, 3), "SUBSCRIBE", name)
            conn.publishes(count, name, "body")
            hearer.hears((name, "body"))
            hearer.answers(told("unsubscribe", name, 0, 3), "UNSUBSCRIBE")
        equal(len(taken(ch, queue, 1)), 1, "the one that fits")
        equal(metric(ctx, "colobus_pubsub_skipped_total") - before, 2, "skipped")


def metric(ctx, name):
    return sum(float(line.rsplit(" ", 1)[1]) for line in http_get(ctx.http, "/metrics")[1].splitlines()
               if line.split("{")[0].split(" ")[0] == name)


# ---- Kafka -------------------------------------------------------------------------------------------------------------


def create(ctx):
    topic = ctx.name("topic")
    with Connection(address("KAFKA")) as conn:
        conn.create_topic(topic, 1)
    return topic


def manage(ctx, method, path, document=None):
    if not ctx.http:
        raise Skip("needs a broker of ours")
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(f"http://{ctx.http}{path}", body, method=method, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        true(answer.status < 300, f"{path}: {answer.status}")


@scenario("a tap carries what kafka-python produces to subscribers, in order", timeout=60)
def tapped(ctx):
    topic, name = create(ctx), ctx.name("tap")
    values = [b"%d" % i for i in range(100)]
    with server(ctx, 3) as conn, server(ctx) as other:
        conn.subscribed(topic)
        other.answers(told("psubscribe", "topic-*", 1), "PSUBSCRIBE", "topic-*")
        manage(ctx, "PUT", f"/api/taps/{name}", {"topic": topic, "exchange": "amq.topic"})
        producer = KafkaProducer(bootstrap_servers=address("KAFKA"), linger_ms=5)
        for value in values:
            producer.send(topic, value, partition=0)
        producer.flush(10)
        conn.hears(*((topic, value) for value in values))
        for value in values:
            other.comes(pmessage("topic-*", topic, value))
        manage(ctx, "DELETE", f"/api/taps/{name}")
        key = ctx.name("key")
        conn.answers(told("subscribe", key, 2, 3), "SUBSCRIBE", key)
        manage(ctx, "PUT", f"/api/taps/{name}", {"topic": topic, "exchange": "amq.topic", "routing_key": key, "from": "next"})
        producer.send(topic, b"more", partition=0)
        producer.flush(10)
        conn.hears((key, "more"))
        producer.close()
        manage(ctx, "DELETE", f"/api/taps/{name}")
        conn.nothing_left()


@scenario("a binding to a topic makes records of what Redis publishes, and counts", timeout=60)
def to_kafka(ctx):
    topic, key = create(ctx), ctx.name("key")
    with channel() as ch, server(ctx) as conn, server(ctx, 3) as hearer:
        ch.queue_bind(topic, "amq.topic", key + ".#", arguments={"x-target": "topic"})
        hearer.subscribed(key + ".a")
        for body in BODIES:
            conn.publishes(2, key + ".a", body)
            hearer.hears((key + ".a", body))
        conn.publishes(1, key + ".b", "last")
        reader = KafkaConsumer(bootstrap_servers=address("KAFKA"), group_id=None, auto_offset_reset="earliest", consumer_timeout_ms=10000)
        reader.assign([TopicPartition(topic, 0)])
        found = []
        for record in reader:
            found.append(record.value)
            if len(found) == len(BODIES) + 1:
                break
        equal(found, [*BODIES, b"last"], "records")
        reader.close()
        ch.queue_unbind(topic, "amq.topic", key + ".#", arguments={"x-target": "topic"})
        conn.publishes(1, key + ".a")


@scenario("everybody at once: AMQP, Redis and a tap publish, two subscribers and a queue hear all of each in order", timeout=60)
def all_at_once(ctx):
    topic, name, count = create(ctx), ctx.name("tap"), 300
    with channel() as ch, server(ctx, 3) as one, server(ctx, 3) as two, server(ctx) as conn:
        queue = bound(ch, topic)
        for hearer in (one, two):
            hearer.subscribed(topic)
        manage(ctx, "PUT", f"/api/taps/{name}", {"topic": topic, "exchange": "amq.topic"})
        producer = KafkaProducer(bootstrap_servers=address("KAFKA"), linger_ms=0)
        for i in range(count):
            producer.send(topic, b"k %d" % i, partition=0)
            conn.publishes(3, topic, f"r {i}")
            ch.basic_publish("amq.topic", topic, f"a {i}")
        producer.flush(10)
        wanted = {kind: [b"%s %d" % (kind, i) for i in range(count)] for kind in (b"k", b"r", b"a")}
        for hearer in (one, two):
            by_kind(wanted, [hearer.read()[2] for _ in range(3 * count)])
        by_kind(wanted, [body for _, body in taken(ch, queue, 3 * count)])
        producer.close()
        manage(ctx, "DELETE", f"/api/taps/{name}")


def by_kind(wanted, found):
    for kind, bodies in wanted.items():
        equal([body for body in found if body.startswith(kind)], bodies, f"of kind {kind}")


@scenario("who subscribes hears nothing of before, and a queue keeps what nobody heard")
def before(ctx):
    key = ctx.name("key")
    with channel() as ch, server(ctx, 3) as conn:
        queue = bound(ch, key)
        ch.basic_publish("amq.topic", key, b"early")
        eventually(lambda: ch.queue_declare(queue, passive=True).method.message_count == 1, 5, "in the queue")
        conn.subscribed(key)
        time.sleep(0.05)
        conn.nothing_left()
        equal(taken(ch, queue, 1), [(key, b"early")], "kept")


if __name__ == "__main__":
    main("redis-across")
