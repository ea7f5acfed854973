"""A full disk: producers and groups that commit are told so, readers, heartbeats and deletes go on, and space that
comes back is used again without a restart. On a small tmpfs of its own."""

import os
import random
import subprocess
import tempfile
import time

import group_wire
from harness import wire
from harness.broker import Broker
from harness.scenario import equal, eventually, true

NAME = "full disk"
VALUE = random.Random(5).randbytes(250_000)
HEAL_S = 30
SMALL_COMMITS = 20000
SETTINGS = {"kafka.max-message-bytes": "512KiB", "journal.file-bytes": "4MiB", "journal.max-bytes": "32MiB", "segment.bytes": "16MiB"}


class SmallDisk:
    """A tmpfs of `megabytes`, unmounted at the end."""

    def __init__(self, megabytes):
        self.megabytes = megabytes

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="colobus-disk-")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.megabytes}m", "tmpfs", self.path], check=True,
                       stderr=subprocess.PIPE)
        return self.path

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=False)
        os.rmdir(self.path)


def fill(conn, topic, limit):
    """Produces until it is refused; (error, number of batches acknowledged)."""
    records = wire.batch([VALUE])
    for count in range(limit):
        error, base = conn.produce(topic, 0, records)
        if error:
            return error, count
        equal(base, count, "offset")
    raise AssertionError(f"{limit} batches of {len(VALUE)} bytes fit on the disk")


def readable(conn, topic, count):
    """Reads the whole topic; every value must be right."""
    offset = 0
    while offset < count:
        error, _, data = conn.fetch(topic, 0, offset, max_bytes=1 << 20)
        equal(error, wire.NONE, f"fetch at {offset}")
        records = wire.records_of(data)
        true(records, f"nothing at offset {offset}")
        for found, value in records:
            equal(found, offset, "offset")
            true(value == VALUE, f"value at offset {offset} differs")
            offset += 1


class GroupOfOne:
    """A group with one member, which is in before the disk is full. Its commits are numbered from 1."""

    GROUP, TOPIC = "readers", "keep"

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.member = group_wire.Member(self, self.GROUP)
        group_wire.sync_all(group_wire.join_all(self.member), [self.member])
        self.acknowledged = 0

    def connect(self):
        return wire.Connection(self.bootstrap, timeout=60)

    def commit(self):
        """The error; what was acknowledged is remembered."""
        error = self.member.commit(self.TOPIC, self.acknowledged + 1)
        if not error:
            self.acknowledged += 1
        return error

    def check_committed(self):
        with self.connect() as conn:
            offset, _, _, error = group_wire.committed(conn, self.GROUP, self.TOPIC)
            equal((error, offset), (wire.NONE, self.acknowledged), "error and committed offset")

    def refused(self, check):
        """What it meets while the disk is full."""
        errors = {self.commit() for _ in range(5)}
        check(errors == {group_wire.COORDINATOR_NOT_AVAILABLE}, "commits get the retriable error 15 when the disk is full",
              f"errors {errors}")
        check(self.member.heartbeat() == wire.NONE, "heartbeats go on", "")
        check.works("what was committed before can be read", self.check_committed)
        newcomer = group_wire.Member(self, "newcomers")
        newcomer.join()
        error = newcomer.sync([(newcomer.member, b"all")]).error
        check(error == group_wire.COORDINATOR_NOT_AVAILABLE, "a division of work that can't be kept is refused with it too",
              f"error {error}")
        newcomer.close()


def fill_journal(group):
    """What is small fits longest: commits until the first is refused. True if one was."""
    return any(group.commit() for _ in range(SMALL_COMMITS))


def metrics_tell(broker, group):
    line = f'colobus_group_committed_offset{{group="{group.GROUP}",topic="{group.TOPIC}",partition="0"}} '
    true(f"\n{line}{group.acknowledged}\n" in broker.http_get("/metrics")[1], "the committed offset is not in /metrics")


def story(broker, disk_mb, check):
    limit = disk_mb * 8  # batches of a quarter megabyte: twice the disk
    with wire.Connection(broker.bootstrap, timeout=60) as conn:
        conn.create_topic("keep", 1)
        conn.create_topic("victim", 1)
        for i in range(10):
            equal(conn.produce("keep", 0, wire.batch([VALUE])), (wire.NONE, i), "produce to keep")
        group = GroupOfOne(broker.bootstrap)
        equal([group.commit() for _ in range(10)], [wire.NONE] * 10, "errors of commits")
        error, count = fill(conn, "victim", limit)
        check(error == wire.STORAGE_ERROR, "producers get the retriable error 56 when the disk is full",
              f"error {error} after {count} batches")
        check.works("everything acknowledged is readable while the disk is full", readable, conn, "victim", count)
        check.works("/healthz says that the disk is full", eventually,
                    lambda: '"ok"' not in broker.http_get("/healthz")[1], 5, "health is not ok")
        check(any(conn.produce("keep", 0, wire.batch([VALUE]))[0] == wire.STORAGE_ERROR for _ in range(limit)),
              "other topics are refused too, where another shard has it once the journal has no room", "never refused")
        check(fill_journal(group), "a group may commit as long as there is room, and then is refused", "it never was")
        group.refused(check)
        check.works("/metrics are told", metrics_tell, broker, group)
        equal(conn.delete_topic("victim"), wire.NONE, "delete victim")
        records = wire.batch([VALUE])
        began = time.monotonic()
        check.works("after a topic is deleted, producing works again without a restart", eventually,
                    lambda: conn.produce("keep", 0, records)[0] == wire.NONE, HEAL_S, "produce works")
        print(f"# {count} batches filled the disk; healed after {time.monotonic() - began:.1f} s")
        check.works("the same member's commits work again", eventually, lambda: group.commit() == wire.NONE, HEAL_S,
                    "commit works")
        # One record may find room before the deleted files are gone; from here on everything must.
        check.works("/healthz is ok again", eventually,
                    lambda: '"ok"' in broker.http_get("/healthz")[1], HEAL_S, "health is ok")
        for _ in range(10):
            equal(conn.produce("keep", 0, records)[0], wire.NONE, "produce to keep, healed")
            equal((group.member.heartbeat(), group.commit()), (wire.NONE, wire.NONE), "heartbeat and commit, healed")
        end = conn.list_offset("keep", 0, -1)[1]
        readable(conn, "keep", end)
    broker.kill9()
    broker.start()
    with wire.Connection(broker.bootstrap, timeout=60) as conn:
        equal(conn.list_offset("keep", 0, -1), (wire.NONE, end), "end after the restart")
        check.works("after kill -9 everything acknowledged is there", readable, conn, "keep", end)
        check.works("after kill -9 what the group committed is there", group.check_committed)


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
    check = Check(report)
    try:
        with SmallDisk(options.disk_mb) as disk:
            with Broker(options.binary, data_dir=os.path.join(disk, "data"), shards=options.shards,
                        settings={**SETTINGS, **options.settings}) as broker:
                broker.start()
                try:
                    story(broker, options.disk_mb, check)
                    code = broker.stop()
                    check(code == 0, "SIGTERM exits 0 at the end", f"exit code {code}")
                except (AssertionError, OSError, ValueError) as problem:
                    report(False, f"{NAME}: the story goes to its end", f"{problem}\n{broker.log_tail()}")
    except (subprocess.CalledProcessError, FileNotFoundError) as problem:
        reason = getattr(problem, "stderr", b"") or str(problem).encode()
        report.skip(NAME, f"no tmpfs can be mounted: {reason.decode().strip()}", options.strict)
