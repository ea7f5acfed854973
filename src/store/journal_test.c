/* The journal on the simulated disk: what replay shows after damage of every kind, and how space is given
 * out. */
#include <stddef.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "store/batch.h"
#include "store/journal_file.h"
#include "store/rig.h"

enum { FILE_BYTES = 64 << 10, MAX_FOUND = 256, BODY_BYTES = 40 << 10 };

/* One journal in the folder "j", with what its replay showed. */
struct kit {
    const char *dir;
    struct journal *j;
    struct os_pool *pool;
    struct os_loop *loop;
    struct journal_replay_entry found[MAX_FOUND];
    size_t count;
    unsigned recycles, spaces;
    uint64_t recycle_before, next_base;
    int failed;
};

static char said[16384];

static void note_line(enum say_level level, const char *component, const char *line)
{
    size_t len = strlen(said);
    snprintf(said + len, sizeof(said) - len, "%s\n", line);
}

static void on_recycle(void *arg, uint64_t before)
{
    struct kit *k = arg;
    k->recycles++;
    k->recycle_before = before;
}

static void on_space(void *arg)
{
    ((struct kit *)arg)->spaces++;
}

static void on_failed(void *arg, int err, const char *what)
{
    ((struct kit *)arg)->failed = err;
}

static void turn(void *arg)
{
}

static int note_entry(void *arg, const struct journal_replay_entry *e)
{
    struct kit *k = arg;
    assert_true(k->count < MAX_FOUND);
    k->found[k->count] = *e;
    k->found[k->count++].body = SPAN_NULL;
    return 0;
}

/* Opens and replays; on an error nothing stays open. */
static int open_kit(struct kit *k, const char *dir, bool accept_loss)
{
    *k = (struct kit){.dir = dir, .pool = os_pool_new("disk", 1), .loop = os_loop_new(turn, k)};
    struct journal_file_options opt = {
        .dir = dir,
        .file_bytes = FILE_BYTES,
        .max_bytes = 8 * FILE_BYTES,
        .disk_pool = k->pool,
        .accept_loss = accept_loss,
        .events = {on_recycle, on_space, on_failed, k},
    };
    said[0] = 0;
    say_init(note_line, SAY_INFO);
    int err = journal_file_open(&opt, &k->j);
    if (!err)
        err = k->j->ops->replay(k->j, note_entry, k);
    return err;
}

static void close_kit(struct kit *k)
{
    if (k->j)
        k->j->ops->stop(k->j);
    os_pool_free(k->pool);
    if (k->j)
        k->j->ops->close(k->j);
    os_loop_free(k->loop);
    say_init(NULL, SAY_ERROR);
    assert_int_equal(sim_open_files(), 0);
}

static void start(struct kit *k)
{
    k->next_base = k->count ? k->found[k->count - 1].base + 1 : 1;
    assert_int_equal(k->j->ops->start(k->j, k->loop), 0);
}

static void begin(struct kit *k)
{
    sim_reset(1);
    assert_int_equal(open_kit(k, "j", false), 0);
    start(k);
}

static int reopen(struct kit *k, bool accept_loss)
{
    close_kit(k);
    return open_kit(k, "j", accept_loss);
}

static void end(struct kit *k)
{
    close_kit(k);
    sim_reset(0);
}

struct put {
    struct journal_group group;
    bool done;
};

static void put_done(struct journal_group *g)
{
    ((struct put *)g->owner)->done = true;
}

static bool is_done(void *arg)
{
    return ((struct put *)arg)->done;
}

/* Writes one entry as a group of its own and waits. Returns its lsn. */
static uint64_t put(struct kit *k, struct span body)
{
    struct journal_entry e = {.base = k->next_base++, .type = JOURNAL_COMMAND, .body = body};
    struct put p = {
        .group = {.entries = &e, .count = 1, .body_bytes = body.len, .done = put_done, .owner = &p},
    };
    k->j->ops->submit(k->j, &p.group);
    assert_true(sim_run_until(is_done, &p, 100000));
    assert_int_equal(p.group.err, 0);
    return p.group.lsn;
}

static struct span body_of(uint8_t fill, size_t len)
{
    static uint8_t bytes[BODY_BYTES];
    assert_true(len <= sizeof(bytes));
    memset(bytes, fill, len);
    return span_of(bytes, len);
}

static uint64_t put_small(struct kit *k)
{
    return put(k, body_of(0x55, 100));
}

/* One after the other from `first` on, each with a sound body. */
static void assert_found(const struct kit *k, uint64_t first, size_t count)
{
    assert_int_equal(k->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(k->found[i].base, first + i);
        assert_true(k->found[i].body_ok);
    }
}

static const char *path_of(const char *dir, uint64_t no, const char *suffix)
{
    static char paths[4][64];
    static unsigned turns;
    char *path = paths[turns++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%010llu.%s", dir, (unsigned long long)no, suffix);
    return path;
}

static void corrupt(uint64_t lsn, uint64_t at)
{
    const char *path = path_of("j", journal_lsn_file(lsn), "journal");
    assert_int_equal(sim_disk_corrupt(path, journal_lsn_pos(lsn) + at, 0x40), 0);
}

static void read_at(const char *path, uint64_t pos, void *ret, size_t len)
{
    int file = os_open(path, OS_READ);
    assert_true(file >= 0);
    assert_int_equal(os_pread(file, ret, len, pos), len);
    os_close(file);
}

/* ---- replay ---- */

static void groups_are_replayed_in_order(void **state)
{
    struct kit k;
    begin(&k);
    for (int i = 0; i < 5; i++)
        put_small(&k);
    assert_int_equal(reopen(&k, false), 0);
    assert_found(&k, 1, 5);
    assert_int_equal(k.found[4].body_len, 100);
    end(&k);
}

static void a_torn_last_group_is_cut(void **state)
{
    static const uint64_t places[] = {20, 40, 70, 150}; /* header, lengths, entry header, body */
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        struct kit k;
        begin(&k);
        put_small(&k);
        put_small(&k);
        corrupt(put_small(&k), places[i]);
        assert_int_equal(reopen(&k, false), 0);
        assert_found(&k, 1, 2);
        start(&k);
        put_small(&k); /* in its place */
        assert_int_equal(reopen(&k, false), 0);
        assert_found(&k, 1, 3);
        end(&k);
    }
}

static void a_damaged_directory_of_durable_groups_is_an_error(void **state)
{
    struct kit k;
    begin(&k);
    put_small(&k);
    uint64_t lsn = put_small(&k);
    put_small(&k);
    put_small(&k);
    corrupt(lsn, 70);
    assert_int_equal(reopen(&k, false), ERR_CORRUPT);
    assert_non_null(strstr(said, "durable data is damaged"));
    assert_non_null(strstr(said, "file=1 position=8192 lost_bytes=4096"));
    end(&k);
}

static void accepted_loss_is_named_and_the_rest_is_read(void **state)
{
    struct kit k;
    begin(&k);
    put_small(&k);
    uint64_t lsn = put_small(&k);
    put_small(&k);
    put_small(&k);
    corrupt(lsn, 70);
    assert_int_equal(reopen(&k, true), 0);
    assert_non_null(strstr(said, "file=1 position=8192 lost_bytes=4096"));
    assert_int_equal(k.count, 3);
    assert_int_equal(k.found[1].base, 3);
    start(&k);
    put_small(&k);
    assert_int_equal(reopen(&k, true), 0);
    assert_int_equal(k.count, 4);
    assert_int_equal(k.found[3].base, 5);
    end(&k);
}

static void a_damaged_body_of_a_durable_group_is_reported(void **state)
{
    struct kit k;
    begin(&k);
    put_small(&k);
    corrupt(put_small(&k), 150);
    put_small(&k);
    put_small(&k);
    assert_int_equal(reopen(&k, false), 0);
    assert_int_equal(k.count, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(k.found[i].body_ok, i != 1);
    end(&k);
}

static void damage_at_the_end_of_a_file_that_is_not_the_last_is_an_error(void **state)
{
    struct kit k;
    begin(&k);
    uint64_t last = put_small(&k);
    for (uint64_t lsn = last; journal_lsn_file(lsn) == 1; lsn = put_small(&k))
        last = lsn;
    corrupt(last, 20);
    assert_int_equal(reopen(&k, false), ERR_CORRUPT); /* the second file's header knows the chain */
    assert_int_equal(reopen(&k, true), 0);
    assert_non_null(strstr(said, "lost=\"to the end of the file\""));
    assert_int_equal(k.found[k.count - 1].lsn, journal_lsn(2, 4096));
    end(&k);
}

/* ---- what is not a group of this file ---- */

static bool has_magic(const char *path, uint64_t pos)
{
    uint8_t b[4];
    read_at(path, pos, b, sizeof(b));
    return memcmp(b, "CGRP", 4) == 0;
}

static void settle(void)
{
    for (int i = 0; i < 200; i++)
        sim_step();
}

static void stale_groups_of_a_recycled_file_are_not_taken(void **state)
{
    struct kit k;
    uint64_t lsn = 0;
    begin(&k);
    for (int i = 0; i < 200; i++) { /* the first files come round again */
        lsn = put_small(&k);
        k.j->ops->drop_before(k.j, lsn);
        settle();
    }
    const char *path = path_of("j", journal_lsn_file(lsn), "journal");
    assert_true(journal_lsn_file(lsn) > 8 && journal_lsn_pos(lsn) < FILE_BYTES - 8192);
    assert_true(has_magic(path, journal_lsn_pos(lsn) + 4096)); /* stale ones there are */
    assert_int_equal(reopen(&k, false), 0);
    assert_int_equal(k.found[k.count - 1].base, 200);
    assert_int_equal(k.found[k.count - 1].lsn, lsn);
    assert_found(&k, 201 - k.count, k.count);
    end(&k);
}

/* A body of three blocks, whose inside looks like a group at its 4 KiB boundary, with this salt. */
static struct span forged_body(uint64_t place, uint64_t salt)
{
    static uint8_t bytes[3 * JOURNAL_BLOCK_BYTES];
    enum { AT = JOURNAL_BLOCK_BYTES - JOURNAL_GROUP_HEADER_BYTES - JOURNAL_ENTRY_HEADER_BYTES };
    struct journal_entry e = {.base = 666, .type = JOURNAL_COMMAND, .body = span_of("forged", 6)};
    struct journal_group_header h = {
        .salt = salt,
        .lsn = place + JOURNAL_BLOCK_BYTES,
        .synced_lsn = place + JOURNAL_BLOCK_BYTES,
        .entry_count = 1,
        .dir_len = JOURNAL_GROUP_HEADER_BYTES + JOURNAL_ENTRY_HEADER_BYTES,
        .body_len = 6,
    };
    memset(bytes, 0, sizeof(bytes));
    journal_entry_encode(&e, bytes + AT + JOURNAL_GROUP_HEADER_BYTES);
    memcpy(bytes + AT + h.dir_len, "forged", 6);
    journal_group_encode(&h, bytes + AT);
    return span_of(bytes, sizeof(bytes));
}

static int replay_torn_with_forgery(struct kit *k, bool knows_salt)
{
    uint8_t block[JOURNAL_BLOCK_BYTES];
    struct journal_file_header h;
    begin(k);
    uint64_t before = put_small(k);
    read_at(path_of("j", 1, "journal"), 0, block, sizeof(block));
    assert_int_equal(journal_file_header_decode(block, &h), 0);
    uint64_t place = before + JOURNAL_BLOCK_BYTES;
    assert_int_equal(put(k, forged_body(place, knows_salt ? h.salt : h.salt ^ 1)), place);
    assert_true(has_magic(path_of("j", 1, "journal"), journal_lsn_pos(place) + JOURNAL_BLOCK_BYTES));
    corrupt(place, 20); /* the group around it is torn */
    return reopen(k, false);
}

static void a_record_that_looks_like_a_group_is_none(void **state)
{
    struct kit k;
    assert_int_equal(replay_torn_with_forgery(&k, false), 0);
    assert_found(&k, 1, 1);
    end(&k);
    assert_int_equal(replay_torn_with_forgery(&k, true),
                     ERR_CORRUPT); /* the salt, and only that, keeps it out */
    end(&k);
}

/* ---- files that are missing, damaged or foreign ---- */

/* Three files and a bit. */
static void begin_with_files(struct kit *k, const char *dir)
{
    assert_int_equal(open_kit(k, dir, false), 0);
    start(k);
    while (journal_lsn_file(put_small(k)) < 4)
        ;
}

static void a_missing_middle_file_is_an_error(void **state)
{
    struct kit k;
    sim_reset(1);
    begin_with_files(&k, "j");
    close_kit(&k);
    assert_int_equal(os_unlink(path_of("j", 2, "journal")), 0);
    assert_int_equal(open_kit(&k, "j", false), ERR_CORRUPT);
    assert_non_null(strstr(said, "after=1 found=3"));
    assert_int_equal(reopen(&k, true), 0);
    assert_int_equal(journal_lsn_file(k.found[k.count - 1].lsn), 4);
    end(&k);
}

static void a_file_of_another_journal_is_an_error(void **state)
{
    struct kit k;
    sim_reset(1);
    begin_with_files(&k, "j");
    close_kit(&k);
    begin_with_files(&k, "other");
    close_kit(&k);
    assert_int_equal(os_rename(path_of("other", 3, "journal"), path_of("j", 3, "journal")), 0);
    assert_int_equal(open_kit(&k, "j", false), ERR_CORRUPT);
    assert_non_null(strstr(said, "belongs to another journal"));
    end(&k);
}

static void a_damaged_header_in_the_middle_is_an_error(void **state)
{
    struct kit k;
    sim_reset(1);
    begin_with_files(&k, "j");
    close_kit(&k);
    assert_int_equal(sim_disk_corrupt(path_of("j", 2, "journal"), 41, 1), 0);
    assert_int_equal(open_kit(&k, "j", false), ERR_CORRUPT);
    assert_int_equal(reopen(&k, true), 0);
    assert_non_null(strstr(said, "the header of a file is damaged"));
    uint64_t size;
    assert_int_equal(os_path_size(path_of("j", 2, "damaged"), &size), 0); /* kept for whoever wants to look */
    end(&k);
}

static void a_damaged_header_of_the_last_file_loses_nothing_silently(void **state)
{
    struct kit k;
    begin(&k);
    put_small(&k);
    close_kit(&k);
    assert_int_equal(sim_disk_corrupt(path_of("j", 1, "journal"), 41, 1), 0);
    assert_int_equal(open_kit(&k, "j", false), ERR_CORRUPT);
    assert_int_equal(reopen(&k, true), 0);
    assert_int_equal(k.count, 0);
    start(&k);
    put_small(&k);
    assert_int_equal(reopen(&k, false), 0);
    assert_found(&k, 1, 1);
    end(&k);
}

/* Power failed between the rename of a spare and its header: the groups before are all there is. */
static void a_last_file_that_was_not_begun_is_a_spare_again(void **state)
{
    struct kit k;
    begin(&k);
    put_small(&k);
    close_kit(&k);
    int file = os_open(path_of("j", 2, "journal"), OS_WRITE | OS_CREATE);
    assert_int_equal(os_truncate(file, FILE_BYTES), 0);
    os_close(file);
    assert_int_equal(open_kit(&k, "j", false), 0);
    assert_found(&k, 1, 1);
    start(&k);
    put_small(&k);
    assert_int_equal(reopen(&k, false), 0);
    assert_found(&k, 1, 2);
    end(&k);
}

/* ---- space ---- */

static void files_follow_each_other_and_come_round_again(void **state)
{
    struct kit k;
    uint64_t lsn = 0, size;
    begin(&k);
    for (int i = 0; i < 60; i++) {
        lsn = put(&k, body_of(1, 12000));
        if (i % 4 == 3)
            k.j->ops->drop_before(k.j, lsn);
        settle();
    }
    uint64_t last = journal_lsn_file(lsn);
    assert_true(last >= 12);
    assert_true(k.j->stats.files <= 8);
    assert_int_equal(os_path_size(path_of("j", 1, "journal"), &size), ERR_NOT_FOUND);
    assert_int_equal(reopen(&k, false), 0);
    assert_int_equal(k.found[k.count - 1].lsn, lsn);
    assert_found(&k, 61 - k.count, k.count);
    end(&k);
}

static void a_group_that_does_not_fit_goes_to_the_next_file(void **state)
{
    struct kit k;
    begin(&k);
    put(&k, body_of(1, 15000));
    put(&k, body_of(2, 15000));
    uint64_t third = put(&k, body_of(3, 15000)), fourth = put(&k, body_of(4, 15000));
    assert_int_equal(journal_lsn_file(third), 1);
    assert_int_equal(fourth, journal_lsn(2, 4096));
    assert_int_equal(reopen(&k, false), 0);
    assert_found(&k, 1, 4);
    end(&k);
}

static void recycling_is_asked_for_when_half_of_the_files_are_used(void **state)
{
    struct kit k;
    uint64_t lsn = 0;
    begin(&k);
    while (journal_lsn_file(lsn) < 5) {
        assert_int_equal(k.recycles, 0);
        lsn = put(&k, body_of(1, 12000));
        settle();
    }
    assert_int_equal(k.recycles, 1);
    assert_int_equal(k.recycle_before, journal_lsn(2, 0));
    end(&k);
}

/* Admits until it is refused; returns why. */
static int fill(struct kit *k)
{
    for (int i = 0; i < 10000; i++) {
        int err = k->j->ops->admit(k->j, 1000, false);
        if (err)
            return err;
    }
    return 0;
}

static void publishers_wait_where_internal_entries_pass(void **state)
{
    struct kit k;
    begin(&k);
    settle();
    assert_int_equal(fill(&k), ERR_AGAIN);
    for (int i = 0; i < 40; i++) /* the reserve */
        assert_int_equal(k.j->ops->admit(k.j, 1000, true), 0);
    assert_int_equal(k.failed, 0);
    end(&k);
}

static void a_full_disk_refuses_publishers_only_and_heals(void **state)
{
    struct kit k;
    uint64_t lsn = 0;
    begin(&k);
    settle();
    sim_disk_capacity(sim_disk_used());
    while (!k.j->stats.refused) { /* uses up the spares */
        lsn = put(&k, body_of(1, 12000));
        settle();
    }
    assert_int_equal(fill(&k), ERR_NO_SPACE);
    assert_int_equal(k.j->ops->admit(k.j, 1000, true), 0);
    assert_int_equal(k.failed, 0);
    sim_disk_capacity(UINT64_MAX);
    sim_advance_ms(600);
    k.j->ops->drop_before(k.j, lsn);
    settle();
    assert_false(k.j->stats.refused);
    assert_int_equal(k.j->ops->admit(k.j, 1000, false), 0);
    end(&k);
}

static void who_was_refused_hears_of_space(void **state)
{
    struct kit k;
    begin(&k);
    settle();
    int64_t taken = 0;
    while (k.j->ops->admit(k.j, 1000, false) == 0)
        taken += 1000;
    settle();
    assert_int_equal(k.spaces, 0);
    struct journal_entry e = {.base = k.next_base++, .type = JOURNAL_COMMAND, .body = body_of(1, 100)};
    struct put p = {
        .group = {.entries = &e, .count = 1, .body_bytes = 100, .done = put_done, .owner = &p},
    };
    p.group.admitted = (uint64_t)taken; /* given back when it is written */
    k.j->ops->submit(k.j, &p.group);
    settle();
    assert_true(p.done);
    assert_int_equal(k.spaces, 1);
    assert_int_equal(k.j->ops->admit(k.j, 1000, false), 0);
    end(&k);
}

/* ---- through the store ---- */

static void a_damaged_batch_quarantines_its_log_only(void **state)
{
    static const struct log_config cfg = {LOG_FSYNC, 16 << 10, 256, INT64_MAX / 4};
    struct rig r;
    uint8_t *bytes, *file_bytes = mem_alloc(FILE_BYTES);
    size_t len;
    sim_reset(1);
    rig_init(&r, 1);
    assert_int_equal(rig_open(&r), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(rig_create(&r, i, &cfg), 0);
    rig_settle(&r);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(rig_append(&r, &r.logs[i % 3], 2, 200), 0);
        rig_settle(&r);
    }
    rig_close(&r);
    const char *path = path_of("data/journal", 1, "journal");
    struct span batch = rig_batch_make(r.logs[1].batches[1].seed, 2, 200);
    read_at(path, 0, file_bytes, FILE_BYTES);
    const uint8_t *at = memmem(file_bytes, FILE_BYTES, batch.ptr + BATCH_HEADER_BYTES, 200);
    assert_non_null(at);
    assert_int_equal(sim_disk_corrupt(path, (uint64_t)(at - file_bytes) + 99, 1), 0);
    mem_free(file_bytes);
    assert_int_equal(rig_open(&r), 0);
    assert_true(log_damaged(r.logs[1].log));
    assert_int_equal(rig_read(&r, r.logs[1].log, 0, 1000, &bytes, &len), ERR_CORRUPT);
    assert_int_equal(rig_append(&r, &r.logs[1], 1, 10), ERR_CORRUPT);
    rig_verify(&r, &r.logs[0], r.acks);
    rig_verify(&r, &r.logs[2], r.acks);
    assert_int_equal(rig_append(&r, &r.logs[2], 1, 10), 0);
    rig_settle(&r);
    rig_verify(&r, &r.logs[2], r.acks);
    rig_close(&r);
    rig_fini(&r);
    sim_reset(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_replayed_in_order),
        cmocka_unit_test(a_torn_last_group_is_cut),
        cmocka_unit_test(a_damaged_directory_of_durable_groups_is_an_error),
        cmocka_unit_test(accepted_loss_is_named_and_the_rest_is_read),
        cmocka_unit_test(a_damaged_body_of_a_durable_group_is_reported),
        cmocka_unit_test(damage_at_the_end_of_a_file_that_is_not_the_last_is_an_error),
        cmocka_unit_test(stale_groups_of_a_recycled_file_are_not_taken),
        cmocka_unit_test(a_record_that_looks_like_a_group_is_none),
        cmocka_unit_test(a_missing_middle_file_is_an_error),
        cmocka_unit_test(a_file_of_another_journal_is_an_error),
        cmocka_unit_test(a_damaged_header_in_the_middle_is_an_error),
        cmocka_unit_test(a_damaged_header_of_the_last_file_loses_nothing_silently),
        cmocka_unit_test(a_last_file_that_was_not_begun_is_a_spare_again),
        cmocka_unit_test(files_follow_each_other_and_come_round_again),
        cmocka_unit_test(a_group_that_does_not_fit_goes_to_the_next_file),
        cmocka_unit_test(recycling_is_asked_for_when_half_of_the_files_are_used),
        cmocka_unit_test(publishers_wait_where_internal_entries_pass),
        cmocka_unit_test(a_full_disk_refuses_publishers_only_and_heals),
        cmocka_unit_test(who_was_refused_hears_of_space),
        cmocka_unit_test(a_damaged_batch_quarantines_its_log_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
