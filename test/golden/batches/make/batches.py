"""Writes golden record batches with kafka-python's builder: python-CODEC.bin, into the directory named."""
import pathlib
import sys

from kafka.record.default_records import DefaultRecordBatchBuilder

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
BASE_MS = 1_700_000_000_000


def record(i):
    """The same as in Batches.java and golden_record() of records_test.c."""
    key = None if i % 7 == 3 else b"key-%d" % i
    value = None if i % 11 == 5 else b"value %d " % i * 4
    headers = [("trace", b"id-%d" % i), ("empty", b""), ("null", None)] if i % 5 == 0 else []
    return BASE_MS + i * 37 % 1009, key, value, headers


def main(out):
    for number, name in enumerate(CODECS):
        b = DefaultRecordBatchBuilder(2, number, False, -1, -1, -1, 1 << 20)
        for i in range(60):
            timestamp, key, value, headers = record(i)
            assert b.append(i, timestamp, key, value, headers)
        (out / f"python-{name}.bin").write_bytes(bytes(b.build()))


main(pathlib.Path(sys.argv[1]))
