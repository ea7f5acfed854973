"""Bytes that no well-behaved client sends, and orders that few do."""

import contextlib
import os
import random
import re
import socket
import struct
import threading
import time

from harness import wire
from harness.broker import http_get
from harness.scenario import Skip, equal, eventually, main, scenario, true
from harness.wire import array, batch, i8, i16, i32, i64, text

SERVED = {  # the least that every client of this suite needs: key -> (lowest, highest) that must be inside
    wire.PRODUCE: (3, 9), wire.FETCH: (4, 12), wire.LIST_OFFSETS: (1, 7), wire.METADATA: (0, 12),
    wire.API_VERSIONS: (0, 4), wire.CREATE_TOPICS: (2, 7), wire.DELETE_TOPICS: (1, 6), 21: (0, 2), 22: (0, 4),
    23: (2, 4), 29: (1, 3), 32: (1, 4), 33: (0, 2), 35: (1, 4), 37: (0, 3), 44: (0, 1), 60: (0, 1),
}


def api_ranges(reader):
    error = reader.i16()
    return error, {k: (low, high) for k, low, high in reader.array(lambda: (reader.i16(), reader.i16(), reader.i16()))}


def still_serves(ctx):
    with ctx.connect() as conn:
        error, ranges = api_ranges(conn.request(wire.API_VERSIONS, 0, b""))
        equal(error, wire.NONE, "ApiVersions error")
        true(ranges, "no API is advertised")


def http_address(ctx):
    if not ctx.http:
        raise Skip("no management port given")
    return ctx.http


@scenario("ApiVersions advertises what the clients need, each range once and in order")
def api_versions(ctx):
    with ctx.connect() as conn:
        reader = conn.request(wire.API_VERSIONS, 0, b"")
        error, ranges = api_ranges(reader)
        reader.end()
    equal(error, wire.NONE, "error")
    for key, (low, high) in ranges.items():
        true(low <= high, f"range of API {key} is {low}..{high}")
    for key, (low, high) in SERVED.items():
        true(key in ranges, f"API {key} is not advertised")
        true(ranges[key][0] <= low and ranges[key][1] >= high, f"API {key}: {ranges[key]}, needed {(low, high)}")


@scenario("ApiVersions of the future is answered in the format of version 0 with error 35")
def api_versions_too_new(ctx):
    with ctx.connect() as conn:
        tags = b"\0"
        conn.send(wire.API_VERSIONS, 99, tags + wire.compact_text("tester") + wire.compact_text("1") + tags)
        correlation, reader = conn.recv()
        equal(correlation, conn.correlation, "correlation id")
        error, ranges = api_ranges(reader)
        reader.end()
        equal(error, wire.UNSUPPORTED_VERSION, "error")
        true(wire.API_VERSIONS in ranges, "the answer does not say which versions of ApiVersions work")
        equal(api_ranges(conn.request(wire.API_VERSIONS, 0, b""))[0], wire.NONE, "the retry on this connection")


@scenario("pipelined requests are answered in the order they were sent")
def pipelined(ctx):
    topic, records = ctx.topic(), batch([b"x" * 100])
    with ctx.connect() as conn:
        long_poll = i32(-1) + i32(300) + i32(1) + i32(1 << 20) + i8(0)
        at_end = array([text(topic) + array([i32(0) + i64(10) + i32(1 << 20)])])
        frames = []
        for _ in range(10):
            frames.append(conn.frame(wire.PRODUCE, 7, wire.produce_body(topic, 0, records)))
            frames.append(conn.frame(wire.METADATA, 1, array([text(topic)])))
        frames.append(conn.frame(wire.FETCH, 4, long_poll + at_end))
        frames.append(conn.frame(wire.PRODUCE, 7, wire.produce_body(topic, 0, records)))
        frames.append(conn.frame(wire.API_VERSIONS, 0, b""))
        conn.send_raw(b"".join(frames))
        got = [conn.recv()[0] for _ in frames]
    equal(got, list(range(1, len(frames) + 1)), "correlation ids")


@scenario("pipelined produces get offsets in the order they were sent")
def pipelined_offsets(ctx):
    topic = ctx.topic()
    with ctx.connect() as conn:
        bodies = [wire.produce_body(topic, 0, batch([b"%d" % i])) for i in range(50)]
        conn.send_raw(b"".join(conn.frame(wire.PRODUCE, 7, body) for body in bodies))
        offsets = [conn.produced(conn.recv()[1]) for _ in bodies]
        equal(offsets, [(wire.NONE, i) for i in range(50)], "offsets")
        _, _, data = conn.fetch(topic, 0, 0)
        equal(wire.records_of(data), [(i, b"%d" % i) for i in range(50)], "records")


@scenario("a request that arrives byte by byte is understood")
def dripped(ctx):
    topic = ctx.topic()
    with ctx.connect() as conn:
        for byte in conn.frame(wire.PRODUCE, 7, wire.produce_body(topic, 0, batch([b"dripped"]))):
            conn.send_raw(bytes([byte]))
        equal(conn.produced(conn.recv()[1]), (wire.NONE, 0), "answer")


@scenario("acks=0 gets no answer, and the record is there")
def acks_zero(ctx):
    topic = ctx.topic()
    with ctx.connect() as conn:
        conn.send(wire.PRODUCE, 7, wire.produce_body(topic, 0, batch([b"quiet"]), acks=0))
        conn.send(wire.METADATA, 1, array([text(topic)]))
        equal(conn.recv()[0], conn.correlation, "correlation id of the first answer")
        eventually(lambda: wire.records_of(conn.fetch(topic, 0, 0)[2]) == [(0, b"quiet")], 5, "record is readable")


@scenario("an unknown API key closes the connection")
def unknown_key(ctx):
    with ctx.connect() as conn:
        conn.send(999, 0, b"")
        true(conn.closed_by_peer(5), "still open after 5 s")
    still_serves(ctx)


@scenario("a version outside the advertised range closes the connection")
def unknown_version(ctx):
    with ctx.connect() as conn:
        conn.send(wire.METADATA, 99, b"\0" * 8)
        true(conn.closed_by_peer(5), "still open after 5 s")
    still_serves(ctx)


@scenario("a frame that is too long or negative closes the connection at once")
def oversize(ctx):
    for size in (0x7FFFFFFF, -1, -0x80000000):
        with ctx.connect() as conn:
            conn.send_raw(i32(size) + b"\0" * 64)
            true(conn.closed_by_peer(5), f"size {size}: still open after 5 s")
    still_serves(ctx)


@scenario("half a frame and then silence is closed after the handshake time", timeout=60)
def silence(ctx):
    if ctx.external:
        raise Skip("a limit of our broker")
    limit = float(os.environ.get("HANDSHAKE_S", "10"))
    with ctx.connect() as whole, ctx.connect() as half, ctx.connect() as mute:
        whole.request(wire.API_VERSIONS, 0, b"")
        half.send_raw(whole.frame(wire.API_VERSIONS, 0, b"")[:7])
        true(half.closed_by_peer(limit + 5), f"half a frame is still open after {limit + 5} s")
        true(mute.closed_by_peer(5), "a connection that says nothing is still open")
        equal(api_ranges(whole.request(wire.API_VERSIONS, 0, b""))[0], wire.NONE, "a connection that had spoken")


@scenario("one client's half frame does not stall another")
def no_stall(ctx):
    topic = ctx.topic()
    with ctx.connect() as slow, ctx.connect() as quick:
        slow.send_raw(i32(1 << 20) + wire.header(wire.PRODUCE, 7, 1))
        began = time.monotonic()
        for i in range(20):
            equal(quick.produce(topic, 0, batch([b"quick"])), (wire.NONE, i), "produce")
        true(time.monotonic() - began < 5, "twenty produces took over 5 s")


@scenario("garbage on the Kafka port harms nobody")
def garbage(ctx):
    rng = random.Random(7)
    for length in (1, 3, 4, 5, 8, 14, 100, 5000, 100000):
        for _ in range(5):
            with ctx.connect() as conn:
                try:
                    conn.send_raw(rng.randbytes(length))
                except OSError:
                    pass  # closed while we were still sending
    for foreign in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"AMQP\0\0\x09\x01", b"\x16\x03\x01\x02\0\x01\0\x01\xfc"):
        with ctx.connect() as conn:
            conn.send_raw(foreign + rng.randbytes(64))
    still_serves(ctx)


@scenario("requests cut at every length get an answer or are closed, never waited for")
def cut_bodies(ctx):
    topic = ctx.topic()
    body = wire.produce_body(topic, 0, batch([b"value"]))
    for cut in range(0, len(body), 3):
        with ctx.connect() as conn:
            conn.send(wire.PRODUCE, 7, body[:cut])
            try:
                conn.sock.settimeout(5)
                conn.recv()
            except ConnectionError:
                pass
    still_serves(ctx)


@scenario("a huge array count in a small request closes the connection, without the memory")
def huge_count(ctx):
    with ctx.memory_bound(32):
        for count in (0x7FFFFFFF, 0x10000000, -2):
            with ctx.connect() as conn:
                conn.send(wire.METADATA, 1, i32(count) + text("x"))
                try:
                    conn.sock.settimeout(5)
                    conn.recv()
                except ConnectionError:
                    pass
    still_serves(ctx)


@scenario("announced requests take no memory before their bytes are there")
def announced(ctx):
    if ctx.external:
        raise Skip("a promise of our broker; Apache Kafka runs out of heap")
    conns = [ctx.connect() for _ in range(100)]
    with ctx.memory_bound(64):
        for conn in conns:
            conn.send_raw(i32(30 << 20) + wire.header(wire.PRODUCE, 7, 1))
        still_serves(ctx)
    for conn in conns:
        conn.sock.close()


@scenario("a client that asks for much and reads nothing takes little memory and stalls nobody", timeout=60)
def deaf(ctx):
    topic, records = ctx.topic(), batch([random.Random(3).randbytes(900000)])
    with ctx.connect() as conn:
        for _ in range(20):
            equal(conn.produce(topic, 0, records)[0], wire.NONE, "produce")
    part = i32(-1) + i32(0) + i32(1) + i32(50 << 20) + i8(0)
    body = part + array([text(topic) + array([i32(0) + i64(0) + i32(50 << 20)])])
    with ctx.connect() as mute, ctx.connect() as quick, ctx.memory_bound(400):
        mute.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(500):  # answers of 9 GB
                mute.send(wire.FETCH, 4, body)
        for _ in range(20):
            equal(quick.produce(topic, 0, batch([b"quick"]))[0], wire.NONE, "produce of another client")
            time.sleep(0.05)


@scenario("a batch with a wrong checksum is refused and leaves nothing behind")
def bad_crc(ctx):
    topic, records = ctx.topic(), bytearray(batch([b"spoiled"]))
    records[-3] ^= 0x40
    with ctx.connect() as conn:
        equal(conn.produce(topic, 0, bytes(records))[0], wire.CORRUPT_MESSAGE, "error")
        equal(conn.list_offset(topic, 0, -1), (wire.NONE, 0), "end offset")


@scenario("a batch whose record count lies is refused")
def bad_count(ctx):
    topic = ctx.topic()
    records = bytearray(batch([b"a", b"b"]))
    struct.pack_into(">i", records, 57, 5)  # the count no longer fits lastOffsetDelta
    struct.pack_into(">I", records, 17, wire.crc32c(records[21:]))
    with ctx.connect() as conn:
        error, _ = conn.produce(topic, 0, bytes(records))
        true(error != wire.NONE, "accepted")
        equal(conn.list_offset(topic, 0, -1), (wire.NONE, 0), "end offset")


@scenario("unknown topics and offsets out of range have their own errors")
def errors(ctx):
    topic = ctx.topic()
    with ctx.connect() as conn:
        equal(conn.produce(ctx.name("absent"), 0, batch([b"x"]))[0], wire.UNKNOWN_TOPIC, "produce, topic")
        equal(conn.produce(topic, 7, batch([b"x"]))[0], wire.UNKNOWN_TOPIC, "produce, partition")
        equal(conn.fetch(topic, 0, 5)[0], wire.OFFSET_OUT_OF_RANGE, "fetch past the end")
        equal(conn.fetch(topic, 0, -7)[0], wire.OFFSET_OUT_OF_RANGE, "fetch at a negative offset")
        equal(conn.produce(topic, 0, batch([b"x" * 1100000]))[0], wire.MESSAGE_TOO_LARGE, "produce, too large")


@scenario("a long poll waits its time, and is woken by an append")
def long_poll(ctx):
    topic = ctx.topic()
    with ctx.connect() as reader, ctx.connect() as writer:
        began = time.monotonic()
        equal(reader.fetch(topic, 0, 0, max_wait_ms=400)[2], b"", "nothing to read")
        waited = time.monotonic() - began
        true(0.35 <= waited < 3, f"an empty poll of 400 ms took {waited:.3f} s")
        timer = threading.Timer(0.3, writer.produce, (topic, 0, batch([b"woken"])))
        timer.start()
        began = time.monotonic()
        _, watermark, data = reader.fetch(topic, 0, 0, max_wait_ms=8000)
        waited = time.monotonic() - began
        timer.join()
        equal((watermark, wire.records_of(data)), (1, [(0, b"woken")]), "records")
        true(waited < 4, f"woken only after {waited:.1f} s")


@scenario("a long poll waits for min bytes")
def min_bytes(ctx):
    topic = ctx.topic()
    with ctx.connect() as reader, ctx.connect() as writer:
        writer.produce(topic, 0, batch([b"small"]))
        began = time.monotonic()
        _, _, data = reader.fetch(topic, 0, 0, max_wait_ms=400, min_bytes=100000)
        true(time.monotonic() - began >= 0.35, "answered before the time with too few bytes")
        equal(len(wire.records_of(data)), 1, "records at the end of the wait")


@scenario("the first batch is returned whole, however small the limit")
def first_batch_whole(ctx):
    topic = ctx.topic()
    with ctx.connect() as conn:
        for _ in range(3):
            conn.produce(topic, 0, batch([b"y" * 5000]))
        error, _, data = conn.fetch(topic, 0, 0, max_bytes=10)
        equal((error, wire.records_of(data)), (wire.NONE, [(0, b"y" * 5000)]), "fetch with 10 bytes")


def init_producer(conn):
    """(producer id, epoch). A broker may be loading at first: error 14 means try again."""
    def ask():
        reader = conn.request(22, 0, text(None) + i32(60000))
        reader.i32()
        return reader.i16(), (reader.i64(), reader.i16())
    error, producer = eventually(lambda: [a for a in [ask()] if a[0] != 14], 10, "InitProducerId")[0]
    equal(error, wire.NONE, "InitProducerId")
    return producer


@scenario("a repeated sequence is answered with its first offset, a gap is refused")
def idempotence(ctx):
    topic = ctx.topic()
    with ctx.connect() as conn:
        pid, epoch = init_producer(conn)
        true(pid >= 0 and epoch == 0, f"producer {pid}, epoch {epoch}")
        batches = [batch([b"%d" % i, b"%d'" % i], producer=(pid, epoch, 2 * i)) for i in range(5)]
        for i, records in enumerate(batches):
            equal(conn.produce(topic, 0, records), (wire.NONE, 2 * i), f"batch {i}")
        for i, records in enumerate(batches):
            equal(conn.produce(topic, 0, records), (wire.NONE, 2 * i), f"batch {i} again")
        gap = batch([b"gap"], producer=(pid, epoch, 40))
        equal(conn.produce(topic, 0, gap)[0], 45, "error for a gap")
        equal(conn.list_offset(topic, 0, -1), (wire.NONE, 10), "end offset")


@scenario("each producer id is given once")
def producer_ids(ctx):
    with ctx.connect() as conn:
        ids = [init_producer(conn)[0] for _ in range(20)]
    equal(len(set(ids)), 20, "different ids")


def fetch_session(conn, parts, session=0, epoch=0, forgotten=(), wait_ms=0):
    """Fetch 11: parts and forgotten are (topic, partition, offset). (error, session id, {(topic, partition): values})"""
    def named(found, item):
        return array([text(topic) + array([item(*row)]) for topic, *row in found])
    body = (i32(-1) + i32(wait_ms) + i32(1) + i32(1 << 20) + i8(0) + i32(session) + i32(epoch)
            + named(parts, lambda p, offset: i32(p) + i32(-1) + i64(offset) + i64(-1) + i32(1 << 20))
            + named(forgotten, lambda p, _: i32(p)) + text(""))
    reader = conn.request(wire.FETCH, 11, body)

    def part():
        index, error, _high, _stable, _start = reader.i32(), reader.i16(), reader.i64(), reader.i64(), reader.i64()
        reader.array(lambda: (reader.i64(), reader.i64()))
        reader.i32()
        data = reader.blob() or b""
        return index, error or [value for _, value in wire.records_of(data)]
    reader.i32()
    error, session = reader.i16(), reader.i32()
    topics = reader.array(lambda: (reader.text(), reader.array(part)))
    reader.end()
    return error, session, {(topic, index): found for topic, rows in topics for index, found in rows}


@scenario("a fetch session tells what is new, and what is forgotten no more")
def session_news(ctx):
    topic = ctx.topic(partitions=6)  # on every shard
    with ctx.connect() as conn:
        error, session, found = fetch_session(conn, [(topic, p, 0) for p in range(6)])
        equal((error, found), (0, {(topic, p): [] for p in range(6)}), "full answer")
        true(session > 0, f"session id {session}")
        equal(fetch_session(conn, [], session, 1), (0, session, {}), "nothing new")
        for p in (1, 4, 5):
            conn.produce(topic, p, batch([b"%d" % p]))
        news = {(topic, p): [b"%d" % p] for p in (1, 4, 5)}
        equal(fetch_session(conn, [], session, 2), (0, session, news), "three have records")
        read = [(topic, 1, 1), (topic, 4, 1)]
        equal(fetch_session(conn, read, session, 3, [(topic, 5, 0)])[2], {}, "two are read, one is forgotten")
        equal(fetch_session(conn, [], session, 2)[:2], (71, 0), "an old epoch")
        equal(fetch_session(conn, [], session + 1, 4)[:2], (70, 0), "an unknown session")
        equal(fetch_session(conn, [(topic, 0, 0)], session, -1)[:2], (0, 0), "the end of it")
        equal(fetch_session(conn, [], session, 4)[:2], (70, 0), "after the end")


@scenario("a fetch that names nothing waits for its session, and an append to any shard answers it")
def session_waits(ctx):
    topic = ctx.topic(partitions=6)
    with ctx.connect() as conn, ctx.connect() as other:
        session, epoch = fetch_session(conn, [(topic, p, 0) for p in range(6)])[1], 0
        began = time.monotonic()
        equal(fetch_session(conn, [], session, epoch := epoch + 1, wait_ms=300)[2], {}, "nothing")
        true(time.monotonic() - began >= 0.29, "answered before its time")
        for p in range(6):
            timer = threading.Timer(0.05, other.produce, (topic, p, batch([b"x"])))
            timer.start()
            began = time.monotonic()
            got = fetch_session(conn, [], session, epoch := epoch + 1, wait_ms=10000)[2]
            timer.join()
            equal(got, {(topic, p): [b"x"]}, f"partition {p}")
            true(time.monotonic() - began < 5, "waited on although there were records")
            equal(fetch_session(conn, [(topic, p, 1)], session, epoch := epoch + 1)[2], {}, "read")


@scenario("a session tells of a topic that is made, deleted and made again")
def session_topics(ctx):
    topic = ctx.topic() + "-later"
    with ctx.connect() as conn:
        session = fetch_session(conn, [(topic, 0, 0)])[1]
        equal(fetch_session(conn, [], session, 1)[2], {(topic, 0): wire.UNKNOWN_TOPIC}, "before")
        conn.create_topic(topic)
        equal(fetch_session(conn, [], session, 2)[2], {(topic, 0): []}, "made")
        equal(fetch_session(conn, [], session, 3)[2], {}, "nothing new")
        equal(conn.delete_topic(topic), wire.NONE, "deletion")
        eventually(lambda: conn.list_offset(topic, 0, -1)[0] == wire.UNKNOWN_TOPIC, 5, "topic is gone")
        equal(fetch_session(conn, [], session, 4)[2], {(topic, 0): wire.UNKNOWN_TOPIC}, "deleted")
        conn.create_topic(topic)
        conn.produce(topic, 0, batch([b"anew"]))
        equal(fetch_session(conn, [], session, 5)[2], {(topic, 0): [b"anew"]}, "made again")


@scenario("/healthz and /metrics answer on the management port")
def management(ctx):
    address = http_address(ctx)
    status, body = http_get(address, "/healthz")
    equal(status, 200, "status of /healthz")
    true('"ok"' in body, f"health is {body}")
    status, body = http_get(address, "/metrics")
    equal(status, 200, "status of /metrics")
    true("# TYPE" in body, "no Prometheus text")
    equal(http_get(address, "/nothing")[0], 404, "status of an unknown path")


@scenario("garbage on the management port harms nobody")
def http_garbage(ctx):
    host, port = http_address(ctx).rsplit(":", 1)
    rng = random.Random(11)
    inputs = [rng.randbytes(size) for size in (1, 10, 1000, 50000)]
    inputs += [b"GET " + b"/" * 100000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20000, b"GET / HTTP/9.9\r\n\r\n",
               b"POST /healthz HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
               b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", b"\r\n" * 5000,
               b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n\0\0\0"]
    for data in inputs:
        with socket.create_connection((host, int(port)), timeout=5) as sock:
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
            except OSError:
                pass  # closed while we were still sending
    equal(http_get(ctx.http, "/healthz")[0], 200, "status of /healthz afterwards")


def alter_topic(conn, topic, *changes):
    """IncrementalAlterConfigs 0: (name, operation, value) each. The error code."""
    configs = array(text(name) + i8(op) + text(value) for name, op, value in changes)
    reader = conn.request(44, 0, array([i8(2) + text(topic) + configs]) + i8(0))
    reader.i32()
    (error, _, kind, name), = reader.array(lambda: (reader.i16(), reader.text(), reader.i8(), reader.text()))
    reader.end()
    equal((kind, name), (2, topic), "resource of the answer")
    return error


def topic_setting(conn, topic, name):
    """DescribeConfigs 1: (value, source) of one setting."""
    reader = conn.request(32, 1, array([i8(2) + text(topic) + array([text(name)])]) + i8(0))
    reader.i32()
    equal((reader.i32(), reader.i16()), (1, wire.NONE), "results and error")
    reader.text(), reader.i8(), reader.text()
    found = reader.array(lambda: (reader.text(), reader.text(), reader.i8(), reader.i8(), reader.i8(), reader.i32()))
    reader.end()
    equal([f[0] for f in found], [name], "settings told")
    return found[0][1], found[0][3]


@scenario("a changed setting holds for the next record, on every connection")
def altered(ctx):
    name = ctx.topic(3)
    with ctx.connect() as conn, ctx.connect() as other:
        for p in range(3):
            equal(other.produce(name, p, batch([b"x" * 5000]))[0], wire.NONE, "error before")
        equal(alter_topic(conn, name, ("max.message.bytes", 0, "4000"), ("cleanup.policy", 2, "compact")), wire.NONE,
              "error")
        equal(topic_setting(other, name, "max.message.bytes"), ("4000", 1), "value and source")
        equal(topic_setting(other, name, "cleanup.policy")[0] in ("compact,delete", "delete,compact"), True, "policy")
        for p in range(3):
            equal(other.produce(name, p, batch([b"x" * 5000]))[0], wire.MESSAGE_TOO_LARGE, "error of a large one")
            equal(other.produce(name, p, batch([b"x"]))[0], 87, "error of a null key")
        equal(alter_topic(conn, name, ("max.message.bytes", 1, None), ("cleanup.policy", 3, "compact")), wire.NONE,
              "error of the way back")
        equal(topic_setting(other, name, "max.message.bytes")[0], "1048588", "value")
        for p in range(3):
            equal(other.produce(name, p, batch([b"x" * 5000]))[0], wire.NONE, "error after")
        equal(alter_topic(conn, ctx.name("none"), ("retention.ms", 0, "5")), wire.UNKNOWN_TOPIC, "unknown topic")
        equal(alter_topic(conn, name, ("retention.ms", 0, "soon")), 40, "bad value")


@scenario("pipelined HTTP requests are answered in order")
def http_pipeline(ctx):
    host, port = http_address(ctx).rsplit(":", 1)
    request = b"GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(request % (b"/healthz", b"") + request % (b"/nothing", b"")
                     + request % (b"/healthz", b"Connection: close\r\n"))
        answer = b""
        while part := sock.recv(65536):
            answer += part
    equal(re.findall(rb"HTTP/1.1 (\d+) ", answer), [b"200", b"404", b"200"], "statuses")


if __name__ == "__main__":
    main("raw")
