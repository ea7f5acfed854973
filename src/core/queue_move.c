/* Moves: a message leaves a queue for those that an exchange leads to, because it died there or was only
 * waiting.
 *
 * Target first, then the source is acknowledged. Where all targets live on this shard both are in one group
 * of the journal, so that a crash sees neither or both. Else the move is announced first (a note with its
 * number, durable), then sent to each target with log and number of the source. A target remembers the last
 * number from each log, with the message in one group; moves of one log come in the order of their numbers,
 * also after a crash, when those that were announced and not acknowledged are sent again: so each arrives
 * once. Routes are looked up anew then; a binding that was changed meanwhile counts as it is now. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/op_impl.h"
#include "core/queue_impl.h"
#include "core/subject.h"
#include "core/topic_post.h"

struct move {
    struct batch_wait wait; /* for targets of this shard */
    struct store_wait announced_wait;
    struct queue *queue; /* one reference */
    struct entry *entry; /* ENTRY_MOVING; NULL: it never was in the queue */
    struct op_publish **remote;
    uint32_t remote_count, pending;
    bool failed;
};

/* ---- the end ---------------------------------------------------------------------------------------------
 */

static void move_free(struct move *m)
{
    queue_unref(m->queue);
    mem_free(m->remote);
    mem_free(m);
}

static void release(struct move *m)
{
    assert(m->pending > 0);
    if (--m->pending > 0)
        return;
    struct queue *q = m->queue;
    struct entry *e = m->entry;
    if (e && !q->deleted) {
        q->moving--;
        list_del(&e->link);
        if (m->failed) { /* no room, perhaps: it is tried again */
            list_add_tail(&q->moves, &e->link);
            q->moves_retry_ns = q->queues->shard->now_ns + QUEUE_MOVE_RETRY_MS * 1000000ull;
            queue_wake(q);
        } else {
            if (e->level->compact_below)
                queue_wake(q);
            entry_drop(e);
            q->queues->persist_now = true;
        }
    } else if (e) {
        list_del(&e->link);
        entry_free(e);
    }
    move_free(m);
}

static void arrived_here(struct batch_wait *w, int err)
{
    struct move *m = container_of(w, struct move, wait);
    m->failed |= err != 0;
    release(m);
}

static void arrived_there(struct conn *c, struct op *op)
{
    struct op_publish *p = container_of(op, struct op_publish, op);
    struct move *m = op->user;
    (void)c;
    for (uint32_t i = 0; i < p->count; i++)
        m->failed |= p->items[i].err && p->items[i].err != ERR_REFUSED;
    m->failed |= op->err != 0;
    op_publish_free(p);
    release(m);
}

/* ---- targets ---------------------------------------------------------------------------------------------
 */

static struct op_publish *remote_to(struct move *m, const struct queue_info *target,
                                    const struct message *msg)
{
    struct shard *s = m->queue->queues->shard;
    size_t len = message_record_bytes(msg);
    struct chunk *c = chunk_new(&m->queue->queues->large_pool, len);
    if (!c)
        return NULL;
    message_write(c->data, msg, s->now_ms); /* the message outlives this turn, so its bytes must */
    struct op_publish *p = op_new_internal(s, sizeof(*p), arrived_there, m);
    int64_t queued;
    p->shard = target->shard;
    struct publish_item *it = op_publish_add(p);
    int err = message_read(span_of(c->data, len), &it->msg, &queued, NULL);
    assert(err == 0);
    (void)err;
    op_publish_add_queue(p, target->id);
    op_publish_keep(p, c);
    chunk_unref(c);
    return p;
}

static void add_remote(struct move *m, const struct queue_info *target, const struct message *msg)
{
    struct op_publish *p = remote_to(m, target, msg);
    if (!p) {
        m->failed = true;
        return;
    }
    m->remote = mem_realloc(m->remote, (m->remote_count + 1) * sizeof(struct op_publish *));
    m->remote[m->remote_count++] = p;
}

static void send_remote(struct move *m)
{
    struct op_publish **remote = m->remote;
    uint32_t n = m->remote_count;
    m->pending += n;
    m->pending++; /* answers may not free it in between */
    for (uint32_t i = 0; i < n; i++)
        op_publish_submit(remote[i]);
    m->remote_count = 0;
    release(m);
}

static void announced(struct store_wait *w, int err)
{
    struct move *m = container_of(w, struct move, announced_wait);
    if (err || m->queue->deleted) {
        for (uint32_t i = 0; i < m->remote_count; i++)
            op_publish_free(m->remote[i]);
        m->remote_count = 0;
        m->failed = true;
    } else {
        send_remote(m);
    }
    release(m);
}

/* The number of the move, durable before anybody else hears of it. */
static void announce(struct move *m)
{
    struct entry *e = m->entry;
    struct queue_level *l = e->level;
    struct entry_note *n = level_note(l, e->offset, true);
    if (!n->move) {
        n->move = ++l->move_seq;
        n->reason = e->reason;
        level_touch_note(l, n);
    }
    for (uint32_t i = 0; i < m->remote_count; i++) {
        m->remote[i]->origin = log_id(l->log);
        m->remote[i]->origin_seq = n->move;
    }
    m->pending++;
    m->announced_wait.done = announced;
    queues_barrier(m->queue->queues->shard, &m->announced_wait);
}

/* ---- topics ----------------------------------------------------------------------------------------------
 */

static void posted(struct conn *c, struct op *op)
{
    struct op_append *a = (struct op_append *)op;
    struct move *m = op->user;
    (void)c;
    int err = op->err ? op->err : a->items[0].err;
    m->failed |= err && err != ERR_NOT_FOUND;
    op_append_free(a);
    release(m);
}

/* A partition that lives here gets the record in the group of the journal in which the source is
 * acknowledged. Elsewhere the source waits until the record is durable, and a crash in between leaves it
 * twice: topics know nothing of moves. */
static void post_batch(struct move *m, const struct topic_post *post, struct span batch, struct chunk *chunk)
{
    struct shard *s = m->queue->queues->shard;
    const struct partition *here = partition_find(s, post->log_id);
    uint64_t base;
    if (here && !s->saving && !shard_is_stalled(s)) {
        m->failed |= log_append(here->log, batch, &base, NULL) < 0;
        chunk_unref(chunk);
        shard_appended(s);
        return;
    }
    struct op_append *a = op_new_internal(s, sizeof(*a), posted, m);
    a->shard = post->shard;
    a->count = 1;
    a->items = mem_zalloc(sizeof(*a->items));
    a->items[0] = (struct append_item){.log_id = post->log_id, .batch = batch, .chunk = chunk};
    m->pending++;
    op_append_submit(a);
}

/* What the topic can never take (too large, no key where one must be) is gone, as with a queue that refuses.
 */
static void post_to(struct move *m, const struct topic_way *way, const struct message *msg)
{
    struct shard *s = m->queue->queues->shard;
    struct record_builder b = {0};
    struct topic_post post;
    struct span batch;
    struct chunk *chunk;
    struct arena a;
    arena_init(&a);
    int err = topic_post(s, way, msg, &a, &post);
    if (!err) {
        err = record_build_add(&b, &m->queue->queues->large_pool, &post.draft, s->now_ms);
        if (!err)
            err = topic_post_seal(s, &post.policy, &b, &batch, &chunk);
        m->failed |= err == ERR_NO_MEMORY;
        if (!err)
            post_batch(m, &post, batch, chunk);
    }
    arena_fini(&a);
}

/* Before all queues: where there is no room now, nothing has happened yet when it is tried again. */
static void post_all(struct move *m, const struct message *msg, struct dest **dests, struct binding **via,
                     uint32_t count)
{
    struct topic_way way;
    for (uint32_t i = 0; i < count && !m->failed; i++)
        if (topic_way_of(dests[i], via[i], &way))
            post_to(m, &way, msg);
}

/* ---- all targets -----------------------------------------------------------------------------------------
 */

static bool is_queue(const struct dest *d)
{
    struct topic_way way;
    return d->kind == DEST_QUEUE && !topic_way_of(d, NULL, &way);
}

static bool is_refused(const struct message *msg, const struct queue_info *target, bool dies)
{
    const struct message_format *f = message_formats[msg->format];
    return dies && f && f->cycles && f->cycles(msg, target->dest.name);
}

/* To all queues of the route. Where it was announced before, every target is asked whether it knows it. */
static void send_all(struct move *m, const struct message *msg, bool dies, struct dest **dests,
                     uint32_t count)
{
    struct queues *qs = m->queue->queues;
    struct shard *s = qs->shard;
    bool durable = m->entry && m->entry->offset != ENTRY_NO_OFFSET;
    const struct entry_note *n = durable ? level_note(m->entry->level, m->entry->offset, false) : NULL;
    bool remote = n && n->move;
    for (uint32_t i = 0; i < count && !remote; i++)
        remote = is_queue(dests[i]) && container_of(dests[i], struct queue_info, dest)->shard != s->index;
    for (uint32_t i = 0; i < count; i++) {
        if (!is_queue(dests[i]))
            continue;
        struct queue_info *target = container_of(dests[i], struct queue_info, dest);
        if (is_refused(msg, target, dies))
            continue;
        if (remote) {
            add_remote(m, target, msg);
            continue;
        }
        struct queue *t = queue_by_id(qs, target->id);
        int r = t ? queue_enqueue(t, msg, &m->wait) : 0;
        if (r > 0)
            m->pending += (uint32_t)r;
        m->failed |= r < 0 && r != ERR_REFUSED;
    }
    if (m->remote_count && durable)
        announce(m);
    else if (m->remote_count)
        send_remote(m);
}

/* ---- beginning -------------------------------------------------------------------------------------------
 */

static struct exchange *dead_letter_exchange(const struct queue *q)
{
    struct span name = q->info->config->dead_letter_exchange;
    return span_is_null(name) ? NULL : map_get(&q->info->space->exchanges, name);
}

static struct move *move_new(struct queue *q, struct entry *e)
{
    struct move *m = mem_zalloc(sizeof(*m));
    m->wait.appended = arrived_here;
    m->queue = q;
    m->entry = e;
    m->pending = 1;
    q->refs++;
    return m;
}

/* The message that is published when this one dies. */
static void die(struct queue *q, const struct message *before, const struct entry *e,
                enum death_reason reason, struct arena *a, struct message *ret)
{
    const struct queue_config *c = q->info->config;
    const struct message_format *f = message_formats[before->format];
    struct death d = {.queue = q->info->dest.name,
                      .reason = reason,
                      .time_ms = q->queues->shard->now_ms,
                      .retries = c->max_retries >= 0 && e ? (int64_t)e->retries : -1,
                      .routing_key_override = c->dead_letter_key};
    *ret = *before;
    ret->ttl_ms = -1;
    ret->expires_ms = ret->due_ms = 0;
    ret->exchange = c->dead_letter_exchange;
    if (!span_is_null(c->dead_letter_key))
        ret->key = c->dead_letter_key;
    if (f && f->dead)
        ret->props = f->dead(before, &d, a);
}

static void begin(struct queue *q, struct entry *e, const struct message *before, enum death_reason reason)
{
    struct queues *qs = q->queues;
    struct exchange *x = q->forward ? q->forward : dead_letter_exchange(q);
    struct move *m = move_new(q, e);
    struct message after = *before;
    struct arena a;
    arena_init(&a);
    if (q->forward)
        after.due_ms = 0;
    else
        die(q, before, e, reason, &a, &after);
    route_reset(&qs->route);
    if (x)
        route_message(&qs->route, &q->info->space->route_space, x, &after, q->forward != NULL, &qs->dice);
    /* A target that refuses may route again. */
    uint32_t count = qs->route.count;
    struct dest **dests = arena_copy(&a, qs->route.dests, count * sizeof(struct dest *));
    struct binding **via = arena_copy(&a, qs->route.via, count * sizeof(struct binding *));
    bool subjects = qs->route.subjects;
    post_all(m, &after, dests, via, count);
    if (!m->failed)
        send_all(m, &after, !q->forward, dests, count);
    if (subjects && !m->failed) /* it was durable in the source, if it is persistent */
        subject_deliver_message(qs->shard, q->info->space, &after, NULL, NULL);
    arena_fini(&a);
    release(m);
}

void queue_begin_moves(struct queue *q)
{
    struct shard *s = q->queues->shard;
    if (q->moves_retry_ns > s->now_ns)
        return;
    while (!list_empty(&q->moves)) {
        struct entry *e = list_entry(list_first(&q->moves), struct entry, link);
        struct message before;
        if (!entry_visible(e))
            return; /* when it is durable (again, if it was copied forward) */
        if (!e->record && !level_load(e->level, e))
            return;
        if (list_first(&q->moves) != &e->link)
            continue; /* it could not be read */
        list_del(&e->link);
        list_add_tail(&q->moving_list, &e->link);
        q->moving++;
        if (entry_message(e, &before))
            assert(!"a record in memory is damaged");
        begin(q, e, &before, (enum death_reason)e->reason);
    }
}

void queue_bury(struct entry *e, enum death_reason reason)
{
    struct queue *q = e->level->queue;
    bool dead_letters = !span_is_null(q->info->config->dead_letter_exchange);
    metrics_add_at(queue_metrics(q), dead_letters ? METRIC_QUEUE_DEAD_LETTERED : METRIC_QUEUE_DROPPED, reason,
                   1);
    if (!dead_letters) {
        entry_drop(e);
        return;
    }
    e->state = ENTRY_MOVING;
    e->reason = (uint8_t)reason;
    list_add_tail(&q->moves, &e->link);
    queue_wake(q);
}

/* It waits for the queue's next turn like one that was in the queue. */
static void bury_unborn_later(struct queue *q, const struct message *m)
{
    struct entry *e = queue_unborn(q, m);
    if (!e)
        return;
    e->state = ENTRY_MOVING;
    e->reason = DEATH_MAXLEN;
    list_add_tail(&q->moves, &e->link);
    queue_wake(q);
}

/* A full queue may lead to a full queue, and so on without end: a few are passed in one go, so that the
 * message comes in the same group of the journal in which its source is acknowledged; behind them it goes
 * step by step. */
void queue_bury_unborn(struct queue *q, const struct message *m)
{
    enum { DEPTH_MAX = 8 };
    struct queues *qs = q->queues;
    if (span_is_null(q->info->config->dead_letter_exchange))
        return;
    metrics_add_at(queue_metrics(q), METRIC_QUEUE_DEAD_LETTERED, DEATH_MAXLEN, 1);
    if (qs->unborn_depth == DEPTH_MAX) {
        bury_unborn_later(q, m);
        return;
    }
    qs->unborn_depth++;
    begin(q, NULL, m, DEATH_MAXLEN);
    qs->unborn_depth--;
}

void queue_forward(struct entry *e)
{
    struct queue *q = e->level->queue;
    entry_take(e);
    e->state = ENTRY_MOVING;
    list_add_tail(&q->moves, &e->link);
    queue_begin_moves(q);
}
