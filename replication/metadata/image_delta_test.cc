// The delta of a change against what really differs between the images before and after it.
#include "replication/metadata/image_delta.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "reactor/check.h"

namespace posthaste::replication {
namespace {

Uuid id_of(uint8_t fill) {
  Uuid id;
  id.bytes.fill(static_cast<std::byte>(fill));
  return id;
}

PartitionRecord partition(int32_t index, Uuid topic) {
  PartitionRecord record;
  record.partition_id = index;
  record.topic_id = topic;
  record.replicas = {1};
  record.isr = {1};
  record.leader = 1;
  record.leader_epoch = 0;
  record.partition_epoch = 0;
  return record;
}

MetadataImage image_of(const std::vector<MetadataRecord>& records) {
  MetadataImage image;
  for (const MetadataRecord& record : records) CHECK(image.apply(record).has_value(), "refused");
  return image;
}

MetadataImage some_image() {
  return image_of({TopicRecord{"a", id_of(1)}, partition(0, id_of(1)), partition(1, id_of(1)),
                   TopicRecord{"b", id_of(2)}, partition(0, id_of(2))});
}

TEST(ImageDelta, NamesEachTopicOnceInTheOrderOfTheRecords) {
  const ImageDelta delta =
      delta_of(some_image(), {TopicRecord{"c", id_of(3)}, partition(0, id_of(3)), partition(2, id_of(1)),
                              ConfigRecord{kTopicResource, "c", "retention.ms", "5"}});
  EXPECT_EQ(delta.changed, (std::vector<Uuid>{id_of(3), id_of(1)}));
  EXPECT_TRUE(delta.removed.empty());
  EXPECT_FALSE(delta.all_changed);
}

TEST(ImageDelta, KeepsWhatIsKnownOfATopicThatGoes) {
  const ImageDelta delta = delta_of(some_image(), {RemoveTopicRecord{id_of(1)}});
  EXPECT_TRUE(delta.changed.empty());
  ASSERT_EQ(delta.removed.size(), 1U);
  EXPECT_EQ(delta.removed[0].id, id_of(1));
  EXPECT_EQ(delta.removed[0].name, "a");
  EXPECT_EQ(delta.removed[0].partitions, 2U);
}

TEST(ImageDelta, ATopicThatComesAndGoesIsNothing) {
  EXPECT_TRUE(delta_of(some_image(), {TopicRecord{"c", id_of(3)}, RemoveTopicRecord{id_of(3)}}).empty());
}

TEST(ImageDelta, ANameThatComesAgainIsTheNewTopic) {
  const ImageDelta delta = delta_of(some_image(), {RemoveTopicRecord{id_of(1)}, TopicRecord{"a", id_of(3)},
                                                   ConfigRecord{kTopicResource, "a", "retention.ms", "5"}});
  EXPECT_EQ(delta.changed, std::vector<Uuid>{id_of(3)});
  ASSERT_EQ(delta.removed.size(), 1U);
  EXPECT_EQ(delta.removed[0].id, id_of(1));
}

TEST(ImageDelta, WhatConcernsAllTopics) {
  EXPECT_TRUE(delta_of(some_image(), {ConfigRecord{kBrokerResource, "", "log.retention.ms", "6"}}).all_changed);
  EXPECT_TRUE(delta_of(some_image(), {RegisterBrokerRecord{.broker_id = 1}}).all_changed);
  EXPECT_TRUE(delta_of(some_image(), {UnregisterBrokerRecord{.broker_id = 1}}).all_changed);
  EXPECT_TRUE(delta_of(some_image(), {ClearElrRecord{}}).all_changed);
  EXPECT_TRUE(delta_of(some_image(), {ProducerIdsRecord{1, 2, 3'000}}).empty());
}

// A few records that apply one after the other; `image` follows.
std::vector<MetadataRecord> random_change(MetadataImage& image, std::mt19937& random) {
  std::vector<MetadataRecord> records;
  for (unsigned count = 1 + random() % 5; count > 0; --count) {
    const auto number = static_cast<uint8_t>(1 + random() % 30);
    const TopicImage* topic = image.topic(id_of(number));
    MetadataRecord record = TopicRecord{std::to_string(number), id_of(number)};
    if (topic != nullptr) {
      const auto partitions = static_cast<int32_t>(topic->partitions.size());
      const unsigned dice = random() % 4;
      if (dice == 0) record = RemoveTopicRecord{topic->id};
      if (dice == 1 && partitions > 0) record = PartitionChangeRecord{0, topic->id, std::nullopt, 1};
      if (dice == 2 || (dice == 1 && partitions == 0)) record = partition(partitions, topic->id);
      if (dice == 3) record = ConfigRecord{kTopicResource, topic->name, "retention.ms", std::to_string(random())};
    }
    CHECK(image.apply(record).has_value(), "refused");
    records.push_back(std::move(record));
  }
  return records;
}

TEST(ImageDelta, WhatConcernsOneTopicOrNone) {
  EXPECT_EQ(delta_of(some_image(), {ClearElrRecord{"b"}}).changed, std::vector<Uuid>{id_of(2)});
  EXPECT_TRUE(delta_of(some_image(), {BrokerRegistrationChangeRecord{.broker_id = 1}}).empty());
}

TEST(ImageDelta, HasAllThatDiffersAndNothingElse) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    MetadataImage after;
    for (int step = 0; step < 200; ++step) {
      const MetadataImage before = after;
      const ImageDelta delta = delta_of(before, random_change(after, random));
      const std::set<Uuid> changed(delta.changed.begin(), delta.changed.end());
      EXPECT_EQ(changed.size(), delta.changed.size());
      std::set<Uuid> removed;
      for (const ImageDelta::Removed& topic : delta.removed) removed.insert(topic.id);
      for (uint8_t number = 1; number <= 30; ++number) {
        const TopicImage* was = before.topic(id_of(number));
        const TopicImage* is = after.topic(id_of(number));
        if (was == nullptr && is == nullptr) {
          EXPECT_FALSE(changed.contains(id_of(number)));
          continue;
        }
        if (is == nullptr) EXPECT_TRUE(removed.contains(id_of(number))) << static_cast<int>(number);
        if (was == nullptr) EXPECT_FALSE(removed.contains(id_of(number))) << static_cast<int>(number);
        if (is == nullptr) continue;
        const bool differs = was == nullptr || !(*was == *is);
        if (differs) EXPECT_TRUE(changed.contains(id_of(number))) << static_cast<int>(number);
        if (was == is) EXPECT_FALSE(changed.contains(id_of(number))) << static_cast<int>(number);
      }
    }
  }
}

}  // namespace
}  // namespace posthaste::replication
