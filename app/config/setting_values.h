// The settings of one start by key, each checked against its row of broker_keys.h. Reading a checked value cannot fail.
// What values mean together is not decided here (broker_config.cc).
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/config/properties.h"
#include "broker/config/broker_keys.h"

namespace posthaste::app {

using broker::broker_keys;
using broker::BrokerKey;
using broker::find_broker_key;
using broker::KeyEffect;
using broker::KeyRange;
using broker::KeyType;

class SettingValues {
 public:
  // Checks key, type and range of each property and keeps the valid ones; adds one line per mistake to `errors`.
  SettingValues(std::span<const Property> properties, std::vector<std::string>& errors);

  // Was the key given (with a valid, non-empty value)?
  bool has(std::string_view key) const;

  // Value or default. The key must exist and be of a fitting type: asking otherwise is our bug and ends the process.
  bool boolean(std::string_view key) const;
  int32_t int32(std::string_view key) const;
  int64_t int64(std::string_view key) const;
  std::string_view text(std::string_view key) const;

  // Where the key was set ("server.properties:3"), or "the default".
  std::string_view source(std::string_view key) const;

  // The given settings, by key.
  const std::map<std::string, Property, std::less<>>& given() const { return given_; }

 private:
  std::map<std::string, Property, std::less<>> given_;
};

}  // namespace posthaste::app
