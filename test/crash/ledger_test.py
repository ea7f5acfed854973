"""The ledger finds each kind of wrong once."""

import unittest

from ledger import Partition, Positions, Wrong

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


class GroupPositions(unittest.TestCase):
    def setUp(self):
        self.group = Positions("g t/0")
        self.group.assigned("a")
        for offset in range(10):
            self.group.given("a", offset)
        self.group.committing(4)
        self.group.committed(4)
        self.group.committing(8)  # is never answered

    def wrong(self, text, act, *arguments):
        with self.assertRaisesRegex(Wrong, text):
            act(*arguments)

    def test_what_may_be_committed_may_be_told(self):
        for offset in (4, 8):
            self.group.told(offset, 4)

    def test_a_commit_lost_or_invented(self):
        self.wrong("4 was acknowledged before", self.group.told, 3, 4)
        self.wrong("4 was acknowledged before", self.group.told, -1, 4)
        self.wrong("8 sent at most", self.group.told, 9, 4)
        self.wrong("8 was sent at most", self.group.committed, 9)

    def test_no_commit_is_told_as_none(self):
        Positions("g t/1").told(-1, 0)

    def test_an_assignment_begins_at_the_commit_and_counts_what_comes_again(self):
        for first in (4, 8):
            self.group.assigned("b")
            self.group.given("b", first)
        self.assertEqual(self.group.again, 2)

    def test_an_assignment_that_begins_too_early_or_too_late(self):
        self.group.assigned("b")
        self.wrong("begins at offset 3; 4 was acknowledged", self.group.given, "b", 3)
        self.wrong("begins at offset 9", self.group.given, "b", 9)

    def test_a_commit_after_the_assignment_is_no_floor_for_it(self):
        self.group.assigned("b")
        self.group.committed(8)
        self.group.given("b", 4)

    def test_a_gap_and_a_step_back(self):
        self.wrong("expected 10", self.group.given, "a", 11)
        self.wrong("expected 10", self.group.given, "a", 9)

    def test_a_record_nobody_was_given(self):
        self.group.committing(12)
        self.group.assigned("b")
        self.wrong("nobody was given 10", self.group.given, "b", 11)

    def test_records_without_an_assignment(self):
        self.group.revoked("a")
        self.wrong("without an assignment", self.group.given, "a", 10)


if __name__ == "__main__":
    unittest.main()
