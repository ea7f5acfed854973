"""`./dev bench redis`: Colobus and Redis in one run, with the same clients. See bench/README.md."""

import argparse
import contextlib
import csv
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
from suite import baseline, compare, process, redis_server, redis_table

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCHMARK = "redis-benchmark"

CONTESTANTS = ("colobus", "redis")
QUICK = {"repeats": 1, "seconds": 0.5, "warm_up": 0.2, "memory_repeats": 1, "idle": "1000,10000", "rest": 2.0}
FULL = {"repeats": 5, "seconds": 1.2, "warm_up": 0.3, "memory_repeats": 1, "idle": "1000,10000", "rest": 8.0}
CONNECTIONS = "15000"  # both brokers take so many
# How the publishers go about it: connections x publishes without an answer.
LOADS = {"pipelined": {"publishers": 4, "pipeline": 128}, "one by one": {"publishers": 50, "pipeline": 1}}
EACH_UNREAD, ALL_UNREAD, FRAME = 4 << 20, 128 << 20, 60  # bytes at most on their way; of a message around its payload


class Refused(Exception):
    """The load client could not do what was asked, or found a mistake; the text is what it said."""


class Visit:
    """One broker, new, for the time of one measure."""

    def __init__(self, args, work, contestant):
        self.args = args
        self.folder = tempfile.mkdtemp(prefix=f"{contestant}-", dir=work)
        if contestant == "redis":
            settings = {"maxclients": CONNECTIONS, **args.redis_set}
            self.broker = redis_server.RedisServer(args.redis, self.folder, settings, args.broker_wrap)
            self.port = self.broker.port
        else:
            self.port = free_port()
            settings = {"redis.listen": f"127.0.0.1:{self.port}", "max-connections": CONNECTIONS,
                        "max-connections-per-ip": CONNECTIONS, **args.colobus_set}
            self.broker = Broker(args.binary, os.path.join(self.folder, "data"), settings=settings, shards=1,
                                 wrap=args.broker_wrap)

    def __enter__(self):
        self.broker.start()
        return self

    def __exit__(self, *_):
        self.broker.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, mode, **options):
        command = [*self.args.client_wrap, self.args.load, mode, "--broker", f"127.0.0.1:{self.port}", "--watch",
                   str(self.broker.pid())]
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

    @contextlib.contextmanager
    def listening(self, mode, **options):
        """Subscribers in a process of their own; yields what they said when all had subscribed."""
        client = subprocess.Popen(self.command(mode, **options), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        try:
            line = client.stdout.readline()
            if not line:
                raise Refused(client.stderr.read().strip()[-300:])
            told = json.loads(line)
            yield told
            client.stdin.close()
            told.update(json.loads(client.stdout.readline() or "{}"))
            if client.wait(self.args.patience) != 0:
                raise Refused(client.stderr.read().strip()[-300:])
        finally:
            client.kill()
            client.wait(30)


def unread(cell):
    """So many publishes that no broker meets its limit for slow subscribers, and none waits for the client."""
    size = cell["bytes"] + FRAME
    return max(64, min(EACH_UNREAD // size, ALL_UNREAD // (size * max(cell["subscribers"], 1))))


def options_of(cell):
    """The load client's, for a cell of `flow`, `latency` or `syscalls`."""
    options = {"subscribers": cell["subscribers"], "size": cell["bytes"], "lag": unread(cell)}
    options.update({"RESP3": {"resp": 3}, "pattern": {"pattern": True},
                    "2 channels": {"channels": 2}, "own channels": {"channels": cell["subscribers"]}}.get(cell["how"], {}))
    return {**options, **LOADS.get(cell.get("load"), {})}


def cell_of(subscribers, size, how="channel", **more):
    return {"how": how, "subscribers": subscribers, "bytes": size, **more}


def flow_cells(args):
    for load in LOADS:
        for size in args.sizes:
            for subscribers in args.subscribers:
                yield cell_of(subscribers, size, load=load)
        for how, subscribers in (("RESP3", 100), ("pattern", 1), ("2 channels", 100), ("own channels", 100)):
            yield cell_of(subscribers, 16, how, load=load)


def flow(visit, args, cell):
    got = visit.load("flow", seconds=args.seconds, warm_up=args.warm_up, **options_of(cell))
    cpu, deliveries = max(got["broker_cpu_s"], 0.001), got["delivered"]
    figures = {"published_per_s": got["published_per_s"], "published_per_cpu_s": got["published"] / cpu,
               "broker_cores": got["broker_cpu_s"] / got["seconds"], "client_cores": got["client_cpu_s"] / got["seconds"],
               "lost": got["all"]["due"] - got["all"]["delivered"]}
    if cell["subscribers"] > 0:
        figures.update(delivered_per_s=got["delivered_per_s"], delivered_per_cpu_s=deliveries / cpu)
    return figures


def latency_cells(args):
    for subscribers in args.subscribers:
        yield cell_of(subscribers, 16, rate=rate_for(args, subscribers))
    yield cell_of(100, 1024, rate=rate_for(args, 100))
    yield cell_of(1, 16, "pattern", rate=rate_for(args, 1))


def rate_for(args, subscribers):
    """Publishes a second: so many deliveries as --rate says, but not more publishes than a tenth of it."""
    return max(1, min(args.rate // 10, args.rate // max(subscribers, 1)))


def latency(visit, args, cell):
    seconds = max(args.seconds, 1.0)
    got = visit.load("flow", seconds=seconds, warm_up=args.warm_up, rate=cell["rate"], pipeline=10000, **options_of(cell))
    figures = {f"{name}_{point}_us": got[f"{name}_us"][point] for name in ("latency", "answer")
               for point in ("p50", "p99", "p99.9") if got[f"{name}_us"]["count"] > 0}
    figures["cpu_us"] = got["broker_cpu_s"] / max(got["delivered"] or got["published"], 1) * 1e6
    return figures


def memory_cells(args):
    for subscribers in args.idle:
        for how in ("channel", "own channels"):
            yield {"subscribers": subscribers, "how": how}


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def memory(visit, args, cell):
    """Of subscribers that hear nothing; after `rest` seconds, in which Redis shrinks its clients' buffers."""
    time.sleep(1)
    before, rss = pss_kib(visit.broker.pid()), process.memory_mb(visit.broker.pid())[0]
    options = {"subscribers": cell["subscribers"], "channels": cell["subscribers"] if cell["how"] == "own channels" else 1}
    with visit.listening("idle", **options) as told:
        time.sleep(1)
        first = pss_kib(visit.broker.pid())
        time.sleep(args.rest)
        after, cpu = pss_kib(visit.broker.pid()), process.cpu_seconds(visit.broker.pid())
        rss = process.memory_mb(visit.broker.pid())[0] - rss
        time.sleep(1)
        cpu = process.cpu_seconds(visit.broker.pid()) - cpu
    return {"subscribed_per_s": cell["subscribers"] / told["seconds"], "first_kib": (first - before) / cell["subscribers"],
            "kib": (after - before) / cell["subscribers"], "rss_kib": rss * 1e6 / 1024 / cell["subscribers"],
            "idle_cpu_percent": cpu * 100}


def benchmark_cells(_args):
    for pipeline in (1, 16, 512):
        yield {"subscribers": 0, "pipeline": pipeline}
    yield {"subscribers": 100, "pipeline": 16}


def benchmark(visit, args, cell):
    """Debian's redis-benchmark publishes, 50 connections; our client listens."""
    count = int(args.seconds * {1: 60000, 16: 400000, 512: 600000}[cell["pipeline"]] / (cell["subscribers"] / 10 or 1))
    command = [*args.client_wrap, args.benchmark, "-h", "127.0.0.1", "-p", str(visit.port), "-n", str(count), "-c", "50", "-P",
               str(cell["pipeline"]), "--csv", "PUBLISH", "load.0", "x" * 16]
    with visit.listening("listen", subscribers=cell["subscribers"], size=16) as told:
        cpu = process.cpu_seconds(visit.broker.pid())
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=args.patience, check=False)
        cpu = process.cpu_seconds(visit.broker.pid()) - cpu
        time.sleep(0.3)
    rows = [row for row in csv.reader(done.stdout.splitlines()) if row and row[0].startswith("PUBLISH")]
    if done.returncode != 0 or not rows:
        raise Refused((done.stderr or done.stdout).strip()[-300:])
    if told["delivered"] != count * cell["subscribers"]:
        raise Refused(f"{told['delivered']} of {count * cell['subscribers']} deliveries")
    return {"published_per_s": float(rows[0][1]), "published_per_cpu_s": count / max(cpu, 0.01)}


def syscall_cells(_args):
    for subscribers in (1, 100):
        yield cell_of(subscribers, 16, load="one by one")
    for subscribers in (1, 100):
        yield cell_of(subscribers, 16, load="pipelined")


SYSCALLS = {"write": ("write", "writev", "sendto", "sendmsg", "sendmmsg"), "read": ("read", "readv", "recvfrom", "recvmsg"),
            "wait": ("epoll_wait", "epoll_pwait", "epoll_pwait2", "poll"), "control": ("epoll_ctl",)}


def syscalls(visit, _args, cell):
    """By strace(1), which slows the broker: pieces may be larger than without it, alike for both."""
    path, count = os.path.join(visit.folder, "strace"), 5000
    tracer = subprocess.Popen(["strace", "-f", "-q", "-c", "-U", "calls,name", "-o", path, "-p", str(visit.broker.pid())],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        got = visit.load("flow", count=count, **options_of(cell))
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(30)
    calls = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for words in map(str.split, file):
            if len(words) >= 2 and words[0].isdigit() and words[1] != "total":
                calls[words[1]] = calls.get(words[1], 0) + int(words[0])
    connections = options_of(cell)["subscribers"] + options_of(cell)["publishers"]
    figures = {name: sum(calls.pop(call, 0) for call in of) / count for name, of in SYSCALLS.items()}
    figures["others"] = max(0, sum(calls.values()) - 10 * connections) / count
    figures["delivered"] = got["all"]["delivered"] / count
    return figures


# name: (its cells, what is done for one)
MEASURES = {"flow": (flow_cells, flow), "latency": (latency_cells, latency), "memory": (memory_cells, memory),
            "redis-benchmark": (benchmark_cells, benchmark), "syscalls": (syscall_cells, syscalls)}
NEW_FOR_EACH = ("memory",)  # cells that need a broker that has done nothing


def one(visit, args, measure, cell):
    """The figures of one cell, or why there are none."""
    entry = {"measure": measure, "cell": cell, "figures": {}}
    try:
        entry["figures"] = MEASURES[measure][1](visit, args, cell)
        gone = visit.broker.complaints()
        if gone:
            entry["failed"] = gone[0]
    except (Refused, BrokerError, OSError, subprocess.SubprocessError) as error:
        entry["failed"] = str(error)
    return entry


def visit_all(args, work, measure, order, cells):
    """Both brokers at once, the one at rest while the other has its turn: what disturbs a cell disturbs both alike."""
    for done, cell in enumerate(cells):
        with contextlib.ExitStack() as stack:
            visits = {who: stack.enter_context(Visit(args, work, who)) for who in order}
            for each in [cell] if measure in NEW_FOR_EACH else cells[done:]:
                done += 1
                entries = [{"contestant": who, **one(visits[who], args, measure, each)} for who in order]
                yield from entries
                if any("failed" in entry for entry in entries):
                    break  # the others get new brokers
        if done == len(cells):
            return


def run(args, work, note):
    for repeat in range(args.repeats):
        order = args.contestants if repeat % 2 == 0 else args.contestants[::-1]
        for measure in args.measures:
            if measure in ("memory", "syscalls") and repeat >= args.memory_repeats:
                continue
            for entry in visit_all(args, work, measure, order, list(MEASURES[measure][0](args))):
                note({**entry, "repeat": repeat})


def parse(arguments):
    parser = argparse.ArgumentParser(prog="./dev bench redis", description="Colobus beside Redis, in turn, on this machine.")
    add = parser.add_argument
    add("--quick", action="store_true", help="one short repeat: below three minutes")
    for name, value in FULL.items():
        kind = type(value) if not isinstance(value, str) else str
        add("--" + name.replace("_", "-"), type=kind, help=f"default {value}, --quick: {QUICK[name]}")
    add("--measures", default=",".join(MEASURES), help=f"of: {' '.join(MEASURES)} (default: all)")
    add("--contestants", default=",".join(CONTESTANTS), help=f"of: {' '.join(CONTESTANTS)} (default: both)")
    add("--subscribers", default="0,1,100,1000", help="of flow and latency (default 0,1,100,1000)")
    add("--sizes", default="16,1024", help="bytes of a payload (default 16,1024)")
    add("--rate", type=int, default=50000, help="deliveries per second of latency (default 50000)")
    add("--patience", type=float, default=120, help="seconds for one load (default 120)")
    add("--broker-core", help="where the brokers run (default: the first)")
    add("--client-core", help="where the clients run (default: the last)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of Colobus")
    add("--redis-set", action="append", default=[], metavar="KEY=VALUE", help="a setting of Redis")
    add("--redis", default=redis_server.SERVER, help=f"the server's program (default {redis_server.SERVER}, Debian's)")
    add("--benchmark", default=BENCHMARK, help="redis-benchmark (default: that of the PATH)")
    add("--binary", default=os.path.join(ROOT, "build", "colobus"), help="Colobus; redis_load is looked for beside it")
    add("--work-dir", help="where brokers write their data (default: a temporary folder)")
    add("--out", help="folder of the results (default: build/bench)")
    args = parser.parse_args(arguments)
    for name, value in (QUICK if args.quick else FULL).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return check(parser, args)


def check(parser, args):
    try:
        for name in ("subscribers", "sizes", "idle"):
            setattr(args, name, [int(part) for part in getattr(args, name).split(",")])
        args.colobus_set, args.redis_set = (dict(pair.split("=", 1) for pair in pairs) for pairs in (args.set, args.redis_set))
    except ValueError as error:
        parser.error(str(error))
    args.measures, args.contestants = args.measures.split(","), args.contestants.split(",")
    for given, known in ((args.measures, MEASURES), (args.contestants, CONTESTANTS)):
        for name in given:
            if name not in known:
                parser.error(f"'{name}' is none of {' '.join(known)}")
    cores = sorted(os.sched_getaffinity(0))
    args.broker_core = args.broker_core or str(cores[0])
    args.client_core = args.client_core or str(cores[-1])
    args.broker_wrap, args.client_wrap = (["taskset", "-c", core] for core in (args.broker_core, args.client_core))
    args.load = os.path.abspath(os.path.join(os.path.dirname(os.path.realpath(args.binary)), "..", "..", "bench", "redis_load"))
    return args


def raise_file_limit():
    """Brokers and clients inherit it."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def find_programs(args):
    for path in (args.binary, args.load):
        if not os.access(path, os.X_OK):
            sys.exit(f"./dev bench redis: {path} is not there; build it first")
    if "redis" in args.contestants and not os.access(args.redis, os.X_OK):
        sys.exit(f"./dev bench redis: {args.redis} is not there; install redis-tools, name another with --redis, or leave it "
                 "out with --contestants")
    if "redis-benchmark" in args.measures and shutil.which(args.benchmark) is None:
        sys.exit(f"./dev bench redis: {args.benchmark} is not there; install redis-tools, or leave it out with --measures")


def describe(args, work, before):
    return (f"{time.strftime('%Y-%m-%d %H:%M')}, commit {compare.said(['git', 'describe', '--always', '--dirty'])}, "
            f"{compare.processor()}, {before['cores']} cores, Linux {os.uname().release}\n"
            f"Redis {redis_server.version(args.redis, work)}: save \"\", appendonly no, else its defaults, one thread; Colobus: defaults, "
            f"one shard\npinned: brokers to core {args.broker_core}, all clients to core {args.client_core}\n"
            "load: pipelined, " + "; one by one, ".join(f"{load['publishers']} publishers with {load['pipeline']} unanswered each"
                                                      for load in LOADS.values())
            + f"\n{args.repeats} repeat(s) of {args.seconds:g} s after {args.warm_up:g} s of warm-up; median (least-greatest)\n"
            + compare.baseline_text(before))


def main(arguments):
    args = parse(arguments)
    find_programs(args)
    raise_file_limit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that brokers are stopped and data removed
    work = args.work_dir or tempfile.mkdtemp(prefix="colobus-bench-")
    os.makedirs(work, exist_ok=True)
    folder = args.out or os.path.join(ROOT, "build", "bench")
    os.makedirs(folder, exist_ok=True)
    path, entries = os.path.join(folder, time.strftime("redis-%Y%m%d-%H%M%S")), []
    told = describe(args, work, baseline.measure(work))
    print(told, flush=True)
    try:
        with open(path + ".jsonl", "w", encoding="utf-8") as lines:
            def note(entry):
                entries.append(entry)
                lines.write(json.dumps(entry) + "\n")
                lines.flush()
                print(redis_table.brief(entry), flush=True)
            run(args, work, note)
        print(redis_table.render(entries))
    finally:
        if not args.work_dir:
            shutil.rmtree(work, ignore_errors=True)
        if entries:  # also of a run that was stopped
            with open(path + ".md", "w", encoding="utf-8") as file:
                file.write(f"# Colobus and Redis\n\n{told}\n{redis_table.render(entries)}")
            print(f"tables: {path}.md")
        print(f"all figures: {path}.jsonl")
    return 1 if any("failed" in entry for entry in entries) else 0
