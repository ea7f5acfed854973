"""Between RabbitMQ's clients and Kafka's: pika and kafka-python on either end."""

import collections
import contextlib
import datetime
import itertools
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pika
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionClosedByBroker, NackError
from harness.control import Control
from harness.scenario import Skip, equal, eventually, main, raises, scenario, true
from harness.wire import Connection

KILLS = 4
PERSISTENT = pika.BasicProperties(delivery_mode=2)


def kafka_address():
    address = os.environ.get("KAFKA", "")
    if not address:
        raise Skip("nobody says where the same broker speaks Kafka")
    return address


@contextlib.contextmanager
def channel(ctx):
    host, port = ctx.bootstrap.rsplit(":", 1)
    connection = pika.BlockingConnection(pika.ConnectionParameters(
        host=host, port=int(port), credentials=pika.PlainCredentials("guest", "guest")))
    try:
        yield connection.channel()
    finally:
        with contextlib.suppress(AMQPError):  # some scenarios kill the broker
            if connection.is_open:
                connection.close()


def create(topic, partitions=1, configs=None):
    with Connection(kafka_address()) as conn:
        conn.create_topic(topic, partitions, configs or {})
    return topic


def records(topic, count, partitions=1):
    """The first records of the topic, in the order of partitions and offsets."""
    reader = KafkaConsumer(bootstrap_servers=kafka_address(), group_id=None, auto_offset_reset="earliest",
                           consumer_timeout_ms=10000)
    reader.assign([TopicPartition(topic, i) for i in range(partitions)])
    found = []
    for record in reader:
        found.append(record)
        if len(found) == count:
            break
    reader.close()
    equal(len(found), count, "records")
    return sorted(found, key=lambda r: (r.partition, r.offset))


def bind(ch, ctx, topic, **arguments):
    exchange = ctx.name("x")
    ch.exchange_declare(exchange=exchange, exchange_type="topic", durable=True)
    ch.queue_bind(queue=topic, exchange=exchange, routing_key="order.#",
                  arguments={"x-target": "topic", **{k.replace("_", "-"): v for k, v in arguments.items()}})
    return exchange


# ---- bindings to topics --------------------------------------------------------------------------------------------


@scenario("what pika publishes to an exchange bound to a topic, kafka-python reads: body, headers, no key")
def to_topic(ctx):
    topic = create(ctx.name("t"))
    body = bytes(range(256)) * 10
    properties = pika.BasicProperties(content_type="application/octet-stream", correlation_id="c-1", priority=7, delivery_mode=2,
                                      message_id="m-1", timestamp=1234567, type="T",
                                      headers={"text": "ä", "number": -5, "yes": True, "nothing": None, "table": {"a": 1}})
    with channel(ctx) as ch:
        ch.confirm_delivery()
        exchange = bind(ch, ctx, topic)
        ch.basic_publish(exchange, "order.created", body, properties)
        ch.basic_publish(exchange, "order.empty", b"")
        ch.basic_publish(exchange, "invoice", b"nobody wants it")
        first, second = records(topic, 2)
        equal((first.value, first.key, second.value, second.key), (body, None, b"", None), "values and keys")
        true(abs(first.timestamp / 1000 - time.time()) < 300, f"timestamp {first.timestamp}")
        headers = dict(first.headers)
        true(len(headers.pop("amqp.properties")) > 40, "verbatim properties")
        equal(headers, {"amqp.exchange": exchange.encode(), "amqp.routing-key": b"order.created", "amqp.correlation-id": b"c-1",
                        "content-type": b"application/octet-stream", "amqp.message-id": b"m-1", "amqp.type": b"T",
                        "amqp.delivery-mode": b"2", "amqp.priority": b"7", "amqp.timestamp": b"1234567",
                        "text": "ä".encode(), "number": b"-5", "yes": b"true", "nothing": None}, "headers")
        ch.exchange_delete(exchange)


@scenario("the record's key comes from routing key, header or message id, and chooses the partition as Kafka's own clients do")
def keys(ctx):
    for source, key_of in (("routing-key", lambda i: f"order.{i}"), ("header:customer", lambda i: f"customer {i}"),
                           ("message-id", lambda i: f"m{i}"), ("none", lambda i: None)):
        topic, other = create(ctx.name("t"), 5), create(ctx.name("t"), 5)
        with channel(ctx) as ch:
            ch.confirm_delivery()
            exchange = bind(ch, ctx, topic, x_key_from=source)
            for i in range(30):
                ch.basic_publish(exchange, f"order.{i}", b"%d" % i,
                                 pika.BasicProperties(message_id=f"m{i}", headers={"customer": f"customer {i}"}))
            ch.exchange_delete(exchange)
        found = {record.value: (record.partition, record.key) for record in records(topic, 30, 5)}
        producer = KafkaProducer(bootstrap_servers=kafka_address())
        for i in range(30):
            key = key_of(i)
            partition = producer.send(other, b"x", key=(key or f"order.{i}").encode()).get(10).partition
            equal(found[b"%d" % i], (partition, key and key.encode()), f"partition and key {i} by {source}")
        producer.close()


@scenario("a topic stands beside queues: both get it, confirmed once it is in both; unbound it gets nothing")
def beside(ctx):
    topic = create(ctx.name("t"))
    with channel(ctx) as ch:
        ch.confirm_delivery()
        exchange = bind(ch, ctx, topic)
        queue = ch.queue_declare(queue="", exclusive=True).method.queue
        ch.queue_bind(queue, exchange, "order.*")
        for i in range(200):
            ch.basic_publish(exchange, "order.%d" % (i % 7), b"%d" % i)
        equal(ch.queue_declare(queue, passive=True).method.message_count, 200, "messages")
        ch.queue_unbind(topic, exchange, "order.#", arguments={"x-target": "topic"})
        ch.basic_publish(exchange, "order.1", b"late")
        equal([r.value for r in records(topic, 200)], [b"%d" % i for i in range(200)], "values")
        reader = KafkaConsumer(bootstrap_servers=kafka_address(), group_id=None)
        equal(list(reader.end_offsets([TopicPartition(topic, 0)]).values()), [200], "end")
        reader.close()
        ch.exchange_delete(exchange)


@scenario("what a topic cannot take is nacked: too large, or no key where it is compacted; bad arguments are refused")
def refused(ctx):
    small = create(ctx.name("t"), 1, {"max.message.bytes": "2000"})
    compacted = create(ctx.name("t"), 1, {"cleanup.policy": "compact"})
    with channel(ctx) as ch:
        ch.confirm_delivery()
        exchange = bind(ch, ctx, small)
        raises(NackError, ch.basic_publish, exchange, "order.1", b"x" * 2000)
        ch.basic_publish(exchange, "order.1", b"x" * 1000)
        equal(len(records(small, 1)), 1, "records")
        other = bind(ch, ctx, compacted, x_key_from="header:k")
        raises(NackError, ch.basic_publish, other, "order.1", b"no key")
        ch.basic_publish(other, "order.1", b"key", pika.BasicProperties(headers={"k": "key"}))
        for name in (exchange, other):
            ch.exchange_delete(name)
    with channel(ctx) as ch:
        error = raises(ChannelClosedByBroker, bind, ch, ctx, ctx.name("absent"))
        equal(error.reply_code, 404, "code")
    with channel(ctx) as ch:
        error = raises(ChannelClosedByBroker, bind, ch, ctx, small, x_key_from="somewhere")
        equal(error.reply_code, 406, "code")


@scenario("a transaction publishes to a topic at its commit")
def transactions(ctx):
    topic = create(ctx.name("t"))
    with channel(ctx) as ch:
        exchange = bind(ch, ctx, topic)
        ch.tx_select()
        ch.basic_publish(exchange, "order.1", b"dropped")
        ch.tx_rollback()
        for i in range(10):
            ch.basic_publish(exchange, "order.1", b"%d" % i)
        ch.tx_commit()
        equal([r.value for r in records(topic, 10)], [b"%d" % i for i in range(10)], "values")
        ch.exchange_delete(exchange)


@scenario("a queue dead-letters into a topic, with x-death in the verbatim properties")
def dead_letters(ctx):
    topic = create(ctx.name("t"))
    with channel(ctx) as ch:
        exchange = bind(ch, ctx, topic, x_key_from="routing-key")
        queue = ctx.name("q")
        ch.queue_declare(queue, durable=True, arguments={"x-dead-letter-exchange": exchange, "x-message-ttl": 100,
                                                         "x-dead-letter-routing-key": "order.dead"})
        ch.confirm_delivery()
        for i in range(20):
            ch.basic_publish("", queue, b"%d" % i, PERSISTENT)
        found = records(topic, 20)
        equal([r.value for r in found], [b"%d" % i for i in range(20)], "values")
        equal({r.key for r in found}, {b"order.dead"}, "keys")
        true(b"x-death" in dict(found[0].headers)["amqp.properties"], "x-death")
        ch.queue_delete(queue)
        ch.exchange_delete(exchange)


# ---- streams -------------------------------------------------------------------------------------------------------


def declare_stream(ch, name, **arguments):
    ch.queue_declare(name, durable=True, arguments={"x-queue-type": "stream", **{k.replace("_", "-"): v for k, v in arguments.items()}})
    return name


def read(ch, queue, count, prefetch=10, acknowledge=True, **arguments):
    """[(offset, method, properties, body)] of the next messages of a stream."""
    found = []
    ch.basic_qos(prefetch_count=prefetch)
    for method, properties, body in ch.consume(queue, inactivity_timeout=5, arguments={k.replace("_", "-"): v for k, v in arguments.items()}):
        true(method is not None, f"only {len(found)} of {count} messages came")
        found.append((properties.headers["x-stream-offset"], method, properties, body))
        if acknowledge:
            ch.basic_ack(method.delivery_tag)
        if len(found) == count:
            break
    ch.cancel()
    return found


def produce(topic, values, **options):
    producer = KafkaProducer(bootstrap_servers=kafka_address(), **options)
    sent = [producer.send(topic, value, key=b"key %d" % i, headers=[("h", b"v%d" % i), ("empty", b"")], partition=0)
            for i, value in enumerate(values)]
    producer.flush(20)
    offsets = [future.get(10).offset for future in sent]
    producer.close()
    return offsets


@scenario("a stream: what pika publishes is read from any offset, and comes back with its own properties")
def stream(ctx):
    with channel(ctx) as ch:
        queue = declare_stream(ch, ctx.name("s"), x_max_length_bytes=1000000000, x_max_age="1D", x_stream_max_segment_size_bytes=1000000)
        declare_stream(ch, queue, x_max_length_bytes=1000000000, x_max_age="1D", x_stream_max_segment_size_bytes=1000000)
        ch.confirm_delivery()
        for i in range(100):
            ch.basic_publish("", queue, b"%d" % i, pika.BasicProperties(headers={"n": i}, message_id=f"m{i}", priority=3))
        equal(ch.queue_declare(queue, passive=True).method.message_count, 100, "messages")
        found = read(ch, queue, 100, x_stream_offset="first")
        equal([(offset, body) for offset, _, _, body in found], [(i, b"%d" % i) for i in range(100)], "from the first")
        offset, method, properties, _ = found[7]
        equal((properties.headers, properties.message_id, properties.priority, method.exchange, method.routing_key, method.redelivered),
              ({"n": 7, "x-stream-offset": 7}, "m7", 3, "", queue, False), "the eighth")
        for start, first in ((0, 0), (42, 42), ("last", 99), ("1h", 0)):
            equal(read(ch, queue, 1, x_stream_offset=start)[0][0], first, f"offset from {start}")
        ch.queue_delete(queue)
        topics = KafkaConsumer(bootstrap_servers=kafka_address())
        true(queue not in topics.topics(), "the topic went with it")
        topics.close()


@scenario("a stream consumer reads what kafka-python wrote, compressed or not: body, key, headers, time")
def from_kafka(ctx):
    for codec in (None, "gzip", "snappy", "lz4", "zstd"):
        topic = create(ctx.name("t"))
        before = int(time.time())
        equal(produce(topic, [b"value %d " % i + b"x" * 500 for i in range(300)], compression_type=codec, linger_ms=20), list(range(300)), "offsets")
        with channel(ctx) as ch:
            declare_stream(ch, topic)
            for prefetch in (1000, 7):
                found = read(ch, topic, 300, prefetch=prefetch, x_stream_offset="first")
                equal([(offset, body) for offset, _, _, body in found], [(i, b"value %d " % i + b"x" * 500) for i in range(300)], f"{codec}")
            _, method, properties, _ = found[5]
            equal((properties.headers, properties.delivery_mode, method.routing_key),
                  ({"h": "v5", "empty": "", "kafka-key": "key 5", "x-stream-offset": 5}, 2, topic), "properties")
            true(before <= properties.timestamp <= time.time() + 1, f"timestamp {properties.timestamp}")
            equal([o for o, *_ in read(ch, topic, 3, x_stream_offset=150)], [150, 151, 152], "from 150")
            ch.queue_delete(topic)


@scenario("consumers of a stream wait for what comes, each at its own place; credit comes back with acknowledgements")
def waiting(ctx):
    topic = create(ctx.name("t"))
    produce(topic, [b"old"])
    with channel(ctx) as ch:
        declare_stream(ch, topic)
        got = {"first": [], "next": [], "held": []}
        ch.basic_qos(prefetch_count=2)

        def consumer(name, acknowledge=True):
            def on_message(channel, method, _properties, body):
                got[name].append(body)
                if acknowledge:
                    channel.basic_ack(method.delivery_tag)
            return on_message
        ch.basic_consume(topic, consumer("first"), arguments={"x-stream-offset": "first"})
        ch.basic_consume(topic, consumer("next"))
        held = ch.basic_consume(topic, consumer("held", False), arguments={"x-stream-offset": "first"})
        values = [b"new %d" % i for i in range(20)]
        produce(topic, values)
        deadline = time.monotonic() + 10
        while (len(got["first"]) < 21 or len(got["next"]) < 20 or len(got["held"]) < 2) and time.monotonic() < deadline:
            ch.connection.process_data_events(0.1)
        ch.connection.process_data_events(0.2)
        equal(got, {"first": [b"old", *values], "next": values, "held": [b"old", values[0]]}, "deliveries")
        ch.basic_cancel(held)
        ch.queue_delete(topic)
        deadline = time.monotonic() + 10
        while ch.consumer_tags and time.monotonic() < deadline:
            ch.connection.process_data_events(0.1)
        equal(ch.consumer_tags, [], "consumers of a queue that is gone")


@scenario("streams take large messages, and a reader who leaves much unread gets all of it in order", timeout=60)
def large(ctx):
    with channel(ctx) as ch:
        queue = declare_stream(ch, ctx.name("s"))
        ch.confirm_delivery()
        bodies = [bytes([i]) * 3000000 for i in range(3)] + [b"%d " % i + b"x" * 5000 for i in range(4000)]
        for body in bodies[:3]:
            ch.basic_publish("", queue, body, PERSISTENT)
    with channel(ctx) as ch:
        for body in bodies[3:]:
            ch.basic_publish("", queue, body)
    with channel(ctx) as ch:
        eventually(lambda: ch.queue_declare(queue, passive=True).method.message_count == len(bodies), 20, "all messages")
        got = []
        ch.basic_qos(prefetch_count=65535)
        ch.basic_consume(queue, lambda *message: got.append(message[3]), arguments={"x-stream-offset": "first"})
        time.sleep(1)  # 29 MB wait for who does not read
        deadline = time.monotonic() + 30
        while len(got) < len(bodies) and time.monotonic() < deadline:
            ch.connection.process_data_events(0.1)
        true(got == bodies, f"{len(got)} of {len(bodies)} messages, or others")
        ch.queue_delete(queue)


@scenario("a stream's filter passes messages of some values, and those without one if asked")
def filters(ctx):
    with channel(ctx) as ch:
        queue = declare_stream(ch, ctx.name("s"), x_stream_filter_size_bytes=32)
        ch.confirm_delivery()
        for i in range(60):
            value = ["eu", "us", None][i % 3]
            ch.basic_publish("", queue, b"%d" % i, pika.BasicProperties(headers={"x-stream-filter-value": value} if value else None))
        equal([b for *_, b in read(ch, queue, 20, x_stream_offset="first", x_stream_filter="eu")], [b"%d" % i for i in range(0, 60, 3)], "eu")
        equal([b for *_, b in read(ch, queue, 40, x_stream_offset="first", x_stream_filter=["us"], x_stream_match_unfiltered=True)],
              [b"%d" % i for i in range(60) if i % 3], "us and none")
        ch.queue_delete(queue)


@scenario("timestamps and offsets choose where a stream is read from")
def by_time(ctx):
    topic = create(ctx.name("t"))
    producer = KafkaProducer(bootstrap_servers=kafka_address())
    now = int(time.time())
    for i in range(10):
        producer.send(topic, b"%d" % i, timestamp_ms=(now - 100 + i * 10) * 1000).get(10)
    producer.close()
    with channel(ctx) as ch:
        declare_stream(ch, topic)
        moment = datetime.datetime.fromtimestamp(now - 50, datetime.timezone.utc)
        equal(read(ch, topic, 1, x_stream_offset=moment)[0][0], 5, "by timestamp")
        equal(read(ch, topic, 1, x_stream_offset="45s")[0][0], 6, "by interval")
        equal(read(ch, topic, 1, x_stream_offset=9)[0][0], 9, "by offset")
        ch.queue_delete(topic)


def refusal(ctx, act):
    with channel(ctx) as ch:
        error = raises(ChannelClosedByBroker, act, ch)
    return error.reply_code, error.reply_text


@scenario("what streams cannot do is refused in RabbitMQ's words")
def stream_refusals(ctx):
    name = ctx.name("s")
    with channel(ctx) as ch:
        declare_stream(ch, name)

    def consume(prefetch=1, auto_ack=False, global_qos=False, **arguments):
        def act(ch):
            ch.basic_qos(prefetch_count=prefetch, global_qos=global_qos)
            ch.basic_consume(name, lambda *_: None, auto_ack=auto_ack, arguments={k.replace("_", "-"): v for k, v in arguments.items()})
        return act

    def declare(**options):
        arguments = {"x-queue-type": "stream", **options.pop("arguments", {})}
        return lambda ch: ch.queue_declare(name + "-other", arguments=arguments, **options)
    what, other = f"queue '{name}' in vhost '/'", f"queue '{name}-other' in vhost '/'"
    for act, expected in (
            (consume(prefetch=0), (406, f"PRECONDITION_FAILED - consumer prefetch count is not set for '{what}'")),
            (consume(auto_ack=True), (540, f"NOT_IMPLEMENTED - automatic acknowledgement not supported by stream queues {what}")),
            (consume(global_qos=True), (540, f"NOT_IMPLEMENTED - {what} does not support global qos")),
            (consume(x_stream_offset="soon"), (406, f"PRECONDITION_FAILED - invalid arg 'x-stream-offset' for {what}: "
                                                    '{invalid_stream_offset_arg,{longstr,<<"soon">>}}')),
            (lambda ch: ch.basic_get(name), (540, f"NOT_IMPLEMENTED - basic.get not supported by stream queues {what}")),
            (lambda ch: ch.queue_purge(name), (540, f"NOT_IMPLEMENTED - queue.purge not supported by stream queues {what}")),
            (declare(durable=False), (406, f"PRECONDITION_FAILED - invalid property 'non-durable' for {other}")),
            (declare(durable=True, exclusive=True), (406, f"PRECONDITION_FAILED - invalid property 'exclusive-owner' for {other}")),
            (declare(durable=True, auto_delete=True), (406, f"PRECONDITION_FAILED - invalid property 'auto-delete' for {other}")),
            (declare(durable=True, arguments={"x-max-age": "old"}), (406, f"PRECONDITION_FAILED - invalid arg 'x-max-age' for {other}: "
                                                                          "invalid_max_age"))):
        try:
            equal(refusal(ctx, act), expected, "refusal")
        except ConnectionClosedByBroker as error:  # 540 is a hard one
            equal((error.reply_code, error.reply_text), expected, "refusal")
    with channel(ctx) as ch:
        ch.queue_delete(name)


@scenario("a topic with partitions is queues NAME-0 and so on")
def partitions(ctx):
    topic = create(ctx.name("t"), 3)
    producer = KafkaProducer(bootstrap_servers=kafka_address())
    for i in range(30):
        producer.send(topic, b"%d" % i, partition=i % 3)
    producer.flush()
    producer.close()
    equal(refusal(ctx, lambda ch: declare_stream(ch, topic))[0], 406, "a topic with three partitions as one queue")
    with channel(ctx) as ch:
        for n in range(3):
            declare_stream(ch, f"{topic}-{n}")
            equal([body for *_, body in read(ch, f"{topic}-{n}", 10, x_stream_offset="first")], [b"%d" % i for i in range(n, 30, 3)], f"partition {n}")
        ch.queue_delete(f"{topic}-1")
        equal(len(records(topic, 30, 3)), 30, "records of the topic")


# ---- taps ----------------------------------------------------------------------------------------------------------


def http(ctx, method, path, document=None):
    """(status, JSON or text) of the management port."""
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(f"http://{ctx.http}{path}", body, method=method, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def tap(ctx, topic, exchange, **more):
    name = ctx.name("tap")
    equal(http(ctx, "PUT", f"/api/taps/{name}", {"topic": topic, "exchange": exchange, **more})[0], 201, "status of a new tap")
    return name


def furnished(ch, ctx, *keys, **arguments):
    """(exchange, queue): a durable queue bound to a topic exchange."""
    exchange, queue = ctx.name("x"), ctx.name("q")
    ch.exchange_declare(exchange, "topic", durable=True)
    ch.queue_declare(queue, durable=True, arguments={k.replace("_", "-"): v for k, v in arguments.items()})
    for key in keys or ("#",):
        ch.queue_bind(queue, exchange, key)
    return exchange, queue


def drain(ch, queue, count, limit_s=15):
    """Bodies, once as many are there; and then nothing more."""
    found, deadline = [], time.monotonic() + limit_s
    while len(found) < count and time.monotonic() < deadline:
        method, _, body = ch.basic_get(queue, auto_ack=True)
        if method:
            found.append(body)
        else:
            ch.connection.sleep(0.02)
    ch.connection.sleep(0.3)
    while (got := ch.basic_get(queue, auto_ack=True))[0]:
        found.append(got[2])
    return found


@scenario("a tap carries what kafka-python produces into queues, compressed or not, with the topic's name as routing key", timeout=60)
def tapped(ctx):
    topic = create(ctx.name("t"), 3)
    with channel(ctx) as ch:
        exchange, queue = furnished(ch, ctx, topic)
        values = [b"early %d " % i + b"y" * 300 for i in range(100)]
        produce(topic, values, compression_type="zstd", linger_ms=10)
        name = tap(ctx, topic, exchange)
        equal(http(ctx, "GET", f"/api/taps/{name}"), (200, {"name": name, "topic": topic, "exchange": exchange, "routing_key": topic, "from": "first"}), "the tap")
        if ctx.pid:  # the command line says the same
            program = os.readlink(f"/proc/{ctx.pid}/exe")
            listed = subprocess.run([program, "tap", "list", "--broker", ctx.http], capture_output=True, text=True, check=True).stdout
            true([name, topic, exchange, topic, "first"] in [line.split() for line in listed.splitlines()], f"listed: {listed}")
            second = ctx.name("tap")
            for words, said in ((("add", second, topic, exchange, "--routing-key", "nobody", "--next"), f"added {second}\n"), (("delete", second), f"deleted {second}\n")):
                done = subprocess.run([program, "tap", *words, "--broker", ctx.http], capture_output=True, text=True, check=False)
                equal((done.stdout, done.stderr), (said, ""), f"tap {words[0]}")
        true(name in [t["name"] for t in http(ctx, "GET", "/api/taps")[1]], "it is listed")
        equal(drain(ch, queue, 100), values, "values from before the tap")
        producer = KafkaProducer(bootstrap_servers=kafka_address())
        for i in range(300):
            producer.send(topic, b"%d" % i, partition=i % 3, key=b"k%d" % i, headers=[("content-type", b"text/plain"), ("h", b"x")])
        producer.flush()
        producer.close()
        eventually(lambda: ch.queue_declare(queue, passive=True).method.message_count == 300, 10, "300 messages")
        method, properties, body = ch.basic_get(queue, auto_ack=True)
        equal((method.routing_key, method.exchange, properties.content_type, properties.headers, properties.delivery_mode),
              (topic, exchange, "text/plain", {"h": "x", "kafka-key": f"k{body.decode()}"}, 2), "a message")
        found = [body, *drain(ch, queue, 299)]
        for n in range(3):
            equal([b for b in found if int(b) % 3 == n], [b"%d" % i for i in range(n, 300, 3)], f"partition {n}")
        equal(http(ctx, "DELETE", f"/api/taps/{name}")[0], 204, "deleted")
        produce(topic, [b"after"])
        equal(drain(ch, queue, 0), [], "messages without a tap")
        ch.queue_delete(queue)
        ch.exchange_delete(exchange)


@scenario("a tap from 'next' with a key of its own takes what comes from then on")
def from_next(ctx):
    topic = create(ctx.name("t"))
    produce(topic, [b"old"])
    with channel(ctx) as ch:
        exchange, queue = furnished(ch, ctx, "order.*")
        name = tap(ctx, topic, exchange, **{"from": "next", "routing_key": "order.new"})
        ch.connection.sleep(0.5)
        produce(topic, [b"new"])
        equal(drain(ch, queue, 1), [b"new"], "messages")
        http(ctx, "DELETE", f"/api/taps/{name}")
        ch.queue_delete(queue)
        ch.exchange_delete(exchange)


@scenario("a full queue stalls its tap, never the producer, and gets the rest when there is room, in order", timeout=60)
def stalled(ctx):
    topic = create(ctx.name("t"))
    with channel(ctx) as ch:
        exchange, queue = furnished(ch, ctx, x_max_length=10, x_overflow="reject-publish")
        free = ch.queue_declare("", exclusive=True).method.queue
        ch.queue_bind(free, exchange, "#")
        name = tap(ctx, topic, exchange)
        values = [b"%d" % i for i in range(60)]
        equal(produce(topic, values), list(range(60)), "offsets")
        eventually(lambda: ch.queue_declare(queue, passive=True).method.message_count == 10, 10, "a full queue")
        equal(drain(ch, queue, 60, 40), values, "messages")
        equal(drain(ch, free, 60), values, "messages of the other queue, which does not keep numbers")
        http(ctx, "DELETE", f"/api/taps/{name}")
        ch.queue_delete(queue)
        ch.exchange_delete(exchange)


def flood(address, topic, prefix):
    """A program of its own that sends until it is killed: what it sent last may be in the topic or not."""
    producer = KafkaProducer(bootstrap_servers=address, linger_ms=1, retries=0)
    for i in itertools.count():
        producer.send(topic, b"%s-%d" % (prefix.encode(), i), partition=i % 2)
        if i % 50 == 0:
            time.sleep(0.002)


@scenario("kill -9 in the midst: a tap goes on where it was, nothing is lost and no queue has anything twice", timeout=180)
def tap_killed(ctx):
    topic, control = create(ctx.name("t"), 2), Control()
    with channel(ctx) as ch:
        exchange, queue = furnished(ch, ctx)
        other = ctx.name("q")
        ch.queue_declare(other, durable=True, arguments={"x-max-priority": 3})
        ch.queue_bind(other, exchange, "#")
        name = tap(ctx, topic, exchange)

    for n in range(KILLS):
        with subprocess.Popen([sys.executable, __file__, "flood", kafka_address(), topic, str(n)], stderr=subprocess.DEVNULL) as sender:
            time.sleep(1.2 + n * 0.037)  # it takes its time to begin
            control.kill()
            sender.kill()  # so that nothing comes later
        control.start()
    reader = KafkaConsumer(bootstrap_servers=kafka_address(), group_id=None)
    total = sum(reader.end_offsets([TopicPartition(topic, n) for n in range(2)]).values())
    reader.close()
    true(total > 1000 * KILLS, f"only {total} records came into the topic")
    stored = records(topic, total, 2)
    with channel(ctx) as ch:
        for target in (queue, other):
            eventually(lambda target=target: ch.queue_declare(target, passive=True).method.message_count >= total, 60, f"all messages of {target}")
            counts = collections.Counter(drain(ch, target, total, 60))
            wanted = collections.Counter(record.value for record in stored)
            wrong = sorted((body, counts[body], wanted[body]) for body in counts | wanted if counts[body] != wanted[body])
            equal((len(wrong), wrong[:5], wrong[-5:]), (0, [], []), f"messages of {target}: there, and in the topic")
            ch.queue_delete(target)
        http(ctx, "DELETE", f"/api/taps/{name}")
        ch.exchange_delete(exchange)


@scenario("what would go in a circle through a tap is refused, as a tap and as a binding; so are names that are not there")
def circles(ctx):
    topic = create(ctx.name("t"))
    with channel(ctx) as ch:
        outer, inner = ctx.name("x"), ctx.name("x")
        for exchange in (outer, inner):
            ch.exchange_declare(exchange, "fanout", durable=True)
        ch.exchange_bind(destination=inner, source=outer)
        path, wanted = f"/api/taps/{ctx.name('tap')}", {"topic": topic, "exchange": outer}
        ch.queue_bind(topic, inner, "", arguments={"x-target": "topic"})
        status, why = http(ctx, "PUT", path, wanted)
        equal(status, 400, "status")
        true("circle" in str(why), f"reason {why}")
        ch.queue_unbind(topic, inner, "", arguments={"x-target": "topic"})
        equal(http(ctx, "PUT", path, wanted)[0], 201, "status without the binding")
        error = raises(ChannelClosedByBroker, ch.queue_bind, topic, inner, "", arguments={"x-target": "topic"})
        equal((error.reply_code, "circle" in error.reply_text), (406, True), "refusal")
    equal(http(ctx, "PUT", path, {"topic": topic, "exchange": ctx.name("x")})[0] in (400, 404), True, "no exchange")
    equal(http(ctx, "PUT", path, {"topic": ctx.name("t"), "exchange": outer})[0] in (400, 404), True, "no topic")
    equal(http(ctx, "DELETE", path)[0], 204, "deleted")
    equal(http(ctx, "DELETE", path)[0], 404, "deleted again")
    with channel(ctx) as ch:
        ch.exchange_delete(inner)
        ch.exchange_delete(outer)


@scenario("what came from AMQP into the topic enters queues by a tap with its properties, but for identity and deaths")
def round_trip(ctx):
    topic = create(ctx.name("t"))
    with channel(ctx) as ch:
        into = bind(ch, ctx, topic)
        exchange, queue = furnished(ch, ctx)
        name = tap(ctx, topic, exchange)
        ch.confirm_delivery()
        ch.basic_publish(into, "order.1", b"body", pika.BasicProperties(
            user_id="guest", app_id="a", headers={"x-death": [{"queue": "q"}], "keep": {"n": [1, 2]}}))
        eventually(lambda: ch.queue_declare(queue, passive=True).method.message_count == 1, 10, "the message")
        _, properties, body = ch.basic_get(queue, auto_ack=True)
        equal((body, properties.app_id, properties.user_id, properties.headers), (b"body", "a", None, {"keep": {"n": [1, 2]}}), "message")
        http(ctx, "DELETE", f"/api/taps/{name}")
        ch.queue_delete(queue)
        for x in (into, exchange):
            ch.exchange_delete(x)


@scenario("streams and bindings to topics outlive a kill, and readers go on where they were told to", timeout=120)
def killed(ctx):
    control = Control()
    with channel(ctx) as ch:
        queue = declare_stream(ch, ctx.name("s"))
        exchange = bind(ch, ctx, queue, x_key_from="routing-key")
        ch.confirm_delivery()
        for i in range(50):
            ch.basic_publish(exchange, f"order.{i}", b"%d" % i, PERSISTENT)
        control.kill()
    control.start()
    with channel(ctx) as ch:
        ch.confirm_delivery()
        ch.basic_publish(exchange, "order.50", b"50", PERSISTENT)
        found = read(ch, queue, 21, x_stream_offset=30)
        equal([(o, b) for o, _, _, b in found], [(i, b"%d" % i) for i in range(30, 51)], "messages")
        equal(found[0][1].routing_key, "order.30", "routing key")
        ch.queue_delete(queue)
        ch.exchange_delete(exchange)


if __name__ == "__main__" and sys.argv[1] == "flood":
    flood(*sys.argv[2:])
elif __name__ == "__main__":
    main("amqp-topics")
