/* Metadata commands and topic settings: what is written is read back, and nothing else is taken. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/meta_format.h"

#include "base/err.h"
#include "core/config.h"

static struct chunk_pool pool;
static struct arena arena;

static int setup(void **state)
{
    struct config cfg;
    config_init(&cfg);
    topic_config_init(&cfg);
    chunk_pool_init(&pool, "test", 16 << 10, 4);
    arena_init(&arena);
    return 0;
}

static int teardown(void **state)
{
    arena_fini(&arena);
    chunk_pool_fini(&pool);
    return 0;
}

static struct span bytes_of(struct outq *q)
{
    uint8_t *all = arena_alloc(&arena, q->len + 1);
    size_t at = 0;
    for (size_t i = 0; i < q->count; i++) {
        memcpy(all + at, q->slices[q->first + i].ptr, q->slices[q->first + i].len);
        at += q->slices[q->first + i].len;
    }
    return span_of(all, at);
}

static struct span encode(const struct meta_command *c)
{
    struct outq q;
    struct writer w;
    outq_init(&q, &pool);
    writer_init(&w, &q);
    meta_write(&w, c);
    assert_int_equal(w.err, 0);
    struct span s = bytes_of(&q);
    outq_fini(&q);
    return s;
}

static struct meta_command sample(void)
{
    static struct meta_run runs[] = {{17, 3}, {40, 2}};
    struct meta_command c = {.type = META_TOPIC_CREATE,
                             .topic = {{1, 2, 3}},
                             .name = span_str("orders"),
                             .run_count = 2,
                             .runs = runs,
                             .partitions = 5};
    topic_config_default(&c.config);
    assert_int_equal(topic_config_set_number(&c.config, TOPIC_CONFIG_RETENTION_MS, -1), 0);
    assert_int_equal(topic_config_set_number(&c.config, TOPIC_CONFIG_CODEC, CODEC_ZSTD), 0);
    return c;
}

static void a_created_topic_is_read_back(void **state)
{
    struct meta_command in = sample(), out;
    assert_int_equal(meta_read(encode(&in), &arena, &out), 0);
    assert_int_equal(out.type, META_TOPIC_CREATE);
    assert_memory_equal(&out.topic, &in.topic, sizeof(in.topic));
    assert_true(span_eq(out.name, in.name));
    assert_int_equal(out.partitions, 5);
    assert_int_equal(out.runs[1].first_log, 40);
    assert_int_equal(out.config.set, in.config.set);
    assert_int_equal(out.config.retention_ms, -1);
    assert_int_equal(out.config.codec, CODEC_ZSTD);
}

static void the_other_commands_are_read_back(void **state)
{
    struct meta_run run = {9, 4};
    struct meta_command out,
        in = {.type = META_TOPIC_GROW, .topic = {{7}}, .first_partition = 3, .run_count = 1, .runs = &run};
    assert_int_equal(meta_read(encode(&in), &arena, &out), 0);
    assert_int_equal(out.first_partition, 3);
    assert_int_equal(out.partitions, 4);
    in = (struct meta_command){.type = META_PRODUCER_IDS, .next = 123456789012};
    assert_int_equal(meta_read(encode(&in), &arena, &out), 0);
    assert_int_equal(out.next, 123456789012);
    in = (struct meta_command){.type = META_CLUSTER, .cluster_id = {5, 6}};
    assert_int_equal(meta_read(encode(&in), &arena, &out), 0);
    assert_memory_equal(out.cluster_id, in.cluster_id, 16);
}

static void a_command_cut_anywhere_is_refused(void **state)
{
    struct meta_command in = sample(), out;
    struct span whole = encode(&in);
    for (size_t n = 0; n < whole.len; n++)
        assert_int_equal(meta_read(span_of(whole.ptr, n), &arena, &out), ERR_CORRUPT);
}

static void bytes_after_a_command_are_refused(void **state)
{
    struct meta_command in = sample(), out;
    struct span whole = encode(&in); /* one more byte is allocated behind it */
    assert_int_equal(meta_read(span_of(whole.ptr, whole.len + 1), &arena, &out), ERR_CORRUPT);
}

static void a_bad_name_or_an_id_of_zero_is_refused(void **state)
{
    struct meta_command in = sample(), out;
    in.name = span_str("a/b");
    assert_int_equal(meta_read(encode(&in), &arena, &out), ERR_CORRUPT);
    in = sample();
    in.topic = (struct topic_id){{0}};
    assert_int_equal(meta_read(encode(&in), &arena, &out), ERR_CORRUPT);
}

static unsigned commands_seen;

static int see(void *arg, struct span command)
{
    struct meta_command c;
    assert_int_equal(meta_read(command, &arena, &c), 0);
    commands_seen++;
    return 0;
}

static void a_snapshot_is_its_commands(void **state)
{
    struct outq q;
    struct writer w;
    struct meta_command c = sample();
    outq_init(&q, &pool);
    writer_init(&w, &q);
    meta_snapshot_begin(&w);
    for (int i = 0; i < 1000; i++) /* several chunks */
        meta_snapshot_add(&w, &c);
    struct span all = bytes_of(&q);
    outq_fini(&q);
    commands_seen = 0;
    assert_int_equal(meta_snapshot_read(all, see, NULL), 0);
    assert_int_equal(commands_seen, 1000);
    assert_int_equal(meta_snapshot_read(span_of(all.ptr, all.len - 1), see, NULL), ERR_CORRUPT);
    assert_int_equal(meta_snapshot_read(span_of(all.ptr + 1, all.len - 1), see, NULL), ERR_CORRUPT);
}

/* ---- topic settings ----------------------------------------------------------------------------------- */

static int set(struct topic_config *c, const char *name, const char *value)
{
    const char *reason = NULL;
    int err = topic_config_set(c, span_str(name), span_str(value), &arena, &reason);
    if (err == ERR_BAD_CONFIG)
        assert_non_null(reason);
    return err;
}

static void settings_are_taken_by_kafkas_names(void **state)
{
    struct topic_config c;
    topic_config_default(&c);
    assert_int_equal(set(&c, "cleanup.policy", "compact,delete"), 0);
    assert_int_equal(set(&c, "compression.type", "uncompressed"), 0);
    assert_int_equal(set(&c, "message.timestamp.type", "LogAppendTime"), 0);
    assert_int_equal(set(&c, "durability", "os"), 0);
    assert_true(c.compact && c.delete_old && c.append_time);
    assert_int_equal(c.codec, CODEC_NONE);
    assert_int_equal(c.durability, LOG_OS);
}

static void a_bad_setting_is_refused_with_its_reason(void **state)
{
    struct topic_config c;
    topic_config_default(&c);
    assert_int_equal(set(&c, "no.such.name", "1"), ERR_NOT_FOUND);
    assert_int_equal(set(&c, "retention.ms", "soon"), ERR_BAD_CONFIG);
    assert_int_equal(set(&c, "retention.ms", ""), ERR_BAD_CONFIG);
    assert_int_equal(set(&c, "segment.bytes", "1"), ERR_BAD_CONFIG);
    assert_int_equal(set(&c, "compression.type", "rar"), ERR_BAD_CONFIG);
    assert_int_equal(c.set, 0);
}

static void count_row(void *arg, const char *name, const char *value, bool is_default, int kafka_type)
{
    struct topic_config c;
    topic_config_default(&c);
    assert_int_equal(set(&c, name, value), 0); /* what is shown can be set */
    *(int *)arg += is_default;
}

static void every_setting_shown_can_be_set(void **state)
{
    struct topic_config c;
    int defaults = 0;
    topic_config_default(&c);
    assert_int_equal(set(&c, "retention.bytes", "-1"), 0);
    topic_config_each(&c, &arena, count_row, &defaults);
    int rows = 0;
#define TOPIC_CONFIG(tag, id, name, type) rows++;
#include "core/topic_config.def"
#undef TOPIC_CONFIG
    assert_int_equal(defaults, rows - 1); /* all but the one that was set */
}

static void what_a_topic_does_not_set_follows_the_broker(void **state)
{
    struct config cfg;
    struct config_error why;
    struct topic_config c;
    config_init(&cfg);
    topic_config_init(&cfg);
    topic_config_default(&c);
    assert_int_equal(c.retention_ms, 604800000); /* Kafka's defaults */
    assert_int_equal(c.retention_bytes, -1);
    assert_int_equal(c.segment_ms, 604800000);
    assert_int_equal(config_set(&cfg, "retention.time", "unlimited", CONFIG_FILE, &why), 0);
    assert_int_equal(config_set(&cfg, "retention.bytes", "1GiB", CONFIG_FILE, &why), 0);
    assert_int_equal(config_set(&cfg, "segment.max-age", "1h", CONFIG_FILE, &why), 0);
    topic_config_init(&cfg);
    topic_config_default(&c);
    assert_int_equal(c.retention_ms, -1);
    assert_int_equal(c.retention_bytes, 1 << 30);
    assert_int_equal(c.segment_ms, 3600000);
    assert_int_equal(set(&c, "segment.ms", "0"), ERR_BAD_CONFIG);
    assert_int_equal(set(&c, "segment.ms", "60000"), 0);
    assert_int_equal(c.segment_ms, 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_created_topic_is_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(the_other_commands_are_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_command_cut_anywhere_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_after_a_command_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_name_or_an_id_of_zero_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_is_its_commands, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_are_taken_by_kafkas_names, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_setting_is_refused_with_its_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(every_setting_shown_can_be_set, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_topic_does_not_set_follows_the_broker, setup, teardown),
    };
    return cmocka_run_group_tests_name("core_meta_format", tests, NULL, NULL);
}
