/* Fuzzes commands and snapshots of groups, which may come from a damaged disk. Input: a snapshot if it begins
 * as one, else one command. What is taken must be written again as the same bytes. */
#include <stdlib.h>

#include "core/group_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { POOL_CHUNK_BYTES = 16 << 10 };

static struct chunk_pool pool;

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void check_same(struct span bytes, const struct outq *q)
{
    size_t at = 0;
    require(q->len == bytes.len);
    for (size_t i = 0; i < q->count; i++) {
        const struct slice *s = &q->slices[q->first + i];
        require(memcmp(bytes.ptr + at, s->ptr, s->len) == 0);
        at += s->len;
    }
}

static void check_command(struct span bytes)
{
    struct arena a;
    struct outq q;
    struct writer w;
    struct group_command c;
    arena_init(&a);
    if (group_command_read(bytes, &a, &c) == 0) {
        outq_init(&q, &pool);
        writer_init(&w, &q);
        group_command_write(&w, &c);
        require(w.err == 0);
        check_same(bytes, &q);
        outq_fini(&q);
    }
    arena_fini(&a);
}

static int on_command(void *arg, struct span command)
{
    group_snapshot_add(arg, command);
    check_command(command);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = span_of(data, size);
    struct outq again;
    struct writer w;
    if (!pool.chunk_bytes)
        chunk_pool_init(&pool, "fuzz", POOL_CHUNK_BYTES, 4);
    outq_init(&again, &pool);
    writer_init(&w, &again);
    group_snapshot_begin(&w);
    if (group_snapshot_read(bytes, on_command, &w) == 0)
        check_same(bytes, &again);
    outq_fini(&again);
    check_command(bytes);
    return 0;
}
