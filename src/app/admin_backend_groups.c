/* What the management port asks about consumer groups: their state from the coordinator, ends of partitions
 * from the logs, and both together as lag. */
#include <stdlib.h>

#include "app/admin_backend.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/group.h"

/* ---- lag ----------------------------------------------------------------------------------------------- */

static int compare_offsets(const void *a, const void *b)
{
    const struct admin_offset *x = a, *y = b;
    if (!x->topic || !y->topic)
        return !x->topic - !y->topic;
    int c = span_cmp(x->topic->name, y->topic->name);
    return c ? c : (x->partition > y->partition) - (x->partition < y->partition);
}

static void put_offset(const struct map *topics, const struct group_offset *from, struct admin_offset *to)
{
    to->topic = map_get(topics, span_of(from->topic.bytes, sizeof(from->topic.bytes)));
    to->partition = from->partition;
    to->offset = from->offset;
    to->metadata = from->metadata;
    if (!to->topic || from->partition >= to->topic->partition_count)
        return;
    const struct admin_partition *p = &to->topic->partitions[from->partition];
    uint64_t at = from->offset > (int64_t)p->start ? (uint64_t)from->offset : p->start;
    to->start = p->start;
    to->end = p->end;
    to->lag = at < p->end ? p->end - at : 0;
}

/* Positions with their lag, in call's arena. The map has call->topics by id. */
static void put_offsets(struct admin_call *call, const struct map *topics, const struct group_offset *from,
                        uint32_t count, struct admin_group *to)
{
    struct admin_offset *all = arena_array(&call->arena, (size_t)count + 1, sizeof(*all));
    for (uint32_t i = 0; i < count; i++) {
        put_offset(topics, &from[i], &all[i]);
        to->lag += all[i].lag;
    }
    qsort(all, count, sizeof(*all), compare_offsets);
    to->offsets = all;
    to->offset_count = count;
}

static void map_topics(const struct admin_call *call, struct map *ret)
{
    map_init(ret);
    for (size_t i = 0; i < call->topic_count; i++)
        map_put(ret, span_of(call->topics[i].id, sizeof(call->topics[i].id)), (void *)&call->topics[i]);
}

static void with_all_topics(struct admin_call *call, void (*next)(struct admin_call *call))
{
    size_t count;
    struct topic **topics = topic_list(call->shard, &call->actor, &call->arena, &count);
    admin_gather_topics(call, topics, count, next);
}

/* ---- list ---------------------------------------------------------------------------------------------- */

/* The operations stay until the answer is out: names and metadata lie in their arenas. */
struct listing {
    struct admin_call *call;
    struct op_group_list **ops;
    unsigned count, waiting;
};

static int compare_groups(const void *a, const void *b)
{
    return span_cmp(((const struct admin_group *)a)->name, ((const struct admin_group *)b)->name);
}

static struct span keep(struct arena *a, struct span s)
{
    return span_is_null(s) ? s : span_of(arena_copy(a, s.ptr, s.len), s.len);
}

static void put_listed(struct admin_call *call, const struct map *topics, const struct group_listed *from,
                       struct admin_group *to)
{
    to->name = keep(&call->arena, from->name);
    to->protocol_type = keep(&call->arena, from->protocol_type);
    to->state = group_state_name(from->state);
    to->member_count = from->members;
    for (uint32_t i = 0; i < from->offset_count; i++)
        from->offsets[i].metadata = SPAN_NULL; /* not told in lists */
    put_offsets(call, topics, from->offsets, from->offset_count, to);
}

static void end_listing(struct listing *l)
{
    struct admin_call *call = l->call;
    struct map topics;
    size_t n = 0, at = 0;
    map_topics(call, &topics);
    for (unsigned i = 0; i < l->count; i++) {
        n += l->ops[i]->ret_count;
        if (l->ops[i]->g.op.err)
            call->err = l->ops[i]->g.op.err;
    }
    struct admin_group *all = arena_array(&call->arena, n + 1, sizeof(*all));
    for (unsigned i = 0; i < l->count; i++)
        for (uint32_t k = 0; k < l->ops[i]->ret_count; k++)
            put_listed(call, &topics, &l->ops[i]->ret_groups[k], &all[at++]);
    map_fini(&topics);
    qsort(all, n, sizeof(*all), compare_groups);
    call->groups = all;
    call->group_count = n;
    for (unsigned i = 0; i < l->count; i++)
        op_group_free(&l->ops[i]->g);
    call->done(call);
}

static void listed(struct conn *c, struct op *op)
{
    struct listing *l = op->user;
    (void)c;
    if (--l->waiting == 0)
        end_listing(l);
}

static void list_groups(struct admin_call *call)
{
    struct broker *b = call->shard->broker;
    struct listing *l = arena_alloc(&call->arena, sizeof(*l));
    *l = (struct listing){call, arena_array(&call->arena, b->shard_count, sizeof(struct op_group_list *)),
                          b->shard_count, b->shard_count};
    for (unsigned i = 0; i < b->shard_count; i++) {
        l->ops[i] = op_new_internal(call->shard, sizeof(struct op_group_list), listed, l);
        l->ops[i]->g.op.actor = call->actor;
        l->ops[i]->shard = i;
        l->ops[i]->with_offsets = true;
    }
    for (unsigned i = 0; i < b->shard_count; i++)
        op_group_list_submit(l->ops[i]);
}

void admin_list_groups(struct admin_call *call)
{
    with_all_topics(call, list_groups);
}

/* ---- describe ------------------------------------------------------------------------------------------ */

static void put_member(struct arena *a, const struct group_member_info *from, struct group_member_info *to)
{
    *to = (struct group_member_info){.id = keep(a, from->id),
                                     .instance_id = keep(a, from->instance_id),
                                     .client_id = keep(a, from->client_id),
                                     .client_host = keep(a, from->client_host),
                                     .metadata = keep(a, from->metadata),
                                     .assignment = keep(a, from->assignment)};
}

static void described(struct conn *c, struct op *op)
{
    struct op_group_describe *d = container_of(op, struct op_group_describe, g.op);
    struct admin_call *call = op->user;
    struct admin_group *to = (struct admin_group *)call->groups;
    (void)c;
    call->err = op->err;
    if (op->err == ERR_NO_GROUP)
        call->reason = "there is no such group";
    to->state = group_state_name(d->ret_state);
    to->generation = d->ret_generation;
    to->protocol_type = keep(&call->arena, d->ret_protocol_type);
    to->protocol = keep(&call->arena, d->ret_protocol);
    to->member_count = d->ret_member_count;
    struct group_member_info *members =
        arena_array(&call->arena, (size_t)d->ret_member_count + 1, sizeof(*members));
    for (uint32_t i = 0; i < d->ret_member_count; i++)
        put_member(&call->arena, &d->ret_members[i], &members[i]);
    to->members = members;
    op_group_free(&d->g);
    call->done(call);
}

static void positions_known(struct conn *c, struct op *op)
{
    struct op_group_offsets *o = container_of(op, struct op_group_offsets, g.op);
    struct admin_call *call = op->user;
    int err = op->err;
    struct map topics;
    (void)c;
    struct admin_group *to = arena_alloc(&call->arena, sizeof(*to));
    to->name = call->name;
    map_topics(call, &topics);
    for (uint32_t i = 0; i < o->count; i++)
        o->offsets[i].metadata = keep(&call->arena, o->offsets[i].metadata);
    put_offsets(call, &topics, o->offsets, o->count, to);
    map_fini(&topics);
    call->groups = to;
    call->group_count = 1;
    op_group_free(&o->g);
    if (err) {
        admin_fail(call, err);
        return;
    }
    struct op_group_describe *d = op_new_internal(call->shard, sizeof(*d), described, call);
    d->g.op.actor = call->actor;
    d->g.group = call->name;
    op_group_describe_submit(d);
}

static void ask_positions(struct admin_call *call)
{
    struct op_group_offsets *o = op_new_internal(call->shard, sizeof(*o), positions_known, call);
    o->g.op.actor = call->actor;
    o->g.group = call->name;
    o->all = true;
    op_group_offsets_submit(o);
}

void admin_describe_group(struct admin_call *call)
{
    with_all_topics(call, ask_positions);
}

/* ---- reset --------------------------------------------------------------------------------------------- */

struct resetting {
    struct admin_call *call;
    struct topic_id topic;
    struct group_offset *offsets;
    uint32_t count, waiting;
    int err;
};

static void committed(struct conn *c, struct op *op)
{
    struct resetting *r = op->user;
    struct admin_call *call = r->call;
    int err = op->err;
    (void)c;
    op_group_free(&container_of(op, struct op_group_commit, g.op)->g);
    if (err == ERR_UNKNOWN_MEMBER) { /* that it is none of the members is why it may not commit */
        call->reason = "the group has members: stop its consumers first";
        err = ERR_GROUP_NOT_EMPTY;
    }
    if (err)
        admin_fail(call, err);
    else
        admin_describe_group(call);
}

static void commit(struct resetting *r)
{
    struct op_group_commit *o = op_new_internal(r->call->shard, sizeof(*o), committed, r);
    o->g.op.actor = r->call->actor;
    o->g.group = r->call->name;
    o->generation = -1;
    o->member_id = span_of("", 0);
    o->retention_ms = -1;
    o->offsets = r->offsets;
    o->count = r->count;
    op_group_commit_submit(o);
}

static void found_time(struct conn *c, struct op *op)
{
    struct op_offsets *o = container_of(op, struct op_offsets, op);
    struct resetting *r = op->user;
    const struct admin_topic *t = r->call->topics;
    (void)c;
    if (op->err || o->items[0].err)
        r->err = op->err ? op->err : o->items[0].err;
    struct group_offset *to = &r->offsets[o->items[0].tag];
    to->offset = o->items[0].offset >= 0 ? o->items[0].offset : (int64_t)t->partitions[to->partition].end;
    op_offsets_free(o);
    if (--r->waiting > 0)
        return;
    if (r->err)
        admin_fail(r->call, r->err);
    else
        commit(r);
}

/* Nothing as new as that: the end. */
static void find_times(struct resetting *r, const struct topic *t)
{
    r->waiting = r->count;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct topic_partition *p = &t->partitions[r->offsets[i].partition];
        struct op_offsets *o = op_new_internal(r->call->shard, sizeof(*o), found_time, r);
        o->op.actor = r->call->actor;
        o->shard = p->shard;
        o->items = mem_zalloc(sizeof(*o->items));
        o->items[0] = (struct offset_item){
            .log_id = p->log_id, .timestamp = r->call->reset.value, .leader_epoch = -1, .tag = i};
        o->count = 1;
        op_offsets_submit(o);
    }
}

static bool choose_offset(const struct admin_reset *how, const struct admin_partition *p, int64_t *ret)
{
    switch (how->to) {
    case ADMIN_TO_EARLIEST:
        *ret = (int64_t)p->start;
        return true;
    case ADMIN_TO_LATEST:
        *ret = (int64_t)p->end;
        return true;
    default:
        *ret = how->value;
        return how->value >= (int64_t)p->start && how->value <= (int64_t)p->end;
    }
}

/* The ends of the topic's partitions are known. */
static void resolve(struct admin_call *call)
{
    const struct admin_reset *how = &call->reset;
    const struct admin_topic *from = &call->topics[0];
    struct topic *t;
    int err = topic_find(call->shard, &call->actor, AUTH_READ, how->topic, &t);
    if (!err && how->partition >= (int32_t)from->partition_count)
        err = ERR_NOT_FOUND;
    if (err) {
        call->reason = "there is no such partition";
        admin_fail(call, err);
        return;
    }
    struct resetting *r = arena_alloc(&call->arena, sizeof(*r));
    *r = (struct resetting){.call = call, .topic = t->id};
    r->offsets = arena_array(&call->arena, from->partition_count, sizeof(*r->offsets));
    for (uint32_t i = 0; i < from->partition_count; i++) {
        if (how->partition >= 0 && (uint32_t)how->partition != i)
            continue;
        struct group_offset *to = &r->offsets[r->count++];
        *to = (struct group_offset){.topic = t->id, .partition = i, .leader_epoch = -1};
        if (how->to != ADMIN_TO_TIME && !choose_offset(how, &from->partitions[i], &to->offset)) {
            call->reason = "the offset is outside the log of a partition";
            admin_fail(call, ERR_OFFSET_RANGE);
            return;
        }
    }
    if (how->to == ADMIN_TO_TIME)
        find_times(r, t);
    else
        commit(r);
}

void admin_reset_group(struct admin_call *call)
{
    struct topic *t;
    int err = topic_find(call->shard, &call->actor, AUTH_READ, call->reset.topic, &t);
    if (err) {
        call->reason = err == ERR_NOT_FOUND ? "there is no such topic" : NULL;
        admin_fail(call, err);
        return;
    }
    admin_gather_topics(call, &t, 1, resolve);
}

/* ---- delete -------------------------------------------------------------------------------------------- */

static void deleted(struct conn *c, struct op *op)
{
    struct admin_call *call = op->user;
    (void)c;
    call->err = op->err;
    op_group_free(&container_of(op, struct op_group_delete, g.op)->g);
    call->done(call);
}

void admin_delete_group(struct admin_call *call)
{
    struct op_group_delete *d = op_new_internal(call->shard, sizeof(*d), deleted, call);
    d->g.op.actor = call->actor;
    d->g.group = call->name;
    op_group_delete_submit(d);
}
