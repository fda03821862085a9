// CreatePartitions and DescribeTopicPartitions against a whole broker.
#include "net/kafka/partitions.h"

#include "broker/testing/simulated_broker.h"

namespace posthaste::broker::testing {
namespace {

using kafka::CreatePartitionsRequest;
using kafka::DescribeTopicPartitionsRequest;
using PartitionsTest = BrokerTest;

CreatePartitionsRequest to_count(std::string_view topic, int32_t count, bool validate_only = false) {
  CreatePartitionsRequest request;
  request.topics.push_back({.name = topic, .count = count, .assignments = std::nullopt});
  request.validate_only = validate_only;
  return request;
}

Task<ErrorCode> grow(Client& client, std::string topic, int32_t count, bool validate_only = false) {
  const auto answer = co_await client.call(to_count(topic, count, validate_only), 3);
  co_return answer.message.results.at(0).error_code;
}

TEST_F(PartitionsTest, NewPartitionsServeAtOnceAndOldOnesKeepTheirRecords) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 2), ErrorCode::kNone);
    EXPECT_EQ((co_await client.produce("t", 1, make_batch({"old"}))).error, ErrorCode::kNone);
    EXPECT_EQ((co_await client.produce("t", 4, make_batch({"early"}))).error, ErrorCode::kUnknownTopicOrPartition);
    EXPECT_EQ(co_await grow(client, "t", 5, true), ErrorCode::kNone);
    EXPECT_EQ((co_await client.produce("t", 4, make_batch({"early"}))).error, ErrorCode::kUnknownTopicOrPartition);
    EXPECT_EQ(co_await grow(client, "t", 5), ErrorCode::kNone);
    for (int32_t partition = 2; partition < 5; ++partition) {
      const Produced produced = co_await client.produce("t", partition, make_batch({"new"}));
      EXPECT_EQ(produced.error, ErrorCode::kNone);
      EXPECT_EQ(produced.base_offset, 0);
    }
    EXPECT_EQ((co_await client.fetch("t", 1, 0)).values, std::vector<std::string>{"old"});
  });
  broker_->power_off();
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ((co_await client.fetch("t", 4, 0)).values, std::vector<std::string>{"new"});
    EXPECT_EQ(co_await grow(client, "t", 6), ErrorCode::kNone);
  });
}

TEST_F(PartitionsTest, WhatCannotGrowSaysWhy) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 3), ErrorCode::kNone);
    EXPECT_EQ(co_await grow(client, "t", 3), ErrorCode::kInvalidPartitions);
    EXPECT_EQ(co_await grow(client, "t", 2), ErrorCode::kInvalidPartitions);
    EXPECT_EQ(co_await grow(client, "t", -1), ErrorCode::kInvalidPartitions);
    EXPECT_EQ(co_await grow(client, "none", 3), ErrorCode::kUnknownTopicOrPartition);
    EXPECT_EQ(co_await grow(client, "t", 100'000), ErrorCode::kPolicyViolation);
    // More than a topic can ever have: the bound on a request is named first, as when a topic is created.
    EXPECT_EQ(co_await grow(client, "t", 100'000'000), ErrorCode::kPolicyViolation);
    CreatePartitionsRequest twice = to_count("t", 4);
    twice.topics.push_back(twice.topics.front());
    const auto answer = co_await client.call(twice, 0);
    EXPECT_EQ(answer.message.results.size(), 1U);
    EXPECT_EQ(answer.message.results.at(0).error_code, ErrorCode::kInvalidRequest);
    const auto try_assignment = [&](std::vector<std::vector<int32_t>> replicas) -> Task<ErrorCode> {
      CreatePartitionsRequest request = to_count("t", 5);
      auto& assignments = request.topics[0].assignments.emplace();
      for (auto& brokers : replicas) assignments.push_back({.broker_ids = std::move(brokers)});
      co_return (co_await client.call(request, 2)).message.results.at(0).error_code;
    };
    EXPECT_EQ(co_await try_assignment({{1}}), ErrorCode::kInvalidReplicaAssignment);
    EXPECT_EQ(co_await try_assignment({{1}, {7}}), ErrorCode::kInvalidReplicaAssignment);
    EXPECT_EQ(co_await try_assignment({{1}, {1, 2}}), ErrorCode::kInvalidReplicaAssignment);
    EXPECT_EQ(co_await try_assignment({{1}, {}}), ErrorCode::kInvalidReplicaAssignment);
    EXPECT_EQ(co_await try_assignment({{1}, {1}}), ErrorCode::kNone);
    EXPECT_EQ((co_await client.produce("t", 4, make_batch({"x"}))).error, ErrorCode::kNone);
  });
}

TEST_F(PartitionsTest, DescribingGoesPageByPage) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("a", 3), ErrorCode::kNone);
    EXPECT_EQ(co_await client.create_topic("b", 1), ErrorCode::kNone);
    EXPECT_EQ(co_await client.create_topic("c", 4), ErrorCode::kNone);
    std::vector<std::string> seen;
    DescribeTopicPartitionsRequest request;
    request.response_partition_limit = 2;
    std::string cursor_topic;
    for (int pages = 0; pages < 10; ++pages) {
      const auto page = co_await client.call(request, 0);
      for (const auto& topic : page.message.topics) {
        EXPECT_EQ(topic.error_code, ErrorCode::kNone);
        EXPECT_FALSE(topic.topic_id.is_zero());
        for (const auto& partition : topic.partitions) {
          EXPECT_EQ(partition.leader_id, 1);
          EXPECT_EQ(partition.isr_nodes, std::vector<int32_t>{1});
          seen.push_back(fmt::format("{}-{}", *topic.name, partition.partition_index));
        }
      }
      if (!page.message.next_cursor) break;
      cursor_topic = page.message.next_cursor->topic_name;
      request.cursor = {.topic_name = cursor_topic, .partition_index = page.message.next_cursor->partition_index};
    }
    EXPECT_EQ(seen, (std::vector<std::string>{"a-0", "a-1", "a-2", "b-0", "c-0", "c-1", "c-2", "c-3"}));
  });
}

// max.request.partition.size.limit.
TEST_F(PartitionsTest, APageHasNoMorePartitionsThanTheBrokerAllows) {
  options_.page_partitions_max = 3;
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("a", 5), ErrorCode::kNone);
    DescribeTopicPartitionsRequest request;
    request.response_partition_limit = 4;
    const auto page = co_await client.call(request, 0);
    EXPECT_EQ(page.message.topics.at(0).partitions.size(), 3U);
    EXPECT_EQ(page.message.next_cursor->partition_index, 3);
  });
}

TEST_F(PartitionsTest, DescribingNamesWhatIsMissing) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("a", 1), ErrorCode::kNone);
    DescribeTopicPartitionsRequest request;
    for (const char* name : {"no/slash", "gone", "a", "a"}) request.topics.push_back({.name = name});
    request.response_partition_limit = -5;  // one partition at least
    const auto page = co_await client.call(request, 0);
    EXPECT_EQ(page.message.topics.size(), 1U) << "in order of name, a topic once, and the page is full";
    EXPECT_EQ(page.message.topics.at(0).name, "a");
    request.cursor = {.topic_name = page.message.next_cursor->topic_name, .partition_index = 0};
    const auto rest = co_await client.call(request, 0);
    EXPECT_EQ(rest.message.topics.at(0).error_code, ErrorCode::kUnknownTopicOrPartition);
    EXPECT_EQ(rest.message.topics.at(1).error_code, ErrorCode::kInvalidTopicException);
    EXPECT_FALSE(rest.message.next_cursor.has_value());
    EXPECT_EQ(rest.message.topics.at(0).topic_authorized_operations, 3576) << "of what is not there too";
    request.cursor->topic_name = "elsewhere";
    EXPECT_EQ((co_await client.call(request, 0)).message.topics.at(0).error_code, ErrorCode::kInvalidRequest);
    request.cursor->topic_name = "a";
    request.cursor->partition_index = -1;
    EXPECT_EQ((co_await client.call(request, 0)).message.topics.at(0).error_code, ErrorCode::kInvalidRequest);
  });
}

}  // namespace
}  // namespace posthaste::broker::testing
