package colobus.client;

import static colobus.client.Scenarios.equal;
import static colobus.client.Scenarios.isTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** What the programs of both libraries share: where the broker is, names, and what was heard. */
final class Redis {
    /** What a subscriber heard, as `kind name count` or `message channel text`. */
    static final class Heard {
        private final BlockingQueue<String> items = new LinkedBlockingQueue<>();

        void add(Object... words) {
            List<String> texts = new ArrayList<>();
            for (Object word : words) {
                texts.add(String.valueOf(word));
            }
            items.add(String.join(" ", texts));
        }

        String next() throws InterruptedException {
            String item = items.poll(10, TimeUnit.SECONDS);
            isTrue(item != null, "nothing came");
            return item;
        }

        void expect(String... wanted) throws InterruptedException {
            List<String> found = new ArrayList<>();
            for (int i = 0; i < wanted.length; i++) {
                found.add(next());
            }
            equal(found, Arrays.asList(wanted), "heard");
        }
    }

    final String host;
    final int port;
    final boolean external;
    private final String run = Integer.toString(new Random().nextInt(1 << 30), 36);
    private int count;

    Redis(String[] arguments) {
        String bootstrap = option(arguments, "--bootstrap");
        int colon = bootstrap.lastIndexOf(':');
        host = bootstrap.substring(0, colon);
        port = Integer.parseInt(bootstrap.substring(colon + 1));
        external = Arrays.asList(arguments).contains("--external");
    }

    String name(String stem) {
        return stem + "-java" + run + "-" + ++count;
    }

    static List<byte[]> bodies() {
        byte[] every = new byte[1 << 20];
        for (int i = 0; i < every.length; i++) {
            every[i] = (byte) i;
        }
        return List.of(new byte[0], bytes("x"), bytes("\r\n"), bytes("$3\r\nabc"), bytes("zażółć"), new byte[] {0, -1, 13, 10, 0}, every);
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static void eventually(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + 10_000_000_000L;
        while (!condition.call()) {
            isTrue(System.nanoTime() < end, "not in time: " + what);
            Thread.sleep(10);
        }
    }

    static String option(String[] arguments, String name) {
        for (int i = 0; i + 1 < arguments.length; i++) {
            if (arguments[i].equals(name)) {
                return arguments[i + 1];
            }
        }
        return "";
    }

    static void run(Scenarios all, String[] arguments) {
        int failed = all.run(System.getenv().getOrDefault("CLIENT", "redis-java"), option(arguments, "--only"));
        System.exit(failed == 0 ? 0 : 1);
    }
}
