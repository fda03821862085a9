// Random messages of every API and version, made and read by Kafka's own message classes, to be compared with ours in both
// directions. tests/wire/compare_main.cc is the other side; tests/suites/25-wire.sh runs both. A line of either side:
//   API key, version, request|response, bytes in hex, values (the form is told in net/kafka/testing/random_message.h)
//
// usage: java ... RandomMessages.java make SEED COUNT KEY:FIRST-LAST...   COUNT lines of each kind and version, to standard output
//        java ... RandomMessages.java check                               reads lines from standard input; last line: N passed, M failed
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.lang.reflect.Field;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collection;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.MemoryRecords;

public class RandomMessages {
  static final int ELEMENTS_MAX = 3;
  static final String[] PIECES = {"a", "Z", "0", "-", "topic", "\u00e9", "\u20ac", " ", "\ud83d\ude00"};

  final Random random;

  RandomMessages(long seed) { random = new Random(seed); }

  public static void main(String[] args) throws Exception {
    if (args[0].equals("make")) {
      make(Long.parseLong(args[1]), Integer.parseInt(args[2]), Arrays.copyOfRange(args, 3, args.length));
    } else {
      check();
    }
  }

  static void make(long seed, int count, String[] apis) throws Exception {
    RandomMessages source = new RandomMessages(seed);
    BufferedWriter out = new BufferedWriter(new OutputStreamWriter(System.out, StandardCharsets.US_ASCII));
    for (String api : apis) {
      String[] parts = api.split("[:-]");
      ApiMessageType type = ApiMessageType.fromApiKey(Short.parseShort(parts[0]));
      short first = (short) Math.max(type.lowestSupportedVersion(), Short.parseShort(parts[1]));
      short last = (short) Math.min(type.highestSupportedVersion(true), Short.parseShort(parts[2]));
      for (short version = first; version <= last; ++version) {
        for (int i = 0; i < count; ++i) {
          out.write(source.line(type, version, "request", type.newRequest(), type.requestSchemas()[version]));
          out.write(source.line(type, version, "response", type.newResponse(), type.responseSchemas()[version]));
        }
      }
    }
    out.flush();
  }

  String line(ApiMessageType type, short version, String kind, Message message, Schema schema) throws Exception {
    fill(message, schema, 0);
    return type.apiKey() + " " + version + " " + kind + " " + HexFormat.of().formatHex(bytes(message, version)) + " "
        + printed(message, schema) + "\n";
  }

  // Decodes what the other side encoded: the values must be the same, and so must the bytes when encoded again.
  static void check() throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
    int passed = 0, failed = 0;
    for (String line; (line = in.readLine()) != null;) {
      String[] parts = line.split(" ", 5);
      // Kafka has given these versions up; WireVectors.java has vectors of them, made by an older release.
      if (Short.parseShort(parts[1]) < ApiMessageType.fromApiKey(Short.parseShort(parts[0])).lowestSupportedVersion()) continue;
      String wrong = check(parts);
      if (wrong == null) {
        ++passed;
      } else {
        System.out.println("FAILED: " + parts[0] + " v" + parts[1] + " " + parts[2] + ": " + wrong + "\n  " + line);
        ++failed;
      }
    }
    System.out.println(passed + " passed, " + failed + " failed");
    System.exit(failed == 0 ? 0 : 1);
  }

  static String check(String[] parts) throws Exception {
    ApiMessageType type = ApiMessageType.fromApiKey(Short.parseShort(parts[0]));
    short version = Short.parseShort(parts[1]);
    boolean request = parts[2].equals("request");
    Message message = request ? type.newRequest() : type.newResponse();
    Schema schema = (request ? type.requestSchemas() : type.responseSchemas())[version];
    byte[] given = HexFormat.of().parseHex(parts[3]);
    ByteBuffer buffer = ByteBuffer.wrap(given);
    try {
      message.read(new ByteBufferAccessor(buffer), version);
    } catch (RuntimeException e) {
      return e.toString();
    }
    if (buffer.hasRemaining()) return buffer.remaining() + " bytes are left";
    String values = printed(message, schema);
    if (!values.equals(parts[4].strip())) return "values are " + values;
    return Arrays.equals(bytes(message, version), given) ? null : "encoded again as " + HexFormat.of().formatHex(bytes(message, version));
  }

  static byte[] bytes(Message message, short version) {
    ObjectSerializationCache cache = new ObjectSerializationCache();
    ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
    message.write(new ByteBufferAccessor(buffer), cache, version);
    return buffer.array();
  }

  // ---- random values

  void fill(Object object, Schema schema, int depth) throws Exception {
    for (BoundField bound : schema.fields()) {
      if (bound.def.type instanceof TaggedFields tagged) {
        for (org.apache.kafka.common.protocol.types.Field def : known(tagged)) {
          if (random.nextBoolean()) set(object, def, depth);
        }
      } else {
        set(object, bound.def, depth);
      }
    }
  }

  void set(Object object, org.apache.kafka.common.protocol.types.Field def, int depth) throws Exception {
    Field field = fieldOf(object, def);
    boolean toNull = def.type.isNullable() && random.nextInt(3) == 0;
    field.set(object, toNull ? null : value(def.type, field, depth));
  }

  Object value(Type type, Field field, int depth) throws Exception {
    if (type.arrayElementType().isPresent()) return array(type.arrayElementType().get(), field, depth);
    if (type instanceof Schema schema) return structure(field.getType(), schema, depth + 1);
    return scalar(type, field.getType());
  }

  Object structure(Class<?> javaClass, Schema schema, int depth) throws Exception {
    Object made = javaClass.getDeclaredConstructor().newInstance();
    fill(made, schema, depth);
    return made;
  }

  @SuppressWarnings("unchecked")
  Object array(Type element, Field field, int depth) throws Exception {
    int count = random.nextInt(depth > 2 ? 2 : ELEMENTS_MAX + 1);
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
      values.add(element instanceof Schema schema ? structure(elementClass, schema, depth + 1) : scalar(element, unboxed(elementClass)));
    }
    return values;
  }

  Object scalar(Type type, Class<?> javaType) {
    if (javaType == boolean.class) return random.nextBoolean();
    if (javaType == byte.class) return (byte) number();
    if (javaType == short.class) return (short) number();
    if (javaType == int.class) return type.toString().equals("UINT16") ? (int) number() & 0xFFFF : (int) number();
    if (javaType == long.class) return number();
    if (javaType == double.class) return random.nextInt(1000) / 8.0;
    if (javaType == Uuid.class || type == Type.UUID) return random.nextInt(4) == 0 ? Uuid.ZERO_UUID : new Uuid(random.nextLong(), random.nextLong());
    if (javaType == byte[].class) return blob();
    if (javaType == ByteBuffer.class) return ByteBuffer.wrap(blob());
    if (javaType.getSimpleName().equals("BaseRecords")) return MemoryRecords.readableRecords(ByteBuffer.wrap(blob()));
    return text();
  }

  long number() {
    return switch (random.nextInt(10)) {
      case 0 -> 0;
      case 1 -> 1;
      case 2 -> -1;
      case 3 -> Long.MIN_VALUE;
      case 4 -> Long.MAX_VALUE;
      case 5 -> Integer.MIN_VALUE;
      case 6 -> Integer.MAX_VALUE;
      default -> random.nextLong();
    };
  }

  String text() {
    StringBuilder made = new StringBuilder();
    int pieces = random.nextInt(16) == 0 ? 130 + random.nextInt(200) : random.nextInt(8);
    for (int i = 0; i < pieces; ++i) made.append(PIECES[random.nextInt(PIECES.length)]);
    return made.toString();
  }

  byte[] blob() {
    byte[] made = new byte[random.nextInt(16) == 0 ? 120 + random.nextInt(300) : random.nextInt(12)];
    random.nextBytes(made);
    return made;
  }

  // ---- printing

  static String printed(Object message, Schema schema) throws Exception {
    StringBuilder out = new StringBuilder();
    print(out, message, schema);
    return out.toString().strip();
  }

  static void print(StringBuilder out, Object object, Schema schema) throws Exception {
    out.append("{ ");
    for (BoundField bound : schema.fields()) {
      if (bound.def.type instanceof TaggedFields tagged) {
        for (org.apache.kafka.common.protocol.types.Field def : known(tagged)) print(out, fieldOf(object, def).get(object), def.type);
      } else {
        print(out, fieldOf(object, bound.def).get(object), bound.def.type);
      }
    }
    out.append("} ");
  }

  static void print(StringBuilder out, Object value, Type type) throws Exception {
    if (value == null) {
      out.append("N ");
    } else if (type.arrayElementType().isPresent()) {
      out.append("[ ");
      for (Object element : (Collection<?>) value) print(out, element, type.arrayElementType().get());
      out.append("] ");
    } else if (type instanceof Schema schema) {
      print(out, value, schema);
    } else if (value instanceof Boolean flag) {
      out.append(flag ? "1 " : "0 ");
    } else if (value instanceof Uuid uuid) {
      ByteBuffer buffer = ByteBuffer.allocate(16).putLong(uuid.getMostSignificantBits()).putLong(uuid.getLeastSignificantBits());
      printHex(out, buffer.array());
    } else if (value instanceof String text) {
      printHex(out, text.getBytes(StandardCharsets.UTF_8));
    } else if (value instanceof byte[] bytes) {
      printHex(out, bytes);
    } else if (value instanceof ByteBuffer buffer) {
      printHex(out, remaining(buffer));
    } else if (value instanceof MemoryRecords records) {
      printHex(out, remaining(records.buffer()));
    } else {
      out.append(value).append(' ');
    }
  }

  static byte[] remaining(ByteBuffer buffer) {
    byte[] bytes = new byte[buffer.remaining()];
    buffer.duplicate().get(bytes);
    return bytes;
  }

  static void printHex(StringBuilder out, byte[] bytes) { out.append('x').append(HexFormat.of().formatHex(bytes)).append(' '); }

  // ---- Kafka's classes

  @SuppressWarnings("unchecked")
  static Collection<org.apache.kafka.common.protocol.types.Field> known(TaggedFields tagged) throws Exception {
    Field fields = TaggedFields.class.getDeclaredField("fields");
    fields.setAccessible(true);
    return ((Map<Integer, org.apache.kafka.common.protocol.types.Field>) fields.get(tagged)).values();
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
