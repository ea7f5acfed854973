/* What survives a power cut, in each of the four modes. */
#include "os/sim/sim_test.h"

enum { SECTOR = 512, TRIES = 400 };

/* A file whose name and first 64 sectors of 'a' are synced. */
static int synced_file(void)
{
    int f = file_open("f");
    file_fill(f, 0, 'a', 64 * SECTOR);
    assert_int_equal(os_fdatasync(f), 0);
    assert_int_equal(os_sync_dir("/"), 0);
    return f;
}

/* Reads sector by sector which of the bytes each holds; -1 if one is mixed. */
static void sectors_of(const char *path, int ret_bytes[64])
{
    uint8_t bytes[64 * SECTOR];
    int f = os_open(path, OS_READ);
    assert_int_equal(os_pread(f, bytes, sizeof(bytes), 0), sizeof(bytes));
    os_close(f);
    for (int i = 0; i < 64; i++) {
        ret_bytes[i] = bytes[i * SECTOR];
        for (int j = 1; j < SECTOR; j++)
            if (bytes[i * SECTOR + j] != ret_bytes[i])
                ret_bytes[i] = -1;
    }
}

static void drop_keeps_synced_data_only(void **state)
{
    int f = synced_file();
    file_fill(f, 0, 'b', 64 * SECTOR);
    assert_int_equal(os_truncate(f, 70 * SECTOR), 0);
    crash(SIM_CRASH_DROP);
    assert_int_equal(byte_at("f", 0), 'a');
    assert_int_equal(size_of("f"), 64 * SECTOR);
}

static void keep_keeps_everything(void **state)
{
    int f = synced_file();
    file_fill(f, 0, 'b', 64 * SECTOR);
    assert_int_equal(os_truncate(f, 70 * SECTOR), 0);
    os_close(file_open("g"));
    crash(SIM_CRASH_KEEP);
    assert_int_equal(byte_at("f", 0), 'b');
    assert_int_equal(size_of("f"), 70 * SECTOR);
    assert_int_equal(size_of("g"), 0);
}

static void what_was_synced_survives_every_mode(void **state)
{
    for (int mode = SIM_CRASH_DROP; mode <= SIM_CRASH_TORN; mode++) {
        sim_reset((uint64_t)mode);
        int f = synced_file();
        file_fill(f, SECTOR, 'b', SECTOR);
        assert_int_equal(os_fdatasync(f), 0);
        crash((enum sim_crash_mode)mode);
        assert_int_equal(byte_at("f", SECTOR - 1), 'a');
        assert_int_equal(byte_at("f", SECTOR), 'b');
        assert_int_equal(byte_at("f", 2 * SECTOR), 'a');
    }
}

static void torn_cuts_the_last_write_at_a_sector(void **state)
{
    bool seen[64] = {false};
    for (int t = 0; t < TRIES; t++) {
        int sectors[64], kept = 0;
        sim_reset((uint64_t)t);
        int f = synced_file();
        file_fill(f, 0, 'b', SECTOR); /* not the last: whole */
        file_fill(f, 0, 'c', 64 * SECTOR);
        crash(SIM_CRASH_TORN);
        sectors_of("f", sectors);
        while (kept < 64 && sectors[kept] == 'c')
            kept++;
        assert_true(kept < 64);
        seen[kept] = true;
        for (int i = kept; i < 64; i++)
            assert_int_equal(sectors[i], i == 0 ? 'b' : 'a');
    }
    assert_true(seen[0] && seen[63] && seen[31]);
}

static void random_chooses_each_sector_by_itself(void **state)
{
    int none = 0, all = 0, mixed = 0, versions[256] = {0};
    for (int t = 0; t < TRIES; t++) {
        int sectors[64], c = 0;
        sim_reset((uint64_t)t);
        int f = synced_file();
        file_fill(f, 0, 'b', 64 * SECTOR);
        file_fill(f, 0, 'c', 64 * SECTOR);
        crash(SIM_CRASH_RANDOM);
        sectors_of("f", sectors);
        for (int i = 0; i < 64; i++) {
            assert_true(sectors[i] >= 'a' && sectors[i] <= 'c'); /* never torn inside */
            versions[sectors[i]]++;
            c += sectors[i] == 'c';
        }
        none += c < 16;
        all += c > 48;
        mixed += c >= 16 && c <= 48;
    }
    assert_true(none > 20 && all > 20 && mixed > 20);
    assert_true(versions['a'] > 1000 && versions['b'] > 1000 && versions['c'] > 1000);
}

static void a_sector_never_has_a_later_write_without_the_earlier(void **state)
{
    for (int t = 0; t < TRIES; t++) {
        sim_reset((uint64_t)t);
        int f = synced_file();
        file_fill(f, 0, 'b', 100);
        file_fill(f, 100, 'c', 100);
        crash(SIM_CRASH_RANDOM);
        if (byte_at("f", 100) == 'c')
            assert_int_equal(byte_at("f", 0), 'b');
    }
}

static void random_may_grow_a_file_without_its_data(void **state)
{
    int shorter = 0, zeros = 0, data = 0;
    for (int t = 0; t < TRIES; t++) {
        sim_reset((uint64_t)t);
        int f = synced_file();
        file_fill(f, 64 * SECTOR, 'b', SECTOR);
        crash(SIM_CRASH_RANDOM);
        int byte = byte_at("f", 64 * SECTOR);
        shorter += byte == -1 && size_of("f") == 64 * SECTOR;
        zeros += byte == 0;
        data += byte == 'b';
    }
    assert_int_equal(shorter + zeros + data, TRIES);
    assert_true(shorter > 20 && zeros > 20 && data > 20);
}

static void a_lost_truncate_takes_later_writes_with_it(void **state)
{
    int lost = 0, kept = 0;
    for (int t = 0; t < TRIES; t++) {
        sim_reset((uint64_t)t);
        int f = synced_file();
        assert_int_equal(os_truncate(f, 0), 0);
        file_fill(f, 0, 'b', 2 * SECTOR);
        crash(SIM_CRASH_RANDOM);
        int64_t size = size_of("f");
        if (size == 64 * SECTOR) {
            assert_int_equal(byte_at("f", 0), 'a');
            lost++;
        } else {
            assert_true(size == 0 || size == 2 * SECTOR);
            assert_int_not_equal(byte_at("f", 0), 'a');
            kept++;
        }
    }
    assert_true(lost > 20 && kept > 20);
}

/* ---- names ---- */

static void a_synced_file_without_its_name_is_gone(void **state)
{
    int f = file_open("f");
    file_fill(f, 0, 'a', 10);
    assert_int_equal(os_fdatasync(f), 0);
    crash(SIM_CRASH_DROP);
    assert_int_equal(size_of("f"), ERR_NOT_FOUND);
    assert_int_equal(sim_disk_used(), 4096);
}

static void a_synced_name_of_an_unsynced_file_is_empty(void **state)
{
    int f = file_open("f");
    file_fill(f, 0, 'a', 10);
    assert_int_equal(os_sync_dir("/"), 0);
    crash(SIM_CRASH_DROP);
    assert_int_equal(size_of("f"), 0);
}

static void a_lost_unlink_brings_the_file_back(void **state)
{
    os_close(synced_file());
    assert_int_equal(os_unlink("f"), 0);
    crash(SIM_CRASH_DROP);
    assert_int_equal(byte_at("f", 0), 'a');
    assert_int_equal(os_unlink("f"), 0);
    assert_int_equal(os_sync_dir("/"), 0);
    crash(SIM_CRASH_DROP);
    assert_int_equal(size_of("f"), ERR_NOT_FOUND);
}

static void sync_dir_covers_one_directory_only(void **state)
{
    assert_int_equal(os_mkdir("d"), 0);
    os_close(file_open("d/f"));
    assert_int_equal(os_sync_dir("/"), 0);
    crash(SIM_CRASH_DROP);
    assert_int_equal(size_of("d/f"), ERR_NOT_FOUND);
    os_close(file_open("d/f")); /* d is there */
    assert_int_equal(os_mkdir("e"), 0);
    assert_int_equal(os_sync_dir("d"), 0);
    crash(SIM_CRASH_DROP);
    assert_int_equal(size_of("d/f"), 0);
    assert_int_equal(os_mkdir("e"), 0);
}

static void a_rename_is_kept_whole_or_lost_whole(void **state)
{
    int old = 0, renamed = 0;
    for (int t = 0; t < TRIES; t++) {
        sim_reset((uint64_t)t);
        os_close(synced_file());
        int g = file_open("g");
        file_fill(g, 0, 'b', SECTOR);
        assert_int_equal(os_fdatasync(g), 0);
        assert_int_equal(os_sync_dir("/"), 0);
        assert_int_equal(os_rename("g", "f"), 0);
        crash(SIM_CRASH_RANDOM);
        bool has_g = size_of("g") == SECTOR;
        assert_int_equal(byte_at("f", 0), has_g ? 'a' : 'b');
        old += has_g;
        renamed += !has_g;
    }
    assert_true(old > 20 && renamed > 20);
}

static void renaming_before_syncing_may_lose_the_data(void **state)
{
    int empty = 0, old = 0;
    for (int t = 0; t < TRIES; t++) {
        sim_reset((uint64_t)t);
        os_close(synced_file());
        int g = file_open("g");
        file_fill(g, 0, 'b', SECTOR);
        assert_int_equal(os_rename("g", "f"), 0);
        crash(SIM_CRASH_RANDOM);
        old += byte_at("f", 0) == 'a';
        empty += byte_at("f", 0) <= 0;
    }
    assert_true(empty > 20 && old > 20);
}

static void a_file_never_has_two_names(void **state)
{
    int names[4] = {0};
    for (int t = 0; t < TRIES; t++) {
        int found = 0;
        sim_reset((uint64_t)t);
        os_close(synced_file());
        assert_int_equal(os_rename("f", "g"), 0);
        assert_int_equal(os_rename("g", "h"), 0);
        assert_int_equal(os_unlink("h"), 0);
        crash(SIM_CRASH_RANDOM);
        for (int i = 0; i < 3; i++) {
            bool there = size_of((const char *[]){"f", "g", "h"}[i]) >= 0;
            found += there;
            names[i] += there;
        }
        assert_true(found <= 1);
        names[3] += found == 0;
    }
    assert_true(names[0] > 20 && names[1] > 5 && names[2] > 5 && names[3] > 5);
}

static void a_name_that_is_replaced_is_never_missing(void **state)
{
    int fresh = 0;
    for (int t = 0; t < TRIES; t++) {
        sim_reset((uint64_t)t);
        os_close(synced_file());
        os_close(file_open("z"));
        assert_int_equal(os_sync_dir("/"), 0);
        assert_int_equal(os_rename("f", "m"), 0);
        assert_int_equal(os_rename("m", "z"), 0);
        crash(SIM_CRASH_RANDOM);
        assert_true(size_of("z") >= 0);
        fresh += size_of("z") > 0;
    }
    assert_true(fresh > 20 && fresh < TRIES - 20);
}

static void directory_operations_survive_independently(void **state)
{
    unsigned seen = 0;
    for (int t = 0; t < TRIES; t++) {
        sim_reset((uint64_t)t);
        os_close(file_open("a"));
        os_close(file_open("b"));
        crash(SIM_CRASH_RANDOM);
        seen |= 1u << ((size_of("a") == 0) * 2 + (size_of("b") == 0));
    }
    assert_int_equal(seen, 15);
}

static void a_rename_between_directories_is_synced_from_either_end(void **state)
{
    for (int end = 0; end < 2; end++) {
        sim_reset((uint64_t)end);
        assert_int_equal(os_mkdir("a"), 0);
        assert_int_equal(os_mkdir("b"), 0);
        assert_int_equal(os_sync_dir("/"), 0);
        os_close(file_open("a/f"));
        assert_int_equal(os_rename("a/f", "b/g"), 0);
        assert_int_equal(os_sync_dir(end ? "a" : "b"), 0);
        assert_int_equal(os_sync_dir(end ? "b" : "a"), 0);
        crash(SIM_CRASH_DROP);
        assert_int_equal(size_of("a/f"), ERR_NOT_FOUND);
        assert_int_equal(size_of("b/g"), 0);
    }
}

static void what_an_open_unlinked_file_held_is_gone(void **state)
{
    int f = synced_file();
    assert_int_equal(os_unlink("f"), 0);
    assert_int_equal(os_sync_dir("/"), 0);
    file_fill(f, 0, 'b', 10);
    assert_int_equal(os_fdatasync(f), 0);
    crash(SIM_CRASH_KEEP);
    assert_int_equal(size_of("f"), ERR_NOT_FOUND);
    assert_int_equal(sim_disk_used(), 4096);
}

/* ---- failed syncs ---- */

static void a_failed_sync_is_not_made_good_by_the_next(void **state)
{
    int f = synced_file();
    file_fill(f, 0, 'b', SECTOR);
    sim_disk_fail_after(0, false, ERR_IO, SIM_FAIL_SYNC);
    assert_int_equal(os_fdatasync(f), ERR_IO);
    assert_int_equal(byte_at("f", 0), 'b'); /* programs see it */
    assert_int_equal(os_fdatasync(f), 0);
    crash(SIM_CRASH_DROP);
    assert_int_equal(byte_at("f", 0), 'a');
}

static void a_write_after_a_failed_sync_makes_the_page_dirty_again(void **state)
{
    int f = synced_file();
    file_fill(f, 0, 'b', SECTOR);
    file_fill(f, 16 * SECTOR, 'b', SECTOR);
    sim_disk_fail_after(0, false, ERR_IO, SIM_FAIL_SYNC);
    assert_int_equal(os_fdatasync(f), ERR_IO);
    file_fill(f, SECTOR, 'c', SECTOR); /* in the first page */
    assert_int_equal(os_fdatasync(f), 0);
    crash(SIM_CRASH_DROP);
    assert_int_equal(byte_at("f", 0), 'b');
    assert_int_equal(byte_at("f", SECTOR), 'c');
    assert_int_equal(byte_at("f", 16 * SECTOR), 'a');
}

static void what_a_failed_sync_left_may_be_there_or_not(void **state)
{
    int old = 0, fresh = 0;
    for (int t = 0; t < TRIES; t++) {
        sim_reset((uint64_t)t);
        int f = synced_file();
        file_fill(f, 0, 'b', SECTOR);
        sim_disk_fail_after(0, false, ERR_IO, SIM_FAIL_SYNC);
        assert_int_equal(os_fdatasync(f), ERR_IO);
        crash(SIM_CRASH_RANDOM);
        old += byte_at("f", 0) == 'a';
        fresh += byte_at("f", 0) == 'b';
    }
    assert_int_equal(old + fresh, TRIES);
    assert_true(old > 20 && fresh > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(drop_keeps_synced_data_only),
        T(keep_keeps_everything),
        T(what_was_synced_survives_every_mode),
        T(torn_cuts_the_last_write_at_a_sector),
        T(random_chooses_each_sector_by_itself),
        T(a_sector_never_has_a_later_write_without_the_earlier),
        T(random_may_grow_a_file_without_its_data),
        T(a_lost_truncate_takes_later_writes_with_it),
        T(a_synced_file_without_its_name_is_gone),
        T(a_synced_name_of_an_unsynced_file_is_empty),
        T(a_lost_unlink_brings_the_file_back),
        T(sync_dir_covers_one_directory_only),
        T(a_rename_is_kept_whole_or_lost_whole),
        T(renaming_before_syncing_may_lose_the_data),
        T(a_file_never_has_two_names),
        T(a_name_that_is_replaced_is_never_missing),
        T(directory_operations_survive_independently),
        T(a_rename_between_directories_is_synced_from_either_end),
        T(what_an_open_unlinked_file_held_is_gone),
        T(a_failed_sync_is_not_made_good_by_the_next),
        T(a_write_after_a_failed_sync_makes_the_page_dirty_again),
        T(what_a_failed_sync_left_may_be_there_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
