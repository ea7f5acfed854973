/* Class queue (AMQP 0-9-1, 1.7): what a queue is goes to the metadata, what is in it to its shard. */
#include "base/err.h"
#include "proto/amqp/channel.h"

/* The channel, if it is to be answered and nothing failed. */
static struct amqp_channel *over(struct conn *c, struct op *op, uint32_t method, bool *ret_nowait)
{
    struct op_entity *e = (struct op_entity *)op;
    struct amqp_channel *ch = amqp_op_over(c, op, ret_nowait);
    if (!ch || !op->err)
        return ch;
    amqp_core_exception(ch, method, op->err, e->why);
    return NULL;
}

/* ---- declare ------------------------------------------------------------------------------------------- */

static void set_last_queue(struct amqp_channel *ch, struct span name)
{
    amqp_span_free(&ch->state->last_queue);
    ch->state->last_queue = amqp_span_dup(name);
}

static uint32_t clamp(uint64_t n)
{
    return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static void declared(struct conn *c, struct op *op)
{
    bool nowait;
    struct op_queue_declare *d = (struct op_queue_declare *)op;
    struct amqp_channel *ch = over(c, op, AMQP_QUEUE_DECLARE, &nowait);
    if (ch) {
        struct amqp_method ok = {.id = AMQP_QUEUE_DECLARE_OK,
                                 .queue_declare_ok = {.queue = d->ret_name,
                                                      .message_count = clamp(d->ret_ready),
                                                      .consumer_count = d->ret_consumers}};
        set_last_queue(ch, d->ret_name);
        if (!nowait)
            amqp_send(ch, &ok);
    }
    op_entity_free(&d->e);
}

void amqp_queue_declare(struct amqp_channel *ch, const struct amqp_method *m)
{
    const struct amqp_queue_declare *in = &m->queue_declare;
    struct span name = in->queue;
    if (amqp_is_reply_to(name) || amqp_is_reply_address(name)) {
        amqp_reply_declare(ch, in);
        return;
    }
    struct op_queue_declare *d = amqp_op_new(ch, sizeof(*d), declared, in->nowait);
    d->name = amqp_keep(&d->e, name);
    d->args = amqp_keep(&d->e, in->arguments);
    d->passive = in->passive;
    d->durable = in->durable;
    d->exclusive = in->exclusive;
    d->auto_delete = in->auto_delete;
    op_queue_declare_submit(d);
}

/* ---- bind, unbind -------------------------------------------------------------------------------------- */

static void bound_or_not(struct conn *c, struct op *op, uint32_t method, uint32_t ok)
{
    bool nowait;
    struct amqp_channel *ch = over(c, op, method, &nowait);
    if (ch && !nowait)
        amqp_reply(ch, ok);
    op_entity_free((struct op_entity *)op);
}

static void bound(struct conn *c, struct op *op)
{
    bound_or_not(c, op, AMQP_QUEUE_BIND, AMQP_QUEUE_BIND_OK);
}

static void unbound(struct conn *c, struct op *op)
{
    bound_or_not(c, op, AMQP_QUEUE_UNBIND, AMQP_QUEUE_UNBIND_OK);
}

/* `x-target`, an extension: "topic" makes what is bound a topic instead of a queue. False: there was an
 * exception. */
static bool bind_target(struct amqp_channel *ch, uint32_t method, struct span args, struct span queue,
                        struct span *ret_name, enum dest_kind *ret_kind)
{
    struct field f;
    bool given = fields_get_str(args, "x-target", &f);
    *ret_name = queue;
    *ret_kind = given && f.tag == 'S' && span_eq_str(f.bytes, "topic") ? DEST_TOPIC : DEST_QUEUE;
    if (*ret_kind == DEST_TOPIC)
        return true;
    if (!given || (f.tag == 'S' && span_eq_str(f.bytes, "queue")))
        return amqp_queue_name(ch, method, ret_name);
    amqp_channel_exception(ch, AMQP_PRECONDITION_FAILED, method,
                           "invalid arg 'x-target': it is neither 'queue' nor 'topic'");
    return false;
}

/* With an empty queue name an empty key means the queue's name, too (AMQP 0-9-1, queue.bind). */
void amqp_queue_bind(struct amqp_channel *ch, const struct amqp_method *m)
{
    const struct amqp_queue_bind *in = &m->queue_bind;
    struct span name;
    enum dest_kind kind;
    if (!bind_target(ch, m->id, in->arguments, in->queue, &name, &kind))
        return;
    struct op_bind *b = amqp_op_new(ch, sizeof(*b), bound, in->nowait);
    b->kind = kind;
    b->source = amqp_keep(&b->e, in->exchange);
    b->dest = amqp_keep(&b->e, name);
    b->key = amqp_keep(&b->e, in->queue.len == 0 && in->routing_key.len == 0 ? name : in->routing_key);
    b->args = amqp_keep(&b->e, in->arguments);
    op_bind_submit(b);
}

void amqp_queue_unbind(struct amqp_channel *ch, const struct amqp_method *m)
{
    const struct amqp_queue_unbind *in = &m->queue_unbind;
    struct span name;
    enum dest_kind kind;
    if (!bind_target(ch, m->id, in->arguments, in->queue, &name, &kind))
        return;
    struct op_bind *b = amqp_op_new(ch, sizeof(*b), unbound, false);
    b->kind = kind;
    b->unbind = true;
    b->source = amqp_keep(&b->e, in->exchange);
    b->dest = amqp_keep(&b->e, name);
    b->key = amqp_keep(&b->e, in->queue.len == 0 && in->routing_key.len == 0 ? name : in->routing_key);
    b->args = amqp_keep(&b->e, in->arguments);
    op_bind_submit(b);
}

/* ---- purge, delete ------------------------------------------------------------------------------------- */

static void purged(struct conn *c, struct op *op)
{
    bool nowait;
    struct op_purge *p = (struct op_purge *)op;
    struct amqp_channel *ch = amqp_op_over(c, op, &nowait);
    if (ch && op->err)
        amqp_core_exception(ch, AMQP_QUEUE_PURGE, op->err, NULL);
    else if (ch && !nowait) {
        struct amqp_method ok = {.id = AMQP_QUEUE_PURGE_OK,
                                 .queue_purge_ok = {.message_count = clamp(p->ret_count)}};
        amqp_send(ch, &ok);
    }
    op_free(p);
}

void amqp_queue_purge(struct amqp_channel *ch, const struct amqp_method *m)
{
    const struct amqp_queue_purge *in = &m->queue_purge;
    struct span name = in->queue;
    struct queue_info *q;
    if (!amqp_queue_name(ch, m->id, &name) || !amqp_queue_lookup(ch, m->id, name, AUTH_READ, &q))
        return;
    if (q->type == QUEUE_STREAM) {
        amqp_channel_exception(ch, AMQP_NOT_IMPLEMENTED, m->id,
                               "queue.purge not supported by stream queues queue '%.*s' in vhost '%s'",
                               SPAN_ARG(name), ch->ac->conn->actor.vhost->name);
        return;
    }
    struct op_purge *p = amqp_op_new(ch, sizeof(*p), purged, in->nowait);
    p->queue_id = q->id;
    p->shard = q->shard;
    op_purge_submit(p);
}

static void deleted(struct conn *c, struct op *op)
{
    bool nowait;
    struct op_queue_delete *d = (struct op_queue_delete *)op;
    struct amqp_channel *ch = over(c, op, AMQP_QUEUE_DELETE, &nowait);
    if (ch && !nowait) {
        struct amqp_method ok = {.id = AMQP_QUEUE_DELETE_OK,
                                 .queue_delete_ok = {.message_count = clamp(d->ret_ready)}};
        amqp_send(ch, &ok);
    }
    op_entity_free(&d->e);
}

void amqp_queue_delete(struct amqp_channel *ch, const struct amqp_method *m)
{
    const struct amqp_queue_delete *in = &m->queue_delete;
    struct span name = in->queue;
    if (!amqp_queue_name(ch, m->id, &name))
        return;
    struct op_queue_delete *d = amqp_op_new(ch, sizeof(*d), deleted, in->nowait);
    d->name = amqp_keep(&d->e, name);
    d->if_unused = in->if_unused;
    d->if_empty = in->if_empty;
    op_queue_delete_submit(d);
}
