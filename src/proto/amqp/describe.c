/* What of a connection, its channels and consumers is there to see, for the management port; and its end,
 * asked for there. */
#include "proto/amqp/amqp.h"
#include "proto/amqp/channel.h"

static const char *state_name(const struct amqp_conn *ac)
{
    switch (ac->phase) {
    case AMQP_CONN_OPEN:
        return ac->blocked ? "blocked" : "running";
    case AMQP_CONN_CLOSING:
        return "closing";
    case AMQP_CONN_OVER:
        return "closed";
    default:
        return "starting";
    }
}

static uint32_t consumers_of(const struct amqp_channel *ch)
{
    uint32_t n = 0;
    list_each (l, &ch->state->consumers) {
        const struct amqp_consumer *k = list_entry(l, struct amqp_consumer, link);
        n += !k->get && k->phase == AMQP_CONSUMER_LIVE;
    }
    return n;
}

static void tell_consumers(const struct amqp_channel *ch, const struct amqp_observer *o, void *arg)
{
    list_each (l, &ch->state->consumers) {
        const struct amqp_consumer *k = list_entry(l, struct amqp_consumer, link);
        const struct queue_info *q = queue_info_by_id(amqp_shard(ch), k->queue_id);
        if (k->get || k->phase != AMQP_CONSUMER_LIVE || !q)
            continue;
        struct amqp_consumer_info info = {.tag = k->tag,
                                          .queue = q->dest.name,
                                          .channel = ch->number,
                                          .prefetch = k->prefetch,
                                          .unacked = k->unacked,
                                          .no_ack = k->no_ack,
                                          .exclusive = k->exclusive};
        o->consumer(arg, &info);
    }
}

static void tell_channel(const struct amqp_channel *ch, const struct amqp_observer *o, void *arg)
{
    const struct amqp_channel_state *st = ch->state;
    struct amqp_channel_info info = {.number = ch->number,
                                     .prefetch = st->prefetch,
                                     .global_prefetch = st->limiter.limit,
                                     .consumers = consumers_of(ch),
                                     .unacked = st->unacked.live,
                                     .unconfirmed = st->confirms.next - st->confirms.first,
                                     .confirming = st->confirming,
                                     .transactional = st->transactional};
    o->channel(arg, &info);
    tell_consumers(ch, o, arg);
}

bool amqp_describe(const struct conn *c, const struct amqp_observer *o, void *arg)
{
    if (c->proto != &amqp_proto)
        return false;
    const struct amqp_conn *ac = amqp_conn_of(c->proto_state);
    if (!ac->space) /* not opened yet */
        return false;
    struct amqp_conn_info info = {.user = ac->user,
                                  .vhost = ac->space->vhost.name,
                                  .state = state_name(ac),
                                  .client_properties = ac->client_properties,
                                  .opened_ms = ac->opened_ms,
                                  .channels = ac->channel_count,
                                  .channel_max = ac->channel_max,
                                  .frame_max = ac->frame_max,
                                  .heartbeat_s = ac->heartbeat_s};
    o->connection(arg, &info);
    for (uint32_t i = 0; i < ac->channel_cap; i++)
        if (ac->channels[i] && ac->channels[i]->state)
            tell_channel(ac->channels[i], o, arg);
    return true;
}

void amqp_close(struct conn *c, const char *reason)
{
    struct amqp_conn *ac = c->proto == &amqp_proto ? amqp_conn_of(c->proto_state) : NULL;
    if (ac && ac->phase == AMQP_CONN_OPEN)
        amqp_connection_exception(ac, AMQP_CONNECTION_FORCED, AMQP_NO_METHOD, "%s", reason);
}
