/* Chunks: counted, recycled by their owner, given back by any thread. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/chunk.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/mem.h"

static struct chunk_pool pool;

static int setup(void **state)
{
    chunk_pool_init(&pool, "test", 4096, 8);
    return 0;
}

static int teardown(void **state)
{
    chunk_pool_fini(&pool);
    return 0;
}

static void a_chunk_lives_until_its_last_reference(void **state)
{
    struct chunk *c = chunk_new(&pool, 100);
    assert_int_equal(c->cap, 4096);
    assert_ptr_equal(chunk_ref(c), c);
    chunk_unref(c);
    assert_int_equal(pool.used_bytes, 4096);
    memset(c->data, 1, c->cap);
    chunk_unref(c);
    assert_int_equal(pool.used_bytes, 0);
    chunk_unref(NULL);
}

static void standard_chunks_are_used_again(void **state)
{
    struct chunk *c = chunk_new(&pool, 4096);
    c->used = 77;
    chunk_unref(c);
    struct chunk *again = chunk_new(&pool, 1);
    assert_ptr_equal(again, c);
    assert_int_equal(again->used, 0);
    assert_int_equal(again->refs, 1);
    chunk_unref(again);
}

static void odd_sizes_are_exact_and_not_kept(void **state)
{
    struct chunk *c = chunk_new(&pool, 5000);
    assert_int_equal(c->cap, 5000);
    assert_int_equal(pool.used_bytes, 5000);
    chunk_unref(c);
    chunk_pool_trim(&pool);
    assert_int_equal(pool.free_count, 0);
}

static void large_ones_are_kept_up_to_a_sum_if_asked_for(void **state)
{
    pool.keep_large = 20000;
    struct chunk *a = chunk_new(&pool, 9000), *b = chunk_new(&pool, 6000), *c = chunk_new(&pool, 8000);
    chunk_unref(b);
    chunk_unref(a);
    chunk_unref(c); /* one too many */
    assert_int_equal(pool.used_bytes, 0);
    assert_null(chunk_take_kept(&pool, 9001));
    struct chunk *again = chunk_new(&pool, 5000); /* the smallest that is large enough */
    assert_in_range(again->cap, 6000, 8000);
    assert_int_equal(pool.used_bytes, again->cap);
    chunk_unref(again);
    pool.keep_large = 0;
}

static void what_nobody_needs_between_two_trims_is_freed(void **state)
{
    struct chunk *c[4];
    pool.keep_large = 20000;
    for (int i = 0; i < 4; i++)
        c[i] = chunk_new(&pool, i < 2 ? 100 : 9000);
    for (int i = 0; i < 4; i++)
        chunk_unref(c[i]);
    chunk_pool_trim(&pool); /* takes over, from now on it counts */
    assert_int_equal(pool.free_count, 2);
    assert_int_equal(pool.large_bytes, 18000);
    chunk_unref(chunk_new(&pool, 100));
    chunk_unref(chunk_new(&pool, 9000));
    chunk_pool_trim(&pool);
    assert_int_equal(pool.free_count, 1);
    assert_int_equal(pool.large_bytes, 9000);
    chunk_pool_trim(&pool);
    assert_false(chunk_pool_keeps(&pool));
    pool.keep_large = 0;
}

static void no_more_are_kept_than_asked_for(void **state)
{
    struct chunk *c[20];
    for (int i = 0; i < 20; i++)
        c[i] = chunk_new(&pool, 1);
    for (int i = 0; i < 20; i++)
        chunk_unref(c[i]);
    chunk_pool_trim(&pool);
    assert_int_equal(pool.free_count, 8);
    assert_int_equal(pool.used_bytes, 0);
}

static void running_out_of_memory_gives_null(void **state)
{
    mem_fail_after(0, false);
    assert_null(chunk_new(&pool, 10000));
    mem_fail_after(-1, false);
    assert_int_equal(pool.used_bytes, 0);
}

/* ---- threads ----------------------------------------------------------------------------------------- */

enum { THREADS = 3, ROUNDS = 3000 };

/* A mailbox of one chunk per thread: the owner puts, the thread takes, checks and gives back. */
static _Atomic(struct chunk *) mailbox[THREADS];
static atomic_int damaged;

static void *give_back(void *arg)
{
    _Atomic(struct chunk *) *box = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct chunk *c;
        while (!(c = atomic_exchange(box, NULL)))
            sched_yield();
        for (uint32_t k = 1; k < c->used; k++)
            if (c->data[k] != c->data[0])
                atomic_fetch_add(&damaged, 1);
        chunk_unref(c);
    }
    return NULL;
}

/* Fills one chunk, and sends a reference to every thread while keeping none. */
static void send_to_all(int round)
{
    struct chunk *c = chunk_new(&pool, 64);
    c->used = 64;
    memset(c->data, round, 64);
    for (int t = 1; t < THREADS; t++)
        chunk_ref(c);
    for (int t = 0; t < THREADS; t++) {
        while (atomic_load(&mailbox[t]))
            sched_yield();
        atomic_store(&mailbox[t], c);
    }
}

static void chunks_come_back_from_other_threads(void **state)
{
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, give_back, (void *)&mailbox[t]), 0);
    for (int i = 0; i < ROUNDS; i++)
        send_to_all(i);
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    assert_int_equal(damaged, 0);
    assert_int_equal(pool.used_bytes, 0);
    chunk_pool_trim(&pool);
    assert_in_range(pool.free_count, 1, 8);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_chunk_lives_until_its_last_reference),
        T(standard_chunks_are_used_again),
        T(odd_sizes_are_exact_and_not_kept),
        T(large_ones_are_kept_up_to_a_sum_if_asked_for),
        T(what_nobody_needs_between_two_trims_is_freed),
        T(no_more_are_kept_than_asked_for),
        T(running_out_of_memory_gives_null),
        T(chunks_come_back_from_other_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
