// Where a follower's log joins its leader's, and which frames may be applied.
#include "replication/stream/rules.h"

#include <gtest/gtest.h>

namespace posthaste::replication::stream {
namespace {

storage::EpochCache epochs_of(std::initializer_list<storage::EpochEntry> entries) {
  storage::EpochCache cache;
  for (const auto& entry : entries) cache.assign(entry.epoch, entry.start_offset);
  return cache;
}

constexpr Term kTerm{.leader_epoch = 5, .broker_epoch = 50};

TEST(JoinAnswer, ABeginningOfTheLeadersLogGoesOn) {
  const auto epochs = epochs_of({{1, 0}, {3, 50}, {5, 80}});
  EXPECT_EQ(join_answer(epochs, 0, 100, {0, -1}).joins, Joins::kHere) << "an empty log";
  EXPECT_EQ(join_answer(epochs, 0, 100, {50, 1}).joins, Joins::kHere) << "all of an epoch";
  EXPECT_EQ(join_answer(epochs, 0, 100, {70, 3}).joins, Joins::kHere);
  EXPECT_EQ(join_answer(epochs, 0, 100, {100, 5}).joins, Joins::kHere) << "at the end";
}

TEST(JoinAnswer, WhatTheLeaderNeverHadIsNamed) {
  const auto epochs = epochs_of({{1, 0}, {3, 50}, {5, 80}});
  EXPECT_EQ(join_answer(epochs, 0, 100, {60, 1}), (JoinAnswer{Joins::kDiverges, {1, 50}})) << "too much of an epoch";
  EXPECT_EQ(join_answer(epochs, 0, 100, {40, 2}), (JoinAnswer{Joins::kDiverges, {1, 50}})) << "an epoch of its own";
  EXPECT_EQ(join_answer(epochs, 0, 100, {90, 4}), (JoinAnswer{Joins::kDiverges, {3, 80}}));
  EXPECT_EQ(join_answer(epochs, 0, 100, {110, 5}), (JoinAnswer{Joins::kDiverges, {5, 100}}));
  EXPECT_EQ(join_answer(epochs, 0, 100, {90, 6}).joins, Joins::kAhead);
}

// A leader whose power goes keeps the name of its epoch, at the end of what is left, though followers have its records.
TEST(JoinAnswer, AnEpochWhoseRecordsWereLostIsNamedByTheOneBefore) {
  const auto epochs = epochs_of({{1, 0}, {3, 50}, {5, 80}});
  EXPECT_EQ(join_answer(epochs, 0, 100, {79, 5}), (JoinAnswer{Joins::kDiverges, {3, 80}}));
  EXPECT_EQ(join_answer(epochs, 0, 100, {80, 5}).joins, Joins::kHere);
}

TEST(JoinAnswer, ALogThatEndsBeforeTheLeadersBeginsAnew) {
  const auto epochs = epochs_of({{3, 50}, {5, 80}});
  EXPECT_EQ(join_answer(epochs, 60, 100, {59, 3}).joins, Joins::kTooOld);
  EXPECT_EQ(join_answer(epochs, 60, 100, {60, 3}).joins, Joins::kHere);
  EXPECT_EQ(join_answer(epochs, 60, 100, {59, -1}).joins, Joins::kTooOld);
  EXPECT_EQ(join_answer(epochs, 0, 100, {101, -1}).joins, Joins::kTooOld) << "an empty log behind the end";
}

// A leader that has deleted up to behind the place where the logs part, and one that began anew behind it: it cannot
// say what stands between. A follower that was cut to the first batch there kept other records than were committed.
TEST(JoinAnswer, ALogThatPartsBelowTheLeadersFirstBatchBeginsAnew) {
  const auto epochs = epochs_of({{3, 50}, {5, 80}});
  EXPECT_EQ(join_answer(epochs, 85, 100, {90, 3}).joins, Joins::kTooOld);
  EXPECT_EQ(join_answer(epochs, 85, 100, {85, 3}).joins, Joins::kTooOld) << "ends where the leader's begins";
  EXPECT_EQ(join_answer(epochs, 85, 100, {90, 4}).joins, Joins::kTooOld) << "an epoch of its own";
  EXPECT_EQ(join_answer(epochs, 85, 100, {85, 5}).joins, Joins::kHere) << "the same up to there";
  EXPECT_EQ(join_answer(epochs, 80, 100, {90, 3}), (JoinAnswer{Joins::kDiverges, {3, 80}})) << "parts just there";
  EXPECT_EQ(join_answer(epochs, 50, 100, {50, 2}).joins, Joins::kTooOld) << "of an epoch before all that are known";
  EXPECT_EQ(join_answer(epochs, 50, 100, {90, 2}).joins, Joins::kTooOld);
}

TEST(MayCutTo, NothingCommittedGoesUnlessThePartitionRecovers) {
  EXPECT_TRUE(may_cut_to(10, 10, false, false));
  EXPECT_FALSE(may_cut_to(9, 10, false, false));
  EXPECT_TRUE(may_cut_to(9, 10, false, true));
  EXPECT_TRUE(may_cut_to(9, 10, true, false));
}

TEST(Judge, AFrameAppliesToWhatItFollows) {
  const Data data{.leader_epoch = 5, .prev_next_offset = 30, .prev_epoch = 4};
  EXPECT_EQ(judge(data, kTerm, Role::kFollower, kTerm, {30, 4}), Verdict::kApply);
  EXPECT_EQ(judge(data, kTerm, Role::kFollower, kTerm, {31, 4}), Verdict::kGap);
  EXPECT_EQ(judge(data, kTerm, Role::kFollower, kTerm, {29, 4}), Verdict::kGap);
  EXPECT_EQ(judge(data, kTerm, Role::kFollower, kTerm, {30, 3}), Verdict::kGap);
}

TEST(Judge, AFrameOfAnotherRoleOrTermIsLate) {
  const Data data{.leader_epoch = 5, .prev_next_offset = 30, .prev_epoch = 4};
  EXPECT_EQ(judge(data, kTerm, Role::kLeader, kTerm, {30, 4}), Verdict::kLate);
  EXPECT_EQ(judge(data, kTerm, Role::kNone, kTerm, {30, 4}), Verdict::kLate);
  EXPECT_EQ(judge(data, kTerm, Role::kFollower, {.leader_epoch = 6, .broker_epoch = 50}, {30, 4}), Verdict::kLate);
  EXPECT_EQ(judge(data, kTerm, Role::kFollower, {.leader_epoch = 5, .broker_epoch = 51}, {30, 4}), Verdict::kLate);
  EXPECT_EQ(judge({.leader_epoch = 4, .prev_next_offset = 30, .prev_epoch = 4}, kTerm, Role::kFollower, kTerm, {30, 4}),
            Verdict::kLate);
}

TEST(NextLane, IsWhatTheLeaderSays) {
  constexpr Lane live{.core = 2};
  constexpr Lane catch_up{.core = 2, .stream_class = StreamClass::kCatchUp};
  EXPECT_EQ(next_lane(live, {.reason = EndReason::kFarBehind}).lane, catch_up);
  EXPECT_EQ(next_lane(catch_up, {.reason = EndReason::kCaughtUp}).lane, live);
  EXPECT_FALSE(next_lane(catch_up, {.reason = EndReason::kFarBehind}).is_sane);
  EXPECT_FALSE(next_lane(live, {.reason = EndReason::kCaughtUp}).is_sane);
  EXPECT_EQ(next_lane(catch_up, {.reason = EndReason::kOtherCore, .core_hint = 5}).lane,
            (Lane{.core = 5, .stream_class = StreamClass::kCatchUp}));
  EXPECT_EQ(next_lane(live, {.reason = EndReason::kOtherCore, .core_hint = 2}), NextLane{}) << "it is there";
  EXPECT_EQ(next_lane(live, {.reason = EndReason::kOtherCore}), NextLane{});
  EXPECT_EQ(next_lane(live, {.reason = EndReason::kNotLeader}), NextLane{});
}

}  // namespace
}  // namespace posthaste::replication::stream
