// A follower's log and its leader's over a simulated network, on stores of their own: what is copied, what counts, what
// is cut, and that the way between them does not limit what goes over it.
#include <fmt/format.h>

#include "replication/stream/testing/stream_fixture.h"

namespace posthaste::replication::stream {
namespace {

using namespace std::chrono_literals;
using reactor::Task;
using reactor::simulated::WorldOptions;

using StreamTest = StreamFixture;

struct NoChanges final : LaneChanges {
  bool change_lane(Replica&, bool, const Lane&) override { return true; }
};

constexpr Lane kLive{};
constexpr Lane kCatchUp{.stream_class = StreamClass::kCatchUp};

TEST_F(StreamTest, AFollowerGetsTheLogAndTheHighWatermarkFollows) {
  begin();
  lead(4);
  append(leader_, 4, 3);
  append(leader_, 4);
  EXPECT_EQ(leader_.replica->high_watermark(), 0) << "the follower counts";
  follow(4);
  ASSERT_TRUE(until([&] { return is_copied(); })) << world_->log_tail();
  for (int i = 0; i < 20; ++i) append(leader_, 4, 1 + i % 3);
  ASSERT_TRUE(until([&] { return is_copied(); })) << world_->log_tail();
  EXPECT_EQ(bytes_of(leader_), bytes_of(follower_));
  EXPECT_EQ(follower_.replica->log().epochs(), leader_.replica->log().epochs());
  EXPECT_EQ(stats().cuts + stats().resets + stats().late, 0U);
  EXPECT_EQ(leader_.progress.back().durable, end(leader_));
  EXPECT_EQ(leader_.progress.back().broker_epoch, kFollowerEpoch);
}

// Its disk stands still: what was sent does not count, and comes to count with one message.
TEST_F(StreamTest, OnlyWhatIsOnTheFollowersDiskCounts) {
  begin();
  lead(4);
  follow(4);
  ASSERT_TRUE(until([&] { return is_copied() && !leader_.progress.empty(); }));
  follower_.host->slow_disk(100'000);
  append(leader_, 4, 5);
  ASSERT_TRUE(until([&] { return end(follower_) == 5 && durable(leader_) == 5; }));
  world_->run_for(1s);
  EXPECT_EQ(durable(follower_), 0);
  EXPECT_EQ(leader_.replica->high_watermark(), 0);
  follower_.host->heal_disk();
  ASSERT_TRUE(until([&] { return is_copied(); }));
}

// Both disks write at the same time: the bytes are at the follower before the leader's own disk has them.
TEST_F(StreamTest, BytesAreSentBeforeTheLeadersDiskHasThem) {
  begin();
  lead(4);
  follow(4);
  ASSERT_TRUE(until([&] { return !leader_.progress.empty(); }));
  leader_.host->slow_disk(100'000);
  append(leader_, 4, 5);
  ASSERT_TRUE(until([&] { return durable(follower_) == 5; }));
  EXPECT_EQ(durable(leader_), 0);
  EXPECT_EQ(leader_.replica->high_watermark(), 0);
  leader_.host->heal_disk();
  ASSERT_TRUE(until([&] { return is_copied(); }));
}

TEST_F(StreamTest, AFollowerThatHasWhatItsLeaderNeverHadIsCut) {
  begin();
  append_as_of(leader_, 1, 3);
  append_as_of(leader_, 3, 2);
  append_as_of(follower_, 1, 3);
  append_as_of(follower_, 2, 4);
  lead(5);
  append(leader_, 5);
  follow(5);
  ASSERT_TRUE(until([&] { return is_copied(); })) << world_->log_tail();
  EXPECT_EQ(bytes_of(leader_), bytes_of(follower_));
  EXPECT_EQ(follower_.replica->log().epochs(), leader_.replica->log().epochs());
  EXPECT_EQ(stats().cuts, 1U);
}

TEST_F(StreamTest, WhatIsCommittedIsNotCutUnlessThePartitionRecovers) {
  begin();
  append_as_of(leader_, 1, 3);
  append_as_of(follower_, 1, 3);
  append_as_of(follower_, 2, 4);
  step(follower_, [&] { follower_.replica->log().set_high_watermark(5); });
  lead(5, false);
  append(leader_, 5);
  follow(5);
  ASSERT_TRUE(until([&] { return stats().fuses >= 2; })) << world_->log_tail();
  EXPECT_EQ(end(follower_), 7) << "nothing was cut";
  follow(5, true);
  ASSERT_TRUE(until([&] { return end(follower_) == 4; })) << world_->log_tail();
  EXPECT_EQ(bytes_of(leader_), bytes_of(follower_));
}

TEST_F(StreamTest, AFollowerBehindTheLogStartBeginsAnewThere) {
  begin();
  append_as_of(follower_, 1, 1);
  append_as_of(leader_, 1, 1);
  append_as_of(leader_, 1, 1);
  append_as_of(leader_, 1, 4);  // the log will begin inside this batch
  append_as_of(leader_, 1, 4);
  lead(5, false);
  ASSERT_TRUE(until([&] { return leader_.replica->high_watermark() == 10; }));
  on(leader_, [&]() -> Task<void> { EXPECT_TRUE((co_await leader_.replica->log().set_log_start(4)).has_value()); });
  follow(5);
  ASSERT_TRUE(until([&] { return end(follower_) == 10 && follower_.replica->log().log_start_offset() == 4; }))
      << world_->log_tail();
  EXPECT_EQ(stats().resets, 1U);
  EXPECT_EQ(bytes_of(leader_), bytes_of(follower_));
}

// It led on while another one had been elected; that one has deleted up to behind the place where the logs part.
TEST_F(StreamTest, AFollowerThatPartsFromADeletedPlaceKeepsNothingOfItsOwn) {
  begin();
  append_as_of(leader_, 1, 3);
  append_as_of(follower_, 1, 3);
  for (int i = 0; i < 4; ++i) append_as_of(follower_, 1, 1);
  lead(5, false);
  for (int i = 0; i < 3; ++i) append(leader_, 5, 1, 20);
  ASSERT_TRUE(until([&] { return leader_.replica->high_watermark() == 6; }));
  on(leader_, [&]() -> Task<void> { EXPECT_TRUE((co_await leader_.replica->log().set_log_start(5)).has_value()); });
  follow(5);
  ASSERT_TRUE(until([&] {
    const storage::Partition& log = follower_.replica->log();
    EXPECT_FALSE(log.high_watermark() > 3 && log.log_start_offset() < 5) << "records of its own count as committed";
    return log.high_watermark() == 6;
  })) << world_->log_tail();
  EXPECT_EQ(stats().resets, 1U);
  EXPECT_EQ(bytes_of(leader_), bytes_of(follower_));
}

TEST_F(StreamTest, ALogStartThatMovesIsFollowed) {
  begin();
  lead(4);
  follow(4);
  append(leader_, 4, 1);
  append(leader_, 4, 1);
  ASSERT_TRUE(until([&] { return is_copied() && end(leader_) == 2; }));
  on(leader_, [&]() -> Task<void> { EXPECT_TRUE((co_await leader_.replica->log().set_log_start(1)).has_value()); });
  append(leader_, 4, 1);
  ASSERT_TRUE(until([&] { return follower_.replica->log().log_start_offset() == 1; }));
  ASSERT_TRUE(until([&] { return leader_.progress.back().log_start == 1; })) << "and told";
}

// A cut that was asked for, and whose subscription is left before it begins, does nothing: neither for who has left,
// nor for who follows the same log next.
TEST_F(StreamTest, ADivergenceOfWhatWasLeftCutsNothing) {
  begin();
  for (int i = 0; i < 3; ++i) append_as_of(follower_, 1);
  on(follower_, [&]() -> Task<void> {
    NoChanges no_changes;
    reactor::Event changed(*follower_.core);
    Follower follower(*follower_.engine, *follower_.shared, kLive, no_changes, changed);
    follower_.replica->become_follower({.leader_epoch = 4, .broker_epoch = 100});
    follower.follow(*follower_.replica, false);
    follower.connected(0);
    std::vector<Frame> sent;
    follower.fill(sent);
    EXPECT_TRUE(follower.hear(Diverge{.subscription = 1, .epoch = 1, .end_offset = 1}));
    co_await follower.unfollow(*follower_.replica);
    follower_.replica->become_follower({.leader_epoch = 5, .broker_epoch = 100});
    follower.follow(*follower_.replica, false);
    co_await follower_.core->sleep(1s);
    EXPECT_EQ(follower.stats().cuts, 0U);
    co_await follower.unfollow(*follower_.replica);
    co_await follower.stop();
  });
  EXPECT_EQ(end(follower_), 3);
}

// What the leader of another term would be sent, or sends, is not taken.
TEST_F(StreamTest, ATermThatIsOverEndsWhatWasSubscribedInIt) {
  begin();
  lead(4);
  follow(4);
  append(leader_, 4, 3);
  ASSERT_TRUE(until([&] { return is_copied(); }));
  lead(6);
  append(leader_, 6, 3);
  world_->run_for(1s);
  EXPECT_EQ(end(follower_), 3) << "it has not heard of that term";
  EXPECT_EQ(leader_.replica->high_watermark(), 3);
  follow(6);
  ASSERT_TRUE(until([&] { return is_copied(); })) << world_->log_tail();
  EXPECT_EQ(end(follower_), 6);
  EXPECT_EQ(follower_.replica->log().epochs().latest()->epoch, 6);
}

TEST_F(StreamTest, AConnectionThatBreaksIsMadeAnew) {
  begin();
  lead(4);
  follow(4);
  for (int i = 0; i < 5; ++i) {
    append(leader_, 4, 3);
    ASSERT_TRUE(until([&] { return leader_.serving != nullptr; }));
    world_->run_for(10ms);
    step(leader_, [&] { leader_.serving->end(); });
    append(leader_, 4, 1);
    ASSERT_TRUE(until([&] { return is_copied(); })) << world_->log_tail();
  }
  EXPECT_EQ(bytes_of(leader_), bytes_of(follower_));
}

// The bytes of a follower that was started again come from its leader's disk, too.
TEST_F(StreamTest, ALogIsReadFromDiskForWhoComesLate) {
  begin();
  lead(4, false);
  for (int i = 0; i < 10; ++i) append(leader_, 4, 20, 10'000);
  ASSERT_TRUE(until([&] { return durable(leader_) == 200; }));
  leader_.host->kill();
  leader_.replica = nullptr;
  leader_.host->start();
  ASSERT_TRUE(until([&] { return leader_.replica != nullptr; }));
  lead(5);
  follow(5);
  ASSERT_TRUE(until([&] { return is_copied(); })) << world_->log_tail();
  EXPECT_EQ(bytes_of(leader_), bytes_of(follower_));
}

// A leader fills its frames; who has less room takes them a batch at a time.
TEST_F(StreamTest, AFollowerMayHaveLessMemoryThanItsLeader) {
  follower_.tail_bytes_max = 256 << 10;
  begin();
  lead(4);
  for (int i = 0; i < 20; ++i) append(leader_, 4, 3, 10'000);
  follow(4);
  ASSERT_TRUE(until([&] { return is_copied(); })) << world_->log_tail();
  EXPECT_EQ(bytes_of(leader_), bytes_of(follower_));
}

// Another stream of the core has it: the frame waits, the connection lasts, and what is small is heard as before.
TEST_F(StreamTest, ALargeFrameWaitsForMemoryOfItsCore) {
  large_frame_memory_bytes_ = 512 << 10;
  begin();
  lead(4, false);
  follow(4);
  reactor::BufferPool& memory = follower_.shared->large_frames;
  reactor::Buffer taken;
  step(follower_, [&] { taken = *memory.allocate(memory.buffer_bytes_max()); });
  append(leader_, 4, 1, 10);
  ASSERT_TRUE(until([&] { return end(follower_) == 1; }));
  const LeaderStream* const connection = leader_.serving;
  append(leader_, 4, 2, 100'000);
  world_->run_for(5s);
  EXPECT_EQ(end(follower_), 1);
  step(follower_, [&] { taken.release(); });
  ASSERT_TRUE(until([&] { return end(follower_) == 3; })) << world_->log_tail();
  EXPECT_EQ(leader_.serving, connection) << "who does not listen takes nobody for gone";
  world_->run_for(1s);
  EXPECT_EQ(memory.bytes_free(), memory.bytes_total()) << "it is given back";
}

TEST_F(StreamTest, AFrameThatIsLargerThanAllMemoryEndsTheConnection) {
  large_frame_memory_bytes_ = 512 << 10;
  begin();
  lead(4, false);
  follow(4);
  append(leader_, 4, 1, 10);
  ASSERT_TRUE(until([&] { return end(follower_) == 1; }));
  append(leader_, 4, 6, 100'000);
  ASSERT_TRUE(until([&] { return world_->log_tail().find("replication.frame_too_large") != std::string::npos; }));
  world_->run_for(1s);
  EXPECT_EQ(end(follower_), 1);
}

TEST_F(StreamTest, APeerOfAnotherClusterIsToldSo) {
  begin({}, "another");
  lead(4);
  append(leader_, 4);
  follow(4);
  ASSERT_TRUE(until([&] { return follower_.following->refused().has_value(); }));
  EXPECT_EQ(follower_.following->refused()->reason, EndReason::kForeignCluster);
  EXPECT_NE(
      follower_.following->refused()->message.find("broker 2 of cluster another has reached broker 1 of cluster c"),
      std::string::npos)
      << follower_.following->refused()->message;
  EXPECT_EQ(end(follower_), 0);
}

TEST(RefusalOf, ForeignClustersWrongBrokersAndVersionsWithoutACommonOne) {
  const LocalBroker us{.cluster_id = "c", .broker = 1};
  const Open good{.cluster_id = "c", .from_broker = 2, .to_broker = 1};
  EXPECT_FALSE(refusal_of(us, good));
  Open other = good;
  other.to_broker = 3;
  EXPECT_EQ(refusal_of(us, other)->reason, EndReason::kWrongBroker);
  other = good;
  other.version_min = other.version_max = kVersionMax + 1;
  EXPECT_EQ(refusal_of(us, other)->reason, EndReason::kNoCommonVersion);
}

// --- Catching up.

TEST_F(StreamTest, WhoIsFarBehindCatchesUpAndComesBack) {
  catch_up_ = {.far_bytes = 500'000, .close_bytes = 200'000};
  begin();
  lead(4);
  for (int i = 0; i < 20; ++i) append(leader_, 4, 1, 100'000);
  follow(4);
  for (int i = 0; i < 20; ++i) {
    append(leader_, 4, 1, 10'000);
    world_->run_for(1ms);
  }
  ASSERT_TRUE(until([&] { return is_copied(); })) << world_->log_tail();
  EXPECT_EQ(stats().far, 1U);
  EXPECT_EQ(stats().close, 1U);
  EXPECT_EQ(stats().late, 0U) << "no frame comes twice, none is left out";
  EXPECT_EQ(bytes_of(leader_), bytes_of(follower_));
  append(leader_, 4, 3);
  ASSERT_TRUE(until([&] { return is_copied(); }));
  EXPECT_EQ(stats().far, 1U) << "it stays";
}

TEST_F(StreamTest, OnlySoManyCatchUpAtATime) {
  catch_up_.at_once = 1;
  begin();
  on(follower_, [&]() -> Task<void> {
    NoChanges no_changes;
    reactor::Event changed(*follower_.core);
    Follower follower(*follower_.engine, *follower_.shared, kCatchUp, no_changes, changed);
    for (Replica* const replica : {follower_.replica, follower_.second}) {
      replica->become_follower({.leader_epoch = 4, .broker_epoch = 100});
      follower.follow(*replica, false);
    }
    follower.connected(0);
    std::vector<Frame> sent;
    follower.fill(sent);
    EXPECT_EQ(sent.size(), 1U) << "the other one waits";
    EXPECT_TRUE(follower.hear(End{.subscription = 1, .reason = EndReason::kCaughtUp}));
    sent.clear();
    follower.fill(sent);
    EXPECT_EQ(sent.size(), 2U) << "UNSUBSCRIBE, and SUBSCRIBE of the next one";
    for (Replica* const replica : {follower_.replica, follower_.second}) co_await follower.unfollow(*replica);
    co_await follower.stop();
  });
}

class CatchUpTest : public StreamFixture {
 protected:
  // How long the slowest of some small records waits for its follower, 50 ms away, which gets 10 MB of another log.
  reactor::Duration slowest(const CatchUpLimits& limits) {
    catch_up_ = limits;
    WorldOptions options;
    options.network = {25ms, 25ms};
    options.network_spike_per_million = 0;
    options.disk_slow_per_million = 0;
    options.piece_bytes_min = options.piece_bytes_max = 64 << 10;
    options.window_bytes_min = options.window_bytes_max = 256 << 10;
    begin(options);
    lead(4, false);
    for (int i = 0; i < 10; ++i) append(leader_, 4, 10, 100'000);
    const Term term{.leader_epoch = 4, .broker_epoch = 100};
    step(leader_, [&] {
      InSyncSet in_sync{.others = {{.broker = kFollowerId, .broker_epoch = kFollowerEpoch}}};
      leader_.second->become_leader(term, std::move(in_sync));
    });
    step(follower_, [&] {
      follower_.second->become_follower(term);
      follower_.following->follower().follow(*follower_.second, false);
    });
    EXPECT_TRUE(until([&] { return !leader_.progress.empty(); }));
    follow(4);
    world_->run_for(200ms);
    reactor::Duration slowest{};
    for (int i = 0; i < 8; ++i) slowest = std::max(slowest, one_record());
    was_catching_up_ = end(follower_) < end(leader_);
    EXPECT_TRUE(until([&] { return is_copied(); })) << world_->log_tail();
    TearDown();
    return slowest;
  }
  reactor::Duration one_record() {
    const reactor::Duration begin = world_->elapsed();
    step(leader_, [&] {
      storage::Bytes batch = batch_of(1, 10);
      EXPECT_TRUE(leader_.second->append(batch, {.leader_epoch = 4}, kNow).has_value());
    });
    const storage::Partition& log = leader_.second->log();
    EXPECT_TRUE(until([&] { return log.high_watermark() == log.end_offset(); }));
    return world_->elapsed() - begin;
  }
  bool was_catching_up_ = false;  // to the last of those records
};

TEST_F(CatchUpTest, ATailDoesNotWaitForWhoCatchesUp) {
  const reactor::Duration apart = slowest({.far_bytes = 1 << 20, .close_bytes = 1 << 19});
  EXPECT_TRUE(was_catching_up_);
  const reactor::Duration together = slowest({.far_bytes = UINT64_MAX, .close_bytes = 0});
  RecordProperty("apart_ms", std::to_string(apart / 1ms));
  RecordProperty("together_ms", std::to_string(together / 1ms));
  EXPECT_LT(apart, 100ms) << "a round trip is 50";
  EXPECT_GT(together, 200ms) << "what it would be over one connection";
}

// --- The round trip does not limit what is sent.

class ThroughputTest : public StreamFixture {
 protected:
  // Bytes that the follower gets in a simulated second from a log that it has to catch up with, `one_way` apart.
  uint64_t bytes_per_second(reactor::Duration one_way) {
    WorldOptions options;
    options.network = {one_way, one_way};
    options.network_spike_per_million = 0;
    options.short_receive_per_million = 0;
    options.piece_bytes_min = options.piece_bytes_max = 256 << 10;
    options.window_bytes_min = options.window_bytes_max = 16 << 20;  // as TCP grows it
    options.hash_written_bytes = false;
    begin(options);
    lead(4);
    follow(4);
    EXPECT_TRUE(until([&] { return !leader_.progress.empty(); }));
    bool is_over = false;
    leader_.core->scope().spawn_job(produce(is_over));
    leader_.host->wake(0);
    world_->run_for(1s);  // the pipe fills
    const uint64_t before = stats().bytes;
    world_->run_for(1s);
    is_over = true;
    const uint64_t bytes = stats().bytes - before;
    EXPECT_GE(stats().hashes, 2U);
    EXPECT_EQ(stats().unlike, 0U);
    world_->run_for(100ms);
    TearDown();
    return bytes;
  }
  // 100 MB/s, of which neither disk nor memory is the limit.
  Task<void> produce(bool& is_over) {
    const storage::Bytes batch = batch_of(10, 100'000);
    while (!is_over) {
      storage::Bytes bytes = batch;
      (void)leader_.replica->append(bytes, {.leader_epoch = 4}, kNow);
      co_await leader_.core->sleep(10ms);
    }
  }
};

TEST_F(ThroughputTest, AFollowerKeepsUpAt50MillisecondsAsAt1) {
  const uint64_t near = bytes_per_second(500us);
  const uint64_t far = bytes_per_second(25ms);
  RecordProperty("far", std::to_string(far));
  EXPECT_GT(near, 90'000'000U);
  EXPECT_GT(far, near * 95 / 100) << "at 50 ms of round trip";
}

}  // namespace
}  // namespace posthaste::replication::stream
