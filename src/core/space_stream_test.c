/* Queues of type stream as metadata: they and their topics live and die together, on every shard and after
 * crashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/err.h"
#include "core/space_testkit.h"
#include "core/topic_post.h"
#include "core/topic_table.h"

static struct span stream_args(void)
{
    struct fields_writer w = table();
    fields_put_str(&w, str("x-queue-type"), str("stream"));
    fields_put_str(&w, str("x-max-age"), str("2h"));
    fields_put_int(&w, str("x-max-length-bytes"), 'l', 5000000);
    fields_put_int(&w, str("x-stream-max-segment-size-bytes"), 'I', 1000000);
    return fields_done(&w);
}

static int declare_stream(const char *name, unsigned flags)
{
    return declare_args(name, flags, str_arg("x-queue-type", "stream"), alice);
}

static struct topic *topic(const char *name)
{
    return topic_table_find(last_shard(), str(name));
}

static void a_stream_makes_its_topic_with_its_settings(void **state)
{
    start(state);
    assert_int_equal(declare_args("s", DURABLE, stream_args(), alice), 0);
    assert_int_equal(declare_args("s", DURABLE, stream_args(), bob), 0);
    assert_int_equal(declare_stream("s", DURABLE), ERR_INEQUIVALENT);
    assert_non_null(topic("s"));
    const struct topic_config *c = &topic("s")->config;
    assert_int_equal(topic("s")->partition_count, 1);
    assert_int_equal(c->retention_ms, 7200000);
    assert_int_equal(c->retention_bytes, 5000000);
    assert_int_equal(c->segment_bytes, 1000000);
    assert_int_equal(info("s")->type, QUEUE_STREAM);
    assert_int_equal(declare_stream("forever", DURABLE), 0);
    assert_int_equal(topic("forever")->config.retention_ms, -1);
    finish();
}

static void a_stream_adopts_the_topic_of_its_name(void **state)
{
    start(state);
    create_topic("t");
    int64_t retention = topic("t")->config.retention_ms;
    assert_int_equal(declare_args("t", DURABLE, stream_args(), alice), 0);
    assert_int_equal(topic("t")->config.retention_ms, retention);
    crash();
    assert_true(queue_on_all("t"));
    assert_int_equal(info("t")->type, QUEUE_STREAM);
    assert_int_equal(info("t")->shard, topic("t")->partitions[0].shard);
    finish();
}

static void stream_and_topic_go_together(void **state)
{
    start(state);
    assert_int_equal(declare_stream("a", DURABLE), 0);
    assert_int_equal(declare_stream("b", DURABLE), 0);
    assert_int_equal(bind_queue("amq.fanout", "a", ""), 0);
    assert_int_equal(bind_queue("amq.fanout", "b", ""), 0);
    assert_int_equal(delete_queue("a", 0), 0);
    delete_topic("b");
    for (int i = 0; i < 2; i++) {
        assert_null(topic("a"));
        assert_null(topic("b"));
        assert_false(queue_on_all("a") || queue_on_all("b"));
        assert_int_equal(bindings_on_all("amq.fanout"), 0);
        crash();
    }
    assert_int_equal(declare("a", DURABLE), 0); /* the name is free */
    finish();
}

static void a_partition_is_a_stream_under_a_name_with_its_number(void **state)
{
    start(state);
    struct op_topic_create *t = new_op(sizeof(*t), nobody);
    t->name = str("t");
    t->partitions = 3;
    topic_config_default(&t->config);
    op_topic_create_submit(t);
    wait_all();
    op_topic_create_free(t);
    assert_int_equal(declare_stream("t", DURABLE), ERR_ARGUMENT);
    assert_int_equal(declare_stream("t-2", DURABLE), 0);
    assert_null(topic("t-2"));
    assert_int_equal(info("t-2")->shard, topic("t")->partitions[2].shard);
    assert_int_equal(declare_stream("t-3", DURABLE), 0); /* no partition: a topic of its own */
    assert_non_null(topic("t-3"));
    assert_int_equal(delete_queue("t-2", 0), 0);
    assert_non_null(topic("t"));
    assert_int_equal(declare_stream("t-0", DURABLE), 0);
    delete_topic("t");
    assert_false(queue_on_all("t-0"));
    assert_true(queue_on_all("t-3"));
    finish();
}

/* In one round of the metadata the one must not pull the ground from under the other. */
static void binding_a_stream_and_deleting_its_topic_do_not_meet(void **state)
{
    start(state);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(declare_stream("s", DURABLE), 0);
        struct op_bind *b = new_bind("amq.fanout", DEST_QUEUE, "s", "k");
        struct op_topic_delete *t = new_op(sizeof(*t), nobody);
        t->name = str("s");
        struct op_queue_declare *busy = new_declare("busy", DURABLE, SPAN_NULL, alice);
        op_queue_declare_submit(busy); /* a round of its own: the others wait for the next one */
        if (i % 2)
            op_bind_submit(b);
        op_topic_delete_submit(t);
        if (i % 2 == 0)
            op_bind_submit(b);
        wait_all();
        assert_int_equal(t->op.err, 0);
        assert_int_equal(b->e.op.err, i % 2 ? 0 : ERR_NOT_FOUND);
        op_entity_free(&b->e);
        op_entity_free(&busy->e);
        op_topic_delete_free(t);
        assert_false(queue_on_all("s"));
        assert_int_equal(bindings_on_all("amq.fanout"), 0);
        assert_int_equal(delete_queue("busy", 0), 0);
        crash();
    }
    finish();
}

static void what_no_stream_can_be_is_refused(void **state)
{
    start(state);
    assert_int_equal(declare_stream("s", 0), ERR_ARGUMENT);
    assert_string_equal(why, "invalid property 'non-durable' for queue 's' in vhost '/'");
    assert_int_equal(declare_stream("s", DURABLE | AUTO_DELETE), ERR_ARGUMENT);
    assert_string_equal(why, "invalid property 'auto-delete' for queue 's' in vhost '/'");
    assert_int_equal(declare_stream("no topic", DURABLE), ERR_ARGUMENT);
    assert_int_equal(declare_stream("", DURABLE), ERR_ARGUMENT);
    assert_string_equal(why, "Cannot declare a server-named queue for type rabbit_stream_queue");
    assert_null(topic("s"));
    finish();
}

static void ages_are_read_as_rabbitmq_writes_them(void **state)
{
    (void)state;
    assert_int_equal(stream_max_age_ms(str("1s")), 1000);
    assert_int_equal(stream_max_age_ms(str("90m")), 5400000);
    assert_int_equal(stream_max_age_ms(str("1Y")), 31536000000);
    assert_int_equal(stream_max_age_ms(str("99999999999Y")), INT64_MAX);
    static const char *const bad[] = {"", "s", "1", "1x", "-1s", "0s", "1.5h", "first"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(stream_max_age_ms(str(bad[i])), -1);
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
        BOTH(a_stream_makes_its_topic_with_its_settings),
        BOTH(a_stream_adopts_the_topic_of_its_name),
        BOTH(stream_and_topic_go_together),
        BOTH(a_partition_is_a_stream_under_a_name_with_its_number),
        BOTH(binding_a_stream_and_deleting_its_topic_do_not_meet),
        BOTH(what_no_stream_can_be_is_refused),
        cmocka_unit_test(ages_are_read_as_rabbitmq_writes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
