// What administrators do, with Kafka's own Java client, and a consumer that keeps a fetch session over many small fetches.
// Each answer is asserted exactly. Last line: `N passed, M failed`.
//
// usage: java -cp JARS:CLASSES AdminScenario BOOTSTRAP
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class AdminScenario {
  static final int PARTITIONS = 5;
  static final long PATIENCE_MS = 30_000;

  final String bootstrap;
  final Admin admin;
  final String topic = "java-admin-" + System.nanoTime();
  final String group = topic + "-group";
  final long now = System.currentTimeMillis();
  int passed = 0;
  int failed = 0;

  AdminScenario(String bootstrap) {
    this.bootstrap = bootstrap;
    this.admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
  }

  interface Step {
    void run() throws Exception;
  }

  void step(String name, Step step) {
    try {
      step.run();
      ++passed;
      System.out.println("ok     " + name);
    } catch (Throwable error) {
      ++failed;
      System.out.println("FAILED " + name + ": " + error);
    }
  }

  static void expectEqual(Object got, Object wanted, String what) {
    if (!got.equals(wanted)) throw new AssertionError(what + ": got " + got + ", wanted " + wanted);
  }

  static void refused(Class<? extends Exception> wanted, Step step) throws Exception {
    try {
      step.run();
    } catch (ExecutionException error) {
      expectEqual(error.getCause().getClass(), wanted, "error (" + error.getCause().getMessage() + ")");
      return;
    }
    throw new AssertionError("not refused with " + wanted.getSimpleName());
  }

  TopicPartition partition(int index) { return new TopicPartition(topic, index); }

  KafkaProducer<String, String> producer() {
    return new KafkaProducer<>(Map.of("bootstrap.servers", bootstrap), new StringSerializer(), new StringSerializer());
  }

  KafkaConsumer<String, String> consumer() {
    return new KafkaConsumer<>(Map.of("bootstrap.servers", bootstrap, "group.id", group, "enable.auto.commit", "false", "auto.offset.reset", "earliest"),
        new StringDeserializer(), new StringDeserializer());
  }

  List<String> read(KafkaConsumer<String, String> consumer, int count) {
    List<String> values = new ArrayList<>();
    long end = System.currentTimeMillis() + PATIENCE_MS;
    while (values.size() < count && System.currentTimeMillis() < end)
      for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(500))) values.add(record.value());
    return values;
  }

  Config describe(ConfigResource.Type type, String name) throws Exception {
    ConfigResource resource = new ConfigResource(type, name);
    return admin.describeConfigs(List.of(resource), new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all().get().get(resource);
  }

  void alter(ConfigResource.Type type, String name, String key, String value, AlterConfigOp.OpType operation) throws Exception {
    Collection<AlterConfigOp> change = List.of(new AlterConfigOp(new ConfigEntry(key, value), operation));
    admin.incrementalAlterConfigs(Map.of(new ConfigResource(type, name), change)).all().get();
  }

  void partitions() {
    step("partitions are added", () -> {
      admin.createTopics(List.of(new NewTopic(topic, 3, (short) 1))).all().get();
      admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(PARTITIONS))).all().get();
      expectEqual(admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size(), PARTITIONS, "partitions");
      refused(InvalidPartitionsException.class, () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all().get());
    });
  }

  void configuration() {
    step("a topic's configuration is described and changed", () -> {
      alter(ConfigResource.Type.TOPIC, topic, "retention.ms", "1234567", AlterConfigOp.OpType.SET);
      ConfigEntry entry = describe(ConfigResource.Type.TOPIC, topic).get("retention.ms");
      expectEqual(entry.value(), "1234567", "value");
      expectEqual(entry.source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "source");
      expectEqual(entry.type(), ConfigEntry.ConfigType.LONG, "type");
      expectEqual(entry.synonyms().size(), 1, "synonyms (the default is in hours and has a name of its own, as in Kafka)");
      expectEqual(describe(ConfigResource.Type.TOPIC, topic).get("segment.bytes").synonyms().size(), 1, "synonyms of a default");
      expectEqual(entry.documentation().isEmpty(), false, "no documentation");
      alter(ConfigResource.Type.TOPIC, topic, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
      expectEqual(describe(ConfigResource.Type.TOPIC, topic).get("cleanup.policy").value(), "delete,compact", "appended");
      alter(ConfigResource.Type.TOPIC, topic, "cleanup.policy", "compact", AlterConfigOp.OpType.SUBTRACT);
      refused(InvalidConfigurationException.class, () -> alter(ConfigResource.Type.TOPIC, topic, "retention.ms", "soon", AlterConfigOp.OpType.SET));
    });
    step("the default of all brokers is described and changed", () -> {
      alter(ConfigResource.Type.BROKER, "", "log.segment.bytes", "2097152", AlterConfigOp.OpType.SET);
      ConfigEntry entry = describe(ConfigResource.Type.TOPIC, topic).get("segment.bytes");
      expectEqual(entry.value(), "2097152", "the topic's value");
      expectEqual(entry.source(), ConfigEntry.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, "source");
      expectEqual(describe(ConfigResource.Type.BROKER, "").get("log.segment.bytes").value(), "2097152", "default of all brokers");
      alter(ConfigResource.Type.BROKER, "", "log.segment.bytes", "", AlterConfigOp.OpType.DELETE);
      String id = admin.describeCluster().nodes().get().iterator().next().idString();
      expectEqual(describe(ConfigResource.Type.BROKER, id).get("num.io.threads").isReadOnly(), true, "read-only");
      refused(InvalidRequestException.class, () -> alter(ConfigResource.Type.BROKER, id, "num.io.threads", "3", AlterConfigOp.OpType.SET));
    });
  }

  void sessions() {
    step("a record outside the time limits is refused with words", () -> {
      try (KafkaProducer<String, String> producer = producer()) {
        refused(InvalidTimestampException.class, () -> producer.send(new ProducerRecord<>(topic, 0, now + 100_000_000L, null, "early")).get());
      }
    });
    step("a consumer with a fetch session misses nothing and reads nothing twice", () -> {
      try (KafkaProducer<String, String> producer = producer(); KafkaConsumer<String, String> consumer = consumer()) {
        List<TopicPartition> all = new ArrayList<>();
        for (int index = 0; index < PARTITIONS; ++index) all.add(partition(index));
        consumer.assign(all);
        for (int number = 0; number < 40; ++number) {
          producer.send(new ProducerRecord<>(topic, number % PARTITIONS, now + number, null, "v" + number)).get();
          expectEqual(read(consumer, 1), List.of("v" + number), "the record just sent");
        }
        consumer.pause(all.subList(0, 2));
        producer.send(new ProducerRecord<>(topic, 1, now + 100, null, "paused")).get();
        producer.send(new ProducerRecord<>(topic, 3, now + 101, null, "flows")).get();
        expectEqual(read(consumer, 1), List.of("flows"), "while a partition is paused");
        consumer.resume(all.subList(0, 2));
        expectEqual(read(consumer, 1), List.of("paused"), "after it is resumed");
        consumer.seekToBeginning(all);
        expectEqual(new TreeSet<>(read(consumer, 42)).size(), 42, "distinct records from the beginning");
        consumer.commitSync();
      }
    });
  }

  void logs() {
    step("the largest timestamp names its record", () -> {
      var found = admin.listOffsets(Map.of(partition(3), OffsetSpec.maxTimestamp())).all().get().get(partition(3));
      expectEqual(Map.entry(found.offset(), found.timestamp()), Map.entry(8L, now + 101), "offset and time");
    });
    step("records are deleted", () -> {
      expectEqual(admin.deleteRecords(Map.of(partition(0), RecordsToDelete.beforeOffset(3))).lowWatermarks().get(partition(0)).get().lowWatermark(), 3L, "low watermark");
      refused(OffsetOutOfRangeException.class, () -> admin.deleteRecords(Map.of(partition(0), RecordsToDelete.beforeOffset(99))).all().get());
    });
    step("log folders and producers are described", () -> {
      var folders = admin.describeLogDirs(List.of(admin.describeCluster().nodes().get().iterator().next().id())).allDescriptions().get();
      var replicas = folders.values().iterator().next().values().iterator().next().replicaInfos();
      expectEqual(replicas.get(partition(1)).size() > 0, true, "size");
      expectEqual(admin.describeProducers(List.of(partition(1))).all().get().get(partition(1)).activeProducers().isEmpty(), false, "no producers");
    });
  }

  void groups() {
    step("committed offsets and groups are deleted", () -> {
      admin.deleteConsumerGroupOffsets(group, Set.of(partition(2))).all().get();
      Map<TopicPartition, ?> left = new HashMap<>(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get());
      expectEqual(left.keySet().size(), PARTITIONS - 1, "offsets left");
      expectEqual(left.containsKey(partition(2)), false, "the deleted one");
      admin.deleteConsumerGroups(List.of(group)).all().get();
      refused(GroupIdNotFoundException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
    });
  }

  public static void main(String[] args) {
    AdminScenario scenario = new AdminScenario(args[0]);
    scenario.partitions();
    scenario.configuration();
    scenario.sessions();
    scenario.logs();
    scenario.groups();
    scenario.admin.close(Duration.ofSeconds(5));
    System.out.println(scenario.passed + " passed, " + scenario.failed + " failed");
    System.exit(scenario.failed == 0 ? 0 : 1);
  }
}
