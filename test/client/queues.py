"""What people and tools see of queues: `colobus queue`, `exchange` and `binding`, RabbitMQ's management API with its
columns, order and pages, metrics, and the page. The queues are pika's."""

import contextlib
import json
import os
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pika
from harness.broker import http_get
from harness.scenario import Skip, equal, eventually, main, raises, scenario, true

PERSISTENT = pika.BasicProperties(delivery_mode=2)


@contextlib.contextmanager
def channel(ctx):
    if ctx.pid is None or not ctx.http:
        raise Skip("needs a broker of ours")
    host, port = ctx.bootstrap.rsplit(":", 1)
    connection = pika.BlockingConnection(pika.ConnectionParameters(host=host, port=int(port)))
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def colobus(ctx, *args, code=0):
    """Standard output, or the error if the exit code is not 0."""
    done = subprocess.run([os.readlink(f"/proc/{ctx.pid}/exe"), *args, "--broker", ctx.http], capture_output=True,
                          text=True, timeout=30, check=False)
    equal((done.returncode, done.stderr if not code else ""), (code, ""), " ".join(args))
    return done.stderr if code else done.stdout


def rows(text):
    return [line.split() for line in text.splitlines()]


def ask(ctx, path, method="GET", body=None):
    """(status, JSON or None)"""
    request = urllib.request.Request(f"http://{ctx.http}/api{path}", method=method,
                                     data=None if body is None else json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json", "X-Reason": "maintenance"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    return status, json.loads(text) if text else None


def metric(ctx, name):
    return next((int(row.rsplit(" ", 1)[1]) for row in http_get(ctx.http, "/metrics")[1].splitlines()
                 if row.startswith(name + " ")), None)


@contextlib.contextmanager
def filled(ctx, ch, count, **arguments):
    """A queue with messages; arguments as x_message_ttl=1000."""
    queue = ctx.name("q")
    ch.confirm_delivery()
    ch.queue_declare(queue, durable=True, arguments={key.replace("_", "-"): value for key, value in arguments.items()})
    for i in range(count):
        ch.basic_publish("", queue, b"%d" % i, PERSISTENT)
    try:
        yield queue
    finally:
        ch.queue_delete(queue)


def figures(ctx, queue):
    told = ask(ctx, f"/queues/%2F/{queue}")[1]
    return told["messages_ready"], told["messages_unacknowledged"], told["consumers"]


@scenario("queues are listed, described, purged and deleted on the command line")
def commands(ctx):
    with channel(ctx) as ch, filled(ctx, ch, 10, x_message_ttl=3600000, x_max_priority=3) as queue:
        equal([row for row in rows(colobus(ctx, "queue", "list")) if queue in row],
              [["/", queue, "classic", "D,TTL,Pri", "10", "0", "0", "10"]], "row of the list")
        ch.basic_get(queue)
        eventually(lambda: figures(ctx, queue) == (9, 1, 0), 5, "one is unacknowledged")
        text = colobus(ctx, "queue", "describe", queue)
        for line in (f"{queue}  classic, durable  in /", "ready 9  unacknowledged 1  consumers 0  bytes 9",
                     "x-message-ttl = 3600000", "x-max-priority = 3"):
            true(line in text, f"not told: {line}\nin: {text}")
        true(["came", "in", "10"] in rows(text) and ["polled", "1"] in rows(text), f"counts are not told: {text}")
        equal(json.loads(colobus(ctx, "queue", "describe", queue, "--json"))["messages"], 10, "messages in JSON")
        true(f"queue '{queue}' in vhost '/' not empty" in colobus(ctx, "queue", "delete", queue, "--if-empty", code=1),
             "a queue with messages is deleted")
        equal(colobus(ctx, "queue", "purge", queue), f"purged {queue}\n", "purge")
        equal(figures(ctx, queue), (0, 1, 0), "what is left is unacknowledged")
        equal(colobus(ctx, "queue", "delete", queue), f"deleted {queue}\n", "delete")
        true("Not Found" in colobus(ctx, "queue", "describe", queue, code=1), "no reason is given")


@scenario("a stream's messages are what can be read")
def stream(ctx):
    with channel(ctx) as ch:
        queue = ctx.name("s")
        ch.confirm_delivery()
        ch.queue_declare(queue, durable=True, arguments={"x-queue-type": "stream"})
        for _ in range(4):
            ch.basic_publish("", queue, b"event", PERSISTENT)
        equal([row[:6] for row in rows(colobus(ctx, "queue", "list")) if queue in row],
              [["/", queue, "stream", "D", "4", "0"]], "row of the list")
        ch.queue_delete(queue)


@scenario("exchanges and bindings are listed on the command line")
def bindings(ctx):
    with channel(ctx) as ch, filled(ctx, ch, 0) as queue:
        exchange = ctx.name("x")
        ch.exchange_declare(exchange, "headers", internal=True)
        ch.queue_bind(queue, exchange, "k", arguments={"x-match": "any", "a": 1})
        true(["/", exchange, "headers", "I"] in rows(colobus(ctx, "exchange", "list")), "the exchange is not listed")
        found = [row for row in rows(colobus(ctx, "binding", "list", "--vhost", "/")) if row[1] == exchange]
        equal(found, [["/", exchange, "queue", queue, "k", '{"a":1,"x-match":"any"}']], "bindings")
        ch.exchange_delete(exchange)
        true(exchange not in colobus(ctx, "binding", "list"), "it is still listed")


@scenario("a binding's properties key is a part of a path, escaped or not")
def properties_keys(ctx):
    with channel(ctx) as ch, filled(ctx, ch, 0) as queue:
        for key, escaped in (("a.#", "a.%23"), ("b/c d~", "b%2Fc%20d%7E"), ("e", "e")):
            ch.queue_bind(queue, "amq.topic", key)
            ch.queue_bind(queue, "amq.topic", key, arguments={"n": 1})
            path = f"/bindings/%2F/e/amq.topic/q/{queue}"
            told = {one["properties_key"]: one for one in ask(ctx, path)[1]}
            plain, hashed = sorted(told, key=len)
            equal((plain, hashed[:len(escaped) + 1], told[hashed]["arguments"]), (escaped, escaped + "~", {"n": 1}), "keys")
            equal(ask(ctx, f"{path}/{hashed}"), (200, told[hashed]), "as it is")
            equal(ask(ctx, f"{path}/{urllib.parse.quote(hashed)}"), (200, told[hashed]), "escaped once more")
            equal([ask(ctx, f"{path}/{one}", "DELETE")[0] for one in told], [204, 204], "deleted")


@scenario("lists have columns, an order and pages")
def lists(ctx):
    with channel(ctx) as ch, filled(ctx, ch, 3) as a, filled(ctx, ch, 5) as b, filled(ctx, ch, 1) as c:
        mine = {a: 3, b: 5, c: 1}
        status, told = ask(ctx, "/queues/%2F?columns=name,messages,message_stats.publish,nonsense")
        equal(status, 200, "status")
        for queue, count in mine.items():
            true({"name": queue, "messages": count, "message_stats": {"publish": count}} in told, f"{queue} is not in {told}")
        for more, wanted in (("", [c, a, b]), ("&sort_reverse=true", [b, a, c])):
            told = ask(ctx, f"/queues?columns=name&sort=messages{more}")[1]
            equal([one["name"] for one in told if one["name"] in mine], wanted, "order")
        status, told = ask(ctx, f"/queues?page=1&page_size=1&name={a.upper()}&columns=name")
        equal((status, told["items"], told["filtered_count"], told["item_count"], told["page_count"]),
              (200, [{"name": a}], 1, 1, 1), "a page by name")
        pattern = urllib.parse.quote(f"^({a}|{c})$")
        told = ask(ctx, f"/queues?page=2&page_size=1&use_regex=true&name={pattern}&sort=messages")[1]
        equal(([one["name"] for one in told["items"]], told["page"], told["page_count"]), ([a], 2, 2), "the second page")
        status, told = ask(ctx, "/queues?page=100000")
        equal((status, told["error"]), (400, "page_out_of_range"), "too far")
        equal(ask(ctx, "/queues?page=x")[0], 400, "no number")
        for path in ("/queues/", "/queues//", "/queues/%2F/"):  # Flower asks for the second
            true(a in [one["name"] for one in ask(ctx, path)[1]], path)
        equal(ask(ctx, "/queues?page=1&use_regex=true&name=(")[0], 400, "no pattern")


@scenario("figures of all queues are in the metrics, without a series for each queue")
def metrics(ctx):
    with channel(ctx) as ch, filled(ctx, ch, 4) as queue:
        ready, unacked = "colobus_queue_messages_ready", "colobus_queue_messages_unacked"
        before = metric(ctx, ready), metric(ctx, unacked), metric(ctx, "colobus_queue_acknowledged_total")
        one = ch.basic_get(queue)[0]
        two = ch.basic_get(queue)[0]
        eventually(lambda: (metric(ctx, ready), metric(ctx, unacked)) == (before[0] - 2, before[1] + 2), 5, "two are out")
        ch.basic_ack(one.delivery_tag)
        ch.basic_nack(two.delivery_tag)
        eventually(lambda: (metric(ctx, ready), metric(ctx, unacked)) == (before[0] - 1, before[1]), 5, "one is back")
        equal(metric(ctx, "colobus_queue_acknowledged_total"), before[2] + 1, "acknowledged")
        true(queue not in http_get(ctx.http, "/metrics")[1], "a series of its own")
        unroutable = metric(ctx, "colobus_amqp_unroutable_total")
        ch.basic_publish("amq.fanout", "", b"nobody")
        equal(metric(ctx, "colobus_amqp_unroutable_total"), unroutable + 1, "unroutable")


@scenario("queues and exchanges are on the page, escaped")
def page(ctx):
    with channel(ctx) as ch, filled(ctx, ch, 2, x_single_active_consumer=True) as queue:
        exchange = ctx.name("<x>&")
        ch.exchange_declare(exchange, "topic", auto_delete=True)
        ch.queue_bind(queue, exchange, "<b>.#")
        text = http_get(ctx.http, "/")[1]
        true(f'<a href="/api/queues/%2F/{queue}">{queue}</a></td><td>classic</td><td><abbr class="mark" title="durable">D</abbr>'
             '<abbr class="mark" title="single active consumer">SAC</abbr></td><td class="n">2</td>' in text, "the queue")
        true(f"<code class=\"key\">&lt;b&gt;.#</code> &rarr; {queue}" in text, "the binding")
        true("<b>" not in text and exchange not in text, "a name is markup")
        ch.exchange_delete(exchange)


@scenario("connections, channels and consumers are told, and are gone with them")
def clients(ctx):
    with channel(ctx) as ch, filled(ctx, ch, 5) as queue:
        ch.basic_qos(prefetch_count=3)
        tag = ch.basic_consume(queue, lambda *_: None)
        ch.connection.process_data_events(0.2)
        mine = [one for one in ask(ctx, "/consumers/%2F")[1] if one["consumer_tag"] == tag]
        equal([(one["queue"], one["ack_required"], one["prefetch_count"]) for one in mine],
              [({"name": queue, "vhost": "/"}, True, 3)], "the consumer")
        details = mine[0]["channel_details"]
        told = ask(ctx, f"/channels/{urllib.parse.quote(details['name'])}")[1]
        equal((told["number"], told["confirm"], told["messages_unacknowledged"], told["consumer_count"]), (1, True, 3, 1),
              "channel")
        name = urllib.parse.quote(details["connection_name"])
        told = ask(ctx, f"/connections/{name}")[1]
        equal([told[key] for key in ("user", "vhost", "state", "channels", "ssl")], ["guest", "/", "running", 1, False],
              "connection")
        equal(told["client_properties"]["version"], pika.__version__, "what the client says it is")
        there = ask(ctx, "/vhosts/%2F/connections?columns=name")[1]
        true({"name": told["name"]} in there, "not in its virtual host")
        equal(len(ask(ctx, f"/connections/{name}/channels")[1]), 1, "its channels")
        ch.cancel()
    eventually(lambda: ask(ctx, f"/connections/{name}")[0] == 404, 5, "the connection is gone")
    equal([one for one in ask(ctx, "/consumers")[1] if one["consumer_tag"] == tag], [], "consumers")


@scenario("the overview has totals, the node its limits, and health checks their answers")
def overview(ctx):
    with channel(ctx) as ch, filled(ctx, ch, 2):
        told = ask(ctx, "/overview")[1]
        totals = told["queue_totals"]
        equal(totals["messages"], totals["messages_ready"] + totals["messages_unacknowledged"], "sum")
        true(totals["messages_ready"] >= 2 and told["object_totals"]["channels"] >= 1, f"totals: {told}")
        node = ask(ctx, f"/nodes/{told['node']}")[1]
        equal((node["running"], node["mem_alarm"], node["disk_free_alarm"]), (True, False, False), "node")
        true(0 < node["mem_used"] < node["mem_limit"], "memory")
        port = ctx.bootstrap.rsplit(":", 1)[1]
        for path in ("aliveness-test/%2F", "healthchecks/node", "health/checks/alarms", "health/checks/virtual-hosts",
                     f"health/checks/port-listener/{port}", "health/checks/protocol-listener/amqp"):
            equal(ask(ctx, f"/{path}"), (200, {"status": "ok"}), path)
        equal(ask(ctx, "/health/checks/port-listener/1")[0], 503, "a port without a listener")
        equal(ask(ctx, "/health/checks/protocol-listener/mqtt")[0], 503, "a protocol without a listener")
        equal(ask(ctx, "/aliveness-test/none")[0], 404, "no virtual host")


@scenario("messages are looked at over the management API, and stay or go")
def look(ctx):
    def get(mode, count=1, **more):
        return ask(ctx, f"/queues/%2F/{queue}/get", "POST", {"ackmode": mode, "count": count, "encoding": "auto", **more})

    with channel(ctx) as ch, filled(ctx, ch, 0, x_dead_letter_exchange="amq.fanout") as queue, filled(ctx, ch, 0) as dead:
        ch.queue_bind(dead, "amq.fanout")
        ch.basic_publish("amq.direct", "nobody", b"lost")
        for body in ("caf\u00e9".encode(), b"\xff\x00", b"three", b"four"):
            ch.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2, message_id="7", headers={"a": [1, "b"]}))
        status, told = get("ack_requeue_true", 2)
        equal((status, [(one["payload"], one["payload_encoding"], one["payload_bytes"]) for one in told]),
              (200, [("caf\u00e9", "string", 5), ("/wA=", "base64", 2)]), "payloads")
        equal((told[0]["properties"], told[0]["routing_key"], told[0]["redelivered"], told[0]["message_count"]),
              ({"delivery_mode": 2, "message_id": "7", "headers": {"a": [1, "b"]}}, queue, False, 3), "properties")
        equal(figures(ctx, queue), (4, 0, 0), "all is still there")
        told = get("ack_requeue_false", 2, truncate=3)[1]
        equal([(one["payload"], one["redelivered"]) for one in told], [("caf", True), ("/wA=", True)], "cut off")
        equal([one["payload"] for one in get("reject_requeue_false")[1]], ["three"], "rejected")
        equal([one["payload"] for one in get("ack_requeue_false", 100)[1]], ["four"], "the rest")
        equal((get("ack_requeue_false"), figures(ctx, queue)), ((200, []), (0, 0, 0)), "nothing is left")
        eventually(lambda: figures(ctx, dead)[0] == 1, 5, "the rejected one is a dead letter")
        for wrong in ({"ackmode": "maybe"}, {"count": 0}, {"count": "x"}, {"encoding": "utf-16"}):
            body = {"ackmode": "ack_requeue_true", "count": 1, "encoding": "auto", **wrong}
            equal(ask(ctx, f"/queues/%2F/{queue}/get", "POST", body)[0], 400, f"{wrong}")
        equal(ask(ctx, "/queues/%2F/none/get", "POST", {"ackmode": "ack_requeue_true", "count": 1, "encoding": "auto"})[0],
              404, "no queue")


@scenario("a message is published over the management API, if its asker may and it leads to a queue")
def publish(ctx):
    def send(exchange, key, payload="x", **more):
        body = {"properties": {}, "routing_key": key, "payload": payload, "payload_encoding": "string", **more}
        return ask(ctx, f"/exchanges/%2F/{exchange}/publish", "POST", body)

    with channel(ctx) as ch, filled(ctx, ch, 0, x_max_length=4, x_overflow="reject-publish") as queue:
        ch.queue_bind(queue, "amq.topic", "a.#")
        properties = {"delivery_mode": 2, "content_type": "text/plain", "headers": {"n": 1}, "priority": 3, "expiration": "60000"}
        equal(send("amq.topic", "a.b", "caf\u00e9", properties=properties), (200, {"routed": True}), "routed")
        equal(send("amq.topic", "b"), (200, {"routed": False}), "to nowhere")
        equal(send("amq.default", queue, "/wA=", payload_encoding="base64"), (200, {"routed": True}), "by the default exchange")
        method, told, body = ch.basic_get(queue, auto_ack=True)
        equal((method.exchange, method.routing_key, body), ("amq.topic", "a.b", "caf\u00e9".encode()), "message")
        equal((told.delivery_mode, told.content_type, told.headers, told.priority, told.expiration),
              (2, "text/plain", {"n": 1}, 3, "60000"), "properties")
        equal(ch.basic_get(queue, auto_ack=True)[2], b"\xff\x00", "bytes")
        for wrong in ({"payload": 7}, {"payload_encoding": "rot13"}, {"payload": "?", "payload_encoding": "base64"},
                      {"routing_key": "k" * 256}, {"properties": {"priority": 256}}, {"properties": {"expiration": "soon"}},
                      {"properties": {"type": "t" * 256}}):
            equal(send("amq.default", **{"key": queue, **({"key": wrong.pop("routing_key")} if "routing_key" in wrong else {}),
                                         **wrong})[0], 400, f"{wrong}")
        equal(send("none", queue)[0], 404, "no exchange")
        ch.queue_declare(queue + "-s", durable=True, arguments={"x-queue-type": "stream"})
        equal(send("amq.default", queue + "-s")[0], 400, "to a stream")
        ch.queue_delete(queue + "-s")
        statuses = [send("amq.default", queue)[0] for _ in range(5)]
        true(statuses[:4] == [200] * 4 and statuses[4] >= 400, f"a full queue: {statuses}")


@contextlib.contextmanager
def subscribed(ctx, pattern):
    """A Redis client with PSUBSCRIBE: yields a function that waits for so many messages."""
    place = next((one for one in ask(ctx, "/overview")[1]["listeners"] if one["protocol"] == "redis"), None)
    if place is None:
        raise Skip("needs a Redis listener")
    with socket.create_connection((place["ip_address"], place["port"]), timeout=20) as sock, sock.makefile("rb") as lines:
        def hear():
            count = int(lines.readline()[1:])
            parts = [lines.readline().strip() for _ in range(2 * count)]  # each behind its length
            return tuple(text.decode() for text in parts[1::2])[2:]  # "pmessage", pattern, channel, payload

        sock.sendall(b"*2\r\n$10\r\nPSUBSCRIBE\r\n$%d\r\n%s\r\n" % (len(pattern), pattern.encode()))
        equal([lines.readline() for _ in range(6)][2], b"psubscribe\r\n", "answer")
        yield lambda n: [hear() for _ in range(n)]


@scenario("what is published to amq.topic over the management API and by AMQP reaches subscriptions, and was routed")
def subscriptions(ctx):
    def send(key, payload, **properties):
        body = {"properties": properties, "routing_key": key, "payload": payload, "payload_encoding": "string"}
        return ask(ctx, "/exchanges/%2F/amq.topic/publish", "POST", body)

    stem = ctx.name("s")
    with channel(ctx) as ch, filled(ctx, ch, 0) as queue, subscribed(ctx, stem + ".*") as heard:
        ch.queue_bind(queue, "amq.topic", stem + ".kept")
        equal(send(stem + ".a", "1"), (200, {"routed": True}), "heard")
        equal(send(stem, "no"), (200, {"routed": False}), "by nobody")
        equal(send(stem, "2", headers={"CC": [stem + ".b", stem + ".c"]}), (200, {"routed": True}), "by further keys")
        equal(send(stem + ".kept", "3", delivery_mode=2), (200, {"routed": True}), "by a queue, too")
        equal(heard(4), [(stem + ".a", "1"), (stem + ".b", "2"), (stem + ".c", "2"), (stem + ".kept", "3")], "messages")
        ch.confirm_delivery()
        lost = metric(ctx, "colobus_amqp_unroutable_total")
        ch.basic_publish("amq.topic", stem + ".d", b"4", mandatory=True)
        ch.basic_publish("amq.topic", stem + ".kept", b"5", PERSISTENT, mandatory=True)
        raises(pika.exceptions.UnroutableError, ch.basic_publish, "amq.topic", stem, b"no", None, True)
        equal(heard(2), [(stem + ".d", "4"), (stem + ".kept", "5")], "of AMQP")
        equal(metric(ctx, "colobus_amqp_unroutable_total"), lost + 1, "unroutable")
        equal([ch.basic_get(queue, auto_ack=True)[2] for _ in range(2)], [b"3", b"5"], "in the queue")


@scenario("a connection is closed over the management API, and hears why")
def close(ctx):
    with channel(ctx) as ch, filled(ctx, ch, 0) as queue, channel(ctx) as other:
        tag = other.basic_consume(queue, lambda *_: None)
        name = next(one["channel_details"]["connection_name"] for one in ask(ctx, "/consumers")[1] if one["consumer_tag"] == tag)
        path = f"/connections/{urllib.parse.quote(name)}"
        equal(ask(ctx, path, "DELETE")[0], 204, "status")
        error = raises(pika.exceptions.ConnectionClosedByBroker, other.connection.process_data_events, 5)
        equal((error.reply_code, error.reply_text), (320, "CONNECTION_FORCED - maintenance"), "what it hears")
        eventually(lambda: ask(ctx, path, "DELETE")[0] == 404, 5, "it is gone")
        ch.queue_declare(queue, passive=True)


if __name__ == "__main__":
    main(os.environ.get("CLIENT", "queues"))
