// What the image says becomes roles, followed logs and served connections, on simulated brokers; the simulator
// posthaste-streams does the same by seed, under faults.
#include "replication/stream/replica_manager.h"

#include "replication/stream/stream_acceptor.h"
#include "replication/stream/testing/stream_fixture.h"

namespace posthaste::replication::stream {
namespace {

using namespace std::chrono_literals;
using reactor::Task;

struct Hooks final : ReplicaManagerHooks {
  int32_t leader_of(const storage::TopicId&, int32_t) override { return -1; }
  int32_t core_of(const storage::TopicId&, int32_t) override { return -1; }
  void isr_changes_due() override { ++due; }
  int due = 0;
};

class ReplicaManagerTest : public StreamFixture {
 protected:
  void begin_with_managers() {
    leader_.accepts = [this](reactor::Socket socket) {
      return accept_stream(*leader_.core, socket, 1, 1s, [this](reactor::Core&, reactor::Socket taken, Open open) {
        leads_->serve(taken, std::move(open));
      });
    };
    begin();
    leads_.emplace(*leader_.shared, *leader_.engine, leader_.us, hooks_);
    follows_.emplace(*follower_.shared, *follower_.engine, follower_.us, hooks_);
    step(follower_, [&] { follows_->broker_changed(kLeaderId, BrokerLife{100, true}, "10.0.0.1:9000"); });
    step(leader_, [&] {
      leads_->broker_changed(kLeaderId, BrokerLife{100, true}, {});
      leads_->broker_changed(kFollowerId, BrokerLife{kFollowerEpoch, true}, {});
    });
  }
  void TearDown() override {
    for (auto [broker, manager] : {std::pair(&leader_, &leads_), std::pair(&follower_, &follows_)}) {
      if (*manager) on(*broker, [&]() -> Task<void> { co_await (*manager)->stop(); });
    }
    leads_.reset();
    follows_.reset();
    StreamFixture::TearDown();
  }
  static Term term(int32_t epoch) { return {.leader_epoch = epoch, .broker_epoch = 100}; }
  static ReplicaAssignment following(int32_t epoch) {
    return {.role = Role::kFollower, .term = term(epoch), .leader = kLeaderId};
  }
  static ReplicaAssignment leading(int32_t epoch, int64_t broker_epoch = 100,
                                   const std::vector<int32_t>& isr = {1, 2}) {
    LedPartition led{.term = {.leader_epoch = epoch, .broker_epoch = broker_epoch}, .partition_epoch = epoch};
    led.replicas = std::vector<int32_t>{kLeaderId, kFollowerId};
    led.isr = isr;
    return {.role = Role::kLeader, .term = led.term, .led = led};
  }

  Hooks hooks_;
  std::optional<ReplicaManager> leads_;
  std::optional<ReplicaManager> follows_;
};

TEST_F(ReplicaManagerTest, WhatIsAssignedIsLedAndFollowed) {
  begin_with_managers();
  step(leader_, [&] { leads_->assign(*leader_.replica, leading(4)); });
  append(leader_, 4, 3);
  step(follower_, [&] { follows_->assign(*follower_.replica, following(4)); });
  ASSERT_TRUE(until([&] { return is_copied(); })) << world_->log_tail();
  EXPECT_EQ(follows_->stream_to(kLeaderId)->connections(), 1U);
  step(follower_, [&] { follows_->assign(*follower_.replica, leading(5, kFollowerEpoch)); });
  ASSERT_TRUE(until([&] { return follower_.replica->role() == Role::kLeader; }));
  EXPECT_EQ(follower_.replica->term().leader_epoch, 5);
  on(follower_, [&]() -> Task<void> { co_await follows_->release(*follower_.replica); });
  EXPECT_EQ(follower_.replica->role(), Role::kNone);
  EXPECT_EQ(follows_->isr().led_count(), 0U);
  ASSERT_TRUE(until([&] { return follows_->stream_to(kLeaderId)->connections() == 0; }))
      << "nothing is followed over it";
}

TEST_F(ReplicaManagerTest, OfAssignmentsThatComeTogetherTheNewestCounts) {
  begin_with_managers();
  step(leader_, [&] { leads_->assign(*leader_.replica, leading(4)); });
  append(leader_, 4, 3);
  step(follower_, [&] { follows_->assign(*follower_.replica, following(4)); });
  ASSERT_TRUE(until([&] { return is_copied(); })) << world_->log_tail();
  step(leader_, [&] { leads_->assign(*leader_.replica, leading(7)); });
  step(follower_, [&] {
    follows_->assign(*follower_.replica, leading(5, kFollowerEpoch));
    follows_->assign(*follower_.replica, {.term = {.leader_epoch = 6, .broker_epoch = 1}});
    follows_->assign(*follower_.replica, following(7));
  });
  append(leader_, 7);
  ASSERT_TRUE(until([&] { return is_copied(); })) << world_->log_tail();
  EXPECT_EQ(follower_.replica->term().leader_epoch, 7);
  EXPECT_EQ(follower_.replica->log().epochs(), leader_.replica->log().epochs()) << "it never led";
}

// Who waits for the high watermark waits for all that were counted when the leader asked for another set.
TEST_F(ReplicaManagerTest, WhoIsAskedForCountsAtOnce) {
  begin_with_managers();
  step(leader_, [&] { leads_->assign(*leader_.replica, leading(4, 100, {1})); });
  append(leader_, 4, 3);
  ASSERT_TRUE(until([&] { return leader_.replica->high_watermark() == 3; })) << "it is alone";
  step(follower_, [&] { follows_->assign(*follower_.replica, following(4)); });
  ASSERT_TRUE(until([&] { return is_copied() && hooks_.due > 0; })) << world_->log_tail();
  world_->run_for(100ms);
  step(leader_, [&] {
    const auto request = leads_->isr().take_request(leader_.core->now());
    ASSERT_TRUE(request && request->changes.size() == 1);
    EXPECT_EQ(request->changes[0].isr.size(), 2U);
  });
  follower_.host->slow_disk(100'000);
  append(leader_, 4);
  world_->run_for(1s);
  EXPECT_EQ(durable(leader_), 4);
  EXPECT_EQ(leader_.replica->high_watermark(), 3) << "it may be a member by now";
  follower_.host->heal_disk();
  ASSERT_TRUE(until([&] { return leader_.replica->high_watermark() == 4; }));
}

TEST_F(ReplicaManagerTest, ConnectionsOfALifeThatIsOverEnd) {
  begin_with_managers();
  step(leader_, [&] { leads_->assign(*leader_.replica, leading(4)); });
  append(leader_, 4, 3);
  step(follower_, [&] { follows_->assign(*follower_.replica, following(4)); });
  ASSERT_TRUE(until([&] { return is_copied(); })) << world_->log_tail();
  step(leader_, [&] { leads_->broker_changed(kFollowerId, BrokerLife{kFollowerEpoch + 1, true}, {}); });
  ASSERT_TRUE(until([&] { return follows_->stream_to(kLeaderId)->connections() == 0; })) << world_->log_tail();
  append(leader_, 4);
  world_->run_for(3s);
  EXPECT_EQ(end(follower_), 3) << "it is not served";
  EXPECT_EQ(leader_.replica->high_watermark(), 3);
}

TEST_F(ReplicaManagerTest, APeerIsFoundAtItsNewAddress) {
  begin_with_managers();
  step(follower_, [&] { follows_->broker_changed(kLeaderId, BrokerLife{100, true}, "10.0.0.9:9000"); });
  step(leader_, [&] { leads_->assign(*leader_.replica, leading(4)); });
  append(leader_, 4, 3);
  step(follower_, [&] { follows_->assign(*follower_.replica, following(4)); });
  world_->run_for(1s);
  EXPECT_EQ(end(follower_), 0);
  step(follower_, [&] { follows_->broker_changed(kLeaderId, BrokerLife{100, true}, "10.0.0.1:9000"); });
  ASSERT_TRUE(until([&] { return is_copied(); })) << world_->log_tail();
}

}  // namespace
}  // namespace posthaste::replication::stream
