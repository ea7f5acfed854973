/* Taps on the simulated system: everything once and in order, whatever refuses and whatever crashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/queue_testkit.h"
#include "core/record_build.h"
#include "core/tap.h"
#include "core/topic_table.h"
#include "os/sim/sim.h"

static unsigned pending;

static void over(struct conn *c, struct op *op)
{
    (void)c;
    (void)op;
    pending--;
}

static void wait_for(unsigned *count)
{
    for (int i = 0; *count > 0 && i < 1000; i++)
        kit_run_ms(10);
    assert_int_equal(*count, 0);
}

static void create_topic(const char *name, int32_t partitions)
{
    struct op_topic_create *t = op_new_internal(kit_shard(), sizeof(*t), over, NULL);
    t->name = span_str(name);
    t->partitions = partitions;
    topic_config_default(&t->config);
    pending++;
    op_topic_create_submit(t);
    wait_for(&pending);
    assert_int_equal(t->op.err, 0);
    op_topic_create_free(t);
}

static int put_tap(const char *name, const char *topic, const char *exchange)
{
    struct op_record *r = op_new_internal(kit_shard(), sizeof(*r), over, NULL);
    struct tap tap = {.name = span_str(name), .topic = span_str(topic), .exchange = span_str(exchange)};
    arena_init(&r->arena);
    tap_fill_put(r, &tap);
    pending++;
    op_record_submit(r);
    wait_for(&pending);
    int err = r->op.err;
    op_record_free(r);
    return err;
}

static int drop_tap(const char *name)
{
    struct op_record *r = op_new_internal(kit_shard(), sizeof(*r), over, NULL);
    arena_init(&r->arena);
    tap_fill_drop(r, span_str(name));
    pending++;
    op_record_submit(r);
    wait_for(&pending);
    int err = r->op.err;
    op_record_free(r);
    return err;
}

static void appended(struct conn *c, struct op *op)
{
    (void)c;
    op_append_free((struct op_append *)op);
}

/* `count` records with the bodies first, first + 1, ...: one batch; doesn't wait. */
static void append(const char *topic, uint32_t partition, unsigned first, unsigned count)
{
    struct shard *s = kit_shard();
    const struct topic *t = topic_table_find(s, span_str(topic));
    struct record_builder b = {0};
    for (unsigned i = 0; i < count; i++) {
        char body[16];
        int len = snprintf(body, sizeof(body), "%u", first + i);
        struct record_draft d = {.value = span_of(body, (size_t)len)};
        assert_int_equal(record_build_add(&b, &s->input_pool, &d, s->now_ms), 0);
    }
    struct op_append *a = op_new_internal(s, sizeof(*a), appended, NULL);
    a->shard = t->partitions[partition].shard;
    a->count = 1;
    a->items = mem_zalloc(sizeof(*a->items));
    a->items[0] = (struct append_item){
        .log_id = t->partitions[partition].log_id, .batch = record_build_seal(&b), .chunk = b.chunk};
    op_append_submit(a);
}

/* What is in the one partition, as kit_drain() says it of a queue. */
static const char *records_of(const char *topic)
{
    static char out[8192];
    size_t len = 0;
    const struct topic *t = topic_table_find(kit_shard(), span_str(topic));
    struct op_read *r = op_new_internal(kit_shard(), sizeof(*r), over, NULL);
    r->shard = t->partitions[0].shard;
    r->count = 1;
    r->items = mem_zalloc(sizeof(*r->items));
    r->items[0] = (struct read_item){
        .log_id = t->partitions[0].log_id, .max_bytes = 1 << 20, .leader_epoch = -1, .last_epoch = -1};
    r->max_bytes = 1 << 20;
    pending++;
    op_read_submit(r);
    wait_for(&pending);
    const struct rope *data = &r->items[0].read.data;
    out[0] = 0;
    for (size_t i = 0; i < data->count; i++)
        for (size_t at = 0, n; at < data->slices[i].len; at += n) {
            struct span rest = span_of(data->slices[i].ptr + at, data->slices[i].len - at);
            struct records_iter it;
            struct record rec;
            assert_int_equal(batch_peek(rest, &n), 0);
            assert_int_equal(records_open(NULL, span_of(rest.ptr, n), 1 << 20, &it), 0);
            while (records_next(&it, &rec) > 0)
                len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%.*s", len ? " " : "",
                                        SPAN_ARG(rec.value));
        }
    op_read_free(r);
    return out;
}

static void furnish(const char *args)
{
    create_topic("t", 1);
    kit_declare("q", true, args);
    kit_bind("amq.fanout", "q", "");
    assert_int_equal(put_tap("tap", "t", "amq.fanout"), 0);
}

static void records_come_in_order(void **state)
{
    kit_start(state);
    create_topic("t", 1);
    append("t", 0, 0, 3); /* from before the tap */
    kit_declare("q", true, "");
    kit_bind("amq.fanout", "q", "");
    assert_int_equal(put_tap("tap", "t", "amq.fanout"), 0);
    kit_run_ms(200);
    append("t", 0, 3, 4);
    kit_run_ms(200);
    assert_string_equal(kit_drain("q"), "0 1 2 3 4 5 6");
    assert_int_equal(drop_tap("tap"), 0);
    assert_int_equal(drop_tap("tap"), ERR_NOT_FOUND);
    append("t", 0, 7, 1);
    kit_run_ms(3000);
    assert_string_equal(kit_drain("q"), "");
    kit_stop();
}

static void a_queue_that_refuses_stalls_and_gets_the_rest_once(void **state)
{
    kit_start(state);
    furnish("x-max-length=3;x-overflow=reject-publish");
    append("t", 0, 0, 10);
    char got[64] = "";
    for (unsigned i = 0; i < 6; i++) {
        kit_run_ms(2000);
        assert_true(kit_ready("q") <= 3);
        if (i == 1)
            kit_restart();
        const char *more = kit_drain("q"); /* it may be filled again meanwhile */
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", *got && *more ? " " : "", more);
    }
    assert_string_equal(got, "0 1 2 3 4 5 6 7 8 9");
    kit_stop();
}

/* Crashes at many moments, with what was not synced gone; at the end the queue has what the topic has. */
static void crash_often(void **state, const char *args)
{
    kit_start(state);
    furnish(args);
    unsigned next = 0;
    for (unsigned round = 0; round < 24; round++) {
        for (unsigned i = 0; i < 3; i++) {
            append("t", 0, next, 5);
            next += 5;
            kit_run_ms(1 + round * 7 % 13);
        }
        kit_crash(SIM_CRASH_DROP);
        kit_run_ms(round % 5 * 20);
    }
    kit_run_ms(5000);
    char *wanted = mem_strndup(records_of("t"), strlen(records_of("t")));
    assert_true(strlen(wanted) > 100);
    assert_string_equal(kit_drain("q"), wanted);
    mem_free(wanted);
    kit_check();
    kit_stop();
}

static void crashes_lose_and_repeat_nothing(void **state)
{
    crash_often(state, "");
}

static void not_with_priorities_either(void **state)
{
    crash_often(state, "x-max-priority=5");
}

static void circles_are_refused(void **state)
{
    kit_start(state);
    create_topic("t", 1);
    create_topic("u", 1);
    assert_int_equal(put_tap("a", "t", "amq.fanout"), 0);
    assert_int_equal(put_tap("b", "absent", "amq.fanout"), ERR_NOT_FOUND);
    assert_int_equal(put_tap("b", "t", "absent"), ERR_NOT_FOUND);
    assert_int_equal(put_tap("b", "t", ""), ERR_ARGUMENT);
    assert_true(tap_closes_cycle(kit_shard(), span_str("amq.fanout"), DEST_TOPIC, span_str("t")));
    assert_false(tap_closes_cycle(kit_shard(), span_str("amq.fanout"), DEST_TOPIC, span_str("u")));
    assert_false(tap_closes_cycle(kit_shard(), span_str("amq.direct"), DEST_TOPIC, span_str("t")));
    assert_int_equal(put_tap("b", "u", "amq.direct"), 0);
    assert_false(tap_closes_cycle(kit_shard(), span_str("amq.fanout"), DEST_TOPIC, span_str("u")));
    assert_true(tap_closes_cycle(kit_shard(), span_str("amq.direct"), DEST_TOPIC, span_str("u")));
    kit_stop();
}

/* Each is fine alone: they come into one round of the metadata, behind another that keeps it busy. */
static void two_edges_of_one_round_close_no_circle(void **state)
{
    kit_start(state);
    create_topic("t", 1);
    struct op_record *busy = op_new_internal(kit_shard(), sizeof(*busy), over, NULL);
    struct op_record *r = op_new_internal(kit_shard(), sizeof(*r), over, NULL);
    struct op_bind *b = op_new_internal(kit_shard(), sizeof(*b), over, NULL);
    struct tap tap = {.name = span_str("x"), .topic = span_str("t"), .exchange = span_str("amq.direct")};
    arena_init(&busy->arena);
    arena_init(&r->arena);
    tap_fill_put(busy, &tap);
    tap.name = span_str("a");
    tap.exchange = span_str("amq.fanout");
    tap_fill_put(r, &tap);
    b->source = span_str("amq.fanout");
    b->kind = DEST_TOPIC;
    b->dest = span_str("t");
    pending += 3;
    op_record_submit(busy);
    op_record_submit(r);
    op_bind_submit(b);
    wait_for(&pending);
    assert_int_equal(r->op.err, 0);
    assert_int_equal(b->e.op.err, ERR_ARGUMENT);
    op_record_free(busy);
    op_record_free(r);
    op_entity_free(&b->e);
    kit_stop();
}

int main(void)
{
    static char one[] = "1", three[] = "3";
#define BOTH(name)                                                                                           \
    {#name " (1 shard)", name, NULL, NULL, one},                                                             \
    {                                                                                                        \
#name " (3 shards)", name, NULL, NULL, three                                                         \
    }
    const struct CMUnitTest tests[] = {
        BOTH(records_come_in_order),
        BOTH(a_queue_that_refuses_stalls_and_gets_the_rest_once),
        BOTH(crashes_lose_and_repeat_nothing),
        BOTH(not_with_priorities_either),
        BOTH(circles_are_refused),
        BOTH(two_edges_of_one_round_close_no_circle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
