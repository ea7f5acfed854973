"""Ten thousand partitions with a record each: an idle log costs neither much memory nor an open file, and all
of them are there after a crash."""

import os
import time

from harness import wire
from harness.broker import Broker, rss_bytes
from harness.wire import array, blob, i16, i32, text

TOPICS, PARTITIONS = 20, 500
MEMORY_MB, DESCRIPTORS = 100, 1200
NAME = f"{TOPICS * PARTITIONS} partitions"


def topic(number):
    return f"many-{number}"


def value(number, partition):
    return b"%d/%d" % (number, partition)


def produce_everywhere(conn, number):
    """One Produce request with one record for every partition of the topic; the errors of the answer."""
    parts = [i32(p) + blob(wire.batch([value(number, p)])) for p in range(PARTITIONS)]
    body = text(None) + i16(-1) + i32(30000) + array([text(topic(number)) + array(parts)])
    reader = conn.request(wire.PRODUCE, 7, body)
    part = lambda: (reader.i32(), reader.i16(), reader.i64(), reader.i64(), reader.i64())
    answers = reader.array(lambda: (reader.text(), reader.array(part)))[0][1]
    return [answer for answer in answers if answer[1] != wire.NONE]


def missing(conn):
    """Partitions whose record can't be read."""
    return [(number, p) for number in range(TOPICS) for p in range(PARTITIONS)
            if wire.records_of(conn.fetch(topic(number), p, 0, max_wait_ms=0)[2]) != [(0, value(number, p))]]


def figures(broker, report, when):
    megabytes, files = rss_bytes(broker.pid()) / 1e6, len(os.listdir(f"/proc/{broker.pid()}/fd"))
    report(megabytes < MEMORY_MB and files < DESCRIPTORS,
           f"{NAME}: {megabytes:.0f} MB resident (under {MEMORY_MB}) and {files} descriptors (under {DESCRIPTORS}) "
           f"{when}")


def run(options, report):
    with Broker(options.binary, shards=options.shards, settings=options.settings) as broker:
        broker.start()
        with wire.Connection(broker.bootstrap, timeout=60) as conn:
            for number in range(TOPICS):
                conn.create_topic(topic(number), PARTITIONS)
            errors = [error for number in range(TOPICS) for error in produce_everywhere(conn, number)]
            report(not errors, f"{NAME}: each takes a record", str(errors[:5]))
        time.sleep(1)
        figures(broker, report, "after a record in each")
        broker.kill9()
        took = broker.start(timeout=60)
        figures(broker, report, f"after kill -9 and a start of {took:.2f} s")
        with wire.Connection(broker.bootstrap, timeout=60) as conn:
            gone = missing(conn)
        report(not gone, f"{NAME}: each has its record after kill -9", f"{len(gone)} are gone: {gone[:5]}")
        code = broker.stop()
        report(code == 0, f"{NAME}: SIGTERM exits 0", f"exit code {code}")
