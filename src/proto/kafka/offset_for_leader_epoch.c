/* OffsetForLeaderEpoch: where a leader epoch ended, so that a reader notices that its log was cut (KIP-320).
 */
#include "base/err.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/cluster.h"
#include "proto/kafka/spread.h"

struct target {
    struct topic_partition where;
    const struct kafka_offset_for_leader_epoch_request_partition *in;
    struct kafka_offset_for_leader_epoch_response_partition *out;
};

struct epochs {
    struct kafka_offset_for_leader_epoch_response response;
    struct target *targets;
    uint32_t count;
    struct kafka_spread spread;
};

static void add_partition(struct kafka_request *r, struct epochs *st, const struct topic *t, int err,
                          const struct kafka_offset_for_leader_epoch_request_partition *in,
                          struct kafka_offset_for_leader_epoch_response_partition *out)
{
    const struct topic_partition *p = NULL;
    kafka_offset_for_leader_epoch_response_partition_init(out);
    out->partition = in->partition;
    if (!err)
        err = kafka_partition(t, in->partition, &p);
    if (err) {
        out->error_code = kafka_error_of(r, err);
        return;
    }
    st->targets[st->count++] = (struct target){*p, in, out};
    kafka_spread_add(&st->spread, p);
}

static void add_topic(struct kafka_request *r, struct epochs *st,
                      const struct kafka_offset_for_leader_epoch_request_topic *in,
                      struct kafka_offset_for_leader_epoch_response_topic *out)
{
    struct topic *t = NULL;
    int err = kafka_topic(r, AUTH_DESCRIBE, in->topic, &t);
    out->topic = in->topic;
    out->partitions_count = in->partitions_count;
    out->partitions = arena_array(&r->arena, (size_t)in->partitions_count, sizeof(*out->partitions));
    for (int32_t i = 0; i < in->partitions_count; i++)
        add_partition(r, st, t, err, &in->partitions[i], &out->partitions[i]);
}

static void epochs_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct op_epochs *e = (struct op_epochs *)op;
    struct epochs *st = r->state;
    for (uint32_t i = 0; kafka_request_alive(r) && i < e->count; i++) {
        const struct epoch_item *it = &e->items[i];
        struct kafka_offset_for_leader_epoch_response_partition *out = st->targets[it->tag].out;
        int err = op->err ? op->err : it->err;
        out->error_code = kafka_error_of(r, err);
        if (err)
            continue;
        out->leader_epoch = it->ret_epoch;
        out->end_offset = it->ret_end;
    }
    op_epochs_free(e);
    kafka_op_returned(r);
}

static struct op_epochs *new_op(struct kafka_request *r, const struct kafka_spread *spread, unsigned shard)
{
    struct op_epochs *e = kafka_op_new(r, sizeof(*e), epochs_done);
    e->shard = shard;
    e->items = kafka_spread_items(spread, shard, sizeof(*e->items));
    return e;
}

static void submit(struct kafka_request *r, struct epochs *st)
{
    struct op_epochs *ops[KAFKA_MAX_SHARDS] = {0};
    for (uint32_t i = 0; i < st->count; i++) {
        const struct target *t = &st->targets[i];
        struct op_epochs **e = &ops[t->where.shard];
        if (!*e)
            *e = new_op(r, &st->spread, t->where.shard);
        (*e)->items[(*e)->count++] = (struct epoch_item){.log_id = t->where.log_id,
                                                         .leader_epoch = t->in->current_leader_epoch,
                                                         .epoch = t->in->leader_epoch,
                                                         .tag = i};
    }
    for (unsigned s = 0; s < KAFKA_MAX_SHARDS; s++)
        if (ops[s])
            op_epochs_submit(ops[s]);
}

static void finish(struct kafka_request *r)
{
    struct epochs *st = r->state;
    kafka_respond(r, &st->response);
}

void kafka_offset_for_leader_epoch(struct kafka_request *r)
{
    const struct kafka_offset_for_leader_epoch_request *in = r->message;
    uint64_t partitions = (uint64_t)in->topics_count;
    for (int32_t i = 0; i < in->topics_count; i++)
        partitions += (uint64_t)in->topics[i].partitions_count;
    if (!kafka_check_count(r, partitions))
        return;
    struct epochs *st = arena_alloc(&r->arena, sizeof(*st));
    r->state = st;
    r->finish = finish;
    st->targets = arena_array(&r->arena, partitions, sizeof(*st->targets));
    kafka_offset_for_leader_epoch_response_init(&st->response);
    st->response.topics_count = in->topics_count;
    st->response.topics = arena_array(&r->arena, (size_t)in->topics_count, sizeof(*st->response.topics));
    for (int32_t i = 0; i < in->topics_count; i++)
        add_topic(r, st, &in->topics[i], &st->response.topics[i]);
    submit(r, st);
}
