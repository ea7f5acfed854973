"""The same as sync_order.py for AMQP: each publisher confirm follows the fdatasync of every write that holds the
message, and there is one in every durable queue that it went to."""

import os
import threading

import amqp_wire
from harness.broker import Broker
from syscalls import SENDS, SYNCS, Trace

CLIENTS, MESSAGES, QUEUES = 6, 25, 3
CALLS = ",".join(sorted(SENDS | SYNCS))
ACK = "\\0<\\0P"  # the class and method of basic.ack, as strace prints them


def marker(client, number):
    return f"MARK-{client}-{number}-END"


def copies(number):
    return QUEUES if number % 2 else 1


def declare(address):
    with amqp_wire.Connection(address, timeout=60) as conn:
        channel = conn.channel()
        channel.exchange("traced", "fanout", durable=True)
        for queue in range(QUEUES):
            channel.declare(f"traced-{queue}", durable=True)
            channel.bind(f"traced-{queue}", "traced")


def one_client(address, client, ports, problems):
    """One message after the other, with their markers, to one queue or to all; sizes from a few bytes to some pages."""
    try:
        with amqp_wire.Connection(address, timeout=60) as conn:
            ports[client] = conn.sock.getsockname()[1]
            channel = conn.channel()
            channel.call("confirm.select")
            for number in range(MESSAGES):
                body = marker(client, number).encode() + b"." * (number * 700)
                exchange, key = ("traced", "") if copies(number) > 1 else ("", f"traced-{client % QUEUES}")
                channel.publish(exchange, key, body, delivery_mode=2)
                channel.next("basic.ack")
    except (OSError, ValueError, AssertionError, amqp_wire.Closed, amqp_wire.Gone) as problem:
        problems.append(f"AMQP client {client}: {problem}")


def verdict(trace, client, number, port):
    """None if all is well. The answers of a connection come in the order of its publishes, one at a time."""
    name = marker(client, number)
    acks = [call for call in trace.sends if f"->127.0.0.1:{port}]" in call.target and ACK in call.args]
    if len(acks) != MESSAGES:
        return f"{name}: {len(acks)} sends of confirms, not {MESSAGES}"
    send, covered = acks[number], 0
    for write in trace.file_writes:
        if name not in write.args or write.begin > send.begin:
            continue
        if any(sync.target == write.target and sync.begin > write.end and sync.end < send.begin for sync in trace.syncs):
            covered += write.args.count(name)
    if covered < copies(number):
        return f"{name}: {covered} copies were synced before the confirm in line {send.begin + 1}, not {copies(number)}"
    return None


def run(options, report):
    with Broker(options.binary, shards=options.shards, settings=options.settings) as broker:
        path = os.path.join(broker.work, "trace")
        broker.wrap = ["strace", "-f", "-ttt", "-yy", "-s", "1000000", "-e", f"trace={CALLS}", "-o", path]
        broker.start(timeout=60)
        declare(broker.amqp_address)
        ports, problems = {}, []
        threads = [threading.Thread(target=one_client, args=(broker.amqp_address, client, ports, problems))
                   for client in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        code = broker.stop()
        report(not problems, "every publish under strace is confirmed", "\n".join(problems[:10]))
        report(code == 0, "the traced broker exits 0 on SIGTERM after AMQP", f"exit code {code}")
        with open(path, encoding="utf-8", errors="replace") as file:
            trace = Trace(file.read().splitlines())
        wrong = [said for client in ports for number in range(MESSAGES)
                 if (said := verdict(trace, client, number, ports[client]))]
        report(not wrong and len(ports) == CLIENTS, f"{CLIENTS * MESSAGES} publisher confirms each follow the fdatasync of "
               f"every queue's copy ({len(trace.syncs)} syncs)", "\n".join(wrong[:10]))
