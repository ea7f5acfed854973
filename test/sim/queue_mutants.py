#!/usr/bin/env python3
"""Plants bugs in a copy of the queues, one at a time, and shows that `queue-sim` finds each: queue_mutants.py [SEEDS]

By hand, when the checker has changed; it takes some minutes. A mutant that survives all seeds is a failure."""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MUTANTS = [  # what, file in src/core, text, what it becomes
    ("acknowledgements above the mark are not written", "queue_entry.c", "if (first > low) {", "if (first > low && !l) {"),
    ("a durable settlement is answered at once", "queue_settle.c", "if (o->durable && !o->op.err) {",
     "if (o->durable && !o->op.err && !s) {"),
    ("confirms don't wait for the disk", "queue_publish.c", "if (!w || (b->wait_count", "if (w || (b->wait_count"),
    ("one queue of a fan-out is forgotten", "queue_publish.c", "i < it->first + it->count; i++",
     "i < it->first + (it->count > 2 ? 2 : it->count); i++"),
    ("the newest message comes first", "queue_entry.c", "        list_add_tail(&l->ready, &e->link);\n        return;",
     "        list_add_head(&l->ready, &e->link);\n        return;"),
    ("repeated moves are taken twice", "queue_publish.c", "if (!src || p->origin_seq > src->seq)", "if (src || !src)"),
    ("moves are acknowledged before they arrive", "queue_move.c", "m->pending += (uint32_t)r;", "m->pending += 0;"),
    ("after a start nothing is marked as redelivered", "queue_load.c", "e->redelivered = offset < l->recovered;",
     "e->redelivered = false;"),
    ("what is rejected is not counted durably", "queue_settle.c", "    n->retries = e->retries;\n", ""),
    ("messages are seen before they are durable", "queue_entry.c",
     "return e->offset == ENTRY_NO_OFFSET || e->offset < log_durable(e->level->log);", "return true;"),
    ("nothing expires at delivery", "queue_expire.c", "if (!e->expires_ms || e->expires_ms > now)",
     "if (!e->expires_ms || e->expires_ms + 500 > now)"),
    ("a purge leaves what was not read yet", "queue_table.c", "        if (o > from)\n            level_ack(l, from, o - 1);\n", ""),
    ("delays are forgotten by a restart", "queue_log.c", "n.due_ms = read_i64(r);", "n.due_ms = read_i64(r) * 0;"),
    ("a copy forward forgets its old record", "queue_compact.c", "    level_ack(l, old, old);\n    entry_free(copy);\n",
     "    entry_free(copy);\n"),
]


def build(tree):
    return subprocess.run(["ninja", "-C", os.path.join(tree, "build"), "test/sim/queue-sim"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)


def finds(tree, seeds):
    """The first seed that ends badly, and what it says."""
    for seed in range(1, seeds + 1):
        run = subprocess.run([os.path.join(tree, "build", "test", "sim", "queue-sim"), str(seed)], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, timeout=300, check=False)
        if run.returncode:
            return seed, (run.stderr.strip().splitlines() or ["?"])[-1]
    return None, None


def main(seeds):
    survivors = 0
    with tempfile.TemporaryDirectory() as tree:
        for name in ("src", "test/sim", "test/fuzz", "bench", "schema", "tools", "doc"):
            shutil.copytree(os.path.join(ROOT, name), os.path.join(tree, name), ignore=shutil.ignore_patterns("seeds"))
        for name in ("meson.build", "meson_options.txt"):
            if os.path.exists(os.path.join(ROOT, name)):
                shutil.copy(os.path.join(ROOT, name), tree)
        os.symlink(os.path.join(ROOT, "test", "golden"), os.path.join(tree, "test", "golden"))
        subprocess.run(["meson", "setup", os.path.join(tree, "build"), tree, "-Dload=disabled"], stdout=subprocess.PIPE, check=True)
        assert build(tree).returncode == 0 and finds(tree, 3)[0] is None, "the sources as they are must pass"
        for what, name, old, new in MUTANTS:
            path = os.path.join(tree, "src", "core", name)
            with open(path, encoding="utf-8") as file:
                text = file.read()
            assert old in text, f"{name} has changed: {old}"
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.replace(old, new, 1))
            built = build(tree)
            assert built.returncode == 0, built.stdout.decode()
            seed, said = finds(tree, seeds)
            print(f"{'SURVIVES' if seed is None else f'seed {seed}'}: {what}: {said}", flush=True)
            survivors += seed is None
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 12))
