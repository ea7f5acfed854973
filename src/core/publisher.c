/* Publishing for a connection: into the run of each shard that has a queue for a message, to topics, and to
 * subscriptions. */
#include "core/publisher.h"

#include <assert.h>

#include "core/broker.h"
#include "core/publisher_impl.h"

enum { ITEM_OVERHEAD_BYTES = 128 };

/* Publishes for the queues of one shard. */
struct publisher_run {
    struct op_publish op;
    const struct publisher_ops *ops; /* NULL: nobody asks */
    bool tagged;                     /* somebody waits for outcomes: items have tags */
    struct echoes echoes;
};

void publisher_init(struct publisher *p, struct conn *c, const struct publisher_ops *ops)
{
    *p = (struct publisher){.conn = c, .ops = ops};
}

void publisher_fini(struct publisher *p)
{
    assert(p->gathered == 0);
    publisher_free_posts(p);
    echo_line_close(p);
}

/* ---- runs ---------------------------------------------------------------------------------------------- */

static void tell(struct conn *c, const struct publisher_run *r)
{
    for (uint32_t i = 0; i < r->op.count; i++)
        if (r->op.items[i].tag)
            r->ops->part(c, r->op.items[i].tag, r->op.op.err ? r->op.op.err : r->op.items[i].err);
    r->ops->parts_told(c);
}

static void published(struct conn *c, struct op *op)
{
    struct publisher_run *r = container_of(op, struct publisher_run, op.op);
    if (c)
        conn_give_credit(c, r->op.bytes);
    if (c && r->tagged)
        tell(c, r);
    echoes_over(&r->echoes, c);
    op_publish_free(&r->op);
}

static void submit(struct publisher *p, unsigned shard)
{
    struct publisher_run *r = p->runs[shard];
    p->runs[shard] = NULL;
    p->gathered &= ~(1ull << shard);
    conn_take_credit(p->conn, r->op.bytes);
    op_publish_submit(&r->op);
}

void publisher_flush(struct publisher *p)
{
    while (p->gathered)
        submit(p, (unsigned)__builtin_ctzll(p->gathered));
    publisher_flush_posts(p);
}

static struct publisher_run *run_for(struct publisher *p, unsigned shard)
{
    struct publisher_run *r = p->runs[shard];
    if (r && (r->op.count >= PUBLISHER_RUN_ITEMS || r->op.bytes >= PUBLISHER_RUN_BYTES)) {
        submit(p, shard);
        r = NULL;
    }
    if (r)
        return r;
    r = op_new(p->conn, sizeof(*r), published, NULL);
    r->op.shard = shard;
    r->ops = p->ops;
    p->runs[shard] = r;
    p->gathered |= 1ull << shard;
    return r;
}

static struct publisher_run *add(struct publisher *p, unsigned shard, const struct message *m,
                                 struct chunk *chunk, uint64_t tag)
{
    struct publisher_run *r = run_for(p, shard);
    struct publish_item *it = op_publish_add(&r->op);
    it->msg = *m;
    it->tag = tag;
    r->tagged |= tag != 0;
    r->op.bytes += m->body.len + m->props.len + ITEM_OVERHEAD_BYTES;
    if (chunk)
        op_publish_keep(&r->op, chunk);
    return r;
}

/* An exchange of type x-delayed-message keeps what is not due in a queue of its own. */
static struct publisher_run *add_delayed(struct publisher *p, const struct message *m,
                                         const struct routed *to, struct chunk *chunk, uint64_t tag)
{
    struct message later = *m;
    struct shard *s = p->conn->shard;
    later.due_ms = s->now_ms + to->delay_ms;
    struct publisher_run *r = add(p, store_shard_of(s->broker->store, to->delayed_id), &later, chunk, tag);
    op_publish_add_queue(&r->op, to->delayed_id);
    return r;
}

/* ---- subscriptions ------------------------------------------------------------------------------------- */

uint64_t publisher_tell_subjects(struct shard *s, struct vspace *v, const struct message *m, bool more_keys,
                                 struct chunk *chunk, struct conn *c)
{
    if (more_keys)
        return subject_deliver_message(s, v, m, chunk, c);
    struct subject_message one = {
        .key = m->key, .body = m->body, .props = m->props, .format = m->format, .chunk = chunk};
    return subject_deliver(s, v, SUBJECT_SHARED, &one, c);
}

static uint64_t to_subjects(struct publisher *p, const struct message *m, const struct routed *to,
                            struct chunk *chunk)
{
    struct shard *s = p->conn->shard;
    uint64_t heard = publisher_tell_subjects(s, to->space, m, to->more_keys, chunk, p->conn);
    if (heard && subject_turn_is_full(s))
        conn_yield(p->conn);
    return heard;
}

/* ---- a message ----------------------------------------------------------------------------------------- */

unsigned publisher_parts_of(const struct routed *to)
{
    unsigned parts = (to->delayed_id != 0) + (to->topic_count > 0);
    for (uint32_t i = 0; i < to->queue_count; i++)
        parts += i == 0 || to->queues[i].shard != to->queues[i - 1].shard;
    return parts;
}

static inline void send_to_targets(struct publisher *p, const struct message *m, const struct routed *to,
                                   struct chunk *chunk, uint64_t tag, struct echo *e)
{
    struct publisher_run *r = NULL;
    for (uint32_t i = 0; i < to->queue_count; i++) {
        if (i == 0 || to->queues[i].shard != to->queues[i - 1].shard) {
            r = add(p, to->queues[i].shard, m, chunk, tag);
            if (e)
                echoes_add(&r->echoes, e);
        }
        op_publish_add_queue(&r->op, to->queues[i].id);
    }
    if (to->delayed_id) {
        r = add_delayed(p, m, to, chunk, tag);
        if (e)
            echoes_add(&r->echoes, e);
    }
    if (to->topic_count)
        publisher_post(p, m, to, tag, e);
}

uint64_t publisher_send(struct publisher *p, const struct message *m, const struct routed *to,
                        struct chunk *chunk, uint64_t tag)
{
    uint64_t heard = 0;
    if (!to->subjects) { /* the path of most messages */
        send_to_targets(p, m, to, chunk, tag, NULL);
        return 0;
    }
    struct echo *e = echo_new(p, m, to, chunk);
    if (!e)
        heard = to_subjects(p, m, to, chunk);
    send_to_targets(p, m, to, chunk, tag, e);
    if (e)
        echo_part_over(e, p->conn);
    return heard;
}
