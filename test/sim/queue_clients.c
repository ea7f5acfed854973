/* Publishers, and those who take. */
#include "queue_sim.h"

#include "base/err.h"
#include "base/mem.h"

enum { ITEMS = 4, HELD = 32768, BODY_MAX = 6000 };

static unsigned publishing, settling, asking; /* unanswered, of this life */

/* ---- publishers -----------------------------------------------------------------------------------------
 */

struct publish_call {
    unsigned life, count;
    struct {
        uint64_t id;
        unsigned targets; /* of the message's, those that this operation is for */
    } items[ITEMS];
};

static void published(struct conn *conn, struct op *op)
{
    struct op_publish *p = container_of(op, struct op_publish, op);
    struct publish_call *c = op->user;
    (void)conn;
    if (scene.up && c->life == scene.life) {
        publishing--;
        for (unsigned i = 0; i < c->count; i++)
            ledger_published(c->items[i].id, c->items[i].targets, c->life,
                             op->err ? op->err : p->items[i].err);
    }
    mem_free(c);
    op_publish_free(p);
}

struct draft {
    uint64_t id;
    unsigned count, queues[TARGETS];
    struct message msg;
    struct chunk *chunk;
};

/* To one to three different queues. */
static bool draft(struct draft *d, unsigned publisher)
{
    unsigned wanted = sim_random_below(3) == 0 ? 1 + (unsigned)sim_random_below(TARGETS) : 1;
    *d = (struct draft){0};
    for (unsigned i = 0; i < wanted; i++) {
        unsigned q = (unsigned)sim_random_below(QUEUES), k = 0;
        while (k < d->count && d->queues[k] != q)
            k++;
        if (k == d->count && plans[q].state == PLAN_PRESENT && plan_info(q))
            d->queues[d->count++] = q;
    }
    if (d->count == 0)
        return false;
    bool persistent = sim_random_below(4) > 0;
    unsigned priority = (unsigned)sim_random_below(5);
    int64_t ttl = sim_random_below(8) == 0 ? (int64_t)sim_random_below(2000) : -1;
    d->id = ledger_publish(publisher, persistent, priority, ttl, d->queues, d->count);
    d->chunk = chunk_new(&scene.home->input_pool, BODY_MAX);
    size_t len = ledger_body(d->id, (char *)d->chunk->data, BODY_MAX);
    d->msg = (struct message){.exchange = span_str("x"),
                              .key = span_str("k"),
                              .body = span_of(d->chunk->data, len),
                              .ttl_ms = ttl,
                              .priority = (uint8_t)priority,
                              .flags = persistent ? MESSAGE_PERSISTENT : 0,
                              .format = MESSAGE_FORMAT_AMQP};
    return true;
}

/* Those of its queues that live on one shard, in one operation with others' there. */
static void add(struct op_publish **p, const struct draft *d, unsigned shard)
{
    unsigned set = 0;
    struct publish_item *it = NULL;
    for (unsigned k = 0; k < d->count; k++) {
        const struct queue_info *info = plan_info(d->queues[k]);
        if (info->shard != shard)
            continue;
        if (!*p) {
            struct publish_call *c = mem_zalloc(sizeof(*c));
            c->life = scene.life;
            *p = op_new_internal(scene.home, sizeof(**p), published, c);
            (*p)->shard = shard;
        }
        if (!it) {
            it = op_publish_add(*p);
            it->msg = d->msg;
            op_publish_keep(*p, d->chunk);
        }
        op_publish_add_queue(*p, info->id);
        set |= 1u << k;
    }
    if (!set)
        return;
    struct publish_call *c = (*p)->op.user;
    c->items[c->count].id = d->id;
    c->items[c->count++].targets = set;
}

void publisher_step(unsigned publisher)
{
    struct draft drafts[ITEMS];
    unsigned n = 0, wanted = 1 + (unsigned)sim_random_below(ITEMS);
    if (publishing > 40)
        return;
    while (n < wanted && draft(&drafts[n], publisher))
        n++;
    for (unsigned s = 0; s < scene.broker->shard_count; s++) {
        struct op_publish *p = NULL;
        for (unsigned i = 0; i < n; i++)
            add(&p, &drafts[i], s);
        if (p) {
            publishing++;
            op_publish_submit(p);
        }
    }
    for (unsigned i = 0; i < n; i++)
        chunk_unref(drafts[i].chunk);
}

/* ---- takers ---------------------------------------------------------------------------------------------
 */

struct taker {
    unsigned queue, gen, shard;
    bool asked, running, cancelling, get, no_ack, drains;
    struct handle consumer;
    struct {
        uint64_t lease;
        struct copy *copy;
    } held[HELD];
    unsigned count;
    size_t bytes;
    uint32_t order[PUBLISHERS][4];
};
static struct taker takers[TAKERS + QUEUES];

struct taker_call {
    struct taker *taker;
    unsigned life, shard;
    uint64_t number;
    bool ends;
};

static struct taker_call *call_new(struct taker *t)
{
    struct taker_call *c = mem_zalloc(sizeof(*c));
    c->taker = t;
    c->life = scene.life;
    c->shard = t->shard;
    c->number = ledger_tick();
    return c;
}

static bool counts(const struct taker_call *c)
{
    return scene.up && c->life == scene.life;
}

static void see(struct taker *t, const struct delivery *d)
{
    struct copy *c = ledger_delivered(t->queue, t->gen, d, t->no_ack, t->order);
    if (t->no_ack) {
        uint64_t number = ledger_tick();
        ledger_settle(c, OUTCOME_ACK, number, t->shard);
        ledger_settled(number, false);
        return;
    }
    if (t->count == HELD)
        violation("a consumer holds too much");
    t->held[t->count].lease = d->lease;
    t->held[t->count++].copy = c;
}

static void on_run(struct conn *conn, struct op *op)
{
    struct delivery_run *r = container_of(op, struct delivery_run, op);
    struct taker *t = &takers[r->user % (TAKERS + QUEUES)];
    (void)conn;
    if (scene.up && r->user / (TAKERS + QUEUES) == scene.life) {
        if (r->count && !t->running)
            violation("a delivery to who does not consume (any more) from %s", plans[t->queue].name);
        t->bytes += r->bytes;
        for (uint32_t i = 0; i < r->count; i++)
            see(t, &r->items[i]);
        if (r->event == CONSUMER_CANCELLED) { /* all leases are void */
            t->running = t->asked = false;
            t->count = 0;
        }
    }
    delivery_run_free(r);
}

static void consuming(struct conn *conn, struct op *op)
{
    struct op_consume *o = container_of(op, struct op_consume, op);
    struct taker_call *c = op->user;
    (void)conn;
    if (counts(c)) {
        asking--;
        c->taker->running = !op->err;
        c->taker->asked = !op->err;
        c->taker->consumer = o->ret_consumer;
    }
    mem_free(c);
    op_free(o);
}

static void consume(struct taker *t, unsigned q, bool drains)
{
    const struct queue_info *info = plan_info(q);
    if (plans[q].state != PLAN_PRESENT || !info)
        return;
    *t = (struct taker){
        .queue = q, .gen = plans[q].gen, .shard = info->shard, .asked = true, .drains = drains};
    t->no_ack = !drains && sim_random_below(6) == 0;
    t->get = !drains && sim_random_below(6) == 0;
    struct op_consume *o = op_new_internal(scene.home, sizeof(*o), consuming, call_new(t));
    o->queue_id = info->id;
    o->shard = info->shard;
    o->user = (uint64_t)(t - takers) + (uint64_t)scene.life * (TAKERS + QUEUES);
    o->deliver = on_run;
    o->no_ack = t->no_ack;
    o->get = t->get;
    o->priority = (int32_t)sim_random_below(2);
    o->prefetch = drains ? 200 : (uint32_t)sim_random_below(20);
    o->window = drains || sim_random_below(2) ? 1 << 20 : 3000;
    asking++;
    op_consume_submit(o);
}

static void got(struct conn *conn, struct op *op)
{
    struct op_get *g = container_of(op, struct op_get, op);
    struct taker_call *c = op->user;
    (void)conn;
    if (counts(c)) {
        asking--;
        if (g->ret_found && c->taker->running)
            see(c->taker, &g->ret);
    }
    mem_free(c);
    op_get_free(g);
}

static void get(struct taker *t)
{
    struct op_get *g = op_new_internal(scene.home, sizeof(*g), got, call_new(t));
    g->shard = t->shard;
    g->consumer = t->consumer;
    asking++;
    op_get_submit(g);
}

static void settled(struct conn *conn, struct op *op)
{
    struct op_settle *o = container_of(op, struct op_settle, op);
    struct taker_call *c = op->user;
    (void)conn;
    if (counts(c)) {
        settling--;
        if (!op->err) {
            ledger_settled(c->number, o->durable);
            if (o->durable)
                ledger_durable(c->shard, c->number);
        }
    }
    mem_free(c);
    op_settle_free(o);
}

static enum outcome choose(const struct taker *t, const struct copy *c)
{
    static const enum outcome outcomes[] = {OUTCOME_ACK,     OUTCOME_ACK,    OUTCOME_ACK,    OUTCOME_ACK,
                                            OUTCOME_REQUEUE, OUTCOME_REJECT, OUTCOME_REJECT, OUTCOME_RELEASE};
    if (t->drains || c->hops >= HOPS_MAX - 2) /* else a rejection in a cycle goes on for ever */
        return OUTCOME_ACK;
    return outcomes[sim_random_below(8)];
}

/* Some of what it holds, or all; the oldest or any. */
static void settle(struct taker *t)
{
    struct taker_call *c = call_new(t);
    struct op_settle *o = op_new_internal(scene.home, sizeof(*o), settled, c);
    unsigned n = t->drains ? t->count : 1 + (unsigned)sim_random_below(t->count < 8 ? t->count : 8);
    o->shard = t->shard;
    o->durable = sim_random_below(3) == 0;
    while (n-- > 0) {
        unsigned i = sim_random_below(2) ? 0 : (unsigned)sim_random_below(t->count);
        struct settle_item it = {t->consumer, t->held[i].lease, t->held[i].lease, choose(t, t->held[i].copy)};
        op_settle_add(o, &it);
        ledger_settle(t->held[i].copy, it.outcome, c->number, t->shard);
        t->count--;
        memmove(&t->held[i], &t->held[i + 1], (t->count - i) * sizeof(t->held[0]));
    }
    settling++;
    op_settle_submit(o);
}

static void cancelled(struct conn *conn, struct op *op)
{
    struct op_cancel *o = container_of(op, struct op_cancel, op);
    struct taker_call *c = op->user;
    (void)conn;
    if (counts(c)) {
        asking--;
        struct taker *t = c->taker;
        t->cancelling = false;
        if (c->ends && t->running) {
            for (unsigned i = 0; i < t->count; i++)
                ledger_returned(t->held[i].copy);
            t->count = 0;
            t->running = t->asked = false;
        }
    }
    mem_free(c);
    op_free(o);
}

/* Without `ends` it keeps what it holds, until a second one. */
static void cancel(struct taker *t, bool ends)
{
    struct taker_call *c = call_new(t);
    c->ends = ends;
    struct op_cancel *o = op_new_internal(scene.home, sizeof(*o), cancelled, c);
    o->shard = t->shard;
    o->consumer = t->consumer;
    o->release = ends;
    t->cancelling = true;
    asking++;
    op_cancel_submit(o);
}

static void windowed(struct conn *conn, struct op *op)
{
    (void)conn;
    op_free(op);
}

static void give_back(struct taker *t)
{
    struct op_window *o = op_new_internal(scene.home, sizeof(*o), windowed, NULL);
    o->shard = t->shard;
    o->consumer = t->consumer;
    o->bytes = t->bytes;
    o->prefetch = sim_random_below(10) || t->drains ? UINT32_MAX : (uint32_t)sim_random_below(20);
    t->bytes = 0;
    op_window_submit(o);
}

void taker_step(unsigned i)
{
    struct taker *t = &takers[i];
    if (!t->asked)
        consume(t, (unsigned)sim_random_below(QUEUES), false);
    else if (!t->running || t->cancelling)
        return;
    else if (t->count && sim_random_below(2))
        settle(t);
    else if (t->get && sim_random_below(2))
        get(t);
    else if (t->bytes)
        give_back(t);
    else if (sim_random_below(25) == 0)
        cancel(t, sim_random_below(3) > 0);
}

void takers_drain(void)
{
    for (unsigned i = 0; i < TAKERS; i++)
        if (takers[i].running && !takers[i].cancelling)
            cancel(&takers[i], true);
    for (unsigned q = 0; q < QUEUES; q++) {
        struct taker *t = &takers[TAKERS + q];
        if (plans[q].state == PLAN_ABSENT)
            plan_declare(q);
        if (!t->asked)
            consume(t, q, true);
        else if (t->running && t->count)
            settle(t);
        else if (t->running && t->bytes)
            give_back(t);
    }
}

bool clients_idle(void)
{
    for (unsigned i = 0; i < TAKERS; i++)
        if (takers[i].asked)
            return false;
    for (unsigned q = 0; q < QUEUES; q++)
        if (!takers[TAKERS + q].running || takers[TAKERS + q].count)
            return false;
    return !publishing && !settling && !asking;
}

void clients_new_life(void)
{
    for (unsigned i = 0; i < TAKERS + QUEUES; i++)
        takers[i] = (struct taker){0};
    publishing = settling = asking = 0;
}
