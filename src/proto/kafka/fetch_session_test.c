/* Fetch sessions (KIP-227): what a request and its session mean together, what is news, who keeps a place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/kafka/errors.h"
#include "proto/kafka/fetch_session.h"
#include "proto/kafka/test_session.h"

enum { PRODUCE, FETCH, VERSION = 12, BY_ID = 13 };

/* ---- requests ----------------------------------------------------------------------------------------- */

/* Partitions [first, first + count) of a topic, from the offset 0, without waiting. */
static struct kafka_fetch_request *ask_for(const char *topic, int32_t first, int32_t count)
{
    struct kafka_fetch_request *m = session_fetch(topic, first, 0);
    struct kafka_fetch_request_partition *p = arena_array(&session->arena, (size_t)count, sizeof(*p));
    for (int32_t i = 0; i < count; i++) {
        p[i] = m->topics[0].partitions[0];
        p[i].partition = first + i;
    }
    m->topics[0].partitions = p;
    m->topics[0].partitions_count = count;
    m->max_wait_ms = 0;
    m->session_epoch = 0;
    return m;
}

static struct kafka_fetch_request *go_on(int32_t id, int32_t epoch)
{
    struct kafka_fetch_request *m = ask_for("", 0, 0);
    m->topics_count = 0;
    m->session_id = id;
    m->session_epoch = epoch;
    return m;
}

static struct kafka_fetch_request *go_on_with(int32_t id, int32_t epoch, const char *topic, int32_t partition,
                                              int64_t offset)
{
    struct kafka_fetch_request *m = ask_for(topic, partition, 1);
    m->topics[0].partitions[0].fetch_offset = offset;
    m->session_id = id;
    m->session_epoch = epoch;
    return m;
}

static void forget(struct kafka_fetch_request *m, const char *topic, int32_t partition)
{
    struct kafka_fetch_request_forgotten_topic *f = arena_alloc(&session->arena, sizeof(*f));
    int32_t *index = arena_alloc(&session->arena, sizeof(*index));
    *index = partition;
    *f = (struct kafka_fetch_request_forgotten_topic){
        .topic = span_str(topic), .partitions = index, .partitions_count = 1};
    m->forgotten_topics_data = f;
    m->forgotten_topics_data_count = 1;
}

static struct kafka_fetch_response *fetch(struct kafka_fetch_request *m)
{
    return session_ask(FETCH, VERSION, m);
}

static int32_t begin(struct kafka_fetch_request *m)
{
    struct kafka_fetch_response *a = fetch(m);
    assert_int_equal(a->error_code, 0);
    assert_true(a->session_id > 0);
    return a->session_id;
}

static void append(const char *topic, int32_t partition)
{
    struct fake_client other;
    fake_client_open(&other, &session->core);
    fake_client_send(&other,
                     session_frame(PRODUCE, 9, 1, session_produce(topic, partition, -1, session_batch(1))));
    fake_run(&session->core);
    fake_client_close(&other);
}

static uint64_t metric(enum metric id)
{
    return metrics_sum(session->core.broker.metrics, id, 0);
}

/* The partitions of an answer in their order, as "0 2 1", of one topic or several. */
static const char *told(const struct kafka_fetch_response *a)
{
    char *text = arena_alloc(&session->arena, 256);
    for (int32_t t = 0; t < a->responses_count; t++)
        for (int32_t i = 0; i < a->responses[t].partitions_count; i++)
            snprintf(text + strlen(text), 256 - strlen(text), "%s%d", *text ? " " : "",
                     a->responses[t].partitions[i].partition_index);
    return text;
}

static void refused(struct kafka_fetch_request *m, int version, int code)
{
    struct kafka_fetch_response *a = session_ask(FETCH, version, m);
    assert_int_equal(a->error_code, code);
    assert_int_equal(a->session_id, 0);
    assert_int_equal(a->responses_count, 0);
}

/* ---- beginning and ending ----------------------------------------------------------------------------- */

static void a_request_without_a_session_gets_none(void **state)
{
    fake_topic(&session->core, "t", 1);
    struct kafka_fetch_request *m = ask_for("t", 0, 1);
    m->session_epoch = -1;
    assert_int_equal(fetch(m)->session_id, 0);
    assert_int_equal(metric(METRIC_KAFKA_FETCH_SESSIONS), 0);
}

static void a_full_request_begins_a_session_and_is_told_everything(void **state)
{
    fake_topic(&session->core, "t", 3);
    struct kafka_fetch_response *a = fetch(ask_for("t", 0, 3));
    assert_true(a->session_id > 0);
    assert_string_equal(told(a), "0 1 2");
    assert_int_equal(metric(METRIC_KAFKA_FETCH_SESSIONS), 1);
    assert_int_equal(metric(METRIC_KAFKA_FETCH_SESSION_PARTITIONS), 3);
}

static void the_last_epoch_ends_a_session_with_a_full_answer(void **state)
{
    fake_topic(&session->core, "t", 2);
    struct kafka_fetch_request *m = ask_for("t", 0, 2);
    int32_t id = begin(m);
    m->session_id = id;
    m->session_epoch = -1;
    struct kafka_fetch_response *a = fetch(m);
    assert_int_equal(a->session_id, 0);
    assert_string_equal(told(a), "0 1");
    assert_int_equal(metric(METRIC_KAFKA_FETCH_SESSIONS), 0);
    refused(go_on(id, 1), VERSION, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
}

static void a_full_request_that_names_a_session_replaces_it(void **state)
{
    fake_topic(&session->core, "t", 1);
    struct kafka_fetch_request *m = ask_for("t", 0, 1);
    int32_t id = begin(m);
    m->session_id = id;
    int32_t next = begin(m);
    assert_int_not_equal(next, id);
    assert_int_equal(metric(METRIC_KAFKA_FETCH_SESSIONS), 1);
    refused(go_on(id, 1), VERSION, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(fetch(go_on(next, 1))->error_code, 0);
}

static void unknown_sessions_are_not_found(void **state)
{
    static const int32_t ids[] = {77, 0, -1, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        refused(go_on(ids[i], 1), VERSION, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
}

static void a_wrong_epoch_is_refused_and_changes_nothing(void **state)
{
    fake_topic(&session->core, "t", 1);
    int32_t id = begin(ask_for("t", 0, 1));
    refused(go_on(id, 2), VERSION, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(fetch(go_on(id, 1))->error_code, 0);
    refused(go_on(id, 1), VERSION, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    refused(go_on(id, -2), VERSION, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(fetch(go_on(id, 2))->error_code, 0);
}

static void epochs_wrap_to_1(void **state)
{
    assert_int_equal(fetch_next_epoch(0), 1);
    assert_int_equal(fetch_next_epoch(INT32_MAX), 1);
    assert_int_equal(fetch_next_epoch(-1), -1);
    fake_topic(&session->core, "t", 1);
    int32_t id = begin(ask_for("t", 0, 1));
    fetch_session_find(fetch_sessions_of(&session->core.shards[0]), id)->epoch = INT32_MAX;
    assert_int_equal(fetch(go_on(id, INT32_MAX))->error_code, 0);
    assert_int_equal(fetch(go_on(id, 1))->error_code, 0);
}

static void a_session_goes_on_over_another_connection(void **state)
{
    fake_topic(&session->core, "t", 1);
    int32_t id = begin(ask_for("t", 0, 1));
    fake_client_close(&session->client);
    fake_client_open(&session->client, &session->core);
    assert_int_equal(fetch(go_on(id, 1))->session_id, id);
}

/* ---- what an incremental request asks ----------------------------------------------------------------- */

static void what_is_not_news_is_left_out(void **state)
{
    fake_topic(&session->core, "t", 3);
    int32_t id = begin(ask_for("t", 0, 3));
    struct kafka_fetch_response *a = fetch(go_on(id, 1));
    assert_int_equal(a->responses_count, 0);
    assert_int_equal(a->session_id, id);
    append("t", 1);
    a = fetch(go_on(id, 2));
    assert_string_equal(told(a), "1");
    assert_true(a->responses[0].partitions[0].records.len > 0);
    assert_int_equal(a->responses[0].partitions[0].high_watermark, 1);
}

static void records_are_news_until_the_client_goes_past_them(void **state)
{
    fake_topic(&session->core, "t", 2);
    append("t", 1);
    int32_t id = begin(ask_for("t", 0, 2));
    assert_string_equal(told(fetch(go_on(id, 1))), "1");
    assert_string_equal(told(fetch(go_on_with(id, 2, "t", 1, 1))), "");
    assert_string_equal(told(fetch(go_on(id, 3))), "");
}

static void a_moved_high_watermark_is_news_once(void **state)
{
    fake_topic(&session->core, "t", 2);
    append("t", 0);
    append("t", 1);
    struct kafka_fetch_request *m = ask_for("t", 0, 2);
    m->topics[0].partitions[1].fetch_offset = 1;
    m->max_bytes = 1; /* the first batch fills the answer, and the other's records do not fit */
    int32_t id = begin(m);
    append("t", 1);
    m = go_on(id, 1);
    m->max_bytes = 1;
    struct kafka_fetch_response *a = fetch(m);
    assert_string_equal(told(a), "0 1");
    assert_int_equal(a->responses[0].partitions[1].records.len, 0);
    assert_int_equal(a->responses[0].partitions[1].high_watermark, 2);
}

static void a_moved_start_is_news_once(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    append("t", 0);
    struct kafka_fetch_request *m = ask_for("t", 0, 1);
    m->topics[0].partitions[0].fetch_offset = 1;
    int32_t id = begin(m);
    fake_log_of(&session->core, t, 0)->start = 1;
    fake_run(&session->core);
    struct kafka_fetch_response *a = fetch(go_on(id, 1));
    assert_int_equal(a->responses[0].partitions[0].log_start_offset, 1);
    assert_string_equal(told(fetch(go_on(id, 2))), "");
}

static void partitions_are_added_and_told_at_once(void **state)
{
    fake_topic(&session->core, "t", 3);
    fake_topic(&session->core, "u", 1);
    int32_t id = begin(ask_for("t", 0, 2));
    struct kafka_fetch_response *a = fetch(go_on_with(id, 1, "u", 0, 0));
    assert_int_equal(a->responses_count, 1);
    assert_memory_equal(a->responses[0].topic.ptr, "u", 1);
    assert_int_equal(metric(METRIC_KAFKA_FETCH_SESSION_PARTITIONS), 3);
    append("u", 0);
    assert_string_equal(told(fetch(go_on(id, 2))), "0");
}

static void forgotten_partitions_are_not_told_any_more(void **state)
{
    fake_topic(&session->core, "t", 2);
    int32_t id = begin(ask_for("t", 0, 2));
    append("t", 0);
    append("t", 1);
    struct kafka_fetch_request *m = go_on(id, 1);
    forget(m, "t", 1);
    assert_string_equal(told(fetch(m)), "0");
    m = go_on(id, 2);
    forget(m, "none", 1); /* was never there */
    assert_string_equal(told(fetch(m)), "0");
    assert_int_equal(metric(METRIC_KAFKA_FETCH_SESSION_PARTITIONS), 1);
}

static void a_session_that_forgets_everything_ends(void **state)
{
    fake_topic(&session->core, "t", 1);
    int32_t id = begin(ask_for("t", 0, 1));
    struct kafka_fetch_request *m = go_on(id, 1);
    forget(m, "t", 0);
    struct kafka_fetch_response *a = fetch(m);
    assert_int_equal(a->error_code, 0);
    assert_int_equal(a->session_id, 0);
    assert_int_equal(metric(METRIC_KAFKA_FETCH_SESSIONS), 0);
    refused(go_on(id, 2), VERSION, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
}

static void a_partition_named_twice_is_in_the_session_once(void **state)
{
    fake_topic(&session->core, "t", 1);
    struct kafka_fetch_request *m = ask_for("t", 0, 2);
    m->topics[0].partitions[1].partition = 0;
    assert_string_equal(told(fetch(m)), "0");
    assert_int_equal(metric(METRIC_KAFKA_FETCH_SESSION_PARTITIONS), 1);
}

/* redpanda#1123: a client with nothing to change must not be made to ask as fast as it can. */
static void a_request_that_names_no_partition_waits(void **state)
{
    fake_topic(&session->core, "t", 3);
    int32_t id = begin(ask_for("t", 0, 3));
    struct kafka_fetch_request *m = go_on(id, 1);
    m->max_wait_ms = 500;
    session_send(FETCH, VERSION, 1, m);
    fake_advance_ms(&session->core, &session->client, 499);
    assert_null(session_receive(FETCH, VERSION, 1));
    fake_advance_ms(&session->core, &session->client, 1);
    struct kafka_fetch_response *a = session_receive(FETCH, VERSION, 1);
    assert_non_null(a);
    assert_int_equal(a->responses_count, 0);
    assert_int_equal(a->session_id, id);
}

static void a_request_that_waits_is_answered_by_an_append(void **state)
{
    fake_topic(&session->core, "t", 3);
    int32_t id = begin(ask_for("t", 0, 3));
    struct kafka_fetch_request *m = go_on(id, 1);
    m->max_wait_ms = 500;
    session_send(FETCH, VERSION, 1, m);
    fake_run(&session->core);
    append("t", 2);
    struct kafka_fetch_response *a = session_receive(FETCH, VERSION, 1);
    assert_non_null(a);
    assert_string_equal(told(a), "2");
}

/* ---- order -------------------------------------------------------------------------------------------- */

/* redpanda#3336 was a crash here: the order changes while the answer is made of it. */
static void who_got_something_goes_to_the_end(void **state)
{
    fake_topic(&session->core, "t", 6); /* 0 and 3 are on one shard */
    for (int32_t i = 0; i < 6; i++)
        append("t", i);
    int32_t id = begin(ask_for("t", 0, 6));
    struct kafka_fetch_request *m = go_on(id, 1);
    assert_string_equal(told(fetch(m)), "0 1 2 3 4 5");
    m = go_on(id, 2);
    m->max_bytes = 1;
    assert_string_equal(told(fetch(m)), "0");
    m = go_on(id, 3);
    m->max_bytes = 1;
    assert_string_equal(told(fetch(m)), "1");
    assert_string_equal(told(fetch(go_on(id, 4))), "2 3 4 5 0 1");
}

static void topics_that_alternate_are_told_in_the_order_of_the_session(void **state)
{
    fake_topic(&session->core, "t", 2);
    fake_topic(&session->core, "u", 1);
    int32_t id = begin(ask_for("t", 0, 2));
    fetch(go_on_with(id, 1, "u", 0, 0));
    append("t", 1);
    append("u", 0);
    append("t", 0);
    struct kafka_fetch_response *a = fetch(go_on(id, 2));
    assert_string_equal(told(a), "1 0 0");
    assert_int_equal(a->responses_count, 3);
    assert_memory_equal(a->responses[1].topic.ptr, "u", 1);
}

/* ---- errors ------------------------------------------------------------------------------------------- */

/* redpanda#126: the answer about a partition that failed must say which it is. */
static void partitions_with_errors_are_told_by_their_number(void **state)
{
    fake_topic(&session->core, "t", 2);
    struct kafka_fetch_response *a = fetch(ask_for("t", 1, 4));
    assert_string_equal(told(a), "1 2 3 4");
    assert_int_equal(a->responses[0].partitions[0].error_code, 0);
    assert_int_equal(a->responses[0].partitions[3].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(a->responses[0].partitions[3].high_watermark, -1);
    a = fetch(go_on(a->session_id, 1));
    assert_string_equal(told(a), "2 3 4"); /* each time */
    a = fetch(go_on_with(a->session_id, 2, "t", 1, 9));
    assert_string_equal(told(a), "2 3 4 1");
    assert_int_equal(a->responses[0].partitions[3].error_code, KAFKA_OFFSET_OUT_OF_RANGE);
}

static void a_topic_that_is_made_later_is_found(void **state)
{
    int32_t id = begin(ask_for("later", 0, 1));
    assert_int_equal(fetch(go_on(id, 1))->responses[0].partitions[0].error_code,
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    fake_topic(&session->core, "later", 1);
    struct kafka_fetch_response *a = fetch(go_on(id, 2)); /* news, although it is empty */
    assert_int_equal(a->responses[0].partitions[0].error_code, 0);
    assert_int_equal(a->responses[0].partitions[0].high_watermark, 0);
    assert_string_equal(told(fetch(go_on(id, 3))), "");
}

static void partitions_that_are_added_to_a_topic_are_found(void **state)
{
    fake_topic(&session->core, "t", 1);
    int32_t id = begin(ask_for("t", 0, 2));
    struct kafka_create_partitions_request_topic topic = {.name = span_str("t"), .count = 2};
    struct kafka_create_partitions_request grow = {.topics = &topic, .topics_count = 1, .timeout_ms = 1000};
    topic.assignments_count = -1;
    session_ask(37, 3, &grow);
    struct kafka_fetch_response *a = fetch(go_on(id, 1));
    assert_string_equal(told(a), "1");
    assert_int_equal(a->responses[0].partitions[0].error_code, 0);
}

/* ---- topic ids ---------------------------------------------------------------------------------------- */

static struct kafka_fetch_request *ask_by_id(const struct topic *t)
{
    struct kafka_fetch_request *m = ask_for("", 0, 1);
    memcpy(m->topics[0].topic_id.bytes, t->id.bytes, sizeof(t->id.bytes));
    return m;
}

static void sessions_of_ids_and_of_names_do_not_mix(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    int32_t named = begin(ask_for("t", 0, 1));
    struct kafka_fetch_response *a = session_ask(FETCH, BY_ID, ask_by_id(t));
    assert_true(a->session_id > 0);
    refused(go_on(named, 1), BY_ID, KAFKA_FETCH_SESSION_TOPIC_ID_ERROR);
    refused(go_on(a->session_id, 1), VERSION, KAFKA_FETCH_SESSION_TOPIC_ID_ERROR);
    assert_int_equal(
        ((struct kafka_fetch_response *)session_ask(FETCH, 17, go_on(a->session_id, 1)))->error_code, 0);
}

static int id_error(int32_t session_id, int32_t epoch)
{
    struct kafka_fetch_response *a = session_ask(FETCH, BY_ID, go_on(session_id, epoch));
    return a->responses_count ? a->responses[0].partitions[0].error_code : 0;
}

static void an_unknown_topic_id_stays_in_the_session(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 1);
    struct topic unborn = {.id = {{7}}};
    struct kafka_fetch_response *a = session_ask(FETCH, BY_ID, ask_by_id(&unborn));
    assert_int_equal(a->responses[0].partitions[0].error_code, KAFKA_UNKNOWN_TOPIC_ID);
    assert_int_equal(id_error(a->session_id, 1), KAFKA_UNKNOWN_TOPIC_ID);
    t->id = unborn.id;
    struct kafka_fetch_response *b = session_ask(FETCH, BY_ID, go_on(a->session_id, 2));
    assert_int_equal(b->responses[0].partitions[0].error_code, 0);
    assert_memory_equal(b->responses[0].topic_id.bytes, unborn.id.bytes, sizeof(unborn.id.bytes));
}

static void delete_topic(const char *name)
{
    struct kafka_delete_topics_request m = {.timeout_ms = 1000};
    struct span names[] = {span_str(name)};
    m.topic_names = names;
    m.topic_names_count = 1;
    session_ask(20, 5, &m);
}

static void a_topic_made_anew_does_not_fit_the_old_id(void **state)
{
    struct kafka_fetch_response *a = session_ask(FETCH, BY_ID, ask_by_id(fake_topic(&session->core, "t", 1)));
    delete_topic("t");
    assert_int_equal(id_error(a->session_id, 1), KAFKA_UNKNOWN_TOPIC_ID);
    fake_topic(&session->core, "other", 1); /* takes the place, and with it the id, of the first */
    fake_topic(&session->core, "t", 1);
    session->core.topics[0]->id.bytes[0] = 99;
    assert_int_equal(id_error(a->session_id, 2), KAFKA_INCONSISTENT_TOPIC_ID);
}

static void a_topic_deleted_while_a_session_waits_is_told_at_once(void **state)
{
    fake_topic(&session->core, "t", 3);
    int32_t id = begin(ask_for("t", 0, 3));
    struct kafka_fetch_request *m = go_on(id, 1);
    m->max_wait_ms = 500;
    session_send(FETCH, VERSION, 1, m);
    fake_run(&session->core);
    struct topic *t = session->core.topics[0];
    t->partition_count = 0; /* the table has it no more, and then its logs go */
    for (uint32_t i = 0; i < 3; i++)
        fake_log_of(&session->core, t, i)->id = 0;
    fake_run(&session->core);
    struct kafka_fetch_response *a = session_receive(FETCH, VERSION, 1);
    assert_non_null(a);
    assert_string_equal(told(a), "0 1 2");
    assert_int_equal(a->responses[0].partitions[2].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

/* ---- what nobody looks at ----------------------------------------------------------------------------- */

static void idle_partitions_are_not_read(void **state)
{
    fake_topic(&session->core, "t", 60);
    int32_t id = begin(ask_for("t", 0, 60));
    assert_int_equal(fake_watch_count(&session->core), 60);
    uint64_t before = session->core.items_read;
    fetch(go_on(id, 1));
    assert_int_equal(session->core.items_read, before);
    append("t", 7);
    fetch(go_on(id, 2));
    assert_int_equal(session->core.items_read, before + 1);
    assert_int_equal(fake_watch_count(&session->core), 59);
    fetch(go_on_with(id, 3, "t", 7, 1)); /* read, and idle again */
    assert_int_equal(fake_watch_count(&session->core), 60);
}

static void watches_end_with_their_partition_and_session(void **state)
{
    fake_topic(&session->core, "t", 3);
    int32_t id = begin(ask_for("t", 0, 3));
    struct kafka_fetch_request *m = go_on(id, 1);
    forget(m, "t", 1);
    fetch(m);
    assert_int_equal(fake_watch_count(&session->core), 2);
    fetch(go_on(id, -1));
    assert_int_equal(fake_watch_count(&session->core), 0);
}

static void min_bytes_are_waited_for_over_what_was_idle(void **state)
{
    fake_topic(&session->core, "t", 3);
    int32_t id = begin(ask_for("t", 0, 3));
    struct kafka_fetch_request *m = go_on(id, 1);
    m->max_wait_ms = 500;
    m->min_bytes = 3 * (int32_t)session_batch(1).len;
    session_send(FETCH, VERSION, 1, m);
    fake_run(&session->core);
    append("t", 0);
    append("t", 2);
    assert_null(session_receive(FETCH, VERSION, 1));
    append("t", 0);
    struct kafka_fetch_response *a = session_receive(FETCH, VERSION, 1);
    assert_non_null(a);
    assert_string_equal(told(a), "0 2");
}

/* redpanda#29304: what had been looked at before the wait was no news after it, and left out. */
static void a_start_that_moves_during_a_wait_is_told_at_its_end(void **state)
{
    struct topic *t = fake_topic(&session->core, "t", 3);
    append("t", 1);
    struct kafka_fetch_request *m = ask_for("t", 0, 3);
    m->topics[0].partitions[1].fetch_offset = 1;
    int32_t id = begin(m);
    m = go_on(id, 1);
    m->max_wait_ms = 500;
    m->min_bytes = 3 * (int32_t)session_batch(1).len;
    session_send(FETCH, VERSION, 1, m);
    fake_run(&session->core);
    fake_log_of(&session->core, t, 1)->start = 1;
    append("t", 2);
    append("t", 0);
    assert_null(session_receive(FETCH, VERSION, 1));
    fake_advance_ms(&session->core, &session->client, 500);
    struct kafka_fetch_response *a = session_receive(FETCH, VERSION, 1);
    assert_non_null(a);
    assert_string_equal(told(a), "1 2 0");
    assert_int_equal(a->responses[0].partitions[0].log_start_offset, 1);
    assert_int_equal(a->responses[0].partitions[1].high_watermark, 1);
    assert_int_equal(a->responses[0].partitions[2].high_watermark, 1);
}

/* ---- requests side by side ---------------------------------------------------------------------------- */

static void a_request_that_overtakes_another_makes_it_invalid(void **state)
{
    fake_topic(&session->core, "t", 3);
    int32_t id = begin(ask_for("t", 0, 3));
    struct kafka_fetch_request *m = go_on(id, 1);
    m->max_wait_ms = 500;
    session_send(FETCH, VERSION, 1, m);
    fake_run(&session->core);
    struct kafka_fetch_request *next = go_on(id, 2);
    forget(next, "t", 1); /* which the first is waiting for */
    session_send(FETCH, VERSION, 2, next);
    fake_run(&session->core);
    struct kafka_fetch_response *a = session_receive(FETCH, VERSION, 1);
    assert_int_equal(a->error_code, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    a = session_receive(FETCH, VERSION, 2);
    assert_int_equal(a->error_code, 0);
    assert_int_equal(a->session_id, id);
}

static void a_session_that_ends_while_a_request_waits_lets_it_finish(void **state)
{
    fake_topic(&session->core, "t", 1);
    int32_t id = begin(ask_for("t", 0, 1));
    struct kafka_fetch_request *m = go_on(id, 1);
    m->max_wait_ms = 500;
    session_send(FETCH, VERSION, 1, m);
    m = go_on(id, -1);
    session_send(FETCH, VERSION, 2, m);
    fake_advance_ms(&session->core, &session->client, 500);
    struct kafka_fetch_response *a = session_receive(FETCH, VERSION, 1);
    assert_int_equal(a->error_code, 0);
    assert_int_equal(a->session_id, id);
    assert_non_null(session_receive(FETCH, VERSION, 2));
    refused(go_on(id, 2), VERSION, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
}

static void a_connection_may_die_while_its_session_waits(void **state)
{
    fake_topic(&session->core, "t", 3);
    int32_t id = begin(ask_for("t", 0, 3));
    struct kafka_fetch_request *m = go_on(id, 1);
    m->max_wait_ms = 500;
    session_send(FETCH, VERSION, 1, m);
    struct kafka_fetch_request *first = ask_for("t", 0, 3); /* one that is not begun yet */
    first->max_wait_ms = 500;
    session_send(FETCH, VERSION, 2, first);
    fake_client_close(&session->client);
    fake_run(&session->core);
    assert_int_equal(session->core.op_count, 0);
    assert_int_equal(metric(METRIC_KAFKA_FETCH_SESSIONS), 1);
    fake_client_open(&session->client, &session->core);
    assert_int_equal(fetch(go_on(id, 2))->error_code, 0);
}

/* ---- places ------------------------------------------------------------------------------------------- */

static void limit_to(uint64_t sessions_of_a_shard)
{
    session->core.config.kafka_fetch_sessions = sessions_of_a_shard * FAKE_SHARDS;
}

static void without_room_requests_are_full_ones(void **state)
{
    fake_topic(&session->core, "t", 2);
    limit_to(1);
    int32_t id = begin(ask_for("t", 0, 1));
    struct kafka_fetch_response *a = fetch(ask_for("t", 0, 2));
    assert_int_equal(a->error_code, 0);
    assert_int_equal(a->session_id, 0);
    assert_string_equal(told(a), "0 1");
    assert_int_equal(fetch(go_on(id, 1))->error_code, 0);
    assert_int_equal(metric(METRIC_KAFKA_FETCH_SESSION_EVICTIONS), 0);
}

static void sessions_can_be_turned_off(void **state)
{
    fake_topic(&session->core, "t", 1);
    limit_to(0);
    assert_int_equal(fetch(ask_for("t", 0, 1))->session_id, 0);
}

static void a_session_that_nobody_used_gives_up_its_place(void **state)
{
    fake_topic(&session->core, "t", 2);
    limit_to(2);
    int32_t idle = begin(ask_for("t", 0, 2)), busy = begin(ask_for("t", 0, 1));
    fake_advance_ms(&session->core, &session->client, FETCH_SESSION_STALE_MS + 1);
    fetch(go_on(busy, 1));
    begin(ask_for("t", 0, 1));
    assert_int_equal(metric(METRIC_KAFKA_FETCH_SESSION_EVICTIONS), 1);
    refused(go_on(idle, 1), VERSION, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(fetch(go_on(busy, 2))->error_code, 0);
}

static void a_small_session_gives_way_to_a_larger_one_once_it_is_old(void **state)
{
    fake_topic(&session->core, "t", 3);
    limit_to(1);
    int32_t small = begin(ask_for("t", 0, 2));
    fake_advance_ms(&session->core, &session->client, FETCH_SESSION_STALE_MS + 1);
    fetch(go_on(small, 1));
    assert_int_equal(fetch(ask_for("t", 0, 2))->session_id, 0); /* not larger */
    int32_t large = begin(ask_for("t", 0, 3));
    refused(go_on(small, 2), VERSION, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(fetch(go_on(large, 1))->error_code, 0);
}

static void sessions_that_nobody_comes_back_for_are_forgotten(void **state)
{
    fake_topic(&session->core, "t", 1);
    begin(ask_for("t", 0, 1));
    fake_client_close(&session->client);
    fake_advance_ms(&session->core, &session->client, session->core.config.kafka_idle_timeout_ms);
    assert_int_equal(metric(METRIC_KAFKA_FETCH_SESSIONS), 1);
    struct fake_client other;
    fake_client_open(&other, &session->core);
    fake_client_close(&other); /* when anyone else leaves, or fetches */
    assert_int_equal(metric(METRIC_KAFKA_FETCH_SESSIONS), 0);
    assert_int_equal(metric(METRIC_KAFKA_FETCH_SESSION_PARTITIONS), 0);
}

static void the_partitions_of_all_sessions_are_bounded(void **state)
{
    fake_topic(&session->core, "t", 1);
    limit_to(1);
    int32_t id = begin(ask_for("t", 0, FETCH_SESSION_PARTITIONS_PER_SLOT));
    struct kafka_fetch_request *m = ask_for("t", FETCH_SESSION_PARTITIONS_PER_SLOT, 1);
    m->session_id = id;
    m->session_epoch = 1;
    refused(m, VERSION, KAFKA_FETCH_SESSION_ID_NOT_FOUND); /* and the client begins anew, in full */
    assert_int_equal(metric(METRIC_KAFKA_FETCH_SESSION_PARTITIONS), 0);
    assert_int_equal(fetch(ask_for("t", 0, FETCH_SESSION_PARTITIONS_PER_SLOT + 1))->session_id, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, session_setup, session_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_without_a_session_gets_none),
        TEST(a_full_request_begins_a_session_and_is_told_everything),
        TEST(the_last_epoch_ends_a_session_with_a_full_answer),
        TEST(a_full_request_that_names_a_session_replaces_it),
        TEST(unknown_sessions_are_not_found),
        TEST(a_wrong_epoch_is_refused_and_changes_nothing),
        TEST(epochs_wrap_to_1),
        TEST(a_session_goes_on_over_another_connection),
        TEST(what_is_not_news_is_left_out),
        TEST(records_are_news_until_the_client_goes_past_them),
        TEST(a_moved_high_watermark_is_news_once),
        TEST(a_moved_start_is_news_once),
        TEST(partitions_are_added_and_told_at_once),
        TEST(forgotten_partitions_are_not_told_any_more),
        TEST(a_session_that_forgets_everything_ends),
        TEST(a_partition_named_twice_is_in_the_session_once),
        TEST(a_request_that_names_no_partition_waits),
        TEST(a_request_that_waits_is_answered_by_an_append),
        TEST(who_got_something_goes_to_the_end),
        TEST(topics_that_alternate_are_told_in_the_order_of_the_session),
        TEST(partitions_with_errors_are_told_by_their_number),
        TEST(a_topic_that_is_made_later_is_found),
        TEST(partitions_that_are_added_to_a_topic_are_found),
        TEST(sessions_of_ids_and_of_names_do_not_mix),
        TEST(an_unknown_topic_id_stays_in_the_session),
        TEST(a_topic_made_anew_does_not_fit_the_old_id),
        TEST(a_topic_deleted_while_a_session_waits_is_told_at_once),
        TEST(idle_partitions_are_not_read),
        TEST(watches_end_with_their_partition_and_session),
        TEST(min_bytes_are_waited_for_over_what_was_idle),
        TEST(a_start_that_moves_during_a_wait_is_told_at_its_end),
        TEST(a_request_that_overtakes_another_makes_it_invalid),
        TEST(a_session_that_ends_while_a_request_waits_lets_it_finish),
        TEST(a_connection_may_die_while_its_session_waits),
        TEST(without_room_requests_are_full_ones),
        TEST(sessions_can_be_turned_off),
        TEST(a_session_that_nobody_used_gives_up_its_place),
        TEST(a_small_session_gives_way_to_a_larger_one_once_it_is_old),
        TEST(sessions_that_nobody_comes_back_for_are_forgotten),
        TEST(the_partitions_of_all_sessions_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
