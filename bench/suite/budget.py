"""`./dev bench budget`: where the broker's CPU time goes, in nanoseconds per record and stage, by perf(1) under the bare client.
Symbols of the broker's own need a build with frame pointers: -Dc_args='-fno-omit-frame-pointer -g'."""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

from suite import marks, process, scenarios

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# The first stage that is found in the stack, innermost frame first, takes the sample. A name stands for a whole symbol;
# a<b: a was called by b.
STAGES = [(name, re.compile(f"(?:^|<)(?:{pattern})(?=<|$)")) for name, pattern in (
    ("page faults", r"(asm_)?exc_page_fault"),
    ("copy: input chunk grows", r"__mem\w+<alloc_cb"),
    ("copy: into the tail", r"__mem\w+<log_append"),
    ("socket: receive", r"tcp_recvmsg|sock_recvmsg|inet_recvmsg|sock_read_iter"),
    ("socket: send", r"tcp_sendmsg|sock_sendmsg|sock_write_iter|____sys_sendmsg|__sys_sendto"),
    ("fdatasync", r"do_fsync|vfs_fsync_range|__x64_sys_fdatasync|ext4_sync_file"),
    ("file: write", r"vfs_write|vfs_iter_write|vfs_writev|do_pwritev|ext4_file_write_iter|__x64_sys_pwrite64"),
    ("file: read", r"vfs_read|vfs_iter_read|do_preadv|ext4_file_read_iter|__x64_sys_pread64"),
    ("file: writeback", r"__x64_sys_sync_file_range|sync_file_range|__filemap_fdatawrite_range"),
    ("file: space, names", r"vfs_fallocate|ext4_\w+|__x64_sys_(unlink|rename|ftruncate|openat)\w*|do_sys_openat2"),
    ("memory: mmap, munmap", r"__x64_sys_m\w+|__vm_munmap|ksys_mmap_pgoff|do_madvise"),
    ("waking, waiting", r"ep_poll|do_epoll_\w+|__x64_sys_epoll\w+|futex_\w+|do_futex|eventfd_\w+|schedule|__schedule"),
    ("checksum of a batch", r"crc32c\w*|crc32_iscsi\w*"),
    ("checksum of the journal", r"XXH\w+"),
    ("walk of the records", r"records_\w+"),
    ("log and journal", r"(log|store|journal|tail|flush|group|segment)_\w+|append_one|commit"),
    ("requests, answers", r"(kafka|op|conn|outq|chunk|shard|msg|arena|write|read)_\w+|alloc_cb"),
)]


def stage_of(symbols):
    stack = "<".join(symbols)
    for name, pattern in STAGES:
        if pattern.search(stack):
            return name
    return "else"


def thread_of(comm, pid, tid):
    return "loop" if tid == pid or comm.startswith("loop") else comm


def samples(text):
    """(thread name, thread id, [symbols]) of each sample that `perf script -F comm,tid,ip,sym` printed."""
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.splitlines() if line.strip()]
        head = re.match(r"^\s*(\S.*?)\s+(\d+)\s*:?\s*$", lines[0]) if lines else None
        if head:
            symbols = [line.split(None, 1)[1].strip() for line in lines[1:] if len(line.split(None, 1)) == 2]
            yield head.group(1), int(head.group(2)), [re.sub(r"\+0x.*$", "", symbol) for symbol in symbols]


def budget(text, pid, ns_per_record):
    """{(thread, stage): nanoseconds per record}: what the process used, dealt out by the samples."""
    counts = {}
    for comm, tid, symbols in samples(text):
        key = (thread_of(comm, pid, tid), stage_of(symbols))
        counts[key] = counts.get(key, 0) + 1
    total = sum(counts.values())
    return {key: count / total * ns_per_record for key, count in counts.items()}


def table(parts, ns_per_record):
    threads = sorted({thread for thread, _ in parts}, key=lambda t: -sum(v for (at, _), v in parts.items() if at == t))
    stages = sorted({stage for _, stage in parts}, key=lambda s: -sum(v for (_, at), v in parts.items() if at == s))
    lines = [["stage, ns per record", *threads, "all"]]
    for stage in stages:
        row = [parts.get((thread, stage), 0) for thread in threads]
        lines.append([stage, *(f"{value:.1f}" if value else "" for value in row), f"{sum(row):.1f}"])
    sums = [sum(v for (at, _), v in parts.items() if at == thread) for thread in threads]
    lines.append(["all", *(f"{value:.1f}" for value in sums), f"{ns_per_record:.1f}"])
    return marks.grid(lines)


class Profiled(scenarios.Bench):
    def bare(self, mode, **options):
        command = [self.args.bare, mode, "--broker", self.broker.bootstrap, "--topic", "bare"]
        for key, value in options.items():
            command += ["--" + key.replace("_", "-"), str(value)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def profile(self, client):
        """The client's result, the broker's CPU ns per record, and what perf saw."""
        pid, data = self.broker.pid(), os.path.join(self.data_dir, "perf")
        before = process.cpu_seconds(pid)
        perf = subprocess.Popen(["perf", "record", "-q", "-e", "cpu-clock", "-F", "1999", "-g", "-o", data, "-p", str(pid)],
                                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            flow = json.loads(client.communicate(timeout=scenarios.TIMEOUT)[0])
            spent = process.cpu_seconds(pid) - before
        finally:
            client.kill()
            perf.terminate()
            perf.wait(30)
        text = subprocess.run(["perf", "script", "-F", "comm,tid,ip,sym", "-i", data], stdin=subprocess.DEVNULL, check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace").stdout
        return flow, spent / flow["records"] * 1e9, text


def parse(arguments):
    parser = argparse.ArgumentParser(prog="./dev bench budget", description=__doc__)
    add = parser.add_argument
    add("what", choices=("produce", "tail", "catch-up"), help="tail: the newest 16 MiB again and again; catch-up: all, once")
    add("--durability", default="fsync")
    add("--shards", default="auto")
    add("--size", type=int, default=1024)
    add("--partitions", type=int, default=12)
    add("--batch-bytes", type=int, default=128 << 10)
    add("--fetch-bytes", type=int, default=1 << 20)
    add("--seconds", type=float, default=5)
    add("--binary", default=os.path.join(ROOT, "build", "colobus"))
    add("--keep", metavar="FILE", help="where to keep the output of perf script")
    args = parser.parse_args(arguments)
    beside = os.path.join(os.path.dirname(os.path.realpath(args.binary)), "..", "..", "bench")
    args.load, args.bare = os.path.join(beside, "load"), os.path.join(beside, "bare")
    return args


def measure(args, b):
    topic = {"partitions": args.partitions, "connections": 2}
    produce = dict(topic, seconds=args.seconds, size=args.size, batch_bytes=args.batch_bytes)
    b.load("create", topic="bare", partitions=args.partitions)
    if args.what == "produce":
        return b.profile(b.bare("produce", **produce))
    b.bare("produce", **produce).communicate(timeout=scenarios.TIMEOUT)
    last = {"last": max(1, (16 << 20) // args.size // args.partitions)} if args.what == "tail" else {}
    return b.profile(b.bare("fetch", fetch_bytes=args.fetch_bytes, seconds=args.seconds, **last, **topic))


def main(arguments):
    args = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="colobus-bench-") as work:
        with Profiled(args, work, {"durability": args.durability, "shards": args.shards}) as b:
            b.broker.start()
            flow, ns, text = measure(args, b)
            parts = budget(text, b.broker.pid(), ns)
    if args.keep:
        with open(args.keep, "w", encoding="utf-8") as file:
            file.write(text)
    print(f"{args.what}, durability={args.durability}, {args.size} bytes, {args.partitions} partitions: "
          f"{flow['records_per_s']:.0f} records/s, {flow['mb_per_s']:.0f} MB/s, {ns:.0f} ns of broker CPU per record\n")
    print(table(parts, ns), flush=True)
    if not parts:
        print("perf saw nothing; is it installed, and permitted?", file=sys.stderr)
    return 0 if parts else 1
