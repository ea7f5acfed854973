/* The set of pointers, against a plain array as the model. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/ptrset.h"

#include <stdlib.h>

enum { ITEMS = 3000, OPS = 100000 };

struct item {
    uint64_t hash;
    bool in;
};

static struct item items[ITEMS];

static bool is_item(const void *item, const void *key)
{
    return item == key;
}

static void random_operations_agree_with_the_model(void **state)
{
    struct ptrset s;
    size_t count = 0;
    ptrset_init(&s);
    srand(5);
    for (int i = 0; i < ITEMS; i++)
        items[i] =
            (struct item){(uint64_t)(rand() % 700), false}; /* several of one hash, runs of neighbours */
    for (int op = 0; op < OPS; op++) {
        struct item *it = &items[rand() % ITEMS];
        assert_ptr_equal(ptrset_get(&s, it->hash, is_item, it), it->in ? it : NULL);
        bool wish = rand() % 10 < (op / (OPS / 4) == 2 ? 1 : 6);
        if (wish && !it->in)
            ptrset_put(&s, it->hash, it);
        else if (!wish && it->in)
            ptrset_del(&s, it->hash, it);
        count = count - it->in + wish;
        it->in = wish;
        assert_int_equal(s.count, count);
    }
    for (int i = 0; i < ITEMS; i++)
        assert_ptr_equal(ptrset_get(&s, items[i].hash, is_item, &items[i]), items[i].in ? &items[i] : NULL);
    struct item *it;
    for (size_t i = 0; (it = ptrset_next(&s, &i)); count--) {
        assert_true(it->in);
        it->in = false; /* each once */
    }
    assert_int_equal(count, 0);
    ptrset_fini(&s);
}

static void a_set_that_empties_gives_memory_back(void **state)
{
    struct ptrset s;
    ptrset_init(&s);
    for (int i = 0; i < ITEMS; i++)
        ptrset_put(&s, (uint64_t)i * 7919, &items[i]);
    size_t most = s.cap;
    for (int i = 1; i < ITEMS; i++)
        ptrset_del(&s, (uint64_t)i * 7919, &items[i]);
    assert_true(s.cap * 64 <= most);
    assert_ptr_equal(ptrset_get(&s, 0, is_item, &items[0]), &items[0]);
    ptrset_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_agree_with_the_model),
        cmocka_unit_test(a_set_that_empties_gives_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
