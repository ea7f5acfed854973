import java.lang.reflect.Field;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;

/** What the client's generated class of a struct says about itself: its fields and their types by version. */
final class Shape {
    private final Class<?> type;
    private final Schema[] schemas;

    Shape(Class<?> type) {
        this.type = type;
        try {
            this.schemas = (Schema[]) type.getField("SCHEMAS").get(null);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The fields of a version, in the order of the wire; the value says type and whether it is tagged. */
    Map<String, Wire> fields(int version) {
        Map<String, Wire> fields = new HashMap<>();
        if (version >= schemas.length || schemas[version] == null)
            return fields;
        for (BoundField f : schemas[version].fields()) {
            if (f.def.type instanceof TaggedFields tags)
                known(tags).values().forEach(t -> fields.put(t.name, new Wire(t.type, true)));
            else
                fields.put(f.def.name, new Wire(f.def.type, false));
        }
        return fields;
    }

    /** The client has no accessor for these. */
    @SuppressWarnings("unchecked")
    private static Map<Integer, org.apache.kafka.common.protocol.types.Field> known(TaggedFields tags) {
        try {
            Field f = TaggedFields.class.getDeclaredField("fields");
            f.setAccessible(true);
            return (Map<Integer, org.apache.kafka.common.protocol.types.Field>) f.get(tags);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    record Wire(org.apache.kafka.common.protocol.types.Type type, boolean tagged) {
    }

    /** Java fields, in order of declaration, that exist in some version of the range. */
    List<Field> javaFields(int first, int last) {
        List<Field> found = new ArrayList<>();
        for (Field f : type.getDeclaredFields())
            for (int v = first; v <= last; v++)
                if (fields(v).containsKey(snake(f.getName()))) {
                    f.setAccessible(true);
                    found.add(f);
                    break;
                }
        return found;
    }

    static String snake(String camel) {
        return camel.replaceAll("(?<=[a-z0-9])([A-Z])", "_$1").toLowerCase();
    }

    /** The class of the elements of a field that is a list or one of the client's own collections. */
    static Class<?> elementClass(Field f) {
        Type type = f.getGenericType();
        if (type instanceof Class<?> collection)
            type = collection.getGenericSuperclass();
        return (Class<?>) ((ParameterizedType) type).getActualTypeArguments()[0];
    }

    static boolean isCollection(Field f) {
        return Collection.class.isAssignableFrom(f.getType());
    }
}
