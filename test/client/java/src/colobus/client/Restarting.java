package colobus.client;

import static colobus.client.Scenarios.equal;
import static colobus.client.Scenarios.isTrue;

import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;

/** What groups live through when the broker goes away and comes back. */
final class Restarting {
    private static final int PARTITIONS = 4;
    private static final int LIMIT_S = 150; // others than our broker take their time to start
    private final Context context;

    Restarting(Context context) {
        this.context = context;
    }

    void register(Scenarios scenarios) {
        scenarios.add("a group at work lives through a kill of the broker", LIMIT_S, () -> atWork("kill"));
        scenarios.add("a group at work lives through a stop of the broker", LIMIT_S, () -> atWork("stop"));
        scenarios.add("groups and offsets are there after kill and stop", LIMIT_S, this::offsets);
    }

    /** Has the runner "kill", "stop" or "start" the broker on the same data and port (test/harness/control.py). */
    private void ask(String verb) throws Exception {
        String control = System.getenv("CONTROL");
        if (control == null || control.isEmpty()) {
            throw new Scenarios.Skip("nobody here can restart the broker");
        }
        String[] address = control.split(":");
        try (Socket socket = new Socket(address[0], Integer.parseInt(address[1]))) {
            socket.setSoTimeout(90000);
            socket.getOutputStream().write((verb + "\n").getBytes(StandardCharsets.UTF_8));
            String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            equal(answer, "ok", verb + " the broker");
        }
    }

    /** Each acknowledged record is read, none is skipped, and none comes again that had been committed. */
    private void atWork(String verb) throws Exception {
        String topic = context.topic(PARTITIONS);
        String group = context.name("group");
        var ledger = new Member.Ledger();
        List<Member> members = new ArrayList<>();
        try (var producer = context.producer("reconnect.backoff.max.ms", "200", "delivery.timeout.ms", "90000",
                "request.timeout.ms", "5000")) {
            for (int i = 0; i < 2; i++) {
                members.add(new Member(context.member(group, "max.poll.records", "20", "default.api.timeout.ms", "90000"), ledger, topic));
            }
            Member.settled(members, 2, 2);
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < 6000; i++) {
                sent.add(producer.send(new ProducerRecord<>(topic, i % PARTITIONS, null, Context.bytes("" + i))));
                if (i == 2000) {
                    sent.get(i).get(20, TimeUnit.SECONDS);
                    ledger.await(100); // they are in the middle of it
                }
                if (i == 3000) {
                    ask(verb);
                    ask("start");
                }
            }
            for (var one : sent) {
                one.get(90, TimeUnit.SECONDS);
            }
            ledger.await(6000);
            Member.settled(members, 2, 2);
        } finally {
            members.forEach(Member::close);
        }
        isTrue(ledger.problems().isEmpty(), "problems: " + ledger.problems());
        try (var admin = context.admin()) {
            var kept = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get(20, TimeUnit.SECONDS);
            for (int i = 0; i < PARTITIONS; i++) {
                equal(kept.get(new TopicPartition(topic, i)).offset(), 1500L, "offset of partition " + i);
            }
        }
    }

    private void offsets() throws Exception {
        String topic = context.topic(2);
        String group = context.name("group");
        TopicPartition where = new TopicPartition(topic, 1);
        for (String verb : List.of("kill", "stop")) {
            var wanted = new OffsetAndMetadata(verb.equals("kill") ? 17 : 18, "before the " + verb);
            try (var consumer = context.member(group)) {
                consumer.assign(List.of(where));
                consumer.commitSync(Map.of(where, wanted));
            }
            ask(verb);
            ask("start");
            try (var admin = context.admin()) {
                equal(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get(20, TimeUnit.SECONDS),
                    Map.of(where, wanted), "offsets after the " + verb);
            }
        }
    }
}
