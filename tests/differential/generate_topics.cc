// Requests about topics, the cluster and configurations.
#include "net/kafka/api_versions.h"
#include "net/kafka/configs.h"
#include "net/kafka/metadata.h"
#include "net/kafka/partitions.h"
#include "net/kafka/topics.h"
#include "tests/differential/generator.h"

namespace posthaste::differential {

// Long enough for any admin request to be done before it is answered.
constexpr int32_t kTimeoutMs = 30'000;

void Generator::create_plain_topic(int topic, int partitions) {
  auto& step = add<kafka::CreateTopicsRequest>();
  auto& asked = step.message.topics.emplace_back();
  asked.name = step.keep(fmt::format("$t{}", topic));
  asked.num_partitions = partitions;
  asked.replication_factor = 1;
  step.message.timeout_ms = kTimeoutMs;
  topics_[static_cast<size_t>(topic)] = {.exists = true, .partitions = partitions};
}

std::pair<std::string, std::optional<std::string>> Generator::some_config() {
  using Config = std::pair<std::string, std::optional<std::string>>;
  return pick<Config>({{"cleanup.policy", "compact"},
                       {"cleanup.policy", "delete"},
                       {"cleanup.policy", "compact,delete"},
                       {"cleanup.policy", "delete,delete"},
                       {"cleanup.policy", "shred"},
                       {"cleanup.policy", ""},
                       {"retention.ms", "3600000"},
                       {"retention.ms", "-1"},
                       {"retention.ms", "-2"},
                       {"retention.ms", "soon"},
                       {"retention.ms", ""},
                       {"retention.ms", " 7000 "},
                       {"retention.bytes", "-1"},
                       {"retention.bytes", "123456"},
                       {"max.message.bytes", "300"},
                       {"max.message.bytes", "-1"},
                       {"max.message.bytes", "99999999999"},
                       {"message.timestamp.type", "LogAppendTime"},
                       {"message.timestamp.type", "CreateTime"},
                       {"message.timestamp.type", "logappendtime"},
                       {"message.timestamp.before.max.ms", "3600000"},
                       {"message.timestamp.after.max.ms", "1000"},
                       {"min.insync.replicas", "1"},
                       {"min.insync.replicas", "0"},
                       {"segment.bytes", "1048576"},
                       {"segment.bytes", "13"},
                       {"segment.ms", "100000"},
                       {"compression.type", "producer"},
                       {"compression.type", "zstd"},
                       {"compression.type", "rar"},
                       {"min.cleanable.dirty.ratio", "0.25"},
                       {"min.cleanable.dirty.ratio", "1.5"},
                       {"delete.retention.ms", "1"},
                       {"min.compaction.lag.ms", "5"},
                       {"max.compaction.lag.ms", "2"},
                       {"flush.messages", "1"},
                       {"flush.ms", "1000"},
                       {"index.interval.bytes", "100"},
                       {"preallocate", "false"},
                       {"preallocate", "maybe"},
                       {"unclean.leader.election.enable", "TRUE"},
                       {"no.such.key", "1"},
                       {"retention.ms", std::nullopt}});
}

void Generator::create_topics() {
  auto& step = add<kafka::CreateTopicsRequest>();
  step.message.timeout_ms = kTimeoutMs;
  step.message.validate_only = step.version >= 1 && chance(25);
  if (step.message.validate_only) step.traits.insert("validate only");
  for (size_t i = pick<size_t>({1, 1, 1, 2, 3, 0}); i > 0; --i) {
    kafka::CreateTopicsRequest::Topic asked;
    const int topic = static_cast<int>(draw(kTopics));
    const bool odd_name = chance(15);
    asked.name = step.keep(
        odd_name ? pick<std::string>({"", ".", "..", "no/such", std::string(250, 'x'), "__cluster_metadata", "ä"})
                 : fmt::format("$t{}", topic));
    asked.num_partitions = chance(75) ? pick<int32_t>({1, 2, 3, -1}) : pick<int32_t>({0, -2, INT32_MIN, 100'000'000});
    asked.replication_factor = chance(80) ? pick<int16_t>({1, -1}) : pick<int16_t>({0, -2, 2, INT16_MAX});
    if (chance(20)) {
      using Replicas = std::vector<int32_t>;
      if (chance(80)) asked.num_partitions = -1, asked.replication_factor = -1;
      for (int32_t index = 0; index < pick<int32_t>({1, 2}); ++index) {
        asked.assignments.push_back(
            {.partition_index = chance(85) ? index : pick<int32_t>({0, 5, -1}),
             .broker_ids = chance(80) ? Replicas{1} : pick<Replicas>({{}, {1, 1}, {9}, {1, 9}, {-1}})});
      }
    }
    for (size_t n = pick<size_t>({0, 0, 0, 1, 1, 2}); n > 0; --n) {
      const auto [name, value] = some_config();
      auto& config = asked.configs.emplace_back();
      config.name = step.keep(name);
      if (value) config.value = step.keep(*value);
      if (name == "cleanup.policy" && value && value->contains("compact") && !odd_name) {
        topics_[static_cast<size_t>(topic)].compacts = true;
      }
    }
    // Kafka refuses all topics of a request for one that is far too large, before it looks at anything else.
    const bool is_large = asked.num_partitions > 3;
    if (is_large) {
      step.message.topics = {{.name = "$t8", .num_partitions = asked.num_partitions, .replication_factor = 1}};
      return;
    }
    step.message.topics.push_back(asked);
    if (!odd_name && !step.message.validate_only && !topics_[static_cast<size_t>(topic)].exists) {
      topics_[static_cast<size_t>(topic)].exists = true;
      topics_[static_cast<size_t>(topic)].partitions = std::clamp(asked.num_partitions, 1, 3);
    }
  }
}

void Generator::delete_topics() {
  constexpr int16_t kFirstById = 6;
  // One topic several times, by its name and by its id: how often each comes decides what is answered.
  const bool is_repeated = chance(30);
  const int repeated = some_topic();
  auto& step = is_repeated ? add<kafka::DeleteTopicsRequest>(kFirstById) : add<kafka::DeleteTopicsRequest>();
  step.message.timeout_ms = kTimeoutMs;
  for (size_t i = is_repeated ? 2 + draw(3) : pick<size_t>({1, 1, 1, 2, 0}); i > 0; --i) {
    const int topic = is_repeated ? repeated : some_topic();
    const bool odd = chance(is_repeated ? 10 : 25);
    const std::string name = odd ? pick<std::string>({"$t9", "", "no/such"}) : fmt::format("$t{}", topic);
    if (step.version < kFirstById) {
      step.message.topic_names.push_back(step.keep(name));
    } else {
      auto& asked = step.message.topics.emplace_back();
      const int by = static_cast<int>(draw(8));
      if (by < 4 || by == 7) asked.name = step.keep(name);
      if (by >= 4 && by < 7) asked.topic_id = topic_id(odd ? 9 : topic);
      if (by == 7 && odd) asked.topic_id = topic_id(topic);
      if (by == 6 && odd) asked.topic_id = {};
    }
    if (!odd) topics_[static_cast<size_t>(topic)].exists = false;
  }
}

void Generator::create_partitions() {
  auto& step = add<kafka::CreatePartitionsRequest>();
  step.message.timeout_ms = kTimeoutMs;
  step.message.validate_only = chance(25);
  for (size_t i = pick<size_t>({1, 1, 1, 2, 0}); i > 0; --i) {
    auto& asked = step.message.topics.emplace_back();
    const int topic = some_topic();
    asked.name = step.keep(chance(85) ? fmt::format("$t{}", topic) : topic_name(100));
    Topic& known = topics_[static_cast<size_t>(topic)];
    asked.count =
        chance(75) ? known.partitions + pick({1, 1, 2, 0, -1}) : pick<int32_t>({0, -1, INT32_MAX, 100'000'000});
    asked.assignments.reset();
    if (asked.count >= 100'000'000) {
      step.traits.insert("far too many partitions");
      step.message.topics = {asked};
      return;
    }
    if (chance(20)) {
      using Replicas = std::vector<int32_t>;
      auto& assignments = asked.assignments.emplace();
      for (size_t n = pick<size_t>({1, 1, 2, 0}); n > 0; --n) {
        assignments.push_back({.broker_ids = chance(70) ? Replicas{1} : pick<Replicas>({{}, {1, 1}, {9}, {1, 9}})});
      }
    }
    if (!step.message.validate_only && known.exists && !asked.assignments && asked.count > known.partitions &&
        asked.count < 8) {
      known.partitions = asked.count;
    }
  }
}

void Generator::metadata() {
  auto& step = add<kafka::MetadataRequest>();
  auto& topics = step.message.topics.emplace();
  for (size_t i = pick<size_t>({1, 1, 2, 3}); i > 0; --i) {
    auto& asked = topics.emplace_back();
    if (step.version >= 12 && chance(30)) {
      asked.topic_id = chance(80) ? topic_id(some_topic()) : topic_id(9);
    } else {
      asked.name = step.keep(topic_name(25));
      if (step.version >= 10 && chance(5)) asked.topic_id = topic_id(some_topic());
    }
  }
  step.message.allow_auto_topic_creation = chance(50);
  step.message.include_cluster_authorized_operations = chance(20);
  step.message.include_topic_authorized_operations = chance(20);
}

void Generator::describe_topic_partitions() {
  auto& step = add<kafka::DescribeTopicPartitionsRequest>();
  for (size_t i = pick<size_t>({1, 2, 3}); i > 0; --i) {
    const std::string name = topic_name(20);
    if (!name.empty()) step.message.topics.push_back({.name = step.keep(name)});
  }
  if (step.message.topics.empty()) {
    // Kafka then refuses all topics of the request.
    step.message.topics.push_back({.name = ""});
    step.traits.insert("empty topic name");
    return;
  }
  step.message.response_partition_limit = chance(60) ? 2000 : pick<int32_t>({1, 2, 0, -1, INT32_MAX});
  if (chance(30)) {
    auto& cursor = step.message.cursor.emplace();
    cursor.topic_name = step.keep(topic_name(15));
    cursor.partition_index = pick<int32_t>({0, 0, 1, 2, 7, -1});
  }
}

void Generator::describe_cluster() {
  auto& step = add<kafka::DescribeClusterRequest>();
  step.message.include_cluster_authorized_operations = chance(30);
  step.message.endpoint_type = chance(70) ? int8_t{1} : pick<int8_t>({0, 2, 3, -1});
  step.message.include_fenced_brokers = chance(50);
}

void Generator::api_versions() {
  auto& step = add<kafka::ApiVersionsRequest>();
  step.message.client_software_name = step.keep(pick<std::string>({"client", "a.b-c", "", "-client", "client ", "c"}));
  step.message.client_software_version = step.keep(pick<std::string>({"1.0", "1", "", "1.", "1 0"}));
}

void Generator::describe_configs() {
  auto& step = add<kafka::DescribeConfigsRequest>();
  for (size_t i = pick<size_t>({1, 1, 2}); i > 0; --i) {
    auto& asked = step.message.resources.emplace_back();
    asked.resource_type = chance(85) ? kafka::ConfigResourceType::kTopic : kafka::ConfigResourceType::kBroker;
    const bool broker = asked.resource_type == kafka::ConfigResourceType::kBroker;
    asked.resource_name = step.keep(broker ? pick<std::string>({"1", "7", "x"}) : topic_name(20));
    // All keys of a topic at the end of the sequence; of a broker never: half of Kafka's have no meaning here.
    auto& keys = asked.configuration_keys.emplace();
    for (size_t n = 1 + draw(3); n > 0; --n) {
      keys.push_back(step.keep(
          broker ? pick<std::string>({"num.partitions", "log.retention.ms", "message.max.bytes",
                                      "log.retention.minutes", "log.retention.hours", "log.roll.ms", "log.roll.hours",
                                      "broker.id", "node.id", "early.start.listeners", "log.flush.interval.ms",
                                      "max.connections.per.ip.overrides", "authorizer.class.name"})
                 : some_config().first));
    }
  }
  step.message.include_synonyms = chance(40);
  step.message.include_documentation = chance(20);
}

void Generator::alter_configs() {
  auto& step = add<kafka::AlterConfigsRequest>();
  step.message.validate_only = chance(25);
  for (size_t i = pick<size_t>({1, 1, 2}); i > 0; --i) {
    const std::string resource = topic_name(15);
    // Kafka does not answer when a resource is named twice.
    if (std::ranges::count(step.message.resources, resource, &kafka::AlterConfigsRequest::Resource::resource_name) > 0)
      break;
    auto& asked = step.message.resources.emplace_back();
    asked.resource_type = kafka::ConfigResourceType::kTopic;
    asked.resource_name = step.keep(resource);
    for (size_t n = draw(4); n > 0; --n) {
      const auto [name, value] = some_config();
      auto& config = asked.configs.emplace_back();
      config.name = step.keep(name);
      config.value.reset();
      if (value) config.value = step.keep(*value);
    }
  }
}

void Generator::incremental_alter_configs() {
  using Operation = kafka::IncrementalAlterConfigsRequest::Operation;
  auto& step = add<kafka::IncrementalAlterConfigsRequest>();
  step.message.validate_only = chance(25);
  for (size_t i = pick<size_t>({1, 1, 2}); i > 0; --i) {
    auto& asked = step.message.resources.emplace_back();
    asked.resource_type = chance(95) ? kafka::ConfigResourceType::kTopic : kafka::ConfigResourceType::kUnknown;
    asked.resource_name = step.keep(topic_name(15));
    for (size_t n = draw(4); n > 0; --n) {
      const auto [name, value] = some_config();
      auto& config = asked.configs.emplace_back();
      config.name = step.keep(name);
      config.config_operation = pick({Operation::kSet, Operation::kSet, Operation::kDelete, Operation::kAppend,
                                      Operation::kSubtract, static_cast<Operation>(9)});
      config.value.reset();
      if (value) config.value = step.keep(*value);
      if (config.config_operation <= Operation::kSubtract) continue;
      // Kafka then refuses all resources of the request, unless it finds something else first.
      const auto only = config;
      asked.configs = {only};
      const auto resource = asked;
      step.message.resources = {resource};
      step.traits = {"unknown operation"};
      return;
    }
  }
}

}  // namespace posthaste::differential
