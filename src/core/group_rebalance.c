/* The barrier: from the first join of a generation to the last member that has its part.
 * After Kafka's GroupMetadataManager (classic groups), whose method is named where it matters. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "core/broker.h"
#include "core/group_impl.h"

static struct shard *shard_of(const struct group *g)
{
    return g->groups->shard;
}

static void set_timer(struct group *g, struct shard_timer *t, uint64_t ms)
{
    shard_timer_set(shard_of(g), t, shard_of(g)->now_ns + ms * 1000000);
}

/* ---- protocols ----------------------------------------------------------------------------------------- */

static bool member_supports(const struct group_member *m, struct span protocol)
{
    for (uint32_t i = 0; i < m->protocol_count; i++)
        if (span_eq(m->protocols[i].name, protocol))
            return true;
    return false;
}

static bool all_support(const struct group *g, struct span protocol)
{
    list_each (l, &g->members)
        if (!member_supports(list_entry(l, struct group_member, link), protocol))
            return false;
    return true;
}

/* ClassicGroup.supportsProtocols() */
bool rebalance_supports(const struct group *g, const struct op_group_join *j)
{
    if (list_empty(&g->members))
        return j->protocol_type.len > 0 && j->protocol_count > 0;
    if (!span_eq(g->protocol_type, j->protocol_type))
        return false;
    for (uint32_t i = 0; i < j->protocol_count; i++)
        if (all_support(g, j->protocols[i].name))
            return true;
    return false;
}

static uint32_t votes_for(const struct group *g, struct span protocol)
{
    uint32_t votes = 0;
    list_each (l, &g->members) {
        const struct group_member *m = list_entry(l, struct group_member, link);
        uint32_t i = 0;
        while (i < m->protocol_count && !all_support(g, m->protocols[i].name))
            i++;
        if (i < m->protocol_count && span_eq(m->protocols[i].name, protocol))
            votes++;
    }
    return votes;
}

/* Each member votes for the first of its protocols that all have. Equal votes: the leader's preference. A
 * vote costs members squared, so it is only taken if there is a choice. */
struct span rebalance_select(const struct group *g)
{
    const struct group_member *leader = g->leader;
    struct span best = SPAN_NULL;
    uint32_t best_votes = 0, candidates = 0;
    for (uint32_t i = 0; i < leader->protocol_count; i++) {
        if (!all_support(g, leader->protocols[i].name))
            continue;
        if (candidates++ == 0)
            best = leader->protocols[i].name;
    }
    if (candidates < 2)
        return best;
    best = SPAN_NULL;
    for (uint32_t i = 0; i < leader->protocol_count; i++) {
        uint32_t votes =
            all_support(g, leader->protocols[i].name) ? votes_for(g, leader->protocols[i].name) : 0;
        if (votes > best_votes) {
            best = leader->protocols[i].name;
            best_votes = votes;
        }
    }
    return best;
}

/* ---- answers ------------------------------------------------------------------------------------------- */

static void tell_members(const struct group *g, struct op_group_join *j)
{
    uint32_t n = 0;
    j->ret_members = arena_array(&j->g.arena, g->by_id.count, sizeof(*j->ret_members));
    list_each (l, &g->members) {
        const struct group_member *m = list_entry(l, struct group_member, link);
        j->ret_members[n++] =
            (struct group_joined){group_copy_out(&j->g, m->id), group_copy_out(&j->g, m->instance_id),
                                  group_copy_out(&j->g, member_metadata(m, g->protocol))};
    }
    j->ret_member_count = n;
}

void rebalance_tell(struct group_member *m, struct op_group_join *j, struct span leader, bool members)
{
    const struct group *g = m->group;
    j->ret_generation = g->generation;
    j->ret_protocol_type = group_copy_out(&j->g, g->protocol_type);
    j->ret_protocol = group_copy_out(&j->g, g->protocol);
    j->ret_leader = group_copy_out(&j->g, leader);
    j->ret_member_id = group_copy_out(&j->g, m->id);
    if (members)
        tell_members(g, j);
}

void rebalance_answer_join(struct group_member *m, int err)
{
    struct op_group_join *j = m->join;
    if (!j)
        return;
    m->join = NULL;
    j->ret_generation = -1;
    j->ret_member_id = group_copy_out(&j->g, err ? j->member_id : m->id);
    if (!err)
        rebalance_tell(m, j, m->group->leader->id, m->group->leader == m);
    group_op_return(shard_of(m->group), &j->g, err);
}

void rebalance_answer_sync(struct group_member *m, int err)
{
    struct op_group_sync *s = m->sync;
    const struct group *g = m->group;
    if (!s)
        return;
    m->sync = NULL;
    if (!err) {
        s->ret_protocol_type = group_copy_out(&s->g, g->protocol_type);
        s->ret_protocol = group_copy_out(&s->g, g->protocol);
        s->ret_assignment = group_copy_out(&s->g, m->assignment);
    }
    group_op_return(shard_of(g), &s->g, err);
    member_touch(m);
}

void rebalance_answer_syncs(struct group *g, int err)
{
    list_each (l, &g->members)
        rebalance_answer_sync(list_entry(l, struct group_member, link), err);
}

/* ---- the second step: everybody gets a part ------------------------------------------------------------ */

static bool somebody_needs_sync(const struct group *g)
{
    list_each (l, &g->members)
        if (list_entry(l, struct group_member, link)->needs_sync)
            return true;
    return false;
}

void rebalance_synced(struct group *g, struct group_member *m)
{
    m->needs_sync = false;
    if (!somebody_needs_sync(g))
        shard_timer_cancel(shard_of(g), &g->sync_timer);
}

/* GroupMetadataManager.expirePendingSync(): who joined and never asked for its part is gone. */
static void sync_over(struct shard *s, struct shard_timer *t)
{
    struct group *g = container_of(t, struct group, sync_timer);
    bool gone = false;
    list_each_safe (l, tmp, &g->members) {
        struct group_member *m = list_entry(l, struct group_member, link);
        if (!m->needs_sync)
            continue;
        say_info("group", "a member joined and did not ask for its part: removed",
                 "group=\"%.*s\" member=\"%.*s\"", SPAN_ARG(g->name), SPAN_ARG(m->id));
        metrics_add(s->metrics, METRIC_GROUP_EXPIRED_MEMBERS, 1);
        member_remove(m, ERR_UNKNOWN_MEMBER);
        gone = true;
    }
    if (gone)
        rebalance_prepare(g);
}

/* ---- the first step: everybody joins ------------------------------------------------------------------- */

static uint64_t rebalance_timeout(const struct group *g)
{
    int32_t most = 0;
    list_each (l, &g->members) {
        const struct group_member *m = list_entry(l, struct group_member, link);
        if (m->rebalance_timeout_ms > most)
            most = m->rebalance_timeout_ms;
    }
    return most > 0 ? (uint64_t)most : 1;
}

/* Static members keep their place until their session ends, dynamic ones that have not come are out. */
static void remove_absent(struct group *g)
{
    list_each_safe (l, tmp, &g->members) {
        struct group_member *m = list_entry(l, struct group_member, link);
        if (!m->join && span_is_null(m->instance_id)) {
            say_info("group", "a member did not join in time and is removed",
                     "group=\"%.*s\" member=\"%.*s\"", SPAN_ARG(g->name), SPAN_ARG(m->id));
            member_remove(m, ERR_UNKNOWN_MEMBER);
        }
    }
}

/* ClassicGroup.maybeElectNewJoinedLeader(): the division needs a leader that is there. */
static bool elect_leader(struct group *g)
{
    if (g->leader && g->leader->join)
        return true;
    list_each (l, &g->members) {
        struct group_member *m = list_entry(l, struct group_member, link);
        if (m->join) {
            g->leader = m;
            return true;
        }
    }
    return false;
}

static void become_empty(struct group *g)
{
    g->generation++;
    group_drop(&g->protocol);
    group_set_state(g, GROUP_EMPTY);
    group_save_members(g, NULL, NULL); /* if it fails, a restart finds members that will not be heard of */
}

static void next_generation(struct group *g)
{
    struct span chosen = rebalance_select(g);
    g->generation++;
    struct span copy = group_keep(chosen);
    group_drop(&g->protocol);
    g->protocol = copy;
    group_set_state(g, GROUP_COMPLETING);
    metrics_add(shard_of(g)->metrics, METRIC_GROUP_REBALANCES, 1);
    say_debug("group", "a generation begins", "group=\"%.*s\" generation=%d members=%u protocol=\"%.*s\"",
              SPAN_ARG(g->name), (int)g->generation, g->by_id.count, SPAN_ARG(g->protocol));
    list_each (l, &g->members) {
        struct group_member *m = list_entry(l, struct group_member, link);
        rebalance_answer_join(m, 0);
        m->is_new = false;
        m->needs_sync = true;
        member_touch(m);
    }
    set_timer(g, &g->sync_timer, rebalance_timeout(g));
}

/* GroupMetadataManager.completeClassicGroupJoin() */
static void complete(struct group *g)
{
    assert(g->state == GROUP_PREPARING);
    shard_timer_cancel(shard_of(g), &g->rebalance_timer);
    remove_absent(g);
    if (list_empty(&g->members)) {
        become_empty(g);
    } else if (!elect_leader(g)) {
        set_timer(g, &g->rebalance_timer,
                  rebalance_timeout(g)); /* only absent static members: until they come or expire */
    } else {
        next_generation(g);
    }
}

static bool all_joined(const struct group *g)
{
    list_each (l, &g->members)
        if (!list_entry(l, struct group_member, link)->join)
            return false;
    return list_empty(&g->pending);
}

void rebalance_maybe_complete(struct group *g)
{
    if (g->state == GROUP_PREPARING && !g->from_empty && all_joined(g))
        complete(g);
}

/* tryCompleteInitialRebalanceElseSchedule(): as long as members keep coming, wait for more of them. */
static void rebalance_over(struct shard *s, struct shard_timer *t)
{
    struct group *g = container_of(t, struct group, rebalance_timer);
    uint64_t delay = s->config->kafka_group_initial_rebalance_delay_ms;
    if (g->from_empty && g->member_added && g->initial_left_ms > 0) {
        g->member_added = false;
        if (delay > g->initial_left_ms)
            delay = g->initial_left_ms;
        g->initial_left_ms -= delay;
        set_timer(g, t, delay);
        return;
    }
    g->from_empty = false;
    complete(g);
}

void rebalance_prepare(struct group *g)
{
    struct shard *s = shard_of(g);
    if (g->state == GROUP_PREPARING || s->groups->stopped)
        return;
    if (g->state == GROUP_COMPLETING) {
        list_each (l, &g->members)
            member_set_assignment(list_entry(l, struct group_member, link), SPAN_NULL);
        rebalance_answer_syncs(g, ERR_REBALANCING);
    }
    list_each (l, &g->members)
        list_entry(l, struct group_member, link)->needs_sync = false;
    shard_timer_cancel(s, &g->sync_timer);
    g->from_empty = g->state == GROUP_EMPTY;
    g->member_added = false;
    group_set_state(g, GROUP_PREPARING);
    if (!g->from_empty) {
        set_timer(g, &g->rebalance_timer, rebalance_timeout(g));
        rebalance_maybe_complete(g);
        return;
    }
    uint64_t delay = s->config->kafka_group_initial_rebalance_delay_ms, most = rebalance_timeout(g);
    g->initial_left_ms = most > delay ? most - delay : 0;
    set_timer(g, &g->rebalance_timer, delay);
}

void rebalance_member_gone(struct group *g)
{
    if (g->state == GROUP_STABLE || g->state == GROUP_COMPLETING)
        rebalance_prepare(g);
    else
        rebalance_maybe_complete(g);
}

void rebalance_init(struct group *g)
{
    g->rebalance_timer.fire = rebalance_over;
    g->sync_timer.fire = sync_over;
}
