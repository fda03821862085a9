// What survives a change of coordinator.
#include <gtest/gtest.h>

#include "broker/groups/coordinator.h"
#include "broker/groups/testing/offsets.h"

namespace posthaste::broker {
namespace {

using reactor::Errc;

TEST(GroupLoad, RestoresWhatWasDurable) {
  GroupTestDriver d;
  const JoinResponse joined = stable_member(d);
  d.commit(commit_by(joined, 7));
  const DescribedGroup before = d.coordinator.describe("g");
  d.confirm_at_once = false;
  d.commit(commit_by(joined, 8));  // never confirmed
  d.fail_over();
  EXPECT_EQ(offset_of(d, "g"), 7);
  const DescribedGroup after = d.coordinator.describe("g");
  EXPECT_EQ(after.state, "Stable");
  EXPECT_EQ(after.protocol_data, before.protocol_data);
  ASSERT_EQ(after.members.size(), 1U);
  EXPECT_EQ(after.members[0].metadata, before.members[0].metadata);
  EXPECT_EQ(after.members[0].assignment, before.members[0].assignment);
  EXPECT_EQ(d.answer<HeartbeatResponse>(d.heartbeat({"g", 1, joined.member_id, std::nullopt})).error, ErrorCode::kNone);
  d.advance(10'000);  // its session began again with the load, and ends
  d.confirm_all();
  EXPECT_EQ(d.coordinator.describe("g").state, "Empty");
}

TEST(GroupLoad, AnswersWhileLoadingAndAfterResigning) {
  GroupTestDriver d;
  const JoinResponse joined = stable_member(d);
  d.confirm_at_once = false;
  const RequestToken commit = d.commit(commit_by(joined, 8));
  const RequestToken join = d.join(consumer({"t"}));
  d.leave({"g", {{joined.member_id, std::nullopt}}});
  const RequestToken deleting = d.delete_groups({"nobody"});
  EXPECT_TRUE(d.answered(deleting));
  const PersistId late = d.in_flight.front().id;
  EXPECT_GT(d.coordinator.waiting_count(), 0U);
  d.resign();
  EXPECT_EQ(d.coordinator.waiting_count(), 0U);
  EXPECT_EQ(d.coordinator.next_deadline(), reactor::Instant::never());
  EXPECT_EQ(d.answer<OffsetCommitResponse>(commit).topics[0].partitions[0].error, ErrorCode::kNotCoordinator);
  EXPECT_TRUE(d.answered(join));
  const auto codes = [&] {
    const std::vector<ErrorCode> all = {
        d.answer<JoinResponse>(d.join(consumer({"t"}))).error,
        d.answer<LeaveResponse>(d.leave({"g", {{"x", std::nullopt}}})).error,
        commit_error(d, commit_of("g", 1)),
        d.coordinator.fetch_offsets({"g", std::nullopt, false}).error,
        d.coordinator.describe("g").error,
        d.coordinator.list({}, {}).error,
        d.answer<DeleteGroupsResponse>(d.delete_groups({"g"})).groups[0].error,
    };
    EXPECT_EQ(std::ranges::count(all, all.front()), static_cast<int64_t>(all.size()));
    return all.front();
  };
  EXPECT_EQ(codes(), ErrorCode::kNotCoordinator);
  d.in_flight.clear();
  d.coordinator.begin_load();
  EXPECT_EQ(codes(), ErrorCode::kCoordinatorLoadInProgress);
  EXPECT_EQ(d.answer<HeartbeatResponse>(d.heartbeat({"g", 1, joined.member_id, std::nullopt})).error, ErrorCode::kNone);
  SyncRequest sync{"g", 1, joined.member_id, {}, {}, {}, {}};
  EXPECT_EQ(d.answer<SyncResponse>(d.sync(sync)).error, ErrorCode::kRebalanceInProgress);
  // A report about a write of the time before means nothing any more.
  GroupOutput out;
  d.coordinator.persisted(late, d.now, out);
  EXPECT_TRUE(out.messages.empty());
  EXPECT_TRUE(out.persists.empty());
}

// A new topic of the same name must not begin where a consumer of the old one ended.
TEST(GroupLoad, OffsetsOfATopicThatWasDeletedMeanwhileGo) {
  GroupTestDriver d;
  d.commit(commit_of("g", 7));
  d.commit(commit_of("g", 8, "u"));
  d.resign();
  d.coordinator.begin_load();
  d.topics_deleted({"t"});
  d.load();
  EXPECT_EQ(offset_of(d, "g"), -1);
  EXPECT_EQ(offset_of(d, "g", "u"), 8);
  d.fail_over();
  EXPECT_EQ(offset_of(d, "g"), -1) << "not in the log either";
}

TEST(GroupLoad, SkipsWhatItCannotRead) {
  GroupMemory memory;
  GroupCoordinator coordinator{GroupConfig{}, memory};
  EXPECT_EQ(coordinator.replay(std::string("\x00\x03\x00\x01g", 5), "x").error(), Errc::kUnsupported);
  EXPECT_EQ(coordinator.replay("", "x").error(), Errc::kTruncated);
  const std::string key = encode(OffsetCommitKey{"g", "t", 0});
  EXPECT_EQ(coordinator.replay(key, std::string("\x00\x05", 2)).error(), Errc::kUnsupported);
  EXPECT_EQ(coordinator.replay(key, "").error(), Errc::kTruncated);
  EXPECT_EQ(coordinator.group_count(), 0U);
  // Two members of one name, members without a protocol: never written by a coordinator.
  GroupMetadataValue value;
  value.protocol_type = "consumer";
  value.members.resize(2);
  value.members[0].member_id = value.members[1].member_id = "m";
  EXPECT_EQ(coordinator.replay(encode(GroupMetadataKey{"g"}), encode(value)).error(), Errc::kCorrupt);
  value.protocol = "range";
  EXPECT_EQ(coordinator.replay(encode(GroupMetadataKey{"g"}), encode(value)).error(), Errc::kCorrupt);
  value.members[1].member_id = "n";
  EXPECT_TRUE(coordinator.replay(encode(GroupMetadataKey{"g"}), encode(value)).has_value());
}

// Version 0 of a group has one time-out for both purposes: a member that does not come back is waited for that long.
TEST(GroupLoad, TheOldestFormWaitsForAsLongAsASession) {
  GroupMemory memory;
  GroupCoordinator coordinator{GroupConfig{}, memory};
  const std::string value(
      "\x00\x00\x00\x01"
      "c\x00\x00\x00\x01\x00\x01r\x00\x01m\x00\x00\x00\x01"
      "\x00\x01m\x00\x01i\x00\x01h\x00\x00\x1f\x40\x00\x00\x00\x01s\x00\x00\x00\x01"
      "a",
      42);
  EXPECT_TRUE(coordinator.replay(encode(GroupMetadataKey{"g"}), value).has_value());
  GroupOutput out;
  coordinator.finish_load({}, out);
  coordinator.tick({reactor::Instant{} + std::chrono::milliseconds(8'001), {}}, out);
  EXPECT_EQ(coordinator.describe("g").state, "Empty");
}

TEST(GroupLoad, ASmallerLimitRebalancesAfterwards) {
  GroupTestDriver d;
  std::vector<RequestToken> joins = {d.join(consumer({"t"})), d.join(consumer({"t"}))};
  d.advance(6'000);
  const auto leader = d.answer<JoinResponse>(joins[0]);
  SyncRequest sync{"g", 1, leader.member_id, {}, {}, {}, {}};
  d.sync(sync);
  GroupTestDriver smaller(GroupConfig{.max_group_size = 1});
  smaller.log = d.log;
  smaller.fail_over();
  EXPECT_EQ(smaller.coordinator.describe("g").state, "PreparingRebalance");
}

}  // namespace
}  // namespace posthaste::broker
