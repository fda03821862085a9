// The steady state of produce and fetch allocates nothing: what a request needs is recycled (reactor/recycled.h) or
// lies in memory that was reserved. Counted in a whole broker with real connections: every operator new of its core's
// thread counts, whatever asked for it.
#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "net/kafka/fetch.h"
#include "net/kafka/produce.h"
#include "net/kafka/topics.h"
#include "storage/batch/record_batch_builder.h"
#include "tests/allocations/broker_under_count.h"
#include "tests/tools/allocation_hook.h"

namespace posthaste::testing {
namespace {

using net::kafka::CreateTopicsRequest;
using net::kafka::ErrorCode;
using net::kafka::FetchRequest;
using net::kafka::FetchResponse;
using net::kafka::ProduceRequest;
using net::kafka::ProduceResponse;

constexpr int16_t kProduceVersion = 13;  // what today's clients use: topics by id
constexpr int16_t kFetchVersion = 18;
constexpr int16_t kProduceVersionWithNames = 11;
constexpr int16_t kFetchVersionWithNames = 12;
constexpr int32_t kPartitions = 6;
using Batches = std::vector<storage::Bytes>;  // for partition 0, 1, ...
// The longest name that a client may give, which no small-string trick can hide.
const std::string kTopic(249, 't');

storage::Bytes batch_of(int32_t records, size_t value_bytes, const storage::BatchToWrite& header = {}) {
  storage::RecordBatchBuilder builder(header);
  const std::string value(value_bytes, 'v');
  for (int32_t i = 0; i < records; ++i) builder.add({.timestamp = 1'000, .value = storage::bytes_of(value)});
  return builder.finish();
}

// By number of cores. On two, partitions lie on both and a connection's requests cross.
class SteadyState : public ::testing::TestWithParam<reactor::CoreId> {
 protected:
  static void SetUpTestSuite() { allocation_count::start(); }

  SteadyState() {
    CreateTopicsRequest request;
    request.topics.push_back({.name = kTopic, .num_partitions = kPartitions, .replication_factor = -1});
    const auto created = client_.call(request, 7).topics.at(0);
    CHECK(created.error_code == ErrorCode::kNone);
    topic_id_ = created.topic_id;
  }

  // Produces to partition 0, 1, ... of the topic, and sees that each is answered well.
  ProduceRequest produce_request(const Batches& batches, int16_t acks = -1) const {
    ProduceRequest request{.acks = acks, .timeout_ms = 30'000};
    auto& topic = request.topic_data.emplace_back();
    topic.name = kTopic;
    topic.topic_id = topic_id_;
    for (const storage::Bytes& batch : batches) {
      const auto index = static_cast<int32_t>(topic.partition_data.size());
      topic.partition_data.push_back({.index = index, .records = {.whole = batch}});
    }
    return request;
  }
  static int64_t check(const ProduceResponse& response) {
    for (const auto& partition : response.responses.at(0).partition_responses) {
      CHECK(partition.error_code == ErrorCode::kNone, "error {}", static_cast<int>(partition.error_code));
    }
    return response.responses[0].partition_responses.at(0).base_offset;
  }
  int64_t produce(const Batches& batches, int16_t acks = -1, int16_t version = kProduceVersion) {
    return check(client_.call(produce_request(batches, acks), version));
  }

  // Of all partitions, which have the same length here.
  FetchRequest fetch_request(int64_t offset, int32_t max_wait_ms) const {
    FetchRequest request{.max_wait_ms = max_wait_ms, .min_bytes = 1};
    auto& topic = request.topics.emplace_back();
    topic.topic = kTopic;
    topic.topic_id = topic_id_;
    for (int32_t i = 0; i < kPartitions; ++i) {
      topic.partitions.push_back({.partition = i, .fetch_offset = offset, .partition_max_bytes = 1 << 20});
    }
    return request;
  }
  // In how many partitions records were found.
  static int partitions_with_records(const FetchResponse& response) {
    CHECK(response.error_code == ErrorCode::kNone && response.responses.size() <= 1);
    int found = 0;
    for (const auto& topic : response.responses) {
      for (const auto& partition : topic.partitions) {
        CHECK(partition.error_code == ErrorCode::kNone, "error {}", static_cast<int>(partition.error_code));
        if (partition.records.size() > 0) ++found;
      }
    }
    return found;
  }

  // The broker's allocations for each `step`, after as many of them have warmed it up.
  double count(const char* what, int steps, const std::function<void()>& step) {
    for (int i = 0; i < steps; ++i) step();
    const uint64_t before = allocation_count::total();
    for (int i = 0; i < steps; ++i) step();
    const double each = static_cast<double>(allocation_count::total() - before) / steps;
    std::printf("%u cores: %-44s %8.3f allocations\n", unsigned{GetParam()}, what, each);
    return each;
  }

  // One for each test: so a table (below) is written in none that does not mean it. No other test writes more than a
  // file of the journal holds.
  BrokerUnderCount broker_{GetParam()};
  Client client_{broker_};
  net::kafka::Uuid topic_id_;
};

INSTANTIATE_TEST_SUITE_P(Cores, SteadyState, ::testing::Values(1, 2));

// What remains when a log grows: its index, an array that doubles and gets an entry for each 64 KiB.
constexpr double kLogGrowth = 0.01;

TEST_P(SteadyState, ProduceOfOneRecord) {
  const Batches batches{batch_of(1, 100)};
  const double each = count("produce, one record", 500, [&] { produce(batches); });
  EXPECT_LE(each, kLogGrowth);
}

TEST_P(SteadyState, ProduceThatNamesItsTopic) {
  const Batches batches{batch_of(1, 100)};
  const double each =
      count("produce, one record, topic by name", 500, [&] { produce(batches, -1, kProduceVersionWithNames); });
  EXPECT_LE(each, kLogGrowth);
}

TEST_P(SteadyState, ProduceOfOneRecordAcknowledgedByTheLeader) {
  const Batches batches{batch_of(1, 100)};
  const double each = count("produce, one record, acks=1", 500, [&] { produce(batches, 1); });
  EXPECT_LE(each, kLogGrowth);
}

TEST_P(SteadyState, ProduceOfAnIdempotentProducer) {
  storage::BatchToWrite header{.producer_id = 7, .producer_epoch = 0, .base_sequence = 0};
  const double each = count("produce, one record, idempotent", 500, [&] {
    produce({batch_of(1, 100, header)});
    ++header.base_sequence;
  });
  EXPECT_LE(each, kLogGrowth);
}

TEST_P(SteadyState, ProduceOfBatchesToManyPartitions) {
  const Batches batches(kPartitions, batch_of(16, 1'000));
  constexpr int kSteps = 100;
  constexpr double kIndexGrowth = 2.0 * kPartitions / kSteps;  // each index doubles once or twice meanwhile
  const double each = count("produce, 6 partitions of 16 KiB", kSteps, [&] { produce(batches); });
  EXPECT_LE(each, kIndexGrowth);
}

TEST_P(SteadyState, ProduceWithManyRequestsInFlight) {
  constexpr int kClients = 8;
  std::vector<std::unique_ptr<Client>> clients;
  clients.reserve(kClients);
  for (int i = 0; i < kClients; ++i) clients.push_back(std::make_unique<Client>(broker_));
  const Batches batches{batch_of(1, 100)};
  const ProduceRequest request = produce_request(batches);
  constexpr int kInFlight = 5;
  const auto exchange = [&](int in_flight) {
    for (auto& client : clients) {
      for (int i = 0; i < in_flight; ++i) client->send(request, kProduceVersion);
    }
    for (auto& client : clients) {
      for (int i = 0; i < in_flight; ++i) check(client->receive<ProduceRequest>(kProduceVersion));
    }
  };
  // How many of them are on their way at once is up to the threads. The free lists have seen more than the most of it.
  for (int i = 0; i < 20; ++i) exchange(2 * kInFlight);
  const double each = count("40 produces at a time, over 8 connections", 50, [&] { exchange(kInFlight); });
  EXPECT_LE(each / (8 * kInFlight), kLogGrowth);
}

// What remains when a file of the journal is full: a table of all partitions is written.
TEST_P(SteadyState, TablesCostSomeAllocationsForEachPartition) {
  const Batches batches(kPartitions, batch_of(16, 1'000));
  constexpr int kRequests = 1'400;  // 131 MiB
  constexpr int kTablesMax = 5;
  constexpr int kForEachPartition = 64;
  const uint64_t before = allocation_count::total();
  for (int i = 0; i < kRequests; ++i) produce(batches);
  EXPECT_LE(allocation_count::total() - before, kTablesMax * kForEachPartition * (kPartitions + 1));
}

TEST_P(SteadyState, FetchWithoutASession) {
  const int64_t offset = produce(Batches(kPartitions, batch_of(16, 1'000)));
  const FetchRequest request = fetch_request(offset, 500);
  const double each = count("fetch from 6 partitions, no session", 1'000, [&] {
    CHECK(partitions_with_records(client_.call(request, kFetchVersion)) == kPartitions);
  });
  EXPECT_EQ(each, 0);
}

TEST_P(SteadyState, FetchInASession) {
  const int64_t offset = produce(Batches(kPartitions, batch_of(16, 1'000)));
  for (const int16_t version : {kFetchVersion, kFetchVersionWithNames}) {
    FetchRequest request = fetch_request(offset, 500);
    request.session_epoch = 0;
    request.session_id = client_.call(request, version).session_id;
    CHECK(request.session_id != 0);
    const double each = count("fetch from 6 partitions, in a session", 1'000, [&] {
      ++request.session_epoch;
      CHECK(partitions_with_records(client_.call(request, version)) == kPartitions);
    });
    EXPECT_EQ(each, 0) << "version " << version;
  }
}

TEST_P(SteadyState, FetchThatWaitsForARecord) {
  const Batches batches(kPartitions, batch_of(1, 100));
  Client reader(broker_);
  int64_t offset = produce(batches) + 1;
  const double each = count("fetch that waits, and the produce", 500, [&] {
    reader.send(fetch_request(offset++, 30'000), kFetchVersion);
    produce(batches);
    CHECK(partitions_with_records(reader.receive<FetchRequest>(kFetchVersion)) > 0);
  });
  EXPECT_LE(each, kPartitions * kLogGrowth);
}

TEST_P(SteadyState, FetchThatFindsNothing) {
  const int64_t end = produce(Batches(kPartitions, batch_of(1, 100))) + 1;
  const FetchRequest request = fetch_request(end, 1);
  const double each = count("fetch that waits in vain", 500,
                            [&] { CHECK(partitions_with_records(client_.call(request, kFetchVersion)) == 0); });
  EXPECT_EQ(each, 0);
}

}  // namespace
}  // namespace posthaste::testing
