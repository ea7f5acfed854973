/* basic.publish (AMQP 0-9-1, 1.8.3.7): checks, then to all that the exchange leads to (core/publisher.h).
 *
 * This is the path of every message: in the usual case it looks up nothing but the route of its key, and
 * allocates nothing. The checks come in RabbitMQ's order, since a client sees the first that fails. */
#include <assert.h>

#include "base/err.h"
#include "core/broker.h"
#include "core/user.h"
#include "proto/amqp/channel.h"

static const int64_t MAX_EXPIRATION_MS = UINT32_MAX; /* rabbit_misc: MAX_EXPIRY_TIMER */

/* Direct reply-to is no queue, and a way of its own (reply_to.c). */
static bool is_reply(const struct message *m)
{
    return m->exchange.len == 0 && amqp_is_reply_address(m->key);
}

unsigned amqp_publish_parts_of(const struct message *m, const struct routed *to)
{
    return publisher_parts_of(to) + is_reply(m);
}

/* ---- checks -------------------------------------------------------------------------------------------- */

static bool refuse(struct amqp_channel *ch, enum amqp_code code, const char *text)
{
    amqp_channel_exception(ch, code, AMQP_BASIC_PUBLISH, "%s", text);
    return false;
}

static struct exchange *find_exchange(struct amqp_channel *ch, struct span name)
{
    struct amqp_channel_state *st = ch->state;
    struct conn *c = ch->ac->conn;
    uint64_t generation = space_generation(c->shard);
    const void *rules = atomic_load_explicit(&c->actor.principal->rules, memory_order_relaxed);
    if (st->exchange && st->exchange_generation == generation && st->exchange_rules == rules &&
        span_eq(name, span_of(st->exchange_name, st->exchange_name_len)))
        return st->exchange;
    struct exchange *x;
    st->exchange = NULL;
    int err = exchange_find(c->shard, &c->actor, AUTH_WRITE, name, &x);
    if (err) {
        amqp_lookup_exception(ch, AMQP_BASIC_PUBLISH, err, "exchange", name, AUTH_WRITE);
        return NULL;
    }
    if (x->internal) {
        amqp_channel_exception(ch, AMQP_ACCESS_REFUSED, AMQP_BASIC_PUBLISH,
                               "cannot publish to internal exchange '%.*s' in vhost '%s'", SPAN_ARG(name),
                               c->actor.vhost->name);
        return NULL;
    }
    st->exchange = x;
    st->exchange_generation = generation;
    st->exchange_rules = rules;
    st->exchange_name_len = (uint8_t)name.len;
    if (name.len)
        memcpy(st->exchange_name, name.ptr, name.len);
    return x;
}

/* rabbit_basic:parse_expiration(): an integer in decimal, nothing else, not negative. */
static bool parse_expiration(struct amqp_channel *ch, struct span text, int64_t *ret_ms)
{
    size_t i = text.len && (text.ptr[0] == '-' || text.ptr[0] == '+'), digits = i;
    bool negative = i && text.ptr[0] == '-';
    int64_t ms = 0;
    for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
        if (ms <= MAX_EXPIRATION_MS)
            ms = ms * 10 + (text.ptr[i] - '0');
    const char *why = i == digits              ? "no_integer"
                      : i < text.len           ? "leftover_string"
                      : negative && ms         ? "value_negative"
                      : ms > MAX_EXPIRATION_MS ? "value_too_big"
                                               : NULL;
    if (!why) {
        *ret_ms = ms;
        return true;
    }
    struct span rest = span_of(text.ptr + i, text.len - i), all = text;
    if (i == digits)
        amqp_channel_exception(ch, AMQP_PRECONDITION_FAILED, AMQP_BASIC_PUBLISH,
                               "invalid expiration '%.*s': %s", SPAN_ARG(all), why);
    else if (rest.len)
        amqp_channel_exception(ch, AMQP_PRECONDITION_FAILED, AMQP_BASIC_PUBLISH,
                               "invalid expiration '%.*s': {%s,\"%.*s\"}", SPAN_ARG(all), why,
                               SPAN_ARG(rest));
    else
        amqp_channel_exception(ch, AMQP_PRECONDITION_FAILED, AMQP_BASIC_PUBLISH,
                               "invalid expiration '%.*s': {%s,%.*s}", SPAN_ARG(all), why, SPAN_ARG(all));
    return false;
}

/* A client may say who it is, but not that it is somebody else. */
static bool check_user_id(struct amqp_channel *ch, const struct amqp_props *p)
{
    const char *user = ch->ac->user ? ch->ac->user : "";
    if (!(p->flags & AMQP_USER_ID) || span_eq_str(p->user_id, user) ||
        auth_has_tag(ch->ac->conn->actor.principal, USER_IMPERSONATOR))
        return true;
    amqp_channel_exception(ch, AMQP_PRECONDITION_FAILED, AMQP_BASIC_PUBLISH,
                           "user_id property set to '%.*s' but authenticated user was '%s'",
                           SPAN_ARG(p->user_id), user);
    return false;
}

/* Topic permissions, of all the keys it is published with. */
struct topic_check {
    struct amqp_channel *ch;
    struct span exchange, refused;
};

static void check_key(void *arg, struct span key)
{
    struct topic_check *t = arg;
    if (span_is_null(t->refused) &&
        auth_check_topic(&t->ch->ac->conn->actor, AUTH_WRITE, t->exchange, key) != 0)
        t->refused = key;
}

static bool check_topic(struct amqp_channel *ch, const struct exchange *x, const struct message *m,
                        bool more_keys)
{
    struct topic_check t = {ch, x->name, SPAN_NULL};
    if (x->inner != EXCHANGE_TOPIC)
        return true;
    check_key(&t, m->key);
    if (more_keys)
        amqp_message_format.more_keys(m, check_key, &t);
    if (span_is_null(t.refused))
        return true;
    amqp_channel_exception(
        ch, AMQP_ACCESS_REFUSED, AMQP_BASIC_PUBLISH,
        "write access to topic '%.*s' in exchange '%.*s' in vhost '%s' refused for user '%s'",
        SPAN_ARG(t.refused), SPAN_ARG(x->name), ch->ac->conn->actor.vhost->name,
        ch->ac->user ? ch->ac->user : "");
    return false;
}

static bool check_props(struct amqp_channel *ch, const struct amqp_props *p, struct message *m)
{
    if ((p->flags & AMQP_REPLY_TO) && amqp_is_reply_to(p->reply_to) && span_is_null(ch->state->reply_tag))
        return refuse(ch, AMQP_PRECONDITION_FAILED, "fast reply consumer does not exist");
    return !(p->flags & AMQP_EXPIRATION) || parse_expiration(ch, p->expiration, &m->ttl_ms);
}

/* ---- the method ---------------------------------------------------------------------------------------- */

void amqp_return(struct amqp_channel *ch, struct span exchange, struct span key, struct span props,
                 struct span body, struct chunk *chunk)
{
    struct amqp_method m = {.id = AMQP_BASIC_RETURN,
                            .basic_return = {.reply_code = AMQP_NO_ROUTE,
                                             .reply_text = span_str("NO_ROUTE"),
                                             .exchange = exchange,
                                             .routing_key = key}};
    metrics_add(amqp_shard(ch)->metrics, METRIC_AMQP_RETURNED, 1);
    amqp_send_content(ch, &m, props, body, chunk);
}

uint64_t amqp_publish_tag(const struct amqp_channel *ch, uint64_t seq)
{
    return (uint64_t)ch->number << 48 | (ch->state->generation & 0xffff) << 32 | (seq & 0xffffffff);
}

/* The return comes before the confirm (rabbit_channel:deliver_to_queues), which is told at the end of the
 * input. What a subscription hears was routed. */
void amqp_publish_routed(struct amqp_channel *ch, const struct message *m, const struct routed *to,
                         bool mandatory, struct chunk *chunk, uint64_t tag)
{
    bool reply = is_reply(m);
    if (reply)
        amqp_reply_publish(ch, m, chunk, mandatory, tag);
    uint64_t heard = publisher_send(&ch->ac->shared->publisher, m, to, chunk, tag);
    if (to->found || heard || reply)
        return;
    metrics_add(amqp_shard(ch)->metrics, METRIC_AMQP_UNROUTABLE, 1);
    if (mandatory)
        amqp_return(ch, m->exchange, m->key, m->props, m->body, chunk);
}

static void publish_now(struct amqp_channel *ch, const struct message *m, const struct routed *to,
                        bool mandatory, struct chunk *chunk)
{
    struct amqp_channel_state *st = ch->state;
    uint64_t tag = 0;
    if (st->confirming) {
        tag = amqp_publish_tag(ch, confirms_publish(&st->confirms, amqp_publish_parts_of(m, to)));
        amqp_confirm_later(ch);
    }
    amqp_publish_routed(ch, m, to, mandatory, chunk, tag);
}

/* True: it has further keys under this name. They must be an array; else the channel ends. */
static bool has_keys(struct amqp_channel *ch, const struct amqp_props *p, const char *name, bool *ret_bad)
{
    struct field f;
    if (*ret_bad || !(p->flags & AMQP_HEADERS) || !fields_get_str(p->headers, name, &f))
        return false;
    if (f.tag == 'A')
        return true;
    *ret_bad = true;
    amqp_channel_exception(ch, AMQP_PRECONDITION_FAILED, AMQP_BASIC_PUBLISH,
                           "invalid message: {unacceptable_type_in_header,\"%s\",%s}", name,
                           field_type_name(f.tag));
    return false;
}

static void route_and_publish(struct amqp_channel *ch, struct exchange *x, const struct amqp_content *c,
                              struct message *m, bool mandatory)
{
    struct routed to;
    bool bad = false, cc = has_keys(ch, &c->props, "CC", &bad),
         more_keys = has_keys(ch, &c->props, "BCC", &bad) || cc;
    struct chunk *chunk = c->chunk, *own = NULL;
    if (bad || !check_topic(ch, x, m, more_keys) || !check_user_id(ch, &c->props))
        return;
    if ((c->props.flags & AMQP_REPLY_TO) && amqp_is_reply_to(c->props.reply_to))
        chunk = own = amqp_reply_rewrite(ch, &c->props, m);
    if (!chunk) {
        refuse(ch, AMQP_RESOURCE_ERROR, "no memory for a message");
        return;
    }
    route_look_up(amqp_shard(ch), ch->ac->space, x, m, more_keys, &to);
    if (ch->state->transactional)
        amqp_tx_publish(ch, m, &to, mandatory, chunk);
    else
        publish_now(ch, m, &to, mandatory, chunk);
    chunk_unref(own);
}

void amqp_channel_content(struct amqp_channel *ch, const struct amqp_method *publish,
                          const struct amqp_content *c)
{
    const struct amqp_basic_publish *in = &publish->basic_publish;
    if (in->immediate) {
        refuse(ch, AMQP_NOT_IMPLEMENTED, "immediate=true");
        return;
    }
    if (amqp_hold_publish(ch, in, c))
        return;
    struct message m = {.exchange = in->exchange,
                        .key = in->routing_key,
                        .props = c->raw,
                        .body = c->body,
                        .ttl_ms = -1,
                        .priority = c->props.flags & AMQP_PRIORITY ? c->props.priority : 0,
                        .format = MESSAGE_FORMAT_AMQP};
    if ((c->props.flags & AMQP_DELIVERY_MODE) && c->props.delivery_mode == 2)
        m.flags = MESSAGE_PERSISTENT;
    struct exchange *x = find_exchange(ch, in->exchange);
    if (!x || !check_props(ch, &c->props, &m))
        return;
    ch->ac->shared->published++;
    route_and_publish(ch, x, c, &m, in->mandatory);
}
