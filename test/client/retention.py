"""Retention as a client sees it: kafka-python on brokers of its own that look every 300 ms."""

import glob
import os
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from harness.broker import Broker
from harness.scenario import Skip, equal, eventually, main, scenario, true
from harness.wire import Connection

SETTINGS = {"retention.check-interval": "300ms", "memory.tail-bytes": "1MiB", "journal.file-bytes": "1MiB",
            "journal.max-bytes": "4MiB", "kafka.max-message-bytes": "100000", "segment.bytes": "64KiB"}
RECORDS, VALUE = 300, b"x" * 10000


def own_broker(ctx, **settings):
    if ctx.pid is None:
        raise Skip("needs a broker of its own")
    return Broker(os.readlink(f"/proc/{ctx.pid}/exe"), settings={**SETTINGS, **settings})


def create(broker, **configs):
    with Connection(broker.bootstrap) as conn:
        conn.create_topic("t", 1, {key.replace("_", "."): str(value) for key, value in configs.items()})
    return TopicPartition("t", 0)


def produce(broker, count, value=VALUE):
    sender = KafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=0)
    futures = [sender.send("t", value, partition=0) for _ in range(count)]
    sender.flush(timeout=20)
    offsets = [future.get(timeout=10).offset for future in futures]
    sender.close()
    return offsets


def segments(broker):
    return glob.glob(os.path.join(broker.data_dir, "logs", "*", "*.log"))


def consumer(broker, tp, **options):
    made = KafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=None, **options)
    made.assign([tp])
    return made


def ends(reader, tp):
    return reader.beginning_offsets([tp])[tp], reader.end_offsets([tp])[tp]


@scenario("what is older than retention.ms goes, its files too, and no offset is given out again", timeout=60)
def by_time(ctx):
    with own_broker(ctx) as broker:
        broker.start()
        tp = create(broker, retention_ms=10000, segment_bytes=65536)
        began = time.monotonic()
        equal(produce(broker, RECORDS), list(range(RECORDS)), "offsets")
        reader = consumer(broker, tp)
        equal(ends(reader, tp), (0, RECORDS), "earliest and latest at first")
        true(len(segments(broker)) > 10, f"segments on the disk: {segments(broker)}")
        eventually(lambda: ends(reader, tp) == (RECORDS, RECORDS), 30, "everything expires")
        true(time.monotonic() - began > 10, "not before its time")
        eventually(lambda: not segments(broker), 10, "no file is left")
        status, metrics = broker.http_get("/metrics")
        true(status == 200 and f"colobus_retention_removed_records_total {RECORDS}\n" in metrics, "the metric says so")
        broker.kill9()
        broker.start()
        eventually(lambda: ends(reader, tp) == (RECORDS, RECORDS), 20, "the same after a kill")
        equal(produce(broker, 3), [RECORDS, RECORDS + 1, RECORDS + 2], "offsets after it")
        reader.close()


@scenario("a consumer that lost its place goes on with the earliest", timeout=60)
def out_of_range(ctx):
    with own_broker(ctx) as broker:
        broker.start()
        tp = create(broker, retention_ms=3000)
        produce(broker, 50)
        reader = consumer(broker, tp, auto_offset_reset="earliest", max_poll_records=10)
        reader.seek(tp, 0)
        eventually(lambda: reader.position(tp) >= 10 or reader.poll(timeout_ms=200) and False, 10, "ten records")
        reader.seek(tp, 10)
        eventually(lambda: ends(reader, tp) == (50, 50), 20, "everything expires")
        produce(broker, 5, b"new")
        found, end = [], time.monotonic() + 15
        while len(found) < 5 and time.monotonic() < end:
            for records in reader.poll(timeout_ms=200).values():
                found += [record.offset for record in records if record.value == b"new"]
        equal(found, [50, 51, 52, 53, 54], "offsets read after the reset")
        reader.close()


@scenario("of what is more than retention.bytes the oldest goes, and as much stays", timeout=60)
def by_size(ctx):
    keep = 300000
    with own_broker(ctx) as broker:
        broker.start()
        tp = create(broker, retention_bytes=keep, segment_bytes=65536)
        produce(broker, RECORDS)
        reader = consumer(broker, tp)
        eventually(lambda: (RECORDS - ends(reader, tp)[0]) * len(VALUE) < keep + 2 * 65536, 20, "the oldest go")
        time.sleep(1)
        start = ends(reader, tp)[0]
        true((RECORDS - start) * (len(VALUE) + 100) >= keep, f"the rest stays: {RECORDS - start} records")
        true(len(segments(broker)) < 10, f"segments on the disk: {len(segments(broker))}")
        broker.stop()
        broker.start()
        equal(ends(reader, tp)[1], RECORDS, "latest after a restart")
        true(ends(reader, tp)[0] >= start, "earliest after a restart")
        reader.close()


if __name__ == "__main__":
    main(os.environ.get("CLIENT", "retention"))
