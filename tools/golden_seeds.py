#!/usr/bin/env python3
"""Makes the seeds of test/fuzz/kafka_wire_fuzz.c from golden samples: two bytes that choose message and
version, then the sample. First and last version of every message; the others are a mutation away.

    tools/golden_seeds.py       run by tools/record_golden.sh, since it depends on the order of the schemas
"""

import sys
from pathlib import Path

sys.dont_write_bytecode = True
import schema_lang  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


def samples(path):
    """(message, version, kind, bytes) of each sample of a file."""
    title = None
    for line in path.read_text().splitlines():
        words = line.split()
        if line.startswith('sample '):
            title = words[1], int(words[2]), words[3]
        elif line.startswith('bytes'):
            yield (*title, bytes.fromhex(words[1] if len(words) > 1 else ''))


def wanted(message, version, kind):
    if version == message.versions.last:
        return kind in ('full', 'nulls', 'empty')
    return version == message.versions.first and kind == 'full'


def main():
    out = ROOT / 'test/fuzz/seeds/kafka_wire'
    out.mkdir(parents=True, exist_ok=True)
    for old in out.iterdir():
        old.unlink()
    schemas = schema_lang.parse_files(sorted((ROOT / 'schema/kafka').glob('*.schema')))
    messages = {m.name: (i, m) for i, m in enumerate(m for s in schemas for m in s.messages)}
    for path in sorted((ROOT / 'test/golden/kafka').glob('*.golden')):
        for name, version, kind, data in samples(path):
            index, message = messages[name]
            if wanted(message, version, kind):
                head = bytes([index, version - message.versions.first])
                (out / f'{name}_{version}_{kind}').write_bytes(head + data)


if __name__ == '__main__':
    main()
