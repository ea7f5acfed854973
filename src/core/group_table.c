/* The groups of a shard: finding, making and burying them; start, snapshots, end. */
#include <assert.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "core/broker.h"
#include "core/group_impl.h"
#include "core/op_impl.h"
#include "core/topic_table.h"

/* Which log a group is in must be the same after every start, so this is no seeded hash. */
unsigned group_log_of(uint32_t vhost, struct span name)
{
    uint8_t id[4] = {(uint8_t)(vhost >> 24), (uint8_t)(vhost >> 16), (uint8_t)(vhost >> 8), (uint8_t)vhost};
    return crc32c_more(crc32c(id, sizeof(id)), name.ptr, name.len) % GROUP_LOGS;
}

/* ---- memory -------------------------------------------------------------------------------------------- */

bool groups_room(const struct groups *gs, size_t bytes)
{
    const struct broker *b = gs->shard->broker;
    return gs->bytes + bytes <= b->config->memory_group_bytes / b->shard_count;
}

void groups_account(struct groups *gs, size_t more, size_t less)
{
    assert(gs->bytes + more >= less);
    gs->bytes += more;
    gs->bytes -= less;
    metrics_gauge_add_at(gs->shard->metrics, METRIC_GROUP_BYTES, 0, (int64_t)more - (int64_t)less);
}

struct span group_keep(struct span s)
{
    return span_is_null(s) ? s : span_of(mem_strndup(s.ptr, s.len), s.len);
}

void group_drop(struct span *s)
{
    mem_free((void *)s->ptr);
    *s = SPAN_NULL;
}

/* ---- groups -------------------------------------------------------------------------------------------- */

static struct span make_key(struct arena *a, uint32_t vhost, struct span name)
{
    uint8_t *key = arena_alloc(a, sizeof(vhost) + name.len);
    memcpy(key, &vhost, sizeof(vhost));
    if (name.len)
        memcpy(key + sizeof(vhost), name.ptr, name.len);
    return span_of(key, sizeof(vhost) + name.len);
}

static struct group *group_find_in(struct groups *gs, uint32_t vhost, struct span name)
{
    struct arena a;
    arena_init(&a);
    struct group *g = map_get(&gs->logs[group_log_of(vhost, name)], make_key(&a, vhost, name));
    arena_fini(&a);
    assert(!g || g->magic == GROUP_MAGIC);
    return g;
}

struct group *group_find(struct groups *gs, const struct actor *actor, struct span name)
{
    return group_find_in(gs, actor->vhost->id, name);
}

/* The key of the table: vhost and name in one run of bytes, of which the name is the end. */
static struct span key_of(const struct group *g)
{
    return span_of(g->name.ptr - sizeof(g->vhost), g->name.len + sizeof(g->vhost));
}

static size_t base_bytes(const struct group *g)
{
    return sizeof(*g) + g->name.len;
}

int group_make(struct groups *gs, uint32_t vhost, struct span name, struct group **ret_group)
{
    const struct broker *b = gs->shard->broker;
    if (gs->count >= b->config->kafka_max_groups / b->shard_count + 1 ||
        !groups_room(gs, sizeof(struct group) + name.len))
        return ERR_LIMIT;
    struct group *g = mem_zalloc(sizeof(*g));
    uint8_t *key = mem_alloc(sizeof(vhost) + name.len);
    memcpy(key, &vhost, sizeof(vhost));
    if (name.len)
        memcpy(key + sizeof(vhost), name.ptr, name.len);
    *g = (struct group){.magic = GROUP_MAGIC,
                        .groups = gs,
                        .vhost = vhost,
                        .name = span_of(key + sizeof(vhost), name.len),
                        .log = group_log_of(vhost, name),
                        .state_ms = gs->shard->now_ms};
    list_init(&g->members);
    list_init(&g->pending);
    map_init(&g->by_id);
    map_init(&g->by_instance);
    map_init(&g->pending_by_id);
    map_init(&g->topics);
    rebalance_init(g);
    map_put(&gs->logs[g->log], key_of(g), g);
    gs->count++;
    metrics_gauge_add_at(gs->shard->metrics, METRIC_GROUPS, 0, 1);
    groups_account(gs, base_bytes(g), 0);
    *ret_group = g;
    return 0;
}

static void group_free(struct group *g)
{
    assert(g->refs == 0 && list_empty(&g->members));
    struct groups *gs = g->groups;
    positions_fini(g);
    groups_account(gs, 0, base_bytes(g) + g->saved.len);
    group_drop(&g->protocol_type);
    group_drop(&g->protocol);
    group_drop(&g->saved);
    map_fini(&g->by_id);
    map_fini(&g->by_instance);
    map_fini(&g->pending_by_id);
    map_fini(&g->topics);
    mem_free((void *)key_of(g).ptr);
    g->magic = 0;
    mem_free(g);
}

static void remove_everybody(struct group *g, int err)
{
    pending_clear(g);
    while (!list_empty(&g->members))
        member_remove(list_entry(list_first(&g->members), struct group_member, link), err);
    shard_timer_cancel(g->groups->shard, &g->rebalance_timer);
    shard_timer_cancel(g->groups->shard, &g->sync_timer);
}

void group_bury(struct group *g)
{
    struct groups *gs = g->groups;
    assert(g->state != GROUP_DEAD);
    remove_everybody(g, ERR_UNKNOWN_MEMBER);
    map_del(&gs->logs[g->log], key_of(g));
    gs->count--;
    metrics_gauge_add_at(gs->shard->metrics, METRIC_GROUPS, 0, -1);
    g->state = GROUP_DEAD;
    if (g->refs == 0)
        group_free(g);
}

void group_ref(struct group *g)
{
    g->refs++;
}

void group_unref(struct group *g)
{
    assert(g->magic == GROUP_MAGIC && g->refs > 0);
    if (--g->refs == 0 && g->state == GROUP_DEAD)
        group_free(g);
}

void group_set_state(struct group *g, enum group_state state)
{
    g->state = state;
    g->state_ms = g->groups->shard->now_ms;
}

const char *group_state_name(enum group_state state)
{
    static const char *const names[] = {
        [GROUP_EMPTY] = "Empty",
        [GROUP_PREPARING] = "PreparingRebalance",
        [GROUP_COMPLETING] = "CompletingRebalance",
        [GROUP_STABLE] = "Stable",
        [GROUP_DEAD] = "Dead",
    };
    return names[state];
}

/* ---- operations ---------------------------------------------------------------------------------------- */

void group_op_send(struct op_group *g, void (*run)(struct shard *here, struct msg *m))
{
    uint64_t log = STORE_COMMAND_LOGS + group_log_of(g->op.actor.vhost->id, g->group);
    op_send(&g->op, op_owner(&g->op, store_shard_of(g->op.home->broker->store, log)), run);
}

void group_op_return(struct shard *s, struct op_group *g, int err)
{
    g->op.err = err;
    op_return(s, &g->op);
}

int group_op_begin(struct shard *s, struct op_group *g, enum auth_action action, bool needs_name)
{
    int err = 0;
    if (s->saving)
        err = ERR_STOPPING;
    else if (span_is_null(g->group) || (needs_name && g->group.len == 0) || g->group.len > GROUP_NAME_MAX)
        err = ERR_GROUP_ID;
    else
        err = auth_check(&g->op.actor, action, AUTH_GROUP, g->group);
    if (err)
        group_op_return(s, g, err);
    return err;
}

struct span group_copy_out(struct op_group *g, struct span s)
{
    return span_is_null(s) ? s : span_of(arena_strndup(&g->arena, s.ptr, s.len), s.len);
}

void op_group_free(struct op_group *g)
{
    if (!g)
        return;
    arena_fini(&g->arena);
    op_free(g);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

void groups_init(struct shard *s)
{
    struct groups *gs = mem_zalloc(sizeof(*gs));
    gs->shard = s;
    for (unsigned i = 0; i < GROUP_LOGS; i++)
        map_init(&gs->logs[i]);
    gs->expiry.fire = groups_expire;
    s->groups = gs;
}

static void next_group(struct groups *gs, void (*fn)(struct group *g))
{
    struct group *g;
    for (unsigned i = 0; i < GROUP_LOGS; i++)
        for (size_t k = 0; (g = map_next(&gs->logs[i], &k));)
            fn(g);
}

static void free_one(struct group *g)
{
    remove_everybody(g, ERR_STOPPING);
    g->refs = 0; /* writes that were never answered went with the journal */
    group_free(g);
}

void groups_fini(struct shard *s)
{
    struct groups *gs = s->groups;
    next_group(gs, free_one);
    for (unsigned i = 0; i < GROUP_LOGS; i++)
        map_fini(&gs->logs[i]);
    mem_free(gs);
    s->groups = NULL;
}

/* Whoever waits would wait in vain, and its connection would not close. Its group goes on as it was: what is
 * on the disk knows nothing of it. */
static void stop_one(struct group *g)
{
    list_each (l, &g->members) {
        struct group_member *m = list_entry(l, struct group_member, link);
        shard_timer_cancel(g->groups->shard, &m->session);
        rebalance_answer_join(m, ERR_STOPPING);
    }
    rebalance_answer_syncs(g, ERR_STOPPING);
    shard_timer_cancel(g->groups->shard, &g->rebalance_timer);
    shard_timer_cancel(g->groups->shard, &g->sync_timer);
    pending_clear(g);
}

void groups_stop(struct shard *s)
{
    if (s->groups->stopped)
        return;
    s->groups->stopped = true;
    shard_timer_cancel(s, &s->groups->expiry);
    next_group(s->groups, stop_one);
}

static void start_one(struct group *g)
{
    list_each (l, &g->members)
        member_touch(list_entry(l, struct group_member, link));
}

void groups_start(struct shard *s)
{
    next_group(s->groups, start_one);
    groups_expire_later(s);
}

/* ---- replay and snapshots ------------------------------------------------------------------------------ */

static int replay_members(struct group *g, const struct group_command *c, struct span bytes)
{
    remove_everybody(g, ERR_UNKNOWN_MEMBER);
    groups_account(g->groups, bytes.len, g->saved.len);
    group_drop(&g->saved);
    g->saved = group_keep(bytes);
    group_drop(&g->protocol_type);
    group_drop(&g->protocol);
    g->protocol_type = group_keep(c->protocol_type);
    g->protocol = group_keep(c->protocol);
    g->generation = c->generation;
    for (uint32_t i = 0; i < c->member_count; i++) {
        struct group_member *m;
        int err = member_restore(g, &c->members[i], c->protocol_type, c->protocol, &m);
        if (err)
            return err;
        if (span_eq(m->id, c->leader))
            g->leader = m;
    }
    g->state = c->member_count ? GROUP_STABLE : GROUP_EMPTY;
    g->state_ms = c->state_ms;
    return 0;
}

static int replay(struct groups *gs, const struct group_command *c, struct span bytes)
{
    struct group *g = group_find_in(gs, c->vhost, c->name);
    int err = 0;
    if (c->type == GROUP_DELETE || c->type == GROUP_FORGET) {
        if (g && c->type == GROUP_DELETE)
            group_bury(g);
        else if (g)
            positions_forget(g, c);
        return 0;
    }
    if (!g)
        err = group_make(gs, c->vhost, c->name, &g);
    if (err) {
        say_error("group", "the limits of groups were lowered below what is stored", "group=\"%.*s\"",
                  SPAN_ARG(c->name));
        return err;
    }
    if (c->type == GROUP_MEMBERS)
        return replay_members(g, c, bytes);
    positions_apply(g, c);
    return 0;
}

int groups_replay(struct shard *s, struct span command)
{
    struct arena a;
    struct group_command c;
    arena_init(&a);
    int err = group_command_read(command, &a, &c);
    if (!err)
        err = replay(s->groups, &c, command);
    else
        err = ERR_CORRUPT;
    arena_fini(&a);
    return err;
}

static int restore_one(void *arg, struct span command)
{
    return groups_replay(arg, command);
}

int groups_restore(struct shard *s, struct span snapshot)
{
    return group_snapshot_read(snapshot, restore_one, s);
}

/* The fold of the log as it stands: positions, and of the members the last command that was appended. */
static void snapshot_one(struct writer *w, struct shard *s, const struct group *g)
{
    struct arena a;
    struct outq q;
    struct writer one;
    arena_init(&a);
    outq_init(&q, &s->output_pool);
    writer_init(&one, &q);
    struct group_command c = {.type = GROUP_POSITIONS, .vhost = g->vhost, .name = g->name};
    positions_command(g, &a, &c);
    group_command_write(&one, &c);
    if (one.err) {
        w->err = one.err;
    } else {
        uint8_t *bytes = arena_alloc(&a, q.len);
        outq_copy_to(&q, bytes);
        group_snapshot_add(w, span_of(bytes, q.len));
    }
    if (!span_is_null(g->saved))
        group_snapshot_add(w, g->saved);
    outq_fini(&q);
    arena_fini(&a);
}

void groups_snapshot(struct shard *s, unsigned log, struct outq *out)
{
    struct writer w;
    struct group *g;
    writer_init(&w, out);
    group_snapshot_begin(&w);
    for (size_t i = 0; (g = map_next(&s->groups->logs[log], &i));)
        snapshot_one(&w, s, g);
    if (w.err)
        outq_fini(out);
}

void groups_topic_gone(struct shard *s, const struct topic_id *id)
{
    struct group *g;
    for (unsigned i = 0; i < GROUP_LOGS; i++)
        for (size_t k = 0; (g = map_next(&s->groups->logs[i], &k));)
            positions_topic_gone(g, id);
}
