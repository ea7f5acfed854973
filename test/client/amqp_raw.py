"""The AMQP 0-9-1 connection in bytes: handshake, tuning, framing, heartbeats, channels, and every error code and text."""

import contextlib
import os
import struct
import time

import amqp_wire as amqp
from amqp_expect import channel, refused, silently_or, still_serves
from amqp_wire import BODY, HEARTBEAT, METHOD, PROTOCOL, Closed, Connection, Gone, content, frame, header, method
from harness.scenario import Skip, equal, eventually, main, raises, scenario, true

SECRET = "nobody-knows-this"


def ends(ctx, code, beginning, *data, number=1):
    """The connection must end with that code after an open channel was sent the data."""
    with channel(ctx) as ch:
        ch.connection.send_raw(b"".join(data))
        error = raises(Closed, ch.connection.until_closed)
        true(error.of_connection, "only the channel was closed")
        equal(error.code, code, f"reply code with {error.text}")
        true(error.text.startswith(beginning), f"text is {error.text}")
        raises(Gone, ch.connection.read)
    still_serves(ctx)
    return error


# ---- the handshake

@scenario("connection.start tells capabilities, mechanisms and a product of the 3.x line")
def start(ctx):
    with Connection(ctx.bootstrap, handshake=False) as conn:
        start = conn.start()
    equal((start.major, start.minor), (0, 9), "version")
    true({b"PLAIN", b"AMQPLAIN"} <= set(start.mechanisms.split()), f"mechanisms {start.mechanisms}")
    true(b"en_US" in start.locales.split(), f"locales {start.locales}")
    capabilities = conn.server_properties["capabilities"]
    wanted = {"publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
              "connection.blocked", "consumer_priorities", "authentication_failure_close", "per_consumer_qos",
              "direct_reply_to"}
    equal({name for name in wanted if capabilities.get(name) is not True}, set(), "capabilities that are missing")
    for name in ("product", "version", "platform", "information", "copyright", "cluster_name"):
        true(conn.server_properties.get(name), f"no {name}")
    equal(conn.server_properties["product"], "RabbitMQ", "product")
    equal(conn.server_properties["version"].split(".")[0], "3", "major version, by which clients choose how to set QoS")


@scenario("a wrong protocol header is answered with the right one, and the end")
def wrong_header(ctx):
    for sent in (b"AMQP\x00\x00\x08\x00", b"AMQP\x00\x01\x02\x03", b"HELO\r\n\r\n", b"AMQP\x05\x00\x09\x01"):
        with Connection(ctx.bootstrap, handshake=False) as conn:
            conn.send_raw(sent)
            equal(conn.read_exactly(8), PROTOCOL, f"answer to {sent}")
            raises(Gone, conn.read_exactly, 1)
    still_serves(ctx)


@scenario("bytes of HTTP and TLS on the plain port end the connection only")
def other_protocols(ctx):
    for sent in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
        with Connection(ctx.bootstrap, handshake=False) as conn:
            conn.send_raw(sent)
            with contextlib.suppress(Gone):
                conn.read_exactly(1000)
    still_serves(ctx)


@scenario("the old protocol header AMQP 1 1 0 9 is accepted")
def old_header(ctx):
    with Connection(ctx.bootstrap, handshake=False) as conn:
        conn.send_raw(b"AMQP\x01\x01\x00\x09")
        equal(conn.next(0).name, "connection.start", "answer")


@scenario("AMQPLAIN logs in with a table that has no length")
def amqplain(ctx):
    response = amqp.table({"LOGIN": "guest", "PASSWORD": "guest"})[4:]
    with channel(ctx, mechanism="AMQPLAIN", response=response) as ch:
        ch.declare(exclusive=True)


@scenario("a wrong password is told 403 to those who understand it, others lose the socket")
def wrong_password(ctx):
    with Connection(ctx.bootstrap, handshake=False) as conn:
        conn.start(password=SECRET)
        refused(403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the "
                "broker logfile.", conn.next, 0)
    with Connection(ctx.bootstrap, handshake=False) as conn:
        conn.start(password=SECRET, capabilities={})
        raises(Gone, conn.next, 0)
    response = amqp.table({"LOGIN": "guest", "PASSWORD": SECRET})[4:]
    with Connection(ctx.bootstrap, handshake=False) as conn:
        conn.start(mechanism="AMQPLAIN", response=response)
        refused(403, "ACCESS_REFUSED - Login was refused using authentication mechanism AMQPLAIN. For details see the "
                "broker logfile.", conn.next, 0)


@scenario("an unknown user is told the same as a wrong password")
def unknown_user(ctx):
    with Connection(ctx.bootstrap, handshake=False) as conn:
        conn.start(user=ctx.name("nobody"))
        refused(403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the "
                "broker logfile.", conn.next, 0)


@scenario("an unknown SASL mechanism is refused")
def unknown_mechanism(ctx):
    with Connection(ctx.bootstrap, handshake=False) as conn:
        conn.start(mechanism="ROT13", response=b"guest")
        error = raises((Closed, Gone), conn.until_closed)
        true(isinstance(error, Gone) or error.code == 503, f"answer {error}")


@scenario("a malformed PLAIN response is refused")
def malformed_response(ctx):
    with Connection(ctx.bootstrap, handshake=False) as conn:
        conn.start(response=b"no-zero-bytes")
        error = raises((Closed, Gone), conn.next, 0)
        true(isinstance(error, Gone) or error.code in (403, 502), f"answer {error}")
    still_serves(ctx)


@scenario("an unknown virtual host is refused with 530")
def unknown_vhost(ctx):
    vhost = ctx.name("vhost")
    refused(530, f"NOT_ALLOWED - vhost {vhost} not found", Connection, ctx.bootstrap, vhost=vhost)


@scenario("methods before the handshake is over end the connection")
def too_early(ctx):
    with Connection(ctx.bootstrap, handshake=False) as conn:
        conn.send_raw(PROTOCOL)
        conn.next(0)
        conn.send("channel.open", 1)
        raises((Closed, Gone), conn.until_closed)
    with Connection(ctx.bootstrap, handshake=False) as conn:
        conn.start()
        conn.next(0)
        conn.send("connection.open", 0, vhost="/")  # tune-ok is missing
        raises((Closed, Gone), conn.until_closed)
    still_serves(ctx)


@scenario("the first bytes of a connection, cut anywhere, are understood")
def handshake_cut(ctx):
    start_ok = method("connection.start-ok", 0, client_properties={}, mechanism="PLAIN", response=b"\0guest\0guest", locale="en_US")
    rest = method("connection.tune-ok", 0, channel_max=100, frame_max=131072) + method("connection.open", 0, vhost="/")
    for cut in (1, 4, 7):
        with Connection(ctx.bootstrap, handshake=False) as conn:
            for part in (PROTOCOL[:cut], PROTOCOL[cut:]):
                conn.send_raw(part)
                time.sleep(0.01)
            conn.next(0, "connection.start")
            for byte in start_ok:
                conn.send_raw(bytes([byte]))
            conn.next(0, "connection.tune")
            for byte in rest:
                conn.send_raw(bytes([byte]))
            conn.next(0, "connection.open-ok")


@scenario("a handshake that does not go on is ended", timeout=40)
def handshake_time(ctx):
    with Connection(ctx.bootstrap, handshake=False, timeout=25) as conn, \
            Connection(ctx.bootstrap, handshake=False, timeout=25) as mute:
        conn.send_raw(PROTOCOL)
        conn.next(0)
        raises((Closed, Gone), conn.until_closed)
        raises((Closed, Gone), mute.until_closed)


# ---- tuning

@scenario("frames are as small as the client says, down to 4096")
def small_frames(ctx):
    with channel(ctx, frame_max=4096) as ch:
        queue = ch.declare(exclusive=True).queue
        body = os.urandom(100000)
        ch.publish("", queue, body)
        got = eventually(lambda: ch.get(queue), 5, "the message")
        true(got.body == body, "the body is another")
        true(ch.connection.largest_frame <= 4096, f"a frame of {ch.connection.largest_frame} bytes")


@scenario("a frame_max of 0 is taken, and does not lift the broker's own limit")
def no_frame_max(ctx):
    with Connection(ctx.bootstrap, handshake=False) as conn:
        conn.start()
        tune = conn.next(0, "connection.tune")
        conn.send("connection.tune-ok", 0, channel_max=0, frame_max=0, heartbeat=0)
        conn.send("connection.open", 0, vhost="/")
        if ctx.external:  # RabbitMQ refuses it
            silently_or(530, "NOT_ALLOWED - negotiated frame_max = no limit is higher than the maximum allowed value "
                        f"({tune.frame_max})", conn.until_closed)
            return
        conn.next(0, "connection.open-ok")
        ch = conn.channel()
        queue = ch.declare(exclusive=True).queue
        ch.publish("", queue, b"x" * 500000)
        eventually(lambda: ch.drain(queue) == [b"x" * 500000], 5, "a message")
        true(conn.largest_frame <= tune.frame_max, f"a frame of {conn.largest_frame} bytes")


@scenario("a tuning beyond what was proposed is refused")
def bad_tuning(ctx):
    for field in ("channel_max", "frame_max"):
        with Connection(ctx.bootstrap, handshake=False) as conn:
            conn.start()
            tune = conn.next(0, "connection.tune")
            limits = {"channel_max": tune.channel_max, "frame_max": tune.frame_max}
            wanted = limits[field] + 1
            conn.send("connection.tune-ok", 0, **{**limits, field: wanted})
            silently_or(530, f"NOT_ALLOWED - negotiated {field} = {wanted} is higher than the maximum allowed value "
                        f"({limits[field]})", conn.until_closed)


@scenario("a frame_max below 4096 is refused")
def tiny_frames(ctx):
    silently_or(530, "NOT_ALLOWED - negotiated frame_max = 4095 is lower than the minimum allowed value (4096)",
                Connection, ctx.bootstrap, frame_max=4095)


@scenario("more channels than negotiated end the connection with 530")
def too_many_channels(ctx):
    with Connection(ctx.bootstrap, channel_max=3) as conn:
        for _ in range(3):
            conn.channel()
        conn.send("channel.open", 4)
        refused(530, "NOT_ALLOWED - number of channels opened (3) has reached the negotiated channel_max (3)",
                conn.until_closed)


# ---- heartbeats

@scenario("the broker sends heartbeats where nothing else is sent")
def heartbeats_sent(ctx):
    with Connection(ctx.bootstrap, heartbeat=1, timeout=1.5) as conn:
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            conn.send_raw(frame(HEARTBEAT, 0, b""))
            conn.read()
        true(2 <= conn.heartbeats <= 8, f"{conn.heartbeats} heartbeats in 2.5 s")


@scenario("a client that falls silent is dropped, one that only sends heartbeats is kept")
def heartbeats_missed(ctx):
    with Connection(ctx.bootstrap, heartbeat=1) as mute, Connection(ctx.bootstrap, heartbeat=1) as beating:
        began = time.monotonic()

        def dropped():
            beating.send_raw(frame(HEARTBEAT, 0, b""))
            mute.sock.settimeout(0.1)
            try:
                mute.read()
            except TimeoutError:
                return False
            except Gone:
                return True
            return False
        eventually(dropped, 8, "the mute client is dropped")
        took = time.monotonic() - began
        true(1 <= took <= 5, f"dropped after {took:.1f} s")
        beating.channel().declare(exclusive=True)


@scenario("heartbeat 0: no heartbeats, and silence is allowed")
def no_heartbeats(ctx):
    with Connection(ctx.bootstrap, heartbeat=0) as conn:
        conn.silent(0, 2.5)
        equal(conn.heartbeats, 0, "heartbeats")
        conn.channel().declare(exclusive=True)


@scenario("a heartbeat on a channel, or in the middle of a content, is told apart")
def odd_heartbeats(ctx):
    with channel(ctx) as ch:
        queue = ch.declare(exclusive=True).queue
        parts = content(1, b"x" * 10)
        ch.connection.send_raw(method("basic.publish", 1, routing_key=queue) + frame(HEARTBEAT, 0, b"") + parts)
        eventually(lambda: ch.drain(queue) == [b"x" * 10], 5, "the message around a heartbeat")
    ends(ctx, 505, "UNEXPECTED_FRAME - ", frame(HEARTBEAT, 1, b""))


# ---- frames

@scenario("a publish that arrives in pieces cut at any byte is understood")
def cut_anywhere(ctx):
    with channel(ctx) as ch:
        queue = ch.declare(exclusive=True).queue
        ch.call("confirm.select")
        data = method("basic.publish", 1, routing_key=queue) + content(1, b"body", content_type="text/plain", headers={"a": 1})
        for cut in range(1, len(data)):
            ch.connection.send_raw(data[:cut])
            time.sleep(0.001)
            ch.connection.send_raw(data[cut:])
        for byte in data:
            ch.connection.send_raw(bytes([byte]))
        acked = 0
        while acked < len(data):
            acked = max(acked, ch.next("basic.ack").tag)
        equal(ch.drain(queue), [b"body"] * len(data), "bodies")


@scenario("a body in frames of any size, empty ones among them, is one message")
def odd_bodies(ctx):
    with channel(ctx) as ch:
        queue = ch.declare(exclusive=True).queue
        sent = method("basic.publish", 1, routing_key=queue) + header(1, 5)
        for part in (b"a", b"", b"bc", b"", b"de"):
            sent += frame(BODY, 1, part)
        sent += method("basic.publish", 1, routing_key=queue) + header(1, 0)
        ch.connection.send_raw(sent)
        eventually(lambda: ch.count(queue)[0] == 2, 5, "two messages")
        equal(ch.drain(queue), [b"abcde", b""], "bodies")


@scenario("contents of several channels, interleaved frame by frame, stay apart")
def interleaved(ctx):
    with Connection(ctx.bootstrap) as conn:
        channels = [conn.channel() for _ in range(4)]
        queue = channels[0].declare(exclusive=True).queue
        for ch in channels:
            ch.call("confirm.select")
        bodies = [bytes([65 + i]) * 1000 for i in range(4)]
        for ch in channels:
            ch.send("basic.publish", routing_key=queue)
        for ch in channels:
            conn.send_raw(header(ch.number, 1000))
        for at in range(0, 1000, 100):
            for ch, body in zip(channels, bodies):
                conn.send_raw(frame(BODY, ch.number, body[at:at + 100]))
        for ch in channels:
            ch.next("basic.ack")
        equal(sorted(channels[0].drain(queue)), bodies, "bodies")


@scenario("a frame without the end octet ends the connection with 501")
def no_end(ctx):
    good = method("queue.declare", 1, exclusive=True)
    ends(ctx, 501, "FRAME_ERROR", good[:-1] + b"\x00")


@scenario("a frame above frame_max ends the connection with 501")
def oversize(ctx):
    ends(ctx, 501, "FRAME_ERROR", method("basic.publish", 1, routing_key="x"), header(1, 200000), frame(BODY, 1, b"x" * 200000))


@scenario("a frame of an unknown type ends the connection with 501")
def unknown_frame(ctx):
    ends(ctx, 501, "FRAME_ERROR", frame(4, 1, b"hello"))


@scenario("an unknown method or class ends the connection")
def unknown_method(ctx):
    for class_id, method_id in ((60, 99), (99, 10), (50, 0)):
        with channel(ctx) as ch:
            ch.connection.send_raw(frame(METHOD, 1, struct.pack(">HH", class_id, method_id) + b"\0" * 8))
            error = raises((Closed, Gone), ch.connection.until_closed)
            true(isinstance(error, Gone) or error.code in (502, 503, 540, 541), f"answer {error}")
    still_serves(ctx)


@scenario("arguments that end too early end the connection")
def short_arguments(ctx):
    for payload in (struct.pack(">HH", 50, 10) + b"\0\0\x20abc", struct.pack(">HH", 60, 40), struct.pack(">HHH", 20, 10, 9)):
        with channel(ctx) as ch:
            ch.connection.send_raw(frame(METHOD, 1, payload))
            error = raises((Closed, Gone), ch.connection.until_closed)
            true(isinstance(error, Gone) or error.code in (501, 502, 503, 504, 541), f"answer {error}")
    still_serves(ctx)


@scenario("method frames too short for a class and a method end the connection")
def no_method(ctx):
    for payload in (b"", b"\0", b"\0\x32\0"):
        with channel(ctx) as ch:
            ch.connection.send_raw(frame(METHOD, 1, payload))
            raises((Closed, Gone), ch.connection.until_closed)
    still_serves(ctx)


@scenario("a header or body nobody announced ends the connection with 505")
def out_of_order(ctx):
    publish = method("basic.publish", 1, routing_key="x")
    ends(ctx, 505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead", header(1, 3))
    ends(ctx, 505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead", frame(BODY, 1, b"abc"))
    ends(ctx, 505, "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
         publish, frame(BODY, 1, b"abc"))
    ends(ctx, 505, "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
         publish, header(1, 3, class_id=50), frame(BODY, 1, b"abc"))
    ends(ctx, 505, "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
         publish, header(1, 3), publish)


@scenario("a body longer than its header says ends the connection")
def long_body(ctx):
    if ctx.external:
        raise Skip("RabbitMQ waits for ever")
    with channel(ctx) as ch:
        ch.connection.send_raw(method("basic.publish", 1, routing_key="x") + header(1, 3) + frame(BODY, 1, b"abcdef"))
        error = raises((Closed, Gone), ch.connection.until_closed)
        true(isinstance(error, Gone) or error.code in (501, 502, 505, 541), f"answer {error}")
    still_serves(ctx)


@scenario("a client that dies in the middle of a publish leaves no message")
def dies_publishing(ctx):
    with channel(ctx) as ch:
        queue = ctx.name("q")
        ch.declare(queue)
        data = method("basic.publish", 1, routing_key=queue) + content(1, b"x" * 300000)
        for cut in (10, 60, 200, 140000, len(data) - 1):
            with channel(ctx) as dying:
                dying.connection.send_raw(data[:cut])
        ch.publish("", queue, b"whole")
        eventually(lambda: ch.count(queue)[0] >= 1, 5, "the whole message")
        time.sleep(0.1)
        equal(ch.drain(queue), [b"whole"], "bodies")
        ch.call("queue.delete", queue=queue)


@scenario("bodies above frame_max reach each of several queues whole")
def large_fanout(ctx):
    with channel(ctx) as ch:
        ch.call("confirm.select")
        exchange = ch.exchange(ctx.name("x"), "fanout")
        queues = [ch.declare(exclusive=True).queue for _ in range(3)]
        for queue in queues:
            ch.bind(queue, exchange)
        bodies = [os.urandom(size) for size in (1, 131064, 131065, 400000, 1 << 20)]
        for body in bodies:
            ch.confirmed(exchange, "", body)
        for queue in queues:
            true(ch.drain(queue) == bodies, f"bodies of {queue} differ")
        ch.call("exchange.delete", exchange=exchange)


# ---- channels

@scenario("methods on a channel that is not open end the connection with 504")
def closed_channel(ctx):
    ends(ctx, 504, "CHANNEL_ERROR - expected 'channel.open'", method("queue.declare", 7, exclusive=True))
    ends(ctx, 504, "CHANNEL_ERROR - expected 'channel.open'", method("basic.publish", 7, routing_key="x"),
         content(7, b"x"))


@scenario("a channel opened twice ends the connection with 504")
def double_open(ctx):
    ends(ctx, 504, "CHANNEL_ERROR - second 'channel.open' seen", method("channel.open", 1))


@scenario("after channel.close of the broker all is ignored until close-ok, and the number is free again")
def late_frames(ctx):
    with channel(ctx) as ch:
        conn, queue = ch.connection, ctx.name("q")
        late = method("basic.ack", 1, tag=99) + method("queue.declare", 1, queue=queue)
        late += method("basic.publish", 1, routing_key=queue) + content(1, b"late")
        conn.send_raw(method("queue.declare", 1, queue=ctx.name("missing"), passive=True) + late)
        equal(raises(Closed, ch.next).code, 404, "code")
        again = conn.channel(1)
        conn.silent(1, 0.2)
        refused(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'", again.declare, queue, passive=True)
        conn.channel(1).declare(exclusive=True)


@scenario("nothing comes on a channel after the broker has closed it")
def quiet_after_close(ctx):
    if ctx.external:
        raise Skip("RabbitMQ does send deliveries there")
    with Connection(ctx.bootstrap) as conn:
        one, two = conn.channel(), conn.channel()
        queue = two.declare(exclusive=True).queue
        one.consume(queue, no_ack=True)
        for i in range(300):
            two.publish("", queue, b"%d" % i)
            if i == 150:
                one.send("queue.declare", queue=ctx.name("missing"), passive=True)
        seen_close = 0
        two.call("basic.qos", prefetch_count=1)
        time.sleep(0.1)
        two.call("basic.qos", prefetch_count=1)
        for event in conn.events[1]:
            true(not seen_close, f"{event} after channel.close")
            seen_close += event.name == "channel.close"
        equal(seen_close, 1, "channel.close")


@scenario("channel.close of the client is answered also when the channel is busy, and may be crossed")
def crossing_closes(ctx):
    with channel(ctx) as ch:
        conn = ch.connection
        conn.send_raw(method("queue.declare", 1, queue=ctx.name("missing"), passive=True)
                      + method("channel.close", 1, code=200, text="bye"))
        names = []
        while "channel.close-ok" not in names:
            if not conn.events[1]:
                conn.read()
            while conn.events[1]:
                names.append(conn.events[1].popleft().name)
        equal(names[0], "channel.close", "first answer")
        conn.channel(2).declare(exclusive=True)


@scenario("a body that comes after its channel was closed does not disturb the others")
def body_after_close(ctx):
    with Connection(ctx.bootstrap) as conn:
        one, two = conn.channel(), conn.channel()
        one.send("basic.publish", exchange=ctx.name("missing"), routing_key="x")
        conn.send_raw(header(1, 500000) + frame(BODY, 1, b"x" * 100000))
        equal(two.declare(exclusive=True).name, "queue.declare-ok", "answer on another channel")
        for _ in range(4):
            conn.send_raw(frame(BODY, 1, b"x" * 100000))
        equal(raises(Closed, one.next).code, 404, "code")
        conn.channel(1).declare(exclusive=True)


@scenario("channels by the hundred: open, used, closed and opened again")
def many_channels(ctx):
    with Connection(ctx.bootstrap) as conn:
        channels = [conn.channel() for _ in range(500)]
        queue = channels[0].declare(exclusive=True).queue
        for ch in channels:
            ch.publish("", queue, b"%d" % ch.number)
        eventually(lambda: channels[0].count(queue)[0] == 500, 10, "500 messages")
        for ch in channels[1:]:
            ch.close()
        for number in (2, 77, 499):
            conn.channel(number).declare(queue, passive=True)


@scenario("answers come in the order of the requests, consumers or not")
def in_order(ctx):
    with channel(ctx) as ch:
        queue = ch.declare(ctx.name("q"), exclusive=True).queue
        ch.consume(queue, no_ack=True)
        wanted = []
        for i in range(30):
            ch.publish("", queue, b"x")
            for name, given in (("queue.declare", {"queue": queue, "exclusive": True}),
                                ("basic.qos", {"prefetch_count": i}), ("queue.purge", {"queue": queue}),
                                ("queue.bind", {"queue": queue, "exchange": "amq.direct", "routing_key": queue})):
                ch.send(name, **given)
                wanted.append(name + "-ok")
        got = []
        while len(got) < len(wanted):
            event = ch.next()
            if event.name != "basic.deliver":
                got.append(event.name)
        equal(got, wanted, "answers")


@scenario("connection.close of the client is answered, and nothing comes after that")
def client_closes(ctx):
    with Connection(ctx.bootstrap) as conn:
        conn.channel()
        conn.send("connection.close", 0, code=200, text="bye")
        conn.next(0, "connection.close-ok")
        conn.send_raw(method("queue.declare", 1, exclusive=True))
        with contextlib.suppress(Gone):
            conn.silent(1, 0.2)


@scenario("half a connection: the broker notices that the client is gone and frees what was exclusive")
def client_vanishes(ctx):
    queue = ctx.name("q")
    with channel(ctx) as ch:
        ch.declare(queue, exclusive=True)
    with channel(ctx) as ch:
        def free():
            try:
                ch.declare(queue, exclusive=True)
                return True
            except Closed as error:
                equal(error.code, 405, error.text)
                ch.call("channel.open")
                return False
        eventually(free, 5, "the name is free")


@scenario("connection.update-secret is answered")
def update_secret(ctx):
    with Connection(ctx.bootstrap) as conn:
        conn.channel()
        conn.send("connection.update-secret", 0, new_secret="guest", reason="renewed")
        conn.next(0, "connection.update-secret-ok")
        conn.channel().declare(exclusive=True)


@scenario("access.request is answered, as clients of 0-8 ask")
def access_request(ctx):
    with channel(ctx) as ch:
        ch.call("access.request", realm="/data", active=True)


# ---- what is not implemented is said

@scenario("immediate=true ends the connection with 540")
def immediate(ctx):
    error = ends(ctx, 540, "NOT_IMPLEMENTED - immediate=true", method("basic.publish", 1, routing_key="x", immediate=True), content(1, b"x"))
    equal(error.method, (60, 40), "method")


@scenario("a prefetch size ends the connection with 540")
def prefetch_size(ctx):
    error = ends(ctx, 540, "NOT_IMPLEMENTED - prefetch_size!=0 (1024)", method("basic.qos", 1, prefetch_size=1024))
    equal(error.method, (60, 10), "method")


@scenario("recover without requeue ends the connection with 540")
def recover_same(ctx):
    error = ends(ctx, 540, "NOT_IMPLEMENTED - requeue=false", method("basic.recover", 1, requeue=False))
    equal(error.method, (60, 110), "method")


@scenario("channel.flow: active is answered, inactive ends the connection with 540")
def flow(ctx):
    with channel(ctx) as ch:
        equal(ch.call("channel.flow", active=True).active, True, "active")
    ends(ctx, 540, "NOT_IMPLEMENTED - active=false", method("channel.flow", 1, active=False))


@scenario("a consumer tag used twice on a channel ends the connection with 530")
def tag_reuse(ctx):
    with channel(ctx) as ch:
        queue = ch.declare(exclusive=True).queue
        ch.consume(queue, "twice")
        error = raises(Closed, ch.consume, queue, "twice")
        equal((error.code, error.text), (530, "NOT_ALLOWED - attempt to reuse consumer tag 'twice'"), "answer")
        true(error.of_connection, "only the channel was closed")
        equal(error.method, (60, 20), "method")
    with Connection(ctx.bootstrap) as conn:
        one, two = conn.channel(), conn.channel()
        queue = one.declare(exclusive=True).queue
        equal([one.consume(queue, "same"), two.consume(queue, "same")], ["same", "same"], "tags on two channels")
        one.call("basic.cancel", consumer_tag="same")
        equal(one.consume(queue, "same"), "same", "tag after a cancel")


if __name__ == "__main__":
    main(os.environ.get("CLIENT", "amqp-raw"))
