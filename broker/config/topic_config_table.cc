// The table itself: one row per topic key of Kafka 4.3, with our defaults and our words.
#include <algorithm>
#include <array>

#include "broker/config/topic_config.h"

namespace posthaste::broker {
namespace {

// Ordered by name: find_topic_config searches by halves.
constexpr auto kDefinitions = std::to_array<TopicConfigDefinition>({
    {"cleanup.policy", ConfigType::kList, "delete", 0, 0, "compact|delete", "log.cleanup.policy",
     "What happens to old segments: delete drops them by age and size, compact keeps the last record of each key, both "
     "do both."},
    {"compression.gzip.level", ConfigType::kInt, "-1", -1, 9, "", "compression.gzip.level",
     "Level of gzip where the broker compresses; -1 is gzip's own default."},
    {"compression.lz4.level", ConfigType::kInt, "9", 1, 17, "", "compression.lz4.level",
     "Level of lz4 where the broker compresses."},
    {"compression.type", ConfigType::kString, "producer", 0, 0, "uncompressed|zstd|lz4|snappy|gzip|producer",
     "compression.type", "Codec of stored batches; producer keeps what the producer sent."},
    {"compression.zstd.level", ConfigType::kInt, "3", -131072, 22, "", "compression.zstd.level",
     "Level of zstd where the broker compresses."},
    {"delete.retention.ms", ConfigType::kLong, "86400000", 0, INT64_MAX, "", "log.cleaner.delete.retention.ms",
     "How long compaction keeps a tombstone, so that a reader from the start still sees the deletion."},
    {"file.delete.delay.ms", ConfigType::kLong, "60000", 0, INT64_MAX, "", "log.segment.delete.delay.ms",
     "Wait before the file of a dropped segment is removed."},
    {"flush.messages", ConfigType::kLong, "1", 1, INT64_MAX, "", "log.flush.interval.messages",
     "Records that may be acknowledged before they are on disk. 1: an acknowledged record is durable."},
    {"flush.ms", ConfigType::kLong, "9223372036854775807", 0, INT64_MAX, "", "log.flush.interval.ms",
     "Longest time a record of a relaxed topic may wait for the disk."},
    {"follower.replication.throttled.replicas", ConfigType::kList, "", 0, 0, "", "",
     "Followers to which the replication throttle applies, as partition:broker, or *."},
    {"index.interval.bytes", ConfigType::kInt, "4096", 0, INT32_MAX, "", "log.index.interval.bytes",
     "Bytes of log between two entries of the offset index."},
    {"leader.replication.throttled.replicas", ConfigType::kList, "", 0, 0, "", "",
     "Leaders to which the replication throttle applies, as partition:broker, or *."},
    {"local.retention.bytes", ConfigType::kLong, "-2", -2, INT64_MAX, "", "log.local.retention.bytes",
     "Size kept locally of a tiered topic; -2 means retention.bytes."},
    {"local.retention.ms", ConfigType::kLong, "-2", -2, INT64_MAX, "", "log.local.retention.ms",
     "Age kept locally of a tiered topic; -2 means retention.ms."},
    {"max.compaction.lag.ms", ConfigType::kLong, "9223372036854775807", 1, INT64_MAX, "",
     "log.cleaner.max.compaction.lag.ms", "Longest time a record may stay out of compaction."},
    {"max.message.bytes", ConfigType::kInt, "1048588", 0, INT32_MAX, "", "message.max.bytes",
     "Largest record batch, as sent (after compression)."},
    {"message.timestamp.after.max.ms", ConfigType::kLong, "3600000", 0, INT64_MAX, "",
     "log.message.timestamp.after.max.ms", "How far a record's own time may lie ahead of the broker's."},
    {"message.timestamp.before.max.ms", ConfigType::kLong, "9223372036854775807", 0, INT64_MAX, "",
     "log.message.timestamp.before.max.ms", "How far a record's own time may lie behind the broker's."},
    {"message.timestamp.type", ConfigType::kString, "CreateTime", 0, 0, "CreateTime|LogAppendTime",
     "log.message.timestamp.type", "Whose time a record carries: its producer's or the broker's."},
    {"min.cleanable.dirty.ratio", ConfigType::kDouble, "0.5", 0, 1, "", "log.cleaner.min.cleanable.ratio",
     "Share of uncompacted log from which compaction starts."},
    {"min.compaction.lag.ms", ConfigType::kLong, "0", 0, INT64_MAX, "", "log.cleaner.min.compaction.lag.ms",
     "Shortest time a record stays out of compaction."},
    {"min.insync.replicas", ConfigType::kInt, "2", 1, INT32_MAX, "", "min.insync.replicas",
     "Replicas that must have a record before acks=all is answered; never more than the topic has."},
    {"preallocate", ConfigType::kBoolean, "false", 0, 0, "", "log.preallocate",
     "Whether segment files are allocated in full when created."},
    {"remote.log.copy.disable", ConfigType::kBoolean, "false", 0, 0, "", "",
     "Stops copying a tiered topic to remote storage."},
    {"remote.log.delete.on.disable", ConfigType::kBoolean, "false", 0, 0, "", "",
     "Deletes the remote part when tiering is switched off."},
    {"remote.storage.enable", ConfigType::kBoolean, "false", 0, 0, "", "",
     "Tiered storage, which this broker does not have: only false."},
    {"retention.bytes", ConfigType::kLong, "-1", INT64_MIN, INT64_MAX, "", "log.retention.bytes",
     "Size of a partition above which its oldest segments are deleted; -1: no limit."},
    {"retention.ms", ConfigType::kLong, "604800000", -1, INT64_MAX, "", "log.retention.ms",
     "Age above which segments are deleted; -1: no limit."},
    {"segment.bytes", ConfigType::kInt, "1073741824", 1048576, INT32_MAX, "", "log.segment.bytes",
     "Size of a segment file."},
    {"segment.index.bytes", ConfigType::kInt, "10485760", 4, INT32_MAX, "", "log.index.size.max.bytes",
     "Largest index of a segment."},
    {"segment.jitter.ms", ConfigType::kLong, "0", 0, INT64_MAX, "", "log.roll.jitter.ms",
     "Random part taken off segment.ms, so that segments do not roll all at once."},
    {"segment.ms", ConfigType::kLong, "604800000", 1, INT64_MAX, "", "log.roll.ms",
     "Age after which a segment is closed even if it is not full."},
    {"unclean.leader.election.enable", ConfigType::kBoolean, "false", 0, 0, "", "unclean.leader.election.enable",
     "Whether a replica that misses records may lead when no other can."},
});
static_assert(std::ranges::is_sorted(kDefinitions, {}, &TopicConfigDefinition::name));

}  // namespace

std::span<const TopicConfigDefinition> topic_config_definitions() { return kDefinitions; }

const TopicConfigDefinition* find_topic_config(std::string_view name) {
  const auto found = std::ranges::lower_bound(kDefinitions, name, {}, &TopicConfigDefinition::name);
  return found == kDefinitions.end() || found->name != name ? nullptr : &*found;
}

}  // namespace posthaste::broker
