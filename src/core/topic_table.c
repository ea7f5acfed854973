#include "core/topic_table.h"

#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/group.h"
#include "core/partition.h"
#include "core/shard.h"

static struct span id_key(const struct topic_id *id)
{
    return span_of(id->bytes, sizeof(id->bytes));
}

struct topic *topic_table_find(const struct shard *s, struct span name)
{
    return span_is_null(name) ? NULL : map_get(&s->topics_by_name, name);
}

struct topic *topic_table_find_id(const struct shard *s, const struct topic_id *id)
{
    return map_get(&s->topics_by_id, id_key(id));
}

/* ---- applying commands -------------------------------------------------------------------------------- */

static void make_logs(struct shard *s, const struct topic *t, uint32_t first)
{
    struct log_config cfg;
    topic_config_log(&t->config, &cfg);
    for (uint32_t i = first; i < t->partition_count; i++)
        if (t->partitions[i].shard == s->index)
            partition_new(s, store_log_new(s->store, t->partitions[i].log_id, &cfg));
}

static void add_partitions(struct shard *s, struct topic *t, const struct meta_command *c)
{
    uint32_t n = t->partition_count + c->partitions;
    t->partitions = mem_realloc(t->partitions, n * sizeof(*t->partitions));
    for (uint32_t i = 0; i < c->run_count; i++)
        for (uint32_t k = 0; k < c->runs[i].count; k++) {
            uint64_t log_id = c->runs[i].first_log + k;
            t->partitions[t->partition_count++] =
                (struct topic_partition){log_id, store_shard_of(s->broker->store, log_id)};
        }
    assert(t->partition_count == n);
}

static int apply_create(struct shard *s, const struct meta_command *c, bool with_logs)
{
    if (topic_table_find(s, c->name) || topic_table_find_id(s, &c->topic))
        return ERR_CORRUPT;
    struct topic_node *node = mem_zalloc(sizeof(*node));
    struct topic *t = &node->topic;
    list_init(&node->link);
    t->name = mem_strndup(c->name.ptr, c->name.len);
    t->name_len = c->name.len;
    t->id = c->topic;
    t->vhost = &auth_default_vhost;
    t->config = c->config;
    topic_config_own(&t->config);
    topic_config_policy(&t->config, &t->policy);
    add_partitions(s, t, c);
    map_put(&s->topics_by_name, span_of(t->name, t->name_len), t);
    map_put(&s->topics_by_id, id_key(&t->id), t);
    if (with_logs)
        make_logs(s, t, 0);
    return 0;
}

static int apply_delete(struct shard *s, const struct meta_command *c, bool with_logs)
{
    struct topic *t = topic_table_find_id(s, &c->topic);
    if (!t)
        return ERR_CORRUPT;
    for (uint32_t i = 0; with_logs && i < t->partition_count; i++)
        if (t->partitions[i].shard == s->index)
            partition_delete(s, t->partitions[i].log_id);
    groups_topic_gone(s, &t->id);
    map_del(&s->topics_by_id, id_key(&t->id));
    map_del(&s->topics_by_name, span_of(t->name, t->name_len));
    list_add_tail(&s->graveyard, &container_of(t, struct topic_node, topic)->link);
    return 0;
}

static int apply_grow(struct shard *s, const struct meta_command *c, bool with_logs)
{
    struct topic *t = topic_table_find_id(s, &c->topic);
    if (!t || t->partition_count != c->first_partition)
        return ERR_CORRUPT;
    uint32_t first = t->partition_count;
    if (c->partitions > META_MAX_PARTITIONS - first)
        return ERR_CORRUPT;
    add_partitions(s, t, c);
    if (with_logs)
        make_logs(s, t, first);
    return 0;
}

/* Appends and reads in flight go on as they began; the next ones see the new settings. */
static int apply_config(struct shard *s, const struct meta_command *c, bool with_logs)
{
    struct topic *t = topic_table_find_id(s, &c->topic);
    struct log_config cfg;
    if (!t)
        return ERR_CORRUPT;
    topic_config_disown(&t->config);
    t->config = c->config;
    topic_config_own(&t->config);
    topic_config_policy(&t->config, &t->policy);
    topic_config_log(&t->config, &cfg);
    for (uint32_t i = 0; with_logs && i < t->partition_count; i++)
        if (t->partitions[i].shard == s->index)
            log_set_config(partition_find(s, t->partitions[i].log_id)->log, &cfg);
    return 0;
}

int topic_table_apply(struct shard *s, const struct meta_command *c, bool with_logs)
{
    switch (c->type) {
    case META_TOPIC_CREATE:
        return apply_create(s, c, with_logs);
    case META_TOPIC_DELETE:
        return apply_delete(s, c, with_logs);
    case META_TOPIC_GROW:
        return apply_grow(s, c, with_logs);
    case META_TOPIC_CONFIG:
        return apply_config(s, c, with_logs);
    default:
        return 0;
    }
}

/* ---- life --------------------------------------------------------------------------------------------- */

static void free_topic(struct topic *t)
{
    mem_free((char *)t->name);
    mem_free(t->partitions);
    topic_config_disown(&t->config);
    mem_free(container_of(t, struct topic_node, topic));
}

void topic_table_bury(struct shard *s)
{
    list_each_safe (l, tmp, &s->graveyard)
        free_topic(&list_entry(l, struct topic_node, link)->topic);
    list_init(&s->graveyard);
}

void topic_table_fini(struct shard *s)
{
    topic_table_bury(s);
    struct topic *t;
    for (size_t i = 0; (t = map_next(&s->topics_by_id, &i));)
        free_topic(t);
}

/* ---- look-ups for front ends -------------------------------------------------------------------------- */

int topic_find(struct shard *s, const struct actor *actor, enum auth_action action, struct span name,
               struct topic **ret_topic)
{
    int err = auth_check(actor, action, AUTH_TOPIC, name);
    if (err)
        return err;
    struct topic *t = topic_table_find(s, name);
    if (!t)
        return ERR_NOT_FOUND;
    *ret_topic = t;
    return 0;
}

int topic_find_id(struct shard *s, const struct actor *actor, enum auth_action action,
                  const struct topic_id *id, struct topic **ret_topic)
{
    struct topic *t = topic_table_find_id(s, id);
    if (!t)
        return ERR_UNKNOWN_TOPIC_ID;
    int err = auth_check(actor, action, AUTH_TOPIC, span_of(t->name, t->name_len));
    if (err)
        return err;
    *ret_topic = t;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct topic *x = *(struct topic *const *)a, *y = *(struct topic *const *)b;
    return span_cmp(span_of(x->name, x->name_len), span_of(y->name, y->name_len));
}

struct topic **topic_table_sorted(const struct shard *s, struct arena *a, size_t *ret_count)
{
    struct topic **all = arena_array(a, s->topics_by_id.count + 1, sizeof(struct topic *)), *t;
    size_t n = 0;
    for (size_t i = 0; (t = map_next(&s->topics_by_id, &i));)
        all[n++] = t;
    qsort(all, n, sizeof(struct topic *), by_name);
    *ret_count = n;
    return all;
}

struct topic **topic_list(struct shard *s, const struct actor *actor, struct arena *a, size_t *ret_count)
{
    size_t count, kept = 0;
    struct topic **all = topic_table_sorted(s, a, &count);
    for (size_t i = 0; i < count; i++)
        if (auth_check(actor, AUTH_DESCRIBE, AUTH_TOPIC, span_of(all[i]->name, all[i]->name_len)) == 0)
            all[kept++] = all[i];
    *ret_count = kept;
    return all;
}
