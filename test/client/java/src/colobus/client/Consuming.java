package colobus.client;

import static colobus.client.Context.bytes;
import static colobus.client.Context.numbers;
import static colobus.client.Context.read;
import static colobus.client.Context.values;
import static colobus.client.Scenarios.equal;
import static colobus.client.Scenarios.isTrue;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** What consumers without a group do. */
final class Consuming {
    private final Context context;

    Consuming(Context context) {
        this.context = context;
    }

    void register(Scenarios scenarios) {
        scenarios.add("seeks to any offset", this::seek);
        scenarios.add("an offset out of range is told", this::outOfRange);
        scenarios.add("offsetsForTimes, beginningOffsets and endOffsets", this::times);
        scenarios.add("reads with isolation read_committed", this::readCommitted);
        scenarios.add("reads records larger than its fetch size", this::largerThanFetch);
        scenarios.add("follows the end of a partition", this::tail);
        scenarios.add("metadata lists partitions and topics", this::metadata);
    }

    private void seek() throws Exception {
        String topic = context.topic(1);
        context.send(topic, 500, "compression.type", "zstd", "linger.ms", "20");
        TopicPartition where = new TopicPartition(topic, 0);
        try (var consumer = context.consumer(topic, 1, "max.poll.records", "1000")) {
            for (int offset : List.of(0, 1, 250, 499, 33)) {
                consumer.seek(where, offset);
                var records = read(consumer, 500 - offset);
                equal(records.get(0).offset(), (long) offset, "first offset");
                equal(values(records), numbers(offset, 500), "values from " + offset);
                equal(consumer.position(where), 500L, "position");
            }
        }
    }

    private void outOfRange() throws Exception {
        String topic = context.topic(1);
        context.send(topic, 5);
        TopicPartition where = new TopicPartition(topic, 0);
        try (var consumer = context.consumer(topic, 1)) {
            consumer.seek(where, 77);
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(15);
            while (System.nanoTime() < end) {
                try {
                    consumer.poll(Duration.ofMillis(200));
                } catch (OffsetOutOfRangeException e) {
                    equal(e.offsetOutOfRangePartitions(), Map.of(where, 77L), "partition and offset");
                    return;
                }
            }
        }
        throw new AssertionError("OffsetOutOfRangeException was not raised");
    }

    private void times() throws Exception {
        String topic = context.topic(2);
        long base = System.currentTimeMillis() - 100000;
        try (var producer = context.producer("compression.type", "lz4", "linger.ms", "30")) {
            for (int i = 0; i < 100; i++) {
                producer.send(new ProducerRecord<>(topic, 0, base + i * 10, null, bytes("" + i)));
            }
        }
        TopicPartition where = new TopicPartition(topic, 0);
        TopicPartition empty = new TopicPartition(topic, 1);
        try (var consumer = context.consumer(topic, 2)) {
            for (int millis : List.of(0, 1, 495, 500, 990)) {
                var found = consumer.offsetsForTimes(Map.of(where, base + millis)).get(where);
                long wanted = (millis + 9) / 10;
                equal(found.offset(), wanted, "offset for +" + millis);
                equal(found.timestamp(), base + wanted * 10, "timestamp for +" + millis);
            }
            var none = consumer.offsetsForTimes(Map.of(where, base + 991, empty, base));
            isTrue(none.get(where) == null && none.get(empty) == null, "found " + none);
            equal(consumer.beginningOffsets(List.of(where, empty)), Map.of(where, 0L, empty, 0L), "beginning");
            equal(consumer.endOffsets(List.of(where, empty)), Map.of(where, 100L, empty, 0L), "end");
        }
    }

    private void readCommitted() throws Exception {
        String topic = context.topic(1);
        context.send(topic, 300);
        TopicPartition where = new TopicPartition(topic, 0);
        try (var consumer = context.consumer(topic, 1, "isolation.level", "read_committed")) {
            consumer.seekToBeginning(List.of(where));
            equal(values(read(consumer, 300)), numbers(0, 300), "values");
            equal(consumer.endOffsets(List.of(where)), Map.of(where, 300L), "end");
        }
    }

    private void largerThanFetch() throws Exception {
        String topic = context.topic(1, Map.of("max.message.bytes", "4000000"));
        try (var producer = context.producer("max.request.size", "5000000")) {
            for (int size : List.of(3000000, 10, 2000000)) {
                producer.send(new ProducerRecord<>(topic, 0, null, new byte[size]));
            }
        }
        try (var consumer = context.consumer(topic, 1, "fetch.max.bytes", "1000", "max.partition.fetch.bytes", "1000")) {
            consumer.seekToBeginning(consumer.assignment());
            var sizes = read(consumer, 3).stream().map(record -> record.value().length).toList();
            equal(sizes, List.of(3000000, 10, 2000000), "sizes");
        }
    }

    private void tail() throws Exception {
        String topic = context.topic(1);
        try (var consumer = context.consumer(topic, 1); var producer = context.producer()) {
            consumer.seekToEnd(consumer.assignment());
            consumer.position(new TopicPartition(topic, 0));
            for (int i = 0; i < 30; i++) {
                producer.send(new ProducerRecord<>(topic, 0, null, bytes("" + i))).get(20, TimeUnit.SECONDS);
                equal(values(read(consumer, 1)), List.of("" + i), "record");
            }
        }
    }

    private void metadata() throws Exception {
        String topic = context.topic(3);
        try (var consumer = context.consumer(topic, 3)) {
            equal(consumer.partitionsFor(topic).size(), 3, "partitions");
            isTrue(consumer.listTopics().containsKey(topic), "topic is not listed");
        }
    }
}
