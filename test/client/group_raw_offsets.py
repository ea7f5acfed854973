"""Offsets and administration of groups, request by request."""

import group_wire as gw
from group_wire import Member, add_member, commit, committed, new_group, stable, subscription
from harness import wire
from harness.scenario import equal, eventually, main, scenario, true
from harness.wire import NONE, UNKNOWN_TOPIC

NOTHING = (-1, -1, "", NONE)


def delete_offsets(conn, group, *topics, partition=0):
    """(error, [error of each topic's partition]); Apache Kafka answers in an order of its own"""
    wanted = [{"name": topic, "partitions": [{"index": partition}]} for topic in topics]
    answer = gw.call(conn, gw.OFFSET_DELETE, 0, group=group, topics=wanted)
    errors = {topic.name: topic.partitions[0].error for topic in answer.topics}
    return answer.error, [errors[topic] for topic in topics if topic in errors]


def delete_group(conn, group, version=2):
    return gw.call(conn, gw.DELETE_GROUPS, version, groups=[group]).results[0].error


def describe(conn, group, version=6):
    return gw.call(conn, gw.DESCRIBE_GROUPS, version, groups=[group]).groups[0]


def listed(conn, version=5, **filters):
    answer = gw.call(conn, gw.LIST_GROUPS, version, **{"states": [], "types": [], **filters})
    equal(answer.error, NONE, "ListGroups")
    return {group.group: group for group in answer.groups}


@scenario("a commit of nobody's makes an empty group, in every version")
def simple_commits(ctx):
    topic = ctx.topic(partitions=3)
    with ctx.connect() as conn:
        for version in range(2, 10):
            group = new_group(ctx)
            equal(commit(conn, group, topic, 40, 1, version, metadata="note", epoch=0), NONE, f"version {version}")
            equal(commit(conn, group, topic, 41, 2, version, metadata=None), NONE, f"version {version}, null metadata")
            for fetch in range(1, 10):
                epoch = 0 if version >= 6 and fetch >= 5 else -1
                equal(committed(conn, group, topic, 1, fetch), (40, epoch, "note", NONE), f"{version}, {fetch}")
                equal(committed(conn, group, topic, 2, fetch), (41, -1, "", NONE), f"{version}, {fetch}: no metadata")
                equal(committed(conn, group, topic, 0, fetch), NOTHING, f"{version}, {fetch}: none")
            found = describe(conn, group)
            equal((found.state, found.protocol_type, found.members), ("Empty", "", []), "group")


@scenario("a later commit replaces the earlier, also with a smaller offset")
def replaced(ctx):
    topic, group = ctx.topic(), new_group(ctx)
    with ctx.connect() as conn:
        for offset in (10, 11, 3, 1 << 40):
            equal(commit(conn, group, topic, offset, metadata=f"at {offset}"), NONE, "commit")
            equal(committed(conn, group, topic), (offset, -1, f"at {offset}", NONE), "committed")


@scenario("a commit of nobody's to a group with members is refused")
def intruder(ctx):
    topic = ctx.topic()
    group, (member,) = stable(ctx)
    with ctx.connect() as conn:
        for version in (2, 5, 9):
            equal(commit(conn, group, topic, 5, version=version), gw.UNKNOWN_MEMBER, f"version {version}")
            equal(commit(conn, group, topic, 5, version=version, generation=member.generation, member="absent"),
                  gw.UNKNOWN_MEMBER, f"version {version}, a stranger's")
        equal(committed(conn, group, topic), NOTHING, "committed")
        equal(member.leave(), NONE, "leave")
        equal(commit(conn, group, topic, 5), NONE, "once it is empty")


@scenario("a commit with a generation to a group that is not there is refused")
def no_group(ctx):
    topic, group = ctx.topic(), new_group(ctx)
    with ctx.connect() as conn:
        for version in range(2, 10):
            wanted = gw.GROUP_NOT_FOUND if version >= 9 else gw.ILLEGAL_GENERATION
            equal(commit(conn, group, topic, 5, version=version, generation=3, member="someone"), wanted,
                  f"version {version}")
        equal(describe(conn, group).error, gw.GROUP_NOT_FOUND, "the group was not made")


@scenario("members commit with their generation, also while members are awaited, not while the leader assigns")
def member_commits(ctx):
    topic = ctx.topic()
    group, (member,) = stable(ctx)
    for version in range(2, 10):
        equal(member.commit(topic, version, version=version), NONE, f"version {version}")
    equal(member.commit(topic, 99, generation=member.generation + 1), gw.ILLEGAL_GENERATION, "a wrong generation")
    equal(committed(member.conn, group, topic), (9, -1, "", NONE), "committed")
    joiner = Member(ctx, group)
    joiner.begin_join()
    eventually(lambda: member.heartbeat() == gw.REBALANCE, 10, "the rebalance begins")
    equal(member.commit(topic, 10), NONE, "while members are awaited")
    member.send_join()
    equal((member.receive_join().error, joiner.receive_join().error), (NONE, NONE), "join")
    equal(member.commit(topic, 11), gw.REBALANCE, "while the leader assigns")
    equal(committed(member.conn, group, topic), (10, -1, "", NONE), "committed")


@scenario("what is not there can't be committed, and harms not the rest of the request")
def unknown_partitions(ctx):
    topic, absent, group = ctx.topic(partitions=2), ctx.name("absent"), new_group(ctx)
    parts = [{"index": i, "offset": 5, "metadata": ""} for i in (0, 2, -1, 1)]
    with ctx.connect() as conn:
        for version in (2, 9):
            answer = gw.call(conn, gw.OFFSET_COMMIT, version, group=group,
                             topics=[{"name": absent, "partitions": parts[:1]}, {"name": topic, "partitions": parts}])
            got = {(t.name, p.index): p.error for t in answer.topics for p in t.partitions}
            wanted = {(absent, 0): UNKNOWN_TOPIC, (topic, 0): NONE, (topic, 2): UNKNOWN_TOPIC,
                      (topic, -1): UNKNOWN_TOPIC, (topic, 1): NONE}
            equal(got, wanted, f"version {version}")
        equal(committed(conn, group, topic, 1), (5, -1, "", NONE), "committed")
        equal(committed(conn, group, absent), NOTHING, "of the absent topic")


@scenario("metadata has a limit")
def metadata_limit(ctx):
    topic, group = ctx.topic(partitions=2), new_group(ctx)
    parts = [{"index": 0, "offset": 1, "metadata": "x" * 4097}, {"index": 1, "offset": 2, "metadata": "x" * 4096}]
    with ctx.connect() as conn:
        answer = gw.call(conn, gw.OFFSET_COMMIT, 9, group=group, topics=[{"name": topic, "partitions": parts}])
        equal([p.error for p in answer.topics[0].partitions], [gw.METADATA_TOO_LARGE, NONE], "errors")
        equal(committed(conn, group, topic, 0), NOTHING, "the one that was too large")
        equal(committed(conn, group, topic, 1)[2], "x" * 4096, "the other")


@scenario("OffsetFetch of all topics, of several groups, of a group that is not there")
def fetch_all(ctx):
    topics, group, absent = sorted(ctx.topic(partitions=2) for _ in range(3)), new_group(ctx), ctx.name("absent")
    with ctx.connect() as conn:
        for index, topic in enumerate(topics):
            equal(commit(conn, group, topic, index, index % 2), NONE, "commit")
        wanted = [(topic, index % 2, index) for index, topic in enumerate(topics)]
        for version in range(2, 10):
            for stable_only in {False, version >= 7}:
                ask = {"groups": [{"group": group}, {"group": absent}], "group": group, "topics": None}
                answer = gw.call(conn, gw.OFFSET_FETCH, version, stable=stable_only, **ask)
                found = answer.groups if version >= 8 else [answer]
                equal([one.error for one in found], [NONE] * len(found), f"version {version}: errors")
                got = sorted((t.name, p.index, p.offset) for t in found[0].topics for p in t.partitions)
                equal(got, wanted, f"version {version}: all")
                equal([one.topics for one in found[1:]], [[]] * len(found[1:]), f"version {version}: absent group")
        for version in range(1, 10):
            equal(committed(conn, absent, topics[0], version=version), NOTHING, f"version {version}: absent group")
            equal(committed(conn, group, absent, version=version), NOTHING, f"version {version}: absent topic")
            equal(committed(conn, group, topics[0], 7, version=version), NOTHING, f"version {version}: absent partition")


@scenario("OffsetFetch answers a member only as what it is")
def fetch_member(ctx):
    group, (member,) = stable(ctx)
    topic = ctx.topic()
    equal(member.commit(topic, 4), NONE, "commit")
    wanted = [{"name": topic, "partitions": [0]}]
    for epoch, name in ((-1, ""), (member.generation, member.member)):
        answer = gw.call(member.conn, gw.OFFSET_FETCH, 9, groups=[{"group": group, "topics": wanted, "member": name,
                                                                  "epoch": epoch}]).groups[0]
        equal((answer.error, answer.topics[0].partitions[0].offset), (NONE, 4), f"as {name}, {epoch}")


@scenario("offsets of a deleted topic are gone, also when it is made again")
def topic_deleted(ctx):
    gone, kept, group = ctx.topic(), ctx.topic(), new_group(ctx)
    with ctx.connect() as conn:
        equal((commit(conn, group, gone, 5), commit(conn, group, kept, 6)), (NONE, NONE), "commits")
        equal(conn.delete_topic(gone), NONE, "DeleteTopics")
        eventually(lambda: committed(conn, group, gone) == NOTHING, 15, "offset is gone")
        eventually(lambda: not made(conn, gone), 15, "topic is made again")
        equal(committed(conn, group, gone), NOTHING, "offset of the new topic")
        equal(committed(conn, group, kept), (6, -1, "", NONE), "offset of another topic")


def made(conn, topic):
    """Error of a creation: the name may still be taken by the topic that is being deleted."""
    try:
        conn.create_topic(topic)
        return None
    except AssertionError as error:
        return error


@scenario("OffsetDelete works where nobody is subscribed")
def offset_delete(ctx):
    topic, other, absent, group = ctx.topic(), ctx.topic(), ctx.name("absent"), new_group(ctx)
    with ctx.connect() as conn:
        equal(delete_offsets(conn, group, topic), (gw.GROUP_NOT_FOUND, []), "of a group that is not there")
        equal((commit(conn, group, topic, 5), commit(conn, group, other, 6)), (NONE, NONE), "commits")
        equal(delete_offsets(conn, group, topic, absent), (NONE, [NONE, UNKNOWN_TOPIC]), "of an empty group")
        equal(delete_offsets(conn, group, topic), (NONE, [NONE]), "once more")
        equal(committed(conn, group, topic), NOTHING, "offset")
        equal(committed(conn, group, other), (6, -1, "", NONE), "another offset")
        equal(delete_offsets(conn, group, topic, partition=9), (NONE, [UNKNOWN_TOPIC]), "of an absent partition")


@scenario("OffsetDelete is refused for topics that members have subscribed to")
def offset_delete_subscribed(ctx):
    read, other = ctx.topic(), ctx.topic()
    group, (member,) = stable(ctx, protocols=[("range", subscription(read))])
    for topic in (read, other):
        equal(member.commit(topic, 5), NONE, "commit")
    equal(delete_offsets(member.conn, group, read, other), (NONE, [gw.SUBSCRIBED_TO_TOPIC, NONE]), "delete")
    equal(committed(member.conn, group, read)[0], 5, "offset of the subscribed topic")
    equal(committed(member.conn, group, other), NOTHING, "offset of the other")
    equal(member.leave(), NONE, "leave")
    equal(delete_offsets(member.conn, group, read), (NONE, [NONE]), "once it is empty")


@scenario("OffsetDelete is refused for a group with members that are no consumers")
def offset_delete_other(ctx):
    topic = ctx.topic()
    group, (member,) = stable(ctx, protocol_type="connect", protocols=[("sessioned", b"opaque")])
    equal(member.commit(topic, 5), NONE, "commit")
    equal(delete_offsets(member.conn, group, topic), (gw.NON_EMPTY_GROUP, []), "delete")


@scenario("DeleteGroups takes a group that is empty, with its offsets")
def delete_groups(ctx):
    topic, absent = ctx.topic(), ctx.name("absent")
    for version in range(3):
        group, (member,) = stable(ctx)
        equal(member.commit(topic, 5), NONE, "commit")
        answer = gw.call(member.conn, gw.DELETE_GROUPS, version, groups=[group, absent])
        got = {one.group: one.error for one in answer.results}
        equal(got, {group: gw.NON_EMPTY_GROUP, absent: gw.GROUP_NOT_FOUND}, f"version {version}")
        equal(committed(member.conn, group, topic)[0], 5, "offset")
        equal(member.leave(), NONE, "leave")
        equal(delete_group(member.conn, group, version), NONE, f"version {version}, empty")
        equal(delete_group(member.conn, group, version), gw.GROUP_NOT_FOUND, f"version {version}, again")
        equal(committed(member.conn, group, topic), NOTHING, "offset")
        true(group not in listed(member.conn), "still listed")
        equal(member.heartbeat(), gw.UNKNOWN_MEMBER, "heartbeat")
        fresh = Member(ctx, group)
        equal(fresh.join().error, NONE, "the name can be used again")


@scenario("DescribeGroups of a group that is not there")
def describe_absent(ctx):
    absent = new_group(ctx)
    with ctx.connect() as conn:
        for version in range(7):
            found = describe(conn, absent, version)
            wanted = (gw.GROUP_NOT_FOUND if version >= 6 else NONE, absent, "Dead", [])
            equal((found.error, found.group, found.state, found.members), wanted, f"version {version}")
            true(version < 6 or found.message, f"version {version}: no message")
        equal(gw.call(conn, gw.DESCRIBE_GROUPS, 6, groups=[]).groups, [], "of no group")
        equal({g.group for g in gw.call(conn, gw.DESCRIBE_GROUPS, 6, groups=[absent, "x" + absent]).groups},
              {absent, "x" + absent}, "of two")


@scenario("DescribeGroups tells state, protocol, members, their metadata and assignments")
def describe_members(ctx):
    metadata = subscription("topic")
    group, members = stable(ctx, 1, protocols=[("range", metadata)])
    members.append(add_member(ctx, group, members, protocols=[("range", metadata)], instance="one"))
    for version in range(7):
        found = describe(members[0].conn, group, version)
        equal((found.error, found.state, found.protocol_type, found.protocol), (NONE, "Stable", "consumer", "range"),
              f"version {version}")
        got = {m.member: (m.client, m.host, m.metadata, m.assignment) for m in found.members}
        equal(got, {m.member: ("raw", "/127.0.0.1", metadata, b"of " + m.member.encode()) for m in members},
              f"version {version}: members")
        if version >= 4:
            equal({m.member: m.instance for m in found.members}, {m.member: m.instance for m in members}, "instances")
        if version >= 3:
            equal(found.operations, -(1 << 31), "operations that nobody asked for")
    answer = gw.call(members[0].conn, gw.DESCRIBE_GROUPS, 6, groups=[group], operations=True).groups[0]
    true(answer.operations != -(1 << 31), "no operations")


@scenario("DescribeGroups and ListGroups follow the states of a group")
def states(ctx):
    topic, group = ctx.topic(), new_group(ctx)
    with ctx.connect() as conn:
        def state():
            found, listing = describe(conn, group), listed(conn).get(group)
            equal((listing.state, listing.protocol_type, listing.type), (found.state, "consumer", "classic"), "listed")
            for wanted in ("PreparingRebalance", "CompletingRebalance", "Stable", "Empty"):
                equal(group in listed(conn, states=[wanted]), wanted == found.state, f"listed as {wanted}")
            return found.state

        equal(commit(conn, group, topic, 1), NONE, "commit")  # Apache Kafka lists only what it has written something of
        first, second = Member(ctx, group), Member(ctx, group)
        equal(first.join().error, NONE, "join")
        equal(state(), "CompletingRebalance", "before the leader assigns")
        equal(first.sync([(first.member, b"all")]).error, NONE, "sync")
        equal(state(), "Stable", "after")
        second.begin_join()
        eventually(lambda: describe(conn, group).state == "PreparingRebalance", 10, "a rebalance begins")
        equal(state(), "PreparingRebalance", "while members are awaited")
        equal(first.leave(), NONE, "leave")
        equal(second.receive_join().error, NONE, "join of the second")
        equal(second.leave(), NONE, "leave of the second")
        equal(state(), "Empty", "after all left")


@scenario("ListGroups in every version, by state and by type")
def list_groups(ctx):
    full, (member,) = stable(ctx)
    empty, topic, absent = new_group(ctx), ctx.topic(), ctx.name("absent")
    with ctx.connect() as conn:
        equal(commit(conn, empty, topic, 1), NONE, "commit")
        for version in range(6):
            found = listed(conn, version)
            equal((found[full].protocol_type, found[empty].protocol_type), ("consumer", ""), f"version {version}")
            true(absent not in found, f"version {version}: an absent group is listed")
        mine = {full, empty}
        for filters, wanted in (({"states": ["Stable"]}, {full}), ({"states": ["Empty", "Stable"]}, mine),
                                ({"states": ["stable"]}, {full}), ({"states": ["Dead"]}, set()),
                                ({"types": ["classic"]}, mine), ({"types": ["Classic"]}, mine),
                                ({"types": ["consumer"]}, set()), ({"types": ["consumer", "classic"]}, mine),
                                ({"states": ["Empty"], "types": ["classic"]}, {empty})):
            equal(set(listed(conn, **filters)) & mine, wanted, f"{filters}")


@scenario("many partitions in one commit and one fetch")
def many(ctx):
    topics, group = [ctx.topic(partitions=100) for _ in range(5)], new_group(ctx)
    parts = [{"index": i, "offset": i, "metadata": "m" * 100} for i in range(100)]
    with ctx.connect() as conn:
        for _ in range(3):
            answer = gw.call(conn, gw.OFFSET_COMMIT, 9, group=group, topics=[{"name": t, "partitions": parts} for t in topics])
            equal({p.error for t in answer.topics for p in t.partitions}, {NONE}, "errors")
        answer = gw.call(conn, gw.OFFSET_FETCH, 9, groups=[{"group": group}]).groups[0]
    got = sorted((t.name, p.index, p.offset, p.metadata) for t in answer.topics for p in t.partitions)
    equal(got, sorted((t, i, i, "m" * 100) for t in topics for i in range(100)), "offsets")


if __name__ == "__main__":
    main("raw offsets")
