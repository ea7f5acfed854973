"""Celery with workers of its own: results, retries, countdowns, priorities, growing and shrinking pools, lost workers."""

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from harness.scenario import equal, eventually, main, raises, scenario, true

HERE = os.path.dirname(os.path.abspath(__file__))
WORK = tempfile.mkdtemp(prefix="colobus-celery-")
atexit.register(shutil.rmtree, WORK, True)
LIMIT_S = 60


class Files:
    """What tasks noted, in the order in which they began."""

    def __init__(self, name):
        self.path = os.path.join(WORK, name)
        self.marker = self.path + ".go"

    def lines(self):
        with contextlib.suppress(FileNotFoundError), open(self.path, encoding="utf-8") as file:
            return [(line.split()[0], float(line.split()[1])) for line in file]
        return []

    def names(self):
        return [name for name, _ in self.lines()]

    def go(self):
        with open(self.marker, "w", encoding="utf-8"):
            pass


def application(ctx, queue):
    """The tasks' module, bound to the broker under test and this queue."""
    os.environ["CELERY_BROKER"] = f"amqp://guest:guest@{ctx.bootstrap}//"
    os.environ["CELERY_QUEUE"] = queue
    sys.modules.pop("amqp_celery_app", None)
    import amqp_celery_app  # reads the environment
    return amqp_celery_app


def celery(*arguments, **environment):
    guard = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
    with open(os.path.join(WORK, "worker.log"), "ab") as log:
        return subprocess.Popen([*guard, sys.executable, "-m", "celery", "-A", "amqp_celery_app", "worker", "--loglevel", "INFO",
                                 *arguments], cwd=HERE, env=dict(os.environ, C_FORCE_ROOT="1", **environment),
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


@contextlib.contextmanager
def worker(ctx, *arguments, **environment):
    """(tasks' module, process of a worker that is ready)"""
    tasks = application(ctx, ctx.name("celery"))
    process = celery("--hostname", ctx.name("w") + "@here", "--without-mingle", *arguments, **environment)
    try:
        equal(tasks.add.delay(2, 2).get(timeout=25), 4, "first task")
        yield tasks, process
    except BaseException:
        with open(os.path.join(WORK, "worker.log"), encoding="utf-8", errors="replace") as log:
            print("".join("# | " + line for line in log.readlines()[-25:]), end="")
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@scenario("results, retries and failures come back", LIMIT_S)
def results(ctx):
    with worker(ctx, "--pool", "threads", "--concurrency", "4") as (tasks, _):
        equal([result.get(timeout=10) for result in [tasks.add.delay(i, i) for i in range(10)]], [i * 2 for i in range(10)], "sums")
        files = Files(ctx.name())
        equal(tasks.fails_twice.delay(files.path).get(timeout=15), 2, "retries of one that works at last")
        equal(files.names(), ["attempt-0", "attempt-1", "attempt-2"], "attempts")
        times = [when for _, when in files.lines()]
        true(all(later - sooner >= 0.2 for sooner, later in zip(times, times[1:])), f"retried too soon: {times}")
        files = Files(ctx.name())
        raises(ValueError, tasks.always_fails.delay(files.path).get, timeout=15)
        equal(files.names(), ["attempt-0", "attempt-1", "attempt-2"], "attempts of one that never works")


@scenario("countdowns come in time, and more of them than the prefetch hold back nobody", LIMIT_S)
def countdowns(ctx):
    with worker(ctx, "--pool", "threads", "--concurrency", "1", CELERY_PREFETCH="2") as (tasks, _):
        files = Files(ctx.name())
        began = time.time()
        for i in range(12):
            tasks.note.apply_async((files.path, f"eta-{i}"), countdown=3)
        time.sleep(0.3)
        equal(tasks.add.apply_async((1, 2)).get(timeout=2.5), 3, "a task at once, behind 12 that wait")
        eventually(lambda: len(files.lines()) == 12, 10, "12 tasks with a countdown")
        true(all(when - began >= 2.9 for _, when in files.lines()), "one ran too soon")
        equal([tasks.add.delay(i, 1).get(timeout=5) for i in range(10)], list(range(1, 11)), "sums after that")


@scenario("the limit is lowered again after countdowns: two workers share what comes later", LIMIT_S)
def lowered(ctx):
    with worker(ctx, "--pool", "threads", "--concurrency", "1", CELERY_PREFETCH="1", CELERY_ACKS_LATE="1") as (tasks, _):
        files = Files(ctx.name())
        for i in range(8):
            tasks.note.apply_async((files.path, f"eta-{i}"), countdown=1)
        eventually(lambda: len(files.lines()) == 8, 10, "8 tasks with a countdown")
        time.sleep(0.3)
        hold = Files(ctx.name())
        tasks.waits_for.delay(hold.path, hold.marker)
        eventually(lambda: hold.names(), 5, "the worker is busy")
        for i in range(6):
            tasks.note.delay(files.path, f"later-{i}")
        time.sleep(0.5)
        with tasks.app.connection_for_write() as connection:
            left = connection.default_channel.queue_declare(os.environ["CELERY_QUEUE"], passive=True).message_count
        hold.go()
        true(left >= 5, f"the busy worker holds {6 - left} of 6 tasks although its prefetch is 1")
        eventually(lambda: len(files.lines()) == 14, 10, "all tasks")


@scenario("priorities: the urgent ones first", LIMIT_S)
def priorities(ctx):
    with worker(ctx, "--pool", "threads", "--concurrency", "1", CELERY_PREFETCH="1", CELERY_ACKS_LATE="1") as (tasks, _):
        hold, files = Files(ctx.name()), Files(ctx.name())
        tasks.waits_for.delay(hold.path, hold.marker)
        eventually(lambda: hold.names(), 5, "the worker is busy")
        for priority in (1, 9, 5, 0, 7):
            tasks.note.apply_async((files.path, f"p{priority}"), priority=priority)
        time.sleep(0.2)
        hold.go()
        eventually(lambda: len(files.lines()) == 5, 10, "five tasks")
        equal(files.names(), ["p9", "p7", "p5", "p1", "p0"], "order")


@scenario("remote control: ping, pools that grow and shrink, and autoscale", LIMIT_S)
def control(ctx):
    with worker(ctx, "--autoscale", "4,1", CELERY_PREFETCH="1") as (tasks, _):
        equal(len(tasks.app.control.inspect(timeout=3, limit=1).ping() or {}), 1, "workers that answer")
        files = Files(ctx.name())
        sent = [tasks.note.delay(files.path, f"n{i}", 0.4) for i in range(12)]
        equal([result.get(timeout=20) for result in sent], [f"n{i}" for i in range(12)], "results")
        queues = tasks.app.control.inspect(timeout=3, limit=1).active_queues()
        equal([queue["name"] for found in queues.values() for queue in found], [os.environ["CELERY_QUEUE"]], "queues")
        stats = tasks.app.control.inspect(timeout=3, limit=1).stats()
        true(all(found["prefetch_count"] >= 1 for found in stats.values()), f"prefetch of {stats}")


@scenario("what a killed worker held is done by the next one", LIMIT_S)
def killed(ctx):
    with worker(ctx, "--pool", "threads", "--concurrency", "1", CELERY_PREFETCH="1", CELERY_ACKS_LATE="1") as (tasks, process):
        hold, files = Files(ctx.name()), Files(ctx.name())
        tasks.waits_for.delay(hold.path, hold.marker)
        sent = [tasks.note.delay(files.path, f"n{i}") for i in range(3)]
        eventually(lambda: len(hold.names()) == 1, 5, "the worker is busy")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        hold.go()
        other = celery("--hostname", ctx.name("w") + "@here", "--pool", "threads", "--concurrency", "1", CELERY_PREFETCH="1",
                       CELERY_ACKS_LATE="1")
        try:
            equal([result.get(timeout=25) for result in sent], ["n0", "n1", "n2"], "results")
            equal(len(hold.names()), 2, "times the task that was held was begun")
        finally:
            os.killpg(other.pid, signal.SIGTERM)
            equal(other.wait(15), 0, "exit code of a worker that is asked to end")


if __name__ == "__main__":
    main(os.environ.get("CLIENT", "amqp-celery"))
