/* POST /api/queues/{vhost}/{name}/get: looks at messages of a queue, and takes them or puts them back.
 *
 * One operation after the other: a nameless consumer, a message at a time, what becomes of them, the
 * consumer's end. They belong to the broker, not to the connection, so that what was leased goes back if the
 * client has gone. */
#include <stdlib.h>

#include "app/mgmt_impl.h"
#include "base/base64.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/queue.h"
#include "core/user.h"
#include "proto/amqp/props.h"

enum {
    GET_MAX_COUNT = 10000,
    GET_MAX_BYTES = 32 << 20, /* of bodies in one answer, after which it ends early */
};

struct get {
    struct shard *home;
    struct http_ticket ticket;
    uint64_t queue_id;
    unsigned shard;
    struct handle consumer;
    json_t *out;
    json_int_t left, truncate;
    bool base64;
    enum outcome outcome;
    size_t bytes;
    uint64_t last_lease;
    int err;
};

/* ---- a message as JSON ----------------------------------------------------------------------------------
 */

static void put_text(json_t *o, const char *key, struct span s)
{
    if (!span_is_null(s))
        json_object_set_new(o, key, admin_json_span(s));
}

static json_t *properties_json(const struct message *m)
{
    struct amqp_props p;
    json_t *o = json_object();
    if (m->format != MESSAGE_FORMAT_AMQP || amqp_props_decode(m->props, &p) < 0)
        return o;
    put_text(o, "content_type", p.content_type);
    put_text(o, "content_encoding", p.content_encoding);
    put_text(o, "correlation_id", p.correlation_id);
    put_text(o, "reply_to", p.reply_to);
    put_text(o, "expiration", p.expiration);
    put_text(o, "message_id", p.message_id);
    put_text(o, "type", p.type);
    put_text(o, "user_id", p.user_id);
    put_text(o, "app_id", p.app_id);
    put_text(o, "cluster_id", p.cluster_id);
    if (p.flags & AMQP_DELIVERY_MODE)
        json_object_set_new(o, "delivery_mode", json_integer(p.delivery_mode));
    if (p.flags & AMQP_PRIORITY)
        json_object_set_new(o, "priority", json_integer(p.priority));
    if (p.flags & AMQP_TIMESTAMP)
        json_object_set_new(o, "timestamp", json_integer((json_int_t)p.timestamp));
    if (p.flags & AMQP_HEADERS) {
        json_t *headers = mgmt_json_of(p.headers);
        json_object_del(headers, "BCC"); /* which no consumer sees */
        json_object_set_new(o, "headers", headers);
    }
    return o;
}

/* As text if it is any, unless base64 is asked for. */
static void put_payload(json_t *o, const struct get *g, struct span body)
{
    struct span shown = body;
    if (g->truncate >= 0 && (json_int_t)shown.len > g->truncate)
        shown.len = (size_t)g->truncate;
    json_t *text = g->base64 ? NULL : json_stringn((const char *)shown.ptr, shown.len);
    json_object_set_new(o, "payload_bytes", json_integer((json_int_t)body.len));
    json_object_set_new(o, "payload_encoding", json_string(text ? "string" : "base64"));
    if (!text) {
        char *coded = mem_alloc(base64_len(shown.len) + 1);
        base64_write(shown, coded);
        text = json_string(coded);
        mem_free(coded);
    }
    json_object_set_new(o, "payload", text);
}

static json_t *message_json(const struct get *g, const struct delivery *d, uint64_t left)
{
    json_t *o = json_object();
    put_payload(o, g, d->msg.body);
    json_object_set_new(o, "redelivered", json_boolean(d->redelivered));
    put_text(o, "exchange", d->msg.exchange);
    put_text(o, "routing_key", d->msg.key);
    json_object_set_new(o, "message_count", json_integer((json_int_t)left));
    json_object_set_new(o, "properties", properties_json(&d->msg));
    return o;
}

/* ---- from the end to the beginning ----------------------------------------------------------------------
 */

static void answer(struct get *g)
{
    struct conn *c = handle_get(&g->home->conns, g->ticket.conn);
    if (c && g->err)
        mgmt_fail(c, g->ticket.seq, g->err, NULL);
    else if (c)
        admin_answer_json(c, g->ticket.seq, 200, json_incref(g->out));
    json_decref(g->out);
    mem_free(g);
}

static void cancelled(struct conn *c, struct op *op)
{
    struct get *g = op->user;
    (void)c;
    op_free(container_of(op, struct op_cancel, op));
    answer(g);
}

static void release(struct get *g)
{
    struct op_cancel *o = op_new_internal(g->home, sizeof(*o), cancelled, g);
    o->shard = g->shard;
    o->consumer = g->consumer;
    o->release = true;
    op_cancel_submit(o);
}

static void settled(struct conn *c, struct op *op)
{
    struct get *g = op->user;
    (void)c;
    g->err = op->err;
    op_settle_free(container_of(op, struct op_settle, op));
    release(g);
}

static void settle(struct get *g)
{
    if (g->last_lease == 0) {
        release(g);
        return;
    }
    struct op_settle *o = op_new_internal(g->home, sizeof(*o), settled, g);
    o->shard = g->shard;
    o->durable = true;
    op_settle_add(o, &(struct settle_item){g->consumer, 1, g->last_lease, g->outcome});
    op_settle_submit(o);
}

static void next(struct get *g);

static void got(struct conn *c, struct op *op)
{
    struct get *g = op->user;
    struct op_get *o = container_of(op, struct op_get, op);
    bool found = !op->err && o->ret_found;
    (void)c;
    if (found) {
        g->last_lease = o->ret.lease;
        g->bytes += o->ret.msg.body.len;
        g->left--;
        json_array_append_new(g->out, message_json(g, &o->ret, o->ret_left));
    }
    op_get_free(o);
    if (found && g->left > 0 && g->bytes < GET_MAX_BYTES)
        next(g);
    else
        settle(g);
}

static void next(struct get *g)
{
    struct op_get *o = op_new_internal(g->home, sizeof(*o), got, g);
    o->shard = g->shard;
    o->consumer = g->consumer;
    op_get_submit(o);
}

static void begun(struct conn *c, struct op *op)
{
    struct get *g = op->user;
    struct op_consume *o = container_of(op, struct op_consume, op);
    (void)c;
    g->err = op->err;
    g->consumer = o->ret_consumer;
    op_free(o);
    if (g->err)
        answer(g);
    else
        next(g);
}

/* A consumer that gets is told nothing. */
static void drop(struct conn *c, struct op *op)
{
    (void)c;
    delivery_run_free(container_of(op, struct delivery_run, op));
}

static void begin(struct get *g)
{
    struct op_consume *o = op_new_internal(g->home, sizeof(*o), begun, g);
    o->queue_id = g->queue_id;
    o->shard = g->shard;
    o->deliver = drop;
    o->get = true;
    op_consume_submit(o);
}

/* ---- the request ----------------------------------------------------------------------------------------
 */

/* -1: absent or no number. */
static json_int_t number_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    if (json_is_string(v)) /* rabbitmqadmin's */
        return strtoll(json_string_value(v), NULL, 10);
    return json_is_integer(v) ? json_integer_value(v) : -1;
}

/* NULL, or what is wrong. */
static const char *read_body(struct get *g, const json_t *o)
{
    static const struct {
        const char *name;
        enum outcome outcome;
    } modes[] = {{"ack_requeue_true", OUTCOME_REQUEUE},
                 {"reject_requeue_true", OUTCOME_REQUEUE},
                 {"ack_requeue_false", OUTCOME_ACK},
                 {"reject_requeue_false", OUTCOME_REJECT}};
    struct span mode = mgmt_text(o, "ackmode"), encoding = mgmt_text(o, "encoding");
    size_t i = 0;
    while (i < 4 && !span_eq_str(mode, modes[i].name))
        i++;
    if (i == 4)
        return "ackmode must be ack_requeue_true, ack_requeue_false, reject_requeue_true or "
               "reject_requeue_false";
    g->outcome = modes[i].outcome;
    g->left = number_of(o, "count");
    if (g->left < 1 || g->left > GET_MAX_COUNT)
        return "count must be a number from 1 to 10000";
    if (!span_eq_str(encoding, "auto") && !span_eq_str(encoding, "base64"))
        return "encoding must be auto or base64";
    g->base64 = span_eq_str(encoding, "base64");
    g->truncate = number_of(o, "truncate");
    return NULL;
}

void mgmt_queue_get(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct vspace *v = mgmt_space(c, ticket, req->params[0]);
    struct queue_info *q = NULL;
    json_t *o = v ? mgmt_take_body(c, req, ticket) : NULL;
    if (!o)
        return;
    struct get in = {.home = c->shard, .ticket = ticket};
    struct actor actor = {c->actor.principal, &v->vhost};
    int err = queue_find(c->shard, &actor, c->handle, AUTH_READ, req->params[1], &q);
    const char *why = err                       ? NULL
                      : q->type == QUEUE_STREAM ? "a stream has no messages to get"
                                                : read_body(&in, o);
    json_decref(o);
    if (err) {
        mgmt_fail(c, ticket.seq, err, NULL);
    } else if (why) {
        mgmt_bad_request(c, ticket.seq, why);
    } else {
        struct get *g = mem_alloc(sizeof(*g));
        *g = in;
        g->queue_id = q->id;
        g->shard = q->shard;
        g->out = json_array();
        begin(g);
    }
}
