#include "core/alarm.h"

#include "base/say.h"
#include "core/broker.h"
#include "core/op_impl.h"

enum { DISK_LOOK_MS = 2000 };

const char *alarm_reason(unsigned alarms)
{
    static const char *const words[] = {NULL, "low on memory", "low on disk", "low on memory and disk"};
    return words[alarms & 3];
}

void alarm_listen(struct shard *s, struct alarm_listener *l)
{
    list_add_tail(&s->alarm_listeners, &l->link);
}

unsigned alarm_state(const struct shard *s)
{
    return s->alarms;
}

/* Every shard hears of it in a turn of its own. */
static void set(struct broker *b, unsigned alarm, bool on, uint64_t figure)
{
    unsigned before = on ? atomic_fetch_or(&b->alarms, alarm) : atomic_fetch_and(&b->alarms, ~alarm);
    if (!!(before & alarm) == on)
        return;
    say_warn("broker", on ? "alarm: publishers to queues are held back" : "alarm is over",
             "reason=\"%s\" bytes=%llu", alarm_reason(alarm), (unsigned long long)figure);
    for (unsigned i = 0; i < b->shard_count; i++)
        os_loop_wake(b->loops[i]);
}

void alarm_look(struct shard *s, uint64_t bytes)
{
    struct broker *b = s->broker;
    if (bytes != s->queue_bytes_told) {
        uint64_t more = bytes - s->queue_bytes_told; /* modulo 2^64 */
        uint64_t sum = atomic_fetch_add(&b->queue_bytes, more) + more, limit = b->config->memory_queue_bytes;
        s->queue_bytes_told = bytes;
        metrics_gauge_add_at(s->metrics, METRIC_QUEUE_BYTES, 0, (int64_t)more);
        if (sum > limit / 10 * 8)
            set(b, ALARM_MEMORY, true, sum);
        else if (sum < limit / 10 * 6)
            set(b, ALARM_MEMORY, false, sum);
    }
    unsigned now = atomic_load_explicit(&b->alarms, memory_order_relaxed);
    if (now == s->alarms)
        return;
    s->alarms = now;
    list_each_safe (l, tmp, &s->alarm_listeners)
        list_entry(l, struct alarm_listener, link)
            ->changed(list_entry(l, struct alarm_listener, link), s, now);
}

/* ---- disk ------------------------------------------------------------------------------------------------
 */

static void looked(struct conn *c, struct op *op)
{
    struct op_space *o = container_of(op, struct op_space, op);
    struct shard *s = op->home;
    uint64_t limit = s->config->disk_free_limit, room = o->ret_free;
    struct store_figures figures;
    (void)c;
    if (!o->op.err && !s->saving) {
        store_figures(s->broker->store, &figures);
        bool was = atomic_load(&s->broker->alarms) & ALARM_DISK;
        set(s->broker, ALARM_DISK, figures.disk_full || room < (was ? limit + limit / 2 : limit), room);
    }
    if (!s->stopping)
        shard_timer_set(s, &s->broker->disk_timer, s->now_ns + DISK_LOOK_MS * 1000000ull);
    s->broker->disk_look = NULL;
    op_space_free(o);
}

static void look_at_disk(struct shard *s, struct shard_timer *t)
{
    (void)t;
    if (s->stopping)
        return;
    s->broker->disk_look = op_new_internal(s, sizeof(struct op_space), looked, NULL);
    op_space_submit(s->broker->disk_look);
}

void alarm_start(struct shard *shard0)
{
    struct broker *b = shard0->broker;
    b->disk_timer.fire = look_at_disk;
    shard_timer_set(shard0, &b->disk_timer, shard0->now_ns + DISK_LOOK_MS * 1000000ull);
}
