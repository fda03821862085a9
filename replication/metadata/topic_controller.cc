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

// What a topic is decided on.
struct Deciding {
  const MetadataImage& image;
  const TopicRules& rules;
  const ReplicaPlacer& placer;
  TopicCreation::SoFar& so_far;
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
  const auto in_request = deciding.so_far.by_key.find(collision_key(name));
  const TopicImage* topic = colliding_topic(deciding.image, name);
  if (topic == nullptr && in_request == deciding.so_far.by_key.end()) return std::nullopt;
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
    const bool any_active =
        std::ranges::any_of(assignment.broker_ids, [&](int32_t broker) { return deciding.image.is_active(broker); });
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
  if (auto refusal = deciding.placer.check(static_cast<size_t>(factor))) return refusal;
  if (partitions > deciding.rules.max_partitions_per_request) {
    return refuse(ErrorCode::kPolicyViolation, "{} partitions: at most {} in one request", partitions,
                  deciding.rules.max_partitions_per_request);
  }
  // Each topic starts one broker further, so that many small topics spread too.
  const size_t start = deciding.image.topics().size() + deciding.so_far.topics_ahead;
  for (int32_t p = 0; p < partitions; ++p) {
    placement.push_back(deciding.placer.place(start + static_cast<size_t>(p), static_cast<size_t>(factor)));
  }
  return std::nullopt;
}

std::optional<Refusal> check_room(const Deciding& deciding, size_t partitions) {
  const int64_t in_request = deciding.so_far.partitions + static_cast<int64_t>(partitions);
  if (in_request > deciding.rules.max_partitions_per_request) {
    return refuse(ErrorCode::kPolicyViolation, "{} partitions: at most {} in one request", in_request,
                  deciding.rules.max_partitions_per_request);
  }
  const size_t there = deciding.image.partition_count();
  if (there + static_cast<size_t>(deciding.so_far.partitions_ahead) + partitions > deciding.rules.max_partitions) {
    return refuse(ErrorCode::kPolicyViolation, "No room for {} more partitions: {} of at most {} exist", partitions,
                  there, deciding.rules.max_partitions);
  }
  return std::nullopt;
}

Uuid fresh_id(const Deciding& deciding, std::array<uint8_t, 16> random) {
  Uuid id = make_topic_id(random);
  while (deciding.image.topic(id) != nullptr || deciding.so_far.ids.contains(id)) {
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
                         [&](int32_t broker) { return deciding.image.is_active(broker); });
    record.leader = record.isr.front();
    record.leader_epoch = 0;
    record.partition_epoch = 0;
    records.emplace_back(std::move(record));
  }
  for (const auto& [key, value] : configs) records.emplace_back(ConfigRecord{kTopicResource, name, key, value});
}

void count_in(TopicCreation::SoFar& so_far, const std::string& name, size_t partitions) {
  so_far.names.insert(name);
  so_far.by_key.emplace(collision_key(name), name);
  ++so_far.topics_ahead;
  so_far.partitions += static_cast<int64_t>(partitions);
  so_far.partitions_ahead += static_cast<int64_t>(partitions);
}

std::optional<Refusal> create_one(Deciding& deciding, const CreateTopicsRequest& request, const CreateTopic& topic,
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
  if (request.with_configs) {
    result.configs = describe_topic_configs(configs, deciding.rules.layers, result.replication_factor);
  }
  count_in(deciding.so_far, topic.name, placement.size());
  if (request.validate_only) return std::nullopt;
  result.topic_id = fresh_id(deciding, topic.random_id);
  deciding.so_far.ids.insert(result.topic_id);
  append_records(records, deciding, topic.name, result.topic_id, placement, configs);
  return std::nullopt;
}

std::optional<Refusal> check_deletion(const TopicRules& rules, const TopicImage* topic, const DeleteTopic& asked) {
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

bool is_named_in_one_way(const DeleteTopic& asked) { return asked.name.has_value() == asked.topic_id.is_zero(); }

// By name or by id; null: there is none.
const TopicImage* find(const MetadataImage& image, const DeleteTopic& asked) {
  return asked.name ? image.topic(*asked.name) : image.topic(asked.topic_id);
}

std::optional<Refusal> delete_one(const MetadataImage& image, const TopicRules& rules, const DeleteTopic& asked,
                                  std::set<Uuid>& removed, DeleteTopicResult& result, DeleteTopicsOutcome& outcome) {
  const TopicImage* topic = find(image, asked);
  if (topic != nullptr && removed.contains(topic->id)) topic = nullptr;
  if (topic != nullptr && is_named_in_one_way(asked)) {
    result.name = topic->name;
    result.topic_id = topic->id;
  }
  if (auto refusal = check_deletion(rules, topic, asked)) return refusal;
  outcome.records.emplace_back(RemoveTopicRecord{topic->id});
  outcome.deleted.push_back(topic->name);
  removed.insert(topic->id);
  return std::nullopt;
}

std::optional<Refusal> refuse_repeated(const DeleteTopic& asked, const TopicDeletion::Mention& mention) {
  if (mention.times > 1) {
    return refuse(ErrorCode::kInvalidRequest, "Topic {} is in this request {} times",
                  asked.name ? *asked.name : to_string(asked.topic_id), mention.times);
  }
  if (!asked.name || mention.other == nullptr || mention.other->times == 0) return std::nullopt;
  return refuse(ErrorCode::kInvalidRequest, "Topic '{}' is in this request by its id too", *asked.name);
}

bool is_answered_by_name(const DeleteTopic& asked, const TopicDeletion::Mention& mention) {
  return !asked.name && mention.times == 1 && mention.other != nullptr && mention.other->times == 1;
}

}  // namespace

void TopicCreation::note_next(const MetadataImage& /*image*/) { ++times_[request_.topics.at(noted_++).name]; }

void TopicCreation::begin_piece(const MetadataImage& image) {
  placer_ = ReplicaPlacer(image);
  if (request_.validate_only) return;
  so_far_.topics_ahead = 0;
  so_far_.partitions_ahead = 0;
}

void TopicCreation::decide_next(const MetadataImage& image, const TopicRules& rules, CreateTopicsOutcome& outcome) {
  CHECK(all_noted() && !all_decided(), "{} of {} topics are decided about", decided_, noted_);
  const CreateTopic& topic = request_.topics[decided_++];
  size_t& count = times_[topic.name];
  if (count == 0) return;  // the second of two: answered already
  CreateTopicResult result;
  result.name = topic.name;
  std::optional<Refusal> refusal;
  if (count > 1) {
    refusal = refuse(ErrorCode::kInvalidRequest, "Topic '{}' is in this request {} times", topic.name, count);
    count = 0;
  } else {
    Deciding deciding{image, rules, placer_, so_far_};
    refusal = create_one(deciding, request_, topic, result, outcome.records);
  }
  if (refusal) refusal->into(result);
  outcome.results.push_back(std::move(result));
}

void TopicDeletion::note_next(const MetadataImage& image) {
  const DeleteTopic& asked = topics_.at(noted_++);
  if (!is_named_in_one_way(asked)) return;
  if (!asked.name) {
    ++ids_[asked.topic_id].times;
    return;
  }
  Mention& by_name = names_[*asked.name];
  ++by_name.times;
  const TopicImage* topic = image.topic(*asked.name);
  if (topic == nullptr) return;
  Mention& by_id = ids_[topic->id];
  by_name.topic_id = topic->id;
  by_name.other = &by_id;
  by_id.other = &by_name;
}

void TopicDeletion::decide_next(const MetadataImage& image, const TopicRules& rules, DeleteTopicsOutcome& outcome) {
  CHECK(all_noted() && !all_decided(), "{} of {} topics are decided about", decided_, noted_);
  const DeleteTopic& asked = topics_[decided_++];
  DeleteTopicResult result{.name = asked.name, .topic_id = asked.topic_id};
  std::optional<Refusal> refusal;
  if (is_named_in_one_way(asked)) {
    Mention& mention = asked.name ? names_.at(*asked.name) : ids_.at(asked.topic_id);
    if (mention.is_answered || is_answered_by_name(asked, mention)) return;
    mention.is_answered = true;
    refusal = refuse_repeated(asked, mention);
    if (refusal && mention.times == 1) result.topic_id = mention.topic_id;
  }
  if (!refusal) refusal = delete_one(image, rules, asked, removed_, result, outcome);
  if (refusal) refusal->into(result);
  outcome.results.push_back(std::move(result));
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
