/* Makes the seeds of the fuzz targets journal, segment and index from the files of a real store:
 *
 *   store_seeds FOLDER      writes FOLDER/{journal,segment,index}/NAME
 *
 * Run it again when a format changes. The folders must be there. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "store/le.h"
#include "store/log_impl.h"
#include "store/rig.h"

/* The flags of the targets. */
enum { JOURNAL_AS_IS = 0, JOURNAL_FIX = 1 | 2, JOURNAL_TWO = 4 };
enum { SEGMENT_AS_IS = 0, SEGMENT_FIX = 1 | 2 | 4, SEGMENT_SMALL_READS = 8 };
enum { INDEX_AS_IS = 0, INDEX_STATE = 1, INDEX_FIX = 2 };

enum { SEED_BYTES = 256 << 10, UNIT = 64, SECOND = 0x8000 };

static const struct log_config fsync_log = {LOG_FSYNC, 4096, 256, INT64_MAX / 4};
static const struct log_config os_log = {LOG_OS, 64 << 10, 256, INT64_MAX / 4};
static const char first_journal[] = "data/journal/0000000001.journal";
static const char second_journal[] = "data/journal/0000000002.journal";
static const char segment_path[] = "data/logs/1/00000000000000000000.log";
static const char index_path[] = "data/logs/1/00000000000000000000.idx";

static const char *folder;
static uint8_t seed[SEED_BYTES];
static size_t seed_len;

/* ---- seeds ---- */

static void add(const void *bytes, size_t len)
{
    assert(len <= SEED_BYTES - seed_len);
    memcpy(seed + seed_len, bytes, len);
    seed_len += len;
}

static void add_u16(uint32_t v)
{
    uint8_t b[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
    add(b, sizeof(b));
}

static void begin_seed(uint8_t flags)
{
    seed_len = 0;
    add(&flags, 1);
}

static void write_seed(const char *target, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s/%s", folder, target, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(seed, 1, seed_len, f) != seed_len || fclose(f) != 0) {
        fprintf(stderr, "%s: cannot be written\n", path);
        exit(1);
    }
}

/* ---- files of the simulated disk ---- */

static uint8_t *read_file(const char *path, size_t *ret_len)
{
    uint64_t size = 0;
    int err = os_path_size(path, &size);
    assert(!err);
    uint8_t *bytes = mem_alloc(size + 1);
    int file = os_open(path, OS_READ);
    int64_t n = os_pread(file, bytes, size, 0);
    assert(n == (int64_t)size);
    os_close(file);
    *ret_len = size;
    return bytes;
}

static bool is_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i])
            return false;
    return true;
}

/* What is not zero of a journal file, as pieces. */
static void add_pieces(const char *path, uint32_t which)
{
    size_t len;
    uint8_t *bytes = read_file(path, &len);
    for (size_t at = 0; at + UNIT <= len; at += UNIT) {
        size_t from = at;
        while (at + UNIT <= len && !is_zero(bytes + at, UNIT))
            at += UNIT;
        size_t n = at - from;
        while (n && !bytes[from + n - 1])
            n--;
        if (n == 0)
            continue;
        add_u16((uint32_t)(from / UNIT) | which);
        add_u16((uint32_t)n);
        add(bytes + from, n);
    }
    mem_free(bytes);
}

static void add_file(const char *path)
{
    size_t len;
    uint8_t *bytes = read_file(path, &len);
    add(bytes, len);
    mem_free(bytes);
}

/* ---- stores ---- */

static void begin_store(struct rig *r, const struct log_config *cfg)
{
    sim_reset(1);
    rig_init(r, 1);
    int err = rig_open(r);
    assert(!err);
    rig_create(r, 0, cfg);
    rig_settle(r);
}

static void end_store(struct rig *r)
{
    rig_close(r);
    rig_fini(r);
}

static void append(struct rig *r, int n, uint32_t payload)
{
    for (int i = 0; i < n; i++) {
        int err = rig_append(r, &r->logs[0], 1 + (uint32_t)i % 3, payload);
        assert(!err);
        rig_settle(r);
    }
}

static void append_of_producer(struct rig *r, int64_t id, int32_t sequence)
{
    uint8_t bytes[BATCH_HEADER_BYTES + 10];
    uint64_t base;
    memcpy(bytes, rig_batch_make((uint64_t)id, 1, 10).ptr, sizeof(bytes));
    batch_set_producer_id(bytes, id);
    batch_set_producer_epoch(bytes, 0);
    batch_set_base_sequence(bytes, sequence);
    batch_seal(bytes, sizeof(bytes));
    int err = log_append(r->logs[0].log, span_of(bytes, sizeof(bytes)), &base, NULL);
    assert(!err);
    rig_settle(r);
}

/* ---- journal ---- */

static void journal_seed(const char *name, uint8_t flags)
{
    begin_seed(flags);
    add_pieces(first_journal, 0);
    if (flags & JOURNAL_TWO)
        add_pieces(second_journal, SECOND);
    write_seed("journal", name);
}

static void small_journals(void)
{
    struct rig r;
    begin_store(&r, &fsync_log);
    append(&r, 2, 20);
    append_of_producer(&r, 5, 0);
    rig_trim(&r, &r.logs[0], 1);
    rig_settle(&r);
    journal_seed("small", JOURNAL_AS_IS);
    journal_seed("small-fixed", JOURNAL_FIX);
    flush_start(r.logs[0].log, true);
    rig_settle(&r);
    end_store(&r);
    journal_seed("state", JOURNAL_AS_IS);
    journal_seed("state-fixed", JOURNAL_FIX);
    sim_disk_corrupt(first_journal, 3 * 4096 + 100, 1);
    journal_seed("damaged", JOURNAL_AS_IS);
}

static void two_journals(void)
{
    struct rig r;
    begin_store(&r, &fsync_log);
    append(&r, 18, 10);
    end_store(&r);
    journal_seed("two-files", JOURNAL_TWO);
    journal_seed("two-files-fixed", JOURNAL_TWO | JOURNAL_FIX);
}

static void group_of_many(void)
{
    struct rig r;
    begin_store(&r, &fsync_log);
    for (int i = 0; i < 12; i++)
        rig_append(&r, &r.logs[0], 1, 5);
    rig_settle(&r);
    end_store(&r);
    journal_seed("group-of-many", JOURNAL_AS_IS);
    journal_seed("group-of-many-fixed", JOURNAL_FIX);
}

/* ---- segments, indexes, states ---- */

static void segment_seed(const char *name, uint8_t flags, bool with_index)
{
    size_t len = 0;
    uint8_t *index = read_file(index_path, &len);
    begin_seed(flags);
    add_u16(with_index ? (uint32_t)len : 0);
    add(index, with_index ? len : 0);
    add_file(segment_path);
    write_seed("segment", name);
    mem_free(index);
}

static void index_seed(const char *name, uint8_t flags, struct span bytes)
{
    uint8_t sizes[8];
    begin_seed(flags);
    le_put_u32(sizes, 1 << 20);
    le_put_u32(sizes + 4, 1000);
    add(sizes, sizeof(sizes));
    add(bytes.ptr, bytes.len);
    write_seed("index", name);
}

static void segments(void)
{
    struct rig r;
    size_t len;
    begin_store(&r, &os_log);
    append(&r, 12, 60);
    append_of_producer(&r, 7, 0);
    append_of_producer(&r, 7, 1);
    end_store(&r);
    segment_seed("small", SEGMENT_AS_IS, false);
    segment_seed("indexed", SEGMENT_SMALL_READS, true);
    segment_seed("indexed-fixed", SEGMENT_FIX, true);
    uint8_t *bytes = read_file(index_path, &len);
    index_seed("index", INDEX_AS_IS, span_of(bytes, len));
    index_seed("index-fixed", INDEX_FIX, span_of(bytes, len));
    mem_free(bytes);
    sim_disk_corrupt(segment_path, 700, 1);
    segment_seed("damaged", SEGMENT_AS_IS, true);
}

static void states(void)
{
    struct rig r;
    size_t len;
    begin_store(&r, &fsync_log);
    for (int i = 0; i < 3; i++)
        append_of_producer(&r, 9, i);
    append_of_producer(&r, 10, 0);
    append(&r, 8, 1500);
    flush_start(r.logs[0].log, true);
    rig_settle(&r);
    flush_start(r.logs[0].log, true);
    rig_settle(&r);
    uint8_t *bytes = state_encode(r.logs[0].log, log_next(r.logs[0].log), &len);
    index_seed("state", INDEX_STATE, span_of(bytes, len));
    mem_free(bytes);
    end_store(&r);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: store_seeds FOLDER\n");
        return 2;
    }
    folder = argv[1];
    small_journals();
    two_journals();
    group_of_many();
    segments();
    states();
    return 0;
}
