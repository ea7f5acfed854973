/* Twenty thousand logs with one record each, then load on one of them: the cold ones must not pin the
 * journal, must not get a file each, and must be there after a restart. */
#include <stddef.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "store/log_impl.h"
#include "store/rig.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLOW 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SLOW 1
#endif
#endif

#ifdef SLOW
enum { COLD = 2000 }; /* sanitizers make the whole number take minutes */
#else
enum { COLD = 20000 };
#endif
enum { HOT_BATCHES = 2500, HOT_BYTES = 32 << 10 };

static const struct log_config config = {LOG_FSYNC, 64 << 20, 4096, INT64_MAX / 4};

/* The rig's turn and events, without its model of logs. */
static void open_store(struct rig *r)
{
    rig_init(r, 1);
    r->opt.journal_file_bytes = 16 << 20;
    r->opt.journal_max_bytes = 64 << 20;
    r->opt.tail_bytes = 32 << 20;
    assert_int_equal(rig_open(r), 0);
}

static void write_cold(struct rig *r)
{
    uint64_t base;
    for (uint64_t id = 1; id <= COLD; id++) {
        struct log *l = store_log_new(store_shard(r->st, 0), id, &config);
        assert_int_equal(log_append(l, rig_batch_make(id, 1, 50), &base, NULL), 0);
        if (id % 1000 == 0)
            rig_settle(r);
    }
}

static void write_hot(struct rig *r)
{
    struct log *hot = store_log_new(store_shard(r->st, 0), COLD + 1, &config);
    uint64_t base;
    for (uint64_t i = 0; i < HOT_BATCHES; i++) {
        int err;
        while ((err = log_append(hot, rig_batch_make(i, 1, HOT_BYTES), &base, NULL)) == ERR_AGAIN)
            rig_run(r, 20);
        assert_int_equal(err, 0);
        rig_run(r, 10);
    }
    rig_settle(r);
}

static void recover_all(struct rig *r)
{
    struct store_events ev = {0};
    struct log *l;
    assert_int_equal(store_open(&r->opt, &ev, &r->st), 0);
    for (uint64_t id = 1; id <= COLD + 1; id++) {
        assert_int_equal(store_recover_log(r->st, id, &config, &l), 0);
        assert_false(log_damaged(l));
        assert_int_equal(log_durable(l), id <= COLD ? 1 : HOT_BATCHES);
    }
    store_close(r->st);
}

static void cold_logs_pin_nothing(void **state)
{
    struct rig r;
    sim_reset(1);
    sim_disk_log(false);
    open_store(&r);
    write_cold(&r);
    write_hot(&r); /* 80 MB through a journal of 64 MB */
    assert_true(r.st->journal->stats.bytes > 80u << 20);
    assert_true(r.st->journal->stats.files <= 4 + 2);
    unsigned with_file = 0;
    for (uint64_t id = 1; id <= COLD; id++)
        with_file += store_log_get(store_shard(r.st, 0), id)->segment_count > 0;
    assert_int_equal(with_file, 0);
    rig_close(&r);
    recover_all(&r);
    rig_fini(&r);
    sim_reset(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cold_logs_pin_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
