/* Watches of logs, and reads without any, over a real store on the simulated system, on one and three shards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/op.h"
#include "core/partition.h"
#include "core/topic_table.h"
#include "core/watch.h"
#include "os/sim/sim.h"
#include "store/batch.h"

enum { STEPS = 200000, PARTITIONS = 6 };

static struct config config;
static struct broker *broker;
static bool ready, stopped_by_test;
static unsigned pending;
static uint64_t seen[64];
static unsigned seen_count;
static struct watch_set *sets[3];

static void on_ready(void *arg, struct broker *b, int err)
{
    assert_int_equal(err, 0);
    ready = true;
}

static bool is_ready(void *arg)
{
    return ready;
}

static void completed(struct conn *c, struct op *op)
{
    pending--;
}

static bool none_pending(void *arg)
{
    return pending == 0;
}

static void wait_all(void)
{
    assert_true(sim_run_until(none_pending, NULL, STEPS));
}

static bool have_seen(void *arg)
{
    return seen_count >= *(unsigned *)arg;
}

static void expect_seen(unsigned count)
{
    assert_true(sim_run_until(have_seen, &count, STEPS));
    assert_int_equal(seen_count, count);
}

static void on_fired(void *user, uint64_t tag)
{
    assert_ptr_equal(user, &broker);
    seen[seen_count++] = tag;
}

static struct shard *home(void)
{
    return &broker->shards[0];
}

static const struct topic_partition *partition(unsigned i)
{
    return &topic_table_find(home(), span_str("t"))->partitions[i];
}

static int setup(void **state)
{
    struct config_error e;
    struct broker_options opt = {.config = &config, .ready = on_ready};
    sim_reset(7);
    config_init(&config);
    assert_int_equal(config_set(&config, "shards", *state, CONFIG_FILE, &e), 0);
    assert_int_equal(config_set(&config, "journal.file-bytes", "1MiB", CONFIG_FILE, &e), 0);
    assert_int_equal(config_set(&config, "journal.max-bytes", "4MiB", CONFIG_FILE, &e), 0);
    ready = stopped_by_test = false;
    seen_count = pending = 0;
    assert_int_equal(broker_open(&opt, &broker), 0);
    assert_true(sim_run_until(is_ready, NULL, STEPS));
    struct op_topic_create *t = op_new_internal(home(), sizeof(*t), completed, NULL);
    t->name = span_str("t");
    t->partitions = PARTITIONS;
    topic_config_default(&t->config);
    pending++;
    op_topic_create_submit(t);
    wait_all();
    op_topic_create_free(t);
    for (unsigned i = 0; i < broker->shard_count; i++)
        sets[i] = watch_new(home(), i, on_fired, &broker);
    return 0;
}

static void close_all(void)
{
    for (unsigned i = 0; i < broker->shard_count; i++) {
        if (sets[i])
            watch_close(sets[i]);
        sets[i] = NULL;
    }
}

static int teardown(void **state)
{
    close_all();
    if (!stopped_by_test)
        broker_stop(broker);
    assert_int_equal(broker_run(broker), 0);
    broker_close(broker);
    return 0;
}

static void arm(unsigned i, uint64_t high_watermark)
{
    watch_arm(sets[partition(i)->shard], partition(i)->log_id, 100 + i, high_watermark, 0);
}

static void send_all(void)
{
    for (unsigned i = 0; i < broker->shard_count; i++)
        watch_send(sets[i]);
}

static void append(unsigned i)
{
    uint8_t b[BATCH_HEADER_BYTES + 8] = {0}, record[8] = {14, 0, 0, 0, 1, 2, 'v', 0};
    struct op_append *a = op_new_internal(home(), sizeof(*a), completed, NULL);
    memcpy(b + BATCH_HEADER_BYTES, record, sizeof(record));
    batch_set_magic(b, BATCH_MAGIC);
    batch_set_record_count(b, 1);
    batch_set_producer_id(b, -1);
    batch_set_producer_epoch(b, -1);
    batch_set_base_sequence(b, -1);
    batch_seal(b, sizeof(b));
    a->shard = partition(i)->shard;
    a->count = 1;
    a->items = mem_zalloc(sizeof(*a->items));
    a->items[0].log_id = partition(i)->log_id;
    a->items[0].batch = span_of(b, sizeof(b));
    pending++;
    op_append_submit(a);
    wait_all();
    assert_int_equal(a->items[0].err, 0);
    op_append_free(a);
}

static void a_watch_fires_once_when_its_log_grows(void **state)
{
    for (unsigned i = 0; i < PARTITIONS; i++)
        arm(i, 0);
    send_all();
    append(4);
    expect_seen(1);
    assert_int_equal(seen[0], 104);
    append(4);
    append(1);
    expect_seen(2);
    assert_int_equal(seen[1], 101);
}

/* Who is told that its append is durable must find that the watch has fired, whichever shard it asks. */
static void it_has_fired_before_the_append_is_acknowledged(void **state)
{
    for (unsigned i = 0; i < PARTITIONS; i++)
        arm(i, 0);
    send_all();
    for (unsigned i = 0; i < PARTITIONS; i++) {
        append(i);
        assert_int_equal(seen_count, i + 1);
    }
}

static void a_watch_of_what_is_past_fires_at_once(void **state)
{
    append(0);
    append(5);
    arm(0, 0);
    arm(5, 1);
    send_all();
    expect_seen(1);
    assert_int_equal(seen[0], 100);
    append(5);
    expect_seen(2);
}

static void a_moved_start_fires(void **state)
{
    append(2);
    arm(2, 1);
    send_all();
    struct op_trim *t = op_new_internal(home(), sizeof(*t), completed, NULL);
    t->shard = partition(2)->shard;
    t->count = 1;
    t->items = mem_zalloc(sizeof(*t->items));
    t->items[0].log_id = partition(2)->log_id;
    t->items[0].before = 1;
    pending++;
    op_trim_submit(t);
    wait_all();
    op_trim_free(t);
    expect_seen(1);
    assert_int_equal(seen[0], 102);
}

static void a_deleted_log_fires_and_an_absent_one_at_once(void **state)
{
    uint64_t gone = partition(3)->log_id;
    unsigned owner = partition(3)->shard;
    arm(3, 0);
    send_all();
    struct op_topic_delete *t = op_new_internal(home(), sizeof(*t), completed, NULL);
    t->name = span_str("t");
    pending++;
    op_topic_delete_submit(t);
    wait_all();
    op_topic_delete_free(t);
    expect_seen(1);
    watch_arm(sets[owner], gone, 7, 0, 0);
    send_all();
    expect_seen(2);
    assert_int_equal(seen[1], 7);
}

static void what_is_dropped_or_closed_is_silent(void **state)
{
    for (unsigned i = 0; i < PARTITIONS; i++)
        arm(i, 0);
    watch_drop(sets[partition(0)->shard], partition(0)->log_id);
    send_all();
    append(0);
    append(1);
    expect_seen(1);
    assert_int_equal(seen[0], 101);
    close_all();
    for (unsigned i = 0; i < PARTITIONS; i++)
        append(i);
    expect_seen(1);
}

static struct op_read *read_nothing(uint64_t wait_ms)
{
    struct op_read *r = op_new_internal(home(), sizeof(*r), completed, NULL);
    r->shard = broker->shard_count - 1;
    r->wait_bytes = 1;
    r->deadline_mono_ns = home()->now_ns + wait_ms * 1000000;
    pending++;
    op_read_submit(r);
    os_loop_wake(home()->loop); /* as if this were a turn */
    return r;
}

static void a_read_without_items_waits_until_its_deadline(void **state)
{
    uint64_t before = os_mono_ns();
    struct op_read *r = read_nothing(500);
    uint64_t deadline = r->deadline_mono_ns;
    wait_all();
    assert_true(os_mono_ns() >= deadline && os_mono_ns() - before < 1000000000);
    op_read_free(r);
}

static void a_read_without_items_can_be_called_back(void **state)
{
    struct op_read *r = read_nothing(3600000);
    op_read_cancel(r);
    wait_all();
    op_read_free(r);
}

static void a_stop_does_not_wait_for_a_read_without_items(void **state)
{
    struct op_read *r = read_nothing(3600000);
    uint64_t before = os_mono_ns();
    close_all();
    broker_stop(broker);
    stopped_by_test = true;
    wait_all();
    assert_true(os_mono_ns() - before < 1000000000);
    op_read_free(r);
}

#define TEST(f)                                                                                              \
    {#f " [1]", f, setup, teardown, "1"},                                                                    \
    {                                                                                                        \
#f " [3]", f, setup, teardown, "3"                                                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_watch_fires_once_when_its_log_grows),
        TEST(it_has_fired_before_the_append_is_acknowledged),
        TEST(a_watch_of_what_is_past_fires_at_once),
        TEST(a_moved_start_fires),
        TEST(a_deleted_log_fires_and_an_absent_one_at_once),
        TEST(what_is_dropped_or_closed_is_silent),
        TEST(a_read_without_items_waits_until_its_deadline),
        TEST(a_read_without_items_can_be_called_back),
        TEST(a_stop_does_not_wait_for_a_read_without_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
