// Brokers that register, are fenced and are removed: what is refused, and what each portion does.
#include "replication/metadata/broker_changes.h"

#include <gtest/gtest.h>

#include "replication/testing/test_cluster.h"

namespace posthaste::replication {
namespace {

using namespace std::chrono_literals;
using net::kafka::ErrorCode;
using testing::id_of;
using testing::Ids;
using testing::ids;
using testing::TestCluster;

constexpr int64_t kNextOffset = 700;

class BrokerChangesTest : public ::testing::Test {
 protected:
  static RegisterRequest request(int32_t id) {
    return {.broker_id = id,
            .cluster_id = "here",
            .incarnation_id = id_of(250),
            .rack = {},
            .log_dirs = {TestCluster::directory(id)}};
  }
  ErrorCode check(const RegisterRequest& request) {
    const auto refusal = check_registration(cluster_.image, sessions_, "here", request, cluster_.now);
    return refusal ? refusal->error : ErrorCode::kNone;
  }
  // All portions, each applied as it comes; the records of each.
  template <class Next>
  std::vector<std::vector<MetadataRecord>> run(Next next) {
    std::vector<std::vector<MetadataRecord>> portions;
    for (bool more = true; more;) {
      CHECK(portions.size() < 100, "it does not end");
      more = next(portions.emplace_back());
      cluster_.apply(portions.back());
    }
    return portions;
  }
  std::vector<std::vector<MetadataRecord>> do_register(const RegisterRequest& request) {
    BrokerRegistration registration(request);
    return run([&](auto& records) {
      return registration.next_portion(cluster_.image, cluster_.inputs(), kNextOffset, records);
    });
  }

  TestCluster cluster_{3};
  Sessions sessions_{cluster_.image, cluster_.now};
};

TEST_F(BrokerChangesTest, ARegistrationIsOfThisClusterAndWhole) {
  EXPECT_EQ(check(request(4)), ErrorCode::kNone);
  RegisterRequest bad = request(4);
  bad.cluster_id = "elsewhere";
  EXPECT_EQ(check(bad), ErrorCode::kInconsistentClusterId);
  bad = request(4);
  bad.broker_id = -1;
  EXPECT_EQ(check(bad), ErrorCode::kInvalidRequest);
  bad = request(4);
  bad.incarnation_id = {};
  EXPECT_EQ(check(bad), ErrorCode::kInvalidRequest);
  for (const std::vector<Uuid>& dirs :
       {std::vector<Uuid>{}, std::vector<Uuid>{Uuid{}}, std::vector<Uuid>{id_of(9), id_of(9)}}) {
    bad = request(4);
    bad.log_dirs = dirs;
    EXPECT_EQ(check(bad), ErrorCode::kInvalidRequest);
  }
}

TEST_F(BrokerChangesTest, ABrokerUnderstandsWhatIsFinalized) {
  cluster_.apply(FeatureLevelRecord{"metadata.version", 25});
  RegisterRequest other = request(4);
  EXPECT_EQ(check(other), ErrorCode::kUnsupportedVersion);
  other.features = {{"metadata.version", 1, 24}};
  EXPECT_EQ(check(other), ErrorCode::kUnsupportedVersion);
  other.features = {{"metadata.version", 1, 25}};
  EXPECT_EQ(check(other), ErrorCode::kNone);
}

TEST_F(BrokerChangesTest, ALivingBrokerKeepsItsId) {
  EXPECT_EQ(check(request(1)), ErrorCode::kDuplicateBrokerRegistration);
  RegisterRequest other_disk = request(1);
  other_disk.log_dirs = {id_of(9)};
  EXPECT_EQ(check(other_disk), ErrorCode::kDuplicateBrokerRegistration);
  RegisterRequest again = request(1);
  again.incarnation_id = cluster_.image.broker(1)->incarnation_id;
  EXPECT_EQ(check(again), ErrorCode::kNone) << "its answer was lost";
  cluster_.now = cluster_.now + 3s;
  EXPECT_EQ(check(request(1)), ErrorCode::kNone) << "its session is over";
  EXPECT_EQ(check(other_disk), ErrorCode::kNone);
}

TEST_F(BrokerChangesTest, AProcessWhoseConnectionIsGoneLivesNoMore) {
  sessions_.early().connection_ended(1, cluster_.epoch(1));
  EXPECT_EQ(check(request(1)), ErrorCode::kNone);
  RegisterRequest other_disk = request(1);
  other_disk.log_dirs = {id_of(9)};
  EXPECT_EQ(check(other_disk), ErrorCode::kDuplicateBrokerRegistration) << "it may be about to return";
  other_disk.log_dirs = {id_of(9), TestCluster::directory(1)};
  EXPECT_EQ(check(other_disk), ErrorCode::kNone) << "one more disk";
  other_disk.log_dirs = {id_of(9)};
  cluster_.now = cluster_.now + 3s;
  EXPECT_EQ(check(other_disk), ErrorCode::kNone);
}

TEST_F(BrokerChangesTest, ADirectoryBelongsToOneBroker) {
  RegisterRequest copied = request(4);
  copied.log_dirs = {TestCluster::directory(2)};
  EXPECT_EQ(check(copied), ErrorCode::kDuplicateBrokerRegistration);
}

TEST_F(BrokerChangesTest, ABrokerThatReturnsWithItsDisksIsOneRecordAndKeepsItsPlaces) {
  cluster_.add_topic("a", {1, 2, 3});
  const auto portions = do_register(request(1));
  ASSERT_EQ(portions.size(), 1U);
  ASSERT_EQ(portions[0].size(), 1U);
  EXPECT_EQ(cluster_.epoch(1), kNextOffset);
  EXPECT_TRUE(cluster_.image.broker(1)->fenced);
  EXPECT_EQ(ids(cluster_.partition("a").isr), (Ids{1, 2, 3}));
  EXPECT_EQ(cluster_.partition("a").leader_epoch, 1) << "a new life, a new epoch of what it leads";
}

TEST_F(BrokerChangesTest, TheSameIncarnationIsRegisteredOnce) {
  RegisterRequest again = request(1);
  again.incarnation_id = cluster_.image.broker(1)->incarnation_id;
  const auto portions = do_register(again);
  ASSERT_EQ(portions.size(), 1U);
  EXPECT_TRUE(portions[0].empty());
  EXPECT_NE(cluster_.epoch(1), kNextOffset);
}

TEST_F(BrokerChangesTest, AnUncleanStopIsRemembered) {
  cluster_.add_topic("a", {1, 2, 3});
  RegisterRequest unclean = request(2);
  unclean.is_unverified = true;
  do_register(unclean);
  EXPECT_EQ(ids(cluster_.partition("a").unsettled.unverified()), Ids{2});
}

// Nothing is counted on that lay on a disk that is not there any more, and that is so before the broker is.
TEST_F(BrokerChangesTest, AWipedDiskCostsItsPlacesBeforeItRegisters) {
  cluster_.add_topic("a", {1, 2, 3});
  cluster_.add_topic("b", {2, 1});
  PartitionChangeRecord kept = cluster_.change_of("b");
  kept.directories = std::vector<Uuid>{TestCluster::directory(2), id_of(77)};
  cluster_.apply(kept);
  RegisterRequest wiped = request(1);
  wiped.log_dirs = {id_of(9), id_of(77)};
  const auto portions = do_register(wiped);
  ASSERT_GE(portions.size(), 2U);
  ASSERT_EQ(portions.back().size(), 1U) << "the epoch is the offset of its record";
  EXPECT_TRUE(std::holds_alternative<RegisterBrokerRecord>(portions.back().front()));
  EXPECT_EQ(cluster_.partition("a").leader, 2);
  EXPECT_EQ(ids(cluster_.partition("a").isr), (Ids{2, 3}));
  EXPECT_EQ(ids(cluster_.partition("b").isr), (Ids{2, 1})) << "this one lies on a disk that is still there";
}

TEST_F(BrokerChangesTest, NobodyIsLeftOfAPartitionThatWasOnThatDiskAlone) {
  cluster_.add_topic("a", {1});
  RegisterRequest wiped = request(1);
  wiped.log_dirs = {id_of(9)};
  do_register(wiped);
  EXPECT_EQ(cluster_.partition("a").leader, -1);
  EXPECT_TRUE(cluster_.partition("a").isr.empty());
  EXPECT_TRUE(cluster_.partition("a").unsettled.elr().empty());
  EXPECT_EQ(ids(cluster_.partition("a").unsettled.last_known_elr()), Ids{1});
  cluster_.unfence(1);
  EXPECT_FALSE(cluster_.settle("a")) << "it would be an empty log";
}

TEST_F(BrokerChangesTest, AFencedBrokerIsFencedFirstAndItsPartitionsFollow) {
  cluster_.add_topic("a", {1, 2, 3}, /*partitions=*/3);
  cluster_.add_topic("b", {2, 3});
  BrokerFencing fencing(1, cluster_.epoch(1), BrokerFencing::When::kSessionOver);
  const auto portions =
      run([&](auto& records) { return fencing.next_portion(cluster_.image, cluster_.inputs(), records); });
  ASSERT_EQ(portions.size(), 2U);
  EXPECT_EQ(portions[0].size(), 1U);
  EXPECT_TRUE(cluster_.image.broker(1)->fenced);
  EXPECT_EQ(portions[1].size(), 3U);
  cluster_.image.topics().for_each([](const TopicImage& topic) {
    for (const PartitionImage& partition : topic.partitions) EXPECT_EQ(partition.leader, 2);
  });
}

TEST_F(BrokerChangesTest, ANewLifeIsNotFencedForTheOneBefore) {
  cluster_.add_topic("a", {1, 2});
  BrokerFencing fencing(1, cluster_.epoch(1), BrokerFencing::When::kSessionOver);
  cluster_.start(1);
  cluster_.unfence(1);
  run([&](auto& records) { return fencing.next_portion(cluster_.image, cluster_.inputs(), records); });
  EXPECT_TRUE(cluster_.image.is_active(1));
  EXPECT_EQ(cluster_.partition("a").leader, 1);
}

TEST_F(BrokerChangesTest, FencingEarlyKeepsWhatNobodyElseCanLead) {
  cluster_.add_topic("a", {1, 2});
  cluster_.add_topic("b", {1});
  BrokerFencing early(1, cluster_.epoch(1), BrokerFencing::When::kEarly);
  run([&](auto& records) { return early.next_portion(cluster_.image, cluster_.inputs(), records); });
  EXPECT_EQ(cluster_.partition("a").leader, 2);
  EXPECT_EQ(cluster_.partition("b").leader, 1);
  BrokerFencing over(1, cluster_.epoch(1), BrokerFencing::When::kSessionOver);
  run([&](auto& records) { return over.next_portion(cluster_.image, cluster_.inputs(), records); });
  EXPECT_EQ(cluster_.partition("b").leader, -1);
}

TEST_F(BrokerChangesTest, ARemovedBrokerIsForgottenAndSoAreItsReplicas) {
  cluster_.add_topic("a", {1, 2});
  cluster_.add_topic("b", {1});
  BrokerRemoval removal(1);
  EXPECT_FALSE(removal.check(cluster_.image).has_value());
  run([&](auto& records) { return removal.next_portion(cluster_.image, cluster_.inputs(), records); });
  EXPECT_EQ(cluster_.image.broker(1), nullptr);
  EXPECT_EQ(cluster_.partition("a").leader, 2);
  EXPECT_TRUE(cluster_.partition("a").unsettled.elr().empty());
  EXPECT_EQ(cluster_.partition("b").leader, -1);
  EXPECT_EQ(BrokerRemoval(1).check(cluster_.image)->error, ErrorCode::kBrokerIdNotRegistered);
}

// An id that is used again is somebody else's, whatever partitions believe.
TEST_F(BrokerChangesTest, WhoIsNotKnownHoldsNothing) {
  cluster_.add_topic("a", {4, 2});
  do_register(request(4));
  EXPECT_EQ(ids(cluster_.partition("a").isr), Ids{2});
  EXPECT_TRUE(cluster_.partition("a").unsettled.elr().empty());
}

TEST_F(BrokerChangesTest, ABrokerThatIsBeingRemovedDoesNotComeBack) {
  cluster_.add_topic("a", {1, 2, 3}, 3'000);
  Sessions sessions(cluster_.image, cluster_.now);
  sessions.removal_begins(1);
  BrokerRemoval removal(1);
  std::vector<MetadataRecord> records;
  for (int portion = 0; portion < 2; ++portion) {
    records.clear();
    ASSERT_TRUE(removal.next_portion(cluster_.image, cluster_.inputs(), records));
    cluster_.apply(records);
    const HeartbeatDecision decision = sessions.heartbeat(
        cluster_.image, {.broker = 1, .broker_epoch = cluster_.epoch(1), .metadata_offset = 1'000}, cluster_.now);
    EXPECT_TRUE(decision.records.empty());
    EXPECT_TRUE(decision.is_fenced);
  }
  RegisterRequest again{.broker_id = 1, .cluster_id = "here", .incarnation_id = id_of(99)};
  again.log_dirs = {TestCluster::directory(1)};
  const auto refusal = check_registration(cluster_.image, sessions, "here", again, cluster_.now + 2 * kSessionTimeout);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->error, ErrorCode::kDuplicateBrokerRegistration);
  run([&](auto& more) { return removal.next_portion(cluster_.image, cluster_.inputs(), more); });
  EXPECT_EQ(cluster_.image.broker(1), nullptr);
  sessions.unregistered(1);
  EXPECT_FALSE(check_registration(cluster_.image, sessions, "here", again, cluster_.now).has_value());
}

TEST_F(BrokerChangesTest, ARemovalIsOfTheRegistrationThatWasThere) {
  BrokerRemoval removal(1);
  std::vector<MetadataRecord> records;
  ASSERT_TRUE(removal.next_portion(cluster_.image, cluster_.inputs(), records));
  cluster_.apply(records);
  cluster_.start(1);
  run([&](auto& more) { return removal.next_portion(cluster_.image, cluster_.inputs(), more); });
  EXPECT_NE(cluster_.image.broker(1), nullptr) << "another life";
}

TEST_F(BrokerChangesTest, WhoMayHaveLostSomethingIsDoubtedInPortions) {
  cluster_.add_topic("a", {1, 2, 3}, 2'500);
  RegisterRequest back = request(1);
  back.is_unverified = true;
  const auto portions = do_register(back);
  ASSERT_EQ(portions.size(), 4U);
  for (size_t i = 0; i < 3; ++i) EXPECT_LE(portions[i].size(), kChangesInPortion);
  EXPECT_EQ(portions.back().size(), 1U);
  EXPECT_TRUE(std::holds_alternative<RegisterBrokerRecord>(portions.back().front()));
  const PartitionImage& partition = cluster_.partition("a");
  EXPECT_EQ(partition.leader, 2) << "it does not lead for a moment more";
  EXPECT_EQ(ids(partition.isr), (Ids{1, 2, 3})) << "and holds back the high watermark as before";
  EXPECT_EQ(ids(partition.unsettled.unverified()), Ids{1});
  EXPECT_EQ(partition.partition_epoch, 1) << "the registration itself changes nothing more";
}

TEST_F(BrokerChangesTest, ADoubtfulBrokerDoesNotLeadOnBecauseItWasShuttingDown) {
  cluster_.add_topic("a", {1});
  cluster_.begin_shutdown(1);
  RegisterRequest back = request(1);
  back.is_unverified = true;
  do_register(back);
  EXPECT_EQ(cluster_.partition("a").leader, kNobody);
  EXPECT_EQ(ids(cluster_.partition("a").unsettled.unverified()), Ids{1});
}

TEST_F(BrokerChangesTest, WhatIsLeftOfADoubtfulBrokerIsDoubtedToo) {
  cluster_.add_topic("a", {1, 2, 3});
  PartitionChangeRecord where = cluster_.change_of("a");
  where.directories = {TestCluster::directory(1), TestCluster::directory(2), TestCluster::directory(3)};
  where.isr = Ids{1};
  where.elr = Ids{2};
  cluster_.apply(where);
  cluster_.apply(BrokerRegistrationChangeRecord{
      .broker_id = 2, .broker_epoch = cluster_.epoch(2), .log_dirs = {TestCluster::directory(2), id_of(77)}});
  RegisterRequest back = request(2);
  back.is_unverified = true;
  EXPECT_EQ(do_register(back).size(), 3U) << "fenced, doubted, registered";
  EXPECT_EQ(ids(cluster_.partition("a").unsettled.unverified()), Ids{2});
  EXPECT_EQ(ids(cluster_.partition("a").unsettled.elr()), Ids{2});
}

}  // namespace
}  // namespace posthaste::replication
