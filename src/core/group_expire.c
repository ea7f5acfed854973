/* Positions that are too old, and groups of which nothing is left (KIP-211). */
#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "core/broker.h"
#include "core/group_impl.h"
#include "core/topic_table.h"

static bool is_past(int64_t since_ms, uint64_t retention_ms, int64_t now_ms)
{
    return retention_ms <= INT64_MAX / 2 && now_ms - since_ms >= (int64_t)retention_ms;
}

/* OffsetExpirationCondition: of a group that members have left, from when the last one did; of consumers
 * that never were members, and of topics that a group at work no longer wants, from the commit on. */
static bool is_too_old(const struct group *g, const struct group_position *p, bool subscribed)
{
    const struct shard *s = g->groups->shard;
    uint64_t retention = s->config->kafka_offsets_retention_ms;
    bool committed_long_ago = p->expire_ms >= 0 ? s->now_ms >= p->expire_ms /* OffsetCommit up to version 4 */
                                                : is_past(p->commit_ms, retention, s->now_ms);
    if (g->state == GROUP_EMPTY)
        return committed_long_ago && (p->expire_ms >= 0 || span_is_null(g->protocol_type) ||
                                      is_past(g->state_ms, retention, s->now_ms));
    return g->state == GROUP_STABLE && span_eq_str(g->protocol_type, "consumer") && !subscribed &&
           committed_long_ago;
}

/* What is too old of one group, as a command. */
static void collect(const struct group *g, struct arena *a, struct group_command *c, size_t *ret_all)
{
    size_t topics;
    struct group_topic **all = positions_sorted(g, a, &topics);
    uint32_t cap = 0;
    for (size_t i = 0; i < topics; i++)
        cap += all[i]->count;
    c->positions = arena_array(a, cap + 1, sizeof(*c->positions));
    *ret_all = cap;
    for (size_t i = 0; i < topics; i++) {
        const struct topic *t = topic_table_find_id(g->groups->shard, &all[i]->id);
        bool subscribed = t && group_is_subscribed(g, span_of(t->name, t->name_len));
        for (uint32_t k = 0; k < all[i]->count; k++)
            if (is_too_old(g, &all[i]->positions[k], subscribed))
                c->positions[c->position_count++] = (struct group_command_position){
                    .topic = all[i]->id, .partition = all[i]->positions[k].partition};
    }
}

static void applied(struct group_write *w)
{
    struct arena a;
    struct group_command c;
    arena_init(&a);
    if (group_command_read(w->command, &a, &c) == 0) {
        positions_forget(w->group, &c);
        metrics_add(w->groups->shard->metrics, METRIC_GROUP_EXPIRED_OFFSETS, c.position_count);
    }
    arena_fini(&a);
}

static void expire_group(struct group *g)
{
    struct arena a;
    size_t all;
    struct group_command c = {.type = GROUP_FORGET, .vhost = g->vhost, .name = g->name};
    if (g->refs > 0)
        return; /* something of it is on its way: next time */
    arena_init(&a);
    collect(g, &a, &c, &all);
    bool nothing_left = c.position_count == all && g->state == GROUP_EMPTY && list_empty(&g->pending);
    if (c.position_count > 0)
        group_write_submit(g, &c, NULL, applied, NULL);
    if (nothing_left)
        group_submit_delete(g, NULL, NULL);
    if (c.position_count > 0 || nothing_left)
        say_info("group",
                 nothing_left ? "a group has nothing left and is removed" : "committed offsets are too old",
                 "group=\"%.*s\" offsets=%u", SPAN_ARG(g->name), c.position_count);
    arena_fini(&a);
}

/* Writing may bury groups, so the table must not be walked meanwhile. */
void groups_expire(struct shard *s, struct shard_timer *t)
{
    (void)t;
    struct groups *gs = s->groups;
    struct group **all = mem_alloc((gs->count + 1) * sizeof(struct group *)), *g;
    size_t n = 0;
    for (unsigned i = 0; i < GROUP_LOGS; i++)
        for (size_t k = 0; (g = map_next(&gs->logs[i], &k));)
            all[n++] = g;
    for (size_t i = 0; i < n; i++)
        expire_group(all[i]);
    mem_free(all);
    groups_expire_later(s);
}

void groups_expire_later(struct shard *s)
{
    uint64_t every = s->config->kafka_offsets_retention_check_interval_ms;
    if (every < UINT64_MAX / 2000000) /* else never: it is unlimited */
        shard_timer_set(s, &s->groups->expiry, os_mono_ns() + every * 1000000);
}
