// The next state of a partition: each rule of elections, ISR and ELR by itself.
#include "replication/metadata/partition_transition.h"

#include <gtest/gtest.h>

#include "replication/testing/test_cluster.h"

namespace posthaste::replication {
namespace {

using namespace std::chrono_literals;
using testing::Ids;
using testing::ids;
using testing::TestCluster;
using testing::topic_id;

// Three brokers, topic "a" on all of them, two of which must have a record.
class TransitionTest : public ::testing::Test {
 protected:
  TransitionTest() { cluster_.add_topic("a", {1, 2, 3}); }

  // The brokers go down one after the other, and the controller sees each of it.
  void lose(const Ids& brokers) {
    for (const int32_t id : brokers) {
      cluster_.fence(id);
      cluster_.settle("a");
    }
  }
  void come(int32_t id, bool is_unverified = false) {
    cluster_.start(id, is_unverified);
    cluster_.unfence(id);
    cluster_.settle("a");
  }
  void report(int32_t id, int32_t epoch, int64_t durable) {
    ASSERT_TRUE(cluster_.reports.add(cluster_.image, topic_id("a"), 0, id, cluster_.epoch(id), {epoch, durable}));
  }
  const PartitionImage& partition() const { return cluster_.partition("a"); }
  Ids isr() const { return ids(partition().isr); }
  Ids elr() const { return ids(partition().unsettled.elr()); }
  Ids last_known() const { return ids(partition().unsettled.last_known_elr()); }
  Ids unverified() const { return ids(partition().unsettled.unverified()); }

  TestCluster cluster_{3};
};

TEST_F(TransitionTest, WhatIsAsItShouldBeCostsNoRecord) {
  EXPECT_FALSE(cluster_.settle("a"));
  lose({1});
  EXPECT_FALSE(cluster_.settle("a"));
}

TEST_F(TransitionTest, TheNextReplicaInSyncFollowsALeaderThatIsFenced) {
  lose({1});
  EXPECT_EQ(partition().leader, 2);
  EXPECT_EQ(partition().leader_epoch, 1);
  EXPECT_EQ(isr(), (Ids{2, 3}));
  EXPECT_EQ(elr(), Ids{}) << "two are enough to commit without it: it may miss something";
}

TEST_F(TransitionTest, AFencedFollowerLeavesTheIsrAndTheLeaderStays) {
  lose({3});
  EXPECT_EQ(partition().leader, 1);
  EXPECT_EQ(partition().leader_epoch, 0);
  EXPECT_EQ(isr(), (Ids{1, 2}));
}

TEST_F(TransitionTest, WhoLeavesAnIsrThatIsTooSmallIsEligible) {
  lose({3, 2});
  EXPECT_EQ(isr(), Ids{1});
  EXPECT_EQ(elr(), Ids{2});
  lose({1});
  EXPECT_EQ(partition().leader, -1);
  EXPECT_EQ(isr(), Ids{});
  EXPECT_EQ(elr(), (Ids{1, 2}));
  EXPECT_EQ(last_known(), Ids{1});
}

TEST_F(TransitionTest, WhoLedLastIsRememberedUntilSomebodyLeads) {
  for (const int32_t id : {1, 2, 3}) cluster_.start(id, /*is_unverified=*/true);
  for (const int32_t id : {2, 3}) cluster_.unfence(id);
  cluster_.settle("a");
  EXPECT_EQ(isr(), (Ids{2, 3})) << "enough to commit, and nobody leads";
  EXPECT_EQ(last_known(), Ids{1});
  lose({2, 3});
  EXPECT_EQ(isr(), Ids{});
  EXPECT_EQ(last_known(), Ids{1});
  cluster_.unfence(3);
  report(3, 1, 10);
  cluster_.now = cluster_.now + kReportsPatience;
  cluster_.settle("a");
  EXPECT_EQ(partition().leader, 3);
  EXPECT_EQ(last_known(), Ids{});
}

TEST_F(TransitionTest, AnEligibleReplicaIsElectedAndIsTheWholeIsr) {
  lose({3, 2, 1});
  come(2);
  EXPECT_EQ(partition().leader, 2);
  EXPECT_EQ(isr(), Ids{2});
  EXPECT_EQ(elr(), Ids{1});
  EXPECT_EQ(partition().leader_recovery_state, kRecovered);
}

TEST_F(TransitionTest, WhoIsNeitherInSyncNorEligibleIsNotElected) {
  lose({3, 2, 1});
  come(3);
  EXPECT_EQ(partition().leader, -1);
  EXPECT_EQ(elr(), (Ids{1, 2}));
}

TEST_F(TransitionTest, AnIsrThatIsLargeEnoughHasNoElrBesideIt) {
  lose({3, 2, 1});
  come(2);
  cluster_.start(3);
  cluster_.unfence(3);
  cluster_.settle("a", {.isr = Ids{2, 3}});
  EXPECT_EQ(isr(), (Ids{2, 3}));
  EXPECT_EQ(elr(), Ids{});
  EXPECT_EQ(last_known(), Ids{});
}

TEST_F(TransitionTest, WhileNobodyLeadsNobodyIsGivenUp) {
  for (const int32_t id : {1, 2, 3}) cluster_.start(id, /*is_unverified=*/true);
  for (const int32_t id : {2, 3}) cluster_.unfence(id);
  cluster_.settle("a");
  EXPECT_EQ(partition().leader, -1);
  EXPECT_EQ(isr(), (Ids{2, 3}));
  EXPECT_EQ(elr(), Ids{1}) << "two would be enough, but nobody commits anything";
  cluster_.now = cluster_.now + kReportsPatience;
  report(2, 1, 10);
  cluster_.settle("a");
  EXPECT_EQ(partition().leader, 2);
  EXPECT_EQ(elr(), Ids{}) << "they commit without it";
}

TEST_F(TransitionTest, TheEffectiveMinimumIsAtMostTheReplicas) {
  cluster_.set("a", "min.insync.replicas", "5");
  EXPECT_EQ(rules_of(*cluster_.image.topic("a"), partition(), cluster_.inputs().defaults).min_isr, 3);
  lose({3});
  EXPECT_EQ(elr(), Ids{3}) << "all three must have a record";
}

TEST_F(TransitionTest, AControlledShutdownMovesLeadersAndLeavesTheIsr) {
  cluster_.begin_shutdown(1);
  cluster_.settle("a");
  EXPECT_EQ(partition().leader, 2);
  EXPECT_EQ(isr(), (Ids{2, 3}));
}

TEST_F(TransitionTest, AnUncleanElectionNeedsTheTopicsLeave) {
  lose({3, 2, 1});
  cluster_.start(3);
  cluster_.unfence(3);
  cluster_.settle("a");
  EXPECT_EQ(partition().leader, -1);
  cluster_.set("a", "unclean.leader.election.enable", "true");
  cluster_.settle("a");
  EXPECT_EQ(partition().leader, 3);
  EXPECT_EQ(isr(), Ids{3});
  EXPECT_EQ(elr(), Ids{}) << "what they hold more is given up";
  EXPECT_EQ(partition().leader_recovery_state, kRecovering);
  cluster_.settle("a", {.isr = Ids{3}, .has_recovered = true});
  EXPECT_EQ(partition().leader_recovery_state, kRecovered);
}

TEST_F(TransitionTest, AnUncleanElectionPrefersWhoLedLast) {
  cluster_.set("a", "unclean.leader.election.enable", "true");
  lose({2, 3, 1});
  ASSERT_EQ(last_known(), Ids{1});
  // Its disk is gone, and then the other one's: nobody is left that holds anything.
  cluster_.settle("a", {.lost = {1}});
  cluster_.settle("a", {.lost = {3}});
  ASSERT_EQ(elr(), Ids{});
  ASSERT_EQ(last_known(), Ids{1});
  cluster_.start(1);
  cluster_.unfence(1);
  cluster_.start(2);
  cluster_.unfence(2);
  PartitionChangeRecord second = cluster_.change_of("a");
  second.last_known_elr = Ids{2};
  cluster_.apply(second);
  cluster_.settle("a");
  EXPECT_EQ(partition().leader, 2);
}

TEST_F(TransitionTest, ALostReplicaIsNeitherInSyncNorEligible) {
  cluster_.settle("a", {.lost = {3}});
  EXPECT_EQ(isr(), (Ids{1, 2}));
  lose({2, 1});
  cluster_.settle("a", {.lost = {1}});
  EXPECT_EQ(elr(), Ids{2});
  cluster_.settle("a", {.lost = {2}});
  EXPECT_EQ(elr(), Ids{});
  EXPECT_EQ(last_known(), Ids{1}) << "nothing is left, and who led last is remembered";
}

TEST_F(TransitionTest, ABrokerFencedEarlyLeadsOnWhereNobodyElseCan) {
  cluster_.set("a", "min.insync.replicas", "1");
  lose({2});
  cluster_.fence(1);
  cluster_.settle("a", {.keeps = 1});
  EXPECT_EQ(partition().leader, 3) << "somebody else can";
  come(1);
  cluster_.fence(3);
  EXPECT_FALSE(cluster_.settle("a", {.keeps = 3}));
  EXPECT_EQ(partition().leader, 3);
  cluster_.set("a", "unclean.leader.election.enable", "true");
  EXPECT_FALSE(cluster_.settle("a", {.keeps = 3})) << "not uncleanly either";
  EXPECT_TRUE(cluster_.settle("a"));
  EXPECT_NE(partition().leader, 3) << "its session is over";
}

TEST_F(TransitionTest, AnUnverifiedMemberHoldsItsPlaceAndIsNotElectedWhileAVerifiedOneLives) {
  cluster_.start(1, /*is_unverified=*/true);
  cluster_.settle("a");
  EXPECT_EQ(partition().leader, 2);
  cluster_.start(2, /*is_unverified=*/true);
  cluster_.unfence(2);
  cluster_.settle("a");
  EXPECT_EQ(partition().leader, 3);
  EXPECT_EQ(unverified(), Ids{2});
}

TEST_F(TransitionTest, AVerifiedEligibleReplicaComesBeforeAnUnverifiedOneInSync) {
  lose({3, 2});
  cluster_.start(1, /*is_unverified=*/true);
  cluster_.unfence(1);
  cluster_.unfence(2);
  cluster_.settle("a");
  EXPECT_EQ(partition().leader, 2);
  EXPECT_EQ(isr(), Ids{2});
  EXPECT_EQ(elr(), Ids{1});
  EXPECT_EQ(unverified(), Ids{1});
}

TEST_F(TransitionTest, OfUnverifiedMembersTheFullestIsElectedOnceAllAreHeard) {
  for (const int32_t id : {1, 2, 3}) cluster_.start(id, /*is_unverified=*/true);
  for (const int32_t id : {1, 2, 3}) cluster_.unfence(id);
  cluster_.settle("a");
  EXPECT_EQ(partition().leader, -1);
  EXPECT_EQ(isr(), (Ids{1, 2, 3})) << "they keep their places meanwhile";
  report(1, 4, 90);
  report(2, 5, 70);
  EXPECT_FALSE(cluster_.settle("a"));
  report(3, 5, 80);
  cluster_.settle("a");
  EXPECT_EQ(partition().leader, 3) << "the later epoch, then the longer log";
  EXPECT_EQ(unverified(), (Ids{1, 2})) << "it is what the others are measured by";
  EXPECT_EQ(isr(), (Ids{1, 2, 3}));
}

TEST_F(TransitionTest, WhoDoesNotReportIsWaitedForForThreeSeconds) {
  for (const int32_t id : {1, 2}) cluster_.start(id, /*is_unverified=*/true);
  cluster_.fence(3);
  for (const int32_t id : {1, 2}) cluster_.unfence(id);
  report(1, 4, 90);
  cluster_.settle("a");
  EXPECT_EQ(partition().leader, -1);
  cluster_.now = cluster_.now + (kReportsPatience - 1ms);
  EXPECT_FALSE(cluster_.settle("a"));
  cluster_.now = cluster_.now + 1ms;
  cluster_.settle("a");
  EXPECT_EQ(partition().leader, 1);
}

TEST_F(TransitionTest, WithoutAnyReportNobodyIsElected) {
  for (const int32_t id : {1, 2, 3}) cluster_.start(id, /*is_unverified=*/true);
  for (const int32_t id : {1, 2, 3}) cluster_.unfence(id);
  cluster_.set("a", "unclean.leader.election.enable", "true");
  cluster_.now = cluster_.now + 10s;
  cluster_.settle("a");
  EXPECT_EQ(partition().leader, -1);
  report(2, 0, 0);
  cluster_.settle("a");
  EXPECT_EQ(partition().leader, 2);
  EXPECT_EQ(partition().leader_recovery_state, kRecovered);
}

TEST_F(TransitionTest, AReportCountsForItsRegistrationAlone) {
  EXPECT_FALSE(cluster_.reports.add(cluster_.image, topic_id("a"), 0, 1, cluster_.epoch(1), {})) << "it is verified";
  cluster_.start(1, /*is_unverified=*/true);
  const int64_t before = cluster_.epoch(1);
  report(1, 1, 1);
  cluster_.start(1, /*is_unverified=*/true);
  EXPECT_FALSE(cluster_.reports.add(cluster_.image, topic_id("a"), 0, 1, before, {}));
  EXPECT_FALSE(cluster_.reports.add(cluster_.image, topic_id("a"), 1, 1, cluster_.epoch(1), {}));
  EXPECT_FALSE(cluster_.reports.of(topic_id("a"), 0, *cluster_.image.broker(1)).has_value());
}

TEST_F(TransitionTest, ThePreferredReplicaLeadsIfItIsInSync) {
  lose({1});
  cluster_.start(1);
  cluster_.unfence(1);
  EXPECT_FALSE(cluster_.settle("a", {.preferred = true}));
  cluster_.settle("a", {.isr = Ids{1, 2, 3}});
  cluster_.settle("a", {.preferred = true});
  EXPECT_EQ(partition().leader, 1);
}

TEST_F(TransitionTest, ALeaderThatShutsDownLeadsOnWhereNobodyElseCan) {
  lose({3, 2});
  cluster_.begin_shutdown(1);
  EXPECT_FALSE(cluster_.settle("a")) << "it is still there";
  EXPECT_EQ(partition().leader, 1);
  cluster_.start(2);
  cluster_.unfence(2);
  cluster_.settle("a");
  EXPECT_EQ(partition().leader, 2) << "eligible, and there again";
  EXPECT_EQ(isr(), Ids{2});
}

TEST_F(TransitionTest, ALeaderThatHasShutDownLeadsNothing) {
  lose({3, 2});
  cluster_.begin_shutdown(1);
  lose({1});
  EXPECT_EQ(partition().leader, kNobody);
  EXPECT_EQ(elr(), (Ids{1, 2}));
}

TEST_F(TransitionTest, TheOthersLeaveTheIsrOfALeaderThatShutsDown) {
  cluster_.begin_shutdown(1);
  cluster_.fence(2);
  cluster_.fence(3);
  cluster_.settle("a", {.lost = {3}});
  EXPECT_EQ(partition().leader, 1);
  EXPECT_EQ(isr(), Ids{1});
  EXPECT_EQ(elr(), Ids{2}) << "3 has lost its disk";
}

}  // namespace
}  // namespace posthaste::replication
