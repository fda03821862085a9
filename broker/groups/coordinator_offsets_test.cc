// Committed offsets: which clients may commit, when a commit is visible, and deletion one by one.
#include <gtest/gtest.h>

#include "broker/groups/coordinator.h"
#include "broker/groups/testing/offsets.h"

namespace posthaste::broker {
namespace {

using reactor::Errc;

TEST(GroupOffsets, BecomeVisibleWhenDurable) {
  GroupTestDriver d;
  d.confirm_at_once = false;
  const RequestToken first = d.commit(commit_of("s", 10));
  const RequestToken second = d.commit(commit_of("s", 20));
  EXPECT_FALSE(d.answered(first));
  EXPECT_EQ(offset_of(d, "s"), -1);
  d.confirm_one();
  EXPECT_EQ(d.answer<OffsetCommitResponse>(first).topics[0].partitions[0].error, ErrorCode::kNone);
  EXPECT_NE(d.answers.at(first).waited_for, kNoPersist);
  EXPECT_FALSE(d.answered(second));
  EXPECT_EQ(offset_of(d, "s"), 10);
  d.confirm_one();
  EXPECT_EQ(offset_of(d, "s"), 20);
}

TEST(GroupOffsets, AFailedWriteChangesNothing) {
  GroupTestDriver d;
  d.commit(commit_of("s", 10));
  d.confirm_at_once = false;
  const auto failed_with = [&](Errc error) {
    const RequestToken token = d.commit(commit_of("s", 20));
    d.fail_one(error);
    EXPECT_EQ(offset_of(d, "s"), 10);
    return d.answer<OffsetCommitResponse>(token).topics[0].partitions[0].error;
  };
  EXPECT_EQ(failed_with(Errc::kStopping), ErrorCode::kNotCoordinator);
  EXPECT_EQ(failed_with(Errc::kTimedOut), ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(failed_with(Errc::kTooLarge), ErrorCode::kInvalidCommitOffsetSize);
}

TEST(GroupOffsets, CarryEpochMetadataAndTime) {
  GroupTestDriver d;
  OffsetCommitRequest request = commit_of("s", 10);
  request.topics[0].partitions.push_back({3, 30, -1, std::nullopt});
  d.commit(request);
  const auto all = d.coordinator.fetch_offsets({"s", std::nullopt, true});
  ASSERT_EQ(all.topics.size(), 1U);
  ASSERT_EQ(all.topics[0].partitions.size(), 2U);
  EXPECT_EQ(all.topics[0].partitions[0].leader_epoch, 5);
  EXPECT_EQ(all.topics[0].partitions[0].metadata, "note");
  EXPECT_EQ(all.topics[0].partitions[1].index, 3);
  EXPECT_EQ(all.topics[0].partitions[1].metadata, "");
  const auto value = decode_offset_value(*d.log.front().value);
  ASSERT_TRUE(value.has_value());
  EXPECT_EQ(value->commit_timestamp, d.now.wall.value);
}

TEST(GroupOffsets, UnknownOnesAreMinusOneWithoutAnError) {
  GroupTestDriver d;
  EXPECT_EQ(offset_of(d, "nobody"), -1);
  d.commit(commit_of("s", 10));
  EXPECT_EQ(offset_of(d, "s", "other"), -1);
  EXPECT_EQ(offset_of(d, "s", "t", 1), -1);
  EXPECT_TRUE(d.coordinator.fetch_offsets({"nobody", std::nullopt, false}).topics.empty());
}

TEST(GroupOffsets, WhoMayCommit) {
  GroupTestDriver d;
  OffsetCommitRequest stranger = commit_of("new", 1);
  stranger.generation_id = 3;
  stranger.member_id = "m";
  EXPECT_EQ(commit_error(d, stranger), ErrorCode::kIllegalGeneration);
  EXPECT_EQ(d.coordinator.group_count(), 0U);

  const RequestToken join = d.join(consumer({"t"}));
  d.advance(3'000);
  const JoinResponse joined = d.answer<JoinResponse>(join);
  EXPECT_EQ(commit_error(d, commit_by(joined, 1)), ErrorCode::kRebalanceInProgress);  // no assignment yet
  SyncRequest sync{"g", 1, joined.member_id, {}, {}, {}, {{joined.member_id, "A"}}};
  d.sync(sync);
  EXPECT_EQ(commit_error(d, commit_by(joined, 1)), ErrorCode::kNone);
  EXPECT_EQ(commit_error(d, commit_of("g", 1)), ErrorCode::kUnknownMemberId);  // from outside, while it has members
  OffsetCommitRequest request = commit_by(joined, 1);
  request.generation_id = 2;
  EXPECT_EQ(commit_error(d, request), ErrorCode::kIllegalGeneration);
  request = commit_by(joined, 1);
  request.member_id = "ghost";
  EXPECT_EQ(commit_error(d, request), ErrorCode::kUnknownMemberId);
  d.join(consumer({"t"}));
  EXPECT_EQ(commit_error(d, commit_by(joined, 2)), ErrorCode::kNone);  // last words before it rejoins
  d.advance(100'000);
  EXPECT_EQ(d.coordinator.describe("g").state, "Empty");
  EXPECT_EQ(commit_error(d, commit_by(joined, 3)), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(commit_error(d, commit_of("g", 4)), ErrorCode::kNone);
  EXPECT_EQ(offset_of(d, "g"), 4);
}

TEST(GroupOffsets, ACommitKeepsTheSession) {
  GroupTestDriver d;
  const JoinResponse joined = stable_member(d);
  for (int i = 0; i < 5; ++i) {
    d.advance(9'000);
    EXPECT_EQ(commit_error(d, commit_by(joined, i)), ErrorCode::kNone);
  }
}

TEST(GroupOffsets, OnePartOfARequestMayBeRefused) {
  GroupTestDriver d;
  OffsetCommitRequest request = commit_of("s", 10);
  request.topics[0].partitions.push_back({1, 11, -1, std::string(4'097, 'x')});
  request.topics.push_back({std::string(250, 'n'), {{0, 1, -1, std::nullopt}}});
  const auto answer = d.answer<OffsetCommitResponse>(d.commit(request));
  EXPECT_EQ(answer.topics[0].partitions[0].error, ErrorCode::kNone);
  EXPECT_EQ(answer.topics[0].partitions[1].error, ErrorCode::kOffsetMetadataTooLarge);
  EXPECT_EQ(answer.topics[1].partitions[0].error, ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(offset_of(d, "s"), 10);
  EXPECT_EQ(offset_of(d, "s", "t", 1), -1);
  // Nothing left to write: answered at once, and no group comes of it.
  OffsetCommitRequest nothing = commit_of("s2", 10);
  nothing.topics[0].partitions[0].metadata = std::string(4'097, 'x');
  EXPECT_EQ(commit_error(d, nothing), ErrorCode::kOffsetMetadataTooLarge);
  EXPECT_EQ(d.coordinator.group_count(), 1U);
}

// offset.metadata.max.bytes counts what Java's String.length() does.
TEST(GroupOffsets, MetadataIsMeasuredInCharacters) {
  GroupTestDriver d;
  const auto repeated = [](std::string_view text, size_t count) {
    std::string all;
    for (size_t i = 0; i < count; ++i) all += text;
    return all;
  };
  const auto refused = [&](const std::string& metadata) {
    OffsetCommitRequest request = commit_of("s", 10);
    request.topics[0].partitions[0].metadata = metadata;
    return commit_error(d, request) == ErrorCode::kOffsetMetadataTooLarge;
  };
  EXPECT_FALSE(refused(repeated("a", 4096)));
  EXPECT_TRUE(refused(repeated("a", 4097)));
  EXPECT_FALSE(refused(repeated("\u00e4", 4096)));
  EXPECT_FALSE(refused(repeated("\u20ac", 4096)));
  EXPECT_TRUE(refused(repeated("\u20ac", 4097)));
  EXPECT_FALSE(refused(repeated("\U0001F980", 2048))) << "two units each";
  EXPECT_TRUE(refused(repeated("\U0001F980", 2049)));
  EXPECT_TRUE(refused(repeated("\x80", 4097))) << "no UTF-8: each byte counts";
  EXPECT_TRUE(refused(repeated("\xe2\x82", 4097)));
}

OffsetDeleteRequest delete_of(std::string topic, std::vector<int32_t> partitions) {
  return {.group_id = "g", .topics = {{std::move(topic), std::move(partitions)}}};
}

TEST(GroupOffsetDelete, OfAnEmptyGroupIsGoneWhenDurable) {
  GroupTestDriver d;
  d.commit(commit_of("g", 10, "t", 0));
  d.commit(commit_of("g", 20, "t", 1));
  d.confirm_at_once = false;
  const RequestToken token = d.delete_offsets(delete_of("t", {0, 7}));
  EXPECT_FALSE(d.answered(token));
  EXPECT_EQ(offset_of(d, "g", "t", 0), 10);
  d.confirm_all();
  const auto& response = d.answer<OffsetDeleteResponse>(token);
  EXPECT_EQ(response.error, ErrorCode::kNone);
  EXPECT_EQ(response.topics.at(0).partitions.at(0).error, ErrorCode::kNone);
  EXPECT_EQ(response.topics.at(0).partitions.at(1).error, ErrorCode::kNone) << "nothing was there: also done";
  EXPECT_EQ(offset_of(d, "g", "t", 0), -1);
  EXPECT_EQ(offset_of(d, "g", "t", 1), 20);
  d.fail_over();
  EXPECT_EQ(offset_of(d, "g", "t", 0), -1);
  EXPECT_EQ(offset_of(d, "g", "t", 1), 20);
}

TEST(GroupOffsetDelete, LeavesWhatMembersRead) {
  GroupTestDriver d;
  const JoinResponse member = stable_member(d, {"t"});
  for (const char* topic : {"t", "old"}) {
    OffsetCommitRequest commit = commit_by(member, 5);
    commit.topics[0].name = topic;
    d.commit(commit);
  }
  OffsetDeleteRequest request = delete_of("t", {0});
  request.topics.push_back({"old", {0}});
  const auto response = d.answer<OffsetDeleteResponse>(d.delete_offsets(request));
  EXPECT_EQ(response.error, ErrorCode::kNone);
  EXPECT_EQ(response.topics.at(0).partitions.at(0).error, ErrorCode::kGroupSubscribedToTopic);
  EXPECT_EQ(response.topics.at(1).partitions.at(0).error, ErrorCode::kNone);
  EXPECT_EQ(offset_of(d, "g", "t"), 5);
  EXPECT_EQ(offset_of(d, "g", "old"), -1);
}

TEST(GroupOffsetDelete, OfWhatIsNoConsumerGroup) {
  GroupTestDriver d;
  const auto error = [&] { return d.answer<OffsetDeleteResponse>(d.delete_offsets(delete_of("t", {0}))).error; };
  EXPECT_EQ(error(), ErrorCode::kGroupIdNotFound);
  EXPECT_EQ(d.answer<OffsetDeleteResponse>(d.delete_offsets({.group_id = "", .topics = {}})).error,
            ErrorCode::kInvalidGroupId);
  JoinRequest connect = consumer({"t"});
  connect.protocol_type = "connect";
  d.join(connect);
  EXPECT_EQ(error(), ErrorCode::kNonEmptyGroup);
}

TEST(GroupOffsetDelete, AFailedWriteAndAResignationAreToldAndChangeNothing) {
  GroupTestDriver d;
  d.commit(commit_of("g", 10));
  d.confirm_at_once = false;
  const RequestToken failed = d.delete_offsets(delete_of("t", {0}));
  d.fail_one(Errc::kTimedOut);
  EXPECT_EQ(d.answer<OffsetDeleteResponse>(failed).error, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(offset_of(d, "g"), 10);
  const RequestToken resigned = d.delete_offsets(delete_of("t", {0}));
  d.resign();
  EXPECT_EQ(d.answer<OffsetDeleteResponse>(resigned).error, ErrorCode::kNotCoordinator);
}

}  // namespace
}  // namespace posthaste::broker
