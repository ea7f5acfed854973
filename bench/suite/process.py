"""What a process and a broker's /metrics tell: CPU, memory, open files, commits."""

import os
import re

TICK = os.sysconf("SC_CLK_TCK")
SAMPLE = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$')


def stat_cpu(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        name, rest = file.read().rsplit(")", 1)
    fields = rest.split()
    return name.split("(", 1)[1], (int(fields[11]) + int(fields[12])) / TICK  # utime, stime: proc(5)


def cpu_seconds(pid):
    return stat_cpu(f"/proc/{pid}/stat")[1]


def cpu_by_thread(pid):
    """Seconds of the event loops, the journal and the disk pool: {"loop", "journal", "disk"}."""
    sums = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            name, seconds = stat_cpu(f"/proc/{pid}/task/{task}/stat")
        except FileNotFoundError:
            continue
        name = "loop" if int(task) == pid or name.startswith("loop") else name  # the first loop is the main thread
        sums[name] = sums.get(name, 0) + seconds
    return sums


def memory_mb(pid):
    """(present, peak) resident memory, 10^6 bytes."""
    found = {}
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key in ("VmRSS", "VmHWM"):
                found[key] = int(value.split()[0]) * 1024 / 1e6
    return found["VmRSS"], found["VmHWM"]


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def parse_metrics(text):
    """{name: value}, and histograms' buckets as {name_bucket: {upper bound: count}}; other labels are summed up."""
    values, buckets = {}, {}
    for line in text.splitlines():
        found = SAMPLE.match(line)
        if not found:
            continue
        name, labels, value = found.groups()
        bound = re.search(r'\ble="([^"]+)"', labels or "")
        if bound:
            series = buckets.setdefault(name, {})
            series[float(bound.group(1))] = series.get(float(bound.group(1)), 0) + float(value)
        else:
            values[name] = values.get(name, 0) + float(value)
    return values, buckets


def bucket_percentile(before, after, percent):
    """Upper bound of the bucket in which the percentile of what came between two scrapes lies."""
    counts = {bound: count - before.get(bound, 0) for bound, count in after.items()}
    total = counts.get(float("inf"), 0)
    for bound in sorted(counts):
        if total and counts[bound] >= total * percent / 100:
            return bound
    return None


class Snapshot:
    """A broker at one moment; minus an earlier one: what happened in between."""

    def __init__(self, broker):
        pid = broker.pid()
        self.values, self.buckets = parse_metrics(broker.http_get("/metrics")[1])
        self.cpu, self.threads = cpu_seconds(pid), cpu_by_thread(pid)

    def mean(self, since, name):
        count = self.values[name + "_count"] - since.values[name + "_count"]
        return (self.values[name + "_sum"] - since.values[name + "_sum"]) / count if count else None

    def figures(self, since, records):
        millions = records / 1e6
        commit = "colobus_journal_commit_seconds"
        figures = {"cpu_s_per_million": (self.cpu - since.cpu) / millions}
        for name, seconds in self.threads.items():
            figures[f"cpu_s_per_million_{name}"] = (seconds - since.threads.get(name, 0)) / millions
        mean = self.mean(since, commit)
        if mean is not None:
            p99 = bucket_percentile(since.buckets[commit + "_bucket"], self.buckets[commit + "_bucket"], 99)
            figures.update(commit_mean_ms=mean * 1e3, commit_p99_below_ms=p99 * 1e3,
                           groups_per_commit=self.mean(since, "colobus_journal_commit_groups"),
                           kib_per_commit=self.mean(since, "colobus_journal_commit_bytes") / 1024)
        return figures
