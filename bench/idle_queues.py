#!/usr/bin/env python3
"""What an idle durable queue costs the broker: resident memory by the number of shards, each of which knows it."""

import argparse
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TEST = os.path.join(os.path.dirname(HERE), "test")
sys.path[:0] = [TEST, os.path.join(TEST, "client"), HERE]

from amqp_wire import Connection  # noqa: E402  (the paths above come first)
from harness.broker import Broker  # noqa: E402
from suite.redis import pss_kib  # noqa: E402

CHANNELS = 100  # a channel has one declaration under way; more of them share a commit


def declare(conn, first, count):
    """Those of a channel come in order: all are there when each channel has had its answers."""
    for number in range(first, first + count):
        conn.send("queue.declare", 1 + number % CHANNELS, queue=f"idle-{number:08}", durable=True)
        if number % CHANNELS == CHANNELS - 1 or number == first + count - 1:
            for answered in range(number - number % CHANNELS, number + 1):
                if answered >= first:
                    conn.next(1 + answered % CHANNELS, "queue.declare-ok")


def settled_kib(pid):
    """Pages of the last bursts go back in the seconds after them."""
    time.sleep(3)
    return pss_kib(pid)


def measure(options, shards, queues):
    """Bytes a queue: as declared, and after a restart."""
    with Broker(options.binary, shards=shards) as broker:
        broker.start()
        empty = settled_kib(broker.pid())
        with Connection(broker.amqp_address, timeout=60) as conn:
            for channel in range(1, 1 + CHANNELS):
                conn.send("channel.open", channel)
                conn.next(channel, "channel.open-ok")
            declare(conn, 0, options.warm)
            before = settled_kib(broker.pid())
            declare(conn, options.warm, queues)
            after = settled_kib(broker.pid())
        broker.stop()
        broker.start(timeout=120)
        restarted = settled_kib(broker.pid())
    return (after - before) * 1024 / queues, (restarted - empty) * 1024 / (queues + options.warm)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default=os.path.join(HERE, "..", "build", "colobus"))
    parser.add_argument("--queues", type=int, nargs="*", default=[20000, 50000])
    parser.add_argument("--warm", type=int, default=100, help="queues before the clock starts")
    parser.add_argument("--shards", type=int, nargs="*", default=[1, 2, 4])
    options = parser.parse_args()
    print("| shards | queues | bytes/queue | after a restart |\n|---|---|---|---|")
    for shards in options.shards:
        for queues in options.queues:
            declared, restarted = measure(options, shards, queues)
            print(f"| {shards} | {queues} | {declared:.0f} | {restarted:.0f} |", flush=True)


main()
