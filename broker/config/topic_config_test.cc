// The table of topic keys, its error messages, and how defaults come together.
#include "broker/config/topic_config.h"

#include <gtest/gtest.h>

namespace posthaste::broker {
namespace {

TEST(TopicConfigTable, DefaultsAreValidAndRowsAreFindable) {
  EXPECT_EQ(topic_config_definitions().size(), 33U);  // Kafka 4.3 has so many
  for (const TopicConfigDefinition& row : topic_config_definitions()) {
    EXPECT_EQ(topic_config_problem(row.name, row.default_value), std::nullopt) << row.name;
    EXPECT_EQ(find_topic_config(row.name), &row);
    EXPECT_FALSE(row.documentation.empty()) << row.name;
  }
  EXPECT_EQ(find_topic_config("retention"), nullptr);
}

TEST(TopicConfigTable, DurableByDefault) {
  EXPECT_EQ(find_topic_config("flush.messages")->default_value, "1");
  EXPECT_EQ(find_topic_config("min.insync.replicas")->default_value, "2");
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
  EXPECT_EQ(defaults.size(), topic_config_definitions().size());
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

TEST(TypedTopicConfig, DefaultsOfTheStructAreThoseOfTheTable) {
  const TopicConfig from_table = typed_topic_config({}, {});
  const TopicConfig fresh;
  EXPECT_EQ(from_table.delete_old, fresh.delete_old);
  EXPECT_EQ(from_table.compact, fresh.compact);
  EXPECT_EQ(from_table.compression_type, fresh.compression_type);
  EXPECT_EQ(from_table.delete_retention_ms, fresh.delete_retention_ms);
  EXPECT_EQ(from_table.flush_messages, fresh.flush_messages);
  EXPECT_EQ(from_table.flush_ms, fresh.flush_ms);
  EXPECT_EQ(from_table.index_interval_bytes, fresh.index_interval_bytes);
  EXPECT_EQ(from_table.max_compaction_lag_ms, fresh.max_compaction_lag_ms);
  EXPECT_EQ(from_table.max_message_bytes, fresh.max_message_bytes);
  EXPECT_EQ(from_table.message_timestamp_after_max_ms, fresh.message_timestamp_after_max_ms);
  EXPECT_EQ(from_table.message_timestamp_before_max_ms, fresh.message_timestamp_before_max_ms);
  EXPECT_EQ(from_table.message_timestamp_type, fresh.message_timestamp_type);
  EXPECT_DOUBLE_EQ(from_table.min_cleanable_dirty_ratio, fresh.min_cleanable_dirty_ratio);
  EXPECT_EQ(from_table.min_compaction_lag_ms, fresh.min_compaction_lag_ms);
  EXPECT_EQ(from_table.min_insync_replicas, fresh.min_insync_replicas);
  EXPECT_EQ(from_table.retention_bytes, fresh.retention_bytes);
  EXPECT_EQ(from_table.retention_ms, fresh.retention_ms);
  EXPECT_EQ(from_table.segment_bytes, fresh.segment_bytes);
  EXPECT_EQ(from_table.segment_jitter_ms, fresh.segment_jitter_ms);
  EXPECT_EQ(from_table.segment_ms, fresh.segment_ms);
  EXPECT_EQ(from_table.unclean_leader_election_enable, fresh.unclean_leader_election_enable);
}

TEST(TypedTopicConfig, TheTopicThenTheBrokerThenTheTable) {
  const ConfigMap defaults = topic_config_defaults({{"log.retention.ms", "5"}, {"log.segment.bytes", "2097152"}});
  const TopicConfig config = typed_topic_config({{"retention.ms", "7"},
                                                 {"cleanup.policy", "compact"},
                                                 {"compression.type", "zstd"},
                                                 {"message.timestamp.type", "LogAppendTime"}},
                                                defaults);
  EXPECT_EQ(config.retention_ms, 7);
  EXPECT_EQ(config.segment_bytes, 2'097'152);
  EXPECT_TRUE(config.compact);
  EXPECT_FALSE(config.delete_old);
  EXPECT_EQ(config.compression_type, CompressionType::kZstd);
  EXPECT_EQ(config.message_timestamp_type, TimestampType::kLogAppendTime);
  EXPECT_EQ(config.index_interval_bytes, 4'096);
}

TEST(TypedTopicConfig, AStoredValueThatIsNoLongerValidFallsBack) {
  EXPECT_EQ(typed_topic_config({{"segment.bytes", "14"}}, topic_config_defaults({})).segment_bytes, 1'073'741'824);
}

}  // namespace
}  // namespace posthaste::broker
