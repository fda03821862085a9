// What DescribeConfigs says: every key with its value, all the places that the value could come from, its type and
// documentation. Pure functions, any core. It does not check permissions.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config_layers.h"

namespace posthaste::config {

// Where a value comes from, as in DescribeConfigs and CreateTopics responses.
enum class ConfigSource : int8_t {
  kTopic = 1,
  kDynamicBroker = 2,
  kDynamicDefaultBroker = 3,
  kStaticBroker = 4,
  kDefault = 5
};

struct ConfigSynonym {
  std::string_view name;             // static
  std::optional<std::string> value;  // nothing: no value, or one that must not be shown
  ConfigSource source = ConfigSource::kDefault;
};

struct DescribedConfig {
  std::string_view name;  // static
  std::optional<std::string> value;
  bool read_only = false;
  bool is_sensitive = false;
  int8_t wire_type = 0;                 // Kafka's number: 1 boolean, 2 string, 3 int ...
  std::vector<ConfigSynonym> synonyms;  // in order of precedence; a default without a value is left out
  std::string documentation;

  ConfigSource source() const { return synonyms.empty() ? ConfigSource::kDefault : synonyms.front().source; }
};

// Every topic key, ordered by name. `own` are the settings of the topic itself, which are shown as they were set. An
// inherited min.insync.replicas is shown as at most its `replicas`.
std::vector<DescribedConfig> describe_topic_configs(const ConfigMap& own, const ConfigLayers& layers, int32_t replicas);

// Every broker key, ordered by name.
std::vector<DescribedConfig> describe_broker_configs(const ConfigLayers& layers);

// Only what was set for all brokers while they run: the resource with the empty name.
std::vector<DescribedConfig> describe_broker_defaults(const ConfigLayers& layers);

}  // namespace posthaste::config
