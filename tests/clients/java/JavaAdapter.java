// Kafka's own Java client as an adapter of tests/clients/common/; worker.py says what an adapter is. Producers have the client's
// defaults: they are idempotent unless told otherwise, and nobody tells them.
//
// usage: java -cp JARS:CLASSES JavaAdapter BOOTSTRAP [member TOPIC GROUP SESSION_MS NAME]
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.AppInfoParser;

public class JavaAdapter {
  static final long DEADLINE_SECONDS = 30; // for one thing that is asked; the scenario gives up a little later
  static final ObjectMapper JSON = new ObjectMapper(); // bytes are base64 in it, as the scenario wants them

  final String bootstrap;
  final Admin admin;

  JavaAdapter(String bootstrap) {
    this.bootstrap = bootstrap;
    this.admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
  }

  static void write(PrintStream output, Object message) throws IOException {
    output.println(JSON.writeValueAsString(message));
    output.flush();
  }

  static <T> T wait(Future<T> future) throws Exception {
    try {
      return future.get(DEADLINE_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException error) {
      throw error.getCause() instanceof Exception cause ? cause : error;
    }
  }

  static byte[] bytes(JsonNode node) throws IOException { return node.isNull() ? null : node.binaryValue(); }

  static KafkaConsumer<byte[], byte[]> consumer(String bootstrap, Map<String, Object> more) {
    Map<String, Object> configs = new HashMap<>(more);
    configs.put("bootstrap.servers", bootstrap);
    configs.put("enable.auto.commit", "false");
    return new KafkaConsumer<>(configs, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  Object answer(JsonNode asked) throws Exception {
    String topic = asked.path("topic").asText();
    String group = asked.path("group").asText();
    TopicPartition place = new TopicPartition(topic, asked.path("partition").asInt());
    long offset = asked.path("offset").asLong();
    switch (asked.get("do").asText()) {
      case "create_topic":
        Map<String, String> configs = JSON.convertValue(asked.get("configs"), JSON.getTypeFactory().constructMapType(Map.class, String.class, String.class));
        return wait(admin.createTopics(List.of(new NewTopic(topic, asked.get("partitions").asInt(), (short) 1).configs(configs))).all());
      case "list_topics":
        return wait(admin.listTopics().names());
      case "describe_topic":
        return wait(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions().stream()
            .collect(Collectors.toMap(TopicPartitionInfo::partition, one -> one.leader().id()));
      case "delete_topic":
        return wait(admin.deleteTopics(List.of(topic)).all());
      case "add_partitions":
        return wait(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(asked.get("total").asInt()))).all());
      case "configs":
        return configs(topic);
      case "alter_config":
        Collection<AlterConfigOp> change = List.of(new AlterConfigOp(new ConfigEntry(asked.get("key").asText(), asked.get("value").asText()), AlterConfigOp.OpType.SET));
        return wait(admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.TOPIC, topic), change)).all());
      case "produce":
        return produce(topic, asked.get("codec").asText(), asked.get("records"));
      case "consume":
        return consume(place, offset, asked.get("count").asInt());
      case "offset":
        return wait(admin.listOffsets(Map.of(place, at(asked.get("at")))).all()).get(place).offset();
      case "delete_records":
        wait(admin.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(offset))).all());
        return null;
      case "list_groups":
        return wait(admin.listGroups().all()).stream().map(GroupListing::groupId).toList();
      case "describe_group":
        ConsumerGroupDescription described = wait(admin.describeConsumerGroups(List.of(group)).all()).get(group);
        return Map.of("state", described.groupState().toString(), "members", described.members().stream().map(JavaAdapter::partitions).toList());
      case "committed":
        Map<Integer, Long> next = new HashMap<>();
        wait(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).forEach((where, committed) -> {
          if (where.topic().equals(topic)) next.put(where.partition(), committed.offset());
        });
        return next;
      case "delete_group":
        return wait(admin.deleteConsumerGroups(List.of(group)).all());
      default:
        throw new IllegalArgumentException("no such function: " + asked);
    }
  }

  Map<String, String> configs(String topic) throws Exception {
    ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
    Map<String, String> values = new HashMap<>();
    wait(admin.describeConfigs(List.of(resource)).all()).get(resource).entries().forEach(entry -> values.put(entry.name(), entry.value()));
    return values;
  }

  static OffsetSpec at(JsonNode at) {
    if (at.isNumber()) return OffsetSpec.forTimestamp(at.asLong());
    return at.asText().equals("earliest") ? OffsetSpec.earliest() : OffsetSpec.latest();
  }

  static List<Integer> partitions(MemberDescription member) {
    return member.assignment().topicPartitions().stream().map(TopicPartition::partition).toList();
  }

  List<List<Long>> produce(String topic, String codec, JsonNode records) throws Exception {
    Map<String, Object> configs = Map.of("bootstrap.servers", bootstrap, "compression.type", codec, "linger.ms", "20");
    try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(configs, new ByteArraySerializer(), new ByteArraySerializer())) {
      List<Future<RecordMetadata>> sent = new ArrayList<>();
      for (JsonNode one : records) {
        Integer partition = one.get("partition").isNull() ? null : one.get("partition").asInt();
        ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, partition, one.get("timestamp").asLong(), bytes(one.get("key")), bytes(one.get("value")));
        for (JsonNode header : one.get("headers")) record.headers().add(header.get(0).asText(), bytes(header.get(1)));
        sent.add(producer.send(record));
      }
      producer.flush();
      List<List<Long>> places = new ArrayList<>();
      for (Future<RecordMetadata> future : sent) {
        RecordMetadata where = wait(future);
        places.add(List.of((long) where.partition(), where.offset()));
      }
      return places;
    }
  }

  List<Map<String, Object>> consume(TopicPartition place, long offset, int count) {
    List<Map<String, Object>> found = new ArrayList<>();
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(bootstrap, Map.of())) {
      consumer.assign(List.of(place));
      consumer.seek(place, offset);
      long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(DEADLINE_SECONDS); // then the scenario sees what is missing
      while (found.size() < count && System.nanoTime() < end) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
          if (found.size() < count) found.add(described(record));
        }
      }
    }
    return found;
  }

  static Map<String, Object> described(ConsumerRecord<byte[], byte[]> record) {
    List<List<Object>> headers = new ArrayList<>();
    for (Header header : record.headers()) {
      List<Object> pair = new ArrayList<>(); // a value may be null
      pair.add(header.key());
      pair.add(header.value());
      headers.add(pair);
    }
    Map<String, Object> one = new HashMap<>();
    one.put("offset", record.offset());
    one.put("key", record.key());
    one.put("value", record.value());
    one.put("headers", headers);
    one.put("timestamp", record.timestamp());
    return one;
  }

  static void serve(String bootstrap, PrintStream output) throws IOException {
    JavaAdapter adapter = new JavaAdapter(bootstrap);
    write(output, Map.of("client", "Java kafka-clients", "version", AppInfoParser.getVersion()));
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      Map<String, Object> answer = new HashMap<>();
      try {
        answer.put("result", adapter.answer(JSON.readTree(line)));
      } catch (Exception error) { // whatever it is: the scenario judges
        error.printStackTrace();
        answer.put("error", error.toString());
      }
      write(output, answer);
    }
    adapter.admin.close(Duration.ofSeconds(5));
  }

  // Reports what each poll brought, then commits it.
  static void member(PrintStream output, String bootstrap, String topic, String group, String sessionMs, String name) throws IOException {
    Thread reading = Thread.currentThread();
    var stopping = new Object() {
      volatile boolean now = false;
    };
    Runtime.getRuntime().addShutdownHook(new Thread(() -> { // SIGTERM; the process ends when the hook does
      stopping.now = true;
      try {
        reading.join();
      } catch (InterruptedException ignored) { // nobody interrupts
      }
    }));
    String heartbeatMs = Optional.ofNullable(System.getenv("HEARTBEAT_MS")).orElse("500");
    Map<String, Object> configs = Map.of("group.id", group, "client.id", name, "session.timeout.ms", sessionMs, "heartbeat.interval.ms", heartbeatMs,
        "max.poll.interval.ms", "10000", "auto.offset.reset", "earliest", "fetch.max.wait.ms", "100");
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(bootstrap, configs)) { // closing leaves the group
      consumer.subscribe(List.of(topic));
      while (!stopping.now) {
        ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(100));
        if (records.isEmpty()) continue;
        Map<Integer, Long> next = new HashMap<>();
        for (ConsumerRecord<byte[], byte[]> record : records) {
          Map<String, Object> event = described(record);
          event.put("event", "record");
          event.put("partition", record.partition());
          write(output, event);
          next.put(record.partition(), record.offset() + 1);
        }
        try {
          consumer.commitSync();
          write(output, Map.of("event", "committed", "next", next));
        } catch (CommitFailedException | RebalanceInProgressException error) { // the next owner reads these records again
          write(output, Map.of("event", "commit failed"));
        }
      }
    } catch (RuntimeException error) {
      error.printStackTrace();
      write(output, Map.of("event", "error", "error", error.toString()));
    }
  }

  public static void main(String[] args) throws IOException {
    PrintStream output = System.out;
    System.setOut(System.err); // whatever a library prints must not come between the lines of the protocol
    if (args.length == 1) {
      serve(args[0], output);
    } else {
      member(output, args[0], args[2], args[3], args[4], args[5]);
    }
  }
}
