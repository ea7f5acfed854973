package colobus.client;

import static colobus.client.Scenarios.isTrue;

import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.RetriableException;

/** One member of a group on a thread of its own: polls, tells the ledger, commits. */
final class Member implements AutoCloseable {
    /** What the members of a group have read and committed together. */
    static final class Ledger {
        private final Map<String, Integer> seen = new HashMap<>();
        private final Map<TopicPartition, Long> next = new HashMap<>();
        private final Map<TopicPartition, Long> committed = new HashMap<>();
        private final Set<String> problems = new TreeSet<>();

        synchronized void read(ConsumerRecord<byte[], byte[]> record) {
            TopicPartition where = new TopicPartition(record.topic(), record.partition());
            long wanted = next.getOrDefault(where, 0L);
            if (record.offset() > wanted) {
                problems.add(where + ": offset " + wanted + " was skipped, " + record.offset() + " came");
            }
            if (record.offset() < committed.getOrDefault(where, 0L)) {
                problems.add(where + ": offset " + record.offset() + " came again after a commit of "
                    + committed.get(where));
            }
            next.put(where, Math.max(wanted, record.offset() + 1));
            seen.merge(Context.text(record.value()), 1, Integer::sum);
        }

        synchronized void commit(Map<TopicPartition, OffsetAndMetadata> offsets) {
            offsets.forEach((where, offset) -> committed.merge(where, offset.offset(), Math::max));
        }

        synchronized void problem(String text) {
            problems.add(text);
        }

        synchronized Set<String> problems() {
            return new TreeSet<>(problems);
        }

        synchronized Map<TopicPartition, Long> committed() {
            return new HashMap<>(committed);
        }

        synchronized int times(int value) {
            return seen.getOrDefault(Integer.toString(value), 0);
        }

        /** Waits until all values from 0 to count - 1 have been read; none may have been skipped. */
        void await(int count) throws Exception {
            Context.eventually("values 0 to " + (count - 1) + " are read", () -> {
                for (int i = 0; i < count; i++) {
                    if (times(i) == 0) {
                        return "value " + i + " is missing";
                    }
                }
                return null;
            });
            isTrue(problems().isEmpty(), "problems: " + problems());
        }
    }

    final KafkaConsumer<byte[], byte[]> consumer;
    private final Ledger ledger;
    private final Thread thread;
    private final CountDownLatch ended = new CountDownLatch(1);
    private volatile boolean stop;
    private volatile Callable<?> task;
    private volatile Object answer;
    private final Set<TopicPartition> assigned = ConcurrentHashMap.newKeySet();
    volatile int rebalances;
    volatile int mostRevoked;
    volatile Exception failure;

    Member(KafkaConsumer<byte[], byte[]> consumer, Ledger ledger, String... topics) {
        this.consumer = consumer;
        this.ledger = ledger;
        consumer.subscribe(List.of(topics), new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                mostRevoked = Math.max(mostRevoked, partitions.size());
                assigned.removeAll(partitions);
            }

            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                rebalances++;
                assigned.addAll(partitions);
            }

            @Override
            public void onPartitionsLost(Collection<TopicPartition> partitions) {
                assigned.removeAll(partitions);
            }
        });
        thread = new Thread(this::loop);
        thread.setDaemon(true);
        thread.start();
    }

    private void loop() {
        try {
            while (!stop) {
                turn();
            }
        } catch (Exception e) {
            failure = e;
        }
        consumer.close(Duration.ofSeconds(5));
        ended.countDown();
    }

    private void turn() throws Exception {
        if (task != null) {
            try {
                answer = task.call();
            } catch (Exception e) {
                answer = e;
            }
            task = null;
        }
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (var record : consumer.poll(Duration.ofMillis(50))) {
            ledger.read(record);
            offsets.put(new TopicPartition(record.topic(), record.partition()),
                new OffsetAndMetadata(record.offset() + 1));
        }
        if (offsets.isEmpty()) {
            return;
        }
        try {
            consumer.commitSync(offsets);
            ledger.commit(offsets);
        } catch (CommitFailedException | RebalanceInProgressException e) {
            // What was not committed comes again, here or elsewhere.
        } catch (RetriableException e) {
            ledger.problem("commit failed for good: " + e);
        }
    }

    Set<TopicPartition> assigned() {
        return Set.copyOf(assigned);
    }

    /** Runs something on the member's thread between two polls. */
    @SuppressWarnings("unchecked")
    <T> T call(Callable<T> what) throws Exception {
        task = what;
        Context.eventually("the member does what it is told", () -> task == null || failure != null ? null : "busy");
        if (failure != null) {
            throw failure;
        }
        if (answer instanceof Exception e) {
            throw e;
        }
        return (T) answer;
    }

    int generation() throws Exception {
        return call(() -> consumer.groupMetadata().generationId());
    }

    /** Waits until the partitions are shared like that, each share the number of partitions of one member. */
    static void settled(List<Member> members, Integer... shares) throws Exception {
        Context.eventually("partitions are shared as " + List.of(shares), () -> {
            for (Member member : members) {
                if (member.failure != null) {
                    throw new AssertionError("a member failed", member.failure);
                }
            }
            var found = members.stream().map(member -> member.assigned().size()).sorted().toList();
            Set<TopicPartition> all = new java.util.HashSet<>();
            members.forEach(member -> all.addAll(member.assigned()));
            int sum = found.stream().mapToInt(Integer::intValue).sum();
            return found.equals(List.of(shares)) && all.size() == sum ? null : "shares are " + found;
        });
    }

    /** Leaves the group, unless it is a static member. */
    @Override
    public void close() {
        stop = true;
        try {
            isTrue(ended.await(20, TimeUnit.SECONDS), "a member did not end");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
