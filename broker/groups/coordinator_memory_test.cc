// What groups take in memory is counted and bounded: what is new is refused at the limit, the rest continues.
#include <gtest/gtest.h>

#include "broker/groups/coordinator.h"
#include "broker/groups/testing/coordinator_driver.h"

namespace posthaste::broker {
namespace {

constexpr uint64_t kLimit = 200'000;
constexpr int32_t kMany = 100'000;  // far more than there is room for

OffsetCommitRequest commit_of(const std::string& group, int32_t partition, size_t metadata_bytes = 0) {
  OffsetCommitRequest request;
  request.group_id = group;
  request.topics = {{"topic", {{partition, 7, 0, std::string(metadata_bytes, 'm')}}}};
  return request;
}

ErrorCode commit(GroupTestDriver& d, const OffsetCommitRequest& request) {
  return d.answer<OffsetCommitResponse>(d.commit(request)).topics[0].partitions[0].error;
}

JoinRequest join_of(const std::string& group, size_t metadata_bytes, const std::string& member_id = "") {
  JoinRequest request;
  request.group_id = group;
  request.member_id = member_id;
  request.client_id = "a client with a name";
  request.client_host = "/10.0.0.1";
  request.protocol_type = "consumer";
  request.protocols = {{"range", std::string(metadata_bytes, 'm')}};
  request.session_timeout_ms = 10'000;
  request.rebalance_timeout_ms = 60'000;
  return request;
}

void expect_counted(const GroupTestDriver& d) { EXPECT_EQ(d.memory.held(), d.coordinator.bytes()); }

TEST(GroupMemory, NewOffsetsAreRefusedAtTheLimitAndOldOnesGoOn) {
  GroupTestDriver d({}, kLimit);
  int32_t stored = 0;
  while (stored < kMany && commit(d, commit_of("g", stored)) == ErrorCode::kNone) ++stored;
  EXPECT_GT(stored, 500);
  EXPECT_LE(d.memory.held(), kLimit);
  expect_counted(d);
  EXPECT_EQ(commit(d, commit_of("g", stored)), ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(commit(d, commit_of("other", 0)), ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(d.coordinator.group_count(), 1U) << "what is refused leaves no group behind";
  for (int32_t partition = 0; partition < stored; ++partition) {
    ASSERT_EQ(commit(d, commit_of("g", partition)), ErrorCode::kNone);
  }
  EXPECT_EQ(commit(d, commit_of("g", 0, 4'000)), ErrorCode::kCoordinatorNotAvailable) << "more than it had";
  expect_counted(d);
}

TEST(GroupMemory, DeletedGroupsMakeRoom) {
  GroupTestDriver d({}, kLimit);
  int groups = 0;
  while (groups < kMany && commit(d, commit_of("group-" + std::to_string(groups), 0)) == ErrorCode::kNone) ++groups;
  EXPECT_GT(groups, 50);
  d.delete_groups({"group-0", "group-1"});
  expect_counted(d);
  EXPECT_EQ(commit(d, commit_of("new", 0)), ErrorCode::kNone);
  d.topics_deleted({"topic"});
  expect_counted(d);
  EXPECT_LT(d.memory.held(), kLimit);
}

TEST(GroupMemory, MembersCountWithAllThatTheySay) {
  GroupTestDriver d({}, kLimit);
  int joined = 0;
  std::vector<RequestToken> waiting;
  for (;; ++joined) {
    const RequestToken token = d.join(join_of("g", 30'000));
    expect_counted(d);
    if (!d.answered(token)) {
      waiting.push_back(token);
      continue;
    }
    EXPECT_EQ(d.answer<JoinResponse>(token).error, ErrorCode::kGroupMaxSizeReached);
    break;
  }
  EXPECT_EQ(joined, 6);
  d.advance(6'000);
  // A member may join again with as much metadata as before, not more.
  const JoinResponse member = d.answer<JoinResponse>(waiting.front());
  EXPECT_EQ(member.error, ErrorCode::kNone);
  EXPECT_EQ(d.answer<JoinResponse>(d.join(join_of("g", 30'000, member.member_id))).error, ErrorCode::kNone);
  EXPECT_EQ(d.answer<JoinResponse>(d.join(join_of("g", 90'000, member.member_id))).error,
            ErrorCode::kGroupMaxSizeReached);
  expect_counted(d);
  d.advance(600'000);  // all are gone
  expect_counted(d);
  EXPECT_LT(d.memory.held(), 2'000U);
}

TEST(GroupMemory, AMemberSaysOnlySoMuch) {
  GroupConfig config;
  config.max_request_bytes = 50'000;
  GroupTestDriver d(config);
  EXPECT_EQ(d.answer<JoinResponse>(d.join(join_of("g", 50'000))).error, ErrorCode::kGroupMaxSizeReached);
  EXPECT_EQ(d.coordinator.group_count(), 0U);
  EXPECT_FALSE(d.answered(d.join(join_of("g", 49'000))));
}

TEST(GroupMemory, AnAssignmentThatDoesNotFitEndsTheGeneration) {
  GroupTestDriver d({}, kLimit);
  const RequestToken token = d.join(join_of("g", 1'000));
  d.advance(6'000);
  const JoinResponse leader = d.answer<JoinResponse>(token);
  SyncRequest sync;
  sync.group_id = "g";
  sync.generation_id = leader.generation_id;
  sync.member_id = leader.member_id;
  sync.assignments = {{leader.member_id, std::string(kLimit, 'a')}};
  EXPECT_EQ(d.answer<SyncResponse>(d.sync(sync)).error, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(d.coordinator.describe("g").state, "PreparingRebalance");
  expect_counted(d);
  const RequestToken again = d.join(join_of("g", 1'000, leader.member_id));
  sync.generation_id = d.answer<JoinResponse>(again).generation_id;
  sync.assignments = {{leader.member_id, std::string(1'000, 'a')}};
  EXPECT_EQ(d.answer<SyncResponse>(d.sync(sync)).error, ErrorCode::kNone);
  expect_counted(d);
}

// What is in the log is loaded in any case; then nothing new is accepted.
TEST(GroupMemory, ALoadIsNeverRefused) {
  std::vector<GroupLogRecord> log;
  {
    GroupTestDriver large;
    for (int32_t partition = 0; partition < 2'000; ++partition) commit(large, commit_of("g", partition, 20));
    log = large.log;
  }
  GroupTestDriver d({}, kLimit);
  d.log = log;
  d.fail_over();
  EXPECT_GT(d.memory.held(), kLimit);
  expect_counted(d);
  EXPECT_EQ(commit(d, commit_of("g", 1'999, 20)), ErrorCode::kNone);
  EXPECT_EQ(commit(d, commit_of("g", 2'000, 20)), ErrorCode::kCoordinatorNotAvailable);
  d.resign();
  EXPECT_EQ(d.memory.held(), 0U);
}

TEST(GroupMemory, RefusalsAreToldOnceAMinute) {
  GroupMemory memory(100);
  EXPECT_TRUE(memory.admits(100));
  EXPECT_FALSE(memory.admits(101));
  EXPECT_FALSE(memory.admits(UINT64_MAX));
  EXPECT_EQ(memory.refused_to_tell({1'000}), 2U);
  EXPECT_FALSE(memory.admits(101));
  EXPECT_EQ(memory.refused_to_tell({2'000}), std::nullopt);
  EXPECT_EQ(memory.refused_to_tell(reactor::Instant{1'000} + std::chrono::minutes(1)), 1U);
}

}  // namespace
}  // namespace posthaste::broker
