/* Where publishes go: what was found for an exchange and a key is kept as long as the tables stay the same.
 *
 * One table for each shard, direct-mapped: a collision only costs another look-up. */
#include <assert.h>

#include "base/hash.h"
#include "base/mem.h"
#include "proto/amqp/channel.h"

enum { ROUTES_BITS = 12, ROUTES = 1 << ROUTES_BITS };

struct cached {
    const struct exchange *exchange; /* NULL: free */
    uint64_t generation, hash;
    struct span key; /* owned, with room for key_cap bytes */
    size_t key_cap;
    struct amqp_target *targets;
    struct topic_way *topics;
    uint32_t count, cap, topic_count, topic_cap;
    bool found;
};

struct routes {
    struct shard_keep keep;
    uint64_t dice;
    struct cached scratch; /* what may not be kept */
    struct cached table[ROUTES];
};

static void cached_fini(struct cached *e)
{
    mem_free((void *)e->key.ptr);
    mem_free(e->targets);
    mem_free(e->topics);
}

static void routes_free(struct shard_keep *k)
{
    struct routes *r = container_of(k, struct routes, keep);
    for (unsigned i = 0; i < ROUTES; i++)
        cached_fini(&r->table[i]);
    cached_fini(&r->scratch);
    mem_free(r);
}

static struct routes *routes_of(struct shard *s)
{
    struct shard_keep *k = shard_keep_find(s, routes_free);
    if (k)
        return container_of(k, struct routes, keep);
    struct routes *r = mem_zalloc(sizeof(*r));
    r->keep.free = routes_free;
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

static void add_target(struct cached *e, uint64_t id, unsigned shard)
{
    if (e->count == e->cap) {
        e->cap = e->cap ? e->cap * 2 : 4;
        e->targets = mem_realloc(e->targets, e->cap * sizeof(*e->targets));
    }
    uint32_t at = e->count++; /* sorted by shard, in the order found */
    for (; at > 0 && e->targets[at - 1].shard > shard; at--)
        e->targets[at] = e->targets[at - 1];
    e->targets[at] = (struct amqp_target){id, shard};
}

static void add_topic(struct cached *e, const struct topic_way *way)
{
    if (e->topic_count == e->topic_cap) {
        e->topic_cap = e->topic_cap ? e->topic_cap * 2 : 2;
        e->topics = mem_realloc(e->topics, e->topic_cap * sizeof(*e->topics));
    }
    e->topics[e->topic_count++] = *way;
}

static void fill(struct amqp_conn_channels *cc, struct routes *r, struct cached *e, struct exchange *x,
                 const struct message *m)
{
    struct route *found = &cc->route;
    found->count = 0;
    found->delayed = NULL;
    route_message(found, &cc->ac->space->route_space, x, m, false, &r->dice);
    e->count = e->topic_count = 0;
    e->found = found->count > 0 || found->delayed;
    for (uint32_t i = 0; i < found->count; i++) {
        struct topic_way way;
        if (topic_way_of(found->dests[i], found->via[i], &way)) {
            add_topic(e, &way);
            continue;
        }
        const struct queue_info *q = container_of(found->dests[i], struct queue_info, dest);
        add_target(e, q->id, q->shard);
    }
}

static void answer(const struct cached *e, struct amqp_routed *ret)
{
    *ret = (struct amqp_routed){.targets = e->targets,
                                .topics = e->topics,
                                .count = e->count,
                                .topic_count = e->topic_count,
                                .found = e->found};
}

void amqp_route(struct amqp_conn_channels *cc, struct exchange *x, const struct message *m, bool more_keys,
                struct amqp_routed *ret)
{
    struct shard *s = cc->ac->conn->shard;
    struct routes *r = routes_of(s);
    if (more_keys || !route_is_cacheable(x)) {
        fill(cc, r, &r->scratch, x, m);
        answer(&r->scratch, ret);
        if (cc->route.delayed) {
            ret->delayed_id = cc->route.delayed->id;
            ret->delay_ms = cc->route.delay_ms;
        }
        return;
    }
    uint64_t generation = space_generation(s);
    uint64_t hash = hash_bytes(m->key) ^ (uintptr_t)x * 0x9e3779b97f4a7c15ull;
    struct cached *e = &r->table[hash >> (64 - ROUTES_BITS)];
    if (e->exchange != x || e->generation != generation || e->hash != hash || !span_eq(e->key, m->key)) {
        fill(cc, r, e, x, m);
        e->exchange = x;
        e->generation = generation;
        e->hash = hash;
        remember_key(e, m->key);
    }
    answer(e, ret);
}
