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

enum { MANY = 1000 }; /* more than are read at once */

static struct queue_level *level_of(const char *queue)
{
    return log_user(kit_log(queue));
}

/* A queue with MANY messages, after a restart; the one of this offset was rejected, and waits. */
static void start_with_a_delayed_one(void **state, const char *args, unsigned offset)
{
    char body[KIT_BODY];
    kit_start(state);
    kit_declare("q", true, args);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(body, sizeof(body), "m%03u and more than that, so that it takes a bit of room", i);
        kit_publish_async("q", body, true);
        if (i % 16 == 0)
            kit_run_ms(1);
    }
    struct taker *t = kit_consume("q", 0, false);
    kit_run_ms(50);
    assert_int_equal(t->seen_count, MANY);
    kit_settle(t, offset + 1, offset + 1, OUTCOME_REJECT, true);
    kit_restart();
    kit_run_ms(10);
    kit_check();
    assert_int_equal(kit_ready("q"), MANY - 1);
}

/* Its place is inside of what was not read yet. */
static void a_retried_message_takes_its_old_place_after_a_restart(void **state)
{
    enum { THE_ONE = 950 };
    start_with_a_delayed_one(state, "x-max-retries=3;x-delayed-retry-min=500", THE_ONE);
    kit_run_ms(600);
    kit_check();
    struct taker *t = kit_consume("q", 0, false);
    kit_run_ms(50);
    assert_int_equal(t->seen_count, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        char body[KIT_BODY];
        snprintf(body, sizeof(body), "m%03u ", i);
        assert_memory_equal(t->seen[i].body, body, 5);
        assert_int_equal(t->seen[i].count, i == THE_ONE);
    }
    kit_release(t);
    kit_stop();
}

/* As many go as the limit says, and none of those that wait for their next attempt. */
static void a_limit_passes_by_what_is_delayed(void **state)
{
    enum { THE_ONE = 960 };
    start_with_a_delayed_one(state, "x-max-retries=3;x-delayed-retry-min=5000;x-max-length=1000", THE_ONE);
    for (unsigned i = 0; i < MANY - 20; i++)
        kit_publish_async("q", "new", true);
    kit_run_ms(20);
    kit_check();
    assert_int_equal(kit_ready("q"), MANY);
    assert_int_equal(level_of("q")->acked.low, THE_ONE);
    assert_true(acked_has(&level_of("q")->acked, THE_ONE + 1));
    kit_stop();
}

static void publish_many(const char *queue, unsigned from, unsigned to)
{
    char body[16];
    for (unsigned i = from; i < to; i++) {
        snprintf(body, sizeof(body), "m%u", i);
        assert_int_equal(kit_publish(queue, body, true), 0);
    }
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

/* On a full disk: who is refused must not get it later. */
static void a_delayed_message_that_was_refused_never_comes(void **state)
{
    enum { TRIES = 40000 };
    unsigned confirmed = 0;
    int err = 0;
    char body[900];
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = 0;
    kit_start(state);
    kit_declare_delayed("later");
    kit_declare("q", true, "");
    kit_bind("later", "q", "k");
    sim_disk_capacity(sim_disk_used());
    while (!err && confirmed < TRIES) {
        err = kit_publish_delayed("later", "k", body, 60000, -1);
        confirmed += !err;
    }
    assert_int_equal(err, ERR_NO_SPACE);
    sim_disk_capacity(UINT64_MAX);
    kit_check();
    kit_run_ms(70000);
    assert_int_equal(kit_ready("q"), confirmed);
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
        BOTH(a_limit_passes_by_what_is_delayed),
        BOTH(a_queue_that_is_deleted_lets_go_of_the_store),
        BOTH(a_delayed_message_expires_where_it_goes),
        BOTH(a_delayed_message_that_was_refused_never_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
