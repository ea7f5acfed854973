/* Publishes that go to topics: records are gathered into one batch for each partition, and leave at the end
 * of the input, as runs for queues do (publisher.c). Whatever its topics are many, a publish is one part
 * (publisher_parts_of()), which is over when the last of them is durable. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/publisher_impl.h"

enum {
    BATCH_BYTES = 64 << 10, /* after which a batch leaves early */
    MAX_OPEN = 64,          /* partitions that batches are gathered for at a time */
};

/* A publish that waits for several records. */
struct post_part {
    uint64_t tag;
    uint32_t pending;
    int err;
};

/* Who waits for a record: a publish of this tag, or a part of one. */
struct waiter {
    uint64_t tag;
    struct post_part *part;
};

/* A batch for one partition, being filled or on its way. */
struct post {
    struct op_append op;
    uint64_t log_id;
    struct records_policy policy;
    struct record_builder builder;
    const struct publisher_ops *ops; /* NULL: nobody asks, there are no waiters */
    struct waiter *waiters;
    uint32_t waiter_count, waiter_cap;
    struct echoes echoes;
    size_t bytes; /* credit taken */
};

struct publisher_posts {
    struct post *open[MAX_OPEN];
    uint32_t count;
};

static void tell(const struct publisher_ops *ops, struct conn *c, const struct waiter *w, int err)
{
    uint64_t tag = w->tag;
    if (w->part) {
        struct post_part *p = w->part;
        p->err = err ? err : p->err;
        assert(p->pending > 0);
        if (--p->pending > 0)
            return;
        tag = p->tag;
        err = p->err;
        mem_free(p);
    }
    if (c && tag)
        ops->part(c, tag, err);
}

static void post_over(struct conn *c, struct post *p, int err)
{
    for (uint32_t i = 0; i < p->waiter_count; i++)
        tell(p->ops, c, &p->waiters[i], err);
    if (c && p->waiter_count)
        p->ops->parts_told(c);
    echoes_over(&p->echoes, c);
    mem_free(p->waiters);
    op_append_free(&p->op);
}

static void posted(struct conn *c, struct op *op)
{
    struct post *p = container_of(op, struct post, op.op);
    if (c)
        conn_give_credit(c, p->bytes);
    post_over(c, p, op->err ? op->err : p->op.items[0].err);
}

static void submit(struct publisher *pub, struct post *p)
{
    struct shard *s = pub->conn->shard;
    struct span batch;
    struct chunk *chunk;
    int err = topic_post_seal(s, &p->policy, &p->builder, &batch, &chunk);
    p->op.items = mem_zalloc(sizeof(*p->op.items));
    if (err) {
        post_over(pub->conn, p, err);
        return;
    }
    p->op.count = 1;
    p->op.items[0] = (struct append_item){.log_id = p->log_id, .batch = batch, .chunk = chunk};
    p->bytes = batch.len;
    conn_take_credit(pub->conn, p->bytes);
    op_append_submit(&p->op);
}

/* Takes it out first: what it tells may publish. */
static void submit_at(struct publisher *pub, uint32_t at)
{
    struct publisher_posts *ps = pub->posts;
    struct post *p = ps->open[at];
    ps->count--;
    memmove(&ps->open[at], &ps->open[at + 1], (ps->count - at) * sizeof(struct post *));
    submit(pub, p);
}

void publisher_flush_posts(struct publisher *pub)
{
    while (pub->posts && pub->posts->count)
        submit_at(pub, 0);
}

void publisher_free_posts(struct publisher *pub)
{
    assert(!pub->posts || pub->posts->count == 0);
    mem_free(pub->posts);
    pub->posts = NULL;
}

/* The batch that a record of `len` bytes goes to. */
static struct post *post_for(struct publisher *pub, const struct topic_post *to, size_t len)
{
    if (!pub->posts)
        pub->posts = mem_zalloc(sizeof(*pub->posts));
    struct publisher_posts *ps = pub->posts;
    size_t max = to->policy.max_message_bytes < BATCH_BYTES ? to->policy.max_message_bytes : BATCH_BYTES;
    for (uint32_t i = 0; i < ps->count; i++) {
        struct post *p = ps->open[i];
        if (p->log_id != to->log_id)
            continue;
        if (p->builder.len + len <= max && p->builder.count < PUBLISHER_RUN_ITEMS)
            return p;
        submit_at(pub, i);
        break;
    }
    if (ps->count == MAX_OPEN)
        submit_at(pub, 0);
    struct post *p = op_new(pub->conn, sizeof(*p), posted, NULL);
    p->op.shard = to->shard;
    p->ops = pub->ops;
    p->log_id = to->log_id;
    p->policy = to->policy;
    ps->open[ps->count++] = p;
    return p;
}

static void add_waiter(struct post *p, const struct waiter *w)
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
static void drop_empty(struct publisher *pub, struct post *p)
{
    struct publisher_posts *ps = pub->posts;
    if (p->builder.count > 0)
        return;
    assert(ps->open[ps->count - 1] == p);
    ps->count--;
    mem_free(p->waiters);
    op_append_free(&p->op);
}

static int post_one(struct publisher *pub, const struct message *m, const struct topic_way *way,
                    const struct waiter *w, struct echo *e)
{
    struct shard *s = pub->conn->shard;
    struct topic_post to;
    struct arena a;
    arena_init(&a);
    int err = topic_post(s, way, m, &a, &to);
    if (!err) {
        struct post *p = post_for(pub, &to, record_build_bytes(&to.draft));
        err = record_build_add(&p->builder, &s->input_pool, &to.draft, s->now_ms);
        if (err)
            drop_empty(pub, p);
        else
            add_waiter(p, w);
        if (!err && e)
            echoes_add(&p->echoes, e);
    }
    arena_fini(&a);
    return err == ERR_NOT_FOUND ? 0 : err == 0 ? 1 : err; /* a topic that is gone is no error */
}

void publisher_post(struct publisher *pub, const struct message *m, const struct routed *to, uint64_t tag,
                    struct echo *e)
{
    struct waiter w = {.tag = tag};
    if (tag && to->topic_count > 1) {
        w.part = mem_zalloc(sizeof(*w.part));
        *w.part = (struct post_part){.tag = tag, .pending = to->topic_count};
        w.tag = 0;
    }
    for (uint32_t i = 0; i < to->topic_count; i++) {
        int r = post_one(pub, m, &to->topics[i], &w, e);
        if (r <= 0)
            tell(pub->ops, pub->conn, &w, r);
    }
}
