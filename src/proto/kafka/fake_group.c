/* The fake core's groups: canned answers, no coordinator. Every group has one member, generation 1, and a
 * position for each partition: its number. What a group's name begins with can make an operation fail, so
 * that the fuzzer gets to see errors: "!" and a letter. Input is read when the operation runs, so that a
 * sanitizer sees bytes that did not live long enough. */
#include "base/crc32c.h"
#include "base/err.h"
#include "proto/kafka/fake_core.h"

static const int errors[] = {
    ERR_DENIED,         ERR_GROUP_ID,        ERR_STOPPING,       ERR_MEMBER_ID_REQUIRED, ERR_NO_GROUP,
    ERR_UNKNOWN_MEMBER, ERR_FENCED_INSTANCE, ERR_GROUP_PROTOCOL, ERR_GENERATION,         ERR_SESSION_TIMEOUT,
    ERR_GROUP_FULL,     ERR_REBALANCING,     ERR_LIMIT,          ERR_GROUP_NOT_EMPTY,    ERR_NO_SPACE,
};

static void touch(struct span s)
{
    (void)crc32c(s.ptr, s.len);
}

static int named_error(struct span group)
{
    if (group.len < 2 || group.ptr[0] != '!')
        return 0;
    return errors[group.ptr[1] % (sizeof(errors) / sizeof(errors[0]))];
}

/* The hook or an error answers. */
static bool answered(struct fake_core *core, struct op *op)
{
    struct op_group *g = (struct op_group *)op;
    touch(g->group);
    if (core->group_hook) {
        core->group_hook(g);
        return true;
    }
    op->err = core->group_err ? core->group_err : named_error(g->group);
    return op->err != 0;
}

static struct span text(struct op_group *g, const char *s)
{
    return span_str(arena_strndup(&g->arena, s, strlen(s)));
}

static struct span copy(struct op_group *g, struct span s)
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

const char *group_state_name(enum group_state state)
{
    static const char *const names[] = {"Empty", "PreparingRebalance", "CompletingRebalance", "Stable",
                                        "Dead"};
    return names[state];
}

/* ---- membership --------------------------------------------------------------------------------------- */

static void touch_join(const struct op_group_join *j)
{
    touch(j->member_id);
    touch(j->instance_id);
    touch(j->client_id);
    touch(j->client_host);
    touch(j->protocol_type);
    for (uint32_t i = 0; i < j->protocol_count; i++) {
        touch(j->protocols[i].name);
        touch(j->protocols[i].metadata);
    }
    for (uint32_t i = 0; i < j->topic_count; i++)
        touch(j->topics[i]);
}

static void run_join(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_group_join *j = (struct op_group_join *)op;
    *ret_done = true;
    touch_join(j);
    j->ret_generation = -1;
    j->ret_member_id = text(&j->g, "m1");
    if (answered(core, op))
        return;
    if (j->needs_known_id && j->member_id.len == 0)
        op->err = ERR_MEMBER_ID_REQUIRED;
    else if (j->protocol_count == 0)
        op->err = ERR_GROUP_PROTOCOL;
    if (op->err)
        return;
    j->ret_generation = 1;
    j->ret_protocol_type = copy(&j->g, j->protocol_type);
    j->ret_protocol = copy(&j->g, j->protocols[0].name);
    j->ret_leader = text(&j->g, "m1");
    j->ret_skip_assignment = j->can_skip;
    j->ret_member_count = 1;
    j->ret_members = arena_array(&j->g.arena, 1, sizeof(*j->ret_members));
    j->ret_members[0] = (struct group_joined){j->ret_member_id, copy(&j->g, j->instance_id),
                                              copy(&j->g, j->protocols[0].metadata)};
}

void op_group_join_submit(struct op_group_join *j)
{
    fake_submit(&j->g.op, run_join);
}

static void run_sync(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_group_sync *s = (struct op_group_sync *)op;
    *ret_done = true;
    for (uint32_t i = 0; i < s->assignment_count; i++) {
        touch(s->assignments[i].member_id);
        touch(s->assignments[i].bytes);
    }
    if (answered(core, op))
        return;
    s->ret_protocol_type = copy(&s->g, s->protocol_type);
    s->ret_protocol = copy(&s->g, s->protocol);
    s->ret_assignment = s->assignment_count ? copy(&s->g, s->assignments[0].bytes) : SPAN_NULL;
}

void op_group_sync_submit(struct op_group_sync *s)
{
    fake_submit(&s->g.op, run_sync);
}

static void run_heartbeat(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_group_heartbeat *h = (struct op_group_heartbeat *)op;
    *ret_done = true;
    touch(h->member_id);
    touch(h->instance_id);
    if (!answered(core, op))
        op->err = h->generation == 1 ? 0 : ERR_GENERATION;
}

void op_group_heartbeat_submit(struct op_group_heartbeat *h)
{
    fake_submit(&h->g.op, run_heartbeat);
}

static void run_leave(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_group_leave *l = (struct op_group_leave *)op;
    *ret_done = true;
    for (uint32_t i = 0; i < l->count; i++) {
        touch(l->leavers[i].member_id);
        touch(l->leavers[i].instance_id);
    }
    if (answered(core, op))
        return;
    for (uint32_t i = 0; i < l->count; i++)
        l->leavers[i].err = span_eq_str(l->leavers[i].member_id, "m1") ? 0 : ERR_UNKNOWN_MEMBER;
}

void op_group_leave_submit(struct op_group_leave *l)
{
    fake_submit(&l->g.op, run_leave);
}

/* ---- positions ---------------------------------------------------------------------------------------- */

enum { METADATA_MAX = 4096 };

static void run_commit(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_group_commit *c = (struct op_group_commit *)op;
    *ret_done = true;
    if (answered(core, op))
        return;
    for (uint32_t i = 0; i < c->count; i++) {
        touch(c->offsets[i].metadata);
        if (!c->offsets[i].err && c->offsets[i].metadata.len > METADATA_MAX)
            c->offsets[i].err = ERR_METADATA_TOO_LARGE;
    }
}

void op_group_commit_submit(struct op_group_commit *c)
{
    fake_submit(&c->g.op, run_commit);
}

/* Two topics: the first that the fake core made, and one that is gone. */
static void make_positions(struct op_group_offsets *o)
{
    o->count = 4;
    o->offsets = arena_array(&o->g.arena, o->count, sizeof(*o->offsets));
    for (uint32_t i = 0; i < o->count; i++) {
        o->offsets[i].partition = i % 2;
        memset(o->offsets[i].topic.bytes, i < 2 ? 1 : 0xee, sizeof(o->offsets[i].topic.bytes));
    }
}

static void run_offsets(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_group_offsets *o = (struct op_group_offsets *)op;
    *ret_done = true;
    if (answered(core, op))
        return;
    if (o->all)
        make_positions(o);
    for (uint32_t i = 0; i < o->count; i++) {
        o->offsets[i].offset = o->offsets[i].partition;
        o->offsets[i].leader_epoch = 3;
        o->offsets[i].metadata = text(&o->g, "said");
    }
}

void op_group_offsets_submit(struct op_group_offsets *o)
{
    fake_submit(&o->g.op, run_offsets);
}

static void run_forget(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_group_forget *f = (struct op_group_forget *)op;
    *ret_done = true;
    if (answered(core, op))
        return;
    for (uint32_t i = 0; i < f->count; i++)
        f->offsets[i].err = f->offsets[i].partition == 1 ? ERR_GROUP_SUBSCRIBED : 0;
}

void op_group_forget_submit(struct op_group_forget *f)
{
    fake_submit(&f->g.op, run_forget);
}

/* ---- administration ----------------------------------------------------------------------------------- */

static void run_describe(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_group_describe *d = (struct op_group_describe *)op;
    *ret_done = true;
    if (answered(core, op))
        return;
    d->ret_state = GROUP_STABLE;
    d->ret_generation = 1;
    d->ret_protocol_type = text(&d->g, "consumer");
    d->ret_protocol = text(&d->g, "range");
    d->ret_member_count = 1;
    d->ret_members = arena_array(&d->g.arena, 1, sizeof(*d->ret_members));
    d->ret_members[0] = (struct group_member_info){
        .id = text(&d->g, "m1"),
        .instance_id = span_eq_str(d->g.group, "static") ? text(&d->g, "i1") : SPAN_NULL,
        .client_id = text(&d->g, "client"),
        .client_host = text(&d->g, "/127.0.0.1"),
        .metadata = text(&d->g, "metadata"),
        .assignment = text(&d->g, "assignment")};
}

void op_group_describe_submit(struct op_group_describe *d)
{
    fake_submit(&d->g.op, run_describe);
}

/* Each shard has two groups: "s<shard>" with members, and "e<shard>" without. */
static void run_list(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_group_list *l = (struct op_group_list *)op;
    *ret_done = true;
    if (answered(core, op))
        return;
    l->ret_count = 2;
    l->ret_groups = arena_array(&l->g.arena, 2, sizeof(*l->ret_groups));
    l->ret_groups[0] = (struct group_listed){span_str(arena_printf(&l->g.arena, "s%u", l->shard)),
                                             text(&l->g, "consumer"), GROUP_STABLE, 1};
    l->ret_groups[1] = (struct group_listed){span_str(arena_printf(&l->g.arena, "e%u", l->shard)), SPAN_NULL,
                                             GROUP_EMPTY, 0};
}

void op_group_list_submit(struct op_group_list *l)
{
    fake_submit(&l->g.op, run_list);
}

static void run_delete(struct fake_core *core, struct op *op, bool *ret_done)
{
    *ret_done = true;
    answered(core, op);
}

void op_group_delete_submit(struct op_group_delete *d)
{
    fake_submit(&d->g.op, run_delete);
}
