/* Binding and unbinding, as RabbitMQ 3.13 does it (rabbit_channel:binding_action). */
#include "base/err.h"
#include "core/broker.h"
#include "core/config.h"
#include "core/op_impl.h"
#include "core/space_impl.h"
#include "core/tap.h"
#include "core/topic_post.h"
#include "core/topic_table.h"

static int check_access(struct op_bind *b)
{
    static const enum auth_resource resources[] = {AUTH_QUEUE, AUTH_EXCHANGE, AUTH_TOPIC};
    if (!b->source.len || (b->kind == DEST_EXCHANGE && !b->dest.len)) {
        b->e.why = "operation not permitted on the default exchange";
        return ERR_DENIED;
    }
    int err = entity_auth(&b->e, AUTH_WRITE, resources[b->kind], b->dest);
    return err ? err : entity_auth(&b->e, AUTH_READ, AUTH_EXCHANGE, b->source);
}

/* Who may bind by a key to a topic exchange: topic permissions. */
static int check_topic(struct op_bind *b, const struct exchange *x)
{
    const struct actor *actor = &b->e.op.actor;
    int err = x->inner == EXCHANGE_TOPIC ? auth_check_topic(actor, AUTH_READ, x->name, b->key) : 0;
    if (err)
        b->e.why =
            arena_printf(&b->e.arena, "read access to topic '%.*s' in %s refused for user '%s'",
                         SPAN_ARG(b->key), entity_name(&b->e, "exchange", x->name), actor->principal->name);
    return err;
}

static int missing(struct op_bind *b, const char *kind, struct span name)
{
    if (b->unbind)
        return META_NOTHING;
    b->e.why = arena_printf(&b->e.arena, "no %s", entity_name(&b->e, kind, name));
    return ERR_NOT_FOUND;
}

static int check_exclusive(struct op_bind *b, const struct queue_info *q)
{
    if (!q->exclusive || handle_eq(q->owner->handle, b->e.op.conn))
        return 0;
    b->e.why = queue_locked_why(&b->e, b->dest);
    return ERR_LOCKED_OUT;
}

/* What it leads to, as far as the operation needs it. A topic has a dest only once something is bound. */
struct target {
    struct dest *dest;
    bool durable;
};

/* 0, META_NOTHING or an error; *ret->dest may be NULL for a topic. */
static int find_target(struct meta *m, struct vspace *v, struct op_bind *b, struct target *ret)
{
    struct queue_info *q;
    struct exchange *x;
    struct space_topic *t;
    *ret = (struct target){0};
    switch (b->kind) {
    case DEST_QUEUE:
        q = space_queue(v, b->dest);
        if (!q)
            return missing(b, "queue", b->dest);
        *ret = (struct target){&q->dest, q->durable};
        return check_exclusive(b, q);
    case DEST_EXCHANGE:
        x = space_exchange(v, b->dest);
        if (!x)
            return missing(b, "exchange", b->dest);
        *ret = (struct target){&x->dest, x->durable};
        return 0;
    default:
        if (v->vhost.id != DEFAULT_SPACE || !b->dest.len || !topic_table_find(m->shard, b->dest))
            return missing(b, "topic", b->dest);
        t = map_get(&v->topics, b->dest);
        *ret = (struct target){t ? &t->dest : NULL, true};
        return 0;
    }
}

static int fill(struct meta_change *ch, const struct op_bind *b, const struct vspace *v, bool durable)
{
    ch->command = (struct meta_command){.type = b->unbind ? META_UNBIND : META_BIND};
    ch->command.entity = (struct meta_entity){.vhost = v->vhost.id,
                                              .flags = durable ? META_DURABLE : 0,
                                              .kind = (uint8_t)b->kind,
                                              .name = meta_change_keep(ch, b->source),
                                              .dest = meta_change_keep(ch, b->dest),
                                              .key = meta_change_keep(ch, b->key),
                                              .args = meta_change_keep(ch, b->args)};
    return durable ? META_APPEND : META_VOLATILE;
}

static int prepare_unbinding(struct meta *m, struct meta_change *ch, struct op_bind *b, struct vspace *v,
                             struct binding *old)
{
    struct cascade cascade = {.change = ch};
    if (!old)
        return META_NOTHING;
    cascade_dest(&cascade, old->dest, old);
    if (!meta_change_free(m, ch))
        return META_LATER;
    int r = fill(ch, b, v, old->durable || cascade.durable);
    cascade_fill(&cascade);
    return r;
}

static int prepare_binding(struct meta *m, struct meta_change *ch, struct op_bind *b, struct exchange *x,
                           const struct target *t)
{
    const struct config *cfg = m->shard->config;
    if (b->key.len > META_MAX_NAME ||
        x->binding_count + m->round_count >= cfg->amqp_max_bindings_per_exchange) {
        b->e.why = arena_printf(&b->e.arena, "%s has as many bindings as it may",
                                entity_name(&b->e, "exchange", b->source));
        return ERR_LIMIT;
    }
    int err = exchange_check_binding(x, b->key, b->args, &b->e.arena, &b->e.why);
    if (!err && b->kind == DEST_TOPIC)
        err = topic_check_binding(b->args, &b->e.arena, &b->e.why);
    return err ? err : fill(ch, b, x->user, x->durable && t->durable);
}

/* Of an auto-delete exchange the count matters, so it is alone in its round; so is a topic, whose deletion
 * must not meet it there. */
static void claim(struct meta_change *ch, struct op_bind *b)
{
    uint32_t vhost = b->e.op.actor.vhost->id;
    b->source = entity_strip(&b->e, b->source);
    b->dest = entity_strip(&b->e, b->dest);
    claim_entity(ch, META_KEY_EXCHANGE, vhost, b->source, false);
    claim_entity(ch, META_KEY_VHOST, vhost, SPAN_NULL, false);
    if (b->kind == DEST_TOPIC)
        meta_change_key(ch, meta_change_keep(ch, b->dest), false);
    else
        claim_entity(ch, b->kind == DEST_QUEUE ? META_KEY_QUEUE : META_KEY_EXCHANGE, vhost, b->dest, false);
}

/* A stream goes with its topic, whose deletion must not meet the binding either. And what may lead on through
 * taps meets no other such edge. */
static void claim_edge(struct meta *m, struct meta_change *ch, const struct vspace *v,
                       const struct op_bind *b)
{
    const struct queue_info *q = b->kind == DEST_QUEUE ? space_queue(v, b->dest) : NULL;
    struct topic *t;
    uint32_t partition;
    if (b->kind == DEST_QUEUE && (!q || q->type != QUEUE_STREAM))
        return;
    meta_change_key(ch, tap_edges_key(), meta_record_count(m->shard, RECORD_TAP) > 0);
    if (q && topic_of_stream(m->shard, b->dest, &t, &partition))
        meta_change_key(ch, meta_change_keep(ch, span_of(t->name, t->name_len)), false);
}

static int prepare_bind(struct meta *m, struct meta_change *ch)
{
    enum { OWN_KEYS = 3 };
    struct op_bind *b = container_of(ch->op, struct op_bind, e.op);
    struct vspace *v;
    struct target t;
    if (ch->key_count == 0)
        claim(ch, b);
    ch->key_count = OWN_KEYS;
    if (!meta_change_free(m, ch))
        return META_LATER;
    int err = entity_space(m, &b->e, &v);
    if (!err)
        err = check_access(b);
    if (err)
        return err;
    struct exchange *x = space_exchange(v, b->source);
    if (!x)
        return missing(b, "exchange", b->source);
    err = check_topic(b, x);
    if (err)
        return err;
    ch->keys[0].alone = x->auto_delete;
    claim_edge(m, ch, v, b);
    if (!meta_change_free(m, ch))
        return META_LATER;
    err = find_target(m, v, b, &t);
    if (err)
        return err;
    struct binding *old = t.dest ? exchange_find_binding(x, t.dest, b->key, b->args) : NULL;
    if (b->unbind)
        return prepare_unbinding(m, ch, b, v, old);
    if (!old && v->vhost.id == DEFAULT_SPACE && tap_closes_cycle(m->shard, b->source, b->kind, b->dest)) {
        b->e.why = "the binding would send messages in a circle, through a tap";
        return ERR_ARGUMENT;
    }
    return old ? META_NOTHING : prepare_binding(m, ch, b, x, &t);
}

static void start_bind(struct shard *s, struct msg *msg)
{
    (void)s;
    entity_submit(container_of(msg, struct op_entity, op.msg), prepare_bind);
}

void op_bind_submit(struct op_bind *b)
{
    op_send(&b->e.op, op_owner(&b->e.op, 0), start_bind);
}
