// What a leader may ask of its ISR: each check by itself, with the error that Kafka gives.
#include "replication/metadata/isr_changes.h"

#include <gtest/gtest.h>

#include "replication/testing/test_cluster.h"

namespace posthaste::replication {
namespace {

using net::kafka::ErrorCode;
using testing::Ids;
using testing::ids;
using testing::TestCluster;
using testing::topic_id;

class IsrChangesTest : public ::testing::Test {
 protected:
  IsrChangesTest() { cluster_.add_topic("a", {1, 2, 3}); }

  // What the leader would ask for as things stand.
  IsrChange change(const Ids& isr) const {
    IsrChange change{.topic_id = topic_id("a"),
                     .leader_epoch = cluster_.partition("a").leader_epoch,
                     .partition_epoch = cluster_.partition("a").partition_epoch,
                     .isr = {}};
    for (const int32_t id : isr) {
      const RegisterBrokerRecord* broker = cluster_.image.broker(id);
      change.isr.push_back({.broker = id, .broker_epoch = broker == nullptr ? 7 : broker->broker_epoch});
    }
    return change;
  }
  IsrChangeResult decide(const IsrChange& change, int32_t broker = 1) {
    const AlterIsrRequest request{.broker = broker, .broker_epoch = cluster_.epoch(broker), .changes = {change}};
    IsrChanges changes(request);
    EXPECT_FALSE(changes.check(cluster_.image).has_value());
    IsrOutcome outcome;
    changes.decide_next(cluster_.image, cluster_.inputs(), outcome);
    EXPECT_TRUE(changes.all_decided());
    EXPECT_EQ(outcome.results.size(), 1U);
    if (outcome.results[0].error != ErrorCode::kNone) EXPECT_TRUE(outcome.records.empty());
    cluster_.apply(outcome.records);
    return outcome.results[0];
  }
  ErrorCode error(const IsrChange& change, int32_t broker = 1) { return decide(change, broker).error; }
  const PartitionImage& partition() const { return cluster_.partition("a"); }

  TestCluster cluster_{3};
};

TEST_F(IsrChangesTest, AnIsrShrinksAndGrows) {
  const IsrChangeResult smaller = decide(change({1, 2}));
  EXPECT_EQ(smaller.error, ErrorCode::kNone);
  EXPECT_EQ(smaller.isr, (Ids{1, 2}));
  EXPECT_EQ(smaller.leader, 1);
  EXPECT_EQ(smaller.partition_epoch, 1);
  EXPECT_EQ(smaller.partition_epoch, partition().partition_epoch);
  EXPECT_EQ(smaller.leader_epoch, partition().leader_epoch);
  EXPECT_EQ(decide(change({1, 2, 3})).error, ErrorCode::kNone);
  EXPECT_EQ(ids(partition().isr), (Ids{1, 2, 3}));
  EXPECT_EQ(partition().leader_epoch, 0) << "who leads does not change";
}

TEST_F(IsrChangesTest, WhatIsSoAlreadyIsAnsweredAsItIs) {
  const IsrChangeResult same = decide(change({1, 2, 3}));
  EXPECT_EQ(same.error, ErrorCode::kNone);
  EXPECT_EQ(same.partition_epoch, 0);
  EXPECT_EQ(partition().partition_epoch, 0);
}

TEST_F(IsrChangesTest, WhoLeavesATooSmallIsrIsEligibleAndComesBack) {
  EXPECT_EQ(error(change({1})), ErrorCode::kNone);
  EXPECT_EQ(ids(partition().unsettled.elr()), (Ids{2, 3}));
  EXPECT_EQ(error(change({1, 3})), ErrorCode::kNone);
  EXPECT_TRUE(partition().unsettled.elr().empty());
}

TEST_F(IsrChangesTest, AnAskerOfAnotherLifeIsStale) {
  AlterIsrRequest request{.broker = 1, .broker_epoch = cluster_.epoch(1) - 1, .changes = {}};
  EXPECT_EQ(IsrChanges(request).check(cluster_.image)->error, ErrorCode::kStaleBrokerEpoch);
  request.broker = 9;
  EXPECT_EQ(IsrChanges(request).check(cluster_.image)->error, ErrorCode::kStaleBrokerEpoch);
}

TEST_F(IsrChangesTest, ThePartitionMustBeThere) {
  IsrChange other = change({1});
  other.topic_id = topic_id("b");
  EXPECT_EQ(error(other), ErrorCode::kUnknownTopicId);
  for (const int32_t index : {-1, 1}) {
    other = change({1});
    other.index = index;
    EXPECT_EQ(error(other), ErrorCode::kUnknownTopicOrPartition);
  }
}

TEST_F(IsrChangesTest, EpochsAreComparedAndSet) {
  ASSERT_EQ(error(change({1, 2})), ErrorCode::kNone);
  cluster_.begin_shutdown(1);
  cluster_.settle("a");
  ASSERT_EQ(partition().leader, 2);
  ASSERT_EQ(partition().leader_epoch, 1);
  ASSERT_EQ(partition().partition_epoch, 2);
  const auto with = [&](int32_t leader_epoch, int32_t partition_epoch) {
    IsrChange change = this->change({2, 3});
    change.leader_epoch = leader_epoch;
    change.partition_epoch = partition_epoch;
    return error(change, 2);
  };
  EXPECT_EQ(with(2, 2), ErrorCode::kNotController) << "a later controller has decided";
  EXPECT_EQ(with(1, 3), ErrorCode::kNotController);
  EXPECT_EQ(with(0, 2), ErrorCode::kFencedLeaderEpoch);
  EXPECT_EQ(with(0, 1), ErrorCode::kFencedLeaderEpoch);
  EXPECT_EQ(with(1, 1), ErrorCode::kInvalidUpdateVersion);
  EXPECT_EQ(error(change({2, 3}), 3), ErrorCode::kInvalidRequest) << "not the leader";
  EXPECT_EQ(with(1, 2), ErrorCode::kNone);
}

TEST_F(IsrChangesTest, AnIsrHasItsLeaderAndReplicasOnly) {
  EXPECT_EQ(error(change({})), ErrorCode::kInvalidRequest);
  EXPECT_EQ(error(change({2, 3})), ErrorCode::kInvalidRequest);
  EXPECT_EQ(error(change({1, 1})), ErrorCode::kInvalidRequest);
  EXPECT_EQ(error(change({1, 9})), ErrorCode::kInvalidRequest);
  EXPECT_EQ(ids(partition().isr), (Ids{1, 2, 3}));
}

TEST_F(IsrChangesTest, AMemberTakesPart) {
  ASSERT_EQ(error(change({1, 2})), ErrorCode::kNone);
  cluster_.fence(3);
  EXPECT_EQ(error(change({1, 2, 3})), ErrorCode::kIneligibleReplica);
  cluster_.unfence(3);
  cluster_.begin_shutdown(3);
  EXPECT_EQ(error(change({1, 2, 3})), ErrorCode::kIneligibleReplica);
  const int64_t epoch = cluster_.epoch(3);
  cluster_.apply(UnregisterBrokerRecord{.broker_id = 3, .broker_epoch = epoch});
  EXPECT_EQ(error(change({1, 2, 3})), ErrorCode::kIneligibleReplica);
}

// What the life before has acknowledged may not be on this one's disk.
TEST_F(IsrChangesTest, AMemberIsOfTheLifeThatAcknowledged) {
  ASSERT_EQ(error(change({1, 2})), ErrorCode::kNone);
  const IsrChange asked = change({1, 2, 3});
  cluster_.start(3);
  cluster_.unfence(3);
  EXPECT_EQ(error(asked), ErrorCode::kIneligibleReplica);
  IsrChange open = change({1, 2, 3});
  open.isr[2].broker_epoch = -1;
  EXPECT_EQ(error(open), ErrorCode::kIneligibleReplica) << "no epoch is no life";
  EXPECT_EQ(error(change({1, 2, 3})), ErrorCode::kNone);
}

// Members that stay are looked at too: one may have died and come back since.
TEST_F(IsrChangesTest, AMemberThatStaysIsOfThatLifeToo) {
  ASSERT_EQ(error(change({1, 2})), ErrorCode::kNone);
  const IsrChange asked = change({1, 2, 3});
  cluster_.start(2);
  cluster_.unfence(2);
  EXPECT_EQ(error(asked), ErrorCode::kIneligibleReplica);
}

TEST_F(IsrChangesTest, ALeaderThatRecoversIsAlone) {
  IsrChange recovering = change({1});
  recovering.recovery_state = kRecovering;
  EXPECT_EQ(error(recovering), ErrorCode::kInvalidRequest) << "it has recovered";
  PartitionChangeRecord record = cluster_.change_of("a");
  record.isr = Ids{1};
  record.leader_recovery_state = kRecovering;
  cluster_.apply(record);
  IsrChange two = change({1, 2});
  two.recovery_state = kRecovering;
  EXPECT_EQ(error(two), ErrorCode::kInvalidRequest);
  two.recovery_state = 2;
  EXPECT_EQ(error(two), ErrorCode::kInvalidRequest);
  const IsrChangeResult done = decide(change({1, 2}));
  EXPECT_EQ(done.error, ErrorCode::kNone);
  EXPECT_EQ(done.recovery_state, kRecovered);
  EXPECT_EQ(partition().leader_recovery_state, kRecovered);
}

TEST_F(IsrChangesTest, ALeaderVerifiesMembersAndNamesThoseThatLied) {
  for (const int32_t id : {2, 3}) {
    cluster_.start(id, /*is_unverified=*/true);
    cluster_.unfence(id);
  }
  ASSERT_EQ(ids(partition().unsettled.unverified()), (Ids{2, 3}));
  IsrChange verified = change({1, 2, 3});
  verified.verified = {2};
  EXPECT_EQ(error(verified), ErrorCode::kNone);
  EXPECT_EQ(ids(partition().unsettled.unverified()), Ids{3});
  IsrChange both = change({1, 3});
  both.lost = {3};
  EXPECT_EQ(error(both), ErrorCode::kInvalidRequest) << "in sync, and not";
  cluster_.set("a", "min.insync.replicas", "3");
  IsrChange lied = change({1, 2});
  lied.lost = {3};
  EXPECT_EQ(error(lied), ErrorCode::kNone);
  EXPECT_TRUE(partition().unsettled.elr().empty()) << "what it lost was committed: it is not eligible";
  // Caught up, it is as good as any.
  EXPECT_EQ(error(change({1, 2, 3})), ErrorCode::kNone);
  EXPECT_TRUE(partition().unsettled.unverified().empty());
}

TEST_F(IsrChangesTest, WhoComesInIsVerified) {
  ASSERT_EQ(error(change({1})), ErrorCode::kNone);
  cluster_.start(2, /*is_unverified=*/true);
  cluster_.unfence(2);
  ASSERT_EQ(ids(partition().unsettled.unverified()), Ids{2});
  EXPECT_EQ(error(change({1, 2})), ErrorCode::kNone);
  EXPECT_TRUE(partition().unsettled.unverified().empty());
}

// Of a request that was sent twice, one copy was refused, and the other may still arrive.
TEST_F(IsrChangesTest, ARenewalMakesWhatWasAskedBeforeTooLate) {
  ASSERT_EQ(error(change({1, 2})), ErrorCode::kNone);
  const IsrChange copy = change({1, 2, 3});
  cluster_.fence(3);
  EXPECT_EQ(error(copy), ErrorCode::kIneligibleReplica);
  IsrChange renewal = change({1, 2});
  renewal.renews = true;
  const IsrChangeResult renewed = decide(renewal);
  EXPECT_EQ(renewed.error, ErrorCode::kNone);
  EXPECT_EQ(renewed.partition_epoch, 2);
  EXPECT_EQ(partition().partition_epoch, 2);
  cluster_.unfence(3);
  EXPECT_EQ(error(copy), ErrorCode::kInvalidUpdateVersion);
  EXPECT_EQ(ids(partition().isr), (Ids{1, 2}));
}

TEST_F(IsrChangesTest, APartitionIsChangedOnceInAPiece) {
  const AlterIsrRequest request{
      .broker = 1, .broker_epoch = cluster_.epoch(1), .changes = {change({1, 2}), change({1, 3})}};
  IsrChanges changes(request);
  IsrOutcome outcome;
  changes.decide_next(cluster_.image, cluster_.inputs(), outcome);
  changes.decide_next(cluster_.image, cluster_.inputs(), outcome);
  EXPECT_EQ(outcome.results[0].error, ErrorCode::kNone);
  EXPECT_EQ(outcome.results[1].error, ErrorCode::kInvalidUpdateVersion);
  EXPECT_EQ(outcome.records.size(), 1U);
}

}  // namespace
}  // namespace posthaste::replication
