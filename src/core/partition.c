#include "core/partition.h"

#include <assert.h>

#include "base/mem.h"
#include "core/broker.h"
#include "core/op_impl.h"
#include "core/shard.h"
#include "core/watch.h"

void partition_new(struct shard *s, struct log *log)
{
    struct partition *p = mem_zalloc(sizeof(*p));
    *p = (struct partition){.magic = PARTITION_MAGIC, .shard = s, .log = log};
    list_init(&p->parked);
    list_init(&p->watches);
    log_set_user(log, p);
    map_put_u64(&s->partitions, log_id(log), p);
    retention_add(s, p);
}

struct partition *partition_find(const struct shard *s, uint64_t log_id)
{
    return map_get_u64(&s->partitions, log_id);
}

static void wake(struct partition *p)
{
    list_each_safe (l, tmp, &p->parked)
        read_wake(p->shard, list_entry(l, struct read_wait, link));
}

void partition_delete(struct shard *s, uint64_t log_id)
{
    struct partition *p = map_del_u64(&s->partitions, log_id);
    assert(p && p->magic == PARTITION_MAGIC);
    while (!list_empty(&p->parked)) {
        struct read_wait *w = list_entry(list_first(&p->parked), struct read_wait, link);
        list_del(&w->link);
        read_wake(s, w); /* it will not find the partition */
    }
    watch_log_deleted(p);
    if (log_damaged(p->log))
        atomic_fetch_sub(&s->broker->damaged_logs, 1);
    retention_remove(s, p);
    log_set_user(p->log, NULL);
    store_log_delete(p->log);
    p->magic = 0;
    mem_free(p);
}

void partition_table_fini(struct shard *s)
{
    struct partition *p;
    for (size_t i = 0; (p = map_next(&s->partitions, &i));) {
        p->magic = 0;
        mem_free(p);
    }
}

void partition_advanced(struct log *log)
{
    struct partition *p = log_user(log);
    if (!p)
        return;
    assert(p->magic == PARTITION_MAGIC);
    list_each_safe (l, tmp, &p->parked)
        read_advanced(p->shard, list_entry(l, struct read_wait, link));
    watch_look(p);
}

void partition_trimmed(struct shard *s, uint64_t log_id)
{
    struct partition *p = partition_find(s, log_id);
    if (p)
        watch_look(p);
}

void partition_wake_all(struct shard *s)
{
    struct partition *p;
    for (size_t i = 0; (p = map_next(&s->partitions, &i));)
        wake(p);
    list_each_safe (l, tmp, &s->timed)
        read_wake(s, list_entry(l, struct read_wait, link));
}
