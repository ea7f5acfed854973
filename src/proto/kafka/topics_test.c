/* Metadata, DescribeCluster, and creating, growing and deleting topics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/kafka/errors.h"
#include "proto/kafka/test_session.h"

enum { METADATA = 3, CREATE_TOPICS = 19, DELETE_TOPICS = 20, CREATE_PARTITIONS = 37, DESCRIBE_CLUSTER = 60 };

static void assert_text(struct span s, const char *text)
{
    assert_int_equal(s.len, strlen(text));
    assert_memory_equal(s.ptr, text, s.len);
}

/* ---- Metadata ----------------------------------------------------------------------------------------- */

/* names: NULL-terminated; NULL: all topics. */
static struct kafka_metadata_request *ask_for(const char *const *names)
{
    struct kafka_metadata_request *m = arena_alloc(&session->arena, sizeof(*m));
    kafka_metadata_request_init(m);
    m->topics_count = names ? 0 : -1;
    while (names && names[m->topics_count])
        m->topics_count++;
    m->topics = names ? arena_array(&session->arena, (size_t)m->topics_count, sizeof(*m->topics)) : NULL;
    for (int32_t i = 0; i < m->topics_count; i++)
        m->topics[i].name = span_str(names[i]);
    return m;
}

static void every_version_of_metadata_names_broker_and_partitions(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 2);
    t->partitions[1].leader_epoch = 3;
    for (int version = 0; version <= 12; version++) {
        struct kafka_metadata_response *a =
            session_ask(METADATA, version, ask_for((const char *[]){"t", NULL}));
        assert_text(a->brokers[0].host, "127.0.0.1");
        assert_int_equal(a->brokers[0].port, 9092);
        assert_true(a->brokers[0].node_id >= 0); /* -1 is nobody */
        assert_int_equal(a->controller_id, version >= 1 ? a->brokers[0].node_id : -1);
        assert_int_equal(a->topics_count, 1);
        assert_int_equal(a->topics[0].partitions_count, 2);
        assert_int_equal(a->topics[0].partitions[1].leader_id, 1);
        assert_int_equal(a->topics[0].partitions[1].leader_epoch, version >= 7 ? 3 : -1);
        assert_int_equal(a->topics[0].partitions[1].isr_nodes_count, 1);
        if (version >= 2)
            assert_text(a->cluster_id, "fake-cluster");
        if (version >= 10)
            assert_memory_equal(a->topics[0].topic_id.bytes, t->id.bytes, 16);
        if (version >= 8)
            assert_int_equal(a->topics[0].topic_authorized_operations, INT32_MIN);
    }
}

static void all_topics_come_sorted(void **state)
{
    fake_topic(&session->core, "b", 1);
    fake_topic(&session->core, "a", 1);
    struct kafka_metadata_response *a = session_ask(METADATA, 0, ask_for((const char *[]){NULL}));
    assert_int_equal(a->topics_count, 2); /* version 0: an empty list is all */
    a = session_ask(METADATA, 12, ask_for(NULL));
    assert_int_equal(a->topics_count, 2);
    assert_text(a->topics[0].name, "a");
    assert_text(a->topics[1].name, "b");
    a = session_ask(METADATA, 1, ask_for((const char *[]){NULL}));
    assert_int_equal(a->topics_count, 0);
}

static void an_unknown_topic_is_created_and_answered_at_once(void **state)
{
    struct kafka_metadata_response *a =
        session_ask(METADATA, 1, ask_for((const char *[]){"new", "new", "other", NULL}));
    assert_int_equal(a->topics_count, 2);
    assert_int_equal(a->topics[0].error_code, 0);
    assert_int_equal(a->topics[0].partitions_count, 1);
    assert_int_equal(a->topics[1].error_code, 0);
}

static int metadata_error(int version, struct kafka_metadata_request *m)
{
    struct kafka_metadata_response *a = session_ask(METADATA, version, m);
    return a->topics[0].error_code;
}

/* redpanda#395, kafka-go#1208: kafka-go takes an error of the first answer for final. */
static void every_version_of_metadata_creates_and_tells_the_leader_at_once(void **state)
{
    for (int version = 0; version <= 12; version++) {
        const char name[] = {'v', (char)('a' + version), 0};
        struct kafka_metadata_request *m = ask_for((const char *[]){name, NULL});
        m->allow_auto_topic_creation = true; /* not sent before 4, where it always holds */
        struct kafka_metadata_response *a = session_ask(METADATA, version, m);
        assert_int_equal(a->topics[0].error_code, 0);
        assert_int_equal(a->topics[0].partitions_count, 1);
        assert_int_equal(a->topics[0].partitions[0].error_code, 0);
        assert_int_equal(a->topics[0].partitions[0].leader_id, a->brokers[0].node_id);
        m->topics[0].name = span_str("absent");
        m->allow_auto_topic_creation = false;
        if (version >= 4)
            assert_int_equal(metadata_error(version, m), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
}

static void nothing_is_created_unless_client_and_broker_allow_it(void **state)
{
    struct kafka_metadata_request *m = ask_for((const char *[]){"new", NULL});
    m->allow_auto_topic_creation = false;
    struct kafka_metadata_response *a = session_ask(METADATA, 9, m);
    assert_int_equal(a->topics[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    session->core.config.kafka_auto_create_topics = false;
    a = session_ask(METADATA, 1, ask_for((const char *[]){"new", NULL}));
    assert_int_equal(a->topics[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void a_bad_name_is_told(void **state)
{
    struct kafka_metadata_response *a = session_ask(METADATA, 9, ask_for((const char *[]){"a b", NULL}));
    assert_int_equal(a->topics[0].error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_text(a->topics[0].name, "a b");
}

static void topics_are_found_by_id(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    struct kafka_metadata_request *m = ask_for((const char *[]){"t", "t", NULL});
    m->topics[0].name = m->topics[1].name = SPAN_NULL;
    memcpy(m->topics[0].topic_id.bytes, t->id.bytes, 16);
    memset(m->topics[1].topic_id.bytes, 0x77, 16);
    struct kafka_metadata_response *a = session_ask(METADATA, 12, m);
    assert_text(a->topics[0].name, "t");
    assert_int_equal(a->topics[1].error_code, KAFKA_UNKNOWN_TOPIC_ID);
    a = session_ask(METADATA, 11, m);
    assert_int_equal(a->topics[0].error_code, KAFKA_INVALID_REQUEST);
}

static void authorized_operations_are_told_when_asked_for(void **state)
{
    fake_topic(&session->core, "t", 1);
    struct kafka_metadata_request *m = ask_for((const char *[]){"t", NULL});
    m->include_topic_authorized_operations = m->include_cluster_authorized_operations = true;
    struct kafka_metadata_response *a = session_ask(METADATA, 8, m);
    assert_int_equal(a->topics[0].topic_authorized_operations, 3576);
    assert_int_equal(a->cluster_authorized_operations, 8096);
}

static void a_listener_advertises_its_own_address(void **state)
{
    session->client.listener.advertised_host = "broker.example";
    session->client.listener.advertised_port = 19092;
    struct kafka_metadata_response *a = session_ask(METADATA, 1, ask_for(NULL));
    assert_text(a->brokers[0].host, "broker.example");
    assert_int_equal(a->brokers[0].port, 19092);
    struct kafka_describe_cluster_request m = {false, 1};
    struct kafka_describe_cluster_response *c = session_ask(DESCRIBE_CLUSTER, 1, &m);
    assert_text(c->brokers[0].host, "broker.example"); /* FindCoordinator: group_test.c */
    assert_int_equal(c->brokers[0].port, 19092);
}

static void without_one_the_client_is_told_the_address_it_came_in_on(void **state)
{
    session->client.listener.bound = "0.0.0.0:19092";
    session->client.conn.local = "[::1]:19092";
    struct kafka_metadata_response *a = session_ask(METADATA, 1, ask_for(NULL));
    assert_text(a->brokers[0].host, "::1");
    assert_int_equal(a->brokers[0].port, 19092);
}

static void describe_cluster_names_the_broker(void **state)
{
    struct kafka_describe_cluster_request m = {true, 1};
    for (int version = 0; version <= 1; version++) {
        struct kafka_describe_cluster_response *a = session_ask(DESCRIBE_CLUSTER, version, &m);
        assert_text(a->cluster_id, "fake-cluster");
        assert_int_equal(a->controller_id, 1);
        assert_int_equal(a->brokers[0].port, 9092);
        assert_int_equal(a->cluster_authorized_operations, 8096);
    }
    m.endpoint_type = 2;
    struct kafka_describe_cluster_response *a = session_ask(DESCRIBE_CLUSTER, 1, &m);
    assert_int_equal(a->error_code, KAFKA_MISMATCHED_ENDPOINT_TYPE);
    m.endpoint_type = 3;
    a = session_ask(DESCRIBE_CLUSTER, 1, &m);
    assert_int_equal(a->error_code, KAFKA_UNSUPPORTED_ENDPOINT_TYPE);
}

/* ---- CreateTopics ------------------------------------------------------------------------------------- */

static struct kafka_create_topics_request *creation(const char *name, int32_t partitions, int16_t replicas)
{
    struct kafka_create_topics_request *m = arena_alloc(&session->arena, sizeof(*m));
    m->topics_count = 1;
    m->topics = arena_array(&session->arena, 1, sizeof(*m->topics));
    m->topics[0].name = span_str(name);
    m->topics[0].num_partitions = partitions;
    m->topics[0].replication_factor = replicas;
    return m;
}

static struct kafka_create_topics_response_topic *create(int version, struct kafka_create_topics_request *m)
{
    struct kafka_create_topics_response *a = session_ask(CREATE_TOPICS, version, m);
    return &a->topics[0];
}

static void every_version_of_create_topics_creates(void **state)
{
    for (int version = 2; version <= 7; version++) {
        char name[] = {'t', (char)('0' + version), 0};
        struct kafka_create_topics_response_topic *t = create(version, creation(name, 3, 1));
        assert_int_equal(t->error_code, 0);
        if (version < 5)
            continue;
        assert_int_equal(t->num_partitions, 3);
        assert_int_equal(t->replication_factor, 1);
        assert_true(t->configs_count > 5);
        assert_text(t->configs[1].name, "cleanup.policy");
        assert_text(t->configs[1].value, "delete");
        assert_int_equal(t->configs[1].config_source, 5);
    }
}

static void a_topic_that_exists_is_told(void **state)
{
    fake_topic(&session->core, "t", 1);
    struct kafka_create_topics_response_topic *t = create(7, creation("t", 1, 1));
    assert_int_equal(t->error_code, KAFKA_TOPIC_ALREADY_EXISTS);
    assert_text(t->error_message, "Topic 't' already exists.");
}

static void impossible_numbers_are_told_in_the_words_of_kafka(void **state)
{
    struct kafka_create_topics_response_topic *t = create(4, creation("t", 0, 1));
    assert_int_equal(t->error_code, KAFKA_INVALID_PARTITIONS);
    assert_text(t->error_message, "Number of partitions was set to an invalid non-positive value.");
    t = create(4, creation("t", 1, 3));
    assert_int_equal(t->error_code, KAFKA_INVALID_REPLICATION_FACTOR);
    assert_text(t->error_message,
                "Unable to replicate the partition 3 time(s): The target replication factor of 3 "
                "cannot be reached because only 1 broker(s) are registered.");
    t = create(4, creation("t", 1, 0));
    assert_int_equal(t->error_code, KAFKA_INVALID_REPLICATION_FACTOR);
}

/* redpanda#292: Connect and Streams create their topics so (KIP-464). */
static void defaults_are_taken_for_minus_one(void **state)
{
    for (int version = 4; version <= 7; version++) {
        const char name[] = {'t', (char)('0' + version), 0};
        struct kafka_create_topics_response_topic *t = create(version, creation(name, -1, -1));
        assert_int_equal(t->error_code, 0);
        assert_int_equal(t->num_partitions, version >= 5 ? 1 : -1);
        assert_int_equal(t->replication_factor, version >= 5 ? 1 : -1);
    }
}

static void validate_only_creates_nothing(void **state)
{
    struct kafka_create_topics_request *m = creation("t", 2, 1);
    m->validate_only = true;
    assert_int_equal(create(5, m)->error_code, 0);
    assert_int_equal(create(5, m)->num_partitions, 2);
    assert_null(session->core.topics[0]);
}

static void a_manual_assignment_may_only_name_this_broker(void **state)
{
    int32_t ids[] = {1, 2};
    struct kafka_create_topics_request_assignment assignments[2] = {{0, ids, 1}, {1, ids, 1}};
    struct kafka_create_topics_request *m = creation("t", -1, -1);
    m->topics[0].assignments = assignments;
    m->topics[0].assignments_count = 2;
    assert_int_equal(create(5, m)->num_partitions, 2);
    m->topics[0].name = span_str("u");
    assignments[1].broker_ids = &ids[1];
    struct kafka_create_topics_response_topic *t = create(5, m);
    assert_int_equal(t->error_code, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assert_text(t->error_message,
                "The manual partition assignment includes broker 2, but no such broker is registered.");
    assignments[1] = (struct kafka_create_topics_request_assignment){0, ids, 1};
    assert_int_equal(create(5, m)->error_code, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    m->topics[0].num_partitions = 2;
    assert_int_equal(create(5, m)->error_code, KAFKA_INVALID_REQUEST);
}

static void settings_are_set_and_shown(void **state)
{
    struct kafka_create_topics_request_config c[2] = {{span_str("cleanup.policy"), span_str("compact")},
                                                      {span_str("retention.ms"), span_str("-1")}};
    struct kafka_create_topics_request *m = creation("t", 1, 1);
    m->topics[0].configs = c;
    m->topics[0].configs_count = 2;
    struct kafka_create_topics_response_topic *t = create(7, m);
    assert_int_equal(t->error_code, 0);
    assert_text(t->configs[1].value, "compact");
    assert_int_equal(t->configs[1].config_source, 1);
    assert_true(session->core.topics[0]->config.compact);
}

static void bad_settings_are_told(void **state)
{
    struct kafka_create_topics_request_config c = {span_str("no.such.setting"), span_str("1")};
    struct kafka_create_topics_request *m = creation("t", 1, 1);
    m->topics[0].configs = &c;
    m->topics[0].configs_count = 1;
    struct kafka_create_topics_response_topic *t = create(7, m);
    assert_int_equal(t->error_code, KAFKA_INVALID_CONFIG);
    assert_text(t->error_message, "Unknown topic config name: no.such.setting");
    c = (struct kafka_create_topics_request_config){span_str("retention.ms"), span_str("soon")};
    assert_int_equal(create(7, m)->error_code, KAFKA_INVALID_CONFIG);
    c.value = SPAN_NULL;
    assert_int_equal(create(7, m)->error_code, KAFKA_INVALID_CONFIG);
}

static void a_name_that_stands_twice_is_refused(void **state)
{
    struct kafka_create_topics_request *m = creation("t", 1, 1);
    struct kafka_create_topics_request_topic twice[3] = {m->topics[0], m->topics[0], m->topics[0]};
    twice[1].name = span_str("u");
    m->topics = twice;
    m->topics_count = 3;
    struct kafka_create_topics_response *a = session_ask(CREATE_TOPICS, 7, m);
    assert_int_equal(a->topics[0].error_code, KAFKA_INVALID_REQUEST);
    assert_text(a->topics[0].error_message, "Duplicate topic name.");
    assert_int_equal(a->topics[1].error_code, 0);
    assert_int_equal(a->topics[2].error_code, KAFKA_INVALID_REQUEST);
}

static void bad_names_are_told_in_the_words_of_kafka(void **state)
{
    struct kafka_create_topics_response_topic *t = create(7, creation("a b\x01", 1, 1));
    assert_int_equal(t->error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_text(t->error_message,
                "Topic name is invalid: 'a b?' contains one or more characters other than ASCII "
                "alphanumerics, '.', '_' and '-'");
    t = create(7, creation("..", 1, 1));
    assert_text(t->error_message, "Topic name is invalid: '..' is not allowed");
    t = create(7, creation("", 1, 1));
    assert_text(t->error_message, "Topic name is invalid: the empty string is not allowed");
}

/* ---- DeleteTopics, CreatePartitions ------------------------------------------------------------------- */

static void topics_are_deleted_by_name(void **state)
{
    struct span names[] = {span_str("t"), span_str("none"), span_str("u"), span_str("u")};
    struct kafka_delete_topics_request m = {.topic_names = names, .topic_names_count = 4};
    fake_topic(&session->core, "t", 1);
    fake_topic(&session->core, "u", 1);
    struct kafka_delete_topics_response *a = session_ask(DELETE_TOPICS, 5, &m);
    assert_int_equal(a->responses[0].error_code, 0);
    assert_int_equal(a->responses[1].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(a->responses[2].error_code, KAFKA_INVALID_REQUEST);
    assert_null(session->core.topics[0]);
    assert_non_null(session->core.topics[1]);
}

static void topics_are_deleted_by_id(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    struct kafka_delete_topics_request_topic topics[3] = {{SPAN_NULL, {{0}}}, {span_str("t"), {{1}}}};
    memcpy(topics[0].topic_id.bytes, t->id.bytes, 16);
    struct kafka_delete_topics_request m = {.topics = topics, .topics_count = 3};
    struct kafka_delete_topics_response *a = session_ask(DELETE_TOPICS, 6, &m);
    assert_int_equal(a->responses[0].error_code, 0);
    assert_text(a->responses[0].name, "t");
    assert_int_equal(a->responses[1].error_code, KAFKA_INVALID_REQUEST); /* both */
    assert_int_equal(a->responses[2].error_code, KAFKA_INVALID_REQUEST); /* neither */
    topics[0].topic_id.bytes[0] ^= 0x80;
    m.topics_count = 1;
    a = session_ask(DELETE_TOPICS, 6, &m);
    assert_int_equal(a->responses[0].error_code, KAFKA_UNKNOWN_TOPIC_ID);
}

static struct kafka_create_partitions_response_topic *grow(int32_t count)
{
    struct kafka_create_partitions_request_topic topic = {span_str("t"), count, NULL, -1};
    struct kafka_create_partitions_request m = {&topic, 1, 1000, false};
    struct kafka_create_partitions_response *a = session_ask(CREATE_PARTITIONS, 3, &m);
    return &a->results[0];
}

static void partitions_are_added(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 2);
    assert_int_equal(grow(4)->error_code, 0);
    assert_int_equal(t->partition_count, 4);
}

static void partitions_are_never_taken_away(void **state)
{
    fake_topic(&session->core, "t", 2);
    struct kafka_create_partitions_response_topic *t = grow(2);
    assert_int_equal(t->error_code, KAFKA_INVALID_PARTITIONS);
    assert_text(t->error_message, "Topic already has 2 partition(s).");
    t = grow(1);
    assert_int_equal(t->error_code, KAFKA_INVALID_PARTITIONS);
    assert_text(t->error_message, "The topic t currently has 2 partition(s); 1 would not be an increase.");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, session_setup, session_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_version_of_metadata_names_broker_and_partitions),
        TEST(all_topics_come_sorted),
        TEST(an_unknown_topic_is_created_and_answered_at_once),
        TEST(every_version_of_metadata_creates_and_tells_the_leader_at_once),
        TEST(nothing_is_created_unless_client_and_broker_allow_it),
        TEST(a_bad_name_is_told),
        TEST(topics_are_found_by_id),
        TEST(authorized_operations_are_told_when_asked_for),
        TEST(a_listener_advertises_its_own_address),
        TEST(without_one_the_client_is_told_the_address_it_came_in_on),
        TEST(describe_cluster_names_the_broker),
        TEST(every_version_of_create_topics_creates),
        TEST(a_topic_that_exists_is_told),
        TEST(impossible_numbers_are_told_in_the_words_of_kafka),
        TEST(defaults_are_taken_for_minus_one),
        TEST(validate_only_creates_nothing),
        TEST(a_manual_assignment_may_only_name_this_broker),
        TEST(settings_are_set_and_shown),
        TEST(bad_settings_are_told),
        TEST(a_name_that_stands_twice_is_refused),
        TEST(bad_names_are_told_in_the_words_of_kafka),
        TEST(topics_are_deleted_by_name),
        TEST(topics_are_deleted_by_id),
        TEST(partitions_are_added),
        TEST(partitions_are_never_taken_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
