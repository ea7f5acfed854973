"""Runs the broker under strace and shows that each acknowledgement follows the fdatasync that covers it: of records, of
a group's committed offsets, and of the division of work that its leader makes.

kill -9 cannot show this: the kernel keeps what a killed process wrote."""

import os
import threading

from harness import wire
from harness.broker import Broker
from syscalls import SENDS, SYNCS, Trace

CLIENTS, REQUESTS = 6, 25
COMMITTERS, GENERATIONS = 3, 5  # clients that are groups of one, and how often each joins
COMMITS = 5                     # in a generation
JOIN_GROUP, SYNC_GROUP, OFFSET_COMMIT = 11, 14, 8
CALLS = ",".join(sorted(SENDS | SYNCS))


def reply_id(client, number):
    """A correlation id that is four letters, so that it can be read in the trace of the answer."""
    return b"%c%c%c%c" % (ord("Q") + client, ord("a") + number // 26, ord("a") + number % 26, ord("Z"))


def marker(client, number):
    return f"MARK-{client}-{number}-END"


def one_client(bootstrap, client, topic, problems):
    """Requests one after the other, each with its marker, sizes from a few bytes to some pages."""
    try:
        with wire.Connection(bootstrap, timeout=60) as conn:
            for number in range(REQUESTS):
                value = marker(client, number).encode() + b"." * (number * 700)
                body = wire.produce_body(topic, client % 3, wire.batch([value]))
                conn.send(wire.PRODUCE, 7, body, int.from_bytes(reply_id(client, number), "big"))
                _, reader = conn.recv()
                error, _ = conn.produced(reader)
                if error:
                    problems.append(f"{marker(client, number)}: error {error}")
    except (OSError, ValueError) as problem:
        problems.append(f"client {client}: {problem}")


def join(conn, group, member):
    """JoinGroup version 2; (generation, member id). The member is alone, so it leads."""
    subscription = wire.i16(0) + wire.array([wire.text("traced")]) + wire.blob(None)
    reader = conn.request(JOIN_GROUP, 2, wire.text(group) + wire.i32(30000) + wire.i32(30000) + wire.text(member) +
                          wire.text("consumer") + wire.array([wire.text("range") + wire.blob(subscription)]))
    reader.i32()
    error, generation, _protocol, _leader, member = reader.i16(), reader.i32(), reader.text(), reader.text(), reader.text()
    if error:
        raise ValueError(f"JoinGroup: error {error}")
    return generation, member


def commit_body(group, generation, member, number, text):
    """OffsetCommit version 2 of one partition, with a text for the offset."""
    part = wire.i32(number % 3) + wire.i64(number) + wire.text(text)
    return (wire.text(group) + wire.i32(generation) + wire.text(member) + wire.i64(-1) +
            wire.array([wire.text("traced") + wire.array([part])]))


def one_committer(bootstrap, client, problems):
    """A group of one member that joins again and again: each division, and each commit, has a marker. Numbers go
    on where the producers' end."""
    group, member, number = f"group-{client}", "", 0
    try:
        with wire.Connection(bootstrap, timeout=60) as conn:
            for _ in range(GENERATIONS):
                generation, member = join(conn, group, member)
                division = wire.array([wire.text(member) + wire.blob(marker(client, number).encode())])
                conn.send(SYNC_GROUP, 0, wire.text(group) + wire.i32(generation) + wire.text(member) + division,
                          int.from_bytes(reply_id(client, number), "big"))
                if error := conn.recv()[1].i16():
                    problems.append(f"{marker(client, number)}: SyncGroup has error {error}")
                number += 1
                for _ in range(COMMITS):
                    conn.send(OFFSET_COMMIT, 2, commit_body(group, generation, member, number, marker(client, number)),
                              int.from_bytes(reply_id(client, number), "big"))
                    reader = conn.recv()[1]
                    part = lambda: (reader.i32(), reader.i16())
                    error = reader.array(lambda: (reader.text(), reader.array(part)))[0][1][0][1]
                    if error:
                        problems.append(f"{marker(client, number)}: OffsetCommit has error {error}")
                    number += 1
    except (OSError, ValueError, AssertionError) as problem:
        problems.append(f"committer {client}: {problem}")


def load(broker):
    with wire.Connection(broker.bootstrap, timeout=60) as conn:
        conn.create_topic("traced", 3)
    problems = []
    threads = [threading.Thread(target=one_client, args=(broker.bootstrap, client, "traced", problems))
               for client in range(CLIENTS)]
    threads += [threading.Thread(target=one_committer, args=(broker.bootstrap, client, problems))
                for client in range(CLIENTS, CLIENTS + COMMITTERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return problems


def run(options, report):
    with Broker(options.binary, shards=options.shards, settings=options.settings) as broker:
        path = os.path.join(broker.work, "trace")
        broker.wrap = ["strace", "-f", "-ttt", "-yy", "-s", "1000000", "-e", f"trace={CALLS}", "-o", path]
        broker.start(timeout=60)
        problems = load(broker)
        code = broker.stop()
        report(not problems, "every request under strace is acknowledged", "\n".join(problems[:10]))
        report(code == 0, "the traced broker exits 0 on SIGTERM", f"exit code {code}")
        with open(path, encoding="utf-8", errors="replace") as file:
            trace = Trace(file.read().splitlines())
        check(trace, range(CLIENTS), REQUESTS, "acknowledgements of records", report)
        check(trace, range(CLIENTS, CLIENTS + COMMITTERS), GENERATIONS * (1 + COMMITS),
              "answers to OffsetCommit and to leaders' SyncGroup", report)


def check(trace, clients, requests, what, report):
    wrong = [verdict for client in clients for number in range(requests)
             if (verdict := trace.verdict(marker(client, number), reply_id(client, number).decode()))]
    report(not wrong, f"{len(clients) * requests} {what} each follow the fdatasync that covers them "
           f"({len(trace.syncs)} syncs)", "\n".join(wrong[:10]))
