#include "config/config_layers.h"

#include <fmt/format.h>

#include <vector>

#include "config/broker_keys.h"
#include "config/connection_limits.h"
#include "config/nearest.h"

namespace posthaste::config {

ConfigMap merged(const ConfigLayers& layers) {
  ConfigMap all = layers.dynamic_broker;
  all.insert(layers.dynamic_default.begin(), layers.dynamic_default.end());
  all.insert(layers.given.begin(), layers.given.end());
  return all;
}

const TopicKey* topic_key_of(std::string_view broker_key) {
  const BrokerKey* key = find_broker_key(broker_key);
  return key == nullptr ? nullptr : find_topic_key(key->topic_key);
}

bool may_change_live(std::string_view broker_key) {
  const BrokerKey* key = find_broker_key(broker_key);
  return key != nullptr && key->change == KeyChange::kLive;
}

std::optional<std::string> dynamic_config_problem(std::string_view broker_key, std::string_view value) {
  if (const TopicKey* topic_key = topic_key_of(broker_key)) {
    const auto problem = topic_config_problem(topic_key->name, value);
    // A topic may have a retention of 0 ms, the default of all topics may not.
    if (!problem && topic_key->name == "retention.ms" && shown_topic_config(*topic_key, value) == "0") {
      return fmt::format("Invalid value {} for {}: must be -1 (no limit) or 1 or more", value, broker_key);
    }
    if (!problem) return std::nullopt;
    return fmt::format("{} holds the default of a topic key: {}", broker_key, *problem);
  }
  if (is_connection_limit(broker_key)) return connection_limit_problem(broker_key, value);
  if (find_broker_key(broker_key) != nullptr) {
    return fmt::format("{} cannot be changed while the broker runs: set it in server.properties and restart",
                       broker_key);
  }
  std::vector<std::string_view> known;
  for (const BrokerKey& key : broker_keys()) {
    if (may_change_live(key.name)) known.push_back(key.name);
  }
  const auto neighbour = nearest(broker_key, known);
  return neighbour ? fmt::format("Unknown broker config {}; did you mean {}?", broker_key, *neighbour)
                   : fmt::format("Unknown broker config {}", broker_key);
}

}  // namespace posthaste::config
