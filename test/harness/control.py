"""Lets a client program stop, kill and start the broker it tests: run.py serves the requests, Control makes them."""

import contextlib
import os
import socket
import subprocess
import threading

from harness.scenario import Skip

# Settings that a scenario may give to start(): in our words, and in Apache Kafka's.
SETTINGS = {"group_delay_ms": ("kafka.group-initial-rebalance-delay={}ms", "group.initial.rebalance.delay.ms={}"),
            "anonymous": ("auth.anonymous={}", "")}


class Control:
    """The client's end. The server's address stands in the environment, so that programs need no option for it."""

    def __init__(self):
        self.address = os.environ.get("CONTROL", "")
        if not self.address:
            raise Skip("nobody here can restart the broker")

    def ask(self, *words, timeout=90):
        host, port = self.address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=timeout) as sock:
            sock.sendall(" ".join(words).encode() + b"\n")
            answer = b""
            while part := sock.recv(65536):
                answer += part
        if answer != b"ok":
            raise AssertionError(f"broker could not {words[0]}: {answer.decode()}")

    def stop(self):
        """SIGTERM; it must exit with 0."""
        self.ask("stop")

    def kill(self):
        """SIGKILL."""
        self.ask("kill")

    def start(self, **settings):
        """Starts it on the same port and data, and waits until it is ready. What was set before is forgotten."""
        self.ask("start", *(f"{key}={value}" for key, value in settings.items()))

    @contextlib.contextmanager
    def restarted(self, **settings):
        """Restarted with the settings for the time of the block."""
        self.stop()
        self.start(**settings)
        try:
            yield
        finally:
            self.stop()
            self.start()


def serve(act):
    """Calls act(verb, {key: value}) for each request, on a thread of its own; returns the address. The thread never
    ends: a broker that it started dies with it (PR_SET_PDEATHSIG)."""
    listener = socket.create_server(("127.0.0.1", 0))

    def loop():
        while True:
            sock, _ = listener.accept()
            with contextlib.suppress(OSError), sock:
                verb, *pairs = sock.makefile().readline().split()
                try:
                    act(verb, dict(pair.split("=", 1) for pair in pairs))
                    sock.sendall(b"ok")
                except Exception as error:  # the client reports it
                    sock.sendall(str(error).encode() or b"failed")
    threading.Thread(target=loop, daemon=True).start()
    host, port = listener.getsockname()
    return f"{host}:{port}"


def control_broker(broker, verb, settings):
    """act() for a broker of ours."""
    usual = vars(broker).setdefault("usual_settings", dict(broker.settings))
    if verb == "start":
        given = (SETTINGS[key][0].format(value) for key, value in settings.items())
        broker.settings = {**usual, **dict(pair.split("=", 1) for pair in given)}
        broker.start()
    elif verb == "kill":
        broker.kill9()
    elif code := broker.stop():
        raise AssertionError(f"exit code {code}")


def control_command(command, verb, settings):
    """act() for another broker: runs COMMAND stop, COMMAND kill or COMMAND start [PROPERTY=VALUE...]."""
    given = [SETTINGS[key][1].format(value) for key, value in settings.items()]
    subprocess.run([*command, verb, *given], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=80)
