// The metadata image: each record's effect, refusals that change nothing, and snapshots.
#include "broker/metadata/image.h"

#include <gtest/gtest.h>

#include "reactor/check.h"

namespace posthaste::broker {
namespace {

using reactor::Errc;

Uuid id_of(uint8_t fill) {
  Uuid id;
  id.bytes.fill(static_cast<std::byte>(fill));
  return id;
}

PartitionRecord partition(int32_t index, Uuid topic, int32_t leader = 1) {
  PartitionRecord record;
  record.partition_id = index;
  record.topic_id = topic;
  record.replicas = {1, 2};
  record.isr = {1, 2};
  record.leader = leader;
  record.leader_epoch = 0;
  record.partition_epoch = 0;
  return record;
}

Errc refused(MetadataImage& image, const MetadataRecord& record) {
  const uint64_t version = image.version();
  const auto before = image.to_records();
  const auto result = image.apply(record);
  CHECK(!result.has_value(), "accepted");
  EXPECT_EQ(image.version(), version);
  EXPECT_EQ(image.to_records(), before) << "a refused record changed something";
  return result.error();
}

MetadataImage some_image() {
  MetadataImage image;
  RegisterBrokerRecord broker;
  broker.broker_id = 1;
  broker.fenced = false;
  const std::vector<MetadataRecord> records = {
      FeatureLevelRecord{"metadata.version", 25},
      broker,
      TopicRecord{"orders", id_of(1)},
      partition(0, id_of(1)),
      partition(1, id_of(1), 2),
      ConfigRecord{kTopicResource, "orders", "retention.ms", "5"},
      ConfigRecord{kBrokerResource, "", "log.retention.ms", "6"},
      ProducerIdsRecord{1, 2, 3'000},
  };
  for (const MetadataRecord& record : records) CHECK(image.apply(record).has_value(), "refused");
  return image;
}

TEST(MetadataImage, HoldsWhatWasApplied) {
  const MetadataImage image = some_image();
  ASSERT_NE(image.topic("orders"), nullptr);
  EXPECT_EQ(image.topic(id_of(1)), image.topic("orders"));
  EXPECT_EQ(image.topic("other"), nullptr);
  EXPECT_EQ(image.topic(id_of(2)), nullptr);
  EXPECT_EQ(image.partition("orders", 1)->leader, 2);
  EXPECT_EQ(image.partition("orders", 2), nullptr);
  EXPECT_EQ(image.partition("orders", -1), nullptr);
  EXPECT_EQ(image.partition("other", 0), nullptr);
  EXPECT_EQ(image.topic("orders")->configs.at("retention.ms"), "5");
  EXPECT_EQ(image.broker_configs("").at("log.retention.ms"), "6");
  EXPECT_TRUE(image.broker_configs("1").empty());
  EXPECT_EQ(image.next_producer_id(), 3'000);
  EXPECT_EQ(image.features().at("metadata.version"), 25);
  EXPECT_EQ(image.partition_count(), 2U);
  EXPECT_EQ(image.version(), 8U);
}

TEST(MetadataImage, ChangesOfAPartition) {
  MetadataImage image = some_image();
  ASSERT_TRUE(image.apply(PartitionChangeRecord{0, id_of(1), std::vector<int32_t>{1}, std::nullopt}).has_value());
  EXPECT_EQ(image.partition("orders", 0)->isr, std::vector<int32_t>{1});
  EXPECT_EQ(image.partition("orders", 0)->leader_epoch, 0);
  EXPECT_EQ(image.partition("orders", 0)->partition_epoch, 1);
  // The same leader again is a new epoch: how a restarted broker leads.
  ASSERT_TRUE(image.apply(PartitionChangeRecord{0, id_of(1), std::nullopt, 1}).has_value());
  EXPECT_EQ(image.partition("orders", 0)->leader_epoch, 1);
  EXPECT_EQ(image.partition("orders", 0)->partition_epoch, 2);
  EXPECT_EQ(refused(image, PartitionChangeRecord{0, id_of(1), std::nullopt, 2}), Errc::kCorrupt);  // not in the ISR
  EXPECT_EQ(refused(image, PartitionChangeRecord{0, id_of(1), std::vector<int32_t>{9}, std::nullopt}), Errc::kCorrupt);
  EXPECT_EQ(refused(image, PartitionChangeRecord{2, id_of(1), std::nullopt, 1}), Errc::kNotFound);
  EXPECT_EQ(refused(image, PartitionChangeRecord{0, id_of(9), std::nullopt, 1}), Errc::kNotFound);
}

TEST(MetadataImage, RemovingATopicTakesAllOfIt) {
  MetadataImage image = some_image();
  ASSERT_TRUE(image.apply(RemoveTopicRecord{id_of(1)}).has_value());
  EXPECT_EQ(image.topic("orders"), nullptr);
  EXPECT_EQ(image.partition_count(), 0U);
  EXPECT_EQ(refused(image, RemoveTopicRecord{id_of(1)}), Errc::kNotFound);
  ASSERT_TRUE(image.apply(TopicRecord{"orders", id_of(3)}).has_value());
  EXPECT_TRUE(image.topic("orders")->configs.empty());
  EXPECT_TRUE(image.topic("orders")->partitions.empty());
}

TEST(MetadataImage, SettingsGoBackToTheDefault) {
  MetadataImage image = some_image();
  ASSERT_TRUE(image.apply(ConfigRecord{kTopicResource, "orders", "retention.ms", std::nullopt}).has_value());
  EXPECT_TRUE(image.topic("orders")->configs.empty());
  EXPECT_EQ(refused(image, ConfigRecord{kTopicResource, "other", "retention.ms", "1"}), Errc::kNotFound);
  EXPECT_EQ(refused(image, ConfigRecord{99, "x", "y", "1"}), Errc::kUnsupported);
}

TEST(MetadataImage, RefusesRecordsThatContradict) {
  MetadataImage image = some_image();
  EXPECT_EQ(refused(image, TopicRecord{"orders", id_of(2)}), Errc::kExists);
  EXPECT_EQ(refused(image, TopicRecord{"other", id_of(1)}), Errc::kExists);
  EXPECT_EQ(refused(image, TopicRecord{"", id_of(2)}), Errc::kCorrupt);
  EXPECT_EQ(refused(image, TopicRecord{"other", Uuid{}}), Errc::kCorrupt);
  EXPECT_EQ(refused(image, partition(3, id_of(1))), Errc::kOutOfOrder);
  EXPECT_EQ(refused(image, partition(-1, id_of(1))), Errc::kCorrupt);
  EXPECT_EQ(refused(image, partition(0, id_of(9))), Errc::kNotFound);
  EXPECT_EQ(refused(image, partition(0, id_of(1), 7)), Errc::kCorrupt);
  PartitionRecord twice = partition(0, id_of(1));
  twice.replicas = {1, 1};
  EXPECT_EQ(refused(image, twice), Errc::kCorrupt);
  EXPECT_EQ(refused(image, ProducerIdsRecord{1, 2, 2'999}), Errc::kCorrupt);
  EXPECT_EQ(refused(image, RegisterBrokerRecord{}), Errc::kCorrupt);
}

TEST(MetadataImage, ASnapshotRebuildsIt) {
  const MetadataImage image = some_image();
  MetadataImage rebuilt;
  for (const MetadataRecord& record : image.to_records()) {
    ASSERT_TRUE(rebuilt.apply_bytes(encode(record)).has_value());
  }
  EXPECT_EQ(rebuilt.to_records(), image.to_records());
  EXPECT_EQ(rebuilt.topics(), image.topics());
  EXPECT_EQ(rebuilt.partition_count(), image.partition_count());
  EXPECT_FALSE(rebuilt.apply_bytes("x").has_value());
}

TEST(MetadataImage, ACopyIsASnapshot) {
  MetadataImage image = some_image();
  const MetadataImage before = image;
  ASSERT_TRUE(image.apply(RemoveTopicRecord{id_of(1)}).has_value());
  EXPECT_NE(before.topic("orders"), nullptr);
}

TEST(MetadataImage, FencedBrokersAreNotActive) {
  MetadataImage image = some_image();
  RegisterBrokerRecord second;
  second.broker_id = 2;
  ASSERT_TRUE(image.apply(second).has_value());
  EXPECT_EQ(image.active_brokers(), std::vector<int32_t>{1});
  second.fenced = false;
  ASSERT_TRUE(image.apply(second).has_value());
  EXPECT_EQ(image.active_brokers(), (std::vector<int32_t>{1, 2}));
}

// One record per start, however many partitions: a new incarnation is a new epoch everywhere that broker leads.
TEST(MetadataImage, ANewIncarnationBeginsNewEpochsOfWhatItLeads) {
  MetadataImage image = some_image();
  RegisterBrokerRecord again = image.brokers().at(1);
  ASSERT_TRUE(image.apply(again).has_value());
  EXPECT_EQ(image.partition("orders", 0)->leader_epoch, 0) << "the same life, registered twice";
  again.incarnation_id = id_of(9);
  ASSERT_TRUE(image.apply(again).has_value());
  EXPECT_EQ(image.partition("orders", 0)->leader_epoch, 1);
  EXPECT_EQ(image.partition("orders", 0)->partition_epoch, 1);
  EXPECT_EQ(image.partition("orders", 1)->leader_epoch, 0) << "led by another broker";
  MetadataImage rebuilt;
  for (const MetadataRecord& record : image.to_records()) ASSERT_TRUE(rebuilt.apply(record).has_value());
  EXPECT_EQ(rebuilt.to_records(), image.to_records());
}

TEST(MetadataImage, TransactionsDoNotNest) {
  MetadataImage image;
  EXPECT_EQ(refused(image, EndTransactionRecord{}), Errc::kCorrupt);
  ASSERT_TRUE(image.apply(BeginTransactionRecord{"snapshot"}).has_value());
  EXPECT_EQ(refused(image, BeginTransactionRecord{}), Errc::kCorrupt);
  ASSERT_TRUE(image.apply(EndTransactionRecord{}).has_value());
  EXPECT_EQ(refused(image, EndTransactionRecord{}), Errc::kCorrupt);
}

}  // namespace
}  // namespace posthaste::broker
