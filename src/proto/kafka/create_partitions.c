/* CreatePartitions: raises the number of partitions of topics (KIP-195). Versions 0 to 3. */
#include "base/err.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/topics.h"

struct create_partitions {
    struct kafka_create_partitions_response response;
};

struct growth {
    struct op_topic_grow op;
    struct kafka_create_partitions_response_topic *out;
};

static void refuse(struct kafka_request *r, struct kafka_create_partitions_response_topic *out,
                   struct kafka_refusal no)
{
    out->error_code = kafka_error(r, no.code);
    out->error_message = span_str(no.message);
}

static void grow_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct growth *g = (struct growth *)op;
    if (kafka_request_alive(r) && op->err)
        refuse(r, g->out, kafka_refuse_err(op->err));
    op_topic_grow_free(&g->op);
    kafka_op_returned(r);
}

static void finish(struct kafka_request *r)
{
    struct create_partitions *st = r->state;
    kafka_respond(r, &st->response);
}

/* ReplicationControlManager.createPartitions() */
static struct kafka_refusal check_count(struct kafka_request *r,
                                        const struct kafka_create_partitions_request_topic *in,
                                        const struct topic *t)
{
    if (in->count == (int64_t)t->partition_count)
        return kafka_refuse(r, KAFKA_INVALID_PARTITIONS, "Topic already has %u partition(s).",
                            t->partition_count);
    if (in->count < (int64_t)t->partition_count)
        return kafka_refuse(r, KAFKA_INVALID_PARTITIONS,
                            "The topic %s currently has %u partition(s); %d would not be an increase.",
                            kafka_printable(r, in->name), t->partition_count, in->count);
    return (struct kafka_refusal){0, NULL};
}

static struct kafka_refusal check_assignments(struct kafka_request *r,
                                              const struct kafka_create_partitions_request_topic *in,
                                              const struct topic *t)
{
    int64_t more = in->count - (int64_t)t->partition_count;
    if (in->assignments_count < 0)
        return (struct kafka_refusal){0, NULL};
    if (in->assignments_count != more)
        return kafka_refuse(r, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                            "Attempted to add %lld additional partition(s), but only %d assignment(s) were "
                            "specified.",
                            (long long)more, in->assignments_count);
    for (int32_t i = 0; i < in->assignments_count; i++) {
        struct kafka_refusal no =
            kafka_check_replicas(r, in->assignments[i].broker_ids, in->assignments[i].broker_ids_count);
        if (no.code)
            return no;
    }
    return (struct kafka_refusal){0, NULL};
}

static struct kafka_refusal check(struct kafka_request *r,
                                  const struct kafka_create_partitions_request_topic *in)
{
    struct topic *t = NULL;
    int err = kafka_topic(r, AUTH_CONFIGURE, in->name, &t);
    if (err)
        return kafka_refuse_err(err);
    struct kafka_refusal no = check_count(r, in, t);
    return no.code ? no : check_assignments(r, in, t);
}

static void grow(struct kafka_request *r, const struct kafka_create_partitions_request_topic *in,
                 struct kafka_create_partitions_response_topic *out)
{
    const struct kafka_create_partitions_request *m = r->message;
    struct kafka_refusal no = check(r, in);
    if (no.code) {
        refuse(r, out, no);
        return;
    }
    struct growth *g = kafka_op_new(r, sizeof(*g), grow_done);
    g->out = out;
    g->op.name = span_of(arena_copy(&g->op.arena, in->name.ptr, in->name.len), in->name.len);
    g->op.partitions = in->count;
    g->op.validate_only = m->validate_only;
    op_topic_grow_submit(&g->op);
}

static uint64_t count_all(const struct kafka_create_partitions_request *in)
{
    uint64_t count = (uint64_t)in->topics_count;
    for (int32_t i = 0; i < in->topics_count; i++)
        count += in->topics[i].assignments_count > 0 ? (uint64_t)in->topics[i].assignments_count : 0;
    return count;
}

static bool *find_duplicates(struct kafka_request *r)
{
    const struct kafka_create_partitions_request *in = r->message;
    struct span *names = arena_array(&r->arena, (size_t)in->topics_count, sizeof(*names));
    for (int32_t i = 0; i < in->topics_count; i++)
        names[i] = in->topics[i].name;
    return kafka_find_duplicates(r, names, (size_t)in->topics_count);
}

void kafka_create_partitions(struct kafka_request *r)
{
    const struct kafka_create_partitions_request *in = r->message;
    if (!kafka_check_count(r, count_all(in)))
        return;
    struct create_partitions *st = arena_alloc(&r->arena, sizeof(*st));
    r->state = st;
    r->finish = finish;
    kafka_create_partitions_response_init(&st->response);
    st->response.results_count = in->topics_count;
    st->response.results = arena_array(&r->arena, (size_t)in->topics_count, sizeof(*st->response.results));
    bool *duplicate = find_duplicates(r);
    for (int32_t i = 0; i < in->topics_count; i++) {
        struct kafka_create_partitions_response_topic *out = &st->response.results[i];
        kafka_create_partitions_response_topic_init(out);
        out->name = in->topics[i].name;
        if (duplicate[i])
            refuse(r, out, (struct kafka_refusal){KAFKA_INVALID_REQUEST, "Duplicate topic name."});
        else
            grow(r, &in->topics[i], out);
    }
}
