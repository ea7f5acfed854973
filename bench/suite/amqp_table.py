"""The tables of `./dev bench amqp`: medians with their ranges, and the medians of the ratios within each repeat."""

import statistics

from suite.marks import by_repeat, cells_of, grid, ratios, spread

# measure: [(heading, figure, factor, decimals, whether it gets a ratio)]
LATENCY = [(heading, f"latency_{point}_ms", 1, 2, point == "p99")
           for heading, point in (("p50 ms", "p50"), ("p99", "p99"), ("p99.9", "p99.9"), ("max", "max"))]
FLOW = [("msg/s k", "msgs_per_s", 1e-3, 1, True), ("MB/s", "mb_per_s", 1, 1, False), ("CPU us", "cpu_us", 1, 2, True),
        ("broker cores", "broker_cores", 1, 2, False), ("client", "client_cores", 1, 2, False),
        ("RSS MB", "rss_mb", 1, 0, False), ("peak MB", "peak_mb", 1, 0, False)]
COLUMNS = {
    "flow": FLOW, "fanout": FLOW, "prefetch": FLOW,
    "latency": [*LATENCY, ("confirm p50", "confirm_p50_ms", 1, 2, False), ("p99", "confirm_p99_ms", 1, 2, True),
                ("CPU us", "cpu_us", 1, 1, True)],
    "queues": [("declare/s", "declare_per_s", 1, 0, True), ("CPU us", "declare_cpu_us", 1, 1, True),
               ("bytes/queue", "bytes_per_queue", 1, 0, True), ("delete/s", "delete_per_s", 1, 0, True)],
    "idle": [("open/s", "open_per_s", 1, 0, True), ("KiB/connection", "kib_per_connection", 1, 1, True),
             ("idle CPU %", "idle_cpu_percent", 1, 1, False)],
    "backlog": [("publish k/s", "publish_per_s", 1e-3, 1, True), ("CPU us", "publish_cpu_us", 1, 2, True),
                ("bytes/message", "bytes_per_message", 1, 0, True), ("after SIGKILL s", "after_kill_s", 1, 2, True),
                ("after stop s", "after_stop_s", 1, 2, True), ("RSS MB then", "rss_after_restart_mb", 1, 0, False),
                ("consume k/s", "consume_per_s", 1e-3, 1, True), ("CPU us", "consume_cpu_us", 1, 2, True)],
    "syncs": [("syncs per confirm", "syncs_per_confirm", 1, 4, False), ("confirm p50 ms", "confirm_p50_ms", 1, 2, False)],
}
RIVAL = "rabbitmq"


def cell_text(cell):
    return ", ".join(f"{name} {value}" for name, value in cell.items())


def brief(entry, columns=None):
    """One line while the run goes on."""
    head = f"{entry['contestant']:16} {entry['measure']} {cell_text(entry['cell'])}: "
    if "failed" in entry:
        return head + "FAILED: " + entry["failed"]
    return head + ", ".join(f"{name} {entry['figures'][figure] * factor:.{decimals}f}"
                            for name, figure, factor, decimals, _ in (columns or COLUMNS)[entry["measure"]]
                            if figure in entry["figures"])


def line_of(entries, measure, cell, who, columns):
    line = [str(value) for value in cell.values()] + [who]
    for _, figure, factor, decimals, _ in columns:
        values = by_repeat(entries, measure, cell, who, figure).values()
        line.append(spread([value * factor for value in values], decimals))
    return line


def ratio_line(entries, measure, cell, who, rival, columns):
    """Ours by the rival's, as a row below."""
    line, found = [str(value) for value in cell.values()] + [f"{who} : {rival}"], False
    for _, figure, _, _, wanted in columns:
        values = ratios(by_repeat(entries, measure, cell, who, figure), by_repeat(entries, measure, cell, rival, figure))
        line.append(f"**{statistics.median(values):.2f} x**" if wanted and values else "")
        found = found or (wanted and bool(values))
    return line if found else None


def measure_table(entries, measure, columns, rival):
    cells = [cell for cell in cells_of(entries, measure) if cell]
    if not cells:
        return ""
    contestants = dict.fromkeys(entry["contestant"] for entry in entries if entry["measure"] == measure)
    lines = [[*cells[0], "broker", *(column[0] for column in columns)]]
    for cell in cells:
        for who in contestants:
            if any((e["measure"], e["cell"], e["contestant"]) == (measure, cell, who) for e in entries):
                lines.append(line_of(entries, measure, cell, who, columns))
        for who in contestants:
            ratio = ratio_line(entries, measure, cell, who, rival, columns) if who.startswith("colobus") else None
            if ratio:
                lines.append(ratio)
    return f"\n## {measure}\n\n{grid(lines)}\n"


def failures(entries):
    return [f"{e['contestant']}: {e['measure']} {cell_text(e['cell'])} (repeat {e['repeat'] + 1}) FAILED: {e['failed']}"
            for e in entries if "failed" in e]


def render(entries, columns=None, rival=RIVAL):
    """`columns`, `rival`: of another comparison."""
    columns = columns or COLUMNS
    return "".join(measure_table(entries, measure, columns[measure], rival) for measure in columns) + "".join(
        f"\n{text}\n" for text in failures(entries))
