#include "config/describe_configs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "config/broker_keys.h"

namespace posthaste::config {
namespace {

// Kafka's numbers of types (DescribeConfigs, KIP-569).
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

// All keys whose value could be that of the key, the finest unit first. (The flush scheduler's interval is the default
// of log.flush.interval.ms; not the other way round, because it has a meaning of its own.)
std::vector<std::string_view> synonyms_of(const BrokerKey& key) {
  if (key.unit.ms == 0) return {key.name};
  std::vector<std::string_view> names;
  const BrokerKey* one = key.unit.ms > 1 ? keys_up_to(key).front() : &key;
  for (; one != nullptr; one = find_broker_key(one->unit.fallback)) names.push_back(one->name);
  return names;
}

// A key that Kafka requires, and whose value our folder knows, has no default.
std::optional<std::string> default_value(const BrokerKey& key) {
  if (key.default_value.data() == kNoDefault.data() || key.name == "node.id") return std::nullopt;
  return std::string(key.default_value);
}

// Every place that the value of this broker key could come from, in order of precedence: by layer, and in each layer by
// unit. Places before the first one with the key's own name are left out, as in Kafka.
std::vector<ConfigSynonym> synonyms_of(const BrokerKey& broker_key, const ConfigLayers& layers) {
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
  synonyms.erase(synonyms.begin(), std::ranges::find(synonyms, broker_key.name, &ConfigSynonym::name));
  return synonyms;
}

std::string words_of(const TopicKey& key) {
  const std::string_view why = key.effect == KeyEffect::kRefusedUnlessDefault ? "" : reason(key.effect);
  return why.empty() ? std::string(key.documentation) : fmt::format("{} Has no effect: {}.", key.documentation, why);
}

// What a broker key does, or why it does nothing.
std::string words_of(const BrokerKey& key) {
  if (!reason(key.effect).empty()) return fmt::format("Has no effect: {}.", reason(key.effect));
  if (key.topic_key.empty()) return std::string(key.documentation);
  return fmt::format("{} Holds for topics without {} of their own.", key.documentation, key.topic_key);
}

// The value that applies to a topic without its own. More replicas than exist cannot be in sync: then the number of
// replicas applies, and tools compare with what is shown.
std::string inherited_value(const TopicKey& row, const ConfigMap& defaults, int32_t replicas) {
  std::string value = shown_topic_config(row, defaults.at(std::string(row.name)));
  if (row.name != "min.insync.replicas") return value;
  return std::to_string(std::min(number<int32_t>(value), replicas));
}

DescribedConfig describe_topic_key(const TopicKey& row, const ConfigMap& own, const ConfigMap& defaults,
                                   const ConfigLayers& layers, int32_t replicas) {
  DescribedConfig config;
  config.name = row.name;
  config.wire_type = wire_type(row.type);
  config.documentation = words_of(row);
  if (!row.broker.name.empty()) config.synonyms = synonyms_of(*find_broker_key(row.broker.name), layers);
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
  config.read_only = key.change != KeyChange::kLive;
  config.is_sensitive = key.type == KeyType::kPassword;
  config.documentation = words_of(key);
  config.synonyms = synonyms_of(key, layers);
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
  for (const TopicKey& row : topic_keys_by_name()) {
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

}  // namespace posthaste::config
