"""RESP, Redis's protocol, byte by byte: what is sent is what the scenario says, what comes is compared as it is."""

import select
import socket
import time

from harness.scenario import equal, eventually, shorten, true

OK, PONG, QUEUED, RESET = b"+OK\r\n", b"+PONG\r\n", b"+QUEUED\r\n", b"+RESET\r\n"
NONE = {2: b"$-1\r\n", 3: b"_\r\n"}
NO_ARRAY = {2: b"*-1\r\n", 3: b"_\r\n"}


def to_bytes(value):
    return value if isinstance(value, bytes) else str(value).encode()


def bulk(value):
    value = to_bytes(value)
    return b"$%d\r\n%s\r\n" % (len(value), value)


def integer(value):
    return b":%d\r\n" % value


def array(*items):
    """Of items that are encoded already."""
    return b"*%d\r\n" % len(items) + b"".join(items)


def strings(*items):
    return array(*map(bulk, items))


def error(text):
    return b"-" + to_bytes(text) + b"\r\n"


def command(*words):
    return array(*map(bulk, words))


def pushed(resp, *items):
    """What comes unasked, of encoded items."""
    return (b">" if resp == 3 else b"*") + array(*items)[1:]


def told(kind, channel, count, resp=2):
    """The answer to a SUBSCRIBE or one of its kin, for one channel; None: there was none."""
    return pushed(resp, bulk(kind), NONE[resp] if channel is None else bulk(channel), integer(count))


def message(channel, body, resp=2, kind="message"):
    return pushed(resp, bulk(kind), bulk(channel), bulk(body))


def pmessage(pattern, channel, body, resp=2):
    return pushed(resp, bulk("pmessage"), bulk(pattern), bulk(channel), bulk(body))


class Failure(Exception):
    """An answer that is an error."""


class Gone(Exception):
    """The broker has closed the connection."""


class Redis:
    """One connection."""

    def __init__(self, address, resp=2, timeout=10.0, receive_buffer=None):
        host, port = address.rsplit(":", 1)
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        self.sock.connect((host, int(port)))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.resp = 2
        if resp == 3:
            self.hello(3)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    # ---- sending

    def send_raw(self, data):
        self.sock.sendall(data)

    def send(self, *words):
        self.send_raw(command(*words))

    # ---- bytes that come

    def more(self):
        try:
            part = self.sock.recv(1 << 18)
        except ConnectionError as reason:
            raise Gone(str(reason)) from None
        if not part:
            raise Gone("closed")
        self.buffer += part

    def take(self, count):
        while len(self.buffer) < count:
            self.more()
        found = bytes(self.buffer[:count])
        del self.buffer[:count]
        return found

    def comes(self, wanted, what="answer"):
        """Exactly these bytes come next."""
        try:
            while len(self.buffer) < len(wanted) and wanted.startswith(self.buffer[:len(wanted)]):
                self.more()
        except (socket.timeout, Gone) as reason:
            raise AssertionError(f"{what}: {type(reason).__name__} after {shorten(bytes(self.buffer))}, "
                                 f"wanted {shorten(wanted)}") from None
        equal(bytes(self.buffer[:len(wanted)]), wanted, what)
        del self.buffer[:len(wanted)]

    def answers(self, wanted, *words):
        """The command is answered with exactly these bytes."""
        self.send(*words)
        self.comes(wanted, shorten(" ".join(shorten(word, 60) if isinstance(word, bytes) else str(word)[:60] for word in words[:6]), 200))

    def silent(self, seconds=0.05):
        """Nothing comes."""
        equal(bytes(self.buffer), b"", "bytes that nobody asked for")
        if select.select([self.sock], [], [], seconds)[0]:
            self.more()
            equal(bytes(self.buffer), b"", "bytes that nobody asked for")

    def nothing_left(self, mark="mark"):
        """All that was to come has come: whatever follows is the answer to this."""
        self.answers(bulk(mark), "ECHO", mark)

    def ends(self, wanted=b""):
        """These bytes come, and the end."""
        self.comes(wanted, "last words")
        try:
            while True:
                self.more()
        except Gone:
            pass
        equal(bytes(self.buffer), b"", "bytes after the last words")

    # ---- values

    def line(self):
        while (at := self.buffer.find(b"\r\n")) < 0:
            self.more()
        return self.take(at + 2)[:-2]

    def read(self):
        """The next value: bytes, int, list, dict, None, True, False, Failure; a push is a tuple."""
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            return Failure(rest.decode())
        if kind == b":":
            return int(rest)
        if kind in b"$=":
            size = int(rest)
            if size < 0:
                return None
            found = self.take(size + 2)[:-2]
            return found[4:] if kind == b"=" else found
        if kind in b"*>~":
            if int(rest) < 0:
                return None
            found = [self.read() for _ in range(int(rest))]
            return tuple(found) if kind == b">" else found
        if kind == b"%":
            return {self.read(): self.read() for _ in range(int(rest))}
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return float(rest)
        raise AssertionError(f"no RESP: {shorten(line)}")

    def ask(self, *words):
        """The answer; an error is raised."""
        self.send(*words)
        value = self.read()
        if isinstance(value, Failure):
            raise value
        return value

    def hello(self, version, *words):
        found = self.ask("HELLO", version, *words)
        if isinstance(found, list):
            found = dict(zip(found[::2], found[1::2]))
        equal(found[b"proto"], version, "proto")
        self.resp = version
        return found

    # ---- publish and subscribe

    def subscribed(self, *channels, verb="subscribe", before=0):
        """Subscribes, and has read the answers."""
        self.send(verb, *channels)
        self.comes(b"".join(told(verb, channel, before + i, self.resp) for i, channel in enumerate(channels, 1)), verb)
        return self

    def publishes(self, count, channel, body="x"):
        """As many hear it, it is said."""
        self.answers(integer(count), "PUBLISH", channel, body)

    def hears(self, *messages):
        for channel, body in messages:
            self.comes(message(channel, body, self.resp), "message")


def server(ctx, resp=2, **more):
    return Redis(ctx.bootstrap, resp, **more)


def still_serves(ctx):
    with server(ctx) as conn:
        conn.answers(PONG, "PING")


def reaches(conn, count, channel):
    """Waits until that many hear what is published there."""
    def asked():
        return conn.ask("PUBLISH", channel, "") == count
    eventually(asked, 5, f"{count} that hear {channel}")


def until_readable(conn, seconds=5):
    true(select.select([conn.sock], [], [], seconds)[0], "nothing came")
    return time.monotonic()
