"""Apache Kafka as the broker to compare with: gathered by Maven at run time, configured as its documents say, started and
stopped like ours, and its own load tools."""

import glob
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from harness.broker import BrokerError, free_port

HERE = os.path.dirname(os.path.abspath(__file__))
POM, LOG4J = (os.path.join(os.path.dirname(HERE), "rival", name) for name in ("pom.xml", "log4j2.xml"))
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
STARTED = "Kafka Server started"  # KafkaRaftServer: all listeners accept
JVM = ["-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
       "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true"]  # KAFKA_JVM_PERFORMANCE_OPTS, kafka-run-class.sh
PRODUCED = re.compile(r"^(\d+) records sent, ([\d.]+) records/sec \(([\d.]+) MB/sec\), ([\d.]+) ms avg latency, ([\d.]+) ms "
                      r"max latency, (\d+) ms 50th, (\d+) ms 95th, (\d+) ms 99th, (\d+) ms 99\.9th", re.M)


class ToolError(Exception):
    """A program of Kafka's did not do what was asked; the text is the end of what it said."""


def assemble(home, version):
    """The folder with Kafka's jars, filled by Maven if it is not there; whole or not at all."""
    libs = os.path.join(home, "libs")
    if os.path.isdir(libs):
        return libs
    print(f"gathering Apache Kafka {version} with Maven", flush=True)
    os.makedirs(home, exist_ok=True)
    gathered = tempfile.mkdtemp(prefix="libs-", dir=home)
    try:
        subprocess.run(["mvn", "-B", "-q", "-f", POM, COPY, "-DincludeScope=runtime", f"-Dkafka.version={version}",
                        f"-DoutputDirectory={gathered}"], stdin=subprocess.DEVNULL, check=True, timeout=900)
        if not glob.glob(os.path.join(gathered, f"kafka_2.13-{version}.jar")):
            raise ToolError("Maven did not bring the broker's jar")
        os.rename(gathered, libs)
    finally:
        shutil.rmtree(gathered, ignore_errors=True)
    return libs


def properties(port, controller, folder, cores, settings):
    """server.properties of one combined KRaft node. What is not here has Kafka's default; threads go by the cores,
    socket buffers and the offsets topic are as in Kafka's notes on production and on a single node."""
    values = {
        "process.roles": "broker,controller", "node.id": 1, "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}", "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT", "log.dirs": folder,
        "num.network.threads": max(2, cores), "num.io.threads": max(4, 2 * cores),
        "socket.send.buffer.bytes": 1048576, "socket.receive.buffer.bytes": 1048576,
        "offsets.topic.replication.factor": 1, "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1, "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1, "group.initial.rebalance.delay.ms": 0,
    }
    values.update(settings)
    return "".join(f"{key}={value}\n" for key, value in values.items())


def java(libs, main, *arguments, options=()):
    return ["java", *options, f"-Dlog4j2.configurationFile=file:{LOG4J}", "-cp", os.path.join(libs, "*"), main, *arguments]


class Kafka:
    """One Kafka broker at a time on one data directory; the same face as harness.broker.Broker as far as the
    comparison needs it."""

    def __init__(self, libs, data_dir, settings=None, heap="1G", wrap=()):
        self.libs, self.data_dir, self.heap, self.wrap = libs, data_dir, heap, list(wrap)
        self.port = free_port()
        self.process, self.lines, self.started = None, [], threading.Event()
        self.config = data_dir + ".properties"
        text = properties(self.port, free_port(), data_dir, os.cpu_count(), settings or {})
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(text)
        self._format()

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    def _format(self):
        small = ("-Xmx128M", "-XX:TieredStopAtLevel=1")
        name = run_tool(java(self.libs, "kafka.tools.StorageTool", "random-uuid", options=small)).split()[-1]
        run_tool(java(self.libs, "kafka.tools.StorageTool", "format", "-t", name, "-c", self.config, options=small))

    def spawn(self):
        guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        command = java(self.libs, "kafka.Kafka", self.config, options=[f"-Xms{self.heap}", f"-Xmx{self.heap}", *JVM])
        self.started.clear()
        self.process = subprocess.Popen(guard + self.wrap + command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def _read(self, process):
        for line in process.stdout:
            text = line.decode("utf-8", "replace").rstrip()
            self.lines.append(text)
            if STARTED in text and process is self.process:
                self.started.set()

    def start(self, timeout=120.0):
        """Starts and waits until it says that it has started; returns the seconds it took."""
        began = time.monotonic()
        self.spawn()
        while not self.started.wait(0.005):
            if self.process.poll() is not None or time.monotonic() - began > timeout:
                self.kill9()
                raise BrokerError("Kafka did not start:\n" + "\n".join(self.lines[-30:]))
        return time.monotonic() - began

    def pid(self):
        return self.process.pid

    def kill9(self):
        self._end(signal.SIGKILL)

    def stop(self, timeout=60.0):
        """SIGTERM: a controlled shutdown, which writes a clean-shutdown mark."""
        self._end(signal.SIGTERM, timeout)

    def _end(self, number, timeout=30.0):
        if self.process is None:
            return
        try:
            if self.process.poll() is None:
                os.kill(self.process.pid, number)
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)

    def close(self):
        self.kill9()


def run_tool(command, timeout=300):
    """What the program printed; ToolError with the end of it if it failed."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=timeout, check=False)
    except subprocess.TimeoutExpired as late:
        raise ToolError(f"no end in {timeout} s") from late
    if done.returncode != 0:
        raise ToolError(done.stdout.strip()[-500:] or f"exit code {done.returncode}")
    return done.stdout


def parse_producer(text):
    """The last line of ProducerPerformance."""
    found = PRODUCED.findall(text)
    if not found:
        raise ToolError("no result of ProducerPerformance: " + text.strip()[-300:])
    names = ("records", "records_per_s", "mib_per_s", "mean_ms", "max_ms", "p50_ms", "p95_ms", "p99_ms", "p99.9_ms")
    return dict(zip(names, map(float, found[-1])))


def parse_consumer(text):
    """The line of ConsumerPerformance, by its heading. `fetch_*` leaves out the time to join the group."""
    lines = [[part.strip() for part in line.split(",")] for line in text.splitlines() if line.count(",") >= 9]
    if len(lines) < 2 or "nMsg.sec" not in lines[0]:
        raise ToolError("no result of ConsumerPerformance: " + text.strip()[-300:])
    row = dict(zip(lines[0], lines[-1]))
    return {"records": float(row["data.consumed.in.nMsg"]), "records_per_s": float(row["nMsg.sec"]),
            "mib_per_s": float(row["MB.sec"]), "fetch_records_per_s": float(row["fetch.nMsg.sec"])}


def producer_performance(libs, bootstrap, topic, records, size, wrap=()):
    """Kafka's own producer, batches and linger as close to the load client's as they go (idempotent, its default)."""
    settings = [f"bootstrap.servers={bootstrap}", "acks=all", "linger.ms=5", "batch.size=1000000", "buffer.memory=134217728",
                "max.request.size=1048576"]
    return parse_producer(run_tool([*wrap, *java(
        libs, "org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", str(records),
        "--record-size", str(size), "--throughput", "-1", "--producer-props", *settings, options=["-Xmx512M"])]))


def consumer_performance(libs, bootstrap, topic, records, wrap=()):
    return parse_consumer(run_tool([*wrap, *java(
        libs, "org.apache.kafka.tools.ConsumerPerformance", "--bootstrap-server", bootstrap, "--topic", topic,
        "--messages", str(records), "--timeout", "30000", "--group", f"perf-{time.monotonic_ns()}",
        options=["-Xmx512M"])]))
