/* Names of the simulated file system: lookups, and the calls that change or list directories. The root stands
 * for both "/" and the working directory; "." is skipped, ".." and links do not exist. */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "os/sim/file.h"

/* Cuts the first name off a path; empty at the end. */
static struct span next_name(const char **path)
{
    for (;;) {
        const char *from = *path + strspn(*path, "/");
        size_t len = strcspn(from, "/");
        *path = from + len;
        if (len != 1 || *from != '.')
            return span_of(from, len);
    }
}

int path_resolve(const char *path, struct inode **ret_dir, struct span *ret_name)
{
    struct disk *d = world()->disk;
    struct inode *dir = disk_inode(d, DISK_ROOT);
    struct span name = next_name(&path);
    for (struct span after; (after = next_name(&path)).len > 0; name = after) {
        dir = disk_inode(d, names_get(&dir->names_now, name));
        if (!dir || !dir->is_dir)
            return ERR_NOT_FOUND;
    }
    *ret_dir = dir;
    *ret_name = name;
    return 0;
}

static struct inode *find_in(const struct inode *dir, struct span name)
{
    struct disk *d = world()->disk;
    return name.len == 0 ? disk_inode(d, DISK_ROOT) : disk_inode(d, names_get(&dir->names_now, name));
}

struct inode *path_find(const char *path)
{
    struct inode *dir;
    struct span name;
    return path_resolve(path, &dir, &name) ? NULL : find_in(dir, name);
}

static struct inode *find_dir(const char *path)
{
    struct inode *f = path_find(path);
    return f && f->is_dir ? f : NULL;
}

int path_create(enum disk_op_kind kind, struct inode *dir, struct span name, struct inode **ret_inode)
{
    uint32_t ino = world()->disk->inode_count;
    if (!disk_has_room(1))
        return ERR_NO_SPACE;
    disk_do((struct disk_op){.kind = kind, .ino = ino, .dir = dir->ino, .name = blob_new(name)});
    *ret_inode = disk_inode(world()->disk, ino);
    return 0;
}

int os_mkdir(const char *path)
{
    struct inode *dir, *made;
    struct span name;
    int err = fault_check(SIM_FAIL_META);
    if (err == 0)
        err = path_resolve(path, &dir, &name);
    if (err)
        return err;
    return find_in(dir, name) ? ERR_EXISTS : path_create(DISK_MKDIR, dir, name, &made);
}

static int remove_name(const char *path, bool is_dir)
{
    struct inode *dir;
    struct span name;
    int err = fault_check(SIM_FAIL_META);
    if (err == 0)
        err = path_resolve(path, &dir, &name);
    if (err)
        return err;
    struct inode *f = find_in(dir, name);
    if (!f)
        return ERR_NOT_FOUND;
    if (f->is_dir != is_dir || f->ino == DISK_ROOT)
        return is_dir ? ERR_NOT_FOUND : ERR_IO; /* ENOTDIR, EISDIR */
    if (f->names_now.count)
        return ERR_EXISTS;
    disk_do((struct disk_op){
        .kind = is_dir ? DISK_RMDIR : DISK_UNLINK, .ino = f->ino, .dir = dir->ino, .name = blob_new(name)});
    return 0;
}

int os_unlink(const char *path)
{
    return remove_name(path, false);
}

int os_rmdir(const char *path)
{
    return remove_name(path, true);
}

static bool is_below(const struct inode *top, uint32_t ino)
{
    if (top->ino == ino)
        return true;
    for (size_t i = 0; i < top->names_now.count; i++) {
        const struct inode *f = disk_inode(world()->disk, top->names_now.items[i].ino);
        if (f->is_dir && is_below(f, ino))
            return true;
    }
    return false;
}

/* rename(2)'s rules for what may replace what. */
static int may_replace(const struct inode *f, const struct inode *old, const struct inode *new_dir)
{
    if (f->ino == DISK_ROOT || (f->is_dir && is_below(f, new_dir->ino)))
        return ERR_IO;
    if (!old)
        return 0;
    if (f->is_dir != old->is_dir)
        return old->is_dir ? ERR_IO : ERR_NOT_FOUND; /* EISDIR, ENOTDIR */
    return old->names_now.count ? ERR_EXISTS : 0;
}

int os_rename(const char *from, const char *to)
{
    struct inode *dir, *dir2;
    struct span name, name2;
    int err = fault_check(SIM_FAIL_META);
    if (err == 0)
        err = path_resolve(from, &dir, &name);
    if (err == 0)
        err = path_resolve(to, &dir2, &name2);
    if (err)
        return err;
    struct inode *f = find_in(dir, name), *old = find_in(dir2, name2);
    if (!f)
        return ERR_NOT_FOUND;
    if (f == old)
        return 0;
    err = may_replace(f, old, dir2);
    if (err)
        return err;
    disk_do((struct disk_op){.kind = DISK_RENAME,
                             .ino = f->ino,
                             .dir = dir->ino,
                             .name = blob_new(name),
                             .dir2 = dir2->ino,
                             .name2 = blob_new(name2)});
    return 0;
}

int os_sync_dir(const char *path)
{
    int err = fault_check(SIM_FAIL_SYNC);
    struct inode *dir = find_dir(path);
    if (err)
        return err;
    if (!dir)
        return ERR_NOT_FOUND;
    disk_do((struct disk_op){.kind = DISK_SYNC_DIR, .dir = dir->ino});
    return 0;
}

int os_path_size(const char *path, uint64_t *ret_bytes)
{
    int err = fault_check(SIM_FAIL_META);
    const struct inode *f = path_find(path);
    if (err)
        return err;
    if (!f)
        return ERR_NOT_FOUND;
    *ret_bytes = f->now.size;
    return 0;
}

int os_list(const char *dir, int (*fn)(void *arg, const char *name, bool is_dir), void *arg)
{
    struct names all; /* fn may change the directory */
    int err = fault_check(SIM_FAIL_META);
    const struct inode *d = find_dir(dir);
    if (err)
        return err;
    if (!d)
        return ERR_NOT_FOUND;
    names_copy(&all, &d->names_now);
    for (size_t i = 0; err == 0 && i < all.count; i++) {
        const struct inode *f = disk_inode(world()->disk, all.items[i].ino);
        struct blob *text = all.items[i].text;
        char *name = sim_zalloc(text->len + 1);
        memcpy(name, text->bytes, text->len);
        err = fn(arg, name, f && f->is_dir);
        sim_free(name);
    }
    names_fini(&all);
    return err;
}

int os_disk_space(const char *dir, uint64_t *ret_total, uint64_t *ret_free)
{
    const struct world *w = world();
    int err = fault_check(SIM_FAIL_META);
    if (err)
        return err;
    if (!find_dir(dir))
        return ERR_NOT_FOUND;
    uint64_t total = w->capacity == UINT64_MAX ? (uint64_t)1 << 40 : w->capacity;
    *ret_total = total;
    *ret_free = total > w->disk->used ? total - w->disk->used : 0;
    return 0;
}
