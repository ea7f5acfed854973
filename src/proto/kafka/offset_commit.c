/* OffsetCommit: how far a group has read. Versions 2 to 9. */
#include "base/err.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/groups.h"

/* Versions 2 to 4 may say how long a position is kept; as a time it must stay one when it is added to now. */
enum { RETENTION_MAX_DAYS = 1000000 };
enum { GROUP_ID_NOT_FOUND_SINCE = 9 }; /* KIP-848 */

struct offset_commit {
    struct kafka_offset_commit_response response;
    struct group_offset *offsets; /* of all partitions, in the order asked */
    struct kafka_offset_commit_response_partition **answers;
    uint32_t count, good; /* good: without an error */
};

static void add_partition(struct kafka_request *r, const struct topic *t, int err,
                          const struct kafka_offset_commit_request_partition *in,
                          struct kafka_offset_commit_response_partition *out)
{
    struct offset_commit *st = r->state;
    struct group_offset *o = &st->offsets[st->count];
    st->answers[st->count++] = out;
    out->partition_index = in->partition_index;
    o->err = kafka_group_partition(t, err, in->partition_index, o);
    out->error_code = kafka_error_of(r, o->err);
    if (o->err)
        return;
    st->good++;
    o->offset = in->committed_offset;
    o->leader_epoch = in->committed_leader_epoch;
    o->metadata = span_is_null(in->committed_metadata) ? wire_empty : in->committed_metadata;
}

static void add_topic(struct kafka_request *r, const struct kafka_offset_commit_request_topic *in,
                      struct kafka_offset_commit_response_topic *out)
{
    struct topic *t = NULL;
    int err = kafka_topic(r, AUTH_READ, in->name, &t);
    out->name = in->name;
    out->partitions_count = in->partitions_count;
    out->partitions = arena_array(&r->arena, (size_t)in->partitions_count, sizeof(*out->partitions));
    for (int32_t i = 0; i < in->partitions_count; i++)
        add_partition(r, t, err, &in->partitions[i], &out->partitions[i]);
}

/* OffsetMetadataManager.validateOffsetCommit(): of a group that is not there, older versions hear that its
 * generation is another. */
static int told_as(const struct kafka_request *r, int err)
{
    return err == ERR_NO_GROUP && r->version < GROUP_ID_NOT_FOUND_SINCE ? ERR_GENERATION : err;
}

static void commit_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct op_group_commit *g = (struct op_group_commit *)op;
    struct offset_commit *st = r->state;
    for (uint32_t i = 0; kafka_request_alive(r) && i < st->count; i++) {
        int err = told_as(r, op->err ? op->err : st->offsets[i].err);
        if (!st->answers[i]->error_code)
            st->answers[i]->error_code = kafka_group_error_of(r, err);
    }
    op_group_free(&g->g);
    kafka_op_returned(r);
}

static int64_t retention_ms(const struct kafka_offset_commit_request *in)
{
    const int64_t most = (int64_t)RETENTION_MAX_DAYS * 24 * 3600 * 1000;
    if (in->retention_time_ms < 0)
        return -1;
    return in->retention_time_ms < most ? in->retention_time_ms : most;
}

static void submit(struct kafka_request *r, const struct kafka_offset_commit_request *in)
{
    struct offset_commit *st = r->state;
    struct op_group_commit *g = kafka_group_op_new(r, sizeof(*g), in->group_id, commit_done);
    g->generation = in->generation_id_or_member_epoch;
    g->member_id = in->member_id;
    g->instance_id = in->group_instance_id;
    g->retention_ms = retention_ms(in);
    g->offsets = st->offsets;
    g->count = st->count;
    op_group_commit_submit(g);
}

void kafka_offset_commit(struct kafka_request *r)
{
    const struct kafka_offset_commit_request *in = r->message;
    uint64_t partitions = 0;
    for (int32_t i = 0; i < in->topics_count; i++)
        partitions += (uint64_t)in->topics[i].partitions_count;
    if (!kafka_check_count(r, partitions + (uint64_t)in->topics_count))
        return;
    struct offset_commit *st = arena_alloc(&r->arena, sizeof(*st));
    r->state = st;
    r->finish = kafka_group_finish;
    st->offsets = arena_array(&r->arena, partitions, sizeof(*st->offsets));
    st->answers = arena_array(&r->arena, partitions, sizeof(*st->answers));
    kafka_offset_commit_response_init(&st->response);
    st->response.topics_count = in->topics_count;
    st->response.topics = arena_array(&r->arena, (size_t)in->topics_count, sizeof(*st->response.topics));
    for (int32_t i = 0; i < in->topics_count; i++)
        add_topic(r, &in->topics[i], &st->response.topics[i]);
    if (st->good) /* else the group is not even looked at, as in KafkaApis */
        submit(r, in);
}
