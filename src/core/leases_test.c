/* Leases against a plain array of what is open. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/leases.h"

enum { MANY = 20000 };

static char thing[MANY + 1]; /* entries are only pointers here */

static struct entry *entry_of(uint64_t n)
{
    return (struct entry *)&thing[n];
}

static void leases_are_settled_in_any_order(void **state)
{
    static char open[MANY + 1];
    struct leases l = {0};
    unsigned dice = 17, live = 0;
    for (uint64_t n = 1; n <= MANY; n++) {
        uint64_t number;
        assert_int_equal(leases_add(&l, entry_of(n)), n);
        open[n] = 1;
        live++;
        for (unsigned k = 0; k < 2; k++) {
            dice = dice * 1103515245 + 12345;
            uint64_t from = 1 + (dice >> 8) % n;
            struct entry *e = leases_next(&l, from, &number);
            uint64_t expected = from;
            while (expected <= n && !open[expected])
                expected++;
            assert_ptr_equal(e, expected <= n ? entry_of(expected) : NULL);
            if (e && live > 100 - k) {
                leases_take(&l, number);
                open[number] = 0;
                live--;
            }
        }
        assert_int_equal(l.live, live);
    }
    leases_fini(&l);
}

static void one_old_lease_holds_no_memory_but_its_own(void **state)
{
    struct leases l = {0};
    leases_add(&l, entry_of(1));
    for (uint64_t n = 2; n <= MANY; n++) {
        leases_add(&l, entry_of(n));
        leases_take(&l, n);
    }
    uint64_t number;
    assert_ptr_equal(leases_next(&l, 0, &number), entry_of(1));
    assert_int_equal(number, 1);
    assert_true(l.cap <= 8);
    leases_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leases_are_settled_in_any_order),
        cmocka_unit_test(one_old_lease_holds_no_memory_but_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
