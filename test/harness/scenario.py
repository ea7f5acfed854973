"""Scenarios: functions with a name and a time limit, reported as TAP lines on standard output."""

import argparse
import contextlib
import faulthandler
import os
import random
import signal
import string
import sys
import time
import traceback

from harness import wire

SCENARIOS = []


class Skip(Exception):
    """Raised by a scenario that can't run here; the text is the reason."""


class Context:
    """What a scenario gets: where the broker is, and names nobody else uses."""

    def __init__(self, bootstrap, http, external, pid):
        self.bootstrap = bootstrap
        self.http = http          # "host:port" of the management port, or None
        self.external = external  # the broker is not one of ours: only what all brokers must do
        self.pid = pid            # of the broker; None: its memory can't be watched
        self.run = "".join(random.choices(string.ascii_lowercase, k=6))
        self.count = 0

    def name(self, stem="t"):
        self.count += 1
        return f"{stem}-{self.run}-{self.count}"

    def topic(self, partitions=1, stem="t", **configs):
        """Makes a topic; config keys are written with _ for the dots."""
        name = self.name(stem)
        with wire.Connection(self.bootstrap) as conn:
            conn.create_topic(name, partitions, {k.replace("_", "."): str(v) for k, v in configs.items()})
        return name

    @contextlib.contextmanager
    def memory_bound(self, megabytes):
        """What happens inside must not make the broker's peak of resident memory grow by more."""
        before = peak_rss_mb(self.pid)
        yield
        grown = peak_rss_mb(self.pid) - before
        true(grown <= megabytes, f"peak memory grew by {grown:.0f} MB, at most {megabytes} were allowed")

    def connect(self, timeout=10.0):
        return wire.Connection(self.bootstrap, timeout=timeout)


def peak_rss_mb(pid):
    if pid is None:
        return 0
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def scenario(name, timeout=30):
    def register(function):
        SCENARIOS.append((name, function, timeout))
        return function
    return register


def equal(got, wanted, what="value"):
    if got != wanted:
        raise AssertionError(f"{what}: got {shorten(got)}, wanted {shorten(wanted)}")


def true(condition, what):
    if not condition:
        raise AssertionError(what)


def shorten(value, limit=300):
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + f"... ({len(text)} characters)"


def raises(kind, function, *args, **kwargs):
    """Calls the function and returns the exception of that kind; anything else is a failure."""
    try:
        function(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{kind} was not raised")


def eventually(condition, timeout, what):
    """Waits until condition() is true; returns its value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.02)


def on_alarm(_signal, _frame):
    raise TimeoutError("time limit of the scenario")


def run_one(number, name, function, timeout, context):
    began = time.monotonic()
    # The alarm can't interrupt a library that never returns to Python; the second limit ends the program.
    faulthandler.dump_traceback_later(timeout + 20, exit=True)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    try:
        function(context)
        ending = f"ok {number} - {name}"
    except Skip as reason:
        ending = f"ok {number} - {name} # SKIP {reason}"
    except Exception:  # a failed scenario must not hide the next ones
        signal.setitimer(signal.ITIMER_REAL, 0)
        for line in traceback.format_exc().rstrip().splitlines():
            print(f"# {line}")
        ending = f"not ok {number} - {name}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
    print(f"{ending} ({time.monotonic() - began:.1f} s)" if "# SKIP" not in ending else ending, flush=True)
    return ending.startswith("ok")


def main(prefix):
    """Runs the registered scenarios of a client program; exits 1 if one failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True, help="HOST:PORT of the broker")
    parser.add_argument("--http", help="HOST:PORT of the management port")
    parser.add_argument("--pid", type=int, help="process id of the broker, to watch its memory")
    parser.add_argument("--external", action="store_true", help="the broker is another program")
    parser.add_argument("--only", default="", help="scenarios whose name contains this")
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    context = Context(options.bootstrap, options.http, options.external, options.pid)
    failed = 0
    chosen = [s for s in SCENARIOS if options.only in s[0]]
    for number, (name, function, timeout) in enumerate(chosen, 1):
        failed += not run_one(number, f"{prefix}: {name}", function, timeout, context)
    print(f"1..{len(chosen)}", flush=True)
    # Client libraries may hang in their own exit handlers; nothing of ours is left to do.
    os._exit(1 if failed else 0)
