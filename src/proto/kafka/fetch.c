/* Fetch: reads record batches from partitions, waiting for them if asked to. Versions 4 to 17.
 *
 * Fetch sessions (KIP-227) are not kept: every full fetch is answered with session id 0, and a request that
 * goes on with a session gets FETCH_SESSION_ID_NOT_FOUND, after which clients send a full one. */
#include "proto/kafka/fetch.h"

#include "base/err.h"
#include "proto/kafka/cluster.h"

enum {
    TOPIC_IDS_SINCE = 13,     /* KIP-516 */
    ZSTD_SINCE = 10,          /* KIP-110 */
    SESSION_EPOCH_FULL = 0,   /* FetchMetadata.INITIAL_EPOCH */
    SESSION_EPOCH_FINAL = -1, /* FetchMetadata.FINAL_EPOCH */
    READ_COMMITTED = 1,
    MAX_WAIT_MS = 5 * 60 * 1000, /* longer waits are cut; a client just asks again */
};

/* ---- the answer --------------------------------------------------------------------------------------- */

static void init_partition(struct kafka_fetch_response_partition *out, int32_t index, int8_t isolation)
{
    kafka_fetch_response_partition_init(out);
    out->partition_index = index;
    out->high_watermark = -1;
    /* Null unless asked for: read_committed readers get the list, which is empty without transactions. */
    out->aborted_transactions_count = isolation == READ_COMMITTED ? 0 : -1;
}

/* `left` is what max_bytes leaves for partitions of other shards; each shard alone keeps within it. KIP-74:
 * the first batches are sent whatever their size. */
static void answer_partition(struct kafka_request *r, struct fetch_target *t, uint64_t *left, bool *first)
{
    const struct read_item *it = t->item;
    struct kafka_fetch_response_partition *out = t->out;
    const struct rope *records = &it->read.data;
    out->error_code = kafka_error_of(r, it->err);
    if (it->err)
        return;
    out->high_watermark = out->last_stable_offset = (int64_t)it->durable;
    out->log_start_offset = (int64_t)it->log_start;
    out->diverging_epoch.epoch = it->diverging_epoch;
    out->diverging_epoch.end_offset = it->diverging_epoch >= 0 ? it->diverging_end : -1;
    if (records->len == 0 || (!*first && records->len > *left))
        return;
    out->records = *records;
    *left -= records->len < *left ? records->len : *left;
    *first = false;
    metrics_add(r->shard->metrics, METRIC_KAFKA_BATCH_BYTES_OUT, records->len);
}

static void finish(struct kafka_request *r)
{
    struct fetch *st = r->state;
    if (st->count > 0 && !fetch_wait_over(r))
        return;
    uint64_t left = st->shards > 1 ? st->max_bytes : UINT64_MAX;
    bool first = true;
    for (uint32_t i = 0; i < st->count; i++)
        answer_partition(r, &st->targets[i], &left, &first);
    kafka_respond(r, &st->response);
    fetch_wait_free(st);
}

/* ---- the request -------------------------------------------------------------------------------------- */

static void add_partition(struct kafka_request *r, struct fetch *st, const struct topic *t, int err,
                          const struct kafka_fetch_request_partition *in,
                          struct kafka_fetch_response_partition *out)
{
    const struct kafka_fetch_request *m = r->message;
    const struct topic_partition *p = NULL;
    init_partition(out, in->partition, m->isolation_level);
    if (!err)
        err = kafka_partition(t, in->partition, &p);
    if (!err && in->fetch_offset < 0)
        err = ERR_OFFSET_RANGE;
    /* KafkaApis: by the topic's compression.type; what producers chose is passed on to any client. */
    if (!err && t->config.codec == CODEC_ZSTD && r->version < ZSTD_SINCE)
        err = ERR_BAD_CODEC;
    if (err) {
        out->error_code = kafka_error_of(r, err);
        return;
    }
    st->targets[st->count++] = (struct fetch_target){*p, in, out, NULL};
    st->shards += st->spread.items[p->shard] == 0;
    kafka_spread_add(&st->spread, p);
}

static void add_topic(struct kafka_request *r, struct fetch *st, const struct kafka_fetch_request_topic *in,
                      struct kafka_fetch_response_topic *out)
{
    struct topic *t = NULL;
    int err = r->version >= TOPIC_IDS_SINCE ? kafka_topic_by_id(r, AUTH_READ, in->topic_id, &t)
                                            : kafka_topic(r, AUTH_READ, in->topic, &t);
    out->topic = in->topic;
    out->topic_id = in->topic_id;
    out->partitions_count = in->partitions_count;
    out->partitions = arena_array(&r->arena, (size_t)in->partitions_count, sizeof(*out->partitions));
    for (int32_t i = 0; i < in->partitions_count; i++)
        add_partition(r, st, t, err, &in->partitions[i], &out->partitions[i]);
}

/* ReplicaManager.fetchMessages(): the broker's limit holds, and nobody waits for more than fits. */
static void set_limits(struct kafka_request *r, struct fetch *st)
{
    const struct kafka_fetch_request *in = r->message;
    uint64_t wait_ms = in->max_wait_ms > 0 ? (uint64_t)in->max_wait_ms : 0;
    st->max_bytes = in->max_bytes > 0 ? (uint64_t)in->max_bytes : 0;
    if (st->max_bytes > kafka_config(r)->kafka_max_fetch_bytes)
        st->max_bytes = kafka_config(r)->kafka_max_fetch_bytes;
    st->min_bytes = in->min_bytes > 0 ? (uint64_t)in->min_bytes : 0;
    if (st->min_bytes > st->max_bytes)
        st->min_bytes = st->max_bytes;
    st->deadline_ns = r->shard->now_ns + (wait_ms < MAX_WAIT_MS ? wait_ms : MAX_WAIT_MS) * 1000000;
}

static void answer_session_error(struct kafka_request *r)
{
    struct kafka_fetch_response m;
    kafka_fetch_response_init(&m);
    m.error_code = kafka_error(r, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    kafka_respond(r, &m);
}

/* FetchManager.newContext(): epoch 0 begins a session and -1 ends one, both are full fetches whatever the id.
 */
static bool is_full_fetch(const struct kafka_fetch_request *in)
{
    return in->session_epoch == SESSION_EPOCH_FULL || in->session_epoch == SESSION_EPOCH_FINAL;
}

void kafka_fetch(struct kafka_request *r)
{
    const struct kafka_fetch_request *in = r->message;
    uint64_t partitions = (uint64_t)in->topics_count;
    for (int32_t i = 0; i < in->topics_count; i++)
        partitions += (uint64_t)in->topics[i].partitions_count;
    if (!kafka_check_count(r, partitions))
        return;
    if (!is_full_fetch(in)) {
        answer_session_error(r);
        return;
    }
    struct fetch *st = arena_alloc(&r->arena, sizeof(*st));
    r->state = st;
    r->finish = finish;
    r->abandon = fetch_wait_abandon;
    st->targets = arena_array(&r->arena, partitions, sizeof(*st->targets));
    kafka_fetch_response_init(&st->response);
    st->response.responses_count = in->topics_count;
    st->response.responses =
        arena_array(&r->arena, (size_t)in->topics_count, sizeof(*st->response.responses));
    for (int32_t i = 0; i < in->topics_count; i++)
        add_topic(r, st, &in->topics[i], &st->response.responses[i]);
    set_limits(r, st);
    fetch_wait_start(r);
}
