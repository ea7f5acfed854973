/* Metadata: the broker, the topics, their partitions and leaders. Creates topics that a client asks for, if
 * it and the broker allow that, and then answers when they exist: clients that do not retry work at once. */
#include <stdlib.h>

#include "base/err.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/cluster.h"

enum {
    NULL_IS_ALL_SINCE = 1, /* before: an empty list asks for all topics */
    CREATE_FLAG_SINCE = 4, /* before: always allowed */
    TOPIC_IDS_SINCE = 10,  /* KIP-516; asking by id since 12 */
    ASK_BY_ID_SINCE = 12,
};

/* One topic asked for, by name or by id. */
struct wanted {
    struct span name; /* null: by id */
    struct kafka_uuid id;
    int create_err; /* of its creation; 0: none was needed, or it worked */
};

struct metadata {
    struct kafka_metadata_response response;
    struct wanted *wanted;
    int32_t count;
    int32_t broker_id; /* what replica and ISR arrays point to */
};

/* ---- the answer --------------------------------------------------------------------------------------- */

static void describe_partition(struct metadata *st, const struct topic *t, int32_t index,
                               struct kafka_metadata_response_partition *out)
{
    kafka_metadata_response_partition_init(out);
    out->partition_index = index;
    out->leader_id = st->broker_id;
    out->leader_epoch = t->partitions[index].leader_epoch;
    out->replica_nodes = out->isr_nodes = &st->broker_id;
    out->replica_nodes_count = out->isr_nodes_count = 1;
}

static void describe_topic(struct kafka_request *r, const struct topic *t,
                           struct kafka_metadata_response_topic *out)
{
    const struct kafka_metadata_request *in = r->message;
    out->name = span_of(arena_copy(&r->arena, t->name, t->name_len), t->name_len);
    out->topic_id = kafka_uuid_of(t);
    out->partitions_count = (int32_t)t->partition_count;
    out->partitions = arena_array(&r->arena, t->partition_count, sizeof(*out->partitions));
    for (int32_t i = 0; i < out->partitions_count; i++)
        describe_partition(r->state, t, i, &out->partitions[i]);
    if (in->include_topic_authorized_operations)
        out->topic_authorized_operations = KAFKA_TOPIC_OPERATIONS;
}

/* Kafka's code for a topic that cannot be described. */
static int code_of(const struct wanted *w, int err)
{
    if (err == ERR_NOT_FOUND && w->create_err && w->create_err != ERR_EXISTS)
        err = w->create_err;
    if (err == ERR_NOT_FOUND && topic_check_name(w->name))
        err = ERR_BAD_TOPIC_NAME;
    return err_kafka(err);
}

static void describe_wanted(struct kafka_request *r, const struct wanted *w,
                            struct kafka_metadata_response_topic *out)
{
    struct topic *t = NULL;
    kafka_metadata_response_topic_init(out);
    out->name = w->name;
    out->topic_id = w->id;
    if (r->version < ASK_BY_ID_SINCE && span_is_null(w->name)) { /* KafkaApis: an id, but no name */
        out->name = wire_empty;
        out->error_code = kafka_error(r, KAFKA_INVALID_REQUEST);
        return;
    }
    int err = span_is_null(w->name) ? kafka_topic_by_id(r, AUTH_DESCRIBE, w->id, &t)
                                    : kafka_topic(r, AUTH_DESCRIBE, w->name, &t);
    if (err)
        out->error_code = kafka_error(r, code_of(w, err));
    else
        describe_topic(r, t, out);
}

static void describe_all(struct kafka_request *r, struct kafka_metadata_response *m)
{
    size_t count;
    struct topic **topics = topic_list(r->shard, kafka_actor(r), &r->arena, &count);
    m->topics_count = (int32_t)count;
    m->topics = arena_array(&r->arena, count, sizeof(*m->topics));
    for (size_t i = 0; i < count; i++) {
        kafka_metadata_response_topic_init(&m->topics[i]);
        describe_topic(r, topics[i], &m->topics[i]);
    }
}

static void describe_cluster(struct kafka_request *r, struct kafka_metadata_response *m)
{
    const struct kafka_metadata_request *in = r->message;
    m->brokers_count = 1;
    m->brokers = arena_array(&r->arena, 1, sizeof(*m->brokers));
    m->brokers[0].node_id = kafka_broker_id(r);
    kafka_advertised(r, &m->brokers[0].host, &m->brokers[0].port);
    m->cluster_id = kafka_cluster_id(r);
    m->controller_id = kafka_broker_id(r);
    if (in->include_cluster_authorized_operations)
        m->cluster_authorized_operations = KAFKA_CLUSTER_OPERATIONS;
}

static bool asks_for_all(const struct kafka_request *r)
{
    const struct kafka_metadata_request *in = r->message;
    return r->version < NULL_IS_ALL_SINCE ? in->topics_count <= 0 : in->topics_count < 0;
}

static void finish(struct kafka_request *r)
{
    struct metadata *st = r->state;
    struct kafka_metadata_response *m = &st->response;
    describe_cluster(r, m);
    if (asks_for_all(r)) {
        describe_all(r, m);
    } else {
        m->topics_count = st->count;
        m->topics = arena_array(&r->arena, (size_t)st->count, sizeof(*m->topics));
        for (int32_t i = 0; i < st->count; i++)
            describe_wanted(r, &st->wanted[i], &m->topics[i]);
    }
    kafka_respond(r, m);
}

/* ---- creation ----------------------------------------------------------------------------------------- */

struct create {
    struct op_topic_create op;
    struct wanted *wanted;
};

static void create_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct create *cr = (struct create *)op;
    if (kafka_request_alive(r))
        cr->wanted->create_err = op->err;
    op_topic_create_free(&cr->op);
    kafka_op_returned(r);
}

static bool may_create(const struct kafka_request *r)
{
    const struct kafka_metadata_request *in = r->message;
    return kafka_config(r)->kafka_auto_create_topics &&
           (r->version < CREATE_FLAG_SINCE || in->allow_auto_topic_creation);
}

/* With the broker's defaults, as AutoTopicCreationManager does. */
static void create(struct kafka_request *r, struct wanted *w)
{
    struct topic *t;
    if (span_is_null(w->name) || topic_check_name(w->name) ||
        kafka_topic(r, AUTH_DESCRIBE, w->name, &t) != ERR_NOT_FOUND)
        return;
    struct create *cr = kafka_op_new(r, sizeof(*cr), create_done);
    cr->wanted = w;
    cr->op.name = span_of(arena_copy(&cr->op.arena, w->name.ptr, w->name.len), w->name.len);
    cr->op.partitions = -1;
    topic_config_default(&cr->op.config);
    op_topic_create_submit(&cr->op);
}

/* ---- the request -------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    int c = span_cmp(x->name, y->name); /* null names first */
    return c ? c : memcmp(x->id.bytes, y->id.bytes, sizeof(x->id.bytes));
}

/* Kafka answers each topic once; ours are sorted as well, so that answers are the same every time. */
static void sort_wanted(struct metadata *st)
{
    qsort(st->wanted, (size_t)st->count, sizeof(*st->wanted), compare);
    int32_t kept = 0;
    for (int32_t i = 0; i < st->count; i++)
        if (kept == 0 || compare(&st->wanted[kept - 1], &st->wanted[i]) != 0)
            st->wanted[kept++] = st->wanted[i];
    st->count = kept;
}

void kafka_metadata(struct kafka_request *r)
{
    const struct kafka_metadata_request *in = r->message;
    int32_t count = in->topics_count > 0 ? in->topics_count : 0;
    if (!kafka_check_count(r, (uint64_t)count))
        return;
    struct metadata *st = arena_alloc(&r->arena, sizeof(*st));
    r->state = st;
    r->finish = finish;
    kafka_metadata_response_init(&st->response);
    st->broker_id = kafka_broker_id(r);
    st->count = count;
    st->wanted = arena_array(&r->arena, (size_t)count, sizeof(*st->wanted));
    for (int32_t i = 0; i < count; i++) {
        st->wanted[i].name = in->topics[i].name;
        if (span_is_null(in->topics[i].name))
            st->wanted[i].id = in->topics[i].topic_id;
    }
    sort_wanted(st);
    for (int32_t i = 0; may_create(r) && i < st->count; i++)
        create(r, &st->wanted[i]);
}
