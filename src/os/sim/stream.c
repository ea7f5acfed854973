#include <assert.h>
#include <string.h>

#include "os/sim/sock.h"

void stream_push(struct stream *s, struct span bytes)
{
    if (bytes.len == 0)
        return;
    if (s->first + s->len + bytes.len > s->cap) {
        s->cap = 2 * (s->len + bytes.len);
        uint8_t *larger = sim_zalloc(s->cap);
        if (s->len)
            memcpy(larger, s->bytes + s->first, s->len);
        sim_free(s->bytes);
        s->bytes = larger;
        s->first = 0;
    }
    memcpy(s->bytes + s->first + s->len, bytes.ptr, bytes.len);
    s->len += bytes.len;
}

struct span stream_bytes(const struct stream *s)
{
    return s->bytes ? span_of(s->bytes + s->first, s->len) : span_of("", 0);
}

void stream_drop(struct stream *s, size_t len)
{
    assert(len <= s->len);
    s->first += len;
    s->len -= len;
    if (s->len == 0)
        s->first = 0;
}

void stream_fini(struct stream *s)
{
    sim_free(s->bytes);
    *s = (struct stream){0};
}
