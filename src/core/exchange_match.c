/* The structures by which each type of exchange finds its bindings. */
#include <assert.h>

#include "base/hash.h"
#include "base/mem.h"
#include "core/exchange_impl.h"

/* The bindings of a direct exchange that have one key. */
struct key_group {
    struct binding_group here;
    uint8_t len;
    uint8_t key[];
};

static bool is_group(const void *item, const void *key)
{
    const struct key_group *g = item;
    return span_eq(span_of(g->key, g->len), *(const struct span *)key);
}

static void direct_add(struct matcher *m, struct binding *b)
{
    uint64_t hash = hash_bytes(b->key);
    struct key_group *g = ptrset_get(&m->by_key, hash, is_group, &b->key);
    if (!g) {
        g = mem_zalloc(sizeof(*g) + b->key.len);
        g->len = (uint8_t)b->key.len;
        if (g->len)
            memcpy(g->key, b->key.ptr, g->len);
        ptrset_put(&m->by_key, hash, g);
    }
    binding_group_add(&g->here, b);
}

static void direct_del(struct matcher *m, struct binding *b)
{
    uint64_t hash = hash_bytes(b->key);
    struct key_group *g = ptrset_get(&m->by_key, hash, is_group, &b->key);
    assert(g);
    binding_group_del(&g->here, b);
    if (g->here.count == 0) {
        ptrset_del(&m->by_key, hash, g);
        mem_free(g);
    }
}

void direct_match(const struct matcher *m, struct span key, topic_found *found, void *arg)
{
    struct key_group *g = ptrset_get(&m->by_key, hash_bytes(key), is_group, &key);
    if (g)
        found(arg, binding_group_items(&g->here), g->here.count);
}

void matcher_init(struct exchange *x)
{
    struct matcher *m = mem_zalloc(sizeof(*m));
    struct field f;
    ptrset_init(&m->all);
    ptrset_init(&m->by_key);
    if (x->inner == EXCHANGE_TOPIC)
        m->topics = topic_tree_new();
    if (x->inner == EXCHANGE_HASH && fields_get_str(x->args, "hash-header", &f)) {
        m->hash_on = f.bytes;
    } else if (x->inner == EXCHANGE_HASH && fields_get_str(x->args, "hash-property", &f)) {
        m->hash_on = f.bytes;
        m->hash_property = true;
    }
    x->matcher = m;
}

/* All bindings are gone. */
void matcher_free(struct exchange *x)
{
    struct matcher *m = x->matcher;
    assert(m->all.count == 0 && m->by_key.count == 0);
    ptrset_fini(&m->all);
    ptrset_fini(&m->by_key);
    topic_tree_free(m->topics);
    binding_group_fini(&m->every);
    mem_free(m);
    x->matcher = NULL;
}

void matcher_add(struct exchange *x, struct binding *b)
{
    struct matcher *m = x->matcher;
    switch (x->inner) {
    case EXCHANGE_DIRECT:
        direct_add(m, b);
        break;
    case EXCHANGE_TOPIC:
        topic_tree_add(m->topics, b);
        break;
    case EXCHANGE_HASH:
    case EXCHANGE_RANDOM:
    case EXCHANGE_LOCAL_RANDOM:
    case EXCHANGE_MODULUS_HASH:
        binding_group_add(&m->every, b);
        break;
    default:
        break;
    }
}

void matcher_del(struct exchange *x, struct binding *b)
{
    struct matcher *m = x->matcher;
    switch (x->inner) {
    case EXCHANGE_DIRECT:
        direct_del(m, b);
        break;
    case EXCHANGE_TOPIC:
        topic_tree_del(m->topics, b);
        break;
    case EXCHANGE_HASH:
    case EXCHANGE_RANDOM:
    case EXCHANGE_LOCAL_RANDOM:
    case EXCHANGE_MODULUS_HASH:
        binding_group_del(&m->every, b);
        break;
    default:
        break;
    }
}
