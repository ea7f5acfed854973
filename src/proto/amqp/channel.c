#include "proto/amqp/channel.h"

#include <assert.h>

#include "base/err.h"
#include "base/mem.h"

/* ---- small things -------------------------------------------------------------------------------------- */

struct span amqp_keep(struct op_entity *e, struct span s)
{
    return s.len ? span_of(arena_copy(&e->arena, s.ptr, s.len), s.len) : span_of("", 0);
}

struct span amqp_span_dup(struct span s)
{
    return span_is_null(s) ? s : span_of(mem_strndup(s.ptr, s.len), s.len);
}

void amqp_span_free(struct span *s)
{
    mem_free((void *)s->ptr);
    *s = SPAN_NULL;
}

void amqp_reply(struct amqp_channel *ch, uint32_t method)
{
    struct amqp_method m = {.id = method};
    amqp_send(ch, &m);
}

void amqp_flush(struct amqp_conn_channels *cc)
{
    publisher_flush(&cc->publisher);
    amqp_flush_settles(cc);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

void amqp_conn_opened(struct amqp_conn *ac)
{
    struct amqp_conn_channels *cc = mem_zalloc(sizeof(*cc));
    cc->ac = ac;
    cc->next_generation = cc->next_consumer = cc->next_run = 1;
    map_init(&cc->consumers);
    list_init(&cc->telling);
    list_init(&cc->owed);
    list_init(&cc->hungry);
    publisher_init(&cc->publisher, ac->conn, &amqp_publisher_ops);
    amqp_blocked_init(cc);
    ac->shared = cc;
}

void amqp_conn_closed(struct amqp_conn *ac)
{
    struct amqp_conn_channels *cc = ac->shared;
    amqp_flush(cc);
    amqp_blocked_fini(cc);
    shard_timer_cancel(ac->conn->shard, &cc->timeout);
    assert(cc->consumers.count == 0 && list_empty(&cc->telling) && list_empty(&cc->owed));
    map_fini(&cc->consumers);
    publisher_fini(&cc->publisher);
    ac->shared = NULL;
    mem_free(cc);
}

void amqp_channel_opened(struct amqp_channel *ch)
{
    struct amqp_channel_state *st = mem_zalloc(sizeof(*st));
    st->ch = ch;
    st->generation = ch->ac->shared->next_generation++;
    st->next_tag = 1;
    list_init(&st->telling);
    list_init(&st->consumers);
    map_init(&st->by_tag);
    confirms_init(&st->confirms);
    limiter_init(&st->limiter);
    unacked_init(&st->unacked);
    ch->state = st;
}

/* What was published before the end stays published. */
void amqp_channel_closed(struct amqp_channel *ch)
{
    struct amqp_channel_state *st = ch->state;
    amqp_flush(ch->ac->shared);
    amqp_tx_free(ch);
    list_each_safe (l, tmp, &st->consumers)
        amqp_consumer_release(list_entry(l, struct amqp_consumer, link));
    list_del(&st->telling);
    map_fini(&st->by_tag);
    confirms_fini(&st->confirms);
    unacked_fini(&st->unacked);
    amqp_span_free(&st->last_queue);
    amqp_span_free(&st->reply_tag);
    ch->state = NULL;
    mem_free(st);
}

/* ---- waiting for an operation -------------------------------------------------------------------------- */

/* A channel in op.user: generation, nowait, number. */
enum { KEY_NUMBER_BITS = 16, KEY_NOWAIT = 1 << KEY_NUMBER_BITS, KEY_GENERATION_SHIFT = 17 };
_Static_assert(sizeof(void *) == sizeof(uint64_t), "a key fits op.user");

void *amqp_op_new(struct amqp_channel *ch, size_t size, void (*complete)(struct conn *c, struct op *op),
                  bool nowait)
{
    uint64_t key = ch->state->generation << KEY_GENERATION_SHIFT | (nowait ? KEY_NOWAIT : 0) | ch->number;
    amqp_flush(ch->ac->shared);
    amqp_channel_wait(ch);
    conn_take_credit(ch->ac->conn, 0);
    return op_new(ch->ac->conn, size, complete, (void *)(uintptr_t)key);
}

struct amqp_channel *amqp_channel_at(struct amqp_conn *ac, unsigned number, uint64_t generation)
{
    struct amqp_channel *ch = ac->shared ? amqp_channel_find(ac, number) : NULL;
    return ch && ch->state && ch->state->generation == generation ? ch : NULL;
}

struct amqp_channel *amqp_op_over(struct conn *c, const struct op *op, bool *ret_nowait)
{
    uint64_t key = (uint64_t)(uintptr_t)op->user;
    if (!c)
        return NULL;
    conn_give_credit(c, 0);
    struct amqp_channel *ch =
        amqp_channel_at(amqp_conn_of(c->proto_state), key & (KEY_NOWAIT - 1), key >> KEY_GENERATION_SHIFT);
    if (ch) {
        amqp_channel_resume(ch);
        *ret_nowait = key & KEY_NOWAIT;
    }
    return ch;
}

/* ---- errors -------------------------------------------------------------------------------------------- */

static enum amqp_code code_of(int err)
{
    switch (err) {
    case ERR_DENIED:
    case ERR_RESERVED:
    case ERR_EXCLUSIVE:
        return AMQP_ACCESS_REFUSED;
    case ERR_NOT_FOUND:
        return AMQP_NOT_FOUND;
    case ERR_LOCKED_OUT:
        return AMQP_RESOURCE_LOCKED;
    case ERR_INEQUIVALENT:
    case ERR_ARGUMENT:
    case ERR_IN_USE:
    case ERR_NOT_EMPTY:
    case ERR_LIMIT:
    case ERR_NO_SPACE: /* it goes away: the channel is enough */
        return AMQP_PRECONDITION_FAILED;
    case ERR_UNSUPPORTED:
        return AMQP_NOT_IMPLEMENTED;
    case ERR_STOPPING:
        return AMQP_CONNECTION_FORCED;
    default:
        return AMQP_INTERNAL_ERROR;
    }
}

void amqp_core_exception(struct amqp_channel *ch, uint32_t method, int err, const char *why)
{
    if (err == ERR_STOPPING)
        why = "broker forced connection closure with reason 'shutdown'";
    amqp_channel_exception(ch, code_of(err), method, "%s", why ? why : err_text(err));
}

static const char *action_name(enum auth_action action)
{
    return action == AUTH_READ ? "read" : action == AUTH_WRITE ? "write" : "configure";
}

/* The texts of rabbit_amqqueue, rabbit_exchange and rabbit_access_control. */
void amqp_lookup_exception(struct amqp_channel *ch, uint32_t method, int err, const char *kind,
                           struct span name, enum auth_action action)
{
    const char *vhost = ch->ac->conn->actor.vhost->name;
    if (err == ERR_NOT_FOUND)
        amqp_channel_exception(ch, AMQP_NOT_FOUND, method, "no %s '%.*s' in vhost '%s'", kind, SPAN_ARG(name),
                               vhost);
    else if (err == ERR_DENIED)
        amqp_channel_exception(
            ch, AMQP_ACCESS_REFUSED, method, "%s access to %s '%.*s' in vhost '%s' refused for user '%s'",
            action_name(action), kind, SPAN_ARG(name), vhost, ch->ac->user ? ch->ac->user : "");
    else if (err == ERR_LOCKED_OUT)
        amqp_channel_exception(
            ch, AMQP_RESOURCE_LOCKED, method,
            "cannot obtain exclusive access to locked queue '%.*s' in vhost '%s'. It could be originally "
            "declared on another connection or the exclusive property value does not match that of the "
            "original declaration.",
            SPAN_ARG(name), vhost);
    else
        amqp_core_exception(ch, method, err, NULL);
}

bool amqp_queue_name(struct amqp_channel *ch, uint32_t method, struct span *name)
{
    if (name->len > 0)
        return true;
    if (span_is_null(ch->state->last_queue)) {
        amqp_channel_exception(ch, AMQP_NOT_FOUND, method, "no previously declared queue");
        return false;
    }
    *name = ch->state->last_queue;
    return true;
}

bool amqp_queue_lookup(struct amqp_channel *ch, uint32_t method, struct span name, enum auth_action action,
                       struct queue_info **ret_queue)
{
    struct conn *c = ch->ac->conn;
    int err = queue_find(c->shard, &c->actor, c->handle, action, name, ret_queue);
    if (err)
        amqp_lookup_exception(ch, method, err, "queue", name, action);
    return err == 0;
}

/* ---- dispatch ------------------------------------------------------------------------------------------ */

static void channel_flow(struct amqp_channel *ch, const struct amqp_method *m)
{
    struct amqp_method ok = {.id = AMQP_CHANNEL_FLOW_OK, .channel_flow_ok = {.active = true}};
    if (m->channel_flow.active)
        amqp_send(ch, &ok);
    else
        amqp_channel_exception(ch, AMQP_NOT_IMPLEMENTED, m->id, "active=false");
}

static void access_request(struct amqp_channel *ch, const struct amqp_method *m)
{
    (void)m;
    struct amqp_method ok = {.id = AMQP_ACCESS_REQUEST_OK, .access_request_ok = {.ticket = 1}};
    amqp_send(ch, &ok);
}

static const struct row {
    uint32_t id;
    void (*run)(struct amqp_channel *ch, const struct amqp_method *m);
} rows[] = {
    {AMQP_BASIC_ACK, amqp_basic_ack}, /* the frequent ones first */
    {AMQP_BASIC_GET, amqp_basic_get},
    {AMQP_BASIC_NACK, amqp_basic_nack},
    {AMQP_BASIC_REJECT, amqp_basic_reject},
    {AMQP_BASIC_QOS, amqp_basic_qos},
    {AMQP_BASIC_CONSUME, amqp_basic_consume},
    {AMQP_BASIC_CANCEL, amqp_basic_cancel},
    {AMQP_BASIC_RECOVER, amqp_basic_recover},
    {AMQP_BASIC_RECOVER_ASYNC, amqp_basic_recover},
    {AMQP_QUEUE_DECLARE, amqp_queue_declare},
    {AMQP_QUEUE_BIND, amqp_queue_bind},
    {AMQP_QUEUE_UNBIND, amqp_queue_unbind},
    {AMQP_QUEUE_PURGE, amqp_queue_purge},
    {AMQP_QUEUE_DELETE, amqp_queue_delete},
    {AMQP_EXCHANGE_DECLARE, amqp_exchange_declare},
    {AMQP_EXCHANGE_DELETE, amqp_exchange_delete},
    {AMQP_EXCHANGE_BIND, amqp_exchange_bind},
    {AMQP_EXCHANGE_UNBIND, amqp_exchange_unbind},
    {AMQP_CONFIRM_SELECT, amqp_confirm_select},
    {AMQP_TX_SELECT, amqp_tx_select},
    {AMQP_TX_COMMIT, amqp_tx_commit},
    {AMQP_TX_ROLLBACK, amqp_tx_rollback},
    {AMQP_CHANNEL_FLOW, channel_flow},
    {AMQP_ACCESS_REQUEST, access_request},
};

void amqp_channel_method(struct amqp_channel *ch, const struct amqp_method *m, struct chunk *chunk)
{
    (void)chunk;
    if (m->id == AMQP_CHANNEL_FLOW_OK || m->id == AMQP_BASIC_CANCEL_OK)
        return; /* answers to nothing that we wait for */
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].id == m->id) {
            rows[i].run(ch, m);
            return;
        }
    amqp_channel_exception(ch, AMQP_COMMAND_INVALID, m->id, "unimplemented method");
}

/* Is it one that is answered, so that what was settled before must be durable first? */
static bool is_answered(uint32_t id)
{
    return id != AMQP_BASIC_PUBLISH && id != AMQP_BASIC_ACK && id != AMQP_BASIC_NACK &&
           id != AMQP_BASIC_REJECT && id != AMQP_BASIC_RECOVER_ASYNC && id != AMQP_CHANNEL_FLOW_OK &&
           id != AMQP_BASIC_CANCEL_OK;
}

bool amqp_channel_must_wait(struct amqp_channel *ch, uint32_t method)
{
    if (ch->state->held > 0 && !amqp_may_overtake(method))
        return true;
    return is_answered(method) && amqp_sync_settles(ch);
}

bool amqp_conn_must_wait(struct amqp_conn *ac)
{
    struct amqp_channel *alive = NULL;
    for (uint32_t i = 0; i < ac->channel_cap; i++) {
        struct amqp_channel *ch = amqp_channel_find(ac, i);
        if (ch && (ch->waits > 0 || ch->state->held > 0))
            return true;
        alive = ch ? ch : alive;
    }
    return alive && amqp_sync_settles(alive);
}

void amqp_input_ended(struct amqp_conn *ac)
{
    if (ac->shared->published)
        metrics_add(ac->conn->shard->metrics, METRIC_AMQP_PUBLISHED, ac->shared->published);
    ac->shared->published = 0;
    amqp_streams_feed(ac->shared);
    amqp_flush(ac->shared);
    amqp_confirm_tell_all(ac->shared);
}
