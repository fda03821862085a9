// Writes storage/testdata/record_batches.inc: record batches made by Kafka's own library, with what each of them holds, for
// storage/batch/record_batch_test.cc. Run by hand when the set changes; it takes no part in the build.
//
//   java 17 or newer, org.apache.kafka:kafka-clients:4.3.1 and what it depends on in LIB (mvn dependency:copy-dependencies)
//   java -cp 'LIB/*' tests/wire/BatchVectors.java > storage/testdata/record_batches.inc

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.SimpleRecord;

public class BatchVectors {
  static final long T = 1_700_000_000_000L;

  static byte[] utf8(String text) { return text == null ? null : text.getBytes(StandardCharsets.UTF_8); }

  static SimpleRecord record(long timestamp, String key, String value, Header... headers) {
    return new SimpleRecord(timestamp, utf8(key), utf8(value), headers);
  }

  static String hex(ByteBuffer bytes) {
    if (bytes == null) return "null";
    byte[] copy = new byte[bytes.remaining()];
    bytes.duplicate().get(copy);
    return "x" + HexFormat.of().formatHex(copy);
  }

  static String hex(byte[] bytes) { return bytes == null ? "null" : "x" + HexFormat.of().formatHex(bytes); }

  // One line per fact, first word says which.
  static void print(String name, MemoryRecords records) {
    ByteBuffer all = records.buffer().duplicate();
    for (MutableRecordBatch batch : records.batches()) {
      ByteBuffer bytes = all.slice(all.position(), batch.sizeInBytes());
      all.position(all.position() + batch.sizeInBytes());
      System.out.println("batch " + name);
      if (batch.magic() < 2) {
        System.out.println("legacy " + batch.magic());
      } else {
        System.out.printf("header %d %d %d %d %d %d %d %d %d %d %d %d%n", batch.baseOffset(), batch.partitionLeaderEpoch(),
            batch.checksum(), bytes.getShort(21), batch.lastOffset(), batch.lastSequence(),
            bytes.getLong(27), batch.maxTimestamp(), batch.producerId(), batch.producerEpoch(), batch.baseSequence(),
            batch.countOrNull());
        for (Record record : batch) {
          if (batch.isCompressed()) break;  // the broker does not look inside
          System.out.printf("record %d %d %s %s", record.offset(), record.timestamp(), hex(record.key()), hex(record.value()));
          for (Header header : record.headers()) System.out.printf(" %s %s", hex(utf8(header.key())), hex(header.value()));
          System.out.println();
        }
      }
      System.out.println("bytes " + hex(bytes).substring(1));
    }
  }

  static SimpleRecord[] orders() {
    SimpleRecord[] orders = new SimpleRecord[12];
    for (int i = 0; i < orders.length; ++i) {
      orders[i] = record(T + (i % 3 == 0 ? 40 - i : i), "order-" + i, "{\"id\":" + i + ",\"dish\":\"soup of the day\"}");
    }
    return orders;
  }

  public static void main(String[] arguments) {
    System.out.println("R\"vectors(");
    List<Compression> codecs = List.of(Compression.NONE, Compression.gzip().build(), Compression.snappy().build(),
        Compression.lz4().build(), Compression.zstd().build());
    for (Compression codec : codecs) print(codec.type().name, MemoryRecords.withRecords(codec, orders()));

    print("nulls-and-headers", MemoryRecords.withRecords(77, Compression.NONE, 5,
        record(T, null, "value without key"), record(T + 1, "tombstone", null), record(T + 2, null, null),
        record(T + 3, "", ""), record(T - 9, "k", "v", new RecordHeader("trace", utf8("abc")),
            new RecordHeader("null", (byte[]) null), new RecordHeader("", new byte[0]), new RecordHeader("trace", new byte[] {0, -1}))));
    print("long-value", MemoryRecords.withRecords(Compression.NONE, record(T, "k", "0123456789".repeat(40))));
    print("no-timestamp", MemoryRecords.withRecords(Compression.NONE, record(-1, "k", "v")));
    MemoryRecordsBuilder stamped = MemoryRecords.builder(ByteBuffer.allocate(256), (byte) 2, Compression.NONE,
        TimestampType.LOG_APPEND_TIME, 9, T + 60_000);
    stamped.append(record(T, "a", "1"));
    stamped.append(record(T + 5, "b", "2"));
    print("append-time", stamped.build());
    print("large-offset", MemoryRecords.withRecords(0x7fff_ffff_ffffL, Compression.NONE, 0x7fff_fff0,
        record(T, "k", "v"), record(T + 86_400_000L * 365, "a year later", "v"), record(0, "the epoch", "v")));
    print("idempotent", MemoryRecords.withIdempotentRecords(0, Compression.NONE, 4711, (short) 3, 10, 2,
        record(T, "a", "1"), record(T, "b", "2"), record(T, "c", "3")));
    print("idempotent-zstd", MemoryRecords.withIdempotentRecords(0, Compression.zstd().build(), 4711, (short) 3, 13, 2, orders()));
    print("sequence-wraps", MemoryRecords.withIdempotentRecords(0, Compression.NONE, 4711, (short) 3,
        Integer.MAX_VALUE - 1, 2, record(T, "a", "1"), record(T, "b", "2"), record(T, "c", "3"), record(T, "d", "4")));
    print("transactional", MemoryRecords.withTransactionalRecords(20, Compression.lz4().build(), 4712, (short) 0, 0, 2, orders()));
    print("commit-marker", MemoryRecords.withEndTransactionMarker(33, T, 2, 4712, (short) 0,
        new EndTransactionMarker(ControlRecordType.COMMIT, 8)));
    print("abort-marker", MemoryRecords.withEndTransactionMarker(34, T, 2, 4712, (short) 1,
        new EndTransactionMarker(ControlRecordType.ABORT, 8)));
    print("leader-change", MemoryRecords.withLeaderChangeMessage(35, T, 3, ByteBuffer.allocate(256),
        new LeaderChangeMessage().setLeaderId(1)));
    print("magic-0", MemoryRecords.withRecords((byte) 0, Compression.NONE, record(-1, "k", "v")));
    print("magic-1", MemoryRecords.withRecords((byte) 1, Compression.NONE, record(T, "k", "v")));
    System.out.println(")vectors\"");
  }
}
