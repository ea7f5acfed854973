#!/usr/bin/env python3
"""What consumers of idle partitions cost the broker: CPU and bytes of one long poll, with and without sessions."""

import argparse
import os
import selectors
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "test"))

from harness.broker import Broker  # noqa: E402  (the path above comes first)
from harness.wire import FETCH, Connection, array, i8, i32, i64, text  # noqa: E402

VERSION, WAIT_MS = 11, 500  # milliseconds


def body(topic, partitions, session, epoch):
    parts = [i32(p) + i32(-1) + i64(0) + i64(-1) + i32(1 << 20) for p in partitions]
    topics = [text(topic) + array(parts)] if parts else []
    return (i32(-1) + i32(WAIT_MS) + i32(1) + i32(50 << 20) + i8(0) + i32(session) + i32(epoch)
            + array(topics) + array([]) + text(""))


def cpu_ns(pid):
    """Time on a processor of all its threads (sched-stats.rst: first field), finer than the ticks of stat."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="utf-8") as file:
            total += int(file.read().split()[0])
    return total


class Consumer:
    """Polls again as soon as it is answered."""

    def __init__(self, address, topic, partitions, sessions):
        self.conn = Connection(address, timeout=30)
        self.partitions, self.topic, self.sessions = partitions, topic, sessions
        self.session, self.epoch = 0, 0 if sessions else -1
        self.polls = self.bytes = 0
        self.input = bytearray()

    def poll(self):
        named = [] if self.session else range(self.partitions)
        frame = self.conn.frame(FETCH, VERSION, body(self.topic, named, self.session, self.epoch))
        self.bytes += len(frame)
        self.conn.send_raw(frame)

    def readable(self):
        self.input += self.conn.sock.recv(1 << 20)
        if len(self.input) < 4 or len(self.input) < 4 + struct.unpack_from(">i", self.input)[0]:
            return
        _correlation, _throttle, error, session = struct.unpack_from(">iihi", self.input, 4)
        if error:
            raise AssertionError(f"Fetch: error {error}")
        self.bytes += len(self.input)
        self.polls += 1
        self.input.clear()
        if self.sessions:
            self.session, self.epoch = session, self.epoch + 1
            if not session:
                raise AssertionError("the broker gave no session")
        self.poll()


def run_for(selector, seconds):
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            key.data.readable()


def measure(options, shards, sessions):
    with Broker(options.binary, shards=shards) as broker:
        broker.start()
        with Connection(broker.bootstrap, timeout=30) as admin:
            admin.create_topic("idle", options.partitions)
        consumers = [Consumer(broker.bootstrap, "idle", options.partitions, sessions)
                     for _ in range(options.consumers)]
        selector = selectors.DefaultSelector()
        for n, consumer in enumerate(consumers):
            selector.register(consumer.conn.sock, selectors.EVENT_READ, consumer)
            consumer.poll()
            run_for(selector, WAIT_MS / 1000 / options.consumers)  # not all at the same moment
        run_for(selector, 1)
        before = cpu_ns(broker.pid()), sum(c.polls for c in consumers), sum(c.bytes for c in consumers)
        run_for(selector, options.seconds)
        after = cpu_ns(broker.pid()), sum(c.polls for c in consumers), sum(c.bytes for c in consumers)
    polls = after[1] - before[1]
    return polls, (after[0] - before[0]) / polls / 1000, (after[2] - before[2]) / polls


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default=os.path.join(HERE, "..", "build", "colobus"))
    parser.add_argument("--partitions", type=int, default=1000)
    parser.add_argument("--consumers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--shards", type=int, nargs="*", default=[1, 3])
    parser.add_argument("--only", choices=["full", "session"])
    options = parser.parse_args()
    print("| shards | requests | polls | CPU us/poll | bytes/poll |\n|---|---|---|---|---|")
    for shards in options.shards:
        for name in ["full", "session"]:
            if options.only in (None, name):
                polls, us, size = measure(options, shards, name == "session")
                print(f"| {shards} | {name} | {polls} | {us:.0f} | {size:.0f} |", flush=True)


main()
