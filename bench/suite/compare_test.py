"""The parts of the comparison that can be wrong without a broker: what tools print, ratios, marks, the order of visits."""

import os
import subprocess
import sys
import tempfile
import types
import unittest
import unittest.mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(os.path.dirname(HERE)), "test")]

from suite import budget, compare, marks, rival, versus  # noqa: E402  (the path above comes first)

PRODUCER = """\
10001 records sent, 2000.2 records/sec (1.95 MB/sec), 3.4 ms avg latency, 90.0 ms max latency.
30000 records sent, 22124.35 records/sec (21.61 MB/sec), 843.10 ms avg latency, 1912.00 ms max latency, 840 ms 50th, \
1500 ms 95th, 1899 ms 99th, 1911 ms 99.9th.
"""
CONSUMER = """\
WARNING: something, with, commas
start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, \
fetch.MB.sec, fetch.nMsg.sec
2026-01-01 10:00:00:100, 2026-01-01 10:00:04:100, 292.9688, 73.2422, 300000, 75000.0, 400, 3600, 81.3802, 83333.3
"""


def entry(contestant, repeat, measure="flow", cell=None, **figures):
    return {"measure": measure, "cell": cell or {"bytes": 100, "partitions": 1}, "contestant": contestant,
            "repeat": repeat, "figures": figures}


class Tools(unittest.TestCase):
    def test_the_last_line_of_the_producer_counts(self):
        found = rival.parse_producer(PRODUCER)
        self.assertEqual((found["records"], found["records_per_s"], found["p99_ms"], found["p99.9_ms"]),
                         (30000, 22124.35, 1899, 1911))

    def test_a_producer_without_a_result_is_an_error(self):
        with self.assertRaisesRegex(rival.ToolError, "no broker"):
            rival.parse_producer("no broker")

    def test_the_consumer_is_read_by_its_heading(self):
        found = rival.parse_consumer(CONSUMER)
        self.assertEqual((found["records"], found["records_per_s"], found["fetch_records_per_s"]), (300000, 75000, 83333.3))

    def test_a_consumer_without_a_result_is_an_error(self):
        with self.assertRaises(rival.ToolError):
            rival.parse_consumer(CONSUMER.splitlines()[1])

    def test_a_program_that_fails_tells_the_end_of_what_it_said(self):
        with self.assertRaisesRegex(rival.ToolError, "alas"):
            rival.run_tool([sys.executable, "-c", "print('alas'); raise SystemExit(3)"])

    def test_settings_given_replace_those_of_the_house(self):
        lines = rival.properties(1, 2, "d", 2, {"num.io.threads": 9}).splitlines()
        self.assertEqual([line for line in lines if line.startswith("num.io.threads")], ["num.io.threads=9"])


class Statistics(unittest.TestCase):
    def test_a_ratio_is_taken_within_its_repeat(self):
        self.assertEqual(marks.ratios({0: 10, 1: 40, 2: 7}, {0: 5, 1: 10, 3: 1}), [2, 4])

    def test_the_mark_is_the_median_of_ratios_not_the_ratio_of_medians(self):
        mark = marks.Mark("twice", "flow", "r", ("ours",), "kafka", True, 2)
        pairs = [(10, 5), (30, 20), (90, 30)]  # ratios 2, 1.5, 3; medians 30 / 20
        entries = [entry(who, i, r=pair[at]) for i, pair in enumerate(pairs) for at, who in enumerate(("ours", "kafka"))]
        row, = marks.judge(entries, [mark])
        self.assertEqual((row["median"], row["least"], row["greatest"], row["met"]), (2, 1.5, 3, True))

    def test_a_mark_of_at_most_is_missed_above_its_bound(self):
        mark = marks.Mark("small", "flow", "mb", ("ours",), None, False, 64)
        self.assertEqual([marks.judge([entry("ours", 0, mb=value)], [mark])[0]["met"] for value in (64, 65)], [True, False])

    def test_a_mark_looks_only_at_its_cells(self):
        mark = marks.Mark("many", "flow", "mb", ("ours",), None, False, 64, lambda cell: cell["partitions"] == 1000)
        self.assertEqual(marks.judge([entry("ours", 0, mb=1)], [mark]), [])

    def test_what_was_not_measured_is_not_judged(self):
        self.assertEqual(marks.judge([entry("colobus-os", 0, **{"produce.records_per_s": 5})]), [])

    def test_every_mark_and_column_names_a_measure_that_exists(self):
        for measure in [mark.measure for mark in marks.MARKS] + [title.split(",")[0] for title in marks.COLUMNS]:
            self.assertIn(measure, versus.MEASURES)

    def test_a_table_has_a_line_for_each_contestant(self):
        entries = [entry(who, 0, **{"produce.records_per_s": rate}) for who, rate in (("kafka", 1000), ("colobus-os", 2500))]
        text = marks.render(entries)
        self.assertRegex(text, r"\| 100 +\| 1 +\| kafka +\| 1 ")
        self.assertIn("2.50 x", text)

    def test_a_tool_that_failed_is_told(self):
        self.assertIn("kafka: Kafka's consumer tool failed: why", marks.render([entry("kafka", 0, "tools",
                                                                                      consumer_failed="why")]))

    def test_a_visit_that_failed_is_told(self):
        self.assertIn("kafka: flow bytes 100, partitions 1 (repeat 1) FAILED: gone",
                      marks.render([dict(entry("kafka", 0), failed="gone")]))


PERF = """\
disk pool 12
\tffff0001 copy_from_user+0x1c
\tffff0002 vfs_write
\t    27b4 __libc_pwrite

colobus    10
\t    1234 __memmove_avx_unaligned_erms
\t    2345 log_append+0x20
\t    3456 kafka_produce

loop-1    11
\t    1234 [unknown]
"""


class Budget(unittest.TestCase):
    def test_samples_are_dealt_out_to_threads_and_stages(self):
        parts = budget.budget(PERF, 10, 300)
        self.assertEqual(parts, {("disk pool", "file: write"): 100, ("loop", "copy: into the tail"): 100,
                                 ("loop", "else"): 100})

    def test_a_name_is_a_whole_symbol(self):
        self.assertEqual([budget.stage_of([name]) for name in ("vfs_write", "my_vfs_write")], ["file: write", "else"])

    def test_the_table_sums_up(self):
        text = budget.table({("loop", "a"): 1, ("disk", "a"): 2, ("disk", "b"): 3}, 6)
        self.assertRegex(text, r"\| a +\| 2.0 +\| 1.0 +\| 3.0 ")
        self.assertRegex(text, r"\| all +\| 5.0 +\| 1.0 +\| 6.0 ")


class Plan(unittest.TestCase):
    ARGS = types.SimpleNamespace(repeats=2, contestants=["a", "b"], measures=["flow"], cells=[(1, 1), (2, 2)])

    def test_contestants_take_turns_and_change_their_order(self):
        order = [(repeat, cell[0], who) for repeat, _, cell, who in versus.rounds(self.ARGS)]
        self.assertEqual(order, [(0, 1, "a"), (0, 1, "b"), (0, 2, "a"), (0, 2, "b"),
                                 (1, 1, "b"), (1, 1, "a"), (1, 2, "b"), (1, 2, "a")])

    def test_options_are_checked(self):
        with self.assertRaises(SystemExit), open(os.devnull, "w", encoding="utf-8") as nowhere:
            sys.stderr, kept = nowhere, sys.stderr
            try:
                compare.parse(["--contestants", "colobus,pulsar"])
            finally:
                sys.stderr = kept

    def test_quick_leaves_what_is_given(self):
        args = compare.parse(["--quick", "--repeats", "3", "--cells", "100x12"])
        self.assertEqual((args.repeats, args.cells, args.seconds), (3, [(100, 12)], compare.QUICK["seconds"]))

    def test_a_visit_that_fails_does_not_end_the_others(self):
        def measure(_args, _work, contestant, _cell):
            if contestant == "a":
                raise subprocess.CalledProcessError(1, "load")
            return {"r": {"s": 1}}
        noted = []
        with unittest.mock.patch.dict(versus.MEASURES, flow=(measure, versus.MEASURES["flow"][1], ("bytes", "partitions"))), \
                unittest.mock.patch("sys.stderr"):
            versus.run(self.ARGS, "nowhere", noted.append)
        self.assertEqual([("failed" in entry, entry["figures"]) for entry in noted[:2]], [(True, {}), (False, {"r.s": 1})])
        self.assertEqual(len(noted), 8)

    def test_pages_can_be_forgotten(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "file"), "wb") as file:
                file.write(bytes(1 << 20))
            self.assertIn(versus.forget_pages(folder), (None, 0))


if __name__ == "__main__":
    unittest.main()
