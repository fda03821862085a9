// CreateTopics and DeleteTopics against a whole broker.
#include "broker/testing/simulated_broker.h"
#include "reactor/scope.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;
using TopicsTest = BrokerTest;

TEST_F(TopicsTest, AReaderThatWaitsSeesTheTopicGo) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    Client other(client.core());
    co_await other.connect();
    reactor::TaskScope scope(client.core());
    auto remove = [&]() -> Task<void> {
      co_await client.core().sleep(1s);
      kafka::DeleteTopicsRequest request;
      request.topic_names = {"t"};
      EXPECT_EQ((co_await other.call(request, 5)).message.responses.at(0).error_code, ErrorCode::kNone);
    };
    scope.spawn(remove());
    const reactor::Instant begin = client.core().now();
    EXPECT_EQ((co_await client.fetch("t", 0, 0, 60'000)).error, ErrorCode::kUnknownTopicOrPartition);
    EXPECT_LT(client.core().now() - begin, 2s) << "it is told when the topic goes";
    EXPECT_EQ((co_await client.fetch("t", 0, 0)).error, ErrorCode::kUnknownTopicOrPartition);
    co_await scope.join();
    co_await other.close();
  });
  stop();
}

TEST_F(TopicsTest, CreateTopicsChecksAndReports) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("bad name", 1), ErrorCode::kInvalidTopicException);
    EXPECT_EQ(co_await client.create_topic("t", 0), ErrorCode::kInvalidPartitions);
    EXPECT_EQ(co_await client.create_topic("t", 1, {{"retention.mss", "5"}}), ErrorCode::kInvalidConfig);
    kafka::CreateTopicsRequest request;
    request.validate_only = true;
    request.topics.push_back({.name = "t", .num_partitions = -1, .replication_factor = -1});
    const auto answer = co_await client.call(request, 7);
    EXPECT_EQ(answer.message.topics.at(0).error_code, ErrorCode::kNone);
    EXPECT_EQ(answer.message.topics.at(0).num_partitions, 1);
    request.topics.front().num_partitions = 0;
    const auto refused = co_await client.call(request, 7);
    EXPECT_EQ(refused.message.topics.at(0).configs.value().size(), 0U) << "none, but not null";
    EXPECT_GT(answer.message.topics.at(0).configs.value().size(), 10U);
    EXPECT_EQ((co_await client.call(kafka::MetadataRequest{}, 9)).message.topics.size(), 0U);
  });
}

// A change that waits for the disk has the turn. Requests behind it soon get an error, and nothing is changed for them.
TEST_F(TopicsTest, AChangeWaitsForItsTurnForSecondsOnly) {
  start();
  run([this](Client& client) -> Task<void> {
    Client other(client.core());
    co_await other.connect();
    broker_->slow_disk(1'000'000);
    std::optional<ErrorCode> first;
    auto create = [&]() -> Task<void> { first = co_await client.create_topic("first", 1); };
    reactor::TaskScope scope(client.core());
    scope.spawn(create());
    co_await client.core().sleep(1s);
    const reactor::Instant begin = client.core().now();
    EXPECT_EQ(co_await other.create_topic("second", 1), ErrorCode::kRequestTimedOut);
    EXPECT_LT(client.core().now() - begin, 20s);
    EXPECT_FALSE(first.has_value());
    broker_->heal_disk();
    co_await scope.join();
    EXPECT_EQ(first, ErrorCode::kNone);
    EXPECT_EQ(co_await other.create_topic("second", 1), ErrorCode::kNone);
    co_await other.close();
  });
  stop();
}

}  // namespace
}  // namespace posthaste::broker::testing
