/* Fuzzes the decoders of all Kafka messages. Input: message (index of kafka_messages), version (above the
 * first), then its bytes. What decodes must encode to something that decodes to the same values. */
#include <stdlib.h>

#include "proto/kafka/kafka_wire.gen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHUNK_BYTES = 64 * 1024, MAX_INPUT_BYTES = 1024 * 1024 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* The dump of what `bytes` decode to; *ret_bytes_left is -1 if they do not. */
static struct wire_text decode(const struct wire_message *type, int version, struct span bytes,
                               struct arena *arena, void **ret_m, int64_t *ret_bytes_left)
{
    struct reader r;
    struct wire_text text = {0};
    *ret_m = arena_alloc(arena, type->size);
    reader_init(&r, bytes, arena);
    type->read(&r, version, *ret_m);
    *ret_bytes_left = r.err ? -1 : (int64_t)reader_left(&r);
    if (!r.err)
        type->dump(&text, *ret_m);
    return text;
}

static struct span encode(const struct wire_message *type, int version, const void *m, struct arena *arena)
{
    struct chunk_pool pool;
    struct outq q;
    struct writer w;
    chunk_pool_init(&pool, "fuzz", CHUNK_BYTES, 0);
    outq_init(&q, &pool);
    writer_init(&w, &q);
    type->write(&w, version, m);
    require(w.err == 0);
    uint8_t *bytes = arena_alloc(arena, q.len + 1);
    size_t at = 0;
    for (size_t i = 0; i < q.count; i++) {
        const struct slice *s = &q.slices[q.first + i];
        memcpy(bytes + at, s->ptr, s->len);
        at += s->len;
    }
    require(at == q.len);
    outq_fini(&q);
    chunk_pool_fini(&pool);
    return span_of(bytes, at);
}

static bool same_text(const struct wire_text *a, const struct wire_text *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->s, b->s, a->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > MAX_INPUT_BYTES)
        return 0;
    const struct wire_message *type = &kafka_messages[data[0] % kafka_messages_count];
    int version = type->min + data[1] % (type->max - type->min + 1);
    struct arena arena;
    void *m, *again;
    int64_t left;
    arena_init(&arena);
    struct wire_text text = decode(type, version, span_of(data + 2, size - 2), &arena, &m, &left);
    require(arena.total <= 64 * 1024 + 64 * size); /* memory follows from what arrived */
    if (left >= 0) {
        struct span bytes = encode(type, version, m, &arena);
        struct wire_text second = decode(type, version, bytes, &arena, &again, &left);
        require(left == 0);
        require(same_text(&text, &second));
        require(span_eq(encode(type, version, again, &arena), bytes));
        wire_text_fini(&second);
    }
    wire_text_fini(&text);
    arena_fini(&arena);
    return 0;
}
