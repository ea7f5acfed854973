/* Commands on their way to a group's log: appended in the order of submission, then durable. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/group_impl.h"
#include "core/op_impl.h"

static int encode(struct shard *s, const struct group_command *c, struct span *ret)
{
    struct outq q;
    struct writer w;
    outq_init(&q, &s->output_pool);
    writer_init(&w, &q);
    group_command_write(&w, c);
    uint8_t *bytes = w.err ? NULL : mem_try(q.len);
    if (bytes)
        outq_copy_to(&q, bytes);
    *ret = span_of(bytes, bytes ? q.len : 0);
    outq_fini(&q);
    return bytes ? 0 : ERR_NO_MEMORY;
}

static void write_free(struct group_write *w)
{
    group_unref(w->group);
    mem_free((void *)w->command.ptr);
    mem_free(w);
}

static void durable(struct store_wait *sw, int err)
{
    struct group_write *w = container_of(sw, struct group_write, wait);
    if (w->done)
        w->done(w, err);
    write_free(w);
}

static int append(struct group_write *w)
{
    struct shard *s = w->groups->shard;
    if (w->fenced && w->generation != w->group->generation)
        return ERR_GENERATION;
    if (s->saving || w->group->state == GROUP_DEAD) /* deleted while this waited: as if it had come before */
        return ERR_STOPPING;
    int err = store_command_append(s->store, STORE_COMMAND_LOGS + w->group->log, w->command);
    if (err)
        return err;
    if (w->applied)
        w->applied(w);
    store_wait(s->store, &w->wait);
    shard_appended(s);
    return 0;
}

/* done() must not come from inside the submit: a wait without anything appended comes in a later phase. */
struct failure {
    struct store_wait wait;
    struct group_write *write;
    int err;
};

static void failed(struct store_wait *sw, int err)
{
    struct failure *f = container_of(sw, struct failure, wait);
    durable(&f->write->wait, err ? err : f->err);
    mem_free(f);
}

static void fail_later(struct group_write *w, int err)
{
    struct failure *f = mem_zalloc(sizeof(*f));
    f->wait.done = failed;
    f->write = w;
    f->err = err;
    store_wait(w->groups->shard->store, &f->wait);
    shard_appended(w->groups->shard);
}

static int retry(struct shard *s, struct space_wait *sw, int err)
{
    struct group_write *w = container_of(sw, struct group_write, stall);
    (void)s;
    int again = err ? err : append(w);
    if (again && again != ERR_AGAIN)
        durable(&w->wait, again);
    return again;
}

static void submit(struct group *g, const struct group_command *c, struct op *op, bool fenced,
                   void (*applied)(struct group_write *w), void (*done)(struct group_write *w, int err))
{
    struct shard *s = g->groups->shard;
    struct group_write *w = mem_zalloc(sizeof(*w));
    w->groups = g->groups;
    w->group = g;
    w->op = op;
    w->generation = g->generation;
    w->fenced = fenced;
    w->applied = applied;
    w->done = done;
    w->wait.done = durable;
    w->stall.retry = retry;
    list_init(&w->stall.link);
    group_ref(g);
    int err = encode(s, c, &w->command);
    if (!err)
        err = shard_is_stalled(s) ? ERR_AGAIN : append(w);
    if (err == ERR_AGAIN)
        shard_wait_for_space(s, &w->stall);
    else if (err)
        fail_later(w, err);
}

void group_write_submit(struct group *g, const struct group_command *c, struct op *op,
                        void (*applied)(struct group_write *w), void (*done)(struct group_write *w, int err))
{
    submit(g, c, op, false, applied, done);
}

void group_write_submit_fenced(struct group *g, const struct group_command *c, struct op *op,
                               void (*applied)(struct group_write *w),
                               void (*done)(struct group_write *w, int err))
{
    submit(g, c, op, true, applied, done);
}

void group_write_answer(struct group_write *w, int err)
{
    struct op_group *g = container_of(w->op, struct op_group, op);
    group_op_return(w->groups->shard, g, err);
}

/* ---- members ------------------------------------------------------------------------------------------- */

static void members_command(const struct group *g, struct arena *a, struct group_command *c)
{
    uint32_t n = 0;
    *c = (struct group_command){.type = GROUP_MEMBERS,
                                .vhost = g->vhost,
                                .name = g->name,
                                .protocol_type = g->protocol_type,
                                .protocol = g->protocol,
                                .leader = g->leader ? g->leader->id : SPAN_NULL,
                                .generation = g->generation,
                                .state_ms = g->state_ms};
    c->members = arena_array(a, g->by_id.count, sizeof(*c->members));
    list_each (l, &g->members) {
        const struct group_member *m = list_entry(l, struct group_member, link);
        c->members[n++] = (struct group_command_member){.id = m->id,
                                                        .instance_id = m->instance_id,
                                                        .client_id = m->client_id,
                                                        .client_host = m->client_host,
                                                        .session_timeout_ms = m->session_timeout_ms,
                                                        .rebalance_timeout_ms = m->rebalance_timeout_ms,
                                                        .metadata = member_metadata(m, g->protocol),
                                                        .assignment = m->assignment,
                                                        .topics = m->topics,
                                                        .topic_count = m->topic_count};
    }
    c->member_count = n;
}

static void members_applied(struct group_write *w)
{
    groups_account(w->groups, w->command.len, w->group->saved.len);
    mem_free((void *)w->group->saved.ptr);
    w->group->saved = w->command;
    w->command = SPAN_NULL;
}

void group_save_members(struct group *g, struct op *op, void (*done)(struct group_write *w, int err))
{
    struct arena a;
    struct group_command c;
    arena_init(&a);
    members_command(g, &a, &c);
    group_write_submit(g, &c, op, members_applied, done);
    arena_fini(&a);
}
