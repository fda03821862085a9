// The settings of one start by key, each checked: against its row of broker_keys.h, or as a key that is not ours
// (foreign_keys.h). Reading a checked value cannot fail. It does not check values against each other
// (broker_config.cc).
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/config/properties.h"
#include "config/broker_key_table.h"

namespace posthaste::app {

using config::broker_keys;
using config::BrokerKey;
using config::find_broker_key;
using config::KeyEffect;
using config::KeyRange;
using config::keys_up_to;
using config::KeyType;

// The result for one line of a configuration.
enum class SettingUse : uint8_t {
  kUsed,
  kNoEffect,  // a key that there is, and that changes nothing
  kUnknown,   // ignored, as in Kafka
  kWrong,     // the broker does not start
};

struct JudgedSetting {
  Property property;
  SettingUse use = SettingUse::kUsed;
  std::string why;  // half a sentence; empty for kUsed
};

class SettingValues {
 public:
  // Checks each property and keeps the valid ones.
  explicit SettingValues(std::span<const Property> properties);

  // Every property in the order in which it was given.
  const std::vector<JudgedSetting>& judged() const { return judged_; }

  // True if the key was given (with a valid, non-empty value).
  bool has(std::string_view key) const;

  // The value or default of a key that code acts on, in the type that its row says: bool, int32_t, int64_t or text.
  template <config::KeyName kName>
  auto get() const {
    constexpr const BrokerKey& kKey = config::broker_key_table::used<kName>();
    if constexpr (kKey.type == KeyType::kBoolean) {
      return boolean(kKey.name);
    } else if constexpr (kKey.type == KeyType::kInt || kKey.type == KeyType::kShort) {
      return int32(kKey.name);
    } else if constexpr (kKey.type == KeyType::kLong) {
      return int64(kKey.name);
    } else {
      static_assert(kKey.type == KeyType::kString || kKey.type == KeyType::kList, "nobody has read such a key yet");
      return text(kKey.name);
    }
  }

  // Value or default of any key, to show or compare it. The key must exist and be of a whole-number type: anything else
  // is our bug and ends the process.
  std::string_view text(std::string_view key) const;
  int64_t int64(std::string_view key) const;

  // Where the key was set ("server.properties:3"), or "the default".
  std::string_view source(std::string_view key) const;

  // The given settings, by key.
  const std::map<std::string, Property, std::less<>>& given() const { return given_; }

 private:
  bool boolean(std::string_view key) const;
  int32_t int32(std::string_view key) const;
  void note_overruled();

  std::vector<JudgedSetting> judged_;
  std::map<std::string, Property, std::less<>> given_;
};

}  // namespace posthaste::app
