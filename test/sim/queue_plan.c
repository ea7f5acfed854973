/* The queues of a run, each with settings by the dice; declaring, deleting and purging them. */
#include "queue_sim.h"

#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/fields.h"

struct plan plans[QUEUES];

struct plan_call {
    unsigned queue, life;
    uint64_t number;
    int64_t asked_ms;
};

static int64_t pick(unsigned one_in, int64_t from, int64_t to)
{
    int64_t v = from + (int64_t)sim_random_below((uint64_t)(to - from + 1));
    return sim_random_below(one_in) == 0 ? v : -1;
}

void plans_init(void)
{
    static const char *const overflows[] = {NULL, "reject-publish", "reject-publish-dlx"};
    for (unsigned i = 0; i < QUEUES; i++) {
        struct plan *p = &plans[i];
        *p = (struct plan){.deleted = -1, .purged = -1};
        snprintf(p->name, sizeof(p->name), "%c", 'A' + i);
        p->durable = i < 2 || sim_random_below(5) > 0;
        p->fan = sim_random_below(3) == 0;
        p->ttl = pick(4, 0, 1500);
        p->max_length = pick(4, 3, 40);
        p->overflow = overflows[sim_random_below(3)];
        p->max_priority = sim_random_below(3) == 0 ? 3 : 0;
        p->max_retries = pick(3, 0, 3);
        p->retry_min = p->max_retries >= 0 ? pick(2, 50, 400) : -1;
        if (p->retry_min >= 0 && sim_random_below(2))
            p->retry_min += 3000; /* beyond the next start */
        p->delivery_limit = pick(4, 0, 4);
        p->single = sim_random_below(6) == 0;
        p->dead = (enum plan_dead)sim_random_below(3);
        p->dead_queue = (unsigned)sim_random_below(QUEUES);
    }
    /* Two from which nothing goes but by somebody's will. */
    for (unsigned i = 0; i < 2; i++) {
        plans[i].ttl = plans[i].max_length = plans[i].delivery_limit = -1;
        plans[i].single = false;
    }
}

void plans_tell(void)
{
    for (unsigned i = 0; i < QUEUES; i++) {
        const struct plan *p = &plans[i];
        fprintf(
            stderr,
            "-- %s: durable %d fan %d ttl %lld max %lld %s priorities %u retries %lld limit %lld dead to ",
            p->name, p->durable, p->fan, (long long)p->ttl, (long long)p->max_length,
            p->overflow ? p->overflow : "drop-head", p->max_priority, (long long)p->max_retries,
            (long long)p->delivery_limit);
        for (unsigned q = 0; q < QUEUES; q++)
            if (plan_dead_targets(i) & 1u << q)
                fprintf(stderr, "%s", plans[q].name);
        fprintf(stderr, "\n");
    }
}

unsigned plan_dead_targets(unsigned q)
{
    unsigned set = 0;
    if (plans[q].dead == DEAD_TO_QUEUE)
        return 1u << plans[q].dead_queue;
    for (unsigned i = 0; plans[q].dead == DEAD_TO_FANOUT && i < QUEUES; i++)
        set |= plans[i].fan ? 1u << i : 0;
    return set;
}

struct queue_info *plan_info(unsigned q)
{
    struct actor actor = {&auth_operator, &auth_default_vhost};
    struct queue_info *info;
    int err =
        queue_find(scene.home, &actor, (struct handle){0}, AUTH_DESCRIBE, span_str(plans[q].name), &info);
    return err ? NULL : info;
}

static struct plan_call *call_new(unsigned q)
{
    struct plan_call *c = mem_alloc(sizeof(*c));
    *c = (struct plan_call){q, scene.life, ledger_tick(), os_wall_ms()};
    return c;
}

/* Its call, if it still counts. The caller frees it. */
static bool counts(const struct plan_call *c)
{
    return scene.up && c->life == scene.life;
}

/* ---- declaring ------------------------------------------------------------------------------------------
 */

static void put_int(struct fields_writer *w, const char *name, int64_t v)
{
    if (v >= 0)
        fields_put_int(w, span_str(name), 'l', v);
}

static struct span arguments(const struct plan *p, struct arena *a)
{
    struct fields_writer w;
    fields_writer_init(&w, a);
    put_int(&w, "x-message-ttl", p->ttl);
    put_int(&w, "x-max-length", p->max_length);
    put_int(&w, "x-max-retries", p->max_retries);
    put_int(&w, "x-delayed-retry-min", p->retry_min);
    put_int(&w, "x-delivery-limit", p->delivery_limit);
    put_int(&w, "x-max-priority", p->max_priority ? (int64_t)p->max_priority : -1);
    if (p->overflow)
        fields_put_str(&w, span_str("x-overflow"), span_str(p->overflow));
    if (p->single)
        fields_put_bool(&w, span_str("x-single-active-consumer"), true);
    if (p->dead == DEAD_TO_QUEUE) {
        fields_put_str(&w, span_str("x-dead-letter-exchange"), span_str(""));
        fields_put_str(&w, span_str("x-dead-letter-routing-key"), span_str(plans[p->dead_queue].name));
    } else if (p->dead == DEAD_TO_FANOUT) {
        fields_put_str(&w, span_str("x-dead-letter-exchange"), span_str("amq.fanout"));
    }
    return fields_done(&w);
}

static void bound(struct conn *conn, struct op *op)
{
    struct op_bind *b = container_of(op, struct op_bind, e.op);
    struct plan_call *c = op->user;
    (void)conn;
    if (counts(c)) { /* not bound: as if it were not there; it is declared again */
        plans[c->queue].state = op->err ? PLAN_ABSENT : PLAN_PRESENT;
        if (plans[c->queue].unbound)
            plans[c->queue].deleted = os_wall_ms();
        plans[c->queue].unbound &= op->err != 0;
    }
    mem_free(c);
    op_entity_free(&b->e);
}

static void bind(unsigned q)
{
    struct op_bind *b = op_new_internal(scene.home, sizeof(*b), bound, call_new(q));
    b->source = span_str("amq.fanout");
    b->kind = DEST_QUEUE;
    b->dest = span_str(plans[q].name);
    b->key = span_str("");
    op_bind_submit(b);
}

static void declared(struct conn *conn, struct op *op)
{
    struct op_queue_declare *d = container_of(op, struct op_queue_declare, e.op);
    struct plan_call *c = op->user;
    struct plan *p = &plans[c->queue];
    (void)conn;
    if (counts(c)) {
        if (op->err && op->err != ERR_NO_SPACE && op->err != ERR_STOPPING && op->err != ERR_IO)
            violation("declaring %s: %s, %s", p->name, err_name(op->err), d->e.why ? d->e.why : "");
        if (!op->err && d->ret_created) {
            p->gen++;
            p->deleted = os_wall_ms(); /* until now it was not there */
            p->unbound = p->fan;
        }
        p->state = op->err ? PLAN_ABSENT : p->fan ? PLAN_BUSY : PLAN_PRESENT;
        if (p->state == PLAN_BUSY)
            bind(c->queue);
    }
    mem_free(c);
    op_entity_free(&d->e);
}

void plan_declare(unsigned q)
{
    struct plan *p = &plans[q];
    struct op_queue_declare *d = op_new_internal(scene.home, sizeof(*d), declared, call_new(q));
    p->state = PLAN_BUSY;
    d->name = span_str(p->name);
    d->durable = p->durable;
    d->args = arguments(p, &d->e.arena);
    op_queue_declare_submit(d);
}

/* ---- deleting, purging ----------------------------------------------------------------------------------
 */

static void deleted(struct conn *conn, struct op *op)
{
    struct op_queue_delete *d = container_of(op, struct op_queue_delete, e.op);
    struct plan_call *c = op->user;
    (void)conn;
    if (counts(c))
        plans[c->queue].state = op->err ? PLAN_PRESENT : PLAN_ABSENT;
    mem_free(c);
    op_entity_free(&d->e);
}

void plan_delete(unsigned q)
{
    struct op_queue_delete *d = op_new_internal(scene.home, sizeof(*d), deleted, call_new(q));
    plans[q].state = PLAN_BUSY;
    plans[q].deleted = os_wall_ms();
    d->name = span_str(plans[q].name);
    op_queue_delete_submit(d);
}

static void purged(struct conn *conn, struct op *op)
{
    struct op_purge *o = container_of(op, struct op_purge, op);
    struct plan_call *c = op->user;
    (void)conn;
    if (counts(c) && !op->err) {
        ledger_durable(o->shard, c->number);
        ledger_purged(c->queue, plans[c->queue].gen, c->asked_ms);
    }
    mem_free(c);
    op_free(o);
}

void plan_purge(unsigned q)
{
    const struct queue_info *info = plan_info(q);
    if (plans[q].state != PLAN_PRESENT || !info)
        return;
    struct op_purge *o = op_new_internal(scene.home, sizeof(*o), purged, call_new(q));
    plans[q].purged = os_wall_ms();
    o->queue_id = info->id;
    o->shard = info->shard;
    op_purge_submit(o);
}

void plans_new_life(void)
{
    for (unsigned q = 0; q < QUEUES; q++) {
        if (!plans[q].durable)
            plans[q].deleted = os_wall_ms();
        plans[q].state = PLAN_ABSENT;
        plan_declare(q);
    }
}

bool plans_are_present(void)
{
    for (unsigned q = 0; q < QUEUES; q++)
        if (plans[q].state != PLAN_PRESENT)
            return false;
    return true;
}
