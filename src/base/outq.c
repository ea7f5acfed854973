#include "base/outq.h"

#include <assert.h>

#include "base/err.h"
#include "base/mem.h"

void outq_init(struct outq *q, struct chunk_pool *pool)
{
    *q = (struct outq){.pool = pool};
}

void outq_fini(struct outq *q)
{
    for (size_t i = 0; i < q->count; i++)
        chunk_unref(q->slices[q->first + i].chunk);
    mem_free(q->slices);
    outq_init(q, q->pool);
}

static struct slice *last_slice(struct outq *q)
{
    return q->count ? &q->slices[q->first + q->count - 1] : NULL;
}

static struct slice *push(struct outq *q)
{
    if (q->first + q->count == q->cap) {
        if (q->first > q->cap / 2) {
            memmove(q->slices, q->slices + q->first, q->count * sizeof(*q->slices));
            q->first = 0;
        } else {
            q->cap = q->cap ? q->cap * 2 : 8;
            q->slices = mem_realloc(q->slices, q->cap * sizeof(*q->slices));
        }
    }
    q->count++;
    return last_slice(q);
}

/* True if the last slice ends where its own chunk's filler would go on, and it is ours to fill. */
static bool can_extend(struct outq *q, const struct slice *s, size_t len)
{
    return s && s->chunk && s->chunk == q->filling && s->ptr + s->len == s->chunk->data + s->chunk->used &&
           s->chunk->cap - s->chunk->used >= len;
}

uint8_t *outq_reserve(struct outq *q, size_t len)
{
    assert(len <= q->pool->chunk_bytes);
    struct slice *s = last_slice(q);
    if (!can_extend(q, s, len)) {
        struct chunk *c = chunk_new(q->pool, len);
        if (!c)
            return NULL;
        s = push(q);
        *s = (struct slice){c, c->data, 0};
        q->filling = c;
    }
    uint8_t *p = s->chunk->data + s->chunk->used;
    s->chunk->used += (uint32_t)len;
    s->len += len;
    q->len += len;
    return p;
}

int outq_copy(struct outq *q, struct span bytes)
{
    while (bytes.len > 0) {
        size_t n = bytes.len < q->pool->chunk_bytes ? bytes.len : q->pool->chunk_bytes;
        uint8_t *p = outq_reserve(q, n);
        if (!p)
            return ERR_NO_MEMORY;
        memcpy(p, bytes.ptr, n);
        bytes.ptr += n;
        bytes.len -= n;
    }
    return 0;
}

bool outq_continues(const struct outq *q, const struct chunk *chunk, const uint8_t *ptr)
{
    const struct slice *s = q->count ? &q->slices[q->first + q->count - 1] : NULL;
    return s && s->chunk == chunk && s->ptr + s->len == ptr;
}

void outq_ref(struct outq *q, struct chunk *chunk, struct span bytes)
{
    if (bytes.len == 0)
        return;
    struct slice *s = last_slice(q);
    q->len += bytes.len;
    if (outq_continues(q, chunk, bytes.ptr)) {
        s->len += bytes.len; /* neighbours in one chunk: one iovec */
        return;
    }
    s = push(q);
    *s = (struct slice){chunk ? chunk_ref(chunk) : NULL, bytes.ptr, bytes.len};
}

void outq_move(struct outq *to, struct outq *from)
{
    for (size_t i = 0; i < from->count; i++) {
        *push(to) = from->slices[from->first + i]; /* the reference moves along */
    }
    to->len += from->len;
    to->filling = from->filling;
    from->filling = NULL;
    from->count = from->first = from->len = 0;
}

size_t outq_peek(const struct outq *q, struct span *ret_spans, size_t max)
{
    size_t n = q->count < max ? q->count : max;
    for (size_t i = 0; i < n; i++)
        ret_spans[i] = span_of(q->slices[q->first + i].ptr, q->slices[q->first + i].len);
    return n;
}

void outq_copy_to(const struct outq *q, uint8_t *ret)
{
    for (size_t i = 0; i < q->count; i++) {
        const struct slice *s = &q->slices[q->first + i];
        memcpy(ret, s->ptr, s->len);
        ret += s->len;
    }
}

void outq_consume(struct outq *q, size_t len)
{
    assert(len <= q->len);
    q->len -= len;
    while (len > 0) {
        struct slice *s = &q->slices[q->first];
        if (s->len > len) {
            s->ptr += len;
            s->len -= len;
            return;
        }
        len -= s->len;
        if (s->chunk == q->filling)
            q->filling = NULL; /* it may come again as somebody else's */
        chunk_unref(s->chunk);
        q->first++;
        q->count--;
    }
    if (q->count == 0)
        q->first = 0;
}
