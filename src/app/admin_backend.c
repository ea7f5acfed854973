#include "app/admin_backend.h"

#include <assert.h>
#include <stdio.h>

#include "base/err.h"
#include "core/broker.h"
#include "core/op.h"
#include "core/partition.h"

/* ---- figures of partitions, from the shards that own them ---------------------------------------------- */

/* One question to one shard: the figures of those partitions that live there. */
struct ask {
    struct msg msg;
    struct gather *gather;
};

struct gather {
    struct admin_call *call;
    struct admin_partition *partitions; /* of all topics; each shard writes its own */
    const uint64_t *log_ids;
    size_t count;
    unsigned waiting;
    void (*next)(struct admin_call *call);
};

static void came_back(struct shard *home, struct msg *m)
{
    struct gather *g = container_of(m, struct ask, msg)->gather;
    assert(home == g->call->shard && g->waiting > 0);
    if (--g->waiting == 0)
        g->next(g->call);
}

static void fill_partition(const struct shard *s, uint64_t log_id, struct admin_partition *ret)
{
    const struct partition *p = partition_find(s, log_id);
    if (!p) {
        ret->err = ERR_NOT_FOUND;
        return;
    }
    ret->start = log_start(p->log);
    ret->end = log_durable(p->log);
    ret->bytes = log_bytes(p->log);
    ret->err = log_damaged(p->log) ? ERR_CORRUPT : 0;
}

static void fill(struct shard *s, struct msg *m)
{
    struct gather *g = container_of(m, struct ask, msg)->gather;
    for (size_t i = 0; i < g->count; i++)
        if (g->partitions[i].shard == s->index)
            fill_partition(s, g->log_ids[i], &g->partitions[i]);
    m->run = came_back;
    msg_send(s, g->call->shard, m);
}

static void gather_figures(struct gather *g)
{
    struct broker *b = g->call->shard->broker;
    struct ask *asks = arena_array(&g->call->arena, b->shard_count, sizeof(*asks));
    g->waiting = b->shard_count;
    for (unsigned i = 0; i < b->shard_count; i++) {
        asks[i].gather = g;
        asks[i].msg.run = fill;
        msg_send(g->call->shard, &b->shards[i], &asks[i].msg);
    }
}

/* ---- listing and describing ---------------------------------------------------------------------------- */

static size_t partitions_of(struct topic *const *topics, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += topics[i]->partition_count;
    return n;
}

static void put_topic(struct arena *a, const struct topic *t, struct admin_topic *ret)
{
    ret->name =
        span_of(arena_copy(a, t->name, t->name_len), t->name_len); /* the topic may be deleted meanwhile */
    memcpy(ret->id, t->id.bytes, sizeof(ret->id));
    ret->partition_count = t->partition_count;
}

void admin_gather_topics(struct admin_call *call, struct topic *const *topics, size_t count,
                         void (*next)(struct admin_call *call))
{
    struct arena *a = &call->arena;
    size_t partitions = partitions_of(topics, count), at = 0;
    struct admin_topic *out = arena_array(a, count + 1, sizeof(*out));
    struct gather *g = arena_alloc(a, sizeof(*g));
    uint64_t *log_ids = arena_array(a, partitions + 1, sizeof(*log_ids));
    *g = (struct gather){.call = call, .log_ids = log_ids, .count = partitions, .next = next};
    g->partitions = arena_array(a, partitions + 1, sizeof(*g->partitions));
    for (size_t i = 0; i < count; i++) {
        put_topic(a, topics[i], &out[i]);
        out[i].partitions = &g->partitions[at];
        for (uint32_t k = 0; k < topics[i]->partition_count; k++, at++) {
            log_ids[at] = topics[i]->partitions[k].log_id;
            g->partitions[at].shard = topics[i]->partitions[k].shard;
        }
    }
    call->topics = out;
    call->topic_count = count;
    gather_figures(g);
}

static void finish(struct admin_call *call)
{
    call->done(call);
}

static void list(struct admin_call *call)
{
    size_t count;
    struct topic **topics = topic_list(call->shard, &call->actor, &call->arena, &count);
    admin_gather_topics(call, topics, count, finish);
}

struct configs {
    struct arena *arena;
    struct admin_config *items;
    size_t count;
};

enum { MAX_CONFIGS = 64 };

static void put_config(void *arg, const struct topic_setting *s)
{
    struct configs *c = arg;
    assert(c->count < MAX_CONFIGS);
    c->items[c->count++] = (struct admin_config){span_str(s->name), span_str(s->value), !s->is_set};
}

void admin_fail(struct admin_call *call, int err)
{
    call->err = err;
    call->done(call);
}

static void describe(struct admin_call *call)
{
    struct topic *t;
    int err = topic_find(call->shard, &call->actor, AUTH_DESCRIBE, call->name, &t);
    if (err) {
        admin_fail(call, err);
        return;
    }
    struct configs c = {&call->arena, arena_array(&call->arena, MAX_CONFIGS, sizeof(*c.items)), 0};
    topic_config_each(&t->config, &call->arena, put_config, &c);
    admin_gather_topics(call, &t, 1, finish);
    struct admin_topic *out = (struct admin_topic *)call->topics; /* ours until done() */
    out->configs = c.items;
    out->config_count = c.count;
}

/* ---- creating and deleting ----------------------------------------------------------------------------- */

static void created(struct conn *c, struct op *op)
{
    struct op_topic_create *t = container_of(op, struct op_topic_create, op);
    struct admin_call *call = op->user;
    int err = op->err;
    (void)c;
    op_topic_create_free(t);
    if (err)
        admin_fail(call, err);
    else
        describe(call);
}

static int set_configs(struct admin_call *call, struct topic_config *c)
{
    for (size_t i = 0; i < call->config_count; i++) {
        const struct admin_config *in = &call->configs[i];
        if (topic_config_set(c, in->name, in->value, &call->arena, &call->reason))
            return ERR_BAD_CONFIG;
    }
    return topic_config_check(c, &call->arena, &call->reason);
}

static void create(struct admin_call *call)
{
    struct topic_config config;
    topic_config_default(&config);
    int err = set_configs(call, &config);
    if (err) {
        admin_fail(call, err);
        return;
    }
    struct op_topic_create *t = op_new_internal(call->shard, sizeof(*t), created, call);
    t->op.actor = call->actor;
    t->name = span_of(arena_copy(&t->arena, call->name.ptr, call->name.len), call->name.len);
    t->partitions = call->partitions;
    t->config = config;
    op_topic_create_submit(t);
}

static void deleted(struct conn *c, struct op *op)
{
    struct admin_call *call = op->user;
    int err = op->err;
    (void)c;
    op_topic_delete_free(container_of(op, struct op_topic_delete, op));
    call->err = err;
    call->done(call);
}

static void delete (struct admin_call *call)
{
    struct op_topic_delete *t = op_new_internal(call->shard, sizeof(*t), deleted, call);
    t->op.actor = call->actor;
    t->name = span_of(arena_copy(&t->arena, call->name.ptr, call->name.len), call->name.len);
    op_topic_delete_submit(t);
}

static void altered(struct conn *c, struct op *op)
{
    struct op_topic_alter *t = container_of(op, struct op_topic_alter, op);
    struct admin_call *call = op->user;
    int err = op->err;
    (void)c;
    if (t->ret_reason)
        call->reason = arena_strndup(&call->arena, t->ret_reason, strlen(t->ret_reason));
    op_topic_alter_free(t);
    if (err)
        admin_fail(call, err);
    else
        describe(call);
}

static struct span copy(struct arena *a, struct span s)
{
    return span_is_null(s) ? s : span_of(arena_copy(a, s.ptr, s.len), s.len);
}

static void alter(struct admin_call *call)
{
    struct op_topic_alter *t = op_new_internal(call->shard, sizeof(*t), altered, call);
    struct topic_alter_item *items = arena_array(&t->arena, call->config_count, sizeof(*items));
    for (size_t i = 0; i < call->config_count; i++) {
        const struct admin_config *in = &call->configs[i];
        items[i] = (struct topic_alter_item){span_is_null(in->value) ? TOPIC_ALTER_DELETE : TOPIC_ALTER_SET,
                                             copy(&t->arena, in->name), copy(&t->arena, in->value)};
    }
    t->op.actor = call->actor;
    t->name = copy(&t->arena, call->name);
    t->items = items;
    t->count = (uint32_t)call->config_count;
    op_topic_alter_submit(t);
}

static void submit(void *broker, struct admin_call *call)
{
    (void)broker;
    switch (call->op) {
    case ADMIN_TOPIC_LIST:
        list(call);
        return;
    case ADMIN_TOPIC_DESCRIBE:
        describe(call);
        return;
    case ADMIN_TOPIC_CREATE:
        create(call);
        return;
    case ADMIN_TOPIC_DELETE:
        delete (call);
        return;
    case ADMIN_TOPIC_CONFIG:
        alter(call);
        return;
    case ADMIN_GROUP_LIST:
        admin_list_groups(call);
        return;
    case ADMIN_GROUP_DESCRIBE:
        admin_describe_group(call);
        return;
    case ADMIN_GROUP_RESET:
        admin_reset_group(call);
        return;
    case ADMIN_GROUP_DELETE:
        admin_delete_group(call);
        return;
    case ADMIN_PAGE:
        admin_gather_page(call);
        return;
    case ADMIN_HEARD:
        admin_list_heard(call);
        return;
    }
    admin_fail(call, ERR_UNSUPPORTED);
}

/* ---- health -------------------------------------------------------------------------------------------- */

static void health(void *broker, struct admin_health *ret_health)
{
    const char *reason;
    enum broker_health h = broker_health(broker, &reason);
    ret_health->status = h == BROKER_OK ? ADMIN_OK : h == BROKER_DEGRADED ? ADMIN_DEGRADED : ADMIN_FAILED;
    ret_health->reason[0] = 0;
    if (h != BROKER_OK)
        snprintf(ret_health->reason, sizeof(ret_health->reason), "%s", reason);
}

void admin_backend_init(struct admin_backend *ret, struct broker *b)
{
    *ret = (struct admin_backend){.broker = b, .health = health, .submit = submit, .metrics = b->metrics};
}
