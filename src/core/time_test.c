/* Looking records up by time, and retention, on the whole core: what is produced is checked, stored, and
 * asked for as a front end does it. Every look-up is made twice: of records in memory (durability=fsync,
 * fresh), and in a segment (durability=os). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/compress.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/op_impl.h"
#include "core/records_testkit.h"
#include "core/topic_table.h"
#include "os/sim/sim.h"

enum { STEPS = 200000, T0 = 1000 };

static struct config config;
static struct broker *broker;
static struct kit kit;
static bool ready;
static unsigned pending;

/* ---- a broker ------------------------------------------------------------------------------------------ */

static void on_ready(void *arg, struct broker *b, int err)
{
    assert_int_equal(err, 0);
    ready = true;
}

static bool is_ready(void *arg)
{
    return ready;
}

static void boot(void)
{
    struct broker_options opt = {.config = &config, .ready = on_ready};
    ready = false;
    assert_int_equal(broker_open(&opt, &broker), 0);
    assert_true(sim_run_until(is_ready, NULL, STEPS));
}

static void stop(void)
{
    broker_stop(broker);
    assert_int_equal(broker_run(broker), 0);
    broker_close(broker);
}

static void crash(void)
{
    struct sim_image *image = sim_disk_image(sim_disk_ops(), SIM_CRASH_DROP);
    stop(); /* only to give its memory back */
    sim_boot(image, 8);
    boot();
}

static void start(void)
{
    static const char *const settings[] = {"shards=1", "journal.file-bytes=1MiB", "journal.max-bytes=4MiB",
                                           "retention.time=unlimited", "retention.check-interval=1min"};
    struct config_error e;
    sim_reset(7);
    config_init(&config);
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        assert_int_equal(config_set_pair(&config, settings[i], CONFIG_FILE, &e), 0);
    boot();
}

static bool none_pending(void *arg)
{
    return pending == 0;
}

static void completed(struct conn *c, struct op *op)
{
    pending--;
}

static void wait_all(void)
{
    assert_true(sim_run_until(none_pending, NULL, STEPS));
}

static void *op(size_t size)
{
    pending++;
    return op_new_internal(&broker->shards[0], size, completed, NULL);
}

static struct shard *shard(void)
{
    return &broker->shards[0];
}

static void create(const char *name, enum log_durability durability, int64_t retention_ms, int64_t cleanup)
{
    struct op_topic_create *t = op(sizeof(*t));
    t->name = span_str(name);
    t->partitions = 1;
    topic_config_default(&t->config);
    topic_config_set_number(&t->config, TOPIC_CONFIG_DURABILITY, durability, NULL);
    topic_config_set_number(&t->config, TOPIC_CONFIG_RETENTION_MS, retention_ms, NULL);
    topic_config_set_number(&t->config, TOPIC_CONFIG_CLEANUP, cleanup, NULL);
    op_topic_create_submit(t);
    wait_all();
    assert_int_equal(t->op.err, 0);
    op_topic_create_free(t);
}

static struct topic *topic(const char *name)
{
    struct topic *t = topic_table_find(shard(), span_str(name));
    assert_non_null(t);
    return t;
}

static struct log *log_of(const char *name)
{
    return partition_find(shard(), topic(name)->partitions[0].log_id)->log;
}

/* The sealed batch goes the way of a Produce request. */
static struct op_append *submit(const char *name, struct span batch)
{
    struct records_verdict v;
    struct arena a;
    arena_init(&a);
    int err = records_check(shard()->compressor, &topic(name)->policy, batch, os_wall_ms(), &a,
                            &shard()->input_pool, &v);
    assert_int_equal(err, 0);
    struct op_append *o = op(sizeof(*o));
    o->count = 1;
    o->items = mem_zalloc(sizeof(*o->items));
    o->items[0] =
        (struct append_item){.log_id = topic(name)->partitions[0].log_id, .batch = v.batch, .chunk = v.chunk};
    arena_fini(&a);
    op_append_submit(o);
    return o;
}

static void produce(const char *name, struct span batch)
{
    struct op_append *o = submit(name, batch);
    wait_all();
    assert_int_equal(o->items[0].err, 0);
    op_append_free(o);
}

/* One batch with records of these times after T0. */
static struct span batch_of(enum codec codec, const int *times, int count)
{
    kit_init(&kit);
    batch_set_base_timestamp(kit.bytes, T0);
    for (int i = 0; i < count; i++)
        kit_record(&kit, T0 + times[i], "key", "some value that is long enough to be compressed, compressed");
    return kit_seal_codec(&kit, shard()->compressor, codec);
}

static struct offset_item ask(const char *name, int64_t timestamp)
{
    struct op_offsets *o = op(sizeof(*o));
    o->count = 1;
    o->items = mem_zalloc(sizeof(*o->items));
    o->items[0] = (struct offset_item){
        .log_id = topic(name)->partitions[0].log_id, .timestamp = timestamp, .leader_epoch = -1};
    op_offsets_submit(o);
    wait_all();
    struct offset_item it = o->items[0];
    assert_int_equal(it.err, 0);
    op_offsets_free(o);
    return it;
}

static void found(const char *name, int64_t timestamp, int64_t offset, int64_t at)
{
    struct offset_item it = ask(name, timestamp);
    assert_int_equal(it.offset, offset);
    assert_int_equal(it.ret_timestamp, offset < 0 ? -1 : at);
}

static void trim_to(const char *name, int64_t before)
{
    struct op_trim *t = op(sizeof(*t));
    t->count = 1;
    t->items = mem_zalloc(sizeof(*t->items));
    t->items[0] = (struct trim_item){.log_id = topic(name)->partitions[0].log_id, .before = before};
    op_trim_submit(t);
    wait_all();
    assert_int_equal(t->items[0].err, 0);
    op_trim_free(t);
}

/* ---- looking up by time -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum log_durability durability;
} places[] = {{"memory", LOG_FSYNC}, {"segment", LOG_OS}};

#define EACH_PLACE(t) for (const char *t = places[0].name; t; t = t == places[0].name ? places[1].name : NULL)

static void start_places(void)
{
    start();
    for (size_t i = 0; i < 2; i++)
        create(places[i].name, places[i].durability, -1, 1);
}

/* redpanda#6604, #6606, #6658: the first record of the batch was answered, or the batch after it. */
static void the_first_record_in_time_inside_a_batch_is_found_in_every_codec(void **state)
{
    static const int times[3][3] = {{0, 30, 10}, {40, 20, 60}, {50, 50, 70}};
    start_places();
    EACH_PLACE(t)
    {
        for (enum codec c = CODEC_NONE; c < CODEC_COUNT; c++) {
            int64_t at = ask(t, OFFSET_LATEST).offset;
            for (int i = 0; i < 3; i++)
                produce(t, batch_of(c, times[i], 3));
            found(t, T0, at, T0);
            found(t, T0 + 1, at + 1, T0 + 30);
            found(t, T0 + 30, at + 1, T0 + 30);
            found(t, T0 + 31, at + 3, T0 + 40);
            found(t, T0 + 41, at + 5, T0 + 60);
            found(t, T0 + 61, at + 8, T0 + 70);
            found(t, T0 + 71, -1, -1);
            trim_to(t, -1); /* the next codec's are the first of the log */
        }
    }
    stop();
}

/* redpanda#25200: Sarama leaves the batch's max timestamp unset; others write a wrong one. */
static void a_max_timestamp_that_is_unset_or_wrong_does_not_hide_records(void **state)
{
    static const int times[2] = {10, 20};
    static const int64_t wrong[] = {-1, 0, T0 + 5, T0 + 4000};
    start_places();
    EACH_PLACE(t)
    {
        for (int i = 0; i < 4; i++) {
            int64_t at = ask(t, OFFSET_LATEST).offset;
            batch_of(i % 2 ? CODEC_GZIP : CODEC_NONE, times, 2);
            batch_set_max_timestamp(kit.bytes, wrong[i]);
            produce(t, kit_reseal(&kit));
            found(t, T0 + 15, at + 1, T0 + 20);
            found(t, OFFSET_MAX_TIMESTAMP, at + 1, T0 + 20);
            found(t, T0 + 21, -1, -1);
            trim_to(t, -1);
        }
    }
    stop();
}

static void with_log_append_time_all_of_a_batch_have_the_brokers_time(void **state)
{
    static const int times[3] = {10, 20, 30};
    start_places();
    EACH_PLACE(t)
    {
        topic(t)->policy.append_time = true;
        int64_t now = os_wall_ms();
        produce(t, batch_of(CODEC_LZ4, times, 3));
        struct offset_item it = ask(t, now);
        assert_int_equal(it.offset, 0);
        assert_true(it.ret_timestamp >= now && it.ret_timestamp <= os_wall_ms());
        found(t, T0, 0, it.ret_timestamp);
        found(t, it.ret_timestamp + 1, -1, -1);
        found(t, OFFSET_MAX_TIMESTAMP, 0, it.ret_timestamp); /* KIP-734: the first, not the last */
    }
    stop();
}

static void nothing_below_the_start_is_found(void **state)
{
    static const int first[4] = {0, 90, 10, 20}, second[2] = {30, 40};
    start_places();
    EACH_PLACE(t)
    {
        produce(t, batch_of(CODEC_NONE, first, 4));
        produce(t, batch_of(CODEC_SNAPPY, second, 2));
        found(t, T0 + 50, 1, T0 + 90);
        trim_to(t, 2); /* amid the first batch, whose header still says 90 */
        found(t, T0, 2, T0 + 10);
        found(t, T0 + 25, 4, T0 + 30);
        found(t, T0 + 50, -1, -1);
        found(t, OFFSET_MAX_TIMESTAMP, 5, T0 + 40);
        found(t, OFFSET_EARLIEST, 2, -1);
        trim_to(t, -1);
        found(t, 0, -1, -1);
        found(t, OFFSET_MAX_TIMESTAMP, -1, -1);
    }
    stop();
}

static void the_largest_timestamp_is_that_of_the_first_record_with_it(void **state)
{
    static const int times[4][3] = {{0, 90, 10}, {20, 80, 80}, {30, 80, 5}, {7, 8, 9}};
    start_places();
    EACH_PLACE(t)
    {
        found(t, OFFSET_MAX_TIMESTAMP, -1, -1);
        for (int i = 0; i < 4; i++)
            produce(t, batch_of(i % 2 ? CODEC_ZSTD : CODEC_NONE, times[i], 3));
        found(t, OFFSET_MAX_TIMESTAMP, 1, T0 + 90);
        trim_to(t, 2);
        found(t, OFFSET_MAX_TIMESTAMP, 4, T0 + 80);
        trim_to(t, 5);
        found(t, OFFSET_MAX_TIMESTAMP, 5, T0 + 80);
        trim_to(t, 8);
        found(t, OFFSET_MAX_TIMESTAMP, 11, T0 + 9);
    }
    stop();
}

static void records_without_a_timestamp_are_never_in_time(void **state)
{
    static const int none = -1 - T0;
    start_places();
    EACH_PLACE(t)
    {
        produce(t, batch_of(CODEC_NONE, &none, 1));
        found(t, 0, -1, -1);
        found(t, OFFSET_MAX_TIMESTAMP, -1, -1);
    }
    stop();
}

/* KoP#1512: a consumer that began at an offset ahead of what was stored lost the first records. */
static void latest_and_times_are_never_ahead_of_what_is_durable(void **state)
{
    static const int times[2] = {10, 20};
    start_places();
    EACH_PLACE(t)
    {
        struct op_append *o = submit(t, batch_of(CODEC_NONE, times, 2));
        struct log *l = log_of(t);
        unsigned looked = 0;
        while (log_durable(l) == 0) {
            if (log_next(l) == 2) { /* appended, on its way to the disk: asked in this very turn */
                struct op_offsets *q = op(sizeof(*q));
                q->count = 3;
                q->items = mem_zalloc(3 * sizeof(*q->items));
                static const int64_t asked[3] = {OFFSET_LATEST, T0, OFFSET_MAX_TIMESTAMP};
                for (int i = 0; i < 3; i++)
                    q->items[i] = (struct offset_item){
                        .log_id = topic(t)->partitions[0].log_id, .timestamp = asked[i], .leader_epoch = -1};
                pending--;
                op_offsets_submit(q);
                bool durable = log_durable(l) > 0;
                assert_int_equal(q->items[0].offset, durable ? 2 : 0);
                assert_int_equal(q->items[1].offset, -1);
                assert_int_equal(q->items[2].offset, -1);
                pending++;
                while (pending > 1)
                    assert_true(sim_step());
                op_offsets_free(q);
                looked++;
                break;
            }
            assert_true(sim_step());
        }
        assert_int_equal(looked, 1);
        wait_all();
        op_append_free(o);
        found(t, OFFSET_LATEST, 2, -1);
        found(t, T0, 0, T0 + 10);
    }
    stop();
}

/* ---- retention ----------------------------------------------------------------------------------------- */

enum { DAY_MS = 86400000, DELETE = 1, COMPACT = 2 };

static struct span batch_now(void)
{
    kit_init(&kit);
    batch_set_base_timestamp(kit.bytes, os_wall_ms());
    kit_record(&kit, os_wall_ms(), "key", "value");
    return kit_seal(&kit);
}

/* At least so long, and less than a minute more: the clock goes from timer to timer. */
static void pass(unsigned seconds)
{
    uint64_t until = os_mono_ns() + seconds * 1000000000ull;
    while (os_mono_ns() < until)
        assert_true(sim_step());
}

static void what_is_older_than_retention_ms_goes_unless_only_compacted(void **state)
{
    start();
    create("short", LOG_FSYNC, 600000, DELETE);
    create("both", LOG_OS, 600000, DELETE | COMPACT);
    create("compacted", LOG_FSYNC, 600000, COMPACT);
    create("long", LOG_FSYNC, DAY_MS, DELETE);
    static const char *const names[] = {"short", "both", "compacted", "long"};
    for (int i = 0; i < 4; i++)
        produce(names[i], batch_now());
    pass(300);
    for (int i = 0; i < 4; i++)
        found(names[i], OFFSET_EARLIEST, 0, -1);
    pass(500);
    found("short", OFFSET_EARLIEST, 1, -1);
    found("both", OFFSET_EARLIEST, 1, -1);
    found("compacted", OFFSET_EARLIEST, 0, -1);
    found("long", OFFSET_EARLIEST, 0, -1);
    assert_int_equal(metrics_sum(broker->metrics, METRIC_RETENTION_RECORDS, 0), 2);
    crash();
    found("short", OFFSET_EARLIEST, 1, -1);
    found("short", OFFSET_LATEST, 1, -1);
    produce("short", batch_now());
    found("short", OFFSET_LATEST, 2, -1);
    stop();
}

static void many_partitions_are_looked_at_in_portions(void **state)
{
    start();
    struct op_topic_create *t = op(sizeof(*t));
    t->name = span_str("many");
    t->partitions = 1000;
    topic_config_default(&t->config);
    topic_config_set_number(&t->config, TOPIC_CONFIG_RETENTION_MS, 600000, NULL);
    op_topic_create_submit(t);
    wait_all();
    op_topic_create_free(t);
    struct topic *many = topic("many");
    uint64_t ids[3] = {many->partitions[0].log_id, many->partitions[500].log_id,
                       many->partitions[999].log_id};
    for (int i = 0; i < 3; i++) {
        uint64_t base;
        assert_int_equal(log_append(partition_find(shard(), ids[i])->log, batch_now(), &base, NULL), 0);
    }
    pass(800);
    for (int i = 0; i < 3; i++)
        assert_int_equal(log_start(partition_find(shard(), ids[i])->log), 1);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_record_in_time_inside_a_batch_is_found_in_every_codec),
        cmocka_unit_test(a_max_timestamp_that_is_unset_or_wrong_does_not_hide_records),
        cmocka_unit_test(with_log_append_time_all_of_a_batch_have_the_brokers_time),
        cmocka_unit_test(nothing_below_the_start_is_found),
        cmocka_unit_test(the_largest_timestamp_is_that_of_the_first_record_with_it),
        cmocka_unit_test(records_without_a_timestamp_are_never_in_time),
        cmocka_unit_test(latest_and_times_are_never_ahead_of_what_is_durable),
        cmocka_unit_test(what_is_older_than_retention_ms_goes_unless_only_compacted),
        cmocka_unit_test(many_partitions_are_looked_at_in_portions),
    };
    return cmocka_run_group_tests_name("core_time", tests, NULL, NULL);
}
