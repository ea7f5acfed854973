"""`./dev bench amqp profile LOAD`: where Colobus' CPU time goes under an AMQP load, by thread and function. Needs perf(1)."""

import argparse
import os
import subprocess
import tempfile
import time

from suite import amqp

LOADS = {
    "transient": {"in_flight": 20000},
    "persistent": {**amqp.PERSISTENT, "confirm": 1000, "ack": True, "prefetch": 1000},
    "publish": {**amqp.PERSISTENT, "confirm": 1000},
    "fanout": {"fanout": True, "queues": 10, "consumers": 10, "in_flight": 20000},
}


def parse(arguments):
    parser = argparse.ArgumentParser(prog="./dev bench amqp profile")
    parser.add_argument("load", choices=LOADS)
    parser.add_argument("--durability", default="os")
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--top", type=int, default=40)
    parser.add_argument("--events", default="cpu-clock", help="of perf record (default cpu-clock, which every machine has)")
    own, rest = parser.parse_known_args(arguments)
    args = amqp.parse(["--quick", *rest])
    args.seconds, args.warm_up, args.own = own.seconds, 1, own
    args.colobus_set["durability"] = own.durability
    return args


def report(data, top):
    """Self time by thread, by function, and by function with what it calls."""
    def table(*options):
        done = subprocess.run(["perf", "report", "-i", data, "--stdio", "--percent-limit", "0.3", "-g", "none", *options],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
        lines = [line.rstrip() for line in done.stdout.splitlines() if line.strip() and not line.startswith("#")]
        return "\n".join(lines[:top])
    return (f"by thread\n{table('--no-children', '-s', 'comm')}\n\nfunctions, their own time\n"
            f"{table('--no-children', '-s', 'dso,symbol')}\n\nfunctions with what they call\n"
            f"{table('--children', '-s', 'symbol')}")


def main(arguments):
    args = parse(arguments)
    amqp.find_programs(args)
    with tempfile.TemporaryDirectory(prefix="colobus-bench-") as work, amqp.Visit(args, work, "colobus-os") as visit:
        data = os.path.join(work, "perf.data")
        mode = "publish" if args.own.load == "publish" else "both"
        command = visit.command(mode, prefix="profiled", size=args.own.size, seconds=args.seconds, warm_up=1,
                                **LOADS[args.own.load])
        client = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        subprocess.run(["perf", "record", "-q", "-e", args.own.events, "-F", "2000", "-g", "-p", str(visit.broker.pid()), "-o", data,
                        "--", "sleep", str(args.seconds - 1)], stdin=subprocess.DEVNULL, check=True)
        print(client.communicate()[0])
        print(report(data, args.own.top))
    return client.returncode
