package colobus.client;

import static colobus.client.Context.eventually;
import static colobus.client.Scenarios.equal;
import static colobus.client.Scenarios.fails;
import static colobus.client.Scenarios.isTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ConsumerGroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListConsumerGroupsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.ConsumerGroupState;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.UnknownMemberIdException;

/** What administrators do with groups. */
final class GroupAdministration {
    private final Context context;

    GroupAdministration(Context context) {
        this.context = context;
    }

    void register(Scenarios scenarios) {
        scenarios.add("admin lists groups, by state too", this::list);
        scenarios.add("admin describes a group and its members", this::describe);
        scenarios.add("a group that is not there is described as clients expect", this::describeNobody);
        scenarios.add("admin lists, alters and deletes offsets of an empty group", this::offsets);
        scenarios.add("offsets of a group with members are protected", this::activeOffsets);
        scenarios.add("admin lists offsets of several groups at once", this::manyGroups);
        scenarios.add("admin deletes empty groups only", this::delete);
        scenarios.add("admin removes members", this::removeMembers);
    }

    private static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(20, TimeUnit.SECONDS);
    }

    private static ConsumerGroupDescription describe(Admin admin, String group) throws Exception {
        return get(admin.describeConsumerGroups(List.of(group)).describedGroups().get(group));
    }

    private static List<String> listed(Admin admin, ConsumerGroupState... states) throws Exception {
        var options = new ListConsumerGroupsOptions().inStates(Set.of(states));
        return get(admin.listConsumerGroups(options).all()).stream().map(ConsumerGroupListing::groupId).toList();
    }

    private void commit(String group, TopicPartition where, long offset) {
        try (var consumer = context.member(group)) {
            consumer.assign(List.of(where));
            consumer.commitSync(Map.of(where, new OffsetAndMetadata(offset)));
        }
    }

    private void list() throws Exception {
        String topic = context.topic(1);
        String empty = context.name("group");
        String active = context.name("group");
        commit(empty, new TopicPartition(topic, 0), 3);
        try (Admin admin = context.admin();
             var member = new Member(context.member(active), new Member.Ledger(), topic)) {
            Member.settled(List.of(member), 1);
            isTrue(listed(admin).containsAll(List.of(empty, active)), "a group is not listed");
            isTrue(listed(admin, ConsumerGroupState.EMPTY).contains(empty), "the empty group is not listed as Empty");
            isTrue(!listed(admin, ConsumerGroupState.EMPTY).contains(active), "the other group is listed as Empty");
            isTrue(listed(admin, ConsumerGroupState.STABLE).contains(active), "the group is not listed as Stable");
            for (var listing : get(admin.listConsumerGroups().all())) {
                if (listing.groupId().equals(active)) {
                    equal(listing.isSimpleConsumerGroup(), false, "simple");
                    equal(listing.state().orElse(null), ConsumerGroupState.STABLE, "state");
                }
            }
        }
    }

    private void describe() throws Exception {
        String topic = context.topic(3);
        String group = context.name("group");
        String strategy = "partition.assignment.strategy";
        String roundRobin = "org.apache.kafka.clients.consumer.RoundRobinAssignor";
        var ledger = new Member.Ledger();
        try (Admin admin = context.admin();
             var one = new Member(context.member(group, "client.id", "client-one", strategy, roundRobin), ledger, topic);
             var two = new Member(context.member(group, "client.id", "client-two", "group.instance.id", "fixed",
                 strategy, roundRobin), ledger, topic)) {
            Member.settled(List.of(one, two), 1, 2);
            var found = describe(admin, group);
            equal(found.state(), ConsumerGroupState.STABLE, "state");
            equal(found.partitionAssignor(), "roundrobin", "assignor");
            equal(found.isSimpleConsumerGroup(), false, "simple");
            equal(found.coordinator().host() + ":" + found.coordinator().port(), context.bootstrap, "coordinator");
            Map<String, MemberDescription> members = new TreeMap<>();
            found.members().forEach(member -> members.put(member.clientId(), member));
            equal(members.keySet(), Set.of("client-one", "client-two"), "client ids");
            equal(members.get("client-one").assignment().topicPartitions(), one.assigned(), "assignment of one");
            equal(members.get("client-two").assignment().topicPartitions(), two.assigned(), "assignment of two");
            equal(members.get("client-two").groupInstanceId().orElse(""), "fixed", "instance id");
            isTrue(members.get("client-one").host().contains("127.0.0.1"), "host " + members.get("client-one").host());
        }
        // The static member is still there.
        try (Admin admin = context.admin()) {
            equal(describe(admin, group).members().size(), 1, "members after both have closed");
        }
    }

    private void describeNobody() throws Exception {
        String group = context.name("nobody");
        try (Admin admin = context.admin()) {
            var future = admin.describeConsumerGroups(List.of(group)).describedGroups().get(group);
            if (System.getenv().getOrDefault("CLIENT", "").startsWith("java-3")) {
                equal(get(future).state(), ConsumerGroupState.DEAD, "state");
            } else {
                fails(GroupIdNotFoundException.class, future); // KIP-1043
            }
            equal(get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()), Map.of(), "offsets");
        }
    }

    private void offsets() throws Exception {
        String topic = context.topic(3);
        String group = context.name("group");
        TopicPartition first = new TopicPartition(topic, 0);
        TopicPartition second = new TopicPartition(topic, 1);
        commit(group, first, 5);
        try (Admin admin = context.admin()) {
            get(admin.alterConsumerGroupOffsets(group,
                Map.of(first, new OffsetAndMetadata(2), second, new OffsetAndMetadata(4, "set"))).all());
            equal(get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()),
                Map.of(first, new OffsetAndMetadata(2), second, new OffsetAndMetadata(4, "set")), "offsets");
            get(admin.deleteConsumerGroupOffsets(group, Set.of(first)).all());
            equal(get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()),
                Map.of(second, new OffsetAndMetadata(4, "set")), "offsets that are left");
            String fresh = context.name("group");
            get(admin.alterConsumerGroupOffsets(fresh, Map.of(first, new OffsetAndMetadata(1))).all());
            equal(describe(admin, fresh).state(), ConsumerGroupState.EMPTY, "state of a group made by altering");
            fails(GroupIdNotFoundException.class,
                admin.deleteConsumerGroupOffsets(context.name("nobody"), Set.of(first)).all());
        }
    }

    private void activeOffsets() throws Exception {
        String topic = context.topic(1);
        String other = context.topic(1);
        String group = context.name("group");
        TopicPartition where = new TopicPartition(topic, 0);
        TopicPartition unread = new TopicPartition(other, 0);
        var ledger = new Member.Ledger();
        try (Admin admin = context.admin();
             var member = new Member(context.member(group), ledger, topic)) {
            Member.settled(List.of(member), 1);
            context.spread(topic, 1, 0, 5);
            ledger.await(5);
            member.call(() -> {
                member.consumer.commitSync(Map.of(unread, new OffsetAndMetadata(3)));
                return null;
            });
            fails(UnknownMemberIdException.class,
                admin.alterConsumerGroupOffsets(group, Map.of(where, new OffsetAndMetadata(0))).all());
            fails(GroupSubscribedToTopicException.class,
                admin.deleteConsumerGroupOffsets(group, Set.of(where)).partitionResult(where));
            get(admin.deleteConsumerGroupOffsets(group, Set.of(unread)).all());
            equal(get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()),
                Map.of(where, new OffsetAndMetadata(5)), "offsets");
        }
    }

    private void manyGroups() throws Exception {
        TopicPartition where = new TopicPartition(context.topic(1), 0);
        Map<String, ListConsumerGroupOffsetsSpec> wanted = new TreeMap<>();
        for (int i = 1; i <= 3; i++) {
            String group = context.name("group");
            commit(group, where, i);
            wanted.put(group, new ListConsumerGroupOffsetsSpec().topicPartitions(i == 2 ? List.of(where) : null));
        }
        try (Admin admin = context.admin()) {
            var all = get(admin.listConsumerGroupOffsets(wanted).all());
            List<Long> offsets = new ArrayList<>();
            wanted.keySet().forEach(group -> offsets.add(all.get(group).get(where).offset()));
            equal(offsets.stream().sorted().toList(), List.of(1L, 2L, 3L), "offsets");
        }
    }

    private void delete() throws Exception {
        String topic = context.topic(1);
        String group = context.name("group");
        var ledger = new Member.Ledger();
        try (Admin admin = context.admin()) {
            try (var member = new Member(context.member(group), ledger, topic)) {
                Member.settled(List.of(member), 1);
                context.spread(topic, 1, 0, 5);
                ledger.await(5);
                fails(GroupNotEmptyException.class, admin.deleteConsumerGroups(List.of(group)).all());
            }
            get(admin.deleteConsumerGroups(List.of(group)).all());
            isTrue(!listed(admin).contains(group), "the deleted group is listed");
            equal(get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()), Map.of(), "offsets");
            fails(GroupIdNotFoundException.class, admin.deleteConsumerGroups(List.of(group)).all());
        }
        try (var member = new Member(context.member(group), new Member.Ledger(), topic)) {
            Member.settled(List.of(member), 1); // the name is free for a new group
        }
    }

    private void removeMembers() throws Exception {
        String topic = context.topic(2);
        String group = context.name("group");
        var ledger = new Member.Ledger();
        try (Admin admin = context.admin()) {
            try (var one = new Member(context.member(group, "group.instance.id", "one", "session.timeout.ms", "30000"),
                     ledger, topic);
                 var two = new Member(context.member(group, "group.instance.id", "two", "session.timeout.ms", "30000"),
                     ledger, topic)) {
                Member.settled(List.of(one, two), 1, 1);
                two.close();
                get(admin.removeMembersFromConsumerGroup(group,
                    new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("two")))).all());
                Member.settled(List.of(one), 2);
                fails(UnknownMemberIdException.class, admin.removeMembersFromConsumerGroup(group,
                    new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("nobody"))))
                    .memberResult(new MemberToRemove("nobody")));
            }
            get(admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions()).all());
            eventually("an empty group", () -> {
                var state = describe(admin, group).state();
                return state == ConsumerGroupState.EMPTY ? null : state.toString();
            });
        }
    }
}
