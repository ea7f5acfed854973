/* What the simulation of queues (test/sim/queue_sim.c) has found, one by one. */
#include "core/queue_testkit.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/err.h"
#include "os/sim/sim.h"

static void publish_many(const char *queue, unsigned from, unsigned to)
{
    char body[16];
    for (unsigned i = from; i < to; i++) {
        snprintf(body, sizeof(body), "m%u", i);
        assert_int_equal(kit_publish(queue, body, true), 0);
    }
}

/* It waits in a place of its own then, inside of what was not read yet. */
static void a_retried_message_takes_its_old_place_after_a_restart(void **state)
{
    kit_start(state);
    kit_declare("q", true, "x-max-retries=3;x-delayed-retry-min=200");
    publish_many("q", 0, 5);
    struct taker *t = kit_consume("q", 0, false);
    kit_run_ms(10);
    kit_settle(t, 2, 2, OUTCOME_REJECT, true);
    kit_settle(t, 4, 4, OUTCOME_REJECT, true);
    kit_restart();
    kit_check();
    assert_int_equal(kit_ready("q"), 3);
    kit_run_ms(500);
    kit_check();
    assert_string_equal(kit_peek("q"), "m0 m1 m2 m3 m4");
    kit_stop();
}

static void a_message_behind_others_is_never_late(void **state)
{
    kit_start(state);
    kit_declare("q", true, "");
    publish_many("q", 0, 1);
    assert_int_equal(kit_publish_with("q", "short", true, 0, 100), 0);
    kit_run_ms(300);
    assert_int_equal(kit_ready("q"), 2);
    struct taker *t = kit_consume("q", 0, false);
    kit_run_ms(20);
    assert_int_equal(t->seen_count, 1);
    assert_string_equal(t->seen[0].body, "m0");
    kit_release(t);
    kit_stop();
}

static void a_ttl_of_zero_allows_for_delivery_at_once(void **state)
{
    kit_start(state);
    kit_declare("q", true, "");
    struct taker *t = kit_consume("q", 1, false);
    assert_int_equal(kit_publish_with("q", "now", true, 0, 0), 0);
    assert_int_equal(kit_publish_with("q", "late", true, 0, 0), 0); /* the consumer has what it may have */
    kit_run_ms(50);
    assert_int_equal(t->seen_count, 1);
    assert_string_equal(t->seen[0].body, "now");
    kit_settle(t, 1, 1, OUTCOME_ACK, false);
    kit_run_ms(50);
    assert_int_equal(t->seen_count, 1);
    assert_int_equal(kit_ready("q"), 0);
    kit_release(t);
    assert_int_equal(kit_publish_with("q", "nobody", false, 0, 0), 0);
    kit_run_ms(10);
    assert_int_equal(kit_ready("q"), 0);
    kit_check();
    kit_stop();
}

/* As many go as the limit says, and none of those that wait for their next attempt. */
static void a_limit_passes_by_what_is_delayed(void **state)
{
    kit_start(state);
    kit_declare("q", true, "x-max-retries=3;x-delayed-retry-min=400;x-max-length=3");
    publish_many("q", 0, 3);
    struct taker *t = kit_consume("q", 0, false);
    kit_run_ms(10);
    kit_settle(t, 1, 1, OUTCOME_REJECT, true);
    kit_crash(SIM_CRASH_DROP);
    publish_many("q", 3, 6);
    kit_run_ms(10);
    assert_int_equal(kit_ready("q"), 3);
    kit_check();
    t = kit_consume("q", 0, false);
    kit_run_ms(600);
    assert_int_equal(t->seen_count, 4);
    assert_string_equal(t->seen[0].body, "m3");
    assert_string_equal(t->seen[3].body, "m0");
    kit_release(t);
    kit_stop();
}

/* Its moves end after it does, and hold nothing of the store's until then. */
static void a_queue_that_is_deleted_lets_go_of_the_store(void **state)
{
    kit_start(state);
    kit_declare("dead", true, "");
    kit_declare("q", true, "x-dead-letter-exchange=;x-dead-letter-routing-key=dead");
    publish_many("q", 0, 8);
    kit_crash(SIM_CRASH_KEEP);
    struct taker *t = kit_consume("q", 0, false);
    kit_run_ms(20);
    assert_int_equal(t->seen_count, 8);
    kit_settle(t, 1, 8, OUTCOME_REJECT, false);
    kit_delete("q");
    kit_stop();
}

static void a_delayed_message_expires_where_it_goes(void **state)
{
    kit_start(state);
    kit_declare_delayed("later");
    kit_declare("q", true, "");
    kit_bind("later", "q", "k");
    assert_int_equal(kit_publish_delayed("later", "k", "m0", 500, 100), 0);
    kit_run_ms(540);
    assert_int_equal(kit_ready("q"), 1);
    kit_run_ms(200);
    assert_int_equal(kit_ready("q"), 0);
    kit_check();
    kit_stop();
}

#define BOTH(f)                                                                                              \
    {#f ", 1 shard", f, NULL, NULL, "1"},                                                                    \
    {                                                                                                        \
#f ", 3 shards", f, NULL, NULL, "3"                                                                  \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_retried_message_takes_its_old_place_after_a_restart),
        BOTH(a_message_behind_others_is_never_late),
        BOTH(a_ttl_of_zero_allows_for_delivery_at_once),
        BOTH(a_limit_passes_by_what_is_delayed),
        BOTH(a_queue_that_is_deleted_lets_go_of_the_store),
        BOTH(a_delayed_message_expires_where_it_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
