#include "broker/config/describe_configs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "broker/config/broker_keys.h"

namespace posthaste::broker {
namespace {

// Kafka's numbers of types (DescribeConfigs, KIP-569).
int8_t wire_type(ConfigType type) {
  switch (type) {
    case ConfigType::kBoolean:
      return 1;
    case ConfigType::kString:
      return 2;
    case ConfigType::kInt:
      return 3;
    case ConfigType::kLong:
      return 5;
    case ConfigType::kDouble:
      return 6;
    case ConfigType::kList:
      return 7;
  }
  return 0;
}

int8_t wire_type(KeyType type) {
  switch (type) {
    case KeyType::kBoolean:
      return 1;
    case KeyType::kString:
      return 2;
    case KeyType::kInt:
      return 3;
    case KeyType::kShort:
      return 4;
    case KeyType::kLong:
      return 5;
    case KeyType::kDouble:
      return 6;
    case KeyType::kList:
      return 7;
    case KeyType::kClass:
      return 8;
    case KeyType::kPassword:
      return 9;
  }
  return 0;
}

// Keys that say the same in other units, the finest first; the first that is set counts.
constexpr auto kFamilies = std::to_array<std::array<std::string_view, 3>>({
    {"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
    {"log.roll.ms", "log.roll.hours", {}},
    {"log.roll.jitter.ms", "log.roll.jitter.hours", {}},
});

// All whose value could be that of `broker_key`. (That the flush scheduler's interval stands for log.flush.interval.ms
// is no way back: it has a meaning of its own.)
std::vector<std::string_view> synonyms_of(std::string_view broker_key) {
  if (broker_key == "log.flush.interval.ms") return {broker_key, "log.flush.scheduler.interval.ms"};
  for (const auto& family : kFamilies) {
    if (std::ranges::find(family, broker_key) == family.end()) continue;
    std::vector<std::string_view> names(family.begin(), family.end());
    std::erase(names, std::string_view());
    return names;
  }
  return {broker_key};
}

// Of texts and lists Kafka tells "none" from "empty". What it requires, and our folder knows, has no default either.
std::optional<std::string> default_value(const BrokerKey& key) {
  constexpr std::string_view kListsWithoutDefault[] = {"advertised.listeners", "early.start.listeners", "log.dirs"};
  constexpr std::string_view kEmptyTexts[] = {"authorizer.class.name", "max.connections.per.ip.overrides"};
  if (key.name == "node.id") return std::nullopt;
  if (!key.default_value.empty()) return std::string(key.default_value);
  const bool is_empty_text = key.type == KeyType::kList
                                 ? std::ranges::find(kListsWithoutDefault, key.name) == std::end(kListsWithoutDefault)
                                 : std::ranges::find(kEmptyTexts, key.name) != std::end(kEmptyTexts);
  return is_empty_text ? std::optional(std::string()) : std::nullopt;
}

// Every place that the value of this broker key could come from, the one that counts first: by layer, and in each layer
// by unit. What comes before the first that has the key's own name is not told, as in Kafka.
std::vector<ConfigSynonym> synonyms_of(std::string_view broker_key, const ConfigLayers& layers) {
  const std::array<std::pair<const ConfigMap*, ConfigSource>, 3> sources = {
      {{&layers.dynamic_broker, ConfigSource::kDynamicBroker},
       {&layers.dynamic_default, ConfigSource::kDynamicDefaultBroker},
       {&layers.given, ConfigSource::kStaticBroker}}};
  const std::vector<std::string_view> names = synonyms_of(broker_key);
  std::vector<ConfigSynonym> synonyms;
  for (const auto& [map, source] : sources) {
    for (const std::string_view name : names) {
      const auto found = map->find(name);
      if (found != map->end()) synonyms.push_back({name, found->second, source});
    }
  }
  for (const std::string_view name : names) {
    const BrokerKey* key = find_broker_key(name);
    if (key == nullptr) continue;
    if (auto value = default_value(*key)) synonyms.push_back({name, std::move(value), ConfigSource::kDefault});
  }
  synonyms.erase(synonyms.begin(), std::ranges::find(synonyms, broker_key, &ConfigSynonym::name));
  return synonyms;
}

// The value that a topic without its own lives by. More replicas than there are cannot be in sync: what counts then is
// all of them, and tools compare with what is shown.
std::string inherited_value(const TopicConfigDefinition& row, const ConfigMap& defaults, int32_t replicas) {
  std::string value = shown_topic_config(row, defaults.at(std::string(row.name)));
  if (row.name != "min.insync.replicas") return value;
  return std::to_string(std::min(typed_topic_config({}, defaults).min_insync_replicas, replicas));
}

DescribedConfig describe_topic_key(const TopicConfigDefinition& row, const ConfigMap& own, const ConfigMap& defaults,
                                   const ConfigLayers& layers, int32_t replicas) {
  DescribedConfig config;
  config.name = row.name;
  config.wire_type = wire_type(row.type);
  config.documentation = row.documentation;
  if (!row.broker_key.empty()) config.synonyms = synonyms_of(row.broker_key, layers);
  const auto set = own.find(row.name);
  if (set == own.end()) {
    // Not the first synonym's: that may be in hours.
    config.value = inherited_value(row, defaults, replicas);
    return config;
  }
  config.value = shown_topic_config(row, set->second);
  config.synonyms.insert(config.synonyms.begin(), {row.name, config.value, ConfigSource::kTopic});
  return config;
}

DescribedConfig describe_broker_key(const BrokerKey& key, const ConfigLayers& layers) {
  DescribedConfig config;
  config.name = key.name;
  config.wire_type = wire_type(key.type);
  config.read_only = !may_change_live(key.name);
  config.is_sensitive = key.type == KeyType::kPassword;
  config.documentation = broker_key_documentation(key.name);
  config.synonyms = synonyms_of(key.name, layers);
  if (config.is_sensitive) {
    for (ConfigSynonym& synonym : config.synonyms) synonym.value.reset();
  }
  if (!config.synonyms.empty()) config.value = config.synonyms.front().value;
  return config;
}

}  // namespace

std::vector<DescribedConfig> describe_topic_configs(const ConfigMap& own, const ConfigLayers& layers,
                                                    int32_t replicas) {
  const ConfigMap defaults = topic_config_defaults(merged(layers));
  std::vector<DescribedConfig> configs;
  for (const TopicConfigDefinition& row : topic_config_definitions()) {
    configs.push_back(describe_topic_key(row, own, defaults, layers, replicas));
  }
  return configs;
}

std::vector<DescribedConfig> describe_broker_configs(const ConfigLayers& layers) {
  std::vector<DescribedConfig> configs;
  for (const BrokerKey& key : broker_keys()) configs.push_back(describe_broker_key(key, layers));
  return configs;
}

std::vector<DescribedConfig> describe_broker_defaults(const ConfigLayers& layers) {
  std::vector<DescribedConfig> configs;
  for (const auto& [name, value] : layers.dynamic_default) {
    const BrokerKey* key = find_broker_key(name);
    if (key == nullptr) continue;
    DescribedConfig& config = configs.emplace_back(describe_broker_key(*key, layers));
    std::erase_if(config.synonyms,
                  [](const ConfigSynonym& synonym) { return synonym.source != ConfigSource::kDynamicDefaultBroker; });
    config.value = config.synonyms.front().value;
  }
  return configs;
}

}  // namespace posthaste::broker
