/* Fuzzes what stands beside records: index files and states of logs. Input: one byte of flags (STATE: a
 * state, else an index file; FIX: make the checksums of an index right), u32 length of the segment and u32
 * number of offsets in it (of an index), then the bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "os/sim/sim.h"
#include "store/dump.h"
#include "store/le.h"
#include "store/log_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STATE = 1, FIX = 2, HEAD_BYTES = 9, WORLD = 77 };

static void require(bool ok)
{
    if (!ok)
        abort();
}

static int count_bytes(void *arg, struct span text)
{
    *(size_t *)arg += text.len;
    return 0;
}

static void dump(const char *path, struct span bytes)
{
    size_t printed = 0;
    sim_reset(WORLD);
    sim_disk_log(false);
    int file = os_open(path, OS_WRITE | OS_CREATE);
    require(file >= 0 && (bytes.len == 0 || os_pwrite(file, &bytes, 1, 0) == 0));
    os_close(file);
    (void)dump_file(path, count_bytes, &printed);
    require(printed > 0 && sim_open_files() == 0);
}

/* ---- indexes ---- */

static void fix(uint8_t *p, size_t len, uint64_t base)
{
    if (len >= INDEX_HEADER_BYTES)
        index_encode_header(base, p);
    for (size_t at = INDEX_HEADER_BYTES; at + INDEX_ENTRY_BYTES <= len; at += INDEX_ENTRY_BYTES) {
        struct index_entry e;
        index_entry_decode(p + at, base, &e);
        index_encode(&e, base, p + at);
    }
}

/* What is found must be the last entry that does not lie beyond. */
static void look_up(const struct index *x, uint64_t offset, int64_t ts)
{
    uint32_t by_offset = 0, by_time = 0;
    for (size_t i = 0; i < x->count; i++) {
        if (x->entries[i].offset <= offset)
            by_offset = x->entries[i].pos;
        if (x->entries[i].max_before < ts)
            by_time = x->entries[i].pos;
    }
    require(index_find_offset(x, offset) == by_offset);
    require(index_find_time(x, ts) == by_time);
}

static void try_index(struct span file, uint64_t base, uint64_t next, uint64_t len)
{
    struct index x;
    index_init(&x);
    (void)index_decode(file, base, next, len, &x);
    for (size_t i = 0; i < x.count; i++) {
        const struct index_entry *e = &x.entries[i];
        require(e->offset >= base && e->offset < next && e->pos < len);
        look_up(&x, e->offset, e->max_before);
        look_up(&x, e->offset - 1, INT64_MIN);
        look_up(&x, e->offset + 1, INT64_MAX);
    }
    index_fini(&x);
}

/* ---- states ---- */

static void log_begin(struct log *l)
{
    *l = (struct log){.magic = LOG_MAGIC, .max_ts = -1};
    producers_init(&l->producers);
}

static void log_end(struct log *l)
{
    for (size_t i = 0; i < l->segment_count; i++)
        segment_free(l->segments[i]);
    mem_free(l->segments);
    mem_free(l->epochs);
    producers_fini(&l->producers);
}

/* What was understood must come back the same from the bytes it makes. */
static void try_state(struct span bytes)
{
    struct log a, b;
    uint64_t as_of, again;
    size_t len, len_again;
    log_begin(&a);
    if (state_decode(&a, bytes, &as_of) == 0) {
        log_begin(&b);
        uint8_t *first = state_encode(&a, as_of, &len);
        require(len <= bytes.len); /* a producer may have been named twice */
        require(state_decode(&b, span_of(first, len), &again) == 0 && again == as_of);
        uint8_t *second = state_encode(&b, again, &len_again);
        require(len == len_again && memcmp(first, second, len) == 0);
        mem_free(first);
        mem_free(second);
        log_end(&b);
    }
    log_end(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD_BYTES)
        return 0;
    size_t len = size - HEAD_BYTES;
    uint8_t *bytes = malloc(len + 1);
    memcpy(bytes, data + HEAD_BYTES, len);
    if (data[0] & STATE) {
        try_state(span_of(bytes, len));
        dump("x.state", span_of(bytes, len));
    } else {
        uint64_t base = len >= INDEX_HEADER_BYTES ? le_u64(bytes + 8) & INT64_MAX >> 1 : 0;
        if (data[0] & FIX)
            fix(bytes, len, base);
        try_index(span_of(bytes, len), base, base + le_u32(data + 5), le_u32(data + 1));
        dump("x.idx", span_of(bytes, len));
    }
    free(bytes);
    sim_reset(WORLD);
    return 0;
}
