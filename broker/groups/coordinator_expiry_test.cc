// When committed offsets and groups go away: age, deletion of groups and of topics.
#include <gtest/gtest.h>

#include "broker/groups/coordinator.h"
#include "broker/groups/testing/offsets.h"

namespace posthaste::broker {
namespace {

using reactor::Errc;

TEST(GroupExpiry, SimpleGroupsAgeFromTheirCommits) {
  GroupTestDriver d;
  d.commit(commit_of("s", 10));
  d.advance(4 * kDay);
  d.commit(commit_of("s", 11, "u"));
  d.advance(3 * kDay + 600'000);
  EXPECT_EQ(offset_of(d, "s"), -1);
  EXPECT_EQ(offset_of(d, "s", "u"), 11);
  d.advance(4 * kDay);
  EXPECT_EQ(offset_of(d, "s", "u"), -1);
  EXPECT_EQ(d.coordinator.group_count(), 0U);
  d.fail_over();  // the tombstones are in the log
  EXPECT_EQ(d.coordinator.group_count(), 0U);
}

TEST(GroupExpiry, AgesOnlyWhileEmpty) {
  GroupTestDriver d;
  const JoinResponse joined = stable_member(d, {"t"}, kLongSession);
  d.commit(commit_by(joined, 7));
  live(d, joined, 8 * kDay);
  EXPECT_EQ(offset_of(d, "g"), 7);  // old, but its group lives
  d.advance(6 * kDay);
  EXPECT_EQ(d.coordinator.describe("g").state, "Empty");
  EXPECT_EQ(offset_of(d, "g"), 7);
  d.advance(kDay + kLongSession + 700'000);  // seven days after its last session ended
  EXPECT_EQ(offset_of(d, "g"), -1);
  EXPECT_EQ(d.coordinator.group_count(), 0U);
}

TEST(GroupExpiry, TopicsThatNobodyReadsAge) {
  GroupTestDriver d;
  const JoinResponse joined = stable_member(d, {"t"}, kLongSession);
  d.commit(commit_by(joined, 7));
  OffsetCommitRequest other = commit_by(joined, 8);
  other.topics[0].name = "left-behind";
  d.commit(other);
  live(d, joined, 7 * kDay + 1'200'000);
  EXPECT_EQ(offset_of(d, "g"), 7);
  EXPECT_EQ(offset_of(d, "g", "left-behind"), -1);
}

TEST(GroupExpiry, WhenNobodyCanTellWhatIsReadNothingAges) {
  GroupTestDriver d;
  JoinRequest request = consumer({"t"}, kLongSession);
  request.protocols = {{"range", "not a subscription"}};
  const RequestToken token = d.join(request);
  d.advance(3'000);
  const JoinResponse joined = d.answer<JoinResponse>(token);
  d.sync({"g", 1, joined.member_id, {}, {}, {}, {}});
  OffsetCommitRequest other = commit_by(joined, 8);
  other.topics[0].name = "left-behind";
  d.commit(other);
  live(d, joined, 8 * kDay);
  EXPECT_EQ(offset_of(d, "g", "left-behind"), 8);
}

TEST(GroupExpiry, AnExplicitRetentionRules) {
  GroupTestDriver d;
  OffsetCommitRequest request = commit_of("s", 10);
  request.retention_ms = 3'600'000;
  d.commit(request);
  request = commit_of("s", 11, "u");
  request.retention_ms = INT64_MAX;  // must not overflow
  d.commit(request);
  d.advance(3'000'000);
  EXPECT_EQ(offset_of(d, "s"), 10);
  d.advance(1'200'000);
  EXPECT_EQ(offset_of(d, "s"), -1);
  d.advance(20 * kDay);
  EXPECT_EQ(offset_of(d, "s", "u"), 11);
}

TEST(GroupExpiry, AnEmptyGroupWithoutOffsetsGoes) {
  GroupTestDriver d;
  const JoinResponse joined = stable_member(d);
  d.leave({"g", {{joined.member_id, std::nullopt}}});
  EXPECT_EQ(d.coordinator.group_count(), 1U);
  d.confirm_at_once = false;
  d.advance(600'000);
  EXPECT_EQ(d.coordinator.describe("g").state, "Dead");
  // Until its tombstone is durable no member may join it; the error makes clients retry.
  EXPECT_EQ(d.answer<JoinResponse>(d.join(consumer({"t"}))).error, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(commit_error(d, commit_of("g", 1)), ErrorCode::kCoordinatorNotAvailable);
  d.fail_one(Errc::kTimedOut);
  EXPECT_EQ(d.coordinator.describe("g").state, "Empty");
  d.advance(600'000);
  d.confirm_all();
  EXPECT_EQ(d.coordinator.group_count(), 0U);
}

TEST(GroupExpiry, ACommitUnderWayKeepsTheOffset) {
  GroupTestDriver d;
  d.commit(commit_of("s", 10));
  d.advance(7 * kDay - 1'000);
  d.confirm_at_once = false;
  d.commit(commit_of("s", 11));
  d.advance(700'000);
  EXPECT_EQ(d.in_flight.size(), 1U);  // no tombstone after it
  d.confirm_all();
  EXPECT_EQ(offset_of(d, "s"), 11);
}

TEST(GroupDelete, OnlyEmptyOnes) {
  GroupTestDriver d;
  stable_member(d);
  d.commit(commit_of("s", 10));
  d.commit(commit_of("s", 11, "u", 4));
  d.confirm_at_once = false;
  const RequestToken token = d.delete_groups({"g", "s", "nobody", "s"});
  EXPECT_FALSE(d.answered(token));
  d.confirm_all();
  const auto& answer = d.answer<DeleteGroupsResponse>(token);
  ASSERT_EQ(answer.groups.size(), 4U);
  EXPECT_EQ(answer.groups[0].error, ErrorCode::kNonEmptyGroup);
  EXPECT_EQ(answer.groups[1].error, ErrorCode::kNone);
  EXPECT_EQ(answer.groups[2].error, ErrorCode::kGroupIdNotFound);
  EXPECT_EQ(answer.groups[3].error, ErrorCode::kNone);
  EXPECT_EQ(d.coordinator.group_count(), 1U);
  d.fail_over();
  EXPECT_EQ(offset_of(d, "s"), -1);
  EXPECT_EQ(d.answer<DeleteGroupsResponse>(d.delete_groups({"nobody"})).groups[0].error, ErrorCode::kGroupIdNotFound);
}

TEST(GroupDelete, ACommitThatWasUnderWayGoesToo) {
  GroupTestDriver d;
  d.commit(commit_of("s", 10));
  d.confirm_at_once = false;
  d.commit(commit_of("s", 11, "u"));
  d.delete_groups({"s"});
  d.confirm_all();
  EXPECT_EQ(d.coordinator.group_count(), 0U);
  d.fail_over();
  EXPECT_EQ(d.coordinator.group_count(), 0U);
}

TEST(GroupDelete, ManyOffsetsGoInPieces) {
  GroupTestDriver d;
  OffsetCommitRequest request;
  request.group_id = "s";
  request.topics = {{std::string(200, 't'), {}}};
  for (int32_t p = 0; p < 3'000; ++p) request.topics[0].partitions.push_back({p, p, -1, std::nullopt});
  d.commit(request);
  d.confirm_at_once = false;
  const RequestToken token = d.delete_groups({"s"});
  EXPECT_GT(d.in_flight.size(), 1U);
  // One piece fails: the group must not look deleted while offsets are left in the log.
  d.fail_one(Errc::kTimedOut);
  d.confirm_all();
  EXPECT_EQ(d.answer<DeleteGroupsResponse>(token).groups[0].error, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(offset_of(d, "s", std::string(200, 't'), 0), 0);
  d.confirm_at_once = true;
  EXPECT_EQ(d.answer<DeleteGroupsResponse>(d.delete_groups({"s"})).groups[0].error, ErrorCode::kNone);
  EXPECT_EQ(d.coordinator.group_count(), 0U);
}

TEST(GroupTopics, DeletedOnesTakeTheirOffsetsAlong) {
  GroupTestDriver d;
  d.commit(commit_of("a", 1));
  d.commit(commit_of("a", 2, "u"));
  d.commit(commit_of("b", 3));
  d.confirm_at_once = false;
  d.commit(commit_of("b", 4, "t", 1));
  d.topics_deleted({"t", "never"});
  d.confirm_all();
  EXPECT_EQ(offset_of(d, "a"), -1);
  EXPECT_EQ(offset_of(d, "b"), -1);
  EXPECT_EQ(offset_of(d, "b", "t", 1), -1);
  EXPECT_EQ(offset_of(d, "a", "u"), 2);
}

}  // namespace
}  // namespace posthaste::broker
