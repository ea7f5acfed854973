"""What was acknowledged and seen, and whether what a broker holds agrees with it.

A value says who sent it: producer, partition, and a sequence that each producer counts per partition. For a
partition with the records read back:
 1. offsets are dense, and none that was acknowledged or seen lies past the end;
 2. at an offset that was acknowledged, or seen by a consumer, stands the value that was;
 3. of an idempotent producer, each sequence stands once, in order, without a gap;
 4. of a producer that never retries, sequences ascend: none twice, none out of order. A gap is one that was
    never acknowledged;
 5. what was verified once reads the same for ever."""


class Wrong(Exception):
    """The broker lost, doubled, moved or invented a record."""


class Partition:
    def __init__(self, name):
        self.name = name
        self.acknowledged = {}  # offset -> value; dropped when verified
        self.seen = {}          # likewise, by a consumer while the load ran
        self.verified = []      # value at each offset
        self.last = {}          # producer -> last sequence in the log

    def acknowledge(self, offset, value):
        before = self.acknowledged.setdefault(offset, value)
        if before != value:
            raise Wrong(f"{self.name}: offset {offset} was given to {before} and to {value}")
        if offset < len(self.verified) and self.verified[offset] != value:
            raise Wrong(f"{self.name}: offset {offset} of {self.verified[offset]} was given to {value}")

    def see(self, offset, value):
        self.seen[offset] = value

    def verify(self, records, end, idempotent):
        """records: (offset, value) from the first unverified offset to the end offset."""
        for offset, value in records:
            if offset != len(self.verified):
                raise Wrong(f"{self.name}: offset {offset} follows {len(self.verified) - 1}")
            self.check_value(offset, value)
            self.check_sequence(offset, value, idempotent)
            self.verified.append(value)
        if len(self.verified) != end:
            raise Wrong(f"{self.name}: {len(self.verified)} records are readable, the end is {end}")
        for kind, ledger in (("acknowledged", self.acknowledged), ("seen", self.seen)):
            if ledger:
                raise Wrong(f"{self.name}: {len(ledger)} records {kind} are gone, first {sorted(ledger.items())[0]}")

    def check_value(self, offset, value):
        for kind, ledger in (("acknowledged", self.acknowledged), ("seen", self.seen)):
            wanted = ledger.pop(offset, value)
            if wanted != value:
                raise Wrong(f"{self.name}: at offset {offset} stands {value}, {kind} was {wanted}")

    def check_sequence(self, offset, value, idempotent):
        producer, sequence = value
        last = self.last.get(producer, -1)
        if sequence <= last:
            raise Wrong(f"{self.name}: {producer} sequence {sequence} at offset {offset} comes after {last}")
        if producer in idempotent and sequence != last + 1:
            raise Wrong(f"{self.name}: {producer} sequence {sequence} at offset {offset} follows {last}: a gap")
        self.last[producer] = sequence

    def verify_again(self, records):
        """records: the whole partition once more."""
        values = [value for _, value in records]
        if values != self.verified:
            at = next((i for i, pair in enumerate(zip(values, self.verified)) if pair[0] != pair[1]),
                      min(len(values), len(self.verified)))
            raise Wrong(f"{self.name}: {len(values)} records, {len(self.verified)} were verified before; first "
                        f"difference at offset {at}")


class Positions:
    """What one group has committed of a partition, and what it was given:
     1. a committed offset that is told lies between the highest that was acknowledged before the question and
        the highest that was ever sent;
     2. an assignment begins within the same bounds, and goes on without a gap: so every record is given at least
        once, and again only those from the last acknowledged commit on."""

    def __init__(self, name):
        self.name = name
        self.acknowledged = self.sent = 0  # offsets; before the first commit groups begin at 0
        self.next = {}                     # consumer -> the offset it gets next in this assignment
        self.floor = {}                    # consumer -> what was acknowledged when its assignment began
        self.reached = 0                   # every record below has been given to somebody
        self.again = 0                     # records that were given again

    def committing(self, offset):
        self.sent = max(self.sent, offset)

    def committed(self, offset):
        if offset > self.sent:
            raise Wrong(f"{self.name}: a commit of {offset} was acknowledged, {self.sent} was sent at most")
        self.acknowledged = max(self.acknowledged, offset)

    def told(self, offset, acknowledged):
        """acknowledged: what it was when the question was asked."""
        if not acknowledged <= max(offset, 0) <= self.sent:
            raise Wrong(f"{self.name}: {offset} is told to be committed; {acknowledged} was acknowledged before, "
                        f"{self.sent} sent at most")

    def assigned(self, consumer):
        self.next.pop(consumer, None)
        self.floor[consumer] = self.acknowledged

    def revoked(self, consumer):
        self.next.pop(consumer, None)
        self.floor.pop(consumer, None)

    def given(self, consumer, offset):
        if consumer not in self.floor:
            raise Wrong(f"{self.name}: {consumer} was given offset {offset} without an assignment")
        if consumer not in self.next:
            if not self.floor[consumer] <= offset <= self.sent:
                raise Wrong(f"{self.name}: {consumer} begins at offset {offset}; {self.floor[consumer]} was "
                            f"acknowledged, {self.sent} sent at most")
        elif offset != self.next[consumer]:
            raise Wrong(f"{self.name}: {consumer} was given offset {offset}, expected {self.next[consumer]}")
        if offset > self.reached:
            raise Wrong(f"{self.name}: {consumer} was given offset {offset}; nobody was given {self.reached}")
        self.again += offset < self.reached
        self.reached = max(self.reached, offset + 1)
        self.next[consumer] = offset + 1
