/* SUBSCRIBE and its kin, PUBLISH, PUBSUB: Redis's pubsub.c on the core's subject space. */
#include "base/err.h"
#include "base/mem.h"
#include "core/alarm.h"
#include "core/broker.h"
#include "core/glob.h"
#include "core/metrics.h"
#include "proto/redis/clients.h"
#include "proto/redis/commands.h"

enum { EXCHANGE_KEY_MAX = 255 }; /* AMQP's short string */

/* ---- a connection ----------------------------------------------------------------------------------------
 */

void redis_pubsub_begin(struct redis_conn *rc)
{
    subscriber_init(&rc->sub, rc->conn, &redis_subscriber_ops, MESSAGE_FORMAT_REDIS);
    outq_init(&rc->answer, &rc->conn->shard->output_pool);
}

void redis_pubsub_end(struct redis_conn *rc)
{
    subscriber_close(&rc->sub);
    outq_fini(&rc->answer);
    if (rc->publisher) {
        publisher_flush(rc->publisher);
        publisher_fini(rc->publisher);
        mem_free(rc->publisher);
        rc->publisher = NULL;
    }
}

bool redis_is_subscribed(const struct redis_conn *rc)
{
    const struct subscriber *w = &rc->sub;
    return w->counts[SUBJECT_SHARED][SUBJECT_EXACT] + w->counts[SUBJECT_SHARED][SUBJECT_GLOB] +
               w->counts[SUBJECT_SHARDED][SUBJECT_EXACT] >
           0;
}

/* ---- subscribing -----------------------------------------------------------------------------------------
 */

struct way {
    enum subject_plane plane;
    enum subject_kind kind;
    const char *subscribed, *unsubscribed; /* first words of the answers */
};
static const struct way channels = {SUBJECT_SHARED, SUBJECT_EXACT, "subscribe", "unsubscribe"},
                        patterns = {SUBJECT_SHARED, SUBJECT_GLOB, "psubscribe", "punsubscribe"},
                        shard_channels = {SUBJECT_SHARDED, SUBJECT_EXACT, "ssubscribe", "sunsubscribe"};

/* Channels and patterns are counted together, sharded ones by themselves. */
static uint32_t count_of(const struct redis_conn *rc, const struct way *way)
{
    const struct subscriber *w = &rc->sub;
    if (way->plane == SUBJECT_SHARDED)
        return w->counts[SUBJECT_SHARDED][SUBJECT_EXACT];
    return w->counts[SUBJECT_SHARED][SUBJECT_EXACT] + w->counts[SUBJECT_SHARED][SUBJECT_GLOB];
}

/* Answers are written even where CLIENT REPLY asks for none (pubsub.c: addReplyPubsubSubscribed()). */
static struct resp_writer writer_of(struct redis_conn *rc)
{
    return (struct resp_writer){.out = &rc->answer, .version = rc->out.version};
}

static void say(struct redis_conn *rc, const struct way *way, const char *word, struct span text)
{
    struct resp_writer w = writer_of(rc);
    resp_push(&w, 3);
    resp_bulk_str(&w, word);
    if (span_is_null(text))
        resp_null(&w);
    else
        resp_bulk(&w, text);
    resp_integer(&w, count_of(rc, way));
    rc->out.failed |= w.failed;
}

/* The answer goes out when the other shards know. */
static enum redis_outcome settle(struct redis_conn *rc)
{
    if (!subscriber_settle(&rc->sub))
        return REDIS_WAIT;
    rc->deaf = false;
    outq_move(&rc->conn->out, &rc->answer);
    conn_wake_output(rc->conn);
    return REDIS_DONE;
}

static enum redis_outcome deny(struct redis_conn *rc)
{
    resp_error(redis_reply(rc), "NOPERM No permissions to access a channel");
    return REDIS_DONE;
}

static enum redis_outcome too_long(struct redis_conn *rc, enum subject_kind kind)
{
    resp_error(redis_reply(rc), "ERR the %s is too long: it may have %zu bytes",
               kind == SUBJECT_GLOB ? "pattern" : "channel's name", subject_text_max(kind));
    return REDIS_DONE;
}

static enum redis_outcome subscribe(const struct redis_call *c, const struct way *way)
{
    struct redis_conn *rc = c->rc;
    uint64_t weight = rc->sub.weight;
    uint64_t max = (uint64_t)rc->conn->shard->config->pubsub_max_subscriptions;
    for (size_t i = 1; i < c->count; i++) {
        if (subject_may_subscribe(&rc->conn->actor, c->args[i]) != 0)
            return deny(rc);
        if (c->args[i].len > subject_text_max(way->kind))
            return too_long(rc, way->kind);
        weight += subject_weight(c->args[i]);
    }
    if (weight > max) {
        resp_error(redis_reply(rc),
                   "ERR too many subscriptions: a connection may have %llu, fewer if names are long",
                   (unsigned long long)max);
        return REDIS_DONE;
    }
    for (size_t i = 1; i < c->count; i++) {
        (void)subscriber_add(&rc->sub, way->plane, way->kind, c->args[i]); /* all checked above */
        say(rc, way, way->subscribed, c->args[i]);
    }
    return settle(rc);
}

struct texts {
    struct arena *arena;
    struct span *items;
    size_t count;
};

static void collect(void *arg, struct span text)
{
    struct texts *t = arg;
    t->items[t->count++] =
        span_of(arena_copy(t->arena, text.len ? (const void *)text.ptr : "", text.len), text.len);
}

/* Returns how many they were. `word`: of the answers; NULL: none. */
static size_t drop_all(struct redis_conn *rc, const struct way *way, const char *word)
{
    struct arena a;
    arena_init(&a);
    uint32_t n = rc->sub.counts[way->plane][way->kind];
    struct texts t = {.arena = &a, .items = arena_alloc(&a, (n + 1) * sizeof(struct span))};
    subscriber_each(&rc->sub, way->plane, way->kind, collect, &t);
    for (size_t i = 0; i < t.count; i++) {
        (void)subscriber_del(&rc->sub, way->plane, way->kind, t.items[i]);
        if (word)
            say(rc, way, word, t.items[i]);
    }
    arena_fini(&a);
    return t.count;
}

static void unsubscribe_all(struct redis_conn *rc, const struct way *way)
{
    if (drop_all(rc, way, way->unsubscribed) == 0)
        say(rc, way, way->unsubscribed, SPAN_NULL);
}

enum redis_outcome redis_pubsub_reset(struct redis_conn *rc)
{
    struct resp_writer w = writer_of(rc);
    drop_all(rc, &channels, NULL);
    drop_all(rc, &patterns, NULL);
    drop_all(rc, &shard_channels, NULL);
    resp_simple(&w, "RESET");
    rc->out.failed |= w.failed;
    rc->deaf = true;
    return settle(rc);
}

static enum redis_outcome unsubscribe(const struct redis_call *c, const struct way *way)
{
    struct redis_conn *rc = c->rc;
    if (c->count == 1)
        unsubscribe_all(rc, way);
    for (size_t i = 1; i < c->count; i++) {
        (void)subscriber_del(&rc->sub, way->plane, way->kind, c->args[i]);
        say(rc, way, way->unsubscribed, c->args[i]);
    }
    /* What other shards have counted it for while they don't know comes before the answer; but nothing may
     * come into an EXEC's. */
    if (!rc->executing)
        subscriber_resume(&rc->sub);
    return settle(rc);
}

REDIS_COMMAND(subscribe)
{
    return subscribe(c, &channels);
}

REDIS_COMMAND(unsubscribe)
{
    return unsubscribe(c, &channels);
}

REDIS_COMMAND(psubscribe)
{
    return subscribe(c, &patterns);
}

REDIS_COMMAND(punsubscribe)
{
    return unsubscribe(c, &patterns);
}

REDIS_COMMAND(ssubscribe)
{
    if (c->rc->executing) { /* Redis's: only SUBSCRIBE and PSUBSCRIBE are excepted from this */
        resp_error(redis_reply(c->rc), "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
        return REDIS_DONE;
    }
    return subscribe(c, &shard_channels);
}

REDIS_COMMAND(sunsubscribe)
{
    return unsubscribe(c, &shard_channels);
}

/* ---- publishing ------------------------------------------------------------------------------------------
 */

/* NULL: nothing is bound to it, so only subscriptions can hear. */
static struct exchange *exchange_of(struct redis_conn *rc)
{
    uint64_t generation = space_generation(rc->conn->shard);
    if (!rc->exchange || rc->exchange_generation != generation) {
        rc->exchange = map_get(&rc->space->exchanges, span_str("amq.topic"));
        rc->exchange_generation = generation;
    }
    struct exchange *x = rc->exchange;
    return x && (x->binding_count > 0 || x->alternate.ptr) ? x : NULL;
}

static struct publisher *publisher_of(struct redis_conn *rc)
{
    if (!rc->publisher) {
        rc->publisher = mem_zalloc(sizeof(*rc->publisher));
        publisher_init(rc->publisher, rc->conn, NULL);
    }
    return rc->publisher;
}

/* To queues and topics, too. They take nothing while memory or the disk runs short; Redis's word for that. */
static uint64_t publish_bound(const struct redis_call *c, struct exchange *x)
{
    struct redis_conn *rc = c->rc;
    struct shard *s = rc->conn->shard;
    struct routed to;
    struct message m = {.exchange = x->name,
                        .key = c->args[1],
                        .body = c->args[2],
                        .ttl_ms = -1,
                        .format = MESSAGE_FORMAT_REDIS};
    route_look_up(s, rc->space, x, &m, false, &to);
    if (to.queue_count || to.topic_count || to.delayed_id) {
        if (alarm_state(s)) {
            resp_error(redis_reply(rc),
                       "OOM command not allowed: the broker is %s, and the channel leads to a queue or topic",
                       alarm_reason(alarm_state(s)));
            return UINT64_MAX;
        }
        if (m.body.len > s->config->amqp_max_message_bytes) {
            resp_error(
                redis_reply(rc),
                "ERR the message is larger than amqp.max-message-bytes, and the channel leads to a queue "
                "or topic");
            return UINT64_MAX;
        }
    }
    uint64_t queues = (uint64_t)to.queue_count + to.topic_count + (to.delayed_id != 0);
    return publisher_send(publisher_of(rc), &m, &to, c->chunk, 0) + queues;
}

static enum redis_outcome publish(const struct redis_call *c, enum subject_plane plane)
{
    struct redis_conn *rc = c->rc;
    struct shard *s = rc->conn->shard;
    struct subject_message m = {
        .key = c->args[1], .body = c->args[2], .format = MESSAGE_FORMAT_REDIS, .chunk = c->chunk};
    uint64_t receivers;
    if (subject_may_publish(&rc->conn->actor, m.key) != 0)
        return deny(rc);
    if (m.key.len > SUBJECT_KEY_MAX)
        return too_long(rc, SUBJECT_EXACT);
    struct exchange *x = plane == SUBJECT_SHARED ? exchange_of(rc) : NULL;
    if (x && m.key.len > EXCHANGE_KEY_MAX) {
        metrics_add(s->metrics, METRIC_SUBJECT_SKIPPED, 1);
        x = NULL;
    }
    receivers = x ? publish_bound(c, x) : subject_deliver(s, rc->space, plane, &m, rc->conn);
    if (receivers != UINT64_MAX)
        resp_integer(redis_reply(rc), (int64_t)receivers);
    return REDIS_DONE;
}

REDIS_COMMAND(publish)
{
    return publish(c, SUBJECT_SHARED);
}

REDIS_COMMAND(spublish)
{
    return publish(c, SUBJECT_SHARDED);
}

void redis_publish_flush(struct redis_conn *rc)
{
    if (rc->publisher)
        publisher_flush(rc->publisher);
}

/* ---- PUBSUB ----------------------------------------------------------------------------------------------
 */

static enum redis_outcome list_channels(const struct redis_call *c, enum subject_plane plane)
{
    struct resp_writer *w = redis_reply(c->rc);
    struct arena a;
    size_t count, n = 0, bytes = 0;
    arena_init(&a);
    const struct interest **all = subject_list(c->rc->space, plane, SUBJECT_EXACT, &a, &count);
    for (size_t i = 0; i < count; i++)
        if (c->count == 2 || glob_match(c->args[2], all[i]->text, false))
            all[n++] = all[i];
    for (size_t i = 0; i < n; i++)
        bytes += all[i]->text.len;
    if (redis_output_is_full(c->rc->conn->shard, bytes)) {
        resp_error(w, "OOM command not allowed when used memory > 'maxmemory'.");
        n = 0;
    } else {
        resp_array(w, n);
    }
    for (size_t i = 0; i < n; i++)
        resp_bulk(w, all[i]->text);
    arena_fini(&a);
    return REDIS_DONE;
}

static enum redis_outcome count_channels(const struct redis_call *c, enum subject_plane plane)
{
    struct resp_writer *w = redis_reply(c->rc);
    resp_array(w, (c->count - 2) * 2);
    for (size_t i = 2; i < c->count; i++) {
        resp_bulk(w, c->args[i]);
        resp_integer(w, subject_count(c->rc->space, plane, SUBJECT_EXACT, c->args[i]));
    }
    return REDIS_DONE;
}

static enum redis_outcome too_many(const struct redis_call *c)
{
    resp_error(redis_reply(c->rc),
               "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try PUBSUB HELP.",
               SPAN_ARG(c->args[1]));
    return REDIS_DONE;
}

REDIS_COMMAND(pubsub_channels)
{
    return c->count > 3 ? too_many(c) : list_channels(c, SUBJECT_SHARED);
}

REDIS_COMMAND(pubsub_shardchannels)
{
    return c->count > 3 ? too_many(c) : list_channels(c, SUBJECT_SHARDED);
}

REDIS_COMMAND(pubsub_numsub)
{
    return count_channels(c, SUBJECT_SHARED);
}

REDIS_COMMAND(pubsub_shardnumsub)
{
    return count_channels(c, SUBJECT_SHARDED);
}

REDIS_COMMAND(pubsub_numpat)
{
    resp_integer(redis_reply(c->rc), (int64_t)subject_texts(c->rc->space, SUBJECT_SHARED, SUBJECT_GLOB));
    return REDIS_DONE;
}

REDIS_COMMAND(pubsub_help)
{
    static const char *const lines[] = {
        "CHANNELS [<pattern>]",
        "    Return the currently active channels matching a <pattern> (default: '*').",
        "NUMPAT",
        "    Return number of subscriptions to patterns.",
        "NUMSUB [<channel> ...]",
        "    Return the number of subscribers for the specified channels, excluding",
        "    pattern subscriptions(default: no channels).",
        "SHARDCHANNELS [<pattern>]",
        "    Return the currently active shard level channels matching a <pattern> (default: '*').",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Return the number of subscribers for the specified shard level channel(s)",
    };
    redis_help(c, lines, sizeof(lines) / sizeof(*lines));
    return REDIS_DONE;
}

enum { ASKING = REDIS_PUBSUB | REDIS_LOADING | REDIS_STALE };

struct redis_command redis_pubsub_subcommands[] = {
    {"channels", "Lists channels that somebody listens to", "2.8.0", "pubsub", "O(N), N: channels", -2,
     ASKING, redis_cmd_pubsub_channels, NULL, NULL},
    {"help", "Describes the subcommands", "6.2.0", "pubsub", "O(1)", 2, REDIS_LOADING | REDIS_STALE,
     redis_cmd_pubsub_help, NULL, NULL},
    {"numpat", "Counts patterns that somebody listens to", "2.8.0", "pubsub", "O(1)", 2, ASKING,
     redis_cmd_pubsub_numpat, NULL, NULL},
    {"numsub", "Counts the subscriptions of channels", "2.8.0", "pubsub", "O(N), N: channels asked for", -2,
     ASKING, redis_cmd_pubsub_numsub, NULL, NULL},
    {"shardchannels", "Lists shard channels that somebody listens to", "7.0.0", "pubsub",
     "O(N), N: shard channels", -2, ASKING, redis_cmd_pubsub_shardchannels, NULL, NULL},
    {"shardnumsub", "Counts the subscriptions of shard channels", "7.0.0", "pubsub",
     "O(N), N: shard channels asked for", -2, ASKING, redis_cmd_pubsub_shardnumsub, NULL, NULL},
    {0},
};
