// Kafka's limits on connections (max.connections and the like): their keys, the check of a value, and what they mean to
// net/. They may change while the broker runs. Pure functions, any core.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/topic_config.h"
#include "net/listener.h"

namespace posthaste::config {

// True for one of these keys.
bool is_connection_limit(std::string_view broker_key);

// What is wrong with this value of one of the keys, as a sentence; nothing when it is valid.
std::optional<std::string> connection_limit_problem(std::string_view broker_key, std::string_view value);

// The same for values that are valid one by one but not together. `broker` holds broker keys as in accept_limits().
std::optional<std::string> connection_limit_conflict(const ConfigMap& broker);

// The limits that these settings set. `broker` holds broker keys and valid values; a key that is missing has its
// default. `possible`: how many connections this process can have at all, which bounds max.connections.
net::AcceptLimits accept_limits(const ConfigMap& broker, uint32_t possible);

}  // namespace posthaste::config
