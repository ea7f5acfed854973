#include "core/exchange.h"

#include <assert.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "core/exchange_impl.h"

static const char *const type_names[] = {
    [EXCHANGE_DEFAULT] = "",
    [EXCHANGE_DIRECT] = "direct",
    [EXCHANGE_FANOUT] = "fanout",
    [EXCHANGE_TOPIC] = "topic",
    [EXCHANGE_HEADERS] = "headers",
    [EXCHANGE_DELAYED] = "x-delayed-message",
    [EXCHANGE_HASH] = "x-consistent-hash",
    [EXCHANGE_RANDOM] = "x-random",
    [EXCHANGE_LOCAL_RANDOM] = "x-local-random",
    [EXCHANGE_MODULUS_HASH] = "x-modulus-hash",
};
enum { TYPES = sizeof(type_names) / sizeof(type_names[0]) };

int exchange_type_of(struct span name)
{
    for (int t = EXCHANGE_DIRECT; t < TYPES; t++) /* nobody declares another default exchange */
        if (span_eq_str(name, type_names[t]))
            return t;
    return -1;
}

const char *exchange_type_name(enum exchange_type t)
{
    assert((int)t < TYPES);
    return t == EXCHANGE_DEFAULT ? "direct" : type_names[t]; /* RabbitMQ shows it as a direct one */
}

/* ---- making and freeing -------------------------------------------------------------------------------- */

static struct span copy(struct span s)
{
    return s.ptr ? span_of(mem_strndup(s.ptr, s.len), s.len) : SPAN_NULL;
}

static void drop(struct span s)
{
    mem_free((void *)s.ptr);
}

static int refuse(const char *reason, const char **ret_reason)
{
    *ret_reason = reason;
    return ERR_ARGUMENT;
}

/* The plugin's validate(). */
static int check_delayed(struct span args, struct arena *a, const char **ret_reason,
                         enum exchange_type *ret_inner)
{
    struct field f;
    if (!fields_get_str(args, "x-delayed-type", &f) || (f.tag != 'S' && f.tag != 'x'))
        return refuse("Invalid argument, 'x-delayed-type' must be an existing exchange type", ret_reason);
    int inner = exchange_type_of(f.bytes);
    if (inner < 0)
        return refuse(arena_printf(a, "unknown exchange type '%s'", field_text(&f, a)), ret_reason);
    if (inner == EXCHANGE_DELAYED) /* the plugin never comes back from this */
        return refuse("Invalid argument, 'x-delayed-type' must be an existing exchange type", ret_reason);
    *ret_inner = inner;
    return 0;
}

static int check_alternate(struct span name, struct span args, struct arena *a, const char **ret_reason,
                           struct span *ret_alternate)
{
    struct field f;
    if (!fields_get_str(args, "alternate-exchange", &f))
        return 0;
    if (f.tag != 'S')
        return refuse(arena_printf(a, "invalid type '%s' for arg 'alternate-exchange' in exchange '%.*s'",
                                   field_type_name(f.tag), SPAN_ARG(name)),
                      ret_reason);
    *ret_alternate = f.bytes;
    return 0;
}

int exchange_new(struct span name, enum exchange_type type, struct span args, struct arena *a,
                 const char **ret_reason, struct exchange **ret_exchange)
{
    enum exchange_type inner = type;
    struct span alternate = SPAN_NULL;
    int err = check_alternate(name, args, a, ret_reason, &alternate);
    if (!err && type == EXCHANGE_DELAYED)
        err = check_delayed(args, a, ret_reason, &inner);
    if (!err && inner == EXCHANGE_HASH)
        err = hash_check_exchange(args, a, ret_reason);
    if (err)
        return err;
    struct exchange *x = mem_zalloc(sizeof(*x));
    x->name = name.ptr ? copy(name) : copy(span_str(""));
    x->type = type;
    x->inner = inner;
    x->args = copy(args);
    x->alternate = copy(alternate);
    list_init(&x->bindings);
    dest_init(&x->dest, DEST_EXCHANGE, x->name);
    matcher_init(x);
    *ret_exchange = x;
    return 0;
}

void exchange_set_alternate(struct exchange *x, struct span name)
{
    struct span old = x->alternate;
    x->alternate = copy(name);
    drop(old);
}

void exchange_free(struct exchange *x)
{
    if (!x)
        return;
    list_each_safe (it, tmp, &x->bindings)
        exchange_unbind(list_entry(it, struct binding, by_source));
    dest_unbind_all(&x->dest, NULL, NULL);
    matcher_free(x);
    drop(x->name);
    drop(x->args);
    drop(x->alternate);
    mem_free(x);
}

/* ---- bindings ------------------------------------------------------------------------------------------ */

int exchange_check_binding(const struct exchange *x, struct span key, struct span args, struct arena *a,
                           const char **ret_reason)
{
    if (x->inner == EXCHANGE_HEADERS)
        return headers_check_args(args, a, ret_reason);
    if (x->inner == EXCHANGE_HASH)
        return hash_check_key(key, a, ret_reason);
    return 0;
}

struct binding_key {
    const struct dest *dest;
    struct span key, args; /* args sorted */
};

static uint64_t binding_hash(const struct binding_key *k)
{
    uint64_t h = hash_u64((uint64_t)(uintptr_t)k->dest);
    h = h * 31 + hash_bytes(k->key);
    return k->args.len ? h * 31 + hash_bytes(k->args) : h;
}

static bool is_binding(const void *item, const void *key)
{
    const struct binding *b = item;
    const struct binding_key *k = key;
    return b->dest == k->dest && span_eq(b->key, k->key) && span_eq(b->args, k->args);
}

struct binding *exchange_find_binding(const struct exchange *x, const struct dest *d, struct span key,
                                      struct span args)
{
    const struct matcher *m = x->matcher;
    struct arena a;
    arena_init(&a);
    struct binding_key k = {d, key, fields_sort(args, &a)};
    struct binding *b = ptrset_get(&m->all, binding_hash(&k), is_binding, &k);
    arena_fini(&a);
    return b;
}

/* Key and args lie behind the struct. */
static struct binding *binding_new(struct exchange *x, struct dest *d, struct span key, struct span args)
{
    struct binding *b = mem_zalloc(sizeof(*b) + key.len + args.len);
    uint8_t *bytes = (uint8_t *)(b + 1);
    b->source = x;
    b->dest = d;
    b->key = span_of(bytes, key.len);
    b->args = span_of(bytes + key.len, args.len);
    if (key.len)
        memcpy(bytes, key.ptr, key.len);
    if (args.len)
        memcpy(bytes + key.len, args.ptr, args.len);
    return b;
}

struct binding *exchange_bind(struct exchange *x, struct dest *d, struct span key, struct span args,
                              bool durable)
{
    struct matcher *m = x->matcher;
    struct arena a;
    assert(x->type != EXCHANGE_DEFAULT && key.len <= UINT8_MAX);
    arena_init(&a);
    struct binding *b = binding_new(x, d, key, fields_sort(args, &a));
    arena_fini(&a);
    struct binding_key k = {d, b->key, b->args};
    assert(!ptrset_get(&m->all, binding_hash(&k), is_binding, &k));
    ptrset_put(&m->all, binding_hash(&k), b);
    b->durable = durable;
    list_add_tail(&x->bindings, &b->by_source);
    list_add_tail(&d->bindings, &b->by_dest);
    x->binding_count++;
    m->to_exchanges += d->kind == DEST_EXCHANGE;
    matcher_add(x, b);
    return b;
}

void exchange_unbind(struct binding *b)
{
    struct exchange *x = b->source;
    struct matcher *m = x->matcher;
    struct binding_key k = {b->dest, b->key, b->args};
    matcher_del(x, b);
    ptrset_del(&m->all, binding_hash(&k), b);
    m->to_exchanges -= b->dest->kind == DEST_EXCHANGE;
    x->binding_count--;
    list_del(&b->by_source);
    list_del(&b->by_dest);
    mem_free(b);
}

void dest_init(struct dest *d, enum dest_kind kind, struct span name)
{
    *d = (struct dest){.kind = kind, .name = name};
    list_init(&d->bindings);
}

void dest_unbind_all(struct dest *d, void (*fn)(void *arg, struct binding *b), void *arg)
{
    list_each_safe (it, tmp, &d->bindings) {
        struct binding *b = list_entry(it, struct binding, by_dest);
        if (fn)
            fn(arg, b);
        exchange_unbind(b);
    }
}
