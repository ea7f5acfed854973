/* Queues: order, leases, settlement, limits, time, and what survives a crash. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/err.h"
#include "core/broker.h"
#include "core/queue_testkit.h"
#include "os/sim/sim.h"

static void publish_many(const char *queue, unsigned from, unsigned to, bool persistent)
{
    char body[16];
    for (unsigned i = from; i < to; i++) {
        snprintf(body, sizeof(body), "m%u", i);
        assert_int_equal(kit_publish(queue, body, persistent), 0);
    }
}

static void messages_come_out_in_order(void **state)
{
    kit_start(state);
    kit_declare("q", true, "");
    publish_many("q", 0, 3, true);
    publish_many("q", 3, 5, false);
    publish_many("q", 5, 6, true);
    assert_int_equal(kit_ready("q"), 6);
    kit_check();
    assert_string_equal(kit_drain("q"), "m0 m1 m2 m3 m4 m5");
    assert_int_equal(kit_ready("q"), 0);
    kit_check();
    kit_stop();
}

static void a_consumer_gets_what_its_prefetch_allows(void **state)
{
    kit_start(state);
    kit_declare("q", true, "");
    struct taker *t = kit_consume("q", 2, false);
    publish_many("q", 0, 5, true);
    kit_run_ms(10);
    assert_int_equal(t->seen_count, 2);
    assert_string_equal(t->seen[1].body, "m1");
    assert_int_equal(kit_unacked("q"), 2);
    kit_settle(t, 1, 1, OUTCOME_ACK, false);
    kit_run_ms(10);
    assert_int_equal(t->seen_count, 3);
    kit_settle(t, 2, 3, OUTCOME_ACK, true);
    kit_run_ms(10);
    assert_int_equal(t->seen_count, 5);
    kit_check();
    kit_release(t);
    assert_int_equal(kit_ready("q"), 2);
    assert_string_equal(kit_drain("q"), "m3 m4");
    kit_stop();
}

static uint64_t counted(enum metric m, unsigned slot)
{
    return metrics_sum(kit_shard()->broker->metrics, m, slot);
}

static void what_happens_to_messages_is_counted(void **state)
{
    kit_start(state);
    kit_declare("q", true, "x-max-length=4;x-overflow=reject-publish");
    publish_many("q", 0, 4, true);
    assert_int_equal(kit_publish("q", "m4", true), ERR_REFUSED);
    struct taker *t = kit_consume("q", 0, false);
    kit_run_ms(10);
    kit_settle(t, 1, 1, OUTCOME_ACK, true);
    kit_settle(t, 2, 2, OUTCOME_REQUEUE, true);
    kit_settle(t, 3, 3, OUTCOME_REJECT, true);
    kit_run_ms(10);
    kit_check();
    kit_release(t);
    assert_string_equal(kit_drain("q"), "m1 m3");
    kit_check();
    assert_int_equal(counted(METRIC_QUEUE_IN, 0), 4);
    assert_int_equal(counted(METRIC_QUEUE_REFUSED, 0), 1);
    assert_int_equal(counted(METRIC_QUEUE_DELIVERED, 0), 5);
    assert_int_equal(counted(METRIC_QUEUE_DELIVERED_NO_ACK, 0), 2);
    assert_int_equal(counted(METRIC_QUEUE_REDELIVERED, 0), 3);
    assert_int_equal(counted(METRIC_QUEUE_ACKNOWLEDGED, 0), 1);
    assert_int_equal(counted(METRIC_QUEUE_DROPPED, DEATH_REJECTED), 1);
    assert_int_equal(counted(METRIC_QUEUE_DROPPED, DEATH_MAXLEN), 0);
    kit_stop();
}

static void a_deleted_queue_counts_no_longer(void **state)
{
    kit_start(state);
    kit_declare("q", true, "");
    publish_many("q", 0, 3, true);
    struct taker *t = kit_consume("q", 2, false);
    kit_run_ms(10);
    kit_check();
    kit_delete("q");
    kit_run_ms(10);
    kit_check();
    assert_int_equal(counted(METRIC_QUEUE_READY, 0), 0);
    kit_release(t);
    kit_check();
    kit_stop();
}

static void a_quorum_queue_keeps_every_message(void **state)
{
    kit_start(state);
    kit_declare("quorum", true, "x-queue-type=quorum");
    kit_declare("classic", true, "");
    publish_many("quorum", 0, 2, false);
    publish_many("classic", 0, 2, false);
    kit_crash(SIM_CRASH_DROP);
    assert_int_equal(kit_ready("classic"), 0);
    assert_string_equal(kit_drain("quorum"), "m0 m1");
    kit_stop();
}

static void consumers_take_turns(void **state)
{
    kit_start(state);
    kit_declare("q", false, "");
    struct taker *a = kit_consume("q", 0, true), *b = kit_consume("q", 0, true);
    publish_many("q", 0, 10, false);
    kit_run_ms(10);
    assert_int_equal(a->seen_count, 5);
    assert_int_equal(b->seen_count, 5);
    assert_int_equal(a->seen[0].lease, 0);
    kit_release(a);
    kit_release(b);
    kit_stop();
}

static void what_comes_back_takes_its_old_place(void **state)
{
    kit_start(state);
    kit_declare("q", true, "");
    publish_many("q", 0, 4, true);
    struct taker *t = kit_consume("q", 3, false);
    kit_run_ms(10);
    kit_settle(t, 1, 1, OUTCOME_ACK, false);
    kit_run_ms(10);
    assert_int_equal(t->seen_count, 4);
    kit_release(t);
    kit_check();
    struct taker *u = kit_consume("q", 0, false);
    kit_run_ms(10);
    assert_int_equal(u->seen_count, 3);
    assert_string_equal(u->seen[0].body, "m1");
    assert_true(u->seen[0].redelivered);
    assert_string_equal(u->seen[2].body, "m3");
    kit_release(u);
    kit_stop();
}

static void acknowledged_messages_stay_away_after_a_crash(void **state)
{
    kit_start(state);
    kit_declare("q", true, "");
    publish_many("q", 0, 10, true);
    publish_many("q", 10, 12, false);
    struct taker *t = kit_consume("q", 0, false);
    kit_run_ms(10);
    assert_int_equal(t->seen_count, 12);
    kit_settle(t, 1, 2, OUTCOME_ACK, false);
    kit_settle(t, 5, 5, OUTCOME_ACK, false);
    kit_settle(t, 8, 9, OUTCOME_ACK, true);
    kit_crash(SIM_CRASH_DROP);
    assert_int_equal(kit_ready("q"), 5);
    kit_check();
    assert_string_equal(kit_peek("q"), "m2 m3 m5 m6 m9");
    struct taker *u = kit_consume("q", 0, false);
    kit_run_ms(10);
    assert_int_equal(u->seen_count, 5);
    assert_true(u->seen[0].redelivered);
    kit_settle(u, 1, 5, OUTCOME_ACK, true);
    kit_crash(SIM_CRASH_DROP);
    assert_int_equal(kit_ready("q"), 0);
    kit_stop();
}

static void acknowledgements_survive_an_orderly_stop(void **state)
{
    kit_start(state);
    kit_declare("q", true, "");
    publish_many("q", 0, 6, true);
    struct taker *t = kit_consume("q", 0, false);
    kit_run_ms(10);
    kit_settle(t, 2, 2, OUTCOME_ACK, false);
    kit_restart();
    assert_string_equal(kit_drain("q"), "m0 m2 m3 m4 m5");
    kit_stop();
}

static void a_deep_queue_is_read_from_its_log(void **state)
{
    kit_start(state);
    kit_declare("q", true, "");
    char body[16];
    for (unsigned i = 0; i < 3 * QUEUE_LOADED_MAX; i++) {
        snprintf(body, sizeof(body), "m%u", i);
        kit_publish_async("q", body, true);
        if (i % 64 == 0)
            kit_run_ms(1);
    }
    kit_run_ms(100);
    assert_int_equal(kit_ready("q"), 3 * QUEUE_LOADED_MAX);
    kit_check();
    struct taker *t = kit_consume("q", 500, false);
    unsigned seen = 0;
    while (seen < 3 * QUEUE_LOADED_MAX - 500) {
        kit_run_ms(10);
        assert_true(t->seen_count > 0);
        for (unsigned i = 0; i < t->seen_count; i++, seen++) {
            snprintf(body, sizeof(body), "m%u", seen);
            assert_string_equal(t->seen[i].body, body);
        }
        uint64_t last = t->seen[t->seen_count - 1].lease;
        kit_window(t, t->bytes, 0);
        t->seen_count = 0;
        t->bytes = 0;
        kit_settle(t, 1, last, OUTCOME_ACK, false);
        kit_check();
    }
    kit_release(t);
    kit_stop();
}

static void messages_expire_at_the_head(void **state)
{
    kit_start(state);
    kit_declare("q", true, "x-message-ttl=1000");
    publish_many("q", 0, 2, true);
    assert_int_equal(kit_publish_with("q", "short", true, 0, 100), 0);
    kit_run_ms(500);
    assert_int_equal(kit_ready("q"), 3);
    kit_run_ms(600);
    assert_int_equal(kit_ready("q"), 0);
    kit_check();
    kit_stop();
}

static void a_time_of_zero_is_for_who_waits_already(void **state)
{
    kit_start(state);
    kit_declare("q", true, "");
    kit_declare("none", true, "x-max-length=0");
    struct taker *t = kit_consume("q", 2, false), *u = kit_consume("none", 1, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kit_publish_with("q", "p", true, 0, 0), 0);
        assert_int_equal(kit_publish("none", "n", i > 0), 0);
    }
    kit_run_ms(10);
    assert_int_equal(t->seen_count, 2);
    assert_int_equal(u->seen_count, 1);
    assert_int_equal(kit_ready("q"), 0);
    assert_int_equal(kit_ready("none"), 0);
    kit_settle(t, 1, 2, OUTCOME_REQUEUE, false); /* expired meanwhile */
    kit_run_ms(10);
    assert_int_equal(t->seen_count, 2);
    kit_check();
    kit_release(t);
    kit_release(u);
    kit_stop();
}

static void a_full_queue_drops_its_head_or_refuses(void **state)
{
    kit_start(state);
    kit_declare("drop", true, "x-max-length=3");
    kit_declare("refuse", true, "x-max-length=2;x-overflow=reject-publish");
    publish_many("drop", 0, 5, true);
    publish_many("refuse", 0, 2, true);
    assert_int_equal(kit_publish("refuse", "late", true), ERR_REFUSED);
    kit_run_ms(10);
    assert_string_equal(kit_drain("drop"), "m2 m3 m4");
    assert_string_equal(kit_drain("refuse"), "m0 m1");
    kit_stop();
}

static void higher_priorities_come_first(void **state)
{
    kit_start(state);
    kit_declare("q", true, "x-max-priority=5");
    assert_int_equal(kit_publish_with("q", "a1", true, 1, -1), 0);
    assert_int_equal(kit_publish_with("q", "b5", true, 5, -1), 0);
    assert_int_equal(kit_publish_with("q", "c1", true, 1, -1), 0);
    assert_int_equal(kit_publish_with("q", "d9", true, 9, -1), 0);
    assert_string_equal(kit_peek("q"), "b5 d9 a1 c1");
    kit_crash(SIM_CRASH_DROP);
    assert_string_equal(kit_peek("q"), "b5 d9 a1 c1");
    kit_check();
    kit_stop();
}

static void there_may_be_255_priorities(void **state)
{
    kit_start(state);
    kit_declare("q", true, "x-max-priority=255");
    assert_int_equal(kit_publish_with("q", "a0", true, 0, -1), 0);
    assert_int_equal(kit_publish_with("q", "b255", true, 255, -1), 0);
    assert_int_equal(kit_publish_with("q", "c254", true, 254, -1), 0);
    assert_string_equal(kit_peek("q"), "b255 c254 a0");
    kit_crash(SIM_CRASH_DROP);
    assert_string_equal(kit_peek("q"), "b255 c254 a0");
    kit_check();
    kit_stop();
}

static void the_dead_move_once(void **state)
{
    kit_start(state);
    kit_declare("dead", true, "");
    kit_declare("dead2", true, "");
    kit_declare("dead3", true, "");
    kit_bind("amq.fanout", "dead", "");
    kit_bind("amq.fanout", "dead2", "");
    kit_bind("amq.fanout", "dead3", "");
    kit_declare("q", true, "x-dead-letter-exchange=amq.fanout");
    publish_many("q", 0, 3, true);
    struct taker *t = kit_consume("q", 0, false);
    kit_run_ms(10);
    kit_settle(t, 1, 3, OUTCOME_REJECT, false);
    kit_run_ms(50);
    kit_check();
    assert_int_equal(kit_ready("q"), 0);
    kit_crash(SIM_CRASH_DROP);
    assert_int_equal(kit_ready("q"), 0);
    assert_string_equal(kit_drain("dead"), "m0 m1 m2");
    assert_string_equal(kit_drain("dead2"), "m0 m1 m2");
    assert_string_equal(kit_drain("dead3"), "m0 m1 m2");
    kit_stop();
}

/* Whenever the power fails, each message is in the source or in every target, once. */
static void the_dead_are_neither_lost_nor_doubled(void **state)
{
    for (unsigned at = 0; at < 40; at++) {
        kit_start(state);
        kit_declare("dead", true, "");
        kit_declare("other", true, "");
        kit_bind("amq.fanout", "dead", "");
        kit_bind("amq.fanout", "other", "");
        kit_declare("q", true, "x-dead-letter-exchange=amq.fanout");
        publish_many("q", 0, 4, true);
        struct taker *t = kit_consume("q", 0, false);
        kit_run_ms(10);
        uint64_t before = sim_disk_ops();
        kit_settle(t, 1, 4, OUTCOME_REJECT, false);
        kit_run_ms(50);
        uint64_t after = sim_disk_ops();
        struct sim_image *image = sim_disk_image(before + at % (after - before + 1), SIM_CRASH_RANDOM);
        kit_stop();
        sim_boot(image, 13 + at);
        kit_boot();
        struct taker *u = kit_consume("q", 0, false);
        kit_run_ms(50);
        if (u->seen_count)
            kit_settle(u, 1, u->seen_count, OUTCOME_REJECT, false);
        kit_run_ms(50);
        assert_int_equal(kit_ready("q"), 0);
        assert_string_equal(kit_drain("dead"), "m0 m1 m2 m3");
        assert_string_equal(kit_drain("other"), "m0 m1 m2 m3");
        kit_check();
        kit_stop();
    }
}

static void retries_wait_longer_each_time(void **state)
{
    kit_start(state);
    kit_declare("dead", true, "");
    kit_declare(
        "q", true,
        "x-max-retries=2;x-delayed-retry-min=1000;x-dead-letter-exchange=;x-dead-letter-routing-key=dead");
    publish_many("q", 0, 1, true);
    struct taker *t = kit_consume("q", 0, false);
    kit_run_ms(20);
    kit_settle(t, 1, 1, OUTCOME_REJECT, false);
    kit_run_ms(800);
    assert_int_equal(t->seen_count, 1);
    kit_run_ms(400);
    assert_int_equal(t->seen_count, 2);
    kit_settle(t, 2, 2, OUTCOME_REJECT, true);
    kit_restart();
    t = kit_consume("q", 0, false);
    kit_run_ms(1500);
    assert_int_equal(t->seen_count, 0);
    kit_run_ms(800);
    assert_int_equal(t->seen_count, 1);
    assert_true(t->seen[0].redelivered);
    kit_settle(t, 1, 1, OUTCOME_REJECT, true);
    kit_run_ms(50);
    assert_int_equal(kit_ready("q"), 0);
    assert_string_equal(kit_drain("dead"), "m0");
    kit_check();
    kit_stop();
}

/* A move that failed comes again with its number: none that is later may be taken in between. */
static void a_move_that_failed_is_waited_for(void **state)
{
    enum { TOO_LARGE = 400 << 10 }; /* for a journal file of 1 MiB */
    static char large[TOO_LARGE];
    kit_start(state);
    kit_declare("q", true, "");
    assert_int_equal(kit_move("q", 77, 1, "one", 3), 0);
    assert_true(kit_move("q", 77, 2, large, sizeof(large)) < 0);
    assert_int_equal(kit_move("q", 77, 3, "three", 5), ERR_AGAIN);
    assert_int_equal(kit_move("q", 78, 3, "other", 5), 0);
    assert_int_equal(kit_move("q", 77, 1, "one", 3), 0); /* again */
    assert_int_equal(kit_move("q", 77, 2, "two", 3), 0);
    assert_int_equal(kit_move("q", 77, 3, "three", 5), 0);
    assert_int_equal(kit_move("q", 77, 2, "two", 3), 0);
    assert_string_equal(kit_peek("q"), "one other two three");
    kit_crash(SIM_CRASH_DROP);
    assert_int_equal(kit_move("q", 77, 3, "three", 5), 0);
    assert_true(kit_move("q", 77, 4, large, sizeof(large)) < 0);
    assert_int_equal(kit_move("q", 77, 5, "five", 4), ERR_AGAIN);
    kit_run_ms(2 * QUEUE_MOVE_MISSED_MS); /* it was meant for others, it seems */
    assert_int_equal(kit_move("q", 77, 5, "five", 4), 0);
    assert_string_equal(kit_drain("q"), "one other two three five");
    kit_check();
    kit_stop();
}

/* An x-delayed-message exchange has a queue of its own, from which messages go on when they are due. */
static void what_is_delayed_goes_on_in_time(void **state)
{
    kit_start(state);
    kit_declare("q", true, "");
    kit_declare("r", true, "");
    kit_declare_delayed("later");
    kit_bind("later", "q", "k");
    kit_bind("later", "r", "k");
    assert_int_equal(kit_publish_delayed("later", "k", "slow", 3000, -1), 0);
    assert_int_equal(kit_publish_delayed("later", "k", "fast", 1000, -1), 0);
    kit_run_ms(500);
    assert_int_equal(kit_ready("q"), 0);
    kit_run_ms(1000);
    assert_string_equal(kit_peek("q"), "fast");
    kit_restart();
    kit_run_ms(500);
    assert_int_equal(kit_ready("q"), 1);
    kit_run_ms(2000);
    assert_string_equal(kit_drain("q"), "fast slow");
    assert_string_equal(kit_drain("r"), "fast slow");
    kit_check();
    kit_stop();
}

static void a_purge_is_for_good(void **state)
{
    kit_start(state);
    kit_declare("q", true, "");
    publish_many("q", 0, 5, true);
    struct taker *t = kit_consume("q", 1, false);
    kit_run_ms(10);
    assert_int_equal(kit_purge("q"), 4);
    kit_check();
    kit_release(t);
    kit_crash(SIM_CRASH_DROP);
    assert_string_equal(kit_drain("q"), "m0");
    kit_stop();
}

static void consumers_hear_that_their_queue_is_gone(void **state)
{
    kit_start(state);
    kit_declare("q", true, "");
    publish_many("q", 0, 5, true);
    struct taker *t = kit_consume("q", 2, false);
    kit_run_ms(10);
    kit_delete("q");
    kit_run_ms(10);
    assert_int_equal(t->cancelled, 1);
    kit_settle(t, 1, 2, OUTCOME_ACK, false); /* no harm */
    kit_release(t);
    kit_stop();
}

static void one_consumer_is_active_at_a_time(void **state)
{
    kit_start(state);
    kit_declare("q", true, "x-single-active-consumer=true");
    struct taker *a = kit_consume("q", 0, false), *b = kit_consume("q", 0, false);
    publish_many("q", 0, 3, true);
    kit_run_ms(10);
    assert_int_equal(a->seen_count, 3);
    assert_int_equal(b->seen_count, 0);
    kit_release(a);
    kit_run_ms(10);
    assert_int_equal(b->seen_count, 3);
    assert_int_equal(b->active, 1);
    kit_release(b);
    kit_stop();
}

/* One message is held while very many pass by: it moves, and what was before it goes. */
static void an_old_message_does_not_keep_the_log(void **state)
{
    enum { OTHERS = 3000 };
    char body[KIT_BODY];
    kit_start(state);
    kit_set("queue.segment-bytes", "64KiB");
    kit_declare("q", true, "");
    struct taker *old = kit_consume("q", 2, false);
    publish_many("q", 0, 2, true);
    kit_run_ms(10);
    assert_int_equal(old->seen_count, 2);
    struct taker *t = kit_consume("q", 0, false);
    for (unsigned i = 0; i < OTHERS; i++) {
        snprintf(body, sizeof(body), "others %050u", i);
        kit_publish_async("q", body, true);
        if (i % 50 == 49) {
            kit_run_ms(5);
            kit_window(t, t->bytes, 0);
            kit_settle(t, 1, t->seen[t->seen_count - 1].lease, OUTCOME_ACK, true);
            t->seen_count = 0;
            t->bytes = 0;
        }
    }
    kit_run_ms(100);
    kit_check();
    assert_true(log_start(kit_log("q")) > OTHERS / 4);
    publish_many("q", 2, 3, true);
    kit_crash(SIM_CRASH_DROP);
    assert_string_equal(kit_drain("q"), "m0 m1 m2");
    kit_check();
    kit_stop();
}

static void check_order(const struct taker *t, unsigned count)
{
    char body[16];
    assert_int_equal(t->seen_count, count);
    for (unsigned i = 0; i < count; i++) {
        snprintf(body, sizeof(body), "m%u", i);
        assert_string_equal(t->seen[i].body, body);
    }
}

static struct taker *take_all(const char *queue, unsigned count)
{
    struct taker *t = kit_consume_with(queue, (struct op_consume){.limited = true}, NULL);
    kit_window(t, 0, count);
    kit_run_ms(100);
    check_order(t, count);
    return t;
}

/* Far from each other, so that the way to each place is long; and some leave meanwhile. */
static void what_comes_back_in_any_order_takes_its_old_place(void **state)
{
    enum { ALL = 1000, STEP = 367 };
    kit_start(state);
    kit_declare("q", true, "");
    publish_many("q", 0, ALL, true);
    struct taker *t = take_all("q", ALL);
    for (unsigned i = 0; i < ALL; i++) {
        uint64_t lease = (uint64_t)i * STEP % ALL + 1;
        kit_settle(t, lease, lease, OUTCOME_RELEASE, false);
        if (i % 300 == 299) {
            struct taker *other = kit_consume("q", 100, false);
            kit_run_ms(20);
            assert_int_equal(other->seen_count, 100);
            kit_release(other);
            kit_check();
        }
    }
    kit_release(t);
    kit_release(take_all("q", ALL));
    kit_stop();
}

/* Of frames, not of variables: a sanitizer keeps these elsewhere, to see who uses them too late. */
static uintptr_t top, deepest;

static struct span note_depth(const struct message *m, const struct death *d, struct arena *a)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    (void)d;
    (void)a;
    if (top - here > deepest)
        deepest = top - here;
    return m->props;
}

/* Frames are many times as large under a sanitizer. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_SHIFT 4
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STACK_SHIFT 4
#endif
#endif
#ifndef STACK_SHIFT
#define STACK_SHIFT 0
#endif

/* Each leads to the next, and all are full: it comes to the last one, and not by recursion. */
static void a_long_way_of_full_queues_needs_no_stack(void **state)
{
    enum { QUEUES = 300, STACK_BYTES = 64 << 10 << STACK_SHIFT };
    static const struct message_format format = {.name = "test", .dead = note_depth};
    char name[16], args[160];
    kit_start(state);
    for (unsigned i = 0; i < QUEUES; i++) {
        snprintf(name, sizeof(name), "c%u", i);
        snprintf(args, sizeof(args),
                 "x-max-length=0;x-overflow=reject-publish-dlx;x-dead-letter-exchange=;"
                 "x-dead-letter-routing-key=c%u",
                 i + 1);
        kit_declare(name, true, i + 1 < QUEUES ? args : "");
    }
    message_formats[MESSAGE_FORMAT_NONE] = &format;
    top = (uintptr_t)__builtin_frame_address(0);
    deepest = 0;
    assert_int_equal(kit_publish("c0", "m0", true), ERR_REFUSED);
    kit_run_ms(QUEUES * 10);
    assert_true(deepest > 0 && deepest < STACK_BYTES);
    message_formats[MESSAGE_FORMAT_NONE] = NULL;
    assert_string_equal(kit_drain("c299"), "m0");
    kit_check();
    kit_stop();
}

/* Credit is of no use to a consumer that is not the active one. */
static void a_limited_consumer_that_is_not_active_asks_for_nothing(void **state)
{
    kit_start(state);
    kit_declare("q", true, "x-single-active-consumer=true");
    struct taker *a = kit_consume("q", 1, false);
    struct taker *b = kit_consume_with("q", (struct op_consume){.limited = true}, NULL);
    publish_many("q", 0, 3, true);
    kit_run_ms(20);
    assert_int_equal(a->seen_count, 1);
    assert_int_equal(b->available, 0);
    kit_window(b, 0, 2);
    kit_run_ms(20);
    assert_int_equal(b->unused, 2);
    kit_release(a);
    kit_run_ms(20);
    assert_int_equal(b->active, 1);
    assert_int_equal(b->available, 1);
    kit_window(b, 0, 2);
    kit_run_ms(20);
    assert_int_equal(b->seen_count, 2);
    kit_release(b);
    kit_stop();
}

/* More than a queue may give out in one turn: the rest has its chance in the next one. */
static void a_burst_is_for_who_waits_whatever_the_limits(void **state)
{
    enum { BURST = QUEUE_TURN_MAX + 500 };
    kit_start(state);
    kit_declare("q", false, "x-max-length=0");
    struct taker *a = kit_consume("q", 0, true), *b = kit_consume("q", 0, true);
    kit_publish_burst("q", "m", BURST, 0);
    kit_run_ms(100);
    assert_int_equal(a->seen_count + b->seen_count, BURST);
    kit_release(a);
    kit_release(b);
    kit_stop();
}

/* What consumers are about to take fills no queue; what they may not take does. */
static void a_full_queue_refuses_nothing_that_somebody_waits_for(void **state)
{
    kit_start(state);
    kit_declare("q", true, "x-max-length=2;x-overflow=reject-publish");
    struct taker *t = kit_consume("q", 5, false);
    for (unsigned i = 0; i < 10; i++)
        kit_publish_async("q", "m", true);
    kit_run_ms(50);
    assert_int_equal(t->seen_count, 5);
    assert_int_equal(kit_ready("q"), 2);
    assert_int_equal(kit_publish("q", "m", true), ERR_REFUSED);
    kit_release(t);
    kit_check();
    kit_stop();
}

/* It holds memory of the store, in every state that a message can be in. */
static void what_was_read_again_does_not_outlive_the_store(void **state)
{
    kit_start(state);
    kit_declare("q", true, "");
    publish_many("q", 0, 20, true);
    kit_crash(SIM_CRASH_KEEP);
    struct taker *t = kit_consume("q", 5, false);
    kit_run_ms(20);
    assert_int_equal(t->seen_count, 5);
    kit_stop();
}

static void a_limited_consumer_is_told_and_asks(void **state)
{
    kit_start(state);
    kit_declare("q", true, "");
    struct taker *t = kit_consume_with("q", (struct op_consume){.limited = true}, NULL);
    kit_window(t, 0, 2);
    kit_run_ms(10);
    assert_int_equal(t->unused, 2);
    publish_many("q", 0, 3, true);
    kit_run_ms(10);
    assert_int_equal(t->seen_count, 0);
    assert_int_equal(t->available, 1);
    kit_window(t, 0, 2);
    kit_run_ms(10);
    assert_int_equal(t->seen_count, 2);
    assert_int_equal(t->available, 2);
    kit_window(t, 0, 2);
    kit_run_ms(10);
    assert_int_equal(t->seen_count, 3);
    assert_int_equal(t->unused, 3);
    kit_release(t);
    kit_stop();
}

static void a_running_consumer_can_be_limited_and_freed_again(void **state)
{
    kit_start(state);
    kit_declare("q", true, "");
    struct taker *t = kit_consume("q", 0, false);
    kit_limit(t, WINDOW_LIMIT, 0);
    publish_many("q", 0, 5, true);
    kit_run_ms(10);
    assert_int_equal(t->seen_count, 0);
    assert_int_equal(t->available, 1);
    kit_window(t, 0, 2);
    kit_run_ms(10);
    assert_int_equal(t->seen_count, 2);
    kit_limit(t, WINDOW_UNLIMIT, 0);
    kit_run_ms(10);
    assert_int_equal(t->seen_count, 5);
    kit_release(t);
    kit_stop();
}

static void exclusive_consumers_are_alone(void **state)
{
    int err;
    kit_start(state);
    kit_declare("q", true, "");
    struct taker *a = kit_consume_with("q", (struct op_consume){.exclusive = true}, NULL);
    struct taker *b = kit_consume_with("q", (struct op_consume){0}, &err);
    assert_int_equal(err, ERR_EXCLUSIVE);
    kit_release(b);
    kit_release(a);
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
        BOTH(messages_come_out_in_order),
        BOTH(a_consumer_gets_what_its_prefetch_allows),
        BOTH(what_happens_to_messages_is_counted),
        BOTH(a_deleted_queue_counts_no_longer),
        BOTH(a_quorum_queue_keeps_every_message),
        BOTH(consumers_take_turns),
        BOTH(what_comes_back_takes_its_old_place),
        BOTH(acknowledged_messages_stay_away_after_a_crash),
        BOTH(acknowledgements_survive_an_orderly_stop),
        BOTH(a_deep_queue_is_read_from_its_log),
        BOTH(messages_expire_at_the_head),
        BOTH(a_time_of_zero_is_for_who_waits_already),
        BOTH(a_full_queue_drops_its_head_or_refuses),
        BOTH(higher_priorities_come_first),
        BOTH(there_may_be_255_priorities),
        BOTH(the_dead_move_once),
        BOTH(the_dead_are_neither_lost_nor_doubled),
        BOTH(retries_wait_longer_each_time),
        BOTH(an_old_message_does_not_keep_the_log),
        BOTH(what_comes_back_in_any_order_takes_its_old_place),
        BOTH(a_full_queue_refuses_nothing_that_somebody_waits_for),
        BOTH(a_long_way_of_full_queues_needs_no_stack),
        BOTH(a_limited_consumer_that_is_not_active_asks_for_nothing),
        BOTH(a_burst_is_for_who_waits_whatever_the_limits),
        BOTH(a_move_that_failed_is_waited_for),
        BOTH(what_is_delayed_goes_on_in_time),
        BOTH(a_purge_is_for_good),
        BOTH(consumers_hear_that_their_queue_is_gone),
        BOTH(one_consumer_is_active_at_a_time),
        BOTH(what_was_read_again_does_not_outlive_the_store),
        BOTH(a_limited_consumer_is_told_and_asks),
        BOTH(a_running_consumer_can_be_limited_and_freed_again),
        BOTH(exclusive_consumers_are_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
