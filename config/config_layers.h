// A broker's own settings by where they come from, and what follows from them for topics. Plain values; a setting
// that is changed while the broker runs is kept in the metadata log.
#pragma once
#include "config/topic_config.h"

namespace posthaste::config {

// By broker key, in order of precedence.
struct ConfigLayers {
  ConfigMap dynamic_broker;   // of this broker, changed while it runs
  ConfigMap dynamic_default;  // of all brokers, likewise
  ConfigMap given;            // server.properties and the command line
};

// The value of every key that is set anywhere.
ConfigMap merged(const ConfigLayers& layers);

// The topic key whose default this broker key holds, or null.
const TopicKey* topic_key_of(std::string_view broker_key);

// True if the key exists and may change while the broker runs: the defaults of topics, which apply to every topic
// without a setting of its own, and the limits on connections.
bool may_change_live(std::string_view broker_key);

// What is wrong with changing this broker key to `value` now, as a sentence; nothing when it may.
std::optional<std::string> dynamic_config_problem(std::string_view broker_key, std::string_view value);

}  // namespace posthaste::config
