"""kill -9 under load: every round the broker dies at a random moment, starts again on the same data, and the
ledger is checked. The idempotent producers, a consumer and the members of two groups live through all rounds, as
real ones do."""

import random
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from harness import wire
from harness.broker import BrokerError
from ledger import Partition, Wrong
from members import GROUPS, Group

TOPICS = {"alpha": 3, "beta": 1, "gamma": 2}
# name: idempotent, codec. Plain producers never retry, so that each of their records may stand once at most.
PRODUCERS = {"idem-lz4": (True, "lz4"), "idem-none": (True, "none"), "idem-snappy": (True, "snappy"),
             "plain-zstd": (False, "zstd"), "plain-gzip": (False, "gzip")}
IDEMPOTENT = {name for name, (idempotent, _) in PRODUCERS.items() if idempotent}
OUTSTANDING = 400  # messages of one producer
DRAIN_S = 30


def parse(value):
    producer, sequence = value.split(b"|", 2)[:2]
    return producer.decode(), int(sequence)


class Sender:
    """One producer with its sequences."""

    def __init__(self, name, bootstrap, partitions, rng):
        idempotent, codec = PRODUCERS[name]
        settings = {"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": idempotent,
                    "compression.type": codec, "linger.ms": rng.choice((0, 1, 5)), "message.timeout.ms": 60000,
                    "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 100, "retry.backoff.ms": 20,
                    "batch.num.messages": rng.choice((3, 50, 1000)), "batch.size": 100000,
                    "log_level": 0, "error_cb": self.on_error}
        if not idempotent:
            settings["message.send.max.retries"] = 0
        self.name, self.partitions, self.rng = name, partitions, rng
        self.producer = Producer(settings)
        self.sequences = {key: 0 for key in partitions}
        self.acknowledged = self.unsure = 0
        self.fatal = None

    def on_error(self, error):
        if error.fatal():
            self.fatal = error

    def send_some(self):
        count = min(self.rng.randrange(1, 15), OUTSTANDING - len(self.producer))
        for _ in range(max(count, 0)):
            topic, partition = key = self.rng.choice(list(self.sequences))
            size = self.rng.choice((0, 10, 100, 1000)) if self.rng.random() < 0.99 else 60000
            head = b"%s|%d|" % (self.name.encode(), self.sequences[key])
            self.producer.produce(topic, head + b"." * size, partition=partition, on_delivery=self.report)
            self.sequences[key] += 1
        self.poll()

    def report(self, error, message):
        if error is None:
            self.acknowledged += 1
            self.partitions[message.topic(), message.partition()].acknowledge(message.offset(), parse(message.value()))
        elif self.name in IDEMPOTENT:
            raise Wrong(f"{self.name}: delivery failed: {error}")
        else:
            self.unsure += 1

    def poll(self):
        self.producer.poll(0)
        if self.fatal:
            raise Wrong(f"{self.name}: fatal error: {self.fatal}")


class Loop:
    def __init__(self, broker, rng):
        self.broker, self.rng = broker, rng
        self.partitions = {(t, p): Partition(f"{t}/{p}") for t, n in TOPICS.items() for p in range(n)}
        self.producer_ids = set()
        self.churn, self.churn_made = None, 0
        self.next_live = {key: 0 for key in self.partitions}
        self.verifications = 0

    def begin(self):
        self.broker.start()
        with wire.Connection(self.broker.bootstrap) as conn:
            for topic, count in TOPICS.items():
                conn.create_topic(topic, count)
        self.senders = [Sender(name, self.broker.bootstrap, self.partitions, self.rng) for name in PRODUCERS]
        self.live = self.consumer(self.next_live)
        self.groups = [Group(name, self.broker.bootstrap, self.partitions, self.rng, self.check_value)
                       for name in GROUPS]

    def consumer(self, positions):
        made = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": "unused", "log_level": 0,
                         "enable.auto.commit": False, "auto.offset.reset": "error", "fetch.wait.max.ms": 10,
                         "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 100, "fetch.error.backoff.ms": 10})
        made.assign([TopicPartition(t, p, offset) for (t, p), offset in positions.items()])
        return made

    def load(self, seconds):
        """Never lets the producers rest: one that has nothing outstanding takes its time to connect again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for sender in self.senders:
                sender.send_some()
            self.watch(0)
            for group in self.groups:
                group.step()
            time.sleep(0.002)

    def watch(self, wait):
        """What the consumer that lives through all rounds sees: every offset once, in order."""
        for message in self.live.consume(2000, wait):
            if message.error():
                if message.error().code() < 0:  # a connection that broke; librdkafka makes another
                    continue
                raise Wrong(f"live consumer: {message.error()}")
            key = message.topic(), message.partition()
            if message.offset() != self.next_live[key]:
                raise Wrong(f"{key}: live consumer got offset {message.offset()}, expected {self.next_live[key]}")
            self.next_live[key] += 1
            self.check_value(key, message.offset(), message.value())

    def check_value(self, key, offset, value):
        """A consumer has seen the value there."""
        if offset >= len(self.partitions[key].verified):
            self.partitions[key].see(offset, parse(value))
        elif self.partitions[key].verified[offset] != parse(value):
            raise Wrong(f"{key}: a consumer got another value at offset {offset}")

    def end(self):
        """Mostly kill -9; now and then SIGTERM, which must exit 0 under load too."""
        if self.rng.random() >= 0.12:
            self.broker.kill9()
            return "SIGKILL"
        code = self.broker.stop()
        if code:
            raise Wrong(f"exit code {code} after SIGTERM under load")
        return "SIGTERM"

    def restart(self):
        """Starts again, sometimes after dying once more while it was starting."""
        if self.rng.random() < 0.25:
            self.broker.spawn()
            time.sleep(self.rng.random() * 0.08)
            self.broker.kill9()
        return self.broker.start()

    def drain(self):
        """Until nothing is outstanding: what the idempotent producers still had to send has been sent."""
        end = time.monotonic() + DRAIN_S
        while any(len(sender.producer) for sender in self.senders):
            for sender in self.senders:
                sender.poll()
            self.watch(0.002)
            if time.monotonic() > end:
                waiting = {s.name: len(s.producer) for s in self.senders if len(s.producer)}
                raise Wrong(f"not delivered {DRAIN_S} s after the restart: {waiting}")

    def catch_up(self):
        """Every group goes on where it was, and reads all there is."""
        ends = self.ends()
        end = time.monotonic() + DRAIN_S
        while any(group.behind(ends) for group in self.groups):
            for group in self.groups:
                group.step()
            self.watch(0.002)
            for sender in self.senders:
                sender.poll()
            if time.monotonic() > end:
                left = {group.name: group.behind(ends) for group in self.groups if group.behind(ends)}
                raise Wrong(f"not read {DRAIN_S} s after the restart (next, end): {left}")

    def ends(self):
        """End offset of each partition; the beginning must still be 0."""
        found = {}
        with wire.Connection(self.broker.bootstrap) as conn:
            for topic, partition in self.partitions:
                first, last = (conn.list_offset(topic, partition, which) for which in (-2, -1))
                if first != (wire.NONE, 0) or last[0] != wire.NONE:
                    raise Wrong(f"{topic}/{partition}: beginning {first}, end {last}")
                found[topic, partition] = last[1]
        return found

    def read(self, positions, ends):
        """{partition: [(offset, value)]} from the positions to the ends."""
        found = {key: [] for key in positions}
        wanted = {key: max(ends[key] - offset, 0) for key, offset in positions.items()}
        missing = sum(wanted.values())
        reader = self.consumer({key: offset for key, offset in positions.items() if wanted[key]})
        limit = time.monotonic() + 30
        while missing > 0 and time.monotonic() < limit:
            for message in reader.consume(5000, 0.1):
                if message.error():
                    raise Wrong(f"reader: {message.error()}")
                key = message.topic(), message.partition()
                if message.offset() < ends[key]:
                    found[key].append((message.offset(), parse(message.value())))
                    missing -= 1
        reader.close()
        return found

    def verify(self):
        ends = self.ends()
        found = self.read({key: len(part.verified) for key, part in self.partitions.items()}, ends)
        for key, part in self.partitions.items():
            part.verify(found[key], ends[key], IDEMPOTENT)
        for sender in self.senders:
            for key, sent in sender.sequences.items():
                if sender.name in IDEMPOTENT and self.partitions[key].last.get(sender.name, -1) != sent - 1:
                    raise Wrong(f"{key}: {sender.name} sent {sent}, the log ends with "
                                f"{self.partitions[key].last.get(sender.name)}")
        self.verifications += 1

    def verify_again(self):
        """Reads everything from the beginning and compares."""
        ends = {key: len(part.verified) for key, part in self.partitions.items()}
        found = self.read({key: 0 for key in ends}, ends)
        for key, part in self.partitions.items():
            part.verify_again(found[key])

    def metadata_before_kill(self):
        """Acknowledged creations, deletions and producer ids are as durable as records."""
        with wire.Connection(self.broker.bootstrap) as conn:
            error, producer = ask_producer_id(conn)
            if error == wire.NONE:
                if producer in self.producer_ids:
                    raise Wrong(f"producer id {producer} was given twice")
                self.producer_ids.add(producer)
            if self.churn:
                if conn.delete_topic(self.churn) != wire.NONE:
                    raise Wrong(f"topic {self.churn} can't be deleted")
                self.churn = None
            else:
                self.churn_made += 1
                self.churn = f"churn-{self.churn_made}"
                conn.create_topic(self.churn, 2)

    def metadata_after_restart(self):
        with wire.Connection(self.broker.bootstrap) as conn:
            there = topic_names(conn)
        churn = {name for name in there if name.startswith("churn-")}
        wanted = {self.churn} if self.churn else set()
        if churn != wanted or not there >= set(TOPICS):
            raise Wrong(f"topics are {sorted(there)}; made and not deleted were {sorted(wanted | set(TOPICS))}")

    def round(self):
        """One life and death; returns a line of figures."""
        before = sum(sender.acknowledged for sender in self.senders)
        self.load(self.rng.uniform(0.05, 0.4))
        self.metadata_before_kill()
        if self.rng.random() < 0.3:
            self.rng.choice(self.groups).replace_one(alive=True)
        self.load(self.rng.uniform(0.0, 0.3))
        how = self.end()
        if self.rng.random() < 0.15:
            self.rng.choice(self.groups).replace_one(alive=False)
        took = self.restart()
        self.metadata_after_restart()
        for group in self.groups:
            group.check_committed()
        self.drain()
        self.catch_up()
        self.verify()
        acknowledged = sum(sender.acknowledged for sender in self.senders) - before
        return f"{how}, {acknowledged} acknowledged, ready after {took * 1000:.0f} ms"

    def finish(self):
        """A last full check; the consumer that lived through all rounds must have seen everything."""
        self.verify_again()
        end = time.monotonic() + 30
        while any(self.next_live[k] < len(p.verified) for k, p in self.partitions.items()):
            self.watch(0.05)
            if time.monotonic() > end:
                raise Wrong("the live consumer has not seen all records after 30 s")
        self.live.close()
        for group in self.groups:
            group.check_committed()
            group.close()
        for sender in self.senders:
            sender.producer.flush(5)


def ask_producer_id(conn):
    reader = conn.request(22, 0, wire.text(None) + wire.i32(60000))
    reader.i32()
    return reader.i16(), reader.i64()


def topic_names(conn):
    reader = conn.request(wire.METADATA, 1, wire.i32(-1))
    reader.array(lambda: (reader.i32(), reader.text(), reader.i32(), reader.text()))
    reader.i32()
    ints = lambda: reader.array(reader.i32)
    part = lambda: (reader.i16(), reader.i32(), reader.i32(), ints(), ints())
    return {name for _, name, _, _ in
            reader.array(lambda: (reader.i16(), reader.text(), reader.i8(), reader.array(part)))}


def run(broker, rounds, seed, report):
    """report(good, name, details) is called once per round and once at the end."""
    loop = Loop(broker, random.Random(seed))
    name = "start"
    try:
        loop.begin()
        for number in range(1, rounds + 1):
            name = f"crash round {number} of {rounds}, seed {seed}"
            figures = loop.round()
            if number % 10 == 0:
                loop.verify_again()
            report(True, f"{name}: {figures}", "")
        name = "after the last round all records and one old consumer agree"
        loop.finish()
        name = "SIGTERM after all rounds exits 0"
        code = broker.stop()
        if code:
            raise Wrong(f"exit code {code}")
        total = sum(len(part.verified) for part in loop.partitions.values())
        report(True, f"{rounds} rounds, {total} records, all there once and in order", "")
        for group in loop.groups:
            again = sum(book.again for book in group.books.values())
            report(group.commits > 0, f"group {group.name}: given every record, {again} of them again, "
                   f"{group.commits} offsets committed, {group.unsure} commits failed", "nothing was committed")
    except (Wrong, AssertionError, BrokerError, KafkaException, OSError) as problem:
        report(False, name, f"{type(problem).__name__}: {problem}")
