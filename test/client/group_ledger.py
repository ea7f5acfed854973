"""The account of what a group was given: nothing acknowledged is missing, nothing committed is given again."""

import threading
import time

from harness.scenario import eventually, true


class Ledger:
    """Shared by the producers and consumers of one group. What must hold:

    1. Every value whose delivery the broker has acknowledged is given to some consumer.
    2. From one assignment to the next a consumer gets the offsets of a partition in order and without a gap.
    3. An assignment begins at the last committed offset; where the answer to the last commit was not seen, there or
       at the one before.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.acknowledged, self.delivered, self.faults = set(), set(), []
        self.committed, self.unsure = {}, {}  # partition -> offset; partition -> offsets that may be committed
        self.next = {}                        # (consumer, partition) -> offset, since its assignment
        self.begun = 0

    def acknowledge(self, value):
        with self.lock:
            self.acknowledged.add(value)

    def assigned(self, consumer, partitions):
        """The consumer begins anew with these partitions."""
        with self.lock:
            for partition in partitions:
                self.next.pop((consumer, partition), None)

    def deliver(self, consumer, partition, offset, value):
        with self.lock:
            wanted = {self.next.get((consumer, partition))} - {None}
            if not wanted:
                self.begun += 1
                wanted = {self.committed.get(partition, 0)} | self.unsure.get(partition, set())
            if offset not in wanted:
                self.faults.append(f"{consumer} got offset {offset} of {partition}, wanted one of {wanted}")
            self.next[consumer, partition] = offset + 1
            self.delivered.add(value)

    def commit(self, offsets, act):
        """Calls act(), which commits the offsets (partition -> offset); False if it raised."""
        with self.lock:
            for partition, offset in offsets.items():
                self.unsure.setdefault(partition, set()).add(offset)
        act()
        with self.lock:
            for partition, offset in offsets.items():
                self.committed[partition] = offset
                self.unsure.pop(partition, None)

    def missing(self):
        with self.lock:
            return self.acknowledged - self.delivered

    def settle(self, timeout=30):
        """Waits until everything acknowledged has been given; the rules must have been kept."""
        eventually(lambda: not self.missing() or self.faults, timeout, "all records are delivered")
        true(not self.faults, "; ".join(self.faults[:5]))


class Worker(threading.Thread):
    """A consumer on a thread of its own; a subclass speaks to the library. A batch is committed when it is read."""

    def __init__(self, name, ledger=None):
        super().__init__(daemon=True, name=name)
        self.ledger = ledger or Ledger()
        self.owned, self.generation, self.stopping, self.error = frozenset(), 0, False, None
        self.values = []
        self.start()

    def open(self):
        """Makes the consumer; its listener calls took()."""
        raise NotImplementedError

    def poll(self):
        """[(partition, offset, value)], after at most some tenths of a second."""
        raise NotImplementedError

    def commit(self, offsets):
        """Commits partition -> offset; raises one of `refused` if it may not."""
        raise NotImplementedError

    def close(self):
        """Leaves the group."""
        raise NotImplementedError

    refused = ()

    def took(self, partitions, all_owned):
        self.ledger.assigned(self.name, partitions)
        self.owned = frozenset(all_owned)
        self.generation += 1

    def step(self):
        records = self.poll()
        for partition, offset, value in records:
            self.ledger.deliver(self.name, partition, offset, value)
            self.values.append(value)
        offsets = {partition: offset + 1 for partition, offset, _ in records}
        if offsets:
            try:
                self.ledger.commit(offsets, lambda: self.commit(offsets))
            except self.refused:
                time.sleep(0.05)

    def run(self):
        try:
            self.open()
            while not self.stopping:
                self.step()
            self.close()
        except Exception as error:  # shown by the test's own thread
            self.error = error

    def check(self):
        if self.error:
            raise AssertionError(f"consumer {self.name} ended") from self.error

    def end(self):
        self.stopping = True
        self.join(30)
        self.check()
        true(not self.is_alive(), f"consumer {self.name} does not close")


def shared(workers, count, timeout=30):
    """Waits until the workers share `count` partitions evenly, each partition owned once."""
    def even():
        for worker in workers:
            worker.check()
        sizes = [len(worker.owned) for worker in workers]
        return (sum(sizes) == count == len(frozenset().union(*(worker.owned for worker in workers)))
                and max(sizes) - min(sizes) <= 1)
    eventually(even, timeout, f"{len(workers)} consumers share {count} partitions evenly")
