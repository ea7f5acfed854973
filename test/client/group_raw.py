"""Membership of groups, request by request: what each version, state and mistake must be answered with."""

import time

import group_wire as gw
from group_wire import Member, add_member, join_all, new_group, stable, subscription, sync_all
from harness import wire
from harness.control import Control
from harness.scenario import Skip, equal, eventually, main, scenario, true
from harness.wire import NONE

RANGES = {gw.OFFSET_COMMIT: (2, 9), gw.OFFSET_FETCH: (1, 9), gw.FIND_COORDINATOR: (0, 6), gw.JOIN_GROUP: (0, 9),
          gw.HEARTBEAT: (0, 4), gw.LEAVE_GROUP: (0, 5), gw.SYNC_GROUP: (0, 5), gw.DESCRIBE_GROUPS: (0, 6),
          gw.LIST_GROUPS: (0, 5), gw.DELETE_GROUPS: (0, 2), gw.OFFSET_DELETE: (0, 0)}


@scenario("ApiVersions advertises every version that clients send")
def advertised(ctx):
    with ctx.connect() as conn:
        ranges = conn.api_ranges()
    for api, (low, high) in RANGES.items():
        true(api in ranges, f"API {api} is not advertised")
        true(ranges[api][0] <= low and ranges[api][1] >= high, f"API {api}: {ranges[api]}, needed {(low, high)}")


@scenario("FindCoordinator names this broker, in every version", timeout=60)
def find_coordinator(ctx):
    host, port = ctx.bootstrap.split(":")
    group = new_group(ctx)
    with ctx.connect() as conn:
        for version in range(7):
            answer = gw.call(conn, gw.FIND_COORDINATOR, version, key=group, keys=[group, group + "-other"])
            found = answer.coordinators if version >= 4 else [answer]
            for one in found:
                equal((one.error, one.host, one.port), (NONE, host, int(port)), f"version {version}")
                true(one.node >= 0, f"version {version}: node {one.node}")
            if version >= 4:
                equal([one.key for one in found], [group, group + "-other"], f"version {version}: keys")
        equal(gw.call(conn, gw.FIND_COORDINATOR, 6, keys=[]).coordinators, [], "no keys")


@scenario("FindCoordinator refuses a type of key that is none")
def find_coordinator_type(ctx):
    with ctx.connect() as conn:
        for version in (1, 3):
            equal(gw.call(conn, gw.FIND_COORDINATOR, version, key="k", key_type=9).error, gw.INVALID_REQUEST,
                  f"version {version}")
        for one in gw.call(conn, gw.FIND_COORDINATOR, 6, keys=["a", "b"], key_type=9).coordinators:
            equal(one.error, gw.INVALID_REQUEST, "version 6")


@scenario("a transaction has no coordinator, with an error that clients give up at")
def no_transactions(ctx):
    if ctx.external:
        raise Skip("Apache Kafka has transactions")
    with ctx.connect() as conn:
        for version in (1, 3, 6):
            answer = gw.call(conn, gw.FIND_COORDINATOR, version, key="t", keys=["t"], key_type=1)
            one = answer.coordinators[0] if version >= 4 else answer
            equal((one.error, one.node, one.port), (gw.NO_TRANSACTIONS, -1, -1), f"version {version}")
            true(one.message, f"version {version}: no message")


@scenario("join, sync, heartbeat and leave in every version")
def lifecycle(ctx):
    for version in range(10):
        group = new_group(ctx)
        metadata = subscription("topic", note=b"of old")
        member = Member(ctx, group, join_version=version, protocols=[("range", metadata), ("other", subscription())])
        answer = member.join()
        equal((answer.error, answer.generation, answer.protocol), (NONE, 1, "range"), f"version {version}: join")
        true(answer.member and answer.leader == answer.member, f"version {version}: {answer} is not the leader")
        equal([(m.member, m.metadata) for m in answer.members], [(answer.member, metadata)], "members")
        equal(getattr(answer, "protocol_type", "consumer"), "consumer", f"version {version}: protocol type")
        equal(getattr(answer, "skip", False), False, f"version {version}: skip assignment")
        synced = member.sync([(answer.member, b"assigned")])
        equal((synced.error, synced.assignment), (NONE, b"assigned"), f"version {version}: sync")
        equal(getattr(synced, "protocol", "range"), "range", f"version {version}: protocol of the sync")
        equal(member.heartbeat(), NONE, f"version {version}: heartbeat")
        equal(member.leave(), NONE, f"version {version}: leave")
        equal(member.heartbeat(), gw.UNKNOWN_MEMBER, f"version {version}: heartbeat after leaving")
        member.close()


@scenario("a new dynamic member is sent away with an id from version 4 on, not before")
def member_id_required(ctx):
    for version in range(10):
        member = Member(ctx, new_group(ctx), join_version=version)
        member.send_join()
        answer = member.receive_join()
        wanted = gw.MEMBER_ID_REQUIRED if version >= 4 else NONE
        equal(answer.error, wanted, f"version {version}")
        true(answer.member.startswith("raw-"), f"version {version}: member id {answer.member}")
        if version >= 4:
            equal((answer.generation, answer.leader, answer.members), (-1, "", []), f"version {version}: the rest")
            member.member = answer.member
            equal(member.join().error, NONE, f"version {version}: with the id")
            equal(member.member, answer.member, f"version {version}: id of the member")
        member.close()


@scenario("a new static member joins at once")
def static_joins(ctx):
    for version in range(5, 10):
        member = Member(ctx, new_group(ctx), join_version=version, instance="one")
        member.send_join()
        answer = member.receive_join()
        equal((answer.error, answer.generation), (NONE, 1), f"version {version}")
        true(answer.member.startswith("one-"), f"version {version}: member id {answer.member}")
        equal([(m.member, m.instance) for m in answer.members], [(answer.member, "one")], "members")
        member.close()


@scenario("an id that the broker did not give is unknown")
def unknown_member(ctx):
    group, (member,) = stable(ctx)
    for name in (group, ctx.name("absent")):
        stranger = Member(ctx, name, member="stranger")
        stranger.generation = 1
        stranger.send_join()
        equal(stranger.receive_join().error, gw.UNKNOWN_MEMBER, "join")
        equal(stranger.heartbeat(), gw.UNKNOWN_MEMBER, "heartbeat")
        equal(stranger.sync(protocol="range").error, gw.UNKNOWN_MEMBER, "sync")
        equal(stranger.leave(), gw.UNKNOWN_MEMBER, "leave")
        stranger.close()
    equal(member.heartbeat(), NONE, "heartbeat of the member")


@scenario("session timeouts have bounds")
def session_bounds(ctx):
    group = new_group(ctx)
    for version in (0, 3, 9):
        for session, error in ((5999, gw.INVALID_SESSION), (1800001, gw.INVALID_SESSION), (-1, gw.INVALID_SESSION),
                               (6000, NONE), (1800000, NONE)):
            member = Member(ctx, group, join_version=version, session=session)
            if not error:
                member.ask_id()
            member.send_join()
            equal(member.receive_join().error, error, f"version {version}, {session} ms")
            if not error:
                equal(member.leave(), NONE, "leave")
            member.close()


@scenario("the empty string is no group")
def empty_group(ctx):
    new_group(ctx)
    member = Member(ctx, "", member="someone")
    member.send_join()
    equal(member.receive_join().error, gw.INVALID_GROUP_ID, "join")
    equal(member.sync(protocol="range").error, gw.INVALID_GROUP_ID, "sync")
    equal(member.heartbeat(), gw.INVALID_GROUP_ID, "heartbeat")
    equal(member.leave(), gw.INVALID_GROUP_ID, "leave")
    with ctx.connect() as conn:
        equal(gw.call(conn, gw.DELETE_GROUPS, 2, groups=[""]).results[0].error, gw.GROUP_NOT_FOUND, "delete")


@scenario("the leader is told all members, the others none; the assignments are its own")
def leader_assigns(ctx):
    for version in (0, 4, 9):
        _, members = stable(ctx, 3, join_version=version)
        leader, *others = members
        equal([m.joined.leader for m in members], [leader.member] * 3, "leader")
        equal(sorted(m.member for m in leader.joined.members), sorted(m.member for m in members), "members")
        equal([m.joined.members for m in others], [[], []], "members told to the others")
        equal({m.generation for m in members}, {leader.generation}, "generations")
        for member in members:
            equal(member.heartbeat(), NONE, "heartbeat")
            equal(member.sync().assignment, b"of " + member.member.encode(), "assignment, asked for again")


@scenario("a member that the leader forgets is assigned nothing")
def no_assignment(ctx):
    member = Member(ctx, new_group(ctx))
    member.join()
    synced = member.sync([("someone else", b"x")])
    equal((synced.error, synced.assignment), (NONE, b""), "sync")


@scenario("the protocol is the one that most members put first, of those that all have")
def vote(ctx):
    group, members = stable(ctx, protocols=[(name, subscription(note=b"first")) for name in "abc"])
    equal(members[0].joined.protocol, "a", "of one")
    for names, wanted in (("cb", "b"), ("cb", "c")):
        options = [(name, subscription(note=name.encode())) for name in names]
        members.append(add_member(ctx, group, members, protocols=options))
        equal({m.joined.protocol for m in members}, {wanted}, f"of {len(members)}")
    got = {m.member: m.metadata for m in members[0].joined.members}
    wanted = [subscription(note=note) for note in (b"c", b"c", b"first")]
    equal(sorted(got.values()), sorted(wanted), "metadata for the chosen protocol")


@scenario("protocols that do not fit those of the group are refused")
def inconsistent(ctx):
    group, (member,) = stable(ctx)
    for options in ({"protocols": [("other", subscription())]}, {"protocol_type": "connect"}, {"protocols": []}):
        for version in (0, 9):
            odd = Member(ctx, group, join_version=version, **options)
            odd.send_join()
            equal(odd.receive_join().error, gw.INCONSISTENT_PROTOCOL, f"{options}, version {version}")
            odd.close()
    for options in ({"protocols": []}, {"protocol_type": ""}):
        odd = Member(ctx, new_group(ctx), join_version=3, **options)
        odd.send_join()
        equal(odd.receive_join().error, gw.INCONSISTENT_PROTOCOL, f"{options} to a new group")
        odd.close()
    equal(member.heartbeat(), NONE, "heartbeat of the member")


@scenario("an empty group takes another protocol type")
def retyped(ctx):
    group, (member,) = stable(ctx)
    equal(member.leave(), NONE, "leave")
    other = Member(ctx, group, protocol_type="connect", protocols=[("sessioned", b"opaque")])
    answer = other.join()
    equal((answer.error, answer.protocol_type, answer.protocol), (NONE, "connect", "sessioned"), "join")
    true(answer.generation > member.generation, f"generation {answer.generation} after {member.generation}")


@scenario("heartbeats tell of a rebalance while members are awaited, not while the leader assigns")
def heartbeat_states(ctx):
    group, members = stable(ctx, 2)
    leader, follower = members
    joiner = Member(ctx, group)
    joiner.begin_join()
    eventually(lambda: follower.heartbeat() == gw.REBALANCE, 10, "heartbeat says so")
    equal(follower.sync().error, gw.REBALANCE, "sync while members are awaited")
    for member in members:
        member.send_join()
    for member in members + [joiner]:
        equal(member.receive_join().error, NONE, "join")
    for member in members + [joiner]:
        equal(member.heartbeat(), NONE, "heartbeat while the leader assigns")
    follower.send_sync()
    sync_all(leader, [leader, joiner])
    got = follower.receive(gw.SYNC_GROUP)
    equal((got.error, got.assignment), (NONE, b""), "sync that came before the leader's")


@scenario("a sync waits for the leader's")
def sync_waits(ctx):
    group, members = stable(ctx, 2)
    leader, follower = members
    leader.send_join()  # the leader starts a rebalance by joining again
    eventually(lambda: follower.heartbeat() == gw.REBALANCE, 10, "the rebalance begins")
    follower.send_join()
    equal((leader.receive_join().error, follower.receive_join().error), (NONE, NONE), "join")
    follower.send_sync()
    follower.conn.sock.settimeout(0.3)
    try:
        follower.receive(gw.SYNC_GROUP)
        raise AssertionError("the follower was answered before the leader had assigned")
    except TimeoutError:
        follower.conn.sock.settimeout(10)
    leader.send_sync([(follower.member, b"yours"), (leader.member, b"mine")])
    equal(leader.receive(gw.SYNC_GROUP).assignment, b"mine", "assignment of the leader")
    equal(follower.receive(gw.SYNC_GROUP).assignment, b"yours", "assignment of the follower")


@scenario("a waiting sync is told when another rebalance begins")
def sync_interrupted(ctx):
    group, members = stable(ctx, 2)
    leader, follower = members
    leader.send_join()
    eventually(lambda: follower.heartbeat() == gw.REBALANCE, 10, "the rebalance begins")
    follower.send_join()
    equal((leader.receive_join().error, follower.receive_join().error), (NONE, NONE), "join")
    follower.send_sync()
    joiner = Member(ctx, group)
    joiner.begin_join()
    equal(follower.receive(gw.SYNC_GROUP).error, gw.REBALANCE, "sync")
    for member in members:
        member.send_join()
    for member in members + [joiner]:
        equal(member.receive_join().error, NONE, "join")


@scenario("SyncGroup checks protocol type and name")
def sync_protocol(ctx):
    _, (member,) = stable(ctx)
    equal(member.sync(protocol_type="connect").error, gw.INCONSISTENT_PROTOCOL, "another type")
    equal(member.sync(protocol="other").error, gw.INCONSISTENT_PROTOCOL, "another name")
    equal(member.sync(protocol_type=None, protocol=None).error, gw.INCONSISTENT_PROTOCOL, "none given")
    equal(member.sync().error, NONE, "the right ones")


@scenario("joining again: the leader begins a rebalance, a follower gets its generation unless it brings something new")
def join_again(ctx):
    _, members = stable(ctx, 2)
    leader, follower = members
    generation = leader.generation
    follower.send_join()
    answer = follower.receive_join()
    equal((answer.error, answer.generation, answer.members), (NONE, generation, []), "the follower's, the same")
    equal(leader.heartbeat(), NONE, "heartbeat of the leader")
    follower.protocols = [("range", subscription("changed"))]
    follower.send_join()
    eventually(lambda: leader.heartbeat() == gw.REBALANCE, 10, "the follower's, changed, begins a rebalance")
    leader.send_join()
    equal((leader.receive_join().generation, follower.receive_join().generation), (generation + 1,) * 2, "generation")
    sync_all(leader, members)
    leader.send_join()
    eventually(lambda: follower.heartbeat() == gw.REBALANCE, 10, "the leader's begins a rebalance")
    follower.send_join()
    equal((leader.receive_join().generation, follower.receive_join().generation), (generation + 2,) * 2, "generation")


@scenario("metadata that is no subscription passes through")
def opaque(ctx):
    if ctx.external:
        raise Skip("Apache Kafka gives error -1 or no answer at all")
    for metadata in (b"", b"\0", b"range of things", b"\0\0\x7f\xff\xff\xff" + b"x" * 20):
        group, (member,) = stable(ctx, protocols=[("range", metadata)])
        equal(member.joined.members[0].metadata, metadata, "metadata")
        with ctx.connect() as conn:
            found = gw.call(conn, gw.DESCRIBE_GROUPS, 5, groups=[group]).groups[0]
        equal(found.members[0].metadata, metadata, "metadata described")


@scenario("joining again before the leader has assigned gets the same generation")
def join_repeated(ctx):
    member = Member(ctx, new_group(ctx))
    equal(member.join().generation, 1, "generation")
    member.send_join()
    answer = member.receive_join()
    equal((answer.error, answer.generation, len(answer.members)), (NONE, 1, 1), "the answer repeated")
    member.protocols = [("range", subscription("changed"))]
    member.send_join()
    equal(member.receive_join().generation, 2, "with other metadata")


@scenario("an old generation is illegal")
def old_generation(ctx):
    _, (member,) = stable(ctx)
    for generation in (member.generation - 1, member.generation + 1, -1):
        equal(member.heartbeat(generation=generation), gw.ILLEGAL_GENERATION, f"heartbeat of {generation}")
        equal(member.sync(generation=generation).error, gw.ILLEGAL_GENERATION, f"sync of {generation}")


@scenario("who leaves makes the others join again, who is last leaves an empty group")
def leaving(ctx):
    for version in (0, 4, 9):
        group, members = stable(ctx, 2, join_version=version)
        first, second = members
        equal(first.leave(), NONE, "leave of the leader")
        eventually(lambda second=second: second.heartbeat() == gw.REBALANCE, 10, "the other is told")
        second.send_join()
        answer = second.receive_join()
        equal((answer.error, answer.leader, len(answer.members)), (NONE, second.member, 1), "join of the other")
        equal(second.leave(), NONE, "leave of the other")
        with ctx.connect() as conn:
            found = gw.call(conn, gw.DESCRIBE_GROUPS, 0, groups=[group]).groups[0]
        equal((found.state, found.members), ("Empty", []), "group")


@scenario("LeaveGroup of several, by member id and by instance")
def leave_batch(ctx):
    group, members = stable(ctx, 2)
    static = [add_member(ctx, group, members, instance="one")]
    static.append(add_member(ctx, group, members + static, instance="two"))
    with ctx.connect() as conn:
        answer = gw.call(conn, gw.LEAVE_GROUP, 5, group=group, members=[
            {"member": members[1].member, "reason": "test"}, {"member": "", "instance": "one"},
            {"member": "wrong", "instance": "two"}, {"member": "absent"}, {"member": "", "instance": "absent"}])
    equal(answer.error, NONE, "error")
    wanted = [(members[1].member, None, NONE), ("", "one", NONE), ("wrong", "two", gw.FENCED_INSTANCE),
              ("absent", None, gw.UNKNOWN_MEMBER), ("", "absent", gw.UNKNOWN_MEMBER)]
    equal([(m.member, m.instance, m.error) for m in answer.members], wanted, "members")
    equal([m.heartbeat() for m in (members[0], static[1])], [gw.REBALANCE] * 2, "heartbeats of those that stay")


@scenario("a static member that comes again has its assignment, without a rebalance; its former self is fenced")
def static_replaced(ctx):
    group, members = stable(ctx, 1, instance="one")
    members.append(add_member(ctx, group, members, instance="two"))
    generation = members[0].generation
    for place in (1, 0):
        old, instance = members[place], members[place].instance
        new = Member(ctx, group, instance=instance)
        new.send_join()
        answer = new.receive_join()
        equal((answer.error, answer.generation), (NONE, generation), f"join of {instance}")
        true(answer.member != old.member, f"{instance} got its old id {answer.member}")
        equal(answer.skip, place == 0, "skip assignment, said to the leader only")
        synced = new.sync()
        equal((synced.error, synced.assignment), (NONE, b"of " + old.member.encode()), "assignment")
        equal(old.heartbeat(), gw.FENCED_INSTANCE, "heartbeat of the former")
        equal(old.sync().error, gw.FENCED_INSTANCE, "sync of the former")
        old.send_join()
        equal(old.receive_join().error, gw.FENCED_INSTANCE, "join of the former")
        equal(old.commit(ctx.topic(), 1), gw.FENCED_INSTANCE, "commit of the former")
        equal(old.leave(), gw.FENCED_INSTANCE, "leave of the former")
        equal(new.heartbeat(), NONE, "heartbeat of the new")
        members[place] = new


@scenario("a static leader that comes again in versions before 9 is not told that it leads")
def static_leader_before_9(ctx):
    for version in (5, 8):
        group, (old,) = stable(ctx, 1, instance="one")
        new = Member(ctx, group, instance="one", join_version=version)
        new.send_join()
        answer = new.receive_join()
        equal((answer.error, answer.generation, answer.leader), (NONE, old.generation, old.member), "join")
        equal(answer.members, [], "members")
        equal(new.sync().assignment, b"of " + old.member.encode(), "assignment")


@scenario("a static member that comes again with other metadata begins a rebalance")
def static_changed(ctx):
    group, (old,) = stable(ctx, 1, instance="one", protocols=[("a", subscription()), ("b", subscription())])
    new = Member(ctx, group, instance="one", protocols=[("b", subscription("other"))])
    new.send_join()
    answer = new.receive_join()
    equal((answer.error, answer.generation, answer.protocol), (NONE, old.generation + 1, "b"), "join")
    equal(old.heartbeat(), gw.FENCED_INSTANCE, "heartbeat of the former")


@scenario("who does not join again within the rebalance timeout is out")
def rebalance_timeout(ctx):
    group, (lost,) = stable(ctx, rebalance=500)
    joiner = Member(ctx, group, rebalance=500)
    answer = joiner.join()
    equal((answer.error, len(answer.members), answer.leader), (NONE, 1, joiner.member), "join of the other")
    equal(lost.heartbeat(), gw.UNKNOWN_MEMBER, "heartbeat of the one that did not")


@scenario("who is silent for the session timeout is out, also one that got its id and never came", timeout=60)
def session_timeout(ctx):
    group, members = stable(ctx, 2, session=6000)
    kept, lost = members
    pending = Member(ctx, group, session=6000)
    pending.ask_id()
    began = time.monotonic()
    eventually(lambda: time.sleep(0.2) or kept.heartbeat() == gw.REBALANCE, 20, "the other is told")
    true(time.monotonic() - began > 5.5, "the session ended early")
    kept.send_join()
    answer = kept.receive_join()
    equal((answer.error, [m.member for m in answer.members]), (NONE, [kept.member]), "join")
    equal(lost.heartbeat(), gw.UNKNOWN_MEMBER, "heartbeat of the silent one")
    eventually(lambda: kept.heartbeat() == NONE and pending.heartbeat() == gw.UNKNOWN_MEMBER, 10, "pending id is gone")


@scenario("a leader that never assigns is put out with all that were to sync", timeout=60)
def pending_sync(ctx):
    member = Member(ctx, new_group(ctx), rebalance=600)
    equal(member.join().error, NONE, "join")
    eventually(lambda: time.sleep(0.2) or member.heartbeat() == gw.UNKNOWN_MEMBER, 15, "it is out")


@scenario("a broken connection while joining does no harm")
def broken(ctx):
    group, (member,) = stable(ctx, rebalance=1000)
    for _ in range(3):
        gone = Member(ctx, group, rebalance=1000)
        gone.begin_join()
        gone.close()
    eventually(lambda: member.heartbeat() == gw.REBALANCE, 10, "the rebalance begins")
    equal(member.join().error, NONE, "join")


@scenario("fifty members come to share one generation", timeout=60)
def many(ctx):
    group = new_group(ctx)
    members = [Member(ctx, group, rebalance=20000) for _ in range(50)]
    join_all(members[0])
    for member in members[1:]:
        member.begin_join()
    eventually(lambda: members[0].heartbeat() == gw.REBALANCE, 10, "the rebalance begins")
    members[0].send_join()
    for member in members:
        equal(member.receive_join().error, NONE, "join")
    # whoever came after the first was complete makes everyone join again
    while len({member.generation for member in members}) > 1 or any(m.heartbeat() for m in members):
        for member in members:
            member.send_join()
        for member in members:
            equal(member.receive_join().error, NONE, "join again")
    leader = next(member for member in members if member.joined.leader == member.member)
    equal(len(leader.joined.members), 50, "members")
    sync_all(leader, members)


@scenario("the initial delay is for an empty group only", timeout=90)
def initial_delay(ctx):
    with Control().restarted(group_delay_ms=2000):
        group = new_group(ctx)
        first, second = Member(ctx, group, join_version=3), Member(ctx, group, join_version=3)
        began = time.monotonic()
        equal(join_all(first, second).generation, 1, "generation of both")
        true(time.monotonic() - began > 1.9, "an empty group did not wait")
        leader = first if first.joined.leader == first.member else second
        sync_all(leader, [first, second])
        began = time.monotonic()
        add_member(ctx, group, [leader, second if leader is first else first], join_version=3)
        true(time.monotonic() - began < 1.9, "a group that was not empty waited")


@scenario("groups, members and offsets outlive the broker", timeout=120)
def outlived(ctx):
    control, topic = Control(), ctx.topic()
    group, members = stable(ctx, 2, session=60000, rebalance=60000)
    members.append(add_member(ctx, group, members, instance="one", session=60000, rebalance=60000))
    equal(members[0].commit(topic, 7, metadata="note", epoch=0), NONE, "commit")
    for how in (control.kill, control.stop):
        how()
        control.start()
        with ctx.connect() as conn:
            gw.wait_coordinator(conn, group)
            equal(gw.committed(conn, group, topic), (7, 0, "note", NONE), "committed offset")
        for member in members:
            member.close()
            member.conn = ctx.connect()
            equal(member.heartbeat(), NONE, "heartbeat")
            synced = member.sync()
            equal((synced.error, synced.assignment), (NONE, b"of " + member.member.encode()), "assignment")
    again = Member(ctx, group, instance="one")
    again.send_join()
    equal(again.receive_join().generation, members[0].generation, "generation of the static member that comes again")
    equal(again.sync().assignment, b"of " + members[2].member.encode(), "its assignment")


if __name__ == "__main__":
    main("raw groups")
