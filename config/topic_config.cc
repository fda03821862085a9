#include "config/topic_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "config/broker_keys.h"
#include "config/nearest.h"
#include "reactor/check.h"

namespace posthaste::config {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// Calls `use` with each element until it returns false. True if it never did. An empty text has no elements.
template <class Use>
bool each_of(std::string_view list, Use use) {
  if (trimmed(list).empty()) return true;
  while (true) {
    const size_t comma = list.find(',');
    if (!use(trimmed(list.substr(0, comma)))) return false;
    if (comma == std::string_view::npos) return true;
    list.remove_prefix(comma + 1);
  }
}

template <class T>
std::optional<T> parse_number(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<bool> parse_boolean(std::string_view text) {
  const auto is = [&](std::string_view word) {
    return std::ranges::equal(trimmed(text), word, [](char a, char b) { return (a | 0x20) == b; });
  };
  if (is("true")) return true;
  if (is("false")) return false;
  return std::nullopt;
}

bool is_accepted(const TopicKey& key, std::string_view value) {
  return key.allowed.empty() || list_holds(key.allowed, value);
}

// "partition:broker,partition:broker,..." or "*".
bool is_throttled_replica(std::string_view element) {
  if (element == "*") return true;
  const size_t colon = element.find(':');
  if (colon == std::string_view::npos) return false;
  const auto partition = parse_number<int32_t>(element.substr(0, colon));
  const auto broker = parse_number<int32_t>(element.substr(colon + 1));
  return partition && broker && *partition >= 0 && *broker >= 0;
}

bool is_throttle_list(const TopicKey& key) { return key.name.ends_with(".replication.throttled.replicas"); }

std::string expectation(const TopicKey& key) {
  const auto words = [&] {
    std::vector<std::string_view> all;
    each_of(key.allowed, [&](std::string_view word) {
      all.push_back(word);
      return true;
    });
    return fmt::format("{}", fmt::join(all, ", "));
  };
  switch (key.type) {
    case KeyType::kBoolean:
      return "true or false";
    case KeyType::kInt:
    case KeyType::kLong:
    case KeyType::kShort:
      return fmt::format("an integer from {} to {}",
                         std::max<int64_t>(key.range.least, key.type == KeyType::kInt ? INT32_MIN : INT64_MIN),
                         key.range.most);
    case KeyType::kDouble:
      return fmt::format("a number from {} to {}", key.range.least, key.range.most);
    case KeyType::kString:
    case KeyType::kPassword:
    case KeyType::kClass:
      return fmt::format("one of {}", words());
    case KeyType::kList:
      if (is_throttle_list(key)) return "a list of partition:broker, or *";
      return fmt::format("a list of {}", words());
  }
  return {};
}

bool is_valid(const TopicKey& key, std::string_view value) {
  switch (key.type) {
    case KeyType::kBoolean: {
      const auto parsed = parse_boolean(value);
      return parsed && !(key.name == "remote.storage.enable" && *parsed);
    }
    case KeyType::kInt:
    case KeyType::kLong:
    case KeyType::kShort: {
      const auto parsed = parse_number<int64_t>(value);
      // 0 lies inside gzip's range of numbers but is no level of it.
      if (key.name == "compression.gzip.level" && parsed == 0) return false;
      return parsed && *parsed >= key.range.least && *parsed <= key.range.most &&
             (key.type == KeyType::kLong || *parsed >= INT32_MIN);
    }
    case KeyType::kDouble: {
      const auto parsed = parse_number<double>(value);
      return parsed && std::isfinite(*parsed) && *parsed >= static_cast<double>(key.range.least) &&
             *parsed <= static_cast<double>(key.range.most);
    }
    case KeyType::kString:
    case KeyType::kPassword:
    case KeyType::kClass:
      return is_accepted(key, trimmed(value));
    case KeyType::kList: {
      return each_of(value, [&](std::string_view element) {
        return is_throttle_list(key) ? is_throttled_replica(element) : is_accepted(key, element);
      });
    }
  }
  return false;
}

// The value of a broker key that holds the default of `key`, or of the finest of its fallbacks that is given; nothing
// when none is.
std::optional<std::string> default_of(const TopicKey& key, const ConfigMap& broker) {
  const auto given = broker.find(key.broker.name);
  if (given != broker.end() && is_valid(key, given->second)) return given->second;
  for (std::string_view name = key.broker.fallback; !name.empty();) {
    const BrokerKey* row = find_broker_key(name);
    CHECK(row != nullptr, "{} falls back to {}, which is no broker key", key.broker.name, name);
    const auto coarser = broker.find(name);
    const auto count = coarser == broker.end() ? std::nullopt : parse_number<int64_t>(coarser->second);
    if (count) {
      const bool overflows = *count > INT64_MAX / row->unit.ms;
      return fmt::format("{}", *count < 0 ? -1 : overflows ? INT64_MAX : *count * row->unit.ms);
    }
    name = row->unit.fallback;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> topic_config_problem(std::string_view name, std::string_view value) {
  const TopicKey* key = find_topic_key(name);
  if (key == nullptr) {
    std::vector<std::string_view> known;
    for (const TopicKey& row : topic_keys_by_name()) known.push_back(row.name);
    const auto neighbour = nearest(name, known);
    return neighbour ? fmt::format("Unknown topic config {}; did you mean {}?", name, *neighbour)
                     : fmt::format("Unknown topic config {}", name);
  }
  if (is_valid(*key, value)) return std::nullopt;
  if (name == "remote.storage.enable")
    return fmt::format("Invalid value {} for {}: tiered storage is not supported", value, name);
  if (name == "compression.gzip.level") {
    return fmt::format("Invalid value {} for {}: must be an integer from 1 to 9, or -1", value, name);
  }
  return fmt::format("Invalid value {} for {}: must be {}", value, name, expectation(*key));
}

std::string shown_topic_config(const TopicKey& key, std::string_view value) {
  switch (key.type) {
    case KeyType::kBoolean:
      return parse_boolean(value).value_or(false) ? "true" : "false";
    case KeyType::kInt:
    case KeyType::kLong:
    case KeyType::kShort:
      return fmt::format("{}", parse_number<int64_t>(value).value_or(0));
    case KeyType::kList: {
      std::vector<std::string_view> elements;
      each_of(value, [&](std::string_view element) {
        if (std::ranges::find(elements, element) == elements.end()) elements.push_back(element);
        return true;
      });
      return fmt::format("{}", fmt::join(elements, ","));
    }
    case KeyType::kDouble:
    case KeyType::kString:
    case KeyType::kPassword:
    case KeyType::kClass:
      break;
  }
  return std::string(trimmed(value));
}

std::optional<std::string> topic_config_conflict(const ConfigMap& effective) {
  const ConfigMap none;
  const TopicSettings settings(effective, none);
  const auto lag_ms = [&](std::string_view name) { return number(settings.text(*find_topic_key(name))); };
  const int64_t least = lag_ms("min.compaction.lag.ms");
  const int64_t most = lag_ms("max.compaction.lag.ms");
  if (least <= most) return std::nullopt;
  return fmt::format("min.compaction.lag.ms ({}) must not be above max.compaction.lag.ms ({})", least, most);
}

ConfigMap topic_config_defaults(const ConfigMap& broker) {
  ConfigMap defaults;
  for (const TopicKey& row : topic_keys_by_name()) {
    std::optional<std::string> set;
    if (!row.broker.name.empty()) set = default_of(row, broker);
    defaults.emplace(row.name, set ? *std::move(set) : std::string(row.default_value));
  }
  return defaults;
}

bool list_holds(std::string_view list, std::string_view element) {
  return !each_of(list, [&](std::string_view one) { return one != element; });
}

std::span<const TopicKey> topic_keys_by_name() { return topic_keys::kRows; }

const TopicKey* find_topic_key(std::string_view name) { return topic_keys::find(name); }

std::string_view TopicSettings::text(const TopicKey& key) const {
  for (const ConfigMap* map : {&own_, &defaults_}) {
    const auto found = map->find(key.name);
    if (found != map->end() && is_valid(key, found->second)) return trimmed(found->second);
  }
  return key.default_value;
}

storage::LogConfig log_config(const TopicSettings& settings, const storage::ProducerLimits& producers) {
  storage::LogConfig log;
  for (const TopicKey& key : topic_keys_by_name()) {
    if (key.to_log != nullptr) key.to_log(log, settings.text(key));
  }
  // Without "delete" in cleanup.policy nothing is deleted by age or size.
  if (!list_holds(settings.get<"cleanup.policy">(), "delete")) {
    log.retention = {.retention_ms = -1, .retention_bytes = -1};
  }
  log.producers = producers;
  return log;
}

}  // namespace posthaste::config
