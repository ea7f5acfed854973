/* Consumer groups over a real store, on the simulated system: the barrier, sessions, positions, restarts;
 * one shard and three. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/group_impl.h"
#include "core/topic_table.h"
#include "os/sim/sim.h"

enum { STEPS = 4000000, TICK_MS = 10, SESSION_MS = 10000, REBALANCE_MS = 20000, DELAY_MS = 200 };

static struct config config;
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

static void stop(void)
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

static void run_ms(uint64_t ms)
{
    uint64_t target = os_mono_ns() + ms * 1000000;
    assert_true(sim_run_until(passed, &target, STEPS));
}

static struct shard *last_shard(void)
{
    return &broker->shards[broker->shard_count - 1];
}

/* ---- operations ---------------------------------------------------------------------------------------- */

static void completed(struct conn *c, struct op *op)
{
    *(bool *)op->user = true;
}

static void await(bool *done)
{
    assert_true(sim_run_until(is_true, done, STEPS));
}

static struct topic_id create(const char *name, int32_t partitions)
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

static void delete_topic(const char *name)
{
    bool done = false;
    struct op_topic_delete *t = op_new_internal(last_shard(), sizeof(*t), completed, &done);
    t->name = span_str(name);
    op_topic_delete_submit(t);
    await(&done);
    assert_int_equal(t->op.err, 0);
    op_topic_delete_free(t);
}

static void start(void **state)
{
    sim_reset(7);
    config_init(&config);
    set("shards", *state);
    set("journal.file-bytes", "1MiB");
    set("journal.max-bytes", "4MiB");
    boot();
}

static void crash(void)
{
    struct sim_image *image = sim_disk_image(sim_disk_ops(), SIM_CRASH_DROP);
    stop();
    sim_boot(image, 8);
    boot();
}

/* What a client is and wants; the answers it has got so far. */
struct client {
    char id[128];
    const char *instance, *type;
    struct group_protocol protocols[2];
    uint32_t protocol_count;
    struct span topic;
    bool old;  /* does not know KIP-394 */
    bool skip; /* knows KIP-814 */
    int32_t rebalance_ms, session_ms;
    int32_t generation;
    struct op_group_join *join;
    struct op_group_sync *sync;
    bool joined, synced;
};

static struct client new_client(void)
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

static void send_join(struct client *c)
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

static int end_join(struct client *c)
{
    await(&c->joined);
    if (c->join->g.op.err == 0 || c->join->g.op.err == ERR_MEMBER_ID_REQUIRED)
        snprintf(c->id, sizeof(c->id), "%.*s", SPAN_ARG(c->join->ret_member_id));
    if (c->join->g.op.err == 0)
        c->generation = c->join->ret_generation;
    return c->join->g.op.err;
}

static int join(struct client *c)
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

static int sync(struct client *c, const struct group_assignment *parts, uint32_t count)
{
    send_sync(c, parts, count);
    await(&c->synced);
    return c->sync->g.op.err;
}

static bool leads(const struct client *c)
{
    return span_eq_str(c->join->ret_leader, c->id);
}

/* All clients of the group: whoever leads gives each a part that is its own id. */
static void sync_all(struct client **all, uint32_t count)
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

static void form(struct client **all, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        send_join(all[i]);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(end_join(all[i]), 0);
    sync_all(all, count);
}

static void end_client(struct client *c)
{
    if (c->join)
        op_group_free(&c->join->g);
    if (c->sync)
        op_group_free(&c->sync->g);
    c->join = NULL;
    c->sync = NULL;
}

static int heartbeat(const struct client *c)
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

static int leave(const char *id, const char *instance)
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

static int commit_as(const struct client *c, struct topic_id topic, uint32_t partition, int64_t offset,
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

static int64_t committed(struct topic_id topic, uint32_t partition)
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

static int forget(struct topic_id topic, uint32_t partition)
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

static int delete_group(void)
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

static int describe(enum group_state *ret_state, uint32_t *ret_members)
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

static void assert_state(enum group_state state, uint32_t members)
{
    enum group_state is;
    uint32_t count;
    assert_int_equal(describe(&is, &count), 0);
    assert_string_equal(group_state_name(is), group_state_name(state));
    assert_int_equal(count, members);
}

/* ---- the barrier --------------------------------------------------------------------------------------- */

static void members_that_start_together_are_in_one_generation(void **state)
{
    start(state);
    struct client a = new_client(), b = new_client(), c = new_client();
    form((struct client *[]){&a, &b, &c}, 3);
    assert_int_equal(a.generation, 1);
    assert_int_equal(b.generation, 1);
    assert_int_equal(c.generation, 1);
    assert_int_equal(leads(&a) + leads(&b) + leads(&c), 1);
    assert_state(GROUP_STABLE, 3);
    end_client(&a), end_client(&b), end_client(&c);
    stop();
}

static void the_leader_gets_all_metadata_and_followers_none(void **state)
{
    start(state);
    struct client a = new_client(), b = new_client();
    form((struct client *[]){&a, &b}, 2);
    const struct client *leader = leads(&a) ? &a : &b, *follower = leads(&a) ? &b : &a;
    assert_int_equal(leader->join->ret_member_count, 2);
    assert_true(span_eq_str(leader->join->ret_members[0].metadata, "meta"));
    assert_int_equal(follower->join->ret_member_count, 0);
    end_client(&a), end_client(&b);
    stop();
}

static void the_initial_delay_is_for_an_empty_group_only(void **state)
{
    start(state);
    struct client a = new_client(), b = new_client();
    uint64_t before = os_mono_ns();
    assert_int_equal(join(&a), 0);
    assert_true(os_mono_ns() - before >= DELAY_MS * 1000000ull);
    sync_all((struct client *[]){&a}, 1);
    before = os_mono_ns();
    send_join(&b);
    run_ms(20);
    assert_false(b.joined); /* it waits for the other, which has not heard of it yet */
    assert_int_equal(heartbeat(&a), ERR_REBALANCING);
    send_join(&a);
    assert_int_equal(end_join(&b), 0);
    assert_int_equal(end_join(&a), 0);
    assert_true(os_mono_ns() - before < DELAY_MS * 1000000ull);
    assert_int_equal(a.generation, 2);
    end_client(&a), end_client(&b);
    stop();
}

static void the_initial_delay_grows_with_each_join_up_to_the_rebalance_timeout(void **state)
{
    start(state);
    struct client a = new_client(), more[3] = {new_client(), new_client(), new_client()};
    a.rebalance_ms = 3 * DELAY_MS;
    send_join(&a);
    for (int i = 0; i < 3; i++) {
        run_ms(DELAY_MS / 2);
        assert_false(a.joined);
        more[i].rebalance_ms = 3 * DELAY_MS;
        send_join(&more[i]);
    }
    assert_int_equal(end_join(&a), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(end_join(&more[i]), 0);
        assert_int_equal(more[i].generation, 1);
        end_client(&more[i]);
    }
    end_client(&a);
    stop();
}

static void a_new_dynamic_member_is_told_its_id_first_if_it_can_be(void **state)
{
    start(state);
    struct client young = new_client(), old = new_client(), fixed = new_client();
    young.old = false;
    assert_int_equal(join(&young), ERR_MEMBER_ID_REQUIRED);
    assert_memory_equal(young.id, "cli-", 4);
    assert_int_equal(join(&young), 0);
    end_client(&young);
    assert_int_equal(leave(young.id, NULL), 0);
    run_ms(50);
    assert_state(GROUP_EMPTY, 0);
    assert_int_equal(join(&old), 0);
    end_client(&old);
    assert_int_equal(leave(old.id, NULL), 0);
    fixed.old = false;
    fixed.instance = "one";
    assert_int_equal(join(&fixed), 0); /* static members have no need of it */
    assert_memory_equal(fixed.id, "one-", 4);
    end_client(&fixed);
    stop();
}

static void an_id_that_was_given_out_holds_the_barrier_until_it_expires(void **state)
{
    start(state);
    struct client a = new_client(), late = new_client();
    form((struct client *[]){&a}, 1);
    late.old = false;
    assert_int_equal(join(&late), ERR_MEMBER_ID_REQUIRED);
    send_join(&a); /* the leader wants to divide anew */
    run_ms(100);
    assert_false(a.joined);
    assert_int_equal(end_join(&a), 0); /* the id has expired */
    end_client(&a), end_client(&late);
    stop();
}

static void a_leader_that_joins_again_begins_a_rebalance_and_a_follower_does_not(void **state)
{
    start(state);
    struct client a = new_client(), b = new_client();
    form((struct client *[]){&a, &b}, 2);
    struct client *leader = leads(&a) ? &a : &b, *follower = leads(&a) ? &b : &a;
    assert_int_equal(join(follower), 0);
    assert_int_equal(follower->generation, 1);
    assert_int_equal(heartbeat(leader), 0);
    send_join(leader);
    run_ms(20);
    assert_int_equal(heartbeat(follower), ERR_REBALANCING);
    send_join(follower);
    assert_int_equal(end_join(leader), 0);
    assert_int_equal(leader->generation, 2);
    assert_int_equal(end_join(follower), 0);
    end_client(&a), end_client(&b);
    stop();
}

static void a_follower_with_new_metadata_begins_a_rebalance(void **state)
{
    start(state);
    struct client a = new_client(), b = new_client();
    form((struct client *[]){&a, &b}, 2);
    struct client *leader = leads(&a) ? &a : &b, *follower = leads(&a) ? &b : &a;
    follower->protocols[0].metadata = span_str("other");
    send_join(follower);
    run_ms(20);
    assert_false(follower->joined);
    assert_int_equal(join(leader), 0);
    assert_int_equal(end_join(follower), 0);
    assert_int_equal(leader->generation, 2);
    end_client(&a), end_client(&b);
    stop();
}

static void heartbeats_are_fine_while_the_leader_divides(void **state)
{
    start(state);
    struct client a = new_client();
    assert_int_equal(join(&a), 0);
    assert_state(GROUP_COMPLETING, 1);
    assert_int_equal(heartbeat(&a), 0);
    a.generation = 7;
    assert_int_equal(heartbeat(&a), ERR_GENERATION);
    snprintf(a.id, sizeof(a.id), "nobody");
    assert_int_equal(heartbeat(&a), ERR_UNKNOWN_MEMBER);
    end_client(&a);
    stop();
}

static void a_lost_answer_is_given_again(void **state)
{
    start(state);
    struct client a = new_client();
    assert_int_equal(join(&a), 0);
    assert_int_equal(join(&a), 0); /* same metadata while the group waits for the division */
    assert_int_equal(a.generation, 1);
    assert_int_equal(a.join->ret_member_count, 1);
    sync_all((struct client *[]){&a}, 1);
    assert_int_equal(sync(&a, NULL, 0), 0);
    assert_true(span_eq_str(a.sync->ret_assignment, a.id));
    end_client(&a);
    stop();
}

static void members_vote_for_a_protocol_that_all_have(void **state)
{
    start(state);
    struct client a = new_client(), b = new_client(), c = new_client(), stranger = new_client();
    struct client *all[] = {&a, &b, &c};
    for (int i = 0; i < 3; i++) {
        all[i]->protocols[0] = (struct group_protocol){span_str(i == 0 ? "range" : "sticky"), span_str("1")};
        all[i]->protocols[1] = (struct group_protocol){span_str(i == 0 ? "sticky" : "range"), span_str("2")};
        all[i]->protocol_count = 2;
    }
    form(all, 3);
    assert_true(span_eq_str(a.join->ret_protocol, "sticky"));
    stranger.protocols[0].name = span_str("other");
    assert_int_equal(join(&stranger), ERR_GROUP_PROTOCOL);
    stranger.type = "connect";
    stranger.protocols[0].name = span_str("range");
    assert_int_equal(join(&stranger), ERR_GROUP_PROTOCOL);
    stranger.protocol_count = 0;
    assert_int_equal(join(&stranger), ERR_GROUP_PROTOCOL);
    end_client(&a), end_client(&b), end_client(&c), end_client(&stranger);
    stop();
}

static void session_timeouts_have_bounds(void **state)
{
    start(state);
    struct client a = new_client();
    a.session_ms = 5999;
    assert_int_equal(join(&a), ERR_SESSION_TIMEOUT);
    a.session_ms = 1800001;
    assert_int_equal(join(&a), ERR_SESSION_TIMEOUT);
    a.session_ms = -1;
    assert_int_equal(join(&a), ERR_SESSION_TIMEOUT);
    a.session_ms = 6000;
    assert_int_equal(join(&a), 0);
    end_client(&a);
    stop();
}

static void a_member_that_is_silent_is_removed_and_the_others_go_round(void **state)
{
    start(state);
    struct client a = new_client(), b = new_client();
    form((struct client *[]){&a, &b}, 2);
    for (int i = 0; i < 4; i++) {
        run_ms(SESSION_MS / 4);
        int err = heartbeat(&a);
        assert_true(err == 0 || (i == 3 && err == ERR_REBALANCING));
    }
    run_ms(100);
    assert_int_equal(heartbeat(&a), ERR_REBALANCING);
    assert_int_equal(join(&a), 0);
    assert_true(leads(&a));
    assert_int_equal(a.generation, 2);
    assert_int_equal(a.join->ret_member_count, 1);
    assert_int_equal(heartbeat(&b), ERR_UNKNOWN_MEMBER);
    end_client(&a), end_client(&b);
    stop();
}

static void who_does_not_join_in_time_is_out(void **state)
{
    start(state);
    struct client a = new_client(), b = new_client(), c = new_client();
    a.rebalance_ms = b.rebalance_ms = c.rebalance_ms = 2000;
    form((struct client *[]){&a, &b}, 2);
    send_join(&c);
    send_join(&a);
    uint64_t before = os_mono_ns();
    assert_int_equal(end_join(&c), 0); /* b has not come */
    assert_true(os_mono_ns() - before >= 1900000000ull);
    assert_int_equal(end_join(&a), 0);
    assert_int_equal(heartbeat(&b), ERR_UNKNOWN_MEMBER);
    sync_all((struct client *[]){&a, &c}, 2);
    end_client(&a), end_client(&b), end_client(&c);
    stop();
}

static void who_joins_and_does_not_ask_for_its_part_is_out(void **state)
{
    start(state);
    struct client a = new_client(), b = new_client();
    a.rebalance_ms = b.rebalance_ms = 2000;
    send_join(&a), send_join(&b);
    assert_int_equal(end_join(&a), 0);
    assert_int_equal(end_join(&b), 0);
    struct client *leader = leads(&a) ? &a : &b, *other = leads(&a) ? &b : &a;
    struct group_assignment part = {span_str(leader->id), span_str("x")};
    assert_int_equal(sync(leader, &part, 1), 0);
    run_ms(2100);
    assert_int_equal(heartbeat(leader), ERR_REBALANCING);
    assert_int_equal(heartbeat(other), ERR_UNKNOWN_MEMBER);
    end_client(&a), end_client(&b);
    stop();
}

static void a_sync_of_an_earlier_generation_or_protocol_is_refused(void **state)
{
    start(state);
    struct client a = new_client();
    assert_int_equal(join(&a), 0);
    a.generation++;
    assert_int_equal(sync(&a, NULL, 0), ERR_GENERATION);
    a.generation--;
    bool done = false;
    struct op_group_sync *y = op_new_internal(last_shard(), sizeof(*y), completed, &done);
    y->g.group = span_str("g");
    y->generation = a.generation;
    y->member_id = span_str(a.id);
    y->protocol_type = span_str("consumer");
    y->protocol = span_str("sticky");
    op_group_sync_submit(y);
    await(&done);
    assert_int_equal(y->g.op.err, ERR_GROUP_PROTOCOL);
    op_group_free(&y->g);
    end_client(&a);
    stop();
}

static void members_that_leave_empty_the_group(void **state)
{
    start(state);
    struct client a = new_client(), b = new_client();
    form((struct client *[]){&a, &b}, 2);
    assert_int_equal(leave(b.id, NULL), 0);
    assert_int_equal(leave(b.id, NULL), ERR_UNKNOWN_MEMBER);
    assert_int_equal(heartbeat(&a), ERR_REBALANCING);
    assert_int_equal(leave(a.id, NULL), 0);
    assert_state(GROUP_EMPTY, 0);
    end_client(&a), end_client(&b);
    stop();
}

static void a_group_has_no_more_members_than_it_may(void **state)
{
    start(state);
    config.kafka_group_max_members = 2;
    struct client a = new_client(), b = new_client(), c = new_client();
    form((struct client *[]){&a, &b}, 2);
    assert_int_equal(join(&c), ERR_GROUP_FULL);
    assert_int_equal(leave(b.id, NULL), 0);
    send_join(&a);
    send_join(&c);
    assert_int_equal(end_join(&a), 0);
    assert_int_equal(end_join(&c), 0);
    end_client(&a), end_client(&b), end_client(&c);
    stop();
}

/* ---- static members ------------------------------------------------------------------------------------ */

static void a_static_member_that_restarts_keeps_its_part_and_nobody_goes_round(void **state)
{
    start(state);
    struct client a = new_client(), b = new_client();
    a.instance = "one";
    b.instance = "two";
    form((struct client *[]){&a, &b}, 2);
    struct client *leader = leads(&a) ? &a : &b, *other = leads(&a) ? &b : &a, before = *other,
                  again = *other;
    again.id[0] = 0;
    again.join = NULL;
    again.sync = NULL;
    assert_int_equal(join(&again), 0);
    assert_int_equal(again.generation, 1);
    assert_string_not_equal(again.id, before.id);
    assert_int_equal(heartbeat(leader), 0);
    assert_int_equal(sync(&again, NULL, 0), 0);
    assert_true(span_eq_str(again.sync->ret_assignment, before.id)); /* what the one before had */
    assert_int_equal(heartbeat(&before), ERR_FENCED_INSTANCE);
    end_client(&a), end_client(&b), end_client(&again);
    stop();
}

static void a_static_leader_that_restarts_is_told_to_skip_the_division(void **state)
{
    start(state);
    struct client a = new_client(), again;
    a.instance = "one";
    form((struct client *[]){&a}, 1);
    again = a;
    again.id[0] = 0;
    again.join = NULL;
    again.sync = NULL;
    assert_int_equal(join(&again), 0);
    assert_false(again.join->ret_skip_assignment); /* it does not know the word: somebody else leads */
    assert_true(span_eq_str(again.join->ret_leader, a.id));
    struct client third = again;
    third.id[0] = 0;
    third.join = NULL;
    third.sync = NULL;
    third.skip = true;
    assert_int_equal(join(&third), 0);
    assert_true(third.join->ret_skip_assignment);
    assert_true(leads(&third));
    assert_int_equal(third.join->ret_member_count, 1);
    end_client(&a), end_client(&again), end_client(&third);
    stop();
}

static void a_static_member_does_not_lose_its_place_by_not_joining(void **state)
{
    start(state);
    struct client a = new_client(), b = new_client(), c = new_client();
    a.instance = "one";
    a.session_ms = 60000;
    a.rebalance_ms = b.rebalance_ms = c.rebalance_ms = 2000;
    form((struct client *[]){&a, &b}, 2);
    send_join(&c);
    run_ms(20);
    send_join(&b);
    assert_int_equal(end_join(&b), 0);
    assert_int_equal(end_join(&c), 0);
    const struct client *leader = leads(&b) ? &b : &c;
    assert_true(leads(&b) || leads(&c)); /* who leads must be there */
    assert_int_equal(leader->join->ret_member_count, 3);
    end_client(&a), end_client(&b), end_client(&c);
    stop();
}

static void a_static_member_leaves_by_its_instance_id(void **state)
{
    start(state);
    struct client a = new_client();
    a.instance = "one";
    form((struct client *[]){&a}, 1);
    assert_int_equal(leave("", "two"), ERR_UNKNOWN_MEMBER);
    assert_int_equal(leave("somebody", "one"), ERR_FENCED_INSTANCE);
    assert_int_equal(leave("", "one"), 0);
    assert_state(GROUP_EMPTY, 0);
    end_client(&a);
    stop();
}

/* ---- positions ----------------------------------------------------------------------------------------- */

static void positions_are_those_committed_last_also_after_a_crash(void **state)
{
    start(state);
    struct topic_id t = create("t", 3);
    assert_int_equal(committed(t, 0), -1);
    for (int64_t i = 1; i <= 20; i++)
        assert_int_equal(commit_as(NULL, t, (uint32_t)(i % 3), i, "x"), 0);
    crash();
    assert_int_equal(committed(t, 0), 18);
    assert_int_equal(committed(t, 1), 19);
    assert_int_equal(committed(t, 2), 20);
    stop();
}

static void members_commit_in_their_generation_only(void **state)
{
    start(state);
    struct topic_id t = create("t", 1);
    struct client a = new_client(), nobody = new_client();
    assert_int_equal(join(&a), 0);
    assert_int_equal(commit_as(&a, t, 0, 1, ""), ERR_REBALANCING); /* it has no part yet */
    sync_all((struct client *[]){&a}, 1);
    assert_int_equal(commit_as(&a, t, 0, 1, ""), 0);
    assert_int_equal(commit_as(NULL, t, 0, 2, ""), ERR_UNKNOWN_MEMBER); /* not while there are members */
    a.generation = 0;
    assert_int_equal(commit_as(&a, t, 0, 2, ""), ERR_GENERATION);
    snprintf(nobody.id, sizeof(nobody.id), "nobody");
    nobody.generation = 1;
    assert_int_equal(commit_as(&nobody, t, 0, 2, ""), ERR_UNKNOWN_MEMBER);
    assert_int_equal(committed(t, 0), 1);
    assert_int_equal(leave(a.id, NULL), 0);
    assert_int_equal(commit_as(NULL, t, 0, 5, ""), 0);
    end_client(&a);
    stop();
}

static void a_generation_of_no_group_is_refused(void **state)
{
    start(state);
    struct topic_id t = create("t", 1);
    struct client a = new_client();
    a.generation = 3;
    assert_int_equal(commit_as(&a, t, 0, 1, ""), ERR_GENERATION);
    stop();
}

static void long_metadata_are_refused(void **state)
{
    start(state);
    struct topic_id t = create("t", 1);
    char text[4098];
    memset(text, 'x', sizeof(text));
    text[4097] = 0;
    assert_int_equal(commit_as(NULL, t, 0, 1, text), ERR_METADATA_TOO_LARGE);
    text[4096] = 0;
    assert_int_equal(commit_as(NULL, t, 0, 1, text), 0);
    stop();
}

static void a_topic_takes_its_positions_with_it(void **state)
{
    start(state);
    struct topic_id t = create("t", 1);
    assert_int_equal(commit_as(NULL, t, 0, 9, ""), 0);
    delete_topic("t");
    struct topic_id again = create("t", 1);
    assert_int_equal(committed(again, 0), -1);
    assert_int_equal(committed(t, 0), -1);
    crash();
    assert_int_equal(committed(again, 0), -1);
    assert_int_equal(committed(t, 0), -1);
    stop();
}

static void positions_are_forgotten_but_for_what_members_read(void **state)
{
    start(state);
    struct topic_id t = create("t", 1), u = create("u", 1);
    assert_int_equal(forget(t, 0), ERR_NO_GROUP);
    struct client a = new_client();
    form((struct client *[]){&a}, 1);
    assert_int_equal(commit_as(&a, t, 0, 1, ""), 0);
    assert_int_equal(commit_as(&a, u, 0, 2, ""), 0);
    assert_int_equal(forget(t, 0), ERR_GROUP_SUBSCRIBED);
    assert_int_equal(forget(u, 0), 0);
    assert_int_equal(committed(u, 0), -1);
    assert_int_equal(leave(a.id, NULL), 0);
    assert_int_equal(forget(t, 0), 0); /* of a group that assigns by hand, or is empty: redpanda#26664 */
    crash();
    assert_int_equal(committed(t, 0), -1);
    end_client(&a);
    stop();
}

static void a_group_is_deleted_when_it_is_empty(void **state)
{
    start(state);
    struct topic_id t = create("t", 1);
    struct client a = new_client();
    enum group_state is;
    uint32_t n;
    assert_int_equal(delete_group(), ERR_NO_GROUP);
    form((struct client *[]){&a}, 1);
    assert_int_equal(commit_as(&a, t, 0, 1, ""), 0);
    assert_int_equal(delete_group(), ERR_GROUP_NOT_EMPTY);
    assert_int_equal(leave(a.id, NULL), 0);
    assert_int_equal(delete_group(), 0);
    assert_int_equal(describe(&is, &n), ERR_NO_GROUP);
    assert_int_equal(is, GROUP_DEAD);
    crash();
    assert_int_equal(describe(&is, &n), ERR_NO_GROUP);
    assert_int_equal(committed(t, 0), -1);
    end_client(&a);
    stop();
}

static void positions_expire_only_when_members_are_gone(void **state)
{
    start(state);
    config.kafka_offsets_retention_ms = 60000;
    config.kafka_offsets_retention_check_interval_ms = 5000;
    crash(); /* the interval is read at a start */
    struct topic_id t = create("t", 1);
    struct client a = new_client();
    enum group_state is;
    uint32_t n;
    form((struct client *[]){&a}, 1);
    assert_int_equal(commit_as(&a, t, 0, 4, ""), 0);
    for (int i = 0; i < 20; i++) { /* 100 s */
        run_ms(5000);
        assert_int_equal(heartbeat(&a), 0);
    }
    assert_int_equal(committed(t, 0), 4);
    assert_int_equal(leave(a.id, NULL), 0);
    run_ms(50000);
    assert_int_equal(committed(t, 0), 4);
    run_ms(20000);
    assert_int_equal(committed(t, 0), -1);
    run_ms(5000);
    assert_int_equal(describe(&is, &n), ERR_NO_GROUP);
    end_client(&a);
    stop();
}

/* ---- restarts ------------------------------------------------------------------------------------------ */

static void a_stable_group_goes_on_after_a_crash(void **state)
{
    start(state);
    struct topic_id t = create("t", 1);
    struct client a = new_client(), b = new_client();
    form((struct client *[]){&a, &b}, 2);
    crash();
    assert_state(GROUP_STABLE, 2);
    assert_int_equal(heartbeat(&a), 0);
    assert_int_equal(commit_as(&b, t, 0, 3, ""), 0);
    assert_int_equal(sync(&a, NULL, 0), 0);
    assert_true(span_eq_str(a.sync->ret_assignment, a.id));
    run_ms(SESSION_MS / 2);
    assert_int_equal(heartbeat(&a), 0);
    run_ms(SESSION_MS / 2 + 100); /* of b nothing was heard since its commit */
    assert_int_equal(heartbeat(&a), ERR_REBALANCING);
    end_client(&a), end_client(&b);
    stop();
}

static void whoever_waits_is_sent_away_at_a_stop(void **state)
{
    start(state);
    struct client a = new_client(), b = new_client();
    form((struct client *[]){&a}, 1);
    send_join(&b); /* waits for a */
    run_ms(20);
    stop();
    assert_true(b.joined);
    assert_int_equal(b.join->g.op.err, ERR_STOPPING);
    end_client(&a), end_client(&b);
}

/* ---- recycling ----------------------------------------------------------------------------------------- */

static void a_snapshot_and_what_follows_it_make_the_same_groups(void **state)
{
    start(state);
    struct topic_id t = create("t", 50);
    struct client a = new_client();
    char text[3000];
    memset(text, 'm', sizeof(text));
    text[sizeof(text) - 1] = 0;
    form((struct client *[]){&a}, 1);
    for (int64_t i = 0; i < 3000; i++) { /* 9 MB of commits through 4 MiB of journal */
        assert_int_equal(commit_as(&a, t, (uint32_t)(i % 50), i, text), 0);
        if (i % 500 == 0)
            assert_int_equal(heartbeat(&a), 0);
    }
    crash();
    for (uint32_t p = 0; p < 50; p++)
        assert_int_equal(committed(t, p), 2950 + p);
    assert_int_equal(heartbeat(&a), 0);
    end_client(&a);
    stop();
}

#define BOTH(f)                                                                                              \
    {#f " (1 shard)", f, NULL, NULL, (char *)"1"},                                                           \
    {                                                                                                        \
#f " (3 shards)", f, NULL, NULL, (char *)"3"                                                         \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(members_that_start_together_are_in_one_generation),
        BOTH(the_leader_gets_all_metadata_and_followers_none),
        BOTH(the_initial_delay_is_for_an_empty_group_only),
        BOTH(the_initial_delay_grows_with_each_join_up_to_the_rebalance_timeout),
        BOTH(a_new_dynamic_member_is_told_its_id_first_if_it_can_be),
        BOTH(an_id_that_was_given_out_holds_the_barrier_until_it_expires),
        BOTH(a_leader_that_joins_again_begins_a_rebalance_and_a_follower_does_not),
        BOTH(a_follower_with_new_metadata_begins_a_rebalance),
        BOTH(heartbeats_are_fine_while_the_leader_divides),
        BOTH(a_lost_answer_is_given_again),
        BOTH(members_vote_for_a_protocol_that_all_have),
        BOTH(session_timeouts_have_bounds),
        BOTH(a_member_that_is_silent_is_removed_and_the_others_go_round),
        BOTH(who_does_not_join_in_time_is_out),
        BOTH(who_joins_and_does_not_ask_for_its_part_is_out),
        BOTH(a_sync_of_an_earlier_generation_or_protocol_is_refused),
        BOTH(members_that_leave_empty_the_group),
        BOTH(a_group_has_no_more_members_than_it_may),
        BOTH(a_static_member_that_restarts_keeps_its_part_and_nobody_goes_round),
        BOTH(a_static_leader_that_restarts_is_told_to_skip_the_division),
        BOTH(a_static_member_does_not_lose_its_place_by_not_joining),
        BOTH(a_static_member_leaves_by_its_instance_id),
        BOTH(positions_are_those_committed_last_also_after_a_crash),
        BOTH(members_commit_in_their_generation_only),
        BOTH(a_generation_of_no_group_is_refused),
        BOTH(long_metadata_are_refused),
        BOTH(a_topic_takes_its_positions_with_it),
        BOTH(positions_are_forgotten_but_for_what_members_read),
        BOTH(a_group_is_deleted_when_it_is_empty),
        BOTH(positions_expire_only_when_members_are_gone),
        BOTH(a_stable_group_goes_on_after_a_crash),
        BOTH(whoever_waits_is_sent_away_at_a_stop),
        BOTH(a_snapshot_and_what_follows_it_make_the_same_groups),
    };
    return cmocka_run_group_tests_name("core_group", tests, NULL, NULL);
}
