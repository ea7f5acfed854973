#include "proto/kafka/fetch.h"

#include "base/err.h"

void fetch_wait_cancel(struct fetch *st)
{
    for (unsigned s = 0; s < KAFKA_MAX_SHARDS; s++) {
        struct op_read *o = st->out[s];
        if (o && !o->cancelled && !o->arrived)
            op_read_cancel(o);
    }
}

static void collect(struct fetch *st, const struct op_read *o)
{
    st->have[o->shard] = 0;
    for (uint32_t i = 0; i < o->count; i++) {
        struct read_item *it = &o->items[i];
        if (o->op.err)
            it->err = o->op.err;
        st->targets[it->tag].item = it;
        st->have[o->shard] += it->err ? 0 : it->read.data.len;
    }
}

static void read_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct op_read *o = (struct op_read *)op;
    struct fetch *st = r->state;
    st->out[o->shard] = NULL;
    if (kafka_request_alive(r)) {
        st->back[o->shard] = o;
        collect(st, o);
        fetch_wait_cancel(st); /* so that the round ends */
    } else {
        op_read_free(o);
    }
    kafka_op_returned(r);
}

static uint64_t missing(const struct fetch *st)
{
    uint64_t total = 0;
    for (unsigned s = 0; s < KAFKA_MAX_SHARDS; s++)
        total += st->have[s];
    return total < st->min_bytes ? st->min_bytes - total : 0;
}

static struct op_read *new_read(struct kafka_request *r, struct fetch *st, unsigned shard, uint64_t share)
{
    struct op_read *o = kafka_op_new(r, sizeof(*o), read_done);
    o->shard = shard;
    o->items = st->spread.items[shard] ? kafka_spread_items(&st->spread, shard, sizeof(*o->items)) : NULL;
    o->max_bytes = st->max_bytes;
    o->wait_bytes = share ? st->have[shard] + share : 0;
    o->deadline_mono_ns = st->deadline_ns;
    st->out[shard] = o;
    return o;
}

static void add_item(struct op_read *o, const struct fetch_target *t, uint32_t tag)
{
    o->items[o->count++] = (struct read_item){
        .log_id = t->where.log_id,
        .offset = (uint64_t)t->part->offset,
        .max_bytes = t->part->max_bytes > 0 ? (uint32_t)t->part->max_bytes : 0,
        .leader_epoch = t->part->leader_epoch,
        .last_epoch = t->part->last_epoch,
        .tag = tag,
    };
}

void fetch_wait_start(struct kafka_request *r)
{
    struct fetch *st = r->state;
    uint64_t share = st->shards ? (missing(st) + st->shards - 1) / st->shards : 0;
    fetch_wait_free(st);
    for (uint32_t i = 0; i < st->count; i++) {
        if (st->targets[i].err)
            continue;
        unsigned shard = st->targets[i].where.shard;
        struct op_read *o = st->out[shard];
        add_item(o ? o : new_read(r, st, shard, share), &st->targets[i], i);
    }
    if (fetch_is_idle(st))
        new_read(r, st, r->shard->index, missing(st));
    for (unsigned s = 0; s < KAFKA_MAX_SHARDS; s++) {
        if (!st->out[s])
            continue;
        st->waited = true;
        op_read_submit(st->out[s]);
    }
}

/* What ends the wait besides the bytes: an error, or a history that diverges (KIP-595). */
static bool is_settled(const struct fetch *st)
{
    for (uint32_t i = 0; i < st->count; i++) {
        const struct read_item *it = st->targets[i].item;
        if (it && (it->err || it->diverging_epoch >= 0))
            return true;
    }
    return false;
}

bool fetch_wait_over(struct kafka_request *r)
{
    struct fetch *st = r->state;
    if (missing(st) == 0 || is_settled(st) || r->shard->stopping || r->shard->now_ns >= st->deadline_ns ||
        fetch_is_superseded(st))
        return true;
    uint32_t before = st->count;
    bool more = st->session && fetch_add_hot(r, st);
    if (!more && st->shards <= 1) /* the one read has waited for all of it */
        return true;
    for (uint32_t i = before; i < st->count; i++)
        if (st->targets[i].err) /* deleted while we waited: told at once, with what is there already */
            st->deadline_ns = r->shard->now_ns;
    fetch_wait_start(r);
    return r->pending == 0;
}

void fetch_wait_free(struct fetch *st)
{
    for (unsigned s = 0; s < KAFKA_MAX_SHARDS; s++) {
        op_read_free(st->back[s]);
        st->back[s] = NULL;
    }
}
