"""pika: what programs written with it do, in its blocking and its asynchronous connection."""

import contextlib
import datetime
import decimal
import functools
import os
import threading
import time
import uuid

import pika
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker, NackError, UnroutableError
from harness.scenario import equal, eventually, main, raises, scenario, true

PERSISTENT = pika.BasicProperties(delivery_mode=2)


def parameters(ctx, **more):
    host, port = ctx.bootstrap.rsplit(":", 1)
    return pika.ConnectionParameters(host=host, port=int(port), credentials=pika.PlainCredentials("guest", "guest"), **more)


@contextlib.contextmanager
def channel(ctx, **more):
    connection = pika.BlockingConnection(parameters(ctx, **more))
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def collect(ch, queue, count, auto_ack=True):
    """Bodies of the next messages of the queue."""
    found = []
    for method, _, body in ch.consume(queue, auto_ack=auto_ack, inactivity_timeout=5):
        true(method is not None, f"only {len(found)} of {count} messages came")
        found.append(body)
        if len(found) == count:
            break
    ch.cancel()
    return found


@scenario("a topic exchange with order.created.* and order.#")
def topic(ctx):
    with channel(ctx) as ch:
        exchange = ctx.name("orders")
        ch.exchange_declare(exchange=exchange, exchange_type="topic", durable=True)
        created = ch.queue_declare(queue="", exclusive=True).method.queue
        everything = ch.queue_declare(queue="", exclusive=True).method.queue
        ch.queue_bind(queue=created, exchange=exchange, routing_key="order.created.*")
        ch.queue_bind(queue=everything, exchange=exchange, routing_key="order.#")
        for key in ("order.created.eu", "order.created.us", "order.cancelled.eu"):
            ch.basic_publish(exchange=exchange, routing_key=key, body=key, properties=PERSISTENT)
        equal(collect(ch, created, 2), [b"order.created.eu", b"order.created.us"], "created")
        equal(len(collect(ch, everything, 3)), 3, "everything")
        ch.exchange_delete(exchange)


@scenario("a work queue: durable, prefetch 1, ack, nack with requeue; two workers share it")
def work_queue(ctx):
    queue = ctx.name("tasks")
    done, refused = [], []

    def work(name):
        with channel(ctx) as ch:
            ch.queue_declare(queue=queue, durable=True)
            ch.basic_qos(prefetch_count=1)

            def on_message(ch, method, _properties, body):
                if body == b"task 3" and not method.redelivered:
                    refused.append(body)
                    ch.basic_nack(delivery_tag=method.delivery_tag, requeue=True)
                    return
                if body == b"stop":
                    ch.basic_ack(delivery_tag=method.delivery_tag)
                    ch.stop_consuming()
                    return
                time.sleep(0.005)
                done.append((name, body))
                ch.basic_ack(delivery_tag=method.delivery_tag)
            ch.basic_consume(queue=queue, on_message_callback=on_message)
            ch.start_consuming()

    with channel(ctx) as ch:
        ch.queue_declare(queue=queue, durable=True)
        workers = [threading.Thread(target=work, args=(name,), daemon=True) for name in "ab"]
        for worker in workers:
            worker.start()
        eventually(lambda: ch.queue_declare(queue, passive=True).method.consumer_count == 2, 5, "two workers")
        for i in range(20):
            ch.basic_publish(exchange="", routing_key=queue, body=f"task {i}", properties=PERSISTENT)
        eventually(lambda: len(done) == 20, 10, "20 tasks")
        for _ in workers:
            ch.basic_publish(exchange="", routing_key=queue, body="stop")
        for worker in workers:
            worker.join(10)
        ch.queue_delete(queue)
    equal(sorted(body for _, body in done), sorted(b"task %d" % i for i in range(20)), "tasks")
    equal((refused, {name for name, _ in done}), ([b"task 3"], {"a", "b"}), "refused, and who worked")


@scenario("a dead-letter queue, by rejection and by TTL")
def dead_letters(ctx):
    with channel(ctx) as ch:
        dlx, dlq, queue = ctx.name("dlx"), ctx.name("dlq"), ctx.name("q")
        ch.exchange_declare(exchange=dlx, exchange_type="direct", durable=True)
        ch.queue_declare(queue=dlq, durable=True)
        ch.queue_bind(exchange=dlx, queue=dlq, routing_key="failed")
        ch.queue_declare(queue=queue, durable=True, arguments={"x-dead-letter-exchange": dlx, "x-message-ttl": 200,
                                                               "x-dead-letter-routing-key": "failed"})
        for body in ("reject me", "forget me"):
            ch.basic_publish(exchange="", routing_key=queue, body=body, properties=PERSISTENT)
        method, _, body = ch.basic_get(queue)
        equal(body, b"reject me", "body")
        ch.basic_nack(method.delivery_tag, requeue=False)
        found = {}
        for method, properties, body in ch.consume(dlq, auto_ack=True, inactivity_timeout=5):
            death = properties.headers["x-death"][0]
            found[body] = (death["reason"], death["queue"], death["count"], type(death["time"]))
            if len(found) == 2:
                break
        ch.cancel()
        equal(found, {b"reject me": ("rejected", queue, 1, datetime.datetime), b"forget me": ("expired", queue, 1, datetime.datetime)}, "deaths")
        for name in (queue, dlq):
            ch.queue_delete(name)
        ch.exchange_delete(dlx)


@scenario("a queue with priorities")
def priorities(ctx):
    with channel(ctx) as ch:
        queue = ch.queue_declare(queue="", exclusive=True, arguments={"x-max-priority": 10}).method.queue
        ch.confirm_delivery()
        for priority in (1, 5, 10, 3):
            ch.basic_publish("", queue, str(priority), pika.BasicProperties(delivery_mode=2, priority=priority))
        equal(collect(ch, queue, 4), [b"10", b"5", b"3", b"1"], "order")


@scenario("direct routing by name: email, sms, push")
def direct(ctx):
    with channel(ctx) as ch:
        exchange = ctx.name("notifications")
        ch.exchange_declare(exchange=exchange, exchange_type="direct", durable=True)
        queues = {}
        for kind in ("email", "sms", "push"):
            queues[kind] = ch.queue_declare(queue=ctx.name(kind), exclusive=True).method.queue
            ch.queue_bind(exchange=exchange, queue=queues[kind], routing_key=kind)
        for kind in queues:
            ch.basic_publish(exchange, kind, kind)
        for kind, queue in queues.items():
            equal(collect(ch, queue, 1), [kind.encode()], "body")
        ch.exchange_delete(exchange)


@scenario("confirm_delivery: publishes return when stored; unroutable and refused ones raise")
def confirms(ctx):
    with channel(ctx) as ch:
        ch.confirm_delivery()
        queue = ch.queue_declare("", exclusive=True, arguments={"x-max-length": 2, "x-overflow": "reject-publish"}).method.queue
        for i in range(2):
            ch.basic_publish("", queue, str(i), PERSISTENT, mandatory=True)
        raises(NackError, ch.basic_publish, "", queue, "2", PERSISTENT)
        error = raises(UnroutableError, ch.basic_publish, "", ctx.name("missing"), "back", PERSISTENT, True)
        equal([(m.method.reply_code, m.method.reply_text, m.body) for m in error.messages], [(312, "NO_ROUTE", b"back")], "return")
        ch.basic_publish("", ctx.name("missing"), "dropped")


@scenario("errors arrive as exceptions with code and text, and the connection lives on")
def errors(ctx):
    with channel(ctx) as ch:
        connection, queue = ch.connection, ctx.name("missing")
        error = raises(ChannelClosedByBroker, ch.queue_declare, queue, passive=True)
        equal((error.reply_code, error.reply_text), (404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"), "error")
        ch = connection.channel()
        error = raises(ChannelClosedByBroker, ch.exchange_declare, "amq.direct", "topic")
        equal(error.reply_code, 406, "code")
        ch = connection.channel()
        ch.queue_declare(queue, auto_delete=True)
        with channel(ctx) as other:
            error = raises(ChannelClosedByBroker, other.queue_declare, queue, exclusive=True)
            equal(error.reply_code, 405, "code")
        ch.queue_delete(queue)


@scenario("a wrong password and a wrong virtual host are told apart")
def login(ctx):
    host, port = ctx.bootstrap.rsplit(":", 1)
    wrong = pika.ConnectionParameters(host, int(port), credentials=pika.PlainCredentials("guest", "wrong"))
    error = raises(AMQPConnectionError, pika.BlockingConnection, wrong)
    true("ACCESS_REFUSED" in repr(error), repr(error))
    error = raises(AMQPConnectionError, pika.BlockingConnection, parameters(ctx, virtual_host="missing"))
    true("(530) 'NOT_ALLOWED - vhost missing not found'" in repr(error), repr(error))


@scenario("a URL with %2F, heartbeat and blocked_connection_timeout connects")
def url(ctx):
    link = f"amqp://guest:guest@{ctx.bootstrap}/%2F?heartbeat=30&blocked_connection_timeout=300&frame_max=4096"
    connection = pika.BlockingConnection(pika.URLParameters(link))
    ch = connection.channel()
    queue = ch.queue_declare("", exclusive=True).method.queue
    ch.basic_publish("", queue, b"x" * 50000)
    equal(collect(ch, queue, 1), [b"x" * 50000], "body")
    connection.close()


@scenario("a busy consumer is kept by heartbeats, an idle one too", timeout=40)
def heartbeats(ctx):
    with channel(ctx, heartbeat=1) as ch:
        queue = ch.queue_declare("", exclusive=True).method.queue
        ch.connection.process_data_events(time_limit=3.5)
        ch.basic_publish("", queue, b"alive")
        equal(collect(ch, queue, 1), [b"alive"], "body")


@scenario("a consumer whose queue is deleted is told")
def cancelled(ctx):
    with channel(ctx) as ch, channel(ctx) as other:
        queue = ctx.name("q")
        ch.queue_declare(queue)
        told = []
        ch.add_on_cancel_callback(told.append)
        tag = ch.basic_consume(queue, lambda *_: None)
        other.queue_delete(queue)
        eventually(lambda: ch.connection.process_data_events(0.05) or told, 5, "basic.cancel")
        equal([frame.method.consumer_tag for frame in told], [tag], "consumer tag")


@scenario("remote calls with correlation ids, by a queue for answers and by direct reply-to")
def rpc(ctx):
    queue = ctx.name("rpc")

    def serve():
        with channel(ctx) as ch:
            ch.queue_declare(queue)
            for method, properties, body in ch.consume(queue, inactivity_timeout=10):
                if method is None or body == b"stop":
                    break
                answer = pika.BasicProperties(correlation_id=properties.correlation_id)
                ch.basic_publish("", properties.reply_to, str(int(body) ** 2), answer)
                ch.basic_ack(method.delivery_tag)
    server = threading.Thread(target=serve, daemon=True)
    with channel(ctx) as ch:
        ch.queue_declare(queue)
        server.start()
        answers = {}
        on_answer = lambda _ch, _method, properties, body: answers.update({properties.correlation_id: body})
        for reply_to in (ch.queue_declare("", exclusive=True).method.queue, "amq.rabbitmq.reply-to"):
            ch.basic_consume(reply_to, on_answer, auto_ack=True)
            for i in range(5):
                call = str(uuid.uuid4())
                ch.basic_publish("", queue, str(i), pika.BasicProperties(reply_to=reply_to, correlation_id=call))
                eventually(lambda: ch.connection.process_data_events(0.05) or call in answers, 5, "an answer")
                equal(answers[call], b"%d" % i ** 2, "answer")
        ch.basic_publish("", queue, "stop")
        server.join(10)
        ch.queue_delete(queue)


@scenario("properties and headers keep their types")
def properties(ctx):
    with channel(ctx) as ch:
        queue = ch.queue_declare("", exclusive=True).method.queue
        now = datetime.datetime.fromtimestamp(1700000000, datetime.timezone.utc).replace(tzinfo=None)
        headers = {"int": 5, "long": 1 << 40, "neg": -3, "text": "h\u00e9", "bytes": b"\0\1", "yes": True, "none": None,
                   "list": [1, "a", {"b": [2]}], "table": {"deep": {"er": 1}}, "when": now, "dec": decimal.Decimal("3.14")}
        given = dict(content_type="application/json", content_encoding="utf-8", headers=headers, delivery_mode=2, priority=4,
                     correlation_id="c", reply_to="r", message_id="m", timestamp=1700000000, type="t", user_id="guest", app_id="a")
        ch.basic_publish("", queue, b"{}", pika.BasicProperties(**given))
        method = eventually(lambda: (got := ch.basic_get(queue, auto_ack=True))[0] and got, 5, "the message")
        for name, value in given.items():
            equal(getattr(method[1], name), value, name)


@scenario("transactions")
def transactions(ctx):
    with channel(ctx) as ch:
        queue = ch.queue_declare("", exclusive=True).method.queue
        ch.tx_select()
        ch.basic_publish("", queue, b"no")
        ch.tx_rollback()
        ch.basic_publish("", queue, b"yes")
        ch.tx_commit()
        equal(collect(ch, queue, 1), [b"yes"], "bodies")


@scenario("messages of 1 and 5 MiB")
def large(ctx):
    with channel(ctx) as ch:
        queue = ch.queue_declare("", exclusive=True).method.queue
        for size in (1 << 20, 5 << 20):
            body = os.urandom(size)
            ch.basic_publish("", queue, body, PERSISTENT)
            true(collect(ch, queue, 1) == [body], f"{size} bytes: another body")


@scenario("acknowledgements from another thread while the consumer's connection goes on")
def threads(ctx):
    with channel(ctx) as ch:
        queue = ch.queue_declare("", exclusive=True).method.queue
        ch.basic_qos(prefetch_count=5)
        done = []

        def work(tag, body):
            time.sleep(0.01)
            done.append(body)
            ch.connection.add_callback_threadsafe(functools.partial(ch.basic_ack, tag))

        def on_message(_ch, method, _properties, body):
            threading.Thread(target=work, args=(method.delivery_tag, body), daemon=True).start()
        for i in range(40):
            ch.basic_publish("", queue, str(i))
        ch.basic_consume(queue, on_message)
        eventually(lambda: ch.connection.process_data_events(0.05) or len(done) == 40, 10, "40 messages")
        ch.connection.process_data_events(0.2)
        equal(sorted(int(body) for body in done), list(range(40)), "bodies")


class Asynchronous:
    """Publishes with confirms and consumes on a SelectConnection."""

    def __init__(self, ctx, count):
        self.count, self.queue = count, ctx.name("q")
        self.confirmed, self.found = 0, []
        self.failure = None
        self.connection = pika.SelectConnection(parameters(ctx), on_open_callback=self.opened, on_open_error_callback=self.failed,
                                                on_close_callback=lambda connection, _reason: connection.ioloop.stop())

    def failed(self, connection, error):
        self.failure = error
        connection.ioloop.stop()

    def opened(self, connection):
        connection.channel(on_open_callback=self.channel_opened)

    def channel_opened(self, ch):
        self.channel = ch
        ch.confirm_delivery(self.on_confirm)
        ch.basic_qos(prefetch_count=20)
        ch.queue_declare(self.queue, exclusive=True, callback=self.declared)

    def declared(self, _frame):
        self.channel.basic_consume(self.queue, self.on_message)
        for i in range(self.count):
            self.channel.basic_publish("", self.queue, str(i), PERSISTENT)

    def on_confirm(self, frame):
        tag, multiple = frame.method.delivery_tag, frame.method.multiple
        self.confirmed = tag if multiple else self.confirmed + 1
        self.finish()

    def on_message(self, ch, method, _properties, body):
        self.found.append(int(body))
        ch.basic_ack(method.delivery_tag)
        self.finish()

    def finish(self):
        if len(self.found) == self.count and self.confirmed == self.count:
            self.connection.close()


@scenario("SelectConnection: confirms and deliveries side by side")
def asynchronous(ctx):
    program = Asynchronous(ctx, 500)
    program.connection.ioloop.start()
    equal((program.failure, program.confirmed, program.found), (None, 500, list(range(500))), "confirmed and found")


if __name__ == "__main__":
    main(os.environ.get("CLIENT", "amqp-pika"))
