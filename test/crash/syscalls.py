"""Reads a trace of `strace -f -ttt -yy -s N` and checks that acknowledgements follow their fdatasync.

The rule: a response is sent only after an fdatasync of the file that holds the request's bytes has returned,
and that fdatasync began after the write of those bytes had returned. strace is one process, so the order of
its lines is the order in which it saw calls begin and end."""

import re

LINE = re.compile(r"^(?P<pid>\d+) +(?P<time>\d+\.\d+) (?P<rest>.*)$")
CALL = re.compile(r"^(?P<name>\w+)\((?P<args>.*?)(?P<end> <unfinished \.\.\.>|\) += (?P<result>.*))$", re.S)
RESUMED = re.compile(r"^<\.\.\. (?P<name>\w+) resumed>(?P<args>.*?)\) += (?P<result>.*)$", re.S)
TARGET = re.compile(r"^\d+<(?P<target>.*?[^-])>(?=,|$)")

WRITES = {"write", "writev", "pwrite64", "pwritev", "pwritev2"}
SENDS = WRITES | {"sendto", "sendmsg", "sendmmsg"}
SYNCS = {"fdatasync", "fsync"}


class Call:
    """One system call: where it began and ended (line numbers), on what, with which text."""

    def __init__(self, name, args, begin):
        self.name, self.args, self.begin = name, args, begin
        self.end = None     # None: had not returned at the end of the trace
        self.result = None
        found = TARGET.match(args)
        self.target = found.group("target") if found else ""

    def failed(self):
        return self.result is None or self.result.startswith("-1")

    def on_socket(self):
        return self.target.startswith(("TCP:", "TCPv6:", "socket:", "UNIX"))


def calls_of(lines):
    """All calls of a trace in the order they began."""
    calls, open_calls = [], {}
    for number, line in enumerate(lines):
        found = LINE.match(line)
        if not found:
            continue
        pid, rest = found.group("pid"), found.group("rest")
        resumed = RESUMED.match(rest)
        if resumed:
            call = open_calls.pop(pid, None)
            if call is not None:
                call.end, call.result = number, resumed.group("result")
                call.args += resumed.group("args")
            continue
        begun = CALL.match(rest)
        if not begun:
            continue
        call = Call(begun.group("name"), begun.group("args"), number)
        calls.append(call)
        if begun.group("result") is None:
            open_calls[pid] = call
        else:
            call.end, call.result = number, begun.group("result")
    return calls


class Trace:
    def __init__(self, lines):
        calls = calls_of(lines)
        self.file_writes = [c for c in calls if c.name in WRITES and not c.on_socket() and not c.failed()]
        self.sends = [c for c in calls if c.name in SENDS and c.on_socket() and not c.failed()]
        self.syncs = [c for c in calls if c.name in SYNCS and not c.failed()]

    def verdict(self, marker, reply):
        """None if the reply's bytes were sent after the sync that covers the marker's bytes, else what is wrong.
        The reply's text is one that no other message holds."""
        write = next((c for c in self.file_writes if marker in c.args), None)
        if write is None:
            return f"{marker}: no write to a file holds it"
        send = next((c for c in self.sends if reply in c.args), None)
        if send is None:
            return f"{marker}: no send holds its answer {reply}"
        for sync in self.syncs:
            if sync.target == write.target and sync.begin > write.end and sync.end < send.begin:
                return None
        return (f"{marker}: written in line {write.end + 1} to {write.target}, answered in line {send.begin + 1}, "
                "and no fdatasync of that file lies between")
