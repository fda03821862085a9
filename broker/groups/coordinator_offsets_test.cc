// Committed offsets, their age, and what survives a change of coordinator.
#include <gtest/gtest.h>

#include "broker/groups/coordinator.h"
#include "broker/groups/coordinator_test_driver.h"
#include "net/kafka/consumer_protocol.h"

namespace posthaste::broker {
namespace {

using reactor::Errc;

constexpr int64_t kDay = 86'400'000;

OffsetCommitRequest commit_of(std::string group, int64_t offset, std::string topic = "t", int32_t partition = 0) {
  OffsetCommitRequest request;
  request.group_id = std::move(group);
  request.topics = {{std::move(topic), {{partition, offset, 5, "note"}}}};
  return request;
}

OffsetCommitRequest commit_by(const JoinResponse& member, int64_t offset) {
  OffsetCommitRequest request = commit_of("g", offset);
  request.generation_id = member.generation_id;
  request.member_id = member.member_id;
  return request;
}

ErrorCode commit_error(GroupTestDriver& d, const OffsetCommitRequest& request) {
  return d.answer<OffsetCommitResponse>(d.commit(request)).topics[0].partitions[0].error;
}

int64_t offset_of(const GroupTestDriver& d, const std::string& group, const std::string& topic = "t", int32_t p = 0) {
  OffsetFetchRequest request;
  request.group_id = group;
  request.topics = {{topic, {p}}};
  const auto response = d.coordinator.fetch_offsets(request);
  CHECK(response.error == ErrorCode::kNone);
  return response.topics[0].partitions[0].offset;
}

std::string subscription(const std::vector<std::string>& topics) {
  net::kafka::ConsumerSubscription wants;
  wants.topics.assign(topics.begin(), topics.end());
  std::string text;
  for (const std::byte byte : net::kafka::encode_subscription(wants, 1)) text.push_back(static_cast<char>(byte));
  return text;
}

JoinRequest consumer(const std::vector<std::string>& topics, int32_t session_ms = 10'000) {
  JoinRequest request;
  request.group_id = "g";
  request.client_id = "c";
  request.protocol_type = "consumer";
  request.protocols = {{"range", subscription(topics)}};
  request.session_timeout_ms = session_ms;
  request.rebalance_timeout_ms = 60'000;
  return request;
}

JoinResponse stable_member(GroupTestDriver& d, const std::vector<std::string>& topics = {"t"},
                           int32_t session_ms = 10'000) {
  const RequestToken token = d.join(consumer(topics, session_ms));
  d.advance(3'000);
  const JoinResponse joined = d.answer<JoinResponse>(token);
  SyncRequest sync;
  sync.group_id = "g";
  sync.generation_id = joined.generation_id;
  sync.member_id = joined.member_id;
  sync.assignments = {{joined.member_id, "all"}};
  d.sync(sync);
  return joined;
}

constexpr int32_t kLongSession = 1'800'000;

// Keeps a member of a long session alive for that long.
void live(GroupTestDriver& d, const JoinResponse& member, int64_t ms) {
  for (int64_t passed = 0; passed < ms; passed += kLongSession / 2) {
    d.advance(std::min<int64_t>(kLongSession / 2, ms - passed));
    d.heartbeat({"g", member.generation_id, member.member_id, std::nullopt});
  }
}

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
  // Until its tombstone is durable nobody may enter it; the code tells clients to come back.
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
  d.advance(10'000);  // its session began anew with the load, and ends
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
