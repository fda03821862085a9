// Writes the byte vectors that net/kafka/vectors_test.cc checks our codec against. The bytes are made by Kafka's own message
// classes, filled by walking Kafka's own schema of each version, so that a field we forgot or misplaced shows.
//
// To make the fixture again (JDK 17 and Maven; the clients are fetched as Maven is configured to):
//   mkdir -p /tmp/vectors && cd /tmp/vectors
//   mvn -q dependency:copy -Dartifact=org.apache.kafka:kafka-clients:4.3.1 -DoutputDirectory=.
//   mvn -q dependency:copy -Dartifact=org.apache.kafka:kafka-clients:3.9.1 -DoutputDirectory=.
//   mvn -q dependency:copy -Dartifact=org.slf4j:slf4j-api:1.7.36 -DoutputDirectory=.
//   SOURCE=<this folder>; OUT=<the tree>/net/kafka/testdata/vectors.txt
//   java -cp kafka-clients-3.9.1.jar:slf4j-api-1.7.36.jar $SOURCE/WireVectors.java 0:0-2 > $OUT
//   java -cp kafka-clients-4.3.1.jar:slf4j-api-1.7.36.jar $SOURCE/WireVectors.java \
//     0 1 2 3 8 9 10 11 12 13 14 15 16 18 19 20 22 23 60 consumer 37 75 \
//     21 32 33 35 42 44 47 61 52 53 54 55 59 80 81 82 56 58 62 63 64 67 70 73 43 45 46 57 quorum >> $OUT
// (3.9.1 is the last release with Produce versions 0 to 2.)
//
// A line: API key, version, kind, variant, bytes in hex. Kinds: request, response (bodies), request_header, response_header, and
// subscription, assignment (the consumer protocol; key -1, without the int16 version in front), leader_change, snapshot_header,
// snapshot_footer, kraft_version, voters (values of control records of a quorum; key -1; no variant null).
// Variants: full (no field has its default, arrays of one or two), null (what may be null is null, the rest as in full,
// tagged fields left out), default (a message as Kafka constructs it), unknown_tags (full plus a tagged field nobody knows in
// every structure; left out where the version is not flexible).
import java.lang.reflect.Field;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.ConsumerProtocolAssignment;
import org.apache.kafka.common.message.ConsumerProtocolSubscription;
import org.apache.kafka.common.message.KRaftVersionRecord;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.message.SnapshotFooterRecord;
import org.apache.kafka.common.message.SnapshotHeaderRecord;
import org.apache.kafka.common.message.VotersRecord;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;

public class WireVectors {
  static final int UNKNOWN_TAG = 1000;

  enum Variant { full, nulls, defaults, unknown_tags }

  final Variant variant;
  int counter = 0;

  WireVectors(Variant variant) { this.variant = variant; }

  public static void main(String[] args) throws Exception {
    for (String arg : args) {
      if (arg.equals("quorum")) {
        writeQuorumRecords();
        continue;
      }
      if (arg.equals("consumer")) {
        writeConsumerProtocol();
        continue;
      }
      String[] parts = arg.split("[:-]");
      ApiMessageType type = ApiMessageType.fromApiKey(Short.parseShort(parts[0]));
      short first = parts.length > 1 ? Short.parseShort(parts[1]) : type.lowestSupportedVersion();
      short last = parts.length > 1 ? Short.parseShort(parts[2]) : type.highestSupportedVersion(true);
      for (short version = first; version <= last; ++version) writeVersion(type, version);
    }
  }

  static void writeVersion(ApiMessageType type, short version) throws Exception {
    RequestHeaderData header = new RequestHeaderData().setRequestApiKey(type.apiKey()).setRequestApiVersion(version)
        .setCorrelationId(0x01020304).setClientId("client");
    print(type, version, "request_header", "full", header, type.requestHeaderVersion(version));
    header.setClientId(null);
    print(type, version, "request_header", "null", header, type.requestHeaderVersion(version));
    print(type, version, "response_header", "full", new ResponseHeaderData().setCorrelationId(0x01020304),
        type.responseHeaderVersion(version));
    for (Variant variant : Variant.values()) {
      boolean flexible = type.requestHeaderVersion(version) >= 2;
      if (variant == Variant.unknown_tags && !flexible) continue;
      Message request = type.newRequest();
      Message response = type.newResponse();
      if (variant != Variant.defaults) {
        new WireVectors(variant).fill(request, type.requestSchemas()[version]);
        new WireVectors(variant).fill(response, type.responseSchemas()[version]);
      }
      print(type, version, "request", name(variant), request, version);
      print(type, version, "response", name(variant), response, version);
    }
  }

  // What consumers put into JoinGroup and SyncGroup, without its int16 version. No API: the key is -1.
  static void writeConsumerProtocol() throws Exception {
    for (short version = 0; version <= ConsumerProtocolSubscription.HIGHEST_SUPPORTED_VERSION; ++version) {
      for (Variant variant : List.of(Variant.full, Variant.nulls, Variant.defaults)) {
        Message subscription = new ConsumerProtocolSubscription();
        Message assignment = new ConsumerProtocolAssignment();
        if (variant != Variant.defaults) {
          new WireVectors(variant).fill(subscription, ConsumerProtocolSubscription.SCHEMAS[version]);
          new WireVectors(variant).fill(assignment, ConsumerProtocolAssignment.SCHEMAS[version]);
        }
        print((short) -1, version, "subscription", name(variant), subscription, version);
        print((short) -1, version, "assignment", name(variant), assignment, version);
      }
    }
  }

  // Values of the control records of a quorum's log. No API: the key is -1. Each states its own version.
  static void writeQuorumRecords() throws Exception {
    writeRecord("leader_change", LeaderChangeMessage::new, LeaderChangeMessage.SCHEMAS);
    writeRecord("snapshot_header", SnapshotHeaderRecord::new, SnapshotHeaderRecord.SCHEMAS);
    writeRecord("snapshot_footer", SnapshotFooterRecord::new, SnapshotFooterRecord.SCHEMAS);
    writeRecord("kraft_version", KRaftVersionRecord::new, KRaftVersionRecord.SCHEMAS);
    writeRecord("voters", VotersRecord::new, VotersRecord.SCHEMAS);
  }

  static void writeRecord(String kind, Supplier<Message> make, Schema[] schemas) throws Exception {
    for (short version = 0; version < schemas.length; ++version) {
      for (Variant variant : List.of(Variant.full, Variant.defaults, Variant.unknown_tags)) {
        Message record = make.get();
        if (variant != Variant.defaults) new WireVectors(variant).fill(record, schemas[version]);
        record.getClass().getMethod("setVersion", short.class).invoke(record, version);
        print((short) -1, version, kind, name(variant), record, version);
      }
    }
  }

  static String name(Variant variant) {
    return switch (variant) {
      case nulls -> "null";
      case defaults -> "default";
      default -> variant.toString();
    };
  }

  static void print(ApiMessageType type, short version, String kind, String variant, Message message, short as) {
    print(type.apiKey(), version, kind, variant, message, as);
  }

  static void print(short key, short version, String kind, String variant, Message message, short as) {
    ObjectSerializationCache cache = new ObjectSerializationCache();
    ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, as));
    message.write(new ByteBufferAccessor(buffer), cache, as);
    byte[] bytes = buffer.array();
    System.out.println(key + " " + version + " " + kind + " " + variant + " " + HexFormat.of().formatHex(bytes));
  }

  void fill(Message message, Schema schema) throws Exception {
    fill(message, schema, 0);
    if (variant == Variant.unknown_tags) addUnknownTag(message);
  }

  void addUnknownTag(Message message) {
    message.unknownTaggedFields().add(new RawTaggedField(UNKNOWN_TAG, new byte[] {1, 2, 3}));
  }

  void fill(Object object, Schema schema, int depth) throws Exception {
    for (BoundField bound : schema.fields()) {
      if (bound.def.type instanceof TaggedFields tagged) {
        if (variant == Variant.nulls) continue;
        Field known = TaggedFields.class.getDeclaredField("fields");
        known.setAccessible(true);
        for (Object def : ((Map<?, ?>) known.get(tagged)).values())
          set(object, (org.apache.kafka.common.protocol.types.Field) def, depth);
      } else {
        set(object, bound.def, depth);
      }
    }
  }

  void set(Object object, org.apache.kafka.common.protocol.types.Field def, int depth) throws Exception {
    Field field = fieldOf(object, def);
    boolean toNull = variant == Variant.nulls && def.type.isNullable();
    if (field.getType() == boolean.class) {
      ++counter;
      field.set(object, !field.getBoolean(object));
    } else {
      field.set(object, toNull ? null : value(def.name, def.type, field, depth));
    }
  }

  Object value(String name, Type type, Field field, int depth) throws Exception {
    if (type.arrayElementType().isPresent()) return array(name, type.arrayElementType().get(), field, depth);
    if (type instanceof Schema schema) return structure(field.getType(), schema, depth + 1);
    return scalar(name, type, field.getType());
  }

  Object scalar(String name, Type type, Class<?> javaType) throws Exception {
    ++counter;
    if (javaType == byte.class) return (byte) (-counter);
    if (javaType == short.class) return (short) (0x0100 + counter);
    if (javaType == int.class) return type.toString().equals("UINT16") ? 0xF000 + counter : 0x01020300 + counter;
    if (javaType == long.class) return 0x0102030405060700L + counter;
    if (javaType == double.class) return 0.5 + counter;
    if (javaType == Uuid.class || type == Type.UUID) return new Uuid(0x1122334455667788L, 0x99AABBCCDDEEFF00L + counter);
    byte[] text = (name + counter).getBytes(StandardCharsets.UTF_8);
    if (javaType == byte[].class) return text;
    if (javaType == ByteBuffer.class) return ByteBuffer.wrap(text);
    if (javaType.getSimpleName().equals("BaseRecords")) return records(javaType, text);
    if (javaType == String.class || javaType == Object.class) return name + counter;
    throw new IllegalStateException(name + " is of type " + javaType);
  }

  // MemoryRecords stands in another package in each of the releases.
  static Object records(Class<?> baseRecords, byte[] bytes) throws Exception {
    Class<?> memoryRecords = Class.forName(baseRecords.getPackageName() + ".MemoryRecords");
    return memoryRecords.getMethod("readableRecords", ByteBuffer.class).invoke(null, ByteBuffer.wrap(bytes));
  }

  // Two elements near the top, one further down: enough to see an element's end, and short.
  @SuppressWarnings("unchecked")
  Object array(String name, Type element, Field field, int depth) throws Exception {
    int count = depth == 0 ? 2 : 1;
    Collection<Object> values;
    Class<?> elementClass;
    if (field.getType() == List.class) {
      values = new java.util.ArrayList<>();
      elementClass = (Class<?>) ((ParameterizedType) field.getGenericType()).getActualTypeArguments()[0];
    } else {
      values = (Collection<Object>) field.getType().getDeclaredConstructor().newInstance();
      elementClass = Class.forName(field.getType().getName().replaceAll("Collection$", ""));
    }
    for (int i = 0; i < count; ++i) {
      if (element instanceof Schema schema) {
        values.add(structure(elementClass, schema, depth + 1));
      } else {
        values.add(scalar(name, element, unboxed(elementClass)));
      }
    }
    return values;
  }

  Object structure(Class<?> javaClass, Schema schema, int depth) throws Exception {
    Message message = (Message) javaClass.getDeclaredConstructor().newInstance();
    fill(message, schema, depth);
    if (variant == Variant.unknown_tags) addUnknownTag(message);
    return message;
  }

  // By the schema's name, whose words end where Kafka's classes begin a capital, but for names like kRaftVersion.
  static Field fieldOf(Object object, org.apache.kafka.common.protocol.types.Field def) throws NoSuchFieldException {
    for (Field field : object.getClass().getDeclaredFields()) {
      if (!field.getName().equalsIgnoreCase(def.name.replace("_", ""))) continue;
      field.setAccessible(true);
      return field;
    }
    throw new NoSuchFieldException(def.name);
  }

  static Class<?> unboxed(Class<?> type) {
    if (type == Integer.class) return int.class;
    if (type == Long.class) return long.class;
    if (type == Short.class) return short.class;
    return type == Byte.class ? byte.class : type;
  }
}
