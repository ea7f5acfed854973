"""What is measured: each scenario gives rows, each row figures of several repeats."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from harness.broker import Broker
from suite import process

TIMEOUT = 120


class Bench:
    """One broker with its own data directory and the load client against it."""

    def __init__(self, args, work, settings, make=None):
        """`make(data_dir)` gives another broker than ours."""
        self.args = args
        self.data_dir = tempfile.mkdtemp(prefix="data-", dir=work)
        folder = os.path.join(self.data_dir, "data")
        self.broker = make(folder) if make else Broker(args.binary, folder, settings=settings,
                                                       shards=settings.get("shards", 1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.broker.close()
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def command(self, mode, **options):
        command = [*getattr(self.args, "client_wrap", ()), self.args.load, mode, "--brokers", self.broker.bootstrap,
                   "--timeout", str(TIMEOUT)]
        for key, value in options.items():
            command += ["--" + key.replace("_", "-")] + ([] if value is True else [str(value)])
        return command

    def load(self, mode, **options):
        done = subprocess.run(self.command(mode, **options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              text=True, timeout=2 * TIMEOUT, check=True)
        return json.loads(done.stdout) if done.stdout else {}

    def start(self):
        """Milliseconds from the start of the process to its ready line, and to the first acknowledgement of a client
        that waits for the port; connecting, asking for metadata and (the first time) making the topic count."""
        client = subprocess.Popen(self.command("first", topic="first"), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, text=True)
        try:
            time.sleep(0.2)
            began = time.monotonic_ns()
            ready_s = self.broker.start()
            answer = json.loads(client.communicate(timeout=TIMEOUT)[0])
        finally:
            client.kill()
            client.wait()
        return ready_s * 1e3, (answer["acked_at_ns"] - began) / 1e6


def flow(args, work, cell):
    """As fast as it goes: produce, read it all while the broker runs, kill -9, restart, read it all again."""
    durability, shards, size, partitions = cell
    topic = {"topic": "flow", "partitions": partitions}
    with Bench(args, work, {"durability": durability, "shards": shards}) as b:
        ready, first = b.start()
        figures = {"ready_ms": ready, "first_ack_ms": first}
        before = process.Snapshot(b.broker)
        sent = b.load("produce", seconds=args.seconds, size=size, **topic)
        after = process.Snapshot(b.broker)
        records = sent["produced"]["records"]
        figures["produce"] = dict(sent["produced"], client_cpu_s=sent["client_cpu_s"], **after.figures(before, records))
        figures["consume"] = read_all(b, topic, records)
        figures["peak_rss_mb"] = process.memory_mb(b.broker.pid())[1]
        b.broker.kill9()
        figures["restart_ready_ms"], figures["restart_first_ack_ms"] = b.start()
        figures["catch_up"] = read_all(b, topic, records)
        figures["catch_up_peak_rss_mb"] = process.memory_mb(b.broker.pid())[1]
    return figures


def read_all(b, topic, records):
    before = process.Snapshot(b.broker)
    got = b.load("consume", count=records, **topic)
    after = process.Snapshot(b.broker)
    return dict(got["consumed"], client_cpu_s=got["client_cpu_s"],
                cpu_s_per_million=(after.cpu - before.cpu) / got["consumed"]["records"] * 1e6)


def latency(args, work, cell):
    """On a schedule, with a reader at the end of the log: latency counts from when a record was due."""
    durability, shards, rate, partitions, linger = cell
    with Bench(args, work, {"durability": durability, "shards": shards}) as b:
        b.broker.start()
        before = process.Snapshot(b.broker)
        got = b.load("tail", topic="tail", partitions=partitions, rate=rate, linger_ms=linger, seconds=args.seconds)
        after = process.Snapshot(b.broker)
        return {"ack": got["produced"]["latency_ms"], "read": got["consumed"]["latency_ms"],
                "produce": dict(after.figures(before, got["produced"]["records"]),
                                records_per_s=got["produced"]["records_per_s"]),
                "peak_rss_mb": process.memory_mb(b.broker.pid())[1]}


def still(b, seconds):
    """The broker after that many seconds of rest: memory, files, and CPU during them."""
    pid, cpu = b.broker.pid(), process.cpu_seconds(b.broker.pid())
    time.sleep(seconds)
    rss, peak = process.memory_mb(pid)
    return {"rss_mb": rss, "peak_rss_mb": peak, "open_files": process.open_files(pid),
            "idle_cpu_percent": (process.cpu_seconds(pid) - cpu) / seconds * 100}


def idle(args, work, cell):
    """A new broker that nobody uses."""
    with Bench(args, work, {"shards": cell[0]}) as b:
        figures = {"ready_ms": b.broker.start() * 1e3}
        return dict(figures, **still(b, args.seconds))


def many(args, work, cell):
    """Many partitions: one record in each, then load on all of them if `records`, then rest, then a restart."""
    shards, partitions, records = cell
    with Bench(args, work, {"shards": shards}) as b:
        b.broker.start()
        began = time.monotonic()
        sent = b.load("produce", topic="many", partitions=partitions, count=records or 1)
        figures = {"total_s": time.monotonic() - began, "produce": {"records_per_s": None}}
        if records:
            figures["produce"] = sent["produced"]
        figures.update(still(b, args.seconds))
        b.broker.kill9()
        figures["restart_ready_ms"], figures["restart_first_ack_ms"] = b.start()
        figures["restart_rss_mb"] = process.memory_mb(b.broker.pid())[0]
    return figures


def flow_cells(args):
    return itertools.product(args.durability.split(","), args.shards, args.sizes, args.partitions)


def latency_cells(args):
    loads = [(1000, 1, 0), (20000, 12, 5)]
    return [(d, s, *load) for d in args.durability.split(",") for s in args.shards for load in loads]


# name: (measure one cell once, cells, what a cell's values are called)
SCENARIOS = {
    "idle": (idle, lambda args: [(s,) for s in args.shards], ("shards",)),
    "flow": (flow, flow_cells, ("durability", "shards", "bytes", "partitions")),
    "latency": (latency, latency_cells, ("durability", "shards", "records/s", "partitions", "linger ms")),
    "many": (many, lambda args: [(s, *c) for s in args.shards for c in ((1000, 200000), (10000, 0))],
             ("shards", "partitions", "load records")),
}


def flat(figures, prefix=""):
    out = {}
    for key, value in figures.items():
        if isinstance(value, dict):
            out.update(flat(value, f"{prefix}{key}."))
        elif value is not None:
            out[prefix + key] = value
    return out


def run(name, args, work):
    """[{"cell": {...}, "runs": [{figure: number}]}]; the repeats go round all cells, so that a noisy minute does not
    fall on one of them alone."""
    measure, cells, names = SCENARIOS[name]
    rows = [{"cell": dict(zip(names, cell)), "values": cell, "runs": []} for cell in cells(args)]
    for repeat in range(args.repeats):
        for row in rows:
            print(f"  {name} {repeat + 1}/{args.repeats} {row['cell']}", file=sys.stderr, flush=True)
            row["runs"].append(flat(measure(args, work, row["values"])))
    for row in rows:
        del row["values"]
    return rows
