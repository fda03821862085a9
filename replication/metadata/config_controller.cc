#include "replication/metadata/config_controller.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "config/connection_limits.h"
#include "replication/metadata/partition_transition.h"
#include "replication/metadata/refusal.h"
#include "replication/metadata/topic_name.h"
#include "replication/planted_bugs.h"

namespace posthaste::replication {
namespace {

using config::ConfigLayers;
using config::ConfigMap;
using config::connection_limit_conflict;
using config::dynamic_config_problem;
using config::find_topic_key;
using config::KeyType;
using config::topic_config_conflict;
using config::topic_config_defaults;
using config::topic_config_problem;
using config::topic_key_of;
using config::TopicKey;
using net::kafka::ConfigResourceType;
using net::kafka::ErrorCode;
using reactor::planted;
using Operation = ConfigChange::Operation;

// One resource while its changes are worked out.
struct Altering {
  bool is_topic = false;
  bool missing = false;  // there is no such topic
  ConfigMap before;      // its own settings
  ConfigMap after;
  ConfigMap inherited;  // what holds where it has none, by the same keys
};

// What stands between the commas: of the empty list one element, which is empty.
std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  for (;;) {
    const size_t comma = list.find(',');
    std::string_view part = list.substr(0, comma);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    parts.emplace_back(part);
    if (comma == std::string_view::npos) return parts;
    list.remove_prefix(comma + 1);
  }
}

std::vector<std::string> elements(std::string_view list) {
  std::vector<std::string> parts = split(list);
  std::erase(parts, "");
  return parts;
}

const TopicKey* definition_of(const Altering& altering, std::string_view name) {
  return altering.is_topic ? find_topic_key(name) : topic_key_of(name);
}

// kAppend, kSubtract: works on the value in force, which may be an inherited one.
std::optional<Refusal> change_list(Altering& altering, const ConfigChange& change) {
  const TopicKey* definition = definition_of(altering, change.name);
  const bool appends = change.operation == Operation::kAppend;
  if (definition == nullptr || definition->type != KeyType::kList) {
    return refuse(ErrorCode::kInvalidConfig, "Can't {} to key {} because its type is not LIST",
                  appends ? "APPEND" : "SUBTRACT", change.name);
  }
  const auto own = altering.after.find(change.name);
  const auto inherited = altering.inherited.find(change.name);
  std::vector<std::string> values;
  if (own != altering.after.end()) {
    values = elements(own->second);
  } else if (inherited != altering.inherited.end()) {
    values = elements(inherited->second);
  }
  // An empty element that is appended makes the list invalid, as in Kafka.
  for (const std::string& element : split(*change.value)) {
    const auto found = std::ranges::find(values, element);
    if (appends && found == values.end()) values.push_back(element);
    if (!appends && found != values.end()) values.erase(found);
  }
  altering.after.insert_or_assign(change.name, fmt::format("{}", fmt::join(values, ",")));
  return std::nullopt;
}

std::optional<Refusal> apply_change(Altering& altering, const ConfigChange& change) {
  switch (change.operation) {
    case Operation::kSet:
      altering.after.insert_or_assign(change.name, *change.value);
      return std::nullopt;
    case Operation::kDelete:
      altering.after.erase(change.name);
      return std::nullopt;
    case Operation::kAppend:
    case Operation::kSubtract:
      return change_list(altering, change);
  }
  return std::nullopt;  // check_form() knows no other
}

// Each value that is new, then all of them together.
std::optional<Refusal> check_values(const Altering& altering) {
  const ErrorCode error = altering.is_topic ? ErrorCode::kInvalidConfig : ErrorCode::kInvalidRequest;
  for (const auto& [name, value] : altering.after) {
    const auto before = altering.before.find(name);
    if (before != altering.before.end() && before->second == value) continue;
    auto problem = altering.is_topic ? topic_config_problem(name, value) : dynamic_config_problem(name, value);
    if (problem) return Refusal{error, std::move(*problem)};
  }
  ConfigMap effective = altering.after;
  effective.insert(altering.inherited.begin(), altering.inherited.end());
  auto conflict = topic_config_conflict(altering.is_topic ? effective : topic_config_defaults(effective));
  if (!conflict && !altering.is_topic) conflict = connection_limit_conflict(effective);
  if (conflict) return Refusal{error, std::move(*conflict)};
  return std::nullopt;
}

// What can be told without knowing the resource.
std::optional<Refusal> check_form(const AlterConfigResource& resource) {
  std::set<std::string_view> names;
  for (const ConfigChange& change : resource.changes) {
    if (!names.insert(change.name).second) {
      return refuse(ErrorCode::kInvalidRequest, "Config key {} is named twice", change.name);
    }
    if (change.operation != Operation::kDelete && !change.value) {
      return refuse(ErrorCode::kInvalidRequest, "Null value not supported for {}", change.name);
    }
    if (change.operation < Operation::kSet || change.operation > Operation::kSubtract) {
      return refuse(ErrorCode::kInvalidRequest, "Unknown operation {} on {}", static_cast<int>(change.operation),
                    change.name);
    }
  }
  return std::nullopt;
}

std::optional<Refusal> check_topic_name(std::string_view name) {
  if (name.empty()) return refuse(ErrorCode::kInvalidRequest, "Default topic resources are not allowed");
  if (auto problem = topic_name_problem(name)) return Refusal{ErrorCode::kInvalidTopicException, std::move(*problem)};
  return std::nullopt;
}

void append_records(const Altering& altering, const AlterConfigResource& resource,
                    std::vector<MetadataRecord>& records) {
  const auto type = static_cast<int8_t>(resource.type);
  for (const auto& [name, value] : altering.after) {
    const auto before = altering.before.find(name);
    if (before != altering.before.end() && before->second == value) continue;
    records.emplace_back(ConfigRecord{type, resource.name, name, value});
  }
  for (const auto& [name, value] : altering.before) {
    if (!altering.after.contains(name)) records.emplace_back(ConfigRecord{type, resource.name, name, std::nullopt});
  }
}

// Partitions may commit with fewer replicas than before, or need more: those who left an ISR do not hold, or cannot be
// shown to hold, what was committed. In one batch with the setting, so that no leader acts on one without the other.
void clear_elr(const MetadataImage& image, const Altering& altering, const AlterConfigResource& resource,
               std::vector<MetadataRecord>& records) {
  if (image.partitions_with_elr() == 0 || planted(kBugs["elr-kept-when-min-isr-falls"])) return;
  if (!altering.is_topic) {
    const auto before = altering.before.find(kMinIsrKey);
    const auto after = altering.after.find(kMinIsrKey);
    const bool differs = (before == altering.before.end()) != (after == altering.after.end()) ||
                         (after != altering.after.end() && before->second != after->second);
    if (differs) records.emplace_back(ClearElrRecord{});
    return;
  }
  const auto is_concerned = [&](const PartitionImage& partition) {
    const size_t replicas = counted_replicas(partition);
    return !partition.unsettled.elr().empty() && effective_min_isr(altering.before, altering.inherited, replicas) !=
                                                     effective_min_isr(altering.after, altering.inherited, replicas);
  };
  if (std::ranges::any_of(image.topic(resource.name)->partitions, is_concerned)) {
    records.emplace_back(ClearElrRecord{resource.name});
  }
}

std::optional<Refusal> find_broker(const MetadataImage& image, const TopicRules& rules, int32_t node_id,
                                   const AlterConfigResource& resource, Altering& altering) {
  if (!resource.name.empty() && resource.name != std::to_string(node_id)) {
    return refuse(ErrorCode::kInvalidRequest, "Unexpected broker id, expected {} or an empty name, but received {}",
                  node_id, resource.name);
  }
  ConfigLayers layers = rules.layers;
  altering.before = image.broker_configs(resource.name);
  if (resource.name.empty()) layers.dynamic_default.clear();
  layers.dynamic_broker.clear();
  altering.inherited = merged(layers);
  return std::nullopt;
}

void find_topic(const MetadataImage& image, const TopicRules& rules, const AlterConfigResource& resource,
                Altering& altering) {
  altering.is_topic = true;
  if (const TopicImage* topic = image.topic(resource.name)) {
    altering.before = topic->configs();
  } else {
    altering.missing = true;
  }
  altering.inherited = rules.defaults;
}

std::optional<Refusal> find_resource(const MetadataImage& image, const TopicRules& rules, int32_t node_id,
                                     const AlterConfigResource& resource, Altering& altering) {
  if (resource.type == ConfigResourceType::kTopic) {
    find_topic(image, rules, resource, altering);
    return std::nullopt;
  }
  if (resource.type == ConfigResourceType::kBroker) return find_broker(image, rules, node_id, resource, altering);
  return refuse(ErrorCode::kInvalidRequest, "Configs of resource type {} cannot be altered: there are none here",
                static_cast<int>(resource.type));
}

std::optional<Refusal> alter_one(const MetadataImage& image, const TopicRules& rules, int32_t node_id,
                                 const AlterConfigsRequest& request, const AlterConfigResource& resource,
                                 AlterConfigsOutcome& outcome) {
  Altering altering;
  if (auto refusal = check_form(resource)) return refusal;
  if (auto refusal = find_resource(image, rules, node_id, resource, altering)) return refusal;
  if (!request.replace_all) altering.after = altering.before;
  for (const ConfigChange& change : resource.changes) {
    if (auto refusal = apply_change(altering, change)) return refusal;
  }
  if (auto refusal = altering.is_topic ? check_topic_name(resource.name) : std::nullopt) return refusal;
  if (auto refusal = check_values(altering)) return refusal;
  if (altering.missing) {  // said when nothing else is wrong, as in Kafka
    return refuse(ErrorCode::kUnknownTopicOrPartition, "The topic '{}' does not exist", resource.name);
  }
  if (request.validate_only) return std::nullopt;
  const size_t records = outcome.records.size();
  append_records(altering, resource, outcome.records);
  clear_elr(image, altering, resource, outcome.records);
  if (outcome.records.size() == records) return std::nullopt;  // it was so already
  if (altering.is_topic) {
    outcome.topics.push_back(image.topic(resource.name)->id);
  } else {
    outcome.brokers = true;
  }
  return std::nullopt;
}

}  // namespace

ConfigLayers config_layers(const MetadataImage& image, int32_t node_id, const ConfigMap& given) {
  return {.dynamic_broker = image.broker_configs(std::to_string(node_id)),
          .dynamic_default = image.broker_configs(""),
          .given = given};
}

void ConfigChanges::note_next(const MetadataImage& /*image*/) {
  const AlterConfigResource& resource = request_.resources.at(noted_++);
  ++times_[{resource.type, resource.name}];
}

void ConfigChanges::decide_next(const MetadataImage& image, const TopicRules& rules, AlterConfigsOutcome& outcome) {
  CHECK(all_noted() && !all_decided(), "{} of {} resources are decided about", decided_, noted_);
  const AlterConfigResource& resource = request_.resources[decided_++];
  const size_t count = times_[{resource.type, resource.name}];
  std::optional<Refusal> refusal;
  if (count > 1) {  // each of them is answered
    refusal = refuse(ErrorCode::kInvalidRequest, "Resource '{}' is in this request {} times", resource.name, count);
  } else {
    refusal = alter_one(image, rules, node_id_, request_, resource, outcome);
  }
  AlterConfigResult& result = outcome.results.emplace_back(AlterConfigResult{resource.type, resource.name});
  if (refusal) refusal->into(result);
}

}  // namespace posthaste::replication
