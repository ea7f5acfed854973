/* Describing and altering settings, the data directory, and ACLs that are not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/kafka/configs.h"
#include "proto/kafka/errors.h"
#include "proto/kafka/test_session.h"

enum {
    CREATE_TOPICS = 19,
    DESCRIBE_ACLS = 29,
    DESCRIBE_CONFIGS = 32,
    ALTER_CONFIGS = 33,
    DESCRIBE_LOG_DIRS = 35,
    INCREMENTAL_ALTER_CONFIGS = 44,
    SOURCE_TOPIC = 1,
    SOURCE_STATIC_BROKER = 4,
    SOURCE_DEFAULT = 5,
};

static void assert_text(struct span s, const char *text)
{
    assert_int_equal(s.len, strlen(text));
    assert_memory_equal(s.ptr, text, s.len);
}

/* ---- DescribeConfigs ------------------------------------------------------------------------------------
 */

static struct kafka_describe_configs_response_result *describe(int version, int type, const char *name,
                                                               const char *const *keys)
{
    static struct kafka_describe_configs_request m;
    static struct kafka_describe_configs_request_resource res;
    static struct span spans[8];
    kafka_describe_configs_request_init(&m);
    res = (struct kafka_describe_configs_request_resource){
        .resource_type = (int8_t)type, .resource_name = span_str(name), .configuration_keys_count = -1};
    for (int i = 0; keys && (res.configuration_keys_count = i, keys[i]); i++)
        spans[i] = span_str(keys[i]);
    res.configuration_keys = spans;
    m.resources = &res;
    m.resources_count = 1;
    m.include_synonyms = m.include_documentation = true;
    struct kafka_describe_configs_response *a = session_ask(DESCRIBE_CONFIGS, version, &m);
    assert_int_equal(a->results_count, 1);
    assert_int_equal(a->results[0].resource_type, type);
    assert_text(a->results[0].resource_name, name);
    return &a->results[0];
}

static struct kafka_describe_configs_response_config *
find(const struct kafka_describe_configs_response_result *res, const char *name)
{
    for (int32_t i = 0; i < res->configs_count; i++)
        if (span_eq_str(res->configs[i].name, name))
            return &res->configs[i];
    return NULL;
}

/* redpanda#591: the Schema Registry refuses to start without it. */
static void a_topic_is_described_with_its_cleanup_policy(void **state)
{
    struct topic *t = fake_topic(&session->core, "_schemas", 1);
    t->config.compact = true;
    t->config.delete_old = false;
    t->config.set = 1ull << TOPIC_CONFIG_CLEANUP;
    for (int version = 1; version <= 4; version++) {
        struct kafka_describe_configs_response_result *res =
            describe(version, KAFKA_RESOURCE_TOPIC, "_schemas", NULL);
        assert_int_equal(res->error_code, 0);
        struct kafka_describe_configs_response_config *c = find(res, "cleanup.policy");
        assert_non_null(c);
        assert_text(c->value, "compact");
        assert_int_equal(c->config_source, SOURCE_TOPIC);
        assert_false(c->is_sensitive || c->read_only);
        assert_int_equal(c->synonyms_count, 2);
        assert_text(c->synonyms[0].value, "compact");
        assert_text(c->synonyms[1].name, "log.cleanup.policy");
        assert_text(c->synonyms[1].value, "delete");
        assert_int_equal(c->config_type, version >= 3 ? 7 : 0);
        assert_int_equal(c->documentation.len > 0, version >= 3);
    }
}

static void all_settings_of_kafka_4_1_are_shown(void **state)
{
    static const char *const names[] = {"cleanup.policy",
                                        "compression.gzip.level",
                                        "compression.lz4.level",
                                        "compression.type",
                                        "compression.zstd.level",
                                        "delete.retention.ms",
                                        "file.delete.delay.ms",
                                        "flush.messages",
                                        "flush.ms",
                                        "follower.replication.throttled.replicas",
                                        "index.interval.bytes",
                                        "leader.replication.throttled.replicas",
                                        "local.retention.bytes",
                                        "local.retention.ms",
                                        "max.compaction.lag.ms",
                                        "max.message.bytes",
                                        "message.timestamp.after.max.ms",
                                        "message.timestamp.before.max.ms",
                                        "message.timestamp.type",
                                        "min.cleanable.dirty.ratio",
                                        "min.compaction.lag.ms",
                                        "min.insync.replicas",
                                        "preallocate",
                                        "remote.log.copy.disable",
                                        "remote.log.delete.on.disable",
                                        "remote.storage.enable",
                                        "retention.bytes",
                                        "retention.ms",
                                        "segment.bytes",
                                        "segment.index.bytes",
                                        "segment.jitter.ms",
                                        "segment.ms",
                                        "unclean.leader.election.enable"};
    enum { NAMES = sizeof(names) / sizeof(names[0]) };
    fake_topic(&session->core, "t", 1);
    struct kafka_describe_configs_response_result *res = describe(4, KAFKA_RESOURCE_TOPIC, "t", NULL);
    for (size_t i = 0; i < NAMES; i++)
        assert_non_null(find(res, names[i]));
    assert_int_equal(res->configs_count, NAMES + 1); /* and durability */
    assert_int_equal(find(res, "min.cleanable.dirty.ratio")->config_type, 6);
    assert_text(find(res, "min.cleanable.dirty.ratio")->value, "0.5");
}

static void only_the_keys_asked_for_are_told(void **state)
{
    fake_topic(&session->core, "t", 1);
    const char *const two[] = {"retention.ms", "no.such", "flush.ms", NULL}, *const none[] = {NULL};
    assert_int_equal(describe(4, KAFKA_RESOURCE_TOPIC, "t", two)->configs_count, 2);
    assert_true(describe(4, KAFKA_RESOURCE_TOPIC, "t", none)->configs_count > 30); /* empty is all */
}

static void what_the_broker_was_given_is_told_as_its_own(void **state)
{
    struct config_error e;
    fake_topic(&session->core, "old", 1);
    assert_int_equal(config_set(&session->core.config, "kafka.max-message-bytes", "2097152", CONFIG_FILE, &e),
                     0);
    topic_config_init(&session->core.config);
    fake_topic(&session->core, "t", 1);
    struct kafka_describe_configs_response_config *c =
        find(describe(4, KAFKA_RESOURCE_TOPIC, "t", NULL), "max.message.bytes");
    assert_text(c->value, "2097152");
    assert_int_equal(c->config_source, SOURCE_STATIC_BROKER);
    assert_int_equal(c->synonyms_count, 2);
    assert_int_equal(c->synonyms[0].source, SOURCE_STATIC_BROKER);
    assert_text(c->synonyms[1].value, "1048588");
    c = find(describe(4, KAFKA_RESOURCE_BROKER, "1", NULL), "message.max.bytes");
    assert_text(c->value, "2097152");
    assert_int_equal(c->config_source, SOURCE_STATIC_BROKER);
}

static void the_broker_is_described_under_kafkas_names(void **state)
{
    static const char *const pairs[][2] = {
        {"auto.create.topics.enable", "true"},
        {"num.partitions", "1"},
        {"default.replication.factor", "1"},
        {"log.retention.hours", "168"},
        {"log.retention.ms", "604800000"},
        {"log.segment.bytes", "1073741824"},
        {"message.max.bytes", "1048588"},
        {"offsets.retention.minutes", "10080"},
        {"node.id", "1"},
        {"broker.id", "1"},
        {"listeners", "kafka://127.0.0.1:9092"},
        {"advertised.listeners", "kafka://127.0.0.1:9092"},
        {"log.dirs", "data"},
        {"min.insync.replicas", "1"},
        {"delete.topic.enable", "true"},
        {"compression.type", "producer"},
        {"log.cleanup.policy", "delete"},
        {"inter.broker.protocol.version", "3.9-IV0"},
        {"log.message.format.version", "3.0-IV1"},
        {"connections.max.idle.ms", "600000"},
        {"group.max.session.timeout.ms", "1800000"},
    };
    struct kafka_describe_configs_response_result *res = describe(4, KAFKA_RESOURCE_BROKER, "1", NULL);
    assert_int_equal(res->error_code, 0);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct kafka_describe_configs_response_config *c = find(res, pairs[i][0]);
        assert_non_null(c);
        assert_text(c->value, pairs[i][1]);
        assert_true(c->read_only);
    }
    for (int32_t i = 0; i < res->configs_count; i++) /* none stands there twice */
        assert_ptr_equal(
            find(res, arena_strndup(&session->arena, res->configs[i].name.ptr, res->configs[i].name.len)),
            &res->configs[i]);
}

static void what_cannot_be_described_is_told_in_the_words_of_kafka(void **state)
{
    struct kafka_describe_configs_response_result *res = describe(4, KAFKA_RESOURCE_TOPIC, "none", NULL);
    assert_int_equal(res->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_text(res->error_message, "");
    assert_int_equal(describe(4, KAFKA_RESOURCE_TOPIC, "a b", NULL)->error_code,
                     KAFKA_INVALID_TOPIC_EXCEPTION);
    res = describe(4, KAFKA_RESOURCE_BROKER, "7", NULL);
    assert_int_equal(res->error_code, KAFKA_INVALID_REQUEST);
    assert_text(res->error_message, "Unexpected broker id, expected 1 or empty string, but received 7");
    res = describe(4, KAFKA_RESOURCE_BROKER, "one", NULL);
    assert_text(res->error_message, "Broker id must be an integer, but it is: one");
    res = describe(4, KAFKA_RESOURCE_BROKER_LOGGER, "", NULL);
    assert_text(res->error_message, "Broker id must not be empty");
    res = describe(4, KAFKA_RESOURCE_GROUP, "", NULL);
    assert_text(res->error_message, "Group name must not be empty");
    assert_int_equal(describe(4, 77, "x", NULL)->error_code, KAFKA_INVALID_REQUEST);
}

static void what_has_no_settings_is_described_with_none(void **state)
{
    static const struct {
        int type;
        const char *name;
    } all[] = {{KAFKA_RESOURCE_BROKER, ""},
               {KAFKA_RESOURCE_BROKER_LOGGER, "1"},
               {KAFKA_RESOURCE_GROUP, "g"},
               {KAFKA_RESOURCE_CLIENT_METRICS, "m"}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct kafka_describe_configs_response_result *res = describe(4, all[i].type, all[i].name, NULL);
        assert_int_equal(res->error_code, 0);
        assert_int_equal(res->configs_count, 0);
    }
}

static void a_resource_named_twice_is_refused(void **state)
{
    struct kafka_describe_configs_request_resource two[2] = {{.resource_type = KAFKA_RESOURCE_BROKER,
                                                              .resource_name = span_str("1"),
                                                              .configuration_keys_count = -1}};
    struct kafka_describe_configs_request m = {.resources = two, .resources_count = 2};
    two[1] = two[0];
    struct kafka_describe_configs_response *a = session_ask(DESCRIBE_CONFIGS, 1, &m);
    assert_int_equal(a->results[0].error_code, KAFKA_INVALID_REQUEST);
    assert_int_equal(a->results[1].error_code, KAFKA_INVALID_REQUEST);
}

/* redpanda#16578: clients read the settings of a new topic from the answer (KIP-525). */
static void create_topics_answers_all_settings_with_their_sources(void **state)
{
    struct kafka_create_topics_request_config c = {span_str("retention.ms"), span_str("5")};
    struct kafka_create_topics_request_topic topic = {.name = span_str("t"),
                                                      .num_partitions = 1,
                                                      .replication_factor = 1,
                                                      .configs = &c,
                                                      .configs_count = 1};
    struct kafka_create_topics_request m = {.topics = &topic, .topics_count = 1};
    for (int version = 5; version <= 7; version++) {
        topic.name = span_str(version == 5 ? "five" : version == 6 ? "six" : "seven");
        struct kafka_create_topics_response *a = session_ask(CREATE_TOPICS, version, &m);
        const struct kafka_create_topics_response_topic *t = &a->topics[0];
        assert_int_equal(t->error_code, 0);
        assert_int_equal(
            t->configs_count,
            describe(4, KAFKA_RESOURCE_TOPIC, version == 5 ? "five" : "six", NULL)->configs_count);
        for (int32_t i = 0; i < t->configs_count; i++) {
            bool mine = span_eq_str(t->configs[i].name, "retention.ms");
            assert_int_equal(t->configs[i].config_source, mine ? SOURCE_TOPIC : SOURCE_DEFAULT);
        }
    }
}

/* ---- AlterConfigs and IncrementalAlterConfigs -----------------------------------------------------------
 */

struct change {
    const char *name, *value;
    int op;
};

static struct kafka_incremental_alter_configs_response_response *
alter(int type, const char *name, const struct change *changes, int count, bool validate_only)
{
    static struct kafka_incremental_alter_configs_request_config configs[8];
    static struct kafka_incremental_alter_configs_request_resource res;
    struct kafka_incremental_alter_configs_request m = {&res, 1, validate_only};
    for (int i = 0; i < count; i++)
        configs[i] = (struct kafka_incremental_alter_configs_request_config){
            span_str(changes[i].name), (int8_t)changes[i].op,
            changes[i].value ? span_str(changes[i].value) : SPAN_NULL};
    res = (struct kafka_incremental_alter_configs_request_resource){(int8_t)type, span_str(name), configs,
                                                                    count};
    struct kafka_incremental_alter_configs_response *a = NULL;
    for (int version = 0; version <= 1; version++)
        a = session_ask(INCREMENTAL_ALTER_CONFIGS, version, &m);
    return &a->responses[0];
}

#define ALTER(type, name, ...)                                                                               \
    alter(type, name, (struct change[]){__VA_ARGS__},                                                        \
          sizeof((struct change[]){__VA_ARGS__}) / sizeof(struct change), false)

static void single_settings_are_altered(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    assert_int_equal(
        ALTER(KAFKA_RESOURCE_TOPIC, "t", {"retention.ms", "5", 0}, {"cleanup.policy", "compact", 2})
            ->error_code,
        0);
    assert_int_equal(t->config.retention_ms, 5);
    assert_true(t->config.compact && t->config.delete_old);
    assert_int_equal(
        ALTER(KAFKA_RESOURCE_TOPIC, "t", {"retention.ms", NULL, 1}, {"cleanup.policy", "delete", 3})
            ->error_code,
        0);
    assert_int_equal(t->config.retention_ms, 604800000);
    assert_true(t->config.compact && !t->config.delete_old);
}

static void a_try_alters_nothing(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    struct change good = {"retention.ms", "5", 0}, bad = {"retention.ms", "soon", 0};
    assert_int_equal(alter(KAFKA_RESOURCE_TOPIC, "t", &good, 1, true)->error_code, 0);
    assert_int_equal(alter(KAFKA_RESOURCE_TOPIC, "t", &bad, 1, true)->error_code, KAFKA_INVALID_CONFIG);
    assert_int_equal(t->config.set, 0);
}

static const struct {
    int type;
    const char *resource;
    struct change change;
    int code;
    const char *words;
} refusals[] = {
    {KAFKA_RESOURCE_TOPIC,
     "none",
     {"retention.ms", "5", 0},
     KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
     "The topic 'none' does not exist."},
    {KAFKA_RESOURCE_TOPIC,
     "t",
     {"no.such", "5", 0},
     KAFKA_INVALID_CONFIG,
     "Unknown topic config name: no.such"},
    {KAFKA_RESOURCE_TOPIC,
     "t",
     {"retention.ms", "soon", 0},
     KAFKA_INVALID_CONFIG,
     "Invalid value soon for configuration retention.ms: Not a number of type LONG"},
    {KAFKA_RESOURCE_TOPIC,
     "t",
     {"retention.ms", "5", 2},
     KAFKA_INVALID_CONFIG,
     "Can't APPEND to key retention.ms because its type is not LIST."},
    {KAFKA_RESOURCE_TOPIC,
     "t",
     {"retention.ms", NULL, 0},
     KAFKA_INVALID_REQUEST,
     "Null value not supported for : retention.ms"},
    {KAFKA_RESOURCE_TOPIC,
     "t",
     {"retention.ms", "5", 9},
     KAFKA_INVALID_REQUEST,
     "Unknown operation 9 for configuration retention.ms"},
    {KAFKA_RESOURCE_BROKER,
     "1",
     {"log.dirs", "/x", 0},
     KAFKA_INVALID_REQUEST,
     "Cannot update these configs dynamically: Set(log.dirs)"},
    {KAFKA_RESOURCE_BROKER,
     "",
     {"log.retention.ms", "1", 0},
     KAFKA_INVALID_REQUEST,
     "Cannot update these configs dynamically: Set(log.retention.ms)"},
    {KAFKA_RESOURCE_BROKER,
     "7",
     {"log.dirs", "/x", 0},
     KAFKA_INVALID_REQUEST,
     "Unexpected broker id, expected 1, but received 7"},
    {KAFKA_RESOURCE_BROKER,
     "x",
     {"log.dirs", "/x", 0},
     KAFKA_INVALID_REQUEST,
     "Node id must be an integer, but it is: x"},
    {KAFKA_RESOURCE_BROKER_LOGGER,
     "1",
     {"kafka.Foo", "DEBUG", 0},
     KAFKA_INVALID_CONFIG,
     "Logger kafka.Foo does not exist!"},
    {KAFKA_RESOURCE_GROUP, "g", {"x", "1", 0}, KAFKA_INVALID_REQUEST, "Unknown resource type 32"},
};

static void refusals_have_the_words_of_kafka(void **state)
{
    fake_topic(&session->core, "t", 1);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        struct kafka_incremental_alter_configs_response_response *a =
            alter(refusals[i].type, refusals[i].resource, &refusals[i].change, 1, false);
        assert_int_equal(a->error_code, refusals[i].code);
        assert_text(a->error_message, refusals[i].words);
    }
}

static void a_key_or_a_resource_named_twice_is_refused(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    struct kafka_incremental_alter_configs_response_response *one =
        ALTER(KAFKA_RESOURCE_TOPIC, "t", {"retention.ms", "5", 0}, {"retention.ms", "6", 0});
    assert_int_equal(one->error_code, KAFKA_INVALID_REQUEST);
    assert_text(one->error_message, "Error due to duplicate config keys");
    struct kafka_incremental_alter_configs_request_config c = {span_str("retention.ms"), 0, span_str("5")};
    struct kafka_incremental_alter_configs_request_resource two[2] = {
        {KAFKA_RESOURCE_TOPIC, span_str("t"), &c, 1}, {KAFKA_RESOURCE_TOPIC, span_str("t"), &c, 1}};
    struct kafka_incremental_alter_configs_request m = {two, 2, false};
    struct kafka_incremental_alter_configs_response *a = session_ask(INCREMENTAL_ALTER_CONFIGS, 1, &m);
    assert_int_equal(a->responses[0].error_code, KAFKA_INVALID_REQUEST);
    assert_text(a->responses[1].error_message, "Each resource must appear at most once.");
    assert_int_equal(t->config.set, 0);
}

static void alter_configs_replaces_all_settings(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    struct kafka_alter_configs_request_config c = {span_str("flush.ms"), span_str("5")};
    struct kafka_alter_configs_request_resource res[3] = {
        {KAFKA_RESOURCE_TOPIC, span_str("t"), &c, 1},
        {KAFKA_RESOURCE_BROKER, span_str("1"), &c, 1},
        {KAFKA_RESOURCE_BROKER_LOGGER, span_str("1"), &c, 1}};
    struct kafka_alter_configs_request m = {res, 3, false};
    for (int version = 0; version <= 2; version++) {
        ALTER(KAFKA_RESOURCE_TOPIC, "t", {"retention.ms", "5", 0}, {"preallocate", "true", 0});
        assert_int_equal(t->config.rare_count, version ? 2 : 1);
        struct kafka_alter_configs_response *a = session_ask(ALTER_CONFIGS, version, &m);
        assert_int_equal(a->responses[0].error_code, 0);
        assert_int_equal(t->config.set, 1ull << TOPIC_CONFIG_FLUSH_MS);
        assert_int_equal(topic_config_number(&t->config, TOPIC_CONFIG_FLUSH_MS), 5);
        assert_int_equal(a->responses[1].error_code, KAFKA_INVALID_REQUEST);
        assert_text(a->responses[2].error_message, "Unknown resource type 8");
    }
}

/* ---- DescribeLogDirs, DescribeAcls ----------------------------------------------------------------------
 */

static struct kafka_describe_log_dirs_response_result *
log_dirs(int version, struct kafka_describe_log_dirs_request_topic *topics, int32_t count)
{
    struct kafka_describe_log_dirs_request m = {topics, count};
    struct kafka_describe_log_dirs_response *a = session_ask(DESCRIBE_LOG_DIRS, version, &m);
    assert_int_equal(a->error_code, 0);
    assert_int_equal(a->results_count, 1);
    return &a->results[0];
}

static void the_data_directory_is_told_with_the_size_of_each_partition(void **state)
{
    struct span batch = session_batch(3);
    fake_topic(&session->core, "b", 5); /* on several shards */
    fake_topic(&session->core, "a", 1);
    session_ask(0, 9, session_produce("b", 4, 1, batch));
    for (int version = 1; version <= 4; version++) {
        struct kafka_describe_log_dirs_response_result *dir = log_dirs(version, NULL, -1);
        assert_text(dir->log_dir, "data");
        assert_int_equal(dir->topics_count, 2);
        assert_text(dir->topics[1].name, "b");
        assert_int_equal(dir->topics[1].partitions_count, 5);
        assert_int_equal(dir->topics[1].partitions[4].partition_index, 4);
        assert_int_equal(dir->topics[1].partitions[4].partition_size, batch.len);
        assert_int_equal(dir->topics[1].partitions[3].partition_size, 0);
        assert_int_equal(dir->total_bytes, version >= 4 ? 1000000 : -1);
        assert_int_equal(dir->usable_bytes, version >= 4 ? 400000 : -1);
    }
}

static void only_partitions_that_are_here_are_told(void **state)
{
    int32_t some[] = {1, 9, -1}, zero[] = {0};
    struct kafka_describe_log_dirs_request_topic topics[] = {{span_str("none"), zero, 1},
                                                             {span_str("b"), some, 3}};
    fake_topic(&session->core, "b", 2);
    struct kafka_describe_log_dirs_response_result *dir = log_dirs(4, topics, 2);
    assert_int_equal(dir->topics_count, 1);
    assert_int_equal(dir->topics[0].partitions_count, 1);
    assert_int_equal(dir->topics[0].partitions[0].partition_index, 1);
    assert_int_equal(log_dirs(4, topics, 0)->topics_count, 0); /* none is none, null is all */
}

static void there_are_no_acls(void **state)
{
    struct kafka_describe_acls_request m = {.resource_type_filter = 1, .operation = 1, .permission_type = 1};
    m.pattern_type_filter = 3;
    for (int version = 1; version <= 3; version++) {
        struct kafka_describe_acls_response *a = session_ask(DESCRIBE_ACLS, version, &m);
        assert_int_equal(a->error_code, KAFKA_SECURITY_DISABLED);
        assert_text(a->error_message, "No Authorizer is configured on the broker");
        assert_int_equal(a->resources_count, 0);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, session_setup, session_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_topic_is_described_with_its_cleanup_policy),
        TEST(all_settings_of_kafka_4_1_are_shown),
        TEST(only_the_keys_asked_for_are_told),
        TEST(what_the_broker_was_given_is_told_as_its_own),
        TEST(the_broker_is_described_under_kafkas_names),
        TEST(what_cannot_be_described_is_told_in_the_words_of_kafka),
        TEST(what_has_no_settings_is_described_with_none),
        TEST(a_resource_named_twice_is_refused),
        TEST(create_topics_answers_all_settings_with_their_sources),
        TEST(single_settings_are_altered),
        TEST(a_try_alters_nothing),
        TEST(refusals_have_the_words_of_kafka),
        TEST(a_key_or_a_resource_named_twice_is_refused),
        TEST(alter_configs_replaces_all_settings),
        TEST(the_data_directory_is_told_with_the_size_of_each_partition),
        TEST(only_partitions_that_are_here_are_told),
        TEST(there_are_no_acls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
