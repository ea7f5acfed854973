/* From a message to all that hear it.
 *
 * Those on this shard get it at once, encoded once for all that speak the same; of the others only the counts
 * are known here, and each shard that has any gets one node at the end of the turn, with all that was
 * published for it in this turn. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/say.h"
#include "core/metrics.h"
#include "core/subject_impl.h"

enum {
    /* After which publishers wait for the next turn: what was queued must be written now and then, or a burst
     * fills the memory and cuts subscribers that are not slow. */
    TURN_MESSAGES = 32768,
    TURN_BYTES = 4 << 20,
    /* The more subscribers are to be written to, the more is gathered for each of them: a write costs as much
     * as about so many small messages, or bytes. */
    WRITE_MESSAGES = 256,
    WRITE_BYTES = 32 << 10,
    COPY_CHUNK_BYTES = 64 << 10,
    LOOK_MS = 1000,
    BEHIND_BYTES = 64 << 10, /* unread: whoever has more counts where memory runs short */
    RELIEF_MS = 20,          /* connections must close before what they held is free */
};
#define KNOWN_ALL UINT64_MAX

/* ---- what goes to another shard -------------------------------------------------------------------------
 */

struct run_item {
    uint32_t vhost;
    uint8_t plane;
    uint64_t known;           /* number of the target shard's last change that was known here */
    struct subject_message m; /* one reference to m.chunk, or NULL: that of the item before holds it, too */
};

/* Who gets credit back when the other shard is done with it. */
struct run_credit {
    struct handle conn;
    size_t bytes;
};

struct subject_run {
    struct msg msg;
    struct shard *home;
    uint32_t count, cap;
    struct run_item *items;
    uint32_t credit_count, credit_cap;
    struct run_credit *credits;
};

static void run_free(struct subject_run *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        chunk_unref(r->items[i].m.chunk);
    mem_free(r->items);
    mem_free(r->credits);
    mem_free(r);
}

static void run_back(struct shard *here, struct msg *m)
{
    struct subject_run *r = container_of(m, struct subject_run, msg);
    for (uint32_t i = 0; i < r->credit_count; i++) {
        struct conn *c = handle_get(&here->conns, r->credits[i].conn);
        if (c)
            conn_give_credit(c, r->credits[i].bytes);
    }
    run_free(r);
}

static void hear_here(struct shard *s, const struct run_item *it);

static void run_arrived(struct shard *here, struct msg *m)
{
    struct subject_run *r = container_of(m, struct subject_run, msg);
    for (uint32_t i = 0; i < r->count; i++)
        hear_here(here, &r->items[i]);
    r->msg.run = run_back;
    msg_send(here, r->home, &r->msg);
}

/* Bytes that were only borrowed. False: memory is gone. */
static bool copy_message(struct subjects *j, struct subject_message *m)
{
    struct span *parts[] = {&m->key, &m->body, &m->props};
    size_t len = m->key.len + m->body.len + m->props.len;
    struct chunk *c = j->copies;
    if (!c || c->cap - c->used < len) {
        chunk_unref(c);
        c = j->copies =
            chunk_new(&j->shard->input_pool, len > COPY_CHUNK_BYTES ? len : (size_t)COPY_CHUNK_BYTES);
        if (!c)
            return false;
        c->used = 0;
    }
    for (int i = 0; i < 3; i++) {
        if (parts[i]->len)
            memcpy(c->data + c->used, parts[i]->ptr, parts[i]->len);
        *parts[i] = span_of(c->data + c->used, parts[i]->len);
        c->used += (uint32_t)parts[i]->len;
    }
    m->chunk = c;
    return true;
}

static struct subject_run *run_for(struct subjects *j, unsigned shard)
{
    if (!j->runs[shard]) {
        j->runs[shard] = mem_zalloc(sizeof(struct subject_run));
        j->runs[shard]->home = j->shard;
        j->gathered |= 1ull << shard;
    }
    return j->runs[shard];
}

static void note_credit(struct subject_run *r, const struct conn *publisher, size_t bytes)
{
    struct run_credit *last = r->credit_count ? &r->credits[r->credit_count - 1] : NULL;
    if (last && last->conn.index == publisher->handle.index &&
        last->conn.generation == publisher->handle.generation) {
        last->bytes += bytes;
        return;
    }
    if (r->credit_count == r->credit_cap) {
        r->credit_cap = r->credit_cap ? r->credit_cap * 2 : 4;
        r->credits = mem_realloc(r->credits, r->credit_cap * sizeof(*r->credits));
    }
    r->credits[r->credit_count++] = (struct run_credit){publisher->handle, bytes};
}

static void add_to_run(struct subjects *j, unsigned shard, const struct vspace *v, enum subject_plane plane,
                       const struct subject_message *m, const struct conn *publisher)
{
    struct subject_run *r = run_for(j, shard);
    size_t bytes = m->key.len + m->body.len + m->props.len;
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 8;
        r->items = mem_realloc(r->items, r->cap * sizeof(*r->items));
    }
    struct run_item *it = &r->items[r->count++];
    *it = (struct run_item){v->vhost.id, (uint8_t)plane, j->applied[shard], *m};
    chunk_ref(m->chunk);
    if (publisher)
        note_credit(r, publisher, bytes);
    j->turn_messages++;
    j->turn_bytes += bytes;
}

void subjects_send(struct shard *s)
{
    struct subjects *j = s->subjects;
    j->turn_messages = j->turn_bytes = j->turn_writes = 0;
    j->turn++;
    while (j->gathered) {
        unsigned shard = (unsigned)__builtin_ctzll(j->gathered);
        struct subject_run *r = j->runs[shard];
        j->runs[shard] = NULL;
        j->gathered &= ~(1ull << shard);
        for (uint32_t i = 0; i < r->credit_count; i++) {
            struct conn *c = handle_get(&s->conns, r->credits[i].conn);
            if (c)
                conn_take_credit(c, r->credits[i].bytes);
        }
        r->msg.run = run_arrived;
        msg_send(s, &s->broker->shards[shard], &r->msg);
    }
}

bool subject_turn_is_full(const struct shard *s)
{
    const struct subjects *j = s->subjects;
    return j->turn_messages >= TURN_MESSAGES + WRITE_MESSAGES * j->turn_writes ||
           j->turn_bytes >= TURN_BYTES + WRITE_BYTES * j->turn_writes ||
           j->turn_bytes >= s->config->memory_output_bytes / 4;
}

/* ---- slow subscribers ------------------------------------------------------------------------------------
 */

static size_t unread(const struct subscriber *w)
{
    return w->conn->out.len + w->later.len;
}

void subscriber_caught_up(struct subscriber *w)
{
    if (!list_linked(&w->soft_link))
        return;
    list_del(&w->soft_link);
    metrics_gauge_add_at(w->conn->shard->metrics, METRIC_SUBJECT_LATE, 0, -1);
}

static void cut(struct subscriber *w, const char *limit)
{
    struct conn *c = w->conn;
    subscriber_caught_up(w);
    list_del(&w->behind_link);
    if (c->aborted)
        return;
    metrics_add(c->shard->metrics, METRIC_SUBJECT_SLOW, 1);
    say_warn("pubsub", "a slow subscriber is disconnected",
             "listener=%s peer=%s unread=%zu limit=%s subscriptions=%u", c->listener ? c->listener->name : "",
             c->peer ? c->peer : "", unread(w), limit,
             w->counts[SUBJECT_SHARED][SUBJECT_EXACT] + w->counts[SUBJECT_SHARED][SUBJECT_GLOB] +
                 w->counts[SUBJECT_SHARDED][SUBJECT_EXACT]);
    conn_abort(c);
}

static void look_at_soft(struct shard *s, struct shard_timer *t)
{
    struct subjects *j = s->subjects;
    const struct subject_limits *l = subject_limits(s->broker);
    uint64_t soft = atomic_load_explicit(&l->soft, memory_order_relaxed);
    uint64_t soft_ns = atomic_load_explicit(&l->soft_ms, memory_order_relaxed) * 1000000;
    list_each_safe (link, tmp, &j->soft) {
        struct subscriber *w = list_entry(link, struct subscriber, soft_link);
        if (soft == 0 || unread(w) <= soft)
            subscriber_caught_up(w);
        else if (s->now_ns - w->soft_since_ns >= soft_ns)
            cut(w, "soft");
    }
    if (!list_empty(&j->soft))
        shard_timer_set(s, t, s->now_ns + LOOK_MS * 1000000ull);
}

/* What the outputs of all connections take, shared bytes once. */
static uint64_t output_bytes(const struct broker *b)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < b->shard_count; i++)
        sum += atomic_load_explicit(&b->shards[i].output_pool.used_bytes, memory_order_relaxed);
    return sum;
}

static int most_first(const void *a, const void *b)
{
    size_t x = unread(*(const struct subscriber *const *)a), y = unread(*(const struct subscriber *const *)b);
    return (x < y) - (x > y);
}

/* Those who are behind on this shard, an array. */
static struct subscriber **behind(struct subjects *j, size_t *ret_count)
{
    struct subscriber **all = NULL;
    size_t count = 0, cap = 0;
    list_each_safe (link, tmp, &j->behind) {
        struct subscriber *w = list_entry(link, struct subscriber, behind_link);
        if (unread(w) <= BEHIND_BYTES) {
            list_del(&w->behind_link);
            continue;
        }
        if (count == cap) {
            cap = cap ? cap * 2 : 16;
            all = mem_realloc(all, cap * sizeof(struct subscriber *));
        }
        all[count++] = w;
    }
    *ret_count = count;
    return all;
}

/* All output together takes more than memory.output-bytes, though none may have too much by itself. Each
 * shard gives back its part of the excess: those with the most unread are cut, as long as it is more than
 * their share of the shard's share. */
static void relieve(struct subjects *j)
{
    const struct shard *s = j->shard;
    uint64_t used = output_bytes(s->broker), max = s->config->memory_output_bytes;
    uint64_t here = atomic_load_explicit(&s->output_pool.used_bytes, memory_order_relaxed);
    size_t count;
    if (used <= max || s->now_ns - j->relieved_ns < RELIEF_MS * 1000000ull)
        return;
    j->relieved_ns = s->now_ns;
    struct subscriber **all = behind(j, &count);
    if (count == 0)
        return;
    uint64_t share = max / s->broker->shard_count / count;
    double excess = (double)(used - max / 10 * 8) * ((double)here / (double)used);
    qsort(all, count, sizeof(struct subscriber *), most_first);
    for (size_t i = 0; i < count && excess > 0 && unread(all[i]) > share; i++) {
        excess -= (double)unread(all[i]);
        cut(all[i], "memory.output-bytes");
    }
    mem_free(all);
}

/* At the first one of a turn: what is unread then was left by the last flush. */
static void note_behind(struct subjects *j, struct subscriber *w)
{
    if (!list_linked(&w->behind_link))
        list_add_tail(&j->behind, &w->behind_link);
    if (j->relieved_turn == j->turn)
        return;
    j->relieved_turn = j->turn;
    relieve(j);
}

/* Redis's closeClientOnOutputBufferLimitReached(). */
static void limit(struct subjects *j, struct subscriber *w)
{
    struct shard *s = j->shard;
    const struct subject_limits *l = subject_limits(s->broker);
    uint64_t hard = atomic_load_explicit(&l->hard, memory_order_relaxed);
    uint64_t soft = atomic_load_explicit(&l->soft, memory_order_relaxed);
    size_t now = unread(w);
    if (hard && now > hard) {
        cut(w, "hard");
        return;
    }
    note_behind(j, w);
    if (w->conn->aborted)
        return;
    if (!soft || now <= soft || list_linked(&w->soft_link))
        return;
    w->soft_since_ns = s->now_ns;
    list_add_tail(&j->soft, &w->soft_link);
    metrics_gauge_add_at(s->metrics, METRIC_SUBJECT_LATE, 0, 1);
    if (j->look.fire != look_at_soft || list_first(&j->soft) == &w->soft_link) {
        j->look.fire = look_at_soft;
        shard_timer_set(s, &j->look, s->now_ns + LOOK_MS * 1000000ull);
    }
}

/* ---- on this shard ---------------------------------------------------------------------------------------
 */

uint8_t *subject_wire_make(struct shard *s, struct subject_wire *w, size_t len)
{
    struct chunk *c = *w->filling;
    assert(!w->chunk);
    if (!c || c->cap - c->used < len) {
        chunk_unref(c);
        c = *w->filling =
            chunk_new(&s->output_pool, len > s->output_pool.chunk_bytes ? len : s->output_pool.chunk_bytes);
        if (!c)
            return NULL;
        c->used = 0;
    }
    uint8_t *at = c->data + c->used;
    c->used += (uint32_t)len;
    w->chunk = chunk_ref(c);
    w->bytes = span_of(at, len);
    return at;
}

/* `known`: only by subscriptions that the publisher's shard has counted; KNOWN_ALL: by all. */
static void hear(struct subjects *j, const struct interest *in, const struct subject_message *m,
                 uint64_t known)
{
    struct subject_wire wires[SUBJECT_WIRES] = {0};
    bool alone = in->sub_count == 1;
    for (int i = 0; i < SUBJECT_WIRES; i++)
        wires[i].filling = &j->wires[in->slot][i];
    uint64_t auth = subject_auth_changes(j->shard);
    uint32_t heard = 0;
    for (uint32_t i = 0; i < in->sub_count; i++) {
        const struct subscription *sub = in->subs[i];
        struct subscriber *w = sub->who;
        if (known != KNOWN_ALL && (sub->since > known || sub->until <= known))
            continue;
        if (w->conn->aborted || w->conn->closing || (w->auth_seen != auth && !subscriber_may_hear(w)))
            continue;
        j->turn_writes += w->turn != j->turn;
        w->turn = j->turn;
        w->ops->deliver(w, in, m, wires, alone);
        heard++;
        if (unread(w) > m->body.len + m->key.len + COPY_CHUNK_BYTES)
            limit(j, w);
    }
    for (int i = 0; i < SUBJECT_WIRES; i++)
        chunk_unref(wires[i].chunk);
    j->turn_messages += heard;
    j->turn_bytes += (m->key.len + m->body.len) * heard;
    metrics_add(j->shard->metrics, METRIC_SUBJECT_DELIVERED, heard);
}

/* Wildcards of other protocols don't match some keys. */
static bool may_hear(const struct interest *glob, const struct subject_message *m)
{
    return glob->format == m->format || !subject_is_reserved(m->key);
}

static void hear_here(struct shard *s, const struct run_item *it)
{
    struct vspace *v = space_find_id(s, it->vhost);
    struct subject_space *sp = v ? v->subjects[it->plane] : NULL;
    uint32_t count;
    if (!sp)
        return;
    struct interest *in = interest_find(v, (enum subject_plane)it->plane, SUBJECT_EXACT, it->m.key);
    if (in && in->sub_count)
        hear(s->subjects, in, &it->m, it->known);
    struct interest *const *globs = globs_matching(sp, it->m.key, &count);
    for (uint32_t i = 0; i < count; i++)
        if (globs[i]->sub_count && may_hear(globs[i], &it->m))
            hear(s->subjects, globs[i], &it->m, it->known);
}

/* ---- publishing ------------------------------------------------------------------------------------------
 */

static uint64_t shards_of(const struct shard *s, const struct interest *in)
{
    uint64_t mask = 0;
    if (in->total == in->counts[s->index])
        return 0;
    for (unsigned i = 0; i < s->broker->shard_count; i++)
        if (i != s->index && in->counts[i])
            mask |= 1ull << i;
    return mask;
}

static void send_to(struct subjects *j, uint64_t shards, struct vspace *v, enum subject_plane plane,
                    const struct subject_message *m, const struct conn *publisher)
{
    struct subject_message kept = *m;
    if (!kept.chunk && !copy_message(j, &kept))
        return; /* memory is gone: at most once */
    for (; shards; shards &= shards - 1)
        add_to_run(j, (unsigned)__builtin_ctzll(shards), v, plane, &kept, publisher);
}

uint64_t subject_deliver(struct shard *s, struct vspace *v, enum subject_plane plane,
                         const struct subject_message *m, struct conn *publisher)
{
    struct subject_space *sp = v->subjects[plane];
    uint64_t receivers = 0, shards = 0;
    uint32_t count = 0;
    metrics_add(s->metrics, METRIC_SUBJECT_PUBLISHED, 1);
    if (!sp)
        return 0;
    struct interest *in = interest_find(v, plane, SUBJECT_EXACT, m->key);
    if (in) {
        receivers = in->total;
        shards = shards_of(s, in);
        if (in->sub_count)
            hear(s->subjects, in, m, KNOWN_ALL);
    }
    struct interest *const *globs = globs_matching(sp, m->key, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (!may_hear(globs[i], m))
            continue;
        receivers += globs[i]->total;
        shards |= shards_of(s, globs[i]);
        if (globs[i]->sub_count)
            hear(s->subjects, globs[i], m, KNOWN_ALL);
    }
    if (shards)
        send_to(s->subjects, shards, v, plane, m, publisher);
    return receivers;
}

struct key_delivery {
    struct shard *shard;
    struct vspace *space;
    struct subject_message m;
    struct conn *publisher;
    uint64_t receivers;
};

static void deliver_key(void *arg, struct span key)
{
    struct key_delivery *d = arg;
    d->m.key = key;
    d->receivers += subject_deliver(d->shard, d->space, SUBJECT_SHARED, &d->m, d->publisher);
}

uint64_t subject_deliver_message(struct shard *s, struct vspace *v, const struct message *m,
                                 struct chunk *chunk, struct conn *publisher)
{
    const struct message_format *f = message_formats[m->format];
    struct key_delivery d = {
        .shard = s,
        .space = v,
        .m = {.body = m->body, .props = m->props, .format = m->format, .chunk = chunk},
        .publisher = publisher,
    };
    deliver_key(&d, m->key);
    if (f && f->more_keys)
        f->more_keys(m, deliver_key, &d);
    return d.receivers;
}
