/* A topic's settings: as numbers, as text in Kafka's words, and how they are altered. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/topic_config_impl.h"

#include "base/err.h"
#include "core/config.h"

static struct arena arena;

static int setup(void **state)
{
    struct config cfg;
    config_init(&cfg);
    topic_config_init(&cfg);
    arena_init(&arena);
    return 0;
}

static int teardown(void **state)
{
    arena_fini(&arena);
    return 0;
}

static const char *reason;

static int set(struct topic_config *c, const char *name, const char *value)
{
    reason = NULL;
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

static void says(const char *name, const char *value, const char *words)
{
    struct topic_config c;
    topic_config_default(&c);
    assert_int_not_equal(set(&c, name, value), 0);
    assert_string_equal(reason, words);
}

static void refusals_are_in_the_words_of_kafka(void **state)
{
    says("no.such", "1", "Unknown topic config name: no.such");
    says("retention.ms", "soon",
         "Invalid value soon for configuration retention.ms: Not a number of type LONG");
    says("retention.ms", "-2", "Invalid value -2 for configuration retention.ms: Value must be at least -1");
    says("max.message.bytes", "3000000000",
         "Invalid value 3000000000 for configuration max.message.bytes: Not a number of type INT");
    says("min.cleanable.dirty.ratio", "1.5",
         "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1");
    says("compression.type", "none",
         "Invalid value none for configuration compression.type: String must be one of: uncompressed, zstd, "
         "lz4, "
         "snappy, gzip, producer");
    says("compression.gzip.level", "0",
         "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal "
         "to -1");
    says("preallocate", "yes",
         "Invalid value yes for configuration preallocate: Expected value to be either true or false");
    says("cleanup.policy", "delete,squash",
         "Invalid value delete,squash for configuration cleanup.policy: String must be one of: compact, "
         "delete");
}

struct shown {
    int rows, defaults;
    const char *name, *value; /* of the one looked for */
    struct topic_setting found;
};

static void look(void *arg, const struct topic_setting *s)
{
    struct shown *sh = arg;
    struct topic_config c;
    topic_config_default(&c);
    assert_int_equal(set(&c, s->name, s->value), 0); /* what is shown can be set */
    assert_true(strlen(s->help) > 10);
    sh->rows++;
    sh->defaults += !s->is_set;
    if (sh->name && strcmp(s->name, sh->name) == 0)
        sh->found = *s;
}

static struct topic_setting show(const struct topic_config *c, const char *name)
{
    struct shown sh = {.name = name};
    topic_config_each(c, &arena, look, &sh);
    return sh.found;
}

static void every_setting_shown_can_be_set(void **state)
{
    struct topic_config c;
    struct shown sh = {0};
    topic_config_default(&c);
    assert_int_equal(set(&c, "retention.bytes", "-1"), 0);
    topic_config_each(&c, &arena, look, &sh);
    assert_int_equal(sh.rows, TOPIC_CONFIG_ROWS - 3); /* without those of old Kafka */
    assert_int_equal(sh.defaults, sh.rows - 1);
}

static void every_value_that_was_set_is_shown_as_it_was(void **state)
{
    static const char *const pairs[][2] = {
        {"min.cleanable.dirty.ratio", "0.01"},
        {"min.cleanable.dirty.ratio", "1.0"},
        {"preallocate", "true"},
        {"flush.messages", "9223372036854775807"},
        {"compression.zstd.level", "-131072"},
        {"leader.replication.throttled.replicas", "*"},
        {"leader.replication.throttled.replicas", ""},
        {"message.format.version", "0.10.2-IV0"},
        {"message.format.version", "2.8"},
        {"message.downconversion.enable", "false"},
        {"cleanup.policy", "compact,delete"},
        {"cleanup.policy", ""},
        {"local.retention.ms", "-2"},
        {"message.timestamp.difference.max.ms", "7"},
        {"durability", "os"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct topic_config c;
        topic_config_default(&c);
        assert_int_equal(set(&c, pairs[i][0], pairs[i][1]), 0);
        struct topic_setting s = show(&c, pairs[i][0]);
        assert_string_equal(s.value, pairs[i][1]);
        assert_true(s.is_set);
    }
}

static void the_tags_are_dense_and_the_defaults_are_kafkas(void **state)
{
    struct topic_config c;
    topic_config_default(&c);
    for (int i = 0; i < TOPIC_CONFIG_ROWS; i++) {
        const struct topic_config_row *row = &topic_config_rows[i];
        assert_int_equal(row->id, i + 1);
        assert_ptr_equal(topic_config_row(row->id), row);
        assert_int_equal(topic_config_number(&c, row->id), row->dflt);
    }
    assert_null(topic_config_row(TOPIC_CONFIG_ROWS + 1));
}

static void the_broker_s_settings_are_known_as_such(void **state)
{
    struct config cfg;
    struct config_error why;
    struct topic_config c;
    config_init(&cfg);
    assert_int_equal(config_set(&cfg, "kafka.max-message-bytes", "2097152", CONFIG_FILE, &why), 0);
    topic_config_init(&cfg);
    topic_config_default(&c);
    assert_int_equal(set(&c, "max.message.bytes", "4096"), 0);
    struct topic_setting s = show(&c, "max.message.bytes");
    assert_true(s.is_set && s.broker_set);
    assert_string_equal(s.value, "4096");
    assert_string_equal(s.broker_value, "2097152");
    assert_string_equal(s.built_in, "1048588");
    assert_string_equal(s.synonym, "message.max.bytes");
    assert_false(show(&c, "retention.ms").broker_set);
}

static void rare_settings_are_kept_by_a_copy_of_its_own(void **state)
{
    struct topic_config c, copy;
    topic_config_default(&c);
    assert_int_equal(set(&c, "preallocate", "true"), 0);
    assert_int_equal(set(&c, "delete.retention.ms", "5"), 0);
    assert_int_equal(set(&c, "flush.ms", "6"), 0);
    copy = c;
    topic_config_own(&copy);
    assert_int_equal(set(&c, "flush.ms", "7"), 0);
    topic_config_unset(&c, TOPIC_CONFIG_PREALLOCATE, &arena);
    arena_fini(&arena); /* the copy does not look there */
    assert_int_equal(topic_config_number(&copy, TOPIC_CONFIG_FLUSH_MS), 6);
    assert_int_equal(topic_config_number(&copy, TOPIC_CONFIG_PREALLOCATE), 1);
    assert_int_equal(topic_config_number(&copy, TOPIC_CONFIG_DELETE_RETENTION), 5);
    topic_config_disown(&copy);
    assert_int_equal(topic_config_number(&copy, TOPIC_CONFIG_FLUSH_MS), INT64_MAX);
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

/* ---- altering -------------------------------------------------------------------------------------------
 */

static int alter(struct topic_config *c, enum topic_alter_kind kind, const char *name, const char *value)
{
    struct topic_alter_item it = {kind, span_str(name), value ? span_str(value) : SPAN_NULL};
    reason = NULL;
    int err = topic_config_alter(c, &it, 1, false, &arena, &reason);
    assert_true(!err || reason);
    return err;
}

static void settings_are_set_and_deleted(void **state)
{
    struct topic_config c;
    topic_config_default(&c);
    assert_int_equal(alter(&c, TOPIC_ALTER_SET, "retention.ms", "5"), 0);
    assert_int_equal(alter(&c, TOPIC_ALTER_SET, "min.compaction.lag.ms", "6"), 0);
    assert_int_equal(c.retention_ms, 5);
    assert_int_equal(alter(&c, TOPIC_ALTER_DELETE, "retention.ms", NULL), 0);
    assert_int_equal(alter(&c, TOPIC_ALTER_DELETE, "min.compaction.lag.ms", NULL), 0);
    assert_int_equal(alter(&c, TOPIC_ALTER_DELETE, "no.such", NULL), 0);
    assert_int_equal(c.retention_ms, 604800000);
    assert_int_equal(c.set, 0);
    assert_int_equal(c.rare_count, 0);
    assert_int_equal(alter(&c, TOPIC_ALTER_SET, "no.such", "1"), ERR_BAD_CONFIG);
    assert_string_equal(reason, "Unknown topic config name: no.such");
}

static void lists_are_appended_to_and_subtracted_from(void **state)
{
    struct topic_config c;
    topic_config_default(&c);
    assert_int_equal(alter(&c, TOPIC_ALTER_APPEND, "cleanup.policy", "compact"), 0);
    assert_true(c.compact && c.delete_old);
    assert_int_equal(alter(&c, TOPIC_ALTER_APPEND, "cleanup.policy", "compact"), 0);
    assert_int_equal(alter(&c, TOPIC_ALTER_SUBTRACT, "cleanup.policy", "delete,other"), 0);
    assert_true(c.compact && !c.delete_old);
    assert_int_equal(alter(&c, TOPIC_ALTER_APPEND, "cleanup.policy", "squash"), ERR_BAD_CONFIG);
    assert_int_equal(alter(&c, TOPIC_ALTER_APPEND, "retention.ms", "1"), ERR_BAD_CONFIG);
    assert_string_equal(reason, "Can't APPEND to key retention.ms because its type is not LIST.");
    assert_int_equal(alter(&c, TOPIC_ALTER_SUBTRACT, "retention.ms", "1"), ERR_BAD_CONFIG);
    assert_string_equal(reason, "Can't SUBTRACT to key retention.ms because its type is not LIST.");
}

static void replacing_takes_back_what_is_not_named_but_the_durability(void **state)
{
    struct topic_config c;
    struct topic_alter_item it = {TOPIC_ALTER_SET, span_str("retention.ms"), span_str("5")};
    topic_config_default(&c);
    assert_int_equal(set(&c, "durability", "os"), 0);
    assert_int_equal(set(&c, "segment.bytes", "1048576"), 0);
    assert_int_equal(set(&c, "preallocate", "true"), 0);
    assert_int_equal(topic_config_alter(&c, &it, 1, true, &arena, &reason), 0);
    assert_int_equal(c.set, 1ull << TOPIC_CONFIG_RETENTION_MS | 1ull << TOPIC_CONFIG_DURABILITY);
    assert_int_equal(c.durability, LOG_OS);
    assert_int_equal(c.segment_bytes, 1 << 30);
    assert_int_equal(c.rare_count, 0);
}

static void the_durability_stays_as_it_is(void **state)
{
    struct topic_config c;
    topic_config_default(&c);
    assert_int_equal(alter(&c, TOPIC_ALTER_SET, "durability", "fsync"), 0);
    assert_int_equal(alter(&c, TOPIC_ALTER_SET, "durability", "os"), ERR_BAD_CONFIG);
    topic_config_default(&c);
    assert_int_equal(set(&c, "durability", "os"), 0);
    assert_int_equal(alter(&c, TOPIC_ALTER_DELETE, "durability", NULL), ERR_BAD_CONFIG);
}

static void what_does_not_go_together_is_refused(void **state)
{
    struct topic_config c;
    topic_config_default(&c);
    assert_int_equal(alter(&c, TOPIC_ALTER_SET, "min.compaction.lag.ms", "10"), 0);
    assert_int_equal(alter(&c, TOPIC_ALTER_SET, "max.compaction.lag.ms", "9"), ERR_BAD_CONFIG);
    assert_string_equal(reason, "conflict topic config setting min.compaction.lag.ms (10) > "
                                "max.compaction.lag.ms (9)");
    topic_config_default(&c);
    assert_int_equal(alter(&c, TOPIC_ALTER_SET, "remote.storage.enable", "true"), ERR_BAD_CONFIG);
    assert_int_equal(alter(&c, TOPIC_ALTER_SET, "remote.storage.enable", "true"), ERR_BAD_CONFIG);
}

static void a_codec_is_used_with_the_level_that_was_set(void **state)
{
    struct topic_config c;
    struct records_policy p;
    topic_config_default(&c);
    assert_int_equal(set(&c, "compression.zstd.level", "11"), 0);
    topic_config_policy(&c, &p);
    assert_int_equal(p.level, COMPRESS_LEVEL_DEFAULT);
    assert_int_equal(set(&c, "compression.type", "zstd"), 0);
    topic_config_policy(&c, &p);
    assert_int_equal(p.level, 11);
    assert_int_equal(set(&c, "compression.type", "gzip"), 0);
    assert_int_equal(set(&c, "compression.gzip.level", "-1"), 0);
    topic_config_policy(&c, &p);
    assert_int_equal(p.level, COMPRESS_LEVEL_DEFAULT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(settings_are_taken_by_kafkas_names),
        TEST(a_bad_setting_is_refused_with_its_reason),
        TEST(refusals_are_in_the_words_of_kafka),
        TEST(every_setting_shown_can_be_set),
        TEST(every_value_that_was_set_is_shown_as_it_was),
        TEST(the_tags_are_dense_and_the_defaults_are_kafkas),
        TEST(what_a_topic_does_not_set_follows_the_broker),
        TEST(the_broker_s_settings_are_known_as_such),
        TEST(rare_settings_are_kept_by_a_copy_of_its_own),
        TEST(settings_are_set_and_deleted),
        TEST(lists_are_appended_to_and_subtracted_from),
        TEST(replacing_takes_back_what_is_not_named_but_the_durability),
        TEST(the_durability_stays_as_it_is),
        TEST(what_does_not_go_together_is_refused),
        TEST(a_codec_is_used_with_the_level_that_was_set),
    };
    return cmocka_run_group_tests_name("core_topic_config", tests, NULL, NULL);
}
