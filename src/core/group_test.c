/* Consumer groups over a real store, on the simulated system: the barrier, sessions, positions, restarts;
 * one shard and three. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/err.h"
#include "core/broker.h"
#include "core/group_testkit.h"
#include "os/sim/sim.h"

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
    run_ms(1);
    uint64_t before = last_shard()->now_ns; /* of the turn that it counts from */
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
    assert_int_equal(sync_one(&a, NULL, 0), 0);
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
    assert_int_equal(sync_one(leader, &part, 1), 0);
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
    assert_int_equal(sync_one(&a, NULL, 0), ERR_GENERATION);
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

/* redpanda#1335, #3842, #4189: clients with group.instance.id failed or waited for ever. */
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
    assert_int_equal(sync_one(&again, NULL, 0), 0);
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

static void parts_are_told_while_the_group_goes_round(void **state)
{
    start(state);
    struct client a = new_client(), b = new_client();
    form((struct client *[]){&a}, 1);
    send_join(&b);
    run_ms(20);
    bool done = false;
    struct op_group_describe *d = op_new_internal(last_shard(), sizeof(*d), completed, &done);
    d->g.group = span_str("g");
    op_group_describe_submit(d);
    await(&done);
    assert_int_equal(d->ret_state, GROUP_PREPARING);
    assert_int_equal(d->ret_member_count, 2);
    assert_true(span_eq_str(d->ret_members[0].assignment, a.id));
    assert_int_equal(d->ret_members[0].metadata.len, 0);
    assert_int_equal(d->ret_members[1].assignment.len, 0);
    op_group_free(&d->g);
    stop(); /* b waits until then */
    end_client(&a), end_client(&b);
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

static bool room;

static int no_room_yet(struct shard *s, struct space_wait *w, int err)
{
    return room || err ? 0 : ERR_AGAIN;
}

/* Its position would come after what the next owner was told, and take its commits back. */
static void a_commit_that_waits_for_room_dies_with_its_generation(void **state)
{
    start(state);
    struct topic_id t = create("t", 1);
    struct client a = new_client();
    struct space_wait first = {.retry = no_room_yet};
    form((struct client *[]){&a}, 1);
    assert_int_equal(commit_as(&a, t, 0, 5, ""), 0);
    struct broker *b = last_shard()->broker;
    struct shard *owner =
        &b->shards[store_shard_of(b->store, STORE_COMMAND_LOGS + group_log_of(0, span_str("g")))];
    room = false;
    list_init(&first.link);
    shard_wait_for_space(owner, &first);
    bool done = false;
    struct group_offset at = {.topic = t, .offset = 9, .leader_epoch = -1, .metadata = span_of("", 0)};
    struct op_group_commit *o = op_new_internal(last_shard(), sizeof(*o), completed, &done);
    o->g.group = span_str("g");
    o->generation = a.generation;
    o->member_id = span_str(a.id);
    o->retention_ms = -1;
    o->offsets = &at;
    o->count = 1;
    op_group_commit_submit(o);
    run_ms(20);
    assert_false(done);
    assert_int_equal(join(&a), 0); /* the leader wants to divide anew */
    assert_int_equal(a.generation, 2);
    room = true;
    shard_space(owner, 0);
    await(&done);
    assert_int_equal(o->g.op.err, ERR_GENERATION);
    op_group_free(&o->g);
    assert_int_equal(committed(t, 0), 5);
    end_client(&a);
    stop();
}

static void a_generation_of_no_group_is_refused(void **state)
{
    start(state);
    struct topic_id t = create("t", 1);
    struct client a = new_client();
    a.generation = 3;
    assert_int_equal(commit_as(&a, t, 0, 1, ""), ERR_NO_GROUP);
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
    assert_int_equal(sync_one(&a, NULL, 0), 0);
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
        BOTH(parts_are_told_while_the_group_goes_round),
        BOTH(positions_are_those_committed_last_also_after_a_crash),
        BOTH(members_commit_in_their_generation_only),
        BOTH(a_commit_that_waits_for_room_dies_with_its_generation),
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
