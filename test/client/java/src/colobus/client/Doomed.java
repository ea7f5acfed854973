package colobus.client;

import java.time.Duration;
import java.util.List;

/** A program that joins a group, says so and is killed: BOOTSTRAP GROUP TOPIC. */
public final class Doomed {
    private Doomed() {}

    public static void main(String[] args) {
        try (var consumer = new Context(args[0]).member(args[1])) {
            consumer.subscribe(List.of(args[2]));
            boolean told = false;
            for (int i = 0; i < 600; i++) {
                consumer.poll(Duration.ofMillis(100));
                if (!told && !consumer.assignment().isEmpty()) {
                    told = true;
                    System.out.println("assigned");
                }
            }
        }
    }
}
