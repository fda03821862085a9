// The configuration of a topic: the check of a value, its default here, and reading it for the code that acts on it.
// The keys themselves are the rows of topic_keys.h. It reads no file: app/ reads server.properties.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/topic_keys.h"

namespace posthaste::config {

// Configuration as text, by key; ordered so that everything made from it is deterministic.
using ConfigMap = std::map<std::string, std::string, std::less<>>;

// All keys, ordered by name. Any core.
std::span<const TopicKey> topic_keys_by_name();

// Nothing for an unknown key.
const TopicKey* find_topic_key(std::string_view name);

// What is wrong with this setting, as a sentence that names the key, the value and what is accepted (for an unknown
// key: the nearest known one); nothing when it is valid.
std::optional<std::string> topic_config_problem(std::string_view name, std::string_view value);

// A valid value in the one form in which it is shown: without blanks around it, `true` and `false` in small letters,
// numbers without a leading "+" or "0", each element of a list once and with nothing but a comma between them.
std::string shown_topic_config(const TopicKey& key, std::string_view value);

// What is wrong with settings that are valid one by one but not together.
std::optional<std::string> topic_config_conflict(const ConfigMap& effective);

// What a topic without settings of its own gets: Kafka's defaults (ours where they differ), overlaid with the broker
// keys that stand for them. `broker` holds broker keys and valid values; a key in a coarser unit counts when the finer
// ones are not there. The result has every topic key.
ConfigMap topic_config_defaults(const ConfigMap& broker);

// True if the list has this element. Makes no copy.
bool list_holds(std::string_view list, std::string_view element);

// The settings of one topic: `own` over `defaults` (of topic_config_defaults). Values have passed
// topic_config_problem: a record of an older, laxer version falls back to the default of its key. Allocates nothing.
// Holds views of both maps. Any core.
class TopicSettings {
 public:
  TopicSettings(const ConfigMap& own, const ConfigMap& defaults) : own_(own), defaults_(defaults) {}

  // The value of a key that code acts on: a number of a whole-number key, else the text. Times in milliseconds, sizes
  // in bytes; -1 in retention means no limit.
  template <KeyName kName>
  auto get() const {
    constexpr const TopicKey& kKey = topic_keys::used<kName>();
    if constexpr (kKey.type == KeyType::kInt || kKey.type == KeyType::kLong) {
      return number(text(kKey));
    } else {
      static_assert(kKey.type == KeyType::kString || kKey.type == KeyType::kList, "nobody has read such a key yet");
      return text(kKey);
    }
  }

  // The text of any key, without blanks around it, to show or compare it.
  std::string_view text(const TopicKey& key) const;

 private:
  const ConfigMap& own_;
  const ConfigMap& defaults_;
};

// What a topic's settings mean to its logs.
storage::LogConfig log_config(const TopicSettings& settings, const storage::ProducerLimits& producers);

}  // namespace posthaste::config
