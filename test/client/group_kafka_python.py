"""Consumer groups with kafka-python: version 2.0.2 (what the guides install) and the newest."""

import itertools
import os
import subprocess
import sys
import threading
import time

import kafka
from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from group_ledger import Ledger, Worker, shared
from harness.control import Control
from harness.scenario import Skip, equal, eventually, main, raises, scenario, true

MODERN = int(kafka.__version__.split(".")[0]) >= 3
if MODERN:
    from kafka.errors import NoOffsetForPartitionError, TransactionalIdAuthorizationFailedError
else:
    from kafka.consumer.fetcher import NoOffsetForPartitionError
QUICK = {"session_timeout_ms": 6000, "heartbeat_interval_ms": 300, "metadata_max_age_ms": 1000,
         "fetch_max_wait_ms": 100, "reconnect_backoff_ms": 50, "reconnect_backoff_max_ms": 200}
# 3.0.12 never becomes a member if poll() returns between a SyncGroup and its answer, so let it return seldom.
POLL_MS = 1500 if MODERN else 100
NAMES = itertools.count()


def consumer(ctx, group, *topics, **options):
    return KafkaConsumer(*topics, bootstrap_servers=ctx.bootstrap, group_id=group,
                         **{**QUICK, "auto_offset_reset": "earliest", "enable_auto_commit": False, **options})


def admin(ctx):
    return KafkaAdminClient(bootstrap_servers=ctx.bootstrap)


def fill(ctx, topic, values, partition=0):
    producer = KafkaProducer(bootstrap_servers=ctx.bootstrap)
    futures = [producer.send(topic, value, partition=partition) for value in values]
    producer.flush(timeout=20)
    for future in futures:
        future.get(timeout=10)
    producer.close()


def numbers(first, last):
    return [b"%d" % i for i in range(first, last)]


def read(reader, count, timeout=20):
    """Values of the next `count` records."""
    found, end = [], time.monotonic() + timeout
    while len(found) < count and time.monotonic() < end:
        for records in reader.poll(timeout_ms=POLL_MS, max_records=count - len(found)).values():
            found += records
    equal(len(found), count, "records read")
    return [record.value for record in found]


def nothing(reader):
    equal(sum(len(records) for records in reader.poll(timeout_ms=500).values()), 0, "records at the end")


class Member(Worker, ConsumerRebalanceListener):
    refused = (KafkaError,)

    def __init__(self, ctx, group, topics=(), ledger=None, pattern=None, **options):
        self.ctx, self.group, self.topics, self.pattern, self.options = ctx, group, topics, pattern, options
        self.reader = None
        super().__init__(f"consumer-{next(NAMES)}", ledger)

    def open(self):
        self.reader = consumer(self.ctx, self.group, **self.options)
        self.reader.subscribe(topics=list(self.topics), pattern=self.pattern, listener=self)

    def on_partitions_revoked(self, revoked):
        self.owned -= frozenset(revoked)

    def on_partitions_assigned(self, assigned):
        self.took(assigned, self.reader.assignment())

    def poll(self):
        return [(tp, record.offset, record.value) for tp, records in self.reader.poll(timeout_ms=POLL_MS).items()
                for record in records]

    def commit(self, offsets):
        self.reader.commit({tp: OffsetAndMetadata(offset, "") for tp, offset in offsets.items()})

    def close(self):
        self.reader.close()


class Source(threading.Thread):
    """A producer that goes on until it is ended, and enters in the ledger what was acknowledged."""

    def __init__(self, ctx, ledger, topic, partitions):
        super().__init__(daemon=True)
        self.ledger, self.topic, self.partitions, self.stopping = ledger, topic, partitions, False
        self.producer = KafkaProducer(bootstrap_servers=ctx.bootstrap, retries=100000, retry_backoff_ms=50,
                                      linger_ms=5, reconnect_backoff_max_ms=200,
                                      max_in_flight_requests_per_connection=1, acks="all")
        self.start()

    def run(self):
        for number in itertools.count():
            if self.stopping:
                return
            value = b"%d" % number
            future = self.producer.send(self.topic, value, partition=number % self.partitions)
            future.add_callback(lambda _, value=value: self.ledger.acknowledge(value))
            time.sleep(0.002)

    def end(self):
        self.stopping = True
        self.join(20)
        self.producer.flush(timeout=30)
        self.producer.close(timeout=10)


@scenario("auto-commit: the next consumer goes on where the last one was closed")
def auto_commit(ctx):
    topic, group = ctx.topic(), ctx.name("g")
    fill(ctx, topic, numbers(0, 50))
    first = consumer(ctx, group, topic, enable_auto_commit=True)
    equal(read(first, 30), numbers(0, 30), "first")
    first.close()
    second = consumer(ctx, group, topic, enable_auto_commit=True, auto_commit_interval_ms=100)
    equal(second.committed(TopicPartition(topic, 0)), 30, "committed by close()")
    equal(read(second, 20), numbers(30, 50), "second")
    watcher = consumer(ctx, group)
    tp = TopicPartition(topic, 0)
    eventually(lambda: second.poll(timeout_ms=50) or watcher.committed(tp) == 50, 10, "committed by the interval")
    second.close()
    watcher.close()


@scenario("manual commits, with metadata; what is not committed is read again")
def manual_commit(ctx):
    topic, group = ctx.topic(), ctx.name("g")
    tp = TopicPartition(topic, 0)
    fill(ctx, topic, numbers(0, 20))
    first = consumer(ctx, group, topic)
    equal(read(first, 10), numbers(0, 10), "first")
    equal(first.committed(tp), None, "committed at first")
    first.commit({tp: OffsetAndMetadata(4, "reason: é")})
    equal(first.committed(tp), 4, "committed")
    equal(first.committed(tp, metadata=True)[:2], (4, "reason: é"), "committed with metadata")
    told = []
    first.commit_async(callback=lambda offsets, answer: told.append((offsets[tp].offset, answer)))
    eventually(lambda: first.poll(timeout_ms=20, max_records=1) is None or told, 10, "commit_async is answered")
    equal(told[0][0], 10, "offset committed asynchronously")
    true(not isinstance(told[0][1], Exception), f"commit_async: {told[0][1]}")
    first.commit({tp: OffsetAndMetadata(7, "")})
    first.close()
    second = consumer(ctx, group, topic)
    equal(read(second, 13), numbers(7, 20), "second")
    second.close()


@scenario("consumers of a group share the partitions as it grows and shrinks", timeout=60)
def sharing(ctx):
    topic, group, ledger = ctx.topic(partitions=6), ctx.name("g"), Ledger()
    source = Source(ctx, ledger, topic, 6)
    members = []
    for _ in range(3):
        members.append(Member(ctx, group, [topic], ledger))
        shared(members, 6)
    members.pop(0).end()
    shared(members, 6)
    members.append(Member(ctx, group, [topic], ledger))
    shared(members, 6)
    members.pop(1).end()
    shared(members, 6)
    source.end()
    ledger.settle()
    for member in members:
        true(member.values, f"{member.name} was given nothing")
        member.end()


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
    reader = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group, **QUICK)
    while not reader.assignment():
        reader.poll(timeout_ms=POLL_MS)
    reader.pause(*reader.assignment())
    print("has", len(reader.assignment()), flush=True)
    while True:
        reader.poll(timeout_ms=100)


@scenario("pause and resume keep the position")
def pause(ctx):
    topic = ctx.topic(partitions=2)
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    reader = consumer(ctx, ctx.name("g"), topic)
    fill(ctx, topic, numbers(0, 5))
    equal(read(reader, 5), numbers(0, 5), "before")
    nothing(reader)  # 3.0.12 never goes on with a partition that is paused after a poll() that took all it had room for
    reader.pause(first)
    fill(ctx, topic, numbers(5, 8))
    fill(ctx, topic, numbers(100, 103), partition=1)
    equal(read(reader, 3), numbers(100, 103), "of the other partition")
    nothing(reader)
    equal((reader.paused(), reader.position(first), reader.position(second)), ({first}, 5, 3), "state")
    reader.resume(first)
    equal(read(reader, 3), numbers(5, 8), "after")
    reader.close()


@scenario("seek, to an offset, the beginning and the end, in a group")
def seek(ctx):
    topic, group = ctx.topic(), ctx.name("g")
    tp = TopicPartition(topic, 0)
    fill(ctx, topic, numbers(0, 30))
    reader = consumer(ctx, group, topic)
    equal(read(reader, 1), numbers(0, 1), "first")
    reader.seek(tp, 25)
    equal(read(reader, 5), numbers(25, 30), "after seek")
    reader.seek_to_beginning(tp)
    equal(read(reader, 2), numbers(0, 2), "from the beginning")
    reader.seek_to_end(tp)
    nothing(reader)
    equal(reader.position(tp), 30, "position at the end")
    reader.seek(tp, 12)
    reader.commit()
    equal(reader.committed(tp), 12, "committed after seek")
    reader.close()


@scenario("without a committed offset: earliest, latest, none")
def reset(ctx):
    topic = ctx.topic()
    fill(ctx, topic, numbers(0, 5))
    early = consumer(ctx, ctx.name("g"), topic)
    late = consumer(ctx, ctx.name("g"), topic, auto_offset_reset="latest")
    none = consumer(ctx, ctx.name("g"), topic, auto_offset_reset="none")
    equal(read(early, 5), numbers(0, 5), "earliest")
    eventually(lambda: late.poll(timeout_ms=POLL_MS) or late.assignment(), 15, "assignment")
    nothing(late)
    equal(late.position(TopicPartition(topic, 0)), 5, "latest")
    fill(ctx, topic, numbers(5, 7))
    equal(read(late, 2), numbers(5, 7), "what came later")
    raises(NoOffsetForPartitionError, read, none, 1)
    for reader in (early, late, none):
        reader.close()


@scenario("a committed offset that is no longer there is reset")
def out_of_range(ctx):
    topic, group = ctx.topic(), ctx.name("g")
    tp = TopicPartition(topic, 0)
    fill(ctx, topic, numbers(0, 5))
    first = consumer(ctx, group)
    first.assign([tp])
    first.commit({tp: OffsetAndMetadata(77, "")})
    first.close()
    second = consumer(ctx, group, topic)
    equal(read(second, 5), numbers(0, 5), "from the beginning")
    second.close()


@scenario("a topic that is made after the consumer has subscribed", timeout=45)
def later(ctx):
    topic, group = ctx.name("later"), ctx.name("g")
    member = Member(ctx, group, [topic])
    time.sleep(1)
    producer = KafkaProducer(bootstrap_servers=ctx.bootstrap)
    producer.send(topic, b"first").get(timeout=15)
    eventually(lambda: member.check() or member.values == [b"first"], 20, "the record is read")
    producer.close()
    member.end()


@scenario("a pattern takes topics as they come", timeout=60)
def pattern(ctx):
    stem, group = ctx.name("pattern"), ctx.name("g")
    names = [ctx.topic(stem=stem)]
    member = Member(ctx, group, pattern=f"^{stem}-.*")
    shared([member], 1)
    names.append(ctx.topic(stem=stem, partitions=2))
    ctx.topic(stem="other-" + stem)
    shared([member], 3)
    equal({tp.topic for tp in member.owned}, set(names), "topics")
    member.end()


@scenario("partitions that are added to a topic are assigned", timeout=60)
def widened(ctx):
    topic, group = ctx.topic(), ctx.name("g")
    members = [Member(ctx, group, [topic])]
    shared(members, 1)
    admin(ctx).create_partitions({topic: kafka.admin.NewPartitions(3)})
    shared(members, 3)
    fill(ctx, topic, [b"to the new partition"], partition=2)
    eventually(lambda: members[0].check() or members[0].values == [b"to the new partition"], 20, "the record is read")
    members[0].end()


@scenario("a consumer that assigns commits for a group without being a member")
def simple(ctx):
    topic, group = ctx.topic(partitions=2), ctx.name("g")
    parts = [TopicPartition(topic, p) for p in range(2)]
    fill(ctx, topic, numbers(0, 10), partition=1)
    first = consumer(ctx, group)
    first.assign(parts)
    equal(read(first, 10), numbers(0, 10), "first")
    first.commit()
    first.close()
    second = consumer(ctx, group)
    second.assign(parts)
    equal([second.committed(tp) for tp in parts], [0, 10], "committed")
    nothing(second)
    second.close()


@scenario("lag: the end of each partition less what is committed; offsets by time in a group")
def lag(ctx):
    topic, group = ctx.topic(partitions=2), ctx.name("g")
    parts = [TopicPartition(topic, p) for p in range(2)]
    for tp, count in zip(parts, (10, 4)):
        fill(ctx, topic, numbers(0, count), partition=tp.partition)
    reader = consumer(ctx, group, topic)
    read(reader, 14)
    reader.commit({parts[0]: OffsetAndMetadata(3, ""), parts[1]: OffsetAndMetadata(4, "")})
    ends = reader.end_offsets(parts)
    equal([ends[tp] - reader.committed(tp) for tp in parts], [7, 0], "lag")
    found = reader.offsets_for_times({parts[0]: 1, parts[1]: int(time.time() * 1000) + 100000})
    equal((found[parts[0]].offset, found[parts[1]]), (0, None), "offsets by time")
    reader.close()


def restarted(ctx, end):
    control, topic, group, ledger = Control(), ctx.topic(partitions=4), ctx.name("g"), Ledger()
    source = Source(ctx, ledger, topic, 4)
    members = [Member(ctx, group, [topic], ledger) for _ in range(2)]
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
    reader = consumer(ctx, group)
    parts = [TopicPartition(topic, p) for p in range(4)]
    ends = reader.end_offsets(parts)
    equal({tp: reader.committed(tp) for tp in parts}, ends, "committed at the end")
    reader.close()


@scenario("kill -9 of the broker: nothing is lost, nothing committed is read again", timeout=150)
def killed(ctx):
    restarted(ctx, lambda control: control.kill())


@scenario("a stop of the broker: nothing is lost, nothing committed is read again", timeout=150)
def stopped(ctx):
    restarted(ctx, lambda control: control.stop())


if not MODERN:
    @scenario("admin lists, describes and deletes groups, and lists offsets")
    def administration(ctx):
        topic, group, absent, client = ctx.topic(), ctx.name("g"), ctx.name("absent"), admin(ctx)
        tp = TopicPartition(topic, 0)
        fill(ctx, topic, numbers(0, 5))
        reader = consumer(ctx, group, topic)
        read(reader, 5)
        reader.commit()
        true((group, "consumer") in client.list_consumer_groups(), "group is not listed")
        found = client.describe_consumer_groups([group])[0]
        equal((found.error_code, found.group, found.state, found.protocol_type, found.protocol, len(found.members)),
              (0, group, "Stable", "consumer", "range", 1), "description")
        equal(found.members[0].member_metadata.subscription, [topic], "subscription")
        equal(found.members[0].member_assignment.assignment, [(topic, [0])], "assignment")
        equal(client.describe_consumer_groups([absent])[0].state, "Dead", "state of an absent group")
        equal(client.list_consumer_group_offsets(group), {tp: OffsetAndMetadata(5, "")}, "offsets")
        equal(dict(deleted(client, [group, absent])), {group: "NonEmptyGroupError", absent: "GroupIdNotFoundError"},
              "deletion")
        reader.close()
        equal(dict(deleted(client, [group])), {group: "NoError"}, "deletion of the empty group")
        equal(client.list_consumer_group_offsets(group), {}, "offsets of the deleted group")
        client.close()

    def deleted(client, groups):
        return [(group, error.__name__) for group, error in client.delete_consumer_groups(groups)]


if MODERN:
    from kafka.admin import MemberToRemove

    @scenario("admin lists, describes and deletes groups")
    def administration(ctx):
        topic, group, absent, client = ctx.topic(), ctx.name("g"), ctx.name("absent"), admin(ctx)
        fill(ctx, topic, numbers(0, 5))
        reader = consumer(ctx, group, topic)
        read(reader, 5)
        reader.commit()
        equal([g["group_state"] for g in client.list_groups() if g["group_id"] == group], ["Stable"], "listed")
        for states, wanted in ((["Stable"], True), (["Empty"], False)):
            equal(group in [g["group_id"] for g in client.list_groups(states_filter=states)], wanted, f"{states}")
        equal(group in [g["group_id"] for g in client.list_groups(types_filter=["classic"])], True, "classic")
        found = client.describe_groups([group])[group]
        equal((found["group_state"], found["protocol_type"], len(found["members"])), ("Stable", "consumer", 1), "found")
        equal(client.delete_groups([group, absent]), {group: "NonEmptyGroupError", absent: "GroupIdNotFoundError"},
              "deletion")
        reader.close()
        equal(client.delete_groups([group]), {group: "OK"}, "deletion of the empty group")
        client.close()

    @scenario("admin lists, alters, resets and deletes offsets")
    def offsets(ctx):
        topic, group, client = ctx.topic(partitions=2), ctx.name("g"), admin(ctx)
        first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
        fill(ctx, topic, numbers(0, 10))
        done = client.alter_group_offsets(group, {first: OffsetAndMetadata(3, "by hand"), second: OffsetAndMetadata(0)})
        equal({tp: error.__name__ for tp, error in done.items()}, {first: "NoError", second: "NoError"}, "altered")
        equal(client.list_group_offsets({group: [first]})[group][first][:2], (3, "by hand"), "one offset")
        equal({tp: o.offset for tp, o in client.list_group_offsets(group)[group].items()}, {first: 3, second: 0}, "all")
        reader = consumer(ctx, group, topic)
        equal(read(reader, 7), numbers(3, 10), "records")
        done = client.alter_group_offsets(group, {first: OffsetAndMetadata(0)})
        equal(done[first].__name__, "UnknownMemberIdError", "altered while there is a member")
        equal(client.delete_group_offsets(group, [first])[first].__name__, "GroupSubscribedToTopicError", "delete")
        reader.close()
        equal(client.reset_group_offsets(group, {first: kafka.admin.OffsetSpec.LATEST})[first]["offset"], 10, "reset")
        equal(client.delete_group_offsets(group, [second])[second].__name__, "NoError", "deleted")
        equal({tp: o.offset for tp, o in client.list_group_offsets(group)[group].items()}, {first: 10}, "left")
        client.close()

    @scenario("admin removes members; they join again")
    def remove_members(ctx):
        topic, group, client = ctx.topic(), ctx.name("g"), admin(ctx)
        member = Member(ctx, group, [topic])
        shared([member], 1)
        before, member_id = member.generation, client.describe_groups([group])[group]["members"][0]["member_id"]
        done = client.remove_group_members(group, [MemberToRemove(member_id), MemberToRemove("absent")])
        equal(sorted(error.__name__ for error in done.values()), ["NoError", "UnknownMemberIdError"], "removal")
        eventually(lambda: member.generation > before, 20, "it joins again")
        shared([member], 1)
        member.end()
        client.close()

    @scenario("a static member that comes again keeps its partitions, and nobody else notices", timeout=45)
    def static(ctx):
        topic, group = ctx.topic(partitions=4), ctx.name("g")
        members = [Member(ctx, group, [topic], group_instance_id=name) for name in ("one", "two")]
        shared(members, 4)
        before, owned = members[0].generation, members[1].owned
        members[1].end()  # a static member does not leave
        again = Member(ctx, group, [topic], group_instance_id="two")
        shared([members[0], again], 4)
        equal((members[0].generation, again.owned), (before, owned), "rebalances of the other, partitions")
        for member in (members[0], again):
            member.end()


    @scenario("transactions are refused at once, and for good")
    def transactions(ctx):
        if ctx.external:
            raise Skip("Apache Kafka has transactions")
        producer = KafkaProducer(bootstrap_servers=ctx.bootstrap, transactional_id=ctx.name("txn"))
        raises(TransactionalIdAuthorizationFailedError, producer.init_transactions)
        producer.close(timeout=5)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--idle-member"]:
        idle_member(*sys.argv[2:])
    main(os.environ.get("CLIENT", "kafka-python groups"))
