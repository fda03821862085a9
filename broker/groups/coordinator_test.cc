// Membership and rebalances of the group coordinator, rule by rule.
#include "broker/groups/coordinator.h"

#include <gtest/gtest.h>

#include "broker/groups/coordinator_test_driver.h"

namespace posthaste::broker {
namespace {

constexpr int64_t kInitialDelay = 3'000;
constexpr int32_t kSession = 10'000;
constexpr int32_t kRebalance = 60'000;

JoinRequest join_as(std::string member_id, std::vector<GroupProtocol> protocols = {{"range", "meta"}}) {
  JoinRequest request;
  request.group_id = "g";
  request.member_id = std::move(member_id);
  request.client_id = "client";
  request.client_host = "/10.0.0.1";
  request.protocol_type = "consumer";
  request.protocols = std::move(protocols);
  request.session_timeout_ms = kSession;
  request.rebalance_timeout_ms = kRebalance;
  return request;
}

JoinRequest join_static(std::string instance, std::string member_id = "") {
  JoinRequest request = join_as(std::move(member_id));
  request.group_instance_id = std::move(instance);
  return request;
}

SyncRequest sync_as(const JoinResponse& joined, std::vector<SyncRequest::Assignment> assignments = {}) {
  SyncRequest request;
  request.group_id = "g";
  request.generation_id = joined.generation_id;
  request.member_id = joined.member_id;
  request.assignments = std::move(assignments);
  return request;
}

ErrorCode beat(GroupTestDriver& d, const std::string& member_id, int32_t generation) {
  return d.answer<HeartbeatResponse>(d.heartbeat({"g", generation, member_id, std::nullopt})).error;
}

ErrorCode join_error(GroupTestDriver& d, JoinRequest request) {
  return d.answer<JoinResponse>(d.join(std::move(request))).error;
}

ErrorCode sync_error(GroupTestDriver& d, const SyncRequest& request) {
  return d.answer<SyncResponse>(d.sync(request)).error;
}

std::string state_of(const GroupTestDriver& d) { return d.coordinator.describe("g").state; }

// Members join an empty group together; the first leads. Everyone gets its own name as assignment.
std::vector<JoinResponse> stable_group(GroupTestDriver& d, std::vector<JoinRequest> requests) {
  std::vector<RequestToken> tokens;
  tokens.reserve(requests.size());
  for (JoinRequest& request : requests) tokens.push_back(d.join(std::move(request)));
  d.advance(kInitialDelay);
  d.advance(kInitialDelay);
  std::vector<JoinResponse> joined;
  joined.reserve(tokens.size());
  for (const RequestToken token : tokens) joined.push_back(d.answer<JoinResponse>(token));
  std::vector<SyncRequest::Assignment> assignments;
  assignments.reserve(joined.size());
  for (const JoinResponse& member : joined) assignments.push_back({member.member_id, "for " + member.member_id});
  for (const JoinResponse& member : joined) {
    d.sync(
        sync_as(member, member.member_id == member.leader_id ? assignments : std::vector<SyncRequest::Assignment>()));
  }
  CHECK(state_of(d) == "Stable");
  return joined;
}

TEST(GroupJoin, NewMemberIsGivenAnIdThenJoins) {
  GroupTestDriver d;
  JoinRequest first = join_as("");
  first.require_known_member_id = true;
  const JoinResponse given = d.answer<JoinResponse>(d.join(first));
  EXPECT_EQ(given.error, ErrorCode::kMemberIdRequired);
  ASSERT_EQ(given.member_id.size(), std::string("client-").size() + 36);
  EXPECT_TRUE(given.member_id.starts_with("client-"));
  EXPECT_EQ(given.member_id[7 + 14], '4');  // a version 4 UUID
  const RequestToken token = d.join(join_as(given.member_id));
  EXPECT_FALSE(d.answered(token));
  EXPECT_EQ(state_of(d), "PreparingRebalance");
  d.advance(kInitialDelay - 1);
  EXPECT_FALSE(d.answered(token));
  d.advance(1);
  const auto& joined = d.answer<JoinResponse>(token);
  EXPECT_EQ(joined.error, ErrorCode::kNone);
  EXPECT_EQ(joined.generation_id, 1);
  EXPECT_EQ(joined.protocol_type, "consumer");
  EXPECT_EQ(joined.protocol_name, "range");
  EXPECT_EQ(joined.leader_id, given.member_id);
  EXPECT_EQ(joined.member_id, given.member_id);
  ASSERT_EQ(joined.members.size(), 1U);
  EXPECT_EQ(joined.members[0].metadata, "meta");
  EXPECT_EQ(state_of(d), "CompletingRebalance");
}

TEST(GroupJoin, NoDelayMeansAtOnce) {
  GroupTestDriver d(GroupConfig{.initial_rebalance_delay_ms = 0});
  EXPECT_EQ(d.answer<JoinResponse>(d.join(join_as(""))).generation_id, 1);
}

TEST(GroupJoin, InitialDelayExtendsWhileMembersComeUpToTheRebalanceTimeout) {
  GroupTestDriver d;
  std::vector<RequestToken> tokens = {d.join(join_as(""))};
  JoinRequest quick = join_as("");
  for (int i = 0; i < 30 && !d.answered(tokens[0]); ++i) {
    d.advance(kInitialDelay - 1);
    if (!d.answered(tokens[0])) tokens.push_back(d.join(quick));
    d.advance(1);
  }
  // 60 s of rebalance time-out allow twenty rounds of 3 s, each prolonged by the member that came in it.
  EXPECT_EQ(tokens.size(), 21U);
  for (const RequestToken token : tokens) EXPECT_EQ(d.answer<JoinResponse>(token).generation_id, 1);
  EXPECT_EQ(d.answer<JoinResponse>(tokens[0]).members.size(), 21U);
}

TEST(GroupJoin, WithoutNewMembersOneDelayIsEnough) {
  GroupTestDriver d;
  const RequestToken token = d.join(join_as(""));
  d.advance(kInitialDelay);
  EXPECT_TRUE(d.answered(token));
}

TEST(GroupJoin, RefusesWhatCannotBe) {
  GroupTestDriver d;
  JoinRequest request = join_as("");
  request.group_id = "";
  EXPECT_EQ(join_error(d, request), ErrorCode::kInvalidGroupId);
  request = join_as("");
  request.session_timeout_ms = 5'999;
  EXPECT_EQ(join_error(d, request), ErrorCode::kInvalidSessionTimeout);
  request.session_timeout_ms = 1'800'001;
  EXPECT_EQ(join_error(d, request), ErrorCode::kInvalidSessionTimeout);
  EXPECT_EQ(join_error(d, join_as("ghost")), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(join_error(d, join_as("", {})), ErrorCode::kInconsistentGroupProtocol);
  request = join_as("");
  request.protocol_type = "";
  EXPECT_EQ(join_error(d, request), ErrorCode::kInconsistentGroupProtocol);
  EXPECT_EQ(d.coordinator.group_count(), 0U);
}

TEST(GroupJoin, TextsThatNoRecordCouldHoldAreRefused) {
  GroupTestDriver d;
  const std::string huge(40'000, 'x');
  JoinRequest request = join_as("");
  request.client_id = huge;
  EXPECT_EQ(join_error(d, request), ErrorCode::kInvalidRequest);
  request = join_as("", {{huge, ""}});
  EXPECT_EQ(join_error(d, request), ErrorCode::kInvalidRequest);
  request = join_as("");
  request.group_id = huge;
  EXPECT_EQ(join_error(d, request), ErrorCode::kInvalidGroupId);
  OffsetCommitRequest commit;
  commit.group_id = huge;
  commit.topics = {{"t", {{0, 1, -1, std::nullopt}}}};
  EXPECT_EQ(d.answer<OffsetCommitResponse>(d.commit(commit)).topics[0].partitions[0].error, ErrorCode::kInvalidGroupId);
}

TEST(GroupJoin, LongestTextsStillFitTheirRecords) {
  GroupTestDriver d;
  JoinRequest request = join_as("");
  request.client_id = std::string(kLongestGroupText, 'c');
  request.group_id = "g";
  const auto joined = stable_group(d, {request});
  EXPECT_EQ(joined[0].error, ErrorCode::kNone);
  d.fail_over();
  EXPECT_EQ(d.coordinator.describe("g").members[0].client_id, request.client_id);
}

TEST(GroupJoin, ProtocolsMustMeet) {
  GroupTestDriver d;
  d.join(join_as("", {{"range", ""}, {"sticky", ""}}));
  JoinRequest other = join_as("", {{"roundrobin", ""}});
  EXPECT_EQ(join_error(d, other), ErrorCode::kInconsistentGroupProtocol);
  other = join_as("", {{"sticky", ""}});
  other.protocol_type = "connect";
  EXPECT_EQ(join_error(d, other), ErrorCode::kInconsistentGroupProtocol);
}

TEST(GroupJoin, ProtocolWithMostVotesWins) {
  GroupTestDriver d;
  const std::vector<GroupProtocol> range_first = {{"range", "r"}, {"sticky", "s"}};
  const std::vector<GroupProtocol> sticky_first = {{"sticky", "s"}, {"range", "r"}};
  const auto joined = stable_group(d, {join_as("", range_first), join_as("", sticky_first), join_as("", sticky_first)});
  EXPECT_EQ(joined[0].protocol_name, "sticky");
  EXPECT_EQ(joined[0].members[0].metadata, "s");
  GroupTestDriver tie;  // a draw: the leader's order
  EXPECT_EQ(stable_group(tie, {join_as("", range_first), join_as("", sticky_first)})[0].protocol_name, "range");
}

TEST(GroupJoin, OnlyTheLeaderSeesTheMembers) {
  GroupTestDriver d;
  const auto joined = stable_group(d, {join_as(""), join_as(""), join_as("")});
  EXPECT_EQ(joined[0].members.size(), 3U);
  EXPECT_TRUE(joined[1].members.empty());
  EXPECT_EQ(joined[1].leader_id, joined[0].member_id);
  EXPECT_EQ(joined[2].generation_id, joined[0].generation_id);
}

TEST(GroupJoin, ThirdMemberRebalancesAStableGroup) {
  GroupTestDriver d;
  const auto old = stable_group(d, {join_as(""), join_as("")});
  const RequestToken third = d.join(join_as(""));
  EXPECT_EQ(state_of(d), "PreparingRebalance");
  EXPECT_EQ(beat(d, old[0].member_id, 1), ErrorCode::kRebalanceInProgress);
  const RequestToken a = d.join(join_as(old[0].member_id));
  EXPECT_FALSE(d.answered(third));
  const RequestToken b = d.join(join_as(old[1].member_id));
  EXPECT_EQ(d.answer<JoinResponse>(third).generation_id, 2);  // everyone is here: no need to wait
  EXPECT_EQ(d.answer<JoinResponse>(a).members.size(), 3U);
  EXPECT_TRUE(d.answer<JoinResponse>(b).members.empty());
}

TEST(GroupJoin, WhoDoesNotRejoinInTimeIsOut) {
  GroupTestDriver d;
  const auto old = stable_group(d, {join_as(""), join_as("")});
  const RequestToken third = d.join(join_as(""));
  const RequestToken b = d.join(join_as(old[1].member_id));
  for (int i = 0; i < 11; ++i) {  // the leader is alive but does not come
    d.advance(5'000);
    EXPECT_EQ(beat(d, old[0].member_id, 1), ErrorCode::kRebalanceInProgress);
  }
  EXPECT_FALSE(d.answered(b));
  d.advance(5'000);
  EXPECT_EQ(d.answer<JoinResponse>(b).generation_id, 2);
  EXPECT_EQ(d.answer<JoinResponse>(b).leader_id, old[1].member_id);  // the oldest that came
  EXPECT_EQ(d.answer<JoinResponse>(b).members.size(), 2U);
  EXPECT_TRUE(d.answer<JoinResponse>(third).members.empty());
  EXPECT_EQ(beat(d, old[0].member_id, 1), ErrorCode::kUnknownMemberId);
}

TEST(GroupJoin, LostAnswersAreGivenAgainWithoutARebalance) {
  GroupTestDriver d;
  const auto joined = stable_group(d, {join_as(""), join_as("")});
  const auto again = d.answer<JoinResponse>(d.join(join_as(joined[1].member_id)));
  EXPECT_EQ(again.generation_id, 1);
  EXPECT_EQ(state_of(d), "Stable");
  // Other metadata, or the leader: a rebalance.
  d.join(join_as(joined[1].member_id, {{"range", "other"}}));
  EXPECT_EQ(state_of(d), "PreparingRebalance");
  GroupTestDriver e;
  const auto led = stable_group(e, {join_as(""), join_as("")});
  e.join(join_as(led[0].member_id));
  EXPECT_EQ(state_of(e), "PreparingRebalance");
}

TEST(GroupJoin, LostAnswersWhileCompleting) {
  GroupTestDriver d;
  const RequestToken a = d.join(join_as(""));
  d.advance(kInitialDelay);
  const auto joined = d.answer<JoinResponse>(a);
  const auto again = d.answer<JoinResponse>(d.join(join_as(joined.member_id)));
  EXPECT_EQ(again.generation_id, 1);
  EXPECT_EQ(again.members.size(), 1U);  // it leads
  EXPECT_EQ(state_of(d), "CompletingRebalance");
}

TEST(GroupJoin, ARepeatedRequestReplacesTheOneThatWaits) {
  GroupTestDriver d;
  JoinRequest request = join_as("");
  request.require_known_member_id = true;
  const std::string id = d.answer<JoinResponse>(d.join(request)).member_id;
  const RequestToken first = d.join(join_as(id));
  const RequestToken second = d.join(join_as(id));
  EXPECT_EQ(d.answer<JoinResponse>(first).error, ErrorCode::kRebalanceInProgress);
  d.advance(kInitialDelay);
  EXPECT_EQ(d.answer<JoinResponse>(second).generation_id, 1);
}

TEST(GroupJoin, GroupSizeIsLimited) {
  GroupTestDriver d(GroupConfig{.max_group_size = 2});
  const auto joined = stable_group(d, {join_as(""), join_as("")});
  const auto refused = d.answer<JoinResponse>(d.join(join_as("")));
  EXPECT_EQ(refused.error, ErrorCode::kGroupMaxSizeReached);
  EXPECT_EQ(refused.member_id, "");
  EXPECT_EQ(join_error(d, join_as(joined[1].member_id)), ErrorCode::kNone);  // members may come back
}

TEST(GroupJoin, UnusedIdsAreLimitedAndForgotten) {
  GroupTestDriver d(GroupConfig{.max_pending_members = 2});
  JoinRequest request = join_as("");
  request.require_known_member_id = true;
  const std::string id = d.answer<JoinResponse>(d.join(request)).member_id;
  EXPECT_EQ(join_error(d, request), ErrorCode::kMemberIdRequired);
  EXPECT_EQ(join_error(d, request), ErrorCode::kGroupMaxSizeReached);
  d.advance(kSession);
  EXPECT_EQ(join_error(d, join_as(id)), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(join_error(d, request), ErrorCode::kMemberIdRequired);
}

TEST(GroupJoin, ARebalanceWaitsForMembersThatWereGivenAnId) {
  GroupTestDriver d;
  const auto old = stable_group(d, {join_as("")});
  JoinRequest request = join_as("");
  request.require_known_member_id = true;
  const std::string id = d.answer<JoinResponse>(d.join(request)).member_id;
  const RequestToken a = d.join(join_as(old[0].member_id));
  EXPECT_FALSE(d.answered(a));
  const RequestToken b = d.join(join_as(id));
  EXPECT_EQ(d.answer<JoinResponse>(a).members.size(), 2U);
  EXPECT_TRUE(d.answered(b));
}

TEST(GroupJoin, GroupCountIsLimited) {
  GroupTestDriver d(GroupConfig{.max_groups = 1});
  d.join(join_as(""));
  JoinRequest other = join_as("");
  other.group_id = "h";
  EXPECT_EQ(join_error(d, other), ErrorCode::kCoordinatorNotAvailable);
}

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

TEST(GroupJoin, AProtocolNamedTwiceCountsOnce) {
  GroupTestDriver d;
  const std::vector<GroupProtocol> twice = {{"range", "first"}, {"range", "second"}};
  const auto joined = stable_group(d, {join_as("", twice), join_as("", {{"range", "meta"}})});
  EXPECT_EQ(joined[0].protocol_name, "range");
  EXPECT_EQ(join_error(d, join_as("", {{"sticky", "meta"}})), ErrorCode::kInconsistentGroupProtocol);
  d.leave({"g", {{joined[0].member_id, std::nullopt}}});
  EXPECT_EQ(join_error(d, join_as("", {{"sticky", "meta"}})), ErrorCode::kInconsistentGroupProtocol);
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

TEST(GroupStatic, ComesBackWithoutARebalance) {
  GroupTestDriver d;
  const auto joined = stable_group(d, {join_static("s0"), join_static("s1")});
  EXPECT_TRUE(joined[1].member_id.starts_with("s1-"));
  d.confirm_at_once = false;
  const RequestToken token = d.join(join_static("s1"));
  EXPECT_FALSE(d.answered(token));  // its new name must be durable first
  d.confirm_all();
  const auto back = d.answer<JoinResponse>(token);
  EXPECT_EQ(back.error, ErrorCode::kNone);
  EXPECT_EQ(back.generation_id, 1);
  EXPECT_NE(back.member_id, joined[1].member_id);
  EXPECT_EQ(state_of(d), "Stable");
  EXPECT_EQ(d.answer<SyncResponse>(d.sync(sync_as(back))).assignment, "for " + joined[1].member_id);
  // The former incarnation is fenced everywhere.
  EXPECT_EQ(d.answer<HeartbeatResponse>(d.heartbeat({"g", 1, joined[1].member_id, "s1"})).error,
            ErrorCode::kFencedInstanceId);
  SyncRequest sync = sync_as(joined[1]);
  sync.group_instance_id = "s1";
  EXPECT_EQ(sync_error(d, sync), ErrorCode::kFencedInstanceId);
  EXPECT_EQ(join_error(d, join_static("s1", joined[1].member_id)), ErrorCode::kFencedInstanceId);
  OffsetCommitRequest commit;
  commit.group_id = "g";
  commit.generation_id = 1;
  commit.member_id = joined[1].member_id;
  commit.group_instance_id = "s1";
  commit.topics = {{"t", {{0, 1, -1, std::nullopt}}}};
  EXPECT_EQ(d.answer<OffsetCommitResponse>(d.commit(commit)).topics[0].partitions[0].error,
            ErrorCode::kFencedInstanceId);
  d.fail_over();
  EXPECT_EQ(beat(d, back.member_id, 1), ErrorCode::kNone);  // the log has the new name
}

TEST(GroupStatic, AReturningLeaderIsToldToSkipOrNotToLead) {
  GroupTestDriver d;
  const auto joined = stable_group(d, {join_static("s0"), join_static("s1")});
  const auto old_client = d.answer<JoinResponse>(d.join(join_static("s0")));
  EXPECT_EQ(old_client.leader_id, joined[0].member_id);
  EXPECT_TRUE(old_client.members.empty());
  JoinRequest request = join_static("s0");
  request.supports_skipping_assignment = true;
  const auto new_client = d.answer<JoinResponse>(d.join(request));
  EXPECT_TRUE(new_client.skip_assignment);
  EXPECT_EQ(new_client.leader_id, new_client.member_id);
  EXPECT_EQ(new_client.members.size(), 2U);
}

TEST(GroupStatic, OtherProtocolsOrAnUnfinishedRoundRebalance) {
  GroupTestDriver d;
  stable_group(d, {join_static("s0")});
  JoinRequest other = join_static("s0");
  other.protocols = {{"sticky", ""}};
  EXPECT_EQ(join_error(d, other), ErrorCode::kInconsistentGroupProtocol);
  GroupTestDriver e;
  JoinRequest both = join_static("s0");
  both.protocols = {{"range", ""}, {"sticky", ""}};
  stable_group(e, {both});
  std::ranges::reverse(both.protocols);
  const RequestToken token = e.join(both);
  EXPECT_EQ(e.answer<JoinResponse>(token).generation_id, 2);  // alone: the round ends at once
  EXPECT_EQ(e.answer<JoinResponse>(token).protocol_name, "sticky");
  EXPECT_EQ(e.join(join_static("s0")), e.next_token - 1);
  EXPECT_EQ(state_of(e), "CompletingRebalance");
}

TEST(GroupStatic, KeepsItsPlaceUntilTheSessionEnds) {
  GroupTestDriver d;
  JoinRequest patient = join_static("s1");
  patient.session_timeout_ms = 120'000;
  const auto joined = stable_group(d, {join_as(""), patient});
  const RequestToken third = d.join(join_as(""));
  const RequestToken a = d.join(join_as(joined[0].member_id));
  d.advance(kRebalance);
  // The dynamic members are served; the static one is still a member though it did not come.
  EXPECT_EQ(d.answer<JoinResponse>(a).members.size(), 3U);
  EXPECT_TRUE(d.answered(third));
}

TEST(GroupStatic, FencesTheRequestsOfTheFormerIncarnation) {
  GroupTestDriver d;
  const RequestToken first = d.join(join_static("s0"));
  const RequestToken second = d.join(join_static("s0"));
  EXPECT_EQ(d.answer<JoinResponse>(first).error, ErrorCode::kFencedInstanceId);
  d.advance(kInitialDelay);
  EXPECT_EQ(d.answer<JoinResponse>(second).generation_id, 1);
}

TEST(GroupAdmin, TheLastAssignmentIsShownUntilThereIsAnother) {
  GroupTestDriver d;
  const auto joined = stable_group(d, {join_as("")})[0];
  const std::string last = "for " + joined.member_id;
  const RequestToken second = d.join(join_as(""));
  EXPECT_EQ(state_of(d), "PreparingRebalance");
  EXPECT_EQ(d.coordinator.describe("g").members[0].metadata, "");
  const auto shown = [&] {
    for (const auto& member : d.coordinator.describe("g").members) {
      if (member.member_id == joined.member_id) return member.assignment;
    }
    return std::string("gone");
  };
  EXPECT_EQ(shown(), last);
  const RequestToken first = d.join(join_as(joined.member_id));
  EXPECT_EQ(state_of(d), "CompletingRebalance");
  EXPECT_EQ(shown(), last);
  const auto again = d.answer<JoinResponse>(first);
  const auto other = d.answer<JoinResponse>(second);
  d.sync(sync_as(again, {{other.member_id, "all of it"}}));
  EXPECT_EQ(state_of(d), "Stable");
  EXPECT_EQ(shown(), "") << "it was given nothing this time";
}

TEST(GroupAdmin, DescribeAndList) {
  GroupTestDriver d;
  EXPECT_EQ(d.coordinator.describe("g").error, ErrorCode::kGroupIdNotFound);
  EXPECT_EQ(d.coordinator.describe("g").state, "Dead");
  const auto joined = stable_group(d, {join_as("")})[0];
  const DescribedGroup g = d.coordinator.describe("g");
  EXPECT_EQ(g.state, "Stable");
  EXPECT_EQ(g.protocol_type, "consumer");
  EXPECT_EQ(g.protocol_data, "range");
  ASSERT_EQ(g.members.size(), 1U);
  EXPECT_EQ(g.members[0].client_host, "/10.0.0.1");
  EXPECT_EQ(g.members[0].metadata, "meta");
  EXPECT_EQ(g.members[0].assignment, "for " + joined.member_id);
  OffsetCommitRequest commit;
  commit.group_id = "a-simple-one";
  commit.topics = {{"t", {{0, 1, -1, std::nullopt}}}};
  d.commit(commit);
  const auto all = d.coordinator.list({}, {});
  ASSERT_EQ(all.groups.size(), 2U);
  EXPECT_EQ(all.groups[0].group_id, "a-simple-one");
  EXPECT_EQ(all.groups[0].protocol_type, "");
  EXPECT_EQ(all.groups[0].state, "Empty");
  const std::vector<std::string> stable = {"sTable"};
  ASSERT_EQ(d.coordinator.list(stable, {}).groups.size(), 1U);
  EXPECT_EQ(d.coordinator.list(stable, {}).groups[0].group_id, "g");
  const std::vector<std::string> share = {"share"};
  EXPECT_TRUE(d.coordinator.list({}, share).groups.empty());
}

}  // namespace
}  // namespace posthaste::broker
