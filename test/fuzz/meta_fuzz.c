/* Fuzzes metadata commands and snapshots, which may come from a damaged disk. Input: a snapshot if it begins
 * as one, else one command. What is taken must be written again as the same bytes. */
#include <stdlib.h>

#include "core/config.h"
#include "core/meta_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

/* A second setting of the same tag, or tags out of order, are read but written once and sorted: then only the
 * meaning is the same. */
static void check_command(struct span bytes)
{
    struct arena a;
    struct outq q, again;
    struct writer w;
    struct meta_command c;
    arena_init(&a);
    if (meta_read(bytes, &a, &c) == 0) {
        outq_init(&q, &pool);
        outq_init(&again, &pool);
        writer_init(&w, &q);
        meta_write(&w, &c);
        require(w.err == 0);
        uint8_t *copy = arena_alloc(&a, q.len + 1);
        size_t at = 0;
        for (size_t i = 0; i < q.count; i++) {
            memcpy(copy + at, q.slices[q.first + i].ptr, q.slices[q.first + i].len);
            at += q.slices[q.first + i].len;
        }
        require(meta_read(span_of(copy, at), &a, &c) == 0);
        writer_init(&w, &again);
        meta_write(&w, &c);
        check_same(span_of(copy, at), &again);
        outq_fini(&q);
        outq_fini(&again);
    }
    arena_fini(&a);
}

static int on_command(void *arg, struct span command)
{
    (void)arg;
    check_command(command);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!pool.chunk_bytes) {
        struct config cfg;
        config_init(&cfg);
        topic_config_init(&cfg);
        chunk_pool_init(&pool, "fuzz", 16 << 10, 4);
    }
    (void)meta_snapshot_read(span_of(data, size), on_command, NULL);
    check_command(span_of(data, size));
    return 0;
}
