/* Alarms, as RabbitMQ's clients know them: a connection that publishes while memory or disk run short is told
 * so (connection.blocked), and what it publishes is held until they don't.
 *
 * Acknowledgements end alarms, so they must be heard, even of a connection that publishes, too. What it
 * publishes is therefore taken out of the input and kept, up to a bound; beyond it the input stays where it
 * is. Other methods that must not overtake a publish of their channel stay there as well. */
#include <assert.h>

#include "base/mem.h"
#include "proto/amqp/channel.h"

struct held {
    struct list link;
    unsigned channel;
    uint64_t generation;
    struct amqp_basic_publish publish; /* in `chunk`, as raw and body */
    struct span raw, body;
    struct chunk *chunk;
    size_t bytes;
};

static void held_free(struct amqp_conn_channels *cc, struct held *h)
{
    list_del(&h->link);
    cc->held_bytes -= h->bytes;
    chunk_unref(h->chunk);
    mem_free(h);
}

bool amqp_held_full(struct amqp_conn *ac)
{
    return ac->shared->held_bytes >= AMQP_HELD_BYTES;
}

static struct span put(struct chunk *c, struct span s)
{
    uint8_t *at = c->data + c->used;
    if (s.len)
        memcpy(at, s.ptr, s.len);
    c->used += (uint32_t)s.len;
    return span_of(at, s.len);
}

/* A copy, so that it keeps no more of the input than itself. */
static void keep(struct amqp_channel *ch, const struct amqp_basic_publish *in, const struct amqp_content *c)
{
    struct amqp_conn_channels *cc = ch->ac->shared;
    struct shard *s = amqp_shard(ch);
    size_t len = in->exchange.len + in->routing_key.len + c->raw.len + c->body.len;
    struct chunk *chunk =
        chunk_new(len > s->small_input_pool.chunk_bytes ? &s->input_pool : &s->small_input_pool, len);
    if (!chunk) {
        amqp_channel_exception(ch, AMQP_RESOURCE_ERROR, AMQP_BASIC_PUBLISH, "no memory for a message");
        return;
    }
    struct held *h = mem_zalloc(sizeof(*h));
    *h = (struct held){.channel = ch->number,
                       .generation = ch->state->generation,
                       .publish = *in,
                       .chunk = chunk,
                       .bytes = sizeof(*h) + chunk->cap};
    h->publish.exchange = put(chunk, in->exchange);
    h->publish.routing_key = put(chunk, in->routing_key);
    h->raw = put(chunk, c->raw);
    h->body = put(chunk, c->body);
    list_add_tail(&cc->held, &h->link);
    cc->held_bytes += h->bytes;
    ch->state->held++;
}

bool amqp_hold_publish(struct amqp_channel *ch, const struct amqp_basic_publish *in,
                       const struct amqp_content *c)
{
    struct amqp_conn *ac = ch->ac;
    unsigned alarms = alarm_state(amqp_shard(ch));
    if (!ac->blocked && alarms)
        amqp_conn_set_blocked(ac, true, alarm_reason(alarms));
    if (ac->blocked)
        keep(ch, in, c);
    return ac->blocked;
}

static void replay(struct amqp_conn *ac)
{
    struct list *l;
    while (ac->shared && (l = list_first(&ac->shared->held))) {
        struct held *h = list_entry(l, struct held, link);
        struct amqp_channel *ch = amqp_channel_at(ac, h->channel, h->generation);
        struct amqp_content c = {.raw = h->raw, .body = h->body, .chunk = chunk_ref(h->chunk)};
        struct amqp_method m = {.id = AMQP_BASIC_PUBLISH, .basic_publish = h->publish};
        int err = amqp_props_decode(c.raw, &c.props);
        assert(err == 0); /* they were good when they came */
        (void)err;
        held_free(ac->shared, h);
        if (ch) {
            ch->state->held--;
            amqp_channel_content(ch, &m, &c);
        }
        chunk_unref(c.chunk);
    }
}

static void changed(struct alarm_listener *l, struct shard *s, unsigned alarms)
{
    (void)s;
    struct amqp_conn *ac = container_of(l, struct amqp_conn_channels, alarm)->ac;
    if (alarms || !ac->blocked)
        return;
    amqp_conn_set_blocked(ac, false, NULL);
    replay(ac);
    if (ac->shared)
        amqp_input_ended(ac);
}

void amqp_blocked_init(struct amqp_conn_channels *cc)
{
    list_init(&cc->held);
    cc->alarm.changed = changed;
    alarm_listen(cc->ac->conn->shard, &cc->alarm);
}

void amqp_blocked_fini(struct amqp_conn_channels *cc)
{
    list_each_safe (l, tmp, &cc->held)
        held_free(cc, list_entry(l, struct held, link));
    list_del(&cc->alarm.link);
}

/* What may overtake a held publish of its channel. */
bool amqp_may_overtake(uint32_t method)
{
    switch (method) {
    case AMQP_BASIC_PUBLISH:
    case AMQP_BASIC_ACK:
    case AMQP_BASIC_NACK:
    case AMQP_BASIC_REJECT:
    case AMQP_BASIC_RECOVER:
    case AMQP_BASIC_RECOVER_ASYNC:
    case AMQP_BASIC_QOS:
    case AMQP_BASIC_CONSUME:
    case AMQP_BASIC_CANCEL:
        return true;
    default:
        return false;
    }
}
