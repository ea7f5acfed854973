"""kcat -G, the balanced consumer of librdkafka 2.0 (Debian's), and what advertising groups changes for kcat."""

import contextlib
import subprocess
import threading

from harness.scenario import equal, eventually, main, scenario, true
from kcat_tool import kcat, produce

QUICK = ("-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=300", "-X", "auto.offset.reset=earliest",
         "-X", "topic.metadata.refresh.interval.ms=1000")


def group_read(ctx, group, *arguments):
    """Lines of a balanced consumer; -c or -e among the arguments must end it."""
    return kcat(ctx, *QUICK, "-u", "-q", *arguments, "-G", group).splitlines()


@contextlib.contextmanager
def running(ctx, group, *topics):
    """A balanced consumer in the background: its lines so far, each "topic partition offset value"."""
    command = ["kcat", "-b", ctx.bootstrap, *QUICK, "-u", "-q", "-f", "%t %p %o %s\n", "-G", group, *topics]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        lines = []
        reading = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True)
        reading.start()
        try:
            yield lines
        finally:
            process.terminate()  # kcat commits and leaves
            process.wait(15)
            reading.join(5)


def values(lines):
    return {line.split()[3] for line in lines}


@scenario("a balanced consumer reads to the end, with each codec; its next run goes on there")
def codecs(ctx):
    for codec in ("lz4", "none", "gzip", "snappy", "zstd"):
        topic, group = ctx.topic(stem=codec), ctx.name("g")
        lines = [b"%s line %d %s" % (codec.encode(), i, b"ab" * 40) for i in range(300)]
        produce(ctx, topic, lines, "-z", codec)
        equal(group_read(ctx, group, "-e", topic), lines, f"{codec}, first run")
        produce(ctx, topic, [b"more"], "-z", codec)
        equal(group_read(ctx, group, "-c", "1", topic), [b"more"], f"{codec}, second run")


@scenario("lz4 is sent as lz4")
def lz4(ctx):
    topic = ctx.topic()
    produce(ctx, topic, [b"line %d %s" % (i, b"ab" * 40) for i in range(300)], "-z", "lz4")
    with ctx.connect() as conn:
        equal(conn.codecs(topic), {3}, "codecs of the stored batches")


@scenario("two consumers share the partitions, and one takes over what the other leaves", timeout=60)
def shared(ctx):
    topic, group = ctx.topic(partitions=4), ctx.name("g")

    def send(stem):
        for partition in range(4):
            kcat(ctx, "-P", "-t", topic, "-p", str(partition), given=f"{stem}{partition}\n".encode())
        return {f"{stem}{partition}" for partition in range(4)}

    with running(ctx, group, topic) as first:
        wanted = send("alone")
        eventually(lambda: values(first) >= wanted, 15, "the first reads all")
        with running(ctx, group, topic) as second:
            eventually(lambda: (send("both"), second)[1], 20, "the second reads some")
            wanted |= send("last")
            eventually(lambda: values(first) | values(second) >= wanted, 15, "both read all")
            true("last0" in values(first) ^ values(second), "a record was given to both")
        wanted = send("again")
        eventually(lambda: values(first) >= wanted, 15, "the first reads all again")


@scenario("several topics and a pattern")
def topics(ctx):
    stem, group = ctx.name("many"), ctx.name("g")
    names = [ctx.topic(stem=stem) for _ in range(2)]
    with running(ctx, group, f"^{stem}-.*") as lines:
        names.append(ctx.topic(stem=stem))
        for name in names:
            produce(ctx, name, [b"to-" + name.encode()])
        eventually(lambda: values(lines) == {"to-" + name for name in names}, 20, "all are read")


if __name__ == "__main__":
    main("kcat groups")
