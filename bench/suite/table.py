"""Figures as tables for people: the median of the repeats, and in brackets their least and greatest."""

import statistics

# scenario: [(heading, figure, decimals)]
COLUMNS = {
    "idle": [("ready ms", "ready_ms", 1), ("RSS MB", "rss_mb", 1), ("files", "open_files", 0),
             ("CPU %", "idle_cpu_percent", 2)],
    "flow": [("produce rec/s", "produce.records_per_s", 0), ("MB/s", "produce.mb_per_s", 0),
             ("CPU s/M", "produce.cpu_s_per_million", 2), ("of it loop", "produce.cpu_s_per_million_loop", 2),
             ("journal", "produce.cpu_s_per_million_journal", 2), ("disk", "produce.cpu_s_per_million_disk", 2),
             ("commit ms", "produce.commit_mean_ms", 2), ("KiB/commit", "produce.kib_per_commit", 0),
             ("consume rec/s", "consume.records_per_s", 0), ("CPU s/M", "consume.cpu_s_per_million", 2),
             ("catch-up rec/s", "catch_up.records_per_s", 0), ("CPU s/M", "catch_up.cpu_s_per_million", 2),
             ("peak MB", "peak_rss_mb", 0), ("first ack ms", "first_ack_ms", 0),
             ("after kill ms", "restart_first_ack_ms", 0)],
    "latency": [("ack p50 ms", "ack.p50", 2), ("p99", "ack.p99", 2), ("p99.9", "ack.p99.9", 1), ("max", "ack.max", 1),
                ("read p50 ms", "read.p50", 2), ("p99", "read.p99", 2), ("p99.9", "read.p99.9", 1),
                ("max", "read.max", 1), ("CPU s/M", "produce.cpu_s_per_million", 2),
                ("commit ms", "produce.commit_mean_ms", 2)],
    "many": [("rec/s", "produce.records_per_s", 0), ("RSS MB", "rss_mb", 1), ("peak MB", "peak_rss_mb", 1),
             ("files", "open_files", 0), ("idle CPU %", "idle_cpu_percent", 2),
             ("ready after kill ms", "restart_ready_ms", 0), ("RSS after MB", "restart_rss_mb", 1)],
}


def figure(runs, key, decimals):
    values = [run[key] for run in runs if key in run]
    if not values:
        return "-"
    middle = f"{statistics.median(values):.{decimals}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.{decimals}f}-{max(values):.{decimals}f})"


def render(name, rows):
    """A Markdown table, padded so that it reads well unrendered."""
    lines = [list(rows[0]["cell"]) + [heading for heading, _, _ in COLUMNS[name]]]
    for row in rows:
        lines.append([str(value) for value in row["cell"].values()] +
                     [figure(row["runs"], key, decimals) for _, key, decimals in COLUMNS[name]])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    body = "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)
    return f"\n## {name}\n\n{body}\n"


def baseline_line(b):
    sync, cost = b["write_and_sync_4k_ms"], b["page_cache_cpu_s_per_gib"]
    return (f"baseline: {b['cores']} cores, load {b['load_average_1min']:.1f}; 4 KiB write + fdatasync "
            f"p50 {sync['p50']:.3f} p99 {sync['p99']:.3f} max {sync['max']:.1f} ms; page cache CPU {cost['new']:.2f} s/GiB "
            f"new, {cost['again']:.2f} again; loopback {b['loopback_gb_per_s']:.2f} GB/s")
