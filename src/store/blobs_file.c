/* Blobs on local files: a name is a path below the root. */
#include "store/blobs.h"

#include <assert.h>
#include <stdio.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "os/os.h"

enum { PATH_BYTES = 768 };

struct blobs_file {
    struct blobs base;
    char *root;
};

static const char *path_of(const struct blobs *b, const char *name, char path[PATH_BYTES])
{
    int n = snprintf(path, PATH_BYTES, "%s/%s", container_of(b, struct blobs_file, base)->root, name);
    assert(n > 0 && n < PATH_BYTES);
    return path;
}

/* The folder of a path; "" if there is none. */
static const char *parent_of(const char *path, char parent[PATH_BYTES])
{
    snprintf(parent, PATH_BYTES, "%s", path);
    char *slash = strrchr(parent, '/');
    *(slash ? slash : parent) = 0;
    return parent;
}

static int open_blob(struct blobs *b, const char *name, int flags)
{
    char path[PATH_BYTES], folder[PATH_BYTES];
    int how = (flags & BLOB_WRITE ? OS_WRITE : OS_READ) | (flags & BLOB_CREATE ? OS_CREATE : 0) |
              (flags & BLOB_EMPTY ? OS_TRUNC : 0);
    int blob = os_open(path_of(b, name, path), how);
    if (blob != ERR_NOT_FOUND || !(flags & BLOB_CREATE))
        return blob;
    int err = os_mkdir(parent_of(path, folder));
    return err && err != ERR_EXISTS ? err : os_open(path, how);
}

static void close_blob(struct blobs *b, int blob)
{
    os_close(blob);
}

static int64_t read_blob(struct blobs *b, int blob, void *ret_bytes, size_t len, uint64_t pos)
{
    return os_pread(blob, ret_bytes, len, pos);
}

static int64_t read_cached(struct blobs *b, int blob, void *ret_bytes, size_t len, uint64_t pos)
{
    return os_pread_nowait(blob, ret_bytes, len, pos);
}

static int reserve(struct blobs *b, int blob, uint64_t pos, uint64_t len)
{
    int err = os_allocate(blob, pos, len);
    return err == ERR_UNSUPPORTED ? 0 : err;
}

static int append(struct blobs *b, int blob, const struct span *spans, size_t count, uint64_t pos)
{
    return os_pwrite(blob, spans, count, pos);
}

static void write_soon(struct blobs *b, int blob, uint64_t pos, uint64_t len)
{
    os_write_hint(blob, pos, len);
}

static int sync_blob(struct blobs *b, int blob)
{
    return os_fdatasync(blob);
}

static int cut(struct blobs *b, int blob, uint64_t len)
{
    return os_truncate(blob, len);
}

static int size(struct blobs *b, const char *name, uint64_t *ret_bytes)
{
    char path[PATH_BYTES];
    return os_path_size(path_of(b, name, path), ret_bytes);
}

static int list(struct blobs *b, const char *folder, int (*fn)(void *, const char *, bool), void *arg)
{
    char path[PATH_BYTES];
    return os_list(path_of(b, folder, path), fn, arg);
}

static int remove_blob(struct blobs *b, const char *name)
{
    char path[PATH_BYTES];
    return os_unlink(path_of(b, name, path));
}

static int remove_folder(struct blobs *b, const char *folder)
{
    char path[PATH_BYTES];
    return os_rmdir(path_of(b, folder, path));
}

static int sync_names(struct blobs *b, const char *folder)
{
    char path[PATH_BYTES], parent[PATH_BYTES];
    int err = os_sync_dir(path_of(b, folder, path));
    return err ? err : os_sync_dir(parent_of(path, parent));
}

static int write_whole(const char *path, struct span bytes)
{
    int file = os_open(path, OS_WRITE | OS_CREATE | OS_TRUNC);
    if (file < 0)
        return file;
    int err = os_pwrite(file, &bytes, 1, 0);
    if (!err)
        err = os_fdatasync(file);
    os_close(file);
    return err;
}

/* Written under another name, synced, renamed, and the name synced. */
static int put(struct blobs *b, const char *name, struct span bytes)
{
    char path[PATH_BYTES], tmp[PATH_BYTES + 4], folder[PATH_BYTES];
    path_of(b, name, path);
    snprintf(tmp, sizeof(tmp), "%s.tmp", path);
    int err = write_whole(tmp, bytes);
    if (!err)
        err = os_rename(tmp, path);
    if (err) {
        os_unlink(tmp); /* on a full disk what was written of it would be in the way */
        return err;
    }
    return os_sync_dir(parent_of(path, folder));
}

static void free_blobs(struct blobs *b)
{
    struct blobs_file *f = container_of(b, struct blobs_file, base);
    mem_free(f->root);
    mem_free(f);
}

static const struct blob_ops file_ops = {
    .put = put,
    .size = size,
    .list = list,
    .remove = remove_blob,
    .remove_folder = remove_folder,
    .open = open_blob,
    .close = close_blob,
    .read = read_blob,
    .read_cached = read_cached,
    .reserve = reserve,
    .append = append,
    .write_soon = write_soon,
    .sync = sync_blob,
    .cut = cut,
    .sync_names = sync_names,
    .free = free_blobs,
};

struct blobs *blobs_file_new(const char *root)
{
    struct blobs_file *f = mem_zalloc(sizeof(*f));
    f->base.ops = &file_ops;
    f->root = mem_strndup(root, strlen(root));
    return &f->base;
}
