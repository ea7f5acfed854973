/* Making and deleting virtual hosts. */
#include "base/err.h"
#include "core/broker.h"
#include "core/config.h"
#include "core/op_impl.h"
#include "core/space_impl.h"

/* Ids are found anew at each start, above those that are in use. */
static uint32_t new_id(const struct shard *s)
{
    uint32_t id = 0;
    struct vspace *v;
    for (size_t i = 0; (v = map_next(&s->spaces->by_id, &i));)
        id = v->vhost.id > id ? v->vhost.id : id;
    for (size_t i = 0; i < s->spaces->gone_count; i++)
        id = s->spaces->gone[i]->vhost.id > id ? s->spaces->gone[i]->vhost.id : id;
    return id + 1;
}

static int check(struct meta *m, struct op_entity *e, struct span name)
{
    int err = auth_check(&e->op.actor, AUTH_CONFIGURE, AUTH_BROKER, SPAN_NULL);
    if (!err && (name.len == 0 || name.len > META_MAX_NAME || memchr(name.ptr, 0, name.len))) {
        e->why = "the name of a virtual host has 1 to 255 bytes";
        err = ERR_ARGUMENT;
    }
    if (!err && m->shard->spaces->by_id.count > m->shard->config->amqp_max_vhosts) {
        e->why = "there are as many virtual hosts as there may be";
        err = ERR_LIMIT;
    }
    return err;
}

/* Ids are given out one at a time, so such changes are alone in a round; what is in a virtual host has its id
 * as a key, shared. */
static bool claim(struct meta *m, struct meta_change *ch, const struct vspace *v)
{
    if (ch->key_count == 0)
        claim_entity(ch, META_KEY_VHOST, UINT32_MAX, SPAN_NULL, true);
    ch->key_count = 1;
    if (v)
        claim_entity(ch, META_KEY_VHOST, v->vhost.id, SPAN_NULL, true);
    return meta_change_free(m, ch);
}

/* ---- put ----------------------------------------------------------------------------------------------- */

static int prepare_put(struct meta *m, struct meta_change *ch)
{
    struct op_vhost_put *p = container_of(ch->op, struct op_vhost_put, e.op);
    int err = check(m, &p->e, p->name);
    if (err)
        return err;
    if (!claim(m, ch, NULL))
        return META_LATER;
    struct vspace *v = space_find(m->shard, p->name);
    if (v && span_eq(v->args, p->args))
        return META_NOTHING;
    p->ret_created = !v;
    ch->command = (struct meta_command){.type = META_VHOST_PUT};
    ch->command.entity = (struct meta_entity){.vhost = v ? v->vhost.id : new_id(m->shard),
                                              .name = meta_change_keep(ch, p->name),
                                              .args = meta_change_keep(ch, p->args)};
    return META_APPEND;
}

static void start_put(struct shard *s, struct msg *msg)
{
    (void)s;
    entity_submit(container_of(msg, struct op_entity, op.msg), prepare_put);
}

void op_vhost_put_submit(struct op_vhost_put *v)
{
    op_send(&v->e.op, op_owner(&v->e.op, 0), start_put);
}

/* ---- delete -------------------------------------------------------------------------------------------- */

static int prepare_delete(struct meta *m, struct meta_change *ch)
{
    struct op_vhost_delete *d = container_of(ch->op, struct op_vhost_delete, e.op);
    int err = auth_check(&d->e.op.actor, AUTH_CONFIGURE, AUTH_BROKER, SPAN_NULL);
    if (err)
        return err;
    struct vspace *v = space_find(m->shard, d->name);
    if (!claim(m, ch, v))
        return META_LATER;
    if (!v) {
        d->e.why = arena_printf(&d->e.arena, "vhost %.*s not found", SPAN_ARG(d->name));
        return ERR_NOT_FOUND;
    }
    if (v->vhost.id == DEFAULT_SPACE) {
        d->e.why = "the virtual host '/' cannot be deleted, it is that of topics";
        return ERR_RESERVED;
    }
    ch->command = (struct meta_command){.type = META_VHOST_DROP};
    ch->command.entity = (struct meta_entity){.vhost = v->vhost.id};
    return META_APPEND;
}

static void start_delete(struct shard *s, struct msg *msg)
{
    (void)s;
    entity_submit(container_of(msg, struct op_entity, op.msg), prepare_delete);
}

void op_vhost_delete_submit(struct op_vhost_delete *v)
{
    op_send(&v->e.op, op_owner(&v->e.op, 0), start_delete);
}
