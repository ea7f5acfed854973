/* The log of disk operations: earlier states, markers, and a model that follows along. */
#include "os/sim/sim_test.h"

enum { FILES = 4, OPS = 9000, SLOTS = 32 };

/* Slots of one byte each, 100 bytes apart; every slot has the number of its last write, modulo 251. */
static int files[FILES];
static uint8_t history[OPS + 1][FILES][SLOTS]; /* after that many operations */

static void one_operation(uint64_t n)
{
    uint64_t file = sim_random_below(FILES), slot = sim_random_below(SLOTS);
    memcpy(history[n], history[n - 1], sizeof(history[n]));
    if (sim_random_below(10) == 0) {
        assert_int_equal(os_fdatasync(files[file]), 0);
        return;
    }
    uint8_t byte = (uint8_t)(1 + n % 251);
    history[n][file][slot] = byte;
    file_put(files[file], slot * 100, &byte, 1);
}

static uint64_t fill_log(void)
{
    char name[8];
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        files[i] = file_open(name);
    }
    uint64_t first = sim_disk_ops();
    memset(history[0], 0, sizeof(history[0]));
    for (uint64_t n = 1; n <= OPS; n++)
        one_operation(n);
    assert_int_equal(sim_disk_ops(), first + OPS);
    return first;
}

static void check_state(uint64_t n)
{
    char name[8];
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        for (uint64_t slot = 0; slot < SLOTS; slot++) {
            int byte = byte_at(name, slot * 100);
            assert_int_equal(byte < 0 ? 0 : byte, history[n][i][slot]);
        }
    }
}

/* Each image ends the world, so the log is made anew from the same seed for every one of them. */
static void any_operation_can_be_gone_back_to(void **state)
{
    static const uint64_t at[] = {0, 1, 4095, 4096, 4097, 8191, 8192, 5000, OPS};
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        sim_reset(3);
        uint64_t first = fill_log();
        sim_image_free(sim_disk_image(first + 6000, SIM_CRASH_RANDOM)); /* the cursor is elsewhere */
        sim_boot(sim_disk_image(first + at[i], SIM_CRASH_KEEP), 1);
        check_state(at[i]);
    }
}

static void an_image_between_two_syncs_has_the_first(void **state)
{
    int f = file_open("f");
    assert_int_equal(os_sync_dir("/"), 0);
    uint64_t ops[4];
    for (uint8_t i = 0; i < 4; i++) {
        file_fill(f, 0, (uint8_t)('a' + i), 1);
        assert_int_equal(os_fdatasync(f), 0);
        ops[i] = sim_disk_ops();
    }
    sim_boot(sim_disk_image(ops[2] - 1, SIM_CRASH_DROP), 1);
    assert_int_equal(byte_at("f", 0), 'b');
}

static void images_of_every_operation_are_cheap(void **state)
{
    uint64_t last = fill_log() + OPS;
    for (uint64_t op = 0; op <= last; op++)
        sim_image_free(sim_disk_image(op, (enum sim_crash_mode)(op % 4)));
}

static void the_same_image_is_thrown_anew(void **state)
{
    int versions[2] = {0};
    struct sim_image *images[32];
    int f = file_open("f");
    assert_int_equal(os_sync_dir("/"), 0);
    file_fill(f, 0, 'a', 512);
    for (int i = 0; i < 32; i++)
        images[i] = sim_disk_image(sim_disk_ops(), SIM_CRASH_RANDOM);
    for (int i = 0; i < 32; i++) {
        sim_boot(images[i], 1);
        versions[byte_at("f", 0) == 'a']++;
    }
    assert_true(versions[0] && versions[1]);
}

static void marks_count_only_before_the_operation(void **state)
{
    int f = file_open("f");
    sim_disk_mark(5);
    uint64_t before = sim_disk_ops();
    file_fill(f, 0, 1, 1);
    sim_disk_mark(9);
    assert_int_equal(sim_disk_mark_before(before), 0);
    assert_int_equal(sim_disk_mark_before(before + 1), 5);
    assert_int_equal(sim_disk_mark_before(sim_disk_ops() + 1), 9);
}

static void without_a_log_this_moment_can_still_crash(void **state)
{
    sim_disk_log(false);
    int f = file_open("f");
    file_fill(f, 0, 'a', 1);
    assert_int_equal(os_fdatasync(f), 0);
    assert_int_equal(os_sync_dir("/"), 0);
    file_fill(f, 0, 'b', 1);
    uint64_t before = sim_disk_ops();
    sim_disk_log(true);
    file_fill(f, 0, 'c', 1);
    file_fill(f, 0, 'd', 1);
    struct sim_image *drop = sim_disk_image(before, SIM_CRASH_DROP);
    sim_boot(sim_disk_image(before + 1, SIM_CRASH_KEEP), 1);
    assert_int_equal(byte_at("f", 0), 'c');
    sim_boot(drop, 1);
    assert_int_equal(byte_at("f", 0), 'a');
}

static void a_booted_image_is_synced(void **state)
{
    int f = file_open("f");
    file_fill(f, 0, 'a', 1);
    crash(SIM_CRASH_KEEP);
    assert_int_equal(sim_disk_ops(), 0);
    f = file_open("f");
    file_fill(f, 0, 'b', 1);
    crash(SIM_CRASH_DROP);
    assert_int_equal(byte_at("f", 0), 'a');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(any_operation_can_be_gone_back_to),
        T(an_image_between_two_syncs_has_the_first),
        T(images_of_every_operation_are_cheap),
        T(the_same_image_is_thrown_anew),
        T(marks_count_only_before_the_operation),
        T(without_a_log_this_moment_can_still_crash),
        T(a_booted_image_is_synced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
