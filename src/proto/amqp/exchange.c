/* Class exchange (AMQP 0-9-1, 1.5). The core decides; replies wait until all shards have applied it. */
#include "base/err.h"
#include "proto/amqp/channel.h"

/* `why` is the core's, with the operation. */
static bool failed(struct amqp_channel *ch, uint32_t method, const struct op_entity *e)
{
    if (e->op.err)
        amqp_core_exception(ch, method, e->op.err, e->why);
    return e->op.err != 0;
}

static void over(struct conn *c, struct op *op, uint32_t method, uint32_t ok)
{
    bool nowait;
    struct op_entity *e = (struct op_entity *)op;
    struct amqp_channel *ch = amqp_op_over(c, op, &nowait);
    if (ch && !failed(ch, method, e) && !nowait)
        amqp_reply(ch, ok);
    op_entity_free(e);
}

static void declared(struct conn *c, struct op *op)
{
    over(c, op, AMQP_EXCHANGE_DECLARE, AMQP_EXCHANGE_DECLARE_OK);
}

void amqp_exchange_declare(struct amqp_channel *ch, const struct amqp_method *m)
{
    const struct amqp_exchange_declare *in = &m->exchange_declare;
    struct op_exchange_declare *d = amqp_op_new(ch, sizeof(*d), declared, in->nowait);
    d->name = amqp_keep(&d->e, in->exchange);
    d->type = amqp_keep(&d->e, in->type);
    d->args = amqp_keep(&d->e, in->arguments);
    d->passive = in->passive;
    d->durable = in->durable;
    d->auto_delete = in->auto_delete;
    d->internal = in->internal;
    op_exchange_declare_submit(d);
}

static void deleted(struct conn *c, struct op *op)
{
    over(c, op, AMQP_EXCHANGE_DELETE, AMQP_EXCHANGE_DELETE_OK);
}

void amqp_exchange_delete(struct amqp_channel *ch, const struct amqp_method *m)
{
    const struct amqp_exchange_delete *in = &m->exchange_delete;
    struct op_exchange_delete *d = amqp_op_new(ch, sizeof(*d), deleted, in->nowait);
    d->name = amqp_keep(&d->e, in->exchange);
    d->if_unused = in->if_unused;
    op_exchange_delete_submit(d);
}

static void bound(struct conn *c, struct op *op)
{
    over(c, op, AMQP_EXCHANGE_BIND, AMQP_EXCHANGE_BIND_OK);
}

void amqp_exchange_bind(struct amqp_channel *ch, const struct amqp_method *m)
{
    const struct amqp_exchange_bind *in = &m->exchange_bind;
    struct op_bind *b = amqp_op_new(ch, sizeof(*b), bound, in->nowait);
    b->kind = DEST_EXCHANGE;
    b->source = amqp_keep(&b->e, in->source);
    b->dest = amqp_keep(&b->e, in->destination);
    b->key = amqp_keep(&b->e, in->routing_key);
    b->args = amqp_keep(&b->e, in->arguments);
    op_bind_submit(b);
}

static void unbound(struct conn *c, struct op *op)
{
    over(c, op, AMQP_EXCHANGE_UNBIND, AMQP_EXCHANGE_UNBIND_OK);
}

void amqp_exchange_unbind(struct amqp_channel *ch, const struct amqp_method *m)
{
    const struct amqp_exchange_unbind *in = &m->exchange_unbind;
    struct op_bind *b = amqp_op_new(ch, sizeof(*b), unbound, in->nowait);
    b->kind = DEST_EXCHANGE;
    b->unbind = true;
    b->source = amqp_keep(&b->e, in->source);
    b->dest = amqp_keep(&b->e, in->destination);
    b->key = amqp_keep(&b->e, in->routing_key);
    b->args = amqp_keep(&b->e, in->arguments);
    op_bind_submit(b);
}
