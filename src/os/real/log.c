/* Standard output and error, and the limit of open files. */
#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "os/real/real.h"

static int write_all(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n >= 0) {
            bytes.ptr += n;
            bytes.len -= (size_t)n;
        } else if (errno == EAGAIN) { /* a terminal that someone else made non-blocking */
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            poll(&p, 1, -1);
        } else if (errno != EINTR) {
            return errno == EPIPE ? ERR_CLOSED : real_file_err(errno);
        }
    }
    return 0;
}

int os_write_stdout(struct span bytes)
{
    return write_all(STDOUT_FILENO, bytes);
}

int os_write_stderr(struct span bytes)
{
    return write_all(STDERR_FILENO, bytes);
}

uint64_t os_raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return 0;
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) ? before : limit.rlim_cur;
}
