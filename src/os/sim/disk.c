#include "os/sim/disk.h"

#include <assert.h>
#include <string.h>

/* ---- life of disks and inodes ---- */

void disk_op_fini(struct disk_op *op)
{
    blob_unref(op->name);
    blob_unref(op->name2);
    blob_unref(op->data);
}

struct disk_op disk_op_copy(const struct disk_op *op)
{
    blob_ref(op->name);
    blob_ref(op->name2);
    blob_ref(op->data);
    return *op;
}

bool disk_op_is_dir(const struct disk_op *op)
{
    return op->kind <= DISK_RENAME;
}

struct inode *disk_inode(const struct disk *d, uint32_t ino)
{
    return ino < d->inode_count ? d->inodes[ino] : NULL;
}

struct inode *disk_add_inode(struct disk *d, uint32_t ino, bool is_dir)
{
    while (d->inode_count <= ino) {
        d->inodes = sim_grow(d->inodes, d->inode_count, &d->inode_cap, sizeof *d->inodes);
        d->inodes[d->inode_count++] = NULL;
    }
    assert(!d->inodes[ino]);
    struct inode *f = d->inodes[ino] = sim_zalloc(sizeof *f);
    f->ino = ino;
    f->is_dir = is_dir;
    return f;
}

struct disk *disk_new(void)
{
    struct disk *d = sim_zalloc(sizeof *d);
    struct inode *root = disk_add_inode(d, DISK_ROOT, true);
    root->links = 1;
    disk_settle(d, root);
    return d;
}

static void pending_clear(struct inode *f)
{
    for (size_t i = 0; i < f->pending_count; i++)
        blob_unref(f->pending[i].data);
    f->pending_count = 0;
}

static void inode_free(struct inode *f)
{
    pending_clear(f);
    content_fini(&f->now);
    content_fini(&f->synced);
    names_fini(&f->names_now);
    names_fini(&f->names_synced);
    sim_free(f->pending);
    sim_free(f->clean);
    sim_free(f);
}

void disk_free(struct disk *d)
{
    if (!d)
        return;
    for (uint32_t i = 0; i < d->inode_count; i++)
        if (d->inodes[i])
            inode_free(d->inodes[i]);
    for (size_t i = 0; i < d->dir_op_count; i++)
        disk_op_fini(&d->dir_ops[i]);
    sim_free(d->inodes);
    sim_free(d->dir_ops);
    sim_free(d);
}

static struct inode *inode_clone(const struct inode *f)
{
    struct inode *c = sim_zalloc(sizeof *c);
    *c = *f;
    content_copy(&c->now, &f->now);
    content_copy(&c->synced, &f->synced);
    names_copy(&c->names_now, &f->names_now);
    names_copy(&c->names_synced, &f->names_synced);
    c->pending_cap = f->pending_count;
    c->pending = sim_zalloc(f->pending_count * sizeof *f->pending);
    for (size_t i = 0; i < f->pending_count; i++) {
        c->pending[i] = f->pending[i];
        blob_ref(c->pending[i].data);
    }
    c->clean_cap = f->clean_count;
    c->clean = sim_zalloc(f->clean_count * sizeof *f->clean);
    if (f->clean_count)
        memcpy(c->clean, f->clean, f->clean_count * sizeof *f->clean);
    c->handles = 0;
    return c;
}

struct disk *disk_clone(const struct disk *d)
{
    struct disk *c = sim_zalloc(sizeof *c);
    *c = *d;
    c->inode_cap = d->inode_count;
    c->inodes = sim_zalloc(d->inode_count * sizeof *d->inodes);
    c->dir_op_cap = d->dir_op_count;
    c->dir_ops = sim_zalloc(d->dir_op_count * sizeof *d->dir_ops);
    for (size_t i = 0; i < d->dir_op_count; i++)
        c->dir_ops[i] = disk_op_copy(&d->dir_ops[i]);
    for (uint32_t i = 0; i < d->inode_count; i++)
        if (d->inodes[i])
            c->inodes[i] = inode_clone(d->inodes[i]);
    for (uint32_t i = 0; i < d->inode_count; i++)
        if (c->inodes[i])
            disk_settle(c, c->inodes[i]); /* without handles some are gone */
    return c;
}

void disk_settle(struct disk *d, struct inode *f)
{
    uint64_t charge = f->links || f->handles ? (1 + f->now.pages) * SIM_PAGE : 0;
    d->used += charge - f->charge;
    f->charge = charge;
    if (f->links || f->held || f->handles)
        return;
    d->inodes[f->ino] = NULL;
    inode_free(f);
}

/* ---- data ---- */

static void pending_add(struct inode *f, bool is_truncate, uint64_t pos, struct blob *data)
{
    f->pending = sim_grow(f->pending, f->pending_count, &f->pending_cap, sizeof *f->pending);
    f->pending[f->pending_count++] = (struct unsynced){is_truncate, pos, data};
}

static size_t clean_place(const struct inode *f, uint64_t page)
{
    size_t lo = 0, hi = f->clean_count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (f->clean[mid] < page)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void clean_add(struct inode *f, uint64_t page)
{
    size_t at = clean_place(f, page);
    if (at < f->clean_count && f->clean[at] == page)
        return;
    f->clean = sim_grow(f->clean, f->clean_count, &f->clean_cap, sizeof *f->clean);
    memmove(f->clean + at + 1, f->clean + at, (f->clean_count - at) * sizeof *f->clean);
    f->clean[at] = page;
    f->clean_count++;
}

static void clean_del(struct inode *f, size_t at)
{
    f->clean_count--;
    memmove(f->clean + at, f->clean + at + 1, (f->clean_count - at) * sizeof *f->clean);
}

/* A write makes the whole page dirty again, with what a failed sync left behind in it. */
static void redirty(struct inode *f, uint64_t pos, uint64_t len)
{
    uint8_t bytes[SIM_PAGE];
    size_t at = clean_place(f, pos / SIM_PAGE);
    while (len && at < f->clean_count && f->clean[at] <= (pos + len - 1) / SIM_PAGE) {
        uint64_t start = f->clean[at] * SIM_PAGE;
        size_t n = content_read(&f->now, start, bytes, sizeof bytes);
        pending_add(f, false, start, blob_new(span_of(bytes, n)));
        clean_del(f, at);
    }
}

static void do_write(struct disk *d, struct inode *f, const struct disk_op *op)
{
    redirty(f, op->pos, op->data->len);
    content_write(&f->now, op->pos, blob_span(op->data));
    pending_add(f, false, op->pos, blob_ref(op->data));
    d->last_write = f->ino;
}

static void do_truncate(struct inode *f, uint64_t size)
{
    while (f->clean_count && f->clean[f->clean_count - 1] * SIM_PAGE >= size)
        f->clean_count--;
    if (size % SIM_PAGE)
        redirty(f, size, 1);
    content_truncate(&f->now, size);
    pending_add(f, true, size, NULL);
}

static void do_sync(struct inode *f)
{
    struct content before = f->synced;
    content_copy(&f->synced, &f->now);
    for (size_t i = 0; i < f->clean_count; i++)
        content_take_page(&f->synced, &before, f->clean[i]);
    content_fini(&before);
    pending_clear(f);
}

/* Written data is forgotten as dirty; truncates are the file system's own and are tried again. */
static void do_sync_failed(struct inode *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->pending_count; i++) {
        struct unsynced u = f->pending[i];
        if (u.is_truncate) {
            f->pending[kept++] = u;
            continue;
        }
        for (uint64_t p = u.pos / SIM_PAGE; u.data->len && p <= (u.pos + u.data->len - 1) / SIM_PAGE; p++)
            if (p * SIM_PAGE < f->now.size)
                clean_add(f, p);
        blob_unref(u.data);
    }
    f->pending_count = kept;
}

static void do_corrupt(struct inode *f, const struct disk_op *op)
{
    content_put(&f->now, op->pos, blob_span(op->data));
    if (op->pos < f->synced.size)
        content_put(&f->synced, op->pos, blob_span(op->data));
}

/* ---- names ---- */

void disk_link(struct names *from, struct names *to, const struct disk_op *op)
{
    bool there = names_get(from, blob_span(op->name)) == op->ino;
    if (op->kind == DISK_CREATE || op->kind == DISK_MKDIR)
        names_put(from, op->name, op->ino);
    else if (there)
        names_del(from, blob_span(op->name));
    if (op->kind == DISK_RENAME && to)
        names_put(to, op->name2, op->ino);
}

static void hold(struct disk *d, uint32_t ino, int by)
{
    struct inode *f = disk_inode(d, ino);
    if (!f)
        return;
    f->held += (unsigned)by;
    disk_settle(d, f);
}

static void do_dir_op(struct disk *d, const struct disk_op *op)
{
    struct inode *dir = disk_inode(d, op->dir);
    struct inode *dir2 = op->kind == DISK_RENAME ? disk_inode(d, op->dir2) : NULL;
    struct inode *f = disk_inode(d, op->ino), *replaced = NULL;
    if (op->kind == DISK_CREATE || op->kind == DISK_MKDIR)
        f = disk_add_inode(d, op->ino, op->kind == DISK_MKDIR);
    if (dir2)
        replaced = disk_inode(d, names_get(&dir2->names_now, blob_span(op->name2)));
    assert(dir && f && (op->kind != DISK_RENAME || dir2));
    disk_link(&dir->names_now, dir2 ? &dir2->names_now : NULL, op);
    d->dir_ops = sim_grow(d->dir_ops, d->dir_op_count, &d->dir_op_cap, sizeof *d->dir_ops);
    d->dir_ops[d->dir_op_count++] = disk_op_copy(op);
    f->held++;
    f->links = op->kind != DISK_UNLINK && op->kind != DISK_RMDIR;
    disk_settle(d, f);
    if (replaced && replaced != f) {
        replaced->links = 0;
        disk_settle(d, replaced);
    }
}

static bool touches(const struct disk_op *op, uint32_t dir)
{
    return op->dir == dir || (op->kind == DISK_RENAME && op->dir2 == dir);
}

/* Whether dir_ops[at] must be durable when `dir` is: it is about that directory, or a later one about the
 * same inode is (a rename is never durable without the create before it). */
static bool must_flush(const struct disk *d, size_t at, uint32_t dir)
{
    for (size_t i = at; i < d->dir_op_count; i++)
        if ((i == at || d->dir_ops[i].ino == d->dir_ops[at].ino) && touches(&d->dir_ops[i], dir))
            return true;
    return false;
}

/* Does a pending operation to the synced tables. Names hold inodes: new ones first, so that none is dropped
 * in between. */
static void flush_dir_op(struct disk *d, const struct disk_op *op)
{
    struct inode *dir = disk_inode(d, op->dir);
    struct inode *dir2 = op->kind == DISK_RENAME ? disk_inode(d, op->dir2) : NULL;
    struct names none = {0};
    struct names *from = dir ? &dir->names_synced : &none, *to = dir2 ? &dir2->names_synced : NULL;
    uint32_t before = names_get(from, blob_span(op->name));
    uint32_t before2 = to ? names_get(to, blob_span(op->name2)) : 0;
    disk_link(from, to, op);
    hold(d, names_get(from, blob_span(op->name)), 1);
    hold(d, to ? names_get(to, blob_span(op->name2)) : 0, 1);
    hold(d, before, -1);
    hold(d, before2, -1);
    names_fini(&none);
}

/* What was made or unlinked in a directory that is durably gone concerns nobody any more. */
static bool is_moot(const struct disk *d, const struct disk_op *op)
{
    return op->kind != DISK_RENAME && !disk_inode(d, op->dir);
}

static void do_sync_dir(struct disk *d, uint32_t dir)
{
    size_t kept = 0, count = d->dir_op_count;
    bool *flush = sim_zalloc(count);
    for (size_t i = 0; i < count; i++)
        flush[i] = must_flush(d, i, dir);
    for (size_t i = 0; i < count; i++)
        if (flush[i] && !is_moot(d, &d->dir_ops[i]))
            flush_dir_op(d, &d->dir_ops[i]);
    for (size_t i = 0; i < count; i++) {
        struct disk_op op = d->dir_ops[i];
        if (!flush[i] && !is_moot(d, &op)) {
            d->dir_ops[kept++] = op;
            continue;
        }
        hold(d, op.ino, -1);
        disk_op_fini(&op);
    }
    d->dir_op_count = kept;
    sim_free(flush);
}

/* ---- all ---- */

void disk_apply(struct disk *d, const struct disk_op *op)
{
    d->ops++;
    if (disk_op_is_dir(op)) {
        do_dir_op(d, op);
        return;
    }
    if (op->kind == DISK_SYNC_DIR) {
        do_sync_dir(d, op->dir);
        return;
    }
    struct inode *f = disk_inode(d, op->ino);
    if (!f) /* unlinked and open when this was logged */
        return;
    if (op->kind == DISK_WRITE)
        do_write(d, f, op);
    else if (op->kind == DISK_TRUNCATE)
        do_truncate(f, op->pos);
    else if (op->kind == DISK_ALLOCATE)
        content_reserve(&f->now, op->pos, op->len);
    else if (op->kind == DISK_SYNC)
        do_sync(f);
    else if (op->kind == DISK_SYNC_FAILED)
        do_sync_failed(f);
    else
        do_corrupt(f, op);
    disk_settle(d, f);
}
