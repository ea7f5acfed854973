/* Fuzzes the reading of journals. Input: one byte of flags (below), then pieces of one or two files of 64 KiB
 * that are zero otherwise: u16 place (bit 15: the second file; the rest times 64 is the position), u16
 * length, bytes.
 *
 * Checksums guard everything here, so with FIX_DIRS the harness makes headers and directories right where the
 * input says that a group begins, and with FIX_BODIES the bodies, too. A journal that could be read must take
 * another group, and show the same and that one when it is read again. */
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "base/list.h"
#include "os/sim/sim.h"
#include "store/batch.h"
#include "store/dump.h"
#include "store/journal_file.h"
#include "store/le.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIX_DIRS = 1, FIX_BODIES = 2, TWO_FILES = 4, CUT = 8 };
enum { WORLD = 77 /* not that of the seeds: salts must differ */ };
enum { FILE_BYTES = 64 << 10, FILES = 2, UNIT = 64, SECOND = 0x8000 };

static uint8_t files[FILES][FILE_BYTES];
static size_t lens[FILES];

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* ---- making the files ---- */

static void place_pieces(const uint8_t *p, size_t left)
{
    memset(files, 0, sizeof(files));
    memset(lens, 0, sizeof(lens));
    while (left >= 4) {
        uint32_t head = le_u32(p), at = (head & 0x3ff) * UNIT, len = head >> 16;
        unsigned k = head & SECOND ? 1 : 0;
        p += 4;
        left -= 4;
        if (len > left)
            len = (uint32_t)left;
        if (len > FILE_BYTES - at)
            len = FILE_BYTES - at;
        memcpy(files[k] + at, p, len);
        if (lens[k] < at + len)
            lens[k] = at + len;
        p += len;
        left -= len;
    }
}

static void fix_body(uint8_t *entry, uint8_t *body, uint32_t len)
{
    if (entry[24] != JOURNAL_BATCH) {
        le_put_u32(entry + 20, crc32c(body, len));
    } else if (len >= BATCH_HEADER_BYTES) {
        batch_set_magic(body, BATCH_MAGIC);
        batch_set_base_offset(body, (int64_t)le_u64(entry + 8));
        batch_set_leader_epoch(body, (int32_t)le_u32(entry + 28));
        batch_seal(body, len);
    }
}

static void fix_bodies(uint8_t *dir, const struct journal_group_header *h)
{
    uint64_t cursor = 0;
    for (uint32_t i = 0; i < h->entry_count; i++) {
        uint8_t *entry = dir + JOURNAL_GROUP_HEADER_BYTES + (size_t)i * JOURNAL_ENTRY_HEADER_BYTES;
        uint32_t len = le_u32(entry + 16);
        if (len > h->body_len - cursor)
            return;
        fix_body(entry, dir + h->dir_len + cursor, len);
        cursor += len;
    }
}

/* What the input says of counts and lengths stays, as far as the file is that long; a chain value of all ones
 * stays wrong. */
static uint64_t fix_group(uint8_t *dir, uint64_t room, uint64_t salt, uint64_t lsn, uint32_t *chain,
                          bool bodies)
{
    struct journal_group_header h = {
        .salt = salt,
        .lsn = lsn,
        .synced_lsn = le_u64(dir + 24),
        .prev_chain = le_u32(dir + 32) == UINT32_MAX ? UINT32_MAX : *chain,
        .entry_count = le_u32(dir + 36),
        .body_len = le_u64(dir + 48),
        .wall_ms = (int64_t)le_u64(dir + 56),
    };
    uint64_t most = (room - JOURNAL_GROUP_HEADER_BYTES) / JOURNAL_ENTRY_HEADER_BYTES;
    if (h.entry_count > most)
        h.entry_count = (uint32_t)most;
    h.dir_len = JOURNAL_GROUP_HEADER_BYTES + h.entry_count * JOURNAL_ENTRY_HEADER_BYTES;
    if (h.body_len > room - h.dir_len)
        h.body_len = room - h.dir_len;
    if (bodies)
        fix_bodies(dir, &h);
    journal_group_encode(&h, dir);
    *chain = h.dir_crc;
    return journal_padded(h.dir_len + h.body_len);
}

static void fix_files(unsigned count, bool bodies)
{
    uint32_t chain = 0;
    for (unsigned k = 0; k < count; k++) {
        struct journal_file_header h = {.file_no = k + 1, .salt = le_u64(files[k] + 40), .prev_chain = chain};
        memcpy(h.uuid, files[0] + 16, 16);
        journal_file_header_encode(&h, files[k]);
        for (uint64_t at = JOURNAL_BLOCK_BYTES; at < FILE_BYTES;) {
            bool group = memcmp(files[k] + at, "CGRP", 4) == 0;
            at += group ? fix_group(files[k] + at, FILE_BYTES - at, h.salt, journal_lsn(k + 1, at), &chain,
                                    bodies)
                        : JOURNAL_BLOCK_BYTES;
        }
    }
}

static void write_files(unsigned count, bool cut)
{
    static const char *const paths[] = {"j/0000000001.journal", "j/0000000002.journal"};
    require(os_mkdir("j") == 0);
    for (unsigned k = 0; k < count; k++) {
        struct span s = span_of(files[k], cut ? lens[k] : FILE_BYTES);
        int file = os_open(paths[k], OS_WRITE | OS_CREATE);
        require(file >= 0 && os_pwrite(file, &s, 1, 0) == 0 && os_fdatasync(file) == 0);
        os_close(file);
    }
    require(os_sync_dir("j") == 0);
}

/* ---- reading them ---- */

struct run {
    struct journal *j;
    struct os_pool *pool;
    struct os_loop *loop;
    uint64_t entries, hash, bytes;
    struct journal_replay_entry last;
    bool done;
};

static void ignore_lsn(void *arg, uint64_t lsn)
{
}

static void ignore_space(void *arg)
{
}

static void ignore_failure(void *arg, int err, const char *what)
{
}

static void turn(void *arg)
{
}

static int count_entry(void *arg, const struct journal_replay_entry *e)
{
    struct run *r = arg;
    r->entries++;
    r->bytes += e->body_len;
    r->hash =
        r->hash * 31 + e->lsn + e->base * 7 + e->log_id * 3 + crc32c(e->body.ptr, e->body_len) + e->body_ok;
    r->last = *e;
    r->last.body = SPAN_NULL;
    require(e->body.len == e->body_len);
    return 0;
}

static void close_run(struct run *r)
{
    if (r->j)
        r->j->ops->stop(r->j);
    os_pool_free(r->pool);
    if (r->j)
        r->j->ops->close(r->j);
    os_loop_free(r->loop);
}

static int open_run(struct run *r, bool accept_loss)
{
    *r = (struct run){.pool = os_pool_new("disk", 1), .loop = os_loop_new(turn, r)};
    struct journal_file_options opt = {
        .dir = "j",
        .file_bytes = FILE_BYTES,
        .max_bytes = 4 * FILE_BYTES,
        .disk_pool = r->pool,
        .accept_loss = accept_loss,
        .events = {ignore_lsn, ignore_space, ignore_failure, NULL},
    };
    int err = journal_file_open(&opt, &r->j);
    return err ? err : r->j->ops->replay(r->j, count_entry, r);
}

static void group_done(struct journal_group *g)
{
    struct run *r = g->owner;
    r->done = true;
    require(g->err == 0);
}

static bool is_done(void *arg)
{
    return ((struct run *)arg)->done;
}

/* Reads a body again, starts the journal, and appends one entry. */
static void go_on(struct run *r)
{
    static const uint8_t body[] = "one more";
    static uint8_t again[FILE_BYTES];
    struct journal_entry e = {.base = 99, .type = JOURNAL_COMMAND, .body = span_of(body, sizeof(body))};
    struct journal_group g = {
        .entries = &e, .count = 1, .body_bytes = sizeof(body), .done = group_done, .owner = r};
    if (r->entries && r->last.body_len <= FILE_BYTES)
        (void)r->j->ops->read_body(r->j, r->last.body_at, again, r->last.body_len);
    require(r->j->ops->start(r->j, r->loop) == 0);
    r->j->ops->submit(r->j, &g);
    require(sim_run_until(is_done, r, 100000));
}

static int count_bytes(void *arg, struct span text)
{
    *(size_t *)arg += text.len;
    return 0;
}

static void dump_all(unsigned count)
{
    size_t bytes = 0;
    (void)dump_file("j/0000000001.journal", count_bytes, &bytes);
    if (count > 1)
        (void)dump_file("j/0000000002.journal", count_bytes, &bytes);
    require(bytes > 0 && bytes < 100 * (size_t)FILE_BYTES);
}

static void try_one(unsigned count, bool cut, bool accept_loss)
{
    struct run r, again;
    sim_reset(WORLD);
    sim_disk_log(false);
    write_files(count, cut);
    dump_all(count);
    int err = open_run(&r, accept_loss);
    require(!err || err == ERR_CORRUPT);
    if (!err)
        go_on(&r);
    close_run(&r);
    if (!err) {
        require(open_run(&again, accept_loss) == 0);
        require(again.entries == r.entries + 1 && again.last.base == 99 && again.last.body_ok);
        close_run(&again);
    }
    require(sim_open_files() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    unsigned count = data[0] & TWO_FILES ? 2 : 1;
    place_pieces(data + 1, size - 1);
    if (data[0] & FIX_DIRS)
        fix_files(count, data[0] & FIX_BODIES);
    try_one(count, data[0] & CUT, false);
    try_one(count, data[0] & CUT, true);
    sim_reset(WORLD);
    return 0;
}
