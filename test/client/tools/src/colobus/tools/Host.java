package colobus.tools;

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.common.utils.Exit;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Runs Kafka's command line tools, one call of a main() after the other, in one virtual machine: starting one takes longer
 * than what most tools do. A line on standard input is a command and its words in Base64:
 * <pre>
 *   run ID STDIN CLASS[,CLASS...] ARG...    calls main() of the first class that there is, in a thread of its own
 *   stop ID                                 runs its shutdown hooks, as SIGTERM would
 * </pre>
 * A line on standard output is: ID, exit code (or - while it runs), what it wrote to standard output and to standard error.
 */
public final class Host {
    private static final PrintStream ANSWERS = System.out;
    private static final Map<String, Call> CALLS = new ConcurrentHashMap<>();
    /** What the threads that a tool starts print belongs to the tool as well. */
    private static final InheritableThreadLocal<Call> CURRENT = new InheritableThreadLocal<>();

    /** Unwinds to the main() that asked to exit; what is printed on the way is not the tool's. */
    private static final class Exited extends Error {
        final int code;

        Exited(int code) {
            super("exit " + code, null, false, false);
            this.code = code;
        }
    }

    private static final class Call {
        final String id;
        final ByteArrayOutputStream out = new ByteArrayOutputStream();
        final ByteArrayOutputStream err = new ByteArrayOutputStream();
        final List<Runnable> hooks = new ArrayList<>();
        volatile Integer code; // what it asked to exit with first

        Call(String id) {
            this.id = id;
        }

        void main(List<String> classes, String[] args) {
            int end = 0;
            try {
                find(classes).getMethod("main", String[].class).invoke(null, (Object) args);
            } catch (InvocationTargetException thrown) {
                end = failed(thrown.getCause());
            } catch (Throwable thrown) {
                end = failed(thrown);
            }
            runHooks();
            synchronized (this) {
                answer(code != null ? code : end);
            }
            CALLS.remove(id);
        }

        private int failed(Throwable thrown) {
            if (thrown instanceof Exited)
                return ((Exited) thrown).code;
            thrown.printStackTrace(System.err);
            return 1;
        }

        synchronized void runHooks() {
            hooks.forEach(Runnable::run);
            hooks.clear();
        }

        private void answer(int end) {
            String line = String.join(" ", id, String.valueOf(end), encode(out), encode(err));
            synchronized (ANSWERS) {
                ANSWERS.println(line);
                ANSWERS.flush();
            }
        }
    }

    private static String encode(ByteArrayOutputStream bytes) {
        return "=" + Base64.getEncoder().encodeToString(bytes.toByteArray());
    }

    private static Class<?> find(List<String> names) throws ClassNotFoundException {
        for (String name : names) {
            try {
                return Class.forName(name);
            } catch (ClassNotFoundException absent) {
                // older or newer than the version here
            }
        }
        throw new ClassNotFoundException(String.join(", ", names));
    }

    private static PrintStream routed(boolean error, PrintStream otherwise) {
        return new PrintStream(new OutputStream() {
            private OutputStream target() {
                Call call = CURRENT.get();
                if (call == null)
                    return otherwise;
                return call.code != null ? OutputStream.nullOutputStream() : error ? call.err : call.out;
            }

            @Override
            public void write(int octet) throws java.io.IOException {
                target().write(octet);
            }

            @Override
            public void write(byte[] octets, int from, int count) throws java.io.IOException {
                target().write(octets, from, count);
            }
        }, true);
    }

    private static void exit(int code, String message) {
        Call call = CURRENT.get();
        synchronized (call) {
            if (call.code == null)
                call.code = code;
        }
        throw new Exited(code);
    }

    private static void start(String[] words) {
        Call call = new Call(words[1]);
        CALLS.put(call.id, call);
        List<String> classes = List.of(words[3].split(","));
        String[] args = List.of(words).subList(4, words.length).toArray(String[]::new);
        Thread thread = new Thread(() -> {
            CURRENT.set(call);
            call.main(classes, args);
        }, call.id);
        System.setIn(new ByteArrayInputStream(words[2].getBytes(UTF_8)));
        thread.setDaemon(true);
        thread.start();
    }

    public static void main(String[] ignored) throws Exception {
        System.setOut(routed(false, System.err));
        System.setErr(routed(true, System.err));
        Exit.setExitProcedure(Host::exit);
        Exit.setHaltProcedure(Host::exit);
        Exit.setShutdownHookAdder((name, hook) -> {
            Call call = CURRENT.get();
            synchronized (call) {
                call.hooks.add(hook);
            }
        });
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, UTF_8));
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            String[] words = line.split(" ");
            for (int i = 0; i < words.length; i++)
                words[i] = new String(Base64.getDecoder().decode(words[i].substring(1)), UTF_8);
            Call call = CALLS.get(words[1]);
            if (words[0].equals("run"))
                start(words);
            else if (call != null)
                call.runHooks();
        }
        Runtime.getRuntime().halt(0);
    }
}
