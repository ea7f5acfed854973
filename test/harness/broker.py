"""Starts, stops and kills a real `colobus serve` for tests, on loopback ports of its own."""

import atexit
import http.client
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
READY = "colobus ready"

# Words that must never stand in a broker's log: each means memory was misused, whatever the tests say.
SANITIZER = re.compile(r"ThreadSanitizer|AddressSanitizer|LeakSanitizer|runtime error:|Assertion|assertion failed", re.I)


class BrokerError(Exception):
    """The broker did not do what the contract of the program says."""


def free_port():
    """A port nobody listens on, below the range the kernel gives to outgoing connections: there a client that
    reconnects to a dead broker can't take the broker's own port."""
    for _ in range(200):
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise BrokerError("no free port between 20000 and 32000")


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return int(stat.read().rsplit(")", 1)[1].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


class Broker:
    """One broker process at a time on one data directory. Use as a context manager: leaving kills it and
    removes the directory if it was made here."""

    def __init__(self, binary=None, data_dir=None, shards=1, settings=None, wrap=(), env=None):
        self.binary = os.path.abspath(binary or os.path.join(ROOT, "build", "colobus"))
        self.work = tempfile.mkdtemp(prefix="colobus-test-")
        self.data_dir = data_dir or os.path.join(self.work, "data")
        self.kafka_port, self.amqp_port, self.redis_port, self.http_port = (free_port() for _ in range(4))
        self.settings = {"shards": str(shards)}
        self.settings.update(settings or {})
        self.wrap = list(wrap)
        self.env = env
        self.log_path = os.path.join(self.work, "log")
        self.process = None
        self.ready = threading.Event()
        self.stdout_lines = []
        atexit.register(self.close)

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.kafka_port}"

    @property
    def amqp_address(self):
        return f"127.0.0.1:{self.amqp_port}"

    @property
    def redis_address(self):
        return f"127.0.0.1:{self.redis_port}"

    @property
    def http_address(self):
        return f"127.0.0.1:{self.http_port}"

    def command(self):
        settings = {"kafka.listen": self.bootstrap, "amqp.listen": self.amqp_address, "redis.listen": self.redis_address,
                    "http.listen": self.http_address, **self.settings}
        command = [self.binary, "serve", "--data-dir", self.data_dir]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        # The broker must not outlive a test that is killed; setpriv execs, so the pid stays the broker's.
        guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        return guard + self.wrap + command

    def spawn(self):
        """Starts the process without waiting for it."""
        if not os.access(self.binary, os.X_OK):
            raise BrokerError(f"{self.binary} is not there; build it first")
        self.ready.clear()
        log = open(self.log_path, "ab")
        environment = dict(os.environ, **(self.env or {}))
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=log, env=environment, start_new_session=True)
        log.close()
        threading.Thread(target=self._read_stdout, args=(self.process,), daemon=True).start()

    def _read_stdout(self, process):
        for line in process.stdout:
            text = line.decode("utf-8", "replace").rstrip("\n")
            self.stdout_lines.append(text)
            if text == READY and process is self.process:
                self.ready.set()

    def start(self, timeout=30.0):
        """Starts and waits for the ready line; returns the seconds it took."""
        began = time.monotonic()
        self.spawn()
        while not self.ready.wait(0.005):
            if self.process.poll() is not None:
                raise BrokerError(f"broker exited with {self.process.returncode} before it was ready\n{self.log_tail()}")
            if time.monotonic() - began > timeout:
                self.kill9()
                raise BrokerError(f"no ready line in {timeout} s\n{self.log_tail()}")
        return time.monotonic() - began

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def pid(self):
        """The broker's own pid, also under strace (other wrappers are expected to exec)."""
        if self.wrap[:1] == ["strace"]:
            for entry in filter(str.isdigit, os.listdir("/proc")):
                if parent_of(entry) == self.process.pid:
                    return int(entry)
        return self.process.pid

    def kill9(self):
        """SIGKILL, and waits until the process is gone."""
        if self.process is None:
            return
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(30)

    def stop(self, timeout=30.0):
        """SIGTERM; returns the exit code."""
        if not self.alive():
            raise BrokerError(f"is not running\n{self.log_tail()}")
        os.kill(self.pid(), signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise BrokerError(f"still running {timeout} s after SIGTERM\n{self.log_tail()}") from None

    def close(self):
        self.kill9()
        shutil.rmtree(self.work, ignore_errors=True)
        atexit.unregister(self.close)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def log_text(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def log_tail(self, lines=30):
        return "\n".join("    | " + line for line in self.log_text().splitlines()[-lines:])

    def complaints(self):
        """Lines of the log in which a sanitizer or an assertion spoke."""
        return [line for line in self.log_text().splitlines() if SANITIZER.search(line)]

    def http_get(self, path, timeout=5.0):
        return http_get(self.http_address, path, timeout)


def http_get(address, path, timeout=5.0):
    """(status, body text) of a GET on the management port."""
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def rss_bytes(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
