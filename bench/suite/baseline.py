"""What this machine can do at this moment without a broker, so that figures of a noisy machine can be judged."""

import os
import socket
import threading
import time

MIB = 1 << 20


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def sync_latency(folder, rounds=300):
    """Milliseconds of one write of 4 KiB and its fdatasync, into a file that has its space and its zeros."""
    path, block, took = os.path.join(folder, "baseline"), b"\x5a" * 4096, []
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.pwrite(file, bytes(4096 * rounds), 0)
        os.fsync(file)
        for i in range(rounds):
            began = time.monotonic()
            os.pwrite(file, block, 4096 * i)
            os.fdatasync(file)
            took.append((time.monotonic() - began) * 1e3)
    finally:
        os.close(file)
        os.unlink(path)
    return {"p50": percentile(took, 50), "p99": percentile(took, 99), "max": max(took)}


def page_cache_cost(folder, mib=256):
    """CPU seconds to write 1 GiB to a file: into pages the kernel has to find first, and again into the same. Where a
    hypervisor takes back free memory, the first costs many times the second, for whatever program."""
    path, block, cost = os.path.join(folder, "baseline"), b"\x5a" * MIB, []
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for _ in range(2):
            began = time.process_time()
            for i in range(mib):
                os.pwrite(file, block, i * MIB)
            cost.append((time.process_time() - began) * 1024 / mib)
    finally:
        os.close(file)
        os.unlink(path)
    return {"new": cost[0], "again": cost[1]}


def loopback_gb_per_s(mib=1024):
    """One TCP connection on loopback, one thread at each end."""
    listener = socket.create_server(("127.0.0.1", 0))
    sender = socket.create_connection(listener.getsockname())
    receiver, _ = listener.accept()
    listener.close()
    block, buffer, left = bytes(256 << 10), bytearray(256 << 10), mib * MIB

    def send():
        for _ in range(mib * 4):
            sender.sendall(block)
        sender.close()

    thread = threading.Thread(target=send)
    began = time.monotonic()
    thread.start()
    while left > 0:
        got = receiver.recv_into(buffer)
        if got == 0:
            raise ConnectionError("the other end is gone")
        left -= got
    took = time.monotonic() - began
    thread.join()
    receiver.close()
    return mib * MIB / took / 1e9


def measure(folder):
    return {
        "cores": os.cpu_count(), "load_average_1min": os.getloadavg()[0], "write_and_sync_4k_ms": sync_latency(folder),
        "page_cache_cpu_s_per_gib": page_cache_cost(folder), "loopback_gb_per_s": loopback_gb_per_s(),
    }
