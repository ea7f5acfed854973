#!/usr/bin/env python3
"""The rules of the house that a compiler does not check. Prints each breach as path:line: rule: what."""

import os
import re
import subprocess
import sys

LAYERS = ["base", "os", "store", "core", "proto", "app"]  # an include may only point to the left
FILE_LINES, FUNCTION_LINES = 1000, 70

# Above the seam nothing calls the system. base stands below it, but only these files may, and only for that.
ABOVE_SEAM = ("store", "core", "proto", "app")
BASE_MAY = {"src/base/mem.c"}
SYSTEM_CALLS = ("open openat creat read write readv writev pread pwrite preadv pwritev fsync fdatasync sync_file_range "
                "close lseek ftruncate fallocate rename unlink mkdir rmdir stat fstat fopen fread fwrite mmap "
                "time clock_gettime gettimeofday nanosleep usleep sleep rand srand random getrandom "
                "socket bind listen accept connect send recv sendto recvfrom sendmsg recvmsg poll epoll_wait select "
                "pthread_create pthread_mutex_lock fork execve getenv")
HEAP_CALLS = "malloc calloc realloc free strdup strndup asprintf"
SYSTEM_HEADERS = re.compile(r'<(unistd|fcntl|time|pthread|uv|poll|signal|dirent|sys/(?!types|param|queue)\w+|netinet/\w+|arpa/\w+)\.h>')

# What must not be named: folders of one machine, hosts of package registries.
MACHINE = re.compile("(?<![\\w.])/(?:%s)/" % "|".join(("work", "root")))
REGISTRIES = ("npmjs", "pypi", "pythonhosted", "repo1?[.]maven", "deb[.]" "debian", "proxy[.]golang", "crates[.]io")
REGISTRY = re.compile(r"https?://[^\s\"']*(?:%s)" % "|".join(REGISTRIES))

COMMENT_OR_TEXT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def bare(source):
    """The source with comments and literals blanked; lines stay where they are."""
    return COMMENT_OR_TEXT.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), source)


def line_of(source, position):
    return source.count("\n", 0, position) + 1


def room(path):
    """("store", "") for src/store/x.c, ("proto", "kafka") for src/proto/kafka/x.c."""
    parts = path.split("/")
    if parts and parts[0] == "src":
        parts = parts[1:]
    return parts[0], parts[1] if len(parts) > 2 else ""


def check_includes(path, source):
    """An include names its file from src/ and points down, or stays in its room; protocols do not know each other."""
    here, folder = room(path)
    for found in re.finditer(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', source, re.M):
        there, other = room(found.group(1))
        line = line_of(source, found.start())
        if found.group(1).endswith(".gen.h") or (path.endswith("_test.c") and "/" not in found.group(1)):
            continue  # made in the build directory for this folder only; or a table of a test
        if "/" not in found.group(1) or there not in LAYERS:
            yield line, "include", f'"{found.group(1)}" is not named from src/'
        elif here in LAYERS and LAYERS.index(there) > LAYERS.index(here):
            yield line, "include", f"{here} must not know {there}"
        elif here == there == "proto" and other and other != folder:
            yield line, "include", f"proto/{folder or '(shared)'} must not know proto/{other}"


def calls(source, names):
    """Calls of the named functions that are neither members nor declarations of pointers to functions."""
    pattern = r"(?<![\w.>*])(%s)\s*\(" % "|".join(names.split())
    for found in re.finditer(pattern, bare(source)):
        yield line_of(source, found.start()), found.group(1)


def check_seam(path, source):
    """Above os/ nobody calls the system; memory comes from base/mem.h everywhere."""
    here, _ = room(path)
    is_test = path.endswith("_test.c") or path == "src/store/rig.c"  # its model must survive failing allocations
    if here in ABOVE_SEAM or (here == "base" and path not in BASE_MAY and not is_test):
        for line, name in calls(source, SYSTEM_CALLS):
            if is_test and name in ("fopen", "fread"):
                continue  # recorded bytes
            yield line, "seam", f"{name}() belongs behind os/os.h"
        for found in SYSTEM_HEADERS.finditer(source):
            yield line_of(source, found.start()), "seam", f"{found.group()} belongs behind os/os.h"
    if here != "os" and path not in BASE_MAY and not is_test:
        for line, name in calls(source, HEAP_CALLS):
            yield line, "memory", f"{name}(): use base/mem.h"


def check_functions(_path, source):
    """No function over FUNCTION_LINES, counted from brace to brace."""
    start = 0
    for number, line in enumerate(source.splitlines(), 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            if number - start + 1 > FUNCTION_LINES:
                yield start, "length", f"function of {number - start + 1} lines, at most {FUNCTION_LINES}"
            start = 0


def check_length(_path, source):
    lines = source.count("\n")
    if lines > FILE_LINES:
        yield 1, "length", f"file of {lines} lines, at most {FILE_LINES}"


def check_words(_path, source):
    """Nothing of one workplace in a tree that others build."""
    for pattern, what in ((MACHINE, "path of one machine"), (REGISTRY, "address of a package registry")):
        for found in pattern.finditer(source):
            yield line_of(source, found.start()), "words", f"{what}: {found.group()}"


def check_readmes(paths):
    """Each folder of src that holds sources has a README.md."""
    present = set(paths)
    folders = {os.path.dirname(path) for path in paths if path.startswith("src/") and path.endswith((".c", ".h"))}
    for folder in sorted(folders):
        if folder + "/README.md" not in present:
            yield folder + "/README.md", 1, "readme", "missing"


def checks_for(path):
    if path.startswith("src/") and path.endswith((".c", ".h")):
        yield from (check_includes, check_seam, check_functions)
    elif path.endswith((".c", ".h")):
        yield check_functions
    if path.endswith((".c", ".h", ".py", ".sh", ".java", ".md", ".def")) or path == "dev":
        yield check_length
    if path != "LICENSE":
        yield check_words


def breaches(files):
    """(path, line, rule, what) for {path: text}."""
    for path, source in sorted(files.items()):
        for check in checks_for(path):
            for line, rule, what in check(path, source):
                yield path, line, rule, what
    yield from check_readmes(files)


def tree(top):
    """{path: text} of all files that are tracked, or would be."""
    listing = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=top,
                             stdout=subprocess.PIPE, check=True).stdout.decode().split("\0")
    files = {}
    for path in filter(None, listing):
        try:
            with open(os.path.join(top, path), encoding="utf-8") as file:
                files[path] = file.read()
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue  # golden bytes and seeds; or removed but not yet committed
    return files


def main():
    top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = list(breaches(tree(top)))
    for path, line, rule, what in found:
        print(f"{path}:{line}: {rule}: {what}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
