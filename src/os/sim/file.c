/* Open files of the simulated file system. */
#include "os/sim/file.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"

void disk_do(struct disk_op op)
{
    struct world *w = world();
    world_trace('o', op.kind, (uint64_t)op.ino << 32 | op.dir);
    world_trace('p', op.pos, op.data ? op.data->len : op.len);
    oplog_add(&w->log, w->disk, &op);
    disk_apply(w->disk, &op);
    disk_op_fini(&op);
}

bool disk_has_room(uint64_t pages)
{
    const struct world *w = world();
    return w->disk->used <= w->capacity && pages <= (w->capacity - w->disk->used) / SIM_PAGE;
}

/* ---- handles ---- */

static struct handle *handle_at(int file)
{
    struct world *w = world();
    assert(file >= 0 && (size_t)file < w->handle_count && w->handles[file].ino);
    return &w->handles[file];
}

static struct inode *inode_at(int file)
{
    return disk_inode(world()->disk, handle_at(file)->ino);
}

/* The lowest free number, as a kernel does: whoever uses a handle after closing it shall meet another file.
 */
static int handle_new(struct inode *f, int flags)
{
    struct world *w = world();
    size_t i = 0;
    while (i < w->handle_count && w->handles[i].ino)
        i++;
    if (i == w->handle_count) {
        w->handles = sim_grow(w->handles, i, &w->handle_cap, sizeof *w->handles);
        w->handle_count++;
    }
    w->handles[i] = (struct handle){.ino = f->ino, .flags = flags};
    w->open_files++;
    f->handles++;
    disk_settle(w->disk, f);
    return (int)i;
}

static int open_path(const char *path, int flags)
{
    struct inode *dir, *f;
    struct span name;
    int err = path_resolve(path, &dir, &name);
    if (err)
        return err;
    uint32_t ino = name.len ? names_get(&dir->names_now, name) : DISK_ROOT;
    f = disk_inode(world()->disk, ino);
    if (!f && !(flags & OS_CREATE))
        return ERR_NOT_FOUND;
    if (f && (flags & OS_CREATE) && (flags & OS_EXCL))
        return ERR_EXISTS;
    if (f && f->is_dir)
        return ERR_IO; /* EISDIR */
    if (!f && (err = path_create(DISK_CREATE, dir, name, &f)))
        return err;
    if ((flags & OS_TRUNC) && f->now.size > 0)
        disk_do((struct disk_op){.kind = DISK_TRUNCATE, .ino = f->ino});
    return handle_new(f, flags);
}

int os_open(const char *path, int flags)
{
    assert(!(flags & (OS_CREATE | OS_TRUNC)) || (flags & OS_WRITE));
    int err = fault_check(SIM_FAIL_META);
    return err ? err : open_path(path, flags);
}

void os_close(int file)
{
    struct world *w = world();
    struct inode *f = inode_at(file);
    *handle_at(file) = (struct handle){0};
    w->open_files--;
    f->handles--;
    disk_settle(w->disk, f);
}

int sim_open_files(void)
{
    return world()->open_files;
}

int os_lock(const char *path)
{
    static const struct span pid = {(const uint8_t *)"1\n", 2};
    struct world *w = world();
    int err = fault_check(SIM_FAIL_META);
    if (err)
        return err;
    const struct inode *there = path_find(path);
    for (size_t i = 0; there && i < w->handle_count; i++)
        if (w->handles[i].ino == there->ino && w->handles[i].locked)
            return ERR_LOCKED;
    int file = open_path(path, OS_WRITE | OS_CREATE | OS_TRUNC);
    if (file < 0)
        return file;
    handle_at(file)->locked = true;
    if (disk_has_room(1))
        disk_do((struct disk_op){.kind = DISK_WRITE, .ino = handle_at(file)->ino, .data = blob_new(pid)});
    return file;
}

/* ---- reading ---- */

int64_t os_pread(int file, void *ret_bytes, size_t len, uint64_t pos)
{
    const struct inode *f = inode_at(file);
    int err = fault_check(SIM_FAIL_READ);
    return err ? err : (int64_t)content_read(&f->now, pos, ret_bytes, len);
}

/* The dice say what is in memory. */
int64_t os_pread_nowait(int file, void *ret_bytes, size_t len, uint64_t pos)
{
    const struct inode *f = inode_at(file);
    int err = fault_check(SIM_FAIL_READ);
    if (err)
        return err;
    uint64_t luck = sim_random_below(8);
    if (luck < 2)
        return ERR_AGAIN;
    if (luck == 2 && len > 1)
        len = 1 + sim_random_below(len);
    return (int64_t)content_read(&f->now, pos, ret_bytes, len);
}

int64_t os_size(int file)
{
    const struct inode *f = inode_at(file);
    int err = fault_check(SIM_FAIL_META);
    return err ? err : (int64_t)f->now.size;
}

/* ---- writing ---- */

static struct inode *writable(int file)
{
    assert(handle_at(file)->flags & OS_WRITE);
    return inode_at(file);
}

static struct blob *join(const struct span *spans, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += spans[i].len;
    struct blob *all = sim_zalloc(sizeof *all + len);
    all->refs = 1;
    for (size_t i = 0; i < count; i++) {
        if (spans[i].len)
            memcpy(all->bytes + all->len, spans[i].ptr, spans[i].len);
        all->len += spans[i].len;
    }
    return all;
}

/* How many bytes of the write the disk has room for. */
static size_t fitting(const struct inode *f, uint64_t pos, size_t len)
{
    uint64_t pages = 0;
    for (size_t done = 0, n; done < len; done += n) {
        n = SIM_PAGE - (pos + done) % SIM_PAGE;
        pages += content_holes(&f->now, pos + done, 1);
        if (!disk_has_room(pages))
            return done;
        if (n > len - done)
            n = len - done;
    }
    return len;
}

/* A failed write may have placed some of its bytes: the first ones, as many as the dice and the room allow.
 */
int os_pwrite(int file, const struct span *spans, size_t count, uint64_t pos)
{
    const struct inode *f = writable(file);
    int err = fault_check(SIM_FAIL_WRITE);
    struct blob *all = join(spans, count);
    size_t fit = fitting(f, pos, all->len);
    if (err == 0 && fit < all->len)
        err = ERR_NO_SPACE;
    if (err)
        all->len = sim_random_below(fit + 1);
    if (all->len > 0)
        disk_do((struct disk_op){.kind = DISK_WRITE, .ino = f->ino, .pos = pos, .data = all});
    else
        blob_unref(all);
    return err;
}

int os_fdatasync(int file)
{
    const struct inode *f = inode_at(file);
    int err = fault_check(SIM_FAIL_SYNC);
    disk_do((struct disk_op){.kind = err ? DISK_SYNC_FAILED : DISK_SYNC, .ino = f->ino});
    return err;
}

int os_truncate(int file, uint64_t len)
{
    const struct inode *f = writable(file);
    int err = fault_check(SIM_FAIL_WRITE);
    if (err == 0)
        disk_do((struct disk_op){.kind = DISK_TRUNCATE, .ino = f->ino, .pos = len});
    return err;
}

int os_allocate(int file, uint64_t pos, uint64_t len)
{
    const struct inode *f = writable(file);
    int err = fault_check(SIM_FAIL_WRITE);
    assert(len > 0);
    if (err == 0 && !disk_has_room(content_holes(&f->now, pos, len)))
        err = ERR_NO_SPACE;
    if (err == 0)
        disk_do((struct disk_op){.kind = DISK_ALLOCATE, .ino = f->ino, .pos = pos, .len = len});
    return err;
}

/* Un-synced sectors may reach the disk at any time anyway. */
void os_write_hint(int file, uint64_t pos, uint64_t len)
{
    (void)handle_at(file);
}
