"""confluent-kafka: librdkafka, the client under most languages."""

import os
import time

from confluent_kafka import (OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Producer,
                             TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ConfigSource,
                                   NewPartitions, NewTopic, OffsetSpec, ResourceType)

from harness.scenario import equal, eventually, main, raises, scenario, true

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


class Sender:
    """A producer that remembers what was reported for each message."""

    def __init__(self, ctx, **options):
        settings = {"bootstrap.servers": ctx.bootstrap, "linger.ms": 2, **dotted(options)}
        self.producer = Producer(settings)
        self.reports = []

    def send(self, topic, value, partition=0, **more):
        while True:
            try:
                self.producer.produce(topic, value, partition=partition, on_delivery=self.report, **more)
                return
            except BufferError:
                self.producer.poll(0.1)

    def report(self, error, message):
        self.reports.append((error, message.partition(), message.offset(), message.value()))

    def flush(self):
        equal(self.producer.flush(20), 0, "messages not delivered in 20 s")
        return self.reports

    def offsets(self):
        """Offsets in order of the reports; every message must have been delivered."""
        for error, _, _, _ in self.flush():
            true(error is None, f"delivery failed: {error}")
        return [offset for _, _, offset, _ in self.reports]


def dotted(options):
    return {key.replace("_", "."): value for key, value in options.items()}


def consumer(ctx, **options):
    # librdkafka wants a group id even of a consumer that only assigns
    return Consumer({"bootstrap.servers": ctx.bootstrap, "group.id": "unused", "enable.auto.commit": False,
                     "auto.offset.reset": "error", "fetch.wait.max.ms": 50, **dotted(options)})


def read(reader, count, timeout=20):
    found, end = [], time.monotonic() + timeout
    while len(found) < count and time.monotonic() < end:
        for message in reader.consume(min(count - len(found), 5000), 0.2):
            if message.error():
                raise KafkaException(message.error())
            found.append(message)
    equal(len(found), count, "records read")
    return found


def read_from(ctx, topic, offset, count, partition=0, **options):
    reader = consumer(ctx, **options)
    reader.assign([TopicPartition(topic, partition, offset)])
    try:
        return read(reader, count)
    finally:
        reader.close()


def admin(ctx):
    return AdminClient({"bootstrap.servers": ctx.bootstrap})


def done(futures):
    """Waits for the futures of an admin call; their results by key."""
    return {key: future.result(timeout=15) for key, future in futures.items()}


@scenario("produces and reads back with each codec, and the broker keeps it", timeout=60)
def codecs(ctx):
    for codec in CODECS:
        topic = ctx.topic(stem=codec)
        sender, values = Sender(ctx, compression_type=codec), [b"%d " % i + b"text" * 50 for i in range(1000)]
        for value in values:
            sender.send(topic, value)
        equal(sender.offsets(), list(range(1000)), f"{codec} offsets")
        equal([m.value() for m in read_from(ctx, topic, OFFSET_BEGINNING, 1000)], values, f"{codec} values")
        with ctx.connect() as conn:
            equal(conn.codecs(topic), {conn.librdkafka_codec(codec)}, f"codecs of the batches stored for {codec}")


@scenario("ten thousand messages of an idempotent producer stay in order", timeout=60)
def idempotent(ctx):
    topic = ctx.topic(partitions=3)
    sender = Sender(ctx, enable_idempotence=True, compression_type="lz4")
    for i in range(10000):
        sender.send(topic, b"%d" % i, partition=i % 3)
        if i % 500 == 0:
            sender.producer.poll(0)
    sender.offsets()
    for partition in range(3):
        wanted = [b"%d" % i for i in range(partition, 10000, 3)]
        got = read_from(ctx, topic, OFFSET_BEGINNING, len(wanted), partition)
        equal([m.value() for m in got], wanted, f"partition {partition}")
        equal([m.offset() for m in got], list(range(len(wanted))), f"offsets of partition {partition}")


@scenario("acks 0, 1 and all")
def acks(ctx):
    for level in (0, 1, -1):
        topic, sender = ctx.topic(), Sender(ctx, acks=level)
        for value in (b"a", b"b"):
            sender.send(topic, value)
        offsets = sender.offsets()
        true(level == 0 or offsets == [0, 1], f"acks={level}: offsets {offsets}")
        # acks=0 promises nothing of when
        equal([m.value() for m in read_from(ctx, topic, 0, 2)], [b"a", b"b"], f"acks={level}")


@scenario("key, headers, timestamp, null and empty values survive")
def fields(ctx):
    topic, sender, stamp = ctx.topic(), Sender(ctx), int(time.time() * 1000) - 7000
    headers = [("a", b"1"), ("a", b"2"), ("null", None), ("empty", b"")]
    sender.send(topic, b"value", key=b"key", headers=headers, timestamp=stamp)
    sender.send(topic, None, key=b"tombstone")
    sender.send(topic, b"")
    sender.offsets()
    first, second, third = read_from(ctx, topic, 0, 3)
    equal((first.key(), first.value(), first.headers(), first.timestamp()), (b"key", b"value", headers, (1, stamp)),
          "first")
    equal((second.key(), second.value()), (b"tombstone", None), "second")
    equal((third.key(), third.value()), (None, b""), "third")


@scenario("a topic with LogAppendTime carries the broker's clock")
def log_append_time(ctx):
    topic = ctx.topic(message_timestamp_type="LogAppendTime")
    before, sender = int(time.time() * 1000), Sender(ctx)
    for i in range(10):
        sender.send(topic, b"%d" % i, timestamp=1000)
    sender.offsets()
    for message in read_from(ctx, topic, 0, 10):
        kind, stamp = message.timestamp()
        equal(kind, 2, "timestamp type")
        true(before - 1000 <= stamp <= time.time() * 1000 + 1000, f"timestamp {stamp}")


@scenario("assigns any offset, and says when it is out of range")
def offsets(ctx):
    topic, sender = ctx.topic(), Sender(ctx, linger_ms=50, compression_type="zstd")
    for i in range(500):
        sender.send(topic, b"%d" % i)
    sender.offsets()
    for offset in (0, 1, 250, 499):
        got = read_from(ctx, topic, offset, 500 - offset)
        equal([m.offset() for m in got], list(range(offset, 500)), f"from {offset}")
    reader = consumer(ctx)
    equal(reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=10), (0, 500), "watermarks")
    reader.assign([TopicPartition(topic, 0, 501)])
    error = raises(KafkaException, read, reader, 1)
    true(error.args[0].code() in (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET), f"error {error}")
    reader.close()


@scenario("seeks while consuming, to the end too")
def seek(ctx):
    topic, sender = ctx.topic(), Sender(ctx)
    for i in range(100):
        sender.send(topic, b"%d" % i)
    sender.offsets()
    reader = consumer(ctx)
    reader.assign([TopicPartition(topic, 0, 90)])
    equal(read(reader, 1)[0].offset(), 90, "first")
    reader.seek(TopicPartition(topic, 0, 10))
    equal(read(reader, 1)[0].offset(), 10, "after seek")
    reader.assign([TopicPartition(topic, 0, OFFSET_END)])
    equal(reader.consume(1, 0.7), [], "at the end")
    sender.send(topic, b"late")
    sender.flush()
    equal(read(reader, 1)[0].value(), b"late", "what came later")
    reader.close()


@scenario("offsets_for_times finds the first record, inside compressed batches too")
def offsets_for_times(ctx):
    topic, base = ctx.topic(), int(time.time() * 1000) - 100000
    sender = Sender(ctx, linger_ms=100, compression_type="snappy")
    for i in range(200):
        sender.send(topic, b"%d" % i, timestamp=base + i * 10)
    sender.offsets()
    reader = consumer(ctx)
    for stamp, wanted in ((base - 5, 0), (base, 0), (base + 1001, 101), (base + 1990, 199), (base + 1991, OFFSET_END)):
        found = reader.offsets_for_times([TopicPartition(topic, 0, stamp)], timeout=10)[0]
        equal(found.offset, wanted, f"offset for +{stamp - base} ms")
    reader.close()


@scenario("admin makes, describes, widens and deletes topics")
def topics(ctx):
    client, name = admin(ctx), ctx.name("admin")
    done(client.create_topics([NewTopic(name, num_partitions=2, replication_factor=1)]))
    again = client.create_topics([NewTopic(name, num_partitions=2, replication_factor=1)])
    error = raises(KafkaException, done, again)
    equal(error.args[0].code(), KafkaError.TOPIC_ALREADY_EXISTS, "error")
    eventually(lambda: len(partitions(client, name)) == 2, 10, "two partitions")
    done(client.create_partitions([NewPartitions(name, 6)]))
    eventually(lambda: len(partitions(client, name)) == 6, 10, "six partitions")
    error = raises(KafkaException, done, client.create_partitions([NewPartitions(name, 4)]))
    equal(error.args[0].code(), KafkaError.INVALID_PARTITIONS, "error for fewer partitions")
    done(client.delete_topics([name]))
    eventually(lambda: name not in client.list_topics(timeout=10).topics, 10, "topic is gone")


def partitions(client, name):
    return client.list_topics(name, timeout=10).topics[name].partitions


@scenario("creation is refused with the right errors")
def refused(ctx):
    client = admin(ctx)
    wrong = {"bad name!": KafkaError.TOPIC_EXCEPTION, "x" * 250: KafkaError.TOPIC_EXCEPTION}
    for name, code in wrong.items():
        error = raises(KafkaException, done, client.create_topics([NewTopic(name, 1, 1)]))
        equal(error.args[0].code(), code, f"error for {name[:20]}")
    error = raises(KafkaException, done, client.create_topics([NewTopic(ctx.name(), 1, 3)]))
    equal(error.args[0].code(), KafkaError.INVALID_REPLICATION_FACTOR, "error for three replicas")
    error = raises(KafkaException, done,
                   client.create_topics([NewTopic(ctx.name(), 1, 1, config={"retention.ms": "soon"})]))
    equal(error.args[0].code(), KafkaError.INVALID_CONFIG, "error for a bad setting")
    name = ctx.name("dry")
    done(client.create_topics([NewTopic(name, 1, 1)], validate_only=True))
    true(name not in client.list_topics(timeout=10).topics, "validate_only made the topic")


@scenario("a deleted topic's name starts again at offset 0")
def recreate(ctx):
    client, name = admin(ctx), ctx.name("again")
    for turn in (b"first", b"second"):
        eventually(lambda: create(client, name), 10, "topic is made")
        sender = Sender(ctx)
        sender.send(name, turn)
        equal(sender.offsets(), [0], "offset")
        equal(read_from(ctx, name, 0, 1)[0].value(), turn, "value")
        done(client.delete_topics([name]))
        eventually(lambda: name not in client.list_topics(timeout=10).topics, 10, "topic is gone")


def create(client, name):
    """Makes the topic; False while its forerunner is still being deleted."""
    try:
        done(client.create_topics([NewTopic(name, 1, 1)]))
        return True
    except KafkaException as error:
        equal(error.args[0].code(), KafkaError.TOPIC_ALREADY_EXISTS, "error")
        return False


@scenario("delete_records, list_offsets and describe_cluster")
def records_and_cluster(ctx):
    client, topic, sender = admin(ctx), ctx.topic(), Sender(ctx)
    base = int(time.time() * 1000) - 60000
    for i, stamp in enumerate((10, 90, 40, 70)):
        sender.send(topic, b"%d" % i, timestamp=base + stamp)
    sender.offsets()
    where = TopicPartition(topic, 0)
    for spec, wanted in ((OffsetSpec.earliest(), 0), (OffsetSpec.latest(), 4), (OffsetSpec.max_timestamp(), 1),
                         (OffsetSpec.for_timestamp(base + 41), 1)):
        equal(list(done(client.list_offsets({where: spec})).values())[0].offset, wanted, f"{spec}")
    done(client.delete_records([TopicPartition(topic, 0, 3)]))
    equal(list(done(client.list_offsets({where: OffsetSpec.earliest()})).values())[0].offset, 3, "new beginning")
    error = raises(KafkaException, done, client.delete_records([TopicPartition(topic, 0, 99)]))
    equal(error.args[0].code(), KafkaError.OFFSET_OUT_OF_RANGE, "error past the end")
    cluster = client.describe_cluster().result(timeout=15)
    true(cluster.cluster_id, "cluster id is empty")
    equal([f"{n.host}:{n.port}" for n in cluster.nodes], [ctx.bootstrap], "nodes")


def settings(client, resource):
    return list(client.describe_configs([resource]).values())[0].result(timeout=15)


def alter(client, resource):
    list(client.incremental_alter_configs([resource]).values())[0].result(timeout=15)


@scenario("admin describes and alters the configuration of a topic")
def topic_configs(ctx):
    client, name = admin(ctx), ctx.topic(retention_ms=5000)
    found = settings(client, ConfigResource(ResourceType.TOPIC, name))
    equal((found["retention.ms"].value, found["retention.ms"].source), ("5000", ConfigSource.DYNAMIC_TOPIC_CONFIG.value),
          "retention.ms")
    equal((found["cleanup.policy"].value, found["cleanup.policy"].is_default), ("delete", True), "cleanup.policy")
    true(len(found) >= 33, f"{len(found)} settings")
    change, op = ConfigResource(ResourceType.TOPIC, name), AlterConfigOpType
    change.add_incremental_config(ConfigEntry("cleanup.policy", "compact", incremental_operation=op.APPEND))
    change.add_incremental_config(ConfigEntry("min.cleanable.dirty.ratio", "0.01", incremental_operation=op.SET))
    change.add_incremental_config(ConfigEntry("retention.ms", None, incremental_operation=op.DELETE))
    alter(client, change)
    found = settings(client, ConfigResource(ResourceType.TOPIC, name))
    equal(set(found["cleanup.policy"].value.split(",")), {"compact", "delete"}, "cleanup.policy")
    equal(found["min.cleanable.dirty.ratio"].value, "0.01", "min.cleanable.dirty.ratio")
    equal(found["retention.ms"].value, "604800000", "retention.ms")
    done(client.alter_configs([ConfigResource(ResourceType.TOPIC, name, set_config={"flush.ms": "7"})]))
    found = settings(client, ConfigResource(ResourceType.TOPIC, name))
    equal((found["flush.ms"].value, found["cleanup.policy"].value), ("7", "delete"), "after the older request")


@scenario("altering a configuration is refused with the right errors")
def configs_refused(ctx):
    client, name = admin(ctx), ctx.topic()
    broker = str(list(client.list_topics(timeout=10).brokers)[0])
    for kind, resource, key, value, code, words in (
            (ResourceType.TOPIC, name, "retention.ms", "soon", KafkaError.INVALID_CONFIG, "Not a number of type LONG"),
            (ResourceType.TOPIC, name, "no.such", "1", KafkaError.INVALID_CONFIG, "Unknown topic config name: no.such"),
            (ResourceType.TOPIC, ctx.name("none"), "retention.ms", "1", KafkaError.UNKNOWN_TOPIC_OR_PART, "not exist"),
            (ResourceType.BROKER, broker, "log.dirs", "/x", KafkaError.INVALID_REQUEST, "Set(log.dirs)")):
        change = ConfigResource(kind, resource)
        change.add_incremental_config(ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET))
        error = raises(KafkaException, alter, client, change).args[0]
        equal(error.code(), code, f"error for {key}")
        true(words in error.str(), f"message: {error.str()}")
    error = raises(KafkaException, settings, client, ConfigResource(ResourceType.TOPIC, ctx.name("none")))
    equal(error.args[0].code(), KafkaError.UNKNOWN_TOPIC_OR_PART, "error of an unknown topic")


@scenario("admin describes the broker's configuration")
def broker_configs(ctx):
    client = admin(ctx)
    broker = str(list(client.list_topics(timeout=10).brokers)[0])
    found = settings(client, ConfigResource(ResourceType.BROKER, broker))
    for name in ("auto.create.topics.enable", "num.partitions", "log.retention.hours", "message.max.bytes", "listeners",
                 "advertised.listeners", "log.dirs", "min.insync.replicas", "offsets.retention.minutes"):
        true(found[name].value, f"{name} has no value")
    true(found["listeners"].value.count("://") >= 1, "listeners have no address")


@scenario("large messages, near and over the limit")
def large(ctx):
    topic = ctx.topic(max_message_bytes=5 << 20)
    sender = Sender(ctx, message_max_bytes=20 << 20)
    values = [os.urandom(4 << 20), b"small", os.urandom(3 << 20), b"x" * 1000]
    for value in values:
        sender.send(topic, value)
    equal(sender.offsets(), [0, 1, 2, 3], "offsets")
    got = read_from(ctx, topic, 0, 4, fetch_message_max_bytes=1 << 16)
    true([m.value() for m in got] == values, "values differ")
    sender.reports.clear()
    sender.send(topic, os.urandom(6 << 20))
    equal(sender.flush()[0][0].code(), KafkaError.MSG_SIZE_TOO_LARGE, "error over the limit")


@scenario("one producer, many topics and partitions")
def many_topics(ctx):
    names, sender = [ctx.topic(partitions=2) for _ in range(10)], Sender(ctx)
    for i in range(2000):
        sender.send(names[i % 10], b"%d" % i, partition=i // 10 % 2)
    sender.offsets()
    reader = consumer(ctx)
    reader.assign([TopicPartition(name, p, 0) for name in names for p in range(2)])
    got = sorted(int(m.value()) for m in read(reader, 2000))
    equal(got, list(range(2000)), "values")
    reader.close()


@scenario("auto-creation by the producer; a consumer does not create")
def auto_creation(ctx):
    topic, sender = ctx.name("auto"), Sender(ctx)
    sender.send(topic, b"first")
    equal(sender.offsets(), [0], "offset")
    absent, reader = ctx.name("absent"), consumer(ctx)
    reader.assign([TopicPartition(absent, 0, 0)])
    reader.consume(1, 1.5)  # an error or nothing, as librdkafka likes
    true(absent not in admin(ctx).list_topics(timeout=10).topics, "the consumer made the topic")
    reader.close()


@scenario("delivery to a partition that is not there fails")
def delivery_errors(ctx):
    topic, sender = ctx.topic(partitions=1), Sender(ctx, message_timeout_ms=4000)
    sender.send(topic, b"nowhere", partition=5)
    error = sender.flush()[0][0]
    true(error is not None and error.code() in (KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART),
         f"error is {error}")


@scenario("a reader at the end sees records within the time of a commit")
def latency(ctx):
    topic, sender, reader = ctx.topic(), Sender(ctx, linger_ms=0), consumer(ctx)
    reader.assign([TopicPartition(topic, 0, 0)])
    for i in range(50):
        sender.send(topic, b"%d" % i)
        equal(read(reader, 1)[0].value(), b"%d" % i, "record")
    sender.flush()
    reader.close()


if __name__ == "__main__":
    main("confluent-kafka")
