package colobus.client;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Named, timed, bounded scenarios, reported as TAP lines; the twin of test/harness/scenario.py. */
final class Scenarios {
    interface Body {
        void run() throws Exception;
    }

    interface Act {
        void run() throws Exception;
    }

    /** Thrown by a scenario that can't run here; the text is the reason. */
    static final class Skip extends Exception {
        Skip(String reason) {
            super(reason);
        }
    }

    private record Scenario(String name, int limitS, Body body) {}

    private static final int LIMIT_S = 40;
    private final List<Scenario> all = new ArrayList<>();

    void add(String name, Body body) {
        add(name, LIMIT_S, body);
    }

    void add(String name, int limitS, Body body) {
        all.add(new Scenario(name, limitS, body));
    }

    /** Runs those whose name contains `only`; the number that failed. */
    int run(String prefix, String only) {
        int number = 0;
        int failed = 0;
        for (Scenario scenario : all) {
            if (!scenario.name.contains(only)) {
                continue;
            }
            number++;
            long began = System.nanoTime();
            Throwable problem = attempt(scenario);
            if (problem instanceof Skip) {
                System.out.printf("ok %d - %s: %s # SKIP %s%n", number, prefix, scenario.name, problem.getMessage());
                continue;
            }
            if (problem != null) {
                failed++;
                StringWriter text = new StringWriter();
                problem.printStackTrace(new PrintWriter(text));
                text.toString().lines().limit(25).forEach(line -> System.out.println("# " + line));
            }
            System.out.printf("%s %d - %s: %s (%.1f s)%n", problem == null ? "ok" : "not ok", number, prefix,
                scenario.name, (System.nanoTime() - began) / 1e9);
        }
        System.out.println("1.." + number);
        return failed;
    }

    private static Throwable attempt(Scenario scenario) {
        ExecutorService runner = Executors.newSingleThreadExecutor(task -> {
            Thread thread = new Thread(task);
            thread.setDaemon(true);
            return thread;
        });
        Future<?> running = runner.submit(() -> {
            scenario.body.run();
            return null;
        });
        try {
            running.get(scenario.limitS, TimeUnit.SECONDS);
            return null;
        } catch (ExecutionException e) {
            return e.getCause();
        } catch (TimeoutException | InterruptedException e) {
            return new AssertionError("time limit of the scenario");
        } finally {
            runner.shutdownNow();
        }
    }

    static void equal(Object got, Object wanted, String what) {
        if (!Objects.equals(got, wanted)) {
            throw new AssertionError(what + ": got " + got + ", wanted " + wanted);
        }
    }

    static void isTrue(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    /** The exception of the given kind that the act must raise. */
    static <T extends Throwable> T raises(Class<T> kind, Act act) throws Exception {
        try {
            act.run();
        } catch (Exception e) {
            if (kind.isInstance(e)) {
                return kind.cast(e);
            }
            throw new AssertionError("raised " + e + ", wanted " + kind.getSimpleName(), e);
        }
        throw new AssertionError(kind.getSimpleName() + " was not raised");
    }

    /** The cause of the failure of a future, which must be of the given kind. */
    static <T extends Throwable> T fails(Class<T> kind, Future<?> future) throws Exception {
        try {
            future.get(20, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            if (kind.isInstance(e.getCause())) {
                return kind.cast(e.getCause());
            }
            throw new AssertionError("failed with " + e.getCause() + ", wanted " + kind.getSimpleName());
        }
        throw new AssertionError(kind.getSimpleName() + " was not raised");
    }
}
