"""The Redis load client against its own sink: it counts what it published and heard, keeps to its limits, notices every
mistake a broker can make, and is faster than what it is to measure."""

import contextlib
import json
import socket
import subprocess
import sys
import unittest

PROGRAM = sys.argv.pop()


@contextlib.contextmanager
def sink(*options):
    process = subprocess.Popen([PROGRAM, "sink", "--broker", "127.0.0.1:0", *options], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, text=True)
    try:
        yield f"127.0.0.1:{json.loads(process.stdout.readline())['port']}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def run(broker, mode, *options):
    return subprocess.run([PROGRAM, mode, "--broker", broker, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=30, check=False)


class RedisLoad(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.broker = cls.stack.enter_context(sink())

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def flow(self, *options):
        done = run(self.broker, "flow", *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_all_of_a_count_is_published_answered_and_heard(self):
        for size in ("16", "17", "1024", "100000"):
            got = self.flow("--count", "600", "--publishers", "3", "--pipeline", "50", "--subscribers", "4", "--size", size)
            self.assertEqual((got["all"]["answered"], got["all"]["due"], got["all"]["delivered"]), (600, 2400, 2400))
            self.assertEqual((got["latency_us"]["count"], got["answer_us"]["count"]), (2400, 600))

    def test_subscribers_are_dealt_out_to_the_channels(self):
        self.flow("--count", "500", "--publishers", "5", "--subscribers", "9", "--channels", "7")
        got = self.flow("--count", "700", "--subscribers", "10", "--channels", "7")
        self.assertEqual(got["all"]["delivered"], 700 // 7 * 10)

    def test_patterns_and_pushes_are_understood(self):
        for options in (["--pattern"], ["--resp", "3"], ["--pattern", "--resp", "3"]):
            self.assertEqual(self.flow("--count", "100", *options)["all"]["delivered"], 100)

    def test_a_schedule_is_kept(self):
        got = self.flow("--rate", "5000", "--seconds", "0.5", "--pipeline", "1000", "--publishers", "2")
        self.assertAlmostEqual(got["published"], 2500, delta=50)

    def test_warm_up_is_not_counted(self):
        got = self.flow("--rate", "1000", "--pipeline", "1000", "--warm-up", "0.5", "--seconds", "0.5")
        self.assertAlmostEqual(got["published"], 500, delta=20)
        self.assertAlmostEqual(got["all"]["published"], 1000, delta=20)

    def test_what_is_unread_is_limited(self):
        got = self.flow("--seconds", "0.3", "--pipeline", "1000", "--lag", "10", "--subscribers", "3")
        self.assertGreater(got["published"], 10)
        self.assertLess(got["latency_us"]["p50"], 100000)

    def test_a_listener_counts_what_others_publish(self):
        listener = subprocess.Popen([PROGRAM, "listen", "--broker", self.broker, "--subscribers", "2"], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True)
        self.assertEqual(json.loads(listener.stdout.readline())["subscribers"], 2)
        host, port = self.broker.split(":")
        with socket.create_connection((host, int(port))) as other:
            other.sendall(b"*3\r\n$7\r\nPUBLISH\r\n$6\r\nload.0\r\n$16\r\nxxxxxxxxxxxxxxxx\r\n" * 50)
            answers = b""
            while len(answers) < 50 * 4:
                answers += other.recv(1000)
        self.assertEqual(json.loads(listener.communicate()[0])["delivered"], 100)

    def test_idle_subscribers_stay_until_input_ends(self):
        idle = subprocess.Popen([PROGRAM, "idle", "--broker", self.broker, "--subscribers", "100"], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
        self.assertEqual(json.loads(idle.stdout.readline())["subscribers"], 100)
        self.assertIsNone(idle.poll())
        idle.communicate()
        self.assertEqual(idle.returncode, 0)

    def test_one_core_makes_and_takes_more_than_brokers_can(self):
        got = self.flow("--seconds", "0.3", "--publishers", "4", "--pipeline", "128", "--subscribers", "0")
        self.assertGreater(got["published_per_s"], 300000)  # ten times as many on a machine that does nothing else

    def test_mistakes_of_the_user_are_told(self):
        for wrong in (["devour"], ["flow", "--size", "many"], ["flow", "--size", "15"], ["flow", "--pattern", "--channels", "2"]):
            self.assertEqual(run(self.broker, *wrong).returncode, 2)


class Mistakes(unittest.TestCase):
    """The sink does one of thirty deliveries, or answers, wrong."""

    def noticed(self, how, words, *options):
        with sink("--spoil", "30", "--spoil-how", how) as broker:
            done = run(broker, "flow", "--seconds", "0.1", "--count", "100", "--pipeline", "10", "--drain", "0.3", *options)
        self.assertEqual(done.returncode, 1)
        self.assertIn(words, done.stderr)

    def test_a_message_that_is_dropped(self):
        self.noticed("drop", "97 deliveries of 100, 3 lost")

    def test_a_message_that_comes_twice(self):
        self.noticed("twice", "3 twice or out of order")

    def test_messages_that_change_places(self):
        self.noticed("swap", "twice or out of order")

    def test_a_message_that_is_damaged(self):
        self.noticed("damage", "another payload", "--size", "17")

    def test_an_answer_with_the_wrong_number(self):
        self.noticed("answer", "3 of them wrong")


if __name__ == "__main__":
    unittest.main()
