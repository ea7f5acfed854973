package colobus.client;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Makes clients of the broker under test, and topics that nobody else uses. */
final class Context {
    static final String SESSION_MS = "6000"; // the least that a broker allows unless told otherwise
    final String bootstrap;
    private final String run = Integer.toString(new Random().nextInt(1 << 30), 36);
    private int count;

    Context(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    String name(String stem) {
        return stem + "-j" + run + "-" + ++count;
    }

    private Properties settings(String... pairs) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < pairs.length; i += 2) {
            settings.put(pairs[i], pairs[i + 1]);
        }
        return settings;
    }

    Admin admin() {
        return Admin.create(settings());
    }

    KafkaProducer<byte[], byte[]> producer(String... pairs) {
        return new KafkaProducer<>(settings(pairs), new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** A consumer without a group, assigned to the given partitions of the topic. */
    KafkaConsumer<byte[], byte[]> consumer(String topic, int partitions, String... pairs) {
        Properties settings = settings(pairs);
        settings.put("enable.auto.commit", "false");
        settings.putIfAbsent("auto.offset.reset", "none");
        settings.putIfAbsent("allow.auto.create.topics", "false");
        var made = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        List<TopicPartition> parts = new ArrayList<>();
        for (int i = 0; i < partitions; i++) {
            parts.add(new TopicPartition(topic, i));
        }
        made.assign(parts);
        return made;
    }

    /** A consumer in a group, with short intervals; it commits only what it is told to. */
    KafkaConsumer<byte[], byte[]> member(String group, String... pairs) {
        Properties settings = settings(pairs);
        settings.put("group.id", group);
        settings.putIfAbsent("enable.auto.commit", "false");
        settings.putIfAbsent("auto.offset.reset", "earliest");
        settings.putIfAbsent("session.timeout.ms", SESSION_MS);
        settings.putIfAbsent("heartbeat.interval.ms", "200");
        settings.putIfAbsent("max.poll.interval.ms", "10000");
        settings.putIfAbsent("fetch.max.wait.ms", "100");
        settings.putIfAbsent("retry.backoff.ms", "50");
        settings.putIfAbsent("reconnect.backoff.max.ms", "200");
        settings.putIfAbsent("default.api.timeout.ms", "20000");
        settings.putIfAbsent("metadata.max.age.ms", "1000");
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    String topic(int partitions, Map<String, String> configs) throws Exception {
        String name = name("t");
        create(name, partitions, configs);
        return name;
    }

    void create(String name, int partitions, Map<String, String> configs) throws Exception {
        try (Admin admin = admin()) {
            admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(configs))).all()
                .get(20, TimeUnit.SECONDS);
        }
    }

    String topic(int partitions) throws Exception {
        return topic(partitions, Map.of());
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String text(byte[] bytes) {
        return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8);
    }

    /** Sends values "0", "1", ... to partition 0 and returns where they landed. */
    List<RecordMetadata> send(String topic, int values, String... producerSettings) throws Exception {
        List<java.util.concurrent.Future<RecordMetadata>> futures = new ArrayList<>();
        try (var producer = producer(producerSettings)) {
            for (int i = 0; i < values; i++) {
                futures.add(producer.send(new ProducerRecord<>(topic, 0, null, bytes(Integer.toString(i)))));
            }
        }
        List<RecordMetadata> landed = new ArrayList<>();
        for (var future : futures) {
            landed.add(future.get(20, TimeUnit.SECONDS));
        }
        return landed;
    }

    /** Sends the values from..to-1 to the partitions in turn, and waits for the acknowledgements. */
    void spread(String topic, int partitions, int from, int to) throws Exception {
        List<java.util.concurrent.Future<RecordMetadata>> futures = new ArrayList<>();
        try (var producer = producer()) {
            for (int i = from; i < to; i++) {
                futures.add(producer.send(new ProducerRecord<>(topic, i % partitions, null, bytes(Integer.toString(i)))));
            }
        }
        for (var future : futures) {
            future.get(20, TimeUnit.SECONDS);
        }
    }

    /** Waits until `missing` gives null; fails with what it gave last. */
    static void eventually(String what, Callable<String> missing) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(25);
        for (String last = missing.call(); last != null; last = missing.call()) {
            Scenarios.isTrue(System.nanoTime() < end, "not in time: " + what + "; last seen: " + last);
            Thread.sleep(20);
        }
    }

    /** Polls until `wanted` records have come. */
    static List<ConsumerRecord<byte[], byte[]>> read(KafkaConsumer<byte[], byte[]> consumer, int wanted) {
        List<ConsumerRecord<byte[], byte[]>> found = new ArrayList<>();
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (found.size() < wanted && System.nanoTime() < end) {
            consumer.poll(Duration.ofMillis(200)).forEach(found::add);
        }
        Scenarios.equal(found.size(), wanted, "records read");
        return found;
    }

    static List<String> values(List<ConsumerRecord<byte[], byte[]>> records) {
        return records.stream().map(record -> text(record.value())).toList();
    }

    /** "0" to "count - 1", from the given start. */
    static List<String> numbers(int start, int count) {
        List<String> numbers = new ArrayList<>();
        for (int i = start; i < count; i++) {
            numbers.add(Integer.toString(i));
        }
        return numbers;
    }
}
