/* Appending a run of batches to logs of one shard: op.h says what, this is how. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/op_impl.h"

static void release(struct op_append *a, struct shard *s)
{
    assert(a->pending > 0);
    if (--a->pending == 0)
        op_return(s, &a->op);
}

/* Phase completions: durable, or never. */
static void durable(struct store_wait *w, int err)
{
    struct append_item *it = container_of(w, struct append_item, wait);
    struct op_append *a = it->run;
    struct shard *s = op_owner(&a->op, a->shard);
    const struct partition *p = partition_find(s, it->log_id);
    it->err = err;
    if (p)
        it->log_start = log_start(p->log);
    release(a, s);
}

/* ERR_AGAIN: the journal makes room; nothing has changed. */
static int append_one(struct shard *s, struct op_append *a, struct append_item *it)
{
    const struct partition *p = partition_find(s, it->log_id);
    it->timestamp = -1;
    if (!p || s->saving) {
        it->err = p ? ERR_STOPPING : ERR_NOT_FOUND;
        return 0;
    }
    it->log_start = log_start(p->log);
    int err = log_append(p->log, it->batch, &it->base_offset, &it->timestamp);
    if (err < 0) {
        it->err = err;
        return err == ERR_AGAIN ? ERR_AGAIN : 0;
    }
    it->err = 0;
    it->duplicate = err == 1;
    it->run = a;
    it->wait.done = durable;
    a->pending++;
    log_wait(p->log, &it->wait); /* a duplicate waits, too: its success depends on what it repeats */
    shard_appended(s);
    return 0;
}

static int append_rest(struct shard *s, struct op_append *a)
{
    for (; a->next < a->count; a->next++)
        if (append_one(s, a, &a->items[a->next]) == ERR_AGAIN)
            return ERR_AGAIN;
    release(a, s);
    return 0;
}

static int retry(struct shard *s, struct space_wait *w, int err)
{
    struct op_append *a = container_of(w, struct op_append, stall);
    if (!err)
        return append_rest(s, a);
    for (; a->next < a->count; a->next++)
        a->items[a->next].err = err;
    release(a, s);
    return 0;
}

static void start(struct shard *s, struct msg *m)
{
    struct op_append *a = container_of(m, struct op_append, op.msg);
    a->pending = 1; /* the run itself, until every item was tried */
    a->stall.retry = retry;
    if (shard_is_stalled(s) || append_rest(s, a) == ERR_AGAIN)
        shard_wait_for_space(s, &a->stall);
}

void op_append_submit(struct op_append *a)
{
    op_send(&a->op, op_owner(&a->op, a->shard), start);
}

void op_append_free(struct op_append *a)
{
    if (!a)
        return;
    for (uint32_t i = 0; i < a->count; i++)
        chunk_unref(a->items[i].chunk);
    mem_free(a->items);
    op_free(a);
}
