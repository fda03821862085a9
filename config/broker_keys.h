// The configuration keys of a broker: Kafka's, all of them, and Posthaste's own (prefix `posthaste.`). One row has a
// key's type, default, range, effect and documentation, whether it may change live, and which other keys have the same
// meaning. The rows are in broker_key_table.h and topic_keys.h; values are not here: app/config reads those.
// Kafka's names, types and ranges: documentation of Apache Kafka 4.3; where our default differs, a comment says why.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "config/config_key.h"

namespace posthaste::config {

enum class KeyChange : uint8_t {
  kAtStart,
  kLive,  // may change while the broker runs
};

// Keys with the same meaning in other units, or under another name.
struct KeyUnit {
  int64_t ms = 0;                  // milliseconds in one unit, for a time with several keys
  std::string_view fallback = {};  // the key that counts when this one is not given
};

struct BrokerKey {
  std::string_view name;
  KeyType type = KeyType::kString;
  std::string_view default_value;  // in the text form of the type; kNoDefault when there is none
  KeyEffect effect = KeyEffect::kUsed;
  KeyRange range = {};                  // of numbers
  std::string_view allowed = {};        // of strings and of each element of a list: comma-separated; empty allows any
  std::string_view documentation = {};  // empty: it changes nothing
  KeyChange change = KeyChange::kAtStart;
  KeyUnit unit = {};
  std::string_view topic_key = {};  // the topic key whose default this key holds; empty: none
};

// All keys, sorted by name. Lives forever. Any core.
std::span<const BrokerKey> broker_keys();

// The key of that exact name, or nullptr. Any core.
const BrokerKey* find_broker_key(std::string_view name);

// The keys that replace this one when they are given, in order of precedence, and this one last.
std::vector<const BrokerKey*> keys_up_to(const BrokerKey& key);

}  // namespace posthaste::config
