"""The comparison in figures: medians of what each repeat gave, medians of ratios within a repeat, and the marks to reach."""

import statistics
from collections import namedtuple

# one mark: what it says, its measure, figure, whose figure, relative to whom (None: as it is), least or most, the bound,
# and a condition on the cell
Mark = namedtuple("Mark", "says measure figure who against least bound where", defaults=(None,))

RATE, CPU = "records_per_s", "cpu_s_per_million"
BOTH = ("colobus-fsync", "colobus-os")
MARKS = [
    Mark("with fsync at least Kafka's un-synced rate", "flow", f"produce.{RATE}", ("colobus-fsync",), "kafka", True, 1),
    Mark("the same, bare client", "flow", f"bare_produce.{RATE}", ("colobus-fsync",), "kafka", True, 1),
    Mark("durability=os at least 2 x Kafka's rate", "flow", f"produce.{RATE}", ("colobus-os",), "kafka", True, 2),
    Mark("the same, bare client", "flow", f"bare_produce.{RATE}", ("colobus-os",), "kafka", True, 2),
    Mark("broker CPU per record produced at most 1/3", "flow", f"produce.{CPU}", BOTH, "kafka", False, 1 / 3),
    Mark("the same, bare client", "flow", f"bare_produce.{CPU}", BOTH, "kafka", False, 1 / 3),
    Mark("broker CPU per record consumed at most 1/3", "flow", f"consume.{CPU}", BOTH, "kafka", False, 1 / 3),
    Mark("p99 at half its own greatest load at most 1/3", "latency", "half.latency_ms.p99", BOTH, "kafka", False, 1 / 3),
    Mark("reading the tail at least 60 % of a loopback copy", "flow", "tail_of_copy", BOTH, None, True, 0.6),
    Mark("under 64 MB with 1,000 partitions", "partitions", "rss_mb", BOTH, None, False, 64),
    Mark("the same, after the greatest load", "flow", "memory.rss_mb", BOTH, None, False, 64,
         lambda cell: cell["partitions"] == 1000),
    Mark("ready in 50 ms", "start", "ready_ms", BOTH, None, False, 50),
    Mark("the same, after an orderly stop", "start", "again_ready_ms", BOTH, None, False, 50),
]

# measure: [(heading, figure, decimals)]
COLUMNS = {
    "start": [("ready ms", "ready_ms", 1), ("first ack ms", "first_ack_ms", 1), ("again: ready ms", "again_ready_ms", 1),
              ("first ack ms", "again_first_ack_ms", 1), ("idle RSS MB", "idle.rss_mb", 1)],
    "flow": [("produce k/s", f"produce.{RATE}", 0), ("MB/s", "produce.mb_per_s", 0), ("CPU s/M", f"produce.{CPU}", 2), ("client cores", "produce.client_cores", 2),
             ("consume k/s", f"consume.{RATE}", 0), ("CPU s/M", f"consume.{CPU}", 2),
             ("catch-up k/s", f"catch_up.{RATE}", 0), ("CPU s/M", f"catch_up.{CPU}", 2),
             ("RSS MB", "memory.rss_mb", 0), ("peak MB", "peak_mb", 0)],
    "flow, bare client": [
        ("produce k/s", f"bare_produce.{RATE}", 0), ("MB/s", "bare_produce.mb_per_s", 0),
        ("CPU s/M", f"bare_produce.{CPU}", 2), ("request p50 ms", "bare_produce.request_p50_ms", 1),
        ("p99", "bare_produce.request_p99_ms", 1), ("tail MB/s", "bare_tail.mb_per_s", 0),
        ("of a copy", "tail_of_copy", 2), ("CPU s/M", f"bare_tail.{CPU}", 3),
        ("catch-up MB/s", "bare_catch_up.mb_per_s", 0), ("CPU s/M", f"bare_catch_up.{CPU}", 3)],
    "latency": [("fixed: p50 ms", "fixed.latency_ms.p50", 2), ("p99", "fixed.latency_ms.p99", 2),
                ("p99.9", "fixed.latency_ms.p99.9", 2), ("read p50", "fixed.read_ms.p50", 2),
                ("p99", "fixed.read_ms.p99", 2), ("CPU s/M", f"fixed.{CPU}", 1), ("greatest k/s", f"most.{RATE}", 0),
                ("at half: p50", "half.latency_ms.p50", 2), ("p99", "half.latency_ms.p99", 2),
                ("p99.9", "half.latency_ms.p99.9", 2), ("CPU s/M", f"half.{CPU}", 2)],
    "partitions": [("produce k/s", f"produce.{RATE}", 0), ("RSS MB", "rss_mb", 1), ("peak MB", "peak_mb", 1)],
    "tools": [("ProducerPerformance k/s", f"producer.{RATE}", 0), ("p50 ms", "producer.p50_ms", 0),
              ("p99 ms", "producer.p99_ms", 0), ("broker CPU s/M", f"producer.{CPU}", 2),
              ("ConsumerPerformance k/s", f"consumer.fetch_{RATE}", 0), ("broker CPU s/M", f"consumer.{CPU}", 2)],
}


def cells_of(entries, measure):
    """The cells of a measure in the order in which they were visited."""
    found = []
    for entry in entries:
        if entry["measure"] == measure and entry["cell"] not in found:
            found.append(entry["cell"])
    return found


def by_repeat(entries, measure, cell, contestant, figure):
    """{repeat: value}, of those repeats that have it."""
    return {entry["repeat"]: entry["figures"][figure] for entry in entries
            if (entry["measure"], entry["cell"], entry["contestant"]) == (measure, cell, contestant)
            and entry["figures"].get(figure) is not None}


def ratios(ours, theirs):
    """Ours by theirs within each repeat that has both: what disturbs both alike cancels out."""
    return [value / theirs[repeat] for repeat, value in sorted(ours.items()) if theirs.get(repeat)]


def values_of(entries, mark, cell, who):
    ours = by_repeat(entries, mark.measure, cell, who, mark.figure)
    if mark.against is None:
        return list(ours.values())
    return ratios(ours, by_repeat(entries, mark.measure, cell, mark.against, mark.figure))


def judge(entries, marks=None):
    """[{mark, who, cell, median, least, greatest, bound, met}] for each mark, contestant and cell that was measured."""
    rows = []
    for mark in marks or MARKS:
        for who in mark.who:
            for cell in cells_of(entries, mark.measure):
                values = values_of(entries, mark, cell, who) if not mark.where or mark.where(cell) else []
                if not values:
                    continue
                middle = statistics.median(values)
                rows.append({"mark": mark.says, "who": who, "cell": cell, "median": middle, "least": min(values),
                             "greatest": max(values), "bound": mark.bound, "ratio": mark.against is not None,
                             "met": middle >= mark.bound if mark.least else middle <= mark.bound,
                             "sign": ">=" if mark.least else "<="})
    return rows


def spread(values, decimals):
    if not values:
        return "-"
    middle = f"{statistics.median(values):.{decimals}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{decimals}f}-{max(values):.{decimals}f})"


def grid(lines):
    """A Markdown table, padded so that it reads well unrendered; the first line is the heading."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines = [lines[0], ["-" * width for width in widths], *lines[1:]]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)


def cell_text(cell):
    return ", ".join(f"{name} {value:g}" for name, value in cell.items())


def measure_table(entries, title):
    measure, columns = title.split(",")[0], COLUMNS[title]
    cells, contestants = cells_of(entries, measure), dict.fromkeys(
        entry["contestant"] for entry in entries if entry["measure"] == measure)
    lines = [[*(cells[0] if cells else ()), "broker", *(heading for heading, _, _ in columns)]]
    for cell in cells:
        for who in contestants:
            line = [f"{value:g}" for value in cell.values()] + [who]
            for _, figure, decimals in columns:
                scale = 1000 if figure.endswith(RATE) else 1
                values = by_repeat(entries, measure, cell, who, figure).values()
                line.append(spread([value / scale for value in values], decimals))
            lines.append(line)
    return f"\n## {title}\n\n{grid(lines)}\n" if cells else ""


def failures(entries):
    """Visits that failed, and what a tool of Kafka's could not do, once for each contestant."""
    found = dict.fromkeys((entry["contestant"], figure[:-len("_failed")], text) for entry in entries
                          for figure, text in entry["figures"].items() if figure.endswith("_failed"))
    broken = [f"{entry['contestant']}: {entry['measure']} {cell_text(entry['cell'])} (repeat {entry['repeat'] + 1}) FAILED: "
              f"{entry['failed']}" for entry in entries if "failed" in entry]
    return broken + [f"{who}: Kafka's {tool} tool failed: {text}" for who, tool, text in found]


def marks_table(rows):
    if not rows:
        return ""
    lines = [["mark", "broker", "load", "median", "least-greatest", "bound", ""]]
    for row in rows:
        unit = " x" if row["ratio"] else ""
        lines.append([row["mark"], row["who"], cell_text(row["cell"]), f"{row['median']:.2f}{unit}",
                      f"{row['least']:.2f}-{row['greatest']:.2f}", f"{row['sign']} {row['bound']:.2f}{unit}",
                      "met" if row["met"] else "MISSED"])
    return ("\n## marks\n\nA figure with x is Colobus' by Kafka's, the median of the ratios within each repeat.\n\n"
            f"{grid(lines)}\n")


def render(entries):
    tables = "".join(measure_table(entries, title) for title in COLUMNS)
    return tables + "".join(f"\n{text}\n" for text in failures(entries)) + marks_table(judge(entries))
