"""A full disk, as AMQP clients see it: publishes are refused or held back, consumers, acknowledgements and deletions go
on, and publishes too when there is room again, without a restart."""

import os
import socket
import subprocess
import time

import amqp_wire
from disk_full import HEAL_S, SETTINGS, VALUE, SmallDisk
from harness.broker import Broker
from harness.scenario import equal, eventually

NAME = "full disk, queues"
PATIENCE_S = 4  # without a confirm for so long a publish is held back


class Publisher:
    """One message at a time; the answer to one may be outstanding."""

    def __init__(self, address):
        self.conn = amqp_wire.Connection(address, timeout=PATIENCE_S)
        self.channel = self.conn.channel()
        self.channel.call("confirm.select")
        self.waits = False

    def publish(self, queue, body):
        """"ack", "nack" or "held"."""
        self.channel.publish("", queue, body, delivery_mode=2)
        self.waits = True
        return self.answer()

    def answer(self):
        try:
            event = self.channel.next("basic.ack", "basic.nack")
        except socket.timeout:
            return "held"
        self.waits = False
        return event.name[len("basic."):]


def fill(publisher, limit):
    for count in range(limit):
        answer = publisher.publish("victim", VALUE)
        if answer != "ack":
            return answer, count
    raise AssertionError(f"{limit} messages of {len(VALUE)} bytes fit on the disk")


def take(channel, wanted):
    """Gets and acknowledges one message of `keep`."""
    channel.send("basic.get", queue="keep")
    event = channel.next("basic.get-ok", "basic.get-empty")
    equal(event.name, "basic.get-ok", "the answer to a get")
    equal(event.body, wanted, "body")
    channel.send("basic.ack", tag=event.tag)


def heals(publisher, body):
    """A publish is confirmed, the one that was held or a new one."""
    answer = publisher.answer() if publisher.waits else publisher.publish("keep", body)
    return answer == "ack"


def story(broker, disk_mb, check):
    publisher = Publisher(broker.amqp_address)
    with amqp_wire.Connection(broker.amqp_address, timeout=30) as conn:
        channel = conn.channel()
        channel.declare("keep", durable=True)
        channel.declare("victim", durable=True)
        for number in range(10):
            equal(publisher.publish("keep", b"%d" % number), "ack", "publish to keep")
        answer, count = fill(publisher, disk_mb * 8)
        check(answer in ("nack", "held"), "publishes are refused or held back when the disk is full", answer)
        for number in range(3):
            check.works(f"message {number} is taken and acknowledged while the disk is full", take, channel, b"%d" % number)
        began = time.monotonic()
        equal(channel.call("queue.delete", queue="victim").messages >= count, True, "the victim's messages")
        check.works("after a queue is deleted, publishes are confirmed again without a restart", eventually,
                    lambda: heals(publisher, b"new"), HEAL_S, "a confirm")
        print(f"# {count} messages filled the disk ({answer}); healed after {time.monotonic() - began:.1f} s")
        eventually(lambda: '"ok"' in broker.http_get("/healthz")[1], HEAL_S, "health is ok")
        for _ in range(5):
            equal(publisher.publish("keep", b"healed"), "ack", "publish to keep, healed")
        left = channel.declare("keep", durable=True).messages
    publisher.conn.sock.close()
    broker.kill9()
    broker.start()
    with amqp_wire.Connection(broker.amqp_address, timeout=30) as conn:
        channel = conn.channel()
        equal(channel.declare("keep", durable=True).messages, left, "messages after kill -9")
        for number in range(3, 10):
            take(channel, b"%d" % number)
        check(True, "after kill -9 what was confirmed is there, and what was acknowledged is not", "")


class Check:
    """Reports each step of the story by its name."""

    def __init__(self, report):
        self.report = report

    def __call__(self, good, name, details):
        self.report(good, f"{NAME}: {name}", "" if good else details)

    def works(self, name, function, *args):
        try:
            function(*args)
            self(True, name, "")
        except (AssertionError, OSError, ValueError) as problem:
            self(False, name, str(problem))


def run(options, report):
    try:
        with SmallDisk(options.disk_mb) as disk:
            with Broker(options.binary, data_dir=os.path.join(disk, "data"), shards=options.shards,
                        settings={**SETTINGS, "queue.segment-bytes": "16MiB", "disk.free-limit": "0", **options.settings}) as broker:
                broker.start()
                try:
                    story(broker, options.disk_mb, Check(report))
                    code = broker.stop()
                    report(code == 0, f"{NAME}: SIGTERM exits 0 at the end", f"exit code {code}")
                except (AssertionError, OSError, ValueError, amqp_wire.Gone, amqp_wire.Closed) as problem:
                    report(False, f"{NAME}: the story goes to its end", f"{problem}\n{broker.log_tail()}")
    except (subprocess.CalledProcessError, FileNotFoundError) as problem:
        reason = getattr(problem, "stderr", b"") or str(problem).encode()
        report.skip(NAME, f"no tmpfs can be mounted: {reason.decode().strip()}", options.strict)
