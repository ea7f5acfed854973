import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.BaseRecords;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.SimpleRecord;

/** Fills a message of the client with values, always the same ones. */
final class Sample {
    enum Kind {
        /** Every field of the version set, each to a value of its own; arrays of two; tagged fields too. */
        FULL,
        /** Null where that is allowed, smallest numbers, one element in other arrays, no tagged fields. */
        NULLS,
        /** Like NULLS with largest numbers, but no array of structs is null: their fields are. */
        INNER_NULLS,
        /** Like NULLS, but nothing is null: strings and arrays are empty, also arrays of structs in structs. */
        EMPTY,
        /** FULL plus tagged fields that nobody knows, in every struct. */
        FOREIGN_TAGS
    }

    private final Kind kind;
    private final int version;
    private int counter, depth;

    Sample(Kind kind, int version) {
        this.kind = kind;
        this.version = version;
    }

    private boolean full() {
        return kind == Kind.FULL || kind == Kind.FOREIGN_TAGS;
    }

    void fill(Message m) throws ReflectiveOperationException {
        Shape shape = new Shape(m.getClass());
        Map<String, Shape.Wire> wire = shape.fields(version);
        for (Field f : shape.javaFields(version, version)) {
            Shape.Wire w = wire.get(Shape.snake(f.getName()));
            if (full() || !w.tagged())
                f.set(m, value(f, w, f.get(m)));
        }
        if (kind == Kind.FOREIGN_TAGS) {
            m.unknownTaggedFields().add(new RawTaggedField(200, new byte[] {1, 2, 3}));
            m.unknownTaggedFields().add(new RawTaggedField(70000, new byte[0]));
        }
    }

    private Object value(Field f, Shape.Wire w, Object before) throws ReflectiveOperationException {
        boolean nullable = w.type().isNullable() && !full();
        if (kind == Kind.EMPTY && Shape.isCollection(f))
            return collection(f, false, nullable || depth > 0 ? 0 : 1);
        nullable &= kind != Kind.EMPTY;
        if (Shape.isCollection(f))
            return collection(f, nullable, full() ? 2 : 1);
        if (BaseRecords.class.isAssignableFrom(f.getType()))
            return full() ? batch() : MemoryRecords.EMPTY;
        if (nullable)
            return null;
        return scalar(f.getType(), w.type(), f.getName(), before);
    }

    /** Outside FULL only structs are put in. */
    private Object collection(Field f, boolean nullable, int count) throws ReflectiveOperationException {
        Class<?> element = Shape.elementClass(f);
        boolean structs = Message.class.isAssignableFrom(element);
        if (nullable && !(structs && kind == Kind.INNER_NULLS))
            return null;
        @SuppressWarnings("unchecked")
        Collection<Object> all = f.getType().isInterface() ? new ArrayList<>()
            : (Collection<Object>) f.getType().getDeclaredConstructor().newInstance();
        for (int i = 0; i < (full() || structs ? count : 0); i++)
            all.add(scalar(element, null, f.getName(), null));
        return all;
    }

    private Object scalar(Class<?> c, Type wire, String name, Object before) throws ReflectiveOperationException {
        int n = ++counter;
        if (Message.class.isAssignableFrom(c)) {
            Message inner = (Message) c.getDeclaredConstructor().newInstance();
            depth++;
            fill(inner);
            depth--;
            return inner;
        }
        if (c == String.class)
            return full() ? name + "." + n + (n == 1 ? "x".repeat(130) : "\u00e9") : "";
        if (c == byte[].class)
            return full() ? new byte[] {(byte) n, 0, -1} : new byte[0];
        if (c == ByteBuffer.class)
            return ByteBuffer.wrap(full() ? new byte[] {(byte) n, 0, -1} : new byte[0]);
        if (c == Uuid.class)
            return full() ? new Uuid(0x0102030405060708L * n, -0x1112131415161718L * n) : Uuid.ZERO_UUID;
        if (c == boolean.class || c == Boolean.class)
            return full() && !Boolean.TRUE.equals(before);
        if (c == double.class || c == Double.class)
            return full() ? n + 0.25 : -0.0;
        return boxed(c, number(bits(c, wire), n));
    }

    private static int bits(Class<?> c, Type wire) {
        if (wire == Type.UINT16)
            return 17; // one more than a signed number of the same values
        if (wire == Type.UNSIGNED_INT32)
            return 33;
        return c == byte.class || c == Byte.class ? 8 : c == short.class || c == Short.class ? 16
            : c == int.class || c == Integer.class ? 32 : 64;
    }

    private long number(int bits, int n) {
        boolean unsigned = bits % 2 == 1;
        long max = (1L << (bits - 1)) - 1;
        if (kind == Kind.NULLS || kind == Kind.EMPTY)
            return unsigned ? 0 : -max - 1;
        if (kind == Kind.INNER_NULLS)
            return max;
        long spread = bits == 8 ? n % 100 + 1 : bits <= 17 ? 1000 + n : bits <= 33 ? 0x01020300 + n : 0x0102030405060700L + n;
        return n % 3 == 0 && !unsigned ? -spread : spread;
    }

    private static Object boxed(Class<?> c, long v) {
        if (c == byte.class || c == Byte.class)
            return (byte) v;
        if (c == short.class || c == Short.class)
            return (short) v;
        if (c == int.class || c == Integer.class)
            return (int) v;
        return v;
    }

    private MemoryRecords batch() {
        int n = ++counter;
        return MemoryRecords.withRecords(n, Compression.NONE,
            new SimpleRecord(1700000000000L + n, ("key" + n).getBytes(), ("value" + n).getBytes()));
    }
}
