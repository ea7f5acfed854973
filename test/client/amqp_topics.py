"""Between RabbitMQ's clients and Kafka's: pika and kafka-python on either end."""

import contextlib
import os
import time

import pika
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from pika.exceptions import ChannelClosedByBroker, NackError
from harness.control import Control
from harness.scenario import Skip, equal, eventually, main, raises, scenario, true
from harness.wire import Connection

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


if __name__ == "__main__":
    main("amqp-topics")
