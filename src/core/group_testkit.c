#include "core/group_testkit.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/err.h"
#include "core/broker.h"
#include "os/sim/sim.h"

enum { STEPS = 4000000, TICK_MS = 10 };

struct config config;
static struct broker *broker;
static bool ready;
static struct shard_timer ticker; /* so that virtual time moves in small steps */

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

static bool is_true(void *arg)
{
    return *(bool *)arg;
}

static void boot(void)
{
    struct broker_options opt = {.config = &config, .ready = on_ready};
    ready = false;
    assert_int_equal(broker_open(&opt, &broker), 0);
    assert_true(sim_run_until(is_true, &ready, STEPS));
}

void stop(void)
{
    broker_stop(broker);
    assert_int_equal(broker_run(broker), 0);
    broker_close(broker);
}

static void set(const char *key, const char *value)
{
    struct config_error e;
    assert_int_equal(config_set(&config, key, value, CONFIG_FILE, &e), 0);
}

static bool passed(void *target)
{
    return os_mono_ns() >= *(uint64_t *)target;
}

void run_ms(uint64_t ms)
{
    uint64_t target = os_mono_ns() + ms * 1000000;
    assert_true(sim_run_until(passed, &target, STEPS));
}

struct shard *last_shard(void)
{
    return &broker->shards[broker->shard_count - 1];
}

/* ---- operations ---------------------------------------------------------------------------------------- */

void completed(struct conn *c, struct op *op)
{
    *(bool *)op->user = true;
}

void await(bool *done)
{
    assert_true(sim_run_until(is_true, done, STEPS));
}

struct topic_id create(const char *name, int32_t partitions)
{
    bool done = false;
    struct op_topic_create *t = op_new_internal(last_shard(), sizeof(*t), completed, &done);
    t->name = span_str(name);
    t->partitions = partitions;
    topic_config_default(&t->config);
    op_topic_create_submit(t);
    await(&done);
    assert_int_equal(t->op.err, 0);
    struct topic_id id = t->id;
    op_topic_create_free(t);
    return id;
}

void delete_topic(const char *name)
{
    bool done = false;
    struct op_topic_delete *t = op_new_internal(last_shard(), sizeof(*t), completed, &done);
    t->name = span_str(name);
    op_topic_delete_submit(t);
    await(&done);
    assert_int_equal(t->op.err, 0);
    op_topic_delete_free(t);
}

void start(void **state)
{
    sim_reset(7);
    config_init(&config);
    config.auth_default_user[0] = 0; /* nobody logs in */
    set("shards", *state);
    set("journal.file-bytes", "1MiB");
    set("journal.max-bytes", "4MiB");
    boot();
}

void crash(void)
{
    struct sim_image *image = sim_disk_image(sim_disk_ops(), SIM_CRASH_DROP);
    stop();
    sim_boot(image, 8);
    boot();
}

struct client new_client(void)
{
    return (struct client){.type = "consumer",
                           .protocols = {{span_str("range"), span_str("meta")}},
                           .protocol_count = 1,
                           .topic = span_str("t"),
                           .old = true,
                           .rebalance_ms = REBALANCE_MS,
                           .session_ms = SESSION_MS,
                           .generation = -1};
}

void send_join(struct client *c)
{
    if (c->join)
        op_group_free(&c->join->g);
    struct op_group_join *j = op_new_internal(last_shard(), sizeof(*j), completed, &c->joined);
    c->joined = false;
    j->g.group = span_str("g");
    j->member_id = span_str(c->id);
    j->instance_id = span_str(c->instance);
    j->client_id = span_str("cli");
    j->client_host = span_str("/127.0.0.1");
    j->protocol_type = span_str(c->type);
    j->protocols = c->protocols;
    j->protocol_count = c->protocol_count;
    j->topics = &c->topic;
    j->topic_count = 1;
    j->session_timeout_ms = c->session_ms;
    j->rebalance_timeout_ms = c->rebalance_ms;
    j->needs_known_id = !c->old;
    j->can_skip = c->skip;
    c->join = j;
    op_group_join_submit(j);
}

int end_join(struct client *c)
{
    await(&c->joined);
    if (c->join->g.op.err == 0 || c->join->g.op.err == ERR_MEMBER_ID_REQUIRED)
        snprintf(c->id, sizeof(c->id), "%.*s", SPAN_ARG(c->join->ret_member_id));
    if (c->join->g.op.err == 0)
        c->generation = c->join->ret_generation;
    return c->join->g.op.err;
}

int join(struct client *c)
{
    send_join(c);
    return end_join(c);
}

static void send_sync(struct client *c, const struct group_assignment *parts, uint32_t count)
{
    if (c->sync)
        op_group_free(&c->sync->g);
    struct op_group_sync *y = op_new_internal(last_shard(), sizeof(*y), completed, &c->synced);
    c->synced = false;
    y->g.group = span_str("g");
    y->generation = c->generation;
    y->member_id = span_str(c->id);
    y->instance_id = span_str(c->instance);
    y->assignments = parts;
    y->assignment_count = count;
    c->sync = y;
    op_group_sync_submit(y);
}

int sync_one(struct client *c, const struct group_assignment *parts, uint32_t count)
{
    send_sync(c, parts, count);
    await(&c->synced);
    return c->sync->g.op.err;
}

bool leads(const struct client *c)
{
    return span_eq_str(c->join->ret_leader, c->id);
}

/* All clients of the group: whoever leads gives each a part that is its own id. */
void sync_all(struct client **all, uint32_t count)
{
    struct group_assignment parts[8];
    for (uint32_t i = 0; i < count; i++)
        parts[i] = (struct group_assignment){span_str(all[i]->id), span_str(all[i]->id)};
    for (uint32_t i = 0; i < count; i++)
        send_sync(all[i], parts, leads(all[i]) ? count : 0);
    for (uint32_t i = 0; i < count; i++) {
        await(&all[i]->synced);
        assert_int_equal(all[i]->sync->g.op.err, 0);
        assert_true(span_eq_str(all[i]->sync->ret_assignment, all[i]->id));
    }
}

void form(struct client **all, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        send_join(all[i]);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(end_join(all[i]), 0);
    sync_all(all, count);
}

void end_client(struct client *c)
{
    if (c->join)
        op_group_free(&c->join->g);
    if (c->sync)
        op_group_free(&c->sync->g);
    c->join = NULL;
    c->sync = NULL;
}

int heartbeat(const struct client *c)
{
    bool done = false;
    struct op_group_heartbeat *h = op_new_internal(last_shard(), sizeof(*h), completed, &done);
    h->g.group = span_str("g");
    h->generation = c->generation;
    h->member_id = span_str(c->id);
    h->instance_id = span_str(c->instance);
    op_group_heartbeat_submit(h);
    await(&done);
    int err = h->g.op.err;
    op_group_free(&h->g);
    return err;
}

int leave(const char *id, const char *instance)
{
    bool done = false;
    struct group_leaver who = {span_str(id), span_str(instance), 0};
    struct op_group_leave *l = op_new_internal(last_shard(), sizeof(*l), completed, &done);
    l->g.group = span_str("g");
    l->leavers = &who;
    l->count = 1;
    op_group_leave_submit(l);
    await(&done);
    int err = l->g.op.err ? l->g.op.err : who.err;
    op_group_free(&l->g);
    return err;
}

int commit_as(const struct client *c, struct topic_id topic, uint32_t partition, int64_t offset,
              const char *text)
{
    bool done = false;
    struct group_offset at = {.topic = topic,
                              .partition = partition,
                              .offset = offset,
                              .leader_epoch = -1,
                              .metadata = span_str(text)};
    struct op_group_commit *o = op_new_internal(last_shard(), sizeof(*o), completed, &done);
    o->g.group = span_str("g");
    o->generation = c ? c->generation : -1;
    o->member_id = span_str(c ? c->id : "");
    o->instance_id = span_str(c ? c->instance : NULL);
    o->retention_ms = -1;
    o->offsets = &at;
    o->count = 1;
    op_group_commit_submit(o);
    await(&done);
    int err = o->g.op.err ? o->g.op.err : at.err;
    op_group_free(&o->g);
    return err;
}

int64_t committed(struct topic_id topic, uint32_t partition)
{
    bool done = false;
    struct group_offset at = {.topic = topic, .partition = partition};
    struct op_group_offsets *o = op_new_internal(last_shard(), sizeof(*o), completed, &done);
    o->g.group = span_str("g");
    o->offsets = &at;
    o->count = 1;
    op_group_offsets_submit(o);
    await(&done);
    assert_int_equal(o->g.op.err, 0);
    op_group_free(&o->g);
    return at.offset;
}

int forget(struct topic_id topic, uint32_t partition)
{
    bool done = false;
    struct group_offset at = {.topic = topic, .partition = partition};
    struct op_group_forget *f = op_new_internal(last_shard(), sizeof(*f), completed, &done);
    f->g.group = span_str("g");
    f->offsets = &at;
    f->count = 1;
    op_group_forget_submit(f);
    await(&done);
    int err = f->g.op.err ? f->g.op.err : at.err;
    op_group_free(&f->g);
    return err;
}

int delete_group(void)
{
    bool done = false;
    struct op_group_delete *d = op_new_internal(last_shard(), sizeof(*d), completed, &done);
    d->g.group = span_str("g");
    op_group_delete_submit(d);
    await(&done);
    int err = d->g.op.err;
    op_group_free(&d->g);
    return err;
}

int describe(enum group_state *ret_state, uint32_t *ret_members)
{
    bool done = false;
    struct op_group_describe *d = op_new_internal(last_shard(), sizeof(*d), completed, &done);
    d->g.group = span_str("g");
    op_group_describe_submit(d);
    await(&done);
    int err = d->g.op.err;
    *ret_state = d->ret_state;
    *ret_members = d->ret_member_count;
    op_group_free(&d->g);
    return err;
}

void assert_state(enum group_state state, uint32_t members)
{
    enum group_state is;
    uint32_t count;
    assert_int_equal(describe(&is, &count), 0);
    assert_string_equal(group_state_name(is), group_state_name(state));
    assert_int_equal(count, members);
}
