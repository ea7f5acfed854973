/* What taps do: a cursor for each partition that lives on this shard.
 *
 * ASKING for the committed position, READING (a wait for more, at the end), SENDING a run of records to all
 * targets, or WAITING, for what refused them: then those that a target has not taken are sent again. A run is
 * over when all targets have taken all of it; then its end is the cursor's place, which is committed behind
 * it, without a wait. So the place lags, and what is sent again after a crash the queues know. */
#include <assert.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/group.h"
#include "core/metrics.h"
#include "core/op_impl.h"
#include "core/queue.h"
#include "core/space_impl.h"
#include "core/subject.h"
#include "core/tap_impl.h"
#include "core/topic_post.h"
#include "core/topic_table.h"

enum {
    RUN_RECORDS = 256,
    RUN_BYTES = 256 << 10,
    CHUNK_BYTES = 64 << 10,
    RETRY_MS = 200, /* after a refusal */
    LOOK_MS = 1000, /* for topics and exchanges that come and go */
    READ_WAIT_MS = 5000,
};
static const int64_t FOREVER_MS = 1000000ll * 86400 * 1000; /* how long a position is kept */

/* ---- runs ---------------------------------------------------------------------------------------------- */

/* Where messages of the run go: a queue. */
struct target_item {
    uint32_t index; /* of the message */
    int64_t due_ms;
};
struct target {
    uint64_t queue_id;
    unsigned shard;
    struct target_item *items;
    uint32_t count, cap, done; /* done: taken, from the front */
    struct cursor *cursor;
};

/* The same: a topic, one record. */
struct posting {
    struct cursor *cursor;
    uint32_t index;
    struct topic_way way; /* its spans are owned */
    bool done;
};

struct run_message {
    struct message msg; /* in `chunk` */
    struct chunk *chunk;
    uint64_t seq; /* offset + 1 */
};

struct run {
    struct run_message messages[RUN_RECORDS];
    uint32_t count;
    size_t bytes;
    struct chunk *filling; /* not a reference */
    uint64_t end;
    struct target **targets;
    uint32_t target_count;
    struct posting **postings;
    uint32_t posting_count;
    uint32_t pending;
    bool stopping;
};

enum cursor_state { CURSOR_ASKING, CURSOR_READING, CURSOR_SENDING, CURSOR_WAITING };

/* Invariant: an operation is on its way in ASKING, READING and SENDING, or the timer is set (WAITING); beside
 * it perhaps a commit. `gone`: freed when nothing is on its way. */
struct cursor {
    struct list link; /* in taps.cursors */
    struct taps *taps;
    struct span name;  /* the tap's; owned */
    struct span group; /* owned */
    struct topic_id topic;
    uint32_t partition;
    uint64_t log_id, origin;
    size_t max_decoded_bytes;
    enum cursor_state state;
    uint64_t next, committed; /* committed: known to be durable, or on its way */
    bool gone, seen, committing;
    struct shard_timer timer;
    struct run *run; /* SENDING, WAITING */
};

/* Of a shard. */
struct taps {
    struct shard_keep keep;
    struct shard *shard;
    struct list cursors;
    struct shard_timer look;
    struct route route;
    uint64_t dice;
};

static void cursor_read(struct cursor *c);
static void run_send(struct cursor *c);

static void run_free(struct run *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->count; i++)
        chunk_unref(r->messages[i].chunk);
    for (uint32_t i = 0; i < r->target_count; i++) {
        mem_free(r->targets[i]->items);
        mem_free(r->targets[i]);
    }
    for (uint32_t i = 0; i < r->posting_count; i++) {
        mem_free((void *)r->postings[i]->way.name.ptr);
        mem_free((void *)r->postings[i]->way.args.ptr);
        mem_free(r->postings[i]);
    }
    mem_free(r->targets);
    mem_free(r->postings);
    mem_free(r);
}

static void cursor_free(struct cursor *c)
{
    list_del(&c->link);
    shard_timer_cancel(c->taps->shard, &c->timer);
    run_free(c->run);
    mem_free((void *)c->name.ptr);
    mem_free((void *)c->group.ptr);
    mem_free(c);
}

/* True: it goes; freed as soon as nothing is on its way. */
static bool cursor_over(struct cursor *c)
{
    if (!c->gone)
        return false;
    if (!c->committing)
        cursor_free(c);
    return true;
}

static void cursor_wait(struct cursor *c, unsigned ms)
{
    c->state = CURSOR_WAITING;
    shard_timer_set(c->taps->shard, &c->timer, c->taps->shard->now_ns + ms * 1000000ull);
}

/* False: it is gone. */
static bool tap_find(const struct cursor *c, struct tap *ret)
{
    const struct meta_record *r = meta_record_find(c->taps->shard, RECORD_TAP, c->name);
    if (r)
        tap_of_record(r, ret);
    return r != NULL;
}

/* ---- the committed position ---------------------------------------------------------------------------- */

static void commit(struct cursor *c);

struct commit {
    struct op_group_commit op;
    struct group_offset offset;
    struct cursor *cursor;
};

static void committed(struct conn *conn, struct op *op)
{
    struct commit *o = container_of(op, struct commit, op.g.op);
    struct cursor *c = o->cursor;
    (void)conn;
    int err = op->err ? op->err : o->offset.err;
    c->committing = false;
    op_group_free(&o->op.g);
    if (c->gone) {
        if (c->state == CURSOR_WAITING)
            cursor_free(c);
    } else if (!err) {
        commit(c); /* what has come meanwhile */
    }
}

/* One at a time: the next one takes the latest place. */
static void commit(struct cursor *c)
{
    struct shard *s = c->taps->shard;
    if (c->committing || c->committed == c->next || s->saving || s->stopping)
        return;
    struct commit *o = op_new_internal(s, sizeof(*o), committed, NULL);
    o->cursor = c;
    o->offset = (struct group_offset){.topic = c->topic,
                                      .partition = c->partition,
                                      .offset = (int64_t)c->next,
                                      .leader_epoch = -1,
                                      .metadata = span_str("")};
    o->op.g.group = c->group;
    o->op.generation = -1;
    o->op.member_id = span_str("");
    o->op.retention_ms = FOREVER_MS;
    o->op.offsets = &o->offset;
    o->op.count = 1;
    c->committing = true;
    c->committed = c->next;
    op_group_commit_submit(&o->op);
}

struct asking {
    struct op_group_offsets op;
    struct group_offset offset;
    struct cursor *cursor;
};

static void begin(struct cursor *c, int64_t position)
{
    const struct partition *p = partition_find(c->taps->shard, c->log_id);
    struct tap tap;
    if (!p || !tap_find(c, &tap)) {
        cursor_wait(c, LOOK_MS); /* the next look finds it gone */
        return;
    }
    c->next = position >= 0 ? (uint64_t)position : tap.from_next ? log_durable(p->log) : log_start(p->log);
    c->committed = position >= 0 ? c->next : UINT64_MAX;
    commit(c);
    cursor_read(c);
}

static void asked(struct conn *conn, struct op *op)
{
    struct asking *o = container_of(op, struct asking, op.g.op);
    struct cursor *c = o->cursor;
    (void)conn;
    int err = op->err ? op->err : o->offset.err;
    int64_t position = o->offset.offset;
    op_group_free(&o->op.g);
    c->state = CURSOR_WAITING;
    if (cursor_over(c) || err == ERR_STOPPING)
        return;
    if (err)
        cursor_wait(c, LOOK_MS);
    else
        begin(c, position);
}

static void cursor_ask(struct cursor *c)
{
    struct asking *o = op_new_internal(c->taps->shard, sizeof(*o), asked, NULL);
    o->cursor = c;
    o->offset = (struct group_offset){.topic = c->topic, .partition = c->partition, .offset = -1};
    o->op.g.group = c->group;
    o->op.offsets = &o->offset;
    o->op.count = 1;
    c->state = CURSOR_ASKING;
    c->committed = UINT64_MAX;
    op_group_offsets_submit(&o->op);
}

/* ---- from records to a run ----------------------------------------------------------------------------- */

/* False: memory is gone. */
static bool keep_message(struct taps *t, struct run *r, const struct message *m, uint64_t seq)
{
    size_t len = message_record_bytes(m);
    struct chunk *c = r->filling;
    if (!c || c->cap - c->used < len) {
        c = chunk_new(&t->shard->input_pool, len > CHUNK_BYTES ? len : CHUNK_BYTES);
        if (!c)
            return false;
        c->used = 0;
        r->filling = c;
    } else {
        chunk_ref(c);
    }
    struct run_message *to = &r->messages[r->count++];
    int64_t queued;
    message_write(c->data + c->used, m, t->shard->now_ms);
    int err = message_read(span_of(c->data + c->used, len), &to->msg, &queued, NULL);
    assert(err == 0);
    (void)err;
    c->used += (uint32_t)len;
    to->chunk = c;
    to->seq = seq;
    r->bytes += len;
    return true;
}

static bool add_record(struct cursor *c, struct run *r, const struct tap *tap, const struct record *rec)
{
    const struct message_format *f = message_formats[MESSAGE_FORMAT_AMQP];
    struct message m = {.ttl_ms = -1};
    struct arena a;
    arena_init(&a);
    if (f && f->of_record)
        f->of_record(rec, true, &a, &m);
    else
        m.body = rec->value;
    m.exchange = tap->exchange;
    m.key = span_is_null(tap->key) ? tap->topic : tap->key;
    m.flags = MESSAGE_PERSISTENT;
    bool kept = keep_message(c->taps, r, &m, (uint64_t)rec->offset + 1);
    arena_fini(&a);
    return kept;
}

static bool is_full(const struct run *r)
{
    return r->count == RUN_RECORDS || r->bytes >= RUN_BYTES;
}

/* 1: the run is full; 0: the batch is done; or an error. */
static int add_batch(struct cursor *c, struct run *r, const struct tap *tap, struct span batch)
{
    struct shard *s = c->taps->shard;
    struct records_iter it;
    struct record rec;
    int more, err;
    if ((uint64_t)batch_next_offset(batch.ptr) <= r->end)
        return 0;
    if (!(batch_attributes(batch.ptr) & BATCH_CONTROL)) {
        err = records_open(s->compressor, batch, c->max_decoded_bytes, &it);
        if (err)
            return err;
        while ((more = records_next(&it, &rec)) > 0) {
            if (rec.offset < (int64_t)r->end)
                continue;
            if (is_full(r))
                return 1;
            if (!add_record(c, r, tap, &rec))
                return r->count ? 1 : ERR_NO_MEMORY;
            r->end = (uint64_t)rec.offset + 1;
        }
        if (more < 0)
            return more;
    }
    r->end = (uint64_t)batch_next_offset(batch.ptr);
    return 0;
}

static int fill(struct cursor *c, struct run *r, const struct tap *tap, const struct rope *data)
{
    int err = 0;
    for (size_t i = 0; i < data->count && !err; i++) {
        struct span rest = span_of(data->slices[i].ptr, data->slices[i].len);
        size_t len;
        while (rest.len > 0 && !err) {
            err = batch_peek(rest, &len);
            if (err)
                break;
            err = add_batch(c, r, tap, span_of(rest.ptr, len));
            rest = span_of(rest.ptr + len, rest.len - len);
        }
    }
    compressor_trim(c->taps->shard->compressor);
    return err < 0 ? err : 0;
}

/* ---- targets ------------------------------------------------------------------------------------------- */

static void to_queue(struct cursor *c, struct run *r, uint64_t id, unsigned shard, uint32_t index,
                     int64_t due_ms)
{
    struct target *t = NULL;
    for (uint32_t i = 0; i < r->target_count && !t; i++)
        if (r->targets[i]->queue_id == id)
            t = r->targets[i];
    if (!t) {
        t = mem_zalloc(sizeof(*t));
        *t = (struct target){.queue_id = id, .shard = shard, .cursor = c};
        r->targets = mem_realloc(r->targets, (r->target_count + 1) * sizeof(*r->targets));
        r->targets[r->target_count++] = t;
    }
    if (t->count == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 16;
        t->items = mem_realloc(t->items, t->cap * sizeof(*t->items));
    }
    t->items[t->count++] = (struct target_item){index, due_ms};
}

static struct span own(struct span s)
{
    return span_is_null(s) ? s : span_of(mem_strndup(s.ptr, s.len), s.len);
}

static void to_topic(struct cursor *c, struct run *r, const struct topic_way *way, uint32_t index)
{
    struct posting *p = mem_zalloc(sizeof(*p));
    *p = (struct posting){.cursor = c, .index = index, .way = *way};
    p->way.name = own(way->name);
    p->way.args = own(way->args);
    r->postings = mem_realloc(r->postings, (r->posting_count + 1) * sizeof(*r->postings));
    r->postings[r->posting_count++] = p;
}

static void route_one(struct cursor *c, struct run *r, struct exchange *x, uint32_t index)
{
    struct taps *t = c->taps;
    struct shard *s = t->shard;
    struct topic_way way;
    route_reset(&t->route);
    route_message(&t->route, &s->spaces->root->route_space, x, &r->messages[index].msg, false, &t->dice);
    for (uint32_t i = 0; i < t->route.count; i++) {
        if (topic_way_of(t->route.dests[i], t->route.via[i], &way)) {
            to_topic(c, r, &way, index);
            continue;
        }
        const struct queue_info *q = container_of(t->route.dests[i], struct queue_info, dest);
        to_queue(c, r, q->id, q->shard, index, 0);
    }
    if (t->route.subjects)
        subject_deliver_message(s, s->spaces->root, &r->messages[index].msg, r->messages[index].chunk, NULL);
    if (t->route.delayed) {
        uint64_t id = t->route.delayed->id;
        to_queue(c, r, id, store_shard_of(s->broker->store, id), index, s->now_ms + t->route.delay_ms);
    }
}

/* ---- sending ------------------------------------------------------------------------------------------- */

static void run_part_over(struct cursor *c);

static void taken(struct conn *conn, struct op *op)
{
    struct op_publish *p = (struct op_publish *)op;
    struct target *t = op->user;
    (void)conn;
    t->cursor->run->stopping |= op->err == ERR_STOPPING;
    for (uint32_t i = 0; !op->err && i < p->count && !p->items[i].err; i++)
        t->done++;
    struct cursor *c = t->cursor;
    op_publish_free(p);
    run_part_over(c);
}

static void send_to_queue(struct cursor *c, struct target *t)
{
    struct op_publish *p = op_new_internal(c->taps->shard, sizeof(*p), taken, t);
    p->shard = t->shard;
    p->origin = c->origin;
    p->sequence = true;
    for (uint32_t i = t->done; i < t->count; i++) {
        const struct run_message *m = &c->run->messages[t->items[i].index];
        struct publish_item *it = op_publish_add(p);
        it->msg = m->msg;
        it->msg.due_ms = t->items[i].due_ms;
        it->tag = m->seq;
        op_publish_add_queue(p, t->queue_id);
        op_publish_keep(p, m->chunk);
    }
    c->run->pending++;
    op_publish_submit(p);
}

static void posted(struct conn *conn, struct op *op)
{
    struct op_append *a = (struct op_append *)op;
    struct posting *p = op->user;
    struct cursor *c = p->cursor;
    (void)conn;
    int err = op->err ? op->err : a->items[0].err;
    c->run->stopping |= err == ERR_STOPPING;
    p->done = err == 0 || err == ERR_NOT_FOUND;
    op_append_free(a);
    run_part_over(c);
}

/* What the topic can never take is dropped. */
static void send_to_topic(struct cursor *c, struct posting *p)
{
    struct shard *s = c->taps->shard;
    struct record_builder b = {0};
    struct topic_post post;
    struct span batch;
    struct chunk *chunk;
    struct arena a;
    arena_init(&a);
    int err = topic_post(s, &p->way, &c->run->messages[p->index].msg, &a, &post);
    if (!err)
        err = record_build_add(&b, &s->input_pool, &post.draft, s->now_ms);
    if (!err)
        err = topic_post_seal(s, &post.policy, &b, &batch, &chunk);
    arena_fini(&a);
    p->done = err && err != ERR_NO_MEMORY;
    if (err)
        return;
    struct op_append *o = op_new_internal(s, sizeof(*o), posted, p);
    o->shard = post.shard;
    o->count = 1;
    o->items = mem_zalloc(sizeof(*o->items));
    o->items[0] = (struct append_item){.log_id = post.log_id, .batch = batch, .chunk = chunk};
    c->run->pending++;
    op_append_submit(o);
}

static bool run_is_done(const struct run *r)
{
    for (uint32_t i = 0; i < r->target_count; i++)
        if (r->targets[i]->done < r->targets[i]->count)
            return false;
    for (uint32_t i = 0; i < r->posting_count; i++)
        if (!r->postings[i]->done)
            return false;
    return true;
}

static void run_part_over(struct cursor *c)
{
    struct run *r = c->run;
    assert(c->state == CURSOR_SENDING && r->pending > 0);
    if (--r->pending > 0)
        return;
    c->state = CURSOR_WAITING;
    if (cursor_over(c) || r->stopping)
        return;
    if (!run_is_done(r)) {
        metrics_add(c->taps->shard->metrics, METRIC_TAP_STALLS, 1);
        cursor_wait(c, RETRY_MS);
        return;
    }
    metrics_add(c->taps->shard->metrics, METRIC_TAP_RECORDS, r->count);
    c->next = r->end;
    c->run = NULL;
    run_free(r);
    commit(c);
    cursor_read(c);
}

static void run_send(struct cursor *c)
{
    struct run *r = c->run;
    c->state = CURSOR_SENDING;
    r->pending = 1;
    for (uint32_t i = 0; i < r->target_count; i++)
        if (r->targets[i]->done < r->targets[i]->count)
            send_to_queue(c, r->targets[i]);
    for (uint32_t i = 0; i < r->posting_count; i++)
        if (!r->postings[i]->done)
            send_to_topic(c, r->postings[i]);
    run_part_over(c);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static void run_begin(struct cursor *c, const struct rope *data)
{
    struct tap tap;
    struct exchange *x =
        tap_find(c, &tap) ? space_exchange(c->taps->shard->spaces->root, tap.exchange) : NULL;
    if (!x) {
        metrics_add(c->taps->shard->metrics, METRIC_TAP_STALLS, 1);
        cursor_wait(c, LOOK_MS);
        return;
    }
    struct run *r = c->run = mem_zalloc(sizeof(*r));
    r->end = c->next;
    int err = fill(c, r, &tap, data);
    if (err && r->count == 0) { /* it cannot be read: it is looked at again, as Kafka's consumers do */
        c->run = NULL;
        run_free(r);
        cursor_wait(c, LOOK_MS);
        return;
    }
    for (uint32_t i = 0; i < r->count; i++)
        route_one(c, r, x, i);
    run_send(c);
}

static void read_done(struct conn *conn, struct op *op)
{
    struct op_read *o = (struct op_read *)op;
    struct cursor *c = op->user;
    const struct read_item *it = &o->items[0];
    int err = op->err ? op->err : it->err;
    (void)conn;
    c->state = CURSOR_WAITING;
    if (cursor_over(c) || err == ERR_STOPPING || c->taps->shard->stopping) {
        op_read_free(o);
        return;
    }
    if (err == ERR_OFFSET_RANGE) {
        if (it->log_start > c->next)
            metrics_add(c->taps->shard->metrics, METRIC_TAP_LOST, it->log_start - c->next);
        c->next = it->log_start > c->next ? it->log_start : it->durable;
    }
    if (err && err != ERR_OFFSET_RANGE)
        cursor_wait(c, LOOK_MS);
    else if (it->read.data.len > 0)
        run_begin(c, &it->read.data);
    else
        cursor_read(c);
    op_read_free(o);
}

static void cursor_read(struct cursor *c)
{
    struct shard *s = c->taps->shard;
    struct op_read *o = op_new_internal(s, sizeof(*o), read_done, c);
    o->shard = s->index;
    o->count = 1;
    o->items = mem_zalloc(sizeof(*o->items));
    o->items[0] = (struct read_item){
        .log_id = c->log_id, .offset = c->next, .max_bytes = RUN_BYTES, .leader_epoch = -1, .last_epoch = -1};
    o->max_bytes = RUN_BYTES;
    o->wait_bytes = 1;
    o->deadline_mono_ns = s->now_ns + READ_WAIT_MS * 1000000ull;
    c->state = CURSOR_READING;
    op_read_submit(o);
}

static void fire(struct shard *s, struct shard_timer *t)
{
    struct cursor *c = container_of(t, struct cursor, timer);
    (void)s;
    assert(c->state == CURSOR_WAITING);
    if (cursor_over(c))
        return;
    if (c->run)
        run_send(c);
    else if (c->committed == UINT64_MAX)
        cursor_ask(c);
    else
        cursor_read(c);
}

/* ---- which cursors there are --------------------------------------------------------------------------- */

static void cursor_new(struct taps *t, const struct tap *tap, const struct topic *topic, uint32_t partition)
{
    static const char prefix[] = "tap.";
    struct cursor *c = mem_zalloc(sizeof(*c));
    struct arena a;
    arena_init(&a);
    const char *group = arena_printf(&a, "%s%.*s", prefix, SPAN_ARG(tap->name));
    c->taps = t;
    c->name = own(tap->name);
    c->group = own(span_str(group));
    c->topic = topic->id;
    c->partition = partition;
    c->log_id = topic->partitions[partition].log_id;
    c->max_decoded_bytes = topic->policy.max_decoded_bytes;
    /* The same after a restart, and no log's id: those are smaller. */
    const char *identity = arena_printf(&a, "%llu/%s", (unsigned long long)c->log_id, group);
    c->origin = (hash_stable(span_str(identity)) >> 1) | 1ull << 62;
    arena_fini(&a);
    c->timer.fire = fire;
    c->seen = true;
    list_add_tail(&t->cursors, &c->link);
    cursor_ask(c);
}

static struct cursor *cursor_find(struct taps *t, struct span name, uint64_t log_id)
{
    list_each (l, &t->cursors) {
        struct cursor *c = list_entry(l, struct cursor, link);
        if (!c->gone && c->log_id == log_id && span_eq(c->name, name))
            return c;
    }
    return NULL;
}

static void look_at(struct taps *t, const struct tap *tap)
{
    const struct topic *topic = topic_table_find(t->shard, tap->topic);
    for (uint32_t i = 0; topic && i < topic->partition_count; i++) {
        if (topic->partitions[i].shard != t->shard->index)
            continue;
        struct cursor *c = cursor_find(t, tap->name, topic->partitions[i].log_id);
        if (c)
            c->seen = true;
        else
            cursor_new(t, tap, topic, i);
    }
}

static void look(struct shard *s, struct shard_timer *timer)
{
    struct taps *t = container_of(timer, struct taps, look);
    const struct meta_record *r;
    struct tap tap;
    if (s->stopping || s->saving)
        return;
    list_each (l, &t->cursors)
        list_entry(l, struct cursor, link)->seen = false;
    for (size_t i = 0; (r = meta_record_next(s, RECORD_TAP, &i));) {
        tap_of_record(r, &tap);
        look_at(t, &tap);
    }
    list_each_safe (k, tmp, &t->cursors) {
        struct cursor *c = list_entry(k, struct cursor, link);
        c->gone |= !c->seen;
        if (c->gone && c->state == CURSOR_WAITING)
            cursor_over(c);
    }
    if (meta_record_count(s, RECORD_TAP) > 0 || !list_empty(&t->cursors))
        shard_timer_set(s, &t->look, s->now_ns + LOOK_MS * 1000000ull);
}

static void taps_free(struct shard_keep *k)
{
    struct taps *t = container_of(k, struct taps, keep);
    list_each_safe (l, tmp, &t->cursors)
        cursor_free(list_entry(l, struct cursor, link));
    shard_timer_cancel(t->shard, &t->look);
    route_fini(&t->route);
    mem_free(t);
}

void taps_start(struct shard *s)
{
    struct shard_keep *k = shard_keep_find(s, taps_free);
    struct taps *t = k ? container_of(k, struct taps, keep) : NULL;
    if (!t && meta_record_count(s, RECORD_TAP) == 0)
        return;
    if (!t) {
        t = mem_zalloc(sizeof(*t));
        t->keep.free = taps_free;
        t->shard = s;
        t->look.fire = look;
        t->dice = s->now_ns ^ 0x9e3779b97f4a7c15ull;
        list_init(&t->cursors);
        route_init(&t->route);
        shard_keep_add(s, &t->keep);
    }
    shard_timer_set(s, &t->look,
                    s->now_ns); /* in this turn's or the next one's timers, when all is applied */
}

static void put(struct shard *s, struct meta_record *r, struct span old, bool live)
{
    (void)r;
    (void)old;
    if (live)
        taps_start(s);
}

static void drop(struct shard *s, struct meta_record *r, bool live)
{
    (void)r;
    if (live)
        taps_start(s);
}

const struct meta_record_ops tap_record_ops = {.put = put, .drop = drop};
