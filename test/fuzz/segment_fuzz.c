/* Fuzzes segments: a LOG_OS log is recovered from files of anybody's bytes, read from every side, and written
 * to. Input: one byte of flags (below), u16 length of the index file, the index file, the segment.
 *
 * With FIX_BATCHES the harness seals what looks like a batch (length and CRC; magic, and with FIX_OFFSETS
 * base offsets that follow each other), with FIX_INDEX the checksums of the index. Whatever recovery keeps
 * must be readable from its first offset to its last, unless it says ERR_CORRUPT, and a batch appended must
 * follow it. */
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/dump.h"
#include "store/le.h"
#include "store/log_impl.h"
#include "store/rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIX_BATCHES = 1, FIX_OFFSETS = 2, FIX_INDEX = 4, SMALL_READS = 8, FSYNC = 16 };
enum { WORLD = 77, MAX_BYTES = 256 << 10, MAX_READS = 200 };

static const char segment_path[] = "data/logs/1/00000000000000000000.log";
static const char index_path[] = "data/logs/1/00000000000000000000.idx";
static struct rig rig; /* for its turns and reads */

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* ---- making the files ---- */

static void fix_batches(uint8_t *p, size_t left, bool offsets)
{
    int64_t next = 0;
    while (left >= BATCH_HEADER_BYTES) {
        size_t len = batch_batch_length(p) < 0 ? left : batch_bytes(p);
        if (len < BATCH_HEADER_BYTES || len > left)
            len = left;
        batch_set_magic(p, BATCH_MAGIC);
        if (offsets) {
            batch_set_base_offset(p, next);
            next = batch_next_offset(p);
        }
        batch_seal(p, len);
        p += len;
        left -= len;
    }
}

static void fix_index(uint8_t *p, size_t len)
{
    if (len < INDEX_HEADER_BYTES)
        return;
    index_encode_header(0, p);
    for (size_t at = INDEX_HEADER_BYTES; at + INDEX_ENTRY_BYTES <= len; at += INDEX_ENTRY_BYTES) {
        struct index_entry e;
        index_entry_decode(p + at, 0, &e);
        index_encode(&e, 0, p + at);
    }
}

static void write_file(const char *path, const uint8_t *bytes, size_t len)
{
    struct span s = span_of(bytes, len);
    int file = os_open(path, OS_WRITE | OS_CREATE);
    require(file >= 0 && (len == 0 || os_pwrite(file, &s, 1, 0) == 0));
    os_close(file);
}

static void make_files(unsigned flags, const uint8_t *data, size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    size_t index_len = 0;
    if (size >= 2) {
        index_len = data[0] | data[1] << 8;
        size -= 2;
        memcpy(bytes, data + 2, size);
    }
    if (index_len > size)
        index_len = size;
    if (flags & FIX_INDEX)
        fix_index(bytes, index_len);
    if (flags & FIX_BATCHES)
        fix_batches(bytes + index_len, size - index_len, flags & FIX_OFFSETS);
    require(os_mkdir("data") == 0 && os_mkdir("data/logs") == 0 && os_mkdir("data/logs/1") == 0);
    if (index_len)
        write_file(index_path, bytes, index_len);
    write_file(segment_path, bytes + index_len, size - index_len);
    free(bytes);
}

static int count_bytes(void *arg, struct span text)
{
    *(size_t *)arg += text.len;
    return 0;
}

static void dump_files(void)
{
    size_t bytes = 0;
    (void)dump_file(segment_path, count_bytes, &bytes);
    (void)dump_file(index_path, count_bytes, &bytes);
    require(bytes > 0 && bytes < 100u * MAX_BYTES);
}

/* ---- walking ---- */

struct walk {
    uint64_t next_pos;
};

static int step(void *arg, const uint8_t *b, uint64_t pos)
{
    struct walk *w = arg;
    require(pos == w->next_pos);
    w->next_pos = pos + batch_bytes(b);
    return 0;
}

static void walk_all(void)
{
    struct walk w = {0};
    int file = os_open(segment_path, OS_READ);
    int64_t size = os_size(file);
    require(file >= 0 && size >= 0);
    struct blobs *blobs = blobs_file_new("data"); /* its handles are files */
    int err = segment_walk(blobs, file, 0, (uint64_t)size, step, &w);
    blobs->ops->free(blobs);
    require(err == ERR_CORRUPT || (err == 0 && w.next_pos == (uint64_t)size));
    os_close(file);
}

/* ---- a store over them ---- */

static void advanced(void *arg, struct log *l)
{
    log_check(l);
}

static void space(void *arg, unsigned shard, int err)
{
}

static void failed(void *arg, int err, const char *what)
{
}

static void snapshot(void *arg, uint64_t log_id, struct outq *out)
{
}

static void turn(void *arg)
{
    struct store_shard *ss = store_shard(rig.st, 0);
    if (rig.stopping)
        store_shard_stop(ss);
    store_shard_tick(ss, os_mono_ns());
    store_shard_submit(ss);
    store_shard_complete(ss);
    os_loop_timer(rig.loops[0], store_shard_next_tick(ss));
}

static struct log *open_store(enum log_durability durability)
{
    struct store_events ev = {advanced, space, failed, snapshot, NULL};
    struct log_config cfg = {durability, 16 << 10, 256, INT64_MAX / 4};
    struct log *l;
    require(store_open(&rig.opt, &ev, &rig.st) == 0);
    require(store_recover_log(rig.st, 1, &cfg, &l) == 0);
    log_check(l);
    rig.loops[0] = os_loop_new(turn, NULL);
    require(store_start(rig.st, rig.loops) == 0);
    return l;
}

static bool stopped(void *arg)
{
    return store_shard_stopped(store_shard(rig.st, 0));
}

static void close_store(void)
{
    rig.stopping = true;
    os_loop_wake(rig.loops[0]);
    require(sim_run_until(stopped, NULL, 100000));
    store_close(rig.st);
    os_loop_free(rig.loops[0]);
    rig.stopping = false;
}

/* Reads on from the start, one read after the other. True: everything was readable. */
static bool read_all(struct log *l, size_t max_bytes)
{
    uint64_t at = log_start(l);
    for (int i = 0; at < log_durable(l) && i < MAX_READS; i++) {
        uint8_t *bytes;
        size_t len;
        int err = rig_read(&rig, l, at, max_bytes, &bytes, &len);
        require(!err || err == ERR_CORRUPT);
        if (err)
            return false;
        require(len >= BATCH_HEADER_BYTES && (uint64_t)batch_last_offset(bytes) >= at);
        for (size_t k = 0; k < len; k += batch_bytes(bytes + k))
            at = (uint64_t)batch_next_offset(bytes + k);
        mem_free(bytes);
    }
    return true;
}

static void find_times(struct log *l)
{
    int64_t times[] = {INT64_MIN, -1, 0, 1, log_max_timestamp(l), INT64_MAX};
    for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
        uint8_t *bytes;
        size_t len;
        int err = rig_find_time(&rig, l, times[i], &bytes, &len);
        require(!err || err == ERR_CORRUPT);
        require(err || len == 0 || batch_max_timestamp(bytes) >= times[i]);
        mem_free(bytes);
    }
}

static void append(struct log *l)
{
    uint64_t base, before = log_next(l);
    require(log_append(l, rig_batch_make(1, 2, 30), &base, NULL) == 0);
    require(base == before);
    rig_settle(&rig);
    require(log_durable(l) == before + 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > MAX_BYTES)
        return 0;
    size_t max_bytes = data[0] & SMALL_READS ? 100 : 4000;
    enum log_durability durability = data[0] & FSYNC ? LOG_FSYNC : LOG_OS;
    sim_reset(WORLD);
    sim_disk_log(false);
    rig_init(&rig, 1);
    make_files(data[0], data + 1, size - 1);
    walk_all();
    dump_files();
    struct log *l = open_store(durability);
    bool readable = !log_damaged(l) && read_all(l, max_bytes);
    if (readable) {
        find_times(l);
        append(l);
        (void)read_all(l, max_bytes);
    }
    close_store();
    uint64_t next = readable ? log_next(l = open_store(durability)) : 0;
    if (readable) {
        require(next >= 2 && !log_damaged(l));
        close_store();
    }
    require(sim_open_files() == 0);
    sim_reset(WORLD);
    return 0;
}
