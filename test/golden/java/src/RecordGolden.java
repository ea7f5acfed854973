import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.utils.AppInfoParser;

/**
 * Writes what the Java client sends for every message of a list, into one text file per API.
 * Arguments: the list that schema_gen.py --list prints, and a directory.
 */
public final class RecordGolden {
    private record Entry(String name, short key, String direction, short first, short last) {
        static Entry parse(String line) {
            String[] w = line.split(" ");
            return new Entry(w[0], Short.parseShort(w[1]), w[2], Short.parseShort(w[3]), Short.parseShort(w[4]));
        }

        String file() {
            return key < 0 ? "headers" : name.replaceAll("_(request|response)$", "");
        }

        Message create() throws ReflectiveOperationException {
            if (key >= 0) {
                ApiMessageType api = ApiMessageType.fromApiKey(key);
                return direction.equals("request") ? api.newRequest() : api.newResponse();
            }
            StringBuilder type = new StringBuilder("org.apache.kafka.common.message.");
            for (String word : name.split("_"))
                type.append(word.substring(0, 1).toUpperCase()).append(word.substring(1));
            return (Message) Class.forName(type.append("Data").toString()).getDeclaredConstructor().newInstance();
        }

        ByteBuffer header(Sample.Kind kind, short version) {
            ApiMessageType api = ApiMessageType.fromApiKey(key);
            int correlation = 0x0a0b0c00 + version;
            if (direction.equals("response"))
                return encode(new ResponseHeaderData().setCorrelationId(correlation),
                    api.responseHeaderVersion(version));
            return encode(new RequestHeaderData().setRequestApiKey(key)
                .setRequestApiVersion(version).setCorrelationId(correlation)
                .setClientId(kind == Sample.Kind.FULL ? "golden" : null), api.requestHeaderVersion(version));
        }
    }

    public static void main(String[] args) throws Exception {
        Map<String, StringBuilder> files = new TreeMap<>();
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            Entry e = Entry.parse(line);
            StringBuilder out = files.computeIfAbsent(e.file(), f -> new StringBuilder(
                "# Recorded from kafka-clients " + AppInfoParser.getVersion()
                + " by tools/record_golden.sh. Not edited by hand.\n"));
            for (short v = e.first; v <= e.last; v++)
                record(e, v, out);
        }
        for (Map.Entry<String, StringBuilder> f : files.entrySet())
            write(Path.of(args[1], f.getKey() + ".golden"), f.getValue());
    }

    private static ByteBuffer encode(Message m, short version) {
        return MessageUtil.toByteBufferAccessor(m, version).buffer();
    }

    private static void write(Path path, StringBuilder text) throws IOException {
        Files.writeString(path, text);
    }

    private static void record(Entry e, short version, StringBuilder out) throws ReflectiveOperationException {
        ByteBuffer nulls = null;
        for (Sample.Kind kind : List.of(Sample.Kind.values())) {
            Message m = e.create();
            new Sample(kind, version).fill(m);
            ByteBuffer bytes;
            try {
                bytes = encode(m, version);
            } catch (UnsupportedVersionException notFlexible) {
                if (kind != Sample.Kind.FOREIGN_TAGS)
                    throw notFlexible;
                continue;
            }
            if (kind == Sample.Kind.NULLS)
                nulls = bytes;
            if ((kind == Sample.Kind.INNER_NULLS || kind == Sample.Kind.EMPTY) && bytes.equals(nulls))
                continue;
            out.append("\nsample ").append(e.name).append(' ').append(version).append(' ')
                .append(kind.name().toLowerCase()).append('\n');
            if (e.key >= 0)
                out.append("header ").append(Dump.hex(e.header(kind, version))).append('\n');
            out.append("bytes ").append(Dump.hex(bytes)).append('\n');
            Message back = e.create();
            back.read(new ByteBufferAccessor(bytes.duplicate()), version);
            if (kind != Sample.Kind.FOREIGN_TAGS) // the same values as the sample before
                out.append(Dump.of(back, e.first, e.last));
        }
    }
}
