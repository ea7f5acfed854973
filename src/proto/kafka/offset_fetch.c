/* OffsetFetch: how far a group has read (versions 1 to 7), or several groups (8 and 9). All versions are
 * worked on as version 8; the answer of an older one is turned back at the end. */
#include <stdlib.h>

#include "base/err.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/groups.h"

enum {
    GROUP_ERROR_SINCE = 2, /* before, an error of the group is told with each partition */
    GROUPS_SINCE = 8,
};

struct offset_fetch {
    struct kafka_offset_fetch_response response;
    const struct kafka_offset_fetch_request_group *asked;
    struct kafka_offset_fetch_response_group *found;
    int32_t count; /* of both */
};

/* One group's operation. */
struct fetch {
    struct op_group_offsets op;
    const struct kafka_offset_fetch_request_group *in;
    struct kafka_offset_fetch_response_group *out;
    struct kafka_offset_fetch_response_group_partition **answers; /* where each of op.offsets goes */
};

/* ---- answers ------------------------------------------------------------------------------------------- */

static void tell(struct kafka_request *r, const struct group_offset *o,
                 struct kafka_offset_fetch_response_group_partition *out)
{
    out->partition_index = (int32_t)o->partition;
    out->committed_offset = o->offset;
    out->committed_leader_epoch = o->leader_epoch;
    out->metadata = span_is_null(o->metadata) ? wire_empty : kafka_group_keep(r, o->metadata);
    out->error_code = kafka_group_error_of(r, o->err);
}

static int by_name(const void *a, const void *b)
{
    const struct kafka_offset_fetch_response_group_topic *x = a, *y = b;
    return span_cmp(x->name, y->name);
}

/* The positions of one topic: from `o`, `count` of them. */
static void tell_topic(struct kafka_request *r, const struct topic *t, const struct group_offset *o,
                       uint32_t count, struct kafka_offset_fetch_response_group *out)
{
    struct kafka_offset_fetch_response_group_topic *ret = &out->topics[out->topics_count++];
    ret->name = kafka_group_keep(r, span_of(t->name, t->name_len));
    ret->partitions_count = (int32_t)count;
    ret->partitions = arena_array(&r->arena, count, sizeof(*ret->partitions));
    for (uint32_t i = 0; i < count; i++)
        tell(r, &o[i], &ret->partitions[i]);
}

static uint32_t run_of_topic(const struct group_offset *o, uint32_t left)
{
    uint32_t n = 1;
    while (n < left && memcmp(o[n].topic.bytes, o[0].topic.bytes, sizeof(o[0].topic.bytes)) == 0)
        n++;
    return n;
}

static struct topic *topic_of(struct kafka_request *r, const struct topic_id *id)
{
    struct kafka_uuid uuid;
    struct topic *t = NULL;
    memcpy(uuid.bytes, id->bytes, sizeof(uuid.bytes));
    return kafka_topic_by_id(r, AUTH_DESCRIBE, uuid, &t) ? NULL : t;
}

/* All positions there are, but of topics that are gone or none of the client's business. */
static void tell_all(struct kafka_request *r, const struct fetch *f)
{
    const struct group_offset *o = f->op.offsets;
    uint32_t topics = 0;
    for (uint32_t i = 0; i < f->op.count; i += run_of_topic(&o[i], f->op.count - i))
        topics++;
    f->out->topics = arena_array(&r->arena, topics, sizeof(*f->out->topics));
    for (uint32_t i = 0, n; i < f->op.count; i += n) {
        n = run_of_topic(&o[i], f->op.count - i);
        const struct topic *t = topic_of(r, &o[i].topic);
        if (t)
            tell_topic(r, t, &o[i], n, f->out);
    }
    if (f->out->topics_count)
        qsort(f->out->topics, (size_t)f->out->topics_count, sizeof(*f->out->topics), by_name);
}

/* OffsetFetchResponse.groupError(): an error of the whole group leaves no topics, but in version 1. */
static void refuse(struct kafka_request *r, struct kafka_offset_fetch_response_group *out, int err)
{
    out->error_code = kafka_group_error_of(r, err);
    if (r->version >= GROUP_ERROR_SINCE) {
        out->topics_count = 0;
        return;
    }
    for (int32_t i = 0; i < out->topics_count; i++)
        for (int32_t k = 0; k < out->topics[i].partitions_count; k++)
            out->topics[i].partitions[k].error_code = out->error_code;
}

static void fetch_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct fetch *f = (struct fetch *)op;
    if (kafka_request_alive(r)) {
        if (op->err)
            refuse(r, f->out, op->err);
        else if (f->op.all)
            tell_all(r, f);
        for (uint32_t i = 0; !op->err && !f->op.all && i < f->op.count; i++)
            tell(r, &f->op.offsets[i], f->answers[i]);
    }
    op_group_free(&f->op.g);
    kafka_op_returned(r);
}

/* ---- the question -------------------------------------------------------------------------------------- */

/* A topic or partition that is not there has no position, which is no error. */
static void add_partition(struct kafka_request *r, struct fetch *f, const struct topic *t, int err,
                          int32_t index, struct kafka_offset_fetch_response_group_partition *out)
{
    kafka_offset_fetch_response_group_partition_init(out);
    out->partition_index = index;
    out->committed_offset = -1;
    out->metadata = wire_empty;
    if (err == ERR_DENIED)
        out->error_code = kafka_error(r, KAFKA_TOPIC_AUTHORIZATION_FAILED);
    if (kafka_group_partition(t, err, index, &f->op.offsets[f->op.count]))
        return;
    f->answers[f->op.count++] = out;
}

static void add_topic(struct kafka_request *r, struct fetch *f,
                      const struct kafka_offset_fetch_request_group_topic *in,
                      struct kafka_offset_fetch_response_group_topic *out)
{
    struct topic *t = NULL;
    int err = kafka_topic(r, AUTH_DESCRIBE, in->name, &t);
    out->name = in->name;
    out->partitions_count = in->partition_indexes_count;
    out->partitions = arena_array(&r->arena, (size_t)out->partitions_count, sizeof(*out->partitions));
    for (int32_t i = 0; i < out->partitions_count; i++)
        add_partition(r, f, t, err, in->partition_indexes[i], &out->partitions[i]);
}

static void add_topics(struct kafka_request *r, struct fetch *f)
{
    size_t partitions = 0;
    for (int32_t i = 0; i < f->in->topics_count; i++)
        partitions += (size_t)f->in->topics[i].partition_indexes_count;
    f->op.offsets = arena_array(&r->arena, partitions, sizeof(*f->op.offsets));
    f->answers = arena_array(&r->arena, partitions, sizeof(*f->answers));
    f->out->topics_count = f->in->topics_count;
    f->out->topics = arena_array(&r->arena, (size_t)f->in->topics_count, sizeof(*f->out->topics));
    for (int32_t i = 0; i < f->in->topics_count; i++)
        add_topic(r, f, &f->in->topics[i], &f->out->topics[i]);
}

/* The member and its epoch, if given, are those of KIP-848's groups, and not looked at
 * (ClassicGroup.validateOffsetFetch()). Positions are durable ones always, so require_stable asks nothing. */
static void fetch_group(struct kafka_request *r, const struct kafka_offset_fetch_request_group *in,
                        struct kafka_offset_fetch_response_group *out)
{
    struct fetch *f = kafka_group_op_new(r, sizeof(*f), in->group_id, fetch_done);
    kafka_offset_fetch_response_group_init(out);
    out->group_id = in->group_id;
    f->in = in;
    f->out = out;
    f->op.all = in->topics_count < 0;
    if (!f->op.all)
        add_topics(r, f);
    op_group_offsets_submit(&f->op);
}

/* ---- versions 1 to 7 ----------------------------------------------------------------------------------- */

static const struct kafka_offset_fetch_request_group *as_group(struct kafka_request *r,
                                                               const struct kafka_offset_fetch_request *in)
{
    struct kafka_offset_fetch_request_group *g = arena_alloc(&r->arena, sizeof(*g));
    size_t topics = in->topics_count > 0 ? (size_t)in->topics_count : 0;
    kafka_offset_fetch_request_group_init(g);
    g->group_id = in->group_id;
    g->topics_count = in->topics_count;
    g->topics = arena_array(&r->arena, topics, sizeof(*g->topics));
    for (size_t i = 0; i < topics; i++) {
        g->topics[i].name = in->topics[i].name;
        g->topics[i].partition_indexes = in->topics[i].partition_indexes;
        g->topics[i].partition_indexes_count = in->topics[i].partition_indexes_count;
    }
    return g;
}

static void turn_topic_back(struct kafka_request *r,
                            const struct kafka_offset_fetch_response_group_topic *found,
                            struct kafka_offset_fetch_response_topic *ret)
{
    ret->name = found->name;
    ret->partitions_count = found->partitions_count;
    ret->partitions = arena_array(&r->arena, (size_t)found->partitions_count, sizeof(*ret->partitions));
    for (int32_t i = 0; i < found->partitions_count; i++) {
        const struct kafka_offset_fetch_response_group_partition *p = &found->partitions[i];
        ret->partitions[i] = (struct kafka_offset_fetch_response_partition){
            .partition_index = p->partition_index,
            .committed_offset = p->committed_offset,
            .committed_leader_epoch = p->committed_leader_epoch,
            .metadata = p->metadata,
            .error_code = p->error_code};
    }
}

static void turn_back(struct kafka_request *r, const struct kafka_offset_fetch_response_group *found,
                      struct kafka_offset_fetch_response *m)
{
    m->error_code = found->error_code;
    m->topics_count = found->topics_count;
    m->topics = arena_array(&r->arena, (size_t)found->topics_count, sizeof(*m->topics));
    for (int32_t i = 0; i < found->topics_count; i++)
        turn_topic_back(r, &found->topics[i], &m->topics[i]);
}

/* ---- */

static void finish(struct kafka_request *r)
{
    struct offset_fetch *st = r->state;
    if (r->version < GROUPS_SINCE) {
        turn_back(r, &st->found[0], &st->response);
    } else {
        st->response.groups = st->found;
        st->response.groups_count = st->count;
    }
    kafka_respond(r, &st->response);
}

static bool check_counts(struct kafka_request *r, const struct offset_fetch *st)
{
    uint64_t n = (uint64_t)st->count;
    for (int32_t i = 0; i < st->count; i++) {
        const struct kafka_offset_fetch_request_group *g = &st->asked[i];
        for (int32_t k = 0; k < g->topics_count; k++)
            n += 1 + (uint64_t)g->topics[k].partition_indexes_count;
    }
    return kafka_check_count(r, n);
}

void kafka_offset_fetch(struct kafka_request *r)
{
    const struct kafka_offset_fetch_request *in = r->message;
    struct offset_fetch *st = arena_alloc(&r->arena, sizeof(*st));
    r->state = st;
    r->finish = finish;
    kafka_offset_fetch_response_init(&st->response);
    st->asked = r->version < GROUPS_SINCE ? as_group(r, in) : in->groups;
    st->count = r->version < GROUPS_SINCE ? 1 : in->groups_count;
    if (!check_counts(r, st))
        return;
    st->found = arena_array(&r->arena, (size_t)st->count, sizeof(*st->found));
    for (int32_t i = 0; i < st->count; i++)
        fetch_group(r, &st->asked[i], &st->found[i]);
}
