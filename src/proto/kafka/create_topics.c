/* CreateTopics: checks as ReplicationControlManager.createTopic() makes them, in its words; then one
 * operation for each topic. Versions 2 to 7. */
#include "base/err.h"
#include "proto/kafka/config_source.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/topics.h"

struct create_topics {
    struct kafka_create_topics_response response;
};

/* The op of one topic and where its answer goes. */
struct create {
    struct op_topic_create op;
    struct kafka_create_topics_response_topic *out;
};

/* ---- checks ------------------------------------------------------------------------------------------- */

static struct kafka_refusal check_indexes(struct kafka_request *r,
                                          const struct kafka_create_topics_request_topic *in)
{
    bool *seen = arena_array(&r->arena, (size_t)in->assignments_count, sizeof(*seen));
    for (int32_t i = 0; i < in->assignments_count; i++) {
        int32_t index = in->assignments[i].partition_index;
        if (index < 0 || index >= in->assignments_count)
            return kafka_refuse(r, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                                "partitions should be a consecutive 0-based integer sequence");
        if (seen[index])
            return kafka_refuse(r, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                                "Found multiple manual partition assignments for partition %d", index);
        seen[index] = true;
    }
    return (struct kafka_refusal){0, NULL};
}

static struct kafka_refusal check_assignments(struct kafka_request *r,
                                              const struct kafka_create_topics_request_topic *in)
{
    if (in->replication_factor != -1)
        return kafka_refuse(
            r, KAFKA_INVALID_REQUEST,
            "A manual partition assignment was specified, but replication factor was not set to -1.");
    if (in->num_partitions != -1)
        return kafka_refuse(
            r, KAFKA_INVALID_REQUEST,
            "A manual partition assignment was specified, but numPartitions was not set to -1.");
    for (int32_t i = 0; i < in->assignments_count; i++) {
        struct kafka_refusal no =
            kafka_check_replicas(r, in->assignments[i].broker_ids, in->assignments[i].broker_ids_count);
        if (no.code)
            return no;
    }
    return check_indexes(r, in);
}

static struct kafka_refusal check_numbers(struct kafka_request *r,
                                          const struct kafka_create_topics_request_topic *in)
{
    if (in->replication_factor < -1 || in->replication_factor == 0)
        return kafka_refuse(r, KAFKA_INVALID_REPLICATION_FACTOR,
                            "Replication factor must be larger than 0, or -1 to use the default value.");
    if (in->num_partitions < -1 || in->num_partitions == 0)
        return kafka_refuse(r, KAFKA_INVALID_PARTITIONS,
                            "Number of partitions was set to an invalid non-positive value.");
    if (in->replication_factor > 1)
        return kafka_refuse(
            r, KAFKA_INVALID_REPLICATION_FACTOR,
            "Unable to replicate the partition %d time(s): The target replication factor of %d "
            "cannot be reached because only 1 broker(s) are registered.",
            in->replication_factor, in->replication_factor);
    return (struct kafka_refusal){0, NULL};
}

static struct kafka_refusal set_configs(struct kafka_request *r,
                                        const struct kafka_create_topics_request_topic *in,
                                        struct topic_config *config)
{
    for (int32_t i = 0; i < in->configs_count; i++) {
        const struct kafka_create_topics_request_config *c = &in->configs[i];
        const char *reason = NULL;
        if (span_is_null(c->value))
            return kafka_refuse(r, KAFKA_INVALID_CONFIG, "Null value not supported for topic configs: %s",
                                kafka_printable(r, c->name));
        if (topic_config_set(config, c->name, c->value, &r->arena, &reason))
            return (struct kafka_refusal){KAFKA_INVALID_CONFIG, reason};
    }
    const char *reason = NULL;
    if (topic_config_check(config, &r->arena, &reason))
        return (struct kafka_refusal){KAFKA_INVALID_CONFIG, reason};
    return (struct kafka_refusal){0, NULL};
}

static struct kafka_refusal check(struct kafka_request *r, const struct kafka_create_topics_request_topic *in,
                                  struct topic_config *config)
{
    struct topic *t;
    struct kafka_refusal no = kafka_check_topic_name(r, in->name);
    if (no.code)
        return no;
    if (kafka_topic(r, AUTH_CONFIGURE, in->name, &t) == 0)
        return kafka_refuse(r, KAFKA_TOPIC_ALREADY_EXISTS, "Topic '%s' already exists.",
                            kafka_printable(r, in->name));
    no = in->assignments_count > 0 ? check_assignments(r, in) : check_numbers(r, in);
    return no.code ? no : set_configs(r, in, config);
}

/* ---- the answer --------------------------------------------------------------------------------------- */

static void refuse(struct kafka_request *r, struct kafka_create_topics_response_topic *out,
                   struct kafka_refusal no)
{
    out->error_code = kafka_error(r, no.code);
    out->error_message = span_str(no.message);
}

struct config_list {
    struct kafka_request *r;
    struct kafka_create_topics_response_topic *out;
    size_t cap;
};

static void add_config(void *arg, const struct topic_setting *setting)
{
    struct config_list *l = arg;
    struct kafka_create_topics_response_topic *out = l->out;
    if ((size_t)out->configs_count == l->cap) {
        size_t bytes = l->cap * sizeof(*out->configs);
        l->cap = l->cap ? l->cap * 2 : 16;
        void *more = arena_array(&l->r->arena, l->cap, sizeof(*out->configs));
        if (bytes)
            memcpy(more, out->configs, bytes);
        out->configs = more;
    }
    struct kafka_create_topics_response_config *c = &out->configs[out->configs_count++];
    kafka_create_topics_response_config_init(c);
    c->name = span_str(setting->name);
    c->value = span_str(setting->value);
    c->config_source = kafka_setting_source(setting);
}

/* KIP-525: clients read the number of partitions and every setting from the answer. */
static void describe(struct kafka_request *r, const struct op_topic_create *op,
                     struct kafka_create_topics_response_topic *out)
{
    struct config_list list = {r, out, 0};
    memcpy(out->topic_id.bytes, op->id.bytes, sizeof(out->topic_id.bytes));
    out->num_partitions = (int32_t)op->ret_partitions;
    out->replication_factor = 1;
    topic_config_each(&op->config, &r->arena, add_config, &list);
}

static struct kafka_refusal refusal_of(struct kafka_request *r, const struct create *cr, int err)
{
    if (err == ERR_EXISTS)
        return kafka_refuse(r, KAFKA_TOPIC_ALREADY_EXISTS, "Topic '%s' already exists.",
                            kafka_printable(r, cr->out->name));
    return kafka_refuse_err(err);
}

static void create_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct create *cr = (struct create *)op;
    if (kafka_request_alive(r) && op->err)
        refuse(r, cr->out, refusal_of(r, cr, op->err));
    else if (kafka_request_alive(r))
        describe(r, &cr->op, cr->out);
    op_topic_create_free(&cr->op);
    kafka_op_returned(r);
}

static void finish(struct kafka_request *r)
{
    struct create_topics *st = r->state;
    kafka_respond(r, &st->response);
}

/* ---- the request -------------------------------------------------------------------------------------- */

static void create(struct kafka_request *r, const struct kafka_create_topics_request_topic *in,
                   struct kafka_create_topics_response_topic *out)
{
    const struct kafka_create_topics_request *m = r->message;
    struct topic_config config;
    topic_config_default(&config);
    struct kafka_refusal no = check(r, in, &config);
    if (no.code) {
        refuse(r, out, no);
        return;
    }
    struct create *cr = kafka_op_new(r, sizeof(*cr), create_done);
    cr->out = out;
    cr->op.name = span_of(arena_copy(&cr->op.arena, in->name.ptr, in->name.len), in->name.len);
    cr->op.partitions = in->assignments_count > 0 ? in->assignments_count : in->num_partitions;
    cr->op.config = config;
    cr->op.validate_only = m->validate_only;
    op_topic_create_submit(&cr->op);
}

static uint64_t count_all(const struct kafka_create_topics_request *in)
{
    uint64_t count = (uint64_t)in->topics_count;
    for (int32_t i = 0; i < in->topics_count; i++)
        count += (uint64_t)in->topics[i].assignments_count + (uint64_t)in->topics[i].configs_count;
    return count;
}

/* A name that stands there twice is refused each time; Kafka answers it once, ours is as many as were asked.
 */
static bool *find_duplicates(struct kafka_request *r)
{
    const struct kafka_create_topics_request *in = r->message;
    struct span *names = arena_array(&r->arena, (size_t)in->topics_count, sizeof(*names));
    for (int32_t i = 0; i < in->topics_count; i++)
        names[i] = in->topics[i].name;
    return kafka_find_duplicates(r, names, (size_t)in->topics_count);
}

void kafka_create_topics(struct kafka_request *r)
{
    const struct kafka_create_topics_request *in = r->message;
    if (!kafka_check_count(r, count_all(in)))
        return;
    struct create_topics *st = arena_alloc(&r->arena, sizeof(*st));
    r->state = st;
    r->finish = finish;
    kafka_create_topics_response_init(&st->response);
    st->response.topics_count = in->topics_count;
    st->response.topics = arena_array(&r->arena, (size_t)in->topics_count, sizeof(*st->response.topics));
    bool *duplicate = find_duplicates(r);
    for (int32_t i = 0; i < in->topics_count; i++) {
        struct kafka_create_topics_response_topic *out = &st->response.topics[i];
        kafka_create_topics_response_topic_init(out);
        out->name = in->topics[i].name;
        if (duplicate[i])
            refuse(r, out, (struct kafka_refusal){KAFKA_INVALID_REQUEST, "Duplicate topic name."});
        else
            create(r, &in->topics[i], out);
    }
}
