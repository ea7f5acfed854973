"""RabbitMQ as the broker to compare with: a node of its own in a scratch folder, on loopback ports, started and stopped like
ours."""

import os
import shutil
import signal
import subprocess
import threading
import time

from harness.broker import BrokerError, free_port, parent_of

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # Debian's; the one in /usr/sbin wants to be root and become another user
STARTED = "Starting broker... completed"


def version(server):
    """By the folder of the server's libraries: .../rabbitmq_server-3.10.8."""
    home = os.path.dirname(os.path.dirname(os.path.realpath(server)))
    for folder in (os.path.join(home, "lib"), os.path.dirname(home)):
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if name.startswith("rabbitmq_server-"):
                return name.removeprefix("rabbitmq_server-")
    return "?"


class RabbitMQ:
    """One node at a time on one data directory; the same face as harness.broker.Broker as far as the comparison needs it."""

    def __init__(self, server, data_dir, settings=None, wrap=()):
        self.server, self.data_dir, self.wrap = server, data_dir, list(wrap)
        self.amqp_port, self.mapper_port = free_port(), free_port()
        self.process = self.mapper = self.beam = None
        self.lines, self.started = [], threading.Event()
        os.makedirs(data_dir, exist_ok=True)
        self._write("rabbitmq.conf", "".join(f"{key} = {value}\n" for key, value in (settings or {}).items()))
        self._write("enabled_plugins", "[].\n")
        self._write("rabbitmq-env.conf", "")

    def _write(self, name, text):
        with open(os.path.join(self.data_dir, name), "w", encoding="utf-8") as file:
            file.write(text)

    def _environment(self):
        inside = {name: os.path.join(self.data_dir, path) for name, path in {
            "HOME": "", "RABBITMQ_MNESIA_BASE": "db", "RABBITMQ_LOG_BASE": "log", "RABBITMQ_PID_FILE": "pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "enabled_plugins", "RABBITMQ_CONFIG_FILE": "rabbitmq",
            "RABBITMQ_CONF_ENV_FILE": "rabbitmq-env.conf"}.items()}
        return {**os.environ, **inside, "RABBITMQ_NODENAME": f"bench{self.amqp_port}@localhost",
                "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_NODE_PORT": str(self.amqp_port),
                "RABBITMQ_DIST_PORT": str(free_port()), "ERL_EPMD_PORT": str(self.mapper_port),
                "ERL_EPMD_ADDRESS": "127.0.0.1",
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}"}

    def spawn(self):
        guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        if self.mapper is None:  # Erlang's port mapper, which would else be started as a daemon and stay
            self.mapper = subprocess.Popen([*guard, "epmd", "-port", str(self.mapper_port), "-address", "127.0.0.1"],
                                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.started.clear()
        self.beam = None
        self.process = subprocess.Popen([*guard, *self.wrap, self.server], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env=self._environment(), start_new_session=True)
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def _read(self, process):
        for line in process.stdout:
            text = line.decode("utf-8", "replace").rstrip()
            self.lines.append(text)
            if STARTED in text and process is self.process:
                self.started.set()

    def start(self, timeout=900.0):
        """Starts and waits until it says that it has started; returns the seconds it took."""
        began = time.monotonic()
        self.spawn()
        while not self.started.wait(0.005):
            if self.process.poll() is not None or time.monotonic() - began > timeout:
                self.kill9()
                raise BrokerError("RabbitMQ did not start:\n" + "\n".join(self.lines[-30:]))
        took = time.monotonic() - began
        self.beam = self._find_beam()
        return took

    def _find_beam(self):
        """The Erlang machine: below the shell script that started it."""
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/comm", encoding="utf-8") as file:
                    name = file.read().strip()
            except OSError:
                continue
            above = entry
            while name == "beam.smp" and above not in (None, 0, 1):
                if int(above) == self.process.pid:
                    return int(entry)
                above = parent_of(above)
        raise BrokerError("RabbitMQ runs, but its beam.smp was not found")

    def pid(self):
        return self.beam

    def kill9(self):
        self._end(signal.SIGKILL)

    def stop(self, timeout=600.0):
        self._end(signal.SIGTERM, timeout)

    def _end(self, number, timeout=30.0):
        if self.process is None:
            return
        try:
            if self.beam is not None:
                os.kill(self.beam, number)
                self.process.wait(timeout)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # the script, and what the machine forked
        except ProcessLookupError:
            pass
        self.process.wait(30)

    def close(self):
        self.kill9()
        if self.mapper is not None:
            self.mapper.kill()
            self.mapper.wait(30)
