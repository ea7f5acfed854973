/* POST /api/exchanges/{vhost}/{name}/publish: one message through an exchange, answered when it is where it
 * goes. */
#include <stdlib.h>

#include "app/mgmt_impl.h"
#include "base/base64.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/alarm.h"
#include "core/broker.h"
#include "core/queue.h"
#include "core/subject.h"
#include "core/user.h"
#include "proto/amqp/props.h"

struct publishing {
    struct shard *home;
    struct http_ticket ticket;
    struct vspace *space; /* one reference */
    struct message m;     /* in `chunk` */
    struct chunk *chunk;  /* one reference */
    unsigned waiting;
    bool subjects; /* subscriptions hear it, when it is where it goes */
    bool routed;
    int err;
};

/* ---- the message ----------------------------------------------------------------------------------------
 */

/* -1: it is not a number from 0 to `max`. */
static int64_t number_in(struct span text, int64_t max)
{
    int64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || n > max)
            return -1;
        n = n * 10 + (text.ptr[i] - '0');
    }
    return text.len && n <= max ? n : -1;
}

static void set_text(const json_t *o, const char *key, unsigned flag, struct amqp_props *p, struct span *ret)
{
    struct span s = mgmt_text(o, key);
    if (span_is_null(s))
        return;
    *ret = s;
    p->flags |= (uint16_t)flag;
}

static bool set_octet(const json_t *v, unsigned flag, struct amqp_props *p, uint8_t *ret)
{
    if (!v)
        return true;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > UINT8_MAX)
        return false;
    *ret = (uint8_t)json_integer_value(v);
    p->flags |= (uint16_t)flag;
    return true;
}

static bool texts_fit(const struct amqp_props *p)
{
    const struct span all[] = {p->content_type, p->content_encoding, p->correlation_id, p->reply_to,
                               p->expiration,   p->message_id,       p->type,           p->user_id,
                               p->app_id,       p->cluster_id};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i].len > UINT8_MAX)
            return false;
    return true;
}

/* NULL, or what is wrong. */
static const char *read_properties(const json_t *o, struct arena *a, struct amqp_props *p)
{
    const json_t *mode = json_object_get(o, "delivery_mode"), *priority = json_object_get(o, "priority");
    const json_t *timestamp = json_object_get(o, "timestamp"), *headers = json_object_get(o, "headers");
    set_text(o, "content_type", AMQP_CONTENT_TYPE, p, &p->content_type);
    set_text(o, "content_encoding", AMQP_CONTENT_ENCODING, p, &p->content_encoding);
    set_text(o, "correlation_id", AMQP_CORRELATION_ID, p, &p->correlation_id);
    set_text(o, "reply_to", AMQP_REPLY_TO, p, &p->reply_to);
    set_text(o, "expiration", AMQP_EXPIRATION, p, &p->expiration);
    set_text(o, "message_id", AMQP_MESSAGE_ID, p, &p->message_id);
    set_text(o, "type", AMQP_TYPE, p, &p->type);
    set_text(o, "user_id", AMQP_USER_ID, p, &p->user_id);
    set_text(o, "app_id", AMQP_APP_ID, p, &p->app_id);
    set_text(o, "cluster_id", AMQP_CLUSTER_ID, p, &p->cluster_id);
    if (!texts_fit(p))
        return "a property has more than 255 bytes";
    if (!set_octet(mode, AMQP_DELIVERY_MODE, p, &p->delivery_mode) ||
        !set_octet(priority, AMQP_PRIORITY, p, &p->priority))
        return "delivery_mode and priority must be numbers from 0 to 255";
    if (json_is_integer(timestamp))
        p->flags |= AMQP_TIMESTAMP, p->timestamp = (uint64_t)json_integer_value(timestamp);
    if (headers && mgmt_table_of(headers, a, &p->headers) < 0)
        return "the headers cannot be read";
    if (headers)
        p->flags |= AMQP_HEADERS;
    return NULL;
}

static const char *read_payload(const json_t *o, struct arena *a, struct span *ret)
{
    struct span text = mgmt_text(o, "payload"), encoding = mgmt_text(o, "payload_encoding");
    if (span_is_null(text))
        return "payload must be a text";
    if (span_is_null(encoding) || span_eq_str(encoding, "string")) {
        *ret = text;
        return NULL;
    }
    if (!span_eq_str(encoding, "base64"))
        return "payload_encoding must be string or base64";
    uint8_t *bytes = arena_alloc(a, text.len + 1);
    int n = base64_read(text, bytes, text.len);
    *ret = span_of(bytes, n < 0 ? 0 : (size_t)n);
    return n < 0 ? "the payload is not base64" : NULL;
}

/* Borrows from the body and the arena. */
static const char *read_message(const json_t *o, struct arena *a, struct amqp_props *p, struct message *m)
{
    *m = (struct message){.ttl_ms = -1, .format = MESSAGE_FORMAT_AMQP};
    m->key = mgmt_text(o, "routing_key");
    if (span_is_null(m->key) || m->key.len > UINT8_MAX)
        return "routing_key must be a text of at most 255 bytes";
    const char *why = read_properties(json_object_get(o, "properties"), a, p);
    if (!why)
        why = read_payload(o, a, &m->body);
    if (why)
        return why;
    if (p->flags & AMQP_EXPIRATION && (m->ttl_ms = number_in(p->expiration, UINT32_MAX)) < 0)
        return "expiration must be a text of digits, in milliseconds";
    m->flags = p->delivery_mode == 2 ? MESSAGE_PERSISTENT : 0;
    m->priority = p->priority;
    m->props = amqp_props_encode(p, a);
    return NULL;
}

/* ---- who may --------------------------------------------------------------------------------------------
 */

struct key_check {
    const struct actor *actor;
    struct span exchange;
    int err;
};

static void check_key(void *arg, struct span key)
{
    struct key_check *k = arg;
    if (!k->err)
        k->err = auth_check_topic(k->actor, AUTH_WRITE, k->exchange, key);
}

/* As for who publishes by AMQP. */
static int may_publish(const struct actor *actor, const struct exchange *x, const struct amqp_props *p,
                       const struct message *m)
{
    struct key_check k = {actor, x->name, 0};
    if (x->internal)
        return ERR_DENIED;
    if (p->flags & AMQP_USER_ID && !span_eq_str(p->user_id, actor->principal->name) &&
        !auth_has_tag(actor->principal, USER_IMPERSONATOR))
        return ERR_DENIED;
    if (x->type == EXCHANGE_TOPIC || x->inner == EXCHANGE_TOPIC) {
        check_key(&k, m->key);
        message_formats[MESSAGE_FORMAT_AMQP]->more_keys(m, check_key, &k);
    }
    return k.err;
}

/* ---- on its way -----------------------------------------------------------------------------------------
 */

static void publishing_free(struct publishing *p)
{
    space_unref(p->space);
    chunk_unref(p->chunk);
    mem_free(p);
}

static void step(struct publishing *p)
{
    if (--p->waiting > 0)
        return;
    if (p->subjects && subject_deliver_message(p->home, p->space, &p->m, p->chunk, NULL))
        p->routed = true;
    struct conn *c = handle_get(&p->home->conns, p->ticket.conn);
    if (c && p->err)
        mgmt_fail(c, p->ticket.seq, p->err, NULL);
    else if (c)
        admin_answer_json(c, p->ticket.seq, 200, json_pack("{s:b}", "routed", p->routed));
    publishing_free(p);
}

static void arrived(struct conn *c, struct op *op)
{
    struct op_publish *o = container_of(op, struct op_publish, op);
    struct publishing *p = op->user;
    (void)c;
    if (!p->err)
        p->err = op->err ? op->err : o->items[0].err;
    op_publish_free(o);
    step(p);
}

static void send_to(struct publishing *p, unsigned shard, uint64_t queue_id, const struct message *m)
{
    struct op_publish *o = op_new_internal(p->home, sizeof(*o), arrived, p);
    o->shard = shard;
    op_publish_add(o)->msg = *m;
    op_publish_add_queue(o, queue_id);
    op_publish_keep(o, p->chunk);
    o->bytes = m->body.len + m->props.len;
    p->waiting++;
    op_publish_submit(o);
}

/* NULL, or why it cannot go there. */
static const char *send_all(struct publishing *p, const struct route *r)
{
    struct message later = p->m;
    for (uint32_t i = 0; i < r->count; i++)
        if (r->dests[i]->kind != DEST_QUEUE ||
            container_of(r->dests[i], struct queue_info, dest)->type == QUEUE_STREAM)
            return "it would go to a topic or stream: publish by AMQP or Kafka";
    p->routed = r->count > 0 || r->delayed;
    p->subjects = r->subjects;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct queue_info *q = container_of(r->dests[i], struct queue_info, dest);
        send_to(p, q->shard, q->id, &p->m);
    }
    later.due_ms = p->home->now_ms + r->delay_ms;
    if (r->delayed)
        send_to(p, store_shard_of(p->home->broker->store, r->delayed->id), r->delayed->id, &later);
    return NULL;
}

static struct span put(struct chunk *c, struct span s)
{
    uint8_t *at = c->data + c->used;
    if (s.len)
        memcpy(at, s.ptr, s.len);
    c->used += (uint32_t)s.len;
    return span_of(at, s.len);
}

static void publish(struct conn *c, struct http_ticket ticket, struct vspace *v, struct exchange *x,
                    const struct message *m)
{
    struct route route;
    uint64_t dice = c->shard->now_ns;
    struct chunk *chunk =
        chunk_new(&c->shard->input_pool, x->name.len + m->key.len + m->props.len + m->body.len + 1);
    if (!chunk) {
        mgmt_fail(c, ticket.seq, ERR_NO_MEMORY, NULL);
        return;
    }
    struct publishing *p = mem_alloc(sizeof(*p));
    *p = (struct publishing){
        .home = c->shard, .ticket = ticket, .space = v, .m = *m, .chunk = chunk, .waiting = 1};
    space_ref(v);
    p->m.exchange = put(chunk, x->name);
    p->m.key = put(chunk, m->key);
    p->m.props = put(chunk, m->props);
    p->m.body = put(chunk, m->body);
    route_init(&route);
    route_message(&route, &v->route_space, x, &p->m, false, &dice);
    const char *why = send_all(p, &route);
    route_fini(&route);
    if (why) {
        mgmt_bad_request(c, ticket.seq, why);
        publishing_free(p);
    } else {
        step(p);
    }
}

void mgmt_publish(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct vspace *v = mgmt_space(c, ticket, req->params[0]);
    json_t *o = v ? mgmt_take_body(c, req, ticket) : NULL;
    struct amqp_props props = {0};
    struct message m;
    struct exchange *x;
    if (!o)
        return;
    struct actor actor = {c->actor.principal, &v->vhost};
    const char *why = read_message(o, req->arena, &props, &m), *alarm = alarm_reason(alarm_state(c->shard));
    int err = exchange_find(c->shard, &actor, AUTH_WRITE, mgmt_path_name(req->params[1]), &x);
    if (!err && !why)
        err = may_publish(&actor, x, &props, &m);
    if (err)
        mgmt_fail(c, ticket.seq, err, NULL);
    else if (why)
        mgmt_bad_request(c, ticket.seq, why);
    else if (alarm)
        http_respond_error(c, ticket.seq, 503, alarm);
    else
        publish(c, ticket, v, x, &m);
    json_decref(o);
}
