/* Dump of a real store's files, sound and damaged. */
#include <stddef.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/batch.h"
#include "store/dump.h"
#include "store/log_impl.h"
#include "store/rig.h"

enum { TEXT_BYTES = 1 << 20 };

static const struct log_config config = {LOG_FSYNC, 16 << 10, 256, INT64_MAX / 4};
static const char journal_path[] = "data/journal/0000000001.journal";
static const char segment_path[] = "data/logs/1/00000000000000000000.log";
static const char index_path[] = "data/logs/1/00000000000000000000.idx";

static char text[TEXT_BYTES];
static size_t text_len;

static int put(void *arg, struct span line)
{
    assert_true(line.len > 0 && line.ptr[line.len - 1] == '\n');
    assert_true(text_len + line.len < TEXT_BYTES);
    memcpy(text + text_len, line.ptr, line.len);
    text_len += line.len;
    text[text_len] = 0;
    return 0;
}

static int dump(const char *path)
{
    text_len = 0;
    text[0] = 0;
    return dump_file(path, put, NULL);
}

#define assert_says(words)                                                                                   \
    do {                                                                                                     \
        if (!strstr(text, words))                                                                            \
            fail_msg("\"%s\" is not in:\n%.3000s", words, text);                                             \
    } while (0)

static void assert_says_times(const char *words, int times)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, words)); p++)
        n++;
    assert_int_equal(n, times);
}

static void begin(struct rig *r)
{
    sim_reset(1);
    rig_init(r, 1);
    assert_int_equal(rig_open(r), 0);
    assert_int_equal(rig_create(r, 0, &config), 0);
    rig_settle(r);
}

static void append(struct rig *r, int n, uint32_t payload)
{
    for (int i = 0; i < n; i++) {
        while (rig_append(r, &r->logs[0], 3, payload) == ERR_AGAIN)
            rig_run(r, 50);
        rig_settle(r);
    }
}

static void end(struct rig *r)
{
    rig_fini(r);
    sim_reset(0);
}

/* The place of a text's first occurrence in a file, for damaging it there. */
static uint64_t find_in_file(const char *path, struct span what)
{
    uint64_t size = 0;
    assert_int_equal(os_path_size(path, &size), 0);
    int file = os_open(path, OS_READ);
    uint8_t *bytes = mem_alloc(size);
    assert_int_equal(os_pread(file, bytes, size, 0), size);
    os_close(file);
    const uint8_t *p = memmem(bytes, size, what.ptr, what.len);
    assert_non_null(p);
    uint64_t at = (uint64_t)(p - bytes);
    mem_free(bytes);
    return at;
}

static void append_of_producer(struct rig *r)
{
    uint8_t bytes[BATCH_HEADER_BYTES + 10];
    uint64_t base;
    memcpy(bytes, rig_batch_make(7, 2, 10).ptr, sizeof(bytes));
    batch_set_producer_id(bytes, 4711);
    batch_set_producer_epoch(bytes, 3);
    batch_set_base_sequence(bytes, 0);
    batch_set_max_timestamp(bytes, 1700000000123);
    batch_seal(bytes, sizeof(bytes));
    assert_int_equal(log_append(r->logs[0].log, span_of(bytes, sizeof(bytes)), &base, NULL), 0);
    rig_settle(r);
}

static void a_journal_shows_its_groups_and_entries(void **state)
{
    struct rig r;
    begin(&r);
    append(&r, 2, 100);
    append_of_producer(&r);
    assert_int_equal(rig_trim(&r, &r.logs[0], 2), 0);
    rig_settle(&r);
    assert_int_equal(dump(journal_path), 0); /* the store is open: no lock is needed */
    assert_says("journal file 1, 65536 bytes, journal=");
    assert_says("broker started");
    assert_says("command log=0 base=1 ");
    assert_says("batch log=1 base=3 epoch=0 length=161 body=ok\n");
    assert_says("    offsets=6..7 records=2 codec=none max_time=2023-11-14T22:13:20.123Z producer=4711/3 "
                "sequence=0\n");
    assert_says("start log=1 base=2 ");
    assert_says("group 1:4096 position=4096 entries=1 synced=1:4096 bytes=4096 time=");
    assert_says(": nothing was written from here on\n");
    assert_says("6 groups with 6 entries; durable at least up to 1:24576\n");
    rig_close(&r);
    assert_int_equal(dump(journal_path), 0);
    assert_says("broker stopped cleanly");
    end(&r);
}

static void a_damaged_body_below_the_synced_lsn_is_shown(void **state)
{
    struct rig r;
    begin(&r);
    append(&r, 4, 100);
    rig_close(&r);
    struct span second = rig_batch_make(r.logs[0].batches[1].seed, 3, 100);
    uint64_t at = find_in_file(journal_path, span_of(second.ptr + BATCH_HEADER_BYTES, 100));
    assert_int_equal(sim_disk_corrupt(journal_path, at + 50, 0x10), 0);
    assert_int_equal(dump(journal_path), ERR_CORRUPT);
    assert_says("batch log=1 base=3 epoch=0 length=161 body=DAMAGED\n");
    assert_says_times("DAMAGED", 1);
    assert_says_times("group 1:", 7); /* all others are there */
    end(&r);
}

static void a_damaged_directory_is_stepped_over(void **state)
{
    struct rig r;
    begin(&r);
    append(&r, 4, 100);
    rig_close(&r);
    assert_int_equal(sim_disk_corrupt(journal_path, 3 * 4096 + 70, 1), 0);
    assert_int_equal(dump(journal_path), ERR_CORRUPT);
    assert_says("DAMAGED at position 12288: a group whose directory does not match its checksum");
    assert_says("; 4096 bytes up to the next group\n");
    assert_says("group 1:16384 ");
    assert_says_times("group 1:", 6);
    end(&r);
}

static void a_torn_last_group_is_no_damage(void **state)
{
    struct rig r;
    begin(&r);
    append(&r, 4, 100);
    rig_close(&r);
    assert_int_equal(sim_disk_corrupt(journal_path, 7 * 4096 + 20, 1), 0); /* the mark of the clean stop */
    assert_int_equal(dump(journal_path), 0);
    assert_says("groups end at position 28672: a group that belongs to another place\n");
    assert_says_times("group 1:", 6);
    end(&r);
}

static void a_damaged_file_header_hides_nothing_else(void **state)
{
    struct rig r;
    begin(&r);
    append(&r, 4, 100);
    rig_close(&r);
    assert_int_equal(sim_disk_corrupt(journal_path, 40, 1), 0);
    assert_int_equal(dump(journal_path), ERR_CORRUPT);
    assert_says("header DAMAGED\n");
    assert_says_times("group 1:", 7);
    end(&r);
}

/* Enough to recycle the journal: segments, indexes, states and spares come to be. */
static void fill(struct rig *r)
{
    begin(r);
    append_of_producer(r);
    rig_append(r, &r->logs[0], 1, 40);
    append(r, 100, 6000);
    assert_true(r->logs[0].log->segment_count > 2);
    rig_close(r);
}

static void a_segment_shows_its_batches(void **state)
{
    struct rig r;
    fill(&r);
    assert_int_equal(dump(segment_path), 0);
    assert_says("batch position=0 length=71 epoch=0 crc=ok offsets=0..1 records=2 codec=none "
                "max_time=2023-11-14T22:13:20.123Z producer=4711/3 sequence=0\n");
    assert_says("batch position=71 length=101 epoch=0 crc=ok offsets=2..2 records=1 ");
    assert_says("4 batches\n");
    assert_int_equal(sim_disk_corrupt(segment_path, 150, 1), 0);
    assert_int_equal(dump(segment_path), ERR_CORRUPT);
    assert_says("batch position=71 length=101 epoch=0 crc=DAMAGED");
    assert_int_equal(sim_disk_corrupt(segment_path, 71 + 16, 1), 0);
    assert_int_equal(dump(segment_path), ERR_CORRUPT);
    assert_says("DAMAGED or incomplete at position 71: no batch begins here; ");
    assert_says("1 batches\n");
    end(&r);
}

static void an_index_shows_its_entries(void **state)
{
    struct rig r;
    fill(&r);
    assert_int_equal(dump(index_path), 0);
    assert_says("index of the segment that begins at offset 0, ");
    assert_says("entry offset=0 position=0 max_time_before=none checksum=ok\n");
    assert_says("entry offset=6 position=6233 max_time_before=2023-11-14T22:13:20.123Z checksum=ok\n");
    assert_int_equal(sim_disk_corrupt(index_path, 20, 1), 0);
    assert_int_equal(dump(index_path), ERR_CORRUPT);
    assert_says_times("checksum=DAMAGED", 1);
    assert_int_equal(sim_disk_corrupt(index_path, 0, 1), 0);
    assert_int_equal(dump(index_path), ERR_CORRUPT);
    assert_says("header DAMAGED");
    end(&r);
}

struct last_name {
    char name[64];
    const char *suffix;
};

static int note_name(void *arg, const char *name, bool is_dir)
{
    struct last_name *l = arg;
    if (strstr(name, l->suffix))
        snprintf(l->name, sizeof(l->name), "%s", name);
    return 0;
}

/* The path of the last file there whose name has this suffix. */
static const char *last_file(const char *dir, const char *suffix)
{
    static char path[128];
    struct last_name l = {.suffix = suffix};
    assert_int_equal(os_list(dir, note_name, &l), 0);
    assert_true(l.name[0] != 0);
    snprintf(path, sizeof(path), "%s/%s", dir, l.name);
    return path;
}

static void states_in_the_journal_are_summarised(void **state)
{
    struct rig r;
    fill(&r);
    bool found = false;
    for (uint64_t no = 1; no < 20 && !found; no++) {
        char path[64];
        snprintf(path, sizeof(path), "data/journal/%010llu.journal", (unsigned long long)no);
        int err = dump(path);
        assert_true(err == 0 || err == ERR_NOT_FOUND);
        found = strstr(text, "epochs=1 producers=1\n");
    }
    assert_true(found);
    assert_says("state log=1 base=");
    end(&r);
}

static void a_spare_says_what_it_was(void **state)
{
    struct rig r;
    fill(&r);
    assert_int_equal(dump(last_file("data/journal", ".spare")), 0);
    assert_says("spare journal file, 65536 bytes\n");
    end(&r);
}

static void a_state_file_shows_everything(void **state)
{
    struct rig r;
    begin(&r);
    for (int64_t id = 0; id < 1500; id++) {
        struct producer x = {.id = id, .count = 1, .last_ms = os_wall_ms(), .batches = {{0, 4, 77, 5}}};
        producers_restore(&r.logs[0].log->producers, &x);
    }
    append(&r, 100, 6000);
    rig_close(&r);
    const char *path = last_file("data/states", ".state");
    assert_int_equal(dump(path), 0);
    assert_says("producers=1500\n");
    assert_says("segment base=0 next=");
    assert_says("epoch 0 from offset 0\n");
    assert_says("producer 1499/0 last=");
    assert_says_times("  sequences=0..4 offset=77\n", 1500);
    int file = os_open(path, OS_WRITE);
    assert_int_equal(os_truncate(file, 5000), 0);
    os_close(file);
    assert_int_equal(dump(path), ERR_CORRUPT);
    assert_says("DAMAGED: the state's length does not fit its contents\n");
    end(&r);
}

static void a_snapshot_in_a_file_is_named(void **state)
{
    struct rig r;
    char expected[256];
    begin(&r);
    r.snapshot_bytes = 20000;
    append(&r, 100, 6000);
    rig_close(&r);
    const char *path = last_file("data/states", ".snapshot");
    snprintf(expected, sizeof(expected), "    the snapshot is 20040 bytes in the file %s\n",
             path + strlen("data/"));
    assert_int_equal(dump(path), 0);
    assert_says("snapshot of a command log, 20040 bytes (its checksum stands in the journal)\n");
    bool found = false;
    for (uint64_t no = 1; no < 100 && !found; no++) {
        char journal[64];
        snprintf(journal, sizeof(journal), "data/journal/%010llu.journal", (unsigned long long)no);
        int err = dump(journal);
        assert_true(err == 0 || err == ERR_NOT_FOUND);
        found = strstr(text, expected);
    }
    assert_true(found);
    assert_says("state log=0 base=1 ");
    end(&r);
}

static void other_files_are_refused(void **state)
{
    struct rig r;
    begin(&r);
    assert_int_equal(dump("data/lock"), ERR_UNSUPPORTED);
    assert_int_equal(dump("data/absent.log"), ERR_NOT_FOUND);
    rig_close(&r);
    assert_int_equal(os_rename(journal_path, "data/copied"), 0);
    assert_int_equal(dump("data/copied"), 0); /* known by its magic */
    assert_says("journal file 1, ");
    end(&r);
}

static int put_once(void *arg, struct span line)
{
    return ++*(int *)arg == 2 ? ERR_CLOSED : 0;
}

static void a_reader_that_goes_away_ends_it(void **state)
{
    struct rig r;
    int lines = 0;
    fill(&r);
    assert_int_equal(dump_file(segment_path, put_once, &lines), ERR_CLOSED);
    assert_int_equal(lines, 2);
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_journal_shows_its_groups_and_entries),
        cmocka_unit_test(a_damaged_body_below_the_synced_lsn_is_shown),
        cmocka_unit_test(a_damaged_directory_is_stepped_over),
        cmocka_unit_test(a_torn_last_group_is_no_damage),
        cmocka_unit_test(a_damaged_file_header_hides_nothing_else),
        cmocka_unit_test(a_segment_shows_its_batches),
        cmocka_unit_test(an_index_shows_its_entries),
        cmocka_unit_test(states_in_the_journal_are_summarised),
        cmocka_unit_test(a_spare_says_what_it_was),
        cmocka_unit_test(a_state_file_shows_everything),
        cmocka_unit_test(a_snapshot_in_a_file_is_named),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(a_reader_that_goes_away_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
