// The configuration keys of topics, all of Kafka 4.3's, one row a key: what it accepts, its default, what it does here,
// the broker key that holds the default of topics without their own, our words for it, and, of a key that is a matter
// of the log, where it goes. A key that storage/ acts on is added in three files: its row here, its field in storage/
// and the code that reads the field. A key that a handler acts on is added in two: its row, and TopicSettings::get()
// there.
#pragma once
#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string_view>

#include "config/config_key.h"
#include "storage/log/log_types.h"

namespace posthaste::config {

// The broker key that holds the default of a topic key. It has the topic key's row, except for the fields here.
struct BrokerDefault {
  std::string_view name = {};
  // The broker key that counts when this one is not given, which therefore has no default.
  std::string_view fallback = {};
  std::optional<KeyRange> range = {};  // that Kafka accepts for the broker key, if it is another one
};

struct TopicKey {
  std::string_view name;
  KeyType type;
  std::string_view default_value;  // in the text form of the type
  KeyEffect effect;
  KeyRange range;            // of numbers
  std::string_view allowed;  // of strings and of each element of a list: comma-separated; empty allows any
  BrokerDefault broker;
  std::string_view documentation;
  // Stores a valid value, without blanks around it, where the log reads it. Null: a handler reads it, or nothing does.
  void (*to_log)(storage::LogConfig& log, std::string_view value) = nullptr;
};

// A whole number that topic_config_problem() has accepted, or 0.
template <std::integral T = int64_t>
constexpr T number(std::string_view value) {
  if (value.starts_with('+')) value.remove_prefix(1);
  T parsed{};
  std::from_chars(value.data(), value.data() + value.size(), parsed);
  return parsed;
}

namespace topic_keys {

using enum KeyType;
using enum KeyEffect;
using storage::LogConfig;

// Defaults that differ from Kafka's: flush.messages is 1 and min.insync.replicas 2, because acknowledged means durable
// here. Sorted by name.
// clang-format off
inline constexpr auto kRows = std::to_array<TopicKey>({
  {"cleanup.policy", kList, "delete", kUsed, {}, "compact,delete", {.name = "log.cleanup.policy"},
   "What happens to old segments: delete drops them by age and size, compact keeps the last record of each key "
   "(this version keeps all of its records), both do both."},
  {"compression.gzip.level", kInt, "-1", kOpaqueBatches, {-1, 9}, {}, {.name = "compression.gzip.level"},
   "Level of gzip where the broker compresses; -1 is gzip's own default."},
  {"compression.lz4.level", kInt, "9", kOpaqueBatches, {1, 17}, {}, {.name = "compression.lz4.level"},
   "Level of lz4 where the broker compresses."},
  {"compression.type", kString, "producer", kOnlyRefusesZstd, {}, "uncompressed,zstd,lz4,snappy,gzip,producer", {.name = "compression.type"},
   "Codec of stored batches; producer keeps what the producer sent."},
  {"compression.zstd.level", kInt, "3", kOpaqueBatches, {-131072, 22}, {}, {.name = "compression.zstd.level"},
   "Level of zstd where the broker compresses."},
  {"delete.retention.ms", kLong, "86400000", kNoCompaction, {0, INT64_MAX}, {}, {.name = "log.cleaner.delete.retention.ms"},
   "How long compaction keeps a tombstone, so that a reader from the start still sees the deletion."},
  {"file.delete.delay.ms", kLong, "60000", kDropsAtOnce, {0, INT64_MAX}, {}, {.name = "log.segment.delete.delay.ms"},
   "Wait before the file of a dropped segment is removed."},
  {"flush.messages", kLong, "1", kUsed, {1, INT64_MAX}, {}, {.name = "log.flush.interval.messages"},
   "Records that may be acknowledged before they are on disk. 1: an acknowledged record is durable."},
  {"flush.ms", kLong, "9223372036854775807", kOwnStorage, {0, INT64_MAX}, {}, {.name = "log.flush.interval.ms", .fallback = "log.flush.scheduler.interval.ms", .range = KeyRange{}},
   "Longest time a record of a relaxed topic may wait for the disk."},
  {"follower.replication.throttled.replicas", kList, "", kLoneBroker, {}, {}, {},
   "Followers to which the replication throttle applies, as partition:broker, or *."},
  {"index.interval.bytes", kInt, "4096", kOwnStorage, {0, INT32_MAX}, {}, {.name = "log.index.interval.bytes"},
   "Bytes of log between two entries of the offset index."},
  {"leader.replication.throttled.replicas", kList, "", kLoneBroker, {}, {}, {},
   "Leaders to which the replication throttle applies, as partition:broker, or *."},
  {"local.retention.bytes", kLong, "-2", kNoTiering, {-2, INT64_MAX}, {}, {.name = "log.local.retention.bytes"},
   "Size kept locally of a tiered topic; -2 means retention.bytes."},
  {"local.retention.ms", kLong, "-2", kNoTiering, {-2, INT64_MAX}, {}, {.name = "log.local.retention.ms"},
   "Age kept locally of a tiered topic; -2 means retention.ms."},
  {"max.compaction.lag.ms", kLong, "9223372036854775807", kNoCompaction, {1, INT64_MAX}, {}, {.name = "log.cleaner.max.compaction.lag.ms"},
   "Longest time a record may stay out of compaction."},
  {"max.message.bytes", kInt, "1048588", kUsed, {0, INT32_MAX}, {}, {.name = "message.max.bytes"},
   "Largest record batch, as sent (after compression).",
   [](LogConfig& log, std::string_view value) { log.batch.max_message_bytes = number<int32_t>(value); }},
  {"message.timestamp.after.max.ms", kLong, "3600000", kUsed, {0, INT64_MAX}, {}, {.name = "log.message.timestamp.after.max.ms"},
   "How far a record's own time may lie ahead of the broker's.",
   [](LogConfig& log, std::string_view value) { log.batch.timestamp_after_max_ms = number(value); }},
  {"message.timestamp.before.max.ms", kLong, "9223372036854775807", kUsed, {0, INT64_MAX}, {}, {.name = "log.message.timestamp.before.max.ms"},
   "How far a record's own time may lie behind the broker's.",
   [](LogConfig& log, std::string_view value) { log.batch.timestamp_before_max_ms = number(value); }},
  {"message.timestamp.type", kString, "CreateTime", kUsed, {}, "CreateTime,LogAppendTime", {.name = "log.message.timestamp.type"},
   "Whose time a record carries: its producer's or the broker's.",
   [](LogConfig& log, std::string_view value) {
     log.batch.timestamp_type = value == "LogAppendTime" ? storage::TimestampType::kLogAppendTime
                                                         : storage::TimestampType::kCreateTime;
   }},
  {"min.cleanable.dirty.ratio", kDouble, "0.5", kNoCompaction, {0, 1}, {}, {.name = "log.cleaner.min.cleanable.ratio"},
   "Share of uncompacted log from which compaction starts."},
  {"min.compaction.lag.ms", kLong, "0", kNoCompaction, {0, INT64_MAX}, {}, {.name = "log.cleaner.min.compaction.lag.ms"},
   "Shortest time a record stays out of compaction."},
  {"min.insync.replicas", kInt, "2", kLoneBroker, {1, INT32_MAX}, {}, {.name = "min.insync.replicas"},
   "Replicas that must have a record before acks=all is answered; never more than the topic has."},
  {"preallocate", kBoolean, "false", kOwnStorage, {}, {}, {.name = "log.preallocate"},
   "Whether segment files are allocated in full when created."},
  {"remote.log.copy.disable", kBoolean, "false", kNoTiering, {}, {}, {},
   "Stops copying a tiered topic to remote storage."},
  {"remote.log.delete.on.disable", kBoolean, "false", kNoTiering, {}, {}, {},
   "Deletes the remote part when tiering is switched off."},
  {"remote.storage.enable", kBoolean, "false", kRefusedUnlessDefault, {}, {}, {},
   "Tiered storage, which this broker does not have: only false."},
  {"retention.bytes", kLong, "-1", kUsed, {}, {}, {.name = "log.retention.bytes"},
   "Size of a partition above which its oldest segments are deleted; -1: no limit.",
   [](LogConfig& log, std::string_view value) { log.retention.retention_bytes = number(value); }},
  {"retention.ms", kLong, "604800000", kUsed, {-1, INT64_MAX}, {}, {.name = "log.retention.ms", .fallback = "log.retention.minutes", .range = KeyRange{}},
   "Age above which segments are deleted; -1: no limit.",
   [](LogConfig& log, std::string_view value) { log.retention.retention_ms = number(value); }},
  {"segment.bytes", kInt, "1073741824", kUsed, {1048576, INT32_MAX}, {}, {.name = "log.segment.bytes"},
   "Size of a segment file.",
   [](LogConfig& log, std::string_view value) { log.segment_bytes = number<uint64_t>(value); }},
  {"segment.index.bytes", kInt, "10485760", kOwnStorage, {4, INT32_MAX}, {}, {.name = "log.index.size.max.bytes"},
   "Largest index of a segment."},
  {"segment.jitter.ms", kLong, "0", kUsed, {0, INT64_MAX}, {}, {.name = "log.roll.jitter.ms", .fallback = "log.roll.jitter.hours"},
   "Random part taken off segment.ms, so that segments do not roll all at once.",
   [](LogConfig& log, std::string_view value) { log.segment_jitter_ms = number(value); }},
  {"segment.ms", kLong, "604800000", kUsed, {1, INT64_MAX}, {}, {.name = "log.roll.ms", .fallback = "log.roll.hours"},
   "Age after which a segment is closed even if it is not full.",
   [](LogConfig& log, std::string_view value) { log.segment_ms = number(value); }},
  {"unclean.leader.election.enable", kBoolean, "false", kLoneBroker, {}, {}, {.name = "unclean.leader.election.enable"},
   "Whether a replica that misses records may lead when no other can."},
});
// clang-format on
static_assert(std::ranges::is_sorted(kRows, {}, &TopicKey::name));
static_assert(std::ranges::all_of(kRows, [](const TopicKey& key) { return !key.to_log || is_read(key.effect); }),
              "the row of a key that goes to the log says that it changes nothing");

// The row of that exact name, or null.
constexpr const TopicKey* find(std::string_view name) {
  const auto* found = std::ranges::lower_bound(kRows, name, {}, &TopicKey::name);
  return found != kRows.end() && found->name == name ? found : nullptr;
}

// True if the key exists and its row does not say that it changes nothing.
template <KeyName kName>
concept Used = find(kName.view()) != nullptr && is_read(find(kName.view())->effect);

// The row of a key that code acts on.
template <KeyName kName>
  requires Used<kName>
consteval const TopicKey& used() {
  return *find(kName.view());
}

}  // namespace topic_keys
}  // namespace posthaste::config
