/* ListOffsets: offsets by timestamp, the earliest and the latest included. */
#include "base/err.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/cluster.h"
#include "proto/kafka/spread.h"

/* One partition that was found: what is asked of its owner, and where the answer goes. */
struct target {
    struct topic_partition where;
    const struct kafka_list_offsets_request_partition *in;
    struct kafka_list_offsets_response_partition *out;
};

struct list_offsets {
    struct kafka_list_offsets_response response;
    struct target *targets;
    uint32_t count;
    struct kafka_spread spread;
};

/* Negative timestamps are questions of their own, and each has a first version (ListOffsetsRequest.java);
 * those that are not known get UNSUPPORTED_VERSION, as KafkaApis does. */
static int check_question(int64_t timestamp, int version)
{
    static const struct {
        int64_t timestamp;
        int since;
    } questions[] = {
        {OFFSET_LATEST, 1},         {OFFSET_EARLIEST, 1},      {OFFSET_MAX_TIMESTAMP, 7},
        {OFFSET_EARLIEST_LOCAL, 8}, {OFFSET_LATEST_TIERED, 9},
    };
    if (timestamp >= 0)
        return 0;
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
        if (questions[i].timestamp == timestamp && version >= questions[i].since)
            return 0;
    return ERR_UNSUPPORTED;
}

static void add_partition(struct kafka_request *r, struct list_offsets *st, const struct topic *t, int err,
                          const struct kafka_list_offsets_request_partition *in,
                          struct kafka_list_offsets_response_partition *out)
{
    const struct topic_partition *p = NULL;
    kafka_list_offsets_response_partition_init(out);
    out->partition_index = in->partition_index;
    if (!err)
        err = kafka_partition(t, in->partition_index, &p);
    if (!err)
        err = check_question(in->timestamp, r->version);
    if (err) {
        out->error_code = kafka_error_of(r, err);
        return;
    }
    st->targets[st->count++] = (struct target){*p, in, out};
    kafka_spread_add(&st->spread, p);
}

static void add_topic(struct kafka_request *r, struct list_offsets *st,
                      const struct kafka_list_offsets_request_topic *in,
                      struct kafka_list_offsets_response_topic *out)
{
    struct topic *t = NULL;
    int err = kafka_topic(r, AUTH_DESCRIBE, in->name, &t);
    out->name = in->name;
    out->partitions_count = in->partitions_count;
    out->partitions = arena_array(&r->arena, (size_t)in->partitions_count, sizeof(*out->partitions));
    for (int32_t i = 0; i < in->partitions_count; i++)
        add_partition(r, st, t, err, &in->partitions[i], &out->partitions[i]);
}

static void offsets_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct op_offsets *o = (struct op_offsets *)op;
    struct list_offsets *st = r->state;
    for (uint32_t i = 0; kafka_request_alive(r) && i < o->count; i++) {
        const struct offset_item *it = &o->items[i];
        struct kafka_list_offsets_response_partition *out = st->targets[it->tag].out;
        int err = op->err ? op->err : it->err;
        out->error_code = kafka_error_of(r, err);
        if (err)
            continue;
        out->offset = it->offset;
        out->timestamp = it->ret_timestamp;
        out->leader_epoch = it->ret_epoch;
    }
    op_offsets_free(o);
    kafka_op_returned(r);
}

static struct op_offsets *new_op(struct kafka_request *r, const struct kafka_spread *spread, unsigned shard)
{
    struct op_offsets *o = kafka_op_new(r, sizeof(*o), offsets_done);
    o->shard = shard;
    o->items = kafka_spread_items(spread, shard, sizeof(*o->items));
    return o;
}

static void submit(struct kafka_request *r, struct list_offsets *st)
{
    struct op_offsets *ops[KAFKA_MAX_SHARDS] = {0};
    for (uint32_t i = 0; i < st->count; i++) {
        const struct target *t = &st->targets[i];
        struct op_offsets **o = &ops[t->where.shard];
        if (!*o)
            *o = new_op(r, &st->spread, t->where.shard);
        (*o)->items[(*o)->count++] = (struct offset_item){.log_id = t->where.log_id,
                                                          .timestamp = t->in->timestamp,
                                                          .leader_epoch = t->in->current_leader_epoch,
                                                          .tag = i};
    }
    for (unsigned s = 0; s < KAFKA_MAX_SHARDS; s++)
        if (ops[s])
            op_offsets_submit(ops[s]);
}

static void finish(struct kafka_request *r)
{
    struct list_offsets *st = r->state;
    kafka_respond(r, &st->response);
}

void kafka_list_offsets(struct kafka_request *r)
{
    const struct kafka_list_offsets_request *in = r->message;
    uint64_t partitions = (uint64_t)in->topics_count;
    for (int32_t i = 0; i < in->topics_count; i++)
        partitions += (uint64_t)in->topics[i].partitions_count;
    if (!kafka_check_count(r, partitions))
        return;
    struct list_offsets *st = arena_alloc(&r->arena, sizeof(*st));
    r->state = st;
    r->finish = finish;
    st->targets = arena_array(&r->arena, partitions, sizeof(*st->targets));
    kafka_list_offsets_response_init(&st->response);
    st->response.topics_count = in->topics_count;
    st->response.topics = arena_array(&r->arena, (size_t)in->topics_count, sizeof(*st->response.topics));
    for (int32_t i = 0; i < in->topics_count; i++)
        add_topic(r, st, &in->topics[i], &st->response.topics[i]);
    submit(r, st);
}
