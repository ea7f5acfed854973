/* basic.ack, nack, reject, recover (AMQP 0-9-1, 1.8.3.13 to 15, and RabbitMQ's nack): settlements, gathered
 * into one run for each shard.
 *
 * A run is sent without asking whether it is durable: an acknowledgement has no answer. But once a later
 * method is answered, what was acknowledged before it must not come back, so that method waits until the
 * shards that were sent something say that it is durable (amqp_sync_settles()). */
#include <assert.h>

#include "base/err.h"
#include "proto/amqp/channel.h"

/* ---- runs ---------------------------------------------------------------------------------------------- */

static void settled(struct conn *c, struct op *op)
{
    (void)c;
    op_settle_free((struct op_settle *)op);
}

static void submit(struct amqp_conn_channels *cc, unsigned shard)
{
    struct op_settle *s = cc->settles[shard];
    uint64_t acked = 0;
    cc->settles[shard] = NULL;
    cc->settle_runs[shard] = 0;
    cc->settling &= ~(1ull << shard);
    cc->unsynced |= 1ull << shard;
    for (uint32_t i = 0; i < s->count; i++)
        if (s->items[i].outcome == OUTCOME_ACK)
            acked += s->items[i].last - s->items[i].first + 1;
    metrics_add(cc->ac->conn->shard->metrics, METRIC_AMQP_ACKNOWLEDGED, acked);
    op_settle_submit(s);
}

void amqp_flush_settles(struct amqp_conn_channels *cc)
{
    while (cc->settling)
        submit(cc, (unsigned)__builtin_ctzll(cc->settling));
}

static struct op_settle *run_for(struct amqp_conn_channels *cc, unsigned shard)
{
    if (cc->settles[shard] && cc->settles[shard]->count >= AMQP_RUN_ITEMS)
        submit(cc, shard);
    if (!cc->settles[shard]) {
        cc->settles[shard] = op_new(cc->ac->conn, sizeof(struct op_settle), settled, NULL);
        cc->settles[shard]->shard = shard;
        cc->settle_runs[shard] = cc->next_run++;
        cc->settling |= 1ull << shard;
    }
    return cc->settles[shard];
}

/* Leases of one consumer that follow each other are one item. */
void amqp_settle_add(struct amqp_conn_channels *cc, struct amqp_consumer *k, uint64_t lease,
                     enum outcome outcome)
{
    if (k->phase == AMQP_CONSUMER_GONE || k->stream)
        return;
    struct op_settle *s = run_for(cc, k->shard);
    if (k->run == cc->settle_runs[k->shard]) {
        struct settle_item *last = &s->items[k->item];
        if (last->outcome == outcome && last->last + 1 == lease) {
            last->last = lease;
            return;
        }
    }
    op_settle_add(
        s, &(struct settle_item){.consumer = k->handle, .first = lease, .last = lease, .outcome = outcome});
    k->run = cc->settle_runs[k->shard];
    k->item = s->count - 1;
}

/* ---- durability ---------------------------------------------------------------------------------------- */

static void synced(struct conn *c, struct op *op)
{
    bool nowait;
    amqp_op_over(c, op, &nowait);
    op_settle_free((struct op_settle *)op);
}

bool amqp_sync_settles(struct amqp_channel *ch)
{
    struct amqp_conn_channels *cc = ch->ac->shared;
    if (cc->settling)
        amqp_flush(cc); /* publishes first: who acknowledges what it has passed on must not lose it */
    if (!cc->unsynced)
        return false;
    while (cc->unsynced) {
        struct op_settle *s = amqp_op_new(ch, sizeof(*s), synced, false);
        s->shard = (unsigned)__builtin_ctzll(cc->unsynced);
        s->durable = true;
        cc->unsynced &= cc->unsynced - 1;
        op_settle_submit(s);
    }
    return true;
}

/* ---- methods ------------------------------------------------------------------------------------------- */

struct settling {
    struct amqp_channel *ch;
    enum outcome outcome;
    bool in_transaction;
};

static void settle_one(void *arg, const struct unacked_entry *e)
{
    struct settling *s = arg;
    struct amqp_consumer *k = e->who;
    if (s->in_transaction) {
        amqp_tx_settle(s->ch, e, s->outcome);
        return;
    }
    if (!k->get && !k->stream)
        limiter_settled(&s->ch->state->limiter, 1);
    amqp_settle_add(s->ch->ac->shared, k, e->lease, s->outcome);
    amqp_consumer_settled(k);
}

static bool settle(struct amqp_channel *ch, uint32_t method, uint64_t tag, bool multiple,
                   enum outcome outcome)
{
    struct settling s = {ch, outcome, ch->state->transactional};
    if (unacked_take(&ch->state->unacked, tag, multiple, settle_one, &s)) {
        amqp_channel_exception(ch, AMQP_PRECONDITION_FAILED, method, "unknown delivery tag %llu",
                               (unsigned long long)tag);
        return false;
    }
    amqp_limiter_pump(ch);
    return true;
}

void amqp_basic_ack(struct amqp_channel *ch, const struct amqp_method *m)
{
    settle(ch, m->id, m->basic_ack.delivery_tag, m->basic_ack.multiple, OUTCOME_ACK);
}

void amqp_basic_nack(struct amqp_channel *ch, const struct amqp_method *m)
{
    settle(ch, m->id, m->basic_nack.delivery_tag, m->basic_nack.multiple,
           m->basic_nack.requeue ? OUTCOME_REQUEUE : OUTCOME_REJECT);
}

void amqp_basic_reject(struct amqp_channel *ch, const struct amqp_method *m)
{
    settle(ch, m->id, m->basic_reject.delivery_tag, false,
           m->basic_reject.requeue ? OUTCOME_REQUEUE : OUTCOME_REJECT);
}

/* Both variants; in a transaction, too, it takes effect at once (rabbit_channel). */
void amqp_basic_recover(struct amqp_channel *ch, const struct amqp_method *m)
{
    bool answer = m->id == AMQP_BASIC_RECOVER;
    struct settling s = {ch, OUTCOME_REQUEUE, false};
    if (!(answer ? m->basic_recover.requeue : m->basic_recover_async.requeue)) {
        amqp_channel_exception(ch, AMQP_NOT_IMPLEMENTED, m->id, "requeue=false");
        return;
    }
    unacked_take(&ch->state->unacked, 0, true, settle_one, &s);
    if (answer)
        amqp_reply(ch, AMQP_BASIC_RECOVER_OK);
    amqp_limiter_pump(ch);
}
