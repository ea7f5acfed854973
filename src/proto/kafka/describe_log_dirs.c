/* DescribeLogDirs: the data directory with the size of each partition, and the room around it (KIP-113,
 * KIP-827). Versions 1 to 4. */
#include "base/err.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/cluster.h"
#include "proto/kafka/spread.h"

struct target {
    struct topic_partition where;
    struct kafka_describe_log_dirs_response_partition *out;
};

struct log_dirs {
    struct kafka_describe_log_dirs_response response;
    struct kafka_describe_log_dirs_response_result dir;
    struct kafka_spread spread;
    struct target *targets;
    uint32_t count;
};

/* ---- the operations -------------------------------------------------------------------------------------
 */

static void sizes_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct op_sizes *o = (struct op_sizes *)op;
    struct log_dirs *st = r->state;
    for (uint32_t i = 0; kafka_request_alive(r) && i < o->count; i++)
        st->targets[o->items[i].tag].out->partition_size = (int64_t)o->items[i].bytes; /* 0: just deleted */
    op_sizes_free(o);
    kafka_op_returned(r);
}

static void space_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct op_space *o = (struct op_space *)op;
    struct log_dirs *st = r->state;
    if (kafka_request_alive(r) && op->err) {
        st->dir.error_code = kafka_error_of(r, op->err);
    } else if (kafka_request_alive(r)) {
        st->dir.total_bytes = (int64_t)o->ret_total;
        st->dir.usable_bytes = (int64_t)o->ret_free;
    }
    op_space_free(o);
    kafka_op_returned(r);
}

static void submit(struct kafka_request *r, struct log_dirs *st)
{
    struct op_sizes *ops[KAFKA_MAX_SHARDS] = {0};
    for (uint32_t i = 0; i < st->count; i++) {
        const struct target *t = &st->targets[i];
        struct op_sizes **o = &ops[t->where.shard];
        if (!*o) {
            *o = kafka_op_new(r, sizeof(**o), sizes_done);
            (*o)->shard = t->where.shard;
            (*o)->items = kafka_spread_items(&st->spread, t->where.shard, sizeof(*(*o)->items));
        }
        (*o)->items[(*o)->count++] = (struct size_item){.log_id = t->where.log_id, .tag = i};
    }
    for (unsigned s = 0; s < KAFKA_MAX_SHARDS; s++)
        if (ops[s])
            op_sizes_submit(ops[s]);
    if (r->version >= 4)
        op_space_submit(kafka_op_new(r, sizeof(struct op_space), space_done));
}

static void finish(struct kafka_request *r)
{
    struct log_dirs *st = r->state;
    kafka_respond(r, &st->response);
}

/* ---- what is asked for ----------------------------------------------------------------------------------
 */

static void add_partition(struct log_dirs *st, const struct topic *t, uint32_t index,
                          struct kafka_describe_log_dirs_response_topic *out)
{
    struct kafka_describe_log_dirs_response_partition *p = &out->partitions[out->partitions_count++];
    p->partition_index = (int32_t)index;
    st->targets[st->count++] = (struct target){t->partitions[index], p};
    kafka_spread_add(&st->spread, &t->partitions[index]);
}

static void begin_topic(struct kafka_request *r, const struct topic *t, size_t partitions,
                        struct kafka_describe_log_dirs_response_topic *out)
{
    out->name = span_of(arena_copy(&r->arena, t->name, t->name_len), t->name_len); /* it may be deleted */
    out->partitions = arena_array(&r->arena, partitions, sizeof(*out->partitions));
}

static void add_all(struct kafka_request *r, struct log_dirs *st)
{
    size_t count, partitions = 0;
    struct topic **all = topic_list(r->shard, kafka_actor(r), &r->arena, &count);
    for (size_t i = 0; i < count; i++)
        partitions += all[i]->partition_count;
    st->targets = arena_array(&r->arena, partitions, sizeof(*st->targets));
    st->dir.topics = arena_array(&r->arena, count, sizeof(*st->dir.topics));
    st->dir.topics_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        begin_topic(r, all[i], all[i]->partition_count, &st->dir.topics[i]);
        for (uint32_t k = 0; k < all[i]->partition_count; k++)
            add_partition(st, all[i], k, &st->dir.topics[i]);
    }
}

/* What is not here is left out, as in Kafka. */
static void add_asked(struct kafka_request *r, struct log_dirs *st,
                      const struct kafka_describe_log_dirs_request_topic *in)
{
    struct topic *t;
    if (kafka_topic(r, AUTH_DESCRIBE, in->topic, &t))
        return;
    struct kafka_describe_log_dirs_response_topic *out = &st->dir.topics[st->dir.topics_count];
    begin_topic(r, t, (size_t)in->partitions_count, out);
    for (int32_t i = 0; i < in->partitions_count; i++)
        if (in->partitions[i] >= 0 && (uint32_t)in->partitions[i] < t->partition_count)
            add_partition(st, t, (uint32_t)in->partitions[i], out);
    if (out->partitions_count > 0)
        st->dir.topics_count++;
    else
        *out = (struct kafka_describe_log_dirs_response_topic){0};
}

void kafka_describe_log_dirs(struct kafka_request *r)
{
    const struct kafka_describe_log_dirs_request *in = r->message;
    uint64_t asked = 0;
    for (int32_t i = 0; i < in->topics_count; i++)
        asked += 1 + (uint64_t)in->topics[i].partitions_count;
    if (!kafka_check_count(r, asked))
        return;
    struct log_dirs *st = arena_alloc(&r->arena, sizeof(*st));
    memset(st, 0, sizeof(*st));
    r->state = st;
    r->finish = finish;
    kafka_describe_log_dirs_response_init(&st->response);
    kafka_describe_log_dirs_response_result_init(&st->dir);
    st->response.results = &st->dir;
    st->response.results_count = 1;
    st->dir.log_dir = span_str(kafka_config(r)->data_dir);
    if (in->topics_count < 0) {
        add_all(r, st);
    } else {
        st->targets = arena_array(&r->arena, asked, sizeof(*st->targets));
        st->dir.topics = arena_array(&r->arena, (size_t)in->topics_count, sizeof(*st->dir.topics));
        for (int32_t i = 0; i < in->topics_count; i++)
            add_asked(r, st, &in->topics[i]);
    }
    submit(r, st);
}
