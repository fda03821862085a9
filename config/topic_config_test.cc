// The table of topic keys, its error messages, and how defaults are combined.
#include "config/topic_config.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "config/broker_key_table.h"

namespace posthaste::config {
namespace {

TEST(TopicConfigTable, DefaultsAreValidAndRowsAreFindable) {
  for (const TopicKey& row : topic_keys_by_name()) {
    EXPECT_EQ(topic_config_problem(row.name, row.default_value), std::nullopt) << row.name;
    EXPECT_EQ(find_topic_key(row.name), &row);
    EXPECT_FALSE(row.documentation.empty()) << row.name;
  }
  EXPECT_EQ(find_topic_key("retention"), nullptr);
}

TEST(TopicConfigTable, DurableByDefault) {
  EXPECT_EQ(find_topic_key("flush.messages")->default_value, "1");
  EXPECT_EQ(find_topic_key("min.insync.replicas")->default_value, "2");
}

TEST(TopicConfigProblem, NamesKeyValueAndRange) {
  EXPECT_EQ(topic_config_problem("segment.bytes", "5"),
            "Invalid value 5 for segment.bytes: must be an integer from 1048576 to 2147483647");
  EXPECT_EQ(topic_config_problem("retention.ms", "-2"),
            "Invalid value -2 for retention.ms: must be an integer from -1 to 9223372036854775807");
  EXPECT_EQ(topic_config_problem("min.cleanable.dirty.ratio", "1.5"),
            "Invalid value 1.5 for min.cleanable.dirty.ratio: must be a number from 0 to 1");
  EXPECT_EQ(topic_config_problem("cleanup.policy", "compact,shred"),
            "Invalid value compact,shred for cleanup.policy: must be a list of compact, delete");
  EXPECT_EQ(topic_config_problem("message.timestamp.type", "createtime"),
            "Invalid value createtime for message.timestamp.type: must be one of CreateTime, LogAppendTime");
  EXPECT_EQ(topic_config_problem("preallocate", "yes"), "Invalid value yes for preallocate: must be true or false");
  EXPECT_EQ(topic_config_problem("compression.gzip.level", "0"),
            "Invalid value 0 for compression.gzip.level: must be an integer from 1 to 9, or -1");
  EXPECT_EQ(topic_config_problem("remote.storage.enable", "true"),
            "Invalid value true for remote.storage.enable: tiered storage is not supported");
}

TEST(TopicConfigProblem, UnknownKeysNameTheirNeighbour) {
  EXPECT_EQ(topic_config_problem("retention.mss", "1"),
            "Unknown topic config retention.mss; did you mean retention.ms?");
  EXPECT_EQ(topic_config_problem("zzzzzzzz", "1"), "Unknown topic config zzzzzzzz");
}

TEST(TopicConfigProblem, AcceptsWhatKafkaAccepts) {
  for (const auto& [name, value] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"cleanup.policy", "compact,delete"},
           {"cleanup.policy", " delete , compact "},
           {"cleanup.policy", ""},
           {"retention.ms", "-1"},
           {"retention.ms", " 5 "},
           {"retention.bytes", "-9223372036854775808"},
           {"unclean.leader.election.enable", "TRUE"},
           {"compression.zstd.level", "-131072"},
           {"min.cleanable.dirty.ratio", "0.25"},
           {"leader.replication.throttled.replicas", "*"},
           {"leader.replication.throttled.replicas", "0:1,3:2"}}) {
    EXPECT_EQ(topic_config_problem(name, value), std::nullopt) << name << "=" << value;
  }
}

TEST(TopicConfigProblem, RefusesWhatOnlyLooksLikeANumber) {
  for (const std::string_view value : {"", " ", "1x", "0x10", "1e3", "9223372036854775808", "--1", "1.0", "nan"}) {
    EXPECT_NE(topic_config_problem("retention.ms", value), std::nullopt) << value;
  }
  for (const std::string_view value : {"2147483648", "-2147483649"}) {
    EXPECT_NE(topic_config_problem("segment.bytes", value), std::nullopt) << value;
  }
  for (const std::string_view value : {"nan", "inf", "-0.1", ""}) {
    EXPECT_NE(topic_config_problem("min.cleanable.dirty.ratio", value), std::nullopt) << value;
  }
  for (const std::string_view value : {"0", "0:", ":1", "0:1,", "a:b", "-1:2"}) {
    EXPECT_NE(topic_config_problem("leader.replication.throttled.replicas", value), std::nullopt) << value;
  }
}

TEST(TopicConfigConflict, LagsMustBeInOrder) {
  EXPECT_EQ(topic_config_conflict({}), std::nullopt);
  EXPECT_EQ(topic_config_conflict({{"min.compaction.lag.ms", "10"}, {"max.compaction.lag.ms", "9"}}),
            "min.compaction.lag.ms (10) must not be above max.compaction.lag.ms (9)");
}

TEST(TopicConfigDefaults, BrokerKeysStandForTopicKeys) {
  const ConfigMap defaults = topic_config_defaults({{"log.segment.bytes", "2097152"},
                                                    {"message.max.bytes", "5"},
                                                    {"log.retention.hours", "2"},
                                                    {"log.roll.hours", "3"},
                                                    {"log.roll.jitter.hours", "1"},
                                                    {"num.partitions", "7"}});
  EXPECT_EQ(defaults.size(), topic_keys_by_name().size());
  EXPECT_EQ(defaults.at("segment.bytes"), "2097152");
  EXPECT_EQ(defaults.at("max.message.bytes"), "5");
  EXPECT_EQ(defaults.at("retention.ms"), "7200000");
  EXPECT_EQ(defaults.at("segment.ms"), "10800000");
  EXPECT_EQ(defaults.at("segment.jitter.ms"), "3600000");
  EXPECT_EQ(defaults.at("flush.messages"), "1");
}

TEST(TopicConfigDefaults, TheFinestUnitWins) {
  ConfigMap broker = {{"log.retention.hours", "2"}, {"log.retention.minutes", "3"}};
  EXPECT_EQ(topic_config_defaults(broker).at("retention.ms"), "180000");
  broker["log.retention.ms"] = "5";
  EXPECT_EQ(topic_config_defaults(broker).at("retention.ms"), "5");
  EXPECT_EQ(topic_config_defaults({{"log.retention.ms", "-1"}, {"log.retention.hours", "2"}}).at("retention.ms"), "-1");
  EXPECT_EQ(topic_config_defaults({{"log.roll.ms", "9"}, {"log.roll.hours", "1"}}).at("segment.ms"), "9");
  EXPECT_EQ(topic_config_defaults({{"log.retention.hours", "-1"}}).at("retention.ms"), "-1");
  EXPECT_EQ(topic_config_defaults({{"log.retention.hours", "9000000000000"}}).at("retention.ms"),
            "9223372036854775807");
}

TEST(LogConfig, DefaultsOfTheLogAreThoseOfTheTable) {
  const ConfigMap none;
  const storage::LogConfig from_table = log_config(TopicSettings(none, none), {});
  const storage::LogConfig fresh;
  EXPECT_EQ(from_table.segment_bytes, fresh.segment_bytes);
  EXPECT_EQ(from_table.segment_ms, fresh.segment_ms);
  EXPECT_EQ(from_table.segment_jitter_ms, fresh.segment_jitter_ms);
  EXPECT_EQ(from_table.retention.retention_ms, fresh.retention.retention_ms);
  EXPECT_EQ(from_table.retention.retention_bytes, fresh.retention.retention_bytes);
  EXPECT_EQ(from_table.batch.max_message_bytes, fresh.batch.max_message_bytes);
  EXPECT_EQ(from_table.batch.timestamp_type, fresh.batch.timestamp_type);
  EXPECT_EQ(from_table.batch.timestamp_before_max_ms, fresh.batch.timestamp_before_max_ms);
  EXPECT_EQ(from_table.batch.timestamp_after_max_ms, fresh.batch.timestamp_after_max_ms);
}

TEST(LogConfig, EveryKeyOfTheLogArrives) {
  const ConfigMap own = {{"max.message.bytes", " +5 "},
                         {"message.timestamp.after.max.ms", "6"},
                         {"message.timestamp.before.max.ms", "7"},
                         {"message.timestamp.type", " LogAppendTime "},
                         {"retention.bytes", "8"},
                         {"retention.ms", "9"},
                         {"segment.bytes", "1048577"},
                         {"segment.jitter.ms", "10"},
                         {"segment.ms", "11"}};
  const ConfigMap none;
  const storage::LogConfig log = log_config(TopicSettings(own, none), {.expiration_ms = 12, .max_producers = 13});
  EXPECT_EQ(log.batch.max_message_bytes, 5);
  EXPECT_EQ(log.batch.timestamp_after_max_ms, 6);
  EXPECT_EQ(log.batch.timestamp_before_max_ms, 7);
  EXPECT_EQ(log.batch.timestamp_type, storage::TimestampType::kLogAppendTime);
  EXPECT_EQ(log.retention.retention_bytes, 8);
  EXPECT_EQ(log.retention.retention_ms, 9);
  EXPECT_EQ(log.segment_bytes, 1'048'577U);
  EXPECT_EQ(log.segment_jitter_ms, 10);
  EXPECT_EQ(log.segment_ms, 11);
  EXPECT_EQ(log.producers.expiration_ms, 12);
  const auto goes_to_the_log = [](const TopicKey& key) { return key.to_log != nullptr; };
  EXPECT_EQ(std::ranges::count_if(topic_keys_by_name(), goes_to_the_log), std::ssize(own))
      << "a key is not tested here";
}

TEST(LogConfig, WithoutDeleteNothingGoesByAgeOrSize) {
  const ConfigMap own = {{"cleanup.policy", "compact"}, {"retention.ms", "9"}, {"retention.bytes", "8"}};
  const ConfigMap none;
  const storage::LogConfig log = log_config(TopicSettings(own, none), {});
  EXPECT_EQ(log.retention.retention_ms, -1);
  EXPECT_EQ(log.retention.retention_bytes, -1);
}

// What stands in the way of reading a key that its row calls ineffective. That each key that is called used is read:
// tests/architecture/settings.py.
TEST(TopicSettings, OnlyKeysThatAreUsedCanBeRead) {
  static_assert(topic_keys::Used<"flush.messages">);
  static_assert(topic_keys::Used<"compression.type">);
  static_assert(!topic_keys::Used<"index.interval.bytes">);
  static_assert(!topic_keys::Used<"remote.storage.enable">);
  static_assert(!topic_keys::Used<"flush.message">);
  static_assert(broker_key_table::Used<"num.partitions">);
  static_assert(broker_key_table::Used<"log.retention.ms">);
  static_assert(!broker_key_table::Used<"socket.listen.backlog.size">);
  static_assert(!broker_key_table::Used<"min.insync.replicas">);
  static_assert(!broker_key_table::Used<"num.partition">);
}

TEST(TopicSettings, TheTopicThenTheBrokerThenTheTable) {
  const ConfigMap defaults = topic_config_defaults({{"log.flush.interval.messages", "5"}});
  const ConfigMap own = {{"cleanup.policy", " compact , delete "}, {"compression.type", " zstd"}};
  const TopicSettings settings(own, defaults);
  EXPECT_EQ(settings.get<"cleanup.policy">(), "compact , delete");
  EXPECT_TRUE(list_holds(settings.get<"cleanup.policy">(), "compact"));
  EXPECT_TRUE(list_holds(settings.get<"cleanup.policy">(), "delete"));
  EXPECT_FALSE(list_holds(settings.get<"cleanup.policy">(), "comp"));
  EXPECT_EQ(settings.get<"compression.type">(), "zstd");
  EXPECT_EQ(settings.get<"flush.messages">(), 5);
  const ConfigMap none;
  EXPECT_EQ(TopicSettings(none, none).get<"flush.messages">(), 1);
}

TEST(TopicSettings, AStoredValueThatIsNoLongerValidFallsBack) {
  const ConfigMap own = {{"flush.messages", "0"}};
  const ConfigMap defaults = topic_config_defaults({});
  EXPECT_EQ(TopicSettings(own, defaults).get<"flush.messages">(), 1);
}

}  // namespace
}  // namespace posthaste::config
