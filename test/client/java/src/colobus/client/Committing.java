package colobus.client;

import static colobus.client.Context.eventually;
import static colobus.client.Context.numbers;
import static colobus.client.Context.read;
import static colobus.client.Context.values;
import static colobus.client.Scenarios.equal;
import static colobus.client.Scenarios.isTrue;
import static colobus.client.Scenarios.raises;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.OffsetMetadataTooLarge;

/** Offsets of groups: committed, fetched, kept. */
final class Committing {
    private final Context context;

    Committing(Context context) {
        this.context = context;
    }

    void register(Scenarios scenarios) {
        scenarios.add("a restarted consumer goes on at its commit", this::restart);
        scenarios.add("commitSync and commitAsync keep offset, epoch and metadata", this::metadata);
        scenarios.add("assigned partitions are committed without membership", this::simple);
        scenarios.add("a stranger may not commit for a group with members", this::stranger);
        scenarios.add("metadata of a commit has a limit", this::tooLarge);
        scenarios.add("a commit goes backwards if told so", this::backwards);
        scenarios.add("offsets of a deleted topic are forgotten", this::deletedTopic);
        scenarios.add("offsets by time, beginning and end in a group", this::offsets);
    }

    private void restart() throws Exception {
        String topic = context.topic(1);
        String group = context.name("group");
        context.spread(topic, 1, 0, 60);
        for (int round = 0; round < 3; round++) {
            try (var consumer = context.member(group, "max.poll.records", "20")) {
                consumer.subscribe(List.of(topic));
                equal(values(read(consumer, 20)), numbers(round * 20, round * 20 + 20), "values of round " + round);
                consumer.commitSync();
            }
        }
    }

    private void metadata() throws Exception {
        String topic = context.topic(2);
        TopicPartition first = new TopicPartition(topic, 0);
        TopicPartition second = new TopicPartition(topic, 1);
        var full = new OffsetAndMetadata(7, Optional.of(0), "a note with umlauts: äöü");
        var plain = new OffsetAndMetadata(9);
        AtomicReference<Object> outcome = new AtomicReference<>();
        try (var consumer = context.member(context.name("group"))) {
            consumer.subscribe(List.of(topic));
            eventually("an assignment", () -> {
                consumer.poll(Duration.ofMillis(50));
                return consumer.assignment().size() == 2 ? null : "none";
            });
            equal(consumer.committed(Set.of(first)).get(first), null, "committed before the first commit");
            consumer.commitSync(Map.of(first, full));
            equal(consumer.committed(Set.of(first)).get(first), full, "committed by commitSync");
            consumer.commitAsync(Map.of(second, plain), (offsets, error) -> outcome.set(error == null ? offsets : error));
            eventually("the callback of commitAsync", () -> {
                consumer.poll(Duration.ofMillis(50));
                return outcome.get() == null ? "none" : null;
            });
            equal(outcome.get(), Map.of(second, plain), "outcome of commitAsync");
            equal(consumer.committed(Set.of(first, second)), Map.of(first, full, second, plain), "both");
        }
    }

    private void simple() throws Exception {
        String topic = context.topic(2);
        String group = context.name("group");
        TopicPartition where = new TopicPartition(topic, 1);
        context.spread(topic, 2, 0, 20);
        for (int round = 0; round < 2; round++) {
            try (var consumer = context.member(group, "max.poll.records", "5")) {
                consumer.assign(List.of(where));
                equal(read(consumer, 5).get(0).offset(), round * 5L, "first offset");
                consumer.commitSync();
                equal(consumer.committed(Set.of(where)).get(where).offset(), round * 5L + 5, "committed");
            }
        }
    }

    private void stranger() throws Exception {
        String topic = context.topic(1);
        String group = context.name("group");
        TopicPartition where = new TopicPartition(topic, 0);
        try (var member = new Member(context.member(group), new Member.Ledger(), topic);
             var stranger = context.member(group)) {
            Member.settled(List.of(member), 1);
            stranger.assign(List.of(where));
            raises(CommitFailedException.class, () -> stranger.commitSync(Map.of(where, new OffsetAndMetadata(1))));
            equal(stranger.committed(Set.of(where)).get(where), null, "committed");
        }
    }

    private void tooLarge() throws Exception {
        TopicPartition where = new TopicPartition(context.topic(1), 0);
        try (var consumer = context.member(context.name("group"))) {
            consumer.assign(List.of(where));
            var most = new OffsetAndMetadata(1, "x".repeat(4096));
            consumer.commitSync(Map.of(where, most));
            raises(OffsetMetadataTooLarge.class,
                () -> consumer.commitSync(Map.of(where, new OffsetAndMetadata(2, "x".repeat(4097)))));
            equal(consumer.committed(Set.of(where)).get(where), most, "committed");
        }
    }

    private void backwards() throws Exception {
        String topic = context.topic(1);
        String group = context.name("group");
        TopicPartition where = new TopicPartition(topic, 0);
        context.spread(topic, 1, 0, 10);
        try (var consumer = context.member(group)) {
            consumer.assign(List.of(where));
            read(consumer, 10);
            consumer.commitSync();
            consumer.commitSync(Map.of(where, new OffsetAndMetadata(4)));
        }
        try (var consumer = context.member(group)) {
            consumer.subscribe(List.of(topic));
            equal(values(read(consumer, 6)), numbers(4, 10), "values after going back");
        }
    }

    private void deletedTopic() throws Exception {
        String topic = context.topic(1);
        String kept = context.topic(1);
        String group = context.name("group");
        TopicPartition gone = new TopicPartition(topic, 0);
        TopicPartition stays = new TopicPartition(kept, 0);
        try (var consumer = context.member(group); var admin = context.admin()) {
            consumer.assign(List.of(gone, stays));
            consumer.commitSync(Map.of(gone, new OffsetAndMetadata(5), stays, new OffsetAndMetadata(6)));
            admin.deleteTopics(List.of(topic)).all().get();
            eventually("the offset goes with its topic", () -> {
                var left = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
                return left.equals(Map.of(stays, new OffsetAndMetadata(6))) ? null : "offsets are " + left;
            });
        }
    }

    private void offsets() throws Exception {
        String topic = context.topic(2);
        TopicPartition full = new TopicPartition(topic, 0);
        TopicPartition empty = new TopicPartition(topic, 1);
        long before = System.currentTimeMillis() - 1000;
        context.spread(topic, 1, 0, 10);
        try (var consumer = context.member(context.name("group"))) {
            consumer.subscribe(List.of(topic));
            equal(values(read(consumer, 10)), numbers(0, 10), "values");
            equal(consumer.beginningOffsets(Set.of(full, empty)), Map.of(full, 0L, empty, 0L), "beginning");
            equal(consumer.endOffsets(Set.of(full, empty)), Map.of(full, 10L, empty, 0L), "end");
            equal(consumer.offsetsForTimes(Map.of(full, before)).get(full).offset(), 0L, "offset by time");
            consumer.seek(full, 8);
            equal(values(read(consumer, 2)), numbers(8, 10), "values after a seek");
            equal(consumer.position(full), 10L, "position");
            isTrue(consumer.currentLag(full).orElse(-1) == 0, "lag is " + consumer.currentLag(full));
        }
    }
}
