/* Consumers: basic.consume, basic.cancel, basic.deliver (AMQP 0-9-1, 1.8.3.3 to 9). */
#include <assert.h>

#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "proto/amqp/channel.h"

enum { MAX_TAG_BYTES = AMQP_SHORTSTR_MAX };

/* ---- life ---------------------------------------------------------------------------------------------- */

struct amqp_consumer *amqp_consumer_new(struct amqp_channel *ch, struct span tag, const struct queue_info *q)
{
    struct amqp_conn_channels *cc = ch->ac->shared;
    struct amqp_consumer *k = mem_zalloc(sizeof(*k));
    k->id = cc->next_consumer++;
    k->ch = ch;
    k->tag = amqp_span_dup(tag);
    k->queue_id = q->id;
    k->shard = q->shard;
    k->timeout_ms = q->config->consumer_timeout_ms >= 0 ? (uint64_t)q->config->consumer_timeout_ms
                                                        : amqp_shard(ch)->config->amqp_consumer_timeout_ms;
    limited_init(&k->limited);
    list_init(&k->owed_link);
    list_add_tail(&ch->state->consumers, &k->link);
    map_put_u64(&cc->consumers, k->id, k);
    if (!span_is_null(tag))
        map_put(&ch->state->by_tag, k->tag, k);
    return k;
}

/* Nobody can name it any more, and it gets no credit. */
static void retire(struct amqp_consumer *k)
{
    if (!span_is_null(k->tag) && map_get(&k->ch->state->by_tag, k->tag) == k)
        map_del(&k->ch->state->by_tag, k->tag);
    limiter_leave(&k->ch->state->limiter, &k->limited);
    list_del(&k->owed_link);
}

static void consumer_free(struct amqp_consumer *k)
{
    retire(k);
    amqp_stream_free(k);
    map_del_u64(&k->ch->ac->shared->consumers, k->id);
    list_del(&k->link);
    if (k->get)
        k->ch->state->getters--;
    amqp_span_free(&k->tag);
    mem_free(k);
}

static void released(struct conn *c, struct op *op)
{
    (void)c;
    op_free(op);
}

void amqp_release_handle(struct shard *s, unsigned shard, struct handle h)
{
    struct op_cancel *o = op_new_internal(s, sizeof(*o), released, NULL);
    o->shard = shard;
    o->consumer = h;
    o->release = true;
    op_cancel_submit(o);
}

void amqp_consumer_release(struct amqp_consumer *k)
{
    if (!k->stream && (k->phase == AMQP_CONSUMER_LIVE || k->phase == AMQP_CONSUMER_ENDED))
        amqp_release_handle(amqp_shard(k->ch), k->shard, k->handle);
    consumer_free(k);
}

/* It is over: gone once nothing of it is open. */
static void free_if_settled(struct amqp_consumer *k)
{
    if (k->unacked > 0)
        return;
    if (k->phase == AMQP_CONSUMER_ENDED) {
        amqp_flush(k->ch->ac->shared); /* the last settlement goes first */
        amqp_consumer_release(k);
    } else if (k->phase == AMQP_CONSUMER_GONE) {
        consumer_free(k);
    }
}

void amqp_consumer_settled(struct amqp_consumer *k)
{
    assert(k->unacked > 0);
    k->unacked--;
    if (k->stream)
        amqp_stream_hungry(k);
    free_if_settled(k);
}

void amqp_getter_drop(struct amqp_consumer *k)
{
    assert(k->get);
    if (k->phase == AMQP_CONSUMER_LIVE)
        k->phase = AMQP_CONSUMER_ENDED;
    free_if_settled(k);
}

/* ---- consume ------------------------------------------------------------------------------------------- */

static void consume_failed(struct amqp_channel *ch, struct amqp_consumer *k, int err)
{
    char vhost[256];
    struct queue_info *q = queue_info_by_id(amqp_shard(ch), k->queue_id);
    snprintf(vhost, sizeof(vhost), "%s", ch->ac->conn->actor.vhost->name);
    consumer_free(k);
    if (err == ERR_EXCLUSIVE && q)
        amqp_channel_exception(ch, AMQP_ACCESS_REFUSED, AMQP_BASIC_CONSUME,
                               "queue '%.*s' in vhost '%s' in exclusive use", SPAN_ARG(q->dest.name), vhost);
    else
        amqp_core_exception(ch, AMQP_BASIC_CONSUME, err, NULL);
}

static void consumed(struct conn *c, struct op *op)
{
    bool nowait;
    struct op_consume *o = (struct op_consume *)op;
    struct amqp_channel *ch = amqp_op_over(c, op, &nowait);
    struct amqp_consumer *k = ch ? map_get_u64(&ch->ac->shared->consumers, o->user) : NULL;
    if (!k) {
        if (!op->err)
            amqp_release_handle(op->home, o->shard, o->ret_consumer);
    } else if (op->err) {
        consume_failed(ch, k, op->err);
    } else {
        k->phase = AMQP_CONSUMER_LIVE;
        k->handle = o->ret_consumer;
        struct amqp_method ok = {.id = AMQP_BASIC_CONSUME_OK, .basic_consume_ok = {.consumer_tag = k->tag}};
        if (!nowait)
            amqp_send(ch, &ok);
    }
    op_free(o);
}

/* x-priority: a number, as rabbit_amqqueue:check_consume_arguments() asks. */
static bool consume_priority(struct amqp_channel *ch, struct span queue, struct span args, int32_t *ret)
{
    struct field f;
    *ret = 0;
    if (!fields_get_str(args, "x-priority", &f))
        return true;
    if (!field_is_integer(&f) || f.tag == 't' || f.tag == 'T') {
        amqp_channel_exception(
            ch, AMQP_PRECONDITION_FAILED, AMQP_BASIC_CONSUME,
            "invalid arg 'x-priority' for queue '%.*s' in vhost '%s': {unacceptable_type,%s}",
            SPAN_ARG(queue), ch->ac->conn->actor.vhost->name,
            f.tag == 'S'   ? "longstr"
            : f.tag == 't' ? "bool"
                           : "other");
        return false;
    }
    *ret = f.integer > INT32_MAX ? INT32_MAX : f.integer < INT32_MIN ? INT32_MIN : (int32_t)f.integer;
    return true;
}

/* True: the tag may be used; a made-up one is written to `made`. */
static bool consumer_tag(struct amqp_channel *ch, struct span *tag, char made[MAX_TAG_BYTES])
{
    if (tag->len == 0) {
        memcpy(made, "amq.ctag-", 9);
        amqp_random_name(amqp_shard(ch), made + 9);
        *tag = span_of(made, 9 + AMQP_RANDOM_CHARS);
        return true;
    }
    if (!map_get(&ch->state->by_tag, *tag))
        return true;
    amqp_channel_exception(ch, AMQP_NOT_ALLOWED, AMQP_BASIC_CONSUME, "attempt to reuse consumer tag '%.*s'",
                           SPAN_ARG(*tag));
    return false;
}

void amqp_basic_consume(struct amqp_channel *ch, const struct amqp_method *m)
{
    const struct amqp_basic_consume *in = &m->basic_consume;
    struct span name = in->queue, tag = in->consumer_tag;
    struct queue_info *q;
    char made[MAX_TAG_BYTES];
    int32_t priority;
    if (!consumer_tag(ch, &tag, made))
        return;
    if (amqp_is_reply_to(name)) {
        amqp_reply_consume(ch, in, tag);
        return;
    }
    if (!amqp_queue_name(ch, m->id, &name) || !amqp_queue_lookup(ch, m->id, name, AUTH_READ, &q) ||
        !consume_priority(ch, name, in->arguments, &priority))
        return;
    if (q->type == QUEUE_STREAM) {
        amqp_stream_consume(ch, in, tag, q);
        return;
    }
    struct amqp_consumer *k = amqp_consumer_new(ch, tag, q);
    k->no_ack = in->no_ack;
    k->exclusive = in->exclusive;
    struct op_consume *o = amqp_op_new(ch, sizeof(*o), consumed, in->nowait);
    o->queue_id = q->id;
    o->shard = q->shard;
    o->user = k->id;
    o->deliver = amqp_deliver;
    o->no_ack = in->no_ack;
    o->exclusive = in->exclusive;
    o->limited = !in->no_ack && ch->state->limiter.limit > 0;
    o->priority = priority;
    k->prefetch = o->prefetch = in->no_ack ? 0 : ch->state->prefetch;
    o->window = AMQP_WINDOW_BYTES;
    op_consume_submit(o);
}

/* ---- cancel -------------------------------------------------------------------------------------------- */

struct cancel {
    struct op_cancel op;
    uint64_t id;
    uint8_t tag_len, tag[MAX_TAG_BYTES];
};

static void cancel_ok(struct amqp_channel *ch, struct span tag, bool nowait)
{
    struct amqp_method ok = {.id = AMQP_BASIC_CANCEL_OK, .basic_cancel_ok = {.consumer_tag = tag}};
    if (!nowait)
        amqp_send(ch, &ok);
}

static void cancelled(struct conn *c, struct op *op)
{
    bool nowait;
    struct cancel *o = container_of(op, struct cancel, op.op);
    struct amqp_channel *ch = amqp_op_over(c, op, &nowait);
    if (ch) {
        struct amqp_consumer *k = map_get_u64(&ch->ac->shared->consumers, o->id);
        if (k && k->phase == AMQP_CONSUMER_LIVE) {
            k->phase = AMQP_CONSUMER_ENDED;
            retire(k);
            free_if_settled(k);
        }
        cancel_ok(ch, span_of(o->tag, o->tag_len), nowait);
        amqp_limiter_pump(ch);
    }
    op_free(o);
}

/* Nobody else is to be asked. */
static void stream_cancel(struct amqp_channel *ch, struct amqp_consumer *k, bool nowait)
{
    cancel_ok(ch, k->tag, nowait);
    k->phase = AMQP_CONSUMER_ENDED;
    retire(k);
    free_if_settled(k);
}

/* What the client does not know is cancelled already (AMQP 0-9-1, basic.cancel). */
void amqp_basic_cancel(struct amqp_channel *ch, const struct amqp_method *m)
{
    const struct amqp_basic_cancel *in = &m->basic_cancel;
    struct amqp_consumer *k = map_get(&ch->state->by_tag, in->consumer_tag);
    if (!k) {
        if (!span_is_null(ch->state->reply_tag) && span_eq(ch->state->reply_tag, in->consumer_tag))
            amqp_span_free(&ch->state->reply_tag);
        cancel_ok(ch, in->consumer_tag, in->nowait);
        return;
    }
    if (k->stream) {
        stream_cancel(ch, k, in->nowait);
        return;
    }
    struct cancel *o = amqp_op_new(ch, sizeof(*o), cancelled, in->nowait);
    o->id = k->id;
    o->tag_len = (uint8_t)in->consumer_tag.len;
    memcpy(o->tag, in->consumer_tag.ptr, in->consumer_tag.len);
    o->op.shard = k->shard;
    o->op.consumer = k->handle;
    op_cancel_submit(&o->op);
}

/* The queue is gone (RabbitMQ's consumer cancel notification). */
void amqp_consumer_gone(struct amqp_consumer *k)
{
    struct amqp_channel *ch = k->ch;
    struct amqp_method m = {.id = AMQP_BASIC_CANCEL,
                            .basic_cancel = {.consumer_tag = k->tag, .nowait = true}};
    if (k->phase == AMQP_CONSUMER_LIVE && !k->get && (ch->ac->capabilities & AMQP_CAN_CANCEL_NOTIFY))
        amqp_send(ch, &m);
    k->phase = AMQP_CONSUMER_GONE;
    retire(k);
    free_if_settled(k);
    amqp_limiter_pump(ch);
}

/* ---- deliver ------------------------------------------------------------------------------------------- */

struct span amqp_delivery_props(const struct delivery *d, struct arena *a)
{
    if (d->msg.format != MESSAGE_FORMAT_AMQP || d->msg.props.len < 2)
        return span_of("\0\0", 2); /* no property */
    if (!d->counted || d->count == 0)
        return d->msg.props;
    struct field count = {.tag = 'l', .integer = d->count};
    return amqp_props_with_header(d->msg.props, "x-delivery-count", &count, a);
}

static void deliver_one(struct amqp_consumer *k, const struct delivery *d, struct arena *a)
{
    struct amqp_channel_state *st = k->ch->state;
    struct amqp_method m = {.id = AMQP_BASIC_DELIVER,
                            .basic_deliver = {.consumer_tag = k->tag,
                                              .delivery_tag = st->next_tag++,
                                              .redelivered = d->redelivered,
                                              .exchange = d->msg.exchange,
                                              .routing_key = d->msg.key}};
    if (!k->no_ack) {
        amqp_unacked_begin(k->ch, k, m.basic_deliver.delivery_tag, d->lease);
    }
    amqp_send_content(k->ch, &m, amqp_delivery_props(d, a), d->msg.body, d->chunk);
}

static void window_given(struct conn *c, struct op *op)
{
    (void)c;
    op_free(op);
}

static struct op_window *window_new(struct amqp_consumer *k)
{
    struct op_window *w = op_new(k->ch->ac->conn, sizeof(*w), window_given, NULL);
    w->shard = k->shard;
    w->consumer = k->handle;
    w->prefetch = UINT32_MAX;
    return w;
}

/* The window opens as the client reads: not while much waits for it. */
static void give_window(struct amqp_consumer *k)
{
    struct amqp_conn *ac = k->ch->ac;
    if (k->phase != AMQP_CONSUMER_LIVE || k->owed < AMQP_WINDOW_BYTES / 4)
        return;
    if (ac->conn->out.len > AMQP_OUT_BUSY) {
        if (!list_linked(&k->owed_link))
            list_add_tail(&ac->shared->owed, &k->owed_link);
        return;
    }
    list_del(&k->owed_link);
    struct op_window *w = window_new(k);
    w->bytes = k->owed;
    k->owed = 0;
    op_window_submit(w);
}

void amqp_output_written(struct amqp_conn *ac)
{
    if (!ac->shared || ac->conn->out.len > AMQP_OUT_BUSY)
        return;
    list_each_safe (l, tmp, &ac->shared->owed) {
        struct amqp_consumer *k = list_entry(l, struct amqp_consumer, owed_link);
        if (k->stream)
            amqp_stream_pump(k);
        else
            give_window(k);
    }
}

static void deliver_run(struct amqp_consumer *k, const struct delivery_run *run)
{
    struct arena a;
    arena_init(&a);
    metrics_add(amqp_shard(k->ch)->metrics, METRIC_AMQP_DELIVERED, run->count);
    for (uint32_t i = 0; i < run->count; i++)
        deliver_one(k, &run->items[i], &a);
    arena_fini(&a);
    k->owed += run->bytes;
    if (!k->no_ack)
        limiter_delivered(&k->ch->state->limiter, &k->limited, run->count, run->unused);
    give_window(k);
    if (run->unused)
        amqp_limiter_pump(k->ch);
}

void amqp_deliver(struct conn *c, struct op *op)
{
    struct delivery_run *run = (struct delivery_run *)op;
    struct amqp_conn *ac = c ? amqp_conn_of(c->proto_state) : NULL;
    /* Of a consumer that is over nothing is sent: what it leased goes back with it. */
    struct amqp_consumer *k = ac && ac->shared ? map_get_u64(&ac->shared->consumers, run->user) : NULL;
    if (k && run->event == CONSUMER_DELIVERIES)
        deliver_run(k, run);
    else if (k && run->event == CONSUMER_CANCELLED)
        amqp_consumer_gone(k);
    else if (k && run->event == CONSUMER_AVAILABLE && k->ch->state->limiter.limit > 0) {
        limiter_wait(&k->ch->state->limiter, &k->limited);
        amqp_limiter_pump(k->ch);
    }
    delivery_run_free(run);
}

/* ---- the limit of a channel ---------------------------------------------------------------------------- */

void amqp_limiter_pump(struct amqp_channel *ch)
{
    uint32_t credit;
    struct limited *l;
    if (!ch->state || ch->state->limiter.waiting == 0)
        return;
    amqp_flush(ch->ac->shared); /* what was settled makes the room that is given out */
    while ((l = limiter_next(&ch->state->limiter, &credit))) {
        struct op_window *w = window_new(container_of(l, struct amqp_consumer, limited));
        w->credit = credit;
        op_window_submit(w);
    }
}

void amqp_consumer_limit(struct amqp_consumer *k, bool on)
{
    struct op_window *w = window_new(k);
    w->limit = on ? WINDOW_LIMIT : WINDOW_UNLIMIT;
    op_window_submit(w);
}
