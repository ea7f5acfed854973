/* basic.get (AMQP 0-9-1, 1.8.3.10): one message, or none.
 *
 * The core leases to consumers only, so a channel has a nameless one for each queue that it polls, and keeps
 * those it used last. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "proto/amqp/channel.h"

struct get {
    struct op_get op;
    uint64_t id;
};

static void get_ok(struct amqp_channel *ch, struct amqp_consumer *k, const struct op_get *g)
{
    struct arena a;
    struct amqp_channel_state *st = ch->state;
    const struct delivery *d = &g->ret;
    struct amqp_method m = {
        .id = AMQP_BASIC_GET_OK,
        .basic_get_ok = {.delivery_tag = st->next_tag++,
                         .redelivered = d->redelivered,
                         .exchange = d->msg.exchange,
                         .routing_key = d->msg.key,
                         .message_count = g->ret_left > UINT32_MAX ? UINT32_MAX : (uint32_t)g->ret_left}};
    if (!k->no_ack) {
        amqp_unacked_begin(ch, k, m.basic_get_ok.delivery_tag, d->lease);
    }
    metrics_add(amqp_shard(ch)->metrics, METRIC_AMQP_DELIVERED, 1);
    arena_init(&a);
    amqp_send_content(ch, &m, amqp_delivery_props(d, &a), d->msg.body, d->chunk);
    arena_fini(&a);
}

static void got(struct conn *c, struct op *op)
{
    bool nowait;
    struct get *g = container_of(op, struct get, op.op);
    struct amqp_channel *ch = amqp_op_over(c, op, &nowait);
    struct amqp_consumer *k = ch ? map_get_u64(&ch->ac->shared->consumers, g->id) : NULL;
    if (ch && op->err) {
        amqp_core_exception(ch, AMQP_BASIC_GET, op->err, NULL);
    } else if (ch && k && g->op.ret_found) {
        get_ok(ch, k, &g->op);
    } else if (ch) {
        struct amqp_method empty = {.id = AMQP_BASIC_GET_EMPTY, .basic_get_empty = {span_of("", 0)}};
        amqp_send(ch, &empty);
    }
    op_get_free(&g->op);
}

static void get(struct amqp_channel *ch, struct amqp_consumer *k)
{
    struct get *g = amqp_op_new(ch, sizeof(*g), got, false);
    list_del(&k->link); /* used last */
    list_add_tail(&ch->state->consumers, &k->link);
    g->id = k->id;
    g->op.shard = k->shard;
    g->op.consumer = k->handle;
    op_get_submit(&g->op);
}

static void began(struct conn *c, struct op *op)
{
    bool nowait;
    struct op_consume *o = (struct op_consume *)op;
    struct amqp_channel *ch = amqp_op_over(c, op, &nowait);
    struct amqp_consumer *k = ch ? map_get_u64(&ch->ac->shared->consumers, o->user) : NULL;
    if (!k) {
        if (!op->err)
            amqp_release_handle(op->home, o->shard, o->ret_consumer);
    } else if (op->err) {
        amqp_consumer_release(k);
        amqp_core_exception(ch, AMQP_BASIC_GET, op->err, NULL);
    } else {
        k->phase = AMQP_CONSUMER_LIVE;
        k->handle = o->ret_consumer;
        get(ch, k);
    }
    op_free(o);
}

static void begin(struct amqp_channel *ch, const struct queue_info *q, bool no_ack)
{
    struct amqp_consumer *k = amqp_consumer_new(ch, SPAN_NULL, q);
    k->get = true;
    k->no_ack = no_ack;
    ch->state->getters++;
    struct op_consume *o = amqp_op_new(ch, sizeof(*o), began, false);
    o->queue_id = q->id;
    o->shard = q->shard;
    o->user = k->id;
    o->deliver = amqp_deliver;
    o->get = true;
    o->no_ack = no_ack;
    op_consume_submit(o);
}

/* The one used longest ago that holds nothing makes room. */
static void drop_one(struct amqp_channel *ch)
{
    list_each (l, &ch->state->consumers) {
        struct amqp_consumer *k = list_entry(l, struct amqp_consumer, link);
        if (k->get && k->phase == AMQP_CONSUMER_LIVE && k->unacked == 0) {
            amqp_getter_drop(k);
            return;
        }
    }
}

void amqp_basic_get(struct amqp_channel *ch, const struct amqp_method *m)
{
    const struct amqp_basic_get *in = &m->basic_get;
    struct span name = in->queue;
    struct queue_info *q;
    if (!amqp_queue_name(ch, m->id, &name) || !amqp_queue_lookup(ch, m->id, name, AUTH_READ, &q))
        return;
    if (q->type == QUEUE_STREAM) {
        amqp_channel_exception(ch, AMQP_NOT_IMPLEMENTED, m->id,
                               "basic.get not supported by stream queues queue '%.*s' in vhost '%s'",
                               SPAN_ARG(name), ch->ac->conn->actor.vhost->name);
        return;
    }
    list_each (l, &ch->state->consumers) {
        struct amqp_consumer *k = list_entry(l, struct amqp_consumer, link);
        if (k->get && k->queue_id == q->id && k->no_ack == in->no_ack && k->phase == AMQP_CONSUMER_LIVE) {
            get(ch, k);
            return;
        }
    }
    if (ch->state->getters >= AMQP_MAX_GETTERS)
        drop_one(ch);
    begin(ch, q, in->no_ack);
}
