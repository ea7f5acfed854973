"""`./dev bench amqp`: Colobus and RabbitMQ in one run, with the same client. See bench/README.md."""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from harness.broker import Broker, BrokerError, free_port
from suite import amqp_table, baseline, compare, process, rabbit

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# name: (which broker, its settings, x-arguments of its queues, whether queues must be durable)
CONTESTANTS = {
    "colobus-os": ("colobus", {"durability": "os"}, "", False),
    "colobus-fsync": ("colobus", {"durability": "fsync"}, "", False),
    "rabbitmq": ("rabbitmq", {}, "", False),
    "rabbitmq-v2": ("rabbitmq", {}, "x-queue-version=2", False),
    "rabbitmq-quorum": ("rabbitmq", {}, "x-queue-type=quorum", True),
}
QUICK = {"repeats": 1, "seconds": 1.5, "warm_up": 0.5, "sizes": "16,1024,16384", "fan_outs": "1,10", "prefetches": "1,100,1000",
         "rates": "5000", "queues": 500, "connections": 500, "backlog": 200000,
         "contestants": "colobus-os,colobus-fsync,rabbitmq"}
FULL = {"repeats": 5, "seconds": 5.0, "warm_up": 2.0, "sizes": "16,1024,16384", "fan_outs": "1,2,5,10",
        "prefetches": "1,100,1000", "rates": "1000,10000,20000", "queues": 100000, "connections": 10000, "backlog": 10000000,
        "contestants": ",".join(CONTESTANTS)}
PERSISTENT = {"durable": True, "persistent": True}


class Refused(Exception):
    """The load client could not do what was asked; the text is what it said."""


class Visit:
    """One broker, new, for the time of one measure."""

    def __init__(self, args, work, contestant):
        self.args, self.number = args, 0
        kind, settings, self.arguments, self.durable_only = CONTESTANTS[contestant]
        self.folder = tempfile.mkdtemp(prefix=f"{contestant}-", dir=work)
        if kind == "rabbitmq":
            self.broker = rabbit.RabbitMQ(args.rabbitmq, self.folder, args.rabbitmq_set, args.broker_wrap)
            self.port = self.broker.amqp_port
        else:
            self.port = free_port()
            settings = {"amqp.listen": f"127.0.0.1:{self.port}", "redis.listen": "off", **settings, **args.colobus_set}
            self.broker = Broker(args.binary, os.path.join(self.folder, "data"), settings=settings, shards=args.shards,
                                 wrap=args.broker_wrap)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.broker.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        return self.broker.start(self.args.patience)

    def memory(self):
        return process.memory_mb(self.broker.pid())

    def prefix(self):
        self.number += 1
        return f"bench{self.number}"

    def command(self, mode, **options):
        command = [*self.args.client_wrap, self.args.load, mode, "--broker", f"127.0.0.1:{self.port}", "--watch",
                   str(self.broker.pid())]
        if options.get("durable") and self.arguments:
            options.setdefault("arguments", self.arguments)
        for key, value in options.items():
            if value is not False and value is not None:
                command += ["--" + key.replace("_", "-")] + ([] if value is True else [str(value)])
        return command

    def load(self, mode, **options):
        try:
            done = subprocess.run(self.command(mode, **options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, timeout=self.args.patience, check=False)
        except subprocess.TimeoutExpired as late:
            raise Refused(f"no end in {self.args.patience:g} s") from late
        if done.returncode != 0:
            raise Refused(done.stderr.strip()[-300:] or f"exit code {done.returncode}")
        return json.loads(done.stdout)

    def both(self, **options):
        """Publishes and consumes at once; figures per message that was delivered."""
        options = {"prefix": self.prefix(), "seconds": self.args.seconds, "warm_up": self.args.warm_up, "size": 16,
                   "remove": True, **options}
        got = self.load("both", **options)
        rss, peak = self.memory()
        return {"msgs_per_s": got["received_per_s"], "mb_per_s": got["received_per_s"] * options["size"] / 1e6,
                "cpu_us": got["broker_cpu_s"] / max(got["received"], 1) * 1e6,
                "broker_cores": got["broker_cpu_s"] / got["seconds"], "client_cores": got["client_cpu_s"] / got["seconds"],
                **latency("latency", got), **latency("confirm", got), "rss_mb": rss, "peak_mb": peak}


def latency(name, got):
    found = got.get(f"{name}_us", {})
    return {f"{name}_{point}_ms": found[point] / 1e3 for point in ("p50", "p99", "p99.9", "max") if point in found}


def on_its_way(size):
    """So many messages that no broker waits for the client, and no broker is measured by how it stores a backlog."""
    return max(64, min(20000, (32 << 20) // max(size, 1)))


def kind_options(kind, args):
    """transient: automatic acknowledgement. persistent: to a durable queue with confirms, and acknowledged by hand."""
    if kind == "transient":
        return {}
    return {**PERSISTENT, "confirm": args.window, "ack": True, "prefetch": args.window}


def flow_cells(args):
    for kind in ("transient", "persistent"):
        for size in args.sizes:
            yield {"kind": kind, "bytes": size, "queues": 1}, {}
    for kind in ("transient", "persistent"):
        yield ({"kind": kind, "bytes": 16, "queues": 100}, {"publishers": 4, "consumers": 4})


def measure_flow(visit, args):
    for cell, options in flow_cells(args):
        yield cell, lambda cell=cell, options=options: visit.both(
            size=cell["bytes"], queues=cell["queues"], in_flight=on_its_way(cell["bytes"]), **kind_options(cell["kind"], args),
            **options)


def measure_fanout(visit, args):
    for queues in args.fan_outs:
        yield {"bytes": 16, "fan-out": queues}, lambda queues=queues: visit.both(
            fanout=True, queues=queues, consumers=queues, in_flight=on_its_way(16))


def measure_prefetch(visit, args):
    for prefetch in args.prefetches:
        yield {"bytes": 16, "prefetch": prefetch}, lambda prefetch=prefetch: visit.both(
            ack=True, prefetch=prefetch, in_flight=on_its_way(16))


def measure_latency(visit, args):
    for kind in ("transient", "persistent"):
        for rate in args.rates:
            yield {"kind": kind, "bytes": 1024, "rate": rate}, lambda kind=kind, rate=rate: visit.both(
                size=1024, rate=rate, seconds=max(args.seconds, 2), **kind_options(kind, args))


def measure_queues(visit, args):
    def declared(durable):
        prefix, before = visit.prefix(), settled_memory(visit)
        made = visit.load("declare", prefix=prefix, queues=args.queues, durable=durable)
        after = settled_memory(visit)
        gone = visit.load("delete", prefix=prefix, queues=args.queues)
        return {"declare_per_s": made["queues_per_s"], "declare_cpu_us": made["broker_cpu_s"] / args.queues * 1e6,
                "bytes_per_queue": (after - before) * 1e6 / args.queues, "delete_per_s": gone["queues_per_s"]}
    for durable in (False, True):
        yield {"queues": args.queues, "durable": durable}, lambda durable=durable: declared(durable)


def settled_memory(visit):
    time.sleep(1)
    return visit.memory()[0]


def measure_idle(visit, args):
    def idle():
        before = settled_memory(visit)
        client = subprocess.Popen(visit.command("idle", connections=args.connections), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            line = client.stdout.readline()
            if not line:
                raise Refused(client.stderr.read().strip()[-300:])
            after, cpu = settled_memory(visit), process.cpu_seconds(visit.broker.pid())
            time.sleep(2)
            cpu = process.cpu_seconds(visit.broker.pid()) - cpu
        finally:
            client.stdin.close()
            client.wait(60)
        return {"open_per_s": args.connections / json.loads(line)["seconds"],
                "kib_per_connection": (after - before) * 1e6 / 1024 / args.connections, "idle_cpu_percent": cpu / 2 * 100}
    yield {"connections": args.connections}, idle


def measure_backlog(visit, args):
    def backlog(size):
        prefix, before = visit.prefix(), settled_memory(visit)
        sent = visit.load("publish", prefix=prefix, count=args.backlog, size=size, **PERSISTENT, confirm=10 * args.window,
                          drain=args.patience)
        rss = settled_memory(visit)
        figures = {"publish_per_s": args.backlog / sent["settled_s"], "publish_cpu_us": sent["settled_broker_cpu_s"] / args.backlog * 1e6,
                   "bytes_per_message": (rss - before) * 1e6 / args.backlog}
        visit.broker.kill9()
        figures["after_kill_s"] = timed_restart(visit, prefix, args.backlog)
        visit.broker.stop()
        figures["after_stop_s"] = timed_restart(visit, prefix, args.backlog)
        figures["rss_after_restart_mb"] = settled_memory(visit)
        got = visit.load("consume", prefix=prefix, no_declare=True, count=args.backlog, size=size, ack=True,
                         prefetch=args.window, remove=True)
        return {**figures, "consume_per_s": got["received_per_s"], "consume_cpu_us": got["broker_cpu_s"] / args.backlog * 1e6}
    for size in args.backlog_sizes:
        yield {"bytes": size, "messages": args.backlog}, lambda size=size: backlog(size)


def timed_restart(visit, prefix, expected):
    """Seconds from starting the process until the queue says that it has all messages."""
    began = time.monotonic()
    visit.start()
    ready = visit.load("publish", prefix=prefix, no_declare=True, count=0, seconds=0)["ready"]
    took = time.monotonic() - began
    if ready != expected:
        raise Refused(f"{ready} of {expected} messages are there after the restart")
    return took


def measure_syncs(visit, args):
    """How many fsync(2) and fdatasync(2) a confirm costs: seen from outside by strace."""
    def syncs(window, count):
        prefix, path = visit.prefix(), os.path.join(visit.folder, "strace")
        visit.load("declare", prefix=prefix, durable=True)
        tracer = subprocess.Popen(["strace", "-f", "-q", "-e", "trace=fsync,fdatasync,sync,syncfs,io_uring_enter", "-o", path,
                                   "-p", str(visit.broker.pid())], stdin=subprocess.DEVNULL)
        time.sleep(0.5)
        try:
            got = visit.load("publish", prefix=prefix, no_declare=True, count=count, confirm=window, size=1024, **PERSISTENT)
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(30)
        with open(path, encoding="utf-8", errors="replace") as file:
            calls = sum("sync(" in line for line in file)
        return {"syncs_per_confirm": calls / count, "confirm_p50_ms": got["confirm_us"]["p50"] / 1e3}
    for window, count in ((1, 200), (1000, 20000)):
        yield {"window": window, "messages": count}, lambda window=window, count=count: syncs(window, count)


MEASURES = {"flow": measure_flow, "fanout": measure_fanout, "prefetch": measure_prefetch, "latency": measure_latency,
            "queues": measure_queues, "idle": measure_idle, "backlog": measure_backlog, "syncs": measure_syncs}


def possible(contestant, measure, cell):
    """A quorum queue is durable."""
    if not CONTESTANTS[contestant][3]:
        return True
    return measure in ("backlog", "syncs") or cell.get("kind") == "persistent" or bool(cell.get("durable"))


def visit_broker(args, work, measure, contestant, repeat, note):
    """All cells of one measure at one broker. A cell that fails is told, and the others go on with a new broker."""
    done, total = 0, 1
    while done < total:
        with Visit(args, work, contestant) as visit:
            cells = [(cell, do) for cell, do in MEASURES[measure](visit, args) if possible(contestant, measure, cell)]
            total = len(cells)
            for cell, do in cells[done:]:
                done += 1
                entry = {"measure": measure, "cell": cell, "contestant": contestant, "repeat": repeat, "figures": {}}
                try:
                    entry["figures"] = do()
                except (Refused, BrokerError, OSError) as error:
                    entry["failed"] = str(error)
                note(entry)
                if "failed" in entry:
                    break


def run(args, work, note):
    for repeat in range(args.repeats):
        order = args.contestants if repeat % 2 == 0 else args.contestants[::-1]
        for measure in args.measures:
            for contestant in order:
                try:
                    visit_broker(args, work, measure, contestant, repeat, note)
                except BrokerError as error:
                    note({"measure": measure, "cell": {}, "contestant": contestant, "repeat": repeat, "figures": {},
                          "failed": str(error)})


def parse(arguments):
    parser = argparse.ArgumentParser(prog="./dev bench amqp", description="Colobus beside RabbitMQ, in turn, on this machine.")
    add = parser.add_argument
    add("--quick", action="store_true", help="one repeat of small loads: below five minutes")
    for name, value in FULL.items():
        kind = type(value) if not isinstance(value, str) else str
        add("--" + name.replace("_", "-"), type=kind, help=f"default {value}, --quick: {QUICK[name]}")
    add("--measures", default=",".join(MEASURES), help=f"of: {' '.join(MEASURES)} (default: all)")
    add("--window", type=int, default=1000, help="confirms outstanding, and prefetch, of persistent messages (default 1000)")
    add("--backlog-sizes", default="16", help="bytes of the backlog's messages (default 16)")
    add("--patience", type=float, default=1800, help="seconds for one load (default 1800)")
    add("--broker-cores", help="taskset list for brokers (default: all but the last)")
    add("--client-cores", help="taskset list for the client (default: the last)")
    add("--shards", help="of Colobus (default: one for each of the broker's cores)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of Colobus")
    add("--rabbitmq-set", action="append", default=[], metavar="KEY=VALUE", help="a line of rabbitmq.conf")
    add("--rabbitmq", default=rabbit.SERVER, help=f"the server's script (default {rabbit.SERVER}, Debian's)")
    add("--binary", default=os.path.join(ROOT, "build", "colobus"), help="Colobus; amqp_load is looked for beside it")
    add("--work-dir", help="where brokers write their data (default: a temporary folder)")
    add("--out", help="folder of the results (default: build/bench)")
    args = parser.parse_args(arguments)
    for name, value in (QUICK if args.quick else FULL).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return check(parser, args)


def check(parser, args):
    try:
        for name in ("sizes", "fan_outs", "prefetches", "rates", "backlog_sizes"):
            setattr(args, name, [int(part) for part in getattr(args, name).split(",")])
        args.colobus_set, args.rabbitmq_set = (dict(pair.split("=", 1) for pair in pairs)
                                               for pairs in (args.set, args.rabbitmq_set))
    except ValueError as error:
        parser.error(str(error))
    args.measures, args.contestants = args.measures.split(","), args.contestants.split(",")
    for given, known in ((args.measures, MEASURES), (args.contestants, CONTESTANTS)):
        for name in given:
            if name not in known:
                parser.error(f"'{name}' is none of {' '.join(known)}")
    cores = sorted(os.sched_getaffinity(0))
    args.broker_cores = args.broker_cores or ",".join(map(str, cores[:-1] or cores))
    args.client_cores = args.client_cores or str(cores[-1])
    args.shards = args.shards or str(len(args.broker_cores.split(",")))
    args.broker_wrap = ["taskset", "-c", args.broker_cores]
    args.client_wrap = ["taskset", "-c", args.client_cores]
    args.load = os.path.abspath(os.path.join(os.path.dirname(os.path.realpath(args.binary)), "..", "..", "bench", "amqp_load"))
    return args


def raise_file_limit(args):
    """Brokers and the client inherit it; fewer idle connections where it is too low."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most != resource.RLIM_INFINITY:
        args.connections = min(args.connections, most - 500)


def find_programs(args):
    for path in (args.binary, args.load):
        if not os.access(path, os.X_OK):
            sys.exit(f"./dev bench amqp: {path} is not there; build it first")
    if not os.access(args.rabbitmq, os.X_OK) and any(name.startswith("rabbitmq") for name in args.contestants):
        sys.exit(f"./dev bench amqp: {args.rabbitmq} is not there; install rabbitmq-server, name another with --rabbitmq, or "
                 "leave it out with --contestants")


def describe(args, work, before):
    return (f"{time.strftime('%Y-%m-%d %H:%M')}, commit {compare.said(['git', 'describe', '--always', '--dirty'])}, "
            f"{compare.processor()}, {before['cores']} cores, Linux {os.uname().release}, "
            f"{compare.said(['stat', '-f', '-c', '%T', work])}\nRabbitMQ {rabbit.version(args.rabbitmq)}, its defaults"
            f"\npinned: brokers to core {args.broker_cores}, the client to core {args.client_cores}; Colobus with "
            f"{args.shards} shard(s)\nclient: amqp_load; persistent: confirms and prefetch, {args.window} outstanding"
            f"\n{args.repeats} repeat(s) of {args.seconds:g} s after {args.warm_up:g} s of warm-up; median (least-greatest)\n"
            + compare.baseline_text(before))


def main(arguments):
    args = parse(arguments)
    find_programs(args)
    raise_file_limit(args)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that brokers are stopped and data removed
    work = args.work_dir or tempfile.mkdtemp(prefix="colobus-bench-")
    os.makedirs(work, exist_ok=True)
    folder = args.out or os.path.join(ROOT, "build", "bench")
    os.makedirs(folder, exist_ok=True)
    path, entries = os.path.join(folder, time.strftime("amqp-%Y%m%d-%H%M%S")), []
    told = describe(args, work, baseline.measure(work))
    print(told, flush=True)
    try:
        with open(path + ".jsonl", "w", encoding="utf-8") as lines:
            def note(entry):
                entries.append(entry)
                lines.write(json.dumps(entry) + "\n")
                lines.flush()
                print(amqp_table.brief(entry), flush=True)
            run(args, work, note)
        print(amqp_table.render(entries))
    finally:
        if not args.work_dir:
            shutil.rmtree(work, ignore_errors=True)
        if entries:  # also of a run that was stopped
            with open(path + ".md", "w", encoding="utf-8") as file:
                file.write(f"# Colobus and RabbitMQ\n\n{told}\n{amqp_table.render(entries)}")
            print(f"tables: {path}.md")
        print(f"all figures: {path}.jsonl")
    return 1 if any("failed" in entry for entry in entries) else 0
