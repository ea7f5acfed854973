/* A kernel that interrupts calls and transfers less than it was asked to: this program defines the system
 * calls itself, and the library meets them instead of libc's. */
#include "os/real/real_test.h"

#include <sys/syscall.h>
#include <sys/uio.h>

enum { LEN = 10000, MOST = 777 };

static unsigned calls, fail_from; /* fail_from: the disk is full from this call on; 0: never */

/* Every third call is interrupted. */
static bool interrupted(void)
{
    if (++calls % 3)
        return false;
    errno = EINTR;
    return true;
}

ssize_t pread(int fd, void *buf, size_t len, off_t pos)
{
    if (interrupted())
        return -1;
    return syscall(SYS_pread64, fd, buf, len < MOST ? len : MOST, pos);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t pos)
{
    if (interrupted())
        return -1;
    if (fail_from && calls >= fail_from) {
        errno = ENOSPC;
        return -1;
    }
    ssize_t done = 0;
    for (int i = 0; i < count && done < MOST; i++) {
        size_t n = iov[i].iov_len < (size_t)(MOST - done) ? iov[i].iov_len : (size_t)(MOST - done);
        ssize_t put = syscall(SYS_pwrite64, fd, iov[i].iov_base, n, pos + done);
        if (put < 0)
            return -1;
        done += put;
    }
    return done;
}

int fdatasync(int fd)
{
    return interrupted() ? -1 : (int)syscall(SYS_fdatasync, fd);
}

static int scratch_file(void)
{
    char path[] = "os_real_short_XXXXXX";
    int made = mkstemp(path);
    assert_true(made >= 0);
    int f = os_open(path, OS_WRITE);
    assert_true(f >= 0);
    close(made);
    assert_int_equal(os_unlink(path), 0);
    return f;
}

static void all_bytes_arrive_in_their_places(void **state)
{
    static uint8_t want[LEN], got[LEN + 1];
    struct span spans[4] = {span_of(want, 100), span_of(want + 100, 5000), span_of(want, 0),
                            span_of(want + 5100, LEN - 5100)};
    int f = scratch_file();
    for (size_t i = 0; i < LEN; i++)
        want[i] = (uint8_t)(i * i >> 4);
    fail_from = 0;
    assert_int_equal(os_pwrite(f, spans, 4, 33), 0);
    assert_int_equal(os_size(f), 33 + LEN);
    assert_int_equal(os_pread(f, got, LEN + 1, 33), LEN);
    assert_memory_equal(got, want, LEN);
    for (int i = 0; i < 3; i++)
        assert_int_equal(os_fdatasync(f), 0);
    os_close(f);
}

static void a_write_that_fails_half_way_fails(void **state)
{
    static uint8_t bytes[LEN];
    struct span s = span_of(bytes, LEN);
    int f = scratch_file();
    calls = 0;
    fail_from = 4;
    assert_int_equal(os_pwrite(f, &s, 1, 0), ERR_NO_SPACE);
    assert_int_equal(os_size(f), 2 * MOST);
    os_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_bytes_arrive_in_their_places),
        cmocka_unit_test(a_write_that_fails_half_way_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
