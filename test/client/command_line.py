"""`colobus topic` and `colobus group` against a running broker, and what its management port says meanwhile. The groups
are those of confluent-kafka's consumers."""

import contextlib
import json
import os
import subprocess
import time
from datetime import datetime, timezone

from confluent_kafka import Consumer, TopicPartition

from harness import wire
from harness.broker import http_get
from harness.scenario import Skip, equal, eventually, main, scenario, true

RECORDS = 10  # in each partition


def colobus(ctx, *args, code=0):
    """Standard output, or the error if the exit code is not 0."""
    if ctx.pid is None or not ctx.http:
        raise Skip("needs a broker of ours")
    done = subprocess.run([os.readlink(f"/proc/{ctx.pid}/exe"), *args, "--broker", ctx.http], capture_output=True,
                          text=True, timeout=30, check=False)
    equal((done.returncode, done.stderr if not code else ""), (code, ""), " ".join(args))
    return done.stderr if code else done.stdout


def described(ctx, group):
    return json.loads(colobus(ctx, "group", "describe", group, "--json"))


def rows(text):
    return [line.split() for line in text.splitlines()]


def offsets(told):
    """{partition: (committed, end, lag)}"""
    return {part["partition"]: (part["offset"], part["end_offset"], part["lag"]) for part in told["offsets"]}


def metric(ctx, name, **labels):
    """The value, None if it is not there."""
    line = name + "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "} "
    found = [row for row in http_get(ctx.http, "/metrics")[1].splitlines() if row.startswith(line)]
    true(len(found) <= 1, f"{line} stands there {len(found)} times")
    return int(found[0].rsplit(" ", 1)[1]) if found else None


def filled(ctx, partitions=2, stamps=None):
    topic = ctx.topic(partitions)
    with ctx.connect() as conn:
        for partition in range(partitions):
            for i in range(RECORDS):
                batch = wire.batch([b"%d" % i], timestamp=stamps[i] if stamps else None)
                equal(conn.produce(topic, partition, batch), (wire.NONE, i), "produce")
    return topic


@contextlib.contextmanager
def member(ctx, group, topic, **options):
    """A consumer that has joined and is given all partitions."""
    made = Consumer({"bootstrap.servers": ctx.bootstrap, "group.id": group, "client.id": "shop", "enable.auto.commit": False,
                     "auto.offset.reset": "earliest", **{key.replace("_", "."): value for key, value in options.items()}})
    made.subscribe([topic])
    try:
        yield made
    finally:
        made.close()


def read(consumer, count):
    found, end = [], time.monotonic() + 20
    while len(found) < count and time.monotonic() < end:
        message = consumer.poll(0.2)
        if message is not None:
            equal(message.error(), None, "error")
            found.append((message.partition(), message.offset()))
    equal(len(found), count, "records read")
    return sorted(found)


def commit(consumer, topic, *positions):
    consumer.commit(offsets=[TopicPartition(topic, part, offset) for part, offset in enumerate(positions)],
                    asynchronous=False)


@scenario("topics are made, listed, described, changed and deleted")
def topics(ctx):
    name = ctx.name()
    equal(colobus(ctx, "topic", "create", name, "--partitions", "3", "--config", "retention.ms=1000000"),
          f"created {name}\n", "create")
    true([name, "3", "0", "0", "B"] in rows(colobus(ctx, "topic", "list")), "the topic is not in the list")
    true(["retention.ms", "1000000", "set"] in rows(colobus(ctx, "topic", "describe", name)), "retention.ms is not told")
    colobus(ctx, "topic", "config", name, "--delete", "retention.ms")
    true(["retention.ms", "1000000", "set"] not in rows(colobus(ctx, "topic", "describe", name)), "retention.ms is still told")
    true("already exists" in colobus(ctx, "topic", "create", name, code=1), "no reason is given")
    colobus(ctx, "topic", "delete", name)
    true("not found" in colobus(ctx, "topic", "describe", name, code=1), "no reason is given")


@scenario("a group at work is listed and described, its lag is in /metrics and on the page", timeout=60)
def shown(ctx):
    topic, group = filled(ctx), ctx.name("g")
    with member(ctx, group, topic, group_instance_id="till-1") as consumer:
        read(consumer, 2 * RECORDS)
        commit(consumer, topic, 4, 10)
        true([group, "Stable", "1", "2", "6"] in rows(colobus(ctx, "group", "list")), "the group is not in the list")
        told = described(ctx, group)
        equal((told["state"], told["protocol"], told["lag"]), ("Stable", "range", 6), "group")
        equal(offsets(told), {0: (4, 10, 6), 1: (10, 10, 0)}, "offsets")
        equal([(m["instance_id"], m["client_id"], m["host"]) for m in told["members"]], [("till-1", "shop", "/127.0.0.1")],
              "members")
        text = rows(colobus(ctx, "group", "describe", group))
        true([topic, "0", "4", "10", "6"] in text and ["till-1", "shop", "/127.0.0.1"] in [row[1:] for row in text],
             f"not described: {text}")
        equal(metric(ctx, "colobus_group_lag", group=group, topic=topic, partition=0), 6, "lag in /metrics")
        equal(metric(ctx, "colobus_group_committed_offset", group=group, topic=topic, partition=1), 10, "in /metrics")
        page = http_get(ctx.http, "/")[1]
        true(f'<a href="/api/groups/{group}">{group}</a></td><td><span class="ok">stable</span>' in page, "not on the page")
    with ctx.connect() as conn:  # nobody reads, so the lag grows
        equal(conn.produce(topic, 1, wire.batch([b"new"])), (wire.NONE, RECORDS), "produce")
    equal(metric(ctx, "colobus_group_lag", group=group, topic=topic, partition=1), 1, "lag in /metrics")


@scenario("a group is reset while it has no members, and goes on there", timeout=60)
def reset(ctx):
    topic, group = filled(ctx), ctx.name("g")
    with member(ctx, group, topic) as consumer:
        read(consumer, 2 * RECORDS)
        commit(consumer, topic, 10, 10)
        refused = colobus(ctx, "group", "reset", group, "--topic", topic, "--to", "earliest", code=1)
        equal(refused, f"colobus: {group}: the group has members: stop its consumers first\n", "refusal")
        equal(offsets(described(ctx, group))[0][0], 10, "offset after the refusal")
    shown_rows = rows(colobus(ctx, "group", "reset", group, "--topic", topic, "--to", "3"))
    true([topic, "0", "3", "10", "7"] in shown_rows and [topic, "1", "3", "10", "7"] in shown_rows, f"{shown_rows}")
    colobus(ctx, "group", "reset", group, "--topic", topic, "--to", "latest", "--partition", "1")
    equal(offsets(described(ctx, group)), {0: (3, 10, 7), 1: (10, 10, 0)}, "offsets")
    with member(ctx, group, topic) as consumer:
        equal(read(consumer, 7), [(0, offset) for offset in range(3, 10)], "what the group reads then")
    for wanted, args in (("no such topic", ["--topic", "none", "--to", "latest"]),
                         ("no such partition", ["--topic", topic, "--partition", "2", "--to", "latest"]),
                         ("outside the log", ["--topic", topic, "--to", "11"])):
        true(wanted in colobus(ctx, "group", "reset", group, *args, code=1), f"not told: {wanted}")
    equal(offsets(described(ctx, group)), {0: (3, 10, 7), 1: (10, 10, 0)}, "offsets after refusals")


@scenario("a group is reset to a time, and made if it was not there", timeout=60)
def to_time(ctx):
    begin = int(time.time()) * 1000 - 1_000_000
    topic, group = filled(ctx, stamps=[begin + 1000 * i for i in range(RECORDS)]), ctx.name("g")
    at = lambda i: datetime.fromtimestamp((begin + 1000 * i) / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    for index, offset in ((0, 0), (4, 4), (9, 9), (10, 10), (-100, 0)):
        colobus(ctx, "group", "reset", group, "--topic", topic, "--to", at(index))
        equal({found[0] for found in offsets(described(ctx, group)).values()}, {offset}, f"offset at record {index}'s time")
    equal(described(ctx, group)["state"], "Empty", "state")


@scenario("a group is deleted while it has no members", timeout=60)
def delete(ctx):
    topic, group = filled(ctx), ctx.name("g")
    with member(ctx, group, topic) as consumer:
        read(consumer, 2 * RECORDS)
        commit(consumer, topic, 1, 1)
        equal(colobus(ctx, "group", "delete", group, code=1), f"colobus: {group}: the group has members\n", "refusal")
        equal(described(ctx, group)["state"], "Stable", "state after the refusal")
    equal(colobus(ctx, "group", "delete", group), f"deleted {group}\n", "delete")
    true("no such group" in colobus(ctx, "group", "describe", group, code=1), "no reason is given")
    true("no such group" in colobus(ctx, "group", "delete", group, code=1), "no reason is given")
    equal(metric(ctx, "colobus_group_lag", group=group, topic=topic, partition=0), None, "lag in /metrics")
    true(group not in [row[0] for row in rows(colobus(ctx, "group", "list"))], "the group is still listed")


@scenario("with a topic its offsets go from the groups", timeout=60)
def topic_gone(ctx):
    kept, gone, group = filled(ctx), filled(ctx), ctx.name("g")
    for topic in (kept, gone):
        colobus(ctx, "group", "reset", group, "--topic", topic, "--to", "earliest")
    equal(described(ctx, group)["lag"], 4 * RECORDS, "lag")
    colobus(ctx, "topic", "delete", gone)
    eventually(lambda: {part["topic"] for part in described(ctx, group)["offsets"]} == {kept}, 5, "the offsets are gone")
    equal(described(ctx, group)["lag"], 2 * RECORDS, "lag")
    equal(metric(ctx, "colobus_group_lag", group=group, topic=gone, partition=0), None, "lag in /metrics")


@scenario("a group's name may be any text")
def names(ctx):
    topic, group = filled(ctx, 1), ctx.name("a/b c%?<i>\u00e9\u20ac\"\\")
    colobus(ctx, "group", "reset", group, "--topic", topic, "--to", "latest")
    equal(described(ctx, group)["name"], group, "name")
    true(group in [found["name"] for found in json.loads(colobus(ctx, "group", "list", "--json"))["groups"]], "not listed")
    true("<i>" not in http_get(ctx.http, "/")[1], "the name is markup on the page")
    colobus(ctx, "group", "delete", group)


if __name__ == "__main__":
    main(os.environ.get("CLIENT", "command line"))
