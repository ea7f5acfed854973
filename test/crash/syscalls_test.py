"""The checker of traces finds what it must find: each rule broken once."""

import unittest

from syscalls import Trace

WRITE = '7 1.0 pwritev(9<%s>, [{iov_base="xxMARK-1xx", iov_len=10}], 1, 4096) = 10'
SYNC = "7 2.0 fdatasync(9<%s>) = 0"
SEND = r'5 3.0 write(12<TCP:[127.0.0.1:9092->127.0.0.1:4711]>, "\0\0\0\10R001", 12) = 12'
JOURNAL, OTHER = "/d/journal/1", "/d/other"


def verdict(*lines):
    return Trace(lines).verdict("MARK-1", "R001")


class Verdicts(unittest.TestCase):
    def test_write_sync_answer_passes(self):
        self.assertIsNone(verdict(WRITE % JOURNAL, SYNC % JOURNAL, SEND))

    def test_answer_before_the_sync_fails(self):
        self.assertIn("no fdatasync", verdict(WRITE % JOURNAL, SEND, SYNC % JOURNAL))

    def test_sync_before_the_write_fails(self):
        self.assertIn("no fdatasync", verdict(SYNC % JOURNAL, WRITE % JOURNAL, SEND))

    def test_sync_of_another_file_fails(self):
        self.assertIn("no fdatasync", verdict(WRITE % JOURNAL, SYNC % OTHER, SEND))

    def test_failed_sync_does_not_count(self):
        failed = (SYNC % JOURNAL).replace("= 0", "= -1 EIO (Input/output error)")
        self.assertIn("no fdatasync", verdict(WRITE % JOURNAL, failed, SEND))

    def test_answer_while_the_sync_still_runs_fails(self):
        begun, ended = f"7 2.0 fdatasync(9<{JOURNAL}> <unfinished ...>", "7 4.0 <... fdatasync resumed>) = 0"
        self.assertIn("no fdatasync", verdict(WRITE % JOURNAL, begun, SEND, ended))
        self.assertIsNone(verdict(WRITE % JOURNAL, begun, ended, SEND))

    def test_sync_that_began_during_the_write_does_not_count(self):
        begun = f'7 1.0 pwritev(9<{JOURNAL}>, [{{iov_base="MARK-1", iov_len=6}}], 1, 0 <unfinished ...>'
        self.assertIn("no fdatasync",
                      verdict(begun, (SYNC % JOURNAL).replace("7 ", "8 "), "7 2.5 <... pwritev resumed>) = 6", SEND))

    def test_a_marker_never_written_fails(self):
        self.assertIn("no write", verdict(SYNC % JOURNAL, SEND))

    def test_a_missing_answer_fails(self):
        self.assertIn("no send", verdict(WRITE % JOURNAL, SYNC % JOURNAL))


if __name__ == "__main__":
    unittest.main()
