// Reassignments: begun, replaced, cancelled, ended in the step in which the last replica is in sync; what is refused.
#include "replication/metadata/reassignments.h"

#include <gtest/gtest.h>

#include "replication/metadata/broker_changes.h"
#include "replication/metadata/isr_changes.h"
#include "replication/metadata/partition_growth.h"
#include "replication/testing/test_cluster.h"

namespace posthaste::replication {
namespace {

using net::kafka::ErrorCode;
using testing::Ids;
using testing::ids;
using testing::TestCluster;
using testing::topic_id;

// Six brokers; topic "a" on the first three, two of which must have a record.
class ReassignmentsTest : public ::testing::Test {
 protected:
  ReassignmentsTest() { cluster_.add_topic("a", {1, 2, 3}); }

  std::vector<size_t> run(Reassignments& reassignments) {
    std::vector<size_t> sizes;
    for (bool more = true; more;) {
      std::vector<MetadataRecord> records;
      more = reassignments.next_portion(cluster_.image, cluster_.inputs(), records);
      sizes.push_back(records.size());
      cluster_.apply(records);
    }
    return sizes;
  }
  ErrorCode ask(std::optional<Ids> target, const std::string& topic = "a", int32_t index = 0, bool may_change = true) {
    Reassignments asked({.topics = {{topic, {{index, std::move(target)}}}}, .may_change_factor = may_change});
    run(asked);
    const ReassignResult::Partition& answer = asked.results().at(0).partitions.at(0);
    EXPECT_EQ(answer.index, index);
    EXPECT_EQ(answer.message.empty(), answer.error == ErrorCode::kNone);
    return answer.error;
  }
  void move(const Ids& target) { ASSERT_EQ(ask(target), ErrorCode::kNone); }
  void cancel() { ASSERT_EQ(ask({}), ErrorCode::kNone); }
  void sync(const Ids& isr) { cluster_.settle("a", {.isr = isr}); }
  void lose(const Ids& brokers) {
    for (const int32_t id : brokers) {
      cluster_.fence(id);
      cluster_.settle("a");
    }
  }
  void expect_over(const Ids& replicas) const { EXPECT_EQ(plan_of(partition()), ReplicaPlan{.replicas = replicas}); }
  const PartitionImage& partition() const { return cluster_.partition("a"); }
  Ids isr() const { return ids(partition().isr); }
  Ids elr() const { return ids(partition().unsettled.elr()); }

  TestCluster cluster_{6};
};

TEST_F(ReassignmentsTest, ReplicasComeFirstAndGoLast) {
  move({4, 1, 5});
  EXPECT_EQ(plan_of(partition()), (ReplicaPlan{.replicas = {4, 1, 5, 2, 3}, .adding = {4, 5}, .removing = {2, 3}}));
  EXPECT_EQ(isr(), (Ids{1, 2, 3})) << "nobody has left yet";
  EXPECT_EQ(partition().leader, 1);
  EXPECT_EQ(partition().leader_epoch, 0) << "whoever leads goes on";
}

TEST_F(ReassignmentsTest, ItIsOverInTheStepInWhichTheLastReplicaIsInSync) {
  move({4, 1, 5});
  sync({1, 2, 3, 4});
  EXPECT_EQ(plan_of(partition()).adding, (Ids{4, 5}));
  sync({1, 2, 3, 4, 5});
  expect_over({4, 1, 5});
  EXPECT_EQ(isr(), (Ids{1, 4, 5}));
  EXPECT_EQ(partition().leader, 1);
}

TEST_F(ReassignmentsTest, AReplicaThatStaysIsWaitedForToo) {
  move({4, 1, 2});
  lose({2});
  sync({1, 3, 4});
  EXPECT_TRUE(plan_of(partition()).is_under_way());
  cluster_.unfence(2);
  sync({1, 2, 3, 4});
  expect_over({4, 1, 2});
}

TEST_F(ReassignmentsTest, AnUnverifiedReplicaIsNotEnough) {
  cluster_.start(2, /*is_unverified=*/true);
  cluster_.unfence(2);
  cluster_.settle("a");
  move({1, 2});
  EXPECT_TRUE(plan_of(partition()).is_under_way());
  cluster_.settle("a", {.verified = {2}});
  expect_over({1, 2});
}

TEST_F(ReassignmentsTest, FewerReplicasThatAreInSyncAreLeftAtOnce) {
  move({2, 3});
  expect_over({2, 3});
  EXPECT_EQ(isr(), (Ids{2, 3}));
  EXPECT_EQ(partition().leader, 2);
}

TEST_F(ReassignmentsTest, AnotherOrderIsNoReassignment) {
  move({3, 1, 2});
  expect_over({3, 1, 2});
  EXPECT_EQ(partition().leader, 1);
  EXPECT_EQ(partition().leader_epoch, 0) << "nobody has gone";
  const int32_t epoch = partition().partition_epoch;
  move({3, 1, 2});
  EXPECT_EQ(partition().partition_epoch, epoch) << "nothing to do";
}

TEST_F(ReassignmentsTest, WhoGoesBeginsANewLeaderEpoch) {
  move({1, 2});
  EXPECT_EQ(partition().leader, 1);
  EXPECT_EQ(partition().leader_epoch, 1);
}

TEST_F(ReassignmentsTest, AFullerIsrGivesUpTheEligible) {
  lose({3, 2});
  EXPECT_EQ(elr(), Ids{2});
  move({1, 4});
  EXPECT_EQ(elr(), Ids{2}) << "it may still be needed";
  sync({1, 4});
  expect_over({1, 4});
  EXPECT_EQ(elr(), Ids{});
}

TEST_F(ReassignmentsTest, TheMinimumIsMeasuredByTheReplicasBefore) {
  cluster_.add_topic("b", {1});
  const auto rules = [&] {
    return rules_of(*cluster_.image.topic("b"), cluster_.partition("b"), cluster_.inputs().defaults);
  };
  ASSERT_EQ(ask(Ids{1, 2, 3}, "b"), ErrorCode::kNone);
  EXPECT_EQ(rules().min_isr, 1) << "broker 1 alone goes on committing";
  cluster_.settle("b", {.isr = Ids{1, 2, 3}});
  EXPECT_EQ(rules().min_isr, 2);
}

TEST_F(ReassignmentsTest, ACancelledOneHasTheReplicasBefore) {
  move({4, 5, 6});
  sync({1, 2, 3, 4});
  cancel();
  expect_over({1, 2, 3});
  EXPECT_EQ(isr(), (Ids{1, 2, 3}));
  EXPECT_EQ(partition().leader_epoch, 1) << "broker 4 has gone";
  EXPECT_EQ(ask({}), ErrorCode::kNoReassignmentInProgress);
}

TEST_F(ReassignmentsTest, ACancelledOneMovesTheLeaderThatItAdded) {
  move({4, 5, 6});
  sync({1, 2, 3, 4});
  cluster_.settle("a", {.preferred = true});
  ASSERT_EQ(partition().leader, 4);
  cancel();
  expect_over({1, 2, 3});
  EXPECT_EQ(partition().leader, 1);
}

TEST_F(ReassignmentsTest, AReplacedOneForgetsWhoItAdded) {
  move({4, 5, 3});
  sync({1, 2, 3, 4});
  move({5, 2, 3});
  EXPECT_EQ(plan_of(partition()), (ReplicaPlan{.replicas = {5, 2, 3, 1}, .adding = {5}, .removing = {1}}));
  EXPECT_EQ(isr(), (Ids{1, 2, 3}));
  move({1, 2, 3});
  expect_over({1, 2, 3});
}

TEST_F(ReassignmentsTest, NoneIsCancelledWhenOnlyItsReplicasCanLead) {
  move({4, 5});
  sync({1, 2, 3, 4});
  lose({1, 2, 3});
  ASSERT_EQ(partition().leader, 4);
  ASSERT_EQ(isr(), Ids{4});
  const PartitionImage before = partition();
  EXPECT_EQ(ask({}), ErrorCode::kInvalidReplicaAssignment);
  EXPECT_EQ(ask(Ids{1, 2}), ErrorCode::kInvalidReplicaAssignment) << "nor replaced";
  EXPECT_EQ(partition(), before);
  cluster_.set("a", "unclean.leader.election.enable", "true");
  EXPECT_EQ(ask({}), ErrorCode::kInvalidReplicaAssignment) << "whatever the topic allows";
}

TEST_F(ReassignmentsTest, NoneIsCancelledWhenOnlyItsReplicasAreBeyondDoubt) {
  move({4, 5});
  sync({1, 4});
  PartitionChangeRecord doubted = cluster_.change_of("a");
  doubted.leader = 4;
  doubted.unverified = Ids{1};
  cluster_.apply(doubted);
  EXPECT_EQ(ask({}), ErrorCode::kInvalidReplicaAssignment);
}

TEST_F(ReassignmentsTest, NoneIsCancelledWhenTheOnlyOneThatCouldLeadWouldGo) {
  move({4, 5});
  sync({1, 4});
  lose({4, 1});
  cluster_.start(4);
  cluster_.unfence(4);
  ASSERT_EQ(partition().leader, kNobody) << "the sweep has not come there yet";
  EXPECT_EQ(ask({}), ErrorCode::kInvalidReplicaAssignment);
}

// Where the topic allows it, one who has nothing would lead in its place.
TEST_F(ReassignmentsTest, NoneIsCancelledWhenTheOnlyMemberThatIsThereWouldGo) {
  move({4, 5});
  sync({1, 4});
  lose({4, 1});
  cluster_.start(4);
  cluster_.unfence(4);
  PartitionChangeRecord doubted = cluster_.change_of("a");
  doubted.unverified = Ids{4};
  cluster_.apply(doubted);
  EXPECT_EQ(ask({}), ErrorCode::kInvalidReplicaAssignment);
}

TEST_F(ReassignmentsTest, WhereNobodyLeadsItIsCancelledIfAnEligibleReplicaIsLeft) {
  move({4, 5});
  sync({1, 4});
  lose({4, 1});
  ASSERT_EQ(partition().leader, kNobody);
  ASSERT_EQ(elr(), (Ids{1, 4}));
  cancel();
  EXPECT_EQ(elr(), Ids{1});
}

TEST_F(ReassignmentsTest, AnUncleanElectionTakesWhoWasThereBefore) {
  move({4, 5});
  lose({3, 2, 1});
  cluster_.start(2);
  cluster_.unfence(2);
  PartitionChangeRecord forgotten = cluster_.change_of("a");
  forgotten.last_known_elr = Ids{6};
  forgotten.elr = Ids{1};
  cluster_.apply(forgotten);
  cluster_.settle("a", {.unclean = true});
  EXPECT_EQ(partition().leader, 2) << "brokers 4 and 5 have nothing, 6 is no replica";
}

TEST_F(ReassignmentsTest, ALeaderThatGoesIsToldWhoLeads) {
  move({2, 4});
  const AlterIsrRequest request{
      .broker = 1,
      .broker_epoch = cluster_.epoch(1),
      .changes = {{.topic_id = topic_id("a"),
                   .index = 0,
                   .leader_epoch = 0,
                   .partition_epoch = partition().partition_epoch,
                   .isr = {{1, cluster_.epoch(1)}, {2, cluster_.epoch(2)}, {4, cluster_.epoch(4)}}}}};
  IsrChanges changes(request);
  IsrOutcome outcome;
  changes.decide_next(cluster_.image, cluster_.inputs(), outcome);
  cluster_.apply(outcome.records);
  EXPECT_EQ(outcome.results.at(0).error, ErrorCode::kNewLeaderElected);
  EXPECT_EQ(outcome.results.at(0).leader, 2);
  EXPECT_EQ(partition().leader, 2);
  expect_over({2, 4});
}

TEST_F(ReassignmentsTest, WhatIsRefusedAndWhy) {
  EXPECT_EQ(ask(Ids{}), ErrorCode::kInvalidReplicaAssignment);
  EXPECT_EQ(ask(Ids{1, 1}), ErrorCode::kInvalidReplicaAssignment);
  EXPECT_EQ(ask(Ids{1, 9}), ErrorCode::kInvalidReplicaAssignment) << "not registered";
  EXPECT_EQ(ask(Ids{1}, "b"), ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(ask(Ids{1}, "a", 1), ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(ask(Ids{1}, "a", -1), ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(ask({}), ErrorCode::kNoReassignmentInProgress);
  EXPECT_EQ(ask(Ids{1, 4}, "a", 0, /*may_change=*/false), ErrorCode::kInvalidReplicationFactor);
  EXPECT_EQ(partition().partition_epoch, 0);
}

TEST_F(ReassignmentsTest, TheFactorIsThatOfWhatIsUnderWay) {
  move({1, 4});
  EXPECT_EQ(ask(Ids{1, 4, 5}, "a", 0, /*may_change=*/false), ErrorCode::kInvalidReplicationFactor);
  EXPECT_EQ(ask(Ids{1, 5}, "a", 0, /*may_change=*/false), ErrorCode::kNone);
}

TEST_F(ReassignmentsTest, DirectoriesGoWithTheirBrokers) {
  PartitionChangeRecord known = cluster_.change_of("a");
  known.directories = {TestCluster::directory(1), TestCluster::directory(2), TestCluster::directory(3)};
  cluster_.apply(known);
  move({4, 3});
  const std::vector<Uuid> expected{{}, TestCluster::directory(3), TestCluster::directory(1), TestCluster::directory(2)};
  EXPECT_EQ(std::vector<Uuid>(partition().directories.begin(), partition().directories.end()), expected);
}

TEST_F(ReassignmentsTest, NewPartitionsHaveTheFactorThatShallBe) {
  move({4, 1});
  GrowTopicsRequest request;
  request.topics.push_back({.name = "a", .count = 2, .assignments = std::vector<Ids>{{5, 6}}});
  PartitionGrowth growth(request);
  growth.note_next(cluster_.image);
  growth.begin_piece(cluster_.image);
  GrowTopicsOutcome outcome;
  growth.decide_next(cluster_.image, {}, outcome);
  EXPECT_EQ(outcome.results.at(0).error, ErrorCode::kNone);
}

TEST_F(ReassignmentsTest, ARemovedBrokerThatIsAwaitedIsReplaced) {
  move({1, 2, 4});
  BrokerRemoval removal(4);
  for (bool more = true; more;) {
    std::vector<MetadataRecord> records;
    more = removal.next_portion(cluster_.image, cluster_.inputs(), records);
    cluster_.apply(records);
  }
  EXPECT_TRUE(plan_of(partition()).is_under_way());
  move({1, 2, 5});
  sync({1, 2, 3, 5});
  expect_over({1, 2, 5});
}

TEST_F(ReassignmentsTest, ALargeRequestGoesInPortionsAndTwiceIsTwice) {
  cluster_.add_topic("b", {1, 2}, 1'500);
  ReassignRequest request{.topics = {{"b", {}}}};
  for (int32_t index = 0; index < 1'500; ++index) request.topics[0].partitions.push_back({index, Ids{1, 3}});
  request.topics.push_back({"b", {{3, Ids{1, 4}}, {3, std::nullopt}}});
  Reassignments asked(std::move(request));
  EXPECT_EQ(run(asked), (std::vector<size_t>{1'000, 501, 1}));
  ASSERT_EQ(asked.results().size(), 2U);
  EXPECT_EQ(asked.results()[1].partitions.at(1).error, ErrorCode::kNone);
  EXPECT_EQ(plan_of(cluster_.image.topic("b")->partitions[3]), (ReplicaPlan{.replicas = {1, 2}}));
  EXPECT_TRUE(plan_of(cluster_.image.topic("b")->partitions[4]).is_under_way());
}

TEST_F(ReassignmentsTest, TopicsThatSayNothingAreWorkToo) {
  Reassignments asked({.topics = std::vector<ReassignRequest::Topic>(12'000, {"a", {}})});
  EXPECT_EQ(run(asked).size(), 3U);
}

class ListTest : public ReassignmentsTest {
 protected:
  // What is listed, as text; `portions` as it was looked at.
  std::string list(std::optional<std::vector<ReassignmentList::Topic>> topics, int portions = 1) {
    ReassignmentList list(std::move(topics));
    while (list.next_portion(cluster_.image)) --portions;
    EXPECT_EQ(portions, 1);
    std::string text;
    for (const auto& topic : list.listed()) {
      for (const auto& partition : topic.partitions) text += topic.topic + std::to_string(partition.index) + " ";
    }
    return text;
  }
};

TEST_F(ListTest, OnlyWhatIsUnderWayIsListed) {
  cluster_.add_topic("b", {1, 2}, 12'000);
  cluster_.add_topic("c", {1, 2});
  EXPECT_EQ(list({}, 3), "");
  ASSERT_EQ(ask(Ids{1, 3}, "b", 11'000), ErrorCode::kNone);
  ASSERT_EQ(ask(Ids{1, 3}, "b", 7), ErrorCode::kNone);
  ASSERT_EQ(ask(Ids{1, 3}, "c"), ErrorCode::kNone);
  EXPECT_EQ(list({}, 3), "b7 b11000 c0 ");
  EXPECT_EQ(list({{{"c", {0, 1}}, {"x", {0}}, {"b", {6, 7, -1}}, {"a", {0}}}}), "c0 b7 ");
  EXPECT_EQ(list({{{"b", std::vector<int32_t>(12'000, 5)}}}, 3), "");
}

}  // namespace
}  // namespace posthaste::replication
