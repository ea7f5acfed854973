/* Index file format. All integers little-endian.
 *
 *   0  u64 magic "CLBINDX1"   8 u64 base offset of the segment
 *   then entries of 24 bytes:
 *   0  u64 offset of a batch   8 u32 its position   12 u32 CRC-32C of base offset and the other fields
 *  16  i64 largest timestamp of all batches before it (INT64_MIN: none)
 *
 * The first entry is that of the first batch, at position 0. The file is a help, never the truth: it is not
 * synced, is checked when loaded, and what is missing is made again from the segment. */
#include "store/index.h"

#include "base/crc32c.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/le.h"

static const char magic[8] = "CLBINDX1";

void index_init(struct index *x)
{
    *x = (struct index){0};
}

void index_fini(struct index *x)
{
    mem_free(x->entries);
    index_init(x);
}

void index_add(struct index *x, struct index_entry e)
{
    if (x->count == x->cap) {
        x->cap = x->cap ? x->cap * 2 : 16;
        x->entries = mem_realloc(x->entries, x->cap * sizeof(*x->entries));
    }
    x->entries[x->count++] = e;
}

/* The number of entries for which below() holds; they come first. */
static size_t partition_point(const struct index *x, bool (*below)(const struct index_entry *, int64_t),
                              int64_t v)
{
    size_t lo = 0, hi = x->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (below(&x->entries[mid], v))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool at_or_before(const struct index_entry *e, int64_t offset)
{
    return e->offset <= (uint64_t)offset;
}

static bool all_older(const struct index_entry *e, int64_t ts)
{
    return e->max_before < ts;
}

uint32_t index_find_offset(const struct index *x, uint64_t offset)
{
    size_t n = partition_point(x, at_or_before, (int64_t)offset);
    return n ? x->entries[n - 1].pos : 0;
}

uint32_t index_find_time(const struct index *x, int64_t ts)
{
    size_t n = partition_point(x, all_older, ts);
    return n ? x->entries[n - 1].pos : 0;
}

void index_encode_header(uint64_t base, uint8_t ret[INDEX_HEADER_BYTES])
{
    memcpy(ret, magic, 8);
    le_put_u64(ret + 8, base);
}

static uint32_t entry_crc(const uint8_t *e, uint64_t base)
{
    uint8_t head[8];
    le_put_u64(head, base);
    uint32_t crc = crc32c(head, sizeof(head));
    crc = crc32c_more(crc, e, 12);
    return crc32c_more(crc, e + 16, 8);
}

void index_encode(const struct index_entry *e, uint64_t base, uint8_t ret[INDEX_ENTRY_BYTES])
{
    le_put_u64(ret, e->offset);
    le_put_u32(ret + 8, e->pos);
    le_put_u64(ret + 16, (uint64_t)e->max_before);
    le_put_u32(ret + 12, entry_crc(ret, base));
}

bool index_entry_decode(const uint8_t p[INDEX_ENTRY_BYTES], uint64_t base, struct index_entry *ret)
{
    *ret = (struct index_entry){le_u64(p), le_u32(p + 8), (int64_t)le_u64(p + 16)};
    return entry_crc(p, base) == le_u32(p + 12);
}

int index_header_decode(const uint8_t p[INDEX_HEADER_BYTES], uint64_t *ret_base)
{
    if (memcmp(p, magic, sizeof(magic)) != 0)
        return ERR_CORRUPT;
    *ret_base = le_u64(p + 8);
    return 0;
}

static bool follows(const struct index_entry *last, const struct index_entry *e)
{
    if (!last)
        return e->pos == 0;
    return e->offset > last->offset && e->pos > last->pos && e->max_before >= last->max_before;
}

int index_decode(struct span file, uint64_t base, uint64_t next, uint64_t len, struct index *ret)
{
    uint64_t says;
    if (file.len < INDEX_HEADER_BYTES || index_header_decode(file.ptr, &says) != 0 || says != base)
        return ERR_CORRUPT;
    const uint8_t *end = file.ptr + file.len;
    for (const uint8_t *p = file.ptr + INDEX_HEADER_BYTES; end - p >= INDEX_ENTRY_BYTES;
         p += INDEX_ENTRY_BYTES) {
        struct index_entry e;
        const struct index_entry *last = ret->count ? &ret->entries[ret->count - 1] : NULL;
        if (!index_entry_decode(p, base, &e) || e.offset < base || e.offset >= next || e.pos >= len ||
            !follows(last, &e))
            break;
        index_add(ret, e);
    }
    return 0;
}
