#include "replication/metadata/topic_controller.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "replication/metadata/refusal.h"
#include "replication/metadata/topic_name.h"

namespace posthaste::replication {
namespace {

using config::ConfigMap;
using config::describe_topic_configs;
using config::topic_config_conflict;
using config::topic_config_problem;
using net::kafka::ErrorCode;

using Placement = std::vector<std::vector<int32_t>>;  // replicas by partition

// What one request has decided so far, on top of the image.
struct Deciding {
  const MetadataImage& image;
  const TopicRules& rules;
  const std::vector<int32_t> brokers;         // unfenced
  std::set<std::string, std::less<>> names;   // created by this request
  std::map<std::string, std::string> by_key;  // collision key -> name, of those
  std::set<Uuid> ids;
  int64_t partitions = 0;  // created by this request
};

// Whether the name of some topic begins like this.
bool begins_a_name(const MetadataImage& image, std::string_view beginning) {
  bool found = false;
  image.topics().visit_from(beginning, [&](const TopicImage& topic) {
    found = topic.name.starts_with(beginning);
    return false;
  });
  return found;
}

// The topic whose name differs from `name` in '.' and '_' only, or null. It goes along `name` and keeps the beginnings
// that names have which could still be such a one: as a rule one or two, since two topics never collide.
const TopicImage* colliding_topic(const MetadataImage& image, std::string_view name) {
  std::vector<std::string> beginnings{""};
  for (size_t at = 0; !beginnings.empty();) {
    const size_t end = std::min(name.find_first_of("._", at), name.size());
    for (std::string& beginning : beginnings) beginning += name.substr(at, end - at);
    if (end == name.size()) break;
    std::vector<std::string> longer;
    for (const std::string& beginning : beginnings) {
      for (const char either : {'.', '_'}) {
        if (begins_a_name(image, beginning + either)) longer.push_back(beginning + either);
      }
    }
    beginnings = std::move(longer);
    at = end + 1;
  }
  for (const std::string& other : beginnings) {
    if (const TopicImage* topic = image.topic(other); topic != nullptr && other != name) return topic;
  }
  return nullptr;
}

std::optional<Refusal> check_name(const Deciding& deciding, const std::string& name) {
  if (name == kClusterMetadataTopic) {
    return refuse(ErrorCode::kInvalidRequest, "Topic {} is the broker's own and cannot be created", name);
  }
  if (auto problem = topic_name_problem(name)) return Refusal{ErrorCode::kInvalidTopicException, std::move(*problem)};
  if (deciding.image.topic(name) != nullptr) {
    return refuse(ErrorCode::kTopicAlreadyExists, "Topic '{}' already exists", name);
  }
  const auto in_request = deciding.by_key.find(collision_key(name));
  const TopicImage* topic = colliding_topic(deciding.image, name);
  if (topic == nullptr && in_request == deciding.by_key.end()) return std::nullopt;
  return refuse(ErrorCode::kInvalidTopicException,
                "Topic '{}' collides with topic '{}': they differ only in '.' and '_'", name,
                topic != nullptr ? topic->name : in_request->second);
}

std::optional<Refusal> check_configs(const CreateTopic& topic, const ConfigMap& defaults, ConfigMap& configs) {
  // Of a key that is named twice the last value counts, and the others may be anything, as in Kafka.
  std::map<std::string_view, const std::optional<std::string>*> last;
  for (const CreateTopic::Config& config : topic.configs) last[config.name] = &config.value;
  for (const auto& [name, value] : last) {
    if (!*value) return refuse(ErrorCode::kInvalidConfig, "Topic config {} has no value", name);
    if (auto problem = topic_config_problem(name, **value)) {
      return Refusal{ErrorCode::kInvalidConfig, std::move(*problem)};
    }
    configs.insert_or_assign(std::string(name), **value);
  }
  ConfigMap effective = defaults;
  for (const auto& [name, value] : configs) effective.insert_or_assign(name, value);
  if (auto conflict = topic_config_conflict(effective)) return Refusal{ErrorCode::kInvalidConfig, std::move(*conflict)};
  return std::nullopt;
}

std::optional<Refusal> place_by_hand(const Deciding& deciding, const CreateTopic& topic, Placement& placement) {
  if (topic.replication_factor != -1 || topic.num_partitions != -1) {
    return refuse(ErrorCode::kInvalidRequest,
                  "With a manual assignment the number of partitions and the replication factor must be -1");
  }
  placement.resize(topic.assignments.size());
  for (const CreateTopic::Assignment& assignment : topic.assignments) {
    const int64_t index = assignment.partition_index;
    if (index < 0 || static_cast<size_t>(index) >= placement.size()) {
      return refuse(ErrorCode::kInvalidReplicaAssignment, "Partitions must be numbered from 0 without a gap, {} is not",
                    index);
    }
    if (!placement[static_cast<size_t>(index)].empty()) {
      return refuse(ErrorCode::kInvalidReplicaAssignment, "Partition {} is assigned twice", index);
    }
    if (assignment.broker_ids.empty()) {
      return refuse(ErrorCode::kInvalidReplicaAssignment, "Partition {} is assigned to no broker", index);
    }
    std::set<int32_t> seen;
    for (const int32_t broker : assignment.broker_ids) {
      if (!seen.insert(broker).second) {
        return refuse(ErrorCode::kInvalidReplicaAssignment, "Partition {} names broker {} twice", index, broker);
      }
      if (!deciding.image.brokers().contains(broker)) {
        return refuse(ErrorCode::kInvalidReplicaAssignment, "Partition {} names broker {}, which is not registered",
                      index, broker);
      }
    }
    if (assignment.broker_ids.size() != topic.assignments.front().broker_ids.size()) {
      return refuse(ErrorCode::kInvalidReplicaAssignment,
                    "Partition {} has {} replicas, partition {} has {}: all must have the same", index,
                    assignment.broker_ids.size(), topic.assignments.front().partition_index,
                    topic.assignments.front().broker_ids.size());
    }
    const bool any_active = std::ranges::any_of(
        assignment.broker_ids, [&](int32_t broker) { return std::ranges::binary_search(deciding.brokers, broker); });
    if (!any_active) {
      return refuse(ErrorCode::kInvalidReplicaAssignment, "All brokers of partition {} are fenced", index);
    }
    placement[static_cast<size_t>(index)] = assignment.broker_ids;
  }
  return std::nullopt;
}

std::optional<Refusal> place_in_turn(const Deciding& deciding, const CreateTopic& topic, Placement& placement) {
  if (topic.replication_factor < -1 || topic.replication_factor == 0) {
    return refuse(ErrorCode::kInvalidReplicationFactor, "Replication factor {}: must be above 0, or -1 for the default",
                  topic.replication_factor);
  }
  if (topic.num_partitions < -1 || topic.num_partitions == 0) {
    return refuse(ErrorCode::kInvalidPartitions, "{} partitions: must be above 0, or -1 for the default",
                  topic.num_partitions);
  }
  const int32_t partitions = topic.num_partitions == -1 ? deciding.rules.num_partitions : topic.num_partitions;
  const int16_t factor =
      topic.replication_factor == -1 ? deciding.rules.default_replication_factor : topic.replication_factor;
  if (static_cast<size_t>(factor) > deciding.brokers.size()) {
    return refuse(ErrorCode::kInvalidReplicationFactor, "Replication factor {}: only {} broker(s) are available",
                  factor, deciding.brokers.size());
  }
  if (partitions > deciding.rules.max_partitions_per_request) {
    return refuse(ErrorCode::kPolicyViolation, "{} partitions: at most {} in one request", partitions,
                  deciding.rules.max_partitions_per_request);
  }
  // Each topic starts one broker further, so that many small topics spread too.
  const size_t start = deciding.image.topics().size() + deciding.names.size();
  for (int32_t p = 0; p < partitions; ++p) {
    std::vector<int32_t>& replicas = placement.emplace_back();
    for (int16_t r = 0; r < factor; ++r) {
      const size_t at = start + static_cast<size_t>(p) + static_cast<size_t>(r);
      replicas.push_back(deciding.brokers[at % deciding.brokers.size()]);
    }
  }
  return std::nullopt;
}

std::optional<Refusal> check_room(const Deciding& deciding, size_t partitions) {
  const int64_t in_request = deciding.partitions + static_cast<int64_t>(partitions);
  if (in_request > deciding.rules.max_partitions_per_request) {
    return refuse(ErrorCode::kPolicyViolation, "{} partitions: at most {} in one request", in_request,
                  deciding.rules.max_partitions_per_request);
  }
  if (deciding.image.partition_count() + static_cast<size_t>(in_request) > deciding.rules.max_partitions) {
    return refuse(ErrorCode::kPolicyViolation, "No room for {} more partitions: {} of at most {} exist", partitions,
                  deciding.image.partition_count(), deciding.rules.max_partitions);
  }
  return std::nullopt;
}

Uuid fresh_id(const Deciding& deciding, std::array<uint8_t, 16> random) {
  Uuid id = make_topic_id(random);
  while (deciding.image.topic(id) != nullptr || deciding.ids.contains(id)) {
    ++random[15];
    if (random[15] == 0) ++random[14];
    id = make_topic_id(random);
  }
  return id;
}

void append_records(std::vector<MetadataRecord>& records, const Deciding& deciding, const std::string& name,
                    const Uuid& id, const Placement& placement, const ConfigMap& configs) {
  records.emplace_back(TopicRecord{name, id});
  for (size_t p = 0; p < placement.size(); ++p) {
    PartitionRecord record;
    record.partition_id = static_cast<int32_t>(p);
    record.topic_id = id;
    record.replicas = placement[p];
    std::ranges::copy_if(placement[p], std::back_inserter(record.isr),
                         [&](int32_t broker) { return std::ranges::binary_search(deciding.brokers, broker); });
    record.leader = record.isr.front();
    record.leader_epoch = 0;
    record.partition_epoch = 0;
    records.emplace_back(std::move(record));
  }
  for (const auto& [key, value] : configs) records.emplace_back(ConfigRecord{kTopicResource, name, key, value});
}

std::optional<Refusal> create_one(Deciding& deciding, const CreateTopic& topic, bool validate_only,
                                  CreateTopicResult& result, std::vector<MetadataRecord>& records) {
  if (auto refusal = check_name(deciding, topic.name)) return refusal;
  ConfigMap configs;
  if (auto refusal = check_configs(topic, deciding.rules.defaults, configs)) return refusal;
  Placement placement;
  auto refusal =
      topic.assignments.empty() ? place_in_turn(deciding, topic, placement) : place_by_hand(deciding, topic, placement);
  if (refusal) return refusal;
  refusal = check_room(deciding, placement.size());
  if (refusal) return refusal;
  result.num_partitions = static_cast<int32_t>(placement.size());
  result.replication_factor = static_cast<int16_t>(placement.front().size());
  result.configs = describe_topic_configs(configs, deciding.rules.layers, result.replication_factor);
  deciding.names.insert(topic.name);
  deciding.by_key.emplace(collision_key(topic.name), topic.name);
  deciding.partitions += static_cast<int64_t>(placement.size());
  if (validate_only) return std::nullopt;
  result.topic_id = fresh_id(deciding, topic.random_id);
  deciding.ids.insert(result.topic_id);
  append_records(records, deciding, topic.name, result.topic_id, placement, configs);
  return std::nullopt;
}

std::optional<Refusal> delete_one(const TopicRules& rules, const TopicImage* topic, const DeleteTopic& asked) {
  if (asked.name && !asked.topic_id.is_zero()) {
    return refuse(ErrorCode::kInvalidRequest, "A topic is named by its name or by its id, not by both");
  }
  if (!asked.name && asked.topic_id.is_zero()) {
    return refuse(ErrorCode::kInvalidRequest, "Neither a topic name nor a topic id is given");
  }
  if (!rules.delete_topic_enable) {
    return refuse(ErrorCode::kTopicDeletionDisabled, "Topics cannot be deleted: delete.topic.enable is false");
  }
  if (topic == nullptr) {
    return asked.name ? refuse(ErrorCode::kUnknownTopicOrPartition, "There is no topic '{}'", *asked.name)
                      : refuse(ErrorCode::kUnknownTopicId, "There is no topic with id {}", to_string(asked.topic_id));
  }
  // Ours: Kafka would delete all committed offsets of all groups on this request.
  if (is_internal_topic(topic->name)) {
    return refuse(ErrorCode::kInvalidRequest, "Topic {} is the broker's own and cannot be deleted", topic->name);
  }
  return std::nullopt;
}

}  // namespace

CreateTopicsOutcome create_topics(const MetadataImage& image, const TopicRules& rules,
                                  const CreateTopicsRequest& request) {
  Deciding deciding{image, rules, image.active_brokers(), {}, {}, {}, 0};
  std::map<std::string_view, size_t> times;
  for (const CreateTopic& topic : request.topics) ++times[topic.name];

  CreateTopicsOutcome outcome;
  for (const CreateTopic& topic : request.topics) {
    size_t& count = times[topic.name];
    if (count == 0) continue;  // the second of two: answered already
    CreateTopicResult result;
    result.name = topic.name;
    std::optional<Refusal> refusal;
    if (count > 1) {
      refusal = refuse(ErrorCode::kInvalidRequest, "Topic '{}' is in this request {} times", topic.name, count);
      count = 0;
    } else {
      refusal = create_one(deciding, topic, request.validate_only, result, outcome.records);
    }
    if (refusal) {
      result.error = refusal->error;
      result.message = std::move(refusal->message);
    }
    outcome.results.push_back(std::move(result));
  }
  return outcome;
}

DeleteTopicsOutcome delete_topics(const MetadataImage& image, const TopicRules& rules,
                                  const std::vector<DeleteTopic>& topics) {
  const auto find = [&](const DeleteTopic& asked) {
    return asked.name ? image.topic(*asked.name) : image.topic(asked.topic_id);
  };
  // A topic that is there may be named by its name and by its id.
  const auto key_of = [&](const DeleteTopic& asked) {
    const TopicImage* topic = find(asked);
    if (topic != nullptr) return std::pair(topic->name, Uuid{});
    return std::pair(asked.name.value_or(""), asked.name ? Uuid{} : asked.topic_id);
  };
  std::map<std::pair<std::string, Uuid>, size_t> times;
  std::map<std::pair<std::optional<std::string>, Uuid>, size_t> literally;
  for (const DeleteTopic& asked : topics) {
    ++times[key_of(asked)];
    ++literally[{asked.name, asked.topic_id}];
  }
  DeleteTopicsOutcome outcome;
  for (const DeleteTopic& asked : topics) {
    const TopicImage* topic = find(asked);
    DeleteTopicResult result;
    // What was named twice in the same way is answered in that way, before it is looked up.
    const bool is_found = topic != nullptr && literally[{asked.name, asked.topic_id}] == 1;
    result.name = is_found ? std::optional(topic->name) : asked.name;
    result.topic_id = is_found ? topic->id : asked.topic_id;
    std::optional<Refusal> refusal;
    if (size_t& count = times[key_of(asked)]; count != 1) {
      if (count == 0) continue;  // the second of two: answered already
      refusal =
          refuse(ErrorCode::kInvalidRequest, "Topic '{}' is in this request {} times", result.name.value_or(""), count);
      count = 0;
    } else {
      refusal = delete_one(rules, topic, asked);
    }
    if (refusal) {
      result.error = refusal->error;
      result.message = std::move(refusal->message);
    } else {
      outcome.records.emplace_back(RemoveTopicRecord{topic->id});
      outcome.deleted.push_back(topic->name);
    }
    outcome.results.push_back(std::move(result));
  }
  return outcome;
}

CreateTopic consumer_offsets_topic(int32_t partitions, int16_t replication_factor, int32_t segment_bytes,
                                   std::array<uint8_t, 16> random_id) {
  CreateTopic topic;
  topic.name = kConsumerOffsetsTopic;
  topic.num_partitions = partitions;
  topic.replication_factor = replication_factor;
  topic.configs = {{"cleanup.policy", "compact"},
                   {"compression.type", "producer"},
                   {"segment.bytes", fmt::format("{}", segment_bytes)}};
  topic.random_id = random_id;
  return topic;
}

}  // namespace posthaste::replication
