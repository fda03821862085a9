// A replica over a real log on the simulated disk: who may append, when the high watermark moves, who is told of what.
#include "replication/replica.h"

#include <gtest/gtest.h>

#include "reactor/simulated/world.h"
#include "storage/batch/record_batch_builder.h"

namespace posthaste::replication {
namespace {

using namespace std::chrono_literals;
using reactor::Core;
using reactor::Errc;
using reactor::Result;
using reactor::Task;
using storage::Engine;
using storage::Partition;

constexpr reactor::WallMillis kNow{1'700'000'000'000};
constexpr int32_t kOther = 2;
constexpr int32_t kThird = 3;
constexpr Term kFirst{.leader_epoch = 4, .broker_epoch = 40};
constexpr Term kSecond{.leader_epoch = 5, .broker_epoch = 50};

struct Waiter : storage::OffsetWaiter {
  explicit Waiter(int64_t until) {
    offset = until;
    done = [](storage::OffsetWaiter& self, Result<void> outcome) { static_cast<Waiter&>(self).outcome = outcome; };
  }
  std::optional<Result<void>> outcome;
  bool is_acknowledged() const { return outcome && *outcome; }
};

struct Listener : HighWatermarkListener {
  Listener() {
    advanced = [](HighWatermarkListener& self, uint64_t to) { static_cast<Listener&>(self).readable = to; };
    ended = [](HighWatermarkListener& self) { ++static_cast<Listener&>(self).ends; };
  }
  uint64_t readable = 0;
  int ends = 0;
};

class ReplicaTest : public testing::Test {
 protected:
  // One life of a store with one partition.
  void life(std::function<Task<void>(Core&, Replica&)> work) {
    host_.set_program([this, work = std::move(work)](Core& core) { return program(*this, core, work); });
    host_.start();
    ASSERT_TRUE(world_.run_until([&] { return !host_.running(); }, 60s)) << world_.log_tail();
    ASSERT_EQ(host_.state(), reactor::simulated::HostState::kStopped) << world_.log_tail();
  }

  static Task<void> program(ReplicaTest& self, Core& core, std::function<Task<void>(Core&, Replica&)> work) {
    storage::EngineHost store(self.options_, 1);
    EXPECT_TRUE((co_await store.recover(core)).has_value()) << store.error_text();
    auto opened = co_await store.open(core);
    EXPECT_TRUE(opened.has_value());
    self.engine_ = *opened;
    Partition* log = self.engine_->find(storage::TopicId{}, 0);
    if (log == nullptr) log = *co_await self.engine_->create_partition({.topic_name = "t"});
    co_await work(core, Replica::of(*log));
    co_await self.engine_->close();
    EXPECT_TRUE((co_await store.close(core)).has_value());
  }

  static Result<storage::AppendResult> append(Replica& replica, int32_t leader_epoch) {
    storage::RecordBatchBuilder builder({});
    builder.add({.timestamp = 1, .value = storage::bytes_of("v")});
    storage::Bytes batch = builder.finish();
    return replica.append(batch, {.leader_epoch = leader_epoch}, kNow);
  }
  static Task<void> append_durably(Core& core, Replica& replica, int count = 1) {
    for (int i = 0; i < count; ++i) EXPECT_TRUE(append(replica, replica.term().leader_epoch).has_value());
    while (replica.log().durable_offset() < replica.log().end_offset()) co_await core.sleep(1ms);
  }
  static InSyncSet with(const std::vector<int32_t>& others, size_t size_min = 1) {
    InSyncSet in_sync{.size_min = size_min};
    for (const int32_t broker : others) in_sync.others.push_back({.broker = broker});
    return in_sync;
  }

  reactor::simulated::World world_{7};
  storage::EngineOptions options_{
      .data_directory = "/data", .journal_file_bytes = 64 << 10, .journal_files = 8, .commit_bytes_max = 16 << 10};
  reactor::simulated::Host& host_ = world_.add_host({.cores = 1, .pool_bytes_per_core = 16 << 20}, "10.0.0.1", nullptr);
  Engine* engine_ = nullptr;
};

TEST_F(ReplicaTest, OnlyALeaderTakesAppendsAndOnlyInItsEpoch) {
  life([](Core&, Replica& replica) -> Task<void> {
    EXPECT_EQ(append(replica, kFirst.leader_epoch).error(), Errc::kNotFound) << "no role";
    replica.become_follower(kFirst);
    EXPECT_EQ(append(replica, kFirst.leader_epoch).error(), Errc::kNotFound) << "a follower";
    EXPECT_FALSE(replica.log().epochs().latest()) << "a follower starts no epoch";
    replica.become_leader(kFirst, {});
    EXPECT_TRUE(append(replica, kFirst.leader_epoch).has_value());
    EXPECT_EQ(append(replica, kFirst.leader_epoch - 1).error(), Errc::kStale);
    EXPECT_EQ(append(replica, kFirst.leader_epoch + 1).error(), Errc::kAhead);
    EXPECT_EQ(replica.log().epochs().latest()->epoch, kFirst.leader_epoch) << "who asks starts no epoch";
    replica.become_leader(kSecond, {});
    EXPECT_EQ(replica.check_leads(kFirst.leader_epoch).error(), Errc::kStale);
    EXPECT_TRUE(replica.check_leads(kSecond.leader_epoch).has_value());
    EXPECT_EQ(append(replica, kFirst.leader_epoch).error(), Errc::kStale);
    EXPECT_EQ(replica.log().epochs().latest()->epoch, kSecond.leader_epoch);
    EXPECT_EQ(replica.log().epochs().latest()->start_offset, 1);
    replica.resign();
    EXPECT_EQ(append(replica, kSecond.leader_epoch).error(), Errc::kNotFound) << "resigned";
    EXPECT_EQ(replica.log().end_offset(), 1);
    co_return;
  });
}

TEST_F(ReplicaTest, AloneItsDiskIsEnough) {
  life([](Core& core, Replica& replica) -> Task<void> {
    replica.become_leader(kFirst, {});
    EXPECT_TRUE(append(replica, kFirst.leader_epoch).has_value());
    Waiter waiter(1);
    replica.wait_high_watermark(waiter);
    EXPECT_EQ(replica.high_watermark(), 0) << "not durable yet";
    EXPECT_FALSE(waiter.outcome);
    co_await append_durably(core, replica);
    EXPECT_TRUE(waiter.is_acknowledged());
    EXPECT_EQ(replica.high_watermark(), 2);
    EXPECT_EQ(replica.readable_min(), replica.log().durable_position());
  });
}

// Who is asked for as a member, and may not be one yet: others may be elected meanwhile.
TEST_F(ReplicaTest, AWishedMemberHoldsBackAndDoesNotMakeASetLargeEnough) {
  life([](Core& core, Replica& replica) -> Task<void> {
    InSyncSet in_sync = with({2}, 2);
    in_sync.wished = 1;
    replica.become_leader(kFirst, in_sync);
    co_await append_durably(core, replica, 3);
    replica.acknowledged(2, 2);
    EXPECT_EQ(replica.high_watermark(), 0) << "the set that is agreed has one member";
    in_sync.wished = 0;
    replica.set_in_sync(in_sync);
    EXPECT_EQ(replica.high_watermark(), 2);
    in_sync.others.push_back({.broker = 3});
    in_sync.wished = 1;
    replica.set_in_sync(in_sync);
    replica.acknowledged(2, 3);
    EXPECT_EQ(replica.high_watermark(), 2) << "it may be a member by now";
  });
}

TEST_F(ReplicaTest, TheHighWatermarkIsTheLeastDurableOfAllInSync) {
  life([](Core& core, Replica& replica) -> Task<void> {
    replica.become_leader(kFirst, with({kOther, kThird}));
    co_await append_durably(core, replica, 10);
    EXPECT_EQ(replica.high_watermark(), 0);
    Waiter fourth(4);
    Waiter fifth(5);
    replica.wait_high_watermark(fourth);
    replica.wait_high_watermark(fifth);
    replica.acknowledged(kOther, 7);
    EXPECT_EQ(replica.high_watermark(), 0) << "the third has said nothing";
    replica.acknowledged(kThird, 4);
    EXPECT_EQ(replica.high_watermark(), 4);
    EXPECT_TRUE(fourth.is_acknowledged());
    EXPECT_FALSE(fifth.outcome);
    replica.acknowledged(9, 10);
    EXPECT_EQ(replica.high_watermark(), 4) << "not in the set";
    replica.acknowledged(kThird, 3);
    EXPECT_EQ(replica.high_watermark(), 4) << "an old acknowledgement";
    replica.set_in_sync(with({kOther}));
    EXPECT_EQ(replica.high_watermark(), 7) << "who stays keeps what it has acknowledged";
    replica.acknowledged(kOther, 100);
    EXPECT_EQ(replica.high_watermark(), 10) << "never above what is durable here";
    replica.set_in_sync(with({kOther, kThird}));
    EXPECT_EQ(replica.high_watermark(), 10) << "never backwards";
  });
}

// What a broker has on disk in one life says nothing about the next one: its disk may be a new one.
TEST_F(ReplicaTest, AnAcknowledgementOfAnotherLifeCountsForNothing) {
  life([](Core& core, Replica& replica) -> Task<void> {
    const auto in_life = [](int64_t broker_epoch) {
      return InSyncSet{.others = {{.broker = kOther, .broker_epoch = broker_epoch}}};
    };
    replica.become_leader(kFirst, in_life(7));
    co_await append_durably(core, replica, 3);
    replica.acknowledged(kOther, 3, 6);
    EXPECT_EQ(replica.high_watermark(), 0) << "of a life that is over";
    replica.acknowledged(kOther, 1, 7);
    EXPECT_EQ(replica.high_watermark(), 1);
    replica.set_in_sync(in_life(8));
    EXPECT_TRUE(append(replica, kFirst.leader_epoch).has_value());
    replica.acknowledged(kOther, 2, 7);
    EXPECT_EQ(replica.high_watermark(), 1) << "late";
    replica.acknowledged(kOther, 2, 8);
    EXPECT_EQ(replica.high_watermark(), 2);
  });
}

TEST_F(ReplicaTest, WhatOneLifeHasAcknowledgedIsNotKeptForTheNext) {
  life([](Core& core, Replica& replica) -> Task<void> {
    replica.become_leader(kFirst, {.others = {{.broker = kOther, .broker_epoch = 7}, {.broker = kThird}}});
    co_await append_durably(core, replica, 3);
    replica.acknowledged(kOther, 3, 7);
    replica.set_in_sync({.others = {{.broker = kOther, .broker_epoch = 8}, {.broker = kThird}}});
    replica.acknowledged(kThird, 3);
    EXPECT_EQ(replica.high_watermark(), 0);
  });
}

// Durable elsewhere first.
TEST_F(ReplicaTest, ItsOwnDiskCountsToo) {
  life([](Core& core, Replica& replica) -> Task<void> {
    replica.become_leader(kFirst, with({kOther}));
    EXPECT_TRUE(append(replica, kFirst.leader_epoch).has_value());
    replica.acknowledged(kOther, 1);
    EXPECT_EQ(replica.high_watermark(), 0);
    while (replica.log().durable_offset() == 0) co_await core.sleep(1ms);
    EXPECT_EQ(replica.high_watermark(), 1);
  });
}

TEST_F(ReplicaTest, WithTooFewMembersTheHighWatermarkStandsStill) {
  life([](Core& core, Replica& replica) -> Task<void> {
    replica.become_leader(kFirst, with({kOther}, 2));
    co_await append_durably(core, replica, 2);
    replica.acknowledged(kOther, 1);
    EXPECT_EQ(replica.high_watermark(), 1);
    replica.set_in_sync(with({}, 2));
    EXPECT_EQ(replica.high_watermark(), 1);
    replica.set_in_sync(with({kThird}, 2));
    EXPECT_EQ(replica.high_watermark(), 1);
    replica.acknowledged(kThird, 2);
    EXPECT_EQ(replica.high_watermark(), 2);
  });
}

TEST_F(ReplicaTest, ARoleThatEndsTellsAllWhoWaitedForIt) {
  life([](Core& core, Replica& replica) -> Task<void> {
    replica.become_leader(kFirst, with({kOther}));
    co_await append_durably(core, replica, 2);
    const auto ends = [&](std::string_view how, const auto& end) {
      Waiter waiter(2);
      replica.wait_high_watermark(waiter);
      Listener listener;
      EXPECT_FALSE(replica.add_listener(listener, replica.high_watermark()));
      EXPECT_FALSE(waiter.outcome) << how;
      end();
      EXPECT_TRUE(waiter.outcome && waiter.outcome->error() == Errc::kNotFound) << how;
      EXPECT_EQ(listener.ends, 1) << how;
    };
    ends("another epoch", [&] { replica.become_leader(kSecond, with({kOther})); });
    ends("another life of the broker",
         [&] { replica.become_leader({.leader_epoch = kSecond.leader_epoch, .broker_epoch = 51}, with({kOther})); });
    ends("a follower", [&] { replica.become_follower({.leader_epoch = 6, .broker_epoch = 60}); });
    Waiter late(2);
    replica.wait_high_watermark(late);
    EXPECT_TRUE(late.outcome && late.outcome->error() == Errc::kNotFound) << "nobody waits for a follower";
    replica.become_leader({.leader_epoch = 7, .broker_epoch = 60}, with({kOther}));
    ends("resigned", [&] { replica.resign(); });
  });
}

// A view that says the same again, as after a change of settings.
TEST_F(ReplicaTest, TheSameTermAgainChangesNothing) {
  life([](Core& core, Replica& replica) -> Task<void> {
    replica.become_leader(kFirst, with({kOther}));
    co_await append_durably(core, replica, 2);
    replica.acknowledged(kOther, 1);
    Waiter waiter(2);
    replica.wait_high_watermark(waiter);
    Listener listener;
    EXPECT_FALSE(replica.add_listener(listener, 1));
    replica.become_leader(kFirst, with({kOther}));
    EXPECT_FALSE(waiter.outcome);
    EXPECT_EQ(listener.ends, 0);
    replica.acknowledged(kOther, 2);
    EXPECT_TRUE(waiter.is_acknowledged());
  });
}

TEST_F(ReplicaTest, AFollowerGoesAsFarAsItsOwnDisk) {
  life([](Core& core, Replica& replica) -> Task<void> {
    replica.become_leader(kFirst, with({kOther}));
    co_await append_durably(core, replica, 3);
    replica.acknowledged(kOther, 1);
    EXPECT_TRUE(append(replica, kFirst.leader_epoch).has_value());
    replica.become_follower(kSecond);
    replica.follow_high_watermark(2);
    EXPECT_EQ(replica.high_watermark(), 2);
    replica.follow_high_watermark(4);
    EXPECT_EQ(replica.high_watermark(), 3) << "the fourth is not durable here";
    while (replica.log().durable_offset() < 4) co_await core.sleep(1ms);
    EXPECT_EQ(replica.high_watermark(), 4);
  });
}

// What was safe before a new leader's epoch began is known when the high watermark has reached its start.
TEST_F(ReplicaTest, ARoleDoesNotEndWhileALeadersLogIsCopied) {
  life([](Core&, Replica& replica) -> Task<void> {
    EXPECT_DEATH(Replica::Copying{replica}, "does not follow");
    replica.become_follower(kFirst);
    {
      const Replica::Copying copying(replica);
      EXPECT_DEATH(Replica::Copying{replica}, "two copy into one log");
      EXPECT_DEATH(replica.become_follower(kSecond), "still copied");
      EXPECT_DEATH(replica.become_leader(kSecond, {}), "still copied");
      EXPECT_DEATH(replica.resign(), "still copied");
      replica.become_follower(kFirst);
    }
    replica.become_leader(kSecond, {});
    co_return;
  });
}

TEST_F(ReplicaTest, ANewLeaderIsSettledWhenItsPastIsSafe) {
  life([](Core& core, Replica& replica) -> Task<void> {
    replica.become_leader(kFirst, with({kOther}));
    EXPECT_TRUE(replica.is_settled());
    co_await append_durably(core, replica, 3);
    replica.acknowledged(kOther, 1);
    replica.become_leader(kSecond, with({kOther}));
    EXPECT_EQ(replica.high_watermark(), 1) << "it goes on from the last one known";
    EXPECT_FALSE(replica.is_settled());
    replica.acknowledged(kOther, 2);
    EXPECT_FALSE(replica.is_settled());
    replica.acknowledged(kOther, 3);
    EXPECT_TRUE(replica.is_settled());
  });
}

// Each batch is of the same size: what listeners are told encloses what is so.
TEST_F(ReplicaTest, ListenersAreToldHowFarTheLogCanBeRead) {
  life([](Core& core, Replica& replica) -> Task<void> {
    replica.become_leader(kFirst, with({kOther}));
    const uint64_t before = replica.log().durable_position();
    co_await append_durably(core, replica);
    const uint64_t batch = replica.log().durable_position() - before;
    co_await append_durably(core, replica, 9);
    EXPECT_EQ(replica.readable_min(), before) << "what is durable here is held back";
    Listener listener;
    EXPECT_FALSE(replica.add_listener(listener, 0));
    replica.acknowledged(kOther, 1);
    EXPECT_GE(listener.readable, before + batch);
    replica.acknowledged(kOther, 10);
    EXPECT_EQ(listener.readable, before + 10 * batch);
    EXPECT_EQ(replica.readable_min(), before + 10 * batch);
    EXPECT_TRUE(replica.add_listener(listener, 9)) << "there is more already";
  });
}

TEST_F(ReplicaTest, AStartGoesOnFromTheLastHighWatermarkKnown) {
  life([](Core& core, Replica& replica) -> Task<void> {
    replica.become_leader(kFirst, with({kOther}));
    co_await append_durably(core, replica, 3);
    replica.acknowledged(kOther, 2);
  });
  life([](Core&, Replica& replica) -> Task<void> {
    EXPECT_EQ(replica.role(), Role::kNone);
    EXPECT_EQ(replica.high_watermark(), 2);
    replica.become_leader(kSecond, with({kOther}));
    EXPECT_EQ(replica.high_watermark(), 2);
    EXPECT_FALSE(replica.is_settled());
    replica.set_in_sync(with({}));
    EXPECT_EQ(replica.high_watermark(), 3) << "alone, its own disk is enough";
    co_return;
  });
}

TEST_F(ReplicaTest, DeletionAndTruncationTellWhoWaits) {
  life([this](Core& core, Replica& replica) -> Task<void> {
    replica.become_leader(kFirst, with({kOther}));
    co_await append_durably(core, replica, 3);
    Waiter second(2);
    Waiter third(3);
    replica.wait_high_watermark(second);
    replica.wait_high_watermark(third);
    EXPECT_TRUE((co_await replica.log().truncate(2)).has_value());
    EXPECT_TRUE(third.outcome && third.outcome->error() == Errc::kStale);
    EXPECT_FALSE(second.outcome);
    Listener listener;
    EXPECT_FALSE(replica.add_listener(listener, 0));
    EXPECT_TRUE((co_await engine_->delete_partition(replica.log())).has_value());
    EXPECT_TRUE(second.outcome && second.outcome->error() == Errc::kNotFound);
    EXPECT_EQ(listener.ends, 1);
  });
}

TEST_F(ReplicaTest, AStopTellsWhoWaits) {
  Waiter waiter(1);
  life([&](Core& core, Replica& replica) -> Task<void> {
    replica.become_leader(kFirst, with({kOther}));
    co_await append_durably(core, replica);
    replica.wait_high_watermark(waiter);
  });
  EXPECT_TRUE(waiter.outcome && waiter.outcome->error() == Errc::kStopping);
}

}  // namespace
}  // namespace posthaste::replication
