// ListOffsets and OffsetForLeaderEpoch against a whole broker on three simulated cores.
#include "broker/testing/simulated_broker.h"
#include "net/kafka/log_admin.h"

namespace posthaste::broker::testing {
namespace {

using OffsetsTest = BrokerTest;

TEST_F(OffsetsTest, TheLargestTimestampNamesItsRecord) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    const auto none = co_await client.list_offset("t", 0, -3);
    EXPECT_EQ(none.error_code, ErrorCode::kNone);
    EXPECT_EQ(none.offset, -1);
    EXPECT_EQ(none.timestamp, -1);
    (void)co_await client.produce("t", 0, make_batch({"a"}, {}, 1'000));
    storage::RecordBatchBuilder builder{storage::BatchToWrite{}};
    for (const int64_t timestamp : {2'000, 9'000, 3'000}) {
      builder.add({.timestamp = timestamp, .value = storage::bytes_of("x")});
    }
    (void)co_await client.produce("t", 0, builder.finish());
    (void)co_await client.produce("t", 0, make_batch({"b"}, {}, 5'000));
    const auto largest = co_await client.list_offset("t", 0, -3);
    EXPECT_EQ(largest.offset, 2);
    EXPECT_EQ(largest.timestamp, 9'000);
  });
}

TEST_F(OffsetsTest, OffsetsAreFoundByPositionAndTime) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 2), ErrorCode::kNone);
    (void)co_await client.produce("t", 1, make_batch({"a"}, {}, 1'000));
    (void)co_await client.produce("t", 1, make_batch({"b"}, {}, 3'000));
    (void)co_await client.produce("t", 1, make_batch({"c"}, {}, 2'000));
    EXPECT_EQ((co_await client.list_offset("t", 1, -1)).offset, 3);
    EXPECT_EQ((co_await client.list_offset("t", 1, -2)).offset, 0);
    const auto largest = co_await client.list_offset("t", 1, -3);
    EXPECT_EQ(largest.offset, 1);
    EXPECT_EQ(largest.timestamp, 3'000);
    EXPECT_EQ((co_await client.list_offset("t", 1, 1'500)).offset, 1);
    const auto later = co_await client.list_offset("t", 1, 4'000);
    EXPECT_EQ(later.error_code, ErrorCode::kNone);
    EXPECT_EQ(later.offset, -1);
    EXPECT_EQ((co_await client.list_offset("t", 2, -1)).error_code, ErrorCode::kUnknownTopicOrPartition);
    kafka::OffsetForLeaderEpochRequest request;
    request.topics.push_back({.topic = "t"});
    request.topics[0].partitions.push_back({.partition = 1, .leader_epoch = 0});
    request.topics[0].partitions.push_back({.partition = 7, .leader_epoch = 0});
    const auto epochs = co_await client.call(request, 4);
    EXPECT_EQ(epochs.message.topics.at(0).partitions.at(0).end_offset, 3);
    EXPECT_EQ(epochs.message.topics.at(0).partitions.at(0).leader_epoch, 0);
    EXPECT_EQ(epochs.message.topics.at(0).partitions.at(1).error_code, ErrorCode::kUnknownTopicOrPartition);
  });
}

TEST_F(OffsetsTest, OffsetsThatCannotBeAskedForAreRefused) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 2), ErrorCode::kNone);
    (void)co_await client.produce("t", 0, make_batch({"a"}));
    kafka::ListOffsetsRequest request;
    request.replica_id = -1;
    request.topics.push_back({.name = "t"});
    for (const int32_t index : {0, 1, 0, 9}) {
      request.topics[0].partitions.push_back({.partition_index = index, .timestamp = -1});
    }
    const auto twice = co_await client.call(request, 7);
    const auto& partitions = twice.message.topics.at(0).partitions;
    EXPECT_EQ(partitions.size(), 3U);
    EXPECT_EQ(partitions.at(0).error_code, ErrorCode::kInvalidRequest);
    EXPECT_EQ(partitions.at(1).error_code, ErrorCode::kNone);
    const auto only = [&](int64_t timestamp, int16_t version, int32_t epoch = -1,
                          int8_t isolation = 0) -> Task<ErrorCode> {
      kafka::ListOffsetsRequest one = request;
      one.isolation_level = isolation;
      one.topics[0].partitions = {{.partition_index = 0, .current_leader_epoch = epoch, .timestamp = timestamp}};
      co_return (co_await client.call(one, version)).message.topics.at(0).partitions.at(0).error_code;
    };
    EXPECT_EQ(co_await only(-3, 7), ErrorCode::kNone);
    EXPECT_EQ(co_await only(-3, 6), ErrorCode::kUnsupportedVersion);
    EXPECT_EQ(co_await only(-7, 7), ErrorCode::kUnsupportedVersion);
    EXPECT_EQ(co_await only(-1, 7, -2), ErrorCode::kFencedLeaderEpoch) << "not an epoch, and not none";
    EXPECT_EQ(co_await only(-1, 7, -1, 2), ErrorCode::kInvalidRequest);
  });
}

// All of a log is local from its first record on; there is no tiered storage.
TEST_F(OffsetsTest, TimesOfTieredStorageAreKnownFromTheirVersionsOn) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    for (int i = 0; i < 3; ++i) (void)co_await client.produce("t", 0, make_batch({"a"}));
    kafka::DeleteRecordsRequest remove{.timeout_ms = 1'000};
    remove.topics.push_back({.name = "t", .partitions = {{.partition_index = 0, .offset = 2}}});
    (void)co_await client.call(remove, 1);
    kafka::ListOffsetsRequest request{.replica_id = -1};
    request.topics.push_back({.name = "t", .partitions = {{.partition_index = 0}}});
    const std::pair<int64_t, int16_t> firsts[] = {{-4, 8}, {-5, 9}, {-6, 11}};
    for (const auto& [timestamp, first] : firsts) {
      request.topics[0].partitions[0].timestamp = timestamp;
      for (int16_t version = 1; version <= 11; ++version) {
        const auto answer = (co_await client.call(request, version)).message.topics.at(0).partitions.at(0);
        const bool is_known = version >= first;
        EXPECT_EQ(answer.error_code, is_known ? ErrorCode::kNone : ErrorCode::kUnsupportedVersion) << timestamp;
        const bool is_local_start = is_known && timestamp == -4;
        EXPECT_EQ(answer.offset, is_local_start ? 2 : -1) << timestamp << " v" << version;
        EXPECT_EQ(answer.timestamp, -1);
        EXPECT_EQ(answer.leader_epoch, is_local_start ? 0 : -1);
      }
    }
  });
}

}  // namespace
}  // namespace posthaste::broker::testing
