// Each rule of the judge, broken by hand: it says which one.
#include "tests/controller/checker.h"

#include <gtest/gtest.h>

#include "replication/testing/test_cluster.h"

namespace posthaste::controller_model {
namespace {

using net::kafka::ElectionType;
using net::kafka::ErrorCode;
using replication::kRecovering;
using replication::PartitionChangeRecord;
using replication::testing::Ids;
using replication::testing::TestCluster;
using replication::testing::topic_id;

class CheckerTest : public ::testing::Test, public Replicas {
 protected:
  CheckerTest() { cluster_.add_topic("a", {1, 2, 3}); }

  const ReplicaLog* log(int32_t broker, const Partition& /*partition*/) const override {
    const auto found = logs_.find(broker);
    return found == logs_.end() ? nullptr : &found->second;
  }
  bool is_distrusted(int32_t broker) const override { return broker == distrusted_; }
  std::optional<replication::ReplicaPosition> reported(int32_t broker, const Partition& /*partition*/) const override {
    return replication::ReplicaPosition{.last_epoch = 0, .durable = broker};
  }
  bool is_lying() const override { return false; }

  // The image changes by the record; with what the judge says of it.
  std::string change(const PartitionChangeRecord& record, Cause cause = Cause::kOther) {
    const MetadataImage before = cluster_.image;
    cluster_.apply(record);
    checker_->changed(before, cluster_.image, cause);
    return checker_->violated().value_or("");
  }
  PartitionChangeRecord record() const { return cluster_.change_of("a"); }
  Partition key() const { return {topic_id("a"), 0}; }
  void hold(int32_t broker, size_t records) {
    logs_[broker].entries.assign(records, Entry{.epoch = 0, .value = 7});
    logs_[broker].durable = records;
  }

  TestCluster cluster_{3};
  std::map<int32_t, ReplicaLog> logs_;
  int32_t distrusted_ = -1;
  std::optional<Checker> checker_{std::in_place, *this};
};

TEST_F(CheckerTest, AGoodChangeIsGood) {
  PartitionChangeRecord good = record();
  good.isr = Ids{2, 3};
  good.leader = 2;
  EXPECT_EQ(change(good), "");
}

TEST_F(CheckerTest, AnEmptyIsrRemembersWhoLed) {
  PartitionChangeRecord bad = record();
  bad.isr = Ids{};
  bad.leader = -1;
  bad.elr = Ids{1};
  EXPECT_TRUE(change(bad).starts_with("S3"));
}

TEST_F(CheckerTest, AnElrBesideAFullIsr) {
  PartitionChangeRecord bad = record();
  bad.isr = Ids{1, 2};
  bad.elr = Ids{3};
  EXPECT_TRUE(change(bad).starts_with("S4"));
}

TEST_F(CheckerTest, EligibleFromNowhere) {
  PartitionChangeRecord first = record();
  first.isr = Ids{1};
  ASSERT_EQ(change(first), "");
  PartitionChangeRecord bad = record();
  bad.elr = Ids{2};
  EXPECT_TRUE(change(bad).starts_with("T3"));
}

TEST_F(CheckerTest, InSyncFromNowhere) {
  PartitionChangeRecord first = record();
  first.isr = Ids{1, 2};
  ASSERT_EQ(change(first), "");
  PartitionChangeRecord grows = record();
  grows.isr = Ids{1, 2, 3};
  const MetadataImage before = cluster_.image;
  ASSERT_EQ(change(grows, Cause::kIsrChange), "") << "its leader has asked for it";
  cluster_.image = before;
  EXPECT_TRUE(change(grows).starts_with("T4"));
}

TEST_F(CheckerTest, AFencedBrokerEntersTheIsr) {
  PartitionChangeRecord first = record();
  first.isr = Ids{1, 2};
  ASSERT_EQ(change(first), "");
  cluster_.fence(3);
  PartitionChangeRecord bad = record();
  bad.isr = Ids{1, 2, 3};
  EXPECT_TRUE(change(bad, Cause::kIsrChange).starts_with("T5"));
}

TEST_F(CheckerTest, ALeaderThatTakesNoPart) {
  cluster_.fence(2);
  PartitionChangeRecord bad = record();
  bad.leader = 2;
  EXPECT_TRUE(change(bad).starts_with("E1"));
}

TEST_F(CheckerTest, UncleanWithoutLeaveOrThoughAMemberLives) {
  PartitionChangeRecord first = record();
  first.isr = Ids{1, 2};
  ASSERT_EQ(change(first), "");
  PartitionChangeRecord bad = record();
  bad.isr = Ids{3};
  bad.leader = 3;
  bad.leader_recovery_state = kRecovering;
  const MetadataImage before = cluster_.image;
  EXPECT_TRUE(change(bad).starts_with("E2"));
  cluster_.image = before;
  cluster_.set("a", "unclean.leader.election.enable", "true");
  checker_.emplace(*this);
  EXPECT_TRUE(change(bad).starts_with("E3"));
}

TEST_F(CheckerTest, AnUnverifiedOneThoughAVerifiedOneLivesOrHoldsMore) {
  cluster_.start(1, /*is_unverified=*/true);
  cluster_.unfence(1);
  PartitionChangeRecord bad = record();
  bad.leader = 1;
  bad.unverified = Ids{};
  const MetadataImage before = cluster_.image;
  EXPECT_TRUE(change(bad).starts_with("E5"));
  cluster_.image = before;
  for (const int32_t id : {2, 3}) {
    cluster_.start(id, /*is_unverified=*/true);
    cluster_.unfence(id);
  }
  checker_.emplace(*this);
  EXPECT_TRUE(change(bad).starts_with("E6"));
}

TEST_F(CheckerTest, TwoLeadersOfAnEpoch) {
  PartitionChangeRecord second = record();
  second.leader = 2;
  const MetadataImage before = cluster_.image;
  ASSERT_EQ(change(second), "");
  cluster_.image = before;
  second.leader = 3;
  EXPECT_TRUE(change(second).starts_with("T2"));
}

TEST_F(CheckerTest, AnotherStateUnderTheSamePartitionEpoch) {
  const MetadataImage before = cluster_.image;
  PartitionChangeRecord second = record();
  second.isr = Ids{1, 2};
  ASSERT_EQ(change(second), "");
  MetadataImage other = before;
  second.isr = Ids{1, 3};
  ASSERT_TRUE(other.apply(second).has_value());
  checker_->changed(cluster_.image, other, Cause::kIsrChange);
  EXPECT_TRUE(checker_->violated().value_or("").starts_with("T1"));
}

TEST_F(CheckerTest, WhoCanBeElectedHoldsWhatWasAcknowledged) {
  for (const int32_t id : {1, 2, 3}) hold(id, 5);
  checker_->acknowledged(cluster_.image, key(), 0, logs_[1], 5);
  checker_->check_logs(cluster_.image);
  EXPECT_FALSE(checker_->violated().has_value());
  hold(3, 4);
  distrusted_ = 3;
  checker_->check_logs(cluster_.image);
  EXPECT_FALSE(checker_->violated().has_value()) << "it does not act on what it is said to be";
  distrusted_ = -1;
  checker_->check_logs(cluster_.image);
  EXPECT_TRUE(checker_->violated().value_or("").starts_with("L2"));
}

TEST_F(CheckerTest, ARecordIsAcknowledgedAsItIs) {
  hold(1, 5);
  checker_->acknowledged(cluster_.image, key(), 0, logs_[1], 5);
  logs_[1].entries[3].value = 8;
  checker_->acknowledged(cluster_.image, key(), 0, logs_[1], 4);
  EXPECT_TRUE(checker_->violated().value_or("").starts_with("L1"));
}

// A partition led by 2, though its first replica 1 is in sync; then what a request did, and answered.
class AnswerTest : public CheckerTest {
 protected:
  AnswerTest() {
    PartitionChangeRecord moved = record();
    moved.leader = 2;
    cluster_.apply(moved);
  }
  std::string judge(ErrorCode answer, std::optional<int32_t> leads, ElectionType type = ElectionType::kPreferred) {
    const MetadataImage before = cluster_.image;
    if (leads) {
      PartitionChangeRecord elected = record();
      elected.leader = *leads;
      cluster_.apply(elected);
    }
    checker_->elections_asked(before, cluster_.image, type, {{"a", {{0, answer}}}}, /*is_all=*/false);
    return checker_->violated().value_or("");
  }
};

TEST_F(AnswerTest, AGoodAnswerIsGood) {
  EXPECT_EQ(judge(ErrorCode::kNone, 1), "");
  EXPECT_EQ(judge(ErrorCode::kElectionNotNeeded, {}), "");
}

TEST_F(AnswerTest, NeededAndSaidNotToBe) { EXPECT_TRUE(judge(ErrorCode::kElectionNotNeeded, {}).starts_with("A1")); }

TEST_F(AnswerTest, NotNamedAmongAll) {
  checker_->elections_asked(cluster_.image, cluster_.image, ElectionType::kPreferred, {}, /*is_all=*/true);
  EXPECT_TRUE(checker_->violated().value_or("").starts_with("A1"));
}

TEST_F(AnswerTest, AnsweredAndNotElected) { EXPECT_TRUE(judge(ErrorCode::kNone, 3).starts_with("A2")); }

TEST_F(AnswerTest, RefusedAndChanged) { EXPECT_TRUE(judge(ErrorCode::kUnknownTopicOrPartition, 3).starts_with("A3")); }

TEST_F(AnswerTest, RefusedThoughItCanLead) {
  EXPECT_TRUE(judge(ErrorCode::kPreferredLeaderNotAvailable, {}).starts_with("A4"));
}

// The partition moves from 1, 2 and 3 to 4 and 1.
class MoveTest : public CheckerTest {
 protected:
  MoveTest() {
    cluster_.start(4);
    cluster_.unfence(4);
    PartitionChangeRecord begun = record();
    begun.replicas = Ids{4, 1, 2, 3};
    begun.adding_replicas = Ids{4};
    begun.removing_replicas = Ids{2, 3};
    cluster_.apply(begun);
  }
  // All four are in sync, and it is over.
  PartitionChangeRecord ended() const {
    PartitionChangeRecord change = record();
    change.replicas = Ids{4, 1};
    change.isr = Ids{4, 1};
    change.adding_replicas = Ids{};
    change.removing_replicas = Ids{};
    change.leader = 1;
    return change;
  }
  PartitionChangeRecord cancelled() const {
    PartitionChangeRecord change = ended();
    change.replicas = Ids{1, 2, 3};
    change.isr = Ids{1, 2, 3};
    return change;
  }
  std::string judge(std::optional<Ids> target, ErrorCode answer, const PartitionChangeRecord& record) {
    const MetadataImage before = cluster_.image;
    cluster_.apply(record);
    checker_->reassigned(before, cluster_.image, {{"a", {{0, std::move(target)}}}}, {{"a", {{0, answer, ""}}}});
    return checker_->violated().value_or("");
  }
};

TEST_F(MoveTest, AGoodEndIsGood) { EXPECT_EQ(change(ended(), Cause::kIsrChange), ""); }

TEST_F(MoveTest, AGoodAnswerIsGood) { EXPECT_EQ(judge({}, ErrorCode::kNone, cancelled()), ""); }

TEST_F(MoveTest, OtherReplicas) {
  EXPECT_TRUE(change(cancelled()).starts_with("M1"));
  EXPECT_TRUE(judge(Ids{1, 2}, ErrorCode::kNone, ended()).starts_with("M1"));
}

TEST_F(MoveTest, OtherReplicasThanAsked) { EXPECT_TRUE(judge(Ids{2}, ErrorCode::kNone, ended()).starts_with("M1")); }

TEST_F(MoveTest, TheReplicasBeforeAreLost) { EXPECT_TRUE(judge({}, ErrorCode::kNone, ended()).starts_with("M2")); }

TEST_F(MoveTest, CancelledAndUnderWay) {
  PartitionChangeRecord nothing = record();
  nothing.leader = 1;
  EXPECT_TRUE(judge({}, ErrorCode::kNone, nothing).starts_with("M2"));
}

TEST_F(MoveTest, RefusedAndChanged) {
  EXPECT_TRUE(judge({}, ErrorCode::kInvalidReplicaAssignment, cancelled()).starts_with("M3"));
}

TEST_F(MoveTest, CancelledAndNothingWasUnderWay) {
  cluster_.apply(cancelled());
  EXPECT_TRUE(judge({}, ErrorCode::kNone, cancelled()).starts_with("M4"));
}

TEST_F(MoveTest, AReplicaGoesWithinAnEpoch) {
  PartitionChangeRecord bad = ended();
  bad.leader.reset();
  EXPECT_TRUE(change(bad, Cause::kIsrChange).starts_with("M5"));
}

TEST_F(MoveTest, NobodyLeadsAnyMore) {
  PartitionChangeRecord bad = cancelled();
  bad.isr = Ids{};
  bad.elr = Ids{1};
  bad.last_known_elr = Ids{1};
  bad.leader = -1;
  EXPECT_TRUE(change(bad, Cause::kReassigned).starts_with("M6"));
}

TEST_F(MoveTest, NobodyIsLeftWhoHoldsAll) {
  PartitionChangeRecord bad = cancelled();
  bad.isr = Ids{};
  bad.leader = -1;
  bad.last_known_elr = Ids{1};
  EXPECT_TRUE(change(bad, Cause::kReassigned).starts_with("M6"));
}

TEST_F(MoveTest, OverTooEarly) {
  PartitionChangeRecord bad = ended();
  bad.isr = Ids{1};
  EXPECT_TRUE(change(bad, Cause::kReassigned).starts_with("M7"));
}

class PlacedTest : public CheckerTest {
 protected:
  std::string judge(const std::string& topic) {
    checker_->placed(cluster_.image, *cluster_.image.topic(topic), 0);
    return checker_->violated().value_or("");
  }
};

TEST_F(PlacedTest, AGoodPlaceIsGood) { EXPECT_EQ(judge("a"), ""); }

TEST_F(PlacedTest, TheFirstReplicaDoesNotLead) {
  PartitionChangeRecord moved = record();
  moved.leader = 2;
  cluster_.apply(moved);
  EXPECT_TRUE(judge("a").starts_with("P1"));
}

TEST_F(PlacedTest, ARackIsLeftOut) {
  cluster_.apply(replication::RegisterBrokerRecord{.broker_id = 4, .broker_epoch = 4, .rack = "r", .fenced = false});
  EXPECT_TRUE(judge("a").starts_with("P2"));
}

TEST_F(PlacedTest, OneLeadsTooMuch) {
  cluster_.add_topic("b", {1, 2}, 2);
  EXPECT_TRUE(judge("b").starts_with("P3"));
}

TEST_F(CheckerTest, AMemberThatIsNotRegistered) {
  cluster_.apply(replication::UnregisterBrokerRecord{.broker_id = 3, .broker_epoch = cluster_.epoch(3)});
  PartitionChangeRecord other = record();
  other.leader = 2;
  EXPECT_TRUE(change(other).starts_with("S6"));
}

TEST_F(CheckerTest, ALeaderThatShutsDownLeadsNoMore) {
  cluster_.begin_shutdown(1);
  PartitionChangeRecord bad = record();
  bad.isr = Ids{};
  bad.elr = Ids{1, 2, 3};
  bad.leader = -1;
  bad.last_known_elr = Ids{1};
  EXPECT_TRUE(change(bad).starts_with("G1"));
}

TEST_F(CheckerTest, ItMayGoThoughAnotherOneCouldLead) {
  cluster_.begin_shutdown(1);
  checker_->drained(cluster_.image, 1);
  EXPECT_TRUE(checker_->violated().value_or("").starts_with("G2"));
}

}  // namespace
}  // namespace posthaste::controller_model
