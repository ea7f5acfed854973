/* What operations on exchanges, queues and bindings have in common. */
#include <assert.h>

#include "base/err.h"
#include "core/broker.h"
#include "core/op_impl.h"
#include "core/space_impl.h"

void op_entity_free(struct op_entity *o)
{
    if (!o)
        return;
    arena_fini(&o->arena);
    op_free(o);
}

const char *entity_name(struct op_entity *e, const char *kind, struct span name)
{
    return arena_printf(&e->arena, "%s '%.*s' in vhost '%s'", kind, SPAN_ARG(name), e->op.actor.vhost->name);
}

int entity_auth(struct op_entity *e, enum auth_action action, enum auth_resource type, struct span name)
{
    static const char *const verbs[] = {"read", "write", "configure", "read"};
    const char *kind = type == AUTH_QUEUE ? "queue" : type == AUTH_EXCHANGE ? "exchange" : "topic";
    int err = auth_check(&e->op.actor, action, type, name);
    if (type == AUTH_EXCHANGE && !name.len)
        name = span_str("amq.default"); /* as rabbit_access_control calls it */
    if (err)
        e->why = arena_printf(&e->arena, "%s access to %s refused for user '%s'", verbs[action],
                              entity_name(e, kind, name), e->op.actor.principal->name);
    return err;
}

int entity_space(struct meta *m, struct op_entity *e, struct vspace **ret_space)
{
    struct vspace *v = space_find_id(m->shard, e->op.actor.vhost->id);
    if (!v) {
        e->why = arena_printf(&e->arena, "vhost %s not found", e->op.actor.vhost->name);
        return ERR_NOT_FOUND;
    }
    *ret_space = v;
    return 0;
}

struct span entity_strip(struct op_entity *e, struct span name)
{
    size_t n = 0;
    uint8_t *to;
    if (!name.len || (!memchr(name.ptr, '\r', name.len) && !memchr(name.ptr, '\n', name.len)))
        return name;
    to = arena_alloc(&e->arena, name.len);
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] != '\r' && name.ptr[i] != '\n')
            to[n++] = name.ptr[i];
    return span_of(to, n);
}

void entity_finish(struct meta *m, struct meta_change *ch, int err)
{
    ch->op->err = err;
    op_return(m->shard, ch->op);
}

void entity_submit(struct op_entity *e, int (*prepare)(struct meta *m, struct meta_change *ch))
{
    struct meta *m = e->op.home->broker->meta;
    meta_submit(m, meta_change_new(&e->op, prepare, entity_finish));
}

/* ---- claims -------------------------------------------------------------------------------------------- */

void claim_entity(struct meta_change *ch, enum meta_key_kind kind, uint32_t vhost, struct span name,
                  bool alone)
{
    size_t head = 1 + sizeof(vhost);
    uint8_t *key = arena_alloc(&ch->arena, head + name.len);
    key[0] = (uint8_t)kind;
    memcpy(key + 1, &vhost, sizeof(vhost));
    if (name.len)
        memcpy(key + head, name.ptr, name.len);
    meta_change_key(ch, span_of(key, head + name.len), alone);
}

void claim_owner(struct meta_change *ch, struct handle owner, bool alone)
{
    struct handle h;
    claim_entity(ch, META_KEY_OWNER, 0, span_of(handle_key(&h, owner), sizeof(h)), alone);
}

/* ---- cascades ------------------------------------------------------------------------------------------ */

static bool is_gone(const struct cascade *c, const struct exchange *x)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (c->gone[i] == x)
            return true;
    return false;
}

static void add_gone(struct cascade *c, struct exchange *x)
{
    struct meta_change *ch = c->change;
    if (c->count == c->cap) {
        struct exchange **old = c->gone;
        c->cap = c->cap ? c->cap * 2 : 4;
        c->gone = arena_array(&ch->arena, c->cap, sizeof(struct exchange *));
        if (c->count)
            memcpy(c->gone, old, c->count * sizeof(struct exchange *));
    }
    c->gone[c->count++] = x;
    c->durable |= x->durable;
}

/* Does any binding from x lead elsewhere than to d and to exchanges that go? */
static bool has_others(const struct cascade *c, const struct exchange *x, const struct dest *d,
                       const struct binding *one)
{
    list_each (l, &x->bindings) {
        const struct binding *b = list_entry(l, struct binding, by_source);
        bool goes = one ? b == one : b->dest == d;
        if (!goes && b->dest->kind == DEST_EXCHANGE)
            goes = is_gone(c, container_of(b->dest, struct exchange, dest));
        if (!goes)
            return true;
    }
    return false;
}

void cascade_dest(struct cascade *c, struct dest *d, const struct binding *one)
{
    const struct exchange *last = NULL; /* most bindings of one source stand together */
    list_each (l, &d->bindings) {
        struct binding *b = list_entry(l, struct binding, by_dest);
        struct exchange *x = b->source;
        if ((one && b != one) || !x->auto_delete || x == last || is_gone(c, x))
            continue;
        last = x;
        claim_entity(c->change, META_KEY_EXCHANGE, ((struct vspace *)x->user)->vhost.id, x->name, true);
        if (has_others(c, x, d, one))
            continue;
        add_gone(c, x);
        cascade_dest(c, &x->dest, NULL);
    }
}

void cascade_fill(struct cascade *c)
{
    struct meta_entity *e = &c->change->command.entity;
    e->also = arena_array(&c->change->arena, c->count + 1, sizeof(*e->also));
    for (e->also_count = 0; e->also_count < c->count; e->also_count++)
        e->also[e->also_count] = meta_change_keep(c->change, c->gone[e->also_count]->name);
}
