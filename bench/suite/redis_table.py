"""The tables of `./dev bench redis`: medians with their ranges, the medians of the ratios within each repeat, and the marks."""

from suite import amqp_table, marks

LATENCY = [(heading, f"{name}_{point}_us", 1, 0, point == "p99")
           for name, prefix in (("latency", ""), ("answer", "answer ")) for point, heading in (
               ("p50", f"{prefix}p50 us"), ("p99", f"{prefix}p99"), ("p99.9", f"{prefix}p99.9"))]
# measure: [(heading, figure, factor, decimals, whether it gets a ratio)]
COLUMNS = {
    "flow": [("publishes/s k", "published_per_s", 1e-3, 1, True), ("deliveries/s k", "delivered_per_s", 1e-3, 0, True),
             ("publishes/CPU-s k", "published_per_cpu_s", 1e-3, 1, True),
             ("deliveries/CPU-s k", "delivered_per_cpu_s", 1e-3, 0, True), ("broker cores", "broker_cores", 1, 2, False),
             ("client", "client_cores", 1, 2, False), ("lost", "lost", 1, 0, False)],
    "latency": [*LATENCY, ("CPU us", "cpu_us", 1, 1, True)],
    "memory": [("KiB/subscriber", "kib", 1, 2, True), ("the first second", "first_kib", 1, 2, True),
               ("RSS KiB", "rss_kib", 1, 2, False), ("subscribed/s", "subscribed_per_s", 1, 0, True),
               ("idle CPU %", "idle_cpu_percent", 1, 1, False)],
    "redis-benchmark": [("publishes/s k", "published_per_s", 1e-3, 1, True),
                        ("publishes/CPU-s k", "published_per_cpu_s", 1e-3, 1, True)],
    "syscalls": [("deliveries", "delivered", 1, 0, False), ("write", "write", 1, 3, True), ("read", "read", 1, 3, True),
                 ("wait", "wait", 1, 3, True), ("epoll_ctl", "control", 1, 3, False), ("others", "others", 1, 3, False)],
}
RIVAL = "redis"


def mark(says, measure, figure, least, bound, where=None):
    return marks.Mark(says, measure, figure, ("colobus",), RIVAL, least, bound, where)


MARKS = [
    mark("at least Redis's publishes per second", "flow", "published_per_s", True, 1),
    mark("at least Redis's deliveries per second", "flow", "delivered_per_s", True, 1),
    mark("1.3 x per CPU-second with 100 subscribers", "flow", "delivered_per_cpu_s", True, 1.3,
         lambda cell: cell["subscribers"] == 100),
]


def brief(entry):
    return amqp_table.brief(entry, COLUMNS)


def marks_table(entries):
    """What is missed by which cell; and how far the cells are apart where it is met."""
    rows = marks.judge(entries, MARKS)
    lines = []
    for says in dict.fromkeys(row["mark"] for row in rows):
        of = [row for row in rows if row["mark"] == says]
        missed = [f"  - MISSED: {row['median']:.2f} x ({row['least']:.2f}-{row['greatest']:.2f}), {amqp_table.cell_text(row['cell'])}"
                  for row in of if not row["met"]]
        lines += [f"- {says}: {len(of) - len(missed)} of {len(of)} cells, {min(row['median'] for row in of):.2f} to "
                  f"{max(row['median'] for row in of):.2f} x", *missed]
    return "\n## marks\n\n" + "\n".join(lines) + "\n" if lines else ""


def render(entries):
    return amqp_table.render(entries, COLUMNS, RIVAL) + marks_table(entries)
