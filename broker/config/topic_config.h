// The configuration of a topic: every key that Kafka 4.3 knows, what it accepts, its default here, and the typed values
// that the broker acts on. Defaults differ from Kafka's where durability asks for it: flush.messages is 1 and
// min.insync.replicas 2. It reads no file: server.properties is the business of app/.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace posthaste::broker {

// Configuration as text, by key; ordered so that everything made from it is deterministic.
using ConfigMap = std::map<std::string, std::string, std::less<>>;

enum class ConfigType : uint8_t { kBoolean, kInt, kLong, kDouble, kString, kList };

// One key of the table. All views are static.
struct TopicConfigDefinition {
  std::string_view name;
  ConfigType type = ConfigType::kString;
  std::string_view default_value;
  // Numbers: the accepted range, inclusive.
  int64_t least = INT64_MIN;
  int64_t most = INT64_MAX;
  // Strings and lists: the accepted values (elements), separated by '|'; empty: any.
  std::string_view accepted;
  // The broker key whose value is the default of topics without their own; empty: none.
  std::string_view broker_key;
  std::string_view documentation;
};

// All keys, ordered by name. Any core.
std::span<const TopicConfigDefinition> topic_config_definitions();

// Nothing for an unknown key.
const TopicConfigDefinition* find_topic_config(std::string_view name);

// What is wrong with this setting, as a sentence that names the key, the value and what is accepted (for an unknown
// key: the nearest known one); nothing when it is right.
std::optional<std::string> topic_config_problem(std::string_view name, std::string_view value);

// A valid value in the one form in which it is shown: without blanks around it, `true` and `false` in small letters,
// numbers without a leading "+" or "0", each element of a list once and with nothing but a comma between them.
std::string shown_topic_config(const TopicConfigDefinition& definition, std::string_view value);

// What is wrong with settings that are right one by one but not together.
std::optional<std::string> topic_config_conflict(const ConfigMap& effective);

// What a topic without settings of its own gets: Kafka's defaults (ours where they differ), overlaid with the broker
// keys that stand for them. `broker` holds broker keys and valid values; log.retention.{minutes,hours}, log.roll.hours
// and log.roll.jitter.hours count when the form in milliseconds is not there. The result has every topic key.
ConfigMap topic_config_defaults(const ConfigMap& broker);

enum class TimestampType : uint8_t { kCreateTime, kLogAppendTime };
enum class CompressionType : uint8_t { kProducer, kUncompressed, kGzip, kSnappy, kLz4, kZstd };

// The settings that code acts on. Times in milliseconds, sizes in bytes; -1 in retention means without limit.
struct TopicConfig {
  bool delete_old = true;  // cleanup.policy has "delete"
  bool compact = false;    // cleanup.policy has "compact"
  CompressionType compression_type = CompressionType::kProducer;
  int64_t delete_retention_ms = 86'400'000;
  int64_t flush_messages = 1;
  int64_t flush_ms = INT64_MAX;
  int32_t index_interval_bytes = 4'096;
  int64_t max_compaction_lag_ms = INT64_MAX;
  int32_t max_message_bytes = 1'048'588;
  int64_t message_timestamp_after_max_ms = 3'600'000;
  int64_t message_timestamp_before_max_ms = INT64_MAX;
  TimestampType message_timestamp_type = TimestampType::kCreateTime;
  double min_cleanable_dirty_ratio = 0.5;
  int64_t min_compaction_lag_ms = 0;
  int32_t min_insync_replicas = 2;
  int64_t retention_bytes = -1;
  int64_t retention_ms = 604'800'000;
  int32_t segment_bytes = 1'073'741'824;
  int64_t segment_jitter_ms = 0;
  int64_t segment_ms = 604'800'000;
  bool unclean_leader_election_enable = false;
};

// The typed form of `overrides` over `defaults` (of topic_config_defaults). Values must have passed
// topic_config_problem: a record of an older, laxer version falls back to the default of its key. Any core.
TopicConfig typed_topic_config(const ConfigMap& overrides, const ConfigMap& defaults);
// Its flush_messages or its compression_type alone, for requests that need no more: one look-up instead of all.
int64_t topic_flush_messages(const ConfigMap& overrides, const ConfigMap& defaults);
CompressionType topic_compression_type(const ConfigMap& overrides, const ConfigMap& defaults);
// Its compact alone, without taking the list apart.
bool topic_compacts(const ConfigMap& overrides, const ConfigMap& defaults);

}  // namespace posthaste::broker
