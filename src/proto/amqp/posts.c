/* Publishes that go to topics: records are gathered into one batch for each partition, and leave at the end
 * of the input, as runs for queues do (basic_publish.c). Whatever its topics are many, a publish is one part
 * to its confirm (amqp_publish_parts_of()), which comes when the last of them is durable. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/topic_post.h"
#include "proto/amqp/channel.h"

enum {
    BATCH_BYTES = 64 << 10, /* after which a batch leaves early */
    MAX_OPEN = 64,          /* partitions that batches are gathered for at a time */
};

/* A publish that waits for several records. */
struct amqp_post_part {
    uint64_t tag;
    uint32_t pending;
    int err;
};

/* Who waits for a record: a publish of this tag, or a part of one. */
struct waiter {
    uint64_t tag;
    struct amqp_post_part *part;
};

/* A batch for one partition, being filled or on its way. */
struct amqp_post {
    struct op_append op;
    uint64_t log_id;
    struct records_policy policy;
    struct record_builder builder;
    struct waiter *waiters;
    uint32_t waiter_count, waiter_cap;
    size_t bytes; /* credit taken */
};

struct amqp_posts {
    struct amqp_post *open[MAX_OPEN];
    uint32_t count;
};

static void tell(struct amqp_conn *ac, const struct waiter *w, int err)
{
    uint64_t tag = w->tag;
    if (w->part) {
        struct amqp_post_part *p = w->part;
        p->err = err ? err : p->err;
        assert(p->pending > 0);
        if (--p->pending > 0)
            return;
        tag = p->tag;
        err = p->err;
        mem_free(p);
    }
    if (ac && ac->shared && tag)
        amqp_confirm_part(ac, tag, err);
}

static void post_over(struct amqp_conn *ac, struct amqp_post *p, int err)
{
    for (uint32_t i = 0; i < p->waiter_count; i++)
        tell(ac, &p->waiters[i], err);
    if (ac && ac->shared)
        amqp_confirm_tell_all(ac->shared);
    mem_free(p->waiters);
    op_append_free(&p->op);
}

static void posted(struct conn *c, struct op *op)
{
    struct amqp_post *p = container_of(op, struct amqp_post, op.op);
    int err = op->err ? op->err : p->op.items[0].err;
    if (c)
        conn_give_credit(c, p->bytes);
    post_over(c ? amqp_conn_of(c->proto_state) : NULL, p, err);
}

static void submit(struct amqp_conn_channels *cc, struct amqp_post *p)
{
    struct shard *s = cc->ac->conn->shard;
    struct span batch;
    struct chunk *chunk;
    int err = topic_post_seal(s, &p->policy, &p->builder, &batch, &chunk);
    p->op.items = mem_zalloc(sizeof(*p->op.items));
    if (err) {
        post_over(cc->ac, p, err);
        return;
    }
    p->op.count = 1;
    p->op.items[0] = (struct append_item){.log_id = p->log_id, .batch = batch, .chunk = chunk};
    p->bytes = batch.len;
    conn_take_credit(cc->ac->conn, p->bytes);
    op_append_submit(&p->op);
}

/* Takes it out first: what it tells may publish. */
static void submit_at(struct amqp_conn_channels *cc, uint32_t at)
{
    struct amqp_posts *ps = cc->posts;
    struct amqp_post *p = ps->open[at];
    ps->count--;
    memmove(&ps->open[at], &ps->open[at + 1], (ps->count - at) * sizeof(struct amqp_post *));
    submit(cc, p);
}

void amqp_flush_posts(struct amqp_conn_channels *cc)
{
    while (cc->posts && cc->posts->count)
        submit_at(cc, 0);
}

void amqp_posts_free(struct amqp_conn_channels *cc)
{
    assert(!cc->posts || cc->posts->count == 0);
    mem_free(cc->posts);
    cc->posts = NULL;
}

/* The batch that a record of `len` bytes goes to. */
static struct amqp_post *post_for(struct amqp_conn_channels *cc, const struct topic_post *to, size_t len)
{
    if (!cc->posts)
        cc->posts = mem_zalloc(sizeof(*cc->posts));
    struct amqp_posts *ps = cc->posts;
    size_t max = to->policy.max_message_bytes < BATCH_BYTES ? to->policy.max_message_bytes : BATCH_BYTES;
    for (uint32_t i = 0; i < ps->count; i++) {
        struct amqp_post *p = ps->open[i];
        if (p->log_id != to->log_id)
            continue;
        if (p->builder.len + len <= max && p->builder.count < AMQP_RUN_ITEMS)
            return p;
        submit_at(cc, i);
        break;
    }
    if (ps->count == MAX_OPEN)
        submit_at(cc, 0);
    struct amqp_post *p = op_new(cc->ac->conn, sizeof(*p), posted, NULL);
    p->op.shard = to->shard;
    p->log_id = to->log_id;
    p->policy = to->policy;
    ps->open[ps->count++] = p;
    return p;
}

static void add_waiter(struct amqp_post *p, const struct waiter *w)
{
    if (!w->tag && !w->part)
        return;
    if (p->waiter_count == p->waiter_cap) {
        p->waiter_cap = p->waiter_cap ? p->waiter_cap * 2 : 8;
        p->waiters = mem_realloc(p->waiters, p->waiter_cap * sizeof(*p->waiters));
    }
    p->waiters[p->waiter_count++] = *w;
}

/* An empty batch that could not be begun is left open: drop it. */
static void drop_empty(struct amqp_conn_channels *cc, struct amqp_post *p)
{
    struct amqp_posts *ps = cc->posts;
    if (p->builder.count > 0)
        return;
    assert(ps->open[ps->count - 1] == p);
    ps->count--;
    mem_free(p->waiters);
    op_append_free(&p->op);
}

static int post_one(struct amqp_conn_channels *cc, const struct message *m, const struct topic_way *way,
                    const struct waiter *w)
{
    struct shard *s = cc->ac->conn->shard;
    struct topic_post to;
    struct arena a;
    arena_init(&a);
    int err = topic_post(s, way, m, &a, &to);
    if (!err) {
        struct amqp_post *p = post_for(cc, &to, record_build_bytes(&to.draft));
        err = record_build_add(&p->builder, &s->input_pool, &to.draft, s->now_ms);
        if (!err)
            add_waiter(p, w);
        else
            drop_empty(cc, p);
    }
    arena_fini(&a);
    return err == ERR_NOT_FOUND ? 0 : err == 0 ? 1 : err; /* a topic that is gone is no error */
}

void amqp_post_to(struct amqp_conn_channels *cc, const struct message *m, const struct amqp_routed *to,
                  uint64_t tag)
{
    struct waiter w = {.tag = tag};
    if (tag && to->topic_count > 1) {
        w.part = mem_zalloc(sizeof(*w.part));
        *w.part = (struct amqp_post_part){.tag = tag, .pending = to->topic_count};
        w.tag = 0;
    }
    for (uint32_t i = 0; i < to->topic_count; i++) {
        int r = post_one(cc, m, &to->topics[i], &w);
        if (r <= 0)
            tell(cc->ac, &w, r);
    }
}
