/* Files, directories and the lock, in a directory of their own under the working directory. */
#include "os/real/real_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>

static char dir[64];

static const char *at(const char *name)
{
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

static int setup(void **state)
{
    snprintf(dir, sizeof(dir), "os_real_file_XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_entry(void *arg, const char *name, bool is_dir)
{
    return is_dir ? os_rmdir(at(name)) : os_unlink(at(name));
}

static int teardown(void **state)
{
    return os_list(dir, remove_entry, NULL) || os_rmdir(dir);
}

static int file_open(const char *name)
{
    int f = os_open(at(name), OS_WRITE | OS_CREATE);
    assert_true(f >= 0);
    return f;
}

static void put(int f, uint64_t pos, const char *text)
{
    struct span s = span_str(text);
    assert_int_equal(os_pwrite(f, &s, 1, pos), 0);
}

static void many_spans_are_written_in_order(void **state)
{
    enum { SPANS = 3000 };
    static uint8_t want[SPANS * 3], got[SPANS * 3];
    static struct span spans[SPANS];
    int f = file_open("f");
    size_t len = 0;
    for (size_t i = 0; i < SPANS; i++) {
        spans[i] = span_of(want + len, i % 4); /* some are empty */
        len += i % 4;
    }
    for (size_t i = 0; i < len; i++)
        want[i] = (uint8_t)(i * 31);
    assert_int_equal(os_pwrite(f, spans, SPANS, 11), 0);
    assert_int_equal(os_size(f), 11 + len);
    assert_int_equal(os_pread(f, got, sizeof(got), 11), len);
    assert_memory_equal(got, want, len);
    assert_int_equal(os_pread(f, got, sizeof(got), 11 + len), 0);
    assert_int_equal(os_fdatasync(f), 0);
    assert_int_equal(os_pwrite(f, NULL, 0, 0), 0);
    os_close(f);
}

static void open_tells_what_is_wrong(void **state)
{
    assert_int_equal(os_open(at("no"), OS_READ), ERR_NOT_FOUND);
    int f = file_open("f");
    put(f, 0, "hello");
    assert_int_equal(os_open(at("f"), OS_WRITE | OS_CREATE | OS_EXCL), ERR_EXISTS);
    assert_int_equal(os_open(at("f/g"), OS_READ), ERR_NOT_FOUND);
    int g = os_open(at("f"), OS_WRITE | OS_TRUNC);
    assert_int_equal(os_size(f), 0);
    assert_true(fcntl(f, F_GETFD) & FD_CLOEXEC);
    os_close(f);
    os_close(g);
}

static void a_failed_write_says_so(void **state)
{
    struct span s = span_str("x");
    int f = os_open("/dev/full", OS_WRITE);
    assert_true(f >= 0);
    assert_int_equal(os_pwrite(f, &s, 1, 0), ERR_NO_SPACE);
    os_close(f);
}

static void allocation_keeps_the_size(void **state)
{
    int f = file_open("f");
    int err = os_allocate(f, 0, 1 << 20);
    assert_true(err == 0 || err == ERR_UNSUPPORTED);
    assert_int_equal(os_size(f), 0);
    assert_int_equal(os_truncate(f, 5000), 0);
    assert_int_equal(os_size(f), 5000);
    os_write_hint(f, 0, 4096);
    os_close(f);
}

static void reading_without_waiting_never_waits(void **state)
{
    char got[8];
    int f = file_open("f");
    put(f, 0, "in memory");
    int64_t n = os_pread_nowait(f, got, sizeof(got), 0);
    assert_true(n == ERR_AGAIN || n > 0);
    if (n > 0)
        assert_memory_equal(got, "in memory", (size_t)n);
    os_close(f);
}

static int add_name(void *arg, const char *name, bool is_dir)
{
    strcat(arg, name);
    strcat(arg, is_dir ? "/ " : " ");
    return strcmp(name, "stop") == 0 ? 42 : 0;
}

static void lists_are_in_bytewise_order(void **state)
{
    static const char *const names[] = {"b", "a2", "a10", "Z", "\xc3\xa4"};
    char all[64] = "";
    for (size_t i = 0; i < 5; i++)
        os_close(file_open(names[i]));
    assert_int_equal(os_mkdir(at("d")), 0);
    assert_int_equal(os_list(dir, add_name, all), 0);
    assert_string_equal(all, "Z a10 a2 b d/ \xc3\xa4 ");
    os_close(file_open("stop"));
    all[0] = 0;
    assert_int_equal(os_list(dir, add_name, all), 42);
    assert_string_equal(all, "Z a10 a2 b d/ stop ");
    assert_int_equal(os_list(at("none"), add_name, all), ERR_NOT_FOUND);
}

static void names_change_as_told(void **state)
{
    uint64_t size;
    int f = file_open("f");
    put(f, 0, "12345");
    os_close(f);
    assert_int_equal(os_mkdir(at("d")), 0);
    assert_int_equal(os_mkdir(at("d")), ERR_EXISTS);
    assert_int_equal(os_rename(at("f"), at("d/f")), 0);
    assert_int_equal(os_rmdir(at("d")), ERR_EXISTS);
    assert_int_equal(os_rename(at("f"), at("g")), ERR_NOT_FOUND);
    assert_int_equal(os_path_size(at("d/f"), &size), 0);
    assert_int_equal(size, 5);
    assert_int_equal(os_sync_dir(at("d")), 0);
    assert_int_equal(os_sync_dir(at("no")), ERR_NOT_FOUND);
    assert_int_equal(os_unlink(at("d/f")), 0);
    assert_int_equal(os_unlink(at("d/f")), ERR_NOT_FOUND);
}

static void the_disk_has_space(void **state)
{
    uint64_t total = 0, free_bytes = 0;
    assert_int_equal(os_disk_space(dir, &total, &free_bytes), 0);
    assert_true(total > 0 && free_bytes <= total);
}

/* What os_lock() says in a process of its own. */
static int lock_elsewhere(const char *path)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        int got = os_lock(path);
        _exit(got >= 0 ? 0 : got == ERR_LOCKED ? 1 : 2);
    }
    assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void one_process_holds_the_lock(void **state)
{
    char text[32] = "", want[32];
    int f = os_lock(at("lock"));
    assert_true(f >= 0);
    assert_int_equal(lock_elsewhere(at("lock")), 1);
    assert_int_equal(os_lock(at("lock")), ERR_LOCKED);
    snprintf(want, sizeof(want), "%ld\n", (long)getpid());
    assert_true(os_pread(f, text, sizeof(text) - 1, 0) > 0);
    assert_string_equal(text, want);
    os_close(f);
    assert_int_equal(lock_elsewhere(at("lock")), 0);
    assert_true((f = os_lock(at("lock"))) >= 0); /* the other died with it */
    os_close(f);
}

static void clocks_and_counts_make_sense(void **state)
{
    uint8_t a[32], b[32];
    uint64_t before = os_mono_ns();
    assert_true(os_mono_ns() >= before);
    assert_true(os_wall_ms() > 1700000000000);
    assert_true(os_cpu_count() >= 1);
    assert_true(os_rss_bytes() > 100000);
    assert_int_equal(os_process_id(), getpid());
    assert_true(os_cpu_time_us() < 100000000);
    os_random(a, sizeof(a));
    os_random(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    assert_true(os_raise_file_limit() >= 256);
}

static void addresses_are_numeric_or_localhost(void **state)
{
    static const char *const bad[] = {"",        "127.0.0.1",    ":1",     "127.0.0.1:", "127.0.0.1:65536",
                                      "h:1",     "127.0.0.1:1x", "[::1:1", "::1:1",      "[]:1",
                                      "1.2.3:1", "[::1]1"};
    char text[ADDRESS_TEXT_BYTES];
    struct address a;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(address_parse(bad[i], &a), ERR_INVALID);
    assert_int_equal(address_parse("localhost:80", &a), 0);
    assert_string_equal(address_format(&a, text), "127.0.0.1:80");
    assert_int_equal(address_parse("[0:0::1]:65535", &a), 0);
    assert_string_equal(address_format(&a, text), "[::1]:65535");
    assert_int_equal(address_parse("[::]:0", &a), 0);
    assert_true(address_is_any(&a));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(many_spans_are_written_in_order),
        T(open_tells_what_is_wrong),
        T(a_failed_write_says_so),
        T(allocation_keeps_the_size),
        T(reading_without_waiting_never_waits),
        T(lists_are_in_bytewise_order),
        T(names_change_as_told),
        T(the_disk_has_space),
        T(one_process_holds_the_lock),
        T(clocks_and_counts_make_sense),
        T(addresses_are_numeric_or_localhost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
