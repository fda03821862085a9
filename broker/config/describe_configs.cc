#include "broker/config/describe_configs.h"

#include <fmt/format.h>

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

// Broker keys that hold the default of a topic key: the exact one first, then Kafka's coarser units of time.
std::vector<std::string_view> broker_keys_of(const TopicConfigDefinition& row) {
  if (row.broker_key.empty()) return {};
  if (row.name == "retention.ms") return {row.broker_key, "log.retention.minutes", "log.retention.hours"};
  if (row.name == "segment.ms") return {row.broker_key, "log.roll.hours"};
  if (row.name == "segment.jitter.ms") return {row.broker_key, "log.roll.jitter.hours"};
  return {row.broker_key};
}

// Each layer that sets one of these broker keys.
void add_layers(const ConfigLayers& layers, const std::vector<std::string_view>& names,
                std::vector<ConfigSynonym>& synonyms) {
  const std::array<std::pair<const ConfigMap*, ConfigSource>, 3> sources = {
      {{&layers.dynamic_broker, ConfigSource::kDynamicBroker},
       {&layers.dynamic_default, ConfigSource::kDynamicDefaultBroker},
       {&layers.given, ConfigSource::kStaticBroker}}};
  for (const auto& [map, source] : sources) {
    for (const std::string_view name : names) {
      const auto found = map->find(name);
      if (found != map->end()) synonyms.push_back({name, found->second, source});
    }
  }
}

// Text without a default is an empty text; a number without one has no value.
std::optional<std::string> default_value(const BrokerKey& key) {
  const bool is_list = key.type == KeyType::kList;
  if (key.default_value.empty() && !is_list) return std::nullopt;
  return std::string(key.default_value);
}

DescribedConfig describe_topic_key(const TopicConfigDefinition& row, const ConfigMap& own, const ConfigMap& defaults,
                                   const ConfigLayers& layers) {
  DescribedConfig config;
  config.name = row.name;
  config.wire_type = wire_type(row.type);
  config.documentation = row.documentation;
  const auto set = own.find(row.name);
  if (set != own.end()) {
    config.synonyms.push_back({row.name, shown_topic_config(row, set->second), ConfigSource::kTopic});
  }
  add_layers(layers, broker_keys_of(row), config.synonyms);
  // The default of a key that stands for a coarser unit of time is that unit's.
  const BrokerKey* broker_key = find_broker_key(row.broker_key);
  if (broker_key == nullptr || default_value(*broker_key)) {
    config.synonyms.push_back(
        {row.broker_key.empty() ? row.name : row.broker_key, std::string(row.default_value), ConfigSource::kDefault});
  }
  // Not simply the first synonym's: that may be in hours.
  config.value = shown_topic_config(row, set != own.end() ? set->second : defaults.at(std::string(row.name)));
  return config;
}

DescribedConfig describe_broker_key(const BrokerKey& key, const ConfigLayers& layers) {
  DescribedConfig config;
  config.name = key.name;
  config.wire_type = wire_type(key.type);
  config.read_only = !may_change_live(key.name);
  config.is_sensitive = key.type == KeyType::kPassword;
  config.documentation = broker_key_documentation(key.name);
  add_layers(layers, {key.name}, config.synonyms);
  if (auto value = default_value(key)) {
    config.synonyms.push_back({key.name, std::move(value), ConfigSource::kDefault});
  }
  if (config.is_sensitive) {
    for (ConfigSynonym& synonym : config.synonyms) synonym.value.reset();
  }
  if (!config.synonyms.empty()) config.value = config.synonyms.front().value;
  return config;
}

}  // namespace

std::vector<DescribedConfig> describe_topic_configs(const ConfigMap& own, const ConfigLayers& layers) {
  const ConfigMap defaults = topic_config_defaults(merged(layers));
  std::vector<DescribedConfig> configs;
  for (const TopicConfigDefinition& row : topic_config_definitions()) {
    configs.push_back(describe_topic_key(row, own, defaults, layers));
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
    std::erase_if(config.synonyms, [](const ConfigSynonym& synonym) {
      return synonym.source == ConfigSource::kDynamicBroker || synonym.source == ConfigSource::kStaticBroker;
    });
    config.value = config.synonyms.front().value;
  }
  return configs;
}

}  // namespace posthaste::broker
