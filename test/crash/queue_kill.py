"""kill -9 while AMQP clients publish with confirms and acknowledge; the ledger of queues.

(1) What was confirmed is delivered in the end from every queue that it was routed to, unless an acknowledgement of it
was sent (or a rejection, then from the dead-letter queue). (2) Nothing is delivered that was not published there. (3)
Nothing is delivered twice without the redelivered flag, nor again in one life of the broker after it was settled for
good. (4) At the end each queue holds a message once."""

import collections
import random
import socket
import threading
import time

import amqp_wire

QUEUES = ["kill-0", "kill-1", "kill-2", "kill-dying"]
FAN = QUEUES[:3]  # bound to the fanout
DEAD = "kill-dead"
PUBLISHERS, WINDOW, PREFETCH = 3, 30, 40
BROKEN = (OSError, amqp_wire.Gone, amqp_wire.Closed)


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.life = 0
        self.published = {name: set() for name in [*QUEUES, DEAD]}
        self.confirmed = {name: set() for name in QUEUES}
        self.settled = {name: {} for name in [*QUEUES, DEAD]}  # body -> life in which it was acked or rejected
        self.rejected, self.acked = set(), set()  # of kill-dying; perhaps both, if a rejection was lost
        self.seen = {name: set() for name in [*QUEUES, DEAD]}
        self.wrong, self.deliveries = [], 0

    def publish(self, queues, body):
        with self.lock:
            for queue in queues:
                self.published[queue].add(body)

    def confirm(self, queues, body):
        with self.lock:
            for queue in queues:
                self.confirmed[queue].add(body)

    def deliver(self, queue, body, redelivered):
        with self.lock:
            self.deliveries += 1
            known = self.rejected if queue == DEAD else self.published[queue]
            if body not in known:
                self.wrong.append(f"{queue}: {body} was never sent there")
            if self.settled[queue].get(body) == self.life:
                self.wrong.append(f"{queue}: {body} was settled, and comes back")
            if body in self.seen[queue] and not redelivered:
                self.wrong.append(f"{queue}: {body} comes again without the flag")
            self.seen[queue].add(body)

    def settle(self, queue, body, rejects):
        with self.lock:
            self.settled[queue][body] = self.life
            if queue == "kill-dying":
                (self.rejected if rejects else self.acked).add(body)

    def lost(self, drained):
        """After the drain: what should have been in a queue, and was neither there nor settled."""
        gone = [f"{queue}: {body} was confirmed and is lost" for queue in QUEUES
                for body in sorted(self.confirmed[queue] - set(drained[queue]) - set(self.settled[queue]))]
        there = set(drained[DEAD]) | set(self.settled[DEAD]) | set(drained["kill-dying"]) | self.acked
        return gone + [f"{body} was rejected and is lost" for body in sorted(self.rejected - there)]


def declare(address):
    with amqp_wire.Connection(address) as conn:
        channel = conn.channel()
        channel.exchange("kill-all", "fanout", durable=True)
        channel.declare(DEAD, durable=True)
        for queue in QUEUES:
            dying = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": DEAD} if queue == "kill-dying" else {}
            channel.declare(queue, dying, durable=True)
        for queue in FAN:
            channel.bind(queue, "kill-all")
        conn.close()


class Client(threading.Thread):
    """Works until the broker is gone."""

    def __init__(self, address, ledger, seed):
        super().__init__(daemon=True)
        self.address, self.ledger, self.dice, self.problem = address, ledger, random.Random(seed), None

    def run(self):
        try:
            with amqp_wire.Connection(self.address, timeout=20) as conn:
                self.work(conn, conn.channel())
        except socket.timeout:
            self.problem = f"{type(self).__name__}: no answer in 20 s"
        except BROKEN:
            pass
        except (ValueError, AssertionError) as problem:
            self.problem = f"{type(self).__name__}: {problem}"


class Publisher(Client):
    def work(self, conn, channel):
        channel.call("confirm.select")
        open_, tag = {}, 0
        while True:
            while len(open_) < WINDOW:
                tag += 1
                body = f"{self.ledger.life}-{self.name}-{tag}"
                fan = self.dice.random() < 0.3
                queues = FAN if fan else [self.dice.choice(QUEUES)]
                self.ledger.publish(queues, body)
                filling = b" " * self.dice.choice([0, 10, 100, 3000])
                channel.publish("kill-all" if fan else "", "" if fan else queues[0], body.encode() + filling, delivery_mode=2)
                open_[tag] = (queues, body)
            event = channel.next("basic.ack")
            for each in [n for n in open_ if n == event.tag or (event.multiple and n <= event.tag)]:
                self.ledger.confirm(*open_.pop(each))


class Consumer(Client):
    def __init__(self, address, ledger, seed, queue):
        super().__init__(address, ledger, seed)
        self.queue = queue

    def work(self, conn, channel):
        channel.call("basic.qos", prefetch_count=PREFETCH)
        channel.call("basic.consume", queue=self.queue, consumer_tag="c")
        conn.sock.settimeout(None)  # there may be nothing for a while; the kill ends it
        while True:
            event = channel.next("basic.deliver")
            body = event.body.decode().strip()
            self.ledger.deliver(self.queue, body, event.redelivered)
            self.settle(channel, event, body)

    def settle(self, channel, event, body):
        what = self.dice.random()
        if what < 0.1:
            channel.send("basic.nack", tag=event.tag, requeue=True)
        elif what < 0.2:
            pass  # held until the end of the connection
        elif self.queue == "kill-dying" and what < 0.6:
            self.ledger.settle(self.queue, body, True)
            channel.send("basic.reject", tag=event.tag, requeue=False)
        else:
            self.ledger.settle(self.queue, body, False)
            channel.send("basic.ack", tag=event.tag)


def drain(address, ledger):
    """Everything that is left, by basic.get; a dead message may still be on its way."""
    drained = {name: [] for name in [*QUEUES, DEAD]}
    with amqp_wire.Connection(address, timeout=20) as conn:
        channel = conn.channel()
        for queue in drained:
            empty = 0
            while empty < (10 if queue == DEAD else 1):
                channel.send("basic.get", queue=queue)
                event = channel.next("basic.get-ok", "basic.get-empty")
                if event.name == "basic.get-empty":
                    empty += 1
                    time.sleep(0.05 if queue == DEAD else 0)
                    continue
                body = event.body.decode().strip()
                ledger.deliver(queue, body, event.redelivered)
                drained[queue].append(body)
        conn.close()
    return drained


def one_life(broker, ledger, seed):
    ledger.life += 1
    clients = [Publisher(broker.amqp_address, ledger, seed + n) for n in range(PUBLISHERS)]
    clients += [Consumer(broker.amqp_address, ledger, seed + 10 + n, queue) for n, queue in enumerate([*QUEUES, "kill-0", DEAD])]
    for client in clients:
        client.start()
    time.sleep(random.Random(seed).uniform(0.3, 1.5))
    broker.kill9()
    for client in clients:
        client.join(25)
    return [client.problem for client in clients if client.problem] + \
           ["a client hangs" for client in clients if client.is_alive()]


def run(broker, rounds, seed, report):
    ledger, problems = Ledger(), []
    broker.start()
    declare(broker.amqp_address)
    for number in range(rounds):
        problems += one_life(broker, ledger, seed + 100 * number)
        broker.start()
    ledger.life += 1
    drained = drain(broker.amqp_address, ledger)
    twice = [f"{queue}: {body} is there twice" for queue, bodies in drained.items()
             for body, count in collections.Counter(bodies).items() if count > 1]
    code = broker.stop()
    confirmed = sum(map(len, ledger.confirmed.values()))
    report(not problems, f"AMQP clients work until the broker is killed, {rounds} times (seed {seed})", "\n".join(problems[:10]))
    report(confirmed > rounds * 20 and ledger.rejected and ledger.deliveries > confirmed // 4,
           f"{confirmed} copies were confirmed, {ledger.deliveries} delivered, {len(ledger.rejected)} rejected")
    report(not ledger.wrong, "no delivery is wrong", "\n".join(ledger.wrong[:10]))
    lost = ledger.lost(drained)
    report(not lost, "nothing that was confirmed is lost", "\n".join(lost[:10]))
    report(not twice, "no queue holds a message twice", "\n".join(twice))
    report(code == 0, "the broker exits 0 at the end", f"exit code {code}")
