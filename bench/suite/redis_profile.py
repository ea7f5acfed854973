"""`./dev bench redis profile`: where a broker's CPU time goes under one load of the Redis comparison. Needs perf(1)."""

import argparse
import os
import subprocess
import tempfile
import time

from suite import amqp_profile, redis


def parse(arguments):
    parser = argparse.ArgumentParser(prog="./dev bench redis profile")
    add = parser.add_argument
    add("--contestant", default="colobus", choices=redis.CONTESTANTS)
    add("--subscribers", type=int, default=100)
    add("--size", type=int, default=16)
    add("--how", default="channel", choices=("channel", "RESP3", "pattern", "2 channels", "own channels"))
    add("--load", default="pipelined", choices=redis.LOADS)
    add("--seconds", type=float, default=4)
    add("--top", type=int, default=40)
    add("--events", default="cpu-clock", help="of perf record (default cpu-clock, which every machine has)")
    own, rest = parser.parse_known_args(arguments)
    own.args = redis.parse(["--quick", *rest])
    return own


def main(arguments):
    own = parse(arguments)
    args, cell = own.args, redis.cell_of(own.subscribers, own.size, own.how, load=own.load)
    redis.find_programs(args)
    redis.raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="colobus-bench-") as work, redis.Visit(args, work, own.contestant) as visit:
        data = os.path.join(work, "perf.data")
        command = visit.command("flow", seconds=own.seconds, warm_up=1, **redis.options_of(cell))
        client = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        subprocess.run(["perf", "record", "-q", "-e", own.events, "-F", "2000", "-g", "-p", str(visit.broker.pid()), "-o", data,
                        "--", "sleep", str(own.seconds - 1)], stdin=subprocess.DEVNULL, check=True)
        print(client.communicate()[0])
        print(amqp_profile.report(data, own.top))
    return client.returncode
