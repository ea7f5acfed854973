"""The load client refuses a command line that it does not understand, with exit code 2 and the reason."""

import subprocess
import sys
import unittest

LOAD = sys.argv.pop()


def run(*args):
    done = subprocess.run([LOAD, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=20)
    return done.returncode, done.stdout, done.stderr


class Args(unittest.TestCase):
    def refused(self, reason, *args):
        code, out, err = run(*args)
        self.assertEqual((code, out), (2, ""))
        self.assertIn(reason, err)

    def test_a_mode_is_needed(self):
        self.refused("usage: load")

    def test_an_unknown_mode(self):
        self.refused("no mode 'devour'", "devour")

    def test_an_unknown_option(self):
        self.refused("unrecognized option", "produce", "--bananas", "3")

    def test_a_number_out_of_range(self):
        self.refused("--partitions takes a number from 1", "produce", "--partitions", "0")

    def test_a_number_with_letters(self):
        self.refused("not '10k'", "produce", "--rate", "10k")

    def test_a_stray_word(self):
        self.refused("what is 'fast'?", "produce", "fast")

    def test_consume_needs_a_count(self):
        self.refused("needs --count", "consume")

    def test_a_broker_that_is_not_there_fails_the_run(self):
        code, out, err = run("first", "--brokers", "127.0.0.1:1", "--timeout", "0.5")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("timeout", err)


if __name__ == "__main__":
    unittest.main()
