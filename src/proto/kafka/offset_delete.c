/* OffsetDelete: forgets how far a group has read (KIP-496). Version 0. */
#include "base/err.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/groups.h"

struct offset_delete {
    struct kafka_offset_delete_response response;
    struct group_offset *offsets; /* of the partitions that exist */
    struct kafka_offset_delete_response_partition **answers;
    uint32_t count;
};

static void add_partition(struct kafka_request *r, const struct topic *t, int err, int32_t index,
                          struct kafka_offset_delete_response_partition *out)
{
    struct offset_delete *st = r->state;
    out->partition_index = index;
    err = kafka_group_partition(t, err, index, &st->offsets[st->count]);
    out->error_code = kafka_error_of(r, err);
    if (!err)
        st->answers[st->count++] = out;
}

static void add_topic(struct kafka_request *r, const struct kafka_offset_delete_request_topic *in,
                      struct kafka_offset_delete_response_topic *out)
{
    struct topic *t = NULL;
    int err = kafka_topic(r, AUTH_READ, in->name, &t);
    out->name = in->name;
    out->partitions_count = in->partitions_count;
    out->partitions = arena_array(&r->arena, (size_t)in->partitions_count, sizeof(*out->partitions));
    for (int32_t i = 0; i < in->partitions_count; i++)
        add_partition(r, t, err, in->partitions[i].partition_index, &out->partitions[i]);
}

/* An error of the group is told alone. */
static void forget_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct offset_delete *st = r->state;
    if (kafka_request_alive(r)) {
        st->response.error_code = kafka_group_error_of(r, op->err);
        if (op->err)
            st->response.topics_count = 0;
        for (uint32_t i = 0; !op->err && i < st->count; i++)
            st->answers[i]->error_code = kafka_group_error_of(r, st->offsets[i].err);
    }
    op_group_free((struct op_group *)op);
    kafka_op_returned(r);
}

void kafka_offset_delete(struct kafka_request *r)
{
    const struct kafka_offset_delete_request *in = r->message;
    uint64_t partitions = 0;
    for (int32_t i = 0; i < in->topics_count; i++)
        partitions += (uint64_t)in->topics[i].partitions_count;
    if (!kafka_check_count(r, partitions + (uint64_t)in->topics_count))
        return;
    struct offset_delete *st = arena_alloc(&r->arena, sizeof(*st));
    r->state = st;
    r->finish = kafka_group_finish;
    st->offsets = arena_array(&r->arena, partitions, sizeof(*st->offsets));
    st->answers = arena_array(&r->arena, partitions, sizeof(*st->answers));
    kafka_offset_delete_response_init(&st->response);
    st->response.topics_count = in->topics_count;
    st->response.topics = arena_array(&r->arena, (size_t)in->topics_count, sizeof(*st->response.topics));
    for (int32_t i = 0; i < in->topics_count; i++)
        add_topic(r, &in->topics[i], &st->response.topics[i]);
    struct op_group_forget *f = kafka_group_op_new(r, sizeof(*f), in->group_id, forget_done);
    f->offsets = st->offsets;
    f->count = st->count;
    op_group_forget_submit(f);
}
