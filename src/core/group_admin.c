/* Looking at groups from outside, and deleting them. */
#include "base/err.h"
#include "core/broker.h"
#include "core/group_impl.h"
#include "core/op_impl.h"

/* ---- describe ------------------------------------------------------------------------------------------ */

static void describe(struct op_group_describe *d, const struct group *g)
{
    bool stable = g->state == GROUP_STABLE;
    uint32_t n = 0;
    d->ret_state = g->state;
    d->ret_generation = g->generation;
    d->ret_protocol_type = group_copy_out(&d->g, g->protocol_type);
    d->ret_protocol = stable ? group_copy_out(&d->g, g->protocol) : SPAN_NULL;
    d->ret_members = arena_array(&d->g.arena, g->by_id.count + 1, sizeof(*d->ret_members));
    list_each (l, &g->members) {
        const struct group_member *m = list_entry(l, struct group_member, link);
        struct group_member_info *to = &d->ret_members[n++];
        *to = (struct group_member_info){.id = group_copy_out(&d->g, m->id),
                                         .instance_id = group_copy_out(&d->g, m->instance_id),
                                         .client_id = group_copy_out(&d->g, m->client_id),
                                         .client_host = group_copy_out(&d->g, m->client_host),
                                         .metadata = span_of("", 0),
                                         .assignment = span_of("", 0)};
        if (stable)
            to->metadata = group_copy_out(&d->g, member_metadata(m, g->protocol));
        if (m->assignment.len) /* while the group goes round, the part of before */
            to->assignment = group_copy_out(&d->g, m->assignment);
    }
    d->ret_member_count = n;
}

static void start_describe(struct shard *s, struct msg *msg)
{
    struct op_group_describe *d = container_of(msg, struct op_group_describe, g.op.msg);
    d->ret_state = GROUP_DEAD;
    if (group_op_begin(s, &d->g, AUTH_DESCRIBE, false))
        return;
    const struct group *g = group_find(s->groups, &d->g.op.actor, d->g.group);
    if (g)
        describe(d, g);
    group_op_return(s, &d->g, g ? 0 : ERR_NO_GROUP);
}

void op_group_describe_submit(struct op_group_describe *d)
{
    group_op_send(&d->g, start_describe);
}

/* ---- list ---------------------------------------------------------------------------------------------- */

static bool may_see(const struct op_group_list *o, const struct group *g)
{
    return g->vhost == o->g.op.actor.vhost->id &&
           auth_check(&o->g.op.actor, AUTH_DESCRIBE, AUTH_GROUP, g->name) == 0;
}

static void put_listed(struct op_group_list *o, const struct group *g)
{
    struct group_listed *to = &o->ret_groups[o->ret_count++];
    *to = (struct group_listed){.name = group_copy_out(&o->g, g->name),
                                .protocol_type = group_copy_out(&o->g, g->protocol_type),
                                .state = g->state,
                                .members = (uint32_t)g->by_id.count};
    if (o->with_offsets)
        to->offsets = positions_show(&o->g, g, &to->offset_count);
}

static void listed(struct store_wait *w, int err)
{
    struct op_group_list *o = container_of(w, struct op_group_list, wait);
    group_op_return(o->owner, &o->g, err);
}

static void start_list(struct shard *s, struct msg *msg)
{
    struct op_group_list *o = container_of(msg, struct op_group_list, g.op.msg);
    const struct group *g;
    if (s->saving) {
        group_op_return(s, &o->g, ERR_STOPPING);
        return;
    }
    o->ret_groups = arena_array(&o->g.arena, s->groups->count + 1, sizeof(*o->ret_groups));
    for (unsigned i = 0; i < GROUP_LOGS; i++)
        for (size_t k = 0; (g = map_next(&s->groups->logs[i], &k));)
            if (may_see(o, g))
                put_listed(o, g);
    o->owner = s;
    o->wait.done = listed;
    store_wait(s->store, &o->wait);
    shard_appended(s);
}

void op_group_list_submit(struct op_group_list *o)
{
    op_send(&o->g.op, op_owner(&o->g.op, o->shard), start_list);
}

/* ---- delete -------------------------------------------------------------------------------------------- */

/* If members came while the command waited for room they go on without what is deleted; their next division
 * is written again. */
static void delete_applied(struct group_write *w)
{
    struct group *g = w->group;
    positions_fini(g);
    groups_account(w->groups, 0, g->saved.len);
    group_drop(&g->saved);
    if (g->state == GROUP_EMPTY)
        group_bury(g);
}

void group_submit_delete(struct group *g, struct op *op, void (*done)(struct group_write *w, int err))
{
    struct group_command c = {.type = GROUP_DELETE, .vhost = g->vhost, .name = g->name};
    group_write_submit(g, &c, op, delete_applied, done);
}

static void start_delete(struct shard *s, struct msg *msg)
{
    struct op_group_delete *d = container_of(msg, struct op_group_delete, g.op.msg);
    if (group_op_begin(s, &d->g, AUTH_CONFIGURE, false))
        return;
    struct group *g = group_find(s->groups, &d->g.op.actor, d->g.group);
    if (!g || g->state != GROUP_EMPTY)
        group_op_return(s, &d->g, g ? ERR_GROUP_NOT_EMPTY : ERR_NO_GROUP);
    else
        group_submit_delete(g, &d->g.op, group_write_answer);
}

void op_group_delete_submit(struct op_group_delete *d)
{
    group_op_send(&d->g, start_delete);
}
