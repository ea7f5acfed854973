/* basic.qos (AMQP 0-9-1, 1.8.3.1) as RabbitMQ reads it: global=false limits each consumer that is declared
 * from then on, global=true all consumers of the channel together, those that run included. */
#include "proto/amqp/channel.h"

static bool can_be_limited(const struct amqp_consumer *k)
{
    return k->phase == AMQP_CONSUMER_LIVE && !k->get && !k->no_ack && !k->stream;
}

static void limit_all(struct amqp_channel *ch)
{
    list_each (l, &ch->state->consumers) {
        struct amqp_consumer *k = list_entry(l, struct amqp_consumer, link);
        if (!can_be_limited(k))
            continue;
        amqp_consumer_limit(k, true);
        limiter_wait(&ch->state->limiter, &k->limited); /* it may have something */
    }
}

static void unlimit_all(struct amqp_channel *ch)
{
    list_each (l, &ch->state->consumers) {
        struct amqp_consumer *k = list_entry(l, struct amqp_consumer, link);
        if (!can_be_limited(k))
            continue;
        limiter_leave(&ch->state->limiter, &k->limited);
        amqp_consumer_limit(k, false);
    }
}

static void set_limit(struct amqp_channel *ch, uint32_t limit)
{
    uint32_t before = ch->state->limiter.limit;
    ch->state->limiter.limit = limit;
    if (before == 0 && limit > 0)
        limit_all(ch);
    else if (before > 0 && limit == 0)
        unlimit_all(ch);
    amqp_limiter_pump(ch);
}

void amqp_basic_qos(struct amqp_channel *ch, const struct amqp_method *m)
{
    const struct amqp_basic_qos *in = &m->basic_qos;
    if (in->prefetch_size != 0) {
        amqp_channel_exception(ch, AMQP_NOT_IMPLEMENTED, m->id, "prefetch_size!=0 (%u)", in->prefetch_size);
        return;
    }
    if (in->global) {
        set_limit(ch, in->prefetch_count);
    } else {
        ch->state->prefetch = in->prefetch_count;
        set_limit(ch, 0);
    }
    amqp_reply(ch, AMQP_BASIC_QOS_OK);
}
