// ElectLeaders: each answer, and that a large request goes in portions.
#include "replication/metadata/asked_elections.h"

#include <gtest/gtest.h>

#include "replication/testing/test_cluster.h"

namespace posthaste::replication {
namespace {

using net::kafka::ElectionType;
using net::kafka::ErrorCode;
using testing::Ids;
using testing::ids;
using testing::TestCluster;

class AskedElectionsTest : public ::testing::Test {
 protected:
  AskedElectionsTest() { cluster_.add_topic("a", {1, 2, 3}); }

  // Decides and applies it all. The sizes of its portions.
  std::vector<size_t> run(AskedElections& elections) {
    std::vector<size_t> sizes;
    for (bool more = true; more;) {
      std::vector<MetadataRecord> records;
      more = elections.next_portion(cluster_.image, cluster_.inputs(), records);
      sizes.push_back(records.size());
      cluster_.apply(records);
    }
    return sizes;
  }
  ErrorCode ask(ElectionType type, const std::string& topic = "a", int32_t index = 0) {
    AskedElections elections({.type = type, .topics = {{{topic, {index}}}}});
    run(elections);
    EXPECT_EQ(elections.results().at(0).topic, topic);
    const ElectionResult::Partition& answer = elections.results().at(0).partitions.at(0);
    EXPECT_EQ(answer.index, index);
    EXPECT_EQ(election_message(topic, answer).has_value(), answer.error != ErrorCode::kNone);
    return answer.error;
  }
  // All three lose power and return, but nobody has said what it holds.
  void doubt_all() {
    for (const int32_t id : {1, 2, 3}) cluster_.start(id, /*is_unverified=*/true);
    cluster_.settle("a");
  }
  void lose(const Ids& brokers) {
    for (const int32_t id : brokers) {
      cluster_.fence(id);
      cluster_.settle("a");
    }
  }
  void come(int32_t id) {
    cluster_.start(id);
    cluster_.unfence(id);
    cluster_.settle("a");
  }
  const PartitionImage& partition() const { return cluster_.partition("a"); }

  TestCluster cluster_{3};
};

TEST_F(AskedElectionsTest, ThePreferredLeaderIsElectedWhenItIsInSync) {
  lose({1});
  come(1);
  EXPECT_EQ(ask(ElectionType::kPreferred), ErrorCode::kPreferredLeaderNotAvailable) << "it is not in sync";
  EXPECT_EQ(partition().leader, 2);
  cluster_.settle("a", {.isr = Ids{2, 3, 1}});
  EXPECT_EQ(ask(ElectionType::kPreferred), ErrorCode::kNone);
  EXPECT_EQ(partition().leader, 1);
  EXPECT_EQ(ids(partition().isr), (Ids{2, 3, 1}));
  EXPECT_EQ(ask(ElectionType::kPreferred), ErrorCode::kElectionNotNeeded);
}

TEST_F(AskedElectionsTest, ARefusedElectionChangesNothingElse) {
  lose({1});
  cluster_.fence(3);
  const PartitionImage before = partition();
  EXPECT_EQ(ask(ElectionType::kPreferred), ErrorCode::kPreferredLeaderNotAvailable);
  EXPECT_EQ(partition(), before) << "broker 3 leaves the ISR when the sweep comes there";
}

TEST_F(AskedElectionsTest, AnUncleanElectionNeedsNoLeaveOfTheTopic) {
  EXPECT_EQ(ask(ElectionType::kUnclean), ErrorCode::kElectionNotNeeded);
  lose({3, 2, 1});
  EXPECT_EQ(ask(ElectionType::kUnclean), ErrorCode::kEligibleLeadersNotAvailable) << "nobody is there";
  come(3);
  EXPECT_EQ(partition().leader, kNobody);
  EXPECT_EQ(ask(ElectionType::kUnclean), ErrorCode::kNone);
  EXPECT_EQ(partition().leader, 3);
  EXPECT_EQ(partition().leader_recovery_state, kRecovering);
}

TEST_F(AskedElectionsTest, AnUncleanElectionIsCleanWhereItCanBe) {
  lose({3, 2, 1});
  cluster_.start(1);
  cluster_.unfence(1);
  EXPECT_EQ(ask(ElectionType::kUnclean), ErrorCode::kNone);
  EXPECT_EQ(partition().leader, 1);
  EXPECT_EQ(partition().leader_recovery_state, kRecovered);
}

TEST_F(AskedElectionsTest, AnUncleanElectionWaitsForAMemberThatIsThereAndHasNotReported) {
  lose({3});
  doubt_all();
  cluster_.unfence(2);
  EXPECT_EQ(ask(ElectionType::kUnclean), ErrorCode::kEligibleLeadersNotAvailable);
  EXPECT_EQ(partition().leader, kNobody);
}

TEST_F(AskedElectionsTest, WhatIsNotThereIsUnknown) {
  EXPECT_EQ(ask(ElectionType::kPreferred, "b"), ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(ask(ElectionType::kPreferred, "a", 1), ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(ask(ElectionType::kUnclean, "a", -1), ErrorCode::kUnknownTopicOrPartition);
}

TEST_F(AskedElectionsTest, OnlyTwoTypesAreKnown) {
  EXPECT_FALSE(AskedElections({.type = ElectionType::kUnclean, .topics = {}}).check());
  EXPECT_EQ(AskedElections({.type = static_cast<ElectionType>(2), .topics = {}}).check()->error,
            ErrorCode::kInvalidRequest);
}

// Partitions whose first replica is in sync and does not lead.
class LargeElectionsTest : public AskedElectionsTest {
 protected:
  void add_moved(const std::string& name, int32_t partitions) {
    cluster_.add_topic(name, {2, 3}, partitions);
    for (int32_t index = 0; index < partitions; ++index) {
      PartitionChangeRecord record = cluster_.change_of(name);
      record.partition_id = index;
      record.leader = 3;
      cluster_.apply(record);
    }
  }
};

TEST_F(LargeElectionsTest, AllGoInPortionsAndWhatIsNotNeededIsNotNamed) {
  add_moved("b", 1'500);
  cluster_.add_topic("c", {1, 2}, 12'000);
  add_moved("d", 10);
  AskedElections elections({.type = ElectionType::kPreferred, .topics = {}});
  EXPECT_EQ(run(elections), (std::vector<size_t>{1'000, 500, 0, 10}));
  ASSERT_EQ(elections.results().size(), 2U);
  EXPECT_EQ(elections.results()[0].topic, "b");
  EXPECT_EQ(elections.results()[0].partitions.size(), 1'500U) << "over two portions";
  EXPECT_EQ(elections.results()[1].topic, "d");
}

TEST_F(LargeElectionsTest, NamedOnesGoInPortionsInTheOrderOfTheRequest) {
  add_moved("b", 1'500);
  ElectLeaders request{.topics = {{{"b", {}}, {"x", {0}}, {"b", {7, 7}}}}};
  for (int32_t index = 0; index < 1'500; ++index) request.topics->front().partitions.push_back(index);
  AskedElections elections(std::move(request));
  EXPECT_EQ(run(elections), (std::vector<size_t>{1'000, 500}));
  ASSERT_EQ(elections.results().size(), 3U);
  EXPECT_EQ(elections.results()[0].partitions.size(), 1'500U);
  EXPECT_EQ(elections.results()[1].partitions.at(0).error, ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(elections.results()[2].partitions.at(1).error, ErrorCode::kNone) << "it was elected by this request";
}

TEST_F(LargeElectionsTest, TopicsThatSayNothingAreWorkToo) {
  ElectLeaders request{.topics = std::vector<ElectLeaders::Topic>(12'000, {"a", {}})};
  AskedElections elections(std::move(request));
  EXPECT_EQ(run(elections).size(), 3U);
  EXPECT_EQ(elections.results().size(), 12'000U);
}

}  // namespace
}  // namespace posthaste::replication
