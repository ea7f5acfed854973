"""Kafka requests written byte by byte, for tests that need what no client library would send."""

import socket
import struct
import time

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
FIND_COORDINATOR, API_VERSIONS, CREATE_TOPICS, DELETE_TOPICS = 10, 18, 19, 20

NONE, OFFSET_OUT_OF_RANGE, CORRUPT_MESSAGE, UNKNOWN_TOPIC = 0, 1, 2, 3
MESSAGE_TOO_LARGE, UNSUPPORTED_VERSION, STORAGE_ERROR = 10, 35, 56


def crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = crc32c_table()


def crc32c(data):
    crc, table = 0xFFFFFFFF, CRC_TABLE
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def i8(value):
    return struct.pack(">b", value)


def i16(value):
    return struct.pack(">h", value)


def i32(value):
    return struct.pack(">i", value)


def i64(value):
    return struct.pack(">q", value)


def text(value):
    """A (nullable) string."""
    if value is None:
        return i16(-1)
    raw = value.encode()
    return i16(len(raw)) + raw


def blob(value):
    """Nullable bytes."""
    return i32(-1) if value is None else i32(len(value)) + value


def array(items):
    items = list(items)
    return i32(len(items)) + b"".join(items)


def uvarint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def varint(value):
    return uvarint((value << 1) ^ (value >> 63))


def compact_text(value):
    raw = value.encode()
    return uvarint(len(raw) + 1) + raw


class Reader:
    """Reads what the functions above write."""

    def __init__(self, data):
        self.data, self.pos = data, 0

    def take(self, count):
        if self.pos + count > len(self.data):
            raise ValueError(f"response too short: {count} bytes wanted at {self.pos} of {len(self.data)}")
        self.pos += count
        return self.data[self.pos - count:self.pos]

    def unpack(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(form)))[0]

    def i8(self):
        return self.unpack("b")

    def i16(self):
        return self.unpack("h")

    def i32(self):
        return self.unpack("i")

    def i64(self):
        return self.unpack("q")

    def text(self):
        length = self.i16()
        return None if length < 0 else self.take(length).decode()

    def blob(self):
        length = self.i32()
        return None if length < 0 else self.take(length)

    def array(self, item):
        return [item() for _ in range(max(self.i32(), 0))]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def varint(self):
        value = self.uvarint()
        return (value >> 1) ^ -(value & 1)

    def end(self):
        if self.pos != len(self.data):
            raise ValueError(f"{len(self.data) - self.pos} bytes too many in the response")


def record(index, value, key=None, headers=()):
    def sized(item):
        return varint(-1) if item is None else varint(len(item)) + item
    body = i8(0) + varint(0) + varint(index) + sized(key) + sized(value) + varint(len(headers))
    for name, content in headers:
        body += sized(name.encode()) + sized(content)
    return varint(len(body)) + body


def batch(values, timestamp=None, producer=(-1, -1, -1), attributes=0):
    """A record batch, magic 2, uncompressed; producer is (id, epoch, first sequence)."""
    stamp = int(time.time() * 1000) if timestamp is None else timestamp
    records = b"".join(record(i, value) for i, value in enumerate(values))
    tail = (i16(attributes) + i32(len(values) - 1) + i64(stamp) + i64(stamp)
            + i64(producer[0]) + i16(producer[1]) + i32(producer[2]) + i32(len(values)) + records)
    body = i32(-1) + i8(2) + struct.pack(">I", crc32c(tail)) + tail
    return i64(0) + i32(len(body)) + body


def records_of(data):
    """[(offset, value)] of a Fetch response's uncompressed record batches; a cut last batch is left out."""
    found, pos = [], 0
    while pos + 61 <= len(data):
        base, length = struct.unpack_from(">qi", data, pos)
        if pos + 12 + length > len(data):
            break
        reader = Reader(data[pos + 57:pos + 12 + length])
        for _ in range(reader.i32()):
            reader.varint()
            reader.i8()
            reader.varint()
            delta = reader.varint()
            reader.take(max(reader.varint(), 0))
            size = reader.varint()
            found.append((base + delta, None if size < 0 else bytes(reader.take(size))))
            for _ in range(reader.varint()):
                reader.take(reader.varint())
                reader.take(max(reader.varint(), 0))
        pos += 12 + length
    return found


def header(api, version, correlation, client="raw"):
    """Request header v1; flexible requests add their tag buffer themselves."""
    return i16(api) + i16(version) + struct.pack(">I", correlation) + text(client)


def produce_body(topic, partition, records, acks=-1, timeout_ms=10000):
    """Produce v3 to v8."""
    part = i32(partition) + blob(records)
    return text(None) + i16(acks) + i32(timeout_ms) + array([text(topic) + array([part])])


class Connection:
    """One TCP connection; requests may be pipelined with send() and recv()."""

    def __init__(self, address, timeout=10.0):
        host, port = address.rsplit(":", 1)
        self.sock = socket.create_connection((host, int(port)), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.correlation = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send_raw(self, data):
        self.sock.sendall(data)

    def frame(self, api, version, body, correlation=None):
        if correlation is None:
            self.correlation += 1
            correlation = self.correlation
        payload = header(api, version, correlation) + body
        return i32(len(payload)) + payload

    def send(self, api, version, body, correlation=None):
        self.send_raw(self.frame(api, version, body, correlation))

    def read_exactly(self, count):
        parts = bytearray()
        while len(parts) < count:
            part = self.sock.recv(min(count - len(parts), 1 << 20))
            if not part:
                raise ConnectionError(f"closed by the broker after {len(parts)} of {count} bytes")
            parts += part
        return bytes(parts)

    def recv(self):
        """(correlation id, Reader behind it)."""
        size = struct.unpack(">i", self.read_exactly(4))[0]
        reader = Reader(self.read_exactly(size))
        return reader.unpack("I"), reader

    def request(self, api, version, body):
        self.send(api, version, body)
        correlation, reader = self.recv()
        if correlation != self.correlation:
            raise AssertionError(f"answer to {correlation}, expected {self.correlation}")
        return reader

    def closed_by_peer(self, timeout):
        """True if the broker closes within the time; bytes that still come are thrown away."""
        end = time.monotonic() + timeout
        try:
            while time.monotonic() < end:
                self.sock.settimeout(max(end - time.monotonic(), 0.01))
                if not self.sock.recv(65536):
                    return True
        except socket.timeout:
            return False
        except ConnectionError:
            return True
        return False

    def api_ranges(self):
        """{API key: (lowest, highest version)}"""
        reader = self.request(API_VERSIONS, 0, b"")
        error = reader.i16()
        if error:
            raise AssertionError(f"ApiVersions: error {error}")
        return {key: (low, high) for key, low, high in
                reader.array(lambda: (reader.i16(), reader.i16(), reader.i16()))}

    def librdkafka_codec(self, codec):
        """Number of the codec that librdkafka uses when told `codec`: it takes lz4 only where FindCoordinator is
        advertised (its rdkafka_feature.c), and sends uncompressed otherwise."""
        numbers = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
        return 0 if codec == "lz4" and FIND_COORDINATOR not in self.api_ranges() else numbers[codec]

    def create_topic(self, name, partitions=1, configs=None):
        pairs = [text(k) + text(v) for k, v in (configs or {}).items()]
        topic = text(name) + i32(partitions) + i16(1) + array([]) + array(pairs)
        reader = self.request(CREATE_TOPICS, 2, array([topic]) + i32(10000) + i8(0))
        reader.i32()
        for _, error, message in reader.array(lambda: (reader.text(), reader.i16(), reader.text())):
            if error:
                raise AssertionError(f"CreateTopics {name}: error {error} {message}")
        self.wait_leader(name, partitions)

    def wait_leader(self, name, partitions, timeout=10.0):
        """A created topic may take a moment until its leader takes requests (Kafka; ours is there at once)."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if all(self.list_offset(name, p, -1)[0] == NONE for p in range(partitions)):
                return
            time.sleep(0.02)
        raise AssertionError(f"topic {name} has no leader")

    def delete_topic(self, name):
        reader = self.request(DELETE_TOPICS, 1, array([text(name)]) + i32(10000))
        reader.i32()
        return reader.array(lambda: (reader.text(), reader.i16()))[0][1]

    def produce(self, topic, partition, records, acks=-1):
        """(error, base offset)"""
        return self.produced(self.request(PRODUCE, 7, produce_body(topic, partition, records, acks)))

    def produced(self, reader):
        def part():
            found = reader.i32(), reader.i16(), reader.i64()
            reader.i64(), reader.i64()
            return found
        topics = reader.array(lambda: (reader.text(), reader.array(part)))
        reader.i32()
        reader.end()
        _, error, base = topics[0][1][0]
        return error, base

    def fetch(self, topic, partition, offset, max_wait_ms=100, min_bytes=1, max_bytes=1 << 22):
        """(error, high watermark, record bytes). Version 11: below 10 a broker may refuse to show zstd."""
        part = i32(partition) + i32(-1) + i64(offset) + i64(-1) + i32(max_bytes)
        body = (i32(-1) + i32(max_wait_ms) + i32(min_bytes) + i32(max_bytes) + i8(0) + i32(0) + i32(-1)
                + array([text(topic) + array([part])]) + array([]) + text(""))
        return self.fetched(self.request(FETCH, 11, body))

    def fetched(self, reader):
        def part():
            reader.i32()
            error, watermark, _stable, _start = reader.i16(), reader.i64(), reader.i64(), reader.i64()
            reader.array(lambda: (reader.i64(), reader.i64()))
            reader.i32()
            return error, watermark, reader.blob() or b""
        reader.i32()
        error, _session = reader.i16(), reader.i32()
        topics = reader.array(lambda: (reader.text(), reader.array(part)))
        reader.end()
        return topics[0][1][0] if not error else (error, -1, b"")

    def codecs(self, topic, partition=0):
        """The set of codec numbers of the first batches of the partition."""
        _, _, data = self.fetch(topic, partition, 0)
        found, pos = set(), 0
        while pos + 61 <= len(data):
            found.add(data[pos + 22] & 7)
            pos += 12 + struct.unpack_from(">i", data, pos + 8)[0]
        return found

    def list_offset(self, topic, partition, timestamp):
        """(error, offset); timestamp -1 is the end, -2 the beginning"""
        body = i32(-1) + array([text(topic) + array([i32(partition) + i64(timestamp)])])
        reader = self.request(LIST_OFFSETS, 1, body)
        part = lambda: (reader.i32(), reader.i16(), reader.i64(), reader.i64())
        _, error, _, offset = reader.array(lambda: (reader.text(), reader.array(part)))[0][1][0]
        reader.end()
        return error, offset
