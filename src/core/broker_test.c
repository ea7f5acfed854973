/* The core over a real store, on the simulated system: messages, metadata and its recovery, one and three
 * shards. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "core/broker.h"

#include "base/err.h"
#include "core/op_impl.h"
#include "core/topic_table.h"
#include "os/sim/sim.h"

enum { STEPS = 200000 };

static struct config config;
static struct broker *broker;
static bool ready;

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

static void start(void **state)
{
    struct config_error e;
    sim_reset(7);
    config_init(&config);
    assert_int_equal(config_set(&config, "shards", *state, CONFIG_FILE, &e), 0);
    assert_int_equal(config_set(&config, "journal.file-bytes", "1MiB", CONFIG_FILE, &e), 0);
    assert_int_equal(config_set(&config, "journal.max-bytes", "4MiB", CONFIG_FILE, &e), 0);
    boot();
}

/* Everything un-synced is lost, and the broker starts again. */
static void crash(void)
{
    struct sim_image *image = sim_disk_image(sim_disk_ops(), SIM_CRASH_DROP);
    stop(); /* only to give its memory back */
    sim_boot(image, 8);
    boot();
}

/* ---- operations ---------------------------------------------------------------------------------------- */

static unsigned pending;

static void completed(struct conn *c, struct op *op)
{
    assert_null(c);
    *(int *)op->user = op->err;
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

static struct shard *last_shard(void)
{
    return &broker->shards[broker->shard_count - 1];
}

static struct op_topic_create *submit_create(const char *name, int32_t partitions, int *ret_err)
{
    struct op_topic_create *t = op_new_internal(last_shard(), sizeof(*t), completed, ret_err);
    t->name = span_str(name);
    t->partitions = partitions;
    topic_config_default(&t->config);
    pending++;
    op_topic_create_submit(t);
    return t;
}

static int create(const char *name, int32_t partitions)
{
    int err;
    struct op_topic_create *t = submit_create(name, partitions, &err);
    wait_all();
    op_topic_create_free(t);
    return err;
}

static int delete_topic(const char *name)
{
    int err;
    struct op_topic_delete *t = op_new_internal(last_shard(), sizeof(*t), completed, &err);
    t->name = span_str(name);
    pending++;
    op_topic_delete_submit(t);
    wait_all();
    op_topic_delete_free(t);
    return err;
}

static int grow(const char *name, int32_t partitions)
{
    int err;
    struct op_topic_grow *t = op_new_internal(last_shard(), sizeof(*t), completed, &err);
    t->name = span_str(name);
    t->partitions = partitions;
    pending++;
    op_topic_grow_submit(t);
    wait_all();
    op_topic_grow_free(t);
    return err;
}

static int alter(const char *topic, const char *name, const char *value, bool validate_only)
{
    int err;
    struct op_topic_alter *t = op_new_internal(last_shard(), sizeof(*t), completed, &err);
    struct topic_alter_item *it = arena_alloc(&t->arena, sizeof(*it));
    *it = value ? (struct topic_alter_item){TOPIC_ALTER_SET, span_str(name), span_str(value)}
                : (struct topic_alter_item){TOPIC_ALTER_DELETE, span_str(name), SPAN_NULL};
    t->name = span_str(topic);
    t->items = it;
    t->count = 1;
    t->validate_only = validate_only;
    pending++;
    op_topic_alter_submit(t);
    wait_all();
    assert_int_equal(err == ERR_BAD_CONFIG, t->ret_reason != NULL);
    op_topic_alter_free(t);
    return err;
}

/* As every shard has it. */
static int64_t setting_of(const char *topic, enum topic_config_id id)
{
    const struct topic *t = topic_table_find(&broker->shards[0], span_str(topic));
    int64_t v = topic_config_number(&t->config, id);
    for (unsigned i = 1; i < broker->shard_count; i++) {
        t = topic_table_find(&broker->shards[i], span_str(topic));
        assert_int_equal(topic_config_number(&t->config, id), v);
    }
    return v;
}

static int64_t producer_id(void)
{
    int err;
    struct op_producer_id *p = op_new_internal(last_shard(), sizeof(*p), completed, &err);
    pending++;
    op_producer_id_submit(p);
    wait_all();
    assert_int_equal(err, 0);
    int64_t id = p->producer_id;
    op_free(p);
    return id;
}

/* Every shard's replica and its logs say the same. 0: there is no such topic. */
static uint32_t partitions_of(const char *name)
{
    const struct topic *t = topic_table_find(&broker->shards[0], span_str(name));
    uint32_t n = t ? t->partition_count : 0;
    for (unsigned i = 0; i < broker->shard_count; i++) {
        struct shard *s = &broker->shards[i];
        t = topic_table_find(s, span_str(name));
        assert_int_equal(t ? t->partition_count : 0, n);
        for (uint32_t k = 0; k < n; k++)
            assert_int_equal(t->partitions[k].shard == i, partition_find(s, t->partitions[k].log_id) != NULL);
    }
    return n;
}

static uint64_t highest_log_id(const char *name)
{
    const struct topic *t = topic_table_find(&broker->shards[0], span_str(name));
    uint64_t id = 0;
    for (uint32_t k = 0; k < t->partition_count; k++)
        if (t->partitions[k].log_id > id)
            id = t->partitions[k].log_id;
    return id;
}

/* ---- metadata ------------------------------------------------------------------------------------------ */

static void topics_survive_a_crash_as_every_shard_knows_them(void **state)
{
    start(state);
    assert_int_equal(create("a", 5), 0);
    assert_int_equal(create("b", 1), 0);
    assert_int_equal(grow("b", 4), 0);
    assert_int_equal(create("c", 2), 0);
    assert_int_equal(delete_topic("a"), 0);
    crash();
    assert_int_equal(partitions_of("a"), 0);
    assert_int_equal(partitions_of("b"), 4);
    assert_int_equal(partitions_of("c"), 2);
    stop();
}

static void log_ids_are_not_used_again_after_a_delete_and_a_crash(void **state)
{
    start(state);
    assert_int_equal(create("a", 5), 0);
    uint64_t used = highest_log_id("a");
    assert_int_equal(delete_topic("a"), 0);
    crash();
    assert_int_equal(create("a", 1), 0);
    assert_true(highest_log_id("a") > used);
    stop();
}

static void producer_ids_are_given_once_across_crashes(void **state)
{
    start(state);
    int64_t last = 0;
    for (int life = 0; life < 3; life++) {
        for (int i = 0; i < 1200; i++) { /* more than one block */
            int64_t id = producer_id();
            assert_true(id > last);
            last = id;
        }
        crash();
    }
    stop();
}

static void of_two_creations_at_once_one_finds_the_other(void **state)
{
    start(state);
    int first, second;
    struct op_topic_create *a = submit_create("same", 1, &first), *b = submit_create("same", 1, &second);
    wait_all();
    assert_int_equal(first, 0);
    assert_int_equal(second, ERR_EXISTS);
    assert_int_equal(partitions_of("same"), 1);
    op_topic_create_free(a);
    op_topic_create_free(b);
    stop();
}

static void what_cannot_be_is_refused(void **state)
{
    start(state);
    assert_int_equal(create("a b", 1), ERR_BAD_TOPIC_NAME);
    assert_int_equal(create("a", 0), ERR_BAD_PARTITIONS);
    assert_int_equal(create("a", 10001), ERR_BAD_PARTITIONS);
    assert_int_equal(delete_topic("a"), ERR_NOT_FOUND);
    assert_int_equal(create("a", 2), 0);
    assert_int_equal(grow("a", 2), ERR_BAD_PARTITIONS);
    assert_int_equal(grow("b", 2), ERR_NOT_FOUND);
    stop();
}

static int replay_snapshot(struct broker *b, struct outq *q)
{
    static uint8_t bytes[1 << 16];
    size_t at = 0;
    for (size_t i = 0; i < q->count; i++) {
        memcpy(bytes + at, q->slices[q->first + i].ptr, q->slices[q->first + i].len);
        at += q->slices[q->first + i].len;
    }
    for (unsigned i = 0; i < b->shard_count; i++) { /* forget, without touching the logs */
        topic_table_fini(&b->shards[i]);
        map_fini(&b->shards[i].topics_by_name);
        map_fini(&b->shards[i].topics_by_id);
    }
    return meta_restore(b->meta, span_of(bytes, at));
}

static void a_snapshot_taken_amid_a_round_holds_the_round_too(void **state)
{
    start(state);
    assert_int_equal(create("old", 3), 0);
    int err;
    struct outq q;
    outq_init(&q, &broker->shards[0].output_pool);
    struct op_topic_create *t = submit_create("new", 2, &err);
    while (!broker->meta->busy)
        assert_true(sim_step());
    assert_false(broker->meta->applied);
    meta_snapshot(broker->meta, &q);
    wait_all();
    op_topic_create_free(t);
    uint64_t next = broker->meta->next_log_id;
    assert_int_equal(replay_snapshot(broker, &q), 0);
    assert_int_equal(partitions_of("old"), 3);
    assert_int_equal(partitions_of("new"), 2);
    assert_int_equal(broker->meta->next_log_id, next);
    outq_fini(&q);
    stop();
}

/* ---- settings ------------------------------------------------------------------------------------------ */

static void settings_change_on_every_shard_and_survive_a_crash(void **state)
{
    start(state);
    assert_int_equal(create("a", 5), 0);
    assert_int_equal(alter("a", "retention.ms", "1000", false), 0);
    assert_int_equal(alter("a", "flush.ms", "2000", false), 0);
    assert_int_equal(alter("a", "cleanup.policy", "compact", false), 0);
    assert_int_equal(alter("a", "retention.ms", NULL, false), 0);
    for (int life = 0; life < 2; life++) {
        assert_int_equal(setting_of("a", TOPIC_CONFIG_RETENTION_MS), 604800000);
        assert_int_equal(setting_of("a", TOPIC_CONFIG_FLUSH_MS), 2000);
        assert_int_equal(setting_of("a", TOPIC_CONFIG_CLEANUP), 2);
        for (unsigned i = 0; i < broker->shard_count; i++)
            assert_true(topic_table_find(&broker->shards[i], span_str("a"))->policy.compacted);
        assert_int_equal(partitions_of("a"), 5);
        crash();
    }
    stop();
}

static void a_refused_or_tried_change_changes_nothing(void **state)
{
    start(state);
    assert_int_equal(create("a", 2), 0);
    assert_int_equal(alter("a", "retention.ms", "soon", false), ERR_BAD_CONFIG);
    assert_int_equal(alter("a", "durability", "os", false), ERR_BAD_CONFIG);
    assert_int_equal(alter("b", "retention.ms", "5", false), ERR_NOT_FOUND);
    assert_int_equal(alter("a", "retention.ms", "5", true), 0);
    assert_int_equal(alter("a", "flush.ms", "5", true), 0);
    assert_int_equal(setting_of("a", TOPIC_CONFIG_RETENTION_MS), 604800000);
    assert_int_equal(setting_of("a", TOPIC_CONFIG_FLUSH_MS), INT64_MAX);
    stop();
}

static void a_snapshot_holds_changed_settings(void **state)
{
    start(state);
    struct outq q;
    outq_init(&q, &broker->shards[0].output_pool);
    assert_int_equal(create("a", 2), 0);
    assert_int_equal(alter("a", "segment.jitter.ms", "77", false), 0);
    meta_snapshot(broker->meta, &q);
    assert_int_equal(replay_snapshot(broker, &q), 0);
    assert_int_equal(setting_of("a", TOPIC_CONFIG_SEGMENT_JITTER), 77);
    outq_fini(&q);
    stop();
}

/* ---- messages ------------------------------------------------------------------------------------------ */

enum { MESSAGES = 500 };

struct numbered {
    struct msg msg;
    unsigned from, number;
};

static unsigned next_from[8], arrived;

static void note(struct shard *here, struct msg *m)
{
    struct numbered *n = container_of(m, struct numbered, msg);
    assert_int_equal(n->number, next_from[n->from]++);
    arrived++;
}

static bool all_arrived(void *arg)
{
    return arrived == *(unsigned *)arg;
}

static void messages_arrive_in_the_order_of_each_sender(void **state)
{
    static struct numbered messages[8][MESSAGES];
    start(state);
    unsigned all = MESSAGES * broker->shard_count;
    memset(next_from, 0, sizeof(next_from));
    arrived = 0;
    for (unsigned i = 0; i < MESSAGES; i++)
        for (unsigned from = 0; from < broker->shard_count; from++) {
            struct numbered *n = &messages[from][i];
            *n = (struct numbered){.msg.run = note, .from = from, .number = i};
            msg_send(&broker->shards[from], &broker->shards[0], &n->msg);
            if (sim_random_below(3) == 0)
                (void)sim_step();
        }
    assert_true(sim_run_until(all_arrived, &all, STEPS));
    stop();
}

static void send_again(struct shard *here, struct msg *m)
{
    arrived++;
    m->run = note;
    msg_send(here, here, m);
    assert_int_equal(arrived, 1); /* not run inside the call */
}

static void a_message_to_oneself_is_run_in_a_later_turn(void **state)
{
    static struct numbered n;
    start(state);
    unsigned two = 2;
    n = (struct numbered){.msg.run = send_again};
    memset(next_from, 0, sizeof(next_from));
    arrived = 0;
    msg_send(&broker->shards[0], &broker->shards[0], &n.msg);
    assert_true(sim_run_until(all_arrived, &two, STEPS));
    stop();
}

#define BOTH(f)                                                                                              \
    {#f " (1 shard)", f, NULL, NULL, "1"},                                                                   \
    {                                                                                                        \
#f " (3 shards)", f, NULL, NULL, "3"                                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(topics_survive_a_crash_as_every_shard_knows_them),
        BOTH(log_ids_are_not_used_again_after_a_delete_and_a_crash),
        BOTH(producer_ids_are_given_once_across_crashes),
        BOTH(of_two_creations_at_once_one_finds_the_other),
        BOTH(what_cannot_be_is_refused),
        BOTH(a_snapshot_taken_amid_a_round_holds_the_round_too),
        BOTH(settings_change_on_every_shard_and_survive_a_crash),
        BOTH(a_refused_or_tried_change_changes_nothing),
        BOTH(a_snapshot_holds_changed_settings),
        BOTH(messages_arrive_in_the_order_of_each_sender),
        BOTH(a_message_to_oneself_is_run_in_a_later_turn),
    };
    return cmocka_run_group_tests_name("core_broker", tests, NULL, NULL);
}
