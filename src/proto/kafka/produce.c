/* Produce: appends record batches to partitions. Versions 3 to 11; earlier ones carry formats before magic 2.
 */
#include "base/err.h"
#include "core/records.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/cluster.h"
#include "proto/kafka/spread.h"

enum { ZSTD_SINCE = 7 }; /* Produce version, KIP-110 */

/* One batch that passed validation, on its way to the owner of its log. */
struct target {
    struct topic_partition where;
    struct span batch;
    struct chunk *chunk; /* one reference until it is the operation's */
    int32_t records;
    int64_t append_ms; /* -1: CreateTime */
    struct kafka_produce_response_partition *out;
};

struct produce {
    struct kafka_produce_response response;
    struct target *targets;
    uint32_t count;
    struct kafka_spread spread;
    int first_err; /* Kafka's code of the first partition that failed */
};

/* ---- validation --------------------------------------------------------------------------------------- */

static void set_error(struct kafka_request *r, struct produce *st,
                      struct kafka_produce_response_partition *out, int code)
{
    out->error_code = kafka_error(r, code);
    out->base_offset = -1;
    if (!st->first_err)
        st->first_err = code;
}

static void set_record_errors(struct kafka_request *r, const struct records_verdict *v,
                              struct kafka_produce_response_partition *out)
{
    out->error_message = span_str(v->message);
    out->record_errors_count = (int32_t)v->error_count;
    out->record_errors = arena_array(&r->arena, v->error_count, sizeof(*out->record_errors));
    for (uint32_t i = 0; i < v->error_count; i++) {
        out->record_errors[i].batch_index = v->errors[i].index;
        out->record_errors[i].batch_index_error_message = span_str(v->errors[i].message);
    }
}

/* The whole batch as one run of bytes: what came from the wire is one slice. */
static struct span records_of(const struct kafka_produce_request_partition *in)
{
    if (in->records.count == 0)
        return SPAN_NULL;
    assert(in->records.count == 1);
    return span_of(in->records.slices[0].ptr, in->records.slices[0].len);
}

/* Kafka's code. */
static int validate(struct kafka_request *r, const struct topic *t, struct span records,
                    struct target *target, struct kafka_produce_response_partition *out)
{
    struct records_policy policy = t->policy;
    struct records_verdict v;
    policy.allow_zstd = r->version >= ZSTD_SINCE;
    int err = records_check(r->shard->compressor, &policy, records, r->shard->now_ms, &r->arena,
                            &r->shard->input_pool, &v);
    if (err) {
        set_record_errors(r, &v, out);
        return err_kafka(err);
    }
    if (v.transactional) { /* without a transactional id, or it would have been refused before */
        chunk_unref(v.chunk);
        return KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    }
    target->batch = v.batch;
    target->chunk = v.chunk ? v.chunk : r->chunk ? chunk_ref(r->chunk) : NULL;
    target->records = v.count;
    target->append_ms = v.append_ms;
    return KAFKA_NONE;
}

static void add_partition(struct kafka_request *r, struct produce *st, const struct topic *t, int code,
                          const struct kafka_produce_request_partition *in,
                          struct kafka_produce_response_partition *out)
{
    const struct topic_partition *p = NULL;
    struct target *target = &st->targets[st->count];
    kafka_produce_response_partition_init(out);
    out->index = in->index;
    if (!code && kafka_partition(t, in->index, &p))
        code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (!code)
        code = validate(r, t, records_of(in), target, out);
    if (code) {
        set_error(r, st, out, code);
        return;
    }
    target->where = *p;
    target->out = out;
    st->count++;
    kafka_spread_add(&st->spread, p);
}

/* `code` is Kafka's error for the request as a whole. */
static void add_topic(struct kafka_request *r, struct produce *st, int code,
                      const struct kafka_produce_request_topic *in, struct kafka_produce_response_topic *out)
{
    struct topic *t = NULL;
    if (!code)
        code = err_kafka(kafka_topic(r, AUTH_WRITE, in->name, &t));
    out->name = in->name;
    out->partition_responses_count = in->partition_data_count;
    out->partition_responses =
        arena_array(&r->arena, (size_t)in->partition_data_count, sizeof(*out->partition_responses));
    for (int32_t i = 0; i < in->partition_data_count; i++)
        add_partition(r, st, t, code, &in->partition_data[i], &out->partition_responses[i]);
}

/* ---- appending ---------------------------------------------------------------------------------------- */

static void count_in(struct kafka_request *r, const struct target *t, bool duplicate)
{
    if (duplicate) {
        metrics_add(r->shard->metrics, METRIC_KAFKA_DUPLICATES, 1);
        return;
    }
    metrics_add(r->shard->metrics, METRIC_KAFKA_RECORDS_IN, (uint64_t)t->records);
    metrics_add(r->shard->metrics, METRIC_KAFKA_BATCH_BYTES_IN, t->batch.len);
}

static void set_result(struct kafka_request *r, struct produce *st, const struct target *t,
                       const struct append_item *it)
{
    struct kafka_produce_response_partition *out = t->out;
    if (it->err) {
        set_error(r, st, out, err_kafka(it->err));
        return;
    }
    out->base_offset = (int64_t)it->base_offset;
    /* A duplicate is answered with what the first one got, as UnifiedLog does. */
    out->log_append_time_ms = it->duplicate ? it->timestamp : t->append_ms;
    out->log_start_offset = (int64_t)it->log_start;
    count_in(r, t, it->duplicate);
}

static void append_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct op_append *a = (struct op_append *)op;
    struct produce *st = r->state;
    for (uint32_t i = 0; kafka_request_alive(r) && i < a->count; i++) {
        struct append_item *it = &a->items[i];
        if (op->err)
            it->err = op->err;
        set_result(r, st, &st->targets[it->tag], it);
    }
    op_append_free(a);
    kafka_op_returned(r);
}

static struct op_append *new_op(struct kafka_request *r, const struct kafka_spread *spread, unsigned shard)
{
    struct op_append *a = kafka_op_new(r, sizeof(*a), append_done);
    a->shard = shard;
    a->items = kafka_spread_items(spread, shard, sizeof(*a->items));
    return a;
}

static void submit(struct kafka_request *r, struct produce *st)
{
    struct op_append *ops[KAFKA_MAX_SHARDS] = {0};
    for (uint32_t i = 0; i < st->count; i++) {
        struct target *t = &st->targets[i];
        struct op_append **a = &ops[t->where.shard];
        if (!*a)
            *a = new_op(r, &st->spread, t->where.shard);
        (*a)->items[(*a)->count++] =
            (struct append_item){.log_id = t->where.log_id, .batch = t->batch, .chunk = t->chunk, .tag = i};
        t->chunk = NULL;
    }
    for (unsigned s = 0; s < KAFKA_MAX_SHARDS; s++)
        if (ops[s])
            op_append_submit(ops[s]);
}

/* ---- the request -------------------------------------------------------------------------------------- */

/* acks = 0: nobody waits for an answer, so an error can only be told by closing the connection. */
static void finish(struct kafka_request *r)
{
    const struct kafka_produce_request *in = r->message;
    struct produce *st = r->state;
    if (in->acks != 0)
        kafka_respond(r, &st->response);
    else if (!st->first_err)
        kafka_respond_nothing(r);
    else
        kafka_fail(
            r, ERR_INVALID,
            arena_printf(&r->arena, "a Produce request with acks=0 failed with %s",
                         kafka_error_name(st->first_err) ? kafka_error_name(st->first_err) : "an error"));
}

static int check_request(const struct kafka_produce_request *in)
{
    if (!span_is_null(in->transactional_id))
        return KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    if (in->acks < -1 || in->acks > 1)
        return KAFKA_INVALID_REQUIRED_ACKS;
    return KAFKA_NONE;
}

void kafka_produce(struct kafka_request *r)
{
    const struct kafka_produce_request *in = r->message;
    uint64_t partitions = (uint64_t)in->topic_data_count;
    for (int32_t i = 0; i < in->topic_data_count; i++)
        partitions += (uint64_t)in->topic_data[i].partition_data_count;
    if (!kafka_check_count(r, partitions))
        return;
    struct produce *st = arena_alloc(&r->arena, sizeof(*st));
    r->state = st;
    r->finish = finish;
    st->targets = arena_array(&r->arena, partitions, sizeof(*st->targets));
    kafka_produce_response_init(&st->response);
    st->response.responses_count = in->topic_data_count;
    st->response.responses =
        arena_array(&r->arena, (size_t)in->topic_data_count, sizeof(*st->response.responses));
    int code = check_request(in);
    for (int32_t i = 0; i < in->topic_data_count; i++)
        add_topic(r, st, code, &in->topic_data[i], &st->response.responses[i]);
    submit(r, st);
}
