// A change of the effective min.insync.replicas clears ELRs in the batch of the setting, and no other change does.
#include <gtest/gtest.h>

#include "replication/metadata/config_controller.h"
#include "replication/testing/test_cluster.h"

namespace posthaste::replication {
namespace {

using net::kafka::ConfigResourceType;
using net::kafka::ErrorCode;
using testing::Ids;
using testing::TestCluster;

// Topics "a" and "b" with three replicas, of which one is in sync and one eligible.
class MinIsrChangeTest : public ::testing::Test {
 protected:
  MinIsrChangeTest() {
    for (const std::string topic : {"a", "b"}) {
      cluster_.add_topic(topic, {1, 2, 3});
      shrink(topic);
    }
  }
  void shrink(const std::string& topic) {
    PartitionChangeRecord record = cluster_.change_of(topic);
    record.isr = Ids{1};
    record.elr = Ids{2};
    cluster_.apply(record);
  }
  // Of a topic; with an empty name the default of all brokers. What follows is one batch.
  std::vector<MetadataRecord> set(const std::string& name, const std::string& key, std::optional<std::string> value) {
    AlterConfigsRequest request;
    request.resources.push_back(
        {.type = name.empty() ? ConfigResourceType::kBroker : ConfigResourceType::kTopic,
         .name = name,
         .changes = {{.name = key,
                      .operation = value ? ConfigChange::Operation::kSet : ConfigChange::Operation::kDelete,
                      .value = value}}});
    TopicRules rules;
    rules.defaults = cluster_.inputs().defaults;
    ConfigChanges changes(0, request);
    AlterConfigsOutcome outcome;
    changes.note_next(cluster_.image);
    changes.decide_next(cluster_.image, rules, outcome);
    EXPECT_EQ(outcome.results.front().error, ErrorCode::kNone) << outcome.results.front().message.value_or("");
    cluster_.apply(outcome.records);
    return outcome.records;
  }
  bool has_elr(const std::string& topic) const { return !cluster_.partition(topic).unsettled.elr().empty(); }

  TestCluster cluster_{3};
};

TEST_F(MinIsrChangeTest, ATopicsOwnClearsItsElrs) {
  EXPECT_EQ(set("a", "min.insync.replicas", "1").size(), 2U);
  EXPECT_FALSE(has_elr("a"));
  EXPECT_TRUE(has_elr("b"));
}

TEST_F(MinIsrChangeTest, WhatHoldsAlreadyOrIsTheSameInEffectClearsNothing) {
  EXPECT_EQ(set("a", "min.insync.replicas", "2").size(), 1U) << "the default is 2";
  EXPECT_TRUE(has_elr("a"));
  set("b", "min.insync.replicas", "3");
  EXPECT_FALSE(has_elr("b"));
  shrink("b");
  set("b", "min.insync.replicas", "7");
  EXPECT_TRUE(has_elr("b")) << "there are three replicas";
  set("b", "retention.ms", "5");
  EXPECT_TRUE(has_elr("b"));
}

TEST_F(MinIsrChangeTest, GoingBackToTheDefaultIsAChangeToo) {
  set("a", "min.insync.replicas", "1");
  shrink("a");
  set("a", "min.insync.replicas", std::nullopt);
  EXPECT_FALSE(has_elr("a"));
}

TEST_F(MinIsrChangeTest, TheDefaultOfAllBrokersClearsThoseWithoutTheirOwn) {
  set("a", "min.insync.replicas", "2");
  set("", "log.retention.ms", "6");
  EXPECT_TRUE(has_elr("b"));
  set("", "min.insync.replicas", "1");
  EXPECT_TRUE(has_elr("a"));
  EXPECT_FALSE(has_elr("b"));
}

// The log of a lone broker, whose partitions have no ELR, holds what it always held.
TEST_F(MinIsrChangeTest, WithoutAnElrThereIsNoRecordOfIt) {
  cluster_.apply(RemoveTopicRecord{testing::topic_id("a")});
  cluster_.apply(RemoveTopicRecord{testing::topic_id("b")});
  cluster_.add_topic("a", {1});
  EXPECT_EQ(set("a", "min.insync.replicas", "1").size(), 1U);
  EXPECT_EQ(set("", "min.insync.replicas", "3").size(), 1U);
}

}  // namespace
}  // namespace posthaste::replication
