/* Deliveries that are not acknowledged in time end their channel, as RabbitMQ's consumer_timeout does: a
 * consumer that hangs would keep its messages from all others for good. */
#include "base/say.h"
#include "proto/amqp/channel.h"

enum { LOOK_MS = 60000 }; /* rabbit's channel_tick_interval */

static uint64_t now_ms(const struct amqp_conn_channels *cc)
{
    return cc->ac->conn->shard->now_ns / 1000000;
}

static void arm(struct amqp_conn_channels *cc)
{
    struct shard *s = cc->ac->conn->shard;
    uint64_t ms = s->config->amqp_consumer_timeout_ms;
    shard_timer_set(s, &cc->timeout, s->now_ns + (ms && ms < LOOK_MS ? ms : LOOK_MS) * 1000000ull);
}

/* The oldest delivery decides. True: there is one to be looked at again. */
static bool look(struct amqp_conn_channels *cc, struct amqp_channel *ch)
{
    const struct unacked_entry *e = unacked_first(&ch->state->unacked);
    if (!e)
        return false;
    const struct amqp_consumer *k = e->who;
    uint64_t limit = k->timeout_ms, age = now_ms(cc) - e->at_ms;
    if (limit == 0 || age <= limit)
        return true;
    say_warn("amqp", "a delivery was not acknowledged in time",
             "peer=%s channel=%u delivery-tag=%llu ms=%llu", cc->ac->conn->peer, ch->number,
             (unsigned long long)e->tag, (unsigned long long)age);
    amqp_channel_exception(ch, AMQP_PRECONDITION_FAILED, AMQP_NO_METHOD,
                           "delivery acknowledgement on channel %u timed out. Timeout value used: %llu ms. "
                           "This timeout value can be configured, see consumers doc guide to learn more",
                           ch->number, (unsigned long long)limit);
    return false;
}

static void fire(struct shard *s, struct shard_timer *t)
{
    (void)s;
    struct amqp_conn_channels *cc = container_of(t, struct amqp_conn_channels, timeout);
    struct amqp_conn *ac = cc->ac;
    bool more = false;
    for (uint32_t i = 0; i < ac->channel_cap; i++) {
        struct amqp_channel *ch = amqp_channel_find(ac, i);
        if (ch && ch->state)
            more |= look(cc, ch);
    }
    if (more)
        arm(cc);
}

void amqp_unacked_begin(struct amqp_channel *ch, struct amqp_consumer *k, uint64_t tag, uint64_t lease)
{
    struct amqp_conn_channels *cc = ch->ac->shared;
    unacked_add(&ch->state->unacked, tag, k, lease, now_ms(cc));
    k->unacked++;
    if (!cc->timeout.node.place) {
        cc->timeout.fire = fire;
        arm(cc);
    }
}
