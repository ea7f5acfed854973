/* Producer ids: given out from blocks that are durable before their first use, so never twice. */
#include "base/err.h"
#include "core/broker.h"
#include "core/op_impl.h"

enum { BLOCK_IDS = 1000 };

static void give_out(struct meta *m, int err)
{
    while (!list_empty(&m->producer_waiters)) {
        if (!err && m->producer_next == m->producer_limit)
            return;
        struct op_producer_id *p = list_entry(list_first(&m->producer_waiters), struct op_producer_id, link);
        list_del(&p->link);
        p->op.err = err;
        if (!err)
            p->producer_id = (int64_t)m->producer_next++;
        op_return(m->shard, &p->op);
    }
}

static int prepare_block(struct meta *m, struct meta_change *ch)
{
    ch->command = (struct meta_command){.type = META_PRODUCER_IDS, .next = m->producer_limit + BLOCK_IDS};
    return META_APPEND;
}

static void want_block(struct meta *m);

static void block_made(struct meta *m, struct meta_change *ch, int err)
{
    (void)ch;
    m->producer_block_wanted = false;
    give_out(m, err);
    if (!list_empty(&m->producer_waiters))
        want_block(m);
}

static void want_block(struct meta *m)
{
    if (m->producer_block_wanted)
        return;
    m->producer_block_wanted = true;
    meta_submit(m, meta_change_new(NULL, prepare_block, block_made));
}

static void start(struct shard *s, struct msg *msg)
{
    struct op_producer_id *p = container_of(msg, struct op_producer_id, op.msg);
    struct meta *m = s->broker->meta;
    p->op.err = auth_check(&p->op.actor, AUTH_WRITE, AUTH_BROKER, SPAN_NULL);
    if (p->op.err) {
        op_return(s, &p->op);
        return;
    }
    list_add_tail(&m->producer_waiters, &p->link);
    give_out(m, 0);
    if (!list_empty(&m->producer_waiters))
        want_block(m);
}

void op_producer_id_submit(struct op_producer_id *p)
{
    p->producer_epoch = 0;
    list_init(&p->link);
    op_send(&p->op, op_owner(&p->op, 0), start);
}
