// Pitfalls of consumer groups and committed offsets on the wire. Numbers are those of docs/testing.md.
#include "net/kafka/groups.h"
#include "broker/testing/raw_connection.h"
#include "net/kafka/group_offsets.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;

class GroupPitfalls : public BrokerTest {};

constexpr int32_t kSessionMs = 10'000;

kafka::JoinGroupRequest join_of(std::string_view group, std::string_view member = "") {
  kafka::JoinGroupRequest join{.group_id = group, .session_timeout_ms = kSessionMs, .rebalance_timeout_ms = 30'000};
  join.member_id = member;
  join.protocol_type = "consumer";
  join.protocols.push_back({.name = "range"});
  return join;
}

Task<ErrorCode> heartbeat(Client& client, std::string group, int32_t generation, std::string member) {
  kafka::HeartbeatRequest request{.group_id = group, .generation_id = generation, .member_id = member};
  co_return (co_await client.call(request, 3)).message.error_code;
}

// The state of a member after its answer to JoinGroup.
struct Joined {
  ErrorCode error = ErrorCode::kNone;
  std::string member;
  std::string leader;
  int32_t generation = -1;
  size_t members = 0;
};

Task<Joined> join(Client& client, kafka::JoinGroupRequest request, int16_t version) {
  const auto answer = co_await client.call(request, version);
  const auto& message = answer.message;
  co_return Joined{message.error_code, std::string(message.member_id), std::string(message.leader),
                   message.generation_id, message.members.size()};
}

Task<void> make_offsets_topic(Client& client, std::string group) {
  EXPECT_EQ((co_await client.call(kafka::FindCoordinatorRequest{.key = group}, 0)).message.error_code,
            ErrorCode::kNone);
}

kafka::OffsetCommitRequest commit_of(std::string_view group, int64_t offset, std::string_view member = "",
                                     int32_t generation = -1) {
  kafka::OffsetCommitRequest request{.group_id = group, .generation_id_or_member_epoch = generation};
  request.member_id = member;
  request.topics.push_back({.name = "t"});
  request.topics[0].partitions.push_back(
      {.partition_index = 0, .committed_offset = offset, .committed_leader_epoch = 0, .committed_metadata = "note"});
  return request;
}

Task<ErrorCode> commit(Client& client, kafka::OffsetCommitRequest request, int16_t version) {
  const auto answer = co_await client.call(request, version);
  co_return answer.message.topics.at(0).partitions.at(0).error_code;
}

TEST_F(GroupPitfalls, Pitfall14ACoordinatorIsFoundUnderAnAddressThatAnswers) {
  start();
  run([](Client& client) -> Task<void> {
    for (int16_t version = 0; version <= 4; ++version) {
      kafka::FindCoordinatorRequest request{.key = "a"};
      if (version >= 4) request.coordinator_keys = {"a", "b"};
      const auto answer = co_await client.call(request, version);
      EXPECT_EQ(answer.message.coordinators.size(), version >= 4 ? 2U : 0U);
      const std::string host(version >= 4 ? answer.message.coordinators.at(1).host : answer.message.host);
      const int32_t port = version >= 4 ? answer.message.coordinators.at(1).port : answer.message.port;
      net::ClientConnection dialled(client.core(), "dialled");
      EXPECT_TRUE((co_await dialled.connect(fmt::format("{}:{}", host, port))).has_value());
      EXPECT_TRUE((co_await dialled.call(kafka::HeartbeatRequest{.group_id = "a"}, 0)).has_value());
      co_await dialled.close();
    }
  });
}

// While its log is read a coordinator asks for patience; no code ends a client, none makes it believe that it has no
// offsets.
TEST_F(GroupPitfalls, Pitfall14ACoordinatorThatLoadsAsksForPatience) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    co_await make_offsets_topic(client, "a");
    for (int64_t offset = 1; offset <= 50; ++offset) {
      EXPECT_EQ(co_await commit(client, commit_of("a", offset), 8), ErrorCode::kNone);
    }
  });
  int answers_while_loading = 0;
  for (int life = 0; life < 40; ++life) {
    broker_->kill();
    start();
    run([&](Client& client) -> Task<void> {
      kafka::OffsetFetchRequest fetch;
      auto& asked = fetch.groups.emplace_back();
      asked.group_id = "a";
      asked.topics.emplace().push_back({.name = "t", .partition_indexes = {0}});
      for (int tries = 0; tries < 1'000; ++tries) {
        const ErrorCode found = (co_await client.call(kafka::FindCoordinatorRequest{.key = "a"}, 3)).message.error_code;
        EXPECT_TRUE(found == ErrorCode::kNone || found == ErrorCode::kCoordinatorNotAvailable);
        const ErrorCode joined = (co_await join(client, join_of("b"), 5)).error;
        EXPECT_TRUE(joined == ErrorCode::kMemberIdRequired || kafka::is_retriable(joined)) << kafka::to_string(joined);
        const auto answer = co_await client.call(fetch, 8);
        const auto& group = answer.message.groups.at(0);
        if (group.error_code == ErrorCode::kNone) {
          EXPECT_EQ(group.topics.at(0).partitions.at(0).committed_offset, 50);
          co_return;
        }
        EXPECT_TRUE(kafka::is_retriable(group.error_code)) << kafka::to_string(group.error_code);
        ++answers_while_loading;
        co_await client.core().sleep(100us);
      }
      ADD_FAILURE() << "never loaded";
    });
  }
  EXPECT_GT(answers_while_loading, 0) << "nothing was seen of the time it loads";
}

TEST_F(GroupPitfalls, Pitfall15ANewMemberIsGivenAnIdThatStaysForASession) {
  start();
  run([](Client& client) -> Task<void> {
    co_await make_offsets_topic(client, "g");
    for (const int16_t version : {int16_t{4}, int16_t{9}}) {
      const Joined first = co_await join(client, join_of("g"), version);
      EXPECT_EQ(first.error, ErrorCode::kMemberIdRequired);
      EXPECT_FALSE(first.member.empty());
      co_await client.core().sleep(std::chrono::milliseconds(kSessionMs - 1'000));
      const Joined joined = co_await join(client, join_of("g", first.member), version);
      EXPECT_EQ(joined.error, ErrorCode::kNone);
      EXPECT_EQ(joined.member, first.member);
      kafka::LeaveGroupRequest leave{.group_id = "g", .member_id = first.member};
      EXPECT_EQ((co_await client.call(leave, 1)).message.error_code, ErrorCode::kNone);
      const Joined late = co_await join(client, join_of("g"), version);
      co_await client.core().sleep(std::chrono::milliseconds(kSessionMs + 1'000));
      EXPECT_EQ((co_await join(client, join_of("g", late.member), version)).error, ErrorCode::kUnknownMemberId);
    }
    EXPECT_EQ((co_await join(client, join_of("g"), 3)).error, ErrorCode::kNone) << "older clients join at once";
  });
}

// Version 0 has no time for rebalancing: the session's stands for it. The leader, and no other member, gets the list.
TEST_F(GroupPitfalls, Pitfall15InVersion0TheSessionIsTheTimeToRejoinAndTheLeaderAloneGetsTheMembers) {
  start();
  run([](Client& client) -> Task<void> {
    co_await make_offsets_topic(client, "g");
    Client other(client.core());
    co_await other.connect();
    const Joined alone = co_await join(client, join_of("g"), 0);
    EXPECT_EQ(alone.error, ErrorCode::kNone);
    EXPECT_EQ(alone.members, 1U);
    kafka::SyncGroupRequest sync{.group_id = "g", .generation_id = alone.generation, .member_id = alone.member};
    EXPECT_EQ((co_await client.call(sync, 0)).message.error_code, ErrorCode::kNone);
    Joined second;
    auto join_too = [&]() -> Task<void> { second = co_await join(other, join_of("g"), 0); };
    reactor::TaskScope scope(client.core());
    scope.spawn(join_too());
    co_await client.core().sleep(std::chrono::milliseconds(kSessionMs / 2));
    EXPECT_EQ(co_await heartbeat(client, "g", alone.generation, alone.member), ErrorCode::kRebalanceInProgress);
    EXPECT_EQ(second.generation, -1) << "the first member was given no time";
    const Joined again = co_await join(client, join_of("g", alone.member), 0);
    co_await scope.join();
    EXPECT_EQ(again.error, ErrorCode::kNone);
    EXPECT_EQ(again.members, 2U);
    EXPECT_EQ(again.leader, alone.member);
    EXPECT_EQ(second.error, ErrorCode::kNone);
    EXPECT_EQ(second.leader, alone.member);
    EXPECT_EQ(second.members, 0U);
    co_await other.close();
  });
}

TEST_F(GroupPitfalls, Pitfall15SyncGroupEchoesAndVerifiesTheProtocol) {
  start();
  run([](Client& client) -> Task<void> {
    co_await make_offsets_topic(client, "g");
    const Joined joined = co_await join(client, join_of("g"), 3);
    kafka::SyncGroupRequest sync{.group_id = "g", .generation_id = joined.generation, .member_id = joined.member};
    for (const auto& [type, name] : {std::pair{"connect", "range"}, std::pair{"consumer", "roundrobin"}}) {
      sync.protocol_type = std::string_view(type);
      sync.protocol_name = std::string_view(name);
      EXPECT_EQ((co_await client.call(sync, 5)).message.error_code, ErrorCode::kInconsistentGroupProtocol);
    }
    sync.protocol_type = "consumer";
    sync.protocol_name = "range";
    const auto answer = co_await client.call(sync, 5);
    EXPECT_EQ(answer.message.error_code, ErrorCode::kNone);
    EXPECT_EQ(answer.message.protocol_type, "consumer");
    EXPECT_EQ(answer.message.protocol_name, "range");
  });
}

TEST_F(GroupPitfalls, Pitfall23WithoutACommitThereIsMinusOneAndNoError) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    co_await make_offsets_topic(client, "g");
    for (int16_t version = 1; version <= 7; ++version) {
      kafka::OffsetFetchRequest request{.group_id = "g"};
      request.topics.emplace().push_back({.name = "t", .partition_indexes = {0, 9}});
      request.topics->push_back({.name = "missing", .partition_indexes = {0}});
      request.require_stable = true;
      const auto answer = co_await client.call(request, version);
      EXPECT_EQ(answer.message.error_code, ErrorCode::kNone) << version;
      EXPECT_EQ(answer.message.topics.size(), 2U) << version;
      for (const auto& topic : answer.message.topics) {
        for (const auto& partition : topic.partitions) {
          EXPECT_EQ(partition.committed_offset, -1) << version;
          EXPECT_EQ(partition.committed_leader_epoch, -1) << version;
          EXPECT_EQ(partition.metadata, "") << version;
          EXPECT_EQ(partition.error_code, ErrorCode::kNone) << version;
        }
      }
      request.topics->clear();
      EXPECT_TRUE((co_await client.call(request, version)).message.topics.empty()) << version << ": none, not all";
    }
  });
}

TEST_F(GroupPitfalls, Pitfall23NullTopicsAskForAllOfAGroup) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    co_await make_offsets_topic(client, "g");
    EXPECT_EQ(co_await commit(client, commit_of("g", 5), 8), ErrorCode::kNone);
    for (int16_t version = 2; version <= 7; ++version) {
      const auto answer = co_await client.call(kafka::OffsetFetchRequest{.group_id = "g"}, version);
      EXPECT_EQ(answer.message.topics.size(), 1U) << version;
      const auto& partition = answer.message.topics.at(0).partitions.at(0);
      EXPECT_EQ(partition.committed_offset, 5) << version;
      EXPECT_EQ(partition.metadata, "note") << version;
      if (version >= 5) EXPECT_EQ(partition.committed_leader_epoch, 0) << version;
    }
    kafka::OffsetFetchRequest many;
    for (const char* group : {"g", "nobody"}) many.groups.emplace_back().group_id = group;
    for (int16_t version = 8; version <= 10; ++version) {
      const auto answer = co_await client.call(many, version);
      EXPECT_EQ(answer.message.groups.at(0).topics.size(), 1U) << version;
      EXPECT_TRUE(answer.message.groups.at(1).topics.empty()) << version;
      EXPECT_EQ(answer.message.groups.at(1).error_code, ErrorCode::kNone) << version;
    }
  });
}

TEST_F(GroupPitfalls, Pitfall23WhoIsNoMemberCommitsOnlyWhileTheGroupIsEmpty) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    co_await make_offsets_topic(client, "g");
    for (int16_t version = 2; version <= 9; ++version) {
      EXPECT_EQ(co_await commit(client, commit_of("g", version), version), ErrorCode::kNone) << version;
    }
    const Joined joined = co_await join(client, join_of("g"), 3);
    kafka::SyncGroupRequest sync{.group_id = "g", .generation_id = joined.generation, .member_id = joined.member};
    EXPECT_EQ((co_await client.call(sync, 3)).message.error_code, ErrorCode::kNone);
    EXPECT_EQ(co_await commit(client, commit_of("g", 100), 8), ErrorCode::kUnknownMemberId);
    EXPECT_EQ(co_await commit(client, commit_of("g", 101, joined.member, joined.generation), 8), ErrorCode::kNone);
    kafka::LeaveGroupRequest leave{.group_id = "g", .member_id = joined.member};
    EXPECT_EQ((co_await client.call(leave, 1)).message.error_code, ErrorCode::kNone);
    EXPECT_EQ(co_await commit(client, commit_of("g", 102), 8), ErrorCode::kNone);
  });
}

}  // namespace
}  // namespace posthaste::broker::testing
