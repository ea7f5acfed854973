/* Fetch: reads record batches from partitions, waiting for them if asked to. Versions 4 to 17.
 *
 * What is read is named by the request, or by its session and the request together (KIP-227). Either way it
 * becomes a list of targets: each is looked up anew, is read or has an error, and is told in the answer. */
#include "proto/kafka/fetch.h"

#include "base/err.h"
#include "proto/kafka/cluster.h"

enum {
    ZSTD_SINCE = 10, /* KIP-110 */
    READ_COMMITTED = 1,
    MAX_WAIT_MS = 5 * 60 * 1000, /* longer waits are cut; a client just asks again */
};

/* ---- the answer --------------------------------------------------------------------------------------- */

/* `left` is what max_bytes leaves for partitions of other shards; each shard alone keeps within it. KIP-74:
 * the first batches are sent whatever their size. */
static void choose_records(struct fetch *st)
{
    uint64_t left = st->shards > 1 ? st->max_bytes : UINT64_MAX;
    bool first = true;
    for (uint32_t i = 0; i < st->count; i++) {
        struct fetch_target *t = &st->targets[i];
        uint64_t len = t->err || t->item->err ? 0 : t->item->read.data.len;
        t->has_records = len > 0 && (first || len <= left);
        if (!t->has_records)
            continue;
        left -= len < left ? len : left;
        first = false;
    }
}

/* CachedPartition.maybeUpdateResponseData(): is there news of it? Notes what will be told. */
static bool is_news(struct fetch_target *t)
{
    struct fetch_part *p = t->part;
    bool failed = t->err || t->item->err;
    int64_t high_watermark = failed ? -1 : (int64_t)t->item->durable;
    int64_t log_start = failed ? -1 : (int64_t)t->item->log_start;
    bool news = failed || t->has_records || t->item->diverging_epoch >= 0 ||
                high_watermark != p->high_watermark || log_start != p->log_start;
    p->high_watermark = high_watermark;
    p->log_start = log_start;
    return news;
}

/* How many targets are told. Those of an incremental answer go to the end of the session, so that each has
 * its turn however much the others have. */
static uint32_t choose_targets(struct fetch *st)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < st->count; i++) {
        struct fetch_target *t = &st->targets[i];
        t->told = is_news(t) || !st->incremental;
        count += t->told;
        if (t->told && st->incremental) {
            list_del(&t->part->link);
            list_add_tail(&st->session->hot, &t->part->link);
        }
    }
    return count;
}

static void init_partition(struct kafka_fetch_response_partition *out, int32_t index, int8_t isolation)
{
    kafka_fetch_response_partition_init(out);
    out->partition_index = index;
    out->high_watermark = -1;
    /* Null unless asked for: read_committed readers get the list, which is empty without transactions. */
    out->aborted_transactions_count = isolation == READ_COMMITTED ? 0 : -1;
}

static void tell_partition(struct kafka_request *r, const struct fetch_target *t,
                           struct kafka_fetch_response_partition *out)
{
    const struct kafka_fetch_request *m = r->message;
    const struct read_item *it = t->item;
    init_partition(out, t->part->index, m->isolation_level);
    out->error_code = kafka_error_of(r, t->err ? t->err : it->err);
    if (out->error_code)
        return;
    out->high_watermark = out->last_stable_offset = (int64_t)it->durable;
    out->log_start_offset = (int64_t)it->log_start;
    out->diverging_epoch.epoch = it->diverging_epoch;
    out->diverging_epoch.end_offset = it->diverging_epoch >= 0 ? it->diverging_end : -1;
    if (!t->has_records)
        return;
    out->records = it->read.data;
    metrics_add(r->shard->metrics, METRIC_KAFKA_BATCH_BYTES_OUT, it->read.data.len);
}

/* Partitions of one topic that follow each other share an entry; the order of the session may name a topic
 * more than once, as Kafka's does. */
static void tell_targets(struct kafka_request *r, struct fetch *st, uint32_t count,
                         struct kafka_fetch_response *m)
{
    struct kafka_fetch_response_partition *out = arena_array(&r->arena, count, sizeof(*out));
    const struct fetch_topic *last = NULL;
    struct kafka_fetch_response_topic *topic = NULL;
    m->responses = arena_array(&r->arena, count, sizeof(*m->responses));
    for (uint32_t i = 0; i < st->count; i++) {
        struct fetch_target *t = &st->targets[i];
        if (!t->told)
            continue;
        if (t->part->topic != last) {
            last = t->part->topic;
            topic = &m->responses[m->responses_count++];
            *topic = (struct kafka_fetch_response_topic){
                .topic = last->name, .topic_id = last->id, .partitions = out};
        }
        tell_partition(r, t, out++);
        topic->partitions_count++;
    }
}

/* Who has been read to the end is not looked at again before it changes. */
static void cool_targets(struct fetch *st)
{
    for (uint32_t i = 0; i < st->count; i++) {
        struct fetch_target *t = &st->targets[i];
        if (!t->err && !t->item->err && t->item->diverging_epoch < 0 &&
            (uint64_t)t->part->offset == t->item->durable)
            fetch_session_cool(st->session, t->part, &t->where);
    }
    fetch_session_send(st->session);
}

static void answer(struct kafka_request *r, struct fetch *st)
{
    struct kafka_fetch_response m;
    kafka_fetch_response_init(&m);
    if (st->session && fetch_is_superseded(st)) {
        /* IncrementalFetchContext.updateAndGenerateResponseData() */
        m.error_code = kafka_error(r, KAFKA_INVALID_FETCH_SESSION_EPOCH);
        m.session_id = st->session->id;
    } else {
        choose_records(st);
        tell_targets(r, st, choose_targets(st), &m);
        if (st->session && (st->incremental || fetch_session_add(fetch_sessions_of(r->shard), st->session))) {
            m.session_id = st->session->id;
            cool_targets(st);
        }
    }
    kafka_respond(r, &m);
}

static void leave_session(struct fetch *st)
{
    if (!st->session)
        return;
    if (st->session->active == st)
        st->session->active = NULL;
    fetch_session_unref(st->session);
    st->session = NULL;
}

static void finish(struct kafka_request *r)
{
    struct fetch *st = r->state;
    if (st->waited && !fetch_wait_over(r))
        return;
    answer(r, st);
    fetch_wait_free(st);
    leave_session(st);
}

static void abandon(struct kafka_request *r)
{
    struct fetch *st = r->state;
    leave_session(st);
    fetch_wait_free(st);
    fetch_wait_cancel(st);
}

/* ---- the targets -------------------------------------------------------------------------------------- */

static int find_by_id(struct kafka_request *r, struct fetch_topic *t, bool in_session)
{
    struct topic *other;
    int err = kafka_topic_by_id(r, AUTH_READ, t->id, &t->found);
    if (!in_session)
        return err;
    if (!err)
        fetch_topic_remember(t, span_of(t->found->name, t->found->name_len));
    /* Kafka finds the log of a session's partition by name, and then sees that the id is another. */
    else if (err == ERR_UNKNOWN_TOPIC_ID && t->name.len && !kafka_topic(r, AUTH_READ, t->name, &other))
        return ERR_TOPIC_ID_CHANGED;
    return err;
}

/* Once for each topic and request: it may have been made, deleted or forbidden since the last one. */
static void look_up(struct kafka_request *r, const struct fetch *st, struct fetch_topic *t)
{
    if (t->epoch == st->epoch)
        return;
    t->epoch = st->epoch;
    t->found = NULL;
    t->err = r->version >= FETCH_TOPIC_IDS_SINCE ? find_by_id(r, t, st->session != NULL)
                                                 : kafka_topic(r, AUTH_READ, t->name, &t->found);
}

static void add_target(struct kafka_request *r, struct fetch *st, struct fetch_part *part)
{
    const struct topic_partition *p = NULL;
    struct fetch_target *t = &st->targets[st->count++];
    look_up(r, st, part->topic);
    *t = (struct fetch_target){.part = part, .err = part->topic->err};
    if (!t->err)
        t->err = kafka_partition(part->topic->found, part->index, &p);
    if (!t->err && part->offset < 0)
        t->err = ERR_OFFSET_RANGE;
    /* KafkaApis: by the topic's compression.type; what producers chose is passed on to any client. */
    if (!t->err && part->topic->found->config.codec == CODEC_ZSTD && r->version < ZSTD_SINCE)
        t->err = ERR_BAD_CODEC;
    if (t->err)
        return;
    t->where = *p;
    st->reads++;
    st->shards += st->spread.items[p->shard] == 0;
    kafka_spread_add(&st->spread, p);
}

static void make_room(struct kafka_request *r, struct fetch *st, uint32_t count)
{
    if (count <= st->cap)
        return;
    struct fetch_target *all = arena_array(&r->arena, count, sizeof(*all));
    if (st->count)
        memcpy(all, st->targets, st->count * sizeof(*all));
    st->targets = all;
    st->cap = count;
}

static void add_targets_of_request(struct kafka_request *r, struct fetch *st, uint64_t partitions)
{
    const struct kafka_fetch_request *in = r->message;
    struct fetch_part *part = arena_array(&r->arena, partitions, sizeof(*part));
    make_room(r, st, (uint32_t)partitions);
    for (int32_t i = 0; i < in->topics_count; i++) {
        struct fetch_topic *t = arena_alloc(&r->arena, sizeof(*t));
        *t = (struct fetch_topic){
            .name = in->topics[i].topic, .id = in->topics[i].topic_id, .epoch = FETCH_EPOCH_NONE};
        for (int32_t k = 0; k < in->topics[i].partitions_count; k++, part++) {
            part->topic = t;
            fetch_part_set(part, &in->topics[i].partitions[k]);
            add_target(r, st, part);
        }
    }
}

bool fetch_add_hot(struct kafka_request *r, struct fetch *st)
{
    uint32_t before = st->count;
    make_room(r, st, st->session->hot_count);
    list_each (l, &st->session->hot) {
        struct fetch_part *p = list_entry(l, struct fetch_part, link);
        if (p->epoch == st->epoch)
            continue;
        p->epoch = st->epoch;
        add_target(r, st, p);
    }
    return st->count > before;
}

/* ---- the session -------------------------------------------------------------------------------------- */

static void answer_session_error(struct kafka_request *r, int code)
{
    struct kafka_fetch_response m;
    kafka_fetch_response_init(&m);
    m.error_code = kafka_error(r, code);
    kafka_respond(r, &m);
}

/* A round of the active request ends: the next one reads what has become hot. */
static void woken(struct fetch_session *s)
{
    fetch_wait_cancel(s->active);
}

static void join_session(struct fetch *st, struct fetch_session *s)
{
    st->session = s;
    s->refs++;
    if (s->active) /* another request of it is being worked on: it is not valid any more */
        fetch_wait_cancel(s->active);
    s->active = st;
    s->woken = woken;
    s->epoch = fetch_next_epoch(st->epoch);
}

/* FetchManager.newContext() for an epoch > 0. False: answered. */
static bool go_on_with_session(struct kafka_request *r, struct fetch *st, uint64_t partitions)
{
    const struct kafka_fetch_request *in = r->message;
    struct fetch_session *s = fetch_session_find(fetch_sessions_of(r->shard), in->session_id);
    int code = !s                                                  ? KAFKA_FETCH_SESSION_ID_NOT_FOUND
               : s->epoch != in->session_epoch                     ? KAFKA_INVALID_FETCH_SESSION_EPOCH
               : s->by_id != (r->version >= FETCH_TOPIC_IDS_SINCE) ? KAFKA_FETCH_SESSION_TOPIC_ID_ERROR
                                                                   : 0;
    if (!code && !fetch_session_grow(s, (uint32_t)partitions)) {
        fetch_session_remove(s); /* too large: a full request may do without */
        code = KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    }
    if (code) {
        answer_session_error(r, code);
        return false;
    }
    metrics_add(r->shard->metrics, METRIC_KAFKA_INCREMENTAL_FETCHES, 1);
    fetch_session_update(s, in);
    if (fetch_session_count(s) == 0) {
        fetch_session_remove(s); /* all is forgotten: what the request names is read without a session */
        return true;
    }
    join_session(st, s);
    st->incremental = true;
    return true;
}

/* A full request: ends the session it names, and begins one, or not. */
static void begin_session(struct kafka_request *r, struct fetch *st, uint64_t partitions)
{
    const struct kafka_fetch_request *in = r->message;
    struct fetch_sessions *all = fetch_sessions_of(r->shard);
    struct fetch_session *old = fetch_session_find(all, in->session_id);
    if (old)
        fetch_session_remove(old);
    if (in->session_epoch == FETCH_EPOCH_FINAL || partitions == 0 ||
        !fetch_session_fits(all, (uint32_t)partitions))
        return;
    st->session = fetch_session_new(r->shard, r->version >= FETCH_TOPIC_IDS_SINCE);
    st->session->epoch = fetch_next_epoch(FETCH_EPOCH_FULL);
    fetch_session_update(st->session, in);
}

/* ---- the request -------------------------------------------------------------------------------------- */

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

static uint64_t count_partitions(const struct kafka_fetch_request *in)
{
    uint64_t n = 0;
    for (int32_t i = 0; i < in->topics_count; i++)
        n += (uint64_t)in->topics[i].partitions_count;
    return n;
}

static uint64_t count_forgotten(const struct kafka_fetch_request *in)
{
    uint64_t n = (uint64_t)in->forgotten_topics_data_count;
    for (int32_t i = 0; i < in->forgotten_topics_data_count; i++)
        n += (uint64_t)in->forgotten_topics_data[i].partitions_count;
    return n;
}

void kafka_fetch(struct kafka_request *r)
{
    const struct kafka_fetch_request *in = r->message;
    uint64_t partitions = count_partitions(in);
    if (!kafka_check_count(r, (uint64_t)in->topics_count + partitions + count_forgotten(in)))
        return;
    fetch_sessions_expire(r->shard);
    struct fetch *st = arena_alloc(&r->arena, sizeof(*st));
    r->state = st;
    r->finish = finish;
    r->abandon = abandon;
    st->epoch = in->session_epoch;
    if (in->session_epoch == FETCH_EPOCH_FULL || in->session_epoch == FETCH_EPOCH_FINAL)
        begin_session(r, st, partitions);
    else if (!go_on_with_session(r, st, partitions))
        return;
    if (st->session)
        fetch_add_hot(r, st);
    else
        add_targets_of_request(r, st, partitions);
    set_limits(r, st);
    fetch_wait_start(r);
}
