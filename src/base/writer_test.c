/* The writer: what it writes, the reader reads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/writer.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/reader.h"

static struct chunk_pool pool;
static struct outq q;
static struct writer w;
static uint8_t bytes[1 << 20];

static int setup(void **state)
{
    chunk_pool_init(&pool, "test", 64, 4); /* small, so that values fall on the edges of chunks */
    outq_init(&q, &pool);
    writer_init(&w, &q);
    return 0;
}

static int teardown(void **state)
{
    outq_fini(&q);
    chunk_pool_fini(&pool);
    return 0;
}

/* Reads what was written so far. */
static struct reader written(void)
{
    size_t len = 0;
    while (q.len > 0) {
        struct span s;
        outq_peek(&q, &s, 1);
        memcpy(bytes + len, s.ptr, s.len);
        len += s.len;
        outq_consume(&q, s.len);
    }
    struct reader r;
    reader_init(&r, span_of(bytes, len), NULL);
    return r;
}

static void every_type_reads_back(void **state)
{
    write_i8(&w, INT8_MIN);
    write_i16(&w, INT16_MIN);
    write_u16(&w, UINT16_MAX);
    write_i32(&w, INT32_MIN);
    write_u32(&w, UINT32_MAX);
    write_i64(&w, INT64_MIN);
    write_f64(&w, -0.1);
    write_bool(&w, true);
    write_bytes(&w, span_str("text"));
    struct reader r = written();
    assert_int_equal(read_i8(&r), INT8_MIN);
    assert_int_equal(read_i16(&r), INT16_MIN);
    assert_int_equal(read_u16(&r), UINT16_MAX);
    assert_int_equal(read_i32(&r), INT32_MIN);
    assert_true(read_u32(&r) == UINT32_MAX);
    assert_true(read_i64(&r) == INT64_MIN);
    assert_true(read_f64(&r) == -0.1);
    assert_true(read_bool(&r));
    assert_true(span_eq_str(read_bytes(&r, 4), "text"));
    assert_int_equal(r.err, 0);
    assert_int_equal(reader_left(&r), 0);
}

static int64_t random_number(void)
{
    uint64_t v = (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
    return (int64_t)(v >> rand() % 64) * (rand() % 2 ? 1 : -1);
}

static void random_varints_read_back(void **state)
{
    enum { N = 20000 };
    static int64_t v[N];
    srand(9);
    for (int i = 0; i < N; i++) {
        v[i] = random_number();
        write_uvarint(&w, (uint32_t)v[i]);
        write_varint(&w, (int32_t)v[i]);
        write_varlong(&w, v[i]);
    }
    struct reader r = written();
    for (int i = 0; i < N; i++) {
        assert_true(read_uvarint(&r) == (uint32_t)v[i]);
        assert_int_equal(read_varint(&r), (int32_t)v[i]);
        assert_true(read_varlong(&r) == v[i]);
    }
    assert_int_equal(r.err, 0);
    assert_int_equal(reader_left(&r), 0);
}

static void varints_are_as_short_as_they_can_be(void **state)
{
    static const struct {
        uint32_t value;
        size_t len;
    } rows[] = {{0, 1}, {127, 1}, {128, 2}, {16383, 2}, {16384, 3}, {UINT32_MAX, 5}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_uvarint(&w, rows[i].value);
        assert_int_equal(q.len, rows[i].len);
        outq_consume(&q, q.len);
    }
    write_varlong(&w, INT64_MIN);
    assert_int_equal(q.len, 10);
}

static void a_length_is_patched_after_the_fact(void **state)
{
    uint8_t *at = write_reserve_u32(&w);
    size_t before = q.len;
    for (int i = 0; i < 100; i++)
        write_i32(&w, i);
    write_patch_u32(at, (uint32_t)(q.len - before));
    struct reader r = written();
    assert_int_equal(read_i32(&r), 400);
    assert_int_equal(reader_left(&r), 400);
}

static void a_rope_is_referenced_not_copied(void **state)
{
    struct chunk *c = chunk_new(&pool, 1000);
    memset(c->data, 'r', 1000);
    struct slice slices[] = {{c, c->data, 10}, {NULL, (const uint8_t *)"borrowed", 8}, {c, c->data + 500, 5}};
    write_rope(&w, &(struct rope){slices, 3, 23});
    assert_int_equal(c->refs, 3);
    chunk_unref(c);
    struct reader r = written();
    assert_true(span_eq_str(read_bytes(&r, 23), "rrrrrrrrrrborrowedrrrrr"));
    assert_int_equal(pool.used_bytes, 0);
}

static void after_running_out_of_memory_nothing_more_is_written(void **state)
{
    mem_fail_after(0, true);
    write_i32(&w, 1);
    mem_fail_after(-1, false);
    assert_int_equal(w.err, ERR_NO_MEMORY);
    write_i64(&w, 2);
    write_bytes(&w, span_str("x"));
    assert_null(write_reserve_u32(&w));
    assert_int_equal(q.len, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_type_reads_back),
        T(random_varints_read_back),
        T(varints_are_as_short_as_they_can_be),
        T(a_length_is_patched_after_the_fact),
        T(a_rope_is_referenced_not_copied),
        T(after_running_out_of_memory_nothing_more_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
