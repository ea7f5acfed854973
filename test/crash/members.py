"""Consumer groups that live through the kill loop: their members read, commit and rebalance, and a ledger is kept of
what they were given and of what they committed. Commits are in flight when the broker dies."""

import itertools
import threading

from confluent_kafka import Consumer, TopicPartition

from harness import wire
from ledger import Positions, Wrong

OFFSET_FETCH = 9
# name: strategy, and the instance ids of its members; None: a dynamic member.
GROUPS = {"eager": ("range", (None, None)), "cooperative": ("cooperative-sticky", ("left", None, "right"))}
STEP = 300  # records a member takes at a time
CLOSE_S = 10


class Member:
    """One consumer. It has one commit in flight at most, since a client may send two of them again in any order."""

    def __init__(self, name, group, instance):
        self.name, self.group, self.instance = name, group, instance
        self.read = {}  # partition -> offset to be committed
        self.in_flight = False
        settings = {"bootstrap.servers": group.bootstrap, "group.id": group.name, "log_level": 0,
                    "partition.assignment.strategy": group.strategy, "enable.auto.commit": False,
                    "auto.offset.reset": "earliest", "session.timeout.ms": 6000, "heartbeat.interval.ms": 200,
                    "fetch.wait.max.ms": 10, "fetch.error.backoff.ms": 10, "reconnect.backoff.ms": 10,
                    "reconnect.backoff.max.ms": 100, "retry.backoff.ms": 20, "on_commit": self.on_commit,
                    "topic.metadata.refresh.interval.ms": 2000}
        if instance:
            settings["group.instance.id"] = instance
        self.consumer = Consumer(settings)
        self.consumer.subscribe(group.topics, on_assign=self.on_assign, on_revoke=self.on_revoke,
                                on_lost=self.on_revoke)

    def on_assign(self, _, partitions):
        for part in partitions:
            self.group.books[part.topic, part.partition].assigned(self.name)

    def on_revoke(self, _, partitions):
        for part in partitions:
            self.group.books[part.topic, part.partition].revoked(self.name)
            self.read.pop((part.topic, part.partition), None)

    def on_commit(self, error, partitions):
        self.in_flight = False
        self.group.unsure += bool(error)
        for part in partitions if not error else ():
            if not part.error:
                self.group.books[part.topic, part.partition].committed(part.offset)
                self.group.commits += 1

    def step(self):
        for _ in range(STEP):  # not consume(): a batch may reach across a rebalance
            message = self.consumer.poll(0)
            if message is None:
                break
            if message.error():
                if message.error().fatal():
                    raise Wrong(f"{self.name}: {message.error()}")
                continue
            key = message.topic(), message.partition()
            self.group.books[key].given(self.name, message.offset())
            self.group.check_value(key, message.offset(), message.value())
            self.read[key] = message.offset() + 1

    def commit(self):
        if self.in_flight or not self.read:
            return
        for key, offset in self.read.items():
            self.group.books[key].committing(offset)
        self.in_flight = True
        self.consumer.commit(offsets=[TopicPartition(*key, offset) for key, offset in self.read.items()],
                             asynchronous=True)
        self.read = {}

    def close(self):
        """A dynamic member leaves; a static one is expected back."""
        self.consumer.close()
        for book in self.group.books.values():
            book.revoked(self.name)


class Group:
    """check_value(partition, offset, value) is called with each record that a member was given."""

    numbers = itertools.count(1)

    def __init__(self, name, bootstrap, partitions, rng, check_value):
        self.name, self.bootstrap, self.rng, self.check_value = name, bootstrap, rng, check_value
        self.strategy, instances = GROUPS[name]
        self.topics = sorted({topic for topic, _ in partitions})
        self.books = {key: Positions(f"group {name}, {key[0]}/{key[1]}") for key in partitions}
        self.commits = self.unsure = 0  # offsets acknowledged; requests that failed
        self.members = [self.member(instance) for instance in instances]

    def member(self, instance):
        return Member(f"{self.name}-{next(self.numbers)}", self, instance)

    def step(self):
        for member in self.members:
            member.step()
            if self.rng.random() < 0.2:
                member.commit()

    def replace_one(self, alive):
        """One member ends, another comes: the group rebalances, unless it was a static one. librdkafka does not close
        before a broker has answered, so while there is none it must not be waited for."""
        number = self.rng.randrange(len(self.members))
        old = self.members[number]
        closing = threading.Thread(target=old.close, daemon=True)
        closing.start()
        closing.join(CLOSE_S if alive else 0)
        self.members[number] = self.member(old.instance)

    def behind(self, ends):
        """{partition: (next record, end)} of those where records are left."""
        return {key: (book.reached, ends[key]) for key, book in self.books.items() if book.reached < ends[key]}

    def check_committed(self):
        """Asks the broker what is committed."""
        floors = {key: book.acknowledged for key, book in self.books.items()}
        with wire.Connection(self.bootstrap) as conn:
            told = committed(conn, self.name, list(self.books))
        for key, book in self.books.items():
            book.told(told[key], floors[key])

    def close(self):
        for member in self.members:
            member.close()


def committed(conn, group, partitions):
    """{partition: committed offset, -1 for none}, with OffsetFetch version 1."""
    topics = [wire.text(topic) + wire.array([wire.i32(part)]) for topic, part in partitions]
    reader = conn.request(OFFSET_FETCH, 1, wire.text(group) + wire.array(topics))
    part = lambda: (reader.i32(), reader.i64(), reader.text(), reader.i16())
    found = {}
    for topic, parts in reader.array(lambda: (reader.text(), reader.array(part))):
        for index, offset, _, error in parts:
            if error:
                raise Wrong(f"group {group}, {topic}/{index}: OffsetFetch has error {error}")
            found[topic, index] = offset
    reader.end()
    return found
