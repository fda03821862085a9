// Static members (KIP-345), and groups as tools see them.
#include <gtest/gtest.h>

#include "broker/groups/coordinator.h"
#include "broker/groups/testing/members.h"

namespace posthaste::broker {
namespace {

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
