// DeleteRecords, DescribeLogDirs and DescribeProducers against a whole broker.
#include "net/kafka/log_admin.h"
#include "broker/testing/simulated_broker.h"
#include "net/kafka/producer_ids.h"
#include "storage/bytes/crc32c.h"
#include "storage/bytes/endian.h"

namespace posthaste::broker::testing {
namespace {

using kafka::DeleteRecordsRequest;
using kafka::DescribeLogDirsRequest;
using kafka::DescribeProducersRequest;
using LogAdminTest = BrokerTest;

struct Deleted {
  ErrorCode error = ErrorCode::kNone;
  int64_t low_watermark = 0;
  friend bool operator==(const Deleted&, const Deleted&) = default;
};

Task<Deleted> delete_records(Client& client, std::string topic, int32_t partition, int64_t offset) {
  DeleteRecordsRequest request;
  request.topics.push_back({.name = topic, .partitions = {{.partition_index = partition, .offset = offset}}});
  const auto answer = co_await client.call(request, 2);
  const auto& result = answer.message.topics.at(0).partitions.at(0);
  EXPECT_EQ(result.partition_index, partition);
  co_return Deleted{result.error_code, result.low_watermark};
}

TEST_F(LogAdminTest, DeletedRecordsAreGoneForGood) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 3), ErrorCode::kNone);
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ((co_await client.produce("t", 2, make_batch({fmt::format("{}", i)}))).error, ErrorCode::kNone);
    }
    EXPECT_EQ(co_await delete_records(client, "t", 2, 2), (Deleted{ErrorCode::kNone, 2}));
    EXPECT_EQ(co_await delete_records(client, "t", 2, 1), (Deleted{ErrorCode::kNone, 2})) << "never backwards";
    EXPECT_EQ((co_await client.fetch("t", 2, 1)).error, ErrorCode::kOffsetOutOfRange);
    EXPECT_EQ((co_await client.fetch("t", 2, 2)).values, (std::vector<std::string>{"2", "3"}));
    EXPECT_EQ((co_await client.list_offset("t", 2, -2)).offset, 2);
    EXPECT_EQ(co_await delete_records(client, "t", 2, 5), (Deleted{ErrorCode::kOffsetOutOfRange, -1}));
    EXPECT_EQ(co_await delete_records(client, "t", 2, -7), (Deleted{ErrorCode::kOffsetOutOfRange, -1}));
    EXPECT_EQ(co_await delete_records(client, "t", 3, 0), (Deleted{ErrorCode::kUnknownTopicOrPartition, -1}));
    EXPECT_EQ(co_await delete_records(client, "gone", 0, 0), (Deleted{ErrorCode::kUnknownTopicOrPartition, -1}));
  });
  broker_->power_off();
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ((co_await client.list_offset("t", 2, -2)).offset, 2);
    EXPECT_EQ(co_await delete_records(client, "t", 2, -1), (Deleted{ErrorCode::kNone, 4})) << "-1: the high watermark";
    EXPECT_EQ((co_await client.produce("t", 2, make_batch({"next"}))).base_offset, 4);
  });
}

// Ten records with times 100, 110, ... 190, of which 190 is the third.
storage::Bytes batch_of_ten(bool is_packed) {
  storage::RecordBatchBuilder builder;
  for (const int64_t time : {100, 110, 190, 120, 130, 140, 150, 160, 170, 180}) {
    builder.add({.timestamp = time, .value = storage::bytes_of("v")});
  }
  storage::Bytes batch = builder.finish();
  if (!is_packed) return batch;
  constexpr size_t kCrcAt = 17;
  constexpr size_t kAttributesAt = 21;
  batch[kAttributesAt + 1] |= std::byte{static_cast<uint8_t>(storage::Compression::kLz4)};
  storage::store_be<uint32_t>(&batch[kCrcAt], storage::crc32c(storage::ByteView(batch).subspan(kAttributesAt)));
  return batch;
}

// A reader that got this offset would get OFFSET_OUT_OF_RANGE, and start again at the end.
TEST_F(LogAdminTest, NoTimeIsFoundBelowTheLogStart) {
  start();
  const auto look = [](Client& client) -> Task<void> {
    for (const std::string topic : {"plain", "packed"}) {
      SCOPED_TRACE(topic);
      EXPECT_EQ((co_await client.list_offset(topic, 0, -2)).offset, 5);
      EXPECT_EQ((co_await client.list_offset(topic, 0, 105)).offset, 5);
      EXPECT_EQ((co_await client.list_offset(topic, 0, 120)).offset, 5);
      EXPECT_EQ((co_await client.list_offset(topic, 0, 165)).offset, topic == "plain" ? 8 : 5);
      EXPECT_EQ((co_await client.list_offset(topic, 0, -3)).offset, 5);
    }
    // Only a deleted record is as late as this, and then one of the next batch.
    EXPECT_EQ((co_await client.list_offset("plain", 0, 185)).offset, -1);
  };
  run([&](Client& client) -> Task<void> {
    for (const std::string topic : {"plain", "packed"}) {
      EXPECT_EQ(co_await client.create_topic(topic, 1), ErrorCode::kNone);
      EXPECT_EQ((co_await client.produce(topic, 0, batch_of_ten(topic == "packed"))).error, ErrorCode::kNone);
      EXPECT_EQ(co_await delete_records(client, topic, 0, 5), (Deleted{ErrorCode::kNone, 5}));
    }
    co_await look(client);
  });
  broker_->power_off();
  start();
  run([&](Client& client) -> Task<void> {
    co_await look(client);
    EXPECT_EQ((co_await client.produce("plain", 0, make_batch({"next"}, {}, 200))).base_offset, 10);
    const auto later = co_await client.list_offset("plain", 0, 185);
    EXPECT_EQ(later.offset, 10);
    EXPECT_EQ(later.timestamp, 200);
    EXPECT_EQ((co_await client.list_offset("plain", 0, -3)).offset, 10);
    EXPECT_EQ(co_await delete_records(client, "plain", 0, -1), (Deleted{ErrorCode::kNone, 11}));
    EXPECT_EQ((co_await client.list_offset("plain", 0, -3)).offset, -1) << "none is left";
    EXPECT_EQ((co_await client.list_offset("plain", 0, 100)).offset, -1);
  });
}

TEST_F(LogAdminTest, OfAPartitionNamedTwiceTheLastOffsetCounts) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    for (int i = 0; i < 3; ++i) (void)co_await client.produce("t", 0, make_batch({"x"}));
    kafka::DeleteRecordsRequest request{.timeout_ms = 1000};
    request.topics.push_back({.name = "t"});
    for (const int64_t offset : {3, 1})
      request.topics[0].partitions.push_back({.partition_index = 0, .offset = offset});
    const auto answer = co_await client.call(request, 2);
    EXPECT_EQ(answer.message.topics.at(0).partitions.size(), 1U);
    EXPECT_EQ(answer.message.topics.at(0).partitions.at(0).low_watermark, 1);
  });
}

TEST_F(LogAdminTest, RecordsOfATopicThatNothingCleansCanBeDeleted) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1, {{"cleanup.policy", ""}}), ErrorCode::kNone);
    (void)co_await client.produce("t", 0, make_batch({"x"}));
    EXPECT_EQ(co_await delete_records(client, "t", 0, 1), (Deleted{ErrorCode::kNone, 1}));
  });
}

TEST_F(LogAdminTest, RecordsOfCompactedAndInternalTopicsStay) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("c", 1, {{"cleanup.policy", "compact"}}), ErrorCode::kNone);
    EXPECT_EQ((co_await delete_records(client, "c", 0, 0)).error, ErrorCode::kPolicyViolation);
    EXPECT_EQ(co_await client.create_topic("both", 1, {{"cleanup.policy", "compact,delete"}}), ErrorCode::kNone);
    EXPECT_EQ((co_await delete_records(client, "both", 0, 0)).error, ErrorCode::kNone);
    kafka::MetadataRequest request;
    request.topics.emplace().push_back({.name = "__consumer_offsets"});
    (void)co_await client.call(request, 9);
    EXPECT_EQ((co_await delete_records(client, "__consumer_offsets", 0, 0)).error, ErrorCode::kInvalidTopicException);
  });
}

TEST_F(LogAdminTest, LogDirsShowTheSizeOfEachPartitionAndOfTheVolume) {
  start();
  const auto capacity = static_cast<int64_t>(broker_->disk().options().capacity_bytes);
  run([capacity](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("a", 2), ErrorCode::kNone);
    EXPECT_EQ(co_await client.create_topic("b", 1), ErrorCode::kNone);
    const storage::Bytes batch = make_batch({"some bytes"});
    EXPECT_EQ((co_await client.produce("a", 1, batch)).error, ErrorCode::kNone);
    DescribeLogDirsRequest all{.topics = std::nullopt};
    for (int16_t version = 1; version <= 5; ++version) {
      const auto answer = co_await client.call(all, version);
      EXPECT_EQ(answer.message.results.size(), 1U);
      const auto& directory = answer.message.results.at(0);
      EXPECT_EQ(directory.error_code, ErrorCode::kNone);
      EXPECT_EQ(directory.log_dir, "/data");
      EXPECT_EQ(directory.topics.size(), 2U) << "the metadata log is not shown";
      EXPECT_EQ(directory.topics.at(0).name, "a");
      EXPECT_EQ(directory.topics.at(0).partitions.size(), 2U);
      EXPECT_EQ(directory.topics.at(0).partitions.at(1).partition_size, static_cast<int64_t>(batch.size()));
      EXPECT_EQ(directory.topics.at(0).partitions.at(0).partition_size, 0);
      EXPECT_EQ(directory.total_bytes, version < 4 ? -1 : capacity) << version;
      EXPECT_EQ(directory.usable_bytes > 0 && directory.usable_bytes < capacity, version >= 4) << version;
    }
    DescribeLogDirsRequest some;
    some.topics->push_back({.topic = "a", .partitions = {1, 5}});
    some.topics->push_back({.topic = "gone", .partitions = {0}});
    const auto answer = co_await client.call(some, 4);
    EXPECT_EQ(answer.message.results.at(0).topics.size(), 1U);
    EXPECT_EQ(answer.message.results.at(0).topics.at(0).partitions.size(), 1U);
    EXPECT_EQ(answer.message.results.at(0).topics.at(0).partitions.at(0).partition_index, 1);
  });
}

TEST_F(LogAdminTest, ProducersAreDescribed) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 2), ErrorCode::kNone);
    const int64_t id = (co_await client.call(kafka::InitProducerIdRequest{}, 4)).message.producer_id;
    storage::BatchToWrite header{.producer_id = id, .producer_epoch = 0, .base_sequence = 0};
    EXPECT_EQ((co_await client.produce("t", 1, make_batch({"a", "b"}, header, 5'000))).error, ErrorCode::kNone);
    EXPECT_EQ((co_await client.produce("t", 1, make_batch({"plain"}))).error, ErrorCode::kNone);
    DescribeProducersRequest request;
    request.topics.push_back({.name = "t", .partition_indexes = {0, 1, 2}});
    request.topics.push_back({.name = "no/slash", .partition_indexes = {0}});
    const auto answer = co_await client.call(request, 0);
    const auto& partitions = answer.message.topics.at(0).partitions;
    EXPECT_EQ(partitions.at(0).active_producers.size(), 0U);
    EXPECT_EQ(partitions.at(1).active_producers.size(), 1U);
    EXPECT_EQ(partitions.at(1).active_producers.at(0).producer_id, id);
    EXPECT_EQ(partitions.at(1).active_producers.at(0).producer_epoch, 0);
    EXPECT_EQ(partitions.at(1).active_producers.at(0).last_sequence, 1);
    EXPECT_EQ(partitions.at(1).active_producers.at(0).last_timestamp, 5'000);
    EXPECT_EQ(partitions.at(1).active_producers.at(0).current_txn_start_offset, -1);
    EXPECT_EQ(partitions.at(2).error_code, ErrorCode::kUnknownTopicOrPartition);
    EXPECT_EQ(answer.message.topics.at(1).partitions.at(0).error_code, ErrorCode::kInvalidTopicException);
  });
}

// A number of four bytes would stand for all producers of its partition, as often as it is there.
TEST_F(LogAdminTest, AnswersAboutOnePartitionManyTimesOverHaveABound) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    DescribeProducersRequest request;
    request.topics.push_back({.name = "t", .partition_indexes = std::vector<int32_t>(10, 0)});
    const auto answer = co_await client.call(request, 0);
    const auto& partitions = answer.message.topics.at(0).partitions;
    for (size_t i = 0; i < 10; ++i) {
      EXPECT_EQ(partitions.at(i).error_code, i < 8 ? ErrorCode::kNone : ErrorCode::kInvalidRequest) << i;
    }
  });
}

}  // namespace
}  // namespace posthaste::broker::testing
