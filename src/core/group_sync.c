/* The rest of a member's life: its part, its heartbeats, its leave.
 * After Kafka's GroupMetadataManager: classicGroupSync(), classicGroupHeartbeat(), classicGroupLeave(). */
#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/group_impl.h"
#include "core/op_impl.h"

/* ---- sync ---------------------------------------------------------------------------------------------- */

static bool differs(struct span asked, struct span is)
{
    return !span_is_null(asked) && !span_eq(asked, is);
}

/* The division is durable, unless the group has gone on meanwhile: then everybody was answered already. */
static void divided(struct group_write *w, int err)
{
    struct group *g = w->group;
    if (g->state != GROUP_COMPLETING || g->generation != w->generation)
        return;
    if (err) {
        list_each (l, &g->members)
            member_set_assignment(list_entry(l, struct group_member, link), SPAN_NULL);
        rebalance_answer_syncs(g, err);
        rebalance_prepare(g);
        return;
    }
    group_set_state(g, GROUP_STABLE);
    rebalance_answer_syncs(g, 0);
}

static int check_room(const struct groups *gs, const struct op_group_sync *y)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < y->assignment_count; i++)
        bytes += 2 * y->assignments[i].bytes.len; /* as it is, and in the command */
    return groups_room(gs, bytes) ? 0 : ERR_LIMIT;
}

static int divide(struct group *g, const struct op_group_sync *y)
{
    int err = check_room(g->groups, y);
    if (err)
        return err;
    list_each (l, &g->members)
        member_set_assignment(list_entry(l, struct group_member, link), SPAN_NULL);
    for (uint32_t i = 0; i < y->assignment_count; i++) {
        struct group_member *m = member_find(g, y->assignments[i].member_id);
        if (m)
            member_set_assignment(m, y->assignments[i].bytes);
    }
    group_save_members(g, NULL, divided);
    return 0;
}

static void wait_for_part(struct group_member *m, struct op_group_sync *y)
{
    rebalance_answer_sync(m, ERR_UNKNOWN_MEMBER); /* the same client asks again */
    m->sync = y;
    member_touch(m);
}

static int sync_member(struct group *g, struct group_member *m, struct op_group_sync *y)
{
    int err = 0;
    switch (g->state) {
    case GROUP_PREPARING:
        return ERR_REBALANCING;
    case GROUP_COMPLETING:
        rebalance_synced(g, m);
        if (g->leader == m)
            err = divide(g, y);
        if (!err)
            wait_for_part(m, y);
        return err;
    case GROUP_STABLE:
        rebalance_synced(g, m);
        wait_for_part(m, y);
        rebalance_answer_sync(m, 0);
        return 0;
    default:
        return ERR_UNKNOWN_MEMBER;
    }
}

static int sync(struct shard *s, struct op_group_sync *y)
{
    struct group *g = group_find(s->groups, &y->g.op.actor, y->g.group);
    struct group_member *m;
    if (!g)
        return ERR_UNKNOWN_MEMBER;
    int err = member_validate(g, y->member_id, y->instance_id, &m);
    if (err)
        return err;
    if (y->generation != g->generation)
        return ERR_GENERATION;
    if (differs(y->protocol_type, g->protocol_type) || differs(y->protocol, g->protocol))
        return ERR_GROUP_PROTOCOL;
    return sync_member(g, m, y);
}

static void start_sync(struct shard *s, struct msg *msg)
{
    struct op_group_sync *y = container_of(msg, struct op_group_sync, g.op.msg);
    if (group_op_begin(s, &y->g, AUTH_READ, true))
        return;
    int err = s->groups->stopped ? ERR_STOPPING : sync(s, y);
    if (err)
        group_op_return(s, &y->g, err);
}

void op_group_sync_submit(struct op_group_sync *y)
{
    group_op_send(&y->g, start_sync);
}

/* ---- heartbeat ----------------------------------------------------------------------------------------- */

/* While the leader divides (COMPLETING) a heartbeat is fine: nobody has to join again for it. */
static int heartbeat(struct shard *s, const struct op_group_heartbeat *h)
{
    struct group *g = group_find(s->groups, &h->g.op.actor, h->g.group);
    struct group_member *m;
    if (!g)
        return ERR_UNKNOWN_MEMBER;
    int err = member_validate(g, h->member_id, h->instance_id, &m);
    if (err)
        return err;
    if (h->generation != g->generation)
        return ERR_GENERATION;
    if (g->state == GROUP_EMPTY)
        return ERR_UNKNOWN_MEMBER;
    member_touch(m);
    return g->state == GROUP_PREPARING ? ERR_REBALANCING : 0;
}

static void start_heartbeat(struct shard *s, struct msg *msg)
{
    struct op_group_heartbeat *h = container_of(msg, struct op_group_heartbeat, g.op.msg);
    if (!group_op_begin(s, &h->g, AUTH_READ, true))
        group_op_return(s, &h->g, heartbeat(s, h));
}

void op_group_heartbeat_submit(struct op_group_heartbeat *h)
{
    group_op_send(&h->g, start_heartbeat);
}

/* ---- leave --------------------------------------------------------------------------------------------- */

static int leave_one(struct group *g, const struct group_leaver *l)
{
    struct group_member *m;
    int err = 0;
    if (l->member_id.len == 0) {
        m = member_find_instance(g, l->instance_id);
        if (!m)
            return ERR_UNKNOWN_MEMBER;
    } else if (pending_remove(g, l->member_id)) {
        return 0;
    } else {
        err = member_validate(g, l->member_id, l->instance_id, &m);
    }
    if (!err)
        member_remove(m, ERR_UNKNOWN_MEMBER);
    return err;
}

static void start_leave(struct shard *s, struct msg *msg)
{
    struct op_group_leave *l = container_of(msg, struct op_group_leave, g.op.msg);
    if (group_op_begin(s, &l->g, AUTH_READ, true))
        return;
    struct group *g = group_find(s->groups, &l->g.op.actor, l->g.group);
    size_t before = g ? g->by_id.count + g->pending_by_id.count : 0;
    for (uint32_t i = 0; i < l->count; i++)
        l->leavers[i].err = g ? leave_one(g, &l->leavers[i]) : ERR_UNKNOWN_MEMBER;
    if (g && g->by_id.count + g->pending_by_id.count < before)
        rebalance_member_gone(g);
    group_op_return(s, &l->g, 0);
}

void op_group_leave_submit(struct op_group_leave *l)
{
    group_op_send(&l->g, start_leave);
}
