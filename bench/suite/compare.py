"""`./dev bench kafka`: Colobus and Apache Kafka in one run. See bench/README.md."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from suite import baseline, marks, rival, versus

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CELLS = "1024x1,1024x12,1024x1000,100x1,100x12,100x1000"
QUICK = {"repeats": 1, "seconds": 2.0, "warm_up": 3.0, "cells": "1024x12,100x12,1024x1000", "linger": "0",
         "measures": "start,partitions,flow,latency"}
FULL = {"repeats": 5, "seconds": 4.0, "warm_up": 5.0, "cells": CELLS, "linger": "0,5", "measures": "start,partitions,flow,latency,tools"}


def parse(arguments):
    parser = argparse.ArgumentParser(prog="./dev bench kafka", description="Colobus beside Apache Kafka, in turn, on this "
                                     "machine.", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--quick", action="store_true", help="one repeat of few cells: some minutes")
    add("--repeats", type=int, help=f"of everything (default {FULL['repeats']})")
    add("--seconds", type=float, help=f"of each load (default {FULL['seconds']})")
    add("--warm-up", type=float, help=f"seconds of load before what counts (default {FULL['warm_up']})")
    add("--measures", help=f"of: {' '.join(versus.MEASURES)} (default: all; --quick: without tools)")
    add("--cells", help=f"bytes x partitions of flow (default {CELLS})")
    add("--linger", help="ms, of latency (default 0,5; --quick: 0)")
    add("--rate", type=int, default=10000, help="records/s of latency's fixed load, 1 KiB to 12 partitions")
    add("--contestants", default="colobus-fsync,colobus-os,kafka", help=f"of: {' '.join(versus.CONTESTANTS)}")
    add("--batch-bytes", type=int, default=128 << 10, help="of the bare client's batches")
    add("--fetch-bytes", type=int, default=1 << 20, help="that the bare client asks for at a time")
    add("--tool-records", type=int, default=1000000, help="for Kafka's own load tools")
    add("--shards", default="auto", help="of Colobus")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of Colobus")
    add("--kafka-set", action="append", default=[], metavar="KEY=VALUE", help="a setting of Kafka")
    add("--heap", default="1G", help="of Kafka")
    add("--pin", action="store_true", help="the broker to core 0, clients to core 1; else nothing is pinned")
    add("--kafka-version", default="4.1.1")
    add("--kafka-home", help="a folder with Kafka's jars in libs/ (default: build/bench/kafka-VERSION, made if missing)")
    add("--binary", default=os.path.join(ROOT, "build", "colobus"), help="Colobus; load and bare are looked for beside it")
    add("--work-dir", help="where brokers write their data (default: a temporary folder)")
    add("--out", help="folder of the results (default: build/bench)")
    args = parser.parse_args(arguments)
    for name, value in (QUICK if args.quick else FULL).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return check(parser, args)


def check(parser, args):
    try:
        args.cells = [tuple(map(int, cell.split("x"))) for cell in args.cells.split(",")]
        args.linger = [float(part) for part in args.linger.split(",")]
        args.colobus_set, args.kafka_set = (dict(pair.split("=", 1) for pair in pairs)
                                            for pairs in (args.set, args.kafka_set))
    except ValueError as error:
        parser.error(str(error))
    args.measures, args.contestants = args.measures.split(","), args.contestants.split(",")
    for given, known in ((args.measures, versus.MEASURES), (args.contestants, versus.CONTESTANTS)):
        for name in given:
            if name not in known:
                parser.error(f"'{name}' is none of {' '.join(known)}")
    if any(len(cell) != 2 for cell in args.cells):
        parser.error("a cell is BYTESxPARTITIONS")
    args.broker_wrap = ["taskset", "-c", "0"] if args.pin else []
    args.client_wrap = ["taskset", "-c", "1"] if args.pin else []
    return args


def find_programs(args):
    beside = os.path.join(os.path.dirname(os.path.realpath(args.binary)), "..", "..", "bench")
    args.load, args.bare = (os.path.abspath(os.path.join(beside, name)) for name in ("load", "bare"))
    for path in (args.binary, args.load, args.bare):
        if not os.access(path, os.X_OK):
            sys.exit(f"./dev bench kafka: {path} is not there; build it first (load needs librdkafka's headers)")


def said(command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False, cwd=ROOT)
    except FileNotFoundError:
        return "?"
    return (done.stdout.strip().splitlines() or ["?"])[0] if done.returncode == 0 else "?"


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "?")


def conditions(args, work):
    """What the figures depend on."""
    keep = ("repeats", "seconds", "warm_up", "measures", "cells", "linger", "rate", "contestants", "batch_bytes",
            "fetch_bytes", "shards", "colobus_set", "kafka_set", "heap", "pin", "kafka_version", "tool_records")
    return {
        "at": time.strftime("%Y-%m-%d %H:%M:%S"), "commit": said(["git", "describe", "--always", "--dirty"]),
        "java": said(["java", "-version"]), "kernel": os.uname().release, "processor": processor(),
        "file_system": said(["stat", "-f", "-c", "%T", work]), "baseline": baseline.measure(work),
        "options": {name: getattr(args, name) for name in keep},
    }


def describe(c, args):
    pinned = "broker on core 0, clients on core 1" if args.pin else "nothing; brokers and clients share the cores"
    return (f"{c['at']}, commit {c['commit']}, {c['processor']}, {c['baseline']['cores']} cores, Linux {c['kernel']}, "
            f"{c['file_system']}\nKafka {args.kafka_version}: {c['java']}, -Xmx{args.heap}, G1, page cache only (its default)"
            f"\npinned: {pinned}\nclient: librdkafka, acks=all, linger 5 ms (latency: as in the table), batches up to 1 MB, 5 in "
            f"flight, no compression; bare client: 2 connections, batches of {args.batch_bytes >> 10} KiB, 5 in flight, fetches "
            f"of {args.fetch_bytes >> 10} KiB\n{args.repeats} repeats of {args.seconds:g} s after {args.warm_up:g} s of warm-up; "
            f"median (least-greatest)\nbefore catch-up the broker's files are taken out of the page cache; what it holds in its own memory stays")


def baseline_text(b):
    return (f"baseline: load average {b['load_average_1min']:.1f}; 4 KiB write + fdatasync p50 "
            f"{b['write_and_sync_4k_ms']['p50']:.2f} ms; page cache {b['page_cache_cpu_s_per_gib']['new']:.2f} CPU s/GiB")


def open_results(args):
    folder = args.out or os.path.join(ROOT, "build", "bench")
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, time.strftime("kafka-%Y%m%d-%H%M%S"))


def main(arguments):
    args = parse(arguments)
    find_programs(args)
    home = args.kafka_home or os.path.join(ROOT, "build", "bench", f"kafka-{args.kafka_version}")
    args.libs = rival.assemble(home, args.kafka_version)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that brokers are stopped and data removed
    work = args.work_dir or tempfile.mkdtemp(prefix="colobus-bench-")
    path, entries = open_results(args), []
    try:
        with open(path + ".jsonl", "w", encoding="utf-8") as lines:
            def write(entry):
                lines.write(json.dumps(entry) + "\n")
                lines.flush()

            def note(entry):
                entries.append(entry)
                write(entry)
            told = conditions(args, work)
            write({"conditions": told})
            print(describe(told, args), baseline_text(told["baseline"]), sep="\n", flush=True)
            versus.run(args, work, note)
            after = baseline.measure(work)
            write({"baseline_after": after, "marks": marks.judge(entries)})
        print(marks.render(entries), baseline_text(after), sep="\n")
    finally:
        if not args.work_dir:
            shutil.rmtree(work, ignore_errors=True)
        if entries:  # also of a run that was stopped
            with open(path + ".md", "w", encoding="utf-8") as file:
                file.write(f"# Colobus and Apache Kafka\n\n{describe(told, args)}\n{baseline_text(told['baseline'])}\n"
                           f"{marks.render(entries)}")
            print(f"tables: {path}.md")
        print(f"all figures: {path}.jsonl")
    return 1 if any("failed" in entry for entry in entries) else 0
