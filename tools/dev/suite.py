#!/usr/bin/env python3
"""`./dev test`: runs everything, counts every test of every program, and ends with the sum.

Programs speak TAP where they can (unit tests of cmocka, client and crash tests); one that does not counts as
one test, passed if it exits 0. A skipped test is a failure here: what can't run hasn't been tested."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIM_SEEDS = range(1, 13)
CORES = os.cpu_count() or 1
SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:abort_on_error=0:exitcode=66",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=66",
    "TSAN_OPTIONS": "halt_on_error=0:exitcode=66:second_deadlock_stack=1:history_size=4",
}
AMQP_IN_BYTES = ["amqp-raw", "amqp-declaring", "amqp-routing", "amqp-delivery", "amqp-limits", "amqp-durable"]
REDIS_IN_BYTES = ["redis-raw", "redis-access", "redis-across"]  # and redis-raw-pubsub
SMALL_FILES = ["--set", "kafka.max-message-bytes=192KiB", "--set", "journal.file-bytes=1MiB",
               "--set", "journal.max-bytes=8MiB", "--set", "segment.bytes=256KiB"]
RESULT = re.compile(r"^(ok|not ok)\b[ \d]*(?:- )?(.*)$")
UNITTEST = re.compile(r"^Ran (\d+) tests? in")


class Tally:
    def __init__(self):
        self.passed = 0
        self.failures = []
        self.running = []
        self.began = time.monotonic()
        self.at_once = CORES

    def count(self, good, name, details=""):
        if good:
            self.passed += 1
            return
        self.failures.append(name)
        for line in details.rstrip().splitlines():
            print(f"    | {line}")
        print(f"  FAILED {name}", flush=True)

    def step(self, name, explanation):
        print(f"\n== {name}: {explanation} [{time.monotonic() - self.began:.0f} s]", flush=True)

    def stop_running(self):
        for process in list(self.running):
            self.stop(process)

    def stop(self, process):
        """Ends a program under way: first asked, so that it can clean up after itself."""
        self.running.remove(process)
        if process.poll() is not None:
            return
        for number, wait in ((signal.SIGTERM, 15), (signal.SIGKILL, 15)):
            try:
                os.killpg(process.pid, number)
                process.wait(wait)
                return
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue

    def start(self, command, output, env=None, cwd=ROOT):
        process = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                   env={**os.environ, **(env or {})}, start_new_session=True)
        self.running.append(process)
        return process

    def end(self, process, output, timeout):
        """(exit code or None after the time limit, output)."""
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        self.stop(process)
        output.seek(0)
        return code, output.read().decode("utf-8", "replace")

    def program(self, name, command, timeout=120, env=None, cwd=ROOT):
        """Runs a test program and counts what it reports; True if all is well."""
        began = time.monotonic()
        with tempfile.TemporaryFile() as output:
            code, text = self.end(self.start(command, output, env, cwd), output, timeout)
        return self.report(name, began, timeout, code, text)

    def side_by_side(self, programs, timeout):
        """[(name, command)]: the same for programs that wait more than they work, all at once."""
        self.several(((name, command, None, ROOT) for name, command in programs), timeout, len(programs))

    def several(self, programs, timeout, at_once=None):
        """(name, command, env, cwd) of programs that don't mind others: so many at a time."""
        under_way = []
        for name, command, env, cwd in programs:
            self.await_some(under_way, (at_once or self.at_once) - 1, timeout)
            output = tempfile.TemporaryFile()
            under_way.append((name, time.monotonic(), self.start(command, output, env, cwd), output))
        self.await_some(under_way, 0, timeout)

    def await_some(self, under_way, left, timeout):
        """Until no more than so many are left; they are reported as they end."""
        while len(under_way) > left:
            for run in list(under_way):
                name, began, process, output = run
                if process.poll() is None and time.monotonic() - began < timeout:
                    continue
                under_way.remove(run)
                with output:
                    self.report(name, began, timeout, *self.end(process, output, 0.1))
            time.sleep(0.02)

    @contextlib.contextmanager
    def beside(self, name, command, timeout):
        """A program that waits more than it works runs while the body runs others, on one core less."""
        began = time.monotonic()
        self.at_once = max(1, self.at_once - 1)
        with tempfile.TemporaryFile() as output:
            process = self.start(command, output)
            yield
            self.report(name, began, timeout, *self.end(process, output, max(0.1, timeout - (time.monotonic() - began))))
        self.at_once = CORES

    def report(self, name, began, timeout, code, output):
        results = tap_results(output) or unittest_results(name, output, code)
        bad = [result for result in results if not result[0]]
        wrong_end = code is None or (code != 0 and not bad)
        if code is None:
            results.append((False, f"{name}: ended by the time limit of {timeout} s"))
        elif wrong_end or not results:
            results.append((code == 0, name if code == 0 else f"{name}: exit code {code}"))
        if bad or wrong_end:
            lines = [line for line in output.rstrip().splitlines() if wrong_end or not line.startswith("ok ")]
            for line in lines[-300:]:
                print(f"    | {line}")
        for good, what in results:
            self.count(good, what)
        good = sum(1 for result in results if result[0])
        print(f"  {name}: {good} passed, {len(results) - good} failed ({time.monotonic() - began:.1f} s)", flush=True)
        return good == len(results)

    def build(self, kind):
        """One test: it builds, without a warning."""
        print(f"  building {kind} ...", flush=True)
        return self.program(f"build {kind}", [os.path.join(ROOT, "dev"), "_build_dir", kind], 1200,
                            {"COLOBUS_WERROR": "1"})

    def finish(self):
        print(f"\n{time.monotonic() - self.began:.0f} s", flush=True)
        for name in self.failures:
            print(f"FAILED {name}")
        print(f"{self.passed} passed, {len(self.failures)} failed", flush=True)
        return 1 if self.failures else 0


def tap_results(output):
    """[(good, name)] of the TAP lines; a skip is a failure."""
    results = []
    for line in output.splitlines():
        found = RESULT.match(line)
        if found:
            skipped = "# SKIP" in line
            results.append((found.group(1) == "ok" and not skipped, found.group(2) or "unnamed"))
    return results


def unittest_results(name, output, code):
    """One passed result for each test that Python's unittest ran; failures are told by the exit code."""
    for line in output.splitlines():
        found = UNITTEST.match(line)
        if found and code == 0:
            return [(True, f"{name} {i}") for i in range(int(found.group(1)))]
    return []


def executables(directory):
    """{name: path} of what Meson builds there, and the unit tests as [(name, command, environment)]."""
    def introspect(what):
        output = subprocess.run(["meson", "introspect", what, os.path.join(ROOT, directory)], check=True,
                                stdout=subprocess.PIPE).stdout
        return json.loads(output)
    programs = {target["name"]: target["filename"][0] for target in introspect("--targets")
                if target["type"] == "executable"}
    tests = [(test["name"], test["cmd"], test["env"]) for test in introspect("--tests")]
    return programs, tests


def unit_tests(tally, directory, env=None, wrap=()):
    _, tests = executables(directory)
    if not tests:
        tally.count(False, f"{directory}: no unit tests were built")
    tally.several(((f"{directory}: {name}", [*wrap, *command], {"CMOCKA_MESSAGE_OUTPUT": "TAP", **own, **(env or {})},
                    os.path.join(ROOT, directory))  # as Meson does
                   for name, command, own in tests), 240)


def fuzz_targets(directory):
    """{target: (program, folder of seeds)}"""
    programs, _ = executables(directory)
    seeds = os.path.join(ROOT, "test", "fuzz", "seeds")
    found = {}
    for name, path in programs.items():
        if f"{os.sep}fuzz{os.sep}" in path:
            target = re.sub(r"^fuzz_|_fuzz$|^fuzz-|-fuzz$", "", name)
            found[target] = (path, os.path.join(seeds, target))
    return found


def replay_corpus(tally, directory):
    targets = fuzz_targets(directory)
    if not targets:
        tally.count(False, f"{directory}: no fuzz targets were built")
    runs = []
    for target, (program, seeds) in sorted(targets.items()):
        folders = [seeds] if os.path.isdir(seeds) else []
        tally.count(bool(folders), f"seeds of fuzz target {target}")
        runs.append((f"{directory}: corpus of {target}", [program, "-runs=0", "-rss_limit_mb=2048", *folders],
                     SANITIZER_ENV, ROOT))
    tally.several(runs, 180)


def sim_seeds(tally, directory, seeds=SIM_SEEDS):
    programs, _ = executables(directory)
    runs = []
    for name in ("sim", "queue-sim"):
        if name not in programs:
            tally.count(False, f"{directory}: the simulation `{name}` was not built")
            continue
        runs += [(f"{directory}: {name} {seed}", [programs[name], str(seed)], SANITIZER_ENV, ROOT) for seed in seeds]
    tally.several(runs, 300)


def python(*arguments):
    return [sys.executable, *arguments]


def client_run(*arguments):
    return python("test/client/run.py", "--strict", *arguments)


def broker_env():
    return [f"--broker-env={name}={value}" for name, value in SANITIZER_ENV.items()]


def without_aslr():
    """ThreadSanitizer of GCC 12 does not start where the kernel spreads mappings too far."""
    return ["setarch", os.uname().machine, "-R"] if shutil.which("setarch") else []


def step_tidy(tally):
    tally.program("tests of tidy", python("tools/tidy_test.py"))
    tally.program("tests of the crash ledger", python("-m", "unittest", "discover", "-s", "test/crash", "-p", "*_test.py"))
    for name in sorted(os.listdir(os.path.join(ROOT, "tools"))):
        if name.endswith("_test.py") and name != "tidy_test.py":
            tally.program(f"tests of {name}", python(f"tools/{name}"))
    tally.program("rules of the house", python("tools/tidy.py"))
    tally.program("formatting", [os.path.join(ROOT, "dev"), "fmt", "--check"])


def step_unit(tally):
    if tally.build("release"):
        unit_tests(tally, "build")


def step_clang(tally):
    tally.build("clang")


def step_asan(tally):
    if not tally.build("asan"):
        return
    clients = client_run("raw", "kcat", "confluent", "tls", *AMQP_IN_BYTES, *REDIS_IN_BYTES, "--binary", "build-asan/colobus",
                         "--shards", "3", *broker_env())
    with tally.beside("clients, AddressSanitizer", clients, 900):
        unit_tests(tally, "build-asan", SANITIZER_ENV)
        replay_corpus(tally, "build-asan")
        sim_seeds(tally, "build-asan")


def step_tsan(tally):
    if not tally.build("tsan"):
        return
    clients = client_run("raw", "confluent", "tls", *AMQP_IN_BYTES, *REDIS_IN_BYTES, "--binary", "build-tsan/colobus",
                         "--shards", "3", f"--wrap={' '.join(without_aslr())}", *broker_env())
    with tally.beside("clients, ThreadSanitizer", clients, 900):
        unit_tests(tally, "build-tsan", SANITIZER_ENV, without_aslr())


def step_clients(tally):
    """Both at once: most of the time clients wait for sessions to end, and brokers to come back. What they need is
    fetched and built before, so that they don't do it both."""
    tally.program("clients, prepared", client_run("--prepare"), 1500)
    tally.side_by_side([(f"clients, shards={n}", client_run("--shards", n)) for n in ("1", "3")], 1500)


def step_crash(tally):
    crash = lambda *arguments: python("test/crash/run.py", *arguments, "--strict")
    tally.program("kill -9, 1 shard", crash("kill", "--rounds", "10", "--shards", "1"), 400)
    tally.program("kill -9, durability=os", crash("kill", "--rounds", "10", "--shards", "2", "--set", "durability=os"), 400)
    # Small files, so that journals are recycled and segments closed all the time.
    tally.side_by_side([(f"kill -9, small files, shards={shards}",
                         crash("kill", "--rounds", "20", "--shards", shards, *SMALL_FILES)) for shards in ("1", "3")], 600)
    tally.side_by_side([(f"kill -9, queues, shards={shards}",
                         crash("queues", "--rounds", "4", "--shards", shards)) for shards in ("1", "3")], 400)
    tally.program("order of system calls", crash("trace", "--shards", "3"), 300)
    for shards in ("1", "3"):
        tally.program(f"full disk, shards={shards}", crash("full", "--shards", shards), 300)
    tally.program("many partitions", crash("many", "--shards", "3"), 300)


STEPS = {
    "tidy": (step_tidy, "rules of the house, formatting, and the tests of the tests"),
    "unit": (step_unit, "GCC -Werror release build and unit tests"),
    "clang": (step_clang, "Clang -Werror build"),
    "asan": (step_asan, "Address- and UndefinedBehaviorSanitizer: unit tests, fuzz corpus, simulation, clients"),
    "tsan": (step_tsan, "ThreadSanitizer: unit tests, clients on three shards"),
    "clients": (step_clients, "real clients against one shard and three"),
    "crash": (step_crash, "kill -9, order of syncs and acknowledgements, full disk, many partitions"),
}


def run_fuzz(arguments):
    targets = fuzz_targets("build-asan")
    if not arguments or arguments[0] not in targets:
        print("fuzz targets: " + (" ".join(sorted(targets)) or "none"))
        return 0 if not arguments else 2
    program, seeds = targets[arguments[0]]
    found = os.path.join(ROOT, ".cache", "fuzz", arguments[0])
    os.makedirs(found, exist_ok=True)
    seconds = arguments[1] if len(arguments) > 1 else "60"
    os.environ.update(SANITIZER_ENV)
    command = [program, f"-max_total_time={seconds}", f"-artifact_prefix={found}/", found]
    return subprocess.run(command + ([seeds] if os.path.isdir(seeds) else []), check=False).returncode


def run_sim(tally, arguments):
    sim_seeds(tally, "build", arguments or SIM_SEEDS)
    return tally.finish()


def run_programs(tally, directory):
    """Unit tests and simulation of one build directory, for the coverage."""
    unit_tests(tally, directory)
    sim_seeds(tally, directory)
    return tally.finish()


def main(arguments):
    if arguments[:1] == ["--list"]:
        for name, (_, explanation) in STEPS.items():
            print(f"{name:8} {explanation}")
        return 0
    tally = Tally()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if arguments[:1] == ["--fuzz"]:
            return run_fuzz(arguments[1:])
        if arguments[:1] == ["--sim"]:
            return run_sim(tally, arguments[1:])
        if arguments[:1] == ["--only-programs"]:
            return run_programs(tally, arguments[1])
        unknown = [name for name in arguments if name not in STEPS]
        if unknown:
            print(f"no step {', '.join(unknown)}; there are {', '.join(STEPS)}", file=sys.stderr)
            return 2
        for name in arguments or STEPS:
            step, explanation = STEPS[name]
            tally.step(name, explanation)
            step(tally)
        return tally.finish()
    finally:
        tally.stop_running()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
