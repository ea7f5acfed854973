/* Class tx (AMQP 0-9-1, 1.9): publishes and settlements that take effect together at the commit.
 *
 * As in RabbitMQ they are routed and checked when they come, and the commit is answered when all of it is
 * durable; if a queue refused a message it fails, though the rest has happened. */
#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "proto/amqp/channel.h"

struct held {
    struct message m; /* in `chunk` */
    struct chunk *chunk;
    struct routed to; /* queues and topics: owned */
    bool mandatory;
};

struct settlement {
    struct unacked_entry e;
    enum outcome outcome;
};

struct amqp_tx {
    struct held *publishes;
    uint32_t publish_count, publish_cap;
    struct settlement *settlements;
    uint32_t settlement_count, settlement_cap;
    size_t bytes;
    bool committing, failed;
    uint32_t pending; /* parts of the commit that are not back */
};

static struct amqp_tx *tx_of(struct amqp_channel *ch)
{
    return ch->state->tx;
}

/* ---- gathering ----------------------------------------------------------------------------------------- */

/* Until the commit bindings may go, so their names and arguments are copied behind the array. */
static struct topic_way *own_topics(const struct routed *to)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < to->topic_count; i++)
        bytes += to->topics[i].name.len + to->topics[i].args.len;
    struct topic_way *all = mem_alloc(to->topic_count * sizeof(*all) + bytes + 1);
    uint8_t *at = (uint8_t *)(all + to->topic_count);
    for (uint32_t i = 0; i < to->topic_count; i++) {
        const struct topic_way *w = &to->topics[i];
        all[i] = *w;
        all[i].name.ptr = memcpy(at, w->name.ptr, w->name.len);
        at += w->name.len;
        if (w->args.len)
            all[i].args.ptr = memcpy(at, w->args.ptr, w->args.len);
        at += w->args.len;
    }
    return all;
}

bool amqp_tx_publish(struct amqp_channel *ch, const struct message *m, const struct routed *to,
                     bool mandatory, struct chunk *chunk)
{
    struct amqp_tx *tx = tx_of(ch);
    tx->bytes += sizeof(struct held) + m->body.len + m->props.len + to->queue_count * sizeof(*to->queues);
    if (tx->bytes > AMQP_TX_MAX_BYTES) {
        amqp_channel_exception(ch, AMQP_PRECONDITION_FAILED, AMQP_BASIC_PUBLISH,
                               "the transaction is larger than %u bytes", AMQP_TX_MAX_BYTES);
        return false;
    }
    if (tx->publish_count == tx->publish_cap) {
        tx->publish_cap = tx->publish_cap ? tx->publish_cap * 2 : 8;
        tx->publishes = mem_realloc(tx->publishes, tx->publish_cap * sizeof(*tx->publishes));
    }
    struct held *h = &tx->publishes[tx->publish_count++];
    *h = (struct held){.m = *m, .chunk = chunk ? chunk_ref(chunk) : NULL, .to = *to, .mandatory = mandatory};
    struct routed_queue *queues = mem_alloc((to->queue_count + 1) * sizeof(*queues));
    for (uint32_t i = 0; i < to->queue_count; i++)
        queues[i] = to->queues[i];
    h->to.queues = queues;
    h->to.topics = own_topics(to);
    return true;
}

void amqp_tx_settle(struct amqp_channel *ch, const struct unacked_entry *e, enum outcome outcome)
{
    struct amqp_tx *tx = tx_of(ch);
    if (tx->settlement_count == tx->settlement_cap) {
        tx->settlement_cap = tx->settlement_cap ? tx->settlement_cap * 2 : 16;
        tx->settlements = mem_realloc(tx->settlements, tx->settlement_cap * sizeof(*tx->settlements));
    }
    tx->settlements[tx->settlement_count++] = (struct settlement){*e, outcome};
}

static void forget(struct amqp_tx *tx)
{
    for (uint32_t i = 0; i < tx->publish_count; i++) {
        chunk_unref(tx->publishes[i].chunk);
        mem_free((void *)tx->publishes[i].to.queues);
        mem_free((void *)tx->publishes[i].to.topics);
    }
    mem_free(tx->publishes);
    mem_free(tx->settlements);
    *tx = (struct amqp_tx){0};
}

void amqp_tx_free(struct amqp_channel *ch)
{
    if (!tx_of(ch))
        return;
    forget(tx_of(ch));
    mem_free(tx_of(ch));
    ch->state->tx = NULL;
}

/* ---- commit -------------------------------------------------------------------------------------------- */

static void part_over(struct amqp_channel *ch, int err)
{
    struct amqp_tx *tx = tx_of(ch);
    assert(tx->committing && tx->pending > 0);
    tx->failed |= err != 0;
    if (--tx->pending > 0)
        return;
    bool failed = tx->failed;
    *tx = (struct amqp_tx){0};
    conn_give_credit(ch->ac->conn, 0);
    amqp_channel_resume(ch);
    if (failed)
        amqp_channel_exception(ch, AMQP_PRECONDITION_FAILED, AMQP_TX_COMMIT, "partial tx completion");
    else
        amqp_reply(ch, AMQP_TX_COMMIT_OK);
}

void amqp_tx_part(struct amqp_channel *ch, int err)
{
    if (tx_of(ch)->committing) /* else it is of a channel that had this number long ago */
        part_over(ch, err);
}

static void synced(struct conn *c, struct op *op)
{
    bool nowait;
    struct amqp_channel *ch = amqp_op_over(c, op, &nowait);
    if (ch)
        part_over(ch, op->err);
    op_settle_free((struct op_settle *)op);
}

/* The parts are counted first: one may come back at once. */
static void commit_publishes(struct amqp_channel *ch, const struct amqp_tx *now)
{
    for (uint32_t i = 0; i < now->publish_count; i++)
        tx_of(ch)->pending += amqp_publish_parts_of(&now->publishes[i].m, &now->publishes[i].to);
    for (uint32_t i = 0; i < now->publish_count; i++) {
        struct held *h = &now->publishes[i];
        amqp_publish_routed(ch, &h->m, &h->to, h->mandatory, h->chunk, amqp_publish_tag(ch, 1));
    }
}

static void commit_settlements(struct amqp_channel *ch, const struct amqp_tx *now)
{
    for (uint32_t i = 0; i < now->settlement_count; i++) {
        struct settlement *s = &now->settlements[i];
        struct amqp_consumer *k = s->e.who;
        if (!k->get && !k->stream)
            limiter_settled(&ch->state->limiter, 1);
        amqp_settle_add(ch->ac->shared, k, s->e.lease, s->outcome);
        amqp_consumer_settled(k);
    }
    amqp_flush(ch->ac->shared);
}

/* Asks every shard that was sent settlements to say when they are durable. */
static void commit_sync(struct amqp_channel *ch, struct amqp_tx *tx)
{
    struct amqp_conn_channels *cc = ch->ac->shared;
    for (; cc->unsynced; cc->unsynced &= cc->unsynced - 1) {
        struct op_settle *s = amqp_op_new(ch, sizeof(*s), synced, false);
        s->shard = (unsigned)__builtin_ctzll(cc->unsynced);
        s->durable = true;
        tx->pending++;
        op_settle_submit(s);
    }
}

void amqp_tx_commit(struct amqp_channel *ch, const struct amqp_method *m)
{
    struct amqp_tx *tx = tx_of(ch), now;
    if (!tx) {
        amqp_channel_exception(ch, AMQP_PRECONDITION_FAILED, m->id, "channel is not transactional");
        return;
    }
    now = *tx;
    *tx = (struct amqp_tx){.committing = true, .pending = 1}; /* this call is a part of its own */
    amqp_channel_wait(ch);
    conn_take_credit(ch->ac->conn, 0);
    commit_publishes(ch, &now);
    commit_settlements(ch, &now);
    commit_sync(ch, tx);
    forget(&now);
    amqp_limiter_pump(ch);
    part_over(ch, 0);
}

/* ---- select, rollback ---------------------------------------------------------------------------------- */

void amqp_tx_select(struct amqp_channel *ch, const struct amqp_method *m)
{
    if (ch->state->confirming) {
        amqp_channel_exception(ch, AMQP_PRECONDITION_FAILED, m->id, "cannot switch from confirm to tx mode");
        return;
    }
    if (!ch->state->tx)
        ch->state->tx = mem_zalloc(sizeof(*ch->state->tx));
    ch->state->transactional = true;
    amqp_reply(ch, AMQP_TX_SELECT_OK);
}

static int by_tag(const void *a, const void *b)
{
    const struct unacked_entry *x = a, *y = b;
    return (x->tag > y->tag) - (x->tag < y->tag);
}

void amqp_tx_rollback(struct amqp_channel *ch, const struct amqp_method *m)
{
    struct amqp_tx *tx = tx_of(ch);
    if (!tx) {
        amqp_channel_exception(ch, AMQP_PRECONDITION_FAILED, m->id, "channel is not transactional");
        return;
    }
    struct unacked_entry *back = mem_alloc((tx->settlement_count + 1) * sizeof(*back));
    for (uint32_t i = 0; i < tx->settlement_count; i++)
        back[i] = tx->settlements[i].e;
    qsort(back, tx->settlement_count, sizeof(*back), by_tag);
    unacked_put_back(&ch->state->unacked, back, tx->settlement_count);
    mem_free(back);
    forget(tx);
    amqp_reply(ch, AMQP_TX_ROLLBACK_OK);
}
