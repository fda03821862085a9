// Places of new replicas: who leads in turn, how they lie on racks, who is last, and that nothing is left to chance.
#include "replication/metadata/replica_placer.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "replication/testing/test_cluster.h"

namespace posthaste::replication {
namespace {

using testing::Ids;
using testing::TestCluster;

class PlacerTest : public ::testing::Test {
 protected:
  // Broker 1 is on the first of these racks, and so on. An empty name is none.
  void add_brokers(const std::vector<std::string>& racks) {
    for (const std::string& rack : racks) {
      const auto id = static_cast<int32_t>(cluster_.image.brokers().size() + 1);
      racks_[id] = rack;
      cluster_.apply(RegisterBrokerRecord{.broker_id = id,
                                          .incarnation_id = testing::id_of(static_cast<uint8_t>(id)),
                                          .broker_epoch = id,
                                          .rack = rack.empty() ? std::nullopt : std::optional(rack),
                                          .fenced = false});
    }
  }
  std::vector<Ids> place(size_t partitions, size_t factor, size_t turn = 0) const {
    const ReplicaPlacer placer(cluster_.image);
    EXPECT_FALSE(placer.check(factor));
    std::vector<Ids> placed;
    placed.reserve(partitions);
    for (size_t i = 0; i < partitions; ++i) placed.push_back(placer.place(turn + i, factor));
    return placed;
  }
  // How often each broker holds the replica at this position.
  static std::map<int32_t, int> count(const std::vector<Ids>& placed, size_t position) {
    std::map<int32_t, int> counts;
    for (const Ids& replicas : placed) ++counts[replicas.at(position)];
    return counts;
  }
  size_t racks_of(const Ids& replicas) const {
    std::set<std::string> racks;
    for (const int32_t id : replicas) racks.insert(racks_.at(id));
    return racks.size();
  }

  TestCluster cluster_{0};
  std::map<int32_t, std::string> racks_;
};

TEST_F(PlacerTest, ALoneBrokerHoldsAll) {
  add_brokers({""});
  EXPECT_EQ(place(3, 1), (std::vector<Ids>{{1}, {1}, {1}}));
}

TEST_F(PlacerTest, LeadersAndFollowersAreSpreadEvenly) {
  add_brokers({"", "", "", ""});
  const std::vector<Ids> placed = place(12, 3);
  for (size_t position = 0; position < 3; ++position) {
    for (const auto& [id, times] : count(placed, position)) EXPECT_EQ(times, 3) << id << " at " << position;
  }
}

TEST_F(PlacerTest, WhoFollowsALeaderChangesFromRoundToRound) {
  add_brokers({"", "", ""});
  EXPECT_EQ(place(6, 2), (std::vector<Ids>{{1, 2}, {2, 3}, {3, 1}, {1, 3}, {2, 1}, {3, 2}}));
}

TEST_F(PlacerTest, LeadersAlternateBetweenRacks) {
  add_brokers({"a", "a", "b", "b"});
  EXPECT_EQ(count(place(4, 1), 0), (std::map<int32_t, int>{{1, 1}, {2, 1}, {3, 1}, {4, 1}}));
  const std::vector<Ids> placed = place(2, 1);
  EXPECT_NE(racks_[placed[0][0]], racks_[placed[1][0]]);
}

TEST_F(PlacerTest, TheReplicasOfAPartitionAreOnAsManyRacksAsThereAre) {
  add_brokers({"a", "a", "a", "b", "b", "c", ""});
  for (const Ids& replicas : place(50, 4)) EXPECT_EQ(racks_of(replicas), 4U);
  for (const Ids& replicas : place(50, 3)) EXPECT_EQ(racks_of(replicas), 3U);
}

TEST_F(PlacerTest, RacksAreUsedEquallyOften) {
  add_brokers({"a", "a", "a", "b", "b"});
  for (const Ids& replicas : place(50, 4)) {
    EXPECT_EQ(std::ranges::count_if(replicas, [&](int32_t id) { return racks_[id] == "b"; }), 2);
  }
}

TEST_F(PlacerTest, WhoIsNotActiveNeverLeadsAndComesLastOfItsRack) {
  add_brokers({"a", "a", "b", "b"});
  cluster_.fence(1);
  cluster_.begin_shutdown(3);
  for (const Ids& replicas : place(20, 2)) {
    EXPECT_TRUE(replicas == (Ids{2, 4}) || replicas == (Ids{4, 2}));
  }
  for (const Ids& replicas : place(20, 3)) EXPECT_TRUE(replicas[2] == 1 || replicas[2] == 3);
}

TEST_F(PlacerTest, ARackWhoseBrokersAreFencedIsUsedAllTheSame) {
  add_brokers({"a", "a", "b"});
  cluster_.fence(3);
  for (const Ids& replicas : place(20, 2)) EXPECT_EQ(replicas[1], 3);
}

TEST_F(PlacerTest, WhatHasNoPlaceIsRefused) {
  add_brokers({"", ""});
  EXPECT_EQ(ReplicaPlacer(cluster_.image).check(3)->error, net::kafka::ErrorCode::kInvalidReplicationFactor);
  cluster_.fence(1);
  EXPECT_FALSE(ReplicaPlacer(cluster_.image).check(2)) << "it will be back";
  cluster_.fence(2);
  EXPECT_EQ(ReplicaPlacer(cluster_.image).check(1)->error, net::kafka::ErrorCode::kInvalidReplicationFactor);
}

TEST_F(PlacerTest, ATopicThatGrowsGoesOnBehindItsLastLeader) {
  add_brokers({"", "", ""});
  const ReplicaPlacer placer(cluster_.image);
  EXPECT_EQ(placer.place(placer.turn_behind(2, 2), 1), Ids{3});
  EXPECT_EQ(placer.place(placer.turn_behind(3, 3), 2), (Ids{1, 3})) << "and in the next round";
  EXPECT_EQ(placer.place(placer.turn_behind(9, 4), 1), Ids{2}) << "a broker that is gone";
}

}  // namespace
}  // namespace posthaste::replication
