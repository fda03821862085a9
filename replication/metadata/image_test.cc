// The metadata image: each record's effect, refusals that change nothing, and snapshots.
#include "replication/metadata/image.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "reactor/check.h"

namespace posthaste::replication {
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
  EXPECT_EQ(image.topic("orders")->configs().at("retention.ms"), "5");
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
  EXPECT_TRUE(image.topic("orders")->configs().empty());
  EXPECT_TRUE(image.topic("orders")->partitions.empty());
}

TEST(MetadataImage, SettingsGoBackToTheDefault) {
  MetadataImage image = some_image();
  ASSERT_TRUE(image.apply(ConfigRecord{kTopicResource, "orders", "retention.ms", std::nullopt}).has_value());
  EXPECT_TRUE(image.topic("orders")->configs().empty());
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
  EXPECT_EQ(rebuilt.partition_count(), image.partition_count());
  EXPECT_FALSE(rebuilt.apply_bytes("x").has_value());
}

TEST(MetadataImage, ACopyIsASnapshot) {
  MetadataImage image = some_image();
  const MetadataImage before = image;
  ASSERT_TRUE(image.apply(RemoveTopicRecord{id_of(1)}).has_value());
  EXPECT_NE(before.topic("orders"), nullptr);
}

// The image in the simplest words.
struct Model {
  std::map<std::string, TopicImage> topics;
  std::string name_of(const Uuid& id) const {
    for (const auto& [name, topic] : topics) {
      if (topic.id == id) return name;
    }
    return "";
  }
};

void expect_same(const MetadataImage& image, const Model& model) {
  ASSERT_EQ(image.topics().size(), model.topics.size());
  image.topics().check();
  auto at = model.topics.begin();
  size_t partitions = 0;
  image.topics().for_each([&](const TopicImage& topic) {
    ASSERT_NE(at, model.topics.end());
    EXPECT_EQ(topic, at->second);
    EXPECT_EQ(image.topic(topic.id), &topic) << "found by its id, it is another one";
    EXPECT_EQ(image.topic(topic.name), &topic);
    partitions += topic.partitions.size();
    ++at;
  });
  EXPECT_EQ(image.partition_count(), partitions);
}

// One random record to both; what names a topic that is not there is for the other tests.
void change(MetadataImage& image, Model& model, std::mt19937& random) {
  const auto number = static_cast<uint8_t>(1 + random() % 60);
  const Uuid id = id_of(number);
  const std::string name = model.name_of(id);
  if (name.empty()) {
    const std::string made = std::to_string(random() % 1000);
    if (model.topics.contains(made)) return;
    ASSERT_TRUE(image.apply(TopicRecord{made, id}).has_value());
    model.topics.emplace(made, TopicImage{made, id, {}, reactor::Cow(config::ConfigMap())});
    return;
  }
  TopicImage& topic = model.topics.at(name);
  const unsigned dice = random() % 8;
  if (dice == 0) {
    ASSERT_TRUE(image.apply(RemoveTopicRecord{id}).has_value());
    model.topics.erase(name);
  } else if (dice < 3 && !topic.partitions.empty()) {
    const size_t index = random() % topic.partitions.size();
    const PartitionChangeRecord record{static_cast<int32_t>(index), id, std::vector<int32_t>{1}, 1};
    ASSERT_TRUE(image.apply(record).has_value());
    PartitionImage& changed = topic.partitions.write(index);
    changed.isr = {1};
    changed.leader = 1;
    ++changed.leader_epoch;
    ++changed.partition_epoch;
  } else if (dice < 4) {
    const std::string value = std::to_string(random() % 9);
    ASSERT_TRUE(image.apply(ConfigRecord{kTopicResource, name, "retention.ms", value}).has_value());
    topic.write_configs()["retention.ms"] = value;
  } else {
    ASSERT_TRUE(image.apply(partition(static_cast<int32_t>(topic.partitions.size()), id)).has_value());
    topic.partitions.push_back(
        {.replicas = {1, 2}, .isr = {1, 2}, .leader = 1, .leader_epoch = 0, .partition_epoch = 0});
  }
}

TEST(MetadataImage, IsAsAModelAndSoIsEachSnapshot) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    MetadataImage image;
    Model model;
    std::deque<std::pair<MetadataImage, Model>> snapshots;
    for (int step = 0; step < 1000; ++step) {
      change(image, model, random);
      if (random() % 20 == 0) snapshots.emplace_back(image, model);
      if (snapshots.size() < 10) continue;
      const auto any = snapshots.begin() + static_cast<ptrdiff_t>(random() % snapshots.size());
      expect_same(any->first, any->second);
      snapshots.erase(any);
    }
    expect_same(image, model);
    for (const auto& [snapshot, was] : snapshots) expect_same(snapshot, was);
  }
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

// However the records are cut: a piece may end behind any of them.
TEST(MetadataImage, PiecesOfASnapshotMakeTheSameImage) {
  MetadataImage image = some_image();
  for (uint8_t topic = 2; topic < 6; ++topic) {
    ASSERT_TRUE(image.apply(TopicRecord{std::string(topic, 't'), id_of(topic)}).has_value());
    ASSERT_TRUE(image.apply(partition(0, id_of(topic))).has_value());
  }
  for (size_t enough = 1; enough < 12; ++enough) {
    MetadataImage rebuilt;
    MetadataImage::RecordsPosition at;
    for (bool more = true; more;) {
      std::vector<MetadataRecord> piece;
      more = image.next_records(at, enough, piece);
      for (const MetadataRecord& record : piece) {
        ASSERT_TRUE(rebuilt.apply(record).has_value()) << "pieces of " << enough;
      }
    }
    EXPECT_EQ(rebuilt.to_records(), image.to_records()) << "pieces of " << enough;
  }
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
}  // namespace posthaste::replication
