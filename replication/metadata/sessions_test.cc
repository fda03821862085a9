// Sessions by themselves: who lives, who is unfenced, who may end, and when evidence fences before time.
#include "replication/metadata/sessions.h"

#include <gtest/gtest.h>

#include "replication/testing/test_cluster.h"

namespace posthaste::replication {
namespace {

using namespace std::chrono_literals;
using net::kafka::ErrorCode;
using reactor::Duration;
using testing::Ids;
using testing::TestCluster;

class SessionsTest : public ::testing::Test {
 protected:
  HeartbeatDecision beat(Heartbeat heartbeat) {
    if (heartbeat.broker_epoch == -1) heartbeat.broker_epoch = cluster_.epoch(heartbeat.broker);
    HeartbeatDecision decision = sessions_.heartbeat(cluster_.image, heartbeat, cluster_.now);
    cluster_.apply(decision.records);
    return decision;
  }
  // A new life, as the controller sees it.
  void start(int32_t id) {
    cluster_.start(id);
    sessions_.registered(id, cluster_.epoch(id), cluster_.now);
  }
  void pass(Duration time) { cluster_.now = cluster_.now + time; }
  Ids expired() { return sessions_.expired(cluster_.image, cluster_.now); }
  // In steps as a controller looks.
  Ids expired_after(Duration time) {
    for (Duration passed{}; passed < time; passed += 500ms) {
      pass(500ms);
      if (Ids over = expired(); !over.empty()) return over;
    }
    return {};
  }

  TestCluster cluster_{3};
  Sessions sessions_{cluster_.image, cluster_.now};
};

TEST_F(SessionsTest, ASilentBrokerIsFencedAfterThreeSeconds) {
  EXPECT_EQ(expired_after(2'500ms), Ids{});
  beat({.broker = 1});
  beat({.broker = 3});
  EXPECT_EQ(expired_after(500ms), Ids{2});
  cluster_.fence(2);
  EXPECT_EQ(expired_after(2'000ms), Ids{}) << "it is fenced already";
  EXPECT_EQ(expired_after(500ms), (Ids{1, 3}));
}

TEST_F(SessionsTest, TimeInWhichTheControllerDidNotRunCountsForNobody) {
  pass(1h);
  EXPECT_EQ(expired(), Ids{});
  EXPECT_EQ(expired_after(2'500ms), Ids{});
  EXPECT_EQ(expired_after(500ms), (Ids{1, 2, 3}));
}

TEST_F(SessionsTest, ANewControllerGivesEverybodyASession) {
  cluster_.fence(3);
  pass(1min);
  Sessions next(cluster_.image, cluster_.now);
  EXPECT_TRUE(next.is_living(1, cluster_.epoch(1), cluster_.now));
  EXPECT_FALSE(next.is_living(3, cluster_.epoch(3), cluster_.now)) << "fenced";
  EXPECT_EQ(next.active_since().size(), 2U);
}

TEST_F(SessionsTest, AHeartbeatOfAnotherLifeIsRefused) {
  EXPECT_EQ(beat({.broker = 9, .broker_epoch = 1}).error, ErrorCode::kBrokerIdNotRegistered);
  EXPECT_EQ(beat({.broker = 1, .broker_epoch = cluster_.epoch(1) - 1}).error, ErrorCode::kStaleBrokerEpoch);
  EXPECT_EQ(beat({.broker = 1}).error, ErrorCode::kNone);
}

TEST_F(SessionsTest, ABrokerIsUnfencedWhenItHasFollowedItsRegistration) {
  start(1);
  HeartbeatDecision decision = beat({.broker = 1, .metadata_offset = cluster_.epoch(1) - 1});
  EXPECT_FALSE(decision.is_caught_up);
  EXPECT_TRUE(decision.is_fenced);
  decision = beat({.broker = 1, .metadata_offset = cluster_.epoch(1), .wants_fence = true});
  EXPECT_TRUE(decision.is_caught_up);
  EXPECT_TRUE(decision.is_fenced) << "it does not want to serve yet";
  decision = beat({.broker = 1});
  EXPECT_TRUE(decision.is_caught_up) << "it has not forgotten";
  EXPECT_FALSE(decision.is_fenced);
  EXPECT_TRUE(cluster_.image.is_active(1));
  EXPECT_TRUE(beat({.broker = 1}).records.empty());
}

TEST_F(SessionsTest, ABrokerMayAskToBeFenced) {
  EXPECT_TRUE(beat({.broker = 2, .wants_fence = true}).is_fenced);
  EXPECT_FALSE(cluster_.image.is_active(2));
  EXPECT_FALSE(sessions_.active_since().contains(2));
}

TEST_F(SessionsTest, AShutdownWaitsUntilItLeadsNothingAndAllHaveSeenIt) {
  HeartbeatDecision decision = beat({.broker = 1, .wants_shutdown = true});
  EXPECT_FALSE(decision.should_shut_down);
  EXPECT_TRUE(cluster_.image.broker(1)->in_controlled_shutdown);
  EXPECT_FALSE(beat({.broker = 1, .wants_shutdown = true}).should_shut_down) << "its leaders have not moved";
  beat({.broker = 2, .metadata_offset = 400});
  beat({.broker = 3, .metadata_offset = 500});
  sessions_.drained(1, 450);
  EXPECT_FALSE(beat({.broker = 1, .wants_shutdown = true}).should_shut_down) << "2 may send its clients here";
  beat({.broker = 2, .metadata_offset = 450});
  EXPECT_TRUE(beat({.broker = 1, .wants_shutdown = true}).should_shut_down);
}

TEST_F(SessionsTest, AShutdownDoesNotWaitForTheDead) {
  beat({.broker = 1, .wants_shutdown = true});
  beat({.broker = 3, .metadata_offset = 500});
  sessions_.drained(1, 450);
  EXPECT_FALSE(beat({.broker = 1}).should_shut_down);
  cluster_.fence(2);
  EXPECT_TRUE(beat({.broker = 1}).should_shut_down);
}

TEST_F(SessionsTest, AFencedBrokerMayEndAtOnce) {
  start(1);
  const HeartbeatDecision decision = beat({.broker = 1, .metadata_offset = 1'000, .wants_shutdown = true});
  EXPECT_TRUE(decision.should_shut_down);
  EXPECT_TRUE(decision.is_fenced);
}

TEST_F(SessionsTest, ALivingBrokerIsOneWithASessionAndItsConnection) {
  const int64_t epoch = cluster_.epoch(1);
  EXPECT_TRUE(sessions_.is_living(1, epoch, cluster_.now));
  EXPECT_FALSE(sessions_.is_living(1, epoch - 1, cluster_.now));
  sessions_.early().connection_ended(1, epoch);
  EXPECT_FALSE(sessions_.is_living(1, epoch, cluster_.now));
  beat({.broker = 1});
  EXPECT_TRUE(sessions_.is_living(1, epoch, cluster_.now)) << "it has another connection";
  EXPECT_FALSE(sessions_.is_living(1, epoch, cluster_.now + 3s));
}

class EarlyFencingTest : public ::testing::Test {
 protected:
  static constexpr int64_t kEpoch = 5;
  void evidence() {
    early_.connection_ended(1, kEpoch);
    early_.refused(1, kEpoch);
  }
  // Fenced early, and it lives.
  void be_wrong() {
    evidence();
    ASSERT_TRUE(early_.may_fence(1, kEpoch, now_));
    early_.fenced(1, kEpoch);
    EXPECT_TRUE(early_.heard(1, kEpoch, now_));
  }

  EarlyFencing early_;
  reactor::Instant now_;
};

TEST_F(EarlyFencingTest, BothPiecesOfEvidenceAreNeeded) {
  early_.registered(1, kEpoch);
  EXPECT_FALSE(early_.may_fence(1, kEpoch, now_));
  early_.refused(1, kEpoch);
  EXPECT_FALSE(early_.may_fence(1, kEpoch, now_)) << "its connection stands";
  early_.connection_ended(1, kEpoch);
  EXPECT_FALSE(early_.may_fence(1, kEpoch, now_)) << "refused before it ended";
  early_.refused(1, kEpoch);
  EXPECT_TRUE(early_.may_fence(1, kEpoch, now_));
  EXPECT_FALSE(early_.may_fence(1, kEpoch + 1, now_)) << "of another life";
  EXPECT_FALSE(early_.may_fence(2, kEpoch, now_));
}

TEST_F(EarlyFencingTest, WhatItSaysItselfCancelsTheEvidence) {
  evidence();
  EXPECT_FALSE(early_.heard(1, kEpoch, now_)) << "nothing was wrong: it was not fenced";
  EXPECT_FALSE(early_.may_fence(1, kEpoch, now_));
  evidence();
  EXPECT_TRUE(early_.may_fence(1, kEpoch, now_));
}

TEST_F(EarlyFencingTest, WrongEvidenceIsNotTrustedForAWhileThatGrows) {
  Duration wait = 30s;
  for (int times = 0; times < 8; ++times) {
    be_wrong();
    evidence();
    EXPECT_FALSE(early_.may_fence(1, kEpoch, now_ + (wait - 1ms)));
    EXPECT_FALSE(early_.is_worth_a_check(1, kEpoch, now_));
    now_ = now_ + wait;
    EXPECT_TRUE(early_.may_fence(1, kEpoch, now_));
    wait = std::min<Duration>(2 * wait, 10min);
  }
  EXPECT_EQ(wait, 10min);
}

TEST_F(EarlyFencingTest, ANewLifeProvesTheEvidenceRight) {
  be_wrong();
  now_ = now_ + 30s;
  evidence();
  early_.fenced(1, kEpoch);
  early_.registered(1, kEpoch + 1);
  early_.connection_ended(1, kEpoch + 1);
  early_.refused(1, kEpoch + 1);
  EXPECT_TRUE(early_.may_fence(1, kEpoch + 1, now_));
  early_.fenced(1, kEpoch + 1);
  early_.heard(1, kEpoch + 1, now_);
  EXPECT_TRUE(early_.is_worth_a_check(1, kEpoch + 1, now_ + 30s)) << "from the shortest distrust again";
}

TEST_F(EarlyFencingTest, AReportOfAPeerOnlyMakesTheControllerLook) {
  EXPECT_FALSE(early_.is_worth_a_check(1, kEpoch, now_)) << "nobody knows it";
  early_.registered(1, kEpoch);
  EXPECT_TRUE(early_.is_worth_a_check(1, kEpoch, now_));
  EXPECT_FALSE(early_.is_worth_a_check(1, kEpoch - 1, now_)) << "of the life before";
  EXPECT_FALSE(early_.may_fence(1, kEpoch, now_));
}

TEST_F(SessionsTest, TheSessionOfWhoWasFencedEarlyEndsOnce) {
  sessions_.early().connection_ended(1, cluster_.epoch(1));
  sessions_.early().refused(1, cluster_.epoch(1));
  sessions_.early().fenced(1, cluster_.epoch(1));
  cluster_.fence(1);
  cluster_.fence(2);
  cluster_.fence(3);
  EXPECT_TRUE(sessions_.expired(cluster_.image, cluster_.now).empty());
  for (int i = 0; i < 4; ++i) {
    cluster_.now = cluster_.now + kLookMax;
    const std::vector<int32_t> over = sessions_.expired(cluster_.image, cluster_.now);
    EXPECT_EQ(over, i == 2 ? Ids{1} : Ids{});
  }
}

}  // namespace
}  // namespace posthaste::replication
