// Each rule by which a leader asks for another in-sync set, and whom it counts meanwhile, without log and controller.
#include "replication/isr_keeper.h"

#include <gtest/gtest.h>

namespace posthaste::replication {
namespace {

using namespace std::chrono_literals;
using net::kafka::ErrorCode;
using reactor::Duration;
using reactor::Instant;

constexpr int32_t kUs = 1;
constexpr int64_t kOurEpoch = 10;

class IsrKeeperTest : public testing::Test, private IsrHooks {
 protected:
  IsrKeeperTest() {
    for (int32_t broker = 1; broker <= 3; ++broker) lives(broker, broker * kOurEpoch);
  }

  void lives(int32_t broker, int64_t epoch, bool is_active = true) {
    keeper_.broker_changed(broker, BrokerLife{.broker_epoch = epoch, .is_active = is_active}, now_);
  }
  LedPartition led(PartitionBrokers isr, int32_t partition_epoch = 1) {
    return {.term = {.leader_epoch = 4, .broker_epoch = kOurEpoch},
            .partition_epoch = partition_epoch,
            .replicas = {1, 2, 3},
            .isr = std::move(isr),
            .min_isr = 2};
  }
  void lead(PartitionBrokers isr, int32_t partition_epoch = 1) {
    keeper_.lead(key_, led(std::move(isr), partition_epoch), now_);
  }
  void told(int32_t broker, int64_t durable) { told_as(broker, broker * kOurEpoch, durable); }
  void told_as(int32_t broker, int64_t epoch, int64_t durable) {
    keeper_.progressed(key_, {.broker = broker, .broker_epoch = epoch, .durable = durable}, log_, now_);
  }
  // The only change of the next request; nothing if there is none.
  std::optional<IsrChange> asked() {
    const auto request = keeper_.take_request(now_);
    if (!request) return std::nullopt;
    EXPECT_EQ(request->changes.size(), 1U);
    EXPECT_EQ(request->broker, kUs);
    EXPECT_EQ(request->broker_epoch, kOurEpoch);
    return request->changes[0];
  }
  void answer(ErrorCode error) { keeper_.answered({{.topic_id = key_.first, .error = error}}, now_); }
  void pass(Duration time) { now_ = now_ + time; }
  static std::vector<int32_t> members(const IsrChange& change) {
    std::vector<int32_t> ids;
    ids.reserve(change.isr.size());
    for (const IsrChange::Member& member : change.isr) ids.push_back(member.broker);
    return ids;
  }
  std::vector<int32_t> counted() const {
    std::vector<int32_t> ids;
    for (const InSyncMember& member : keeper_.in_sync(key_).others) ids.push_back(member.broker);
    return ids;
  }

  LeaderLog log_of(const PartitionKey&) override { return log_; }
  void in_sync_changed(const PartitionKey&) override { ++changes_; }
  void isr_changes_due() override {}

  using Ids = std::vector<int32_t>;
  const PartitionKey key_{Uuid{.bytes = {std::byte{7}}}, 0};
  LeaderLog log_{.high_watermark = 100, .end = 120, .epoch_start = 90};
  Instant now_{1'000'000'000};
  int changes_ = 0;
  IsrKeeper keeper_{kUs, *this, {.lag_max = 10s}};
};

TEST_F(IsrKeeperTest, WhoHasAllThatIsCommittedIsAskedFor) {
  lead({1, 2});
  EXPECT_FALSE(asked());
  told(3, 99);
  EXPECT_FALSE(asked()) << "it lacks a committed record";
  told(3, 100);
  const auto change = asked();
  ASSERT_TRUE(change);
  EXPECT_EQ(members(*change), (Ids{1, 2, 3}));
  EXPECT_EQ(change->isr[2].broker_epoch, 30);
  EXPECT_EQ(change->leader_epoch, 4);
  EXPECT_EQ(change->partition_epoch, 1);
  EXPECT_FALSE(asked()) << "one at a time";
}

TEST_F(IsrKeeperTest, ANewLeaderAsksForWhoHasReachedItsEpoch) {
  log_.high_watermark = 10;  // an old one
  lead({1, 2});
  told(3, 89);
  EXPECT_FALSE(asked());
  told(3, 90);
  EXPECT_TRUE(asked());
}

TEST_F(IsrKeeperTest, OnlyTheLifeThatIsRegisteredCounts) {
  lead({1, 2});
  told_as(3, 29, 120);
  EXPECT_FALSE(asked()) << "of the life before";
  told_as(3, 31, 120);
  EXPECT_FALSE(asked()) << "of a life that the image does not know yet";
  lives(3, 31);
  const auto change = asked();
  ASSERT_TRUE(change) << "the image has it now";
  EXPECT_EQ(change->isr[2].broker_epoch, 31);
}

TEST_F(IsrKeeperTest, ALateWordOfAnEarlierLifeIsNotHeard) {
  lead({1, 2, 3});
  lives(3, 31);
  told_as(3, 31, 50);
  told_as(3, 30, 120);
  EXPECT_EQ(keeper_.in_sync(key_).others[1].durable, 50);
}

TEST_F(IsrKeeperTest, WhoTakesNoPartIsNotAskedForUntilItDoes) {
  lives(3, 30, false);
  lead({1, 2});
  told(3, 120);
  EXPECT_FALSE(asked());
  lives(3, 30);
  EXPECT_TRUE(asked());
}

TEST_F(IsrKeeperTest, WhoTakesNoPartDoesNotHoldUpOtherChanges) {
  lives(3, 30, false);
  lead({1, 2});
  told(3, 120);
  pass(10s);
  const auto change = asked();
  ASSERT_TRUE(change);
  EXPECT_EQ(members(*change), (Ids{1}));
}

TEST_F(IsrKeeperTest, NothingIsAskedThatTheControllerRefuses) {
  lead({1, 2});
  lives(2, 20, false);  // the image will take it out of the ISR
  told(3, 120);
  EXPECT_FALSE(asked());
  lead({1}, 2);
  EXPECT_TRUE(asked());
}

TEST_F(IsrKeeperTest, WhoIsNotHeardOfForTheLagTimeLeaves) {
  lead({1, 2, 3});
  told(2, 120);
  EXPECT_FALSE(asked());
  pass(9s);
  EXPECT_FALSE(asked());
  pass(1s);
  const auto change = asked();
  ASSERT_TRUE(change);
  EXPECT_EQ(members(*change), (Ids{1, 2}));
  EXPECT_EQ(counted(), (Ids{2, 3})) << "until the image says that it is out";
  answer(ErrorCode::kNone);
  EXPECT_EQ(counted(), (Ids{2, 3}));
  lead({1, 2}, 2);
  EXPECT_EQ(counted(), (Ids{2}));
}

// A leader that takes records all the time: nobody is ever at its end.
TEST_F(IsrKeeperTest, WhoReachesWhereTheEndWasDoesNotLag) {
  lead({1, 2, 3});
  for (int i = 0; i < 100; ++i) {
    told(2, log_.end - 5);
    told(3, 100);
    log_.end += 20;
    log_.high_watermark = 100;
    pass(500ms);
    const auto change = asked();
    if (change) {
      EXPECT_EQ(members(*change), (Ids{1, 2}));
      EXPECT_GE(i, 19);
      return;
    }
  }
  FAIL() << "broker 3 stands still for 50 s";
}

TEST_F(IsrKeeperTest, AnIdleMemberHasItsTimeFromTheFirstRecordThatItLacks) {
  lead({1, 2, 3});
  told(2, 120);
  told(3, 120);
  for (int i = 0; i < 100; ++i) {
    pass(1s);
    EXPECT_FALSE(asked());
  }
  log_.end = 130;
  told(2, 130);  // from here on 3 is known to lack some
  pass(9900ms);
  EXPECT_FALSE(asked());
  pass(200ms);
  const auto change = asked();
  ASSERT_TRUE(change);
  EXPECT_EQ(members(*change), (Ids{1, 2}));
}

TEST_F(IsrKeeperTest, ASilentFollowerOfABusyLeaderIsNoticedWithoutAnyWordOfFollowers) {
  lead({1, 2});
  told(2, 120);
  log_.end = 130;
  Instant end = now_ + 16s;
  while (keeper_.deadline() <= end) {
    now_ = std::max(now_, keeper_.deadline());
    if (asked()) return;
  }
  FAIL() << "the lag time and a half have passed";
}

TEST_F(IsrKeeperTest, AReturningMemberHasItsTimeAgain) {
  lead({1, 2, 3});
  told(2, 120);
  told(3, 120);
  EXPECT_FALSE(asked());
  pass(100s);
  lives(3, 31);
  EXPECT_EQ(changes_, 1) << "what it has said counts no more";
  EXPECT_EQ(keeper_.in_sync(key_).others[1].durable, 0);
  EXPECT_FALSE(asked());
  pass(9s);
  EXPECT_FALSE(asked());
  pass(1s);
  EXPECT_TRUE(asked());
}

TEST_F(IsrKeeperTest, WhoIsAskedForHoldsBackAndDoesNotMakeTheSetLarger) {
  lead({1});
  told(3, 110);
  ASSERT_TRUE(asked());
  EXPECT_EQ(changes_, 1);
  const InSyncSet in_sync = keeper_.in_sync(key_);
  ASSERT_EQ(in_sync.others.size(), 1U);
  EXPECT_EQ(in_sync.others[0].durable, 110);
  EXPECT_EQ(in_sync.others[0].broker_epoch, 30);
  EXPECT_EQ(in_sync.wished, 1U);
  EXPECT_EQ(in_sync.size_min, 2U);
  answer(ErrorCode::kNone);
  EXPECT_EQ(keeper_.in_sync(key_).wished, 1U) << "an answer is not the image";
  lead({1, 3}, 2);
  EXPECT_EQ(keeper_.in_sync(key_).wished, 0U);
}

TEST_F(IsrKeeperTest, WhatWasRefusedIsCountedNoMoreAndAskedForLater) {
  lead({1, 2});
  told(3, 120);
  ASSERT_TRUE(asked());
  answer(ErrorCode::kIneligibleReplica);
  EXPECT_EQ(counted(), (Ids{2}));
  EXPECT_EQ(changes_, 2);
  EXPECT_FALSE(asked());
  told(3, 120);
  EXPECT_FALSE(asked());
  pass(500ms);
  EXPECT_TRUE(asked());
}

TEST_F(IsrKeeperTest, WhatIsNotKnownToBeRefusedIsCounted) {
  for (const ErrorCode error : {ErrorCode::kInvalidUpdateVersion, ErrorCode::kFencedLeaderEpoch,
                                ErrorCode::kNotController, ErrorCode::kUnknownTopicId, ErrorCode::kRequestTimedOut}) {
    keeper_.leave(key_);
    lead({1, 2});
    told(3, 120);
    ASSERT_TRUE(asked());
    answer(error);
    EXPECT_EQ(counted(), (Ids{2, 3})) << static_cast<int>(error);
  }
}

TEST_F(IsrKeeperTest, TheSameIsAskedAgainWhenNothingIsKnownOfIt) {
  lead({1, 2});
  told(3, 120);
  const auto first = asked();
  ASSERT_TRUE(first);
  keeper_.unanswered(now_);
  EXPECT_FALSE(asked());
  pass(200ms);
  const auto second = asked();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->partition_epoch, first->partition_epoch);
  answer(ErrorCode::kInvalidUpdateVersion);
  pass(1s);
  EXPECT_FALSE(asked()) << "the image will show it";
  pass(4s);
  EXPECT_TRUE(asked());
}

// One copy is refused; the other one may arrive when the member is eligible again.
TEST_F(IsrKeeperTest, ACopyThatMayStillArriveIsMadeTooLate) {
  lead({1, 2});
  told(3, 120);
  ASSERT_TRUE(asked());
  keeper_.unanswered(now_);
  pass(200ms);
  ASSERT_TRUE(asked());
  answer(ErrorCode::kIneligibleReplica);
  EXPECT_EQ(counted(), (Ids{2, 3})) << "the first one may be granted";
  const auto renewal = asked();
  ASSERT_TRUE(renewal);
  EXPECT_TRUE(renewal->renews);
  EXPECT_EQ(members(*renewal), (Ids{1, 2}));
  answer(ErrorCode::kNone);
  EXPECT_EQ(counted(), (Ids{2, 3}));
  lead({1, 2}, 2);
  EXPECT_EQ(counted(), (Ids{2}));
}

TEST_F(IsrKeeperTest, WhatWasNotAttemptedIsAskedForAgain) {
  lead({1, 2});
  told(3, 120);
  ASSERT_TRUE(asked());
  answer(ErrorCode::kOperationNotAttempted);
  EXPECT_EQ(counted(), (Ids{2}));
  pass(500ms);
  EXPECT_TRUE(asked());
}

TEST_F(IsrKeeperTest, AnAnswerToAnEarlierTermChangesNothing) {
  lead({1, 2});
  told(3, 120);
  told(2, 120);
  ASSERT_TRUE(asked());
  LedPartition next = led({1, 2});
  next.term.leader_epoch = 5;
  keeper_.lead(key_, next, now_);
  EXPECT_EQ(counted(), (Ids{2}));
  EXPECT_EQ(keeper_.in_sync(key_).others[0].durable, 0) << "nothing of the term before counts";
  answer(ErrorCode::kIneligibleReplica);
  told(3, 120);
  EXPECT_TRUE(asked());
}

TEST_F(IsrKeeperTest, AMemberWhoseDiskMayHaveLiedIsVerifiedOrLost) {
  LedPartition partition = led({1, 2, 3});
  partition.unverified = {2, 3};
  keeper_.lead(key_, partition, now_);
  told(2, 99);
  told(3, 100);
  const auto change = asked();
  ASSERT_TRUE(change);
  EXPECT_EQ(members(*change), (Ids{1, 3}));
  EXPECT_EQ(change->lost, (Ids{2}));
  EXPECT_EQ(change->verified, (Ids{3}));
}

// Below the start of the leader's epoch it proves nothing yet.
TEST_F(IsrKeeperTest, AMemberIsNotVerifiedBelowTheLeadersEpoch) {
  log_.high_watermark = 10;
  LedPartition partition = led({1, 2, 3});
  partition.unverified = {2};
  keeper_.lead(key_, partition, now_);
  told(2, 50);
  EXPECT_FALSE(asked());
  told(2, 90);
  const auto change = asked();
  ASSERT_TRUE(change);
  EXPECT_EQ(change->verified, (Ids{2}));
}

TEST_F(IsrKeeperTest, ALeaderThatRecoversSaysWhenItHas) {
  LedPartition partition = led({1});
  partition.recovery_state = kRecovering;
  keeper_.lead(key_, partition, now_);
  const auto change = asked();
  ASSERT_TRUE(change);
  EXPECT_EQ(change->recovery_state, kRecovered);
  EXPECT_EQ(members(*change), (Ids{1}));
}

TEST_F(IsrKeeperTest, ManyPartitionsGoInOneRequestAndOneIsUnderWay) {
  for (int32_t index = 0; index < 1500; ++index) {
    keeper_.lead({key_.first, index}, led({1, 2}), now_);
    keeper_.progressed({key_.first, index}, {.broker = 3, .broker_epoch = 30, .durable = 120}, log_, now_);
  }
  auto request = keeper_.take_request(now_);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->changes.size(), kIsrChangesPerRequest);
  EXPECT_FALSE(keeper_.take_request(now_));
  EXPECT_EQ(keeper_.deadline(), Instant::never());
  keeper_.unanswered(now_);
  EXPECT_LE(keeper_.deadline(), now_);
  request = keeper_.take_request(now_);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->changes.size(), 500U);
}

TEST_F(IsrKeeperTest, WhatIsLeftIsForgotten) {
  lead({1, 2});
  told(3, 120);
  ASSERT_TRUE(asked());
  keeper_.leave(key_);
  answer(ErrorCode::kIneligibleReplica);
  EXPECT_EQ(keeper_.led_count(), 0U);
  EXPECT_EQ(keeper_.deadline(), Instant::never());
  told(3, 120);
  EXPECT_FALSE(asked());
}

}  // namespace
}  // namespace posthaste::replication
