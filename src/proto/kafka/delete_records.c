/* DeleteRecords: moves the start of partitions forward (KIP-107). */
#include "base/err.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/cluster.h"
#include "proto/kafka/spread.h"

struct target {
    struct topic_partition where;
    const struct kafka_delete_records_request_partition *in;
    struct kafka_delete_records_response_partition *out;
};

struct delete_records {
    struct kafka_delete_records_response response;
    struct target *targets;
    uint32_t count;
    struct kafka_spread spread;
};

/* Partition.deleteRecordsOnLeader(): only of topics whose records may be deleted; -1 is the high watermark.
 */
static int check(const struct topic *t, const struct kafka_delete_records_request_partition *in,
                 const struct topic_partition **ret_partition)
{
    int err = kafka_partition(t, in->partition_index, ret_partition);
    if (err)
        return err;
    if (t->config.compact && !t->config.delete_old)
        return ERR_POLICY;
    return in->offset < -1 ? ERR_OFFSET_RANGE : 0;
}

static void add_partition(struct kafka_request *r, struct delete_records *st, const struct topic *t, int err,
                          const struct kafka_delete_records_request_partition *in,
                          struct kafka_delete_records_response_partition *out)
{
    const struct topic_partition *p = NULL;
    kafka_delete_records_response_partition_init(out);
    out->partition_index = in->partition_index;
    out->low_watermark = -1;
    if (!err)
        err = check(t, in, &p);
    if (err) {
        out->error_code = kafka_error_of(r, err);
        return;
    }
    st->targets[st->count++] = (struct target){*p, in, out};
    kafka_spread_add(&st->spread, p);
}

static void add_topic(struct kafka_request *r, struct delete_records *st,
                      const struct kafka_delete_records_request_topic *in,
                      struct kafka_delete_records_response_topic *out)
{
    struct topic *t = NULL;
    int err = kafka_topic(r, AUTH_CONFIGURE, in->name, &t);
    out->name = in->name;
    out->partitions_count = in->partitions_count;
    out->partitions = arena_array(&r->arena, (size_t)in->partitions_count, sizeof(*out->partitions));
    for (int32_t i = 0; i < in->partitions_count; i++)
        add_partition(r, st, t, err, &in->partitions[i], &out->partitions[i]);
}

static void trim_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct op_trim *t = (struct op_trim *)op;
    struct delete_records *st = r->state;
    for (uint32_t i = 0; kafka_request_alive(r) && i < t->count; i++) {
        const struct trim_item *it = &t->items[i];
        struct kafka_delete_records_response_partition *out = st->targets[it->tag].out;
        int err = op->err ? op->err : it->err;
        out->error_code = kafka_error_of(r, err);
        if (!err)
            out->low_watermark = (int64_t)it->log_start;
    }
    op_trim_free(t);
    kafka_op_returned(r);
}

static struct op_trim *new_op(struct kafka_request *r, const struct kafka_spread *spread, unsigned shard)
{
    struct op_trim *t = kafka_op_new(r, sizeof(*t), trim_done);
    t->shard = shard;
    t->items = kafka_spread_items(spread, shard, sizeof(*t->items));
    return t;
}

static void submit(struct kafka_request *r, struct delete_records *st)
{
    struct op_trim *ops[KAFKA_MAX_SHARDS] = {0};
    for (uint32_t i = 0; i < st->count; i++) {
        const struct target *t = &st->targets[i];
        struct op_trim **o = &ops[t->where.shard];
        if (!*o)
            *o = new_op(r, &st->spread, t->where.shard);
        (*o)->items[(*o)->count++] =
            (struct trim_item){.log_id = t->where.log_id, .before = t->in->offset, .tag = i};
    }
    for (unsigned s = 0; s < KAFKA_MAX_SHARDS; s++)
        if (ops[s])
            op_trim_submit(ops[s]);
}

static void finish(struct kafka_request *r)
{
    struct delete_records *st = r->state;
    kafka_respond(r, &st->response);
}

void kafka_delete_records(struct kafka_request *r)
{
    const struct kafka_delete_records_request *in = r->message;
    uint64_t partitions = (uint64_t)in->topics_count;
    for (int32_t i = 0; i < in->topics_count; i++)
        partitions += (uint64_t)in->topics[i].partitions_count;
    if (!kafka_check_count(r, partitions))
        return;
    struct delete_records *st = arena_alloc(&r->arena, sizeof(*st));
    r->state = st;
    r->finish = finish;
    st->targets = arena_array(&r->arena, partitions, sizeof(*st->targets));
    kafka_delete_records_response_init(&st->response);
    st->response.topics_count = in->topics_count;
    st->response.topics = arena_array(&r->arena, (size_t)in->topics_count, sizeof(*st->response.topics));
    for (int32_t i = 0; i < in->topics_count; i++)
        add_topic(r, st, &in->topics[i], &st->response.topics[i]);
    submit(r, st);
}
