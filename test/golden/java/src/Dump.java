import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.record.MemoryRecords;

/** A message as text, one line per field: the twin of src/proto/kafka/wire_dump.c. */
final class Dump {
    private final StringBuilder out = new StringBuilder();
    private final int first, last;

    private Dump(int first, int last) {
        this.first = first;
        this.last = last;
    }

    /** The fields that exist in some of the versions first to last, all of them, in order of declaration. */
    static String of(Message m, int first, int last) throws ReflectiveOperationException {
        Dump d = new Dump(first, last);
        d.struct(m, 1);
        return d.out.toString();
    }

    private void line(int depth, String text) {
        out.append("  ".repeat(depth)).append(text).append('\n');
    }

    private void struct(Message m, int depth) throws ReflectiveOperationException {
        for (Field f : new Shape(m.getClass()).javaFields(first, last)) {
            String name = Shape.snake(f.getName());
            Object v = f.get(m);
            if (v instanceof Collection<?> all)
                collection(name, all, depth);
            else if (v instanceof Message inner) {
                line(depth, name);
                struct(inner, depth + 1);
            } else
                line(depth, name + " = " + scalar(v));
        }
    }

    private void collection(String name, Collection<?> all, int depth) throws ReflectiveOperationException {
        int i = 0;
        if (all.isEmpty())
            line(depth, name + " = []");
        else if (!(all.iterator().next() instanceof Message))
            line(depth, name);
        for (Object v : all) {
            if (v instanceof Message m) {
                line(depth, name + "[" + i++ + "]");
                struct(m, depth + 1);
            } else
                line(depth + 1, scalar(v));
        }
    }

    private static String scalar(Object v) {
        if (v == null)
            return "null";
        if (v instanceof String s)
            return quoted(s);
        if (v instanceof Uuid u)
            return String.format("uuid:%016x%016x", u.getMostSignificantBits(), u.getLeastSignificantBits());
        if (v instanceof Double d)
            return String.format("f64:%016x", Double.doubleToRawLongBits(d));
        if (v instanceof byte[] b)
            return "bytes:" + hex(ByteBuffer.wrap(b));
        if (v instanceof ByteBuffer b)
            return "bytes:" + hex(b);
        if (v instanceof MemoryRecords r)
            return "bytes:" + hex(r.buffer());
        return v.toString();
    }

    private static String quoted(String s) {
        StringBuilder q = new StringBuilder("\"");
        for (byte b : s.getBytes(StandardCharsets.UTF_8))
            q.append(b >= 0x20 && b < 0x7f && b != '"' && b != '\\' ? "" + (char) b : String.format("\\x%02x", b));
        return q.append('"').toString();
    }

    static String hex(ByteBuffer bytes) {
        StringBuilder h = new StringBuilder();
        for (ByteBuffer b = bytes.duplicate(); b.hasRemaining(); )
            h.append(String.format("%02x", b.get()));
        return h.toString();
    }
}
