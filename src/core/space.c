/* Look-ups in a shard's replica of the virtual hosts, its snapshot, and its recovery. */
#include "core/space.h"

#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/say.h"
#include "core/broker.h"
#include "core/space_impl.h"

struct vspace *space_find(struct shard *s, struct span name)
{
    return map_get(&s->spaces->by_name, name.len ? name : span_str(""));
}

struct vspace *space_find_id(struct shard *s, uint32_t id)
{
    return map_get_u64(&s->spaces->by_id, id);
}

/* While a virtual host is deleted, its connections still have turns: they see it empty. */
struct vspace *space_of(struct shard *s, const struct actor *actor)
{
    struct space_table *t = s->spaces;
    if (actor->vhost->id == DEFAULT_SPACE)
        return t->root;
    struct vspace *v = space_find_id(s, actor->vhost->id);
    for (size_t i = t->gone_count; !v && i > 0; i--)
        if (t->gone[i - 1]->vhost.id == actor->vhost->id)
            v = t->gone[i - 1];
    assert(v);
    return v;
}

void space_ref(struct vspace *v)
{
    v->refs++;
}

void space_unref(struct vspace *v)
{
    assert(v->refs > 0);
    v->refs--;
}

uint64_t space_generation(const struct shard *s)
{
    return s->spaces->generation;
}

int exchange_find(struct shard *s, const struct actor *actor, enum auth_action action, struct span name,
                  struct exchange **ret_exchange)
{
    int err = auth_check(actor, action, AUTH_EXCHANGE, name);
    if (err)
        return err;
    struct exchange *x = space_exchange(space_of(s, actor), name);
    if (!x)
        return ERR_NOT_FOUND;
    *ret_exchange = x;
    return 0;
}

int queue_find(struct shard *s, const struct actor *actor, struct handle conn, enum auth_action action,
               struct span name, struct queue_info **ret_queue)
{
    int err = auth_check(actor, action, AUTH_QUEUE, name);
    if (err)
        return err;
    struct queue_info *q = space_queue(space_of(s, actor), name);
    if (!q)
        return ERR_NOT_FOUND;
    if (q->exclusive && !handle_eq(q->owner->handle, conn))
        return ERR_LOCKED_OUT;
    *ret_queue = q;
    return 0;
}

static bool has_id(const void *item, const void *key)
{
    return ((const struct queue_info *)item)->id == *(const uint64_t *)key;
}

struct queue_info *queue_info_by_id(const struct shard *s, uint64_t id)
{
    return ptrset_get(&s->spaces->queues, hash_u64(id), has_id, &id);
}

struct queue_info *queue_info_next(const struct shard *s, size_t *cursor)
{
    return ptrset_next(&s->spaces->queues, cursor);
}

static bool has_name(const void *item, const void *key)
{
    return span_eq(((const struct queue_info *)item)->dest.name, *(const struct span *)key);
}

struct queue_info *space_queue(const struct vspace *v, struct span name)
{
    return ptrset_get(&v->queues, hash_bytes(name), has_name, &name);
}

/* ---- lists --------------------------------------------------------------------------------------------- */

static int by_queue_name(const void *a, const void *b)
{
    const struct queue_info *x = *(struct queue_info *const *)a, *y = *(struct queue_info *const *)b;
    return span_cmp(x->dest.name, y->dest.name);
}

static int by_exchange_name(const void *a, const void *b)
{
    const struct exchange *x = *(struct exchange *const *)a, *y = *(struct exchange *const *)b;
    return span_cmp(x->name, y->name);
}

static int by_space_name(const void *a, const void *b)
{
    const struct vspace *x = *(struct vspace *const *)a, *y = *(struct vspace *const *)b;
    return strcmp(x->vhost.name, y->vhost.name);
}

struct queue_info **queue_list(struct shard *s, const struct actor *actor, struct arena *a, size_t *ret_count)
{
    struct vspace *v = space_of(s, actor);
    struct queue_info **all = arena_array(a, v->queues.count + 1, sizeof(struct queue_info *)), *q;
    size_t n = 0;
    for (size_t i = 0; (q = ptrset_next(&v->queues, &i));)
        if (auth_check(actor, AUTH_DESCRIBE, AUTH_QUEUE, q->dest.name) == 0)
            all[n++] = q;
    qsort(all, n, sizeof(struct queue_info *), by_queue_name);
    *ret_count = n;
    return all;
}

struct exchange **exchange_list(struct shard *s, const struct actor *actor, struct arena *a,
                                size_t *ret_count)
{
    struct vspace *v = space_of(s, actor);
    struct exchange **all = arena_array(a, v->exchanges.count + 1, sizeof(struct exchange *)), *x;
    size_t n = 0;
    for (size_t i = 0; (x = map_next(&v->exchanges, &i));)
        if (auth_check(actor, AUTH_DESCRIBE, AUTH_EXCHANGE, x->name) == 0)
            all[n++] = x;
    qsort(all, n, sizeof(struct exchange *), by_exchange_name);
    *ret_count = n;
    return all;
}

struct vspace **space_list(struct shard *s, struct arena *a, size_t *ret_count)
{
    struct map *m = &s->spaces->by_id;
    struct vspace **all = arena_array(a, m->count + 1, sizeof(struct vspace *)), *v;
    size_t n = 0;
    for (size_t i = 0; (v = map_next(m, &i));)
        all[n++] = v;
    qsort(all, n, sizeof(struct vspace *), by_space_name);
    *ret_count = n;
    return all;
}

/* ---- snapshot ------------------------------------------------------------------------------------------ */

static void snapshot_exchange(struct writer *w, const struct vspace *v, const struct exchange *x)
{
    struct meta_command c = {.type = META_EXCHANGE_PUT};
    c.next = x->id ? queue_ids_end(x->id, 0) : 0;
    c.entity =
        (struct meta_entity){.vhost = v->vhost.id,
                             .flags = (uint8_t)(META_DURABLE | (x->auto_delete ? META_AUTO_DELETE : 0) |
                                                (x->internal ? META_INTERNAL : 0)),
                             .name = x->name,
                             .label = span_str(exchange_type_name(x->type)),
                             .id = x->id,
                             .args = x->args};
    meta_snapshot_add(w, &c);
}

static void snapshot_queue(struct writer *w, const struct vspace *v, const struct queue_info *q)
{
    struct meta_command c = {.type = META_QUEUE_PUT, .next = queue_ids_end(q->id, q->config->max_priority)};
    c.entity =
        (struct meta_entity){.vhost = v->vhost.id,
                             .flags = (uint8_t)(META_DURABLE | (q->auto_delete ? META_AUTO_DELETE : 0)),
                             .type = (uint8_t)q->type,
                             .name = q->dest.name,
                             .id = q->id,
                             .args = q->args};
    meta_snapshot_add(w, &c);
}

static void snapshot_bindings(struct writer *w, const struct vspace *v, const struct exchange *x)
{
    list_each (l, &x->bindings) {
        const struct binding *b = list_entry(l, struct binding, by_source);
        struct meta_command c = {.type = META_BIND};
        c.entity = (struct meta_entity){.vhost = v->vhost.id,
                                        .flags = META_DURABLE,
                                        .kind = (uint8_t)b->dest->kind,
                                        .name = x->name,
                                        .dest = b->dest->name,
                                        .key = b->key,
                                        .args = b->args};
        if (b->durable)
            meta_snapshot_add(w, &c);
    }
}

static void snapshot_space(struct writer *w, const struct vspace *v)
{
    struct meta_command c = {.type = META_VHOST_PUT};
    struct exchange *x;
    struct queue_info *q;
    c.entity = (struct meta_entity){.vhost = v->vhost.id, .name = span_str(v->vhost.name), .args = v->args};
    if (v->vhost.id != DEFAULT_SPACE || v->args.len)
        meta_snapshot_add(w, &c);
    for (size_t i = 0; (x = map_next(&v->exchanges, &i));)
        if (x->durable && !exchange_is_predeclared(x->name))
            snapshot_exchange(w, v, x);
    for (size_t i = 0; (q = ptrset_next(&v->queues, &i));)
        if (q->durable)
            snapshot_queue(w, v, q);
    for (size_t i = 0; (x = map_next(&v->exchanges, &i));)
        snapshot_bindings(w, v, x);
}

void space_snapshot(const struct shard *s, struct writer *w)
{
    struct vspace *v;
    for (size_t i = 0; (v = map_next(&s->spaces->by_id, &i));)
        snapshot_space(w, v);
}

/* ---- recovery ------------------------------------------------------------------------------------------ */

int space_recover_queues(struct shard *s)
{
    struct queue_info *q;
    for (size_t i = 0; (q = queue_info_next(s, &i));) {
        int err = q->shard == s->index && q->type != QUEUE_STREAM ? queue_recover(s, q) : 0;
        if (err) {
            say_error("broker", "cannot recover a queue", "vhost=%s id=%llu error=%s", q->space->vhost.name,
                      (unsigned long long)q->id, err_name(err));
            return err;
        }
    }
    return 0;
}
