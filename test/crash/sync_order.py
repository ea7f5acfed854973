"""Runs the broker under strace and shows that each acknowledgement follows the fdatasync that covers it.

kill -9 cannot show this: the kernel keeps what a killed process wrote."""

import os
import threading

from harness import wire
from harness.broker import Broker
from syscalls import SENDS, SYNCS, Trace

CLIENTS, REQUESTS = 6, 25
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


def load(broker):
    with wire.Connection(broker.bootstrap, timeout=60) as conn:
        conn.create_topic("traced", 3)
    problems = []
    threads = [threading.Thread(target=one_client, args=(broker.bootstrap, client, "traced", problems))
               for client in range(CLIENTS)]
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
        wrong = []
        for client in range(CLIENTS):
            for number in range(REQUESTS):
                verdict = trace.verdict(marker(client, number), reply_id(client, number).decode())
                wrong += [verdict] if verdict else []
        report(not wrong, f"{CLIENTS * REQUESTS} acknowledgements each follow the fdatasync that covers them "
               f"({len(trace.syncs)} syncs)", "\n".join(wrong[:10]))
