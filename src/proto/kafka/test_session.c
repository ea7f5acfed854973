#include "proto/kafka/test_session.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/batch.h"

struct session *session;

int session_setup(void **state)
{
    session = mem_zalloc(sizeof(*session));
    fake_core_init(&session->core);
    fake_client_open(&session->client, &session->core);
    arena_init(&session->arena);
    return 0;
}

int session_teardown(void **state)
{
    if (!session->client.closed)
        fake_client_close(&session->client);
    fake_run(&session->core);
    fake_core_fini(&session->core);
    arena_fini(&session->arena);
    mem_free(session);
    session = NULL;
    return 0;
}

static const struct wire_message *find(int16_t key, bool response)
{
    for (size_t i = 0; i < kafka_messages_count; i++)
        if (kafka_messages[i].key == key && kafka_messages[i].response == response)
            return &kafka_messages[i];
    fail_msg("no message for API %d", key);
    return NULL;
}

static struct span flatten(struct outq *q)
{
    uint8_t *bytes = arena_alloc(&session->arena, q->len);
    size_t at = 0;
    for (size_t i = 0; i < q->count; i++) {
        memcpy(bytes + at, q->slices[q->first + i].ptr, q->slices[q->first + i].len);
        at += q->slices[q->first + i].len;
    }
    return span_of(bytes, at);
}

struct span session_frame(int16_t key, int version, int32_t correlation_id, const void *request)
{
    struct outq q;
    struct writer w;
    struct kafka_request_header h = {key, (int16_t)version, correlation_id, span_str("test")};
    outq_init(&q, &session->core.log_pool);
    writer_init(&w, &q);
    uint8_t *length = write_reserve_u32(&w);
    kafka_request_header_write(&w, kafka_request_header_version(kafka_find_api(key), version), &h);
    find(key, false)->write(&w, version, request);
    assert_int_equal(w.err, 0);
    write_patch_u32(length, (uint32_t)q.len - 4);
    struct span bytes = flatten(&q);
    outq_fini(&q);
    return bytes;
}

void session_send(int16_t key, int version, int32_t correlation_id, const void *request)
{
    fake_client_send(&session->client, session_frame(key, version, correlation_id, request));
}

void *session_receive(int16_t key, int version, int32_t correlation_id)
{
    struct reader r;
    struct kafka_response_header h;
    struct span out = fake_client_output(&session->client, session->out, sizeof(session->out));
    if (out.len == 0)
        return NULL;
    out.ptr = arena_copy(&session->arena, out.ptr, out.len);
    reader_init(&r, out, &session->arena);
    uint32_t len = read_u32(&r);
    assert_true(len <= out.len - 4);
    reader_init(&r, span_of(out.ptr + 4, len), &session->arena);
    kafka_response_header_read(&r, kafka_response_header_version(kafka_find_api(key), version), &h);
    assert_int_equal(h.correlation_id, correlation_id);
    const struct wire_message *type = find(key, true);
    void *m = arena_alloc(&session->arena, type->size);
    type->read(&r, version, m);
    assert_int_equal(r.err, 0);
    assert_int_equal(reader_left(&r), 0); /* kafka-go refuses a byte more */
    outq_consume(&session->client.conn.out, 4 + len);
    return m;
}

void *session_ask(int16_t key, int version, const void *request)
{
    static int32_t correlation_id = 100;
    session_send(key, version, ++correlation_id, request);
    fake_run(&session->core);
    void *m = session_receive(key, version, correlation_id);
    assert_non_null(m);
    return m;
}

struct span session_batch(int32_t count)
{
    enum { RECORD_BYTES = 8 };
    size_t len = BATCH_HEADER_BYTES + (size_t)count * RECORD_BYTES;
    uint8_t *b = arena_alloc(&session->arena, len);
    for (int32_t i = 0; i < count; i++) {
        uint8_t record[RECORD_BYTES] = {14, 0, 0, (uint8_t)(i * 2), 1, 2, 'v', 0};
        memcpy(b + BATCH_HEADER_BYTES + (size_t)i * RECORD_BYTES, record, RECORD_BYTES);
    }
    batch_set_magic(b, BATCH_MAGIC);
    batch_set_last_offset_delta(b, count - 1);
    batch_set_record_count(b, count);
    batch_set_base_timestamp(b, session->core.shards[0].now_ms);
    batch_set_max_timestamp(b, session->core.shards[0].now_ms);
    batch_set_producer_id(b, -1);
    batch_set_producer_epoch(b, -1);
    batch_set_base_sequence(b, -1);
    batch_seal(b, len);
    return span_of(b, len);
}

struct kafka_produce_request *session_produce(const char *topic, int32_t partition, int16_t acks,
                                              struct span batch)
{
    struct arena *a = &session->arena;
    struct kafka_produce_request *m = arena_alloc(a, sizeof(*m));
    kafka_produce_request_init(m);
    m->acks = acks;
    m->timeout_ms = 1000;
    m->topic_data_count = 1;
    m->topic_data = arena_array(a, 1, sizeof(*m->topic_data));
    m->topic_data[0].name = span_str(topic);
    m->topic_data[0].partition_data_count = 1;
    m->topic_data[0].partition_data = arena_array(a, 1, sizeof(*m->topic_data[0].partition_data));
    m->topic_data[0].partition_data[0].index = partition;
    struct slice *s = arena_alloc(a, sizeof(*s));
    *s = (struct slice){NULL, batch.ptr, batch.len};
    m->topic_data[0].partition_data[0].records = (struct rope){s, 1, batch.len};
    return m;
}

struct kafka_fetch_request *session_fetch(const char *topic, int32_t partition, int64_t offset)
{
    struct arena *a = &session->arena;
    struct kafka_fetch_request *m = arena_alloc(a, sizeof(*m));
    kafka_fetch_request_init(m);
    m->min_bytes = 1;
    m->max_wait_ms = 500;
    m->topics_count = 1;
    m->topics = arena_array(a, 1, sizeof(*m->topics));
    m->topics[0].topic = span_str(topic);
    m->topics[0].partitions_count = 1;
    m->topics[0].partitions = arena_array(a, 1, sizeof(*m->topics[0].partitions));
    kafka_fetch_request_partition_init(&m->topics[0].partitions[0]);
    m->topics[0].partitions[0].partition = partition;
    m->topics[0].partitions[0].fetch_offset = offset;
    m->topics[0].partitions[0].partition_max_bytes = 1 << 20;
    m->rack_id = wire_empty;
    return m;
}
