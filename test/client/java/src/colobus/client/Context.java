package colobus.client;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
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

    String topic(int partitions, Map<String, String> configs) throws Exception {
        String name = name("t");
        try (Admin admin = admin()) {
            admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(configs))).all()
                .get(20, TimeUnit.SECONDS);
        }
        return name;
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
