/* What golden samples can't show: malformed messages, nulls, and what is allocated or copied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/err.h"
#include "proto/kafka/kafka_wire.gen.h"

enum { CHUNK_BYTES = 64 * 1024 };

#define BYTES(...) span_of(((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__}))

/* A reader over literal bytes with its arena; freed at the end of each test. */
struct input {
    struct arena arena;
    struct reader r;
};

static struct reader *open_input(struct input *in, struct span bytes)
{
    arena_init(&in->arena);
    reader_init(&in->r, bytes, &in->arena);
    return &in->r;
}

struct output {
    struct chunk_pool pool;
    struct outq q;
    struct writer w;
};

static struct writer *open_output(struct output *out)
{
    chunk_pool_init(&out->pool, "test", CHUNK_BYTES, 0);
    outq_init(&out->q, &out->pool);
    writer_init(&out->w, &out->q);
    return &out->w;
}

static void close_output(struct output *out)
{
    outq_fini(&out->q);
    chunk_pool_fini(&out->pool);
}

static void assert_written(const struct output *out, struct span expected)
{
    struct span s = SPAN_NULL;
    assert_int_equal(out->w.err, 0);
    assert_int_equal(outq_peek(&out->q, &s, 1), 1);
    assert_int_equal(out->q.len, expected.len);
    assert_memory_equal(s.ptr, expected.ptr, expected.len);
}

static void an_array_with_more_elements_than_bytes_allocates_nothing(void **state)
{
    struct input in;
    int32_t count = 7;
    struct reader *r = open_input(&in, BYTES(0x7f, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7));
    assert_null(wire_read_array(r, false, false, 2, 16, &count));
    assert_int_equal(r->err, ERR_LIMIT);
    assert_int_equal(count, 0);
    assert_int_equal(in.arena.total, 0);
}

static void an_array_may_have_as_many_elements_as_there_are_bytes_for(void **state)
{
    struct input in;
    int32_t count;
    struct reader *r = open_input(&in, BYTES(4, 1, 1, 2, 2, 3, 3));
    assert_non_null(wire_read_array(r, true, false, 2, 16, &count));
    assert_int_equal(r->err, 0);
    assert_int_equal(count, 3);
    arena_fini(&in.arena);
}

static void a_message_cannot_decode_into_unbounded_memory(void **state)
{
    struct input in;
    int32_t count;
    static uint8_t bytes[4 * 1024 * 1024];
    memcpy(bytes, "\x00\x3f\xff\xf0", 4); /* almost 4 Mi elements: twice 60 MiB is too much */
    struct reader *r = open_input(&in, span_of(bytes, sizeof(bytes)));
    assert_non_null(wire_read_array(r, false, false, 1, 15, &count));
    r->p = bytes;
    assert_null(wire_read_array(r, false, false, 1, 15, &count));
    assert_int_equal(r->err, ERR_LIMIT);
    arena_fini(&in.arena);
}

static void null_is_told_from_empty(void **state)
{
    struct input in;
    struct reader *r = open_input(&in, BYTES(0, 1, 0xff, 0xff, 0, 0));
    assert_true(span_is_null(wire_read_string(r, true, true)));
    struct span empty = wire_read_string(r, true, true);
    assert_true(!span_is_null(empty) && empty.len == 0);
    assert_true(span_is_null(wire_read_string(r, false, true)));
    assert_false(span_is_null(wire_read_string(r, false, false)));
    assert_int_equal(r->err, 0);
}

static void null_fails_where_it_is_not_allowed(void **state)
{
    struct input in;
    int32_t count;
    wire_read_string(open_input(&in, BYTES(0)), true, false);
    assert_int_equal(in.r.err, ERR_INVALID);
    wire_read_bytes(open_input(&in, BYTES(0xff, 0xff, 0xff, 0xff)), false, false);
    assert_int_equal(in.r.err, ERR_INVALID);
    wire_read_array(open_input(&in, BYTES(0)), true, false, 1, 1, &count);
    assert_int_equal(in.r.err, ERR_INVALID);
}

static void a_negative_length_other_than_null_fails(void **state)
{
    struct input in;
    wire_read_string(open_input(&in, BYTES(0xff, 0xfe, 1, 2)), false, true);
    assert_int_equal(in.r.err, ERR_INVALID);
    wire_read_bytes(open_input(&in, BYTES(0x80, 0, 0, 0, 1)), false, true);
    assert_int_equal(in.r.err, ERR_INVALID);
}

static void a_string_longer_than_the_message_fails(void **state)
{
    struct input in;
    struct span s = wire_read_string(open_input(&in, BYTES(0, 4, 'a', 'b', 'c')), false, false);
    assert_int_equal(in.r.err, ERR_INVALID);
    assert_true(span_is_null(s));
}

static void null_records_read_as_none_and_are_written_as_empty(void **state)
{
    struct input in;
    struct output out;
    struct rope records = wire_read_records(open_input(&in, BYTES(0xff, 0xff, 0xff, 0xff)), false, true);
    assert_int_equal(in.r.err, 0);
    assert_int_equal(records.count, 0);
    wire_write_records(open_output(&out), false, &records);
    assert_written(&out, BYTES(0, 0, 0, 0));
    close_output(&out);
}

static void records_are_borrowed_from_the_input_and_written_without_a_copy(void **state)
{
    struct input in;
    struct output out;
    struct span s;
    struct span bytes = BYTES(0, 0, 0, 3, 'a', 'b', 'c');
    struct rope records = wire_read_records(open_input(&in, bytes), false, false);
    assert_int_equal(records.len, 3);
    assert_ptr_equal(records.slices[0].ptr, bytes.ptr + 4);
    write_rope(open_output(&out), &records);
    assert_int_equal(outq_peek(&out.q, &s, 1), 1);
    assert_ptr_equal(s.ptr, bytes.ptr + 4);
    close_output(&out);
    arena_fini(&in.arena);
}

static void a_null_is_written_as_empty_where_it_is_not_allowed(void **state)
{
    struct output out;
    struct writer *w = open_output(&out);
    wire_write_string(w, true, false, SPAN_NULL);
    wire_write_string(w, false, false, SPAN_NULL);
    wire_write_bytes(w, false, false, SPAN_NULL);
    wire_write_count(w, true, false, -1);
    assert_written(&out, BYTES(1, 0, 0, 0, 0, 0, 0, 1));
    close_output(&out);
}

static void a_string_too_long_for_its_length_fails_the_writer(void **state)
{
    static uint8_t long_string[INT16_MAX + 1];
    struct output out;
    wire_write_string(open_output(&out), true, false, span_of(long_string, sizeof(long_string)));
    assert_int_equal(out.w.err, ERR_LIMIT);
    close_output(&out);
}

/* A response header of version 1: a correlation id, then tagged fields. */
static int read_header(struct span bytes)
{
    struct input in;
    struct kafka_response_header h;
    kafka_response_header_read(open_input(&in, bytes), 1, &h);
    return in.r.err ? in.r.err : (int)reader_left(&in.r);
}

static void unknown_tagged_fields_are_skipped(void **state)
{
    assert_int_equal(read_header(BYTES(0, 0, 0, 1, 2, 9, 3, 'a', 'b', 'c', 10, 0)), 0);
}

static void tagged_fields_beyond_the_message_fail(void **state)
{
    assert_int_equal(read_header(BYTES(0, 0, 0, 1, 1, 9, 4, 'a', 'b', 'c')), ERR_INVALID);
    assert_int_equal(read_header(BYTES(0, 0, 0, 1, 2, 9, 0)), ERR_INVALID);
    assert_int_equal(read_header(BYTES(0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f)), ERR_INVALID);
}

/* An ApiVersions response 3: no error, no keys, throttle 0, tag 1 = finalized_features_epoch. */
static void a_known_tagged_field_must_have_the_length_of_its_value(void **state)
{
    struct input in;
    struct kafka_api_versions_response m;
    struct span good = BYTES(0, 0, 1, 0, 0, 0, 0, 1, 1, 8, 0, 0, 0, 0, 0, 0, 0, 5);
    kafka_api_versions_response_read(open_input(&in, good), 3, &m);
    assert_int_equal(in.r.err, 0);
    assert_int_equal(m.finalized_features_epoch, 5);
    struct span longer = BYTES(0, 0, 1, 0, 0, 0, 0, 1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 5, 0);
    kafka_api_versions_response_read(open_input(&in, longer), 3, &m);
    assert_int_equal(in.r.err, ERR_INVALID);
    struct span shorter = BYTES(0, 0, 1, 0, 0, 0, 0, 1, 1, 7, 0, 0, 0, 0, 0, 0, 0, 5);
    kafka_api_versions_response_read(open_input(&in, shorter), 3, &m);
    assert_int_equal(in.r.err, ERR_INVALID);
}

static void fields_of_other_versions_read_as_their_defaults(void **state)
{
    struct input in;
    struct kafka_metadata_request m;
    kafka_metadata_request_read(open_input(&in, BYTES(0, 0, 0, 0)), 0, &m);
    assert_int_equal(in.r.err, 0);
    assert_int_equal(m.topics_count, 0);
    assert_true(m.allow_auto_topic_creation);
    assert_false(m.include_topic_authorized_operations);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_array_with_more_elements_than_bytes_allocates_nothing),
        cmocka_unit_test(an_array_may_have_as_many_elements_as_there_are_bytes_for),
        cmocka_unit_test(a_message_cannot_decode_into_unbounded_memory),
        cmocka_unit_test(null_is_told_from_empty),
        cmocka_unit_test(null_fails_where_it_is_not_allowed),
        cmocka_unit_test(a_negative_length_other_than_null_fails),
        cmocka_unit_test(a_string_longer_than_the_message_fails),
        cmocka_unit_test(null_records_read_as_none_and_are_written_as_empty),
        cmocka_unit_test(records_are_borrowed_from_the_input_and_written_without_a_copy),
        cmocka_unit_test(a_null_is_written_as_empty_where_it_is_not_allowed),
        cmocka_unit_test(a_string_too_long_for_its_length_fails_the_writer),
        cmocka_unit_test(unknown_tagged_fields_are_skipped),
        cmocka_unit_test(tagged_fields_beyond_the_message_fail),
        cmocka_unit_test(a_known_tagged_field_must_have_the_length_of_its_value),
        cmocka_unit_test(fields_of_other_versions_read_as_their_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
