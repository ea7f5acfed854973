#include "core/op.h"

#include <assert.h>

#include "base/mem.h"
#include "core/broker.h"
#include "core/op_impl.h"

void *op_new(struct conn *c, size_t size, void (*complete)(struct conn *c, struct op *op), void *user)
{
    assert(c->magic == CONN_MAGIC && complete);
    struct op *op = op_new_internal(c->shard, size, complete, user);
    op->conn = c->handle;
    op->actor = c->actor;
    return op;
}

void *op_new_internal(struct shard *home, size_t size, void (*complete)(struct conn *c, struct op *op),
                      void *user)
{
    assert(size >= sizeof(struct op));
    struct op *op = mem_zalloc(size);
    op->home = home;
    op->actor = (struct actor){&auth_operator, &auth_default_vhost};
    op->complete = complete;
    op->user = user;
    return op;
}

void op_free(void *op)
{
    mem_free(op);
}

struct shard *op_owner(const struct op *op, unsigned shard)
{
    struct broker *b = op->home->broker;
    assert(shard < b->shard_count);
    return &b->shards[shard];
}

void op_send(struct op *op, struct shard *owner, void (*run)(struct shard *here, struct msg *m))
{
    if (owner == op->home) {
        run(owner, &op->msg);
        return;
    }
    op->msg.run = run;
    msg_send(op->home, owner, &op->msg);
}

void op_done(struct shard *home, struct op *op)
{
    assert(home == op->home);
    msg_push(&home->done, &op->msg);
}

static void arrived(struct shard *here, struct msg *m)
{
    op_done(here, container_of(m, struct op, msg));
}

void op_return(struct shard *here, struct op *op)
{
    if (here == op->home) {
        op_done(here, op);
        return;
    }
    op->msg.run = arrived;
    msg_send(here, op->home, &op->msg);
}
