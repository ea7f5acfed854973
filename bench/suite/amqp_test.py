"""The AMQP comparison without brokers: which loads there are, how they are asked for, and what is made of the figures."""

import contextlib
import io
import os
import sys
import types
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
BENCH = os.path.dirname(HERE)
sys.path[:0] = [BENCH, os.path.join(os.path.dirname(BENCH), "test")]

from suite import amqp, amqp_table  # noqa: E402  (the path above comes first)


def entry(who, repeat, **figures):
    return {"measure": "flow", "cell": {"kind": "transient", "bytes": 16, "queues": 1}, "contestant": who, "repeat": repeat,
            "figures": figures}


class Options(unittest.TestCase):
    def test_quick_is_smaller_and_what_is_named_stays(self):
        quick, full = amqp.parse(["--quick", "--backlog", "5"]), amqp.parse([])
        self.assertLess(quick.queues, full.queues)
        self.assertEqual(quick.backlog, 5)
        self.assertEqual(full.sizes, [16, 1024, 16384])

    def test_brokers_and_client_are_apart_where_there_are_cores(self):
        args = amqp.parse(["--quick"])
        if len(os.sched_getaffinity(0)) > 1:
            self.assertNotIn(args.client_cores, args.broker_cores.split(","))
        self.assertEqual(int(args.shards), len(args.broker_cores.split(",")))

    def test_unknown_names_are_refused(self):
        for wrong in (["--measures", "flew"], ["--contestants", "rabbit"], ["--sizes", "many"]):
            with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
                amqp.parse(wrong)


class Loads(unittest.TestCase):
    def test_a_quorum_queue_gets_durable_loads_only(self):
        self.assertFalse(amqp.possible("rabbitmq-quorum", "flow", {"kind": "transient"}))
        self.assertTrue(amqp.possible("rabbitmq-quorum", "flow", {"kind": "persistent"}))
        self.assertTrue(amqp.possible("rabbitmq", "flow", {"kind": "transient"}))

    def test_arguments_go_to_durable_queues(self):
        visit = amqp.Visit.__new__(amqp.Visit)
        visit.args = types.SimpleNamespace(client_wrap=[], load="amqp_load")
        visit.port, visit.arguments, visit.broker = 1, "x-queue-type=quorum", types.SimpleNamespace(pid=lambda: 2)
        self.assertIn("x-queue-type=quorum", visit.command("both", durable=True))
        self.assertNotIn("x-queue-type=quorum", visit.command("both", ack=True))
        self.assertEqual(visit.command("both", ack=True, confirm=5, durable=False)[-3:], ["--ack", "--confirm", "5"])


class Tables(unittest.TestCase):
    def test_ratios_are_of_the_same_repeat(self):
        entries = [entry("rabbitmq", 0, msgs_per_s=10), entry("colobus-os", 0, msgs_per_s=20),
                   entry("rabbitmq", 1, msgs_per_s=100), entry("colobus-os", 1, msgs_per_s=500),
                   entry("rabbitmq", 2, msgs_per_s=1), entry("colobus-os", 2, msgs_per_s=3)]
        self.assertIn("**3.00 x**", amqp_table.render(entries))

    def test_a_visit_that_failed_is_told(self):
        broken = dict(entry("colobus-os", 0), failed="it fell over")
        self.assertIn("it fell over", amqp_table.brief(broken))
        self.assertIn("FAILED: it fell over", amqp_table.render([broken]))


if __name__ == "__main__":
    unittest.main()
