/* Moving the start of logs forward (DeleteRecords). */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/op_impl.h"

static void release(struct op_trim *t, struct shard *s)
{
    assert(t->pending > 0);
    if (--t->pending == 0)
        op_return(s, &t->op);
}

static void durable(struct store_wait *w, int err)
{
    struct trim_item *it = container_of(w, struct trim_item, wait);
    struct shard *s = op_owner(&it->run->op, it->run->shard);
    it->err = err;
    partition_trimmed(s, it->log_id);
    release(it->run, s);
}

static int trim_one(struct shard *s, struct op_trim *t, struct trim_item *it)
{
    const struct partition *p = partition_find(s, it->log_id);
    if (!p || s->saving) {
        it->err = p ? ERR_STOPPING : ERR_NOT_FOUND;
        return 0;
    }
    if (it->before < -1) {
        it->err = ERR_OFFSET_RANGE;
        return 0;
    }
    uint64_t before = it->before == -1 ? log_durable(p->log) : (uint64_t)it->before;
    it->err = 0;
    if (before > log_durable(p->log))
        it->err = ERR_OFFSET_RANGE;
    else if (before > log_start(p->log)) /* below the start there is nothing left to delete, as in Kafka */
        it->err = log_set_start(p->log, before);
    if (it->err)
        return it->err == ERR_AGAIN ? ERR_AGAIN : 0;
    it->log_start = log_start(p->log);
    it->run = t;
    it->wait.done = durable;
    t->pending++;
    log_wait(p->log, &it->wait);
    shard_appended(s);
    return 0;
}

static int trim_rest(struct shard *s, struct op_trim *t)
{
    for (; t->next < t->count; t->next++)
        if (trim_one(s, t, &t->items[t->next]) == ERR_AGAIN)
            return ERR_AGAIN;
    release(t, s);
    return 0;
}

/* A full disk must not stop deletes: what is refused with ERR_NO_SPACE here has also used up the reserve. */
static int retry(struct shard *s, struct space_wait *w, int err)
{
    struct op_trim *t = container_of(w, struct op_trim, stall);
    if (trim_rest(s, t) != ERR_AGAIN)
        return 0;
    if (!err)
        return ERR_AGAIN;
    for (; t->next < t->count; t->next++)
        t->items[t->next].err = err;
    release(t, s);
    return 0;
}

static void start(struct shard *s, struct msg *m)
{
    struct op_trim *t = container_of(m, struct op_trim, op.msg);
    t->pending = 1;
    t->stall.retry = retry;
    if (trim_rest(s, t) == ERR_AGAIN)
        shard_wait_for_space(s, &t->stall);
}

void op_trim_submit(struct op_trim *t)
{
    op_send(&t->op, op_owner(&t->op, t->shard), start);
}

void op_trim_free(struct op_trim *t)
{
    if (!t)
        return;
    mem_free(t->items);
    op_free(t);
}
