#!/usr/bin/env python3
"""Runs real clients against a broker: one of ours, started here, or any at --bootstrap."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.path.insert(0, HERE)

import envs  # noqa: E402
from harness import control, tls  # noqa: E402
from harness.broker import Broker, BrokerError, free_port  # noqa: E402

LIMIT_S = 300  # for one client program
HANDSHAKE_S = 3
SETTINGS = {"kafka.handshake-timeout": f"{HANDSHAKE_S}s",  # what a test waits for must not take long
            "amqp.handshake-timeout": f"{HANDSHAKE_S}s",
            "redis.handshake-timeout": f"{HANDSHAKE_S}s",
            "kafka.group-initial-rebalance-delay": "50ms"}


def plain(program):
    return lambda: [sys.executable, os.path.join(HERE, program)]


def with_tool(tool, program):
    def command():
        if not shutil.which(tool):
            raise envs.Missing(f"no {tool}")
        return [sys.executable, os.path.join(HERE, program)]
    return command


def in_venv(env, program):
    return lambda: [envs.python_env(env), os.path.join(HERE, program)]


# Classes of the Java client that log the errors some scenarios ask for.
EXPECTED_TO_FAIL = ["consumer.internals.ConsumerCoordinator", "admin.internals.DeleteRecordsHandler"]


def java(version):
    return lambda: ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                    "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
                    *(f"-Dorg.slf4j.simpleLogger.log.org.apache.kafka.clients.{name}=off" for name in EXPECTED_TO_FAIL),
                    "-cp", envs.java_classpath(version), "colobus.client.Main"]


def kafka_tools(version):
    return lambda: ["env", f"TOOLS_CLASSPATH={envs.java_classpath(version, 'tools')}", sys.executable,
                    os.path.join(HERE, "tools.py")]


def go(modfile):
    return lambda: [envs.go_program(modfile)]


def node(program):
    return lambda: ["env", f"NODE_PATH={envs.node_modules()}", "KAFKAJS_NO_PARTITIONER_WARNING=1", "node",
                    os.path.join(HERE, "js", program)]


def rabbitmq_java(version):
    return lambda: ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                    "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp",
                    envs.java_classpath(version, "amqp_java", "amqp", ["java/src/colobus/client/Scenarios.java"]),
                    "colobus.client.Amqp"]


def amqplib(package):
    return lambda: ["env", f"NODE_PATH={envs.node_modules('amqp_js')}", f"AMQPLIB={package}", "node",
                    os.path.join(HERE, "amqp_js", "main.js")]


def redis_java(program):
    return lambda: ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
                    "-cp", envs.java_classpath("8.0.2", "redis_java", "jedis", ["java/src/colobus/client/Scenarios.java"]),
                    f"colobus.client.{program}"]


def redis_node(program, package):
    return lambda: ["env", f"NODE_PATH={envs.node_modules('redis_js')}", f"REDIS={package}", "node",
                    os.path.join(HERE, "redis_js", program)]


KAFKA = {
    "raw": plain("raw.py"),
    "raw-groups": plain("group_raw.py"),
    "raw-offsets": plain("group_raw_offsets.py"),
    "kcat": with_tool("kcat", "kcat.py"),
    "kcat-groups": with_tool("kcat", "group_kcat.py"),
    "kafka-python-2.0.2": in_venv("kafka-python-2.0.2", "kafka_python.py"),
    "kafka-python-2.0.2-groups": in_venv("kafka-python-2.0.2", "group_kafka_python.py"),
    "kafka-python-3.0.12": in_venv("kafka-python-3.0.12", "kafka_python.py"),
    "kafka-python-3.0.12-groups": in_venv("kafka-python-3.0.12", "group_kafka_python.py"),
    "retention": in_venv("kafka-python-3.0.12", "retention.py"),
    "confluent-kafka": in_venv("confluent-kafka", "confluent.py"),
    "confluent-kafka-groups": in_venv("confluent-kafka", "group_confluent.py"),
    "tls": in_venv("kafka-python-3.0.12", "tls.py"),
    "users": plain("users.py"),
    "command-line": in_venv("confluent-kafka", "command_line.py"),
    "java-3.9.1": java("3.9.1"),
    "java-4.1.1": java("4.1.1"),
    "kafka-tools-3.9.1": kafka_tools("3.9.1"),
    "kafka-tools-4.1.1": kafka_tools("4.1.1"),
    "kafka-go-0.4.47": go("v0.4.47.mod"),
    "kafka-go-0.4.50": go("go.mod"),
    "kafkajs-2.2.4": node("main.js"),
}
AMQP = {
    "amqp-raw": plain("amqp_raw.py"),
    "amqp-declaring": plain("amqp_declaring.py"),
    "amqp-routing": plain("amqp_routing.py"),
    "amqp-delivery": plain("amqp_delivery.py"),
    "amqp-limits": plain("amqp_limits.py"),
    "amqp-durable": plain("amqp_durable.py"),
    "amqp-pika-1.2.0": in_venv("pika-1.2.0", "amqp_pika.py"),
    "amqp-pika-1.3.2": in_venv("pika-1.3.2", "amqp_pika.py"),
    "amqp-queues-seen": in_venv("pika-1.3.2", "queues.py"),
    "amqp-topics": in_venv("pika-kafka-python", "amqp_topics.py"),
    "amqp-celery-5.4.0": in_venv("celery", "amqp_celery.py"),
    "amqp-java-5.22.0": rabbitmq_java("5.22.0"),
    "amqp-amqp091-go-1.10.0": lambda: [envs.go_program("go.mod", "amqp_go")],
    "amqp-amqplib-0.10.5": amqplib("amqplib-old"),  # asks for frames of 4096 bytes
    "amqp-amqplib-0.10.9": amqplib("amqplib"),
}
REDIS = {
    "redis-raw": plain("redis_raw.py"),
    "redis-raw-pubsub": plain("redis_raw_pubsub.py"),
    "redis-access": plain("redis_access.py"),
    "redis-across": in_venv("pika-kafka-python", "redis_across.py"),
    "redis-subscriptions-seen": plain("subscriptions.py"),
    "redis-cli": with_tool("redis-cli", "redis_cli.py"),
    "redis-py-4.6.0": in_venv("redis-py-4.6.0", "redis_py.py"),
    "redis-py-8.1.0": in_venv("redis-py-8.1.0", "redis_py.py"),
    "redis-ioredis-5.9.3": redis_node("ioredis.js", "ioredis-old"),
    "redis-ioredis-6.0.0": redis_node("ioredis.js", "ioredis"),
    "redis-node-redis-6.3.1": redis_node("node_redis.js", "redis"),
    "redis-jedis-8.0.2": redis_java("Jedis"),
    "redis-lettuce-7.7.0": redis_java("Lettuce"),
    "redis-go-redis-9.12.1": lambda: [envs.go_program("v9.12.1.mod", "redis_go")],
    # 9.23.0, where the toolchain is one that it wants
    "redis-go-redis-newest": lambda: [envs.go_program("go.mod" if envs.go_version() >= (1, 26) else "v9.12.1.mod", "redis_go")],
}
CLIENTS = {**KAFKA, **AMQP, **REDIS}
WITH_TLS = {"tls", "redis-access", "redis-cli", "redis-py-4.6.0", "redis-py-8.1.0"}


class Target:
    """The broker under test; restarted if a client managed to kill it, which counts as a failure."""

    def __init__(self, options):
        self.options = options
        self.broker = None
        self.failed = 0
        self.passed = 0
        self.with_tls = False  # some client wants it
        self.environment = {}
        self.control = "" if options.bootstrap and not options.control else control.serve(self.act)

    def act(self, verb, settings):
        """A client program asks for a stop, a kill or a start."""
        if self.options.bootstrap:
            control.control_command(self.options.control.split(), verb, settings)
        else:
            control.control_broker(self.broker, verb, settings)

    def add_tls(self, broker):
        """One more listener for each protocol; clients find them and the authority in the environment."""
        directory = os.path.join(broker.work, "tls")
        address, amqp, redis = (f"127.0.0.1:{free_port()}" for _ in range(3))
        plain = broker.settings.get("amqp.listen", broker.amqp_address)
        broker.settings.update({"kafka.listen": f"{broker.bootstrap},tls://{address}", **tls.settings(directory),
                                "amqp.listen": f"tls://{amqp}" if plain == "off" else f"{plain},tls://{amqp}",
                                "redis.listen": f"{broker.redis_address},tls://{redis}"})
        self.environment = {"TLS": address, "TLS_AMQP": amqp, "TLS_REDIS": redis, "TLS_DIR": directory}

    def arguments(self, client):
        """The programs of AMQP and Redis are given the address of that port as --bootstrap."""
        if self.options.bootstrap:
            http = ["--http", self.options.http] if self.options.http else []
            return ["--bootstrap", self.options.bootstrap, "--external"] + http
        if self.broker is None:
            broker = Broker(self.options.binary, shards=self.options.shards, wrap=self.options.wrap,
                            settings={**SETTINGS, **self.options.settings}, env=self.options.broker_env)
            if self.with_tls:
                self.add_tls(broker)
            broker.start()
            self.broker = broker
        address = (self.broker.amqp_address if client in AMQP else self.broker.redis_address if client in REDIS
                   else self.broker.bootstrap)
        return ["--bootstrap", address, "--http", self.broker.http_address,
                "--pid", str(self.broker.pid())]

    def result(self, good, name, details=""):
        for line in details.splitlines():
            print(f"# {line}")
        self.passed += good
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} - {name}", flush=True)

    def check_alive(self, client):
        if self.broker is None or self.broker.alive():
            return
        code = self.broker.process.returncode
        self.result(False, f"broker lives through {client}", f"exit code {code}\n{self.broker.log_tail()}")
        self.broker.close()
        self.broker = None

    def finish(self):
        if self.broker is None:
            return
        try:
            code = self.broker.stop()
            self.result(code == 0, "broker exits 0 on SIGTERM", f"exit code {code}" if code else "")
        except BrokerError as error:
            self.result(False, "broker exits 0 on SIGTERM", str(error))
        complaints = self.broker.complaints()
        self.result(not complaints, "no complaint of a sanitizer or assertion in the log", "\n".join(complaints[:40]))
        self.broker.close()


def run_client(name, command, target):
    """Runs one client program, passing on its TAP lines; True if all its scenarios passed."""
    environment = dict(os.environ, PYTHONPATH=os.path.dirname(HERE), CLIENT=name, PYTHONUNBUFFERED="1",
                       HANDSHAKE_S=str(HANDSHAKE_S), CONTROL=target.control, PYTHONDONTWRITEBYTECODE="1")
    given = target.arguments(name)
    environment.update(target.environment)
    if target.broker:
        # For programs that are given another address.
        environment.update(KAFKA=target.broker.bootstrap, AMQP=target.broker.amqp_address)
    arguments = given + (["--only", target.options.only] if target.options.only else [])
    process = subprocess.Popen(command + arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                               env=environment, start_new_session=True)
    limit = threading.Timer(LIMIT_S, lambda: os.killpg(process.pid, signal.SIGKILL))
    limit.start()
    results = 0
    try:
        for line in process.stdout:
            results += line.startswith(("ok ", "not ok "))
            target.failed += line.startswith("not ok ")
            target.passed += line.startswith("ok ") and "# SKIP" not in line
            print(line, end="", flush=True)
        code = process.wait()
    finally:
        limit.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code not in (0, 1) or not (results or target.options.only):
        target.result(False, f"{name}: the program runs to its end", f"exit code {code}")


def parse():
    parser = argparse.ArgumentParser(prog="./dev client", description=__doc__)
    parser.add_argument("clients", nargs="*", help="names, or beginnings of names; default: all, with --bootstrap those of "
                        "Kafka")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--prepare", action="store_true", help="only install the clients' own dependencies")
    parser.add_argument("--bootstrap", help="test the broker at HOST:PORT instead of starting ours")
    parser.add_argument("--http", help="its management port, HOST:PORT")
    parser.add_argument("--control", help="a command that is given stop, kill or start and does that to it")
    parser.add_argument("--shards", type=int, default=1, help="shards of our broker")
    parser.add_argument("--binary", help="path of colobus; default build/colobus")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting for our broker")
    parser.add_argument("--broker-env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--wrap", default="", help="command put before colobus")
    parser.add_argument("--only", default="", help="only scenarios whose name contains this")
    parser.add_argument("--strict", action="store_true", default=bool(os.environ.get("CI")),
                        help="a client that can't run is a failure (default if CI is set)")
    options = parser.parse_args()
    options.settings = dict(pair.split("=", 1) for pair in options.set)
    options.broker_env = dict(pair.split("=", 1) for pair in options.broker_env)
    options.wrap = options.wrap.split()
    return options


def chosen(names, external):
    if not names:
        return list(KAFKA if external else CLIENTS)
    found = [client for client in CLIENTS if any(client.startswith(name) for name in names)]
    unknown = [name for name in names if not any(client.startswith(name) for client in CLIENTS)]
    if unknown:
        sys.exit(f"no client {', '.join(unknown)}; there are {', '.join(CLIENTS)}")
    return found


def main():
    options = parse()
    if options.list:
        print("\n".join(CLIENTS))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    target = Target(options)
    names = chosen(options.clients, options.bootstrap)
    target.with_tls = not WITH_TLS.isdisjoint(names) and bool(shutil.which("openssl"))
    for name in names:
        try:
            command = CLIENTS[name]()
        except (envs.Missing, subprocess.TimeoutExpired) as reason:
            if options.strict:
                target.result(False, f"{name} can run", str(reason))
            else:
                print(f"ok - {name} # SKIP {reason}", flush=True)
            continue
        if options.prepare:
            target.result(True, f"{name} is prepared")
            continue
        try:
            run_client(name, command, target)
        except BrokerError as error:
            target.result(False, f"broker starts for {name}", str(error))
            break
        target.check_alive(name)
    target.finish()
    print(f"# clients: {target.passed} scenarios passed, {target.failed} failed", flush=True)
    return 1 if target.failed else 0


if __name__ == "__main__":
    sys.exit(main())
