/* Joining a group. After Kafka's GroupMetadataManager.classicGroupJoin(), classic groups. */
#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/group_impl.h"
#include "core/op_impl.h"

enum { STRING_MAX = 32767 };

static void refuse(struct shard *s, struct op_group_join *j, int err)
{
    j->ret_generation = -1;
    if (span_is_null(j->ret_member_id))
        j->ret_member_id = j->member_id;
    group_op_return(s, &j->g, err);
}

/* Parks the join in the member; what was waiting there before is from a client that has asked again. */
static void wait_in(struct group_member *m, struct op_group_join *j)
{
    rebalance_answer_join(m, ERR_UNKNOWN_MEMBER);
    m->join = j;
    member_touch(m);
}

/* A member came, or one changed: from a state at rest the group goes round again, else this may have been
 * the last one awaited. */
static void go_on(struct group *g)
{
    if (g->state == GROUP_PREPARING)
        rebalance_maybe_complete(g);
    else
        rebalance_prepare(g);
}

/* ---- new members --------------------------------------------------------------------------------------- */

static int add(struct group *g, struct op_group_join *j, struct span id)
{
    struct group_member *m = member_new(g);
    int err = member_say(m, j, id);
    if (err) {
        member_free(m);
        return err;
    }
    if (list_empty(&g->members)) {
        group_drop(&g->protocol_type);
        g->protocol_type = group_keep(j->protocol_type);
    }
    m->is_new = true;
    member_add(m);
    pending_remove(g, id);
    if (g->state == GROUP_PREPARING && g->from_empty)
        g->member_added = true;
    wait_in(m, j);
    go_on(g);
    return 0;
}

/* ---- static members that come again -------------------------------------------------------------------- */

/* The member's new id is durable: it need not join, its part is as it was. Unless it was replaced once more,
 * or removed, meanwhile. */
static void replaced(struct group_write *w, int err)
{
    struct op_group_join *j = container_of(w->op, struct op_group_join, g.op);
    struct group *g = w->group;
    struct group_member *m = j->member;
    j->member = NULL;
    if (!err && (g->state == GROUP_DEAD || member_find(g, j->ret_member_id) != m))
        err = member_find_instance(g, j->instance_id) ? ERR_FENCED_INSTANCE : ERR_UNKNOWN_MEMBER;
    if (err) {
        refuse(w->groups->shard, j, err);
        return;
    }
    bool leads = g->leader == m;
    struct span leader = leads && !j->can_skip ? j->ret_leader : g->leader->id;
    j->ret_skip_assignment = leads && j->can_skip;
    rebalance_tell(m, j, leader, j->ret_skip_assignment);
    group_op_return(w->groups->shard, &j->g, 0);
}

/* updateStaticMemberThenRebalanceOrCompleteClassicJoin(): a restart of a static member within its session
 * changes nothing, unless it asks for something else. A leader that does not know how to skip is told of the
 * old one as the leader, so that it doesn't divide (KIP-345, KIP-814). */
static int come_again(struct group *g, struct group_member *m, struct op_group_join *j, struct span new_id)
{
    struct span old_leader = group_copy_out(&j->g, g->leader->id);
    int err = member_replace(m, j, new_id);
    if (err)
        return err;
    switch (g->state) {
    case GROUP_STABLE:
        if (!span_eq(rebalance_select(g), g->protocol))
            break;
        member_touch(m);
        j->member = m;
        j->ret_member_id = group_copy_out(&j->g, m->id);
        j->ret_leader = old_leader;
        group_save_members(g, &j->g.op, replaced);
        return 0;
    default:
        break;
    }
    wait_in(m, j);
    go_on(g);
    return 0;
}

static int join_new(struct group *g, struct op_group_join *j)
{
    bool is_static = !span_is_null(j->instance_id);
    struct span prefix = is_static ? j->instance_id : j->client_id;
    struct span id = member_make_id(&j->g.arena, prefix);
    if (is_static) {
        struct group_member *m = member_find_instance(g, j->instance_id);
        return m ? come_again(g, m, j, id) : add(g, j, id);
    }
    if (!j->needs_known_id)
        return add(g, j, id);
    if (!groups_room(g->groups, id.len))
        return ERR_LIMIT;
    pending_add(g, id, j->session_timeout_ms);
    j->ret_member_id = id;
    return ERR_MEMBER_ID_REQUIRED;
}

/* ---- members that are known ---------------------------------------------------------------------------- */

static int update_and_go_round(struct group *g, struct group_member *m, struct op_group_join *j)
{
    int err = member_say(m, j, m->id);
    if (err)
        return err;
    wait_in(m, j);
    go_on(g);
    return 0;
}

/* Who has the metadata of the present generation already gets its answer again (it was lost, perhaps); a
 * leader that joins a stable group wants to divide anew. */
static int join_known(struct shard *s, struct group *g, struct op_group_join *j)
{
    struct group_member *m;
    if (pending_remove(g, j->member_id))
        return add(g, j, j->member_id);
    int err = member_validate(g, j->member_id, j->instance_id, &m);
    if (err)
        return err;
    bool leads = g->leader == m, same = member_same_protocols(m, j);
    bool again = (g->state == GROUP_COMPLETING && same) || (g->state == GROUP_STABLE && same && !leads);
    if (!again)
        return update_and_go_round(g, m, j);
    member_touch(m);
    rebalance_tell(m, j, g->leader->id, leads && g->state == GROUP_COMPLETING);
    group_op_return(s, &j->g, 0);
    return 0;
}

/* ---- beginning ----------------------------------------------------------------------------------------- */

static bool too_long(const struct op_group_join *j)
{
    bool is = j->member_id.len > STRING_MAX || j->instance_id.len > STRING_MAX - 64 ||
              j->client_id.len > STRING_MAX - 64 || j->client_host.len > STRING_MAX ||
              j->protocol_type.len > STRING_MAX;
    for (uint32_t i = 0; i < j->protocol_count && !is; i++)
        is = j->protocols[i].name.len > STRING_MAX;
    for (uint32_t i = 0; i < j->topic_count && !is; i++)
        is = j->topics[i].len > STRING_MAX;
    return is;
}

static int check(const struct config *cfg, const struct op_group_join *j)
{
    if (j->session_timeout_ms < 0 ||
        (uint64_t)j->session_timeout_ms < cfg->kafka_group_min_session_timeout_ms ||
        (uint64_t)j->session_timeout_ms > cfg->kafka_group_max_session_timeout_ms)
        return ERR_SESSION_TIMEOUT;
    return too_long(j) ? ERR_INVALID : 0;
}

static int join(struct shard *s, struct op_group_join *j)
{
    struct groups *gs = s->groups;
    int err = check(s->config, j);
    if (err)
        return err;
    struct group *g = group_find(gs, &j->g.op.actor, j->g.group);
    if (!g && j->member_id.len > 0)
        return ERR_UNKNOWN_MEMBER;
    if (!g && (j->protocol_type.len == 0 || j->protocol_count == 0))
        return ERR_GROUP_PROTOCOL;
    if (!g)
        err = group_make(gs, j->g.op.actor.vhost->id, j->g.group, &g);
    if (err)
        return err;
    if (!member_find(g, j->member_id) && !member_find_instance(g, j->instance_id) &&
        g->by_id.count + g->pending_by_id.count >=
            s->config->kafka_group_max_members + !!map_get(&g->pending_by_id, j->member_id)) {
        pending_remove(g, j->member_id);
        return ERR_GROUP_FULL;
    }
    if (!rebalance_supports(g, j))
        return ERR_GROUP_PROTOCOL;
    return j->member_id.len == 0 ? join_new(g, j) : join_known(s, g, j);
}

static void start_join(struct shard *s, struct msg *msg)
{
    struct op_group_join *j = container_of(msg, struct op_group_join, g.op.msg);
    if (group_op_begin(s, &j->g, AUTH_READ, true))
        return;
    int err = s->groups->stopped ? ERR_STOPPING : join(s, j);
    if (err)
        refuse(s, j, err);
}

void op_group_join_submit(struct op_group_join *j)
{
    group_op_send(&j->g, start_join);
}
