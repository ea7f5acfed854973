/* The simulated file system as programs see it. */
#include "os/sim/sim_test.h"

static void what_is_written_is_read(void **state)
{
    uint8_t got[6000], want[6000];
    struct span parts[3] = {span_of(want, 1000), span_of(want, 0), span_of(want + 1000, 5000)};
    int f = file_open("f");
    for (size_t i = 0; i < sizeof(want); i++)
        want[i] = (uint8_t)(i * 7);
    assert_int_equal(os_pwrite(f, parts, 3, 4000), 0);
    assert_int_equal(os_size(f), 10000);
    assert_int_equal(os_pread(f, got, sizeof(got), 4000), 6000);
    assert_memory_equal(got, want, 6000);
    assert_int_equal(os_pread(f, got, 6000, 9000), 1000);
    assert_int_equal(os_pread(f, got, 6000, 10000), 0);
    assert_int_equal(byte_at("f", 3999), 0);
}

static void open_keeps_its_flags(void **state)
{
    assert_int_equal(os_open("no", OS_READ), ERR_NOT_FOUND);
    assert_int_equal(os_open("no/f", OS_WRITE | OS_CREATE), ERR_NOT_FOUND);
    int f = file_open("f");
    file_fill(f, 0, 1, 10);
    assert_int_equal(os_open("f", OS_WRITE | OS_CREATE | OS_EXCL), ERR_EXISTS);
    assert_true(os_open("./f", OS_WRITE | OS_CREATE) >= 0);
    assert_int_equal(size_of("/f"), 10);
    assert_true(os_open("f", OS_WRITE | OS_TRUNC) >= 0);
    assert_int_equal(size_of("f"), 0);
    assert_int_equal(sim_open_files(), 3);
}

static void truncation_leaves_zeros_behind(void **state)
{
    int f = file_open("f");
    file_fill(f, 0, 9, 10000);
    assert_int_equal(os_truncate(f, 100), 0);
    assert_int_equal(os_truncate(f, 9000), 0);
    assert_int_equal(size_of("f"), 9000);
    assert_int_equal(byte_at("f", 99), 9);
    assert_int_equal(byte_at("f", 100), 0);
    assert_int_equal(byte_at("f", 5000), 0);
}

static void directories_nest_and_must_be_empty_to_go(void **state)
{
    assert_int_equal(os_mkdir("a"), 0);
    assert_int_equal(os_mkdir("a"), ERR_EXISTS);
    assert_int_equal(os_mkdir("a/b"), 0);
    os_close(file_open("a/b/f"));
    assert_int_equal(os_rmdir("a/b"), ERR_EXISTS);
    assert_int_equal(os_unlink("a/b/f"), 0);
    assert_int_equal(os_unlink("a/b/f"), ERR_NOT_FOUND);
    assert_int_equal(os_rmdir("a/b"), 0);
    assert_int_equal(os_rmdir("a/b"), ERR_NOT_FOUND);
    assert_int_equal(os_unlink("a"), ERR_IO);
}

static void rename_replaces_and_keeps_handles(void **state)
{
    int f = file_open("f"), g = file_open("g");
    file_fill(f, 0, 'f', 3);
    file_fill(g, 0, 'g', 5);
    assert_int_equal(os_mkdir("d"), 0);
    assert_int_equal(os_rename("f", "g"), 0);
    assert_int_equal(size_of("g"), 3);
    assert_int_equal(size_of("f"), ERR_NOT_FOUND);
    assert_int_equal(os_size(g), 5); /* the old one, unlinked */
    assert_int_equal(os_rename("g", "d"), ERR_IO);
    assert_int_equal(os_rename("g", "d/g"), 0);
    assert_int_equal(os_rename("d", "d/x"), ERR_IO);
    assert_int_equal(byte_at("d/g", 0), 'f');
}

static int list_name(void *arg, const char *name, bool is_dir)
{
    strcat(arg, name);
    strcat(arg, is_dir ? "/ " : " ");
    return strcmp(name, "stop") == 0 ? 42 : 0;
}

static void lists_are_in_order_of_the_names(void **state)
{
    char names[64] = "";
    os_close(file_open("b"));
    os_close(file_open("a2"));
    assert_int_equal(os_mkdir("a10"), 0);
    os_close(file_open("Z"));
    assert_int_equal(os_list("/", list_name, names), 0);
    assert_string_equal(names, "Z a10/ a2 b ");
    os_close(file_open("stop"));
    os_close(file_open("y"));
    names[0] = 0;
    assert_int_equal(os_list(".", list_name, names), 42);
    assert_string_equal(names, "Z a10/ a2 b stop ");
}

static void a_full_disk_refuses_growth_and_heals(void **state)
{
    struct span page = span_of((uint8_t[4096]){1}, 4096);
    int f = file_open("f"); /* root and f: two pages */
    sim_disk_capacity(4 * 4096);
    assert_int_equal(os_allocate(f, 0, 8192), 0);
    assert_int_equal(sim_disk_used(), 4 * 4096);
    assert_int_equal(os_pwrite(f, &page, 1, 4096), 0); /* into what was reserved */
    assert_int_equal(os_pwrite(f, &page, 1, 8192), ERR_NO_SPACE);
    assert_int_equal(os_allocate(f, 0, 8193), ERR_NO_SPACE);
    assert_int_equal(os_open("g", OS_WRITE | OS_CREATE), ERR_NO_SPACE);
    assert_int_equal(os_mkdir("d"), ERR_NO_SPACE);
    assert_int_equal(os_unlink("f"), 0);
    assert_int_equal(sim_disk_used(), 4 * 4096); /* still open */
    os_close(f);
    assert_int_equal(sim_disk_used(), 4096);
    assert_int_equal(os_mkdir("d"), 0);
}

static void allocation_keeps_the_size(void **state)
{
    int f = file_open("f");
    assert_int_equal(os_allocate(f, 0, 1 << 20), 0);
    assert_int_equal(os_size(f), 0);
    uint64_t used = sim_disk_used();
    file_fill(f, 0, 1, 65536);
    assert_int_equal(sim_disk_used(), used);
}

static void a_lock_is_exclusive_until_closed_or_crashed(void **state)
{
    int f = os_lock("lock");
    assert_true(f >= 0);
    assert_int_equal(os_lock("lock"), ERR_LOCKED);
    os_close(f);
    assert_true(os_lock("lock") >= 0);
    crash(SIM_CRASH_KEEP);
    assert_int_equal(sim_open_files(), 0);
    assert_true(os_lock("lock") >= 0);
}

static void reads_that_must_not_wait_sometimes_would(void **state)
{
    uint8_t bytes[1000];
    unsigned again = 0, part = 0, full = 0;
    int f = file_open("f");
    file_fill(f, 0, 1, sizeof(bytes));
    for (int i = 0; i < 1000; i++) {
        int64_t n = os_pread_nowait(f, bytes, sizeof(bytes), 0);
        again += n == ERR_AGAIN;
        part += n > 0 && n < 1000;
        full += n == 1000;
    }
    assert_int_equal(again + part + full, 1000);
    assert_true(again > 100 && part > 50 && full > 300);
}

static void the_nth_call_fails_once_or_from_then_on(void **state)
{
    uint8_t byte = 1;
    struct span s = span_of(&byte, 1);
    int f = file_open("f");
    sim_disk_fail_after(2, false, ERR_IO, SIM_FAIL_WRITE);
    assert_int_equal(os_pwrite(f, &s, 1, 0), 0);
    assert_int_equal(os_fdatasync(f), 0); /* another kind does not count */
    assert_int_equal(os_truncate(f, 9), 0);
    assert_int_equal(os_pwrite(f, &s, 1, 0), ERR_IO);
    assert_int_equal(os_pwrite(f, &s, 1, 0), 0);
    sim_disk_fail_after(0, true, ERR_NO_SPACE, SIM_FAIL_ALL);
    assert_int_equal(os_pwrite(f, &s, 1, 0), ERR_NO_SPACE);
    assert_int_equal(os_mkdir("d"), ERR_NO_SPACE);
    sim_disk_fail_after(-1, false, 0, 0);
    assert_int_equal(os_mkdir("d"), 0);
}

static void a_failed_write_may_leave_a_part(void **state)
{
    bool none = false, part = false;
    uint8_t bytes[1000] = {0};
    struct span s = span_of(bytes, sizeof(bytes));
    for (int i = 0; i < 100; i++) {
        int f = os_open("f", OS_WRITE | OS_CREATE | OS_TRUNC);
        sim_disk_fail_after(0, false, ERR_IO, SIM_FAIL_WRITE);
        assert_int_equal(os_pwrite(f, &s, 1, 0), ERR_IO);
        none |= os_size(f) < 500;
        part |= os_size(f) > 500;
        os_close(f);
    }
    assert_true(none && part);
}

static void calls_are_counted_by_kind(void **state)
{
    uint8_t byte;
    int f = file_open("f");
    file_fill(f, 0, 1, 1);
    assert_int_equal(os_pread(f, &byte, 1, 0), 1);
    assert_int_equal(os_fdatasync(f), 0);
    assert_int_equal(os_sync_dir("/"), 0);
    assert_int_equal(sim_disk_calls(SIM_FAIL_META), 1);
    assert_int_equal(sim_disk_calls(SIM_FAIL_WRITE), 1);
    assert_int_equal(sim_disk_calls(SIM_FAIL_READ), 1);
    assert_int_equal(sim_disk_calls(SIM_FAIL_SYNC), 2);
    assert_int_equal(sim_disk_calls(SIM_FAIL_ALL), 5);
}

static void corruption_flips_bits_for_good(void **state)
{
    int f = file_open("f");
    file_fill(f, 0, 0x0f, 10);
    assert_int_equal(sim_disk_corrupt("f", 10, 1), ERR_NOT_FOUND);
    assert_int_equal(sim_disk_corrupt("f", 9, 0xff), 0);
    assert_int_equal(byte_at("f", 9), 0xf0);
    assert_int_equal(byte_at("f", 8), 0x0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_written_is_read),
        T(open_keeps_its_flags),
        T(truncation_leaves_zeros_behind),
        T(directories_nest_and_must_be_empty_to_go),
        T(rename_replaces_and_keeps_handles),
        T(lists_are_in_order_of_the_names),
        T(a_full_disk_refuses_growth_and_heals),
        T(allocation_keeps_the_size),
        T(a_lock_is_exclusive_until_closed_or_crashed),
        T(reads_that_must_not_wait_sometimes_would),
        T(the_nth_call_fails_once_or_from_then_on),
        T(a_failed_write_may_leave_a_part),
        T(calls_are_counted_by_kind),
        T(corruption_flips_bits_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
