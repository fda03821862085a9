// Sweeps: every partition once, in portions, whatever changes in between; and moves to preferred leaders, slowly.
#include "replication/metadata/elections.h"

#include <gtest/gtest.h>

#include "replication/testing/test_cluster.h"

namespace posthaste::replication {
namespace {

using namespace std::chrono_literals;
using testing::Ids;
using testing::TestCluster;
using testing::topic_id;

class SweepTest : public ::testing::Test {
 protected:
  // The sizes of its portions, each applied as it comes.
  std::vector<size_t> run(PartitionSweep sweep) {
    std::vector<size_t> sizes;
    for (bool more = true; more;) {
      std::vector<MetadataRecord> records;
      more = sweep.next_portion(cluster_.image, cluster_.inputs(), records);
      sizes.push_back(records.size());
      cluster_.apply(records);
    }
    return sizes;
  }

  TestCluster cluster_{3};
};

TEST_F(SweepTest, ALargeOneGoesInPortions) {
  cluster_.add_topic("a", {1, 2}, 1'500);
  cluster_.add_topic("b", {2, 3}, 7'000);
  cluster_.add_topic("c", {1, 3}, 10);
  cluster_.fence(1);
  EXPECT_EQ(run(PartitionSweep::of_broker(1)), (std::vector<size_t>{1'000, 500, 10}))
      << "a portion has a limit of changes, and one of what it looks at";
  EXPECT_EQ(run(PartitionSweep::of_all()), (std::vector<size_t>{0, 0})) << "all is as it should be";
}

TEST_F(SweepTest, TopicsMayComeAndGoBetweenPortions) {
  cluster_.add_topic("a", {1, 2}, 10);
  cluster_.add_topic("b", {1, 2}, 1'200);
  cluster_.add_topic("d", {1, 2}, 10);
  cluster_.fence(1);
  PartitionSweep sweep = PartitionSweep::of_broker(1);
  std::vector<MetadataRecord> records;
  ASSERT_TRUE(sweep.next_portion(cluster_.image, cluster_.inputs(), records));
  cluster_.apply(records);
  cluster_.apply(RemoveTopicRecord{topic_id("b")});
  cluster_.apply(RemoveTopicRecord{topic_id("a")});
  cluster_.add_topic("c", {1, 2}, 20);
  records.clear();
  EXPECT_FALSE(sweep.next_portion(cluster_.image, cluster_.inputs(), records));
  EXPECT_EQ(records.size(), 30U) << "c and d from their first partitions on";
}

TEST_F(SweepTest, ABrokerThatReturnsIsElectedWhereNobodyLeads) {
  cluster_.add_topic("a", {1, 2});
  cluster_.add_topic("b", {1, 3});
  for (const int32_t id : {1, 2, 3}) {
    cluster_.fence(id);
    run(PartitionSweep::of_broker(id));
  }
  cluster_.unfence(3);
  run(PartitionSweep::of_broker(3));
  EXPECT_EQ(cluster_.partition("a").leader, -1);
  EXPECT_EQ(cluster_.partition("b").leader, 3);
}

TEST_F(SweepTest, ABrokerThatHoldsNothingIsElectedWhereDataMayBeLost) {
  cluster_.add_topic("a", {1, 2});
  cluster_.set("a", "min.insync.replicas", "1");
  cluster_.set("a", "unclean.leader.election.enable", "true");
  for (const int32_t id : {2, 1}) {
    cluster_.fence(id);
    run(PartitionSweep::of_broker(id));
  }
  ASSERT_EQ(testing::ids(cluster_.partition("a").unsettled.elr()), Ids{1});
  cluster_.unfence(2);
  run(PartitionSweep::of_broker(2));
  EXPECT_EQ(cluster_.partition("a").leader, 2);
}

// The controller before had fenced a broker and had not come to its partitions.
TEST_F(SweepTest, ANewControllerEndsWhatTheOneBeforeBegan) {
  cluster_.add_topic("a", {1, 2});
  cluster_.fence(1);
  run(PartitionSweep::of_all());
  EXPECT_EQ(cluster_.partition("a").leader, 2);
}

class PreferredLeadersTest : public SweepTest {
 protected:
  size_t step() {
    std::vector<MetadataRecord> records;
    preferred_.next_step(cluster_.image, cluster_.inputs(), records);
    cluster_.apply(records);
    return records.size();
  }
  // Broker 1 leads nothing of `partitions` that it should lead, and has just come back.
  void begin(int32_t partitions) {
    cluster_.add_topic("a", {1, 2}, partitions);
    for (int32_t index = 0; index < partitions; ++index) {
      PartitionChangeRecord moved = cluster_.change_of("a");
      moved.partition_id = index;
      moved.leader = 2;
      cluster_.apply(moved);
    }
    cluster_.fence(1);
    cluster_.unfence(1);
  }

  PreferredLeaders preferred_;
};

TEST_F(PreferredLeadersTest, TheyGetTheirPartitionsBackSlowly) {
  begin(120);
  EXPECT_EQ(step(), 0U) << "it has just come back";
  cluster_.now = cluster_.now + PreferredLeaders::kSettled;
  EXPECT_EQ(step(), PreferredLeaders::kMovesInStep);
  EXPECT_EQ(step(), 0U) << "not so soon";
  cluster_.now = preferred_.next_at();
  EXPECT_EQ(step(), PreferredLeaders::kMovesInStep);
  cluster_.now = preferred_.next_at();
  EXPECT_EQ(step(), 20U);
  cluster_.now = preferred_.next_at();
  EXPECT_EQ(step(), 0U);
}

TEST_F(PreferredLeadersTest, OneThatIsNotInSyncIsLeftAlone) {
  begin(1);
  PartitionChangeRecord out = cluster_.change_of("a");
  out.isr = Ids{2};
  cluster_.apply(out);
  cluster_.now = cluster_.now + 1min;
  EXPECT_EQ(step(), 0U);
}

TEST_F(PreferredLeadersTest, ABrokerThatComesAndGoesGetsNothing) {
  begin(1);
  cluster_.now = cluster_.now + 29s;
  cluster_.fence(1);
  cluster_.unfence(1);
  cluster_.now = cluster_.now + 29s;
  EXPECT_EQ(step(), 0U);
}

}  // namespace
}  // namespace posthaste::replication
