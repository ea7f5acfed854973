/* gzip, RFC 1952: one member or several, one after the other. */
#include <assert.h>
#include <zlib.h>

#include "base/compress_impl.h"
#include "base/err.h"
#include "base/mem.h"

enum { GZIP_WINDOW = 15 + 16, GZIP_MEM_LEVEL = 8 }; /* + 16: with gzip's header and trailer, and no other */

void gzip_fini(struct compressor *z)
{
    if (z->inflate)
        inflateEnd(z->inflate);
    if (z->deflate)
        deflateEnd(z->deflate);
    mem_free(z->inflate);
    mem_free(z->deflate);
    z->inflate = z->deflate = NULL;
}

static int start_inflate(struct compressor *z)
{
    if (z->inflate)
        return inflateReset(z->inflate) == Z_OK ? 0 : ERR_BUG;
    z_stream *s = mem_zalloc(sizeof(*s));
    if (inflateInit2(s, GZIP_WINDOW) != Z_OK) {
        mem_free(s);
        return ERR_NO_MEMORY;
    }
    z->inflate = s;
    return 0;
}

/* After a call: 1 when all members are decoded, 0 to go on, or an error. */
static int after_inflate(z_stream *s, int r)
{
    if (r == Z_STREAM_END) {
        if (s->avail_in == 0)
            return 1;
        return inflateReset(s) == Z_OK ? 0 : ERR_BUG;
    }
    if (r == Z_MEM_ERROR)
        return ERR_NO_MEMORY;
    return r == Z_OK ? 0
                     : ERR_BAD_BATCH; /* damaged; or cut, which is Z_BUF_ERROR, since it always has room */
}

int gzip_decode(struct compressor *z, struct span in, size_t limit)
{
    int err = start_inflate(z);
    if (err)
        return err;
    z_stream *s = z->inflate;
    struct scratch *out = &z->decoded;
    s->next_in = (Bytef *)in.ptr; /* zlib does not write there */
    s->avail_in = (uInt)in.len;
    for (int done = 0; done == 0;) {
        err = scratch_more(out, limit);
        if (err)
            return err;
        s->next_out = out->ptr + out->len;
        s->avail_out = (uInt)(out->cap - out->len);
        int r = inflate(s, Z_NO_FLUSH);
        out->len = out->cap - s->avail_out;
        done = after_inflate(s, r);
        if (done < 0)
            return done;
    }
    return 0;
}

static int start_deflate(struct compressor *z, int level)
{
    if (z->deflate && z->deflate_level == level)
        return deflateReset(z->deflate) == Z_OK ? 0 : ERR_BUG;
    if (z->deflate)
        deflateEnd(z->deflate);
    else
        z->deflate = mem_alloc(sizeof(*z->deflate));
    *z->deflate = (z_stream){0};
    z->deflate_level = level;
    if (deflateInit2(z->deflate, level, Z_DEFLATED, GZIP_WINDOW, GZIP_MEM_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK)
        return 0;
    mem_free(z->deflate);
    z->deflate = NULL;
    return ERR_NO_MEMORY;
}

int gzip_encode(struct compressor *z, int level, struct span in)
{
    int err = start_deflate(z, level_clamp(level, 1, 9, Z_DEFAULT_COMPRESSION));
    if (err)
        return err;
    z_stream *s = z->deflate;
    struct scratch *out = &z->encoded;
    err = scratch_reserve(out, deflateBound(s, in.len), COMPRESS_MAX_BYTES);
    if (err)
        return err;
    s->next_in = (Bytef *)in.ptr;
    s->avail_in = (uInt)in.len;
    s->next_out = out->ptr;
    s->avail_out = (uInt)out->cap;
    int r = deflate(s, Z_FINISH);
    out->len = out->cap - s->avail_out;
    return r == Z_STREAM_END ? 0 : ERR_BUG;
}
