/* Declaring and deleting exchanges, as RabbitMQ 3.13 does it (rabbit_channel, rabbit_exchange). */
#include <assert.h>

#include "base/err.h"
#include "core/broker.h"
#include "core/config.h"
#include "core/fields.h"
#include "core/op_impl.h"
#include "core/space_impl.h"

static bool has_reserved_prefix(struct span name)
{
    return name.len >= 4 && memcmp(name.ptr, "amq.", 4) == 0;
}

static int refuse_default(struct op_entity *e, struct span name)
{
    if (name.len)
        return 0;
    e->why = "operation not permitted on the default exchange";
    return ERR_DENIED;
}

/* ---- declare ------------------------------------------------------------------------------------------- */

static int check_alternate(struct op_exchange_declare *d)
{
    struct field f;
    if (!fields_get_str(d->args, "alternate-exchange", &f))
        return 0;
    if (f.tag != 'S') {
        d->e.why = arena_printf(&d->e.arena, "invalid type '%s' for arg 'alternate-exchange' in %s",
                                field_type_name(f.tag), entity_name(&d->e, "exchange", d->name));
        return ERR_ARGUMENT;
    }
    int err = entity_auth(&d->e, AUTH_READ, AUTH_EXCHANGE, d->name);
    return err ? err : entity_auth(&d->e, AUTH_WRITE, AUTH_EXCHANGE, f.bytes);
}

static const char *bool_text(bool b)
{
    return b ? "true" : "false";
}

static int differs(struct op_entity *e, const char *what, const char *arg, const char *got, const char *now)
{
    e->why = arena_printf(&e->arena, "inequivalent arg '%s' for %s: received '%s' but current is '%s'", arg,
                          what, got, now);
    return ERR_INEQUIVALENT;
}

static int compare(struct op_exchange_declare *d, const struct exchange *x, enum exchange_type type)
{
    const char *what = entity_name(&d->e, "exchange", d->name);
    if (x->type != type)
        return differs(&d->e, what, "type", exchange_type_name(type), exchange_type_name(x->type));
    if (x->durable != d->durable)
        return differs(&d->e, what, "durable", bool_text(d->durable), bool_text(x->durable));
    if (x->auto_delete != d->auto_delete)
        return differs(&d->e, what, "auto_delete", bool_text(d->auto_delete), bool_text(x->auto_delete));
    if (x->internal != d->internal)
        return differs(&d->e, what, "internal", bool_text(d->internal), bool_text(x->internal));
    return exchange_compare_args(x, d->args, what, &d->e.arena, &d->e.why);
}

static int check_new(struct meta *m, struct op_exchange_declare *d, enum exchange_type type)
{
    struct exchange *x;
    if (has_reserved_prefix(d->name)) {
        d->e.why = arena_printf(&d->e.arena, "exchange name '%.*s' contains reserved prefix 'amq.*'",
                                SPAN_ARG(d->name));
        return ERR_RESERVED;
    }
    int err = check_alternate(d);
    if (err)
        return err;
    if (d->name.len > META_MAX_NAME ||
        m->shard->spaces->exchange_count + m->round_count >= m->shard->config->amqp_max_exchanges) {
        d->e.why = "there are as many exchanges as there may be";
        return ERR_LIMIT;
    }
    err = exchange_new(d->name, type, d->args, &d->e.arena, &d->e.why, &x); /* does it take them? */
    if (!err)
        exchange_free(x);
    return err;
}

static int fill_declare(struct meta *m, struct meta_change *ch, struct op_exchange_declare *d,
                        enum exchange_type type)
{
    struct meta_command *c = &ch->command;
    *c = (struct meta_command){.type = META_EXCHANGE_PUT};
    c->entity = (struct meta_entity){.vhost = d->e.op.actor.vhost->id,
                                     .flags = (uint8_t)((d->durable ? META_DURABLE : 0) |
                                                        (d->auto_delete ? META_AUTO_DELETE : 0) |
                                                        (d->internal ? META_INTERNAL : 0)),
                                     .name = meta_change_keep(ch, d->name),
                                     .label = meta_change_keep(ch, d->type),
                                     .args = meta_change_keep(ch, d->args)};
    if (type == EXCHANGE_DELAYED) {
        c->entity.id = d->durable ? m->next_log_id : m->next_volatile_id + 1;
        c->next = queue_ids_end(c->entity.id, 0);
    }
    return d->durable ? META_APPEND : META_VOLATILE;
}

static int prepare_passive(struct op_exchange_declare *d, const struct exchange *x)
{
    if (x)
        return META_NOTHING;
    d->e.why = arena_printf(&d->e.arena, "no %s", entity_name(&d->e, "exchange", d->name));
    return ERR_NOT_FOUND;
}

static int prepare_declare(struct meta *m, struct meta_change *ch)
{
    struct op_exchange_declare *d = container_of(ch->op, struct op_exchange_declare, e.op);
    struct vspace *v;
    if (ch->key_count == 0) {
        d->name = entity_strip(&d->e, d->name);
        claim_entity(ch, META_KEY_VHOST, d->e.op.actor.vhost->id, SPAN_NULL, false);
        claim_entity(ch, META_KEY_EXCHANGE, d->e.op.actor.vhost->id, d->name, true);
    }
    if (!meta_change_free(m, ch))
        return META_LATER;
    int err = entity_space(m, &d->e, &v);
    if (!err)
        err = refuse_default(&d->e, d->name);
    if (err)
        return err;
    struct exchange *x = space_exchange(v, d->name);
    if (d->passive)
        return prepare_passive(d, x);
    int type = exchange_type_of(d->type);
    if (type < 0) {
        d->e.why = arena_printf(&d->e.arena, "unknown exchange type '%.*s'", SPAN_ARG(d->type));
        return ERR_ARGUMENT;
    }
    err = entity_auth(&d->e, AUTH_CONFIGURE, AUTH_EXCHANGE, d->name);
    if (!err)
        err = x ? compare(d, x, (enum exchange_type)type) : check_new(m, d, (enum exchange_type)type);
    if (err)
        return err;
    return x ? META_NOTHING : fill_declare(m, ch, d, (enum exchange_type)type);
}

static void start_declare(struct shard *s, struct msg *msg)
{
    (void)s;
    entity_submit(container_of(msg, struct op_entity, op.msg), prepare_declare);
}

void op_exchange_declare_submit(struct op_exchange_declare *d)
{
    op_send(&d->e.op, op_owner(&d->e.op, 0), start_declare);
}

/* ---- delete -------------------------------------------------------------------------------------------- */

static int check_delete(struct op_exchange_delete *d)
{
    int err = refuse_default(&d->e, d->name);
    if (!err && has_reserved_prefix(d->name)) {
        d->e.why = arena_printf(&d->e.arena, "deletion of system %s not allowed",
                                entity_name(&d->e, "exchange", d->name));
        err = ERR_RESERVED;
    }
    return err ? err : entity_auth(&d->e, AUTH_CONFIGURE, AUTH_EXCHANGE, d->name);
}

static int prepare_delete(struct meta *m, struct meta_change *ch)
{
    enum { OWN_KEYS = 2 };
    struct op_exchange_delete *d = container_of(ch->op, struct op_exchange_delete, e.op);
    struct cascade cascade = {.change = ch};
    struct vspace *v;
    if (ch->key_count == 0) {
        d->name = entity_strip(&d->e, d->name);
        claim_entity(ch, META_KEY_VHOST, d->e.op.actor.vhost->id, SPAN_NULL, false);
        claim_entity(ch, META_KEY_EXCHANGE, d->e.op.actor.vhost->id, d->name, true);
    }
    ch->key_count = OWN_KEYS;
    if (!meta_change_free(m, ch))
        return META_LATER;
    int err = entity_space(m, &d->e, &v);
    if (!err)
        err = check_delete(d);
    struct exchange *x = err ? NULL : space_exchange(v, d->name);
    if (!x)
        return err ? err : META_NOTHING;
    if (d->if_unused && !list_empty(&x->bindings)) {
        d->e.why = arena_printf(&d->e.arena, "%s in use", entity_name(&d->e, "exchange", d->name));
        return ERR_IN_USE;
    }
    cascade_dest(&cascade, &x->dest, NULL);
    if (!meta_change_free(m, ch))
        return META_LATER;
    ch->command = (struct meta_command){.type = META_EXCHANGE_DROP};
    ch->command.entity = (struct meta_entity){.vhost = v->vhost.id, .name = meta_change_keep(ch, d->name)};
    cascade_fill(&cascade);
    return x->durable || cascade.durable ? META_APPEND : META_VOLATILE;
}

static void start_delete(struct shard *s, struct msg *msg)
{
    (void)s;
    entity_submit(container_of(msg, struct op_entity, op.msg), prepare_delete);
}

void op_exchange_delete_submit(struct op_exchange_delete *d)
{
    op_send(&d->e.op, op_owner(&d->e.op, 0), start_delete);
}
