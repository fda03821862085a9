// Fetch against a whole broker on three simulated cores. Sessions: fetch_sessions_test.cc.
#include "broker/testing/simulated_broker.h"
#include "reactor/scope.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;
using Values = std::vector<std::string>;
using FetchTest = BrokerTest;

TEST_F(FetchTest, FetchReadsEachPartitionOnceAndOnlyAsItMay) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    (void)co_await client.produce("t", 0, make_batch({"a"}));
    (void)co_await client.produce("t", 0, make_batch({"b"}));
    const auto ask = [&](const kafka::FetchRequest& request) -> Task<kafka::FetchResponse::Topic::Partition> {
      const auto answer = co_await client.call(request, 12);
      EXPECT_EQ(answer.message.responses.size(), 1U);
      EXPECT_EQ(answer.message.responses.at(0).partitions.size(), 1U);
      kafka::FetchResponse::Topic::Partition only = answer.message.responses.at(0).partitions.at(0);
      only.records = {.whole = {}, .is_null = only.records.whole.empty()};  // the bytes go with the answer
      co_return only;
    };
    kafka::FetchRequest twice = Client::fetch_request("t", 0, 0);
    twice.topics[0].partitions.push_back(twice.topics[0].partitions[0]);
    twice.topics[0].partitions[1].fetch_offset = 2;
    EXPECT_TRUE((co_await ask(twice)).records.is_null) << "the last offset counts";
    kafka::FetchRequest other = Client::fetch_request("t", 0, 0);
    other.topics[0].partitions[0].last_fetched_epoch = 5;
    EXPECT_EQ((co_await ask(other)).error_code, ErrorCode::kOffsetOutOfRange) << "an epoch that is not known";
    other = Client::fetch_request("t", 0, 0);
    other.topics[0].partitions[0].current_leader_epoch = -2;
    EXPECT_EQ((co_await ask(other)).error_code, ErrorCode::kNone) << "any negative epoch is none";
    other.replica_id = 7;
    EXPECT_EQ((co_await ask(other)).error_code, ErrorCode::kNotLeaderOrFollower);
    other.topics[0].partitions[0].current_leader_epoch = 0;
    EXPECT_EQ((co_await ask(other)).error_code, ErrorCode::kUnknownLeaderEpoch) << "as a replica of another epoch";
    kafka::MetadataRequest names;
    names.topics.emplace().push_back({.name = "t"});
    const auto named = co_await client.call(names, 12);
    kafka::FetchRequest late = Client::fetch_request("", 0, 0);
    late.topics[0].topic_id = named.message.topics.at(0).topic_id;
    late.replica_state.replica_id = 7;
    for (const int16_t version : {int16_t{15}, int16_t{16}}) {
      const auto answer = co_await client.call(late, version);
      const kafka::FetchResponse::Topic::Partition& refused = answer.message.responses.at(0).partitions.at(0);
      EXPECT_EQ(refused.error_code, ErrorCode::kNotLeaderOrFollower);
      EXPECT_EQ(refused.current_leader.leader_id, version < 16 ? -1 : 1) << "KIP-951";
      EXPECT_EQ(refused.current_leader.leader_epoch, version < 16 ? -1 : 0);
    }
    other.replica_id = -1;
    other.isolation_level = 1;
    EXPECT_TRUE((co_await ask(other)).aborted_transactions.has_value());
    other.topics[0].partitions[0].fetch_offset = 9;
    EXPECT_FALSE((co_await ask(other)).aborted_transactions.has_value());
    other.isolation_level = 2;
    EXPECT_EQ((co_await client.call(other, 12)).message.error_code, ErrorCode::kInvalidRequest);
    EXPECT_EQ((co_await client.call(other, 4)).message.responses.at(0).partitions.at(0).error_code,
              ErrorCode::kInvalidRequest);
  });
}

TEST_F(FetchTest, FetchWaitsForRecords) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 3), ErrorCode::kNone);
    Client producer(client.core());
    co_await producer.connect();
    for (int32_t partition = 0; partition < 3; ++partition) {
      const auto begin = client.core().now();
      const Fetched nothing = co_await client.fetch("t", partition, 0, 500);
      EXPECT_TRUE(nothing.values.empty());
      EXPECT_EQ(nothing.error, ErrorCode::kNone);
      EXPECT_GE(client.core().now() - begin, 500ms);
      reactor::TaskScope scope(client.core());
      auto later = [&]() -> Task<void> {
        co_await client.core().sleep(2s);
        (void)co_await producer.produce("t", partition, make_batch({"news"}));
      };
      scope.spawn(later());
      const auto waiting = client.core().now();
      EXPECT_EQ((co_await client.fetch("t", partition, 0, 60'000)).values, (Values{"news"}));
      EXPECT_LT(client.core().now() - waiting, 3s);
      co_await scope.join();
    }
    co_await producer.close();
  });
  stop();
}

// What was appended and is not durable yet when the wait begins is what the reader waits for.
TEST_F(FetchTest, AFetchThatBeginsBetweenAppendAndDurabilityIsWoken) {
  start();
  run([this](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    Client producer(client.core());
    co_await producer.connect();
    broker_->slow_disk(100);
    for (int64_t round = 0; round < 20; ++round) {
      reactor::TaskScope scope(client.core());
      auto produce = [&]() -> Task<void> { (void)co_await producer.produce("t", 0, make_batch({"news"})); };
      scope.spawn(produce());
      co_await client.core().sleep(reactor::Duration(std::chrono::microseconds(200 * round)));
      const auto begin = client.core().now();
      EXPECT_EQ((co_await client.fetch("t", 0, round, 60'000)).values, (Values{"news"}));
      EXPECT_LT(client.core().now() - begin, 5s) << round;
      co_await scope.join();
    }
    co_await producer.close();
  });
}

TEST_F(FetchTest, MinBytesIsASumOverPartitionsOnAllCores) {
  start();
  run([](Client& client) -> Task<void> {
    constexpr int32_t kPartitions = 3;  // on three cores
    EXPECT_EQ(co_await client.create_topic("t", kPartitions), ErrorCode::kNone);
    Client producer(client.core());
    co_await producer.connect();
    kafka::FetchRequest request = Client::fetch_request("t", 0, 0, 60'000, 2'500);
    for (int32_t partition = 1; partition < kPartitions; ++partition) {
      request.topics[0].partitions.push_back(
          {.partition = partition, .fetch_offset = 0, .partition_max_bytes = 1 << 20});
    }
    reactor::TaskScope scope(client.core());
    auto feed = [&]() -> Task<void> {
      for (int32_t partition = 0; partition < kPartitions; ++partition) {
        co_await client.core().sleep(1s);
        (void)co_await producer.produce("t", partition, make_batch({std::string(1000, 'x')}));
      }
    };
    scope.spawn(feed());
    const auto begin = client.core().now();
    const auto answer = co_await client.call(request, 11);
    const auto took = client.core().now() - begin;
    EXPECT_GE(took, 3s) << "two thousand bytes were enough";
    EXPECT_LT(took, 4s) << "three thousand bytes were not";
    size_t records = 0;
    for (const auto& partition : answer.message.responses.at(0).partitions) {
      records += values_in(partition.records.whole).size();
    }
    EXPECT_EQ(records, 3U);
    co_await scope.join();
    co_await producer.close();
  });
}

// Three partitions, one on each core, nothing of them in memory, and a disk that is slow: one wait, not three.
TEST_F(FetchTest, CoresAreAskedSideBySide) {
  start();
  run([&](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", kCores), ErrorCode::kNone);
    for (int32_t i = 0; i < kCores; ++i) (void)co_await client.produce("t", i, make_batch({fmt::format("v{}", i)}));
  });
  stop();
  start();
  run([&](Client& client) -> Task<void> {
    world_.options().disk_read = {100ms, 100ms};
    world_.options().disk_slow_per_million = 0;
    kafka::FetchRequest request = Client::fetch_request("t", 0, 0);
    auto& asked = request.topics[0].partitions;
    for (int32_t i = 1; i < kCores; ++i) {
      asked.push_back({.partition = i, .fetch_offset = 0, .partition_max_bytes = 1 << 20});
    }
    const reactor::Instant begin = client.core().now();
    const auto answer = co_await client.call(request, 11);
    const reactor::Duration took = client.core().now() - begin;
    EXPECT_GE(took, 100ms) << "it is read from the disk";
    EXPECT_LT(took, 250ms);
    for (const auto& partition : answer.message.responses.at(0).partitions) {
      EXPECT_EQ(values_in(partition.records.whole), std::vector{fmt::format("v{}", partition.partition_index)});
    }
  });
  stop();
}

TEST_F(FetchTest, TheFirstBatchComesWholeAndPartitionsTakeTurns) {
  start();
  run([](Client& client) -> Task<void> {
    constexpr int32_t kPartitions = 4;
    EXPECT_EQ(co_await client.create_topic("t", kPartitions), ErrorCode::kNone);
    kafka::FetchRequest request = Client::fetch_request("t", 0, 0, 0, 1);
    request.topics[0].partitions.clear();
    request.max_bytes = 100;  // less than one batch
    for (int32_t partition = 0; partition < kPartitions; ++partition) {
      (void)co_await client.produce("t", partition, make_batch({std::string(5000, 'x')}));
      request.topics[0].partitions.push_back({.partition = partition, .fetch_offset = 0, .partition_max_bytes = 100});
    }
    std::vector<int> served(kPartitions);
    constexpr int kRounds = 24;
    for (int round = 0; round < kRounds; ++round) {
      const auto answer = co_await client.call(request, 11);
      int with_records = 0;
      for (const auto& partition : answer.message.responses.at(0).partitions) {
        if (partition.records.whole.empty()) continue;
        ++with_records;
        ++served[static_cast<size_t>(partition.partition_index)];
        EXPECT_EQ(values_in(partition.records.whole).size(), 1U);
      }
      EXPECT_EQ(with_records, 1);
    }
    for (const int count : served) EXPECT_GE(count, 2) << "a partition starves";
  });
}

}  // namespace
}  // namespace posthaste::broker::testing
