// Tests the checker of replicas: it gets each kind of violation, and must name it.
#include "tests/rig/replica_checker.h"

#include <gtest/gtest.h>

#include <vector>

namespace posthaste::rig {
namespace {

// A log of `terms.size()` records from offset 0: each with this term, and a payload of its offset and term.
std::vector<ReplicaRecord> log_of(const std::vector<int32_t>& terms) {
  std::vector<ReplicaRecord> log;
  for (size_t i = 0; i < terms.size(); ++i) {
    const auto offset = static_cast<int64_t>(i);
    log.push_back({offset, terms[i], static_cast<uint64_t>(offset * 1000 + terms[i])});
  }
  return log;
}

ReplicaState follower(uint32_t replica, const std::vector<ReplicaRecord>& log, int64_t high_watermark) {
  const int64_t end = log.empty() ? 0 : log.back().offset + 1;
  return {.replica = replica, .durable = end, .end = end, .high_watermark = high_watermark, .log = log};
}

ReplicaState leader(uint32_t replica, int32_t term, const std::vector<ReplicaRecord>& log, int64_t high_watermark) {
  ReplicaState state = follower(replica, log, high_watermark);
  state.leads = true;
  state.leader_epoch = term;
  return state;
}

std::string why(const ReplicaChecker& checker) { return checker.violated().value_or("nothing"); }

TEST(ReplicaChecker, AHealthyClusterIsNotBlamed) {
  const auto shared = log_of({1, 1, 1});
  const auto tail = log_of({1, 1, 1, 1, 1});  // of a leader that was cut off
  const auto next = log_of({1, 1, 1, 2});
  ReplicaChecker checker;
  checker.observe(leader(1, 1, tail, 3));
  checker.acknowledged(2, 2001);
  checker.observe(follower(2, shared, 1));
  checker.observe(leader(2, 2, next, 1));
  checker.observe(leader(1, 1, tail, 3));  // it does not know yet
  checker.read(0, 1);
  checker.high_watermark_shown(3);
  checker.observe(leader(2, 2, next, 4));
  checker.observe(leader(1, 1, tail, 3));
  const ReplicaState end[] = {leader(2, 2, next, 4), follower(1, next, 4)};
  checker.converged(end);
  EXPECT_EQ(checker.violated(), std::nullopt) << why(checker);
  EXPECT_EQ(checker.committed_end(), 4);
  EXPECT_EQ(checker.newest_term(), 2);
}

TEST(ReplicaChecker, ANewLeaderWithoutACommittedRecordIsNamed) {
  ReplicaChecker checker;
  const auto whole = log_of({1, 1, 1});
  const auto shorter = log_of({1, 1});
  checker.observe(leader(1, 1, whole, 3));
  checker.observe(follower(2, shorter, 2));
  EXPECT_EQ(checker.violated(), std::nullopt) << why(checker);
  checker.observe(leader(2, 2, shorter, 2));
  EXPECT_NE(why(checker).find("leads term 2 with a log that ends at 2, but 2 was committed"), std::string::npos)
      << why(checker);
}

TEST(ReplicaChecker, AnAcknowledgedRecordThatTheNextLeaderHasNotIsNamed) {
  ReplicaChecker checker;
  checker.observe(leader(2, 2, log_of({1, 2, 2}), 1));
  checker.acknowledged(1, 1001);  // by the leader of term 1
  checker.observe(leader(2, 2, log_of({1, 2, 2}), 1));
  EXPECT_NE(why(checker).find("with '3ea' at offset 1, but '3e9' was acknowledged"), std::string::npos) << why(checker);
}

TEST(ReplicaChecker, DifferentRecordsBelowTwoHighWatermarksAreNamed) {
  ReplicaChecker checker;
  checker.observe(follower(1, log_of({1, 1, 1}), 3));
  checker.observe(follower(2, log_of({1, 1, 2}), 2));
  EXPECT_EQ(checker.violated(), std::nullopt) << why(checker);
  checker.observe(follower(2, log_of({1, 1, 2}), 3));
  EXPECT_NE(why(checker).find("replica 2: offset 2"), std::string::npos) << why(checker);
}

TEST(ReplicaChecker, TheSamePayloadOfAnotherTermIsAnotherRecord) {
  ReplicaChecker checker;
  auto log = log_of({1, 1});
  checker.observe(follower(1, log, 2));
  log[1].epoch = 2;
  checker.observe(follower(2, log, 2));
  EXPECT_TRUE(checker.violated().has_value());
}

TEST(ReplicaChecker, AnotherPayloadOfTheSameTermIsAnotherRecord) {
  ReplicaChecker checker;
  auto log = log_of({1, 1});
  checker.observe(follower(1, log, 2));
  ++log[1].payload_hash;
  checker.observe(follower(2, log, 2));
  EXPECT_TRUE(checker.violated().has_value());
}

TEST(ReplicaChecker, AHighWatermarkAboveWhatAMemberHasMadeDurableIsNamed) {
  ReplicaChecker checker;
  const auto log = log_of({1, 1, 1});
  ReplicaState behind = follower(2, log, 0);
  behind.durable = 2;
  const ReplicaState members[] = {leader(1, 1, log, 2), behind};
  checker.in_sync(leader(1, 1, log, 2), members);
  EXPECT_EQ(checker.violated(), std::nullopt) << why(checker);
  checker.in_sync(leader(1, 1, log, 3), members);
  EXPECT_NE(why(checker).find("but replica 2 of its in-sync set is durable to 2"), std::string::npos) << why(checker);
}

TEST(ReplicaChecker, AHoleBelowAHighWatermarkIsNamed) {
  ReplicaChecker checker;
  auto log = log_of({1, 1, 1});
  checker.observe(follower(1, log, 3));
  log.erase(log.begin() + 1);
  ReplicaState state = follower(2, log, 3);
  checker.observe(state);
  EXPECT_NE(why(checker).find("offset 1 ('3e9', below a high watermark) is missing"), std::string::npos)
      << why(checker);
}

TEST(ReplicaChecker, WhatRetentionTookIsNotMissed) {
  ReplicaChecker checker;
  auto log = log_of({1, 1, 1});
  checker.observe(leader(1, 1, log, 3));
  log.erase(log.begin());
  ReplicaState state = leader(1, 1, log, 3);
  state.log_start = 1;
  checker.observe(state);
  EXPECT_EQ(checker.violated(), std::nullopt) << why(checker);
}

TEST(ReplicaChecker, TwoLeadersOfATermAreNamed) {
  ReplicaChecker checker;
  checker.observe(leader(1, 3, log_of({1}), 0));
  checker.observe(leader(2, 3, log_of({1}), 0));
  EXPECT_NE(why(checker).find("term 3 has two leaders: replicas 1 and 2"), std::string::npos) << why(checker);
}

TEST(ReplicaChecker, AHighWatermarkThatFallsWithinATermIsNamed) {
  ReplicaChecker checker;
  checker.observe(leader(1, 1, log_of({1, 1}), 2));
  checker.observe(follower(1, log_of({1, 1}), 0));  // started again, and knows nothing yet
  EXPECT_EQ(checker.violated(), std::nullopt) << why(checker);
  checker.observe(leader(1, 1, log_of({1, 1}), 1));
  EXPECT_NE(why(checker).find("the high watermark of term 1 falls from 2 to 1"), std::string::npos) << why(checker);
}

TEST(ReplicaChecker, AWatermarkBeyondTheEndIsNamed) {
  for (const bool durable : {true, false}) {
    ReplicaChecker checker;
    const auto log = log_of({1});
    ReplicaState state = follower(1, log, 1);
    (durable ? state.durable : state.high_watermark) = 2;
    checker.observe(state);
    EXPECT_TRUE(checker.violated().has_value());
  }
}

TEST(ReplicaChecker, ALogOutOfOrderIsNamed) {
  ReplicaChecker checker;
  auto log = log_of({1, 1, 1});
  ReplicaState state = follower(1, log, 0);
  std::swap(log[1], log[0]);
  checker.observe(state);
  EXPECT_TRUE(checker.violated().has_value());
}

TEST(ReplicaChecker, OneOffsetForTwoRecordsIsNamed) {
  ReplicaChecker checker;
  checker.acknowledged(7, 1);
  checker.read(7, 2);
  EXPECT_NE(why(checker).find("offset 7"), std::string::npos) << why(checker);
}

TEST(ReplicaChecker, AWatermarkThatAClientWasToldBindsTheNextLeader) {
  ReplicaChecker checker;
  checker.high_watermark_shown(3);
  checker.observe(leader(1, 1, log_of({1, 1}), 0));
  EXPECT_TRUE(checker.violated().has_value());
}

TEST(ReplicaChecker, AtTheEndAllMustBeEqualDurableAndCommitted) {
  const auto log = log_of({1, 1});
  const auto other = log_of({1, 2});
  const auto judge = [](const ReplicaState& one, const ReplicaState& two, int64_t acknowledged = -1) {
    ReplicaChecker checker;
    if (acknowledged >= 0) checker.acknowledged(acknowledged, 0);
    const ReplicaState states[] = {one, two};
    checker.converged(states);
    return checker.violated().has_value();
  };
  EXPECT_FALSE(judge(follower(1, log, 2), follower(2, log, 2)));
  EXPECT_TRUE(judge(follower(1, log, 2), follower(2, log, 1)));
  EXPECT_TRUE(judge(follower(1, log, 2), follower(2, other, 2)));
  EXPECT_TRUE(judge(follower(1, log, 2), follower(2, log, 2), 2));
  ReplicaState volatile_tail = follower(2, log, 2);
  volatile_tail.durable = 1;
  EXPECT_TRUE(judge(follower(1, log, 2), volatile_tail));
}

}  // namespace
}  // namespace posthaste::rig
