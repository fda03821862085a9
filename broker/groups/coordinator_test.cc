// Members of a group between rounds: assignments, heartbeats, members that leave.
#include <gtest/gtest.h>

#include "broker/groups/coordinator.h"
#include "broker/groups/testing/members.h"

namespace posthaste::broker {
namespace {

TEST(GroupSync, AnswersWaitForTheRecord) {
  GroupTestDriver d;
  std::vector<RequestToken> joins = {d.join(join_as("")), d.join(join_as(""))};
  d.advance(kInitialDelay);
  d.advance(kInitialDelay);
  const auto a = d.answer<JoinResponse>(joins[0]);
  const auto b = d.answer<JoinResponse>(joins[1]);
  d.confirm_at_once = false;
  const RequestToken follower = d.sync(sync_as(b));
  EXPECT_TRUE(d.in_flight.empty());
  const RequestToken leader = d.sync(sync_as(a, {{a.member_id, "A"}, {b.member_id, "B"}, {"stranger", "X"}}));
  ASSERT_EQ(d.in_flight.size(), 1U);
  EXPECT_FALSE(d.answered(follower));
  EXPECT_FALSE(d.answered(leader));
  EXPECT_EQ(state_of(d), "CompletingRebalance");
  EXPECT_EQ(beat(d, b.member_id, 1), ErrorCode::kNone);
  const PersistId id = d.in_flight.front().id;
  d.confirm_one();
  EXPECT_EQ(state_of(d), "Stable");
  EXPECT_EQ(d.answer<SyncResponse>(leader).assignment, "A");
  EXPECT_EQ(d.answer<SyncResponse>(follower).assignment, "B");
  EXPECT_EQ(d.answer<SyncResponse>(follower).protocol_name, "range");
  EXPECT_EQ(d.answers.at(follower).waited_for, id);
  // Later syncs of the generation are answered from memory.
  EXPECT_EQ(d.answer<SyncResponse>(d.sync(sync_as(b))).assignment, "B");
}

TEST(GroupSync, AFailedRecordMeansAnotherRound) {
  GroupTestDriver d;
  const RequestToken join = d.join(join_as(""));
  d.advance(kInitialDelay);
  const auto joined = d.answer<JoinResponse>(join);
  d.confirm_at_once = false;
  const RequestToken sync = d.sync(sync_as(joined, {{joined.member_id, "A"}}));
  d.fail_one(reactor::Errc::kStopping);
  EXPECT_EQ(d.answer<SyncResponse>(sync).error, ErrorCode::kNotCoordinator);
  EXPECT_EQ(d.answers.at(sync).waited_for, kNoPersist);
  EXPECT_EQ(state_of(d), "PreparingRebalance");
}

TEST(GroupSync, ALeaderThatAsksTwiceStoresOnce) {
  GroupTestDriver d;
  const RequestToken join = d.join(join_as(""));
  d.advance(kInitialDelay);
  const auto joined = d.answer<JoinResponse>(join);
  d.confirm_at_once = false;
  const RequestToken first = d.sync(sync_as(joined, {{joined.member_id, "A"}}));
  const RequestToken second = d.sync(sync_as(joined, {{joined.member_id, "B"}}));
  EXPECT_EQ(d.in_flight.size(), 1U);
  EXPECT_EQ(d.answer<SyncResponse>(first).error, ErrorCode::kRebalanceInProgress);
  d.confirm_all();
  EXPECT_EQ(d.answer<SyncResponse>(second).assignment, "A");
}

TEST(GroupLeave, WhoLeavesTogetherIsGivenNothingMore) {
  GroupTestDriver d;
  const auto joined = stable_group(d, {join_as(""), join_as("")});
  const RequestToken again = d.join(join_as(joined[1].member_id, {{"range", "other"}}));
  EXPECT_EQ(state_of(d), "PreparingRebalance");
  const auto left = d.answer<LeaveResponse>(
      d.leave({"g", {{joined[0].member_id, std::nullopt}, {joined[1].member_id, std::nullopt}}}));
  EXPECT_EQ(left.members[0].error, ErrorCode::kNone);
  EXPECT_EQ(left.members[1].error, ErrorCode::kNone);
  EXPECT_EQ(d.answer<JoinResponse>(again).error, ErrorCode::kUnknownMemberId);
  EXPECT_EQ(state_of(d), "Empty");
}

TEST(GroupSync, ANewMemberInterruptsTheWait) {
  GroupTestDriver d;
  const RequestToken join = d.join(join_as(""));
  d.advance(kInitialDelay);
  const auto joined = d.answer<JoinResponse>(join);
  d.confirm_at_once = false;
  const RequestToken sync = d.sync(sync_as(joined, {{joined.member_id, "A"}}));
  d.join(join_as(""));
  EXPECT_EQ(d.answer<SyncResponse>(sync).error, ErrorCode::kRebalanceInProgress);
  d.confirm_all();  // the record comes too late to mean anything to the live group
  EXPECT_EQ(state_of(d), "PreparingRebalance");
}

TEST(GroupSync, IsVerified) {
  GroupTestDriver d;
  const auto joined = stable_group(d, {join_as("")})[0];
  SyncRequest request = sync_as(joined);
  request.protocol_type = "consumer";
  request.protocol_name = "range";
  EXPECT_EQ(sync_error(d, request), ErrorCode::kNone);
  request.protocol_type = "connect";
  EXPECT_EQ(sync_error(d, request), ErrorCode::kInconsistentGroupProtocol);
  request = sync_as(joined);
  request.protocol_name = "sticky";
  EXPECT_EQ(sync_error(d, request), ErrorCode::kInconsistentGroupProtocol);
  request = sync_as(joined);
  request.generation_id = 0;
  EXPECT_EQ(sync_error(d, request), ErrorCode::kIllegalGeneration);
  request.member_id = "ghost";
  EXPECT_EQ(sync_error(d, request), ErrorCode::kUnknownMemberId);
  request.group_id = "other";
  EXPECT_EQ(sync_error(d, request), ErrorCode::kUnknownMemberId);
  d.join(join_as(""));
  EXPECT_EQ(sync_error(d, sync_as(joined)), ErrorCode::kRebalanceInProgress);
}

TEST(GroupSync, SilentMembersAreDroppedAfterTheRebalanceTimeout) {
  GroupTestDriver d;
  std::vector<RequestToken> joins = {d.join(join_as("")), d.join(join_as(""))};
  d.advance(kInitialDelay);
  d.advance(kInitialDelay);
  const auto a = d.answer<JoinResponse>(joins[0]);
  const auto b = d.answer<JoinResponse>(joins[1]);
  const RequestToken sync = d.sync(sync_as(b));
  const auto start = d.now.monotonic;
  while (!d.answered(sync)) {
    d.advance(1'000);
    if (!d.answered(sync)) beat(d, a.member_id, 1);  // the leader is alive, but never sends its assignment
    ASSERT_LE((d.now.monotonic - start).count(), int64_t{70'000'000'000});
  }
  EXPECT_EQ(d.answer<SyncResponse>(sync).error, ErrorCode::kRebalanceInProgress);
  EXPECT_EQ(beat(d, a.member_id, 1), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(beat(d, b.member_id, 1), ErrorCode::kRebalanceInProgress);
}

TEST(GroupHeartbeat, EachCode) {
  GroupTestDriver d;
  EXPECT_EQ(beat(d, "ghost", 0), ErrorCode::kUnknownMemberId);
  const auto joined = stable_group(d, {join_as("")})[0];
  EXPECT_EQ(beat(d, joined.member_id, 1), ErrorCode::kNone);
  EXPECT_EQ(beat(d, joined.member_id, 2), ErrorCode::kIllegalGeneration);
  EXPECT_EQ(beat(d, joined.member_id, 0), ErrorCode::kIllegalGeneration);
  EXPECT_EQ(beat(d, "ghost", 1), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(d.answer<HeartbeatResponse>(d.heartbeat({"", 1, "x", std::nullopt})).error, ErrorCode::kInvalidGroupId);
}

TEST(GroupHeartbeat, KeepsTheSessionAndSilenceEndsIt) {
  GroupTestDriver d;
  const auto joined = stable_group(d, {join_as(""), join_as("")});
  for (int i = 0; i < 5; ++i) {
    d.advance(kSession - 1);
    EXPECT_EQ(beat(d, joined[0].member_id, 1), i == 0 ? ErrorCode::kNone : ErrorCode::kRebalanceInProgress);
  }
  EXPECT_EQ(beat(d, joined[1].member_id, 1), ErrorCode::kUnknownMemberId);
}

TEST(GroupHeartbeat, EmptyAfterTheLastSessionEnds) {
  GroupTestDriver d;
  stable_group(d, {join_as("")});
  d.advance(kSession);
  EXPECT_EQ(state_of(d), "Empty");
  // That the group is empty now, with a generation of its own, is in the log.
  d.fail_over();
  EXPECT_EQ(state_of(d), "Empty");
  d.confirm_at_once = true;
  const auto next = stable_group(d, {join_as("")});
  EXPECT_EQ(next[0].generation_id, 3);
}

TEST(GroupHeartbeat, AWaitingMemberDoesNotExpire) {
  GroupTestDriver d;
  const auto old = stable_group(d, {join_as(""), join_as("")});
  const RequestToken again = d.join(join_as(old[0].member_id));
  for (int i = 0; i < 5; ++i) {
    d.advance(8'000);
    beat(d, old[1].member_id, 1);
    EXPECT_FALSE(d.answered(again));
  }
  EXPECT_EQ(d.coordinator.describe("g").members.size(), 2U);
}

TEST(GroupLeave, LastOneOutEmptiesTheGroup) {
  GroupTestDriver d;
  const auto joined = stable_group(d, {join_as("")})[0];
  const auto left = d.answer<LeaveResponse>(d.leave({"g", {{joined.member_id, std::nullopt}}}));
  EXPECT_EQ(left.error, ErrorCode::kNone);
  EXPECT_EQ(left.members[0].error, ErrorCode::kNone);
  EXPECT_EQ(state_of(d), "Empty");
}

TEST(GroupLeave, ManyAtOnceEachWithItsOwnCode) {
  GroupTestDriver d;
  const auto joined = stable_group(d, {join_as(""), join_static("s1"), join_static("s2"), join_as("")});
  const auto left = d.answer<LeaveResponse>(d.leave({"g",
                                                     {{joined[0].member_id, std::nullopt},
                                                      {"", "s1"},
                                                      {joined[1].member_id, "s2"},
                                                      {"ghost", std::nullopt},
                                                      {"", "s9"},
                                                      {"", std::nullopt}}}));
  ASSERT_EQ(left.members.size(), 6U);
  EXPECT_EQ(left.members[0].error, ErrorCode::kNone);
  EXPECT_EQ(left.members[1].error, ErrorCode::kNone);
  EXPECT_EQ(left.members[2].error, ErrorCode::kFencedInstanceId);
  EXPECT_EQ(left.members[3].error, ErrorCode::kUnknownMemberId);
  EXPECT_EQ(left.members[4].error, ErrorCode::kUnknownMemberId);
  EXPECT_EQ(left.members[5].error, ErrorCode::kUnknownMemberId);
  EXPECT_EQ(d.coordinator.describe("g").members.size(), 2U);
  EXPECT_EQ(state_of(d), "PreparingRebalance");
}

TEST(GroupLeave, EndsTheWaitOfOthersAndOfItself) {
  GroupTestDriver d;
  const auto old = stable_group(d, {join_as(""), join_as("")});
  const RequestToken a = d.join(join_as(old[0].member_id));
  d.leave({"g", {{old[1].member_id, std::nullopt}}});
  EXPECT_EQ(d.answer<JoinResponse>(a).members.size(), 1U);
  const RequestToken sync = d.sync(sync_as(old[1]));
  EXPECT_EQ(d.answer<SyncResponse>(sync).error, ErrorCode::kUnknownMemberId);
  GroupTestDriver e;
  const auto pair = stable_group(e, {join_as(""), join_as("")});
  const RequestToken waiting = e.join(join_as(pair[0].member_id));
  e.leave({"g", {{pair[0].member_id, std::nullopt}}});
  EXPECT_EQ(e.answer<JoinResponse>(waiting).error, ErrorCode::kUnknownMemberId);
}

TEST(GroupLeave, OfAnUnusedIdAndOfAnUnknownGroup) {
  GroupTestDriver d;
  JoinRequest request = join_as("");
  request.require_known_member_id = true;
  const std::string id = d.answer<JoinResponse>(d.join(request)).member_id;
  EXPECT_EQ(d.answer<LeaveResponse>(d.leave({"g", {{id, std::nullopt}}})).members[0].error, ErrorCode::kNone);
  EXPECT_EQ(join_error(d, join_as(id)), ErrorCode::kUnknownMemberId);
  const auto unknown = d.answer<LeaveResponse>(d.leave({"h", {{"x", std::nullopt}}}));
  EXPECT_EQ(unknown.error, ErrorCode::kNone);
  EXPECT_EQ(unknown.members[0].error, ErrorCode::kUnknownMemberId);
}

}  // namespace
}  // namespace posthaste::broker
