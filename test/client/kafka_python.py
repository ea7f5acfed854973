"""kafka-python: version 2.0.2 (what the guides install) and the newest. Consumers assign(); no groups."""

import os
import time

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.errors import KafkaError, MessageSizeTooLargeError, TopicAlreadyExistsError, UnknownTopicOrPartitionError

from harness.scenario import equal, eventually, main, raises, scenario, true

MODERN = int(kafka.__version__.split(".")[0]) >= 3
CODECS = (None, "gzip", "snappy", "lz4", "zstd")


def producer(ctx, **options):
    return KafkaProducer(bootstrap_servers=ctx.bootstrap, **options)


def consumer(ctx, *partitions, **options):
    made = KafkaConsumer(bootstrap_servers=ctx.bootstrap, group_id=None, enable_auto_commit=False,
                         auto_offset_reset="none", **options)
    made.assign(list(partitions))
    return made


def admin(ctx):
    return KafkaAdminClient(bootstrap_servers=ctx.bootstrap)


def read(reader, count, timeout=15):
    """The next `count` records that the consumer gets."""
    found, end = [], time.monotonic() + timeout
    while len(found) < count and time.monotonic() < end:
        for records in reader.poll(timeout_ms=200).values():
            found += records
    equal(len(found), count, "records read")
    return found


def read_all(ctx, topic, count, partition=0):
    tp = TopicPartition(topic, partition)
    reader = consumer(ctx, tp)
    reader.seek_to_beginning(tp)
    found = read(reader, count)
    reader.close()
    return found


def send_all(ctx, topic, values, **options):
    sender = producer(ctx, **options)
    futures = [sender.send(topic, value, partition=0) for value in values]
    sender.flush(timeout=20)
    offsets = [future.get(timeout=10).offset for future in futures]
    sender.close()
    return offsets


@scenario("produces and reads back with each codec, and the broker keeps it", timeout=60)
def codecs(ctx):
    for number, codec in enumerate(CODECS):
        topic = ctx.topic(stem=codec or "none")
        values = [b"%d " % i + b"pattern" * 30 for i in range(200)]
        equal(send_all(ctx, topic, values, compression_type=codec, linger_ms=5), list(range(200)), f"{codec} offsets")
        equal([r.value for r in read_all(ctx, topic, 200)], values, f"{codec} values")
        with ctx.connect() as conn:
            equal(conn.codecs(topic), {number}, f"codecs of the batches stored for {codec}")


@scenario("acks 0, 1 and all")
def acks(ctx):
    for level in (0, 1, "all"):
        options = {"enable_idempotence": False} if MODERN else {}
        topic = ctx.topic()
        offsets = send_all(ctx, topic, [b"a", b"b", b"c"], acks=level, **options)
        true(level == 0 or offsets == [0, 1, 2], f"acks={level}: offsets {offsets}")
        equal([r.value for r in read_all(ctx, topic, 3)], [b"a", b"b", b"c"], f"acks={level}")


@scenario("key, headers, timestamp, null key and null value survive")
def fields(ctx):
    topic = ctx.topic()
    sender = producer(ctx)
    headers = [("trace", b"abc"), ("trace", b"again"), ("empty", b"")]
    stamp = int(time.time() * 1000) - 5000
    sender.send(topic, b"value", key=b"key", headers=headers, partition=0, timestamp_ms=stamp)
    sender.send(topic, b"", partition=0)
    sender.send(topic, None, key=b"tombstone", partition=0)
    sender.close(timeout=10)
    first, second, third = read_all(ctx, topic, 3)
    equal((first.key, first.value, list(first.headers), first.timestamp), (b"key", b"value", headers, stamp), "first")
    equal((second.key, second.value), (None, b""), "second")
    equal((third.key, third.value), (b"tombstone", None), "third")


@scenario("equal keys go to one partition, in order")
def partitioner(ctx):
    topic = ctx.topic(partitions=4)
    sender = producer(ctx)
    futures = [sender.send(topic, b"%d" % i, key=b"key-%d" % (i % 10)) for i in range(200)]
    sender.flush(timeout=20)
    placed = {}
    for i, future in enumerate(futures):
        meta = future.get(timeout=10)
        placed.setdefault(b"key-%d" % (i % 10), set()).add(meta.partition)
    sender.close()
    true(all(len(p) == 1 for p in placed.values()), f"keys on several partitions: {placed}")
    true(len(set().union(*placed.values())) > 1, "all keys on one partition")
    parts = [TopicPartition(topic, p) for p in range(4)]
    reader = consumer(ctx, *parts)
    reader.seek_to_beginning(*parts)
    last = {}
    for record in read(reader, 200):
        true(last.get(record.key, -1) < int(record.value), f"{record.key} out of order")
        last[record.key] = int(record.value)
    reader.close()


@scenario("seeks to any offset")
def seek(ctx):
    topic = ctx.topic()
    send_all(ctx, topic, [b"%d" % i for i in range(300)], compression_type="gzip", linger_ms=20)
    tp = TopicPartition(topic, 0)
    reader = consumer(ctx, tp)
    for offset in (0, 1, 150, 299, 42):
        reader.seek(tp, offset)
        record = read(reader, 300 - offset)[0]
        equal((record.offset, record.value), (offset, b"%d" % offset), "first record")
        equal(reader.position(tp), 300, "position")
    reader.seek_to_end(tp)
    equal(reader.position(tp), 300, "position at the end")
    reader.close()


@scenario("offsets by time, of the beginning and of the end")
def offsets_for_times(ctx):
    topic = ctx.topic(partitions=2)
    base = int(time.time() * 1000) - 100000
    sender = producer(ctx, linger_ms=50, compression_type="lz4")
    for i in range(100):
        sender.send(topic, b"%d" % i, partition=0, timestamp_ms=base + i * 10)
    sender.close(timeout=10)
    tp, empty = TopicPartition(topic, 0), TopicPartition(topic, 1)
    reader = consumer(ctx, tp, empty)
    for stamp, offset in ((base - 1, 0), (base, 0), (base + 495, 50), (base + 500, 50), (base + 990, 99)):
        found = reader.offsets_for_times({tp: stamp})[tp]
        equal((found.offset, found.timestamp), (offset, base + offset * 10), f"offset for +{stamp - base} ms")
    found = reader.offsets_for_times({tp: base + 991, empty: base})
    equal((found[tp], found[empty]), (None, None), "offsets past the last record")
    equal(reader.beginning_offsets([tp, empty]), {tp: 0, empty: 0}, "beginning")
    equal(reader.end_offsets([tp, empty]), {tp: 100, empty: 0}, "end")
    reader.close()


@scenario("admin makes, lists, widens and deletes topics")
def topics(ctx):
    client, name = admin(ctx), ctx.name("admin")
    client.create_topics([NewTopic(name, num_partitions=2, replication_factor=1)])
    raises(TopicAlreadyExistsError, client.create_topics, [NewTopic(name, num_partitions=2, replication_factor=1)])
    eventually(lambda: name in client.list_topics(), 10, "topic is listed")
    client.create_partitions({name: NewPartitions(5)})
    reader = KafkaConsumer(bootstrap_servers=ctx.bootstrap, group_id=None)
    eventually(lambda: partitions_now(ctx, name) == {0, 1, 2, 3, 4}, 10, "five partitions")
    reader.close()
    raises(KafkaError, client.create_partitions, {name: NewPartitions(3)})
    client.delete_topics([name])
    eventually(lambda: name not in client.list_topics(), 10, "topic is gone")
    raises(UnknownTopicOrPartitionError, client.delete_topics, [name])
    client.close()


def configs_of(client, kind, name):
    """{setting: value}, from the answers of either version."""
    if MODERN:
        (found,) = client.describe_configs([ConfigResource(kind, name)], config_filter="all")[kind.name.lower()].values()
        return {key: entry["value"] for key, entry in found.items()}
    (answer,) = client.describe_configs([ConfigResource(kind, name)])
    ((error, _, _, _, entries),) = answer.resources
    equal(error, 0, "error of describe_configs")
    return {entry[0]: entry[1] for entry in entries}


@scenario("admin describes and alters configurations")
def configs(ctx):
    client, name = admin(ctx), ctx.topic(retention_ms=5000)
    found = configs_of(client, ConfigResourceType.TOPIC, name)
    equal((found["retention.ms"], found["cleanup.policy"]), ("5000", "delete"), "settings")
    client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": "compact"})])
    equal(configs_of(client, ConfigResourceType.TOPIC, name)["cleanup.policy"], "compact", "cleanup.policy")
    broker = configs_of(client, ConfigResourceType.BROKER, "1")
    true(broker["num.partitions"] and broker["log.dirs"], "settings of the broker")
    client.close()


def partitions_now(ctx, topic):
    reader = KafkaConsumer(bootstrap_servers=ctx.bootstrap, group_id=None)
    try:
        return reader.partitions_for_topic(topic)
    finally:
        reader.close()


@scenario("a first send makes the topic")
def auto_creation(ctx):
    topic = ctx.name("auto")
    sender = producer(ctx)
    equal(sender.send(topic, b"first").get(timeout=20).offset, 0, "offset")
    sender.close()
    equal(read_all(ctx, topic, 1)[0].value, b"first", "value")


@scenario("too large a message is refused, by the client and by the broker")
def too_large(ctx):
    small = ctx.topic(stem="small", max_message_bytes=2000)
    modest, sender = producer(ctx), producer(ctx, max_request_size=10 << 20)
    raises(MessageSizeTooLargeError, lambda: modest.send(small, b"x" * (2 << 20)).get(timeout=10))
    error = raises(KafkaError, sender.send(small, b"x" * 5000).get, timeout=10)
    true("MessageSizeTooLarge" in type(error).__name__ or "RecordTooLarge" in type(error).__name__,
         f"error is {type(error).__name__}")
    equal(modest.send(small, b"x" * 1000).get(timeout=10).offset, 0, "a smaller one afterwards")
    modest.close()
    sender.close()


@scenario("messages of a megabyte")
def large(ctx):
    topic = ctx.topic(max_message_bytes=4 << 20)
    values = [os.urandom(1 << 20), b"small", os.urandom(3 << 20)]
    equal(send_all(ctx, topic, values, max_request_size=10 << 20), [0, 1, 2], "offsets")
    equal([r.value == v for r, v in zip(read_all(ctx, topic, 3), values)], [True] * 3, "values are equal")


@scenario("a consumer that is waiting gets records as they come")
def tail(ctx):
    topic = ctx.topic()
    tp = TopicPartition(topic, 0)
    reader = consumer(ctx, tp)
    reader.seek_to_end(tp)
    equal(reader.position(tp), 0, "position")
    sender = producer(ctx)
    for i in range(20):
        sender.send(topic, b"%d" % i)
        sender.flush(timeout=10)
        equal(read(reader, 1)[0].value, b"%d" % i, "record")
    sender.close()
    reader.close()


if MODERN:
    @scenario("delete_records moves the beginning")
    def delete_records(ctx):
        topic = ctx.topic()
        send_all(ctx, topic, [b"%d" % i for i in range(50)])
        tp, client = TopicPartition(topic, 0), admin(ctx)
        client.delete_records({tp: 20})
        reader = consumer(ctx, tp)
        equal(reader.beginning_offsets([tp]), {tp: 20}, "beginning")
        reader.seek_to_beginning(tp)
        equal([r.offset for r in read(reader, 30)], list(range(20, 50)), "offsets")
        client.delete_records({tp: -1})
        equal(reader.beginning_offsets([tp]), {tp: 50}, "beginning after deleting all")
        reader.close()
        client.close()

    @scenario("an idempotent producer")
    def idempotent(ctx):
        topic = ctx.topic()
        values = [b"%d" % i for i in range(500)]
        equal(send_all(ctx, topic, values, enable_idempotence=True, acks="all"), list(range(500)), "offsets")
        equal([r.value for r in read_all(ctx, topic, 500)], values, "values")


if __name__ == "__main__":
    main(os.environ.get("CLIENT", "kafka-python"))
