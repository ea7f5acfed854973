/* Creating, deleting, growing and configuring topics: validated on shard 0 against its topics, see
 * core/meta.h. */
#include <assert.h>

#include "base/err.h"
#include "core/broker.h"
#include "core/config.h"
#include "core/op_impl.h"
#include "core/topic_table.h"

static struct meta *meta_of(const struct op *op)
{
    return op->home->broker->meta;
}

static void finish(struct meta *m, struct meta_change *ch, int err)
{
    ch->op->err = err;
    op_return(m->shard, ch->op);
}

static void submit(struct op *op, int (*prepare)(struct meta *m, struct meta_change *change))
{
    meta_submit(meta_of(op), meta_change_new(op, prepare, finish));
}

/* A round is in the arena of its change: these bytes outlive the operation. */
static struct span keep(struct meta_change *ch, struct span name)
{
    return span_of(arena_copy(&ch->arena, name.ptr, name.len), name.len);
}

static void one_run(struct meta *m, struct meta_change *ch, uint32_t count)
{
    ch->command.runs = arena_array(&ch->arena, 1, sizeof(*ch->command.runs));
    ch->command.runs[0] = (struct meta_run){m->next_log_id, count};
    ch->command.run_count = 1;
    ch->command.partitions = count;
}

static bool is_touched(const struct meta *m, struct span name)
{
    return map_get(&m->names, name) != NULL;
}

/* ---- create -------------------------------------------------------------------------------------------- */

/* Random, and not one whose base64 begins with '-', which command lines would take for an option; as Kafka.
 */
static void make_id(struct meta *m, struct topic_id *ret)
{
    do {
        os_random(ret->bytes, sizeof(ret->bytes));
        ret->bytes[6] = (uint8_t)((ret->bytes[6] & 0x0f) | 0x40); /* RFC 9562, 5.4 */
        ret->bytes[8] = (uint8_t)((ret->bytes[8] & 0x3f) | 0x80);
    } while (ret->bytes[0] >> 2 == 62 || topic_table_find_id(m->shard, ret));
}

static int check_create(const struct meta *m, const struct op_topic_create *t, uint32_t count)
{
    const struct config *cfg = m->shard->config;
    int err = topic_check_name(t->name);
    if (err)
        return err;
    err = auth_check(&t->op.actor, AUTH_CONFIGURE, AUTH_TOPIC, t->name);
    if (err)
        return err;
    if (topic_table_find(m->shard, t->name))
        return ERR_EXISTS;
    if (t->partitions != -1 && t->partitions <= 0)
        return ERR_BAD_PARTITIONS;
    if (count > cfg->kafka_max_partitions_per_topic || count > META_MAX_PARTITIONS)
        return ERR_BAD_PARTITIONS;
    if (m->shard->topics_by_id.count + m->round_creates >= cfg->kafka_max_topics)
        return ERR_LIMIT;
    return 0;
}

static int prepare_create(struct meta *m, struct meta_change *ch)
{
    struct op_topic_create *t = container_of(ch->op, struct op_topic_create, op);
    uint32_t count =
        t->partitions == -1 ? (uint32_t)m->shard->config->kafka_default_partitions : (uint32_t)t->partitions;
    if (is_touched(m, t->name))
        return META_LATER;
    int err = check_create(m, t, count);
    if (err)
        return err;
    t->ret_partitions = count;
    if (t->validate_only)
        return META_NOTHING;
    make_id(m, &t->id);
    ch->name = keep(ch, t->name);
    ch->command = (struct meta_command){
        .type = META_TOPIC_CREATE, .topic = t->id, .vhost = t->op.actor.vhost->id, .name = ch->name};
    topic_config_copy(&ch->command.config, &t->config, &ch->arena);
    one_run(m, ch, count);
    return META_APPEND;
}

static void start_create(struct shard *s, struct msg *msg)
{
    submit(container_of(msg, struct op, msg), prepare_create);
}

void op_topic_create_submit(struct op_topic_create *t)
{
    op_send(&t->op, op_owner(&t->op, 0), start_create);
}

void op_topic_create_free(struct op_topic_create *t)
{
    if (!t)
        return;
    arena_fini(&t->arena);
    op_free(t);
}

/* ---- delete -------------------------------------------------------------------------------------------- */

static int prepare_delete(struct meta *m, struct meta_change *ch)
{
    struct op_topic_delete *t = container_of(ch->op, struct op_topic_delete, op);
    bool by_name = !span_is_null(t->name);
    if (by_name && is_touched(m, t->name))
        return META_LATER;
    struct topic *topic =
        by_name ? topic_table_find(m->shard, t->name) : topic_table_find_id(m->shard, &t->id);
    if (!topic)
        return by_name ? ERR_NOT_FOUND : ERR_UNKNOWN_TOPIC_ID;
    struct span name = span_of(topic->name, topic->name_len);
    if (is_touched(m, name))
        return META_LATER;
    int err = auth_check(&t->op.actor, AUTH_CONFIGURE, AUTH_TOPIC, name);
    if (err)
        return err;
    t->id = topic->id;
    ch->name = keep(ch, name);
    ch->command = (struct meta_command){.type = META_TOPIC_DELETE, .topic = topic->id};
    return META_APPEND;
}

static void start_delete(struct shard *s, struct msg *msg)
{
    submit(container_of(msg, struct op, msg), prepare_delete);
}

void op_topic_delete_submit(struct op_topic_delete *t)
{
    op_send(&t->op, op_owner(&t->op, 0), start_delete);
}

void op_topic_delete_free(struct op_topic_delete *t)
{
    if (!t)
        return;
    arena_fini(&t->arena);
    op_free(t);
}

/* ---- grow ---------------------------------------------------------------------------------------------- */

static int prepare_grow(struct meta *m, struct meta_change *ch)
{
    struct op_topic_grow *t = container_of(ch->op, struct op_topic_grow, op);
    if (is_touched(m, t->name))
        return META_LATER;
    int err = auth_check(&t->op.actor, AUTH_CONFIGURE, AUTH_TOPIC, t->name);
    if (err)
        return err;
    const struct topic *topic = topic_table_find(m->shard, t->name);
    if (!topic)
        return ERR_NOT_FOUND;
    uint64_t max = m->shard->config->kafka_max_partitions_per_topic;
    if (t->partitions <= 0 || (uint32_t)t->partitions <= topic->partition_count ||
        (uint64_t)t->partitions > max || t->partitions > META_MAX_PARTITIONS)
        return ERR_BAD_PARTITIONS;
    if (t->validate_only)
        return META_NOTHING;
    ch->name = keep(ch, t->name);
    ch->command = (struct meta_command){
        .type = META_TOPIC_GROW, .topic = topic->id, .first_partition = topic->partition_count};
    one_run(m, ch, (uint32_t)t->partitions - topic->partition_count);
    return META_APPEND;
}

static void start_grow(struct shard *s, struct msg *msg)
{
    submit(container_of(msg, struct op, msg), prepare_grow);
}

void op_topic_grow_submit(struct op_topic_grow *t)
{
    op_send(&t->op, op_owner(&t->op, 0), start_grow);
}

void op_topic_grow_free(struct op_topic_grow *t)
{
    if (!t)
        return;
    arena_fini(&t->arena);
    op_free(t);
}

/* ---- alter --------------------------------------------------------------------------------------------- */

static int prepare_alter(struct meta *m, struct meta_change *ch)
{
    struct op_topic_alter *t = container_of(ch->op, struct op_topic_alter, op);
    if (is_touched(m, t->name))
        return META_LATER;
    int err = auth_check(&t->op.actor, AUTH_CONFIGURE, AUTH_TOPIC, t->name);
    if (err)
        return err;
    const struct topic *topic = topic_table_find(m->shard, t->name);
    if (!topic)
        return ERR_NOT_FOUND;
    struct meta_command *c = &ch->command;
    *c = (struct meta_command){.type = META_TOPIC_CONFIG, .topic = topic->id};
    topic_config_copy(&c->config, &topic->config, &ch->arena);
    /* The reason goes home with the operation, so everything here is in its arena but for what is kept. */
    err = topic_config_alter(&c->config, t->items, t->count, t->replace, &t->arena, &t->ret_reason);
    if (err)
        return err;
    if (t->validate_only)
        return META_NOTHING;
    topic_config_copy(&c->config, &c->config, &ch->arena);
    ch->name = keep(ch, t->name);
    return META_APPEND;
}

static void start_alter(struct shard *s, struct msg *msg)
{
    submit(container_of(msg, struct op, msg), prepare_alter);
}

void op_topic_alter_submit(struct op_topic_alter *t)
{
    op_send(&t->op, op_owner(&t->op, 0), start_alter);
}

void op_topic_alter_free(struct op_topic_alter *t)
{
    if (!t)
        return;
    arena_fini(&t->arena);
    op_free(t);
}
