import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.TimestampType;

/** Writes golden record batches with the Java client's builder: java-CODEC.bin, into the directory named. */
public class Batches {
    static final long BASE_MS = 1_700_000_000_000L;

    static MemoryRecordsBuilder builder(CompressionType type, long pid, int epoch, int seq, boolean txn) {
        return new MemoryRecordsBuilder(ByteBuffer.allocate(1 << 20), RecordBatch.MAGIC_VALUE_V2,
            Compression.of(type).build(), TimestampType.CREATE_TIME, 0, RecordBatch.NO_TIMESTAMP, pid, (short) epoch,
            seq, txn, false, RecordBatch.NO_PARTITION_LEADER_EPOCH, 1 << 20);
    }

    /** The same as in batches.py and golden_record() of records_test.c. */
    static void append(MemoryRecordsBuilder b, int i) {
        byte[] key = i % 7 == 3 ? null : ("key-" + i).getBytes();
        byte[] value = i % 11 == 5 ? null : ("value " + i + " ").repeat(4).getBytes();
        Header[] headers = i % 5 != 0 ? new Header[0] : new Header[] {
            new RecordHeader("trace", ("id-" + i).getBytes()), new RecordHeader("empty", new byte[0]),
            new RecordHeader("null", (byte[]) null)};
        b.append(BASE_MS + i * 37 % 1009, key, value, headers);
    }

    static void save(MemoryRecordsBuilder b, Path file) throws Exception {
        MemoryRecords records = b.build();
        byte[] bytes = new byte[records.sizeInBytes()];
        records.buffer().duplicate().get(bytes);
        Files.write(file, bytes);
    }

    public static void main(String[] args) throws Exception {
        Path out = Path.of(args[0]);
        for (CompressionType type : CompressionType.values()) {
            MemoryRecordsBuilder b = builder(type, -1, -1, -1, false);
            for (int i = 0; i < 60; i++)
                append(b, i);
            save(b, out.resolve("java-" + type.name + ".bin"));
            MemoryRecordsBuilder large = builder(type, -1, -1, -1, false); // several blocks of every codec
            for (int i = 0; i < 3000; i++)
                append(large, i % 60);
            if (type != CompressionType.NONE)
                save(large, out.resolve("java-" + type.name + "-large.bin"));
        }
        MemoryRecordsBuilder b = builder(CompressionType.NONE, 4711, 3, Integer.MAX_VALUE - 1, true);
        for (int i = 0; i < 4; i++)
            append(b, i);
        save(b, out.resolve("java-transactional.bin"));
    }
}
