"""Colobus beside Apache Kafka: the same loads, in turn, on one machine. `MEASURES` is what one visit to a broker does."""

import json
import os
import subprocess
import sys
import time

from harness.broker import Broker, BrokerError
from suite import process, rival, scenarios

MIB = 1 << 20
TAIL_BYTES = 16 * MIB  # of the newest records that the bare reader reads again and again

# name: (which broker, its settings)
CONTESTANTS = {
    "colobus-fsync": ("colobus", {"durability": "fsync"}),
    "colobus-os": ("colobus", {"durability": "os"}),
    "kafka": ("kafka", {}),
    "kafka-fsync": ("kafka", {"log.flush.interval.messages": 1}),
}


class Visit(scenarios.Bench):
    """One broker, new, for the time of one measurement."""

    def __init__(self, args, work, contestant):
        kind, settings = CONTESTANTS[contestant]
        self.is_kafka = kind == "kafka"

        def make(folder):
            if self.is_kafka:
                return rival.Kafka(args.libs, folder, {**settings, **args.kafka_set}, args.heap, args.broker_wrap)
            return Broker(args.binary, folder, settings={**settings, **args.colobus_set}, shards=args.shards,
                          wrap=args.broker_wrap)
        super().__init__(args, work, settings, make)

    def bare(self, mode, **options):
        command = [*self.args.client_wrap, self.args.bare, mode, "--broker", self.broker.bootstrap]
        for key, value in options.items():
            command += ["--" + key.replace("_", "-"), str(value)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True,
                              timeout=2 * scenarios.TIMEOUT)
        return json.loads(done.stdout)

    def rdkafka(self, mode, part, **options):
        """One direction of what the load client did, and how many cores it took: near one it is the client that sets the
        rate, since a client instance has one thread that does most."""
        got = self.load(mode, **options)
        return dict(got[part], client_cores=got["client_cpu_s"] / got[part]["seconds"])

    def measured(self, do):
        """What `do()` returns (the flow of one client), with the broker's CPU per million records beside it."""
        before = process.cpu_seconds(self.broker.pid())
        flow = do()
        spent = process.cpu_seconds(self.broker.pid()) - before
        return dict(flow, cpu_s_per_million=spent / flow["records"] * 1e6, broker_cores=spent / flow["seconds"])

    def warm_up(self, size, partitions):
        """The load to come, on another topic: a virtual machine compiles what it sees often."""
        self.load("produce", topic="warm", partitions=min(partitions, 12), size=size, seconds=self.args.warm_up)
        self.bare("fetch", topic="warm", partitions=min(partitions, 12), last=1000, seconds=self.args.warm_up / 4)
        os.sync()

    def stop(self):
        self.broker.stop(60)

    def memory(self):
        rss, peak = process.memory_mb(self.broker.pid())
        return {"rss_mb": rss, "peak_mb": peak}


def forget_pages(folder):
    """Takes the folder's files out of the page cache, each by posix_fadvise(2); returns the MB that stayed. The broker may
    be running: what it has mapped stays, what it deletes meanwhile is no matter."""
    files = [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names]
    for path in files:
        try:
            file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)
    return resident_mb(files)


def resident_mb(files):
    """As fincore(1) says; None where it is not there."""
    total = 0
    for at in range(0, len(files), 500):
        try:
            done = subprocess.run(["fincore", "-b", "-n", "-r", "-o", "RES", "--", *files[at:at + 500]], check=False,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        except FileNotFoundError:
            return None
        total += sum(map(int, done.stdout.split()))
    return total / 1e6


def start(args, work, contestant, _cell):
    """From the start of the process; once on a new directory, and once after an orderly stop."""
    with Visit(args, work, contestant) as v:
        ready, first = v.start()
        time.sleep(1)
        figures = {"ready_ms": ready, "first_ack_ms": first, "idle": v.memory()}
        v.stop()
        figures["again_ready_ms"], figures["again_first_ack_ms"] = v.start()
    return figures


def flow(args, work, contestant, cell):
    """As fast as it goes: produce, read what is new, empty the page cache, read all from the disk."""
    size, partitions = cell
    topic, plain = {"topic": "flow", "partitions": partitions}, {"topic": "bare", "partitions": partitions}
    last = max(1, TAIL_BYTES // size // partitions)
    wide = {"connections": min(2, partitions), "fetch_bytes": args.fetch_bytes}
    with Visit(args, work, contestant) as v:
        v.broker.start(120)
        v.warm_up(size, partitions)
        figures = {"produce": v.measured(lambda: v.rdkafka("produce", "produced", seconds=args.seconds, size=size, **topic))}
        records = figures["produce"]["records"]
        figures["consume"] = v.measured(lambda: v.rdkafka("consume", "consumed", count=records, **topic))
        time.sleep(1)
        figures["memory"] = v.memory()
        v.load("create", **plain)
        os.sync()
        figures["bare_produce"] = v.measured(lambda: v.bare("produce", seconds=args.seconds, size=size, connections=2,
                                                            batch_bytes=args.batch_bytes, **plain))
        copy = v.bare("copy", seconds=args.seconds / 4)["mb_per_s"]
        figures["bare_tail"] = v.measured(lambda: v.bare("fetch", last=last, seconds=args.seconds / 2, **wide, **plain))
        copy = (copy + v.bare("copy", seconds=args.seconds / 4)["mb_per_s"]) / 2
        figures["copy_mb_per_s"], figures["tail_of_copy"] = copy, figures["bare_tail"]["mb_per_s"] / copy
        figures["cached_mb"] = forget_pages(v.data_dir)
        figures["catch_up"] = v.measured(lambda: v.rdkafka("consume", "consumed", count=records, **topic))
        figures["bare_catch_up"] = v.measured(lambda: v.bare("fetch", **wide, **plain))
        figures["peak_mb"] = v.memory()["peak_mb"]
    return figures


def latency(args, work, contestant, cell):
    """Its own greatest rate, then half of that, then a rate that is the same for all, with a reader at the end of the log.
    A latency counts from when the record was due."""
    rate, partitions, linger = cell
    load = {"partitions": partitions, "size": 1024, "linger_ms": linger, "seconds": args.seconds}
    with Visit(args, work, contestant) as v:
        v.broker.start(120)
        v.warm_up(1024, partitions)
        greatest = v.measured(lambda: v.rdkafka("produce", "produced", topic="most", **load))
        os.sync()
        half = v.measured(lambda: v.rdkafka("produce", "produced", topic="half", rate=int(greatest["records_per_s"] / 2),
                                            **load))
        os.sync()
        both = {}

        def tail():
            both.update(v.load("tail", topic="fixed", rate=rate, **load))
            return both["produced"]
        fixed = v.measured(tail)
        fixed["read_ms"] = both["consumed"]["latency_ms"]
        return {"most": greatest, "half": half, "fixed": fixed, "peak_mb": v.memory()["peak_mb"]}


def partitions(args, work, contestant, cell):
    """Many partitions after a moderate load on all of them, at rest."""
    count, records = cell
    with Visit(args, work, contestant) as v:
        v.broker.start(120)
        produced = v.rdkafka("produce", "produced", topic="many", partitions=count, count=records, size=1024)
        time.sleep(2)
        return {"produce": produced, **v.memory()}


def tools(args, work, contestant, cell):
    """The cross-check: Kafka's own load tools. One that fails is reported, not hidden."""
    size, partitions = cell
    count = int(args.tool_records)
    figures = {}
    with Visit(args, work, contestant) as v:
        v.broker.start(120)
        v.warm_up(size, partitions)
        v.load("create", topic="tools", partitions=partitions)
        for name, tool in (("producer", lambda: rival.producer_performance(args.libs, v.broker.bootstrap, "tools", count,
                                                                           size, args.client_wrap)),
                           ("consumer", lambda: rival.consumer_performance(args.libs, v.broker.bootstrap, "tools", count,
                                                                           args.client_wrap))):
            try:
                before = process.cpu_seconds(v.broker.pid())
                figures[name] = tool()
                spent = process.cpu_seconds(v.broker.pid()) - before
                figures[name]["cpu_s_per_million"] = spent / figures[name]["records"] * 1e6
            except rival.ToolError as error:
                figures[name + "_failed"] = str(error).splitlines()[-1]
    return figures


# name: (measure, cells, what a cell's values are called)
MEASURES = {
    "start": (start, lambda args: [()], ()),
    "flow": (flow, lambda args: args.cells, ("bytes", "partitions")),
    "latency": (latency, lambda args: [(args.rate, 12, linger) for linger in args.linger],
                ("records/s", "partitions", "linger ms")),
    "partitions": (partitions, lambda args: [(1000, 200000)], ("partitions", "records")),
    "tools": (tools, lambda args: [(1024, 12)], ("bytes", "partitions")),
}


def rounds(args):
    """Each visit to come as (repeat, measure's name, cell, contestant). The contestants take turns within a cell; every
    other repeat goes through them backwards, so that none always comes after the same one."""
    for repeat in range(args.repeats):
        order = list(args.contestants) if repeat % 2 == 0 else list(reversed(args.contestants))
        for name in args.measures:
            for cell in MEASURES[name][1](args):
                for contestant in order:
                    yield repeat, name, cell, contestant


def run(args, work, note):
    """All visits; `note(entry)` is called with each as it ends."""
    plan, began = list(rounds(args)), time.monotonic()
    for number, (repeat, name, cell, contestant) in enumerate(plan):
        measure, _, names = MEASURES[name]
        labels = dict(zip(names, cell))
        gone = time.monotonic() - began
        left = f", about {gone / number * (len(plan) - number) / 60:.0f} min left" if number else ""
        print(f"  [{gone:5.0f} s] {number + 1}/{len(plan)} {name} {labels or ''} {contestant}{left}", file=sys.stderr,
              flush=True)
        entry = {"measure": name, "cell": labels, "contestant": contestant, "repeat": repeat, "figures": {}}
        try:
            entry["figures"] = scenarios.flat(measure(args, work, contestant, cell))
        except (subprocess.SubprocessError, BrokerError, rival.ToolError) as error:  # the others go on
            entry["failed"] = str(error)
            print(f"  FAILED: {error}", file=sys.stderr, flush=True)
        note({**entry, "load_average": os.getloadavg()[0]})
