/* A shard's replica of virtual hosts, exchanges, queues and bindings: how commands change it. */
#include <assert.h>
#include <stdio.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/fields.h"
#include "core/meta_record_impl.h"
#include "core/space_impl.h"
#include "core/subject.h"
#include "core/topic_post.h"
#include "core/topic_table.h"

/* A null key would be a number to the map. */
static struct span key_of(struct span name)
{
    return name.len ? name : span_str("");
}

struct exchange *space_exchange(const struct vspace *v, struct span name)
{
    return map_get(&v->exchanges, key_of(name));
}

bool handle_eq(struct handle a, struct handle b)
{
    return a.index == b.index && a.generation == b.generation && a.shard == b.shard;
}

const struct handle *handle_key(struct handle *zeroed, struct handle h)
{
    memset(zeroed, 0, sizeof(*zeroed));
    zeroed->index = h.index;
    zeroed->generation = h.generation;
    zeroed->shard = h.shard;
    return zeroed;
}

struct space_owner *space_owner_of(const struct shard *s, struct handle conn)
{
    struct handle key;
    return map_get(&s->spaces->owners, span_of(handle_key(&key, conn), sizeof(key)));
}

uint64_t queue_ids_end(uint64_t id, unsigned max_priority)
{
    return queue_log_id(id, max_priority) + 1;
}

/* ---- bindings ------------------------------------------------------------------------------------------ */

static void drop_topic(struct shard *s, struct space_topic *t)
{
    map_del(&t->space->topics, t->dest.name);
    list_add_tail(&s->spaces->dead_topics, &t->dest.bindings); /* empty: its link is free */
}

static void unbind(struct shard *s, struct binding *b)
{
    struct dest *d = b->dest;
    exchange_unbind(b);
    if (d->kind == DEST_TOPIC && list_empty(&d->bindings))
        drop_topic(s, container_of(d, struct space_topic, dest));
}

static struct space_topic *topic_dest(struct vspace *v, struct span name)
{
    struct space_topic *t = map_get(&v->topics, name);
    if (t)
        return t;
    t = mem_zalloc(sizeof(*t) + name.len);
    memcpy(t + 1, name.ptr, name.len);
    dest_init(&t->dest, DEST_TOPIC, span_of(t + 1, name.len));
    t->space = v;
    map_put(&v->topics, t->dest.name, t);
    return t;
}

/* NULL: there is none. `make`: of a topic's, which exists if the topic does. */
static struct dest *find_dest(struct shard *s, struct vspace *v, const struct meta_entity *e, bool make)
{
    struct exchange *x;
    struct queue_info *q;
    struct space_topic *t;
    switch (e->kind) {
    case DEST_QUEUE:
        q = space_queue(v, e->dest);
        return q ? &q->dest : NULL;
    case DEST_EXCHANGE:
        x = space_exchange(v, e->dest);
        return x ? &x->dest : NULL;
    default:
        if (make && topic_table_find(s, e->dest))
            return &topic_dest(v, e->dest)->dest;
        t = e->dest.len ? map_get(&v->topics, e->dest) : NULL;
        return t ? &t->dest : NULL;
    }
}

static int apply_bind(struct shard *s, struct vspace *v, const struct meta_entity *e)
{
    struct exchange *x = space_exchange(v, e->name);
    struct dest *d = find_dest(s, v, e, true);
    if (!x || !d)
        return ERR_CORRUPT;
    if (!exchange_find_binding(x, d, e->key, e->args)) /* two of one round may want the same */
        exchange_bind(x, d, e->key, e->args, e->flags & META_DURABLE);
    return 0;
}

/* ---- exchanges ----------------------------------------------------------------------------------------- */

static struct queue_info *new_queue(struct shard *s, struct vspace *v, const struct meta_entity *e);
static void drop_queue(struct shard *s, struct queue_info *q, bool live);

static void bury_exchange(struct space_table *t, struct exchange *x)
{
    if (t->dead_count == t->dead_cap) {
        t->dead_cap = t->dead_cap ? t->dead_cap * 2 : 16;
        t->dead = mem_realloc(t->dead, t->dead_cap * sizeof(struct exchange *));
    }
    t->dead[t->dead_count++] = x;
}

static void drop_exchange(struct shard *s, struct vspace *v, struct exchange *x, bool live)
{
    struct queue_info *delay = x->id ? queue_info_by_id(s, x->id) : NULL;
    map_del(&v->exchanges, x->name);
    while (!list_empty(&x->bindings))
        unbind(s, list_entry(list_first(&x->bindings), struct binding, by_source));
    dest_unbind_all(&x->dest, NULL, NULL);
    if (delay)
        drop_queue(s, delay, live);
    if (!exchange_is_predeclared(x->name))
        s->spaces->exchange_count--;
    bury_exchange(s->spaces, x);
}

static void drop_also(struct shard *s, struct vspace *v, const struct meta_entity *e, bool live)
{
    for (uint32_t i = 0; i < e->also_count; i++) {
        struct exchange *x = space_exchange(v, e->also[i]);
        if (x)
            drop_exchange(s, v, x, live);
    }
}

/* The queue in which an EXCHANGE_DELAYED keeps what waits. */
static void make_delay_queue(struct shard *s, struct vspace *v, struct exchange *x, bool live)
{
    struct meta_entity e = {
        .id = x->id, .name = x->name, .flags = x->durable ? META_DURABLE : 0, .vhost = v->vhost.id};
    struct queue_info *q = new_queue(s, v, &e);
    q->delays = x;
    if (live && q->shard == s->index)
        queue_created(s, q);
}

static int put_exchange(struct shard *s, struct vspace *v, const struct meta_entity *e, bool live)
{
    struct exchange *x;
    const char *why;
    struct arena a;
    int type = exchange_type_of(e->label);
    if (type < 0 || space_exchange(v, e->name))
        return ERR_CORRUPT;
    if (e->id && queue_info_by_id(s, e->id))
        return ERR_CORRUPT;
    arena_init(&a);
    int err = exchange_new(e->name, (enum exchange_type)type, e->args, &a, &why, &x);
    arena_fini(&a);
    if (err)
        return ERR_CORRUPT;
    x->durable = e->flags & META_DURABLE;
    x->auto_delete = e->flags & META_AUTO_DELETE;
    x->internal = e->flags & META_INTERNAL;
    x->user = v;
    x->id = e->id;
    map_put(&v->exchanges, key_of(x->name), x);
    if (x->id)
        make_delay_queue(s, v, x, live);
    if (!exchange_is_predeclared(x->name))
        s->spaces->exchange_count++;
    policy_of_exchange(s, x);
    return 0;
}

/* ---- queues -------------------------------------------------------------------------------------------- */

static void own(struct shard *s, struct queue_info *q, struct handle conn)
{
    struct space_owner *o = space_owner_of(s, conn);
    if (!o) {
        o = mem_zalloc(sizeof(*o));
        handle_key(&o->handle, conn);
        list_init(&o->queues);
        map_put(&s->spaces->owners, span_of(&o->handle, sizeof(o->handle)), o);
    }
    list_add_tail(&o->queues, &q->link);
    q->owner = o;
}

static void disown(struct shard *s, struct queue_info *q)
{
    struct space_owner *o = q->owner;
    list_del(&q->link);
    q->owner = NULL;
    if (!list_empty(&o->queues))
        return;
    map_del(&s->spaces->owners, span_of(&o->handle, sizeof(o->handle)));
    mem_free(o);
}

/* One block: the struct, its name, its args. In the table of ids only. */
static struct queue_info *new_queue(struct shard *s, struct vspace *v, const struct meta_entity *e)
{
    struct queue_info *q = mem_zalloc(sizeof(*q) + e->name.len + e->args.len);
    uint8_t *at = (uint8_t *)(q + 1);
    memcpy(at, e->name.ptr, e->name.len);
    dest_init(&q->dest, DEST_QUEUE, span_of(at, e->name.len));
    at += e->name.len;
    if (e->args.len)
        q->args = span_of(memcpy(at, e->args.ptr, e->args.len), e->args.len);
    q->id = e->id;
    q->shard = (uint16_t)store_shard_of(s->broker->store, e->id);
    q->space = v;
    q->type = e->type;
    q->durable = e->flags & META_DURABLE;
    q->auto_delete = e->flags & META_AUTO_DELETE;
    q->exclusive = e->flags & META_EXCLUSIVE;
    list_init(&q->link);
    queue_config_compute(q, SPAN_NULL, SPAN_NULL);
    ptrset_put(&s->spaces->queues, hash_u64(q->id), q);
    return q;
}

static int put_queue(struct shard *s, struct vspace *v, const struct meta_entity *e, bool live)
{
    if (space_queue(v, e->name) || queue_info_by_id(s, e->id))
        return ERR_CORRUPT;
    struct queue_info *q = new_queue(s, v, e);
    struct topic *topic;
    uint32_t partition;
    if (q->type == QUEUE_STREAM && topic_of_stream(s, q->dest.name, &topic, &partition))
        q->shard = (uint16_t)topic->partitions[partition].shard;
    ptrset_put(&v->queues, hash_bytes(q->dest.name), q);
    if (q->exclusive)
        own(s, q, e->owner);
    policy_of_queue(s, q);
    if (live && q->shard == s->index && q->type != QUEUE_STREAM)
        queue_created(s, q);
    return 0;
}

static void drop_queue(struct shard *s, struct queue_info *q, bool live)
{
    ptrset_del(&s->spaces->queues, hash_u64(q->id), q);
    if (!q->delays)
        ptrset_del(&q->space->queues, hash_bytes(q->dest.name), q);
    if (q->exclusive)
        disown(s, q);
    dest_unbind_all(&q->dest, NULL, NULL);
    if (live && q->shard == s->index && q->type != QUEUE_STREAM)
        queue_deleted(s, q);
    q->live = NULL;
    q->delays = NULL;
    list_add_tail(&s->spaces->dead_queues, &q->link);
}

/* ---- virtual hosts ------------------------------------------------------------------------------------- */

static struct exchange *route_exchange(void *arg, struct span name)
{
    return space_exchange(arg, name);
}

static struct dest *route_queue(void *arg, struct span name)
{
    struct queue_info *q = space_queue(arg, name);
    return q ? &q->dest : NULL;
}

/* What every virtual host has. AMQP 0-9-1, 3.1.3, and RabbitMQ. */
static const struct {
    const char *name, *type;
    bool internal;
} predeclared[] = {
    {"", "direct", false},
    {"amq.direct", "direct", false},
    {"amq.fanout", "fanout", false},
    {"amq.topic", "topic", false},
    {"amq.headers", "headers", false},
    {"amq.match", "headers", false},
    {"amq.rabbitmq.trace", "topic", true},
};

bool exchange_is_predeclared(struct span name)
{
    for (size_t i = 0; i < sizeof(predeclared) / sizeof(*predeclared); i++)
        if (span_eq_str(name, predeclared[i].name))
            return true;
    return false;
}

static void predeclare(struct vspace *v)
{
    struct arena a;
    arena_init(&a);
    for (size_t i = 0; i < sizeof(predeclared) / sizeof(*predeclared); i++) {
        struct exchange *x;
        const char *why;
        struct span name = span_str(predeclared[i].name);
        int type = name.len ? exchange_type_of(span_str(predeclared[i].type)) : EXCHANGE_DEFAULT;
        int err = exchange_new(name, (enum exchange_type)type, SPAN_NULL, &a, &why, &x);
        assert(err == 0);
        (void)err;
        x->durable = true;
        x->internal = predeclared[i].internal;
        x->subjects = span_eq_str(x->name, "amq.topic");
        x->user = v;
        map_put(&v->exchanges, key_of(x->name), x);
    }
    arena_fini(&a);
}

static struct vspace *new_space(struct shard *s, uint32_t id, struct span name)
{
    struct space_table *t = s->spaces;
    struct vspace *v = mem_zalloc(sizeof(*v));
    v->shard = s;
    v->vhost = (struct vhost){mem_strndup(name.ptr, name.len), id};
    map_init(&v->exchanges);
    ptrset_init(&v->queues);
    map_init(&v->topics);
    v->route_space = (struct route_space){route_exchange, route_queue, v};
    predeclare(v);
    map_put(&t->by_name, span_str(v->vhost.name), v);
    map_put_u64(&t->by_id, id, v);
    return v;
}

static int put_space(struct shard *s, const struct meta_entity *e)
{
    struct vspace *v = space_find_id(s, e->vhost);
    if (v ? !span_eq_str(e->name, v->vhost.name) : e->name.len == 0 || space_find(s, e->name))
        return ERR_CORRUPT;
    if (!v)
        v = new_space(s, e->vhost, e->name);
    mem_free((void *)v->args.ptr);
    v->args = e->args.len ? span_of(mem_strndup(e->args.ptr, e->args.len), e->args.len) : SPAN_NULL;
    return 0;
}

/* All values of a map that will change: from mem_alloc. */
static void **values_of(const struct map *m)
{
    void **all = mem_alloc((m->count + 1) * sizeof(void *)), *value;
    size_t n = 0;
    for (size_t i = 0; (value = map_next(m, &i));)
        all[n++] = value;
    return all;
}

static void empty_space(struct shard *s, struct vspace *v, bool live)
{
    size_t count = 0, exchanges = v->exchanges.count;
    struct queue_info **queues = mem_alloc((v->queues.count + 1) * sizeof(struct queue_info *)), *q;
    for (size_t i = 0; (q = ptrset_next(&v->queues, &i));) /* it changes when one is dropped */
        queues[count++] = q;
    for (size_t i = 0; i < count; i++)
        drop_queue(s, queues[i], live);
    mem_free(queues);
    void **all = values_of(&v->exchanges);
    for (size_t i = 0; i < exchanges; i++)
        drop_exchange(s, v, all[i], live);
    mem_free(all);
    ptrset_fini(&v->queues);
    map_fini(&v->exchanges);
    map_fini(&v->topics);
}

/* Those in it have nothing to talk to any more. */
static void end_connections(struct shard *s, const struct vspace *v)
{
    uint32_t at = 0;
    struct conn *c;
    while ((c = handle_next(&s->conns, &at)))
        if (c->actor.vhost && c->actor.vhost->id == v->vhost.id)
            conn_fail(c, ERR_CLOSED, "its virtual host was deleted");
}

static int drop_space(struct shard *s, const struct meta_entity *e, bool live)
{
    struct space_table *t = s->spaces;
    struct vspace *v = space_find_id(s, e->vhost);
    if (!v || v == t->root)
        return ERR_CORRUPT;
    records_vhost_drop(s, span_str(v->vhost.name));
    empty_space(s, v, live);
    map_del(&t->by_name, span_str(v->vhost.name));
    map_del_u64(&t->by_id, v->vhost.id);
    v->gone = true;
    t->gone = mem_realloc(t->gone, (t->gone_count + 1) * sizeof(struct vspace *));
    t->gone[t->gone_count++] = v;
    if (live)
        end_connections(s, v);
    return 0;
}

/* ---- commands ------------------------------------------------------------------------------------------ */

/* The queue of this name, if it is a stream and leads to the topic. */
static void drop_stream(struct shard *s, const struct topic *topic, struct span name, bool live)
{
    struct queue_info *q = space_queue(s->spaces->root, name);
    struct topic *t;
    uint32_t partition;
    if (q && q->type == QUEUE_STREAM && topic_of_stream(s, name, &t, &partition) && t == topic)
        drop_queue(s, q, live);
}

/* What leads to a topic goes with it. */
static void topic_gone(struct shard *s, const struct topic_id *id, bool live)
{
    struct topic *topic = topic_table_find_id(s, id);
    struct vspace *v = s->spaces->root;
    struct space_topic *t = topic ? map_get(&v->topics, span_of(topic->name, topic->name_len)) : NULL;
    if (!topic)
        return;
    drop_stream(s, topic, span_of(topic->name, topic->name_len), live);
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        char name[META_MAX_NAME + 16];
        int len = snprintf(name, sizeof(name), "%s-%u", topic->name, i);
        drop_stream(s, topic, span_of(name, (size_t)len), live);
    }
    if (t) {
        dest_unbind_all(&t->dest, NULL, NULL);
        drop_topic(s, t);
    }
    s->spaces->generation++;
}

static int apply_inside(struct shard *s, struct vspace *v, const struct meta_command *c, bool live)
{
    const struct meta_entity *e = &c->entity;
    struct exchange *x;
    struct queue_info *q;
    struct dest *d;
    struct binding *b;
    switch (c->type) {
    case META_EXCHANGE_PUT:
        return put_exchange(s, v, e, live);
    case META_QUEUE_PUT:
        return put_queue(s, v, e, live);
    case META_BIND:
        return apply_bind(s, v, e);
    case META_EXCHANGE_DROP:
        if ((x = space_exchange(v, e->name)))
            drop_exchange(s, v, x, live);
        break;
    case META_QUEUE_DROP:
        if ((q = queue_info_by_id(s, e->id)) && !q->delays)
            drop_queue(s, q, live);
        break;
    case META_UNBIND:
        x = space_exchange(v, e->name);
        d = find_dest(s, v, e, false);
        if (x && d && (b = exchange_find_binding(x, d, e->key, e->args)))
            unbind(s, b);
        break;
    default:
        break;
    }
    drop_also(s, v, e, live); /* absent at replay, if it was about what is not durable */
    return 0;
}

int space_apply(struct shard *s, const struct meta_command *c, bool live)
{
    if (c->type == META_TOPIC_DELETE)
        topic_gone(s, &c->topic, live);
    if (c->type < META_VHOST_PUT || c->type > META_UNBIND)
        return 0;
    s->spaces->generation++;
    if (c->type == META_VHOST_PUT)
        return put_space(s, &c->entity);
    if (c->type == META_VHOST_DROP)
        return drop_space(s, &c->entity, live);
    struct vspace *v = space_find_id(s, c->entity.vhost);
    return v ? apply_inside(s, v, c, live) : ERR_CORRUPT;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

void space_init(struct shard *s)
{
    struct space_table *t = s->spaces = mem_zalloc(sizeof(*t));
    map_init(&t->by_name);
    map_init(&t->by_id);
    ptrset_init(&t->queues);
    map_init(&t->owners);
    list_init(&t->dead_queues);
    list_init(&t->dead_topics);
    t->generation = 1;
    t->root = new_space(s, DEFAULT_SPACE, span_str("/"));
}

void space_bury(struct shard *s)
{
    struct space_table *t = s->spaces;
    list_each_safe (l, tmp, &t->dead_queues) {
        struct queue_info *q = list_entry(l, struct queue_info, link);
        queue_config_free(q);
        mem_free(q);
    }
    list_each_safe (k, tmp2, &t->dead_topics)
        mem_free(list_entry(k, struct space_topic, dest.bindings));
    list_init(&t->dead_queues);
    list_init(&t->dead_topics);
    for (size_t i = 0; i < t->dead_count; i++)
        exchange_free(t->dead[i]);
    t->dead_count = 0;
}

static void free_space(struct vspace *v)
{
    subject_spaces_free(v);
    mem_free((char *)v->vhost.name);
    mem_free((void *)v->args.ptr);
    mem_free(v);
}

void space_fini(struct shard *s)
{
    struct space_table *t = s->spaces;
    struct vspace *v;
    for (size_t i = 0; (v = map_next(&t->by_id, &i));) {
        empty_space(s, v, false);
        free_space(v);
    }
    for (size_t i = 0; i < t->gone_count; i++)
        free_space(t->gone[i]);
    space_bury(s);
    map_fini(&t->by_name);
    map_fini(&t->by_id);
    ptrset_fini(&t->queues);
    map_fini(&t->owners);
    mem_free(t->gone);
    mem_free(t->dead);
    mem_free(t);
}
