"""Redis as the broker to compare with: one process in a scratch folder, on a loopback port, started and stopped like ours."""

import os
import re
import shutil
import subprocess
import threading
import time

from harness.broker import BrokerError, free_port

# Debian's, from redis-tools: the package redis-server adds a link to this program and a service that would be started.
SERVER = "/usr/bin/redis-check-rdb"
READY = "Ready to accept connections"
SETTINGS = {"save": "", "appendonly": "no"}  # nothing on the disk; everything else is its default


def linked(server, folder):
    """The program asks for its own name to know whether it is the server."""
    path = os.path.join(folder, "redis-server")
    if not os.path.lexists(path):
        os.symlink(os.path.realpath(server), path)
    return path


def version(server, folder):
    if not os.access(server, os.X_OK):
        return "?"
    told = subprocess.run([linked(server, folder), "--version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          check=False)
    found = re.search(r"v=(\S+)", told.stdout)
    return found.group(1) if found else "?"


class RedisServer:
    """The same face as harness.broker.Broker as far as the comparison needs it."""

    def __init__(self, server, data_dir, settings=None, wrap=()):
        self.server, self.data_dir, self.wrap = server, data_dir, list(wrap)
        self.settings = {**SETTINGS, **(settings or {})}
        self.port = free_port()
        self.process = None
        self.lines, self.ready = [], threading.Event()
        os.makedirs(data_dir, exist_ok=True)

    def command(self):
        guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        command = [*guard, *self.wrap, linked(self.server, self.data_dir), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.data_dir]
        for name, value in self.settings.items():
            command += ["--" + name, value]
        return command

    def _read(self, process):
        for line in process.stdout:
            text = line.decode("utf-8", "replace").rstrip()
            self.lines.append(text)
            if READY in text:
                self.ready.set()

    def start(self, timeout=30.0):
        """Starts and waits until it says that it is ready; returns the seconds it took."""
        began = time.monotonic()
        self.ready.clear()
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        while not self.ready.wait(0.005):
            if self.process.poll() is not None or time.monotonic() - began > timeout:
                self.kill9()
                raise BrokerError("Redis did not start:\n" + "\n".join(self.lines[-30:]))
        return time.monotonic() - began

    def pid(self):
        return self.process.pid

    def complaints(self):
        """What it says about clients that it gave up."""
        return [line for line in self.lines if "overcoming of output buffer limits" in line]

    def kill9(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)

    close = kill9
