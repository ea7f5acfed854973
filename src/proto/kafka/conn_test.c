/* Frames, order and endings of connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "proto/kafka/api.h"
#include "proto/kafka/errors.h"
#include "proto/kafka/test_session.h"

enum { PRODUCE, FETCH, API_VERSIONS = 18 };

static struct kafka_api_versions_request *hello(void)
{
    struct kafka_api_versions_request *m = arena_alloc(&session->arena, sizeof(*m));
    m->client_software_name = span_str("test-client");
    m->client_software_version = span_str("1.0");
    return m;
}

static void send_hex(const void *bytes, size_t len)
{
    fake_client_send(&session->client, span_of(bytes, len));
}

static size_t served(void)
{
    size_t count;
    kafka_api_list(&count);
    return count;
}

static void api_versions_names_every_api_in_every_version(void **state)
{
    for (int version = 0; version <= 4; version++) {
        struct kafka_api_versions_response *m = session_ask(API_VERSIONS, version, hello());
        assert_int_equal(m->error_code, 0);
        assert_int_equal(m->api_keys_count, served());
        assert_int_equal(m->api_keys[0].min_version, 0); /* Produce: librdkafka looks for it there */
        assert_int_equal(m->api_keys[0].max_version, 11);
        assert_int_equal(m->finalized_features_count, 0);
    }
}

/* redpanda#27000, platformatic/kafka#51: clients that ask for what is recent found nothing in common.
 * KAFKA-19444, kafka-go#1360 and #1378, kafka_ex#497: without JoinGroup 0 and 1 those that ask for what is
 * old did. librdkafka#4956: it looks for each codec in a version of Produce, and is silent if it finds none.
 */
static void the_versions_that_clients_ask_for_are_advertised(void **state)
{
    static const struct {
        int16_t key, min, max;
    } need[] = {{0, 0, 11}, {1, 4, 16}, {2, 1, 7},  {3, 0, 12}, {8, 2, 9},  {9, 1, 9},  {10, 0, 4},
                {11, 0, 9}, {12, 0, 4}, {13, 0, 5}, {14, 0, 5}, {15, 0, 5}, {16, 0, 4}, {18, 0, 4},
                {19, 2, 7}, {20, 1, 6}, {21, 1, 2}, {22, 0, 4}, {23, 2, 4}, {32, 1, 4}, {33, 0, 1},
                {37, 0, 3}, {42, 0, 2}, {44, 0, 1}, {47, 0, 0}};
    struct kafka_api_versions_response *m = session_ask(API_VERSIONS, 3, hello());
    for (size_t i = 0; i < sizeof(need) / sizeof(need[0]); i++) {
        int32_t at = 0;
        while (at < m->api_keys_count && m->api_keys[at].api_key != need[i].key)
            at++;
        assert_true(at < m->api_keys_count);
        assert_true(m->api_keys[at].min_version <= need[i].min);
        assert_true(m->api_keys[at].max_version >= need[i].max);
    }
}

/* KIP-511: who asks in a version that it only hopes for must be able to read the header of the answer. */
static void answers_to_api_versions_have_no_tags_in_their_header(void **state)
{
    for (int version = 3; version <= 4; version++) {
        session_send(API_VERSIONS, version, 7, hello());
        struct span out = fake_client_output(&session->client, session->out, sizeof(session->out));
        uint8_t begins[] = {0, 0, 0, 7, 0, 0, (uint8_t)(served() + 1)}; /* id, no error, compact count */
        assert_memory_equal(out.ptr + 4, begins, sizeof(begins));
        session_receive(API_VERSIONS, version, 7);
    }
}

/* KoP#166, redpanda#296: a newer client could not read the answer ("ApiArrayCnt -1 out of range"). */
static void api_versions_of_a_newer_client_is_answered_in_version_0(void **state)
{
    uint8_t frame[] = {0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xee};
    send_hex(frame, sizeof(frame));
    struct kafka_api_versions_response *m = session_receive(API_VERSIONS, 0, 7);
    assert_int_equal(m->error_code, KAFKA_UNSUPPORTED_VERSION);
    assert_int_equal(m->api_keys_count, served());
    assert_false(session->client.conn.closing);
}

static int hello_as(int version, const char *name, const char *software_version)
{
    struct kafka_api_versions_request *m = hello();
    m->client_software_name = span_str(name);
    m->client_software_version = span_str(software_version);
    struct kafka_api_versions_response *a = session_ask(API_VERSIONS, version, m);
    assert_int_equal(a->api_keys_count, a->error_code ? 0 : served());
    return a->error_code;
}

static void a_client_name_that_is_not_a_name_is_refused(void **state)
{
    static const char *const good[] = {"a", "7", "librdkafka", "apache-kafka-java", "a..b", "a--1"};
    static const char *const bad[] = {"",   "-bad name", "-a",  "a-",  ".",
                                      "a.", "a b",       "a_b", "a/b", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(hello_as(3, good[i], "1.0"), 0);
        assert_int_equal(hello_as(4, "x", good[i]), 0);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(hello_as(3, bad[i], "1.0"), KAFKA_INVALID_REQUEST);
        assert_int_equal(hello_as(4, "x", bad[i]), KAFKA_INVALID_REQUEST);
    }
    assert_int_equal(hello_as(2, "-", "-"), 0); /* which has no such fields */
}

static void an_unknown_api_closes_the_connection(void **state)
{
    uint8_t frame[] = {0, 0, 0, 10, 0x7f, 0xff, 0, 0, 0, 0, 0, 7, 0xff, 0xff};
    send_hex(frame, sizeof(frame));
    assert_true(session->client.conn.closing);
    assert_int_equal(session->client.conn.out.len, 0);
}

static void an_unsupported_version_closes_the_connection(void **state)
{
    uint8_t frame[] = {0, 0, 0, 10, 0, PRODUCE, 0, 2, 0, 0, 0, 7, 0xff, 0xff};
    send_hex(frame, sizeof(frame));
    assert_true(session->client.conn.closing);
}

static void a_length_below_the_header_closes_the_connection(void **state)
{
    uint8_t frame[] = {0, 0, 0, 7, 0, 18, 0, 0, 0, 0, 0};
    send_hex(frame, sizeof(frame));
    assert_true(session->client.conn.closing);
}

static void a_negative_length_closes_the_connection(void **state)
{
    uint8_t frame[] = {0xff, 0xff, 0xff, 0xff, 0, 18, 0, 0};
    send_hex(frame, sizeof(frame));
    assert_true(session->client.conn.closing);
}

static void a_length_over_the_limit_closes_the_connection_at_once(void **state)
{
    uint8_t http[] = {'G', 'E', 'T', ' '}; /* 1.2 GB as a length */
    send_hex(http, sizeof(http));
    assert_true(session->client.conn.closing);
}

static void a_malformed_body_closes_the_connection(void **state)
{
    uint8_t frame[] = {0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff};
    send_hex(frame, sizeof(frame)); /* Metadata v1 with 2^31-1 topics */
    assert_true(session->client.conn.closing);
}

static void more_partitions_than_the_limit_close_the_connection(void **state)
{
    session->core.config.kafka_max_array_elements = 1;
    session_send(FETCH, 11, 1, session_fetch("t", 0, 0)); /* a topic and a partition */
    fake_run(&session->core);
    assert_true(session->client.conn.closing);
}

static void answers_come_in_the_order_of_the_requests(void **state)
{
    fake_topic(&session->core, "t", 3);
    session->core.newest_first = true;
    session_send(PRODUCE, 9, 1, session_produce("t", 0, -1, session_batch(1)));
    session_send(PRODUCE, 9, 2, session_produce("t", 1, -1, session_batch(1)));
    session_send(API_VERSIONS, 0, 3, hello());
    assert_int_equal(session->client.conn.out.len, 0); /* the third is ready, and waits for the others */
    fake_run(&session->core);
    assert_non_null(session_receive(PRODUCE, 9, 1));
    assert_non_null(session_receive(PRODUCE, 9, 2));
    assert_non_null(session_receive(API_VERSIONS, 0, 3));
}

static void a_bad_request_does_not_cost_the_answers_before_it(void **state)
{
    uint8_t bad[] = {0, 0, 0, 10, 0x7f, 0xff, 0, 0, 0, 0, 0, 7, 0xff, 0xff};
    fake_topic(&session->core, "t", 1);
    session_send(PRODUCE, 9, 1, session_produce("t", 0, -1, session_batch(1)));
    send_hex(bad, sizeof(bad));
    session_send(API_VERSIONS, 0, 3, hello());
    assert_false(session->client.conn.closing);
    fake_run(&session->core);
    assert_true(session->client.conn.closing);
    assert_non_null(session_receive(PRODUCE, 9, 1));
    assert_int_equal(session->client.conn.out.len, 0);
}

static void requests_beyond_the_credit_wait_unread(void **state)
{
    fake_topic(&session->core, "t", 1);
    session->client.conn.ops_left = session->client.conn.ops_max = 2;
    for (int i = 1; i <= 5; i++)
        session_send(PRODUCE, 9, i, session_produce("t", 0, -1, session_batch(1)));
    assert_int_equal(session->core.op_count, 2);
    for (int i = 0; i < 3; i++)
        fake_advance_ms(&session->core, &session->client, 1);
    for (int i = 1; i <= 5; i++)
        assert_non_null(session_receive(PRODUCE, 9, i));
}

static void a_request_outlives_its_connection(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    session_send(PRODUCE, 9, 1, session_produce("t", 0, -1, session_batch(2)));
    fake_client_close(&session->client);
    assert_int_equal(session->core.op_count, 1);
    fake_run(&session->core);
    assert_int_equal(fake_log_of(&session->core, t, 0)->next, 2);
}

static void a_silent_connection_is_closed_after_the_handshake_timeout(void **state)
{
    fake_advance_ms(&session->core, &session->client, session->core.config.kafka_handshake_timeout_ms - 1);
    assert_false(session->client.conn.closing);
    fake_advance_ms(&session->core, &session->client, 1);
    assert_true(session->client.conn.closing);
}

static void an_idle_connection_is_closed_after_the_idle_timeout(void **state)
{
    session_ask(API_VERSIONS, 0, hello());
    fake_advance_ms(&session->core, &session->client, session->core.config.kafka_handshake_timeout_ms);
    assert_false(session->client.conn.closing);
    fake_advance_ms(&session->core, &session->client, session->core.config.kafka_idle_timeout_ms);
    assert_true(session->client.conn.closing);
}

static void a_request_that_stops_half_way_closes_the_connection(void **state)
{
    session_ask(API_VERSIONS, 0, hello());
    struct span frame = session_frame(API_VERSIONS, 3, 2, hello());
    fake_client_send(&session->client, span_of(frame.ptr, frame.len - 1));
    fake_advance_ms(&session->core, &session->client, 59000);
    assert_false(session->client.conn.closing);
    fake_advance_ms(&session->core, &session->client, 3000);
    assert_true(session->client.conn.closing);
}

/* What all answers look like as bytes, if the input is cut at `cut`. */
static struct span outcome(struct span input, size_t cut)
{
    session_teardown(NULL);
    session_setup(NULL);
    fake_topic(&session->core, "t", 3);
    fake_client_send(&session->client, span_of(input.ptr, cut));
    fake_client_send(&session->client, span_of(input.ptr + cut, input.len - cut));
    fake_run(&session->core);
    return fake_client_output(&session->client, session->out, sizeof(session->out));
}

static void splitting_the_input_anywhere_changes_nothing(void **state)
{
    uint8_t bytes[2048], whole[4096];
    struct span input = {bytes, 0};
    struct span parts[] = {session_frame(API_VERSIONS, 3, 1, hello()),
                           session_frame(PRODUCE, 7, 2, session_produce("t", 0, 1, session_batch(3))),
                           session_frame(PRODUCE, 11, 3, session_produce("t", 2, -1, session_batch(1))),
                           session_frame(FETCH, 11, 4, session_fetch("t", 5, 0))};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        memcpy(bytes + input.len, parts[i].ptr, parts[i].len);
        input.len += parts[i].len;
    }
    struct span expected = outcome(input, input.len);
    assert_true(expected.len > 100 && expected.len < sizeof(whole));
    memcpy(whole, expected.ptr, expected.len);
    for (size_t cut = 0; cut < input.len; cut++) {
        struct span got = outcome(input, cut);
        assert_int_equal(got.len, expected.len);
        assert_memory_equal(got.ptr, whole, got.len);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, session_setup, session_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(api_versions_names_every_api_in_every_version),
        TEST(the_versions_that_clients_ask_for_are_advertised),
        TEST(answers_to_api_versions_have_no_tags_in_their_header),
        TEST(api_versions_of_a_newer_client_is_answered_in_version_0),
        TEST(a_client_name_that_is_not_a_name_is_refused),
        TEST(an_unknown_api_closes_the_connection),
        TEST(an_unsupported_version_closes_the_connection),
        TEST(a_length_below_the_header_closes_the_connection),
        TEST(a_negative_length_closes_the_connection),
        TEST(a_length_over_the_limit_closes_the_connection_at_once),
        TEST(a_malformed_body_closes_the_connection),
        TEST(more_partitions_than_the_limit_close_the_connection),
        TEST(answers_come_in_the_order_of_the_requests),
        TEST(a_bad_request_does_not_cost_the_answers_before_it),
        TEST(requests_beyond_the_credit_wait_unread),
        TEST(a_request_outlives_its_connection),
        TEST(a_silent_connection_is_closed_after_the_handshake_timeout),
        TEST(an_idle_connection_is_closed_after_the_idle_timeout),
        TEST(a_request_that_stops_half_way_closes_the_connection),
        TEST(splitting_the_input_anywhere_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
