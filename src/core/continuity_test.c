/* What Kafka's clients rely on across retries, pauses and restarts, on the whole core: sequences of
 * idempotent producers, leader epochs, offsets without holes. Each test names the public issue where a broker
 * broke it; the list is in test/README.md. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/op_impl.h"
#include "core/records_testkit.h"
#include "core/topic_table.h"
#include "os/sim/sim.h"

enum { STEPS = 200000, ID = 4711, IN_FLIGHT = 5, MINUTE_S = 60, HOUR_S = 3600 };

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

static void crash(enum sim_crash_mode mode)
{
    struct sim_image *image = sim_disk_image(sim_disk_ops(), mode);
    stop(); /* only to give its memory back */
    sim_boot(image, 8);
    boot();
}

static void start(void)
{
    static const char *const settings[] = {"shards=1", "journal.file-bytes=1MiB", "journal.max-bytes=4MiB",
                                           "retention.time=unlimited"};
    struct config_error e;
    sim_reset(7);
    config_init(&config);
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        assert_int_equal(config_set_pair(&config, settings[i], CONFIG_FILE, &e), 0);
    boot();
}

/* At least so long, and little more: the clock goes from timer to timer. */
static void pass(uint64_t seconds)
{
    uint64_t until = os_mono_ns() + seconds * 1000000000ull;
    while (os_mono_ns() < until)
        assert_true(sim_step());
}

/* ---- operations ---------------------------------------------------------------------------------------- */

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

static struct shard *shard(void)
{
    return &broker->shards[0];
}

static void *op(size_t size)
{
    pending++;
    return op_new_internal(shard(), size, completed, NULL);
}

static void create(const char *name, enum log_durability durability)
{
    struct op_topic_create *t = op(sizeof(*t));
    t->name = span_str(name);
    t->partitions = 1;
    topic_config_default(&t->config);
    topic_config_set_number(&t->config, TOPIC_CONFIG_DURABILITY, durability, NULL);
    op_topic_create_submit(t);
    wait_all();
    assert_int_equal(t->op.err, 0);
    op_topic_create_free(t);
}

static const struct topic_partition *partition(const char *name)
{
    struct topic *t = topic_table_find(shard(), span_str(name));
    assert_non_null(t);
    return &t->partitions[0];
}

/* A batch of `count` records of the producer ID from sequence `first` on, the way of a Produce request. */
static struct op_append *submit(const char *name, int32_t first, int count)
{
    struct records_verdict v;
    struct arena a;
    struct topic *t = topic_table_find(shard(), span_str(name));
    struct op_append *o = op(sizeof(*o));
    kit_init(&kit);
    batch_set_base_timestamp(kit.bytes, os_wall_ms());
    batch_set_producer_id(kit.bytes, ID);
    batch_set_producer_epoch(kit.bytes, 0);
    batch_set_base_sequence(kit.bytes, first);
    for (int i = 0; i < count; i++)
        kit_record(&kit, os_wall_ms(), "key", "value");
    arena_init(&a);
    assert_int_equal(records_check(shard()->compressor, &t->policy, kit_seal(&kit), os_wall_ms(), &a,
                                   &shard()->input_pool, &v),
                     0);
    struct chunk *c = v.chunk ? v.chunk : chunk_new(&shard()->input_pool, v.batch.len);
    if (!v.chunk) /* it lies in `kit`, which the next batch takes */
        memcpy(c->data, v.batch.ptr, v.batch.len);
    o->count = 1;
    o->items = mem_zalloc(sizeof(*o->items));
    o->items[0] = (struct append_item){.log_id = partition(name)->log_id,
                                       .batch = span_of(v.chunk ? v.batch.ptr : c->data, v.batch.len),
                                       .chunk = c};
    arena_fini(&a);
    op_append_submit(o);
    return o;
}

/* Waits for it and frees it. */
static struct append_item result(struct op_append *o)
{
    wait_all();
    struct append_item it = o->items[0];
    op_append_free(o);
    return it;
}

static int produce(const char *name, int32_t first, int count)
{
    return result(submit(name, first, count)).err;
}

static struct offset_item ask(const char *name, int64_t timestamp, int32_t leader_epoch)
{
    struct op_offsets *o = op(sizeof(*o));
    o->count = 1;
    o->items = mem_zalloc(sizeof(*o->items));
    o->items[0] = (struct offset_item){
        .log_id = partition(name)->log_id, .timestamp = timestamp, .leader_epoch = leader_epoch};
    op_offsets_submit(o);
    wait_all();
    struct offset_item it = o->items[0];
    op_offsets_free(o);
    return it;
}

static int64_t latest(const char *name)
{
    struct offset_item it = ask(name, OFFSET_LATEST, -1);
    assert_int_equal(it.err, 0);
    return it.offset;
}

/* ---- idempotent producers ------------------------------------------------------------------------------ */

/* Sends batches of 10 all at once, so that none knows how the one before it ends. */
static void send_five(const char *name, struct append_item ret_items[IN_FLIGHT])
{
    struct op_append *o[IN_FLIGHT];
    for (int i = 0; i < IN_FLIGHT; i++)
        o[i] = submit(name, 10 * i, 10);
    wait_all();
    for (int i = 0; i < IN_FLIGHT; i++) {
        ret_items[i] = o[i]->items[0];
        op_append_free(o[i]);
    }
}

/* redpanda#3038, #3039, #3826: what was in flight when the broker died was refused, or stored twice, when it
 * was sent again. */
static void five_in_flight_may_be_sent_again_after_a_crash(void **state)
{
    struct append_item first[IN_FLIGHT], again[IN_FLIGHT];
    start();
    create("t", LOG_FSYNC);
    send_five("t", first);
    crash(SIM_CRASH_DROP);
    send_five("t", again);
    for (int i = 0; i < IN_FLIGHT; i++) {
        assert_int_equal(first[i].err, 0);
        assert_int_equal(first[i].base_offset, 10 * i);
        assert_int_equal(again[i].err, 0);
        assert_int_equal(again[i].base_offset, 10 * i);
        assert_false(first[i].duplicate);
        assert_true(again[i].duplicate);
    }
    assert_int_equal(latest("t"), 50);
    assert_int_equal(produce("t", 60, 1), ERR_OUT_OF_ORDER);
    assert_int_equal(produce("t", 50, 10), 0);
    assert_int_equal(latest("t"), 60);
    stop();
}

/* A client whose connection broke sends again on another one, while the first is on its way to the disk. */
static void a_repetition_that_overtakes_its_acknowledgement_waits_for_it(void **state)
{
    start();
    create("t", LOG_FSYNC);
    struct op_append *first = submit("t", 0, 10), *again = submit("t", 0, 10);
    struct log *l = partition_find(shard(), partition("t")->log_id)->log;
    while (pending == 2)
        assert_true(sim_step());
    assert_int_equal(log_durable(l), 10); /* neither was acknowledged before */
    wait_all();
    assert_int_equal(first->items[0].err, 0);
    assert_int_equal(again->items[0].err, 0);
    assert_true(again->items[0].duplicate);
    assert_int_equal(again->items[0].base_offset, first->items[0].base_offset);
    assert_int_equal(latest("t"), 10);
    op_append_free(first);
    op_append_free(again);
    stop();
}

/* redpanda#22670: forgotten after ten minutes, and what followed was refused. Kafka's producers are forgotten
 * after a day, and one that is not known may begin anywhere. */
static void an_idle_producer_goes_on_where_it_was(void **state)
{
    start();
    create("t", LOG_FSYNC);
    assert_int_equal(produce("t", 0, 10), 0);
    pass(11 * MINUTE_S);
    assert_true(result(submit("t", 0, 10)).duplicate);
    assert_int_equal(produce("t", 10, 10), 0);
    pass(23 * HOUR_S);
    assert_int_equal(produce("t", 30, 10), ERR_OUT_OF_ORDER); /* it is still known */
    assert_int_equal(produce("t", 20, 10), 0);
    pass(25 * HOUR_S);
    assert_int_equal(produce("t", 30, 10), 0);
    pass(25 * HOUR_S);
    assert_int_equal(produce("t", 777, 1), 0); /* not known, by now */
    assert_int_equal(latest("t"), 41);
    stop();
}

/* redpanda#4854: after 2^31-1 comes 0, also inside a batch, also if the broker starts again in between. */
static void sequences_wrap_to_zero_across_crashes(void **state)
{
    start();
    create("t", LOG_FSYNC);
    assert_int_equal(produce("t", INT32_MAX - 9, 10), 0);
    crash(SIM_CRASH_DROP);
    assert_int_equal(produce("t", 1, 1), ERR_OUT_OF_ORDER);
    assert_int_equal(produce("t", 0, 10), 0);
    create("inside", LOG_FSYNC);
    assert_int_equal(produce("inside", INT32_MAX - 4, 10), 0); /* the last is 4 */
    crash(SIM_CRASH_DROP);
    assert_true(result(submit("t", INT32_MAX - 9, 10)).duplicate);
    assert_int_equal(produce("t", 10, 1), 0);
    assert_true(result(submit("inside", INT32_MAX - 4, 10)).duplicate);
    assert_int_equal(produce("inside", 5, 1), 0);
    assert_int_equal(latest("t"), 21);
    assert_int_equal(latest("inside"), 11);
    stop();
}

/* KoP#765, Jepsen's analysis of Bufstream: holes between offsets, where consumers stopped; offset 0 for what
 * was stored elsewhere, or not at all. */
static void what_is_refused_or_repeated_takes_no_offset(void **state)
{
    int64_t next = 0;
    start();
    create("t", LOG_FSYNC);
    for (int round = 0; round < 12; round++) {
        struct append_item it = result(submit("t", 10 * round, 10));
        assert_int_equal(it.err, 0);
        assert_int_equal(it.base_offset, next);
        next += 10;
        assert_int_equal(produce("t", 10 * round + 11, 10), ERR_OUT_OF_ORDER);
        assert_int_equal(result(submit("t", 10 * round, 10)).base_offset, it.base_offset);
        if (round >= IN_FLIGHT)
            assert_int_equal(produce("t", 10 * (round - IN_FLIGHT), 10), ERR_DUPLICATE_SEQUENCE);
        assert_int_equal(latest("t"), next);
        if (round % 4 == 3)
            crash(SIM_CRASH_DROP);
    }
    stop();
}

/* ---- leader epochs ------------------------------------------------------------------------------------- */

/* What Metadata, ListOffsets and the fence of a request say must be one epoch. */
static int32_t epoch_of(const char *name)
{
    int32_t epoch = partition(name)->leader_epoch;
    assert_int_equal(ask(name, OFFSET_LATEST, -1).ret_epoch, epoch);
    assert_int_equal(ask(name, OFFSET_LATEST, epoch).err, 0);
    assert_int_equal(ask(name, OFFSET_LATEST, epoch + 1).err, ERR_UNKNOWN_EPOCH);
    if (epoch > 0)
        assert_int_equal(ask(name, OFFSET_LATEST, epoch - 1).err, ERR_FENCED_EPOCH);
    return epoch;
}

/* franz-go#119, #198 and #1331: clients ignore metadata whose epoch went back, or became -1, and hang. */
static void leader_epochs_never_go_back_over_restarts(void **state)
{
    static const char *const names[] = {"fsync", "os"};
    int32_t before[2] = {0, 0}, sequence = 0;
    start();
    create("fsync", LOG_FSYNC);
    create("os", LOG_OS);
    for (int round = 0; round < 7; round++) {
        for (int i = 0; i < 2; i++) {
            int32_t epoch = epoch_of(names[i]);
            assert_true(epoch >= before[i]);
            before[i] = epoch;
            assert_int_equal(produce(names[i], sequence, 1), 0);
            assert_int_equal(ask(names[i], OFFSET_EARLIEST, -1).ret_epoch, 0); /* of the first record */
        }
        sequence++;
        if (round % 2 == 0) {
            crash(SIM_CRASH_KEEP);
            continue;
        }
        stop();
        boot();
    }
    assert_int_equal(before[0], 0); /* nothing acknowledged can be lost, so there is nothing to tell */
    assert_true(before[1] >= 3);    /* one for each time that it was not stopped */
    stop();
}

static struct epoch_item end_of(const char *name, int32_t epoch)
{
    struct op_epochs *e = op(sizeof(*e));
    e->count = 1;
    e->items = mem_zalloc(sizeof(*e->items));
    e->items[0] = (struct epoch_item){.log_id = partition(name)->log_id, .leader_epoch = -1, .epoch = epoch};
    op_epochs_submit(e);
    wait_all();
    struct epoch_item it = e->items[0];
    assert_int_equal(it.err, 0);
    op_epochs_free(e);
    return it;
}

/* Of a reader whose last record is of this epoch, before this offset. */
static struct read_item read_after(const char *name, uint64_t offset, int32_t last_epoch,
                                   int32_t leader_epoch)
{
    struct op_read *r = op(sizeof(*r));
    r->count = 1;
    r->max_bytes = 1000;
    r->items = mem_zalloc(sizeof(*r->items));
    r->items[0] = (struct read_item){.log_id = partition(name)->log_id,
                                     .offset = offset,
                                     .max_bytes = 1000,
                                     .leader_epoch = leader_epoch,
                                     .last_epoch = last_epoch};
    op_read_submit(r);
    wait_all();
    struct read_item it = r->items[0];
    op_read_free(r);
    return it;
}

/* KIP-320: a power cut takes records of a topic with durability=os that consumers have read. They must be
 * told where what they know ends, or they skip what is written there next. */
static void a_consumer_finds_where_a_log_was_cut(void **state)
{
    start();
    create("t", LOG_OS);
    assert_int_equal(produce("t", 0, 10), 0);
    stop();
    boot();
    assert_int_equal(produce("t", 10, 10), 0);
    assert_int_equal(read_after("t", 20, 0, 0).err, 0);
    crash(SIM_CRASH_DROP);
    assert_int_equal(latest("t"), 10);
    assert_int_equal(end_of("t", 0).ret_epoch, 0);
    assert_int_equal(end_of("t", 0).ret_end, 10);
    assert_int_equal(read_after("t", 20, -1, 0).err, ERR_FENCED_EPOCH); /* before it asks for metadata */
    assert_int_equal(produce("t", 777, 15), ERR_OUT_OF_ORDER);
    assert_int_equal(produce("t", 10, 15), 0); /* of the epoch 1, where the reader would go on */
    assert_int_equal(read_after("t", 20, 0, 1).diverging_epoch, 0);
    assert_int_equal(read_after("t", 20, 0, 1).diverging_end, 10);
    assert_int_equal(read_after("t", 10, 0, 1).diverging_epoch, -1);
    assert_int_equal(end_of("t", 0).ret_end, 10);
    assert_int_equal(end_of("t", 1).ret_epoch, 1);
    assert_int_equal(end_of("t", 1).ret_end, 25);
    assert_int_equal(end_of("t", 2).ret_epoch, -1); /* nobody can know more than the broker */
    assert_int_equal(end_of("t", 2).ret_end, -1);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_in_flight_may_be_sent_again_after_a_crash),
        cmocka_unit_test(a_repetition_that_overtakes_its_acknowledgement_waits_for_it),
        cmocka_unit_test(an_idle_producer_goes_on_where_it_was),
        cmocka_unit_test(sequences_wrap_to_zero_across_crashes),
        cmocka_unit_test(what_is_refused_or_repeated_takes_no_offset),
        cmocka_unit_test(leader_epochs_never_go_back_over_restarts),
        cmocka_unit_test(a_consumer_finds_where_a_log_was_cut),
    };
    return cmocka_run_group_tests_name("core_continuity", tests, NULL, NULL);
}
