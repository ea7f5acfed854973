"""Runs kcat, the command-line client of librdkafka (Debian's, librdkafka 2.0)."""

import subprocess


def kcat(ctx, *arguments, given=b"", code=0):
    """Runs kcat against the broker; returns its standard output."""
    command = ["kcat", "-b", ctx.bootstrap, "-m", "10", *arguments]
    done = subprocess.run(command, input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=25, check=False)
    if done.returncode != code:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.decode()}")
    return done.stdout


def produce(ctx, topic, lines, *arguments):
    kcat(ctx, "-P", "-t", topic, "-p", "0", *arguments, given=b"".join(line + b"\n" for line in lines))


def consume(ctx, topic, *arguments):
    """Lines of a consumer that stops at the end of the partition."""
    return kcat(ctx, "-C", "-t", topic, "-p", "0", "-e", "-q", *arguments).splitlines()
