#include "proto/kafka/rope.h"

#include "store/batch.h"

/* A place in a rope. */
struct cursor {
    const struct rope *rope;
    size_t slice, at;
};

static void skip(struct cursor *c, size_t len)
{
    for (; c->slice < c->rope->count; c->slice++, c->at = 0) {
        size_t left = c->rope->slices[c->slice].len - c->at;
        if (len < left) {
            c->at += len;
            return;
        }
        len -= left;
    }
}

/* Copies without moving; false: the rope ends before. */
static bool copy(struct cursor c, uint8_t *ret_bytes, size_t len)
{
    while (len > 0 && c.slice < c.rope->count) {
        const struct slice *s = &c.rope->slices[c.slice];
        size_t n = s->len - c.at < len ? s->len - c.at : len;
        memcpy(ret_bytes, s->ptr + c.at, n);
        ret_bytes += n;
        len -= n;
        skip(&c, n);
    }
    return len == 0;
}

size_t kafka_rope_before_zstd(const struct rope *rope)
{
    uint8_t head[BATCH_CRC_START + 2]; /* up to the attributes */
    struct cursor c = {rope, 0, 0};
    size_t done = 0;
    while (copy(c, head, sizeof(head))) {
        if (batch_codec(head) == CODEC_ZSTD)
            return done;
        skip(&c, batch_bytes(head));
        done += batch_bytes(head);
    }
    return rope->len;
}

void kafka_rope_cut(struct rope *rope, size_t len)
{
    if (len >= rope->len)
        return;
    rope->len = len;
    size_t i = 0;
    for (; len > 0; i++) {
        struct slice *s = &rope->slices[i];
        if (s->len > len)
            s->len = len;
        len -= s->len;
    }
    rope->count = i;
}
