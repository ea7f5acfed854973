/* How much is stored of the logs of one shard, and how much room there is (DescribeLogDirs). */
#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/op_impl.h"
#include "store/store.h"

static void start_sizes(struct shard *s, struct msg *m)
{
    struct op_sizes *o = container_of(m, struct op_sizes, op.msg);
    for (uint32_t i = 0; i < o->count; i++) {
        const struct partition *p = partition_find(s, o->items[i].log_id);
        o->items[i].err = p ? 0 : ERR_NOT_FOUND;
        o->items[i].bytes = p ? log_bytes(p->log) : 0;
    }
    op_return(s, &o->op);
}

void op_sizes_submit(struct op_sizes *o)
{
    op_send(&o->op, op_owner(&o->op, o->shard), start_sizes);
}

void op_sizes_free(struct op_sizes *o)
{
    if (!o)
        return;
    mem_free(o->items);
    op_free(o);
}

/* ---- room -----------------------------------------------------------------------------------------------
 */

static void ask_disk(struct os_job *job)
{
    struct op_space *o = container_of(job, struct op_space, job);
    o->op.err = store_disk_space(o->op.home->broker->store, &o->ret_total, &o->ret_free);
}

static void disk_answered(struct os_job *job)
{
    struct op_space *o = container_of(job, struct op_space, job);
    op_return(o->op.home, &o->op);
}

void op_space_submit(struct op_space *o)
{
    o->job = (struct os_job){.run = ask_disk, .done = disk_answered, .home = o->op.home->loop};
    store_job(o->op.home->broker->store, &o->job);
}

void op_space_free(struct op_space *o)
{
    op_free(o);
}
