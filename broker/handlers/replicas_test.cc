// ElectLeaders, reassignments and DescribeQuorum, as tools ask them of a broker that is alone.
#include "broker/testing/simulated_broker.h"
#include "net/kafka/quorum.h"
#include "net/kafka/reassignment.h"

namespace posthaste::broker::testing {
namespace {

class ReplicasTest : public BrokerTest {
 protected:
  void with_topic(std::function<Task<void>(Client&)> test) {
    start();
    run([test = std::move(test)](Client& client) -> Task<void> {
      EXPECT_EQ(co_await client.create_topic("t", 2), ErrorCode::kNone);
      co_await test(client);
    });
    stop();
  }
};

TEST_F(ReplicasTest, ALeaderThatLeadsNeedsNoElection) {
  with_topic([](Client& client) -> Task<void> {
    kafka::ElectLeadersRequest request;
    request.topic_partitions->push_back({.topic = "t", .partitions = {1, 7}});
    for (int16_t version = 0; version <= 2; ++version) {
      const auto answer = co_await client.call(request, version);
      EXPECT_EQ(answer.message.error_code, ErrorCode::kNone);
      const auto& partitions = answer.message.replica_election_results.at(0).partition_result;
      EXPECT_EQ(partitions.at(0).error_code, ErrorCode::kElectionNotNeeded);
      EXPECT_EQ(partitions.at(1).error_code, ErrorCode::kUnknownTopicOrPartition);
      EXPECT_EQ(partitions.at(1).error_message, "There is no partition t-7");
    }
    request.topic_partitions.reset();
    const auto all = co_await client.call(request, 2);
    EXPECT_TRUE(all.message.replica_election_results.empty()) << "those that need none are not named";
  });
}

TEST_F(ReplicasTest, AnElectionOfAnUnknownKindIsRefused) {
  with_topic([](Client& client) -> Task<void> {
    kafka::ElectLeadersRequest request{.election_type = static_cast<kafka::ElectionType>(7)};
    request.topic_partitions->push_back({.topic = "t", .partitions = {0}});
    const auto answer = co_await client.call(request, 2);
    EXPECT_EQ(answer.message.error_code, ErrorCode::kInvalidRequest);
    EXPECT_EQ(answer.message.replica_election_results.at(0).partition_result.at(0).error_code,
              ErrorCode::kInvalidRequest);
  });
}

TEST_F(ReplicasTest, ReplicasMoveOnlyToBrokersThatAreThere) {
  with_topic([](Client& client) -> Task<void> {
    kafka::AlterPartitionReassignmentsRequest request;
    auto& topic = request.topics.emplace_back();
    topic.name = "t";
    topic.partitions = {{.partition_index = 0, .replicas = std::vector<int32_t>{1}},
                        {.partition_index = 1, .replicas = std::vector<int32_t>{2}},
                        {.partition_index = 0, .replicas = std::nullopt},
                        {.partition_index = 9, .replicas = std::vector<int32_t>{1}}};
    const auto answer = co_await client.call(request, 1);
    EXPECT_EQ(answer.message.error_code, ErrorCode::kNone);
    EXPECT_TRUE(answer.message.allow_replication_factor_change);
    const auto& partitions = answer.message.responses.at(0).partitions;
    EXPECT_EQ(partitions.at(0).error_code, ErrorCode::kNone) << "it is there";
    EXPECT_EQ(partitions.at(0).error_message, std::nullopt);
    EXPECT_EQ(partitions.at(1).error_code, ErrorCode::kInvalidReplicaAssignment);
    EXPECT_EQ(partitions.at(2).error_code, ErrorCode::kNoReassignmentInProgress);
    EXPECT_EQ(partitions.at(3).error_code, ErrorCode::kUnknownTopicOrPartition);
    const auto all = co_await client.call(kafka::ListPartitionReassignmentsRequest{}, 0);
    EXPECT_EQ(all.message.error_code, ErrorCode::kNone);
    EXPECT_TRUE(all.message.topics.empty());
  });
}

// Each says a sentence in the answer.
TEST_F(ReplicasTest, ARequestThatNamesTooManyPartitionsIsRefused) {
  options_.connection.request_memory_bytes = uint64_t{16} << 20;
  options_.fetch_memory_bytes = uint64_t{16} << 20;
  with_topic([](Client& client) -> Task<void> {
    kafka::ElectLeadersRequest elect;
    elect.topic_partitions->push_back({.topic = "t", .partitions = std::vector<int32_t>(200'001, 0)});
    const auto elected = co_await client.call(elect, 2);
    EXPECT_EQ(elected.message.error_code, ErrorCode::kInvalidRequest);
    EXPECT_TRUE(elected.message.replica_election_results.empty());
    kafka::ListPartitionReassignmentsRequest list;
    list.topics.emplace().push_back({.name = "t", .partition_indexes = std::vector<int32_t>(200'001, 0)});
    EXPECT_EQ((co_await client.call(list, 0)).message.error_code, ErrorCode::kInvalidRequest);
  });
}

TEST_F(ReplicasTest, ALoneBrokerIsItsQuorum) {
  with_topic([](Client& client) -> Task<void> {
    kafka::DescribeQuorumRequest request;
    request.topics.push_back({.topic_name = "__cluster_metadata", .partitions = {{.partition_index = 0}}});
    const auto answer = co_await client.call(request, 2);
    EXPECT_EQ(answer.message.error_code, ErrorCode::kNone);
    const auto& quorum = answer.message.topics.at(0).partitions.at(0);
    EXPECT_EQ(quorum.leader_id, 1);
    EXPECT_GT(quorum.leader_epoch, 0);
    EXPECT_GT(quorum.high_watermark, 0);
    EXPECT_TRUE(quorum.observers.empty());
    EXPECT_EQ(quorum.current_voters.size(), 1U);
    if (quorum.current_voters.size() != 1) co_return;
    EXPECT_EQ(quorum.current_voters[0].replica_id, 1);
    EXPECT_FALSE(quorum.current_voters[0].replica_directory_id.is_zero());
    EXPECT_EQ(quorum.current_voters[0].log_end_offset, quorum.high_watermark);
    EXPECT_GT(quorum.current_voters[0].last_fetch_timestamp, 0);
    request.topics[0].topic_name = "t";
    const auto other = co_await client.call(request, 1);
    EXPECT_EQ(other.message.error_code, ErrorCode::kNone);
    EXPECT_EQ(other.message.topics.at(0).partitions.at(0).error_code, ErrorCode::kUnknownTopicOrPartition);
  });
}

}  // namespace
}  // namespace posthaste::broker::testing
