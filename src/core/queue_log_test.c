/* What is written about deliveries: a snapshot says the same as the queues do, and no bytes do harm. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/queue_testkit.h"
#include "os/sim/sim.h"

/* A shard that has nothing but what it was told. */
static struct shard reader;
static struct queues folds;

static void forget_folds(void)
{
    folds = (struct queues){.shard = &reader};
    map_init(&folds.folds);
    reader.queues = &folds;
}

static uint8_t *snapshot_of(struct shard *s, unsigned slot, size_t *ret_len)
{
    struct outq q;
    outq_init(&q, &s->output_pool);
    queues_snapshot(s, slot, &q);
    uint8_t *bytes = mem_alloc(q.len + 1);
    *ret_len = q.len;
    outq_copy_to(&q, bytes);
    outq_fini(&q);
    return bytes;
}

static void assert_same_level(const struct queue_level *is, const struct queue_level *was, uint64_t next)
{
    const struct entry_note *n;
    const struct level_source *src;
    assert_int_equal(is->acked.low, was->acked.low);
    assert_int_equal(is->acked.above, was->acked.above);
    for (uint64_t o = 0; o < next; o++)
        assert_int_equal(acked_has(&is->acked, o), acked_has(&was->acked, o));
    assert_int_equal(is->move_seq, was->move_seq);
    assert_int_equal(is->notes.count, was->notes.count);
    for (size_t i = 0; (n = map_next(&was->notes, &i));) {
        const struct entry_note *m = map_get_u64(&is->notes, n->offset + 1);
        assert_non_null(m);
        assert_int_equal(m->offset, n->offset);
        assert_int_equal(m->count, n->count);
        assert_int_equal(m->retries, n->retries);
        assert_int_equal(m->due_ms, n->due_ms);
        assert_int_equal(m->move, n->move);
        assert_int_equal(m->order, n->order);
        assert_int_equal(m->reason, n->reason);
    }
    assert_int_equal(is->sources.count, was->sources.count);
    for (size_t i = 0; (src = map_next(&was->sources, &i));) {
        const struct level_source *o = map_get_u64(&is->sources, src->origin + 1);
        assert_non_null(o);
        assert_int_equal(o->seq, src->seq);
    }
}

/* Acknowledgements above the mark, retries that wait, and moves between shards. */
static void make_history(void **state)
{
    char body[16];
    kit_start(state);
    kit_declare("dead", true, "");
    kit_declare("other", true, "");
    kit_declare("third", true, "");
    kit_bind("amq.fanout", "dead", "");
    kit_bind("amq.fanout", "other", "");
    kit_bind("amq.fanout", "third", "");
    kit_declare("retry", true, "x-max-retries=3;x-delayed-retry-min=60000");
    kit_declare("q", true, "x-dead-letter-exchange=amq.fanout");
    for (unsigned i = 0; i < 40; i++) {
        snprintf(body, sizeof(body), "m%u", i);
        assert_int_equal(kit_publish(i % 2 ? "q" : "retry", body, true), 0);
    }
    struct taker *q = kit_consume("q", 0, false), *retry = kit_consume("retry", 0, false);
    kit_run_ms(20);
    kit_settle(q, 1, 3, OUTCOME_ACK, true);
    kit_settle(q, 7, 9, OUTCOME_ACK, true);
    kit_settle(q, 15, 15, OUTCOME_ACK, true);
    kit_settle(q, 11, 13, OUTCOME_REJECT, true);
    kit_settle(retry, 2, 2, OUTCOME_ACK, true);
    kit_settle(retry, 4, 7, OUTCOME_REJECT, true);
    kit_run_ms(100);
}

static void compare_slot(struct shard *s, unsigned slot, unsigned *ret_levels)
{
    size_t len;
    struct queue *q;
    uint8_t *bytes = snapshot_of(s, slot, &len);
    forget_folds();
    assert_int_equal(queues_restore(&reader, span_of(bytes, len)), 0);
    for (size_t i = 0; (q = queue_next(s->queues, &i));) {
        const struct queue_fold *f = map_get_u64(&folds.folds, q->info->id + 1);
        if (q->info->id % STORE_LOG_SLOTS != slot || !q->level.log || !f)
            continue;
        assert_same_level(&f->level, &q->level, log_next(q->level.log));
        ++*ret_levels;
    }
    queues_folds_fini(&folds);
    mem_free(bytes);
}

static void a_snapshot_says_what_the_queues_do(void **state)
{
    unsigned levels = 0;
    make_history(state);
    struct broker *b = kit_shard()->broker;
    for (unsigned i = 0; i < b->shard_count; i++)
        for (unsigned slot = 0; slot < STORE_LOG_SLOTS; slot++)
            compare_slot(&b->shards[i], slot, &levels);
    assert_true(levels >= 2);
    kit_stop();
}

/* Cut anywhere, or with any byte changed: refused, or taken as something else, but never more than that. */
static void damage_is_refused(void **state)
{
    make_history(state);
    struct queue_info *info = kit_queue("q");
    struct shard *s = &kit_shard()->broker->shards[info->shard];
    size_t len, refused = 0;
    uint8_t *bytes = snapshot_of(s, (unsigned)(info->id % STORE_LOG_SLOTS), &len);
    size_t at = 0; /* where its command begins: others of the slot may come before */
    assert_true(len > 9);
    for (size_t cut = 0; cut < len; cut++) {
        forget_folds();
        if (cut < 5)
            assert_int_equal(queues_restore(&reader, span_of(bytes, cut)), ERR_CORRUPT);
        else if (queues_restore(&reader, span_of(bytes, cut)))
            refused++;
        queues_folds_fini(&folds);
    }
    assert_true(refused > len / 2);
    for (at = 0; at < 9; at++) { /* the magic, the version, the length */
        bytes[at] ^= 0x40;
        forget_folds();
        assert_int_equal(queues_restore(&reader, span_of(bytes, len)), ERR_CORRUPT);
        queues_folds_fini(&folds);
        bytes[at] ^= 0x40;
    }
    mem_free(bytes);
    kit_stop();
}

/* Commands say things again, in snapshots and after them: once is as good as twice. */
static void a_command_may_come_again(void **state)
{
    make_history(state);
    struct queue_info *info = kit_queue("q");
    struct shard *s = &kit_shard()->broker->shards[info->shard];
    const struct queue *q = queue_by_id(s->queues, info->id);
    size_t len;
    uint8_t *bytes = snapshot_of(s, (unsigned)(info->id % STORE_LOG_SLOTS), &len);
    forget_folds();
    for (int i = 0; i < 3; i++)
        assert_int_equal(queues_restore(&reader, span_of(bytes, len)), 0);
    const struct queue_fold *f = map_get_u64(&folds.folds, info->id + 1);
    assert_non_null(f);
    assert_same_level(&f->level, &q->level, log_next(q->level.log));
    queues_folds_fini(&folds);
    mem_free(bytes);
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
        BOTH(a_snapshot_says_what_the_queues_do),
        BOTH(damage_is_refused),
        BOTH(a_command_may_come_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
