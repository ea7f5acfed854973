"""Kafka's command line tools, run in one virtual machine (tools/src/colobus/tools/Host.java)."""

import base64
import itertools
import queue
import subprocess
import threading

TOOLS = "org.apache.kafka.tools."
# Where their main() is, in 4.1 first, then in 3.9.
CLASSES = {
    "acls": TOOLS + "AclCommand,kafka.admin.AclCommand",
    "broker-api-versions": TOOLS + "BrokerApiVersionsCommand,kafka.admin.BrokerApiVersionsCommand",
    "cluster": TOOLS + "ClusterTool",
    "configs": "kafka.admin.ConfigCommand",
    "console-consumer": TOOLS + "consumer.ConsoleConsumer",
    "console-producer": TOOLS + "ConsoleProducer,kafka.tools.ConsoleProducer",
    "consumer-groups": TOOLS + "consumer.group.ConsumerGroupCommand",
    "consumer-perf-test": TOOLS + "ConsumerPerformance",
    "delegation-tokens": TOOLS + "DelegationTokenCommand",
    "delete-records": TOOLS + "DeleteRecordsCommand",
    "e2e-latency": TOOLS + "EndToEndLatency",
    "features": TOOLS + "FeatureCommand",
    "get-offsets": TOOLS + "GetOffsetShell",
    "groups": TOOLS + "GroupsCommand",
    "leader-election": TOOLS + "LeaderElectionCommand",
    "log-dirs": TOOLS + "LogDirsCommand",
    "metadata-quorum": TOOLS + "MetadataQuorumCommand",
    "producer-perf-test": TOOLS + "ProducerPerformance",
    "reassign-partitions": TOOLS + "reassign.ReassignPartitionsCommand",
    "share-groups": TOOLS + "consumer.group.ShareGroupCommand",
    "topics": TOOLS + "TopicCommand",
    "transactions": TOOLS + "TransactionsCommand",
    # These run alone.
    "verifiable-consumer": TOOLS + "VerifiableConsumer",
    "verifiable-producer": TOOLS + "VerifiableProducer",
}

TELL_THEMSELVES = ["e2e-latency", "producer-perf-test"]  # where the broker is


class Result:
    """What a tool wrote and how it ended."""

    def __init__(self, code, out, err):
        self.code = int(code)
        self.out = decode(out)
        self.err = decode(err)

    def __repr__(self):
        return f"exit code {self.code}\n{self.out}{self.err}"


class Run:
    """A tool at work."""

    def __init__(self, host, number):
        self.host = host
        self.number = number
        self.answer = queue.Queue()

    def result(self, timeout=30):
        try:
            return self.answer.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"the tool has not ended after {timeout} s") from None

    def stop(self):
        """As SIGTERM would."""
        self.host.request("stop", self.number)
        return self.result()


class Alone:
    """A tool with a virtual machine of its own: one that hangs what it does at the end on the machine's."""

    def __init__(self, host, tool, *arguments):
        words = [*host.java, CLASSES[tool], "--bootstrap-server", host.bootstrap, *map(str, arguments)]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def lines(self):
        """Yields what it prints, until it ends."""
        yield from self.process.stdout

    def stop(self):
        """SIGTERM; the rest of what it prints."""
        self.process.terminate()
        return self.process.communicate(timeout=30)[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Host:
    def __init__(self, classpath, bootstrap):
        self.bootstrap = bootstrap
        self.java = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto",
                     "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", classpath]
        self.process = subprocess.Popen([*self.java, "colobus.tools.Host"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.numbers = itertools.count(1)
        self.runs = {}
        threading.Thread(target=self.collect, daemon=True).start()

    def request(self, *words):
        print(" ".join(encode(word) for word in words), file=self.process.stdin, flush=True)

    def collect(self):
        for line in self.process.stdout:
            number, *rest = line.rstrip("\n").split(" ")
            self.runs.pop(number).answer.put(Result(*rest))

    def start(self, tool, *arguments, stdin=""):
        """Starts a tool with the arguments, and --bootstrap-server if it takes that."""
        run = Run(self, str(next(self.numbers)))
        self.runs[run.number] = run
        where = [] if tool in TELL_THEMSELVES else ["--bootstrap-server", self.bootstrap]
        words = [*arguments, *where] if tool == "cluster" else [*where, *arguments]  # its options follow the verb
        self.request("run", run.number, stdin, CLASSES[tool], *map(str, words))
        return run

    def alone(self, tool, *arguments):
        return Alone(self, tool, *arguments)

    def __call__(self, tool, *arguments, stdin="", timeout=30):
        """Runs a tool to its end."""
        return self.start(tool, *arguments, stdin=stdin).result(timeout)


def encode(word):
    return "=" + base64.b64encode(word.encode()).decode()


def decode(word):
    return base64.b64decode(word[1:]).decode("utf-8", "replace")
