// The requests of consumer groups against a whole broker: the way to the coordinator and back, and what survives.
#include <algorithm>

#include "broker/testing/simulated_broker.h"
#include "net/kafka/group_admin.h"
#include "net/kafka/group_offsets.h"
#include "net/kafka/groups.h"
#include "replication/metadata/topic_name.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;
using replication::kConsumerOffsetsTopic;
using GroupsTest = BrokerTest;

Task<void> find_coordinator(Client& client, std::string group) {
  kafka::FindCoordinatorRequest request{.key = group};
  for (int16_t version = 0; version <= 3; ++version) {
    const auto answer = co_await client.call(request, version);
    EXPECT_EQ(answer.message.error_code, ErrorCode::kNone);
    EXPECT_EQ(answer.message.host, kBrokerIp);
    EXPECT_EQ(answer.message.port, 9092);
  }
  kafka::FindCoordinatorRequest batched;
  batched.coordinator_keys = {group, "other"};
  const auto answer = co_await client.call(batched, 4);
  EXPECT_EQ(answer.message.coordinators.size(), 2U);
  EXPECT_EQ(answer.message.coordinators.at(0).key, group);
  EXPECT_EQ(answer.message.coordinators.at(0).error_code, ErrorCode::kNone);
}

// Joins as the only member and syncs; returns the member id.
Task<std::string> join_alone(Client& client, std::string group) {
  const std::string_view metadata = "subscription";
  kafka::JoinGroupRequest join{.group_id = group, .session_timeout_ms = 10'000, .rebalance_timeout_ms = 10'000};
  join.protocol_type = "consumer";
  join.protocols.push_back({.name = "range", .metadata = std::as_bytes(std::span(metadata))});
  const auto first = co_await client.call(join, 5);
  EXPECT_EQ(first.message.error_code, ErrorCode::kMemberIdRequired);
  const std::string member(first.message.member_id);
  join.member_id = member;
  const auto joined = co_await client.call(join, 5);
  EXPECT_EQ(joined.message.error_code, ErrorCode::kNone);
  EXPECT_EQ(joined.message.leader, member);
  EXPECT_EQ(joined.message.members.size(), 1U);
  const std::string_view assignment = "all of it";
  kafka::SyncGroupRequest sync{.group_id = group, .generation_id = joined.message.generation_id, .member_id = member};
  sync.assignments.push_back({.member_id = member, .assignment = std::as_bytes(std::span(assignment))});
  const auto synced = co_await client.call(sync, 3);
  EXPECT_EQ(synced.message.error_code, ErrorCode::kNone);
  EXPECT_EQ(synced.message.assignment.size(), assignment.size());
  co_return member;
}

// After a restart the coordinator reads its log first, and answers with that error.
Task<void> wait_loaded(Client& client, std::string group) {
  kafka::OffsetFetchRequest request;
  request.groups.emplace_back().group_id = group;
  for (int tries = 0; tries < 100; ++tries) {
    const auto answer = co_await client.call(request, 8);
    const ErrorCode error = answer.message.groups.at(0).error_code;
    if (error == ErrorCode::kNone) co_return;
    EXPECT_EQ(error, ErrorCode::kCoordinatorLoadInProgress);
    co_await client.core().sleep(50ms);
  }
  ADD_FAILURE() << group << " is never loaded";
}

// In all partitions of the topic of offsets.
Task<int64_t> records_of_groups(Client& client, int32_t partitions) {
  int64_t records = 0;
  for (int32_t index = 0; index < partitions; ++index) {
    records += (co_await client.list_offset(std::string(kConsumerOffsetsTopic), index, -1)).offset;
  }
  co_return records;
}

Task<ErrorCode> commit(Client& client, std::string group, std::string member, int32_t generation, int64_t offset) {
  kafka::OffsetCommitRequest request{.group_id = group, .generation_id_or_member_epoch = generation};
  request.member_id = member;
  request.topics.push_back({.name = "t"});
  request.topics[0].partitions.push_back(
      {.partition_index = 0, .committed_offset = offset, .committed_metadata = "note"});
  request.topics[0].partitions.push_back({.partition_index = 9, .committed_offset = offset});
  const auto answer = co_await client.call(request, 8);
  EXPECT_EQ(answer.message.topics.at(0).partitions.at(1).error_code, ErrorCode::kUnknownTopicOrPartition);
  co_return answer.message.topics.at(0).partitions.at(0).error_code;
}

Task<int64_t> committed(Client& client, std::string group, int16_t version) {
  kafka::OffsetFetchRequest request;
  if (version >= 8) {
    auto& asked = request.groups.emplace_back();
    asked.group_id = group;
    asked.topics.emplace().push_back({.name = "t", .partition_indexes = {0}});
    const auto answer = co_await client.call(request, version);
    EXPECT_EQ(answer.message.groups.at(0).error_code, ErrorCode::kNone);
    co_return answer.message.groups.at(0).topics.at(0).partitions.at(0).committed_offset;
  }
  request.group_id = group;
  request.topics.emplace().push_back({.name = "t", .partition_indexes = {0}});
  const auto answer = co_await client.call(request, version);
  co_return answer.message.topics.at(0).partitions.at(0).committed_offset;
}

TEST_F(GroupsTest, GroupsAreListedWithTheirTypesAndByThem) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    for (const std::string group : {"kitchen", "delivery", "billing"}) {
      co_await find_coordinator(client, group);
      (void)co_await join_alone(client, group);
    }
    for (const std::string_view type : {"classic", "Classic", "consumer", "nonsense"}) {
      const auto of_type = co_await client.call(kafka::ListGroupsRequest{.types_filter = {type}}, 5);
      EXPECT_EQ(of_type.message.error_code, ErrorCode::kNone);
      EXPECT_EQ(of_type.message.groups.size(), type.ends_with("lassic") ? 3U : 0U) << type;
      for (const auto& group : of_type.message.groups) EXPECT_EQ(group.group_type, "classic");
    }
  });
  stop();
}

TEST_F(GroupsTest, AMemberJoinsCommitsAndLeaves) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    // Several groups, so that coordinators on several cores take part.
    for (const std::string group : {"kitchen", "delivery", "billing", "audit", "search"}) {
      co_await find_coordinator(client, group);
      const std::string member = co_await join_alone(client, group);
      kafka::HeartbeatRequest heartbeat{.group_id = group, .generation_id = 1, .member_id = member};
      EXPECT_EQ((co_await client.call(heartbeat, 3)).message.error_code, ErrorCode::kNone);
      heartbeat.generation_id = 7;
      EXPECT_EQ((co_await client.call(heartbeat, 3)).message.error_code, ErrorCode::kIllegalGeneration);
      EXPECT_EQ(co_await commit(client, group, member, 1, 17), ErrorCode::kNone);
      EXPECT_EQ(co_await commit(client, group, "stranger", 1, 18), ErrorCode::kUnknownMemberId);
      for (const int16_t version : {int16_t{1}, int16_t{5}, int16_t{7}, int16_t{8}}) {
        EXPECT_EQ(co_await committed(client, group, version), 17);
      }
      kafka::DescribeGroupsRequest describe;
      describe.groups = {group, "nobody"};
      const auto described = co_await client.call(describe, 5);
      EXPECT_EQ(described.message.groups.at(0).group_state, "Stable");
      EXPECT_EQ(described.message.groups.at(0).members.at(0).client_id, "test");
      EXPECT_EQ(described.message.groups.at(1).group_state, "Dead");
      EXPECT_EQ(described.message.groups.at(1).error_code, ErrorCode::kNone);
      kafka::LeaveGroupRequest leave{.group_id = group, .member_id = member};
      EXPECT_EQ((co_await client.call(leave, 1)).message.error_code, ErrorCode::kNone);
      EXPECT_EQ((co_await client.call(leave, 1)).message.error_code, ErrorCode::kUnknownMemberId);
    }
    const auto listed = co_await client.call(kafka::ListGroupsRequest{}, 4);
    EXPECT_EQ(listed.message.groups.size(), 5U);
  });
  stop();
}

TEST_F(GroupsTest, CommitsSurviveARestartOnAnotherNumberOfCores) {
  start(3);
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    co_await find_coordinator(client, "a");
    for (const std::string group : {"a", "b", "c"})
      EXPECT_EQ(co_await commit(client, group, "", -1, 5), ErrorCode::kNone);
  });
  broker_->kill();
  start(2);
  run([](Client& client) -> Task<void> {
    for (const std::string group : {"a", "b", "c"}) {
      co_await wait_loaded(client, group);
      EXPECT_EQ(co_await committed(client, group, 8), 5);
      EXPECT_EQ(co_await commit(client, group, "", -1, 6), ErrorCode::kNone);
    }
  });
  stop();
  start(1);
  run([](Client& client) -> Task<void> {
    for (const std::string group : {"a", "b", "c"}) {
      co_await wait_loaded(client, group);
      EXPECT_EQ(co_await committed(client, group, 5), 6);
    }
  });
}

// A temporary error. A former bug: the groups of that partition were then not served until the next start.
TEST_F(GroupsTest, ALogThatCannotBeReadForAWhileIsReadWhenItCan) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    co_await find_coordinator(client, "g");
    co_await wait_loaded(client, "g");
    EXPECT_EQ(co_await commit(client, "g", "", -1, 7), ErrorCode::kNone);
  });
  stop();
  broker_->disk().add_fault({.kind = reactor::OpKind::kOpen,
                             .path_contains = std::string(kConsumerOffsetsTopic),
                             .error = reactor::Errc::kIoError,
                             .count = 3});
  start();
  ASSERT_TRUE(ready_) << shared_->failure();
  run([](Client& client) -> Task<void> {
    co_await wait_loaded(client, "g");
    EXPECT_EQ(co_await committed(client, "g", 8), 7);
  });
  EXPECT_EQ(broker_->disk().stats().errors_injected, 3U);
}

TEST_F(GroupsTest, ADeletedTopicTakesItsCommitsAlong) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    co_await find_coordinator(client, "a");
    EXPECT_EQ(co_await commit(client, "a", "", -1, 5), ErrorCode::kNone);
    kafka::DeleteTopicsRequest request;
    request.topic_names = {"t"};
    (void)co_await client.call(request, 5);
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    co_await client.core().sleep(1s);
    EXPECT_EQ(co_await committed(client, "a", 8), -1);
  });
}

TEST_F(GroupsTest, WithoutACoordinatorEverythingIsToBeRetried) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    kafka::HeartbeatRequest heartbeat{.group_id = "a", .generation_id = 1, .member_id = "m"};
    EXPECT_EQ((co_await client.call(heartbeat, 3)).message.error_code, ErrorCode::kCoordinatorNotAvailable);
    EXPECT_EQ(co_await commit(client, "a", "", -1, 5), ErrorCode::kCoordinatorNotAvailable);
    kafka::FindCoordinatorRequest transactional{.key = "x", .key_type = 1};
    EXPECT_EQ((co_await client.call(transactional, 2)).message.error_code,
              ErrorCode::kTransactionalIdAuthorizationFailed);
  });
}

TEST_F(GroupsTest, AWaitingJoinEndsWithItsConnectionAndTheBrokerStops) {
  start();
  run([](Client& client) -> Task<void> {
    co_await find_coordinator(client, "a");
    (void)co_await join_alone(client, "a");
    // A second member waits for the first to rejoin, and goes away.
    Client other(client.core());
    co_await other.connect();
    kafka::JoinGroupRequest join{.group_id = "a", .session_timeout_ms = 10'000, .rebalance_timeout_ms = 60'000};
    join.protocol_type = "consumer";
    join.protocols.push_back({.name = "range"});
    const auto frame = kafka::encode_request(join, 2, 1, "gone").flatten();
    EXPECT_TRUE((co_await other.connection().send_raw(frame)).has_value());
    co_await client.core().sleep(500ms);
    co_await other.close();
  });
  stop();
}

TEST_F(GroupsTest, WhatAVersionDemandsIsDemanded) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    co_await find_coordinator(client, "g");
    co_await wait_loaded(client, "g");
    const std::string member = co_await join_alone(client, "g");
    kafka::SyncGroupRequest sync{.group_id = "g", .generation_id = 1, .member_id = member};
    EXPECT_EQ((co_await client.call(sync, 4)).message.error_code, ErrorCode::kNone);
    EXPECT_EQ((co_await client.call(sync, 5)).message.error_code, ErrorCode::kInconsistentGroupProtocol);
    sync.protocol_type = "consumer";
    EXPECT_EQ((co_await client.call(sync, 5)).message.error_code, ErrorCode::kInconsistentGroupProtocol);
    sync.protocol_name = "range";
    EXPECT_EQ((co_await client.call(sync, 5)).message.error_code, ErrorCode::kNone);

    kafka::DescribeGroupsRequest describe{.groups = {"g"}};
    EXPECT_EQ((co_await client.call(describe, 5)).message.groups.at(0).authorized_operations,
              kafka::kOperationsNotAsked);
    describe.include_authorized_operations = true;
    EXPECT_EQ((co_await client.call(describe, 5)).message.groups.at(0).authorized_operations, 3400);
  });
}

TEST_F(GroupsTest, NothingIsSaidOfATopicOfWhichNothingIsAsked) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    co_await find_coordinator(client, "g");
    co_await wait_loaded(client, "g");
    EXPECT_EQ(co_await commit(client, "g", "", -1, 10), ErrorCode::kNone);
    kafka::OffsetCommitRequest commits{.group_id = "g"};
    kafka::OffsetDeleteRequest deletes{.group_id = "g"};
    for (const char* topic : {"t", "gone"}) {
      commits.topics.push_back({.name = topic});
      deletes.topics.push_back({.name = topic});
    }
    const auto committed = co_await client.call(commits, 8);
    EXPECT_EQ(committed.message.topics.size(), 1U);
    EXPECT_EQ(committed.message.topics.at(0).name, "gone");
    EXPECT_EQ((co_await client.call(deletes, 0)).message.topics.size(), 1U);
  });
}

TEST_F(GroupsTest, AnOffsetThatIsDeletedManyTimesOverNeedsOneRecord) {
  start();
  run([this](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 2), ErrorCode::kNone);
    co_await find_coordinator(client, "g");
    co_await wait_loaded(client, "g");
    EXPECT_EQ(co_await commit(client, "g", "", -1, 10), ErrorCode::kNone);
    const int64_t before = co_await records_of_groups(client, options_.offsets_topic_partitions);
    kafka::OffsetDeleteRequest deletes{.group_id = "g"};
    for (int i = 0; i < 3; ++i) {
      deletes.topics.push_back({.name = "t"});
      for (const int32_t index : {0, 1, 0}) deletes.topics.back().partitions.push_back({.partition_index = index});
    }
    const auto deleted = co_await client.call(deletes, 0);
    EXPECT_EQ(deleted.message.topics.size(), 3U);
    for (const auto& topic : deleted.message.topics) {
      EXPECT_EQ(topic.partitions.size(), 3U);
      for (const auto& partition : topic.partitions) EXPECT_EQ(partition.error_code, ErrorCode::kNone);
    }
    EXPECT_EQ(co_await records_of_groups(client, options_.offsets_topic_partitions), before + 1);
  });
}

TEST_F(GroupsTest, GroupsAndOffsetsCanBeDeleted) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 2), ErrorCode::kNone);
    for (const char* group : {"a", "b", "c"}) {
      co_await find_coordinator(client, group);
      co_await wait_loaded(client, group);
    }
    EXPECT_EQ(co_await commit(client, "a", "", -1, 10), ErrorCode::kNone);
    EXPECT_EQ(co_await commit(client, "b", "", -1, 20), ErrorCode::kNone);
    const std::string member = co_await join_alone(client, "c");
    EXPECT_EQ(co_await commit(client, "c", member, 1, 30), ErrorCode::kNone);

    kafka::OffsetDeleteRequest offsets{.group_id = "a"};
    offsets.topics.push_back({.name = "t", .partitions = {{.partition_index = 0}, {.partition_index = 9}}});
    offsets.topics.push_back({.name = "gone", .partitions = {{.partition_index = 0}}});
    const auto deleted = co_await client.call(offsets, 0);
    EXPECT_EQ(deleted.message.error_code, ErrorCode::kNone);
    EXPECT_EQ(deleted.message.topics.at(0).partitions.at(0).error_code, ErrorCode::kNone);
    EXPECT_EQ(deleted.message.topics.at(0).partitions.at(1).error_code, ErrorCode::kUnknownTopicOrPartition);
    EXPECT_EQ(deleted.message.topics.at(1).partitions.at(0).error_code, ErrorCode::kUnknownTopicOrPartition);
    offsets.group_id = "nobody";
    EXPECT_EQ((co_await client.call(offsets, 0)).message.error_code, ErrorCode::kGroupIdNotFound);

    kafka::DeleteGroupsRequest groups;
    groups.groups_names = {"b", "c", "nobody", "b"};
    for (int16_t version = 0; version <= 2; ++version) {
      const auto answer = co_await client.call(groups, version);
      std::map<std::string_view, ErrorCode> errors;
      for (const auto& result : answer.message.results) errors[result.group_id] = result.error_code;
      EXPECT_EQ(answer.message.results.size(), 3U);
      EXPECT_EQ(errors.at("b"), version == 0 ? ErrorCode::kNone : ErrorCode::kGroupIdNotFound);
      EXPECT_EQ(errors.at("c"), ErrorCode::kNonEmptyGroup);
      EXPECT_EQ(errors.at("nobody"), ErrorCode::kGroupIdNotFound);
    }
  });
  broker_->power_off();
  start();
  run([](Client& client) -> Task<void> {
    co_await wait_loaded(client, "b");
    kafka::DeleteGroupsRequest groups;
    groups.groups_names = {"b"};
    EXPECT_EQ((co_await client.call(groups, 2)).message.results.at(0).error_code, ErrorCode::kGroupIdNotFound);
  });
}

}  // namespace
}  // namespace posthaste::broker::testing
