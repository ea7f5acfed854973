"""TLS, as Kafka clients use it: kcat and kafka-python, and Python's own ssl where a client would hide what happens."""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import time
import warnings

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from harness.scenario import Skip, equal, eventually, main, raises, scenario, true
from harness.tls import Authority

IDLE_KIB = 60  # of one connection that has nothing to do, at most
SANITIZED_KIB = 1024


def place():
    """(host, port, authority) of the broker's listener with TLS."""
    if "TLS" not in os.environ:
        raise Skip("the broker has no listener with TLS")
    host, port = os.environ["TLS"].rsplit(":", 1)
    return host, int(port), Authority(os.environ["TLS_DIR"])


def rules(authority, own=None, version=None):
    context = ssl.create_default_context(cafile=authority.certificate)
    if own:
        context.load_cert_chain(*own)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def enter(context, timeout=10):
    host, port, _ = place()
    return context.wrap_socket(socket.create_connection((host, port), timeout=timeout), server_hostname="localhost")


def ask_versions(sock):
    """An ApiVersions request, version 0; the correlation id of the answer."""
    sock.sendall(bytes.fromhex("0000000e00120000000000070004") + b"test")
    answer = b""
    while len(answer) < 8:
        more = sock.recv(4096)
        true(more, "the connection ended")
        answer += more
    return int.from_bytes(answer[4:8], "big")


def options(authority, **more):
    return {"bootstrap_servers": os.environ["TLS"], "security_protocol": "SSL", "ssl_cafile": authority.certificate, **more}


@scenario("kcat produces and reads back, and is told the address it came in on")
def with_kcat(ctx):
    host, port, authority = place()
    if not shutil.which("kcat"):
        raise Skip("no kcat")
    topic = ctx.topic()
    words = ["kcat", "-b", f"localhost:{port}", "-X", "security.protocol=ssl", "-X", f"ssl.ca.location={authority.certificate}"]
    lines = b"".join(b"line %d\n" % i for i in range(50000))
    subprocess.run([*words, "-P", "-t", topic, "-p", "0"], input=lines, check=True, timeout=25)
    got = subprocess.run([*words, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q"], stdout=subprocess.PIPE,
                         check=True, timeout=25).stdout
    true(got == lines, "the lines differ")
    listing = subprocess.run([*words, "-L"], stdout=subprocess.PIPE, check=True, timeout=25).stdout.decode()
    true(f" at {host}:{port} " in listing, listing)


@scenario("kafka-python produces and reads 4 MB over TLS, and the plain listener has the same records", timeout=60)
def with_kafka_python(ctx):
    _, _, authority = place()
    topic = ctx.topic()
    sender = KafkaProducer(**options(authority), batch_size=200000)
    values = [bytes([i]) * 100000 for i in range(40)]
    for value in values:
        sender.send(topic, value, partition=0)
    sender.flush(timeout=30)
    for where in (options(authority), {"bootstrap_servers": ctx.bootstrap}):
        reader = KafkaConsumer(**where, group_id=None, consumer_timeout_ms=15000)
        reader.assign([TopicPartition(topic, 0)])
        reader.seek_to_beginning()
        for value in values:
            true(next(reader).value == value, "a value differs")
        reader.close()
    sender.close()


@scenario("a client certificate from the authority is welcome, another one is refused")
def client_certificates(ctx):
    _, _, authority = place()
    own = authority.issue("alice")
    with enter(rules(authority, own)) as sock:
        equal(ask_versions(sock), 7, "correlation id")
    stranger = Authority(os.path.join(authority.directory, "elsewhere"), "other").issue("mallory")

    def refused():
        with enter(rules(authority, stranger)) as sock:
            ask_versions(sock)
    raises((ssl.SSLError, ConnectionError, AssertionError), refused)


@scenario("TLS 1.2 and 1.3 are spoken, 1.1 is not; who trusts another authority goes away")
def versions(ctx):
    _, _, authority = place()
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        with enter(rules(authority, version=version)) as sock:
            equal(sock.version(), name, "version")
            equal(ask_versions(sock), 7, "correlation id")
    old = ssl.create_default_context(cafile=authority.certificate)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is old is the point
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    raises((ssl.SSLError, ConnectionError), enter, old)
    other = Authority(os.path.join(authority.directory, "elsewhere"), "other")
    raises(ssl.SSLCertVerificationError, enter, rules(other))


@scenario("a client that does not speak TLS is closed at once, a silent one after the timeout")
def no_tls(ctx):
    host, port, _ = place()
    with socket.create_connection((host, port), timeout=10) as sock:
        sock.sendall(bytes.fromhex("0000000e00120000000000070004") + b"test")
        with contextlib.suppress(ConnectionError):
            while sock.recv(4096):
                pass
    began = time.monotonic()
    with socket.create_connection((host, port), timeout=10) as sock:
        sock.sendall(b"\x16\x03\x01")
        equal(sock.recv(10), b"", "bytes of the broker")
    true(2.5 < time.monotonic() - began < 6, f"closed after {time.monotonic() - began:.1f} s")


@scenario("both ends say that nothing follows, and a half-closed client gets its answers")
def endings(ctx):
    host, port, authority = place()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = rules(authority).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection((host, port), timeout=10) as sock:
        def until_done(step):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    sock.sendall(outgoing.read())
                    incoming.write(sock.recv(65536))
        until_done(tls.do_handshake)
        tls.write(bytes.fromhex("0000000e00120000000000070004") + b"test")
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()  # says close_notify; the broker's own follows its answer
        sock.sendall(outgoing.read())
        sock.shutdown(socket.SHUT_WR)
        received = b""
        while more := sock.recv(65536):
            received += more
        true(len(received) > 300, f"{len(received)} bytes came")
        equal(received[-24], 0x17, "type of the last record, in which TLS 1.3 hides an alert of 19 bytes")


@scenario("a renewed certificate is used by the next connections, and the old ones go on")
def renewal(ctx):
    _, _, authority = place()

    def serial():
        with enter(rules(authority)) as sock:
            return sock.getpeercert()["serialNumber"]
    first = serial()
    with enter(rules(authority)) as old:
        authority.issue("server")
        eventually(lambda: serial() != first, 10, "the new certificate")
        equal(ask_versions(old), 7, "correlation id on the old connection")


def amqp_frame(sock):
    """The next frame: its method's two numbers, and all of it."""
    frame = b""
    while len(frame) < 7 or len(frame) < 8 + int.from_bytes(frame[3:7], "big"):
        more = sock.recv(4096)
        true(more, "the connection ended")
        frame += more
    return int.from_bytes(frame[7:9], "big"), int.from_bytes(frame[9:11], "big"), frame


def amqp_login(sock):
    """SASL EXTERNAL: connection.start-ok without properties and response; what is answered."""
    method = bytes.fromhex("000a000b00000000") + b"\x08EXTERNAL" + bytes(4) + b"\x05en_US"
    sock.sendall(b"\x01\0\0" + len(method).to_bytes(4, "big") + method + b"\xce")
    return amqp_frame(sock)[:2]


@scenario("an AMQP client logs in by its certificate, which is offered only to who has one")
def external(_ctx):
    _, _, authority = place()
    host, port = os.environ["TLS_AMQP"].rsplit(":", 1)

    def start(context):
        sock = context.wrap_socket(socket.create_connection((host, int(port)), timeout=10), server_hostname="localhost")
        sock.sendall(b"AMQP\0\0\x09\x01")
        return sock, *amqp_frame(sock)
    for name, welcome in (("guest", True), ("nobody", False)):
        sock, group, method, frame = start(rules(authority, authority.issue(name)))
        with sock:
            equal((group, method), (10, 10), "connection.start")
            true(b"EXTERNAL" in frame, "EXTERNAL is not offered")
            try:
                tuned = amqp_login(sock) == (10, 30)
            except (AssertionError, OSError):
                tuned = False
            equal(tuned, welcome, f"{name} gets connection.tune")
    sock, _, _, frame = start(rules(authority))
    sock.close()
    true(b"PLAIN" in frame and b"EXTERNAL" not in frame, "EXTERNAL is offered to a client without certificate")


@scenario("an idle connection takes little memory")
def idle(ctx):
    _, _, authority = place()
    def kibibytes(row):
        with open(f"/proc/{ctx.pid}/status", encoding="utf-8") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(row + ":"))
    sanitized = kibibytes("VmSize") > 1 << 30  # shadow memory; what is freed is kept, too
    limit = SANITIZED_KIB if sanitized else IDLE_KIB
    context = rules(authority)
    with contextlib.ExitStack() as stack:
        for _ in range(50):  # what is kept for the next ones
            equal(ask_versions(stack.enter_context(enter(context))), 7, "correlation id")
        before = kibibytes("VmRSS")
        for _ in range(300):
            equal(ask_versions(stack.enter_context(enter(context))), 7, "correlation id")
        time.sleep(2)  # pools are trimmed once a second
        each = (kibibytes("VmRSS") - before) / 300
        print(f"# {each:.1f} KiB each")
        true(each <= limit, f"{each:.1f} KiB each")


if __name__ == "__main__":
    main(os.environ.get("CLIENT", "tls"))
