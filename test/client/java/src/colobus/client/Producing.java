package colobus.client;

import static colobus.client.Context.bytes;
import static colobus.client.Context.numbers;
import static colobus.client.Context.read;
import static colobus.client.Context.text;
import static colobus.client.Context.values;
import static colobus.client.Scenarios.equal;
import static colobus.client.Scenarios.fails;
import static colobus.client.Scenarios.isTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.errors.RecordTooLargeException;

/** What producers do. */
final class Producing {
    private final Context context;

    Producing(Context context) {
        this.context = context;
    }

    void register(Scenarios scenarios) {
        scenarios.add("produces and reads back with each codec", this::codecs);
        scenarios.add("callbacks of an idempotent producer come with dense offsets", this::callbacks);
        scenarios.add("a producer as guides write it: strings, acks=all, retries, a callback", this::asGuides);
        scenarios.add("acks 0, 1 and all", this::acks);
        scenarios.add("key, headers, timestamp and null values survive", this::fields);
        scenarios.add("equal keys go to one partition, in order", this::partitioner);
        scenarios.add("too large a record is refused by the broker", this::tooLarge);
        scenarios.add("a first send makes the topic", this::autoCreation);
        scenarios.add("LogAppendTime comes back with the acknowledgement", this::logAppendTime);
    }

    private void codecs() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            String topic = context.topic(1);
            context.send(topic, 1000, "compression.type", codec, "linger.ms", "5");
            try (var consumer = context.consumer(topic, 1)) {
                consumer.seekToBeginning(consumer.assignment());
                equal(values(read(consumer, 1000)), numbers(0, 1000), codec);
            }
        }
    }

    private void callbacks() throws Exception {
        String topic = context.topic(1);
        List<Long> offsets = Collections.synchronizedList(new ArrayList<>());
        List<Exception> errors = Collections.synchronizedList(new ArrayList<>());
        try (var producer = context.producer("batch.size", "2000")) {
            for (int i = 0; i < 5000; i++) {
                producer.send(new ProducerRecord<>(topic, 0, null, bytes("value " + i)), (meta, error) -> {
                    if (error != null) {
                        errors.add(error);
                    } else {
                        offsets.add(meta.offset());
                    }
                });
            }
            producer.flush();
        }
        equal(errors, List.of(), "errors");
        equal(offsets.size(), 5000, "callbacks");
        for (int i = 0; i < 5000; i++) {
            equal(offsets.get(i), (long) i, "offset");
        }
    }

    private void asGuides() throws Exception {
        String topic = context.name("orders");
        String serializer = "org.apache.kafka.common.serialization.StringSerializer";
        Properties props = new Properties();
        props.put("bootstrap.servers", context.bootstrap);
        props.put("key.serializer", serializer);
        props.put("value.serializer", serializer);
        props.put("acks", "all");
        props.put("retries", 3);
        List<String> told = Collections.synchronizedList(new ArrayList<>());
        Producer<String, String> producer = new KafkaProducer<>(props);
        for (int i = 0; i < 3; i++) {
            producer.send(new ProducerRecord<>(topic, "order-" + i, "{}"), (metadata, e) ->
                told.add(e != null ? e.toString() : metadata.partition() + ":" + metadata.offset()));
        }
        producer.close();
        equal(told, List.of("0:0", "0:1", "0:2"), "partitions and offsets told");
    }

    private void acks() throws Exception {
        for (String level : List.of("0", "1", "all")) {
            String topic = context.topic(1);
            var landed = context.send(topic, 3, "acks", level, "enable.idempotence", "false");
            equal(landed.get(2).hasOffset(), !level.equals("0"), "acks=" + level + " tells the offset");
            try (var consumer = context.consumer(topic, 1)) {
                consumer.seekToBeginning(consumer.assignment());
                equal(values(read(consumer, 3)), numbers(0, 3), "acks=" + level);
            }
        }
    }

    private void fields() throws Exception {
        String topic = context.topic(1);
        long stamp = System.currentTimeMillis() - 9000;
        try (var producer = context.producer()) {
            var record = new ProducerRecord<>(topic, 0, stamp, bytes("key"), bytes("value"));
            record.headers().add("a", bytes("1")).add("a", bytes("2")).add("null", null);
            producer.send(record);
            producer.send(new ProducerRecord<>(topic, 0, bytes("tombstone"), null));
        }
        try (var consumer = context.consumer(topic, 1)) {
            consumer.seekToBeginning(consumer.assignment());
            var records = read(consumer, 2);
            var first = records.get(0);
            equal(text(first.key()) + text(first.value()) + first.timestamp(), "keyvalue" + stamp, "first");
            List<String> headers = new ArrayList<>();
            first.headers().forEach(header -> headers.add(header.key() + "=" + text(header.value())));
            equal(headers, List.of("a=1", "a=2", "null=null"), "headers");
            equal(records.get(1).value(), null, "value of the tombstone");
        }
    }

    private void partitioner() throws Exception {
        String topic = context.topic(4);
        try (var producer = context.producer()) {
            for (int i = 0; i < 400; i++) {
                producer.send(new ProducerRecord<>(topic, bytes("key-" + i % 20), bytes(Integer.toString(i))));
            }
        }
        try (var consumer = context.consumer(topic, 4)) {
            consumer.seekToBeginning(consumer.assignment());
            Map<String, Integer> last = new java.util.HashMap<>();
            Map<String, Integer> home = new java.util.HashMap<>();
            for (var record : read(consumer, 400)) {
                int value = Integer.parseInt(text(record.value()));
                String key = text(record.key());
                isTrue(last.getOrDefault(key, -1) < value, key + " is out of order");
                equal(home.getOrDefault(key, record.partition()), record.partition(), "partition of " + key);
                last.put(key, value);
                home.put(key, record.partition());
            }
            isTrue(home.values().stream().distinct().count() > 1, "all keys on one partition");
        }
    }

    private void tooLarge() throws Exception {
        String topic = context.topic(1, Map.of("max.message.bytes", "2000"));
        try (var producer = context.producer()) {
            fails(RecordTooLargeException.class, producer.send(new ProducerRecord<>(topic, new byte[5000])));
            RecordMetadata landed = producer.send(new ProducerRecord<>(topic, new byte[1000])).get(20, TimeUnit.SECONDS);
            equal(landed.offset(), 0L, "offset of a smaller one");
        }
    }

    private void autoCreation() throws Exception {
        String topic = context.name("auto");
        equal(context.send(topic, 1).get(0).offset(), 0L, "offset");
    }

    private void logAppendTime() throws Exception {
        String topic = context.topic(1, Map.of("message.timestamp.type", "LogAppendTime"));
        long before = System.currentTimeMillis();
        try (var producer = context.producer()) {
            var record = new ProducerRecord<>(topic, 0, 1000L, bytes("k"), bytes("v"));
            RecordMetadata landed = producer.send(record).get(20, TimeUnit.SECONDS);
            isTrue(landed.timestamp() >= before - 1000, "timestamp is " + landed.timestamp());
        }
    }
}
