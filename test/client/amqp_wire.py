"""AMQP 0-9-1 in bytes, for tests that say exactly what goes over the wire; nothing here guesses or repairs."""

import collections
import contextlib
import socket
import struct
import time

METHOD, HEADER, BODY, HEARTBEAT, END = 1, 2, 3, 8, 0xCE
PROTOCOL = b"AMQP\x00\x00\x09\x01"

# Fields: o octet, h short, l long, L long long, s short string, S long string, b bit, T table.
METHODS = """
connection.start 10 10 major:o minor:o server_properties:T mechanisms:S locales:S
connection.start-ok 10 11 client_properties:T mechanism:s response:S locale:s
connection.secure 10 20 challenge:S
connection.secure-ok 10 21 response:S
connection.tune 10 30 channel_max:h frame_max:l heartbeat:h
connection.tune-ok 10 31 channel_max:h frame_max:l heartbeat:h
connection.open 10 40 vhost:s reserved_1:s reserved_2:b
connection.open-ok 10 41 reserved_1:s
connection.close 10 50 code:h text:s class_id:h method_id:h
connection.close-ok 10 51
connection.blocked 10 60 reason:s
connection.unblocked 10 61
connection.update-secret 10 70 new_secret:S reason:s
connection.update-secret-ok 10 71
channel.open 20 10 reserved_1:s
channel.open-ok 20 11 reserved_1:S
channel.flow 20 20 active:b
channel.flow-ok 20 21 active:b
channel.close 20 40 code:h text:s class_id:h method_id:h
channel.close-ok 20 41
access.request 30 10 realm:s exclusive:b passive:b active:b write:b read:b
access.request-ok 30 11 ticket:h
exchange.declare 40 10 ticket:h exchange:s type:s passive:b durable:b auto_delete:b internal:b nowait:b arguments:T
exchange.declare-ok 40 11
exchange.delete 40 20 ticket:h exchange:s if_unused:b nowait:b
exchange.delete-ok 40 21
exchange.bind 40 30 ticket:h destination:s source:s routing_key:s nowait:b arguments:T
exchange.bind-ok 40 31
exchange.unbind 40 40 ticket:h destination:s source:s routing_key:s nowait:b arguments:T
exchange.unbind-ok 40 51
queue.declare 50 10 ticket:h queue:s passive:b durable:b exclusive:b auto_delete:b nowait:b arguments:T
queue.declare-ok 50 11 queue:s messages:l consumers:l
queue.bind 50 20 ticket:h queue:s exchange:s routing_key:s nowait:b arguments:T
queue.bind-ok 50 21
queue.purge 50 30 ticket:h queue:s nowait:b
queue.purge-ok 50 31 messages:l
queue.delete 50 40 ticket:h queue:s if_unused:b if_empty:b nowait:b
queue.delete-ok 50 41 messages:l
queue.unbind 50 50 ticket:h queue:s exchange:s routing_key:s arguments:T
queue.unbind-ok 50 51
basic.qos 60 10 prefetch_size:l prefetch_count:h global_:b
basic.qos-ok 60 11
basic.consume 60 20 ticket:h queue:s consumer_tag:s no_local:b no_ack:b exclusive:b nowait:b arguments:T
basic.consume-ok 60 21 consumer_tag:s
basic.cancel 60 30 consumer_tag:s nowait:b
basic.cancel-ok 60 31 consumer_tag:s
basic.publish 60 40 ticket:h exchange:s routing_key:s mandatory:b immediate:b
basic.return 60 50 code:h text:s exchange:s routing_key:s
basic.deliver 60 60 consumer_tag:s tag:L redelivered:b exchange:s routing_key:s
basic.get 60 70 ticket:h queue:s no_ack:b
basic.get-ok 60 71 tag:L redelivered:b exchange:s routing_key:s messages:l
basic.get-empty 60 72 reserved_1:s
basic.ack 60 80 tag:L multiple:b
basic.reject 60 90 tag:L requeue:b
basic.recover-async 60 100 requeue:b
basic.recover 60 110 requeue:b
basic.recover-ok 60 111
basic.nack 60 120 tag:L multiple:b requeue:b
confirm.select 85 10 nowait:b
confirm.select-ok 85 11
tx.select 90 10
tx.select-ok 90 11
tx.commit 90 20
tx.commit-ok 90 21
tx.rollback 90 30
tx.rollback-ok 90 31
"""
IDS, NAMES = {}, {}
for line in METHODS.split("\n")[1:-1]:
    name, *ids = line.split(" ")
    fields = [field.split(":") for field in ids[2:]]
    IDS[name] = (int(ids[0]), int(ids[1]), fields)
    NAMES[int(ids[0]), int(ids[1])] = (name, fields)
CONTENT = {"basic.return", "basic.deliver", "basic.get-ok"}
EMPTY = {"o": 0, "h": 0, "l": 0, "L": 0, "s": "", "S": b"", "b": False, "T": {}}

# In the order of their flags, the highest bit first.
PROPERTIES = [("content_type", "s"), ("content_encoding", "s"), ("headers", "T"), ("delivery_mode", "o"),
              ("priority", "o"), ("correlation_id", "s"), ("reply_to", "s"), ("expiration", "s"), ("message_id", "s"),
              ("timestamp", "L"), ("type", "s"), ("user_id", "s"), ("app_id", "s"), ("cluster_id", "s")]
CAPABILITIES = {"publisher_confirms": True, "exchange_exchange_bindings": True, "basic.nack": True,
                "consumer_cancel_notify": True, "connection.blocked": True, "authentication_failure_close": True}
NUMBERS = {"b": "b", "B": "B", "s": "h", "u": "H", "I": "i", "i": "I", "l": "q", "L": "q", "f": "f", "d": "d", "T": "Q"}


class Closed(Exception):
    """The broker closed the channel or the connection."""

    def __init__(self, event):
        fields = event.fields
        super().__init__(f"{event.name} {fields['code']} {fields['text']} "
                         f"for {fields['class_id']}.{fields['method_id']}")
        self.code, self.text = fields["code"], fields["text"]
        self.method = (fields["class_id"], fields["method_id"])
        self.of_connection = event.name == "connection.close"


class Gone(Exception):
    """The broker dropped the connection without a word."""


class Event:
    """A method that came in, with its content if it has one. Fields are attributes."""

    def __init__(self, name, fields, channel):
        self.name, self.fields, self.channel = name, fields, channel
        self.properties, self.body = None, None

    def __getattr__(self, field):
        try:
            return self.__dict__["fields"][field]
        except KeyError:
            raise AttributeError(field) from None

    @property
    def headers(self):
        """The headers without the tags of their types."""
        return plain(self.properties.get("headers", {}))

    def __repr__(self):
        return f"{self.name} {self.fields} {self.properties or ''} {(self.body or b'')[:40]}"


def plain(value):
    """A decoded table or value without its tags."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    tag, content = value
    if tag == "A":
        return [plain(item) for item in content]
    return plain(content) if tag == "F" else content


def short(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">B", len(data)) + data


def long_(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">I", len(data)) + data


def value(item):
    """A field value; (tag, content) says the type, else it follows from the value."""
    if not isinstance(item, tuple):
        item = (natural_tag(item), item)
    tag, content = item
    data = tag.encode()
    if tag == "t":
        return data + bytes([content])
    if tag in NUMBERS:
        return data + struct.pack(">" + NUMBERS[tag], content)
    if tag in "Sx":
        return data + long_(content)
    if tag == "F":
        return data + table(content)
    if tag == "A":
        return data + long_(b"".join(value(each) for each in content))
    return data + (struct.pack(">BI", *content) if tag == "D" else b"")


def natural_tag(item):
    if isinstance(item, int) and not isinstance(item, bool):
        return "I" if -1 << 31 <= item < 1 << 31 else "l"
    return {bool: "t", str: "S", bytes: "x", float: "d", dict: "F", list: "A", type(None): "V"}[type(item)]


def table(items):
    return long_(b"".join(short(key) + value(item) for key, item in items.items()))


def pack(fields, given):
    """Arguments of a method: adjacent bits share an octet."""
    out, bits, count = b"", 0, 0
    for name, kind in fields:
        item = given.pop(name, EMPTY[kind])
        if kind == "b":
            bits |= bool(item) << count
            count += 1
            continue
        if count:
            out, bits, count = out + bytes([bits]), 0, 0
        out += pack_one(kind, item)
    if given:
        raise ValueError(f"no field {', '.join(given)}")
    return out + (bytes([bits]) if count else b"")


def pack_one(kind, item):
    if kind == "T":
        return table(item)
    if kind in "sS":
        return short(item) if kind == "s" else long_(item)
    return struct.pack(">" + {"o": "B", "h": "H", "l": "I", "L": "Q"}[kind], item)


class Reader:
    def __init__(self, data):
        self.data, self.pos = data, 0

    def take(self, count):
        if self.pos + count > len(self.data):
            raise ValueError("the payload ends too early")
        self.pos += count
        return self.data[self.pos - count:self.pos]

    def number(self, code):
        return struct.unpack(">" + code, self.take(struct.calcsize(">" + code)))[0]

    def one(self, kind):
        if kind == "s":
            return self.take(self.number("B")).decode("utf-8", "surrogateescape")
        if kind == "S":
            return self.take(self.number("I"))
        if kind == "T":
            return self.table()
        return self.number({"o": "B", "h": "H", "l": "I", "L": "Q"}[kind])

    def table(self):
        inner, found = Reader(self.one("S")), {}
        while inner.pos < len(inner.data):
            key = inner.one("s")
            found[key] = inner.value()
        return found

    def value(self):
        tag = self.take(1).decode()
        if tag == "t":
            return tag, bool(self.number("B"))
        if tag in NUMBERS:
            return tag, self.number(NUMBERS[tag])
        if tag == "A":
            inner, found = Reader(self.one("S")), []
            while inner.pos < len(inner.data):
                found.append(inner.value())
            return tag, found
        readers = {"S": lambda: self.one("S").decode("utf-8", "surrogateescape"), "x": lambda: self.one("S"),
                   "F": self.table, "V": lambda: None, "D": lambda: (self.number("B"), self.number("I"))}
        return tag, readers[tag]()

    def fields(self, fields):
        found, bits, left = {}, 0, 0
        for name, kind in fields:
            if kind == "b":
                if not left:
                    bits, left = self.number("B"), 8
                found[name], bits, left = bool(bits & 1), bits >> 1, left - 1
            else:
                found[name], left = self.one(kind), 0
        if self.pos != len(self.data):
            raise ValueError(f"{len(self.data) - self.pos} bytes too many")
        return found


def frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes([END])


def method(name, channel, **given):
    class_id, method_id, fields = IDS[name]
    return frame(METHOD, channel, struct.pack(">HH", class_id, method_id) + pack(fields, given))


def header(channel, size, class_id=60, **properties):
    flags, out = 0, b""
    for at, (name, kind) in enumerate(PROPERTIES):
        if name in properties:
            flags |= 0x8000 >> at
            out += pack_one(kind, properties.pop(name))
    if properties:
        raise ValueError(f"no property {', '.join(properties)}")
    return frame(HEADER, channel, struct.pack(">HHQH", class_id, 0, size, flags) + out)


def content(channel, body, frame_max=131072, **properties):
    """Header and body frames, none longer than frame_max."""
    step = frame_max - 8
    return header(channel, len(body), **properties) + b"".join(
        frame(BODY, channel, body[at:at + step]) for at in range(0, len(body), step))


def read_header(payload):
    reader = Reader(payload)
    _class, _weight, size, flags = (reader.number(code) for code in "HHQH")
    found = {name: reader.one(kind) for at, (name, kind) in enumerate(PROPERTIES) if flags & (0x8000 >> at)}
    return size, found


class Connection:
    """One connection. Events wait in a queue of their channel until they are asked for."""

    def __init__(self, address, timeout=10.0, handshake=True, **options):
        host, port = address.rsplit(":", 1)
        self.address = address
        self.sock = socket.create_connection((host, int(port)), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.events = collections.defaultdict(collections.deque)
        self.partial = {}       # channel -> [event, bytes that are missing]
        self.heartbeats = 0
        self.largest_frame = 0
        self.frame_max = 131072
        self.server_properties = {}
        self.last_channel = 0
        if handshake:
            self.handshake(**options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def handshake(self, user="guest", password="guest", vhost="/", mechanism="PLAIN", response=None, channel_max=None,
                  frame_max=None, heartbeat=0, capabilities=None):
        """Up to connection.open-ok; None takes what the broker proposes."""
        self.start(user, password, mechanism, response, capabilities)
        tune = self.next(0, "connection.tune")
        self.frame_max = tune.frame_max if frame_max is None else frame_max
        self.send("connection.tune-ok", 0, channel_max=tune.channel_max if channel_max is None else channel_max,
                  frame_max=self.frame_max, heartbeat=heartbeat)
        self.send("connection.open", 0, vhost=vhost)
        self.next(0, "connection.open-ok")
        return tune

    def start(self, user="guest", password="guest", mechanism="PLAIN", response=None, capabilities=None):
        self.send_raw(PROTOCOL)
        start = self.next(0, "connection.start")
        self.server_properties = plain(start.server_properties)
        if response is None:
            response = b"\0" + user.encode() + b"\0" + password.encode()
        capabilities = CAPABILITIES if capabilities is None else capabilities
        self.send("connection.start-ok", 0, client_properties={"product": "raw", "capabilities": dict(capabilities)},
                  mechanism=mechanism, response=response, locale="en_US")
        return start

    def send_raw(self, data):
        self.sock.sendall(data)

    def send(self, name, channel, **given):
        self.send_raw(method(name, channel, **given))

    def read_exactly(self, count):
        while len(self.buffer) < count:
            try:
                part = self.sock.recv(1 << 18)
            except ConnectionResetError:
                part = b""
            if not part:
                raise Gone(f"closed by the broker with {len(self.buffer)} bytes of a frame")
            self.buffer += part
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_frame(self):
        """(type, channel, payload)"""
        kind, channel, size = struct.unpack(">BHI", self.read_exactly(7))
        payload = self.read_exactly(size + 1)
        if payload[-1] != END:
            raise ValueError("no end octet")
        self.largest_frame = max(self.largest_frame, size + 8)
        return kind, channel, payload[:-1]

    def read(self):
        """Takes in one frame."""
        kind, channel, payload = self.read_frame()
        if kind == HEARTBEAT:
            if channel or payload:
                raise ValueError("a heartbeat with a channel or a payload")
            self.heartbeats += 1
        elif kind == METHOD:
            if channel in self.partial:
                raise ValueError("a method within a content")
            class_id, method_id = struct.unpack_from(">HH", payload)
            name, fields = NAMES[class_id, method_id]
            self.arrived(Event(name, Reader(payload[4:]).fields(fields), channel))
        elif kind == HEADER:
            event, _ = self.partial[channel]
            size, event.properties = read_header(payload)
            event.body = []
            self.partial[channel][1] = size
            self.body_arrived(channel, b"")
        else:
            self.body_arrived(channel, payload)

    def arrived(self, event):
        if event.name in CONTENT:
            self.partial[event.channel] = [event, None]
            return
        if event.name == "connection.close":
            with contextlib.suppress(OSError):  # a broker that stops may be gone
                self.send("connection.close-ok", 0)
        elif event.name == "channel.close":
            self.send("channel.close-ok", event.channel)
        self.events[event.channel].append(event)

    def body_arrived(self, channel, payload):
        event, _ = self.partial[channel]
        event.body.append(payload)
        self.partial[channel][1] -= len(payload)
        if self.partial[channel][1] == 0:
            event.body = b"".join(event.body)
            del self.partial[channel]
            self.events[channel].append(event)
        elif self.partial[channel][1] < 0:
            raise ValueError("a body longer than its header says")

    def next(self, channel, *wanted):
        """The next event of the channel, which must have one of these names if any are told."""
        while not self.events[channel]:
            if channel and self.events[0]:
                self.next(0)
            self.read()
        event = self.events[channel].popleft()
        if event.name in ("channel.close", "connection.close"):
            raise Closed(event)
        if wanted and event.name not in wanted:
            raise AssertionError(f"got {event}, wanted {' or '.join(wanted)}")
        return event

    def wait_for(self, channel, name):
        """The next event of that name; others keep waiting."""
        while True:
            if any(event.name == "connection.close" for event in self.events[0]):
                self.next(0)
            for event in self.events[channel]:
                if event.name in (name, "channel.close"):
                    self.events[channel].remove(event)
                    if event.name != name:
                        raise Closed(event)
                    return event
            self.read()

    def silent(self, channel, seconds):
        """Fails if the channel gets an event within that time."""
        end = time.monotonic() + seconds
        usual = self.sock.gettimeout()
        try:
            while not self.events[channel] and time.monotonic() < end:
                self.sock.settimeout(max(end - time.monotonic(), 0.001))
                self.read()
        except socket.timeout:
            pass
        finally:
            self.sock.settimeout(usual)
        if self.events[channel]:
            raise AssertionError(f"got {self.events[channel][0]}, wanted nothing")

    def until_closed(self):
        """Reads until the broker closes; raises Closed if it says why, Gone if it does not."""
        while True:
            self.next(0)

    def close(self):
        self.send("connection.close", 0, code=200, text="bye")
        self.next(0, "connection.close-ok")
        self.sock.close()

    def channel(self, number=None):
        self.last_channel = number or self.last_channel + 1
        channel = Channel(self, self.last_channel)
        channel.call("channel.open")
        return channel


class Channel:
    def __init__(self, connection, number):
        self.connection, self.number = connection, number

    def send(self, name, **given):
        self.connection.send(name, self.number, **given)

    def call(self, name, **given):
        """Sends a method and waits for its answer."""
        self.send(name, **given)
        return self.wait_for(name + "-ok")

    def next(self, *wanted):
        return self.connection.next(self.number, *wanted)

    def wait_for(self, name):
        return self.connection.wait_for(self.number, name)

    def silent(self, seconds=0.2):
        self.connection.silent(self.number, seconds)

    def close(self):
        self.send("channel.close", code=200, text="bye")
        self.wait_for("channel.close-ok")

    def declare(self, queue="", arguments=None, **flags):
        return self.call("queue.declare", queue=queue, arguments=arguments or {}, **flags)

    def exchange(self, name, kind, arguments=None, **flags):
        self.call("exchange.declare", exchange=name, type=kind, arguments=arguments or {}, **flags)
        return name

    def bind(self, queue, exchange, key="", arguments=None):
        self.call("queue.bind", queue=queue, exchange=exchange, routing_key=key, arguments=arguments or {})

    def publish(self, exchange, key, body=b"", mandatory=False, **properties):
        self.connection.send_raw(
            method("basic.publish", self.number, exchange=exchange, routing_key=key, mandatory=mandatory)
            + content(self.number, body, self.connection.frame_max or 131072, **properties))

    def confirmed(self, exchange, key, body=b"", **properties):
        """Publishes in confirm mode and waits: basic.ack or basic.nack."""
        self.publish(exchange, key, body, **properties)
        return self.next("basic.ack", "basic.nack").name

    def get(self, queue, no_ack=True):
        """basic.get-ok, or None."""
        self.send("basic.get", queue=queue, no_ack=no_ack)
        event = self.next("basic.get-ok", "basic.get-empty")
        return event if event.name == "basic.get-ok" else None

    def drain(self, queue):
        """The bodies of what is ready in the queue, taken out."""
        found = []
        while event := self.get(queue):
            found.append(event.body)
        return found

    def consume(self, queue, tag="", arguments=None, **flags):
        return self.call("basic.consume", queue=queue, consumer_tag=tag, arguments=arguments or {}, **flags).consumer_tag

    def count(self, queue):
        """(messages ready, consumers)"""
        found = self.declare(queue, passive=True)
        return found.messages, found.consumers
