#!/usr/bin/env python3
"""Real crashes and other extremes: `run.py kill`, `queues`, `trace`, `full` or `many`. Each prints TAP lines."""

import argparse
import os
import random
import shutil
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "client"), HERE]

import envs  # noqa: E402
from harness.broker import Broker, BrokerError  # noqa: E402


class Report:
    def __init__(self):
        self.failed = self.number = 0

    def __call__(self, good, name, details=""):
        self.number += 1
        self.failed += not good
        for line in [] if good else details.splitlines():
            print(f"# {line}")
        print(f"{'ok' if good else 'not ok'} {self.number} - {name}", flush=True)

    def skip(self, name, reason, strict):
        if strict:
            self(False, name, reason)
        else:
            self.number += 1
            print(f"ok {self.number} - {name} # SKIP {reason}", flush=True)


def in_client_env():
    """Starts this program again in the Python that has confluent-kafka."""
    if os.environ.get("CRASH_ENV") != "1":
        python = envs.python_env("confluent-kafka")
        os.environ["CRASH_ENV"] = "1"
        os.execv(python, [python, *sys.argv])


def kill(options, report):
    try:
        in_client_env()
    except envs.Missing as reason:
        report.skip("kill -9 under load", str(reason), options.strict)
        return
    import kill as loop  # needs confluent-kafka
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 30)
    with Broker(options.binary, shards=options.shards, settings=options.settings) as broker:
        loop.run(broker, options.rounds, seed, report)
        if report.failed:
            print(f"# log of the broker\n{broker.log_tail(60)}".replace("\n", "\n# "), flush=True)
            if options.keep:
                shutil.copytree(broker.work, options.keep, dirs_exist_ok=True)
        complaints = broker.complaints()
        report(not complaints, "no complaint of a sanitizer or assertion in the log", "\n".join(complaints[:20]))


def queues(options, report):
    import queue_kill
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 30)
    with Broker(options.binary, shards=options.shards, settings=options.settings) as broker:
        queue_kill.run(broker, options.rounds, seed, report)
        complaints = broker.complaints()
        report(not complaints, "no complaint in the log", "\n".join(complaints[:20] if report.failed == 0 else
                                                                    [*complaints[:20], broker.log_tail(40)]))


def trace(options, report):
    if not shutil.which("strace"):
        report.skip("acknowledgements follow their fdatasync", "no strace", options.strict)
        return
    import queue_sync
    import sync_order
    sync_order.run(options, report)
    queue_sync.run(options, report)


def full(options, report):
    import disk_full
    import queue_full
    disk_full.run(options, report)
    queue_full.run(options, report)


def many(options, report):
    import many as partitions
    partitions.run(options, report)


def main():
    parser = argparse.ArgumentParser(prog="test/crash/run.py", description=__doc__)
    parser.add_argument("what", choices=("kill", "queues", "trace", "full", "many"))
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, help="of the kill loop; default: a new one, which is printed")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--binary", help="path of colobus; default build/colobus")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--disk-mb", type=int, default=256, help="size of the disk that is filled")
    parser.add_argument("--keep", metavar="DIR", help="where the data goes if the kill loop fails")
    parser.add_argument("--strict", action="store_true", default=bool(os.environ.get("CI")))
    options = parser.parse_args()
    options.settings = dict(pair.split("=", 1) for pair in options.set)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = Report()
    try:
        globals()[options.what](options, report)
    except BrokerError as problem:
        report(False, f"{options.what}: the broker does what it should", str(problem))
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
