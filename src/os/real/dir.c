/* Names: directories and what is in them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "os/real/real.h"

int os_rename(const char *from, const char *to)
{
    return rename(from, to) ? real_file_err(errno) : 0;
}

int os_unlink(const char *path)
{
    return unlink(path) ? real_file_err(errno) : 0;
}

int os_mkdir(const char *path)
{
    return mkdir(path, 0750) ? real_file_err(errno) : 0;
}

int os_rmdir(const char *path)
{
    return rmdir(path) ? real_file_err(errno) : 0;
}

int os_sync_dir(const char *path)
{
    int err = 0;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return real_file_err(errno);
    while (fsync(fd))
        if (errno != EINTR) {
            err = real_file_err(errno);
            break;
        }
    close(fd);
    return err;
}

int os_path_size(const char *path, uint64_t *ret_bytes)
{
    struct stat st;
    if (stat(path, &st))
        return real_file_err(errno);
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}

int os_disk_space(const char *dir, uint64_t *ret_total, uint64_t *ret_free)
{
    struct statvfs v;
    while (statvfs(dir, &v))
        if (errno != EINTR)
            return real_file_err(errno);
    *ret_total = (uint64_t)v.f_blocks * v.f_frsize;
    *ret_free = (uint64_t)v.f_bavail * v.f_frsize;
    return 0;
}

struct entry {
    char *name;
    bool is_dir;
};

struct entries {
    struct entry *items;
    size_t count, cap;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static bool entry_is_dir(DIR *d, const struct dirent *e)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN && e->d_type != DT_LNK)
        return e->d_type == DT_DIR;
    return fstatat(dirfd(d), e->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static void entries_add(struct entries *all, const char *name, bool is_dir)
{
    if (all->count == all->cap) {
        all->cap = all->cap ? all->cap * 2 : 64;
        all->items = mem_realloc(all->items, all->cap * sizeof *all->items);
    }
    all->items[all->count++] = (struct entry){mem_strndup(name, strlen(name)), is_dir};
}

static int entries_read(struct entries *all, DIR *d)
{
    for (;;) {
        errno = 0;
        struct dirent *e = readdir(d);
        if (!e)
            return errno ? real_file_err(errno) : 0;
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            entries_add(all, e->d_name, entry_is_dir(d, e));
    }
}

int os_list(const char *dir, int (*fn)(void *arg, const char *name, bool is_dir), void *arg)
{
    struct entries all = {0};
    DIR *d = opendir(dir); /* close-on-exec by itself */
    if (!d)
        return real_file_err(errno);
    int err = entries_read(&all, d);
    closedir(d);
    if (all.count)
        qsort(all.items, all.count, sizeof *all.items, by_name);
    for (size_t i = 0; err == 0 && i < all.count; i++)
        err = fn(arg, all.items[i].name, all.items[i].is_dir);
    for (size_t i = 0; i < all.count; i++)
        mem_free(all.items[i].name);
    mem_free(all.items);
    return err;
}
