/* Metadata commands: what is written is read back, and nothing else is taken. */
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
    assert_int_equal(topic_config_set_number(&c.config, TOPIC_CONFIG_RETENTION_MS, -1, &arena), 0);
    assert_int_equal(topic_config_set_number(&c.config, TOPIC_CONFIG_CODEC, CODEC_ZSTD, &arena), 0);
    assert_int_equal(topic_config_set_number(&c.config, TOPIC_CONFIG_MIN_DIRTY_RATIO, 10000, &arena), 0);
    assert_int_equal(topic_config_set_number(&c.config, TOPIC_CONFIG_ZSTD_LEVEL, -7, &arena), 0);
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
    assert_int_equal(topic_config_number(&out.config, TOPIC_CONFIG_MIN_DIRTY_RATIO), 10000);
    assert_int_equal(topic_config_number(&out.config, TOPIC_CONFIG_ZSTD_LEVEL), -7);
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

static void new_settings_of_a_topic_are_read_back(void **state)
{
    struct meta_command in = sample(), out;
    in.type = META_TOPIC_CONFIG;
    struct span bytes = encode(&in);
    assert_int_equal(bytes.len, 2 + 16 + 2 + 4 * 10); /* no name, no runs */
    assert_int_equal(meta_read(bytes, &arena, &out), 0);
    assert_int_equal(out.type, META_TOPIC_CONFIG);
    assert_memory_equal(&out.topic, &in.topic, sizeof(in.topic));
    assert_int_equal(out.config.set, in.config.set);
    assert_int_equal(out.config.rare_count, 2);
    assert_int_equal(topic_config_number(&out.config, TOPIC_CONFIG_ZSTD_LEVEL), -7);
    for (size_t n = 0; n < bytes.len; n++)
        assert_int_equal(meta_read(span_of(bytes.ptr, n), &arena, &out), ERR_CORRUPT);
    in.topic = (struct topic_id){{0}};
    assert_int_equal(meta_read(encode(&in), &arena, &out), ERR_CORRUPT);
}

static void a_setting_unknown_or_out_of_range_is_refused(void **state)
{
    struct meta_command in = {.type = META_TOPIC_CONFIG, .topic = {{1}}}, out;
    topic_config_default(&in.config);
    assert_int_equal(topic_config_set_number(&in.config, TOPIC_CONFIG_PREALLOCATE, 1, &arena), 0);
    struct span bytes = encode(&in);
    uint8_t *tag = (uint8_t *)bytes.ptr + 2 + 16 + 2, *value = tag + 2;
    assert_int_equal(meta_read(bytes, &arena, &out), 0);
    value[7] = 2; /* a boolean */
    assert_int_equal(meta_read(bytes, &arena, &out), ERR_CORRUPT);
    value[7] = 1;
    tag[1] = 63;
    assert_int_equal(meta_read(bytes, &arena, &out), ERR_CORRUPT);
    tag[1] = 0;
    assert_int_equal(meta_read(bytes, &arena, &out), ERR_CORRUPT);
    tag[0] = 0x80; /* a tag beyond the bits */
    assert_int_equal(meta_read(bytes, &arena, &out), ERR_CORRUPT);
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

/* ---- virtual hosts and what they hold ------------------------------------------------------------------ */

static const uint8_t table[] = {1, 'a', 't', 1}; /* a: true */

static struct meta_command sample_of(enum meta_type type)
{
    static struct span also[2];
    also[0] = span_str("x1");
    also[1] = span_str("x2");
    bool drops = type == META_EXCHANGE_DROP || type == META_QUEUE_DROP || type == META_UNBIND;
    struct meta_command c = {.type = type, .next = 700};
    c.entity = (struct meta_entity){.kind = 1,
                                    .flags = META_DURABLE | META_AUTO_DELETE,
                                    .type = 1,
                                    .vhost = 3,
                                    .id = 650,
                                    .name = span_str("name"),
                                    .label = span_str("topic"),
                                    .dest = span_str("dest"),
                                    .key = span_str("a.#"),
                                    .args = span_of(table, sizeof(table)),
                                    .also_count = drops ? 2 : 0,
                                    .also = also};
    return c;
}

static void commands_of_virtual_hosts_are_read_back(void **state)
{
    for (int type = META_RECORD_PUT; type <= META_UNBIND; type++) {
        struct meta_command in = sample_of((enum meta_type)type), out;
        struct span bytes = encode(&in);
        assert_int_equal(meta_read(bytes, &arena, &out), 0);
        assert_int_equal(out.type, type);
        assert_true(span_eq(encode(&out), bytes)); /* what was written is all there */
        for (size_t n = 0; n < bytes.len; n++)
            assert_int_equal(meta_read(span_of(bytes.ptr, n), &arena, &out), ERR_CORRUPT);
        assert_int_equal(meta_read(span_of(bytes.ptr, bytes.len + 1), &arena, &out), ERR_CORRUPT);
    }
}

static void a_queue_and_a_binding_are_read_back_field_by_field(void **state)
{
    struct meta_command in = sample_of(META_QUEUE_PUT), out;
    assert_int_equal(meta_read(encode(&in), &arena, &out), 0);
    assert_int_equal(out.entity.vhost, 3);
    assert_int_equal(out.entity.id, 650);
    assert_int_equal(out.next, 700);
    assert_int_equal(out.entity.type, 1);
    assert_int_equal(out.entity.flags, META_DURABLE | META_AUTO_DELETE);
    assert_true(span_eq_str(out.entity.name, "name"));
    assert_true(span_eq(out.entity.args, span_of(table, sizeof(table))));
    in = sample_of(META_UNBIND);
    assert_int_equal(meta_read(encode(&in), &arena, &out), 0);
    assert_int_equal(out.entity.kind, 1);
    assert_true(span_eq_str(out.entity.dest, "dest") && span_eq_str(out.entity.key, "a.#"));
    assert_int_equal(out.entity.also_count, 2);
    assert_true(span_eq_str(out.entity.also[1], "x2"));
}

static void what_a_virtual_host_cannot_hold_is_refused(void **state)
{
    static char longest[META_MAX_NAME + 1];
    struct meta_command out, in = sample_of(META_QUEUE_PUT);
    memset(longest, 'n', sizeof(longest));
    in.entity.name = span_of(longest, META_MAX_NAME);
    assert_int_equal(meta_read(encode(&in), &arena, &out), 0);
    in.entity.name.len++;
    assert_int_equal(meta_read(encode(&in), &arena, &out), ERR_CORRUPT);
    in = sample_of(META_QUEUE_PUT);
    in.next = in.entity.id; /* its own log is not covered */
    assert_int_equal(meta_read(encode(&in), &arena, &out), ERR_CORRUPT);
    in = sample_of(META_QUEUE_PUT);
    in.entity.flags = META_EXCLUSIVE;
    assert_int_equal(meta_read(encode(&in), &arena, &out), ERR_CORRUPT);
    in = sample_of(META_QUEUE_PUT);
    in.entity.type = 3;
    assert_int_equal(meta_read(encode(&in), &arena, &out), ERR_CORRUPT);
    in = sample_of(META_QUEUE_PUT);
    in.entity.args = span_of(table, sizeof(table) - 1); /* no whole table */
    assert_int_equal(meta_read(encode(&in), &arena, &out), ERR_CORRUPT);
    in = sample_of(META_EXCHANGE_PUT);
    in.entity.label = span_str("x-of-the-future");
    assert_int_equal(meta_read(encode(&in), &arena, &out), ERR_CORRUPT);
    in = sample_of(META_BIND);
    in.entity.kind = 3;
    assert_int_equal(meta_read(encode(&in), &arena, &out), ERR_CORRUPT);
}

/* An array says more elements than bytes follow: nothing of that size is allocated. */
static void a_list_longer_than_its_bytes_is_refused(void **state)
{
    struct meta_command in = sample_of(META_QUEUE_DROP), out;
    in.entity.also_count = 0;
    struct span bytes = encode(&in);
    ((uint8_t *)bytes.ptr)[bytes.len - 1] = 255;
    assert_int_equal(meta_read(bytes, &arena, &out), ERR_CORRUPT);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_created_topic_is_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(the_other_commands_are_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(new_settings_of_a_topic_are_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_setting_unknown_or_out_of_range_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_command_cut_anywhere_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_after_a_command_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_name_or_an_id_of_zero_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(commands_of_virtual_hosts_are_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_queue_and_a_binding_are_read_back_field_by_field, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_virtual_host_cannot_hold_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_list_longer_than_its_bytes_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_is_its_commands, setup, teardown),
    };
    return cmocka_run_group_tests_name("core_meta_format", tests, NULL, NULL);
}
