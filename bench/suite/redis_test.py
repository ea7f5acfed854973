"""The Redis comparison without brokers: which loads there are, how they are asked for, and what is made of the figures."""

import contextlib
import io
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
BENCH = os.path.dirname(HERE)
sys.path[:0] = [BENCH, os.path.join(os.path.dirname(BENCH), "test")]

from suite import redis, redis_table  # noqa: E402  (the path above comes first)


def entry(who, repeat, subscribers=100, **figures):
    return {"measure": "flow", "cell": redis.cell_of(subscribers, 16, load="pipelined"), "contestant": who, "repeat": repeat,
            "figures": figures}


class Options(unittest.TestCase):
    def test_brokers_and_clients_are_apart_where_there_are_cores(self):
        args = redis.parse(["--quick"])
        if len(os.sched_getaffinity(0)) > 1:
            self.assertNotEqual(args.client_core, args.broker_core)

    def test_unknown_names_are_refused(self):
        for wrong in (["--measures", "flew"], ["--contestants", "rabbitmq"], ["--sizes", "many"]):
            with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
                redis.parse(wrong)


class Loads(unittest.TestCase):
    def test_every_load_that_was_wanted_is_there(self):
        cells = list(redis.flow_cells(redis.parse([])))
        for load in redis.LOADS:
            for subscribers in (0, 1, 100, 1000):
                for size in (16, 1024):
                    self.assertIn(redis.cell_of(subscribers, size, load=load), cells)
            self.assertIn(redis.cell_of(100, 16, "RESP3", load=load), cells)
            self.assertIn(redis.cell_of(1, 16, "pattern", load=load), cells)
            self.assertIn(redis.cell_of(100, 16, "2 channels", load=load), cells)
            self.assertIn(redis.cell_of(100, 16, "own channels", load=load), cells)

    def test_nobody_meets_a_limit_for_slow_subscribers(self):
        """Redis's is 32 MB, or 8 MB for a minute."""
        for cell in redis.flow_cells(redis.parse([])):
            most = max(redis.unread(cell), 64) * (cell["bytes"] + redis.FRAME)
            self.assertLess(most, 8 << 20)

    def test_a_cell_becomes_options(self):
        self.assertEqual(redis.options_of(redis.cell_of(100, 16, "own channels", load="one by one"))["channels"], 100)
        self.assertEqual(redis.options_of(redis.cell_of(100, 16, "2 channels", load="pipelined"))["channels"], 2)
        self.assertEqual(redis.options_of(redis.cell_of(100, 16, "RESP3", load="pipelined"))["resp"], 3)
        self.assertTrue(redis.options_of(redis.cell_of(1, 16, "pattern", load="pipelined"))["pattern"])


class Tables(unittest.TestCase):
    def test_ratios_are_of_the_same_repeat(self):
        entries = [entry("redis", 0, delivered_per_s=10), entry("colobus", 0, delivered_per_s=20),
                   entry("redis", 1, delivered_per_s=100), entry("colobus", 1, delivered_per_s=500),
                   entry("redis", 2, delivered_per_s=1), entry("colobus", 2, delivered_per_s=3)]
        self.assertIn("**3.00 x**", redis_table.render(entries))

    def test_a_mark_that_is_missed_is_told_with_its_cell(self):
        entries = [entry("redis", 0, delivered_per_cpu_s=10), entry("colobus", 0, delivered_per_cpu_s=12)]
        self.assertIn("MISSED: 1.20 x", redis_table.render(entries))
        entries = [entry("redis", 0, delivered_per_cpu_s=10), entry("colobus", 0, delivered_per_cpu_s=14)]
        self.assertIn("1 of 1 cells, 1.40 to 1.40 x", redis_table.render(entries))

    def test_the_mark_of_a_hundred_subscribers_is_theirs_only(self):
        entries = [entry("redis", 0, 1, delivered_per_cpu_s=10), entry("colobus", 0, 1, delivered_per_cpu_s=12)]
        self.assertNotIn("MISSED", redis_table.render(entries))

    def test_a_visit_that_failed_is_told(self):
        broken = dict(entry("colobus", 0), failed="it fell over")
        self.assertIn("it fell over", redis_table.brief(broken))
        self.assertIn("FAILED: it fell over", redis_table.render([broken]))


if __name__ == "__main__":
    unittest.main()
