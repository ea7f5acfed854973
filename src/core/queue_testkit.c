#include "core/queue_testkit.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/fields.h"
#include "os/sim/sim.h"

enum { STEPS = 4000000, TICK_MS = 5 };

struct config config;
static struct broker *broker;
static bool ready, up;
static struct taker takers[64]; /* those of a test outlive its broker */
static unsigned taker_count;
static struct shard_timer ticker; /* so that virtual time moves in small steps */

static void tick(struct shard *s, struct shard_timer *t)
{
    shard_timer_set(s, t, s->now_ns + TICK_MS * 1000000ull);
}

static void on_ready(void *arg, struct broker *b, int err)
{
    (void)arg;
    assert_int_equal(err, 0);
    ready = true;
    ticker = (struct shard_timer){.fire = tick};
    shard_timer_set(&b->shards[0], &ticker, b->shards[0].now_ns + TICK_MS * 1000000ull);
}

static bool is_true(void *arg)
{
    return *(bool *)arg;
}

void kit_boot(void)
{
    struct broker_options opt = {.config = &config, .ready = on_ready};
    ready = false;
    assert_int_equal(broker_open(&opt, &broker), 0);
    assert_true(sim_run_until(is_true, &ready, STEPS));
    up = true;
}

void kit_stop(void)
{
    broker_stop(broker);
    assert_int_equal(broker_run(broker), 0);
    broker_close(broker);
    up = false;
}

void kit_set(const char *key, const char *value)
{
    struct config_error e;
    assert_int_equal(config_set(&config, key, value, CONFIG_FILE, &e), 0);
}

void kit_start(void **state)
{
    sim_reset(11);
    config_init(&config);
    config.auth_default_user[0] = 0; /* nobody logs in */
    kit_set("shards", *state);
    kit_set("journal.file-bytes", "1MiB");
    kit_set("journal.max-bytes", "4MiB");
    kit_boot();
}

void kit_crash(int mode)
{
    struct sim_image *image = sim_disk_image(sim_disk_ops(), (enum sim_crash_mode)mode);
    kit_stop();
    sim_boot(image, 12);
    kit_boot();
}

void kit_restart(void)
{
    kit_stop();
    kit_boot();
}

static bool passed(void *target)
{
    return os_mono_ns() >= *(uint64_t *)target;
}

void kit_run_ms(uint64_t ms)
{
    uint64_t target = os_mono_ns() + ms * 1000000;
    assert_true(sim_run_until(passed, &target, STEPS));
}

struct shard *kit_shard(void)
{
    return &broker->shards[broker->shard_count - 1];
}

static void completed(struct conn *c, struct op *op)
{
    (void)c;
    *(bool *)op->user = true;
}

/* Operations are submitted outside of a turn here, so nobody but the test sees to it that there is one. */
static void await(bool *done)
{
    os_loop_wake(kit_shard()->loop);
    assert_true(sim_run_until(is_true, done, STEPS));
}

/* ---- declaring -------------------------------------------------------------------------------------------
 */

static struct span parse_args(const char *text, struct arena *a)
{
    struct fields_writer w;
    fields_writer_init(&w, a);
    while (text && *text) {
        const char *eq = strchr(text, '='), *end = strchrnul(eq, ';');
        struct span name = span_of(text, (size_t)(eq - text)),
                    value = span_of(eq + 1, (size_t)(end - eq - 1));
        char *rest;
        long long n = strtoll(eq + 1, &rest, 10);
        if (span_eq_str(value, "true"))
            fields_put_bool(&w, name, true);
        else if (rest == end && value.len)
            fields_put_int(&w, name, 'l', n);
        else
            fields_put_str(&w, name, value);
        text = *end ? end + 1 : end;
    }
    return fields_done(&w);
}

void kit_declare(const char *name, bool durable, const char *args)
{
    bool done = false;
    struct op_queue_declare *d = op_new_internal(kit_shard(), sizeof(*d), completed, &done);
    d->name = span_str(name);
    d->durable = durable;
    struct arena a;
    arena_init(&a);
    d->args = parse_args(args, &a);
    op_queue_declare_submit(d);
    await(&done);
    if (d->e.op.err)
        print_error("declare %s: %s %s\n", name, err_name(d->e.op.err), d->e.why ? d->e.why : "");
    assert_int_equal(d->e.op.err, 0);
    op_entity_free(&d->e);
    arena_fini(&a);
}

void kit_delete(const char *name)
{
    bool done = false;
    struct op_queue_delete *d = op_new_internal(kit_shard(), sizeof(*d), completed, &done);
    d->name = span_str(name);
    op_queue_delete_submit(d);
    await(&done);
    assert_int_equal(d->e.op.err, 0);
    op_entity_free(&d->e);
}

void kit_bind(const char *exchange, const char *queue, const char *key)
{
    bool done = false;
    struct op_bind *b = op_new_internal(kit_shard(), sizeof(*b), completed, &done);
    b->source = span_str(exchange);
    b->kind = DEST_QUEUE;
    b->dest = span_str(queue);
    b->key = span_str(key);
    op_bind_submit(b);
    await(&done);
    assert_int_equal(b->e.op.err, 0);
    op_entity_free(&b->e);
}

struct queue_info *kit_queue(const char *name)
{
    struct actor actor = {&auth_operator, &auth_default_vhost};
    struct queue_info *q = NULL;
    assert_int_equal(queue_find(kit_shard(), &actor, (struct handle){0}, AUTH_DESCRIBE, span_str(name), &q),
                     0);
    return q;
}

struct log *kit_log(const char *queue)
{
    struct queue_info *q = kit_queue(queue);
    return queue_by_id(broker->shards[q->shard].queues, q->id)->level.log;
}

/* ---- publishing ------------------------------------------------------------------------------------------
 */

static struct op_publish *new_publish(const char *queue, const char *body, bool persistent, int priority,
                                      int64_t ttl, void (*complete)(struct conn *c, struct op *op),
                                      bool *done)
{
    struct queue_info *q = kit_queue(queue);
    struct op_publish *p = op_new_internal(kit_shard(), sizeof(*p), complete, done);
    size_t len = strlen(body);
    struct chunk *c = chunk_new(&kit_shard()->input_pool, len + strlen(queue) + 1);
    memcpy(c->data, body, len);
    memcpy(c->data + len, queue, strlen(queue));
    p->shard = q->shard;
    struct publish_item *it = op_publish_add(p);
    it->msg = (struct message){.exchange = span_str(""),
                               .key = span_of(c->data + len, strlen(queue)),
                               .body = span_of(c->data, len),
                               .ttl_ms = ttl,
                               .priority = (uint8_t)priority,
                               .flags = persistent ? MESSAGE_PERSISTENT : 0};
    op_publish_add_queue(p, q->id);
    op_publish_keep(p, c);
    chunk_unref(c);
    return p;
}

int kit_publish_with(const char *queue, const char *body, bool persistent, int priority, int64_t ttl_ms)
{
    bool done = false;
    struct op_publish *p = new_publish(queue, body, persistent, priority, ttl_ms, completed, &done);
    op_publish_submit(p);
    await(&done);
    int err = p->op.err ? p->op.err : p->items[0].err;
    op_publish_free(p);
    return err;
}

void kit_publish_burst(const char *queue, const char *body, unsigned count, int64_t ttl_ms)
{
    bool done = false;
    struct op_publish *p = new_publish(queue, body, false, 0, ttl_ms, completed, &done);
    struct message m = p->items[0].msg;
    for (unsigned i = 1; i < count; i++) {
        op_publish_add(p)->msg = m;
        op_publish_add_queue(p, p->queues[0]);
    }
    op_publish_submit(p);
    await(&done);
    op_publish_free(p);
}

int kit_publish(const char *queue, const char *body, bool persistent)
{
    return kit_publish_with(queue, body, persistent, 0, -1);
}

void kit_declare_delayed(const char *exchange)
{
    bool done = false;
    struct op_exchange_declare *d = op_new_internal(kit_shard(), sizeof(*d), completed, &done);
    struct arena a;
    arena_init(&a);
    d->name = span_str(exchange);
    d->type = span_str("x-delayed-message");
    d->durable = true;
    d->args = parse_args("x-delayed-type=direct", &a);
    op_exchange_declare_submit(d);
    await(&done);
    assert_int_equal(d->e.op.err, 0);
    op_entity_free(&d->e);
    arena_fini(&a);
}

int kit_publish_delayed(const char *exchange, const char *key, const char *body, int64_t delay_ms,
                        int64_t ttl_ms)
{
    struct actor actor = {&auth_operator, &auth_default_vhost};
    struct exchange *x;
    bool done = false;
    assert_int_equal(exchange_find(kit_shard(), &actor, AUTH_WRITE, span_str(exchange), &x), 0);
    struct queue_info *q = queue_info_by_id(kit_shard(), x->id);
    assert_non_null(q);
    struct op_publish *p = op_new_internal(kit_shard(), sizeof(*p), completed, &done);
    p->shard = q->shard;
    struct publish_item *it = op_publish_add(p);
    it->msg = (struct message){.exchange = span_str(exchange),
                               .key = span_str(key),
                               .body = span_str(body),
                               .ttl_ms = ttl_ms,
                               .due_ms = kit_shard()->now_ms + delay_ms,
                               .flags = MESSAGE_PERSISTENT};
    op_publish_add_queue(p, q->id);
    op_publish_submit(p);
    await(&done);
    int err = p->op.err ? p->op.err : it->err;
    op_publish_free(p);
    return err;
}

int kit_move(const char *queue, uint64_t origin, uint64_t seq, const char *body, size_t len)
{
    bool done = false;
    struct queue_info *q = kit_queue(queue);
    struct op_publish *p = op_new_internal(kit_shard(), sizeof(*p), completed, &done);
    p->shard = q->shard;
    p->origin = origin;
    p->origin_seq = seq;
    struct publish_item *it = op_publish_add(p);
    it->msg = (struct message){.exchange = span_str(""),
                               .key = span_str(""),
                               .body = span_of(body, len),
                               .ttl_ms = -1,
                               .flags = MESSAGE_PERSISTENT};
    op_publish_add_queue(p, q->id);
    op_publish_submit(p);
    await(&done);
    int err = p->op.err ? p->op.err : p->items[0].err;
    op_publish_free(p);
    return err;
}

static void forget(struct conn *c, struct op *op)
{
    (void)c;
    op_publish_free(container_of(op, struct op_publish, op));
}

void kit_publish_async(const char *queue, const char *body, bool persistent)
{
    op_publish_submit(new_publish(queue, body, persistent, 0, -1, forget, NULL));
    os_loop_wake(kit_shard()->loop);
}

/* ---- consuming -------------------------------------------------------------------------------------------
 */

static void note(struct taker *t, const struct delivery *d)
{
    assert_true(t->seen_count < KIT_SEEN);
    snprintf(t->seen[t->seen_count].body, KIT_BODY, "%.*s", SPAN_ARG(d->msg.body));
    t->seen[t->seen_count].lease = d->lease;
    t->seen[t->seen_count].count = d->count;
    t->seen[t->seen_count].redelivered = d->redelivered;
    t->seen_count++;
}

static void on_run(struct conn *c, struct op *op)
{
    struct delivery_run *r = container_of(op, struct delivery_run, op);
    struct taker *t = (struct taker *)(uintptr_t)r->user; // NOLINT(performance-no-int-to-ptr)
    (void)c;
    if (up) {
        t->cancelled += r->event == CONSUMER_CANCELLED;
        t->available += r->event == CONSUMER_AVAILABLE;
        t->active += r->event == CONSUMER_ACTIVE;
        t->unused += r->unused;
        t->bytes += r->bytes;
        for (uint32_t i = 0; i < r->count; i++)
            note(t, &r->items[i]);
    }
    delivery_run_free(r);
}

struct taker *kit_consume_with(const char *queue, struct op_consume options, int *ret_err)
{
    bool done = false;
    struct queue_info *q = kit_queue(queue);
    struct taker *t = &takers[taker_count++ % (sizeof(takers) / sizeof(takers[0]))];
    memset(t, 0, sizeof(*t));
    struct op_consume *o = op_new_internal(kit_shard(), sizeof(*o), completed, &done);
    struct op op = o->op;
    *o = options;
    o->op = op;
    o->queue_id = q->id;
    o->shard = q->shard;
    o->user = (uintptr_t)t;
    o->deliver = on_run;
    if (!o->window)
        o->window = 1 << 20;
    op_consume_submit(o);
    await(&done);
    t->consumer = o->ret_consumer;
    t->shard = q->shard;
    if (ret_err)
        *ret_err = o->op.err;
    else
        assert_int_equal(o->op.err, 0);
    op_free(o);
    return t;
}

struct taker *kit_consume(const char *queue, uint32_t prefetch, bool no_ack)
{
    return kit_consume_with(queue, (struct op_consume){.prefetch = prefetch, .no_ack = no_ack}, NULL);
}

void kit_settle(struct taker *t, uint64_t first, uint64_t last, enum outcome outcome, bool durable)
{
    bool done = false;
    struct op_settle *o = op_new_internal(kit_shard(), sizeof(*o), completed, &done);
    o->shard = t->shard;
    o->durable = durable;
    op_settle_add(o, &(struct settle_item){t->consumer, first, last, outcome});
    op_settle_submit(o);
    await(&done);
    assert_int_equal(o->op.err, 0);
    op_settle_free(o);
}

static void window(struct taker *t, size_t bytes, uint32_t credit, enum window_limit limit)
{
    bool done = false;
    struct op_window *o = op_new_internal(kit_shard(), sizeof(*o), completed, &done);
    o->shard = t->shard;
    o->consumer = t->consumer;
    o->bytes = bytes;
    o->credit = credit;
    o->prefetch = UINT32_MAX;
    o->limit = limit;
    op_window_submit(o);
    await(&done);
    op_free(o);
}

void kit_window(struct taker *t, size_t bytes, uint32_t credit)
{
    window(t, bytes, credit, WINDOW_KEEP);
}

void kit_limit(struct taker *t, enum window_limit limit, uint32_t credit)
{
    window(t, 0, credit, limit);
}

void kit_release(struct taker *t)
{
    bool done = false;
    struct op_cancel *o = op_new_internal(kit_shard(), sizeof(*o), completed, &done);
    o->shard = t->shard;
    o->consumer = t->consumer;
    o->release = true;
    op_cancel_submit(o);
    await(&done);
    op_free(o);
}

static struct op_queue_stat stat_of(const char *queue)
{
    bool done = false;
    struct queue_info *q = kit_queue(queue);
    struct op_queue_stat *o = op_new_internal(kit_shard(), sizeof(*o), completed, &done);
    o->shard = q->shard;
    o->queue_id = q->id;
    op_queue_stat_submit(o);
    await(&done);
    struct op_queue_stat r = *o;
    op_free(o);
    return r;
}

uint64_t kit_ready(const char *queue)
{
    return stat_of(queue).ret_ready;
}

uint64_t kit_unacked(const char *queue)
{
    return stat_of(queue).ret_unacked;
}

uint64_t kit_purge(const char *queue)
{
    bool done = false;
    struct queue_info *q = kit_queue(queue);
    struct op_purge *o = op_new_internal(kit_shard(), sizeof(*o), completed, &done);
    o->shard = q->shard;
    o->queue_id = q->id;
    op_purge_submit(o);
    await(&done);
    uint64_t n = o->ret_count;
    assert_int_equal(o->op.err, 0);
    op_free(o);
    return n;
}

static const char *get_all(const char *queue, bool no_ack)
{
    static char text[1 << 16];
    size_t len = 0;
    struct taker *t = kit_consume_with(queue, (struct op_consume){.get = true, .no_ack = no_ack}, NULL);
    text[0] = 0;
    for (;;) {
        bool done = false;
        struct op_get *g = op_new_internal(kit_shard(), sizeof(*g), completed, &done);
        g->shard = t->shard;
        g->consumer = t->consumer;
        op_get_submit(g);
        await(&done);
        bool found = g->ret_found;
        if (found)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s", len ? " " : "",
                                    SPAN_ARG(g->ret.msg.body));
        op_get_free(g);
        if (!found)
            break;
    }
    kit_release(t);
    return text;
}

const char *kit_drain(const char *queue)
{
    return get_all(queue, true);
}

const char *kit_peek(const char *queue)
{
    return get_all(queue, false);
}

/* ---- invariants ------------------------------------------------------------------------------------------
 */

static uint64_t ready_of(struct queue_level *l)
{
    uint64_t n = 0, pos = 0;
    uint32_t loaded = 0;
    list_each (it, &l->ready) {
        struct entry *e = list_entry(it, struct entry, link);
        assert_true(n == 0 || e->pos >= pos);
        assert_int_equal(e->state, ENTRY_READY);
        pos = e->pos + (e->gap ? gap_end(e) - e->offset : 1);
        n += e->gap ? gap_messages(l, e) : 1;
        loaded += e->record != NULL;
        assert_true(e->gap || e->record || e->offset != ENTRY_NO_OFFSET);
    }
    assert_int_equal(loaded, l->loaded);
    return n;
}

static void check_queue(struct queue *q)
{
    uint64_t sum = 0, unacked = 0;
    for (unsigned n = 0; n < q->level_count; n++)
        if (queue_level_at(q, n))
            sum += ready_of(queue_level_at(q, n));
    assert_int_equal(sum, q->ready);
    list_each (l, &q->consumers) {
        struct consumer *c = list_entry(l, struct consumer, link);
        uint32_t leases = 0;
        for (uint64_t n = 0; leases_next(&c->leases, n, &n); n++)
            leases++;
        assert_int_equal(leases, c->unacked);
        unacked += c->unacked;
    }
    assert_int_equal(unacked, q->unacked);
}

static uint64_t sum_of(enum metric m)
{
    return metrics_sum(broker->metrics, m, 0);
}

void kit_check(void)
{
    uint64_t queues = 0, waiting = 0, unacked = 0, consumers = 0;
    for (unsigned i = 0; i < broker->shard_count; i++) {
        struct queue *q;
        for (size_t k = 0; (q = queue_next(broker->shards[i].queues, &k));) {
            check_queue(q);
            queues += !q->forward;
            waiting += q->ready;
            unacked += q->unacked;
            consumers += q->consumer_count;
        }
    }
    assert_int_equal(sum_of(METRIC_QUEUES), queues);
    assert_int_equal(sum_of(METRIC_QUEUE_READY), waiting);
    assert_int_equal(sum_of(METRIC_QUEUE_UNACKED), unacked);
    assert_int_equal(sum_of(METRIC_QUEUE_CONSUMERS), consumers);
}
