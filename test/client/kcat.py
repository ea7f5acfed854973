"""kcat, the command-line client of librdkafka (Debian's, librdkafka 2.0)."""

import json
import subprocess
import time

from harness.scenario import equal, main, scenario, true
from kcat_tool import consume, kcat, produce


@scenario("lists brokers, topics and partitions")
def metadata(ctx):
    topic = ctx.topic(partitions=3)
    listing = json.loads(kcat(ctx, "-L", "-J", "-t", topic))
    equal([b["name"] for b in listing["brokers"]], [ctx.bootstrap], "advertised addresses")
    parts = listing["topics"][0]["partitions"]
    equal([p["partition"] for p in parts], [0, 1, 2], "partitions")
    equal({p["leader"] for p in parts}, {listing["brokers"][0]["id"]}, "leaders")
    everything = json.loads(kcat(ctx, "-L", "-J"))
    true(topic in [t["topic"] for t in everything["topics"]], "topic is not in the full listing")


@scenario("produces and reads back with each codec, and the broker keeps it")
def codecs(ctx):
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        topic = ctx.topic(stem=codec)
        lines = [b"%s line %d %s" % (codec.encode(), i, b"ab" * 40) for i in range(500)]
        produce(ctx, topic, lines, "-z", codec)
        equal(consume(ctx, topic, "-o", "beginning"), lines, codec)
        with ctx.connect() as conn:
            equal(conn.codecs(topic), {conn.librdkafka_codec(codec)}, f"codecs of the batches stored for {codec}")


@scenario("keys, headers, null values and the partition survive")
def fields(ctx):
    topic = ctx.topic(partitions=2)
    kcat(ctx, "-P", "-t", topic, "-p", "1", "-K", ":", "-Z", "-H", "colour=green", "-H", "n=1",
         given=b"k1:v1\nk2:\n")
    form = "%p|%o|%k|%K|%s|%S|%h\n"
    got = kcat(ctx, "-C", "-t", topic, "-p", "1", "-e", "-q", "-o", "beginning", "-f", form).splitlines()
    equal(got, [b"1|0|k1|2|v1|2|colour=green,n=1", b"1|1|k2|2||-1|colour=green,n=1"], "messages")


@scenario("reads from the beginning, an offset, the end and relative to the end")
def offsets(ctx):
    topic = ctx.topic()
    lines = [b"%d" % i for i in range(100)]
    produce(ctx, topic, lines)
    equal(consume(ctx, topic, "-o", "beginning"), lines, "beginning")
    for start in (1, 50, 99):
        equal(consume(ctx, topic, "-o", str(start)), lines[start:], f"offset {start}")
    equal(consume(ctx, topic, "-o", "-10"), lines[-10:], "ten before the end")
    equal(consume(ctx, topic, "-o", "end"), [], "end")
    equal(consume(ctx, topic, "-o", "beginning", "-c", "7"), lines[:7], "seven messages")


@scenario("reads from and to a time, and queries offsets by time")
def times(ctx):
    topic = ctx.topic()
    produce(ctx, topic, [b"old-%d" % i for i in range(5)])
    time.sleep(0.05)
    middle = int(time.time() * 1000)
    time.sleep(0.05)
    produce(ctx, topic, [b"new-%d" % i for i in range(5)])
    equal(consume(ctx, topic, "-o", f"s@{middle}"), [b"new-%d" % i for i in range(5)], "from the middle")
    equal(consume(ctx, topic, "-o", "s@0", "-o", f"e@{middle}"), [b"old-%d" % i for i in range(5)], "to the middle")
    for stamp, offset in ((middle, 5), (-1, 10), (-2, 0), (1, 0)):
        answer = kcat(ctx, "-Q", "-t", f"{topic}:0:{stamp}").decode()
        true(f"[0] offset {offset}" in answer, f"-Q {stamp}: {answer}")


@scenario("a topic is made by the first produce to it")
def auto_creation(ctx):
    topic = ctx.name("auto")
    produce(ctx, topic, [b"first"])
    equal(consume(ctx, topic, "-o", "beginning"), [b"first"], "messages")


@scenario("an idempotent producer with acks=all")
def idempotent(ctx):
    topic = ctx.topic()
    lines = [b"%d" % i for i in range(2000)]
    produce(ctx, topic, lines, "-X", "enable.idempotence=true", "-X", "acks=all", "-X", "linger.ms=1")
    equal(consume(ctx, topic, "-o", "beginning"), lines, "messages")


@scenario("acks 0 and 1")
def acks(ctx):
    for level in ("0", "1"):
        topic = ctx.topic()
        produce(ctx, topic, [b"a", b"b"], "-X", f"acks={level}")
        # acks=0 says nothing of when the records can be read
        got = kcat(ctx, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-c", "2", "-q").splitlines()
        equal(got, [b"a", b"b"], f"acks={level}")


@scenario("a consumer that waits at the end gets what comes")
def tail(ctx):
    topic = ctx.topic()
    command = ["kcat", "-b", ctx.bootstrap, "-C", "-t", topic, "-p", "0", "-o", "end", "-c", "3", "-q", "-u"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as waiting:
        time.sleep(0.7)
        produce(ctx, topic, [b"x", b"y", b"z"])
        equal(waiting.communicate(timeout=20)[0].splitlines(), [b"x", b"y", b"z"], "messages")


if __name__ == "__main__":
    main("kcat")
