"""The AMQP load client against its own sink: it counts what it sent and got, keeps to its limits, and is faster than what
it is to measure."""

import json
import subprocess
import sys
import unittest

PROGRAM = sys.argv.pop()


class AmqpLoad(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sink = subprocess.Popen([PROGRAM, "sink", "--broker", "127.0.0.1:0", "--size", "16"], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, text=True)
        cls.broker = f"127.0.0.1:{json.loads(cls.sink.stdout.readline())['port']}"

    @classmethod
    def tearDownClass(cls):
        cls.sink.kill()
        cls.sink.wait()
        cls.sink.stdout.close()

    def load(self, mode, *options, status=0):
        done = subprocess.run([PROGRAM, mode, "--broker", self.broker, *options], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return json.loads(done.stdout) if status == 0 else done.stderr

    def test_all_of_a_count_is_sent_and_confirmed(self):
        for size in ("0", "16", "1024", "300000"):
            got = self.load("publish", "--count", "1000", "--confirm", "100", "--size", size, "--drain", "5")
            self.assertEqual((got["all"]["sent"], got["all"]["confirmed"], got["confirm_us"]["count"]), (1000, 1000, 1000))

    def test_a_schedule_is_kept(self):
        got = self.load("publish", "--rate", "5000", "--seconds", "0.5", "--confirm", "5000", "--publishers", "3")
        self.assertAlmostEqual(got["sent"], 2500, delta=25)
        self.assertGreater(got["confirm_us"]["p99"], 0)

    def test_warm_up_is_not_counted(self):
        got = self.load("publish", "--rate", "1000", "--warm-up", "0.5", "--seconds", "0.5")
        self.assertAlmostEqual(got["sent"], 500, delta=15)
        self.assertAlmostEqual(got["all"]["sent"], 1000, delta=15)

    def test_one_core_makes_and_takes_more_than_brokers_can(self):
        sent = self.load("publish", "--seconds", "0.3")["sent"]
        got = self.load("consume", "--seconds", "0.3")["received"]
        self.assertGreater(min(sent, got), 100000)  # ten times as many on a machine that does nothing else

    def test_bodies_of_another_size_fail_the_run(self):
        self.load("consume", "--seconds", "0.1", "--size", "17", status=1)

    def test_what_is_on_its_way_is_limited(self):
        got = self.load("publish", "--seconds", "0.1", "--in-flight", "10")  # nothing comes back
        self.assertEqual(got["all"]["sent"], 10)

    def test_queues_are_declared_many_at_once(self):
        self.assertEqual(self.load("declare", "--queues", "5000")["queues"], 5000)

    def test_mistakes_are_told(self):
        self.load("devour", status=2)
        self.load("publish", "--size", "many", status=2)


if __name__ == "__main__":
    unittest.main()
