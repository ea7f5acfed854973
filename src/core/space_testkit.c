#include "core/space_testkit.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/err.h"
#include "os/sim/sim.h"

enum { STEPS = 2000000, TICK_MS = 5 };

struct config config;
struct broker *broker;
struct arena arena;
char why[512];
const struct handle nobody, alice = {5, 1, 0}, bob = {6, 1, 0};
static bool ready;
static struct shard_timer ticker; /* so that virtual time moves in small steps */
static unsigned pending;

static void tick(struct shard *s, struct shard_timer *t)
{
    shard_timer_set(s, t, s->now_ns + TICK_MS * 1000000ull);
}

static void on_ready(void *arg, struct broker *b, int err)
{
    assert_int_equal(err, 0);
    ready = true;
    ticker = (struct shard_timer){.fire = tick};
    shard_timer_set(&b->shards[0], &ticker, b->shards[0].now_ns + TICK_MS * 1000000ull);
}

static bool is_ready(void *arg)
{
    return ready;
}

void boot(void)
{
    struct broker_options opt = {.config = &config, .ready = on_ready};
    ready = false;
    assert_int_equal(broker_open(&opt, &broker), 0);
    assert_true(sim_run_until(is_ready, NULL, STEPS));
}

void stop(void)
{
    broker_stop(broker);
    assert_int_equal(broker_run(broker), 0);
    broker_close(broker);
}

void set(const char *key, const char *value)
{
    struct config_error e;
    assert_int_equal(config_set(&config, key, value, CONFIG_FILE, &e), 0);
}

void start(void **state)
{
    sim_reset(7);
    config_init(&config);
    set("shards", *state);
    set("journal.file-bytes", "1MiB");
    set("journal.max-bytes", "4MiB");
    arena_init(&arena);
    boot();
}

void finish(void)
{
    stop();
    arena_fini(&arena);
}

void restart(void)
{
    stop();
    boot();
}

void crash(void)
{
    struct sim_image *image = sim_disk_image(sim_disk_ops(), SIM_CRASH_DROP);
    stop();
    sim_boot(image, 8);
    boot();
}

struct shard *last_shard(void)
{
    return &broker->shards[broker->shard_count - 1];
}

struct span str(const char *s)
{
    return span_str(s);
}

static bool none_pending(void *arg)
{
    return pending == 0;
}

static void completed(struct conn *c, struct op *op)
{
    pending--;
}

void *new_op(size_t size, struct handle conn)
{
    struct op *op = op_new_internal(last_shard(), size, completed, NULL);
    op->conn = conn;
    pending++;
    return op;
}

void wait_all(void)
{
    assert_true(sim_run_until(none_pending, NULL, STEPS));
}

/* Of an operation whose struct begins with op_entity. */
int end(void *entity)
{
    struct op_entity *e = entity;
    wait_all();
    int err = e->op.err;
    snprintf(why, sizeof(why), "%s", e->why ? e->why : "");
    op_entity_free(e);
    return err;
}

/* ---- operations ---------------------------------------------------------------------------------------- */

struct op_queue_declare *new_declare(const char *name, unsigned flags, struct span args, struct handle conn)
{
    struct op_queue_declare *d = new_op(sizeof(*d), conn);
    d->name = str(name);
    d->durable = flags & DURABLE;
    d->exclusive = flags & EXCLUSIVE;
    d->auto_delete = flags & AUTO_DELETE;
    d->passive = flags & PASSIVE;
    d->args = args;
    return d;
}

int declare_args(const char *name, unsigned flags, struct span args, struct handle conn)
{
    struct op_queue_declare *d = new_declare(name, flags, args, conn);
    op_queue_declare_submit(d);
    return end(d);
}

int declare(const char *name, unsigned flags)
{
    return declare_args(name, flags, SPAN_NULL, alice);
}

int delete_queue(const char *name, unsigned flags)
{
    struct op_queue_delete *d = new_op(sizeof(*d), alice);
    d->name = str(name);
    d->if_unused = flags & UNUSED;
    d->if_empty = flags & EMPTY;
    op_queue_delete_submit(d);
    return end(d);
}

int exchange_args(const char *name, const char *type, unsigned flags, struct span args)
{
    struct op_exchange_declare *d = new_op(sizeof(*d), alice);
    d->name = str(name);
    d->type = str(type);
    d->durable = flags & DURABLE;
    d->auto_delete = flags & AUTO_DELETE;
    d->internal = flags & INTERNAL;
    d->passive = flags & PASSIVE;
    d->args = args;
    op_exchange_declare_submit(d);
    return end(d);
}

int exchange(const char *name, const char *type, unsigned flags)
{
    return exchange_args(name, type, flags, SPAN_NULL);
}

int delete_exchange(const char *name, unsigned flags)
{
    struct op_exchange_delete *d = new_op(sizeof(*d), alice);
    d->name = str(name);
    d->if_unused = flags & UNUSED;
    op_exchange_delete_submit(d);
    return end(d);
}

struct op_bind *new_bind(const char *source, enum dest_kind kind, const char *dest, const char *key)
{
    struct op_bind *b = new_op(sizeof(*b), alice);
    b->source = str(source);
    b->kind = kind;
    b->dest = str(dest);
    b->key = str(key);
    return b;
}

int bind_to(const char *source, enum dest_kind kind, const char *dest, const char *key)
{
    struct op_bind *b = new_bind(source, kind, dest, key);
    op_bind_submit(b);
    return end(b);
}

int bind_queue(const char *source, const char *queue, const char *key)
{
    return bind_to(source, DEST_QUEUE, queue, key);
}

int unbind_queue(const char *source, const char *queue, const char *key)
{
    struct op_bind *b = new_bind(source, DEST_QUEUE, queue, key);
    b->unbind = true;
    op_bind_submit(b);
    return end(b);
}

int put_vhost(const char *name)
{
    struct op_vhost_put *v = new_op(sizeof(*v), nobody);
    v->name = str(name);
    op_vhost_put_submit(v);
    return end(v);
}

int delete_vhost(const char *name)
{
    struct op_vhost_delete *v = new_op(sizeof(*v), nobody);
    v->name = str(name);
    op_vhost_delete_submit(v);
    return end(v);
}

void create_topic(const char *name)
{
    struct op_topic_create *t = new_op(sizeof(*t), nobody);
    t->name = str(name);
    t->partitions = 1;
    topic_config_default(&t->config);
    op_topic_create_submit(t);
    wait_all();
    assert_int_equal(t->op.err, 0);
    op_topic_create_free(t);
}

void delete_topic(const char *name)
{
    struct op_topic_delete *t = new_op(sizeof(*t), nobody);
    t->name = str(name);
    op_topic_delete_submit(t);
    wait_all();
    assert_int_equal(t->op.err, 0);
    op_topic_delete_free(t);
}

/* What waits for nobody has been decided: something that does comes behind it, twice, since a deletion
 * submits others. */
void settle(void)
{
    for (int i = 0; i < 2; i++)
        exchange("amq.direct", "", PASSIVE);
}

/* ---- what every shard sees ----------------------------------------------------------------------------- */

bool queue_on_all(const char *name)
{
    unsigned n = 0;
    for (unsigned i = 0; i < broker->shard_count; i++)
        n += space_queue(broker->shards[i].spaces->root, str(name)) != NULL;
    assert_true(n == 0 || n == broker->shard_count);
    return n > 0;
}

bool exchange_on_all(const char *name)
{
    unsigned n = 0;
    for (unsigned i = 0; i < broker->shard_count; i++)
        n += space_exchange(broker->shards[i].spaces->root, str(name)) != NULL;
    assert_true(n == 0 || n == broker->shard_count);
    return n > 0;
}

size_t bindings_on_all(const char *source)
{
    size_t n = SIZE_MAX;
    for (unsigned i = 0; i < broker->shard_count; i++) {
        struct exchange *x = space_exchange(broker->shards[i].spaces->root, str(source));
        assert_non_null(x);
        assert_true(n == SIZE_MAX || n == x->binding_count);
        n = x->binding_count;
    }
    return n;
}

struct queue_info *info(const char *name)
{
    struct queue_info *q = space_queue(last_shard()->spaces->root, str(name));
    assert_non_null(q);
    return q;
}

struct fields_writer table(void)
{
    struct fields_writer w;
    fields_writer_init(&w, &arena);
    return w;
}

struct span int_arg(const char *name, char tag, int64_t v)
{
    struct fields_writer w = table();
    fields_put_int(&w, str(name), tag, v);
    return fields_done(&w);
}

struct span str_arg(const char *name, const char *v)
{
    struct fields_writer w = table();
    fields_put_str(&w, str(name), str(v));
    return fields_done(&w);
}
