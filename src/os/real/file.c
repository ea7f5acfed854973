/* Open files: every call blocks, and a handle is the descriptor itself. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "os/real/real.h"

enum { WRITE_SPANS = 256 }; /* iovecs on the stack; below IOV_MAX, which is 1024 on Linux */

int os_open(const char *path, int flags)
{
    int how = O_CLOEXEC | (flags & OS_WRITE ? O_RDWR : O_RDONLY);
    assert(!(flags & (OS_CREATE | OS_TRUNC)) || (flags & OS_WRITE));
    if (flags & OS_CREATE)
        how |= O_CREAT | (flags & OS_EXCL ? O_EXCL : 0);
    if (flags & OS_TRUNC)
        how |= O_TRUNC;
    for (;;) {
        int fd = open(path, how, 0640);
        if (fd >= 0)
            return fd;
        if (errno != EINTR)
            return real_file_err(errno);
    }
}

void os_close(int file)
{
    assert(file >= 0);
    close(file); /* EINTR has closed it too, on Linux */
}

int64_t os_pread(int file, void *ret_bytes, size_t len, uint64_t pos)
{
    uint8_t *p = ret_bytes;
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(file, p + got, len - got, (off_t)(pos + got));
        if (n == 0)
            break;
        if (n > 0)
            got += (size_t)n;
        else if (errno != EINTR)
            return real_file_err(errno);
    }
    return (int64_t)got;
}

int64_t os_pread_nowait(int file, void *ret_bytes, size_t len, uint64_t pos)
{
    struct iovec iov = {.iov_base = ret_bytes, .iov_len = len};
    for (;;) {
        ssize_t n = preadv2(file, &iov, 1, (off_t)pos, RWF_NOWAIT);
        if (n >= 0)
            return n;
        if (errno == EAGAIN || errno == EOPNOTSUPP || errno == ENOSYS)
            return ERR_AGAIN;
        if (errno != EINTR)
            return real_file_err(errno);
    }
}

/* Fills iov from spans[i], of which `skip` bytes are written; returns how many were filled in. */
static int fill_iov(struct iovec *iov, const struct span *spans, size_t count, size_t skip)
{
    int n = 0;
    for (size_t i = 0; i < count && n < WRITE_SPANS; i++, skip = 0) {
        if (spans[i].len == skip)
            continue;
        iov[n].iov_base = (void *)(uintptr_t)(spans[i].ptr + skip);
        iov[n++].iov_len = spans[i].len - skip;
    }
    return n;
}

int os_pwrite(int file, const struct span *spans, size_t count, uint64_t pos)
{
    struct iovec iov[WRITE_SPANS];
    size_t i = 0, skip = 0; /* the next byte is spans[i].ptr[skip] */
    for (;;) {
        while (i < count && skip >= spans[i].len) {
            skip -= spans[i].len;
            i++;
        }
        if (i == count)
            return 0;
        ssize_t n = pwritev(file, iov, fill_iov(iov, spans + i, count - i, skip), (off_t)pos);
        if (n > 0) {
            pos += (uint64_t)n;
            skip += (size_t)n;
        } else if (n == 0) {
            return ERR_IO; /* no progress: never seen on a file, and never a reason to spin */
        } else if (errno != EINTR) {
            return real_file_err(errno);
        }
    }
}

int os_fdatasync(int file)
{
    while (fdatasync(file))
        if (errno != EINTR)
            return real_file_err(errno);
    return 0;
}

int64_t os_size(int file)
{
    struct stat st;
    return fstat(file, &st) ? real_file_err(errno) : st.st_size;
}

int os_truncate(int file, uint64_t len)
{
    while (ftruncate(file, (off_t)len))
        if (errno != EINTR)
            return real_file_err(errno);
    return 0;
}

int os_allocate(int file, uint64_t pos, uint64_t len)
{
    while (fallocate(file, FALLOC_FL_KEEP_SIZE, (off_t)pos, (off_t)len)) {
        if (errno == EOPNOTSUPP || errno == ENOSYS)
            return ERR_UNSUPPORTED;
        if (errno != EINTR)
            return real_file_err(errno);
    }
    return 0;
}

void os_write_hint(int file, uint64_t pos, uint64_t len)
{
    sync_file_range(file, (off64_t)pos, (off64_t)len,
                    SYNC_FILE_RANGE_WRITE); /* a hint: errors come at fdatasync */
}

/* The lock belongs to the open file description, so a second open in this process is refused as well. */
int os_lock(const char *path)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char pid[24];
    int fd = os_open(path, OS_WRITE | OS_CREATE);
    if (fd < 0)
        return fd;
    if (fcntl(fd, F_OFD_SETLK, &whole)) {
        int err = errno == EAGAIN || errno == EACCES ? ERR_LOCKED : real_file_err(errno);
        os_close(fd);
        return err;
    }
    int len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    struct span text = span_of(pid, (size_t)len);
    int err = os_truncate(fd, 0);
    if (err == 0)
        err = os_pwrite(fd, &text, 1, 0);
    if (err == 0 || err == ERR_NO_SPACE) /* the pid is for people; a full disk must not stop the start */
        return fd;
    os_close(fd);
    return err;
}
