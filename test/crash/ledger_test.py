"""The ledger finds each kind of wrong once."""

import unittest

from ledger import Partition, Wrong

SAFE = {"idem"}


def records(*values):
    return list(enumerate(values))


class Ledger(unittest.TestCase):
    def setUp(self):
        self.log = Partition("t/0")
        for i in range(3):
            self.log.acknowledge(i, ("idem", i))

    def wrong(self, text, found, end=None):
        with self.assertRaisesRegex(Wrong, text):
            self.log.verify(found, len(found) if end is None else end, SAFE)

    def test_all_there_passes_in_rounds(self):
        self.log.verify(records(*[("idem", i) for i in range(4)]), 4, SAFE)
        self.log.acknowledge(4, ("idem", 4))
        self.log.verify([(4, ("idem", 4)), (5, ("plain", 7))], 6, SAFE)
        self.log.verify_again(records(*[("idem", i) for i in range(5)], ("plain", 7)))

    def test_lost_at_the_end(self):
        self.wrong("1 records acknowledged are gone", records(("idem", 0), ("idem", 1)))

    def test_seen_and_lost(self):
        self.log.see(3, ("plain", 0))
        self.wrong("seen are gone", records(*[("idem", i) for i in range(3)]))

    def test_value_at_another_offset(self):
        self.wrong("acknowledged was", records(("idem", 0), ("plain", 0), ("idem", 1), ("idem", 2)))

    def test_duplicate(self):
        self.wrong("comes after", records(*[("idem", i) for i in (0, 1, 2, 2)]))

    def test_gap_of_an_idempotent_producer(self):
        self.wrong("a gap", records(*[("idem", i) for i in (0, 1, 2, 4)]))

    def test_gap_of_a_plain_producer_is_no_fault(self):
        self.log.verify(records(*[("idem", i) for i in range(3)], ("plain", 5)), 4, SAFE)

    def test_order_of_a_plain_producer(self):
        self.wrong("comes after", records(*[("idem", i) for i in range(3)], ("plain", 5), ("plain", 4)))

    def test_hole_in_the_offsets(self):
        self.wrong("offset 2 follows 0", [(0, ("idem", 0)), (2, ("idem", 2))])

    def test_end_past_the_records(self):
        self.wrong("the end is 9", records(*[("idem", i) for i in range(3)]), end=9)

    def test_one_offset_for_two_values(self):
        with self.assertRaisesRegex(Wrong, "was given to"):
            self.log.acknowledge(1, ("plain", 1))

    def test_verified_records_that_change(self):
        self.log.verify(records(*[("idem", i) for i in range(3)]), 3, SAFE)
        with self.assertRaisesRegex(Wrong, "difference at offset 1"):
            self.log.verify_again(records(("idem", 0), ("idem", 2), ("idem", 1)))
        with self.assertRaisesRegex(Wrong, "difference at offset 2"):
            self.log.verify_again(records(("idem", 0), ("idem", 1)))


if __name__ == "__main__":
    unittest.main()
