// Which members join a group, and when a round of joins is over.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>

#include "broker/groups/coordinator.h"
#include "broker/groups/testing/members.h"

namespace posthaste::broker {
namespace {

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

TEST(GroupJoin, AProtocolNamedTwiceCountsOnce) {
  GroupTestDriver d;
  const std::vector<GroupProtocol> twice = {{"range", "first"}, {"range", "second"}};
  const auto joined = stable_group(d, {join_as("", twice), join_as("", {{"range", "meta"}})});
  EXPECT_EQ(joined[0].protocol_name, "range");
  EXPECT_EQ(join_error(d, join_as("", {{"sticky", "meta"}})), ErrorCode::kInconsistentGroupProtocol);
  d.leave({"g", {{joined[0].member_id, std::nullopt}}});
  EXPECT_EQ(join_error(d, join_as("", {{"sticky", "meta"}})), ErrorCode::kInconsistentGroupProtocol);
}

// It is a second of work; were each name compared with all before it, many minutes.
TEST(GroupJoin, AJoinWithVeryManyProtocolsIsCountedInOnePass) {
  constexpr int kProtocols = 300'000;
  GroupConfig config;
  config.max_request_bytes = uint64_t{1} << 30;
  GroupTestDriver d(config);
  JoinRequest request = join_as("", {});
  for (int i = 0; i < kProtocols; ++i) request.protocols.push_back({fmt::format("p{:07}", i), ""});
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(d.answered(d.join(request)));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

}  // namespace
}  // namespace posthaste::broker
