/* Where publishes go: what was found for an exchange and a key is kept as long as the tables stay the same.
 *
 * One table for each shard, direct-mapped: a collision only costs another look-up. */
#include <assert.h>

#include "base/hash.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/publisher.h"

enum { ROUTES_BITS = 12, ROUTES = 1 << ROUTES_BITS };

struct cached {
    const struct exchange *exchange; /* NULL: free */
    uint64_t generation, hash;
    struct span key; /* owned, with room for key_cap bytes */
    size_t key_cap;
    struct routed_queue *queues;
    struct topic_way *topics;
    uint32_t queue_count, queue_cap, topic_count, topic_cap;
    bool found, subjects;
};

struct routes {
    struct shard_keep keep;
    uint64_t dice;
    struct route route;    /* scratch */
    struct cached scratch; /* what may not be kept */
    struct cached table[ROUTES];
};

static void cached_fini(struct cached *e)
{
    mem_free((void *)e->key.ptr);
    mem_free(e->queues);
    mem_free(e->topics);
}

static void routes_free(struct shard_keep *k)
{
    struct routes *r = container_of(k, struct routes, keep);
    for (unsigned i = 0; i < ROUTES; i++)
        cached_fini(&r->table[i]);
    cached_fini(&r->scratch);
    route_fini(&r->route);
    mem_free(r);
}

static struct routes *routes_of(struct shard *s)
{
    struct shard_keep *k = shard_keep_find(s, routes_free);
    if (k)
        return container_of(k, struct routes, keep);
    struct routes *r = mem_zalloc(sizeof(*r));
    r->keep.free = routes_free;
    route_init(&r->route);
    r->dice = s->now_ns ^ (s->index + 1) * 0x9e3779b97f4a7c15ull;
    shard_keep_add(s, &r->keep);
    return r;
}

static void remember_key(struct cached *e, struct span key)
{
    uint8_t *bytes = (uint8_t *)e->key.ptr;
    if (e->key_cap < key.len || !bytes) {
        e->key_cap = key.len < 32 ? 32 : key.len;
        bytes = mem_realloc(bytes, e->key_cap);
    }
    if (key.len)
        memcpy(bytes, key.ptr, key.len);
    e->key = span_of(bytes, key.len);
}

static void add_queue(struct cached *e, uint64_t id, unsigned shard)
{
    if (e->queue_count == e->queue_cap) {
        e->queue_cap = e->queue_cap ? e->queue_cap * 2 : 4;
        e->queues = mem_realloc(e->queues, e->queue_cap * sizeof(*e->queues));
    }
    uint32_t at = e->queue_count++; /* sorted by shard, in the order found */
    for (; at > 0 && e->queues[at - 1].shard > shard; at--)
        e->queues[at] = e->queues[at - 1];
    e->queues[at] = (struct routed_queue){id, shard};
}

static void add_topic(struct cached *e, const struct topic_way *way)
{
    if (e->topic_count == e->topic_cap) {
        e->topic_cap = e->topic_cap ? e->topic_cap * 2 : 2;
        e->topics = mem_realloc(e->topics, e->topic_cap * sizeof(*e->topics));
    }
    e->topics[e->topic_count++] = *way;
}

static void fill(struct routes *r, struct cached *e, struct vspace *v, struct exchange *x,
                 const struct message *m)
{
    struct route *found = &r->route;
    route_reset(found);
    route_message(found, &v->route_space, x, m, false, &r->dice);
    e->queue_count = e->topic_count = 0;
    e->found = found->count > 0 || found->delayed;
    e->subjects = found->subjects;
    for (uint32_t i = 0; i < found->count; i++) {
        struct topic_way way;
        if (topic_way_of(found->dests[i], found->via[i], &way)) {
            add_topic(e, &way);
            continue;
        }
        const struct queue_info *q = container_of(found->dests[i], struct queue_info, dest);
        add_queue(e, q->id, q->shard);
    }
}

static void answer(const struct cached *e, struct vspace *v, struct routed *ret)
{
    *ret = (struct routed){.queues = e->queues,
                           .topics = e->topics,
                           .queue_count = e->queue_count,
                           .topic_count = e->topic_count,
                           .space = v,
                           .subjects = e->subjects,
                           .found = e->found};
}

static void route_anew(struct routes *r, struct vspace *v, struct exchange *x, const struct message *m,
                       bool more_keys, struct routed *ret)
{
    fill(r, &r->scratch, v, x, m);
    answer(&r->scratch, v, ret);
    ret->more_keys = more_keys;
    if (r->route.delayed) {
        ret->delayed_id = r->route.delayed->id;
        ret->delay_ms = r->route.delay_ms;
    }
}

/* Not where wildcards match the key of one protocol's messages, and not of another's (route.c: match()). */
static bool may_keep(const struct exchange *x, const struct message *m)
{
    if (x->subjects && m->format == MESSAGE_FORMAT_REDIS && subject_is_reserved(m->key))
        return false;
    return route_is_cacheable(x);
}

void route_look_up(struct shard *s, struct vspace *v, struct exchange *x, const struct message *m,
                   bool more_keys, struct routed *ret)
{
    struct routes *r = routes_of(s);
    assert(m->key.len <= UINT8_MAX);
    if (more_keys || !may_keep(x, m)) {
        route_anew(r, v, x, m, more_keys, ret);
        return;
    }
    uint64_t generation = space_generation(s);
    uint64_t hash = hash_bytes(m->key) ^ (uintptr_t)x * 0x9e3779b97f4a7c15ull;
    struct cached *e = &r->table[hash >> (64 - ROUTES_BITS)];
    if (e->exchange != x || e->generation != generation || e->hash != hash || !span_eq(e->key, m->key)) {
        fill(r, e, v, x, m);
        e->exchange = x;
        e->generation = generation;
        e->hash = hash;
        remember_key(e, m->key);
    }
    answer(e, v, ret);
}
