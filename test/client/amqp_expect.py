"""What the scenarios that use amqp_wire share: a channel of their own, and refusals with their exact texts."""

import contextlib

from amqp_wire import Closed, Connection, Gone
from harness.scenario import equal, eventually, raises


@contextlib.contextmanager
def channel(ctx, **options):
    with Connection(ctx.bootstrap, **options) as conn:
        yield conn.channel()


def still_serves(ctx):
    with channel(ctx) as ch:
        queue = ch.declare(exclusive=True).queue
        ch.publish("", queue, b"alive")
        eventually(lambda: ch.drain(queue) == [b"alive"], 5, "a message passes")


def refused(code, text, act, *arguments, **options):
    """The act must be answered by channel.close or connection.close of that code and exactly that text."""
    error = raises(Closed, act, *arguments, **options)
    equal((error.code, error.text), (code, text), "reply code and text")
    return error


def silently_or(code, text, act, *arguments, **options):
    """Before the connection is open a broker may just drop it; one that says why must say this."""
    error = raises((Closed, Gone), act, *arguments, **options)
    if isinstance(error, Closed):
        equal((error.code, error.text), (code, text), "reply code and text")


def confirming(ctx, **options):
    """A channel in confirm mode."""
    @contextlib.contextmanager
    def opened():
        with channel(ctx, **options) as ch:
            ch.call("confirm.select")
            yield ch
    return opened()


def publish_all(ch, queue, *bodies, exchange="", **properties):
    """Publishes on a channel in confirm mode and waits until all are confirmed."""
    for body in bodies:
        equal(ch.confirmed(exchange, queue, body, **properties), "basic.ack", "confirm")


def deliveries(ch, count):
    """The next deliveries of the channel."""
    return [ch.next("basic.deliver") for _ in range(count)]


def bodies(events):
    return [event.body for event in events]


def ready(ch, queue, count, timeout=5):
    eventually(lambda: ch.count(queue)[0] == count, timeout, f"{count} messages in {queue}")
