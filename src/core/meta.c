#include "core/meta.h"

#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/meta_record_impl.h"
#include "core/op_impl.h"
#include "core/space_impl.h"
#include "core/topic_table.h"

enum { ROUND_MAX = 1000, FIRST_LOG_ID = 1, FIRST_PRODUCER_ID = 1 };

/* The round's way through the other shards. */
struct meta_order {
    struct msg msg;
    struct meta *meta;
};

static void pump(struct meta *m);

/* ---- rounds -------------------------------------------------------------------------------------------- */

static void end_change(struct meta *m, struct meta_change *ch, int err)
{
    list_del(&ch->link);
    ch->finish(m, ch, err);
    arena_fini(&ch->arena);
    mem_free(ch);
}

static void end_round(struct meta *m, int err)
{
    map_fini(&m->names);
    m->busy = m->applied = false;
    m->round_count = m->round_creates = m->round_durable = 0;
    struct list ended;
    list_init(&ended);
    while (!list_empty(&m->round)) {
        struct list *l = list_first(&m->round);
        list_del(l);
        list_add_tail(&ended, l);
    }
    while (!list_empty(&ended))
        end_change(m, list_entry(list_first(&ended), struct meta_change, link), err);
    pump(m);
}

static void acknowledged(struct shard *s, struct msg *msg)
{
    struct meta *m = container_of(msg, struct meta_order, msg)->meta;
    assert(s == m->shard && m->acks_left > 0);
    if (--m->acks_left == 0)
        end_round(m, 0);
}

/* Virtual hosts first: they hear of a topic that goes while it is still there. */
static int apply(struct shard *s, const struct meta_command *c, bool live)
{
    int err = space_apply(s, c, live);
    if (!err)
        err = records_apply(s, c, live);
    return err ? err : topic_table_apply(s, c, live);
}

static void apply_here(struct shard *s, const struct list *round)
{
    list_each (l, round) {
        int err = apply(s, &list_entry(l, struct meta_change, link)->command, true);
        assert(err == 0); /* it was validated against the same state */
        (void)err;
    }
}

static void apply_elsewhere(struct shard *s, struct msg *msg)
{
    struct meta *m = container_of(msg, struct meta_order, msg)->meta;
    apply_here(s, &m->round);
    msg->run = acknowledged;
    msg_send(s, m->shard, msg);
}

static void apply_ids(struct meta *m, const struct meta_command *c)
{
    switch (c->type) {
    case META_CLUSTER:
        memcpy(m->cluster_id, c->cluster_id, sizeof(m->cluster_id));
        m->has_cluster_id = true;
        break;
    case META_PRODUCER_IDS:
        if (c->next > m->producer_limit)
            m->producer_limit = c->next;
        break;
    case META_LOG_IDS:
        if (c->next > m->next_log_id)
            m->next_log_id = c->next;
        break;
    case META_EXCHANGE_PUT:
    case META_QUEUE_PUT: {
        uint64_t *next = c->next > QUEUE_VOLATILE_IDS ? &m->next_volatile_id : &m->next_log_id;
        if (c->next > *next)
            *next = c->next;
        break;
    }
    default:
        for (uint32_t i = 0; i < c->run_count; i++)
            if (c->runs[i].first_log + c->runs[i].count > m->next_log_id)
                m->next_log_id = c->runs[i].first_log + c->runs[i].count;
    }
}

static void commit(struct meta *m)
{
    list_each (l, &m->round)
        apply_ids(m, &list_entry(l, struct meta_change, link)->command);
    apply_here(m->shard, &m->round);
    m->applied = true;
    struct broker *b = m->shard->broker;
    m->acks_left = b->shard_count - 1;
    for (unsigned i = 1; i < b->shard_count; i++) {
        m->orders[i].msg.run = apply_elsewhere;
        msg_send(m->shard, &b->shards[i], &m->orders[i].msg);
    }
    if (m->acks_left == 0)
        end_round(m, 0);
}

static void durable(struct store_wait *w, int err)
{
    struct meta *m = container_of(w, struct meta, wait);
    if (err)
        end_round(m, err);
    else
        commit(m);
}

/* ---- what a round touches ------------------------------------------------------------------------------ */

static char touched_shared, touched_alone;
#define META_SHARED ((void *)&touched_shared)
#define META_ALONE  ((void *)&touched_alone)

struct span meta_change_keep(struct meta_change *ch, struct span bytes)
{
    return bytes.len ? span_of(arena_copy(&ch->arena, bytes.ptr, bytes.len), bytes.len) : span_str("");
}

void meta_change_key(struct meta_change *ch, struct span key, bool alone)
{
    if (ch->key_count == ch->key_cap) {
        struct meta_key *old = ch->keys;
        ch->key_cap = ch->key_cap ? ch->key_cap * 2 : 4;
        ch->keys = arena_array(&ch->arena, ch->key_cap, sizeof(*ch->keys));
        if (ch->key_count)
            memcpy(ch->keys, old, ch->key_count * sizeof(*old));
    }
    ch->keys[ch->key_count++] = (struct meta_key){key, alone};
}

/* The stronger claim stays. */
static void touch(struct meta *m, struct span key, bool alone)
{
    void *now = map_get(&m->names, key);
    if (now == META_ALONE || (now && !alone))
        return;
    if (now)
        map_del(&m->names, key);
    map_put(&m->names, key, alone ? META_ALONE : META_SHARED);
}

void meta_change_hold(struct meta *m, struct meta_change *ch)
{
    for (uint32_t i = 0; i < ch->key_count; i++)
        touch(m, ch->keys[i].key, true);
}

bool meta_change_free(struct meta *m, struct meta_change *ch)
{
    for (uint32_t i = 0; i < ch->key_count; i++) {
        void *now = map_get(&m->names, ch->keys[i].key);
        if (now && (now != META_SHARED || ch->keys[i].alone)) {
            meta_change_hold(m, ch);
            return false;
        }
    }
    return true;
}

/* ---- into the round ------------------------------------------------------------------------------------ */

static int append(struct meta *m, struct meta_change *ch)
{
    struct outq q;
    struct writer w;
    outq_init(&q, &m->shard->output_pool);
    writer_init(&w, &q);
    meta_write(&w, &ch->command);
    int err = w.err;
    if (!err) {
        uint8_t *bytes = arena_alloc(&ch->arena, q.len);
        outq_copy_to(&q, bytes);
        err = store_command_append(m->shard->store, STORE_META_LOG, span_of(bytes, q.len));
    }
    outq_fini(&q);
    return err;
}

static void join_round(struct meta *m, struct meta_change *ch)
{
    const struct meta_command *c = &ch->command;
    list_del(&ch->link);
    list_add_tail(&m->round, &ch->link);
    m->round_count++;
    if (!ch->is_volatile)
        m->round_durable++;
    if (c->type == META_TOPIC_CREATE)
        m->round_creates++;
    if (!span_is_null(ch->name))
        map_put(&m->names, ch->name, ch);
    for (uint32_t i = 0; i < ch->key_count; i++)
        touch(m, ch->keys[i].key, ch->keys[i].alone);
    for (uint32_t i = 0; i < c->run_count; i++)
        m->next_log_id += c->runs[i].count;
    if (c->type == META_QUEUE_PUT || c->type == META_EXCHANGE_PUT)
        apply_ids(m, c);
}

/* ERR_AGAIN: no room in the journal now. */
static int admit(struct meta *m, struct meta_change *ch)
{
    int r = m->shard->saving ? ERR_STOPPING : ch->prepare(m, ch);
    if (r == META_LATER)
        return 0;
    if (r != META_APPEND && r != META_VOLATILE) {
        end_change(m, ch, r < 0 ? r : 0);
        return 0;
    }
    ch->is_volatile = r == META_VOLATILE;
    int err = ch->is_volatile ? 0 : append(m, ch);
    if (err == ERR_AGAIN)
        return err;
    if (err)
        end_change(m, ch, err);
    else
        join_round(m, ch);
    return 0;
}

static void fill_round(struct meta *m)
{
    do {
        m->more = false;
        list_each_safe (l, tmp, &m->queue) {
            if (m->round_count == ROUND_MAX)
                return;
            if (admit(m, list_entry(l, struct meta_change, link)) == ERR_AGAIN) {
                m->stalled = true;
                shard_wait_for_space(m->shard, &m->stall);
                return;
            }
        }
    } while (m->more && m->round_count == 0); /* a finish() has submitted */
}

static void begin_round(struct meta *m)
{
    m->busy = true;
    if (m->round_durable == 0) {
        commit(m);
        return;
    }
    store_wait(m->shard->store, &m->wait);
    shard_appended(m->shard);
}

/* A loop, since a round of volatile changes may end at once. */
static void pump(struct meta *m)
{
    if (m->pumping)
        return;
    m->pumping = true;
    while (!m->busy && !m->stalled) {
        fill_round(m);
        if (m->round_count == 0) {
            map_fini(&m->names); /* held for the next look */
            break;
        }
        begin_round(m);
    }
    m->pumping = false;
}

void meta_again(struct meta *m)
{
    m->more = true;
    pump(m);
}

/* Deletes may use the reserve, so that a full disk can be emptied: the rest fails one by one. */
static int room_again(struct shard *s, struct space_wait *w, int err)
{
    struct meta *m = container_of(w, struct meta, stall);
    (void)s;
    (void)err;
    m->stalled = false;
    pump(m);
    return 0;
}

struct meta_change *meta_change_new(struct op *op, int (*prepare)(struct meta *m, struct meta_change *change),
                                    void (*finish)(struct meta *m, struct meta_change *change, int err))
{
    struct meta_change *ch = mem_zalloc(sizeof(*ch));
    list_init(&ch->link);
    arena_init(&ch->arena);
    ch->op = op;
    ch->prepare = prepare;
    ch->finish = finish;
    return ch;
}

void meta_submit(struct meta *m, struct meta_change *change)
{
    list_add_tail(&m->queue, &change->link);
    m->more = true;
    pump(m);
}

/* ---- the cluster's id ---------------------------------------------------------------------------------- */

static int prepare_cluster(struct meta *m, struct meta_change *ch)
{
    if (m->has_cluster_id)
        return META_NOTHING;
    ch->command = (struct meta_command){.type = META_CLUSTER};
    os_random(ch->command.cluster_id, sizeof(ch->command.cluster_id));
    return META_APPEND;
}

void meta_ensure_cluster_id(struct meta *m, void (*done)(struct meta *m, struct meta_change *change, int err))
{
    meta_submit(m, meta_change_new(NULL, prepare_cluster, done));
}

/* ---- replay and snapshots ------------------------------------------------------------------------------ */

int meta_replay(struct meta *m, struct span command)
{
    struct broker *b = m->shard->broker;
    struct meta_command c;
    struct arena a;
    arena_init(&a);
    int err = meta_read(command, &a, &c);
    for (unsigned i = 0; !err && i < b->shard_count; i++)
        err = apply(&b->shards[i], &c, false);
    if (!err) {
        apply_ids(m, &c);
        m->producer_next = m->producer_limit; /* what was left of the last block is given up */
    }
    arena_fini(&a);
    return err;
}

static int replay_one(void *arg, struct span command)
{
    return meta_replay(arg, command);
}

int meta_restore(struct meta *m, struct span snapshot)
{
    return meta_snapshot_read(snapshot, replay_one, m);
}

/* Partitions as runs of consecutive log ids. */
static void topic_runs(const struct topic *t, struct arena *a, struct meta_command *c)
{
    c->runs = arena_array(a, t->partition_count, sizeof(*c->runs));
    for (uint32_t i = 0; i < t->partition_count; i++) {
        struct meta_run *last = c->run_count ? &c->runs[c->run_count - 1] : NULL;
        uint64_t id = t->partitions[i].log_id;
        if (last && last->first_log + last->count == id)
            last->count++;
        else
            c->runs[c->run_count++] = (struct meta_run){id, 1};
    }
    c->partitions = t->partition_count;
}

static void snapshot_topic(struct writer *w, const struct topic *t)
{
    struct arena a;
    arena_init(&a);
    struct meta_command c = {.type = META_TOPIC_CREATE,
                             .topic = t->id,
                             .vhost = t->vhost->id,
                             .name = span_of(t->name, t->name_len),
                             .config = t->config};
    topic_runs(t, &a, &c);
    meta_snapshot_add(w, &c);
    arena_fini(&a);
}

static void snapshot_ids(struct writer *w, const struct meta *m)
{
    struct meta_command c = {.type = META_CLUSTER};
    memcpy(c.cluster_id, m->cluster_id, sizeof(c.cluster_id));
    if (m->has_cluster_id)
        meta_snapshot_add(w, &c);
    meta_snapshot_add(w, &(struct meta_command){.type = META_LOG_IDS, .next = m->next_log_id});
    meta_snapshot_add(w, &(struct meta_command){.type = META_PRODUCER_IDS, .next = m->producer_limit});
}

void meta_snapshot(struct meta *m, struct outq *out)
{
    struct writer w;
    struct arena a;
    size_t count;
    writer_init(&w, out);
    arena_init(&a);
    meta_snapshot_begin(&w);
    snapshot_ids(&w, m);
    struct topic **topics = topic_table_sorted(m->shard, &a, &count);
    for (size_t i = 0; i < count; i++)
        snapshot_topic(&w, topics[i]);
    space_snapshot(m->shard, &w);
    records_snapshot(m->shard, &w);
    arena_fini(&a);
    if (!m->applied)
        list_each (l, &m->round)
            if (!list_entry(l, struct meta_change, link)->is_volatile)
                meta_snapshot_add(&w, &list_entry(l, struct meta_change, link)->command);
    if (w.err)
        outq_fini(out);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

struct meta *meta_new(struct shard *shard0, unsigned shards)
{
    struct meta *m = mem_zalloc(sizeof(*m));
    m->shard = shard0;
    list_init(&m->queue);
    list_init(&m->round);
    list_init(&m->producer_waiters);
    map_init(&m->names);
    m->wait.done = durable;
    m->stall.retry = room_again;
    m->orders = mem_zalloc(shards * sizeof(*m->orders));
    for (unsigned i = 0; i < shards; i++)
        m->orders[i].meta = m;
    m->next_log_id = FIRST_LOG_ID;
    m->next_volatile_id = QUEUE_VOLATILE_IDS;
    m->producer_next = m->producer_limit = FIRST_PRODUCER_ID;
    return m;
}

static void free_changes(struct list *changes)
{
    list_each_safe (l, tmp, changes) {
        struct meta_change *ch = list_entry(l, struct meta_change, link);
        arena_fini(&ch->arena);
        mem_free(ch);
    }
}

void meta_free(struct meta *m)
{
    if (!m)
        return;
    free_changes(&m->queue);
    free_changes(&m->round);
    map_fini(&m->names);
    mem_free(m->orders);
    mem_free(m);
}
