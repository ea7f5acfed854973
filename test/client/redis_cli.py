"""redis-cli and redis-benchmark, Debian's: at a prompt, in pipes, as subscribers."""

import contextlib
import os
import queue
import subprocess
import threading

from harness.scenario import Skip, equal, eventually, main, scenario, true
from harness.tls import Authority
from redis_users import a_user
from redis_wire import command, message, server, told


def words(ctx, *arguments, program="redis-cli"):
    host, port = ctx.bootstrap.rsplit(":", 1)
    return [program, "-h", host, "-p", port, *arguments]


def cli(ctx, *arguments, given=b"", code=0, program="redis-cli"):
    """Standard output of a run."""
    done = subprocess.run(words(ctx, *arguments, program=program), input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20,
                          check=False)
    equal(done.returncode, code, f"exit code of {arguments}: {done.stdout + done.stderr}")
    return done.stdout + (done.stderr if code else b"")


@contextlib.contextmanager
def running(ctx, *arguments):
    """A redis-cli that prints what it hears: yields a function that gives the next line."""
    process = subprocess.Popen(words(ctx, *arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    lines = queue.Queue()

    def collect():
        for line in process.stdout:
            lines.put(line.rstrip(b"\n").decode())
    threading.Thread(target=collect, daemon=True).start()

    def expect(*wanted):
        equal([lines.get(timeout=10) for _ in wanted], list(wanted), "lines")
    try:
        yield expect
    finally:
        process.kill()
        process.wait()


@scenario("commands as arguments: answers, errors, exit codes")
def arguments(ctx):
    equal(cli(ctx, "PING"), b"PONG\n", "PING")
    equal(cli(ctx, "-3", "PING", "hello"), b"hello\n", "PING with RESP3")
    equal(cli(ctx, "-n", "5", "ECHO", "x y"), b"x y\n", "ECHO")
    equal(cli(ctx, "--no-raw", "PUBLISH", ctx.name(), "x"), b"(integer) 0\n", "PUBLISH")
    equal(cli(ctx, "-r", "3", "PUBLISH", ctx.name(), "x"), b"0\n" * 3, "repeated")
    equal(cli(ctx, "-e", "NONSENSE", "a", code=1), b"ERR unknown command 'NONSENSE', with args beginning with: 'a' \n", "error")
    true(b"redis_version:7." in cli(ctx, "INFO", "server"), "INFO")
    true(b"name=" in cli(ctx, "CLIENT", "LIST"), "CLIENT LIST")
    equal(cli(ctx, "--no-raw", "-3", "HELLO").splitlines()[0], b'1# "server" => "redis"', "HELLO")


@scenario("commands from standard input, with MULTI")
def from_input(ctx):
    channel = ctx.name()
    given = f"MULTI\nPUBLISH {channel} \"a \\x00 b\"\nPING\nEXEC\nPUBSUB NUMSUB {channel}\nSELECT 3\nECHO done\n".encode()
    equal(cli(ctx, given=given), f"OK\nQUEUED\nQUEUED\n0\nPONG\n{channel}\n0\nOK\ndone\n".encode(), "answers")


@scenario("SUBSCRIBE, PSUBSCRIBE and SSUBSCRIBE print what comes, in RESP2 and RESP3")
def subscribe(ctx):
    channel = ctx.name()
    for option in ("-2", "-3"):
        with running(ctx, option, "SUBSCRIBE", channel) as one, running(ctx, option, "PSUBSCRIBE", channel + "*") as other, \
                running(ctx, option, "SSUBSCRIBE", channel) as shard:
            shard("ssubscribe", channel, "1")
            one("subscribe", channel, "1")
            other("psubscribe", channel + "*", "1")
            equal(cli(ctx, "PUBLISH", channel, "hello world"), b"2\n", "receivers")
            one("message", channel, "hello world")
            other("pmessage", channel + "*", channel, "hello world")
            equal(cli(ctx, "SPUBLISH", channel, "x"), b"1\n", "receivers")
            shard("smessage", channel, "x")
            equal(cli(ctx, "PUBSUB", "CHANNELS", channel), f"{channel}\n".encode(), "channels")
        eventually(lambda: cli(ctx, "PUBLISH", channel, "x") == b"0\n", 5, "gone")


@scenario("--pipe: 10,000 publishes, counted and heard in order")
def pipe(ctx):
    channel, count = ctx.name(), 10000
    with server(ctx) as conn:
        conn.send("SUBSCRIBE", channel)
        conn.comes(told("subscribe", channel, 1))
        said = cli(ctx, "--pipe", given=b"".join(command("PUBLISH", channel, i) for i in range(count)))
        true(f"errors: 0, replies: {count}".encode() in said, f"{said}")
        conn.comes(b"".join(message(channel, i) for i in range(count)))


@scenario("redis-benchmark runs PING and PUBLISH")
def benchmark(ctx):
    said = cli(ctx, "-n", "20000", "-c", "10", "-P", "16", "-q", "-t", "ping_inline,ping_mbulk", program="redis-benchmark")
    true(b"PING_MBULK" in said and b"requests per second" in said, f"{said}")
    said = cli(ctx, "-n", "20000", "-c", "10", "-P", "16", "-q", "PUBLISH", ctx.name(), "hello", program="redis-benchmark")
    true(b"requests per second" in said, f"{said}")


@scenario("--user and --pass, and wrong ones")
def login(ctx):
    with a_user(ctx) as name:
        equal(cli(ctx, "--no-auth-warning", "--user", name, "--pass", "secret", "ACL", "WHOAMI"), f"{name}\n".encode(), "who")
        said = cli(ctx, "--no-auth-warning", "--user", name, "--pass", "wrong", "ACL", "WHOAMI", code=0)
        equal(said.splitlines()[-1], b"default", "who")


@scenario("--tls with the authority's certificate")
def tls(ctx):
    if "TLS_REDIS" not in os.environ:
        raise Skip("the broker has no listener with TLS")
    port = os.environ["TLS_REDIS"].rsplit(":", 1)[1]
    authority = Authority(os.environ["TLS_DIR"]).certificate
    done = subprocess.run(["redis-cli", "-h", "localhost", "-p", port, "--tls", "--cacert", authority, "PING"], stdout=subprocess.PIPE, timeout=20,
                          stderr=subprocess.STDOUT, check=False)
    equal(done.stdout, b"PONG\n", "answer")


if __name__ == "__main__":
    main("redis-cli")
