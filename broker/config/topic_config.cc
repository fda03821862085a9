#include "broker/config/topic_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "broker/config/nearest.h"
#include "reactor/check.h"

namespace posthaste::broker {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  if (trimmed(text).empty()) return parts;
  while (true) {
    const size_t at = text.find(separator);
    parts.push_back(trimmed(text.substr(0, at)));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
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

bool is_accepted(const TopicConfigDefinition& definition, std::string_view value) {
  const std::vector<std::string_view> accepted = split(definition.accepted, '|');
  return accepted.empty() || std::ranges::find(accepted, value) != accepted.end();
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

bool is_throttle_list(const TopicConfigDefinition& definition) {
  return definition.name.ends_with(".replication.throttled.replicas");
}

std::string expectation(const TopicConfigDefinition& definition) {
  const auto words = [&] { return fmt::format("{}", fmt::join(split(definition.accepted, '|'), ", ")); };
  switch (definition.type) {
    case ConfigType::kBoolean:
      return "true or false";
    case ConfigType::kInt:
    case ConfigType::kLong:
      return fmt::format(
          "an integer from {} to {}",
          std::max<int64_t>(definition.least, definition.type == ConfigType::kInt ? INT32_MIN : INT64_MIN),
          definition.most);
    case ConfigType::kDouble:
      return fmt::format("a number from {} to {}", definition.least, definition.most);
    case ConfigType::kString:
      return fmt::format("one of {}", words());
    case ConfigType::kList:
      if (is_throttle_list(definition)) return "a list of partition:broker, or *";
      return fmt::format("a list of {}", words());
  }
  return {};
}

bool is_valid(const TopicConfigDefinition& definition, std::string_view value) {
  switch (definition.type) {
    case ConfigType::kBoolean: {
      const auto parsed = parse_boolean(value);
      return parsed && !(definition.name == "remote.storage.enable" && *parsed);
    }
    case ConfigType::kInt:
    case ConfigType::kLong: {
      const auto parsed = parse_number<int64_t>(value);
      // 0 lies inside gzip's range of numbers but is no level of it.
      if (definition.name == "compression.gzip.level" && parsed == 0) return false;
      return parsed && *parsed >= definition.least && *parsed <= definition.most &&
             (definition.type == ConfigType::kLong || *parsed >= INT32_MIN);
    }
    case ConfigType::kDouble: {
      const auto parsed = parse_number<double>(value);
      return parsed && std::isfinite(*parsed) && *parsed >= static_cast<double>(definition.least) &&
             *parsed <= static_cast<double>(definition.most);
    }
    case ConfigType::kString:
      return is_accepted(definition, trimmed(value));
    case ConfigType::kList: {
      const std::vector<std::string_view> elements = split(value, ',');
      return std::ranges::all_of(elements, [&](std::string_view element) {
        return is_throttle_list(definition) ? is_throttled_replica(element) : is_accepted(definition, element);
      });
    }
  }
  return false;
}

// The valid value of `name`, from the topic, else its defaults, else the table.
std::string_view value_of(std::string_view name, const ConfigMap& overrides, const ConfigMap& defaults) {
  const TopicConfigDefinition* definition = find_topic_config(name);
  CHECK(definition != nullptr, "{} is no topic key", name);
  for (const ConfigMap* map : {&overrides, &defaults}) {
    const auto found = map->find(name);
    if (found != map->end() && is_valid(*definition, found->second)) return found->second;
  }
  return definition->default_value;
}

void copy_hours(ConfigMap& into, std::string_view topic_key, const ConfigMap& broker, std::string_view key,
                int64_t milliseconds_each) {
  const auto found = broker.find(key);
  if (found == broker.end()) return;
  const auto count = parse_number<int64_t>(found->second);
  if (!count) return;
  const bool overflows = *count > INT64_MAX / milliseconds_each;
  const int64_t value = *count < 0 ? -1 : overflows ? INT64_MAX : *count * milliseconds_each;
  into.insert_or_assign(std::string(topic_key), fmt::format("{}", value));
}

constexpr int64_t kMinute = 60'000;
constexpr int64_t kHour = 3'600'000;

}  // namespace

std::optional<std::string> topic_config_problem(std::string_view name, std::string_view value) {
  const TopicConfigDefinition* definition = find_topic_config(name);
  if (definition == nullptr) {
    std::vector<std::string_view> known;
    for (const TopicConfigDefinition& row : topic_config_definitions()) known.push_back(row.name);
    const auto neighbour = nearest(name, known);
    return neighbour ? fmt::format("Unknown topic config {}; did you mean {}?", name, *neighbour)
                     : fmt::format("Unknown topic config {}", name);
  }
  if (is_valid(*definition, value)) return std::nullopt;
  if (name == "remote.storage.enable")
    return fmt::format("Invalid value {} for {}: tiered storage is not supported", value, name);
  if (name == "compression.gzip.level") {
    return fmt::format("Invalid value {} for {}: must be an integer from 1 to 9, or -1", value, name);
  }
  return fmt::format("Invalid value {} for {}: must be {}", value, name, expectation(*definition));
}

std::string shown_topic_config(const TopicConfigDefinition& definition, std::string_view value) {
  switch (definition.type) {
    case ConfigType::kBoolean:
      return parse_boolean(value).value_or(false) ? "true" : "false";
    case ConfigType::kInt:
    case ConfigType::kLong:
      return fmt::format("{}", parse_number<int64_t>(value).value_or(0));
    case ConfigType::kList: {
      std::vector<std::string_view> elements;
      for (const std::string_view element : split(value, ',')) {
        if (std::ranges::find(elements, element) == elements.end()) elements.push_back(element);
      }
      return fmt::format("{}", fmt::join(elements, ","));
    }
    case ConfigType::kDouble:
    case ConfigType::kString:
      break;
  }
  return std::string(trimmed(value));
}

std::optional<std::string> topic_config_conflict(const ConfigMap& effective) {
  const TopicConfig config = typed_topic_config(effective, {});
  if (config.min_compaction_lag_ms > config.max_compaction_lag_ms) {
    return fmt::format("min.compaction.lag.ms ({}) must not be above max.compaction.lag.ms ({})",
                       config.min_compaction_lag_ms, config.max_compaction_lag_ms);
  }
  return std::nullopt;
}

ConfigMap topic_config_defaults(const ConfigMap& broker) {
  ConfigMap defaults;
  for (const TopicConfigDefinition& row : topic_config_definitions()) {
    defaults.emplace(row.name, row.default_value);
  }
  // From the coarsest unit to the finest: the finest that is set wins, as in Kafka.
  copy_hours(defaults, "flush.ms", broker, "log.flush.scheduler.interval.ms", 1);
  copy_hours(defaults, "retention.ms", broker, "log.retention.hours", kHour);
  copy_hours(defaults, "retention.ms", broker, "log.retention.minutes", kMinute);
  copy_hours(defaults, "segment.ms", broker, "log.roll.hours", kHour);
  copy_hours(defaults, "segment.jitter.ms", broker, "log.roll.jitter.hours", kHour);
  for (const TopicConfigDefinition& row : topic_config_definitions()) {
    const auto set = broker.find(row.broker_key);
    if (row.broker_key.empty() || set == broker.end() || !is_valid(row, set->second)) continue;
    defaults.insert_or_assign(std::string(row.name), set->second);
  }
  return defaults;
}

int64_t topic_flush_messages(const ConfigMap& overrides, const ConfigMap& defaults) {
  return parse_number<int64_t>(value_of("flush.messages", overrides, defaults)).value_or(0);
}

bool topic_compacts(const ConfigMap& overrides, const ConfigMap& defaults) {
  for (const ConfigMap* map : {&overrides, &defaults}) {
    const auto found = map->find("cleanup.policy");
    if (found != map->end()) return found->second.contains("compact");
  }
  return false;
}

CompressionType topic_compression_type(const ConfigMap& overrides, const ConfigMap& defaults) {
  const std::string_view name = trimmed(value_of("compression.type", overrides, defaults));
  if (name == "uncompressed") return CompressionType::kUncompressed;
  if (name == "gzip") return CompressionType::kGzip;
  if (name == "snappy") return CompressionType::kSnappy;
  if (name == "lz4") return CompressionType::kLz4;
  return name == "zstd" ? CompressionType::kZstd : CompressionType::kProducer;
}

TopicConfig typed_topic_config(const ConfigMap& overrides, const ConfigMap& defaults) {
  const auto text = [&](std::string_view name) { return value_of(name, overrides, defaults); };
  const auto as_long = [&](std::string_view name) { return parse_number<int64_t>(text(name)).value_or(0); };
  const auto as_int = [&](std::string_view name) { return static_cast<int32_t>(as_long(name)); };
  const std::vector<std::string_view> policy = split(text("cleanup.policy"), ',');
  TopicConfig config;
  config.delete_old = std::ranges::find(policy, "delete") != policy.end();
  config.compact = std::ranges::find(policy, "compact") != policy.end();
  config.compression_type = topic_compression_type(overrides, defaults);
  config.delete_retention_ms = as_long("delete.retention.ms");
  config.flush_messages = as_long("flush.messages");
  config.flush_ms = as_long("flush.ms");
  config.index_interval_bytes = as_int("index.interval.bytes");
  config.max_compaction_lag_ms = as_long("max.compaction.lag.ms");
  config.max_message_bytes = as_int("max.message.bytes");
  config.message_timestamp_after_max_ms = as_long("message.timestamp.after.max.ms");
  config.message_timestamp_before_max_ms = as_long("message.timestamp.before.max.ms");
  config.message_timestamp_type = trimmed(text("message.timestamp.type")) == "LogAppendTime"
                                      ? TimestampType::kLogAppendTime
                                      : TimestampType::kCreateTime;
  config.min_cleanable_dirty_ratio = parse_number<double>(text("min.cleanable.dirty.ratio")).value_or(0.5);
  config.min_compaction_lag_ms = as_long("min.compaction.lag.ms");
  config.min_insync_replicas = as_int("min.insync.replicas");
  config.retention_bytes = as_long("retention.bytes");
  config.retention_ms = as_long("retention.ms");
  config.segment_bytes = as_int("segment.bytes");
  config.segment_jitter_ms = as_long("segment.jitter.ms");
  config.segment_ms = as_long("segment.ms");
  config.unclean_leader_election_enable = parse_boolean(text("unclean.leader.election.enable")).value_or(false);
  return config;
}

}  // namespace posthaste::broker
