/* The output queue, against a plain byte array as the model. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/outq.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"

static struct chunk_pool pool, tails;
static struct outq q;

static int setup(void **state)
{
    chunk_pool_init(&pool, "out", 256, 4);
    chunk_pool_init(&tails, "tails", 1024, 4);
    outq_init(&q, &pool);
    return 0;
}

static int teardown(void **state)
{
    outq_fini(&q);
    assert_int_equal(pool.used_bytes, 0);
    assert_int_equal(tails.used_bytes, 0);
    chunk_pool_fini(&pool);
    chunk_pool_fini(&tails);
    return 0;
}

/* All bytes of the queue, gathered through its slices. */
static size_t gather(const struct outq *from, uint8_t *to)
{
    struct span spans[512];
    size_t n = outq_peek(from, spans, 512), len = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(to + len, spans[i].ptr, spans[i].len);
        len += spans[i].len;
    }
    return len;
}

static void copies_and_references_come_out_in_order(void **state)
{
    struct chunk *c = chunk_new(&tails, 1024);
    memcpy(c->data, "tail bytes", 10);
    c->used = 10;
    assert_int_equal(outq_copy(&q, span_str("head ")), 0);
    outq_ref(&q, c, span_of(c->data, 4));
    assert_int_equal(outq_copy(&q, span_str("/")), 0);
    outq_ref(&q, c, span_of(c->data + 5, 5));
    chunk_unref(c); /* the queue's references keep it */
    uint8_t got[64];
    assert_int_equal(gather(&q, got), 15);
    assert_memory_equal(got, "head tail/bytes", 15);
    assert_int_equal(q.len, 15);
}

static void neighbours_in_one_chunk_become_one_slice(void **state)
{
    struct chunk *c = chunk_new(&tails, 1024);
    outq_ref(&q, c, span_of(c->data, 10));
    outq_ref(&q, c, span_of(c->data + 10, 10));
    outq_ref(&q, c, span_of(c->data + 20, 0)); /* nothing is nothing */
    assert_int_equal(q.count, 1);
    assert_int_equal(c->refs, 2);
    outq_ref(&q, c, span_of(c->data + 30, 10));
    assert_int_equal(q.count, 2);
    chunk_unref(c);
}

static void a_reserved_place_can_be_filled_later(void **state)
{
    uint8_t *length = outq_reserve(&q, 4);
    for (int i = 0; i < 100; i++)
        assert_int_equal(outq_copy(&q, span_str("0123456789")), 0);
    memcpy(length, "1000", 4);
    uint8_t got[1100];
    assert_int_equal(gather(&q, got), 1004);
    assert_memory_equal(got, "10000123456789", 14);
}

static void borrowed_bytes_need_no_chunk(void **state)
{
    outq_ref(&q, NULL, span_str("static"));
    assert_int_equal(outq_copy(&q, span_str("!")), 0);
    uint8_t got[8];
    assert_int_equal(gather(&q, got), 7);
    assert_memory_equal(got, "static!", 7);
    outq_consume(&q, 7);
    assert_int_equal(q.len, 0);
}

static void moving_leaves_the_source_empty_and_usable(void **state)
{
    struct outq other;
    outq_init(&other, &pool);
    assert_int_equal(outq_copy(&q, span_str("one ")), 0);
    assert_int_equal(outq_copy(&other, span_str("two ")), 0);
    outq_move(&q, &other);
    assert_int_equal(other.len, 0);
    assert_int_equal(outq_copy(&other, span_str("elsewhere")), 0);
    assert_int_equal(outq_copy(&q, span_str("three")), 0);
    uint8_t got[32];
    assert_int_equal(gather(&q, got), 13);
    assert_memory_equal(got, "one two three", 13);
    outq_fini(&other);
}

static void consuming_frees_chunks_as_they_are_sent(void **state)
{
    uint8_t bytes[256 * 10] = {0};
    assert_int_equal(outq_copy(&q, span_of(bytes, sizeof(bytes))), 0);
    size_t full = pool.used_bytes;
    outq_consume(&q, 256 * 9);
    assert_true(pool.used_bytes < full / 5);
    assert_int_equal(q.len, 256);
}

static void out_of_memory_is_reported(void **state)
{
    mem_fail_after(0, true);
    uint8_t *p = outq_reserve(&q, 8);
    int err = outq_copy(&q, span_str("x"));
    mem_fail_after(-1, false);
    assert_null(p);
    assert_int_equal(err, ERR_NO_MEMORY);
    assert_int_equal(q.len, 0);
}

/* ---- against a model --------------------------------------------------------------------------------- */

enum { MODEL_BYTES = 1 << 20 };
static uint8_t model[MODEL_BYTES], got_all[MODEL_BYTES];
static size_t model_first, model_end;

static void add(const void *bytes, size_t len)
{
    memcpy(model + model_end, bytes, len);
    model_end += len;
}

static void step(int op)
{
    uint8_t bytes[600];
    size_t len = (size_t)(rand() % (op == 0 ? 600 : 200));
    memset(bytes, rand(), sizeof(bytes));
    if (op == 0) {
        assert_int_equal(outq_copy(&q, span_of(bytes, len)), 0);
        add(bytes, len);
    } else if (op == 1) {
        struct chunk *c = chunk_new(&tails, 1024);
        memcpy(c->data, bytes, len);
        outq_ref(&q, c, span_of(c->data, len));
        chunk_unref(c);
        add(bytes, len);
    } else if (op == 2) {
        memcpy(outq_reserve(&q, len), bytes, len);
        add(bytes, len);
    } else {
        size_t n = q.len ? (size_t)rand() % (q.len + 1) : 0;
        outq_consume(&q, n);
        model_first += n;
    }
}

static void random_operations_agree_with_the_model(void **state)
{
    srand(5);
    model_first = model_end = 0;
    for (int i = 0; i < 4000; i++) {
        step(rand() % 4);
        assert_int_equal(q.len, model_end - model_first);
        assert_true(q.count < 512);
        assert_int_equal(gather(&q, got_all), q.len);
        assert_memory_equal(got_all, model + model_first, q.len);
    }
}

/* A chunk that is done with may come again as somebody else's, who fills it. */
static void what_is_done_with_is_not_filled_any_more(void **state)
{
    uint8_t got[64];
    assert_int_equal(outq_copy(&q, span_str("answer")), 0);
    outq_consume(&q, 6);
    struct chunk *c = chunk_new(&pool, 100); /* the same one */
    memcpy(c->data, "theirs", 6);
    c->used = 6;
    outq_ref(&q, c, span_of(c->data, 6));
    assert_int_equal(outq_copy(&q, span_str("ours")), 0);
    assert_int_equal(c->used, 6);
    chunk_unref(c);
    assert_int_equal(gather(&q, got), 10);
    assert_memory_equal(got, "theirsours", 10);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(copies_and_references_come_out_in_order),
        T(neighbours_in_one_chunk_become_one_slice),
        T(a_reserved_place_can_be_filled_later),
        T(borrowed_bytes_need_no_chunk),
        T(moving_leaves_the_source_empty_and_usable),
        T(consuming_frees_chunks_as_they_are_sent),
        T(out_of_memory_is_reported),
        T(what_is_done_with_is_not_filled_any_more),
        T(random_operations_agree_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
