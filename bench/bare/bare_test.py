"""The bare client against a broker: it counts what is there, and dies when it is refused."""

import json
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "test"))

from harness.broker import Broker  # noqa: E402  (the path above comes first)

BROKER, LOAD, BARE = sys.argv.pop(), sys.argv.pop(), sys.argv.pop()


def run(program, *args):
    return subprocess.run([program, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60)


class Bare(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = Broker(BROKER)
        cls.broker.start(60)

    @classmethod
    def tearDownClass(cls):
        cls.broker.close()

    def bare(self, mode, topic, *args):
        done = run(BARE, mode, "--broker", self.broker.bootstrap, "--topic", topic, "--partitions", "3", *args)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def make(self, topic):
        done = run(LOAD, "create", "--brokers", self.broker.bootstrap, "--topic", topic, "--partitions", "3")
        self.assertEqual(done.returncode, 0, done.stderr)

    def produce(self, topic):
        self.make(topic)
        return self.bare("produce", topic, "--connections", "2", "--size", "100", "--batch-bytes", "5000", "--seconds", "0.3")

    def test_fetch_counts_every_record_that_was_produced(self):
        sent = self.produce("counted")
        self.assertEqual(sent["records"], sent["requests"] * 50)
        for connections in ("1", "2"):
            got = self.bare("fetch", "counted", "--connections", connections, "--fetch-bytes", "20000")
            self.assertEqual(got["records"], sent["records"] + sent["warm"])
            self.assertGreater(got["bytes"], sent["bytes"])

    def test_other_clients_find_the_records_sound(self):
        sent = self.produce("sound")  # librdkafka checks each CRC
        count = sent["records"] + sent["warm"]
        done = run(LOAD, "consume", "--brokers", self.broker.bootstrap, "--topic", "sound", "--partitions", "3", "--count",
                   str(count))
        self.assertEqual(json.loads(done.stdout)["consumed"]["bytes"], count * 100)

    def test_the_newest_are_read_again_and_again(self):
        sent = self.produce("again")
        got = self.bare("fetch", "again", "--last", "50", "--seconds", "0.3")
        self.assertGreater(got["requests"], 3)
        self.assertGreater(sent["records"], 150)

    def test_a_refusal_fails_the_run(self):
        self.make("narrow")
        done = run(BARE, "produce", "--broker", self.broker.bootstrap, "--topic", "narrow", "--partitions", "3", "--size",
                   str(1 << 20))  # with its headers too large for a batch
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("refused with code 10", done.stderr)

    def test_copy_needs_no_broker(self):
        self.assertGreater(json.loads(run(BARE, "copy", "--seconds", "0.1").stdout)["bytes"], 0)

    def test_an_unknown_mode_is_refused(self):
        self.assertEqual(run(BARE, "devour").returncode, 2)


if __name__ == "__main__":
    unittest.main()
