"""Kafka's own command line tools: what they print and how they end."""

import json
import os
import re
import tempfile

import toolhost
from harness.scenario import Skip, equal, eventually, main, scenario, true

RUNNING = {}
OLD = "tools-3." in os.environ.get("CLIENT", "")
PARTITIONER = ["--property", "parse.key=true", "--property", "key.separator=:"]


def tools(ctx):
    """The virtual machine that runs them; one for all scenarios."""
    if "host" not in RUNNING:
        RUNNING["host"] = toolhost.Host(os.environ["TOOLS_CLASSPATH"], ctx.bootstrap)
    return RUNNING["host"]


def good(result, *texts):
    equal(result.code, 0, f"exit code of what printed {result.out}{result.err}")
    said(result, *texts)
    return result.out


def bad(result, *texts):
    equal(result.code, 1, f"exit code of what printed {result.out}{result.err}")
    said(result, *texts)


def said(result, *texts):
    for text in texts:
        true(text in result.out + result.err, f"{text!r} is in {result.out}{result.err}")


def rows(text, width):
    """The table in what a tool printed: the lines with that many words, without the head."""
    return [words for words in map(str.split, text.splitlines()) if len(words) == width][1:]


def file_with(text):
    handle = tempfile.NamedTemporaryFile("w", suffix=".tmp", encoding="utf-8")
    handle.write(text)
    handle.flush()
    return handle


def fill(ctx, keys=4, count=20, partitions=3):
    """A topic with equal keys in equal partitions: offsets are the same on every broker."""
    name = ctx.topic(partitions)
    lines = "".join(f"k{i % keys}:v{i}\n" for i in range(count))
    good(tools(ctx)("console-producer", "--topic", name, *PARTITIONER, stdin=lines))
    return name


def offsets(ctx, topic, *arguments):
    """{partition: offset} as kafka-get-offsets tells it; a partition without one is not there."""
    out = good(tools(ctx)("get-offsets", "--topic", topic, *arguments))
    return {int(line.split(":")[1]): int(line.split(":")[2] or -1) for line in out.splitlines()}


def only_ours(ctx):
    if ctx.external:
        raise Skip("says what is not served here")


@scenario("topics are created, listed and described")
def topics(ctx):
    run, name = tools(ctx), ctx.name()
    good(run("topics", "--create", "--topic", name, "--partitions", 2, "--config", "retention.ms=3600000",
             "--config", "cleanup.policy=compact,delete"), f"Created topic {name}.")
    bad(run("topics", "--create", "--topic", name), f"Topic '{name}' already exists.")
    good(run("topics", "--create", "--topic", name, "--if-not-exists"))
    true(name in good(run("topics", "--list")).splitlines(), "it is listed")
    out = good(run("topics", "--describe", "--topic", name), "PartitionCount: 2\tReplicationFactor: 1",
               "cleanup.policy=compact,delete,retention.ms=3600000")
    equal(re.findall(r"\tPartition: (\d)\tLeader: 1\tReplicas: 1\tIsr: 1", out), ["0", "1"], "partitions")
    true(f"Topic: {name}\t" in good(run("topics", "--describe", "--topics-with-overrides")), "it has overrides")
    for what in ("--under-replicated-partitions", "--unavailable-partitions", "--under-min-isr-partitions"):
        equal(good(run("topics", "--describe", what)), "", what)


@scenario("what is wrong with a topic is said")
def topic_errors(ctx):
    run, name = tools(ctx), ctx.name()
    create = ["topics", "--create", "--topic", name, "--partitions", 1]
    bad(run(*create, "--replication-factor", 3), "The target replication factor of 3 cannot be reached because only 1 "
        "broker(s) are registered.")
    bad(run(*create, "--config", "nonsense=1"), "Unknown topic config name: nonsense")
    bad(run("topics", "--create", "--topic", "a/b", "--partitions", 1), "'a/b'")
    for verb in (["--describe"], ["--delete"], ["--alter", "--partitions", 2]):
        bad(run("topics", *verb, "--topic", name), name, "does not exist as expected")
    good(run("topics", "--delete", "--topic", name, "--if-exists"))


@scenario("topics are widened, and deleted by name and by pattern")
def widened(ctx):
    run, stem = tools(ctx), ctx.name()
    for end in "abc":
        good(run("topics", "--create", "--topic", f"{stem}.{end}", "--partitions", 1))
    good(run("topics", "--alter", "--topic", f"{stem}.a", "--partitions", 4))
    said(run("topics", "--describe", "--topic", f"{stem}.a"), "PartitionCount: 4")
    bad(run("topics", "--alter", "--topic", f"{stem}.a", "--partitions", 2),
        "currently has 4 partition(s); 2 would not be an increase.")
    good(run("topics", "--delete", "--topic", f"{stem}.b"))
    equal([line for line in good(run("topics", "--list")).splitlines() if stem in line], [f"{stem}.a", f"{stem}.c"],
          "what is left")
    good(run("topics", "--delete", "--topic", f"{stem}.*"))
    true(stem not in good(run("topics", "--list")), "none is left")


@scenario("settings of a topic are described, added and taken back")
def topic_configs(ctx):
    run = tools(ctx)
    entity = ["--entity-type", "topics", "--entity-name", ctx.topic(retention_ms=3600000)]
    good(run("configs", "--alter", *entity, "--add-config",
             "max.message.bytes=70000,cleanup.policy=[compact,delete]"), "Completed updating config for topic")
    out = good(run("configs", "--describe", *entity))
    equal(re.findall(r"(?m)^  (\S+=\S+) sensitive=false synonyms=\{DYNAMIC_TOPIC_CONFIG:\1", out),
          ["cleanup.policy=compact,delete", "max.message.bytes=70000", "retention.ms=3600000"], "what is set")
    good(run("configs", "--alter", *entity, "--delete-config", "max.message.bytes,cleanup.policy"))
    equal(re.findall(r"(?m)^  (\S+)=", good(run("configs", "--describe", *entity))), ["retention.ms"], "what is left")
    out = good(run("configs", "--describe", "--all", *entity), "max.message.bytes=1048588 sensitive=false synonyms="
               "{DEFAULT_CONFIG:message.max.bytes=1048588}", "cleanup.policy=delete", "segment.bytes=1073741824")
    true(len(out.splitlines()) > 30, "all are told")


@scenario("what is wrong with a setting is said")
def config_errors(ctx):
    run, topic = tools(ctx), ctx.topic()
    entity = ["--entity-type", "topics", "--entity-name"]
    bad(run("configs", "--alter", *entity, topic, "--add-config", "nonsense=1"), "Unknown topic config name: nonsense")
    bad(run("configs", "--alter", *entity, topic, "--add-config", "retention.ms=abc"),
        "Invalid value abc for configuration retention.ms: Not a number of type LONG")
    bad(run("configs", "--alter", *entity, topic, "--delete-config", "nonsense"), "Invalid config(s): nonsense")
    bad(run("configs", "--alter", *entity, ctx.name(), "--add-config", "retention.ms=5"),
        "UnknownTopicOrPartitionException")
    said(run("configs", "--describe", *entity, "none"), "UnknownTopicOrPartitionException" if OLD else "doesn't exist")


@scenario("settings of the broker are described")
def broker_configs(ctx):
    run = tools(ctx)
    entity = ["--entity-type", "brokers"]
    good(run("configs", "--describe", *entity, "--entity-name", 1), "Dynamic configs for broker 1 are:")
    good(run("configs", "--describe", *entity, "--entity-default"), "Default configs for brokers in the cluster are:")
    good(run("configs", "--describe", "--all", *entity, "--entity-name", 1), "All configs for broker 1 are:",
         "auto.create.topics.enable=true", "message.max.bytes=1048588", "log.dirs=")
    if not OLD:  # it asks the broker that is not there, for a minute
        good(run("configs", "--describe", *entity, "--entity-name", 77), "The broker '77' doesn't exist")
    bad(run("configs", "--alter", *entity, "--entity-name", 1, "--add-config", "broker.id=3"),
        "Cannot update these configs dynamically: Set(broker.id)")


@scenario("the console shows keys, headers, partitions, offsets and timestamps")
def console(ctx):
    run, topic = tools(ctx), ctx.topic()
    good(run("console-producer", "--topic", topic, *PARTITIONER, "--property", "parse.headers=true",
             stdin="h1:v1,h2:v2\tk1:one\nh1:v3\tk2:two\n"))
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        good(run("console-producer", "--topic", topic, "--compression-codec", codec, stdin=f"{codec}\n"))
    show = [word for name in ("key", "headers", "partition", "offset", "timestamp")
            for word in ("--property", f"print.{name}=true")]
    out = good(run("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", 6, *show),
               "Processed a total of 6 messages")
    equal([re.sub(r"CreateTime:\d{13}", "time", line).split("\t") for line in out.splitlines()],
          [["time", "Partition:0", "Offset:0", "h1:v1,h2:v2", "k1", "one"],
           ["time", "Partition:0", "Offset:1", "h1:v3", "k2", "two"],
           *(["time", "Partition:0", f"Offset:{2 + i}", "NO_HEADERS", "null", codec]
             for i, codec in enumerate(("gzip", "snappy", "lz4", "zstd")))], "lines")


@scenario("the console consumer begins where it is told")
def console_places(ctx):
    run, topic = tools(ctx), fill(ctx, keys=1, count=5, partitions=1)
    place = ["console-consumer", "--topic", topic, "--partition", 0]
    equal(good(run(*place, "--offset", 3, "--max-messages", 1)), "v3\n", "from an offset")
    equal(good(run(*place, "--offset", "earliest", "--max-messages", 2)), "v0\nv1\n", "from the earliest")
    equal(good(run(*place, "--offset", "latest", "--timeout-ms", 500)), "", "from the latest")
    equal(good(run("console-consumer", "--include", f"{topic}|none", "--from-beginning", "--max-messages", 5)),
          "v0\nv1\nv2\nv3\nv4\n", "by a pattern")


@scenario("a group of the console goes on where it was")
def console_groups(ctx):
    run, topic, group = tools(ctx), fill(ctx, keys=1, count=4, partitions=1), ctx.name("g")
    consume = ["console-consumer", "--topic", topic, "--group", group]
    equal(good(run(*consume, "--from-beginning", "--max-messages", 4)), "v0\nv1\nv2\nv3\n", "first")
    good(run("console-producer", "--topic", topic, stdin="later\n"))
    equal(good(run(*consume, "--max-messages", 1)), "later\n", "then")


@scenario("offsets at every special time are told")
def get_offsets(ctx):
    run, topic = tools(ctx), fill(ctx)
    ends = offsets(ctx, topic)
    equal(sum(ends.values()), 20, "records")
    for time in (-1, "latest"):
        equal(offsets(ctx, topic, "--time", time), ends, f"at {time}")
    for time in (-2, "earliest", -4, "earliest-local"):
        equal(offsets(ctx, topic, "--time", time), dict.fromkeys(ends, 0), f"at {time}")
    for time in (-3, "max-timestamp"):
        found = offsets(ctx, topic, "--time", time)
        true(all(0 <= offset < ends[p] for p, offset in found.items()) and found, f"at {time}: {found} of {ends}")
    for time in (-5, "latest-tiered", 99999999999999):
        equal(offsets(ctx, topic, "--time", time), {}, f"at {time}")
    equal(offsets(ctx, topic, "--time", 1), {p: 0 for p, end in ends.items() if end}, "at a timestamp")
    equal(good(run("get-offsets", "--topic-partitions", f"{topic}:1")), f"{topic}:1:{ends[1]}\n", "one partition")
    bad(run("get-offsets", "--topic", "none"), "Could not match any topic-partitions")


@scenario("records are deleted")
def delete_records(ctx):
    topic = fill(ctx, partitions=2)
    ends = offsets(ctx, topic)
    wanted = [{"topic": topic, "partition": 0, "offset": 3}, {"topic": topic, "partition": 1, "offset": -1}]
    with file_with(json.dumps({"partitions": wanted, "version": 1})) as file:
        good(tools(ctx)("delete-records", "--offset-json-file", file.name), f"{topic}-0\tlow_watermark: 3",
             f"{topic}-1\tlow_watermark: {ends[1]}")
    equal(offsets(ctx, topic, "--time", "earliest"), {0: 3, 1: ends[1]}, "earliest")


@scenario("log directories are described")
def log_dirs(ctx):
    run, topic = tools(ctx), fill(ctx, partitions=1)
    out = good(run("log-dirs", "--describe", "--topic-list", topic))
    described = json.loads(out.splitlines()[-1])["brokers"]
    equal([(broker["broker"], directory["error"]) for broker in described for directory in broker["logDirs"]],
          [(1, None)], "brokers")
    (partition,) = described[0]["logDirs"][0]["partitions"]
    true(partition.pop("size") > 100, "it has a size")
    equal(partition, {"partition": f"{topic}-0", "offsetLag": 0, "isFuture": False}, "partition")
    bad(run("log-dirs", "--describe", "--broker-list", 77), "The given brokers do not exist from --broker-list: 77")


def group_with(ctx, topic):
    """A group that has read all of the topic and left."""
    group = ctx.name("g")
    good(tools(ctx)("consumer-groups", "--reset-offsets", "--group", group, "--topic", topic, "--to-latest",
                    "--execute"))
    return group


@scenario("a group without members is listed and described")
def empty_group(ctx):
    run, topic = tools(ctx), fill(ctx)
    group, ends = group_with(ctx, topic), offsets(ctx, topic)

    def groups(*arguments):
        return good(run("consumer-groups", *arguments))

    true(group in groups("--list").splitlines(), "it is listed")
    for filters, word in ((["--state"], "Empty"), (["--state", "empty"], "Empty"), (["--type"], "Classic"),
                          (["--type", "classic"], "Classic")):
        true([group, word] in rows(groups("--list", *filters), 2), f"it is listed with {filters}")
    for filters in (["--state", "stable"], ["--type", "consumer"]):
        true(group not in groups("--list", *filters), f"it is not listed with {filters}")
    out = groups("--describe", "--group", group)
    equal(sorted(row[1:6] for row in rows(out, 9)),
          [[topic, str(p), str(end), str(end), "0"] for p, end in sorted(ends.items())], "offsets and lag")
    true(re.search(r"Empty +0\n", groups("--describe", "--group", group, "--state")), "its state")
    said(run("consumer-groups", "--describe", "--group", group, "--members"), "has no active members")
    result = run("consumer-groups", "--describe", "--group", "none")
    true(re.search("Group none not found|Consumer group 'none' does not exist", result.out + result.err),
         f"{result}")  # KIP-1043: tools before 4.0 ask in a version without an error for it


def told(out, group, topic):
    """{partition: position} of a table without its lines' ends, as the older tool prints it."""
    return {int(p): int(offset) for p, offset in re.findall(rf"{group} +{topic} +(\d+) +(\d+)", out)}


@scenario("positions are reset in every way")
def reset(ctx):
    run, topic = tools(ctx), fill(ctx)
    group, ends = group_with(ctx, topic), offsets(ctx, topic)
    zero, one = dict.fromkeys(ends, 0), {p: min(end, 1) for p, end in ends.items()}

    def to(*how, where=(topic,), do="--execute"):
        out = good(run("consumer-groups", "--reset-offsets", "--group", group,
                       *(word for name in where for word in ("--topic", name)), *how, do))
        return told(out, group, topic)

    def now():
        out = good(run("consumer-groups", "--describe", "--group", group))
        return {int(row[2]): int(row[3]) for row in rows(out, 9)}

    equal(to("--to-earliest", do="--dry-run"), zero, "what would be done")
    equal(now(), ends, "a dry run does nothing")
    for how, wanted in ((["--to-earliest"], zero), (["--to-latest"], ends), (["--shift-by", -1000], zero),
                        (["--shift-by", 1], one), (["--to-offset", 1000], ends), (["--to-current"], ends),
                        (["--to-datetime", "2020-01-01T00:00:00.000"], zero), (["--by-duration", "PT0S"], ends),
                        (["--by-duration", "PT1H"], zero), (["--to-datetime", "2090-01-01T00:00:00.000"], ends)):
        equal(to(*how), wanted, f"told by {how}")
        equal(now(), wanted, f"after {how}")
    equal(to("--to-earliest", where=[f"{topic}:0"]), {0: 0}, "one partition")
    equal(now(), {**ends, 0: 0}, "after one partition")
    equal(to("--to-offset", 1, "--all-topics", where=[]), one, "all topics")


@scenario("positions are exported and reset from a file")
def reset_from_file(ctx):
    run, topic = tools(ctx), fill(ctx, partitions=1, count=5)
    group = group_with(ctx, topic)
    about = ["consumer-groups", "--reset-offsets", "--group", group]
    equal(good(run(*about, "--topic", topic, "--to-current", "--export", "--dry-run")).strip(), f'{topic},0,5', "exported")
    with file_with(f'"{topic}",0,2\n') as file:
        equal(told(good(run(*about, "--from-file", file.name, "--execute")), group, topic), {0: 2}, "imported")
    said(run(*about, "--topic", ctx.name(), "--to-earliest", "--execute"), "UnknownTopicOrPartitionException")


@scenario("a group with members is described, and kept")
def members(ctx):
    run, topic, group = tools(ctx), fill(ctx), ctx.name("g")
    consumer = run.start("console-consumer", "--topic", topic, "--group", group, "--from-beginning",
                         "--consumer-property", "group.instance.id=i1", "--consumer-property", "client.id=c1",
                         "--consumer-property", "auto.commit.interval.ms=200")

    def groups(*arguments):
        return run("consumer-groups", "--group", group, *arguments)

    eventually(lambda: [row[2:] for row in rows(good(groups("--describe", "--state")), 6)]
               == [["(1)", "range", "Stable", "1"]], 15, "it is stable")
    (row,) = rows(good(groups("--describe", "--members")), 6)
    true(row[1].startswith("i1-"), "the id of a static member")
    equal(row[2:], ["i1", "/127.0.0.1", "c1", "3"], "member")
    good(groups("--describe", "--members", "--verbose"), "(0,1,2)" if OLD else f" {topic}:0,1,2 ")
    consumers = [("0", row[1], "/127.0.0.1", "c1")] * 3
    eventually(lambda: [tuple(row[5:]) for row in rows(good(groups("--describe")), 9)] == consumers, 15, "nothing lags")
    said(groups("--reset-offsets", "--topic", topic, "--to-earliest", "--execute"),
         "is inactive, but the current state is Stable")
    said(groups("--delete"), "GroupNotEmptyException")
    said(groups("--delete-offsets", "--topic", topic), "GroupSubscribedToTopicException")
    equal(good(consumer.stop()).count("\n"), 20, "records")


@scenario("groups and their positions are deleted")
def delete_groups(ctx):
    run, topic = tools(ctx), fill(ctx)
    group, other = group_with(ctx, topic), group_with(ctx, topic)

    def groups(*arguments):
        return run("consumer-groups", *arguments)

    good(groups("--delete-offsets", "--group", group, "--topic", f"{topic}:0"), "Successful")
    equal(sorted(row[2] for row in rows(good(groups("--describe", "--group", group)), 9)), ["1", "2"], "what is left")
    said(groups("--delete-offsets", "--group", group, "--topic", "none"), "UnknownTopicOrPartitionException")
    said(groups("--delete-offsets", "--group", "none", "--topic", topic), "GroupIdNotFoundException")
    good(groups("--delete", "--group", group), f"Deletion of requested consumer groups ('{group}') was successful.")
    out = groups("--delete", "--group", "none", "--group", other)
    said(out, "Group 'none' could not be deleted due to", "GroupIdNotFoundException",
         f"These consumer groups were deleted successfully: '{other}'")
    left = good(groups("--list")).splitlines()
    true(group not in left and other not in left, f"both are gone from {left}")


@scenario("the cluster, its APIs and the lack of an authorizer are told")
def cluster(ctx):
    run = tools(ctx)
    good(run("cluster", "cluster-id"), "Cluster ID: ")
    out = good(run("broker-api-versions"), f"{ctx.bootstrap} (id: 1 rack: null")
    for api in ("Fetch(1): 4 to ", "JoinGroup(11): 0 to 9", "DescribeConfigs(32): 1 to 4", "OffsetDelete(47): 0"):
        true(api in out, f"{api} is in {out}")
    bad(run("acls", "--list"), "SecurityDisabledException: No Authorizer is configured")


@scenario("the performance tools run")
def performance(ctx):
    run, topic = tools(ctx), ctx.topic(2)
    out = good(run("producer-perf-test", "--topic", topic, "--num-records", 20000, "--record-size", 100,
                   "--throughput", -1, "--producer-props", f"bootstrap.servers={ctx.bootstrap}", "acks=all"))
    true(out.splitlines()[-1].startswith("20000 records sent, "), out)
    out = good(run("consumer-perf-test", "--topic", topic, "--messages", 20000, "--timeout", 20000))
    equal(out.splitlines()[-1].split(", ")[4], "20000", "records of the consumer")
    words = [ctx.bootstrap, topic, 20, "all", 100]
    said(run("e2e-latency", *words), "Avg latency: ")


@scenario("what the verifiable producer sent the verifiable consumer gets", timeout=60)
def verifiable(ctx):
    run, topic = tools(ctx), ctx.topic(3)
    where = ["--topic", topic]
    with run.alone("verifiable-producer", *where, "--max-messages", 500, "--acks", -1) as producer:
        sent = [json.loads(line) for line in producer.lines()]
    acked = {(e["partition"], e["offset"]) for e in sent if e["name"] == "producer_send_success"}
    equal((len(acked), sent[-1]["name"], sent[-1]["acked"]), (500, "tool_data", 500), "acknowledged")
    with run.alone("verifiable-consumer", *where, "--group-id", ctx.name("g"), "--reset-policy", "earliest",
                   "--max-messages", 500) as consumer:
        got = [json.loads(line) for line in consumer.lines()]
    equal(sum(e["count"] for e in got if e["name"] == "records_consumed"), 500, "consumed")
    commits = [e for e in got if e["name"] == "offsets_committed"]
    true(commits and all(e["success"] for e in commits), f"commits: {commits}")
    last = {place["partition"]: place["offset"] for commit in commits for place in commit["offsets"]}
    equal(last, {p: end for p, end in offsets(ctx, topic).items() if p in last}, "last commits")
    equal(sum(last.values()), 500, "records committed")


NOT_SERVED = [  # tool, its words, what it says
    (["transactions", "list"], "does not support LIST_TRANSACTIONS"),
    (["transactions", "describe", "--transactional-id", "x"], "authorization failure"),
    (["metadata-quorum", "describe", "--status"], "does not support DESCRIBE_QUORUM"),
    (["leader-election", "--election-type", "preferred", "--all-topic-partitions"], "does not support ELECT_LEADERS"),
    (["reassign-partitions", "--list"], "does not support LIST_PARTITION_REASSIGNMENTS"),
    (["acls", "--add", "--allow-principal", "User:a", "--operation", "Read", "--topic", "x"],
     "does not support CREATE_ACLS"),
    (["configs", "--describe", "--entity-type", "users"], "does not support DESCRIBE_CLIENT_QUOTAS"),
    (["configs", "--alter", "--entity-type", "brokers", "--entity-name", "1", "--add-config",
      "log.retention.ms=100000"], "Cannot update these configs dynamically: Set(log.retention.ms)"),
]


@scenario("what is not served is said at once")
def not_served(ctx):
    only_ours(ctx)
    for words, text in NOT_SERVED:
        bad(tools(ctx)(*words, timeout=10), text)


if __name__ == "__main__":
    main(os.environ.get("CLIENT", "kafka-tools"))
