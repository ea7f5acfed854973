package colobus.client;

import static colobus.client.Context.eventually;
import static colobus.client.Context.numbers;
import static colobus.client.Context.read;
import static colobus.client.Context.values;
import static colobus.client.Scenarios.equal;
import static colobus.client.Scenarios.isTrue;
import static colobus.client.Scenarios.raises;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.InconsistentGroupProtocolException;

/** How members of a group share partitions, come and go. */
final class Grouping {
    private static final String CLASSES = "org.apache.kafka.clients.consumer.";
    private final Context context;

    Grouping(Context context) {
        this.context = context;
    }

    void register(Scenarios scenarios) {
        for (String name : List.of("Range", "RoundRobin", "Sticky", "CooperativeSticky")) {
            scenarios.add("a group grows to three and shrinks with " + name, () -> growAndShrink(name));
        }
        scenarios.add("a killed member's partitions pass on after its session", this::killed);
        scenarios.add("a static member comes back without a rebalance", this::staticReturn);
        scenarios.add("a static member that stays away expires", this::staticExpiry);
        scenarios.add("the older of two members with one instance id is fenced", this::fenced);
        scenarios.add("a member that polls too seldom loses its partitions", this::maxPollInterval);
        scenarios.add("paused partitions give nothing until resumed", this::pause);
        scenarios.add("a group of 1,000 partitions", 150, this::thousand); // other brokers take their time
        scenarios.add("a pattern picks up new topics", this::pattern);
        scenarios.add("a group takes up new partitions", this::newPartitions);
        scenarios.add("a member without a common assignor is refused", this::inconsistent);
        scenarios.add("auto.offset.reset is obeyed where nothing is committed", this::reset);
        scenarios.add("offsets are committed automatically", this::autoCommit);
        scenarios.add("members of one group read different topics", this::differentTopics);
    }

    private void growAndShrink(String assignor) throws Exception {
        String topic = context.topic(6);
        String group = context.name("group");
        String[] settings = {"partition.assignment.strategy", CLASSES + assignor + "Assignor"};
        var ledger = new Member.Ledger();
        List<Member> members = new ArrayList<>();
        try {
            members.add(new Member(context.member(group, settings), ledger, topic));
            Member.settled(members, 6);
            context.spread(topic, 6, 0, 60);
            ledger.await(60);
            members.add(new Member(context.member(group, settings), ledger, topic));
            members.add(new Member(context.member(group, settings), ledger, topic));
            Member.settled(members, 2, 2, 2);
            boolean cooperative = assignor.startsWith("Cooperative");
            isTrue(!cooperative || members.get(0).mostRevoked < 6, "a cooperative member gave up all its partitions");
            context.spread(topic, 6, 60, 120);
            ledger.await(120);
            members.remove(0).close();
            Member.settled(members, 3, 3);
            context.spread(topic, 6, 120, 180);
            ledger.await(180);
        } finally {
            members.forEach(Member::close);
        }
    }

    private void killed() throws Exception {
        String topic = context.topic(4);
        String group = context.name("group");
        var ledger = new Member.Ledger();
        Process doomed = new ProcessBuilder("java", "-Xmx64m", "-XX:TieredStopAtLevel=1", "-cp",
            System.getProperty("java.class.path"), "colobus.client.Doomed", context.bootstrap, group, topic)
            .redirectError(ProcessBuilder.Redirect.DISCARD).start();
        try (var member = new Member(context.member(group), ledger, topic)) {
            equal(doomed.inputReader().readLine(), "assigned", "what the other program says");
            Member.settled(List.of(member), 2);
            doomed.destroyForcibly().waitFor();
            Member.settled(List.of(member), 4);
            context.spread(topic, 4, 0, 40);
            ledger.await(40);
        } finally {
            doomed.destroyForcibly();
        }
    }

    private Member fixed(String group, String instance, Member.Ledger ledger, String topic, String... more) {
        List<String> settings = new ArrayList<>(List.of("group.instance.id", instance));
        settings.addAll(List.of(more));
        return new Member(context.member(group, settings.toArray(new String[0])), ledger, topic);
    }

    private void staticReturn() throws Exception {
        String topic = context.topic(4);
        String group = context.name("group");
        var ledger = new Member.Ledger();
        String[] patient = {"session.timeout.ms", "30000"};
        try (var one = fixed(group, "one", ledger, topic, patient)) {
            Set<TopicPartition> share;
            int rebalances;
            int generation;
            try (var two = fixed(group, "two", ledger, topic, patient)) {
                Member.settled(List.of(one, two), 2, 2);
                share = two.assigned();
                rebalances = one.rebalances;
                generation = one.generation();
            }
            context.spread(topic, 4, 0, 40);
            try (var again = fixed(group, "two", ledger, topic, patient)) {
                ledger.await(40);
                equal(again.assigned(), share, "partitions of the member that came back");
                equal(one.rebalances, rebalances, "rebalances of the other");
                equal(one.generation(), generation, "generation");
            }
        }
    }

    private void staticExpiry() throws Exception {
        String topic = context.topic(2);
        String group = context.name("group");
        var ledger = new Member.Ledger();
        try (var one = fixed(group, "one", ledger, topic)) {
            var two = fixed(group, "two", ledger, topic);
            Member.settled(List.of(one, two), 1, 1);
            two.close();
            context.spread(topic, 2, 0, 10);
            ledger.await(10);
            equal(one.assigned().size(), 2, "partitions of the one that is left");
        }
    }

    private void fenced() throws Exception {
        String topic = context.topic(2);
        String group = context.name("group");
        var ledger = new Member.Ledger();
        var older = fixed(group, "same", ledger, topic);
        Member.settled(List.of(older), 2);
        try (var newer = fixed(group, "same", ledger, topic)) {
            eventually("the older fails", () -> older.failure == null ? "it goes on" : null);
            isTrue(older.failure instanceof FencedInstanceIdException, "the older failed with " + older.failure);
            Member.settled(List.of(newer), 2);
            context.spread(topic, 2, 0, 10);
            ledger.await(10);
        }
        older.close();
    }

    private void maxPollInterval() throws Exception {
        String topic = context.topic(2);
        String group = context.name("group");
        context.spread(topic, 2, 0, 10);
        var ledger = new Member.Ledger();
        try (var lazy = context.member(group, "max.poll.interval.ms", "1500")) {
            lazy.subscribe(List.of(topic));
            List<String> got = new ArrayList<>();
            eventually("first records", () -> {
                lazy.poll(Duration.ofMillis(100)).forEach(record -> got.add(Context.text(record.value())));
                return got.isEmpty() ? "none" : null;
            });
            try (var eager = new Member(context.member(group), ledger, topic)) {
                Member.settled(List.of(eager), 2);
                ledger.await(10);
                raises(CommitFailedException.class, lazy::commitSync);
                eventually("the lazy member is back", () -> {
                    lazy.poll(Duration.ofMillis(50));
                    return lazy.assignment().size() == 1 && eager.assigned().size() == 1 ? null : "not yet";
                });
            }
        }
    }

    private void pause() throws Exception {
        String topic = context.topic(2);
        try (var consumer = context.member(context.name("group"))) {
            consumer.subscribe(List.of(topic));
            eventually("an assignment", () -> {
                consumer.poll(Duration.ofMillis(50));
                return consumer.assignment().size() == 2 ? null : "none";
            });
            TopicPartition paused = new TopicPartition(topic, 1);
            consumer.pause(List.of(paused));
            context.spread(topic, 2, 0, 20);
            for (var record : read(consumer, 10)) {
                equal(record.partition(), 0, "partition of a record");
            }
            equal(consumer.paused(), Set.of(paused), "paused");
            consumer.resume(List.of(paused));
            for (var record : read(consumer, 10)) {
                equal(record.partition(), 1, "partition of a record");
            }
        }
    }

    private void thousand() throws Exception {
        String topic = context.topic(1000);
        String group = context.name("group");
        try (var consumer = context.consumer(topic, 1000)) {
            // A Kafka that is still making the partitions may get the sequences of the producer wrong.
            equal(consumer.endOffsets(consumer.assignment()).size(), 1000, "leaders that answer");
        }
        context.spread(topic, 1000, 0, 2000);
        try (var consumer = context.member(group, "max.poll.records", "5000")) {
            consumer.subscribe(List.of(topic));
            eventually("an assignment", () -> {
                consumer.poll(Duration.ZERO);
                return consumer.assignment().size() == 1000 ? null : consumer.assignment().size() + " partitions";
            });
            consumer.seekToBeginning(consumer.assignment());
            equal(values(read(consumer, 2000)).stream().distinct().count(), 2000L, "different values");
            eventually("all partitions are committed", () -> {
                consumer.commitSync(); // leaves out partitions whose leader's epoch is just being checked
                long complete = consumer.committed(consumer.assignment()).values().stream()
                    .filter(offset -> offset != null && offset.offset() == 2).count();
                consumer.poll(Duration.ZERO);
                return complete == 1000 ? null : complete + " partitions";
            });
        }
    }

    private void pattern() throws Exception {
        String stem = context.name("pattern");
        String group = context.name("group");
        context.create(stem + "-a", 1, Map.of());
        context.spread(stem + "-a", 1, 0, 5);
        try (var consumer = context.member(group, "metadata.max.age.ms", "300")) {
            consumer.subscribe(Pattern.compile(stem + "-.*"));
            equal(values(read(consumer, 5)), numbers(0, 5), "values of the first topic");
            consumer.commitSync();
            context.create(stem + "-b", 1, Map.of());
            context.spread(stem + "-b", 1, 5, 10);
            equal(values(read(consumer, 5)), numbers(5, 10), "values of the second topic");
        }
    }

    private void newPartitions() throws Exception {
        String topic = context.topic(1);
        var ledger = new Member.Ledger();
        try (var member = new Member(context.member(context.name("group"), "metadata.max.age.ms", "300"), ledger, topic);
             var admin = context.admin()) {
            Member.settled(List.of(member), 1);
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all().get();
            Member.settled(List.of(member), 3);
            context.spread(topic, 3, 0, 30);
            ledger.await(30);
        }
    }

    private void inconsistent() throws Exception {
        String topic = context.topic(1);
        String group = context.name("group");
        String key = "partition.assignment.strategy";
        var ledger = new Member.Ledger();
        try (var member = new Member(context.member(group, key, CLASSES + "RangeAssignor"), ledger, topic);
             var other = context.member(group, key, CLASSES + "RoundRobinAssignor")) {
            Member.settled(List.of(member), 1);
            other.subscribe(List.of(topic));
            raises(InconsistentGroupProtocolException.class, () -> {
                eventually("an answer", () -> {
                    other.poll(Duration.ofMillis(100));
                    return "none";
                });
            });
        }
    }

    private void reset() throws Exception {
        String topic = context.topic(1);
        TopicPartition where = new TopicPartition(topic, 0);
        context.spread(topic, 1, 0, 5);
        try (var none = context.member(context.name("group"), "auto.offset.reset", "none")) {
            none.subscribe(List.of(topic));
            var error = raises(NoOffsetForPartitionException.class, () -> read(none, 1));
            equal(error.partitions(), Set.of(where), "partitions of the exception");
        }
        try (var latest = context.member(context.name("group"), "auto.offset.reset", "latest")) {
            latest.subscribe(List.of(topic));
            eventually("a position", () -> {
                latest.poll(Duration.ofMillis(50));
                return latest.assignment().isEmpty() ? "none" : null;
            });
            equal(latest.position(where), 5L, "position with latest");
        }
        try (var earliest = context.member(context.name("group"))) {
            earliest.subscribe(List.of(topic));
            equal(values(read(earliest, 5)), numbers(0, 5), "values with earliest");
        }
    }

    private void autoCommit() throws Exception {
        String topic = context.topic(1);
        String group = context.name("group");
        TopicPartition where = new TopicPartition(topic, 0);
        context.spread(topic, 1, 0, 20);
        String[] settings = {"enable.auto.commit", "true", "auto.commit.interval.ms", "100", "max.poll.records", "10"};
        try (var consumer = context.member(group, settings)) {
            consumer.subscribe(List.of(topic));
            equal(values(read(consumer, 10)), numbers(0, 10), "values");
            consumer.pause(Set.of(where));
            eventually("a commit", () -> {
                consumer.poll(Duration.ofMillis(50));
                OffsetAndMetadata committed = consumer.committed(Set.of(where)).get(where);
                return committed != null && committed.offset() == 10 ? null : "committed is " + committed;
            });
        }
        try (KafkaConsumer<byte[], byte[]> consumer = context.member(group)) {
            consumer.subscribe(List.of(topic));
            equal(values(read(consumer, 10)), numbers(10, 20), "values after the restart");
        }
    }

    private void differentTopics() throws Exception {
        String first = context.topic(2);
        String second = context.topic(2);
        String group = context.name("group");
        var ledger = new Member.Ledger();
        try (var one = new Member(context.member(group), ledger, first);
             var both = new Member(context.member(group), ledger, first, second)) {
            eventually("each reads what it subscribed to", () -> {
                long foreign = one.assigned().stream().filter(part -> part.topic().equals(second)).count();
                equal(foreign, 0L, "partitions of a topic not subscribed to");
                return one.assigned().size() == 1 && both.assigned().size() == 3 ? null
                    : one.assigned() + " and " + both.assigned();
            });
            context.spread(first, 2, 0, 10);
            context.spread(second, 2, 10, 20);
            ledger.await(20);
        }
    }
}
