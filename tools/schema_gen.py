#!/usr/bin/env python3
"""Turns schema files (schema/README.md) into straight-line C.

    schema_gen.py --prefix kafka --out DIR FILE.schema...   writes DIR/kafka_*.gen.[ch]
    schema_gen.py --list FILE.schema...                     one line per message: name key direction first last

Per schema file: PREFIX_NAME.gen.h and .gen.c with structs, init, read and write.
Once: PREFIX_wire.gen.h (all of them, the table of APIs and of messages), PREFIX_api.gen.c, PREFIX_dump.gen.c.
"""

import argparse
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # a build leaves nothing in the source tree
import schema_lang  # noqa: E402
from schema_c import CodeWriter  # noqa: E402


def list_messages(schemas):
    for schema in schemas:
        for m in schema.messages:
            key = m.api.key if m.api else -1
            direction = 'message' if not m.api else 'response' if m.response else 'request'
            print(m.name, key, direction, m.versions.first, m.versions.last)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument('--prefix', default='kafka', help='of every name and file')
    args.add_argument('--runtime', default='proto/kafka/wire.h', help='header with the wire_ functions')
    args.add_argument('--out', type=Path, help='directory to write to')
    args.add_argument('--list', action='store_true', help='only print the messages')
    args.add_argument('files', nargs='+')
    opts = args.parse_args()
    try:
        schemas = schema_lang.parse_files(opts.files)
    except schema_lang.SchemaError as e:
        sys.exit(f'schema_gen: {e}')
    if opts.list:
        return list_messages(schemas)
    if not opts.out:
        args.error('--out is missing')
    for name, text in CodeWriter(opts.prefix, opts.runtime).files(schemas):
        (opts.out / name).write_text(text)


if __name__ == '__main__':
    main()
