/* Positions: what a group has committed, topic by topic. */
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/group_impl.h"
#include "core/op_impl.h"
#include "core/topic_table.h"

/* ---- the table ----------------------------------------------------------------------------------------- */

static struct span id_key(const struct topic_id *id)
{
    return span_of(id->bytes, sizeof(id->bytes));
}

static size_t find_place(const struct group_topic *t, uint32_t partition)
{
    size_t lo = 0, hi = t->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (t->positions[mid].partition < partition)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct group_position *find(const struct group *g, const struct topic_id *id, uint32_t partition)
{
    const struct group_topic *t = map_get(&g->topics, id_key(id));
    if (!t)
        return NULL;
    size_t i = find_place(t, partition);
    return i < t->count && t->positions[i].partition == partition ? &t->positions[i] : NULL;
}

static struct group_topic *make_topic(struct group *g, const struct topic_id *id)
{
    struct group_topic *t = map_get(&g->topics, id_key(id));
    if (t)
        return t;
    t = mem_zalloc(sizeof(*t));
    t->id = *id;
    map_put(&g->topics, id_key(&t->id), t);
    groups_account(g->groups, sizeof(*t), 0);
    return t;
}

static struct group_position *make(struct group *g, const struct topic_id *id, uint32_t partition)
{
    struct group_topic *t = make_topic(g, id);
    size_t i = find_place(t, partition);
    if (i < t->count && t->positions[i].partition == partition)
        return &t->positions[i];
    if (t->count == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 1;
        t->positions = mem_realloc(t->positions, t->cap * sizeof(*t->positions));
    }
    memmove(&t->positions[i + 1], &t->positions[i], (t->count - i) * sizeof(*t->positions));
    t->positions[i] = (struct group_position){.partition = partition};
    t->count++;
    groups_account(g->groups, sizeof(*t->positions), 0);
    return &t->positions[i];
}

static void drop_metadata(struct group *g, struct group_position *p)
{
    groups_account(g->groups, 0, p->metadata_len);
    mem_free(p->metadata);
    p->metadata = NULL;
    p->metadata_len = 0;
}

static void free_topic(struct group *g, struct group_topic *t)
{
    for (uint32_t i = 0; i < t->count; i++)
        drop_metadata(g, &t->positions[i]);
    groups_account(g->groups, 0, sizeof(*t) + t->count * sizeof(*t->positions));
    mem_free(t->positions);
    mem_free(t);
}

static void drop(struct group *g, const struct topic_id *id, uint32_t partition)
{
    struct group_topic *t = map_get(&g->topics, id_key(id));
    struct group_position *p = find(g, id, partition);
    if (!p)
        return;
    drop_metadata(g, p);
    size_t i = (size_t)(p - t->positions);
    memmove(p, p + 1, (t->count - i - 1) * sizeof(*p));
    t->count--;
    groups_account(g->groups, 0, sizeof(*p));
    if (t->count == 0) {
        map_del(&g->topics, id_key(id));
        free_topic(g, t);
    }
}

void positions_fini(struct group *g)
{
    struct group_topic *t;
    for (size_t i = 0; (t = map_next(&g->topics, &i));)
        free_topic(g, t);
    map_fini(&g->topics);
    map_init(&g->topics);
}

void positions_topic_gone(struct group *g, const struct topic_id *id)
{
    struct group_topic *t = map_del(&g->topics, id_key(id));
    if (t)
        free_topic(g, t);
}

static int compare_topics(const void *a, const void *b)
{
    return memcmp((*(struct group_topic *const *)a)->id.bytes, (*(struct group_topic *const *)b)->id.bytes,
                  sizeof((struct topic_id *)0)->bytes);
}

struct group_topic **positions_sorted(const struct group *g, struct arena *a, size_t *ret_count)
{
    struct group_topic **all = arena_array(a, g->topics.count + 1, sizeof(struct group_topic *)), *t;
    *ret_count = 0;
    for (size_t i = 0; (t = map_next(&g->topics, &i));)
        all[(*ret_count)++] = t;
    qsort(all, *ret_count, sizeof(struct group_topic *), compare_topics);
    return all;
}

/* ---- the fold ------------------------------------------------------------------------------------------ */

/* Live and at a start alike. A position in a topic that is gone is dropped: nobody can ask for it. */
void positions_apply(struct group *g, const struct group_command *c)
{
    for (uint32_t i = 0; i < c->position_count; i++) {
        const struct group_command_position *from = &c->positions[i];
        if (!topic_table_find_id(g->groups->shard, &from->topic))
            continue;
        struct group_position *p = make(g, &from->topic, from->partition);
        drop_metadata(g, p);
        p->offset = from->offset;
        p->leader_epoch = from->leader_epoch;
        p->commit_ms = from->commit_ms;
        p->expire_ms = from->expire_ms;
        if (from->metadata.len) {
            p->metadata = mem_strndup(from->metadata.ptr, from->metadata.len);
            p->metadata_len = (uint32_t)from->metadata.len;
            groups_account(g->groups, p->metadata_len, 0);
        }
    }
}

void positions_forget(struct group *g, const struct group_command *c)
{
    for (uint32_t i = 0; i < c->position_count; i++)
        drop(g, &c->positions[i].topic, c->positions[i].partition);
}

static uint32_t count_positions(const struct group *g)
{
    uint32_t n = 0;
    const struct group_topic *t;
    for (size_t i = 0; (t = map_next(&g->topics, &i));)
        n += t->count;
    return n;
}

void positions_command(const struct group *g, struct arena *a, struct group_command *c)
{
    size_t topics;
    struct group_topic **all = positions_sorted(g, a, &topics);
    c->positions = arena_array(a, count_positions(g) + 1, sizeof(*c->positions));
    for (size_t i = 0; i < topics; i++) {
        for (uint32_t k = 0; k < all[i]->count; k++) {
            const struct group_position *p = &all[i]->positions[k];
            c->positions[c->position_count++] = (struct group_command_position){
                .topic = all[i]->id,
                .partition = p->partition,
                .leader_epoch = p->leader_epoch,
                .offset = p->offset,
                .commit_ms = p->commit_ms,
                .expire_ms = p->expire_ms,
                .metadata = span_of(p->metadata ? p->metadata : "", p->metadata_len)};
        }
    }
}

/* ---- commit -------------------------------------------------------------------------------------------- */

/* ClassicGroup.validateOffsetCommit() */
static int check_committer(struct group *g, const struct op_group_commit *c)
{
    struct group_member *m = NULL;
    bool anonymous = c->generation < 0 && c->member_id.len == 0 && span_is_null(c->instance_id);
    if (c->generation < 0 && g->state == GROUP_EMPTY)
        return 0; /* who assigns itself its partitions */
    if (anonymous)
        return ERR_UNKNOWN_MEMBER;
    int err = member_validate(g, c->member_id, c->instance_id, &m);
    if (err)
        return err;
    if (c->generation != g->generation)
        return ERR_GENERATION;
    if (g->state == GROUP_COMPLETING)
        return ERR_REBALANCING; /* it has the new generation, but not its part in it */
    member_touch(m);
    return 0;
}

static int64_t expires_at(int64_t now_ms, int64_t retention_ms)
{
    return retention_ms < 0 || retention_ms > INT64_MAX - now_ms ? -1 : now_ms + retention_ms;
}

static size_t gather(struct shard *s, struct op_group_commit *o, struct arena *a, struct group_command *c)
{
    size_t bytes = 0;
    c->positions = arena_array(a, o->count + 1, sizeof(*c->positions));
    for (uint32_t i = 0; i < o->count; i++) {
        struct group_offset *p = &o->offsets[i];
        if (!p->err && p->metadata.len > s->config->kafka_offset_metadata_max_bytes)
            p->err = ERR_METADATA_TOO_LARGE;
        if (p->err)
            continue;
        c->positions[c->position_count++] = (struct group_command_position){
            .topic = p->topic,
            .partition = p->partition,
            .leader_epoch = p->leader_epoch,
            .offset = p->offset,
            .commit_ms = s->now_ms,
            .expire_ms = expires_at(s->now_ms, o->retention_ms),
            .metadata = span_is_null(p->metadata) ? span_of("", 0) : p->metadata,
        };
        bytes += sizeof(struct group_position) + p->metadata.len;
    }
    return bytes;
}

/* Memory changes through the bytes of the command, as it will at the next start. */
static void apply_written(struct group_write *w)
{
    struct arena a;
    struct group_command c;
    arena_init(&a);
    int err = group_command_read(w->command, &a, &c);
    if (!err && c.type == GROUP_POSITIONS)
        positions_apply(w->group, &c);
    else if (!err && c.type == GROUP_FORGET)
        positions_forget(w->group, &c);
    metrics_add(w->groups->shard->metrics, METRIC_GROUP_COMMITS,
                c.type == GROUP_POSITIONS ? c.position_count : 0);
    arena_fini(&a);
}

static int find_for_commit(struct shard *s, const struct op_group_commit *o, struct group **ret)
{
    *ret = group_find(s->groups, &o->g.op.actor, o->g.group);
    if (*ret)
        return check_committer(*ret, o);
    if (o->generation >= 0)
        return ERR_NO_GROUP;
    return group_make(s->groups, o->g.op.actor.vhost->id, o->g.group, ret);
}

static void start_commit(struct shard *s, struct msg *msg)
{
    struct op_group_commit *o = container_of(msg, struct op_group_commit, g.op.msg);
    struct group *g;
    if (group_op_begin(s, &o->g, AUTH_READ, false))
        return;
    struct group_command c = {.type = GROUP_POSITIONS, .vhost = o->g.op.actor.vhost->id, .name = o->g.group};
    size_t bytes = gather(s, o, &o->g.arena, &c);
    int err = groups_room(s->groups, bytes) ? find_for_commit(s, o, &g) : ERR_LIMIT;
    if (err || c.position_count == 0)
        group_op_return(s, &o->g, err);
    else if (o->generation >= 0)
        group_write_submit_fenced(g, &c, &o->g.op, apply_written, group_write_answer);
    else
        group_write_submit(g, &c, &o->g.op, apply_written, group_write_answer);
}

void op_group_commit_submit(struct op_group_commit *c)
{
    group_op_send(&c->g, start_commit);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static void show(struct op_group *o, struct group_offset *to, const struct group_position *p)
{
    to->offset = p ? p->offset : -1;
    to->leader_epoch = p ? p->leader_epoch : -1;
    to->metadata =
        group_copy_out(o, p ? span_of(p->metadata ? p->metadata : "", p->metadata_len) : span_of("", 0));
}

struct group_offset *positions_show(struct op_group *o, const struct group *g, uint32_t *ret_count)
{
    size_t topics;
    struct group_topic **all = positions_sorted(g, &o->arena, &topics);
    struct group_offset *to = arena_array(&o->arena, count_positions(g) + 1, sizeof(*to));
    uint32_t n = 0;
    for (size_t i = 0; i < topics; i++) {
        for (uint32_t k = 0; k < all[i]->count; k++, n++) {
            to[n].topic = all[i]->id;
            to[n].partition = all[i]->positions[k].partition;
            show(o, &to[n], &all[i]->positions[k]);
        }
    }
    *ret_count = n;
    return to;
}

static void offsets_durable(struct store_wait *w, int err)
{
    struct op_group_offsets *o = container_of(w, struct op_group_offsets, wait);
    group_op_return(o->owner, &o->g, err);
}

/* What is shown may have been appended in this turn only: it is told when it is durable. */
static void start_offsets(struct shard *s, struct msg *msg)
{
    struct op_group_offsets *o = container_of(msg, struct op_group_offsets, g.op.msg);
    if (group_op_begin(s, &o->g, AUTH_DESCRIBE, false))
        return;
    const struct group *g = group_find(s->groups, &o->g.op.actor, o->g.group);
    if (o->all && g)
        o->offsets = positions_show(&o->g, g, &o->count);
    for (uint32_t i = 0; i < o->count && !o->all; i++)
        show(&o->g, &o->offsets[i], g ? find(g, &o->offsets[i].topic, o->offsets[i].partition) : NULL);
    o->owner = s;
    o->wait.done = offsets_durable;
    store_wait(s->store, &o->wait);
    shard_appended(s);
}

void op_group_offsets_submit(struct op_group_offsets *o)
{
    group_op_send(&o->g, start_offsets);
}

/* ---- forgetting ---------------------------------------------------------------------------------------- */

bool group_is_subscribed(const struct group *g, struct span topic)
{
    list_each (l, &g->members) {
        const struct group_member *m = list_entry(l, struct group_member, link);
        for (uint32_t i = 0; i < m->topic_count; i++)
            if (span_eq(m->topics[i], topic))
                return true;
    }
    return false;
}

/* ClassicGroup.validateOffsetDelete(): what members are subscribed to is only known of consumers. */
static int check_forget(const struct group *g)
{
    if (!g)
        return ERR_NO_GROUP;
    return g->state != GROUP_EMPTY && !span_eq_str(g->protocol_type, "consumer") ? ERR_GROUP_NOT_EMPTY : 0;
}

static void choose(struct shard *s, const struct group *g, struct op_group_forget *f, struct group_command *c)
{
    c->positions = arena_array(&f->g.arena, f->count + 1, sizeof(*c->positions));
    for (uint32_t i = 0; i < f->count; i++) {
        struct group_offset *p = &f->offsets[i];
        const struct topic *t = topic_table_find_id(s, &p->topic);
        if (!p->err && t && group_is_subscribed(g, span_of(t->name, t->name_len)))
            p->err = ERR_GROUP_SUBSCRIBED;
        if (!p->err && find(g, &p->topic, p->partition))
            c->positions[c->position_count++] =
                (struct group_command_position){.topic = p->topic, .partition = p->partition};
    }
}

static void start_forget(struct shard *s, struct msg *msg)
{
    struct op_group_forget *f = container_of(msg, struct op_group_forget, g.op.msg);
    if (group_op_begin(s, &f->g, AUTH_CONFIGURE, false))
        return;
    struct group *g = group_find(s->groups, &f->g.op.actor, f->g.group);
    int err = check_forget(g);
    struct group_command c = {.type = GROUP_FORGET, .vhost = f->g.op.actor.vhost->id, .name = f->g.group};
    if (!err)
        choose(s, g, f, &c);
    if (err || c.position_count == 0)
        group_op_return(s, &f->g, err);
    else
        group_write_submit(g, &c, &f->g.op, apply_written, group_write_answer);
}

void op_group_forget_submit(struct op_group_forget *f)
{
    group_op_send(&f->g, start_forget);
}
