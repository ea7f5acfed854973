#include "os/sim/content.h"

#include <assert.h>
#include <string.h>

#include "os/sim/blob.h"

struct page {
    unsigned refs;
    uint8_t bytes[SIM_PAGE];
};

struct content_leaf {
    unsigned refs;
    struct page *pages[SIM_LEAF_PAGES]; /* NULL: a hole */
};

static struct page zero_page; /* what is reserved and was never written; its refs are not counted */

static struct page *page_ref(struct page *p)
{
    if (p && p != &zero_page)
        p->refs++;
    return p;
}

static void page_unref(struct page *p)
{
    if (p && p != &zero_page && --p->refs == 0)
        sim_free(p);
}

static void leaf_unref(struct content_leaf *leaf)
{
    if (!leaf || --leaf->refs > 0)
        return;
    for (size_t i = 0; i < SIM_LEAF_PAGES; i++)
        page_unref(leaf->pages[i]);
    sim_free(leaf);
}

void content_fini(struct content *c)
{
    for (size_t i = 0; i < c->leaf_count; i++)
        leaf_unref(c->leaves[i]);
    sim_free(c->leaves);
    *c = (struct content){0};
}

void content_copy(struct content *dst, const struct content *src)
{
    *dst = *src;
    dst->leaves = NULL;
    if (src->leaf_count == 0)
        return;
    dst->leaves = sim_zalloc(src->leaf_count * sizeof *src->leaves);
    for (size_t i = 0; i < src->leaf_count; i++)
        if ((dst->leaves[i] = src->leaves[i]))
            src->leaves[i]->refs++;
}

static const struct page *page_at(const struct content *c, uint64_t index)
{
    uint64_t leaf = index / SIM_LEAF_PAGES;
    if (leaf >= c->leaf_count || !c->leaves[leaf])
        return NULL;
    return c->leaves[leaf]->pages[index % SIM_LEAF_PAGES];
}

/* The slot of a page, in a leaf that only this content has. */
static struct page **page_slot(struct content *c, uint64_t index)
{
    size_t at = index / SIM_LEAF_PAGES;
    if (at >= c->leaf_count) {
        c->leaves = sim_realloc(c->leaves, (at + 1) * sizeof *c->leaves);
        memset(c->leaves + c->leaf_count, 0, (at + 1 - c->leaf_count) * sizeof *c->leaves);
        c->leaf_count = at + 1;
    }
    struct content_leaf *old = c->leaves[at];
    if (!old || old->refs > 1) {
        struct content_leaf *own = sim_zalloc(sizeof *own);
        own->refs = 1;
        for (size_t i = 0; old && i < SIM_LEAF_PAGES; i++)
            own->pages[i] = page_ref(old->pages[i]);
        leaf_unref(old);
        c->leaves[at] = own;
    }
    return &c->leaves[at]->pages[index % SIM_LEAF_PAGES];
}

/* A page that only this content has, to write into. */
static struct page *page_own(struct content *c, uint64_t index)
{
    struct page **slot = page_slot(c, index);
    struct page *old = *slot;
    if (old && old != &zero_page && old->refs == 1)
        return old;
    struct page *own = sim_zalloc(sizeof *own);
    own->refs = 1;
    if (old)
        memcpy(own->bytes, old->bytes, SIM_PAGE);
    else
        c->pages++;
    page_unref(old);
    *slot = own;
    return own;
}

static void page_drop(struct content *c, uint64_t index)
{
    if (!page_at(c, index))
        return;
    struct page **slot = page_slot(c, index);
    page_unref(*slot);
    *slot = NULL;
    c->pages--;
}

static size_t piece(uint64_t pos, size_t len)
{
    size_t room = SIM_PAGE - pos % SIM_PAGE;
    return len < room ? len : room;
}

size_t content_read(const struct content *c, uint64_t pos, void *ret_bytes, size_t len)
{
    uint8_t *to = ret_bytes;
    if (pos >= c->size)
        return 0;
    if (len > c->size - pos)
        len = (size_t)(c->size - pos);
    for (size_t done = 0, n; done < len; done += n) {
        const struct page *p = page_at(c, (pos + done) / SIM_PAGE);
        n = piece(pos + done, len - done);
        if (p)
            memcpy(to + done, p->bytes + (pos + done) % SIM_PAGE, n);
        else
            memset(to + done, 0, n);
    }
    return len;
}

void content_put(struct content *c, uint64_t pos, struct span bytes)
{
    for (size_t done = 0, n; done < bytes.len; done += n) {
        n = piece(pos + done, bytes.len - done);
        struct page *p = page_own(c, (pos + done) / SIM_PAGE);
        memcpy(p->bytes + (pos + done) % SIM_PAGE, bytes.ptr + done, n);
    }
}

void content_write(struct content *c, uint64_t pos, struct span bytes)
{
    content_put(c, pos, bytes);
    if (bytes.len && pos + bytes.len > c->size)
        c->size = pos + bytes.len;
}

void content_truncate(struct content *c, uint64_t size)
{
    uint64_t first = (size + SIM_PAGE - 1) / SIM_PAGE; /* to drop */
    for (size_t i = 0; i < c->leaf_count; i++) {
        uint64_t base = (uint64_t)i * SIM_LEAF_PAGES;
        for (uint64_t p = base < first ? first : base; c->leaves[i] && p < base + SIM_LEAF_PAGES; p++)
            page_drop(c, p);
    }
    uint64_t last = size / SIM_PAGE;
    const struct page *tail = size % SIM_PAGE ? page_at(c, last) : NULL;
    if (tail && tail != &zero_page)
        memset(page_own(c, last)->bytes + size % SIM_PAGE, 0, SIM_PAGE - size % SIM_PAGE);
    c->size = size;
}

void content_reserve(struct content *c, uint64_t pos, uint64_t len)
{
    for (uint64_t i = pos / SIM_PAGE; len && i <= (pos + len - 1) / SIM_PAGE; i++)
        if (!page_at(c, i)) {
            *page_slot(c, i) = &zero_page;
            c->pages++;
        }
}

uint64_t content_holes(const struct content *c, uint64_t pos, uint64_t len)
{
    uint64_t holes = 0;
    for (uint64_t i = pos / SIM_PAGE; len && i <= (pos + len - 1) / SIM_PAGE; i++)
        holes += page_at(c, i) == NULL;
    return holes;
}

void content_take_page(struct content *dst, const struct content *src, uint64_t index)
{
    struct page *p = (struct page *)(uintptr_t)page_at(src, index);
    if (p == page_at(dst, index))
        return;
    page_drop(dst, index);
    if (p) {
        *page_slot(dst, index) = page_ref(p);
        dst->pages++;
    }
}
