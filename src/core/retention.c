/* When retention is looked at: each partition every retention.check-interval (Kafka's
 * LogManager.cleanupLogs()), a bounded number per turn. What goes is the store's to say, see store/retain.c.
 */
#include "core/metrics.h"
#include "core/partition.h"
#include "core/shard.h"
#include "core/watch.h"

enum { PER_TURN = 256, FIRST_MS = 30000 /* Kafka's initial delay */, RETRY_MS = 1000, NEXT_TURN_MS = 5 };

static uint64_t in_ms(const struct shard *s, uint64_t ms)
{
    return s->now_ns + ms * 1000000;
}

static void arm(struct shard *s, uint64_t not_before_ns)
{
    const struct heap_node *n = heap_first(&s->retention);
    if (n)
        shard_timer_set(s, &s->retention_timer, n->key > not_before_ns ? n->key : not_before_ns);
    else
        shard_timer_cancel(s, &s->retention_timer);
}

static int check(struct shard *s, struct partition *p)
{
    struct log_removed removed;
    int err = log_retain(p->log, s->now_ms, &removed);
    if (err || removed.records == 0)
        return err;
    watch_look(p); /* its start has moved */
    metrics_add(s->metrics, METRIC_RETENTION_RECORDS, removed.records);
    metrics_add(s->metrics, METRIC_RETENTION_BYTES, removed.bytes);
    metrics_add(s->metrics, METRIC_RETENTION_SEGMENTS, removed.segments);
    return 0;
}

static void fire(struct shard *s, struct shard_timer *t)
{
    struct heap_node *n;
    (void)t;
    if (s->saving)
        return;
    for (unsigned i = 0; i < PER_TURN && (n = heap_first(&s->retention)) && n->key <= s->now_ns; i++) {
        if (check(s, container_of(n, struct partition, retention)) != 0) {
            arm(s, in_ms(s, RETRY_MS)); /* the journal is full: that concerns the others, too */
            return;
        }
        heap_remove(&s->retention, n);
        heap_push(&s->retention, n, in_ms(s, s->config->retention_check_interval_ms));
    }
    shard_appended(s);
    arm(s, in_ms(s, NEXT_TURN_MS));
}

void retention_init(struct shard *s)
{
    heap_init(&s->retention);
    s->retention_timer.fire = fire;
}

void retention_add(struct shard *s, struct partition *p)
{
    uint64_t interval = s->config->retention_check_interval_ms;
    heap_push(&s->retention, &p->retention, in_ms(s, interval < FIRST_MS ? interval : FIRST_MS));
    if (heap_first(&s->retention) == &p->retention)
        arm(s, 0);
}

void retention_remove(struct shard *s, struct partition *p)
{
    heap_remove(&s->retention, &p->retention);
}
