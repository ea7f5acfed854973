/* Produce and Fetch, and the questions about offsets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "proto/kafka/errors.h"
#include "proto/kafka/test_session.h"
#include "store/batch.h"

enum { PRODUCE, FETCH, LIST_OFFSETS, DELETE_RECORDS = 21, INIT_PRODUCER_ID, OFFSET_FOR_LEADER_EPOCH };

/* ---- Produce ------------------------------------------------------------------------------------------ */

static struct kafka_produce_response_partition *produce(int version, struct kafka_produce_request *m)
{
    struct kafka_produce_response *a = session_ask(PRODUCE, version, m);
    assert_int_equal(a->responses_count, 1);
    return &a->responses[0].partition_responses[0];
}

static void every_version_of_produce_stores_a_batch(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    for (int version = 3; version <= 11; version++) {
        struct kafka_produce_response_partition *p =
            produce(version, session_produce("t", 0, -1, session_batch(2)));
        assert_int_equal(p->error_code, 0);
        assert_int_equal(p->base_offset, 2 * (version - 3));
        assert_int_equal(p->log_append_time_ms, -1);
    }
    assert_int_equal(fake_log_of(&session->core, t, 0)->next, 18);
}

static void an_unknown_partition_is_told(void **state)
{
    fake_topic(&session->core, "t", 1);
    struct kafka_produce_response_partition *p = produce(9, session_produce("t", 1, -1, session_batch(1)));
    assert_int_equal(p->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(p->base_offset, -1);
    p = produce(9, session_produce("none", 0, -1, session_batch(1)));
    assert_int_equal(p->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void a_damaged_batch_is_told(void **state)
{
    fake_topic(&session->core, "t", 1);
    struct span batch = session_batch(1);
    ((uint8_t *)batch.ptr)[batch.len - 2] ^= 1;
    assert_int_equal(produce(9, session_produce("t", 0, -1, batch))->error_code, KAFKA_CORRUPT_MESSAGE);
}

static void no_records_at_all_are_told(void **state)
{
    fake_topic(&session->core, "t", 1);
    assert_int_equal(produce(9, session_produce("t", 0, -1, wire_empty))->error_code, KAFKA_INVALID_RECORD);
}

static void transactions_are_refused(void **state)
{
    fake_topic(&session->core, "t", 1);
    struct kafka_produce_request *m = session_produce("t", 0, -1, session_batch(1));
    m->transactional_id = span_str("tx");
    assert_int_equal(produce(9, m)->error_code, KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    struct span batch = session_batch(1);
    uint8_t *b = (uint8_t *)batch.ptr;
    batch_set_attributes(b, BATCH_TRANSACTIONAL);
    batch_set_producer_id(b, 1);
    batch_set_producer_epoch(b, 0);
    batch_set_base_sequence(b, 0);
    batch_seal(b, batch.len);
    assert_int_equal(produce(9, session_produce("t", 0, -1, batch))->error_code,
                     KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    assert_int_equal(session->core.submitted, 0);
}

static void other_acks_are_refused(void **state)
{
    fake_topic(&session->core, "t", 1);
    assert_int_equal(produce(9, session_produce("t", 0, 2, session_batch(1)))->error_code,
                     KAFKA_INVALID_REQUIRED_ACKS);
}

static void acks_0_gets_no_answer(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    session_send(PRODUCE, 9, 1, session_produce("t", 0, 0, session_batch(1)));
    fake_run(&session->core);
    assert_int_equal(session->client.conn.out.len, 0);
    assert_false(session->client.conn.closing);
    assert_int_equal(fake_log_of(&session->core, t, 0)->next, 1);
    assert_int_equal(produce(9, session_produce("t", 0, -1, session_batch(1)))->base_offset, 1);
}

static void an_error_with_acks_0_closes_the_connection(void **state)
{
    session_send(PRODUCE, 9, 1, session_produce("none", 0, 0, session_batch(1)));
    fake_run(&session->core);
    assert_int_equal(session->client.conn.out.len, 0);
    assert_true(session->client.conn.closing);
}

static void a_full_disk_is_told_as_a_retriable_error(void **state)
{
    fake_topic(&session->core, "t", 1);
    session->core.append_err = ERR_NO_SPACE;
    assert_int_equal(produce(9, session_produce("t", 0, 1, session_batch(1)))->error_code,
                     KAFKA_KAFKA_STORAGE_ERROR);
}

/* Jepsen's analysis of Bufstream: offset 0 came back for what was not stored there. */
static void an_error_never_carries_an_offset(void **state)
{
    static const struct {
        int err, code;
    } errors[] = {{ERR_NO_SPACE, KAFKA_KAFKA_STORAGE_ERROR},
                  {ERR_OUT_OF_ORDER, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER},
                  {ERR_DUPLICATE_SEQUENCE, KAFKA_DUPLICATE_SEQUENCE_NUMBER},
                  {ERR_PRODUCER_EPOCH, KAFKA_INVALID_PRODUCER_EPOCH},
                  {ERR_NOT_FOUND, KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
                  {ERR_IO, KAFKA_KAFKA_STORAGE_ERROR}};
    fake_topic(&session->core, "t", 1);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        session->core.append_err = errors[i].err;
        for (int version = 3; version <= 11; version++) {
            struct kafka_produce_response_partition *p =
                produce(version, session_produce("t", 0, -1, session_batch(1)));
            assert_int_equal(p->error_code, errors[i].code);
            assert_int_equal(p->base_offset, -1);
        }
    }
}

/* Only Metadata creates topics: a producer that was told of a deletion late must not bring the topic back. */
static void neither_produce_nor_fetch_creates_a_topic(void **state)
{
    assert_true(session->core.config.kafka_auto_create_topics);
    for (int version = 3; version <= 11; version++) {
        struct kafka_produce_response_partition *p =
            produce(version, session_produce("none", 0, -1, session_batch(1)));
        assert_int_equal(p->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
    for (int version = 4; version <= 12; version++) {
        struct kafka_fetch_response *a = session_ask(FETCH, version, session_fetch("none", 0, 0));
        assert_int_equal(a->responses[0].partitions[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
    assert_null(session->core.topics[0]);
}

static void one_partition_twice_in_a_request_is_appended_twice(void **state)
{
    fake_topic(&session->core, "t", 1);
    struct kafka_produce_request *m = session_produce("t", 0, -1, session_batch(1));
    struct kafka_produce_request_partition twice[2] = {m->topic_data[0].partition_data[0],
                                                       m->topic_data[0].partition_data[0]};
    m->topic_data[0].partition_data = twice;
    m->topic_data[0].partition_data_count = 2;
    struct kafka_produce_response_partition *p = produce(9, m);
    assert_int_equal(p[0].base_offset, 0);
    assert_int_equal(p[1].base_offset, 1);
}

/* ---- Fetch -------------------------------------------------------------------------------------------- */

static struct kafka_fetch_response_partition *fetch(int version, struct kafka_fetch_request *m)
{
    struct kafka_fetch_response *a = session_ask(FETCH, version, m);
    assert_int_equal(a->error_code, 0);
    assert_int_equal(a->session_id, 0);
    return &a->responses[0].partitions[0];
}

static void every_version_of_fetch_gets_what_was_stored(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    struct span batch = session_batch(2);
    produce(9, session_produce("t", 0, -1, batch));
    for (int version = 4; version <= 17; version++) {
        struct kafka_fetch_request *m = session_fetch("t", 0, 1);
        memcpy(m->topics[0].topic_id.bytes, t->id.bytes, sizeof(t->id.bytes));
        struct kafka_fetch_response_partition *p = fetch(version, m);
        assert_int_equal(p->error_code, 0);
        assert_int_equal(p->high_watermark, 2);
        assert_int_equal(p->last_stable_offset, 2);
        assert_int_equal(p->records.len, batch.len);
        assert_memory_equal(p->records.slices[0].ptr, batch.ptr, batch.len);
    }
}

static void an_empty_answer_has_no_records_but_not_null(void **state)
{
    fake_topic(&session->core, "t", 1);
    struct kafka_fetch_request *m = session_fetch("t", 0, 0);
    m->max_wait_ms = 0;
    session_send(FETCH, 4, 1, m);
    fake_run(&session->core);
    struct span out = fake_client_output(&session->client, session->out, sizeof(session->out));
    assert_memory_equal(out.ptr + out.len - 4, "\0\0\0\0", 4);
    struct kafka_fetch_response *a = session_receive(FETCH, 4, 1);
    assert_int_equal(a->responses[0].partitions[0].aborted_transactions_count, -1);
}

/* KoP#1415: it was -1 where there was nothing to read. */
static void the_high_watermark_is_told_whenever_there_is_no_error(void **state)
{
    fake_topic(&session->core, "t", 1);
    for (int64_t next = 0; next <= 1; next++) {
        for (int version = 4; version <= 12; version++) {
            struct kafka_fetch_request *m = session_fetch("t", 0, next);
            m->max_wait_ms = 0;
            struct kafka_fetch_response_partition *p = fetch(version, m);
            assert_int_equal(p->error_code, 0);
            assert_int_equal(p->high_watermark, next);
            assert_int_equal(p->last_stable_offset, next);
            assert_int_equal(p->log_start_offset, version >= 5 ? 0 : -1);
        }
        produce(9, session_produce("t", 0, -1, session_batch(1)));
    }
}

/* KIP-320. What is older, and what the epochs are: core/continuity_test.c. */
static void another_leader_epoch_is_told(void **state)
{
    fake_topic(&session->core, "t", 1);
    for (int version = 9; version <= 12; version++) {
        struct kafka_fetch_request *m = session_fetch("t", 0, 0);
        m->max_wait_ms = 0;
        m->topics[0].partitions[0].current_leader_epoch = -1;
        assert_int_equal(fetch(version, m)->error_code, 0);
        m->topics[0].partitions[0].current_leader_epoch = 1;
        assert_int_equal(fetch(version, m)->error_code, KAFKA_UNKNOWN_LEADER_EPOCH);
        assert_int_equal(fetch(version, m)->high_watermark, -1);
    }
    assert_int_equal(err_kafka(ERR_FENCED_EPOCH), KAFKA_FENCED_LEADER_EPOCH);
}

static void read_committed_gets_an_empty_list_of_aborted_transactions(void **state)
{
    fake_topic(&session->core, "t", 1);
    struct kafka_fetch_request *m = session_fetch("t", 0, 0);
    m->isolation_level = 1;
    m->max_wait_ms = 0;
    assert_int_equal(fetch(11, m)->aborted_transactions_count, 0);
}

static void an_unknown_topic_id_is_told(void **state)
{
    struct kafka_fetch_request *m = session_fetch("t", 0, 0);
    memset(m->topics[0].topic_id.bytes, 9, 16);
    assert_int_equal(fetch(13, m)->error_code, KAFKA_UNKNOWN_TOPIC_ID);
}

static void offsets_outside_the_log_are_told(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    assert_int_equal(fetch(11, session_fetch("t", 0, 1))->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    assert_int_equal(fetch(11, session_fetch("t", 0, -1))->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    produce(9, session_produce("t", 0, -1, session_batch(2)));
    fake_log_of(&session->core, t, 0)->start = 1;
    assert_int_equal(fetch(11, session_fetch("t", 0, 0))->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    assert_int_equal(fetch(11, session_fetch("t", 0, 1))->error_code, 0);
}

static void topics_of_zstd_are_refused_to_clients_that_cannot_read_it(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    produce(9, session_produce("t", 0, -1, session_batch(1)));
    assert_int_equal(fetch(9, session_fetch("t", 0, 0))->error_code, 0);
    t->config.codec = CODEC_ZSTD;
    assert_int_equal(fetch(9, session_fetch("t", 0, 0))->error_code, KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
    assert_int_equal(fetch(10, session_fetch("t", 0, 0))->error_code, 0);
}

/* nisshi#668 (then tansu): a Fetch was never answered, neither by an append nor when its time was up. */
static void a_fetch_waits_until_something_is_appended(void **state)
{
    fake_topic(&session->core, "t", 1);
    struct fake_client other;
    session_send(FETCH, 11, 1, session_fetch("t", 0, 0));
    fake_run(&session->core);
    assert_int_equal(session->client.conn.out.len, 0);
    fake_client_open(&other, &session->core);
    fake_client_send(&other, session_frame(PRODUCE, 9, 1, session_produce("t", 0, -1, session_batch(1))));
    fake_run(&session->core);
    struct kafka_fetch_response *a = session_receive(FETCH, 11, 1);
    assert_non_null(a);
    assert_int_equal(a->responses[0].partitions[0].high_watermark, 1);
    fake_client_close(&other);
}

static void a_fetch_stops_waiting_when_time_is_up(void **state)
{
    fake_topic(&session->core, "t", 1);
    session_send(FETCH, 11, 1, session_fetch("t", 0, 0));
    fake_advance_ms(&session->core, &session->client, 499);
    assert_int_equal(session->client.conn.out.len, 0);
    fake_advance_ms(&session->core, &session->client, 1);
    assert_non_null(session_receive(FETCH, 11, 1));
}

static void a_waiting_fetch_is_called_back_when_its_connection_dies(void **state)
{
    fake_topic(&session->core, "t", 1);
    session_send(FETCH, 11, 1, session_fetch("t", 0, 0));
    fake_run(&session->core);
    assert_int_equal(session->core.op_count, 1);
    fake_client_close(&session->client);
    fake_run(&session->core);
    assert_int_equal(session->core.op_count, 0);
}

/* Partitions 0, 1 and 2 of "t", on three shards. */
static struct kafka_fetch_request *fetch_three(uint32_t min_bytes)
{
    struct kafka_fetch_request *m = session_fetch("t", 0, 0);
    struct kafka_fetch_request_partition *p = arena_array(&session->arena, 3, sizeof(*p));
    for (int i = 0; i < 3; i++) {
        p[i] = m->topics[0].partitions[0];
        p[i].partition = i;
    }
    m->topics[0].partitions = p;
    m->topics[0].partitions_count = 3;
    m->min_bytes = (int32_t)min_bytes;
    return m;
}

static void append(struct topic *t, uint32_t partition)
{
    struct fake_client other;
    fake_client_open(&other, &session->core);
    fake_client_send(
        &other,
        session_frame(PRODUCE, 9, 1, session_produce(t->name, (int32_t)partition, -1, session_batch(1))));
    fake_run(&session->core);
    fake_client_close(&other);
}

static void min_bytes_are_counted_over_all_shards(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 3);
    uint32_t one = (uint32_t)session_batch(1).len;
    session_send(FETCH, 11, 1, fetch_three(4 * one));
    for (uint32_t i = 0; i < 3; i++) {
        append(t, i % 2); /* shards 0 and 1; the third has nothing */
        assert_int_equal(session->client.conn.out.len, 0);
    }
    append(t, 1);
    struct kafka_fetch_response *a = session_receive(FETCH, 11, 1);
    assert_non_null(a);
    assert_int_equal(a->responses[0].partitions[0].records.len, 2 * one);
    assert_int_equal(a->responses[0].partitions[1].records.len, 2 * one);
    assert_int_equal(a->responses[0].partitions[2].records.len, 0);
    assert_int_equal(a->responses[0].partitions[2].high_watermark, 0);
}

static void max_bytes_hold_over_all_shards(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 3);
    uint32_t one = (uint32_t)session_batch(1).len;
    for (uint32_t i = 0; i < 3; i++)
        append(t, i);
    struct kafka_fetch_request *m = fetch_three(1);
    m->max_bytes = (int32_t)(2 * one);
    struct kafka_fetch_response *a = session_ask(FETCH, 11, m);
    assert_int_equal(a->responses[0].partitions[0].records.len, one);
    assert_int_equal(a->responses[0].partitions[1].records.len, one);
    assert_int_equal(a->responses[0].partitions[2].records.len, 0);
    m->max_bytes = 1; /* KIP-74: the first batch is sent all the same */
    a = session_ask(FETCH, 11, m);
    assert_int_equal(a->responses[0].partitions[0].records.len, one);
    assert_int_equal(a->responses[0].partitions[1].records.len, 0);
}

static void a_death_between_rounds_leaks_nothing(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 3);
    session_send(FETCH, 11, 1, fetch_three(1000));
    append(t, 0);
    fake_client_close(&session->client);
    fake_run(&session->core);
    assert_int_equal(session->core.op_count, 0);
}

/* ---- the others --------------------------------------------------------------------------------------- */

static struct kafka_list_offsets_response_partition *list_offsets(int version, int64_t timestamp)
{
    struct kafka_list_offsets_request_partition p;
    struct kafka_list_offsets_request_topic t = {span_str("t"), &p, 1};
    struct kafka_list_offsets_request m = {-1, 0, &t, 1};
    kafka_list_offsets_request_partition_init(&p);
    p.timestamp = timestamp;
    struct kafka_list_offsets_response *a = session_ask(LIST_OFFSETS, version, &m);
    return &a->topics[0].partitions[0];
}

static void list_offsets_answers_earliest_and_latest_in_every_version(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    append(t, 0);
    append(t, 0);
    for (int version = 1; version <= 9; version++) {
        assert_int_equal(list_offsets(version, -1)->offset, 2);
        assert_int_equal(list_offsets(version, -2)->offset, 0);
    }
}

static void list_offsets_compares_the_leader_epoch(void **state)
{
    struct kafka_list_offsets_request_partition p;
    struct kafka_list_offsets_request_topic t = {span_str("t"), &p, 1};
    struct kafka_list_offsets_request m = {-1, 0, &t, 1};
    fake_topic(&session->core, "t", 1);
    kafka_list_offsets_request_partition_init(&p);
    p.timestamp = -1;
    p.current_leader_epoch = 1;
    for (int version = 4; version <= 9; version++) {
        struct kafka_list_offsets_response *a = session_ask(LIST_OFFSETS, version, &m);
        assert_int_equal(a->topics[0].partitions[0].error_code, KAFKA_UNKNOWN_LEADER_EPOCH);
        assert_int_equal(a->topics[0].partitions[0].offset, -1);
    }
}

static void list_offsets_questions_have_their_versions(void **state)
{
    fake_topic(&session->core, "t", 1);
    assert_int_equal(list_offsets(6, -3)->error_code, KAFKA_UNSUPPORTED_VERSION);
    assert_int_equal(list_offsets(7, -3)->error_code, 0);
    assert_int_equal(list_offsets(7, -4)->error_code, KAFKA_UNSUPPORTED_VERSION);
    assert_int_equal(list_offsets(8, -4)->error_code, 0);
    assert_int_equal(list_offsets(8, -5)->error_code, KAFKA_UNSUPPORTED_VERSION);
    assert_int_equal(list_offsets(9, -5)->error_code, 0);
    assert_int_equal(list_offsets(9, -6)->error_code, KAFKA_UNSUPPORTED_VERSION);
    assert_int_equal(list_offsets(9, -6)->offset, -1);
}

static void offset_for_leader_epoch_answers_where_it_ends(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    append(t, 0);
    struct kafka_offset_for_leader_epoch_request_partition p = {0, -1, 0};
    struct kafka_offset_for_leader_epoch_request_topic topic = {span_str("t"), &p, 1};
    struct kafka_offset_for_leader_epoch_request m = {-2, &topic, 1};
    for (int version = 2; version <= 4; version++) {
        struct kafka_offset_for_leader_epoch_response *a = session_ask(OFFSET_FOR_LEADER_EPOCH, version, &m);
        assert_int_equal(a->topics[0].partitions[0].end_offset, 1);
        assert_int_equal(a->topics[0].partitions[0].leader_epoch, 0);
    }
    p.current_leader_epoch = 5;
    struct kafka_offset_for_leader_epoch_response *a = session_ask(OFFSET_FOR_LEADER_EPOCH, 4, &m);
    assert_int_equal(a->topics[0].partitions[0].error_code, KAFKA_UNKNOWN_LEADER_EPOCH);
}

static struct kafka_delete_records_response_partition *delete_records(int64_t offset)
{
    struct kafka_delete_records_request_partition p = {0, offset};
    struct kafka_delete_records_request_topic topic = {span_str("t"), &p, 1};
    struct kafka_delete_records_request m = {&topic, 1, 1000};
    struct kafka_delete_records_response *a = session_ask(DELETE_RECORDS, 2, &m);
    return &a->topics[0].partitions[0];
}

static void delete_records_moves_the_start(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    append(t, 0);
    append(t, 0);
    assert_int_equal(delete_records(1)->low_watermark, 1);
    assert_int_equal(delete_records(-1)->low_watermark, 2);
    assert_int_equal(delete_records(3)->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    assert_int_equal(delete_records(-2)->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    t->config.compact = true;
    t->config.delete_old = false;
    assert_int_equal(delete_records(-1)->error_code, KAFKA_POLICY_VIOLATION);
}

static void init_producer_id_gives_a_new_id_each_time(void **state)
{
    struct kafka_init_producer_id_request m = {SPAN_NULL, 60000, -1, -1};
    for (int version = 0; version <= 5; version++) {
        struct kafka_init_producer_id_response *a = session_ask(INIT_PRODUCER_ID, version, &m);
        assert_int_equal(a->error_code, 0);
        assert_int_equal(a->producer_id, 1000 + version);
        assert_int_equal(a->producer_epoch, 0);
    }
}

/* KIP-360 bumps the epochs of transactions only: what is asked without one is a new id. */
static void init_producer_id_without_a_transaction_does_not_go_on_with_an_old_id(void **state)
{
    struct kafka_init_producer_id_request m = {SPAN_NULL, 60000, 5, 3};
    for (int version = 3; version <= 5; version++) {
        struct kafka_init_producer_id_response *a = session_ask(INIT_PRODUCER_ID, version, &m);
        assert_int_equal(a->error_code, 0);
        assert_true(a->producer_id >= 1000);
        assert_int_equal(a->producer_epoch, 0);
    }
}

static void init_producer_id_refuses_what_it_cannot_do(void **state)
{
    struct kafka_init_producer_id_request half = {SPAN_NULL, 60000, 5, -1};
    struct kafka_init_producer_id_request tx = {span_str("tx"), 60000, -1, -1};
    struct kafka_init_producer_id_response *a = session_ask(INIT_PRODUCER_ID, 4, &half);
    assert_int_equal(a->error_code, KAFKA_INVALID_REQUEST);
    a = session_ask(INIT_PRODUCER_ID, 4, &tx);
    assert_int_equal(a->error_code, KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    assert_int_equal(a->producer_id, -1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, session_setup, session_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_version_of_produce_stores_a_batch),
        TEST(an_unknown_partition_is_told),
        TEST(a_damaged_batch_is_told),
        TEST(no_records_at_all_are_told),
        TEST(transactions_are_refused),
        TEST(other_acks_are_refused),
        TEST(acks_0_gets_no_answer),
        TEST(an_error_with_acks_0_closes_the_connection),
        TEST(a_full_disk_is_told_as_a_retriable_error),
        TEST(an_error_never_carries_an_offset),
        TEST(neither_produce_nor_fetch_creates_a_topic),
        TEST(one_partition_twice_in_a_request_is_appended_twice),
        TEST(every_version_of_fetch_gets_what_was_stored),
        TEST(an_empty_answer_has_no_records_but_not_null),
        TEST(the_high_watermark_is_told_whenever_there_is_no_error),
        TEST(another_leader_epoch_is_told),
        TEST(read_committed_gets_an_empty_list_of_aborted_transactions),
        TEST(an_unknown_topic_id_is_told),
        TEST(offsets_outside_the_log_are_told),
        TEST(topics_of_zstd_are_refused_to_clients_that_cannot_read_it),
        TEST(a_fetch_waits_until_something_is_appended),
        TEST(a_fetch_stops_waiting_when_time_is_up),
        TEST(a_waiting_fetch_is_called_back_when_its_connection_dies),
        TEST(min_bytes_are_counted_over_all_shards),
        TEST(max_bytes_hold_over_all_shards),
        TEST(a_death_between_rounds_leaks_nothing),
        TEST(list_offsets_answers_earliest_and_latest_in_every_version),
        TEST(list_offsets_compares_the_leader_epoch),
        TEST(list_offsets_questions_have_their_versions),
        TEST(offset_for_leader_epoch_answers_where_it_ends),
        TEST(delete_records_moves_the_start),
        TEST(init_producer_id_gives_a_new_id_each_time),
        TEST(init_producer_id_without_a_transaction_does_not_go_on_with_an_old_id),
        TEST(init_producer_id_refuses_what_it_cannot_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
