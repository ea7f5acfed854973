"""Consumer groups with confluent-kafka, librdkafka's: eager and cooperative, static members, administration."""

import itertools
import os
import subprocess
import sys
import threading
import time

from confluent_kafka import (OFFSET_BEGINNING, OFFSET_END, Consumer, ConsumerGroupState, ConsumerGroupTopicPartitions,
                             ConsumerGroupType, KafkaError, KafkaException, Producer, TopicPartition)
from confluent_kafka.admin import AdminClient, NewPartitions

from group_ledger import Ledger, Worker, shared
from harness.control import Control
from harness.scenario import Skip, equal, eventually, main, raises, scenario, true

NAMES = itertools.count()


def settings(bootstrap, group, **options):
    return {"bootstrap.servers": bootstrap, "group.id": group, "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 300, "auto.offset.reset": "earliest", "enable.auto.commit": False,
            "topic.metadata.refresh.interval.ms": 1000, "reconnect.backoff.max.ms": 200, "fetch.wait.max.ms": 100,
            "retry.backoff.max.ms": 200,
            **{key.replace("_", "."): value for key, value in options.items()}}


def consumer(ctx, group, *topics, **options):
    made = Consumer(settings(ctx.bootstrap, group, **options))
    if topics:
        made.subscribe(list(topics))
    return made


def admin(ctx):
    return AdminClient({"bootstrap.servers": ctx.bootstrap})


def numbers(first, last):
    return [b"%d" % i for i in range(first, last)]


def fill(ctx, topic, values, partition=0):
    producer, failed = Producer({"bootstrap.servers": ctx.bootstrap, "linger.ms": 2}), []
    for value in values:
        producer.produce(topic, value, partition=partition, on_delivery=lambda error, _: failed.append(error))
    equal(producer.flush(20), 0, "messages left")
    equal([error for error in failed if error], [], "failed deliveries")


def read(reader, count, timeout=20):
    """Values of the next `count` records."""
    found, end = [], time.monotonic() + timeout
    while len(found) < count and time.monotonic() < end:
        for message in reader.consume(count - len(found), 0.2):
            if message.error():
                raise KafkaException(message.error())
            found.append(message.value())
    equal(len(found), count, "records read")
    return found


def nothing(reader):
    equal([m.value() for m in reader.consume(1, 0.5)], [], "records at the end")


def committed(reader, topic, partition=0):
    found = reader.committed([TopicPartition(topic, partition)], timeout=10)[0]
    true(found.error is None, f"committed: {found.error}")
    return found.offset, found.metadata


def code(error):
    return error.args[0].code()


class Member(Worker):
    refused = (KafkaException,)
    RESTARTING = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError.UNKNOWN_TOPIC_OR_PART)

    def __init__(self, ctx, group, topics, ledger=None, **options):
        self.settings, self.topics, self.reader = settings(ctx.bootstrap, group, **options), topics, None
        self.options, self.lost = options, 0
        super().__init__(f"consumer-{next(NAMES)}", ledger)

    def open(self):
        self.reader = Consumer(self.settings)
        self.reader.subscribe(list(self.topics), on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.gone)

    def assigned(self, _, partitions):
        new = frozenset((p.topic, p.partition) for p in partitions)
        self.took(new, self.owned | new)

    def revoked(self, _, partitions):
        self.owned -= frozenset((p.topic, p.partition) for p in partitions)

    def gone(self, reader, partitions):
        self.lost += 1
        self.revoked(reader, partitions)

    def poll(self):
        messages = self.reader.consume(500, 0.1)
        for message in messages:
            if message.error() and message.error().code() not in self.RESTARTING:
                raise KafkaException(message.error())
        return [((m.topic(), m.partition()), m.offset(), m.value()) for m in messages if not m.error()]

    def commit(self, offsets):
        parts = [TopicPartition(*where, offset) for where, offset in offsets.items()]
        for part in self.reader.commit(offsets=parts, asynchronous=False):
            if part.error:
                raise KafkaException(part.error)

    def close(self):
        self.reader.close()


class Source(threading.Thread):
    """An idempotent producer that goes on until it is ended, and enters in the ledger what was acknowledged."""

    def __init__(self, ctx, ledger, topic, partitions):
        super().__init__(daemon=True)
        self.ledger, self.topic, self.partitions, self.stopping = ledger, topic, partitions, False
        self.producer = Producer({"bootstrap.servers": ctx.bootstrap, "enable.idempotence": True, "linger.ms": 5,
                                  "reconnect.backoff.max.ms": 200, "compression.type": "lz4"})
        self.start()

    def run(self):
        for number in itertools.count():
            if self.stopping:
                return
            self.producer.produce(self.topic, b"%d" % number, partition=number % self.partitions, on_delivery=self.told)
            self.producer.poll(0.002)

    def told(self, error, message):
        if error is None:
            self.ledger.acknowledge(message.value())

    def end(self):
        self.stopping = True
        self.join(20)
        equal(self.producer.flush(30), 0, "messages not delivered")


@scenario("auto-commit: the next consumer goes on where the last one was closed")
def auto_commit(ctx):
    topic, group = ctx.topic(), ctx.name("g")
    fill(ctx, topic, numbers(0, 50))
    first = consumer(ctx, group, topic, enable_auto_commit=True)
    equal(read(first, 30), numbers(0, 30), "first")
    first.close()
    second = consumer(ctx, group, topic, enable_auto_commit=True, auto_commit_interval_ms=100)
    equal(read(second, 20), numbers(30, 50), "second")
    watcher = consumer(ctx, group)
    eventually(lambda: second.poll(0.05) or committed(watcher, topic)[0] == 50, 10, "committed by the interval")
    second.close()
    watcher.close()


@scenario("manual commits, with metadata; what is not committed is read again")
def manual_commit(ctx):
    topic, group = ctx.topic(), ctx.name("g")
    fill(ctx, topic, numbers(0, 20))
    first = consumer(ctx, group, topic)
    equal(read(first, 10), numbers(0, 10), "first")
    equal(committed(first, topic), (-1001, None), "committed at first")
    first.commit(offsets=[TopicPartition(topic, 0, 4, "reason: é")], asynchronous=False)
    equal(committed(first, topic), (4, "reason: é"), "committed")
    first.commit(asynchronous=False)
    equal(committed(first, topic)[0], 10, "committed, the position")
    first.commit(offsets=[TopicPartition(topic, 0, 7)], asynchronous=True)
    eventually(lambda: first.poll(0) or committed(first, topic)[0] == 7, 10, "asynchronous commit")
    first.close()
    second = consumer(ctx, group, topic)
    equal(read(second, 13), numbers(7, 20), "second")
    second.close()


@scenario("stored offsets are committed")
def stored(ctx):
    topic, group = ctx.topic(), ctx.name("g")
    fill(ctx, topic, numbers(0, 10))
    first = consumer(ctx, group, topic, enable_auto_commit=True, enable_auto_offset_store=False)
    equal(read(first, 10), numbers(0, 10), "first")
    first.store_offsets(offsets=[TopicPartition(topic, 0, 6)])
    first.close()
    second = consumer(ctx, group, topic)
    equal(read(second, 4), numbers(6, 10), "second")
    second.close()


def grow_and_shrink(ctx, **options):
    topic, group, ledger = ctx.topic(partitions=6), ctx.name("g"), Ledger()
    source = Source(ctx, ledger, topic, 6)
    members = []
    for _ in range(3):
        members.append(Member(ctx, group, [topic], ledger, **options))
        shared(members, 6)
    members.pop(0).end()
    shared(members, 6)
    members.append(Member(ctx, group, [topic], ledger, **options))
    shared(members, 6)
    members.pop(1).end()
    shared(members, 6)
    source.end()
    ledger.settle()
    for member in members:
        true(member.values, f"{member.name} was given nothing")
        equal(member.lost, 0, "assignments lost")
        member.end()


@scenario("consumers of a group share the partitions as it grows and shrinks", timeout=60)
def eager(ctx):
    grow_and_shrink(ctx)


@scenario("the same, cooperatively: partitions that stay are not interrupted", timeout=60)
def cooperative(ctx):
    grow_and_shrink(ctx, partition_assignment_strategy="cooperative-sticky")


@scenario("partitions of a consumer that was killed go to the others", timeout=60)
def crashed(ctx):
    topic, group, ledger = ctx.topic(partitions=4), ctx.name("g"), Ledger()
    source, member = Source(ctx, ledger, topic, 4), Member(ctx, group, [topic], ledger)
    shared([member], 4)
    command = [sys.executable, os.path.abspath(__file__), "--idle-member", ctx.bootstrap, group, topic]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        equal(other.stdout.readline(), "has 2\n", "what the other consumer has")
        eventually(lambda: len(member.owned) == 2, 10, "this one has the rest")
        other.kill()
    shared([member], 4)
    source.end()
    ledger.settle()
    member.end()


def idle_member(bootstrap, group, topic):
    """Another process: joins, reads nothing, and waits to be killed."""
    reader = Consumer(settings(bootstrap, group))
    reader.subscribe([topic], on_assign=lambda reader, parts: reader.pause(parts))
    while not reader.assignment():
        reader.poll(0.1)
    print("has", len(reader.assignment()), flush=True)
    while True:
        reader.poll(0.1)


@scenario("a static member that comes again keeps its partitions, and nobody else notices", timeout=60)
def static(ctx):
    for strategy in ("range", "cooperative-sticky"):
        topic, group = ctx.topic(partitions=4), ctx.name("g")
        members = [Member(ctx, group, [topic], group_instance_id=name, partition_assignment_strategy=strategy)
                   for name in ("one", "two")]
        shared(members, 4)
        before, owned = members[0].generation, members[1].owned
        members[1].end()  # a static member does not leave
        again = Member(ctx, group, [topic], group_instance_id="two", partition_assignment_strategy=strategy)
        shared([members[0], again], 4)
        equal((members[0].generation, again.owned), (before, owned), f"{strategy}: rebalances of the other, partitions")
        for member in (members[0], again):
            member.end()


@scenario("two static members with one name: the first is fenced", timeout=45)
def fenced(ctx):
    topic, group = ctx.topic(partitions=2), ctx.name("g")
    first = Member(ctx, group, [topic], group_instance_id="one")
    shared([first], 2)
    second = Member(ctx, group, [topic], group_instance_id="one")
    shared([second], 2)
    eventually(lambda: first.error, 20, "the first fails")
    equal(code(first.error), KafkaError._FATAL, "error")
    second.end()


@scenario("a static member that stays away loses its partitions after the session timeout", timeout=45)
def static_away(ctx):
    topic, group = ctx.topic(partitions=2), ctx.name("g")
    members = [Member(ctx, group, [topic], group_instance_id=name) for name in ("one", "two")]
    shared(members, 2)
    members[1].end()
    eventually(lambda: len(members[0].owned) == 2, 25, "the other has all")
    members[0].end()


@scenario("pause and resume keep the position")
def pause(ctx):
    topic = ctx.topic(partitions=2)
    first = TopicPartition(topic, 0)
    reader = consumer(ctx, ctx.name("g"), topic)
    fill(ctx, topic, numbers(0, 5))
    equal(read(reader, 5), numbers(0, 5), "before")
    reader.pause([first])
    fill(ctx, topic, numbers(5, 8))
    fill(ctx, topic, numbers(100, 103), partition=1)
    equal(read(reader, 3), numbers(100, 103), "of the other partition")
    nothing(reader)
    equal([p.offset for p in reader.position([first])], [5], "position")
    reader.resume([first])
    equal(read(reader, 3), numbers(5, 8), "after")
    reader.close()


@scenario("seek, to an offset, the beginning and the end, in a group")
def seek(ctx):
    topic, group = ctx.topic(), ctx.name("g")
    fill(ctx, topic, numbers(0, 30))
    reader = consumer(ctx, group, topic)
    equal(read(reader, 1), numbers(0, 1), "first")
    for where, wanted in ((25, numbers(25, 30)), (OFFSET_BEGINNING, numbers(0, 2)), (12, numbers(12, 14))):
        reader.seek(TopicPartition(topic, 0, where))
        equal(read(reader, len(wanted)), wanted, f"after seek to {where}")
    reader.commit(asynchronous=False)
    equal(committed(reader, topic)[0], 14, "committed after seek")
    reader.seek(TopicPartition(topic, 0, OFFSET_END))
    nothing(reader)
    fill(ctx, topic, [b"late"])
    equal(read(reader, 1), [b"late"], "what came later")
    reader.close()


@scenario("without a committed offset: earliest, latest, error")
def reset(ctx):
    topic = ctx.topic()
    fill(ctx, topic, numbers(0, 5))
    early, late, none = (consumer(ctx, ctx.name("g"), topic, auto_offset_reset=to)
                         for to in ("earliest", "latest", "error"))
    equal(read(early, 5), numbers(0, 5), "earliest")
    eventually(lambda: late.consume(1, 0.1) == [] and late.assignment(), 10, "assignment")
    nothing(late)
    fill(ctx, topic, numbers(5, 7))
    equal(read(late, 2), numbers(5, 7), "latest: what came later")
    equal(code(raises(KafkaException, read, none, 1)), KafkaError._AUTO_OFFSET_RESET, "error")
    for reader in (early, late, none):
        reader.close()


@scenario("a committed offset that is no longer there is reset")
def out_of_range(ctx):
    topic, group = ctx.topic(), ctx.name("g")
    fill(ctx, topic, numbers(0, 5))
    first = consumer(ctx, group)
    first.commit(offsets=[TopicPartition(topic, 0, 77)], asynchronous=False)
    first.close()
    second = consumer(ctx, group, topic)
    equal(read(second, 5), numbers(0, 5), "from the beginning")
    second.close()


@scenario("topics that come after the consumer has subscribed, by name and by pattern; partitions that are added",
          timeout=60)
def later(ctx):
    stem = ctx.name("later")
    named = Member(ctx, ctx.name("g"), [stem + "-1"], allow_auto_create_topics=True)
    matching = Member(ctx, ctx.name("g"), [f"^{stem}-.*"])
    fill(ctx, stem + "-1", [b"first"])
    for member in (named, matching):
        eventually(lambda member=member: member.check() or b"first" in member.values, 20, "the first record is read")
    fill(ctx, stem + "-2", [b"second"])
    eventually(lambda: matching.check() or b"second" in matching.values, 20, "the record of the second topic is read")
    client = admin(ctx)
    client.create_partitions([NewPartitions(stem + "-1", 3)])[stem + "-1"].result(timeout=10)
    shared([named], 3, 20)
    fill(ctx, stem + "-1", [b"third"], partition=2)
    for member in (named, matching):
        eventually(lambda member=member: member.check() or b"third" in member.values, 20, "the third record is read")
        member.end()


@scenario("a consumer that assigns commits for a group without being a member")
def simple(ctx):
    topic, group = ctx.topic(partitions=2), ctx.name("g")
    fill(ctx, topic, numbers(0, 10), partition=1)
    first = consumer(ctx, group)
    first.assign([TopicPartition(topic, 1)])
    equal(read(first, 10), numbers(0, 10), "first")
    first.commit(asynchronous=False)
    first.close()
    second = consumer(ctx, group)
    second.assign([TopicPartition(topic, 1)])
    nothing(second)
    equal([committed(second, topic, p)[0] for p in (0, 1)], [-1001, 10], "committed")
    second.close()


@scenario("lag: the end of each partition less what is committed; offsets by time in a group")
def lag(ctx):
    topic, group = ctx.topic(partitions=2), ctx.name("g")
    for partition, count in enumerate((10, 4)):
        fill(ctx, topic, numbers(0, count), partition)
    reader = consumer(ctx, group, topic)
    read(reader, 14)
    reader.commit(offsets=[TopicPartition(topic, 0, 3), TopicPartition(topic, 1, 4)], asynchronous=False)
    ends = [reader.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in (0, 1)]
    equal([ends[p] - committed(reader, topic, p)[0] for p in (0, 1)], [7, 0], "lag")
    ask = [TopicPartition(topic, 0, 1), TopicPartition(topic, 1, int(time.time() * 1000) + 100000)]
    equal([p.offset for p in reader.offsets_for_times(ask, timeout=10)], [0, OFFSET_END], "offsets by time")
    reader.close()


def restarted(ctx, end, **options):
    control, topic, group, ledger = Control(), ctx.topic(partitions=4), ctx.name("g"), Ledger()
    source = Source(ctx, ledger, topic, 4)
    members = [Member(ctx, group, [topic], ledger, **options) for _ in range(2)]
    shared(members, 4)
    eventually(lambda: len(ledger.delivered) > 100, 10, "records flow")
    end(control)
    control.start()
    mark = len(ledger.acknowledged)
    eventually(lambda: len(ledger.acknowledged) > mark + 200, 60, "records flow again")
    source.end()
    ledger.settle(60)
    shared(members, 4, 60)
    for member in members:
        member.end()
    watcher = consumer(ctx, group)
    for p in range(4):
        end = watcher.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1]
        equal(committed(watcher, topic, p)[0], end, f"committed of partition {p}")
    watcher.close()


@scenario("kill -9 of the broker: nothing is lost, nothing committed is read again", timeout=150)
def killed(ctx):
    restarted(ctx, lambda control: control.kill(), partition_assignment_strategy="cooperative-sticky")


@scenario("a stop of the broker: nothing is lost, nothing committed is read again", timeout=150)
def stopped(ctx):
    restarted(ctx, lambda control: control.stop())


@scenario("admin lists and describes groups, by state and by type")
def describe(ctx):
    topic, group, absent, client = ctx.topic(partitions=2), ctx.name("g"), ctx.name("absent"), admin(ctx)
    member = Member(ctx, group, [topic], client_id="described")
    shared([member], 2)

    def listed(**filters):
        found = client.list_consumer_groups(request_timeout=10, **filters).result(timeout=15)
        equal(found.errors, [], "errors")
        return {one.group_id: one for one in found.valid}

    one = eventually(lambda: listed().get(group), 10, "group is listed")
    equal((one.state, one.type, one.is_simple_consumer_group),
          (ConsumerGroupState.STABLE, ConsumerGroupType.CLASSIC, False), "listed")
    equal(group in listed(states={ConsumerGroupState.STABLE}), True, "among the stable")
    equal(group in listed(states={ConsumerGroupState.EMPTY}), False, "among the empty")
    equal(group in listed(types={ConsumerGroupType.CLASSIC}), True, "among the classic")
    found = client.describe_consumer_groups([group, absent], request_timeout=10)
    one = found[group].result(timeout=15)
    equal((one.state, one.partition_assignor, f"{one.coordinator.host}:{one.coordinator.port}"),
          (ConsumerGroupState.STABLE, "range", ctx.bootstrap), "described")
    equal([(m.client_id, m.host, sorted(p.partition for p in m.assignment.topic_partitions)) for m in one.members],
          [("described", "/127.0.0.1", [0, 1])], "members")
    equal(found[absent].result(timeout=15).state, ConsumerGroupState.DEAD, "state of an absent group")
    member.end()


@scenario("admin lists, alters and deletes offsets, and deletes groups")
def offsets(ctx):
    topic, group, absent, client = ctx.topic(partitions=2), ctx.name("g"), ctx.name("absent"), admin(ctx)
    fill(ctx, topic, numbers(0, 10))

    def alter(offset):
        parts = [TopicPartition(topic, 0, offset, "by hand"), TopicPartition(topic, 1, 0)]
        asked = client.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, parts)])
        return [p.error for p in asked[group].result(timeout=15).topic_partitions]

    def current(**options):
        asked = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], **options)
        return {p.partition: (p.offset, p.metadata) for p in asked[group].result(timeout=15).topic_partitions}

    equal(alter(3), [None, None], "altered")
    equal(current(), {0: (3, "by hand"), 1: (0, None)}, "offsets")
    equal(current(require_stable=True), {0: (3, "by hand"), 1: (0, None)}, "stable offsets")
    reader = consumer(ctx, group, topic)
    equal(read(reader, 7), numbers(3, 10), "records")
    equal([error.code() for error in alter(0)], [KafkaError.UNKNOWN_MEMBER_ID] * 2, "altered while there is a member")
    gone = client.delete_consumer_groups([group, absent], request_timeout=10)
    equal(code(raises(KafkaException, gone[group].result, timeout=15)), KafkaError.NON_EMPTY_GROUP, "deletion")
    equal(code(raises(KafkaException, gone[absent].result, timeout=15)), KafkaError.GROUP_ID_NOT_FOUND, "deletion")
    reader.close()
    client.delete_consumer_groups([group])[group].result(timeout=15)
    equal(current(), {}, "offsets of the deleted group")


@scenario("transactions are refused at once, and for good")
def transactions(ctx):
    if ctx.external:
        raise Skip("Apache Kafka has transactions")
    producer = Producer({"bootstrap.servers": ctx.bootstrap, "transactional.id": ctx.name("txn")})
    error = raises(KafkaException, producer.init_transactions, 25)
    equal((code(error), error.args[0].fatal()), (KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, True), "error")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--idle-member"]:
        idle_member(*sys.argv[2:])
    main("confluent-kafka groups")
