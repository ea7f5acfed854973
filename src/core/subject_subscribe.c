/* Subscribers: what they hear, and how the other shards come to know of it.
 *
 * A change goes from shard to shard and comes home. What another shard publishes about it was sent after the
 * change had passed there, so it comes after; and a text that was deleted is heard until the change is home.
 * So whoever publishes counts exactly those who hear it. */
#include <assert.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "core/metrics.h"
#include "core/op_impl.h"
#include "core/subject_impl.h"
#include "core/user_table.h"

static const char SUBJECT_EXCHANGE[] = "amq.topic";

struct interest_change {
    enum subject_plane plane;
    enum subject_kind kind;
    int delta;
    struct span text; /* owned */
};

/* Changes of one subscriber, on their way through the other shards. */
struct op_interest {
    struct op op;
    uint32_t vhost;
    uint8_t format;
    uint64_t number; /* of the home shard's changes */
    unsigned hops;
    uint32_t count, cap;
    struct interest_change *changes;
};

/* ---- may they ------------------------------------------------------------------------------------------ */

static int check(const struct actor *actor, enum auth_action action, struct span key)
{
    struct span exchange = span_of(SUBJECT_EXCHANGE, sizeof(SUBJECT_EXCHANGE) - 1);
    int err = auth_check(actor, action, AUTH_EXCHANGE, exchange);
    return err ? err : auth_check_topic(actor, action, exchange, key);
}

int subject_may_subscribe(const struct actor *actor, struct span text)
{
    return check(actor, AUTH_READ, text);
}

int subject_may_publish(const struct actor *actor, struct span key)
{
    return check(actor, AUTH_WRITE, key);
}

uint64_t subject_auth_changes(const struct shard *s)
{
    return atomic_load_explicit(&s->broker->users->applied[s->index], memory_order_relaxed);
}

bool subscriber_may_hear(struct subscriber *w)
{
    list_each (l, &w->subscriptions) {
        const struct subscription *sub = list_entry(l, struct subscription, link);
        if (check(&w->conn->actor, AUTH_READ, sub->in->text) == 0)
            continue;
        conn_fail(w->conn, ERR_DENIED, "its user may not hear any more what it has subscribed to");
        return false;
    }
    w->auth_seen = subject_auth_changes(w->conn->shard);
    return true;
}

/* ---- subscriptions on this shard ------------------------------------------------------------------------
 */

struct pair {
    const struct interest *in;
    const struct subscriber *who;
};

static uint64_t pair_hash(const struct pair *p)
{
    return hash_u64((uintptr_t)p->in ^ hash_u64((uintptr_t)p->who));
}

static bool is_pair(const void *item, const void *key)
{
    const struct subscription *sub = item;
    const struct pair *p = key;
    return sub->in == p->in && sub->who == p->who;
}

static struct subscription *subscription_find(const struct subscriber *w, enum subject_plane plane,
                                              enum subject_kind kind, struct span text)
{
    const struct interest *in = w->space ? interest_find(w->space, plane, kind, text) : NULL;
    struct pair p = {in, w};
    return in ? ptrset_get(&w->conn->shard->subjects->subscriptions, pair_hash(&p), is_pair, &p) : NULL;
}

static void subscription_new(struct subscriber *w, struct interest *in)
{
    struct subscription *sub = mem_zalloc(sizeof(*sub));
    struct subjects *j = w->conn->shard->subjects;
    struct pair p = {in, w};
    sub->in = in;
    sub->who = w;
    sub->since = sub->until = UINT64_MAX;
    sub->at = in->sub_count;
    if (in->sub_count == in->sub_cap) {
        in->sub_cap = in->sub_cap ? in->sub_cap * 2 : 1;
        in->subs = mem_realloc(in->subs, in->sub_cap * sizeof(struct subscription *));
    }
    in->subs[in->sub_count++] = sub;
    list_add_tail(&w->subscriptions, &sub->link);
    ptrset_put(&j->subscriptions, pair_hash(&p), sub);
    interest_count(in, j->shard->index, 1);
    metrics_gauge_add_at(j->shard->metrics, METRIC_SUBJECT_SUBSCRIPTIONS, 0, 1);
}

static void subscription_end(struct subscription *sub)
{
    struct interest *in = sub->in;
    struct subjects *j = sub->who->conn->shard->subjects;
    struct pair p = {in, sub->who};
    struct subscription *last = in->subs[--in->sub_count];
    in->subs[sub->at] = last;
    last->at = sub->at;
    list_del(&sub->link);
    ptrset_del(&j->subscriptions, pair_hash(&p), sub);
    interest_count(in, j->shard->index, -1);
    metrics_gauge_add_at(j->shard->metrics, METRIC_SUBJECT_SUBSCRIPTIONS, 0, -1);
    mem_free(sub);
}

/* ---- the other shards ------------------------------------------------------------------------------------
 */

static void op_interest_free(struct op_interest *o)
{
    for (uint32_t i = 0; i < o->count; i++)
        mem_free((void *)o->changes[i].text.ptr);
    mem_free(o->changes);
    op_free(&o->op);
}

/* NULL conn: it has died, and has told the others itself. */
static void came_home(struct conn *c, struct op *op)
{
    struct op_interest *o = container_of(op, struct op_interest, op);
    struct subscriber *w = op->user;
    if (c) {
        assert(w->settling);
        w->settling = false;
        for (uint32_t i = 0; i < o->count; i++) {
            struct interest_change *ch = &o->changes[i];
            struct subscription *sub = subscription_find(w, ch->plane, ch->kind, ch->text);
            if (sub && sub->leaving)
                subscription_end(sub);
        }
        w->ops->settled(w);
    }
    op_interest_free(o);
}

/* What was added before this shard knew the virtual host is not there to be taken away. */
static void apply(struct shard *here, const struct op_interest *o)
{
    struct vspace *v = space_find_id(here, o->vhost);
    here->subjects->applied[o->op.home->index] = o->number;
    for (uint32_t i = 0; v && i < o->count; i++) {
        const struct interest_change *ch = &o->changes[i];
        struct interest *in = ch->delta > 0 ? interest_get(here, v, ch->plane, ch->kind, o->format, ch->text)
                                            : interest_find(v, ch->plane, ch->kind, ch->text);
        if (in && (ch->delta > 0 || in->counts[o->op.home->index]))
            interest_count(in, o->op.home->index, ch->delta);
    }
}

static void visit(struct shard *here, struct msg *m);

static void travel(struct shard *here, struct op_interest *o)
{
    struct broker *b = here->broker;
    if (o->hops == b->shard_count - 1) {
        op_return(here, &o->op);
        return;
    }
    o->hops++;
    o->op.msg.run = visit;
    msg_send(here, &b->shards[(o->op.home->index + o->hops) % b->shard_count], &o->op.msg);
}

static void visit(struct shard *here, struct msg *m)
{
    struct op_interest *o = container_of(container_of(m, struct op, msg), struct op_interest, op);
    apply(here, o);
    travel(here, o);
}

/* Changes of one shard travel the same way, so they are known everywhere in the order of their numbers. */
static void set_out(struct subscriber *w, struct op_interest *o)
{
    o->number = ++w->conn->shard->subjects->changes;
    for (uint32_t i = 0; i < o->count; i++) {
        const struct interest_change *ch = &o->changes[i];
        struct subscription *sub = subscription_find(w, ch->plane, ch->kind, ch->text);
        if (sub && ch->delta > 0)
            sub->since = o->number;
        else if (sub)
            sub->until = o->number;
    }
    travel(w->conn->shard, o);
}

static struct op_interest *op_interest_new(struct subscriber *w)
{
    struct op_interest *o = op_new(w->conn, sizeof(*o), came_home, w);
    o->vhost = w->space->vhost.id;
    o->format = w->format;
    return o;
}

static void gather(struct subscriber *w, const struct interest *in, int delta)
{
    if (w->conn->shard->broker->shard_count == 1)
        return;
    if (!w->gathering)
        w->gathering = op_interest_new(w);
    struct op_interest *o = w->gathering;
    if (o->count == o->cap) {
        o->cap = o->cap ? o->cap * 2 : 2;
        o->changes = mem_realloc(o->changes, o->cap * sizeof(*o->changes));
    }
    o->changes[o->count++] = (struct interest_change){
        .plane = in->plane,
        .kind = in->kind,
        .delta = delta,
        .text = span_of(mem_strndup(in->text.ptr, in->text.len), in->text.len),
    };
}

/* ---- subscribers -----------------------------------------------------------------------------------------
 */

void subscriber_init(struct subscriber *w, struct conn *c, const struct subscriber_ops *ops, uint8_t format)
{
    *w = (struct subscriber){.conn = c, .ops = ops, .format = format};
    outq_init(&w->later, &c->shard->output_pool);
    list_init(&w->subscriptions);
    list_init(&w->soft_link);
    list_init(&w->behind_link);
}

int subscriber_add(struct subscriber *w, enum subject_plane plane, enum subject_kind kind, struct span text)
{
    struct shard *s = w->conn->shard;
    assert(!w->settling && (plane == SUBJECT_SHARED || kind == SUBJECT_EXACT));
    int err = check(&w->conn->actor, AUTH_READ, text);
    if (err)
        return err;
    if (text.len > subject_text_max(kind))
        return ERR_TOO_LARGE;
    if (!w->space) {
        w->space = space_of(s, &w->conn->actor);
        space_ref(w->space);
    }
    if (subscription_find(w, plane, kind, text))
        return 0;
    if (w->weight + subject_weight(text) > (uint64_t)s->config->pubsub_max_subscriptions)
        return ERR_LIMIT;
    struct interest *in = interest_get(s, w->space, plane, kind, w->format, text);
    if (list_empty(&w->subscriptions))
        w->auth_seen = subject_auth_changes(s);
    subscription_new(w, in);
    w->counts[plane][kind]++;
    w->weight += subject_weight(text);
    gather(w, in, 1);
    return 1;
}

int subscriber_del(struct subscriber *w, enum subject_plane plane, enum subject_kind kind, struct span text)
{
    struct subscription *sub = subscription_find(w, plane, kind, text);
    assert(!w->settling);
    if (!sub || sub->leaving)
        return 0;
    w->counts[plane][kind]--;
    w->weight -= subject_weight(text);
    gather(w, sub->in, -1);
    if (w->gathering)
        sub->leaving = true;
    else
        subscription_end(sub);
    return 1;
}

void subscriber_each(const struct subscriber *w, enum subject_plane plane, enum subject_kind kind,
                     void (*fn)(void *arg, struct span text), void *arg)
{
    list_each (l, &w->subscriptions) {
        const struct subscription *sub = list_entry(l, struct subscription, link);
        if (sub->in->plane == plane && sub->in->kind == kind && !sub->leaving)
            fn(arg, sub->in->text);
    }
}

bool subscriber_settle(struct subscriber *w)
{
    struct op_interest *o = w->gathering;
    assert(!w->settling);
    if (!o)
        return true;
    w->gathering = NULL;
    w->settling = true;
    set_out(w, o);
    return false;
}

/* What is under way already takes its part of the leave. */
void subscriber_close(struct subscriber *w)
{
    struct list *l;
    while ((l = list_first(&w->subscriptions))) {
        struct subscription *sub = list_entry(l, struct subscription, link);
        if (!sub->leaving)
            gather(w, sub->in, -1);
        subscription_end(sub);
    }
    if (w->gathering) {
        w->gathering->op.conn = (struct handle){0};
        set_out(w, w->gathering);
    }
    subscriber_caught_up(w);
    list_del(&w->behind_link);
    outq_fini(&w->later);
    if (w->space)
        space_unref(w->space);
    subscriber_init(w, w->conn, w->ops, w->format);
}

struct outq *subscriber_out(struct subscriber *w)
{
    return w->holding ? &w->later : &w->conn->out;
}

void subscriber_hold(struct subscriber *w)
{
    w->holding = true;
}

void subscriber_resume(struct subscriber *w)
{
    w->holding = false;
    if (w->later.len == 0)
        return;
    outq_move(&w->conn->out, &w->later);
    conn_wake_output(w->conn);
}
